// Package messaging is the post between organisations: what one sends another is never lost, never handled twice, and never
// rests where nobody owns it.
//
// Sending is part of the sender's transaction; handling is part of the recipient's. Between them lie a queue for each destination
// and, where the recipient is kept by another node, that node's queue. The sender always learns what became of a message.
//
//	Send ──▶ accepted ──▶ delivered ──▶ handled
//	            │             ├───────▶ refused    (the recipient says why)
//	            │             ├───────▶ parked ──▶ a person retries, redirects or abandons it, with a reason
//	            ├─────────────┴───────▶ expired    (its time was up)
//	            └──▶ abandoned, redirected          (by a person, before anything was sent)
//
// Accepted: the sender's transaction is durable. Delivered: it is in the queue of the node that keeps or forwards the recipient's
// post. Handled: what the handler did is durable.
//
// # The promises
//
//   - A message is handled once in effect, whatever crashes, is cut, comes late or comes twice, also when either side is restored
//     from a backup (docs/decisions/0019).
//   - The messages of a conversation (same sender, recipient and conversation) are handled in the order of the commits that sent them. One that cannot be
//     handled holds up its conversation and nothing else. Without a conversation a message waits for no other.
//   - A destination that is dead or slow delays no other.
//   - Nothing is "being processed": a crash leaves each message accepted, delivered or ended.
//   - What nobody can handle is parked with its reason, an owner and an age, until a person decides.
//
// The engine does one turn of work at a time (Post.Turn) and has no goroutine of its own; Run is what turns it in a node, and package
// simulate what turns it under a fake clock, over a network and a disk that fail.
package messaging

import (
	"context"
	"crypto/rand"
	"embed"
	"encoding/binary"
	"io"
	"log/slog"
	mathrand "math/rand/v2"
	"sync"
	"time"

	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/clock"
	"github.com/openspine/openspine/network"
	"github.com/openspine/openspine/store"
)

//go:embed schema/*.sql
var schemaFS embed.FS

// Schema is what the post keeps in the database.
func Schema() store.Schema { return store.Embedded("messaging", schemaFS, "schema") }

// Limits of a message. Whatever is larger goes as a File.
const (
	MaxBody         = 256 << 10 // bytes
	MaxWorkflow     = 100
	MaxConversation = 200
	MaxFiles        = 1000
	maxFilesBytes   = 1 << 16 // of the list of a message's files, as it is written
)

// Message is one piece of post.
type Message struct {
	ID       string // 18 letters and digits, the same wherever the message goes; Send gives it
	From, To ident.ODSCode
	// Workflow names what the message is for, for example referral.booked; its Handler is found by it.
	Workflow string
	// Conversation is what must be kept in order, for example the referral's number; empty for a message that stands alone.
	Conversation string
	Body         []byte // MaxBody at most
	Files        []File // what is too large for a body: each is whole in the recipient's node before the message is handled
	At           time.Time
	Expires      time.Time // when it is of no more use; zero for never. Send takes the workflow's time to live where it is zero.
}

// File is a large payload that travels beside its message. See Post.Store and Post.Open.
type File struct {
	Hash [32]byte // SHA-256 of its bytes
	Size int64
	Name string
	Type string // MIME type
}

// State is what has become of a message.
type State uint8

// The states of a message. Those from Handled on, Parked aside, are final.
const (
	Accepted State = iota + 1
	Delivered
	Parked
	Handled
	Refused
	Expired
	Abandoned
	Redirected
	states
)

// Final reports whether nothing more will happen to the message.
func (s State) Final() bool { return s >= Handled }

// String is the state's name in small letters.
func (s State) String() string {
	names := [states]string{"", "accepted", "delivered", "parked", "handled", "refused", "expired", "abandoned", "redirected"}
	if s >= states {
		s = 0
	}
	return names[s]
}

