package record_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/store"
)

// notes is a watcher's own table, written in the transaction that hands a change on.
func notes(t *testing.T, w *world) func(tx *store.Tx, c record.Version) error {
	t.Helper()
	err := w.db.Write(context.Background(), nil, func(tx *store.Tx) error {
		_, err := tx.Exec(`CREATE TABLE IF NOT EXISTS noted (lane INTEGER NOT NULL, seq INTEGER NOT NULL, what TEXT NOT NULL, PRIMARY KEY (lane, seq))`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return func(tx *store.Tx, c record.Version) error {
		_, err := tx.Exec(`INSERT INTO noted (lane, seq, what) VALUES (?, ?, ?)`, c.Lane, c.Seq, fmt.Sprintf("%s/%s/%d in %s", c.Type, c.ID, c.Ver, c.Chart))
		return err
	}
}

func noted(t *testing.T, w *world) []string {
	t.Helper()
	var list []string
	err := w.db.Read(context.Background(), func(tx *store.Tx) error {
		list = nil
		rows, err := tx.Query(`SELECT what FROM noted ORDER BY lane, seq`)
		if err != nil {
			return err
		}
		for rows.Next() {
			var s string
			if err := rows.Scan(&s); err != nil {
				return err
			}
			list = append(list, s)
		}
		return rows.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestAWatchGetsEachChangeOnceAndAFailureStopsItsChartOnly(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		note := notes(t, w)
		broken := true
		feed, err := w.recs.Feed(record.FeedOptions{}, record.Watch{Name: "notes", Types: []string{"Observation"},
			Handle: func(_ context.Context, tx *store.Tx, c record.Version) error {
				if broken && c.ID == "o1" {
					return fault.New(fault.Unprocessable, "the laboratory does not know this code")
				}
				return note(tx, c)
			}})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range []string{"ann", "bob"} {
			w.put(`{"resourceType":"Patient","id":"%s"}`, p)
		}
		for i, p := range []string{"ann", "ann", "ann", "bob"} {
			w.put(`{"resourceType":"Observation","id":"o%d","subject":{"reference":"Patient/%s"}}`, i, p)
		}
		ctx := context.Background()
		if err := feed.Drain(ctx); err != nil {
			t.Fatal(err)
		}
		got := noted(t, w)
		slices.Sort(got)
		if want := []string{"Observation/o0/1 in ann", "Observation/o3/1 in bob"}; !slices.Equal(got, want) {
			t.Fatalf("handed on %q", got)
		}
		parked, err := feed.Parked(ctx)
		if err != nil || len(parked) != 2 || parked[0].Chart != "ann" || parked[0].Reason != "the laboratory does not know this code" || parked[1].Tries != 0 {
			t.Fatalf("parked %+v (%v)", parked, err)
		}
		if first := parked[0]; first.Type != "Observation" || first.Tenant != hospital || first.Behind != 1 || first.At.IsZero() || !first.Person() {
			t.Errorf("what is known of the first is %+v", first)
		}
		if sum, err := w.recs.ParkedSum(ctx); err != nil || sum.Count != 2 || !sum.Oldest.Equal(parked[0].At) {
			t.Errorf("in all %+v (%v)", sum, err)
		}
		broken = false
		if err := feed.Retry(ctx, parked[0], nil, nil); err != nil {
			t.Fatal(err)
		}
		w.put(`{"resourceType":"Observation","id":"o1","subject":{"reference":"Patient/bob"}}`)
		if err := feed.Drain(ctx); err != nil {
			t.Fatal(err)
		}
		got = noted(t, w)
		for _, want := range []string{"Observation/o1/1 in ann", "Observation/o2/1 in ann", "Observation/o1/2 in bob"} {
			if !slices.Contains(got, want) {
				t.Errorf("%q is missing from %q", want, got)
			}
		}
		if parked, err := feed.Parked(ctx); err != nil || len(parked) != 0 {
			t.Errorf("still parked: %+v (%v)", parked, err)
		}
	})
}

// A person gives up the first change that a chart holds up, and what they note of it is in the same commit; the rest is handed on.
func TestASkippedChangeIsLeftOutAndTheRestGoesOn(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		note := notes(t, w)
		feed, err := w.recs.Feed(record.FeedOptions{}, record.Watch{Name: "notes", Types: []string{"Observation"},
			Handle: func(_ context.Context, tx *store.Tx, c record.Version) error {
				if c.ID == "o0" {
					return fault.New(fault.Unprocessable, "no such code")
				}
				return note(tx, c)
			}})
		if err != nil {
			t.Fatal(err)
		}
		w.put(`{"resourceType":"Patient","id":"ann"}`)
		for i := range 3 {
			w.put(`{"resourceType":"Observation","id":"o%d","subject":{"reference":"Patient/ann"}}`, i)
		}
		ctx := context.Background()
		if err := feed.Drain(ctx); err != nil {
			t.Fatal(err)
		}
		parked, err := feed.Parked(ctx)
		if err != nil || len(parked) != 3 || len(noted(t, w)) != 0 {
			t.Fatalf("parked %+v (%v), handed on %q", parked, err, noted(t, w))
		}
		refuse := fault.New(fault.Forbidden, "not without a reason")
		if err := feed.Skip(ctx, parked[0], nil, func(*store.Tx) error { return refuse }); !fault.Is(err, fault.Forbidden) {
			t.Errorf("a skip whose note failed: %v", err)
		}
		if err := feed.Skip(ctx, parked[1], nil, nil); !fault.Is(err, fault.Conflict) {
			t.Errorf("a change behind another was skipped: %v", err)
		}
		told := 0
		if err := feed.Skip(ctx, parked[0], nil, func(*store.Tx) error { told++; return nil }); err != nil || told == 0 {
			t.Fatalf("%v; told %d times", err, told)
		}
		if got, want := noted(t, w), []string{"Observation/o1/1 in ann", "Observation/o2/1 in ann"}; !slices.Equal(got, want) {
			t.Errorf("handed on %q", got)
		}
		if err := feed.Skip(ctx, parked[0], nil, nil); !fault.Is(err, fault.Conflict) {
			t.Errorf("skipped twice: %v", err)
		}
		if sum, err := w.recs.ParkedSum(ctx); err != nil || sum.Count != 0 || !sum.Oldest.IsZero() {
			t.Errorf("still parked: %+v (%v)", sum, err)
		}
	})
}

func TestARunningFeedIsToldOfWrites(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		heard := make(chan string, 1000)
		feed, err := w.recs.Feed(record.FeedOptions{Poll: time.Hour}, record.Watch{Name: "ear", FromNow: true,
			Handle: func(_ context.Context, _ *store.Tx, c record.Version) error {
				heard <- c.ID
				return nil
			}})
		if err != nil {
			t.Fatal(err)
		}
		w.put(`{"resourceType":"Organization","id":"before"}`)
		if err := feed.Drain(context.Background()); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(context.Background())
		done := make(chan error)
		go func() { done <- feed.Run(ctx) }()
		w.put(`{"resourceType":"Organization","id":"before"}`)
		for {
			if id := <-heard; id != "before" {
				t.Errorf("heard %q", id)
			} else {
				break
			}
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestAWatchFromNowHearsTheFirstChangeOfALane: also of one that held nothing when the watch began, or before the program was started anew.
func TestAWatchFromNowHearsTheFirstChangeOfALane(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		var heard []string
		drain := func() {
			t.Helper()
			feed, err := w.recs.Feed(record.FeedOptions{}, record.Watch{Name: "ear", FromNow: true,
				Handle: func(_ context.Context, tx *store.Tx, c record.Version) error {
					heard = append(slices.DeleteFunc(heard, func(id string) bool { return id == c.ID }), c.ID)
					return nil
				}})
			if err != nil {
				t.Fatal(err)
			}
			if err := feed.Drain(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		w.put(`{"resourceType":"Organization","id":"before"}`)
		drain()
		for i := range 6 {
			w.put(`{"resourceType":"Patient","id":"p%d"}`, i)
		}
		drain()
		slices.Sort(heard)
		if want := []string{"p0", "p1", "p2", "p3", "p4", "p5"}; !slices.Equal(heard, want) {
			t.Errorf("heard %q, want %q", heard, want)
		}
	})
}

func TestAWatchOfWhatChangesIsNotHandedWhatIsNew(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		note := notes(t, w)
		feed, err := w.recs.Feed(record.FeedOptions{Batch: 1}, record.Watch{Name: "notes", Types: []string{"Observation"}, Later: true,
			Handle: func(_ context.Context, tx *store.Tx, c record.Version) error { return note(tx, c) }})
		if err != nil {
			t.Fatal(err)
		}
		write := func(status string) {
			w.put(`{"resourceType":"Patient","id":"ann","birthDate":"%s"}`, status)
			for _, id := range []string{"o1", "o2"} {
				w.put(`{"resourceType":"Observation","id":"%s","status":"final","subject":{"reference":"Patient/ann"},"issued":"%sT00:00:00Z"}`, id, status)
			}
		}
		var want []string
		for i, day := range []string{"2001-01-01", "2001-01-02", "2001-01-03"} {
			write(day)
			if err := feed.Drain(t.Context()); err != nil {
				t.Fatal(err)
			}
			if i > 0 {
				want = append(want, fmt.Sprintf("Observation/o1/%d in ann", i+1), fmt.Sprintf("Observation/o2/%d in ann", i+1))
			}
			if got := noted(t, w); !slices.Equal(got, want) {
				t.Fatalf("after %d rounds it was handed %q, want %q", i+1, got, want)
			}
		}
	})
}
