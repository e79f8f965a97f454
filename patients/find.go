package patients

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/format"
)

const (
	findPage = 20   // people on a page
	findCSV  = 1000 // people in an export at most
	findID   = "people"
)

// wanted is whom somebody looks for, as typed, and what is wrong with what they typed.
type wanted struct {
	Number, Family, Given, Postcode string
	Born                            web.DateValue
	Errors                          web.FieldErrors
	params                          url.Values
}

func (q wanted) empty() bool { return len(q.params) == 0 && len(q.Errors) == 0 }

// readWanted understands what was typed. What cannot be looked for is said beside its field.
func readWanted(ctx context.Context, form url.Values) wanted {
	get := func(name string) string { return strings.TrimSpace(form.Get(name)) }
	q := wanted{Number: get("number"), Family: get("family"), Given: get("given"), Postcode: get("postcode"), params: url.Values{}}
	if q.Number != "" {
		if n, err := ident.ParseNHSNumber(q.Number); err != nil {
			q.Errors.Add("number", web.Text(ctx, "patients.find.number-wrong"))
		} else {
			q.params.Set("identifier", ident.SystemNHSNumber+"|"+n.String())
		}
	}
	for _, n := range [][2]string{{"family", q.Family}, {"given", q.Given}} {
		switch name, typed := n[0], n[1]; {
		case typed == "":
		case len([]rune(typed)) < 2:
			q.Errors.Add(name, web.Text(ctx, "patients.find.name-short"))
		default:
			q.params[name] = escaped(typed)
		}
	}
	typed, day, ok := web.ReadDate(form, "born")
	switch q.Born = typed; {
	case typed.Empty():
	case ok:
		q.params.Set("birthdate", day.Format(time.DateOnly))
	default:
		q.Errors.Add("born", web.Text(ctx, "patients.find.born-wrong"))
	}
	if q.Postcode != "" {
		if pc, err := ident.ParsePostcode(q.Postcode); err == nil {
			q.params.Set("address-postalcode", pc.String())
		} else if len(q.Postcode) >= 2 {
			q.params["address-postalcode"] = escaped(strings.ToUpper(q.Postcode))
		} else {
			q.Errors.Add("postcode", web.Text(ctx, "patients.find.postcode-wrong"))
		}
	}
	return q
}

