package hospital

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/internal/calendar"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/format"
)

// preview is what a pattern will make, before it does.
type preview struct {
	Overlap string
	Tables  []web.Table
}

// patternForm is the session builder: a weekly pattern, of which sessions are made for the weeks to come.
type patternForm struct {
	formView
	was     Template // empty for a new one
	setup   Setup
	pattern Template // as the form has it, once it is right
	wrong   web.FieldErrors
}

// newOne stands in an address for what is not there yet.
const newOne = "new"

// pattern reads the form as it stands: what is kept, or what was typed.
func (d *desk) pattern() (p patternForm, err error) {
	id := d.r.PathValue("id")
	if p.setup, err = d.readSetup(); err != nil {
		return p, err
	}
	title := "templates.change"
	if id == newOne {
		title = "templates.new"
	} else if i := slices.IndexFunc(p.setup.Templates, func(t Template) bool { return t.ID == id }); i >= 0 {
		p.was = p.setup.Templates[i]
	} else {
		return p, fault.New(fault.NotFound, "There is no such weekly session.")
	}
	p.Title, p.Explain = d.text(title), []string{d.text("templates.new-help")}
	if id != newOne {
		p.Explain = append(p.Explain, d.text("setup.preview-stays"))
	}
	p.Form = web.Form{Person: id, Submit: d.text("setup.look"), Cancel: web.Link{URL: d.path("templates")}}
	p.formView.Page = web.Page{Title: p.Title, Back: web.Link{Text: d.text("templates.title"), URL: d.path("templates")}}
	typed := d.typed(p.was)
	p.pattern, p.wrong = d.read1(typed, p)
	d.patternFields(&p, typed)
	return p, nil
}

// typed are the form's answers: as they were sent, or those of what is kept, or what is usual.
func (d *desk) typed(was Template) url.Values {
	if d.r.Method == http.MethodPost {
		return d.r.PostForm
	}
	v := url.Values{"clinic": {was.Clinic}, "weekday": {"1"}, "starts": {"09:00"}, "minutes": {"20"}, "slots": {"9"}, "reserve": {"2"}, "extra": {"2"}, "given": {"yes"}, "holidays": {"no"}, "form": {newID()}}
	first := format.Midnight(d.now)
	if was.ID != "" {
		v = url.Values{"clinic": {was.Clinic}, "weekday": {strconv.Itoa(int(was.Weekday))}, "starts": {fmt.Sprintf("%02d:%02d", was.Starts/60, was.Starts%60)}, "minutes": {strconv.Itoa(was.Minutes)}, "slots": {strconv.Itoa(was.Slots)},
			"reserve": {strconv.Itoa(was.Reserve)}, "extra": {strconv.Itoa(was.Extra)}, "given": {map[bool]string{true: "yes", false: "no"}[was.Given]}, "holidays": {map[bool]string{true: "yes", false: "no"}[was.Holidays]}, "form": {was.ID}}
		if !was.From.IsZero() {
			first = format.Midnight(was.From)
		}
	}
	for name, day := range map[string]time.Time{"from": first, "to": was.To} {
		if !day.IsZero() {
			x := web.DateValueOf(format.Midnight(day))
			v.Set(name+"-day", x.Day)
			v.Set(name+"-month", x.Month)
			v.Set(name+"-year", x.Year)
		}
	}
	return v
}

// read1 makes a pattern of what was typed, and says of each field what is wrong with it.
func (d *desk) read1(typed url.Values, p patternForm) (t Template, wrong web.FieldErrors) {
	get := func(name string) string { return strings.TrimSpace(typed.Get(name)) }
	t = Template{ID: cmp.Or(p.was.ID, get("form")), Clinic: cmp.Or(p.was.Clinic, get("clinic")), Given: get("given") == "yes", Holidays: get("holidays") == "yes"}
	if !slices.ContainsFunc(p.setup.Clinics, func(c Clinic) bool { return c.ID == t.Clinic }) {
		wrong.Add("clinic", d.text("wrong.clinic"))
	}
	day, err := strconv.Atoi(get("weekday"))
	t.Weekday = time.Weekday(day)
	if err != nil {
		t.Weekday = -1
	}
	given := get("given") == "yes" || get("given") == "no"
	var ok bool
	if t.Starts, ok = clockTime(get("starts")); !ok {
		wrong.Add("starts", d.text("wrong.time"))
	}
	for _, x := range []struct {
		name string
		into *int
	}{{"minutes", &t.Minutes}, {"slots", &t.Slots}, {"reserve", &t.Reserve}, {"extra", &t.Extra}} {
		if *x.into, err = strconv.Atoi(get(x.name)); err != nil {
			wrong.Add(x.name, d.text("wrong.number"))
		}
	}
	if !given {
		wrong.Add("given", d.text("wrong.given"))
	}
	first, from, ok := web.ReadDate(typed, "from")
	if !ok || first.Empty() {
		wrong.Add("from", d.text("wrong.from"))
	} else {
		t.From = format.Begins(from)
	}
	if last, to, ok := web.ReadDate(typed, "to"); ok {
		t.To = format.Begins(to)
	} else if !last.Empty() {
		wrong.Add("to", d.text("wrong.to"))
	}
	for _, x := range t.wrong() {
		if wrong.Of(x.Field) == "" {
			wrong = append(wrong, x)
		}
	}
	return t, wrong
}

