package patients

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/web"
)

// A correction has two pages before it is made, and one when somebody else was quicker:
//
//	form ── check ──► check your answers ── save ──► the entry, with its history
//	  ▲                  │ change                └── somebody else corrected it meanwhile ──► conflict: what it says now,
//	  └──────────────────┘                              and what was typed, to be checked again

// typed is a correction as it was typed.
type typed struct {
	Title, Given, Family, Gender string
	Born                         web.DateValue
	Lines, Postcode              string
	Phone, Mobile, Email         string
	Reason                       string
	Version                      string
	Errors                       web.FieldErrors
	bornAt                       time.Time
}

// correctView is a page of a correction.
type correctView struct {
	*chart
	Page     web.Page
	Typed    typed
	Changes  []difference
	Hidden   []web.Row
	Conflict bool
	Now      []difference // what somebody else changed meanwhile
}

// typedOf is the form for a person as the record has them.
func typedOf(p person) typed {
	t := typed{Title: p.title(), Given: p.given(), Family: p.family(), Gender: p.patient.Get("gender").String(), Version: strconv.FormatInt(p.version.Ver, 10),
		Postcode: p.address().Field("postalCode").String(), Email: p.telecom("email").Field("value").String()}
	if born, err := time.Parse(time.DateOnly, p.patient.Get("birthDate").String()); err == nil {
		t.Born = web.DateValueOf(born)
	}
	var lines []string
	for l := range p.address().Field("line").Items() {
		lines = append(lines, l.String())
	}
	t.Lines = strings.Join(lines, "\n")
	t.Phone = p.phone(false).Field("value").String()
	t.Mobile = p.phone(true).Field("value").String()
	return t
}

// phone is the first current mobile number, or the first other one.
func (p person) phone(mobile bool) fhir.Node {
	for t := range p.patient.Get("telecom").Items() {
		use := t.Field("use").String()
		if t.Field("system").String() == "phone" && t.Get("period.end").String() == "" && use != "old" && (use == "mobile") == mobile {
			return t
		}
	}
	return fhir.Node{}
}

// readTyped reads the form and says what is wrong with it.
func readTyped(ctx context.Context, form url.Values, now time.Time) typed {
	get := func(name string) string { return strings.Join(strings.Fields(form.Get(name)), " ") }
	t := typed{Title: get("title"), Given: get("given"), Family: get("family"), Gender: get("gender"), Postcode: get("postcode"), Phone: get("phone"), Mobile: get("mobile"), Email: get("email"),
		Reason: strings.TrimSpace(form.Get("reason")), Version: form.Get("version"), Lines: strings.TrimSpace(strings.ReplaceAll(form.Get("lines"), "\r\n", "\n"))}
	wrong := func(field, key string, args ...any) {
		t.Errors.Add(field, web.Text(ctx, "patients.correct."+key, args...))
	}
	for _, n := range [][2]string{{"title", t.Title}, {"given", t.Given}, {"family", t.Family}} {
		if strings.ContainsFunc(n[1], func(r rune) bool { return unicode.IsControl(r) || unicode.IsDigit(r) }) || len([]rune(n[1])) > 100 {
			wrong(n[0], "name-wrong")
		} else if n[1] == "" && n[0] == "family" {
			wrong(n[0], "family-missing")
		}
	}
	var ok bool
	if t.Born, t.bornAt, ok = web.ReadDate(form, "born"); !ok {
		wrong("born", "born-wrong")
	} else if t.bornAt.After(now) {
		wrong("born", "born-future")
	}
	if g := t.Gender; g != "male" && g != "female" && g != "other" && g != "unknown" {
		wrong("gender", "gender-missing")
	}
	if pc, err := ident.ParsePostcode(t.Postcode); t.Postcode != "" && err != nil {
		wrong("postcode", "postcode-wrong")
	} else if err == nil {
		t.Postcode = pc.String()
	}
	for _, n := range [][2]string{{"phone", t.Phone}, {"mobile", t.Mobile}} {
		if digits := strings.Map(func(r rune) rune { return map[bool]rune{true: r, false: -1}[unicode.IsDigit(r)] }, n[1]); n[1] != "" && (len(digits) < 7 || len(digits) > 15) {
			wrong(n[0], "phone-wrong")
		}
	}
	if t.Email != "" && (!strings.Contains(t.Email, "@") || strings.ContainsAny(t.Email, " <>")) {
		wrong("email", "email-wrong")
	}
	if n := len([]rune(t.Reason)); n < reasonMin || n > reasonMax {
		t.Errors.Add("reason", web.Text(ctx, "patients.reason.wrong", reasonMin, reasonMax))
	}
	return t
}

