package hospital

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/directory"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/format"
)

// templates are all that the clinics are made of: specialties, consultants, clinics, and the weekly pattern that makes their sessions.
func (d *desk) templates() error {
	s, err := d.readSetup()
	if err != nil {
		return err
	}
	v := listView{Title: d.text("templates.title"), Lede: d.text("templates.lede"), Done: d.done()}
	v.Page = d.page(v.Title)
	v.Links = []web.Link{{Text: d.text("templates.new"), URL: d.path("templates", newOne)}}
	for _, kind := range []string{kindClinics, kindConsultants, kindSpecialties} {
		v.Links = append(v.Links, web.Link{Text: d.text("setup.new-" + kind), URL: d.path("setup", kind, newOne)})
	}
	specialties := web.Table{ID: kindSpecialties, RowHeader: true, Caption: d.text("setup.specialties"), Columns: d.setupColumns("name", "code"), Empty: web.Empty{Text: d.text("setup.specialties-none"), Help: d.text("setup.none-help")}}
	for _, x := range s.Specialties {
		specialties.Rows = append(specialties.Rows, web.TableRow{Cells: []web.TableCell{web.LinkCell(x.Name, d.path("setup", kindSpecialties, x.Code)), web.Cell(x.Code)}})
	}
	people := web.Table{ID: kindConsultants, RowHeader: true, Caption: d.text("setup.consultants"), Columns: d.setupColumns("name", "specialty", "login"), Empty: web.Empty{Text: d.text("setup.consultants-none"), Help: d.text("setup.none-help")}}
	named := map[string]string{}
	for _, x := range s.Consultants {
		named[x.ID] = x.Name
		people.Rows = append(people.Rows, web.TableRow{Cells: []web.TableCell{web.LinkCell(x.Name, d.path("setup", kindConsultants, x.ID)), web.NoteCell(specialtyNamed(s.Specialties, x.Specialty)), web.NoteCell(x.Login)}})
	}
	clinics := web.Table{ID: kindClinics, RowHeader: true, Caption: d.text("templates.clinics"), Columns: d.columns("clinic", "who", "place", "service", "state"), Empty: web.Empty{Text: d.text("templates.no-clinics"), Help: d.text("templates.no-clinics-help")}}
	for _, x := range s.Clinics {
		state := web.NoteCell("")
		if x.Closed {
			state = web.ShowCell(web.Tag(d.text("setup.closed"), web.Grey))
		}
		clinics.Rows = append(clinics.Rows, web.TableRow{Cells: []web.TableCell{web.LinkCell(x.Name, d.path("setup", kindClinics, x.ID)), web.NoteCell(named[x.Consultant]), web.NoteCell(x.Place), web.Cell(x.Service), state}})
	}
	pattern := web.Table{ID: "templates", RowHeader: true, Caption: d.text("templates.caption"), Columns: append(d.columns("clinic", "weekday", "time", "slots", "reserve", "extra", "given"), d.setupColumns("last")...), Empty: web.Empty{Text: d.text("templates.none"), Help: d.text("templates.none-help")}}
	for _, x := range s.Templates {
		given, last := d.text("no"), ""
		if x.Given {
			given = d.text("yes")
		}
		if !x.To.IsZero() {
			last = format.Date(x.To)
		}
		pattern.Rows = append(pattern.Rows, web.TableRow{Cells: []web.TableCell{web.LinkCell(clinicNamed(s.Clinics, x.Clinic).Name, d.path("templates", x.ID)), web.Cell(d.text(fmt.Sprintf("weekday.%d", x.Weekday))), web.Cell(fmt.Sprintf("%02d:%02d", x.Starts/60, x.Starts%60)),
			web.Cell(d.text("slots-of", x.Slots, x.Minutes)), web.Cell(strconv.Itoa(x.Reserve)), web.Cell(strconv.Itoa(x.Extra)), web.Cell(given), web.NoteCell(last)}})
	}
	v.Tables = []web.Table{pattern, clinics, people, specialties}
	return d.show(v)
}

func (d *desk) setupColumns(keys ...string) (list []web.Column) {
	for _, k := range keys {
		list = append(list, web.Column{Text: d.text("setup.column." + k), Whole: k == "last"})
	}
	return list
}

// The parts of a set-up that have a form of their own.
const (
	kindSpecialties = "specialties"
	kindConsultants = "consultants"
	kindClinics     = "clinics"
)

// serviceID is an id of a resource (FHIR R4, datatypes, id).
var serviceID = regexp.MustCompile(`^[A-Za-z0-9.-]{1,64}$`)

// part is a form of one specialty, consultant or clinic.
type part struct {
	formView
	made  Setup // what the form says
	wrong web.FieldErrors

	service string // of a clinic, as it is kept
}

