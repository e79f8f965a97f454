// Package county is a county's year of referrals: practices that refer, hospitals that see people, and everybody who books, changes their mind, does not come, or loses a time
// because a clinic is cancelled. Every referral is a real one: the real referrals and clinics, each with their rules and their account on a node of
// their own as they are in life, and the real post between them.
//
//	each working day: clinics of yesterday are written up, people change their minds and rebook, practices refer and book ─► who waits is offered what is free ─► hospitals register and accept ─► a clinic is cancelled
//
// The post is turned meanwhile, as on a node. Nobody needs the county's databases once it is over: they are not forced to the disk. Dates are virtual: a day takes as long as its work. What happens follows from the seed; which of two people gets a time that both chose does not, for many act at once.
// At the end both sides compare what they know, and nothing may differ.
package county

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/directory"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/hospital"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/internal/clock"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/referral"
	"github.com/openspine/openspine/store"
)

// Options say what county it is. Zero fields take the defaults.
type Options struct {
	Practices int    // 100
	People    int    // of each practice: 200
	Referrals int    // in all: 200,000
	Days      int    // of the calendar: 365
	Room      int    // places at clinics for each hundred referrals, over the working days: 110
	Beside    int    // how many people act at once: 256
	Seed      uint64 // what happens
	Folder    string // where the databases are; it must be empty
	// Said is told at the end of each week what has happened so far; nil for nobody.
	Said func(day int, r Result)
}

func (o Options) withDefaults() Options {
	for _, x := range []struct {
		to    *int
		usual int
	}{{&o.Practices, 100}, {&o.People, 200}, {&o.Referrals, 200_000}, {&o.Days, 365}, {&o.Room, 110}, {&o.Beside, 256}} {
		if *x.to <= 0 {
			*x.to = x.usual
		}
	}
	return o
}

// specialty is cardiology, of SNOMED CT.
const specialty = "394579002"

// start is the first day: a Monday.
var start = time.Date(2026, 1, 5, 8, 0, 0, 0, time.UTC)

var (
	national  = ident.MustODSCode("X26")
	hospitals = []ident.ODSCode{ident.MustODSCode("RQX"), ident.MustODSCode("RQY")}
)

// county is the spine and the hospitals, with everybody who acts there.
type county struct {
	o     Options
	ctx   context.Context
	clock *clock.Fake
	rng   *rand.Rand
	tally tally

	spine   *node
	homes   map[ident.ODSCode]*node // of the hospitals
	lines   *lines                  // between all of them
	refer   *referral.Referrals
	offered []string // services of all clinics

	mu     sync.Mutex        // of these, while many act
	booked []*person         // those who have a time to come
	later  map[int][]*person // who books on which day
	held   []*person         // for whom a hospital must find a time
}

// Run lives through the county's days. An error is a failure, or a difference that is left at the end.
func Run(ctx context.Context, o Options) (res Result, err error) {
	o = o.withDefaults()
	c, err := open(ctx, o)
	defer func() { err = errors.Join(err, c.close()) }()
	if err != nil {
		return res, err
	}
	began := time.Now()
	for day := range o.Days {
		if err := ctx.Err(); err != nil {
			return res, err
		}
		if err := c.day(day); err != nil {
			return c.tally.result(), fmt.Errorf("day %d: %w", day+1, err)
		}
		if o.Said != nil && day%7 == 6 {
			o.Said(day+1, c.tally.result())
		}
	}
	err = c.compare()
	res = c.tally.result()
	res.Took = time.Since(began)
	return res, err
}

// open makes the nodes with everybody on them. They are to be closed, also after an error.
func open(ctx context.Context, o Options) (*county, error) {
	c := &county{o: o, ctx: ctx, clock: clock.NewFake(start), rng: rand.New(rand.NewPCG(o.Seed, 17)), homes: map[ident.ODSCode]*node{}, lines: &lines{}, later: map[int][]*person{}} //nolint:gosec // a simulation's chance
	for _, code := range append([]ident.ODSCode{national}, hospitals...) {
		n := &node{code: code, lines: c.lines}
		c.lines.nodes = append(c.lines.nodes, n)
		if err := n.open(c); err != nil {
			return c, err
		}
		c.homes[code] = n
	}
	c.spine = c.homes[national]
	c.refer = c.spine.refer
	for _, n := range c.lines.nodes {
		n.runs(ctx)
	}
	if err := c.people(); err != nil {
		return c, err
	}
	return c, c.hold()
}

func (c *county) close() (err error) {
	for _, n := range c.lines.nodes {
		if n.stop != nil {
			err = errors.Join(err, n.stop())
		}
	}
	for _, n := range c.lines.nodes {
		err = errors.Join(err, n.close())
	}
	return err
}

