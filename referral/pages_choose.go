package referral

import (
	"cmp"
	"context"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/format"
)

// chooseView is where a referrer finds services for a person. All of it is one form, so that what is ticked stays ticked whichever way the list is turned.
type chooseView struct {
	Page        web.Page
	Person      Person
	Table       web.Table
	Kept        []FoundService // ticked, and not on this page of the list
	Map         *serviceMap    // nil where nobody knows where the patient lives
	Specialties []web.Option
	Priorities  []web.Option
	Requests    []web.Option
	Orders      []web.Option
	At          string // this page
	Action      string // where the letter is written
	Advice      string // where advice is asked for instead
	Priority    string
	Request     string
	Order       string
	Within      string
	Farther     int // how many services there are beyond
	Lifted      bool
	Wrong       string // what is wrong with what is ticked
}

const (
	chooseRows = 10
	// usualReach is how far away a service is at most, in kilometres, where nothing is said: a day's journey there and back.
	usualReach = 80
)

// The orders of the list; the first is how Services ranks them.
const (
	orderLikely  = "likely"
	orderSoonest = "soonest"
	orderNearest = "nearest"
	orderName    = "name"
)

func priorityOptions(ctx context.Context) (list []web.Option) {
	for _, p := range Priorities() {
		list = append(list, web.Option{Value: string(p), Text: web.Text(ctx, "referral.priority."+string(p))})
	}
	return list
}

func requestOptions(ctx context.Context, requests []Request) (list []web.Option) {
	for _, r := range requests {
		list = append(list, web.Option{Value: string(r), Text: web.Text(ctx, "referral.request."+string(r))})
	}
	return list
}

// choose finds services for a person and puts them on a shortlist.
func (f *face) choose(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	ctx := r.Context()
	n, err := numberOf(r)
	if err != nil {
		return err
	}
	at, ticked := personPath+n.String(), r.URL.Query()["service"]
	if len(ticked) > MostChoices {
		ticked = ticked[:MostChoices]
	}
	if r.URL.Query().Has("clear") {
		return web.SeeOther(w, r, at+"?"+url.Values{"service": ticked}.Encode())
	}
	person, err := f.s.person(ctx, CallerOf(ask), n)
	if err != nil {
		return err
	}
	state, err := web.ReadTableState(r, orderLikely, orderSoonest, orderNearest, orderName)
	if err != nil {
		return err
	}
	v := chooseView{Page: f.page(ctx, "referral.choose.title", person, web.Link{}), Person: person, Priorities: priorityOptions(ctx), Priority: state.Filter("priority"), Request: cmp.Or(state.Filter("request"), string(ForAppointment)),
		Requests: requestOptions(ctx, []Request{ForAppointment, ForTriage}), At: at, Action: at + "/letter", Advice: at + "/advice"}
	if wrong := r.URL.Query().Get("missing"); web.HasText("referral.choose.wrong." + wrong) {
		v.Wrong = web.Text(ctx, "referral.choose.wrong."+wrong)
	}
	v.Order, _ = state.Sort()
	for _, o := range []string{orderLikely, orderSoonest, orderNearest, orderName} {
		v.Orders = append(v.Orders, web.Option{Value: o, Text: web.Text(ctx, "referral.choose.order."+o)})
	}
	found, err := f.found(ctx, state, r.URL.Query(), &v)
	if err != nil {
		return err
	}
	if r.URL.Query().Get("format") == "csv" {
		return servicesCSV(w, r, found)
	}
	return f.listFound(w, r, state, found, ticked, v)
}

// found are the services that fit what is asked for, in the order that is asked for.
func (f *face) found(ctx context.Context, state web.TableState, asked url.Values, v *chooseView) (found []FoundService, err error) {
	q := ServiceQuery{Text: state.Filter("q"), Specialty: state.Filter("specialty"), Priority: Priority(v.Priority), Take: strictFlow(Request(v.Request))}
	if found, err = f.s.Services(ctx, v.Person, q); err != nil {
		return nil, err
	}
	v.Specialties = []web.Option{{Text: web.Text(ctx, "referral.choose.any")}}
	all := found
	if q.Specialty != "" || q.Text != "" {
		if all, err = f.s.possible(ctx, v.Person, q.Take); err != nil {
			return nil, err
		}
	}
	for _, x := range all {
		o := web.Option{Value: x.SpecialtyCode, Text: x.Specialty}
		if x.Specialty != "" && !slices.Contains(v.Specialties, o) {
			v.Specialties = append(v.Specialties, o)
		}
	}
	slices.SortStableFunc(v.Specialties[1:], func(a, b web.Option) int { return cmp.Compare(a.Text, b.Text) })
	order(found, v.Order)
	return v.reach(found, asked), nil
}

// reach leaves out what is farther away than asked; where nothing is said, than usual, unless that is all there is.
func (v *chooseView) reach(found []FoundService, asked url.Values) []FoundService {
	km, err := strconv.ParseFloat(asked.Get("within"), 64)
	switch {
	case asked.Has("everywhere"):
		return found
	case err == nil && km > 0:
		v.Within = asked.Get("within")
	case asked.Has("within"):
		return found
	default:
		km, v.Within = usualReach, strconv.Itoa(usualReach)
	}
	near := slices.DeleteFunc(slices.Clone(found), func(x FoundService) bool { return x.Km > km })
	if len(near) == 0 && !asked.Has("within") {
		v.Within, v.Lifted = "", len(found) > 0
		return found
	}
	v.Farther = len(found) - len(near)
	return near
}

