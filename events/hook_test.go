package events_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openspine/openspine/ident"
)

// hook is a FHIR Subscription as it is sent.
func (c *caller) hook(status, criteria, payload, more string) string {
	if payload != "" {
		payload = `,"payload":"` + payload + `"`
	}
	return fmt.Sprintf(`{"resourceType":"Subscription","status":%q,"reason":"To keep our list"%s,"criteria":%q,"channel":{"type":"rest-hook","endpoint":"%s/hook"%s,"header":["Authorization: Bearer the-secret"]}}`, status, more, criteria, c.there.URL, payload)
}

// fhirClient is a system that was granted all of one tenant's records.
func (w *world) fhirClient(id string, scopes ...string) *caller {
	p := program(id, hospital)
	p.Tenants, p.Scopes = []ident.ODSCode{hospital}, append([]string{"system/Subscription.*", "system/Subscription.read", "system/Subscription.write"}, scopes...)
	return w.as(p)
}

func (c *caller) fhir(path string) string { return c.srv.URL + "/o/RZ901/FHIR/R4" + path }

func (c *caller) put(doc, path string) {
	c.t.Helper()
	if a := c.do("PUT", c.fhir(path), doc); a.status != 200 && a.status != 201 {
		c.t.Fatalf("%d %s", a.status, a.body)
	}
}

func (c *caller) status(id string) (status, trouble string) {
	c.t.Helper()
	got := c.do("GET", c.fhir("/Subscription/"+id), "").want(200).json()
	trouble, _ = got["error"].(string)
	status, _ = got["status"].(string)
	return status, trouble
}

func TestAFHIRClientIsToldOfWhatItCouldFind(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := w.fhirClient("list", "system/Patient.*", "system/Patient.read")
		writer := w.fhirClient("writer", "system/Patient.*", "system/Patient.read", "system/Patient.write", "system/Observation.*", "system/Observation.write", "system/Observation.read")
		id, _ := c.do("POST", c.fhir("/Subscription"), c.hook("requested", "Patient?gender=female", "application/fhir+json", "")).want(201).json()["id"].(string)
		if st, _ := c.status(id); st != "requested" {
			t.Fatalf("before the handshake it is %s", st)
		}
		if got := c.do("GET", c.fhir("/Subscription/"+id), "").want(200); strings.Contains(got.body, "the-secret") {
			t.Errorf("the header is shown: %s", got.body)
		}
		w.settle()
		w.job("subscriptions")
		if got := w.there.calls(); len(got) != 1 || got[0].method != "POST" || got[0].path != "/hook" || got[0].body != "" || got[0].header.Get("Authorization") != "Bearer the-secret" {
			t.Fatalf("the handshake: %+v", got)
		}
		if st, why := c.status(id); st != "active" || why != "" {
			t.Fatalf("after the handshake it is %s %s", st, why)
		}
		w.settle()
		writer.put(`{"resourceType":"Patient","id":"ann","gender":"female","name":[{"family":"Archer"}]}`, "/Patient/ann")
		writer.put(`{"resourceType":"Patient","id":"bob","gender":"male"}`, "/Patient/bob")
		writer.put(`{"resourceType":"Patient","id":"hid","gender":"female","meta":{"security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"R"}]}}`, "/Patient/hid")
		w.settle()
		got := w.there.calls()
		slices.SortFunc(got, func(a, b call) int { return strings.Compare(a.path, b.path) }) // each person has an order of their own
		if len(got) != 2 || got[0].method != http.MethodPut || got[0].path != "/hook/Patient/ann" || !strings.Contains(got[0].body, "Archer") || got[0].header.Get("Content-Type") != "application/fhir+json" {
			t.Fatalf("told: %+v", got)
		}
		for _, one := range got {
			if strings.Contains(one.path, "bob") {
				t.Errorf("told of what the criteria do not ask for: %+v", one)
			}
		}
		// The program's rights end: it is told of nothing more, and nothing waits for it.
		c.do("DELETE", c.fhir("/Subscription/"+id), "").want(204)
		c.do("GET", c.fhir("/Subscription/"+id), "").want(410)
		writer.put(`{"resourceType":"Patient","id":"ann","gender":"female","name":[{"family":"Baker"}]}`, "/Patient/ann")
		w.settle()
		if got := w.there.calls(); len(got) != 0 {
			t.Errorf("told after it was deleted: %+v", got)
		}
	})
}

