package messaging_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/clock"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/network"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/store/storetest"
)

var (
	spine    = ident.MustODSCode("X26")
	hospital = ident.MustODSCode("RQX")
	practice = ident.MustODSCode("Y90001")
	start    = time.Date(2026, 6, 5, 9, 0, 0, 0, time.UTC)
)

// deeds is the schema of what handlers of the tests do.
func deeds() store.Schema {
	return store.Schema{Service: "deeds", FS: fstest.MapFS{"0001_deeds.sql": {Data: []byte(`
CREATE TABLE deed (lane INTEGER NOT NULL, n INTEGER NOT NULL, id TEXT NOT NULL, body TEXT NOT NULL, conversation TEXT NOT NULL, PRIMARY KEY (lane, n)) WITHOUT ROWID;
CREATE TABLE learnt (lane INTEGER NOT NULL, n INTEGER NOT NULL, id TEXT NOT NULL, state TEXT NOT NULL, reason TEXT NOT NULL, PRIMARY KEY (lane, n)) WITHOUT ROWID;`)}}}
}

// wires joins the nodes of a test in memory.
type wires struct {
	mu    sync.Mutex
	nodes map[network.NodeID]http.Handler
	cut   map[network.NodeID]bool
}

// wire is one node's end.
type wire struct {
	w    *wires
	self network.Peer
}

func (c wire) Do(ctx context.Context, to network.NodeID, r *http.Request) (*http.Response, error) {
	c.w.mu.Lock()
	h, cut := c.w.nodes[to], c.w.cut[to] || c.w.cut[c.self.Node]
	c.w.mu.Unlock()
	if h == nil || cut {
		return nil, fault.New(fault.Unavailable, "there is no link to %s", to)
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r.WithContext(network.WithPeer(ctx, c.self)))
	return rec.Result(), nil
}

// town is a node of the tests: its post, a fake clock, and a handler that writes down what it did.
type town struct {
	t     testing.TB
	db    *store.DB
	clock *clock.Fake
	post  *messaging.Post
	fail  func(m messaging.Message) error // nil, or what the handler says
}

type ledger struct{}

func (ledger) Append(*store.Tx, store.Lane, audit.Entry) (int64, error) { return 1, nil }

func newTown(t testing.TB, db *store.DB, w *wires, node string, tenants ...ident.ODSCode) *town {
	t.Helper()
	return newTownOver(t, db, func(c network.Carrier) network.Carrier { return c }, messaging.Seams{}, w, node, tenants...)
}

// townWith is a town with a courier of its own.
func townWith(t testing.TB, db *store.DB, c messaging.Courier) (*messaging.Post, *town) {
	t.Helper()
	n := &town{t: t, db: db, clock: clock.NewFake(start)}
	var err error
	n.post, err = messaging.New(t.Context(), messaging.Options{DB: db, Clock: n.clock, Tenants: []ident.ODSCode{spine, hospital}, Account: ledger{}}, n.handlers(), c)
	if err != nil {
		t.Fatal(err)
	}
	return n.post, n
}

// newTownOver is newTown with a carrier around the wires.
func newTownOver(t testing.TB, db *store.DB, over func(network.Carrier) network.Carrier, seams messaging.Seams, w *wires, node string, tenants ...ident.ODSCode) *town {
	t.Helper()
	n := &town{t: t, db: db, clock: clock.NewFake(start)}
	o := messaging.Options{DB: db, Clock: n.clock, Tenants: tenants, Jitter: func() float64 { return 1 }, Account: ledger{}, Seams: seams}
	if w != nil {
		o.Carrier = over(wire{w, network.Peer{Node: network.MustNodeID(node), Organisations: tenants, Authority: node == "X26"}})
	}
	var err error
	if n.post, err = messaging.New(t.Context(), o, n.handlers()); err != nil {
		t.Fatal(err)
	}
	if w != nil {
		w.mu.Lock()
		w.nodes[network.MustNodeID(node)] = n.post.Handler()
		w.mu.Unlock()
	}
	return n
}

func (n *town) handlers() []messaging.Handler {
	return []messaging.Handler{{
		Workflow: "test", Owner: "the post room", Tries: 3,
		Handle: func(_ context.Context, tx *store.Tx, m messaging.Message) error {
			if n.fail != nil {
				if err := n.fail(m); err != nil {
					return err
				}
			}
			lane := n.post.LaneOf(m.To, m.Conversation)
			if !tx.Holds(lane) {
				lane = n.post.LaneOf(m.From, m.Conversation)
			}
			_, err := tx.Exec(`INSERT INTO deed (lane, n, id, body, conversation) SELECT ?, coalesce(max(n), 0) + 1, ?, ?, ? FROM deed WHERE lane = ?`, lane, m.ID, string(m.Body), m.Conversation, lane)
			return err
		},
		Learn: func(_ context.Context, tx *store.Tx, r messaging.Receipt) error {
			lane := n.post.LaneOf(r.From, r.Conversation)
			_, err := tx.Exec(`INSERT INTO learnt (lane, n, id, state, reason) SELECT ?, coalesce(max(n), 0) + 1, ?, ?, ? FROM learnt WHERE lane = ?`, lane, r.ID, r.State.String(), r.Reason, lane)
			return err
		},
	}, {Workflow: "compared", Compares: true, Handle: func(context.Context, *store.Tx, messaging.Message) error { return nil }}, {Workflow: "brief", TTL: time.Hour, Handle: func(context.Context, *store.Tx, messaging.Message) error { return nil }}}
}

