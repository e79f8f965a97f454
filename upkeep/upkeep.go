// Package upkeep is for whoever keeps the node running: what could not be done by itself, and waits for a person.
//
// A service watches the record, and does its part when something is written: it calls somebody back, it sends a letter. A change that it
// cannot handle is parked with its reason, and so is everything after it in the same chart; it is tried again by the clock.
//
//	written ──► handled
//	   └──► parked ── tried again, by the clock or by a person ──► handled
//	          └── given up by a person, with a reason ──► skipped: on the account, and what waited behind it goes on
//
// Whoever does so sees neither the person nor the content: which watch, what kind of entry, why, and since when.
package upkeep

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/format"
)

// desk is the pages of one node.
type desk struct{ k catalogue.Kernel }

// Service is the administrator's pages.
func Service(k catalogue.Kernel) catalogue.Service {
	d := &desk{k}
	return catalogue.Service{Name: "upkeep", Summary: "What could not be handled by itself, and waits for a person.",
		Pages: []catalogue.Route{
			catalogue.ForRole("GET /parked", d.list, access.Administrator),
			catalogue.ForRole("GET /parked/{change}", d.show, access.Administrator),
			catalogue.ForRole("POST /parked/{change}", d.decide, access.Administrator),
		},
		Links: []catalogue.Link{{Key: "upkeep.nav", Path: "/parked", Roles: []access.Role{access.Administrator}}}}
}

// held is one chart, of one watch, that a change holds up.
type held struct {
	record.Parked
	ID string
}

// idOf names a parked change in an address: it says nothing about anyone.
func idOf(p record.Parked) string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d.%d.%s", p.Lane, p.Seq, p.Watch))
}

// all are the changes that hold others up, in the order that column asks for.
func (d *desk) all(ctx context.Context, p access.Principal, watch, column string, descending bool) (list []held, watches []string, err error) {
	g, err := d.k.Gate.Decide(ctx, p, access.Search, access.Place{Type: access.TypeNode})
	if err != nil {
		return nil, nil, err
	}
	parked, err := d.k.Records.Parked(ctx)
	if err != nil {
		return nil, nil, err
	}
	for i, c := range parked {
		if i > 0 && parked[i-1].Lane == c.Lane && parked[i-1].Watch == c.Watch && parked[i-1].Chart == c.Chart {
			continue // it waits behind the one before
		}
		if !slices.Contains(watches, c.Watch) {
			watches = append(watches, c.Watch)
		}
		if watch == "" || watch == c.Watch {
			list = append(list, held{c, idOf(c)})
		}
	}
	slices.SortStableFunc(list, func(a, b held) int {
		order := a.At.Compare(b.At)
		if column == "watch" {
			order = strings.Compare(a.Watch, b.Watch)
		}
		if descending {
			order = -order
		}
		return order
	})
	return list, watches, d.k.Gate.Account(ctx, []access.Grant{g}, nil)
}

// listView is the worklist.
type listView struct {
	Table   web.Table
	Watch   string
	Watches []web.Option
}

func (d *desk) list(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	ctx := r.Context()
	state, err := web.ReadTableState(r, "age", "watch")
	if err != nil {
		return err
	}
	column, descending := state.Sort()
	v := listView{Watch: state.Filter("watch"), Watches: []web.Option{{Text: web.Text(ctx, "upkeep.every-watch")}}}
	list, watches, err := d.all(ctx, p, v.Watch, column, descending)
	if err != nil {
		return err
	}
	for _, name := range watches {
		v.Watches = append(v.Watches, web.Option{Value: name, Text: name})
	}
	header := []string{"watch", "kind", "reason", "age", "behind", "tries"}
	if state.Filter("format") == "csv" {
		return d.csv(w, r, header, list)
	}
	v.Table = web.Table{ID: "parked", State: state, Caption: web.Text(ctx, "upkeep.caption"), Count: web.Count(ctx, "upkeep.count", len(list)), CSVURL: state.With("format", "csv"), RowHeader: true,
		Empty: web.Empty{Text: web.Text(ctx, "upkeep.empty"), Help: web.Text(ctx, "upkeep.empty-help")}}
	for i, k := range header {
		c := web.Column{Text: web.Text(ctx, "upkeep.column."+k), Numeric: i > 3, Whole: i == 3, Share: []int{3, 4, 6, 3, 2, 2}[i]}
		if k == "watch" || k == "age" {
			c.Sort = k
		}
		v.Table.Columns = append(v.Table.Columns, c)
	}
	for _, c := range list {
		v.Table.Rows = append(v.Table.Rows, web.TableRow{Cells: []web.TableCell{web.LinkCell(c.Watch, "/parked/"+c.ID), web.ShowCell(web.Lines(kind(ctx, c.Parked), d.k.Organisation(ctx, c.Tenant))), web.Cell(c.Reason),
			web.ShowCell(web.Lines(d.age(ctx, c.At), format.DateTime(c.At))), web.Cell(web.Count(ctx, "upkeep.number", c.Behind)), web.Cell(web.Count(ctx, "upkeep.number", c.Tries))}})
	}
	return web.RenderPart(w, r, v.Table.ID, web.DataTable(v.Table), listPage(v))
}