// order puts services in another order than Services does. What is not known comes last.
func order(list []FoundService, by string) {
	last := func(v float64) float64 {
		if v < 0 {
			return math.Inf(1)
		}
		return v
	}
	switch by {
	case orderSoonest:
		slices.SortStableFunc(list, func(a, b FoundService) int { return cmp.Compare(last(float64(a.Wait)), last(float64(b.Wait))) })
	case orderNearest:
		slices.SortStableFunc(list, func(a, b FoundService) int { return cmp.Compare(last(a.Km), last(b.Km)) })
	case orderName:
		slices.SortStableFunc(list, func(a, b FoundService) int { return cmp.Compare(a.Name, b.Name) })
	}
}

// listFound shows one page of what was found, and where it is.
func (f *face) listFound(w http.ResponseWriter, r *http.Request, state web.TableState, found []FoundService, ticked []string, v chooseView) (err error) {
	ctx := r.Context()
	at, err := rowsBefore(state)
	if err != nil {
		return err
	}
	at = min(at, len(found))
	page := slices.Clone(found[at:min(at+chooseRows, len(found))])
	if len(found) > mostShown { // only of the first, as they are ranked, it is counted already
		if err := f.s.count(ctx, v.Person, page); err != nil {
			return err
		}
	}
	if v.Kept, err = f.kept(ctx, v.Person, ticked, page); err != nil {
		return err
	}
	if v.Map, err = f.mapOf(ctx, v.Person.Outward(), page); err != nil {
		return err
	}
	v.Table = f.servicesTable(ctx, state, page, v.Map, ticked, len(v.Kept))
	v.Table.Count, v.Table.CSVURL = web.Count(ctx, "referral.choose.count", len(found)), state.With("format", "csv", "missing", "")
	if at+chooseRows < len(found) {
		v.Table.NextCursor = strconv.Itoa(at + chooseRows)
	}
	if at > 0 {
		v.Table.PreviousCursor = strconv.Itoa(max(0, at-chooseRows))
	}
	return web.RenderPart(w, r, foundID, foundPart(v), choosePage(v))
}

// rowsBefore is how many rows come before those that are asked for.
func rowsBefore(state web.TableState) (int, error) {
	text := cmp.Or(state.After(), state.Before(), "0")
	at, err := strconv.Atoi(text)
	if err != nil || at < 0 {
		return 0, fault.New(fault.Invalid, "This page of the list is not known; begin at the first.")
	}
	return at, nil
}

// kept are the ticked services that a page of the list does not show. Those that there are no longer are left out.
func (f *face) kept(ctx context.Context, person Person, ticked []string, page []FoundService) ([]FoundService, error) {
	ids := slices.DeleteFunc(slices.Clone(ticked), func(id string) bool {
		return slices.ContainsFunc(page, func(x FoundService) bool { return x.ID == id })
	})
	if len(ids) == 0 {
		return nil, nil
	}
	return f.s.Services(ctx, person, ServiceQuery{IDs: ids})
}

// mostShown is of how many services at most a search counts the free times.
const mostShown = 50

// servicesTable lists one page of services; before are how many boxes to tick come before it.
func (f *face) servicesTable(ctx context.Context, state web.TableState, page []FoundService, m *serviceMap, ticked []string, before int) web.Table {
	t := web.Table{ID: "services", State: state, Caption: web.Text(ctx, "referral.choose.caption"), RowHeader: true, InForm: true,
		Empty: web.Empty{Text: web.Text(ctx, "referral.choose.none"), Help: web.Text(ctx, "referral.choose.none-help")}}
	for i, key := range []string{"service", "next", "free", "wait", "distance"} {
		t.Columns = append(t.Columns, web.Column{Text: web.Text(ctx, "referral.column."+key), Numeric: key == "free", Share: []int{5, 4, 2, 2, 3}[i]})
	}
	if m != nil {
		t.Columns = append(t.Columns, web.Column{Text: web.Text(ctx, "referral.column.map"), Numeric: true, Share: 2})
	}
	for i, x := range page {
		row := web.TableRow{Cells: []web.TableCell{web.ShowCell(serviceTick(before+i, x, slices.Contains(ticked, x.ID))), web.NoteCell(firstFree(x.Free)),
			web.Cell(freeText(x.Free)), web.Cell(waitText(ctx, x.Wait)), web.Cell(m.away(ctx, x))}}
		if m != nil {
			row.Cells = append(row.Cells, web.NoteCell(m.numberOf(x)))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// servicesCSV is all that was found. Of those beyond the first fifty it is known only whether there is a free time.
func servicesCSV(w http.ResponseWriter, r *http.Request, found []FoundService) error {
	ctx := r.Context()
	var header []string
	for _, key := range []string{"service", "provider", "next", "wait", "distance"} {
		header = append(header, web.Text(ctx, "referral.column."+key))
	}
	return web.CSV(w, "services", header, func(yield func([]string, error) bool) {
		for _, x := range found {
			if !yield([]string{x.Name, x.ProviderName, firstFree(x.Free), waitText(ctx, x.Wait), kmText(ctx, x.Km)}, nil) {
				return
			}
		}
	})
}

// freeText is how many free slots there are.
func freeText(x Free) string {
	if x.Slots >= MostCounted {
		return strconv.Itoa(MostCounted) + "+"
	}
	return strconv.FormatInt(x.Slots, 10)
}

func firstFree(x Free) string {
	if x.Slots == 0 {
		return ""
	}
	return format.DateTime(x.First)
}

func waitText(ctx context.Context, days int) string {
	if days < 0 {
		return web.Text(ctx, "referral.not-known")
	}
	return web.Count(ctx, "referral.days", days)
}

func kmText(ctx context.Context, km float64) string {
	if km < 0 {
		return web.Text(ctx, "referral.not-known")
	}
	if km < 0.5 {
		return web.Text(ctx, "referral.km-near")
	}
	return web.Text(ctx, "referral.km", strconv.FormatFloat(km, 'f', 0, 64))
}
