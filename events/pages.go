package events

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/format"
)

// rows is how many lines of a list one page has.
const rows = 50

// listView is the list of subscriptions.
type listView struct {
	Table                      web.Table
	Organisation, Kind, Status string
	Kinds, Statuses            []web.Option
}

// line is a subscription with what waits for its subscriber.
type line struct {
	subscription
	waiting, parked int64
}

// all are the subscriptions, with what waits for each.
func (s *service) all(ctx context.Context) (list []line, err error) {
	waits := map[messaging.Destination]messaging.Backlog{}
	backlogs, err := s.k.Post().Backlogs(ctx)
	if err != nil {
		return nil, err
	}
	for _, b := range backlogs {
		waits[b.To] = b
	}
	err = s.k.DB.Read(ctx, func(tx *store.Tx) error {
		list = nil
		subs, err := s.subscriptions(tx, `1 = 1 ORDER BY made, id`)
		for _, q := range subs {
			to, _ := q.destination()
			b := waits[to]
			list = append(list, line{q, b.Waiting + b.Held - b.Parked, b.Parked})
		}
		return err
	})
	return list, err
}

// order puts the list in the order that a column asks for.
func order(list []line, column string, down bool) {
	slices.SortStableFunc(list, func(a, b line) int {
		if down {
			a, b = b, a
		}
		switch column {
		case "kind":
			return strings.Compare(a.Kind+a.Criteria, b.Kind+b.Criteria)
		case "organisation":
			return strings.Compare(a.Organisation.String(), b.Organisation.String())
		case "status":
			return strings.Compare(a.Status, b.Status)
		case "waiting":
			return int(a.waiting + a.parked - b.waiting - b.parked)
		case "reached":
			return a.Reached.Compare(b.Reached)
		}
		return a.Made.Compare(b.Made)
	})
}

// look lets an administrator see the subscriptions, and puts that on the account.
func (s *service) look(ctx context.Context, p access.Principal) error {
	g, err := s.k.Gate.Decide(ctx, p, access.Search, access.Place{Type: access.TypeNode, ID: "subscriptions"})
	if err != nil {
		return err
	}
	return s.k.Gate.Account(ctx, []access.Grant{g}, nil)
}

func (s *service) list(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	ctx := r.Context()
	state, err := web.ReadTableState(r, "kind", "organisation", "status", "waiting", "reached")
	if err != nil {
		return err
	}
	if err := s.look(ctx, p); err != nil {
		return err
	}
	all, err := s.all(ctx)
	if err != nil {
		return err
	}
	v := listView{Organisation: strings.ToUpper(state.Filter("organisation")), Kind: state.Filter("kind"), Status: state.Filter("status")}
	v.options(ctx, all)
	all = slices.DeleteFunc(all, func(l line) bool {
		return v.Organisation != "" && !strings.HasPrefix(l.Organisation.String(), v.Organisation) || v.Kind != "" && l.Kind != v.Kind || v.Status != "" && l.Status != v.Status
	})
	column, down := state.Sort()
	order(all, column, down)
	header := []string{"kind", "organisation", "to", "status", "waiting", "reached"}
	if state.Filter("format") == "csv" {
		return web.CSV(w, "subscriptions", words(ctx, header), func(yield func([]string, error) bool) {
			for _, l := range all {
				if !yield([]string{l.Criteria, l.Organisation.String(), l.host(), l.Status, strconv.FormatInt(l.waiting+l.parked, 10), reached(l.Reached)}, nil) {
					return
				}
			}
		})
	}
	v.Table = web.Table{ID: "subscriptions", State: state, RowHeader: true, Caption: web.Text(ctx, "events.caption"), CSVURL: state.With("format", "csv"),
		Empty: web.Empty{Text: web.Text(ctx, "events.empty"), Help: web.Text(ctx, "events.empty-help")}}
	if len(all) > 0 {
		v.Table.Count = web.Count(ctx, "events.count", len(all))
	}
	for i, name := range words(ctx, header) {
		c := web.Column{Text: name, Sort: header[i], Numeric: header[i] == "waiting", Share: []int{6, 4, 4, 2, 2, 3}[i]}
		if header[i] == "to" {
			c.Sort = ""
		}
		v.Table.Columns = append(v.Table.Columns, c)
	}
	from, err := turn(&v.Table, len(all))
	if err != nil {
		return err
	}
	for _, l := range all[from:min(from+rows, len(all))] {
		v.Table.Rows = append(v.Table.Rows, web.TableRow{Cells: []web.TableCell{web.LinkCell(l.Kind, "/subscriptions/"+url.PathEscape(l.ID)),
			web.ShowCell(web.Lines(s.k.Organisation(ctx, l.Organisation), l.Organisation.String())), web.Cell(l.host()), web.ShowCell(statusTag(l.Status)),
			web.Cell(web.Count(ctx, "events.number", int(l.waiting+l.parked))), web.Cell(s.when(ctx, l.Reached))}})
	}
	return web.RenderPart(w, r, v.Table.ID, web.DataTable(v.Table), listPage(v))
}

