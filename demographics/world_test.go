package demographics_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/demographics"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/clock"
	"github.com/openspine/openspine/internal/node"
	"github.com/openspine/openspine/store/storetest"
)

// The tests of this package are callers of the published API: they know a node by its address alone.

var national = ident.MustODSCode("X26")

// today is the day of the tests' clock.
var today = time.Date(2026, 1, 15, 9, 30, 0, 0, time.UTC)

type world struct {
	t    testing.TB
	node *node.Node
	url  string
	cfg  node.Config
	time *clock.Fake
}

func newWorld(t testing.TB, database string) *world {
	t.Helper()
	return newWorldWith(t, database)
}

// newWorldWith is a world whose node is configured otherwise.
func newWorldWith(t testing.TB, database string, options ...func(*node.Config)) *world {
	t.Helper()
	srv := httptest.NewUnstartedServer(nil)
	url := "http://" + srv.Listener.Addr().String()
	cfg := node.Config{Name: "test", Data: t.TempDir(), National: "X26", Database: database, BaseURL: url, Demo: true, Tenants: []node.TenantConfig{
		{Code: "X26", Name: "National spine", Kind: "national"}, {Code: "RZ901", Name: "A hospital", Kind: "hospital"}}}
	for _, o := range options {
		o(&cfg)
	}
	now := clock.NewFake(today)
	n, err := node.Open(context.Background(), cfg, node.Options{Clock: now})
	if err != nil {
		t.Fatal(err)
	}
	srv.Config.Handler = n
	srv.Start()
	t.Cleanup(func() {
		srv.Close()
		if err := n.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	return &world{t: t, node: n, url: url + demographics.Base, cfg: cfg, time: now}
}

// each runs a test on every engine there is.
func each(t *testing.T, test func(t *testing.T, w *world)) {
	t.Run("SQLite", func(t *testing.T) { test(t, newWorld(t, "")) })
	t.Run("PostgreSQL", func(t *testing.T) { test(t, newWorld(t, storetest.PostgresURL(t))) })
}

// load writes resources of the national tenant as the node itself does.
func (w *world) load(docs ...[]byte) {
	w.t.Helper()
	l := w.node.Loader("test", national, nil)
	for _, doc := range docs {
		res, err := fhir.Parse(doc)
		if err != nil {
			w.t.Fatal(err)
		}
		if err := l.Add(w.t.Context(), res); err != nil {
			w.t.Fatal(err)
		}
	}
	if err := l.Flush(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	w.time.Advance(time.Millisecond) // what is written is older than who asks
}

// caller is somebody with a token.
type caller struct {
	*world
	token string
}

func (w *world) as(p access.Principal) *caller {
	w.t.Helper()
	token, err := w.node.Kernel().Issuer.Mint(p, time.Hour)
	if err != nil {
		w.t.Fatal(err)
	}
	return &caller{w, token}
}

// worker is a clinician of a hospital, who looks after nobody here.
func (w *world) worker() *caller { return w.as(staff(access.Clinician, "worker")) }

// system is a client that was granted the national demographics.
func (w *world) system() *caller {
	p := staff(access.SystemClient, "tracer")
	p.Tenants, p.Scopes = []ident.ODSCode{national}, []string{"system/Patient.read", "system/RelatedPerson.read"}
	return w.as(p)
}

// patient is a person with access to their own record.
func (w *world) patient(number string) *caller {
	return w.as(access.Principal{ID: "person-" + number, Name: "A person", Role: access.Patient, Person: number, Assurance: "P9"})
}

func staff(role access.Role, id string) access.Principal {
	return access.Principal{ID: id, Name: "The " + id, Role: role, Organisation: ident.MustODSCode("RZ901"), Assurance: "AAL2"}
}

// answer is what came back.
type answer struct {
	t      testing.TB
	what   string
	status int
	header http.Header
	body   string
}

// do sends one request with an X-Request-ID of its own; headers come in pairs, and an empty value takes a header away.
func (c *caller) do(method, path, body string, headers ...string) *answer {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.url+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("X-Request-ID", uuid.NewString())
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Del(headers[i])
		if headers[i+1] != "" {
			req.Header.Set(headers[i], headers[i+1])
		}
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	c.time.Advance(time.Millisecond)
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return &answer{c.t, method + " " + path, resp.StatusCode, resp.Header, string(bytes.TrimSpace(text))}
}

func (c *caller) get(path string, headers ...string) *answer {
	c.t.Helper()
	return c.do("GET", path, "", headers...)
}

// want fails the test when the status is another.
func (a *answer) want(status int) *answer {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("%s is answered %d, want %d: %s", a.what, a.status, status, a.body)
	}
	return a
}

// refused fails the test unless the answer is an OperationOutcome with this status, code and, if not empty, diagnostics.
func (a *answer) refused(status int, code, diagnostics string) *answer {
	a.t.Helper()
	a.want(status)
	res := a.json()
	if got := res.Get("issue.0.details.coding.0.code").String(); got != code {
		a.t.Errorf("%s: the code is %q, want %q: %s", a.what, got, code, a.body)
	}
	if got := res.Get("issue.0.diagnostics").String(); diagnostics != "" && got != diagnostics {
		a.t.Errorf("%s: the diagnostics are %q, want %q", a.what, got, diagnostics)
	}
	return a
}

func (a *answer) json() *fhir.Resource {
	a.t.Helper()
	if got := a.header.Get("Content-Type"); got != "application/fhir+json" {
		a.t.Errorf("%s: the content type is %q", a.what, got)
	}
	res, err := fhir.Parse([]byte(a.body))
	if err != nil {
		a.t.Fatalf("%s: %v: %s", a.what, err, a.body)
	}
	return res
}
