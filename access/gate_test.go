package access_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/clock"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/store/storetest"
)

var (
	spine    = ident.MustODSCode("X26")
	hospital = ident.MustODSCode("RZ9")
	pharmacy = ident.MustODSCode("FZ9")
)

type world struct {
	db    *store.DB
	log   *audit.Log
	gate  *access.Gate
	clock *clock.Fake
}

// each runs a test on every engine, with a gate over an empty database.
func each(t *testing.T, test func(t *testing.T, w world)) {
	storetest.Each(t, func(t *testing.T, db *store.DB) { test(t, over(t, db, nil)) }, audit.Schema(), access.Schema())
}

func newWorld(t testing.TB) world {
	return over(t, storetest.Open(t, audit.Schema(), access.Schema()), nil)
}

func over(t testing.TB, db *store.DB, change func(*access.Options)) world {
	t.Helper()
	log, err := audit.Open(db, t.TempDir(), audit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	// The database keeps the system's time; the fake clock starts there, so that relationships hold from now on.
	c := clock.NewFake(time.Now())
	o := access.Options{DB: db, Audit: log, Clock: c}
	if change != nil {
		change(&o)
	}
	g, err := access.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	})
	return world{db, log, g, c}
}

func (w world) relate(t testing.TB, r access.Relationship) {
	t.Helper()
	if r.Kind == "" {
		r.Kind = "care-team"
	}
	err := w.db.Write(context.Background(), []store.Lane{w.gate.Lane(r.Tenant, r.Chart)}, func(tx *store.Tx) error { return w.gate.Relate(tx, r) })
	if err != nil {
		t.Fatal(err)
	}
}

func ann() access.Principal {
	return access.Principal{ID: "ann", Name: "Ann Archer", Role: access.Clinician, Organisation: hospital}
}

func observation(chart string) access.Place {
	return access.Place{Tenant: hospital, Chart: chart, Type: "Observation", ID: "7", Exists: true}
}

func TestAStrangerLearnsNothing(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		ctx := context.Background()
		_, err := w.gate.Decide(ctx, ann(), access.Read, observation("p1"))
		if !fault.Is(err, fault.NotFound) || fault.MessageOf(err) != fault.MessageOf(access.NotHere()) {
			t.Fatalf("a stranger was told %v", err)
		}
		w.relate(t, access.Relationship{Tenant: hospital, Chart: "p1", Organisation: hospital})
		g, err := w.gate.Decide(ctx, ann(), access.Read, observation("p1"))
		if err != nil || g.Basis() != "clinician-relationship: care-team" {
			t.Fatalf("with a relationship: %q %v", g.Basis(), err)
		}
		if err := w.gate.Account(ctx, []access.Grant{g}, nil); err != nil {
			t.Fatal(err)
		}
		page, err := w.log.Search(ctx, audit.Query{Tenant: hospital, Chart: "p1"})
		if err != nil || len(page.Entries) != 2 || page.Entries[0].Outcome != audit.OutcomeOK || page.Entries[1].Outcome != audit.OutcomeRefused {
			t.Fatalf("the account: %+v %v", page.Entries, err)
		}
	})
}

func TestAnActIsAccountedWhetherItSucceedsOrNot(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		ctx := context.Background()
		w.relate(t, access.Relationship{Tenant: hospital, Chart: "p1", User: "ann"})
		g, err := w.gate.Decide(ctx, ann(), access.Update, observation("p1"))
		if err != nil {
			t.Fatal(err)
		}
		act := func(fn func(tx *store.Tx) error) error { return w.gate.Act(ctx, []access.Grant{g}, nil, fn) }
		if err := act(func(tx *store.Tx) error { return nil }); err != nil {
			t.Fatal(err)
		}
		if err := act(func(tx *store.Tx) error { return fault.New(fault.Conflict, "somebody else was first") }); !fault.Is(err, fault.Conflict) {
			t.Fatalf("the act's own failure was lost: %v", err)
		}
		err = w.db.Write(ctx, []store.Lane{w.gate.Lane(hospital, "p1")}, func(tx *store.Tx) error {
			return w.gate.EndRelation(tx, access.Relationship{Tenant: hospital, Chart: "p1", User: "ann", Kind: "care-team"})
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := act(func(tx *store.Tx) error { t.Error("acted without a relationship"); return nil }); !fault.Is(err, fault.Forbidden) {
			t.Fatalf("after the relationship ended: %v", err)
		}
		page, err := w.log.Search(ctx, audit.Query{Tenant: hospital, Chart: "p1"})
		if err != nil || len(page.Entries) != 3 {
			t.Fatalf("the account: %+v %v", page.Entries, err)
		}
		for i, want := range []string{"refused", "failed conflict", "ok"} {
			if got := page.Entries[i].Outcome; got != want {
				t.Errorf("entry %d says %q, want %q", i, got, want)
			}
		}
	})
}

func migration(statements ...string) fstest.MapFS {
	return fstest.MapFS{"0001_test.sql": {Data: []byte(strings.Join(statements, ";\n") + ";\n")}}
}

