package upkeep_test

import (
	"context"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/internal/node"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/sim"
	"github.com/openspine/openspine/sim/seed"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/web/webtest"
)

// world is a node with a small country in it, and a watch on flags that fails while it is broken.
type world struct {
	t      *testing.T
	n      *node.Node
	k      *sim.Country
	broken atomic.Bool
	seen   atomic.Int64
}

func given(t *testing.T) *world {
	t.Helper()
	k, err := sim.New(sim.Config{Seed: 1, People: 64, Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, k: k}
	w.broken.Store(true)
	watching := func(catalogue.Kernel) []catalogue.Service {
		return []catalogue.Service{{Name: "flags", Summary: "Reads flags.", Watches: []record.Watch{{Name: "flags", Types: []string{"Flag"}, Handle: func(_ context.Context, _ *store.Tx, c record.Version) error {
			if w.broken.Load() || strings.HasPrefix(c.ID, "bad") {
				return fault.New(fault.Unprocessable, "nobody knows what this flag means")
			}
			w.seen.Add(1)
			return nil
		}}}}}
	}
	cfg := node.Config{Name: "upkeep", Addr: "127.0.0.1:0", MetricsAddr: "127.0.0.1:0", Data: t.TempDir(), National: sim.National.String(), Demo: true, Tenants: seed.Tenants(k)}
	if w.n, err = node.Open(t.Context(), cfg, node.Options{Logger: slog.New(slog.DiscardHandler), Services: watching}); err != nil {
		t.Fatal(err)
	}
	if err := w.n.Listen(); err != nil {
		t.Fatal(err)
	}
	if err := seed.Country(t.Context(), w.n, k, nil); err != nil {
		t.Fatal(err)
	}
	serving, stop := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- w.n.Serve(serving, func() { close(ready) }) }()
	<-ready
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return w
}

// chart is somebody's chart in the national records.
func (w *world) chart() string {
	p, err := w.k.Character("correct")
	if err != nil {
		w.t.Fatal(err)
	}
	return p.ChartAt(sim.National)
}

