package main

import (
	"context"
	crand "crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/node"
	"github.com/openspine/openspine/mesh"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/network"
)

// TestPostIsNeverLostWhenNodesAreKilled runs a national node and two hospitals as programs of their own, linked over a wire that is cut, stands
// still and loses what is in it, while programs send each other files by MESH. Nodes are killed (SIGKILL) at random and started again. In the end
// each file that was taken has been collected exactly once, those whose answer was lost at most once, and the nodes' ledgers come to zero.
// OPENSPINE_KILL_ROUNDS says how often a node is killed: 3 by default, 30 by command.
func TestPostIsNeverLostWhenNodesAreKilled(t *testing.T) {
	rounds := 3
	if text := os.Getenv("OPENSPINE_KILL_ROUNDS"); text != "" {
		var err error
		if rounds, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	c := newPostCountry(t)
	c.begin()
	for round := range rounds {
		c.work(30 + c.rng.IntN(60))
		victim := c.all[c.rng.IntN(len(c.all))]
		t.Logf("round %d: %s is killed after %d files taken", round, victim.code, c.taken.Load())
		victim.kill()
		victim.launch()
	}
	c.work(30)
	c.rest()
	c.judge()
}

// postProgram is a program of the country.
type postProgram struct {
	c        *postCountry
	code     string
	cfg      node.Config
	file     string
	process  *process
	attempts int
}

// postCountry is three nodes, the wire between them, and what was sent and collected.
type postCountry struct {
	t    *testing.T
	dir  string
	rng  *rand.Rand
	all  []*postProgram
	wire *faultyWire
	http *http.Client

	taken   atomic.Int64
	sending atomic.Bool
	working sync.WaitGroup
	stop    context.CancelFunc
	calm    context.CancelFunc // ends the trouble on the wire

	mu        sync.Mutex
	acked     map[string]string              // local id → the message's id, of what was taken
	doubtful  map[string]bool                // local ids whose answer was lost
	collected map[string]map[string]struct{} // local id → ids under which it was collected
}

const postWorkflow = "OPENSPINE_KILLS"

func newPostCountry(t *testing.T) *postCountry {
	c := &postCountry{t: t, dir: t.TempDir(), rng: rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 7)), acked: map[string]string{}, doubtful: map[string]bool{}, collected: map[string]map[string]struct{}{},
		http: &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableCompression: true}}}
	t.Cleanup(c.http.CloseIdleConnections)
	for _, code := range []string{"X26", "RQX", "RQY"} {
		kind := "hospital"
		if code == "X26" {
			kind = "national"
		}
		n := &postProgram{c: c, code: code, cfg: node.Config{Name: code, Addr: "127.0.0.1:0", TLSAddr: freeAddress(t), Data: filepath.Join(c.dir, code), National: code,
			Tenants: []node.TenantConfig{{Code: code, Name: "Node of " + code, Kind: kind}}}}
		text := fmt.Sprintf("name: %s\naddr: 127.0.0.1:0\ntls-addr: %s\ndata: %s\nnational: %s\ntenants:\n  - {code: %s, name: Node of %s, kind: %s}\n", code, n.cfg.TLSAddr, n.cfg.Data, code, code, code, kind)
		if code == "X26" {
			n.cfg.NetworkAddr = freeAddress(t)
			text += "network-addr: " + n.cfg.NetworkAddr + "\n"
		}
		n.file = filepath.Join(c.dir, code+".yaml")
		if err := os.WriteFile(n.file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c.all = append(c.all, n)
	}
	c.wire = newFaultyWire(t, c.all[0].cfg.NetworkAddr)
	return c
}

