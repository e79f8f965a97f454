package demographics

import (
	"errors"
	"io"
	"strings"
	"testing"
)

// Whatever stands in a file, each line that is not blank is a line of its own, in order and under its number: none swallows another.
func FuzzAFileOfPeople(f *testing.F) {
	f.Add("DATE_OF_BIRTH,FAMILY_NAME\n19800102,\"Marsh\n19810203,Reed\n")
	f.Add("DATE_OF_BIRTH\r\n\r\n19800102\r\n\"\"\"\n")
	f.Add("\ufeffUNIQUE_REFERENCE,DATE_OF_BIRTH\na,\"1980\"\"0102\",x\n\xff,\n")
	f.Fuzz(func(t *testing.T, text string) {
		b, err := ReadBatch(strings.NewReader(text))
		if err != nil {
			return
		}
		var want []int
		for i, line := range strings.Split(text, "\n") {
			if i > 0 && strings.TrimSpace(line) != "" {
				want = append(want, i+1)
			}
		}
		for {
			s, err := b.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return
			}
			list := b.lines(s)
			if len(list) != s.Lines || len(list) > len(want) {
				t.Fatalf("%d lines of %d", len(list), s.Lines)
			}
			for i, l := range list {
				if l.line != want[i] || l.outcome != "" && l.reason == "" {
					t.Fatalf("line %d is called %d (%s %q)", want[i], l.line, l.outcome, l.reason)
				}
			}
			want = want[len(list):]
		}
		if len(want) > 0 {
			t.Fatalf("lines %v are missing", want)
		}
	})
}
