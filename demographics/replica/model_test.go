package replica_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/store"
)

var seeds = flag.Uint64("seeds", 2, "how many random histories TestEveryCopyCatchesUp goes through on each engine")

// model is a random history of an authority, a hospital and the way between them, and what a test remembers of it.
type model struct {
	*world
	r       *rand.Rand
	crowd   []*soul
	said    []string
	stopped bool // the node was, once
}

// soul is one patient, with what was done to them.
type soul struct {
	id, number string
	touched    map[string]bool     // elements that the hospital wrote after it was first traced, or otherwise than the authority
	wrote      map[string][]string // each value that the hospital ever wrote, by element
	local      string              // the last value of what is the hospital's alone
	merged     bool
}

// nationals are the elements that random changes are made to, with a value from a number.
func nationals(i int) map[string]any {
	return map[string]any{
		"telecom":   []any{doc{"system": "phone", "value": fmt.Sprintf("01632 960%03d", i%1000), "use": "home"}},
		"address":   home(fmt.Sprintf("%d Mill Lane", i), "LS1 6AE"),
		"gender":    []any{"female", "other", "unknown"}[i%3],
		"birthDate": nil, // never changed: it would be a mismatch
	}
}

func (m *model) tell(format string, args ...any) {
	m.said = append(m.said, fmt.Sprintf(format, args...))
}

// edit writes a Patient with some elements changed.
func (m *model) edit(tenant ident.ODSCode, id string, change func(d doc)) {
	v, err := m.read(tenant, id)
	if err != nil {
		m.t.Fatal(err)
	}
	var d doc
	if err := json.Unmarshal(v.Resource.Root().Raw(), &d); err != nil {
		m.t.Fatal(err)
	}
	change(d)
	m.put(tenant, id, d)
}

// begin has everybody registered here and there; early says that they are traced before anything happens to them.
func (m *model) begin(early bool) {
	for i := range 6 {
		n, err := ident.TestRange.At(10 + i)
		if err != nil {
			m.t.Fatal(err)
		}
		s := &soul{id: fmt.Sprintf("h%d", i), number: n.String(), touched: map[string]bool{}, wrote: map[string][]string{}, local: "S"}
		family, given, born := fmt.Sprintf("Hartley%c", 'a'+i), []string{"Ann", "Bea", "Cleo", "Dot", "Eve", "Fay"}[i], fmt.Sprintf("19%d0-01-02", 4+i)
		m.put(national, s.number, person(s.number, family, given, born, "address", home("1 High Street", "LS1 6AE"), "telecom", nationals(i)["telecom"]))
		d := person(s.number, family, given, born, "maritalStatus", doc{"text": "S"})
		if i%2 == 1 {
			d["address"] = home("1 High Street", "LS1 6AE")
		}
		if i == 2 {
			d["address"] = home("77 Old Road", "LS7 7AA")
			m.remember(s, d, "address")
		}
		m.put(hospital, s.id, d)
		m.crowd = append(m.crowd, s)
		if !early { // the authority may change what the hospital has before it is first asked: then both are right
			for _, name := range []string{"address", "gender"} {
				if d[name] != nil {
					m.remember(s, d, name)
				}
			}
		}
	}
	if early {
		m.round()
	}
}

// remember notes what the hospital wrote.
func (m *model) remember(s *soul, d doc, name string) {
	text, err := json.Marshal(d[name])
	if err != nil {
		m.t.Fatal(err)
	}
	s.touched[name] = true
	s.wrote[name] = append(s.wrote[name], string(text))
}

// hospitalWrites changes something in the hospital's record.
func (m *model) hospitalWrites(s *soul) {
	name := []string{"telecom", "address", "gender", "maritalStatus"}[m.r.IntN(4)]
	i := 500 + m.r.IntN(400)
	m.tell("the hospital writes %s of %s", name, s.id)
	m.edit(hospital, s.id, func(d doc) {
		if name == "maritalStatus" {
			s.local = fmt.Sprint(i)
			d[name] = doc{"text": s.local}
			return
		}
		d[name] = nationals(i)[name]
		m.remember(s, d, name)
	})
}

