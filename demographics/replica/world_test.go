package replica_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/demographics/replica"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/clock"
	"github.com/openspine/openspine/internal/node"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/store/storetest"
)

var (
	national = ident.MustODSCode("X26")
	hospital = ident.MustODSCode("RZ901")
	today    = time.Date(2026, 1, 15, 9, 30, 0, 0, time.UTC)
)

// world is a node with the authority and one hospital, and a way between the two that can be cut.
type world struct {
	t    testing.TB
	n    *node.Node
	cfg  node.Config
	time *clock.Fake
	way  *way
	url  string
	srv  *httptest.Server
}

// way is the way to the authority, as a test has it.
type way struct {
	next  http.RoundTripper
	cut   atomic.Bool
	after atomic.Int64 // the request after so many ends otherwise; 0 never
	then  func(*http.Request) (*http.Response, error)
	asked atomic.Int64
}

func (w *way) RoundTrip(r *http.Request) (*http.Response, error) {
	w.asked.Add(1)
	if w.cut.Load() {
		return nil, errors.New("the line is down")
	}
	if w.after.Load() > 0 && w.after.Add(-1) == 0 {
		return w.then(r)
	}
	return w.next.RoundTrip(r)
}

func newWorld(t testing.TB, database string) *world {
	t.Helper()
	w := &world{t: t, time: clock.NewFake(today), way: &way{}}
	w.srv = httptest.NewUnstartedServer(nil)
	w.url = "http://" + w.srv.Listener.Addr().String()
	w.cfg = node.Config{Name: "test", Data: t.TempDir(), National: "X26", Database: database, BaseURL: w.url, Demo: true, Tenants: []node.TenantConfig{
		{Code: "X26", Name: "National spine", Kind: "national"}, {Code: "RZ901", Name: "A hospital", Kind: "hospital"}},
		Replicas: []node.ReplicaConfig{{Tenant: "RZ901", Every: 24 * time.Hour, Rate: -1}}}
	w.open()
	w.srv.Config.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { w.n.ServeHTTP(rw, r) })
	w.srv.Start()
	t.Cleanup(func() {
		w.srv.Close()
		if err := w.n.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	return w
}

func (w *world) open() {
	n, err := node.Open(context.Background(), w.cfg, node.Options{Clock: w.time, Way: func(_ ident.ODSCode, next http.RoundTripper) http.RoundTripper {
		w.way.next = next
		return w.way
	}})
	if err != nil {
		w.t.Fatal(err)
	}
	w.n = n
}

// fresh is an empty database of the same engine.
func (w *world) fresh() string {
	if w.cfg.Database == "" {
		return ""
	}
	return storetest.PostgresURL(w.t)
}

// restarted closes the node and opens it again over the same data.
func (w *world) restarted() {
	w.t.Helper()
	if err := w.n.Close(); err != nil {
		w.t.Fatal(err)
	}
	w.open()
}

// each runs a test on every engine there is.
func each(t *testing.T, test func(t *testing.T, w *world)) {
	t.Run("SQLite", func(t *testing.T) { t.Parallel(); test(t, newWorld(t, "")) })
	t.Run("PostgreSQL", func(t *testing.T) { t.Parallel(); test(t, newWorld(t, storetest.PostgresURL(t))) })
}

// doc is a Patient as tests write one.
type doc = map[string]any

// person is a Patient of the authority or of a hospital.
func person(number, family, given, born string, more ...any) doc {
	d := doc{"resourceType": "Patient", "name": []any{doc{"use": "usual", "family": family, "given": []any{given}}}, "gender": "female", "birthDate": born}
	if number != "" {
		d["identifier"] = []any{doc{"system": ident.SystemNHSNumber, "value": number}}
	}
	for i := 0; i+1 < len(more); i += 2 {
		d[more[i].(string)] = more[i+1]
	}
	return d
}

func home(line, postcode string) []any {
	return []any{doc{"use": "home", "line": []any{line}, "postalCode": postcode}}
}

func tag(code string) doc {
	return doc{"security": []any{doc{"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": code}}}
}

// put writes a Patient as the keeper's own system.
func (w *world) put(tenant ident.ODSCode, id string, d doc) {
	w.t.Helper()
	d["id"] = id
	text, err := json.Marshal(d)
	if err != nil {
		w.t.Fatal(err)
	}
	w.putAs(access.Service("system", tenant), tenant, id, text)
}

func (w *world) putAs(by access.Principal, tenant ident.ODSCode, id string, text []byte) {
	w.t.Helper()
	k, ctx := w.n.Kernel(), w.t.Context()
	res, err := fhir.Parse(text)
	if err != nil {
		w.t.Fatal(err)
	}
	w.time.Advance(time.Millisecond)
	d, err := k.Records.Prepare(ctx, record.Change{Verb: record.Put, Ref: record.Ref{Tenant: tenant, Type: "Patient", ID: id}, Resource: res, Reason: "as part of a test"})
	if err != nil {
		w.t.Fatal(err)
	}
	grants, err := k.Gate.DecideAll(ctx, by, d.Acts())
	if err != nil {
		w.t.Fatal(err)
	}
	if err := k.Gate.Act(ctx, grants, d.Lanes(), func(tx *store.Tx) error { _, err := k.Records.Apply(tx, d, grants...); return err }); err != nil {
		w.t.Fatal(err)
	}
}

// get reads a Patient as it stands.
func (w *world) get(tenant ident.ODSCode, id string) record.Version {
	w.t.Helper()
	v, err := w.read(tenant, id)
	if err != nil {
		w.t.Fatal(err)
	}
	return v
}

func (w *world) read(tenant ident.ODSCode, id string) (record.Version, error) {
	k, ctx := w.n.Kernel(), w.t.Context()
	ref := record.Ref{Tenant: tenant, Type: "Patient", ID: id}
	place, err := k.Records.Locate(ctx, ref)
	if err != nil {
		return record.Version{}, err
	}
	g, err := k.Gate.Decide(ctx, access.Service("system", tenant), access.Read, place)
	if err != nil {
		return record.Version{}, err
	}
	return k.Records.Read(ctx, g, ref)
}

// round asks about everybody who is due.
func (w *world) round() {
	w.t.Helper()
	if err := w.n.Replica().Round(w.t.Context(), hospital); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) status() replica.Status {
	w.t.Helper()
	s, err := w.n.Replica().Status(w.t.Context(), hospital)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// counts are the states that anybody is in.
func (w *world) counts(want map[replica.State]int) {
	w.t.Helper()
	if got := w.status().Counts; fmt.Sprint(got) != fmt.Sprint(want) {
		w.t.Errorf("the states are %v, want %v", got, want)
	}
}

// verified is the published status of a Patient's number; "" for none.
func verified(v record.Version) string {
	for i := range v.Resource.Get("identifier").Items() {
		if i.Field("system").String() == ident.SystemNHSNumber && i.Field("use").String() != "old" {
			return i.Get("extension.0.valueCodeableConcept.coding.0.code").String()
		}
	}
	return ""
}
