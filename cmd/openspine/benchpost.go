package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"embed"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/network"
	"github.com/openspine/openspine/store"
)

//go:embed bench/*.sql
var benchFiles embed.FS

// postBench measures the post: within one node, or between two over TLS on loopback.
type postBench struct {
	c        *benchCommand
	dir      string
	from, to *postNode
	mu       sync.Mutex
	learnt   []string             // since the last turn
	begun    map[string]time.Time // when the transaction that sends began
	took     []time.Duration
	counted  time.Time // from when on it counts
	done     *sync.Cond
	over     int
}

// postNode is one node under measurement: a database and its post.
type postNode struct {
	db     *store.DB
	post   *messaging.Post
	server *http.Server
	client *http.Client
	peers  map[network.NodeID]string
	name   network.NodeID
	org    ident.ODSCode
	stop   func() error
}

// Do carries a request over TLS on loopback.
func (n *postNode) Do(ctx context.Context, to network.NodeID, r *http.Request) (*http.Response, error) {
	base, known := n.peers[to]
	if !known {
		return nil, fault.New(fault.Unavailable, "there is no link to %s", to)
	}
	req, err := http.NewRequestWithContext(ctx, r.Method, base+r.URL.Path, r.Body)
	if err != nil {
		return nil, err
	}
	req.Header, req.ContentLength = r.Header, r.ContentLength
	resp, err := n.client.Do(req)
	return resp, fault.Wrap(err, fault.Unavailable, "the peer is not reached")
}

// messages measures the post and prints: messages a second, and from the beginning of a transaction that sends until the sender's node
// durably has it that the message was handled.
func (c *benchCommand) messages(s *session) error {
	dir, err := os.MkdirTemp(c.Data, "openspine-post-*")
	if err != nil {
		return err
	}
	b := &postBench{c: c, dir: dir, begun: map[string]time.Time{}}
	b.done = sync.NewCond(&b.mu)
	err = b.run(s)
	return errors.Join(err, os.RemoveAll(dir))
}

func (b *postBench) run(s *session) error {
	disk, err := fsyncRate(b.dir)
	if err != nil {
		return err
	}
	if b.from, err = b.node(s.ctx, "X26"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.from.stop()) }()
	b.to = b.from
	if b.c.Between {
		if b.to, err = b.node(s.ctx, "RQX"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, b.to.stop()) }()
		if err := b.join(s.ctx); err != nil {
			return err
		}
	}
	if b.c.Backlog > 0 {
		if err := b.backlog(s); err != nil {
			return err
		}
	}
	if b.c.File > 0 {
		return b.file(s)
	}
	r := b.load(s.ctx)
	r.Name, r.Target, r.FsyncPerSec = "messages", b.from.db.Engine(), disk
	if r.Note += fmt.Sprintf(", %.0f MB of memory", memory()); b.c.Between {
		r.Note = "between two nodes over TLS, " + r.Note
	}
	return r.print(s.stdout, b.c.JSON)
}

// memory is what the program holds, in MB.
func memory() float64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc) / (1 << 20)
}

// node makes a node whose handler does one row for each message.
func (b *postBench) node(ctx context.Context, name string) (*postNode, error) {
	n := &postNode{name: network.MustNodeID(name), org: ident.MustODSCode(name), peers: map[network.NodeID]string{}}
	url := filepath.Join(b.dir, name+".db")
	if b.c.Database != "" && name == "X26" {
		url = b.c.Database
	}
	var err error
	if n.db, err = store.Open(ctx, url, store.Options{}); err != nil {
		return nil, err
	}
	if err := n.db.Migrate(ctx, messaging.Schema(), store.Embedded("bench", benchFiles, "bench")); err != nil {
		return nil, errors.Join(err, n.db.Close())
	}
	return n, b.begin(ctx, n)
}

