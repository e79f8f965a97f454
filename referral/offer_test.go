package referral_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/directory"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/internal/clock"
	"github.com/openspine/openspine/internal/node"
	"github.com/openspine/openspine/referral"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/store/storetest"
)

// quiet is a national node on which nothing is done by the clock but what a test does: with one patient, one practice and one service.
type quiet struct {
	t    testing.TB
	k    catalogue.Kernel
	node *node.Node
	time *clock.Fake
	s    *referral.Referrals
	gp   referral.Caller
}

const waitingFor = "RZZ01-hearts"

func newQuiet(t testing.TB, database string) *quiet {
	t.Helper()
	w := &quiet{t: t, time: clock.NewFake(time.Date(2026, 7, 6, 9, 0, 0, 0, time.UTC))} // a Monday
	n, err := node.Open(context.Background(), node.Config{Name: "quiet", Addr: "127.0.0.1:0", Data: t.TempDir(), Database: database, National: "X26", Demo: true, Tenants: []node.TenantConfig{
		{Code: "X26", Name: "National spine", Kind: "national"}, {Code: "RZZ01", Name: "A hospital", Kind: "hospital"}}}, node.Options{Clock: w.time, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	l := n.Loader("test", national, nil)
	for _, doc := range []string{`{"resourceType":"Organization","id":"RZZ01","identifier":[{"system":"https://fhir.nhs.uk/Id/ods-organization-code","value":"RZZ01"}],"active":true,"name":"A hospital"}`,
		`{"resourceType":"HealthcareService","id":"` + waitingFor + `","active":true,"providedBy":{"identifier":{"system":"https://fhir.nhs.uk/Id/ods-organization-code","value":"RZZ01"}},"name":"Hearts","characteristic":[{"coding":[{"system":"https://fhir.nhs.uk/STU3/CodeSystem/eRS-RequestFlowType-1","code":"ADVICE_AND_GUIDANCE_REQUEST"}]},{"coding":[{"system":"https://fhir.nhs.uk/STU3/CodeSystem/eRS-RequestFlowType-1","code":"APPOINTMENT_REQUEST"}]},{"coding":[{"system":"https://fhir.nhs.uk/STU3/CodeSystem/eRS-RequestFlowType-1","code":"TRIAGE_REQUEST"}]}]}`,
		`{"resourceType":"Patient","id":"9990000018","identifier":[{"system":"https://fhir.nhs.uk/Id/nhs-number","value":"9990000018"}],"name":[{"use":"usual","family":"O'Neill","given":["Zoë"]}],"gender":"female","birthDate":"1970-01-02"}`} {
		res, err := fhir.Parse([]byte(doc))
		if err == nil {
			err = l.Add(context.Background(), res)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	w.node, w.k = n, n.Kernel()
	w.s = w.again()
	w.gp = w.as(access.Principal{ID: "gp", Name: "Dr Amara Whitfield", Role: access.Clinician, Organisation: ident.MustODSCode("Z99801"), AuthMethod: "session"})
	err = w.k.DB.Write(context.Background(), []store.Lane{w.k.Gate.Lane(national, "9990000018")}, func(tx *store.Tx) error {
		return w.k.Gate.Relate(tx, access.Relationship{Tenant: national, Chart: "9990000018", Organisation: ident.MustODSCode("Z99801"), Kind: "registered", Basis: "registered", By: "test"})
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// again is the service as it begins anew over the same database.
func (w *quiet) again() *referral.Referrals {
	return referral.New(w.k, directory.New(w.k, true), referral.Options{})
}

func (w *quiet) as(p access.Principal) referral.Caller {
	return referral.Caller{Principal: p, Ask: func(acts ...access.Act) ([]access.Grant, error) {
		return w.k.Gate.DecideAll(context.Background(), p, acts)
	}}
}

// patient is the patient of a referral, who came in by its number.
func (w *quiet) patient(u ident.UBRN) referral.Caller {
	return w.as(access.Principal{ID: "ubrn/" + u.String(), Name: "Patient, by reference number", Role: access.Patient, Person: "9990000018", AuthMethod: "ubrn"})
}

func (w *quiet) refers(p referral.Priority) referral.Made {
	w.t.Helper()
	m, err := w.s.Create(context.Background(), w.gp, referral.Draft{Patient: ident.MustNHSNumber("9990000018"), Priority: p, Request: referral.ForAppointment, Services: []string{waitingFor}, Letter: "Please see."})
	if err != nil {
		w.t.Fatal(err)
	}
	return m
}

// waits is a referral for which nothing was free: left to its provider, a minute after the one before.
func (w *quiet) waits(p referral.Priority) ident.UBRN {
	w.t.Helper()
	m := w.refers(p)
	w.time.Advance(time.Minute)
	if _, err := w.s.Act(context.Background(), w.gp, m.UBRN, referral.Work{Kind: referral.ActDefer, Service: waitingFor}); err != nil {
		w.t.Fatal(err)
	}
	return m.UBRN
}

// gives hands a session of n slots to the spine, in so many days.
func (w *quiet) gives(session string, n, days int) {
	w.t.Helper()
	start := w.time.Now().Truncate(24*time.Hour).AddDate(0, 0, days).Add(9 * time.Hour)
	msg := booking.Slots{Session: session, Service: waitingFor}
	for i := range n {
		at := start.Add(time.Duration(i) * 20 * time.Minute)
		msg.Slots = append(msg.Slots, booking.Slot{ID: fmt.Sprintf("%s-%d", session, i), Epoch: 1, Start: at, End: at.Add(20 * time.Minute)})
	}
	cameTo(w.t, w.s, booking.WorkflowSlots, session, msg)
}

// due does what the clock does, by a service that has begun anew.
func (w *quiet) due() {
	w.t.Helper()
	w.s = w.again()
	if err := w.s.OfferDue(context.Background()); err != nil {
		w.t.Fatal(err)
	}
}

func (w *quiet) get(u ident.UBRN) referral.Referral {
	w.t.Helper()
	r, err := w.s.Get(context.Background(), w.gp, u)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// hasOffer checks who of a list is offered a time.
func (w *quiet) hasOffer(step string, who ident.UBRN, list ...ident.UBRN) {
	w.t.Helper()
	for _, u := range list {
		if r := w.get(u); (r.Offer != nil) != (u == who) {
			w.t.Fatalf("%s: of %s the offer is %+v", step, r.Priority, r.Offer)
		}
	}
}

func onBoth(t *testing.T, test func(t *testing.T, w *quiet)) {
	t.Run("sqlite", func(t *testing.T) { t.Parallel(); test(t, newQuiet(t, "")) })
	t.Run("postgres", func(t *testing.T) { t.Parallel(); test(t, newQuiet(t, storetest.PostgresURL(t))) })
}

// TestATimeIsOfferedInTurn: the most urgent first, then whoever has waited longest. Who says no, or lets it pass, is not offered it again; nobody else can book it meanwhile; who takes it has it.
func TestATimeIsOfferedInTurn(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *quiet) {
		ctx := context.Background()
		first, soon, urgent := w.waits(referral.Routine), w.waits(referral.TwoWeekWait), w.waits(referral.Urgent)
		all := []ident.UBRN{first, soon, urgent}
		w.due()
		w.hasOffer("nothing is free", ident.UBRN{}, all...)
		w.gives("one", 1, 20)
		slot := referral.SlotRef{Provider: west, Session: "one", Slot: "one-0"}
		w.due()
		w.hasOffer("two weeks come first", soon, all...)
		if until, want := w.get(soon).Offer.Until, time.Date(2026, 7, 9, 22, 59, 0, 0, time.UTC); !until.Equal(want) {
			t.Errorf("three working days from a Monday end at %s, not %s", until, want)
		}
		other := w.refers(referral.TwoWeekWait)
		if _, err := w.s.Act(ctx, w.gp, other.UBRN, referral.Work{Kind: referral.ActBook, Slot: slot, Service: waitingFor}); !fault.Is(err, fault.Conflict) {
			t.Errorf("somebody else booked what is offered: %v", err)
		}
		if _, err := w.s.Hold(ctx, slot, soon.String()); err != nil {
			t.Fatal(err)
		}
		w.time.Advance(time.Hour)
		if free, err := w.s.FreeSlots(ctx, waitingFor, time.Time{}, time.Time{}, "", 9); err != nil || len(free) != 0 {
			t.Errorf("who looks at what they are offered keeps it for minutes only: %v, %v", free, err)
		}
		if _, err := w.s.Act(ctx, w.patient(soon), soon, referral.Work{Kind: referral.ActDecline, Seen: w.get(soon).Version}); err != nil {
			t.Fatal(err)
		}
		w.due()
		w.hasOffer("the next in turn", urgent, all...)
		w.time.Advance(5 * 24 * time.Hour)
		w.due()
		w.hasOffer("who let it pass", first, all...)
		if _, err := w.s.Act(ctx, w.patient(first), first, referral.Work{Kind: referral.ActBook, Slot: slot, Service: waitingFor, Seen: w.get(first).Version}); err != nil {
			t.Fatal(err)
		}
		if r := w.get(first); r.State != referral.Booked || r.Offer != nil || r.Appointment.SlotRef != slot {
			t.Errorf("taken: %+v", r)
		}
		history, err := w.s.History(ctx, w.gp, urgent)
		if err != nil || history[len(history)-1].Act != referral.ActLapse || history[len(history)-2].Act != referral.ActOffer || history[len(history)-1].By.Party != referral.System {
			t.Errorf("the history of who let it pass: %+v, %v", history, err)
		}
		w.gives("two", 1, 20)
		w.due()
		w.hasOffer("another time", soon, soon, urgent)
	})
}

// TestAnOfferEndsWithItsSession: when the session will not take place nobody takes it, the hospital has its slot back, and whoever waits keeps their turn.
func TestAnOfferEndsWithItsSession(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *quiet) {
		ctx := context.Background()
		u := w.waits(referral.Urgent)
		w.gives("gone", 1, 20)
		w.due()
		w.hasOffer("offered", u, u)
		slot := w.get(u).Offer.SlotRef
		cameTo(t, w.s, booking.WorkflowRecall, "gone", booking.Recall{Session: "gone", Withdrawn: true})
		if _, err := w.s.Act(ctx, w.patient(u), u, referral.Work{Kind: referral.ActBook, Slot: slot, Service: waitingFor}); !fault.Is(err, fault.Conflict) {
			t.Errorf("a time of a session that will not take place was taken: %v", err)
		}
		w.due()
		if r := w.get(u); r.Offer != nil || r.State != referral.Deferred || len(r.Passed) != 0 {
			t.Errorf("%+v", r)
		}
		if e, err := w.s.Own(ctx, slot); err != nil || booking.Spine.Owns(e) {
			t.Errorf("the slot is at epoch %d (%v)", e, err)
		}
		w.gives("next", 1, 21)
		w.due()
		w.hasOffer("the next session", u, u)
	})
}

// TestOfASilentHospitalNothingIsOffered: nobody there would know; who was offered a time before still has it.
func TestOfASilentHospitalNothingIsOffered(t *testing.T) {
	t.Parallel()
	w := newQuiet(t, "")
	heard := w.time.Now()
	silent := func() {
		w.s = w.again()
		w.s.Hear(time.Hour, func(ident.ODSCode) (time.Time, bool) { return heard, true })
		if err := w.s.OfferDue(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	first := w.waits(referral.Routine)
	w.gives("heard", 1, 20)
	silent()
	w.hasOffer("it was heard of a moment ago", first, first)
	second := w.waits(referral.Routine)
	w.gives("silent", 1, 20)
	w.time.Advance(2 * time.Hour)
	silent()
	w.hasOffer("nothing was heard for two hours", first, first, second)
	heard = w.time.Now()
	silent()
	if w.get(first).Offer == nil || w.get(second).Offer == nil {
		t.Error("it was heard of again, and they are not offered a time")
	}
}

// TestNobodyIsOfferedForEver: after three times that they did not take a person of the hospital finds their date; a new wait begins anew.
func TestNobodyIsOfferedForEver(t *testing.T) {
	t.Parallel()
	w, ctx := newQuiet(t, ""), context.Background()
	u := w.waits(referral.Routine)
	for i := range referral.MostOffers {
		w.gives(fmt.Sprint("try", i), 1, 20)
		w.due()
		w.hasOffer("offered", u, u)
		if _, err := w.s.Act(ctx, w.gp, u, referral.Work{Kind: referral.ActDecline}); err != nil {
			t.Fatal(err)
		}
	}
	w.gives("more", 1, 20)
	w.due()
	w.hasOffer("after three", ident.UBRN{}, u)
	if _, err := w.s.Act(ctx, w.gp, u, referral.Work{Kind: referral.ActDecline}); !fault.Is(err, fault.Conflict) {
		t.Errorf("they said no to nothing: %v", err)
	}
	slot := referral.SlotRef{Provider: west, Session: "more", Slot: "more-0"}
	if _, err := w.s.Act(ctx, w.gp, u, referral.Work{Kind: referral.ActBook, Slot: slot, Service: waitingFor}); err != nil {
		t.Errorf("who has said no three times cannot book: %v", err)
	}
}

// TestNothingIsOfferedBesideAQuestion: while another hospital's own system is asked for somebody they may be booked there.
func TestNothingIsOfferedBesideAQuestion(t *testing.T) {
	t.Parallel()
	w := newQuiet(t, "")
	r := w.get(w.waits(referral.Routine))
	by := referral.Actor{ID: "service/referral", Party: referral.System}
	offer := referral.Act{Kind: referral.ActOffer, By: by, At: w.time.Now(), Offer: &referral.Offer{SlotRef: referral.SlotRef{Provider: west, Session: "s", Slot: "s-0"}, Until: w.time.Now().Add(time.Hour)}}
	with, err := referral.Apply(r, offer)
	if err != nil || with.Offer == nil {
		t.Fatalf("they are not offered a time: %v", err)
	}
	r.Asked = &referral.Asked{}
	if _, err := referral.Apply(r, offer); !fault.Is(err, fault.Conflict) {
		t.Errorf("a time was offered while a hospital's system is asked: %v", err)
	}
	with.Asked = &referral.Asked{}
	if after, err := referral.Apply(with, referral.Act{Kind: referral.ActLapse, By: by, At: w.time.Now()}); err != nil || after.Offer != nil {
		t.Errorf("an offer does not end while a hospital's system is asked: %v", err)
	}
	offer.By.Party = referral.Provider
	if _, err := referral.Apply(w.get(r.UBRN), offer); !fault.Is(err, fault.Forbidden) {
		t.Errorf("a hospital offered a slot of the spine's: %v", err)
	}
}

// TestAnOfferEndsWithAWorkingDay: weekends and bank holidays are no days to answer on, the day ends by the clock of the United Kingdom, and no offer outlasts the time until which its slot can be booked.
func TestAnOfferEndsWithAWorkingDay(t *testing.T) {
	t.Parallel()
	never := time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, x := range map[string]struct{ now, closes, want string }{
		"from a Monday":                  {now: "2026-07-06T09:00:00Z", want: "2026-07-09T22:59:00Z"},
		"over a weekend":                 {now: "2026-07-09T09:00:00Z", want: "2026-07-14T22:59:00Z"},
		"over Easter":                    {now: "2026-04-02T09:00:00Z", want: "2026-04-09T22:59:00Z"},
		"over Christmas and its days":    {now: "2026-12-23T09:00:00Z", want: "2026-12-30T23:59:00Z"},
		"into summer time":               {now: "2026-03-26T09:00:00Z", want: "2026-03-31T22:59:00Z"},
		"after midnight in summer":       {now: "2026-07-05T23:30:00Z", want: "2026-07-09T22:59:00Z"},
		"booking closes before that day": {now: "2026-07-06T09:00:00Z", closes: "2026-07-08T09:30:00Z", want: "2026-07-08T09:30:00Z"},
	} {
		closes := never
		if x.closes != "" {
			closes = at(t, x.closes)
		}
		if got := referral.OfferUntil(at(t, x.now), closes); !got.Equal(at(t, x.want)) {
			t.Errorf("%s: an offer ends at %s, not %s", name, got.UTC(), x.want)
		}
	}
}

func at(t *testing.T, text string) time.Time {
	t.Helper()
	when, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return when
}
