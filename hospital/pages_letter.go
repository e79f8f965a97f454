package hospital

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"

	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/format"
	"github.com/openspine/openspine/web/letter"
)

// letterView is a letter.
type letterView struct {
	Page                      web.Page
	From, To, Date, Reference string
	Lines, Text               []string
	PDF                       string // where it is to be had as a file
	Stands                    bool   // it is about an appointment that stands
	Done, Told                string // whether they were told of it, where it stands
	Inform                    *formView
}

// letterOf is the letter about somebody's appointment, for those to whom it is offered.
func (d *desk) letterOf() (v letterView, c Case, err error) {
	c, _, g, err := d.opened(false)
	if err != nil {
		return v, c, err
	}
	if _, err := d.can(c, offerLetter); err != nil {
		return v, c, err
	}
	var came cameHere
	var told Informed
	err = d.k.DB.Read(d.ctx, func(tx *store.Tx) (err error) {
		if came, err = d.cameIn(tx, d.hospital, c); err == nil && c.Appointment != nil {
			told, err = d.informed(tx, d.hospital, c, c.Appointment.Session, c.Appointment.Slot)
		}
		return err
	})
	v = letterView{Page: d.casePage(c, g, d.text("letter.title")), From: d.nameOf(d.hospital), To: strings.Join(strings.Fields(c.Person.Prefix+" "+c.Person.Given+" "+c.Person.Family), " "), Date: format.Date(d.now),
		Reference: c.UBRN.Display(), Lines: slices.DeleteFunc(strings.Split(c.Person.Address, ", "), func(s string) bool { return s == "" }), Text: d.letterText(c, came), PDF: d.path("cases", c.UBRN.String(), "letter.pdf"), Stands: stands(c, came)}
	v.Page.Back = web.Link{Text: d.text("case.title", c.UBRN.Display()), URL: d.path("cases", c.UBRN.String())}
	if v.Stands {
		v.Done, v.Told, v.Inform = d.done(), d.informedText(told), d.informForm(c, told)
	}
	return v, c, err
}

// informedText says how somebody was told of an appointment, and when.
func (d *desk) informedText(x Informed) string {
	switch {
	case x.At.IsZero():
		return d.text("informed.not")
	case x.How == byThemself:
		return d.text("informed.patient", format.DateTime(x.At))
	}
	return d.text("informed."+x.How, format.DateTime(x.At), x.By)
}

// informForm asks how somebody was told; nil where it is written down, or can be no more.
func (d *desk) informForm(c Case, told Informed) *formView {
	if told.How != "" && told.How != byThemself || !c.Appointment.Start.After(d.now) {
		return nil
	}
	how := web.Choice{Name: "how", Label: d.text("informed.how"), Value: byLetter}
	for _, way := range waysToTell() {
		how.Options = append(how.Options, web.Option{Value: way, Text: d.text("informed.way-" + way)})
	}
	return &formView{Form: web.Form{Action: d.path("cases", c.UBRN.String(), "informed"), Person: c.UBRN.String(), PersonName: d.nameOfCase(c, true), Submit: d.text("informed.submit")}, Radios: []web.Choice{how},
		Hidden: []web.Row{{Key: "session", Text: c.Appointment.Session}, {Key: "slot", Text: c.Appointment.Slot}}}
}

// inform writes down how somebody was told of their appointment.
func (d *desk) inform() error {
	if err := web.CheckForm(d.r, d.r.PathValue("ubrn")); err != nil {
		return err
	}
	c, _, _, err := d.opened(false)
	if err != nil {
		return err
	}
	get := d.r.PostForm.Get
	if err := d.Inform(d.ctx, d.ask.Principal, d.hospital, c.UBRN.String(), get("session"), get("slot"), get("how")); err != nil {
		return err
	}
	return web.SeeOther(d.w, d.r, d.path("cases", c.UBRN.String(), "letter")+"?done=informed")
}

