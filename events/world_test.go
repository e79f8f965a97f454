package events_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/events"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/clock"
	"github.com/openspine/openspine/internal/node"
	"github.com/openspine/openspine/mesh"
	"github.com/openspine/openspine/store/storetest"
)

var (
	national = ident.MustODSCode("X26")
	hospital = ident.MustODSCode("RZ901")
)

// today is the day of the tests' clock.
var today = time.Date(2026, 1, 15, 9, 30, 0, 0, time.UTC)

// world is a node, and somebody elsewhere who is told of things.
type world struct {
	t      testing.TB
	cfg    node.Config
	node   *node.Node
	srv    *httptest.Server
	base   string
	time   *clock.Fake
	there  *receiver
	handle http.Handler
	mu     sync.Mutex
}

// receiver is an address elsewhere.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	status int
	got    []call
}

// call is one request that came to it.
type call struct {
	method, path, body string
	header             http.Header
}

func (r *receiver) answer(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status = status
}

// calls are those that came since it was last asked.
func (r *receiver) calls() []call {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := r.got
	r.got = nil
	return list
}

func elsewhere(t testing.TB) *receiver {
	r := &receiver{status: http.StatusOK}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, _ := io.ReadAll(q.Body)
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.status < 300 {
			r.got = append(r.got, call{q.Method, q.URL.Path, string(body), q.Header})
		}
		w.WriteHeader(r.status)
	}))
	t.Cleanup(r.Close)
	return r
}

