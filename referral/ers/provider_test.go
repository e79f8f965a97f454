package ers_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/referral"
	"github.com/openspine/openspine/referral/ers"
	"github.com/openspine/openspine/sim/seed/published"
)

// cancels sends A036 with a reason.
func (c *caller) cancels(r referral.Referral, reason, comment string) answer {
	more := ""
	if comment != "" {
		more = `,{"name":"cancellationComments","valueString":"` + comment + `"}`
	}
	return c.post("/STU3/ReferralRequest/"+r.UBRN.String()+"/$ers.cancelReferral", `{"resourceType":"Parameters","meta":{"profile":["https://fhir.nhs.uk/STU3/StructureDefinition/eRS-CancelReferral-Request-Parameters-1"]},
		"parameter":[{"name":"cancellationReason","valueCoding":{"system":"`+c.url+`/STU3/CodeSystem/REFERRAL-CANCELLATION-REASON","code":"`+reason+`"}}`+more+`]}`, "If-Match", fmt.Sprintf(`W/"%d"`, r.Version))
}

// TestAProviderCancelsAReferral: for the reasons that are published for it, in the states in which the referral is its business.
func TestAProviderCancelsAReferral(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	to := func(kinds ...referral.Work) referral.Referral {
		r := s.refers(draft(referral.Routine, "11004"))
		for _, w := range kinds {
			who := s.byReferrer()
			if w.Kind == referral.ActTriageAccept || w.Kind == referral.ActTriageReturn {
				who = s.byReviewer()
			}
			r = s.does(who, r, w)
		}
		return r
	}
	deferred, sent, taken := referral.Work{Kind: referral.ActDefer, Service: "11004"}, referral.Work{Kind: referral.ActSendTriage, Service: "11004"}, referral.Work{Kind: referral.ActTriageAccept, Comment: "yes"}
	back := referral.Work{Kind: referral.ActTriageReturn, Comment: "no"}
	program := access.User{Principal: access.Principal{ID: "pas", Name: "A program", Role: access.SystemClient, Organisation: published.Provider, Tenants: []ident.ODSCode{s.node.Kernel().National}, Scopes: []string{"system/*.cruds"}}}
	clerk := s.as(s.user(published.Booker), acting(ers.ProviderClinicianAdmin, published.Provider, "NHSD-eRS-On-Behalf-Of-User-ID", published.Reviewer)...)
	for name, c := range map[string]struct {
		r       referral.Referral
		who     *caller
		reason  string
		comment string
		status  int
		code    string
	}{
		"the patient goes elsewhere":       {to(deferred), s.reviewer(), "INTEND_PRIVATE", "", 200, ""},
		"by a clerk":                       {to(deferred), clerk, "BOOKED_OUTSIDE_CAB", "", 200, ""},
		"what was triaged":                 {to(sent, taken), s.reviewer(), "TRIAGE_ENDED", "", 200, ""},
		"without the comment that it asks": {to(sent, taken), s.reviewer(), "STRAIGHT_TO_TEST", "", 422, "VALUE_IS_REQUIRED"},
		"triaged, for the patient's sake":  {to(sent, taken), s.reviewer(), "PATIENT_DIED", "", 422, "INAPPROPRIATE_VALUE"},
		"not triaged, as if it were":       {to(deferred), s.reviewer(), "TRIAGE_ENDED", "", 422, "INAPPROPRIATE_VALUE"},
		"a referrer's reason":              {to(deferred), s.reviewer(), "RAISED_IN_ERROR", "", 422, "INAPPROPRIATE_VALUE"},
		"before it is triaged":             {to(sent), s.reviewer(), "PATIENT_DIED", "", 422, "INVALID_REQUEST_STATE"},
		"what it gave back":                {to(sent, back), s.reviewer(), "PATIENT_DIED", "", 422, "INVALID_REQUEST_STATE"},
		"what was never sent to it":        {to(), s.reviewer(), "PATIENT_DIED", "", 422, "NO_RELATIONSHIP"},
		"a program":                        {to(deferred), s.as(program), "BOOKED_OUTSIDE_CAB", "", 200, ""},
	} {
		a := c.who.cancels(c.r, c.reason, c.comment)
		if a.status != c.status || a.code() != c.code || a.status == http.StatusOK && !strings.Contains(a.body, "CANCELLED_REFERRAL") {
			t.Errorf("%s: %d %s, want %d %s: %.300s", name, a.status, a.code(), c.status, c.code, a.body)
		}
	}
	r := to(deferred)
	tasks := s.reviewer().get(fmt.Sprintf("/STU3/Task?focus=ReferralRequest/%s/_history/%d&intent=proposal&status=ready", r.UBRN, r.Version))
	if !strings.Contains(tasks.body, "CANCEL_REFERRAL") {
		t.Errorf("A029 does not tell of it: %.400s", tasks.body)
	}
}

// TestAPracticeThatProvidesRefersAsWell: a practice that offers a service of its own goes on referring, and reads what is referred to it as a provider.
func TestAPracticeThatProvidesRefersAsWell(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.service("11010", func(x *published.Service) { x.At = published.Practice })
	if a := s.as(s.user(published.Reviewer), acting(ers.ReferringClinician, published.Provider)...).get("/STU3/CodeSystem/PRIORITY"); a.status != http.StatusForbidden {
		t.Errorf("the directory does not say of the hospital that it refers: %d", a.status)
	}
	may := s.referrer().get("/R4/PractitionerRole")
	for _, f := range []string{"SERVICE_PROVIDER_CLINICIAN", "REFERRING_CLINICIAN"} {
		if !strings.Contains(may.body, f) {
			t.Errorf("A030 does not tell of %s: %s", f, may.body)
		}
	}
	r := s.refers(draft(referral.Routine, "11010"))
	r = s.does(s.byReferrer(), r, referral.Work{Kind: referral.ActDefer, Service: "11010"})
	provider := s.as(s.user(published.Referrer), acting(ers.ProviderClinician, published.Practice)...)
	path := "/STU3/ReferralRequest/" + r.UBRN.String() + "/$ers.acceptReferral"
	match := []string{"If-Match", fmt.Sprintf(`W/"%d"`, r.Version)}
	if a := s.referrer().post(path, "", match...); a.status != http.StatusForbidden {
		t.Errorf("a referrer accepts: %d", a.status)
	}
	if a := provider.post(path, "", match...); a.status != http.StatusOK {
		t.Errorf("its provider accepts: %d %s", a.status, a.body)
	}
}
