package mesh_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openspine/openspine/mesh"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/store"
)

// Whoever guesses is slowed down, for that mailbox from that address: not even a right guess is told apart then. In time the mailbox is open again.
func TestWhoeverGuessesIsSlowedDown(t *testing.T) {
	t.Parallel()
	w := given(t)
	guess := func(n int) answer {
		return w.call("GET", "/"+first+"/inbox", nil, "Authorization: "+mesh.Authorization(first, "guess", mesh.DemoSharedKey, fmt.Sprint("guess-", n), "0", w.clock.Now()))
	}
	for n := range 20 {
		if a := guess(n); a.status != http.StatusForbidden || strings.Contains(a.body, "too often") {
			t.Fatalf("guess %d is answered %v", n, a)
		}
	}
	if a := guess(20); a.status != http.StatusForbidden || !strings.Contains(a.body, "too often from this address") {
		t.Errorf("a guess too many is answered %v", a)
	}
	if a := w.as(first, "GET", "/"+first+"/inbox", ""); a.status != http.StatusForbidden {
		t.Errorf("a right one among guesses is answered %v", a)
	}
	if a := w.as(second, "GET", "/"+second+"/inbox", ""); a.status != http.StatusOK {
		t.Errorf("another mailbox is answered %v", a)
	}
	w.clock.Advance(31 * time.Second)
	if a := w.as(first, "GET", "/"+first+"/inbox", ""); a.status != http.StatusOK {
		t.Errorf("later it is answered %v", a)
	}
}

// What does not show who it is gets 403 and a line that says what to do; an unknown mailbox looks like a wrong password.
func TestWhoDoesNotShowWhoTheyAreIsRefused(t *testing.T) {
	t.Parallel()
	w := given(t)
	now := w.clock.Now()
	sign := func(mailbox, password, key, nonce string, at time.Time) string {
		return "Authorization: " + mesh.Authorization(mailbox, password, key, nonce, "0", at)
	}
	good := w.token(first)
	if err := w.o.Set(t.Context(), admin(), "X26ABC3", mesh.Suspended, "a test"); err != nil {
		t.Fatal(err)
	}
	inbox := func(mailbox, header string) answer { return w.call("GET", "/"+mailbox+"/inbox", nil, header) }
	wrong := inbox(first, sign(first, "wrong", mesh.DemoSharedKey, "a", now)).body
	for name, c := range map[string]struct{ mailbox, header, says string }{
		"no header":            {first, "X-Nothing: x", "does not begin with NHSMESH"},
		"a bearer token":       {first, "Authorization: Bearer x", "does not begin with NHSMESH"},
		"another mailbox":      {second, "Authorization: " + w.token(first), "for another mailbox"},
		"small letters":        {first, "Authorization: " + strings.Replace(w.token(first), first, "x26abc1", 1), "capital letters"},
		"a wrong password":     {first, sign(first, "wrong", mesh.DemoSharedKey, "b", now), wrong},
		"a wrong key":          {first, sign(first, mesh.DemoPassword, "wrong", "c", now), wrong},
		"an unknown mailbox":   {"NOBODY", sign("NOBODY", mesh.DemoPassword, mesh.DemoSharedKey, "d", now), wrong},
		"a suspended mailbox":  {"X26ABC3", sign("X26ABC3", mesh.DemoPassword, mesh.DemoSharedKey, "e", now), wrong},
		"a clock behind":       {first, sign(first, mesh.DemoPassword, mesh.DemoSharedKey, "f", now.Add(-2*time.Hour-time.Minute)), "set the clock"},
		"a clock ahead":        {first, sign(first, mesh.DemoPassword, mesh.DemoSharedKey, "g", now.Add(2*time.Hour+2*time.Minute)), "set the clock"},
		"a hash cut short":     {first, "Authorization: " + good[:len(good)-2], "64 hexadecimal digits"},
		"a long header":        {first, "Authorization: NHSMESH " + strings.Repeat("x", 5000), "too long"},
		"a day of no calendar": {first, "Authorization: NHSMESH X26ABC1:n:0:202613011200:" + strings.Repeat("0", 64), "calendar"},
	} {
		a := inbox(c.mailbox, c.header)
		if a.status != http.StatusForbidden || !strings.Contains(a.body, c.says) {
			t.Errorf("%s is answered %v, want 403 and %q", name, a, c.says)
		}
	}
	for _, off := range []time.Duration{-2*time.Hour + 2*time.Minute, 2*time.Hour - 2*time.Minute} {
		if a := inbox(first, sign(first, mesh.DemoPassword, mesh.DemoSharedKey, fmt.Sprint(off), now.Add(off))); a.status != http.StatusOK {
			t.Errorf("a clock off by %v is answered %v", off, a)
		}
	}
}

