package messaging

import (
	"cmp"
	"context"
	"hash/fnv"
	"strings"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/network"
	"github.com/openspine/openspine/store"
)

// Destination is where messages go: an organisation kept here, another node, or what a Courier serves.
type Destination struct {
	Kind string // "here", "node", or a courier's
	Name string // the organisation's code, the node's name, or whatever the courier makes of it
}

// String is the kind and the name.
func (d Destination) String() string { return d.Kind + " " + d.Name }

// The kinds that are the post's own. Nowhere is where messages from peers end that nobody here can take: they are refused, and kept to be seen.
const (
	kindHere    = "here"
	kindNode    = "node"
	kindNowhere = "nowhere"
)

func kinds(k string) bool { return k == kindHere || k == kindNode || k == kindNowhere }

// ToNode is the destination that another node is.
func ToNode(n network.NodeID) Destination { return Destination{kindNode, n.String()} }

// Courier delivers to destinations of one kind of its own: a mailbox, an address elsewhere. It is data, like a Handler.
type Courier struct {
	Kind string
	// Workflow, where there is one, is the courier's on this node: what comes in it for an organisation kept here goes to the destination {Kind, the organisation}
	// unless a route says otherwise, instead of to a Handler.
	Workflow string
	// Owner looks after what cannot be delivered.
	Owner string
	// Tries is how often a message is tried until it is parked; 8 by default.
	Tries int
	// Place puts a message where the recipient finds it, in a transaction, once in effect. Lanes are those that it needs beside the
	// message's own. What it says of failures is as for Handler.Handle.
	Place func(ctx context.Context, tx *store.Tx, to Destination, m Message) error
	Lanes func(to Destination, m Message) []store.Lane
	// Carry takes a message to a system elsewhere, outside any transaction; it may be asked to again for the same Message.ID when the
	// node stops before the outcome is kept. fault.Unavailable, Timeout and TooMany mean that the destination is not reached: everything for it waits, and nothing
	// is counted against the message.
	Carry func(ctx context.Context, to Destination, m Message) error
	// Of is whose a destination is, for those who let somebody name one; nil where that cannot be said. Error: fault.NotFound for one that is not there, or cannot be delivered to here.
	Of func(ctx context.Context, to Destination) (ident.ODSCode, error)
	// Ask is Carry to a system that answers: what it says is told to the sender's Learn, on whichever node that is.
	Ask func(ctx context.Context, to Destination, m Message) (answer []byte, err error)
}

// ways is how many ways to deliver a courier has; it must be one.
func (c *Courier) ways() (n int) {
	for _, has := range []bool{c.Place != nil, c.Carry != nil, c.Ask != nil} {
		if has {
			n++
		}
	}
	return n
}

// away reports whether it takes messages elsewhere, outside any transaction.
func (c *Courier) away() bool { return c.Carry != nil || c.Ask != nil }

// carry takes a message elsewhere.
func (c *Courier) carry(ctx context.Context, to Destination, m Message) (answer []byte, err error) {
	if c.Ask != nil {
		return c.Ask(ctx, to, m)
	}
	return nil, c.Carry(ctx, to, m)
}

// queue is a destination as the post numbers it. For a node there is one for each of our lives, whose stream it is.
type queue struct {
	id          int64
	to          Destination
	life        int64
	incarnation string
}

// hashOf is a positive number for some words.
func hashOf(words ...string) int64 {
	h := fnv.New64a()
	for _, w := range words {
		_, _ = h.Write([]byte(w)) // a hash never fails
		_, _ = h.Write([]byte{0})
	}
	return int64(h.Sum64()&(1<<63-1)) | 1 //nolint:gosec // 63 bits
}

// queueOf is the queue of a destination in this life.
func (p *Post) queueOf(to Destination) queue {
	q := queue{to: to}
	if to.Kind == kindNode {
		q.life, q.incarnation = p.life, p.db.Incarnation()
	}
	q.id = hashOf(to.Kind, to.Name, q.incarnation)
	if p.o.Seams.SameNumbers {
		q.id, q.incarnation = hashOf(to.Kind, to.Name), "same"
	}
	return q
}

