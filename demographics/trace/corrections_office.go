package trace

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/format"
)

const correctionsPath = "/corrections"

// How many rows a page of the worklist has, and how many its export has at most.
const (
	correctionsPage = 25
	correctionsMost = 1000
)

// answersCorrections reports whether somebody answers what people ask to have put right: a practice's own people, and the records office.
func (f *face) answersCorrections(p access.Principal) bool {
	return f.registers(p) || p.Role == access.Clerk && p.Organisation == f.k.National
}

// answering lets in whoever answers such requests; worklist is zero for the records office, which sees everybody's.
func (f *face) answering(r *http.Request, ask catalogue.Asker) (worklist ident.ODSCode, err error) {
	p := ask.Principal
	if !f.answersCorrections(p) {
		why := fault.New(fault.Forbidden, "%s", web.Text(r.Context(), "trace.correction.cannot"))
		return worklist, f.k.Gate.Refuse(r.Context(), p, access.Search, access.Place{Tenant: f.k.National, Type: access.TypeCorrection}, why)
	}
	if p.Organisation == f.k.National {
		return worklist, nil
	}
	return p.Organisation, nil
}

// correctionsView is the worklist.
type correctionsView struct {
	Table       web.Table
	Show, Whose string
}

// correctionRow is a request as the list shows it. Of a person who is hidden from this viewer there is no more than that it waits.
type correctionRow struct {
	correction
	name   string
	hidden bool
}

func (f *face) showCorrections(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	ctx := r.Context()
	worklist, err := f.answering(r, ask)
	if err != nil {
		return err
	}
	state, err := web.ReadTableState(r, "age")
	if err != nil {
		return err
	}
	v := correctionsView{Show: state.Filter("show"), Whose: state.Filter("whose")}
	_, newest := state.Sort()
	q := correctionQuery{Organisation: worklist, Answered: v.Show == "answered", Newest: newest, Limit: correctionsPage}
	if v.Whose == "mine" {
		q.Owner = ask.Principal.ID
	}
	if q.After, err = pageIn(state); err != nil {
		return err
	}
	csv := r.URL.Query().Get("format") == "csv"
	if csv {
		q.After, q.Limit = 0, correctionsMost
	}
	list, total, err := f.corrections(ctx, q)
	if err != nil {
		return err
	}
	rows, err := f.correctionRows(r, ask, list)
	if err != nil {
		return err
	}
	if csv {
		return f.correctionsCSV(w, r, rows)
	}
	v.Table = f.correctionTable(ctx, rows, total, q, state)
	return web.RenderPart(w, r, v.Table.ID, web.DataTable(v.Table), correctionsListPage(v))
}

// pageIn reads a page's cursor: how many rows come before it.
func pageIn(s web.TableState) (int, error) {
	text := s.After() + s.Before()
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > 1_000_000 {
		return 0, fault.New(fault.Invalid, "That is no page of this list.")
	}
	return n, nil
}

func (f *face) correctionTable(ctx context.Context, rows []correctionRow, total int, q correctionQuery, state web.TableState) web.Table {
	shows := "waiting"
	if q.Answered {
		shows = "answered"
	}
	t := web.Table{ID: "corrections", State: state, RowHeader: true, Caption: web.Text(ctx, "trace.correction.caption-"+shows), Count: web.Count(ctx, "trace.correction.count", total), CSVURL: state.With("format", "csv"),
		Empty: web.Empty{Text: web.Text(ctx, "trace.correction.empty-"+shows), Help: web.Text(ctx, "trace.correction.empty-help")}}
	for i, k := range []string{"person", "part", "age", "practice", "owner"} {
		t.Columns = append(t.Columns, web.Column{Text: web.Text(ctx, "trace.correction."+k), Share: []int{5, 3, 2, 3, 3}[i]})
	}
	t.Columns[2].Sort = "age"
	var names, who []string
	for _, row := range rows {
		names, who = append(names, row.name), append(who, row.Person)
	}
	similar := web.SimilarPeople(names, who)
	for i, row := range rows {
		t.Rows = append(t.Rows, web.TableRow{SimilarName: similar[i] && !row.hidden, Cells: []web.TableCell{web.ShowCell(correctionWho(row)), web.Cell(web.Text(ctx, "trace.correction.part-"+row.Part)),
			web.ShowCell(web.Lines(web.Ago(ctx, f.k.Clock.Now(), row.At), format.DateTime(row.At))), web.Cell(f.k.Organisation(ctx, row.Organisation)), web.ShowCell(correctionOwner(row.correction))}})
	}
	if q.After+len(rows) < total {
		t.NextCursor = strconv.Itoa(q.After + len(rows))
	}
	if q.After > 0 {
		t.PreviousCursor = strconv.Itoa(max(0, q.After-q.Limit))
	}
	return t
}

