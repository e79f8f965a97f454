package format_test

import (
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/openspine/openspine/web/format"
)

func at(s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		panic(err)
	}
	return t
}

func TestName(t *testing.T) {
	for _, c := range []struct{ family, given, title, want string }{
		{"Smith", "John", "Mr", "SMITH, John (Mr)"},
		{"O'Brien-Núñez", "Aoife Máire", "", "O'BRIEN-NÚÑEZ, Aoife Máire"},
		{"O’Neill", "Seán", "Dr", "O’NEILL, Seán (Dr)"},
		{"", "Baby", "", "Baby"},
		{"Smith", "", "Mrs", "SMITH (Mrs)"},
		{"", "", "Mr", ""},
		{"van der  Berg\n", "\tAnna", "", "VAN DER BERG, Anna"},
		{"Sm\u202eith", "Jo\x00hn", "", "SMITH, John"},
		{"الأنصاري", "فاطمة", "", "الأنصاري, فاطمة"},
		{"ßtrauß", "Jörg", "", "ßTRAUß, Jörg"},
	} {
		if got := format.Name(c.family, c.given, c.title); got != strings.ReplaceAll(c.want, "ß", strings.ToUpper("ß")) {
			t.Errorf("%q %q %q: got %q, want %q", c.family, c.given, c.title, got, c.want)
		}
	}
}

func TestNamesAreNeverCutShort(t *testing.T) {
	long := strings.Repeat("Wolfe", 60)
	if got := format.Name(long, long, "Mr"); len(got) != 2*300+len(",  (Mr)") {
		t.Errorf("%d characters of 600 are left", len(got))
	}
}

