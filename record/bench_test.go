package record_test

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/store"
)

func benchWorld(b *testing.B) *world { return benchWorldAt(b, b.TempDir()+"/bench.db") }

func benchWorldAt(b *testing.B, url string) *world {
	db, err := store.Open(context.Background(), url, store.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := db.Close(); err != nil {
			b.Error(err)
		}
	})
	if err := db.Migrate(context.Background(), audit.Schema(), access.Schema(), record.Schema()); err != nil {
		b.Fatal(err)
	}
	return over(b, db, record.Options{})
}

const observationBody = `{"resourceType":"Observation","identifier":[{"system":"urn:obs","value":"%d"}],"status":"final","category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"vital-signs"}]}],"code":{"coding":[{"system":"http://loinc.org","code":"8480-6","display":"Systolic blood pressure"}]},"subject":{"reference":"Patient/p%d"},"effectiveDateTime":"2026-03-01T09:30:00Z","performer":[{"reference":"Practitioner/doc"}],"valueQuantity":{"value":%d,"unit":"mmHg","system":"http://unitsofmeasure.org","code":"mm[Hg]"}}`

// Durable, decided, accounted and indexed, by 64 callers.
func BenchmarkCreateObservation(b *testing.B) {
	w := benchWorld(b)
	for i := range 100 {
		w.put(`{"resourceType":"Patient","id":"p%d"}`, i)
	}
	var n atomic.Int64
	b.SetParallelism(32)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := n.Add(1)
			if _, err := w.do(record.Change{Verb: record.Create, Ref: ref("Observation", ""), Resource: resource(b, observationBody, i, i%100, 100+i%80)}); err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "creates/s")
}

// people fills the record with n people, many to a commit.
func people(b *testing.B, w *world, n int) {
	ctx := context.Background()
	family := []string{"Smith", "Jones", "Taylor", "Brown", "Williams", "Wilson", "Johnson", "Davies", "Patel", "Khan"}
	for from := 0; from < n; from += 1000 {
		var drafts []*record.Draft
		var acts []access.Act
		for i := from; i < min(from+1000, n); i++ {
			res := resource(b, `{"resourceType":"Patient","id":"p%07d","identifier":[{"system":"https://fhir.nhs.uk/Id/nhs-number","value":"%010d"}],"name":[{"family":"%s%d","given":["Given%d"]}],"gender":"%s","birthDate":"%04d-%02d-%02d"}`,
				i, i, family[i%10], i/10%1000, i%500, []string{"male", "female"}[i%2], 1930+i%90, 1+i%12, 1+i%28)
			d, err := w.recs.Prepare(ctx, record.Change{Verb: record.Put, Ref: ref("Patient", res.ID()), Resource: res})
			if err != nil {
				b.Fatal(err)
			}
			drafts, acts = append(drafts, d), append(acts, d.Acts()...)
		}
		grants, err := w.gate.DecideAll(ctx, w.who, acts)
		if err != nil {
			b.Fatal(err)
		}
		err = w.gate.Act(ctx, grants, record.LanesOf(drafts...), func(tx *store.Tx) error {
			_, _, err := w.recs.ApplyAll(tx, drafts, grants...)
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkImportPeople(b *testing.B) {
	w := benchWorld(b)
	b.ResetTimer()
	people(b, w, b.N)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "people/s")
}

func BenchmarkRead(b *testing.B) {
	w := benchWorld(b)
	people(b, w, 10_000)
	place, err := w.recs.Locate(context.Background(), ref("Patient", "p0000007"))
	if err != nil {
		b.Fatal(err)
	}
	g := w.grant(access.Read, place)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := w.recs.Read(context.Background(), g, ref("Patient", "p0000007")); err != nil {
				b.Error(err)
			}
		}
	})
}

// searchWorld is a record of OPENSPINE_BENCH_PEOPLE people, 100,000 by default; with OPENSPINE_BENCH_DB (a file or a PostgreSQL
// URL) it is kept and used again.
func searchWorld(b *testing.B) *world {
	n := 100_000
	if v := os.Getenv("OPENSPINE_BENCH_PEOPLE"); v != "" {
		var err error
		if n, err = strconv.Atoi(v); err != nil {
			b.Fatal(err)
		}
	}
	w := benchWorld
	if at := os.Getenv("OPENSPINE_BENCH_DB"); at != "" {
		w = func(b *testing.B) *world { return benchWorldAt(b, at) }
	}
	world := w(b)
	counts, err := world.recs.Counts(context.Background())
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range counts {
		if c.Type == "Patient" {
			n -= int(c.Live)
		}
	}
	if n > 0 {
		people(b, world, n)
	}
	return world
}

// What a clerk types, over many people. A tenth are called Jones and something, all of whom are women; 1 in 90 Jones7…,
// 1 in 900 Jones77…
var clerkSearches = []string{
	"identifier=https://fhir.nhs.uk/Id/nhs-number|0000012345",
	"identifier=0000012345",
	"family=smith&given=given10",
	"family=smith77&gender=male",
	"family=smith7&gender=female",
	"birthdate=1970-01-01&gender=female",
	"family=smith&birthdate=ge1990",
	"gender=male",
	"family=jones&_sort=birthdate",
	"family=jones7&_sort=birthdate",
	"family=jones77&_sort=birthdate",
	"family=jones777&_sort=birthdate",
	"family=jones77&_sort=-birthdate,family",
	"name=jones7&gender=female&_sort=birthdate&_count=10",
	"gender=female&_sort=family",
	"_sort=-birthdate",
	"_sort=-_lastUpdated",
	"family=jones7&_sort=-_lastUpdated",
	"name=khan12&_total=accurate",
	"name=khan1&_total=accurate",
	"name=khan&_total=accurate",
	"gender=male&_total=accurate",
	"_total=accurate",
	"family=jones77&birthdate=ge1960&_total=accurate",
}

func BenchmarkSearch(b *testing.B) {
	w := searchWorld(b)
	s, err := w.gate.DecideSet(context.Background(), w.who, access.Search, hospital, nil)
	if err != nil {
		b.Fatal(err)
	}
	for _, query := range clerkSearches {
		values, err := url.ParseQuery(query)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(query, func(b *testing.B) {
			found, begun := 0, cpuTime(b)
			for range b.N {
				q, _, err := w.recs.ParseQuery("Patient", values, false)
				if err != nil {
					b.Fatal(err)
				}
				page, err := w.recs.Search(context.Background(), s, q)
				if fault.Is(err, fault.TooCostly) {
					found = -1
					continue
				}
				if err != nil {
					b.Fatal(fmt.Errorf("%s: %w", query, err))
				}
				found = len(page.Matches)
			}
			b.ReportMetric(float64(found), "found")
			b.ReportMetric(float64(cpuTime(b)-begun)/float64(b.N)/1e6, "cpu-ms/op")
		})
	}
}

// cpuTime is what the process has used of the processor, which a busy machine does not stretch as it does the time on the wall.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