// part reads the form as it stands: what is kept, or what was typed.
func (d *desk) part() (p part, err error) {
	kind, id := d.r.PathValue("kind"), d.r.PathValue("id")
	s, err := d.readSetup()
	if err != nil {
		return p, err
	}
	forms := map[string]func(*part, Setup, string, url.Values) bool{kindSpecialties: d.specialtyForm, kindConsultants: d.consultantForm, kindClinics: d.clinicForm}
	form := forms[kind]
	if form == nil {
		return p, fault.New(fault.NotFound, "There is nothing of that kind to set up.")
	}
	title := "setup.change-" + kind
	if id == newOne {
		title = "setup.new-" + kind
	}
	p.Title = d.text(title)
	p.Form = web.Form{Person: kind + "/" + id, Submit: d.text("setup.save"), Cancel: web.Link{URL: d.path("templates")}}
	p.formView.Page = web.Page{Title: p.Title, Back: web.Link{Text: d.text("templates.title"), URL: d.path("templates")}}
	typed := url.Values(nil)
	if d.r.Method == http.MethodPost {
		typed = d.r.PostForm
	}
	if !form(&p, s, id, typed) {
		return p, fault.New(fault.NotFound, "There is no such part of the clinics here.")
	}
	return p, nil
}

// formID is the name under which a new part is kept: its form's, so that one that is sent twice makes one.
func (d *desk) formID(p *part, id string, typed url.Values) string {
	if id != newOne {
		return id
	}
	given := typed.Get("form")
	if typed == nil {
		given = newID()
	} else if len(given) != len(newID()) || !serviceID.MatchString(given) {
		p.wrong.Add("name", d.text("wrong.form"))
	}
	p.Hidden = []web.Row{{Key: "form", Text: given}}
	return given
}

// answer is what a form says of a field: what was typed, or what is kept.
func answer(typed url.Values, name, kept string) string {
	if typed == nil {
		return kept
	}
	return strings.TrimSpace(typed.Get(name))
}

func (d *desk) field(p *part, name, value string, width int) {
	f := web.Field{Name: name, Label: d.text("field." + name), Value: value, Width: width, Autocomplete: "off"}
	if web.HasText("hospital.hint." + name) {
		f.Hint = d.text("hint." + name)
	}
	p.Fields = append(p.Fields, f)
}

func (d *desk) nameField(p *part, value string) {
	if value == "" || len(value) > mostText {
		p.wrong.Add("name", d.text("wrong.name", mostText))
	}
	d.field(p, "name", value, 30)
}

// choice is a list of which one is chosen; what is not in it is wrong.
func (d *desk) choice(p *part, name, value, none string, options []web.Option) {
	options = append([]web.Option{{Text: d.text(none)}}, options...)
	if !slices.ContainsFunc(options, func(o web.Option) bool { return o.Value == value }) {
		p.wrong.Add(name, d.text("wrong."+name))
	}
	p.Selects = append(p.Selects, web.Choice{Name: name, Label: d.text("field." + name), Value: value, Options: options})
}

func specialtyOptions(list []Specialty) (options []web.Option) {
	for _, x := range list {
		options = append(options, web.Option{Value: x.Code, Text: x.Name})
	}
	return options
}

func (d *desk) specialtyForm(p *part, s Setup, id string, typed url.Values) bool {
	var x Specialty
	known := func(code string) bool {
		return slices.ContainsFunc(s.Specialties, func(o Specialty) bool { x = o; return o.Code == code })
	}
	if id != newOne && !known(id) {
		return false
	}
	if id == newOne {
		code := answer(typed, "code", "")
		d.field(p, "code", code, 20)
		if _, err := ident.ParseSNOMED(code); err != nil {
			p.wrong.Add("code", d.text("wrong.code"))
		} else if known(code) {
			p.wrong.Add("code", d.text("wrong.known"))
		}
		x = Specialty{Code: code}
	} else {
		p.Explain = []string{x.Code}
	}
	x.Name = answer(typed, "name", x.Name)
	d.nameField(p, x.Name)
	p.made.Specialties = []Specialty{x}
	return true
}

func (d *desk) consultantForm(p *part, s Setup, id string, typed url.Values) bool {
	var x Consultant
	if i := slices.IndexFunc(s.Consultants, func(c Consultant) bool { return c.ID == id }); i >= 0 {
		x = s.Consultants[i]
	} else if id != newOne {
		return false
	}
	x = Consultant{d.formID(p, id, typed), answer(typed, "name", x.Name), answer(typed, "specialty", x.Specialty), answer(typed, "login", x.Login)}
	d.nameField(p, x.Name)
	p.First = 1
	d.choice(p, "specialty", x.Specialty, "setup.no-specialty", specialtyOptions(s.Specialties))
	d.field(p, "login", x.Login, 20)
	p.made.Consultants = []Consultant{x}
	return true
}

