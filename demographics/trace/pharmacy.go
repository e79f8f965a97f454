package trace

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/openspine/openspine/demographics"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/web"
)

// pharmacyView is the pharmacy to which somebody's prescriptions go, and others to choose from.
type pharmacyView struct {
	*visit
	Page                web.Page
	Done, Cannot        string
	Current, Text, Near string
	Errors              web.FieldErrors
	Asked, More         bool
	Table               web.Table
}

// mostPharmacies is how many a page offers, and mostCompared how many are compared by their distance.
const (
	mostPharmacies = 20
	mostCompared   = 500
)

// pharmacy shows the nominated pharmacy, finds others, and asks whether the one that was chosen is meant.
func (f *face) pharmacy(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	ctx := r.Context()
	if code := r.URL.Query().Get("choose"); code != "" {
		return f.choose(w, r, ask, code)
	}
	visit, err := f.visits(r, ask)
	if err != nil {
		return err
	}
	v := &pharmacyView{visit: visit, Page: visit.page(ctx, web.Text(ctx, visit.key("pharmacy.title")), false), Text: strings.TrimSpace(r.URL.Query().Get("q")), Near: strings.TrimSpace(r.URL.Query().Get("near"))}
	if r.URL.Query().Get("done") == "pharmacy" {
		v.Done = web.Text(ctx, visit.key("done.pharmacy"))
	}
	if visit.may != nil {
		v.Cannot = web.Text(ctx, visit.key("details.cannot"))
		return web.Render(w, r, http.StatusOK, pharmacyPage(v))
	}
	v.Current = f.supplier(ctx, visit.person.Shown, demographics.NominatedURL)
	from := outwardOf(addressIn(visit.person.Shown).Field("postalCode").String())
	if v.Near != "" {
		if from = outwardOf(v.Near); from == "" {
			v.Errors.Add("near", web.Text(ctx, "trace.wrong.near"))
			v.Page.Failed = true
			return web.Render(w, r, http.StatusUnprocessableEntity, pharmacyPage(v))
		}
	}
	if !r.URL.Query().Has("q") && !r.URL.Query().Has("near") && from == "" {
		return web.Render(w, r, http.StatusOK, pharmacyPage(v))
	}
	if err := f.findPharmacies(ctx, v, from); err != nil {
		return err
	}
	return web.Render(w, r, http.StatusOK, pharmacyPage(v))
}

// outwardOf is the first part of a postcode, which may be all that was typed; empty for what cannot be one.
func outwardOf(text string) string {
	if pc, err := ident.ParsePostcode(text); err == nil {
		return pc.Outward()
	}
	text = strings.ToUpper(text)
	digit := strings.IndexAny(text, "0123456789")
	if digit < 1 || digit > 2 || len(text) > 4 || strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") != "" {
		return ""
	}
	return text
}

// near is a pharmacy and how far it is; far for where nobody knows.
type near struct {
	Pharmacy
	km    float64
	known bool
}

// findPharmacies lists pharmacies by what was typed of their name, the nearest to an outward code first.
func (f *face) findPharmacies(ctx context.Context, v *pharmacyView, from string) error {
	list, err := f.places.Pharmacies(ctx, v.Text, "", mostCompared)
	if fault.Is(err, fault.Invalid) {
		v.Errors.Add("q", fault.MessageOf(err))
		return nil
	}
	if err != nil {
		return err
	}
	if v.Text == "" && len(list) == mostCompared && from != "" { // of a whole country, those of the area are enough
		area := strings.TrimRight(from, "0123456789")
		if i := strings.IndexAny(from, "0123456789"); i > 0 {
			area = from[:i]
		}
		if list, err = f.places.Pharmacies(ctx, "", area, mostCompared); err != nil {
			return err
		}
	}
	away := map[string]near{}
	var found []near
	for _, p := range list {
		n := near{Pharmacy: p}
		if pc, err := ident.ParsePostcode(p.Postcode); err == nil && from != "" {
			known, ok := away[pc.Outward()]
			if !ok {
				if known.km, known.known, err = f.places.Distance(ctx, from, pc.Outward()); err != nil {
					return err
				}
				away[pc.Outward()] = known
			}
			n.km, n.known = known.km, known.known
		}
		found = append(found, n)
	}
	slices.SortStableFunc(found, func(a, b near) int {
		switch {
		case a.known != b.known:
			return map[bool]int{true: -1, false: 1}[a.known]
		case a.known:
			return cmp.Compare(a.km, b.km)
		}
		return 0
	})
	v.Asked, v.More = true, len(found) > mostPharmacies
	f.fillPharmacies(ctx, v, found[:min(len(found), mostPharmacies)], from)
	return nil
}

func (f *face) fillPharmacies(ctx context.Context, v *pharmacyView, found []near, from string) {
	caption := web.Text(ctx, "trace.pharmacy.found")
	if from != "" {
		caption = web.Text(ctx, "trace.pharmacy.found-near", from)
	}
	v.Table = web.Table{ID: "pharmacies", Caption: caption, RowHeader: true, Empty: web.Empty{Text: web.Text(ctx, "trace.pharmacy.empty"), Help: web.Text(ctx, "trace.pharmacy.empty-help")}}
	for i, c := range []string{"pharmacy", "town", "postcode", "distance", "choose"} {
		v.Table.Columns = append(v.Table.Columns, web.Column{Text: web.Text(ctx, "trace.column."+c), Whole: i > 1, Share: []int{6, 4, 3, 3, 2}[i]})
	}
	for _, n := range found {
		distance := web.NoteCell("")
		if n.known {
			distance = web.Cell(distanceText(ctx, n.km))
		}
		v.Table.Rows = append(v.Table.Rows, web.TableRow{Cells: []web.TableCell{web.Cell(n.Name), web.Cell(n.Town), web.Cell(n.Postcode), distance,
			web.ShowCell(chooseLink(v.pharmacyURL()+"?choose="+url.QueryEscape(n.Code.String()), n.Name))}})
	}
}

// distanceText is a distance as far as it is known: districts are reckoned from their middles.
func distanceText(ctx context.Context, km float64) string {
	if km < 1 {
		return web.Text(ctx, "trace.pharmacy.here")
	}
	return web.Text(ctx, "trace.pharmacy.km", fmt.Sprintf("%.0f", km))
}

// choose asks whether a pharmacy is meant, or none.
func (f *face) choose(w http.ResponseWriter, r *http.Request, ask catalogue.Asker, code string) error {
	v, err := f.changing(r, ask, partPharmacy)
	if err != nil {
		return err
	}
	if err := f.known(r.Context(), code); err != nil {
		return err
	}
	v.Form = url.Values{"pharmacy": {code}}
	return f.confirm(w, r, v)
}

// known refuses what is no open pharmacy of the directory; none is nobody's choice but their own.
func (f *face) known(ctx context.Context, code string) error {
	if code == "none" {
		return nil
	}
	list, err := f.places.Pharmacies(ctx, code, "", mostPharmacies)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(list, func(p Pharmacy) bool { return p.Code.String() == code }) {
		return fault.New(fault.NotFound, "%s", web.Text(ctx, "trace.pharmacy.unknown"))
	}
	return nil
}

// nominate makes the choice.
func (f *face) nominate(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	if err := r.ParseForm(); err != nil {
		return fault.Wrap(err, fault.Invalid, "the form could not be read")
	}
	if err := f.known(r.Context(), r.PostForm.Get("pharmacy")); err != nil {
		return err
	}
	return f.changed(w, r, ask, partPharmacy)
}
