package node_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/node"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/store"
)

var (
	national = ident.MustODSCode("X26")
	practice = ident.MustODSCode("A99901")
)

// The people of these tests; the numbers are in the range reserved for tests.
const (
	ownNumber    = "9990000018" // the patient who signs in
	otherNumber  = "9990000026"
	hiddenNumber = "9990000042" // restricted
)

// running is a node that serves on loopback until its test ends.
type running struct {
	t     *testing.T
	n     *node.Node
	log   *lines
	ended chan error
	stop  context.CancelFunc
	calls int
}

// lines is what a node logged.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func config(dir string) node.Config {
	return node.Config{Name: "test", Addr: "127.0.0.1:0", MetricsAddr: "127.0.0.1:0", Data: dir, National: "X26", Demo: true, Tenants: []node.TenantConfig{
		{Code: "X26", Name: "National spine", Kind: "national"}, {Code: "A99901", Name: "Riverside Surgery", Kind: "practice"}}}
}

// serve starts a node; it is stopped at the end of the test, and must then have served without a failure.
func serve(t *testing.T, cfg node.Config, o node.Options) *running {
	t.Helper()
	r := &running{t: t, log: &lines{}, ended: make(chan error, 1)}
	o.Logger = slog.New(slog.NewJSONHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	n, err := node.Open(t.Context(), cfg, o)
	if err != nil {
		t.Fatal(err)
	}
	r.n = n
	ctx, stop := context.WithCancel(context.Background())
	r.stop = stop
	ready := make(chan struct{})
	go func() { r.ended <- n.Serve(ctx, func() { close(ready) }) }()
	select {
	case <-ready:
	case err := <-r.ended:
		t.Fatalf("the node did not start: %v", err)
	}
	t.Cleanup(r.end)
	return r
}

// end stops the node, once, and waits until it has stopped.
func (r *running) end() {
	r.stop()
	err, open := <-r.ended
	if err != nil && open {
		r.t.Errorf("serving ended with: %v", err)
	}
	if open {
		close(r.ended)
	}
}

// seed puts three people and one user for each role into an empty node.
func (r *running) seed() *running {
	r.t.Helper()
	gate, ctx := r.n.Kernel().Gate, r.t.Context()
	var users []access.User
	for _, role := range access.Roles() {
		p := access.Principal{ID: string(role), Name: "Test " + string(role), Role: role, Organisation: practice}
		switch role {
		case access.Patient:
			p.Organisation, p.Person = ident.ODSCode{}, ownNumber
		case access.SystemClient:
			p.Tenants = []ident.ODSCode{national}
		}
		users = append(users, access.User{Principal: p, Demo: true})
	}
	users = append(users, access.User{Principal: access.Principal{ID: "stranger", Name: "Test stranger", Role: access.Clinician, Organisation: practice}, Demo: true})
	if err := gate.PutUsers(ctx, users); err != nil {
		r.t.Fatal(err)
	}
	for _, number := range []string{ownNumber, otherNumber, hiddenNumber} {
		r.put("Patient", number, person(number))
		for _, user := range []access.Role{access.Clinician, access.Clerk, access.Pharmacist} {
			r.relate(number, string(user))
		}
	}
	r.put("Observation", "o-"+ownNumber, observation(ownNumber))
	r.put("Observation", "o-"+otherNumber, observation(otherNumber))
	r.put("Organization", "org", `{"resourceType":"Organization","id":"org","name":"Riverside"}`)
	return r
}

func person(number string) string {
	security := ""
	if number == hiddenNumber {
		security = `"meta":{"security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"R"}]},`
	}
	return `{"resourceType":"Patient","id":"` + number + `",` + security + `"identifier":[{"system":"https://fhir.nhs.uk/Id/nhs-number","value":"` + number +
		`"}],"name":[{"family":"Marsh","given":["Helena"]}],"gender":"female","birthDate":"1980-02-03"}`
}

func observation(number string) string {
	return `{"resourceType":"Observation","id":"o-` + number + `","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"8867-4"}]},"subject":{"reference":"Patient/` +
		number + `"},"effectiveDateTime":"2026-01-02","valueQuantity":{"value":72,"unit":"/min","system":"http://unitsofmeasure.org","code":"/min"}}`
}

// put writes a resource as a part of the node itself.
func (r *running) put(typ, id, text string) {
	r.t.Helper()
	k, ctx := r.n.Kernel(), r.t.Context()
	res, err := fhir.Parse([]byte(text))
	if err != nil {
		r.t.Fatal(err)
	}
	err = record.Retry(3, func() error {
		d, err := k.Records.Prepare(ctx, record.Change{Verb: record.Put, Ref: record.Ref{Tenant: national, Type: typ, ID: id}, Resource: res})
		if err != nil {
			return err
		}
		record.FoundedBy(d)
		grants, err := k.Gate.DecideAll(ctx, access.Service("seed", national), d.Acts())
		if err != nil {
			return err
		}
		return k.Gate.Act(ctx, grants, record.LanesOf(d), func(tx *store.Tx) error {
			_, _, err := k.Records.ApplyAll(tx, []*record.Draft{d}, grants...)
			return err
		})
	})
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *running) relate(chart, user string) {
	r.t.Helper()
	k := r.n.Kernel()
	err := k.DB.Write(r.t.Context(), []store.Lane{k.Gate.Lane(national, chart)}, func(tx *store.Tx) error {
		return k.Gate.Relate(tx, access.Relationship{Tenant: national, Chart: chart, User: user, Kind: "care-team", Basis: "test", By: "test"})
	})
	if err != nil {
		r.t.Fatal(err)
	}
}

// token is a bearer token for a user.
func (r *running) token(user string) string {
	r.t.Helper()
	u, err := r.n.Kernel().Gate.UserByID(r.t.Context(), user)
	if err != nil {
		r.t.Fatal(err)
	}
	if u.Principal.Assurance = "AAL2"; u.Role == access.Patient {
		u.Principal.Assurance = "P9"
	}
	token, err := r.n.Kernel().Issuer.Mint(u.Principal, time.Hour)
	if err != nil {
		r.t.Fatal(err)
	}
	return token
}

// reply is an answer, read whole.
type reply struct {
	status int
	header http.Header
	body   string
}

// call sends a request; headers are "Name: value".
func (r *running) call(method, path, token, body string, headers ...string) reply {
	r.t.Helper()
	return send(r.t, http.DefaultClient, method, r.n.URL()+path, token, body, headers...)
}

func send(t *testing.T, c *http.Client, method, url, token, body string, headers ...string) reply {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/fhir+json")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header, string(text)}
}

// want fails unless the status is as expected.
func (a reply) want(t *testing.T, status int) reply {
	t.Helper()
	if a.status != status {
		t.Fatalf("status %d, want %d: %.600s", a.status, status, a.body)
	}
	return a
}

// outcome fails unless the answer is an OperationOutcome with a code.
func (a reply) outcome(t *testing.T, status int, code string) reply {
	t.Helper()
	a.want(t, status)
	var o struct {
		ResourceType string
		Issue        []struct{ Severity, Code, Diagnostics string }
	}
	if err := json.Unmarshal([]byte(a.body), &o); err != nil || o.ResourceType != "OperationOutcome" || len(o.Issue) == 0 {
		t.Fatalf("not an OperationOutcome (%v): %.300s", err, a.body)
	}
	if o.Issue[0].Code != code || o.Issue[0].Diagnostics == "" {
		t.Fatalf("issue %+v, want code %s", o.Issue[0], code)
	}
	return a
}

// browser signs a demonstration user in.
func (r *running) browser(user string) *http.Client {
	r.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		r.t.Fatal(err)
	}
	c := &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	a := send(r.t, c, "POST", r.n.URL()+"/sign-in", "", "user="+user+"&to=/", "Content-Type: application/x-www-form-urlencoded")
	a.want(r.t, http.StatusSeeOther)
	return c
}

func trusting() *http.Client {
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}} //nolint:gosec // the certificate is compared by the test
}
