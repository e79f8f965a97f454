package hospital

import (
	"cmp"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/a-h/templ"

	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/format"
)

// listMost is how many lines a list of what differs, or was refused, shows.
const listMost = 200

// caseList is a worklist of referrals.
type caseList struct {
	key     string // of its texts
	cond    string // on c, the case, and p, the pathway; with the order
	columns []string
	cells   func(c Case) []web.TableCell
	args    []any
}

func (d *desk) caseList(l caseList) error {
	state, err := d.state("hurry", "patient", "service", "priority")
	if err != nil {
		return err
	}
	v := listView{Title: d.text(l.key + ".title"), Lede: d.text(l.key + ".lede"), Done: d.done()}
	v.Page = d.page(v.Title)
	v.Live = d.alive(&v.Page)
	q := strings.ToLower(state.Filter("q"))
	v.Filter = &filter{State: state, Fields: []web.Field{{Name: "q", Label: d.text("find"), Value: state.Filter("q"), Width: 20, Autocomplete: "off"}}}
	return d.read(func(tx *store.Tx, see func(string) bool) error {
		list, err := d.casesIn(tx, d.hospital, `c.gone = 0 AND `+l.cond, l.args...)
		if err != nil {
			return err
		}
		t := web.Table{ID: l.key, State: state, RowHeader: true, Caption: v.Title, Columns: d.columns(append(slices.Clone(l.columns), "limit")...), CSVURL: state.With("format", "csv"), Empty: web.Empty{Text: d.text(l.key + ".empty"), Help: d.text(l.key + ".empty-help")}}
		slices.SortStableFunc(list, func(a, b Case) int { return cmp.Compare(d.hurry(a), d.hurry(b)) })
		var names, who []string
		var rows [][]string
		digits := strings.ReplaceAll(q, " ", "")
		list = slices.DeleteFunc(list, func(c Case) bool {
			return q != "" && !strings.Contains(strings.ToLower(c.Person.Family+" "+c.Person.Given+" "+c.ServiceName), q) && !strings.Contains(c.UBRN.String()+" "+c.Person.NHSNumber.String(), digits)
		})
		web.Ordered(state, list, map[string]func(a, b Case) int{
			"patient":  web.ByText(func(c Case) string { return c.Person.Family + " " + c.Person.Given }),
			"service":  web.ByText(func(c Case) string { return c.ServiceName }),
			"priority": func(a, b Case) int { return cmp.Compare(urgency(a), urgency(b)) },
		})
		page := list
		if state.Filter("format") != "csv" {
			page, t.PreviousCursor, t.NextCursor = web.PageOf(state, list, caseRows, func(c Case) string { return c.UBRN.String() })
		}
		for i, column := range l.columns {
			if slices.Contains([]string{"patient", "service", "priority"}, column) {
				t.Columns[i].Sort = column
			}
		}
		for _, c := range page {
			seen, name, number := see(c.Chart), "", ""
			if seen {
				name, number = c.Person.Family+" "+c.Person.Given, format.NHSNumber(c.Person.NHSNumber.String())
			}
			names, who = append(names, name), append(who, number)
			t.Rows = append(t.Rows, web.TableRow{Cells: append([]web.TableCell{d.personCell(c, seen), web.NoteCell(number)}, append(l.cells(c), d.limitCell(c))...)})
			rows = append(rows, []string{d.nameOfCase(c, seen), number, c.UBRN.Display(), c.ServiceName, d.spoken("priority", c.Priority), format.Date(c.Pathway.Clock), d.leftText(c)})
		}
		if state.Filter("format") == "csv" {
			return web.CSV(d.w, l.key, []string{"patient", "number", "ubrn", "service", "priority", "clock", "days left"}, func(yield func([]string, error) bool) {
				for _, r := range rows {
					if !yield(r, nil) {
						return
					}
				}
			})
		}
		similarNames(&t, names, who)
		t.Count = web.Count(d.ctx, "hospital.referrals", len(list))
		v.Tables = []web.Table{t}
		if part, ok := web.Partial(d.r); ok && part == t.ID {
			return web.Render(d.w, d.r, http.StatusOK, web.DataTable(t))
		}
		return d.show(v)
	})
}

