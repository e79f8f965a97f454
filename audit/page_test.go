package audit_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/store/storetest"
)

// Whoever pages to the end and back again meets each page again as it was, for one chart, several and all.
func TestPagesAreTheSameForwardAndBackward(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l := openLog(t, db)
		charts := []string{"9000000009", "9000000017", "9000000025"}
		for i := range 23 {
			write(t, db, l, look(charts[i%3], fmt.Sprint("user", i%5)))
		}
		two := []audit.Chart{{Tenant: spine, Chart: charts[0]}, {Tenant: spine, Chart: charts[2]}}
		for name, c := range map[string]struct {
			q    audit.Query
			want int
		}{
			"one": {audit.Query{Tenant: spine, Chart: charts[0]}, 8}, "two": {audit.Query{Charts: two}, 15}, "all": {audit.Query{}, 23}, "an actor": {audit.Query{Actor: "user1"}, 5},
		} {
			c.q.Limit = 4
			if n, err := l.Count(context.Background(), c.q); err != nil || n != int64(c.want) {
				t.Errorf("%s: %d are counted, not %d: %v", name, n, c.want, err)
			}
			there(t, l, name, c.q, c.want)
		}
		if _, err := l.Search(context.Background(), audit.Query{After: "x", Before: "y"}); !fault.Is(err, fault.Invalid) {
			t.Errorf("two cursors at once: %v", err)
		}
	})
}

// there pages to the end and back.
func there(t *testing.T, l *audit.Log, name string, q audit.Query, want int) {
	t.Helper()
	var pages [][]audit.Entry
	total := 0
	for {
		page, err := l.Search(context.Background(), q)
		if err != nil || (page.Previous != "") != (len(pages) > 0) {
			t.Fatalf("%s, page %d: %v, previous %q", name, len(pages), err, page.Previous)
		}
		pages, total = append(pages, page.Entries), total+len(page.Entries)
		if page.Next == "" {
			q.Before, q.After = page.Previous, ""
			break
		}
		q.After = page.Next
	}
	if total != want {
		t.Fatalf("%s: %d entries are on the pages, not %d", name, total, want)
	}
	for i := len(pages) - 2; i >= 0; i-- {
		page, err := l.Search(context.Background(), q)
		if err != nil || fmt.Sprint(page.Entries) != fmt.Sprint(pages[i]) || page.Next == "" || (page.Previous != "") != (i > 0) {
			t.Fatalf("%s: going back to page %d: %v\n%v\n%v", name, i, err, page.Entries, pages[i])
		}
		q.Before = page.Previous
	}
}
