package replica

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/web"
)

// manyAtOnce is how many patients are decided about on one page: the authority is asked about each while it is shown, and again when it is decided.
const manyAtOnce = 10

// What is decided about one patient among many: all of what the authority says, all of what the hospital has, or nothing now.
const (
	takeAll = "take"
	keepAll = "keep"
	later   = "later"
)

// manyView is a page of patients of whom the hospital says otherwise, to be decided about at once.
type manyView struct {
	Page          web.Page
	Path          string
	Cursor        string
	People        []manyPerson
	All           web.Choice
	Reason        string
	Errors        web.FieldErrors
	Count, Next   string
	Saved, Missed string // how many were decided about a moment ago, and how many could not be
}

// manyPerson is one of them: what the two say differently, and what the clerk chose.
type manyPerson struct {
	ID, Name, Number, Path string
	Table                  web.Table
	Choice                 web.Choice
	Seen                   string // the versions that are shown, of the hospital's record and of the authority's
	Away                   string // why they cannot be decided about now

	row   row
	local record.Version
	about answer
}

// showMany shows those who have waited longest.
func (f *follower) showMany(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	v, err := f.openMany(r, ask, r.URL.Query().Get("after"))
	if err != nil {
		return err
	}
	ctx := r.Context()
	if n, err := strconv.Atoi(r.URL.Query().Get("saved")); err == nil && n >= 0 && n <= manyAtOnce {
		v.Saved = web.Count(ctx, "replica.many.saved", n)
	}
	if n, err := strconv.Atoi(r.URL.Query().Get("missed")); err == nil && n > 0 && n <= manyAtOnce {
		v.Missed = web.Count(ctx, "replica.many.missed", n)
	}
	return web.Render(w, r, http.StatusOK, manyPage(v))
}

// openMany reads a page of patients and what the authority says of each now. Who is restricted is seen to on their own page.
func (f *follower) openMany(r *http.Request, ask catalogue.Asker, cursor string) (*manyView, error) {
	ctx := r.Context()
	after, err := offset(cursor, "")
	if err != nil {
		return nil, err
	}
	list, err := f.rows(ctx, `state = 'differs' AND hidden = 0 ORDER BY since, id LIMIT ? OFFSET ?`, int64(manyAtOnce), int64(after))
	if err != nil {
		return nil, err
	}
	total, _, err := f.counted(ctx, `state = 'differs'`, nil)
	if err != nil {
		return nil, err
	}
	v := &manyView{Path: f.path("differences"), Cursor: cursor, Count: web.Count(ctx, "replica.count", total),
		Page: web.Page{Title: web.Text(ctx, "replica.many.title"), Back: web.Link{Text: web.Text(ctx, "replica.title"), URL: f.path()}},
		All:  web.Choice{Name: "all", Label: web.Text(ctx, "replica.many.all"), Options: manyOptions(ctx, "replica.many.all-")}}
	if after+len(list) < total {
		v.Next = v.Path + "?after=" + strconv.Itoa(after+len(list))
	}
	people, err := f.people(ctx, ask, list)
	if err != nil {
		return nil, err
	}
	l, err := f.link(ctx)
	if err != nil {
		return nil, err
	}
	for i, one := range list {
		p := manyPerson{ID: one.id, Name: nameOf(people[i].Resource), Number: number(one.number), Path: f.path(one.id), row: one, local: people[i]}
		p.about, p.Away = f.now(ctx, one, l)
		if p.Away == "" && !slices.Contains(f.decidable(one, p.about), actDecide) {
			p.Away = web.Text(ctx, "replica.many.changed")
		}
		p.Seen = itoa(p.local.Ver) + "." + itoa(p.about.version)
		p.Choice = web.Choice{Name: "choice-" + one.id, Label: web.Text(ctx, "replica.many.one", p.Name), Options: append([]web.Option{{Value: "all", Text: web.Text(ctx, "replica.many.as-all")}}, manyOptions(ctx, "replica.many.")...), Value: "all"}
		p.Table = f.differences(ctx, one, p)
		v.People = append(v.People, p)
	}
	return v, nil
}

func manyOptions(ctx context.Context, key string) []web.Option {
	var list []web.Option
	for _, choice := range []string{takeAll, keepAll, later} {
		list = append(list, web.Option{Value: choice, Text: web.Text(ctx, key+choice)})
	}
	return list
}

