package record_test

import (
	"context"
	"testing"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/record"
)

func TestAResourceIsWrittenReadCorrectedAndVoided(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		body := `{"resourceType":"Patient", "id":"p1","name":[{"family":"Ångström"}],"unknown":1.50}`
		v := w.put("%s", body)
		if v.Ver != 1 || v.Chart != "p1" || v.Op != record.Created {
			t.Fatalf("created %+v", v)
		}
		got, err := w.read(ref("Patient", "p1"))
		if err != nil {
			t.Fatal(err)
		}
		if string(got.Resource.JSON()) != body {
			t.Fatalf("kept %s", got.Resource.JSON())
		}
		served, err := fhir.Parse(got.Rendered())
		if err != nil || served.Get("meta.versionId").String() != "1" || served.ID() != "p1" {
			t.Fatalf("served %s %v", got.Rendered(), err)
		}
		if got.Actor != w.who.ID || got.Name != w.who.Name {
			t.Fatalf("written by %q %q", got.Actor, got.Name)
		}
		v = w.put(`{"resourceType":"Patient","id":"p1","active":true}`)
		if v.Ver != 2 || v.Op != record.Changed || v.Chart != "p1" {
			t.Fatalf("updated %+v", v)
		}
		w.must(record.Change{Verb: record.Delete, Ref: ref("Patient", "p1"), Reason: "entered in error"})
		_, err = w.read(ref("Patient", "p1"))
		isKind(t, err, fault.Gone)
		out, err := w.do(record.Change{Verb: record.Delete, Ref: ref("Patient", "p1")})
		if err != nil || !out.Nothing {
			t.Fatalf("deleting again: %+v %v", out, err)
		}
		v = w.put(`{"resourceType":"Patient","id":"p1","active":false}`)
		if v.Ver != 4 || v.Op != record.Created {
			t.Fatalf("written again %+v", v)
		}
		all := w.history(ref("Patient", "p1"), record.Period{})
		if len(all) != 4 || all[0].Ver != 4 || !all[1].Deleted || all[1].Reason != "entered in error" || string(all[3].Resource.JSON()) != body {
			t.Fatalf("history %+v", all)
		}
	})
}

func TestVersionsThatAreNamedMustBeCurrent(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		w.put(`{"resourceType":"Patient","id":"p1"}`)
		res := resource(t, `{"resourceType":"Patient","id":"p1","active":true}`)
		_, err := w.do(record.Change{Verb: record.Put, Ref: ref("Patient", "p1"), Resource: res, IfMatch: 2})
		isKind(t, err, fault.PreconditionFailed)
		w.must(record.Change{Verb: record.Put, Ref: ref("Patient", "p1"), Resource: res, IfMatch: 1})
		_, err = w.do(record.Change{Verb: record.Put, Ref: ref("Patient", "p1"), Resource: res, IfAbsent: true})
		isKind(t, err, fault.PreconditionFailed)
		_, err = w.do(record.Change{Verb: record.Delete, Ref: ref("Patient", "p1"), IfMatch: 1})
		isKind(t, err, fault.PreconditionFailed)
		_, err = w.do(record.Change{Verb: record.Delete, Ref: ref("Patient", "nobody")})
		isKind(t, err, fault.NotFound)
		_, err = w.do(record.Change{Verb: record.Put, Ref: ref("Patient", "p2"), Resource: resource(t, `{"resourceType":"Patient","id":"p2"}`), IfMatch: 1})
		isKind(t, err, fault.NotFound)
		_, err = w.do(record.Change{Verb: record.Put, Ref: ref("Patient", "spaced out"), Resource: res})
		isKind(t, err, fault.Invalid)
		_, err = w.do(record.Change{Verb: record.Put, Ref: ref("Person", "p1"), Resource: res})
		isKind(t, err, fault.Invalid)
	})
}

