package referral

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/calendar"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/web/format"
)

// Whoever waits for a date is offered a time that comes free, in their turn: those of the highest priority first, then those who have waited longest. The time is held for them as it is for somebody who is deciding
// (Hold), only longer: so it is booked by the same transaction as any other, and by nobody else meanwhile. They take it, say no, or let it pass; then the next is offered it.

// Limits of offers.
const (
	offerDays   = 3              // how many working days somebody has to answer
	offerLeast  = 24 * time.Hour // an offer that leaves less is not made
	MostOffers  = 3              // that somebody may let pass or say no to, before a person of the hospital finds their date
	mostAtOnce  = 50             // times that one service offers in one round
	mostTried   = 1000           // of those who wait for one service, in one round
	mostOffered = 200            // of whatever else is read at once
)

// Offer is a time that is held for somebody who waits.
type Offer struct {
	SlotRef
	Epoch     int64     `json:"epoch"` // of the slot, as a booking names it
	Start     time.Time `json:"start"`
	End       time.Time `json:"end"`
	Clinician string    `json:"clinician,omitempty"`
	// ClinicianID is the same as a user id, as of Slot.
	ClinicianID string    `json:"clinicianId,omitempty"`
	Until       time.Time `json:"until"` // they have until then
}

// offerUntil is when an offer ends that is made now: with the last of so many of England's working days, or when booking closes.
func offerUntil(now time.Time, days int, closes time.Time) time.Time {
	day := calendar.WorkingDays(format.Midnight(now), days)
	if end := day.AddDate(0, 0, 1).Add(-time.Minute); end.Before(closes) { // so that what is read names the last day itself
		return end
	}
	return closes
}

// offered is what an offer, and the end of one, do to a referral.
func (a Act) offered(n *Referral) error {
	switch {
	case a.Kind == ActOffer && (a.Offer == nil || n.Offer != nil || a.Offer.Provider != n.Chosen.Provider):
		return fault.New(fault.Conflict, "Nothing can be offered to them now.")
	case a.Kind == ActOffer:
		o := *a.Offer
		n.Offer = &o
		return nil
	case n.Offer == nil:
		return fault.New(fault.Conflict, "No time is offered any more.")
	}
	if a.Kind != ActUnoffer {
		n.Passed = append(slices.Clone(n.Passed), n.Offer.SlotRef)
	}
	n.Offer = nil
	return nil
}

// precedence is in which order priorities are offered a time.
func (p Priority) precedence() int64 { return int64(len(Priorities()) - slices.Index(Priorities(), p)) }

// same reports whether two offers are one.
func (o *Offer) same(other *Offer) bool {
	return o == nil && other == nil || o != nil && other != nil && o.SlotRef == other.SlotRef && o.Epoch == other.Epoch && o.Until.Equal(other.Until)
}

// letGo lets go of the time that is not offered any more.
func (s *Referrals) letGo(tx *store.Tx, was, r Referral) error {
	o := was.Offer
	if o == nil || o.same(r.Offer) {
		return nil
	}
	if !tx.Holds(s.sessionLane(o.Session)) {
		return errMoved()
	}
	s.supply.changed(tx, was.Chosen.Service)
	return tx.Queue(`UPDATE referral_slot SET holder = '', held = 0 WHERE lane = ? AND provider = ? AND session = ? AND slot = ? AND holder = ? AND state = ?`,
		int64(s.sessionLane(o.Session)), o.Provider.String(), o.Session, o.Slot, r.UBRN.String(), slotFree)
}

// holdOffer holds the time that is offered from now on, and lets go of that which is not any more.
func (s *Referrals) holdOffer(tx *store.Tx, was, r Referral) error {
	if err := s.letGo(tx, was, r); err != nil {
		return err
	}
	o := r.Offer
	if o == nil || o.same(was.Offer) || s.o.Seams.NotHeld {
		return nil
	}
	s.supply.changed(tx, r.Chosen.Service)
	n, err := tx.Exec(`UPDATE referral_slot SET holder = ?, held = ? WHERE lane = ? AND provider = ? AND session = ? AND slot = ? AND base = ? AND epoch % 2 = 1 AND state = ?`,
		r.UBRN.String(), o.Until.UnixMicro(), int64(s.sessionLane(o.Session)), o.Provider.String(), o.Session, o.Slot, o.Epoch, slotFree)
	if err == nil && n != 1 {
		return &taken{cause: fault.New(fault.Conflict, "That time has been taken.")}
	}
	return err
}

