package network

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/clock"
	"github.com/openspine/openspine/store"
)

// Options are what a node's network is given.
type Options struct {
	DB     *store.DB
	Gate   *access.Gate
	Clock  clock.Clock
	Rand   io.Reader // of serials, secrets and jitter; crypto/rand by default
	Logger *slog.Logger
	// Folder is where the node keeps its keys; nothing else is kept there.
	Folder string
	// Dial opens a connection to an address; by default over TCP.
	Dial func(ctx context.Context, address string) (net.Conn, error)
	// Keys keep the authority's keys; files in Folder by default. Keys that stand in files yet go on signing until a rollover replaces them.
	Keys   Keys
	Timing Timing
}

// Timing says how long the network waits for what. Zero fields have their defaults.
type Timing struct {
	Beat        time.Duration // between two beats of a link; 5 s
	Answer      time.Duration // for a beat, a handshake, a renewal; 10 s
	First, Last time.Duration // pauses before dialling again: the first, and the longest; 500 ms and 30 s
	Stall       time.Duration // for the next byte of an exchange that has begun; 60 s
	Wait        time.Duration // for an answer to begin, when the caller sets no deadline; 5 min
	Drain       time.Duration // for exchanges on a connection that another has replaced; 30 s
	Session     time.Duration // after which a connection is replaced by a new one; 12 h
	Life        time.Duration // of certificates; CertificateLife
}

func (t Timing) withDefaults() Timing {
	t.Beat = cmp.Or(t.Beat, 5*time.Second)
	t.Answer = cmp.Or(t.Answer, 10*time.Second)
	t.First = cmp.Or(t.First, 500*time.Millisecond)
	t.Last = cmp.Or(t.Last, 30*time.Second)
	t.Stall = cmp.Or(t.Stall, time.Minute)
	t.Wait = cmp.Or(t.Wait, 5*time.Minute)
	t.Drain = cmp.Or(t.Drain, 30*time.Second)
	t.Session = cmp.Or(t.Session, 12*time.Hour)
	t.Life = cmp.Or(t.Life, CertificateLife)
	return t
}

// Network is one node's part in the network. Open makes it, Run runs it.
type Network struct {
	opt      Options
	timing   Timing
	clock    clock.Clock
	log      *slog.Logger
	files    folder
	instance string // of this run of the program

	joining  sync.Mutex
	home     atomic.Pointer[home]
	identity atomic.Pointer[identity]
	trust    atomic.Pointer[trust]
	office   atomic.Pointer[Authority]
	joined   chan struct{} // closed once the node belongs to a network

	listener net.Listener
	mux      *http.ServeMux
	served   chan net.Conn  // connections to answer on
	stopped  chan struct{}  // closed when no more are answered
	serving  sync.WaitGroup // what goes on beside; see aside
	asides   sync.Mutex
	over     bool

	mu      sync.Mutex
	links   map[NodeID]*link
	conns   map[*conn]struct{}
	cuts    map[NodeID]Cut
	poke    chan struct{} // beat at once
	recut   chan struct{} // closed when a cut is made or healed
	ups     []func(NodeID)
	measure func(context.Context, NodeID) (Backlog, error)
	begun   time.Time
	shakes  chan struct{} // handshakes at once
	doors   chan struct{} // who joins, at once
}

// Bounds of what strangers and peers can make a node hold.
const (
	shakesAtOnce  = 128
	doorsAtOnce   = 32
	streamsAtOnce = 100       // exchanges at once on one connection
	streamBytes   = 256 << 10 // that one exchange holds unread
	connBytes     = 4<<20 - 1 // that all uploads of one connection hold unread
	headerBytes   = 64 << 10
)

