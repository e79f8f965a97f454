package county

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/hospital"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/referral"
	"github.com/openspine/openspine/store"
)

// person is somebody who was referred, as the people of the county know it. Its chance is its own, so that what happens to it does not hang on who was quicker.
type person struct {
	ubrn     ident.UBRN
	number   ident.NHSNumber
	practice ident.ODSCode
	service  string
	made     time.Time
	at       *referral.Appointment
	fresh    bool      // the hospital has not said yet whether it takes the person
	issue    time.Time // since when nobody has a time for them
	rng      *rand.Rand
}

func (x *person) hospital() ident.ODSCode { return ident.MustODSCode(x.service[:3]) }

// chance is true so many times in a hundred.
func (x *person) chance(of int) bool { return x.rng.IntN(100) < of }

// Result is what has happened.
type Result struct {
	Referrals, Booked, Moved, Cancelled int
	SlotIssues, Offered                 int // nobody had a free time; the hospital found one
	Taken, Declined                     int // of the times that the spine offered by itself
	Withdrawn, Displaced                int // sessions that did not take place; people who were in them
	Accepted, Rejected, Attended        int
	Missed, Discharged                  int
	Waiting                             int // at the end, for a time or for their day
	Median, Ninth                       int // days from the referral to the day at the clinic, of half and of nine in ten of those who were seen
	Took                                time.Duration
}

// String is the figures in words.
func (r Result) String() string {
	return fmt.Sprintf("%d referrals, %d bookings, %d moved, %d cancelled; %d slot issues, %d given a time by the hospital, %d took one that came free, %d said no to it; %d sessions withdrawn with %d people in them; %d accepted, %d rejected; %d seen (%d discharged), %d did not come; half were seen within %d days, nine in ten within %d; %d still wait",
		r.Referrals, r.Booked, r.Moved, r.Cancelled, r.SlotIssues, r.Offered, r.Taken, r.Declined, r.Withdrawn, r.Displaced, r.Accepted, r.Rejected, r.Attended, r.Discharged, r.Missed, r.Median, r.Ninth, r.Waiting)
}

// tally counts, for many at once.
type tally struct {
	mu    sync.Mutex
	r     Result
	waits []int // days, of those who were seen
}

func (t *tally) count(to *int, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	*to += n
}

func (t *tally) result() Result {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.r
	if n := len(t.waits); n > 0 {
		slices.Sort(t.waits)
		r.Median, r.Ninth = t.waits[n/2], t.waits[n*9/10]
	}
	return r
}

// day is one day of the calendar.
func (c *county) day(day int) error {
	c.clock.Set(start.AddDate(0, 0, day))
	if day%7 > 4 {
		return nil
	}
	if day == 0 {
		if err := c.jobs("plan"); err != nil {
			return err
		}
	}
	steps := []func(int) error{c.morning, c.rest, c.answer, c.afternoon, c.find, c.cancel, c.rest}
	for _, step := range steps {
		c.clock.Advance(30 * time.Minute)
		if err := step(day); err != nil {
			return err
		}
	}
	c.tally.mu.Lock()
	c.tally.r.Waiting = len(c.booked) + len(c.held)
	for _, list := range c.later {
		c.tally.r.Waiting += len(list)
	}
	c.tally.mu.Unlock()
	return nil
}

// rest lets the post and the jobs finish.
func (c *county) rest(int) error {
	if err := c.deliver(); err != nil {
		return err
	}
	if err := c.jobs("standing", "give-back", "withdrawn", "offers", "register"); err != nil {
		return err
	}
	return c.deliver()
}

func (c *county) caller(p access.Principal) referral.Caller {
	return referral.Caller{Principal: p, Ask: func(acts ...access.Act) ([]access.Grant, error) {
		grants, err := c.spine.k.Gate.DecideAll(c.ctx, p, acts)
		if err == nil {
			err = c.spine.k.Gate.Account(c.ctx, grants, nil)
		}
		return grants, err
	}}
}

func (c *county) doctor(x *person) referral.Caller {
	return c.caller(access.Principal{ID: "gp-" + x.practice.String(), Name: "Dr Amara Whitfield", Role: access.Clinician, Organisation: x.practice, AuthMethod: "session"})
}

