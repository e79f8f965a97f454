package events_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/messaging"
)

// Of a restricted person no event passes a filter that tells where they are; those who ask for all are told, for they could trace them too.
func TestAFilterDoesNotTellWhereARestrictedPersonIs(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.load(person("9990000018", "Marsh", practice("A20047")+restricted))
		c := w.system()
		c.subscribe("eventType='pds-record-change-2' AND registeredgpodscode='A20047'", "/where", "application/json")
		c.subscribe("eventType='pds-record-change-2'", "/all", "application/json")
		c.subscribe("eventType='patientflags-change-1' AND generalpractitioner='XY11'", "/flag-where", "application/json")
		c.subscribe("eventType='patientflags-change-1' AND flagtype='NRAF'", "/flag", "application/json")
		w.time.Advance(time.Millisecond)
		w.load(person("9990000018", "Reed", practice("A20047")+restricted))
		w.registrar().do("POST", "/events", `{"specversion":"1.0","id":"1","source":"uk.nhs.patient-flags-service","type":"patientflags-change-1","time":"2020-06-01T13:00:00Z","subject":"9990000018","filtering":{"flagtype":"NRAF","generalpractitioner":"XY11"}}`,
			"Content-Type", "application/cloudevents+json").want(200)
		w.settle()
		var paths []string
		for _, one := range w.there.calls() {
			paths = append(paths, one.path)
		}
		if strings.Contains(strings.Join(paths, " "), "where") || len(paths) != 2 {
			t.Errorf("told: %v", paths)
		}
	})
}

func TestWhoMayNotTraceIsToldOfNobody(t *testing.T) {
	w := newWorld(t, "")
	w.load(person("9990000018", "Marsh", ""))
	narrow := program("narrow", hospital)
	narrow.Scopes = []string{"system/Observation.read"}
	w.as(narrow).do("POST", "/subscriptions", body("eventType=pds-record-change-2", w.there.URL+"/x", "application/json")).want(403).says(`{"errors":"Unauthorised"}`)
	elsewhere := program("elsewhere", hospital)
	elsewhere.Tenants = nil
	w.as(elsewhere).do("POST", "/subscriptions", body("eventType=pds-record-change-2", w.there.URL+"/x", "application/json")).want(403)
}

// What somebody is told of a person stands on that person's account.
func TestATellingIsOnTheAccount(t *testing.T) {
	w := newWorld(t, "")
	w.load(person("9990000018", "Marsh", ""))
	w.system().subscribe("eventType=pds-record-change-2", "/x", "application/json")
	w.time.Advance(time.Millisecond)
	w.load(person("9990000018", "Reed", ""))
	w.settle()
	page, err := w.node.Kernel().Audit.Search(t.Context(), audit.Query{Tenant: national, Chart: "9990000018"})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range page.Entries {
		if e.Action == "told" && e.Actor == "client/pas" && e.Detail == "pds-record-change-2" {
			return
		}
	}
	t.Errorf("the account does not say who was told: %+v", page.Entries)
}

func TestPublishingAgainDoesNothing(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := w.system()
		c.subscribe("eventType=example-event-1", "/x", "application/json")
		for range 3 {
			c.do("POST", "/events", `{"specversion":"1.0","id":"1","source":"uk.nhs.x","type":"example-event-1","time":"2020-06-01T13:00:00Z"}`, "Content-Type", "application/cloudevents+json").want(200)
		}
		c.do("POST", "/events", `{"specversion":"1.0","id":"1","source":"uk.nhs.y","type":"example-event-1","time":"2020-06-01T13:00:00Z"}`, "Content-Type", "application/cloudevents+json").want(200)
		w.settle()
		if got := w.there.calls(); len(got) != 2 {
			t.Errorf("told %d times", len(got))
		}
	})
}

// One subscriber who refuses, and one who has gone, hold up nobody; what is refused is parked, and what waits expires.
func TestADeadSubscriberHoldsUpNobody(t *testing.T) {
	w := newWorld(t, "")
	c := w.system()
	dead := elsewhere(t)
	dead.Close()
	gone, _ := c.do("POST", "/subscriptions", body("eventType=example-event-1", dead.URL+"/x", "application/json")).want(201).json()["id"].(string)
	cross := elsewhere(t)
	cross.answer(http.StatusBadRequest)
	c.do("POST", "/subscriptions", body("eventType=example-event-1", cross.URL+"/x", "application/json")).want(201)
	c.subscribe("eventType=example-event-1", "/x", "application/json")
	publish := func(id string) {
		c.do("POST", "/events", `{"specversion":"1.0","id":"`+id+`","source":"uk.nhs.x","type":"example-event-1","time":"2020-06-01T13:00:00Z"}`, "Content-Type", "application/cloudevents+json").want(200)
	}
	publish("1")
	for range 12 {
		w.settle()
		w.time.Advance(time.Hour)
	}
	if got := w.there.calls(); len(got) != 1 {
		t.Errorf("the third was told %d times", len(got))
	}
	parked, err := w.node.Kernel().Post().Parked(t.Context(), 10)
	if err != nil || len(parked) != 1 || !strings.Contains(parked[0].Held.Reason, "400") {
		t.Errorf("parked: %+v %v", parked, err)
	}
	w.time.Advance(24 * time.Hour)
	w.turn()
	c = w.system()
	got := c.do("GET", "/subscriptions/"+gone, "").want(200).json()
	if why, _ := got["error"].(string); got["status"] != "error" || why == "" || strings.Contains(why, dead.URL) {
		t.Errorf("after a day: %v", got)
	}
	w.time.Advance(15 * 24 * time.Hour)
	w.turn()
	expired, _, err := w.node.Kernel().Post().Search(t.Context(), messaging.Query{States: []messaging.State{messaging.Expired}})
	if err != nil || len(expired) != 1 {
		t.Errorf("expired: %+v %v", expired, err)
	}
}

