// Package network is what carries post and questions between the nodes of a country: what N3 once was.
//
// A node joins with a token that is good once, and from then on has a certificate of the programme's own authority, short-lived and
// renewed by itself. A hospital's node only dials out; the national node answers on the connection that the hospital dialled, and asks
// the hospital over another one that the hospital dialled for that. No hospital opens a door to the outside.
//
//	hospital node ──dials──▶ national node
//	   asks    ── HTTP/2 over mutual TLS 1.3 ──▶   answers
//	   answers ◀── HTTP/2 on a second connection ── asks
//
//	token ──join──▶ certificate ──two thirds of its life──▶ renewed ──▶ …
//	                     └──revoked: links closed, every request refused
//
// Losing a link loses nothing: what must not be lost is messaging's to keep, and is sent again. What only the other side holds
// is asked for with Call, which is on both nodes' accounts and never kept.
package network

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
)

// NodeID names a node for ever: the ODS code of the organisation that runs it and, when that one runs several, a full stop and a label,
// as in RQX or RQX.theatres. The zero value is no node.
type NodeID struct{ s string }

// maxLabel bounds the label of a node.
const maxLabel = 24

// ParseNodeID reads a node's name: an ODS code, with or without a full stop and a label of up to 24 small letters, digits and hyphens.
// Errors: fault.Invalid.
func ParseNodeID(s string) (NodeID, error) {
	code, label, labelled := strings.Cut(s, ".")
	org, err := ident.ParseODSCode(code)
	if err != nil {
		return NodeID{}, fault.Wrap(err, fault.Invalid, "a node is named by its organisation's ODS code, as in RQX, or RQX.theatres: %s", fault.MessageOf(err))
	}
	if !labelled {
		return NodeID{org.String()}, nil
	}
	if label == "" || len(label) > maxLabel {
		return NodeID{}, fault.New(fault.Invalid, "the label of a node, after the full stop, has 1 to %d characters", maxLabel)
	}
	for i := range len(label) {
		if c := label[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return NodeID{}, fault.New(fault.Invalid, "the label of a node, after the full stop, holds small letters, digits and hyphens only")
		}
	}
	return NodeID{org.String() + "." + label}, nil
}

// MustNodeID is ParseNodeID for a literal; it panics on a wrong one.
func MustNodeID(s string) NodeID {
	id, err := ParseNodeID(s)
	if err != nil {
		panic(err)
	}
	return id
}

// String is the name.
func (n NodeID) String() string { return n.s }

// IsZero reports that there is no node.
func (n NodeID) IsZero() bool { return n.s == "" }

// Organisation is whose node it is.
func (n NodeID) Organisation() ident.ODSCode {
	code, _, _ := strings.Cut(n.s, ".")
	org, err := ident.ParseODSCode(code)
	if err != nil {
		return ident.ODSCode{} // the zero NodeID
	}
	return org
}

// MarshalText is the name.
func (n NodeID) MarshalText() ([]byte, error) { return []byte(n.s), nil }

// UnmarshalText is ParseNodeID; an empty text is none.
func (n *NodeID) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*n = NodeID{}
		return nil
	}
	id, err := ParseNodeID(string(b))
	if err == nil {
		*n = id
	}
	return err
}

// Peer is the node at the other end, as its certificate says.
type Peer struct {
	Node NodeID
	// Organisations are those that the node may speak for, its own first. What it says in another's name is refused.
	Organisations []ident.ODSCode
	// Authority is whether it is the node that keeps the programme's certificates.
	Authority bool
}

// Speaks reports whether the node may speak for an organisation.
func (p Peer) Speaks(org ident.ODSCode) bool { return slices.Contains(p.Organisations, org) }

type peerKey struct{}

// WithPeer marks a request's context with the node that it came from. Network does it for requests that come over a link, and a
// carrier made for tests for its own.
func WithPeer(ctx context.Context, p Peer) context.Context {
	return context.WithValue(ctx, peerKey{}, p)
}

// PeerFrom is the node that a request came from; false when it came over no link.
func PeerFrom(ctx context.Context) (Peer, bool) {
	p, ok := ctx.Value(peerKey{}).(Peer)
	return p, ok
}

// Carrier carries one request to a peer over whatever connection there is.
type Carrier interface {
	// Do sends r to a peer and returns the answer as soon as it begins. Only method, path, query, header and body of r count. The body of
	// the request leaves, and that of the answer comes, as it is read; whoever gets an answer closes its body. When ctx ends, so does the
	// exchange, at both ends; its deadline holds at the peer as well, however the clocks differ.
	// Errors: fault.Unavailable when there is no link to the peer or it breaks, fault.Timeout when the deadline passes. Whether
	// the peer did what it was asked is then not known. A status of 4xx or 5xx is an answer, not an error.
	Do(ctx context.Context, to NodeID, r *http.Request) (*http.Response, error)
}
