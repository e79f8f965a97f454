package patients

import (
	"context"
	"net/http"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/account"
	"github.com/openspine/openspine/web/format"
)

// ownSeenView is who looked at a patient's records, in words for them, and what they asked about it.
type ownSeenView struct {
	Page    web.Page
	Done    bool
	Filters account.Filters
	Who     string // everybody, or "" for everybody else
	At      string // the organisation whose record is meant; "" for all
	Places  []web.Option
	Table   web.Table
	Asked   []access.Objection
}

// ownSeenPage is how many lines of the account a patient's page holds.
const ownSeenPage = 25

// meSeen says to a patient who has looked at their records, and why.
func (f *face) meSeen(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	ctx := r.Context()
	own, err := f.own(ctx, p)
	if err != nil {
		return err
	}
	filters, state, err := account.Read(r, f.k.Clock.Now())
	if err != nil {
		return err
	}
	v := ownSeenView{Page: web.Page{Title: web.Text(ctx, "patients.me.seen-title"), Back: link(web.Text(ctx, "patients.nav.me"), "/me")}, Filters: filters, At: state.Filter("at"),
		Done: r.URL.Query().Get("done") == "asked", Places: []web.Option{{Text: web.Text(ctx, "patients.me.everywhere")}}}
	q := audit.Query{From: filters.Query.From, Not: []string{"service/seed", p.ID}, After: state.After(), Before: state.Before(), Oldest: filters.Query.Oldest, Limit: ownSeenPage}
	if v.Who = state.Filter("who"); v.Who == "everybody" {
		q.Not = q.Not[:1]
	}
	var shown []access.Grant
	for _, o := range own {
		g, err := f.grantOwn(ctx, o, access.Search, access.TypeAccount)
		if err != nil {
			return err
		}
		shown = append(shown, g)
		if !o.other {
			v.Places = append(v.Places, web.Option{Value: o.tenant.Code.String(), Text: o.tenant.Name})
		}
		if v.At == "" || v.At == o.tenant.Code.String() {
			q.Charts = append(q.Charts, audit.Chart{Tenant: o.tenant.Code, Chart: o.chart})
		}
		asked, err := f.k.Gate.OwnObjections(ctx, o.as, audit.Chart{Tenant: o.tenant.Code, Chart: o.chart})
		if err != nil {
			return err
		}
		v.Asked = append(v.Asked, asked...)
	}
	if len(q.Charts) == 0 {
		return fault.New(fault.NotFound, "%s", web.Text(ctx, "patients.me.elsewhere"))
	}
	if err := f.k.Gate.Account(ctx, shown, nil); err != nil {
		return err
	}
	if state.Filter("format") == "csv" {
		return f.ownCSV(w, r, q, p)
	}
	if err := f.ownTable(ctx, &v, q, state, p); err != nil {
		return err
	}
	return web.RenderPart(w, r, v.Table.ID, web.DataTable(v.Table), meSeenPage(v))
}

// ownTable lists who looked in words for the person whom it is about.
func (f *face) ownTable(ctx context.Context, v *ownSeenView, q audit.Query, state web.TableState, me access.Principal) error {
	page, err := f.k.Audit.Search(ctx, q)
	if err != nil {
		return err
	}
	total, err := f.k.Audit.Count(ctx, q)
	if err != nil {
		return err
	}
	v.Table = web.Table{ID: "seen", Caption: web.Text(ctx, "patients.me.seen-caption"), State: state, CSVURL: state.With("format", "csv"), NextCursor: page.Next, PreviousCursor: page.Previous,
		Columns: []web.Column{{Text: web.Text(ctx, "patients.me.when"), Sort: "when", Whole: true}, {Text: web.Text(ctx, "patients.me.who")}, {Text: web.Text(ctx, "patients.me.did")}, {Text: web.Text(ctx, "patients.me.why")}, {Text: web.Text(ctx, "patients.me.question")}},
		Empty:   web.Empty{Text: web.Text(ctx, "patients.me.seen-empty"), Help: web.Text(ctx, "patients.me.seen-empty-help")}}
	if total > 0 {
		v.Table.Count = account.Total(ctx, total)
	}
	for _, l := range account.Lines(page.Entries) {
		who, from, did, where := f.ownLine(ctx, l, me)
		ask := web.NoteCell("")
		if o, ok := askedAbout(v.Asked, l.ID()); ok {
			ask = web.ShowCell(objectionTag(o))
		} else if l.Actor != me.ID {
			ask = web.ShowCell(askLink("/me/object?entry="+l.ID(), who, format.DateTime(l.At)))
		}
		v.Table.Rows = append(v.Table.Rows, web.TableRow{Cells: []web.TableCell{web.Cell(format.DateTime(l.At)), web.ShowCell(web.Lines(who, from)), web.ShowCell(web.Lines(did, where)), web.Cell(account.Basis(ctx, l)), ask}})
	}
	return nil
}

// ownLine is a line of the account in a patient's words: who, from where, what they did, and in whose record.
func (f *face) ownLine(ctx context.Context, l account.Line, me access.Principal) (who, from, did, where string) {
	who, from = l.ActorName, f.k.Organisation(ctx, l.Organisation)
	if l.Actor == me.ID {
		who, from = web.Text(ctx, "patients.me.you"), ""
	}
	did = account.Action(ctx, l.Action)
	if l.Outcome != audit.OutcomeOK {
		did += " (" + account.Outcome(ctx, l.Outcome) + ")"
	}
	return who, from, did, web.Text(ctx, "patients.me.record-of", f.k.Organisation(ctx, l.Tenant))
}