// reached is a time as a file says it; nothing when it never was.
func reached(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.Format(time.RFC3339)
}

// options are what the list may be filtered by.
func (v *listView) options(ctx context.Context, all []line) {
	v.Kinds = []web.Option{{Text: web.Text(ctx, "events.every-kind")}}
	v.Statuses = []web.Option{{Text: web.Text(ctx, "events.every-status")}}
	var kinds []string
	for _, l := range all {
		kinds = append(kinds, l.Kind)
	}
	slices.Sort(kinds)
	for _, k := range slices.Compact(kinds) {
		v.Kinds = append(v.Kinds, web.Option{Value: k, Text: k})
	}
	for _, st := range []string{active, requested, failed, off} {
		v.Statuses = append(v.Statuses, web.Option{Value: st, Text: web.Text(ctx, "events.status."+st)})
	}
}

// turn sets the cursors of a list and says where its page begins.
func turn(t *web.Table, total int) (from int, err error) {
	text := t.State.After()
	if text == "" {
		text = t.State.Before()
	}
	if text != "" {
		if from, err = strconv.Atoi(text); err != nil || from < 0 {
			return 0, fault.New(fault.Invalid, "There is no such page of this list.")
		}
	}
	from = min(from, total)
	if from+rows < total {
		t.NextCursor = strconv.Itoa(from + rows)
	}
	if from > 0 {
		t.PreviousCursor = strconv.Itoa(max(0, from-rows))
	}
	return from, nil
}

func words(ctx context.Context, keys []string) (list []string) {
	for _, k := range keys {
		list = append(list, web.Text(ctx, "events.column."+k))
	}
	return list
}

// when is how long ago something was; that it never was.
func (s *service) when(ctx context.Context, at time.Time) string {
	if at.IsZero() {
		return web.Text(ctx, "events.never")
	}
	return web.Text(ctx, "events.ago", web.Ago(ctx, s.k.Clock.Now(), at))
}

// oneView is one subscription with what was sent to its subscriber.
type oneView struct {
	Page       web.Page
	ID         string
	Trouble    string
	Facts      []web.Row
	Table      web.Table
	Acts       []web.Option
	Do, Reason string
	Errors     web.FieldErrors
	sub        subscription
	list       []sent
}

// sent is one event that was sent to a subscriber.
type sent struct {
	at             time.Time
	message, kind  string
	state, trouble string
}

func (s *service) one(r *http.Request, p access.Principal) (*oneView, error) {
	ctx := r.Context()
	if err := s.look(ctx, p); err != nil {
		return nil, err
	}
	q, err := s.current(ctx, r.PathValue("id"))
	if err != nil {
		return nil, fault.Wrap(err, fault.KindOf(err), "%s", web.Text(ctx, "events.gone"))
	}
	v := &oneView{ID: q.ID, sub: q, Page: web.Page{Title: web.Text(ctx, "events.one"), Back: web.Link{Text: web.Text(ctx, "events.title"), URL: "/subscriptions"}}}
	all, err := s.all(ctx)
	if err != nil {
		return nil, err
	}
	var l line
	for _, one := range all {
		if one.ID == q.ID {
			l = one
		}
	}
	stands, err := s.k.Gate.Stands(ctx, q.Principal)
	if err != nil {
		return nil, err
	}
	switch {
	case !stands:
		v.Trouble = web.Text(ctx, "events.ended")
	case !q.Failing.IsZero():
		v.Trouble = web.Count(ctx, "events.failing", int(q.Failures), q.Note, s.when(ctx, q.Failing))
	}
	v.facts(ctx, s, l)
	acts := []string{"pause", "delete"}
	if q.Status == off {
		acts[0] = "resume"
	}
	for _, a := range acts {
		v.Acts = append(v.Acts, web.Option{Value: a, Text: web.Text(ctx, "events.act."+a), Hint: web.Text(ctx, "events.act."+a+"-hint")})
	}
	return v, s.deliveries(r, v)
}

