package admin

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/format"
)

// listView is a list with what narrows it.
type listView struct {
	Title, Lede, Done string
	Actions           []web.Link
	Filters           []field
	Table             web.Table
}

// users lists who can sign in.
func (d *desk) users(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	ctx := r.Context()
	state, err := web.ReadTableState(r, "name", "id", "last-in", "review")
	if err != nil {
		return err
	}
	q := access.MemberQuery{Text: state.Filter("q"), Role: access.Role(state.Filter("role")), Show: state.Filter("show"), After: state.After(), Before: state.Before(), Limit: 50}
	q.Sort, q.Descending = state.Sort()
	if p.Role == access.Registrar {
		q.Organisation = p.Organisation
	} else if code := state.Filter("organisation"); code != "" {
		if q.Organisation, err = ident.ParseODSCode(strings.ToUpper(code)); err != nil {
			return err
		}
	}
	csv := state.Filter("format") == "csv"
	if csv {
		q.Limit, q.After, q.Before = 10_000, "", ""
	}
	if _, err := d.k.Gate.Decide(ctx, p, access.Search, access.Place{Type: access.TypeUser, Tenant: p.Organisation}); err != nil {
		return err
	}
	page, err := d.k.Gate.Members(ctx, q)
	if err != nil {
		return err
	}
	if csv {
		return d.csv(w, r, page.List)
	}
	v := listView{Title: web.Text(ctx, "admin.users.title"), Lede: web.Text(ctx, "admin.users.lede"),
		Actions: []web.Link{{Text: web.Text(ctx, "admin.users.new"), URL: "/admin/users/new"}, {Text: web.Text(ctx, "admin.users.import"), URL: "/admin/users/import"}}}
	if p.Role == access.Registrar {
		v.Lede = web.Text(ctx, "admin.users.lede-own", d.k.Organisation(ctx, p.Organisation))
	}
	v.Filters = []field{text(ctx, "q", state.Filter("q"), 20), choice(ctx, "show", state.Filter("show"), option(ctx, "admin.show.", access.Shows()...)),
		choice(ctx, "role", state.Filter("role"), append([]web.Option{{Text: web.Text(ctx, "admin.every-role")}}, d.roleOptions(ctx, p, false)...))}
	if p.Role == access.Administrator {
		v.Filters = append(v.Filters, text(ctx, "organisation", state.Filter("organisation"), 10))
	}
	v.Table = web.Table{ID: "users", State: state, RowHeader: true, Caption: web.Text(ctx, "admin.users.caption"), Count: web.Count(ctx, "admin.users.count", page.Total),
		CSVURL: state.With("format", "csv"), PreviousCursor: page.Previous, NextCursor: page.Next,
		Empty: web.Empty{Text: web.Text(ctx, "admin.users.empty"), Help: web.Text(ctx, "admin.users.empty-help")}}
	for _, c := range [][2]string{{"name", "name"}, {"id", "id"}, {"role", ""}, {"last-in", "last-in"}, {"review", "review"}, {"state", ""}} {
		v.Table.Columns = append(v.Table.Columns, web.Column{Text: web.Text(ctx, "admin.column."+c[0]), Sort: c[1], Whole: c[0] == "last-in" || c[0] == "review"})
	}
	for _, m := range page.List {
		v.Table.Rows = append(v.Table.Rows, web.TableRow{Cells: []web.TableCell{web.LinkCell(m.Name, userPath(m.ID)), web.Cell(m.ID), web.ShowCell(web.Lines(d.roleWords(ctx, m))),
			web.Cell(day(ctx, m.LastIn, "admin.never")), web.Cell(day(ctx, m.Review, "admin.never")), web.ShowCell(stateTag(d.stateOf(m)))}})
	}
	return web.RenderPart(w, r, v.Table.ID, web.DataTable(v.Table), listPage(v))
}

func userPath(id string) string { return "/admin/users/" + url.PathEscape(id) }

// roleWords are a user's first role with how many more, and where.
func (d *desk) roleWords(ctx context.Context, m access.Member) (string, string) {
	words := web.RoleName(ctx, string(m.Role))
	if more := len(m.Roles()) - 1; more > 0 {
		words += " " + web.Count(ctx, "admin.more-roles", more)
	}
	if m.Organisation.IsZero() {
		return words, ""
	}
	return words, d.k.Organisation(ctx, m.Organisation)
}

