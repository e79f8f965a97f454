package main

import (
	"context"
	crand "crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/edge"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/internal/node"
	"github.com/openspine/openspine/mesh"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/network"
	"github.com/openspine/openspine/store"
)

// TestNothingIsLostWhenAGatewayIsKilled runs `openspine edge` as a program of its own, on a link that is cut, stands still and loses what is in it, and kills it (SIGKILL) at random
// while a site's systems send by files and by MESH, and files, mail and FHIR messages come for them. In the end each file that was taken was handled once, in the order of
// its conversation, with one receipt that says so; each piece of mail was collected once; what came for the site is there; nothing is parked, and the ledgers of both ends come to zero.
// OPENSPINE_KILL_ROUNDS says how often the gateway is killed: 3 by default.
func TestNothingIsLostWhenAGatewayIsKilled(t *testing.T) {
	rounds := 3
	if text := os.Getenv("OPENSPINE_KILL_ROUNDS"); text != "" {
		var err error
		if rounds, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	s := newKilledSite(t)
	s.begin()
	for round := range rounds {
		s.work(25 + s.rng.IntN(50))
		t.Logf("round %d: the gateway is killed after %d pieces of mail taken, %d files put out", round, s.mailed.Load(), s.dropped.Load())
		s.kill()
		s.launch()
	}
	s.work(25)
	s.rest()
	s.judge()
}

// killedSite is a national node in the test's own process, the wire to it, a gateway that is killed, and what was given to either.
type killedSite struct {
	t             *testing.T
	dir, folder   string
	rng           *rand.Rand
	nation        *node.Node
	stopNation    func()
	wire          *faultyWire
	process       *process
	attempts      int
	args          []string
	addr          string
	password      string
	local         *httptest.Server
	http          *http.Client
	sending       atomic.Bool
	mailed        atomic.Int64
	dropped       atomic.Int64
	working       sync.WaitGroup
	stop, calm    context.CancelFunc
	mu            sync.Mutex
	files         map[string]string   // name → what is in it
	acked         map[string]string   // local id → the mail's id, either way
	doubtful      map[string]bool     // local ids whose answer was lost
	collected     map[string][]string // local id → ids under which it was collected
	letters       map[string]string   // the post's id → what is in it
	fhir          []string            // what was sent, in order
	posted        []string            // what the local system took, the first time
	postedBefore  map[string]bool     // by Idempotency-Key
	lettersBefore map[string]string   // what was in the inbox
}

const (
	edgeCode      = "RQX01"
	edgeWorkflow  = "GATEWAY_KILLS"
	conversations = 3
)

func newKilledSite(t *testing.T) *killedSite {
	s := &killedSite{t: t, dir: t.TempDir(), rng: rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 11)), http: &http.Client{Timeout: 5 * time.Second}, addr: freeAddress(t),
		files: map[string]string{}, acked: map[string]string{}, doubtful: map[string]bool{}, collected: map[string][]string{}, letters: map[string]string{}, postedBefore: map[string]bool{}, lettersBefore: map[string]string{}}
	t.Cleanup(s.http.CloseIdleConnections)
	s.folder = filepath.Join(s.dir, "post")
	s.local = httptest.NewServer(http.HandlerFunc(s.take))
	t.Cleanup(s.local.Close)
	return s
}

// take is the site's own FHIR system, which is now and then too busy.
func (s *killedSite) take(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	if key := r.Header.Get("Idempotency-Key"); err == nil && !s.postedBefore[key] {
		s.postedBefore[key] = true
		s.posted = append(s.posted, string(text))
	}
	if len(s.posted)%20 == 19 {
		w.WriteHeader(http.StatusServiceUnavailable) // after it has taken it: it will come again
		s.posted = append(s.posted, "")
	}
}

// results is what the national node does with the files of the site.
func results(catalogue.Kernel) []catalogue.Service {
	schema := fstest.MapFS{"0001_results.sql": {Data: []byte(`CREATE TABLE results_taken (lane INTEGER NOT NULL, num INTEGER NOT NULL, id TEXT NOT NULL, conversation TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (lane, num)) WITHOUT ROWID;`)}}
	return []catalogue.Service{{Name: "results", Summary: "Takes results.", Schema: store.Schema{Service: "results", FS: schema}, Handles: []messaging.Handler{{Workflow: "lab.result",
		Handle: func(_ context.Context, tx *store.Tx, m messaging.Message) error {
			_, err := tx.Exec(`INSERT INTO results_taken (lane, num, id, conversation, body) VALUES (0, (SELECT coalesce(max(num), 0) + 1 FROM results_taken), ?, ?, ?)`, m.ID, m.Conversation, string(m.Body))
			return err
		}}, {Workflow: "letter"}}}}
}