// States lists them in the order of a message's life.
func States() []State {
	return []State{Accepted, Delivered, Parked, Handled, Refused, Expired, Abandoned, Redirected}
}

// Handler is how messages of one workflow are handled. It is data: services declare theirs in catalogue.Service.Handles.
type Handler struct {
	Workflow string
	// Owner is who looks after what cannot be handled, for example "the booking office of the recipient".
	Owner string
	// TTL is the time to live of messages sent in this workflow; zero means that they do not expire.
	TTL time.Duration
	// Tries is how often a message is tried until it is parked; 8 by default.
	Tries int
	// Compares says that the two ends compare what they know by themselves, so that what neither node holds any more after restores of both
	// is given up at once, and nobody must decide about it; so is a message of which a restore has lost a file.
	Compares bool
	// Lanes are those that Handle needs beside the message's own, which is LaneOf the recipient and the conversation when it came
	// from another node, and the sender's otherwise; nil means none.
	Lanes func(m Message) []store.Lane
	// Handle does what the message asks, through tx alone. It must not keep m.Body. A fault made by Refuse is told to the sender and
	// ends the message, one made by Wait is tried again until it can be handled; any other is tried again, and parked in the end. nil means that this node only sends the workflow.
	Handle func(ctx context.Context, tx *store.Tx, m Message) error
	// Learn is told in the sender's node what became of a message, in a transaction that holds LaneOf(From, Conversation) and what LearnLanes
	// names; the body is empty. It is told of each state at most once, and always of the final one, but for states passed meanwhile. nil means that
	// the sender need not know.
	Learn      func(ctx context.Context, tx *store.Tx, r Receipt) error
	LearnLanes func(m Message) []store.Lane
}

// Receipt is what became of a message.
type Receipt struct {
	Message
	State  State
	At     time.Time // when it came to be so, by the clock of the node where it did
	Reason string    // of a refusal, a parking, or a person
	Answer []byte    // of the system elsewhere that handled it (Courier.Ask), whichever node asked it, in the final receipt; at most MaxBody. A restore may lose it, never the receipt
}

// refusal is a handler's no.
type refusal struct{ err error }

func (r refusal) Error() string { return r.err.Error() }
func (r refusal) Unwrap() error { return r.err }

// Refuse is what a handler returns to say no for good: the sender is told why.
func Refuse(format string, args ...any) error {
	return refusal{fault.New(fault.Unprocessable, format, args...)}
}

// waits is a failure that passes by itself.
type waits struct{ err error }

func (w waits) Error() string { return w.err.Error() }
func (w waits) Unwrap() error { return w.err }

// Wait is what a handler returns when it cannot handle a message yet and will be able to without anybody's doing, however long that takes: it is tried again, and never parked.
func Wait(err error) error { return waits{err} }

// Options say how a node's post is run.
type Options struct {
	DB    *store.DB
	Clock clock.Clock
	// Logger is told of what people should know; never of what a message holds or whom it is about.
	Logger *slog.Logger
	// Rand is where ids come from, and Jitter what spreads retries (0 to 1); by default the system's.
	Rand   io.Reader
	Jitter func() float64
	// Carrier carries requests to peers; nil means that there are none.
	Carrier network.Carrier
	// Directions say which node keeps or passes on the post of an organisation for which there is no route of our own; nil means none.
	Directions func(ident.ODSCode) (network.NodeID, error)
	// Turned is told of each turn that Run has made, for measures; what it did is durable. nil means that nobody is.
	Turned func(Work, error)
	// Tenants are the organisations whose post this node keeps.
	Tenants []ident.ODSCode
	// Account is where what people decide is entered; without it they can decide nothing.
	Account Account
	// Batch is how many messages one turn takes; 256 by default.
	Batch int
	// Keep is how long what was sent to peers is kept so that it can be sent again to one restored from a backup: longer than any
	// backup is kept, 35 days by default.
	Keep time.Duration
	// Chunk is how many bytes of a file one row holds; 256 KB by default. A database that holds files keeps the one that it began with.
	Chunk int64
	// Retry is the first pause after a failure, doubled each time up to RetryMost; 2 seconds and 10 minutes by default.
	Retry, RetryMost time.Duration
	// Seams make the post forget one of its duties, for proofs that the simulator or a test notices. Never set in a node.
	Seams Seams
}

