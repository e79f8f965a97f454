package trace

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/demographics"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/web"
)

// A reason for a change, in characters.
const (
	reasonMin = 5
	reasonMax = 500
)

// changeView is a page of a change: its form, its check, or what somebody else changed meanwhile.
type changeView struct {
	*visit
	Page      web.Page
	Part      part
	Form      url.Values
	Errors    web.FieldErrors
	Version   int64
	Changes   []difference
	AskReason bool // on the check page, where there was no form before it
	Conflict  []difference
	Action    string
	Undoing   bool
}

func (v *changeView) reason() string { return strings.TrimSpace(v.Form.Get("reason")) }

// hidden are the answers for the form of the check page.
func (v *changeView) hidden() [][2]string {
	var list [][2]string
	for _, f := range v.Part.fields {
		names := []string{f.name}
		if f.kind == "date" {
			names = []string{f.name + "-day", f.name + "-month", f.name + "-year"}
		}
		for _, n := range names {
			list = append(list, [2]string{n, v.Form.Get(n)})
		}
	}
	if v.Part.key == partPharmacy {
		list = append(list, [2]string{"pharmacy", v.Form.Get("pharmacy")})
	}
	if !v.AskReason {
		list = append(list, [2]string{"reason", v.reason()})
	}
	return append(list, [2]string{"version", strconv.FormatInt(v.Version, 10)})
}

// asked are the fields that are asked of this viewer.
func (v *changeView) asked() []field {
	var list []field
	for _, f := range v.Part.fields {
		if !f.staff || !v.own {
			list = append(list, f)
		}
	}
	return list
}

// changing opens a change of a request.
func (f *face) changing(r *http.Request, ask catalogue.Asker, key string) (*changeView, error) {
	v, err := f.visits(r, ask)
	if err != nil {
		return nil, err
	}
	ctx := r.Context()
	p, ok := partOf(key)
	switch {
	case !ok || !mayChange(key, v.own):
		return nil, access.NotHere()
	case v.may != nil:
		return nil, fault.New(fault.Forbidden, "%s", web.Text(ctx, v.key("details.cannot")))
	case key == partPractice && !f.registers(v.viewer):
		return nil, fault.New(fault.Forbidden, "%s", web.Text(ctx, "trace.practice.cannot"))
	}
	c := &changeView{visit: v, Part: p, Page: v.page(ctx, web.Text(ctx, v.key("part."+key)), false), Version: v.person.Version.Ver, Action: v.partURL(key)}
	if key == partPharmacy {
		c.Action = v.pharmacyURL()
	}
	return c, nil
}

func (f *face) askChange(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	v, err := f.changing(r, ask, r.PathValue("part"))
	if err != nil {
		return err
	}
	if v.Part.key == partPharmacy {
		return web.SeeOther(w, r, v.pharmacyURL())
	}
	v.Form = v.Part.read(v.person)
	if len(v.Part.fields) == 0 {
		return f.confirm(w, r, v)
	}
	return web.Render(w, r, http.StatusOK, changePage(v))
}

// confirm shows what would change, where nothing has to be typed but the reason.
func (f *face) confirm(w http.ResponseWriter, r *http.Request, v *changeView) error {
	ctx := r.Context()
	v.AskReason = !v.own
	wanted, _, err := f.apply(ctx, v)
	if err != nil {
		return err
	}
	res, err := v.desk.Try(v.person, demographics.Change{Wanted: wanted})
	if err != nil && f.refused(ctx, v, nil, err) == nil {
		return web.Render(w, r, http.StatusUnprocessableEntity, checkPage(v))
	}
	if err != nil {
		return err
	}
	if v.Changes = f.differences(ctx, v.person.Shown, res); len(v.Changes) == 0 {
		v.Errors.Add("", web.Text(ctx, "trace.wrong.nothing"))
	}
	return web.Render(w, r, http.StatusOK, checkPage(v))
}

// apply makes of the record what the form wants.
func (f *face) apply(ctx context.Context, v *changeView) (demographics.Document, map[string]string, error) {
	doc, err := v.person.Document()
	if err != nil {
		return nil, nil, err
	}
	c := &changing{ctx: ctx, doc: doc, form: v.Form, now: f.k.Clock.Now().UTC(), viewer: v.viewer, errors: &v.Errors, places: map[string]string{}}
	v.Part.apply(c)
	return doc, c.places, nil
}

func (f *face) change(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	return f.changed(w, r, ask, r.PathValue("part"))
}

