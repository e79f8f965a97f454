package county

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/hospital"
	"github.com/openspine/openspine/referral"
)

// DayOptions say what a country's working day is. Zero fields take the defaults, which are England's day.
type DayOptions struct {
	Practices int    // 300
	People    int    // of each practice: 200
	Referrals int    // 62,000
	Bookings  int    // of those that were referred that day: 24,000
	Beside    int    // how many people act at once: 32
	Seed      uint64 // who is referred, and who books
	Folder    string // where the databases are; it must be empty
	// Said is told after each half-hour of the day; nil for nobody.
	Said func(at time.Time, r Result)
}

// halfHours is how a day goes from eight o'clock on: of a thousand referrals, and of a thousand bookings, so many in each half-hour. Practices refer in their morning and afternoon surgeries; those
// who book at home do so into the evening. The shape is made up.
var halfHours = [][2]int{
	{20, 10}, {50, 25}, {70, 40}, {80, 50}, {80, 55}, {75, 55}, {70, 55}, {60, 50}, {45, 45}, {35, 45}, {40, 45}, {55, 45}, {70, 45}, {70, 45}, {60, 45}, {50, 45},
	{35, 45}, {20, 40}, {10, 35}, {5, 30}, {0, 30}, {0, 30}, {0, 25}, {0, 25}, {0, 20}, {0, 20},
}

// Day replays a country's working day as fast as it goes: real referrals and bookings at the spine, each told to the other side by the post and accepted there. Its
// end is that of a county's year: both sides compare what they know, and nothing may differ.
func Day(ctx context.Context, o DayOptions) (res Result, err error) {
	for _, x := range []struct {
		to    *int
		usual int
	}{{&o.Practices, 300}, {&o.People, 200}, {&o.Referrals, 62_000}, {&o.Bookings, 24_000}, {&o.Beside, 32}} {
		if *x.to <= 0 {
			*x.to = x.usual
		}
	}
	if o.Bookings > o.Referrals {
		return res, fault.New(fault.Invalid, "those book who were referred: at most %d", o.Referrals)
	}
	const ahead = 5 * 8 // working days on which clinics are held
	room := 1 + 300*o.Bookings/ahead/o.Referrals
	c, err := open(ctx, Options{Practices: o.Practices, People: o.People, Referrals: o.Referrals, Days: 1, Room: room, Beside: o.Beside, Seed: o.Seed, Folder: o.Folder})
	defer func() { err = errors.Join(err, c.close()) }()
	if err != nil {
		return res, err
	}
	if err := c.jobs("plan"); err != nil {
		return res, err
	}
	if err := c.rest(0); err != nil {
		return res, err
	}
	began := time.Now()
	d := &workingDay{county: c, o: o}
	for i := range halfHours {
		if err := ctx.Err(); err != nil {
			return res, err
		}
		c.clock.Set(start.Add(time.Duration(i) * 30 * time.Minute))
		if err := d.halfHour(i); err != nil {
			return c.tally.result(), fmt.Errorf("from %s: %w", c.clock.Now().Format("15:04"), err)
		}
		if o.Said != nil {
			o.Said(c.clock.Now(), c.tally.result())
		}
	}
	err = c.compare()
	res = c.tally.result()
	res.Took, res.Waiting = time.Since(began), len(d.open)
	if err == nil && (res.Referrals != o.Referrals || res.Booked+res.SlotIssues != o.Bookings || res.Accepted != res.Booked) {
		err = fault.New(fault.Internal, "of %d referrals and %d bookings there were %d and %d with %d slot issues, and %d were accepted", o.Referrals, o.Bookings, res.Referrals, res.Booked, res.SlotIssues, res.Accepted)
	}
	return res, err
}

// workingDay is a day that is under way.
type workingDay struct {
	*county
	o    DayOptions
	open []*person // who was referred and has not booked
}

// share is how many of all there are in a half-hour, so that those of all half-hours are all.
func share(all, i, of int) int {
	before, whole := 0, 0
	for j, h := range halfHours {
		if whole += h[of]; j < i {
			before += h[of]
		}
	}
	return all*(before+halfHours[i][of])/whole - all*before/whole
}

// halfHour lets the practices refer, and then patients book; what has come to the hospitals is accepted.
func (d *workingDay) halfHour(i int) error {
	c := d.county
	fresh := make([]*person, share(d.o.Referrals, i, 0))
	for i := range fresh {
		who := c.rng.IntN(d.o.Practices * d.o.People)
		number, err := patient(who)
		if err != nil {
			return err
		}
		fresh[i] = &person{number: number, practice: practice(who / d.o.People), service: c.offered[c.rng.IntN(len(c.offered))], made: c.clock.Now(), fresh: true,
			rng: rand.New(rand.NewPCG(d.o.Seed, c.rng.Uint64()))} //nolint:gosec // a simulation's chance
	}
	err := beside(c, fresh, func(x *person) error {
		made, err := c.refer.Create(c.ctx, c.doctor(x), referral.Draft{Patient: x.number, Priority: referral.Routine, Request: referral.ForAppointment, Services: []string{x.service}, Letter: "Breathless on stairs for six weeks. Please see."})
		if err != nil {
			return fmt.Errorf("refer: %w", err)
		}
		x.ubrn = made.UBRN
		c.tally.count(&c.tally.r.Referrals, 1)
		return nil
	})
	if err != nil {
		return err
	}
	d.open = append(d.open, fresh...)
	c.rng.Shuffle(len(d.open), func(a, b int) { d.open[a], d.open[b] = d.open[b], d.open[a] })
	n := share(d.o.Bookings, i, 1)
	if n > len(d.open) {
		return fault.New(fault.Internal, "%d book of whom only %d were referred", n, len(d.open))
	}
	now := slices.Clone(d.open[:n])
	d.open = d.open[n:]
	if err := beside(c, now, func(x *person) error { return c.book(c.patient(x), x, referral.ActBook) }); err != nil {
		return err
	}
	if err := c.rest(0); err != nil {
		return err
	}
	if err := d.accept(now); err != nil {
		return err
	}
	return c.deliver()
}

// accept lets the hospitals accept whoever has a time.
func (d *workingDay) accept(list []*person) error {
	return beside(d.county, list, func(x *person) error {
		if x.at == nil {
			return nil
		}
		if err := d.clinics(x.hospital()).Decide(d.ctx, at(x.hospital(), access.Clinician), x.hospital(), x.ubrn.String(), hospital.Decision{Kind: booking.ActAccept}); err != nil {
			return fmt.Errorf("accept %s: %w", x.ubrn, err)
		}
		d.tally.count(&d.tally.r.Accepted, 1)
		return nil
	})
}
