package bookings

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/demographics"
	"github.com/openspine/openspine/directory"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir/definition"
	"github.com/openspine/openspine/hospital"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/internal/clock"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/network"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/referral"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/store/storefault"
)

// The country: the spine with a practice, and two hospitals.
var (
	national  = ident.MustODSCode("X26")
	hospitals = []ident.ODSCode{ident.MustODSCode("RQX"), ident.MustODSCode("RQY")}
)

func names() []string { return []string{"X26", "RQX", "RQY"} }

func tenants(name string) []catalogue.Tenant {
	if name == "X26" {
		return []catalogue.Tenant{{Code: national, Name: "Spine", Kind: "national"}, {Code: Practice, Name: "Fen Lane Surgery", Kind: "practice"}}
	}
	return []catalogue.Tenant{{Code: ident.MustODSCode(name), Name: name + " Hospital", Kind: "hospital"}}
}

// schemas are the tables of a node.
func schemas(name string) []store.Schema {
	list := []store.Schema{audit.Schema(), access.Schema(), messaging.Schema(), record.Schema()}
	if name == "X26" {
		return append(list, directory.Schema(), referral.Schema())
	}
	return append(list, hospital.Schema())
}

// node is one node of the country.
type node struct {
	w        *world
	name     string
	code     ident.ODSCode
	id       network.NodeID
	rng      *rand.Rand
	chance   *rand.ChaCha8 // ids
	clock    *clock.Fake
	disk     *storefault.Disk
	account  string // the folder of the account's keys
	up       bool
	down     int // steps until it comes back
	backups  [][]byte
	lost     bool // was ever restored
	sessions int

	db       *store.DB
	gate     *access.Gate
	records  *record.Records
	post     *messaging.Post
	handler  http.Handler
	refer    *referral.Referrals   // the spine's
	clinics  *hospital.Outpatients // a hospital's
	services []catalogue.Service
}

func newNode(w *world, name string, seed uint64, begun *begun) (*node, error) {
	disk, err := storefault.New(seed)
	if err != nil {
		return nil, err
	}
	n := bare(w, name, seed)
	n.disk, n.account = disk, begun.accounts[name]
	n.clock.Advance(time.Duration(seed%5) * time.Minute) //nolint:gosec // small
	disk.Put(n.path(), begun.files[name])
	return n, nil
}

// bare is a node without a disk.
func bare(w *world, name string, seed uint64) *node {
	var key [32]byte
	copy(key[:], fmt.Sprintf("%s %d", name, seed))
	return &node{w: w, name: name, code: ident.MustODSCode(name), id: network.MustNodeID(name), rng: rand.New(rand.NewPCG(seed, 7)), //nolint:gosec // a simulation's chance
		chance: rand.NewChaCha8(key), clock: clock.NewFake(start)}
}

func (n *node) path() string { return filepath.Join("/", n.name+".db") }

// open brings the node up on what its disk holds.
func (n *node) open() error {
	n.disk.PowerOn()
	db, err := store.Open(n.w.ctx, n.path(), store.Options{VFS: n.disk.VFS(), Clock: n.clock, Rand: n.chance, CheckpointPages: 50})
	if err == nil {
		n.db = db
		err = n.start()
	}
	if err == nil {
		n.up = true
		n.linked()
		return nil
	}
	if n.w.calm || !n.disk.Dark() {
		return err
	}
	n.die() // the power went again
	return nil
}

// linked tells those who have a link to n that it is there again, as links do.
func (n *node) linked() {
	for _, m := range n.w.nodes {
		if m != n && m.up && (n == n.w.nodes[0] || m == n.w.nodes[0]) {
			m.post.Reached(n.id)
		}
	}
}

// kernel puts the kernel on the node's database.
func (n *node) kernel() (k catalogue.Kernel, err error) {
	ctx, log := n.w.ctx, slog.New(slog.DiscardHandler)
	if err := n.db.Migrate(ctx, schemas(n.name)...); err != nil {
		return k, err
	}
	account, err := audit.Open(n.db, n.account, audit.Options{Clock: n.clock, Logger: log})
	if err != nil {
		return k, err
	}
	if n.gate, err = access.Open(access.Options{DB: n.db, Audit: account, Clock: n.clock, Logger: log, National: national}); err != nil {
		return k, err
	}
	if n.records, err = record.Open(ctx, record.Options{DB: n.db, Clock: n.clock, Rand: n.chance}); err != nil {
		return k, err
	}
	n.post = nil
	return catalogue.Kernel{DB: n.db, Definitions: definition.R4(), Records: n.records, Gate: n.gate, Audit: account, Clock: n.clock, Logger: log, National: national, Tenants: tenants(n.name),
		Organisation: func(_ context.Context, code ident.ODSCode) string { return code.String() },
		Services:     func() []catalogue.Service { return n.services }, Post: func() *messaging.Post { return n.post }}, nil
}

// assemble makes the services on the kernel.
func (n *node) assemble(k catalogue.Kernel) error {
	if n.name == "X26" {
		// The register's events are where a change of a referral is noted for whoever asked to be told.
		register := demographics.New(k, demographics.Options{Data: n.account, Demo: true}).Service()
		if err := n.db.Migrate(n.w.ctx, register.Schema); err != nil {
			return err
		}
		places := directory.New(k, true)
		n.refer = referral.New(k, places, referral.Options{Seams: n.w.o.Seams})
		n.services = []catalogue.Service{places.Service(), n.refer.Service()}
	} else {
		n.clinics = hospital.NewWith(k, hospital.Options{Seams: n.w.o.Seams, Beside: 1})
		n.services = []catalogue.Service{n.clinics.Service()}
	}
	for _, s := range n.services {
		n.records.Keep(s.Keeps...)
	}
	return n.records.Behind(n.w.ctx)
}

