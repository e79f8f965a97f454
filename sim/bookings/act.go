package bookings

import (
	"context"
	"fmt"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/hospital"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/referral"
	"github.com/openspine/openspine/store"
)

// made is a referral that a practice was told of.
type made struct {
	ubrn  ident.UBRN
	chart string
}

// promise is a booking that somebody was told of.
type promise struct {
	version int64
	at      referral.Appointment
}

// done says what came of something that somebody did: what is refused is said in words, and what fails by a fault of ours is a broken promise.
func (n *node) done(what string, err error) bool {
	kind := fault.KindOf(err)
	switch {
	case n.Disk.Dark():
		n.w.Say("%s: %s, and the power goes", n.Name, what)
		return false
	case err == nil:
		n.w.Say("%s: %s", n.Name, what)
		return true
	case kind == fault.Internal:
		n.w.Break("%s: %s: %v", n.Name, what, err)
	default:
		n.w.Say("%s: %s: refused: %s", n.Name, what, fault.MessageOf(err))
	}
	return false
}

func (w *world) gp() access.Principal {
	return access.Principal{ID: "gp", Name: "Dr Amara Whitfield", Role: access.Clinician, Organisation: Practice, AuthMethod: "session"}
}

// caller is somebody at the spine.
func (n *node) caller(p access.Principal) referral.Caller {
	return referral.Caller{Principal: p, Ask: func(acts ...access.Act) ([]access.Grant, error) { return n.gate.DecideAll(n.w.Ctx, p, acts) }}
}

// either is the doctor of the practice or the patient, who do much the same.
func (n *node) either(m made) referral.Caller {
	if n.w.Rng.IntN(2) == 0 {
		return n.caller(n.w.gp())
	}
	return n.caller(access.Principal{ID: "ubrn/" + m.ubrn.String(), Name: "Patient, by reference number", Role: access.Patient, Person: m.chart, AuthMethod: "ubrn"})
}

// mostReferrals is how many a simulation has.
const mostReferrals = 9

// people lets a doctor or a patient do something at the spine.
func (n *node) people() {
	w := n.w
	if len(w.made) == 0 || len(w.made) < mostReferrals && w.Rng.IntN(5) == 0 {
		n.referSomebody()
		return
	}
	if w.talks.some && w.Rng.IntN(6) == 0 {
		n.talk()
		return
	}
	m := w.made[w.Rng.IntN(len(w.made))]
	waits := w.queue.many && w.Rng.IntN(2) == 0
	if waits {
		m = n.someone()
	}
	r, ok := n.current(m)
	if !ok {
		return
	}
	if waits {
		n.wait(m, r)
		return
	}
	if r.Offer != nil && w.Rng.IntN(2) == 0 {
		n.take(m, r)
		return
	}
	switch k := w.Rng.IntN(22); {
	case k >= 20:
		n.attach(m, r)
	case k < 11:
		n.book(m, r)
	case k < 14:
		if n.act(m, r, n.either(m), referral.Work{Kind: referral.ActCancelBy, Reason: "PATIENT_ILL"}) {
			w.res.Cancelled++
		}
	case k < 16:
		n.act(m, r, n.either(m), referral.Work{Kind: referral.ActDefer, Service: w.service(), Reason: []string{"", "BOOKING_ATTEMPT_PROBLEM", "BOOKING_ATTEMPT_PROBLEM"}[w.Rng.IntN(3)]}) // as they say also where times are free
	case k < 17:
		n.act(m, r, n.caller(w.gp()), referral.Work{Kind: referral.ActSendTriage, Service: w.service()})
	case k < 19:
		n.act(m, r, n.caller(w.gp()), referral.Work{Kind: referral.ActShortlist, Services: w.shortlist()})
	case w.Rng.IntN(3) == 0:
		n.act(m, r, n.caller(w.gp()), referral.Work{Kind: referral.ActCancel, Reason: "TREATMENT_NO_LONGER_REQUIRED", Comment: "Better."})
	default:
		n.act(m, r, n.caller(w.gp()), referral.Work{Kind: referral.ActReinstate})
	}
}

func (w *world) service() string {
	if w.Rng.IntN(6) == 0 {
		return ServiceOf(Apart)
	}
	return ServiceOf(hospitals[w.Rng.IntN(len(hospitals))])
}

