// Package letter draws letters to people: what is said to a patient about a referral, as a file to print, to keep or to send. A letter is a value; whoever writes one says what it
// holds, and this package how it looks on paper.
//
// A letter has the language and the title in its properties, real text that a reader can search and copy, and the fonts that it needs. It is not tagged, because the library
// cannot tag: whoever reads with a screen reader has the same words on the page that offers the letter. The same letter always gives the same bytes.
package letter

import (
	"bytes"
	"net/http"
	"strings"
	"time"

	"codeberg.org/go-pdf/fpdf"
	"github.com/go-fonts/dejavu/dejavusanscondensed"
	"github.com/go-fonts/dejavu/dejavusanscondensedbold"
	"golang.org/x/text/unicode/bidi"

	"github.com/openspine/openspine/fault"
)

// Letter is what a letter says.
type Letter struct {
	Title string
	From  string    // who writes
	To    []string  // lines: a name, then where they live
	At    time.Time // when it was written: the creation date of the file
	Date  string    // the same in words
	Parts []Part
	Foot  string // on each page
	Large bool   // in large print: 16 points, as the RNIB asks for
}

// Part is a heading with rows of names and values, or paragraphs. Each of them may be left out.
type Part struct {
	Heading string
	Rows    []Row
	Text    []string
}

// Row is a name and what it stands for.
type Row struct{ Key, Value string }

// LargeQuery is what the address of a letter has at its end when it is asked for in large print.
const LargeQuery = "print=large"

// AskedLarge reports whether a letter is asked for in large print.
func AskedLarge(r *http.Request) bool { return r.URL.Query().Get("print") == "large" }

// Measures of a page in millimetres, and of type in points.
const (
	margin = 25.0
	keys   = 55.0 // of the column of names
	family = "letter"
	// The address shows through the window of a DL envelope (35 by 90 mm, 20 mm from the left; BS 4264) when the sheet is folded in three.
	windowTop, windowWidth, windowFoot = 50.0, 80.0, 85.0
	// What is said begins under the first fold.
	saidTop = 100.0
	// A paragraph of so many lines stays on one page.
	keptLines = 6
)

// look is how large the type is. A row's name stands beside its value, or above it where the type leaves no room for that.
type look struct {
	line, size, heading, title float64
	stacked                    bool
}

func (l Letter) look() look {
	if l.Large {
		return look{line: 8, size: 16, heading: 19, title: 23, stacked: true}
	}
	return look{line: 5.5, size: 11, heading: 14, title: 18}
}

// PDF is the letter as a file. What the fonts have no letter for, signs beyond the basic plane such as emoji, is written as �. Arabic letters stand in their order and are not joined.
// Error: fault.Internal when it cannot be drawn.
func (l Letter) PDF() ([]byte, error) {
	f := fpdf.New("P", "mm", "A4", "")
	f.SetCatalogSort(true)
	f.SetCreationDate(l.At.UTC())
	f.SetModificationDate(l.At.UTC())
	f.SetLang("en-GB")
	f.SetTitle(l.Title, true)
	f.SetAuthor(l.From, true)
	f.SetProducer("OpenSpine", true)
	f.SetMargins(margin, margin, margin)
	f.SetAutoPageBreak(true, margin)
	f.AddUTF8FontFromBytes(family, "", dejavusanscondensed.TTF) // Latin, Greek, Cyrillic, Hebrew and Arabic letters
	f.AddUTF8FontFromBytes(family, "B", dejavusanscondensedbold.TTF)
	f.SetFooterFunc(func() {
		f.SetY(-20)
		f.SetFont(family, "", max(9, l.look().size-4))
		f.MultiCell(0, l.look().line-1, shown(l.Foot), "", "C", false)
	})
	f.AddPage()
	w := writer{f, l.look()}
	w.text("B", w.heading, l.From)
	l.address(w)
	w.text("", w.size, l.Date)
	f.Ln(w.line)
	w.text("B", w.title, l.Title)
	for _, p := range l.Parts {
		f.Ln(w.line)
		if p.Heading != "" {
			w.head(p)
		}
		for _, r := range p.Rows {
			w.row(r)
		}
		if len(p.Rows) > 0 && len(p.Text) > 0 {
			f.Ln(w.line / 2)
		}
		for _, s := range p.Text {
			w.whole(s)
			w.text("", w.size, s)
			f.Ln(w.line / 2)
		}
	}
	var b bytes.Buffer
	if err := f.Output(&b); err != nil {
		return nil, fault.Wrap(err, fault.Internal, "a letter cannot be drawn")
	}
	return b.Bytes(), nil
}

