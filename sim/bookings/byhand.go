package bookings

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/hospital"
	"github.com/openspine/openspine/referral"
	"github.com/openspine/openspine/referral/codes"
	"github.com/openspine/openspine/store"
)

// While there is no line a clinic puts people by hand into times of the spine's, who are seen there or taken off again; the spine may book somebody else into that very time meanwhile. A person settles each, as soon as
// it can be. In a third of the countries there are days without a line, which the simulation spends at the clinic.

// byHand is what a simulation knows of such people, and of assessments.
type byHand struct {
	days    bool // there are days without a line
	puts    []placed
	results []result
}

// placed is somebody of whom a clinic was told that they are put into a slot by hand, and that what came of it is written down; "" while nothing is.
type placed struct {
	hospital, ubrn, session, slot string
	starts                        time.Time
	come                          string
}

// result is an assessment of which a hospital was told that it is written down.
type result struct{ hospital, ubrn, words string }

// openPut is somebody put in by hand, as the hospital's database has it.
type openPut struct {
	session, slot, who, how, come string
	starts, settled               int64
}

func (w *world) drawByHand() {
	if w.hand.days = w.Rng.IntN(3) == 0; w.hand.days {
		w.Weights.Cut = max(w.Weights.Cut, 15)
	}
}

// putsWhere are the people put in by hand whom a condition finds.
func (n *node) putsWhere(cond string) (list []openPut) {
	err := n.DB.Read(n.w.Ctx, func(tx *store.Tx) (err error) {
		list, err = putsIn(tx, cond)
		return err
	})
	if err != nil {
		return nil // the power went
	}
	return list
}

func putsIn(tx *store.Tx, cond string) (list []openPut, err error) {
	err = each(tx, `SELECT o.session, o.slot, o.who, o.how, o.come, o.settled, coalesce(s.starts, 0) FROM hospital_override o LEFT JOIN hospital_slot s ON s.lane = o.lane AND s.tenant = o.tenant AND s.session = o.session AND s.id = o.slot
		WHERE `+cond+` ORDER BY s.starts, o.slot, o.who`, func(r *store.Rows) error {
		var x openPut
		err := r.Scan(&x.session, &x.slot, &x.who, &x.how, &x.come, &x.settled, &x.starts)
		list = append(list, x)
		return err
	})
	return list, err
}

const openPuts = `o.settled = 0`

// withoutLine lets a day begin without a line at some hospital, or lets the hours pass until somebody who was put in by hand is to come.
func (w *world) withoutLine() {
	if !w.hand.days || w.Rng.IntN(9) > 0 {
		return
	}
	n := w.nodes[1+w.Rng.IntN(len(w.nodes)-1)]
	if !n.Up || n.Disk.Dark() {
		return
	}
	for _, x := range n.putsWhere(openPuts + ` AND o.come = ''`) {
		wait := time.UnixMicro(x.starts).Sub(n.Clock.Now())
		if wait > -6*time.Hour && wait < 9*24*time.Hour && w.Rng.IntN(2) == 0 {
			passed := max(0, wait) + time.Duration(w.Rng.IntN(180))*time.Minute
			w.Say("%s pass, and it is the day of %s", passed, x.slot)
			w.Pass(passed)
			for range 2 {
				n.comeByHand()
			}
			return
		}
	}
	until := w.Step + 6 + w.Rng.IntN(25)
	w.Say("%s has no line for some time", n.Name)
	w.Cut(n.Machine, w.nodes[0].Machine, until)
	w.Cut(w.nodes[0].Machine, n.Machine, until)
	for range 1 + w.Rng.IntN(3) {
		if !n.Disk.Dark() {
			n.putByHand()
		}
	}
}

// putByHand lets a clinic without a line put somebody into a time of the spine's; often somebody books that time at the spine.
func (n *node) putByHand() {
	w := n.w
	ubrn, _ := n.someCase(`gone = 0 AND chart <> ''`)
	at := n.spineSlot()
	if ubrn == "" || at.slot == "" {
		return
	}
	err := n.clinics.Override(w.Ctx, n.clerk(), n.code, ubrn, at.session, at.slot, "Cannot wait")
	if !n.done("puts "+ubrn+" by hand into "+at.slot, err) {
		return
	}
	w.res.ByHand++
	at.hospital, at.ubrn = n.Name, ubrn
	w.hand.puts = append(w.hand.puts, at)
	if spine := w.nodes[0]; w.Rng.IntN(2) == 0 && spine.Up && !spine.Disk.Dark() {
		spine.bookInto(referral.SlotRef{Provider: n.code, Session: at.session, Slot: at.slot})
	}
}