// correctionRows names the people of requests, where this viewer may know who asks.
func (f *face) correctionRows(r *http.Request, ask catalogue.Asker, list []correction) ([]correctionRow, error) {
	ctx := r.Context()
	desk, err := f.register.Desk(r, ask)
	if err != nil {
		return nil, err
	}
	rows := make([]correctionRow, len(list))
	for i, c := range list {
		rows[i] = correctionRow{correction: c, hidden: true}
		place, err := ask.Locate("Patient", c.Person)
		if err != nil {
			return nil, err
		}
		may, err := f.k.Gate.Would(ctx, ask.Principal, access.Read, f.correctionPlace(place))
		if err != nil {
			return nil, err
		}
		if !may {
			continue
		}
		p, err := desk.Read(c.Person)
		if fault.Is(err, fault.NotFound) {
			continue // the record is marked as one that nobody may use
		}
		if err != nil {
			return nil, err
		}
		b := f.bannerOf(ctx, p)
		rows[i].name, rows[i].hidden = b.Name(ctx), false
	}
	return rows, nil
}

func (f *face) correctionsCSV(w http.ResponseWriter, r *http.Request, rows []correctionRow) error {
	ctx := r.Context()
	var header []string
	for _, k := range []string{"reference", "person", "number", "part", "asked", "age", "practice", "state", "owner"} {
		header = append(header, web.Text(ctx, "trace.correction."+k))
	}
	return web.CSV(w, "corrections", header, func(yield func([]string, error) bool) {
		for _, c := range rows {
			name, number := c.name, format.NHSNumber(c.Person)
			if c.hidden {
				name, number = web.Text(ctx, "trace.correction.hidden"), ""
			}
			if !yield([]string{c.reference(), name, number, web.Text(ctx, "trace.correction.part-"+c.Part), format.DateTime(c.At), web.Ago(ctx, f.k.Clock.Now(), c.At),
				f.k.Organisation(ctx, c.Organisation), web.Text(ctx, "trace.correction.state-"+c.State), c.OwnerName}, nil) {
				return
			}
		}
	})
}

// correctionView is one request, with whom it is about.
type correctionView struct {
	*visit
	Page          web.Page
	One           correction
	Facts         []web.Row
	Change        web.Link // where what is wrong is put right
	Done          string
	State, Answer string
	Errors        web.FieldErrors
}