// A header is good once: at the same time, later, and after the node has started again.
func TestAHeaderIsGoodOnce(t *testing.T) {
	t.Parallel()
	cfg := config(t.TempDir())
	w := opened(t, cfg)
	if err := w.o.Demo(t.Context()); err != nil {
		t.Fatal(err)
	}
	header := "Authorization: " + w.token(first)
	var mu sync.Mutex
	counts := map[int]int{}
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			r, err := http.NewRequest("GET", w.url+"/messageexchange/"+first+"/inbox", nil)
			if err != nil {
				t.Error(err)
				return
			}
			name, value, _ := strings.Cut(header, ": ")
			r.Header.Set(name, value)
			resp, err := w.client.Do(r)
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			mu.Lock()
			counts[resp.StatusCode]++
			mu.Unlock()
		})
	}
	wg.Wait()
	if counts[200] != 1 || counts[403] != 15 {
		t.Errorf("at the same time: %v", counts)
	}
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	w = opened(t, cfg)
	if a := w.call("GET", "/"+first+"/inbox", nil, header); a.status != http.StatusForbidden || !strings.Contains(a.body, "used before") {
		t.Errorf("after a restart: %v", a)
	}
}

// A message whose chunks are sent before and after a restart is whole, and nothing of it is seen before.
func TestChunksGoOnAfterARestart(t *testing.T) {
	t.Parallel()
	cfg := config(t.TempDir())
	w := opened(t, cfg)
	if err := w.o.Demo(t.Context()); err != nil {
		t.Fatal(err)
	}
	a := w.as(first, "POST", "/"+first+"/outbox", "one", toSecond, workflow, v2, "Mex-Chunk-Range: 1:2")
	id, _ := a.json["message_id"].(string)
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	w = opened(t, cfg)
	if got := w.inbox(second); len(got) != 0 {
		t.Fatalf("half a message: %v", got)
	}
	if a := w.as(first, "POST", "/"+first+"/outbox/"+id+"/2", "two", "Mex-Chunk-Range: 2:2"); a.status != http.StatusAccepted {
		t.Fatalf("the second chunk: %v", a)
	}
	w.arrived(second, id)
	for n, want := range []string{"one", "two"} {
		if a := w.as(second, "GET", fmt.Sprintf("/%s/inbox/%s/%d", second, id, n+1), ""); a.body != want {
			t.Errorf("chunk %d: %v", n+1, a)
		}
	}
	items, _, err := w.n.Kernel().Post().Search(t.Context(), messaging.Query{Workflow: mesh.Workflow})
	if err != nil || len(items) != 1 {
		t.Errorf("the post carried %d messages, want 1: %v", len(items), err)
	}
}

// An upload that never ends comes back to its sender.
func TestAnUploadThatIsNotFinishedComesBack(t *testing.T) {
	t.Parallel()
	isNotFinishedAndComesBack(t, given(t))
}

func isNotFinishedAndComesBack(t *testing.T, w *world) {
	a := w.as(first, "POST", "/"+first+"/outbox", "one", toSecond, workflow, v2, "Mex-Chunk-Range: 1:3")
	id, _ := a.json["message_id"].(string)
	w.clock.Advance(mesh.UploadWithin + time.Hour)
	if err := w.o.Expire(t.Context()); err != nil {
		t.Fatal(err)
	}
	report := w.reported(first, id)
	a = w.as(first, "HEAD", "/"+first+"/inbox/"+report, "")
	if a.header.Get("Mex-StatusCode") != "02" || !strings.HasSuffix(a.header.Get("Mex-StatusDescription"), "2, 3") {
		t.Errorf("the report says %v", a.header)
	}
	if a := w.as(first, "POST", "/"+first+"/outbox/"+id+"/2", "two", "Mex-Chunk-Range: 2:3"); a.status != http.StatusLocked {
		t.Errorf("a late chunk is answered %v", a)
	}
}

