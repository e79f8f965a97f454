package directory

import (
	"cmp"
	"context"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir/search"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/web"
)

// ServiceQuery is what a referrer looks for among services. Every part that is given must hold.
type ServiceQuery struct {
	Text      string   // the beginnings of words of its name or specialty
	Specialty string   // its code, of SNOMED CT
	Near      string   // an outward code, from which distances are counted
	Sex       string   // female or male: services that take only the other are left out
	Age       int      // in years: services that do not take it are left out; -1 for not said
	Closed    bool     // those that have closed too
	Advice    bool     // those that give advice only
	Take      Flows    // those that take one of these kinds of request; 0 for all
	IDs       []string // these only; nil for all
}

// FoundService is one service of a search.
type FoundService struct {
	ID, Name, Specialty, Kind, Sex string
	SpecialtyCode                  string // of SNOMED CT
	Provider, ProviderName         string
	Outward                        string // of the provider's postcode; empty where it has none
	Wait, Youngest, Oldest         int
	Km                             float64 // from ServiceQuery.Near; -1 where it is not known
	Active                         bool
	Flows                          Flows
}

// mostServices bounds what a search for services looks at; a country of 26,000 organisations has some 15,000 clinics that can be referred to.
const mostServices = 50_000

// Services finds healthcare services, the nearest first where it is known from where, then those with the shortest wait, then by name.
// Error: fault.Unavailable while the directory's tables are being written anew.
func (d *Directory) Services(ctx context.Context, q ServiceQuery) (list []FoundService, err error) {
	if err := d.k.Records.Whole("directory"); err != nil {
		return nil, err
	}
	var c where
	if !q.Closed {
		c.and(`s.active = 1`)
	}
	if q.Specialty != "" {
		c.and(`s.specialty = ?`, q.Specialty)
	}
	if q.Sex != "" {
		c.and(`s.sex IN ('', ?)`, q.Sex)
	}
	if q.Age >= 0 {
		c.and(`(s.youngest < 0 OR s.youngest <= ?) AND (s.oldest < 0 OR s.oldest >= ?)`, q.Age, q.Age)
	}
	if q.Advice {
		c.and(`s.advice = 1`)
	}
	if q.IDs != nil {
		ids := make([]any, len(q.IDs))
		for i, id := range q.IDs {
			ids[i] = id
		}
		c.and(`s.id IN (NULL`+strings.Repeat(", ?", len(ids))+`)`, ids...)
	}
	words := wordsOf(q.Text)
	err = d.k.DB.Read(ctx, func(tx *store.Tx) error {
		list = nil
		var fine map[string]point
		if q.Near != "" {
			var err error
			if fine, err = outwardsIn(tx); err != nil {
				return err
			}
		}
		away := awayFrom(fine, q.Near)
		rows, err := tx.Query(`SELECT s.id, s.name, s.field, s.kind, s.sex, s.organisation, coalesce(o.name, s.organisation), coalesce(o.outward, ''), s.wait, s.youngest, s.oldest, s.active, s.specialty, s.flows
			FROM directory_service s LEFT JOIN directory_organisation o ON o.code = s.organisation WHERE `+c.sql()+` ORDER BY s.folded, s.id LIMIT ?`, append(c.args, mostServices)...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			f := FoundService{Km: -1}
			var active int64
			if err := rows.Scan(&f.ID, &f.Name, &f.Specialty, &f.Kind, &f.Sex, &f.Provider, &f.ProviderName, &f.Outward, &f.Wait, &f.Youngest, &f.Oldest, &active, &f.SpecialtyCode, &f.Flows); err != nil {
				return err
			}
			f.Active = active == 1
			if q.Take != 0 && !f.Flows.Take(q.Take) {
				continue
			}
			if len(words) > 0 && !beginsEach(wordsOf(f.Name+" "+f.Specialty), words) {
				continue
			}
			if q.Near != "" {
				f.Km = away(f.Outward)
			}
			list = append(list, f)
		}
		return fault.Wrap(rows.Err(), fault.KindOf(rows.Err()), "reading the directory")
	})
	far := func(v float64) float64 {
		if v < 0 {
			return math.Inf(1)
		}
		return v
	}
	slices.SortStableFunc(list, func(a, b FoundService) int { // they came in the order of their names
		return cmp.Or(cmp.Compare(far(a.Km), far(b.Km)), cmp.Compare(far(float64(a.Wait)), far(float64(b.Wait))))
	})
	return list, err
}

// beginsEach reports whether each typed word begins one of the words.
func beginsEach(words, typed []string) bool {
	for _, t := range typed {
		if !slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(w, t) }) {
			return false
		}
	}
	return true
}

// servicesView is what the page for finding services shows.
type servicesView struct {
	Table       web.Table
	Sexes       []web.Option
	Errors      web.FieldErrors
	UnknownNear string
}

// askedServices is what the page's form asks for; what cannot be so is said in the view.
func (d *Directory) askedServices(ctx context.Context, state web.TableState) (v servicesView, q ServiceQuery, err error) {
	q = ServiceQuery{Text: state.Filter("q"), Sex: state.Filter("sex"), Age: -1}
	if text := state.Filter("age"); text != "" {
		if q.Age, err = strconv.Atoi(text); err != nil || q.Age < 0 || q.Age > 150 {
			q.Age = -1
			v.Errors.Add("age", web.Text(ctx, "directory.keep.wrong.number"))
		}
	}
	near, known, err := d.near(ctx, state.Filter("near"))
	if known {
		q.Near = near
	} else {
		v.UnknownNear = state.Filter("near")
	}
	return v, q, err
}