// stillOffered leaves out an offer that cannot be taken at this moment: another hospital's system is being asked, its session has been withdrawn, its hospital has not said yet whose its slots are, its time is over, or
// the person has died.
func (s *Referrals) stillOffered(tx *store.Tx, r *Referral) error {
	if r.Offer == nil || s.o.Seams.ShowGone {
		return nil
	}
	stands, err := s.offerStands(tx, *r)
	if err == nil && stands {
		var dead bool
		dead, err = s.dead(tx, r.Chart)
		stands = !dead
	}
	if err == nil && (!stands || r.Asked != nil) {
		r.Offer = nil
	}
	return err
}

func (s *Referrals) offerStands(tx *store.Tx, r Referral) (bool, error) {
	o, holder := r.Offer, r.UBRN.String()
	x, err := s.slot(tx, o.SlotRef)
	if err == nil {
		err = s.sure(tx, o.Provider)
	}
	if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Unavailable) {
		return false, nil
	}
	return err == nil && x.holder == holder && int64(x.Base) == o.Epoch && o.Until.After(tx.At()) && s.bookable(x, holder, tx.At()) == nil, err
}

// keepWait keeps who waits to be offered a time.
func (s *Referrals) keepWait(tx *store.Tx, was, r Referral) error {
	lane := int64(s.chartLane(r.Chart))
	if r.State != Deferred || !r.Open() {
		if was.State != Deferred {
			return nil
		}
		return tx.Queue(`DELETE FROM referral_wait WHERE lane = ? AND chart = ? AND ubrn = ?`, lane, r.Chart, r.UBRN.String())
	}
	until, at, epoch := int64(0), SlotRef{}, int64(0)
	if r.Offer != nil {
		until, at, epoch = r.Offer.Until.UnixMicro(), r.Offer.SlotRef, r.Offer.Epoch
	}
	return tx.Queue(`INSERT INTO referral_wait (lane, chart, ubrn, service, precedence, since, offered, offers, slot_lane, provider, session, slot, epoch) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (lane, chart, ubrn) DO UPDATE SET service = excluded.service, precedence = excluded.precedence, since = excluded.since, offered = excluded.offered, offers = excluded.offers,
		slot_lane = excluded.slot_lane, provider = excluded.provider, session = excluded.session, slot = excluded.slot, epoch = excluded.epoch`,
		lane, r.Chart, r.UBRN.String(), r.Chosen.Service, r.Priority.precedence(), r.Since.UnixMicro(), until, int64(len(r.Passed)), int64(s.sessionLane(at.Session)), at.Provider.String(), at.Session, at.Slot, epoch)
}

// waiter is somebody who waits.
type waiter struct {
	chart string
	ubrn  ident.UBRN
}

// waiters are those of a query on w, their rows.
func (s *Referrals) waiters(ctx context.Context, cond string, args ...any) (list []waiter, err error) {
	err = s.read(ctx, func(tx *store.Tx) error {
		list = nil
		rows, err := tx.Query(`SELECT w.chart, w.ubrn FROM referral_wait w WHERE `+cond, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var x waiter
			var number string
			if err := rows.Scan(&x.chart, &number); err != nil {
				return err
			}
			if x.ubrn, err = ident.ParseUBRN(number); err != nil {
				return fault.Wrap(err, fault.Internal, "the number of somebody who waits cannot be read")
			}
			list = append(list, x)
		}
		return rows.Err()
	})
	return list, err
}

// offerDue ends the offers whose time is over, or whose slot is held for them no more, and makes the next ones. What it has done is in the database: stopped anywhere, it goes on there.
// What fails for one person is no reason for another to wait.
func (s *Referrals) offerDue(ctx context.Context) error {
	over, err := s.waiters(ctx, `w.offered > 0 AND w.offered <= ? ORDER BY w.offered LIMIT ?`, s.k.Clock.Now().UnixMicro(), int64(mostOffered))
	if err != nil {
		return err
	}
	if s.o.Seams.NoLapse {
		over = nil
	}
	for _, x := range over {
		err = errors.Join(err, s.endOffer(ctx, x, ActLapse))
	}
	// A session that will not take place, or a settlement after a restore, has taken the slot from them. (A slot that the spine has yet to be handed anew has not: see holdPromised.)
	gone, failed := s.waiters(ctx, `w.offered > 0 AND (w.slot = '' OR EXISTS (SELECT 1 FROM referral_slot x WHERE x.lane = w.slot_lane AND x.provider = w.provider AND x.session = w.session AND x.slot = w.slot
		AND x.epoch >= w.epoch AND NOT (x.holder = w.ubrn AND x.state = ? AND x.recalled <> ? AND x.epoch % 2 = 1))) ORDER BY w.offered LIMIT ?`, slotFree, withdrawn, int64(mostOffered))
	dead, unread := s.deadOffered(ctx)
	for _, x := range append(gone, dead...) {
		failed = errors.Join(failed, s.endOffer(ctx, x, ActUnoffer))
	}
	failed = errors.Join(failed, unread)
	err = errors.Join(err, failed)
	for after := ""; ctx.Err() == nil; {
		services, failed := s.wanting(ctx, after)
		if failed != nil {
			return errors.Join(err, failed)
		}
		for _, id := range services {
			err = errors.Join(err, s.offerAt(ctx, id))
		}
		if len(services) < mostOffered {
			break
		}
		after = services[len(services)-1]
	}
	return err
}

