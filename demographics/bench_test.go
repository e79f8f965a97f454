package demographics_test

import (
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/demographics"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/sim"
)

var people = flag.Int("people", 20_000, "how many people BenchmarkPublished loads")

// BenchmarkPublished times reads and searches of a register of -people, handler to answer, the account written; it reports the median
// and the 99th percentile in microseconds.
func BenchmarkPublished(b *testing.B) {
	w := newWorld(b, "")
	k, err := sim.New(sim.Config{Seed: 1, People: *people, Now: today})
	if err != nil {
		b.Fatal(err)
	}
	l := w.node.Loader("bench", national, nil)
	var sample []*sim.Person
	begun := time.Now()
	for p := range k.Everyone() {
		res, err := fhir.Parse(k.Patient(p))
		if err != nil {
			b.Fatal(err)
		}
		if err := l.Add(b.Context(), res); err != nil {
			b.Fatal(err)
		}
		if p.Index%(*people/500+1) == 0 && !p.Restricted {
			sample = append(sample, p)
		}
	}
	if err := l.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.Logf("%d people in %v", *people, time.Since(begun).Round(time.Millisecond))
	w.time.Advance(time.Second)
	token, err := w.node.Kernel().Issuer.Mint(staff(access.Clinician, "bench"), time.Hour)
	if err != nil {
		b.Fatal(err)
	}
	for _, kind := range []struct {
		name string
		path func(p *sim.Person) string
	}{
		{"read", func(p *sim.Person) string { return "/Patient/" + p.NHSNumber.String() }},
		{"exact", func(p *sim.Person) string {
			return query("family", p.Names[0].Family, "given", p.Names[0].Given[0], "birthdate", "eq"+p.Born.String())
		}},
		{"wildcard", func(p *sim.Person) string {
			return query("family", string([]rune(p.Names[0].Family)[:2])+"*", "birthdate", "eq"+p.Born.String(), "address-postalcode", p.Addresses[0].Postcode[:2]+"*")
		}},
		{"fuzzy", func(p *sim.Person) string {
			return query("_fuzzy-match", "true", "family", p.Names[0].Family+"e", "given", p.Names[0].Given[0], "birthdate", "eq"+p.Born.String())
		}},
		{"fuzzy range", func(p *sim.Person) string {
			return query("_fuzzy-match", "true", "family", p.Names[0].Family, "given", p.Names[0].Given[0], "birthdate", "ge"+p.Born.String()[:4]+"-01-01", "birthdate", "le"+p.Born.String()[:4]+"-12-31")
		}},
	} {
		b.Run(kind.name, func(b *testing.B) {
			var took []time.Duration
			for i := 0; b.Loop(); i++ {
				r := httptest.NewRequest(http.MethodGet, demographics.Base+kind.path(sample[i%len(sample)]), nil)
				r.Header.Set("Authorization", "Bearer "+token)
				r.Header.Set("X-Request-ID", uuid.NewString())
				out := httptest.NewRecorder()
				start := time.Now()
				w.node.ServeHTTP(out, r)
				took = append(took, time.Since(start))
				if out.Code != http.StatusOK {
					b.Fatal(fmt.Sprint(out.Code, out.Body))
				}
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
		})
	}
}

// BenchmarkTrace traces a file: for each person of the sample a line as their papers have it and one with the names misspelt and the day
// and month of birth changed about. It reports lines a second, the account written.
func BenchmarkTrace(b *testing.B) {
	w := newWorld(b, "")
	k, err := sim.New(sim.Config{Seed: 1, People: *people, Now: today})
	if err != nil {
		b.Fatal(err)
	}
	l := w.node.Loader("bench", national, nil)
	var file strings.Builder
	file.WriteString("UNIQUE_REFERENCE,FAMILY_NAME,GIVEN_NAME,DATE_OF_BIRTH,POSTCODE\n")
	lines := 0
	for p := range k.Everyone() {
		res, err := fhir.Parse(k.Patient(p))
		if err != nil {
			b.Fatal(err)
		}
		if err := l.Add(b.Context(), res); err != nil {
			b.Fatal(err)
		}
		if p.Index%(*people/2000+1) == 0 {
			born, name := p.Born.String(), p.Names[0]
			fmt.Fprintf(&file, "%d,%s,%s,%s,%s\n%d,%se,%s,%s,%s\n", p.Index, name.Family, name.Given[0], born, p.Addresses[0].Postcode,
				p.Index, name.Family, name.Given[0], born[:5]+born[8:]+"-"+born[5:7], p.Addresses[0].Postcode)
			lines += 2
		}
	}
	if err := l.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
	w.time.Advance(time.Second)
	register := demographics.New(w.node.Kernel(), demographics.Options{})
	for b.Loop() {
		sum, err := register.Trace(b.Context(), staff(access.Clerk, "bench"), strings.NewReader(file.String()), io.Discard, 0, nil)
		if err != nil || sum.Lines != lines {
			b.Fatal(sum, err)
		}
		b.Logf("%d lines: %v", sum.Lines, sum.By)
	}
	b.ReportMetric(float64(lines)*float64(b.N)/b.Elapsed().Seconds(), "lines/s")
}
