package bookings_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/directory"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/hospital"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/internal/node"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/network"
	"github.com/openspine/openspine/referral"
	"github.com/openspine/openspine/sim/bookings"
	"github.com/openspine/openspine/sim/simtest"
	"github.com/openspine/openspine/store/storetest"
)

var x26, rqx = ident.MustODSCode("X26"), ident.MustODSCode("RQX")

// country is a spine and a hospital as they run: two nodes with a link between them.
type country struct {
	t      testing.TB
	k      catalogue.Kernel // the spine's
	refer  *referral.Referrals
	clinic *hospital.Outpatients

	hospital *node.Node
	spine    *atomic.Pointer[node.Node] // another one after a restore
	cfg      node.Config                // the spine's
	stop     func()
}

// given is a country on one engine or the other.
func given(t testing.TB, postgres bool) *country {
	t.Helper()
	c := &country{t: t, spine: &atomic.Pointer[node.Node]{}}
	cfg := node.Config{Name: "spine", Addr: "127.0.0.1:0", NetworkAddr: "127.0.0.1:0", Data: t.TempDir(), National: "X26", Demo: true,
		Tenants: []node.TenantConfig{{Code: "X26", Name: "Spine", Kind: "national"}, {Code: bookings.Practice.String(), Name: "Fen Lane Surgery", Kind: "practice"}}}
	other := node.Config{Name: "hospital", Addr: "127.0.0.1:0", Data: t.TempDir(), National: "X26", Demo: true, Tenants: []node.TenantConfig{{Code: "RQX", Name: "Fenmarket General", Kind: "hospital"}}}
	if postgres {
		cfg.Database, other.Database = storetest.PostgresURL(t), storetest.PostgresURL(t)
	}
	spine, stop := opened(t, cfg, node.Options{})
	c.spine.Store(spine)
	c.cfg, c.stop = cfg, stop
	c.k = spine.Kernel()
	t.Cleanup(func() { // what the post could not hand over says why something did not happen
		if !t.Failed() {
			return
		}
		list, _, err := c.k.Post().Held(context.Background(), messaging.Worklist{Limit: 20})
		for _, it := range list {
			t.Logf("held: %s %s %s: %s", it.Message.Workflow, it.Message.Conversation, it.Held.Why, it.Held.Reason)
		}
		t.Logf("%d messages are held at the spine (%v)", len(list), err)
	})
	c.refer = referral.New(c.k, directory.New(c.k, true), referral.Options{})
	if err := bookings.Populate(t.Context(), c.k, rqx); err != nil {
		t.Fatal(err)
	}
	h := open(t, other, node.Options{Dial: func(ctx context.Context, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", c.spine.Load().LinkAddress())
	}})
	c.hospital, c.clinic = h, h.Clinics()
	by := access.Service("test", x26)
	err := c.k.Network.Found(t.Context(), by, network.MustNodeID("X26"), nil, []string{"spine.invalid:8444"})
	if err != nil {
		t.Fatal(err)
	}
	authority, err := c.k.Network.Authority()
	if err != nil {
		t.Fatal(err)
	}
	token, err := authority.MakeToken(t.Context(), by, network.MustNodeID("RQX"), nil, []string{"spine.invalid:8444"}, 0, "test")
	if err == nil {
		err = h.Kernel().Network.Join(t.Context(), token)
	}
	if err == nil {
		err = c.clinic.SetUp(t.Context(), access.Service("test", rqx), rqx, bookings.Clinics(rqx))
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func open(t testing.TB, cfg node.Config, o node.Options) *node.Node {
	t.Helper()
	n, _ := opened(t, cfg, o)
	return n
}

// opened is a node that runs until the test ends or it is stopped.
func opened(t testing.TB, cfg node.Config, o node.Options) (n *node.Node, stop func()) {
	t.Helper()
	o.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	n, err := node.Open(t.Context(), cfg, o)
	if err == nil {
		err = n.Listen()
	}
	if err != nil {
		t.Fatal(err)
	}
	serving, end := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- n.Serve(serving, func() { close(ready) }) }()
	select {
	case <-ready:
	case err := <-ended:
		t.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		end()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return n, stop
}

// TestBothSides holds a spine and a hospital, as they run, to what they promise: on SQLite and on PostgreSQL.
func TestBothSides(t *testing.T) {
	t.Parallel()
	for name, postgres := range map[string]bool{"sqlite": false, "postgres": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := given(t, postgres)
			for name, test := range map[string]func(*country){"a thousand callers for one slot": aThousandCallers, "callers race the hospital": callersRaceTheHospital, "referred, booked, seen, discharged": referredBookedSeenDischarged,
				"all that was answered happened in one order": inOneOrder} {
				t.Run(name, func(t *testing.T) {
					one := *c
					one.t = t
					test(&one)
				})
			}
		})
	}
}

