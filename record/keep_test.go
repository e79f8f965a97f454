package record_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/store"
)

// What a keeper is handed is what the record says, whoever writes: new, changed, patched over a version that came between,
// voided, many at once; and what a keeper refuses is not written.
func TestAKeeperIsHandedEachVersionInItsOwnTransaction(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		var last []string
		refuse := false
		w.recs.Keep(record.Keeper{Name: "test", Type: "Patient", Tenant: hospital,
			Ready: func(_ record.Ref, res *fhir.Resource) (any, error) { return res.Get("gender").String(), nil },
			Keep: func(_ *store.Tx, kept []record.Kept) error {
				if refuse {
					return errors.New("not today")
				}
				last = nil
				for _, k := range kept {
					before := ""
					if k.Before != nil {
						before = k.Before.Get("gender").String()
					}
					made, _ := k.Made.(string)
					last = append(last, k.Version.ID+" "+k.Version.VersionID()+" "+before+">"+made)
				}
				return nil
			}})
		want := func(lines ...string) {
			t.Helper()
			if !slices.Equal(last, lines) {
				t.Fatalf("handed %q, want %q", last, lines)
			}
		}
		w.put(`{"resourceType":"Patient","id":"a","gender":"male"}`)
		want("a 1 >male")
		w.put(`{"resourceType":"Patient","id":"a","gender":"female"}`)
		want("a 2 male>female")
		between := false
		w.must(record.Change{Verb: record.Patch, Ref: ref("Patient", "a"), Patch: func(*fhir.Resource) (*fhir.Resource, error) {
			if !between {
				between = true
				w.put(`{"resourceType":"Patient","id":"a","gender":"other"}`)
			}
			return resource(t, `{"resourceType":"Patient","id":"a","gender":"unknown"}`), nil
		}})
		want("a 4 other>unknown")
		w.put(`{"resourceType":"Observation","id":"o","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/a"}}`)
		want("a 4 other>unknown")
		w.must(record.Change{Verb: record.Delete, Ref: ref("Patient", "a")})
		want("a 5 unknown>")

		var drafts []*record.Draft
		for _, id := range []string{"b", "c"} {
			d, err := w.recs.Prepare(t.Context(), record.Change{Verb: record.Put, Ref: ref("Patient", id), Resource: resource(t, `{"resourceType":"Patient","id":"%s","gender":"male"}`, id)})
			if err != nil {
				t.Fatal(err)
			}
			drafts = append(drafts, d)
		}
		grants, err := w.gate.DecideAll(t.Context(), w.who, append(drafts[0].Acts(), drafts[1].Acts()...))
		if err != nil {
			t.Fatal(err)
		}
		if err := w.gate.Act(t.Context(), grants, record.LanesOf(drafts...), func(tx *store.Tx) error {
			_, _, err := w.recs.ApplyAll(tx, drafts, grants...)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		want("b 1 >male", "c 1 >male")

		refuse = true
		if _, err := w.do(record.Change{Verb: record.Put, Ref: ref("Patient", "b"), Resource: resource(t, `{"resourceType":"Patient","id":"b"}`)}); err == nil {
			t.Fatal("what the keeper refused was written")
		}
		if v, err := w.read(ref("Patient", "b")); err != nil || v.Ver != 1 {
			t.Errorf("version %d is current: %v", v.Ver, err)
		}
	})
}
