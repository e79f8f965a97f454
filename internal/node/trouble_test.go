package node_test

import (
	"bytes"
	"compress/gzip"
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/internal/clock"
	"github.com/openspine/openspine/internal/node"
	"github.com/openspine/openspine/store/storefault"
)

// TestFullDisk fills a disk in two ways: watched, so that changes are refused while reading goes on; and suddenly, so that nothing can be
// written at all. Each time the node says so in the protocol, and recovers when there is room.
func TestFullDisk(t *testing.T) {
	disk, err := storefault.New(1)
	if err != nil {
		t.Fatal(err)
	}
	now := clock.NewFake(time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC))
	var mu sync.Mutex
	free := int64(1 << 30)
	setFree := func(n int64) {
		mu.Lock()
		free = n
		mu.Unlock()
		now.Advance(3 * time.Second)
	}
	r := serve(t, config(t.TempDir()), node.Options{Clock: now, VFS: disk.VFS(), Reserve: 1 << 20, Space: func() (int64, error) {
		mu.Lock()
		defer mu.Unlock()
		return free, nil
	}}).seed()
	t.Cleanup(func() {
		r.end()
		if err := disk.Close(); err != nil {
			t.Error(err)
		}
	})
	clinician, path := r.token("clinician"), "/FHIR/R4/Observation/o-"+ownNumber
	r.call("PUT", path, clinician, observation(ownNumber)).want(t, 200)

	setFree(1000)
	r.until(func() bool {
		now.Advance(3 * time.Second)
		return r.call("PUT", path, clinician, observation(ownNumber)).status == 507
	})
	r.call("PUT", path, clinician, observation(ownNumber)).outcome(t, 507, "no-store")
	r.call("GET", path, clinician, "").want(t, 200)
	r.call("POST", "/FHIR/R4/Patient/_search", clinician, "family=Marsh", "Content-Type: application/x-www-form-urlencoded").want(t, 200)
	r.browser("clinician") // signing in is no change of the record
	setFree(1 << 30)
	r.until(func() bool {
		now.Advance(3 * time.Second)
		return r.call("PUT", path, clinician, observation(ownNumber)).status == 200
	})

	disk.SetQuota(disk.Used())
	full := 0
	for range 5000 {
		a := r.call("PUT", path, clinician, observation(ownNumber))
		if a.status == 507 {
			a.outcome(t, 507, "no-store")
			full++
			break
		}
		a.want(t, 200)
	}
	if full == 0 {
		t.Fatal("the disk never filled")
	}
	r.call("GET", "/healthz", "", "").want(t, 200)
	r.call("GET", "/FHIR/R4/metadata", "", "").want(t, 200)
	disk.SetQuota(0)
	r.call("PUT", path, clinician, observation(ownNumber)).want(t, 200)
	r.call("GET", path, clinician, "").want(t, 200)
}

// TestClockJumps moves a running node's clock back and forth.
func TestClockJumps(t *testing.T) {
	now := clock.NewFake(time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC))
	r := serve(t, config(t.TempDir()), node.Options{Clock: now}).seed()
	path := "/FHIR/R4/Observation/o-" + ownNumber
	c, token := r.browser("clinician"), r.token("clinician")
	read := func(status int) {
		t.Helper()
		send(t, c, "GET", r.n.URL()+path, "", "").want(t, status)
	}
	read(200)
	now.Advance(-48 * time.Hour)
	read(200) // a session does not end because the clock goes back
	r.call("GET", path, token, "").outcome(t, 401, "login")
	r.call("PUT", path, r.token("clinician"), observation(ownNumber)).want(t, 200)
	now.Advance(48*time.Hour + 20*time.Minute)
	read(200)
	r.call("GET", path, token, "").want(t, 200)
	now.Advance(100 * 24 * time.Hour)
	read(401)
	r.call("GET", path, token, "").outcome(t, 401, "login")
	r.call("PUT", path, r.token("clinician"), observation(ownNumber)).want(t, 200)
	now.Advance(-100 * 24 * time.Hour)
	r.call("PUT", path, r.token("clinician"), observation(ownNumber)).want(t, 200)

	last := time.Time{}
	entries := r.account(audit.Query{})
	for i := len(entries) - 1; i >= 0; i-- {
		if !entries[i].At.After(last) && !entries[i].At.Equal(last) {
			t.Fatalf("entry %d is at %s, after one at %s", entries[i].Seq, entries[i].At, last)
		}
		last = entries[i].At
	}
	if err := r.n.Kernel().Audit.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	report, err := r.n.Kernel().Audit.Verify(t.Context())
	if err != nil || !report.OK() {
		t.Errorf("the account: %v %v", report, err)
	}
	history := r.call("GET", path+"/_history", r.token("clinician"), "").want(t, 200).body
	if n := strings.Count(history, `"fullUrl"`); n != 4 {
		t.Errorf("%d versions, want 4", n)
	}
}

