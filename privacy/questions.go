package privacy

import (
	"context"
	"net/http"
	"strings"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/account"
	"github.com/openspine/openspine/web/format"
)

// questions is the worklist of what people ask about looks at their records.
func (o *office) questions(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	ctx := r.Context()
	state, err := web.ReadTableState(r, "-when")
	if err != nil {
		return err
	}
	v := listView{Shows: state.Filter("show")}
	_, newest := state.Sort()
	q := access.AlertQuery{Oldest: !newest, Waiting: v.Shows != "all", After: state.After(), Before: state.Before(), Limit: 50}
	if state.Filter("format") == "csv" {
		return o.questionsCSV(w, r, p, q)
	}
	page, err := o.k.Gate.Objections(ctx, p, q)
	if err != nil {
		return err
	}
	v.Waiting = page.Waiting
	v.Table = web.Table{ID: "questions", State: state, Caption: web.Text(ctx, "privacy.questions.caption"), NextCursor: page.Next, PreviousCursor: page.Previous, CSVURL: state.With("format", "csv"),
		Count: web.Count(ctx, "privacy.questions.waiting", page.Waiting), Empty: web.Empty{Text: web.Text(ctx, "privacy.questions.empty"), Help: web.Text(ctx, "privacy.questions.empty-help")}}
	for i, k := range []string{"when", "person", "looked", "question", "owner"} {
		v.Table.Columns = append(v.Table.Columns, web.Column{Text: web.Text(ctx, "privacy.column."+k), Whole: i == 0 || i == 1, Share: []int{3, 3, 4, 7, 3}[i]})
	}
	v.Table.Columns[0].Sort = "when"
	for _, x := range page.Objections {
		owner := web.ShowCell(web.Lines(web.Text(ctx, "privacy.questions.nobody"), ""))
		if x.Owner != "" {
			owner = web.Cell(x.OwnerName)
		}
		if !x.Answered.IsZero() {
			owner = web.ShowCell(foundTag(x))
		}
		v.Table.Rows = append(v.Table.Rows, web.TableRow{Cells: []web.TableCell{web.ShowCell(whenLink("/questions/"+x.ID, format.DateTime(x.At), o.age(ctx, x.At))), web.Cell(subject(x.Chart)),
			web.ShowCell(web.Lines(x.ActorName, o.k.Organisation(ctx, x.Organisation))), web.Cell(x.Words), owner}})
	}
	if v.Shows == "" {
		v.Shows = "waiting"
	}
	return web.RenderPart(w, r, v.Table.ID, web.DataTable(v.Table), questionsPage(v))
}

// questionsCSV sends every question that the list shows, up to 5,000.
func (o *office) questionsCSV(w http.ResponseWriter, r *http.Request, p access.Principal, q access.AlertQuery) error {
	ctx := r.Context()
	var header []string
	for _, k := range []string{"when", "age", "person", "looked", "organisation", "question", "owner", "found", "answer"} {
		header = append(header, web.Text(ctx, "privacy.column."+k))
	}
	return web.CSV(w, "questions", header, func(yield func([]string, error) bool) {
		q.After, q.Before, q.Limit = "", "", 200
		for range 25 {
			page, err := o.k.Gate.Objections(ctx, p, q)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, x := range page.Objections {
				if !yield([]string{format.DateTime(x.At), o.age(ctx, x.At), subject(x.Chart), x.ActorName, o.k.Organisation(ctx, x.Organisation), x.Words, x.OwnerName, foundText(ctx, x), x.Answer}, nil) {
					return
				}
			}
			if q.After = page.Next; q.After == "" {
				return
			}
		}
	})
}

func foundText(ctx context.Context, x access.Objection) string {
	if x.Outcome == "" {
		return web.Text(ctx, "privacy.outcome.waiting")
	}
	return web.Text(ctx, "privacy.found-out."+x.Outcome)
}

// questionView is one question, with what the account says around the look that it is about.
type questionView struct {
	Page  web.Page
	Asked access.Objection
	Facts []web.Row
	Table web.Table
	Form  reviewForm
	Done  string
	Own   bool
}

