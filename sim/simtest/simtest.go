// Package simtest opens a node with a made-up country in it, and reads its pages as somebody whose browser runs no scripts, for the
// tests of services.
package simtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/internal/node"
	"github.com/openspine/openspine/sim"
	"github.com/openspine/openspine/sim/seed"
)

// World is a node with a made-up country in it, served on loopback.
type World struct {
	URL     string
	Country *sim.Country
	Node    *node.Node
	close   func() error
}

// Open makes a world of 1,000 people, the demonstration's, with more services beside the node's own. A package shares one
// among all its tests (see Share).
func Open(name string, more func(catalogue.Kernel) []catalogue.Service) (*World, error) {
	return openWith(name, more, nil, nil)
}

func openWith(name string, more func(catalogue.Kernel) []catalogue.Service, configure func(*node.Config), after func(context.Context, *node.Node, *sim.Country) error) (*World, error) {
	k, err := sim.New(sim.Config{Seed: 1, People: 1000, Now: time.Now()})
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "openspine-"+name+"-*")
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	cfg := node.Config{Name: name, Addr: "127.0.0.1:0", Data: dir, National: sim.National.String(), Demo: true, Tenants: seed.Tenants(k)}
	if configure != nil {
		configure(&cfg)
	}
	n, err := node.Open(ctx, cfg, node.Options{Logger: slog.New(slog.DiscardHandler), Services: more})
	if err != nil {
		return nil, err
	}
	if err := n.Listen(); err != nil {
		return nil, err
	}
	if err := seed.Country(ctx, n, k, nil); err != nil {
		return nil, err
	}
	if after != nil {
		if err := after(ctx, n, k); err != nil {
			return nil, err
		}
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
	return &World{URL: n.URL(), Country: k, Node: n, close: func() error {
		stop()
		return errors.Join(<-ended, n.Close(), os.RemoveAll(dir))
	}}, nil
}

// Shared is a world for all tests of a package: it is opened when the first asks for it.
type Shared struct {
	open   func() (*World, error)
	opened atomic.Bool
}

// Share makes a Shared; its arguments are Open's.
func Share(name string, more func(catalogue.Kernel) []catalogue.Service) *Shared {
	return &Shared{open: sync.OnceValues(func() (*World, error) { return Open(name, more) })}
}

// ShareWith makes a Shared whose node is configured otherwise, and whose country after changes once it is seeded; either may be nil.
func ShareWith(name string, configure func(*node.Config), after func(context.Context, *node.Node, *sim.Country) error) *Shared {
	return &Shared{open: sync.OnceValues(func() (*World, error) { return openWith(name, nil, configure, after) })}
}

// ShareAll makes a Shared with more services and a node that is configured otherwise.
func ShareAll(name string, more func(catalogue.Kernel) []catalogue.Service, configure func(*node.Config)) *Shared {
	return &Shared{open: sync.OnceValues(func() (*World, error) { return openWith(name, more, configure, nil) })}
}

