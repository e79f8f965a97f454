package mesh

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/format"
)

// pages are those of the mailboxes: administrators keep them all; the clerks of an organisation see what waits in its own.
func (o *Office) pages() []catalogue.Route {
	only := []access.Role{access.Administrator}
	return []catalogue.Route{
		catalogue.ForRole("GET /mailboxes", o.listPage, access.Administrator, access.Clerk),
		catalogue.ForRole("GET /mailboxes/new", o.askNew, only...),
		catalogue.ForRole("POST /mailboxes/new", o.putNew, only...),
		catalogue.ForRole("GET /mailboxes/{mailbox}", o.boxPage, access.Administrator, access.Clerk),
		catalogue.ForRole("GET /mailboxes/{mailbox}/change", o.askChange, only...),
		catalogue.ForRole("POST /mailboxes/{mailbox}/change", o.putChange, only...),
		catalogue.ForRole("GET /mailboxes/{mailbox}/do/{act}", o.askAct, only...),
		catalogue.ForRole("POST /mailboxes/{mailbox}/do/{act}", o.doAct, only...),
		catalogue.ForRole("GET /mailboxes/{mailbox}/inbox/{message}", o.askAgain, only...),
		catalogue.ForRole("POST /mailboxes/{mailbox}/inbox/{message}", o.doAgain, only...),
		catalogue.ForRole("GET /mailboxes/{mailbox}/outbox/{message}", o.askAgain, only...),
		catalogue.ForRole("POST /mailboxes/{mailbox}/outbox/{message}", o.doAgain, only...),
	}
}

// may decides whether somebody may do something to the mailboxes as the node's administrator.
func (o *Office) may(ctx context.Context, p access.Principal, a access.Action) error {
	g, err := o.k.Gate.Decide(ctx, p, a, access.Place{Type: access.TypeNode, ID: "mailboxes", Exists: true})
	if err != nil || !a.Sees() {
		return err
	}
	return o.k.Gate.Account(ctx, []access.Grant{g}, nil)
}

// look lets administrators see every mailbox and others those of their organisation: it is on the account.
func (o *Office) look(ctx context.Context, p access.Principal, what string) error {
	if p.Role == access.Administrator {
		return o.may(ctx, p, access.Search)
	}
	return o.k.DB.Write(ctx, []store.Lane{o.k.Gate.DeedLane(p)}, func(tx *store.Tx) error {
		return o.k.Gate.Record(ctx, tx, p, access.Deed{Action: access.ActMail, Basis: "look", Detail: what})
	})
}

func sees(p access.Principal, b *Mailbox) bool {
	return p.Role == access.Administrator || p.Organisation == b.ODS
}

// stateWord is a mailbox's state as pages say it.
func stateWord(b *Mailbox) string {
	if b.Elsewhere && b.State == Open {
		return "elsewhere"
	}
	return b.State.String()
}

// listView is the list of mailboxes.
type listView struct {
	Table       web.Table
	Query, Show string
	Shows       []web.Option
	May         bool
}

