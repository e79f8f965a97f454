package simulate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"testing/fstest"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/messaging/simulate/country"
	"github.com/openspine/openspine/store"
)

// Organisations without a node: two that have a mailbox at RQX and at X26, two whose systems are reached from there.
var (
	boxed = map[string]ident.ODSCode{"RQX": ident.MustODSCode("Y05001"), "X26": ident.MustODSCode("Y05002")}
	apart = map[string]ident.ODSCode{"RQX": ident.MustODSCode("V81001"), "X26": ident.MustODSCode("V81002")}
)

// tenants are the organisations of each node.
func tenants(name string) []ident.ODSCode {
	own := []ident.ODSCode{ident.MustODSCode(name)}
	if name == "X26" {
		own = append(own, ident.MustODSCode("Y90001"))
	}
	return own
}

// everybody is whom something can be sent to.
func (w *world) everybody() (all []ident.ODSCode) {
	for _, n := range w.nodes {
		all = append(all, n.Own...)
		for _, more := range []map[string]ident.ODSCode{boxed, apart} {
			if o := more[n.Name]; !o.IsZero() {
				all = append(all, o)
			}
		}
	}
	return all
}

// schema is what the simulated services keep: what was sent here, what was done here, and what a sender was told.
func schema() store.Schema {
	return store.Schema{Service: "simulate", FS: fstest.MapFS{"0001_simulate.sql": {Data: []byte(`
CREATE TABLE sim_sent (lane INTEGER NOT NULL, key INTEGER NOT NULL, id TEXT NOT NULL, PRIMARY KEY (lane, key)) WITHOUT ROWID;
CREATE TABLE sim_deed (lane INTEGER NOT NULL, n INTEGER NOT NULL, key INTEGER NOT NULL, id TEXT NOT NULL, conversation TEXT NOT NULL, PRIMARY KEY (lane, n)) WITHOUT ROWID;
CREATE TABLE sim_told (lane INTEGER NOT NULL, n INTEGER NOT NULL, id TEXT NOT NULL, state INTEGER NOT NULL, answer TEXT NOT NULL, PRIMARY KEY (lane, n)) WITHOUT ROWID;`)}}}
}

// node is one node of the country.
type node struct {
	*country.Machine
	w *world
}

func newNode(w *world, name string, seed uint64) (*node, error) {
	m, err := w.NewMachine(name, seed, start)
	if err != nil {
		return nil, err
	}
	n := &node{Machine: m, w: w}
	m.Own, m.Start = tenants(name), n.start
	return n, nil
}

func (n *node) start() error {
	if err := n.DB.Migrate(n.w.Ctx, messaging.Schema(), schema()); err != nil {
		return err
	}
	post, err := messaging.New(n.w.Ctx, messaging.Options{DB: n.DB, Clock: n.Clock, Rand: n.Secret, Jitter: n.Rng.Float64, Carrier: n, Tenants: n.Own,
		Account: account{}, Batch: 1 + n.Rng.IntN(12), Chunk: chunk, Seams: n.w.o.Seams}, n.handlers(), n.couriers()...)
	if err != nil {
		return err
	}
	n.Post, n.Handler = post, post.Handler()
	return n.DB.Write(n.w.Ctx, nil, func(tx *store.Tx) error {
		for _, r := range n.routes() {
			if err := post.SetRoute(tx, r); err != nil {
				return err
			}
		}
		return nil
	})
}

func (n *node) routes() (list []messaging.Route) {
	if o := boxed[n.Name]; !o.IsZero() {
		list = append(list, messaging.Route{Recipient: o, To: messaging.Destination{Kind: "box", Name: o.String()}})
	}
	if o := apart[n.Name]; !o.IsZero() {
		list = append(list, messaging.Route{Recipient: o, To: messaging.Destination{Kind: "system", Name: o.String()}})
	}
	if n.Name != "X26" {
		return append(list, messaging.Route{To: messaging.ToNode(n.w.nodes[0].ID)})
	}
	for _, other := range n.w.nodes[1:] {
		for _, o := range []ident.ODSCode{other.Own[0], boxed[other.Name], apart[other.Name]} {
			if !o.IsZero() {
				list = append(list, messaging.Route{Recipient: o, To: messaging.ToNode(other.ID)})
			}
		}
	}
	return list
}

func (n *node) couriers() []messaging.Courier {
	return []messaging.Courier{
		{Kind: "box", Owner: "the mailboxes", Tries: 4, Place: func(ctx context.Context, tx *store.Tx, _ messaging.Destination, m messaging.Message) error {
			return n.handle(ctx, tx, m)
		}},
		{Kind: "system", Owner: "interfaces", Tries: 4, Ask: n.ask},
	}
}

// account takes what people decide; the simulation does not read it.
type account struct{}

func (account) Append(*store.Tx, store.Lane, audit.Entry) (int64, error) { return 1, nil }

// body is what a message of the simulation holds: its key, and something to fill it up.
func body(key, size int) []byte {
	return fmt.Appendf(nil, "%d %s", key, bytes.Repeat([]byte("x"), size))
}

func keyOf(b []byte) (key int) {
	_, _ = fmt.Sscanf(string(b), "%d ", &key) // 0 for what is not ours, which no check expects
	return key
}

