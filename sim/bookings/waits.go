package bookings

import (
	"fmt"
	"slices"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/hospital"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/referral"
)

// In some countries there are few times and many who wait for one, and what comes free is offered to them (docs/decisions/0029): they take it, say no, forget it, book another, are sent away, die; their hospital asks
// the session back or withdraws it, is cut off, and either side is restored from a backup amid all this.

// waits is what a simulation knows of those who wait.
type waits struct {
	many     bool            // it is such a country
	sessions int             // how many a hospital has at most
	forgot   map[string]bool // by UBRN and slot: offers that nobody answers
	died     map[string]bool // by chart
	owed     map[string]owed // by UBRN
	since    time.Time       // when the spine was restored last, by its own clock
	refused  error           // why the last act of a referral was refused
}

// owed is what a hospital had been told that somebody is offered, when the spine was restored: it must be so again.
type owed struct {
	hospital string
	version  int64 // of the referral
	booking.Offer
}

func newWaits() waits {
	return waits{sessions: 7, forgot: map[string]bool{}, died: map[string]bool{}, owed: map[string]owed{}}
}

// drawWaits decides whether it is such a country: two of five are.
func (w *world) drawWaits() {
	if w.queue.many = w.Rng.IntN(5) < 2; !w.queue.many {
		return
	}
	w.queue.sessions = 14
	w.days = max(w.days, 15+w.Rng.IntN(30)) // for offers that nobody answers
	w.Weights.Cut = max(w.Weights.Cut, 20)
	if w.o.Restores && w.Rng.IntN(2) == 0 {
		w.Weights.Restore = 8
	}
}

// offer lets the spine offer what is free, as it does every few seconds: more often than anything else happens.
func (w *world) offer() {
	spine := w.nodes[0]
	if !w.queue.many || !spine.Up || w.Rng.IntN(3) > 0 {
		return
	}
	before := spine.offers()
	spine.done("runs offers", spine.jobNamed("offers"))
	if spine.Disk.Dark() {
		return
	}
	for u, o := range spine.offers() {
		if h := w.at(o.Provider); h != nil && before[u] == nil && (w.IsCut(spine.Machine, h.Machine) || w.IsCut(h.Machine, spine.Machine)) {
			w.res.Unheard++
		}
	}
}

// undo restores the spine or a hospital now and then while a time is on offer, where anything is restored at all.
func (w *world) undo() error {
	spine := w.nodes[0]
	if !w.queue.many || w.Weights.Restore == 0 || !spine.Up {
		return nil
	}
	switch k := w.Rng.IntN(60); {
	case k < 2:
		spine.Backup()
	case k < 14 && len(spine.offers()) > 0:
		n := w.nodes[max(0, w.Rng.IntN(len(w.nodes)+1)-1)] // the spine as often as both hospitals
		if n.Up {
			return w.restore(n)
		}
	}
	return nil
}

// at is the node of a hospital; nil where it has none.
func (w *world) at(code ident.ODSCode) *node {
	i := slices.IndexFunc(w.nodes, func(n *node) bool { return n.code == code })
	if i < 0 {
		return nil
	}
	return w.nodes[i]
}

// offers are those that stand in the spine's database, by UBRN.
func (n *node) offers() map[string]*referral.Offer {
	list := map[string]*referral.Offer{}
	if n.Up && !n.Disk.Dark() {
		for u, r := range n.look().referrals {
			if r.Offer != nil {
				list[u] = r.Offer
			}
		}
	}
	return list
}

// someone is whose turn it is among those who wait: mostly somebody who is offered a time.
func (n *node) someone() made {
	w := n.w
	offers := n.offers()
	var offered []made
	for _, m := range w.made {
		if offers[m.ubrn.String()] != nil {
			offered = append(offered, m)
		}
	}
	if len(offered) > 0 && w.Rng.IntN(3) > 0 {
		return offered[w.Rng.IntN(len(offered))]
	}
	return w.made[w.Rng.IntN(len(w.made))]
}

// wait lets somebody do what people do who wait: leave it to the hospital to find a date, or answer what they are offered.
func (n *node) wait(m made, r referral.Referral) {
	w := n.w
	if r.Offer == nil {
		if len(r.Shortlist) > 0 && r.May(referral.ActDefer, referral.Patient) {
			n.act(m, r, n.either(m), referral.Work{Kind: referral.ActDefer, Service: r.Shortlist[w.Rng.IntN(len(r.Shortlist))].Service, Reason: "BOOKING_ATTEMPT_PROBLEM"})
		}
		return
	}
	about := m.ubrn.String() + " " + r.Offer.Slot
	if w.queue.forgot[about] && w.Rng.IntN(4) > 0 {
		return
	}
	switch k := w.Rng.IntN(14); {
	case k < 4:
		n.take(m, r)
	case k < 6:
		n.decline(m, r)
	case k < 9:
		w.queue.forgot[about] = true
	case k < 11:
		n.instead(m, r)
	case k < 12:
		if n.act(m, r, n.caller(w.gp()), referral.Work{Kind: referral.ActCancel, Reason: "TREATMENT_NO_LONGER_REQUIRED", Comment: "Better."}) {
			w.res.Ended++
		}
	case k < 13:
		n.sentAway(m, r)
	default:
		n.dies(m)
	}
}

