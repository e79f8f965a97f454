package letter_test

import (
	"bytes"
	"compress/zlib"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/openspine/openspine/web/letter"
)

var (
	streams = regexp.MustCompile(`(?s)stream\n(.*?)\nendstream`)
	strokes = regexp.MustCompile(`(?s)\(((?:\\.|[^\\)])*)\) ?Tj`)
)

// textOf reads the text of a letter back, a line for each piece that was drawn.
func textOf(t *testing.T, file []byte) string {
	t.Helper()
	var all strings.Builder
	for _, m := range streams.FindAllSubmatch(file, -1) {
		z, err := zlib.NewReader(bytes.NewReader(m[1]))
		if err != nil {
			continue // a font
		}
		page, err := io.ReadAll(z)
		if err != nil || !bytes.Contains(page, []byte("Tj")) {
			continue
		}
		for _, s := range strokes.FindAllSubmatch(page, -1) {
			raw := regexp.MustCompile(`(?s)\\(.)`).ReplaceAllFunc(s[1], func(b []byte) []byte {
				if b[1] == 'r' {
					return []byte("\r")
				}
				return b[1:]
			})
			var units []uint16
			for i := 0; i+1 < len(raw); i += 2 {
				units = append(units, uint16(raw[i])<<8|uint16(raw[i+1]))
			}
			all.WriteString(string(utf16.Decode(units)) + "\n")
		}
	}
	return all.String()
}

func sample(name string) letter.Letter {
	return letter.Letter{Title: "Your referral", From: "The practice", To: []string{name}, At: time.Date(2026, 11, 23, 11, 30, 0, 0, time.UTC), Date: "23-Nov-2026",
		Parts: []letter.Part{{Heading: "Your appointment", Rows: []letter.Row{{Key: "Booking reference", Value: "0000 0007 0000"}}, Text: []string{"Bring this letter (with you)."}}}, Foot: "Kept private"}
}

func TestALetterCanBeReadBack(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"Zoë O’Neill-Łukasiewicz", `Siân D'Arcy \ (Jr)`, "Γιώργος Ωμέγα", "Дмитрий Щука"} {
		file, err := sample(name).PDF()
		if err != nil {
			t.Fatal(err)
		}
		text := textOf(t, file)
		for _, want := range []string{name, "Your referral", "Your appointment", "Booking reference", "0000 0007 0000", "Bring this letter (with you).", "Kept private"} {
			if !strings.Contains(text, want) {
				t.Errorf("%q is not in the letter:\n%s", want, text)
			}
		}
		if !bytes.Contains(file, []byte("/Lang (en-GB)")) {
			t.Error("the letter does not say its language")
		}
		again, err := sample(name).PDF()
		if err != nil || !bytes.Equal(file, again) {
			t.Error("the same letter gives other bytes", err)
		}
	}
}

func TestNamesFromRightToLeftStandInTheOrderOfPaper(t *testing.T) {
	t.Parallel()
	file, err := sample("Mr שלום").PDF()
	if err != nil {
		t.Fatal(err)
	}
	if text := textOf(t, file); !strings.Contains(text, "Mr םולש") {
		t.Error(text)
	}
}

func TestNothingStopsALetter(t *testing.T) {
	t.Parallel()
	long := sample(strings.Repeat("Featherstonehaugh", 40))
	for range 80 {
		long.Parts[0].Rows = append(long.Parts[0].Rows, letter.Row{Key: "A name", Value: strings.Repeat("many words ", 30)})
	}
	for _, l := range []letter.Letter{{}, long, sample("😀 \xff \u202e gnorw"), sample("\x00\x07")} {
		if file, err := l.PDF(); err != nil || !bytes.HasPrefix(file, []byte("%PDF-")) {
			t.Error(err)
		}
	}
	file, err := long.PDF()
	if err != nil || strings.Count(textOf(t, file), "Kept private") < 2 {
		t.Error("a long letter has one page, or no foot", err)
	}
}

// FuzzPDF: whatever a name is, the letter comes, and has its reference.
func FuzzPDF(f *testing.F) {
	for _, s := range []string{"Zoë", "שלום", "\xff", "a\nb", "😀"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		file, err := sample(name[:min(len(name), 500)]).PDF()
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(textOf(t, file), "0000 0007 0000") {
			t.Fatal("the reference is missing")
		}
	})
}
