package network

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/openspine/openspine/fault"
)

type connKey struct{}

// server answers on every connection of a link, whoever dialled it.
func (n *Network) server() *http.Server {
	return &http.Server{Handler: http.HandlerFunc(n.receive), Protocols: onlyHTTP2(), HTTP2: n.http2(connBytes), MaxHeaderBytes: headerBytes, ReadHeaderTimeout: n.timing.Answer,
		ErrorLog: slog.NewLogLogger(n.log.Handler(), slog.LevelDebug),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			if own, ok := c.(*conn); ok {
				return context.WithValue(ctx, connKey{}, own)
			}
			return ctx
		}}
}

// takes is why a connection's requests are refused, if they are: looked at for each of them.
func (n *Network) takes(c *conn) error {
	if err := n.admits(c); err != nil {
		return err
	}
	if cut, ok := n.cutOf(c.holder.Node); ok {
		return cut.fault(n.Self())
	}
	return nil
}

// admits is takes, whether the link is cut or not.
func (n *Network) admits(c *conn) error {
	if c.holder.Node.IsZero() {
		return fault.New(fault.Unauthenticated, "no certificate was shown")
	}
	if err := n.trust.Load().holds(c.holder); err != nil {
		return err
	}
	now, slack := n.clock.Now(), takenSlack.after
	if c.dialled {
		now, slack = n.now(c.holder.Node), dialledSlack.after
	}
	if errors.Is(c.stale, errFormer) {
		return fault.New(fault.Unauthenticated, "The certificate of %s is under a root that was retired: it can be renewed.", c.holder.Node)
	}
	if c.stale != nil || now.After(c.holder.until.Add(slack)) {
		return fault.New(fault.Unauthenticated, "The certificate of %s expired at %s: it can be renewed for %d days after that.", c.holder.Node, stamp(c.holder.until), int(RenewGrace.Hours()/24))
	}
	return nil
}

// receive answers one request of a peer.
func (n *Network) receive(w http.ResponseWriter, r *http.Request) {
	c, ok := r.Context().Value(connKey{}).(*conn)
	if !ok {
		Refuse(w, fault.New(fault.Internal, "a request over no link"))
		return
	}
	if c.kind == forJoin {
		n.atTheDoor(w, r, c)
		return
	}
	if r.Method == http.MethodPost && r.URL.Path == pathHealed {
		n.tellHealed(w, r, c)
		return
	}
	if err := n.takes(c); err != nil {
		Refuse(w, err)
		return
	}
	l := n.linkTo(c.holder.Peer)
	l.requests.Add(1)
	ctx, cancel, err := within(WithPeer(r.Context(), c.holder.Peer), r.Header.Get(deadlineHeader))
	if err != nil {
		Refuse(w, err)
		return
	}
	defer cancel()
	r = r.WithContext(ctx)
	control := http.NewResponseController(w)
	r.Body = &patient{body: r.Body, control: control, stall: n.timing.Stall}
	w = &steady{w, control, n.timing.Stall}
	if own := n.ownHandler(r); own != nil {
		own(w, r, c)
		return
	}
	n.mux.ServeHTTP(w, r)
}

// maxWithin bounds the time that a caller gives.
const maxWithin = 24 * time.Hour

// within keeps the caller's deadline, told as the time that was left, for clocks differ.
func within(ctx context.Context, text string) (context.Context, context.CancelFunc, error) {
	if text == "" {
		ctx, cancel := context.WithCancel(ctx)
		return ctx, cancel, nil
	}
	ms, err := strconv.ParseInt(text, 10, 64)
	if err != nil || ms <= 0 || ms > maxWithin.Milliseconds() {
		return ctx, nil, fault.New(fault.Invalid, "%s is a number of milliseconds, a day's at most", deadlineHeader)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(ms)*time.Millisecond)
	return ctx, cancel, nil
}

// patient reads what a peer sends, and gives up when nothing comes for too long.
type patient struct {
	body    io.ReadCloser
	control *http.ResponseController
	stall   time.Duration
}

// Read gives the next part.
func (p *patient) Read(b []byte) (int, error) {
	if err := p.control.SetReadDeadline(time.Now().Add(p.stall)); err != nil {
		return 0, err
	}
	return p.body.Read(b)
}

// Close ends the reading.
func (p *patient) Close() error { return p.body.Close() }

// steady writes to a peer, and gives up when it takes nothing for too long: it holds one part of the answer, whatever its size.
type steady struct {
	http.ResponseWriter
	control *http.ResponseController
	stall   time.Duration
}

const steadyPart = 64 << 10

// Write writes in parts, each with its time.
func (s *steady) Write(b []byte) (total int, err error) {
	for {
		part := b[:min(len(b), steadyPart)]
		if err := s.control.SetWriteDeadline(time.Now().Add(s.stall)); err != nil {
			return total, err
		}
		k, err := s.ResponseWriter.Write(part)
		total += k
		if b = b[k:]; err != nil || len(b) == 0 {
			return total, err
		}
	}
}

// Unwrap lets http.ResponseController reach the stream.
func (s *steady) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// refusal is how a failure is told to a peer.
type refusal struct {
	Kind    string `json:"kind"`
	Message string `json:"message"`
}

const maxRefusal = 16 << 10

// Refuse answers a peer with a failure, which FaultOf gives back at the other end. An internal failure tells nothing of its cause.
func Refuse(w http.ResponseWriter, err error) {
	kind := fault.KindOf(err)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(kind.HTTPStatus())
	_ = json.NewEncoder(w).Encode(refusal{kind.String(), fault.MessageOf(err)}) // a peer that went away is told nothing
}

// FaultOf is nil for an answer of 2xx, and otherwise the failure that a peer told with Refuse; it closes the body then.
// An answer that was not made by Refuse is fault.Unavailable: the other end did not say what it was.
func FaultOf(resp *http.Response) error {
	if resp.StatusCode >= 200 && resp.StatusCode < 300 {
		return nil
	}
	var told refusal
	err := json.NewDecoder(io.LimitReader(resp.Body, maxRefusal)).Decode(&told)
	if err := errors.Join(err, resp.Body.Close()); err == nil {
		for _, k := range fault.All() {
			if k.String() == told.Kind && k.HTTPStatus() == resp.StatusCode {
				if k == fault.Internal {
					return fault.New(fault.Unavailable, "Something went wrong at the other end.")
				}
				return fault.New(k, "%s", told.Message)
			}
		}
	}
	return fault.New(fault.Unavailable, "The other end answered with status %d.", resp.StatusCode)
}

func isEOF(err error) bool { return errors.Is(err, io.EOF) }
