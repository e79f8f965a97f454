package directory_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/openspine/openspine/directory"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store/storetest"
	"time"
)

func codesOf(r directory.Results) []string {
	var list []string
	for _, f := range r.Found {
		list = append(list, f.Code.String())
	}
	return list
}

// onEach runs a test on every engine.
func onEach(t *testing.T, test func(t *testing.T, w *world)) {
	now := time.Date(2026, 6, 5, 9, 0, 0, 0, time.UTC)
	t.Run("sqlite", func(t *testing.T) { test(t, givenWith(t, "", now)) })
	t.Run("postgres", func(t *testing.T) { test(t, givenWith(t, storetest.PostgresURL(t), now)) })
}

func TestAnOrganisationIsFoundAsSomebodyTypes(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, w *world) {
		w.imports(
			line("1=Z99001", "2=ST MARY'S HEALTH CENTRE", "10=TS18 1HU"),
			line("1=Z99002", "2=CANOLFAN IECHYD CÂE GLAS", "10=LS1 4DZ"),
			line("1=Z99003", "2=MARY STREET SURG", "10=TS1 2AB", "26=25"),
			line("1=Z99004", "2=MARYLAND PRACTICE", "12=20200101", "13=C"),
		)
		for typed, want := range map[string]string{
			"mar":                    "Z99003 Z99001",
			"mary st":                "Z99003 Z99001",
			"st mary":                "Z99001 Z99003",
			"saint marys":            "Z99001",
			"mary's":                 "Z99001",
			"surgery":                "Z99003",
			"cae":                    "Z99002",
			"CÂE GL":                 "Z99002",
			"ctr":                    "Z99001",
			"z99003":                 "Z99003",
			"Z99":                    "",
			"ts1":                    "Z99003 Z99001",
			"TS18 1":                 "Z99001",
			"'":                      "",
			"mary nothing":           "",
			"%":                      "",
			"":                       "Z99002 Z99003 Z99001",
			strings.Repeat("a", 300): "",
		} {
			got, err := w.d.Search(t.Context(), directory.Query{Text: typed})
			if err != nil || strings.Join(codesOf(got), " ") != want || got.Total != len(got.Found) {
				t.Errorf("%q: %v of %d, want %s (%v)", typed, codesOf(got), got.Total, want, err)
			}
		}
		got, err := w.d.Search(t.Context(), directory.Query{Text: "mary", Closed: true})
		if err != nil || !slices.Equal(codesOf(got), []string{"Z99003", "Z99001", "Z99004"}) {
			t.Errorf("closed ones too: %v (%v)", codesOf(got), err)
		}
		if got, err := w.d.Search(t.Context(), directory.Query{Role: "RO82", Postcode: "ts1"}); err != nil || !slices.Equal(codesOf(got), []string{"Z99003"}) {
			t.Errorf("by role and postcode: %v (%v)", codesOf(got), err)
		}
		if _, err := w.d.Search(t.Context(), directory.Query{Text: "a b c d e f g h i"}); !fault.Is(err, fault.Invalid) {
			t.Errorf("nine words: %v", err)
		}
		w.void("Organization", "Z99001")
		if got, err := w.d.Search(t.Context(), directory.Query{Text: "centre"}); err != nil || got.Total != 0 {
			t.Errorf("taken out: %v (%v)", codesOf(got), err)
		}
	})
}

func (w *world) organisation(o directory.Organisation) {
	w.t.Helper()
	res, err := o.Resource()
	if err != nil {
		w.t.Fatal(err)
	}
	w.keep(res)
}

