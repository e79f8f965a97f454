package trace

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/demographics"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/format"
)

// How details are compared.
const (
	asWritten = "exact"
	asItSound = "wide"
)

// wanted is whom somebody traces, as typed, and what is wrong with it.
type wanted struct {
	Number                                                      string
	Family, Given, Gender, Postcode, Phone, Email, Practice, By string
	Past                                                        bool
	Born, BornTo                                                web.DateValue
	Errors                                                      web.FieldErrors

	form url.Values
}

// details reports whether anything but a number was asked for.
func (q wanted) details() bool {
	for name, list := range q.form {
		if name != "number" && name != "step" && name != "by" && name != "past" && name != "format" && name != web.SortParam && strings.Join(list, "") != "" {
			return true
		}
	}
	return false
}

// readWanted reads the question. Text that is only spaces is an error of its field, not a field that was left empty.
func readWanted(ctx context.Context, form url.Values) wanted {
	q := wanted{form: form, By: form.Get("by"), Past: form.Get("past") == "yes", Gender: form.Get("gender"), Number: strings.TrimSpace(form.Get("number"))}
	if q.By != asItSound {
		q.By = asWritten
	}
	for name, to := range map[string]*string{"family": &q.Family, "given": &q.Given, "postcode": &q.Postcode, "phone": &q.Phone, "email": &q.Email, "practice": &q.Practice} {
		*to = strings.TrimSpace(form.Get(name))
	}
	q.Born, _, _ = web.ReadDate(form, "born")
	q.BornTo, _, _ = web.ReadDate(form, "bornto")
	return q
}

// searchFields are the fields of the form and the parameters of the published search that they become.
func searchFields() [][2]string {
	return [][2]string{{"family", "family"}, {"given", "given"}, {"born", "birthdate"}, {"gender", "gender"}, {"postcode", "address-postalcode"}, {"phone", "phone"}, {"email", "email"}, {"practice", "general-practitioner"}}
}

// parameters are the question as the published search asks it. What cannot be read is said beside its field.
func (q *wanted) parameters(ctx context.Context) url.Values {
	p := url.Values{}
	for _, f := range searchFields() {
		if f[0] == "born" {
			q.birth(ctx, p)
			continue
		}
		raw := q.form.Get(f[0])
		text := strings.TrimSpace(raw)
		switch {
		case raw != "" && text == "":
			q.Errors.Add(f[0], web.Text(ctx, "trace.wrong.spaces"))
		case text == "":
		case f[0] == "given":
			p["given"] = strings.Fields(text)
		default:
			p.Set(f[1], text)
		}
	}
	if q.By == asItSound {
		p.Set("_fuzzy-match", "true")
	} else if q.Past {
		p.Set("_history", "true")
	}
	return p
}

// birth is one day, or the two ends of a range.
func (q *wanted) birth(ctx context.Context, p url.Values) {
	from, okFrom := date(q.form, "born")
	to, okTo := date(q.form, "bornto")
	if !q.Born.Empty() && !okFrom {
		q.Errors.Add("born", web.Text(ctx, "trace.wrong.born"))
	}
	if !q.BornTo.Empty() && !okTo {
		q.Errors.Add("bornto", web.Text(ctx, "trace.wrong.born"))
	}
	switch {
	case okFrom && okTo:
		p["birthdate"] = []string{"ge" + from, "le" + to}
	case okFrom:
		p.Set("birthdate", "eq"+from)
	case okTo:
		p.Set("birthdate", "le"+to)
	}
}

func date(form url.Values, name string) (string, bool) {
	_, day, ok := web.ReadDate(form, name)
	return day.Format(time.DateOnly), ok
}

// refused says beside its field why the register does not search; false where the failure is none of the question's.
func (q *wanted) refused(ctx context.Context, err error) bool {
	code, at, diagnostics, ok := demographics.Refused(err)
	if !ok || fault.KindOf(err) != fault.Invalid {
		return false
	}
	field := ""
	for _, f := range searchFields() {
		if f[1] == at {
			field = f[0]
		}
	}
	star := strings.Contains(q.form.Get(field), "*")
	switch {
	case field == "born":
		q.Errors.Add("born", web.Text(ctx, "trace.wrong.born-future"))
	case field != "" && star:
		q.Errors.Add(field, web.Text(ctx, "trace.wrong.star"))
	case (field == "family" || field == "given") && len([]rune(q.form.Get(field))) > 35:
		q.Errors.Add(field, web.Text(ctx, "trace.wrong.name-long"))
	case field != "" && web.HasText("trace.wrong."+field):
		q.Errors.Add(field, web.Text(ctx, "trace.wrong."+field))
	case code == "MISSING_VALUE":
		q.Errors.Add("born", web.Text(ctx, "trace.wrong.born-missing"))
	case strings.Contains(diagnostics, "Wildcards"):
		q.Errors.Add(q.starred(), web.Text(ctx, "trace.wrong.star-wide"))
	case strings.Contains(diagnostics, "make no range"):
		q.Errors.Add("bornto", web.Text(ctx, "trace.wrong.range"))
	case q.By == asItSound:
		q.Errors.Add("given", web.Text(ctx, "trace.wrong.too-little-wide"))
	default:
		q.Errors.Add("family", web.Text(ctx, "trace.wrong.too-little"))
	}
	return true
}

