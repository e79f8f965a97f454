package store

import (
	"context"
	"errors"
	"slices"
	"strconv"

	"github.com/jackc/pgx/v5"
)

// What a transaction has to say without waiting for an answer is pending until the next statement that answers, the end of
// a savepoint, or the commit, and goes with it in one exchange with the server. Savepoints are begun and released so too.

// pending is a statement that has not been sent.
type pending struct {
	query   string // for PostgreSQL
	args    []any
	explain func(error) error // words its failure; may be nil
	control bool              // it begins or releases a savepoint, and can only fail with the connection
}

// A queue longer than this is sent although nobody asks.
const (
	longestQueue = 512
	largestQueue = 1 << 20 // bytes of arguments, roughly
)

func (s *pgSession) queue(query string, args []any, explain func(error) error) error {
	s.pending = append(s.pending, pending{query: s.e.rewrite(query), args: slices.Clone(args), explain: explain})
	s.queued++
	for _, a := range args {
		switch v := a.(type) {
		case string:
			s.weight += len(v)
		case []byte:
			s.weight += len(v)
		}
	}
	if s.queued >= longestQueue || s.weight >= largestQueue {
		return s.flush()
	}
	return nil
}

// flush runs what is pending, if it is more than savepoints, and says how it went.
func (s *pgSession) flush() error {
	if s.queued == 0 {
		return nil
	}
	return s.drain()
}

// drain runs all that is pending.
func (s *pgSession) drain() error {
	if len(s.pending) == 0 {
		return nil
	}
	res, err := s.send(s.ctx, s.take())
	if err == nil {
		err = s.fault(res.Close())
	}
	return err
}

// take hands out what is pending.
func (s *pgSession) take() []pending {
	list := s.pending
	s.pending, s.queued, s.weight = nil, 0, 0
	return list
}

// send sends list, and whatever else, in one exchange, and reads the answers to list. When it fails nothing is left to
// be read; else what is left must be read and closed.
func (s *pgSession) send(ctx context.Context, list []pending, also ...pending) (pgx.BatchResults, error) {
	var b pgx.Batch
	for _, p := range list {
		b.Queue(p.query, p.args...)
	}
	for _, p := range also {
		b.Queue(p.query, p.args...)
	}
	res := s.c.SendBatch(ctx, &b)
	for _, p := range list {
		if _, err := res.Exec(); err != nil {
			_ = res.Close() // says the same again
			err = s.fault(err)
			if p.explain != nil {
				err = p.explain(err)
			}
			return nil, err
		}
	}
	return res, nil
}

func (s *pgSession) savepoint(depth int) error {
	s.pending = append(s.pending, pending{query: "SAVEPOINT s" + strconv.Itoa(depth), control: true})
	return nil
}

// release ends a savepoint in which nothing is queued any more.
func (s *pgSession) release(depth int) error {
	n := strconv.Itoa(depth)
	if last := len(s.pending) - 1; last >= 0 && s.pending[last].query == "SAVEPOINT s"+n {
		s.pending = s.pending[:last] // nothing was done in it
		return nil
	}
	s.pending = append(s.pending, pending{query: "RELEASE s" + n, control: true})
	return nil
}

func (s *pgSession) rollbackTo(depth int) error {
	n := strconv.Itoa(depth)
	begun := slices.IndexFunc(s.pending, func(p pending) bool { return p.control && p.query == "SAVEPOINT s"+n })
	if begun >= 0 { // the server has not heard of it
		s.pending = s.pending[:begun]
		s.queued, s.weight = 0, 0 // what was queued before a savepoint was sent before it
		return nil
	}
	s.take()
	return s.script("ROLLBACK TO s" + n + "; RELEASE s" + n)
}

// pipelined is a statement that is run behind what is pending.
func (s *pgSession) pipelined(query string, args []any) (pgx.BatchResults, error) {
	return s.send(s.ctx, s.take(), pending{query: query, args: args})
}

// batchRows are rows at the end of an exchange.
type batchRows struct {
	pgx.Rows
	res pgx.BatchResults
	err error
}

// Close ends the rows and the exchange.
func (r *batchRows) Close() {
	r.Rows.Close()
	if err := r.res.Close(); err != nil && r.Rows.Err() == nil {
		r.err = err
	}
}

// Err is the failure of the rows, or of the exchange.
func (r *batchRows) Err() error { return errors.Join(r.Rows.Err(), r.err) }
