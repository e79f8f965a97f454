package sim_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/spectest"
	"github.com/openspine/openspine/sim"
)

var now = time.Date(2026, 3, 2, 9, 30, 0, 0, time.UTC)

func country(t testing.TB, seed uint64, people int) *sim.Country {
	t.Helper()
	k, err := sim.New(sim.Config{Seed: seed, People: people, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func digest(k *sim.Country) (sum [32]byte, items int) {
	h := sha256.New()
	for i := range k.Items() {
		h.Write([]byte(i.Tenant.String() + i.Chart + i.Type + i.ID))
		h.Write(i.Resource)
		items++
	}
	copy(sum[:], h.Sum(nil))
	return sum, items
}

func TestTheSameSeedGivesTheSameCountry(t *testing.T) {
	a, n := digest(country(t, 7, 500))
	if b, m := digest(country(t, 7, 500)); a != b || n != m {
		t.Error("the same seed gave two countries")
	}
	if b, _ := digest(country(t, 8, 500)); a == b {
		t.Error("two seeds gave one country")
	}
}

func TestItemsAreSortedAndWhole(t *testing.T) {
	k := country(t, 1, 700)
	seen := map[string]bool{}
	lastTenant, lastChart, patient := "", "", ""
	for i := range k.Items() {
		tenant := i.Tenant.String()
		if tenant < lastTenant || tenant == lastTenant && i.Chart < lastChart {
			t.Fatalf("%s %s comes after %s %s", tenant, i.Chart, lastTenant, lastChart)
		}
		if i.Chart != "" && (tenant != lastTenant || i.Chart != lastChart) {
			if i.Type != "Patient" || i.ID != i.Chart {
				t.Fatalf("the chart %s/%s begins with %s/%s", tenant, i.Chart, i.Type, i.ID)
			}
			patient = i.ID
		}
		if i.Chart != "" && i.Chart != patient {
			t.Fatalf("%s/%s is in no chart", i.Type, i.ID)
		}
		lastTenant, lastChart = tenant, i.Chart
		key := tenant + "/" + i.Type + "/" + i.ID
		if seen[key] {
			t.Fatalf("%s comes twice", key)
		}
		seen[key] = true
		var r struct{ ResourceType, ID string }
		if err := json.Unmarshal(i.Resource, &r); err != nil || r.ResourceType != i.Type || r.ID != i.ID {
			t.Fatalf("%s: %v: %s", key, err, i.Resource)
		}
		if _, err := ident.ParseFHIRID(i.ID); err != nil {
			t.Fatalf("%s: %v", key, err)
		}
	}
}

// Every literal reference leads to a resource of the same tenant.
func TestReferencesLead(t *testing.T) {
	k := country(t, 3, 600)
	there, wanted := map[string]bool{}, map[string]string{}
	for i := range k.Items() {
		there[i.Tenant.String()+" "+i.Type+"/"+i.ID] = true
		var v any
		if err := json.Unmarshal(i.Resource, &v); err != nil {
			t.Fatal(err)
		}
		walk(v, func(key string, v any) {
			if s, ok := v.(string); ok && key == "reference" {
				wanted[i.Tenant.String()+" "+s] = i.Type + "/" + i.ID
			}
		})
	}
	for to, from := range wanted {
		if !there[to] {
			t.Errorf("%s leads to %s, which is not there", from, to)
		}
	}
}

func walk(v any, f func(key string, v any)) {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			f(k, x)
			walk(x, f)
		}
	case []any:
		for _, x := range v {
			walk(x, f)
		}
	}
}

func TestChunksAreTheWhole(t *testing.T) {
	k := country(t, 5, 300)
	var whole, parts []string
	for i := range k.Items() {
		whole = append(whole, string(i.Resource))
	}
	for _, c := range k.Chunks(77) {
		for i := range k.Chunk(c) {
			parts = append(parts, string(i.Resource))
		}
	}
	if !slices.Equal(whole, parts) {
		t.Errorf("%d resources whole, %d in chunks", len(whole), len(parts))
	}
}

// Chunks can be generated at the same time.
func TestChunksTogether(t *testing.T) {
	k := country(t, 5, 600)
	chunks := k.Chunks(100)
	parts := make([][]byte, len(chunks))
	var group sync.WaitGroup
	for n, c := range chunks {
		group.Go(func() {
			for i := range k.Chunk(c) {
				parts[n] = append(parts[n], i.Resource...)
			}
		})
	}
	group.Wait()
	var whole []byte
	for i := range k.Items() {
		whole = append(whole, i.Resource...)
	}
	if !bytes.Equal(whole, bytes.Join(parts, nil)) {
		t.Error("chunks generated together are not the country")
	}
}

func TestConfigIsChecked(t *testing.T) {
	for _, c := range []sim.Config{{People: 10, Now: now}, {People: 900_001, Now: now}, {People: 100}, {Now: now, Charts: -1}} {
		if _, err := sim.New(c); !fault.Is(err, fault.Invalid) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	k, err := sim.New(sim.Config{Now: now})
	if err != nil || k.People() != 2000 {
		t.Errorf("the default has %d people, %v", k.People(), err)
	}
	if _, err := k.Person(2000); !fault.Is(err, fault.NotFound) {
		t.Errorf("person 2000 of 2000: %v", err)
	}
}

func TestCodesAreNobodys(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(spectest.Dir(t, "ods"), "epraccur.csv"))
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range country(t, 1, 100).Organisations() {
		if strings.Contains(string(b), `"`+o.Code.String()+`"`) {
			t.Errorf("%s is somebody's code", o.Code)
		}
	}
	areas := map[string]bool{}
	for p := range country(t, 1, 500).Everyone() {
		for _, a := range p.Addresses {
			pc, err := ident.ParsePostcode(a.Postcode)
			if err != nil || pc.String() != a.Postcode {
				t.Fatalf("%q: %v", a.Postcode, err)
			}
			areas[pc.Area()] = true
		}
	}
	for area := range areas {
		for d := range 10 {
			if strings.Contains(string(b), `"`+area+string(rune('0'+d))) {
				t.Errorf("the postcode area %s is in use", area)
			}
		}
	}
}

// The published people are JSON-equal to their published examples, apart from version and time.
func TestPublishedPeopleAreEqual(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(spectest.Dir(t, "pds", "examples", "patientResponses"), "patient_*.json"))
	if err != nil || len(files) < 15 {
		t.Fatalf("%d published people, %v", len(files), err)
	}
	k := country(t, 1, 100)
	ours := map[string][]byte{}
	for _, p := range k.Published() {
		ours[p.NHSNumber.String()] = k.Patient(p)
	}
	if ours["9111231130"] != nil {
		t.Error("9111231130 is the published example of nobody")
	}
	if len(ours) != len(files) {
		t.Errorf("%d people, %d published", len(ours), len(files))
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		var want, got map[string]any
		if err := json.Unmarshal(b, &want); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(ours[want["id"].(string)], &got); err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		for _, v := range []map[string]any{want, got} {
			delete(v["meta"].(map[string]any), "versionId")
			delete(v["meta"].(map[string]any), "lastUpdated")
		}
		for key := range want {
			if !reflect.DeepEqual(want[key], got[key]) {
				t.Errorf("%s: %s\n have %v\n want %v", filepath.Base(f), key, got[key], want[key])
			}
		}
		if len(want) != len(got) {
			t.Errorf("%s has %d elements, ours %d", filepath.Base(f), len(want), len(got))
		}
	}
}