// wanting are services for which somebody waits who can be offered a time, and that have one, in the order of their ids from behind one on.
func (s *Referrals) wanting(ctx context.Context, after string) (list []string, err error) {
	err = s.read(ctx, func(tx *store.Tx) error {
		list = nil
		rows, err := tx.Query(`SELECT d.service FROM (SELECT DISTINCT service FROM referral_wait WHERE service > ? AND offered = 0 AND offers < ?) d
			WHERE EXISTS (SELECT 1 FROM referral_slot x WHERE x.service = d.service AND `+onOffer+`) ORDER BY d.service LIMIT ?`,
			after, int64(MostOffers), s.offersFrom().UnixMicro(), tx.At().UnixMicro(), int64(mostOffered))
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id string
			if err := rows.Scan(&id); err != nil {
				return err
			}
			list = append(list, id)
		}
		return rows.Err()
	})
	return list, err
}

// offersFrom is when a time must begin at the earliest that is offered now: so that they have a day at least to answer.
func (s *Referrals) offersFrom() time.Time { return s.k.Clock.Now().Add(s.o.Freeze + offerLeast) }

// endOffer ends an offer that is over, or whose slot is not theirs any more. It does nothing where it has ended already, or stands after all.
func (s *Referrals) endOffer(ctx context.Context, x waiter, kind Kind) error {
	was, err := s.peek(ctx, x.chart, x.ubrn)
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	err = s.k.DB.Write(ctx, s.lanesFor(was, SlotRef{}), func(tx *store.Tx) error {
		r, err := s.load(tx, x.chart, x.ubrn)
		if err != nil {
			return err
		}
		o := r.Offer
		if o == nil {
			return s.keepWait(tx, r, r)
		}
		if stays, err := s.offerStays(tx, r, kind); err != nil || stays {
			return err
		}
		a := s.byItself(kind, tx.At())
		if _, err := s.commit(tx, r, a); err != nil {
			return err
		}
		if err := s.account(tx, r, a, ""); err != nil || !tx.Holds(s.sessionLane(o.Session)) {
			return err
		}
		return s.giveBack(tx, o.Provider, o.Session) // what was asked back meanwhile
	})
	if moved(err) {
		return nil // it has changed at this moment: the next round sees to it
	}
	return err
}

// byItself is an act of the spine's own.
func (s *Referrals) byItself(kind Kind, at time.Time) Act {
	p := s.service()
	return Act{Kind: kind, At: at, By: Actor{ID: p.ID, Name: office, Party: System, Organisation: s.k.National}}
}

// offerAt offers what a service has free to those who wait for it, each in their turn. Of a hospital that has not been heard of for long nothing is offered: nobody there would know.
func (s *Referrals) offerAt(ctx context.Context, service string) error {
	var free []slotRow
	err := s.read(ctx, func(tx *store.Tx) (err error) {
		free, err = s.slots(tx, `WHERE service = ? AND `+onOffer+` ORDER BY starts, provider, slot LIMIT ?`, service, s.offersFrom().UnixMicro(), tx.At().UnixMicro(), int64(mostAtOnce))
		return err
	})
	free = slices.DeleteFunc(free, func(x slotRow) bool { return !s.Silent(x.Provider).IsZero() })
	if err != nil || len(free) == 0 {
		return err
	}
	next, err := s.waiters(ctx, `w.service = ? AND w.offered = 0 AND w.offers < ? ORDER BY w.precedence, w.since, w.ubrn LIMIT ?`, service, int64(MostOffers), int64(mostTried))
	for _, x := range next {
		if len(free) == 0 || ctx.Err() != nil {
			break
		}
		done, failed := s.offerFirst(ctx, x, service, &free)
		if err = errors.Join(err, failed); done {
			break
		}
	}
	return err
}