// changed takes a change one step further: back to the form, to the check, or into the register.
func (f *face) changed(w http.ResponseWriter, r *http.Request, ask catalogue.Asker, key string) error {
	number := r.PathValue("person")
	if ask.Principal.Role == access.Patient {
		number = ask.Principal.Person
	}
	if err := web.CheckForm(r, number); err != nil {
		return err
	}
	v, err := f.changing(r, ask, key)
	if err != nil {
		return err
	}
	ctx, step := r.Context(), r.PostForm.Get("step")
	v.Form = r.PostForm
	if step == "edit" {
		return web.Render(w, r, http.StatusOK, changePage(v))
	}
	wanted, places, err := f.apply(ctx, v)
	if err != nil {
		return err
	}
	f.checkReason(ctx, v)
	change := demographics.Change{Version: v.person.Version.Ver, Wanted: wanted, Reason: v.reason(), Also: f.also(v)}
	if v.own {
		change.Reason = web.Text(ctx, "mine.reason")
	}
	if len(v.Errors) == 0 && r.PostForm.Get("version") != strconv.FormatInt(v.person.Version.Ver, 10) {
		return f.conflict(w, r, v)
	}
	var res *fhir.Resource
	if len(v.Errors) == 0 {
		if res, err = v.desk.Try(v.person, change); err != nil {
			if err := f.refused(ctx, v, places, err); err != nil {
				return err
			}
		} else if v.Changes = f.differences(ctx, v.person.Shown, res); len(v.Changes) == 0 {
			v.Errors.Add(firstField(v), web.Text(ctx, "trace.wrong.nothing"))
		}
	}
	if len(v.Errors) > 0 {
		return f.again(w, r, v)
	}
	if step != "save" {
		return web.Render(w, r, http.StatusOK, checkPage(v))
	}
	return f.save(w, r, ask, v, change)
}

func firstField(v *changeView) string {
	if len(v.Part.fields) == 0 {
		return ""
	}
	return v.asked()[0].name
}

// save makes the change; when somebody else was quicker, both are shown.
func (f *face) save(w http.ResponseWriter, r *http.Request, ask catalogue.Asker, v *changeView, change demographics.Change) error {
	ctx := r.Context()
	_, err := v.desk.Amend(v.person, change)
	if demographics.VersionMoved(err) {
		form := v.Form
		if v, err = f.changing(r, ask, v.Part.key); err != nil {
			return err
		}
		v.Form = form
		return f.conflict(w, r, v)
	}
	if err != nil {
		if err := f.refused(ctx, v, nil, err); err != nil {
			return err
		}
		return f.again(w, r, v)
	}
	done := "changed"
	if v.Part.key == partPharmacy || v.Part.key == partPractice {
		done = v.Part.key
	}
	if v.Part.key == partPractice {
		if v.visit, err = f.visits(r, ask); err != nil {
			return err
		}
		if _, err := f.begin(ctx, ask, v.visit); err != nil {
			f.k.Logger.WarnContext(ctx, "a record at the practice was not begun", "kind", fault.KindOf(err).String()) // the details say so, with a button
		}
	}
	if v.own && v.Part.key == partPharmacy {
		return web.SeeOther(w, r, pharmacyPath+"?done="+done)
	}
	return web.SeeOther(w, r, v.url()+"?done="+done)
}

// also is what a change brings with it, in its own commit: whoever registers a person looks after them from then on, and the practice
// that they left no longer does.
func (f *face) also(v *changeView) func(*store.Tx, demographics.Person) error {
	if v.Part.key != partPractice {
		return nil
	}
	return func(tx *store.Tx, p demographics.Person) error {
		r := access.Relationship{Tenant: f.k.National, Chart: p.Version.Chart, Organisation: v.viewer.Organisation, Kind: access.KindRegistered, Basis: "registered through the national register", By: v.viewer.ID}
		if err := f.k.Gate.Relate(tx, r); err != nil {
			return err
		}
		left, err := ident.ParseODSCode(p.Version.Resource.Get("generalPractitioner.0.identifier.value").String())
		if err != nil || left == r.Organisation {
			return nil //nolint:nilerr // there was no practice to leave
		}
		r.Organisation = left
		if err := f.k.Gate.EndRelation(tx, r); err != nil && !fault.Is(err, fault.NotFound) {
			return err
		}
		return nil
	}
}

// checkReason looks at the reason, which staff must give.
func (f *face) checkReason(ctx context.Context, v *changeView) {
	if n := utf8.RuneCountInString(v.reason()); !v.own && (n < reasonMin || n > reasonMax) {
		v.Errors.Add("reason", web.Text(ctx, "patients.reason.wrong", reasonMin, reasonMax))
	}
}

// again shows the form with what is wrong with it.
func (f *face) again(w http.ResponseWriter, r *http.Request, v *changeView) error {
	v.Page.Failed = true
	if len(v.Part.fields) == 0 {
		v.AskReason = !v.own
		if wanted, _, err := f.apply(r.Context(), v); err == nil {
			if res, err := v.desk.Try(v.person, demographics.Change{Wanted: wanted}); err == nil {
				v.Changes = f.differences(r.Context(), v.person.Shown, res)
			}
		}
		return web.Render(w, r, http.StatusUnprocessableEntity, checkPage(v))
	}
	return web.Render(w, r, http.StatusUnprocessableEntity, changePage(v))
}

