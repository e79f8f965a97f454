package messaging

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/clock"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/store/storetest"
)

// stateIn is the state of message n in a crowd.
func stateIn(n, many int) (s State, turn int64) {
	switch {
	case n%79 == 0:
		return Refused, 1
	case n == 60: // tried again
		return Delivered, 2
	case n == 50, n >= many-100: // held back, and not yet taken
		return Delivered, 0
	}
	return Handled, 1
}

// crowd is a post that holds many messages, all but a few of them handled, of one sender and one workflow: message n was sent in millisecond n.
func crowd(t *testing.T, db *store.DB, many int) *Post {
	t.Helper()
	p, err := New(t.Context(), Options{DB: db, Clock: clock.NewFake(time.UnixMilli(int64(many))), Tenants: []ident.ODSCode{ident.MustODSCode("X26")}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Write(t.Context(), nil, func(tx *store.Tx) error {
		if _, err := tx.Exec(`INSERT INTO post_queue (lane, queue, kind, name, life, incarnation) VALUES (0, 7, 'here', 'X26', 0, '')`); err != nil {
			return err
		}
		random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // of a test
		for n := range many {
			sender, recipient, workflow := "RQX", "X26", "usual"
			state, turn := stateIn(n, many)
			switch {
			case n%97 == 0:
				sender = "Y90001"
			case n%89 == 0:
				recipient = "Y90001"
			}
			if n%83 == 0 {
				workflow = "rare"
			}
			id := lowestID(time.UnixMilli(int64(n))) + fmt.Sprintf("%09d", random.IntN(1e9))
			if err := tx.Queue(`INSERT INTO post_message (lane, queue, num, state, turn, base, heard, at, delivered, ended, expires, size, hops, source, number, sender, recipient, workflow, conversation, id, files)
				VALUES (?, 7, ?, ?, ?, 0, 0, ?, ?, ?, 0, 0, 0, 0, 0, ?, ?, ?, '', ?, ?)`, n%3, n, int64(state), turn, n*1000, n*1000, n*1000, sender, recipient, workflow, id, putFiles(nil, nil)); err != nil {
				return err
			}
		}
		for lane := range 3 {
			if err := tx.Queue(`INSERT INTO post_stream (lane, queue, next, done, tried) VALUES (?, 7, ?, ?, 0)`, lane, many, many-101); err != nil {
				return err
			}
		}
		if err := tx.Queue(`INSERT INTO post_held (lane, queue, num, sender, conversation, why, tries, due, since, owner, reason) VALUES (?, 7, 50, 'RQX', 'c', 2, 0, 0, 1, 'nobody', '')`, 50%3); err != nil {
			return err
		}
		_, err := tx.Exec(`ANALYZE`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// plan is how an engine goes about a search, a step to a line.
func plan(t *testing.T, db *store.DB, q Query) string {
	t.Helper()
	explain := "EXPLAIN QUERY PLAN "
	if db.Engine() != "sqlite" {
		explain = "EXPLAIN "
	}
	var steps []string
	err := db.Read(t.Context(), func(tx *store.Tx) error {
		s := searching{tx: tx, q: q, limit: 50, window: searchWindow}
		if err := s.choose(); err != nil {
			return err
		}
		bound, err := s.bound()
		if err != nil {
			return err
		}
		text, args := s.statement(bound)
		rows, err := tx.Query(explain+text, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id, parent, unused int64
			var step string
			dest := []any{&step}
			if db.Engine() == "sqlite" {
				dest = []any{&id, &parent, &unused, &step}
			}
			if err := rows.Scan(dest...); err != nil {
				return err
			}
			steps = append(steps, step)
		}
		return rows.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(steps, "\n")
}

// Whatever is looked for, a search reads the index that narrows most, and no more of the messages than a window.
func TestASearchReadsAnIndex(t *testing.T) {
	rare := ident.MustODSCode("Y90001")
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		crowd(t, db, 5_000)
		for name, c := range map[string]struct {
			q    Query
			want []string
		}{
			"an organisation":                     {Query{Organisation: rare}, []string{"post_message_sender", "post_message_recipient"}},
			"a workflow":                          {Query{Workflow: "rare"}, []string{"post_message_workflow"}},
			"refused":                             {Query{States: []State{Refused}}, []string{"post_message_open"}},
			"delivered":                           {Query{States: []State{Delivered}}, []string{"post_message_open"}},
			"parked or refused":                   {Query{States: []State{Refused, Parked}}, []string{"post_message_open"}},
			"refused of one that sends all":       {Query{States: []State{Refused}, Organisation: ident.MustODSCode("RQX")}, []string{"post_message_open"}},
			"the rare workflow of one of many":    {Query{Workflow: "rare", Organisation: ident.MustODSCode("RQX")}, []string{"post_message_workflow"}},
			"of a rare organisation and handled":  {Query{Organisation: rare, States: []State{Handled}}, []string{"post_message_sender", "post_message_recipient"}},
			"the latest":                          {Query{}, []string{"post_message_id"}},
			"by id":                               {Query{ID: "0000000000000000000"[:18]}, []string{"post_message_id"}},
			"of a minute, handled, the usual way": {Query{From: time.UnixMilli(100), To: time.UnixMilli(900), States: []State{Handled}}, []string{"post_message_id"}},
		} {
			got := plan(t, db, c.q)
			for _, index := range c.want {
				if !strings.Contains(got, index) {
					t.Errorf("%s: the plan does not read %s:\n%s", name, index, got)
				}
			}
			for _, bad := range []string{"Seq Scan on post_message", "SCAN m\n", "SCAN m USING PRIMARY"} {
				if strings.Contains(got+"\n", bad) {
					t.Errorf("%s: the plan reads all messages:\n%s", name, got)
				}
			}
		}
	}, Schema())
}

// A search finds what a look at every message finds, in order, page by page, each once; also where it looks at a window at a time.
func TestASearchFindsWhatThereIs(t *testing.T) {
	const window, many = 1000, 2500
	db := storetest.Open(t, Schema())
	p := crowd(t, db, many)
	handled := func(n int) bool { s, _ := stateIn(n, many); return s == Handled }
	usual, rare := ident.MustODSCode("RQX"), ident.MustODSCode("Y90001")
	for name, c := range map[string]struct {
		q    Query
		want func(n int) bool
	}{
		"an organisation":     {Query{Organisation: rare}, func(n int) bool { return n%97 == 0 || n%89 == 0 }},
		"two that are common": {Query{Organisation: usual, Workflow: "usual", States: []State{Handled}, Limit: 500}, func(n int) bool { return n%97 != 0 && n%83 != 0 && handled(n) }},
		"rare of a common one": {Query{Organisation: usual, Workflow: "rare", Limit: 7}, func(n int) bool {
			return n%97 != 0 && n%83 == 0
		}},
		"delivered": {Query{States: []State{Delivered}, Limit: 7}, func(n int) bool { s, _ := stateIn(n, many); return s == Delivered }},
		"refused":   {Query{States: []State{Refused, Expired}, Limit: 3}, func(n int) bool { return n%79 == 0 }},
		"a moment":  {Query{From: time.UnixMilli(500), To: time.UnixMilli(2500), States: []State{Handled, Refused}, Workflow: "rare"}, func(n int) bool { s, _ := stateIn(n, many); return n >= 500 && n < 2500 && n%83 == 0 && s != Delivered }},
	} {
		for _, oldest := range []bool{false, true} {
			q := c.q
			q.Oldest = oldest
			var got, want []int
			for n := range many {
				if c.want(n) {
					want = append(want, n)
				}
			}
			if !oldest {
				slices.Reverse(want)
			}
			for pages := 0; ; pages++ {
				list, next, err := p.search(t.Context(), q, window)
				if err != nil || pages > many {
					t.Fatal(name, pages, err)
				}
				for _, it := range list {
					got = append(got, int(it.Ref.Num))
				}
				if next == nil {
					break
				}
				if q.After, err = ParsePage(next.String()); err != nil {
					t.Fatal(err)
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s, oldest first %v: found %d, there are %d", name, oldest, len(got), len(want))
			}
		}
	}
}