func (c *county) patient(x *person) referral.Caller {
	return c.caller(access.Principal{ID: "ubrn/" + x.ubrn.String(), Name: "Patient, by reference number", Role: access.Patient, Person: x.number.String(), AuthMethod: "ubrn"})
}

func at(h ident.ODSCode, role access.Role) access.Principal {
	return access.Principal{ID: "staff-" + string(role), Name: "Dr Saoirse Quinlan", Role: role, Organisation: h, AuthMethod: "session"}
}

// book chooses a free time and books it, or moves to it; where there is none the hospital is asked to find one.
func (c *county) book(by referral.Caller, x *person, kind referral.Kind) error {
	for range 20 {
		free, err := c.refer.FreeSlots(c.ctx, x.service, time.Time{}, time.Time{}, "", 24) // what a page of times shows
		if err != nil {
			return err
		}
		if len(free) == 0 {
			return c.issue(by, x, kind)
		}
		slot := free[x.rng.IntN(len(free))]
		r, err := c.refer.Act(c.ctx, by, x.ubrn, referral.Work{Kind: kind, Slot: slot.SlotRef, Service: x.service})
		if _, gone := referral.Taken(err); gone {
			continue
		}
		if err != nil {
			return fmt.Errorf("%s %s: %w", kind, x.ubrn, err)
		}
		if x.at = r.Appointment; kind == referral.ActMove {
			c.tally.count(&c.tally.r.Moved, 1)
		} else {
			c.tally.count(&c.tally.r.Booked, 1)
		}
		x.fresh = !r.Accepted
		return nil
	}
	return c.issue(by, x, kind)
}

// issue leaves it to the hospital to find a time.
func (c *county) issue(by referral.Caller, x *person, kind referral.Kind) error {
	if kind == referral.ActMove {
		return nil // they keep the time that they have
	}
	_, err := c.refer.Act(c.ctx, by, x.ubrn, referral.Work{Kind: referral.ActDefer, Service: x.service, Reason: "BOOKING_ATTEMPT_PROBLEM"})
	if err != nil {
		return fmt.Errorf("defer %s: %w", x.ubrn, err)
	}
	x.fresh, x.issue = true, c.clock.Now()
	c.tally.count(&c.tally.r.SlotIssues, 1)
	return nil
}

// place puts somebody where they wait after they have booked, or could not.
func (c *county) place(x *person) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if x.at != nil {
		c.booked = append(c.booked, x)
	} else {
		c.held = append(c.held, x)
	}
}

// morning is what people do of their own accord, all at once: clinics write up who came, patients change their minds or book, practices refer. Nobody is in it twice.
func (c *county) morning(day int) error {
	var all []func() error
	for _, some := range []func(int) ([]func() error, error){c.wroteUp, c.changes, c.rebook, c.refers} {
		list, err := some(day)
		if err != nil {
			return err
		}
		all = append(all, list...)
	}
	c.rng.Shuffle(len(all), func(a, b int) { all[a], all[b] = all[b], all[a] })
	return beside(c, all, func(do func() error) error { return do() })
}

// each is what is to be done for everybody on a list.
func each[T any](list []T, do func(T) error) (all []func() error) {
	for _, x := range list {
		all = append(all, func() error { return do(x) })
	}
	return all
}

// wroteUp writes down who came to the clinics since the last day, and what came of it.
func (c *county) wroteUp(day int) ([]func() error, error) {
	now := c.clock.Now()
	var due []*person
	c.booked = slices.DeleteFunc(c.booked, func(x *person) bool {
		over := !x.at.End.After(now)
		if over {
			due = append(due, x)
		}
		return over
	})
	return each(due, func(x *person) error {
		come := hospital.Coming{Session: x.at.Session, Slot: x.at.Slot, State: "attended", Outcome: "treatment", Status: "30"}
		switch {
		case x.chance(7):
			come.State, come.Outcome, come.Status, come.Reason, come.Rebook = "did-not-attend", "", "", "PATIENT_FORGOT", true
		case x.chance(60):
			come.Outcome, come.Status = "discharged", "34"
		}
		if err := c.clinics(x.hospital()).Come(c.ctx, at(x.hospital(), access.Clinician), x.hospital(), x.ubrn.String(), come); err != nil {
			return fmt.Errorf("%s at the clinic of %s: %w", x.ubrn, x.at.Start.Format(time.DateOnly), err)
		}
		if come.State == "did-not-attend" {
			c.tally.count(&c.tally.r.Missed, 1)
			x.at, x.fresh = nil, true
			c.again(next(day, 1+x.rng.IntN(5)), x)
			return nil
		}
		c.tally.mu.Lock()
		defer c.tally.mu.Unlock()
		if c.tally.r.Attended++; come.Outcome == "discharged" {
			c.tally.r.Discharged++
		}
		c.tally.waits = append(c.tally.waits, int(x.at.Start.Sub(x.made).Hours()/24))
		return nil
	}), nil
}