func (w *world) shortlist() []string {
	switch k := w.Rng.IntN(6); k {
	case 0, 1:
		return []string{ServiceOf(hospitals[k])}
	case 2:
		return []string{ServiceOf(Apart)}
	case 3:
		return []string{ServiceOf(hospitals[0]), ServiceOf(Apart)}
	}
	return []string{ServiceOf(hospitals[0]), ServiceOf(hospitals[1])}
}

func (n *node) referSomebody() {
	w := n.w
	u, err := ident.ParseUBRN(fmt.Sprintf("%012d", 1_000_000_000+len(w.made)*7919+w.Step))
	if err != nil {
		w.Break("a UBRN: %v", err)
		return
	}
	who := Patient(w.Rng.IntN(People))
	request := referral.ForAppointment
	if w.Rng.IntN(6) == 0 {
		request = referral.ForTriage
	}
	got, err := n.refer.Create(w.Ctx, n.caller(w.gp()), referral.Draft{Patient: who, Priority: referral.Routine, Request: request, Services: w.shortlist(), Letter: "Please see.", UBRN: u})
	if n.done("refers "+u.String(), err) {
		w.res.Referrals++
		w.made = append(w.made, made{u, got.Chart})
	}
}

// current is a referral as whoever acts on it sees it.
func (n *node) current(m made) (r referral.Referral, ok bool) {
	r, err := n.refer.Get(n.w.Ctx, n.caller(n.w.gp()), m.ubrn)
	return r, err == nil
}

// book lets somebody choose a time, hold it perhaps, and book it or move to it; they may have looked at the list a while ago.
func (n *node) book(m made, r referral.Referral) {
	w := n.w
	service := w.service()
	if w.Rng.IntN(6) > 0 {
		service = r.Shortlist[w.Rng.IntN(len(r.Shortlist))].Service
	}
	holder := fmt.Sprint("holder ", w.Rng.IntN(3))
	free, err := n.refer.FreeSlots(w.Ctx, service, time.Time{}, time.Time{}, holder, 6)
	if err != nil {
		return
	}
	var at referral.SlotRef
	switch k := w.Rng.IntN(8); {
	case len(free) > 0 && k < 6:
		at = free[w.Rng.IntN(len(free))].SlotRef
	case k < 7 && len(w.told) > 0: // a time that was somebody's, chosen in another window or long ago
		for _, other := range w.made {
			if p, there := w.told[other.ubrn.String()]; there && w.Rng.IntN(2) == 0 {
				at = p.at.SlotRef
			}
		}
	default:
		at = n.anySlot(service)
	}
	if at.Slot == "" {
		return
	}
	work := referral.Work{Kind: referral.ActBook, Slot: at, Service: service, Seen: r.Version}
	if r.State == referral.Booked {
		work.Kind = referral.ActMove
	}
	if w.Rng.IntN(3) == 0 {
		_, err := n.refer.Hold(w.Ctx, at, holder)
		if !n.done("holds "+at.Slot, err) {
			return
		}
		work.Holder = holder
		if w.Rng.IntN(3) == 0 {
			return // they decide later, or never
		}
	}
	n.act(m, r, n.either(m), work)
	if w.Rng.IntN(6) == 0 && !n.Disk.Dark() { // a double click
		n.act(m, r, n.either(m), work)
	}
}

// anySlot is a slot that a hospital has made, whoever owns it: a caller of the API may name it.
func (n *node) anySlot(service string) (at referral.SlotRef) {
	for _, h := range n.w.nodes[1:] {
		if ServiceOf(h.code) != service || h.sessions == 0 {
			continue
		}
		at.Provider, at.Session = h.code, fmt.Sprintf("%s-s%d", h.Name, 1+n.w.Rng.IntN(h.sessions))
		at.Slot = fmt.Sprintf("%s-%02d%02d", at.Session, 9+n.w.Rng.IntN(2), 30*n.w.Rng.IntN(2))
	}
	return at
}

