package audit_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/store/storetest"
)

// Many who have only an entry to write share commits; each entry is there once when its caller is told so, and one that cannot
// be written fails alone.
func TestRecordedEntriesShareCommitsAndFailAlone(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l := openLog(t, db)
		ctx := context.Background()
		const callers, each = 32, 5
		var wg sync.WaitGroup
		for c := range callers {
			wg.Go(func() {
				for i := range each {
					e := look(fmt.Sprintf("90000000%02d", i), fmt.Sprint("user", c))
					lane := db.LaneOf(e.Tenant.String(), e.Chart)
					if c == 7 {
						lane = store.Lane(db.Lanes()) // there is no such lane
					}
					if err := l.Record(ctx, audit.Placed{Lane: lane, Entry: e}); (err != nil) != (c == 7) {
						t.Errorf("caller %d: %v", c, err)
					}
				}
			})
		}
		wg.Wait()
		for c := range callers {
			page, err := l.Search(ctx, audit.Query{Actor: fmt.Sprint("user", c)})
			want := each
			if c == 7 {
				want = 0
			}
			if err != nil || len(page.Entries) != want {
				t.Errorf("caller %d has %d entries, want %d: %v", c, len(page.Entries), want, err)
			}
		}
		if err := l.Seal(ctx); err != nil {
			t.Fatal(err)
		}
		if report, err := l.Verify(ctx); err != nil || !report.OK() || report.Entries != (callers-1)*each {
			t.Errorf("%v\n%s", err, report)
		}
	})
}

// Whoever goes away while waiting is not waited for, and those who stay are written.
func TestWhoeverGoesAwayHoldsUpNobody(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l := openLog(t, db)
		var wg sync.WaitGroup
		for c := range 24 {
			ctx, leave := context.WithCancel(context.Background())
			wg.Go(func() {
				defer leave()
				if c%3 == 0 {
					go leave()
				}
				e := look("9000000009", fmt.Sprint("user", c))
				err := l.Record(ctx, audit.Placed{Lane: db.LaneOf(e.Tenant.String(), e.Chart), Entry: e})
				if err != nil && !errors.Is(err, context.Canceled) || err != nil && c%3 != 0 {
					t.Errorf("caller %d: %v", c, err)
				}
			})
		}
		wg.Wait()
		for c := range 24 {
			page, err := l.Search(context.Background(), audit.Query{Actor: fmt.Sprint("user", c)})
			if err != nil || len(page.Entries) > 1 || len(page.Entries) == 0 && c%3 != 0 {
				t.Errorf("caller %d has %d entries: %v", c, len(page.Entries), err)
			}
		}
	})
}

// Entries of one act go down together, in their order and without gaps, names that repeat and names that are new alike.
func TestManyEntriesAreAppendedInOrder(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l := openLog(t, db)
		lane := db.LaneOf(spine.String(), "")
		var entries []audit.Placed
		for i := range 150 {
			entries = append(entries, audit.Placed{Lane: lane, Entry: look(fmt.Sprintf("9%09d", i/2), "ann")})
		}
		for round := range 2 {
			var seqs []int64
			if err := db.Write(context.Background(), []store.Lane{lane}, func(tx *store.Tx) (err error) {
				seqs, err = l.AppendAll(tx, entries)
				return err
			}); err != nil {
				t.Fatal(err)
			}
			for i, seq := range seqs {
				if want := int64(round*len(entries) + i + 1); seq != want {
					t.Fatalf("entry %d of round %d has the sequence %d, want %d", i, round, seq, want)
				}
			}
			if err := l.Seal(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		page, err := l.Search(context.Background(), audit.Query{Tenant: spine, Chart: "9000000074"})
		if db.Lanes() == 1 && (err != nil || len(page.Entries) != 4) {
			t.Errorf("a chart with two entries in each of two rounds has %d: %v", len(page.Entries), err)
		}
		if report, err := l.Verify(context.Background()); err != nil || !report.OK() || report.Entries != 300 {
			t.Errorf("%v\n%s", err, report)
		}
	})
}