// mood is how a message is taken, by its key.
type mood struct {
	poison, refuse bool
	until          int // fails until this step
}

func (w *world) moodOf(key int, to string) mood {
	h := fnv.New64a()
	_, _ = io.WriteString(h, to)                                       // a hash never fails
	r := rand.New(rand.NewPCG(w.res.Seed^h.Sum64(), uint64(key)+1000)) //nolint:gosec // a simulation's chance
	m := mood{poison: r.IntN(1000) < w.w.poison, refuse: r.IntN(1000) < w.w.refuse}
	if r.IntN(5) == 0 {
		m.until = r.IntN(w.o.Steps)
	}
	return m
}

// handle is what a service here, or a mailbox, does with a message.
func (n *node) handle(ctx context.Context, tx *store.Tx, m messaging.Message) error {
	key := keyOf(m.Body)
	switch mood := n.w.moodOf(key, m.To.String()); {
	case mood.poison:
		return errors.New("poison")
	case mood.refuse:
		return messaging.Refuse("not wanted")
	case mood.until > n.w.Step:
		return fault.New(fault.Unavailable, "not now")
	}
	if err := n.whole(context.WithoutCancel(ctx), key, m.Files); err != nil {
		return err
	}
	_, err := tx.Exec(`INSERT INTO sim_deed (lane, n, key, id, conversation) SELECT 0, coalesce(max(n), 0) + 1, ?, ?, ? FROM sim_deed WHERE lane = 0`, key, m.ID, conversationOf(m))
	return err
}

func (n *node) handlers() []messaging.Handler {
	learn := func(_ context.Context, tx *store.Tx, r messaging.Receipt) error {
		_, err := tx.Exec(`INSERT INTO sim_told (lane, n, id, state, answer) SELECT 0, coalesce(max(n), 0) + 1, ?, ?, ? FROM sim_told WHERE lane = 0`, r.ID, int64(r.State), string(r.Answer))
		return err
	}
	return []messaging.Handler{
		{Workflow: "plain", Tries: 4, Handle: n.handle, Learn: learn},
		{Workflow: "brief", Tries: 4, TTL: n.w.w.ttl, Handle: n.handle, Learn: learn},
	}
}

// send lets a service here send something.
func (n *node) send() {
	w := n.w
	everybody := w.everybody()
	for range 1 + w.Rng.IntN(5) {
		w.key++
		key := w.key
		m := messaging.Message{From: n.Own[w.Rng.IntN(len(n.Own))], To: everybody[w.Rng.IntN(len(everybody))], Workflow: "plain", Body: body(key, w.Rng.IntN(3000))}
		if c := w.Rng.IntN(5); c < 4 {
			m.Conversation = fmt.Sprint("c", c)
		}
		if w.Rng.IntN(1000) < w.w.brief {
			m.Workflow = "brief"
		}
		if w.Rng.IntN(1000) < w.w.file {
			var ok bool
			if m.Files, ok = n.store(key); !ok {
				return
			}
		}
		err := n.DB.Write(w.Ctx, nil, func(tx *store.Tx) error {
			id, err := n.Post.Send(w.Ctx, tx, m)
			if err != nil {
				return err
			}
			_, err = tx.Exec(`INSERT INTO sim_sent (lane, key, id) VALUES (0, ?, ?)`, key, id)
			return err
		})
		w.Say("%s sends %d to %s in %q with %d files: %v", n.Name, key, m.To, m.Conversation, len(m.Files), fault.KindOf(err) != fault.Internal || err == nil)
		if n.Disk.Dark() {
			return
		}
	}
}

// decide lets a person decide about something that is parked here.
func (n *node) decide() {
	w := n.w
	list, err := n.Post.Parked(w.Ctx, 20)
	if err != nil || len(list) == 0 {
		return
	}
	n.decideAbout(list[w.Rng.IntN(len(list))])
}

// decideAll lets people decide about all that is parked here.
func (n *node) decideAll() {
	list, err := n.Post.Parked(n.w.Ctx, 100)
	if err != nil {
		n.w.Break("%s: %v", n.Name, err)
	}
	for _, it := range list {
		n.decideAbout(it)
	}
}

func (n *node) decideAbout(it messaging.Item) {
	w := n.w
	to := w.everybody()
	other := to[w.Rng.IntN(len(to))]
	what := w.Rng.IntN(6) // 3 and more: to try it again
	by := messaging.By{Principal: access.Service("person", n.Own[0]), Reason: "as the simulation has it"}
	err := n.DB.Write(w.Ctx, nil, func(tx *store.Tx) error {
		switch what {
		case 0:
			return n.Post.Abandon(tx, it.Ref, by)
		case 1:
			return n.Post.Take(tx, it.Ref, "a person", by)
		case 2:
			_, err := n.Post.Redirect(tx, it.Ref, other, by)
			return err
		}
		return n.Post.Retry(tx, it.Ref, by)
	})
	w.res.Decisions++
	if what == 2 && err == nil {
		w.res.Redirects++
		w.redirected[it.ID] = append(w.redirected[it.ID], n)
	}
	w.Say("%s: a person decides %d about %s: %v", n.Name, what, it.ID, err == nil)
}
