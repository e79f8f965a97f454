package replica

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/format"
)

// deskView is the desk: whom a clerk looks for, who is here already, and, when that is asked for, who they are nationally.
type deskView struct {
	Page     web.Page
	Path     string
	Form     map[string]string
	Born     web.DateValue
	Errors   web.FieldErrors
	Asked    bool
	Table    web.Table
	Down     string // the way to the authority is closed: since when, in plain words
	National string // the address that asks the authority the same question
	Said     string // what the authority said, when it showed nobody
	Found    *foundView
	May      bool // the reader may make somebody a patient
	State    web.TableState
	For      string // the id of a patient without a number, for whom the clerk looks
	wanted   wanted
	number   string
}

// foundView is somebody whom the authority showed.
type foundView struct {
	Name, Number string
	Raw          string
	Facts        []web.Row
	Here         []web.Link // patients of this hospital who have the number
	Restricted   bool

	For, ForName, ForPath, Seen string // the patient without a number for whom this was looked for
}

// deskMost is how many patients of the hospital the desk shows.
const deskMost = 10

// desk finds a patient here first, and nationally when asked to and while that is possible.
func (f *follower) desk(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	v, err := f.openDesk(r, ask)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if len(v.Errors) > 0 {
		status, v.Page.Failed = http.StatusUnprocessableEntity, true
	}
	if status != http.StatusOK {
		return web.Render(w, r, status, deskPage(v))
	}
	return web.RenderPart(w, r, "desk", deskPart(v), deskPage(v))
}

func (f *follower) openDesk(r *http.Request, ask catalogue.Asker) (*deskView, error) {
	ctx := r.Context()
	clone, address := *r, *r.URL
	address.Path = f.path("find")
	clone.URL = &address
	state, err := web.ReadTableState(&clone)
	if err != nil {
		return nil, err
	}
	v := readDesk(ctx, r.URL.Query())
	v.State, v.Path, v.May = state, f.path("find"), mayDecide(ask)
	v.Page = web.Page{Title: web.Text(ctx, "replica.desk.title"), Back: web.Link{Text: web.Text(ctx, "replica.title"), URL: f.path()}}
	l, err := f.link(ctx)
	if err != nil {
		return nil, err
	}
	switch {
	case !l.paused.IsZero():
		v.Down = web.Text(ctx, "replica.away.paused", format.DateTime(l.paused))
	case !l.failing.IsZero():
		v.Down = web.Text(ctx, "replica.desk.down", format.DateTime(l.failing))
	}
	if !v.Asked || len(v.Errors) > 0 {
		return v, nil
	}
	if err := f.here(ctx, ask, v); err != nil {
		return nil, err
	}
	if r.URL.Query().Get("national") == "" {
		v.National = state.With("national", "yes")
		return v, nil
	}
	return v, f.there(ctx, ask, v, l)
}

// readDesk reads the question.
func readDesk(ctx context.Context, q url.Values) *deskView {
	v := &deskView{Form: map[string]string{}, For: q.Get("for")}
	for _, name := range []string{"number", "family", "given", "gender", "postcode"} {
		v.Form[name] = strings.TrimSpace(q.Get(name))
		v.Asked = v.Asked || v.Form[name] != ""
	}
	born, day, ok := web.ReadDate(q, "born")
	v.Born = born
	v.Asked = v.Asked || !born.Empty()
	if !v.Asked {
		return v
	}
	if n := v.Form["number"]; n != "" {
		parsed, err := ident.ParseNHSNumber(n)
		if err != nil {
			v.Errors.Add("number", web.Text(ctx, "patients.find.number-wrong"))
		}
		v.number = parsed.String()
		return v
	}
	switch {
	case !ok:
		v.Errors.Add("born-day", web.Text(ctx, "patients.find.born-wrong"))
	default:
		v.wanted.Born = day.Format(time.DateOnly)
	}
	if len([]rune(v.Form["family"])) < 2 {
		v.Errors.Add("family", web.Text(ctx, "replica.desk.family-missing"))
	}
	v.wanted.Family, v.wanted.Given, v.wanted.Gender, v.wanted.Postcode = v.Form["family"], v.Form["given"], v.Form["gender"], v.Form["postcode"]
	return v
}