// caseRows is how many lines a page of a worklist has.
const caseRows = 50

// urgency orders by priority, the most urgent first.
func urgency(c Case) int {
	return slices.Index([]string{"TWO_WEEK_WAIT", "URGENT", "ROUTINE"}, c.Priority)
}

// hurry orders lists: whoever is near the limit of their wait, or has passed it, comes first, by its last day; all others stay as they are.
func (d *desk) hurry(c Case) int64 {
	if l := c.Limit(); l.Flagged(d.now) {
		return l.Last.Unix()
	}
	return math.MaxInt64
}

// leftText is how many days are left, for a file of figures; empty while no limit runs.
func (d *desk) leftText(c Case) string {
	if l := c.Limit(); !l.Last.IsZero() {
		return strconv.Itoa(l.Left(d.now))
	}
	return ""
}

// limitCell flags a wait that nears its limit, or has passed it.
func (d *desk) limitCell(c Case) web.TableCell {
	l := c.Limit()
	if !l.Flagged(d.now) {
		return web.NoteCell("")
	}
	return web.ShowCell(web.LimitTag(d.ctx, l.Left(d.now), l.Diagnosis, l.Booked))
}

func (d *desk) reviewList() error {
	return d.caseList(caseList{key: "review", cond: `p.review = 'waiting' AND p.closed = 0 AND c.state <> 'AWAITING_TRIAGE' ORDER BY CASE WHEN c.priority LIKE '%WEEK%' OR c.priority LIKE '%2WW%' THEN 0 WHEN c.priority LIKE 'URGENT%' THEN 1 ELSE 2 END, c.received, c.ubrn`,
		columns: []string{"patient", "number", "priority", "service", "state", "for"}, cells: func(c Case) []web.TableCell {
			return []web.TableCell{d.priority(c.Priority), web.Cell(c.ServiceName), web.Cell(d.spoken("state", c.State)), web.Cell(web.Ago(d.ctx, d.now, c.Received))}
		}})
}

// triageList is what waits to be read before anything is booked: the most urgent first, then what has waited longest.
func (d *desk) triageList() error {
	return d.caseList(caseList{key: "triage", cond: `p.review = 'waiting' AND p.closed = 0 AND c.state = 'AWAITING_TRIAGE' ORDER BY CASE WHEN c.priority LIKE '%WEEK%' OR c.priority LIKE '%2WW%' THEN 0 WHEN c.priority LIKE 'URGENT%' THEN 1 ELSE 2 END, c.received, c.ubrn`,
		columns: []string{"patient", "number", "priority", "service", "from", "for"}, cells: func(c Case) []web.TableCell {
			return []web.TableCell{d.priority(c.Priority), web.Cell(c.ServiceName), web.ShowCell(web.Lines(c.Referrer, d.k.Organisation(d.ctx, c.Practice))), web.Cell(web.Ago(d.ctx, d.now, c.Received))}
		}})
}

func (d *desk) rebookList() error {
	return d.caseList(caseList{key: "rebook", cond: `p.rebook > 0 AND p.closed = 0 ORDER BY p.rebook, c.ubrn`, columns: []string{"patient", "number", "priority", "service", "why", "for", "next"},
		cells: func(c Case) []web.TableCell {
			return []web.TableCell{d.priority(c.Priority), web.Cell(c.ServiceName), web.ShowCell(web.Lines(d.rebookWhy(c), d.offerWords(c))), web.Cell(web.Ago(d.ctx, d.now, c.Pathway.Rebook)), web.LinkCell(d.text("book.title"), d.path("cases", c.UBRN.String(), "book"))}
		}})
}

// The limits of the wait for treatment, in weeks (the NHS Constitution's standard, and the one that nobody may pass).
const weeksStandard, weeksMost = 18, 52

