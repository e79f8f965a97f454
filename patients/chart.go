package patients

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/account"
	"github.com/openspine/openspine/web/format"
)

// section is one part of a chart, and the types that are shown in it.
type section struct {
	Key   string
	Types []string
}

// sections are the parts of a chart in the order in which they are shown.
func sections() []section {
	return []section{
		{"allergies", []string{"AllergyIntolerance"}},
		{"problems", []string{"Condition"}},
		{"medicines", []string{"MedicationRequest", "MedicationStatement", "MedicationDispense", "MedicationAdministration"}},
		{"results", []string{"Observation", "DiagnosticReport"}},
		{"immunisations", []string{"Immunization"}},
		{"encounters", []string{"Encounter"}},
		{"appointments", []string{"Appointment"}},
		{"procedures", []string{"Procedure"}},
		{"documents", []string{"DocumentReference", "Composition"}},
		{"plans", []string{"ServiceRequest", "CarePlan", "Goal", "FamilyMemberHistory", "QuestionnaireResponse"}},
	}
}

func sectionOf(typ string) string {
	for _, s := range sections() {
		if slices.Contains(s.Types, typ) {
			return s.Key
		}
	}
	return "plans"
}

// A chart is read in searches of chartLimit entries, chartPages at most; a page that could not read it all says so.
const (
	chartLimit = 1000
	chartPages = 20
)

// chart is what a reader may see of a person's record.
type chart struct {
	person    person
	viewer    access.Principal
	place     access.Place
	entries   []entry         // newest first
	may       map[string]bool // section → this reader may see it
	related   bool            // the reader has a reason beyond being able to find the person
	basis     string          // the rule and the relationship by which they see it
	more      bool            // there is more than could be read
	sealed    int64           // entries that the person sealed and this reader does not see
	elsewhere []web.Link
	mayChange bool
	other     bool // it is the reader's own, under another number than the one they sign in with
}

// open finds a person's record and asks for what this reader may see of it. With everything, what the chart holds is read too, and else the allergies alone.
// Errors: access.NotHere where the person is not there, or is none of whom the reader may know.
func (f *face) open(r *http.Request, ask catalogue.Asker, everything bool) (*chart, error) {
	place, err := ask.Locate("Patient", r.PathValue("person"))
	if err != nil {
		return nil, err
	}
	grants, err := ask.Grants(access.Act{Action: access.Read, Place: place})
	if err != nil {
		return nil, err
	}
	if !place.Exists {
		return nil, access.NotHere()
	}
	return f.read(r.Context(), ask.Principal, grants[0], func(acts ...access.Act) error {
		_, err := ask.Grants(acts...)
		return err
	}, everything)
}

// read reads a chart with a grant for its Patient; show asks for what is shown of it, and accounts for it.
func (f *face) read(ctx context.Context, p access.Principal, g access.Grant, show func(...access.Act) error, everything bool) (*chart, error) {
	v, err := f.k.Records.Read(ctx, g, record.Ref{Tenant: g.Tenant(), Type: "Patient", ID: g.Place().ID})
	if err != nil {
		return nil, err
	}
	place := g.Place()
	c := &chart{person: f.personOf(ctx, f.tenant(g.Tenant()), v, place), viewer: p, place: place, may: map[string]bool{}, basis: g.Basis()}
	scope, err := f.k.Gate.DecideSet(ctx, p, access.Read, place.Tenant, nil)
	if err != nil {
		return nil, err
	}
	err = f.k.DB.Read(ctx, func(tx *store.Tx) error {
		c.entries = nil
		for _, s := range sections() {
			c.may[s.Key] = scope.Permits(tx, access.Place{Tenant: place.Tenant, Chart: place.Chart, Type: s.Types[0], Exists: true}) == nil
			c.related = c.related || c.may[s.Key]
		}
		if !c.related {
			return nil
		}
		return f.readEntries(tx, scope, c, everything)
	})
	if err != nil {
		return nil, err
	}
	if err := f.account(ctx, c, show); err != nil {
		return nil, err
	}
	if err := f.countSealed(ctx, scope, c, show); err != nil {
		return nil, err
	}
	if err := f.names(ctx, scope, c); err != nil {
		return nil, err
	}
	f.findElsewhere(ctx, c)
	return c, nil
}

