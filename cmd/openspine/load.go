package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// request is one call of a load: its name for errors, and how to make it.
type request struct {
	method, path, contentType string
	body                      []byte
	want                      []int // statuses that count as answered
	requestID                 string
	holds                     string // what the answer must hold; "" for anything
}

// load sends requests from a number of clients for a time and keeps what each took.
type load struct {
	base     *url.URL
	token    string
	clients  int
	duration time.Duration
	warmup   time.Duration
	next     func(client, i int) request
}

// result is what a load measured.
type result struct {
	Name        string  `json:"name"`
	Target      string  `json:"target"`
	Operations  int     `json:"operations"`
	Seconds     float64 `json:"seconds"`
	PerSecond   float64 `json:"per_second"`
	P50         float64 `json:"p50_ms"`
	P99         float64 `json:"p99_ms"`
	Max         float64 `json:"max_ms"`
	Errors      int     `json:"errors"`
	FirstError  string  `json:"first_error,omitempty"`
	Clients     int     `json:"clients"`
	Processor   float64 `json:"processor_us"` // µs of processor for each operation, the load program's included
	FsyncPerSec float64 `json:"fsync_per_second"`
	Note        string  `json:"note,omitempty"`
}

type clientRun struct {
	took   []time.Duration
	errors int
	first  string
}

// run drives the load and sums up; the warm-up's calls are not counted. Each client has a connection of its own and makes one
// call at a time, so that the load program takes as little as it can of the processors it may share with what it measures.
func (l load) run(ctx context.Context) result {
	runs := make([]clientRun, l.clients)
	start := time.Now()
	counted, end := start.Add(l.warmup), start.Add(l.warmup+l.duration)
	var spent atomic.Int64
	warm := time.AfterFunc(l.warmup, func() { spent.Store(int64(processor())) })
	defer warm.Stop()
	var wg sync.WaitGroup
	for c := range l.clients {
		wg.Go(func() {
			r := &runs[c]
			line := caller{load: &l}
			defer line.hangUp()
			for i := 0; ctx.Err() == nil; i++ {
				begun := time.Now()
				if begun.After(end) {
					return
				}
				q := l.next(c, i)
				if q.method == "" {
					return // there is no more to ask
				}
				problem := line.call(ctx, q)
				if begun.Before(counted) {
					continue
				}
				if problem != "" {
					r.errors++
					if r.first == "" {
						r.first = problem
					}
					continue
				}
				r.took = append(r.took, time.Since(begun))
			}
		})
	}
	wg.Wait()
	out := sum(runs, time.Since(counted), l.clients)
	out.Processor = perOperation(processor()-time.Duration(spent.Load()), out.Operations)
	return out
}

// processor is the processor time that this process has taken: the load program's and, where it runs the node itself, the node's.
func processor() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// perOperation is in microseconds; 0 when nothing was measured.
func perOperation(spent time.Duration, operations int) float64 {
	if operations == 0 {
		return 0
	}
	return float64(spent.Microseconds()) / float64(operations)
}

func sum(runs []clientRun, took time.Duration, clients int) result {
	var all []time.Duration
	out := result{Clients: clients, Seconds: took.Seconds()}
	for _, r := range runs {
		all = append(all, r.took...)
		out.Errors += r.errors
		if out.FirstError == "" {
			out.FirstError = r.first
		}
	}
	slices.Sort(all)
	out.Operations = len(all)
	out.PerSecond = float64(len(all)) / took.Seconds()
	out.P50, out.P99, out.Max = quantile(all, .5), quantile(all, .99), quantile(all, 1)
	return out
}

// quantile is in milliseconds; 0 when nothing was measured.
func quantile(sorted []time.Duration, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	i := min(int(q*float64(len(sorted))), len(sorted)-1)
	return float64(sorted[i]) / float64(time.Millisecond)
}

// fsyncRate is how many times a second the disk under dir makes a small write durable, measured for half a second.
func fsyncRate(dir string) (float64, error) {
	f, err := os.CreateTemp(dir, "fsync-*")
	if err != nil {
		return 0, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	block := make([]byte, 4096)
	start, n := time.Now(), 0
	for time.Since(start) < 500*time.Millisecond {
		if _, err := f.WriteAt(block, int64(n%64)*4096); err != nil {
			return 0, fmt.Errorf("%s: %w", filepath.Base(f.Name()), err)
		}
		if err := f.Sync(); err != nil {
			return 0, err
		}
		n++
	}
	return float64(n) / time.Since(start).Seconds(), nil
}
