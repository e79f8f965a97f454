package fhirapi_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/openspine/openspine/access"
)

// "multiple: server supports conditional delete, and can delete multiple resources in a single interaction"
// (https://hl7.org/fhir/R4/valueset-conditional-delete-status.html).
func TestDeleteOfSeveral(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := w.system().in(t)
		c.put(patient("p", "Kept"))
		for i := range 5 {
			c.put(observation(fmt.Sprintf("low%d", i), "p", "10"))
		}
		c.put(observation("high", "p", "90"))
		c.do("DELETE", "Observation?value-quantity=lt50", nil, "If-Match", `W/"1"`).wants(412)
		c.do("DELETE", "Observation?value-quantity=lt50", nil, "X-Reason", "wrong patient").wants(204)
		c.get("Observation?patient=p").wants(200).is("total", "1")
		for i := range 5 {
			c.get(fmt.Sprintf("Observation/low%d", i)).wants(410)
			c.get(fmt.Sprintf("Observation/low%d/_history", i)).is("entry.0.request.method", "DELETE").is("total", "2")
		}
		auditor := w.as(principal(access.Auditor, "auditor", "X26", hospital)).in(t)
		if got := len(auditor.get("AuditEvent?patient=p&action=D").wants(200).ids("")); got < 1 {
			t.Error("the deletes are not on the account")
		}
		c.do("DELETE", "Observation?value-quantity=lt50", nil).wants(204)
	})
}

// All or none: over the limit, or where one of them may not be deleted, none is.
func TestDeleteOfTooMany(t *testing.T) {
	w := newWorld(t, setting{})
	c := w.system()
	var many []string
	for i := range 101 {
		many = append(many, entry("PUT", fmt.Sprintf("Basic/b%d", i), fmt.Sprintf(`{"resourceType":"Basic","id":"b%d","code":{"text":"x"},"identifier":[{"system":"urn:b","value":"same"}]}`, i)))
	}
	c.do("POST", "", bundle("transaction", many...)).wants(200)
	c.do("DELETE", "Basic?identifier=urn:b|same", nil).wants(412).is("issue.0.code", "too-costly")
	c.get("Basic?_summary=count&_total=accurate").is("total", "101")
	c.do("DELETE", "Basic/b0", nil).wants(204)
	// A person sees their own results and may not delete them: not one of them goes.
	c.put(patient("p", "Own"))
	c.put(observation("o1", "p", "10"))
	c.put(observation("o2", "p", "20"))
	own := principal(access.Patient, "own")
	own.Person = "p"
	w.as(own).do("DELETE", "Observation?patient=p", nil).wants(403)
	c.get("Observation?patient=p").is("total", "2")
	c.do("POST", "", bundle("transaction", entry("DELETE", "Basic?identifier=urn:b|same", ""), entry("PUT", "Patient/x", `{"resourceType":"Patient","id":"x","shoes":1}`))).wants(422)
	c.get("Basic?_summary=count&_total=accurate").is("total", "100")
	a := c.do("POST", "", bundle("transaction", entry("GET", "Basic?_summary=count&_total=accurate", ""), entry("DELETE", "Basic?identifier=urn:b|same", ""),
		entry("POST", "Basic", `{"resourceType":"Basic","code":{"text":"new"}}`))).wants(200).
		is("entry.0.resource.total", "1").is("entry.1.response.status", "204 No Content").is("entry.2.response.status", "201 Created")
	if strings.Contains(a.text("entry.1.response.etag"), "W/") {
		t.Error("one version is told of what were several")
	}
}

// What is changed while it is being deleted is either deleted as changed, because it still matches, or left.
func TestDeleteOfSeveralRaces(t *testing.T) {
	w := newWorld(t, setting{})
	c := w.system()
	for round := range 8 {
		var all sync.WaitGroup
		for i := range 4 {
			c.put(observation(fmt.Sprintf("o%d", i), "p", "10"))
		}
		all.Go(func() {
			if a, err := c.try("PUT", "Observation/o0", observation("o0", "p", "90")); err != nil || a.status >= 400 {
				t.Errorf("%v %+v", err, a)
			}
		})
		all.Go(func() {
			if a, err := c.try("DELETE", "Observation?value-quantity=lt50", nil); err != nil || a.status != 204 {
				t.Errorf("%v %+v", err, a)
			}
		})
		all.Wait()
		c.get("Observation/o0").wants(200) // the update comes last, or it no longer matched
		for i := 1; i < 4; i++ {
			if a := c.get(fmt.Sprintf("Observation/o%d", i)); a.status != 410 {
				t.Errorf("round %d: o%d is %d", round, i, a.status)
			}
		}
	}
}
