package published

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/hospital"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/internal/node"
	"github.com/openspine/openspine/referral"
)

// Numbers of the requests that Book makes.
const (
	BookedDirectly   = "000000070001"
	BookedIndirectly = "000000070002"
	Related          = "000000070005" // to Converted
	WithRequirements = "000000070011"
)

// indirect is the service that the hospital of the examples books in slots of its own.
const indirect = "11016"

// Clinics are those of the hospital of the examples: a session each week for each service whose slots its examples show, seen by whom they name.
func Clinics() hospital.Setup {
	s := hospital.Setup{Specialties: []hospital.Specialty{{Code: cardiology, Name: "Cardiology"}},
		Consultants: []hospital.Consultant{{ID: Referrer, Name: "Dr Ada Rowntree", Specialty: cardiology, Login: Referrer}, {ID: Reviewer, Name: "Dr Bram Okonjo", Specialty: cardiology, Login: Reviewer}}}
	for i, x := range []struct {
		service, consultant string
		weekday             time.Weekday
	}{
		{"11000", "", time.Monday}, {"11002", Referrer, time.Tuesday}, {"11002", Referrer, time.Thursday}, {"11004", Referrer, time.Wednesday}, {"11008", Referrer, time.Friday}, {"12000", "", time.Monday},
		{"13000", "", time.Tuesday}, {"13000", Reviewer, time.Wednesday}, {"14000", Reviewer, time.Thursday}, {"50", "", time.Friday}, {"57", "", time.Monday}, {indirect, "", time.Tuesday},
	} {
		id := x.service + "-" + fmt.Sprint(i)
		s.Clinics = append(s.Clinics, hospital.Clinic{ID: id, Name: "Cardiology " + x.service, Service: x.service, Specialty: cardiology, Consultant: x.consultant, Place: "Outpatients"})
		s.Templates = append(s.Templates, hospital.Template{ID: id, Clinic: id, Weekday: x.weekday, Starts: 9 * 60, Minutes: 20, Slots: 9, Given: x.service != indirect})
	}
	return s
}

// rounds is how often Book looks whether the post has brought what it waits for.
const rounds = 600

// Book makes the examples' requests that are booked, under their numbers, by the acts by which anybody makes them: the hospital hands slots over by the post, so that the node must serve.
// What was made before is left as it is. Between two looks it waits by pause. Refer comes first. Error: fault.Unavailable when the post does not bring it.
func Book(ctx context.Context, n *node.Node, pause func() error) (err error) {
	if !slices.ContainsFunc(n.Kernel().Tenants, func(t catalogue.Tenant) bool { return t.Code == Provider && t.Kind == "hospital" }) {
		return nil
	}
	who, err := callerOf(ctx, n, Referrer)
	if err != nil {
		return err
	}
	b := &booker{n, who, false}
	if err := b.clinics(ctx); err != nil {
		return err
	}
	for range rounds {
		if err = b.book(ctx); !fault.Is(err, fault.Unavailable) {
			return err
		}
		if err := pause(); err != nil {
			return err
		}
	}
	return err
}

// booker brings about the states of the requests that are booked.
type booker struct {
	*node.Node
	referrer referral.Caller
	decided  bool
}

// clinics sets up those of the hospital, once, and has their sessions made.
func (b *booker) clinics(ctx context.Context) error {
	list, err := b.Clinics().Clinics(ctx, Provider)
	if err == nil && len(list) == 0 {
		err = b.Clinics().SetUp(ctx, access.Service("seed", Provider), Provider, Clinics())
	}
	if err != nil {
		return err
	}
	return b.Clinics().Plan(ctx, Provider)
}

// book makes what is missing. Error: fault.Unavailable while something is on its way.
func (b *booker) book(ctx context.Context) error {
	for _, x := range []struct {
		number string
		change func(d *referral.Draft)
	}{
		{BookedDirectly, nil},
		{Related, func(d *referral.Draft) {
			d.Files, d.Priority, d.Criteria, d.Related = nil, referral.TwoWeekWait, criteria(referral.TwoWeekWait), []ident.UBRN{ident.MustUBRN(Converted)}
		}},
		{WithRequirements, func(d *referral.Draft) { d.Requirements = []string{"ADVOCACY", "INTERPRETER", "TRANSPORT"} }},
	} {
		_, err := b.Referrals().Get(ctx, b.referrer, ident.MustUBRN(x.number))
		if fault.Is(err, fault.NotFound) {
			err = b.bookOne(ctx, x.number, x.change)
		}
		if err != nil {
			return err
		}
	}
	return b.bookIndirectly(ctx)
}