// gp is the practice's doctor.
func (c *country) gp() referral.Caller {
	p := access.Principal{ID: "gp", Name: "Dr Amara Whitfield", Role: access.Clinician, Organisation: bookings.Practice, AuthMethod: "session"}
	return referral.Caller{Principal: p, Ask: func(acts ...access.Act) ([]access.Grant, error) { return c.k.Gate.DecideAll(c.t.Context(), p, acts) }}
}

func (c *country) staff(role access.Role) access.Principal {
	return access.Principal{ID: string(role), Name: "Dr Saoirse Quinlan", Role: role, Organisation: rqx, AuthMethod: "session"}
}

// referAll makes so many referrals.
func (c *country) referAll(count int) []ident.UBRN {
	made := make([]ident.UBRN, count)
	var wait sync.WaitGroup
	for lot := range 8 {
		wait.Go(func() {
			for i := lot; i < count; i += 8 {
				m, err := c.refer.Create(c.t.Context(), c.gp(), referral.Draft{Patient: bookings.Patient(i % bookings.People), Priority: referral.Routine, Request: referral.ForAppointment,
					Services: []string{bookings.ServiceOf(rqx)}, Letter: "Please see."})
				if err != nil {
					c.t.Error(err)
					return
				}
				made[i] = m.UBRN
			}
		})
	}
	wait.Wait()
	if c.t.Failed() {
		c.t.FailNow()
	}
	return made
}

// act does something to a referral, again while the node says that it is busy.
func (c *country) act(u ident.UBRN, w referral.Work) (r referral.Referral, err error) {
	for {
		if r, err = c.refer.Act(c.t.Context(), c.gp(), u, w); !fault.Is(err, fault.Unavailable) {
			return r, err
		}
	}
}

func (c *country) get(u ident.UBRN) referral.Referral {
	c.t.Helper()
	r, err := c.refer.Get(c.t.Context(), c.gp(), u)
	if err != nil {
		c.t.Fatal(err)
	}
	return r
}

// hold makes a session of the hospital in so many days, with slots of half an hour that are all given, and waits until the spine has them.
func (c *country) hold(id string, days, slots int) {
	c.t.Helper()
	at := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, days).Add(9 * time.Hour)
	err := c.clinic.MakeSession(c.t.Context(), rqx, hospital.Session{ID: id, Clinic: "heart", Starts: at, Ends: at.Add(time.Duration(slots) * 30 * time.Minute), Minutes: 30, Extra: 1, State: "open"}, slots, 0, true)
	if err != nil {
		c.t.Fatal(err)
	}
	simtest.Eventually(c.t, func() bool { return len(c.free(id)) == slots })
}

func (c *country) free(session string) (list []referral.SlotRef) {
	c.t.Helper()
	all, err := c.refer.FreeSlots(c.t.Context(), bookings.ServiceOf(rqx), time.Time{}, time.Time{}, "", 1000)
	if err != nil {
		c.t.Fatal(err)
	}
	for _, x := range all {
		if x.Session == session {
			list = append(list, x.SlotRef)
		}
	}
	return list
}

// known waits until the hospital has a referral as it is at the spine, and its person as a patient.
func (c *country) known(u ident.UBRN) {
	c.t.Helper()
	simtest.Eventually(c.t, func() bool {
		if err := c.clinic.Register(c.t.Context(), rqx); err != nil {
			c.t.Fatal(err)
		}
		// A decision about the version that the spine has is refused until it is known: one that there is not tells without doing anything.
		err := c.clinic.Decide(c.t.Context(), c.staff(access.Clerk), rqx, u.String(), hospital.Decision{Kind: "nothing", Seen: c.get(u).Version})
		return fault.Is(err, fault.Invalid)
	})
}

