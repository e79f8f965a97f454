package hospital

import (
	"net/http"
	"strings"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/format"
)

// overrideForm chooses a slot of the spine's for somebody whom the clinic must see while there is no line.
func (d *desk) overrideForm(c Case, g access.Grant) (formView, error) {
	back := d.path("cases", c.UBRN.String())
	if _, err := d.can(c, offerBook); err != nil {
		return formView{}, err
	}
	if cut, err := d.cutOff(d.ctx); err != nil {
		return formView{}, err
	} else if !cut {
		return formView{}, fault.New(fault.Conflict, "%s", d.text("override.not-now"))
	}
	v := formView{Title: d.text("override.title"), Explain: []string{d.text("override.lede")}, Form: web.Form{Person: c.UBRN.String(), PersonName: d.nameOfCase(c, true), Submit: d.text("override.submit"), Danger: true, Cancel: web.Link{URL: back}}}
	v.Page = d.casePage(c, g, v.Title)
	v.Page.Back = web.Link{Text: d.text("case.title", c.UBRN.Display()), URL: back}
	choice := web.Choice{Name: "slot", Label: d.text("book.slot"), Value: d.r.PostForm.Get("slot")}
	err := d.k.DB.Read(d.ctx, func(tx *store.Tx) error {
		slots, err := d.slotsBy(tx, d.hospital, `epoch % 2 = 1 AND ends > ? AND EXISTS (SELECT 1 FROM hospital_session s JOIN hospital_clinic c ON c.lane = s.lane AND c.tenant = s.tenant AND c.id = s.clinic
			WHERE s.lane = hospital_slot.lane AND s.tenant = hospital_slot.tenant AND s.id = hospital_slot.session AND s.state <> ? AND c.service = ?)
			AND NOT EXISTS (SELECT 1 FROM hospital_case k WHERE k.lane = hospital_slot.lane AND k.tenant = hospital_slot.tenant AND k.gone = 0 AND k.session = hospital_slot.session AND k.slot = hospital_slot.id)
			AND NOT EXISTS (SELECT 1 FROM hospital_override w WHERE w.lane = hospital_slot.lane AND w.tenant = hospital_slot.tenant AND w.session = hospital_slot.session AND w.slot = hospital_slot.id AND w.settled = 0)
			ORDER BY starts, session, id LIMIT 20`, d.now.UnixMicro(), sessionWithdrawn, c.Service)
		if err != nil {
			return err
		}
		until, err := d.onOffer(tx, d.hospital, c.UBRN)
		choice.Options = nil
		var last []web.Option // better one that nobody is offered
		for _, x := range slots {
			o := web.Option{Value: x.Session + " " + x.ID, Text: format.DateTime(x.Starts)}
			if at := until[[2]string{x.Session, x.ID}]; at.After(d.now) {
				o.Text = d.text("override.on-offer", o.Text, format.DateTime(at))
				last = append(last, o)
				continue
			}
			choice.Options = append(choice.Options, o)
		}
		choice.Options = append(choice.Options, last...)
		return err
	})
	if len(choice.Options) == 0 {
		v.Explain = append(v.Explain, d.text("override.none"))
	} else {
		v.Radios = []web.Choice{choice}
	}
	v.Fields = []web.Field{{Name: "reason", Label: d.text("field.why"), Value: d.r.PostForm.Get("reason"), Autocomplete: "off"}}
	return v, err
}

func (d *desk) askOverride() error {
	c, _, g, err := d.opened(false)
	if err != nil {
		return err
	}
	v, err := d.overrideForm(c, g)
	if err != nil {
		return err
	}
	return web.Render(d.w, d.r, http.StatusOK, formPage(v))
}

func (d *desk) doOverride() error {
	if err := web.CheckForm(d.r, d.r.PathValue("ubrn")); err != nil {
		return err
	}
	c, _, g, err := d.opened(false)
	if err != nil {
		return err
	}
	session, slot, _ := strings.Cut(d.r.PostForm.Get("slot"), " ")
	done := d.path("cases", c.UBRN.String()) + "?done=override"
	var before []Override
	err = d.k.DB.Read(d.ctx, func(tx *store.Tx) error {
		before, err = d.overridesIn(tx, d.hospital, `who = ? AND session = ? AND slot = ? AND settled = 0`, c.UBRN.String(), session, slot)
		return err
	})
	if err != nil {
		return err
	}
	if len(before) > 0 { // a double click
		return web.SeeOther(d.w, d.r, done)
	}
	v, err := d.overrideForm(c, g)
	if err != nil {
		return err
	}
	var wrong web.FieldErrors
	if slot == "" && len(v.Radios) > 0 {
		wrong.Add("slot", d.text("wrong.slot"))
	}
	if strings.TrimSpace(d.r.PostForm.Get("reason")) == "" {
		wrong.Add("reason", d.text("override.reason"))
	}
	if len(wrong) > 0 {
		v.mark(wrong)
		return web.Render(d.w, d.r, http.StatusUnprocessableEntity, formPage(v))
	}
	if err := d.Override(d.ctx, d.ask.Principal, d.hospital, c.UBRN.String(), session, slot, d.r.PostForm.Get("reason")); err != nil {
		return d.again(v, err, "reason")
	}
	return web.SeeOther(d.w, d.r, done)
}

