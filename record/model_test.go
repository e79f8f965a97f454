package record_test

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/record"
)

// kept is what a simple record would know of one resource.
type kept struct {
	bodies []string // of each version; "" when it was voided
	charts []string // and whom each was about
	fields map[string]string
}

func (k *kept) live() bool { return k != nil && k.bodies[len(k.bodies)-1] != "" }

// model is a record that is nothing but maps, beside the real one.
type model struct {
	*world
	rt   *rapid.T
	run  int64
	have map[record.Ref]*kept
}

// Whatever is written, moved, voided and written again, the record answers as a record of plain maps would.
func TestTheRecordBehavesAsASimpleOneWould(t *testing.T) {
	t.Parallel()
	var runs atomic.Int64
	eachPlain(t, func(t *testing.T, w *world) {
		rapid.Check(t, func(rt *rapid.T) {
			m := &model{w, rt, runs.Add(1), map[record.Ref]*kept{}}
			rt.Repeat(map[string]func(*rapid.T){
				"patient":     func(*rapid.T) { m.putPatient() },
				"observation": func(*rapid.T) { m.putObservation() },
				"void":        func(*rapid.T) { m.void() },
				"conditional": func(*rapid.T) { m.createOnce() },
				"stale":       func(*rapid.T) { m.putStale() },
				"search":      func(*rapid.T) { m.searches() },
				"history":     func(*rapid.T) { m.histories() },
			})
		})
	})
}

func (m *model) pick(label string, n int) int { return rapid.IntRange(0, n-1).Draw(m.rt, label) }

func (m *model) id(typ string, i int) record.Ref {
	return ref(typ, fmt.Sprintf("%s-%d-%d", strings.ToLower(typ[:1]), m.run, i))
}

func (m *model) write(c record.Change, fields map[string]string) {
	out, err := m.do(c)
	if err != nil {
		m.rt.Fatalf("%v %s: %v", c.Verb, c.Ref, err)
	}
	k := m.have[c.Ref]
	if k == nil {
		k = &kept{}
		m.have[c.Ref] = k
	}
	k.bodies, k.charts, k.fields = append(k.bodies, string(c.Resource.JSON())), append(k.charts, fields["subject"]), fields
	if out.Version.Ver != int64(len(k.bodies)) {
		m.rt.Fatalf("%s is now version %d, want %d", c.Ref, out.Version.Ver, len(k.bodies))
	}
}

func (m *model) putPatient() {
	r := m.id("Patient", m.pick("patient", 4))
	family, gender := fmt.Sprintf("Run%dx%d", m.run, m.pick("family", 3)), []string{"male", "female"}[m.pick("gender", 2)]
	born := []string{"", `,"birthDate":"1970-01-02"`, `,"birthDate":"1980"`}[m.pick("born", 3)]
	m.write(record.Change{Verb: record.Put, Ref: r, Resource: resource(m.t, `{"resourceType":"Patient","id":"%s","name":[{"family":"%s"}],"gender":"%s"%s}`, r.ID, family, gender, born)},
		map[string]string{"family": strings.ToLower(family), "gender": gender, "born": born})
}

// putObservation may move one from one chart to another.
func (m *model) putObservation() {
	r, about := m.id("Observation", m.pick("observation", 4)), m.id("Patient", m.pick("about", 4))
	m.write(record.Change{Verb: record.Put, Ref: r, Resource: resource(m.t, `{"resourceType":"Observation","id":"%s","status":"final","code":{"text":"x"},"subject":{"reference":"%s"}}`, r.ID, about)},
		map[string]string{"subject": about.String()})
}

// refs are all that were ever written, in order.
func (m *model) refs() []record.Ref {
	return slices.SortedFunc(maps.Keys(m.have), func(a, b record.Ref) int { return strings.Compare(a.String(), b.String()) })
}

func (m *model) any() record.Ref {
	list := m.refs()
	if len(list) == 0 {
		m.rt.Skip("nothing is there yet")
	}
	return list[m.pick("which", len(list))]
}

func (m *model) void() {
	r := m.any()
	k := m.have[r]
	out, err := m.do(record.Change{Verb: record.Delete, Ref: r, Reason: "wrong person"})
	if err != nil {
		m.rt.Fatal(err)
	}
	if out.Nothing == k.live() {
		m.rt.Fatalf("deleting %s did nothing: %v", r, out.Nothing)
	}
	if k.live() {
		k.bodies, k.charts = append(k.bodies, ""), append(k.charts, k.fields["subject"])
	}
}

