package events

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/network/outward"
)

// What is accepted as criteria has one form, which means the same.
func FuzzCriteria(f *testing.F) {
	for _, s := range []string{"eventType=pds-record-change-2", "eventType='gpreg-change-gp-req-1' AND generalpractitioner='XY11'", "eventType=example-event-1 AND filter_option_1=1 AND filter_option_1=1",
		"eventType='gpreg-change-gp-req-1'  AND generalpractitioner_manufacturer_org = 'Y12345'", "eventType='a", "AND", "eventType=pds-record-change-2 AND", "eventType=pds-record-change-2AND nhsnumber=1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parseCriteria(text)
		if err != nil {
			return
		}
		again, err := parseCriteria(c.String())
		if err != nil || again.String() != c.String() || again.Kind != c.Kind {
			t.Fatalf("%q is %q, which is %q: %v", text, c.String(), again.String(), err)
		}
	})
}

// What is accepted as an event is delivered as the same event, carries nothing that it is filtered by, and is a FHIR Bundle that can be read.
func FuzzEvent(f *testing.F) {
	f.Add([]byte(`{"specversion":"1.0","id":"1","source":"uk.nhs.x","type":"example-event-1","time":"2020-06-01T13:00:00Z","filtering":{"filter_option_1":[1,"a"],"b":1.5,"c":true}}`))
	f.Add([]byte(`{"specversion":"1.0","id":"1","source":"a b","type":"pds-record-change-2","time":"2020-06-01T13:00:00Z","subject":"9912003888","dataref":"x:y","data":{}}`))
	f.Add([]byte(`{"id":"1","type":"pds-change-of-gp-1","subject":{"nhsNumber":"9912003888","familyName":"DAWKINS","dob":"2017-10-02"},"source":{"name":"","identifier":{"system":"https://fhir.nhs.uk/Id/nhsSpineASID","value":"1"}},"time":"2022-04-05T17:31:00.000Z","data":{"versionId":"W/\"2\"","fullUrl":"https://a/b","registrationEncounterCode":"","provenance":{"name":"x","identifier":{"system":"https://fhir.nhs.uk/Id/nhsSpineASID","value":"2"}}}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, parse := range []func([]byte) (*event, error){parseCloud, parseLegacy} {
			e, err := parse(text)
			if err != nil {
				continue
			}
			again, err := parse(e.Body)
			if err != nil {
				t.Fatalf("%s is delivered as %s, which is refused: %v", text, e.Body, err)
			}
			if again.Filtering != nil || again.ID != e.ID || again.Source != e.Source || again.Kind != e.Kind || again.Subject != e.Subject || again.Time != e.Time || !reflect.DeepEqual(again.Body, e.Body) {
				t.Fatalf("%s is delivered as %s", text, e.Body)
			}
			if res, err := fhir.Parse(e.bundle("http://x")); err != nil || res.Type() != "Bundle" {
				t.Fatalf("%s as FHIR: %v", text, err)
			}
		}
	})
}

type everything struct{}

func (everything) Serves(string) bool { return true }
func (everything) Knows(string) bool  { return false }

// What is accepted as a subscription goes to a place that exists, with headers that can be sent, and reads back as it was sent.
func FuzzSubscription(f *testing.F) {
	f.Add([]byte(`{"resourceType":"Subscription","status":"requested","reason":"","criteria":"eventType=pds-change-of-gp-2","channel":{"type":"message","endpoint":"mesh://A1?workflow_id=w.1-A","payload":"application/json"}}`))
	f.Add([]byte(`{"resourceType":"Subscription","status":"requested","end":"2022-04-05T17:31:00.000Z","reason":"x","criteria":"eventType=pds-change-of-gp-2","channel":{"type":"message","endpoint":"https://example.org/x","payload":"application/fhir+json","header":["A: b"]},"hydration":{"enabled":false}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		q, err := parseRequest(text, outward.Options{}, everything{})
		if err != nil {
			return
		}
		sub := q.sub
		if to, workflow := sub.destination(); to.Kind == courierMailbox && (to.Name == "" || workflow == "") {
			t.Fatalf("%s goes to %v in %q", text, to, workflow)
		} else if to.Kind == courierURL {
			r, err := http.NewRequest(http.MethodPost, sub.Endpoint, nil)
			if err != nil || r.URL.Scheme != "https" {
				t.Fatalf("%s goes to %s: %v", text, sub.Endpoint, err)
			}
			for _, h := range sub.Headers {
				name, value, _ := headerOf(h)
				r.Header.Set(name, value)
			}
			var b strings.Builder
			if err := r.Write(&b); err != nil || strings.Contains(b.String(), "\n\n") {
				t.Fatalf("%s cannot be sent: %v", text, err)
			}
		}
		var back struct {
			Reason, Criteria string
			Channel          struct{ Endpoint, Payload string }
		}
		if err := json.Unmarshal(sub.published().JSON(), &back); err != nil || back.Reason != sub.Reason || back.Criteria != sub.Criteria || back.Channel.Endpoint != sub.Endpoint || back.Channel.Payload != sub.Payload {
			t.Fatalf("%s reads back as %s", text, sub.published().JSON())
		}
	})
}

// A message to a FHIR subscriber is read as it was written.
func FuzzHookNote(f *testing.F) {
	f.Add([]byte(`{"type":"Patient","id":"a","version":1}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		n, err := parseHookNote(text)
		if err != nil {
			return
		}
		if again, err := parseHookNote(mustJSON(n)); err != nil || again != n {
			t.Fatalf("%s is %+v: %v", text, again, err)
		}
	})
}

// What a hospital tells of a stay is told again as the same.
func FuzzStay(f *testing.F) {
	f.Add([]byte(`{"number":"9990000018","id":"e1","version":1,"status":"finished","class":"IMP","ref":"https://a/FHIR/R4/Encounter/e1"}`))
	f.Add([]byte(`{"number":"9990000018","id":"","version":0}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := parseStay(text)
		if err != nil {
			return
		}
		if again, err := parseStay(mustJSON(m)); err != nil || again != m {
			t.Fatalf("%s is %+v, which is %+v: %v", text, m, again, err)
		}
	})
}
