package directory_test

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/openspine/openspine/directory"
)

// given a file of rubbish, then each bad line is named with what is wrong with it, and every good one is taken.
func TestRubbishInAFileIsNamedByItsLine(t *testing.T) {
	t.Parallel()
	report := directory.Reports()[0]
	good := line("1=Z99001")
	for name, c := range map[string]struct {
		text string
		says string // of the line, "" for taken
	}{
		"too few columns":            {`"Z99002","A"`, "There are 2 columns"},
		"too many columns":           {line("1=Z99002") + `,"x"`, "There are 28 columns"},
		"a header":                   {"Organisation Code,Name,National Grouping" + strings.Repeat(",x", 24), "Column 1 is no ODS code"},
		"a quotation mark left open": {`"Z99002,` + strings.Repeat(",", 25), "not closed"},
		"one in the middle":          {`Z9"9002,` + strings.Repeat(",", 25), "in the middle"},
		"after its end":              {`"Z99002"x,` + strings.Repeat(",", 25), "after its closing"},
		"a code twice":               {line("1=Z99001", "2=ANOTHER"), "stands in line 1 already"},
		"no code":                    {line("1="), "Column 1"},
		"a code of letters beyond":   {line("1=Ž9900"), "Column 1"},
		"no name":                    {line("1=Z99002", "2="), "Column 2"},
		"a name of 300 letters":      {line("1=Z99002", "2="+strings.Repeat("N", 300)), "Column 2"},
		"a control character":        {line("1=Z99002", "2=A\x00B"), "control character"},
		"closed before it opened":    {line("1=Z99002", "11=20200101", "12=20190101", "13=C"), "before it opens"},
		"left before it joined":      {line("1=Z99002", "16=20200101", "17=20190101"), "before it joins"},
		"closed without a day":       {line("1=Z99002", "12=", "13=C"), "no close date"},
		"a day that is none":         {line("1=Z99002", "11=20190231"), "Column 11 is no date"},
		"a day of the year 17":       {line("1=Z99002", "11=00170101"), "Column 11 is no date"},
		"an unknown status":          {line("1=Z99002", "13=Q"), "Column 13"},
		"an unknown setting":         {line("1=Z99002", "26=77"), "Column 26"},
		"a parent that is no code":   {line("1=Z99002", "15=!!"), "Column 15"},
		"emoji in the name":          {line("1=Z99002", "2=💉 SURGERY"), ""},
		"from right to left":         {line("1=Z99002", "2=مستشفى"), ""},
		"a formula":                  {line("1=Z99002", "2==HYPERLINK(1)"), ""},
		"a postcode that is none":    {line("1=Z99002", "10=ABROAD"), ""},
		"lone carriage return":       {line("1=Z99002") + "\r", ""},
	} {
		for _, mark := range []string{"", "\xef\xbb\xbf"} {
			for _, end := range []string{"\n", "\r\n"} {
				rows, refused, err := directory.ReadODS(strings.NewReader(mark+good+end+c.text+end+end), report)
				switch {
				case err != nil:
					t.Errorf("%s: %v", name, err)
				case c.says == "" && (len(rows) != 2 || len(refused) != 0):
					t.Errorf("%s: %d rows, refused %+v", name, len(rows), refused)
				case c.says != "" && (len(rows) != 1 || len(refused) != 1 || refused[0].Line != 2 || !strings.Contains(refused[0].Reason, c.says)):
					t.Errorf("%s: %d rows, refused %+v", name, len(rows), refused)
				}
			}
		}
	}
}

// broken fails after what it has been given.
type broken struct{ io.Reader }

func (b broken) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF {
		return n, fmt.Errorf("the disk went away")
	}
	return n, err
}

// given a file that ends in the middle, then nothing of it is taken to be whole.
func TestAFileThatBreaksOffIsNotRead(t *testing.T) {
	t.Parallel()
	if _, _, err := directory.ReadODS(broken{strings.NewReader(line("1=Z99001") + "\n" + line("1=Z99002"))}, directory.Reports()[0]); err == nil || !strings.Contains(err.Error(), "ended before it was complete") {
		t.Errorf("%v", err)
	}
}

// given a picture, or a list of something else, under the name of an ODS file, then it is refused as a whole: nothing is offered to be written.
func TestAFileOfSomethingElseIsRefusedAsAWhole(t *testing.T) {
	t.Parallel()
	report := directory.Reports()[0]
	for name, text := range map[string]string{
		"a picture":     "\x89PNG\r\n\x1a\n" + strings.Repeat("\x00\x01\x02\xff\n", 50),
		"another list":  "NHS Number,Name\n" + strings.Repeat("9990000018,A Person\n", 50),
		"nothing":       "",
		"blank lines":   "\n\r\n\n",
		"a byte mark":   "\xef\xbb\xbf",
		"mostly others": line("1=Z99001") + "\n" + strings.Repeat("a,b,c\n", 50),
	} {
		rows, refused, err := directory.ReadODS(strings.NewReader(text), report)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := directory.LooksRight(report, rows, refused); err == nil || !strings.Contains(err.Error(), "epraccur") {
			t.Errorf("%s is taken: %v", name, err)
		}
	}
	rows, refused, err := directory.ReadODS(strings.NewReader(line("1=Z99001")+"\n"+line("1=Z99002")+"\nrubbish\n"), report)
	if err != nil || directory.LooksRight(report, rows, refused) != nil {
		t.Errorf("a file with one bad line: %v", directory.LooksRight(report, rows, refused))
	}
}