// serveNode runs a node in the test's own process.
func serveNode(t *testing.T, cfg node.Config, services func(catalogue.Kernel) []catalogue.Service) (n *node.Node, stop func()) {
	t.Helper()
	n, err := node.Open(t.Context(), cfg, node.Options{Logger: slog.New(slog.DiscardHandler), Services: services})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.Serve(ctx, nil) }()
	return n, sync.OnceFunc(func() {
		cancel()
		if err := errors.Join(<-ended, n.Close()); err != nil {
			t.Error(err)
		}
	})
}

func box(of string) mesh.Mailbox {
	return mesh.Mailbox{ID: of + "BOX1", ODS: ident.MustODSCode(of), Name: "Box of " + of, Owner: "the test", Workflows: mesh.Rights([]string{edgeWorkflow}, []string{edgeWorkflow})}
}

// begin founds the network, starts the gateway with a token, makes a mailbox at either end and starts those who send and collect.
func (s *killedSite) begin() {
	t, ctx := s.t, s.t.Context()
	s.nation, s.stopNation = serveNode(t, node.Config{Name: "X26", Addr: "127.0.0.1:0", NetworkAddr: "127.0.0.1:0", Plain: true, Data: filepath.Join(s.dir, "X26"), National: "X26",
		Tenants: []node.TenantConfig{{Code: "X26", Name: "Nation", Kind: "national"}}}, results)
	t.Cleanup(s.stopNation)
	s.wire = newFaultyWire(t, s.nation.LinkAddress())
	x26 := network.MustNodeID("X26")
	admin := access.Service("test", x26.Organisation())
	links := s.nation.Kernel().Network
	if err := links.Found(ctx, admin, x26, nil, []string{s.wire.address()}); err != nil {
		t.Fatal(err)
	}
	authority, err := links.Authority()
	if err != nil {
		t.Fatal(err)
	}
	token, err := authority.MakeToken(ctx, admin, network.MustNodeID(edgeCode), nil, []string{s.wire.address()}, 0, "a site joins")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.nation.Mail().SetSharedKey(ctx, admin, mesh.DemoSharedKey, "for the test"); err != nil {
		t.Fatal(err)
	}
	if err := s.nation.Mail().Put(ctx, admin, box("X26"), mesh.DemoPassword, "for the test"); err != nil {
		t.Fatal(err)
	}
	s.args = []string{"edge", "--organisation", edgeCode, "--data", filepath.Join(s.dir, "edge"), "--folder", s.folder, "--addr", s.addr, "--plain", "--fhir", s.local.URL + "/fhir", "--join", token.String()}
	s.launch()
	s.command("mailbox", "shared-key", mesh.DemoSharedKey)
	said := s.command("mailbox", "put", edgeCode+"BOX1", "--organisation", edgeCode, "--name", "Box", "--owner", "the test", "--sends", edgeWorkflow, "--takes", edgeWorkflow)
	_, after, _ := strings.Cut(said, "password ")
	s.password, _, _ = strings.Cut(after, "\n")
	s.eventually("the mailboxes are known at both ends", func() bool {
		_, err := s.nation.Mail().Mailbox(ctx, edgeCode+"BOX1")
		_, text, _ := s.ask(ctx, true, "GET", "/../workflowsearch/"+edgeWorkflow, "")
		return err == nil && strings.Contains(text, "X26BOX1")
	})
	running, cancel := context.WithCancel(context.Background())
	s.stop = cancel
	t.Cleanup(func() { cancel(); s.working.Wait() })
	for range 2 {
		s.working.Go(func() { s.repeat(running, s.fromSite) })
	}
	s.working.Go(func() { s.repeat(running, s.fromNation) })
	for _, site := range []bool{true, false} {
		s.working.Go(func() {
			for running.Err() == nil {
				if !s.collect(running, site) {
					time.Sleep(20 * time.Millisecond)
				}
			}
		})
	}
	troubled, calm := context.WithCancel(running)
	s.calm = calm
	rng := rand.New(rand.NewPCG(s.rng.Uint64(), 99))
	s.working.Go(func() { s.wire.trouble(troubled, rng) })
}

func (s *killedSite) launch() {
	s.t.Helper()
	s.attempts++
	base := filepath.Join(s.dir, fmt.Sprintf("edge-%d", s.attempts))
	p, err := launch(base+".out", base+".err", nil, s.args...)
	if err != nil {
		s.t.Fatal(err)
	}
	s.process = p
	s.t.Cleanup(func() { _ = p.cmd.Process.Kill(); <-p.ended }) // it has ended, mostly
}

