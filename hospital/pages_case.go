package hospital

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/referral/codes"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/account"
	"github.com/openspine/openspine/web/format"
)

// caseView is a referral with all that the hospital knows of it and can do about it.
type caseView struct {
	Page          web.Page
	Title, Done   string
	Warning       string
	WarningText   string
	Facts         []web.Row
	Letter        []string
	LetterHidden  bool
	Files         web.Table
	Decisions     []web.Link
	Nothing       string // why there is nothing to decide
	Record        web.Link
	Acts, History web.Table
}

// opened is a referral that this reader may see, whose person's chart it is on the account of. Letter reports whether they may read why the person was referred, as well.
func (d *desk) opened(clinical bool) (c Case, letter bool, g access.Grant, err error) {
	err = d.k.DB.Read(d.ctx, func(tx *store.Tx) error {
		c, err = d.caseIn(tx, d.hospital, strings.ReplaceAll(d.r.PathValue("ubrn"), " ", ""))
		return err
	})
	if fault.Is(err, fault.NotFound) || err == nil && c.Chart == "" {
		return c, false, g, access.NotHere()
	}
	if err != nil {
		return c, false, g, err
	}
	grants, err := d.ask.Grants(access.Act{Action: access.Read, Place: placeOf(d.hospital, c.Chart, clinical)})
	if err != nil {
		return c, false, g, err
	}
	if letter, err = d.k.Gate.Would(d.ctx, d.ask.Principal, access.Read, placeOf(d.hospital, c.Chart, true)); err != nil {
		return c, false, g, err
	}
	return c, letter, grants[0], nil
}

// banner is the person of a referral, as the register said when it was sent.
func (d *desk) banner(c Case) *web.PersonBanner {
	p := c.Person
	b := &web.PersonBanner{Family: p.Family, Given: p.Given, Title: p.Prefix, Born: format.FHIR(p.Born), Died: format.FHIR(p.Died), NHSNumber: p.NHSNumber.String(), URL: d.chartPath(c.Chart), Address: strings.ReplaceAll(p.Address, "\n", ", "), Phone: p.Phone,
		Practice: d.k.Organisation(d.ctx, c.Practice), Allergies: web.Allergies{Elsewhere: true}}
	if p.Gender != "" {
		b.Gender = strings.ToUpper(p.Gender[:1]) + p.Gender[1:]
	}
	return b
}

func (d *desk) casePage(c Case, g access.Grant, title string) web.Page {
	p := d.page(title)
	p.Person = d.banner(c)
	p.Access = web.Access{Why: account.Why(d.ctx, g.Basis(), d.nameOf(d.hospital))}
	if d.ask.Principal.Role == access.Clinician {
		p.Access.SeenURL = d.chartPath(c.Chart) + "/seen"
	}
	return p
}

func (d *desk) showCase() error {
	c, letter, g, err := d.opened(false)
	if err != nil {
		return err
	}
	v := caseView{Title: d.text("case.title", c.UBRN.Display()), Done: d.done(), LetterHidden: !letter, Record: web.Link{Text: d.text("case.record"), URL: d.chartPath(c.Chart)}}
	v.Page = d.casePage(c, g, d.text("case.tab"))
	if letter {
		if _, err := d.ask.Grants(access.Act{Action: access.Read, Place: placeOf(d.hospital, c.Chart, true)}); err != nil {
			return err
		}
		if v.Letter = strings.Split(strings.TrimSpace(c.Letter), "\n"); c.Gone && c.Letter == "" {
			v.Letter = []string{d.text("case.letter-gone")}
		}
		v.Files = d.fileTable(d.path("cases", c.UBRN.String(), "files"), c.Attachments)
	}
	var told Informed
	if a := c.Appointment; a != nil {
		err = d.k.DB.Read(d.ctx, func(tx *store.Tx) (err error) {
			told, err = d.informed(tx, d.hospital, c, a.Session, a.Slot)
			return err
		})
		if err != nil {
			return err
		}
	}
	v.Facts = d.caseFacts(c, told)
	if !c.Pathway.Rebook.IsZero() {
		v.Warning, v.WarningText = d.text("rebook.title"), d.rebookWhy(c)
	}
	acts, err := d.offered(c)
	if err != nil {
		return err
	}
	v.Decisions = d.links(c, acts)
	if slices.Contains(acts, offerBook) {
		cut, err := d.cutOff(d.ctx)
		if err != nil {
			return err
		}
		if cut {
			v.Decisions = append(v.Decisions, web.Link{Text: d.text("override.title"), URL: d.path("cases", c.UBRN.String(), "override")})
		}
	}
	if len(acts) == 0 {
		v.Nothing = d.text("case.nothing")
	}
	err = d.k.DB.Read(d.ctx, func(tx *store.Tx) error {
		acts, err := d.actsIn(tx, d.hospital, `ubrn = ?`, c.UBRN.String())
		if err != nil {
			return err
		}
		events, err := d.eventsIn(tx, d.hospital, c.UBRN.String())
		v.Acts, v.History = d.actTable(acts), d.eventTable(events)
		return err
	})
	if err != nil {
		return err
	}
	return web.Render(d.w, d.r, http.StatusOK, casePage(v))
}

