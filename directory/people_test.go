package directory_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/directory"
)

// gp is a line of egpcur about G1234567 with some columns changed, "column=value".
func gp(changes ...string) string {
	return line(append([]string{"1=G1234567", "2=ABLE AB", "14=P", "15=Z99001", "11=20010801", "16=20100401", "24=", "26="}, changes...)...)
}

const (
	nurse  = `"1","Z99001","00A0002E","20150101","","MS","K","BAKER","","","","","","","01632 960003","","QWO","BAKER K","",""`
	joined = `"G1234567","Z99001","P","20100401","","0"`
	before = `"G1234567","Z99002","P","20010801","20100331","0"`
)

// reads reads a file of a report.
func reads(t *testing.T, name string, lines ...string) directory.File {
	t.Helper()
	report, err := directory.ReportOf(name)
	if err != nil {
		t.Fatal(err)
	}
	f, err := directory.ReadFile(strings.NewReader(strings.Join(lines, "\r\n")+"\r\n"), report)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// people imports a file about those who practise.
func (w *world) people(name string, lines ...string) *directory.Plan {
	w.t.Helper()
	t, ok := w.t.(*testing.T)
	if !ok {
		w.t.Fatal("not in a benchmark")
	}
	plan, err := w.d.PlanFile(t.Context(), reads(t, name, lines...))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.d.Apply(t.Context(), access.Service("test", w.n.Kernel().National), plan, "#12", nil); err != nil {
		t.Fatal(err)
	}
	return plan
}

// given the three files about those who practise, then each is in the directory with where they work; the same files again change nothing, and a later one shows
// what changed, field by field; on both engines.
func TestThoseWhoPractiseAreImported(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, w *world) {
		w.imports(line(), line("1=Z99002"))
		if p := w.people("epracmem", joined); len(p.Changes) != 0 || len(p.Refused) != 1 || p.Rows != 0 {
			t.Errorf("a membership of nobody: %q, %v", said(p), p.Refused)
		}
		all := func() (list []string) {
			for _, f := range [][]string{{"egpcur", gp()}, {"enurse", nurse}, {"epracmem", joined, before}} {
				list = append(list, said(w.people(f[0], f[1:]...))...)
			}
			return list
		}
		want := []string{`added G1234567`, `added 00A0002E`, `changed G1234567; post: "" → "Z99002 PGP1 2001-08-01 – 2010-03-31 ×"`}
		if got := all(); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		w.clock.Advance(24 * time.Hour)
		if got := all(); len(got) != 0 {
			t.Errorf("the same files again: %q", got)
		}
		const base = "https://digital.nhs.uk/services/organisation-data-service/CodeSystem/"
		for code, says := range map[string][]string{"G1234567": {"ABLE", `"PGP1"`, `"ME1"`, `"Z99001"`}, "00A0002E": {"BAKER", `"PNURSE1"`}} {
			got := w.get(odt + "/CodeSystem/$lookup?property=*&system=" + base + "practitioner&code=" + code)
			for _, s := range says {
				if got.status != 200 || !strings.Contains(got.body, s) {
					t.Errorf("%s: %d, no %s in %s", code, got.status, s, got.body)
				}
			}
		}
		p := w.people("egpcur", gp("2=ABLE-BAKER AB", "15=Z99002", "16=20260601"))
		if got := said(p); !slices.Equal(got, []string{`changed G1234567; name: "ABLE, A B" → "ABLE-BAKER, A B"; post: "" → "Z99002 PGP1 2026-06-01 –"; ` +
			`post: "Z99001 PGP1 2010-04-01 –" → "Z99001 PGP1 2010-04-01 – 2026-05-31 ×"`}) {
			t.Errorf("a new practice: %q", got)
		}
		if v := w.current("Practitioner", "G1234567"); v.Resource.Get("meta.source").String() != "#12" {
			t.Errorf("whence: %s", v.Resource.Get("meta"))
		}
		p = w.people("egpcur", gp("2=ABLE-BAKER AB", "15=Z99002", "16=20260601", "12=20260610", "13=C"))
		if got := said(p); len(got) != 1 || !strings.Contains(got[0], `closed: "" → "2026-06-10"`) || !strings.Contains(got[0], "– 2026-06-10") || p.Changes[0].Kind != directory.Changed {
			t.Errorf("leaves in four days: %q", got)
		}
		w.clock.Advance(5 * 24 * time.Hour)
		w.closesDue()
		if v := w.current("Practitioner", "G1234567"); v.Resource.Get("active").String() != "false" {
			t.Errorf("after the last day: %s", v.Resource.Get("active"))
		}
		if p := w.people("egpcur", gp("2=ABLE-BAKER AB", "15=Z99002", "16=20260601", "12=20260610", "13=C")); len(p.Changes) != 0 {
			t.Errorf("after it closed: %q", said(p))
		}
	})
}

func TestLinesAboutNobodyAreRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ file, line, says string }{
		{"egpcur", "G1234567,ABLE", "egpcur has 27"}, {"egpcur", gp("1=G 1234567"), "Column 1 is no practitioner's code"}, {"egpcur", gp("1="), "Column 1"},
		{"egpcur", gp("2="), "Column 2, the name"}, {"egpcur", gp("13=X"), "Column 13"}, {"egpcur", gp("15=???"), "Column 15"}, {"egpcur", gp("11=soon"), "Column 11 is no date"},
		{"egpcur", gp("12=19990101"), "It closes (column 12)"}, {"egpcur", gp("2=AB\x01LE"), "control character"},
		{"enurse", strings.Replace(nurse, "00A0002E", "PIN", 1), "Column 3"}, {"enurse", strings.Replace(nurse, "20150101", "2015", 1), "Column 4"}, {"enurse", gp(), "enurse has 20"},
		{"epracmem", strings.Replace(joined, "Z99001", "", 1), "Column 2"}, {"epracmem", strings.Replace(before, "20100331", "20000101", 1), "It leaves (column 5)"}, {"epracmem", gp(), "epracmem has 6"},
	} {
		f := reads(t, c.file, c.line)
		if len(f.People) != 0 || len(f.Refused) != 1 || !strings.Contains(f.Refused[0].Reason, c.says) {
			t.Errorf("%s %s: %d taken, %v, want %q", c.file, c.line, len(f.People), f.Refused, c.says)
		}
		if err := f.LooksRight(); err == nil {
			t.Errorf("%s %s looks right", c.file, c.line)
		}
	}
	if f := reads(t, "epracmem", joined, joined, before); len(f.People) != 2 || len(f.Refused) != 1 || f.Lines() != 3 {
		t.Errorf("a line twice: %d taken, %v", len(f.People), f.Refused)
	}
}

// Whatever the text, each line is taken whole or refused with its number, and what is taken has a code.
func FuzzReadFileOfPeople(f *testing.F) {
	f.Add("egpcur", gp())
	f.Add("enurse", nurse)
	f.Add("epracmem", joined+"\n"+before)
	f.Fuzz(func(t *testing.T, name, text string) {
		report, err := directory.ReportOf(name)
		if err != nil || report.People == "" {
			t.Skip()
		}
		file, err := directory.ReadFile(strings.NewReader(text), report)
		if err != nil {
			t.Fatal(err)
		}
		if file.Lines() > strings.Count(text, "\n")+1 {
			t.Errorf("%d lines of %q", file.Lines(), text)
		}
		last := 0
		for _, p := range file.People {
			if p.Line <= last || p.Code == "" || p.Span.To.Known() && p.Span.To < p.Span.From {
				t.Errorf("%+v of %q", p, text)
			}
			last = p.Line
		}
	})
}