// applied is the person's resource with what was typed, changing nothing that was not.
func (t typed) applied(p person) (*fhir.Resource, error) {
	was := typedOf(p)
	e, root := p.patient.Edit(), p.patient.Root()
	t.editName(e, p, was)
	if t.Born != was.Born {
		e.Set(root, "birthDate", fhir.Of(t.bornAt.Format(time.DateOnly)))
	}
	if t.Gender != was.Gender {
		e.Set(root, "gender", fhir.Of(t.Gender))
	}
	if t.Lines != was.Lines || t.Postcode != was.Postcode {
		var lines []fhir.Value
		for _, l := range strings.Split(t.Lines, "\n") {
			if l = strings.TrimSpace(l); l != "" {
				lines = append(lines, fhir.Of(l))
			}
		}
		if a := p.address(); a.Exists() {
			e.Set(a, "line", fhir.List(lines)).Set(a, "postalCode", fhir.Of(t.Postcode))
		} else {
			e.Set(root, "address", fhir.Arr(fhir.Obj("use", "home", "line", fhir.List(lines), "postalCode", t.Postcode)))
		}
	}
	t.editTelecoms(e, p, was)
	return e.Done()
}

func (t typed) editName(e *fhir.Editor, p person, was typed) {
	if t.Title == was.Title && t.Given == was.Given && t.Family == was.Family {
		return
	}
	strs := func(s string) fhir.Value {
		var all []fhir.Value
		for _, w := range strings.Fields(s) {
			all = append(all, fhir.Of(w))
		}
		return fhir.List(all)
	}
	n := p.name()
	if !n.Exists() {
		e.Set(p.patient.Root(), "name", fhir.Arr(fhir.Obj("use", "usual", "family", t.Family, "given", strs(t.Given), "prefix", strs(t.Title))))
		return
	}
	if t.Given != was.Given {
		e.Set(n, "given", strs(t.Given))
	}
	if t.Family != was.Family {
		e.Set(n, "family", fhir.Of(t.Family))
	}
	if t.Title != was.Title {
		e.Set(n, "prefix", strs(t.Title))
	}
	if n.Field("text").Exists() {
		e.Set(n, "text", fhir.Of(strings.TrimSpace(t.Title+" "+t.Given+" "+t.Family)))
	}
}

func (t typed) editTelecoms(e *fhir.Editor, p person, was typed) {
	list := p.patient.Get("telecom")
	var added []fhir.Value
	gone := 0
	for _, x := range []struct {
		now, was, system, use string
		node                  fhir.Node
	}{{t.Phone, was.Phone, "phone", "home", p.phone(false)}, {t.Mobile, was.Mobile, "phone", "mobile", p.phone(true)}, {t.Email, was.Email, "email", "home", p.telecom("email")}} {
		switch {
		case x.now == x.was:
		case x.now == "":
			gone++
			if gone == list.Len() && len(added) == 0 {
				e.Set(p.patient.Root(), "telecom", fhir.Value{})
				return
			}
			e.Remove(x.node)
		case x.node.Exists():
			e.Set(x.node, "value", fhir.Of(x.now))
		default:
			added = append(added, fhir.Obj("system", x.system, "value", x.now, "use", x.use))
		}
	}
	if !list.Exists() && len(added) > 0 {
		e.Set(p.patient.Root(), "telecom", fhir.List(added))
		return
	}
	for _, v := range added {
		e.Insert(list, list.Len(), v)
	}
}

// hidden are the answers for the check page's form.
func (t typed) hidden() []web.Row {
	return []web.Row{{Key: "title", Text: t.Title}, {Key: "given", Text: t.Given}, {Key: "family", Text: t.Family}, {Key: "gender", Text: t.Gender},
		{Key: "born-day", Text: t.Born.Day}, {Key: "born-month", Text: t.Born.Month}, {Key: "born-year", Text: t.Born.Year},
		{Key: "lines", Text: t.Lines}, {Key: "postcode", Text: t.Postcode}, {Key: "phone", Text: t.Phone}, {Key: "mobile", Text: t.Mobile}, {Key: "email", Text: t.Email},
		{Key: "reason", Text: t.Reason}, {Key: "version", Text: t.Version}}
}

