package hospital

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
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/format"
)

func (o *Outpatients) pages() []catalogue.Route {
	return []catalogue.Route{
		o.staffed("GET /clinics", (*desk).home),
		o.staffed("GET /clinics/changes", (*desk).follow).Streamed(),
		o.staffed("GET /clinics/diary", (*desk).diary),
		o.staffed("GET /clinics/review", (*desk).reviewList),
		o.staffed("GET /clinics/triage", (*desk).triageList),
		o.staffed("GET /clinics/rebook", (*desk).rebookList),
		o.staffed("GET /clinics/waiting", (*desk).waitingList),
		o.staffed("GET /clinics/desk", (*desk).checkIn),
		o.staffed("POST /clinics/desk", (*desk).arrive),
		o.staffed("GET /clinics/sessions/{session}", (*desk).session),
		o.staffed("GET /clinics/sessions/{session}/do/{act}", (*desk).askSession),
		o.staffed("POST /clinics/sessions/{session}/do/{act}", (*desk).doSession),
		o.staffed("GET /clinics/cases/{ubrn}", (*desk).showCase),
		o.staffed("GET /clinics/cases/{ubrn}/files/{file}", (*desk).file).Streamed(),
		o.staffed("GET /clinics/cases/{ubrn}/decide/{act}", (*desk).askDecide),
		o.staffed("POST /clinics/cases/{ubrn}/decide/{act}", (*desk).doDecide),
		o.staffed("GET /clinics/cases/{ubrn}/book", (*desk).askBook),
		o.staffed("POST /clinics/cases/{ubrn}/book", (*desk).doBook),
		o.staffed("GET /clinics/cases/{ubrn}/override", (*desk).askOverride),
		o.staffed("POST /clinics/cases/{ubrn}/override", (*desk).doOverride),
		o.staffed("GET /clinics/cases/{ubrn}/come", (*desk).askCome),
		o.staffed("POST /clinics/cases/{ubrn}/come", (*desk).doCome),
		o.staffed("GET /clinics/cases/{ubrn}/letter", (*desk).letter),
		o.staffed("GET /clinics/cases/{ubrn}/letter.pdf", (*desk).paper),
		o.staffed("POST /clinics/cases/{ubrn}/informed", (*desk).inform),
		o.staffed("GET /clinics/advice", (*desk).adviceList),
		o.staffed("GET /clinics/advice/{ubrn}", (*desk).showAdvice),
		o.staffed("GET /clinics/advice/{ubrn}/files/{file}", (*desk).adviceFile).Streamed(),
		o.staffed("GET /clinics/advice/{ubrn}/do/{act}", (*desk).askAdvise),
		o.staffed("POST /clinics/advice/{ubrn}/do/{act}", (*desk).doAdvise).Uploaded(mostForm),
		o.open("GET /clinics/figures", (*desk).figures, counting()...),
		o.staffed("GET /clinics/templates", (*desk).templates),
		o.staffed("GET /clinics/templates/{id}", (*desk).askTemplate),
		o.staffed("POST /clinics/templates/{id}", (*desk).putTemplate),
		o.staffed("GET /clinics/setup/{kind}/{id}", (*desk).askSetup),
		o.staffed("POST /clinics/setup/{kind}/{id}", (*desk).putSetup),
		o.open("GET /clinics/reconciliation", (*desk).reconciliation, counting()...),
		o.staffed("POST /clinics/reconciliation", (*desk).reconcile),
	}
}

// desk is one request of somebody who works at a hospital.
type desk struct {
	*Outpatients
	w        http.ResponseWriter
	r        *http.Request
	ctx      context.Context
	ask      catalogue.Asker
	hospital ident.ODSCode
	now      time.Time
}

// staffed lets in the clerks and clinicians of the hospital.
func (o *Outpatients) staffed(pattern string, h func(*desk) error) catalogue.Route {
	return o.open(pattern, h, staff()...)
}

