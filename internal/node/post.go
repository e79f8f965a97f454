package node

import (
	"context"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/network"
)

// openPost prepares the post, with what the services handle and deliver, and has it carried by the network.
func (n *Node) openPost(ctx context.Context) error {
	var handlers []messaging.Handler
	var couriers []messaging.Courier
	for _, s := range n.services {
		handlers, couriers = append(handlers, s.Handles...), append(couriers, s.Couriers...)
	}
	handlers = messaging.Together(handlers, n.kernel.National)
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
