// Package privacy is for those who watch over the record without reading it. Whoever breaks the glass, or says on their own
// word that they look after somebody, leaves an alert; a privacy officer reads the reason and what was looked at, and says
// whether it was right. An auditor searches the account, and anybody who must trust it can have its seal checked.
//
//	glass broken, or relationship claimed ──► alert: waiting ──► reviewed: justified
//	                                                        └──► reviewed: needs action ──► (reviewed again)
//
//	a person asks about a look ──► question: waiting ──► taken on by an officer ──► answered ──► the person reads it
//
// A review and an answer can be changed; the account keeps each. Nobody reviews what they did themselves.
package privacy

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/account"
	"github.com/openspine/openspine/web/format"
)

// office is the pages of one node.
type office struct{ k catalogue.Kernel }

// Service is the privacy officer's and the auditor's pages.
func Service(k catalogue.Kernel) catalogue.Service {
	o := &office{k}
	watchers := []access.Role{access.PrivacyOfficer, access.Auditor}
	checkers := []access.Role{access.Auditor, access.Administrator}
	return catalogue.Service{Name: "privacy", Summary: "Review broken glass and claimed relationships; answer what people ask about who looked; search the account and check its seal.",
		Pages: []catalogue.Route{
			catalogue.ForRole("GET /alerts", o.alerts, access.PrivacyOfficer),
			catalogue.ForRole("GET /alerts/{alert}", o.alert, access.PrivacyOfficer),
			catalogue.ForRole("POST /alerts/{alert}", o.review, access.PrivacyOfficer),
			catalogue.ForRole("GET /questions", o.questions, access.PrivacyOfficer),
			catalogue.ForRole("GET /questions/{question}", o.question, access.PrivacyOfficer),
			catalogue.ForRole("POST /questions/{question}", o.answer, access.PrivacyOfficer),
			catalogue.ForRole("GET /account", o.search, watchers...),
			catalogue.ForRole("GET /account/seal", o.seal, checkers...),
			catalogue.ForRole("POST /account/seal", o.verify, checkers...),
		},
		Links: []catalogue.Link{
			{Key: "privacy.nav.alerts", Path: "/alerts", Roles: []access.Role{access.PrivacyOfficer}},
			{Key: "privacy.nav.questions", Path: "/questions", Roles: []access.Role{access.PrivacyOfficer}},
			{Key: "privacy.nav.account", Path: "/account", Roles: watchers},
			{Key: "privacy.nav.seal", Path: "/account/seal", Roles: checkers},
		}}
}

// subject is how a privacy officer names the person of a chart: by NHS number where the chart has it, never by name.
func subject(chart string) string {
	if n, err := ident.ParseNHSNumber(chart); err == nil {
		return n.Display()
	}
	return chart
}

// listView is the worklist of alerts.
type listView struct {
	Table   web.Table
	Waiting int
	Shows   string
}

func (o *office) alerts(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	ctx := r.Context()
	state, err := web.ReadTableState(r, "-when")
	if err != nil {
		return err
	}
	shows := state.Filter("show")
	_, newest := state.Sort()
	page, err := o.k.Gate.Alerts(ctx, p, access.AlertQuery{Oldest: !newest, Waiting: shows != "all", After: state.After(), Before: state.Before(), Limit: 50})
	if err != nil {
		return err
	}
	if r.URL.Query().Get("format") == "csv" {
		return o.alertsCSV(w, r, p, shows, !newest)
	}
	v := listView{Waiting: page.Waiting, Shows: shows, Table: web.Table{ID: "alerts", State: state, Caption: web.Text(ctx, "privacy.alerts.caption"), NextCursor: page.Next, PreviousCursor: page.Previous, CSVURL: state.With("format", "csv"),
		Count: web.Count(ctx, "privacy.alerts.waiting", page.Waiting), Empty: web.Empty{Text: web.Text(ctx, "privacy.alerts.empty"), Help: web.Text(ctx, "privacy.alerts.empty-help")}}}
	if v.Shows == "" {
		v.Shows = "waiting"
	}
	for i, k := range []string{"when", "who", "person", "reason", "review"} {
		v.Table.Columns = append(v.Table.Columns, web.Column{Text: web.Text(ctx, "privacy.column."+k), Whole: i == 0 || i == 2, Share: []int{3, 4, 3, 7, 3}[i]})
	}
	v.Table.Columns[0].Sort = "when"
	for _, a := range page.Alerts {
		cells := []web.TableCell{web.ShowCell(whenLink("/alerts/"+a.ID, format.DateTime(a.At), o.age(ctx, a.At))), web.ShowCell(web.Lines(a.ActorName, web.RoleName(ctx, string(a.Role))+", "+o.k.Organisation(ctx, a.Organisation))),
			web.Cell(subject(a.Chart)), web.ShowCell(web.Lines(a.Reason, kindText(ctx, a))), web.ShowCell(reviewTag(a))}
		v.Table.Rows = append(v.Table.Rows, web.TableRow{Cells: cells})
	}
	return web.RenderPart(w, r, v.Table.ID, web.DataTable(v.Table), alertsPage(v))
}

