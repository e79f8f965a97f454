package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/directory"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/hospital"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/node"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/referral"
	"github.com/openspine/openspine/sim"
	"github.com/openspine/openspine/store"
)

// referralBench measures Choose and Book on one node that is national and a hospital's: the messages between the two go by its post.
type referralBench struct {
	c       *benchCommand
	n       *node.Node
	refer   *referral.Referrals
	doctor  access.Principal // of the practice
	clerk   access.Principal // of the hospital
	people  []referral.Person
	offered []string // the services of the hospital's clinics
	note    string
}

// Clinics of the hospital under measurement: each is held every day of the weeks that are planned.
const (
	benchClinics = 40
	benchSlots   = 60  // of a session
	elsewhere    = 200 // free slots of each further service
	clerksAtOnce = 64
	clerksAfter  = 2 * time.Second // after a booking, its referral has come by the post and the person is a patient at the hospital, if the node keeps up
)

// benchSpecialty is cardiology, of SNOMED CT.
const benchSpecialty = "394579002"

func (c *benchCommand) referrals(s *session) error {
	c.Bare = false // those who refer are people, too
	b, err := c.target(s)
	if err != nil {
		return err
	}
	r := &referralBench{c: c, n: b.node}
	r.note = fmt.Sprintf("%s, %d people", r.n.Kernel().DB.Engine(), c.People)
	err = r.prepare(s, b.charts)
	if err == nil {
		err = r.all(s, b.fsync)
	}
	return errors.Join(err, b.stop())
}

func (r *referralBench) prepare(s *session, charts []string) error {
	k := r.n.Kernel()
	places := directory.New(k, true)
	r.refer = referral.New(k, places, referral.Options{})
	for user, to := range map[string]*access.Principal{"gp": &r.doctor, "hospital": &r.clerk} {
		u, err := k.Gate.UserByID(s.ctx, user)
		if err != nil {
			return err
		}
		*to = u.Principal
	}
	for _, chart := range charts {
		if len(r.people) == 500 {
			break
		}
		if p, err := r.person(s.ctx, chart); err == nil {
			r.people = append(r.people, p)
		}
	}
	if len(r.people) == 0 {
		return fault.New(fault.NotFound, "nobody in the country under measurement can be referred")
	}
	began := time.Now()
	if err := r.clinics(s.ctx); err != nil { // their slots come while the further services are made
		return err
	}
	if err := r.further(s.ctx, s.stderr); err != nil {
		return err
	}
	for {
		free, err := r.refer.Frees(s.ctx, r.offered)
		if err != nil {
			return err
		}
		least := int64(referral.MostCounted)
		for _, id := range r.offered {
			least = min(least, free[id].Slots)
		}
		if least == referral.MostCounted {
			break
		}
		if time.Since(began) > 10*time.Minute {
			return fault.New(fault.Unavailable, "the clinics' slots have not come within ten minutes")
		}
		time.Sleep(200 * time.Millisecond)
	}
	_, err := fmt.Fprintf(s.stderr, "prepared in %s\n", time.Since(began).Round(time.Second))
	return err
}

// person is somebody whom the doctor may refer.
func (r *referralBench) person(ctx context.Context, chart string) (p referral.Person, err error) {
	k := r.n.Kernel()
	if p.Number, err = ident.ParseNHSNumber(chart); err != nil {
		return p, err
	}
	ref := record.Ref{Tenant: k.National, Type: "Patient", ID: chart}
	place, err := k.Records.Locate(ctx, ref)
	if err != nil {
		return p, err
	}
	g, err := k.Gate.DecideAll(ctx, r.doctor, []access.Act{{Action: access.Read, Place: place}, {Action: access.Create, Place: access.Place{Tenant: k.National, Chart: place.Chart, Type: access.TypeReferral}}})
	if err != nil {
		return p, err
	}
	v, err := k.Records.Read(ctx, g[0], ref)
	p.Chart, p.Resource = v.Chart, v.Resource
	if err == nil && p.Dead() {
		err = fault.New(fault.NotFound, "died")
	}
	return p, err
}

// clinics sets up the hospital: its sessions and slots are made, and given, as in any hospital.
func (r *referralBench) clinics(ctx context.Context) error {
	west := sim.HospitalWest
	set := hospital.Setup{Specialties: []hospital.Specialty{{Code: benchSpecialty, Name: "Cardiology"}}, Consultants: []hospital.Consultant{{ID: "bench", Name: "Dr Owain Pugh", Specialty: benchSpecialty}}}
	for i := range benchClinics {
		id := fmt.Sprintf("bench-%d", i)
		set.Clinics = append(set.Clinics, hospital.Clinic{ID: id, Name: "Clinic " + id, Service: west.String() + "-" + id, Specialty: benchSpecialty, Consultant: "bench", Place: "Outpatients"})
		for day := range time.Weekday(7) {
			set.Templates = append(set.Templates, hospital.Template{ID: fmt.Sprintf("%s-%d", id, day), Clinic: id, Weekday: day, Starts: 8 * 60, Minutes: 10, Slots: benchSlots, Given: true})
		}
		if err := r.service(ctx, west, west.String()+"-"+id, i); err != nil {
			return err
		}
		r.offered = append(r.offered, west.String()+"-"+id)
	}
	by := access.Service("bench", west)
	if err := r.n.Clinics().SetUp(ctx, by, west, set); err != nil {
		return err
	}
	return r.n.Clinics().Plan(ctx, west)
}