// address writes whom the letter is to where the envelope's window is: with smaller type where it would not fit, for a name is never cut. What follows begins below it.
func (l Letter) address(w writer) {
	if len(l.To) == 0 {
		return
	}
	points := 11.0
	height := func() (lines float64) {
		w.f.SetFont(family, "", points)
		for _, s := range l.To {
			lines += float64(len(w.f.SplitText(shown(s), windowWidth)))
		}
		return lines * points * 0.45
	}
	for points > 8 && windowTop+height() > windowFoot {
		points--
	}
	w.f.SetY(max(windowTop, w.f.GetY()))
	for _, s := range l.To {
		w.f.SetFont(family, "", points)
		w.f.MultiCell(windowWidth, points*0.45, shown(s), "", "L", false)
	}
	w.f.SetY(max(saidTop, w.f.GetY()+w.line))
}

// writer writes one letter.
type writer struct {
	f *fpdf.Fpdf
	look
}

func (w writer) text(style string, points float64, text string) {
	w.f.SetFont(family, style, points)
	w.f.MultiCell(0, w.line*points/w.size, shown(text), "", "L", false)
}

// room begins a new page where there is not so much room on this one.
func (w writer) room(height float64) {
	if _, all := w.f.GetPageSize(); w.f.GetY()+height > all-margin {
		w.f.AddPage()
	}
}

// whole begins a new page for a paragraph of a few lines of which only some would fit on this one.
func (w writer) whole(text string) {
	w.f.SetFont(family, "", w.size)
	width, _ := w.f.GetPageSize()
	if lines := len(w.f.SplitText(shown(text), width-2*margin)); lines <= keptLines {
		w.room(float64(lines) * w.line)
	}
}

// head writes a heading, on the page on which what it is of begins.
func (w writer) head(p Part) {
	w.room(w.line*w.heading/w.size + 3*w.line)
	w.text("B", w.heading, p.Heading)
}

// row writes a name and its value beside it or below, which may need more lines; both stay on one page.
func (w writer) row(r Row) {
	f := w.f
	width, _ := f.GetPageSize()
	column := keys
	if w.stacked {
		column = 0
	}
	f.SetFont(family, "", w.size)
	value := shown(r.Value)
	lines := float64(len(f.SplitText(value, width-2*margin-column)))
	if w.stacked {
		w.room((lines + 1) * w.line)
		w.text("B", w.size, r.Key)
		w.text("", w.size, r.Value)
		f.Ln(w.line / 4)
		return
	}
	w.room(lines * w.line)
	y := f.GetY()
	f.SetFont(family, "B", w.size)
	f.MultiCell(keys, w.line, shown(r.Key), "", "L", false)
	after := f.GetY()
	f.SetXY(margin+keys, y)
	f.SetFont(family, "", w.size)
	f.MultiCell(0, w.line, value, "", "L", false)
	f.SetY(max(after, f.GetY()) + 1)
}

// shown is text in the order in which it stands on paper, from left to right, with signs that can be drawn.
func shown(text string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case r == '\n':
			return r
		case r < ' ' || r == 0x7f || r >= 0x200b && r <= 0x200f || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069: // turn text around, or do nothing
			return -1
		case r > 0xffff:
			return '\ufffd'
		}
		return r
	}, strings.ToValidUTF8(text, "\ufffd"))
	lines := strings.Split(text, "\n")
	for i, s := range lines {
		lines[i] = ordered(s)
	}
	return strings.Join(lines, "\n")
}

// ordered is one line in the order of paper (Unicode Standard Annex 9).
func ordered(s string) string {
	var p bidi.Paragraph
	if _, err := p.SetString(s); err != nil || s == "" {
		return s
	}
	o, err := p.Order()
	if err != nil {
		return s
	}
	var b strings.Builder
	for i := range o.NumRuns() {
		run := o.Run(i)
		if run.Direction() == bidi.RightToLeft {
			b.WriteString(bidi.ReverseString(run.String()))
		} else {
			b.WriteString(run.String())
		}
	}
	return b.String()
}