// begin starts a node's post.
func (b *postBench) begin(ctx context.Context, n *postNode) (err error) {
	n.post, err = messaging.New(ctx, messaging.Options{DB: n.db, Carrier: n, Tenants: []ident.ODSCode{n.org, ident.MustODSCode("Y90001")}, Turned: b.turned}, []messaging.Handler{{
		Workflow: "bench",
		Handle: func(_ context.Context, tx *store.Tx, m messaging.Message) error {
			return tx.Queue(`INSERT INTO bench_deed (lane, id, size) VALUES (?, ?, ?)`, n.post.LaneOf(m.To, m.Conversation), m.ID, len(m.Body))
		},
		Lanes: func(m messaging.Message) []store.Lane { return []store.Lane{n.post.LaneOf(m.To, m.Conversation)} },
		Learn: func(_ context.Context, _ *store.Tx, r messaging.Receipt) error {
			if r.State == messaging.Handled {
				b.mu.Lock()
				b.learnt = append(b.learnt, r.ID)
				b.mu.Unlock()
			}
			return nil
		},
	}})
	if err != nil {
		return err
	}
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() { ended <- n.post.Run(running) }()
	n.stop = func() error {
		cancel()
		err := <-ended
		if n.server != nil {
			err = errors.Join(err, n.server.Close())
		}
		return errors.Join(err, n.db.Close())
	}
	return nil
}

// turned is told of each turn: what was learnt in it is durable now.
func (b *postBench) turned(_ messaging.Work, _ error) {
	now := time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, id := range b.learnt {
		began, known := b.begun[id]
		if !known {
			continue // learnt twice, for a transaction was run again; or before its sender knew the id
		}
		delete(b.begun, id)
		b.over++
		if !b.counted.IsZero() && began.After(b.counted) {
			b.took = append(b.took, now.Sub(began))
		}
	}
	b.learnt = b.learnt[:0]
	b.done.Broadcast()
}

// load sends from many clients, as fast as they can or at a rate, and waits for each message to come to its end: each client keeps a few under way.
func (b *postBench) load(ctx context.Context) result {
	body := make([]byte, 4<<10)
	_, _ = io.ReadFull(rand.Reader, body)
	start := time.Now()
	b.mu.Lock()
	b.counted = start.Add(b.c.Warmup)
	b.mu.Unlock()
	end := start.Add(b.c.Warmup + b.c.Duration)
	runs := make([]clientRun, b.c.Clients)
	var wg sync.WaitGroup
	spent := processor()
	for i := range b.c.Clients {
		wg.Go(func() {
			pause := time.Duration(0)
			if b.c.Rate > 0 {
				pause = time.Duration(float64(time.Second) * float64(b.c.Clients) / float64(b.c.Rate))
			}
			for next := start.Add(pause * time.Duration(i) / time.Duration(b.c.Clients)); ctx.Err() == nil && time.Now().Before(end); next = next.Add(pause) {
				time.Sleep(time.Until(next))
				if err := b.send(ctx, fmt.Sprintf("conversation %d", i), body); err != nil {
					runs[i].errors++
					runs[i].first = err.Error()
				}
			}
		})
	}
	wg.Wait()
	b.mu.Lock()
	for len(b.begun) > 0 && ctx.Err() == nil {
		b.done.Wait()
	}
	runs[0].took = b.took
	b.mu.Unlock()
	r := sum(runs, time.Since(start)-b.c.Warmup, b.c.Clients)
	r.Processor = perOperation(processor()-spent, b.over)
	r.Note = "4 KB, durable before acknowledged, sent until handled and known to the sender"
	return r
}

// send sends one message, unless too many are under way: then it waits for them.
func (b *postBench) send(ctx context.Context, conversation string, body []byte) error {
	b.mu.Lock()
	for len(b.begun) > 4096 && ctx.Err() == nil {
		b.done.Wait()
	}
	b.mu.Unlock()
	began := time.Now()
	var id string
	to := b.to.org
	if b.to == b.from {
		to = ident.MustODSCode("Y90001")
	}
	return b.from.db.Write(ctx, []store.Lane{b.from.post.LaneOf(b.from.org, conversation)}, func(tx *store.Tx) (err error) {
		if id, err = b.from.post.Send(ctx, tx, messaging.Message{From: b.from.org, To: to, Workflow: "bench", Conversation: conversation, Body: body}); err != nil {
			return err
		}
		b.mu.Lock()
		b.begun[id] = began
		b.mu.Unlock()
		return nil
	})
}