func (d *desk) csv(w http.ResponseWriter, r *http.Request, header []string, list []held) error {
	ctx := r.Context()
	var names []string
	for _, k := range header {
		names = append(names, web.Text(ctx, "upkeep.column."+k))
	}
	return web.CSV(w, "parked", names, func(yield func([]string, error) bool) {
		for _, c := range list {
			if !yield([]string{c.Watch, kind(ctx, c.Parked), c.Reason, d.age(ctx, c.At), fmt.Sprint(c.Behind), fmt.Sprint(c.Tries)}, nil) {
				return
			}
		}
	})
}

// kind says what kind of entry a change is of.
func kind(ctx context.Context, p record.Parked) string {
	if p.Person() {
		return web.Text(ctx, "upkeep.of-a-person", p.Type)
	}
	return p.Type
}

// age is how long ago something happened, in the unit that matters.
func (d *desk) age(ctx context.Context, at time.Time) string {
	return web.Ago(ctx, d.k.Clock.Now(), at)
}

// changeView is one change that holds others up.
type changeView struct {
	Page   web.Page
	Change held
	Facts  []web.Row
	Reason string
	Errors web.FieldErrors
}

func (d *desk) one(r *http.Request, p access.Principal) (*changeView, error) {
	ctx := r.Context()
	list, _, err := d.all(ctx, p, "", "age", false)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(list, func(c held) bool { return c.ID == r.PathValue("change") })
	if i < 0 {
		return nil, fault.New(fault.NotFound, "%s", web.Text(ctx, "upkeep.gone"))
	}
	c := list[i]
	v := &changeView{Change: c, Page: web.Page{Title: web.Text(ctx, "upkeep.one"), Back: web.Link{Text: web.Text(ctx, "upkeep.title"), URL: "/parked"}}}
	v.Facts = []web.Row{
		{Key: web.Text(ctx, "upkeep.column.watch"), Text: c.Watch},
		{Key: web.Text(ctx, "upkeep.column.reason"), Text: c.Reason},
		{Key: web.Text(ctx, "upkeep.column.kind"), Value: web.Lines(kind(ctx, c.Parked), d.k.Organisation(ctx, c.Tenant))},
		{Key: web.Text(ctx, "upkeep.column.age"), Value: web.Lines(d.age(ctx, c.At), format.DateTime(c.At))},
		{Key: web.Text(ctx, "upkeep.column.behind"), Text: web.Count(ctx, "upkeep.changes", c.Behind)},
		{Key: web.Text(ctx, "upkeep.column.tries"), Text: web.Count(ctx, "upkeep.times", c.Tries)},
		{Key: web.Text(ctx, "upkeep.next"), Text: format.DateTime(c.Due)},
		{Key: web.Text(ctx, "upkeep.place"), Text: web.Text(ctx, "upkeep.place-is", c.Lane, c.Seq)},
	}
	return v, nil
}

func (d *desk) show(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	v, err := d.one(r, p)
	if err != nil {
		return err
	}
	return web.Render(w, r, http.StatusOK, changePage(v))
}

// The reason for giving a change up, in characters.
const (
	reasonMin = 10
	reasonMax = 500
)

// decide tries a change again, or gives it up with a reason. Either is on the account, in the commit that does it; what is given up is
// on the account of the person whom it was about.
func (d *desk) decide(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	if err := web.CheckForm(r, r.PathValue("change")); err != nil {
		return err
	}
	ctx := r.Context()
	v, err := d.one(r, p)
	if err != nil {
		return err
	}
	feed, c := d.k.Feed(), v.Change
	if feed == nil {
		return fault.New(fault.NotFound, "%s", web.Text(ctx, "upkeep.gone"))
	}
	g, err := d.k.Gate.Decide(ctx, p, access.Update, access.Place{Type: access.TypeNode, ID: "parked"})
	if err != nil {
		return err
	}
	place := access.Place{Tenant: c.Tenant, Type: c.Type}
	if c.Person() {
		place.Chart = c.Chart
	}
	lanes := []store.Lane{d.k.Gate.NoteLane(g, place)}
	if r.PostForm.Get("do") == "retry" {
		err := feed.Retry(ctx, c.Parked, lanes, func(tx *store.Tx) error { return d.k.Gate.Note(tx, g, place, "retry", c.Watch) })
		if err != nil {
			return err
		}
		return web.SeeOther(w, r, "/parked")
	}
	v.Reason = strings.TrimSpace(r.PostForm.Get("reason"))
	if n := len([]rune(v.Reason)); n < reasonMin || n > reasonMax {
		v.Errors.Add("reason", web.Text(ctx, "upkeep.reason-wrong", reasonMin, reasonMax))
		v.Page.Failed = true
		return web.Render(w, r, http.StatusUnprocessableEntity, changePage(v))
	}
	err = feed.Skip(ctx, c.Parked, lanes, func(tx *store.Tx) error { return d.k.Gate.Note(tx, g, place, "skip", c.Watch+": "+v.Reason) })
	if err != nil {
		return err
	}
	return web.SeeOther(w, r, "/parked")
}
