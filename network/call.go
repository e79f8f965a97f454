package network

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
)

// Question is asked of a peer in somebody's name, for what only the other side holds: a document, an image, a person in its register.
type Question struct {
	To      NodeID
	Request *http.Request
	// What says in a few words, without a person's number, what is asked for: it stands on both accounts.
	What string
	// By asks. When the question is about a person in a chart of this node, Grant is what opened it, and the entry stands in that chart.
	By    access.Principal
	Grant access.Grant
	// Within is for how long the exchange may go on, at both ends: ten minutes at most.
	Within time.Duration
}

// What Call and Answer put on the account.
const (
	actAsk    = "ask"
	actAnswer = "answer"
)

const (
	maxCall  = 10 * time.Minute
	maxAsker = 4 << 10
	maxWhat  = 200

	maxRequestID = 64
)

// asker is who asks, as the asking node says.
type asker struct {
	ID           string        `json:"id"`
	Name         string        `json:"name"`
	Role         access.Role   `json:"role"`
	Organisation ident.ODSCode `json:"organisation"`
	Request      string        `json:"request,omitempty"`
}

// askingRoles are those in whose name a node may ask another one.
func askingRoles() []access.Role {
	return []access.Role{access.Clinician, access.Clerk, access.Pharmacist, access.SystemClient}
}

// Call asks a peer in somebody's name. That it was asked is on this node's account before the question leaves, and on the peer's before the answer does. Nothing is
// kept or tried again: whoever needs the answer asks again. Whoever gets one closes its body, within the time.
// Errors: those of Carrier.Do; fault.Forbidden in the name of an organisation that this node does not speak for, or in a role that may not ask.
func (n *Network) Call(ctx context.Context, q Question) (*http.Response, error) {
	switch {
	case q.Within <= 0 || q.Within > maxCall:
		return nil, fault.New(fault.Internal, "a call needs a time, of ten minutes at most")
	case q.What == "" || len(q.What) > maxWhat:
		return nil, fault.New(fault.Internal, "a call needs a few words for the account")
	case !slices.Contains(askingRoles(), q.By.Role):
		return nil, fault.New(fault.Forbidden, "In your role nobody asks other organisations.")
	case !slices.Contains(n.Organisations(), q.By.Organisation):
		return nil, fault.New(fault.Forbidden, "This node does not speak for %s.", q.By.Organisation)
	}
	text, err := json.Marshal(asker{q.By.ID, q.By.Name, q.By.Role, q.By.Organisation, access.RequestID(ctx)})
	if err != nil {
		return nil, err
	}
	if err := n.noteAsking(ctx, q); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, q.Within)
	r := q.Request.Clone(ctx)
	if r.Header == nil {
		r.Header = http.Header{}
	}
	r.Header.Set(askerHeader, base64.RawURLEncoding.EncodeToString(text))
	resp, err := n.carry(ctx, q.To, r)
	if err != nil {
		cancel()
		return nil, err
	}
	resp.Body = &ending{resp.Body, cancel}
	return resp, nil
}

// ending is a body with which the exchange's time ends.
type ending struct {
	body interface {
		Read(p []byte) (int, error)
		Close() error
	}
	cancel context.CancelFunc
}

// Read gives the next part.
func (e *ending) Read(p []byte) (int, error) { return e.body.Read(p) }

// Close ends the exchange.
func (e *ending) Close() error {
	defer e.cancel()
	return e.body.Close()
}

// noteAsking puts a question on this node's account: in the chart that it is about, or with who asks.
func (n *Network) noteAsking(ctx context.Context, q Question) error {
	gate, detail := n.opt.Gate, q.What+", of "+q.To.String()
	if q.Grant.Valid() {
		place := q.Grant.Place()
		return n.opt.DB.Write(ctx, []store.Lane{gate.NoteLane(q.Grant, place)}, func(tx *store.Tx) error {
			return gate.Note(tx, q.Grant, place, actAsk, detail)
		})
	}
	return n.opt.DB.Write(ctx, []store.Lane{gate.DeedLane(q.By)}, func(tx *store.Tx) error {
		return gate.Record(ctx, tx, q.By, access.Deed{Action: actAsk, Basis: "network", Detail: detail})
	})
}

// Answer serves questions that peers ask with Call, by a pattern of net/http's ServeMux. h is told who asks, as a principal of the asking organisation whose id begins with the
// asking node's name; what they may see is for this node's own rules to say. That they asked is on the account before h is called; a question in the name of an organisation that the peer does not speak
// for is refused, on the account. What h returns as an error is told to the peer when nothing has been written yet. Answer is called before Run.
func (n *Network) Answer(pattern, what string, h func(w http.ResponseWriter, r *http.Request, by access.Principal) error) {
	n.Handle(pattern, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peer, ok := PeerFrom(r.Context())
		if !ok {
			Refuse(w, fault.New(fault.Unauthenticated, "a question over no link"))
			return
		}
		by, request, err := askerOf(peer, r.Header.Get(askerHeader))
		ctx := access.WithRequestID(r.Context(), request)
		if !by.Organisation.IsZero() {
			if noted := n.noteAnswering(ctx, by, what+", to "+peer.Node.String(), err != nil); noted != nil {
				err = noted
			}
		}
		if err != nil {
			Refuse(w, err)
			return
		}
		out := &begun{ResponseWriter: w}
		if err := h(out, r.WithContext(ctx), by); err != nil {
			if out.yes {
				panic(http.ErrAbortHandler) // half an answer never passes for a whole one
			}
			Refuse(w, err)
		}
	}))
}

// begun knows whether an answer has begun.
type begun struct {
	http.ResponseWriter
	yes bool
}

// WriteHeader begins it.
func (b *begun) WriteHeader(status int) {
	b.yes = true
	b.ResponseWriter.WriteHeader(status)
}

// Write begins it.
func (b *begun) Write(p []byte) (int, error) {
	b.yes = true
	return b.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController reach the stream.
func (b *begun) Unwrap() http.ResponseWriter { return b.ResponseWriter }

// askerOf is in whose name a peer asks. With fault.Forbidden comes who it was said to be, for the account.
func askerOf(peer Peer, header string) (by access.Principal, request string, err error) {
	text, err := base64.RawURLEncoding.Strict().DecodeString(header)
	var a asker
	if err == nil && len(text) > 0 && len(text) <= maxAsker {
		err = json.Unmarshal(text, &a)
	}
	if err != nil || a.ID == "" || a.Organisation.IsZero() {
		return by, "", fault.New(fault.Invalid, "A question names who asks it.")
	}
	if len(a.Request) > maxRequestID {
		a.Request = ""
	}
	by = access.Principal{ID: peer.Node.String() + "/" + a.ID, Name: a.Name, Role: a.Role, Organisation: a.Organisation, AuthMethod: "network"}
	switch {
	case !peer.Speaks(a.Organisation):
		return by, a.Request, fault.New(fault.Forbidden, "%s does not speak for %s.", peer.Node, a.Organisation)
	case !slices.Contains(askingRoles(), a.Role):
		return by, a.Request, fault.New(fault.Forbidden, "In that role nobody asks other organisations.")
	}
	return by, a.Request, nil
}

func (n *Network) noteAnswering(ctx context.Context, by access.Principal, detail string, refused bool) error {
	return n.opt.DB.Write(ctx, []store.Lane{n.opt.Gate.DeedLane(by)}, func(tx *store.Tx) error {
		return n.opt.Gate.Record(ctx, tx, by, access.Deed{Action: actAnswer, Basis: "network", Detail: detail, Refused: refused})
	})
}
