package network

import (
	"context"
	"errors"
	"math/big"
	"time"

	"github.com/openspine/openspine/fault"
)

// session is one pair of connections to the authority's node: one to ask on, one to answer on.
type session struct {
	ask    *caller
	answer *conn
	opened time.Time
	until  time.Time // when another should take its place
	serial string    // of the certificate that it was opened with
}

// dialOut keeps a link to the authority's node until ctx ends.
func (n *Network) dialOut(ctx context.Context) {
	select {
	case <-ctx.Done():
		return
	case <-n.joined:
	}
	if n.office.Load() != nil {
		return
	}
	l := n.link(n.home.Load().Authority)
	tries := 0
	for ctx.Err() == nil {
		if !n.awaitHealing(ctx, l) {
			return
		}
		began := n.clock.Now()
		err := n.hold(ctx, l, tries)
		if ctx.Err() != nil {
			return
		}
		state := StateDown
		if fault.Is(err, fault.Forbidden) || fault.Is(err, fault.Unauthenticated) {
			state = StateRefused
		}
		l.fell(state, err)
		if n.clock.Now().Sub(began) > 2*n.timing.Last {
			tries = 0
		}
		select {
		case <-ctx.Done():
			return
		case <-n.clock.After(n.pause(tries)):
		}
		tries++
	}
}

// pause is how long to wait before dialling again: twice as long each time up to the longest, of which a random half is left out, so that a thousand
// nodes that lost the same link do not come back together.
func (n *Network) pause(tries int) time.Duration {
	d := n.timing.First << min(tries, 20)
	if d <= 0 || d > n.timing.Last {
		d = n.timing.Last
	}
	return d/2 + n.random(d/2)
}

// random is a time from zero up to d.
func (n *Network) random(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	b := make([]byte, 8)
	if _, err := n.opt.Rand.Read(b); err != nil {
		return d / 2
	}
	return time.Duration(new(big.Int).Mod(new(big.Int).SetBytes(b), big.NewInt(int64(d))).Int64())
}

// awaitHealing waits while the link is cut; false when ctx has ended.
func (n *Network) awaitHealing(ctx context.Context, l *link) bool {
	for {
		n.mu.Lock()
		again := n.recut
		n.mu.Unlock()
		cut, ok := n.cutOf(l.peer.Load().Node)
		if !ok {
			return true
		}
		l.fell(StateCut, cut.fault(l.peer.Load().Node))
		select {
		case <-ctx.Done():
			return false
		case <-again:
		}
	}
}

// hold opens a session and keeps it, or those that take its place, until one breaks. It returns why.
func (n *Network) hold(ctx context.Context, l *link, tries int) error {
	addresses := n.home.Load().Addresses
	if len(addresses) == 0 {
		return fault.New(fault.Unavailable, "it is not known where %s is: join again with a new token", l.peer.Load().Node)
	}
	address := addresses[tries%len(addresses)]
	s, err := n.open(ctx, l, address)
	if fault.Is(err, fault.Unauthenticated) {
		if again := n.renewExpired(ctx, address); again != nil {
			return again
		}
		s, err = n.open(ctx, l, address)
	}
	if err != nil {
		return err
	}
	for {
		next, err := n.keep(ctx, l, s, address)
		if err != nil {
			return errors.Join(err, s.end(err))
		}
		s = next // the old one finishes what was begun: its asking end by itself, its answering end when the other side lets go
	}
}

func (s *session) end(why error) error {
	err := errors.Join(s.ask.conn.end(why), s.answer.end(why))
	s.ask.close()
	return err
}

// open dials a session: asks whether it is taken, and only then uses it.
func (n *Network) open(ctx context.Context, l *link, address string) (*session, error) {
	serial := n.serial()
	asking, err := n.dial(ctx, address, forAsking)
	if err != nil {
		return nil, err
	}
	ask, err := n.newCaller(ctx, asking)
	if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "the connection broke")
	}
	answer, err := n.beatOnce(ctx, l, ask)
	for fault.Is(err, fault.Unavailable) {
		if !l.asks() {
			l.fell(StateDown, err)
		}
		if n.untilHealed(ctx, l, ask) != nil {
			break // it is something else, or over
		}
		answer, err = n.beatOnce(ctx, l, ask)
	}
	if err != nil {
		return nil, errors.Join(err, asking.end(err))
	}
	answering, err := n.dial(ctx, address, forAnswer)
	if err != nil {
		return nil, errors.Join(err, asking.end(err))
	}
	if err := n.answer(answering); err != nil {
		return nil, errors.Join(err, asking.end(err))
	}
	now := n.clock.Now()
	s := &session{ask: ask, answer: answering, opened: now, until: now.Add(n.timing.Session - n.random(n.timing.Session/4)), serial: serial}
	l.use(ask)
	if err := n.heed(ctx, l, ask, answer); err != nil {
		n.log.Warn("what the authority said could not be followed; it will be tried again", "cause", err)
	}
	l.rose()
	return s, nil
}

func (n *Network) serial() string { return n.identity.Load().chain[0].SerialNumber.Text(16) }

// keep beats until the session breaks, or another has taken its place, which it returns.
func (n *Network) keep(ctx context.Context, l *link, s *session, address string) (*session, error) {
	for {
		pause := n.timing.Beat - n.random(n.timing.Beat/5)
		n.mu.Lock()
		recut := n.recut
		n.mu.Unlock()
		select {
		case <-ctx.Done():
			return nil, errStopping
		case <-s.ask.conn.gone:
			return nil, lostBy(s.ask.conn)
		case <-s.answer.gone:
			return nil, lostBy(s.answer)
		case <-recut:
		case <-n.poke:
		case <-n.clock.After(pause):
		}
		if cut, ok := n.cutOf(l.peer.Load().Node); ok {
			return nil, cut.fault(l.peer.Load().Node)
		}
		answer, err := n.beatOnce(ctx, l, s.ask)
		if err != nil {
			return nil, err
		}
		if err := n.heed(ctx, l, s.ask, answer); err != nil {
			n.log.Warn("what the authority said could not be followed; it will be tried again", "cause", err)
		}
		if n.serial() == s.serial && n.clock.Now().Before(s.until) {
			continue
		}
		next, err := n.open(ctx, l, address)
		if err != nil {
			n.log.Warn("a new session could not be opened; the old one goes on", "cause", err)
			s.until = n.clock.Now().Add(n.timing.Last)
			s.serial = n.serial()
			continue
		}
		return next, nil
	}
}

func lostBy(c *conn) error {
	if why := c.cause(); why != nil {
		return why
	}
	return errBroken
}

// heed follows what an answer to a beat says: there is news, or the certificate should be renewed.
func (n *Network) heed(ctx context.Context, l *link, c *caller, answer beatAnswer) error {
	if answer.Edition > n.trust.Load().edition {
		if err := n.takeNews(ctx, c, l); err != nil {
			return err
		}
	}
	if n.due(answer.Root) {
		return n.renew(ctx, c, l)
	}
	return nil
}
