package ers_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/clock"
	"github.com/openspine/openspine/internal/node"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/referral/ers"
	"github.com/openspine/openspine/store"
)

// The tests of this package are programs that know a node by its address.

var (
	practice = ident.MustODSCode("R69")
	hospital = ident.MustODSCode("R68")
)

// world is a national node with a practice and a hospital that offers a service.
type world struct {
	t    testing.TB
	node *node.Node
	url  string
	time *clock.Fake
}

func newWorld(t testing.TB) *world {
	t.Helper()
	return newWorldAt(t, time.Date(2026, 1, 15, 9, 30, 0, 0, time.UTC))
}

// newWorldAt is a world that begins at a time.
func newWorldAt(t testing.TB, at time.Time) *world {
	t.Helper()
	now := clock.NewFake(at)
	cfg := node.Config{Name: "test", Addr: "127.0.0.1:0", Data: t.TempDir(), National: "X26", Demo: true, Outward: []string{"127.0.0.1"}, Tenants: []node.TenantConfig{
		{Code: "X26", Name: "National spine", Kind: "national"}, {Code: "R68", Name: "A hospital", Kind: "hospital"}}}
	n, err := node.Open(context.Background(), cfg, node.Options{Clock: now, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Listen(); err != nil {
		t.Fatal(err)
	}
	serving, stop := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- n.Serve(serving, func() { close(ready) }) }()
	select {
	case <-ready:
	case err := <-ended:
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		if err := errors.Join(<-ended, n.Close()); err != nil {
			t.Error(err)
		}
	})
	w := &world{t: t, node: n, url: n.URL() + ers.Base, time: now}
	w.load(`{"resourceType":"Organization","id":"R68","identifier":[{"system":"https://fhir.nhs.uk/Id/ods-organization-code","value":"R68"}],"active":true,"name":"A hospital"}`,
		`{"resourceType":"HealthcareService","id":"11002","active":true,"providedBy":{"identifier":{"system":"https://fhir.nhs.uk/Id/ods-organization-code","value":"R68"}},"name":"Good Cardiology Business Service"}`,
		`{"resourceType":"HealthcareService","id":"11010","active":true,"providedBy":{"identifier":{"system":"https://fhir.nhs.uk/Id/ods-organization-code","value":"R68"}},"name":"A full clinic"}`,
		`{"resourceType":"Patient","id":"9990000018","identifier":[{"system":"https://fhir.nhs.uk/Id/nhs-number","value":"9990000018"}],"name":[{"use":"usual","family":"O'Neill","given":["Zoë"]}],"gender":"female","birthDate":"1970-01-02"}`)
	for _, u := range []access.User{staff("gp", access.Clinician, practice), staff("secretary", access.Clerk, practice), staff("consultant", access.Clinician, hospital), staff("booker", access.Clerk, hospital)} {
		if err := n.Kernel().Gate.PutUser(t.Context(), u); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// registered makes the patient one of the practice's.
func (w *world) registered(number string) {
	w.t.Helper()
	k := w.node.Kernel()
	err := k.DB.Write(w.t.Context(), []store.Lane{k.Gate.Lane(k.National, number)}, func(tx *store.Tx) error {
		return k.Gate.Relate(tx, access.Relationship{Tenant: k.National, Chart: number, Organisation: practice, Kind: access.KindRegistered, Basis: "registered", By: "test"})
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// gives hands free slots of the hospital to the spine, by a message as hospitals do, and waits until they can be seen.
func (w *world) gives(service string, starts ...time.Time) {
	w.t.Helper()
	m := booking.Slots{Session: "s-" + service, Service: service}
	for i, at := range starts {
		m.Slots = append(m.Slots, booking.Slot{ID: fmt.Sprint("slot", i), Epoch: 1, Start: at, End: at.Add(20 * time.Minute)})
	}
	body, err := booking.Encode(m)
	if err != nil {
		w.t.Fatal(err)
	}
	k := w.node.Kernel()
	post := k.Post()
	err = k.DB.Write(w.t.Context(), []store.Lane{post.LaneOf(hospital, m.Session)}, func(tx *store.Tx) error {
		_, err := post.Send(w.t.Context(), tx, messaging.Message{From: hospital, To: k.National, Workflow: booking.WorkflowSlots, Conversation: m.Session, Body: body})
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	gp := w.as(staff("gp", access.Clinician, practice), acting(ers.ReferringClinician, practice)...)
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if a := gp.get(slotsOf(service, 5, 1)); a.status == http.StatusOK && a.json["total"] == float64(len(starts)) {
			return
		}
		w.time.Advance(time.Second)
	}
	w.t.Fatalf("the slots did not arrive: %s", gp.get(slotsOf(service, 5, 1)).body)
}

func slotsOf(service string, count, page int) string {
	return fmt.Sprintf("/STU3/Slot?schedule.actor:HealthcareService=%s&appointmentType=ROUTINE&status=free&_count=%d&page=%d", service, count, page)
}

func staff(id string, role access.Role, at ident.ODSCode) access.User {
	return access.User{Principal: access.Principal{ID: id, Name: "The " + id, Role: role, Organisation: at, Assurance: "AAL2"}}
}

func (w *world) load(docs ...string) {
	w.t.Helper()
	l := w.node.Loader("test", ident.MustODSCode("X26"), nil)
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
}

// caller is somebody with a token, and the headers that say as what they act.
type caller struct {
	*world
	token   string
	headers []string
}

func (w *world) as(u access.User, headers ...string) *caller {
	w.t.Helper()
	token, err := w.node.Kernel().Issuer.Mint(u.Principal, time.Hour)
	if err != nil {
		w.t.Fatal(err)
	}
	return &caller{w, token, headers}
}

// acting are the headers of a business function.
func acting(function ers.Function, at ident.ODSCode, more ...string) []string {
	return append([]string{"NHSD-eRS-Business-Function", string(function), "NHSD-End-User-Organisation-ODS", at.String()}, more...)
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
	json   map[string]any
}

// code is the error code that an answer carries.
func (a answer) code() string {
	var o struct {
		Issue []struct {
			Details struct{ Coding []struct{ Code string } }
		}
	}
	if json.Unmarshal([]byte(a.body), &o) != nil || len(o.Issue) == 0 || len(o.Issue[0].Details.Coding) == 0 {
		return ""
	}
	return o.Issue[0].Details.Coding[0].Code
}

func (c *caller) get(path string) answer { return c.do(http.MethodGet, path, "") }

func (c *caller) post(path, body string, headers ...string) answer {
	return c.do(http.MethodPost, path, body, append(headers, "Content-Type", "application/fhir+json")...)
}

func (c *caller) do(method, path, body string, headers ...string) answer {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.url+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	headers = append(slices.Clone(c.headers), headers...)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	a := answer{status: resp.StatusCode, header: resp.Header, body: string(got)}
	if json.Unmarshal(got, &a.json) != nil {
		a.json = nil
	}
	return a
}
