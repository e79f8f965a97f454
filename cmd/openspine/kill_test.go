package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/internal/node"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/store/storetest"
)

// TestKilledUnderLoad kills the real program (SIGKILL) at a random point of a load of creates and reads, and starts it again. Every
// create that was acknowledged must be there, and each acknowledged create and read must be on an account that verifies.
// OPENSPINE_KILL_ROUNDS says how often: 2 by default, 30 by command.
func TestKilledUnderLoad(t *testing.T) {
	rounds := 2
	if text := os.Getenv("OPENSPINE_KILL_ROUNDS"); text != "" {
		var err error
		if rounds, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	onEachEngine(t, func(t *testing.T, k *killing) { k.rounds(rounds) })
}

// onEachEngine runs a test with a country of its own on SQLite and on PostgreSQL.
func onEachEngine(t *testing.T, test func(t *testing.T, k *killing)) {
	begin := func(t *testing.T, url string) *killing {
		return &killing{t: t, dir: t.TempDir(), url: url, rng: rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1)), writes: map[string]string{}}
	}
	t.Run("sqlite", func(t *testing.T) {
		dir, err := seededCountry()
		if err != nil {
			t.Fatal(err)
		}
		k := begin(t, "")
		if err := os.CopyFS(filepath.Join(k.dir, "data"), os.DirFS(filepath.Join(dir, "data"))); err != nil {
			t.Fatal(err)
		}
		test(t, k)
	})
	t.Run("postgres", func(t *testing.T) {
		seedPostgres(t)
		k := begin(t, storetest.PostgresURL(t))
		if err := restoreCountry(filepath.Join(k.dir, "data"), k.url); err != nil {
			t.Fatal(err)
		}
		test(t, k)
	})
}

func (k *killing) rounds(rounds int) {
	t := k.t
	for round := range rounds {
		p := k.start()
		k.present(p.url, k.fresh)
		k.fresh = nil
		k.load(p, 20+k.rng.IntN(400))
		if t.Failed() {
			t.Fatalf("round %d", round)
		}
	}
	p := k.start()
	all := make([]string, 0, len(k.writes))
	for id := range k.writes {
		all = append(all, id)
	}
	k.present(p.url, all)
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	<-p.ended
	if p.err != nil {
		t.Errorf("stopping: %v", p.err)
	}
	k.accounted()
	t.Logf("%d rounds, %d acknowledged creates and %d reads, all there and on the account", rounds, len(k.writes), len(k.reads))
	if len(k.writes) == 0 || len(k.reads) == 0 {
		t.Error("nothing was written or read: the test tests nothing")
	}
}

type killing struct {
	t      *testing.T
	dir    string
	url    string // of PostgreSQL; "" for SQLite in dir
	rng    *rand.Rand
	mu     sync.Mutex
	writes map[string]string // id of an Observation → the request that made it
	reads  []string
	fresh  []string // ids since the last start
}

func (k *killing) start() *process {
	k.t.Helper()
	p, err := launch(filepath.Join(k.dir, "out"), filepath.Join(k.dir, "err"), []string{databaseVariable + k.url}, "demo", "--addr", "127.0.0.1:0", "--people", "200", "--data", filepath.Join(k.dir, "data"))
	if err != nil {
		k.t.Fatal(err)
	}
	k.t.Cleanup(func() { _ = p.cmd.Process.Kill() }) // it has ended, mostly
	return p
}

// signedIn is a client that is the tour's doctor; nil when the node has gone.
func signedIn(base string) *http.Client {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil
	}
	c := &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, Transport: &http.Transport{}}
	resp, err := c.PostForm(base+"/sign-in", url.Values{"user": {"gp"}, "to": {"/"}})
	if err != nil || resp.Body.Close() != nil || resp.StatusCode != http.StatusSeeOther {
		return nil
	}
	return c
}