// conflict shows what the record says now beside what was typed, which is kept.
func (f *face) conflict(w http.ResponseWriter, r *http.Request, v *changeView) error {
	ctx := r.Context()
	v.Page.Failed, v.AskReason = true, len(v.Part.fields) == 0 && !v.own
	now := v.Part.read(v.person)
	for _, x := range v.asked() {
		if was, typed := x.value(ctx, now), x.value(ctx, v.Form); x.name != "kind" && was != typed {
			v.Conflict = append(v.Conflict, difference{web.Text(ctx, v.key("field."+x.name)), was, typed})
		}
	}
	if len(v.Part.fields) == 0 {
		v.Errors.Add("", web.Text(ctx, "patients.correct.conflict"))
		return f.again(w, r, v)
	}
	return web.Render(w, r, http.StatusConflict, changePage(v))
}

// value is the answer to a question, as a text.
func (x field) value(ctx context.Context, form url.Values) string {
	if x.kind == "date" {
		d, _, _ := web.ReadDate(form, x.name)
		return strings.TrimSpace(d.Day + " " + d.Month + " " + d.Year)
	}
	if x.options != nil {
		for _, o := range x.options(ctx) {
			if o.Value == form.Get(x.name) {
				return o.Text
			}
		}
	}
	return strings.TrimSpace(strings.ReplaceAll(form.Get(x.name), "\r\n", "\n"))
}

// refused says beside its field what the register has against a change; any other failure is handed back.
func (f *face) refused(ctx context.Context, v *changeView, places map[string]string, err error) error {
	code, at, diagnostics, ok := demographics.Refused(err)
	if !ok || !fault.Is(err, fault.Invalid) && !fault.Is(err, fault.Forbidden) {
		return err
	}
	name, longest := "", -1
	for prefix, field := range places {
		if (at == prefix || strings.HasPrefix(at, prefix+"/")) && len(prefix) > longest {
			name, longest = field, len(prefix)
		}
	}
	key := "trace.wrong." + name
	switch typed := v.Form.Get(name); {
	case name == "born" && at == "birthDate":
		key = "trace.wrong.born-future"
	case name == "born", name == "died":
		key = "trace.wrong.died"
	case (name == "family" || name == "given") && len([]rune(typed)) > 35:
		key = "trace.wrong.name-long"
	case name == "lines" && code == "TOO_MANY_VALUES_SUBMITTED":
		key = "trace.wrong.lines-many"
	}
	if name == "" || !web.HasText(key) {
		for _, begin := range []string{"Invalid update with error - ", "Forbidden update with error - ", "Invalid patch - "} {
			diagnostics = strings.TrimPrefix(diagnostics, begin)
		}
		v.Errors.Add("", web.Text(ctx, "trace.wrong.rule", diagnostics))
		return nil
	}
	v.Errors.Add(name, web.Text(ctx, key))
	return nil
}

// undoing opens the undoing of the newest change.
func (f *face) undoing(r *http.Request, ask catalogue.Asker) (*changeView, demographics.Document, error) {
	v, err := f.visits(r, ask)
	if err != nil {
		return nil, nil, err
	}
	ctx := r.Context()
	if v.may != nil {
		return nil, nil, fault.New(fault.Forbidden, "%s", web.Text(ctx, "trace.details.cannot"))
	}
	past, _, err := v.desk.History(v.person, 2)
	if err != nil {
		return nil, nil, err
	}
	if len(past) < 2 || past[1].Resource == nil {
		return nil, nil, fault.New(fault.NotFound, "%s", web.Text(ctx, "trace.undo.none"))
	}
	wanted, err := demographics.DocumentOf(past[1].Resource)
	if err != nil {
		return nil, nil, err
	}
	c := &changeView{visit: v, Page: v.page(ctx, web.Text(ctx, "trace.undo.title"), false), Version: v.person.Version.Ver, Action: v.url() + "/undo", AskReason: true, Undoing: true, Form: url.Values{}}
	res, err := v.desk.Try(v.person, demographics.Change{Wanted: wanted})
	if err != nil {
		return c, wanted, f.refused(ctx, c, nil, err)
	}
	c.Changes = f.differences(ctx, v.person.Shown, res)
	return c, wanted, nil
}

func (f *face) askUndo(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	v, _, err := f.undoing(r, ask)
	if err != nil {
		return err
	}
	return web.Render(w, r, http.StatusOK, checkPage(v))
}

func (f *face) undo(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	if err := web.CheckForm(r, r.PathValue("person")); err != nil {
		return err
	}
	v, wanted, err := f.undoing(r, ask)
	if err != nil {
		return err
	}
	v.Form = r.PostForm
	f.checkReason(r.Context(), v)
	if r.PostForm.Get("version") != strconv.FormatInt(v.Version, 10) {
		v.Errors.Add("", web.Text(r.Context(), "patients.correct.conflict"))
	}
	if len(v.Errors) == 0 {
		_, err := v.desk.Amend(v.person, demographics.Change{Version: v.Version, Wanted: wanted, Reason: v.reason()})
		if err == nil {
			return web.SeeOther(w, r, v.url()+"?done=undone")
		}
		if demographics.VersionMoved(err) {
			v.Errors.Add("", web.Text(r.Context(), "patients.correct.conflict"))
		} else if err := f.refused(r.Context(), v, nil, err); err != nil {
			return err
		}
	}
	v.Page.Failed = true
	return web.Render(w, r, http.StatusUnprocessableEntity, checkPage(v))
}
