package messaging_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/network"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var by = messaging.By{Principal: access.Service("test", spine), Reason: "it was cured"}

// poison makes a town fail whatever holds a word.
func (n *town) poison(word string) {
	n.fail = func(m messaging.Message) error {
		if word != "" && strings.Contains(string(m.Body), word) {
			return errors.New("poison")
		}
		return nil
	}
}

// tire lets a town try until it gives up.
func tire(t *testing.T, towns ...*town) {
	t.Helper()
	for range 6 {
		settle(t, towns...)
		for _, n := range towns {
			n.clock.Advance(time.Hour)
		}
	}
	settle(t, towns...)
}

func (n *town) parked() messaging.Item {
	n.t.Helper()
	list, err := n.post.Parked(context.Background(), 10)
	if err != nil || len(list) != 1 {
		n.t.Fatalf("%d are parked: %v", len(list), err)
	}
	return list[0]
}

func (n *town) decide(it messaging.Item, to ident.ODSCode, fn func(tx *store.Tx) error) error {
	return n.db.Write(context.Background(), n.post.LanesFor(it, to), fn)
}

func TestPoisonIsParkedAndHoldsUpItsConversationOnly(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		n := newTown(t, db, nil, "", spine, hospital)
		n.poison("bad")
		bad := n.send(spine, hospital, "c", "bad")
		n.send(spine, hospital, "c", "after")
		n.send(spine, hospital, "d", "other")
		n.send(spine, hospital, "", "alone")
		tire(t, n)
		if got := n.column(`SELECT body FROM deed ORDER BY body`); got != "alone other" {
			t.Errorf("handled %q", got)
		}
		it := n.parked()
		if it.ID != bad || it.Held.Owner != "the post room" || it.Held.Behind != 1 || it.Held.Tries != 3 || it.State != messaging.Parked {
			t.Errorf("parked: %+v %+v", it, it.Held)
		}
		if body, err := n.post.Body(t.Context(), it.Ref); err != nil || string(body) != "bad" {
			t.Errorf("it holds %q: %v", body, err)
		}
		stopped := func(id string, way bool, conversation string, stops bool) {
			t.Helper()
			err := n.db.Read(t.Context(), func(tx *store.Tx) error {
				under, err := n.post.UnderWay(tx, id)
				if err != nil {
					return err
				}
				held, err := n.post.Stopped(tx, spine, conversation)
				if under != way || held != stops {
					t.Errorf("%s is under way: %v; %s is stopped: %v", id, under, conversation, held)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		stopped(bad, true, "c", true)
		stopped("nobody's", false, "d", false)
		if got := n.learnt(bad); got != "parked" {
			t.Errorf("the sender learnt %q", got)
		}
		if err := n.decide(it, ident.ODSCode{}, func(tx *store.Tx) error { return n.post.Retry(tx, it.Ref, messaging.By{Principal: by.Principal}) }); !fault.Is(err, fault.Invalid) {
			t.Errorf("a decision without a reason: %v", err)
		}
		n.poison("")
		if err := n.decide(it, ident.ODSCode{}, func(tx *store.Tx) error { return n.post.Retry(tx, it.Ref, by) }); err != nil {
			t.Fatal(err)
		}
		settle(t, n)
		if got := n.column(`SELECT body FROM deed WHERE conversation = 'c' ORDER BY n`); got != "bad after" {
			t.Errorf("handled %q", got)
		}
		stopped(bad, false, "c", false)
		if got := n.learnt(bad); got != "parked handled" {
			t.Errorf("the sender learnt %q", got)
		}
		steps, err := n.post.Timeline(t.Context(), it.Ref)
		if err != nil {
			t.Fatal(err)
		}
		var said []string
		for _, s := range steps {
			said = append(said, s.What)
		}
		if got := strings.Join(said, " "); got != "accepted delivered failed failed parked retried handled" {
			t.Errorf("its timeline: %q", got)
		}
	}, messaging.Schema(), deeds())
}

// TestWhatPassesByItselfIsNeverParked: however long it takes; nobody has to decide about it.
func TestWhatPassesByItselfIsNeverParked(t *testing.T) {
	n := newTown(t, storetest.Open(t, messaging.Schema(), deeds()), nil, "", spine, hospital)
	n.fail = func(messaging.Message) error {
		return messaging.Wait(fault.New(fault.Unavailable, "not before the hospital has answered"))
	}
	n.send(spine, hospital, "c", "first")
	n.send(spine, hospital, "c", "second")
	tire(t, n)
	tire(t, n)
	if list, err := n.post.Parked(t.Context(), 10); err != nil || len(list) > 0 {
		t.Errorf("%d are parked: %v", len(list), err)
	}
	n.fail = nil
	tire(t, n)
	if got := n.column(`SELECT body FROM deed ORDER BY n`); got != "first second" {
		t.Errorf("handled %q", got)
	}
}

// TestWhatBothNodesHaveLost: the bodies are gone at the sender, and the recipient comes back with an empty database. A person must know, but for what the two ends compare by themselves.
func TestWhatBothNodesHaveLost(t *testing.T) {
	w := wired()
	a := newTown(t, storetest.Open(t, messaging.Schema(), deeds()), w, "X26", spine)
	b := newTown(t, storetest.Open(t, messaging.Schema(), deeds()), w, "RQX", hospital)
	route(a, hospital, "RQX")
	for _, workflow := range []string{"test", "compared"} {
		err := a.db.Write(t.Context(), []store.Lane{a.post.LaneOf(spine, workflow)}, func(tx *store.Tx) error {
			_, err := a.post.Send(tx.Context(), tx, messaging.Message{From: spine, To: hospital, Workflow: workflow, Conversation: workflow, Body: []byte(workflow)})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	settle(t, a, b)
	if err := a.db.Write(t.Context(), allLanes(a.db), func(tx *store.Tx) error {
		_, err := tx.Exec(`DELETE FROM post_body`)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	again := newTown(t, storetest.Open(t, messaging.Schema(), deeds()), w, "RQX", hospital)
	a.post.Reached(network.MustNodeID("RQX"))
	settle(t, a, again)
	if it := a.parked(); it.Conversation != "test" || !strings.Contains(it.Held.Reason, "neither holds the message") {
		t.Errorf("parked: %+v %+v", it, it.Held)
	}
	if got := a.column(`SELECT conversation FROM post_message WHERE state = ` + strconv.Itoa(int(messaging.Abandoned))); got != "compared" {
		t.Errorf("given up: %q", got)
	}
}

func allLanes(db *store.DB) (list []store.Lane) {
	for lane := range db.Lanes() {
		list = append(list, store.Lane(lane))
	}
	return list
}

func TestAbandonedAndRedirected(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := wired()
		a := newTown(t, db, w, "X26", spine, practice)
		b := newTown(t, storetest.Open(t, messaging.Schema(), deeds()), w, "RQX", hospital)
		route(a, hospital, "RQX")
		route(b, spine, "X26")
		route(b, practice, "X26")
		b.poison("bad")
		first := a.send(spine, hospital, "c", "bad one")
		second := a.send(spine, hospital, "c", "bad two")
		third := a.send(spine, hospital, "c", "three")
		tire(t, a, b)
		it := b.parked()
		if it.ID != first {
			t.Fatalf("parked %+v", it)
		}
		if err := b.decide(it, ident.ODSCode{}, func(tx *store.Tx) error { return b.post.Abandon(tx, it.Ref, by) }); err != nil {
			t.Fatal(err)
		}
		tire(t, a, b)
		it = b.parked()
		if it.ID != second {
			t.Fatalf("parked %+v", it)
		}
		if err := b.decide(it, practice, func(tx *store.Tx) error {
			_, err := b.post.Redirect(tx, it.Ref, practice, by)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		tire(t, a, b)
		if got := a.deeds() + " / " + b.deeds(); got != "bad two / three" {
			t.Errorf("handled %q", got)
		}
		for id, want := range map[string]string{first: "delivered parked abandoned", second: "delivered parked delivered handled", third: "delivered handled"} {
			if got := a.learnt(id); got != want {
				t.Errorf("the sender learnt %q, want %q", got, want)
			}
		}
		for _, n := range []*town{a, b} {
			peer := network.MustNodeID("RQX")
			if n == b {
				peer = network.MustNodeID("X26")
			}
			if r, err := n.post.Reconcile(t.Context(), peer); err != nil || !r.Even() || r.OnTheWay > 0 {
				t.Errorf("ledgers: %+v %v", r, err)
			}
			legs, err := n.post.ByID(t.Context(), second)
			if err != nil || len(legs) != 2 || legs[0].Message.To != practice || legs[1].Message.To != hospital {
				t.Errorf("the legs of what was redirected, the latest first: %+v %v", legs, err)
			}
		}
	}, messaging.Schema(), deeds())
}

func TestRefusedWithItsReason(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := wired()
		a := newTown(t, db, w, "X26", spine)
		b := newTown(t, storetest.Open(t, messaging.Schema(), deeds()), w, "RQX", hospital)
		route(a, hospital, "RQX")
		route(a, practice, "RQX")
		route(b, spine, "X26")
		b.fail = func(messaging.Message) error { return messaging.Refuse("no such clinic") }
		id := a.send(spine, hospital, "c", "x")
		stray := a.send(spine, practice, "c", "y")
		tire(t, a, b)
		if got := a.column(`SELECT state || ': ' || reason FROM learnt WHERE id = ? AND state = 'refused'`, id); got != "refused: no such clinic" {
			t.Errorf("the sender learnt %q", got)
		}
		if got := a.learnt(stray); got != "delivered refused" {
			t.Errorf("of a message for nobody the sender learnt %q", got)
		}
	}, messaging.Schema(), deeds())
}

func TestTimeIsUp(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := wired()
		a := newTown(t, db, w, "X26", spine)
		b := newTown(t, storetest.Open(t, messaging.Schema(), deeds()), w, "RQX", hospital)
		route(a, hospital, "RQX")
		route(b, spine, "X26")
		w.cut[network.MustNodeID("RQX")] = true
		var ids []string
		for _, expires := range []time.Time{start.Add(time.Minute), {}} {
			if err := db.Write(t.Context(), []store.Lane{a.post.LaneOf(spine, "c")}, func(tx *store.Tx) error {
				id, err := a.post.Send(tx.Context(), tx, messaging.Message{From: spine, To: hospital, Workflow: "test", Conversation: "c", Body: []byte("x"), Expires: expires})
				ids = append(ids, id)
				return err
			}); err != nil {
				t.Fatal(err)
			}
		}
		ids = []string{ids[len(ids)/2-1], ids[len(ids)-1]} // each function ran twice
		settle(t, a, b)
		if got := a.learnt(ids[0]) + " / " + a.learnt(ids[1]); got != "expired / " {
			t.Errorf("while the node is not reached the sender learnt %q", got)
		}
		w.cut[network.MustNodeID("RQX")] = false
		tire(t, a, b)
		if got := a.learnt(ids[0]) + " / " + a.learnt(ids[1]); got != "expired / delivered handled" {
			t.Errorf("the sender learnt %q", got)
		}
	}, messaging.Schema(), deeds())
}

// breaking cuts every answer short.
type breaking struct {
	network.Carrier
	after int64
}

func (c *breaking) Do(ctx context.Context, to network.NodeID, r *http.Request) (*http.Response, error) {
	answer, err := c.Carrier.Do(ctx, to, r)
	if err == nil && r.Method == http.MethodGet && c.after > 0 {
		answer.Body = io.NopCloser(io.MultiReader(io.LimitReader(answer.Body, c.after), broken{}))
	}
	return answer, err
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("the line broke") }

func TestAFileTravelsBesideItsMessage(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := wired()
		a := newTown(t, db, w, "X26", spine)
		b := newTown(t, storetest.Open(t, messaging.Schema(), deeds()), w, "RQX", hospital)
		route(a, hospital, "RQX")
		route(b, spine, "X26")
		holds := make([]byte, 3<<20+17)
		r := rand.NewChaCha8([32]byte{1})
		_, _ = r.Read(holds)
		f, err := a.post.Store(t.Context(), bytes.NewReader(holds), "letter.pdf", "application/pdf")
		if err != nil {
			t.Fatal(err)
		}
		again, err := a.post.Store(t.Context(), bytes.NewReader(holds), "letter.pdf", "application/pdf")
		if err != nil || again != f {
			t.Fatalf("stored twice: %+v %v", again, err)
		}
		if got := a.column(`SELECT CAST(count(*) AS TEXT) FROM post_file`); got != "1" {
			t.Errorf("what was stored twice is kept %s times", got)
		}
		b.post = nil
		b = newTownOver(t, b.db, func(c network.Carrier) network.Carrier { return &breaking{c, 1 << 20} }, messaging.Seams{}, w, "RQX", hospital)
		if err := db.Write(t.Context(), []store.Lane{a.post.LaneOf(spine, "c")}, func(tx *store.Tx) error {
			_, err := a.post.Send(tx.Context(), tx, messaging.Message{From: spine, To: hospital, Workflow: "test", Conversation: "c", Body: []byte("with a file"), Files: []messaging.File{f}})
			return err
		}); err != nil {
			t.Fatal(err)
		}
		a.send(spine, hospital, "c", "after it")
		a.send(spine, hospital, "d", "meanwhile")
		settle(t, a, b)
		if got := b.deeds(); got != "meanwhile" {
			t.Errorf("before the file was there, handled %q", got)
		}
		tire(t, a, b)
		if got := b.column(`SELECT body FROM deed WHERE conversation = 'c' ORDER BY n`); got != "with a file after it" {
			t.Errorf("handled %q; held: %s", got, b.column(`SELECT reason || ' ' || tries FROM post_held`))
		}
		got, err := b.post.Open(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		if text, err := io.ReadAll(got); err != nil || !bytes.Equal(text, holds) {
			t.Errorf("what came is not what was sent: %d bytes, %v", len(text), err)
		}
		if err := a.post.Prune(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := a.post.Open(t.Context(), f); err != nil {
			t.Errorf("a file that may be asked for again was pruned: %v", err)
		}
		for _, n := range []*town{a, b} {
			n.clock.Advance(1000 * 24 * time.Hour) // the stores of these tests go by the machine's clock
			if err := n.post.Prune(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := n.column(`SELECT CAST(count(*) AS TEXT) FROM post_message`) + n.column(`SELECT CAST(count(*) AS TEXT) FROM post_chunk`); got != "00" {
				t.Errorf("after a thousand days there are %s", got)
			}
		}
		if r, err := a.post.Reconcile(t.Context(), network.MustNodeID("RQX")); err != nil || !r.Even() || r.Sent != 3 {
			t.Errorf("ledgers after pruning: %+v %v", r, err)
		}
	}, messaging.Schema(), deeds())
}

func TestACarrierOfOnesOwn(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		var got []string
		dead := true
		post, n := townWith(t, db, messaging.Courier{Kind: "address", Owner: "interfaces", Tries: 2, Carry: func(_ context.Context, to messaging.Destination, m messaging.Message) error {
			switch {
			case dead:
				return fault.New(fault.Unavailable, "not reached")
			case strings.HasPrefix(string(m.Body), "bad"):
				return errors.New("it answers 500")
			}
			got = append(got, to.Name+":"+string(m.Body))
			return nil
		}})
		if err := db.Write(t.Context(), nil, func(tx *store.Tx) error {
			return post.SetRoute(tx, messaging.Route{Recipient: practice, To: messaging.Destination{Kind: "address", Name: "https://example.org"}})
		}); err != nil {
			t.Fatal(err)
		}
		for _, body := range []string{"one", "bad", "two"} {
			n.send(spine, practice, "c", body)
		}
		n.send(spine, hospital, "c", "here")
		tire(t, n)
		if len(got) > 0 || n.deeds() != "here" {
			t.Errorf("while the address is dead: %q, and here %q", got, n.deeds())
		}
		dead = false
		tire(t, n)
		if strings.Join(got, " ") != "https://example.org:one" || n.parked().Held.Owner != "interfaces" {
			t.Errorf("delivered %q", got)
		}
		it := n.parked()
		if err := n.decide(it, ident.ODSCode{}, func(tx *store.Tx) error { return n.post.Abandon(tx, it.Ref, by) }); err != nil {
			t.Fatal(err)
		}
		tire(t, n)
		if strings.Join(got, " ") != "https://example.org:one https://example.org:two" {
			t.Errorf("delivered %q", got)
		}
	}, messaging.Schema(), deeds())
}

func TestRunHandlesByItself(t *testing.T) {
	n := newTown(t, storetest.Open(t, messaging.Schema(), deeds()), nil, "", spine, hospital)
	ctx, cancel := context.WithCancel(t.Context())
	moved, stop := n.post.Changes()
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- n.post.Run(ctx) }()
	n.send(spine, hospital, "c", "one")
	for n.deeds() != "one" {
		select {
		case <-moved:
		case <-time.After(10 * time.Second):
			t.Fatal("nobody handled it")
		}
		n.clock.Advance(2 * time.Second)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestAMessageWhoseFileIsLost: its sender has lost the file before the recipient had it. A person must know, but for what the two ends compare by themselves: that is given up, and what comes
// after it goes on.
func TestAMessageWhoseFileIsLost(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := wired()
		a := newTown(t, storetest.Open(t, messaging.Schema(), deeds()), w, "X26", spine)
		b := newTown(t, db, w, "RQX", hospital)
		route(a, hospital, "RQX")
		route(b, spine, "X26")
		f, err := a.post.Store(t.Context(), strings.NewReader("a letter"), "letter.txt", "text/plain")
		if err != nil {
			t.Fatal(err)
		}
		for _, workflow := range []string{"test", "compared"} {
			err := a.db.Write(t.Context(), []store.Lane{a.post.LaneOf(spine, workflow)}, func(tx *store.Tx) error {
				_, err := a.post.Send(tx.Context(), tx, messaging.Message{From: spine, To: hospital, Workflow: workflow, Conversation: workflow, Body: []byte(workflow), Files: []messaging.File{f}})
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			a.send(spine, hospital, workflow, "after "+workflow)
		}
		if err := a.db.Write(t.Context(), allLanes(a.db), func(tx *store.Tx) error {
			_, err := tx.Exec(`DELETE FROM post_file`)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		for range 4 {
			tire(t, a, b)
		}
		if got := b.deeds(); got != "after compared" {
			t.Errorf("handled %q", got)
		}
		if it := b.parked(); it.Conversation != "test" {
			t.Errorf("parked: %+v", it)
		}
		if got := a.column(`SELECT conversation FROM post_message WHERE state = ` + strconv.Itoa(int(messaging.Abandoned))); got != "compared" {
			t.Errorf("given up: %q", got)
		}
	}, messaging.Schema(), deeds())
}