// even waits until both sides find nothing that differs, twice.
func (c *country) even() {
	c.t.Helper()
	for range 2 {
		if err := c.clinic.Tally(c.t.Context(), rqx); err != nil {
			c.t.Fatal(err)
		}
		simtest.Eventually(c.t, func() bool {
			count, err := c.clinic.Differing(c.t.Context())
			return err == nil && count == 0
		})
	}
}

// aThousandCallers: one of them has it, everybody who was told "booked" is booked, and everybody else was told that it is taken.
func aThousandCallers(c *country) {
	t := c.t
	t.Helper()
	const callers = 1000
	c.hold("race", 20, 2)
	slot := c.free("race")[0]
	made := c.referAll(callers)
	told := make([]bool, callers)
	var taken atomic.Int64
	var wait sync.WaitGroup
	for i, u := range made {
		wait.Go(func() {
			_, err := c.act(u, referral.Work{Kind: referral.ActBook, Slot: slot, Service: bookings.ServiceOf(rqx)})
			if _, gone := referral.Taken(err); gone {
				taken.Add(1)
			} else if told[i] = err == nil; err != nil {
				t.Errorf("neither booked nor told that it is taken: %v", err)
			}
		})
	}
	wait.Wait()
	booked := 0
	for i, u := range made {
		r := c.get(u)
		if is := r.State == referral.Booked && r.Appointment.SlotRef == slot; is != told[i] {
			t.Errorf("%s was told %v, and is %s", u, told[i], r.State)
		} else if is {
			booked++
		}
	}
	if booked != 1 || taken.Load() != callers-1 {
		t.Errorf("%d are booked and %d were told that it is taken, of %d", booked, taken.Load(), callers)
	}
}

// callersRaceTheHospital: callers at the spine, and the hospital which asks its session back and puts people of its own into it or withdraws it, race for the same slots. Nobody
// shares one, and when all is quiet both sides say the same.
func callersRaceTheHospital(c *country) {
	t := c.t
	t.Helper()
	const sessions, callers = 4, 12
	for s := range sessions {
		c.hold(fmt.Sprint("s", s), 10+s, 3)
	}
	theirs, made := c.referAll(sessions), c.referAll(sessions*callers)
	for s, u := range theirs { // the hospital's own people, whom it will move
		if _, err := c.act(u, referral.Work{Kind: referral.ActBook, Slot: c.free(fmt.Sprint("s", s))[2], Service: bookings.ServiceOf(rqx)}); err != nil {
			t.Fatal(err)
		}
		c.known(u)
	}
	var wait sync.WaitGroup
	for s := range sessions {
		id := fmt.Sprint("s", s)
		slots := c.free(id)
		wait.Go(func() { c.hospitalWants(id, slots, theirs[s], s%2 == 1) })
		for i := range callers {
			wait.Go(func() {
				_, err := c.act(made[s*callers+i], referral.Work{Kind: referral.ActBook, Slot: slots[i%2], Service: bookings.ServiceOf(rqx)})
				if _, gone := referral.Taken(err); err != nil && !gone {
					t.Error(err)
				}
			})
		}
	}
	wait.Wait()
	for s, u := range theirs { // withdrawn sessions have nobody; what the hospital decided is answered
		simtest.Eventually(t, func() bool {
			return c.get(u).State != referral.Booked || s%2 == 0
		})
	}
	c.agree(append(theirs, made...))
}