// facts are what is known of the subscription.
func (v *oneView) facts(ctx context.Context, s *service, l line) {
	q := l.subscription
	names := make([]string, 0, len(q.Headers))
	for _, h := range q.Headers {
		name, _, _ := headerOf(h)
		names = append(names, name)
	}
	row := func(key, text string) {
		v.Facts = append(v.Facts, web.Row{Key: web.Text(ctx, "events.column."+key), Text: text})
	}
	row("criteria", q.Criteria)
	v.Facts = append(v.Facts, web.Row{Key: web.Text(ctx, "events.column.organisation"), Value: web.Lines(s.k.Organisation(ctx, q.Organisation), q.Organisation.String())},
		web.Row{Key: web.Text(ctx, "events.column.owner"), Value: web.Lines(q.Principal.Name, q.Owner)})
	row("to", q.host())
	row("payload", q.Payload)
	if len(names) > 0 {
		row("headers", strings.Join(names, ", "))
	}
	row("reason", q.Reason)
	v.Facts = append(v.Facts, web.Row{Key: web.Text(ctx, "events.column.status"), Value: statusTag(q.Status)})
	if q.Status == off {
		row("paused", q.Note)
	}
	row("made", format.DateTime(q.Made))
	row("reached", s.when(ctx, q.Reached))
	row("waiting", web.Count(ctx, "events.number", int(l.waiting)))
	row("parked", web.Count(ctx, "events.number", int(l.parked)))
}

// deliveries are what was sent, the latest first.
func (s *service) deliveries(r *http.Request, v *oneView) error {
	ctx := r.Context()
	state, err := web.ReadTableState(r, "-sent", "event")
	if err != nil {
		return err
	}
	var list []sent
	var total int64
	column, down := state.Sort()
	by := map[string]string{"sent": "at", "event": "kind"}[column]
	if by == "" {
		by = "at"
	}
	if down {
		by += " DESC"
	}
	v.Table = web.Table{ID: "deliveries", State: state, Caption: web.Text(ctx, "events.deliveries"), CSVURL: state.With("format", "csv"), Empty: web.Empty{Text: web.Text(ctx, "events.nothing-sent"), Help: web.Text(ctx, "events.nothing-help")}}
	whole := state.Filter("format") == "csv"
	err = s.k.DB.Read(ctx, func(tx *store.Tx) error {
		list = nil
		if err := tx.QueryRow(`SELECT count(*) FROM events_delivery WHERE lane = ? AND subscription = ?`, int64(s.lane()), v.ID).Scan(&total); err != nil {
			return err
		}
		from, most := 0, 10_000
		if !whole {
			if from, err = turn(&v.Table, int(total)); err != nil {
				return err
			}
			most = rows
		}
		found, err := tx.Query(`SELECT at, message, kind FROM events_delivery WHERE lane = ? AND subscription = ? ORDER BY `+by+`, message LIMIT ? OFFSET ?`, int64(s.lane()), v.ID, most, from)
		if err != nil {
			return err
		}
		defer found.Close()
		for found.Next() {
			var one sent
			if err := found.Scan(&one.at, &one.message, &one.kind); err != nil {
				return err
			}
			list = append(list, one)
		}
		return found.Err()
	})
	if err != nil {
		return err
	}
	header := []string{"sent", "event", "message", "state"}
	for i, name := range words(ctx, header) {
		c := web.Column{Text: name, Whole: i == 0 || i == 2}
		if i < 2 {
			c.Sort = header[i]
		}
		v.Table.Columns = append(v.Table.Columns, c)
	}
	if total > 0 {
		v.Table.Count = web.Count(ctx, "events.sent-count", int(total))
	}
	for i := range list {
		if err := s.became(ctx, &list[i]); err != nil {
			return err
		}
		v.Table.Rows = append(v.Table.Rows, web.TableRow{Cells: []web.TableCell{web.Cell(format.DateTime(list[i].at)), web.Cell(list[i].kind), web.Cell(list[i].message), web.ShowCell(web.Lines(list[i].state, list[i].trouble))}})
	}
	v.list = list
	return nil
}

