package events_test

import (
	"strings"
	"testing"

	"github.com/openspine/openspine/fhir"
)

func TestAChangeIsToldToWhoAskedForIt(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.load(person("9990000018", "Marsh", practice("A20047")))
		c := w.system()
		c.subscribe("eventType=pds-record-change-2", "/all", "application/json")
		c.subscribe("eventType='pds-change-of-gp-2' AND registeredgpodscode='B81002'", "/gp", "application/fhir+json")
		c.subscribe("eventType='pds-record-change-2' AND changed_name='true'", "/name", "application/json")
		w.settle()
		if got := w.there.calls(); len(got) != 0 {
			t.Fatalf("what happened before somebody subscribed is told: %v", got)
		}
		w.load(person("9990000018", "Marsh", practice("B81002")))
		w.settle()
		got := w.there.calls()
		if len(got) != 2 {
			t.Fatalf("%d calls: %v", len(got), got)
		}
		for _, one := range got {
			if one.method != "POST" || one.header.Get("Authorization") != "Bearer the-secret" || len(one.header.Get("X-Openspine-Message")) != 18 || strings.Contains(one.body, "B81002") || strings.Contains(one.body, "Marsh") {
				t.Errorf("%+v", one)
			}
			switch one.path {
			case "/all":
				if one.header.Get("Content-Type") != "application/json" || !strings.Contains(one.body, `"type":"pds-record-change-2"`) || !strings.Contains(one.body, `"subject":"9990000018"`) || !strings.Contains(one.body, `"versionid":"W/\"2\""`) {
					t.Errorf("%+v", one)
				}
			case "/gp":
				res, err := fhir.Parse([]byte(one.body))
				if err != nil || res.Type() != "Bundle" || res.Get("entry.0.resource.parameter.4.part.0.valueString").String() != "pds-change-of-gp-2" {
					t.Errorf("%v %+v", err, one)
				}
			default:
				t.Errorf("%+v", one)
			}
		}
		w.settle()
		if got := w.there.calls(); len(got) != 0 {
			t.Errorf("told twice: %v", got)
		}
	})
}