// act does something to a referral; true when it was done.
func (n *node) act(m made, r referral.Referral, c referral.Caller, work referral.Work) bool {
	w := n.w
	after, err := n.refer.Act(w.Ctx, c, m.ubrn, work)
	w.queue.refused = err
	what := fmt.Sprintf("%s does %s to %s %s", c.Principal.ID, work.Kind, m.ubrn, work.Slot.Slot)
	if _, taken := referral.Taken(err); taken {
		w.res.Taken++
	}
	if !n.done(what, err) {
		return false
	}
	delete(w.told, m.ubrn.String())
	if after.State == referral.Booked && after.Appointment != nil && after.Asked == nil {
		w.told[m.ubrn.String()] = promise{after.Version, *after.Appointment}
		if work.Kind == referral.ActMove {
			w.res.Moved++
		} else {
			w.res.Booked++
		}
	}
	return true
}

func (n *node) clerk() access.Principal {
	return access.Principal{ID: "clerk", Name: "Mrs Gwladys Fenn", Role: access.Clerk, Organisation: n.code, AuthMethod: "session"}
}

func (n *node) doctor() access.Principal {
	return access.Principal{ID: "doctor", Name: "Dr Saoirse Quinlan", Role: access.Clinician, Organisation: n.code, AuthMethod: "session"}
}

// staff lets somebody at a hospital do something.
func (n *node) staff() {
	w, ctx := n.w, n.w.Ctx
	session := fmt.Sprintf("%s-s%d", n.Name, 1+w.Rng.IntN(max(1, n.sessions)))
	if w.queue.many && w.Rng.IntN(5) == 0 {
		n.reclaim()
		return
	}
	if w.talks.some && w.Rng.IntN(7) == 0 {
		n.advise()
		return
	}
	if list := n.putsWhere(openPuts); len(list) > 0 && w.Rng.IntN(4) == 0 {
		n.settleByHand(list)
		return
	}
	if w.IsCut(n.Machine, w.nodes[0].Machine) && w.Rng.IntN(5) == 0 {
		n.putByHand()
		return
	}
	switch k := w.Rng.IntN(24); {
	case n.sessions == 0 || k < 2 && n.sessions < w.queue.sessions:
		n.hold()
	case k < 4:
		count, err := n.clinics.Give(ctx, n.clerk(), n.code, session)
		if n.done("gives of "+session, err) {
			w.res.Given += count
		}
	case k < 6:
		if n.done("asks back "+session, n.clinics.Recall(ctx, n.clerk(), n.code, session, "needed")) {
			w.res.Recalled++
		}
	case k < 7:
		_, err := n.clinics.Withdraw(ctx, n.clerk(), n.code, session, "The consultant is ill")
		if n.done("withdraws "+session, err) {
			w.res.Withdrawn++
		}
	case k < 8:
		_, err := n.clinics.AddSlot(ctx, n.clerk(), n.code, session, n.Clock.Now().Add(time.Duration(w.Rng.IntN(14*24))*time.Hour))
		n.done("puts a slot into "+session, err)
	case k < 18:
		n.decide()
	case k < 21:
		n.come()
	case k < 22:
		n.done("compares", n.clinics.Tally(ctx, n.code))
	default:
		n.done("registers", n.clinics.Register(ctx, n.code))
	}
}

// hold makes a session of four half hours from nine, or two where many wait, the last of which is a reserve, and gives the others to the spine.
func (n *node) hold() {
	w := n.w
	n.sessions++
	id := fmt.Sprintf("%s-s%d", n.Name, n.sessions)
	at := sessionStart(n.Clock.Now(), 1+w.Rng.IntN(12), 9)
	slots := 4
	if w.queue.many {
		slots = 2 // few times, and many who wait
	}
	err := n.clinics.MakeSession(w.Ctx, n.code, hospital.Session{ID: id, Clinic: "heart", Starts: at, Ends: at.Add(2 * time.Hour), Minutes: 30, Extra: 2, State: "open"}, slots, 1, true)
	if n.done("holds "+id+" on "+at.Format(time.DateOnly), err) {
		w.res.Given += slots - 1
	}
}

