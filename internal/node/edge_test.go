package node_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/internal/node"
	"github.com/openspine/openspine/web"
)

// trouble is a service whose routes misbehave.
func trouble(changes chan struct{}, entered chan struct{}, release chan struct{}) func(catalogue.Kernel) []catalogue.Service {
	return func(k catalogue.Kernel) []catalogue.Service {
		return []catalogue.Service{{Name: "trouble", Summary: "Routes that misbehave.",
			API: []catalogue.Route{
				catalogue.ForRole("GET /try/panic", func(http.ResponseWriter, *http.Request, access.Principal) error { panic("at 999 000 0018") }),
				catalogue.OnPerson("GET /try/panic/{person}", access.Read, func(w http.ResponseWriter, _ *http.Request, _ access.Grant) error {
					if _, err := w.Write([]byte("secret")); err != nil {
						return err
					}
					panic("after writing")
				}),
				catalogue.Public("GET /try/wait", func(_ http.ResponseWriter, r *http.Request) error {
					<-r.Context().Done()
					return r.Context().Err()
				}),
				catalogue.Public("GET /try/hold", func(w http.ResponseWriter, r *http.Request) error {
					entered <- struct{}{}
					<-release
					_, err := w.Write([]byte("done"))
					return err
				}),
				catalogue.Public("GET /try/flood", func(w http.ResponseWriter, _ *http.Request) error {
					for range 1000 {
						if _, err := w.Write(make([]byte, 1<<20)); err != nil {
							return err
						}
					}
					return nil
				}),
				catalogue.Public("POST /try/swallow", func(w http.ResponseWriter, r *http.Request) error {
					n, err := io.Copy(io.Discard, r.Body)
					if err != nil {
						return err
					}
					_, err = w.Write([]byte(strconv.FormatInt(n, 10)))
					return err
				}),
				catalogue.OnPerson("GET /try/broken/{person}", access.Read, func(w http.ResponseWriter, _ *http.Request, _ access.Grant) error {
					if _, err := w.Write([]byte("half an ans")); err != nil {
						return err
					}
					return errors.New("the rest is lost")
				}).Streamed(),
			},
			Pages: []catalogue.Route{
				catalogue.OnPerson("GET /live/{person}", access.Read, func(w http.ResponseWriter, r *http.Request, _ access.Grant) error {
					return web.Events(w, r, k.Clock, changes)
				}).Streamed(),
				catalogue.ForRole("GET /for-auditors", func(w http.ResponseWriter, _ *http.Request, _ access.Principal) error {
					_, err := w.Write([]byte("ledgers"))
					return err
				}, access.Auditor),
			}}}
	}
}

func misbehaving(t *testing.T, l node.Limits) (r *running, changes, entered, release chan struct{}) {
	changes, entered, release = make(chan struct{}), make(chan struct{}, 10), make(chan struct{})
	return serve(t, config(t.TempDir()), node.Options{Limits: l, Services: trouble(changes, entered, release)}).seed(), changes, entered, release
}

func (r *running) account(q audit.Query) []audit.Entry {
	r.t.Helper()
	q.Limit = 1000
	page, err := r.n.Kernel().Audit.Search(r.t.Context(), q)
	if err != nil {
		r.t.Fatal(err)
	}
	return page.Entries
}

func TestPanicIsAFailureLikeAnyOther(t *testing.T) {
	r, _, _, _ := misbehaving(t, node.Limits{})
	clinician := r.token("clinician")
	a := r.call("GET", "/try/panic", clinician, "").outcome(t, 500, "exception")
	id := a.header.Get("X-Request-ID")
	if id == "" || strings.Contains(a.body, "999") || strings.Contains(a.body, "goroutine") {
		t.Errorf("the caller was told %q, under %q", a.body, id)
	}
	before := len(r.account(audit.Query{Tenant: national, Chart: ownNumber, Actor: "clinician"}))
	if b := r.call("GET", "/try/panic/"+ownNumber, clinician, "").outcome(t, 500, "exception"); strings.Contains(b.body, "secret") {
		t.Error("what was written before the panic left")
	}
	if after := len(r.account(audit.Query{Tenant: national, Chart: ownNumber, Actor: "clinician"})); after != before {
		t.Errorf("%d entries for what was never shown", after-before)
	}
	r.call("GET", "/FHIR/R4/Patient/"+ownNumber, clinician, "").want(t, 200)
	if log := r.log.String(); !strings.Contains(log, id) || !strings.Contains(log, "panic: at (number)") || !strings.Contains(log, `"tenant":"X26"`) || strings.Contains(log, "999 000 0018") {
		t.Error("the log does not tell of the panic, or tells too much")
	}
}

