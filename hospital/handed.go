package hospital

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/store"
)

// hand sends slots of a session to the spine, and remembers by which message, so that what the spine refuses is known by it.
func (o *Outpatients) hand(tx *store.Tx, hospital ident.ODSCode, m booking.Slots) error {
	id, err := send(o, tx, hospital, booking.WorkflowSlots, m.Session, m)
	if err != nil {
		return err
	}
	return o.setSlots(tx, hospital, m.Session, m.Slots, `handed = ?`, id)
}

// setTogether is how many slots one statement writes.
const setTogether = 16

// setSlots writes the same into several slots of a session.
func (o *Outpatients) setSlots(tx *store.Tx, hospital ident.ODSCode, session string, slots []booking.Slot, set string, values ...any) error {
	for some := range slices.Chunk(slots, setTogether) {
		args := append(slices.Clone(values), int64(o.lane(hospital)), hospital.String(), session)
		for i := range setTogether {
			args = append(args, some[min(i, len(some)-1)].ID) // always as many, so that it is one statement
		}
		if err := tx.Queue(`UPDATE hospital_slot SET `+set+` WHERE lane = ? AND tenant = ? AND session = ? AND id IN (?`+strings.Repeat(", ?", setTogether-1)+`)`, args...); err != nil {
			return err
		}
	}
	return nil
}

// handing reports whether the message that handed a slot to the spine last is still under way.
func (o *Outpatients) handing(tx *store.Tx, hospital ident.ODSCode, x Slot) (bool, error) {
	var message string
	err := tx.QueryRow(`SELECT handed FROM hospital_slot WHERE lane = ? AND tenant = ? AND session = ? AND id = ?`, int64(o.lane(hospital)), hospital.String(), x.Session, x.ID).Scan(&message)
	if err != nil {
		return false, err
	}
	return o.k.Post().UnderWay(tx, message)
}

// slotsAnswered learns that the spine would not take slots. They are nobody's to book until it is settled whose they are: on the page of what differs, with the spine's reason.
func (o *Outpatients) slotsAnswered(_ context.Context, tx *store.Tx, r messaging.Receipt) error {
	if r.State != messaging.Refused {
		return nil
	}
	_, err := tx.Exec(`INSERT INTO hospital_refused (lane, tenant, message, session, reason, at) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (lane, tenant, message) DO UPDATE SET reason = excluded.reason`,
		int64(o.lane(r.From)), r.From.String(), r.ID, r.Conversation, r.Reason, micros(r.At))
	return err
}

// Refusal is slots of a session that the spine would not take.
type Refusal struct {
	Session, Reason string
	At              time.Time
	Slots           int64
}

// refusalsStand is which refusals stand: those by whose message a slot that is not the hospital's was handed over last.
const refusalsStand = `FROM hospital_refused r JOIN hospital_slot s ON s.lane = r.lane AND s.tenant = r.tenant AND s.session = r.session AND s.handed = r.message WHERE r.lane = ? AND r.tenant = ? AND s.epoch % 2 = 1`

func (o *Outpatients) refusalsIn(tx *store.Tx, hospital ident.ODSCode) (list []Refusal, err error) {
	err = rowsOf(tx, func(r *store.Rows) error {
		var x Refusal
		var at int64
		err := r.Scan(&x.Session, &x.Reason, &at, &x.Slots)
		x.At = fromMicros(at)
		list = append(list, x)
		return err
	}, `SELECT r.session, r.reason, r.at, count(*) `+refusalsStand+` GROUP BY r.session, r.message, r.reason, r.at ORDER BY r.at, r.session`, int64(o.lane(hospital)), hospital.String())
	return list, err
}

// retell says again what a second comparison, and the two after it, still find lost: a slot that was handed to the spine, of which it was never told. What the spine has handed back,
// and what says so was lost, is taken by the comparison itself. After that it is tried once a day; a person sees it meanwhile.
func (o *Outpatients) retell(tx *store.Tx, hospital ident.ODSCode, found []Difference, told booking.Tally) error {
	marks := map[string]booking.SlotMark{}
	for _, m := range told.Slots {
		marks[m.ID] = m
	}
	refused := map[string]bool{}
	if err := rowsOf(tx, func(r *store.Rows) error {
		var id string
		err := r.Scan(&id)
		refused[id] = true
		return err
	}, `SELECT s.id `+refusalsStand, int64(o.lane(hospital)), hospital.String()); err != nil {
		return err
	}
	anew := map[string][]Slot{}
	for _, d := range found {
		if d.Kind != "slot" || d.Rounds < 2 || d.Rounds > 4 && d.Rounds%24 != 0 || refused[d.Thing] {
			continue
		}
		list, err := o.slotsWhere(tx, hospital, `id = ?`, d.Thing)
		if err != nil {
			return err
		}
		for _, x := range list {
			m := marks[x.ID]
			switch {
			case x.Epoch > m.Epoch && booking.Spine.Owns(x.Epoch):
				waits, err := o.handing(tx, hospital, x)
				if err != nil {
					return err
				}
				if waits {
					continue // saying it again would only wait behind what said it
				}
				anew[x.Session] = append(anew[x.Session], x)
			case x.Epoch < m.Epoch && booking.Spine.Owns(x.Epoch): // given back, or the spine's since a settling that a restore here has lost
				settled(&x, m.Epoch, m)
				if err := o.putSlot(tx, hospital, x); err != nil {
					return err
				}
			}
		}
	}
	return o.handAnew(tx, hospital, anew)
}

