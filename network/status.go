package network

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
)

// Status is how a node's part in the network is.
type Status struct {
	Self          NodeID // zero while it belongs to no network
	Organisations []ident.ODSCode
	Authority     NodeID
	Addresses     []string // of the authority
	Until         time.Time
	RenewAt       time.Time
	Edition       int64 // of what it knows of roots and revocations
	Roots         []RootStatus
	Revoked       int // certificates known to hold no longer
	Links         []LinkStatus
	Alarms        []string
}

// RootStatus is a root that this node trusts.
type RootStatus struct {
	Fingerprint string
	Until       time.Time
}

// LinkStatus is how one link is.
type LinkStatus struct {
	Peer           NodeID
	Organisations  []ident.ODSCode
	State          State
	Since          time.Time
	Heard          time.Time // when the peer was last heard of; zero for never
	Latency        time.Duration
	Skew           time.Duration // by which the peer's clock is ahead
	SentRate       float64       // bytes a second, over the last whole minute
	ReceivedRate   float64
	Sent, Received int64 // bytes since the program started
	Requests       int64
	Failures       int64
	Backlog        Backlog // what waits here for the peer
	Theirs         Backlog // what waits there for this node
	LastError      string
	LastErrorAt    time.Time
	CertUntil      time.Time // of the peer's certificate; zero when none was seen
	Cut            *Cut
}

// SkewAlarm is from when on a difference of clocks is an alarm.
const SkewAlarm = 30 * time.Second

// Status says how this node's part in the network is, links by name.
func (n *Network) Status(ctx context.Context) (Status, error) {
	h := n.home.Load()
	if h == nil {
		return Status{}, nil
	}
	leaf, t := n.identity.Load().chain[0], n.trust.Load()
	s := Status{Self: h.Node, Organisations: n.Organisations(), Authority: h.Authority, Addresses: h.Addresses, Until: leaf.NotAfter, RenewAt: dueAt(leaf), Edition: t.edition, Revoked: len(t.revoked)}
	for _, r := range t.roots {
		s.Roots = append(s.Roots, RootStatus{fingerprint(r), r.NotAfter})
	}
	members, err := n.members(ctx)
	if err != nil {
		return s, err
	}
	for _, l := range n.allLinks() {
		n.backlog(ctx, l.peer.Load().Node)
		s.Links = append(s.Links, l.status().asMember(members))
	}
	slices.SortFunc(s.Links, func(a, b LinkStatus) int { return strings.Compare(a.Peer.s, b.Peer.s) })
	now := n.clock.Now()
	if left := leaf.NotAfter.Sub(now); left < ExpiryAlarm {
		s.Alarms = append(s.Alarms, fmt.Sprintf("The certificate of this node ends at %s and was not renewed.", stamp(leaf.NotAfter)))
	}
	for _, l := range s.Links {
		if l.State == StateUp && l.Skew.Abs() > SkewAlarm {
			s.Alarms = append(s.Alarms, fmt.Sprintf("The clock of %s is %s %s this node's.", l.Peer, l.Skew.Abs().Round(time.Second), aheadOrBehind(l.Skew)))
		}
	}
	officeAlarms(&s, members, now)
	return s, nil
}

// members are those of the network where the authority is kept; elsewhere none.
func (n *Network) members(ctx context.Context) ([]Member, error) {
	a := n.office.Load()
	if a == nil {
		return nil, nil
	}
	return a.Members(ctx)
}

// asMember is a link's status, or, of a node that is no member any more, that it is none, since when and why.
func (s LinkStatus) asMember(members []Member) LinkStatus {
	for _, m := range members {
		if m.Node == s.Peer && !m.Revoked.IsZero() {
			s.State, s.Since, s.LastError, s.LastErrorAt = StateRevoked, m.Revoked, m.Reason, m.Revoked
		}
	}
	return s
}

func aheadOrBehind(skew time.Duration) string {
	if skew > 0 {
		return "ahead of"
	}
	return "behind"
}

// officeAlarms are those that only the authority can give: certificates of members that end soon.
func officeAlarms(s *Status, members []Member, now time.Time) {
	soon := map[string]time.Time{}
	for _, m := range members {
		if m.Revoked.IsZero() && !m.Until.IsZero() && m.Until.Sub(now) < ExpiryAlarm && m.Until.Add(RenewGrace).After(now) {
			soon[m.Node.String()] = m.Until
		}
	}
	names := slices.Sorted(func(yield func(string) bool) {
		for name := range soon {
			if !yield(name) {
				return
			}
		}
	})
	const shown = 10
	for i, name := range names {
		if i == shown {
			s.Alarms = append(s.Alarms, fmt.Sprintf("%d further certificates end soon and were not renewed.", len(names)-shown))
			break
		}
		s.Alarms = append(s.Alarms, fmt.Sprintf("The certificate of %s ends at %s and was not renewed: see whether the node runs.", name, stamp(soon[name])))
	}
}

// status is how a link is.
func (l *link) status() LinkStatus {
	carried := l.carried()
	p := l.peer.Load()
	s := LinkStatus{Peer: p.Node, Organisations: p.Organisations, Sent: carried.sent, Received: carried.received, Requests: carried.requests, Failures: carried.failures}
	if cut, ok := l.n.cutOf(p.Node); ok {
		s.Cut = &cut
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s.State, s.Since, s.Heard, s.Latency, s.Skew = l.state, l.since, l.beaten, l.latency, l.skew
	s.SentRate, s.ReceivedRate = l.rate[0], l.rate[1]
	s.Backlog, s.Theirs, s.LastError, s.LastErrorAt, s.CertUntil = l.ours, l.theirs, l.err, l.errAt, l.held.until
	if s.Cut != nil && s.State == StateNever { // cut before the program started
		s.State, s.Since, s.LastError, s.LastErrorAt = StateCut, s.Cut.At, fault.MessageOf(s.Cut.fault(p.Node)), s.Cut.At
	}
	return s
}

// Link is how the link to one peer is. Errors: fault.NotFound.
func (n *Network) Link(ctx context.Context, peer NodeID) (LinkStatus, error) {
	l := n.link(peer)
	if l == nil {
		return LinkStatus{}, errNoLink(peer)
	}
	members, err := n.members(ctx)
	if err != nil {
		return LinkStatus{}, err
	}
	n.backlog(ctx, peer)
	return l.status().asMember(members), nil
}
