package fhirapi_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/node"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/store/storetest"
)

// The tests of this package are callers: they know a node by its address alone, through HTTP.

const hospital = "RZ901"

// world is a node that runs in a folder of its own.
type world struct {
	t    testing.TB
	node *node.Node
	url  string
	data string // its folder
	mint func(access.Principal, time.Duration) string
}

// setting is what a test may choose of its world.
type setting struct {
	database string   // a PostgreSQL URL; SQLite when empty
	tenants  []string // beside the national one and the hospital
	packages []string // of further definitions
	options  node.Options
}

func newWorld(t testing.TB, s setting) *world {
	t.Helper()
	srv := httptest.NewUnstartedServer(nil)
	url := "http://" + srv.Listener.Addr().String()
	cfg := node.Config{Name: "test", Data: t.TempDir(), National: "X26", Database: s.database, BaseURL: url, Definitions: s.packages, Tenants: []node.TenantConfig{
		{Code: "X26", Name: "National spine", Kind: "national"}, {Code: hospital, Name: "A hospital", Kind: "hospital"}}}
	for _, code := range s.tenants {
		cfg.Tenants = append(cfg.Tenants, node.TenantConfig{Code: code, Name: "Another " + code, Kind: "practice"})
	}
	n, err := node.Open(context.Background(), cfg, s.options)
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
	w := &world{t: t, node: n, url: url, data: cfg.Data}
	w.mint = func(p access.Principal, lasts time.Duration) string {
		token, err := n.Kernel().Issuer.Mint(p, lasts)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	return w
}

// each runs a test on every engine there is.
func each(t *testing.T, test func(t *testing.T, w *world)) {
	t.Run("SQLite", func(t *testing.T) { test(t, newWorld(t, setting{})) })
	t.Run("PostgreSQL", func(t *testing.T) { test(t, newWorld(t, setting{database: storetest.PostgresURL(t)})) })
}

// caller is somebody with a token, at one base address.
type caller struct {
	t     testing.TB
	url   string
	token string
	who   access.Principal
	mint  func(access.Principal, time.Duration) string
}

func principal(role access.Role, id string, tenants ...string) access.Principal {
	p := access.Principal{ID: id, Name: "The " + id, Role: role, Organisation: ident.MustODSCode(hospital)}
	for _, code := range tenants {
		p.Tenants = append(p.Tenants, ident.MustODSCode(code))
	}
	if role == access.SystemClient {
		p.Scopes = []string{"system/*.*"}
	}
	return p
}

// as is a caller at the node's default address.
func (w *world) as(p access.Principal) *caller {
	return &caller{t: w.t, url: w.url + "/FHIR/R4", token: w.mint(p, time.Hour), who: p, mint: w.mint}
}

// system may do everything in the national records and, at the hospital's address, in the hospital's: in each it is the keeper's own.
func (w *world) system() *caller {
	p := principal(access.SystemClient, loader, "X26", hospital)
	p.Organisation = ident.MustODSCode("X26")
	return w.as(p)
}

const loader = "loader"

// at is the same caller at an organisation's own address.
func (c *caller) at(tenant string) *caller {
	other := *c
	root, _, _ := strings.Cut(c.url, "/FHIR")
	root, _, _ = strings.Cut(root, "/o/")
	other.url = root + "/o/" + tenant + "/FHIR/R4"
	if other.who.ID == loader {
		other.who.Organisation = ident.MustODSCode(tenant)
		other.token = other.mint(other.who, time.Hour)
	}
	return &other
}

// in is the same caller in another test.
func (c *caller) in(t testing.TB) *caller {
	other := *c
	other.t = t
	return &other
}

// answer is what came back.
type answer struct {
	t      testing.TB
	what   string
	status int
	header http.Header
	body   string
}

// do sends one request. path is relative to the base; body may be nil, a string, bytes or a fhir.Value. headers come in
// pairs; the Content-Type is FHIR JSON unless they say otherwise.
func (c *caller) do(method, path string, body any, headers ...string) *answer {
	c.t.Helper()
	a, err := c.try(method, path, body, headers...)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, path, err)
	}
	return a
}

var client = sync.OnceValue(func() *http.Client {
	return &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 200, DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
})