func (d *desk) waitingList() error {
	return d.caseList(caseList{key: "waiting", cond: `p.stopped = 0 AND p.closed = 0 ORDER BY p.clock, c.ubrn`, columns: []string{"patient", "number", "weeks", "breach", "service", "next"},
		cells: func(c Case) []web.TableCell {
			weeks, next := c.Pathway.Weeks(d.now), d.text("case.none")
			if c.Appointment != nil && c.Appointment.Start.After(d.now) {
				next = format.DateTime(c.Appointment.Start)
			}
			breach := web.NoteCell("")
			switch {
			case weeks >= weeksMost:
				breach = web.ShowCell(web.Tag(d.text("breach.52"), web.Red))
			case weeks >= weeksStandard:
				breach = web.ShowCell(web.Tag(d.text("breach.18"), web.Orange))
			}
			return []web.TableCell{web.Cell(web.Count(d.ctx, "hospital.weeks", weeks)), breach, web.Cell(c.ServiceName), web.Cell(next)}
		}})
}

// deskView is the check-in desk: who is to come today, with a button for each.
type deskView struct {
	Page        web.Page
	Title, Done string
	Sessions    []deskSession
	Links       []web.Link
	Live        live
	Complete    string // up to when the list is complete
}

type deskSession struct {
	Title  string
	People []deskPerson
}

type deskPerson struct {
	Booked
	Name, Born, Number, Time, CaseURL, ComeURL string
	Forms                                      []deskButton
	Note                                       string
	Tag                                        templ.Component
}

type deskButton struct {
	Form  web.Form
	Value string
}

func (d *desk) checkIn() error {
	day := d.day()
	v := deskView{Title: d.text("desk.title") + ", " + format.Weekday(day) + " " + format.Date(day), Done: d.done()}
	v.Page = d.page(v.Title)
	v.Live = d.alive(&v.Page)
	v.Links = []web.Link{{Text: d.text("diary.day-before"), URL: d.path("desk") + "?day=" + day.AddDate(0, 0, -1).Format(time.DateOnly)}, {Text: d.text("diary.day-after"), URL: d.path("desk") + "?day=" + day.AddDate(0, 0, 1).Format(time.DateOnly)}}
	if !day.Equal(format.Midnight(d.now)) {
		v.Links = append(v.Links, web.Link{Text: d.text("diary.today"), URL: d.path("desk")})
	}
	return d.read(func(tx *store.Tx, see func(string) bool) error {
		v.Sessions = nil
		var err error
		if v.Complete, err = d.completeText(tx, d.hospital); err != nil {
			return err
		}
		sessions, err := d.sessionsIn(tx, d.hospital, `starts >= ? AND starts < ? AND state <> ?`, day.UnixMicro(), day.AddDate(0, 0, 1).UnixMicro(), sessionWithdrawn)
		if err != nil {
			return err
		}
		clinics, err := d.clinicsIn(tx, d.hospital)
		if err != nil {
			return err
		}
		for _, s := range sessions {
			slots, err := d.slotsIn(tx, d.hospital, s.ID)
			if err != nil {
				return err
			}
			booked, err := d.bookedOf(tx, d.hospital, slots, inSession{session: s.ID})
			if err != nil {
				return err
			}
			ended, err := d.seenIn(tx, d.hospital, s.ID, slots, booked)
			if err != nil {
				return err
			}
			booked = append(booked, ended...)
			byHand, err := d.byHandIn(tx, d.hospital, inSession{session: s.ID})
			if err != nil {
				return err
			}
			booked = append(booked, byHand...)
			slices.SortStableFunc(booked, func(a, b Booked) int { return a.Slot.Starts.Compare(b.Slot.Starts) })
			one := deskSession{Title: clinicNamed(clinics, s.Clinic).Name + ", " + format.Time(s.Starts) + "–" + format.Time(s.Ends)}
			for _, b := range booked {
				if !b.Changing {
					one.People = append(one.People, d.deskPerson(b, see(b.Case.Chart)))
				}
			}
			v.Sessions = append(v.Sessions, one)
		}
		return web.RenderPart(d.w, d.r, liveID, deskSessions(v), deskPage(v))
	})
}

