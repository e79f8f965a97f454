package directory

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/web"
)

// keptKind is a kind of thing in the directory that is kept by page: what is asked about it, how its resource answers, and what the answers write.
type keptKind struct {
	key, typ  string
	questions []asking
	// answers are what a resource says, by the names of the questions.
	answers func(res *fhir.Resource) map[string]string
	// members are what answers write, over what stood there (nil for something new).
	members func(f *keptForm, old *fhir.Resource) []member
	// status is the element that says whether it is in use, and its values for yes and no.
	status  string
	on, off fhir.Value
}

// asking is one field of a form; its words are directory.keep.field.NAME.
type asking struct {
	name     string
	kind     string // text, area, select, date or number
	required bool
	once     bool // asked when it is new, and fixed afterwards
	width    int
	hint     bool
}

// The kinds of thing that are kept by page.
const (
	keptService  = "service"
	keptPlace    = "place"
	keptEndpoint = "endpoint"
	keptDevice   = "device"
	keptPost     = "post"
	keptSite     = "site"
)

// keptKinds are services, places, endpoints, accredited systems and posts. Organisations and sites are kept by their facts (keep_site.go).
func keptKinds() []keptKind {
	opened := asking{name: "opened", kind: "date"}
	interactions := asking{name: "interactions", kind: "area", required: true, hint: true}
	return []keptKind{
		{key: keptService, typ: "HealthcareService", status: "active", on: fhir.Of(true), off: fhir.Of(false), answers: serviceAnswers, members: serviceMembers, questions: []asking{
			{name: "name", required: true, width: 30}, {name: "specialty", kind: "select", required: true}, {name: "kind", width: 20, hint: true}, {name: "place", kind: "select"},
			{name: "wait", kind: "number", width: 4, hint: true}, {name: "sex", kind: "select"}, {name: "youngest", kind: "number", width: 3, hint: true}, {name: "oldest", kind: "number", width: 3},
			{name: "languages", width: 30, hint: true}, {name: "criteria", kind: "area", hint: true}, {name: "phone", width: 20}, {name: "comment", kind: "area"}, opened}},
		{key: keptPlace, typ: "Location", status: "status", on: fhir.Of("active"), off: fhir.Of("inactive"), answers: placeAnswers, members: placeMembers,
			questions: []asking{{name: "name", required: true, width: 30}, {name: "phone", width: 20}, opened}},
		{key: keptEndpoint, typ: "Endpoint", status: "status", on: fhir.Of("active"), off: fhir.Of("off"), answers: systemAnswers, members: endpointMembers,
			questions: []asking{{name: "address", required: true, width: 30, hint: true}, {name: "connection", kind: "select", required: true}, {name: "party", width: 20}, interactions, opened}},
		{key: keptDevice, typ: "Device", status: "status", on: fhir.Of("active"), off: fhir.Of("inactive"), answers: systemAnswers, members: deviceMembers,
			questions: []asking{{name: "asid", required: true, width: 20, hint: true}, {name: "party", width: 20}, {name: "maker", width: 10, hint: true}, interactions, opened}},
		{key: keptPost, typ: "PractitionerRole", status: "active", on: fhir.Of(true), off: fhir.Of(false), answers: postAnswers, members: postMembers,
			questions: []asking{{name: "practitioner", required: true, once: true, width: 20, hint: true}, {name: "job", kind: "select", required: true}, {name: "prescriber", kind: "select"}, opened}},
	}
}

func keptKindOf(key string) (keptKind, error) {
	all := append(keptKinds(), siteKind())
	i := slices.IndexFunc(all, func(k keptKind) bool { return k.key == key })
	if i < 0 {
		return keptKind{}, fault.New(fault.NotFound, "The directory keeps no such thing by page.")
	}
	return all[i], nil
}

// keptForm is a form being filled in: what it is about, and what was answered.
type keptForm struct {
	Kind    keptKind
	ID      string
	At      ident.ODSCode // whose it is
	Version int64         // that was seen; 0 for something new
	Answers map[string]string
	Days    map[string]web.DateValue
	Errors  web.FieldErrors
	Reason  string
	Choices map[string][]web.Option
	today   Day
}

// The bounds of a reason, in characters, and of any other answer.
const (
	reasonLeast, reasonMost = 5, 500
	answerMost              = 1000
)

