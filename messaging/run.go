package messaging

import (
	"context"
	"sync"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/network"
	"github.com/openspine/openspine/store"
)

// Work is something that the post may have to do: a turn of a queue in a lane, with a peer, or for the files that messages of a queue wait for.
type Work struct {
	Peer  network.NodeID
	Queue int64
	Lane  store.Lane
	Fetch bool
}

// ringAfter rings once tx is durable: whoever was rung for before would not find what there is to do.
func (p *Post) ringAfter(tx *store.Tx, w Work) { tx.Then(func() { p.ring(w) }) }

// ring says that there may be something to do.
func (p *Post) ring(w Work) {
	p.mu.Lock()
	p.rung[w] = true
	p.mu.Unlock()
	select {
	case p.bell <- struct{}{}:
	default:
	}
}

// Turn does a bounded piece of work and says whether there may be more of it at once. A peer or a system that is not reached is
// an error after which the work is pending again in time; it is no failure of this node's.
func (p *Post) Turn(ctx context.Context, w Work) (more bool, err error) {
	switch {
	case !w.Peer.IsZero():
		return p.turnPeer(ctx, w.Peer)
	case w.Fetch:
		return p.turnFetch(ctx, w)
	}
	return p.turnQueue(ctx, w)
}

// Rung takes what was rung for since the last time, for a scheduler other than Run.
func (p *Post) Rung() []Work {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := make([]Work, 0, len(p.rung))
	for w := range p.rung {
		list = append(list, w)
	}
	clear(p.rung)
	return list
}

// Pending finds what there is to do now, whoever rang or did not: after a start, for what has become due, and for what other processes sent.
func (p *Post) Pending(ctx context.Context) (list []Work, err error) {
	err = p.db.Read(ctx, func(tx *store.Tx) error {
		list = nil
		rows, err := tx.Query(`SELECT s.lane, s.queue FROM post_stream s JOIN post_queue q ON q.lane = 0 AND q.queue = s.queue WHERE s.next > s.done + 1 AND q.kind <> ? AND q.kind <> ? ORDER BY s.lane, s.queue`,
			kindNode, kindNowhere)
		if list, err = works(list, rows, err, false); err != nil {
			return err
		}
		for _, fetch := range []bool{false, true} {
			cond := `why <> ?`
			if fetch {
				cond = `why = ?`
			}
			rows, err = tx.Query(`SELECT lane, queue FROM post_held WHERE due > 0 AND (due <= ? OR due > ?) AND `+cond+` GROUP BY lane, queue ORDER BY lane, queue LIMIT 1000`, p.clock.Now(), p.beyond(p.clock.Now()), int64(fetching))
			if list, err = works(list, rows, err, fetch); err != nil {
				return err
			}
		}
		peers, err := p.pendingPeers(tx)
		list = append(list, peers...)
		return err
	})
	return list, err
}

func works(list []Work, rows *store.Rows, err error, fetch bool) ([]Work, error) {
	if err != nil {
		return list, err
	}
	defer rows.Close()
	for rows.Next() {
		w := Work{Fetch: fetch}
		if err := rows.Scan(&w.Lane, &w.Queue); err != nil {
			return list, err
		}
		list = append(list, w)
	}
	return list, rows.Err()
}

// pendingPeers are the peers to whom there is something to say, or whom this process has not greeted, and who are due.
func (p *Post) pendingPeers(tx *store.Tx) ([]Work, error) {
	rows, err := tx.Query(`SELECT q.name, max(CASE WHEN s.next > s.done + 1 THEN 1 ELSE 0 END) FROM post_queue q JOIN post_stream s ON s.queue = q.queue WHERE q.lane = 0 AND q.kind = ? GROUP BY q.name
		UNION ALL SELECT peer, 1 FROM post_note GROUP BY peer UNION ALL SELECT peer, retell FROM post_peer WHERE lane = 0 AND latest = 1 ORDER BY 1`, kindNode)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []Work
	for rows.Next() {
		var name string
		var pending int64
		if err := rows.Scan(&name, &pending); err != nil {
			return nil, err
		}
		peer, err := network.ParseNodeID(name)
		if err != nil {
			return nil, err
		}
		if p.duePeer(peer, pending > 0) && (len(list) == 0 || list[len(list)-1].Peer != peer) {
			list = append(list, Work{Peer: peer})
		}
	}
	return list, rows.Err()
}

