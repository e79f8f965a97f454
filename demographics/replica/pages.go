package replica

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/format"
)

func (r *Replica) pages() []catalogue.Route {
	return []catalogue.Route{
		r.staff("GET /replica", (*follower).show, access.Clinician),
		r.staff("POST /replica", (*follower).steer),
		r.staff("GET /replica/find", (*follower).desk, access.Clinician),
		r.staff("POST /replica/find", (*follower).register),
		r.staff("GET /replica/differences", (*follower).showMany),
		r.staff("POST /replica/differences", (*follower).decideMany),
		r.staff("GET /replica/{person}", (*follower).showPerson, access.Clinician),
		r.staff("POST /replica/{person}", (*follower).decidePerson),
	}
}

// staff lets in the clerks of the hospital whose copy it is, and who of more roles may look; the refusal of anybody else is on the account. A page without a hospital in its
// address is that of the clerk's own.
func (r *Replica) staff(pattern string, h func(*follower, http.ResponseWriter, *http.Request, catalogue.Asker) error, more ...access.Role) catalogue.Route {
	return catalogue.OnBody(pattern, func(w http.ResponseWriter, req *http.Request, ask catalogue.Asker) error {
		tenant := catalogue.TenantOf(req)
		if tenant == r.k.National && !strings.HasPrefix(req.RequestURI, "/o/") && slices.Contains(r.Tenants(), ask.Principal.Organisation) && req.Method == http.MethodGet {
			return web.SeeOther(w, req, "/o/"+ask.Principal.Organisation.String()+req.URL.RequestURI())
		}
		f, err := r.of(tenant)
		if err != nil {
			return err
		}
		if ask.Principal.Organisation != tenant {
			why := fault.New(fault.Forbidden, "This is for those who work at %s.", f.name)
			return r.k.Gate.Refuse(req.Context(), ask.Principal, access.Search, access.Place{Tenant: tenant, Type: pattern}, why)
		}
		return h(f, w, req, ask)
	}, append([]access.Role{access.Clerk}, more...)...)
}

// mayDecide reports whether who asks may do more than look.
func mayDecide(ask catalogue.Asker) bool { return ask.Principal.Role == access.Clerk }

// path is the address of a page of this hospital's copy.
func (f *follower) path(parts ...string) string {
	return "/o/" + f.Tenant.String() + "/replica" + strings.Join(append([]string{""}, parts...), "/")
}

// chartPath is a patient's record.
func (f *follower) chartPath(id string) string {
	return "/o/" + f.Tenant.String() + "/patients/" + id
}

// pageSize is how many rows the worklist shows at once, and csvMost how many its export has at most.
const pageSize, csvMost = 25, 5000

// listView is the state of the copy and its worklist.
type listView struct {
	Status Status
	Page   web.Page
	Path   string
	Table  web.Table
	State  string
	Facts  []web.Row
	Counts web.Table
	Done   string
	Hidden int
	Down   string
	Find   string
	Many   string // where many are decided about at once; "" when there are not many
	Reason string
	May    bool // the reader may stop and decide
	Errors web.FieldErrors
}

func (f *follower) show(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	return f.showList(w, r, ask, http.StatusOK, listView{Done: r.URL.Query().Get("done")})
}