func TestAGrantCoversItsPlaceOnly(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		w.relate(t, access.Relationship{Tenant: hospital, Chart: "p1", User: "ann"})
		g, err := w.gate.Decide(context.Background(), ann(), access.Read, observation("p1"))
		if err != nil {
			t.Fatal(err)
		}
		if err := g.Covers(observation("p1")); err != nil {
			t.Errorf("its own place: %v", err)
		}
		for name, change := range map[string]func(*access.Place){
			"tenant": func(p *access.Place) { p.Tenant = spine }, "chart": func(p *access.Place) { p.Chart = "p2" }, "type": func(p *access.Place) { p.Type = "Condition" },
			"id": func(p *access.Place) { p.ID = "8" }, "label": func(p *access.Place) { p.Label = access.Restricted },
		} {
			pl := observation("p1")
			change(&pl)
			if g.Covers(pl) == nil || (access.Grant{}).Covers(pl) == nil {
				t.Errorf("another %s is covered", name)
			}
		}
	})
}

func TestWhoRegistersAPersonHasARelationship(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		ctx := context.Background()
		pl := access.Place{Tenant: hospital, Chart: "new", Type: "Patient", ID: "new", Founding: true}
		grants, err := w.gate.DecideAll(ctx, ann(), []access.Act{{Action: access.Create, Place: pl},
			{Action: access.Create, Place: access.Place{Tenant: hospital, Chart: "new", Type: "Observation", ID: "o", Founding: true}}})
		if err != nil {
			t.Fatal(err)
		}
		err = w.gate.Act(ctx, grants, nil, func(tx *store.Tx) error {
			if grants[0].Entry() == 0 || grants[0].Entry() != grants[1].Entry() {
				return fault.New(fault.Internal, "one chart and action is one entry: %d and %d", grants[0].Entry(), grants[1].Entry())
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		colleague := ann()
		colleague.ID = "colleague"
		for _, p := range []access.Principal{ann(), colleague} {
			if _, err := w.gate.Decide(ctx, p, access.Read, observation("new")); err != nil {
				t.Errorf("%s: %v", p.ID, err)
			}
		}
		if _, err := w.gate.Decide(ctx, access.Principal{ID: "x", Role: access.Clinician, Organisation: pharmacy, Tenants: []ident.ODSCode{hospital}}, access.Read, observation("new")); !fault.Is(err, fault.NotFound) {
			t.Errorf("another organisation: %v", err)
		}
	})
}

func TestAFloodOfRefusalsIsNotAFloodOfCommits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := context.Background()
	for range 500 {
		if _, err := w.gate.Decide(ctx, ann(), access.Read, observation("p1")); !fault.Is(err, fault.NotFound) {
			t.Fatal(err)
		}
	}
	entries := func(want int) []audit.Entry {
		t.Helper()
		page, err := w.log.Search(ctx, audit.Query{Actor: "ann", Limit: 200})
		if err != nil || len(page.Entries) != want {
			t.Fatalf("%d entries, want %d: %v", len(page.Entries), want, err)
		}
		return page.Entries
	}
	if got := entries(60)[0].Detail; got != "Observation/7 (further refusals of this minute are counted)" {
		t.Errorf("the last that is written says %q", got)
	}
	if err := w.gate.Summarise(ctx, false); err != nil {
		t.Fatal(err)
	}
	entries(60) // the minute is not over
	from := w.clock.Now().UTC().Format(time.RFC3339)
	w.clock.Advance(2 * time.Minute)
	if _, err := w.gate.Decide(ctx, ann(), access.Read, observation("p1")); !fault.Is(err, fault.NotFound) {
		t.Fatal(err)
	}
	for range 2 {
		if err := w.gate.Summarise(ctx, false); err != nil {
			t.Fatal(err)
		}
	}
	sum := entries(62)[0]
	if sum.Action != "refusals" || sum.Detail != "440 further refusals from "+from+" to "+from || sum.ActorName != "Ann Archer" || sum.Outcome != audit.OutcomeRefused {
		t.Errorf("the sum is %+v", sum)
	}
	for range 70 {
		if _, err := w.gate.Decide(ctx, ann(), access.Read, observation("p1")); !fault.Is(err, fault.NotFound) {
			t.Fatal(err)
		}
	}
	stopped, stop := context.WithCancel(ctx)
	stop()
	if err := w.gate.Run(stopped); err != nil { // the node stops in the middle of the minute
		t.Fatal(err)
	}
	if got := entries(62 + 59 + 1)[0].Detail; !strings.HasPrefix(got, "11 further refusals from ") {
		t.Errorf("when the node stops: %q", got)
	}
}

// BenchmarkRead is a decision with its relationship looked up, and its entry committed: what each read of a chart costs beside the read.
func BenchmarkRead(b *testing.B) {
	w := newWorld(b)
	ctx := context.Background()
	for n := range 1000 {
		w.relate(b, access.Relationship{Tenant: hospital, Chart: fmt.Sprint(n), Organisation: hospital})
	}
	b.Run("decide", func(b *testing.B) {
		for b.Loop() {
			if _, err := w.gate.Decide(ctx, ann(), access.Read, observation("7")); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("decide and account, 64 callers", func(b *testing.B) {
		b.SetParallelism(32)
		var n atomic.Int64
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				g, err := w.gate.Decide(ctx, ann(), access.Read, observation(fmt.Sprint(n.Add(1)%1000)))
				if err == nil {
					err = w.gate.Account(ctx, []access.Grant{g}, nil)
				}
				if err != nil {
					b.Error(err)
				}
			}
		})
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "reads/s")
	})
}

func BenchmarkVerify(b *testing.B) {
	w := newWorld(b)
	k := withTokens(b, w)
	token := k.mint(b, ann())
	for b.Loop() {
		if _, err := k.verifier.Verify(context.Background(), token); err != nil {
			b.Fatal(err)
		}
	}
}
