package audit_test

import (
	"context"
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/store/storetest"
)

func TestEachEntryIsReachedByItsID(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l, ctx := openLog(t, db), context.Background()
		refused := look("9000000009", "bob")
		refused.Outcome = audit.OutcomeRefused
		write(t, db, l, look("9000000009", "ann"), look("9000000009", "ann"), look("9000000009", "ann"), refused, look("9000000017", "eve"))
		n := 0
		if err := l.Each(ctx, audit.Query{Tenant: spine, Limit: 2}, func(e audit.Entry) error { n++; return nil }); err != nil || n != 5 {
			t.Errorf("exported %d %v", n, err)
		}
		all, err := l.Search(ctx, audit.Query{})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range all.Entries {
			if got, err := l.ByID(ctx, e.ID()); err != nil || got != e {
				t.Errorf("%s is %+v %v", e.ID(), got, err)
			}
		}
		for _, id := range []string{"", "0", "0-999", "1-", "0-1x", "-1-1", "99999999-1", "00-1"} {
			if _, err := l.ByID(ctx, id); !fault.Is(err, fault.NotFound) {
				t.Errorf("%q: %v", id, err)
			}
		}
	})
}

func TestSearchNarrows(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l, ctx := openLog(t, db), context.Background()
		failed := look("9000000017", "bob")
		failed.Action, failed.Outcome = "update", "failed conflict"
		write(t, db, l, look("9000000009", "ann"), failed, look("9000000025", "ann"))
		for query, want := range map[string]int{
			"": 3, "patient=Patient/9000000009": 1, "patient=9000000017": 1, "patient=1": 0, "agent=ann": 2, "altid=x|bob": 1, "agent-organization=RXX": 3,
			"action=U": 1, "action=R": 2, "action=E": 0, "subtype=read": 2, "outcome=8": 1, "outcome=0": 2, "outcome=4": 0, "purpose=TREAT": 3,
			"date=ge2020-01-01": 3, "date=lt2020": 0, "date=ge2020-01&date=le2021-06-01": 0, "date=" + time.Now().UTC().Format("2006"): 3,
		} {
			v, err := url.ParseQuery(query)
			if err != nil {
				t.Fatal(err)
			}
			q, err := audit.ParseSearch(spine, v)
			if err != nil {
				t.Errorf("%s: %v", query, err)
				continue
			}
			page, err := l.Search(ctx, q)
			if err != nil || len(page.Entries) != want {
				t.Errorf("%s found %d, want %d: %v", query, len(page.Entries), want, err)
			}
		}
		for _, bad := range []string{"colour=red", "action=X", "outcome=1", "date=31", "agent-organization=?", "_count=many"} {
			v, _ := url.ParseQuery(bad)
			if _, err := audit.ParseSearch(spine, v); !fault.Is(err, fault.Invalid) {
				t.Errorf("%s: %v", bad, err)
			}
		}
		for _, bad := range []audit.Query{{Chart: "1"}, {Limit: 2000}, {After: "?"}, {After: "aGVsbG8"}} {
			if _, err := l.Search(ctx, bad); !fault.Is(err, fault.Invalid) {
				t.Errorf("%+v: %v", bad, err)
			}
		}
	})
}

func TestAnEntryIsAnAuditEvent(t *testing.T) {
	t.Parallel()
	e := look("9000000009", "ann")
	e.Lane, e.Seq, e.At = 3, 7, time.Date(2026, 11, 22, 9, 30, 0, 5000, time.UTC)
	r, err := audit.AuditEvent(e).Resource()
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"resourceType": "AuditEvent", "id": "3-7", "type.code": "rest", "subtype.0.code": "read", "action": "R", "outcome": "0",
		"recorded": "2026-11-22T09:30:00.000005Z", "purposeOfEvent.0.coding.0.code": "TREAT", "agent.0.who.identifier.value": "ann",
		"agent.0.who.display": "Dr ann", "agent.0.requestor": "true", "agent.1.who.identifier.value": "RXX", "agent.1.requestor": "false",
		"source.observer.identifier.value": "X26", "entity.0.what.reference": "Patient/9000000009", "entity.1.what.reference": "Observation/7",
		"entity.2.what.identifier.value": e.RequestID, "outcomeDesc": "",
	} {
		if got := r.Get(path).String(); got != want {
			t.Errorf("%s is %q, want %q", path, got, want)
		}
	}
	for _, action := range []string{"sign-in", "sign-out", "break-glass", "claim-relationship", "search", "export", "history", "create", "delete"} {
		e.Action, e.Detail, e.Chart, e.Outcome = action, "a reason in words / with a stroke", "", "failed conflict"
		r, err := audit.AuditEvent(e).Resource()
		if err != nil || r.Get("type.code").String() == "" || r.Get("subtype.0.code").String() == "" || r.Get("outcome").String() != "8" || r.Get("entity.0.what").Exists() {
			t.Errorf("%s: %v %s", action, err, r.JSON())
		}
	}
}

// A leaf is read strictly: what is accepted is written again byte for byte.
func FuzzLeaf(f *testing.F) {
	for _, seed := range []string{"", "openspine audit batch 1\nx\n0 1 1 1\n\n\n"} {
		f.Add([]byte(seed))
	}
	f.Add(audit.SampleLeaf())
	f.Fuzz(func(t *testing.T, b []byte) {
		again, err := audit.RoundTripLeaf(b)
		if err != nil && !fault.Is(err, fault.Invalid) {
			t.Errorf("%v", err)
		}
		if err == nil && string(again) != string(b) {
			t.Errorf("%q became %q", b, again)
		}
	})
}

// BenchmarkAppend writes entries of 64 callers through group commit and reports the bytes each takes on disk.
func BenchmarkAppend(b *testing.B) {
	db := storetest.Open(b, audit.Schema())
	l := openLog(b, db)
	ctx := context.Background()
	b.SetParallelism(32)
	next := make(chan int, b.N)
	for i := range b.N {
		next <- i
	}
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			e := look(fmt.Sprintf("90000%05d", (<-next)%20000), "ann")
			err := db.Write(ctx, []store.Lane{0}, func(tx *store.Tx) error {
				_, err := l.Append(tx, 0, e)
				return err
			})
			if err != nil {
				b.Error(err)
			}
		}
	})
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "entries/s")
	var pages, size int64
	if err := db.ReadNow(ctx, func(tx *store.Tx) error {
		if err := tx.QueryRow(`PRAGMA page_count`).Scan(&pages); err != nil {
			return err
		}
		return tx.QueryRow(`PRAGMA page_size`).Scan(&size)
	}); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(pages*size)/float64(b.N), "bytes/entry")
}