// take lets somebody take the time that they are offered at this moment, which must be theirs.
func (n *node) take(m made, r referral.Referral) {
	w, o := n.w, r.Offer
	if n.act(m, r, n.either(m), referral.Work{Kind: referral.ActBook, Slot: o.SlotRef, Service: r.Chosen.Service, Seen: r.Version}) {
		w.res.Accepted++
	} else if !n.Disk.Dark() && !n.Full() {
		w.Break("%s was shown that %s is offered to them, and could not take it: %v", m.ubrn, o.Slot, w.queue.refused)
	}
}

func (n *node) decline(m made, r referral.Referral) {
	if n.act(m, r, n.either(m), referral.Work{Kind: referral.ActDecline, Seen: r.Version}) {
		n.w.res.Declined++
	}
}

// instead lets somebody who is offered a time book another one.
func (n *node) instead(m made, r referral.Referral) {
	w := n.w
	service := r.Shortlist[w.Rng.IntN(len(r.Shortlist))].Service
	free, err := n.refer.FreeSlots(w.Ctx, service, time.Time{}, time.Time{}, "", 6)
	if err != nil || len(free) == 0 || service == ServiceOf(Apart) {
		return
	}
	if n.act(m, r, n.either(m), referral.Work{Kind: referral.ActBook, Slot: free[w.Rng.IntN(len(free))].SlotRef, Service: service, Seen: r.Version}) {
		w.res.Instead++
	}
}

// sentAway lets the hospital reject or return a referral of which it may know, or not, that a time is on offer.
func (n *node) sentAway(m made, r referral.Referral) {
	h := n.w.at(r.Offer.Provider)
	if h == nil || !h.Up {
		return
	}
	d := hospital.Decision{Kind: booking.ActReject, Reason: "SERVICE_INAPPROPRIATE", Comment: "Another clinic."}
	if n.w.Rng.IntN(2) == 0 {
		d = hospital.Decision{Kind: booking.ActTriageReturn, Comment: "See the physiotherapist first."}
	}
	if h.done(fmt.Sprintf("sends %s away, who is offered %s", m.ubrn, r.Offer.Slot), h.clinics.Decide(n.w.Ctx, h.doctor(), h.code, m.ubrn.String(), d)) {
		n.w.res.Ended++
		n.w.res.Decided++
	}
}

// dies writes in the register that somebody has died; at most two of the country do.
func (n *node) dies(m made) {
	w := n.w
	if len(w.queue.died) >= 2 || w.queue.died[m.chart] {
		return
	}
	w.queue.died[m.chart] = true // also when the power goes: then nobody knows
	res, err := fhir.Parse(fmt.Appendf(nil, `{"resourceType":"Patient","id":"%s","identifier":[{"system":"%s","value":"%s"}],"name":[{"use":"usual","family":"Gone","given":["Ann"]}],"gender":"female","birthDate":"1930-03-04","deceasedBoolean":true}`, m.chart, ident.SystemNHSNumber, m.chart))
	if err == nil {
		err = put(w.Ctx, n.k, "Patient", m.chart, res)
	}
	if n.done("is told that "+m.chart+" has died", err) {
		w.res.Died++
	}
}

// reclaim lets a hospital ask back, or withdraw, a session of which a time is on offer.
func (n *node) reclaim() {
	w := n.w
	offers := w.nodes[0].offers()
	for _, u := range sorted(offers) {
		o := offers[u]
		if o.Provider != n.code {
			continue
		}
		if w.Rng.IntN(3) > 0 {
			if n.done("asks back "+o.Session+", of which "+o.Slot+" is on offer", n.clinics.Recall(w.Ctx, n.clerk(), n.code, o.Session, "needed")) {
				w.res.Recalled++
				w.res.Back++
			}
		} else {
			_, err := n.clinics.Withdraw(w.Ctx, n.clerk(), n.code, o.Session, "The consultant is ill")
			if n.done("withdraws "+o.Session+", of which "+o.Slot+" is on offer", err) {
				w.res.Withdrawn++
				w.res.Gone++
			}
		}
		return
	}
	n.hold()
}

