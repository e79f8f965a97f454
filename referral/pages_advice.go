package referral

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/directory"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/format"
)

// Where the pages about advice are.
const (
	advicePath = "/refer/advice"        // what this organisation asked; and the UBRN of a question
	advisePath = "/refer/advice/review" // what it was asked
)

func (f *face) advicePages() []catalogue.Route {
	bookings := func(*http.Request) []string { return []string{access.TypeBooking} }
	return []catalogue.Route{
		catalogue.OnSet("GET "+advicePath, access.Search, bookings, f.adviceAsked, staff()...),
		catalogue.OnSet("GET "+advisePath, access.Search, bookings, f.adviceToGive, staff()...),
		catalogue.OnBody("GET "+personPath+"{number}/advice", f.chooseAdviser, access.Clinician),
		catalogue.OnBody("GET "+personPath+"{number}/advice/ask", f.askQuestion, access.Clinician),
		catalogue.OnBody("POST "+personPath+"{number}/advice/ask", f.sendQuestion, access.Clinician).Uploaded(mostForm),
		catalogue.OnBody("GET "+advicePath+"/{ubrn}", f.showAdvice, staff()...),
		catalogue.OnBody("GET "+advicePath+"/{ubrn}/do/{act}", f.askAdviceAct, access.Clinician),
		catalogue.OnBody("POST "+advicePath+"/{ubrn}/do/{act}", f.adviceAct, access.Clinician).Uploaded(mostForm),
		catalogue.OnBody("GET "+advicePath+"/{ubrn}/files/{file}", f.file, access.Clinician).Streamed(),
	}
}

// adviceAsked are the questions of a practice: first of all those that have come back to it.
func (f *face) adviceAsked(w http.ResponseWriter, r *http.Request, scope access.Scope) error {
	states := map[string][]AdviceState{"read": {AdviceMore, AdviceAnswered}, "wait": {AdviceAsked}, "over": {AdviceClosed, AdviceCancelled, AdviceConverted}}
	return f.adviceList(w, r, scope, "ours", []string{"read", "wait", "over"}, func(kind string, p ident.ODSCode) AdviceQuery {
		return AdviceQuery{Practice: p, States: states[kind]}
	})
}

// adviceToGive are the questions that a service was asked: first of all those that wait for it.
func (f *face) adviceToGive(w http.ResponseWriter, r *http.Request, scope access.Scope) error {
	states := map[string][]AdviceState{"answer": {AdviceAsked}, "practice": {AdviceMore, AdviceAnswered}, "over": {AdviceClosed, AdviceCancelled, AdviceConverted}}
	return f.adviceList(w, r, scope, "theirs", []string{"answer", "practice", "over"}, func(kind string, p ident.ODSCode) AdviceQuery {
		return AdviceQuery{Provider: p, States: states[kind]}
	})
}