// Given is the world.
func (s *Shared) Given(t testing.TB) *World {
	t.Helper()
	s.opened.Store(true)
	w, err := s.open()
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// Main is the package's TestMain: it runs the tests, then stops the node, and those of others, and takes their data away.
func (s *Shared) Main(m *testing.M, others ...*Shared) {
	code := m.Run()
	for _, s := range append(others, s) {
		if !s.opened.Load() {
			continue
		}
		if w, err := s.open(); err == nil {
			if err := w.close(); err != nil {
				fmt.Fprintln(os.Stderr, err)
				code = 1
			}
		}
	}
	os.Exit(code)
}

// Chart is the address of a member of the cast's record at a tenant.
func (w *World) Chart(t testing.TB, key, tenant string) string {
	t.Helper()
	p, err := w.Country.Character(key)
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

// Number is a member of the cast's NHS number, as pages show it.
func (w *World) Number(t testing.TB, key string) string {
	t.Helper()
	p, err := w.Country.Character(key)
	if err != nil {
		t.Fatal(err)
	}
	return p.NHSNumber.Display()
}

// Reader is somebody with a browser that runs no scripts: links and forms alone.
type Reader struct {
	t      testing.TB
	w      *World
	client *http.Client
	Status int
	at     string
	Body   string
	Header http.Header
}

// Visitor is a reader who has not signed in.
func (w *World) Visitor(t testing.TB) *Reader {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &Reader{t: t, w: w, client: &http.Client{Jar: jar}}
}

// SignedIn is a reader who has signed in as one of the demonstration's users.
func (w *World) SignedIn(t testing.TB, user string) *Reader {
	t.Helper()
	r := w.Visitor(t)
	r.Post("/sign-in", url.Values{"user": {user}, "to": {"/"}})
	return r
}

// CookieAt is the value of a cookie of the reader's for an address of the node; "" where there is none.
func (r *Reader) CookieAt(path, name string) string {
	u, err := url.Parse(r.w.URL + path)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, c := range r.client.Jar.Cookies(u) {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

// Cookie is the reader's session, for a browser.
func (r *Reader) Cookie() string {
	u, err := url.Parse(r.w.URL)
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

func (r *Reader) do(method, path string, body io.Reader) *Reader {
	r.t.Helper()
	kind := ""
	if body != nil {
		kind = "application/x-www-form-urlencoded"
	}
	return r.send(method, path, kind, body)
}

func (r *Reader) send(method, path, kind string, body io.Reader) *Reader {
	r.t.Helper()
	if !strings.HasPrefix(path, "http") {
		path = r.w.URL + path
	}
	req, err := http.NewRequest(method, path, body)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Accept", "text/html")
	if kind != "" {
		req.Header.Set("Content-Type", kind)
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
	r.Status, r.at, r.Body, r.Header = resp.StatusCode, resp.Request.URL.RequestURI(), string(text), resp.Header
	return r
}

// At is the address of the page that was answered, without the node's.
func (r *Reader) At() string { return r.at }

// Get opens a page.
func (r *Reader) Get(path string) *Reader { r.t.Helper(); return r.do(http.MethodGet, path, nil) }

// Post sends a form to a page.
func (r *Reader) Post(path string, form url.Values) *Reader {
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

// PostFile posts form with a file under field, as a browser does.
func (r *Reader) PostFile(path string, form url.Values, field, name string, content []byte) *Reader {
	r.t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for k, list := range form {
		for _, v := range list {
			if k == field {
				continue
			}
			if err := w.WriteField(k, v); err != nil {
				r.t.Fatal(err)
			}
		}
	}
	part, err := w.CreateFormFile(field, name)
	if err == nil {
		_, err = part.Write(content)
	}
	if err := errors.Join(err, w.Close()); err != nil {
		r.t.Fatal(err)
	}
	return r.send(http.MethodPost, path, w.FormDataContentType(), &body)
}

// Form is what the page's first form would send as it stands, the sign-out apart.
func (r *Reader) Form() url.Values {
	r.t.Helper()
	for _, f := range formRE.FindAllString(r.Body, -1) {
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
	r.t.Fatalf("there is no form on %s:\n%s", r.at, r.Text())
	return nil
}

// Send posts the page's form with some answers changed, in pairs.
func (r *Reader) Send(path string, pairs ...string) *Reader {
	r.t.Helper()
	f := r.Form()
	for i := 0; i+1 < len(pairs); i += 2 {
		f.Set(pairs[i], pairs[i+1])
	}
	return r.Post(path, f)
}

// Text is what can be read on the page.
func (r *Reader) Text() string {
	return strings.Join(strings.Fields(html.UnescapeString(tagRE.ReplaceAllString(r.Body, " "))), " ")
}

// Sees fails the test unless the page answered with status and says each text.
func (r *Reader) Sees(status int, texts ...string) *Reader {
	r.t.Helper()
	if r.Status != status {
		r.t.Fatalf("%s answers %d, not %d:\n%s", r.at, r.Status, status, r.Text())
	}
	all := r.Text()
	for _, want := range texts {
		if !strings.Contains(all, want) {
			r.t.Errorf("%s does not say %q; it says:\n%s", r.at, want, all)
		}
	}
	return r
}

// SeesNot fails the test if the page says one of the texts.
func (r *Reader) SeesNot(texts ...string) *Reader {
	r.t.Helper()
	all := r.Text()
	for _, bad := range texts {
		if strings.Contains(all, bad) {
			r.t.Errorf("%s says %q:\n%s", r.at, bad, all)
		}
	}
	return r
}

// Link is where the first link whose address matches leads.
func (r *Reader) Link(pattern string) string {
	r.t.Helper()
	m := regexp.MustCompile(`href="(` + pattern + `)"`).FindStringSubmatch(r.Body)
	if m == nil {
		r.t.Fatalf("%s has no link to %s:\n%s", r.at, pattern, r.Text())
	}
	return html.UnescapeString(m[1])
}

// Call is an API call with a bearer token, by its status.
func (w *World) Call(t testing.TB, path, token string) int {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, w.URL+path, nil)
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

// Eventually waits until what a job or a watch does by itself has happened, a minute at most.
func Eventually(t testing.TB, happened func() bool) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	limit := time.NewTimer(time.Minute)
	defer limit.Stop()
	for !happened() {
		select {
		case <-tick.C:
		case <-limit.C:
			t.Fatal("a minute has passed, and it has not happened")
		}
	}
}