func (f *follower) showList(w http.ResponseWriter, r *http.Request, ask catalogue.Asker, status int, v listView) error {
	ctx := r.Context()
	clone, address := *r, *r.URL // lists keep their state in the address that the browser shows
	address.Path = f.path()
	clone.URL = &address
	state, err := web.ReadTableState(&clone, "since")
	if err != nil {
		return err
	}
	where, args := open, []any(nil)
	v.State = state.Filter("state")
	switch {
	case v.State == "" || v.State == "open":
		v.State = "open"
	case v.State == "stale":
		where, args = `number <> '' AND checked > 0 AND (checked < ? OR EXISTS (SELECT 1 FROM replica_link l WHERE l.lane = ? AND l.tenant = replica_person.tenant AND (l.failing > 0 OR l.paused > replica_person.checked)))`,
			[]any{f.staleBefore(f.k.Clock.Now()).UnixMicro(), int64(f.linkLane())}
	case slices.Contains(States(), State(v.State)):
		where, args = `state = ?`, []any{v.State}
	default:
		return fault.New(fault.Invalid, "There is no such list.")
	}
	after, err := offset(state.After(), state.Before())
	if err != nil {
		return err
	}
	csv, limit := r.URL.Query().Get("format") == "csv", pageSize
	if csv {
		after, limit = 0, csvMost
	}
	list, err := f.rows(ctx, where+` AND hidden = 0 ORDER BY since, id LIMIT ? OFFSET ?`, append(slices.Clone(args), int64(limit), int64(after))...)
	if err != nil {
		return err
	}
	total, hidden, err := f.counted(ctx, where, args)
	if err != nil {
		return err
	}
	people, err := f.people(ctx, ask, list)
	if err != nil {
		return err
	}
	if v.Status, err = f.status(ctx); err != nil {
		return err
	}
	l, err := f.link(ctx)
	if err != nil {
		return err
	}
	if csv {
		return f.listCSV(ctx, w, list, people, l)
	}
	v.May = mayDecide(ask)
	v.Hidden, v.Path, v.Find = hidden, f.path(), f.path("find")
	if v.May && v.Status.Counts[Differs] > 1 {
		v.Many = f.path("differences")
	}
	v.Table = web.Table{ID: "replica", State: state, RowHeader: true, Caption: web.Text(ctx, "replica.caption."+v.State), Count: web.Count(ctx, "replica.count", total), CSVURL: state.With("format", "csv"),
		Columns: []web.Column{{Text: web.Text(ctx, "replica.column.patient"), Share: 5}, {Text: web.Text(ctx, "replica.column.number"), Whole: true, Share: 3}, {Text: web.Text(ctx, "replica.column.state"), Share: 4},
			{Text: web.Text(ctx, "replica.column.since"), Whole: true, Share: 3}, {Text: web.Text(ctx, "replica.column.checked"), Share: 4}},
		Empty: web.Empty{Text: web.Text(ctx, "replica.empty"), Help: web.Text(ctx, "replica.empty-help")}}
	for i, one := range list {
		v.Table.Rows = append(v.Table.Rows, web.TableRow{Cells: []web.TableCell{web.LinkCell(nameOf(people[i].Resource), f.path(one.id)), web.Cell(number(one.number)), web.ShowCell(stateTag(one.state, one.settledBy)),
			web.Cell(format.DateTime(one.since)), web.Cell(f.checkedText(ctx, one, l))}})
	}
	if after+len(list) < total {
		v.Table.NextCursor = strconv.Itoa(after + len(list))
	}
	if after > 0 {
		v.Table.PreviousCursor = strconv.Itoa(max(0, after-pageSize))
	}
	f.summary(ctx, &v)
	if status != http.StatusOK {
		return web.Render(w, r, status, listPage(v))
	}
	return web.RenderPart(w, r, v.Table.ID, web.DataTable(v.Table), listPage(v))
}

// checkedText is when the authority last answered about a patient, and that this may be behind, since when.
func (f *follower) checkedText(ctx context.Context, r row, l link) string {
	if r.checked.IsZero() {
		return web.Text(ctx, "replica.never")
	}
	if since, is := f.stale(r, l, f.k.Clock.Now()); is {
		return web.Text(ctx, "replica.stale", format.DateTime(r.checked), format.DateTime(since))
	}
	return format.DateTime(r.checked)
}

// summary is how the copy stands, in words.
func (f *follower) summary(ctx context.Context, v *listView) {
	s, now := v.Status, f.k.Clock.Now()
	way := web.Text(ctx, "replica.way.never")
	switch {
	case !s.Paused.IsZero():
		way = web.Text(ctx, "replica.way.paused", format.DateTime(s.Paused), s.PausedBy, s.Reason)
		v.Down = way
	case !s.Failing.IsZero():
		way = web.Text(ctx, "replica.way.failing", format.DateTime(s.Failing), s.Error)
		v.Down = way
	case !s.Answered.IsZero():
		way = web.Text(ctx, "replica.way.up", format.DateTime(s.Answered))
	}
	oldest := web.Text(ctx, "replica.never")
	if !s.Oldest.IsZero() {
		oldest = format.DateTime(s.Oldest) + " (" + web.Ago(ctx, now, s.Oldest) + ")"
	}
	v.Facts = []web.Row{{Key: web.Text(ctx, "replica.fact.way"), Text: way}, {Key: web.Text(ctx, "replica.fact.oldest"), Text: oldest},
		{Key: web.Text(ctx, "replica.fact.due"), Text: web.Count(ctx, "replica.count", s.Due)}, {Key: web.Text(ctx, "replica.fact.stale"), Text: web.Count(ctx, "replica.count", s.Stale)}}
	v.Counts = web.Table{ID: "counts", Caption: web.Text(ctx, "replica.counts"), RowHeader: true, Columns: []web.Column{{Text: web.Text(ctx, "replica.column.state")}, {Text: web.Text(ctx, "replica.column.meaning")}, {Text: web.Text(ctx, "replica.column.people"), Numeric: true}}}
	for _, state := range States() {
		v.Counts.Rows = append(v.Counts.Rows, web.TableRow{Cells: []web.TableCell{web.LinkCell(web.Text(ctx, "replica.state."+string(state)), f.path()+"?state="+string(state)),
			web.Cell(web.Text(ctx, "replica.meaning."+string(state))), web.Cell(strconv.Itoa(s.Counts[state]))}})
	}
}