func (o *Office) listPage(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	ctx := r.Context()
	state, err := web.ReadTableState(r, "mailbox", "organisation", "waiting", "oldest")
	if err != nil {
		return err
	}
	if err := o.look(ctx, p, "mailboxes"); err != nil {
		return err
	}
	all, err := o.Standings(ctx)
	if err != nil {
		return err
	}
	v := listView{Query: state.Filter("q"), Show: state.Filter("show"), May: p.Role == access.Administrator, Shows: []web.Option{{Text: web.Text(ctx, "mesh.every-state")}}}
	for _, s := range []string{"open", "suspended", "closed", "elsewhere"} {
		v.Shows = append(v.Shows, web.Option{Value: s, Text: web.Text(ctx, "mesh.state."+s)})
	}
	all = slices.DeleteFunc(all, func(s Standing) bool {
		text := strings.ToLower(s.ID + " " + s.ODS.String() + " " + s.Name + " " + s.Owner)
		return !sees(p, &s.Mailbox) || !strings.Contains(text, strings.ToLower(v.Query)) || v.Show != "" && stateWord(&s.Mailbox) != v.Show
	})
	sortStandings(all, state)
	header := []string{"mailbox", "name", "organisation", "owner", "state", "waiting", "oldest"}
	cells := func(s Standing) []string {
		return []string{s.ID, s.Name, s.ODS.String(), s.Owner, web.Text(ctx, "mesh.state."+stateWord(&s.Mailbox)), s.waitingText(), o.ago(ctx, s.Oldest)}
	}
	if state.Filter("format") == "csv" {
		return web.CSV(w, "mailboxes", header, func(yield func([]string, error) bool) {
			for _, s := range all {
				if !yield(cells(s), nil) {
					return
				}
			}
		})
	}
	v.Table = web.Table{ID: "mailboxes", State: state, RowHeader: true, Caption: web.Text(ctx, "mesh.caption"), Count: web.Count(ctx, "mesh.count", len(all)), CSVURL: state.With("format", "csv"),
		Empty: web.Empty{Text: web.Text(ctx, "mesh.empty"), Help: web.Text(ctx, "mesh.empty-help")}}
	for i, k := range header {
		c := web.Column{Text: web.Text(ctx, "mesh.column."+k), Numeric: k == "waiting"}
		if i == 0 || k == "organisation" || k == "waiting" || k == "oldest" {
			c.Sort = k
		}
		v.Table.Columns = append(v.Table.Columns, c)
	}
	for _, s := range paged(all, state, &v.Table) {
		text := cells(s)
		row := []web.TableCell{web.LinkCell(s.ID, "/mailboxes/"+s.ID), web.Cell(s.Name), web.ShowCell(web.Lines(o.k.Organisation(ctx, s.ODS), s.ODS.String())), web.Cell(s.Owner), web.ShowCell(stateTag(stateWord(&s.Mailbox))), web.Cell(text[5]), web.NoteCell(text[6])}
		v.Table.Rows = append(v.Table.Rows, web.TableRow{Cells: row})
	}
	return web.RenderPart(w, r, v.Table.ID, web.DataTable(v.Table), listPage(v))
}

// waitingText is how many messages wait; of a mailbox at another node that is not known here.
func (s *Standing) waitingText() string {
	if s.Elsewhere {
		return ""
	}
	return strconv.Itoa(s.Waiting)
}

func (o *Office) ago(ctx context.Context, at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return web.Ago(ctx, o.k.Clock.Now(), at)
}

func sortStandings(all []Standing, state web.TableState) {
	column, down := state.Sort()
	slices.SortStableFunc(all, func(a, b Standing) int {
		order := strings.Compare(a.ID, b.ID)
		switch column {
		case "organisation":
			order = strings.Compare(a.ODS.String(), b.ODS.String())
		case "waiting":
			order = a.Waiting - b.Waiting
		case "oldest":
			order = a.Oldest.Compare(b.Oldest)
		}
		if down {
			order = -order
		}
		return order
	})
}

// paged is the page of a list that the state asks for; a cursor is the id of the mailbox at its edge.
func paged(all []Standing, state web.TableState, t *web.Table) []Standing {
	at := func(id string) int { return slices.IndexFunc(all, func(s Standing) bool { return s.ID == id }) }
	from := 0
	if state.After() != "" {
		from = at(state.After()) + 1
	}
	if state.Before() != "" {
		from = max(0, at(state.Before())-mailsShown)
	}
	to := min(len(all), from+mailsShown)
	if from > 0 {
		t.PreviousCursor = all[from].ID
	}
	if to < len(all) {
		t.NextCursor = all[to-1].ID
	}
	return all[from:to]
}

// boxView is one mailbox with its mail.
type boxView struct {
	Page          web.Page
	Title, Secret string
	Facts         []web.Row
	Acts          []web.Link
	Switch        web.Link
	Mail, History web.Table
	May           bool
}

func (o *Office) boxPage(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	return o.showBox(w, r, p, r.PathValue("mailbox"), "")
}

func (o *Office) showBox(w http.ResponseWriter, r *http.Request, p access.Principal, id, secret string) error {
	ctx := r.Context()
	s, err := o.Standing(ctx, id)
	if err == nil && !sees(p, &s.Mailbox) {
		err = fault.New(fault.NotFound, "There is no mailbox %s.", id)
	}
	if err != nil {
		return err
	}
	if err := o.look(ctx, p, subject(id)); err != nil {
		return err
	}
	v := boxView{Title: s.ID + " " + s.Name, Secret: secret, May: p.Role == access.Administrator, Facts: o.factsOf(ctx, &s)}
	v.Page = web.Page{Title: v.Title, Back: web.Link{Text: web.Text(ctx, "mesh.title"), URL: "/mailboxes"}}
	if v.May {
		v.Acts = actsOf(ctx, &s.Mailbox)
		if v.History, err = o.historyOf(ctx, id); err != nil {
			return err
		}
	}
	state, err := web.ReadTableState(r, "-at")
	if err != nil {
		return err
	}
	side, other := int64(inbox), "outbox"
	if state.Filter("side") == "outbox" {
		side, other = outbox, "inbox"
	}
	v.Switch = web.Link{Text: web.Text(ctx, "mesh.see-"+other), URL: "/mailboxes/" + s.ID + "?side=" + other}
	if v.Mail, err = o.mailTable(ctx, state, &s.Mailbox, side, v.May); err != nil {
		return err
	}
	if state.Filter("format") == "csv" {
		return o.mailCSV(w, r, s.ID, side)
	}
	return web.RenderPart(w, r, v.Mail.ID, web.DataTable(v.Mail), boxPage(v))
}