// readEntries reads what a chart holds, or only the allergies, which stand on every page about the person.
func (f *face) readEntries(tx *store.Tx, scope access.Scope, c *chart, everything bool) error {
	var types []string
	for _, s := range sections() {
		if c.may[s.Key] && (everything || s.Key == "allergies") {
			types = append(types, s.Types...)
		}
	}
	if len(types) == 0 {
		return nil
	}
	params := url.Values{"_type": {strings.Join(types, ",")}, "_count": {strconv.Itoa(chartLimit)}, "_total": {"none"}}
	query, _, err := f.k.Records.ParseQuery("", params, false)
	if err != nil {
		return err
	}
	id, err := ident.ParseFHIRID(c.place.ID)
	if err != nil {
		return err
	}
	if query, err = f.k.Records.InCompartment(query, "Patient", id); err != nil {
		return err
	}
	list, more, err := f.whole(tx, scope, query)
	if err != nil {
		return err
	}
	c.more = more
	for _, v := range list {
		if v.Chart == c.place.Chart {
			e := entryOf(v)
			if c.viewer.Role == access.Clerk && v.Type == "Encounter" {
				e.Title = concept(v.Resource.Get("type").Index(0)) // when they came, not what ailed them
			}
			c.entries = append(c.entries, e)
		}
	}
	slices.SortStableFunc(c.entries, func(a, b entry) int { return strings.Compare(b.sort, a.sort) })
	return nil
}

// whole is everything that a query finds, up to chartPages pages, and whether there is more.
func (f *face) whole(tx *store.Tx, scope access.Scope, query record.Query) (list []record.Version, more bool, err error) {
	for range chartPages {
		page, err := f.k.Records.SearchTx(tx, scope, query)
		if err != nil {
			return nil, false, err
		}
		list = append(list, page.Matches...)
		if query.Cursor = page.Next; page.Next == "" {
			return list, false, nil
		}
	}
	return list, true, nil
}

// account asks for each type that is shown, so that the account says what was seen and by which relationship.
func (f *face) account(ctx context.Context, c *chart, show func(...access.Act) error) error {
	var acts []access.Act
	seen := map[string]bool{}
	for _, e := range c.entries {
		if !seen[e.Type] {
			seen[e.Type] = true
			acts = append(acts, access.Act{Action: access.Read, Place: access.Place{Tenant: c.place.Tenant, Chart: c.place.Chart, Type: e.Type, Exists: true, Label: c.place.Label}})
		}
	}
	if c.related {
		for _, s := range sections() {
			if !c.may[s.Key] {
				continue
			}
			g, err := f.k.Gate.Decide(ctx, c.viewer, access.Read, access.Place{Tenant: c.place.Tenant, Chart: c.place.Chart, Type: s.Types[0], Exists: true})
			if err != nil {
				return err
			}
			c.basis = g.Basis()
			break
		}
	}
	role := c.viewer.Role
	c.mayChange = role == access.Clerk && (c.related || c.place.Tenant == c.viewer.Organisation) || role == access.Clinician && c.related
	if len(acts) == 0 {
		return nil
	}
	return show(acts...)
}

// countSealed finds how many entries of a chart are sealed, for a reader who does not see them and whom the rules let know of them.
func (f *face) countSealed(ctx context.Context, scope access.Scope, c *chart, show func(...access.Act) error) error {
	if !c.related || c.viewer.Role != access.Clinician {
		return nil
	}
	place := access.Place{Tenant: c.place.Tenant, Chart: c.place.Chart, Type: "Condition", Exists: true, Label: access.Sealed}
	seesAll := false
	err := f.k.DB.Read(ctx, func(tx *store.Tx) error {
		seesAll = scope.Permits(tx, place) == nil
		return nil
	})
	if err != nil || seesAll {
		return err
	}
	place.Type, place.Label = access.TypeSealed, 0
	allowed, err := f.k.Gate.Would(ctx, c.viewer, access.Read, place)
	if err != nil || !allowed {
		return err
	}
	g, err := f.k.Gate.Decide(ctx, c.viewer, access.Read, place)
	if err != nil {
		return err
	}
	if c.sealed, err = f.k.Records.Sealed(ctx, g); err != nil || c.sealed == 0 {
		return err
	}
	return show(access.Act{Action: access.Read, Place: place})
}

