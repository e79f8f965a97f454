package hospital

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/booking/attach"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/format"
)

// mostForm is how many bytes a form with a file has at most, and fileField the field that brings it.
const (
	mostForm  = attach.MostBytes + 2<<20
	fileField = "file"
)

// adviceView is a question for advice with all that was said, and what this reader may do.
type adviceView struct {
	Page               web.Page
	Title, Done        string
	Facts              []web.Row
	Hidden             bool // what was said is for clinicians
	Remarks            []booking.Remark
	Mine               *booking.Advise // said here, and not yet part of what the spine tells
	MineState, MineWhy string
	FileBase           string
	Acts               []web.Link
	Over               bool
}

// adviceList are the questions that the hospital's services were asked and that are open: first those to answer.
func (d *desk) adviceList() error {
	v := listView{Title: d.text("advice.title"), Lede: d.text("advice.lede"), Done: d.done()}
	v.Page = d.page(v.Title)
	v.Live = d.alive(&v.Page)
	return d.read(func(tx *store.Tx, see func(string) bool) error {
		for _, key := range []string{"to-answer", "with-practice"} {
			cond := `a.ended = 0 AND a.state = ? ORDER BY a.changed, a.ubrn LIMIT ?`
			if key == "with-practice" {
				cond = `a.ended = 0 AND a.state <> ? ORDER BY a.changed, a.ubrn LIMIT ?`
			}
			list, err := d.askedWhere(tx, d.hospital, cond, stateAdviceAsked, int64(listMost))
			if err != nil {
				return err
			}
			t := web.Table{ID: key, RowHeader: true, Caption: d.text("advice." + key), Columns: d.columns("patient", "number", "priority", "service", "from", "state", "for"), Empty: web.Empty{Text: d.text("advice.none"), Help: d.text("advice.none-help")}}
			var names, who []string
			for _, a := range list {
				seen := see(a.Chart)
				c, name, number := Case{Case: booking.Case{Person: a.Person}, Chart: a.Chart}, "", ""
				cell := web.Cell(d.nameOfCase(c, seen))
				if seen && a.Chart != "" {
					name, number = a.Person.Family+" "+a.Person.Given, format.NHSNumber(a.Person.NHSNumber.String())
					cell = web.LinkCell(d.nameOfCase(c, true), d.path("advice", a.UBRN.String()))
				}
				names, who = append(names, name), append(who, number)
				t.Rows = append(t.Rows, web.TableRow{Cells: []web.TableCell{cell, web.NoteCell(number), d.priority(a.Priority), web.Cell(a.ServiceName), web.ShowCell(web.Lines(a.Referrer, a.PracticeName)), web.Cell(d.adviceState(a)), web.Cell(web.Ago(d.ctx, d.now, a.Changed))}})
			}
			similarNames(&t, names, who)
			v.Tables = append(v.Tables, t)
		}
		lost, err := d.notTaken(tx, see)
		if err == nil && len(lost.Rows) > 0 {
			v.Tables = append(v.Tables, lost)
		}
		if err != nil {
			return err
		}
		return d.show(v)
	})
}

// lostShown is how long a list says that an answer came too late.
const lostShown = 28 * 24 * time.Hour

// notTaken are the questions that were over when what was said here last reached the spine, which refused it: the practice has not read it, and whoever said it finds the question on no other list.
func (d *desk) notTaken(tx *store.Tx, see func(string) bool) (web.Table, error) {
	t := web.Table{ID: "not-taken", RowHeader: true, Caption: d.text("advice.not-taken"), Count: d.text("advice.not-taken-help"), Columns: d.columns("ubrn", "patient", "service", "from", "said", "why", "when")}
	list, err := d.askedWhere(tx, d.hospital, `a.ended = 1 AND x.state = ? AND a.changed > ? ORDER BY a.changed DESC, a.ubrn LIMIT ?`, actRefused, d.now.Add(-lostShown).UnixMicro(), int64(listMost))
	for _, a := range list {
		number, name := web.Cell(a.UBRN.Display()), d.text("hidden") // the record may be closed to them by now
		if a.Chart != "" && see(a.Chart) {
			number, name = web.LinkCell(a.UBRN.Display(), d.path("advice", a.UBRN.String())), format.Name(a.Person.Family, a.Person.Given, a.Person.Prefix)
		}
		t.Rows = append(t.Rows, web.TableRow{Cells: []web.TableCell{number, web.Cell(name), web.Cell(a.ServiceName), web.ShowCell(web.Lines(a.Referrer, a.PracticeName)), web.ShowCell(web.Lines(d.text("advice.act."+a.Answer.Kind), a.Answer.By+", "+format.DateTime(a.Answer.At))), web.Cell(a.Answer.Why), web.Cell(format.DateTime(a.Changed))}})
	}
	return t, err
}