func TestNHSNumber(t *testing.T) {
	for in, want := range map[string]string{
		"9434765919": "943 476 5919", "943 476 5919": "943 476 5919", "94347659": "94347659", "943476591X": "943476591X", "": "", "٩٤٣٤٧٦٥٩١٩": "٩٤٣٤٧٦٥٩١٩",
	} {
		if got := format.NHSNumber(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestDatesAndTimesAreThoseOfTheUnitedKingdom(t *testing.T) {
	for in, want := range map[string]string{
		"2026-06-05T13:05:09Z":      "05-Jun-2026 14:05", // summer time
		"2026-12-31T23:59:59Z":      "31-Dec-2026 23:59",
		"2026-06-30T23:30:00Z":      "01-Jul-2026 00:30", // the next day here
		"2026-03-29T00:59:00Z":      "29-Mar-2026 00:59",
		"2026-03-29T01:00:00Z":      "29-Mar-2026 02:00", // the hour that is not
		"2026-10-25T00:30:00Z":      "25-Oct-2026 01:30",
		"2026-10-25T01:30:00Z":      "25-Oct-2026 01:30", // the hour that is twice
		"2026-06-05T23:05:00-05:00": "06-Jun-2026 05:05",
	} {
		if got := format.DateTime(at(in)); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
		if got := format.Date(at(in)) + " " + format.Time(at(in)); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
	if got := format.Seconds(at("2026-06-05T13:05:09Z")); got != "05-Jun-2026 14:05:09" {
		t.Error(got)
	}
}

func TestPartialDatesAreShownAsWellAsTheyAreKnown(t *testing.T) {
	for in, want := range map[string][3]string{
		"1978":                      {"1978", "1978", "1978"},
		"1978-06":                   {"Jun-1978", "Jun-1978", "1978-06"},
		"1978-06-05":                {"05-Jun-1978", "05-Jun-1978", "1978-06-05"},
		"1978-06-05T23:30:00Z":      {"06-Jun-1978 00:30", "06-Jun-1978", "1978-06-05T23:30:00Z"},
		"2026-01-05T14:05:00+01:00": {"05-Jan-2026 13:05", "05-Jan-2026", "2026-01-05T13:05:00Z"},
		"1978-02-31":                {}, "0000-00-00": {}, "5/6/78": {}, "": {}, "1978-6-5": {}, "19780605": {}, " 1978": {},
	} {
		p := format.FHIR(in)
		if got := [3]string{p.String(), p.Date(), p.Attribute()}; got != want || p.Known() != (want[0] != "") {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestAgeAtEachBoundary(t *testing.T) {
	born := at("2024-03-01T10:00:00Z")
	for _, c := range []struct{ now, want string }{
		{"2024-03-01T09:59:59Z", ""}, {"2024-03-01T10:00:00Z", "0min"}, {"2024-03-01T10:45:00Z", "45min"},
		{"2024-03-01T11:59:59Z", "119min"}, {"2024-03-01T12:00:00Z", "2hrs"}, {"2024-03-02T22:00:00Z", "36hrs"},
		{"2024-03-03T09:59:59Z", "47hrs"}, {"2024-03-03T10:00:00Z", "2d"}, {"2024-03-28T23:00:00Z", "27d"},
		{"2024-03-29T00:00:00Z", "4w 0d"}, {"2024-10-01T12:00:00Z", "30w 4d"}, {"2025-02-28T23:59:00Z", "52w 0d"},
		{"2025-03-01T00:00:00Z", "12m 0d"}, {"2025-09-06T12:00:00Z", "18m 5d"}, {"2026-02-28T12:00:00Z", "23m 27d"},
		{"2026-03-01T00:00:00Z", "2y 0m"}, {"2034-06-01T12:00:00Z", "10y 3m"}, {"2042-02-28T12:00:00Z", "17y 11m"},
		{"2042-03-01T00:00:00Z", "18y"}, {"2124-02-29T12:00:00Z", "99y"}, {"2124-03-01T12:00:00Z", "100y"},
	} {
		if got := format.Age(format.Instant(born), at(c.now)); got != c.want {
			t.Errorf("born %s, at %s: got %q, want %q", born.Format(time.RFC3339), c.now, got, c.want)
		}
	}
}

func TestAgeKnownToTheDayOrWorse(t *testing.T) {
	for _, c := range []struct{ born, now, want string }{
		{"2026-06-05", "2026-06-05T12:00:00Z", "0d"}, {"2026-06-05", "2026-06-06T00:30:00Z", "1d"},
		{"2026-06-05", "2026-06-05T23:30:00Z", "1d"},  // past midnight here
		{"2026-06-05", "2026-06-04T12:00:00Z", ""},    // not born yet
		{"1978-06-05", "2026-06-04T12:00:00Z", "47y"}, // the day before the birthday
		{"1978-06-05", "2026-06-05T00:00:00Z", "48y"},
		{"2004-02-29", "2022-02-28T12:00:00Z", "17y 11m"}, {"2004-02-29", "2022-03-01T12:00:00Z", "18y"},
		{"2024-01-31", "2025-03-01T12:00:00Z", "13m 0d"}, {"2024-01-31", "2025-02-28T12:00:00Z", "12m 28d"},
		{"1978", "2026-06-05T12:00:00Z", "47–48y"}, {"1978", "2026-12-31T12:00:00Z", "48y"}, {"1978-06", "2026-06-05T12:00:00Z", "47–48y"},
		{"1978-06", "2026-07-05T12:00:00Z", "48y"}, {"2010", "2026-06-05T12:00:00Z", ""}, {"2030", "2026-06-05T12:00:00Z", ""}, {"", "2026-06-05T12:00:00Z", ""},
	} {
		if got := format.Age(format.FHIR(c.born), at(c.now)); got != c.want {
			t.Errorf("born %s, at %s: got %q, want %q", c.born, c.now, got, c.want)
		}
	}
}

func TestMedicine(t *testing.T) {
	for want, m := range map[string]format.Medicine{
		"amoxicillin 500 mg capsules — DOSE 1 capsule — oral — three times a day": {
			Name: "Amoxicillin", Strength: "500mg", Form: "capsules", Dose: "1 capsule", Route: "oral", Frequency: "three times a day"},
		"levothyroxine 100 microgram tablets — DOSE 100 microgram — oral — once a day": {
			Name: "LEVOTHYROXINE", Strength: "100 mcg", Form: "tablets", Dose: "100.0µg", Route: "oral", Frequency: "once a day"},
		"digoxin 62.5 microgram tablets — DOSE 0.5 mg":             {Name: "digoxin", Strength: "62.50ug", Form: "tablets", Dose: ".5 mg"},
		"insulin glargine 100 unit/mL — DOSE 10 unit — at bedtime": {Name: "insulin glargine", Strength: "100u/ml", Dose: "10u", Frequency: "at bedtime"},
		"amoxicillin 250 mg/5 mL oral suspension — DOSE 5 mL":      {Name: "amoxicillin", Strength: "250mg/5ml", Form: "oral suspension", Dose: "5.0ml"},
		"co-codamol 30 mg/500 mg tablets — DOSE 1-2 tablets":       {Name: "Co-codamol", Strength: "30mg/500mg", Form: "tablets", Dose: "1-2 tablets"},
		"aspirin — DOSE 1 a day":                                   {Name: "aspirin", Dose: "1 a day"},
		"heparin 5,000 unit/mL — DOSE 5,000 unit":                  {Name: "heparin", Strength: "5,000 units/ml", Dose: "5,000 IU"},
		"hydrocortisone 1% cream — DOSE 2 g — to the skin":         {Name: "hydrocortisone", Strength: "1%", Form: "cream", Dose: "2 g", Route: "to the skin"},
		"alfacalcidol 250 nanogram capsules — DOSE 250 nanogram":   {Name: "alfacalcidol", Strength: "250 ng", Form: "capsules", Dose: "250 nanograms"},
		"warfarin": {Name: "warfarin"},
		"":         {},
	} {
		if got := m.String(); got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
}

func TestQuantity(t *testing.T) {
	for _, c := range []struct{ value, unit, dose, result string }{
		{"5.0", "mg", "5 mg", "5.0 mg"}, {".5", "mg", "0.5 mg", "0.5 mg"}, {"0.50", "mg", "0.5 mg", "0.50 mg"}, {"500", "ug", "500 microgram", "500 microgram"},
		{"100", "mg", "100 mg", "100 mg"}, {"-.5", "Cel", "-0.5 °C", "-0.5 °C"}, {"4.10", "mmol/L", "4.1 mmol/L", "4.10 mmol/L"}, {"12", "", "12", "12"},
		{"7.2", "10*9/L", "7.2 10⁹/L", "7.2 10⁹/L"}, {"20", "ng", "20 nanogram", "20 nanogram"}, {"1E3", "g", "1E3 g", "1E3 g"}, {"0.0", "g", "0 g", "0.0 g"},
		{"98", "%", "98 %", "98%"}, {"100", "bananas", "100 bananas", "100 bananas"},
	} {
		if got := format.Quantity(c.value, c.unit); got != c.dose {
			t.Errorf("a dose of %s %s: got %q, want %q", c.value, c.unit, got, c.dose)
		}
		if got := format.Measured(c.value, c.unit); got != c.result {
			t.Errorf("a result of %s %s: got %q, want %q", c.value, c.unit, got, c.result)
		}
	}
}

func FuzzFHIRDatesAreNeverMistaken(f *testing.F) {
	for _, s := range []string{"1978", "1978-06", "1978-06-05", "1978-06-05T23:30:00Z", "2024-02-29", "0001-01-01", "9999-12-31T23:59:59.999999999+14:00", "x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p := format.FHIR(s)
		if p.Known() != (p.String() != "") || p.Known() != (p.Attribute() != "") {
			t.Fatalf("%q is known %v and shown as %q", s, p.Known(), p.String())
		}
		if p.Known() && len(s) <= 10 && p.Attribute() != s {
			t.Fatalf("%q became %q", s, p.Attribute())
		}
		format.Age(p, time.Date(2026, 6, 5, 0, 0, 0, 0, time.UTC))
	})
}

func FuzzNamesKeepEveryLetter(f *testing.F) {
	f.Add("O'Brien", "Aoife", "Dr")
	f.Add("الأنصاري", "فاطمة", "")
	f.Add("a\u202eb", "\x00", "\xff")
	f.Fuzz(func(t *testing.T, family, given, title string) {
		got := format.Name(family, given, title)
		count := func(s string) (n int) {
			for _, r := range s {
				if unicode.IsLetter(r) {
					n++
				}
			}
			return n
		}
		if want := count(strings.ToUpper(family)) + count(given); count(got) < want {
			t.Fatalf("%q %q became %q", family, given, got)
		}
		for _, r := range got {
			if unicode.IsControl(r) || r >= 0x202A && r <= 0x202E || r >= 0x2066 && r <= 0x2069 {
				t.Fatalf("%q holds %U", got, r)
			}
		}
	})
}

func TestWeekdayIsThatOfTheUnitedKingdom(t *testing.T) {
	t.Parallel()
	if got := format.Weekday(time.Date(2026, 6, 7, 23, 30, 0, 0, time.UTC)); got != "Monday" { // half past midnight in summer
		t.Error(got)
	}
}