func (o *Office) factsOf(ctx context.Context, s *Standing) []web.Row {
	var rights []string
	for _, r := range s.Workflows {
		key := "mesh.right.takes"
		if r.Sends {
			key = "mesh.right.sends"
		}
		if r.Sends && r.Takes {
			key = "mesh.right.both"
		}
		rights = append(rights, web.Text(ctx, key, r.Workflow))
	}
	bound := "mesh.unbound"
	if s.Bound {
		bound = "mesh.is-bound"
	}
	seen := web.Text(ctx, "mesh.never")
	if !s.Seen.IsZero() {
		seen = o.ago(ctx, s.Seen)
	}
	row := func(key, value string) web.Row { return web.Row{Key: web.Text(ctx, "mesh.column."+key), Text: value} }
	facts := []web.Row{{Key: web.Text(ctx, "mesh.column.state"), Value: stateTag(stateWord(&s.Mailbox))}, row("organisation", o.k.Organisation(ctx, s.ODS)+" ("+s.ODS.String()+")"), row("owner", s.Owner),
		row("waiting", fmt.Sprint(s.Waiting)), row("seen", strings.TrimSpace(seen+" "+s.Program)), row("workflows", nonEmpty(strings.Join(rights, ", "), web.Text(ctx, "mesh.none"))), row("bound", web.Text(ctx, bound))}
	if !s.Oldest.IsZero() {
		facts = append(facts, row("oldest", o.ago(ctx, s.Oldest)))
	}
	if s.Certificate != "" {
		facts = append(facts, row("certificate", s.Certificate))
	}
	return facts
}

func actsOf(ctx context.Context, b *Mailbox) []web.Link {
	link := func(path, act string) web.Link {
		return web.Link{Text: web.Text(ctx, "mesh.act."+act), URL: "/mailboxes/" + b.ID + path}
	}
	switch b.State {
	case Open:
		return []web.Link{link("/change", "change"), link("/do/password", "password"), link("/do/suspend", "suspend"), link("/do/close", "close")}
	case Suspended:
		return []web.Link{link("/change", "change"), link("/do/open", "open"), link("/do/close", "close")}
	}
	return nil
}

// mailHeader are the columns of a mailbox's mail: what it is and how it stands, nothing of what it holds.
func mailHeader() []string {
	return []string{"id", "at", "kind", "other", "workflow", "size", "mail-state"}
}

func (o *Office) mailCells(ctx context.Context, m *Mail) []string {
	stood := web.Text(ctx, "mesh.mail."+m.State.String())
	if m.Code != "" {
		stood += ": " + m.Code + " " + m.Description
	}
	return []string{m.ID, format.DateTime(m.At), m.Kind, m.Other, m.Workflow, fmt.Sprint(m.Size), stood}
}

func (o *Office) mailTable(ctx context.Context, state web.TableState, b *Mailbox, side int64, may bool) (web.Table, error) {
	name := "mesh.inbox"
	if side == outbox {
		name = "mesh.outbox"
	}
	t := web.Table{ID: "mail", State: state, RowHeader: true, Caption: web.Text(ctx, name), CSVURL: state.With("format", "csv"), Empty: web.Empty{Text: web.Text(ctx, name+"-empty"), Help: web.Text(ctx, "mesh.mail-help")}}
	for _, k := range mailHeader() {
		t.Columns = append(t.Columns, web.Column{Text: web.Text(ctx, "mesh.column."+k), Numeric: k == "size"})
	}
	list, more, err := o.mails(ctx, b.ID, side, state.After())
	for i := range list {
		var row []web.TableCell
		for _, c := range o.mailCells(ctx, &list[i]) {
			row = append(row, web.NoteCell(c))
		}
		if m := &list[i]; may && b.State == Open && m.State == Failed && m.Kind == kindData {
			row[0] = web.LinkCell(m.ID, againPath(m))
		}
		t.Rows = append(t.Rows, web.TableRow{Cells: row})
	}
	if more {
		t.NextCursor = list[len(list)-1].ID
	}
	return t, err
}