// flag writes flags about somebody and waits until so many changes are parked.
func (w *world) flag(parked int64, ids ...string) {
	w.t.Helper()
	l := w.n.Loader("test", sim.National, nil)
	for _, id := range ids {
		res, err := fhir.Parse(fmt.Appendf(nil, `{"resourceType":"Flag","id":"%s","status":"active","code":{"text":"alone at home"},"subject":{"reference":"Patient/%s"}}`, id, w.chart()))
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
	for {
		sum, err := w.n.Kernel().Records.ParkedSum(w.t.Context())
		if err != nil {
			w.t.Fatal(err)
		}
		if sum.Count == parked {
			return
		}
	}
}

// visitor has signed in and reads pages without scripts.
type visitor struct {
	w      *world
	client *http.Client
	body   string
}

func (w *world) signedIn(user string) *visitor {
	jar, err := cookiejar.New(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	v := &visitor{w: w, client: &http.Client{Jar: jar}}
	v.do(http.MethodPost, "/sign-in", url.Values{"user": {user}, "to": {"/"}})
	return v
}

func (v *visitor) do(method, path string, form url.Values) int {
	v.w.t.Helper()
	req, err := http.NewRequestWithContext(v.w.t.Context(), method, v.w.n.URL()+path, strings.NewReader(form.Encode()))
	if err != nil {
		v.w.t.Fatal(err)
	}
	req.Header.Set("Accept", "text/html")
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := v.client.Do(req)
	if err != nil {
		v.w.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		v.w.t.Fatal(err)
	}
	v.body = html.UnescapeString(string(text))
	return resp.StatusCode
}

func (v *visitor) sees(path string, texts ...string) {
	v.w.t.Helper()
	if status := v.do(http.MethodGet, path, nil); status != http.StatusOK {
		v.w.t.Fatalf("%s answers %d", path, status)
	}
	for _, text := range texts {
		if !strings.Contains(v.body, text) {
			v.w.t.Errorf("%s does not say %q:\n%s", path, text, v.body)
		}
	}
}

var (
	changeRE = regexp.MustCompile(`href="(/parked/[^"?]+)"`)
	hiddenRE = regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)"`)
)

// decide sends the form of the page of the one parked change.
func (v *visitor) decide(pairs ...string) int {
	v.w.t.Helper()
	v.sees("/parked")
	m := changeRE.FindStringSubmatch(v.body)
	if m == nil {
		v.w.t.Fatalf("nothing is parked:\n%s", v.body)
	}
	v.sees(m[1])
	form := url.Values{}
	_, main, _ := strings.Cut(v.body, "<main")
	for _, h := range hiddenRE.FindAllStringSubmatch(main, -1) {
		form.Set(h[1], h[2])
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return v.do(http.MethodPost, m[1], form)
}

func TestAnAdministratorRetriesOrGivesUpWhatIsParked(t *testing.T) {
	t.Parallel()
	w := given(t)
	w.flag(3, "bad", "good", "better")
	admin := w.signedIn("admin")
	admin.sees("/", "3 changes are parked", "The oldest for 0 minutes")
	admin.sees("/parked", "1 change holds others up", "nobody knows what this flag means", "Flag of a person")
	if strings.Contains(admin.body, w.chart()) {
		t.Error("the worklist names the person")
	}
	admin.sees("/parked?format=csv", "nobody knows what this flag means")
	if figures := w.figures(); !strings.Contains(figures, "openspine_parked_changes 3") || !strings.Contains(figures, "openspine_parked_oldest_seconds ") {
		t.Errorf("the figures do not tell of what is parked:\n%s", figures)
	}

	w.broken.Store(false)
	if status := admin.decide("do", "retry"); status != http.StatusOK || !strings.Contains(admin.body, "1 change holds others up") {
		t.Errorf("tried again, and the flag is still bad: %d\n%s", status, admin.body)
	}
	if status := admin.decide("reason", "because"); status != http.StatusUnprocessableEntity || !strings.Contains(admin.body, "Say why, in 10 to 500 characters") {
		t.Errorf("given up without a reason: %d", status)
	}
	if status := admin.decide("reason", "The ward was told by telephone"); status != http.StatusOK || !strings.Contains(admin.body, "Nothing is parked") {
		t.Errorf("given up: %d\n%s", status, admin.body)
	}
	if w.seen.Load() != 2 {
		t.Errorf("%d flags were read after it, not 2", w.seen.Load())
	}
	page, err := w.n.Kernel().Audit.Search(t.Context(), audit.Query{Tenant: sim.National, Chart: w.chart(), Actions: []string{"skip", "retry"}})
	if err != nil || len(page.Entries) != 2 || page.Entries[0].Action != "skip" || !strings.Contains(page.Entries[0].Detail, "The ward was told by telephone") || page.Entries[0].Actor != "admin" {
		t.Errorf("on the account: %+v (%v)", page.Entries, err)
	}
	if status := w.signedIn("gp").do(http.MethodGet, "/parked", nil); status != http.StatusForbidden {
		t.Errorf("a clinician is answered %d", status)
	}
}

func (w *world) figures() string {
	resp, err := http.Get(w.n.FiguresURL() + "/metrics")
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return string(text)
}

func TestThePagesAreHealthy(t *testing.T) {
	t.Parallel()
	w := given(t)
	w.flag(1, "bad")
	admin := w.signedIn("admin")
	admin.sees("/parked")
	u, err := url.Parse(w.n.URL())
	if err != nil {
		t.Fatal(err)
	}
	session := admin.client.Jar.Cookies(u)[0]
	b := webtest.NewBrowser(t)
	for _, path := range []string{"/", "/parked", changeRE.FindStringSubmatch(admin.body)[1]} {
		p := b.Open(t, w.n.URL()+path, webtest.Cookie(session.Name, session.Value))
		p.Healthy()
		p.Walk()
		b.Open(t, w.n.URL()+path, webtest.Cookie(session.Name, session.Value), webtest.Phone()).Healthy()
	}
}
