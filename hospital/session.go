package hospital

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/calendar"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/web/format"
)

// Kinds of slot.
const (
	kindOffered = "offered" // may be given to the spine
	kindReserve = "reserve" // never is
	kindExtra   = "extra"   // put in by hand
)

// States of a session.
const (
	sessionOpen      = "open"
	sessionRecalled  = "recalled" // its free slots were asked back
	sessionWithdrawn = "withdrawn"
	sessionFound     = "found" // lost by a restore, and made again from what the spine tells of who is booked
)

// Session is one clinic on one day.
type Session struct {
	ID, Clinic    string
	Starts, Ends  time.Time
	Minutes       int
	Extra         int
	State, Reason string
}

// Slot is one time in a session for one person.
type Slot struct {
	Session, ID  string
	Epoch, Base  booking.Epoch
	Starts, Ends time.Time
	Kind         string
}

// Plan makes the sessions of the weeks to come from the hospital's templates, and gives their slots to the spine. A session that is there stays as it is.
func (o *Outpatients) Plan(ctx context.Context, hospital ident.ODSCode) error {
	var list []Template
	err := o.k.DB.Read(ctx, func(tx *store.Tx) (err error) {
		if list, err = o.templatesIn(tx, hospital); err != nil {
			return err
		}
		clinics, err := o.clinicsIn(tx, hospital)
		list = slices.DeleteFunc(list, func(t Template) bool { return clinicNamed(clinics, t.Clinic).Closed })
		return err
	})
	if err != nil {
		return err
	}
	if err := o.begin(ctx, hospital); err != nil {
		return err
	}
	joined, err := o.joined(ctx)
	if err == nil && joined {
		err = o.k.DB.Read(ctx, func(tx *store.Tx) error {
			s, err := o.standingIn(tx, hospital)
			joined = s.Sure
			return err
		})
	}
	if err != nil {
		return err
	}
	now := o.k.Clock.Now()
	for _, t := range list {
		for _, day := range t.days(now) {
			if err := o.planOne(ctx, hospital, t, day, joined); err != nil {
				return err
			}
		}
	}
	return nil
}

// joined reports whether there is a way to the spine: a hospital that belongs to no network yet holds its clinics by itself. A line that is cut is a way; what is sent waits.
func (o *Outpatients) joined(ctx context.Context) (bool, error) {
	_, err := o.k.Post().Way(ctx, o.k.National, booking.WorkflowSlots)
	if fault.Is(err, fault.NotFound) {
		return false, nil
	}
	return err == nil, err
}

