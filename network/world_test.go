package network_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/internal/clock"
	"github.com/openspine/openspine/network"
	"github.com/openspine/openspine/network/networktest"
	"github.com/openspine/openspine/store"
)

// world is a small country on wires, in a bubble of its own time.
type world struct {
	t     *testing.T
	wires *networktest.Wires
	nodes map[string]*member
}

// member is one node of it.
type member struct {
	*network.Network
	db     *store.DB
	gate   *access.Gate
	log    *audit.Log
	folder string
	off    *shifted
	stop   func()

	flooding atomic.Int64 // answers without end that are being written
	mu       sync.Mutex
	why      string // how the last wait ended
}

// waited is how the last wait ended.
func (m *member) waited() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	why := m.why
	m.why = ""
	return why
}

// shifted is a clock that is wrong by some time.
type shifted struct {
	mu sync.Mutex
	by time.Duration
}

func (s *shifted) Now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Now().UTC().Add(s.by)
}
func (s *shifted) After(d time.Duration) <-chan time.Time { return time.After(d) }
func (s *shifted) jump(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.by += d
}

var _ clock.Clock = (*shifted)(nil)

var admin = access.Service("test", network.MustNodeID("X26").Organisation())

const at = "spine.example:8444"

// country runs test in a bubble with a national node X26, founded and running, and the hospitals named, joined and linked.
func country(t *testing.T, hospitals []string, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, wires: networktest.New(), nodes: map[string]*member{}}
		defer func() {
			for _, m := range w.nodes {
				m.stop()
			}
		}()
		x := w.node("X26", nil)
		if err := x.Found(t.Context(), admin, network.MustNodeID("X26"), nil, []string{at}); err != nil {
			t.Fatal(err)
		}
		w.run("X26")
		for _, h := range hospitals {
			w.node(h, nil)
			w.join(h)
			w.run(h)
		}
		for _, h := range hospitals {
			w.await(h, network.StateUp)
		}
		test(t, w)
	})
}

// node opens a node with its own database; it does not run yet.
func (w *world) node(name string, change func(*network.Options)) *member {
	w.t.Helper()
	m := &member{folder: filepath.Join(w.t.TempDir(), name), off: &shifted{}, stop: func() {}}
	if old := w.nodes[name]; old != nil {
		m.folder, m.off = old.folder, old.off
	}
	w.nodes[name] = m
	t := w.t
	db, err := store.Open(t.Context(), filepath.Join(m.folder+".data", "test.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Migrate(t.Context(), audit.Schema(), access.Schema(), network.Schema()); err != nil {
		t.Fatal(err)
	}
	log, err := audit.Open(db, filepath.Join(m.folder+".data", "account"), audit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	gate, err := access.Open(access.Options{DB: db, Audit: log})
	if err != nil {
		t.Fatal(err)
	}
	o := network.Options{DB: db, Gate: gate, Clock: m.off, Folder: m.folder, Dial: w.wires.Dial}
	if os.Getenv("NETWORK_LOG") != "" {
		o.Logger = slog.New(slog.NewTextHandler(os.Stderr, nil)).With("node", name)
	}
	if change != nil {
		change(&o)
	}
	m.db, m.gate, m.log = db, gate, log
	if m.Network, err = network.Open(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	m.Handle("/echo", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, _ := network.PeerFrom(r.Context())
		w.Header().Set("Peer", p.Node.String())
		_, _ = io.Copy(w, r.Body)
	}))
	m.Answer("GET /document", "a document", func(w http.ResponseWriter, r *http.Request, by access.Principal) error {
		if r.URL.Query().Get("fail") != "" {
			return fault.New(fault.NotFound, "There is no such document.")
		}
		_, err := io.WriteString(w, "for "+by.ID+" of "+by.Organisation.String())
		return err
	})
	m.Handle("/wait", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		m.mu.Lock()
		defer m.mu.Unlock()
		m.why = r.Context().Err().Error()
		panic(http.ErrAbortHandler)
	}))
	m.Handle("/flood", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		m.flooding.Add(1)
		defer m.flooding.Add(-1)
		for part := make([]byte, 64<<10); ; {
			if _, err := w.Write(part); err != nil {
				return
			}
		}
	}))
	m.stop = func() {
		if err := log.Close(); err != nil {
			t.Error(err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
	return m
}

// run runs a node until the test ends, or halt.
func (w *world) run(name string) {
	m := w.nodes[name]
	if name == "X26" {
		m.Listen(w.wires.Listen(at))
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := m.Run(ctx); err != nil {
			w.t.Error(name, err)
		}
	}()
	end := m.stop
	m.stop = func() {
		cancel()
		<-done
		end()
		m.stop = func() {}
	}
}

// restart stops a node and opens it again on what it kept.
func (w *world) restart(name string) {
	w.nodes[name].stop()
	w.node(name, nil)
	w.run(name)
}

func (w *world) office() *network.Authority {
	w.t.Helper()
	a, err := w.nodes["X26"].Authority()
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

func (w *world) token(name string) network.Token {
	w.t.Helper()
	t, err := w.office().MakeToken(w.t.Context(), admin, network.MustNodeID(name), nil, []string{at}, 0, "a test")
	if err != nil {
		w.t.Fatal(err)
	}
	return t
}

func (w *world) join(name string) {
	w.t.Helper()
	if err := w.nodes[name].Join(w.t.Context(), w.token(name)); err != nil {
		w.t.Fatal(err)
	}
}

// link is how a hospital's link to the national node is.
func (w *world) link(name string) network.LinkStatus {
	w.t.Helper()
	s, err := w.nodes[name].Link(w.t.Context(), network.MustNodeID("X26"))
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// await waits until the link of a hospital is in a state, for an hour of the bubble at most.
func (w *world) await(name string, state network.State) network.LinkStatus {
	w.t.Helper()
	var s network.LinkStatus
	for range 36000 {
		if s = w.link(name); s.State == state {
			return s
		}
		time.Sleep(100 * time.Millisecond) // of the bubble's time, which does not pass by itself
	}
	w.t.Fatalf("%s is %s and not %s: %s", name, s.State, state, s.LastError)
	return s
}

// echo asks a node over its link.
func (w *world) echo(from, to, text string) (string, error) {
	r, err := http.NewRequest(http.MethodPost, "/echo", strings.NewReader(text))
	if err != nil {
		return "", err
	}
	resp, err := w.nodes[from].Do(w.t.Context(), network.MustNodeID(to), r)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if err := network.FaultOf(resp); err != nil {
		return "", err
	}
	body, err := io.ReadAll(resp.Body)
	return resp.Header.Get("Peer") + ": " + string(body), err
}

// says fails the test unless both ends answer each other.
func (w *world) says(hospital string) {
	w.t.Helper()
	for _, c := range [][2]string{{hospital, "X26"}, {"X26", hospital}} {
		got, err := w.echo(c[0], c[1], "hello")
		if err != nil || got != c[0]+": hello" {
			w.t.Errorf("%s asks %s: %q %v", c[0], c[1], got, err)
		}
	}
}