// starred is the first field with a wildcard.
func (q *wanted) starred() string {
	for _, f := range searchFields() {
		if strings.Contains(q.form.Get(f[0]), "*") {
			return f[0]
		}
	}
	return "family"
}

// helps are what would narrow a search that finds too many, of what was not said.
func (q wanted) helps(ctx context.Context) []string {
	var list []string
	for _, f := range []struct {
		name string
		said bool
	}{{"given", q.Given != ""}, {"postcode", q.Postcode != "" && !strings.Contains(q.Postcode, "*")}, {"born", q.BornTo.Empty()}, {"gender", q.Gender != ""},
		{"family", !strings.Contains(q.Family, "*")}, {"phone", q.Phone != "" || q.Email != ""}} {
		if !f.said {
			list = append(list, web.Text(ctx, "trace.help."+f.name))
		}
	}
	return list
}

// findView is the page on which somebody is traced.
type findView struct {
	Wanted  wanted
	Details bool // the form of details is shown
	Asked   bool
	None    string // what to say of a number that nobody has
	TooMany []string
	Wider   string // where the same is asked more widely
	Table   web.Table
}

// trace finds people: by number, then by details as they are written, then as they sound.
func (f *face) trace(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	ctx := r.Context()
	desk, err := f.register.Desk(r, ask)
	if err != nil {
		return err
	}
	state, err := web.ReadTableState(r, byBest, byName, byBorn, byNumber)
	if err != nil {
		return err
	}
	v := findView{Wanted: readWanted(ctx, r.URL.Query())}
	v.Details = v.Wanted.details() || r.URL.Query().Get("step") == "details"
	var people []demographics.Traced
	switch {
	case r.URL.Query().Get("number") != "":
		people, err = f.oneNumber(ctx, desk, &v)
	case v.Wanted.details():
		people, err = f.byDetails(ctx, desk, &v)
	}
	if err != nil {
		return err
	}
	if len(v.Wanted.Errors) > 0 {
		return web.Render(w, r, http.StatusUnprocessableEntity, findPage(v))
	}
	f.inOrder(ctx, people, state)
	if r.URL.Query().Get("format") == "csv" {
		return f.foundCSV(ctx, w, v, people)
	}
	if v.Asked && v.None == "" && v.TooMany == nil {
		if v.Wanted.By == asWritten && v.Wanted.Number == "" {
			v.Wider = state.With("by", asItSound, "past", "", "step", "")
		}
		v.Table = f.foundTable(ctx, ask.Principal, v, people, state)
	}
	return web.Render(w, r, http.StatusOK, findPage(v))
}

