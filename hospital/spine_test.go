package hospital_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/hospital"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/internal/node"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/network"
	"github.com/openspine/openspine/sim/simtest"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/store/storetest"
	"github.com/openspine/openspine/web/format"
)

var x26, rqx = ident.MustODSCode("X26"), ident.MustODSCode("RQX")

// spine is a double of the other side of the booking messages: it books what it owns, gives back what is free, and takes or refuses acts. Its handlers may run again,
// so that they set and never add.
type spine struct {
	t  testing.TB
	k  catalogue.Kernel
	mu sync.Mutex

	slots  map[string]booking.Slot
	in     map[string]string // slot → session
	cases  map[string]booking.Case
	acts   map[string][]booking.Act
	visits map[string][]string // how each's coming stands, in the order in which it was told
	refuse map[string]string   // kind of act → why
	sent   int64
	round  string // what the double itself has asked, and what it was answered
	answer []booking.Tally
	said   map[string]booking.Advise // message → what was said to a question
	asked  map[string]booking.Advice // message → a question that was told back
}

func (s *spine) service(k catalogue.Kernel) []catalogue.Service {
	s.k = k
	handler := func(workflow string, handle func(tx *store.Tx, m messaging.Message) error) messaging.Handler {
		return messaging.Handler{Workflow: workflow, Owner: "the double", Handle: func(_ context.Context, tx *store.Tx, m messaging.Message) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			return handle(tx, m)
		}}
	}
	return []catalogue.Service{{Name: "double", Summary: "The spine's side, for tests.", Handles: []messaging.Handler{
		handler(booking.WorkflowSlots, s.given), handler(booking.WorkflowRecall, s.recalled), handler(booking.WorkflowAct, s.acted), handler(booking.WorkflowTally, s.tallied),
		handler(booking.WorkflowVisit, s.visited), handler(booking.WorkflowAdvise, s.advised), handler(booking.WorkflowAdvice, s.askedBack)}}}
}

func (s *spine) advised(_ *store.Tx, m messaging.Message) error {
	a, err := booking.Decode[booking.Advise](m.Body)
	if why := s.refuse[a.Kind]; why != "" {
		return messaging.Refuse("%s", why)
	}
	s.said[m.ID] = a
	return err
}

func (s *spine) askedBack(_ *store.Tx, m messaging.Message) error {
	a, err := booking.Decode[booking.Advice](m.Body)
	s.asked[m.ID] = a
	return err
}

func (s *spine) given(_ *store.Tx, m messaging.Message) error {
	msg, err := booking.Decode[booking.Slots](m.Body)
	if why := s.refuse[booking.WorkflowSlots]; why != "" {
		return messaging.Refuse("%s", why)
	}
	for _, x := range msg.Slots {
		s.slots[x.ID], s.in[x.ID] = x, msg.Session
	}
	return err
}

func (s *spine) booked(slot string) bool {
	for _, c := range s.cases {
		if c.Appointment != nil && c.Appointment.Slot == slot && c.Appointment.Epoch == s.slots[slot].Epoch {
			return true
		}
	}
	return false
}

func (s *spine) recalled(tx *store.Tx, m messaging.Message) error {
	msg, err := booking.Decode[booking.Recall](m.Body)
	if err != nil {
		return err
	}
	back := booking.Returned{Session: msg.Session}
	for id, x := range s.slots {
		if s.in[id] != msg.Session || !booking.Spine.Owns(x.Epoch) || s.booked(id) {
			continue
		}
		x.Epoch++
		s.slots[id] = x
		back.Slots = append(back.Slots, booking.SlotMark{ID: id, Epoch: x.Epoch})
	}
	if len(back.Slots) > 0 {
		err = post(s, tx, booking.WorkflowReturned, msg.Session, back)
	}
	return err
}

