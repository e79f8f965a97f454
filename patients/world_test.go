package patients_test

import (
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/internal/node"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/sim"
	"github.com/openspine/openspine/sim/seed"
)

// world is a node with a made-up country of 1,000 people in it, one for all tests of this package.
type world struct {
	url string
	k   *sim.Country
	n   *node.Node
}

// owner is a service that owns the patients and lets nobody be called Nemo.
func owner(catalogue.Kernel) []catalogue.Service {
	return []catalogue.Service{{Name: "names", Summary: "Who may be called what.", Owns: []catalogue.Owned{{Type: "Patient", Check: func(_ context.Context, d *record.Draft) error {
		if d.Resource() != nil && d.Resource().Get("name.0.given.0").String() == "Nemo" {
			return fault.New(fault.Unprocessable, "Nobody may be called Nemo.")
		}
		return nil
	}}}}}
}

// endOfWorld stops the node and takes its data away, once there is one.
var endOfWorld func() error

var theWorld = sync.OnceValues(openWorld)

func openWorld() (*world, error) {
	k, err := sim.New(sim.Config{Seed: 1, People: 1000, Now: time.Now()})
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "openspine-pages-*")
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	cfg := node.Config{Name: "pages", Addr: "127.0.0.1:0", Data: dir, National: sim.National.String(), Demo: true, Tenants: seed.Tenants(k)}
	n, err := node.Open(ctx, cfg, node.Options{Logger: slog.New(slog.DiscardHandler), Services: owner})
	if err != nil {
		return nil, err
	}
	if err := n.Listen(); err != nil {
		return nil, err
	}
	if err := seed.Country(ctx, n, k, nil); err != nil {
		return nil, err
	}
	ready := make(chan struct{})
	serving, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- n.Serve(serving, func() { close(ready) }) }()
	select {
	case <-ready:
	case err := <-ended:
		stop()
		return nil, err
	}
	endOfWorld = func() error {
		stop()
		return errors.Join(<-ended, n.Close(), os.RemoveAll(dir))
	}
	return &world{url: n.URL(), k: k, n: n}, nil
}

