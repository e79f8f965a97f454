package signin_test

import (
	"bytes"
	"context"
	"encoding/json"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/clock"
	"github.com/openspine/openspine/internal/node"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/signin/oauth"
	"github.com/openspine/openspine/store"
)

var (
	national = ident.MustODSCode("X26")
	practice = ident.MustODSCode("A99901")
)

// The patients of these tests; the numbers are in the range reserved for tests.
const (
	ownNumber   = "9990000018"
	otherNumber = "9990000026"
)

// house is a running node with its people.
type house struct {
	t     testing.TB
	node  *node.Node
	clock *clock.Fake
	url   string
	data  string
	log   *journal
}

// journal is what a node has logged.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

type houseOption func(*node.Config)

func live(c *node.Config) { c.Demo = false }

// open starts a node on loopback; its clock is the test's when it is given one.
func open(t testing.TB, at *clock.Fake, options ...houseOption) *house {
	t.Helper()
	cfg := node.Config{Name: "test", Addr: "127.0.0.1:0", Data: t.TempDir(), National: "X26", Demo: true, Tenants: []node.TenantConfig{
		{Code: "X26", Name: "National spine", Kind: "national"}, {Code: "A99901", Name: "Riverside Surgery", Kind: "practice"}}}
	for _, o := range options {
		o(&cfg)
	}
	logged := &journal{}
	no := node.Options{Logger: slog.New(slog.NewTextHandler(logged, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	if at != nil {
		no.Clock = at
	}
	n, err := node.Open(t.Context(), cfg, no)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- n.Serve(ctx, func() { close(ready) }) }()
	select {
	case <-ready:
	case err := <-ended:
		t.Fatalf("the node did not start: %v", err)
	}
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("serving ended with: %v", err)
		}
	})
	h := &house{t: t, node: n, clock: at, url: n.URL(), data: cfg.Data, log: logged}
	h.people()
	return h
}

// people are one user for each role, and two patients.
func (h *house) people() {
	h.t.Helper()
	var users []access.User
	for _, role := range access.Roles() {
		p := access.Principal{ID: string(role), Name: "Test " + string(role), Role: role, Organisation: practice}
		if role == access.SystemClient {
			continue
		}
		if role == access.Patient {
			p.Organisation, p.Person = ident.ODSCode{}, ownNumber
		}
		users = append(users, access.User{Principal: p, Demo: true})
	}
	if err := h.node.Kernel().Gate.PutUsers(h.t.Context(), users); err != nil {
		h.t.Fatal(err)
	}
	for _, number := range []string{ownNumber, otherNumber} {
		h.put("Patient", number, `{"resourceType":"Patient","id":"`+number+`","identifier":[{"system":"https://fhir.nhs.uk/Id/nhs-number","value":"`+number+
			`"}],"name":[{"family":"Marsh","given":["Helena"]}],"gender":"female","birthDate":"1980-02-03"}`)
		h.relate(number, "clinician")
	}
	h.put("Organization", "org", `{"resourceType":"Organization","id":"org","name":"Riverside"}`)
}

