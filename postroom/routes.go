package postroom

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/format"
)

// routesSubject is what changes of the routes are written down under.
const routesSubject = "post-routes"

// routesView is where post goes.
type routesView struct {
	Table   web.Table
	History web.Table
	Name    string
	Done    string
	Undo    web.Link
	Tabs    []web.Link
}

func routeColumns() []string {
	return []string{"organisation", "workflow", "destination", "set", "who"}
}

func (d *desk) routes(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	ctx := r.Context()
	state, err := web.ReadTableState(r, "organisation", "workflow", "destination", "set")
	if err != nil {
		return err
	}
	at, err := offset(state)
	if err != nil {
		return err
	}
	list, err := d.k.Post().Routes(ctx)
	if err != nil {
		return err
	}
	v := routesView{Name: state.Filter("name"), Done: state.Filter("done"), Tabs: tabs(ctx, p)}
	list = slices.DeleteFunc(list, func(o messaging.Route) bool {
		text := strings.ToLower(d.recipient(ctx, o) + " " + o.Recipient.String() + " " + o.Workflow + " " + d.destination(ctx, o.To) + " " + o.To.Name)
		return v.Name != "" && !strings.Contains(text, strings.ToLower(v.Name))
	})
	by, descending := state.Sort()
	slices.SortStableFunc(list, func(a, b messaging.Route) int {
		n := compareRoutes(a, b, by)
		if descending {
			n = -n
		}
		return n
	})
	if state.Filter("format") == "csv" {
		return d.routesCSV(w, r, list)
	}
	v.Table = web.Table{ID: "routes", State: state, Caption: web.Text(ctx, "postroom.routes.caption"), CSVURL: state.With("format", "csv"), RowHeader: true, Count: web.Count(ctx, "postroom.routes.count", len(list)),
		Empty: web.Empty{Text: web.Text(ctx, "postroom.routes.empty"), Help: web.Text(ctx, "postroom.routes.empty-help")}}
	for _, k := range append(routeColumns(), "act") {
		c := web.Column{Text: web.Text(ctx, "postroom.column."+k), Whole: k == "set"}
		if k != "who" && k != "act" {
			c.Sort = k
		}
		v.Table.Columns = append(v.Table.Columns, c)
	}
	for _, o := range list[min(at, len(list)):min(at+pageSize, len(list))] {
		v.Table.Rows = append(v.Table.Rows, web.TableRow{Cells: []web.TableCell{web.Cell(d.recipient(ctx, o)), web.Cell(workflowText(ctx, o)), web.Cell(d.destination(ctx, o.To)), web.Cell(format.DateTime(o.At)), web.Cell(o.Actor),
			web.ShowCell(routeLinks(routeURL("set", o), routeURL("drop", o), d.recipient(ctx, o)+", "+workflowText(ctx, o)))}})
	}
	if len(list) == 0 {
		v.Table.Count = ""
	}
	turn(&v.Table, at, len(list))
	if v.Undo.URL = state.Filter("undo"); !strings.HasPrefix(v.Undo.URL, pathRoutes+"/") {
		v.Undo.URL = ""
	}
	if v.History, err = d.routeHistory(ctx, state); err != nil {
		return err
	}
	return web.RenderPart(w, r, v.Table.ID, web.DataTable(v.Table), routesPage(v))
}

func compareRoutes(a, b messaging.Route, by string) int {
	switch by {
	case "workflow":
		return cmp.Compare(a.Workflow, b.Workflow)
	case "destination":
		return cmp.Compare(a.To.String(), b.To.String())
	case "set":
		return a.At.Compare(b.At)
	}
	return cmp.Compare(a.Recipient.String(), b.Recipient.String())
}

// recipient is whose post a route is about.
func (d *desk) recipient(ctx context.Context, o messaging.Route) string {
	if o.Recipient.IsZero() {
		return web.Text(ctx, "postroom.routes.everybody")
	}
	return d.k.Organisation(ctx, o.Recipient) + " (" + o.Recipient.String() + ")"
}

func workflowText(ctx context.Context, o messaging.Route) string {
	if o.Workflow == "" {
		return web.Text(ctx, "postroom.routes.every-workflow")
	}
	return o.Workflow
}

// routeURL is the page that sets or drops a route, with its answers filled in.
func routeURL(act string, o messaging.Route) string {
	return pathRoutes + "/" + act + "?recipient=" + queryText(o.Recipient.String()) + "&workflow=" + queryText(o.Workflow) + "&kind=" + queryText(o.To.Kind) + "&to=" + queryText(o.To.Name)
}

func (d *desk) routesCSV(w http.ResponseWriter, r *http.Request, list []messaging.Route) error {
	ctx := r.Context()
	return web.CSV(w, "routes", columns(ctx, routeColumns()...), func(yield func([]string, error) bool) {
		for _, o := range list {
			if !yield([]string{d.recipient(ctx, o), workflowText(ctx, o), d.destination(ctx, o.To), format.DateTime(o.At), o.Actor}, nil) {
				return
			}
		}
	})
}

// routeHistory is what was changed about the routes, by whom and why.
func (d *desk) routeHistory(ctx context.Context, state web.TableState) (t web.Table, err error) {
	changes, err := d.k.Gate.Changes(ctx, routesSubject)
	if err != nil {
		return t, err
	}
	t = web.Table{ID: "route-history", State: state, Caption: web.Text(ctx, "postroom.routes.history"), RowHeader: true, Empty: web.Empty{Text: web.Text(ctx, "postroom.routes.no-history")}}
	for _, k := range []string{"when", "who", "what", "reason"} {
		t.Columns = append(t.Columns, web.Column{Text: web.Text(ctx, "postroom.column."+k), Whole: k == "when"})
	}
	for _, c := range changes {
		t.Rows = append(t.Rows, web.TableRow{Cells: []web.TableCell{web.Cell(format.DateTime(c.At)), web.Cell(cmp.Or(c.ByName, c.By)), web.Cell(web.Text(ctx, "postroom.routes.did-"+c.Act, c.Detail)), web.Cell(c.Reason)}})
	}
	return t, nil
}

