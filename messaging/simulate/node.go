package simulate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"testing/fstest"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/clock"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/network"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/store/storefault"
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
		all = append(all, n.own...)
		for _, more := range []map[string]ident.ODSCode{boxed, apart} {
			if o := more[n.name]; !o.IsZero() {
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
	w        *world
	name     string
	id       network.NodeID
	own      []ident.ODSCode
	rng      *rand.Rand
	chance   *rand.ChaCha8 // ids
	clock    *clock.Fake
	disk     *storefault.Disk
	db       *store.DB
	post     *messaging.Post
	handler  http.Handler
	up       bool
	down     int // steps until it comes back
	fullTill int
	backups  [][]byte
	lost     bool // was ever restored
}

func newNode(w *world, name string, seed uint64) (*node, error) {
	disk, err := storefault.New(seed)
	if err != nil {
		return nil, err
	}
	var key [32]byte
	copy(key[:], fmt.Sprintf("%s %d", name, seed))
	return &node{w: w, name: name, id: network.MustNodeID(name), own: tenants(name), rng: rand.New(rand.NewPCG(seed, 7)), //nolint:gosec // a simulation's chance
		chance: rand.NewChaCha8(key), clock: clock.NewFake(start.Add(time.Duration(seed%5) * time.Minute)), disk: disk}, nil
}

// open brings the node up on what its disk holds.
func (n *node) open() error {
	n.disk.PowerOn()
	if n.fullTill == 0 {
		n.disk.SetQuota(0)
	}
	db, err := store.Open(n.w.ctx, n.path(), store.Options{VFS: n.disk.VFS(), Clock: n.clock, Rand: n.chance, CheckpointPages: 20})
	if err == nil {
		n.db = db
		err = n.start()
	}
	if err == nil {
		n.up = true
		n.linked()
		return nil
	}
	if k := fault.KindOf(err); n.w.calm || k != fault.Full && k != fault.Unavailable {
		return err
	}
	n.die() // the disk is full, or the power went again
	return nil
}

// linked tells those who have a link to n that it is there again, as links do.
func (n *node) linked() {
	hub := n.w.nodes[0]
	for _, m := range n.w.nodes {
		if m != n && m.up && (n == hub || m == hub) {
			m.post.Reached(n.id)
		}
	}
}

func (n *node) start() error {
	if err := n.db.Migrate(n.w.ctx, messaging.Schema(), schema()); err != nil {
		return err
	}
	post, err := messaging.New(n.w.ctx, messaging.Options{DB: n.db, Clock: n.clock, Rand: n.chance, Jitter: n.rng.Float64, Carrier: n, Tenants: n.own,
		Account: account{}, Batch: 1 + n.rng.IntN(12), Chunk: chunk, Seams: n.w.o.Seams}, n.handlers(), n.couriers()...)
	if err != nil {
		return err
	}
	n.post, n.handler = post, post.Handler()
	return n.db.Write(n.w.ctx, nil, func(tx *store.Tx) error {
		for _, r := range n.routes() {
			if err := post.SetRoute(tx, r); err != nil {
				return err
			}
		}
		return nil
	})
}

func (n *node) routes() (list []messaging.Route) {
	if o := boxed[n.name]; !o.IsZero() {
		list = append(list, messaging.Route{Recipient: o, To: messaging.Destination{Kind: "box", Name: o.String()}})
	}
	if o := apart[n.name]; !o.IsZero() {
		list = append(list, messaging.Route{Recipient: o, To: messaging.Destination{Kind: "system", Name: o.String()}})
	}
	if n.name != "X26" {
		return append(list, messaging.Route{To: messaging.ToNode(n.w.nodes[0].id)})
	}
	for _, other := range n.w.nodes[1:] {
		for _, o := range []ident.ODSCode{other.own[0], boxed[other.name], apart[other.name]} {
			if !o.IsZero() {
				list = append(list, messaging.Route{Recipient: o, To: messaging.ToNode(other.id)})
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

func (n *node) close() {
	if n.db != nil {
		_ = n.db.Close() // without power it cannot
		n.db = nil
	}
	_ = n.disk.Close() // a folder of the machine's
}

// die is what a loss of power does to a node.
func (n *node) die() {
	n.w.res.Crashes++
	n.disk.CutPower()
	if n.db != nil {
		_ = n.db.Close()
	}
	n.db, n.up, n.down = nil, false, 1+n.w.rng.IntN(8)
	n.w.say("%s loses power", n.name)
}

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
	case mood.until > n.w.step:
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
	for range 1 + w.rng.IntN(5) {
		w.key++
		key := w.key
		m := messaging.Message{From: n.own[w.rng.IntN(len(n.own))], To: everybody[w.rng.IntN(len(everybody))], Workflow: "plain", Body: body(key, w.rng.IntN(3000))}
		if c := w.rng.IntN(5); c < 4 {
			m.Conversation = fmt.Sprint("c", c)
		}
		if w.rng.IntN(1000) < w.w.brief {
			m.Workflow = "brief"
		}
		if w.rng.IntN(1000) < w.w.file {
			var ok bool
			if m.Files, ok = n.store(key); !ok {
				return
			}
		}
		err := n.db.Write(w.ctx, nil, func(tx *store.Tx) error {
			id, err := n.post.Send(w.ctx, tx, m)
			if err != nil {
				return err
			}
			_, err = tx.Exec(`INSERT INTO sim_sent (lane, key, id) VALUES (0, ?, ?)`, key, id)
			return err
		})
		w.say("%s sends %d to %s in %q with %d files: %v", n.name, key, m.To, m.Conversation, len(m.Files), fault.KindOf(err) != fault.Internal || err == nil)
		if n.disk.Dark() {
			return
		}
	}
}

// work turns one thing that the post has to do.
func (n *node) work() {
	list, err := n.post.Pending(n.w.ctx)
	if err != nil || len(list) == 0 {
		return
	}
	w := list[n.w.rng.IntN(len(list))]
	_, err = n.post.Turn(n.w.ctx, w)
	n.w.say("%s works on %s %x: %v", n.name, w.Peer, w.Queue, err == nil)
}

// drain turns everything that the post has to do now.
func (n *node) drain() (did bool, err error) {
	for range 1000 {
		list, err := n.post.Pending(n.w.ctx)
		if err != nil || len(list) == 0 {
			return did, err
		}
		for _, w := range list {
			if _, err := n.post.Turn(n.w.ctx, w); err != nil && !fault.Is(err, fault.Unavailable) {
				return did, fmt.Errorf("%s: %w", n.name, err)
			}
			did = did || !w.Fetch // a file that is to be had makes other work
		}
	}
	return did, fmt.Errorf("%s never has nothing to do", n.name)
}

// decide lets a person decide about something that is parked here.
func (n *node) decide() {
	w := n.w
	list, err := n.post.Parked(w.ctx, 20)
	if err != nil || len(list) == 0 {
		return
	}
	n.decideAbout(list[w.rng.IntN(len(list))])
}

// decideAll lets people decide about all that is parked here.
func (n *node) decideAll() {
	list, err := n.post.Parked(n.w.ctx, 100)
	if err != nil {
		n.w.broken("%s: %v", n.name, err)
	}
	for _, it := range list {
		n.decideAbout(it)
	}
}

func (n *node) decideAbout(it messaging.Item) {
	w := n.w
	to := w.everybody()
	other := to[w.rng.IntN(len(to))]
	what := w.rng.IntN(6) // 3 and more: to try it again
	by := messaging.By{Principal: access.Service("person", n.own[0]), Reason: "as the simulation has it"}
	err := n.db.Write(w.ctx, nil, func(tx *store.Tx) error {
		switch what {
		case 0:
			return n.post.Abandon(tx, it.Ref, by)
		case 1:
			return n.post.Take(tx, it.Ref, "a person", by)
		case 2:
			_, err := n.post.Redirect(tx, it.Ref, other, by)
			return err
		}
		return n.post.Retry(tx, it.Ref, by)
	})
	w.res.Decisions++
	if what == 2 && err == nil {
		w.res.Redirects++
		w.redirected[it.ID] = append(w.redirected[it.ID], n)
	}
	w.say("%s: a person decides %d about %s: %v", n.name, what, it.ID, err == nil)
}

// backup keeps a copy of the database.
func (n *node) backup() {
	var b bytes.Buffer
	if err := n.db.Backup(n.w.ctx, &b); err != nil {
		return
	}
	if len(n.backups) == 3 {
		n.backups = n.backups[1:]
	}
	n.backups = append(n.backups, b.Bytes())
	n.w.say("%s is backed up", n.name)
}

// restore puts an old copy in the place of the database.
func (n *node) restore() error {
	if len(n.backups) == 0 {
		return nil
	}
	from := n.backups[n.w.rng.IntN(len(n.backups))]
	if err := n.db.Close(); err != nil {
		n.die()
		return nil //nolint:nilerr // the power went as it closed
	}
	n.db, n.up = nil, false
	place := filepath.Join(n.w.dir, fmt.Sprintf("%s-%d.db", n.name, n.w.step))
	if err := store.Restore(n.w.ctx, bytes.NewReader(from), place, store.Options{Clock: n.clock, Rand: n.chance}); err != nil {
		return err
	}
	holds, err := os.ReadFile(place)
	if err != nil {
		return err
	}
	n.disk.Put(n.path(), holds)
	n.disk.Remove(n.path() + "-wal")
	n.lost = true
	n.w.res.Restores++
	n.w.say("%s is restored from a backup", n.name)
	return errors.Join(os.Remove(place), n.open())
}

// Do carries a request over the simulated network.
func (n *node) Do(_ context.Context, to network.NodeID, r *http.Request) (*http.Response, error) {
	w := n.w
	var peer *node
	for _, o := range w.nodes {
		if o.id == to {
			peer = o
		}
	}
	var text bytes.Buffer
	if r.Body != nil {
		if _, err := text.ReadFrom(r.Body); err != nil {
			return nil, err
		}
	}
	w.res.Exchanges++
	if until, cut := w.cut[[2]network.NodeID{n.id, to}]; cut && until > w.step || peer == nil || !peer.up {
		return nil, fault.New(fault.Unavailable, "there is no link to %s", to)
	}
	l := letter{from: n, to: peer, method: r.Method, path: r.URL.Path, span: r.Header.Get("Range"), body: text.Bytes()}
	if w.chance(w.w.late) {
		l.due = w.step + 1 + w.rng.IntN(40)
		if w.rng.IntN(2) == 0 {
			l.due = afterRest
		}
		w.late = append(w.late, l)
	}
	if w.chance(w.w.lose) {
		w.res.Lost++
		return nil, fault.New(fault.Unavailable, "the request was lost")
	}
	if w.chance(w.w.double) {
		w.res.Doubled++
		w.hand(l)
	}
	status, answer := w.hand(l)
	w.say("%s %s %s: %d", n.name, r.URL.Path, to, status)
	if status != 0 && r.Method == http.MethodGet && w.chance(w.w.broken) {
		w.breakOff(answer)
		return answer, nil
	}
	if status == 0 || w.chance(w.w.loseAnswer) {
		w.res.Lost++
		return nil, fault.New(fault.Unavailable, "the answer was lost")
	}
	return answer, nil
}

// hand gives a request to a node; a status of 0 means that it did not answer.
func (w *world) hand(l letter) (int, *http.Response) {
	if !l.to.up || l.to.disk.Dark() {
		return 0, nil
	}
	r, err := http.NewRequestWithContext(w.ctx, l.method, l.path, bytes.NewReader(l.body))
	if err != nil {
		return 0, nil
	}
	if l.span != "" {
		r.Header.Set("Range", l.span)
	}
	peer := network.Peer{Node: l.from.id, Organisations: l.from.own, Authority: l.from.name == "X26"}
	rec := &recorder{status: http.StatusOK, header: http.Header{}}
	l.to.handler.ServeHTTP(rec, r.WithContext(network.WithPeer(w.ctx, peer)))
	if l.to.disk.Dark() {
		return 0, nil // it died before it could answer
	}
	return rec.status, &http.Response{StatusCode: rec.status, Header: rec.header, Body: io.NopCloser(&rec.body)}
}

// recorder is an answer in memory.
type recorder struct {
	status int
	header http.Header
	body   bytes.Buffer
}

// Header is http.ResponseWriter's.
func (r *recorder) Header() http.Header { return r.header }

// WriteHeader is http.ResponseWriter's.
func (r *recorder) WriteHeader(status int) { r.status = status }

// Write is http.ResponseWriter's.
func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }
