// Package networktest is a network of wires for tests: nodes listen and dial in memory, and a test cuts a wire, lets it stand still, or breaks it in the
// middle of a message. It keeps no time of its own, so that in a bubble of testing/synctest a day passes in milliseconds.
package networktest

import (
	"context"
	"errors"
	"net"
	"sync"
)

// Wires connect addresses. The zero value is not usable; make one with New.
type Wires struct {
	mu        sync.Mutex
	listeners map[string]*listener
	wires     map[*wire]struct{}
	cut       bool
	dials     int
	breaks    func() int // after how many further bytes the next wire breaks; 0 for never
}

// New is a network on which nobody listens yet.
func New() *Wires { return &Wires{listeners: map[string]*listener{}, wires: map[*wire]struct{}{}} }

// Listen takes connections at an address, until the listener is closed.
func (w *Wires) Listen(address string) net.Listener {
	w.mu.Lock()
	defer w.mu.Unlock()
	l := &listener{w: w, address: address, come: make(chan net.Conn), done: make(chan struct{})}
	w.listeners[address] = l
	return l
}

// Dial connects to an address at which somebody listens.
func (w *Wires) Dial(ctx context.Context, address string) (net.Conn, error) {
	w.mu.Lock()
	w.dials++
	l, cut := w.listeners[address], w.cut
	limit := 0
	if w.breaks != nil {
		limit = w.breaks()
	}
	w.mu.Unlock()
	if l == nil || cut {
		return nil, errors.New("no route to " + address)
	}
	here, there := net.Pipe()
	one := &wire{w: w, ends: [2]net.Conn{here, there}, left: limit, limited: limit > 0, moving: make(chan struct{})}
	close(one.moving)
	w.mu.Lock()
	w.wires[one] = struct{}{}
	w.mu.Unlock()
	select {
	case l.come <- &end{Conn: there, wire: one}:
		return &end{Conn: here, wire: one}, nil
	case <-l.done:
		err := errors.New("nobody listens at " + address)
		return nil, errors.Join(err, one.snap())
	case <-ctx.Done():
		return nil, errors.Join(ctx.Err(), one.snap())
	}
}

// Dials is how often somebody has dialled.
func (w *Wires) Dials() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dials
}

// Cut breaks every wire, and lets nobody dial until Heal.
func (w *Wires) Cut() {
	w.mu.Lock()
	w.cut = true
	w.mu.Unlock()
	w.Break()
}

// Heal lets nodes dial again.
func (w *Wires) Heal() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = false
}

// Break breaks every wire that there is.
func (w *Wires) Break() {
	for _, one := range w.all() {
		_ = one.snap() // a pipe's Close does not fail
	}
}

// BreakAfter has each wire that is dialled from now on break in the middle, after as many bytes as next says; 0 for never.
func (w *Wires) BreakAfter(next func() int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.breaks = next
}

// Freeze lets every wire stand still: nothing arrives, and nothing says so.
func (w *Wires) Freeze() {
	for _, one := range w.all() {
		one.mu.Lock()
		one.moving = make(chan struct{})
		one.mu.Unlock()
	}
}

func (w *Wires) all() []*wire {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []*wire
	for one := range w.wires {
		all = append(all, one)
	}
	return all
}

type listener struct {
	w       *Wires
	address string
	come    chan net.Conn
	once    sync.Once
	done    chan struct{}
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.come:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *listener) Addr() net.Addr { return address(l.address) }

type address string

func (address) Network() string  { return "wires" }
func (a address) String() string { return string(a) }

// wire is one connection.
type wire struct {
	w       *Wires
	ends    [2]net.Conn
	mu      sync.Mutex
	left    int
	limited bool
	moving  chan struct{} // closed while bytes move
	snapped bool
}

func (one *wire) snap() error {
	one.w.mu.Lock()
	delete(one.w.wires, one)
	one.w.mu.Unlock()
	one.mu.Lock()
	defer one.mu.Unlock()
	if !one.snapped {
		one.snapped = true
		select {
		case <-one.moving:
		default:
			close(one.moving)
		}
	}
	return errors.Join(one.ends[0].Close(), one.ends[1].Close())
}

// room is how many of n bytes still pass; false when the wire breaks after them.
func (one *wire) room(n int) (int, bool) {
	one.mu.Lock()
	defer one.mu.Unlock()
	if !one.limited {
		return n, true
	}
	pass := min(n, one.left)
	one.left -= pass
	return pass, one.left > 0
}

type end struct {
	net.Conn
	wire *wire
}

func (e *end) Write(p []byte) (int, error) {
	e.wire.mu.Lock()
	moving := e.wire.moving
	e.wire.mu.Unlock()
	<-moving
	pass, whole := e.wire.room(len(p))
	n, err := e.Conn.Write(p[:pass])
	if err == nil && !whole {
		return n, errors.Join(errors.New("the wire broke"), e.wire.snap())
	}
	return n, err
}

func (e *end) Close() error { return e.wire.snap() }

func (e *end) LocalAddr() net.Addr  { return address("here") }
func (e *end) RemoteAddr() net.Addr { return address("there") }

var _ net.Conn = (*end)(nil)
