package messages_test

import (
	"bytes"
	"context"
	"embed"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/fhirapi/messages"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/internal/clock"
	"github.com/openspine/openspine/internal/node"
	"github.com/openspine/openspine/mesh"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/store/storetest"
)

//go:embed testdata/wards/*.sql
var wardFiles embed.FS

var (
	nation   = ident.MustODSCode("X26")
	hospital = ident.MustODSCode("RZ901")
	practice = ident.MustODSCode("Y90001")
)

// admit is the event that the tests' service takes.
const admit = "urn:test:admit"

// world is a national node, and somebody elsewhere.
type world struct {
	t     testing.TB
	n     *node.Node
	clock *clock.Fake
	there *third
	busy  atomic.Bool
}

// wards is a service that takes a message: it counts who was admitted, refuses who is called No, and is busy at times.
func wards(busy *atomic.Bool) func(catalogue.Kernel) []catalogue.Service {
	return func(k catalogue.Kernel) []catalogue.Service {
		return []catalogue.Service{{Name: "wards", Summary: "Takes admissions.", Schema: store.Embedded("wards", wardFiles, "testdata/wards"), Messages: []catalogue.Messaged{{
			Event: admit, Focus: []string{"Patient"},
			Take: func(_ context.Context, m catalogue.FHIRMessage) (catalogue.Effect, error) {
				name := m.Focus[0].Get("name.0.family").String()
				switch {
				case busy.Load():
					return catalogue.Effect{}, fault.New(fault.Unavailable, "The ward is busy.")
				case name == "No":
					return catalogue.Effect{}, fault.New(fault.Unprocessable, "The ward is full.")
				}
				return catalogue.Effect{Lanes: []store.Lane{0}, Do: func(_ context.Context, tx *store.Tx) ([]fhir.Value, error) {
					if name == "Never" {
						return nil, fault.New(fault.Conflict, "The bed is taken.")
					}
					_, err := tx.Exec(`INSERT INTO wards_admitted (lane, n, message, sender) SELECT 0, coalesce(max(n), 0) + 1, ?, ? FROM wards_admitted WHERE lane = 0`, m.ID, m.From.Organisation.String())
					return []fhir.Value{fhir.Obj("resourceType", "Basic", "code", fhir.Obj("text", "bed 7"))}, err
				}}, nil
			}}}}}
	}
}

// third is a system that is no node: it takes messages and responses, and answers as it is told.
type third struct {
	*httptest.Server
	mu     sync.Mutex
	status int
	answer func(body string) string
	got    []string // path and query, a space, the body
}

func newThird(t testing.TB) *third {
	p := &third{status: http.StatusOK}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.status < 500 {
			p.got = append(p.got, r.URL.RequestURI()+" "+string(body))
		}
		w.WriteHeader(p.status)
		if p.answer != nil {
			_, _ = io.WriteString(w, p.answer(string(body)))
		}
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *third) says(status int, answer func(string) string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status, p.answer = status, answer
}

// comes is the next thing that came there.
func (w *world) comes() string {
	w.t.Helper()
	var first string
	w.eventually(func() bool {
		w.there.mu.Lock()
		defer w.there.mu.Unlock()
		if len(w.there.got) == 0 {
			return false
		}
		first, w.there.got = w.there.got[0], w.there.got[1:]
		return true
	})
	return first
}

// eventually waits until something has happened, while the clock goes on.
func (w *world) eventually(happened func() bool) {
	w.t.Helper()
	moved, stop := w.n.Kernel().Post().Changes()
	defer stop()
	late := time.After(30 * time.Second)
	for !happened() {
		w.clock.Advance(time.Second) // the post looks for what it was not rung for, and tries again what failed
		select {
		case <-moved:
		case <-time.After(10 * time.Millisecond):
		case <-late:
			w.t.Fatal("it does not happen")
		}
	}
}

func config(t testing.TB, code ident.ODSCode, database string, tenants ...ident.ODSCode) node.Config {
	cfg := node.Config{Name: code.String(), Addr: "127.0.0.1:0", Data: t.TempDir(), Database: database, National: nation.String(), Outward: []string{"127.0.0.0/8"}}
	for _, c := range append([]ident.ODSCode{code}, tenants...) {
		kind := "hospital"
		if c == nation {
			kind = "national"
		}
		cfg.Tenants = append(cfg.Tenants, node.TenantConfig{Code: c.String(), Name: c.String(), Kind: kind})
	}
	return cfg
}