// here finds patients of the hospital.
func (f *follower) here(ctx context.Context, ask catalogue.Asker, v *deskView) error {
	scope, err := ask.Scope(access.Search, "Patient")
	if err != nil {
		return err
	}
	params := url.Values{"_count": {itoa(deskMost)}}
	if v.number != "" {
		params.Set("identifier", ident.SystemNHSNumber+"|"+v.number)
	} else {
		params.Set("birthdate", v.wanted.Born)
		params.Set("family", strings.NewReplacer(`\`, `\\`, `,`, `\,`, `|`, `\|`, `$`, `\$`).Replace(v.wanted.Family))
	}
	q, _, err := f.k.Records.ParseQuery("Patient", params, false)
	if err != nil {
		return err
	}
	page, err := f.k.Records.Search(ctx, scope, q)
	if err != nil {
		return err
	}
	v.Table = web.Table{ID: "here", RowHeader: true, State: v.State, Caption: web.Text(ctx, "replica.desk.here", f.name), Columns: []web.Column{{Text: web.Text(ctx, "replica.column.patient")}, {Text: web.Text(ctx, "replica.element.birthDate"), Whole: true},
		{Text: web.Text(ctx, "replica.column.number"), Whole: true}, {Text: web.Text(ctx, "replica.element.address")}},
		Empty: web.Empty{Text: web.Text(ctx, "replica.desk.nobody-here", f.name)}}
	for _, p := range page.Matches {
		v.Table.Rows = append(v.Table.Rows, web.TableRow{Cells: []web.TableCell{web.LinkCell(nameOf(p.Resource), f.chartPath(p.ID)), web.Cell(format.FHIR(p.Resource.Get("birthDate").String()).Date()),
			web.Cell(number(numberOf(p.Resource))), web.ShowCell(lines(saidOf(ctx, p.Resource, "address")))}})
	}
	return nil
}

// there asks the authority.
func (f *follower) there(ctx context.Context, ask catalogue.Asker, v *deskView, l link) error {
	if !l.paused.IsZero() {
		return nil
	}
	a, err := f.question(ctx, v)
	switch {
	case fault.Is(err, fault.Invalid):
		v.Said = fault.MessageOf(err)
		return nil
	case fault.Is(err, fault.Unavailable):
		v.Down = web.Text(ctx, "replica.desk.down-now", fault.MessageOf(err))
		return nil
	case err != nil:
		return err
	}
	switch a.what {
	case nobody:
		v.Said = web.Text(ctx, "replica.desk.nobody-there")
		return nil
	case unusable:
		v.Said = web.Text(ctx, "replica.away.unusable")
		return nil
	case several:
		v.Said = web.Text(ctx, "replica.desk.several")
		return nil
	}
	v.Down = ""
	return f.foundThere(ctx, ask, v, a)
}

// question puts the question to the authority. Error: fault.Unavailable, in plain words, when it does not answer.
func (f *follower) question(ctx context.Context, v *deskView) (a answer, err error) {
	if v.number != "" {
		n, err := ident.ParseNHSNumber(v.number)
		if err != nil {
			return a, err
		}
		a, err = f.read(ctx, n)
		return a, plainly(err)
	}
	a, err = f.find(ctx, v.wanted)
	return a, plainly(err)
}

// foundThere shows somebody whom the authority showed, and whether they are a patient here.
func (f *follower) foundThere(ctx context.Context, ask catalogue.Asker, v *deskView, a answer) error {
	found := &foundView{Name: nameOf(a.person), Number: number(a.number.String()), Raw: a.number.String(), Restricted: restrictedTag(a.person)}
	for _, el := range elements() {
		text := strings.Join(saidOf(ctx, a.person, el.name), "; ")
		if found.Restricted && el.locates {
			text = web.Text(ctx, "replica.withheld")
		}
		if text != "" {
			found.Facts = append(found.Facts, web.Row{Key: web.Text(ctx, "replica.element."+el.name), Text: text})
		}
	}
	have, err := f.rows(ctx, `(number = ? OR survivor = ?) AND hidden = 0`, a.number.String(), a.number.String())
	if err != nil {
		return err
	}
	for _, r := range have {
		found.Here = append(found.Here, web.Link{Text: web.Text(ctx, "replica.desk.is-here"), URL: f.chartPath(r.id)})
	}
	v.Found = found
	if v.For == "" {
		return nil
	}
	one, err := f.rowOf(ctx, v.For)
	if err != nil || one.number != "" {
		return err
	}
	people, err := f.people(ctx, ask, []row{one})
	if err == nil {
		found.For, found.ForName, found.ForPath, found.Seen = one.id, nameOf(people[0].Resource), f.path(one.id), itoa(people[0].Ver)
	}
	return err
}

// register makes a patient of the hospital of somebody whom the authority shows, with a copy of what it says.
func (f *follower) register(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	if err := web.CheckForm(r, r.PostFormValue("number")); err != nil {
		return err
	}
	ctx := r.Context()
	n, err := ident.ParseNHSNumber(r.PostForm.Get("number"))
	if err != nil {
		return err
	}
	a, err := f.read(ctx, n)
	if err != nil {
		return plainly(err)
	}
	if a.what != somebody || a.number != n {
		return fault.New(fault.Conflict, "The national register says something else of this number by now. Look for the person again.")
	}
	if have, err := f.rows(ctx, `number = ?`, n.String()); err != nil || len(have) > 0 {
		if err == nil {
			err = fault.New(fault.Conflict, "Somebody with this NHS number is a patient here already.")
		}
		return err
	}
	patient, err := f.copied(a)
	if err != nil {
		return err
	}
	id, err := f.create(ctx, ask, patient)
	if err != nil {
		return err
	}
	one, err := f.rowOf(ctx, id)
	if err != nil {
		return err
	}
	if err := f.settle(ctx, one, a); err != nil && !record.Moved(err) {
		return err
	}
	return web.SeeOther(w, r, f.chartPath(id))
}

// copied is a new Patient with what the authority says.
func (f *follower) copied(a answer) (*fhir.Resource, error) {
	pairs := []any{"resourceType", "Patient"}
	if c := confidentiality(a.person); c != "" {
		pairs = append(pairs, "meta", fhir.Obj("security", fhir.Arr(fhir.Obj("system", confidentialitySystem, "code", c))))
	}
	pairs = append(pairs, "identifier", fhir.Arr(fhir.Obj("system", ident.SystemNHSNumber, "value", a.number.String())), "active", true)
	for _, name := range []string{"name", "gender", "birthDate", "deceasedDateTime", "deceasedBoolean", "address", "telecom", "generalPractitioner"} {
		if n := a.person.Get(name); n.Exists() {
			pairs = append(pairs, name, n)
		}
	}
	return fhir.Parse(fhir.Obj(pairs...).JSON())
}

// create writes a new Patient for a clerk.
func (f *follower) create(ctx context.Context, ask catalogue.Asker, patient *fhir.Resource) (string, error) {
	if err := f.k.Sound(ctx, patient); err != nil {
		return "", err
	}
	d, err := f.k.Records.Prepare(ctx, record.Change{Verb: record.Create, Ref: f.ref(""), Resource: patient, Reason: "registered from the national register"})
	if err != nil {
		return "", err
	}
	grants, err := ask.Grants(d.Acts()...)
	if err != nil {
		return "", err
	}
	var id string
	err = f.k.Gate.Act(ctx, grants, d.Lanes(), func(tx *store.Tx) error {
		out, err := f.k.Records.Apply(tx, d, grants...)
		id = out.Version.ID
		return err
	})
	return id, err
}
