package network

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/openspine/openspine/fault"
)

// What a connection is for, agreed in its handshake (RFC 7301).
const (
	forAsking = "openspine-ask/1"    // who dialled asks
	forAnswer = "openspine-answer/1" // who dialled answers
	forJoin   = "openspine-join/1"   // whoever dialled has no certificate that is good
)

// conn is one connection of a link: TLS, with what it carried counted.
type conn struct {
	*counted
	n       *Network
	kind    string
	dialled bool
	holder  holder // of the certificate at the other end; zero for one that joins
	stale   error  // why the certificate was not good when the connection came, though it was once

	once sync.Once
	why  atomic.Pointer[error]
	gone chan struct{} // closed with the connection
}

// counted is a connection whose bytes are counted. It hides that it is TLS from net/http, which would take over what is agreed in the handshake.
type counted struct {
	net.Conn
	in, out atomic.Int64
}

// Read counts what came.
func (c *counted) Read(p []byte) (int, error) {
	k, err := c.Conn.Read(p)
	c.in.Add(int64(k))
	return k, err
}

// Write counts what left.
func (c *counted) Write(p []byte) (int, error) {
	k, err := c.Conn.Write(p)
	c.out.Add(int64(k))
	return k, err
}

func (n *Network) newConn(t *tls.Conn, kind string, dialled bool, h holder, stale error) *conn {
	c := &conn{counted: &counted{Conn: t}, n: n, kind: kind, dialled: dialled, holder: h, stale: stale, gone: make(chan struct{})}
	n.mu.Lock()
	n.conns[c] = struct{}{}
	n.mu.Unlock()
	return c
}

// Close closes the connection; net/http calls it when either side has ended it.
func (c *conn) Close() error { return c.end(nil) }

// end closes the connection for a reason, once. It does not wait for a peer that does not read.
func (c *conn) end(why error) (err error) {
	c.once.Do(func() {
		if why != nil {
			c.why.Store(&why)
		}
		close(c.gone)
		c.n.mu.Lock()
		delete(c.n.conns, c)
		c.n.mu.Unlock()
		raw := c.Conn
		if t, ok := raw.(*tls.Conn); ok {
			raw = t.NetConn()
		}
		err = raw.Close()
		if l := c.n.link(c.holder.Node); l != nil {
			l.collect(c)
		}
	})
	return err
}

// cause is why the connection was ended here, if it was.
func (c *conn) cause() error {
	if p := c.why.Load(); p != nil {
		return *p
	}
	return nil
}

// http2 are the bounds of one connection, for either role. Those of all answers together are those of each times how many there are at once, so that
// answers that nobody reads never hold up the others; uploads together have a bound of their own.
func (n *Network) http2(uploads int) *http.HTTP2Config {
	return &http.HTTP2Config{MaxConcurrentStreams: streamsAtOnce, StrictMaxConcurrentRequests: true, MaxReceiveBufferPerStream: streamBytes, MaxReceiveBufferPerConnection: uploads,
		SendPingTimeout: 3 * n.timing.Beat, PingTimeout: n.timing.Answer, WriteByteTimeout: n.timing.Stall / 2}
}

func onlyHTTP2() *http.Protocols {
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true) // the connection below is TLS already
	return p
}

// caller asks over one connection.
type caller struct {
	conn *conn
	http *http.ClientConn
}

func (n *Network) newCaller(ctx context.Context, c *conn) (*caller, error) {
	t := &http.Transport{Protocols: onlyHTTP2(), HTTP2: n.http2(0), DisableCompression: true, MaxResponseHeaderBytes: headerBytes,
		DialContext: func(context.Context, string, string) (net.Conn, error) { return c, nil }}
	client, err := t.NewClientConn(ctx, "http", "peer:80")
	if err != nil {
		return nil, errors.Join(err, c.end(err))
	}
	return &caller{c, client}, nil
}

// close ends the asking on a connection, which may have gone by itself.
func (c *caller) close() {
	_ = c.http.Close()
	_ = c.conn.end(nil)
}

// Headers of the network's own. Those of the request that is carried with these names are left out.
const (
	deadlineHeader = "Openspine-Within" // milliseconds that are left
	askerHeader    = "Openspine-Asker"
)

