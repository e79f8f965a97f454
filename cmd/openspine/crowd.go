package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/internal/clock"
	"github.com/openspine/openspine/internal/node"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/sim"
)

// crowd is a national register with very many people and nothing about them, to measure: they have numbers that nobody is given.
type crowd struct {
	Seed   uint64    `json:"seed"`
	People int       `json:"people"`
	Day    time.Time `json:"day"`

	country *sim.Country
}

const crowdFile = "crowd.json"

// crowdIn is the crowd that a folder holds, whole or in part, or the one to be loaded into it.
func crowdIn(dir string, people int, day time.Time) (*crowd, error) {
	want := &crowd{Seed: 1, People: people, Day: day}
	path := filepath.Join(dir, crowdFile)
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		if _, err := os.Stat(node.DatabasePath(dir)); err == nil {
			return nil, fault.New(fault.Conflict, "%s holds other data; name another folder with --data", dir)
		}
		text, err = json.Marshal(want)
		if err == nil {
			err = errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(path, text, 0o600))
		}
		if err != nil {
			return nil, err
		}
	case err != nil:
		return nil, err
	default:
		var was crowd
		if err := json.Unmarshal(text, &was); err != nil {
			return nil, fault.Wrap(err, fault.Invalid, "%s cannot be read; remove the folder, or name another with --data", path)
		}
		if was.People != people {
			return nil, fault.New(fault.Conflict, "%s holds --people %d; use that, or name another folder with --data", dir, was.People)
		}
		want = &was
	}
	want.country, err = sim.New(sim.Config{Seed: want.Seed, People: want.People, Now: want.Day, Crowd: true})
	return want, err
}

// open opens the register's node, and loads what is missing.
func (w *crowd) open(s *session, dir string, c clock.Clock) (*node.Node, error) {
	cfg := node.Config{Name: "register", Addr: "127.0.0.1:0", Data: dir, National: sim.National.String(), Demo: true,
		Tenants: []node.TenantConfig{{Code: sim.National.String(), Name: "National spine", Kind: "national"}}}
	n, err := node.Open(s.ctx, cfg, node.Options{Clock: c, Loading: true, Logger: slog.New(slog.NewJSONHandler(s.stderr, &slog.HandlerOptions{Level: slog.LevelError}))})
	if err != nil {
		return nil, err
	}
	if err := w.load(s, n); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

// madeAtOnce is how many people one processor makes at a time.
const madeAtOnce = 640

// load goes on where the load before it stopped.
func (w *crowd) load(s *session, n *node.Node) error {
	name := fmt.Sprintf("bench/crowd/%d/%d", w.Seed, w.People)
	records := n.Kernel().Records
	before, err := records.LoadOf(s.ctx, name)
	if err != nil || before.Done >= w.People && !records.Due() {
		return err
	}
	defer debug.SetGCPercent(debug.SetGCPercent(calmGC))
	begun, spent := time.Now(), processor()
	progress := rate{s: s, what: "people loaded", at: begun}
	l := n.Loader("bench", sim.National, func(count int) error { return progress.add(int64(count)) })
	l.Name, l.Batch, l.Later = name, node.LoadAlone, true
	found := rate{s: s, what: "read again, or rows written", at: begun}
	l.Found = func(p record.Progress) { found.reach(p.Done + p.Wrote) }
	err = ordered(s.ctx, func(give func(int) error) error {
		for first := before.Done; first < w.People; first += madeAtOnce {
			if err := give(first); err != nil {
				return err
			}
		}
		return nil
	}, func(first int) ([]*fhir.Resource, error) {
		var all []*fhir.Resource
		for p := range w.country.Between(first, min(first+madeAtOnce, w.People)) {
			res, err := fhir.Parse(w.country.Patient(p))
			if err != nil {
				return nil, err
			}
			all = append(all, res)
		}
		return all, nil
	}, func(all []*fhir.Resource) error { return addAll(s.ctx, l, all) })
	if err != nil {
		return err
	}
	loaded := time.Since(begun)
	if err := l.Flush(s.ctx); err != nil {
		return err
	}
	took, made := time.Since(begun), w.People-before.Done
	_, err = fmt.Fprintf(s.stdout, "loaded %d people in %.0f s (%.0f/s, %.0f µs of processor each), of which %.0f s to write what is searched\n", made, took.Seconds(),
		float64(made)/took.Seconds(), perOperation(processor()-spent, made), (took - loaded).Seconds())
	return err
}

func addAll(ctx context.Context, l *node.Loader, all []*fhir.Resource) error {
	for _, res := range all {
		if err := l.Add(ctx, res); err != nil {
			return err
		}
	}
	return nil
}

// rate says every half minute how far something is and how fast it went.
type rate struct {
	s          *session
	what       string
	at         time.Time
	done, then int64
}

func (r *rate) add(n int64) error { r.reach(r.done + n); return nil }

func (r *rate) reach(done int64) {
	r.done = done
	if took := time.Since(r.at); took >= 30*time.Second {
		fmt.Fprintf(r.s.stderr, "%s %s %d (%.0f/s)\n", time.Now().UTC().Format(time.TimeOnly), r.what, r.done, float64(r.done-r.then)/took.Seconds())
		r.at, r.then = time.Now(), r.done
	}
}