// clashesIn lists whom a person has yet to settle: with how each stands, and what can be done.
func (d *desk) clashesIn(tx *store.Tx, see func(string) bool, v *reconcileView) error {
	list, err := d.overridesIn(tx, d.hospital, `settled = 0`)
	if err != nil || len(list) == 0 {
		return err
	}
	t := web.Table{ID: "clashes", RowHeader: true, Caption: d.text("override.clashes"), Columns: d.columns("patient", "time", "why", "who", "state", "next")}
	for _, x := range list[:min(len(list), listMost)] {
		c, err := d.caseIn(tx, d.hospital, x.Who)
		if err != nil {
			return err
		}
		state, other, err := d.clash(tx, d.hospital, x)
		if err != nil {
			return err
		}
		slots, err := d.slotsWhere(tx, d.hospital, `session = ? AND id = ?`, x.Session, x.Slot)
		if err != nil {
			return err
		}
		at := ""
		if len(slots) > 0 {
			at = format.DateTime(slots[0].Starts)
		}
		words, colour := d.text("override.state."+state), map[string]web.Colour{clashWaits: web.Yellow, clashFree: web.Green, clashReal: web.Red, clashOver: web.Yellow}[state]
		seen := see(c.Chart)
		next := web.NoteCell(d.text("override.wait"))
		switch {
		case x.Come != nil && state != clashWaits:
			next = web.NoteCell(d.text("override.tell-below"))
		case state != clashWaits:
			next = web.LinkCell(d.text("book.title"), d.path("cases", x.Who, "book"))
		}
		why := x.Reason
		if d.counts() { // somebody's own words, about a person
			why, next = "", web.NoteCell("")
		}
		if x.Come != nil {
			why += " " + d.text("override.came."+x.Come.State)
		}
		if c.Gone {
			why += " " + d.text("override.gone")
		}
		if other != nil && see(other.Case.Chart) {
			why += " " + d.text("override.other", d.nameOfCase(other.Case, true))
		}
		t.Rows = append(t.Rows, web.TableRow{Cells: []web.TableCell{d.personCell(c, seen), web.Cell(at), web.NoteCell(why), web.Cell(x.Actor), web.ShowCell(web.Tag(words, colour)), next}})
		do := "take-off"
		if x.Come != nil {
			do = "seen"
		}
		if seen && (x.Come == nil || state != clashWaits) {
			v.Buttons = append(v.Buttons, deskButton{web.Form{Action: d.path("reconciliation"), Person: x.Who, PersonName: d.nameOfCase(c, true), Submit: d.text("override." + do)}, do + " " + x.Who + " " + x.Slot})
		}
	}
	v.Tables = append([]web.Table{t}, v.Tables...)
	return nil
}

// overrideRows are those who were put by hand into a slot of a session that is not the hospital's.
func (d *desk) overrideRows(list []Booked, x Slot, see func(string) bool) (rows []web.TableRow, names []string) {
	for _, b := range list {
		if b.Slot.ID != x.ID {
			continue
		}
		c := b.Case
		seen, name, number := see(c.Chart), "", ""
		if seen {
			name, number = c.Person.Family+" "+c.Person.Given, format.NHSNumber(c.Person.NHSNumber.String())
		}
		names = append(names, name)
		rows = append(rows, web.TableRow{Cells: []web.TableCell{web.Cell(format.Time(x.Starts)), d.personCell(c, seen), web.NoteCell(number), web.Cell(d.text("override.by-hand", b.ByHand.Actor)), web.ShowCell(d.comingTag(b))}})
	}
	return rows, names
}

// completeText says up to when, and by which message of the spine, a list that is printed is complete.
func (d *desk) completeText(tx *store.Tx, hospital ident.ODSCode) (string, error) {
	s, err := d.standingIn(tx, hospital)
	if err != nil || s.Asked.IsZero() {
		return "", err
	}
	if s.Complete.IsZero() {
		return d.text("complete.never"), nil
	}
	text := d.text("complete.up-to", format.DateTime(s.Complete), s.Completed)
	list, err := d.differencesIn(tx, hospital)
	missing := 0
	for _, x := range list {
		if x.Kind == "case" && x.Theirs > x.Mine {
			missing++
		}
	}
	if missing > 0 {
		text += " " + web.Count(d.ctx, "hospital.complete.missing", missing)
	}
	return text, err
}