// became finds what became of a message.
func (s *service) became(ctx context.Context, one *sent) error {
	items, err := s.k.Post().ByID(ctx, one.message)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	if len(items) == 0 {
		one.state = web.Text(ctx, "events.state.forgotten")
		return nil
	}
	one.state = web.Text(ctx, "events.state."+items[0].State.String())
	if h := items[0].Held; h != nil {
		one.trouble = h.Reason
	}
	return nil
}

func (s *service) show(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	v, err := s.one(r, p)
	if err != nil {
		return err
	}
	ctx := r.Context()
	if v.Table.State.Filter("format") == "csv" {
		return web.CSV(w, "deliveries", words(ctx, []string{"sent", "event", "message", "state"}), func(yield func([]string, error) bool) {
			for _, one := range v.list {
				if !yield([]string{one.at.Format(time.RFC3339), one.kind, one.message, strings.TrimSpace(one.state + " " + one.trouble)}, nil) {
					return
				}
			}
		})
	}
	return web.RenderPart(w, r, v.Table.ID, web.DataTable(v.Table), onePage(v))
}

// The reason for what is done to a subscription, in characters.
const (
	reasonMin = 10
	reasonMax = 500
)

// decide pauses a subscription, lets it go on, or takes it away: with a reason, on the account.
func (s *service) decide(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	if err := web.CheckForm(r, r.PathValue("id")); err != nil {
		return err
	}
	ctx := r.Context()
	v, err := s.one(r, p)
	if err != nil {
		return err
	}
	v.Do, v.Reason = r.PostForm.Get("do"), strings.TrimSpace(r.PostForm.Get("reason"))
	if !slices.ContainsFunc(v.Acts, func(o web.Option) bool { return o.Value == v.Do }) {
		v.Errors.Add("do", web.Text(ctx, "events.do-wrong"))
	}
	if n := len([]rune(v.Reason)); n < reasonMin || n > reasonMax {
		v.Errors.Add("reason", web.Text(ctx, "events.reason-wrong", reasonMin, reasonMax))
	}
	if len(v.Errors) > 0 {
		v.Page.Failed = true
		return web.Render(w, r, http.StatusUnprocessableEntity, onePage(v))
	}
	if err := s.act(ctx, p, v.ID, v.Do, v.Reason); err != nil {
		return err
	}
	if v.Do == "delete" {
		return web.SeeOther(w, r, "/subscriptions")
	}
	return web.SeeOther(w, r, "/subscriptions/"+url.PathEscape(v.ID))
}

// act is what an administrator does to a subscription, with the account of it in one commit.
func (s *service) act(ctx context.Context, p access.Principal, id, what, reason string) error {
	place := access.Place{Type: access.TypeNode, ID: "subscriptions"}
	g, err := s.k.Gate.Decide(ctx, p, access.Update, place)
	if err != nil {
		return err
	}
	return s.do(ctx, id, what, reason, s.k.Gate.NoteLane(g, place), func(tx *store.Tx) error { return s.k.Gate.Note(tx, g, place, what+"-subscription", id+": "+reason) })
}

// do does what was decided about a subscription, in one commit with note, which puts it on the account and needs a lane.
func (s *service) do(ctx context.Context, id, what, reason string, lane store.Lane, note func(tx *store.Tx) error) error {
	if q, err := s.current(ctx, id); err == nil && q.Of == ofResources && what == "delete" {
		return s.voidHook(ctx, &q, reason, func(d *record.Draft) ([]access.Grant, error) {
			return s.k.Gate.DecideAll(ctx, access.Service(reader, q.Tenant), d.Acts())
		}, note, lane)
	}
	return s.k.DB.Write(ctx, []store.Lane{s.lane(), lane}, func(tx *store.Tx) error {
		q, err := s.subscriptionByID(tx, id)
		if err != nil {
			return err
		}
		switch what {
		case "pause":
			q.Status, q.Note = off, reason
			err = s.put(tx, &q)
		case "resume":
			q.Status, q.Note, q.Failing, q.Failures = active, "", time.Time{}, 0
			err = s.put(tx, &q)
		default:
			err = s.drop(tx, id)
		}
		if err != nil {
			return err
		}
		return note(tx)
	})
}
