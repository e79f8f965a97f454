package published

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/node"
	"github.com/openspine/openspine/referral"
)

// Numbers of the requests that Refer makes, by the state in which each stands (the examples of A005).
const (
	Unbooked  = "000000070000"
	Deferred  = "000000070003"
	Converted = "000000070004"
	// Unread is the one whose files were brought from elsewhere, where they could not be read.
	Unread = "000000070012"
)

// criteria are how the services of the examples' referrals were searched for. The address of the API is put in when they are shown.
func criteria(priority referral.Priority) string {
	return `[{"name":"priority","valueCoding":{"system":"https://fhir.nhs.uk/STU3/CodeSystem/eRS-Priority-1","code":"` + string(priority) + `"}},
		{"name":"specialty","valueCoding":{"system":"{base}/STU3/CodeSystem/SPECIALTY","code":"CARDIOLOGY"}},{"name":"clinicType","valueCoding":{"system":"https://fhir.nhs.uk/STU3/CodeSystem/eRS-ClinicType-1","code":"HEART_FAILURE"}},
		{"name":"postcode","valueString":"` + home + `"},{"name":"distanceLimit","valueUnsignedInt":123},{"name":"ageAndGenderAppropriate","valueBoolean":true}]`
}

// Refer makes the examples' requests that need no slot of a hospital, under their numbers, by the acts by which anybody makes them. Load comes first.
func Refer(ctx context.Context, n *node.Node) error {
	referrer, err := callerOf(ctx, n, Referrer)
	if err != nil {
		return err
	}
	reviewer, err := callerOf(ctx, n, Reviewer)
	if err != nil {
		return err
	}
	all := n.Referrals()
	draft := func(number string, priority referral.Priority, service, onBehalf string) (d referral.Draft, err error) {
		letter, err := all.Upload(ctx, referrer, referral.Upload{Name: "referralletter.pdf", OnBehalf: onBehalf}, strings.NewReader("%PDF-1"))
		return referral.Draft{UBRN: ident.MustUBRN(number), Patient: ident.MustNHSNumber(Patient), Priority: priority, Request: referral.ForAppointment, Specialty: "CARDIOLOGY", ClinicType: "HEART_FAILURE", Services: []string{service},
			Criteria: criteria(priority), Files: []referral.FileRef{{ID: letter.ID, Description: "referralletter pdf"}}}, err
	}
	d, err := draft(Unbooked, referral.Routine, "11002", "004377014925")
	if err != nil {
		return err
	}
	if _, err := all.Create(ctx, referrer, d); err != nil {
		return err
	}
	if d, err = draft(Deferred, referral.Urgent, "11010", ""); err != nil {
		return err
	}
	d.PathwayStart = n.Kernel().Clock.Now().Add(-30 * 24 * time.Hour)
	made, err := all.Create(ctx, referrer, d)
	if err != nil {
		return err
	}
	if _, err := all.Act(ctx, referrer, made.UBRN, referral.Work{Kind: referral.ActDefer, Service: "11010", Comment: "Yes!"}); err != nil {
		return err
	}
	if d, err = draft(Unread, referral.Routine, "11002", ""); err != nil {
		return err
	}
	d.Files, d.PathwayStart = nil, time.Time{}
	for i, why := range []referral.Availability{referral.Pending, referral.ThreatsFound, referral.ValidationFailed} {
		ending := []string{"pdf", "png", "doc"}[i]
		f, err := all.Bring(ctx, referrer, referral.Upload{Name: "referralletter" + strconv.Itoa(i+1) + "." + ending, OnBehalf: Referrer}, 6, why)
		if err != nil {
			return err
		}
		d.Files = append(d.Files, referral.FileRef{ID: f.ID, Description: "referralletter " + ending})
	}
	if _, err := all.Create(ctx, referrer, d); err != nil {
		return err
	}
	q := referral.AdviceQuestion{UBRN: ident.MustUBRN(Converted), Patient: ident.MustNHSNumber(Patient), Priority: referral.TwoWeekWait, Specialty: "CARDIOLOGY", ClinicType: "HEART_FAILURE", Service: "11014",
		Criteria: criteria(referral.TwoWeekWait), MayConvert: true, Text: "Breathless since last week. Would you see her?"}
	a, err := all.AskAdvice(ctx, referrer, q)
	if err != nil {
		return err
	}
	_, _, err = all.ConvertAdvice(ctx, reviewer, a.UBRN, referral.Conversion{Seen: a.Version, Text: "We take her.", Note: "Actually I'd rather not", Priority: referral.TwoWeekWait})
	return err
}

// callerOf is somebody of the examples, for acts without a request.
func callerOf(ctx context.Context, n *node.Node, id string) (referral.Caller, error) {
	gate := n.Kernel().Gate
	u, _, err := gate.Profiles(ctx, id)
	return referral.Caller{Principal: u.Principal, Ask: func(acts ...access.Act) ([]access.Grant, error) {
		return gate.DecideAll(ctx, u.Principal, acts)
	}}, err
}