func freeAddress(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// serve runs a node in the test's own process.
func (n *postProgram) serve() (running *node.Node, stop func()) {
	t := n.c.t
	t.Helper()
	running, err := node.Open(t.Context(), n.cfg, node.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := running.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- running.Serve(ctx, func() { close(ready) }) }()
	select {
	case <-ready:
	case err := <-ended:
		t.Fatal(err)
	}
	return running, func() {
		cancel()
		if err := errors.Join(<-ended, running.Close()); err != nil {
			t.Error(err)
		}
	}
}

// begin founds the network, joins the hospitals, makes a mailbox at each node, and starts the programs.
func (c *postCountry) begin() {
	t, ctx := c.t, c.t.Context()
	nation, stop := c.all[0].serve()
	x26 := network.MustNodeID("X26")
	admin := access.Service("test", x26.Organisation())
	if err := nation.Kernel().Network.Found(ctx, admin, x26, nil, []string{c.wire.address()}); err != nil {
		t.Fatal(err)
	}
	authority, err := nation.Kernel().Network.Authority()
	if err != nil {
		t.Fatal(err)
	}
	c.mailboxes(nation, "X26")
	for _, n := range c.all[1:] {
		token, err := authority.MakeToken(ctx, admin, network.MustNodeID(n.code), nil, []string{c.wire.address()}, 0, "a hospital joins")
		if err != nil {
			t.Fatal(err)
		}
		hospital, stop := n.serve()
		if err := hospital.Kernel().Network.Join(ctx, token); err != nil {
			t.Fatal(err)
		}
		c.mailboxes(hospital, n.code)
		stop()
	}
	stop()
	for _, n := range c.all {
		n.launch()
	}
	running, cancel := context.WithCancel(context.Background())
	c.stop = cancel
	t.Cleanup(func() { cancel(); c.working.Wait() })
	for i, n := range c.all {
		for range 2 {
			rng := rand.New(rand.NewPCG(c.rng.Uint64(), uint64(i)))
			c.working.Go(func() { c.send(running, n, rng) })
		}
		c.working.Go(func() { c.collect(running, n) })
	}
	rng := rand.New(rand.NewPCG(c.rng.Uint64(), 99))
	troubled, calm := context.WithCancel(running)
	c.calm = calm
	c.working.Go(func() { c.wire.trouble(troubled, rng) })
}

// mailboxes makes the mailbox of a node at that node, and says at the others where it is.
func (c *postCountry) mailboxes(n *node.Node, here string) {
	ctx := c.t.Context()
	admin := access.Service("test", ident.MustODSCode(here))
	if err := n.Mail().SetSharedKey(ctx, admin, mesh.DemoSharedKey, "for the test"); err != nil {
		c.t.Fatal(err)
	}
	for _, other := range c.all {
		b := mesh.Mailbox{ID: other.code + "BOX1", ODS: ident.MustODSCode(other.code), Name: "Box of " + other.code, Owner: "the test", Elsewhere: other.code != here,
			Workflows: []mesh.WorkflowRight{{Workflow: postWorkflow, Sends: true, Takes: true}}}
		password := mesh.DemoPassword
		if b.Elsewhere {
			password = ""
		}
		if err := n.Mail().Put(ctx, admin, b, password, "for the test"); err != nil {
			c.t.Fatal(err)
		}
	}
}

// launch starts the node as a program of its own.
func (n *postProgram) launch() {
	t := n.c.t
	t.Helper()
	n.attempts++
	base := filepath.Join(n.c.dir, fmt.Sprintf("%s-%d", n.code, n.attempts))
	p, err := launch(base+".out", base+".err", nil, "serve", "--quiet", "--config", n.file)
	if err != nil {
		t.Fatal(err)
	}
	if p.url == "" {
		said, _ := os.ReadFile(base + ".err") // what it says of itself, if anything
		t.Fatalf("%s does not start again: %s", n.code, said)
	}
	n.process = p
	t.Cleanup(func() { _ = p.cmd.Process.Kill(); <-p.ended }) // it has ended, mostly
}

func (n *postProgram) kill() {
	if err := n.process.cmd.Process.Kill(); err != nil {
		n.c.t.Error(err)
	}
	<-n.process.ended
}

// ask is one request to the node's mailbox.
func (n *postProgram) ask(ctx context.Context, method, path, body string, headers ...string) (status int, header http.Header, text []byte, err error) {
	box := n.code + "BOX1"
	r, err := http.NewRequestWithContext(ctx, method, "https://"+n.cfg.TLSAddr+"/messageexchange/"+box+path, strings.NewReader(body))
	if err != nil {
		return 0, nil, nil, err
	}
	r.Header.Set("Authorization", mesh.Authorization(box, mesh.DemoPassword, mesh.DemoSharedKey, crand.Text(), "0", time.Now()))
	r.Header.Set("Accept", "application/vnd.mesh.v2+json")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := n.c.http.Do(r)
	if err != nil {
		return 0, nil, nil, err
	}
	defer resp.Body.Close()
	text, err = io.ReadAll(resp.Body)
	return resp.StatusCode, resp.Header, text, err
}

// work waits until more files have been taken.
func (c *postCountry) work(more int) {
	c.t.Helper()
	c.sending.Store(true)
	goal := c.taken.Load() + int64(more)
	for end := time.Now().Add(2 * time.Minute); c.taken.Load() < goal; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) || c.t.Failed() {
			c.t.Fatalf("%d files were taken, and no more are", c.taken.Load())
		}
	}
}

