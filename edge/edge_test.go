package edge_test

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/json"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/edge"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/internal/node"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/network"
	"github.com/openspine/openspine/sim/simtest"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/store/storetest"
)

//go:embed testdata/results/*.sql
var resultFiles embed.FS

var (
	nation = ident.MustODSCode("X26")
	site   = ident.MustODSCode("RQX01")
)

// world is a national node that handles results, and a site's gateway.
type world struct {
	t            *testing.T
	nation, edge *node.Node
	folder       string
	options      edge.Options
}

func open(t *testing.T, code ident.ODSCode, kind string, dial func(context.Context, string) (net.Conn, error), more func(catalogue.Kernel) []catalogue.Service, change ...func(*node.Config)) (*node.Node, func()) {
	t.Helper()
	cfg := node.Config{Name: code.String(), Addr: "127.0.0.1:0", Data: t.TempDir(), National: nation.String(), Tenants: []node.TenantConfig{{Code: code.String(), Name: code.String(), Kind: kind}}}
	cfg.Plain = true
	for _, do := range change {
		do(&cfg)
	}
	if dial == nil {
		cfg.NetworkAddr = "127.0.0.1:0"
	}
	n, err := node.Open(t.Context(), cfg, node.Options{Logger: slog.New(slog.DiscardHandler), Dial: dial, Services: more})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Listen(); err != nil {
		t.Fatal(err)
	}
	return n, func() {
		serving, stop := context.WithCancel(context.Background())
		ready, ended := make(chan struct{}), make(chan error, 1)
		go func() { ended <- n.Serve(serving, func() { close(ready) }) }()
		<-ready
		t.Cleanup(func() {
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}

func given(t *testing.T, more ...func(*node.Config, *edge.Options)) *world {
	t.Helper()
	w := &world{t: t, folder: t.TempDir()}
	w.options.Folder = w.folder
	handler := func(catalogue.Kernel) []catalogue.Service {
		return []catalogue.Service{{Name: "results", Summary: "Takes results.", Messages: []catalogue.Messaged{taker()}, Schema: store.Embedded("results", resultFiles, "testdata/results"), Handles: []messaging.Handler{{Workflow: "lab.result",
			Handle: func(_ context.Context, tx *store.Tx, m messaging.Message) error {
				if string(m.Body) == "no" {
					return messaging.Refuse("we want no such result")
				}
				_, err := tx.Exec(`INSERT INTO results_taken (lane, id, size, body) VALUES (0, ?, ?, ?)`, m.ID, sizeOf(m), string(m.Body))
				return err
			}}}}}
	}
	var start func()
	w.nation, start = open(t, nation, "national", nil, handler)
	start()
	var begin func()
	w.edge, begin = open(t, site, "practice", func(ctx context.Context, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", w.nation.LinkAddress())
	}, func(k catalogue.Kernel) []catalogue.Service {
		s, err := edge.Service(k, site, w.options)
		if err != nil {
			t.Fatal(err)
		}
		return []catalogue.Service{s}
	}, func(cfg *node.Config) {
		for _, do := range more {
			do(cfg, &w.options)
		}
	})
	by, links := access.Service("test", nation), w.nation.Kernel().Network
	if err := links.Found(t.Context(), by, network.MustNodeID("X26"), nil, []string{"nation.invalid:1"}); err != nil {
		t.Fatal(err)
	}
	a, err := links.Authority()
	if err != nil {
		t.Fatal(err)
	}
	token, err := a.MakeToken(t.Context(), by, network.MustNodeID("RQX01"), nil, []string{"nation.invalid:1"}, 0, "a test")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.edge.Kernel().Network.Join(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	begin()
	return w
}

func sizeOf(m messaging.Message) int64 {
	n := int64(len(m.Body))
	for _, f := range m.Files {
		n += f.Size
	}
	return n
}

// drop writes a file as a local system does: whole, or not there.
func (w *world) drop(below, text string) {
	w.t.Helper()
	path := filepath.Join(w.folder, below)
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path+".tmp", []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		w.t.Fatal(err)
	}
}

// files are those below a folder whose names match, by path.
func (w *world) files(pattern string) map[string]string {
	w.t.Helper()
	list, err := filepath.Glob(filepath.Join(w.folder, pattern))
	if err != nil {
		w.t.Fatal(err)
	}
	all := map[string]string{}
	for _, path := range list {
		if strings.HasPrefix(filepath.Base(path), ".") {
			continue // still being written
		}
		text, err := os.ReadFile(path)
		if err != nil {
			w.t.Fatal(err)
		}
		all[filepath.Base(path)] = string(text)
	}
	return all
}

// taken are the bodies that the national node handled, in order, and how large each message was.
func (w *world) taken() (bodies []string, sizes []int64) {
	w.t.Helper()
	err := w.nation.Kernel().DB.Read(w.t.Context(), func(tx *store.Tx) error {
		bodies, sizes = nil, nil
		rows, err := tx.Query(`SELECT body, size FROM results_taken ORDER BY id`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var body string
			var size int64
			if err := rows.Scan(&body, &size); err != nil {
				return err
			}
			bodies, sizes = append(bodies, body), append(sizes, size)
		}
		return rows.Err()
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return bodies, sizes
}

func (w *world) receipt(name string) (state, reason string) {
	for _, text := range w.files("receipts/" + name + ".*.json") {
		var r struct{ State, Reason string }
		if err := json.Unmarshal([]byte(text), &r); err != nil {
			w.t.Fatal(err)
		}
		return r.State, r.Reason
	}
	return "", ""
}

func (w *world) until(name, state string) {
	w.t.Helper()
	simtest.Eventually(w.t, func() bool { s, _ := w.receipt(name); return s == state })
}

// both runs a test with the gateway's database on either engine.
func both(t *testing.T, test func(t *testing.T, engine func(*node.Config, *edge.Options))) {
	t.Helper()
	t.Parallel()
	t.Run("SQLite", func(t *testing.T) { t.Parallel(); test(t, func(*node.Config, *edge.Options) {}) })
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		url := storetest.PostgresURL(t)
		test(t, func(cfg *node.Config, _ *edge.Options) { cfg.Database = url })
	})
}

func TestFilesAreSentOnceAndTheirReceiptsSayWhatBecameOfThem(t *testing.T) {
	both(t, filesAreSentOnce)
}

func filesAreSentOnce(t *testing.T, engine func(*node.Config, *edge.Options)) {
	w := given(t, engine)
	w.drop("outbox/X26/lab.result/one.json", "one")
	w.drop("outbox/X26/lab.result/large.bin", strings.Repeat("x", 3<<20))
	w.drop("outbox/X26/lab.result/bad.json", "no")
	w.drop("outbox/X26/lab.result/half.json.part", "half") // still being written
	w.drop("outbox/nobody at all/lab.result/lost.json", "lost")
	w.drop("outbox/astray.json", "astray")
	w.until("one.json", "handled")
	w.until("large.bin", "handled")
	w.until("bad.json", "refused")
	if _, why := w.receipt("bad.json"); why != "we want no such result" {
		t.Errorf("the receipt of what was refused says %q", why)
	}
	simtest.Eventually(t, func() bool { return len(w.files("refused/*.reason.txt")) == 2 })
	bodies, sizes := w.taken()
	if len(bodies) != 2 || sizes[0]+sizes[1] != 3+3<<20 {
		t.Errorf("%d messages of %v bytes were handled", len(bodies), sizes)
	}
	if left := w.files("outbox/X26/lab.result/*"); len(left) != 1 || left["half.json.part"] != "half" {
		t.Errorf("the outbox holds %v", left)
	}
	if left := w.files(".taken/*/X26/*/*"); len(left) != 0 {
		t.Errorf("what was sent is still there: %d files", len(left))
	}
}

// A gateway that was killed after the commit and before it took the file away finds it again, and does not send it again; one that was killed before the
// commit sends it.
func TestWhatWasTakenIsSentOnceWheneverTheGatewayWasKilled(t *testing.T) {
	both(t, takenIsSentOnce)
}

func takenIsSentOnce(t *testing.T, engine func(*node.Config, *edge.Options)) {
	w := given(t, engine)
	links := w.edge.Kernel().Network
	by := access.Service("test", site)
	simtest.Eventually(t, func() bool {
		l, err := links.Link(t.Context(), network.MustNodeID("X26"))
		return err == nil && l.State == network.StateUp
	})
	if err := links.CutLink(t.Context(), by, network.MustNodeID("X26"), "a test of what waits"); err != nil {
		t.Fatal(err)
	}
	w.drop("outbox/X26/lab.result/patient 7/first", "first")
	w.until("first", "accepted")
	var key string
	err := w.edge.Kernel().DB.Read(t.Context(), func(tx *store.Tx) error { return tx.QueryRow(`SELECT key FROM edge_sent`).Scan(&key) })
	if err != nil {
		t.Fatal(err)
	}
	w.drop(".taken/"+key+"/X26/lab.result/patient 7/first", "first")                      // as after a kill behind the commit
	w.drop(".taken/0-before/X26/lab.result/patient 7/second", "second")                   // as after a kill before it
	if err := os.MkdirAll(filepath.Join(w.folder, ".taken/1-empty"), 0o750); err != nil { // as after a kill before the file was taken
		t.Fatal(err)
	}
	w.until("second", "accepted")
	simtest.Eventually(t, func() bool {
		left, err := filepath.Glob(filepath.Join(w.folder, ".taken/*"))
		return err == nil && len(left) == 0
	})
	if err := links.HealLink(t.Context(), by, network.MustNodeID("X26"), "a test of what waits"); err != nil {
		t.Fatal(err)
	}
	w.until("first", "handled")
	w.until("second", "handled")
	if bodies, _ := w.taken(); len(bodies) != 2 || bodies[0] != "first" || bodies[1] != "second" {
		t.Errorf("handled: %v", bodies)
	}
}

func TestWhatComesForTheSiteIsInItsInbox(t *testing.T) {
	t.Parallel()
	w := given(t)
	post, db := w.nation.Kernel().Post(), w.nation.Kernel().DB
	large := strings.Repeat("image ", 200_000)
	file, err := post.Store(t.Context(), strings.NewReader(large), "../../scan.dcm", "application/dicom")
	if err != nil {
		t.Fatal(err)
	}
	send := func(m messaging.Message) {
		m.From, m.To = nation, site
		if err := db.Write(t.Context(), []store.Lane{post.LaneOf(m.From, m.Conversation)}, func(tx *store.Tx) error {
			_, err := post.Send(t.Context(), tx, m)
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	send(messaging.Message{Workflow: "letter", Body: []byte("Dear colleague")})
	send(messaging.Message{Workflow: "../letter", Files: []messaging.File{file}})
	simtest.Eventually(t, func() bool { return len(w.files("inbox/letter/*")) == 1 && len(w.files("inbox/%2E.%2Fletter/*")) == 1 })
	for name, text := range w.files("inbox/letter/*") {
		if text != "Dear colleague" || !strings.Contains(name, "-X26-") {
			t.Errorf("%s says %q", name, text)
		}
	}
	for name, text := range w.files("inbox/%2E.%2Fletter/*") {
		if sha256.Sum256([]byte(text)) != file.Hash || !strings.HasSuffix(name, "-%2E.%2F..%2Fscan.dcm") {
			t.Errorf("%s has %d bytes", name, len(text))
		}
	}
}
