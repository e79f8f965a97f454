package ers_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/clock"
	"github.com/openspine/openspine/internal/node"
	"github.com/openspine/openspine/referral/ers"
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
}

func newWorld(t testing.TB) *world {
	t.Helper()
	srv := httptest.NewUnstartedServer(nil)
	url := "http://" + srv.Listener.Addr().String()
	cfg := node.Config{Name: "test", Data: t.TempDir(), National: "X26", BaseURL: url, Demo: true, Tenants: []node.TenantConfig{{Code: "X26", Name: "National spine", Kind: "national"}}}
	n, err := node.Open(context.Background(), cfg, node.Options{Clock: clock.NewFake(time.Date(2026, 1, 15, 9, 30, 0, 0, time.UTC))})
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
	w := &world{t: t, node: n, url: url + ers.Base}
	w.load(`{"resourceType":"Organization","id":"R68","identifier":[{"system":"https://fhir.nhs.uk/Id/ods-organization-code","value":"R68"}],"active":true,"name":"A hospital"}`,
		`{"resourceType":"HealthcareService","id":"11002","active":true,"providedBy":{"identifier":{"system":"https://fhir.nhs.uk/Id/ods-organization-code","value":"R68"}},"name":"A clinic"}`)
	for _, u := range []access.User{staff("gp", access.Clinician, practice), staff("secretary", access.Clerk, practice), staff("consultant", access.Clinician, hospital), staff("booker", access.Clerk, hospital)} {
		if err := n.Kernel().Gate.PutUser(t.Context(), u); err != nil {
			t.Fatal(err)
		}
	}
	return w
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

func (c *caller) get(path string) answer {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, c.url+path, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	for i := 0; i < len(c.headers); i += 2 {
		req.Header.Add(c.headers[i], c.headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	a := answer{status: resp.StatusCode, header: resp.Header, body: string(body)}
	if json.Unmarshal(body, &a.json) != nil {
		a.json = nil
	}
	return a
}