func (o *office) asked(r *http.Request, p access.Principal) (*questionView, error) {
	ctx := r.Context()
	x, err := o.k.Gate.ObjectionByID(ctx, p, r.PathValue("question"))
	if err != nil {
		return nil, err
	}
	v := &questionView{Asked: x, Own: x.Actor == p.ID, Form: reviewForm{Outcome: x.Outcome, Note: x.Answer},
		Page: web.Page{Title: web.Text(ctx, "privacy.question.title"), Back: web.Link{Text: web.Text(ctx, "privacy.nav.questions"), URL: "/questions"}}}
	v.Facts = []web.Row{
		{Key: web.Text(ctx, "privacy.column.person"), Text: subject(x.Chart)},
		{Key: web.Text(ctx, "privacy.column.question"), Value: web.Lines(x.Words, format.DateTime(x.At))},
		{Key: web.Text(ctx, "privacy.column.looked"), Value: web.Lines(x.ActorName, o.k.Organisation(ctx, x.Organisation))},
		{Key: web.Text(ctx, "privacy.question.looked-at"), Text: format.DateTime(x.LookedAt)},
		{Key: web.Text(ctx, "privacy.alert.record"), Text: o.k.Organisation(ctx, x.Tenant)},
		{Key: web.Text(ctx, "privacy.column.found"), Value: foundTag(x)},
	}
	if x.Owner != "" {
		v.Facts = append(v.Facts, web.Row{Key: web.Text(ctx, "privacy.column.owner"), Text: x.OwnerName})
	}
	if !x.Answered.IsZero() {
		v.Facts = append(v.Facts, web.Row{Key: web.Text(ctx, "privacy.column.answer"), Value: web.Lines(x.Answer, format.DateTime(x.Answered))})
	}
	return v, o.aroundLook(ctx, v, p)
}

// aroundLook shows what the account says of the person around the look, where it is this officer's to see.
func (o *office) aroundLook(ctx context.Context, v *questionView, p access.Principal) error {
	x := v.Asked
	g, err := o.k.Gate.Decide(ctx, p, access.Search, access.Place{Tenant: x.Tenant, Chart: x.Chart, Type: access.TypeAccount})
	if fault.Is(err, fault.Forbidden) {
		return nil
	}
	if err != nil {
		return err
	}
	page, err := o.k.Audit.Search(ctx, audit.Query{Tenant: x.Tenant, Chart: x.Chart, From: x.LookedAt.Add(-around), To: x.LookedAt.Add(around), Limit: 100})
	if err != nil {
		return err
	}
	view := account.View{ID: "around", Name: o.k.Organisation, Caption: web.Text(ctx, "privacy.alert.around", subject(x.Chart)), Empty: web.Empty{Text: web.Text(ctx, "privacy.alert.around-empty")}}
	v.Table = view.Table(ctx, page, 0, web.TableState{})
	v.Table.NextCursor, v.Table.PreviousCursor, v.Table.CSVURL = "", "", ""
	return o.k.Gate.Account(ctx, []access.Grant{g}, nil)
}

func (o *office) question(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	v, err := o.asked(r, p)
	if err != nil {
		return err
	}
	if done := r.URL.Query().Get("done"); done == "taken" || done == "answered" {
		v.Done = web.Text(r.Context(), "privacy.question.done-"+done)
	}
	return web.Render(w, r, http.StatusOK, questionPage(v))
}

// answer takes a question on, or answers it.
func (o *office) answer(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	id := r.PathValue("question")
	if err := web.CheckForm(r, id); err != nil {
		return err
	}
	ctx := r.Context()
	if r.PostForm.Get("do") == "take" {
		if err := o.k.Gate.TakeObjection(ctx, p, id); err != nil {
			return err
		}
		return web.SeeOther(w, r, "/questions/"+id+"?done=taken")
	}
	form := reviewForm{Outcome: r.PostForm.Get("outcome"), Note: strings.TrimSpace(r.PostForm.Get("note"))}
	if form.Outcome != access.InOrder && form.Outcome != access.NotInOrder {
		form.Errors.Add("outcome", web.Text(ctx, "privacy.question.outcome-missing"))
	}
	if n := len([]rune(form.Note)); n < access.ReasonMin || n > noteMax {
		form.Errors.Add("note", web.Text(ctx, "privacy.question.answer-wrong", access.ReasonMin, noteMax))
	}
	if len(form.Errors) > 0 {
		v, err := o.asked(r, p)
		if err != nil {
			return err
		}
		v.Form, v.Page.Failed = form, true
		return web.Render(w, r, http.StatusUnprocessableEntity, questionPage(v))
	}
	if err := o.k.Gate.AnswerObjection(ctx, p, id, form.Outcome, form.Note); err != nil {
		return err
	}
	return web.SeeOther(w, r, "/questions/"+id+"?done=answered")
}