// oneNumber looks one number up.
func (f *face) oneNumber(ctx context.Context, desk demographics.Desk, v *findView) ([]demographics.Traced, error) {
	n, err := ident.ParseNHSNumber(v.Wanted.Number)
	if err != nil {
		v.Wanted.Errors.Add("number", web.Text(ctx, "patients.find.number-wrong"))
		return nil, nil //nolint:nilerr // it is said beside the field
	}
	v.Asked = true
	p, err := desk.Read(n.String())
	if fault.Is(err, fault.NotFound) {
		v.None, v.Details = web.Text(ctx, "trace.refused.nobody"), true
		if code, _, _, _ := demographics.Refused(err); code == "INVALIDATED_RESOURCE" {
			v.None = web.Text(ctx, "trace.refused.invalidated")
		}
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	found := demographics.Traced{Person: p, Score: 1, Reasons: []demographics.Reason{{Field: "number", Agreement: demographics.Agrees, Share: 1, Counts: true}}}
	if p.Number != n {
		found.By = n.String()
	}
	return []demographics.Traced{found}, nil
}

// byDetails searches, and takes what the register says against the question for what is wrong with it.
func (f *face) byDetails(ctx context.Context, desk demographics.Desk, v *findView) ([]demographics.Traced, error) {
	params := v.Wanted.parameters(ctx)
	if len(v.Wanted.Errors) > 0 {
		return nil, nil
	}
	people, err := desk.Trace(params)
	if code, _, _, _ := demographics.Refused(err); code == "TOO_MANY_MATCHES" {
		v.Asked, v.TooMany = true, v.Wanted.helps(ctx)
		return nil, nil
	}
	if err != nil && v.Wanted.refused(ctx, err) {
		return nil, nil
	}
	v.Asked = err == nil
	return people, err
}

// foundTable lists who was found, best first, each with its reasons.
func (f *face) foundTable(ctx context.Context, viewer access.Principal, v findView, people []demographics.Traced, state web.TableState) web.Table {
	t := web.Table{ID: "found", State: state, RowHeader: true, Caption: web.Text(ctx, "trace.found"), Count: web.Count(ctx, "web.people", len(people)), CSVURL: state.With("format", "csv"),
		Empty: web.Empty{Text: web.Text(ctx, "trace.none"), Help: web.Text(ctx, "trace.none-help-"+v.Wanted.By)}}
	if v.Wider != "" {
		t.Empty.Link = web.Link{Text: web.Text(ctx, "trace.wider"), URL: v.Wider}
	}
	for i, name := range f.foundColumns(ctx) {
		t.Columns = append(t.Columns, web.Column{Text: name, Whole: i == 3, Share: []int{5, 3, 2, 3, 5, 6}[i], Sort: []string{byName, byBorn, "", byNumber, "", byBest}[i]})
	}
	var names []string
	for _, p := range people {
		n := nameIn(p.Shown)
		names = append(names, n.Field("family").String()+" "+joined(n.Field("given")))
	}
	similar := web.SimilarNames(names)
	for i, p := range people {
		b := f.bannerOf(ctx, p.Person)
		t.Rows = append(t.Rows, web.TableRow{SimilarName: similar[i], Cells: []web.TableCell{
			web.ShowCell(foundName(f.row(ctx, viewer, p, b))), web.Cell(f.bornText(b)), web.Cell(b.Gender), web.Cell(format.NHSNumber(b.NHSNumber)), web.Cell(whereabouts(ctx, b)),
			web.ShowCell(foundWhy(v.Wanted.By == asItSound, score(p.Score), sentences(ctx, p.Reasons)))}})
	}
	return t
}

// By what a list of people found is ordered: the best match first unless somebody asks otherwise.
const (
	byBest   = "best"
	byName   = "name"
	byBorn   = "born"
	byNumber = "number"
)

// inOrder puts people, who come best first, in the order that the list's state asks for.
func (f *face) inOrder(ctx context.Context, people []demographics.Traced, state web.TableState) {
	column, down := state.Sort()
	if column != byBest {
		key := func(p demographics.Traced) string {
			switch column {
			case byBorn:
				return p.Shown.Get("birthDate").String()
			case byNumber:
				return p.Number.String()
			}
			b := f.bannerOf(ctx, p.Person)
			return strings.ToUpper(b.Name(ctx))
		}
		slices.SortStableFunc(people, func(a, b demographics.Traced) int { return strings.Compare(key(a), key(b)) })
	}
	if down {
		slices.Reverse(people)
	}
}

// foundRow is somebody in the list, and where to go from there.
type foundRow struct {
	Name, URL, Superseded string
	Record, Glass, Here   string
	Died                  string
}

func (f *face) row(ctx context.Context, viewer access.Principal, p demographics.Traced, b web.PersonBanner) foundRow {
	number := p.Number.String()
	row := foundRow{Name: b.Name(ctx), URL: tracePath + "/" + number}
	if p.By != "" {
		row.Superseded = format.NHSNumber(p.By)
		row.URL += "?was=" + p.By
	}
	if b.Died.Known() {
		row.Died = b.Died.Date()
	}
	row.Record, row.Glass = f.recordURL(ctx, viewer, p.Person)
	row.Here = f.hereURL(viewer, p.Person)
	return row
}

func (f *face) foundColumns(ctx context.Context) []string {
	var names []string
	for _, key := range []string{"name", "born", "gender", "number", "address"} {
		names = append(names, web.Text(ctx, "patients.find.column."+key))
	}
	return append(names, web.Text(ctx, "trace.why"))
}

func (f *face) bornText(b web.PersonBanner) string {
	switch {
	case !b.Born.Known():
		return ""
	case b.Dead || b.Died.Known():
		return b.Born.Date()
	}
	return b.Born.Date() + " (" + format.Age(b.Born, f.k.Clock.Now()) + ")"
}

func whereabouts(ctx context.Context, b web.PersonBanner) string {
	if b.Restricted {
		return web.Text(ctx, "trace.restricted")
	}
	return b.Address
}

// score is a share of one in per cent.
func score(s float64) string { return strconv.FormatFloat(s*100, 'f', 0, 64) + "%" }

// sentences are reasons in words: "Family name: nearly, Smythe, sounds alike".
func sentences(ctx context.Context, reasons []demographics.Reason) []reasonText {
	var list []reasonText
	for _, r := range reasons {
		s := reasonText{Field: web.Text(ctx, "trace.field."+r.Field), Agreement: r.Agreement, Word: web.Text(ctx, "trace.agreement."+string(r.Agreement))}
		if r.Has != "" && r.Agreement != demographics.NotThere {
			s.More = append(s.More, web.Text(ctx, "trace.has", r.Has))
		}
		if r.How != "" {
			s.More = append(s.More, web.Text(ctx, "trace.how."+r.How))
		}
		if r.Past && r.Agreement != demographics.Formerly {
			s.More = append(s.More, web.Text(ctx, "trace.how.past"))
		}
		s.Share = web.Text(ctx, "trace.decides")
		if r.Counts {
			s.Share = score(r.Share)
		}
		list = append(list, s)
	}
	return list
}

// reasonText is one reason in words.
type reasonText struct {
	Field, Word, Share string
	More               []string
	Agreement          demographics.Agreement
}

func (r reasonText) colour() web.Colour {
	switch r.Agreement {
	case demographics.Agrees:
		return web.Green
	case demographics.Differs:
		return web.Red
	case demographics.NotThere:
		return web.Grey
	}
	return web.Yellow
}

// foundCSV exports the list with its reasons.
func (f *face) foundCSV(ctx context.Context, w http.ResponseWriter, v findView, people []demographics.Traced) error {
	header := append(f.foundColumns(ctx), web.Text(ctx, "trace.score"))
	return web.CSV(w, "traced", header, func(yield func([]string, error) bool) {
		for _, p := range people {
			b := f.bannerOf(ctx, p.Person)
			var why []string
			for _, s := range sentences(ctx, p.Reasons) {
				why = append(why, strings.TrimSpace(fmt.Sprintf("%s: %s %s", s.Field, s.Word, strings.Join(s.More, ", "))))
			}
			if !yield([]string{b.Name(ctx), f.bornText(b), b.Gender, format.NHSNumber(b.NHSNumber), whereabouts(ctx, b), strings.Join(why, "; "), score(p.Score)}, nil) {
				return
			}
		}
	})
}

// recordURL is where the person's record is opened, if this viewer may; or where the glass can be broken for it.
func (f *face) recordURL(ctx context.Context, viewer access.Principal, p demographics.Person) (record, glass string) {
	place := access.Place{Tenant: f.k.National, Chart: p.Number.String(), Type: "Patient", ID: p.Number.String(), Exists: true}
	if p.Restricted {
		place.Label = access.Restricted
	}
	at := "/o/" + f.k.National.String()
	if may, err := f.k.Gate.Would(ctx, viewer, access.Read, place); err == nil && may {
		return at + "/patients/" + p.Number.String(), ""
	}
	if p.Restricted && viewer.Role != access.Clerk {
		return "", at + "/break-glass?number=" + p.Number.String()
	}
	return "", ""
}

// hereURL is where the person is registered with the viewer's own practice; empty where that is nothing that they do, or is so already.
func (f *face) hereURL(viewer access.Principal, p demographics.Person) string {
	if !f.registers(viewer) || p.Restricted || p.Shown.Get("deceasedDateTime").Exists() || p.Shown.Get("generalPractitioner.0.identifier.value").String() == viewer.Organisation.String() {
		return ""
	}
	return tracePath + "/" + p.Number.String() + "/change/" + partPractice
}

// registers reports whether somebody registers people: the clerks and clinicians of a practice.
func (f *face) registers(p access.Principal) bool {
	if p.Role != access.Clerk && p.Role != access.Clinician {
		return false
	}
	for _, t := range f.k.Tenants {
		if t.Code == p.Organisation && t.Kind == "practice" {
			return true
		}
	}
	return false
}