// links lead to what is offered of a referral. A time for the referral and one for a follow-up are chosen on one page.
func (d *desk) links(c Case, acts []string) (list []web.Link) {
	at := func(parts ...string) string { return d.path(append([]string{"cases", c.UBRN.String()}, parts...)...) }
	for i, act := range acts {
		switch {
		case act == offerLetter:
			list = append(list, web.Link{Text: d.text("letter.title"), URL: at("letter")})
		case act == offerFollowUp && i > 0 && acts[i-1] == offerBook:
		case act == offerBook || act == offerFollowUp:
			list = append(list, web.Link{Text: d.text("book.title"), URL: at("book")})
		default:
			list = append(list, web.Link{Text: d.text("decide." + act), URL: at("decide", act)})
		}
	}
	return list
}

// fileTable lists files that came with a referral or a question; base is where each is to be had.
func (d *desk) fileTable(base string, list []booking.Attachment) web.Table {
	t := web.Table{ID: "files", RowHeader: true, Caption: d.text("case.files"), Columns: d.columns("file", "size", "about", "who", "when")}
	for _, f := range list {
		t.Rows = append(t.Rows, web.TableRow{Cells: []web.TableCell{web.LinkCell(f.Name, base+"/"+f.ID), web.Cell(format.Bytes(f.Size)), web.NoteCell(f.Description), web.ShowCell(web.Lines(f.By, f.Organisation)), web.Cell(format.DateTime(f.At))}})
	}
	return t
}

// file hands out a file that came with a referral, to those who may read its letter.
func (d *desk) file() error {
	c, _, _, err := d.opened(true)
	if err != nil {
		return err
	}
	return d.serveFile(c.Attachments)
}

func (d *desk) serveFile(list []booking.Attachment) error {
	i := slices.IndexFunc(list, func(f booking.Attachment) bool { return f.ID == d.r.PathValue("file") })
	if i < 0 {
		return access.NotHere()
	}
	f, err := list[i].File()
	if err != nil {
		return err
	}
	body, err := d.k.Post().Open(d.ctx, f)
	if err != nil {
		return err
	}
	web.ServeFile(d.w, d.r, f.Name, f.Type, list[i].Hash, body)
	return nil
}

func (d *desk) rebookWhy(c Case) string {
	if c.Pathway.Reason == visitMissed {
		return d.text("visit.did-not-attend")
	}
	if c.Pathway.Reason == reasonTriaged {
		return d.text("reviewed.triaged")
	}
	if c.Pathway.Reason == "" {
		return d.spoken("state", c.State) // nobody said more
	}
	return c.Pathway.Reason
}

// offerWords are what the spine offers somebody who waits, and until when; or how often it was in vain.
func (d *desk) offerWords(c Case) string {
	switch o := c.Offer; {
	case o != nil && o.Until.After(d.now):
		return d.text("rebook.offer", format.DateTime(o.Start), format.DateTime(o.Until))
	case c.Passed > 0 && waitsForTime(c.Case):
		return web.Count(d.ctx, "hospital.rebook.passed", c.Passed)
	}
	return ""
}

