package record_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/store/storetest"
)

// linker merges and parts charts of a world.
type linker struct {
	*world
	t interface{ Fatal(...any) }
}

func (l linker) link(what func(*store.Tx, *access.Gate, []access.Grant) error, chart, survivor string) error {
	ctx := context.Background()
	var grants []access.Grant
	for _, id := range []string{chart, survivor} {
		place, err := l.recs.Locate(ctx, ref("Patient", id))
		if err != nil {
			l.t.Fatal(err)
		}
		g, err := l.gate.Decide(ctx, l.who, access.Update, place)
		if err != nil {
			l.t.Fatal(err)
		}
		grants = append(grants, g)
	}
	return l.gate.Act(ctx, grants, l.recs.LinkLanes(hospital, chart, survivor), func(tx *store.Tx) error { return what(tx, l.gate, grants) })
}

func (l linker) merge(chart, survivor string) error {
	return l.link(func(tx *store.Tx, g *access.Gate, grants []access.Grant) error {
		return l.recs.Merge(tx, g, hospital, chart, survivor, "registered twice", grants...)
	}, chart, survivor)
}

func (l linker) part(chart, survivor string) error {
	return l.link(func(tx *store.Tx, g *access.Gate, grants []access.Grant) error {
		return l.recs.Unmerge(tx, g, hospital, chart, survivor, "two people after all", grants...)
	}, chart, survivor)
}

// sees is what a search about a chart shows to w's principal, as ids in order.
func (w *world) sees(query string) []string {
	w.t.Helper()
	page, err := w.find(query)
	if err != nil {
		w.t.Fatal(query, err)
	}
	var ids []string
	for _, v := range page.Matches {
		ids = append(ids, v.ID)
	}
	slices.Sort(ids)
	return ids
}

func TestWhoMayOpenOneChartOfAPersonMayOpenTheOthers(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		for _, id := range []string{"a", "b", "stranger"} {
			w.put(`{"resourceType":"Patient","id":"%s"}`, id)
			w.put(`{"resourceType":"Observation","id":"of-%s","status":"final","code":{"text":"pulse"},"subject":{"reference":"Patient/%s"}}`, id, id)
		}
		doctor := w.as(access.Principal{ID: "dr", Name: "Dr", Role: access.Clinician, Organisation: spine, Tenants: []ident.ODSCode{hospital}})
		relate := func(chart, kind string, end bool) {
			t.Helper()
			err := w.db.Write(context.Background(), []store.Lane{w.gate.Lane(hospital, chart)}, func(tx *store.Tx) error {
				r := access.Relationship{Tenant: hospital, Chart: chart, User: "dr", Kind: kind, Basis: "test", By: "test"}
				if end {
					return w.gate.EndRelation(tx, r)
				}
				return w.gate.Relate(tx, r)
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		is := func(when string, query string, want ...string) {
			t.Helper()
			if got := doctor.sees(query); !slices.Equal(got, want) {
				t.Errorf("%s: %s shows %v, want %v", when, query, got, want)
			}
		}
		l := linker{w, t}
		relate("a", "care-team", false)
		is("before", "Observation?patient=a", "of-a")
		is("before", "Observation?patient=b")
		if err := l.merge("b", "a"); err != nil {
			t.Fatal(err)
		}
		for _, q := range []string{"Observation?patient=a", "Observation?subject=Patient/b", "Observation?patient=Patient/b,Patient/stranger", "Observation"} {
			is("merged", q, "of-a", "of-b")
		}
		if _, err := doctor.read(ref("Observation", "of-b")); err != nil {
			t.Errorf("merged: of-b cannot be read: %v", err)
		}
		relate("b", "referral", false)
		relate("a", "care-team", true)
		is("with a relationship made since", "Observation?patient=a", "of-a", "of-b")
		w.put(`{"resourceType":"Observation","id":"later-b","status":"final","code":{"text":"pulse"},"subject":{"reference":"Patient/b"}}`)
		is("written since", "Observation?patient=a", "later-b", "of-a", "of-b")
		if err := l.part("b", "a"); err != nil {
			t.Fatal(err)
		}
		is("parted", "Observation?patient=b", "later-b", "of-b")
		is("parted", "Observation?patient=a")
		if _, err := doctor.read(ref("Observation", "of-a")); !fault.Is(err, fault.NotFound) {
			t.Errorf("parted: of-a can be read: %v", err)
		}
	})
}

// Whatever is joined and parted, in whatever order: charts that a chain of links joins are one person, each body stays as it was
// and where it was, what is written in between stays with its chart, and the history only grows.
func TestPartingGivesBackWhatMergingJoined(t *testing.T) {
	t.Parallel() // with the other long ones
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := over(t, db, record.Options{})
		run := 0
		rapid.Check(t, func(rt *rapid.T) {
			run++
			model := newJoined(w, run)
			l := linker{w, rt}
			rt.Repeat(map[string]func(*rapid.T){
				"merge": func(rt *rapid.T) {
					chart, survivor := rapid.SampledFrom(model.charts).Draw(rt, "chart"), rapid.SampledFrom(model.charts).Draw(rt, "survivor")
					err := l.merge(chart, survivor)
					if model.mayMerge(chart, survivor) != (err == nil) {
						rt.Fatalf("merge %s into %s: %v", chart, survivor, err)
					}
					if err == nil {
						model.into[chart] = survivor
					}
				},
				"part": func(rt *rapid.T) {
					chart := rapid.SampledFrom(model.charts).Draw(rt, "chart")
					survivor, linked := model.into[chart]
					if !linked {
						rt.Skip()
					}
					if err := l.part(chart, survivor); err != nil {
						rt.Fatal(err)
					}
					delete(model.into, chart)
				},
				"write": func(rt *rapid.T) { model.write(rapid.SampledFrom(model.charts).Draw(rt, "chart")) },
				"":      func(rt *rapid.T) { model.check(rt) },
			})
		})
	}, audit.Schema(), access.Schema(), record.Schema())
}