// What unfolds to no end is refused while it is sent, and takes no memory.
func TestABombIsRefused(t *testing.T) {
	t.Parallel()
	w := given(t)
	bomb := gzipped(t, strings.Repeat("\x00", 100<<20))
	a := w.as(first, "POST", "/"+first+"/outbox", bomb, toSecond, workflow, "Content-Encoding: gzip")
	if a.status != http.StatusExpectationFailed || !strings.Contains(a.body, "unfolds") {
		t.Errorf("%d bytes of bomb are answered %v", len(bomb), a)
	}
	if a := w.call("GET", "/"+first+"/inbox", nil, "Authorization: "+w.token(first), "X-Big: "+strings.Repeat("x", 200<<10)); a.status != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("an oversized header is answered %d", a.status)
	}
	if a := w.as(first, "GET", "/"+first+"/inbox", ""); a.status != http.StatusOK {
		t.Errorf("afterwards: %v", a)
	}
}

// zeros is so many bytes that do not repeat in any way that matters.
type pattern struct{ left, n int64 }

func (p *pattern) Read(b []byte) (int, error) {
	if p.left == 0 {
		return 0, io.EOF
	}
	n := min(int64(len(b)), p.left)
	for i := range b[:n] {
		p.n = p.n*6364136223846793005 + 1442695040888963407
		b[i] = byte(p.n >> 56)
	}
	p.left -= n
	return int(n), nil
}