// spineSlot is a time that the hospital knows as the spine's: mostly one of the next.
func (n *node) spineSlot() placed {
	var list []placed
	err := n.DB.Read(n.w.Ctx, func(tx *store.Tx) error {
		list = nil
		return each(tx, `SELECT session, id, starts FROM hospital_slot WHERE epoch % 2 = 1 AND starts > ? ORDER BY starts, session, id LIMIT 8`, func(r *store.Rows) error {
			var x placed
			var starts int64
			err := r.Scan(&x.session, &x.slot, &starts)
			x.starts = time.UnixMicro(starts)
			list = append(list, x)
			return err
		}, n.Clock.Now().UnixMicro())
	})
	if err != nil || len(list) == 0 {
		return placed{}
	}
	return list[n.w.Rng.IntN(len(list))]
}

// bookInto lets somebody who may choose a time choose this one.
func (n *node) bookInto(at referral.SlotRef) {
	w := n.w
	for _, m := range w.made {
		r, ok := n.current(m)
		if !ok || w.Rng.IntN(2) == 0 {
			continue
		}
		work := referral.Work{Kind: referral.ActBook, Slot: at, Service: ServiceOf(at.Provider), Seen: r.Version}
		if r.State == referral.Booked {
			work.Kind = referral.ActMove
		}
		if n.act(m, r, n.either(m), work) {
			w.res.Meanwhile++
			return
		}
		if n.Disk.Dark() {
			return
		}
	}
}

// comeByHand lets the desk write down what came of somebody who was put in by hand: while there is no line, or later.
func (n *node) comeByHand() {
	w := n.w
	list := n.putsWhere(openPuts + ` AND o.come = ''`)
	if len(list) == 0 {
		return
	}
	x := list[w.Rng.IntN(len(list))]
	c := n.coming(x.who, x.session, x.slot)
	if !n.done(fmt.Sprintf("%s, put in by hand, %s in %s: %s", x.who, c.State, x.slot, c.Outcome), n.clinics.Come(w.Ctx, n.doctor(), n.code, x.who, c)) {
		return
	}
	w.res.Seen++
	n.assessed(x.who, c)
	for i, p := range w.hand.puts {
		if p.hospital == n.Name && p.ubrn == x.who && p.slot == x.slot && c.State != "arrived" {
			w.hand.puts[i].come = c.State
		}
	}
}

// coming draws what came of somebody.
func (n *node) coming(ubrn, session, slot string) hospital.Coming {
	w := n.w
	c := hospital.Coming{Session: session, Slot: slot}
	switch w.Rng.IntN(6) {
	case 0:
		c.State = "arrived"
	case 1:
		c.State, c.Rebook, c.Reason = "did-not-attend", w.Rng.IntN(2) == 0, codes.List(codes.Missed, n.Clock.Now())[0].Code
	case 2:
		c.State, c.Outcome, c.Status = "attended", "discharged", "34"
	case 3:
		c.State, c.Outcome, c.Status = "attended", "assessed", "20"
		c.Note = w.words("The result of " + ubrn)
	default:
		c.State, c.Outcome, c.Status = "attended", "treatment", "30"
	}
	return c
}

// assessed notes that a hospital was told that the result of an assessment is written down.
func (n *node) assessed(ubrn string, c hospital.Coming) {
	if c.Outcome != "assessed" {
		return
	}
	n.w.res.Assessed++
	n.w.hand.results = append(n.w.hand.results, result{n.Name, ubrn, c.Note})
}