// differences is a table of what the two say differently of a patient.
func (f *follower) differences(ctx context.Context, one row, p manyPerson) web.Table {
	t := web.Table{ID: "differs-" + one.id, Caption: web.Text(ctx, "replica.many.differs"), RowHeader: true, Columns: []web.Column{{Text: web.Text(ctx, "replica.column.what")},
		{Text: web.Text(ctx, "replica.column.here", f.name)}, {Text: web.Text(ctx, "replica.column.there")}}}
	for _, name := range one.differs {
		var there []string
		if p.about.person != nil {
			there = saidOf(ctx, p.about.person, name)
		}
		t.Rows = append(t.Rows, web.TableRow{Cells: []web.TableCell{web.Cell(web.Text(ctx, "replica.element."+name)), web.ShowCell(lines(saidOf(ctx, p.local.Resource, name))), web.ShowCell(lines(there))}})
	}
	return t
}

// decideMany does what was decided about each, in a commit of its own with its account: who was changed meanwhile, here or there, stays as they are and is said.
func (f *follower) decideMany(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	if err := web.CheckForm(r, ""); err != nil {
		return err
	}
	ctx, cursor := r.Context(), r.PostForm.Get("after")
	v, err := f.openMany(r, ask, cursor)
	if err != nil {
		return err
	}
	v.All.Value, v.Reason = r.PostForm.Get("all"), strings.TrimSpace(r.PostForm.Get("reason"))
	var shown []string
	for field := range r.PostForm {
		if id, ok := strings.CutPrefix(field, "seen-"); ok {
			shown = append(shown, id)
		}
	}
	if len(shown) > manyAtOnce {
		return fault.New(fault.Invalid, "At most %d patients are decided about at once.", manyAtOnce)
	}
	chosen := 0
	for i := range v.People {
		p := &v.People[i]
		if !slices.Contains(shown, p.ID) {
			continue // who came onto the page meanwhile was not seen
		}
		if p.Choice.Value = r.PostForm.Get(p.Choice.Name); p.decision(v) != "" {
			chosen++
		}
	}
	missed := 0 // who was shown and is not on the page any more
	for _, id := range shown {
		choice := r.PostForm.Get("choice-" + id)
		if choice == "all" {
			choice = v.All.Value
		}
		if (choice == takeAll || choice == keepAll) && !slices.ContainsFunc(v.People, func(p manyPerson) bool { return p.ID == id }) {
			missed++
		}
	}
	if chosen+missed == 0 {
		v.All.Error = web.Text(ctx, "replica.many.missing")
		v.Errors.Add("all-1", v.All.Error)
	}
	reasonIn(r, &v.Errors)
	if len(v.Errors) > 0 {
		v.Page.Failed = true
		return web.Render(w, r, http.StatusUnprocessableEntity, manyPage(v))
	}
	saved, left := 0, 0
	for _, p := range v.People {
		choice := p.decision(v)
		if !slices.Contains(shown, p.ID) || choice == "" {
			left++
			continue
		}
		err := f.decideOne(ctx, ask, p, choice, v.Reason, r.PostForm.Get("seen-"+p.ID))
		switch {
		case err == nil:
			saved++
		case fault.Is(err, fault.Conflict) || fault.Is(err, fault.Unavailable):
			missed++
			left++
		default:
			return err
		}
	}
	after, err := offset(cursor, "")
	if err != nil {
		return err
	}
	return web.SeeOther(w, r, v.Path+"?saved="+strconv.Itoa(saved)+"&missed="+strconv.Itoa(missed)+"&after="+strconv.Itoa(after+left))
}

// decision is what is to be done about a patient: takeAll, keepAll, or "" for nothing now.
func (p *manyPerson) decision(v *manyView) string {
	choice := p.Choice.Value
	if choice == "all" {
		choice = v.All.Value
	}
	if choice != takeAll && choice != keepAll {
		return ""
	}
	return choice
}

// decideOne decides about one of many, if what was seen still holds.
func (f *follower) decideOne(ctx context.Context, ask catalogue.Asker, p manyPerson, choice, reason, seen string) error {
	if p.Away != "" || seen != p.Seen {
		return fault.New(fault.Conflict, "Somebody else has changed this record meanwhile. Look at it again.")
	}
	d := decision{by: ask.Principal, act: actDecide, reason: reason, about: p.about, seen: p.local.Ver, take: map[string]bool{}}
	for _, name := range p.row.differs {
		d.take[name] = choice == takeAll
	}
	return f.resolve(ctx, p.row, p.local, d)
}