// joined is what the record should say: which chart was merged into which, and the body last written to each resource.
type joined struct {
	w      *world
	charts []string
	into   map[string]string
	bodies map[string]string   // resource → body as it was last put
	of     map[string][]string // chart → its observations
	grown  map[string]int      // resource → versions
}

func newJoined(w *world, run int) *joined {
	p := &joined{w: w, into: map[string]string{}, bodies: map[string]string{}, of: map[string][]string{}, grown: map[string]int{}}
	for i := range 4 {
		chart := fmt.Sprintf("p%dx%d", run, i)
		p.charts = append(p.charts, chart)
		p.put("Patient", chart, fmt.Sprintf(`{"resourceType":"Patient","id":"%s","active":true}`, chart))
	}
	return p
}

func (p *joined) put(typ, id, body string) {
	p.w.put("%s", body)
	p.bodies[typ+"/"+id] = body
	p.grown[typ+"/"+id]++
}

// write adds an observation to a chart, or says something new in the patient.
func (p *joined) write(chart string) {
	id := fmt.Sprintf("%s-%d", chart, len(p.of[chart]))
	p.put("Observation", id, fmt.Sprintf(`{"resourceType":"Observation","id":"%s","status":"final","code":{"text":"pulse"},"subject":{"reference":"Patient/%s"}}`, id, chart))
	p.of[chart] = append(p.of[chart], id)
}

func (p *joined) head(chart string) string {
	for p.into[chart] != "" {
		chart = p.into[chart]
	}
	return chart
}

func (p *joined) mayMerge(chart, survivor string) bool {
	return p.into[chart] == "" && p.head(survivor) != chart
}

func (p *joined) check(rt *rapid.T) {
	for _, chart := range p.charts {
		var whole, observations []string
		for _, other := range p.charts {
			if p.head(other) == p.head(chart) {
				whole = append(whole, other)
				observations = append(observations, p.of[other]...)
			}
		}
		charts, err := p.w.recs.Charts(context.Background(), hospital, chart)
		if err != nil || charts[0] != p.head(chart) {
			rt.Fatalf("%s is one person with %v (%v), the first should be %s", chart, charts, err, p.head(chart))
		}
		slices.Sort(charts)
		slices.Sort(observations)
		if !slices.Equal(charts, whole) {
			rt.Fatalf("%s is one person with %v, want %v", chart, charts, whole)
		}
		for _, query := range []string{"Observation?patient=" + chart + "&_count=1000", "Observation?subject=Patient/" + chart + "&_count=1000"} {
			if got := p.w.sees(query); !slices.Equal(got, observations) {
				rt.Fatalf("%s finds %v, want %v", query, got, observations)
			}
		}
	}
	for _, at := range slices.Sorted(maps.Keys(p.bodies)) {
		typ, id, _ := strings.Cut(at, "/")
		v, err := p.w.read(ref(typ, id))
		if err != nil || string(v.Resource.JSON()) != p.bodies[at] {
			rt.Fatalf("%s reads %s (%v), want %s", at, v.Resource.JSON(), err, p.bodies[at])
		}
		if n := len(p.w.history(ref(typ, id), record.Period{})); n != p.grown[at] {
			rt.Fatalf("%s has %d versions, want %d", at, n, p.grown[at])
		}
	}
}