// TestOneNodePerFolder starts a second node on a folder in use.
func TestOneNodePerFolder(t *testing.T) {
	dir := t.TempDir()
	r := serve(t, config(dir), node.Options{})
	_, err := node.Open(t.Context(), config(dir), node.Options{})
	if !fault.Is(err, fault.Conflict) || !strings.Contains(fault.MessageOf(err), "in use") {
		t.Errorf("a second node: %v", err)
	}
	r.end()
	serve(t, config(dir), node.Options{})
}

// TestDamagedDatabase starts on files that are no database, and on one that was damaged.
func TestDamagedDatabase(t *testing.T) {
	dir := t.TempDir()
	r := serve(t, config(dir), node.Options{}).seed()
	r.end()
	path := node.DatabasePath(dir)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{
		"noise":        bytes.Repeat([]byte("noise "), 10_000),
		"cut short":    whole[:5000],
		"header wiped": append(make([]byte, 4096), whole[4096:]...),
		"page wiped":   append(append(bytes.Clone(whole[:100]), make([]byte, 4000)...), whole[4100:]...),
	} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		n, err := node.Open(t.Context(), config(dir), node.Options{})
		if err == nil {
			t.Errorf("%s: the node starts", name)
			if err := n.Close(); err != nil {
				t.Log(err)
			}
			continue
		}
		if !fault.Is(err, fault.Unavailable) || !strings.Contains(fault.MessageOf(err), "restore") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	serve(t, config(dir), node.Options{}).call("GET", "/readyz", "", "").want(t, 200)
}

