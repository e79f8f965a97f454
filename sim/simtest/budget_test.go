package simtest_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/openspine/openspine/sim/simtest"
)

// budget is what the first load of a page may bring over the wire, in bytes (../shared/design/pages.md).
const budget = 150 << 10

// TestThePagesKeepToTheirBudget opens each page of the catalogue that has no one person, request or entry in its address, and one of each
// kind of those that have, as whoever may see it: little to load, and nothing from another host. How long the server took is told, not held
// to: tests share their machine.
func TestThePagesKeepToTheirBudget(t *testing.T) {
	w := shared.Given(t)
	chart, person := w.Chart(t, "correct", "Z99801"), strings.ReplaceAll(w.Number(t, "correct"), " ", "")
	pages := []string{"/trace/" + person, "/trace/" + person + "/history", "/trace/" + person + "/change/name", "/trace/" + person + "/pharmacy", chart, chart + "/timeline", chart + "/seen", chart + "/correct",
		"/o/X26/find?family=smith", "/o/X26/patients/" + person + "/apps", "/directory/Z99801", "/admin/users/gp", "/admin/clients/demo-app", "/me/details/change/address", "/trace?step=details"}
	for _, s := range w.Node.Kernel().Services() {
		for _, rt := range s.Pages {
			if path := strings.TrimSuffix(rt.Path(), "{$}"); rt.Method() == http.MethodGet && !rt.Streams() && !strings.Contains(path, "{") {
				pages = append(pages, path)
			}
		}
	}
	var cookies []string
	for _, user := range []string{"gp", "records", "patient", "admin", "privacy", "auditor"} {
		cookies = append(cookies, w.SignedIn(t, user).Cookie())
	}
	l := load{t: t, world: w, sizes: map[string]int{}}
	shown := 0
	for _, path := range pages {
		for _, c := range cookies {
			if l.page(path, c) {
				shown++
				break
			}
		}
	}
	if shown < 40 {
		t.Errorf("only %d pages of %d were looked at", shown, len(pages))
	}
	t.Logf("%d pages; the heaviest is %s with %d bytes, the slowest %s with %v", shown, l.heaviest, l.most, l.slowest, l.longest)
}

// load measures pages as a browser without a cache would load them.
type load struct {
	t                 *testing.T
	world             *simtest.World
	sizes             map[string]int // of assets, over the wire
	heaviest, slowest string
	most              int
	longest           time.Duration
}

// asked are what a page makes a browser ask for by itself.
var asked = regexp.MustCompile(`<(?:script|img|link|iframe|source|video|audio)\b[^>]*?\b(?:src|href|data-design)="([^"]+)"|\bdata-design="([^"]+)"`)

// page weighs a page with all that it loads; false where it is not shown to whoever has the cookie.
func (l *load) page(path, cookie string) bool {
	l.t.Helper()
	began := time.Now()
	status, size, body := l.get(path, cookie)
	took := time.Since(began)
	if status != http.StatusOK {
		return false
	}
	seen := map[string]bool{}
	for _, m := range asked.FindAllStringSubmatch(body, -1) {
		address := m[1] + m[2]
		u, err := url.Parse(address)
		if err != nil || u.Host != "" || u.Scheme != "" {
			l.t.Errorf("%s asks another host for %s", path, address)
			continue
		}
		if seen[address] {
			continue
		}
		seen[address] = true
		if _, known := l.sizes[address]; !known {
			_, l.sizes[address], _ = l.get(address, "")
		}
		size += l.sizes[address]
	}
	if size > budget {
		l.t.Errorf("%s loads %d bytes, more than %d", path, size, budget)
	}
	if size > l.most {
		l.heaviest, l.most = path, size
	}
	if took > l.longest {
		l.slowest, l.longest = path, took.Round(time.Millisecond)
	}
	return true
}

// get fetches as a browser does that takes compressed answers: size is what came over the wire.
func (l *load) get(path, cookie string) (status, size int, body string) {
	l.t.Helper()
	req, err := http.NewRequestWithContext(l.t.Context(), http.MethodGet, l.world.URL+path, nil)
	if err != nil {
		l.t.Fatal(err)
	}
	req.Header.Set("Accept", "text/html")
	if cookie != "" {
		req.AddCookie(&http.Cookie{Name: "openspine", Value: cookie})
	}
	if !strings.HasPrefix(path, "/assets/") {
		req.Header.Set("Accept-Encoding", "identity") // weighed at its full size, which is more than what comes compressed
	} else {
		req.Header.Set("Accept-Encoding", "br, gzip")
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		l.t.Fatal(err)
	}
	defer resp.Body.Close()
	all, err := io.ReadAll(resp.Body)
	if err != nil {
		l.t.Fatal(fmt.Errorf("%s: %w", path, err))
	}
	return resp.StatusCode, len(all), string(all)
}
