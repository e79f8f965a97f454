package node

import (
	"context"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/network"
	"github.com/openspine/openspine/store"
)

// openPost prepares the post, with what the services handle and deliver, and has it carried by the network.
func (n *Node) openPost(ctx context.Context) error {
	var handlers []messaging.Handler
	var couriers []messaging.Courier
	for _, s := range n.services {
		handlers, couriers = append(handlers, s.Handles...), append(couriers, s.Couriers...)
	}
	handlers = n.together(handlers)
	var tenants []ident.ODSCode
	for _, t := range n.tenants {
		tenants = append(tenants, t.Code)
	}
	links := n.kernel.Network
	post, err := messaging.New(ctx, messaging.Options{DB: n.kernel.DB, Clock: n.clock, Logger: n.log, Rand: n.rand, Carrier: links, Directions: n.elsewhere, Tenants: tenants, Account: n.kernel.Audit}, handlers, couriers...)
	if err != nil {
		return err
	}
	n.post = post
	links.Handle("/messages/", post.Handler())
	links.Up(post.Reached)
	if n.hosts(n.kernel.National) {
		n.answerPeers()
	}
	links.Measure(func(ctx context.Context, peer network.NodeID) (network.Backlog, error) {
		w, err := post.Waiting(ctx, peer)
		return network.Backlog{Messages: w.Messages, Bytes: w.Bytes, Oldest: w.Oldest}, err
	})
	n.runners = append(n.runners, runner{"post", post.Run})
	return nil
}

// together makes one handler of those that two services have for one workflow: on a node that keeps the spine and a hospital, what one sends the other handles. A
// message to the spine goes to the service that runs on the national node alone, which comes first in the list; so does the receipt of one that the spine sent.
func (n *Node) together(all []messaging.Handler) (list []messaging.Handler) {
	at := map[string]int{}
	for _, h := range all {
		i, there := at[h.Workflow]
		if !there {
			at[h.Workflow] = len(list)
			list = append(list, h)
			continue
		}
		list[i] = n.either(list[i], h)
	}
	return list
}

// either is the handler of two sides: the spine's, and everybody else's.
func (n *Node) either(spine, other messaging.Handler) messaging.Handler {
	h, national := spine, n.kernel.National
	side := func(org ident.ODSCode) messaging.Handler {
		if org == national {
			return spine
		}
		return other
	}
	h.Lanes = func(m messaging.Message) []store.Lane {
		if f := side(m.To).Lanes; f != nil {
			return f(m)
		}
		return nil
	}
	h.Handle = func(ctx context.Context, tx *store.Tx, m messaging.Message) error {
		if f := side(m.To).Handle; f != nil {
			return f(ctx, tx, m)
		}
		return messaging.Refuse("%s handles no messages of the workflow %s.", m.To, m.Workflow)
	}
	h.LearnLanes = func(m messaging.Message) []store.Lane {
		if f := side(m.From).LearnLanes; f != nil {
			return f(m)
		}
		return nil
	}
	h.Learn = func(ctx context.Context, tx *store.Tx, r messaging.Receipt) error {
		if f := side(r.From).Learn; f != nil {
			return f(ctx, tx, r)
		}
		return nil
	}
	return h
}

// elsewhere is the other node to which the post of an organisation goes.
func (n *Node) elsewhere(org ident.ODSCode) (network.NodeID, error) {
	to, err := n.kernel.Network.Route(org)
	if err == nil && to == n.kernel.Network.Self() {
		err = fault.New(fault.NotFound, "this node speaks for %s and does not keep its post", org)
	}
	return to, err
}

// prunePost drops what ended longer ago than backups reach back.
func (n *Node) prunePost(ctx context.Context) error { return n.post.Prune(ctx) }

// postSum is how the post is, for metrics.
type postSum struct{ waiting, parked, oldest float64 }

// posted sums up what waits.
func (n *Node) posted() (sum postSum) {
	list, err := n.post.Backlogs(context.Background())
	if err != nil {
		n.log.Warn("what waits in the post cannot be counted", "cause", err)
		return sum
	}
	now := n.clock.Now()
	for _, b := range list {
		sum.waiting += float64(b.Waiting + b.Held)
		sum.parked += float64(b.Parked)
		if !b.Oldest.IsZero() {
			sum.oldest = max(sum.oldest, now.Sub(b.Oldest).Seconds())
		}
	}
	return sum
}