func (p *Post) duePeer(peer network.NodeID, pending bool) bool {
	s := p.peer(peer)
	s.mu.Lock()
	defer s.mu.Unlock()
	return (pending || s.inc == "") && p.isDue(s.due)
}

// Reached says that there is a link to a peer again: what waits for it need not wait for its next try. It is greeted anew, for it may have been restored from a backup
// meanwhile, and have lost what we believe that it has.
func (p *Post) Reached(peer network.NodeID) {
	s := p.peer(peer)
	s.mu.Lock()
	s.inc, s.due = "", time.Time{}
	s.mu.Unlock()
	p.ring(Work{Peer: peer})
}

// lookAgain is how often Run asks what has become due.
const lookAgain = time.Second

// scheduler turns the post: each piece of work has a goroutine of its own while there is something to do, so that none waits for another.
type scheduler struct {
	p    *Post
	mu   sync.Mutex
	busy map[Work]bool // true: rung again meanwhile
	rest map[Work]rest
	wg   sync.WaitGroup
}

// rest is a pause after failures.
type rest struct {
	tries int
	due   time.Time
}

// Run keeps the post moving until ctx ends; it returns nil then.
func (p *Post) Run(ctx context.Context) error {
	s := &scheduler{p: p, busy: map[Work]bool{}, rest: map[Work]rest{}}
	defer s.wg.Wait()
	for ctx.Err() == nil {
		list, err := p.Pending(ctx)
		if err != nil && ctx.Err() == nil {
			p.log.Error("messaging: what is pending cannot be read; it is tried again", "error", err)
		}
		for _, w := range list {
			s.start(ctx, w)
		}
		again := p.clock.After(lookAgain)
		for waiting := true; waiting; {
			select {
			case <-ctx.Done():
				waiting = false
			case <-again:
				waiting = false
			case <-p.bell:
				for _, w := range p.Rung() {
					s.start(ctx, w)
				}
			}
		}
	}
	return nil
}

// start sees to it that w is turned, unless it rests.
func (s *scheduler) start(ctx context.Context, w Work) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, busy := s.busy[w]; busy {
		s.busy[w] = true
		return
	}
	if r, resting := s.rest[w]; resting && !s.p.isDue(r.due) {
		return
	}
	s.busy[w] = false
	s.wg.Go(func() { s.turn(ctx, w) })
}

func (s *scheduler) turn(ctx context.Context, w Work) {
	for {
		more, err := s.p.Turn(ctx, w)
		s.p.changed()
		if s.p.o.Turned != nil {
			s.p.o.Turned(w, err)
		}
		if !s.goOn(ctx, w, more, err) {
			return
		}
	}
}

// goOn decides whether a piece of work has another turn at once.
func (s *scheduler) goOn(ctx context.Context, w Work, more bool, err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case ctx.Err() != nil:
		more = false
	case err != nil:
		more = false
		if w.Peer.IsZero() { // peers have a pause of their own
			r := s.rest[w]
			r.tries++
			r.due = s.p.clock.Now().Add(s.p.backoff(r.tries))
			s.rest[w] = r
			if k := fault.KindOf(err); r.tries == 1 || k != fault.Unavailable {
				s.p.log.Warn("messaging: a turn failed and is tried again", "error", err)
			}
		}
	default:
		delete(s.rest, w)
		more = more || s.busy[w]
	}
	if more {
		s.busy[w] = false
		return true
	}
	delete(s.busy, w)
	return false
}

// changed wakes whoever looks on.
func (p *Post) changed() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, ch := range p.watched {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}

// Changes is a channel that has something in it whenever messages may have moved since it was last read, for pages that are alive; stop ends it.
func (p *Post) Changes() (moved <-chan struct{}, stop func()) {
	ch := make(chan struct{}, 1)
	p.mu.Lock()
	p.watched = append(p.watched, ch)
	p.mu.Unlock()
	return ch, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		for i, c := range p.watched {
			if c == ch {
				p.watched = append(p.watched[:i:i], p.watched[i+1:]...)
				return
			}
		}
	}
}