func (d *desk) patternFields(p *patternForm, typed url.Values) {
	if p.was.ID == "" {
		clinic := web.Choice{Name: "clinic", Label: d.text("column.clinic"), Value: typed.Get("clinic")}
		for _, c := range p.setup.Clinics {
			if !c.Closed {
				clinic.Options = append(clinic.Options, web.Option{Value: c.ID, Text: c.Name})
			}
		}
		p.Selects = append(p.Selects, clinic)
	} else {
		p.Explain = append([]string{clinicNamed(p.setup.Clinics, p.was.Clinic).Name}, p.Explain...)
	}
	day := web.Choice{Name: "weekday", Label: d.text("column.weekday"), Value: typed.Get("weekday")}
	for i := range 7 {
		n := strconv.Itoa((i + 1) % 7)
		day.Options = append(day.Options, web.Option{Value: n, Text: d.text("weekday." + n)})
	}
	p.Selects = append(p.Selects, day)
	for _, f := range []string{"starts", "minutes", "slots", "reserve", "extra"} {
		p.Fields = append(p.Fields, web.Field{Name: f, Label: d.text("field." + f), Hint: d.text("hint." + f), Value: typed.Get(f), Width: 5, Numeric: f != "starts", Autocomplete: "off"})
	}
	p.Radios = []web.Choice{d.yesNo("given", typed.Get("given")), d.yesNo("holidays", typed.Get("holidays"))}
	for _, name := range []string{"from", "to"} {
		v, _, _ := web.ReadDate(typed, name)
		f := web.DateField{Name: name, Label: d.text("field." + name), Value: v}
		if name == "to" {
			f.Hint = d.text("hint.to")
		}
		p.Dates = append(p.Dates, f)
	}
	p.Hidden = []web.Row{{Key: "form", Text: typed.Get("form")}}
}

func (d *desk) yesNo(name, value string) web.Choice {
	return web.Choice{Name: name, Label: d.text("field." + name), Value: value, Inline: true, Options: []web.Option{{Value: "yes", Text: d.text("yes")}, {Value: "no", Text: d.text("no")}}}
}

func (d *desk) askTemplate() error {
	p, err := d.pattern()
	if err != nil {
		return err
	}
	return web.Render(d.w, d.r, http.StatusOK, formPage(p.formView))
}

// putTemplate shows what a pattern makes, and keeps it when it is sent again as it was looked at. It is kept under the name that its form was given, so that a form which is sent twice makes one.
func (d *desk) putTemplate() error {
	if err := web.CheckForm(d.r, d.r.PathValue("id")); err != nil {
		return err
	}
	p, err := d.pattern()
	if err != nil {
		return err
	}
	if len(p.pattern.ID) < 3 || len(p.pattern.ID) > 32 || p.was.ID == "" && len(p.pattern.ID) != len(newID()) {
		p.wrong.Add("weekday", d.text("wrong.form"))
	}
	if len(p.wrong) > 0 {
		p.mark(p.wrong)
		return web.Render(d.w, d.r, http.StatusUnprocessableEntity, formPage(p.formView))
	}
	if looked := p.pattern.looked(); d.r.PostForm.Get("looked") != looked {
		p.Hidden = append(p.Hidden, web.Row{Key: "looked", Text: looked})
		p.Form.Submit, p.Preview = d.text("templates.make"), d.previewOf(p.pattern, p.setup)
		return web.Render(d.w, d.r, http.StatusOK, formPage(p.formView))
	}
	if err := d.SetUp(d.ctx, d.ask.Principal, d.hospital, Setup{Templates: []Template{p.pattern}}); err != nil {
		return d.again(p.formView, err, "slots")
	}
	if err := d.Plan(d.ctx, d.hospital); err != nil {
		return err
	}
	return web.SeeOther(d.w, d.r, d.path("templates")+"?done=template")
}

// looked names a pattern by all that is in it: who makes its sessions has looked at these.
func (t Template) looked() string {
	h := fnv.New64a()
	fmt.Fprint(h, t.ID, "|", t.Clinic, "|", t.Weekday, "|", t.Starts, "|", t.Minutes, "|", t.Slots, "|", t.Reserve, "|", t.Extra, "|", t.Given, "|", t.Holidays, "|", micros(t.From), "|", micros(t.To))
	return strconv.FormatUint(h.Sum64(), 36)
}

