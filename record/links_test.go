package record_test

import (
	"context"
	"slices"
	"testing"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/store/storetest"
)

func TestAMergeJoinsChartsAndAnUnmergePartsThem(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		var grants []access.Grant
		for _, id := range []string{"old", "new", "third"} {
			w.put(`{"resourceType":"Patient","id":"%s"}`, id)
			place, err := w.recs.Locate(ctx, ref("Patient", id))
			if err != nil {
				t.Fatal(err)
			}
			grants = append(grants, w.grant(access.Update, place))
		}
		link := func(fn func(tx *store.Tx) error) error {
			lanes := append(w.recs.LinkLanes(hospital, "old", "new"), w.recs.LinkLanes(hospital, "third", "new")...)
			return w.gate.Act(ctx, grants, lanes, fn)
		}
		merge := func(chart, into string) error {
			return link(func(tx *store.Tx) error {
				return w.recs.Merge(tx, w.gate, hospital, chart, into, "registered twice", grants...)
			})
		}
		if err := merge("old", "new"); err != nil {
			t.Fatal(err)
		}
		isKind(t, merge("old", "third"), fault.Conflict)
		isKind(t, merge("new", "old"), fault.Conflict)
		if err := merge("third", "new"); err != nil {
			t.Fatal(err)
		}
		for _, id := range []string{"old", "new", "third"} {
			if charts, err := w.recs.Charts(ctx, hospital, id); err != nil || !slices.Equal(charts, []string{"new", "old", "third"}) {
				t.Errorf("%s is one with %v (%v)", id, charts, err)
			}
		}
		err := link(func(tx *store.Tx) error {
			return w.recs.Unmerge(tx, w.gate, hospital, "old", "new", "two people after all", grants...)
		})
		if err != nil {
			t.Fatal(err)
		}
		if charts, err := w.recs.Charts(ctx, hospital, "old"); err != nil || !slices.Equal(charts, []string{"old"}) {
			t.Errorf("after the unmerge old is one with %v (%v)", charts, err)
		}
		links, err := w.recs.Links(ctx, hospital, "old")
		if err != nil || len(links) != 1 || links[0].Until.IsZero() || links[0].EndedReason != "two people after all" {
			t.Errorf("links %+v (%v)", links, err)
		}
	})
}

func TestCountsFollowWhatIsWritten(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		for i := range 5 {
			w.put(`{"resourceType":"Patient","id":"p%d"}`, i)
			w.put(`{"resourceType":"Patient","id":"p%d","active":true}`, i)
		}
		w.must(record.Change{Verb: record.Delete, Ref: ref("Patient", "p0")})
		w.put(`{"resourceType":"Organization","id":"o"}`)
		counts, err := w.recs.Counts(context.Background())
		want := []record.Count{{Tenant: hospital, Type: "Organization", Live: 1}, {Tenant: hospital, Type: "Patient", Live: 4}}
		if err != nil || !slices.Equal(counts, want) {
			t.Errorf("%v %v", counts, err)
		}
	})
}

func TestANewProfileIsIndexedByAJobThatGoesOn(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		none := record.Options{Profile: func(string, string) bool { return false }}
		w := over(t, db, none)
		indexed := func(when string, want bool) {
			t.Helper()
			if got, err := w.recs.Indexed(t.Context()); err != nil || got != want {
				t.Errorf("%s: known to be indexed is %v (%v)", when, got, err)
			}
		}
		indexed("with nothing", true)
		for i := range 450 {
			w.put(`{"resourceType":"Organization","id":"o%d","name":"Name %d"}`, i, i%3)
		}
		indexed("with what was written by this edition", true)
		w = over(t, db, record.Options{})
		indexed("with another profile", false)
		ctx, stop := context.WithCancel(context.Background())
		steps := 0
		if err := w.recs.Reindex(ctx, func(record.Progress) {
			if steps++; steps == 1 {
				stop()
			}
		}); err != nil && ctx.Err() == nil {
			t.Fatal(err)
		}
		indexed("cut off", false)
		var last record.Progress
		if err := w.recs.Reindex(context.Background(), func(p record.Progress) { last = p }); err != nil {
			t.Fatal(err)
		}
		if last.Total != 450 || last.Wrote == 0 || last.Wrote >= 450 {
			t.Errorf("the second run did %+v", last)
		}
		indexed("done", true)
		page, err := w.find("Organization?name=name+1&_count=1000")
		if err != nil || len(page.Matches) != 150 {
			t.Errorf("%d found (%v)", len(page.Matches), err)
		}
		var old int
		err = db.Read(context.Background(), func(tx *store.Tx) error {
			return tx.QueryRow(`SELECT count(DISTINCT i.param) FROM idx_hash i WHERE NOT EXISTS (SELECT 1 FROM record_word w WHERE w.space = 2 AND w.num = i.param)`).Scan(&old)
		})
		if err != nil || old != 0 {
			t.Errorf("%d parameters have rows and no word (%v)", old, err)
		}
	}, audit.Schema(), access.Schema(), record.Schema())
}