func (d *desk) deskPerson(b Booked, seen bool) deskPerson {
	p := deskPerson{Booked: b, Tag: d.comingTag(b), Time: format.Time(b.Slot.Starts), Name: d.nameOfCase(b.Case, seen)}
	if b.ByHand != nil {
		p.Note = d.text("override.by-hand", b.ByHand.Actor)
	}
	if !seen {
		return p
	}
	p.Born, p.Number, p.CaseURL = d.bornText(b.Case), strings.ReplaceAll(format.NHSNumber(b.Case.Person.NHSNumber.String()), " ", "\u00a0"), d.path("cases", b.Who)
	if b.Visit.Ended.IsZero() && booking.Come(visitArrived, b.Slot.Starts, d.now) == nil {
		p.ComeURL = d.path("cases", b.Who, "come") + "?session=" + b.Slot.Session + "&slot=" + b.Slot.ID
		state, words := visitArrived, d.text("desk.arrived")
		if b.Visit.State == visitArrived {
			state, words = visitBooked, d.text("desk.not-arrived")
		}
		p.Forms = []deskButton{{web.Form{Action: d.path("desk"), Person: b.Who, PersonName: p.Name, Submit: words}, state + " " + b.Slot.Session + " " + b.Slot.ID}}
	}
	return p
}

func (d *desk) arrive() error {
	who := d.r.PostFormValue(web.PersonField)
	if err := web.CheckForm(d.r, who); err != nil {
		return err
	}
	parts := strings.Fields(d.r.PostForm.Get("come"))
	if len(parts) != 3 || parts[0] != visitArrived && parts[0] != visitBooked {
		return fault.New(fault.Invalid, "%s", d.text("wrong.form"))
	}
	if err := d.Come(d.ctx, d.ask.Principal, d.hospital, who, Coming{State: parts[0], Session: parts[1], Slot: parts[2]}); err != nil {
		return err
	}
	return web.SeeOther(d.w, d.r, d.path("desk")+"?done="+parts[0]+d.dayOf(parts[1]))
}

// dayOf keeps the desk on the day of a session.
func (d *desk) dayOf(session string) (query string) {
	err := d.k.DB.Read(d.ctx, func(tx *store.Tx) error {
		s, err := d.sessionIn(tx, d.hospital, session)
		query = "&day=" + format.Midnight(s.Starts).Format(time.DateOnly)
		return err
	})
	if err != nil {
		return ""
	}
	return query
}

// comeForm asks what came of an appointment.
func (d *desk) comeForm() (Case, formView, error) {
	c, clinical, g, err := d.opened(false)
	if err != nil {
		return c, formView{}, err
	}
	q := d.r.URL.Query()
	if d.r.Method == http.MethodPost {
		q = d.r.PostForm
	}
	back := d.path("desk")
	v := formView{Title: d.text("come.title"), Form: web.Form{Person: c.UBRN.String(), PersonName: d.nameOfCase(c, true), Submit: d.text("come.submit"), Cancel: web.Link{URL: back}}}
	v.Page = d.casePage(c, g, v.Title)
	v.Page.Back = web.Link{Text: d.text("desk.title"), URL: back}
	v.Hidden = []web.Row{{Key: "session", Text: q.Get("session")}, {Key: "slot", Text: q.Get("slot")}}
	booked, about, told, err := d.comeTo(c, q.Get("session"), q.Get("slot"))
	if err != nil {
		return c, v, err
	}
	v.Choose, v.Explain = true, []string{about, d.informedText(told)}
	outcome := web.Choice{Name: "outcome", Label: d.text("come.outcome"), Value: q.Get("outcome")}
	if clinical {
		for _, x := range outcomes() {
			if x != outcomeAssessed || booked.assessable() {
				outcome.Options = append(outcome.Options, web.Option{Value: x, Text: d.text("outcome." + x)})
			}
		}
	} else {
		v.Explain = append(v.Explain, d.text("come.clerk"))
	}
	err = d.k.DB.Read(d.ctx, func(tx *store.Tx) error {
		open, err := d.overridesIn(tx, d.hospital, `who = ? AND session = ? AND slot = ? AND settled = 0`, c.UBRN.String(), q.Get("session"), q.Get("slot"))
		if len(open) > 0 {
			v.Explain = append(v.Explain, d.text("come.by-hand"))
		}
		return err
	})
	if err != nil {
		return c, v, err
	}
	outcome.Options = append(outcome.Options, web.Option{Value: "missed-again", Text: d.text("outcome.missed-again")}, web.Option{Value: "missed", Text: d.text("outcome.missed")})
	v.Radios = []web.Choice{outcome}
	status := web.Choice{Name: "status", Label: d.text("come.status"), Value: q.Get("status"), Hint: d.text("come.status-hint"), Options: []web.Option{{Text: d.text("come.as-it-is")}}}
	for _, s := range statuses() {
		status.Options = append(status.Options, web.Option{Value: s, Text: s + " " + d.text("status."+s)})
	}
	if clinical {
		v.Selects = []web.Choice{status}
	}
	missed := web.Choice{Name: "missed", Label: d.text("come.missed"), Value: cmp.Or(q.Get("missed"), "UNKNOWN"), Options: d.reasons(booking.ActNotAttended)}
	v.Selects = append(v.Selects, missed)
	v.Fields = []web.Field{{Name: "note", Label: d.text("come.note"), Hint: d.text("come.note-hint"), Rows: 3, Value: q.Get("note"), Autocomplete: "off"}}
	return c, v, nil
}

