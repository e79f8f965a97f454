package web_test

import (
	"context"
	"html"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/a-h/templ"

	"github.com/openspine/openspine/internal/clock"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/format"
)

var tags = regexp.MustCompile(`<[^>]*>`)

// read is what a component says, without its marks.
func read(t *testing.T, c templ.Component) string {
	t.Helper()
	s := site(t, web.Options{Clock: clock.NewFake(time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC))})
	var b strings.Builder
	if err := c.Render(web.WithSite(context.Background(), s), &b); err != nil {
		t.Fatal(err)
	}
	return strings.Join(strings.Fields(html.UnescapeString(tags.ReplaceAllString(b.String(), " "))), " ")
}

func TestTheBannerSaysWhoItIs(t *testing.T) {
	for name, c := range map[string]struct {
		person    web.PersonBanner
		says      []string
		saysNot   []string
		rendering string
	}{
		"everything known": {
			person: web.PersonBanner{Family: "Smith", Given: "John", Title: "Mr", Born: format.FHIR("1978-06-05"), Gender: "Male", NHSNumber: "9434765919",
				Address: "1 High Street", Phone: "01632 960587", Practice: "Riverside", Allergies: web.Allergies{Known: []string{"penicillin", "latex"}}},
			says: []string{"SMITH, John (Mr)", "Born 05-Jun-1978 (48y)", "Gender Male", "NHS number 943 476 5919", "Address 1 High Street", "Phone 01632 960587",
				"Practice Riverside", "Allergies: penicillin; latex"},
			saysNot: []string{"Died", "Restricted"},
		},
		"nothing known": {
			says:    []string{"Name not recorded", "Born not recorded", "Gender not recorded", "NHS number not recorded", "Allergies not recorded"},
			saysNot: []string{"none", "None", "No known"},
		},
		"no known allergies, and who says so": {
			person: web.PersonBanner{Allergies: web.Allergies{NoneKnownOn: format.FHIR("2026-03-03"), NoneKnownBy: "Dr Rao"}},
			says:   []string{"No known allergies recorded 03-Mar-2026 by Dr Rao"},
		},
		"allergies that may not be seen": {
			person:  web.PersonBanner{Allergies: web.Allergies{Hidden: true, Known: []string{"penicillin"}}},
			says:    []string{"Allergies are recorded where you may not look"},
			saysNot: []string{"penicillin", "not recorded by"},
		},
		"dead": {
			person:  web.PersonBanner{Family: "Old", Born: format.FHIR("1931-02-28"), Died: format.FHIR("2026-02-01")},
			says:    []string{"Born 28-Feb-1931", "Died 01-Feb-2026 (aged 94y)"},
			saysNot: []string{"(95y)"},
		},
		"dead, and the day is not known": {
			person:  web.PersonBanner{Born: format.FHIR("1931-02-28"), Dead: true},
			says:    []string{"Died, date not recorded"},
			saysNot: []string{"y)"},
		},
		"dead in a year": {
			person: web.PersonBanner{Born: format.FHIR("1931-02-28"), Died: format.FHIR("2020")},
			says:   []string{"Died 2020"}, saysNot: []string{"aged"},
		},
		"restricted": {
			person:  web.PersonBanner{Family: "Hidden", Address: "12 Secret Lane", Phone: "01632 960111", Practice: "Secret Surgery", Restricted: true},
			says:    []string{"Restricted record. Address, phone and practice are kept from view"},
			saysNot: []string{"Secret", "01632"},
		},
		"somebody who writes code for a name": {
			person: web.PersonBanner{Family: `<script>alert(1)</script>`, Given: `"onmouseover=x`},
			says:   []string{`<SCRIPT>ALERT(1)</SCRIPT>, "onmouseover=x`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := read(t, web.Banner(c.person))
			for _, want := range c.says {
				if !strings.Contains(got, want) {
					t.Errorf("it does not say %q: %s", want, got)
				}
			}
			for _, not := range c.saysNot {
				if strings.Contains(got, not) {
					t.Errorf("it says %q: %s", not, got)
				}
			}
		})
	}
}

func TestAFormNamesThePersonAndCarriesTheToken(t *testing.T) {
	var b strings.Builder
	ctx := web.WithViewer(web.WithSite(context.Background(), site(t, web.Options{})), web.Viewer{Session: "s"})
	form := web.Form{Action: "/correct", Person: "9434765919", PersonName: "SMITH, John (Mr)", Submit: "Save"}
	if err := web.FormFor(form).Render(ctx, &b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`name="person" value="9434765919"`, `name="form-token" value="` + web.FormToken(ctx, "9434765919") + `"`, "SMITH, John (Mr)", `method="post"`,
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the form lacks %s:\n%s", want, b.String())
		}
	}
	if web.FormToken(ctx, "9434765919") == web.FormToken(ctx, "9000000009") {
		t.Error("two people's forms carry the same token")
	}
}

func TestALinkCannotBeAScript(t *testing.T) {
	var b strings.Builder
	row := web.TableRow{Cells: []web.TableCell{web.LinkCell("x", `javascript:alert(1)`), web.LinkCell("y", `"><script>`)}}
	if err := web.DataTable(web.Table{ID: "t", Columns: []web.Column{{Text: "a"}, {Text: "b"}}, Rows: []web.TableRow{row}}).Render(context.Background(), &b); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), "javascript:") || strings.Contains(b.String(), "<script>") {
		t.Errorf("a link runs a script:\n%s", b.String())
	}
}

func BenchmarkPageOf100People(b *testing.B) {
	s, err := web.New(web.Options{})
	if err != nil {
		b.Fatal(err)
	}
	ctx := web.WithViewer(web.WithSite(context.Background(), s), web.Viewer{Name: "Dr Asha Rao", Role: "Clinician"})
	t := web.Table{ID: "people", Caption: "People", Columns: []web.Column{{Text: "Name", Sort: "name"}, {Text: "Born"}, {Text: "NHS number"}}}
	for range 100 {
		t.Rows = append(t.Rows, web.TableRow{Cells: []web.TableCell{web.LinkCell("SMITH, John (Mr)", "/p/1"), web.Cell("05-Jun-1978"), web.Cell("943 476 5919")}})
	}
	for b.Loop() {
		var out strings.Builder
		page := web.Shell(web.Page{Title: "People", Person: &web.PersonBanner{Family: "Smith", Born: format.FHIR("1978-06-05")}})
		if err := page.Render(templ.WithChildren(ctx, web.DataTable(t)), &out); err != nil {
			b.Fatal(err)
		}
	}
}

// withChildren is a component with another inside it, as a template writes it with braces.
func withChildren(outer, inner templ.Component) templ.Component {
	return templ.ComponentFunc(func(ctx context.Context, w io.Writer) error {
		return outer.Render(templ.WithChildren(ctx, inner), w)
	})
}