// hospitalWants asks a session back, and moves somebody into the first slot of it that comes; or withdraws it.
func (c *country) hospitalWants(session string, slots []referral.SlotRef, u ident.UBRN, withdraw bool) {
	ctx := c.t.Context()
	if withdraw {
		if _, err := c.clinic.Withdraw(ctx, c.staff(access.Clerk), rqx, session, "The consultant is ill"); err != nil {
			c.t.Error(err)
		}
		return
	}
	if err := c.clinic.Recall(ctx, c.staff(access.Clerk), rqx, session, "needed"); err != nil {
		c.t.Error(err)
		return
	}
	for until := time.Now().Add(3 * time.Second); time.Now().Before(until); {
		for _, x := range slots {
			err := c.clinic.Decide(ctx, c.staff(access.Clerk), rqx, u.String(), hospital.Decision{Kind: booking.ActMove, Session: session, Slot: x.Slot})
			if err == nil {
				return
			}
			if !fault.Is(err, fault.Conflict) {
				c.t.Error(err)
				return
			}
		}
		if len(c.free(session)) == 0 {
			until = time.Now() // everything is taken, or on its way
		}
	}
}

// agree waits until all is quiet, and looks at both sides: no slot has two people.
func (c *country) agree(all []ident.UBRN) {
	c.t.Helper()
	c.even()
	in := map[referral.SlotRef]ident.UBRN{}
	for _, u := range all {
		r := c.get(u)
		if r.State == referral.Booked {
			if other, there := in[r.Appointment.SlotRef]; there {
				c.t.Errorf("%s and %s are both in %s", other, u, r.Appointment.Slot)
			}
			in[r.Appointment.SlotRef] = u
			c.known(u)
		}
	}
}

// referredBookedSeenDischarged takes one person through, and another through a session that is withdrawn, at both sides as they run.
func referredBookedSeenDischarged(c *country) {
	t := c.t
	t.Helper()
	ctx := t.Context()
	c.hold("one", 10, 2)
	c.hold("two", 12, 2)
	made := c.referAll(2)
	seen, moved := made[0], made[1]
	for i, u := range made {
		if _, err := c.act(u, referral.Work{Kind: referral.ActBook, Slot: c.free("one")[0], Service: bookings.ServiceOf(rqx)}); err != nil {
			t.Fatal(err)
		}
		c.known(made[i])
	}
	decide := func(u ident.UBRN, d hospital.Decision) {
		t.Helper()
		if err := c.clinic.Decide(ctx, c.staff(access.Clinician), rqx, u.String(), d); err != nil {
			t.Fatal(err)
		}
	}
	decide(seen, hospital.Decision{Kind: booking.ActAccept})
	simtest.Eventually(t, func() bool { return c.get(seen).Accepted })
	if _, err := c.clinic.Withdraw(ctx, c.staff(access.Clerk), rqx, "one", "The consultant is ill"); err != nil {
		t.Fatal(err)
	}
	for _, u := range made { // both lose their time, and are told
		simtest.Eventually(t, func() bool { return c.get(u).State == referral.CancelledByProvider })
		if _, err := c.act(u, referral.Work{Kind: referral.ActBook, Slot: c.free("two")[0], Service: bookings.ServiceOf(rqx)}); err != nil {
			t.Fatal(err)
		}
		c.known(u)
	}
	// The hospital moves one into a slot of its own that begins now, and sees them.
	now := time.Now().UTC()
	err := c.clinic.MakeSession(ctx, rqx, hospital.Session{ID: "now", Clinic: "heart", Starts: now.Add(-time.Hour), Ends: now.Add(time.Hour), Minutes: 30, Extra: 1, State: "open"}, 1, 1, false)
	if err != nil {
		t.Fatal(err)
	}
	slot, err := c.clinic.AddSlot(ctx, c.staff(access.Clerk), rqx, "now", now.Add(-time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	decide(seen, hospital.Decision{Kind: booking.ActMove, Session: "now", Slot: slot})
	simtest.Eventually(t, func() bool { a := c.get(seen).Appointment; return a != nil && a.Slot == slot })
	c.known(seen)
	come := hospital.Coming{Session: "now", Slot: slot, State: "attended", Outcome: "discharged", Status: "34"}
	if err := c.clinic.Come(ctx, c.staff(access.Clinician), rqx, seen.String(), come); err != nil {
		t.Fatal(err)
	}
	simtest.Eventually(t, func() bool { r := c.get(seen); return r.Attended && r.Closed })
	decide(moved, hospital.Decision{Kind: booking.ActReject, Reason: "SERVICE_INAPPROPRIATE", Comment: "Another clinic."})
	simtest.Eventually(t, func() bool { return c.get(moved).State == referral.Rejected })
	c.even()
}
