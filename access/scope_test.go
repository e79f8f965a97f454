package access_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/store/storetest"
)

var scopeTable = []string{
	`CREATE TABLE test_resource (lane INTEGER NOT NULL, tenant TEXT NOT NULL, chart TEXT NOT NULL, type TEXT NOT NULL, id TEXT NOT NULL, label INTEGER NOT NULL, author TEXT NOT NULL, PRIMARY KEY (lane, tenant, type, id))`,
}

// For every role, type and tenant, the rows that a scope's SQL finds are exactly those that the rules show when asked one by one.
func TestAScopeFindsExactlyWhatTheRulesShow(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := over(t, db, nil)
		rng := rand.New(rand.NewPCG(1, 2))
		places := populate(t, w, rng)
		people := []access.Principal{
			ann(),
			{ID: "cat", Role: access.Clinician, Organisation: pharmacy},
			{ID: "kim", Role: access.Clerk, Organisation: hospital},
			{ID: "pat", Role: access.Patient, Person: "p3", Tenants: []ident.ODSCode{hospital}},
			{ID: "phil", Role: access.Pharmacist, Organisation: pharmacy},
			{ID: "pas", Role: access.SystemClient, Organisation: hospital, Scopes: []string{"system/*.read"}, Tenants: []ident.ODSCode{spine}},
			{ID: "app", Role: access.SystemClient, Organisation: pharmacy, Scopes: []string{"system/Observation.rs"}, Tenants: []ident.ODSCode{hospital}},
			{ID: "open", Role: access.Clinician, Organisation: pharmacy},
			{ID: "adam", Role: access.Administrator, Organisation: hospital},
			officer(),
		}
		w.relate(t, access.Relationship{Tenant: hospital, Chart: access.Everyone, User: "open"})
		w.relate(t, access.Relationship{Tenant: spine, Chart: access.Everyone, User: "open"})
		shown := 0
		for _, p := range people {
			for _, tenant := range []ident.ODSCode{hospital, spine} {
				for _, typ := range scopeTypes {
					shown += compare(t, w, p, tenant, typ, places)
				}
			}
		}
		if shown < 500 {
			t.Errorf("only %d rows were shown in all; the test shows too little", shown)
		}
	}, audit.Schema(), access.Schema(), store.Schema{Service: "test", FS: migration(scopeTable...)})
}

var scopeTypes = []string{"Patient", "Appointment", "MedicationRequest", "Observation", "Organization"}

// authors of what is unfiled.
var authors = []string{"ann", "cat", "kim", "pas", "nobody"}

