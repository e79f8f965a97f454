// Package node assembles one running OpenSpine: a database, the kernel over it, the services that it was told to run, and
// the edge at which requests arrive. A country is a list of nodes; a laptop is a list of one.
//
//	           ┌────────────────────────── node ──────────────────────────┐
//	request ─▶ │ edge ─▶ service's route ─▶ access ─▶ record ─▶ store      │ ─▶ answer, after its entry on the account
//	           │            jobs, watches ──────────▲      audit (seals)   │
//	           └───────────────────────────────────────────────────────────┘
package node

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/demographics/replica"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir/definition"
	"github.com/openspine/openspine/hospital"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/internal/clock"
	"github.com/openspine/openspine/mesh"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/network/outward"
	"github.com/openspine/openspine/network/pkcs11"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/referral"
	"github.com/openspine/openspine/signin"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/web"
)

// Node is one running OpenSpine. Open makes it, Serve runs it, Close ends it.
type Node struct {
	cfg       Config
	clock     clock.Clock
	log       *slog.Logger
	kernel    catalogue.Kernel
	tenants   []catalogue.Tenant
	services  []catalogue.Service
	site      *web.Site
	door      *signin.Door
	edge      *edge
	apiFace   face
	pageFace  face
	metrics   *metrics
	trace     *tracer
	limits    Limits
	proxies   proxies
	runners   []runner
	ready     atomic.Bool
	open      *access.Principal
	folder    *Folder
	feed      *record.Feed
	post      *messaging.Post
	device    *pkcs11.Keys // of the network's authority; nil when files keep its keys
	names     names
	vfs       string
	rand      io.Reader
	more      func(catalogue.Kernel) []catalogue.Service
	dial      func(ctx context.Context, address string) (net.Conn, error)
	restored  bool // the database was restored from a backup
	replica   *replica.Replica
	clinics   *hospital.Outpatients
	referrals *referral.Referrals // of the national node; nil elsewhere
	postroom  catalogue.Service
	sources   []replica.Source
	mail      *mesh.Office
	way       func(ident.ODSCode, http.RoundTripper) http.RoundTripper
	loading   bool // what is to be found later is left to the caller

	low     atomic.Bool // the disk is nearly full
	space   func() (int64, error)
	reserve int64

	stopping context.Context // ends when the node begins to stop: streams end with it
	stop     context.CancelFunc

	plain, secure, figures, asked, linked net.Listener

	commands func(ctx context.Context, n *Node, c Command, out io.Writer) error
	tls      *tls.Config
}

// runner is work of the kernel's own that goes on while the node serves.
type runner struct {
	name string
	work func(context.Context) error
}

// Options are what is handed in: time, the log, and what tests put in the place of a real disk.
type Options struct {
	Clock  clock.Clock
	Logger *slog.Logger
	Limits Limits
	// Services are run beside the node's own list; nil means none.
	Services func(catalogue.Kernel) []catalogue.Service
	// Commands does what whoever holds the data folder asks while the node runs; nil means that nobody is listened to.
	Commands func(ctx context.Context, n *Node, c Command, out io.Writer) error
	// Way carries what a hospital's copy asks of the national register, by default as the configuration says: it is handed that way. A link
	// between nodes is put here, and tests cut it here. Nil is fine.
	Way func(hospital ident.ODSCode, configured http.RoundTripper) http.RoundTripper
	// VFS is a virtual file system of SQLite under the database (store/storefault); empty means the machine's own.
	VFS string
	// Dial opens the connections of links to other nodes; over TCP by default.
	Dial func(ctx context.Context, address string) (net.Conn, error)
	// Rand is where ids of resources and the key of cursors come from; crypto/rand by default.
	Rand io.Reader
	// Space is how many bytes are free for the node's data, and Reserve below how many changes are refused so that reading, which
	// must be accounted for, can go on; by default the data folder's file system and 128 MB.
	Space   func() (int64, error)
	Reserve int64
	// Loading says that the caller is about to load very many resources: what a load that was cut off left to be found later is left to it.
	Loading bool
}