// escaped is a text as the value of a FHIR search parameter (https://hl7.org/fhir/R4/search.html#escaping).
func escaped(s string) []string {
	return []string{strings.NewReplacer(`\`, `\\`, `,`, `\,`, `|`, `\|`, `$`, `\$`).Replace(s)}
}

// found is what a search shows.
type found struct {
	Wanted wanted
	Tenant catalogue.Tenant
	Others []web.Link
	Table  web.Table
	Asked  bool
	Glass  string // where the glass can be broken for the number that was typed
}

func (f *face) find(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	if !addressed(r) {
		to := base(f.homeOf(ask.Principal).Code) + "/find"
		if r.URL.RawQuery != "" {
			to += "?" + r.URL.RawQuery
		}
		return web.SeeOther(w, r, to)
	}
	ctx := r.Context()
	state, err := web.ReadTableState(whole(r), "name", "born")
	if err != nil {
		return err
	}
	out := found{Tenant: f.tenant(catalogue.TenantOf(r)), Wanted: readWanted(ctx, r.URL.Query())}
	for _, t := range f.within(ask.Principal) {
		if t.Code != out.Tenant.Code {
			out.Others = append(out.Others, link(web.Text(ctx, "patients.find.elsewhere", t.Name), base(t.Code)+"/find?"+r.URL.RawQuery))
		}
	}
	out.Table = f.peopleTable(ctx, state, out.Tenant)
	if out.Wanted.empty() || len(out.Wanted.Errors) > 0 {
		status := http.StatusOK
		if len(out.Wanted.Errors) > 0 {
			status = http.StatusUnprocessableEntity
		}
		return web.Render(w, r, status, findPageView(out))
	}
	scope, err := ask.Scope(access.Search, "Patient")
	if err != nil {
		return err
	}
	if r.URL.Query().Get("format") == "csv" {
		return web.CSV(w, "people", f.peopleColumns(ctx), f.peopleRows(ctx, scope, out, state))
	}
	page, err := f.people(ctx, scope, out.Wanted, state, findPage, state.After())
	if err != nil {
		return err
	}
	out.Asked = true
	f.fill(ctx, &out, page)
	if n := out.Wanted.params.Get("identifier"); n != "" && len(page.Matches) == 0 && ask.Principal.Role != access.Clerk {
		out.Glass = base(out.Tenant.Code) + "/break-glass?number=" + strings.TrimPrefix(n, ident.SystemNHSNumber+"|")
		out.Table.Empty.Link = link(web.Text(ctx, "patients.find.glass"), out.Glass)
	}
	return web.RenderPart(w, r, findID, web.DataTable(out.Table), findPageView(out))
}

// people searches for one page of people.
func (f *face) people(ctx context.Context, scope access.Scope, q wanted, state web.TableState, count int, cursor string) (record.Page, error) {
	params := url.Values{"_count": {fmt.Sprint(count)}, "_total": {"accurate"}}
	for k, v := range q.params {
		params[k] = v
	}
	sort, minus := "family,given", "-family,-given"
	if column, _ := state.Sort(); column == "born" {
		sort, minus = "birthdate,family", "-birthdate,family"
	}
	if _, desc := state.Sort(); desc {
		sort = minus
	}
	params.Set("_sort", sort)
	if cursor != "" {
		params.Set("_cursor", cursor)
	}
	query, _, err := f.k.Records.ParseQuery("Patient", params, false)
	if err != nil {
		return record.Page{}, err
	}
	page, err := f.k.Records.Search(ctx, scope, query)
	if fault.Is(err, fault.TooCostly) {
		return page, fault.Wrap(err, fault.TooCostly, "%s", web.Text(ctx, "patients.find.too-many"))
	}
	return page, err
}

func (f *face) peopleColumns(ctx context.Context) []string {
	var names []string
	for _, key := range []string{"name", "born", "gender", "number", "address"} {
		names = append(names, web.Text(ctx, "patients.find.column."+key))
	}
	return names
}

func (f *face) peopleTable(ctx context.Context, state web.TableState, t catalogue.Tenant) web.Table {
	names := f.peopleColumns(ctx)
	return web.Table{ID: findID, State: state, RowHeader: true, Caption: web.Text(ctx, "patients.find.caption", t.Name),
		Columns: []web.Column{{Text: names[0], Sort: "name", Share: 6}, {Text: names[1], Sort: "born", Whole: true, Share: 4}, {Text: names[2], Share: 2}, {Text: names[3], Whole: true, Share: 3}, {Text: names[4], Share: 6}},
		Empty:   web.Empty{Text: web.Text(ctx, "patients.find.nobody", t.Name), Help: web.Text(ctx, "patients.find.nobody-help")}}
}

func (f *face) fill(ctx context.Context, out *found, page record.Page) {
	names := make([]string, len(page.Matches))
	list := make([]person, len(page.Matches))
	for i, v := range page.Matches {
		list[i] = f.personOf(ctx, out.Tenant, v, access.Place{})
		names[i] = list[i].family() + " " + list[i].given()
	}
	similar := web.SimilarNames(names)
	for i, p := range list {
		b := p.banner()
		row := web.TableRow{SimilarName: similar[i], Cells: []web.TableCell{
			web.ShowCell(nameCell(p, p.formerly(out.Wanted.Family))), web.Cell(bornText(ctx, f, b)), web.Cell(b.Gender), web.Cell(format.NHSNumber(b.NHSNumber)), web.Cell(whereabouts(ctx, b)),
		}}
		out.Table.Rows = append(out.Table.Rows, row)
	}
	out.Table.NextCursor = page.Next
	if page.Total != nil {
		out.Table.Count = web.Count(ctx, "web.people", int(*page.Total))
	}
	out.Table.CSVURL = out.Table.State.With("format", "csv")
}

func bornText(_ context.Context, f *face, b web.PersonBanner) string {
	if !b.Born.Known() {
		return ""
	}
	if b.Dead || b.Died.Known() {
		return b.Born.Date()
	}
	return b.Born.Date() + " (" + format.Age(b.Born, f.k.Clock.Now()) + ")"
}

// whereabouts is an address, or that it is kept from view.
func whereabouts(ctx context.Context, b web.PersonBanner) string {
	if b.Restricted {
		return web.Text(ctx, "patients.find.hidden")
	}
	return b.Address
}

// peopleRows are the rows of an export: as many as the page's filters find, up to findCSV.
func (f *face) peopleRows(ctx context.Context, scope access.Scope, out found, state web.TableState) iter.Seq2[[]string, error] {
	return func(yield func([]string, error) bool) {
		cursor := ""
		for n := 0; n < findCSV; {
			page, err := f.people(ctx, scope, out.Wanted, state, 100, cursor)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, v := range page.Matches {
				p := f.personOf(ctx, out.Tenant, v, access.Place{})
				b := p.banner()
				if !yield([]string{p.display(ctx), bornText(ctx, f, b), b.Gender, format.NHSNumber(b.NHSNumber), whereabouts(ctx, b)}, nil) {
					return
				}
			}
			if n, cursor = n+len(page.Matches), page.Next; cursor == "" {
				return
			}
		}
	}
}