// Open reads who this node is, if it belongs to a network. Nothing is dialled or answered before Run.
func Open(ctx context.Context, o Options) (*Network, error) {
	if o.Clock == nil {
		o.Clock = clock.System()
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Dial == nil {
		var d net.Dialer
		o.Dial = func(ctx context.Context, address string) (net.Conn, error) { return d.DialContext(ctx, "tcp", address) }
	}
	n := &Network{opt: o, timing: o.Timing.withDefaults(), clock: o.Clock, log: o.Logger, files: folder(o.Folder), mux: http.NewServeMux(),
		joined: make(chan struct{}), served: make(chan net.Conn), stopped: make(chan struct{}), links: map[NodeID]*link{}, conns: map[*conn]struct{}{},
		cuts: map[NodeID]Cut{}, begun: o.Clock.Now(), poke: make(chan struct{}, 1), recut: make(chan struct{}), shakes: make(chan struct{}, shakesAtOnce), doors: make(chan struct{}, doorsAtOnce)}
	var err error
	if n.instance, err = randomHex(o.Rand, 8); err != nil {
		return nil, err
	}
	if n.opt.Keys == nil {
		n.opt.Keys = fileKeys{n.files}
	} else {
		n.opt.Keys = movingKeys{n.opt.Keys, fileKeys{n.files}}
	}
	if err := n.loadCuts(ctx); err != nil {
		return nil, err
	}
	if err := n.settle(ctx); err != nil && !fault.Is(err, fault.NotFound) {
		return nil, err
	}
	return n, nil
}

// settle reads the node's files, once it belongs to a network. Errors: fault.NotFound while it does not.
func (n *Network) settle(ctx context.Context) error {
	h, err := n.files.readHome()
	if err != nil {
		return err
	}
	id, err := n.files.readIdentity()
	if err != nil {
		return fault.Wrap(err, fault.Unavailable, "%s", fault.MessageOf(err))
	}
	t, err := n.files.readTrust(h.Edition)
	if err != nil {
		return fault.Wrap(err, fault.Unavailable, "%s", fault.MessageOf(err))
	}
	if h.Authority == h.Node {
		a := n.newAuthority()
		if err := a.load(ctx); err != nil {
			return err
		}
		if a.issuer.Load() != nil {
			if err := a.catchUp(ctx); err != nil {
				n.log.Error("what is revoked could not be put on the list that other nodes go by; here it holds", "cause", err)
			}
		}
		t = a.known.Load()
		if len(t.roots) == 0 {
			return fault.New(fault.Unavailable, "this node keeps the authority of the network, and its database knows no root: restore it from a backup")
		}
		a.changed = n.learn
		n.office.Store(a)
		members, err := a.Members(ctx)
		if err != nil {
			return err
		}
		for _, m := range members {
			if m.Node != h.Node {
				n.linkTo(Peer{Node: m.Node, Organisations: m.Organisations})
			}
		}
	} else {
		n.linkTo(Peer{Node: h.Authority, Organisations: []ident.ODSCode{h.Authority.Organisation()}, Authority: true})
	}
	n.identity.Store(&id)
	n.trust.Store(t)
	if n.home.Swap(&h) == nil {
		close(n.joined)
	}
	return nil
}

func (n *Network) newAuthority() *Authority {
	return &Authority{db: n.opt.DB, gate: n.opt.Gate, clock: n.clock, rand: n.opt.Rand, files: n.files, keys: n.opt.Keys, life: n.timing.Life, lane: n.lane()}
}

func (n *Network) lane() store.Lane { return n.opt.DB.LaneOf("", "network") }

// Self is this node; the zero NodeID while it belongs to no network.
func (n *Network) Self() NodeID {
	if h := n.home.Load(); h != nil {
		return h.Node
	}
	return NodeID{}
}

// Organisations are those that this node speaks for, as its certificate says; none while it belongs to no network.
func (n *Network) Organisations() []ident.ODSCode {
	id := n.identity.Load()
	if id == nil {
		return nil
	}
	p, err := peerOf(id.chain[0])
	if err != nil {
		return nil
	}
	return p.Organisations
}

// Authority is the programme's authority, where it is kept. Errors: fault.NotFound elsewhere; the message says where it is.
func (n *Network) Authority() (*Authority, error) {
	if a := n.office.Load(); a != nil {
		return a, nil
	}
	if h := n.home.Load(); h != nil {
		return nil, fault.New(fault.NotFound, "The authority of this network is at %s: ask there.", h.Authority)
	}
	return nil, fault.New(fault.NotFound, "This node belongs to no network yet: found one with openspine network init, or join one with openspine network join.")
}

// Handle serves requests that come over links, by a pattern of net/http's ServeMux. Every request has its Peer in its context. Paths under /network/
// are the network's own. Handle is called before Run.
func (n *Network) Handle(pattern string, h http.Handler) { n.mux.Handle(pattern, h) }

// Up has fn called, in a goroutine of its own, each time a link comes up. It is called before Run.
func (n *Network) Up(fn func(NodeID)) { n.ups = append(n.ups, fn) }

// Backlog is what waits to go to a peer.
type Backlog struct {
	Messages int64     `json:"messages"`
	Bytes    int64     `json:"bytes"`
	Oldest   time.Time `json:"oldest,omitzero"` // when the oldest that is not acknowledged was sent; zero when none waits
}

// Measure has fn asked what waits for a peer. It is called before Run.
func (n *Network) Measure(fn func(context.Context, NodeID) (Backlog, error)) { n.measure = fn }

// Route is the node to which what is for an organisation goes: this one when it speaks for it, the member that does so where the authority is, and
// elsewhere the authority's node, which knows. Errors: fault.NotFound when nobody speaks for it, fault.Unavailable while this node belongs to no network.
func (n *Network) Route(org ident.ODSCode) (NodeID, error) {
	h := n.home.Load()
	if h == nil {
		return NodeID{}, fault.New(fault.Unavailable, "This node belongs to no network yet.")
	}
	if slices.Contains(n.Organisations(), org) {
		return h.Node, nil
	}
	if h.Node != h.Authority {
		return h.Authority, nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	var found NodeID
	for id, l := range n.links {
		// When two nodes speak for one organisation, the one that is named by it is meant, else the first by name.
		if l.peer.Load().Speaks(org) && (found.IsZero() || id.s < found.s) {
			found = id
		}
	}
	if found.IsZero() {
		return found, fault.New(fault.NotFound, "No node of this network speaks for %s.", org)
	}
	return found, nil
}

// HeardOf is when the node that speaks for an organisation was last heard of; of one that was not since this program began, when it began. It is false for what this node speaks for
// itself, for what no node does, and while this node belongs to no network: there is nobody to be heard of.
func (n *Network) HeardOf(org ident.ODSCode) (time.Time, bool) {
	to, err := n.Route(org)
	if err != nil || to == n.Self() {
		return time.Time{}, false
	}
	l := n.link(to)
	if l == nil {
		return n.begun, true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.beaten.Before(n.begun) {
		return n.begun, true
	}
	return l.beaten, true
}

// Run keeps the links until ctx ends, and returns when everything that it began has ended.
func (n *Network) Run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	server := n.server()
	var group sync.WaitGroup
	failed := make(chan error, 1)
	group.Go(func() {
		if err := server.Serve(feed{n}); !errors.Is(err, http.ErrServerClosed) && ctx.Err() == nil {
			failed <- err
			stop()
		}
	})
	if n.listener != nil {
		group.Go(func() { n.accept(ctx) })
	}
	group.Go(func() { n.tend(ctx) })
	group.Go(func() { n.chronicle(ctx) })
	group.Go(func() { n.dialOut(ctx) })
	<-ctx.Done()
	close(n.stopped)
	quit, cancel := context.WithTimeout(context.WithoutCancel(ctx), n.timing.Answer/2)
	defer cancel()
	if err := server.Shutdown(quit); err != nil {
		_ = server.Close() // what is still being answered is cut short
	}
	n.closeAll()
	group.Wait()
	n.asides.Lock()
	n.over = true
	n.asides.Unlock()
	n.serving.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

// aside does something beside, which Run waits for. After Run it is left undone.
func (n *Network) aside(do func()) {
	n.asides.Lock()
	defer n.asides.Unlock()
	if !n.over {
		n.serving.Go(do)
	}
}

// Listen has links answered at l, which Run closes.
func (n *Network) Listen(l net.Listener) { n.listener = l }

// closeAll closes every connection.
func (n *Network) closeAll() {
	n.mu.Lock()
	all := make([]*conn, 0, len(n.conns))
	for c := range n.conns {
		all = append(all, c)
	}
	n.mu.Unlock()
	for _, c := range all {
		_ = c.end(errStopping)
	}
}

var errStopping = errors.New("the node is stopping")

// Do is Carrier's, over the link that there is.
func (n *Network) Do(ctx context.Context, to NodeID, r *http.Request) (*http.Response, error) {
	if r.Header.Get(askerHeader) != "" {
		return nil, fault.New(fault.Internal, "who asks in somebody's name uses Call")
	}
	return n.carry(ctx, to, r)
}

func (n *Network) carry(ctx context.Context, to NodeID, r *http.Request) (*http.Response, error) {
	l := n.link(to)
	if l == nil {
		return nil, fault.Wrap(errNoLink(to), fault.Unavailable, "This node has no link to %s.", to)
	}
	c, err := l.caller()
	if err != nil {
		return nil, err
	}
	return c.do(ctx, l, r)
}

func (n *Network) link(to NodeID) *link {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.links[to]
}

// linkTo is the link to a peer, made when there is none, with what the peer's certificate says now.
func (n *Network) linkTo(p Peer) *link {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := n.links[p.Node]
	if l == nil {
		l = newLink(n, p)
		n.links[p.Node] = l
	}
	l.peer.Store(&p)
	return l
}

var _ Carrier = (*Network)(nil)
