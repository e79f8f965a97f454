package office

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/format"
)

func (o *office) pages() []catalogue.Route {
	return []catalogue.Route{
		o.staff("GET /duplicates", o.showPairs),
		o.staff("POST /duplicates", o.compareNow),
		o.staff("GET /duplicates/matching", o.showMatching),
		o.staff("GET /duplicates/{a}/{b}", o.showPair),
		o.staff("POST /duplicates/{a}/{b}", o.decidePair),
		o.staff("GET /duplicates/{a}/{b}/merge", o.askMerge),
		o.staff("POST /duplicates/{a}/{b}/merge", o.doMerge),
		o.staff("GET /duplicates/{a}/{b}/part", o.askPart),
		o.staff("POST /duplicates/{a}/{b}/part", o.doPart),
		o.staff("GET /confusions", o.showConfusions),
		o.staff("GET /confusions/{person}/{version}", o.showConfusion),
		o.staff("POST /confusions/{person}/{version}", o.settleConfusion),
	}
}

// pageSize is how many rows a page of a worklist has, and csvMost how many its export has at most.
const (
	pageSize = 25
	csvMost  = 5000
)

// offset reads a page's cursor: how many rows come before it.
func offset(cursor string) (int, error) {
	if cursor == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(cursor)
	if err != nil || n < 0 || n > 1_000_000 {
		return 0, fault.New(fault.Invalid, "That is no page of this list.")
	}
	return n, nil
}

// turnPages sets a table's cursors.
func turnPages(t *web.Table, after, shown, total int) {
	if after+shown < total {
		t.NextCursor = strconv.Itoa(after + shown)
	}
	if after > 0 {
		t.PreviousCursor = strconv.Itoa(max(0, after-pageSize))
	}
}

// cursor is the page asked for: forward or back, a page begins at its offset.
func cursor(s web.TableState) string {
	if b := s.Before(); b != "" {
		return b
	}
	return s.After()
}

// grants asks to do an action to each of some people; a person who is not there is NotHere.
func (o *office) grants(ask catalogue.Asker, a access.Action, people ...string) ([]access.Grant, error) {
	var acts []access.Act
	for _, id := range people {
		place, err := ask.Locate("Patient", id)
		if err != nil {
			return nil, err
		}
		acts = append(acts, access.Act{Action: a, Place: place})
	}
	return ask.Grants(acts...)
}

// people reads people, each with a grant of its own.
func (o *office) people(ctx context.Context, ask catalogue.Asker, ids ...string) ([]record.Version, error) {
	grants, err := o.grants(ask, access.Read, ids...)
	if err != nil {
		return nil, err
	}
	var list []record.Version
	for i, id := range ids {
		v, err := o.k.Records.Read(ctx, grants[i], record.Ref{Tenant: o.k.National, Type: "Patient", ID: id})
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}

// number is how a page writes somebody's number: its spaces are none at which a line may end.
func number(id string) string {
	if n, err := ident.ParseNHSNumber(id); err == nil {
		return strings.ReplaceAll(n.Display(), " ", "\u00a0")
	}
	return id
}

// nameOf is a person as lists name them.
func nameOf(v record.Version) string {
	n := v.Resource.Get("name")
	name := n.Index(0)
	for one := range n.Items() {
		if u := one.Field("use").String(); u == "usual" || u == "official" {
			name = one
			break
		}
	}
	var given, title []string
	for g := range name.Field("given").Items() {
		given = append(given, g.String())
	}
	for p := range name.Field("prefix").Items() {
		title = append(title, p.String())
	}
	return format.Name(name.Field("family").String(), strings.Join(given, " "), strings.Join(title, " "))
}

// The reason for a decision, in characters.
const (
	reasonMin = 5
	reasonMax = 500
)

// reasonIn reads the reason of a form; what is wrong with it joins errors.
func reasonIn(r *http.Request, errors *web.FieldErrors) string {
	reason := strings.TrimSpace(r.PostForm.Get("reason"))
	if n := utf8.RuneCountInString(reason); n < reasonMin || n > reasonMax {
		errors.Add("reason", web.Text(r.Context(), "office.reason.wrong", reasonMin, reasonMax))
	}
	return reason
}

func pairURL(a, b string) string { return "/duplicates/" + a + "/" + b }
