package sim_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/sim"
)

var update = flag.Bool("update", false, "write the golden files anew")

// Every resource is read by the strict parser: no empty value, no name twice.
func TestResourcesParse(t *testing.T) {
	for i := range country(t, 4, 1500).Items() {
		r, err := fhir.Parse(i.Resource)
		if err != nil {
			t.Fatalf("%s/%s: %v\n%s", i.Type, i.ID, err, i.Resource)
		}
		if r.Type() != i.Type || r.ID() != i.ID {
			t.Fatalf("%s/%s is read as %s/%s", i.Type, i.ID, r.Type(), r.ID())
		}
	}
}

// How many resources of each type the default country of seed 1 has, tenant by tenant.
func TestSummaryOfSeedOne(t *testing.T) {
	k := country(t, 1, sim.DefaultPeople)
	counts := map[string]int{}
	total, size := 0, 0
	for i := range k.Items() {
		counts[i.Tenant.String()+" "+i.Type]++
		total++
		size += len(i.Resource)
	}
	var lines []string
	for key, n := range counts {
		lines = append(lines, fmt.Sprintf("%-28s %6d", key, n))
	}
	slices.Sort(lines)
	kinds := map[string]int{}
	for r := range k.Relationships() {
		kinds[r.Kind]++
	}
	for _, kind := range []string{"registered", "patient", "nominated", "self"} {
		lines = append(lines, fmt.Sprintf("%-28s %6d", "relationship "+kind, kinds[kind]))
	}
	lines = append(lines, fmt.Sprintf("%-28s %6d", "resources", total), fmt.Sprintf("%-28s %6d", "kilobytes", size/1000))
	got := strings.Join(lines, "\n") + "\n"
	golden := filepath.Join("testdata", "seed1.txt")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil || got != string(want) {
		t.Errorf("%v; run the test with -update and read the difference\n%s", err, got)
	}
}

// A diabetic's chart tells a story: the blood sugar falls under treatment, and each part leads to the others.
func TestADiabeticsChart(t *testing.T) {
	k := country(t, 1, 2000)
	p, err := k.Character("correct")
	if err != nil {
		t.Fatal(err)
	}
	id := p.ChartAt(sim.Practice)
	var sugar []float64
	types := map[string]int{}
	metformin, diabetes := false, false
	for i := range k.Items() {
		if i.Tenant != sim.Practice || i.Chart != id {
			continue
		}
		types[i.Type]++
		s := string(i.Resource)
		metformin = metformin || i.Type == "MedicationRequest" && strings.Contains(s, "Metformin 500mg tablets")
		diabetes = diabetes || i.Type == "Condition" && strings.Contains(s, "44054006")
		if i.Type == "Observation" && strings.Contains(s, "999791000000106") {
			r, err := fhir.Parse(i.Resource)
			if err != nil {
				t.Fatal(err)
			}
			var v float64
			if _, err := fmt.Sscan(r.Get("valueQuantity.value").String(), &v); err != nil {
				t.Fatal(err)
			}
			sugar = append(sugar, v)
		}
	}
	if !metformin || !diabetes || len(sugar) < 3 || sugar[0] < sugar[len(sugar)-1] {
		t.Errorf("metformin %v, diabetes %v, HbA1c %v", metformin, diabetes, sugar)
	}
	for _, kind := range []string{"Patient", "Encounter", "Condition", "AllergyIntolerance", "MedicationRequest", "Observation", "DiagnosticReport", "DocumentReference", "Appointment", "Immunization"} {
		if types[kind] == 0 {
			t.Errorf("the chart has no %s: %v", kind, types)
		}
	}
}

// Nothing in a chart happens before birth, after death or, unless it is an appointment, after today.
func TestChartsKeepWithinLives(t *testing.T) {
	k := country(t, 6, 1500)
	people := map[string]*sim.Person{}
	for p := range k.Everyone() {
		for _, tenant := range sim.Tenants() {
			if id := p.ChartAt(tenant); id != "" {
				people[tenant.String()+id] = p
			}
		}
	}
	today := sim.DayOf(now)
	dates := map[string][]string{
		"Condition": {"onsetDateTime", "recordedDate", "abatementDateTime"}, "Observation": {"effectiveDateTime"}, "Encounter": {"period.start", "period.end"},
		"Procedure": {"performedDateTime"}, "Immunization": {"occurrenceDateTime"}, "MedicationRequest": {"authoredOn"},
		"DocumentReference": {"date"}, "DiagnosticReport": {"effectiveDateTime", "issued"}, "AllergyIntolerance": {"recordedDate"},
		"MedicationStatement": {"dateAsserted"},
	}
	known, none := 0, 0
	for i := range k.Items() {
		p := people[i.Tenant.String()+i.Chart]
		if p == nil || i.Chart == "" {
			continue
		}
		r, err := fhir.Parse(i.Resource)
		if err != nil {
			t.Fatal(err)
		}
		last := today
		if p.Died != 0 {
			last = p.Died
		}
		for _, path := range dates[i.Type] {
			if d := r.Get(path).String(); d != "" && (d[:10] < p.Born.String() || d[:10] > last.String()) {
				t.Errorf("%s/%s: %s is %s; born %s, last day %s", i.Type, i.ID, path, d, p.Born, last)
			}
		}
		if i.Type == "Encounter" && r.Get("period.start").String() > r.Get("period.end").String() {
			t.Errorf("Encounter/%s ends before it starts", i.ID)
		}
		if i.Type == "Appointment" && (p.Died != 0 || r.Get("start").String()[:10] < today.String()) {
			t.Errorf("Appointment/%s is for the dead or in the past", i.ID)
		}
		if i.Type == "AllergyIntolerance" {
			if r.Get("code.coding.0.code").String() == "716186003" {
				none++
			} else {
				known++
			}
		}
	}
	if known < 20 || none < known {
		t.Errorf("%d people have an allergy, %d have none known", known, none)
	}
}

func BenchmarkItems(b *testing.B) {
	k := country(b, 1, sim.DefaultPeople)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		for range k.Items() {
			n++
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "resources/s")
}