// open makes a node that listens; start has it serve.
func open(t testing.TB, cfg node.Config, o node.Options) (n *node.Node, start func()) {
	t.Helper()
	o.Logger = slog.New(slog.DiscardHandler)
	n, err := node.Open(t.Context(), cfg, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Listen(); err != nil {
		t.Fatal(err)
	}
	return n, func() {
		serving, stop := context.WithCancel(context.Background())
		ready, ended := make(chan struct{}), make(chan error, 1)
		go func() { ended <- n.Serve(serving, func() { close(ready) }) }()
		<-ready
		t.Cleanup(func() {
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
			if err := n.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func newWorld(t testing.TB, database string) *world {
	t.Helper()
	w := &world{t: t, clock: clock.NewFake(time.Now().UTC().Truncate(time.Second)), there: newThird(t)}
	var start func()
	w.n, start = open(t, config(t, nation, database, hospital), node.Options{Clock: w.clock, Services: wards(&w.busy)})
	start()
	return w
}

// each runs a test on every engine there is.
func each(t *testing.T, test func(t *testing.T, w *world)) {
	t.Run("SQLite", func(t *testing.T) { t.Parallel(); test(t, newWorld(t, "")) })
	t.Run("PostgreSQL", func(t *testing.T) { t.Parallel(); test(t, newWorld(t, storetest.PostgresURL(t))) })
}

// sender is a program of an organisation, at one of the node's addresses.
type sender struct {
	w     *world
	token string
	url   string
}

func (w *world) program(of ident.ODSCode, role access.Role) *sender {
	w.t.Helper()
	p := access.Principal{ID: "program-" + of.String(), Name: "A program", Role: role, Organisation: of, Tenants: []ident.ODSCode{nation, hospital}, Scopes: []string{"system/*.*"}}
	token, err := w.n.Kernel().Issuer.Mint(p, 24*time.Hour)
	if err != nil {
		w.t.Fatal(err)
	}
	return &sender{w: w, token: token, url: w.n.URL() + "/FHIR/R4"}
}

// at is the same program at an organisation's address.
func (s *sender) at(code ident.ODSCode) *sender {
	return &sender{w: s.w, token: s.token, url: s.w.n.URL() + "/o/" + code.String() + "/FHIR/R4"}
}

// reply is what was answered.
type reply struct {
	t      testing.TB
	status int
	body   string
	doc    *fhir.Resource
}

func (s *sender) try(query, body string, headers ...string) (reply, error) {
	r, err := http.NewRequestWithContext(s.w.t.Context(), http.MethodPost, s.url+"/$process-message"+query, bytes.NewReader([]byte(body)))
	if err != nil {
		return reply{}, err
	}
	r.Header.Set("Content-Type", "application/fhir+json")
	if s.token != "" {
		r.Header.Set("Authorization", "Bearer "+s.token)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	got := reply{t: s.w.t, status: resp.StatusCode, body: string(text)}
	got.doc, _ = fhir.Parse(text)
	return got, err
}

func (s *sender) post(query, body string, headers ...string) reply {
	s.w.t.Helper()
	got, err := s.try(query, body, headers...)
	if err != nil {
		s.w.t.Fatal(err)
	}
	return got
}

// wants refuses another status, or an answer without the words.
func (r reply) wants(status int, words ...string) reply {
	r.t.Helper()
	for _, word := range words {
		if !strings.Contains(r.body, word) {
			r.t.Fatalf("answered %d %s; there is no %q", r.status, r.body, word)
		}
	}
	if r.status != status {
		r.t.Fatalf("answered %d %s, not %d", r.status, r.body, status)
	}
	return r
}

// says is what a response says to the message with an id.
func (r reply) says(id, code string) reply {
	r.t.Helper()
	h := r.doc.Get("entry.0.resource")
	if got := h.Get("response.identifier").String() + " " + h.Get("response.code").String(); got != id+" "+code {
		r.t.Fatalf("the response says %s, not %s %s: %s", got, id, code, r.body)
	}
	return r
}

// message is a message about a person. extra is more of its header, in front of all.
func message(id, event, family, extra string) string {
	return fmt.Sprintf(`{"resourceType":"Bundle","id":"b-%s","type":"message","timestamp":"2026-02-03T04:05:06Z","entry":[
		{"fullUrl":"urn:uuid:0f7c6c9e-0000-4000-8000-000000000001","resource":{"resourceType":"MessageHeader","id":"%s",%s"eventUri":"%s","source":{"name":"PAS","endpoint":"https://pas.example.org/fhir"},
			"focus":[{"reference":"urn:uuid:0f7c6c9e-0000-4000-8000-000000000002"}]}},
		{"fullUrl":"urn:uuid:0f7c6c9e-0000-4000-8000-000000000002","resource":{"resourceType":"Patient","name":[{"family":"%s"}]}}]}`, id, id, extra, event, family)
}

func to(code string) string {
	return `"destination":[{"endpoint":"https://somewhere.example.org","receiver":{"identifier":{"system":"https://fhir.nhs.uk/Id/ods-organization-code","value":"` + code + `"}}}],`
}

// admitted is which messages had an effect, and whose they were.
func admitted(t testing.TB, n *node.Node) string {
	t.Helper()
	var all []string
	if err := n.Kernel().DB.Read(t.Context(), func(tx *store.Tx) error {
		all = nil
		rows, err := tx.Query(`SELECT message, sender FROM wards_admitted ORDER BY n`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id, from string
			if err := rows.Scan(&id, &from); err != nil {
				return err
			}
			all = append(all, id+" of "+from)
		}
		return rows.Err()
	}); err != nil {
		t.Fatal(err)
	}
	return strings.Join(all, ", ")
}

func dial(to func() string) func(context.Context, string) (net.Conn, error) {
	return func(ctx context.Context, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", to())
	}
}

// mailbox makes a mailbox of this node that takes FHIR messages.
func (w *world) mailbox(id string, of ident.ODSCode) {
	w.t.Helper()
	err := w.n.Mail().Put(w.t.Context(), access.Service("test", nation), mesh.Mailbox{ID: id, ODS: of, Name: "A system", Owner: "its users", Bound: true,
		Workflows: []mesh.WorkflowRight{{Workflow: messages.Workflow, Takes: true}}}, "password", "A test")
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) count(query string, args ...any) (n int64) {
	w.t.Helper()
	if err := w.n.Kernel().DB.Read(w.t.Context(), func(tx *store.Tx) error { return tx.QueryRow(query, args...).Scan(&n) }); err != nil {
		w.t.Fatal(err)
	}
	return n
}
