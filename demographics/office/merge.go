package office

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/format"
)

// A merge and its undoing have a page each that says what will happen, to whom, and how to undo it, before a reason is typed.

// inState refuses what cannot be done to a pair as it stands.
func inState(p pair, state string) error {
	if p.State != state {
		return fault.New(fault.Conflict, "Somebody else has decided this meanwhile. Look at it again.")
	}
	return nil
}

func (o *office) askMerge(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	v, people, err := o.openPair(r, ask)
	if err != nil {
		return err
	}
	if err := inState(v.Pair, stateOpen); err != nil {
		return err
	}
	return o.mergeForm(w, r, v, people, http.StatusOK)
}

func (o *office) mergeForm(w http.ResponseWriter, r *http.Request, v *pairView, people []record.Version, status int) error {
	ctx := r.Context()
	v.Page.Title, v.Page.Back = web.Text(ctx, "office.merge.title"), web.Link{Text: web.Text(ctx, "office.pair.title"), URL: pairURL(v.Pair.A, v.Pair.B)}
	for i, p := range people {
		v.Choices = append(v.Choices, web.Option{Value: p.ID, Text: number(p.ID) + " — " + v.Names[i],
			Hint: web.Text(ctx, "office.merge.choice-hint", format.FHIR(p.Resource.Get("birthDate").String()).Date(), first(contacts(p)))})
	}
	return web.Render(w, r, status, mergePage(v))
}

func first(list []string) string {
	if len(list) == 0 {
		return "—"
	}
	return list[0]
}

func (o *office) doMerge(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	ctx := r.Context()
	v, people, err := o.openPair(r, ask)
	if err != nil {
		return err
	}
	p := v.Pair
	if err := web.CheckForm(r, p.A+" "+p.B); err != nil {
		return err
	}
	if err := inState(p, stateOpen); err != nil {
		return err
	}
	v.Form.Survivor = r.PostForm.Get("survivor")
	if v.Form.Survivor != p.A && v.Form.Survivor != p.B {
		v.Form.Errors.Add("survivor", web.Text(ctx, "office.merge.survivor-missing"))
	}
	v.Form.Reason = reasonIn(r, &v.Form.Errors)
	if len(v.Form.Errors) > 0 {
		v.Page.Failed = true
		return o.mergeForm(w, r, v, people, http.StatusUnprocessableEntity)
	}
	grants, err := o.grants(ask, access.Update, p.A, p.B)
	if err != nil {
		return err
	}
	if err := o.merge(ctx, grants, p, v.Form.Survivor, ask.Principal, v.Form.Reason); err != nil {
		return err
	}
	return web.SeeOther(w, r, pairURL(p.A, p.B)+"?done=merged")
}

func (o *office) askPart(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	v, _, err := o.openPair(r, ask)
	if err != nil {
		return err
	}
	if err := inState(v.Pair, stateMerged); err != nil {
		return err
	}
	return o.partForm(w, r, ask, v, http.StatusOK)
}

func (o *office) partForm(w http.ResponseWriter, r *http.Request, ask catalogue.Asker, v *pairView, status int) error {
	ctx := r.Context()
	v.Page.Title, v.Page.Back = web.Text(ctx, "office.part.title"), web.Link{Text: web.Text(ctx, "office.pair.title"), URL: pairURL(v.Pair.A, v.Pair.B)}
	since, err := o.writtenSince(ctx, ask, v.Pair)
	if err != nil {
		return err
	}
	v.Since = web.Table{ID: "since", Caption: web.Text(ctx, "office.part.since"), RowHeader: true,
		Columns: []web.Column{{Text: web.Text(ctx, "office.column.entry")}, {Text: web.Text(ctx, "office.column.number"), Whole: true}, {Text: web.Text(ctx, "office.column.when"), Whole: true}, {Text: web.Text(ctx, "office.column.by")}},
		Empty:   web.Empty{Text: web.Text(ctx, "office.part.since-none")}}
	for _, e := range since {
		v.Since.Rows = append(v.Since.Rows, web.TableRow{Cells: []web.TableCell{web.Cell(e.Type), web.Cell(number(e.Chart)), web.Cell(format.DateTime(e.At)), web.Cell(e.Name)}})
	}
	return web.Render(w, r, status, partPage(v))
}

// sinceMost is how many entries are listed that were written while two charts were one.
const sinceMost = 200

// writtenSince are the entries written or changed in either chart since they were made one, as far as the clerk may see them: what was
// meant for the one may have been filed under the other, and only a person can tell.
func (o *office) writtenSince(ctx context.Context, ask catalogue.Asker, p pair) ([]record.Version, error) {
	links, err := o.k.Records.Links(ctx, o.k.National, p.other(p.Survivor))
	if err != nil {
		return nil, err
	}
	var since time.Time
	for _, l := range links {
		if l.Until.IsZero() && l.Survivor == p.Survivor {
			since = l.Since
		}
	}
	scope, err := ask.Scope(access.Search)
	if err != nil {
		return nil, err
	}
	id, err := ident.ParseFHIRID(p.Survivor)
	if err != nil {
		return nil, err
	}
	q, _, err := o.k.Records.ParseQuery("", url.Values{"_lastUpdated": {"ge" + since.Format(time.RFC3339Nano)}, "_count": {strconv.Itoa(sinceMost)}}, false)
	if err != nil {
		return nil, err
	}
	if q, err = o.k.Records.InCompartment(q, "Patient", id); err != nil {
		return nil, err
	}
	page, err := o.k.Records.Search(ctx, scope, q)
	return page.Matches, err
}

func (o *office) doPart(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	ctx := r.Context()
	v, _, err := o.openPair(r, ask)
	if err != nil {
		return err
	}
	p := v.Pair
	if err := web.CheckForm(r, p.A+" "+p.B); err != nil {
		return err
	}
	if err := inState(p, stateMerged); err != nil {
		return err
	}
	v.Form.Reason = reasonIn(r, &v.Form.Errors)
	if len(v.Form.Errors) > 0 {
		v.Page.Failed = true
		return o.partForm(w, r, ask, v, http.StatusUnprocessableEntity)
	}
	grants, err := o.grants(ask, access.Update, p.A, p.B)
	if err != nil {
		return err
	}
	if err := o.part(ctx, grants, p, ask.Principal, v.Form.Reason); err != nil {
		return err
	}
	return web.SeeOther(w, r, pairURL(p.A, p.B)+"?done=parted")
}