// load creates and reads from eight sides; when count creates were acknowledged, the program is killed.
func (k *killing) load(p *process, count int) {
	acked := make(chan struct{}, 10_000)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if c := signedIn(p.url); c != nil {
				k.client(p.url, c, acked)
			}
		})
	}
	for range count {
		select {
		case <-acked:
		case <-p.ended:
			k.t.Error("the program ended by itself")
		case <-k.t.Context().Done():
			k.t.Fatal("the load stands still")
		}
	}
	if err := p.cmd.Process.Kill(); err != nil {
		k.t.Error(err)
	}
	<-p.ended
	wg.Wait()
}

// client writes and reads until the node is gone. Only an answer that came whole counts.
func (k *killing) client(base string, c *http.Client, acked chan<- struct{}) {
	const body = `{"resourceType":"Observation","status":"final","code":{"text":"pulse"},"subject":{"reference":"Patient/9990000026"},"valueQuantity":{"value":%d}}`
	for i := 0; ; i++ {
		status, header, text, err := ask(c, "POST", base+"/FHIR/R4/Observation", fmt.Sprintf(body, i))
		if err != nil {
			return
		}
		var made struct{ ID string }
		if status != http.StatusCreated || json.Unmarshal(text, &made) != nil || made.ID == "" {
			k.t.Errorf("creating: %d %s", status, text)
			return
		}
		k.mu.Lock()
		k.writes[made.ID] = header.Get("X-Request-ID")
		k.fresh = append(k.fresh, made.ID)
		k.mu.Unlock()
		acked <- struct{}{}
		status, header, text, err = ask(c, "GET", base+"/FHIR/R4/Observation/"+made.ID, "")
		if err != nil {
			return
		}
		if status != http.StatusOK {
			k.t.Errorf("reading: %d %s", status, text)
			return
		}
		k.mu.Lock()
		k.reads = append(k.reads, header.Get("X-Request-ID"))
		k.mu.Unlock()
	}
}

func ask(c *http.Client, method, address, body string) (status int, header http.Header, text []byte, err error) {
	req, err := http.NewRequest(method, address, strings.NewReader(body))
	if err != nil {
		return 0, nil, nil, err
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/fhir+json")
		req.Header.Set("Prefer", "return=representation")
	}
	resp, err := c.Do(req)
	if err != nil {
		return 0, nil, nil, err
	}
	defer resp.Body.Close()
	text, err = io.ReadAll(resp.Body)
	return resp.StatusCode, resp.Header, text, err
}

// present fails unless each resource can be read.
func (k *killing) present(base string, ids []string) {
	k.t.Helper()
	c := signedIn(base)
	if c == nil {
		k.t.Fatal("nobody can sign in after the restart")
	}
	for _, id := range ids {
		if status, _, text, err := ask(c, "GET", base+"/FHIR/R4/Observation/"+id, ""); err != nil || status != http.StatusOK {
			k.t.Errorf("Observation/%s was acknowledged: %d %.200s %v", id, status, text, err)
		}
	}
}

// accounted fails unless each acknowledged request is on the account once, and the account verifies.
func (k *killing) accounted() {
	ctx, data := context.Background(), filepath.Join(k.dir, "data")
	db, err := store.Open(ctx, cmp.Or(k.url, node.DatabasePath(data)), store.Options{})
	if err != nil {
		k.t.Fatal(err)
	}
	defer db.Close()
	account, err := audit.Open(db, filepath.Join(data, "account"), audit.Options{})
	if err != nil {
		k.t.Fatal(err)
	}
	defer account.Close()
	found := map[string]int{}
	if err := account.Each(ctx, audit.Query{Actor: "gp"}, func(e audit.Entry) error {
		found[e.RequestID+" "+e.Action+" "+e.Outcome]++
		return nil
	}); err != nil {
		k.t.Fatal(err)
	}
	for id, request := range k.writes {
		if n := found[request+" create ok"]; n != 1 {
			k.t.Errorf("creating Observation/%s has %d entries on the account", id, n)
		}
	}
	for _, request := range k.reads {
		if n := found[request+" read ok"]; n != 1 {
			k.t.Errorf("reading under %s has %d entries on the account", request, n)
		}
	}
	report, err := account.Verify(ctx)
	if err != nil || !report.OK() || report.Unsealed != 0 {
		k.t.Errorf("the account: %v %v", report, err)
	}
}
