package directory_test

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/openspine/openspine/directory"
	"github.com/openspine/openspine/internal/spectest"
)

func TestTheWholePublishedFileIsRead(t *testing.T) {
	t.Parallel()
	text, err := os.Open(filepath.Join(spectest.Dir(t, "ods"), "epraccur.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer text.Close()
	report, err := directory.ReportOf("/tmp/epraccur.csv")
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	rows, refused, err := directory.ReadODS(text, report)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d rows in %s", len(rows), time.Since(start))
	for _, r := range refused {
		t.Errorf("refused: %+v", r)
	}
	active, gp := 0, 0
	for _, r := range rows {
		if r.Organisation.Active() {
			active++
			if r.Organisation.Has("RO76") {
				gp++
			}
		}
	}
	if len(rows) != 14303 || active != 11482 || gp != 6872 {
		t.Errorf("%d rows, %d active, %d of them GP practices; published are 14303, 11482 and 6872", len(rows), active, gp)
	}
}

// endless is a line of size bytes without an end, after a good one and before another.
type endless struct {
	before, after string
	size          int
}

func (e *endless) Read(b []byte) (int, error) {
	switch {
	case e.before != "":
		n := copy(b, e.before)
		e.before = e.before[n:]
		return n, nil
	case e.size > 0:
		n := min(len(b), e.size)
		for i := range n {
			b[i] = 'x'
		}
		e.size -= n
		return n, nil
	case e.after != "":
		n := copy(b, e.after)
		e.after = e.after[n:]
		return n, nil
	}
	return 0, io.EOF
}

func TestALineThatIsWrongIsKeptOutWithItsNumberAndReason(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ line, why string }{
		{`"Z99001","SHORT"`, "2 columns"},
		{line() + `,"more"`, "28 columns"},
		{line("1=é99"), "no ODS code"},
		{line("1=A"), "no ODS code"},
		{line("2="), "the name, is empty"},
		{line("2=A\x00B"), "control character"},
		{line("2=" + strings.Repeat("A", 300)), "over 255"},
		{line("11=20190231"), "Column 11 is no date"},
		{line("12=soon"), "Column 12 is no date"},
		{line("13=X"), "the status"},
		{line("13=C"), "no close date"},
		{line("12=19730101", "13=C"), "before it opens"},
		{line("17=20120101"), "before it joins"},
		{line("15=??"), "Column 15"},
		{line("26=77"), "prescribing setting"},
		{`"Z99001","not closed`, "not closed"},
		{`"Z99001"x,"after"`, "after its closing"},
		{`Z99001,in "the" middle`, "in the middle"},
	} {
		rows, refused, err := directory.ReadODS(strings.NewReader(line("1=Z99000")+"\n"+c.line+"\n"+line("1=Z99002")), directory.Reports()[0])
		if err != nil || len(rows) != 2 || len(refused) != 1 || refused[0].Line != 2 || !strings.Contains(refused[0].Reason, c.why) {
			t.Errorf("%q: %d rows, refused %+v, want %q (%v)", c.line, len(rows), refused, c.why, err)
		}
	}
	rows, refused, err := directory.ReadODS(strings.NewReader(line()+"\n"+line("2=AGAIN")), directory.Reports()[0])
	if err != nil || len(rows) != 1 || len(refused) != 1 || !strings.Contains(refused[0].Reason, "line 1") {
		t.Errorf("twice the same code: %d rows, %+v (%v)", len(rows), refused, err)
	}
	rows, refused, err = directory.ReadODS(&endless{before: line() + "\r\n", size: 100 << 20, after: "\r\n" + line("1=Z99002")}, directory.Reports()[0])
	if err != nil || len(rows) != 2 || len(refused) != 1 || refused[0].Line != 2 || !strings.Contains(refused[0].Reason, "64 KB") {
		t.Errorf("a line of 50 MB: %d rows, %+v (%v)", len(rows), refused, err)
	}
}

func TestFilesComeInSeveralForms(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"byte order mark": "\xef\xbb\xbf" + line("2=CAFÉ SURGERY") + "\r\n",
		"windows-1252":    strings.ReplaceAll(line("2=CAFÉ SURGERY"), "É", "\xc9") + "\r\n",
		"no last newline": line("2=CAFÉ SURGERY"),
		"blank lines":     "\n\n" + line("2=CAFÉ   SURGERY") + "\n\n",
	} {
		rows, refused, err := directory.ReadODS(strings.NewReader(text), directory.Reports()[0])
		if err != nil || len(rows) != 1 || len(refused) != 0 || rows[0].Organisation.Name != "CAFÉ SURGERY" {
			t.Errorf("%s: %+v, refused %+v (%v)", name, rows, refused, err)
		}
	}
}