func alertHeader(ctx context.Context) []string {
	var names []string
	for _, k := range []string{"when", "age", "kind", "who", "organisation", "person", "reason", "review"} {
		names = append(names, web.Text(ctx, "privacy.column."+k))
	}
	return names
}

// alertsCSV sends every alert that the list shows, up to 5,000.
func (o *office) alertsCSV(w http.ResponseWriter, r *http.Request, p access.Principal, shows string, oldest bool) error {
	ctx := r.Context()
	return web.CSV(w, "alerts", alertHeader(ctx), func(yield func([]string, error) bool) {
		after := ""
		for range 25 {
			page, err := o.k.Gate.Alerts(ctx, p, access.AlertQuery{Oldest: oldest, Waiting: shows != "all", After: after, Limit: 200})
			if err != nil {
				yield(nil, err)
				return
			}
			for _, a := range page.Alerts {
				if !yield([]string{format.DateTime(a.At), o.age(ctx, a.At), kindText(ctx, a), a.ActorName, o.k.Organisation(ctx, a.Organisation), subject(a.Chart), a.Reason, reviewText(ctx, a)}, nil) {
					return
				}
			}
			if after = page.Next; after == "" {
				return
			}
		}
	})
}

// age is how long ago something happened, in the unit that matters.
func (o *office) age(ctx context.Context, at time.Time) string {
	return web.Ago(ctx, o.k.Clock.Now(), at)
}

func kindText(ctx context.Context, a access.Alert) string {
	return web.Text(ctx, "privacy.kind."+a.Kind)
}

func reviewText(ctx context.Context, a access.Alert) string {
	if a.Outcome == "" {
		return web.Text(ctx, "privacy.outcome.waiting")
	}
	return web.Text(ctx, "privacy.outcome."+a.Outcome)
}

// alertView is one alert with what the account says around it.
type alertView struct {
	Page   web.Page
	Alert  access.Alert
	Facts  []web.Row
	Table  web.Table
	Form   reviewForm
	Done   bool
	Own    bool
	Number string
}

// reviewForm is a review as typed.
type reviewForm struct {
	Outcome, Note string
	Errors        web.FieldErrors
}

// around is how long before and after an alert the account is shown.
const around = 2 * time.Hour