// previewOf is the slots of the first session, and the days of all.
func (d *desk) previewOf(t Template, setup Setup) *preview {
	days := t.days(d.now)
	v := &preview{Overlap: d.overlap(t, setup)}
	on := web.Table{ID: "days", RowHeader: true, Caption: d.text("setup.preview-days"), Empty: web.Empty{Text: d.text("setup.preview-none"), Help: d.text("setup.preview-none-help")}}
	for _, key := range []string{"day", "from", "until", "note"} {
		on.Columns = append(on.Columns, web.Column{Text: d.text("setup.column." + key), Whole: key == "day"})
	}
	every := t
	every.Holidays = true
	for _, day := range every.days(d.now) {
		i := slices.IndexFunc(days, day.Equal)
		if i < 0 {
			h, _ := calendar.HolidayOn(day)
			note := d.text("setup.holiday", h.Name)
			on.Rows = append(on.Rows, web.TableRow{Cells: []web.TableCell{web.Cell(d.text("weekday."+strconv.Itoa(int(t.Weekday))) + " " + format.Date(day)), web.NoteCell(""), web.NoteCell(""), web.NoteCell(note)}})
			continue
		}
		s, note := t.session(day), ""
		_, before := s.Starts.In(day.Location()).Zone()
		_, after := s.Ends.In(day.Location()).Zone()
		if i > 0 {
			_, last := t.session(days[i-1]).Starts.In(day.Location()).Zone()
			switch {
			case before > last:
				note = d.text("setup.clock-forward", format.Time(s.Starts))
			case before < last:
				note = d.text("setup.clock-back", format.Time(s.Starts))
			}
		}
		if before != after {
			note = d.text("setup.clock-within")
		}
		on.Rows = append(on.Rows, web.TableRow{Cells: []web.TableCell{web.Cell(d.text("weekday."+strconv.Itoa(int(t.Weekday))) + " " + format.Date(s.Starts)), web.Cell(format.Time(s.Starts)), web.Cell(format.Time(s.Ends)), web.NoteCell(note)}})
	}
	if len(days) > 0 {
		first := t.session(days[0])
		slots := web.Table{ID: "preview-slots", RowHeader: true, Caption: d.text("setup.preview-slots", format.Date(first.Starts))}
		for _, key := range []string{"from", "until", "kind"} {
			slots.Columns = append(slots.Columns, web.Column{Text: d.text("setup.column." + key)})
		}
		for _, x := range first.slots(t.Slots, t.Reserve) {
			whose := d.text("slot." + x.Kind)
			if !t.Given {
				whose = d.text("owner.hospital")
			}
			slots.Rows = append(slots.Rows, web.TableRow{Cells: []web.TableCell{web.Cell(format.Time(x.Starts)), web.Cell(format.Time(x.Ends)), web.Cell(whose)}})
		}
		v.Tables = append(v.Tables, slots)
	}
	v.Tables = append(v.Tables, on)
	return v
}

// overlap says that whoever sees the patients of a pattern is at another session then: they may not be alone, so it is not refused.
func (d *desk) overlap(t Template, setup Setup) string {
	who := clinicNamed(setup.Clinics, t.Clinic).Consultant
	for _, x := range setup.Templates {
		c := clinicNamed(setup.Clinics, x.Clinic)
		apart := x.ID == t.ID || x.Weekday != t.Weekday || x.Starts >= t.Starts+t.Slots*t.Minutes || t.Starts >= x.Starts+x.Slots*x.Minutes || !x.To.IsZero() && x.To.Before(t.From) || !t.To.IsZero() && t.To.Before(x.From)
		if apart || c.Closed || who == "" || c.Consultant != who {
			continue
		}
		name := who
		for _, p := range setup.Consultants {
			if p.ID == who {
				name = p.Name
			}
		}
		return d.text("setup.overlaps", name, c.Name, fmt.Sprintf("%02d:%02d", x.Starts/60, x.Starts%60))
	}
	return ""
}

// readSetup is all that the hospital's clinics are made of.
func (d *desk) readSetup() (s Setup, err error) {
	err = d.k.DB.Read(d.ctx, func(tx *store.Tx) (err error) {
		s = Setup{}
		if s.Specialties, err = d.specialtiesIn(tx, d.hospital); err != nil {
			return err
		}
		people, err := d.consultantsIn(tx, d.hospital)
		if err != nil {
			return err
		}
		for _, c := range people {
			s.Consultants = append(s.Consultants, c)
		}
		slices.SortFunc(s.Consultants, func(a, b Consultant) int {
			return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
		})
		if s.Clinics, err = d.clinicsIn(tx, d.hospital); err != nil {
			return err
		}
		s.Templates, err = d.templatesIn(tx, d.hospital)
		return err
	})
	return s, err
}

// worksHere reports whether somebody who works at this hospital signs in by a name.
func (d *desk) worksHere(login string) (bool, error) {
	u, err := d.k.Gate.UserByID(d.ctx, login)
	switch fault.KindOf(err) {
	case fault.NotFound, fault.Unauthenticated, fault.Forbidden, fault.Invalid:
		return false, nil
	}
	return err == nil && u.Organisation == d.hospital && u.Role == access.Clinician, err
}