func (d *desk) clinicForm(p *part, s Setup, id string, typed url.Values) bool {
	var x Clinic
	if i := slices.IndexFunc(s.Clinics, func(c Clinic) bool { return c.ID == id }); i >= 0 {
		x = s.Clinics[i]
	} else if id != newOne {
		return false
	}
	p.service = x.Service
	closed := answer(typed, "closed", map[bool]string{true: "yes", false: "no"}[x.Closed])
	x = Clinic{ID: d.formID(p, id, typed), Name: answer(typed, "name", x.Name), Service: answer(typed, "service", x.Service), Specialty: answer(typed, "specialty", x.Specialty),
		Consultant: answer(typed, "consultant", x.Consultant), Place: answer(typed, "place", x.Place), Closed: closed == "yes"}
	d.nameField(p, x.Name)
	d.field(p, "service", x.Service, 30)
	if !serviceID.MatchString(x.Service) {
		p.wrong.Add("service", d.text("wrong.service"))
	}
	p.First = 2
	d.choice(p, "specialty", x.Specialty, "setup.no-specialty", specialtyOptions(s.Specialties))
	var people []web.Option
	for _, c := range s.Consultants {
		people = append(people, web.Option{Value: c.ID, Text: c.Name})
	}
	d.choice(p, "consultant", x.Consultant, "setup.no-consultant", people)
	if closed != "yes" && closed != "no" {
		p.wrong.Add("closed", d.text("wrong.closed"))
	}
	c := d.yesNo("closed", closed)
	c.Hint = d.text("hint.closed")
	p.Radios = []web.Choice{c}
	d.field(p, "place", x.Place, 30)
	if len(x.Place) > mostText {
		p.wrong.Add("place", d.text("wrong.place", mostText))
	}
	p.made.Clinics = []Clinic{x}
	return true
}

func (d *desk) askSetup() error {
	p, err := d.part()
	if err != nil {
		return err
	}
	return web.Render(d.w, d.r, http.StatusOK, formPage(p.formView))
}

// offers looks a service up in the directory as this node has it: whether this hospital provides it, and whether that is known at all. A node that does not keep the national
// directory, and has no copy of the service, cannot tell.
func (d *desk) offers(service string) (ours, known bool, err error) {
	place := access.Place{Tenant: d.k.National, Type: "HealthcareService"}
	grants, err := d.ask.Grants(access.Act{Action: access.Read, Place: place})
	if err != nil {
		return false, false, err
	}
	v, err := d.k.Records.Read(d.ctx, grants[0], record.Ref{Tenant: place.Tenant, Type: place.Type, ID: service})
	switch {
	case fault.Is(err, fault.NotFound) || fault.Is(err, fault.Gone):
		return false, slices.ContainsFunc(d.k.Tenants, func(t catalogue.Tenant) bool { return t.Code == d.k.National }), nil
	case err != nil:
		return false, false, err
	}
	return directory.ParseHealthcareService(v.Resource).Provider == d.hospital, true, nil
}

// putSetup keeps a specialty, a consultant or a clinic.
func (d *desk) putSetup() error {
	if err := web.CheckForm(d.r, d.r.PathValue("kind")+"/"+d.r.PathValue("id")); err != nil {
		return err
	}
	p, err := d.part()
	if err != nil {
		return err
	}
	if len(p.made.Consultants) > 0 && p.made.Consultants[0].Login != "" {
		here, err := d.worksHere(p.made.Consultants[0].Login)
		if err != nil {
			return err
		}
		if !here {
			p.wrong.Add("login", d.text("wrong.login", d.nameOf(d.hospital)))
		}
	}
	done := "setup"
	if len(p.made.Clinics) > 0 && p.service != p.made.Clinics[0].Service && p.wrong.Of("service") == "" { // a clinic can be changed whose service has gone
		ours, known, err := d.offers(p.made.Clinics[0].Service)
		switch {
		case err != nil:
			return err
		case !known:
			done = "setup-unknown"
		case !ours:
			p.wrong.Add("service", d.text("wrong.no-service", d.nameOf(d.hospital)))
		}
	}
	if len(p.wrong) > 0 {
		p.mark(p.wrong)
		return web.Render(d.w, d.r, http.StatusUnprocessableEntity, formPage(p.formView))
	}
	if err := d.SetUp(d.ctx, d.ask.Principal, d.hospital, p.made); err != nil {
		return d.again(p.formView, err, cmp.Or(p.Fields[0].Name, "name"))
	}
	return web.SeeOther(d.w, d.r, d.path("templates")+"?done="+done)
}