func TestTheLastOfThoseWhoTookOverAnswers(t *testing.T) {
	t.Parallel()
	w := given(t)
	closed := func(code string, to ...string) {
		o := directory.Organisation{Code: ident.MustODSCode(code), Name: code, State: directory.Closed}
		for _, c := range to {
			o.Successions = append(o.Successions, directory.Succession{Successor: ident.MustODSCode(c), On: "2020-04-01"})
		}
		w.organisation(o)
	}
	closed("AAA", "BBB")
	closed("BBB", "CCC")
	w.organisation(directory.Organisation{Code: ident.MustODSCode("CCC"), Name: "CCC", State: directory.Open})
	closed("DDD", "AAA", "CCC")
	closed("EEE", "FFF")
	closed("FFF", "EEE")
	now, via, err := w.d.Successor(t.Context(), ident.MustODSCode("AAA"))
	if err != nil || now.Code.String() != "CCC" || fmt.Sprint(via) != "[AAA BBB]" {
		t.Errorf("%s by way of %v (%v)", now.Code, via, err)
	}
	for _, code := range []string{"DDD", "EEE"} {
		if _, _, err := w.d.Successor(t.Context(), ident.MustODSCode(code)); !fault.Is(err, fault.Conflict) {
			t.Errorf("%s: %v", code, err)
		}
	}
	if _, _, err := w.d.Successor(t.Context(), ident.MustODSCode("ZZZ")); !fault.Is(err, fault.NotFound) {
		t.Errorf("nobody: %v", err)
	}
}

func TestDistancesAreRoughUntilAPostcodeFileIsLoaded(t *testing.T) {
	t.Parallel()
	w := given(t)
	far := func(a, b string, low, high float64, known bool) {
		t.Helper()
		km, ok, err := w.d.Distance(t.Context(), a, b)
		if err != nil || ok != known || km < low || km > high {
			t.Errorf("%s to %s: %.1f km, %v (%v)", a, b, km, ok, err)
		}
	}
	far("LS1", "M1", 50, 70, true)
	far("SW1A", "EH1", 500, 560, true)
	far("LS1", "LS29", 0, 0, true)
	far("FN1", "EW2", 30, 120, true)
	far("QQ1", "LS1", 0, 0, false)
	far("", "LS1", 0, 0, false)
	outwards, skipped, err := w.d.LoadPostcodes(t.Context(), strings.NewReader("\xef\xbb\xbfpcd,pcds,lat,long\r\nLS1  4DZ,LS1 4DZ,53.796,-1.548\r\nLS1  1UR,LS1 1UR,53.798,-1.550\r\n"+
		"LS29 8AA,LS29 8AA,53.925,-1.822\r\nZZ99 3VZ,ZZ99 3VZ,99.999999,0.0\r\nnonsense\r\n"))
	if err != nil || outwards != 2 || skipped != 2 {
		t.Errorf("%d outward codes, %d skipped: %v", outwards, skipped, err)
	}
	far("LS1", "LS29", 20, 25, true)
	far("LS1", "M1", 50, 70, true)
	if _, _, err := w.d.LoadPostcodes(t.Context(), strings.NewReader("postcode,lat\n")); !fault.Is(err, fault.Invalid) {
		t.Errorf("a file without longitudes: %v", err)
	}
}

func FuzzReadODS(f *testing.F) {
	f.Add(line())
	f.Add("\xef\xbb\xbf" + line() + "\r\n" + line())
	f.Add(`"Z99001,"` + "\n" + line("12=20190231"))
	f.Add("Z99001\xe9" + strings.Repeat(",", 26))
	report := directory.Reports()[0]
	f.Fuzz(func(t *testing.T, text string) {
		rows, refused, err := directory.ReadODS(strings.NewReader(text), report)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(text, "\n") + 1; len(rows)+len(refused) > n {
			t.Fatalf("%d rows and %d refused of %d lines", len(rows), len(refused), n)
		}
		for _, r := range rows {
			res, err := r.Organisation.Resource()
			if err != nil {
				t.Fatalf("line %d cannot be written: %v", r.Line, err)
			}
			if back, err := directory.ParseOrganisation(res); err != nil || back.Name != r.Organisation.Name || back.State != r.Organisation.State {
				t.Fatalf("line %d comes back as %+v (%v)", r.Line, back, err)
			}
			for _, rel := range r.Relations {
				rel.ID = "x"
				if res, err = rel.Resource(); err != nil {
					t.Fatal(err)
				}
				if _, err := fhir.Parse(res.JSON()); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}