// createOnce creates an organisation unless there is one with its identifier.
func (m *model) createOnce() {
	value := fmt.Sprintf("run-%d-%d", m.run, m.pick("identifier", 2))
	var there []record.Ref
	for r, k := range m.have {
		if r.Type == "Organization" && k.live() && k.fields["identifier"] == value {
			there = append(there, r)
		}
	}
	body := resource(m.t, `{"resourceType":"Organization","identifier":[{"system":"urn:m","value":"%s"}]}`, value)
	out, err := m.do(record.Change{Verb: record.Create, Ref: ref("Organization", ""), Resource: body, Criteria: m.criteria("Organization", url.Values{"identifier": {"urn:m|" + value}})})
	if err != nil {
		m.rt.Fatal(err)
	}
	if out.Matched != (len(there) == 1) || out.Matched && out.Version.Ref != there[0] {
		m.rt.Fatalf("conditional create of %s matched %v %s; there is %v", value, out.Matched, out.Version.Ref, there)
	}
	if !out.Matched {
		m.have[out.Version.Ref] = &kept{[]string{string(body.JSON())}, []string{""}, map[string]string{"identifier": value}}
	}
}

// putStale names a version that is not current.
func (m *model) putStale() {
	r := m.any()
	_, err := m.do(record.Change{Verb: record.Put, Ref: r, Resource: resource(m.t, `{"resourceType":"%s","id":"%s"}`, r.Type, r.ID), IfMatch: int64(len(m.have[r].bodies) + 1)})
	if !fault.Is(err, fault.PreconditionFailed) {
		m.rt.Fatalf("a write over a version that never was: %v", err)
	}
}

func (m *model) histories() {
	for _, r := range m.refs() {
		k := m.have[r]
		v, err := m.read(r)
		switch {
		case k.live() && (err != nil || string(v.Resource.JSON()) != k.bodies[len(k.bodies)-1]):
			m.rt.Fatalf("%s reads %v, want %s", r, err, k.bodies[len(k.bodies)-1])
		case !k.live() && !fault.Is(err, fault.Gone) && !fault.Is(err, fault.NotFound):
			m.rt.Fatalf("%s was voided and reads: %v", r, err)
		}
		if !k.live() {
			continue // who may see what was voided is the stories' matter
		}
		// What was written while it was about somebody else is in that person's chart, and another grant's to show.
		var mine []string
		for i, body := range k.bodies {
			if k.charts[i] == k.fields["subject"] {
				mine = append(mine, body)
			}
		}
		slices.Reverse(mine) // the last comes first
		versions := m.history(r, record.Period{})
		if len(versions) != len(mine) {
			m.rt.Fatalf("%s has %d versions, want %d", r, len(versions), len(mine))
		}
		for i, v := range versions {
			want := mine[i]
			if v.Deleted != (want == "") || !v.Deleted && string(v.Resource.JSON()) != want {
				m.rt.Fatalf("%s version %d is not what was written", r, v.Ver)
			}
		}
	}
}

func (m *model) searches() {
	run := fmt.Sprintf("run%dx", m.run)
	i, gender := m.pick("family", 3), []string{"male", "female"}[m.pick("gender", 2)]
	about := m.id("Patient", m.pick("about", 4)).String()
	all := func(f map[string]string) bool { return strings.HasPrefix(f["family"], run) }
	m.finds("Patient?_sort=birthdate&family="+run, all)
	m.finds("Patient?_sort=-family&family="+run, all)
	m.finds(fmt.Sprintf("Patient?family=%s%d", run, i), func(f map[string]string) bool { return f["family"] == fmt.Sprintf("%s%d", run, i) })
	m.finds("Patient?gender="+gender+"&family="+run, func(f map[string]string) bool { return all(f) && f["gender"] == gender })
	m.finds("Patient?birthdate:missing=true&family="+run, func(f map[string]string) bool { return all(f) && f["born"] == "" })
	m.finds("Observation?subject="+about, func(f map[string]string) bool { return f["subject"] == about })
}

// finds pages through a search two at a time and compares it with what the model holds.
func (m *model) finds(query string, want func(fields map[string]string) bool) {
	var expect, found []string
	for r, k := range m.have {
		if k.live() && strings.HasPrefix(query, r.Type+"?") && want(k.fields) {
			expect = append(expect, r.ID)
		}
	}
	typ, rest, _ := strings.Cut(query, "?")
	values, err := url.ParseQuery(rest + "&_count=2&_total=accurate")
	if err != nil {
		m.rt.Fatal(err)
	}
	q, _, err := m.recs.ParseQuery(typ, values, false)
	if err != nil {
		m.rt.Fatal(err)
	}
	for more := true; more && len(found) < 20; {
		page, err := m.recs.Search(context.Background(), m.criteria(typ, url.Values{}).Scope, q)
		if err != nil {
			m.rt.Fatalf("%s: %v", query, err)
		}
		if page.Total == nil || *page.Total != int64(len(expect)) {
			m.rt.Fatalf("%s: total %v, want %d", query, page.Total, len(expect))
		}
		for _, v := range page.Matches {
			found = append(found, v.ID)
		}
		q.Cursor, more = page.Next, page.Next != ""
	}
	slices.Sort(found)
	slices.Sort(expect)
	if !slices.Equal(found, expect) {
		m.rt.Fatalf("%s finds %v, want %v", query, found, expect)
	}
}
