package county

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/demographics"
	"github.com/openspine/openspine/directory"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir/definition"
	"github.com/openspine/openspine/hospital"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/network"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/referral"
	"github.com/openspine/openspine/store"
)

// node is the spine, or a hospital, with a database and an account of its own.
type node struct {
	code  ident.ODSCode
	lines *lines

	db       *store.DB
	k        catalogue.Kernel
	post     *messaging.Post
	answers  http.Handler // what peers ask
	refer    *referral.Referrals
	clinics  *hospital.Outpatients
	services []catalogue.Service
	stop     func() error // ends what runs beside
}

func (n *node) id() network.NodeID { return network.MustNodeID(n.code.String()) }

// open puts the kernel and the node's services on a database of its own. It is to be closed, also after an error.
func (n *node) open(c *county) (err error) {
	ctx, log := c.ctx, slog.New(slog.DiscardHandler)
	if n.db, err = store.Open(ctx, filepath.Join(c.o.Folder, n.code.String()+".db"), store.Options{Clock: c.clock, Fleeting: true}); err != nil {
		return err
	}
	if err := n.db.Migrate(ctx, audit.Schema(), access.Schema(), messaging.Schema(), record.Schema()); err != nil {
		return err
	}
	keys := filepath.Join(c.o.Folder, n.code.String()+"-account")
	account, err := audit.Open(n.db, keys, audit.Options{Clock: c.clock, Logger: log})
	if err != nil {
		return err
	}
	n.k.Audit = account
	gate, err := access.Open(access.Options{DB: n.db, Audit: account, Clock: c.clock, Logger: log, National: national})
	if err != nil {
		return err
	}
	records, err := record.Open(ctx, record.Options{DB: n.db, Clock: c.clock})
	if err != nil {
		return err
	}
	kind := "hospital"
	if n.code == national {
		kind = "national"
	}
	n.k = catalogue.Kernel{DB: n.db, Definitions: definition.R4(), Records: records, Gate: gate, Audit: account, Clock: c.clock, Logger: log, National: national,
		Tenants:      []catalogue.Tenant{{Code: n.code, Name: n.code.String(), Kind: kind}},
		Organisation: func(_ context.Context, code ident.ODSCode) string { return code.String() },
		Services:     func() []catalogue.Service { return n.services }, Post: func() *messaging.Post { return n.post }}
	if err := n.assemble(ctx, keys); err != nil {
		return err
	}
	return n.connect(ctx)
}

// assemble makes the services on the kernel.
func (n *node) assemble(ctx context.Context, keys string) error {
	if n.code == national {
		// The register's events are where a change of a referral is noted for whoever asked to be told.
		register := demographics.New(n.k, demographics.Options{Data: keys, Demo: true}).Service()
		if err := n.db.Migrate(ctx, directory.Schema(), referral.Schema(), register.Schema); err != nil {
			return err
		}
		places := directory.New(n.k, true)
		n.refer = referral.New(n.k, places, referral.Options{})
		n.services = []catalogue.Service{places.Service(), n.refer.Service()}
	} else {
		if err := n.db.Migrate(ctx, hospital.Schema()); err != nil {
			return err
		}
		n.clinics = hospital.New(n.k)
		n.services = []catalogue.Service{n.clinics.Service()}
	}
	for _, s := range n.services {
		n.k.Records.Keep(s.Keeps...)
	}
	return n.k.Records.Behind(ctx)
}

// connect gives the node its post, with lines to the others.
func (n *node) connect(ctx context.Context) (err error) {
	var handlers []messaging.Handler
	for _, s := range n.services {
		handlers = append(handlers, s.Handles...)
	}
	n.post, err = messaging.New(ctx, messaging.Options{DB: n.db, Clock: n.k.Clock, Carrier: n, Tenants: []ident.ODSCode{n.code}, Account: n.k.Audit}, handlers)
	if err != nil {
		return err
	}
	n.answers = n.post.Handler()
	routes := []messaging.Route{{To: messaging.ToNode(network.MustNodeID(national.String()))}}
	if n.code == national {
		routes = routes[:0]
		for _, h := range hospitals {
			routes = append(routes, messaging.Route{Recipient: h, To: messaging.ToNode(network.MustNodeID(h.String()))})
		}
	}
	return n.db.Write(ctx, []store.Lane{0}, func(tx *store.Tx) error {
		for _, r := range routes {
			if err := n.post.SetRoute(tx, r); err != nil {
				return err
			}
		}
		return nil
	})
}