// servicesPage finds services as somebody types.
func (d *Directory) servicesPage(w http.ResponseWriter, r *http.Request, _ access.Principal) error {
	ctx := r.Context()
	state, err := web.ReadTableState(r, "likely", "name", "specialty", "wait", "provider")
	if err != nil {
		return err
	}
	v, q, err := d.askedServices(ctx, state)
	if err != nil {
		return err
	}
	list, err := d.Services(ctx, q)
	if err != nil {
		return err
	}
	sortServices(list, state)
	if r.URL.Query().Get("format") == "csv" {
		return servicesCSV(w, r, list)
	}
	at, err := offsetOf(state)
	if err != nil {
		return err
	}
	v.Sexes = []web.Option{{Value: "", Text: web.Text(ctx, "directory.services.any")}, {Value: "female", Text: web.Text(ctx, "directory.sex.female")}, {Value: "male", Text: web.Text(ctx, "directory.sex.male")}}
	v.Table = web.Table{ID: "services", State: state, RowHeader: true, Caption: web.Text(ctx, "directory.services.caption"), Count: web.Count(ctx, "directory.services.count", len(list)),
		CSVURL: state.With("format", "csv"), Empty: web.Empty{Text: web.Text(ctx, "directory.services.none"), Help: web.Text(ctx, "directory.services.none-help")}}
	columns := []string{"name", "specialty", "provider", "wait", "eligibility"}
	if q.Near != "" {
		columns = append(columns, "distance")
	}
	for i, name := range columnNames(ctx, columns...) {
		c := web.Column{Text: name}
		if i < 4 {
			c.Sort = columns[i]
		}
		v.Table.Columns = append(v.Table.Columns, c)
	}
	for _, f := range list[min(at, len(list)):min(at+findPage, len(list))] {
		cells := []web.TableCell{web.LinkCell(f.Name, serviceURL(f.ID)), web.ShowCell(web.Lines(f.Specialty, f.Kind)), web.LinkCell(f.ProviderName, orgURL(f.Provider)), web.Cell(waitText(ctx, f.Wait)),
			web.NoteCell(strings.Join(f.eligible(ctx), "; "))}
		if q.Near != "" {
			cells = append(cells, web.Cell(kmText(ctx, f.Km)))
		}
		v.Table.Rows = append(v.Table.Rows, web.TableRow{Cells: cells})
	}
	turn(&v.Table, at, len(list), findPage)
	return web.RenderPart(w, r, "services", web.DataTable(v.Table), servicesPageView(v))
}

// sortServices orders a list as its state says; as it is where the likeliest come first.
func sortServices(list []FoundService, state web.TableState) {
	by, down := state.Sort()
	key := map[string]func(f FoundService) string{"name": func(f FoundService) string { return search.Fold(f.Name) }, "specialty": func(f FoundService) string { return search.Fold(f.Specialty) },
		"provider": func(f FoundService) string { return search.Fold(f.ProviderName) }}[by]
	if key == nil && by != "wait" {
		return
	}
	slices.SortStableFunc(list, func(a, b FoundService) int {
		if down {
			a, b = b, a
		}
		if by == "wait" {
			return cmp.Compare(a.Wait, b.Wait)
		}
		return cmp.Compare(key(a), key(b))
	})
}

// eligible says whom a service takes, in words.
func (f FoundService) eligible(ctx context.Context) []string {
	return HealthcareService{Sex: f.Sex, Youngest: f.Youngest, Oldest: f.Oldest}.eligible(ctx)
}

func servicesCSV(w http.ResponseWriter, r *http.Request, list []FoundService) error {
	ctx := r.Context()
	return web.CSV(w, "services", columnNames(ctx, "name", "specialty", "kind", "code", "provider", "wait", "eligibility", "distance"), func(yield func([]string, error) bool) {
		for _, f := range list {
			if !yield([]string{f.Name, f.Specialty, f.Kind, f.Provider, f.ProviderName, waitText(ctx, f.Wait), strings.Join(f.eligible(ctx), "; "), kmText(ctx, f.Km)}, nil) {
				return
			}
		}
	})
}

// kmText is a distance in words; empty where it is not known.
func kmText(ctx context.Context, km float64) string {
	if km < 0 {
		return ""
	}
	return web.Text(ctx, "directory.services.km", strconv.FormatFloat(km, 'f', 0, 64))
}

// Refers reports whether an organisation is of a kind that sends patients to others, by its roles in the register: a GP or dental practice, an NHS trust or care trust.
func (d *Directory) Refers(ctx context.Context, organisation ident.ODSCode) (yes bool, err error) {
	if err := d.k.Records.Whole("directory"); err != nil {
		return false, err
	}
	err = d.k.DB.Read(ctx, func(tx *store.Tx) error {
		found, err := texts(tx, `SELECT role FROM directory_role WHERE code = ? AND active = 1 AND role IN ('RO76', 'RO110', 'RO107', 'RO197') LIMIT 1`, 1, organisation.String())
		yes = len(found) > 0
		return err
	})
	return yes, err
}

// Provides reports whether an organisation offers a service that is open, to which patients can be referred.
func (d *Directory) Provides(ctx context.Context, organisation ident.ODSCode) (yes bool, err error) {
	if err := d.k.Records.Whole("directory"); err != nil {
		return false, err
	}
	err = d.k.DB.Read(ctx, func(tx *store.Tx) error {
		found, err := texts(tx, `SELECT id FROM directory_service WHERE organisation = ? AND active = 1 LIMIT 1`, 1, organisation.String())
		yes = len(found) > 0
		return err
	})
	return yes, err
}