// TestAHundredMegabytesAreNeverWhole sends and collects the largest piece there may be, and measures what memory it takes.
func TestAHundredMegabytesAreNeverWhole(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes seconds")
	}
	w := given(t)
	runtime.GC()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	var peak uint64
	done, looked := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(looked)
		for {
			select {
			case <-done:
				return
			case <-time.After(20 * time.Millisecond):
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				peak = max(peak, m.HeapAlloc)
			}
		}
	}()
	began := time.Now()
	r, err := http.NewRequestWithContext(t.Context(), "POST", w.url+"/messageexchange/"+first+"/outbox", &pattern{left: mesh.MaxChunk})
	if err != nil {
		t.Fatal(err)
	}
	r.ContentLength = mesh.MaxChunk
	for _, h := range []string{"Authorization: " + w.token(first), toSecond, workflow} {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	resp, err := w.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	sent := time.Since(began)
	if resp.StatusCode != http.StatusAccepted {
		t.Fatalf("sending is answered %d", resp.StatusCode)
	}
	var id string
	for id == "" {
		if list := w.inbox(second); len(list) > 0 {
			id = list[0]
		}
		w.clock.Advance(time.Second)
	}
	began = time.Now()
	get, err := http.NewRequestWithContext(t.Context(), "GET", w.url+"/messageexchange/"+second+"/inbox/"+id, nil)
	if err != nil {
		t.Fatal(err)
	}
	get.Header.Set("Authorization", w.token(second))
	if resp, err = w.client.Do(get); err != nil {
		t.Fatal(err)
	}
	want, same, buf, other := &pattern{left: mesh.MaxChunk}, true, make([]byte, 64<<10), make([]byte, 64<<10)
	for {
		n, err := io.ReadFull(resp.Body, buf)
		if _, e := io.ReadFull(want, other[:n]); e != nil && n > 0 || string(buf[:n]) != string(other[:n]) {
			same = false
		}
		if err != nil {
			break
		}
	}
	resp.Body.Close()
	got := time.Since(began)
	close(done)
	<-looked
	if !same || want.left != 0 {
		t.Errorf("what was collected is not what was sent: %d bytes lack", want.left)
	}
	grown := int64(peak) - int64(before.HeapAlloc)
	t.Logf("%d MB sent in %v, collected in %v; the heap grew by %d KB at most, with the client's part", mesh.MaxChunk>>20, sent, got, grown>>10)
	if grown > 64<<20 {
		t.Errorf("the heap grew by %d MB", grown>>20)
	}
	if a := w.as(first, "POST", "/"+first+"/outbox", "", toSecond, workflow, "Content-Length: 1"); a.status != http.StatusExpectationFailed {
		t.Errorf("%v", a)
	}
	r, err = http.NewRequestWithContext(t.Context(), "POST", w.url+"/messageexchange/"+first+"/outbox", &pattern{left: mesh.MaxChunk + 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range []string{"Authorization: " + w.token(first), toSecond, workflow, "Expect: 100-continue"} {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	r.ContentLength = mesh.MaxChunk + 1
	resp, err = (&http.Client{Transport: &http.Transport{ExpectContinueTimeout: time.Minute}}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusExpectationFailed {
		t.Errorf("one byte too many is answered %d", resp.StatusCode)
	}
}

// A program that stops reading what it collects is let go of, and the message stays where it was.
func TestAReaderThatGoesAwayLosesNothing(t *testing.T) {
	t.Parallel()
	w := given(t)
	body := strings.Repeat("0123456789abcdef", 512<<10)
	id := w.send(first, second, body)
	conn, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "GET /messageexchange/%s/inbox/%s HTTP/1.1\r\nHost: %s\r\nAuthorization: %s\r\n\r\n", second, id, strings.TrimPrefix(w.url, "http://"), w.token(second))
	if _, err := io.ReadFull(conn, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	if a := w.as(second, "GET", "/"+second+"/inbox/"+id, ""); a.status != http.StatusOK || a.body != body {
		t.Errorf("the message is answered %d with %d bytes", a.status, len(a.body))
	}
	half, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(half, "POST /messageexchange/%s/outbox HTTP/1.1\r\nHost: %s\r\nAuthorization: %s\r\nMex-To: %s\r\nMex-WorkflowID: W\r\nContent-Length: 100000\r\n\r\nhalf", first, strings.TrimPrefix(w.url, "http://"), w.token(first), second)
	if err := half.Close(); err != nil {
		t.Fatal(err)
	}
	if got := w.inbox(second); len(got) != 1 {
		t.Errorf("half a body was taken for a whole one: %v", got)
	}
}

// Neither the database nor what the node answers holds a password as it is.
func TestPasswordsAreEnciphered(t *testing.T) {
	t.Parallel()
	cfg := config(t.TempDir())
	w := opened(t, cfg)
	if err := w.o.Demo(t.Context()); err != nil {
		t.Fatal(err)
	}
	b := mesh.Mailbox{ID: "SECRET1", ODS: mustNational, Name: "Secret", Owner: "somebody"}
	if err := w.o.Put(t.Context(), admin(), b, "correct-horse-battery", "a test"); err != nil {
		t.Fatal(err)
	}
	var sealed []byte
	err := w.n.Kernel().DB.Read(t.Context(), func(tx *store.Tx) error {
		return tx.QueryRow(`SELECT secret FROM mesh_mailbox WHERE lane = 0 AND mailbox = 'SECRET1'`).Scan(&sealed)
	})
	if err != nil || len(sealed) < 28 {
		t.Fatal(err, sealed)
	}
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(cfg.Data, "openspine.db*"))
	if err != nil || len(files) == 0 {
		t.Fatal(err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "correct-horse-battery") {
			t.Errorf("%s holds the password", filepath.Base(f))
		}
	}
	if err := os.Remove(filepath.Join(cfg.Data, "mesh.key")); err != nil {
		t.Fatal(err)
	}
	w = opened(t, cfg) // as after a restore without the key: nobody comes in, and the line says so
	if a := w.call("GET", "/"+first+"/inbox", nil, "Authorization: "+w.token(first)); a.status != http.StatusServiceUnavailable {
		t.Errorf("without the key: %v", a)
	}
}