func TestUsersAndTour(t *testing.T) {
	k := country(t, 1, 2000)
	roles := map[string]int{}
	for _, u := range k.Users() {
		roles[u.Role]++
		if u.Name == "" || u.Organisation.IsZero() {
			t.Errorf("%+v", u)
		}
	}
	for _, role := range []string{"clinician", "clerk", "pharmacist", "manager", "patient", "privacy-officer", "auditor", "registrar", "administrator"} {
		if roles[role] == 0 {
			t.Errorf("nobody is a %s", role)
		}
	}
	tour, err := k.Tour()
	if err != nil || len(tour) < 6 {
		t.Fatalf("%d stops, %v", len(tour), err)
	}
	related := map[string]bool{} // national charts by who cares
	for r := range k.Relationships() {
		if r.Tenant == sim.National {
			related[r.Organisation.String()+r.User+" "+r.Chart] = true
		}
	}
	stops := map[string]string{}
	for _, s := range tour {
		if s.User.ID == "" || s.Person == nil {
			t.Errorf("%s: nobody: %+v", s.Do, s)
			continue
		}
		knows := related[s.User.Organisation.String()+" "+s.Chart] || related[s.User.ID+" "+s.Chart]
		if want := s.Do != "break-glass" && s.Do != "stranger" && s.Do != "look" && s.Do != "double"; knows != want {
			t.Errorf("%s: %s has a relationship with %s: %v", s.Do, s.User.ID, s.Person.Display(), knows)
		}
		stops[s.Do] = s.User.ID
		if s.Do == "break-glass" && !s.Person.Restricted {
			t.Error("breaking glass for somebody who is not restricted")
		}
	}
	if stops["refer"] != "gp" || stops["clinic"] != "clerk" {
		t.Errorf("the tour passes by nobody who refers and books: %v", stops)
	}
	if stops["double"] != "records" {
		t.Errorf("the tour passes by the records office: %v", stops)
	}
	for _, n := range []int{64, 2000, 5000} { // the cast has the same numbers in a country of any size
		p, err := country(t, 2, n).Character("correct")
		if err != nil || p.NHSNumber != tour[0].Person.NHSNumber || p.Names[0].Given[0] != "Goerge" {
			t.Errorf("in a country of %d: %v, %v", n, p, err)
		}
	}
}