// planOne makes the session of a template on a day, which begins at midnight there.
func (o *Outpatients) planOne(ctx context.Context, hospital ident.ODSCode, t Template, day time.Time, joined bool) error {
	s := t.session(day)
	if !s.Starts.After(o.k.Clock.Now()) {
		return nil
	}
	there, fresh := false, true // there as planned; with slots of which none was handed over yet
	err := o.k.DB.Read(ctx, func(tx *store.Tx) error {
		was, err := o.sessionIn(tx, hospital, s.ID)
		there = err == nil && was.State != sessionFound
		if fault.Is(err, fault.NotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		slots, err := o.slotsIn(tx, hospital, s.ID)
		fresh = was.State == sessionOpen && !slices.ContainsFunc(slots, func(x Slot) bool { return x.Epoch != 0 })
		return err
	})
	switch {
	case err != nil:
		return err
	case !there:
		return o.MakeSession(ctx, hospital, s, t.Slots, t.Reserve, t.Given && joined)
	case fresh && t.Given && joined && t.Reserve < t.Slots: // it was made before the hospital joined
		return o.change(ctx, hospital, []string{s.ID}, func(tx *store.Tx) error {
			_, err := o.give(tx, hospital, s.ID)
			return err
		})
	}
	return nil
}

// session is what a pattern makes of a day, which begins at midnight there. Slots have their full length also when the clocks change among them.
func (t Template) session(day time.Time) Session {
	starts := wall(day, t.Starts)
	return Session{ID: fmt.Sprintf("%s-%s", t.ID, day.Format("20060102")), Clinic: t.Clinic, Minutes: t.Minutes, Extra: t.Extra, State: sessionOpen,
		Starts: starts, Ends: starts.Add(time.Duration(t.Slots*t.Minutes) * time.Minute)}
}

// slots are the times of a session of so many slots, the last of which are a reserve.
func (s Session) slots(n, reserve int) (list []Slot) {
	for i := range n {
		at := s.Starts.Add(time.Duration(i*s.Minutes) * time.Minute)
		x := Slot{Session: s.ID, ID: s.ID + "-" + at.Format("1504"), Starts: at, Ends: at.Add(time.Duration(s.Minutes) * time.Minute), Kind: kindOffered}
		if i >= n-reserve {
			x.Kind = kindReserve
		}
		list = append(list, x)
	}
	return list
}

// days are those on which a pattern holds a session that has yet to begin, none on a bank holiday unless the pattern says so, in the weeks to come, each by the midnight at which it begins.
func (t Template) days(now time.Time) (list []time.Time) {
	for day := format.Midnight(now); day.Before(now.Add(ahead)); day = day.AddDate(0, 0, 1) {
		if day.Weekday() != t.Weekday || day.Before(t.From) || !t.To.IsZero() && day.After(t.To) || !wall(day, t.Starts).After(now) {
			continue
		}
		if _, holiday := calendar.HolidayOn(day); holiday && !t.Holidays {
			continue
		}
		list = append(list, day)
	}
	return list
}

// wall is so many minutes into a day by the clock on the wall, whatever hour the clocks change in.
func wall(midnight time.Time, minutes int) time.Time {
	y, m, d := midnight.Date()
	return time.Date(y, m, d, minutes/60, minutes%60, 0, 0, midnight.Location()).UTC()
}

// MakeSession makes a session of so many slots, the last of which are a reserve, and gives the others to the spine. One that is there stays as it is; one that was found again is completed.
func (o *Outpatients) MakeSession(ctx context.Context, hospital ident.ODSCode, s Session, slots, reserve int, give bool) error {
	return o.change(ctx, hospital, []string{s.ID}, func(tx *store.Tx) error {
		was, err := o.sessionIn(tx, hospital, s.ID)
		if err == nil && was.State != sessionFound {
			return nil
		}
		if err != nil && !fault.Is(err, fault.NotFound) {
			return err
		}
		have := map[string]bool{}
		if err == nil {
			list, err := o.slotsIn(tx, hospital, s.ID)
			if err != nil {
				return err
			}
			for _, x := range list {
				have[x.ID] = true
			}
		}
		s.State = sessionOpen
		if err := o.putSession(tx, hospital, s); err != nil {
			return err
		}
		for _, x := range s.slots(slots, reserve) {
			if have[x.ID] {
				continue
			}
			if err := o.putSlot(tx, hospital, x); err != nil {
				return err
			}
		}
		if !give {
			return nil
		}
		_, err = o.give(tx, hospital, s.ID)
		return err
	})
}

// putSlot writes whose a slot is. By which message it was handed over is for hand to say.
func (o *Outpatients) putSlot(tx *store.Tx, hospital ident.ODSCode, x Slot) error {
	o.changed(tx, hospital)
	return tx.Queue(`INSERT INTO hospital_slot (lane, tenant, session, id, epoch, base, starts, ends, kind) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (lane, tenant, session, id) DO UPDATE SET epoch = excluded.epoch, base = excluded.base, handed = CASE WHEN excluded.epoch % 2 = 0 THEN '' ELSE hospital_slot.handed END`,
		int64(o.lane(hospital)), hospital.String(), x.Session, x.ID, int64(x.Epoch), int64(x.Base), x.Starts.UnixMicro(), x.Ends.UnixMicro(), x.Kind)
}

// give hands the free slots of a session to the spine, the reserve and what was put in by hand apart. tx holds the session's conversation.
func (o *Outpatients) give(tx *store.Tx, hospital ident.ODSCode, session string) (count int, err error) {
	s, err := o.sessionIn(tx, hospital, session)
	if err != nil {
		return 0, err
	}
	if s.State == sessionWithdrawn {
		return 0, fault.New(fault.Conflict, "The session is withdrawn.")
	}
	if err := o.sure(tx, hospital); err != nil {
		return 0, err
	}
	clinic, who, err := o.clinicOf(tx, hospital, s.Clinic)
	if err != nil {
		return 0, err
	}
	slots, err := o.slotsIn(tx, hospital, session)
	if err != nil {
		return 0, err
	}
	held, err := o.heldIn(tx, hospital, session)
	if err != nil {
		return 0, err
	}
	byHand, err := o.overridesIn(tx, hospital, `session = ? AND settled = 0`, session)
	if err != nil {
		return 0, err
	}
	m := booking.Slots{Session: session, Service: clinic.Service}
	for _, x := range slots {
		if slices.ContainsFunc(byHand, func(w Override) bool { return w.Slot == x.ID }) {
			continue // nobody else is put into it until a person has settled that
		}
		if x.Kind != kindOffered || !booking.Hospital.Owns(x.Epoch) || held[x.ID] != "" || !x.Starts.After(tx.At()) {
			continue
		}
		e, err := booking.Hospital.Give(x.Epoch)
		if err != nil {
			return 0, err
		}
		m.Slots = append(m.Slots, booking.Slot{ID: x.ID, Epoch: e, Start: x.Starts, End: x.Ends, Clinician: who.Name, ClinicianID: who.Login})
	}
	if len(m.Slots) == 0 {
		return 0, nil
	}
	if _, err := tx.Exec(`UPDATE hospital_session SET state = ? WHERE lane = ? AND tenant = ? AND id = ?`, sessionOpen, int64(o.lane(hospital)), hospital.String(), session); err != nil {
		return 0, err
	}
	same := map[booking.Epoch][]booking.Slot{} // mostly all have the same
	for _, x := range m.Slots {
		same[x.Epoch] = append(same[x.Epoch], x)
	}
	for _, e := range slices.Sorted(maps.Keys(same)) {
		if err := o.setSlots(tx, hospital, session, same[e], `epoch = ?, base = ?`, int64(e), int64(e)); err != nil {
			return 0, err
		}
	}
	o.changed(tx, hospital)
	return len(m.Slots), o.hand(tx, hospital, m)
}

// clinicOf is a clinic and who sees its patients.
func (o *Outpatients) clinicOf(tx *store.Tx, hospital ident.ODSCode, id string) (Clinic, Consultant, error) {
	list, err := o.clinicsIn(tx, hospital)
	if err != nil {
		return Clinic{}, Consultant{}, err
	}
	i := slices.IndexFunc(list, func(c Clinic) bool { return c.ID == id })
	if i < 0 {
		return Clinic{}, Consultant{}, fault.New(fault.NotFound, "There is no such clinic.")
	}
	people, err := o.consultantsIn(tx, hospital)
	return list[i], people[list[i].Consultant], err
}

// Give hands the free slots of a session to the spine again, and says how many. Errors: fault.Conflict for a session that is withdrawn; fault.Unavailable while the hospital
// does not know whose its slots are.
func (o *Outpatients) Give(ctx context.Context, by access.Principal, hospital ident.ODSCode, session string) (count int, err error) {
	err = o.deed(ctx, by, hospital, session, "gave slots of "+session, func(tx *store.Tx) error {
		count, err = o.give(tx, hospital, session)
		return err
	})
	return count, err
}

// Recall asks the spine for the free slots of a session.
func (o *Outpatients) Recall(ctx context.Context, by access.Principal, hospital ident.ODSCode, session, reason string) error {
	return o.deed(ctx, by, hospital, session, "asked for slots of "+session, func(tx *store.Tx) error {
		s, err := o.sessionIn(tx, hospital, session)
		if err != nil || s.State == sessionWithdrawn {
			return err
		}
		if _, err := tx.Exec(`UPDATE hospital_session SET state = ?, reason = ? WHERE lane = ? AND tenant = ? AND id = ?`, sessionRecalled, reason, int64(o.lane(hospital)), hospital.String(), session); err != nil {
			return err
		}
		_, err = send(o, tx, hospital, booking.WorkflowRecall, session, booking.Recall{Session: session, Reason: reason})
		return err
	})
}

// Withdraw says that a session will not take place. Whoever is in it is on the worklist of those to be rebooked; the spine tells them. It says how many they are.
func (o *Outpatients) Withdraw(ctx context.Context, by access.Principal, hospital ident.ODSCode, session, reason string) (count int, err error) {
	if reason == "" {
		return 0, fault.New(fault.Invalid, "Say why: it is told to whoever is booked.")
	}
	for range 5 {
		who, err := o.within(ctx, hospital, session)
		if err != nil {
			return 0, err
		}
		err = o.deeds(ctx, by, hospital, append(who, session), "withdrew "+session, func(tx *store.Tx) (err error) {
			count, err = o.withdraw(tx, by, hospital, session, reason)
			return err
		})
		if !errors.Is(err, errMoreComing) {
			return count, err
		}
	}
	return 0, errMoreComing
}

// errMoreComing says that more people came into a session while it was withdrawn.
var errMoreComing = fault.New(fault.Unavailable, "Somebody was put into the session at this moment; try again.")

// within are those who are in a session now, whom withdrawing it concerns.
func (o *Outpatients) within(ctx context.Context, hospital ident.ODSCode, session string) (who []string, err error) {
	err = o.k.DB.Read(ctx, func(tx *store.Tx) error {
		who = nil
		booked, err := o.bookedIn(tx, hospital, session)
		for _, b := range booked {
			who = append(who, b.Who)
		}
		return err
	})
	return who, err
}

// withdraw is Withdraw inside its transaction.
func (o *Outpatients) withdraw(tx *store.Tx, by access.Principal, hospital ident.ODSCode, session, reason string) (count int, err error) {
	s, err := o.sessionIn(tx, hospital, session)
	if err != nil || s.State == sessionWithdrawn {
		return 0, err
	}
	lane, h := int64(o.lane(hospital)), hospital.String()
	if _, err := tx.Exec(`UPDATE hospital_session SET state = ?, reason = ? WHERE lane = ? AND tenant = ? AND id = ?`, sessionWithdrawn, reason, lane, h, session); err != nil {
		return 0, err
	}
	booked, err := o.bookedIn(tx, hospital, session)
	if err != nil {
		return 0, err
	}
	for _, b := range booked {
		if b.over() {
			continue
		}
		if !tx.Holds(o.k.Post().LaneOf(hospital, b.Who)) {
			return 0, errMoreComing
		}
		count++
		if err := o.toRebook(tx, hospital, b, reason, by.Name); err != nil {
			return 0, err
		}
	}
	_, err = send(o, tx, hospital, booking.WorkflowRecall, session, booking.Recall{Session: session, Withdrawn: true, Reason: reason})
	return count, err
}

// deed is something that is done to a session, with its account.
func (o *Outpatients) deed(ctx context.Context, by access.Principal, hospital ident.ODSCode, conversation, what string, do func(tx *store.Tx) error) error {
	return o.deeds(ctx, by, hospital, []string{conversation}, what, do)
}

// deeds is a deed that sends in several conversations.
func (o *Outpatients) deeds(ctx context.Context, by access.Principal, hospital ident.ODSCode, conversations []string, what string, do func(tx *store.Tx) error) error {
	lanes := append(o.lanes(hospital, conversations), o.k.Gate.DeedLane(by))
	return o.k.DB.Write(ctx, lanes, func(tx *store.Tx) error {
		o.changed(tx, hospital)
		if err := do(tx); err != nil {
			return err
		}
		return o.k.Gate.Record(ctx, tx, by, access.Deed{Action: access.ActAdminister, Basis: "clinics", Detail: what})
	})
}

// AddSlot puts one more slot into a session by hand, beside the one that starts then. Error: fault.Conflict when the session has as many as it may.
func (o *Outpatients) AddSlot(ctx context.Context, by access.Principal, hospital ident.ODSCode, session string, starts time.Time) (id string, err error) {
	err = o.deed(ctx, by, hospital, session, "put a slot into "+session, func(tx *store.Tx) error {
		s, err := o.sessionIn(tx, hospital, session)
		if err != nil {
			return err
		}
		slots, err := o.slotsIn(tx, hospital, session)
		if err != nil {
			return err
		}
		extra := 0
		for _, x := range slots {
			if x.Kind == kindExtra {
				extra++
			}
		}
		switch {
		case s.State == sessionWithdrawn:
			return fault.New(fault.Conflict, "The session is withdrawn.")
		case extra >= s.Extra:
			return fault.New(fault.Conflict, "The session may have %d more than planned, and has them.", s.Extra)
		case starts.Before(s.Starts) || !starts.Before(s.Ends):
			return fault.New(fault.Invalid, "The session is from %s to %s.", format.Time(s.Starts), format.Time(s.Ends))
		}
		id = fmt.Sprintf("%s-x%d", session, extra+1)
		return o.putSlot(tx, hospital, Slot{Session: session, ID: id, Starts: starts, Ends: starts.Add(time.Duration(s.Minutes) * time.Minute), Kind: kindExtra})
	})
	return id, err
}

// slotsCameBack takes slots that the spine gives back.
func (o *Outpatients) slotsCameBack(_ context.Context, tx *store.Tx, m messaging.Message) error {
	msg, err := decoded[booking.Returned](o, m)
	if err != nil {
		return err
	}
	slots, err := o.slotsIn(tx, m.To, msg.Session)
	if err != nil {
		return err
	}
	for _, mark := range msg.Slots {
		i := slices.IndexFunc(slots, func(x Slot) bool { return x.ID == mark.ID })
		if i < 0 {
			return messaging.Refuse("There is no slot %s in %s.", mark.ID, msg.Session)
		}
		x := slots[i]
		e, changed, err := booking.Hospital.Take(x.Epoch, mark.Epoch)
		if err != nil {
			return messaging.Refuse("%s", fault.MessageOf(err))
		}
		if !changed {
			continue
		}
		x.Epoch, x.Base = e, e
		if err := o.putSlot(tx, m.To, x); err != nil {
			return err
		}
	}
	return nil
}

func (o *Outpatients) sessionIn(tx *store.Tx, hospital ident.ODSCode, id string) (Session, error) {
	list, err := o.sessionsIn(tx, hospital, `id = ?`, id)
	if err == nil && len(list) == 0 {
		err = fault.New(fault.NotFound, "There is no such session.")
	}
	if err != nil {
		return Session{}, err
	}
	return list[0], nil
}

func (o *Outpatients) sessionsIn(tx *store.Tx, hospital ident.ODSCode, cond string, args ...any) (list []Session, err error) {
	err = rowsOf(tx, func(r *store.Rows) error {
		var s Session
		var starts, ends, minutes, extra int64
		if err := r.Scan(&s.ID, &s.Clinic, &starts, &ends, &minutes, &extra, &s.State, &s.Reason); err != nil {
			return err
		}
		s.Starts, s.Ends, s.Minutes, s.Extra = fromMicros(starts), fromMicros(ends), int(minutes), int(extra)
		list = append(list, s)
		return nil
	}, `SELECT id, clinic, starts, ends, minutes, extra, state, reason FROM hospital_session WHERE lane = ? AND tenant = ? AND `+cond+` ORDER BY starts, id`,
		append([]any{int64(o.lane(hospital)), hospital.String()}, args...)...)
	return list, err
}

func (o *Outpatients) slotsIn(tx *store.Tx, hospital ident.ODSCode, session string) ([]Slot, error) {
	return o.slotsBy(tx, hospital, `session = ? ORDER BY +starts, id`, session) // the sign keeps it from walking all slots of the hospital in the order of their time
}

func (o *Outpatients) slotsWhere(tx *store.Tx, hospital ident.ODSCode, cond string, args ...any) ([]Slot, error) {
	return o.slotsBy(tx, hospital, cond+` ORDER BY starts, session, id`, args...)
}

func (o *Outpatients) slotsBy(tx *store.Tx, hospital ident.ODSCode, cond string, args ...any) (list []Slot, err error) {
	err = rowsOf(tx, func(r *store.Rows) error {
		var x Slot
		var starts, ends int64
		if err := r.Scan(&x.Session, &x.ID, (*int64)(&x.Epoch), (*int64)(&x.Base), &starts, &ends, &x.Kind); err != nil {
			return err
		}
		x.Starts, x.Ends = fromMicros(starts), fromMicros(ends)
		list = append(list, x)
		return nil
	}, `SELECT session, id, epoch, base, starts, ends, kind FROM hospital_slot WHERE lane = ? AND tenant = ? AND `+cond,
		append([]any{int64(o.lane(hospital)), hospital.String()}, args...)...)
	return list, err
}

// heldIn is who the hospital itself put into the slots of a session, by slot, at the epochs that hold.
func (o *Outpatients) heldIn(tx *store.Tx, hospital ident.ODSCode, session string) (map[string]string, error) {
	held := map[string]string{}
	err := rowsOf(tx, func(r *store.Rows) error {
		var slot, who string
		if err := r.Scan(&slot, &who); err != nil {
			return err
		}
		held[slot] = who
		return nil
	}, `SELECT h.slot, h.who FROM hospital_hold h JOIN hospital_slot s ON s.lane = h.lane AND s.tenant = h.tenant AND s.session = h.session AND s.id = h.slot
		WHERE h.lane = ? AND h.tenant = ? AND h.session = ? AND h.epoch >= s.base`, int64(o.lane(hospital)), hospital.String(), session)
	return held, err
}