// names finds who is meant where an entry only refers to them.
func (f *face) names(ctx context.Context, scope access.Scope, c *chart) error {
	var ids []string
	for i, e := range c.entries {
		if id, ok := strings.CutPrefix(e.byRef, "Organization/"); ok && e.By == "" {
			if code, err := ident.ParseODSCode(id); err == nil {
				c.entries[i].By = f.k.Organisation(ctx, code)
			}
		}
		if id, ok := strings.CutPrefix(e.byRef, "Practitioner/"); ok && e.By == "" && !slices.Contains(ids, id) && len(ids) < 50 {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	query, _, err := f.k.Records.ParseQuery("Practitioner", url.Values{"_id": {strings.Join(ids, ",")}, "_count": {"50"}}, false)
	if err != nil {
		return err
	}
	names := map[string]string{}
	err = f.k.DB.Read(ctx, func(tx *store.Tx) error {
		page, err := f.k.Records.SearchTx(tx, scope, query)
		for _, v := range page.Matches {
			n := current(v.Resource.Get("name"), "official", "usual")
			names["Practitioner/"+v.ID] = strings.TrimSpace(words(n.Field("prefix")) + " " + words(n.Field("given")) + " " + n.Field("family").String())
		}
		return err
	})
	for i := range c.entries {
		if c.entries[i].By == "" {
			c.entries[i].By = names[c.entries[i].byRef]
		}
	}
	return err
}

// findElsewhere finds the same person's records at other organisations in which this reader may look. It shows nothing of
// them but that they are there; a search that fails leaves them out.
func (f *face) findElsewhere(ctx context.Context, c *chart) {
	number := c.person.number()
	if number == "" {
		return
	}
	for _, t := range f.within(c.viewer) {
		if t.Code == c.place.Tenant {
			continue
		}
		scope, err := f.k.Gate.DecideSet(ctx, c.viewer, access.Search, t.Code, nil)
		if err != nil || !scope.Allows("Patient") {
			continue
		}
		v, err := f.byNumber(ctx, scope, number)
		if err == nil {
			c.elsewhere = append(c.elsewhere, link(web.Text(ctx, "patients.record.elsewhere", t.Name), chartURL(t.Code, v.ID)))
		}
	}
}

// byNumber is the person with an NHS number in a scope's tenant, accounting nothing. Errors: access.NotHere.
func (f *face) byNumber(ctx context.Context, scope access.Scope, number string) (record.Version, error) {
	query, _, err := f.k.Records.ParseQuery("Patient", url.Values{"identifier": {ident.SystemNHSNumber + "|" + number}, "_count": {"1"}}, false)
	if err != nil {
		return record.Version{}, err
	}
	var v record.Version
	err = f.k.DB.Read(ctx, func(tx *store.Tx) error {
		page, err := f.k.Records.SearchTx(tx, scope, query)
		if err == nil && len(page.Matches) == 0 {
			return access.NotHere()
		}
		if err == nil {
			v = page.Matches[0]
		}
		return err
	})
	return v, err
}

// of are the entries of a section, newest first.
func (c *chart) of(key string) []entry {
	var list []entry
	for _, e := range c.entries {
		if e.Section == key {
			list = append(list, e)
		}
	}
	return list
}

// banner is the person with what the chart knows of allergies.
func (c *chart) banner(here bool) *web.PersonBanner {
	b := c.person.banner()
	if !here {
		b.URL = c.person.url()
	}
	b.Allergies.Hidden = !c.may["allergies"]
	for _, e := range c.of("allergies") {
		switch {
		case e.Wrong || e.Over:
		case e.noneKnown:
			b.Allergies.NoneKnownOn, b.Allergies.NoneKnownBy = e.When, e.By
		default:
			b.Allergies.Known = append(b.Allergies.Known, e.Title)
		}
	}
	if len(b.Allergies.Known) > 0 {
		b.Allergies.NoneKnownOn = format.Partial{}
	}
	return &b
}

// page is what every page about the person tells its shell.
func (c *chart) page(ctx context.Context, title string, here bool) web.Page {
	p := web.Page{Title: title, Person: c.banner(here), Access: web.Access{Why: account.Why(ctx, c.basis, c.person.tenant.Name)}}
	if c.related && c.viewer.Role != access.Clerk && c.viewer.Role != access.Pharmacist {
		p.Access.SeenURL = c.person.url() + "/seen"
	}
	if !here {
		p.Back = link(web.Text(ctx, "patients.record.back"), c.person.url())
	}
	return p
}

// needRelation refuses whoever can only find the person, in the words for what is not there.
func (c *chart) needRelation() error {
	if !c.related {
		return access.NotHere()
	}
	return nil
}
