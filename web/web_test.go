package web_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/a-h/templ"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/web"
)

func site(t *testing.T, o web.Options) *web.Site {
	t.Helper()
	s, err := web.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// serve runs one request through the middleware as a viewer.
func serve(s *web.Site, v web.Viewer, r *http.Request, h http.HandlerFunc) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h(w, r.WithContext(web.WithViewer(r.Context(), v)))
	})).ServeHTTP(w, r)
	return w
}

func page(p web.Page) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := web.Render(w, r, http.StatusOK, web.Shell(p)); err != nil {
			web.Problem(w, r, err)
		}
	}
}

func TestEveryPageIsGuarded(t *testing.T) {
	w := serve(site(t, web.Options{}), web.Viewer{}, httptest.NewRequest("GET", "/", nil), page(web.Page{Title: "Home"}))
	for header, want := range map[string]string{
		"Content-Security-Policy": "frame-ancestors 'none'", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
		"Referrer-Policy": "same-origin", "Cache-Control": "no-store", "Content-Type": "text/html; charset=utf-8",
	} {
		if got := w.Header().Get(header); !strings.Contains(got, want) {
			t.Errorf("%s is %q, want %q in it", header, got, want)
		}
	}
	if csp := w.Header().Get("Content-Security-Policy"); strings.Contains(csp, "unsafe") {
		t.Errorf("the policy allows something unsafe: %s", csp)
	}
	body := w.Body.String()
	for _, inline := range []string{"<script>", " style=", "onclick=", "javascript:", "http://", "https://"} {
		if strings.Contains(strings.ReplaceAll(body, "http://www.w3.org/2000/svg", ""), inline) {
			t.Errorf("the page holds %q", inline)
		}
	}
}

func TestPlainPagesSayHowToDressThem(t *testing.T) {
	w := serve(site(t, web.Options{Plain: true}), web.Viewer{}, httptest.NewRequest("GET", "/", nil), page(web.Page{Title: "Home"}))
	if !strings.Contains(w.Body.String(), "<code>make web</code>") || !strings.Contains(w.Body.String(), "/assets/plain.") {
		t.Errorf("a plain page does not say how to dress it:\n%s", w.Body)
	}
}

func TestAFormFromElsewhereIsRefused(t *testing.T) {
	s := site(t, web.Options{})
	asha := web.Viewer{Name: "Asha Rao", Session: "one"}
	var token string
	serve(s, asha, httptest.NewRequest("GET", "/", nil), func(w http.ResponseWriter, r *http.Request) {
		token = web.FormToken(r.Context(), "9434765919")
	})
	for name, c := range map[string]struct {
		viewer        web.Viewer
		token, person string
		origin        string
		want          fault.Kind
		ok            bool
	}{
		"her own form":                {asha, token, "9434765919", "", 0, true},
		"another tab's patient":       {asha, token, "9000000009", "", fault.Conflict, false},
		"another sign-in":             {web.Viewer{Session: "two"}, token, "9434765919", "", fault.Forbidden, false},
		"no token":                    {asha, "", "9434765919", "", fault.Forbidden, false},
		"another website's page":      {asha, token, "9434765919", "https://elsewhere.example", fault.Forbidden, false},
		"a token cut short by a byte": {asha, token[:len(token)-1], "9434765919", "", fault.Forbidden, false},
	} {
		t.Run(name, func(t *testing.T) {
			form := url.Values{web.TokenField: {c.token}, web.PersonField: {c.person}}
			r := httptest.NewRequest("POST", "/act", strings.NewReader(form.Encode()))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			if c.origin != "" {
				r.Header.Set("Origin", c.origin)
			}
			w := serve(s, c.viewer, r, func(w http.ResponseWriter, r *http.Request) {
				if err := web.CheckForm(r, "9434765919"); err != nil {
					web.Problem(w, r, err)
				}
			})
			if c.ok && w.Code != http.StatusOK || !c.ok && w.Code != c.want.HTTPStatus() {
				t.Errorf("answered %d, want %v", w.Code, c.want)
			}
		})
	}
}