func (c *caller) try(method, path string, body any, headers ...string) (*answer, error) {
	var text []byte
	switch b := body.(type) {
	case string:
		text = []byte(b)
	case []byte:
		text = b
	case fhir.Value:
		text = b.JSON()
	}
	url := c.url + "/" + path
	if path == "" || path[0] == '?' {
		url = c.url + path
	}
	r, err := http.NewRequest(method, url, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	if len(text) > 0 {
		r.Header.Set("Content-Type", "application/fhir+json")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	res, err := client().Do(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	return &answer{t: c.t, what: method + " " + path, status: res.StatusCode, header: res.Header, body: string(got)}, err
}

func (c *caller) get(path string, headers ...string) *answer {
	c.t.Helper()
	return c.do("GET", path, nil, headers...)
}

// put stores a resource given as JSON and expects that to work; it returns the version.
// post makes a resource whose id the server gives, and returns its address, Type/id.
func (c *caller) post(json string) string {
	c.t.Helper()
	res, err := fhir.Parse([]byte(json))
	if err != nil {
		c.t.Fatal(err)
	}
	return res.Type() + "/" + c.do("POST", res.Type(), json).wants(201).text("id")
}

func (c *caller) put(json string) *answer {
	c.t.Helper()
	res, err := fhir.Parse([]byte(json))
	if err != nil {
		c.t.Fatal(err)
	}
	a := c.do("PUT", res.Type()+"/"+res.ID(), json)
	if a.status != 200 && a.status != 201 {
		c.t.Fatalf("PUT %s/%s: %d %s", res.Type(), res.ID(), a.status, a.body)
	}
	return a
}

// wants fails the test unless the status is the one expected; a failure must be an OperationOutcome.
func (a *answer) wants(status int) *answer {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("%s: %d, want %d: %.600s", a.what, a.status, status, a.body)
	}
	if status >= 400 && !strings.Contains(a.body, "OperationOutcome") {
		a.t.Errorf("%s: %d without an OperationOutcome: %.300s", a.what, status, a.body)
	}
	return a
}

// resource is the body, parsed.
func (a *answer) resource() *fhir.Resource {
	a.t.Helper()
	res, err := fhir.Parse([]byte(a.body))
	if err != nil {
		a.t.Fatalf("%s: the answer is no resource: %v: %.300s", a.what, err, a.body)
	}
	return res
}

func (a *answer) text(path string) string {
	a.t.Helper()
	return a.resource().Get(path).String()
}

// is checks one element of the answer.
func (a *answer) is(path, want string) *answer {
	a.t.Helper()
	if got := a.text(path); got != want {
		a.t.Errorf("%s: %s is %q, want %q", a.what, path, got, want)
	}
	return a
}

// has checks one header of the answer.
func (a *answer) has(header, want string) *answer {
	a.t.Helper()
	if got := a.header.Get(header); got != want {
		a.t.Errorf("%s: %s is %q, want %q", a.what, header, got, want)
	}
	return a
}

// ids are the resources of a Bundle with this search mode ("" for all), as Type/id.
func (a *answer) ids(mode string) []string {
	a.t.Helper()
	list := []string{}
	for e := range a.resource().Get("entry").Items() {
		res := e.Field("resource")
		if m := e.Field("search").Field("mode").String(); mode == "" || m == mode {
			list = append(list, res.Field("resourceType").String()+"/"+res.Field("id").String())
		}
	}
	return list
}

// link is the path of a Bundle's link relative to the base; "" when there is none.
func (a *answer) link(relation string) string {
	a.t.Helper()
	for l := range a.resource().Get("link").Items() {
		if l.Field("relation").String() == relation {
			url := l.Field("url").String()
			_, path, _ := strings.Cut(url, "/FHIR/R4")
			return strings.TrimPrefix(path, "/")
		}
	}
	return ""
}

// relate makes a legitimate relationship between a user and a person of the hospital.
func (w *world) relate(tenant, chart, user string) {
	w.t.Helper()
	k := w.node.Kernel()
	code := ident.MustODSCode(tenant)
	lanes := []store.Lane{k.DB.LaneOf(tenant, chart)}
	err := k.DB.Write(context.Background(), lanes, func(tx *store.Tx) error {
		return k.Gate.Relate(tx, access.Relationship{Tenant: code, Chart: chart, User: user, Kind: "care-team", Basis: "test", By: "test"})
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

func patient(id, family string) string {
	return fmt.Sprintf(`{"resourceType":"Patient","id":"%s","identifier":[{"system":"urn:test","value":"%s"}],"name":[{"family":"%s"}],"birthDate":"1980-04-01"}`, id, id, family)
}

func observation(id, about, value string) string {
	return fmt.Sprintf(`{"resourceType":"Observation","id":"%s","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"8867-4"}]},`+
		`"subject":{"reference":"Patient/%s"},"effectiveDateTime":"2024-03-01T10:00:00Z","valueQuantity":{"value":%s,"unit":"/min","system":"http://unitsofmeasure.org","code":"/min"}}`, id, about, value)
}