// differing are the sessions whose slots a comparison has found handed over and not taken.
func (o *Outpatients) differing(tx *store.Tx, hospital ident.ODSCode) (sessions []string, err error) {
	err = rowsOf(tx, func(r *store.Rows) error {
		var session string
		err := r.Scan(&session)
		sessions = append(sessions, session)
		return err
	}, `SELECT DISTINCT s.session FROM hospital_difference d JOIN hospital_slot s ON s.lane = d.lane AND s.tenant = d.tenant AND s.id = d.thing WHERE d.lane = ? AND d.tenant = ? AND d.kind = 'slot' AND d.mine > d.theirs ORDER BY s.session`,
		int64(o.lane(hospital)), hospital.String())
	return sessions, err
}

// found makes what the hospital has lost by a restore again, as far as the spine's booking names it: the session, the slot, and who is in it where it is the hospital's own. So whoever is
// told "booked" stands in the diary. It returns the session of the appointment, nil where there is none.
func (o *Outpatients) found(tx *store.Tx, hospital ident.ODSCode, c booking.Case) (*Session, error) {
	a := c.Appointment
	if a == nil || c.Gone {
		return nil, nil
	}
	s, err := o.sessionIn(tx, hospital, a.Session)
	lost := fault.Is(err, fault.NotFound)
	if err != nil && !lost {
		return nil, err
	}
	if lost {
		clinics, err := o.clinicsIn(tx, hospital)
		if err != nil {
			return nil, err
		}
		s = Session{ID: a.Session, Starts: a.Start, Ends: a.End, Minutes: int(a.End.Sub(a.Start) / time.Minute), State: sessionFound}
		for _, x := range clinics {
			if x.Service == c.Service {
				s.Clinic = x.ID
			}
		}
		if s.Clinic == "" {
			return nil, nil // the referral says when, and that the hospital has no such clinic any more
		}
	}
	list, err := o.slotsWhere(tx, hospital, `session = ? AND id = ?`, a.Session, a.Slot)
	if err != nil {
		return nil, err
	}
	had := len(list) > 0
	if !had {
		if s.State == sessionFound {
			if a.Start.Before(s.Starts) {
				s.Starts = a.Start
			}
			if a.End.After(s.Ends) {
				s.Ends = a.End
			}
			if err := o.putSession(tx, hospital, s); err != nil {
				return nil, err
			}
		}
		list = []Slot{{Session: a.Session, ID: a.Slot, Epoch: a.Epoch, Base: a.Epoch, Starts: a.Start, Ends: a.End, Kind: kindOffered}}
		if err := o.putSlot(tx, hospital, list[0]); err != nil {
			return nil, err
		}
	}
	if err := o.holdTold(tx, hospital, list[0], a.Epoch, c.UBRN); err != nil || lost && had {
		return nil, err
	}
	return &s, nil
}

// holdTold holds a slot of the hospital's own for whom the spine has in it: a restore has lost that the hospital put them there.
func (o *Outpatients) holdTold(tx *store.Tx, hospital ident.ODSCode, x Slot, at booking.Epoch, u ident.UBRN) error {
	if !booking.Hospital.Owns(at) || !booking.Hospital.Owns(x.Epoch) || at < x.Base || o.seams.LetGo {
		return nil
	}
	held, err := o.heldIn(tx, hospital, x.Session)
	if err != nil || held[x.ID] != "" {
		return err
	}
	_, err = tx.Exec(`INSERT INTO hospital_hold (lane, tenant, session, slot, epoch, who, at) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (lane, tenant, session, slot, epoch) DO UPDATE SET who = excluded.who`,
		int64(o.lane(hospital)), hospital.String(), x.Session, x.ID, int64(at), u.String(), tx.At().UnixMicro())
	return err
}

// holdAll holds what the spine's answer says is taken of the hospital's own: before the hospital books again, though what tells of the referrals may come later.
func (o *Outpatients) holdAll(tx *store.Tx, hospital ident.ODSCode, told booking.Tally) error {
	for _, m := range told.Cases {
		if m.Slot == "" || !booking.Hospital.Owns(m.Epoch) {
			continue
		}
		list, err := o.slotsWhere(tx, hospital, `id = ?`, m.Slot)
		if err != nil {
			return err
		}
		for _, x := range list {
			if err := o.holdTold(tx, hospital, x, m.Epoch, m.UBRN); err != nil {
				return err
			}
		}
	}
	return nil
}

// putSession writes a session that was found again, or that the plan completes.
func (o *Outpatients) putSession(tx *store.Tx, hospital ident.ODSCode, s Session) error {
	_, err := tx.Exec(`INSERT INTO hospital_session (lane, tenant, id, clinic, starts, ends, minutes, extra, state, reason) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, '')
		ON CONFLICT (lane, tenant, id) DO UPDATE SET clinic = excluded.clinic, starts = excluded.starts, ends = excluded.ends, minutes = excluded.minutes, extra = excluded.extra, state = excluded.state`,
		int64(o.lane(hospital)), hospital.String(), s.ID, s.Clinic, s.Starts.UnixMicro(), s.Ends.UnixMicro(), int64(s.Minutes), int64(s.Extra), s.State)
	return err
}