// Open opens the data that the configuration names and assembles the services. The node does not listen yet.
func Open(ctx context.Context, cfg Config, o Options) (*Node, error) {
	if o.Clock == nil {
		o.Clock = clock.System()
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	tenants, err := cfg.tenants()
	if err != nil {
		return nil, err
	}
	trusted, err := cfg.proxies()
	if err != nil {
		return nil, err
	}
	n := &Node{cfg: cfg, clock: o.Clock, log: slog.New(discreet{o.Logger.Handler()}).With("node", cfg.Name), tenants: tenants, proxies: trusted,
		limits: cmp.Or(o.Limits, cfg.Limits).withDefaults(), vfs: o.VFS, rand: o.Rand, commands: o.Commands, more: o.Services, dial: o.Dial, way: o.Way, space: o.Space, reserve: cmp.Or(o.Reserve, reserveBytes), loading: o.Loading}
	if n.space == nil {
		n.space = func() (int64, error) { return freeSpace(cfg.Data) }
	}
	n.stopping, n.stop = context.WithCancel(context.WithoutCancel(ctx))
	if n.folder, err = TakeFolder(cfg.Data); err != nil {
		return nil, err
	}
	if err := n.openKernel(ctx); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	if err := n.assemble(ctx); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

// DatabasePath is where a node with this data folder keeps its SQLite database.
func DatabasePath(data string) string { return filepath.Join(data, "openspine.db") }

func (n *Node) openKernel(ctx context.Context) error {
	url := n.cfg.Database
	if url == "" {
		url = DatabasePath(n.cfg.Data)
	}
	db, err := store.Open(ctx, url, store.Options{Clock: n.clock, Logger: n.log, VFS: n.vfs})
	if err != nil {
		return err
	}
	n.kernel.DB = db
	if err := db.Migrate(ctx, Schemas()...); err != nil {
		return err
	}
	national, err := ident.ParseODSCode(n.cfg.National)
	if err != nil {
		return err
	}
	defs := definition.R4()
	if len(n.cfg.Definitions) > 0 {
		if defs, err = definition.Load(defs, n.cfg.Definitions...); err != nil {
			return err
		}
	}
	account, err := audit.Open(db, filepath.Join(n.cfg.Data, "account"), audit.Options{Clock: n.clock, Logger: n.log})
	if err != nil {
		return err
	}
	options := access.Options{DB: db, Audit: account, Clock: n.clock, Logger: n.log, National: national}
	if n.cfg.Policies != "" {
		options.Policies = os.DirFS(n.cfg.Policies)
	}
	gate, err := access.Open(options)
	if err != nil {
		return err
	}
	records, err := record.Open(ctx, record.Options{DB: db, Clock: n.clock, Rand: n.rand, Limits: n.cfg.Limits.search()})
	if err != nil {
		return err
	}
	links, err := n.openNetwork(ctx, db, gate)
	if err != nil {
		return err
	}
	allow, err := outward.ParseAllow(n.cfg.Outward)
	if err != nil {
		return err
	}
	n.kernel = catalogue.Kernel{DB: db, Definitions: defs, Records: records, Gate: gate, Audit: account, Network: links, Clock: n.clock, Logger: n.log,
		National: national, Tenants: n.tenants, Organisation: n.organisation, Feed: func() *record.Feed { return n.feed }, Post: func() *messaging.Post { return n.post }, DiskLow: n.low.Load, BaseURL: n.URL, Outward: outward.Options{Allow: allow}, Limits: n.cfg.Limits.services()}
	n.runners = append(n.runners, runner{"account", account.Run}, runner{"refusals", n.kernel.Gate.Run}, runner{"space", n.watchSpace}, runner{"archive", n.keepArchiving}, runner{"network", links.Run})
	return nil
}

// Kernel is what the node's services stand on; for tools and tests that work beside them.
func (n *Node) Kernel() catalogue.Kernel { return n.kernel }

// Name is the node's own name.
func (n *Node) Name() string { return n.cfg.Name }

// Services are what the node runs.
func (n *Node) Services() []catalogue.Service { return n.services }

// hosts reports whether the node keeps the records of a tenant.
func (n *Node) hosts(tenant ident.ODSCode) bool {
	for _, t := range n.tenants {
		if t.Code == tenant {
			return true
		}
	}
	return false
}

// home is the organisation that an address without one means: the national one where it is kept, and at a hospital's node the hospital.
func (n *Node) home() ident.ODSCode {
	if n.hosts(n.kernel.National) {
		return n.kernel.National
	}
	return n.tenants[0].Code
}

// locate says where a resource is: in the record, or, for an AuditEvent, in the account of the person whom it is about.
func (n *Node) locate(ctx context.Context, tenant ident.ODSCode, typ, id string) (access.Place, error) {
	if typ == "AuditEvent" {
		return n.locateEntry(ctx, tenant, id)
	}
	return n.kernel.Records.Locate(ctx, record.Ref{Tenant: tenant, Type: typ, ID: id})
}

func (n *Node) locateEntry(ctx context.Context, tenant ident.ODSCode, id string) (access.Place, error) {
	place := access.Place{Tenant: tenant, Type: "AuditEvent", ID: id}
	e, err := n.kernel.Audit.ByID(ctx, id)
	if fault.Is(err, fault.NotFound) || err == nil && e.Tenant != tenant {
		return place, nil
	}
	if err != nil || e.Chart == "" {
		place.Exists = err == nil
		return place, err
	}
	person, err := n.locate(ctx, tenant, "Patient", e.Chart)
	place.Chart, place.Label, place.Exists = e.Chart, person.Label, true
	return place, err
}

// ServeHTTP answers one request, wherever it came in.
func (n *Node) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if n.cfg.Cookies != "" {
		w, r = apart(w, r, "-"+n.cfg.Cookies)
	}
	n.edge.ServeHTTP(w, r)
}

// Close seals what is not sealed yet and closes the data. It may be called again.
func (n *Node) Close() error {
	n.stop()
	var errs []error
	for _, l := range []net.Listener{n.plain, n.secure, n.figures, n.asked, n.linked} {
		if l != nil {
			if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
				errs = append(errs, err)
			}
		}
	}
	if n.asked != nil {
		if err := os.Remove(filepath.Join(n.cfg.Data, socketFile)); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
		n.asked = nil
	}
	if n.kernel.Records != nil {
		n.kernel.Records.Close()
	}
	if n.device != nil {
		errs = append(errs, n.device.Close())
		n.device = nil
	}
	if n.kernel.Audit != nil && n.kernel.Gate != nil {
		errs = append(errs, n.kernel.Gate.Summarise(context.Background(), true))
	}
	if n.kernel.Audit != nil {
		errs = append(errs, n.kernel.Audit.Close())
		n.kernel.Audit = nil
	}
	if n.kernel.DB != nil {
		errs = append(errs, n.kernel.DB.Close())
		n.kernel.DB = nil
	}
	errs = append(errs, n.folder.Release())
	return errors.Join(errs...)
}