func newWorld(t testing.TB, database string) *world {
	t.Helper()
	w := &world{t: t, time: clock.NewFake(today), there: elsewhere(t)}
	w.srv = httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		h := w.handle
		w.mu.Unlock()
		h.ServeHTTP(out, r)
	}))
	w.cfg = node.Config{Name: "test", Data: t.TempDir(), National: "X26", Database: database, BaseURL: w.srv.URL, Demo: true, Outward: []string{"127.0.0.0/8"}, Tenants: []node.TenantConfig{
		{Code: "X26", Name: "National spine", Kind: "national"}, {Code: "RZ901", Name: "A hospital", Kind: "hospital"}}}
	w.base = w.srv.URL + events.Base
	w.open()
	t.Cleanup(func() {
		w.srv.Close()
		if err := w.node.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	return w
}

func (w *world) open() {
	w.t.Helper()
	n, err := node.Open(context.Background(), w.cfg, node.Options{Clock: w.time})
	if err != nil {
		w.t.Fatal(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.node, w.handle = n, n
}

// restart stops the node and starts it again over what it kept.
func (w *world) restart() {
	w.t.Helper()
	if err := w.node.Close(); err != nil {
		w.t.Fatal(err)
	}
	w.open()
}

// each runs a test on every engine there is.
func each(t *testing.T, test func(t *testing.T, w *world)) {
	t.Run("SQLite", func(t *testing.T) { t.Parallel(); test(t, newWorld(t, "")) })
	t.Run("PostgreSQL", func(t *testing.T) { t.Parallel(); test(t, newWorld(t, storetest.PostgresURL(t))) })
}

// job runs one of the node's jobs.
func (w *world) job(name string) {
	w.t.Helper()
	for _, s := range w.node.Services() {
		for _, j := range s.Jobs {
			if j.Name == name {
				if err := j.Run(w.t.Context()); err != nil {
					w.t.Fatalf("the job %s: %v", name, err)
				}
				return
			}
		}
	}
	w.t.Fatalf("there is no job %s", name)
}

// turn lets the post do what there is to do now, a piece at a time; what is not reached waits.
func (w *world) turn() {
	w.t.Helper()
	post := w.node.Kernel().Post()
	for range 100 {
		list, err := post.Pending(w.t.Context())
		if err != nil {
			w.t.Fatal(err)
		}
		post.Rung()
		moved := false
		for _, one := range list {
			more, err := post.Turn(w.t.Context(), one)
			moved = moved || more || err == nil
		}
		if !moved {
			return
		}
	}
	w.t.Fatal("the post does not come to rest")
}

// settle lets everything happen that is due.
func (w *world) settle() {
	w.t.Helper()
	if f := w.node.Kernel().Feed(); f != nil {
		if err := f.Drain(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
	}
	w.job("events")
	w.turn()
	w.time.Advance(time.Millisecond)
}

// load writes resources of the national tenant; somebody else than the node itself does, so that it is an event.
func (w *world) load(docs ...string) {
	w.t.Helper()
	l := w.node.Loader("test", national, nil)
	for _, doc := range docs {
		res, err := fhir.Parse([]byte(doc))
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
	w.time.Advance(time.Millisecond)
}

// person is a Patient of the register.
func person(number, family, more string) string {
	return fmt.Sprintf(`{"resourceType":"Patient","id":"%s","identifier":[{"system":"https://fhir.nhs.uk/Id/nhs-number","value":"%s"}],"gender":"female","birthDate":"1980-01-02","name":[{"id":"N1","use":"usual","family":"%s","given":["Ada"]}]%s}`, number, number, family, more)
}

const restricted = `,"meta":{"security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"R","display":"restricted"}]}`

func practice(code string) string {
	return `,"generalPractitioner":[{"id":"G1","type":"Organization","identifier":{"system":"https://fhir.nhs.uk/Id/ods-organization-code","value":"` + code + `"}}]`
}

// caller is a program with a token.
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

// program is a system of an organisation that was granted the national demographics.
func program(id string, organisation ident.ODSCode) access.Principal {
	return access.Principal{ID: "client/" + id, Client: id, Name: "The " + id, Role: access.SystemClient, Organisation: organisation, Tenants: []ident.ODSCode{national}, Scopes: []string{"system/*.read", "system/Patient.read"}}
}

// system is a program of a hospital; registrar is one of the national organisation.
func (w *world) system() *caller    { return w.as(program("pas", hospital)) }
func (w *world) registrar() *caller { return w.as(program("register", national)) }

// answered is what came back.
type answered struct {
	t      testing.TB
	what   string
	status int
	header http.Header
	body   string
}

// do sends one request; headers come in pairs, and an empty value takes a header away.
func (c *caller) do(method, url, body string, headers ...string) *answered {
	c.t.Helper()
	if strings.HasPrefix(url, "/") {
		url = c.base + url
	}
	req, err := http.NewRequestWithContext(c.t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("X-Correlation-ID", "11C46F5F-CDEF-4865-94B2-0EE0EDCC26DA")
	if body != "" {
		req.Header.Set("Content-Type", "application/fhir+json")
	}
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
		c.t.Fatalf("%s %s: %v", method, url, err)
	}
	defer resp.Body.Close()
	c.time.Advance(time.Millisecond)
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return &answered{c.t, method + " " + url, resp.StatusCode, resp.Header, strings.TrimSpace(string(text))}
}

// want fails the test when the status is another.
func (a *answered) want(status int) *answered {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("%s is answered %d, want %d: %s", a.what, a.status, status, a.body)
	}
	return a
}

// says fails the test when the body is another.
func (a *answered) says(body string) *answered {
	a.t.Helper()
	if a.body != body {
		a.t.Errorf("%s says %s, want %s", a.what, a.body, body)
	}
	return a
}

func (a *answered) json() map[string]any {
	a.t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		a.t.Fatalf("%s: %v: %s", a.what, err, a.body)
	}
	return v
}

// body is a subscription to events as it is sent.
func body(criteria, endpoint, payload string) string {
	return fmt.Sprintf(`{"resourceType":"Subscription","status":"requested","reason":"Business process A","criteria":%q,"channel":{"type":"message","endpoint":%q,"payload":%q,"header":["Authorization: Bearer the-secret"]}}`, criteria, endpoint, payload)
}

// subscribe subscribes at the world's receiver and gives the id.
func (c *caller) subscribe(criteria, path, payload string) string {
	c.t.Helper()
	id, _ := c.do("POST", "/subscriptions", body(criteria, c.there.URL+path, payload)).want(201).json()["id"].(string)
	return id
}

// mailbox makes a mailbox of an organisation.
func (w *world) mailbox(id string, of ident.ODSCode) {
	w.t.Helper()
	if err := w.node.Mail().Put(w.t.Context(), access.Service("test", national), mesh.Mailbox{ID: id, ODS: of, Name: "A system", Owner: "its users"}, "password", "A test"); err != nil {
		w.t.Fatal(err)
	}
}