// decide lets somebody at the hospital decide of a referral that they see.
func (n *node) decide() {
	w := n.w
	ubrn, seen := n.someCase(`gone = 0 AND chart <> ''`)
	if ubrn == "" {
		return
	}
	d := hospital.Decision{Seen: seen}
	if w.Rng.IntN(3) == 0 {
		d.Seen = 0
	}
	by := n.doctor()
	switch k := w.Rng.IntN(12); {
	case k < 3:
		d.Kind = booking.ActAccept
	case k < 4:
		d.Kind, d.Reason, d.Comment = booking.ActReject, "SERVICE_INAPPROPRIATE", "Another clinic."
	case k < 5:
		d.Kind, d.Reason, d.Comment = booking.ActCancel, "CLINIC_CANCELLED", "No clinic."
	case k < 6:
		d.Kind = booking.ActTriageAccept
	case k < 7:
		d.Kind, d.Comment = booking.ActTriageReturn, "See the physiotherapist first."
	case k < 11:
		by = n.clerk()
		d.Kind = booking.ActMove
		d.Session, d.Slot = n.ownSlot()
		if d.Slot == "" {
			return
		}
	default:
		session, slot := n.ownSlot()
		if slot == "" {
			return
		}
		n.done("a follow-up for "+ubrn+" in "+slot, n.clinics.FollowUp(w.Ctx, n.clerk(), n.code, ubrn, session, slot))
		return
	}
	err := n.clinics.Decide(w.Ctx, by, n.code, ubrn, d)
	if n.done(fmt.Sprintf("decides %s of %s %s", d.Kind, ubrn, d.Slot), err) {
		if w.res.Decided++; d.Kind == booking.ActMove {
			w.res.Moves++
		}
	}
}

// come lets the desk write down that somebody came to their appointment, or did not.
func (n *node) come() {
	w := n.w
	if w.Rng.IntN(3) == 0 {
		n.comeByHand()
		return
	}
	ubrn, _ := n.someCase(`gone = 0 AND chart <> '' AND slot <> '' AND starts < ?`, n.Clock.Now().UnixMicro())
	if ubrn == "" {
		return
	}
	var session, slot string
	err := n.DB.Read(w.Ctx, func(tx *store.Tx) error {
		return tx.QueryRow(`SELECT session, slot FROM hospital_case WHERE lane = 0 AND tenant = ? AND ubrn = ?`, n.code.String(), ubrn).Scan(&session, &slot)
	})
	if err != nil {
		return
	}
	c := n.coming(ubrn, session, slot)
	if n.done(fmt.Sprintf("%s %s in %s", ubrn, c.State, c.Slot), n.clinics.Come(w.Ctx, n.doctor(), n.code, ubrn, c)) {
		w.res.Seen++
		n.assessed(ubrn, c)
	}
}

// someCase is one of the referrals that the hospital knows, and the version that it sees.
func (n *node) someCase(cond string, args ...any) (ubrn string, version int64) {
	type row struct {
		ubrn    string
		version int64
	}
	var list []row
	err := n.DB.Read(n.w.Ctx, func(tx *store.Tx) error {
		list = nil
		rows, err := tx.Query(`SELECT ubrn, version FROM hospital_case WHERE lane = 0 AND tenant = ? AND `+cond+` ORDER BY ubrn`, append([]any{n.code.String()}, args...)...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var r row
			if err := rows.Scan(&r.ubrn, &r.version); err != nil {
				return err
			}
			list = append(list, r)
		}
		return rows.Err()
	})
	if err != nil || len(list) == 0 {
		return "", 0
	}
	r := list[n.w.Rng.IntN(len(list))]
	return r.ubrn, r.version
}

// ownSlot is a slot of the hospital's; mostly one that it owns.
func (n *node) ownSlot() (session, slot string) {
	var list [][2]string
	cond := `epoch % 2 = 0 AND starts > ?`
	if n.w.Rng.IntN(5) == 0 {
		cond = `starts > ?`
	}
	err := n.DB.Read(n.w.Ctx, func(tx *store.Tx) error {
		list = nil
		rows, err := tx.Query(`SELECT session, id FROM hospital_slot WHERE lane = 0 AND tenant = ? AND `+cond+` ORDER BY session, id`, n.code.String(), n.Clock.Now().UnixMicro())
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var at [2]string
			if err := rows.Scan(&at[0], &at[1]); err != nil {
				return err
			}
			list = append(list, at)
		}
		return rows.Err()
	})
	if err != nil || len(list) == 0 {
		return "", ""
	}
	at := list[n.w.Rng.IntN(len(list))]
	return at[0], at[1]
}

// scope is what the practice's doctor, or the hospital's, may list.
func (n *node) scope(ctx context.Context, p access.Principal) (access.Scope, error) {
	return n.gate.DecideSet(ctx, p, access.Search, national, []string{access.TypeBooking})
}