// Seams are the duties that a test takes away, one at a time.
type Seams struct {
	NoMark      bool // a peer's message is taken whatever the mark says
	AckFirst    bool // a message counts as handled in a transaction before that in which its handler runs
	NoOrder     bool // a conversation is not held up by its failed message
	NoRewind    bool // what a restored peer lost is not sent again
	NoTurns     bool // an old note undoes a newer one
	NoTried     bool // what was tried is not kept before trying
	SameNumbers bool // a restored sender goes on numbering the old stream
	NoPassAnew  bool // what an earlier life passed on under another number is left as it is
	// what a person redirected, in days that a restore has lost, waits here as well
	NoRedirected bool
	NoFiles      bool // a message does not wait for its files
	KeepTwice    bool // a file that is here already is kept once more
	NoRefetch    bool // files to be passed on are not fetched any more once the next node has lost what was tried
}

// Account is where an entry is made in the transaction of the act it tells of; audit.Log is one.
type Account interface {
	Append(tx *store.Tx, lane store.Lane, e audit.Entry) (int64, error)
}

// Post is the post of one node. It is safe for use by many goroutines.
type Post struct {
	o        Options
	db       *store.DB
	clock    clock.Clock
	log      *slog.Logger
	tenants  map[ident.ODSCode]bool
	handlers map[string]*Handler
	couriers map[string]*Courier
	life     int64     // which life of the database this is, counted from 1
	lifeAt   time.Time // when it began

	mu       sync.Mutex
	routes   routeBook
	queues   map[int64]queue
	peers    map[network.NodeID]*peerState
	rung     map[Work]bool
	bell     chan struct{}
	watched  []chan struct{}
	fetching map[[32]byte]bool // files under way
}

// New prepares the post of a node, whose database has the Schema, with what its services declare.
// Errors: fault.Internal for handlers that are not sound.
func New(ctx context.Context, o Options, handlers []Handler, couriers ...Courier) (*Post, error) {
	o = o.withDefaults()
	p := &Post{
		o: o, db: o.DB, clock: o.Clock, log: o.Logger, tenants: map[ident.ODSCode]bool{}, handlers: map[string]*Handler{}, couriers: map[string]*Courier{},
		queues: map[int64]queue{}, peers: map[network.NodeID]*peerState{}, rung: map[Work]bool{}, bell: make(chan struct{}, 1), fetching: map[[32]byte]bool{},
	}
	for _, t := range o.Tenants {
		p.tenants[t] = true
	}
	if err := p.declare(handlers, couriers); err != nil {
		return nil, err
	}
	if err := p.begin(ctx); err != nil {
		return nil, err
	}
	return p, nil
}

