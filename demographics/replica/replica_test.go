package replica_test

import (
	"testing"
	"time"

	"github.com/openspine/openspine/demographics/replica"
	"github.com/openspine/openspine/ident"
)

// Each state that a patient's number can be in, as the authority's own published API tells it.
func TestEachPatientComesIntoTheirState(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.put(national, "9990000018", person("9990000018", "Marsh", "Helena", "1980-01-02", "address", home("1 High Street", "LS1 6AE")))
		w.put(national, "9990000026", person("9990000026", "Reed", "Bea", "1981-02-03", "address", home("2 High Street", "LS1 6AE")))
		w.put(national, "9990000034", person("9990000034", "Quiet", "Una", "1982-03-04", "address", home("3 High Street", "LS1 6AE"), "meta", tag("R")))
		w.put(national, "9990000042", person("9990000042", "Gone", "Ida", "1983-04-05", "meta", tag("REDACTED")))
		w.put(national, "9990000050", person("9990000050", "Swift", "Ann", "1984-05-06", "address", home("5 High Street", "LS1 6AE")))

		w.put(hospital, "h1", person("9990000018", "Marsh", "Helena", "1980-01-02"))
		w.put(hospital, "h2", person("9990000026", "Okafor", "Grace", "1950-11-30"))
		w.put(hospital, "h3", person("9990000034", "Quiet", "Una", "1982-03-04", "address", home("3 High Street", "LS1 6AE")))
		w.put(hospital, "h4", person("9990000042", "Gone", "Ida", "1983-04-05"))
		w.put(hospital, "h5", person("9990000069", "Nobody", "Nora", "1985-06-07"))
		w.put(hospital, "h6", person("", "Unknown", "Man", "1985-06-07"))
		w.put(hospital, "h7", person("", "Born", "Jude", "2026-01-10"))
		w.put(hospital, "h8", person("9990000050", "Swift", "Ann", "1984-05-06", "address", home("9 Mill Lane", "LS9 9ZZ")))
		w.counts(map[replica.State]int{replica.Untraced: 6, replica.Unnumbered: 1, replica.Postponed: 1})
		w.round()
		w.counts(map[replica.State]int{replica.Traced: 1, replica.Mismatch: 1, replica.Restricted: 1, replica.Invalid: 1, replica.Absent: 1, replica.Unnumbered: 1, replica.Postponed: 1, replica.Differs: 1})

		for id, code := range map[string]string{"h1": "01", "h2": "05", "h3": "01", "h4": "04", "h5": "04", "h8": "01"} {
			if got := verified(w.get(hospital, id)); got != code {
				t.Errorf("%s says %q of its number, want %q", id, got, code)
			}
		}
		if got := w.get(hospital, "h1").Resource.Get("address.0.postalCode").String(); got != "LS1 6AE" {
			t.Errorf("the address was not copied: %q", got)
		}
		if got := w.get(hospital, "h2").Resource; got.Get("address").Exists() || got.Get("name.0.family").String() != "Okafor" {
			t.Errorf("somebody else was copied: %s", got.Root().Raw())
		}
		if got := w.get(hospital, "h3"); got.Resource.Get("address").Exists() || got.Label() == 0 {
			t.Errorf("a restricted person's address stands: %s", got.Resource.Root().Raw())
		}
		if got := w.get(hospital, "h8").Resource.Get("address.0.postalCode").String(); got != "LS9 9ZZ" {
			t.Errorf("what the hospital wrote is %q", got)
		}
		asked := w.way.asked.Load()
		w.round()
		if w.way.asked.Load() != asked {
			t.Errorf("nobody is due, and the authority was asked %d times", w.way.asked.Load()-asked)
		}
		w.time.Advance(27 * time.Hour)
		before := w.get(hospital, "h1").Ver
		w.round()
		if n := w.way.asked.Load() - asked; n != 6 {
			t.Errorf("after a day the authority was asked %d times, want 6", n)
		}
		if after := w.get(hospital, "h1").Ver; after != before {
			t.Errorf("nothing had changed, and the copy was written: version %d", after)
		}
	})
}