func TestAPatchIsMadeFromTheCurrentVersion(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		w.put(`{"resourceType":"Patient","id":"p1","gender":"male"}`)
		patch := func(r *fhir.Resource) (*fhir.Resource, error) {
			return r.Edit().Set(r.Root(), "gender", fhir.Of("other")).Done()
		}
		v := w.must(record.Change{Verb: record.Patch, Ref: ref("Patient", "p1"), Patch: patch})
		if v.Ver != 2 || v.Resource.Get("gender").String() != "other" {
			t.Fatalf("patched %+v %s", v, v.Resource)
		}
		w.must(record.Change{Verb: record.Delete, Ref: ref("Patient", "p1")})
		_, err := w.do(record.Change{Verb: record.Patch, Ref: ref("Patient", "p1"), Patch: patch})
		isKind(t, err, fault.Gone)
	})
}

func TestAResourceGoesToTheRightChart(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		for _, id := range []string{"p1", "p2", "p3"} {
			w.put(`{"resourceType":"Patient","id":"%s"}`, id)
		}
		w.put(`{"resourceType":"Observation","id":"o1","status":"final","subject":{"reference":"Patient/p1"}}`)
		w.put(`{"resourceType":"Observation","id":"o1","status":"final","subject":{"reference":"Patient/p2"}}`)
		v := w.put(`{"resourceType":"Observation","id":"o1","status":"final","subject":{"reference":"Patient/p3"}}`)
		if v.Ver != 3 || v.Chart != "p3" {
			t.Fatalf("moved %+v", v)
		}
		now, err := w.recs.Locate(context.Background(), ref("Observation", "o1"))
		if err != nil || now.Chart != "p3" {
			t.Fatalf("located %+v %v", now, err)
		}
		if all := w.history(ref("Observation", "o1"), record.Period{}); len(all) != 1 || all[0].Ver != 3 {
			t.Fatalf("a grant for the new chart shows %+v", all)
		}
		place, err := w.recs.LocateVersion(context.Background(), ref("Observation", "o1"), 2)
		if err != nil || place.Chart != "p2" {
			t.Fatalf("version 2 was in %+v %v", place, err)
		}
		old, err := w.recs.ReadVersion(context.Background(), w.grant(access.Read, place), ref("Observation", "o1"), 2)
		if err != nil || old.Resource.Get("subject.reference").String() != "Patient/p2" {
			t.Fatalf("version 2: %+v %v", old, err)
		}
		_, err = w.recs.ReadVersion(context.Background(), w.grant(access.Read, now), ref("Observation", "o1"), 1)
		isKind(t, err, fault.NotFound)
	})
}

func TestHistoryOfATypeAndOfAllPagesNewestFirst(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		for range 3 {
			for _, id := range []string{"a", "b", "c"} {
				w.put(`{"resourceType":"Patient","id":"%s"}`, id)
				w.put(`{"resourceType":"Organization","id":"%s"}`, id)
			}
		}
		s, err := w.gate.DecideSet(context.Background(), w.who, access.History, hospital, nil)
		if err != nil {
			t.Fatal(err)
		}
		for types, want := range map[string]int{"": 18, "Patient": 9} {
			var list []string
			if types != "" {
				list = []string{types}
			}
			seen := map[string]bool{}
			p := record.Period{Count: 4}
			var last record.Version
			for {
				page, err := w.recs.HistoryOf(context.Background(), s, list, p)
				if err != nil {
					t.Fatal(err)
				}
				for _, v := range page.Versions {
					if !last.At.IsZero() && v.At.After(last.At) {
						t.Fatal("not newest first")
					}
					last = v
					seen[v.Ref.String()+"/"+v.VersionID()] = true
					if v.Resource == nil || v.Actor == "" {
						t.Fatalf("incomplete %+v", v)
					}
				}
				if page.Next == "" {
					break
				}
				p.Cursor = page.Next
			}
			if len(seen) != want {
				t.Errorf("history of %q shows %d versions, want %d", types, len(seen), want)
			}
		}
		_, err = w.recs.HistoryOf(context.Background(), s, nil, record.Period{Cursor: "AAAA" + "AAAAAAAAAAAAAAAAAAAAAAAAAAAA"})
		isKind(t, err, fault.Invalid)
	})
}