// Chains and _has take a person for one, whichever of their charts says what is asked for: found first (few), and asked row by row (when the
// hop finds too many).
func TestChainsAndHasFollowThePerson(t *testing.T) {
	t.Parallel()
	for name, limits := range map[string]record.Limits{"found first": {}, "row by row": {Set: 1}} {
		t.Run(name, func(t *testing.T) {
			storetest.Each(t, func(t *testing.T, db *store.DB) {
				w := over(t, db, record.Options{Limits: limits})
				for id, family := range map[string]string{"a": "Marsh", "b": "Hill", "c": "Marsh", "d": "Dale"} {
					w.put(`{"resourceType":"Patient","id":"%s","name":[{"family":"%s"}],"generalPractitioner":[{"reference":"Practitioner/of-%s"}]}`, id, family, id)
					w.put(`{"resourceType":"Practitioner","id":"of-%s","name":[{"family":"Dr%s"}]}`, id, family)
					w.put(`{"resourceType":"Observation","id":"o-%s","status":"final","code":{"text":"%s"},"subject":{"reference":"Patient/%s"}}`, id, family, id)
					w.put(`{"resourceType":"DiagnosticReport","id":"r-%s","status":"final","code":{"text":"report"},"subject":{"reference":"Patient/%s"},"result":[{"reference":"Observation/o-%s"}]}`, id, id, id)
				}
				l := linker{w, t}
				apart := map[string][]string{
					"Observation?_id=o-a,o-b,o-d&patient.family=Marsh":              {"o-a"},
					"Observation?_id=o-a,o-b,o-d&patient.family=Hill":               {"o-b"},
					"Observation?_id=o-a,o-b&patient.general-practitioner.name=drh": {"o-b"},
					"Patient?_id=a,b,d&_has:Observation:patient:_id=o-a":            {"a"},
					"Patient?_id=a,b,d&_has:Observation:patient:code:text=Hill":     {"b"},
					"DiagnosticReport?result.patient=a":                             {"r-a"},
				}
				if limits.Set == 0 {
					apart["Observation?patient.family=Hill"] = []string{"o-b"}
					apart["Patient?_has:Observation:patient:_id=o-b"] = []string{"b"}
				}
				joined := map[string][]string{}
				for query, ids := range apart {
					for _, id := range ids {
						joined[query] = append(joined[query], strings.Replace(id, "b", "a", 1), strings.Replace(id, "a", "b", 1))
					}
					slices.Sort(joined[query])
				}
				is := func(when string, want map[string][]string) {
					t.Helper()
					for query, ids := range want {
						if got := w.sees(query); !slices.Equal(got, ids) {
							t.Errorf("%s: %s shows %v, want %v", when, query, got, ids)
						}
					}
				}
				is("apart", apart)
				if err := l.merge("b", "a"); err != nil {
					t.Fatal(err)
				}
				is("merged", joined)
				if err := l.part("b", "a"); err != nil {
					t.Fatal(err)
				}
				is("parted", apart)
			}, audit.Schema(), access.Schema(), record.Schema())
		})
	}
}

// Whoever signs in as one of a person's charts sees all of them, and what stands in them, until they are parted; so does a program for the person
// whom it was opened for.
func TestAPatientSeesEachOfTheirCharts(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		for _, id := range []string{"a", "b", "stranger"} {
			w.put(`{"resourceType":"Patient","id":"%s"}`, id)
			w.put(`{"resourceType":"Observation","id":"of-%s","status":"final","code":{"text":"pulse"},"subject":{"reference":"Patient/%s"}}`, id, id)
		}
		herself := w.as(access.Principal{ID: "her", Name: "Her", Role: access.Patient, Person: "a", Tenants: []ident.ODSCode{hospital}})
		program := w.as(access.Principal{ID: "dr", Name: "Dr", Role: access.SystemClient, Organisation: hospital, Scopes: []string{"patient/*.rs"}, Confined: "a"})
		l := linker{w, t}
		is := func(when string, want ...string) {
			t.Helper()
			for _, who := range []*world{herself, program} {
				if got := who.sees("Observation"); !slices.Equal(got, want) {
					t.Errorf("%s: %s finds %v, want %v", when, who.who.ID, got, want)
				}
				for _, id := range []string{"a", "b", "stranger"} {
					_, err := who.read(ref("Observation", "of-"+id))
					if slices.Contains(want, "of-"+id) != (err == nil) {
						t.Errorf("%s: %s reads of-%s: %v", when, who.who.ID, id, err)
					}
				}
			}
		}
		is("before", "of-a")
		if err := l.merge("a", "b"); err != nil {
			t.Fatal(err)
		}
		is("merged", "of-a", "of-b")
		if got := herself.sees("Observation?patient=b"); !slices.Equal(got, []string{"of-a", "of-b"}) {
			t.Errorf("by the other number: %v", got)
		}
		if err := l.part("a", "b"); err != nil {
			t.Fatal(err)
		}
		is("parted", "of-a")
	})
}