// send sends files from a node to another, one after the other, and keeps what became of each.
func (c *postCountry) send(ctx context.Context, n *postProgram, rng *rand.Rand) {
	for ctx.Err() == nil {
		if !c.sending.Load() {
			time.Sleep(10 * time.Millisecond)
			continue
		}
		to := c.all[rng.IntN(len(c.all))]
		local := crand.Text()
		status, _, text, err := n.ask(ctx, "POST", "/outbox", "for "+to.code+" "+local+strings.Repeat(" filler", rng.IntN(400)), "Mex-To", to.code+"BOX1", "Mex-WorkflowID", postWorkflow, "Mex-LocalID", local, "Content-Type", "text/plain")
		var told struct {
			ID string `json:"message_id"`
		}
		c.mu.Lock()
		switch {
		case err == nil && status == http.StatusAccepted && json.Unmarshal(text, &told) == nil && told.ID != "":
			c.acked[local] = told.ID
			c.taken.Add(1)
		case err != nil || status >= 500:
			c.doubtful[local] = true
		default:
			c.t.Errorf("sending from %s to %s is answered %d %s", n.code, to.code, status, text)
		}
		c.mu.Unlock()
		if err != nil {
			time.Sleep(20 * time.Millisecond) // it is being started again
		}
	}
}

// collect reads and acknowledges what is in a node's inbox.
func (c *postCountry) collect(ctx context.Context, n *postProgram) {
	for ctx.Err() == nil {
		if !c.empty(ctx, n) {
			time.Sleep(20 * time.Millisecond)
		}
	}
}

// empty empties an inbox; did says whether there was anything in it.
func (c *postCountry) empty(ctx context.Context, n *postProgram) (did bool) {
	var list struct {
		Messages []string `json:"messages"`
	}
	status, _, text, err := n.ask(ctx, "GET", "/inbox", "")
	if err != nil || status != http.StatusOK || json.Unmarshal(text, &list) != nil {
		return false
	}
	for _, id := range list.Messages {
		status, header, text, err := n.ask(ctx, "GET", "/inbox/"+id, "")
		if err != nil || status >= 500 {
			return did
		}
		if status == http.StatusGone {
			continue // acknowledged by a request whose answer was lost
		}
		local := header.Get("Mex-LocalID")
		if status != http.StatusOK || !strings.HasPrefix(string(text), "for "+n.code+" "+local) {
			c.t.Errorf("%s of %s is %d, local id %q, %.80q", id, n.code, status, local, text)
			return did
		}
		c.mu.Lock()
		if c.collected[local] == nil {
			c.collected[local] = map[string]struct{}{}
		}
		c.collected[local][id] = struct{}{}
		c.mu.Unlock()
		if _, _, _, err := n.ask(ctx, "PUT", "/inbox/"+id+"/status/acknowledged", ""); err != nil {
			return did
		}
		did = true
	}
	return did
}

// rest stops the sending and the trouble, and waits until everything that was taken is collected.
func (c *postCountry) rest() {
	c.sending.Store(false)
	c.calm()
	missing := func() (list []string) {
		c.mu.Lock()
		defer c.mu.Unlock()
		for local, id := range c.acked {
			if c.collected[local] == nil {
				list = append(list, id)
			}
		}
		return list
	}
	left, since := len(missing()), time.Now()
	for left > 0 && !c.t.Failed() {
		if time.Since(since) > time.Minute {
			list := missing()
			c.t.Errorf("%d of %d files that were taken were never there to be collected, %q for one", len(list), len(c.acked), list[0])
			c.explain(list[0])
			c.t.FailNow()
		}
		time.Sleep(50 * time.Millisecond)
		if n := len(missing()); n < left {
			left, since = n, time.Now()
		}
	}
	c.stop()
	c.working.Wait()
	for _, n := range c.all {
		if err := n.process.cmd.Process.Signal(os.Interrupt); err != nil {
			c.t.Error(err)
		}
		if <-n.process.ended; n.process.err != nil {
			c.t.Errorf("%s stops with %v", n.code, n.process.err)
		}
	}
}

// explain says how each node sees its links, and a message that is missing.
func (c *postCountry) explain(id string) {
	for _, n := range c.all {
		status, _, text, err := n.ask(context.Background(), "GET", "/outbox/tracking?messageID="+id, "")
		c.t.Logf("%s says of %s: %d %s %v", n.code, id, status, text, err)
		program, err := exec.LookPath("openspine")
		if err != nil {
			c.t.Fatal(err)
		}
		text, err = exec.Command(program, "network", "status", "--config", n.file).CombinedOutput()
		c.t.Logf("%s: %s%v", n.code, text, err)
	}
}