func populate(t *testing.T, w world, rng *rand.Rand) []access.Place {
	t.Helper()
	var places []access.Place
	for _, tenant := range []ident.ODSCode{hospital, spine} {
		for n := range 24 {
			chart := fmt.Sprintf("p%d", n)
			randomBonds(t, w, rng, tenant, chart)
			for i, typ := range scopeTypes {
				pl := access.Place{Tenant: tenant, Chart: chart, Type: typ, ID: fmt.Sprintf("%s-%d", chart, i), Exists: true}
				if typ == "Patient" {
					pl.ID = chart
				}
				if typ == "Organization" || rng.IntN(5) == 0 && typ != "Patient" {
					pl.Chart = ""
					if author := rng.IntN(8); typ != "Organization" && author < len(authors) {
						pl.Author = authors[author]
					}
				}
				if rng.IntN(6) == 0 {
					pl.Label = access.Label(1 + rng.IntN(3))
				}
				places = append(places, pl)
			}
		}
	}
	for _, pl := range places {
		lane := w.gate.Lane(pl.Tenant, pl.Chart)
		err := w.db.Write(context.Background(), []store.Lane{lane}, func(tx *store.Tx) error {
			_, err := tx.Exec(`INSERT INTO test_resource (lane, tenant, chart, type, id, label, author) VALUES (?, ?, ?, ?, ?, ?, ?)`,
				int64(lane), pl.Tenant.String(), pl.Chart, pl.Type, pl.ID, int64(pl.Label), pl.Author)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return places
}

func randomBonds(t *testing.T, w world, rng *rand.Rand, tenant ident.ODSCode, chart string) {
	t.Helper()
	for _, user := range []string{"ann", "cat", "kim", "phil"} {
		switch rng.IntN(6) {
		case 0:
			w.relate(t, access.Relationship{Tenant: tenant, Chart: chart, User: user})
		case 1:
			w.relate(t, access.Relationship{Tenant: tenant, Chart: chart, User: user, Kind: access.KindBreakGlass, Until: time.Now().Add(time.Hour)})
		case 2:
			w.relate(t, access.Relationship{Tenant: tenant, Chart: chart, User: user, Kind: access.KindSelfClaimed, Until: time.Now().Add(time.Hour)})
		case 3:
			w.relate(t, access.Relationship{Tenant: tenant, Chart: chart, User: user, Until: time.Now().Add(-time.Hour)})
		}
	}
	for _, org := range []ident.ODSCode{hospital, pharmacy} {
		if rng.IntN(3) == 0 {
			w.relate(t, access.Relationship{Tenant: tenant, Chart: chart, Organisation: org})
		}
	}
	if rng.IntN(5) == 0 {
		err := w.db.Write(context.Background(), []store.Lane{w.gate.Lane(tenant, chart)}, func(tx *store.Tx) error {
			return w.gate.Restrict(tx, tenant, chart, access.Restricted, "test", "test")
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func compare(t *testing.T, w world, p access.Principal, tenant ident.ODSCode, typ string, places []access.Place) int {
	t.Helper()
	ctx := context.Background()
	want := map[string]bool{}
	for _, pl := range places {
		if pl.Tenant != tenant || pl.Type != typ {
			continue
		}
		_, err := w.gate.Decide(ctx, p, access.Search, pl)
		if err == nil {
			want[pl.ID] = true
		} else if !fault.Is(err, fault.NotFound) && !fault.Is(err, fault.Forbidden) {
			t.Fatal(err)
		}
	}
	s, err := w.gate.DecideSet(ctx, p, access.Search, tenant, []string{typ})
	if err != nil {
		if len(want) > 0 || !fault.Is(err, fault.Forbidden) {
			t.Errorf("%s of %s for %s: %v, but %d rows may be seen", typ, tenant, p.ID, err, len(want))
		}
		return 0
	}
	cond, args := s.SQL("r", typ)
	got := map[string]bool{}
	err = w.db.Read(ctx, func(tx *store.Tx) error {
		clear(got)
		rows, err := tx.Query(`SELECT r.id FROM test_resource r WHERE r.type = ? AND `+cond, append([]any{typ}, args...)...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id string
			if err := rows.Scan(&id); err != nil {
				return err
			}
			got[id] = true
		}
		return rows.Err()
	})
	if err != nil {
		t.Fatalf("%s of %s for %s: %v\n%s", typ, tenant, p.ID, err, cond)
	}
	var seen, unseen []access.Place
	for _, pl := range places {
		if pl.Tenant != tenant || pl.Type != typ {
			continue
		}
		if got[pl.ID] != want[pl.ID] {
			t.Errorf("%s %s (chart %q, label %d) of %s for %s: SQL %v, rules %v\n%s", typ, pl.ID, pl.Chart, pl.Label, tenant, p.ID, got[pl.ID], want[pl.ID], cond)
		}
		if want[pl.ID] {
			seen = append(seen, pl)
		} else {
			unseen = append(unseen, pl)
		}
	}
	err = w.db.Read(ctx, func(tx *store.Tx) error {
		if err := s.Permits(tx, seen...); err != nil {
			return err
		}
		for _, pl := range unseen {
			if s.Permits(tx, pl) == nil {
				return fault.New(fault.Internal, "the assertion let %s through", pl.ID)
			}
		}
		return nil
	})
	if err != nil {
		t.Errorf("%s of %s for %s: %v", typ, tenant, p.ID, err)
	}
	return len(seen)
}

func TestASearchIsOnTheAccountOfEachChartItShowed(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		ctx := context.Background()
		for _, chart := range []string{"p1", "p2"} {
			w.relate(t, access.Relationship{Tenant: hospital, Chart: chart, Organisation: hospital})
		}
		s, err := w.gate.DecideSet(ctx, ann(), access.Search, hospital, []string{"Observation"})
		if err != nil {
			t.Fatal(err)
		}
		for _, chart := range []string{"p1", "p1", "p2"} {
			s.Disclose(observation(chart))
		}
		if err := w.gate.Account(ctx, nil, []access.Scope{s}); err != nil {
			t.Fatal(err)
		}
		for chart, want := range map[string]string{"p1": "Observation ×2", "p2": "Observation/7"} {
			page, err := w.log.Search(ctx, audit.Query{Tenant: hospital, Chart: chart})
			if err != nil || len(page.Entries) != 1 || page.Entries[0].Detail != want {
				t.Errorf("%s: %+v %v", chart, page.Entries, err)
			}
		}
		none, err := w.gate.DecideSet(ctx, ann(), access.Search, hospital, []string{"Observation"})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.gate.Account(ctx, nil, []access.Scope{none}); err != nil {
			t.Fatal(err)
		}
		page, err := w.log.Search(ctx, audit.Query{Actor: "ann"})
		if err != nil || len(page.Entries) != 3 || page.Entries[0].Chart != "" {
			t.Errorf("a search that showed nobody: %+v %v", page.Entries, err)
		}
		var zero access.Scope
		if cond, _ := zero.SQL("r", "Patient"); cond != "r.tenant = ? AND (1 = 0)" {
			t.Errorf("a scope that nobody decided: %s", cond)
		}
	})
}