func (d *desk) caseFacts(c Case, told Informed) []web.Row {
	row := func(key, value string) web.Row { return web.Row{Key: d.text("case." + key), Text: value} }
	facts := []web.Row{row("service", c.ServiceName), row("state", d.spoken("state", c.State)), row("priority", d.spoken("priority", c.Priority)), row("review", d.reviewText(c)),
		row("from", c.Referrer+", "+d.k.Organisation(d.ctx, c.Practice)), row("received", format.DateTime(c.Received)), row("clock", d.clockText(c.Pathway))}
	at := row("appointment", d.text("case.none"))
	if a := c.Appointment; a != nil {
		at.Text, at.Change = format.Weekday(a.Start)+" "+format.DateTime(a.Start), web.Link{Text: d.text("case.session"), URL: d.path("sessions", a.Session)}
		if a.Clinician != "" {
			at.Text += ", " + a.Clinician
		}
	}
	facts = append(facts, at)
	if c.Appointment != nil {
		facts = append(facts, row("informed", d.informedText(told)))
	}
	if words := d.offerWords(c); words != "" {
		facts = append(facts, row("offer", words))
	}
	if c.Comment != "" {
		facts = append(facts, row("comment", c.Comment))
	}
	return facts
}

// reviewText is how far the hospital is with a referral, in words.
func (d *desk) reviewText(c Case) string {
	if c.Pathway.Review == reviewWaiting {
		switch {
		case c.Gone:
			return d.text("reviewed.gone")
		case c.State == stateTriage:
			return d.text("reviewed.triage")
		}
	}
	return d.text("reviewed." + c.Pathway.Review)
}

// clockText is how long somebody has waited for treatment.
func (d *desk) clockText(p Pathway) string {
	weeks := web.Count(d.ctx, "hospital.weeks", p.Weeks(d.now))
	if !p.Stopped.IsZero() {
		return d.text("clock.stopped", weeks, format.Date(p.Stopped), d.text("status."+p.Status))
	}
	if !p.Began.IsZero() {
		return d.text("clock.anew", weeks, format.Date(p.Clock))
	}
	return d.text("clock.runs", weeks, format.Date(p.Clock))
}

// offered is what this reader can do with a referral as it stands.
func (d *desk) offered(c Case) (acts []string, err error) {
	err = d.k.DB.Read(d.ctx, func(tx *store.Tx) error {
		came, err := d.cameIn(tx, d.hospital, c)
		acts = offered(c, came, d.ask.Principal.Role == access.Clinician)
		return err
	})
	return acts, err
}

// can refuses what is not offered of a referral as it stands: for all of kinds, of which one is enough.
func (d *desk) can(c Case, kinds ...string) ([]string, error) {
	acts, err := d.offered(c)
	if err != nil {
		return nil, err
	}
	acts = slices.DeleteFunc(acts, func(a string) bool { return !slices.Contains(kinds, a) })
	if len(acts) == 0 {
		return nil, fault.New(fault.Conflict, "%s", d.text("not-now"))
	}
	return acts, nil
}

func (d *desk) actTable(acts []Act) web.Table {
	t := web.Table{ID: "acts", RowHeader: true, Caption: d.text("case.acts"), Columns: d.columns("what", "when", "who", "state", "answer"), Empty: web.Empty{Text: d.text("case.no-acts"), Help: d.text("case.no-acts-help")}}
	for _, a := range acts {
		colour := map[string]web.Colour{actWaiting: web.Yellow, actConfirmed: web.Green, actRefused: web.Red, actDealt: web.Grey}[a.State]
		t.Rows = append(t.Rows, web.TableRow{Cells: []web.TableCell{web.Cell(d.spoken("event", a.Kind)), web.Cell(format.DateTime(a.At)), web.Cell(a.By), web.ShowCell(web.Tag(d.text("act-state."+a.State), colour)), web.NoteCell(a.Answer)}})
	}
	return t
}