// step is one thing that happens.
func (m *model) step() {
	s := m.crowd[m.r.IntN(len(m.crowd))]
	switch what := m.r.IntN(20); {
	case what < 5:
		name, i := []string{"telecom", "address", "gender"}[m.r.IntN(3)], m.r.IntN(400)
		m.tell("the authority changes %s of %s", name, s.id)
		m.edit(national, s.number, func(d doc) { d[name] = nationals(i)[name] })
	case what < 8:
		m.hospitalWrites(s)
	case what == 8:
		code := []string{"R", "U", "U"}[m.r.IntN(3)]
		m.tell("the authority makes %s %s", s.id, code)
		m.edit(national, s.number, func(d doc) { d["meta"] = tag(code) })
	case what == 9:
		m.tell("%s dies", s.id)
		m.edit(national, s.number, func(d doc) { d["deceasedDateTime"] = "2026-01-10" })
	case what == 10:
		code := []string{"REDACTED", "U"}[m.r.IntN(2)]
		m.tell("the record of %s is %s", s.id, code)
		m.edit(national, s.number, func(d doc) { d["meta"] = tag(code) })
	case what == 11 && !s.merged:
		m.merge(s)
	case what == 12:
		m.way.cut.Store(!m.way.cut.Load())
		m.tell("the way is cut: %v", m.way.cut.Load())
	case what == 13:
		m.trouble(s)
	case what == 14 && !m.stopped:
		m.stopped = true
		m.tell("the node is stopped and started")
		m.restarted()
	default:
		m.time.Advance(time.Duration(1+m.r.IntN(40)) * time.Hour / 2)
		m.tell("a round at %s", m.time.Now())
		m.round()
	}
}

// merge lets a number give way to one that nobody here has.
func (m *model) merge(s *soul) {
	n, err := ident.TestRange.At(1000 + m.r.IntN(5000))
	if err != nil {
		m.t.Fatal(err)
	}
	if _, err := m.read(national, n.String()); err == nil {
		return
	}
	m.tell("%s gives way to %s", s.id, n)
	m.edit(national, s.number, func(d doc) {
		d["identifier"] = []any{doc{"system": ident.SystemNHSNumber, "value": n.String()}}
		m.put(national, n.String(), d)
		d["identifier"] = []any{doc{"system": ident.SystemNHSNumber, "value": s.number}}
	})
	k, ctx := m.n.Kernel(), m.t.Context()
	var acts []access.Act
	for _, id := range []string{s.number, n.String()} {
		place, err := k.Records.Locate(ctx, record.Ref{Tenant: national, Type: "Patient", ID: id})
		if err != nil {
			m.t.Fatal(err)
		}
		acts = append(acts, access.Act{Action: access.Update, Place: place})
	}
	grants, err := k.Gate.DecideAll(ctx, access.Service("system", national), acts)
	if err != nil {
		m.t.Fatal(err)
	}
	if err := k.Gate.Act(ctx, grants, k.Records.LinkLanes(national, s.number, n.String()), func(tx *store.Tx) error {
		return k.Records.Merge(tx, k.Gate, national, s.number, n.String(), "one person", grants...)
	}); err != nil {
		m.t.Fatal(err)
	}
	s.merged = true
}

// trouble is a round in which something happens in the middle.
func (m *model) trouble(s *soul) {
	m.time.Advance(30 * time.Hour)
	ctx, stop := context.WithCancel(m.t.Context())
	defer stop()
	answer := func(status int, body string) (*http.Response, error) {
		return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}, nil
	}
	kind := m.r.IntN(6)
	m.way.then = func(r *http.Request) (*http.Response, error) {
		switch kind {
		case 0: // the program is killed
			stop()
			return nil, ctx.Err()
		case 1: // the hospital writes while the answer is on its way
			resp, err := m.way.next.RoundTrip(r)
			m.hospitalWrites(s)
			return resp, err
		case 2:
			return answer(http.StatusOK, "<html>A gateway's page</html>")
		case 3:
			return answer(http.StatusTooManyRequests, `{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"throttled"}]}`)
		case 4:
			return answer(http.StatusOK, `{"resourceType":"Patient","id":"9990000018"`)
		}
		return nil, errors.New("the line went down")
	}
	m.tell("a round with trouble %d", kind)
	m.way.after.Store(1 + m.r.Int64N(4))
	if err := m.n.Replica().Round(ctx, hospital); err != nil && !errors.Is(err, context.Canceled) {
		m.t.Fatalf("%v\n%s", err, strings.Join(m.said, "\n"))
	}
	m.way.after.Store(0)
}