func (s *spine) acted(tx *store.Tx, m messaging.Message) error {
	a, err := booking.Decode[booking.Act](m.Body)
	if err != nil {
		return err
	}
	if why := s.refuse[a.Kind]; why != "" {
		return messaging.Refuse("%s", why)
	}
	list := s.acts[a.UBRN.String()]
	s.acts[a.UBRN.String()] = append(list[:min(len(list), int(a.Number)-1)], a)
	c := s.cases[a.UBRN.String()]
	switch a.Kind {
	case booking.ActMove, booking.ActOffer:
		c.Appointment, c.State = a.Appointment, "BOOKED"
	case booking.ActReject, booking.ActCancel:
		c.Appointment, c.State = nil, "REJECTED"
	case booking.ActTriageAccept:
		c.State, c.Invited = "TRIAGED_PROVIDER_TO_ACTION", a.Invite
	case booking.ActNotAttended:
		c.State = "DID_NOT_ATTEND"
	case booking.ActAssessed:
		c.Appointment, c.State = nil, "ASSESSMENT_RESULT"
	case booking.ActDischarged:
		c.Closed = true
	}
	return s.told(tx, c)
}

func (s *spine) visited(_ *store.Tx, m messaging.Message) error {
	v, err := booking.Decode[booking.Visit](m.Body)
	if err != nil {
		return err
	}
	text := v.State
	if v.FollowUp {
		text = "follow-up " + text
	}
	s.visits[v.UBRN.String()] = append(s.visits[v.UBRN.String()], strings.TrimSpace(text+" "+v.Outcome))
	return nil
}

func (s *spine) tallied(tx *store.Tx, m messaging.Message) error {
	asked, err := booking.Decode[booking.Tally](m.Body)
	if err == nil && asked.Round == s.round {
		s.answer = append(s.answer, asked)
		return nil
	}
	if err != nil || !asked.Last {
		return err
	}
	answer := booking.Tally{Round: asked.Round, Last: true}
	for _, mark := range asked.Slots {
		x := s.slots[mark.ID]
		if asked.Unsure {
			known := x.Epoch
			x.Epoch = booking.Spine.Settle(x.Epoch, mark.Epoch, true, s.k.Clock.Now())
			if booking.Spine.Owns(x.Epoch) && !booking.Spine.Owns(known) {
				x.Epoch++ // it was never told what the slot is
			}
			s.slots[mark.ID] = x
		}
		answer.Slots = append(answer.Slots, booking.SlotMark{ID: mark.ID, Epoch: x.Epoch, Base: x.Base})
	}
	for _, c := range s.cases {
		answer.Cases = append(answer.Cases, booking.CaseMark{UBRN: c.UBRN, Version: c.Version})
	}
	return post(s, tx, booking.WorkflowTally, "tally", answer)
}

// told sends a referral with its next version.
func (s *spine) told(tx *store.Tx, c booking.Case) error {
	s.sent++
	c.Version, c.Sent, c.Changed = c.Version+1, s.sent, tx.At()
	s.cases[c.UBRN.String()] = c
	var files []messaging.File
	for _, a := range c.Attachments {
		f, err := a.File()
		if err != nil {
			return err
		}
		files = append(files, f)
	}
	return post(s, tx, booking.WorkflowCase, c.UBRN.String(), c, files...)
}

func post[M booking.Message](s *spine, tx *store.Tx, workflow, conversation string, m M, files ...messaging.File) error {
	body, err := booking.Encode(m)
	if err == nil {
		_, err = s.k.Post().Send(tx.Context(), tx, messaging.Message{From: x26, To: rqx, Workflow: workflow, Conversation: conversation, Body: body, Files: files})
	}
	return err
}

