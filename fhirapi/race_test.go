package fhirapi_test

import (
	"fmt"
	"sync"
	"testing"
)

// race sends n requests at once and counts the answers by status.
func race(t *testing.T, n int, send func(i int) (*answer, error)) map[int]int {
	t.Helper()
	answers := make([]*answer, n)
	errs := make([]error, n)
	var ready, done sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		ready.Add(1)
		done.Go(func() {
			ready.Done()
			<-start
			answers[i], errs[i] = send(i)
		})
	}
	ready.Wait()
	close(start)
	done.Wait()
	count := map[int]int{}
	for i, a := range answers {
		if errs[i] != nil {
			t.Fatal(errs[i])
		}
		if a.status >= 500 {
			t.Errorf("%d: %.300s", a.status, a.body)
		}
		count[a.status]++
	}
	return count
}

// A hundred callers race to do one thing: one of them does it, whatever the engine.
func TestOneWinner(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := w.system().in(t)
		const callers = 100
		body := func(i int) string {
			return fmt.Sprintf(`{"resourceType":"Patient","identifier":[{"system":"urn:test","value":"race"}],"name":[{"family":"Number%d"}]}`, i)
		}
		made := race(t, callers, func(i int) (*answer, error) {
			return c.try("POST", "Patient", body(i), "If-None-Exist", "identifier=urn:test|race")
		})
		if made[201] != 1 || made[200] != callers-1 {
			t.Errorf("conditional create: %v", made)
		}
		c.get("Patient?identifier=urn:test|race&_total=accurate").wants(200).is("total", "1")

		made = race(t, callers, func(i int) (*answer, error) {
			one := fmt.Sprintf(`{"resourceType":"Patient","identifier":[{"system":"urn:test","value":"bundle"}],"name":[{"family":"Number%d"}]}`, i)
			return c.try("POST", "", bundle("transaction", entry("POST", "Patient", one, "fullUrl", urn+"1", "ifNoneExist", "identifier=urn:test|bundle"),
				entry("POST", "Basic", `{"resourceType":"Basic","code":{"text":"x"},"subject":{"reference":"`+urn+`1"}}`)))
		})
		if made[200]+made[409] != callers || made[200] < callers/2 {
			t.Errorf("conditional create in transactions: %v", made)
		}
		all := c.get("Patient?identifier=urn:test|bundle&_total=accurate").wants(200).is("total", "1")
		c.get("Basic?_total=accurate&_count=1&subject=Patient/"+all.text("entry.0.resource.id")).wants(200).is("total", fmt.Sprint(made[200]))

		c.put(patient("1", "Smith"))
		won := race(t, callers, func(i int) (*answer, error) {
			return c.try("PUT", "Patient/1", patient("1", fmt.Sprint("Number", i)), "If-Match", `W/"1"`)
		})
		if won[200] != 1 || won[412] != callers-1 {
			t.Errorf("update with If-Match: %v", won)
		}
		c.get("Patient/1").is("meta.versionId", "2")

		won = race(t, callers, func(i int) (*answer, error) {
			return c.try("PUT", "Patient/2", patient("2", fmt.Sprint("Number", i)), "If-None-Match", "*")
		})
		if won[201] != 1 || won[412] != callers-1 {
			t.Errorf("create with If-None-Match: %v", won)
		}

		// A plain update has no losers: each is a version, one after the other, or is told to try again.
		all200 := race(t, callers, func(i int) (*answer, error) {
			return c.try("PUT", "Patient/3", patient("3", fmt.Sprint("Number", i)))
		})
		if all200[201] != 1 || all200[200]+all200[409] != callers-1 {
			t.Errorf("update: %v", all200)
		}
		c.get("Patient/3").is("meta.versionId", fmt.Sprint(1+all200[200]))
		t.Logf("of %d plain updates of one resource at once, %d were told to try again", callers, all200[409])
	})
}