// intern writes a queue down the first time that it is met.
func (p *Post) intern(tx *store.Tx, q queue) error {
	p.mu.Lock()
	_, known := p.queues[q.id]
	p.mu.Unlock()
	if known {
		return nil
	}
	_, err := tx.Exec(`INSERT INTO post_queue (lane, queue, kind, name, life, incarnation) VALUES (0, ?, ?, ?, ?, ?) ON CONFLICT (lane, queue) DO NOTHING`,
		q.id, q.to.Kind, q.to.Name, q.life, q.incarnation)
	return err // remembered only when it is read back: this transaction may yet fail
}

// queue is the queue with an id.
func (p *Post) queue(tx *store.Tx, id int64) (queue, error) {
	p.mu.Lock()
	q, known := p.queues[id]
	p.mu.Unlock()
	if known {
		return q, nil
	}
	q.id = id
	err := tx.QueryRow(`SELECT kind, name, life, incarnation FROM post_queue WHERE lane = 0 AND queue = ?`, id).Scan(&q.to.Kind, &q.to.Name, &q.life, &q.incarnation)
	return q, fault.Wrap(err, fault.KindOf(err), "there is no such queue")
}

// remember keeps a queue in memory that is known to be durable.
func (p *Post) remember(q queue) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queues) < 100_000 {
		p.queues[q.id] = q
	}
}

// work is what is to be done when a message is put into the queue.
func (q queue) work(lane store.Lane) Work {
	if q.to.Kind == kindNode {
		peer, err := network.ParseNodeID(q.to.Name)
		if err == nil {
			return Work{Peer: peer}
		}
	}
	return Work{Queue: q.id, Lane: lane}
}

// Route is where the post of an organisation goes that is not kept here, or not as such.
type Route struct {
	Recipient ident.ODSCode // zero for every organisation that has no route of its own and is not kept here
	Workflow  string        // empty for all
	To        Destination
	At        time.Time
	Actor     string // who set it
}

type routeKey struct {
	recipient ident.ODSCode
	workflow  string
}

// routeBook is the routes as they were read last.
type routeBook struct {
	read    time.Time
	known   map[routeKey]Destination
	edition int // counts the changes of routes: what was read before one is not kept after it
}

// routesAnew is how old the routes in memory may be.
const routesAnew = 2 * time.Second

// route finds where a message goes: by the recipient and workflow, by the recipient, by being kept here, by the route for everybody else.
func (p *Post) route(tx *store.Tx, to ident.ODSCode, workflow string) (Destination, error) {
	known, err := p.routesIn(tx)
	if err != nil {
		return Destination{}, err
	}
	for _, key := range []routeKey{{to, workflow}, {to, ""}} {
		if d, ok := known[key]; ok {
			return d, nil
		}
	}
	if p.tenants[to] {
		for _, c := range p.couriers {
			if c.Workflow != "" && c.Workflow == workflow {
				return Destination{c.Kind, to.String()}, nil
			}
		}
		return Destination{kindHere, to.String()}, nil
	}
	if d, ok := known[routeKey{}]; ok {
		return d, nil
	}
	if p.o.Directions != nil {
		if node, err := p.o.Directions(to); err == nil {
			return ToNode(node), nil
		}
	}
	return Destination{}, fault.New(fault.NotFound, "Nobody is known to keep the post of %s: its node, mailbox or address must be entered first.", to)
}

// Whose is the organisation to which a destination belongs. Error: fault.NotFound when it is not there, or nobody can say.
func (p *Post) Whose(ctx context.Context, to Destination) (ident.ODSCode, error) {
	c := p.couriers[to.Kind]
	if c == nil || c.Of == nil {
		return ident.ODSCode{}, fault.New(fault.NotFound, "Nobody can say whose the %s %s is.", to.Kind, to.Name)
	}
	return c.Of(ctx, to)
}

// Way is where a message would go that was sent now. Error: fault.NotFound when nobody keeps the recipient's post.
func (p *Post) Way(ctx context.Context, to ident.ODSCode, workflow string) (d Destination, err error) {
	err = p.db.Read(ctx, func(tx *store.Tx) error {
		d, err = p.route(tx, to, workflow)
		return err
	})
	return d, err
}

