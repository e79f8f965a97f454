// Package county is a county's year of referrals: practices that refer, hospitals that see people, and everybody who books, changes their mind, does not come, or loses a time
// because a clinic is cancelled. Every referral is a real one: the real referrals and clinics on one node, with their rules, their account and the real post between the two sides.
//
//	each working day: clinics of yesterday are written up, people change their minds and rebook, practices refer and book ─► who waits is offered what is free ─► hospitals register and accept ─► a clinic is cancelled
//
// The post is turned meanwhile, as on a node. Nobody needs the county's database once it is over: it is not forced to the disk. Dates are virtual: a day takes as long as its work. What happens follows from the seed; which of two people gets a time that both chose does not, for many act at once.
// At the end both sides compare what they know, and nothing may differ.
package county

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/demographics"
	"github.com/openspine/openspine/directory"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/fhir/definition"
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
	Beside    int    // how many people act at once: 64
	Seed      uint64 // what happens
	Folder    string // where the database is; it must be empty
	// Said is told at the end of each week what has happened so far; nil for nobody.
	Said func(day int, r Result)
}

func (o Options) withDefaults() Options {
	for _, x := range []struct {
		to    *int
		usual int
	}{{&o.Practices, 100}, {&o.People, 200}, {&o.Referrals, 200_000}, {&o.Days, 365}, {&o.Room, 110}, {&o.Beside, 64}} {
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

// county is the node with everybody on it.
type county struct {
	o     Options
	ctx   context.Context
	clock *clock.Fake
	rng   *rand.Rand
	tally tally

	db       *store.DB
	k        catalogue.Kernel
	post     *messaging.Post
	refer    *referral.Referrals
	clinics  *hospital.Outpatients
	services []catalogue.Service
	offered  []string // services of all clinics
	sessions map[string][]string

	stop func() error // ends what runs beside

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

// open makes the node with everybody on it. It is to be closed, also after an error.
func open(ctx context.Context, o Options) (c *county, err error) {
	c = &county{o: o, ctx: ctx, clock: clock.NewFake(start), rng: rand.New(rand.NewPCG(o.Seed, 17)), sessions: map[string][]string{}, later: map[int][]*person{}} //nolint:gosec // a simulation's chance
	if c.db, err = store.Open(ctx, filepath.Join(o.Folder, "county.db"), store.Options{Clock: c.clock, Fleeting: true}); err != nil {
		return c, err
	}
	if err := c.assemble(); err != nil {
		return c, err
	}
	c.stop = c.runs()
	if err := c.people(); err != nil {
		return c, err
	}
	return c, c.hold()
}

// runs lets the account be sealed and the post be turned beside everything else, as on a node, until the function that it returns is called: that seals the rest, and closes the account.
func (c *county) runs() (stop func() error) {
	ctx, end := context.WithCancel(context.WithoutCancel(c.ctx))
	var all errgroup.Group
	all.Go(func() error { return c.k.Audit.Run(ctx) })
	all.Go(func() error { return c.post.Run(ctx) })
	return func() error {
		end()
		return all.Wait()
	}
}

func (c *county) close() error {
	if c.k.Records != nil {
		c.k.Records.Close()
	}
	var err error
	if c.stop != nil {
		err = c.stop()
	} else if c.k.Audit != nil {
		err = c.k.Audit.Close()
	}
	if c.db != nil {
		err = errors.Join(err, c.db.Close())
	}
	return err
}

// assemble puts the kernel and both services on the database.
func (c *county) assemble() error {
	log := slog.New(slog.DiscardHandler)
	if err := c.db.Migrate(c.ctx, audit.Schema(), access.Schema(), messaging.Schema(), record.Schema(), directory.Schema(), referral.Schema(), hospital.Schema()); err != nil {
		return err
	}
	keys := filepath.Join(c.o.Folder, "account")
	account, err := audit.Open(c.db, keys, audit.Options{Clock: c.clock, Logger: log})
	if err != nil {
		return err
	}
	c.k.Audit = account
	gate, err := access.Open(access.Options{DB: c.db, Audit: account, Clock: c.clock, Logger: log, National: national})
	if err != nil {
		return err
	}
	records, err := record.Open(c.ctx, record.Options{DB: c.db, Clock: c.clock})
	if err != nil {
		return err
	}
	tenants := []catalogue.Tenant{{Code: national, Name: "Spine", Kind: "national"}}
	own := []ident.ODSCode{national}
	for _, h := range hospitals {
		tenants, own = append(tenants, catalogue.Tenant{Code: h, Name: h.String() + " Hospital", Kind: "hospital"}), append(own, h)
	}
	c.k = catalogue.Kernel{DB: c.db, Definitions: definition.R4(), Records: records, Gate: gate, Audit: account, Clock: c.clock, Logger: log, National: national, Tenants: tenants,
		Organisation: func(_ context.Context, code ident.ODSCode) string { return code.String() },
		Services:     func() []catalogue.Service { return c.services }, Post: func() *messaging.Post { return c.post }}
	// The register's events are where a change of a referral is noted for whoever asked to be told.
	if err := c.db.Migrate(c.ctx, demographics.New(c.k, demographics.Options{Data: keys, Demo: true}).Service().Schema); err != nil {
		return err
	}
	places := directory.New(c.k, true)
	c.refer, c.clinics = referral.New(c.k, places, referral.Options{}), hospital.New(c.k)
	c.services = []catalogue.Service{places.Service(), c.refer.Service(), c.clinics.Service()}
	var handlers []messaging.Handler
	for _, s := range c.services {
		records.Keep(s.Keeps...)
		handlers = append(handlers, s.Handles...)
	}
	if err := records.Behind(c.ctx); err != nil {
		return err
	}
	c.post, err = messaging.New(c.ctx, messaging.Options{DB: c.db, Clock: c.clock, Tenants: own, Account: account}, messaging.Together(handlers, national))
	return err
}

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
					err = c.k.Gate.Relate(tx, access.Relationship{Tenant: national, Chart: n.String(), Organisation: practice(i / c.o.People), Kind: access.KindRegistered, Basis: "registered", By: "service/county"})
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
		d, err := c.k.Records.Prepare(c.ctx, x)
		if err != nil {
			return err
		}
		drafts, acts, lanes = append(drafts, d), append(acts, d.Acts()...), append(lanes, d.Lanes()...)
	}
	grants, err := c.k.Gate.DecideAll(c.ctx, access.Service("county", national), acts)
	if err != nil {
		return err
	}
	return c.k.Gate.Act(c.ctx, grants, lanes, func(tx *store.Tx) error {
		for i, d := range drafts {
			if _, err := c.k.Records.Apply(tx, d, grants[i]); err != nil {
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
		if err := c.clinics.SetUp(c.ctx, access.Service("county", h), h, set); err != nil {
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

// deliver turns the post until it has nothing to do.
func (c *county) deliver() error {
	for range 10_000 {
		list, err := c.post.Pending(c.ctx)
		if err != nil || len(list) == 0 {
			return err
		}
		if err := beside(c, list, func(w messaging.Work) error {
			if _, err := c.post.Turn(c.ctx, w); !fault.Is(err, fault.Unavailable) {
				return err
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return fault.New(fault.Internal, "the post never has nothing to do")
}

// jobs does what the services do by the clock: those of one service one after the other, beside those of the others.
func (c *county) jobs(names ...string) error {
	return beside(c, c.services, func(s catalogue.Service) error {
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
		if err = c.agree(); fault.KindOf(err) != fault.Internal {
			return err
		}
	}
	return err
}

// agree is fault.Internal where the two sides were not compared, or anything differs, also what may be under way, or is.
func (c *county) agree() error {
	var differ, left, uncompared int64
	err := c.db.Read(c.ctx, func(tx *store.Tx) error {
		err := tx.QueryRow(`SELECT count(*) FROM post_message WHERE state NOT IN (?, ?)`, int64(messaging.Handled), int64(messaging.Refused)).Scan(&left)
		if err == nil {
			err = tx.QueryRow(`SELECT count(*) FROM hospital_standing WHERE answered = 0 OR answered < asked`).Scan(&uncompared)
		}
		if err == nil {
			err = tx.QueryRow(`SELECT count(*) FROM hospital_difference`).Scan(&differ)
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case uncompared > 0:
		return fault.New(fault.Internal, "%d hospitals were not answered: nothing was compared", uncompared)
	case differ > 0 || left > 0:
		return fault.New(fault.Internal, "at the end %d things differ between the spine and the hospitals, and %d messages are left", differ, left)
	}
	return nil
}