func (h *house) put(typ, id, text string) {
	h.t.Helper()
	k, ctx := h.node.Kernel(), h.t.Context()
	res, err := fhir.Parse([]byte(text))
	if err != nil {
		h.t.Fatal(err)
	}
	d, err := k.Records.Prepare(ctx, record.Change{Verb: record.Put, Ref: record.Ref{Tenant: national, Type: typ, ID: id}, Resource: res})
	if err != nil {
		h.t.Fatal(err)
	}
	record.FoundedBy(d)
	grants, err := k.Gate.DecideAll(ctx, access.Service("seed", national), d.Acts())
	if err != nil {
		h.t.Fatal(err)
	}
	err = k.Gate.Act(ctx, grants, record.LanesOf(d), func(tx *store.Tx) error {
		_, _, err := k.Records.ApplyAll(tx, []*record.Draft{d}, grants...)
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) relate(chart, user string) {
	h.t.Helper()
	k := h.node.Kernel()
	err := k.DB.Write(h.t.Context(), []store.Lane{k.Gate.Lane(national, chart)}, func(tx *store.Tx) error {
		return k.Gate.Relate(tx, access.Relationship{Tenant: national, Chart: chart, User: user, Kind: "care-team", Basis: "test", By: "test"})
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

// client registers a client.
func (h *house) client(c oauth.Client) oauth.Client {
	h.t.Helper()
	if err := h.tokens().PutClient(h.t.Context(), access.Service("test", national), c, "test"); err != nil {
		h.t.Fatal(err)
	}
	return c
}

func (h *house) tokens() *oauth.Server { return h.node.Door().Tokens() }

// reply is an answer, read whole.
type reply struct {
	status int
	header http.Header
	body   string
}

func (r reply) json(t testing.TB) map[string]any {
	t.Helper()
	m := map[string]any{}
	if err := json.Unmarshal([]byte(r.body), &m); err != nil {
		t.Fatalf("%d %q is not JSON: %v", r.status, r.body, err)
	}
	return m
}

// browser keeps cookies and follows no redirect.
func browser() *http.Client {
	jar, err := cookiejar.New(nil)
	if err != nil {
		panic(err) // it takes no options that could be wrong
	}
	return &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// call sends a request; a form is posted as one; headers are "Name: value".
func (h *house) call(c *http.Client, method, address string, form url.Values, headers ...string) reply {
	h.t.Helper()
	if strings.HasPrefix(address, "/") {
		address = h.url + address
	}
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	req, err := http.NewRequestWithContext(h.t.Context(), method, address, body)
	if err != nil {
		h.t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		if name == "Host" {
			req.Host = value
		}
		req.Header.Set(name, value)
	}
	resp, err := c.Do(req)
	if err != nil {
		h.t.Fatalf("%s %s: %v", method, address, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header, string(text)}
}

// signIn signs a browser in with one click.
func (h *house) signIn(c *http.Client, user string) {
	h.t.Helper()
	if got := h.call(c, "POST", "/sign-in", url.Values{"user": {user}}); got.status != 303 {
		h.t.Fatalf("signing in as %s: %d %s", user, got.status, got.body)
	}
}

// location is where a redirect leads, and its query.
func (r reply) location(t testing.TB) (string, url.Values) {
	t.Helper()
	u, err := url.Parse(r.header.Get("Location"))
	if err != nil || r.header.Get("Location") == "" {
		t.Fatalf("%d leads nowhere: %v %s", r.status, err, r.body)
	}
	q := u.Query()
	u.RawQuery = ""
	return u.String(), q
}

// token posts to the token endpoint.
func (h *house) token(form url.Values) reply {
	h.t.Helper()
	return h.call(http.DefaultClient, "POST", oauth.PathToken, form)
}

// with is form with some parameters changed; "" takes one away.
func with(form url.Values, pairs ...string) url.Values {
	changed := url.Values{}
	for k, v := range form {
		changed[k] = append([]string{}, v...)
	}
	for i := 0; i < len(pairs); i += 2 {
		changed.Set(pairs[i], pairs[i+1])
		if pairs[i+1] == "" {
			changed.Del(pairs[i])
		}
	}
	return changed
}

type ods = ident.ODSCode

// clerk is somebody on the account for what tests administer.
func (h *house) clerk() access.Principal { return access.Service("test", national) }

// everChanging is what differs from one showing of a page to the next.
var everChanging = regexp.MustCompile(`(nonce|value|id|for|aria-describedby|href|content)="[^"]*"|[0-9a-f]{8}-[0-9a-f-]{27}`)

var hiddenField = regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)"`)

// hidden is what a page's forms carry, with further fields.
func hidden(page string, pairs ...string) url.Values {
	form := url.Values{}
	for _, m := range hiddenField.FindAllStringSubmatch(page, -1) {
		form.Set(m[1], html.UnescapeString(m[2]))
	}
	return with(form, pairs...)
}
