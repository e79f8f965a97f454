package mesh_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/internal/clock"
	"github.com/openspine/openspine/internal/node"
	"github.com/openspine/openspine/mesh"
	"github.com/openspine/openspine/messaging"
)

// world is a node with the published test mailboxes, served on loopback.
type world struct {
	t      testing.TB
	n      *node.Node
	o      *mesh.Office
	clock  *clock.Fake
	url    string
	data   string
	client *http.Client
	nonces atomic.Int64
	stop   func() error
}

func config(dir string) node.Config {
	return node.Config{Name: "mesh", Addr: "127.0.0.1:0", Data: dir, National: "X26", Open: true, Tenants: []node.TenantConfig{{Code: "X26", Name: "National spine", Kind: "national"}}}
}

// given is a world of its own for a test.
func given(t testing.TB) *world {
	t.Helper()
	w := opened(t, config(t.TempDir()))
	if err := w.o.Demo(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w
}

// filled sends the form of a page as somebody, with values in pairs.
func (w *world) filled(as func(path string, form url.Values) (int, string), path string, values ...string) (int, string) {
	w.t.Helper()
	status, page := as(path, nil)
	if status != http.StatusOK {
		w.t.Fatalf("%s is answered %d", path, status)
	}
	form := url.Values{}
	for _, m := range hidden.FindAllStringSubmatch(page, -1) {
		form.Set(m[1], html.UnescapeString(m[2]))
	}
	for i := 0; i < len(values); i += 2 {
		form.Set(values[i], values[i+1])
	}
	return as(path, form)
}

// opened serves a node of a configuration, with what its folder holds.
func opened(t testing.TB, cfg node.Config) *world {
	t.Helper()
	c := clock.NewFake(time.Now().UTC().Truncate(time.Second))
	w := openedAt(t, cfg, c)
	w.clock = c
	return w
}

// openedAt is opened with a clock of the test's.
func openedAt(t testing.TB, cfg node.Config, c clock.Clock) *world {
	t.Helper()
	n, err := node.Open(t.Context(), cfg, node.Options{Clock: c, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Listen(); err != nil {
		t.Fatal(err)
	}
	serving, stop := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- n.Serve(serving, func() { close(ready) }) }()
	select {
	case <-ready:
	case err := <-ended:
		t.Fatal(err)
	}
	w := &world{t: t, n: n, o: n.Mail(), data: cfg.Data, url: n.URL(), client: &http.Client{}}
	stopped := false
	w.stop = func() error {
		if stopped {
			return nil
		}
		stopped = true
		stop()
		w.client.CloseIdleConnections()
		return errors.Join(<-ended, n.Close())
	}
	t.Cleanup(func() {
		if err := w.stop(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// answer is what the interface said.
type answer struct {
	status int
	header http.Header
	body   string
	json   map[string]any
}

func (a answer) String() string { return fmt.Sprintf("%d %s", a.status, a.body) }

// token is a good authorisation header of a mailbox.
func (w *world) token(mailbox string) string {
	return mesh.Authorization(mailbox, mesh.DemoPassword, mesh.DemoSharedKey, fmt.Sprintf("nonce-%d", w.nonces.Add(1)), "0", w.clock.Now())
}

// as sends a request as the program of a mailbox; headers are "name: value".
func (w *world) as(mailbox, method, path, body string, headers ...string) answer {
	w.t.Helper()
	return w.call(method, path, strings.NewReader(body), append([]string{"Authorization: " + w.token(mailbox)}, headers...)...)
}

func (w *world) call(method, path string, body io.Reader, headers ...string) answer {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.url+"/messageexchange"+path, body)
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Accept-Encoding", "identity")
	for _, h := range headers {
		k, v, _ := strings.Cut(h, ": ")
		r.Header.Set(k, v)
	}
	resp, err := w.client.Do(r)
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, path, err)
	}
	a := answer{status: resp.StatusCode, header: resp.Header, body: string(text)}
	if bytes.HasPrefix(text, []byte("{")) {
		if err := json.Unmarshal(text, &a.json); err != nil {
			w.t.Fatalf("%s %s: %v in %s", method, path, err, text)
		}
	}
	return a
}

// v2 asks for answers of version 2.
const v2 = "Accept: application/vnd.mesh.v2+json"

// send sends a small message from a mailbox to another, and returns its id.
func (w *world) send(from, to, body string, headers ...string) string {
	w.t.Helper()
	a := w.as(from, "POST", "/"+from+"/outbox", body, append([]string{v2, "Mex-To: " + to, "Mex-WorkflowID: API-DOCS-TEST"}, headers...)...)
	id, _ := a.json["message_id"].(string)
	if a.status != http.StatusAccepted || id == "" {
		w.t.Fatalf("sending is answered %v", a)
	}
	w.arrived(to, id)
	return id
}

// arrived waits until a message is in an inbox.
func (w *world) arrived(mailbox, id string) {
	w.t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		a := w.as(mailbox, "HEAD", "/"+mailbox+"/inbox/"+id, "")
		if a.status == http.StatusOK {
			return
		}
		w.clock.Advance(time.Second) // the post looks for what it was not rung for
	}
	items, _, err := w.n.Kernel().Post().Search(w.t.Context(), messaging.Query{})
	for _, it := range items {
		w.t.Logf("%v %s to %v: %v %+v", it.ID, it.Workflow, it.To, it.State, it.Held)
	}
	w.t.Fatalf("%s never came to %s: %v", id, mailbox, err)
}

// inbox is what waits in a mailbox.
func (w *world) inbox(mailbox string) []string {
	w.t.Helper()
	a := w.as(mailbox, "GET", "/"+mailbox+"/inbox", "", v2)
	if a.status != http.StatusOK {
		w.t.Fatalf("the inbox is answered %v", a)
	}
	var ids []string
	for _, id := range a.json["messages"].([]any) {
		ids = append(ids, id.(string))
	}
	return ids
}

// admin is somebody who keeps the node.
func admin() access.Principal {
	return access.Service("test", mustNational)
}
