package letter_test

import (
	"bytes"
	"compress/zlib"
	"io"
	"regexp"
	"strconv"
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

// places are where the pieces of a page were drawn, in points from the foot and the left, with how large the type is.
func places(t *testing.T, l letter.Letter) (y, points map[string]float64) {
	t.Helper()
	file, err := l.PDF()
	if err != nil {
		t.Fatal(err)
	}
	y, points = map[string]float64{}, map[string]float64{}
	piece := regexp.MustCompile(`(?s)/F\S+ ([\d.]+) Tf|([\d.]+) ([\d.]+) Td ?\(((?:\\.|[^\\)])*)\)`)
	for _, m := range streams.FindAllSubmatch(file, -1) {
		z, err := zlib.NewReader(bytes.NewReader(m[1]))
		if err != nil {
			continue
		}
		page, err := io.ReadAll(z)
		if err != nil || !bytes.Contains(page, []byte("Tj")) {
			continue
		}
		size := 0.0
		for _, s := range piece.FindAllSubmatch(page, -1) {
			if len(s[1]) > 0 {
				size, _ = strconv.ParseFloat(string(s[1]), 64)
				continue
			}
			text := strings.ReplaceAll(string(bytes.ReplaceAll(s[4], []byte{0}, nil)), `\`, "")
			y[text], _ = strconv.ParseFloat(string(s[3]), 64)
			points[text] = size
		}
	}
	return y, points
}

// TestTheAddressIsInTheWindow: an address of the usual length and a very long one stand between 50 and 85 mm from the top, where a DL envelope has its window; what is said begins below it.
func TestTheAddressIsInTheWindow(t *testing.T) {
	t.Parallel()
	const mm, sheet = 72 / 25.4, 297 * 72 / 25.4
	for _, to := range [][]string{{"Mr Goerge Hartley", "1 Turing Road", "FN1 6FR"}, {"Maximilian Bartholomew Aloysius Featherstonehaugh-Cholmondeley", "Flat", "The Old Rectory", "14 Long Lane", "Village", "Fenmarket", "Aldershire", "FN1 6FR"}} {
		for _, large := range []bool{false, true} {
			l := sample("")
			l.To, l.Large = to, large
			y, points := places(t, l)
			if len(y) == 0 {
				t.Fatal("nothing was read")
			}
			for _, s := range to[1:] {
				if from := (sheet - y[s]) / mm; y[s] == 0 || from < 50 || from > 85 {
					t.Errorf("%q of %d lines stands %.0f mm from the top", s, len(to), from)
				}
			}
			if from := (sheet - y["23-Nov-2026"]) / mm; from < 85 {
				t.Errorf("the date is in the window, %.0f mm from the top", from)
			}
			if want := map[bool]float64{false: 11, true: 16}[large]; points["0000 0007 0000"] != want {
				t.Errorf("the reference has %.0f points, want %.0f", points["0000 0007 0000"], want)
			}
		}
	}
}

// TestAParagraphStaysOnOnePage: one that would begin on the last line of a page begins on the next.
func TestAParagraphStaysOnOnePage(t *testing.T) {
	t.Parallel()
	split := 0
	for n := range 12 {
		l := sample("A person")
		l.Large, l.Parts = true, nil
		for range n {
			l.Parts = append(l.Parts, letter.Part{Text: []string{"One line."}})
		}
		l.Parts = append(l.Parts, letter.Part{Text: []string{"Firstword " + strings.Repeat("of a paragraph that needs three lines ", 4) + "lastword."}})
		file, err := l.PDF()
		if err != nil {
			t.Fatal(err)
		}
		pages := strings.Split(textOf(t, file), l.Foot)
		if len(pages) > 2 {
			split++
		}
		for _, page := range pages {
			if strings.Contains(page, "Firstword") != strings.Contains(page, "lastword") {
				t.Errorf("after %d lines a paragraph is on two pages: %q", n, page)
			}
		}
	}
	if split == 0 {
		t.Error("no letter had two pages")
	}
}