func (f *follower) listCSV(ctx context.Context, w http.ResponseWriter, list []row, people []record.Version, l link) error {
	var header []string
	for _, k := range []string{"patient", "number", "state", "since", "checked"} {
		header = append(header, web.Text(ctx, "replica.column."+k))
	}
	return web.CSV(w, "replica", header, func(yield func([]string, error) bool) {
		for i, one := range list {
			if !yield([]string{nameOf(people[i].Resource), number(one.number), web.Text(ctx, "replica.state."+string(one.state)), format.DateTime(one.since), f.checkedText(ctx, one, l)}, nil) {
				return
			}
		}
	})
}

// counted is how many a condition selects of those who may be shown, and how many more are hidden.
func (f *follower) counted(ctx context.Context, where string, args []any) (shown, hidden int, err error) {
	err = f.k.DB.Read(ctx, func(tx *store.Tx) error {
		for _, one := range []struct {
			into  *int
			which string
		}{{&shown, ` AND hidden = 0`}, {&hidden, ` AND hidden <> 0`}} {
			if err := tx.QueryRow(`SELECT count(*) FROM replica_person WHERE tenant = ? AND `+where+one.which, append([]any{f.Tenant.String()}, args...)...).Scan(one.into); err != nil {
				return err
			}
		}
		return nil
	})
	return shown, hidden, err
}

// people reads the patients of rows, all of whom are then on the account as shown.
func (f *follower) people(ctx context.Context, ask catalogue.Asker, list []row) ([]record.Version, error) {
	if len(list) == 0 {
		return nil, nil
	}
	var asked []access.Act
	for _, r := range list {
		place, err := ask.Locate("Patient", r.id)
		if err != nil {
			return nil, err
		}
		asked = append(asked, access.Act{Action: access.Read, Place: place})
	}
	grants, err := ask.Grants(asked...)
	if err != nil {
		return nil, err
	}
	var all []record.Version
	for i, r := range list {
		v, err := f.k.Records.Read(ctx, grants[i], f.ref(r.id))
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, nil
}

// steer stops and restarts the asking, and asks about everybody at once.
func (f *follower) steer(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	if err := web.CheckForm(r, ""); err != nil {
		return err
	}
	ctx, act := r.Context(), r.PostForm.Get("act")
	v := listView{}
	switch act {
	case "all":
		if err := f.again(ctx); err != nil {
			return err
		}
	case "pause":
		if v.Reason = reasonIn(r, &v.Errors); len(v.Errors) > 0 {
			return f.showList(w, r, ask, http.StatusUnprocessableEntity, v)
		}
		if err := f.pause(ctx, ask.Principal, true, v.Reason); err != nil {
			return err
		}
	case "resume":
		if err := f.pause(ctx, ask.Principal, false, ""); err != nil {
			return err
		}
	default:
		return fault.New(fault.Invalid, "The copy is stopped, restarted, or asked for anew.")
	}
	return web.SeeOther(w, r, f.path()+"?done="+act)
}

// The reason for a decision, in characters.
const reasonMin, reasonMax = 5, 500

func reasonIn(r *http.Request, errors *web.FieldErrors) string {
	reason := strings.TrimSpace(r.PostForm.Get("reason"))
	if n := utf8.RuneCountInString(reason); n < reasonMin || n > reasonMax {
		errors.Add("reason", web.Text(r.Context(), "replica.reason-wrong", reasonMin, reasonMax))
	}
	return reason
}

// offset is how many rows come before a page.
func offset(after, before string) (int, error) {
	cursor := after
	if before != "" {
		cursor = before
	}
	if cursor == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(cursor)
	if err != nil || n < 0 || n > 1_000_000 {
		return 0, fault.New(fault.Invalid, "That is no page of this list.")
	}
	return n, nil
}

// stateOptions are the lists that the worklist page offers.
func stateOptions(ctx context.Context) []web.Option {
	list := []web.Option{{Value: "open", Text: web.Text(ctx, "replica.show-open")}, {Value: "stale", Text: web.Text(ctx, "replica.show-stale")}}
	for _, s := range States() {
		list = append(list, web.Option{Value: string(s), Text: web.Text(ctx, "replica.state."+string(s))})
	}
	return list
}