func (d *desk) eventTable(events []Event) web.Table {
	t := web.Table{ID: "history", RowHeader: true, Caption: d.text("case.history"), Columns: d.columns("when", "what", "detail", "who")}
	for _, e := range events {
		detail := e.Detail
		if e.What == "told" {
			detail = d.spoken("state", e.Detail)
		}
		if at, err := time.Parse(time.RFC3339, detail); err == nil {
			detail = format.DateTime(at)
		}
		t.Rows = append(t.Rows, web.TableRow{Cells: []web.TableCell{web.Cell(format.DateTime(e.At)), web.Cell(d.spoken("event", e.What)), web.NoteCell(detail), web.NoteCell(e.Actor)}})
	}
	return t
}

// decideForm is the form of a decision.
func (d *desk) decideForm(c Case, g access.Grant) (formView, error) {
	act, back := d.r.PathValue("act"), d.path("cases", c.UBRN.String())
	if !slices.Contains(booking.Acts(), act) || act == booking.ActOffer { // a time is given by its own page
		return formView{}, access.NotHere()
	}
	if _, err := d.can(c, act); err != nil {
		return formView{}, err
	}
	v := formView{Title: d.text("decide." + act), Explain: []string{d.text("will-decide."+act, c.ServiceName)},
		Form: web.Form{Person: c.UBRN.String(), PersonName: d.nameOfCase(c, true), Submit: d.text("decide." + act), Danger: act == booking.ActReject || act == booking.ActCancel, Cancel: web.Link{URL: back}}}
	v.Page = d.casePage(c, g, v.Title)
	v.Page.Back = web.Link{Text: d.text("case.title", c.UBRN.Display()), URL: back}
	v.Hidden = []web.Row{{Key: "seen", Text: strconv.FormatInt(c.Version, 10)}}
	if list := d.reasons(act); len(list) > 0 {
		v.Radios = []web.Choice{{Name: "reason", Label: d.text("field.why"), Value: d.r.PostForm.Get("reason"), Options: list}}
	}
	if act == booking.ActTriageAccept {
		if err := d.triageChoices(&v, c); err != nil {
			return v, err
		}
	}
	v.Fields = []web.Field{{Name: "comment", Label: d.text("field.comment"), Hint: d.text("hint.comment"), Rows: 4, Value: d.r.PostForm.Get("comment"), Autocomplete: "off"}}
	return v, nil
}

// triageChoices asks which of the hospital's services takes a referral, and who finds the date.
func (d *desk) triageChoices(v *formView, c Case) error {
	service := web.Choice{Name: "service", Label: d.text("triage.service"), Value: cmp.Or(d.r.PostForm.Get("service"), c.Service), Options: []web.Option{{Value: c.Service, Text: c.ServiceName}}}
	err := d.k.DB.Read(d.ctx, func(tx *store.Tx) error {
		clinics, err := d.clinicsIn(tx, d.hospital)
		service.Options = service.Options[:1]
		for _, x := range clinics {
			if !slices.ContainsFunc(service.Options, func(o web.Option) bool { return o.Value == x.Service }) {
				service.Options = append(service.Options, web.Option{Value: x.Service, Text: x.Name})
			}
		}
		return err
	})
	how := web.Choice{Name: "how", Label: d.text("triage.how"), Value: cmp.Or(d.r.PostForm.Get("how"), "here"), Options: []web.Option{{Value: "here", Text: d.text("triage.here")}, {Value: "invite", Text: d.text("triage.invite")}}}
	v.Radios = append(v.Radios, service, how)
	return err
}

// reasons are those that may be given for an act, to choose from.
func (d *desk) reasons(act string) (list []web.Option) {
	system, types := reasons(act)
	for _, c := range codes.List(system, d.now, types...) {
		o := web.Option{Value: c.Code, Text: c.Display}
		if c.CommentNeeded {
			o.Hint = d.text("hint.reason-comment")
		}
		list = append(list, o)
	}
	return list
}

func (d *desk) askDecide() error {
	c, _, g, err := d.opened(false)
	if err != nil {
		return err
	}
	v, err := d.decideForm(c, g)
	if err != nil {
		return err
	}
	return web.Render(d.w, d.r, http.StatusOK, formPage(v))
}