// do sends a request. See Carrier.
func (c *caller) do(ctx context.Context, l *link, r *http.Request) (*http.Response, error) {
	to := c.conn.holder.Node
	ctx, cancel := context.WithCancelCause(ctx)
	out := r.Clone(ctx)
	out.URL = &url.URL{Scheme: "http", Host: to.String(), Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery}
	out.Host, out.RequestURI = to.String(), ""
	if out.Header == nil {
		out.Header = http.Header{}
	}
	out.Header.Del(deadlineHeader)
	timing := c.conn.n.timing
	w := &watch{cancel: cancel, stall: timing.Stall, wait: timing.Wait}
	if until, ok := ctx.Deadline(); ok {
		left := time.Until(until)
		out.Header.Set(deadlineHeader, strconv.FormatInt(max(left.Milliseconds(), 1), 10))
		w.wait = left + timing.Answer // the context ends first
	}
	if out.Body != nil && out.Body != http.NoBody {
		out.Body = &upload{out.Body, w}
		w.set(w.stall)
	} else {
		w.set(w.wait)
	}
	l.requests.Add(1)
	resp, err := c.http.RoundTrip(out)
	if err != nil {
		w.stop()
		err = c.worded(ctx, err)
		cancel(nil)
		l.failures.Add(1)
		return nil, err
	}
	w.pause()
	resp.Body = &download{body: resp.Body, watch: w, ctx: ctx, caller: c}
	return resp, nil
}

// worded says what became of an exchange that broke off.
func (c *caller) worded(ctx context.Context, err error) error {
	to := c.conn.holder.Node
	if why := context.Cause(ctx); why != nil {
		err = errors.Join(why, err)
		switch {
		case errors.Is(why, context.DeadlineExceeded), errors.Is(why, errStalled):
			return fault.Wrap(err, fault.Timeout, "%s did not answer in time; whether it did what it was asked is not known.", to)
		}
		return fault.Wrap(err, fault.Unavailable, "The exchange with %s was given up.", to)
	}
	var alert tls.AlertError
	if errors.As(err, &alert) {
		return fault.Wrap(err, fault.Forbidden, "%s does not take the certificate of this node (%v): if this node is to belong to that network, ask its authority for a new token and join again.", to, alert)
	}
	if why := c.conn.cause(); why != nil {
		return fault.Wrap(errors.Join(err, why), fault.Unavailable, "The link to %s broke off (%s).", to, fault.MessageOf(fault.Wrap(why, fault.Unavailable, "%v", why)))
	}
	return fault.Wrap(err, fault.Unavailable, "The link to %s broke off; whether it did what it was asked is not known.", to)
}

var errStalled = errors.New("the other end stopped reading, or sending")

// watch gives an exchange up when the other end neither takes nor sends anything for too long.
type watch struct {
	mu          sync.Mutex
	timer       *time.Timer
	cancel      context.CancelCauseFunc
	stall, wait time.Duration
	over        bool
}

func (w *watch) set(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.over:
	case w.timer == nil:
		w.timer = time.AfterFunc(d, func() { w.cancel(errStalled) })
	default:
		w.timer.Reset(d)
	}
}

func (w *watch) pause() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer != nil {
		w.timer.Stop()
	}
}

func (w *watch) stop() {
	w.pause()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
}

// upload is the body of a request as it leaves: each read says that the other end has taken what came before.
type upload struct {
	body interface {
		Read(p []byte) (int, error)
		Close() error
	}
	watch *watch
}

// Read gives the next part. However long the one who asks takes to have it ready does not count.
func (u *upload) Read(p []byte) (int, error) {
	u.watch.pause()
	k, err := u.body.Read(p)
	if err != nil {
		u.watch.set(u.watch.wait)
	} else {
		u.watch.set(u.watch.stall)
	}
	return k, err
}

// Close ends the body.
func (u *upload) Close() error { return u.body.Close() }

// download is the body of an answer as it comes.
type download struct {
	body interface {
		Read(p []byte) (int, error)
		Close() error
	}
	watch  *watch
	ctx    context.Context
	caller *caller
}

// Read gives the next part; only while it waits does the time count.
func (d *download) Read(p []byte) (int, error) {
	d.watch.set(d.watch.stall)
	k, err := d.body.Read(p)
	d.watch.pause()
	if err != nil && !isEOF(err) {
		err = d.caller.worded(d.ctx, err)
	}
	return k, err
}

// Close ends the exchange at both ends.
func (d *download) Close() error {
	d.watch.stop()
	err := d.body.Close()
	d.watch.cancel(nil)
	return err
}
