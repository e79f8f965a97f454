package record_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/store/storetest"
)

// shelf is a keeper's table: what it was handed of each id, version by version. A transaction may run again, so it sets.
type shelf struct {
	held  map[string]map[string]string
	again int // transactions in which something was handed over again
}

func (s *shelf) of(id string) string {
	var list []string
	for ver, made := range s.held[id] {
		list = append(list, ver+made)
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

func (s *shelf) keeper(edition int, past bool) record.Keeper {
	s.held = map[string]map[string]string{}
	return record.Keeper{Name: "test", Edition: edition, Type: "Patient", Tenant: hospital, Past: past,
		Ready: func(_ record.Ref, res *fhir.Resource) (any, error) { return res.Get("gender").String(), nil },
		Keep: func(_ *store.Tx, kept []record.Kept) error {
			for _, k := range kept {
				made, _ := k.Made.(string)
				if k.Again {
					s.again++
				}
				if s.held[k.Version.ID] == nil || k.Again && !past {
					s.held[k.Version.ID] = map[string]string{}
				}
				s.held[k.Version.ID][k.Version.VersionID()] = made
			}
			return nil
		}}
}

// What was written before there was a keeper is handed to it, with what stood there before; a job that is cut off goes on; meanwhile the
// record says that the table is not whole; and it happens once for each edition.
func TestWhatWasWrittenBeforeAKeeperIsHandedToIt(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := over(t, db, record.Options{})
		const people = 350
		for i := range people {
			w.put(`{"resourceType":"Patient","id":"p%d","gender":"male"}`, i)
			if i%100 == 0 {
				w.put(`{"resourceType":"Patient","id":"p%d","gender":"female"}`, i)
			}
		}
		w.put(`{"resourceType":"Patient","id":"gone","gender":"male"}`)
		w.must(record.Change{Verb: record.Delete, Ref: ref("Patient", "gone")})
		w.put(`{"resourceType":"Organization","id":"o","name":"x"}`)

		var table shelf
		open := func(edition int, past bool) {
			t.Helper()
			w = over(t, db, record.Options{})
			w.recs.Keep(table.keeper(edition, past))
			if err := w.recs.Behind(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		open(1, true)
		if err := w.recs.Whole("test"); !fault.Is(err, fault.Unavailable) || !strings.Contains(fault.MessageOf(err), "0 of 350") {
			t.Fatalf("nothing has been handed over, and %v", err)
		}
		if err := w.recs.Whole("other"); err != nil {
			t.Errorf("another service's tables: %v", err)
		}
		ctx, cut := context.WithCancel(t.Context())
		if err := w.recs.Rekeep(ctx, func(p record.Progress) {
			if p.Done >= 100 {
				cut()
			}
		}); err != nil && ctx.Err() == nil {
			t.Fatal(err)
		}
		if err := w.recs.Whole("test"); err == nil {
			t.Fatal("a job that was cut off left the table whole")
		}
		first := maps.Clone(table.held)
		open(1, true)
		w.put(`{"resourceType":"Patient","id":"p349","gender":"other"}`)
		begun := int64(-1)
		if err := w.recs.Rekeep(t.Context(), func(p record.Progress) {
			if begun < 0 {
				begun = p.Done
			}
		}); err != nil {
			t.Fatal(err)
		}
		if err := w.recs.Whole("test"); err != nil {
			t.Error(err)
		}
		if begun <= 100 {
			t.Errorf("the second run was at %d after its first step: it began again", begun)
		}
		all := maps.Clone(first)
		maps.Copy(all, table.held)
		if len(all) != people || len(first) == 0 || len(first) == people {
			t.Errorf("%d of %d people were handed over, %d before the cut", len(all), people, len(first))
		}
		table.held = all
		if got := table.of("p100"); got != "1male 2female" {
			t.Errorf("of p100: %q", got)
		}
		if got := table.held["p349"]["2"]; got != "other" {
			t.Errorf("of one who was written meanwhile: %q", got)
		}

		table.again = 0
		open(1, true)
		if err := w.recs.Rekeep(t.Context(), nil); err != nil || table.again != 0 {
			t.Errorf("what is whole was handed over again (%d, %v)", table.again, err)
		}
		open(2, false)
		if err := w.recs.Rekeep(t.Context(), nil); err != nil || len(table.held) != people || table.again == 0 {
			t.Errorf("another edition was handed %d people (%v)", len(table.held), err)
		}
		if got := table.of("p100"); got != "2female" {
			t.Errorf("a keeper that wants no past was handed %q", got)
		}
		open(1, true)
		if err := w.recs.Whole("test"); err == nil {
			t.Error("an older edition takes the newer's rows for its own")
		}
	}, audit.Schema(), access.Schema(), record.Schema())
}

// A keeper over an empty record is whole.
func TestAKeeperOfAnEmptyRecordIsWhole(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		var table shelf
		w.put(`{"resourceType":"Organization","id":"o","name":"x"}`)
		w.recs.Keep(table.keeper(1, false))
		if err := w.recs.Behind(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := w.recs.Whole("test"); err != nil {
			t.Error(err)
		}
		w.put(`{"resourceType":"Patient","id":"p","gender":"male"}`)
		again := over(t, w.db, record.Options{})
		again.recs.Keep(table.keeper(1, false))
		if err := again.recs.Behind(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := again.recs.Whole("test"); err != nil {
			t.Error(err)
		}
	})
}