// restore puts an old backup in the place of a node's database, and notes what its hospitals know that a spine has offered: that is owed.
func (w *world) restore(n *node) error {
	before := w.Faults.Restores
	open := 0
	if n == w.nodes[0] {
		clear(w.queue.owed)
		w.queue.since = n.Clock.Now()
		for _, h := range w.nodes[1:] {
			if !h.Up || h.Disk.Dark() {
				continue
			}
			for u, c := range h.look().cases {
				if c.Offer != nil && !c.Gone && c.Offer.Until.After(w.queue.since) {
					w.queue.owed[u] = owed{h.Name, c.Version, *c.Offer}
					open++
				}
			}
		}
	}
	for u, x := range w.queue.owed {
		if x.hospital == n.Name {
			delete(w.queue.owed, u) // lost to both
		}
	}
	for _, o := range w.nodes[0].offers() {
		if o.Provider == n.code {
			open++
		}
	}
	talks := w.owedTalks()
	err := n.Restore()
	if w.Faults.Restores > before {
		w.talksRestored(n, talks)
	}
	if w.Faults.Restores > before && open > 0 {
		w.res.Undone++
	}
	return err
}

// slack is how much time passes at rest since the spine last looked whose offers are over.
const slack = time.Hour

// checkShown holds the spine to what it shows, at every moment and whoever was restored: an offer that somebody sees is theirs to take.
func (w *world) checkShown() {
	spine := w.nodes[0]
	if !w.queue.many || spine.Disk.Dark() || w.Rng.IntN(4) > 0 {
		return
	}
	scope, err := spine.scope(w.Ctx, w.gp())
	if err != nil {
		return // the power went, or the disk is full
	}
	list, err := spine.refer.Waiting(w.Ctx, scope, referral.Worklist{Practice: Practice})
	if err != nil {
		return
	}
	to := map[referral.SlotRef]ident.UBRN{}
	var s seenBy
	for _, r := range list {
		if r.Offer == nil {
			continue
		}
		if s.slots == nil {
			s = spine.look()
		}
		if other, there := to[r.Offer.SlotRef]; there {
			w.Break("%s and %s are both shown that %s is offered to them", other, r.UBRN, r.Offer.Slot)
		}
		to[r.Offer.SlotRef] = r.UBRN
		w.checkOffer(s, r)
		if now := spine.Clock.Now(); !r.Offer.Until.After(now) {
			w.Break("%s is shown that %s is offered to them until %s, which is over at %s", r.UBRN, r.Offer.Slot, r.Offer.Until, now)
		}
		if w.queue.died[r.Chart] && !spine.Lost && !spine.Full() {
			if died, err := spine.dead(r.Chart); err == nil && died {
				w.Break("%s is shown that %s is offered to them, who has died", r.UBRN, r.Offer.Slot)
			}
		}
	}
}

// dead is what the register says of somebody.
func (n *node) dead(chart string) (died bool, err error) {
	grants, err := n.gate.DecideAll(n.w.Ctx, n.w.gp(), []access.Act{{Action: access.Read, Place: access.Place{Tenant: national, Chart: chart, Type: "Patient", ID: chart, Exists: true}}})
	if err != nil {
		return false, err
	}
	v, err := n.records.Read(n.w.Ctx, grants[0], record.Ref{Tenant: national, Type: "Patient", ID: chart})
	return err == nil && v.Resource.Get("deceasedBoolean").Bool(), err
}

// checkOffer looks whether the time that somebody is offered is held for them, and nobody's else.
func (w *world) checkOffer(s seenBy, r referral.Referral) {
	u, o := r.UBRN.String(), r.Offer
	x := s.slots[place{o.Provider.String(), o.Slot}]
	switch {
	case r.State != referral.Deferred || r.Appointment != nil:
		w.Break("%s is %s, and offered %s", u, r.State, o.Slot)
	case x.holder != u || x.state != 0 || x.ubrn != "" || x.base != booking.Epoch(o.Epoch) || !booking.Spine.Owns(x.epoch):
		w.Break("%s is offered %s, which is held for %q, in state %d for %q, at %d", u, o.Slot, x.holder, x.state, x.ubrn, x.epoch)
	}
}