// routeView sets or drops a route.
type routeView struct {
	Page                    web.Page
	Act                     string
	Recipient, Workflow, To string
	Kind                    string
	Kinds                   []web.Option
	Reason                  string
	Facts                   []web.Row
	Form                    web.Form
	Errors                  web.FieldErrors
	route                   messaging.Route
	before                  *messaging.Route // what stands there now
}

func (d *desk) routeForm(r *http.Request, answer func(string) string) (*routeView, error) {
	ctx := r.Context()
	v := &routeView{Act: r.PathValue("act"), Recipient: strings.TrimSpace(answer("recipient")), Workflow: strings.TrimSpace(answer("workflow")), Kind: answer("kind"), To: strings.TrimSpace(answer("to"))}
	if v.Act != "set" && v.Act != "drop" {
		return nil, fault.New(fault.NotFound, "%s", web.Text(ctx, "postroom.no-act"))
	}
	v.Page = web.Page{Title: web.Text(ctx, "postroom.routes.ask-"+v.Act), Back: web.Link{Text: web.Text(ctx, "postroom.routes.title"), URL: pathRoutes}}
	v.Form = web.Form{Submit: web.Text(ctx, "postroom.routes.do-"+v.Act), Danger: v.Act == "drop", Cancel: web.Link{URL: pathRoutes}}
	for _, kind := range d.k.Post().Kinds() {
		text := kind
		if key := "postroom.routes.kind." + kind; web.HasText(key) {
			text = web.Text(ctx, key)
		}
		v.Kinds = append(v.Kinds, web.Option{Value: kind, Text: text})
	}
	if v.Kind == "" {
		v.Kind = v.Kinds[0].Value
	}
	v.route = messaging.Route{Workflow: v.Workflow, To: messaging.Destination{Kind: v.Kind, Name: v.To}}
	if v.Recipient != "" {
		var wrong error
		if v.route.Recipient, wrong = ident.ParseODSCode(strings.ToUpper(v.Recipient)); wrong != nil {
			v.Errors.Add("recipient", web.Text(ctx, "postroom.wrong.organisation"))
		}
	}
	list, err := d.k.Post().Routes(ctx)
	if err != nil {
		return nil, err
	}
	if i := slices.IndexFunc(list, func(o messaging.Route) bool { return o.Recipient == v.route.Recipient && o.Workflow == v.Workflow }); i >= 0 {
		v.before = &list[i]
	}
	if v.Act == "drop" && v.before == nil {
		return nil, fault.New(fault.NotFound, "%s", web.Text(ctx, "postroom.routes.none"))
	}
	if v.Act == "drop" {
		o := *v.before
		v.Facts = []web.Row{{Key: web.Text(ctx, "postroom.column.organisation"), Text: d.recipient(ctx, o)}, {Key: web.Text(ctx, "postroom.column.workflow"), Text: workflowText(ctx, o)},
			{Key: web.Text(ctx, "postroom.column.destination"), Text: d.destination(ctx, o.To)}}
	}
	return v, nil
}

func (d *desk) askRoute(w http.ResponseWriter, r *http.Request, _ access.Principal) error {
	v, err := d.routeForm(r, r.URL.Query().Get)
	if err != nil {
		return err
	}
	v.Errors = nil // nothing was sent yet
	return web.Render(w, r, http.StatusOK, routePage(v))
}

func (d *desk) decideRoute(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	if err := web.CheckForm(r, ""); err != nil {
		return err
	}
	ctx := r.Context()
	v, err := d.routeForm(r, r.PostForm.Get)
	if err != nil {
		return err
	}
	if v.Act == "set" && v.To == "" {
		v.Errors.Add("to", web.Text(ctx, "postroom.wrong.destination"))
	}
	if v.Act == "set" && v.Kind == kindEndpoint && v.To != "" {
		if _, err := d.round.address(ctx, v.To); err != nil {
			v.Errors.Add("to", fault.MessageOf(err))
		}
	}
	v.Reason = readReason(r, &v.Errors)
	if len(v.Errors) == 0 {
		err = d.writeRoute(ctx, p, v)
		if fault.Is(err, fault.Invalid) {
			v.Errors.Add("to", fault.MessageOf(err))
		} else if err != nil {
			return err
		}
	}
	if len(v.Errors) > 0 {
		v.Page.Failed = true
		return web.Render(w, r, http.StatusUnprocessableEntity, routePage(v))
	}
	undo := routeURL("drop", v.route)
	if v.before != nil {
		undo = routeURL("set", *v.before)
	}
	return web.SeeOther(w, r, pathRoutes+"?done="+v.Act+"&undo="+queryText(undo))
}

// writeRoute sets or drops a route, and writes down who did so and why.
func (d *desk) writeRoute(ctx context.Context, p access.Principal, v *routeView) error {
	o := v.route
	if v.Act == "drop" {
		o = *v.before
	}
	o.Actor = p.ID
	if v.Act == "drop" {
		return DropRoute(ctx, d.k, p, o.Recipient, o.Workflow, v.Reason)
	}
	return SetRoute(ctx, d.k, p, o, v.Reason)
}