func (f *face) correcting(r *http.Request, ask catalogue.Asker) (*correctView, error) {
	c, err := f.open(r, ask, false)
	if err != nil {
		return nil, err
	}
	if !c.mayChange {
		if !c.related {
			return nil, access.NotHere()
		}
		return nil, fault.New(fault.Forbidden, "%s", web.Text(r.Context(), "patients.correct.cannot", c.person.tenant.Name))
	}
	return &correctView{chart: c, Page: c.page(r.Context(), web.Text(r.Context(), "patients.correct.title"), false)}, nil
}

func (f *face) askCorrect(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	v, err := f.correcting(r, ask)
	if err != nil {
		return err
	}
	v.Typed = typedOf(v.person)
	return web.Render(w, r, http.StatusOK, correctPage(v))
}

func (f *face) correct(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	if err := web.CheckForm(r, r.PathValue("person")); err != nil {
		return err
	}
	v, err := f.correcting(r, ask)
	if err != nil {
		return err
	}
	ctx := r.Context()
	v.Typed = readTyped(ctx, r.PostForm, f.k.Clock.Now())
	if r.PostForm.Get("step") == "edit" {
		v.Typed.Errors = nil
		return web.Render(w, r, http.StatusOK, correctPage(v))
	}
	if len(v.Typed.Errors) > 0 {
		return f.again(w, r, v)
	}
	if v.Typed.Version != strconv.FormatInt(v.person.version.Ver, 10) {
		return f.conflict(w, r, v)
	}
	changed, err := v.Typed.applied(v.person)
	if err != nil {
		return err
	}
	if v.Changes = differences(ctx, v.person.patient, changed); len(v.Changes) == 0 {
		v.Typed.Errors.Add("given", web.Text(ctx, "patients.correct.nothing"))
		return f.again(w, r, v)
	}
	if r.PostForm.Get("step") != "save" {
		v.Hidden = v.Typed.hidden()
		return web.Render(w, r, http.StatusOK, checkPage(v))
	}
	err = f.write(r, ask, record.Change{Verb: record.Put, Ref: v.person.version.Ref, Resource: changed, IfMatch: v.person.version.Ver, Reason: v.Typed.Reason}, v.person.patient)
	if fault.Is(err, fault.PreconditionFailed) {
		if v, err = f.correcting(r, ask); err != nil {
			return err
		}
		v.Typed = readTyped(ctx, r.PostForm, f.k.Clock.Now())
		return f.conflict(w, r, v)
	}
	if err != nil {
		return err
	}
	return web.SeeOther(w, r, v.person.url()+"/record/Patient/"+v.person.id()+"?done=corrected")
}

func (f *face) again(w http.ResponseWriter, r *http.Request, v *correctView) error {
	v.Page.Failed = true
	return web.Render(w, r, http.StatusUnprocessableEntity, correctPage(v))
}

// conflict shows what somebody else changed meanwhile, with what was typed kept.
func (f *face) conflict(w http.ResponseWriter, r *http.Request, v *correctView) error {
	v.Conflict, v.Page.Failed = true, true
	was := typedOf(v.person)
	for _, x := range [][3]string{{"title", was.Title, v.Typed.Title}, {"given", was.Given, v.Typed.Given}, {"family", was.Family, v.Typed.Family}, {"gender", was.Gender, v.Typed.Gender},
		{"born", dateText(was.Born), dateText(v.Typed.Born)}, {"lines", was.Lines, v.Typed.Lines}, {"postcode", was.Postcode, v.Typed.Postcode}, {"phone", was.Phone, v.Typed.Phone}, {"mobile", was.Mobile, v.Typed.Mobile}, {"email", was.Email, v.Typed.Email}} {
		if x[1] != x[2] {
			v.Now = append(v.Now, difference{Name: web.Text(r.Context(), "patients.correct."+x[0]), Before: x[1], After: x[2]})
		}
	}
	v.Typed.Version = was.Version
	return web.Render(w, r, http.StatusConflict, correctPage(v))
}

func dateText(d web.DateValue) string {
	return strings.Trim(cmp.Or(d.Day, "")+" "+d.Month+" "+d.Year, " ")
}
