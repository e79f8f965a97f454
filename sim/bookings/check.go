package bookings

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/referral"
	"github.com/openspine/openspine/store"
)

// What must be so at every moment is checked after every step (checkNow); the rest when the faults have stopped and both sides have compared (check).

// place is a slot of a hospital, and at is it in one handing over.
type place struct{ provider, slot string }

// slotOf is what one side knows of a slot.
type slotOf struct {
	epoch, base booking.Epoch
	state       int64
	ubrn        string
	holder      string
	starts      int64
}

// caseOf is what a hospital knows of a referral.
type caseOf struct {
	booking.Case
	review         string
	rebook, closed int64
	refused        bool // something that the hospital decided of it, and nobody has dealt with that
}

// seenBy is what a node's database says.
type seenBy struct {
	referrals map[string]referral.Referral // the spine's
	slots     map[place]slotOf
	booked    map[place]string // the spine's bookings, by slot
	holds     map[place]string // whom a hospital put into its own slots, at the epochs that hold
	cases     map[string]caseOf
	withdrawn map[string]bool // sessions of a hospital that will not take place
	puts      []openPut       // whom a hospital has put in by hand, and nobody has settled
	sure      bool
}

// look reads what a node knows.
func (n *node) look() (s seenBy) {
	s = seenBy{referrals: map[string]referral.Referral{}, slots: map[place]slotOf{}, booked: map[place]string{}, holds: map[place]string{}, cases: map[string]caseOf{}, withdrawn: map[string]bool{}}
	read := n.readHospital
	if n.Name == "X26" {
		read = n.readSpine
	}
	if err := n.DB.Read(n.w.Ctx, func(tx *store.Tx) error { return read(tx, &s) }); err != nil {
		n.w.Break("%s cannot be read: %v", n.Name, err)
	}
	return s
}