// again has somebody book on a later day.
func (c *county) again(day int, x *person) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.later[day] = append(c.later[day], x)
}

// next is a working day so many after another.
func next(day, after int) int {
	day += after
	for day%7 > 4 {
		day++
	}
	return day
}

// changes lets some of those who have a time take another one, or give it back and book anew some days later.
func (c *county) changes(day int) ([]func() error, error) {
	var moving, leaving []*person
	soon := c.clock.Now().Add(24 * time.Hour)
	c.booked = slices.DeleteFunc(c.booked, func(x *person) bool {
		if x.at.Theirs || x.fresh || x.at.Start.Before(soon) {
			return false
		}
		switch n := x.rng.IntN(1000); {
		case n < 4:
			moving = append(moving, x)
		case n < 7:
			leaving = append(leaving, x)
			return true
		}
		return false
	})
	all := each(moving, func(x *person) error { return c.book(c.patient(x), x, referral.ActMove) })
	return append(all, each(leaving, func(x *person) error {
		if _, err := c.refer.Act(c.ctx, c.patient(x), x.ubrn, referral.Work{Kind: referral.ActCancelBy, Reason: "PATIENT_ILL"}); err != nil {
			return err
		}
		c.tally.count(&c.tally.r.Cancelled, 1)
		x.at = nil
		c.again(next(day, 2+x.rng.IntN(5)), x)
		return nil
	})...), nil
}

// rebook lets those book who were to choose a time today.
func (c *county) rebook(day int) ([]func() error, error) {
	list := c.later[day]
	delete(c.later, day)
	return each(list, func(x *person) error {
		if err := c.book(c.patient(x), x, referral.ActBook); err != nil {
			return err
		}
		c.place(x)
		return nil
	}), nil
}

// refers lets the practices refer as many as it is today: most book at once, some at home in the days after.
func (c *county) refers(day int) ([]func() error, error) {
	left := workdays(c.o.Days) - workdays(day)
	n := c.o.Referrals - c.tally.r.Referrals
	if left > 1 {
		n = min(n, n/left*(80+c.rng.IntN(41))/100+1)
	}
	fresh := make([]*person, n)
	for i := range fresh {
		who := c.rng.IntN(c.o.Practices * c.o.People)
		number, err := patient(who)
		if err != nil {
			return nil, err
		}
		fresh[i] = &person{number: number, practice: practice(who / c.o.People), service: c.offered[c.rng.IntN(len(c.offered))], made: c.clock.Now(), fresh: true,
			rng: rand.New(rand.NewPCG(c.o.Seed, c.rng.Uint64()))} //nolint:gosec // a simulation's chance
	}
	return each(fresh, func(x *person) error {
		made, err := c.refer.Create(c.ctx, c.doctor(x), referral.Draft{Patient: x.number, Priority: referral.Routine, Request: referral.ForAppointment, Services: []string{x.service}, Letter: "Breathless on stairs for six weeks. Please see."})
		if err != nil {
			return fmt.Errorf("refer: %w", err)
		}
		x.ubrn = made.UBRN
		c.tally.count(&c.tally.r.Referrals, 1)
		if x.chance(30) { // books at home
			c.again(next(day, 1+x.rng.IntN(6)), x)
			return nil
		}
		if err := c.book(c.doctor(x), x, referral.ActBook); err != nil {
			return err
		}
		c.place(x)
		return nil
	}), nil
}