// read takes the answers from a form and looks at each.
func (f *keptForm) read(ctx context.Context, form url.Values) {
	if f.Answers == nil {
		f.Answers = map[string]string{}
	}
	f.Days = map[string]web.DateValue{}
	for _, q := range f.Kind.questions {
		if q.once && f.Version > 0 {
			continue
		}
		wrong := func(key string) { f.Errors.Add(q.name, web.Text(ctx, "directory.keep.wrong."+key)) }
		if q.kind == "date" {
			v, day, ok := web.ReadDate(form, q.name)
			f.Days[q.name] = v
			f.Answers[q.name] = ""
			switch {
			case v.Empty():
			case !ok || day.Year() < 1800:
				wrong("date")
			default:
				f.Answers[q.name] = string(DayOf(day))
			}
			continue
		}
		text := strings.TrimSpace(strings.ReplaceAll(form.Get(q.name), "\r\n", "\n"))
		f.Answers[q.name] = text
		n, err := strconv.Atoi(text)
		switch {
		case text == "" && q.required:
			wrong(q.name)
		case utf8.RuneCountInString(text) > answerMost || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' && r != '\n' || r == 0x7f }):
			wrong("long")
		case q.kind == "number" && text != "" && (err != nil || n < 0 || n > 1000):
			wrong("number")
		case q.kind == "select" && text != "" && !slices.ContainsFunc(f.Choices[q.name], func(o web.Option) bool { return o.Value == text }):
			wrong("choice")
		}
	}
	f.readReason(ctx, form)
	f.check(ctx)
}

// check looks at answers beside one another, and at those of a form of their own.
func (f *keptForm) check(ctx context.Context) {
	wrong := func(field, key string) {
		if f.Errors.Of(field) == "" {
			f.Errors.Add(field, web.Text(ctx, "directory.keep.wrong."+key))
		}
	}
	young, old := numberOr(f.Answers["youngest"]), numberOr(f.Answers["oldest"])
	if young >= 0 && old >= 0 && old < young {
		wrong("oldest", "oldest")
	}
	if a := f.Answers["address"]; f.Kind.key == keptEndpoint && a != "" {
		if u, err := url.Parse(a); err != nil || !slices.Contains([]string{"http", "https", "mllp", "mesh"}, u.Scheme) || u.Host == "" {
			wrong("address", "address")
		}
	}
	if a := f.Answers["asid"]; a != "" && (len(a) > 12 || strings.Trim(a, "0123456789") != "") {
		wrong("asid", "asid")
	}
	if m := f.Answers["maker"]; m != "" {
		if _, err := ident.ParseODSCode(m); err != nil {
			wrong("maker", "maker")
		}
	}
	for _, i := range lines(f.Answers["interactions"]) {
		if strings.ContainsAny(i, " \t") || !strings.HasPrefix(i, "urn:") {
			wrong("interactions", "interactions")
		}
	}
}

func (f *keptForm) readReason(ctx context.Context, form url.Values) {
	f.Reason = strings.TrimSpace(form.Get("reason"))
	if n := utf8.RuneCountInString(f.Reason); n < reasonLeast || n > reasonMost {
		f.Errors.Add("reason", web.Text(ctx, "directory.keep.wrong.reason", reasonLeast, reasonMost))
	}
}

// lines are the lines of a text that say something.
func lines(text string) (list []string) {
	for l := range strings.Lines(text) {
		if l = strings.TrimSpace(l); l != "" {
			list = append(list, l)
		}
	}
	return list
}

func numberOr(text string) int {
	if n, err := strconv.Atoi(text); err == nil {
		return n
	}
	return -1
}

func numberText(n int) string {
	if n < 0 {
		return ""
	}
	return itoa(n)
}

// spanOf is since when and until when something is in use: its own period, or the one that the register's extension holds.
func spanOf(res *fhir.Resource) Span {
	if n := res.Get("period"); n.Exists() {
		return readSpan(n)
	}
	for e := range res.Get("extension").Items() {
		if e.Get("url").String() == extensionRegister {
			return readSpan(part(e, "period").Get("valuePeriod"))
		}
	}
	return Span{}
}

// spanMembers say a span: in period where the type has one, or else in the register's extension, beside extensions.
func (k keptKind) spanMembers(s Span, old *fhir.Resource, own map[string]bool, extensions ...fhir.Value) []member {
	all := kept(old, "extension", func(n fhir.Node) bool {
		u := n.Get("url").String()
		return own[u] || u == extensionRegister && part(n, "period").Exists()
	})
	all = append(all, extensions...)
	if k.typ == "PractitionerRole" || k.typ == "Endpoint" {
		return []member{{"extension", fhir.List(all)}, {"period", s.value()}}
	}
	if s != (Span{}) {
		all = append(all, fhir.Obj("url", extensionRegister, "extension", fhir.Arr(fhir.Obj("url", "period", "valuePeriod", s.value()))))
	}
	return []member{{"extension", fhir.List(all)}}
}

// kept are the entries of a list of old that gone does not take.
func kept(old *fhir.Resource, name string, gone func(fhir.Node) bool) (list []fhir.Value) {
	if old == nil {
		return nil
	}
	for n := range old.Get(name).Items() {
		if !gone(n) {
			list = append(list, fhir.Of(n))
		}
	}
	return list
}

// overlay is a resource with some members in the place of those it had; the rest of the document stays as it is.
func overlay(old *fhir.Resource, members []member) (*fhir.Resource, error) {
	e := old.Edit()
	for _, m := range members {
		e.Set(old.Root(), m.name, m.value)
	}
	return e.Done()
}