// openCorrection reads a request and its person, with what it takes to see both.
func (f *face) openCorrection(r *http.Request, ask catalogue.Asker) (*correctionView, error) {
	ctx := r.Context()
	worklist, err := f.answering(r, ask)
	if err != nil {
		return nil, err
	}
	id, err := strconv.ParseInt(r.PathValue("request"), 10, 64)
	if err != nil {
		return nil, access.NotHere()
	}
	c, err := f.correctionOf(ctx, id, worklist)
	if err != nil {
		return nil, err
	}
	visit, err := f.visitsTo(r, ask, c.Person)
	if err != nil {
		return nil, err
	}
	if _, err := f.correctionGrant(ask, access.Read, visit); err != nil {
		return nil, err
	}
	v := &correctionView{visit: visit, One: c, Page: visit.page(ctx, web.Text(ctx, "trace.correction.one"), false)}
	v.Page.Back = web.Link{Text: web.Text(ctx, "trace.correction.title"), URL: correctionsPath}
	v.Facts = []web.Row{{Key: web.Text(ctx, "trace.correction.part"), Text: web.Text(ctx, "trace.correction.part-"+c.Part)}, {Key: web.Text(ctx, "trace.correction.words"), Text: c.Words},
		{Key: web.Text(ctx, "trace.correction.asked"), Value: web.Lines(format.DateTime(c.At), web.Ago(ctx, f.k.Clock.Now(), c.At))}, {Key: web.Text(ctx, "trace.correction.reference"), Text: c.reference()},
		{Key: web.Text(ctx, "trace.correction.state"), Value: correctionTag(c)}, {Key: web.Text(ctx, "trace.correction.owner"), Value: correctionOwner(c)}}
	switch {
	case c.State == stateGone:
		v.Facts = append(v.Facts, web.Row{Key: web.Text(ctx, "trace.correction.withdrawn-on"), Text: format.DateTime(c.Answered)})
	case !c.waits():
		v.Facts = append(v.Facts, web.Row{Key: web.Text(ctx, "trace.correction.answer"), Value: web.Lines(c.Answer, c.AnsweredBy+", "+format.DateTime(c.Answered))})
	}
	part := map[string]string{"name": partName, "birth": partBirth, "gender": partBirth, "address": partAddress}[c.Part]
	v.Change = web.Link{Text: web.Text(ctx, "trace.correction.details"), URL: visit.url()}
	if part != "" && visit.may == nil {
		v.Change = web.Link{Text: web.Text(ctx, "trace.part."+part), URL: visit.partURL(part)}
	}
	return v, nil
}

func (f *face) showCorrection(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	v, err := f.openCorrection(r, ask)
	if err != nil {
		return err
	}
	if done := r.URL.Query().Get("done"); web.HasText("trace.correction.done-" + done) {
		v.Done = web.Text(r.Context(), "trace.correction.done-"+done)
	}
	return web.Render(w, r, http.StatusOK, correctionPage(v))
}

// actCorrection takes a request on, gives it back, or answers it.
func (f *face) actCorrection(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	v, err := f.openCorrection(r, ask)
	if err != nil {
		return err
	}
	if err := web.CheckForm(r, v.id()); err != nil {
		return err
	}
	ctx, act := r.Context(), r.PostForm.Get("act")
	if act == "answer" {
		v.readAnswer(r)
	}
	if len(v.Errors) > 0 {
		v.Page.Failed = true
		return web.Render(w, r, http.StatusUnprocessableEntity, correctionPage(v))
	}
	g, err := f.correctionGrant(ask, access.Update, v.visit)
	if err != nil {
		return err
	}
	switch act {
	case "take", "give-back":
		err = f.takeCorrection(ctx, g, v.One, ask.Principal, act == "give-back")
	case "answer":
		err = f.answerCorrection(ctx, g, v.One, ask.Principal, v.State, v.Answer)
	default:
		err = fault.New(fault.Invalid, "The form could not be read.")
	}
	if err != nil {
		return err
	}
	return web.SeeOther(w, r, correctionsPath+"/"+strconv.FormatInt(v.One.ID, 10)+"?done="+act)
}

func (v *correctionView) readAnswer(r *http.Request) {
	ctx := r.Context()
	v.State, v.Answer = r.PostForm.Get("state"), strings.TrimSpace(r.PostForm.Get("answer"))
	if v.State != stateRight && v.State != stateStays {
		v.Errors.Add("state", web.Text(ctx, "trace.correction.state-missing"))
	}
	if n := utf8.RuneCountInString(v.Answer); n < wordsMin || n > wordsMax {
		v.Errors.Add("answer", web.Text(ctx, "trace.correction.answer-wrong", wordsMin, wordsMax))
	}
}
