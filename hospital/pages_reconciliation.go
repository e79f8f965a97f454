package hospital

import (
	"net/http"
	"strings"
	"time"

	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/format"
)

// reconciliation is how the hospital stands with the spine: what differs, what the spine refused, and whose details differ.
func (d *desk) reconciliation() error {
	v := reconcileView{Title: d.text("reconciliation.title"), Done: d.done()}
	v.Page = d.page(v.Title)
	return d.read(func(tx *store.Tx, see func(string) bool) error {
		s, err := d.standingIn(tx, d.hospital)
		if err != nil {
			return err
		}
		never := d.text("never")
		at := func(t time.Time) string {
			if t.IsZero() {
				return never
			}
			return format.DateTime(t)
		}
		v.Facts = []web.Row{{Key: d.text("reconciliation.asked"), Text: at(s.Asked)}, {Key: d.text("reconciliation.answered"), Text: at(s.Answered)}}
		if !s.Sure {
			v.Warning, v.WarningText = d.text("unsure"), d.text("unsure-help")
		}
		list, err := d.differencesIn(tx, d.hospital)
		if err != nil {
			return err
		}
		t := web.Table{ID: "differences", RowHeader: true, Caption: d.text("differences.title"), Columns: d.columns("thing", "mine", "theirs", "why", "since"), Empty: web.Empty{Text: d.text("differences.empty"), Help: d.text("differences.empty-help")}}
		for _, x := range list {
			why := d.text("differ." + x.Why)
			if x.UnderWay() {
				why = d.text("differ.under-way")
			}
			thing := d.text("thing."+x.Kind) + " " + x.Thing
			if x.Kind != "slot" && d.counts() { // its number leads to somebody
				thing = d.text("thing." + x.Kind)
			}
			t.Rows = append(t.Rows, web.TableRow{Cells: []web.TableCell{web.Cell(thing), web.Cell(d.knownText(x.Kind, x.Mine)), web.Cell(d.knownText(x.Kind, x.Theirs)), web.Cell(why), web.Cell(web.Ago(d.ctx, d.now, x.Since))}})
		}
		v.Tables, v.Buttons, v.Counts = []web.Table{t}, nil, d.counts()
		if err := d.refusedSlots(tx, &v); err != nil {
			return err
		}
		if err := d.refusedIn(tx, see, &v); err != nil {
			return err
		}
		if err := d.clashesIn(tx, see, &v); err != nil {
			return err
		}
		return d.unlikeIn(tx, see, &v)
	})
}

// knownText is what one side knows of a slot or a case, in words.
func (d *desk) knownText(kind string, n int64) string {
	switch {
	case kind == "slot" && booking.Hospital.Owns(booking.Epoch(n)):
		return d.text("known.hospital", n)
	case kind == "slot":
		return d.text("known.spine", n)
	case n == 0:
		return d.text("known.none")
	}
	return d.text("known.version", n)
}

// reconcileView is the page of how the hospital stands with the spine.
type reconcileView struct {
	Page                 web.Page
	Title, Done          string
	Warning, WarningText string
	Facts                []web.Row
	Tables               []web.Table
	Buttons              []deskButton
	RefusedSlots         bool // there are slots that the spine would not take
	Counts               bool // the reader sees how it stands and does nothing about it
}

// refusedSlots lists the slots that the spine would not take, with why and what to do.
func (d *desk) refusedSlots(tx *store.Tx, v *reconcileView) error {
	list, err := d.refusalsIn(tx, d.hospital)
	if err != nil {
		return err
	}
	t := web.Table{ID: "refused-slots", RowHeader: true, Caption: d.text("refused-slots.title"), Columns: d.columns("session", "slots", "for", "answer"), Empty: web.Empty{Text: d.text("refused-slots.empty"), Help: d.text("refused-slots.empty-help")}}
	for _, x := range list {
		s, err := d.sessionIn(tx, d.hospital, x.Session)
		if err != nil {
			return err
		}
		c, _, err := d.clinicOf(tx, d.hospital, s.Clinic)
		if err != nil {
			return err
		}
		where := web.LinkCell(c.Name+", "+format.DateTime(s.Starts), d.path("sessions", x.Session))
		if d.counts() {
			where = web.Cell(c.Name + ", " + format.DateTime(s.Starts))
		}
		t.Rows = append(t.Rows, web.TableRow{Cells: []web.TableCell{where, web.Cell(formatInt(x.Slots)), web.Cell(web.Ago(d.ctx, d.now, x.At)), web.NoteCell(x.Reason)}})
	}
	if len(list) > 0 {
		v.Tables = append(v.Tables, t)
		v.RefusedSlots = true
	}
	return nil
}