// open lets in those of the hospital whose clinics they are; the refusal of anybody else is on the account. A page without a hospital in its address is that of the
// reader's own.
func (o *Outpatients) open(pattern string, h func(*desk) error, roles ...access.Role) catalogue.Route {
	return catalogue.OnBody(pattern, func(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
		tenant, own := catalogue.TenantOf(r), ask.Principal.Organisation
		if !strings.HasPrefix(r.RequestURI, "/o/") && o.keeps(own) && r.Method == http.MethodGet {
			return web.SeeOther(w, r, "/o/"+own.String()+r.URL.RequestURI())
		}
		if !o.keeps(tenant) {
			return fault.New(fault.NotFound, "This node keeps no clinics of %s.", tenant)
		}
		if own != tenant {
			why := fault.New(fault.Forbidden, "This is for those who work at %s.", o.nameOf(tenant))
			return o.k.Gate.Refuse(r.Context(), ask.Principal, access.Search, access.Place{Tenant: tenant, Type: pattern}, why)
		}
		return h(&desk{o, w, r, r.Context(), ask, tenant, o.k.Clock.Now()})
	}, roles...)
}

func (d *desk) text(key string, args ...any) string {
	return web.Text(d.ctx, "hospital."+key, args...)
}

// path is the address of a page of this hospital's clinics.
func (d *desk) path(parts ...string) string {
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	return "/o/" + d.hospital.String() + "/" + strings.Join(append([]string{"clinics"}, parts...), "/")
}

// chartPath is a patient's record.
func (d *desk) chartPath(chart string) string {
	return "/o/" + d.hospital.String() + "/patients/" + chart
}

// state is how the page's list is ordered and filtered, with the address that the reader's browser shows.
func (d *desk) state(sorts ...string) (web.TableState, error) {
	clone, address := *d.r, *d.r.URL
	address.Path = "/o/" + d.hospital.String() + d.r.URL.Path
	clone.URL = &address
	return web.ReadTableState(&clone, sorts...)
}

// done are the words for what was just done, when the address says that it was something.
func (d *desk) done() string {
	if key := "hospital.done." + d.r.URL.Query().Get("done"); web.HasText(key) {
		return web.Text(d.ctx, key)
	}
	return ""
}

// read reads rows, and which of the people they are about this reader may be shown: those are on the account before the page leaves.
func (d *desk) read(fn func(tx *store.Tx, see func(chart string) bool) error) error {
	if d.counts() {
		if err := d.seeFigures(); err != nil {
			return err
		}
		return d.k.DB.Read(d.ctx, func(tx *store.Tx) error { return fn(tx, func(string) bool { return false }) })
	}
	scope, err := d.ask.Scope(access.Search, "Appointment")
	if err != nil {
		return err
	}
	return d.k.DB.Read(d.ctx, func(tx *store.Tx) error {
		return fn(tx, func(chart string) bool {
			place := placeOf(d.hospital, chart, false)
			if chart == "" || scope.Permits(tx, place) != nil {
				return false
			}
			scope.Disclose(place)
			return true
		})
	})
}

// counts reports whether the reader is a manager: somebody who is shown numbers, and nothing of anybody.
func (d *desk) counts() bool { return d.ask.Principal.Role == access.Manager }

// seeFigures asks the rules for the hospital's figures; that they were shown is on the account.
func (d *desk) seeFigures() error {
	scope, err := d.ask.Scope(access.Search, access.TypeFigures)
	if err == nil {
		scope.Disclose(access.Place{Tenant: d.hospital, Type: access.TypeFigures})
	}
	return err
}

// nameOfCase is somebody as lists name them; who they are is kept from readers who may not see them.
func (d *desk) nameOfCase(c Case, seen bool) string {
	switch {
	case c.Chart == "":
		return d.text("registering")
	case !seen:
		return d.text("hidden")
	}
	return format.Name(c.Person.Family, c.Person.Given, c.Person.Prefix)
}

// personCell is a name that leads to the case.
func (d *desk) personCell(c Case, seen bool) web.TableCell {
	if name := d.nameOfCase(c, seen); seen && c.Chart != "" {
		return web.LinkCell(name, d.path("cases", c.UBRN.String()))
	} else {
		return web.Cell(name)
	}
}

// bornText is when somebody was born and how old they are.
func (d *desk) bornText(c Case) string {
	born := format.FHIR(c.Person.Born)
	if !born.Known() {
		return ""
	}
	if c.Person.Died != "" {
		return born.Date()
	}
	return born.Date() + " (" + format.Age(born, d.now) + ")"
}

// priority is how urgent a referral is, as a tag.
func (d *desk) priority(p string) web.TableCell {
	key, colour := strings.ToLower(strings.ReplaceAll(p, "_", "-")), web.Grey
	switch {
	case strings.Contains(key, "two-week") || strings.Contains(key, "2ww"):
		key, colour = "two-week-wait", web.Red
	case strings.HasPrefix(key, "urgent"):
		key, colour = "urgent", web.Orange
	default:
		key = "routine"
	}
	return web.ShowCell(web.Tag(d.text("priority."+key), colour))
}