func TestAssetsAreKeptForEverByName(t *testing.T) {
	s := site(t, web.Options{})
	w := serve(s, web.Viewer{}, httptest.NewRequest("GET", "/", nil), page(web.Page{Title: "Home"}))
	_, rest, _ := strings.Cut(w.Body.String(), `href="/assets/openspine.`)
	name, _, _ := strings.Cut(rest, `"`)
	for path, cache := range map[string]string{
		"/assets/openspine." + name: "immutable", "/assets/openspine.css": "no-cache", "/assets/openspine.000000000000.css": "",
		"/assets/../web.go": "", "/assets/README": "", "/assets/": "",
	} {
		w := httptest.NewRecorder()
		s.Assets().ServeHTTP(w, &http.Request{Method: "GET", URL: &url.URL{Path: path}, Header: http.Header{}})
		if got := w.Header().Get("Cache-Control"); cache == "" && w.Code != 404 || !strings.Contains(got, cache) {
			t.Errorf("%s: %d, Cache-Control %q, want %q", path, w.Code, got, cache)
		}
	}
}

func TestAssetsAreCompressedForThoseWhoTakeIt(t *testing.T) {
	s := site(t, web.Options{})
	for accept, want := range map[string]string{"": "", "gzip": "gzip", "gzip;q=0": "", "gzip;q=0.0, identity": "", "deflate, GZIP;q=0.5": "gzip", "xgzip": ""} {
		r := httptest.NewRequest("GET", "/assets/openspine.css", nil)
		r.Header.Set("Accept-Encoding", accept)
		w := httptest.NewRecorder()
		s.Assets().ServeHTTP(w, r)
		if got := w.Header().Get("Content-Encoding"); got != want {
			t.Errorf("Accept-Encoding %q got %q, want %q", accept, got, want)
		}
		again := httptest.NewRecorder()
		r.Header.Set("If-None-Match", w.Header().Get("ETag"))
		s.Assets().ServeHTTP(again, r)
		if again.Code != http.StatusNotModified {
			t.Errorf("asked again with its ETag, answered %d", again.Code)
		}
	}
}

func TestEveryProblemHasAPage(t *testing.T) {
	s := site(t, web.Options{})
	for _, k := range fault.All() {
		w := serve(s, web.Viewer{}, httptest.NewRequest("GET", "/", nil), func(w http.ResponseWriter, r *http.Request) {
			r = r.WithContext(web.WithRequestID(r.Context(), "req-42"))
			web.Problem(w, r, fault.WithIssues(k, "only the ward’s own staff may do this", fault.Issue{Diagnostics: "one <b>thing</b>"}))
		})
		body := w.Body.String()
		if w.Code != k.HTTPStatus() || !strings.Contains(body, "req-42") || strings.Contains(body, "[web.") || strings.Contains(body, "<b>thing") {
			t.Errorf("%v: %d\n%s", k, w.Code, body)
		}
		if told := strings.Contains(body, "Only the ward’s own staff may do this."); told != (k != fault.Internal) {
			t.Errorf("%v: the message is shown: %v", k, told)
		}
	}
}

func TestAPageThatFailsHalfWaySendsNothing(t *testing.T) {
	half := templ.ComponentFunc(func(_ context.Context, w io.Writer) error {
		io.WriteString(w, "half a patient")
		return fault.New(fault.NotFound, "gone")
	})
	w := serve(site(t, web.Options{}), web.Viewer{}, httptest.NewRequest("GET", "/", nil), func(w http.ResponseWriter, r *http.Request) {
		if err := web.Render(w, r, 200, half); err != nil {
			web.Problem(w, r, err)
		}
	})
	if w.Code != 500 || strings.Contains(w.Body.String(), "half a patient") {
		t.Errorf("answered %d: %s", w.Code, w.Body)
	}
}