// settled holds every copy to what the authority says and to what the hospital wrote.
func (m *model) settled() {
	m.way.cut.Store(false)
	for range 3 { // backed off, then due, then those who were written meanwhile
		m.time.Advance(3 * 24 * time.Hour)
		m.round()
	}
	if s := m.status(); s.Due != 0 || !s.Failing.IsZero() || s.Stale != 0 {
		m.t.Errorf("after the way healed: %+v", s)
	}
	for _, s := range m.crowd {
		m.one(s)
	}
}

func (m *model) one(s *soul) {
	here, there := m.get(hospital, s.id), m.get(national, s.number)
	wrong := func(format string, args ...any) {
		m.t.Errorf("%s: %s\nhere:  %s\nthere: %s", s.id, fmt.Sprintf(format, args...), here.Resource.Root().Raw(), there.Resource.Root().Raw())
	}
	code := there.Resource.Get("meta.security.0.code").String()
	switch status := verified(here); {
	case s.merged:
		// what the surviving record says decides; the number waits for a person
		if status != "05" && status != "04" {
			wrong("the number has given way, and its status is %s", status)
		}
	case code == "REDACTED":
		if status != "04" {
			wrong("the record is invalid, and the number's status is %s", status)
		}
	default:
		if status != "01" {
			wrong("the number's status is %s", status)
		}
		m.follows(s, here, there, code == "R", wrong)
	}
	if got := here.Resource.Get("maritalStatus.text").String(); got != s.local {
		wrong("what is the hospital's is %q, want %q", got, s.local)
	}
	m.kept(s, wrong)
}

// follows holds a traced copy to the authority, element by element.
func (m *model) follows(s *soul, here, there record.Version, restricted bool, wrong func(string, ...any)) {
	if got := here.Label()&access.Restricted != 0; got != restricted {
		wrong("restricted is %v, want %v", got, restricted)
	}
	for _, name := range []string{"address", "telecom", "gender", "deceasedDateTime", "name", "birthDate"} {
		mine, theirs := string(here.Resource.Get(name).Raw()), string(there.Resource.Get(name).Raw())
		if restricted && (name == "address" || name == "telecom") {
			if mine != "" && !slices.Contains(s.wrote[name], mine) {
				wrong("%s stands, and the person is restricted", name)
			}
			continue
		}
		if mine != theirs && !(s.touched[name] && slices.Contains(s.wrote[name], mine)) {
			wrong("%s is neither the authority's nor the hospital's", name)
		}
	}
}

// kept looks for all that the hospital ever wrote: it stands, or stood.
func (m *model) kept(s *soul, wrong func(string, ...any)) {
	var all strings.Builder
	last := m.get(hospital, s.id)
	k, ctx := m.n.Kernel(), m.t.Context()
	place, err := k.Records.Locate(ctx, last.Ref)
	if err != nil {
		m.t.Fatal(err)
	}
	g, err := k.Gate.Decide(ctx, access.Service("system", hospital), access.History, place)
	if err != nil {
		m.t.Fatal(err)
	}
	for ver := int64(1); ver <= last.Ver; ver++ {
		v, err := k.Records.ReadVersion(ctx, g, last.Ref, ver)
		if err != nil {
			m.t.Fatal(err)
		}
		all.Write(v.Resource.Root().Raw())
		if ver > 1 && v.Reason == "" {
			wrong("version %d has no reason", ver)
		}
	}
	for name, values := range s.wrote {
		for _, v := range values {
			if !strings.Contains(all.String(), v) {
				wrong("%s was written as %s and stands in no version", name, v)
			}
		}
	}
}

// Whatever happens to people, to what the hospital writes, to the way between and to the program: once the way is open again every copy says what the
// authority says, within the rules, and nothing that the hospital wrote is lost.
func TestEveryCopyCatchesUp(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for seed := range *seeds {
			if seed > 0 {
				w = newWorld(t, w.fresh())
			}
			m := &model{world: w, r: rand.New(rand.NewPCG(seed, 7))}
			m.begin(seed%2 == 0)
			for range 60 {
				m.step()
			}
			m.settled()
			if t.Failed() {
				t.Fatalf("seed %d:\n%s", seed, strings.Join(m.said, "\n"))
			}
		}
	})
}