// offerFirst offers somebody the first time that they have not been offered before, and takes out of the list what is free no more. Done says that nothing more can be offered there now.
func (s *Referrals) offerFirst(ctx context.Context, x waiter, service string, free *[]slotRow) (done bool, err error) {
	was, err := s.peek(ctx, x.chart, x.ubrn)
	if err != nil || !was.offerable(service) {
		return false, err
	}
	for i := 0; i < len(*free); i++ {
		slot := (*free)[i]
		if slices.Contains(was.Passed, slot.SlotRef) {
			continue
		}
		err := s.offer(ctx, was, service, slot)
		_, gone := Taken(err)
		switch {
		case err == nil || gone:
			*free = slices.Delete(*free, i, i+1)
			if i--; err == nil {
				return false, nil
			}
		case errors.Is(err, errNotNow):
			return false, nil
		case fault.Is(err, fault.Unavailable):
			return true, nil // the spine does not know whose the slots are, or somebody was at it: the next round
		default:
			return false, err
		}
	}
	return false, nil
}

// offerable reports whether somebody can be offered a time of a service: not while a hospital's own system is asked for one.
func (r Referral) offerable(service string) bool {
	return r.State == Deferred && r.Open() && r.Offer == nil && r.Asked == nil && r.Chosen.Service == service && len(r.Passed) < MostOffers
}

// errNotNow says that nothing can be offered to somebody.
var errNotNow = errors.New("referral: nothing can be offered to them now")

// unasked are those hospitals of somebody's shortlist that a restored spine does not ask what is so: nobody keeps their post.
func (s *Referrals) unasked(ctx context.Context, r Referral) (list []ident.ODSCode, err error) {
	var unsure []ident.ODSCode
	err = s.read(ctx, func(tx *store.Tx) error {
		unsure = nil
		for _, c := range r.Shortlist {
			st, err := s.standingIn(tx, c.Provider)
			if err != nil {
				return err
			}
			if !st.sure {
				unsure = append(unsure, c.Provider)
			}
		}
		return nil
	})
	for _, code := range unsure {
		if _, failed := s.k.Post().Way(ctx, code, booking.WorkflowTally); fault.Is(failed, fault.NotFound) {
			list = append(list, code)
		} else if failed != nil {
			err = failed
		}
	}
	return list, err
}

// offer offers a slot to somebody, in one transaction that finds both as they were. Errors: errNotNow; see Taken; fault.Unavailable.
func (s *Referrals) offer(ctx context.Context, was Referral, service string, slot slotRow) error {
	unasked, err := s.unasked(ctx, was)
	if err != nil {
		return err
	}
	return s.k.DB.Write(ctx, s.lanesFor(was, slot.SlotRef), func(tx *store.Tx) error {
		r, err := s.load(tx, was.Chart, was.UBRN)
		if err != nil {
			return err
		}
		person, err := s.personIn(tx, r.Chart)
		if fault.Is(err, fault.NotFound) || err == nil && (person.Dead() || !r.offerable(service) || slices.Contains(r.Passed, slot.SlotRef)) {
			return errNotNow
		}
		if err != nil {
			return err
		}
		for _, c := range r.Shortlist { // a spine that was restored waits until all have said whether they have seen to the person
			if slices.Contains(unasked, c.Provider) {
				continue
			}
			if err := s.sure(tx, c.Provider); err != nil {
				return err
			}
		}
		free, err := s.slot(tx, slot.SlotRef)
		if err == nil {
			err = s.sure(tx, free.Provider)
		}
		if err == nil {
			err = s.bookable(free, "", tx.At())
		}
		if err != nil {
			return err
		}
		if err := s.fitAt(tx, r.Chart, service, free.Start); unfit(err) {
			return errNotNow
		} else if err != nil {
			return err
		}
		a := s.byItself(ActOffer, tx.At())
		a.Offer = &Offer{SlotRef: free.SlotRef, Epoch: int64(free.Base), Start: free.Start, End: free.End, Clinician: free.Clinician, ClinicianID: free.ClinicianID, Until: offerUntil(tx.At(), s.o.OfferDays, free.Start.Add(-s.o.Freeze))}
		if _, err := s.commit(tx, r, a); err != nil {
			return err
		}
		return s.account(tx, r, a, "")
	})
}