// adviceState is how a question stands, in words.
func (d *desk) adviceState(a Asked) string {
	if a.unheard() {
		return d.text("advice.not-confirmed")
	}
	return web.Text(d.ctx, "referral.advice.state."+a.State)
}

// openedAdvice is a question that this reader may see, whose person's chart it is on the account of: clinicians see what was said.
func (d *desk) openedAdvice(clinical bool) (a Asked, page web.Page, err error) {
	err = d.k.DB.Read(d.ctx, func(tx *store.Tx) error {
		a, err = d.askedIn(tx, d.hospital, strings.ReplaceAll(d.r.PathValue("ubrn"), " ", ""))
		return err
	})
	if fault.Is(err, fault.NotFound) || err == nil && a.Chart == "" {
		return a, page, access.NotHere()
	}
	if err != nil {
		return a, page, err
	}
	grants, err := d.ask.Grants(access.Act{Action: access.Read, Place: placeOf(d.hospital, a.Chart, clinical)})
	if err != nil {
		return a, page, err
	}
	page = d.casePage(Case{Case: booking.Case{Person: a.Person, Practice: a.Practice}, Chart: a.Chart}, grants[0], d.text("advice.one"))
	page.Back = web.Link{Text: d.text("advice.title"), URL: d.path("advice")}
	return a, page, nil
}

func (d *desk) adviceView(a Asked, page web.Page, clinical bool) adviceView {
	row := func(key, value string) web.Row { return web.Row{Key: d.text(key), Text: value} }
	v := adviceView{Page: page, Title: d.text("advice.heading", a.UBRN.Display()), Done: d.done(), Hidden: !clinical, Over: a.Ended, FileBase: d.path("advice", a.UBRN.String(), "files")}
	v.Facts = []web.Row{row("case.service", a.ServiceName), row("case.from", a.Referrer+", "+a.PracticeName), row("case.priority", d.spoken("priority", a.Priority)), row("case.state", d.adviceState(a)), row("advice.may-convert", d.text(map[bool]string{true: "yes", false: "no"}[a.MayConvert]))}
	if !clinical {
		return v
	}
	v.Remarks = a.Remarks
	if a.unheard() || a.Answer.State == actRefused {
		v.Mine, v.MineState, v.MineWhy = &a.Answer.Advise, d.text("act-state."+a.Answer.State), a.Answer.Why
	}
	for _, kind := range a.Answers() {
		v.Acts = append(v.Acts, web.Link{Text: d.text("advice.act." + kind), URL: d.path("advice", a.UBRN.String(), "do", kind)})
	}
	return v
}

func (d *desk) showAdvice() error {
	clinical := d.ask.Principal.Role == access.Clinician
	a, page, err := d.openedAdvice(clinical)
	if err != nil {
		return err
	}
	return web.Render(d.w, d.r, http.StatusOK, advicePage(d.adviceView(a, page, clinical)))
}

// adviceFile hands out a file of a question, to clinicians.
func (d *desk) adviceFile() error {
	a, _, err := d.openedAdvice(true)
	if err != nil {
		return err
	}
	return d.serveFile(append(a.Files(), a.Answer.Files...))
}