// spoken is a state or an act in words.
func (d *desk) spoken(kind, word string) string {
	if key := "hospital." + kind + "." + strings.ToLower(strings.ReplaceAll(word, "_", "-")); web.HasText(key) {
		return web.Text(d.ctx, key)
	}
	return strings.ToLower(strings.NewReplacer("_", " ", "-", " ").Replace(word))
}

// columns of a table by their keys.
func (d *desk) columns(keys ...string) (list []web.Column) {
	for _, k := range keys {
		list = append(list, web.Column{Text: d.text("column." + k), Whole: k == "time" || k == "number" || k == "ubrn" || k == "since" || k == "when" || k == "for", Numeric: k == "weeks" || k == "count"})
	}
	return list
}

// similarNames marks rows whose names could be taken for one another's; who are their people's numbers.
func similarNames(t *web.Table, names, who []string) {
	for i, s := range web.SimilarPeople(names, who) {
		t.Rows[i].SimilarName = s
	}
}

// page leads back to the clinics' page, a manager to the figures.
func (d *desk) page(title string) web.Page {
	if d.counts() {
		return web.Page{Title: title, Back: web.Link{Text: d.text("figures.title"), URL: d.path("figures")}}
	}
	return web.Page{Title: title, Back: web.Link{Text: d.text("title"), URL: d.path()}}
}

// day is the day that the address names, or today: its midnight in the United Kingdom.
func (d *desk) day() time.Time {
	if t, err := time.Parse(time.DateOnly, d.r.URL.Query().Get("day")); err == nil {
		return format.Begins(t)
	}
	return format.Midnight(d.now)
}

// listView is a page of lists.
type listView struct {
	Page        web.Page
	Title, Lede string
	Done        string
	Warning     string
	WarningText string
	Links       []web.Link
	Forms       []web.Form // of one button each
	FormName    string
	FormValues  []string
	Tables      []web.Table
	Filter      *filter
	Live        live
	Complete    string // up to when what the page lists is complete
}

// filter narrows the first table.
type filter struct {
	State   web.TableState
	Fields  []web.Field
	Choices []web.Choice
}

func (f *filter) names() (all []string) {
	for _, x := range f.Fields {
		all = append(all, x.Name)
	}
	for _, x := range f.Choices {
		all = append(all, x.Name)
	}
	return append(all, "format")
}

func (d *desk) show(v listView) error {
	return web.RenderPart(d.w, d.r, liveID, listTables(v), listPage(v))
}

// liveID is the part of a page that is drawn again when something has changed.
const liveID = "live"

// alive makes a page follow what changes in the clinics. It is called before anything of the page is read.
func (d *desk) alive(p *web.Page) live {
	p.Live = true
	u := *d.r.URL
	q := u.Query()
	q.Del("done") // said once
	return live{Events: d.changes.From(d.path("changes"), d.hospital.String()), Fetch: "/o/" + d.hospital.String() + u.Path + map[bool]string{true: "?" + q.Encode()}[len(q) > 0]}
}

// live is where a page hears that something has changed, and fetches what has; empty for a page that stays as it is.
type live struct{ Events, Fetch string }

// follow tells a page whenever something in the hospital's clinics has changed.
func (d *desk) follow() error {
	return d.changes.Events(d.w, d.r, d.k.Clock, d.hospital.String())
}