// hasten reports whether something waits for a peer, and has it tried at once: after a turn that failed the post lets some time pass, and here none does.
func (n *node) hasten(ctx context.Context) (waits bool, err error) {
	var streams, notes int64
	err = n.db.Read(ctx, func(tx *store.Tx) error {
		err := tx.QueryRow(`SELECT count(*) FROM post_stream s JOIN post_queue q ON q.lane = 0 AND q.queue = s.queue WHERE q.kind = 'node' AND s.next > s.done + 1`).Scan(&streams)
		if err == nil {
			err = tx.QueryRow(`SELECT count(*) FROM (SELECT 1 FROM post_note LIMIT 1) n`).Scan(&notes)
		}
		return err
	})
	if err != nil || streams+notes == 0 {
		return false, err
	}
	for _, peer := range n.lines.nodes {
		if peer != n {
			n.post.Reached(peer.id())
		}
	}
	return true, nil
}

// runs lets the account be sealed and the post be turned beside everything else, until the node is closed: that seals the rest, and closes the account.
func (n *node) runs(ctx context.Context) {
	ctx, end := context.WithCancel(context.WithoutCancel(ctx))
	var all errgroup.Group
	all.Go(func() error { return n.k.Audit.Run(ctx) })
	all.Go(func() error { return n.post.Run(ctx) })
	n.stop = func() error {
		end()
		return all.Wait()
	}
}

// close ends the node; the posts of all nodes must have ended before, for they ask one another.
func (n *node) close() (err error) {
	if n.k.Records != nil {
		n.k.Records.Close()
	}
	if n.stop == nil && n.k.Audit != nil {
		err = n.k.Audit.Close()
	}
	if n.db != nil {
		err = errors.Join(err, n.db.Close())
	}
	return err
}

// lines are the links between the nodes, in memory: what is asked is answered, and nothing is lost. What the post does with lines that fail is proved in package bookings.
type lines struct {
	nodes        []*node
	began, ended atomic.Int64 // requests
	lose         atomic.Int64 // how many of the next are lost, in a test
}

// quiet reports whether nobody asks, and how many asked until now.
func (l *lines) quiet() (asked int64, quiet bool) {
	ended := l.ended.Load()
	asked = l.began.Load()
	return asked, asked == ended
}

// Do is network.Carrier's.
func (n *node) Do(ctx context.Context, to network.NodeID, r *http.Request) (*http.Response, error) {
	n.lines.began.Add(1)
	defer n.lines.ended.Add(1)
	if n.lines.lose.Add(-1) >= 0 {
		return nil, fault.New(fault.Unavailable, "the request was lost")
	}
	for _, peer := range n.lines.nodes {
		if peer.id() != to {
			continue
		}
		from := network.Peer{Node: n.id(), Organisations: []ident.ODSCode{n.code}, Authority: n.code == national}
		a := &answer{status: http.StatusOK, header: http.Header{}}
		peer.answers.ServeHTTP(a, r.WithContext(network.WithPeer(ctx, from)))
		return &http.Response{StatusCode: a.status, Header: a.header, Body: io.NopCloser(&a.body)}, nil
	}
	return nil, fault.New(fault.Unavailable, "there is no node %s", to)
}

// answer is what a node answers, in memory.
type answer struct {
	status int
	header http.Header
	body   bytes.Buffer
}

// Header is http.ResponseWriter's.
func (a *answer) Header() http.Header { return a.header }

// WriteHeader is http.ResponseWriter's.
func (a *answer) WriteHeader(status int) { a.status = status }

// Write is http.ResponseWriter's.
func (a *answer) Write(b []byte) (int, error) { return a.body.Write(b) }
