package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// request is one call of a load: its name for errors, and how to make it.
type request struct {
	method, path, contentType string
	body                      []byte
	want                      []int // statuses that count as answered
}

// load sends requests from a number of clients for a time and keeps what each took.
type load struct {
	base, token string
	clients     int
	duration    time.Duration
	warmup      time.Duration
	next        func(client, i int) request
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
	FsyncPerSec float64 `json:"fsync_per_second"`
	Note        string  `json:"note,omitempty"`
}

type clientRun struct {
	took   []time.Duration
	errors int
	first  string
}

// run drives the load and sums up; the warm-up's calls are not counted.
func (l load) run(ctx context.Context) result {
	transport := &http.Transport{MaxIdleConnsPerHost: l.clients, MaxConnsPerHost: l.clients, DisableCompression: true}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: time.Minute}
	runs := make([]clientRun, l.clients)
	start := time.Now()
	counted, end := start.Add(l.warmup), start.Add(l.warmup+l.duration)
	var wg sync.WaitGroup
	for c := range l.clients {
		wg.Go(func() {
			r := &runs[c]
			for i := 0; ctx.Err() == nil; i++ {
				begun := time.Now()
				if begun.After(end) {
					return
				}
				problem := l.call(ctx, client, l.next(c, i))
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
	return sum(runs, time.Since(counted), l.clients)
}

func (l load) call(ctx context.Context, client *http.Client, q request) string {
	req, err := http.NewRequestWithContext(ctx, q.method, l.base+q.path, bytes.NewReader(q.body))
	if err != nil {
		return err.Error()
	}
	if q.contentType != "" {
		req.Header.Set("Content-Type", q.contentType)
	}
	if l.token != "" {
		req.Header.Set("Authorization", "Bearer "+l.token)
	}
	req.Header.Set("Accept", "application/fhir+json")
	resp, err := client.Do(req)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	if slices.Contains(q.want, resp.StatusCode) {
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			return err.Error()
		}
		return ""
	}
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 400))
	return fmt.Sprintf("%s %s: %s: %s", q.method, q.path, resp.Status, text)
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