// each reads rows.
func each(tx *store.Tx, query string, scan func(*store.Rows) error, args ...any) error {
	rows, err := tx.Query(query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (n *node) readSpine(tx *store.Tx, s *seenBy) error {
	err := each(tx, `SELECT body FROM referral_case`, func(r *store.Rows) error {
		var body []byte
		var x referral.Referral
		if err := r.Scan(&body); err != nil {
			return err
		}
		err := json.Unmarshal(body, &x)
		s.referrals[x.UBRN.String()] = x
		return err
	})
	if err == nil {
		err = each(tx, `SELECT provider, slot, epoch, base, state, ubrn, holder, starts FROM referral_slot`, func(r *store.Rows) error {
			var p place
			var x slotOf
			err := r.Scan(&p.provider, &p.slot, (*int64)(&x.epoch), (*int64)(&x.base), &x.state, &x.ubrn, &x.holder, &x.starts)
			s.slots[p] = x
			return err
		})
	}
	if err == nil {
		err = each(tx, `SELECT provider, slot, ubrn FROM referral_booking`, func(r *store.Rows) error {
			var p place
			var ubrn string
			err := r.Scan(&p.provider, &p.slot, &ubrn)
			s.booked[p] = ubrn
			return err
		})
	}
	return err
}

func (n *node) readHospital(tx *store.Tx, s *seenBy) error {
	err := each(tx, `SELECT id, epoch, base, starts FROM hospital_slot`, func(r *store.Rows) error {
		p := place{provider: n.Name}
		var x slotOf
		err := r.Scan(&p.slot, (*int64)(&x.epoch), (*int64)(&x.base), &x.starts)
		s.slots[p] = x
		return err
	})
	if err == nil {
		err = each(tx, `SELECT h.slot, h.who FROM hospital_hold h JOIN hospital_slot s ON s.lane = h.lane AND s.tenant = h.tenant AND s.session = h.session AND s.id = h.slot WHERE h.epoch >= s.base`, func(r *store.Rows) error {
			p := place{provider: n.Name}
			var who string
			if err := r.Scan(&p.slot, &who); err != nil {
				return err
			}
			if other, there := s.holds[p]; there {
				n.w.Break("%s has put %s and %s into %s", n.Name, other, who, p.slot)
			}
			s.holds[p] = who
			return nil
		})
	}
	if err == nil {
		err = each(tx, `SELECT c.body, p.review, p.rebook, p.closed, EXISTS (SELECT 1 FROM hospital_act a WHERE a.lane = c.lane AND a.tenant = c.tenant AND a.ubrn = c.ubrn AND a.state = 'refused') FROM hospital_case c JOIN hospital_pathway p ON p.lane = c.lane AND p.tenant = c.tenant AND p.who = c.ubrn`, func(r *store.Rows) error {
			var body []byte
			var c caseOf
			if err := r.Scan(&body, &c.review, &c.rebook, &c.closed, &c.refused); err != nil {
				return err
			}
			err := json.Unmarshal(body, &c.Case)
			s.cases[c.UBRN.String()] = c
			return err
		})
	}
	if err == nil {
		err = each(tx, `SELECT id FROM hospital_session WHERE state = 'withdrawn'`, func(r *store.Rows) error {
			var id string
			err := r.Scan(&id)
			s.withdrawn[id] = true
			return err
		})
	}
	if err == nil {
		s.puts, err = putsIn(tx, openPuts)
	}
	if err == nil {
		s.sure = true
		err = each(tx, `SELECT sure, incarnation FROM hospital_standing`, func(r *store.Rows) error {
			var sure int64
			var life string
			err := r.Scan(&sure, &life)
			s.sure = sure == 1 && life == n.DB.Incarnation()
			return err
		})
	}
	return err
}

// checkNow holds the country to what is so at every moment: two people never share a slot in one handing over, and a slot that the spine has booked is nobody's at the hospital. While a
// side that was restored has not been answered it books nothing, and knows no better.
func (w *world) checkNow() {
	spine := w.nodes[0]
	if !spine.Up {
		return
	}
	w.checkShown()
	if w.Restored() {
		return
	}
	s := spine.look()
	in := map[string]string{}
	w.checkOffers(s, 0)
	w.checkTalksNow()
	for _, u := range sorted(s.referrals) {
		if a := s.referrals[u].Appointment; a != nil && a.Provider != Apart { // whose system knows better while its answer is awaited
			key := fmt.Sprintf("%s %s at %d", a.Provider, a.Slot, a.Epoch)
			if other, there := in[key]; there {
				w.Break("%s and %s are both booked into %s", other, u, key)
			}
			in[key] = u
			if w.Rng.IntN(40) == 0 && a.Slot == "" {
				w.Break("%s is booked nowhere", u)
			}
		}
	}
	for _, n := range w.nodes[1:] {
		if !n.Up {
			continue
		}
		h := n.look()
		w.checkPuts(n, h)
		for u, r := range s.referrals {
			if o := r.Offer; o != nil && o.Until.After(spine.Clock.Now()) && booking.Spine.Owns(s.slots[place{n.Name, o.Slot}].epoch) && // otherwise it is over, and nobody is shown it
				o.Provider == n.code && h.holds[place{n.Name, o.Slot}] != "" && h.slots[place{n.Name, o.Slot}].base >= booking.Epoch(o.Epoch) {
				w.Break("%s has put %s into %s, which %s is offered", n.Name, h.holds[place{n.Name, o.Slot}], o.Slot, u)
			}
		}
		for p, who := range h.holds {
			if x := s.slots[p]; booking.Spine.Owns(x.epoch) && s.booked[p] != "" && x.epoch >= h.slots[p].base {
				w.Break("%s has put %s into %s, where the spine has booked %s", n.Name, who, p.slot, s.booked[p])
			}
		}
	}
}

func sorted[V any](m map[string]V) (keys []string) {
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// check holds the country, at rest, to what was promised.
func (w *world) check() {
	spine := w.nodes[0]
	s := spine.look()
	known := map[string]seenBy{}
	for _, n := range w.nodes[1:] {
		known[n.Name] = n.look()
	}
	w.checkTold(s)
	for _, u := range sorted(s.referrals) {
		w.checkSides(s.referrals[u], known)
		w.checkWaits(s.referrals[u], known)
		w.checkFiles(s.referrals[u], known)
	}
	w.apart.check(s)
	for _, n := range w.nodes[1:] {
		w.checkSlots(n, s, known[n.Name])
		w.checkEven(n, s, known[n.Name])
		w.checkByHand(n, s)
	}
	w.checkListed(s)
	w.checkAssessed(s)
	w.checkTalks(s)
	w.checkOnce()
	w.checkOffers(s, slack)
	w.checkOffersTold(s, known)
	w.checkTurns(s)
	w.checkOwed(s, known)
	w.countOffers(s)
	if len(w.Broken) > 0 {
		w.sayActs()
	}
	for _, n := range w.nodes {
		list, _, err := n.Post.Held(w.Ctx, messaging.Worklist{Limit: 100})
		if err != nil || len(list) > 0 {
			w.Break("at rest %d messages are held at %s, the first for %s (%v)", len(list), n.Name, list[0].Held.Reason, err)
		}
	}
}

// sayActs says what the hospitals decided and what came of it, for whoever looks at a seed that fails.
func (w *world) sayActs() {
	for _, n := range w.nodes[1:] {
		err := n.DB.Read(w.Ctx, func(tx *store.Tx) error {
			return each(tx, `SELECT ubrn, number, kind, state, answer, body FROM hospital_act ORDER BY ubrn, number`, func(r *store.Rows) error {
				var ubrn, kind, state, answer string
				var number int64
				var body []byte
				err := r.Scan(&ubrn, &number, &kind, &state, &answer, &body)
				w.Say("%s decided of %s, %d: %s, %s %s %s", n.Name, ubrn, number, kind, state, answer, body)
				return err
			})
		})
		if err != nil {
			w.Say("%s: %v", n.Name, err)
		}
	}
}

// checkTold looks whether whoever was told that they are booked was so: the version stands in the history. What a restore of the spine has lost apart.
func (w *world) checkTold(s seenBy) {
	if w.nodes[0].Lost {
		return
	}
	for _, u := range sorted(w.told) {
		p := w.told[u]
		list, err := w.nodes[0].refer.History(w.Ctx, w.nodes[0].caller(w.gp()), s.referrals[u].UBRN)
		i := slices.IndexFunc(list, func(v referral.Version) bool { return v.Version == p.version })
		if err != nil || i < 0 || list[i].Appointment == nil || list[i].Appointment.SlotRef != p.at.SlotRef {
			w.Break("%s was told that it is booked into %s, and was not (%v)", u, p.at.Slot, err)
		}
	}
}

// theirs reports whether a referral is its hospital's business in its state.
func theirs(r referral.Referral) bool {
	switch r.State {
	case referral.NotBooked, referral.CancelledByPatient, referral.Rejected, referral.TriageResponse, referral.Cancelled:
		return false
	}
	return !r.Provider().IsZero()
}

// checkSides looks whether both sides say the same of a referral: what the patient's page says is what the hospital holds.
func (w *world) checkSides(r referral.Referral, known map[string]seenBy) {
	u := r.UBRN.String()
	for _, name := range names()[1:] {
		c, there := known[name].cases[u]
		if a := r.Appointment; a != nil && theirs(r) && r.Provider().String() == name {
			if _, made := known[name].slots[place{name, a.Slot}]; !made {
				w.Break("%s is told that it is booked into %s, of which %s knows nothing", u, a.Slot, name)
			}
		}
		mine := theirs(r) && r.Provider().String() == name
		switch {
		case !mine && there && !c.Gone:
			w.Break("%s is %s at the spine, and %s has it as %s", u, r.State, name, c.State)
		case mine && (!there || c.Gone || c.Version != r.Version || c.State != string(r.State)):
			w.Break("%s is %s at version %d at the spine, and %s has it as %s at %d (gone %v)", u, r.State, r.Version, name, c.State, c.Version, c.Gone)
		case mine && (r.Appointment == nil) != (c.Appointment == nil):
			w.Break("%s is booked on one side alone: the spine says %v, %s %v", u, r.Appointment, name, c.Appointment)
		case mine && r.Appointment != nil && (r.Appointment.Slot != c.Appointment.Slot || r.Appointment.Epoch != int64(c.Appointment.Epoch)):
			w.Break("%s is booked into %s at the spine and into %s at %s", u, r.Appointment.Slot, c.Appointment.Slot, name)
		case mine && r.Appointment != nil && known[name].withdrawn[r.Appointment.Session] && !r.Attended && !over(r, w.nodes[0].Clock.Now()):
			w.Break("%s is told that it is booked into %s, which will not take place", u, r.Appointment.Slot)
		case mine && r.Appointment != nil && c.Appointment.Epoch < known[name].slots[place{name, c.Appointment.Slot}].base:
			w.Break("%s is booked into %s, which %s has as somebody else's since", u, r.Appointment.Slot, name)
		}
	}
}

// over reports whether a referral was closed when its appointment's time had come: somebody was seen elsewhere, perhaps, and nobody is told to come.
func over(r referral.Referral, now time.Time) bool {
	return r.Closed && r.Appointment.Start.Before(now)
}

// checkSlots looks at each slot of a hospital: one person at most is in it, and whoever is booked there by the spine stands in the spine's own table.
func (w *world) checkSlots(n *node, s, h seenBy) {
	in := map[place][]string{}
	for _, u := range sorted(s.referrals) {
		if a := s.referrals[u].Appointment; a != nil && a.Provider == n.code {
			in[place{n.Name, a.Slot}] = append(in[place{n.Name, a.Slot}], u)
		}
	}
	for p, who := range h.holds {
		if !slices.Contains(in[p], who) {
			in[p] = append(in[p], who)
		}
	}
	for p, list := range in {
		if len(list) > 1 {
			w.Break("%s is for one person, and has %v", p.slot, list)
		}
	}
	now := n.Clock.Now().UnixMicro()
	for p, x := range s.slots {
		if p.provider != n.Name || x.starts < now {
			continue
		}
		const booked = 1
		a := s.referrals[x.ubrn].Appointment
		if x.state == booked && (a == nil || a.Slot != p.slot || a.Epoch != int64(x.base)) {
			w.Break("the spine has booked %s for %s, who is not there", p.slot, x.ubrn)
		}
	}
	for u, r := range s.referrals {
		if a := r.Appointment; a != nil && !a.Theirs && a.Provider == n.code && a.Start.UnixMicro() > now && s.slots[place{n.Name, a.Slot}].ubrn != u {
			w.Break("%s is booked into %s, which the spine has for %q", u, a.Slot, s.slots[place{n.Name, a.Slot}].ubrn)
		}
	}
}

// checkEven looks whether the two sides differ in nothing, as they themselves say and as their tables do.
func (w *world) checkEven(n *node, s, h seenBy) {
	if !h.sure {
		w.Break("%s does not know whose its slots are", n.Name)
	}
	if count, err := n.clinics.Differing(w.Ctx); err != nil || count > 0 {
		w.Break("%s finds %d differences with the spine (%v): %s", n.Name, count, err, n.differences())
	}
	now := n.Clock.Now().UnixMicro()
	for p, x := range h.slots {
		if x.epoch != s.slots[p].epoch && x.starts > now {
			w.Break("%s is at %d at the hospital and at %d at the spine", p.slot, x.epoch, s.slots[p].epoch)
		}
	}
}

// differences are what a hospital's own comparison has found, in words.
func (n *node) differences() (words string) {
	err := n.DB.Read(n.w.Ctx, func(tx *store.Tx) error {
		words = ""
		return each(tx, `SELECT kind, thing, mine, theirs, why FROM hospital_difference ORDER BY kind, thing`, func(r *store.Rows) error {
			var kind, thing, why string
			var mine, theirs int64
			err := r.Scan(&kind, &thing, &mine, &theirs, &why)
			words += fmt.Sprintf("%s %s is %d here and %d there, %s; ", kind, thing, mine, theirs, why)
			return err
		})
	})
	if err != nil {
		return err.Error()
	}
	return words
}

// checkWaits looks whether a referral that waits for its hospital is on a list there.
func (w *world) checkWaits(r referral.Referral, known map[string]seenBy) {
	if !r.Open() || !theirs(r) || r.Provider() == Apart { // Apart's people work at the spine's own pages
		return
	}
	u, c := r.UBRN.String(), known[r.Provider().String()].cases[r.UBRN.String()]
	listed := c.closed == 0 && (c.review == "waiting" || c.rebook > 0) || c.refused && w.queue.died[r.Chart] // the list of differences names what the spine refused, as it refuses all that is begun for the dead
	switch r.State {
	case referral.Deferred, referral.AwaitingTriage, referral.TriagedToAct, referral.CancelledByProvider:
		if !listed {
			w.Break("%s is %s, and on no worklist of %s: its review is %q", u, r.State, r.Provider(), c.review)
		}
	case referral.Booked:
		if !r.Accepted && !r.Attended && !listed {
			w.Break("%s is booked, nobody has accepted it, and it is on no worklist of %s: its review is %q", u, r.Provider(), c.review)
		}
	}
}

// checkListed looks whether every referral that waits for its practice is on the practice's worklist.
func (w *world) checkListed(s seenBy) {
	spine := w.nodes[0]
	scope, err := spine.scope(w.Ctx, w.gp())
	if err != nil {
		w.Break("the practice may not see its worklist: %v", err)
		return
	}
	list, err := spine.refer.Waiting(w.Ctx, scope, referral.Worklist{Practice: Practice})
	if err != nil {
		w.Break("the practice's worklist: %v", err)
	}
	on := map[string]bool{}
	for _, r := range list {
		on[r.UBRN.String()] = true
	}
	for _, u := range sorted(s.referrals) {
		if s.referrals[u].Open() && !on[u] {
			w.Break("%s is %s, and not on its practice's worklist", u, s.referrals[u].State)
		}
	}
}