func (f *face) adviceList(w http.ResponseWriter, r *http.Request, scope access.Scope, name string, kinds []string, query func(kind string, p ident.ODSCode) AdviceQuery) error {
	ctx := r.Context()
	state, err := web.ReadTableState(r, "-waits", "patient", "service", "priority", "state")
	if err != nil {
		return err
	}
	kind := state.Filter("show")
	if !slices.Contains(kinds, kind) {
		kind = kinds[0]
	}
	var found []Advice
	own := scope.Principal().Organisation
	live := f.s.changes.From(changesPath, own.String())
	if !own.IsZero() {
		q := query(kind, own)
		q.Limit = mostListed + 1
		if found, err = f.s.adviceIn(ctx, scope, q); err != nil {
			return err
		}
	}
	rows := make([]listed[Advice], min(len(found), mostListed))
	for i := range rows {
		a := found[i]
		rows[i] = listed[Advice]{X: a, Chart: a.Chart, Number: a.Patient.String(), UBRN: a.UBRN, Service: a.Service.Name, Provider: a.Service.ProviderName, Priority: a.Priority, State: web.Text(ctx, "referral.advice.state."+string(a.State)), Since: a.Changed}
	}
	if rows, err = narrowed(ctx, f, state, rows); err != nil {
		return err
	}
	csv := state.Filter("format") == "csv"
	page, previous, next := rows, "", ""
	if !csv {
		page, previous, next = web.PageOf(state, rows, listRows, listed[Advice].key)
	}
	names, err := named(ctx, f, page)
	if err != nil {
		return err
	}
	list := make([]Advice, len(page))
	for i, x := range page {
		list[i] = x.X
	}
	f.s.adviceShown(scope, list)
	if csv {
		return f.adviceCSV(w, r, list, names)
	}
	v := listView{Title: web.Text(ctx, "referral.advice.list."+name+"-title"), Lede: web.Text(ctx, "referral.advice.list."+name+"-lede"), Kind: kind, Live: live, Priorities: prioritiesChoice(ctx, state), Search: searchField(ctx, state)}
	for _, k := range kinds {
		v.Kinds = append(v.Kinds, web.Option{Value: k, Text: web.Text(ctx, "referral.advice.kind."+k)})
	}
	v.Table = f.adviceTable(ctx, state, list, names)
	v.Table.Count, v.Table.PreviousCursor, v.Table.NextCursor = countOf(ctx, "referral.advice.count", len(rows), len(found)), previous, next
	if part, ok := web.Partial(r); ok && part == liveID {
		return web.Render(w, r, http.StatusOK, liveList(v))
	}
	return web.RenderPart(w, r, v.Table.ID, web.DataTable(v.Table), listPage(v))
}

func adviceColumns() []string { return []string{"patient", "service", "priority", "state", "waits"} }

func (f *face) adviceTable(ctx context.Context, state web.TableState, list []Advice, names []string) web.Table {
	now := f.k.Clock.Now()
	t := web.Table{ID: "advice", State: state, Caption: web.Text(ctx, "referral.advice.caption"), CSVURL: state.With("format", "csv"), RowHeader: true,
		Empty: web.Empty{Text: web.Text(ctx, "referral.advice.empty"), Help: web.Text(ctx, "referral.advice.empty-help")}}
	if by, descending := state.Sort(); by != "waits" || !descending {
		t.Caption = web.Text(ctx, "referral.advice.in-order")
	}
	for _, key := range adviceColumns() {
		t.Columns = append(t.Columns, web.Column{Text: web.Text(ctx, "referral.column."+key), Sort: key, Whole: key == "waits"})
	}
	var who []string
	for _, a := range list {
		who = append(who, a.Patient.String())
	}
	similar := web.SimilarPeople(names, who)
	for i, a := range list {
		t.Rows = append(t.Rows, web.TableRow{SimilarName: similar[i], Cells: []web.TableCell{web.LinkCell(names[i], advicePath+"/"+a.UBRN.String()), web.ShowCell(web.Lines(a.Service.Name, a.Service.ProviderName)),
			web.ShowCell(priorityTag(a.Priority)), web.ShowCell(adviceTag(a.State)), web.Cell(web.Ago(ctx, now, a.Changed))}})
	}
	return t
}

func (f *face) adviceCSV(w http.ResponseWriter, r *http.Request, list []Advice, names []string) error {
	ctx := r.Context()
	var header []string
	for _, key := range append(adviceColumns(), "ubrn") {
		header = append(header, web.Text(ctx, "referral.column."+key))
	}
	return web.CSV(w, "advice", header, func(yield func([]string, error) bool) {
		for i, a := range list {
			if !yield([]string{names[i], a.Service.Name, web.Text(ctx, "referral.priority."+string(a.Priority)), web.Text(ctx, "referral.advice.state."+string(a.State)), format.DateTime(a.Changed), a.UBRN.Display()}, nil) {
				return
			}
		}
	})
}

// adviserView is where a clinician finds a service to ask.
type adviserView struct {
	Page  web.Page
	Table web.Table
	Refer string
}