func (o *Office) mailCSV(w http.ResponseWriter, r *http.Request, id string, side int64) error {
	return web.CSV(w, "mail-"+id, mailHeader(), func(yield func([]string, error) bool) {
		for after, more := "", true; more; {
			var list []Mail
			var err error
			if list, more, err = o.mails(r.Context(), id, side, after); err != nil {
				yield(nil, err)
				return
			}
			for i := range list {
				if after = list[i].ID; !yield(o.mailCells(r.Context(), &list[i]), nil) {
					return
				}
			}
		}
	})
}

func (o *Office) historyOf(ctx context.Context, id string) (web.Table, error) {
	t := web.Table{ID: "history", RowHeader: true, Caption: web.Text(ctx, "mesh.history"), Empty: web.Empty{Text: web.Text(ctx, "mesh.history-empty")}}
	for _, k := range []string{"at", "act", "who", "why"} {
		t.Columns = append(t.Columns, web.Column{Text: web.Text(ctx, "mesh.column."+k)})
	}
	list, err := o.k.Gate.Changes(ctx, subject(id))
	for _, c := range list {
		t.Rows = append(t.Rows, web.TableRow{Cells: []web.TableCell{web.Cell(format.DateTime(c.At)), web.Cell(didWhat(ctx, c)), web.Cell(c.ByName), web.NoteCell(c.Reason)}})
	}
	return t, err
}

// formView is a form about a mailbox.
type formView struct {
	Title, Back, Explain, Submit, Subject string
	Facts                                 []web.Row
	Fields                                []web.Field
	Bound                                 web.Choice
	Errors                                web.FieldErrors
	Danger                                bool
}

func (v *formView) field(ctx context.Context, name, value string, rows int) {
	f := web.Field{Name: name, Label: web.Text(ctx, "mesh.field."+name), Value: value, Rows: rows, Autocomplete: "off"}
	if hint := "mesh.hint." + name; web.HasText(hint) {
		f.Hint = web.Text(ctx, hint)
	}
	v.Fields = append(v.Fields, f)
}

func boxForm(ctx context.Context, b *Mailbox) formView {
	v := formView{Title: web.Text(ctx, "mesh.new"), Back: "/mailboxes", Submit: web.Text(ctx, "mesh.keep"), Explain: web.Text(ctx, "mesh.new-help")}
	var sends, takes []string
	if b.ID == "" || b.At.IsZero() {
		v.field(ctx, "mailbox", b.ID, 0)
		v.field(ctx, "organisation", b.ODS.String(), 0)
	} else {
		v.Title, v.Back, v.Subject, v.Explain = web.Text(ctx, "mesh.act.change"), "/mailboxes/"+b.ID, b.ID, ""
	}
	for _, r := range b.Workflows {
		if r.Sends {
			sends = append(sends, r.Workflow)
		}
		if r.Takes {
			takes = append(takes, r.Workflow)
		}
	}
	v.field(ctx, "name", b.Name, 0)
	v.field(ctx, "owner", b.Owner, 0)
	v.field(ctx, "sends", strings.Join(sends, "\n"), 3)
	v.field(ctx, "takes", strings.Join(takes, "\n"), 3)
	v.field(ctx, "certificate", b.Certificate, 0)
	v.field(ctx, "reason", "", 3)
	v.Bound = web.Choice{Name: "bound", Label: web.Text(ctx, "mesh.column.bound"), Options: []web.Option{{Value: "yes", Text: web.Text(ctx, "mesh.is-bound")}}}
	if b.Bound {
		v.Bound.Values = []string{"yes"}
	}
	return v
}

func (o *Office) askNew(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	if err := o.may(r.Context(), p, access.Read); err != nil {
		return err
	}
	return web.Render(w, r, http.StatusOK, formPage(boxForm(r.Context(), &Mailbox{})))
}

func (o *Office) askChange(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	if err := o.may(r.Context(), p, access.Read); err != nil {
		return err
	}
	b, err := o.Mailbox(r.Context(), r.PathValue("mailbox"))
	if err != nil {
		return err
	}
	return web.Render(w, r, http.StatusOK, formPage(boxForm(r.Context(), b)))
}

func (o *Office) putNew(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	return o.keep(w, r, p, &Mailbox{})
}