func TestMain(m *testing.M) {
	code := m.Run()
	if endOfWorld != nil {
		if err := endOfWorld(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

func given(t testing.TB) *world {
	t.Helper()
	w, err := theWorld()
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// chart is the address of a member of the cast's record at a tenant.
func (w *world) chart(t testing.TB, key, tenant string) string {
	t.Helper()
	p, err := w.k.Character(key)
	if err != nil {
		t.Fatal(err)
	}
	for _, code := range append(sim.Tenants(), sim.National) {
		if code.String() == tenant {
			return "/o/" + tenant + "/patients/" + p.ChartAt(code)
		}
	}
	t.Fatalf("no tenant %s", tenant)
	return ""
}

// seal marks an entry as sealed by the person's choice.
func (w *world) seal(t testing.TB, tenant, typ, id string) {
	t.Helper()
	ctx, k := context.Background(), w.n.Kernel()
	ref := record.Ref{Tenant: ident.MustODSCode(tenant), Type: typ, ID: id}
	place, err := k.Records.Locate(ctx, ref)
	if err != nil {
		t.Fatal(err)
	}
	g, err := k.Gate.Decide(ctx, access.Service("test", ref.Tenant), access.Read, place)
	if err != nil {
		t.Fatal(err)
	}
	v, err := k.Records.Read(ctx, g, ref)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := fhir.Parse([]byte(strings.Replace(string(v.Resource.JSON()), "{", `{"meta":{"security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"R"}]},`, 1)))
	if v.Resource.Get("meta").Exists() {
		t.Fatal("the entry has a meta of its own")
	}
	if err != nil {
		t.Fatal(err)
	}
	l := w.n.Loader("test", ref.Tenant, nil)
	if err := l.Add(ctx, sealed); err != nil {
		t.Fatal(err)
	}
	if err := l.Flush(ctx); err != nil {
		t.Fatal(err)
	}
}

func (w *world) number(t testing.TB, key string) string {
	t.Helper()
	p, err := w.k.Character(key)
	if err != nil {
		t.Fatal(err)
	}
	return p.NHSNumber.Display()
}

// reader is somebody with a browser that runs no scripts: links and forms alone.
type reader struct {
	t      testing.TB
	w      *world
	client *http.Client
	status int
	at     string
	body   string
	header http.Header
}

// signedIn is a reader who has signed in as one of the demonstration's users.
func (w *world) signedIn(t testing.TB, user string) *reader {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	r := &reader{t: t, w: w, client: &http.Client{Jar: jar}}
	r.post("/sign-in", url.Values{"user": {user}, "to": {"/"}})
	return r
}

// cookie is the reader's session, for a browser.
func (r *reader) cookie() string {
	u, err := url.Parse(r.w.url)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, c := range r.client.Jar.Cookies(u) {
		if c.Name == "openspine" {
			return c.Value
		}
	}
	r.t.Fatal("nobody is signed in")
	return ""
}

func (r *reader) do(method, path string, body io.Reader) *reader {
	r.t.Helper()
	if !strings.HasPrefix(path, "http") {
		path = r.w.url + path
	}
	req, err := http.NewRequest(method, path, body)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Accept", "text/html")
	if body != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := r.client.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	r.status, r.at, r.body, r.header = resp.StatusCode, resp.Request.URL.RequestURI(), string(text), resp.Header
	return r
}

func (r *reader) get(path string) *reader { r.t.Helper(); return r.do(http.MethodGet, path, nil) }

func (r *reader) post(path string, form url.Values) *reader {
	r.t.Helper()
	return r.do(http.MethodPost, path, strings.NewReader(form.Encode()))
}

var (
	formRE  = regexp.MustCompile(`(?s)<form[^>]*method="post".*?</form>`)
	inputRE = regexp.MustCompile(`<input[^>]*>`)
	areaRE  = regexp.MustCompile(`(?s)<textarea[^>]*name="([^"]*)"[^>]*>(.*?)</textarea>`)
	tagRE   = regexp.MustCompile(`(?s)<(script|style|head)\b.*?</(script|style|head)>|<[^>]+>`)
	attrRE  = regexp.MustCompile(`([a-z-]+)="([^"]*)"`)
)

// form is what the page's first form would send as it stands, the sign-out apart.
func (r *reader) form() url.Values {
	r.t.Helper()
	for _, f := range formRE.FindAllString(r.body, -1) {
		if strings.Contains(f, `action="/sign-out"`) {
			continue
		}
		values := url.Values{}
		for _, in := range inputRE.FindAllString(f, -1) {
			a := map[string]string{}
			for _, m := range attrRE.FindAllStringSubmatch(in, -1) {
				a[m[1]] = html.UnescapeString(m[2])
			}
			if a["type"] != "radio" || strings.Contains(in, " checked") {
				values.Set(a["name"], a["value"])
			}
		}
		for _, m := range areaRE.FindAllStringSubmatch(f, -1) {
			values.Set(m[1], html.UnescapeString(m[2]))
		}
		return values
	}
	r.t.Fatalf("there is no form on %s:\n%s", r.at, r.text())
	return nil
}

// send posts the page's form with some answers changed, in pairs.
func (r *reader) send(path string, pairs ...string) *reader {
	r.t.Helper()
	f := r.form()
	for i := 0; i+1 < len(pairs); i += 2 {
		f.Set(pairs[i], pairs[i+1])
	}
	return r.post(path, f)
}

// text is what can be read on the page.
func (r *reader) text() string {
	return strings.Join(strings.Fields(html.UnescapeString(tagRE.ReplaceAllString(r.body, " "))), " ")
}

func (r *reader) sees(status int, texts ...string) *reader {
	r.t.Helper()
	if r.status != status {
		r.t.Fatalf("%s answers %d, not %d:\n%s", r.at, r.status, status, r.text())
	}
	all := r.text()
	for _, want := range texts {
		if !strings.Contains(all, want) {
			r.t.Errorf("%s does not say %q; it says:\n%s", r.at, want, all)
		}
	}
	return r
}

func (r *reader) seesNot(texts ...string) *reader {
	r.t.Helper()
	all := r.text()
	for _, bad := range texts {
		if strings.Contains(all, bad) {
			r.t.Errorf("%s says %q:\n%s", r.at, bad, all)
		}
	}
	return r
}

// link is where the first link whose address matches leads.
func (r *reader) link(pattern string) string {
	r.t.Helper()
	m := regexp.MustCompile(`href="(` + pattern + `)"`).FindStringSubmatch(r.body)
	if m == nil {
		r.t.Fatalf("%s has no link to %s:\n%s", r.at, pattern, r.text())
	}
	return html.UnescapeString(m[1])
}

// call is an API call with a bearer token, by its status.
func (w *world) call(t testing.TB, path, token string) int {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, w.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}