// answer lets those who are offered a time take it, or say that they cannot come then; some let it pass.
func (c *county) answer(int) error {
	offered, err := c.waitsOffered()
	if err != nil || len(offered) == 0 {
		return err
	}
	var mu sync.Mutex
	took := map[*person]bool{}
	asked := slices.DeleteFunc(slices.Clone(c.held), func(x *person) bool { return !offered[x.ubrn.String()] })
	err = beside(c, asked, func(x *person) error {
		by := c.patient(x)
		r, err := c.refer.Get(c.ctx, by, x.ubrn)
		if err != nil || r.Offer == nil {
			return err
		}
		n := x.rng.IntN(100)
		switch {
		case n < 60:
			r, err = c.refer.Act(c.ctx, by, x.ubrn, referral.Work{Kind: referral.ActBook, Slot: r.Offer.SlotRef, Service: x.service})
		case n < 75:
			_, err = c.refer.Act(c.ctx, by, x.ubrn, referral.Work{Kind: referral.ActDecline, Seen: r.Version})
		default:
			return nil
		}
		if err != nil {
			return fmt.Errorf("an offer to %s: %w", x.ubrn, err)
		}
		mu.Lock()
		defer mu.Unlock()
		if n >= 60 {
			c.tally.r.Declined++
			return nil
		}
		c.tally.r.Taken++
		x.at, x.fresh, took[x] = r.Appointment, !r.Accepted, true
		return nil
	})
	c.held = slices.DeleteFunc(c.held, func(x *person) bool {
		if took[x] {
			c.booked = append(c.booked, x)
		}
		return took[x]
	})
	return err
}

// waitsOffered are the numbers of those to whom a time is offered.
func (c *county) waitsOffered() (list map[string]bool, err error) {
	err = c.spine.db.Read(c.ctx, func(tx *store.Tx) error {
		list = map[string]bool{}
		rows, err := tx.Query(`SELECT ubrn FROM referral_wait WHERE offered > ?`, c.clock.Now().UnixMicro())
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var ubrn string
			if err := rows.Scan(&ubrn); err != nil {
				return err
			}
			list[ubrn] = true
		}
		return rows.Err()
	})
	return list, err
}

// afternoon is what the hospitals do of their own accord: on Fridays they make the sessions of one more week, so that what is free there is offered first to those who wait.
func (c *county) afternoon(day int) error {
	var all errgroup.Group
	all.Go(func() error { return c.decide(day) })
	if day%7 == 4 {
		all.Go(func() error { return c.jobs("plan") })
	}
	return all.Wait()
}

// decide lets the hospitals accept what has come, and reject a little: it is back with the practice then.
func (c *county) decide(int) error {
	var mu sync.Mutex
	gone := map[*person]bool{}
	fresh := slices.DeleteFunc(slices.Clone(c.booked), func(x *person) bool { return !x.fresh })
	err := beside(c, fresh, func(x *person) error {
		x.fresh = false
		d := hospital.Decision{Kind: booking.ActAccept}
		if x.chance(2) {
			d = hospital.Decision{Kind: booking.ActReject, Reason: "SERVICE_INAPPROPRIATE", Comment: "Another clinic."}
		}
		if err := c.clinics(x.hospital()).Decide(c.ctx, at(x.hospital(), access.Clinician), x.hospital(), x.ubrn.String(), d); err != nil {
			return fmt.Errorf("%s %s: %w", d.Kind, x.ubrn, err)
		}
		mu.Lock()
		defer mu.Unlock()
		if d.Kind == booking.ActAccept {
			c.tally.r.Accepted++
		} else {
			c.tally.r.Rejected++
			gone[x] = true
		}
		return nil
	})
	c.booked = slices.DeleteFunc(c.booked, func(x *person) bool { return gone[x] })
	return err
}

// patience is how long hospitals wait until they find somebody a time themselves: the spine offers what comes free.
const patience = 7 * 24 * time.Hour