func TestRefusalByRoleIsOnTheAccount(t *testing.T) {
	r, _, _, _ := misbehaving(t, node.Limits{})
	if got := send(t, r.browser("auditor"), "GET", r.n.URL()+"/for-auditors", "", ""); got.status != 200 || got.body != "ledgers" {
		t.Fatalf("an auditor was answered %d %q", got.status, got.body)
	}
	got := send(t, r.browser("clerk"), "GET", r.n.URL()+"/for-auditors", "", "").want(t, 403)
	if !strings.Contains(got.header.Get("Content-Type"), "text/html") {
		t.Errorf("refused as %s", got.header.Get("Content-Type"))
	}
	entries := r.account(audit.Query{Actor: "clerk", Outcome: audit.OutcomeRefused})
	if len(entries) != 1 || entries[0].Detail != "GET /for-auditors" || entries[0].RequestID != got.header.Get("X-Request-ID") {
		t.Errorf("on the account: %+v", entries)
	}
}

func TestNobodyIsSentToSignIn(t *testing.T) {
	r, _, _, _ := misbehaving(t, node.Limits{})
	c := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	a := send(t, c, "GET", r.n.URL()+"/for-auditors?x=1", "", "", "Accept: text/html").want(t, 303)
	if a.header.Get("Location") != "/sign-in?to=%2Ffor-auditors%3Fx%3D1" {
		t.Errorf("sent to %s", a.header.Get("Location"))
	}
	b := r.call("GET", "/FHIR/R4/Patient/"+ownNumber, "", "").outcome(t, 401, "login")
	if !strings.HasPrefix(b.header.Get("WWW-Authenticate"), "Bearer ") {
		t.Errorf("challenged with %q", b.header.Get("WWW-Authenticate"))
	}
	r.call("GET", "/FHIR/R4/Patient/"+ownNumber, "not.a.token", "").outcome(t, 401, "login")
}

func TestStreamIsAccountedThenSentAsItIsWritten(t *testing.T) {
	r, changes, _, _ := misbehaving(t, node.Limits{})
	c := r.browser("clinician")
	req, err := http.NewRequestWithContext(t.Context(), "GET", r.n.URL()+"/live/"+ownNumber, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("answered %s %s", resp.Status, resp.Header.Get("Content-Type"))
	}
	in := bufio.NewReader(resp.Body)
	expect := func(prefix string) {
		t.Helper()
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(line, prefix) {
				return
			}
		}
	}
	expect("retry:")
	if got := r.account(audit.Query{Tenant: national, Chart: ownNumber, Actor: "clinician", Action: "read"}); len(got) != 1 {
		t.Errorf("%d entries before the first byte", len(got))
	}
	changes <- struct{}{}
	expect("data: changed")
	done := make(chan struct{})
	go func() { r.end(); close(done) }()
	if _, err := io.Copy(io.Discard, in); err != nil { // the node ends the stream when it stops
		t.Errorf("the stream was cut, not ended: %v", err)
	}
	<-done
}

func TestStreamThatFailsIsCut(t *testing.T) {
	r, _, _, _ := misbehaving(t, node.Limits{})
	req, err := http.NewRequestWithContext(t.Context(), "GET", r.n.URL()+"/try/broken/"+ownNumber, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+r.token("clinician"))
	resp, err := http.DefaultClient.Do(req)
	if err == nil {
		defer resp.Body.Close()
		_, err = io.ReadAll(resp.Body)
	}
	if err == nil {
		t.Error("half an answer passed for a whole one")
	}
	r.call("GET", "/try/broken/"+hiddenNumber, r.token("stranger"), "").outcome(t, 404, "not-found")
	r.call("GET", "/healthz", "", "").want(t, 200)
}