// stateOf is how a user stands: active, joins, leaves, suspended or ended.
func (d *desk) stateOf(m access.Member) string {
	now := d.k.Clock.Now()
	switch {
	case m.Suspended:
		return "suspended"
	case !m.Ended.IsZero():
		return "ended"
	case m.Joined.After(now):
		return "joins"
	case !m.Leaves.IsZero():
		return "leaves"
	}
	return "active"
}

func (d *desk) csv(w http.ResponseWriter, r *http.Request, list []access.Member) error {
	return web.CSV(w, "users", append(Columns(), "last-in", "state"), func(yield func([]string, error) bool) {
		for _, m := range list {
			if !yield([]string{m.ID, m.Name, string(m.Role), m.Organisation.String(), m.Job, m.Person, m.Proofed, Written(m.Joined), Written(LastDay(m.Leaves)), Written(m.Review), Written(m.LastIn), d.stateOf(m)}, nil) {
				return
			}
		}
	})
}

// reviews is the worklist of roles that are to be looked at again, the longest overdue first.
func (d *desk) reviews(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	ctx := r.Context()
	q := access.MemberQuery{Show: "due", Sort: "review", Limit: 1000}
	if p.Role == access.Registrar {
		q.Organisation = p.Organisation
	}
	if _, err := d.k.Gate.Decide(ctx, p, access.Search, access.Place{Type: access.TypeUser, Tenant: p.Organisation}); err != nil {
		return err
	}
	page, err := d.k.Gate.Members(ctx, q)
	if err != nil {
		return err
	}
	now := d.k.Clock.Now()
	v := listView{Title: web.Text(ctx, "admin.reviews.title"), Lede: web.Text(ctx, "admin.reviews.lede")}
	overdue := 0
	v.Table = web.Table{ID: "reviews", RowHeader: true, Caption: web.Text(ctx, "admin.reviews.caption"), Columns: columns(ctx, "name", "role", "organisation", "review", "last-in", "act"),
		Empty: web.Empty{Text: web.Text(ctx, "admin.reviews.empty"), Help: web.Text(ctx, "admin.reviews.empty-help")}}
	for _, m := range page.List {
		for _, role := range m.Roles() {
			if role.Review.IsZero() || role.Review.After(now.Add(access.ReviewSoon)) || p.Role == access.Registrar && role.Organisation != p.Organisation {
				continue
			}
			late := ""
			if role.Review.Before(now) {
				overdue++
				late = web.Text(ctx, "admin.reviews.overdue", web.Ago(ctx, now, role.Review))
			}
			where := ""
			if !role.Organisation.IsZero() {
				where = d.k.Organisation(ctx, role.Organisation)
			}
			v.Table.Rows = append(v.Table.Rows, web.TableRow{Cells: []web.TableCell{web.LinkCell(m.Name, userPath(m.ID)), web.Cell(web.RoleName(ctx, string(role.Role))), web.NoteCell(where),
				web.ShowCell(web.Lines(day(ctx, role.Review, "admin.never"), late)), web.Cell(day(ctx, m.LastIn, "admin.never")),
				web.ShowCell(actLink(web.Text(ctx, "admin.act.review"), m.Name, userPath(m.ID)+"/do/review?role="+role.ID))}})
		}
	}
	v.Table.Count = web.Count(ctx, "admin.reviews.count", len(v.Table.Rows), overdue)
	return web.Render(w, r, http.StatusOK, listPage(v))
}

// memberForm asks who somebody is, what they do, and from when to when.
func (d *desk) memberForm(ctx context.Context, p access.Principal, m access.Member, fresh bool) formView {
	v := formView{Title: web.Text(ctx, "admin.new.title"), Back: "/admin/users", Submit: web.Text(ctx, "admin.new.submit")}
	if fresh {
		v.Fields = append(v.Fields, text(ctx, "id", m.ID, 20))
	} else {
		v = formView{Title: web.Text(ctx, "admin.change.title"), About: m.Name, Back: userPath(m.ID), Submit: web.Text(ctx, "admin.change.submit"), Subject: m.ID, Explain: []string{web.Text(ctx, "admin.change.explain")}}
	}
	v.Fields = append(v.Fields, text(ctx, "name", m.Name, 30), choice(ctx, "role", string(m.Role), d.roleOptions(ctx, p, false)))
	if p.Role == access.Administrator {
		v.Fields = append(v.Fields, text(ctx, "organisation", m.Organisation.String(), 10), text(ctx, "patient", m.Person, 10))
	}
	v.Fields = append(v.Fields, text(ctx, "job", m.Job, 10), dateField(ctx, "joins", m.Joined), dateField(ctx, "leaves", LastDay(m.Leaves)), dateField(ctx, "review", m.Review), reasonField(ctx, ""))
	return v
}