// settleByHand lets a person settle one of those who were put in by hand.
func (n *node) settleByHand(list []openPut) {
	w := n.w
	x := list[w.Rng.IntN(len(list))]
	if x.come != "" {
		if n.done("settles that "+x.who+" was in "+x.slot, n.clinics.TellSeen(w.Ctx, n.clerk(), n.code, x.who, x.slot)) {
			w.res.Settled++
		}
		return
	}
	d := hospital.Decision{Kind: booking.ActMove, Session: x.session, Slot: x.slot}
	switch k := w.Rng.IntN(8); {
	case k < 2:
		if d.Session, d.Slot = n.ownSlot(); d.Slot == "" {
			return
		}
	case k < 4:
		if n.done("takes "+x.who+" off "+x.slot, n.clinics.TakeOff(w.Ctx, n.clerk(), n.code, x.who, x.slot)) {
			w.res.Settled++
		}
		return
	}
	if n.done(fmt.Sprintf("settles that %s is in %s by hand: %s", x.who, x.slot, d.Slot), n.clinics.Decide(w.Ctx, n.clerk(), n.code, x.who, d)) {
		w.res.Settled++
		w.res.Moves++
	}
}

// settleAll lets people settle, at rest, whoever was put in by hand and is not settled yet: nothing may keep them from it.
func (w *world) settleAll() (did bool) {
	for _, n := range w.nodes[1:] {
		for _, x := range n.putsWhere(openPuts) {
			did = true
			if still := n.putsWhere(openPuts + ` AND o.slot = '` + x.slot + `' AND o.who = '` + x.who + `'`); len(still) == 0 {
				continue // with another of theirs
			}
			if x.come != "" {
				if err := n.clinics.TellSeen(w.Ctx, n.clerk(), n.code, x.who, x.slot); !n.done("settles that "+x.who+" was in "+x.slot, err) {
					w.Break("at rest %s cannot settle that %s was seen in %s: %v", n.Name, x.who, x.slot, err)
				}
				continue
			}
			into := n.clinics.Decide(w.Ctx, n.clerk(), n.code, x.who, hospital.Decision{Kind: booking.ActMove, Session: x.session, Slot: x.slot})
			if n.done("settles that "+x.who+" is in "+x.slot, into) {
				continue
			}
			if err := n.clinics.TakeOff(w.Ctx, n.clerk(), n.code, x.who, x.slot); !n.done("takes "+x.who+" off "+x.slot, err) {
				w.Break("at rest %s can neither book %s into %s (%v) nor take them off it: %v", n.Name, x.who, x.slot, into, err)
			}
		}
	}
	return did
}

// checkPuts holds a hospital to this at every moment: one person at most is put into a slot by hand, and nobody else is in it but whom the spine has booked.
func (w *world) checkPuts(n *node, h seenBy) {
	in := map[string]string{}
	for _, x := range h.puts {
		if other := in[x.slot]; other != "" {
			w.Break("%s has put %s and %s by hand into %s", n.Name, other, x.who, x.slot)
		}
		in[x.slot] = x.who
		if who := strings.TrimPrefix(h.holds[place{n.Name, x.slot}], "f:"); who != "" && who != x.who {
			w.Break("%s has put %s into %s, and before that %s by hand", n.Name, who, x.slot, x.who)
		}
	}
}

// actOf is an act of a hospital's, as its database has it.
type actOf struct {
	ubrn, state string
	booking.Act
}

func (n *node) acts() (list []actOf) {
	err := n.DB.Read(n.w.Ctx, func(tx *store.Tx) error {
		list = nil
		return each(tx, `SELECT ubrn, state, body FROM hospital_act ORDER BY ubrn, number`, func(r *store.Rows) error {
			var a actOf
			var body []byte
			if err := r.Scan(&a.ubrn, &a.state, &body); err != nil {
				return err
			}
			err := json.Unmarshal(body, &a.Act)
			list = append(list, a)
			return err
		})
	})
	if err != nil {
		n.w.Break("%s cannot be read: %v", n.Name, err)
	}
	return list
}

// came reports whether an act says what came of an appointment.
func (a actOf) came() bool {
	return a.Kind == booking.ActAttended || a.Kind == booking.ActNotAttended || a.Kind == booking.ActAssessed
}