// adviseForm is the form by which a clinician answers.
func (d *desk) adviseForm(a Asked, page web.Page) (formView, error) {
	kind, back := d.r.PathValue("act"), d.path("advice", a.UBRN.String())
	if !slices.Contains([]string{booking.AdviseAnswer, booking.AdviseMore, booking.AdviseConvert}, kind) {
		return formView{}, access.NotHere()
	}
	if !slices.Contains(a.Answers(), kind) {
		return formView{}, fault.New(fault.Conflict, "%s", d.text("advice.not-now"))
	}
	typed := d.r.PostForm
	v := formView{Page: page, Title: d.text("advice.act." + kind), Explain: []string{d.text("advice.effect." + kind)}, Hidden: []web.Row{{Key: "seen", Text: strconv.FormatInt(a.Version, 10)}},
		Form: web.Form{Action: back + "/do/" + kind, Person: a.UBRN.String(), PersonName: format.Name(a.Person.Family, a.Person.Given, a.Person.Prefix), Submit: d.text("advice.act." + kind), Cancel: web.Link{URL: back}, Multipart: true}}
	v.Page.Title, v.Page.Back = v.Title, web.Link{Text: d.text("advice.heading", a.UBRN.Display()), URL: back}
	if kind == booking.AdviseAnswer {
		c := web.Choice{Name: "recommendation", Label: web.Text(d.ctx, "referral.advice.recommendation"), Value: typed.Get("recommendation")}
		for _, r := range booking.Recommendations() {
			c.Options = append(c.Options, web.Option{Value: r, Text: web.Text(d.ctx, "referral.advice.recommendation-of."+r)})
		}
		v.Radios = append(v.Radios, c)
	}
	if kind == booking.AdviseConvert {
		c := web.Choice{Name: "priority", Label: d.text("case.priority"), Value: typed.Get("priority"), Inline: true}
		if c.Value == "" {
			c.Value = a.Priority
		}
		for _, p := range []string{"ROUTINE", "URGENT", "TWO_WEEK_WAIT"} {
			c.Options = append(c.Options, web.Option{Value: p, Text: d.spoken("priority", p)})
		}
		v.Radios = append(v.Radios, c)
	}
	v.Fields = []web.Field{{Name: "text", Label: web.Text(d.ctx, "referral.advice.message"), Value: typed.Get("text"), Rows: 8, Autocomplete: "off"}}
	if kind == booking.AdviseConvert {
		v.Fields = append(v.Fields, web.Field{Name: "note", Label: web.Text(d.ctx, "referral.advice.note"), Value: typed.Get("note"), Rows: 3, Autocomplete: "off"})
	}
	v.Fields = append(v.Fields, web.Field{Name: fileField, Label: web.Text(d.ctx, "referral.files.optional"), Hint: web.Text(d.ctx, "referral.files.hint", strings.Join(attach.Extensions(), ", ")), Type: "file"})
	return v, nil
}

func (d *desk) askAdvise() error {
	a, page, err := d.openedAdvice(true)
	if err != nil {
		return err
	}
	v, err := d.adviseForm(a, page)
	if err != nil {
		return err
	}
	return web.Render(d.w, d.r, http.StatusOK, formPage(v))
}

// doAdvise sends an answer. What is wrong with it stands beside its field, and nothing that was typed is lost.
func (d *desk) doAdvise() error {
	sent, err := web.ReadFileForm(d.r, fileField)
	if err != nil {
		return err
	}
	if err := web.CheckForm(d.r, d.r.PathValue("ubrn")); err != nil {
		return err
	}
	a, page, err := d.openedAdvice(true)
	if err != nil {
		return err
	}
	done := d.path("advice", a.UBRN.String()) + "?done=advised"
	form, kind := d.r.PostForm, d.r.PathValue("act")
	if last := a.Answer; last.State != "" && last.State != actRefused && last.Kind == kind && last.Text == strings.TrimSpace(form.Get("text")) && strconv.FormatInt(last.Seen, 10) == form.Get("seen") { // a double click
		return web.SeeOther(d.w, d.r, done)
	}
	v, err := d.adviseForm(a, page)
	if err != nil {
		return err
	}
	say := Saying{Kind: kind, Text: form.Get("text"), Note: form.Get("note"), Recommendation: form.Get("recommendation"), Priority: form.Get("priority")}
	say.Seen, _ = strconv.ParseInt(form.Get("seen"), 10, 64) // what cannot be read is no version
	var wrong web.FieldErrors
	if strings.TrimSpace(say.Text) == "" {
		wrong.Add("text", web.Text(d.ctx, "referral.advice.missing"))
	}
	if kind == booking.AdviseAnswer && !slices.Contains(booking.Recommendations(), say.Recommendation) {
		wrong.Add("recommendation", web.Text(d.ctx, "referral.advice.recommendation-missing"))
	}
	if kind == booking.AdviseConvert && !slices.ContainsFunc(v.Radios[0].Options, func(o web.Option) bool { return o.Value == say.Priority }) {
		wrong.Add("priority", d.text("wrong.form"))
	}
	if len(wrong) == 0 && sent.Body != nil {
		file, err := d.StoreFile(d.ctx, sent.Name, sent.Body)
		switch {
		case errors.Is(err, attach.ErrSize), errors.Is(err, attach.ErrType), errors.Is(err, attach.ErrHeld), fault.Is(err, fault.Invalid), fault.Is(err, fault.TooLarge):
			wrong.Add(fileField, fault.MessageOf(err))
		case err != nil:
			return err
		default:
			say.Files = []booking.Attachment{file}
		}
	}
	if len(wrong) > 0 {
		v.mark(wrong)
		return web.Render(d.w, d.r, http.StatusUnprocessableEntity, formPage(v))
	}
	if err := d.Advise(d.ctx, d.ask.Principal, d.hospital, a.UBRN.String(), say); err != nil {
		return d.again(v, err, "text")
	}
	return web.SeeOther(d.w, d.r, done)
}