// backlog lets messages pile up for a node that is not reached, starts the post anew over them, and says what that took.
func (b *postBench) backlog(s *session) error {
	dead := ident.MustODSCode("RDEAD")
	if err := b.from.db.Write(s.ctx, nil, func(tx *store.Tx) error {
		return b.from.post.SetRoute(tx, messaging.Route{Recipient: dead, To: messaging.ToNode(network.MustNodeID("RDEAD"))})
	}); err != nil {
		return err
	}
	body, began := make([]byte, 1<<10), time.Now()
	before := memory()
	const each = 500
	for n := 0; n < b.c.Backlog; n += each {
		if err := b.from.db.Write(s.ctx, []store.Lane{b.from.post.LaneOf(b.from.org, "backlog")}, func(tx *store.Tx) error {
			for range each {
				if _, err := b.from.post.Send(s.ctx, tx, messaging.Message{From: b.from.org, To: dead, Workflow: "bench", Conversation: "backlog", Body: body}); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return err
		}
	}
	fmt.Fprintf(s.stdout, "%d messages of 1 KB wait for a node that is not reached; sent in %s; memory %.1f MB before, %.1f MB after\n", b.c.Backlog, time.Since(began).Round(time.Millisecond), before, memory())
	if err := b.from.stop(); err != nil {
		return err
	}
	began = time.Now()
	var err error
	peers, client := b.from.peers, b.from.client
	if b.from, err = b.node(s.ctx, "X26"); err != nil {
		return err
	}
	b.from.peers, b.from.client = peers, client
	if !b.c.Between {
		b.to = b.from
	}
	lines, err := b.from.post.Backlogs(s.ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(s.stdout, "started again over them in %s; %+v wait\n", time.Since(began).Round(time.Millisecond), len(lines))
	return nil
}

// file sends one large file to the other node and waits until it is handled there.
func (b *postBench) file(s *session) error {
	size := int64(b.c.File) << 20
	before, most := memory(), 0.0
	stop, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		for {
			select {
			case <-stop:
				return
			case <-time.After(50 * time.Millisecond):
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				most = max(most, float64(m.HeapInuse)/(1<<20))
			}
		}
	}()
	began := time.Now()
	f, err := b.from.post.Store(s.ctx, io.LimitReader(rand.Reader, size), "scan.dcm", "application/dicom")
	if err != nil {
		return err
	}
	stored := time.Since(began)
	var id string
	if err := b.from.db.Write(s.ctx, []store.Lane{b.from.post.LaneOf(b.from.org, "")}, func(tx *store.Tx) error {
		id, err = b.from.post.Send(s.ctx, tx, messaging.Message{From: b.from.org, To: b.to.org, Workflow: "bench", Files: []messaging.File{f}})
		if err == nil {
			b.mu.Lock()
			b.begun[id] = began
			b.mu.Unlock()
		}
		return err
	}); err != nil {
		return err
	}
	b.mu.Lock()
	for len(b.begun) > 0 {
		b.done.Wait()
	}
	b.mu.Unlock()
	close(stop)
	<-watched
	_, err = fmt.Fprintf(s.stdout, "a file of %d MB: stored in %s, at the other node and handled after %s; memory %.1f MB before, %.1f MB at most\n",
		b.c.File, stored.Round(time.Millisecond), time.Since(began).Round(time.Millisecond), before, most)
	return err
}

// join joins the two nodes by TLS on loopback, with certificates of the moment.
func (b *postBench) join(ctx context.Context) error {
	for _, pair := range [][2]*postNode{{b.from, b.to}, {b.to, b.from}} {
		n, caller := pair[0], pair[1]
		cert, pool, err := momentary()
		if err != nil {
			return err
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		peer := network.Peer{Node: caller.name, Organisations: []ident.ODSCode{caller.org}}
		h := n.post.Handler()
		n.server = &http.Server{ReadHeaderTimeout: time.Minute, TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13},
			Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				h.ServeHTTP(w, r.WithContext(network.WithPeer(r.Context(), peer)))
			})}
		go func() { _ = n.server.ServeTLS(l, "", "") }() // ends when it is closed
		caller.peers[n.name] = "https://" + l.Addr().String()
		caller.client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS13}, ForceAttemptHTTP2: true}}
		if err := caller.db.Write(ctx, nil, func(tx *store.Tx) error {
			return caller.post.SetRoute(tx, messaging.Route{Recipient: n.org, To: messaging.ToNode(n.name)})
		}); err != nil {
			return err
		}
	}
	return nil
}

// momentary is a certificate for this run.
func momentary() (tls.Certificate, *x509.CertPool, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	t := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool, nil
}
