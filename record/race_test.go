package record_test

import (
	"fmt"
	"net/url"
	"sync"
	"testing"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/store/storetest"
)

const callers = 100

// criteria are a query as the world's principal may ask it.
func (w *world) criteria(typ string, values url.Values) *record.Criteria {
	q, _, err := w.recs.ParseQuery(typ, values, false)
	if err != nil {
		w.t.Fatal(err)
	}
	s, err := w.gate.DecideSet(w.t.Context(), w.who, access.Search, hospital, []string{typ})
	if err != nil {
		w.t.Fatal(err)
	}
	return &record.Criteria{Scope: s, Query: q}
}

// race lets a hundred callers do the same at once and counts the outcomes.
func race(t *testing.T, do func(i int) (record.Outcome, error)) (created, changed, matched, refused int) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range callers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			<-start
			out, err := do(i)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case fault.Is(err, fault.PreconditionFailed) || fault.Is(err, fault.Conflict):
				refused++
			case err != nil:
				t.Error(err)
			case out.Matched:
				matched++
			case out.Created:
				created++
			default:
				changed++
			}
		}()
	}
	close(start)
	wg.Wait()
	return created, changed, matched, refused
}

// each without rehearsals, which would run each racing function twice.
func eachPlain(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	storetest.EachWith(t, store.Options{}, func(t *testing.T, db *store.DB) { test(t, over(t, db, record.Options{})) },
		audit.Schema(), access.Schema(), record.Schema())
}

func TestAHundredCallersCreateOne(t *testing.T) {
	t.Parallel()
	eachPlain(t, func(t *testing.T, w *world) {
		for name, values := range map[string]url.Values{
			"identifier": {"identifier": {"urn:x|1"}},
			"a name":     {"name": {"Only"}},
		} {
			typ := "Organization"
			body := `{"resourceType":"Organization","identifier":[{"system":"urn:x","value":"1"}],"name":"First"}`
			if name == "a name" {
				typ, body = "Location", `{"resourceType":"Location","name":"Only"}`
			}
			created, changed, matched, refused := race(t, func(int) (record.Outcome, error) {
				return w.do(record.Change{Verb: record.Create, Ref: ref(typ, ""), Resource: resource(t, "%s", body), Criteria: w.criteria(typ, values)})
			})
			page, err := w.find(typ + "?_count=200")
			if err != nil || len(page.Matches) != 1 || created != 1 || matched != callers-1 || changed+refused != 0 {
				t.Errorf("by %s: %d created, %d matched, %d changed, %d refused; %d are there (%v)", name, created, matched, changed, refused, len(page.Matches), err)
			}
		}
	})
}

func TestAHundredCallersUpdateOne(t *testing.T) {
	t.Parallel()
	eachPlain(t, func(t *testing.T, w *world) {
		created, changed, matched, refused := race(t, func(i int) (record.Outcome, error) {
			body := fmt.Sprintf(`{"resourceType":"Organization","identifier":[{"system":"urn:x","value":"1"}],"name":"By %d"}`, i)
			return w.do(record.Change{Verb: record.Put, Ref: ref("Organization", ""), Resource: resource(t, "%s", body),
				Criteria: w.criteria("Organization", url.Values{"identifier": {"urn:x|1"}})})
		})
		page, err := w.find("Organization")
		if err != nil || len(page.Matches) != 1 || created != 1 || changed != callers-1 || matched+refused != 0 {
			t.Fatalf("%d created, %d changed, %d refused; %d are there (%v)", created, changed, refused, len(page.Matches), err)
		}
		if page.Matches[0].Ver != callers {
			t.Errorf("version %d after %d writes", page.Matches[0].Ver, callers)
		}
	})
}

func TestAHundredCallersOfOneVersionHaveOneWinner(t *testing.T) {
	t.Parallel()
	eachPlain(t, func(t *testing.T, w *world) {
		w.put(`{"resourceType":"Patient","id":"p1"}`)
		_, changed, _, refused := race(t, func(i int) (record.Outcome, error) {
			return w.do(record.Change{Verb: record.Put, Ref: ref("Patient", "p1"), IfMatch: 1,
				Resource: resource(t, `{"resourceType":"Patient","id":"p1","name":[{"family":"By%d"}]}`, i)})
		})
		if changed != 1 || refused != callers-1 {
			t.Errorf("%d changed, %d refused", changed, refused)
		}
		_, changed, _, refused = race(t, func(int) (record.Outcome, error) {
			return w.do(record.Change{Verb: record.Patch, Ref: ref("Patient", "p1"), Patch: func(r *fhir.Resource) (*fhir.Resource, error) {
				n := r.Get("multipleBirthInteger").String()
				if n == "" {
					n = "0"
				}
				var k int
				if _, err := fmt.Sscan(n, &k); err != nil {
					return nil, err
				}
				return r.Edit().Set(r.Root(), "multipleBirthInteger", fhir.Of(k+1)).Done()
			}})
		})
		v, err := w.read(ref("Patient", "p1"))
		if err != nil || v.Resource.Get("multipleBirthInteger").String() != fmt.Sprint(changed) || changed+refused != callers {
			t.Errorf("%d patches counted %s, %d refused (%v)", changed, v.Resource.Get("multipleBirthInteger").String(), refused, err)
		}
	})
}