// clinics are those of a hospital.
func (c *county) clinics(h ident.ODSCode) *hospital.Outpatients { return c.homes[h].clinics }

// practice is the code of one of the practices, from 0.
func practice(i int) ident.ODSCode { return ident.MustODSCode(fmt.Sprintf("Z%05d", 10_000+i)) }

// patient is the number of somebody on the lists of the practices, from 0.
func patient(i int) (ident.NHSNumber, error) { return ident.TestRange.At(i) }

// people puts the services of the directory and everybody on the practices' lists into the register, many at a time.
func (c *county) people() error {
	const atOnce = 200
	all := c.o.Practices * c.o.People
	for from := 0; from < all; from += atOnce {
		var list []record.Change
		for i := from; i < min(from+atOnce, all); i++ {
			n, err := patient(i)
			if err != nil {
				return err
			}
			res, err := fhir.Parse(fmt.Appendf(nil, `{"resourceType":"Patient","id":"%s","identifier":[{"system":"%s","value":"%s"}],"name":[{"use":"usual","family":"Person%s","given":["Ann"]}],"gender":"female","birthDate":"%d-03-%02d"}`,
				n, ident.SystemNHSNumber, n, letters(i), 1930+i%70, 1+i%28))
			if err != nil {
				return err
			}
			list = append(list, record.Change{Verb: record.Put, Ref: record.Ref{Tenant: national, Type: "Patient", ID: n.String()}, Resource: res})
		}
		if err := c.put(list, func(tx *store.Tx) error {
			for i := from; i < min(from+atOnce, all); i++ {
				n, err := patient(i)
				if err == nil {
					err = c.spine.k.Gate.Relate(tx, access.Relationship{Tenant: national, Chart: n.String(), Organisation: practice(i / c.o.People), Kind: access.KindRegistered, Basis: "registered", By: "service/county"})
				}
				if err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// letters are a number in letters, for names.
func letters(n int) string {
	var b strings.Builder
	for ; n > 0; n /= 26 {
		b.WriteByte(byte('a' + n%26))
	}
	return b.String()
}

// put writes resources in one transaction, and what more goes with them.
func (c *county) put(list []record.Change, more func(tx *store.Tx) error) error {
	var drafts []*record.Draft
	var acts []access.Act
	var lanes []store.Lane
	for _, x := range list {
		d, err := c.spine.k.Records.Prepare(c.ctx, x)
		if err != nil {
			return err
		}
		drafts, acts, lanes = append(drafts, d), append(acts, d.Acts()...), append(lanes, d.Lanes()...)
	}
	grants, err := c.spine.k.Gate.DecideAll(c.ctx, access.Service("county", national), acts)
	if err != nil {
		return err
	}
	return c.spine.k.Gate.Act(c.ctx, grants, lanes, func(tx *store.Tx) error {
		for i, d := range drafts {
			if _, err := c.spine.k.Records.Apply(tx, d, grants[i]); err != nil {
				return err
			}
		}
		return more(tx)
	})
}

// hold sets up the clinics of the hospitals: each is held every working day, and keeps a tenth of its times for whom it finds one itself. At 110 places for a hundred referrals the weeks
// ahead fill in the course of a year, for some come twice.
func (c *county) hold() error {
	const fullest = 50 // slots of a session
	daily := c.o.Referrals/max(1, workdays(c.o.Days))/len(hospitals) + 1
	places := daily * c.o.Room / 100
	clinics := max(1, (places+fullest-1)/fullest)
	slots := min(fullest, max(2, places/clinics))
	for _, h := range hospitals {
		set := hospital.Setup{Specialties: []hospital.Specialty{{Code: specialty, Name: "Cardiology"}}, Consultants: []hospital.Consultant{{ID: "q", Name: "Dr Saoirse Quinlan", Specialty: specialty}}}
		var services []record.Change
		for i := range clinics {
			id := fmt.Sprintf("clinic-%d", i)
			service := h.String() + "-" + id
			set.Clinics = append(set.Clinics, hospital.Clinic{ID: id, Name: "Heart clinic " + fmt.Sprint(i+1), Service: service, Specialty: specialty, Consultant: "q", Place: "Outpatients"})
			for day := time.Monday; day <= time.Friday; day++ {
				set.Templates = append(set.Templates, hospital.Template{ID: fmt.Sprintf("%s-%d", id, day), Clinic: id, Weekday: day, Starts: 9 * 60, Minutes: 8, Slots: slots, Reserve: max(1, slots/10), Given: true})
			}
			res, err := directory.HealthcareService{ID: service, Name: "Heart clinic " + fmt.Sprint(i+1), Provider: h, Specialty: specialty, SpecialtyName: "Cardiology", Wait: -1, Youngest: -1, Oldest: -1, Active: true}.Resource()
			if err != nil {
				return err
			}
			services = append(services, record.Change{Verb: record.Put, Ref: record.Ref{Tenant: national, Type: "HealthcareService", ID: service}, Resource: res})
			c.offered = append(c.offered, service)
		}
		if err := c.put(services, func(*store.Tx) error { return nil }); err != nil {
			return err
		}
		if err := c.clinics(h).SetUp(c.ctx, access.Service("county", h), h, set); err != nil {
			return err
		}
	}
	return nil
}

// workdays are how many of the county's days are from Monday to Friday.
func workdays(days int) (n int) {
	for d := range days {
		if d%7 < 5 {
			n++
		}
	}
	return n
}

// beside does something for each of a list, some at a time.
func beside[T any](c *county, list []T, do func(T) error) error {
	var g errgroup.Group
	g.SetLimit(c.o.Beside)
	for _, x := range list {
		g.Go(func() error { return do(x) })
	}
	return g.Wait()
}

// deliver turns the posts until none has anything to do: then nothing comes to another either.
func (c *county) deliver() error {
	for over := time.Now().Add(mostPost); time.Now().Before(over); {
		asked, quiet := c.lines.quiet()
		for _, n := range c.lines.nodes {
			list, err := n.post.Pending(c.ctx)
			if err != nil {
				return err
			}
			quiet = quiet && len(list) == 0
			if err := beside(c, list, func(w messaging.Work) error {
				if _, err := n.post.Turn(c.ctx, w); !fault.Is(err, fault.Unavailable) {
					return err
				}
				return nil
			}); err != nil {
				return err
			}
		}
		if now, _ := c.lines.quiet(); quiet && now == asked {
			waits := false
			for _, n := range c.lines.nodes {
				w, err := n.hasten(c.ctx)
				if err != nil {
					return err
				}
				waits = waits || w
			}
			if !waits {
				return nil
			}
		}
		time.Sleep(time.Millisecond) // a turn with a peer that is under way already is not waited for
	}
	return fault.New(fault.Internal, "the post never has nothing to do")
}

// mostPost is how long the post may have something to do while nobody sends anything.
const mostPost = 10 * time.Minute

// jobs does what the services do by the clock: those of one service one after the other, beside those of the others.
func (c *county) jobs(names ...string) error {
	var services []catalogue.Service
	for _, n := range c.lines.nodes {
		services = append(services, n.services...)
	}
	return beside(c, services, func(s catalogue.Service) error {
		for _, name := range names {
			for _, j := range s.Jobs {
				if j.Name != name {
					continue
				}
				if err := j.Run(c.ctx); err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
			}
		}
		return nil
	})
}

// rounds is how often both sides say what they know at most: what the first comparison finds still under way, or puts right, the ones after it must not find again.
const rounds = 3

// compare lets both sides say what they know until they agree: nothing may differ, and no message may be left.
func (c *county) compare() (err error) {
	for range rounds {
		c.clock.Advance(time.Hour)
		if err := c.jobs("tally"); err != nil {
			return err
		}
		if err := c.deliver(); err != nil {
			return err
		}
		if err = c.agree(); err == nil || fault.KindOf(err) != fault.Internal {
			return err
		}
	}
	return err
}

// agree is fault.Internal where the two sides were not compared, or anything differs, also what may be under way, or is.
func (c *county) agree() error {
	var differ, left, uncompared int64
	for _, n := range c.lines.nodes {
		var d, l, u int64
		err := n.db.Read(c.ctx, func(tx *store.Tx) error {
			err := tx.QueryRow(`SELECT count(*) FROM post_message WHERE state NOT IN (?, ?)`, int64(messaging.Handled), int64(messaging.Refused)).Scan(&l)
			if err == nil && n != c.spine {
				err = tx.QueryRow(`SELECT count(*) FROM hospital_standing WHERE answered = 0 OR answered < asked`).Scan(&u)
			}
			if err == nil && n != c.spine {
				err = tx.QueryRow(`SELECT count(*) FROM hospital_difference`).Scan(&d)
			}
			return err
		})
		if err != nil {
			return err
		}
		differ, left, uncompared = differ+d, left+l, uncompared+u
	}
	switch {
	case uncompared > 0:
		return fault.New(fault.Internal, "%d hospitals were not answered: nothing was compared", uncompared)
	case differ > 0 || left > 0:
		return fault.New(fault.Internal, "at the end %d things differ between the spine and the hospitals, and %d messages are left", differ, left)
	}
	return nil
}
