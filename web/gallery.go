package web

import (
	"net/http"
	"strings"
	"time"

	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/web/format"
)

// GalleryPath is where a demonstration serves the catalogue of components.
const GalleryPath = "/about/components"

// Gallery is the catalogue of components, each with the cases that break layouts: long names, accents, apostrophes,
// text from right to left, three hundred characters without a space. Page writers look here first.
func Gallery(w http.ResponseWriter, r *http.Request) error {
	state, err := ReadTableState(r, "name", "born")
	if err != nil {
		return err
	}
	g := gallery{people: galleryPeople(), table: galleryTable(state)}
	g.errors.Add("gallery-family", Text(r.Context(), "gallery.error-family"))
	g.errors.Add("gallery-born", Text(r.Context(), "gallery.error-born"))
	g.errors.Add("gallery-why", Text(r.Context(), "gallery.error-why"))
	return RenderPart(w, r, g.table.ID, DataTable(g.table), galleryPage(g))
}

type gallery struct {
	people []PersonBanner
	table  Table
	errors FieldErrors
}

// long is text with no place to break it.
func long(n int) string { return strings.Repeat("Wolfeschlegelstein", n/18+1)[:n] }

func galleryPeople() []PersonBanner {
	return []PersonBanner{
		{Family: "Smith", Given: "John", Title: "Mr", Born: format.FHIR("1978-06-05"), Gender: "Male", NHSNumber: "9434765919",
			Address: "1 Trevelyan Square, Boar Lane, Leeds, LS1 6AE", Phone: "01632 960587", Practice: "Riverside Practice",
			Allergies: Allergies{Known: []string{"penicillin (anaphylaxis)", "latex"}}},
		{Family: "O’Brien-Núñez", Given: "Aoife Máire Zoë", Title: "Dr", Born: format.FHIR("2025-01-17"), Gender: "Female", NHSNumber: "9000000009",
			Practice: "Riverside Practice", Allergies: Allergies{NoneKnownOn: format.FHIR("2026-03-03"), NoneKnownBy: "Dr Asha Rao"}},
		{Family: "الأنصاري", Given: "فاطمة", Born: format.FHIR("1950"), Gender: "Female", NHSNumber: "9000000017", Address: "١٢ شارع النيل"},
		{Family: long(180), Given: long(120), Title: "Professor Emeritus", Born: format.FHIR("1931-02-28"), Died: format.FHIR("2026-02-01"),
			Gender: "Not specified", NHSNumber: "9000000025", Address: long(300), LocalName: "Hospital number", LocalNumber: "RX1 004217"},
		{Family: "Hidden", Given: "Rose", Title: "Ms", Born: format.FHIR("1990-11-01"), Gender: "Female", NHSNumber: "9000000033", Restricted: true,
			Allergies: Allergies{Hidden: true}},
		{},
	}
}

func galleryTable(state TableState) Table {
	t := Table{
		ID: "gallery-people", Caption: "People at Riverside Practice", Count: "7 people", State: state, RowHeader: true,
		Columns:    []Column{{Text: "Name", Sort: "name"}, {Text: "Born", Sort: "born", Whole: true}, {Text: "NHS number", Whole: true}, {Text: "Status"}, {Text: "Results", Numeric: true}},
		NextCursor: "n7", PreviousCursor: "p1", CSVURL: GalleryPath,
	}
	names := []string{"SMITH, John (Mr)", "SMYTH, John (Mr)", "O’BRIEN-NÚÑEZ, Aoife Máire Zoë (Dr)", "الأنصاري, فاطمة", strings.ToUpper(long(150)) + ", " + long(150), "D’ARCY, Anne-Marie (Mrs)"}
	similar := SimilarNames(names)
	for i, n := range names {
		status := Tag("Waiting", Yellow)
		if i%2 == 1 {
			status = Tag("Seen", Green)
		}
		number := ""
		if i != 3 {
			number = format.NHSNumber("943476591" + string(rune('0'+i)))
		}
		t.Rows = append(t.Rows, TableRow{SimilarName: similar[i], Cells: []TableCell{
			LinkCell(n, "#maincontent"), Cell("05-Jun-19" + string(rune('0'+i)) + "8"), Cell(number), ShowCell(status), Cell(Number(i * 977)),
		}})
	}
	return t
}

func galleryChart() Chart {
	c := Chart{ID: "gallery-potassium", Title: "Potassium has risen above the reference range since March", XName: "Date", YName: "Potassium (mmol/L)",
		Range: &Range{3.5, 5.3}, RangeAs: "Reference range 3.5 to 5.3 mmol/L"}
	var s Series
	for i, v := range []float64{4.1, 4.3, 4.2, 4.9, 5.2, 5.6} {
		p := Point{Label: []string{"12-Jan-2026", "09-Feb-2026", "02-Mar-2026", "07-Apr-2026", "05-May-2026", "05-Jun-2026"}[i], X: []float64{12, 40, 61, 97, 125, 156}[i], Y: v}
		if v > 5.3 {
			p.Flag, p.Text = "High", "5.6 mmol/L (high)"
		}
		s.Points = append(s.Points, p)
	}
	c.Series = []Series{s}
	return c
}

func galleryBars() Chart {
	c := Chart{ID: "gallery-waits", Title: "Waits at Riverside have halved since January; at Northgate they have not moved", XName: "Month", YName: "People waiting over 18 weeks", Bars: true}
	months := []string{"Jan-2026", "Feb-2026", "Mar-2026", "Apr-2026"}
	for name, values := range map[int][]float64{0: {120, 98, 75, 60}, 1: {80, 84, 79, 81}} {
		s := Series{Name: []string{"Riverside", "Northgate"}[name]}
		for i, v := range values {
			s.Points = append(s.Points, Point{Label: months[i], Y: v})
		}
		if name == 0 {
			c.Series = append([]Series{s}, c.Series...)
		} else {
			c.Series = append(c.Series, s)
		}
	}
	return c
}

func (g gallery) options() []Option {
	return []Option{{"emergency", "An emergency", "The person could come to harm while you wait"}, {"consent", "The person has asked me to", ""}, {"other", "Another reason", ""}}
}

func galleryDay() time.Time { return time.Date(2026, 6, 5, 13, 5, 0, 0, time.UTC) }

// Service serves the catalogue of components, in a demonstration; elsewhere it serves nothing.
func Service(demo bool) catalogue.Service {
	s := catalogue.Service{Name: "components", Summary: "What pages are built from, each with the cases that break layouts."}
	if demo {
		s.Pages = []catalogue.Route{catalogue.Public("GET "+GalleryPath, Gallery)}
	}
	return s
}