func (o Options) withDefaults() Options {
	if o.Clock == nil {
		o.Clock = clock.System()
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.Jitter == nil {
		o.Jitter = mathrand.Float64
	}
	if o.Batch <= 0 {
		o.Batch = 256
	}
	if o.Keep <= 0 {
		o.Keep = 35 * 24 * time.Hour
	}
	if o.Chunk <= 0 {
		o.Chunk = 256 << 10
	}
	if o.Retry <= 0 {
		o.Retry = 2 * time.Second
	}
	if o.RetryMost <= 0 {
		o.RetryMost = 10 * time.Minute
	}
	return o
}

func (p *Post) declare(handlers []Handler, couriers []Courier) error {
	for i := range handlers {
		h := handlers[i]
		if h.Workflow == "" || len(h.Workflow) > MaxWorkflow || p.handlers[h.Workflow] != nil {
			return fault.New(fault.Internal, "a handler needs a workflow of its own: %q", h.Workflow)
		}
		if h.Tries <= 0 {
			h.Tries = 8
		}
		p.handlers[h.Workflow] = &h
	}
	for i := range couriers {
		c := couriers[i]
		if c.Kind == "" || kinds(c.Kind) || p.couriers[c.Kind] != nil || c.ways() != 1 {
			return fault.New(fault.Internal, "a courier needs a kind of its own and one way to deliver: %q", c.Kind)
		}
		if c.Tries <= 0 {
			c.Tries = 8
		}
		p.couriers[c.Kind] = &c
	}
	return nil
}

// begin notes the life that the database is in.
func (p *Post) begin(ctx context.Context) error {
	return p.db.Write(ctx, nil, func(tx *store.Tx) error {
		var last int64
		if err := tx.QueryRow(`SELECT coalesce(max(life), 0) FROM post_life WHERE lane = 0`).Scan(&last); err != nil {
			return err
		}
		p.life = last
		if last > 0 {
			var incarnation string
			if err := tx.QueryRow(`SELECT incarnation, at FROM post_life WHERE lane = 0 AND life = ?`, last).Scan(&incarnation, &p.lifeAt); err != nil {
				return err
			}
			if incarnation == p.db.Incarnation() || p.o.Seams.SameNumbers {
				return nil
			}
		}
		p.life, p.lifeAt = last+1, tx.At()
		// What a backup says of what was tried is old: all that it holds may have been sent.
		if _, err := tx.Exec(`UPDATE post_stream SET tried = next - 1`); err != nil {
			return err
		}
		if _, err := tx.Exec(`UPDATE post_peer SET retell = 1 WHERE lane = 0 AND latest = 1`); err != nil {
			return err
		}
		_, err := tx.Exec(`INSERT INTO post_life (lane, life, incarnation, at) VALUES (0, ?, ?, ?)`, p.life, p.db.Incarnation(), tx.At())
		return err
	})
}

// LaneOf is the lane that a transaction must hold to send from an organisation in a conversation.
func (p *Post) LaneOf(from ident.ODSCode, conversation string) store.Lane {
	return p.db.LaneOf(from.String(), conversation)
}

// alphabet is Crockford's base 32 in small letters.
const alphabet = "0123456789abcdefghjkmnpqrstvwxyz"

// newID is 18 letters and digits that sort by the time they were given, of which nine are random.
func (p *Post) newID(at time.Time) (string, error) {
	var random [8]byte
	if _, err := io.ReadFull(p.o.Rand, random[:]); err != nil {
		return "", fault.Wrap(err, fault.Internal, "no randomness for an id")
	}
	var id [18]byte
	ms, n := at.UnixMilli(), binary.LittleEndian.Uint64(random[:])
	for i := 8; i >= 0; i-- {
		id[i] = alphabet[ms&31]
		ms >>= 5
	}
	for i := 17; i >= 9; i-- {
		id[i] = alphabet[n&31]
		n >>= 5
	}
	return string(id[:]), nil
}

// backoff is how long to wait after so many failures: doubled each time up to a bound, and spread over half of that.
func (p *Post) backoff(tries int) time.Duration {
	d := min(p.o.Retry<<min(tries-1, 20), p.o.RetryMost)
	if d <= 0 {
		d = p.o.RetryMost
	}
	return d/2 + time.Duration(p.o.Jitter()*float64(d/2))
}

// beyond is later than any pause from now on can end: what is due then was put off by a clock that has since been set back, and is due.
func (p *Post) beyond(now time.Time) time.Time { return now.Add(2 * p.o.RetryMost) }

// isDue reports whether a time has come.
func (p *Post) isDue(t time.Time) bool {
	now := p.clock.Now()
	return !now.Before(t) || t.After(p.beyond(now))
}