// judge fails unless each file was collected once, nothing is parked, and the ledgers of the nodes come to zero.
func (c *postCountry) judge() {
	t := c.t
	for local, ids := range c.collected {
		id, taken := c.acked[local]
		_, same := ids[id]
		switch {
		case len(ids) != 1:
			t.Errorf("the file %s was collected under %d ids", local, len(ids))
		case taken && !same:
			t.Errorf("the file %s was taken as %s and collected under another id", local, id)
		case !taken && !c.doubtful[local]:
			t.Errorf("the file %s was collected and never sent", local)
		}
	}
	var running []*node.Node
	for _, n := range c.all {
		r, stop := n.serve()
		defer stop()
		running = append(running, r)
	}
	for _, pair := range [][2]int{{0, 1}, {1, 0}, {0, 2}, {2, 0}} {
		from, to := running[pair[0]], network.MustNodeID(c.all[pair[1]].code)
		c.even(from, to)
	}
	for i, r := range running {
		parked, err := r.Kernel().Post().Parked(t.Context(), 10)
		if err != nil || len(parked) > 0 {
			t.Errorf("%s has parked %v (%v)", c.all[i].code, parked, err)
		}
	}
	t.Logf("%d files were taken and collected once; of %d whose answer was lost, %d came", len(c.acked), len(c.doubtful), len(c.collected)-len(c.acked))
	if len(c.acked) == 0 {
		t.Error("nothing was sent: the test tests nothing")
	}
}

// even waits until a node's ledger and its peer's say the same.
func (c *postCountry) even(from *node.Node, to network.NodeID) {
	c.t.Helper()
	var r messaging.Reconciled
	var err error
	for end := time.Now().Add(60 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if r, err = from.Kernel().Post().Reconcile(c.t.Context(), to); err == nil && r.Even() && r.OnTheWay == 0 {
			return
		}
	}
	c.t.Errorf("the ledgers of %s and %s differ: %+v (%v)", from.Name(), to, r, err)
}

// faultyWire is where hospitals dial the national node: it cuts connections, lets them stand still, and loses what is in them.
type faultyWire struct {
	l       net.Listener
	to      string
	mu      sync.Mutex
	conns   []net.Conn
	still   atomic.Bool
	refuses atomic.Bool
}

func newFaultyWire(t *testing.T, to string) *faultyWire {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &faultyWire{l: l, to: to}
	var accepting sync.WaitGroup
	accepting.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			w.carry(near)
		}
	})
	t.Cleanup(func() { _ = l.Close(); w.cut(); accepting.Wait() })
	return w
}

func (w *faultyWire) address() string { return w.l.Addr().String() }

// carry joins a connection to one of its own to the node.
func (w *faultyWire) carry(near net.Conn) {
	far, err := net.Dial("tcp", w.to)
	if err != nil || w.refuses.Load() {
		_ = near.Close()
		if far != nil {
			_ = far.Close()
		}
		return
	}
	w.mu.Lock()
	w.conns = append(w.conns, near, far)
	w.mu.Unlock()
	for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
		go func() {
			defer near.Close()
			defer far.Close()
			b := make([]byte, 16<<10)
			for {
				n, err := way[0].Read(b)
				if err != nil {
					return
				}
				for w.still.Load() {
					time.Sleep(5 * time.Millisecond)
				}
				if _, err := way[1].Write(b[:n]); err != nil {
					return
				}
			}
		}()
	}
}

// cut ends all connections in the middle of what they say.
func (w *faultyWire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.conns {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // what is in the wire is lost
		}
		_ = c.Close()
	}
	w.conns = nil
}

// trouble makes trouble until ctx ends.
func (w *faultyWire) trouble(ctx context.Context, rng *rand.Rand) {
	defer w.heal()
	for ctx.Err() == nil {
		select {
		case <-time.After(time.Duration(100+rng.IntN(1500)) * time.Millisecond):
		case <-ctx.Done():
			return
		}
		switch rng.IntN(4) {
		case 0, 1:
			w.cut()
		case 2:
			w.still.Store(true)
			time.Sleep(time.Duration(rng.IntN(500)) * time.Millisecond)
			w.still.Store(false)
		case 3:
			w.refuses.Store(true)
			w.cut()
			time.Sleep(time.Duration(rng.IntN(500)) * time.Millisecond)
			w.refuses.Store(false)
		}
	}
}

func (w *faultyWire) heal() {
	w.still.Store(false)
	w.refuses.Store(false)
}