// checkOffers holds the spine to what it offers: a time that is held for somebody is nobody else's, neither booked nor offered, and only who waits for one is offered it. An offer whose time is up holds nothing; what
// ends it runs every few seconds, and at rest has run.
func (w *world) checkOffers(s seenBy, slack time.Duration) {
	to, now := map[string]string{}, w.nodes[0].Clock.Now()
	for _, u := range sorted(s.referrals) {
		r := s.referrals[u]
		o := r.Offer
		if o == nil {
			continue
		}
		if !o.Until.After(now) {
			if slack > 0 && !o.Until.Add(slack).After(now) {
				w.Break("at rest the offer of %s to %s is over since %s, and has not ended", o.Slot, u, o.Until)
			}
			continue // it is over, and nobody is shown it
		}
		key := fmt.Sprintf("%s %s at %d", o.Provider, o.Slot, o.Epoch)
		if other, there := to[key]; there {
			w.Break("%s and %s are both offered %s", other, u, key)
		}
		to[key] = u
		if x := s.slots[place{o.Provider.String(), o.Slot}]; slack == 0 && x.epoch > booking.Epoch(o.Epoch) && !booking.Spine.Owns(x.epoch) {
			continue // its session has been withdrawn, and it is given back: so is this
		}
		w.checkOffer(s, r)
	}
}

// checkOffersTold looks whether each hospital knows of the same offers as the spine.
func (w *world) checkOffersTold(s seenBy, known map[string]seenBy) {
	for _, u := range sorted(s.referrals) {
		r := s.referrals[u]
		h, there := known[r.Provider().String()]
		if !there || !theirs(r) {
			continue
		}
		c := h.cases[u]
		if (r.Offer == nil) != (c.Offer == nil) || r.Offer != nil && (r.Offer.Slot != c.Offer.Slot || !r.Offer.Until.Equal(c.Offer.Until)) {
			w.Break("%s is offered %v at the spine, and %v as %s knows", u, r.Offer, c.Offer, r.Provider())
		}
	}
}

// checkTurns looks whether anybody waits, at rest, although their hospital has a time that they could be offered.
func (w *world) checkTurns(s seenBy) {
	spine := w.nodes[0]
	for _, u := range sorted(s.referrals) {
		r := s.referrals[u]
		if r.State != referral.Deferred || !r.Open() || r.Offer != nil || r.Asked != nil || len(r.Passed) >= referral.MostOffers || w.queue.died[r.Chart] {
			continue
		}
		free, err := spine.refer.FreeSlots(w.Ctx, r.Chosen.Service, spine.Clock.Now().Add(4*24*time.Hour), time.Time{}, "", 20)
		if err != nil {
			w.Break("what is free: %v", err)
		}
		for _, x := range free {
			if r.Chosen.Provider != Apart && !slices.Contains(r.Passed, x.SlotRef) {
				w.Break("%s waits and is not offered %s, which is free", u, x.SlotRef.Slot)
			}
		}
	}
}

// checkOwed looks, at rest, whether what a hospital knew of an offer when the spine was restored was taken up as it told it back, and is so: until its time is up, or somebody has done something since, or the slot has gone.
func (w *world) checkOwed(s seenBy, known map[string]seenBy) {
	spine := w.nodes[0]
	for _, u := range sorted(w.queue.owed) {
		x, r := w.queue.owed[u], s.referrals[u]
		list, err := spine.refer.History(w.Ctx, spine.caller(w.gp()), r.UBRN)
		if err != nil {
			w.Break("the history of %s: %v", u, err)
		}
		for _, v := range list {
			if o := v.Offer; v.Act == referral.ActTold && v.Told == x.version && (o == nil || o.Slot != x.Slot || !o.Until.Equal(x.Until)) {
				w.Break("%s was offered %s until %s, and %s told it back in vain", u, x.Slot, x.Until, x.hospital)
			}
		}
		if o := r.Offer; o != nil && o.Slot == x.Slot && o.Until.Equal(x.Until) {
			continue
		}
		at := s.slots[place{x.hospital, x.Slot}]
		switch {
		case !x.Until.After(spine.Clock.Now()), w.queue.died[r.Chart], known[x.hospital].withdrawn[x.Session], at.base != x.Epoch, at.state != 0:
			continue
		}
		if !slices.ContainsFunc(list, func(v referral.Version) bool {
			own := v.Act == referral.ActOffer || v.Act == referral.ActUnoffer
			return !v.Changed.Before(w.queue.since) && !own && (v.Act != referral.ActTold || v.Told > x.version)
		}) {
			w.Break("%s was offered %s until %s, and is not since the spine was restored", u, x.Slot, x.Until)
		}
	}
}

// countOffers counts what was offered, as the histories say.
func (w *world) countOffers(s seenBy) {
	for _, u := range sorted(s.referrals) {
		list, err := w.nodes[0].refer.History(w.Ctx, w.nodes[0].caller(w.gp()), s.referrals[u].UBRN)
		if err != nil {
			w.Break("the history of %s: %v", u, err)
		}
		for _, v := range list {
			switch v.Act {
			case referral.ActOffer:
				w.res.Offered++
			case referral.ActLapse:
				w.res.Lapsed++
			case referral.ActUnoffer:
				w.res.Unoffered++
			case referral.ActTold:
				if v.Offer != nil {
					w.res.Retold++
				}
			}
		}
	}
}