// While the way is cut everybody keeps their state, a few are asked about and then nobody for a while; it is said since when. When it is open again those
// who are due are asked about by themselves, and what was heard of is asked about at once.
func TestTheWayIsCut(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		numbers := []string{"9990000018", "9990000026", "9990000034", "9990000042", "9990000050"}
		for _, n := range numbers {
			w.put(national, n, person(n, "Marsh", "Helena", "1980-01-02"))
			w.put(hospital, "p"+n, person(n, "Marsh", "Helena", "1980-01-02"))
		}
		w.round()
		w.counts(map[replica.State]int{replica.Traced: 5})
		w.time.Advance(30 * time.Hour)
		w.way.cut.Store(true)
		asked, since := w.way.asked.Load(), w.time.Now()
		w.round()
		w.round()
		if n := w.way.asked.Load() - asked; n != 3 {
			t.Errorf("it was asked %d times over a way that is cut, want 3", n)
		}
		s := w.status()
		if s.Failing.Before(since) || s.Error == "" || s.Due == 0 || s.Counts[replica.Traced] != 5 {
			t.Errorf("the way is cut: %+v", s)
		}
		w.way.cut.Store(false)
		w.time.Advance(time.Hour)
		w.round()
		if s := w.status(); !s.Failing.IsZero() || s.Due != 0 || s.Error != "" {
			t.Errorf("the way is open again: %+v", s)
		}
		asked = w.way.asked.Load()
		n, err := ident.ParseNHSNumber(numbers[1])
		if err != nil {
			t.Fatal(err)
		}
		w.put(national, numbers[1], person(numbers[1], "Marsh", "Helena", "1980-01-02", "address", home("4 New Road", "LS2 1AA")))
		if err := w.n.Replica().Changed(t.Context(), hospital, n); err != nil {
			t.Fatal(err)
		}
		w.round()
		if n := w.way.asked.Load() - asked; n != 1 {
			t.Errorf("one person was heard of, and %d were asked about", n)
		}
		if got := w.get(hospital, "p"+numbers[1]).Resource.Get("address.0.line.0").String(); got != "4 New Road" {
			t.Errorf("the copy says %q", got)
		}
	})
}

// Whoever becomes restricted has their whereabouts taken off the copy, whoever wrote them; when that ends the copy follows again.
func TestSomebodyIsRestrictedAndNoLonger(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		const n = "9990000018"
		at := func(more ...any) doc {
			return person(n, "Marsh", "Helena", "1980-01-02", append([]any{"address", home("1 High Street", "LS1 6AE")}, more...)...)
		}
		w.put(national, n, at())
		w.put(hospital, "h", person(n, "Marsh", "Helena", "1980-01-02", "telecom", []any{doc{"system": "phone", "value": "01632 960001"}}, "maritalStatus", doc{"text": "S"}))
		w.round()
		next := func() {
			w.time.Advance(30 * time.Hour)
			w.round()
		}
		w.put(national, n, at("meta", tag("R")))
		next()
		if v := w.get(hospital, "h"); v.Resource.Get("address").Exists() || v.Resource.Get("telecom").Exists() || v.Label() == 0 || v.Resource.Get("maritalStatus.text").String() != "S" {
			t.Errorf("restricted: %s", v.Resource.Root().Raw())
		}
		w.counts(map[replica.State]int{replica.Restricted: 1})
		w.put(national, n, at("meta", tag("U")))
		next()
		if v := w.get(hospital, "h"); v.Resource.Get("address.0.line.0").String() != "1 High Street" || v.Label() != 0 {
			t.Errorf("no longer: %s", v.Resource.Root().Raw())
		}
		w.counts(map[replica.State]int{replica.Traced: 1})
	})
}