// refer has the spine tell of a referral of somebody, booked into the first free slot of its own when book says so.
func (s *spine) refer(number string, n int, book bool, files ...booking.Attachment) string {
	s.t.Helper()
	u := ident.MustUBRN(fmt.Sprintf("%012d", 5000+n))
	c := booking.Case{UBRN: u, State: "DEFERRED_TO_PROVIDER", Priority: "ROUTINE", Service: "RQX-heart", ServiceName: "Heart clinic", Practice: ident.MustODSCode("Z99801"), Referrer: "Dr Amara Whitfield",
		Person:      booking.Person{NHSNumber: ident.MustNHSNumber(number), Prefix: "Mrs", Given: "Edith", Family: "Carrow", Born: "1951-04-02", Gender: "female", Address: "1 Fen Lane, Fenmarket"},
		Attachments: files, Letter: "Chest pain on stairs.\nPlease see her.", ClockStart: time.Now().AddDate(0, 0, -15)}
	err := s.k.DB.Write(s.t.Context(), []store.Lane{s.k.Post().LaneOf(x26, u.String())}, func(tx *store.Tx) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		first := booking.Slot{}
		for id, x := range s.slots {
			if book && booking.Spine.Owns(x.Epoch) && !s.booked(id) && (first.ID == "" || x.Start.Before(first.Start)) {
				first = x
			}
		}
		if first.ID != "" {
			c.State, c.Appointment = "BOOKED", &booking.Appointment{Slot: first.ID, Epoch: first.Epoch, Session: s.in[first.ID], Start: first.Start, End: first.End, Clinician: first.Clinician}
		}
		return s.told(tx, c)
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return u.String()
}

func (s *spine) look(fn func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fn()
}

// world is a spine's node and a hospital's, linked.
type world struct {
	t     testing.TB
	spine *spine
	nodes [2]*simtest.World
	o     *hospital.Outpatients
	clock *days
}

// days is a clock that both nodes go by, and that a test puts forward to a day to come.
type days struct{ ahead atomic.Int64 }

func (d *days) Now() time.Time                         { return time.Now().Add(time.Duration(d.ahead.Load())).UTC() }
func (d *days) After(t time.Duration) <-chan time.Time { return time.After(t) }

// until puts the clock forward to an appointment, which has just begun.
func (w *world) until(at booking.Appointment) {
	w.clock.ahead.Store(int64(time.Until(at.Start.Add(time.Minute))))
}

func open(t testing.TB, cfg node.Config, o node.Options) *simtest.World {
	t.Helper()
	o.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	n, err := node.Open(t.Context(), cfg, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Listen(); err != nil {
		t.Fatal(err)
	}
	serving, stop := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- n.Serve(serving, func() { close(ready) }) }()
	select {
	case <-ready:
	case err := <-ended:
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return &simtest.World{URL: n.URL(), Node: n}
}

// given is a hospital with a heart clinic that is held every day, and has given its slots to the spine.
func given(t testing.TB, postgres bool) *world {
	t.Helper()
	s := &spine{t: t, slots: map[string]booking.Slot{}, in: map[string]string{}, cases: map[string]booking.Case{}, acts: map[string][]booking.Act{}, visits: map[string][]string{}, refuse: map[string]string{}, said: map[string]booking.Advise{}, asked: map[string]booking.Advice{}}
	w := &world{t: t, spine: s, clock: &days{}}
	// The double's node hosts X26 without being a national node, so that nothing else there takes what is sent to the spine.
	w.nodes[0] = open(t, node.Config{Name: "spine", Addr: "127.0.0.1:0", NetworkAddr: "127.0.0.1:0", Data: t.TempDir(), National: "X27", Demo: true, Tenants: []node.TenantConfig{{Code: "X26", Name: "Spine", Kind: "practice"}}}, node.Options{Clock: w.clock, Services: s.service})
	cfg := node.Config{Name: "hospital", Addr: "127.0.0.1:0", Data: t.TempDir(), National: "X26", Demo: true, Tenants: []node.TenantConfig{{Code: "RQX", Name: "Fenmarket General", Kind: "hospital"}}}
	if postgres {
		cfg.Database = storetest.PostgresURL(t)
	}
	w.nodes[1] = open(t, cfg, node.Options{Clock: w.clock, Dial: func(ctx context.Context, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", w.nodes[0].Node.LinkAddress())
	}})
	w.o = w.nodes[1].Node.Clinics()
	by := access.Service("test", x26)
	links := w.nodes[0].Node.Kernel().Network
	if err := links.Found(t.Context(), by, network.MustNodeID("X26"), nil, []string{"spine.invalid:8444"}); err != nil {
		t.Fatal(err)
	}
	authority, err := links.Authority()
	if err != nil {
		t.Fatal(err)
	}
	token, err := authority.MakeToken(t.Context(), by, network.MustNodeID("RQX"), nil, []string{"spine.invalid:8444"}, 0, "test")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.nodes[1].Node.Kernel().Network.Join(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	gate := w.nodes[1].Node.Kernel().Gate
	for id, role := range map[string]access.Role{"clerk": access.Clerk, "doctor": access.Clinician, "manager": access.Manager} {
		if err := gate.PutUsers(t.Context(), []access.User{{Demo: true, Principal: access.Principal{ID: id, Name: "Name of " + id, Role: role, Organisation: rqx}}}); err != nil {
			t.Fatal(err)
		}
	}
	w.clinic()
	return w
}

func (w *world) clinic() {
	w.t.Helper()
	var templates []hospital.Template
	from := format.Midnight(time.Now()).AddDate(0, 0, 1) // before nine in the morning there would be a session today, whose people may be there already
	for day := range time.Weekday(7) {
		templates = append(templates, hospital.Template{ID: fmt.Sprintf("heart-%d", day), Clinic: "heart", Weekday: day, Starts: 9 * 60, Minutes: 30, Slots: 6, Reserve: 2, Extra: 1, Given: true, From: from})
	}
	err := w.o.SetUp(w.t.Context(), access.Service("test", rqx), rqx, hospital.Setup{Specialties: []hospital.Specialty{{Code: "394579002", Name: "Cardiology"}}, Consultants: []hospital.Consultant{{ID: "q", Name: "Dr Saoirse Quinlan", Specialty: "394579002"}},
		Clinics: []hospital.Clinic{{ID: "heart", Name: "Heart clinic", Service: "RQX-heart", Specialty: "394579002", Consultant: "q", Place: "Outpatients"}}, Templates: templates})
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.o.Plan(w.t.Context(), rqx); err != nil {
		w.t.Fatal(err)
	}
	simtest.Eventually(w.t, func() bool {
		n := 0
		w.spine.look(func() { n = len(w.spine.slots) })
		return n > 4*50
	})
}

// doctor, clerk are those who work at the hospital.
func (w *world) doctor() access.Principal { return w.principal("doctor") }
func (w *world) clerk() access.Principal  { return w.principal("clerk") }

func (w *world) principal(id string) access.Principal {
	u, err := w.nodes[1].Node.Kernel().Gate.UserByID(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return u.Principal
}

// link cuts or heals the line between the two.
func (w *world) link(act string) {
	w.t.Helper()
	n := w.nodes[1].Node.Kernel().Network
	by := access.Service("test", rqx)
	do, why := n.CutLink, "the line is being mended"
	if act == "heal" {
		do, why = n.HealLink, "the line is mended"
	}
	err := do(w.t.Context(), by, network.MustNodeID("X26"), why)
	if err != nil {
		w.t.Fatal(err)
	}
}

// state has the spine tell of a referral that it came into another state.
func (s *spine) state(ubrn, state string) {
	s.t.Helper()
	s.change(ubrn, func(c *booking.Case) { c.State = state })
}

// change has the spine tell of a referral anew.
func (s *spine) change(ubrn string, how func(c *booking.Case)) {
	s.t.Helper()
	err := s.k.DB.Write(s.t.Context(), []store.Lane{s.k.Post().LaneOf(x26, ubrn)}, func(tx *store.Tx) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		c := s.cases[ubrn]
		how(&c)
		return s.told(tx, c)
	})
	if err != nil {
		s.t.Fatal(err)
	}
}