// draft is a request of the examples under a number, with its letter.
func (b *booker) draft(ctx context.Context, number string, services ...string) (d referral.Draft, err error) {
	letter, err := b.Referrals().Upload(ctx, b.referrer, referral.Upload{Name: "referralletter.pdf"}, strings.NewReader("%PDF-1"))
	return referral.Draft{UBRN: ident.MustUBRN(number), Patient: ident.MustNHSNumber(Patient), Priority: referral.Routine, Request: referral.ForAppointment, Specialty: "CARDIOLOGY", ClinicType: "HEART_FAILURE", Services: services,
		Criteria: criteria(referral.Routine), Files: []referral.FileRef{{ID: letter.ID, Description: "referralletter pdf"}}, PathwayStart: b.Kernel().Clock.Now().Add(-30 * 24 * time.Hour)}, err
}

// bookOne makes a request and books it in the same act.
func (b *booker) bookOne(ctx context.Context, number string, change func(d *referral.Draft)) error {
	const service = "11002"
	free, err := b.Referrals().FreeSlots(ctx, service, time.Time{}, time.Time{}, "", 1)
	if err != nil {
		return err
	}
	if len(free) == 0 {
		return fault.New(fault.Unavailable, "The hospital's slots have not come yet.")
	}
	d, err := b.draft(ctx, number, service)
	if err != nil {
		return err
	}
	if change != nil {
		change(&d)
	}
	d.AtOnce = referral.Work{Kind: referral.ActBook, Slot: free[0].SlotRef, Service: service}
	_, err = b.Referrals().Create(ctx, b.referrer, d)
	return err
}

// bookIndirectly leaves a request to the hospital, which books it in a slot that it has kept.
func (b *booker) bookIndirectly(ctx context.Context) error {
	u := ident.MustUBRN(BookedIndirectly)
	r, err := b.Referrals().Get(ctx, b.referrer, u)
	if fault.Is(err, fault.NotFound) {
		var d referral.Draft
		if d, err = b.draft(ctx, BookedIndirectly, indirect, "11017"); err == nil {
			var made referral.Made
			made, err = b.Referrals().Create(ctx, b.referrer, d)
			r = made.Referral
		}
	}
	if err == nil && r.State == referral.NotBooked {
		r, err = b.Referrals().Act(ctx, b.referrer, u, referral.Work{Kind: referral.ActDefer, Service: indirect})
	}
	if err != nil || r.State != referral.Deferred {
		return err
	}
	if !b.decided {
		if err := b.decide(ctx); err != nil {
			return err
		}
		b.decided = true
	}
	return fault.New(fault.Unavailable, "The spine has not heard yet what the hospital has booked.")
}

// decide is the hospital's clerk, who books in a session that is its own.
func (b *booker) decide(ctx context.Context) error {
	u, _, err := b.Kernel().Gate.Profiles(ctx, Booker)
	if err != nil {
		return err
	}
	starts := b.Kernel().Clock.Now().Truncate(24*time.Hour).AddDate(0, 0, 21).Add(10 * time.Hour)
	s := hospital.Session{ID: indirect + "-first", Clinic: Clinics().Clinics[len(Clinics().Clinics)-1].ID, Starts: starts, Ends: starts.Add(20 * time.Minute), Minutes: 20}
	if err := b.Clinics().MakeSession(ctx, Provider, s, 1, 0, false); err != nil {
		return err
	}
	err = b.Clinics().Decide(ctx, u.Principal, Provider, BookedIndirectly, hospital.Decision{Kind: booking.ActOffer, Session: s.ID, Slot: s.ID + "-" + starts.Format("1504")})
	if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Conflict) { // or is making the person a patient
		return fault.New(fault.Unavailable, "The hospital has not heard yet of the request.")
	}
	return err
}