// home is where a clinic's day begins: what waits, today's sessions, the clinics.
func (d *desk) home() error {
	today := format.Midnight(d.now)
	v := listView{Page: web.Page{Title: d.text("title")}, Title: d.text("title"), Lede: d.text("lede", d.nameOf(d.hospital)), Done: d.done()}
	v.Live = d.alive(&v.Page)
	var counts [8]int64
	var sessions []Session
	var clinics []Clinic
	var standing Standing
	err := d.k.DB.Read(d.ctx, func(tx *store.Tx) (err error) {
		lane, h := int64(d.lane(d.hospital)), d.hospital.String()
		for i, q := range []string{
			`SELECT count(*) FROM hospital_case c JOIN hospital_pathway p ON p.lane = c.lane AND p.tenant = c.tenant AND p.who = c.ubrn WHERE c.lane = ? AND c.tenant = ? AND c.gone = 0 AND p.closed = 0 AND p.review = 'waiting' AND c.state <> 'AWAITING_TRIAGE'`,
			`SELECT count(*) FROM hospital_case c JOIN hospital_pathway p ON p.lane = c.lane AND p.tenant = c.tenant AND p.who = c.ubrn WHERE c.lane = ? AND c.tenant = ? AND c.gone = 0 AND p.closed = 0 AND p.review = 'waiting' AND c.state = 'AWAITING_TRIAGE'`,
			`SELECT count(*) FROM hospital_pathway WHERE lane = ? AND tenant = ? AND closed = 0 AND rebook > 0`,
			`SELECT count(*) FROM hospital_pathway WHERE lane = ? AND tenant = ? AND closed = 0 AND stopped = 0`,
			`SELECT count(*) FROM hospital_advice WHERE lane = ? AND tenant = ? AND ended = 0 AND state = '` + stateAdviceAsked + `'`,
			`SELECT count(*) FROM hospital_act WHERE lane = ? AND tenant = ? AND state = 'refused'`,
			`SELECT count(*) FROM hospital_difference WHERE lane = ? AND tenant = ? AND (rounds > 1 OR why NOT IN ('given', 'coming'))`,
			`SELECT count(*) ` + refusalsStand,
		} {
			if err = tx.QueryRow(q, lane, h).Scan(&counts[i]); err != nil {
				return err
			}
		}
		if sessions, err = d.sessionsIn(tx, d.hospital, `starts >= ? AND starts < ?`, today.UnixMicro(), today.AddDate(0, 0, 1).UnixMicro()); err != nil {
			return err
		}
		if clinics, err = d.clinicsIn(tx, d.hospital); err != nil {
			return err
		}
		standing, err = d.standingIn(tx, d.hospital)
		return err
	})
	if err != nil {
		return err
	}
	if !standing.Sure {
		v.Warning, v.WarningText = d.text("unsure"), d.text("unsure-help")
	}
	work := web.Table{ID: "work", RowHeader: true, Counts: true, Caption: d.text("work"), Columns: d.columns("list", "count")}
	for i, name := range []string{"review", "triage", "rebook", "waiting", "advice", "reconciliation", "reconciliation", "reconciliation"} {
		key := []string{"review", "triage", "rebook", "waiting", "advice", "refused", "differences", "refused-slots"}[i]
		work.Rows = append(work.Rows, web.TableRow{Cells: []web.TableCell{web.LinkCell(d.text(key+".title"), d.path(name)), web.Cell(web.Count(d.ctx, "hospital.count", int(counts[i])))}})
	}
	v.Links = []web.Link{{Text: d.text("desk.title"), URL: d.path("desk")}, {Text: d.text("diary.week"), URL: d.path("diary")}, {Text: d.text("figures.title"), URL: d.path("figures")}, {Text: d.text("templates.title"), URL: d.path("templates")}}
	v.Tables = []web.Table{work, d.sessionTable("today", d.text("today", format.Date(d.now)), sessions, clinics)}
	return d.show(v)
}

// sessionTable lists sessions.
func (d *desk) sessionTable(id, caption string, sessions []Session, clinics []Clinic) web.Table {
	t := web.Table{ID: id, RowHeader: true, Caption: caption, Columns: d.columns("clinic", "time", "place", "state"), Empty: web.Empty{Text: d.text("no-session"), Help: d.text("no-session-help"), Link: web.Link{Text: d.text("templates.title"), URL: d.path("templates")}}}
	for _, s := range sessions {
		c := clinicNamed(clinics, s.Clinic)
		t.Rows = append(t.Rows, web.TableRow{Cells: []web.TableCell{web.LinkCell(c.Name, d.path("sessions", s.ID)), web.Cell(format.Time(s.Starts) + "–" + format.Time(s.Ends)), web.NoteCell(c.Place), web.ShowCell(d.sessionTag(s))}})
	}
	return t
}

func clinicNamed(list []Clinic, id string) Clinic {
	i := slices.IndexFunc(list, func(c Clinic) bool { return c.ID == id })
	if i < 0 {
		return Clinic{ID: id, Name: id}
	}
	return list[i]
}

func formatInt(n int64) string { return strconv.FormatInt(n, 10) }

// parseInt is a number that a form of ours holds; what is none is 0, which nothing has.
func parseInt(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0
	}
	return n
}