func (d *desk) askNew(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	return d.show(w, r, d.memberForm(r.Context(), p, access.Member{User: access.User{Principal: access.Principal{Organisation: p.Organisation}}}, true))
}

func (d *desk) addUser(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	if err := web.CheckForm(r, ""); err != nil {
		return err
	}
	v := d.memberForm(r.Context(), p, access.Member{}, true)
	id := strings.TrimSpace(r.PostForm.Get("id"))
	if _, err := d.k.Gate.Member(r.Context(), id); err == nil {
		v.take(r)
		v.Errors.Add("id", web.Text(r.Context(), "admin.new.taken"))
		return d.show(w, r, v)
	}
	return d.putMember(w, r, p, v, access.Member{User: access.User{Principal: access.Principal{ID: id}}})
}

func (d *desk) askChange(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	m, err := d.found(r, p)
	if err != nil {
		return err
	}
	return d.show(w, r, d.memberForm(r.Context(), p, m, false))
}

func (d *desk) changeUser(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	m, err := d.found(r, p)
	if err != nil {
		return err
	}
	if err := web.CheckForm(r, m.ID); err != nil {
		return err
	}
	return d.putMember(w, r, p, d.memberForm(r.Context(), p, m, false), m)
}

// putMember adds or changes a user as the form says.
func (d *desk) putMember(w http.ResponseWriter, r *http.Request, p access.Principal, v formView, m access.Member) error {
	v.take(r)
	f, ctx := r.PostForm, r.Context()
	role := access.Role(f.Get("role"))
	at, err := organisation(p, strings.TrimSpace(f.Get("organisation")))
	if err != nil {
		v.Errors.Add("organisation", fault.MessageOf(err))
	}
	if role == access.Patient {
		at = ident.ODSCode{}
		if _, err := ident.ParseNHSNumber(strings.ReplaceAll(f.Get("patient"), " ", "")); err != nil {
			v.Errors.Add("patient", fault.MessageOf(err))
		}
		m.Person = strings.ReplaceAll(f.Get("patient"), " ", "")
	}
	if m.Role != role || m.Organisation != at {
		m.Tenants = nil
	}
	m.Name, m.Role, m.Organisation, m.Job = strings.TrimSpace(f.Get("name")), role, at, strings.TrimSpace(f.Get("job"))
	m.Joined, m.Review = sameDay(m.Joined, v.day(r, "joins")), sameDay(m.Review, v.day(r, "review"))
	if m.Leaves = v.day(r, "leaves"); !m.Leaves.IsZero() {
		m.Leaves = EndOf(m.Leaves)
	}
	if strings.TrimSpace(f.Get("reason")) == "" {
		v.Errors.Add("reason", web.Text(ctx, "admin.say-why"))
	}
	if len(v.Errors) > 0 {
		return d.show(w, r, v)
	}
	o, err := d.k.Gate.PutMember(ctx, p, m, f.Get("reason"))
	if err != nil {
		return d.refused(w, r, v, err)
	}
	done := o.Act
	if done == "" {
		done = "unchanged"
	}
	return web.SeeOther(w, r, userPath(m.ID)+"?done="+done)
}

// sameDay is old when it is on the day that a form names: a form without changes changes nothing.
func sameDay(old, day time.Time) time.Time {
	if !old.IsZero() && format.Midnight(old).Equal(day) {
		return old
	}
	return day
}

// dateTime shows an instant, or that there was none.
func dateTime(ctx context.Context, t time.Time) string {
	if t.IsZero() {
		return web.Text(ctx, "admin.never")
	}
	return format.DateTime(t)
}