func (o *office) one(r *http.Request, p access.Principal) (*alertView, error) {
	ctx := r.Context()
	a, err := o.k.Gate.AlertByID(ctx, p, r.PathValue("alert"))
	if err != nil {
		return nil, err
	}
	v := &alertView{Alert: a, Number: subject(a.Chart), Own: a.Actor == p.ID, Form: reviewForm{Outcome: a.Outcome, Note: a.Note},
		Page: web.Page{Title: web.Text(ctx, "privacy.alert.title"), Back: web.Link{Text: web.Text(ctx, "privacy.nav.alerts"), URL: "/alerts"}}}
	v.Facts = []web.Row{
		{Key: web.Text(ctx, "privacy.column.kind"), Text: kindText(ctx, a)},
		{Key: web.Text(ctx, "privacy.column.who"), Text: a.ActorName + ", " + strings.ToLower(web.RoleName(ctx, string(a.Role)))},
		{Key: web.Text(ctx, "privacy.column.organisation"), Text: o.k.Organisation(ctx, a.Organisation)},
		{Key: web.Text(ctx, "privacy.column.person"), Text: v.Number},
		{Key: web.Text(ctx, "privacy.alert.record"), Text: o.k.Organisation(ctx, a.Tenant)},
		{Key: web.Text(ctx, "privacy.column.when"), Text: format.DateTime(a.At)},
		{Key: web.Text(ctx, "privacy.alert.until"), Text: format.DateTime(a.Until)},
		{Key: web.Text(ctx, "privacy.column.reason"), Text: a.Reason},
		{Key: web.Text(ctx, "privacy.column.review"), Value: reviewTag(a)},
	}
	if a.Outcome != "" {
		v.Facts = append(v.Facts, web.Row{Key: web.Text(ctx, "privacy.alert.reviewed"), Text: format.DateTime(a.Reviewed)}, web.Row{Key: web.Text(ctx, "privacy.alert.note"), Text: a.Note})
	}
	return v, o.surround(ctx, v, p)
}

// surround shows what the account says of the person and of the one who looked, around the time of the alert.
func (o *office) surround(ctx context.Context, v *alertView, p access.Principal) error {
	a := v.Alert
	g, err := o.k.Gate.Decide(ctx, p, access.Search, access.Place{Tenant: a.Tenant, Chart: a.Chart, Type: access.TypeAccount})
	if fault.Is(err, fault.Forbidden) {
		return nil // our own staff, in the records of another organisation: its privacy officer sees the account
	}
	if err != nil {
		return err
	}
	page, err := o.k.Audit.Search(ctx, audit.Query{Tenant: a.Tenant, Chart: a.Chart, From: a.At.Add(-around), To: a.Until.Add(around), Limit: 100})
	if err != nil {
		return err
	}
	view := account.View{ID: "around", Name: o.k.Organisation, Caption: web.Text(ctx, "privacy.alert.around", v.Number), Empty: web.Empty{Text: web.Text(ctx, "privacy.alert.around-empty")}}
	v.Table = view.Table(ctx, page, 0, web.TableState{})
	v.Table.NextCursor, v.Table.PreviousCursor, v.Table.CSVURL = "", "", ""
	return o.k.Gate.Account(ctx, []access.Grant{g}, nil)
}

func (o *office) alert(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	v, err := o.one(r, p)
	if err != nil {
		return err
	}
	v.Done = r.URL.Query().Get("done") == "reviewed"
	return web.Render(w, r, http.StatusOK, alertPage(v))
}

// noteMin is how long a note must be where something needs doing, in characters.
const (
	noteMin = 5
	noteMax = 1000
)

func (o *office) review(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	if err := web.CheckForm(r, r.PathValue("alert")); err != nil {
		return err
	}
	ctx := r.Context()
	form := reviewForm{Outcome: r.PostForm.Get("outcome"), Note: strings.TrimSpace(r.PostForm.Get("note"))}
	if form.Outcome != access.Justified && form.Outcome != access.NeedsAction {
		form.Errors.Add("outcome", web.Text(ctx, "privacy.review.outcome-missing"))
	}
	if n := len([]rune(form.Note)); n < noteMin || n > noteMax {
		form.Errors.Add("note", web.Text(ctx, "privacy.review.note-wrong", noteMin, noteMax))
	}
	if len(form.Errors) > 0 {
		v, err := o.one(r, p)
		if err != nil {
			return err
		}
		v.Form, v.Page.Failed = form, true
		return web.Render(w, r, http.StatusUnprocessableEntity, alertPage(v))
	}
	if err := o.k.Gate.Acknowledge(ctx, p, r.PathValue("alert"), form.Outcome, form.Note); err != nil {
		return err
	}
	return web.SeeOther(w, r, "/alerts/"+r.PathValue("alert")+"?done=reviewed")
}
