// Package letter draws letters to people: what is said to a patient about a referral, as a file to print, to keep or to send. A letter is a value; whoever writes one says what it
// holds, and this package how it looks on paper.
//
// A letter has the language and the title in its properties, real text that a reader can search and copy, and the fonts that it needs. It is not tagged, because the library
// cannot tag: whoever reads with a screen reader has the same words on the page that offers the letter. The same letter always gives the same bytes.
package letter

import (
	"bytes"
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
}

// Part is a heading with rows of names and values, or paragraphs. Each of them may be left out.
type Part struct {
	Heading string
	Rows    []Row
	Text    []string
}

// Row is a name and what it stands for.
type Row struct{ Key, Value string }

// Measures of a page, in millimetres and points.
const (
	margin  = 25.0
	keys    = 55.0 // of the column of names
	line    = 5.5
	size    = 11.0
	heading = 14.0
	title   = 18.0
	family  = "letter"
)

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
		f.SetY(-15)
		f.SetFont(family, "", 9)
		f.MultiCell(0, 4, shown(l.Foot), "", "C", false)
	})
	f.AddPage()
	write := func(style string, points float64, text string) {
		f.SetFont(family, style, points)
		f.MultiCell(0, line*points/size, shown(text), "", "L", false)
	}
	write("", size, l.From)
	write("", size, l.Date)
	f.Ln(line)
	for _, s := range l.To {
		write("", size, s)
	}
	f.Ln(line)
	write("B", title, l.Title)
	for _, p := range l.Parts {
		f.Ln(line)
		if p.Heading != "" {
			write("B", heading, p.Heading)
		}
		for _, r := range p.Rows {
			row(f, r)
		}
		for _, s := range p.Text {
			write("", size, s)
			f.Ln(line / 2)
		}
	}
	var b bytes.Buffer
	if err := f.Output(&b); err != nil {
		return nil, fault.Wrap(err, fault.Internal, "a letter cannot be drawn")
	}
	return b.Bytes(), nil
}

// row draws a name and its value beside it, which may need more lines; both stay on one page.
func row(f *fpdf.Fpdf, r Row) {
	width, height := f.GetPageSize()
	f.SetFont(family, "", size)
	value := shown(r.Value)
	lines := float64(len(f.SplitText(value, width-2*margin-keys)))
	if f.GetY()+lines*line > height-margin {
		f.AddPage()
	}
	y := f.GetY()
	f.SetFont(family, "B", size)
	f.MultiCell(keys, line, shown(r.Key), "", "L", false)
	after := f.GetY()
	f.SetXY(margin+keys, y)
	f.SetFont(family, "", size)
	f.MultiCell(0, line, value, "", "L", false)
	f.SetY(max(after, f.GetY()))
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