func TestLimits(t *testing.T) {
	r, _, entered, release := misbehaving(t, node.Limits{Request: 50 * time.Millisecond, BodyBytes: 1 << 20, AnswerBytes: 4 << 20, CallerAtOnce: 2, AtOnce: 3})
	r.call("GET", "/try/wait", "", "").outcome(t, 504, "timeout")
	r.call("GET", "/try/flood", "", "").outcome(t, 403, "too-costly")
	big := `{"resourceType":"Patient","name":[{"text":"` + strings.Repeat("x", 2<<20) + `"}]}`
	r.call("POST", "/FHIR/R4/Patient", r.token("clerk"), big).outcome(t, 413, "too-long")
	r.call("POST", "/try/swallow", "", big).outcome(t, 413, "too-long")
	r.call("POST", "/try/swallow", "", "x", "Content-Encoding: gzip").outcome(t, 415, "not-supported")

	tokens := []string{"one", "one", "two"}
	answers := make(chan int, len(tokens))
	for _, token := range tokens {
		go func() { answers <- r.call("GET", "/try/hold", token, "").status }()
		<-entered
	}
	r.call("GET", "/try/hold", "one", "").outcome(t, 429, "throttled")
	a := r.call("GET", "/try/hold", "three", "").outcome(t, 503, "transient")
	if a.header.Get("Retry-After") == "" {
		t.Error("nobody says when to come back")
	}
	close(release)
	for range tokens {
		if s := <-answers; s != 200 {
			t.Errorf("one that was let in was answered %d", s)
		}
	}
	r.call("GET", "/healthz", "", "").want(t, 200)
}

func TestHeldMemoryIsBounded(t *testing.T) {
	r, _, _, _ := misbehaving(t, node.Limits{HeldBytes: 1 << 20})
	r.call("GET", "/try/flood", "", "").outcome(t, 503, "transient")
	r.call("POST", "/try/swallow", "", strings.Repeat("x", 2<<20)).outcome(t, 503, "transient")
	if a := r.call("POST", "/try/swallow", "", strings.Repeat("x", 1<<20)); a.status != 200 || a.body != strconv.Itoa(1<<20) {
		t.Errorf("what was held was not given back: %d %s", a.status, a.body)
	}
}

// raw is a connection spoken to byte by byte.
func (r *running) raw() net.Conn {
	r.t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(r.n.URL(), "http://"))
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = c.Close() }) // closed by the node already, mostly
	return c
}

// TestSlowAndBrokenCallers speaks HTTP as nobody should; each is cut off or refused, and the node goes on.
func TestSlowAndBrokenCallers(t *testing.T) {
	r, _, _, _ := misbehaving(t, node.Limits{Header: 100 * time.Millisecond, Body: 100 * time.Millisecond, Request: time.Second, Idle: 100 * time.Millisecond})
	token := r.token("clerk")
	post := "POST /FHIR/R4/Patient HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + token + "\r\nContent-Type: application/fhir+json\r\n"
	for _, c := range []struct{ name, send, want string }{
		{"nothing", "", ""},
		{"half a header", "GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ", ""},
		{"half a body", post + "Content-Length: 100\r\n\r\n{", "504"},
		{"an endless chunk", post + "Transfer-Encoding: chunked\r\n\r\n5\r\n{\"res\r\n", "504"},
		{"two lengths", post + "Content-Length: 5\r\nContent-Length: 6\r\n\r\n{}", "400"},
		{"a length and chunks", post + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400"},
		{"a header too large", "GET /healthz HTTP/1.1\r\nHost: x\r\nX-Large: " + strings.Repeat("x", 100<<10) + "\r\n\r\n", "431"},
		{"no host", "GET /healthz HTTP/1.1\r\n\r\n", "400"},
		{"a bare line feed in a header", "GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: b\rSet-Cookie: c=d\r\n\r\n", "400"},
		{"not HTTP", "\x16\x03\x01\x02\x00\x01\x00", ""},
		{"a header, then silence", "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", "200"},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn := r.raw()
			if _, err := io.WriteString(conn, c.send); err != nil && c.want != "431" {
				t.Fatal(err)
			}
			if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(conn) // ends when the node closes the connection
			var late net.Error
			if errors.As(err, &late) && late.Timeout() {
				t.Fatal("the node still holds the connection")
			}
			if c.want != "" && !strings.HasPrefix(string(text), "HTTP/1.1 "+c.want) {
				t.Errorf("answered %.200q, want %s", text, c.want)
			}
		})
	}
	r.call("GET", "/healthz", "", "").want(t, 200)
}

// TestHalfClosed sends a request and closes its own side: the answer still comes.
func TestHalfClosed(t *testing.T) {
	r, _, _, _ := misbehaving(t, node.Limits{})
	conn := r.raw()
	if _, err := io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(conn)
	if err != nil || !strings.HasPrefix(string(text), "HTTP/1.1 200") {
		t.Errorf("answered %.100q, %v", text, err)
	}
	gone := r.raw()
	body := `{"resourceType":"Patient"`
	if _, err := io.WriteString(gone, "POST /FHIR/R4/Patient HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+r.token("clerk")+
		"\r\nContent-Type: application/fhir+json\r\nContent-Length: 500\r\n\r\n"+body); err != nil {
		t.Fatal(err)
	}
	if err := gone.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if text, _ := io.ReadAll(gone); len(text) > 0 && !strings.HasPrefix(string(text), "HTTP/1.1 400") {
		t.Errorf("half a request was answered %.200q", text)
	}
	r.call("GET", "/healthz", "", "").want(t, 200)
}