// find lets the hospitals give those a time of their reserve for whom nothing was free for so long.
func (c *county) find(int) error {
	var g errgroup.Group
	reserves := make([]map[string][]referral.Appointment, len(hospitals))
	for i, h := range hospitals {
		g.Go(func() (err error) {
			reserves[i], err = c.reserve(h)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for i, h := range hospitals {
		reserve := reserves[i]
		var given []*person
		c.held = slices.DeleteFunc(c.held, func(x *person) bool {
			if !c.hasWaited(x, h) || len(reserve[x.service]) == 0 {
				return false
			}
			x.at, reserve[x.service] = &reserve[x.service][0], reserve[x.service][1:]
			given = append(given, x)
			return true
		})
		if err := beside(c, given, func(x *person) error {
			x.fresh = false
			return c.clinics(h).Decide(c.ctx, at(h, access.Clerk), h, x.ubrn.String(), hospital.Decision{Kind: booking.ActMove, Session: x.at.Session, Slot: x.at.Slot})
		}); err != nil {
			return err
		}
		c.tally.count(&c.tally.r.Offered, len(given))
		c.booked = append(c.booked, given...)
	}
	return nil
}

// clinicOf is the clinic of a session, whose id is its template's and the day.
func clinicOf(session string) string { return session[:len(session)-len("-1-20060102")] }

// hasWaited reports whether somebody has waited for a hospital to find them a time for so long that it does.
func (c *county) hasWaited(x *person, h ident.ODSCode) bool {
	return x.hospital() == h && c.clock.Now().Sub(x.issue) >= patience
}

// reserve are the free times of a hospital that it kept for itself, by service, the earliest first.
func (c *county) reserve(h ident.ODSCode) (free map[string][]referral.Appointment, err error) {
	if !slices.ContainsFunc(c.held, func(x *person) bool { return c.hasWaited(x, h) }) {
		return nil, nil
	}
	err = c.homes[h].db.Read(c.ctx, func(tx *store.Tx) error {
		free = map[string][]referral.Appointment{}
		rows, err := tx.Query(`SELECT s.session, s.id, s.starts, s.ends FROM hospital_slot s JOIN hospital_session e ON e.lane = s.lane AND e.tenant = s.tenant AND e.id = s.session
			WHERE s.lane = 0 AND s.tenant = ? AND s.kind = 'reserve' AND s.epoch % 2 = 0 AND s.starts > ? AND e.state <> 'withdrawn'
			AND NOT EXISTS (SELECT 1 FROM hospital_hold x WHERE x.lane = s.lane AND x.tenant = s.tenant AND x.session = s.session AND x.slot = s.id AND x.epoch >= s.base) ORDER BY s.starts, s.session LIMIT 2000`,
			h.String(), c.clock.Now().Add(24*time.Hour).UnixMicro())
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			a := referral.Appointment{SlotRef: referral.SlotRef{Provider: h}, Theirs: true}
			var starts, ends int64
			if err := rows.Scan(&a.Session, &a.Slot, &starts, &ends); err != nil {
				return err
			}
			a.Start, a.End = time.UnixMicro(starts).UTC(), time.UnixMicro(ends).UTC()
			service := h.String() + "-" + clinicOf(a.Session)
			free[service] = append(free[service], a)
		}
		return rows.Err()
	})
	return free, err
}

// cancel withdraws a session of each hospital once a week: whoever is in it is told, and books anew.
func (c *county) cancel(day int) error {
	if day%7 != 2 {
		return nil
	}
	for _, h := range hospitals {
		after := c.clock.Now().AddDate(0, 0, 3)
		i := slices.IndexFunc(c.booked, func(x *person) bool { return x.hospital() == h && x.at.Start.After(after) })
		if i < 0 {
			continue
		}
		session := c.booked[i].at.Session
		n, err := c.clinics(h).Withdraw(c.ctx, at(h, access.Clerk), h, session, "The consultant is ill")
		if err != nil {
			return fault.Wrap(err, fault.KindOf(err), "a session could not be withdrawn")
		}
		c.tally.count(&c.tally.r.Withdrawn, 1)
		c.tally.count(&c.tally.r.Displaced, n)
		c.booked = slices.DeleteFunc(c.booked, func(x *person) bool {
			if x.hospital() != h || x.at.Session != session {
				return false
			}
			x.at, x.fresh = nil, true
			again := next(day, 1+x.rng.IntN(4))
			c.later[again] = append(c.later[again], x)
			return true
		})
	}
	return nil
}
