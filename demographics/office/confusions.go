package office

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/demographics/match"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/format"
)

// confusionsView is the worklist of confusions.
type confusionsView struct {
	Table  web.Table
	State  string
	Hidden int
}

func (o *office) showConfusions(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	ctx := r.Context()
	state, err := web.ReadTableState(r, "age")
	if err != nil {
		return err
	}
	shows := state.Filter("state")
	switch shows {
	case "":
		shows = stateOpen
	case stateOpen, stateOne, stateTwo:
	default:
		return fault.New(fault.Invalid, "There is no such list: open, one or two.")
	}
	after, err := offset(cursor(state))
	if err != nil {
		return err
	}
	list, total, hidden, err := o.confusions(ctx, shows, after, pageSize)
	if err != nil {
		return err
	}
	var ids []string
	for _, c := range list {
		ids = append(ids, c.Person)
	}
	var people []record.Version
	if len(ids) > 0 {
		if people, err = o.people(ctx, ask, ids...); err != nil {
			return err
		}
	}
	v := confusionsView{State: shows, Hidden: hidden, Table: web.Table{ID: "confusions", State: state, Caption: web.Text(ctx, "office.confusions.caption."+shows), Count: web.Count(ctx, "office.confusions.count", total), RowHeader: true,
		Columns: []web.Column{{Text: web.Text(ctx, "office.column.person")}, {Text: web.Text(ctx, "office.column.why")}, {Text: web.Text(ctx, "office.column.by")}, {Text: web.Text(ctx, "office.column.age"), Whole: true}, {Text: web.Text(ctx, "office.column.decided")}},
		Empty:   web.Empty{Text: web.Text(ctx, "office.confusions.empty."+shows), Help: web.Text(ctx, "office.confusions.empty-help")}}}
	for i, c := range list {
		v.Table.Rows = append(v.Table.Rows, web.TableRow{Cells: []web.TableCell{web.LinkCell(nameOf(people[i])+", "+number(c.Person), confusionURL(c)), web.Cell(whyText(ctx, c.Pattern)), web.Cell(c.Actor), web.Cell(o.age(ctx, c.Found)), web.Cell(c.DecidedBy)}})
	}
	turnPages(&v.Table, after, len(list), total)
	return web.RenderPart(w, r, v.Table.ID, web.DataTable(v.Table), confusionsPage(v))
}

func confusionURL(c confusion) string {
	return fmt.Sprintf("/confusions/%s/%d", c.Person, c.Version)
}

// confusionView is a record before and after a change that made it look like somebody else.
type confusionView struct {
	Page  web.Page
	One   confusion
	Name  string
	Table web.Table
	Facts []web.Row
	Done  bool
	Form  confusionForm
}

// confusionForm is what a clerk found, as typed.
type confusionForm struct {
	Found, Reason string
	Errors        web.FieldErrors
}

// openConfusion reads the versions before and after; grant allows reading the person.
func (o *office) openConfusion(r *http.Request, ask catalogue.Asker) (*confusionView, error) {
	ctx := r.Context()
	version, err := strconv.ParseInt(r.PathValue("version"), 10, 64)
	if err != nil {
		return nil, access.NotHere()
	}
	c, err := o.confusionOf(ctx, r.PathValue("person"), version)
	if err != nil {
		return nil, err
	}
	grants, err := o.grants(ask, access.History, c.Person)
	if err != nil {
		return nil, err
	}
	ref := record.Ref{Tenant: o.k.National, Type: "Patient", ID: c.Person}
	is, err := o.k.Records.ReadVersion(ctx, grants[0], ref, c.Version)
	if err != nil {
		return nil, err
	}
	was, err := o.k.Records.ReadVersion(ctx, grants[0], ref, c.Version-1)
	if err != nil {
		return nil, err
	}
	model, err := o.model(ctx)
	if err != nil {
		return nil, err
	}
	a, b := match.FromPatient(was.Resource, is.At.UTC().Format(time.DateOnly)), match.FromPatient(is.Resource, is.At.UTC().Format(time.DateOnly))
	v := &confusionView{One: c, Name: nameOf(was), Done: r.URL.Query().Get("done") == "settled",
		Page:  web.Page{Title: web.Text(ctx, "office.confusion.title"), Back: web.Link{Text: web.Text(ctx, "office.nav.confusions"), URL: "/confusions"}},
		Table: o.sideBySide(ctx, [2]string{web.Text(ctx, "office.confusion.before"), web.Text(ctx, "office.confusion.after")}, was, is, model.Explain(&a, &b))}
	v.Table.Caption = web.Text(ctx, "office.confusion.caption")
	v.Facts = []web.Row{{Key: web.Text(ctx, "office.column.number"), Text: number(c.Person)}, {Key: web.Text(ctx, "office.column.by"), Text: c.Actor},
		{Key: web.Text(ctx, "office.column.when"), Text: format.DateTime(is.At)}}
	if is.Reason != "" {
		v.Facts = append(v.Facts, web.Row{Key: web.Text(ctx, "office.pair.reason"), Text: is.Reason})
	}
	if c.State != stateOpen {
		v.Facts = append(v.Facts, web.Row{Key: web.Text(ctx, "office.pair.state"), Text: web.Text(ctx, "office.confusion.found-"+c.State, c.DecidedBy, format.DateTime(c.Decided))},
			web.Row{Key: web.Text(ctx, "office.confusion.because"), Text: c.Reason})
	}
	return v, nil
}

func (o *office) showConfusion(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	v, err := o.openConfusion(r, ask)
	if err != nil {
		return err
	}
	return web.Render(w, r, http.StatusOK, confusionPage(v))
}

func (o *office) settleConfusion(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	ctx := r.Context()
	v, err := o.openConfusion(r, ask)
	if err != nil {
		return err
	}
	if err := web.CheckForm(r, v.One.Person); err != nil {
		return err
	}
	if err := inState(pair{State: v.One.State}, stateOpen); err != nil {
		return err
	}
	v.Form.Found = r.PostForm.Get("found")
	if v.Form.Found != stateOne && v.Form.Found != stateTwo {
		v.Form.Errors.Add("found", web.Text(ctx, "office.confusion.found-missing"))
	}
	v.Form.Reason = reasonIn(r, &v.Form.Errors)
	if len(v.Form.Errors) > 0 {
		v.Page.Failed = true
		return web.Render(w, r, http.StatusUnprocessableEntity, confusionPage(v))
	}
	grants, err := o.grants(ask, access.Update, v.One.Person)
	if err != nil {
		return err
	}
	if err := o.settle(ctx, grants, v.One, v.Form.Found, ask.Principal, v.Form.Reason); err != nil {
		return err
	}
	return web.SeeOther(w, r, confusionURL(v.One)+"?done=settled")
}