func (s *killedSite) kill() {
	if err := s.process.cmd.Process.Kill(); err != nil {
		s.t.Error(err)
	}
	<-s.process.ended
}

// command is one that the running gateway does.
func (s *killedSite) command(args ...string) string {
	s.t.Helper()
	program, err := exec.LookPath("openspine")
	if err != nil {
		s.t.Fatal(err)
	}
	text, err := exec.Command(program, append(args, "--data", filepath.Join(s.dir, "edge"))...).CombinedOutput()
	if err != nil {
		s.t.Fatalf("%v: %v: %s", args, err, text)
	}
	return string(text)
}

// ask is one request of the program of a mailbox: the site's, or the nation's.
func (s *killedSite) ask(ctx context.Context, site bool, method, path, body string, headers ...string) (status int, text string, err error) {
	id, base, password := "X26BOX1", s.nation.PlainURL(), mesh.DemoPassword
	if site {
		id, base, password = edgeCode+"BOX1", "http://"+s.addr, s.password
	}
	address := base + "/messageexchange/" + id + path
	if rest, ok := strings.CutPrefix(path, "/.."); ok {
		address = base + "/messageexchange" + rest
	}
	r, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	r.Header.Set("Authorization", mesh.Authorization(id, password, mesh.DemoSharedKey, crand.Text(), "0", time.Now()))
	r.Header.Set("Accept", "application/vnd.mesh.v2+json")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := s.http.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

// repeat does something while things are to be sent.
func (s *killedSite) repeat(ctx context.Context, do func(context.Context)) {
	for ctx.Err() == nil {
		if s.sending.Load() {
			do(ctx)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// fromSite puts one file into the outbox and one piece of mail to the gateway.
func (s *killedSite) fromSite(ctx context.Context) {
	s.mu.Lock()
	n := s.dropped.Add(1)
	conversation := fmt.Sprint("patient ", n%conversations)
	name, body := fmt.Sprintf("%08d", n), fmt.Sprintf("%s %08d", conversation, n)
	dir := filepath.Join(s.folder, "outbox", "X26", "lab.result", conversation)
	path := filepath.Join(dir, name)
	err := errors.Join(os.MkdirAll(dir, 0o750), os.WriteFile(path+".tmp", []byte(body), 0o600))
	if err == nil {
		err = os.Rename(path+".tmp", path)
	}
	s.files[name] = body
	s.mu.Unlock() // one at a time, so that they are there in the order of their names
	if err != nil {
		s.t.Error(err)
	}
	s.mail(ctx, true, "X26BOX1")
}

func (s *killedSite) mail(ctx context.Context, site bool, to string) {
	local := crand.Text()
	status, text, err := s.ask(ctx, site, "POST", "/outbox", "mail "+local, "Mex-To", to, "Mex-WorkflowID", edgeWorkflow, "Mex-LocalID", local, "Content-Type", "text/plain")
	var told struct {
		ID string `json:"message_id"`
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err == nil && status == http.StatusAccepted && json.Unmarshal([]byte(text), &told) == nil && told.ID != "":
		s.acked[local] = told.ID
		s.mailed.Add(1)
	case err != nil || status >= 500:
		s.doubtful[local] = true
	default:
		s.t.Errorf("sending to %s is answered %d %s", to, status, text)
	}
}

// fromNation sends the site a letter for its folder, a FHIR message and a piece of mail.
func (s *killedSite) fromNation(ctx context.Context) {
	post, from, to := s.nation.Kernel().Post(), ident.MustODSCode("X26"), ident.MustODSCode(edgeCode)
	send := func(m messaging.Message) (id string) {
		m.From, m.To = from, to
		if err := s.nation.Kernel().DB.Write(context.WithoutCancel(ctx), []store.Lane{post.LaneOf(from, m.Conversation)}, func(tx *store.Tx) (err error) {
			id, err = post.Send(ctx, tx, m)
			return err
		}); err != nil {
			s.t.Error(err)
		}
		return id
	}
	text := "letter " + crand.Text()
	id := send(messaging.Message{Workflow: "letter", Body: []byte(text)})
	s.mu.Lock()
	s.letters[id] = text
	n := len(s.fhir)
	s.mu.Unlock()
	bundle := fmt.Sprintf(`{"resourceType":"Bundle","id":"b%d","type":"message","entry":[{"resource":{"resourceType":"MessageHeader","id":"h%d","eventUri":"urn:x:letter","source":{"endpoint":"urn:x:us"}}}]}`, n, n)
	send(messaging.Message{Workflow: "fhir.message", Conversation: "one", Body: []byte(bundle)})
	s.mu.Lock()
	s.fhir = append(s.fhir, bundle)
	s.mu.Unlock()
	s.mail(ctx, false, edgeCode+"BOX1")
	time.Sleep(10 * time.Millisecond)
}

// collect empties a mailbox, and the site's inbox of files.
func (s *killedSite) collect(ctx context.Context, site bool) (did bool) {
	if site {
		s.takeLetters()
	}
	var list struct {
		Messages []string `json:"messages"`
	}
	status, text, err := s.ask(ctx, site, "GET", "/inbox", "")
	if err != nil || status != http.StatusOK || json.Unmarshal([]byte(text), &list) != nil {
		return false
	}
	for _, id := range list.Messages {
		status, text, err := s.ask(ctx, site, "GET", "/inbox/"+id, "")
		if err != nil || status >= 500 {
			return did
		}
		if status == http.StatusGone {
			continue // acknowledged by a request whose answer was lost
		}
		local, ok := strings.CutPrefix(text, "mail ")
		if status != http.StatusOK || !ok {
			s.t.Errorf("%s is %d, %.80q", id, status, text)
			return did
		}
		s.mu.Lock()
		if !slices.Contains(s.collected[local], id) {
			s.collected[local] = append(s.collected[local], id)
		}
		s.mu.Unlock()
		if _, _, err := s.ask(ctx, site, "PUT", "/inbox/"+id+"/status/acknowledged", ""); err != nil {
			return did
		}
		did = true
	}
	return did
}

// takeLetters takes the files away that came for the site.
func (s *killedSite) takeLetters() {
	list, err := filepath.Glob(filepath.Join(s.folder, "inbox", "letter", "*"))
	if err != nil {
		s.t.Error(err)
	}
	for _, path := range list {
		name := filepath.Base(path)
		if strings.HasPrefix(name, ".") {
			continue
		}
		text, err := os.ReadFile(path)
		if err == nil {
			err = os.Remove(path)
		}
		if err != nil {
			s.t.Error(err)
		}
		s.mu.Lock()
		s.lettersBefore[name[strings.LastIndexByte(name, '-')+1:]] = string(text)
		s.mu.Unlock()
	}
}

// work waits until more mail was taken by the gateway or for it.
func (s *killedSite) work(more int) {
	s.t.Helper()
	s.sending.Store(true)
	goal := s.mailed.Load() + int64(more)
	s.eventually(fmt.Sprint(goal, " pieces of mail are taken"), func() bool { return s.mailed.Load() >= goal })
}

func (s *killedSite) eventually(what string, is func() bool) {
	s.t.Helper()
	for end := time.Now().Add(2 * time.Minute); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) || s.t.Failed() {
			s.t.Fatalf("two minutes have passed, and it is not so that %s", what)
		}
	}
}

// receipt is what a receipt says of a file.
type edgeReceipt struct{ File, ID, State string }

func (s *killedSite) receipts() (all []edgeReceipt) {
	list, err := filepath.Glob(filepath.Join(s.folder, "receipts", "*.json"))
	if err != nil {
		s.t.Error(err)
	}
	for _, path := range list {
		if strings.HasPrefix(filepath.Base(path), ".") {
			continue
		}
		var r edgeReceipt
		text, err := os.ReadFile(path)
		if err == nil {
			err = json.Unmarshal(text, &r)
		}
		if err != nil {
			s.t.Errorf("%s: %v", path, err)
		}
		all = append(all, r)
	}
	return all
}

// lacking is what was given and has not come yet, in words and as a number.
func (s *killedSite) lacking() (words string, n int) {
	handled := 0
	for _, r := range s.receipts() {
		if r.State == "handled" {
			handled++
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	mail, letters, fhir := 0, 0, 0
	for local := range s.acked {
		if len(s.collected[local]) == 0 {
			mail++
		}
	}
	for id := range s.letters {
		if s.lettersBefore[id] == "" {
			letters++
		}
	}
	for _, text := range s.fhir {
		if !slices.Contains(s.posted, text) {
			fhir++
		}
	}
	n = len(s.files) - handled + mail + letters + fhir
	return fmt.Sprintf("%d of %d files, %d of %d pieces of mail, %d of %d letters, %d of %d FHIR messages", len(s.files)-handled, len(s.files), mail, len(s.acked), letters, len(s.letters), fhir, len(s.fhir)), n
}

// rest stops the sending and the trouble, and waits until all has come.
func (s *killedSite) rest() {
	s.sending.Store(false)
	s.calm()
	words, left := s.lacking()
	for since := time.Now(); left > 0 && !s.t.Failed(); time.Sleep(50 * time.Millisecond) {
		if time.Since(since) > time.Minute {
			s.t.Fatalf("lost: %s", words)
		}
		var n int
		if words, n = s.lacking(); n < left {
			left, since = n, time.Now()
		}
	}
	s.stop()
	s.working.Wait()
	s.takeLetters()
	if err := s.process.cmd.Process.Signal(os.Interrupt); err != nil {
		s.t.Error(err)
	}
	if <-s.process.ended; s.process.err != nil {
		s.t.Errorf("the gateway stops with %v", s.process.err)
	}
}

// judge fails unless all came once, in order, and both ledgers come to zero.
func (s *killedSite) judge() {
	t := s.t
	s.judgeFiles()
	for local, ids := range s.collected {
		switch id, taken := s.acked[local]; {
		case len(ids) != 1:
			t.Errorf("the mail %s was collected under %d ids", local, len(ids))
		case taken && ids[0] != id:
			t.Errorf("the mail %s was taken as %s and collected as %s", local, id, ids[0])
		case !taken && !s.doubtful[local]:
			t.Errorf("the mail %s was collected and never sent", local)
		}
	}
	for id, text := range s.lettersBefore {
		if s.letters[id] != text {
			t.Errorf("the letter %s came as %q and was sent as %q", id, text, s.letters[id])
		}
	}
	if got := slices.DeleteFunc(slices.Clone(s.posted), func(text string) bool { return text == "" }); !slices.Equal(got, s.fhir) {
		t.Errorf("%d FHIR messages came in another order or number than the %d that were sent", len(got), len(s.fhir))
	}
	gateway, stop := serveNode(t, node.Config{Name: "edge", Addr: "127.0.0.1:0", Data: filepath.Join(s.dir, "edge"), National: "X26", Tenants: []node.TenantConfig{{Code: edgeCode, Name: "Site", Kind: "practice"}}},
		func(k catalogue.Kernel) []catalogue.Service {
			service, err := edge.Service(k, ident.MustODSCode(edgeCode), edge.Options{Folder: s.folder})
			if err != nil {
				t.Fatal(err)
			}
			return []catalogue.Service{service}
		})
	defer stop()
	for _, end := range []struct {
		n  *node.Node
		to string
	}{{s.nation, edgeCode}, {gateway, "X26"}} {
		var r messaging.Reconciled
		s.eventually("both ledgers say the same", func() (even bool) {
			var err error
			r, err = end.n.Kernel().Post().Reconcile(t.Context(), network.MustNodeID(end.to))
			return err == nil && r.Even() && r.OnTheWay == 0
		})
		if parked, err := end.n.Kernel().Post().Parked(t.Context(), 10); err != nil || len(parked) > 0 {
			t.Errorf("%s has parked %v (%v)", end.n.Name(), parked, err)
		}
	}
	t.Logf("%d files and %d FHIR messages in order, %d pieces of mail, %d letters, each once; of %d pieces of mail whose answer was lost, %d came", len(s.files), len(s.fhir), len(s.acked), len(s.letters), len(s.doubtful), len(s.collected)-len(s.acked))
	if len(s.files) == 0 || len(s.acked) == 0 || len(s.fhir) == 0 || len(s.letters) == 0 {
		t.Error("nothing was sent: the test tests nothing")
	}
}

// judgeFiles fails unless each file was handled once, in the order of its conversation, and has one receipt.
func (s *killedSite) judgeFiles() {
	t := s.t
	var handled []string
	last := map[string]string{}
	err := s.nation.Kernel().DB.Read(t.Context(), func(tx *store.Tx) error {
		rows, err := tx.Query(`SELECT conversation, body FROM results_taken ORDER BY num`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var conversation, body string
			if err := rows.Scan(&conversation, &body); err != nil {
				return err
			}
			if body <= last[conversation] {
				t.Errorf("%q was handled after %q", body, last[conversation])
			}
			last[conversation] = body
			handled = append(handled, body)
		}
		return rows.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	var sent []string
	for _, body := range s.files {
		sent = append(sent, body)
	}
	slices.Sort(sent)
	slices.Sort(handled)
	if !slices.Equal(sent, handled) {
		t.Errorf("%d files were put out, and %d handled", len(sent), len(handled))
	}
	told := map[string]int{}
	for _, r := range s.receipts() {
		told[r.File]++
		if r.State != "handled" {
			t.Errorf("the receipt of %s says %s", r.File, r.State)
		}
	}
	for name := range s.files {
		if told[name] != 1 {
			t.Errorf("the file %s has %d receipts", name, told[name])
		}
	}
}