// checkByHand looks whether everybody who was put in by hand is settled, and what came of them told, and whether the spine has it so where it has taken it.
func (w *world) checkByHand(n *node, s seenBy) {
	acts := n.acts()
	for _, a := range acts {
		if a.state == "waiting" {
			w.Break("at rest the spine has not answered that %s does %s to %s", n.Name, a.Kind, a.ubrn)
		}
	}
	if n.Lost {
		return
	}
	rows := n.putsWhere(`1 = 1`)
	for _, p := range w.hand.puts {
		if p.hospital != n.Name {
			continue
		}
		i := slices.IndexFunc(rows, func(x openPut) bool { return x.who == p.ubrn && x.slot == p.slot })
		if i < 0 || rows[i].settled == 0 {
			w.Break("%s has put %s by hand into %s, and it is not settled", n.Name, p.ubrn, p.slot)
			continue
		}
		versions := w.history(s, p.ubrn)
		was := func(act ...referral.Kind) bool {
			there := false // before that version: whoever missed it, or was assessed, has no appointment any more
			for _, v := range versions {
				if there && slices.Contains(act, v.Act) {
					return true
				}
				there = v.Appointment != nil && v.Appointment.Session == p.session && v.Appointment.Start.Equal(p.starts)
				if there && len(act) == 0 {
					return true
				}
			}
			return w.nodes[0].Lost
		}
		told := slices.IndexFunc(acts, func(a actOf) bool {
			return a.ubrn == p.ubrn && a.Appointment != nil && a.Appointment.Session == p.session && a.Appointment.Start.Equal(p.starts) && (a.came() || p.come == "" && rows[i].how == "taken" && (a.Kind == booking.ActMove || a.Kind == booking.ActOffer))
		})
		switch {
		case p.come != "" && told < 0 && (p.come != "did-not-attend" || !n.keptHere(p.ubrn)):
			w.Break("%s has written down that %s %s in %s, into which they were put by hand, and the spine was not told", n.Name, p.ubrn, p.come, p.slot)
		case p.come != "" && told >= 0 && acts[told].state == "confirmed" && !was(referral.ActAttended, referral.ActNotAttended, referral.ActAssessed):
			w.Break("the spine has taken that %s %s in %s at %s, and does not know it", p.ubrn, p.come, p.slot, n.Name)
		case p.come == "" && rows[i].how == "taken" && (told < 0 || acts[told].state == "confirmed" && !was()):
			w.Break("%s has booked %s into %s, into which they were put by hand, and the spine does not know it", n.Name, p.ubrn, p.slot)
		case rows[i].how == "booked" && !was():
			w.Break("%s says that the spine itself has booked %s into %s, and it has not", n.Name, p.ubrn, p.slot)
		}
	}
}

// keptHere reports whether a hospital kept to itself that somebody did not come, who has another time.
func (n *node) keptHere(ubrn string) (kept bool) {
	err := n.DB.Read(n.w.Ctx, func(tx *store.Tx) error {
		return tx.QueryRow(`SELECT count(*) > 0 FROM hospital_event WHERE who = ? AND what = 'kept-here'`, ubrn).Scan(&kept)
	})
	return err == nil && kept
}

// history is what the spine says that a referral has been.
func (w *world) history(s seenBy, ubrn string) []referral.Version {
	r, there := s.referrals[ubrn]
	if !there {
		return nil
	}
	list, err := w.nodes[0].refer.History(w.Ctx, w.nodes[0].caller(w.gp()), r.UBRN)
	if err != nil {
		w.Break("the history of %s: %v", ubrn, err)
	}
	return list
}

// checkAssessed looks whether the result of each assessment has reached the practice, once; or was refused, which is on the hospital's list.
func (w *world) checkAssessed(s seenBy) {
	for _, x := range w.hand.results {
		n := w.nodes[slices.IndexFunc(w.nodes, func(n *node) bool { return n.Name == x.hospital })]
		if n.Lost {
			continue
		}
		state, told := "", 0
		for _, a := range n.acts() {
			if a.Kind == booking.ActAssessed && a.Comment == x.words {
				state = a.state
				told++
			}
		}
		got := 0
		for _, v := range w.history(s, x.ubrn) {
			if v.Act == referral.ActAssessed && v.Notes == x.words {
				got++
			}
		}
		switch {
		case told != 1:
			w.Break("%s has assessed %s, and has told it %d times", x.hospital, x.ubrn, told)
		case !w.nodes[0].Lost && (got > 1 || got == 0 && state == "confirmed" || got > 0 && state != "confirmed"):
			w.Break("%s has assessed %s, the spine %s it, and the practice has got it %d times", x.hospital, x.ubrn, cmp.Or(map[string]string{"confirmed": "took"}[state], "refused"), got)
		}
	}
}
