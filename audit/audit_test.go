package audit_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/store/storetest"
)

var spine = ident.MustODSCode("X26")

func openLog(t testing.TB, db *store.DB) *audit.Log {
	t.Helper()
	if err := db.Migrate(context.Background(), audit.Schema()); err != nil {
		t.Fatal(err)
	}
	l, err := audit.Open(db, t.TempDir(), audit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func write(t testing.TB, db *store.DB, l *audit.Log, entries ...audit.Entry) {
	t.Helper()
	for _, e := range entries {
		lane := db.LaneOf(e.Tenant.String(), e.Chart)
		if err := db.Write(context.Background(), []store.Lane{lane}, func(tx *store.Tx) error {
			_, err := l.Append(tx, lane, e)
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
}

func look(chart, actor string) audit.Entry {
	return audit.Entry{Tenant: spine, Chart: chart, Actor: actor, ActorName: "Dr " + actor, Role: "clinician",
		Organisation: ident.MustODSCode("RXX"), Action: "read", Purpose: "TREAT", Basis: "clinician-relationship: care-team",
		Outcome: audit.OutcomeOK, Detail: "Observation/7", RequestID: "60e0b220-8136-4ca5-ae46-1d97ef59d068"}
}

func TestWhatIsWrittenIsFound(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l := openLog(t, db)
		write(t, db, l, look("9000000009", "ann"), look("9000000009", "bob"), look("9000000017", "ann"))
		page, err := l.Search(context.Background(), audit.Query{Tenant: spine, Chart: "9000000009", Limit: 1})
		if err != nil || len(page.Entries) != 1 || page.Entries[0].Actor != "bob" || page.Next == "" {
			t.Fatalf("first page: %+v %v", page, err)
		}
		want := look("9000000009", "ann")
		page, err = l.Search(context.Background(), audit.Query{Tenant: spine, Chart: "9000000009", Limit: 1, After: page.Next})
		if err != nil || len(page.Entries) != 1 || page.Next != "" {
			t.Fatalf("second page: %+v %v", page, err)
		}
		got := page.Entries[0]
		want.Lane, want.Seq, want.At = got.Lane, got.Seq, got.At
		if got != want {
			t.Errorf("found %+v\nwrote %+v", got, want)
		}
		if n, err := l.Unsealed(context.Background()); n != 3 || err != nil {
			t.Errorf("unsealed: %d %v", n, err)
		}
		if err := l.Seal(context.Background()); err != nil {
			t.Fatal(err)
		}
		if n, err := l.Unsealed(context.Background()); n != 0 || err != nil {
			t.Errorf("unsealed after sealing: %d %v", n, err)
		}
	})
}

// What is written while the node runs and until it stops is sealed when Run returns.
func TestEverythingIsSealedWhenRunEnds(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l := openLog(t, db)
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan error)
		go func() { ended <- l.Run(ctx) }()
		var writers sync.WaitGroup
		for n := range 4 {
			writers.Go(func() {
				for i := range 10 {
					write(t, db, l, look(fmt.Sprintf("90000000%02d", n), fmt.Sprint("user", i)))
				}
			})
		}
		writers.Wait()
		stop()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		if n, err := l.Unsealed(context.Background()); n != 0 || err != nil {
			t.Errorf("unsealed after the end: %d %v", n, err)
		}
		report, err := l.Verify(context.Background())
		if err != nil || !report.OK() || report.Entries != 40 {
			t.Errorf("%v\n%s", err, report)
		}
	})
}