func (p *Post) routesIn(tx *store.Tx) (map[routeKey]Destination, error) {
	now := p.clock.Now()
	p.mu.Lock()
	book := p.routes
	p.mu.Unlock()
	if age := now.Sub(book.read); book.known != nil && age >= 0 && age < routesAnew {
		return book.known, nil
	}
	list, err := routesOf(tx)
	if err != nil {
		return nil, err
	}
	known := make(map[routeKey]Destination, len(list))
	for _, r := range list {
		known[routeKey{r.Recipient, r.Workflow}] = r.To
	}
	p.mu.Lock()
	if p.routes.edition == book.edition {
		p.routes.read, p.routes.known = now, known
	}
	p.mu.Unlock()
	return known, nil
}

func routesOf(tx *store.Tx) ([]Route, error) {
	rows, err := tx.Query(`SELECT recipient, workflow, kind, name, at, actor FROM post_route WHERE lane = 0 ORDER BY recipient, workflow`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []Route
	for rows.Next() {
		var r Route
		var recipient string
		if err := rows.Scan(&recipient, &r.Workflow, &r.To.Kind, &r.To.Name, &r.At, &r.Actor); err != nil {
			return nil, err
		}
		if recipient != "" {
			if r.Recipient, err = ident.ParseODSCode(recipient); err != nil {
				return nil, err
			}
		}
		list = append(list, r)
	}
	return list, rows.Err()
}

// Routes lists the routes, by recipient and workflow.
func (p *Post) Routes(ctx context.Context) (list []Route, err error) {
	err = p.db.Read(ctx, func(tx *store.Tx) error {
		list, err = routesOf(tx)
		return err
	})
	return list, err
}

// SetRoute says where the post of r.Recipient goes from now on, as part of tx, which must hold lane 0; what was sent before goes where it was sent.
// Errors: fault.Invalid when there is no such kind of destination.
func (p *Post) SetRoute(tx *store.Tx, r Route) error {
	if (kinds(r.To.Kind) && r.To.Kind != kindNode) || (!kinds(r.To.Kind) && p.couriers[r.To.Kind] == nil) {
		return fault.New(fault.Invalid, "Post goes to a node or to one of the kinds of destination of this node; %q is neither.", r.To.Kind)
	}
	if r.To.Kind == kindNode {
		if _, err := network.ParseNodeID(r.To.Name); err != nil {
			return err
		}
	}
	if len(r.Workflow) > MaxWorkflow || strings.TrimSpace(r.To.Name) == "" {
		return fault.New(fault.Invalid, "A route needs the name of its destination.")
	}
	_, err := tx.Exec(`INSERT INTO post_route (lane, recipient, workflow, kind, name, at, actor) VALUES (0, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (lane, recipient, workflow) DO UPDATE SET kind = excluded.kind, name = excluded.name, at = excluded.at, actor = excluded.actor`,
		r.Recipient.String(), r.Workflow, r.To.Kind, r.To.Name, tx.At(), r.Actor)
	p.forgetRoutes(tx)
	return err
}

// DropRoute takes a route away, as part of tx, which must hold lane 0. Errors: fault.NotFound.
func (p *Post) DropRoute(tx *store.Tx, recipient ident.ODSCode, workflow string) error {
	n, err := tx.Exec(`DELETE FROM post_route WHERE lane = 0 AND recipient = ? AND workflow = ?`, recipient.String(), workflow)
	if err == nil && n == 0 {
		return fault.New(fault.NotFound, "There is no such route.")
	}
	p.forgetRoutes(tx)
	return err
}

// forgetRoutes has the routes read anew: by tx itself from now on, and by everybody once it is done, since who reads meanwhile reads those of before.
func (p *Post) forgetRoutes(tx *store.Tx) {
	forget := func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.routes = routeBook{edition: p.routes.edition + 1}
	}
	forget()
	tx.Then(forget)
}

// owner is who looks after a message that its queue cannot deal with.
func (p *Post) owner(q queue, l *letter) string {
	if c := p.couriers[q.to.Kind]; c != nil {
		return cmp.Or(c.Owner, l.From.String())
	}
	if h := p.handlers[l.Workflow]; h != nil && h.Owner != "" {
		return h.Owner
	}
	return l.To.String()
}