// ownCSV sends the whole list as it is filtered.
func (f *face) ownCSV(w http.ResponseWriter, r *http.Request, q audit.Query, me access.Principal) error {
	ctx := r.Context()
	var header []string
	for _, k := range []string{"when", "who", "organisation", "did", "where", "why"} {
		header = append(header, web.Text(ctx, "patients.me."+k))
	}
	return web.CSV(w, "who-looked", header, func(yield func([]string, error) bool) {
		q.After, q.Before, q.Limit = "", "", 1000
		for range 10 {
			page, err := f.k.Audit.Search(ctx, q)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, l := range account.Lines(page.Entries) {
				who, from, did, where := f.ownLine(ctx, l, me)
				if !yield([]string{format.DateTime(l.At), who, from, did, where, account.Basis(ctx, l)}, nil) {
					return
				}
			}
			if q.After = page.Next; q.After == "" {
				return
			}
		}
	})
}

func askedAbout(list []access.Objection, entry string) (access.Objection, bool) {
	for _, o := range list {
		if o.Entry == entry {
			return o, true
		}
	}
	return access.Objection{}, false
}

// askedRows are a question and its answer.
func askedRows(ctx context.Context, o access.Objection) []web.Row {
	rows := []web.Row{{Key: web.Text(ctx, "patients.object.you-asked"), Value: web.Lines(o.Words, format.DateTime(o.At))}}
	if o.Answered.IsZero() {
		return append(rows, web.Row{Key: web.Text(ctx, "patients.object.answer"), Text: web.Text(ctx, "patients.object.wait")})
	}
	return append(rows, web.Row{Key: web.Text(ctx, "patients.object.found"), Text: web.Text(ctx, "patients.object.found-"+o.Outcome)},
		web.Row{Key: web.Text(ctx, "patients.object.answer"), Value: web.Lines(o.Answer, o.OwnerName+", "+format.DateTime(o.Answered))})
}

// objectView is the form with which a patient asks about a look.
type objectView struct {
	Page  web.Page
	Entry string
	Facts []web.Row
	Form  reasonForm
	Asked *access.Objection
}

// objecting finds the look that is asked about, and makes sure that it is at a record of the patient's own: as is that organisation's principal.
func (f *face) objecting(r *http.Request, p access.Principal, entry string) (v *objectView, look audit.Entry, as access.Principal, err error) {
	ctx := r.Context()
	nothing := fault.New(fault.NotFound, "%s", web.Text(ctx, "patients.object.nothing"))
	if look, err = f.k.Audit.ByID(ctx, entry); err != nil {
		return nil, look, as, nothing
	}
	own, err := f.own(ctx, p)
	if err != nil {
		return nil, look, as, err
	}
	for _, o := range own {
		if o.tenant.Code != look.Tenant || o.chart != look.Chart {
			continue
		}
		asked, err := f.k.Gate.OwnObjections(ctx, o.as, audit.Chart{Tenant: look.Tenant, Chart: look.Chart})
		if err != nil {
			return nil, look, as, err
		}
		who, from, did, where := f.ownLine(ctx, account.Lines([]audit.Entry{look})[0], p)
		v = &objectView{Entry: entry, Page: web.Page{Title: web.Text(ctx, "patients.object.title"), Back: link(web.Text(ctx, "patients.me.seen-title"), "/me/seen")},
			Facts: []web.Row{{Key: web.Text(ctx, "patients.me.who"), Value: web.Lines(who, from)}, {Key: web.Text(ctx, "patients.me.when"), Text: format.DateTime(look.At)},
				{Key: web.Text(ctx, "patients.me.did"), Value: web.Lines(did, where)}}}
		if a, ok := askedAbout(asked, entry); ok {
			v.Asked = &a
		}
		return v, look, o.as, nil
	}
	return nil, look, as, nothing
}

// meObject asks a patient what they want to know of a look that they did not expect, and shows what became of it.
func (f *face) meObject(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	entry := r.URL.Query().Get("entry")
	if entry == "" {
		return web.SeeOther(w, r, "/me/seen")
	}
	v, _, _, err := f.objecting(r, p, entry)
	if err != nil {
		return err
	}
	return web.Render(w, r, http.StatusOK, meObjectPage(v))
}

// meAsk puts the question to the privacy officer.
func (f *face) meAsk(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	if err := r.ParseForm(); err != nil {
		return fault.Wrap(err, fault.Invalid, "%s", web.Text(r.Context(), "patients.object.nothing"))
	}
	entry := r.PostForm.Get("entry")
	if err := web.CheckForm(r, entry); err != nil {
		return err
	}
	v, look, as, err := f.objecting(r, p, entry)
	if err != nil {
		return err
	}
	v.Form = readWhy(r)
	if len(v.Form.Errors) > 0 {
		v.Form.Errors = web.FieldErrors{{Field: "reason", Text: web.Text(r.Context(), "patients.object.wrong", access.ReasonMin, access.ReasonMax)}}
		v.Page.Failed = true
		return web.Render(w, r, http.StatusUnprocessableEntity, meObjectPage(v))
	}
	if _, err := f.k.Gate.Object(r.Context(), as, look, v.Form.Reason); err != nil {
		return err
	}
	return web.SeeOther(w, r, "/me/seen?done=asked")
}