// chooseAdviser finds services that give advice and take a person.
func (f *face) chooseAdviser(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	ctx := r.Context()
	n, err := numberOf(r)
	if err != nil {
		return err
	}
	person, err := f.s.person(ctx, CallerOf(ask), n)
	if err != nil {
		return err
	}
	state, err := web.ReadTableState(r, "likely")
	if err != nil {
		return err
	}
	found, err := f.s.places.Services(ctx, directory.ServiceQuery{Text: state.Filter("q"), Near: person.Outward(), Sex: person.Sex(), Age: person.Age(f.k.Clock.Now()), Advice: true})
	if err != nil {
		return err
	}
	at := personPath + n.String()
	v := adviserView{Page: f.page(ctx, "referral.advice.ask", person, web.Link{URL: at}), Refer: at}
	v.Table = web.Table{ID: "advisers", State: state, Caption: web.Text(ctx, "referral.advice.services"), Count: web.Count(ctx, "referral.choose.count", len(found)), RowHeader: true,
		Empty: web.Empty{Text: web.Text(ctx, "referral.advice.none"), Help: web.Text(ctx, "referral.advice.none-help")}}
	for _, key := range []string{"service", "distance"} {
		v.Table.Columns = append(v.Table.Columns, web.Column{Text: web.Text(ctx, "referral.column."+key)})
	}
	v.Table.Columns = append(v.Table.Columns, web.Column{Text: web.Text(ctx, "referral.advice.answer-by")})
	for _, x := range found[:min(len(found), mostShown)] {
		v.Table.Rows = append(v.Table.Rows, web.TableRow{Cells: []web.TableCell{web.LinkCell(x.Name, at+"/advice/ask?service="+x.ID), web.Cell(kmText(ctx, x.Km)), web.ShowCell(web.Lines(x.ProviderName, x.Specialty))}})
	}
	return web.RenderPart(w, r, v.Table.ID, web.DataTable(v.Table), adviserPage(v))
}

// questionView is where a clinician writes a question.
type questionView struct {
	Page       web.Page
	Person     Person
	Service    Choice
	Text       string
	Priority   string
	May        string
	Errors     web.FieldErrors
	Priorities []web.Option
	Action     string
}

func (f *face) questionView(r *http.Request, ask catalogue.Asker, service string) (*questionView, ident.NHSNumber, error) {
	ctx := r.Context()
	n, err := numberOf(r)
	if err != nil {
		return nil, n, err
	}
	person, err := f.s.person(ctx, CallerOf(ask), n)
	if err != nil {
		return nil, n, err
	}
	list, err := f.s.choices(ctx, []string{service}, person, f.k.Clock.Now())
	if err != nil {
		return nil, n, err
	}
	if err := f.s.givesAdvice(ctx, service); err != nil {
		return nil, n, err
	}
	at := personPath + n.String() + "/advice"
	return &questionView{Page: f.page(ctx, "referral.advice.ask", person, web.Link{URL: at}), Person: person, Service: list[0], Priorities: priorityOptions(ctx), Action: at + "/ask"}, n, nil
}

// askQuestion asks for the words of a question.
func (f *face) askQuestion(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	v, _, err := f.questionView(r, ask, r.URL.Query().Get("service"))
	if err != nil {
		return err
	}
	v.Priority = string(Routine)
	return web.Render(w, r, http.StatusOK, questionPage(v))
}

// sendQuestion sends it. Sent twice, it asks once.
func (f *face) sendQuestion(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	ctx := r.Context()
	sent, err := web.ReadFileForm(r, fileField)
	if err != nil {
		return err
	}
	if err := web.CheckForm(r, r.PathValue("number")); err != nil {
		return err
	}
	v, n, err := f.questionView(r, ask, r.PostForm.Get("service"))
	if err != nil {
		return err
	}
	v.Text, v.Priority, v.May = strings.TrimSpace(r.PostForm.Get("text")), r.PostForm.Get("priority"), r.PostForm.Get("may")
	if !slices.Contains(Priorities(), Priority(v.Priority)) {
		v.Errors.Add("priority", web.Text(ctx, "referral.letter.priority-missing"))
	}
	checkMessage(ctx, v.Text, &v.Errors)
	if v.May != "yes" && v.May != "no" {
		v.Errors.Add("may", web.Text(ctx, "referral.advice.may-missing"))
	}
	files, err := f.uploaded(ctx, ask, ident.UBRN{}, sent, &v.Errors)
	if err != nil {
		return err
	}
	if len(v.Errors) > 0 {
		v.Page.Failed = true
		return web.Render(w, r, http.StatusUnprocessableEntity, questionPage(v))
	}
	a, err := f.s.AskAdvice(ctx, CallerOf(ask), AdviceQuestion{Patient: n, Priority: Priority(v.Priority), Service: v.Service.Service, MayConvert: v.May == "yes", Text: v.Text, Files: files})
	if err != nil {
		return err
	}
	return web.SeeOther(w, r, advicePath+"/"+a.UBRN.String()+"?done=ask")
}