// comeTo is the appointment of which something is written down, and says which it is and how they were told of it. Error: fault.Conflict when they are not booked there.
func (d *desk) comeTo(c Case, session, slot string) (b Booked, about string, told Informed, err error) {
	err = d.k.DB.Read(d.ctx, func(tx *store.Tx) error {
		booked, err := d.bookedAt(tx, d.hospital, session, slot)
		if err != nil {
			return err
		}
		byHand, err := d.byHandIn(tx, d.hospital, inSession{session, slot})
		if err != nil {
			return err
		}
		booked = append(booked, byHand...)
		at := slices.IndexFunc(booked, func(b Booked) bool { return b.Who == c.UBRN.String() && b.Slot.ID == slot && !b.Changing })
		if at < 0 {
			return fault.New(fault.Conflict, "%s", d.text("come.not-there"))
		}
		b = booked[at]
		s, err := d.sessionIn(tx, d.hospital, session)
		if err != nil {
			return err
		}
		clinic, _, err := d.clinicOf(tx, d.hospital, s.Clinic)
		about = d.text("come.about", clinic.Name, format.Date(b.Slot.Starts), format.Time(b.Slot.Starts))
		if err == nil {
			told, err = d.informed(tx, d.hospital, c, session, slot)
		}
		return err
	})
	return b, about, told, err
}

func (d *desk) askCome() error {
	_, v, err := d.comeForm()
	if err != nil {
		return err
	}
	return web.Render(d.w, d.r, http.StatusOK, formPage(v))
}

func (d *desk) doCome() error {
	if err := web.CheckForm(d.r, d.r.PathValue("ubrn")); err != nil {
		return err
	}
	c, v, err := d.comeForm()
	if err != nil {
		return err
	}
	get := d.r.PostForm.Get
	come := Coming{Session: get("session"), Slot: get("slot"), State: visitAttended, Outcome: get("outcome"), Status: get("status"), Note: strings.TrimSpace(get("note"))}
	if strings.HasPrefix(come.Outcome, "missed") {
		come.State, come.Rebook, come.Outcome, come.Reason = visitMissed, come.Outcome == "missed-again", "", get("missed")
	}
	if come.Outcome == "" && come.State == visitAttended {
		v.Radios[0].Error = d.text("wrong.outcome")
		return d.again(v, fault.New(fault.Invalid, "%s", v.Radios[0].Error), "outcome")
	}
	if come.Outcome == outcomeAssessed && come.Note == "" {
		return d.again(v, fault.New(fault.Invalid, "%s", d.text("wrong.result")), "note")
	}
	if err := d.Come(d.ctx, d.ask.Principal, d.hospital, c.UBRN.String(), come); err != nil {
		return d.again(v, err, "status")
	}
	next := d.path("desk") + "?done=come" + d.dayOf(come.Session)
	if come.Outcome == outcomeFollowUp {
		next = d.path("cases", c.UBRN.String(), "book")
	}
	return web.SeeOther(d.w, d.r, next)
}
