package hospital

import (
	"cmp"
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

func (d *desk) sessionTag(s Session) templ.Component {
	switch s.State {
	case sessionWithdrawn:
		return web.Tag(d.text("session.withdrawn"), web.Red)
	case sessionRecalled:
		return web.Tag(d.text("session.recalled"), web.Yellow)
	case sessionFound:
		return web.Tag(d.text("session.found"), web.Orange)
	}
	return web.Tag(d.text("session.open"), web.Green)
}

// diary is the sessions of a week, or of a day with everybody in them.
func (d *desk) diary() error {
	day, week := d.day(), d.r.URL.Query().Get("view") != "day"
	state, err := d.state()
	if err != nil {
		return err
	}
	days, key := 1, "diary.day-title"
	if week {
		day, days, key = day.AddDate(0, 0, -(int(day.Weekday())+6)%7), 7, "diary.week-title"
	}
	v := listView{Title: d.text(key, format.Date(day))}
	v.Page = d.page(v.Title)
	v.Live = d.alive(&v.Page)
	at := func(days int, view string) string {
		return d.path("diary") + "?day=" + day.AddDate(0, 0, days).Format(time.DateOnly) + "&view=" + view
	}
	if week {
		v.Links = []web.Link{{Text: d.text("diary.before"), URL: at(-7, "week")}, {Text: d.text("diary.after"), URL: at(7, "week")}, {Text: d.text("diary.by-day"), URL: d.path("diary") + "?day=" + d.day().Format(time.DateOnly) + "&view=day"}}
	} else {
		v.Links = []web.Link{{Text: d.text("diary.day-before"), URL: at(-1, "day")}, {Text: d.text("diary.day-after"), URL: at(1, "day")}, {Text: d.text("diary.week"), URL: at(0, "week")}}
	}
	clinic := state.Filter("clinic")
	return d.read(func(tx *store.Tx, see func(string) bool) error {
		v.Tables = nil
		var err error
		if v.Complete, err = d.completeText(tx, d.hospital); err != nil {
			return err
		}
		clinics, err := d.clinicsIn(tx, d.hospital)
		if err != nil {
			return err
		}
		choice := web.Choice{Name: "clinic", Label: d.text("column.clinic"), Value: clinic, Options: []web.Option{{Text: d.text("diary.every")}}}
		for _, c := range clinics {
			choice.Options = append(choice.Options, web.Option{Value: c.ID, Text: c.Name})
		}
		v.Filter = &filter{State: state, Choices: []web.Choice{choice}}
		for i := range days {
			on := day.AddDate(0, 0, i)
			sessions, err := d.sessionsIn(tx, d.hospital, `starts >= ? AND starts < ? AND (? = '' OR clinic = ?)`, on.UnixMicro(), on.AddDate(0, 0, 1).UnixMicro(), clinic, clinic)
			if err != nil {
				return err
			}
			if week {
				if len(sessions) == 0 && i > 4 {
					continue
				}
				t, err := d.weekday(tx, on, sessions, clinics)
				if err != nil {
					return err
				}
				v.Tables = append(v.Tables, t)
				continue
			}
			for _, s := range sessions {
				t, err := d.peopleOf(tx, see, s, clinicNamed(clinics, s.Clinic), s.State != sessionWithdrawn)
				if err != nil {
					return err
				}
				v.Tables = append(v.Tables, t)
			}
			if len(sessions) == 0 {
				v.Tables = append(v.Tables, d.sessionTable("none", d.text("today", format.Date(on)), nil, nil))
			}
		}
		return d.show(v)
	})
}

// weekday is one day of the week's diary, with how full each session is.
func (d *desk) weekday(tx *store.Tx, on time.Time, sessions []Session, clinics []Clinic) (web.Table, error) {
	t := d.sessionTable("day-"+on.Format("0102"), format.Weekday(on)+" "+format.Date(on), sessions, clinics)
	t.Columns = append(t.Columns, d.columns("booked")...)
	for i, share := range []int{5, 3, 4, 3, 3} {
		t.Columns[i].Share = share // so that the days line up
	}
	if len(sessions) == 0 {
		t.Empty = web.Empty{Text: d.text("diary.none-on", t.Caption)}
	}
	for i, s := range sessions {
		slots, err := d.slotsIn(tx, d.hospital, s.ID)
		if err != nil {
			return t, err
		}
		booked, err := d.bookedOf(tx, d.hospital, slots, inSession{session: s.ID})
		if err != nil {
			return t, err
		}
		in := 0
		for _, b := range booked {
			if !b.Changing {
				in++
			}
		}
		t.Rows[i].Cells = append(t.Rows[i].Cells, web.Cell(d.text("booked-of", in, len(slots))))
	}
	return t, nil
}

// peopleOf is a session with everybody in it, slot by slot.
func (d *desk) peopleOf(tx *store.Tx, see func(string) bool, s Session, c Clinic, free bool) (web.Table, error) {
	t := web.Table{ID: "session-" + s.ID, Caption: c.Name + ", " + format.Date(s.Starts), RowHeader: true, Columns: d.columns("time", "patient", "number", "what", "state"), Empty: web.Empty{Text: d.text("nobody-booked"), Help: d.text("nobody-booked-help")}}
	slots, err := d.slotsIn(tx, d.hospital, s.ID)
	if err != nil {
		return t, err
	}
	booked, err := d.bookedOf(tx, d.hospital, slots, inSession{session: s.ID})
	if err != nil {
		return t, err
	}
	ended, err := d.seenIn(tx, d.hospital, s.ID, slots, booked)
	if err != nil {
		return t, err
	}
	booked = append(booked, ended...)
	byHand, err := d.byHandIn(tx, d.hospital, inSession{session: s.ID})
	if err != nil {
		return t, err
	}
	var names, who []string
	for _, x := range slots {
		rows, called := d.overrideRows(byHand, x, see)
		t.Rows, names = append(t.Rows, rows...), append(names, called...)
		who = append(who, make([]string, len(called))...)
		taken := len(rows) > 0
		for _, b := range booked {
			if b.Slot.ID != x.ID {
				continue
			}
			taken = taken || !b.Changing
			seen := see(b.Case.Chart)
			number, what := "", d.text("kind.referral")
			if seen {
				number = format.NHSNumber(b.Case.Person.NHSNumber.String())
			}
			if b.FollowUp {
				what = d.text("kind.follow-up")
			}
			name := ""
			if seen {
				name = b.Case.Person.Family + " " + b.Case.Person.Given
			}
			names, who = append(names, name), append(who, number)
			t.Rows = append(t.Rows, web.TableRow{Cells: []web.TableCell{web.Cell(format.Time(x.Starts)), d.personCell(b.Case, seen), web.NoteCell(number), web.Cell(what), web.ShowCell(d.comingTag(b))}})
		}
		if !taken && free {
			names, who = append(names, ""), append(who, "")
			t.Rows = append(t.Rows, web.TableRow{Cells: []web.TableCell{web.Cell(format.Time(x.Starts)), web.Cell(d.text("free")), web.NoteCell(""), web.NoteCell(d.text("slot." + x.Kind)), web.Cell(d.ownerText(x))}})
		}
	}
	similarNames(&t, names, who)
	return t, nil
}

// ownerText is who may book a free slot.
func (d *desk) ownerText(x Slot) string {
	if booking.Hospital.Owns(x.Epoch) {
		return d.text("owner.hospital")
	}
	return d.text("owner.spine")
}

// comingTag is how somebody stands who is in a slot.
func (d *desk) comingTag(b Booked) templ.Component {
	switch {
	case b.ByHand != nil && (b.Visit.State == "" || b.Visit.State == visitBooked):
		return web.Tag(d.text("override.possible"), web.Red)
	case b.Changing:
		return web.Tag(d.text("visit.changing"), web.Purple)
	case b.Visit.State == visitArrived:
		return web.Tag(d.text("visit.arrived"), web.Blue)
	case b.Visit.State == visitAttended:
		return web.Tag(d.text("visit.attended"), web.Green)
	case b.Visit.State == visitMissed:
		return web.Tag(d.text("visit.did-not-attend"), web.Red)
	case b.Visit.State == visitCancelled:
		return web.Tag(d.text("visit.cancelled"), web.Grey)
	case b.Waiting:
		return web.Tag(d.text("visit.waiting"), web.Yellow)
	}
	return web.Tag(d.text("visit.booked"), web.White)
}

// session is one session: who is in it, and what can be done with it.
func (d *desk) session() error {
	id := d.r.PathValue("session")
	v := listView{Done: d.done()}
	v.Live = d.alive(&v.Page)
	return d.read(func(tx *store.Tx, see func(string) bool) error {
		s, err := d.sessionIn(tx, d.hospital, id)
		if err != nil {
			return err
		}
		c, who, err := d.clinicOf(tx, d.hospital, s.Clinic)
		if err != nil {
			return err
		}
		v.Title = c.Name + ", " + format.DateTime(s.Starts)
		v.Page = d.page(v.Title)
		v.Page.Back = web.Link{Text: d.text("diary.week"), URL: d.path("diary") + "?day=" + format.Midnight(s.Starts).Format(time.DateOnly)}
		v.Page.Live = true
		v.Lede = d.text("session.lede", who.Name, c.Place, format.Time(s.Ends))
		v.Links = nil
		if s.State == sessionWithdrawn {
			v.Warning, v.WarningText = d.text("session.withdrawn"), s.Reason
		} else {
			if s.State == sessionFound {
				v.Warning, v.WarningText = d.text("session.found"), d.text("session.found-help")
			}
			for _, act := range sessionActs() {
				v.Links = append(v.Links, web.Link{Text: d.text("act." + act), URL: d.path("sessions", id, "do", act)})
			}
		}
		if v.Complete, err = d.completeText(tx, d.hospital); err != nil {
			return err
		}
		t, err := d.peopleOf(tx, see, s, c, s.State != sessionWithdrawn)
		v.Tables = []web.Table{t}
		if err != nil {
			return err
		}
		return d.show(v)
	})
}

func sessionActs() []string { return []string{"give", "recall", "extra", "withdraw"} }

// formView is a form about a session or a case.
type formView struct {
	Page    web.Page
	Title   string
	Explain []string
	Form    web.Form
	Fields  []web.Field
	First   int // how many of the fields come before what is chosen
	Radios  []web.Choice
	Selects []web.Choice
	Choose  bool // the radios come before the selects
	Dates   []web.DateField
	Hidden  []web.Row
	Errors  web.FieldErrors
	Preview *preview
}

// mark shows what is wrong beside each field, and above them all.
func (v *formView) mark(wrong web.FieldErrors) {
	v.Errors = append(v.Errors, wrong...)
	slices.SortStableFunc(v.Errors, func(a, b web.FieldError) int { return cmp.Compare(v.place(a.Field), v.place(b.Field)) })
	v.Page.Failed = true
	for i := range v.Fields {
		v.Fields[i].Error = v.Errors.Of(v.Fields[i].Name)
	}
	for _, list := range [][]web.Choice{v.Selects, v.Radios} {
		for i := range list {
			list[i].Error = v.Errors.Of(list[i].Name)
		}
	}
	for i := range v.Dates {
		v.Dates[i].Error = v.Errors.Of(v.Dates[i].Name)
	}
}

// place is where on its page a field is.
func (v *formView) place(field string) int {
	var names []string
	lists := [][]web.Choice{v.Selects, v.Radios}
	if v.Choose {
		slices.Reverse(lists)
	}
	for _, list := range lists {
		for _, c := range list {
			names = append(names, c.Name)
		}
	}
	for _, f := range v.Fields {
		names = append(names, f.Name)
	}
	for _, f := range v.Dates {
		names = append(names, f.Name)
	}
	return slices.Index(names, field)
}

// again shows a form with what is wrong with it.
func (d *desk) again(v formView, err error, field string) error {
	switch fault.KindOf(err) {
	case fault.Invalid, fault.Conflict, fault.Unavailable, fault.NotFound:
	default:
		return err
	}
	v.mark(web.FieldErrors{{Field: field, Text: fault.MessageOf(err)}})
	return web.Render(d.w, d.r, http.StatusUnprocessableEntity, formPage(v))
}

func (d *desk) sessionForm() (Session, formView, error) {
	act := d.r.PathValue("act")
	var s Session
	var c Clinic
	booked := 0
	err := d.k.DB.Read(d.ctx, func(tx *store.Tx) (err error) {
		if s, err = d.sessionIn(tx, d.hospital, d.r.PathValue("session")); err != nil {
			return err
		}
		if c, _, err = d.clinicOf(tx, d.hospital, s.Clinic); err != nil {
			return err
		}
		list, err := d.bookedIn(tx, d.hospital, s.ID)
		booked = 0
		for _, b := range list {
			if !b.over() {
				booked++
			}
		}
		return err
	})
	if err != nil {
		return s, formView{}, err
	}
	known := false
	for _, a := range sessionActs() {
		known = known || a == act
	}
	if !known {
		return s, formView{}, fault.New(fault.NotFound, "There is nothing of that kind to do with a session.")
	}
	back := d.path("sessions", s.ID)
	v := formView{Title: d.text("act." + act), Explain: []string{c.Name + ", " + format.DateTime(s.Starts), d.text("will." + act)},
		Form: web.Form{Person: s.ID, Submit: d.text("act." + act), Danger: act == "withdraw", Cancel: web.Link{URL: back}}}
	v.Page = web.Page{Title: v.Title, Back: web.Link{Text: c.Name, URL: back}}
	switch act {
	case "withdraw":
		v.Explain = append(v.Explain, web.Count(d.ctx, "hospital.will-rebook", booked))
		v.Fields = []web.Field{{Name: "reason", Label: d.text("field.reason-told"), Rows: 3, Autocomplete: "off"}}
	case "recall":
		v.Fields = []web.Field{{Name: "reason", Label: d.text("field.reason"), Rows: 3, Autocomplete: "off"}}
	case "extra":
		v.Fields = []web.Field{{Name: "starts", Label: d.text("field.starts"), Hint: d.text("hint.starts"), Value: format.Time(s.Starts), Width: 5, Autocomplete: "off"}}
	}
	return s, v, nil
}

func (d *desk) askSession() error {
	_, v, err := d.sessionForm()
	if err != nil {
		return err
	}
	return web.Render(d.w, d.r, http.StatusOK, formPage(v))
}

func (d *desk) doSession() error {
	if err := web.CheckForm(d.r, d.r.PathValue("session")); err != nil {
		return err
	}
	s, v, err := d.sessionForm()
	if err != nil {
		return err
	}
	act, field, by := d.r.PathValue("act"), "reason", d.ask.Principal
	reason := strings.TrimSpace(d.r.PostForm.Get("reason"))
	switch act {
	case "give":
		_, err = d.Give(d.ctx, by, d.hospital, s.ID)
	case "recall":
		err = d.Recall(d.ctx, by, d.hospital, s.ID, reason)
	case "withdraw":
		_, err = d.Withdraw(d.ctx, by, d.hospital, s.ID, reason)
	case "extra":
		field = "starts"
		v.Fields[0].Value = d.r.PostForm.Get("starts")
		minutes, ok := clockTime(v.Fields[0].Value)
		if !ok {
			return d.again(v, fault.New(fault.Invalid, "%s", d.text("wrong.time")), field)
		}
		_, err = d.AddSlot(d.ctx, by, d.hospital, s.ID, wall(format.Midnight(s.Starts), minutes))
	}
	if err != nil {
		return d.again(v, err, field)
	}
	return web.SeeOther(d.w, d.r, d.path("sessions", s.ID)+"?done="+act)
}

// clockTime reads "14:05" as minutes of the day.
func clockTime(s string) (minutes int, ok bool) {
	h, m, found := strings.Cut(strings.TrimSpace(s), ":")
	hour, err1 := strconv.Atoi(h)
	minute, err2 := strconv.Atoi(m)
	return hour*60 + minute, found && err1 == nil && err2 == nil && hour >= 0 && hour < 24 && minute >= 0 && minute < 60
}