// stands reports whether somebody has an appointment to come to.
func stands(c Case, came cameHere) bool {
	return c.Appointment != nil && c.Pathway.Rebook.IsZero() && !came.missed
}

// letterText says how it stands with somebody's appointment. Why they were referred is not said: letters are opened by others.
func (d *desk) letterText(c Case, came cameHere) []string {
	again := !c.Pathway.Rebook.IsZero()
	of := func(key string) string { // with which appointment it was, where that is known
		if at := c.Pathway.Lost; !at.IsZero() {
			return d.text(key+"-on", c.ServiceName, format.Date(at), format.Time(at))
		}
		return d.text(key, c.ServiceName)
	}
	switch {
	case c.State == stateAssessed:
		return []string{of("letter.assessed"), d.text("letter.assessed-next")}
	case came.missed, c.State == "DID_NOT_ATTEND", again && c.Pathway.Reason == visitMissed:
		if again {
			return []string{of("letter.missed"), d.text("letter.will")}
		}
		return []string{of("letter.missed"), d.text("letter.missed-tell")}
	case again && c.Pathway.Reason == reasonTriaged:
		return []string{d.text("letter.accepted", c.ServiceName), d.text("letter.will-first")}
	case again && c.Appointment == nil && c.Pathway.Reason == "" && c.State != "APPT_CANCELLED_BY_PROVIDER":
		return []string{d.text("letter.waiting", c.ServiceName)}
	case again:
		text := []string{of("letter.cancelled")}
		if c.Pathway.Reason != "" { // otherwise nobody said more
			text = append(text, d.text("letter.why", strings.TrimRight(d.rebookWhy(c), ". ")))
		}
		return append(text, d.text("letter.will"))
	case c.Appointment != nil:
		return []string{d.text("letter.booked", c.ServiceName, format.Date(c.Appointment.Start), format.Time(c.Appointment.Start)), d.text("letter.instead"), d.text("letter.bring")}
	case c.State == stateTriage:
		return []string{d.text("letter.triage", c.ServiceName)}
	}
	return []string{d.text("letter.waiting", c.ServiceName)}
}

// letter is the letter on a page.
func (d *desk) letter() error {
	v, _, err := d.letterOf()
	if err != nil {
		return err
	}
	return web.Render(d.w, d.r, http.StatusOK, letterPage(v))
}

// paper is the letter as a file to print, in large type where that is asked for. Its name tells the reference and nobody's name.
func (d *desk) paper() error {
	v, c, err := d.letterOf()
	if err != nil {
		return err
	}
	file, err := d.sheet(v, c, letter.AskedLarge(d.r)).PDF()
	if err != nil {
		return err
	}
	sum := sha256.Sum256(file)
	web.ServeFile(d.w, d.r, "letter-"+c.UBRN.String()+".pdf", "application/pdf", hex.EncodeToString(sum[:]), bytes.NewReader(file))
	return nil
}

// sheet is the letter as it is printed.
func (d *desk) sheet(v letterView, c Case, large bool) letter.Letter {
	heading := "letter.heading"
	if c.Appointment == nil && c.Pathway.Lost.IsZero() {
		heading = "letter.heading-referral"
	}
	l := letter.Letter{Title: d.text(heading), From: v.From, To: append([]string{v.To}, v.Lines...), At: d.now, Date: v.Date, Foot: d.text("letter.foot"), Large: large,
		Parts: []letter.Part{{Text: v.Text}, {Rows: []letter.Row{{Key: d.text("letter.reference-key"), Value: v.Reference}}, Text: []string{d.text("letter.signed", v.From)}}}}
	if v.Stands {
		l.Parts[1].Rows = append([]letter.Row{{Key: d.text("letter.when"), Value: format.DateTime(c.Appointment.Start)}, {Key: d.text("letter.where"), Value: c.ServiceName + "\n" + v.From}}, l.Parts[1].Rows...)
	}
	return l
}