func (r *referralBench) service(ctx context.Context, at ident.ODSCode, id string, i int) error {
	k := r.n.Kernel()
	specialty, name := benchSpecialty, "Cardiology"
	if i%20 > 0 && i >= benchClinics {
		specialty, name = fmt.Sprint(400000000+i%20), fmt.Sprintf("Specialty %d", i%20)
	}
	res, err := directory.HealthcareService{ID: id, Name: "Clinic " + id, Provider: at, Specialty: specialty, SpecialtyName: name, Kind: "Consultant-led clinic", Wait: -1, Youngest: -1, Oldest: -1, Active: true}.Resource()
	if err != nil {
		return err
	}
	d, err := k.Records.Prepare(ctx, record.Change{Verb: record.Put, Ref: record.Ref{Tenant: k.National, Type: "HealthcareService", ID: id}, Resource: res})
	if err != nil {
		return err
	}
	grants, err := k.Gate.DecideAll(ctx, access.Service("bench", k.National), d.Acts())
	if err != nil {
		return err
	}
	return k.Gate.Act(ctx, grants, d.Lanes(), func(tx *store.Tx) error {
		_, err := k.Records.Apply(tx, d, grants...)
		return err
	})
}

// further are services beside the hospital's, with free slots: what a search has to find its way through. They are given by messages, as a hospital's are.
func (r *referralBench) further(ctx context.Context, progress io.Writer) error {
	east := sim.HospitalEast
	start := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, 5)
	for i := range r.c.Services {
		id := fmt.Sprintf("%s-further-%d", east, i)
		if err := r.service(ctx, east, id, benchClinics+i); err != nil {
			return err
		}
		m := booking.Slots{Session: id, Service: id}
		for j := range elsewhere {
			at := start.AddDate(0, 0, i%60+j/20).Add(time.Duration(9*60+j%20*20) * time.Minute)
			m.Slots = append(m.Slots, booking.Slot{ID: fmt.Sprintf("%s-%d", id, j), Epoch: 1, Start: at, End: at.Add(20 * time.Minute)})
		}
		if err := sendSlots(ctx, r.n, east, m); err != nil {
			return err
		}
		if i%1000 == 999 {
			if _, err := fmt.Fprintf(progress, "%d further services\n", i+1); err != nil {
				return err
			}
		}
	}
	if r.c.Services == 0 {
		return nil
	}
	last := fmt.Sprintf("%s-further-%d", east, r.c.Services-1)
	for {
		free, err := r.refer.Frees(ctx, []string{last})
		if err != nil || free[last].Slots > 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func (r *referralBench) all(s *session, disk float64) error {
	for _, m := range []struct {
		name    string
		measure func(context.Context) (result, error)
	}{{"search", r.searches}, {"journeys", r.journeys}} {
		var res result
		err := r.c.profiled(m.name, func() (err error) {
			res, err = m.measure(s.ctx)
			return err
		})
		if err != nil {
			return err
		}
		res.FsyncPerSec, res.Note = disk, r.note+", "+res.Note
		if err := res.print(s.stdout, r.c.JSON); err != nil {
			return err
		}
	}
	return nil
}

// clients runs do in each client until the time is over, as fast as they go or, all together, at a rate a second; took of what began before the warm-up is over does not count.
func (r *referralBench) clients(ctx context.Context, rate int, do func(client int) (time.Duration, error)) (result, error) {
	runs := make([]clientRun, r.c.Clients)
	start := time.Now()
	counted, end := start.Add(r.c.Warmup), start.Add(r.c.Warmup+r.c.Duration)
	var wg sync.WaitGroup
	spent, pause := processor(), time.Duration(0)
	if rate > 0 {
		pause = time.Duration(float64(time.Second) * float64(len(runs)) / float64(rate))
	}
	for i := range runs {
		wg.Go(func() {
			for next := start.Add(pause * time.Duration(i) / time.Duration(len(runs))); ctx.Err() == nil && time.Now().Before(end); next = next.Add(pause) {
				time.Sleep(time.Until(next))
				began := time.Now()
				took, err := do(i)
				if err != nil {
					runs[i].errors++
					runs[i].first = err.Error()
				} else if began.After(counted) {
					runs[i].took = append(runs[i].took, took)
				}
			}
		})
	}
	wg.Wait()
	res := sum(runs, time.Since(start)-r.c.Warmup, r.c.Clients)
	res.Processor = perOperation(processor()-spent, res.Operations)
	return res, ctx.Err()
}

// searches finds services of a specialty for people, with what is free there.
func (r *referralBench) searches(ctx context.Context) (result, error) {
	res, err := r.clients(ctx, 0, func(int) (time.Duration, error) {
		began := time.Now()
		found, err := r.refer.Services(ctx, r.people[rand.IntN(len(r.people))], referral.ServiceQuery{Specialty: benchSpecialty, Priority: referral.Routine})
		if err == nil && len(found) == 0 {
			err = fault.New(fault.NotFound, "no service was found")
		}
		return time.Since(began), err
	})
	res.Name, res.Note = "search", fmt.Sprintf("services of a specialty among %d, %d free slots of further ones", benchClinics+r.c.Services, r.c.Services*elsewhere)
	return res, err
}

// caller is the doctor, whose looks are on the account before they are answered.
func (r *referralBench) caller(ctx context.Context) referral.Caller {
	gate := r.n.Kernel().Gate
	return referral.Caller{Principal: r.doctor, Ask: func(acts ...access.Act) ([]access.Grant, error) {
		grants, err := gate.DecideAll(ctx, r.doctor, acts)
		if err == nil {
			err = gate.Account(ctx, grants, nil)
		}
		return grants, err
	}}
}

// journeys refers, searches and books, as fast as the clients go or at a rate, while the hospital's clerks accept what comes. What is timed is the booking; a journey counts once the hospital
// has accepted it, and the time is until the last one is.
func (r *referralBench) journeys(ctx context.Context) (result, error) {
	c, start, spent := r.caller(ctx), time.Now(), processor()
	type waiting struct {
		ubrn ident.UBRN
		from time.Time
	}
	booked := make(chan waiting, 1<<20)
	var accepted atomic.Int64
	clerks, working := errgroup.WithContext(ctx)
	for range clerksAtOnce {
		clerks.Go(func() error {
			for w := range booked {
				time.Sleep(time.Until(w.from))
				if err := r.accept(working, w.ubrn); err != nil {
					return err
				}
				accepted.Add(1)
			}
			return nil
		})
	}
	res, err := r.clients(ctx, r.c.Rate, func(client int) (time.Duration, error) {
		u, took, err := r.book(ctx, c, r.offered[client%len(r.offered)])
		if err == nil {
			booked <- waiting{u, time.Now().Add(clerksAfter)}
		}
		return took, err
	})
	close(booked)
	err = errors.Join(err, clerks.Wait())
	res.PerSecond = float64(accepted.Load()) / time.Since(start).Seconds()
	res.Processor = perOperation(processor()-spent, int(accepted.Load()))
	res.Name, res.Note = "journeys", fmt.Sprintf("refer, search, book (timed), hospital accepts: %d, until the last was accepted", accepted.Load())
	return res, err
}

// book refers somebody and books the first free time that nobody takes meanwhile.
func (r *referralBench) book(ctx context.Context, c referral.Caller, service string) (u ident.UBRN, took time.Duration, err error) {
	person := r.people[rand.IntN(len(r.people))]
	if _, err = r.refer.Services(ctx, person, referral.ServiceQuery{Specialty: benchSpecialty, IDs: r.offered}); err != nil {
		return u, 0, err
	}
	m, err := r.refer.Create(ctx, c, referral.Draft{Patient: person.Number, Priority: referral.Routine, Request: referral.ForAppointment, Services: []string{service}, Letter: "Breathless on stairs for six weeks. Please see."})
	if err != nil {
		return u, 0, err
	}
	for range 10 {
		free, err := r.refer.FreeSlots(ctx, service, time.Time{}, time.Time{}, "", 50)
		if err == nil && len(free) == 0 {
			err = fault.New(fault.Conflict, "%s has no free slot any more: measure for a shorter time", service)
		}
		if err != nil {
			return u, 0, err
		}
		began := time.Now()
		_, err = r.refer.Act(ctx, c, m.UBRN, referral.Work{Kind: referral.ActBook, Slot: free[rand.IntN(len(free))].SlotRef, Service: service})
		if _, gone := referral.Taken(err); !gone {
			return m.UBRN, time.Since(began), err
		}
	}
	return u, 0, fault.New(fault.Conflict, "ten times somebody else was quicker")
}

// accept has the hospital accept a referral, once it has come and the person is a patient there.
func (r *referralBench) accept(ctx context.Context, u ident.UBRN) error {
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		err := r.n.Clinics().Decide(ctx, r.clerk, sim.HospitalWest, u.String(), hospital.Decision{Kind: booking.ActAccept})
		if !fault.Is(err, fault.NotFound) && !fault.Is(err, fault.Conflict) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

func sendSlots(ctx context.Context, n *node.Node, from ident.ODSCode, m booking.Slots) error {
	body, err := booking.Encode(m)
	if err != nil {
		return err
	}
	k := n.Kernel()
	return k.DB.Write(ctx, []store.Lane{k.Post().LaneOf(from, m.Session)}, func(tx *store.Tx) error {
		_, err := k.Post().Send(ctx, tx, messaging.Message{From: from, To: k.National, Workflow: booking.WorkflowSlots, Conversation: m.Session, Body: body})
		return err
	})
}
