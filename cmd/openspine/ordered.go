package main

import (
	"context"
	"runtime"

	"golang.org/x/sync/errgroup"
)

// aheadOf is how many pieces of work are under way for each processor, and so how much memory they take.
const aheadOf = 3

// ordered does work on what source gives, on every processor at once, and hands what comes of it to take, in the order of source. The
// first error of any of them ends it.
func ordered[A, B any](ctx context.Context, source func(give func(A) error) error, work func(A) (B, error), take func(B) error) error {
	type task struct {
		in   A
		out  B
		err  error
		done chan struct{}
	}
	group, ctx := errgroup.WithContext(ctx)
	processors := runtime.GOMAXPROCS(0)
	todo, order := make(chan *task), make(chan *task, aheadOf*processors)
	group.Go(func() error {
		defer close(todo)
		defer close(order)
		return source(func(in A) error {
			t := &task{in: in, done: make(chan struct{})}
			for _, to := range []chan *task{order, todo} {
				select {
				case to <- t:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			return nil
		})
	})
	for range processors {
		group.Go(func() error {
			for t := range todo {
				t.out, t.err = work(t.in)
				close(t.done)
			}
			return nil
		})
	}
	group.Go(func() error {
		for t := range order {
			select {
			case <-t.done:
			case <-ctx.Done():
				return ctx.Err()
			}
			if t.err != nil {
				return t.err
			}
			if err := take(t.out); err != nil {
				return err
			}
		}
		return nil
	})
	return group.Wait()
}