// TestTLS asks the same of both listeners, before and after a restart: the certificate stays.
func TestTLS(t *testing.T) {
	cfg := config(t.TempDir())
	cfg.TLSAddr = "127.0.0.1:0"
	c := trusting()
	var first *x509.Certificate
	for range 2 {
		r := serve(t, cfg, node.Options{})
		if first == nil {
			r.seed()
		}
		token := r.token("clinician")
		resp, err := c.Get(r.n.SecureURL() + "/healthz")
		if err != nil {
			t.Fatal(err)
		}
		if err := resp.Body.Close(); err != nil {
			t.Fatal(err)
		}
		got := resp.TLS.PeerCertificates[0]
		if first != nil && !first.Equal(got) {
			t.Error("the certificate changed over a restart")
		}
		first = got
		if resp.Proto != "HTTP/2.0" {
			t.Errorf("spoken: %s", resp.Proto)
		}
		over := send(t, c, "GET", r.n.SecureURL()+"/FHIR/R4/Patient/"+ownNumber, token, "").want(t, 200)
		plain := r.call("GET", "/FHIR/R4/Patient/"+ownNumber, token, "").want(t, 200)
		if over.body != plain.body {
			t.Error("the listeners answer differently")
		}
		a := send(t, &http.Client{Transport: c.Transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
			"POST", r.n.SecureURL()+"/sign-in", "", "user=clinician&to=/", "Content-Type: application/x-www-form-urlencoded").want(t, 303)
		if k := a.header.Get("Set-Cookie"); !strings.Contains(k, "__Host-openspine=") || !strings.Contains(k, "Secure") || !strings.Contains(k, "HttpOnly") {
			t.Errorf("the cookie is %s", regexp.MustCompile(`=[^;]*`).ReplaceAllString(k, ""))
		}
		c.CloseIdleConnections()
		r.end()
	}
	info, err := os.Stat(filepath.Join(cfg.Data, "tls-key.pem"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key's file: %v %v", info, err)
	}
}

// TestFigures reads the metrics and a profile, which are on a port of their own.
func TestFigures(t *testing.T) {
	r := serve(t, config(t.TempDir()), node.Options{}).seed()
	r.call("GET", "/FHIR/R4/Patient/"+ownNumber, r.token("clinician"), "").want(t, 200)
	r.call("GET", "/FHIR/R4/Patient/"+ownNumber, "", "").want(t, 401)
	r.call("GET", "/metrics", "", "").want(t, 404)
	r.call("GET", "/debug/pprof/", "", "").want(t, 404)
	text := send(t, http.DefaultClient, "GET", r.n.FiguresURL()+"/metrics", "", "").want(t, 200).body
	for _, want := range []string{`openspine_request_seconds_count{pattern="GET /FHIR/R4/{type}/{id}",status="200"} 1`,
		`openspine_faults_total{kind="unauthenticated"} 1`, "openspine_audit_unsealed", "openspine_audit_online", "openspine_audit_archived 0", "openspine_requests_working 0", "openspine_disk_low 0", "go_goroutines"} {
		if !strings.Contains(text, want) {
			t.Errorf("the metrics have no %s", want)
		}
	}
	if strings.Contains(text, ownNumber) {
		t.Error("the metrics hold a patient's number")
	}
	send(t, http.DefaultClient, "GET", r.n.FiguresURL()+"/debug/pprof/goroutine?debug=1", "", "").want(t, 200)
}

// TestTraces reads the spans that reach a collector: one for each request, below the caller's own, by pattern.
func TestTraces(t *testing.T) {
	var mu sync.Mutex
	var got bytes.Buffer
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		var body io.Reader = req.Body
		if req.Header.Get("Content-Encoding") == "gzip" {
			z, err := gzip.NewReader(req.Body)
			if err != nil {
				t.Error(err)
				return
			}
			body = z
		}
		mu.Lock()
		defer mu.Unlock()
		if req.URL.Path != "/v1/traces" {
			t.Errorf("sent to %s", req.URL.Path)
		}
		if _, err := io.Copy(&got, body); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(collector.Close)
	cfg := config(t.TempDir())
	cfg.OTLP = collector.URL
	r := serve(t, cfg, node.Options{}).seed()
	a := r.call("GET", "/FHIR/R4/Patient/"+ownNumber, r.token("clinician"), "", "Traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").want(t, 200)
	r.end() // what was not sent is sent at the stop
	mu.Lock()
	defer mu.Unlock()
	for _, want := range []string{"GET /FHIR/R4/{type}/{id}", a.header.Get("X-Request-ID"), "\x4b\xf9\x2f\x35\x77\xb3\x4d\xa6\xa3\xce\x92\x9d\x0e\x0e\x47\x36", "service.name", "openspine"} {
		if !strings.Contains(got.String(), want) {
			t.Errorf("the collector was not sent %q", want)
		}
	}
	if strings.Contains(got.String(), ownNumber) {
		t.Error("a span holds a patient's number")
	}
	cfg.Data, cfg.OTLP = t.TempDir(), "not a url\x7f"
	if n, err := node.Open(t.Context(), cfg, node.Options{}); !fault.Is(err, fault.Invalid) {
		t.Errorf("a collector without an address: %v", err)
		if n != nil {
			t.Log(n.Close())
		}
	}
}

// TestLogsNameNobody goes through a whole journey and then looks for each patient's number, and every address, in the log.
func TestLogsNameNobody(t *testing.T) {
	r := serve(t, config(t.TempDir()), node.Options{}).seed()
	c := r.browser("clinician")
	calls := 1
	for _, path := range []string{"/", "/find?name=Marsh&nhs=" + ownNumber, "/patients/" + ownNumber, "/patients/" + ownNumber + "/timeline", "/patients/" + ownNumber + "/seen",
		"/patients/" + ownNumber + "/correct", "/patients/" + hiddenNumber, "/patients/999%20000%200018", "/break-glass?person=" + hiddenNumber, "/nothing/" + ownNumber, "/o/" + ownNumber + "/x"} {
		send(t, c, "GET", r.n.URL()+path, "", "")
		calls++
	}
	token := r.token("clinician")
	for _, call := range [][3]string{{"GET", "/FHIR/R4/Patient?identifier=https://fhir.nhs.uk/Id/nhs-number|" + ownNumber, ""}, {"GET", "/FHIR/R4/Patient/" + ownNumber, ""},
		{"PUT", "/FHIR/R4/Observation/o-" + ownNumber, observation(ownNumber)}, {"PUT", "/FHIR/R4/Observation/o-" + ownNumber, `{"resourceType":"Patient","id":"` + ownNumber + `"}`},
		{"POST", "/FHIR/R4/Patient", `{"resourceType":"Patient","identifier":[{"value":"` + ownNumber + `"`}, {"DELETE", "/FHIR/R4/Patient/" + ownNumber + "x", ""},
		{"GET", "/FHIR/R4/Observation?patient=" + ownNumber + "&nonsense=" + ownNumber, ""}} {
		r.call(call[0], call[1], token, call[2], "If-Match: W/\""+ownNumber+"\"", "X-Correlation-ID: "+ownNumber, "User-Agent: "+ownNumber)
		calls++
	}
	r.end()
	log := r.log.String()
	if n := strings.Count(log, `"msg":"request"`); n != calls {
		t.Errorf("%d records for %d requests", n, calls)
	}
	for line := range strings.Lines(log) {
		for _, bad := range []string{ownNumber, otherNumber, hiddenNumber, "999 000", "999%20000", "Marsh", "/patients/999"} {
			if strings.Contains(line, bad) {
				t.Errorf("the log holds %q: %s", bad, line)
			}
		}
	}
}
