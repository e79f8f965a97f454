package replica_test

import (
	"testing"
	"time"

	"github.com/openspine/openspine/demographics/replica"
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