func (d *desk) doDecide() error {
	if err := web.CheckForm(d.r, d.r.PathValue("ubrn")); err != nil {
		return err
	}
	c, _, g, err := d.opened(false)
	if err != nil {
		return err
	}
	act := d.r.PathValue("act")
	if d.decidedAlready(c, act) { // a double click
		return web.SeeOther(d.w, d.r, d.path("cases", c.UBRN.String())+"?done=decided")
	}
	v, err := d.decideForm(c, g)
	if err != nil {
		return err
	}
	decision := Decision{Kind: act, Reason: d.r.PostForm.Get("reason"), Comment: strings.TrimSpace(d.r.PostForm.Get("comment")), Service: d.r.PostForm.Get("service"), Invite: d.r.PostForm.Get("how") == "invite"}
	if decision.Seen, err = strconv.ParseInt(d.r.PostForm.Get("seen"), 10, 64); err != nil {
		return fault.New(fault.Invalid, "%s", d.text("wrong.form"))
	}
	if v.Radios != nil && v.Radios[0].Name == "reason" && decision.Reason == "" {
		v.Radios[0].Error = d.text("wrong.reason")
		v.Errors.Add("reason", v.Radios[0].Error)
	}
	if decision.needsClinician() && decision.Comment == "" && act != booking.ActTriageAccept {
		v.Fields[0].Error = d.text("wrong.comment")
		v.Errors.Add("comment", v.Fields[0].Error)
	}
	if len(v.Errors) > 0 {
		v.Page.Failed = true
		return web.Render(d.w, d.r, http.StatusUnprocessableEntity, formPage(v))
	}
	if err := d.Decide(d.ctx, d.ask.Principal, d.hospital, c.UBRN.String(), decision); err != nil {
		return d.again(v, err, "comment")
	}
	return web.SeeOther(d.w, d.r, d.path("cases", c.UBRN.String())+"?done=decided")
}

// decidedAlready reports whether the referral stands as the act would have it.
func (d *desk) decidedAlready(c Case, act string) bool {
	review := map[string]string{booking.ActAccept: reviewAccepted, booking.ActReject: reviewRejected, booking.ActTriageAccept: reviewTriaged, booking.ActTriageReturn: reviewReturned}
	return review[act] != "" && c.Pathway.Review == review[act] || act == booking.ActCancel && !c.Pathway.Rebook.IsZero()
}

// freeOwn are the free slots of the hospital's own in clinics of a service, the earliest first.
func (o *Outpatients) freeOwn(ctx context.Context, d *desk, service string, most int) (list []Slot, err error) {
	err = o.k.DB.Read(ctx, func(tx *store.Tx) error {
		list, err = o.slotsWhere(tx, d.hospital, `epoch % 2 = 0 AND starts > ? AND EXISTS (SELECT 1 FROM hospital_session s JOIN hospital_clinic c ON c.lane = s.lane AND c.tenant = s.tenant AND c.id = s.clinic
			WHERE s.lane = hospital_slot.lane AND s.tenant = hospital_slot.tenant AND s.id = hospital_slot.session AND s.state <> ? AND c.service = ?)
			AND NOT EXISTS (SELECT 1 FROM hospital_hold h WHERE h.lane = hospital_slot.lane AND h.tenant = hospital_slot.tenant AND h.session = hospital_slot.session AND h.slot = hospital_slot.id AND h.epoch >= hospital_slot.base)`,
			d.now.UnixMicro(), sessionWithdrawn, service)
		return err
	})
	if len(list) > most {
		list = list[:most]
	}
	return list, err
}