func (n *node) start() error {
	k, err := n.kernel()
	if err != nil {
		return err
	}
	if err := n.assemble(k); err != nil {
		return err
	}
	var handlers []messaging.Handler
	for _, s := range n.services {
		handlers = append(handlers, s.Handles...)
	}
	var own []ident.ODSCode
	for _, t := range k.Tenants {
		own = append(own, t.Code)
	}
	n.post, err = messaging.New(n.w.ctx, messaging.Options{DB: n.db, Clock: n.clock, Rand: n.chance, Jitter: n.rng.Float64, Carrier: n, Tenants: own, Account: k.Audit, Batch: 1 + n.rng.IntN(12)}, handlers)
	if err != nil {
		return err
	}
	n.handler = n.post.Handler()
	return n.db.Write(n.w.ctx, nil, func(tx *store.Tx) error {
		for _, r := range n.routes() {
			if err := n.post.SetRoute(tx, r); err != nil {
				return err
			}
		}
		return nil
	})
}

func (n *node) routes() (list []messaging.Route) {
	if n.name != "X26" {
		return []messaging.Route{{To: messaging.ToNode(network.MustNodeID("X26"))}}
	}
	for _, h := range hospitals {
		list = append(list, messaging.Route{Recipient: h, To: messaging.ToNode(network.MustNodeID(h.String()))})
	}
	return list
}

func (n *node) shut() {
	if n.records != nil {
		n.records.Close()
		n.records = nil
	}
	if n.db != nil {
		_ = n.db.Close() // without power it cannot
		n.db = nil
	}
	n.up = false
}

func (n *node) close() {
	n.shut()
	_ = n.disk.Close() // in memory
}

// die is what a loss of power does to a node.
func (n *node) die() {
	n.w.res.Crashes++
	n.disk.CutPower()
	n.shut()
	n.down = 1 + n.w.rng.IntN(8)
	n.w.say("%s loses power", n.name)
}

// work lets the post do some of what it has to do, and the services what they do every few seconds.
func (n *node) work() {
	for range 1 + n.w.rng.IntN(4) {
		if n.turn(); n.disk.Dark() {
			return
		}
	}
	often := "register"
	if n.name == "X26" {
		often = "withdrawn"
	}
	if n.w.rng.IntN(2) == 0 {
		n.done("runs "+often, n.jobNamed(often))
	}
}

// turn turns one thing that the post has to do.
func (n *node) turn() {
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
			did = true
		}
	}
	return did, fmt.Errorf("%s never has nothing to do", n.name)
}

// job runs one of the jobs that the services do by the clock.
func (n *node) job() {
	var all []catalogue.Job
	for _, s := range n.services {
		if s.Name != "directory" {
			all = append(all, s.Jobs...)
		}
	}
	j := all[n.w.rng.IntN(len(all))]
	n.done("runs "+j.Name, j.Run(n.w.ctx))
}

// jobNamed runs a job of a service that has it.
func (n *node) jobNamed(name string) error {
	for _, s := range n.services {
		for _, j := range s.Jobs {
			if j.Name == name {
				if err := j.Run(n.w.ctx); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// jobs runs all that is done by the clock but the comparisons.
func (n *node) jobs() error {
	for _, name := range []string{"standing", "give-back", "withdrawn", "plan", "register"} {
		if err := n.jobNamed(name); err != nil {
			return err
		}
	}
	return nil
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
func (n *node) restore() (err error) {
	if len(n.backups) == 0 {
		return nil
	}
	from := n.backups[n.w.rng.IntN(len(n.backups))]
	n.shut()
	if n.disk.Dark() {
		n.die()
		return nil
	}
	dir, err := os.MkdirTemp(shm(), "openspine-bookings-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	place := filepath.Join(dir, "restored.db")
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
	return n.open()
}

// shm is a folder in memory, where there is one.
func shm() string {
	if s, err := os.Stat("/dev/shm"); err == nil && s.IsDir() {
		return "/dev/shm"
	}
	return ""
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
	if until, cut := w.cut[[2]network.NodeID{n.id, to}]; cut && until > w.step || peer == nil || !peer.up {
		return nil, fault.New(fault.Unavailable, "there is no link to %s", to)
	}
	l := letter{from: n, to: peer, method: r.Method, path: r.URL.Path, body: text.Bytes()}
	if w.chance(w.w.late) {
		l.due = w.step + 1 + w.rng.IntN(40)
		w.late = append(w.late, l)
	}
	if w.chance(w.w.lose) {
		w.res.Lost++
		return nil, fault.New(fault.Unavailable, "the request was lost")
	}
	if w.chance(w.w.double) {
		w.hand(l)
	}
	status, answer := w.hand(l)
	w.say("%s %s %s: %d", n.name, r.URL.Path, to, status)
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
	var own []ident.ODSCode
	for _, t := range tenants(l.from.name) {
		own = append(own, t.Code)
	}
	peer := network.Peer{Node: l.from.id, Organisations: own, Authority: l.from.name == "X26"}
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