func (o *Office) putChange(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	b, err := o.Mailbox(r.Context(), r.PathValue("mailbox"))
	if err != nil {
		return err
	}
	return o.keep(w, r, p, b)
}

// keep makes or changes a mailbox as a form says.
func (o *Office) keep(w http.ResponseWriter, r *http.Request, p access.Principal, b *Mailbox) error {
	ctx, fresh := r.Context(), b.ID == ""
	if err := web.CheckForm(r, b.ID); err != nil {
		return err
	}
	if err := o.may(ctx, p, access.Update); err != nil {
		return err
	}
	f := r.PostForm
	var wrong error
	if fresh {
		b.ID = strings.ToUpper(strings.TrimSpace(f.Get("mailbox")))
		b.ODS, wrong = ident.ParseODSCode(strings.TrimSpace(f.Get("organisation")))
		if _, err := o.Mailbox(ctx, b.ID); err == nil {
			wrong = fault.New(fault.Conflict, "There is a mailbox %s already.", b.ID)
		}
	}
	b.Name, b.Owner, b.Certificate, b.Bound = f.Get("name"), f.Get("owner"), f.Get("certificate"), f.Get("bound") == "yes"
	b.Workflows = Rights(strings.Fields(f.Get("sends")), strings.Fields(f.Get("takes")))
	password := ""
	if wrong == nil {
		if fresh {
			password = NewPassword()
		}
		wrong = o.Put(ctx, p, *b, password, f.Get("reason"))
	}
	if k := fault.KindOf(wrong); wrong != nil && (k == fault.Invalid || k == fault.Conflict) {
		v := boxForm(ctx, b)
		v.Fields[len(v.Fields)-1].Value = f.Get("reason")
		v.Errors.Add(v.Fields[0].Name, fault.MessageOf(wrong))
		v.Fields[0].Error = fault.MessageOf(wrong)
		return web.Render(w, r, http.StatusUnprocessableEntity, formPage(v))
	}
	switch {
	case wrong != nil:
		return wrong
	case password != "":
		return o.showBox(w, r, p, b.ID, password)
	}
	return web.SeeOther(w, r, "/mailboxes/"+b.ID)
}

// actForm is what a form asks before something is done to a mailbox.
func (o *Office) actForm(r *http.Request) (*Mailbox, formView, error) {
	ctx, act := r.Context(), r.PathValue("act")
	if !slices.Contains([]string{"suspend", "open", "close", "password"}, act) {
		return nil, formView{}, nothingHere()
	}
	b, err := o.Mailbox(ctx, r.PathValue("mailbox"))
	if err != nil {
		return nil, formView{}, err
	}
	v := formView{Title: web.Text(ctx, "mesh.act."+act), Back: "/mailboxes/" + b.ID, Explain: web.Text(ctx, "mesh.will."+act, b.ID), Submit: web.Text(ctx, "mesh.act."+act), Subject: b.ID, Danger: act != "open"}
	v.field(ctx, "reason", r.PostForm.Get("reason"), 3)
	return b, v, nil
}

func (o *Office) askAct(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	if err := o.may(r.Context(), p, access.Read); err != nil {
		return err
	}
	_, v, err := o.actForm(r)
	if err != nil {
		return err
	}
	return web.Render(w, r, http.StatusOK, formPage(v))
}

func (o *Office) doAct(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	ctx := r.Context()
	if err := web.CheckForm(r, r.PathValue("mailbox")); err != nil {
		return err
	}
	if err := o.may(ctx, p, access.Update); err != nil {
		return err
	}
	b, v, err := o.actForm(r)
	if err != nil {
		return err
	}
	reason, password := r.PostForm.Get("reason"), ""
	switch r.PathValue("act") {
	case "suspend":
		err = o.Set(ctx, p, b.ID, Suspended, reason)
	case "open":
		err = o.Set(ctx, p, b.ID, Open, reason)
	case "close":
		err = o.Set(ctx, p, b.ID, Closed, reason)
	case "password":
		password = NewPassword()
		err = o.Put(ctx, p, *b, password, reason)
	}
	if k := fault.KindOf(err); err != nil && (k == fault.Invalid || k == fault.Conflict) {
		v.Errors.Add("reason", fault.MessageOf(err))
		v.Fields[0].Error = fault.MessageOf(err)
		return web.Render(w, r, http.StatusUnprocessableEntity, formPage(v))
	}
	switch {
	case err != nil:
		return err
	case password != "":
		return o.showBox(w, r, p, b.ID, password)
	}
	return web.SeeOther(w, r, "/mailboxes/"+b.ID)
}