func TestASubscriberLearnsNothingItCouldNotSearch(t *testing.T) {
	w := newWorld(t, "")
	c := w.fhirClient("narrow", "system/Patient.read")
	writer := w.fhirClient("writer", "system/Patient.*", "system/Patient.write", "system/Patient.read", "system/Observation.write", "system/Observation.read")
	for criteria, want := range map[string]int{"Observation?code=1": 403, "Patient?nmae=x": 422, "Patient?organization.name=x": 422, "Nobody?x=1": 422, "Patient?_count=1": 422, "Patient?_has:Observation:patient:code=1": 422, "Observation": 403} {
		c.do("POST", c.fhir("/Subscription"), c.hook("requested", criteria, "", "")).want(want)
	}
	c.do("POST", c.fhir("/Subscription"), c.hook("active", "Patient?", "", "")).want(422)
	c.do("POST", c.fhir("/Subscription"), c.hook("requested", "Patient?", "text/plain", "")).want(422)
	c.do("POST", c.fhir("/Subscription"), c.hook("requested", "Patient?", "", `,"end":"2025-01-01T00:00:00Z"`)).want(422)
	c.do("POST", c.fhir("/Subscription"), strings.Replace(c.hook("requested", "Patient?", "", ""), "rest-hook", "email", 1)).want(422)
	c.do("POST", c.fhir("/Subscription"), strings.Replace(c.hook("requested", "Patient?", "", ""), c.there.URL, "http://169.254.169.254", 1)).want(422)
	c.do("POST", c.fhir("/Subscription"), `{"resourceType":"Patient"}`).want(400)
	c.do("POST", c.fhir(""), `{"resourceType":"Bundle","type":"transaction","entry":[{"request":{"method":"POST","url":"Subscription"},"resource":`+c.hook("requested", "Patient?", "", "")+`}]}`).want(422)

	id, _ := c.do("POST", c.fhir("/Subscription"), c.hook("requested", "Patient?gender=female", "", `,"end":"2026-01-16T00:00:00Z"`)).want(201).json()["id"].(string)
	other := w.fhirClient("other", "system/Patient.read")
	other.do("PUT", c.fhir("/Subscription/"+id), strings.Replace(c.hook("off", "Patient?", "", ""), "{", `{"id":"`+id+`",`, 1)).want(404)
	other.do("DELETE", c.fhir("/Subscription/"+id), "").want(404)
	w.settle()
	w.there.calls()
	writer.put(`{"resourceType":"Patient","id":"ann","gender":"female"}`, "/Patient/ann")
	w.settle()
	if got := w.there.calls(); len(got) != 1 || got[0].method != "POST" || got[0].body != "" || got[0].path != "/hook" {
		t.Fatalf("an empty payload: %+v", got)
	}
	// Between the change and its telling the person is taken from the subscriber's sight.
	writer.put(`{"resourceType":"Patient","id":"ann","gender":"female","active":true}`, "/Patient/ann")
	if err := w.node.Kernel().Feed().Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	writer.do("DELETE", c.fhir("/Patient/ann"), "", "X-Reason", "entered in error").want(204)
	w.settle()
	if got := w.there.calls(); len(got) != 0 {
		t.Errorf("told of somebody who is not there any more: %+v", got)
	}
	w.time.Advance(24 * time.Hour)
	w.job("subscriptions")
	c = w.fhirClient("narrow", "system/Patient.read")
	if st, why := c.status(id); st != "off" || why == "" {
		t.Errorf("after its end it is %s %q", st, why)
	}
}

func TestAnEndpointThatDoesNotAnswer(t *testing.T) {
	w := newWorld(t, "")
	c := w.fhirClient("list", "system/Patient.read")
	writer := w.fhirClient("writer", "system/Patient.*", "system/Patient.write", "system/Patient.read")
	w.there.answer(404)
	id, _ := c.do("POST", c.fhir("/Subscription"), c.hook("requested", "Patient?", "", "")).want(201).json()["id"].(string)
	w.settle()
	w.job("subscriptions")
	if st, why := c.status(id); st != "error" || !strings.Contains(why, "404") {
		t.Fatalf("after a failed handshake it is %s %q", st, why)
	}
	w.there.answer(200)
	etag := c.do("GET", c.fhir("/Subscription/"+id), "").want(200).header.Get("ETag")
	again := strings.Replace(strings.Replace(c.hook("requested", "Patient?", "", ""), "the-secret", "x", 1), "{", `{"id":"`+id+`",`, 1)
	again = strings.Replace(again, "Authorization: Bearer x", "Authorization: (withheld)", 1)
	c.do("PUT", c.fhir("/Subscription/"+id), again, "If-Match", `W/"1"`).want(412)
	c.do("PUT", c.fhir("/Subscription/"+id), again, "If-Match", etag).want(200)
	w.settle()
	w.job("subscriptions")
	if st, _ := c.status(id); st != "active" {
		t.Fatalf("after it was asked for again it is %s", st)
	}
	if got := w.there.calls(); len(got) != 1 || got[0].header.Get("Authorization") != "Bearer the-secret" {
		t.Errorf("the secret was not kept: %+v", got)
	}
	w.there.answer(503)
	writer.put(`{"resourceType":"Patient","id":"ann"}`, "/Patient/ann")
	w.settle()
	if st, _ := c.status(id); st != "active" {
		t.Errorf("after one failure it is %s", st)
	}
	w.time.Advance(25 * time.Hour)
	w.settle()
	w.job("subscriptions")
	c = w.fhirClient("list", "system/Patient.read")
	if st, why := c.status(id); st != "error" || !strings.Contains(why, "503") {
		t.Errorf("after a day it is %s %q", st, why)
	}
	w.there.answer(200)
	w.time.Advance(time.Hour)
	w.settle()
	w.job("subscriptions")
	if got := w.there.calls(); len(got) != 1 {
		t.Errorf("what waited came %d times", len(got))
	}
	c = w.fhirClient("list", "system/Patient.read")
	if st, _ := c.status(id); st != "active" {
		t.Errorf("once it was reached it is %s", st)
	}
}