// bookForm chooses one of the hospital's own slots: for the referral's appointment, or for a follow-up of somebody who was seen.
func (d *desk) bookForm(c Case, g access.Grant) (formView, error) {
	back := d.path("cases", c.UBRN.String())
	kinds, err := d.can(c, offerBook, offerFollowUp)
	if err != nil {
		return formView{}, err
	}
	v := formView{Title: d.text("book.title"), Explain: []string{d.text("book.lede")}, Form: web.Form{Person: c.UBRN.String(), PersonName: d.nameOfCase(c, true), Submit: d.text("book.submit"), Cancel: web.Link{URL: back}}}
	v.Page = d.casePage(c, g, v.Title)
	v.Page.Back = web.Link{Text: d.text("case.title", c.UBRN.Display()), URL: back}
	v.Hidden = []web.Row{{Key: "seen", Text: strconv.FormatInt(c.Version, 10)}}
	slots, err := d.freeOwn(d.ctx, d, c.Service, 20)
	if err != nil {
		return v, err
	}
	choice := web.Choice{Name: "slot", Label: d.text("book.slot"), Value: d.r.PostForm.Get("slot")}
	for _, x := range slots {
		choice.Options = append(choice.Options, web.Option{Value: x.Session + " " + x.ID, Text: format.Weekday(x.Starts) + " " + format.DateTime(x.Starts), Hint: d.text("slot." + x.Kind)})
	}
	if len(slots) == 0 {
		v.Explain = append(v.Explain, d.text("book.none"))
	}
	kind := web.Choice{Name: "kind", Label: d.text("book.kind"), Value: d.r.PostForm.Get("kind")}
	for _, k := range kinds {
		kind.Options = append(kind.Options, map[string]web.Option{offerBook: {Value: "appointment", Text: d.text("book.appointment")}, offerFollowUp: {Value: "follow-up", Text: d.text("kind.follow-up")}}[k])
	}
	if !slices.ContainsFunc(kind.Options, func(o web.Option) bool { return o.Value == kind.Value }) {
		kind.Value = kind.Options[0].Value
	}
	v.Radios = []web.Choice{kind}
	if len(slots) > 0 {
		v.Radios = append(v.Radios, choice)
	}
	return v, nil
}

func (d *desk) askBook() error {
	c, _, g, err := d.opened(false)
	if err != nil {
		return err
	}
	v, err := d.bookForm(c, g)
	if err != nil {
		return err
	}
	return web.Render(d.w, d.r, http.StatusOK, formPage(v))
}

func (d *desk) doBook() error {
	if err := web.CheckForm(d.r, d.r.PathValue("ubrn")); err != nil {
		return err
	}
	c, _, g, err := d.opened(false)
	if err != nil {
		return err
	}
	session, slot, ok := strings.Cut(d.r.PostForm.Get("slot"), " ")
	who, followUp := c.UBRN.String(), d.r.PostForm.Get("kind") == "follow-up"
	there, err := d.holds(session, slot, who, followUp)
	if err != nil {
		return err
	}
	done := d.path("cases", who) + "?done=booked"
	if there { // a double click
		return web.SeeOther(d.w, d.r, done)
	}
	v, err := d.bookForm(c, g)
	if err != nil {
		return err
	}
	kind, fits := d.r.PostForm.Get("kind"), v.Radios[0].Options
	switch {
	case !ok:
		err = fault.New(fault.Invalid, "%s", d.text("wrong.slot"))
	case !slices.ContainsFunc(fits, func(o web.Option) bool { return o.Value == kind }):
		return fault.New(fault.Conflict, "%s", d.text("not-now"))
	case followUp:
		err = d.FollowUp(d.ctx, d.ask.Principal, d.hospital, who, session, slot)
	default:
		seen, _ := strconv.ParseInt(d.r.PostForm.Get("seen"), 10, 64) // what cannot be read matches no version
		err = d.Decide(d.ctx, d.ask.Principal, d.hospital, who, Decision{Kind: booking.ActMove, Seen: max(seen, 1), Session: session, Slot: slot})
	}
	if err != nil {
		return d.again(v, err, "slot")
	}
	return web.SeeOther(d.w, d.r, done)
}

// holds reports whether somebody is in a slot already.
func (d *desk) holds(session, slot, who string, followUp bool) (there bool, err error) {
	if followUp {
		who = followUpMark + who
	}
	err = d.k.DB.Read(d.ctx, func(tx *store.Tx) error {
		held, err := d.heldIn(tx, d.hospital, session)
		there = slot != "" && held[slot] == who
		return err
	})
	return there, err
}