// A mailbox of the message exchange gets events under the workflow that its owner named.
func TestAMailboxIsAPlaceForEvents(t *testing.T) {
	w := newWorld(t, "")
	c := w.system()
	w.mailbox("X26ABC1", hospital)
	w.mailbox("RZ9HC001", national)
	for _, others := range []string{"RZ9HC001", "NOBODYS1"} { // somebody else's is refused in the words of one that is not there
		c.do("POST", "/subscriptions", body("eventType=example-event-1", "mesh://"+others+"?workflow_id=TEST_WORKFLOW", "application/json")).want(400).
			says(`{"validationErrors":{"channel.endpoint":"Please provide a mailbox of your own organisation, which is kept at this node"}}`)
	}
	c.do("POST", "/subscriptions", body("eventType=example-event-1", "mesh://X26ABC1?workflow_id=TEST_WORKFLOW", "application/json")).want(201)
	c.do("POST", "/subscriptions", body("eventType='example-event-1' AND filter_option_1='a'", "mesh://X26ABC1?workflow_id=TEST_WORKFLOW", "application/json")).want(201)
	c.do("POST", "/subscriptions", body("eventType=example-event-1", "mesh://X26ABC1?workflow_id=TEST_WORKFLOW", "application/json")).want(409)
	for _, bad := range []string{"mesh://X26ABC1", "mesh://X26ABC1?workflow_id=", "mesh://X26ABC1?workflow_id=mesh", "mesh://X26ABC1?workflow_id=event", "mesh://X 1?workflow_id=a", "http://example.org/", "https://10.0.0.1/", "https://169.254.169.254/", "file:///etc/passwd"} {
		a := c.do("POST", "/subscriptions", body("eventType=mns-test-signal-1", bad, "application/json")).want(400)
		if !strings.Contains(a.body, "channel.endpoint") {
			t.Errorf("%s: %s", bad, a.body)
		}
	}
	c.do("POST", "/events", `{"specversion":"1.0","id":"1","source":"uk.nhs.x","type":"example-event-1","time":"2020-06-01T13:00:00Z"}`, "Content-Type", "application/cloudevents+json").want(200)
	w.settle()
	found, _, err := w.node.Kernel().Post().Search(t.Context(), messaging.Query{Workflow: "TEST_WORKFLOW"})
	if err != nil || len(found) != 1 || found[0].To.Kind != "mailbox" || found[0].To.Name != "X26ABC1" || found[0].State == messaging.Delivered || found[0].State == messaging.Parked {
		t.Errorf("in the post: %+v %v", found, err)
	}
}

func TestASubscriptionIsItsOwnersAlone(t *testing.T) {
	w := newWorld(t, "")
	c := w.system()
	id := c.subscribe("eventType=pds-record-change-2", "/x", "application/json")
	stranger := w.as(program("other", ident.MustODSCode("RZ901")))
	for _, method := range []string{"GET", "DELETE", "PUT"} {
		text := ""
		if method == "PUT" {
			text = body("eventType=pds-record-change-2", w.there.URL+"/y", "application/json")
		}
		stranger.do(method, "/subscriptions/"+id, text).want(404)
	}
	if got := stranger.do("GET", "/subscriptions", "").want(200).json(); got["entry"] != nil {
		t.Errorf("a stranger's list: %v", got)
	}
	for i := range 60 {
		c.subscribe("eventType=pds-record-change-2", "/many/"+strings.Repeat("x", i+1), "application/json")
	}
	seen, path := 0, "/subscriptions"
	for path != "" {
		page := c.do("GET", path, "").want(200).json()
		seen += len(page["entry"].([]any))
		path = ""
		for _, l := range page["link"].([]any) {
			if at(l, "relation") == "next" {
				path, _ = at(l, "url").(string)
			}
		}
	}
	if seen != 61 {
		t.Errorf("the pages list %d", seen)
	}
}
