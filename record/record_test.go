package record_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/store/storetest"
)

var (
	spine    = ident.MustODSCode("X26")
	hospital = ident.MustODSCode("RZ9")
)

// world is a record with the gate before it, over an empty database.
type world struct {
	t    testing.TB
	db   *store.DB
	gate *access.Gate
	recs *record.Records
	who  access.Principal
}

func each(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, db *store.DB) { test(t, over(t, db, record.Options{})) }, audit.Schema(), access.Schema(), record.Schema())
	t.Run("sqlite with lanes", func(t *testing.T) { // as a backup of PostgreSQL is restored to
		db := storetest.OpenWith(t, store.Options{Lanes: 16}, audit.Schema(), access.Schema(), record.Schema())
		test(t, over(t, db, record.Options{}))
	})
}

func over(t testing.TB, db *store.DB, o record.Options) *world {
	t.Helper()
	log, err := audit.Open(db, t.TempDir(), audit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	gate, err := access.Open(access.Options{DB: db, Audit: log})
	if err != nil {
		t.Fatal(err)
	}
	o.DB = db
	recs, err := record.Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		recs.Close()
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	})
	return &world{t, db, gate, recs, access.Service("test", hospital)}
}

func (w *world) as(p access.Principal) *world {
	other := *w
	other.who = p
	return &other
}

func ref(typ, id string) record.Ref { return record.Ref{Tenant: hospital, Type: typ, ID: id} }

func resource(t testing.TB, format string, args ...any) *fhir.Resource {
	t.Helper()
	res, err := fhir.Parse([]byte(fmt.Sprintf(format, args...)))
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// do prepares, decides and applies a change, again when the world moved.
func (w *world) do(c record.Change) (out record.Outcome, err error) {
	ctx := context.Background()
	err = record.Retry(200, func() error {
		d, err := w.recs.Prepare(ctx, c)
		if err != nil {
			return err
		}
		if v, ok := d.Matched(); ok {
			out = record.Outcome{Version: v, Matched: true}
			return nil
		}
		if len(d.Acts()) == 0 {
			out = record.Outcome{Nothing: true}
			return nil
		}
		grants, err := w.gate.DecideAll(ctx, w.who, d.Acts())
		if err != nil {
			return err
		}
		return w.gate.Act(ctx, grants, d.Lanes(), func(tx *store.Tx) error {
			out, err = w.recs.Apply(tx, d, grants...)
			return err
		})
	})
	return out, err
}

func (w *world) must(c record.Change) record.Version {
	w.t.Helper()
	out, err := w.do(c)
	if err != nil {
		w.t.Fatal(err)
	}
	return out.Version
}

func (w *world) put(format string, args ...any) record.Version {
	w.t.Helper()
	res := resource(w.t, format, args...)
	return w.must(record.Change{Verb: record.Put, Ref: ref(res.Type(), res.ID()), Resource: res})
}

func (w *world) grant(a access.Action, place access.Place) access.Grant {
	w.t.Helper()
	g, err := w.gate.Decide(context.Background(), w.who, a, place)
	if err != nil {
		w.t.Fatal(err)
	}
	return g
}

func (w *world) read(r record.Ref) (record.Version, error) {
	w.t.Helper()
	place, err := w.recs.Locate(context.Background(), r)
	if err != nil {
		return record.Version{}, err
	}
	g, err := w.gate.Decide(context.Background(), w.who, access.Read, place)
	if err != nil {
		return record.Version{}, err
	}
	return w.recs.Read(context.Background(), g, r)
}

func (w *world) history(r record.Ref, p record.Period) []record.Version {
	w.t.Helper()
	place, err := w.recs.Locate(context.Background(), r)
	if err != nil {
		w.t.Fatal(err)
	}
	page, err := w.recs.History(context.Background(), w.grant(access.History, place), r, p)
	if err != nil {
		w.t.Fatal(err)
	}
	return page.Versions
}

func isKind(t testing.TB, err error, k fault.Kind) {
	t.Helper()
	if !fault.Is(err, k) {
		t.Errorf("want %v, got %v", k, err)
	}
}

// Several processes may share a PostgreSQL database: what one of them writes for the first time, the others find.
func TestAnotherProcessFindsWhatIsNew(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		there := *w
		var err error
		if there.recs, err = record.Open(context.Background(), record.Options{DB: w.db}); err != nil {
			t.Fatal(err)
		}
		defer there.recs.Close()
		w.put(`{"resourceType":"Patient","id":"p","name":[{"family":"Lister"}]}`)
		if _, err := there.read(ref("Patient", "p")); err != nil {
			t.Errorf("the other process does not find it by its id: %v", err)
		}
		w.put(`{"resourceType":"Patient","id":"q","birthDate":"1970-01-01"}`)
		w.put(`{"resourceType":"Observation","id":"o","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/q"}}`)
		for query, want := range map[string]int{"Patient?family=lister": 1, "Patient?birthdate=1970": 1, "Patient?_sort=birthdate": 2, "Observation?patient=q": 1} {
			page, err := there.find(query)
			if err != nil {
				t.Fatal(err)
			}
			if len(page.Matches) != want {
				t.Errorf("%s finds %d in the other process, want %d", query, len(page.Matches), want)
			}
		}
	})
}