// made is the resource that a form makes: new, or what stood there with the answers in the place of what they are about.
func (f *keptForm) made(old *fhir.Resource) (*fhir.Resource, error) {
	members := append(f.Kind.members(f, old), f.spans(old)...)
	if old == nil {
		return newResource(f.Kind.typ, f.ID, append(members, member{f.Kind.status, f.Kind.on}))
	}
	return overlay(old, members)
}

// spans are the members that say since when, and the extensions of the kind.
func (f *keptForm) spans(old *fhir.Resource) []member {
	s := Span{From: Day(f.Answers["opened"])}
	if old != nil {
		s.To = spanOf(old).To
	}
	own := map[string]bool{}
	var extensions []fhir.Value
	switch f.Kind.key {
	case keptService:
		own[extensionWait] = true
		if n := numberOr(f.Answers["wait"]); n >= 0 {
			extensions = append(extensions, fhir.Obj("url", extensionWait, "valueDuration", fhir.Obj("value", n, "unit", "days", "system", "http://unitsofmeasure.org", "code", "d")))
		}
	case keptEndpoint, keptDevice:
		own[extensionInteraction] = true
		for _, i := range lines(f.Answers["interactions"]) {
			extensions = append(extensions, referenceExtension(extensionInteraction, systemInteraction, i))
		}
		if f.Kind.key == keptDevice {
			own[extensionMaker] = true
			if m := f.Answers["maker"]; m != "" {
				extensions = append(extensions, referenceExtension(extensionMaker, ident.SystemODSCode, strings.ToUpper(m)))
			}
		}
	}
	return f.Kind.spanMembers(s, old, own, extensions...)
}

func referenceExtension(url, system, value string) fhir.Value {
	return fhir.Obj("url", url, "valueReference", fhir.Obj("identifier", fhir.Obj("system", system, "value", value)))
}

// closed is the resource with its last day: closed where that is over or is today, in use until then where it lies ahead, and in use without end where day is empty.
func (k keptKind) closed(old *fhir.Resource, day, today Day) (*fhir.Resource, error) {
	s, state := spanOf(old), k.on
	if s.To = day; day.Known() && day <= today {
		state = k.off
	}
	return overlay(old, append(k.spanMembers(s, old, nil), member{k.status, state}))
}

// inUse reports whether a resource of the kind is in use.
func (k keptKind) inUse(res *fhir.Resource) bool {
	n := res.Get(k.status)
	return !n.Exists() || n.String() != strings.Trim(string(k.off.JSON()), `"`)
}

// choices are the options of a kind's lists, for an organisation.
func (d *Directory) choices(ctx context.Context, k keptKind, at ident.ODSCode) (map[string][]web.Option, error) {
	none := web.Option{Value: "", Text: web.Text(ctx, "directory.keep.none")}
	named := func(list []code, coded bool) []web.Option {
		options := []web.Option{none}
		for _, c := range list {
			text := c.Name
			if coded {
				text = fmt.Sprintf("%s (%s)", c.Name, c.Code)
			}
			options = append(options, web.Option{Value: c.Code, Text: text})
		}
		return options
	}
	switch k.key {
	case keptService:
		places := []web.Option{none}
		err := d.k.DB.Read(ctx, func(tx *store.Tx) error {
			list, err := texts(tx, `SELECT id, name FROM directory_place WHERE organisation = ? AND active = 1 ORDER BY name, id LIMIT 200`, 2, at.String())
			places = places[:1]
			for _, row := range list {
				places = append(places, web.Option{Value: row[0], Text: row[1]})
			}
			return err
		})
		sexes := []web.Option{{Value: "", Text: web.Text(ctx, "directory.keep.anybody")}, {Value: "female", Text: web.Text(ctx, "directory.sex.female")}, {Value: "male", Text: web.Text(ctx, "directory.sex.male")}}
		return map[string][]web.Option{"specialty": named(specialties, false), "place": places, "sex": sexes}, err
	case keptEndpoint:
		return map[string][]web.Option{"connection": named(connections, false)}, nil
	case keptPost:
		return map[string][]web.Option{"job": named(jobRoleCodes(), true), "prescriber": named(prescriberCodes(), true)}, nil
	case keptSite:
		return map[string][]web.Option{"role": named(siteRoles(), false)}, nil
	}
	return map[string][]web.Option{}, nil
}

// dateValue is a day for a form.
func dateValue(d Day) web.DateValue {
	if t, err := time.Parse(time.DateOnly, string(d)); err == nil {
		return web.DateValueOf(t)
	}
	return web.DateValue{}
}

// field is a question as a field of a page.
func (v keepView) field(ctx context.Context, q asking) web.Field {
	f := web.Field{Name: q.name, Label: web.Text(ctx, "directory.keep.field."+q.name), Value: v.Answers[q.name], Error: v.Errors.Of(q.name), Width: q.width, Autocomplete: "off", Numeric: q.kind == "number", Rows: 4}
	if q.hint {
		f.Hint = web.Text(ctx, "directory.keep.hint."+q.name)
	}
	return f
}

func versionText(n int64) string { return strconv.FormatInt(n, 10) }
