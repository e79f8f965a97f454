package events_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/store"
)

// hooks lets a program that was granted the national records subscribe, at a path of its own, and returns the id.
func (c *caller) hooks(criteria, path, payload string) string {
	c.t.Helper()
	doc := strings.Replace(c.hook("requested", criteria, payload, ""), "/hook", path, 1)
	return c.do("POST", c.srv.URL+"/FHIR/R4/Subscription", doc).want(http.StatusCreated).json()["id"].(string)
}

// subscriber is a program that may write Subscriptions, and what else its scopes say.
func (w *world) subscriber(id string, at ident.ODSCode, scopes ...string) *caller {
	p := program(id, at)
	p.Scopes = append([]string{"system/Subscription.read", "system/Subscription.write"}, scopes...)
	return w.as(p)
}

// says sends what the hospital says, as its node would.
func says[M booking.Message](w *world, workflow, conversation string, m M) {
	w.t.Helper()
	body, err := booking.Encode(m)
	if err != nil {
		w.t.Fatal(err)
	}
	k := w.node.Kernel()
	err = k.DB.Write(w.t.Context(), []store.Lane{k.Post().LaneOf(hospital, conversation)}, func(tx *store.Tx) error {
		_, err := k.Post().Send(w.t.Context(), tx, messaging.Message{From: hospital, To: national, Workflow: workflow, Conversation: conversation, Body: body})
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.turn()
	w.settle()
}

// told are what subscribers were told since the last time: "PUT /path/Type status".
func (w *world) told() (list []string) {
	w.t.Helper()
	for _, one := range w.there.calls() {
		path, _, _ := strings.Cut(strings.Replace(one.path, "/Appointment/", "/Appointment ", 1), " ")
		path, _, _ = strings.Cut(strings.Replace(path, "/ServiceRequest/", "/ServiceRequest ", 1), " ")
		_, rest, _ := strings.Cut(one.body, `"status":"`)
		status, _, _ := strings.Cut(rest, `"`)
		list = append(list, strings.TrimSpace(fmt.Sprint(one.method, " ", path, " ", status)))
	}
	slices.Sort(list)
	return list
}

func (w *world) wantTold(when string, want ...string) {
	w.t.Helper()
	if got := w.told(); !slices.Equal(got, want) {
		w.t.Errorf("%s, told:\n%s\nwanted:\n%s", when, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// A FHIR client is told of referrals and of their appointments as its criteria ask, where it is its organisation's business and it may see them.
func TestAFHIRClientIsToldOfReferrals(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		const number, full = "9990000018", "application/fhir+json"
		w.refers(number)
		w.subscriber("pas", hospital, "system/*.read").hooks("ServiceRequest?status=active", "/theirs", full)
		diary := w.subscriber("diary", hospital, "system/Booking.read", "system/Patient.read").hooks("Appointment?status=booked,arrived,fulfilled", "/diary", full)
		w.subscriber("bell", surgery, "system/*.read").hooks("Appointment?patient:identifier=https://fhir.nhs.uk/Id/nhs-number|"+number, "/bell", "")
		w.subscriber("other", ident.MustODSCode("RZ902"), "system/*.read").hooks("ServiceRequest?", "/stranger", full)
		w.subscriber("record", hospital, "system/ServiceRequest.read", "system/Patient.read").hooks("ServiceRequest?", "/record", full)
		w.system().subscribe("eventType='outpatient-visit-change-1' AND visitstate='arrived'", "/arrivals", "application/json")
		w.as(program("practice", surgery)).subscribe("eventType='outpatient-visit-change-1' AND outcome='treatment'", "/outcomes", "application/json")
		w.as(program("someone", ident.MustODSCode("RZ902"))).subscribe("eventType='outpatient-visit-change-1'", "/elsewhere", "application/json")
		w.settle()
		w.wantTold("at the handshakes", "POST /bell", "POST /diary", "POST /record", "POST /stranger", "POST /theirs")

		u := ident.MustUBRN(w.refer(number))
		w.settle()
		w.wantTold("made, and nobody's business but the practice's")
		w.put(u.String(), number)
		w.settle()
		w.wantTold("put to the hospital", "PUT /theirs/ServiceRequest active")

		at := booking.Appointment{Slot: "s1", Epoch: 2, Session: "clinic", Start: w.time.Now().Add(50 * time.Hour), End: w.time.Now().Add(51 * time.Hour)}
		say := func(n, seen int64, kind, outcome string) {
			says(w, booking.WorkflowAct, u.String(), booking.Act{UBRN: u, Number: n, Seen: seen, Kind: kind, By: "A clerk", At: w.time.Now(), Appointment: &at, Outcome: outcome})
		}
		comes := func(state string, followUp bool) {
			says(w, booking.WorkflowVisit, u.String(), booking.Visit{UBRN: u, State: state, FollowUp: followUp, At: w.time.Now(), By: "A clerk", Appointment: at})
		}
		say(1, 2, booking.ActOffer, "")
		w.wantTold("booked", "POST /bell", "PUT /diary/Appointment booked", "PUT /theirs/ServiceRequest active")
		w.there.answer(http.StatusServiceUnavailable)
		comes(booking.VisitArrived, false)
		w.wantTold("arrived, while nobody is reached")
		w.there.answer(http.StatusOK)
		w.time.Advance(time.Hour)
		w.settle()
		w.wantTold("arrived", "POST /arrivals", "POST /bell", "PUT /diary/Appointment arrived")
		comes(booking.VisitBooked, false)
		w.wantTold("not there after all", "POST /bell", "PUT /diary/Appointment booked")
		comes(booking.VisitArrived, true)
		w.wantTold("a follow-up, which is no appointment of the referral's", "POST /arrivals")
		w.time.Advance(51 * time.Hour)
		w.there.calls()
		say(2, 3, booking.ActAttended, "treatment")
		w.wantTold("seen", "POST /bell", "POST /outcomes", "PUT /diary/Appointment fulfilled", "PUT /theirs/ServiceRequest active")
		w.subscriber("diary", hospital).do("DELETE", w.srv.URL+"/FHIR/R4/Subscription/"+diary, "").want(http.StatusNoContent)
		say(3, 4, booking.ActDischarged, "")
		w.wantTold("discharged: the referral is completed, and its appointment as it was")

		page, err := w.node.Kernel().Audit.Search(t.Context(), audit.Query{Tenant: national, Chart: number, Actor: "client/diary"})
		if err != nil || len(page.Entries) != 5 {
			t.Errorf("of four letters to the diary, one of which was tried twice, the person's account has %d: %v", len(page.Entries), err)
		}
	})
}

// Criteria that nothing here can satisfy are refused when somebody subscribes, in words.
func TestCriteriaOverReferralsThatAreNotUnderstood(t *testing.T) {
	w := newWorld(t, "")
	c := w.subscriber("pas", hospital, "system/Booking.read", "system/Patient.read")
	for criteria, want := range map[string]string{"Referral?status=active": "There is no such resource type in FHIR R4: Referral.", "ServiceRequest?ubrn=1": "ubrn", "Appointment?patient.name=x": "criteria are about that one alone",
		"eventType='ers-referral-change-1'": "The criteria here are a search, for example ServiceRequest?status=active", "Encounter?": ""} {
		got := c.do("POST", c.srv.URL+"/FHIR/R4/Subscription", c.hook("requested", criteria, "", ""))
		if got.status != http.StatusUnprocessableEntity && !(got.status == http.StatusForbidden && want == "") || !strings.Contains(got.body, want) {
			t.Errorf("%s: %d %s", criteria, got.status, got.body)
		}
	}
	w.subscriber("narrow", hospital, "system/Patient.read").do("POST", c.srv.URL+"/FHIR/R4/Subscription", c.hook("requested", "Appointment?", "", "")).want(http.StatusForbidden)
}