// checkMessage says what is wrong with a message, beside its field.
func checkMessage(ctx context.Context, text string, errs *web.FieldErrors) {
	switch {
	case text == "":
		errs.Add("text", web.Text(ctx, "referral.advice.missing"))
	case utf8.RuneCountInString(text) > MostAdvice:
		errs.Add("text", web.Text(ctx, "referral.advice.long", MostAdvice))
	}
}

// uploaded keeps the file of a form in which nothing else is wrong, for a question or for one that is yet to be asked.
func (f *face) uploaded(ctx context.Context, ask catalogue.Asker, of ident.UBRN, sent web.SentFile, errs *web.FieldErrors) ([]FileRef, error) {
	if len(*errs) > 0 || sent.Body == nil {
		return nil, nil
	}
	a, err := f.s.Upload(ctx, CallerOf(ask), Upload{Name: sent.Name, For: of}, sent.Body)
	if err != nil {
		return nil, wrongFile(err, errs)
	}
	return []FileRef{{ID: a.ID}}, nil
}

// toAct, toReview, toRead and toAnswer are how much waits for an organisation's people: numbers, of which nobody is told whose.
func (s *Referrals) toAct(ctx context.Context, p access.Principal) (int64, error) {
	states := waiting()
	return s.countOf(ctx, `referral_case WHERE practice = ? AND closed = 0 AND state IN (?`+strings.Repeat(", ?", len(states)-1)+`)`, append([]any{p.Organisation.String()}, texts(states)...)...)
}

func (s *Referrals) toReview(ctx context.Context, p access.Principal) (int64, error) {
	return s.countOf(ctx, `referral_case WHERE provider = ? AND closed = 0 AND state = ? AND accepted = 0`, p.Organisation.String(), string(Booked))
}

func (s *Referrals) toRead(ctx context.Context, p access.Principal) (int64, error) {
	return s.countOf(ctx, `referral_advice WHERE practice = ? AND state IN (?, ?)`, p.Organisation.String(), string(AdviceMore), string(AdviceAnswered))
}

func (s *Referrals) toAnswer(ctx context.Context, p access.Principal) (int64, error) {
	return s.countOf(ctx, `referral_advice WHERE provider = ? AND state = ?`, p.Organisation.String(), string(AdviceAsked))
}

func (s *Referrals) countOf(ctx context.Context, of string, args ...any) (n int64, err error) {
	err = s.read(ctx, func(tx *store.Tx) error {
		return tx.QueryRow(`SELECT count(*) FROM (SELECT 1 FROM `+of+` LIMIT ?) counted`, append(args, int64(catalogue.MostWaiting))...).Scan(&n)
	})
	return n, err
}

func texts[T ~string](list []T) (all []any) {
	for _, x := range list {
		all = append(all, string(x))
	}
	return all
}

// canAdvise are what somebody may do with a question, in the order in which it is offered.
func canAdvise(a Advice, p access.Principal) (acts []string) {
	side, err := a.side(p.Organisation)
	if err != nil || a.Ended() || p.Role != access.Clinician {
		return nil
	}
	if side == Provider {
		acts = []string{adviseAnswer, adviseMore}
		if a.MayConvert {
			acts = append(acts, adviseConvert)
		}
		return acts
	}
	if a.MayReply(p.Organisation) {
		acts = append(acts, adviseReply)
	}
	return append(acts, adviseClose)
}

// What is done to a question by a page of its own.
const (
	adviseReply   = "reply"
	adviseAnswer  = "answer"
	adviseMore    = "more"
	adviseConvert = "convert"
	adviseClose   = "close"
)