func (d *desk) refusedIn(tx *store.Tx, see func(string) bool, v *reconcileView) error {
	acts, err := d.actsIn(tx, d.hospital, `state IN ('refused', 'waiting')`)
	if err != nil {
		return err
	}
	t := web.Table{ID: "refused", RowHeader: true, Caption: d.text("refused.title"), Columns: d.columns("patient", "what", "when", "who", "state", "answer"), Empty: web.Empty{Text: d.text("refused.empty"), Help: d.text("refused.empty-help")}}
	for i, a := range acts {
		if i == listMost {
			break
		}
		c, err := d.caseIn(tx, d.hospital, a.UBRN.String())
		if err != nil {
			return err
		}
		state, colour := a.State, web.Yellow
		if state == actRefused {
			colour = web.Red
		}
		seen := see(c.Chart)
		t.Rows = append(t.Rows, web.TableRow{Cells: []web.TableCell{d.personCell(c, seen), web.Cell(d.text("decide." + a.Kind)), web.Cell(format.DateTime(a.At)), web.Cell(a.By), web.ShowCell(web.Tag(d.text("act-state."+state), colour)), web.NoteCell(a.Answer)}})
		if d.counts() { // what the spine answers may say who it was about
			t.Rows[i].Cells[5] = web.NoteCell("")
		}
		if state == actRefused && seen {
			v.Buttons = append(v.Buttons, deskButton{web.Form{Action: d.path("reconciliation"), Person: a.UBRN.String(), PersonName: d.nameOfCase(c, true), Submit: d.text("refused.dealt")}, "dealt " + a.UBRN.String() + " " + formatInt(a.Number)})
		}
	}
	v.Tables = append(v.Tables, t)
	return nil
}

func (d *desk) unlikeIn(tx *store.Tx, see func(string) bool, v *reconcileView) error {
	list, err := d.unlikesIn(tx, d.hospital)
	if err != nil {
		return err
	}
	if d.counts() {
		v.Facts = append(v.Facts, web.Row{Key: d.text("people.title"), Text: web.Count(d.ctx, "hospital.figures.people", len(list))})
		return web.Render(d.w, d.r, http.StatusOK, reconcilePage(*v))
	}
	t := web.Table{ID: "people", RowHeader: true, Caption: d.text("people.title"), Columns: d.columns("number", "patient", "state", "why", "for"), Empty: web.Empty{Text: d.text("people.empty"), Help: d.text("people.empty-help")}}
	for _, u := range list {
		if !see(u.Chart) {
			continue
		}
		var why []string
		for _, w := range strings.Fields(u.Differs) {
			why = append(why, d.text("people."+w))
		}
		t.Rows = append(t.Rows, web.TableRow{Cells: []web.TableCell{web.Cell(format.NHSNumber(u.Number)), web.LinkCell(d.text("case.record"), d.chartPath(u.Chart)), web.Cell(d.text("people." + u.State)), web.NoteCell(strings.Join(why, ", ")), web.Cell(web.Ago(d.ctx, d.now, u.At))}})
		v.Buttons = append(v.Buttons, deskButton{web.Form{Action: d.path("reconciliation"), Person: u.Number, PersonName: format.NHSNumber(u.Number), Submit: d.text("people.settle")}, "settle " + u.Number})
	}
	v.Tables = append(v.Tables, t)
	return web.Render(d.w, d.r, http.StatusOK, reconcilePage(*v))
}

// reconcile compares, repairs, or takes something from a worklist.
func (d *desk) reconcile() error {
	who := d.r.PostFormValue(web.PersonField)
	if err := web.CheckForm(d.r, who); err != nil {
		return err
	}
	parts := strings.Fields(d.r.PostForm.Get("do"))
	var err error
	switch {
	case len(parts) == 1 && parts[0] == "compare":
		err = d.Tally(d.ctx, d.hospital)
	case len(parts) == 1 && parts[0] == "repair":
		err = d.Repair(d.ctx, d.ask.Principal, d.hospital)
	case len(parts) == 3 && parts[0] == "dealt" && parts[1] == who:
		err = d.Dealt(d.ctx, d.ask.Principal, d.hospital, who, parseInt(parts[2]))
	case len(parts) == 3 && parts[0] == "take-off" && parts[1] == who:
		err = d.TakeOff(d.ctx, d.ask.Principal, d.hospital, who, parts[2])
	case len(parts) == 3 && parts[0] == "seen" && parts[1] == who:
		err = d.TellSeen(d.ctx, d.ask.Principal, d.hospital, who, parts[2])
	case len(parts) == 2 && parts[0] == "settle" && parts[1] == who:
		err = d.SettlePerson(d.ctx, d.ask.Principal, d.hospital, who)
	default:
		err = fault.New(fault.Invalid, "%s", d.text("wrong.form"))
	}
	if err != nil {
		return err
	}
	return web.SeeOther(d.w, d.r, d.path("reconciliation")+"?done="+parts[0])
}