// send sends one message and returns its id.
func (n *town) send(from, to ident.ODSCode, conversation, body string) string {
	n.t.Helper()
	var id string
	err := n.db.Write(context.Background(), []store.Lane{n.post.LaneOf(from, conversation)}, func(tx *store.Tx) (err error) {
		id, err = n.post.Send(tx.Context(), tx, messaging.Message{From: from, To: to, Workflow: "test", Conversation: conversation, Body: []byte(body)})
		return err
	})
	if err != nil {
		n.t.Fatal(err)
	}
	return id
}

// settle turns the posts until none has anything to do.
func settle(t testing.TB, towns ...*town) {
	t.Helper()
	for range 200 {
		did := false
		for _, n := range towns {
			list, err := n.post.Pending(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			for _, w := range append(list, n.post.Rung()...) {
				more, err := n.post.Turn(context.Background(), w)
				if err != nil && !fault.Is(err, fault.Unavailable) {
					t.Fatalf("turn %+v: %v", w, err)
				}
				did = did || err == nil || more
			}
		}
		if !did {
			return
		}
	}
	t.Fatal("the posts do not come to rest")
}

func (n *town) column(query string, args ...any) string {
	n.t.Helper()
	var all []string
	err := n.db.Read(context.Background(), func(tx *store.Tx) error {
		all = nil
		rows, err := tx.Query(query, args...)
		if err != nil {
			return err
		}
		for rows.Next() {
			var s string
			if err := rows.Scan(&s); err != nil {
				return err
			}
			all = append(all, s)
		}
		return rows.Err()
	})
	if err != nil {
		n.t.Fatal(err)
	}
	return strings.Join(all, " ")
}

func (n *town) deeds() string { return n.column(`SELECT body FROM deed ORDER BY lane, n`) }

// learnt is what the sender was told of a message, in order.
func (n *town) learnt(id string) string {
	return n.column(`SELECT state FROM learnt WHERE id = ? ORDER BY n`, id)
}

func wired() *wires {
	return &wires{nodes: map[network.NodeID]http.Handler{}, cut: map[network.NodeID]bool{}}
}

func TestWithinANode(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		n := newTown(t, db, nil, "", spine, hospital)
		a := n.send(spine, hospital, "c", "one")
		n.send(spine, hospital, "c", "two")
		settle(t, n)
		if got := n.deeds(); got != "one two" {
			t.Errorf("handled %q", got)
		}
		if got := n.learnt(a); got != "handled" {
			t.Errorf("the sender learnt %q", got)
		}
	}, messaging.Schema(), deeds())
}

func TestSendIsPartOfItsTransaction(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		n := newTown(t, db, nil, "", spine, hospital)
		lost := errors.New("no")
		err := db.Write(t.Context(), []store.Lane{n.post.LaneOf(spine, "")}, func(tx *store.Tx) error {
			if _, err := n.post.Send(tx.Context(), tx, messaging.Message{From: spine, To: hospital, Workflow: "test", Body: []byte("x")}); err != nil {
				return err
			}
			return lost
		})
		if !errors.Is(err, lost) {
			t.Fatal(err)
		}
		settle(t, n)
		if got := n.deeds(); got != "" {
			t.Errorf("a message of a transaction that failed was handled: %q", got)
		}
	}, messaging.Schema(), deeds())
}

func TestBetweenNodes(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := wired()
		a := newTown(t, db, w, "X26", spine)
		b := newTown(t, storetest.Open(t, messaging.Schema(), deeds()), w, "RQX", hospital)
		route(a, hospital, "RQX")
		route(b, spine, "X26")
		w.cut[network.MustNodeID("RQX")] = true
		var ids []string
		for i := range 20 {
			ids = append(ids, a.send(spine, hospital, "c", fmt.Sprint(i)))
		}
		settle(t, a, b)
		if got := b.deeds(); got != "" {
			t.Errorf("over a link that is cut came %q", got)
		}
		w.cut[network.MustNodeID("RQX")] = false
		a.clock.Advance(time.Hour)
		settle(t, a, b)
		if got := b.deeds(); got != "0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19" {
			t.Errorf("handled %q", got)
		}
		for _, id := range ids {
			if got := a.learnt(id); got != "delivered handled" {
				t.Errorf("the sender learnt %q", got)
			}
		}
	}, messaging.Schema(), deeds())
}

func route(n *town, to ident.ODSCode, node string) {
	n.t.Helper()
	err := n.db.Write(context.Background(), nil, func(tx *store.Tx) error {
		return n.post.SetRoute(tx, messaging.Route{Recipient: to, To: messaging.ToNode(network.MustNodeID(node)), Actor: "test"})
	})
	if err != nil {
		n.t.Fatal(err)
	}
}