func TestRequestAndCorrelationIDs(t *testing.T) {
	r, _, _, _ := misbehaving(t, node.Limits{})
	const id = "60e0b220-8136-4ca5-ae46-1d97ef59d068"
	clinician := r.token("clinician")
	a := r.call("GET", "/FHIR/R4/Patient/"+ownNumber, clinician, "", "X-Request-ID: "+strings.ToUpper(id), "X-Correlation-ID: 11C46F5F-CDEF-4865-94B2-0EE0EDCC26DA").want(t, 200)
	if a.header.Get("X-Request-ID") != id || a.header.Get("X-Correlation-ID") != "11C46F5F-CDEF-4865-94B2-0EE0EDCC26DA" {
		t.Errorf("given back %v", a.header)
	}
	if got := r.account(audit.Query{Tenant: national, Chart: ownNumber, Actor: "clinician"}); len(got) != 1 || got[0].RequestID != id {
		t.Errorf("on the account: %+v", got)
	}
	for _, bad := range []string{"9990000018", "x", "{60e0b220-8136-4ca5-ae46-1d97ef59d068}", strings.Repeat("a", 5000)} {
		b := r.call("GET", "/healthz", "", "", "X-Request-ID: "+bad, "X-Correlation-ID: patient 9990000018")
		if got := b.header.Get("X-Request-ID"); got == bad || len(got) != 36 {
			t.Errorf("the request id %.40q became %q", bad, got)
		}
		if b.header.Get("X-Correlation-ID") != "" {
			t.Errorf("a correlation id that names a patient was given back")
		}
	}
}

// TestUnroutedIsWorded asks for what is not there, in each protocol.
func TestUnroutedIsWorded(t *testing.T) {
	r, _, _, _ := misbehaving(t, node.Limits{})
	r.call("GET", "/FHIR/R4/Patient/1/2/3/4/5", "", "").outcome(t, 404, "not-found")
	if a := r.call("PUT", "/FHIR/R4", "", "").outcome(t, 405, "not-supported"); !strings.Contains(a.header.Get("Allow"), "GET") {
		t.Errorf("allowed: %q", a.header.Get("Allow"))
	}
	r.call("BREW", "/FHIR/R4/Patient", "", "").outcome(t, 405, "not-supported")
	r.call("GET", "/o/Z99999/FHIR/R4/Patient/1", "", "").outcome(t, 404, "not-found")
	for _, path := range []string{"/nothing", "/o/A99901/nothing", "/o/", "/o//", "/%00"} {
		if a := r.call("GET", path, "", "").want(t, 404); !strings.Contains(a.header.Get("Content-Type"), "text/html") || !strings.Contains(a.header.Get("Content-Security-Policy"), "default-src") {
			t.Errorf("%s was answered as %v", path, a.header)
		}
	}
	for _, path := range []string{"/FHIR/R4/Patient/..%2f..%2fetc%2fpasswd", "/assets/../../etc/passwd", "/assets/..%2f..%2fgo.mod", "/o/X26/FHIR/R4/Patient/a%2Fb"} {
		if a := r.call("GET", path, r.token("clinician"), ""); a.status < 400 || strings.Contains(a.body, "root:") || strings.Contains(a.body, "module ") {
			t.Errorf("%s was answered %d %.100s", path, a.status, a.body)
		}
	}
}

// TestStopsWithinTime stops a node while an answer is being made and a caller holds a connection.
func TestStopsWithinTime(t *testing.T) {
	r, _, entered, release := misbehaving(t, node.Limits{Drain: 50 * time.Millisecond})
	var cut atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		resp, err := http.Get(r.n.URL() + "/try/hold")
		if err == nil {
			_ = resp.Body.Close()
		}
		cut.Store(err != nil)
	}()
	<-entered
	r.raw()
	stopped := make(chan struct{})
	go func() { r.end(); close(stopped) }()
	<-stopped
	<-done
	close(release)
	if !cut.Load() {
		t.Error("an answer that took too long was waited for")
	}
}
