package hospital

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/format"
)

// templateForm is the session builder: a weekly pattern, of which sessions are made for the weeks to come.
func (d *desk) templateForm() (formView, error) {
	v := formView{Title: d.text("templates.new"), Explain: []string{d.text("templates.new-help")}, Form: web.Form{Submit: d.text("templates.make"), Cancel: web.Link{URL: d.path("templates")}}}
	v.Page = web.Page{Title: v.Title, Back: web.Link{Text: d.text("templates.title"), URL: d.path("templates")}}
	clinic := web.Choice{Name: "clinic", Label: d.text("column.clinic"), Value: d.r.PostForm.Get("clinic")}
	err := d.k.DB.Read(d.ctx, func(tx *store.Tx) error {
		clinics, err := d.clinicsIn(tx, d.hospital)
		clinic.Options = nil
		for _, c := range clinics {
			clinic.Options = append(clinic.Options, web.Option{Value: c.ID, Text: c.Name})
		}
		return err
	})
	day := web.Choice{Name: "weekday", Label: d.text("column.weekday"), Value: d.r.PostForm.Get("weekday")}
	for i := range 7 {
		n := strconv.Itoa((i + 1) % 7)
		day.Options = append(day.Options, web.Option{Value: n, Text: d.text("weekday." + n)})
	}
	v.Selects = []web.Choice{clinic, day}
	for _, f := range [][2]string{{"starts", "09:00"}, {"minutes", "20"}, {"slots", "9"}, {"reserve", "2"}, {"extra", "2"}} {
		value := f[1]
		if d.r.Method == http.MethodPost {
			value = d.r.PostForm.Get(f[0])
		}
		v.Fields = append(v.Fields, web.Field{Name: f[0], Label: d.text("field." + f[0]), Hint: d.text("hint." + f[0]), Value: value, Width: 5, Numeric: f[0] != "starts", Autocomplete: "off"})
	}
	given := web.Choice{Name: "given", Label: d.text("field.given"), Value: d.r.PostForm.Get("given"), Inline: true, Options: []web.Option{{Value: "yes", Text: d.text("yes")}, {Value: "no", Text: d.text("no")}}}
	if given.Value == "" {
		given.Value = "yes"
	}
	v.Radios = []web.Choice{given}
	v.Hidden = []web.Row{{Key: "form", Text: newID()}}
	return v, err
}

func (d *desk) askTemplate() error {
	v, err := d.templateForm()
	if err != nil {
		return err
	}
	return web.Render(d.w, d.r, http.StatusOK, formPage(v))
}

// putTemplate keeps a pattern under the name that its form was given, so that a form which is sent twice makes one.
func (d *desk) putTemplate() error {
	if err := web.CheckForm(d.r, ""); err != nil {
		return err
	}
	v, err := d.templateForm()
	if err != nil {
		return err
	}
	get := d.r.PostForm.Get
	t := Template{ID: get("form"), Clinic: get("clinic"), Given: get("given") == "yes", From: format.Midnight(d.now)}
	var ok bool
	if t.Starts, ok = clockTime(get("starts")); !ok {
		return d.again(v, fault.New(fault.Invalid, "%s", d.text("wrong.time")), "starts")
	}
	for name, into := range map[string]*int{"minutes": &t.Minutes, "slots": &t.Slots, "reserve": &t.Reserve, "extra": &t.Extra} {
		n, err := strconv.Atoi(strings.TrimSpace(get(name)))
		if err != nil {
			return d.again(v, fault.New(fault.Invalid, "%s", d.text("wrong.number")), name)
		}
		*into = n
	}
	day, err := strconv.Atoi(get("weekday"))
	t.Weekday = time.Weekday(day)
	if err != nil || len(t.ID) < 8 || len(t.ID) > 32 {
		return d.again(v, fault.New(fault.Invalid, "%s", d.text("wrong.form")), "weekday")
	}
	if _, err := d.Clinic(d.ctx, d.hospital, t.Clinic); err != nil {
		return d.again(v, err, "clinic")
	}
	if err := d.SetUp(d.ctx, d.ask.Principal, d.hospital, Setup{Templates: []Template{t}}); err != nil {
		return d.again(v, err, "slots")
	}
	if err := d.Plan(d.ctx, d.hospital); err != nil {
		return err
	}
	return web.SeeOther(d.w, d.r, d.path("templates")+"?done=template")
}
