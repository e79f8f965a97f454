package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/openspine/openspine/internal/node"
	"github.com/openspine/openspine/store"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"openspine": main})
}

// TestStories runs each journey of testdata/script against the real program, as processes of their own.
//
//	start NAME COMMAND…   runs openspine COMMAND until it says ready; $NAME is then its address
//	stop NAME             SIGTERM; it must end well, within ten seconds; $NAME.out and $NAME.err are files
//	crash NAME            SIGKILL
//	call [-as USER] [-status N] [-H HEADER] [-form] [-save VAR REGEXP] METHOD URL [BODY]
//	seeded DIR            a copy of a seeded demonstration of 200 people
//	firstlink NAME        follows the link that NAME printed, twice: the first administrator is in, the second is not
//	freeport NAME FILE…   sets NAME to a free address, and writes it into the files that name it
//	until PATTERN WORDS…  runs a program until a line of what it prints matches
//	tamper DIR            changes a sealed row of the account
func TestStories(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) { stories(t, "testdata/script", nil) })
	t.Run("postgres", func(t *testing.T) {
		dir, urls := onPostgres(t, "testdata/script")
		stories(t, dir, urls)
	})
}

// stories runs the scripts of a folder. urls are the databases of the data folders of each, where they are elsewhere.
func stories(t *testing.T, dir string, urls databases) {
	testscript.Run(t, testscript.Params{Dir: dir, RequireExplicitExec: true, Setup: func(env *testscript.Env) error {
		w := &world{running: map[string]*process{}, urls: urls[scriptOf(env.WorkDir)]}
		env.Values[worldKey{}] = w
		env.Setenv("HOME", env.WorkDir)
		for data, url := range w.urls {
			env.Setenv("database_"+data, url)
		}
		env.Defer(w.end)
		return nil
	}, Condition: func(cond string) (bool, error) {
		if cond != "postgres" {
			return false, fmt.Errorf("there is no condition %q", cond)
		}
		return urls != nil, nil
	}, Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
		"start": start, "stop": stop, "crash": crash, "call": call, "seeded": seeded, "tamper": tamper, "firstlink": firstLink,
		"freeport": freePort, "until": until,
	}})
}

type worldKey struct{}

// world is what one story has running.
type world struct {
	running map[string]*process
	urls    map[string]string // data folder → PostgreSQL
}

func worldOf(ts *testscript.TestScript) *world { return ts.Value(worldKey{}).(*world) }

func (w *world) end() {
	for _, p := range w.running {
		_ = p.cmd.Process.Kill() // it may have ended
		<-p.ended
	}
}

// process is an openspine that runs.
type process struct {
	cmd   *exec.Cmd
	url   string
	ended chan struct{}
	err   error
}

// launch starts openspine and waits until it says ready; files take what it says.
func launch(out, errs string, env []string, args ...string) (*process, error) {
	self, err := exec.LookPath("openspine")
	if err != nil {
		return nil, err
	}
	stdout, err := os.Create(out)
	if err != nil {
		return nil, err
	}
	defer stdout.Close()
	stderr, err := os.Create(errs)
	if err != nil {
		return nil, err
	}
	defer stderr.Close()
	p := &process{cmd: exec.Command(self, args...), ended: make(chan struct{})}
	pipe, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.cmd.Stderr, p.cmd.Env, p.cmd.Dir = stderr, append(os.Environ(), env...), filepath.Dir(out)
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(io.TeeReader(pipe, stdout))
	for lines.Scan() {
		if address, ok := strings.CutPrefix(lines.Text(), "ready "); ok {
			p.url = address
			break
		}
	}
	rest, err := os.OpenFile(out, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	go func() {
		defer close(p.ended)
		defer rest.Close()
		_, copied := io.Copy(rest, pipe)
		p.err = errors.Join(copied, p.cmd.Wait())
	}()
	if p.url == "" {
		<-p.ended
		said, err := os.ReadFile(errs)
		return nil, errors.Join(fmt.Errorf("it ended before it was ready: %w: %s", p.err, said), err)
	}
	return p, nil
}

func start(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: start NAME COMMAND…")
	}
	for i, a := range args {
		if strings.HasPrefix(a, "./") {
			args[i] = ts.MkAbs(a)
		}
	}
	p, err := launch(ts.MkAbs(args[0]+".out"), ts.MkAbs(args[0]+".err"), nil, args[1:]...)
	ts.Check(err)
	worldOf(ts).running[args[0]] = p
	ts.Setenv(args[0], p.url)
}

func (w *world) take(ts *testscript.TestScript, args []string) *process {
	if len(args) != 1 || w.running[args[0]] == nil {
		ts.Fatalf("which one? %v", args)
	}
	p := w.running[args[0]]
	delete(w.running, args[0])
	return p
}

func stop(ts *testscript.TestScript, _ bool, args []string) {
	p := worldOf(ts).take(ts, args)
	begun := time.Now()
	ts.Check(p.cmd.Process.Signal(syscall.SIGTERM))
	<-p.ended
	if took := time.Since(begun); took > 10*time.Second {
		ts.Fatalf("stopping took %s", took)
	}
	ts.Check(p.err)
}

func crash(ts *testscript.TestScript, _ bool, args []string) {
	p := worldOf(ts).take(ts, args)
	ts.Check(p.cmd.Process.Kill())
	<-p.ended
}

// call sends one request; what comes back is stdout: the status, the headers, the body.
func call(ts *testscript.TestScript, neg bool, args []string) {
	f := flag.NewFlagSet("call", flag.ContinueOnError)
	as, status, form := f.String("as", "", ""), f.Int("status", 200, ""), f.Bool("form", false, "")
	save := f.String("save", "", "")
	var headers []string
	f.Func("H", "", func(h string) error { headers = append(headers, h); return nil })
	ts.Check(f.Parse(args))
	if neg || f.NArg() < 2 {
		ts.Fatalf("usage: call [flags] METHOD URL [BODY]")
	}
	jar, err := cookiejar.New(nil)
	ts.Check(err)
	c := &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	if *as != "" {
		where, err := url.Parse(f.Arg(1))
		ts.Check(err)
		signedIn, err := c.PostForm(where.Scheme+"://"+where.Host+"/sign-in", url.Values{"user": {*as}, "to": {"/"}})
		ts.Check(err)
		ts.Check(signedIn.Body.Close())
		if signedIn.StatusCode != http.StatusSeeOther {
			ts.Fatalf("signing in as %s: %s", *as, signedIn.Status)
		}
	}
	req, err := http.NewRequest(f.Arg(0), f.Arg(1), strings.NewReader(f.Arg(2)))
	ts.Check(err)
	if f.Arg(2) != "" {
		req.Header.Set("Content-Type", "application/fhir+json")
	}
	if *form {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	resp, err := c.Do(req)
	ts.Check(err)
	defer resp.Body.Close()
	var text bytes.Buffer
	fmt.Fprintln(&text, resp.Status)
	ts.Check(resp.Header.Write(&text))
	fmt.Fprintln(&text)
	_, err = io.Copy(&text, resp.Body)
	ts.Check(err)
	_, err = ts.Stdout().Write(text.Bytes())
	ts.Check(err)
	if resp.StatusCode != *status {
		ts.Fatalf("status %d, want %d", resp.StatusCode, *status)
	}
	if *save != "" {
		name, expression, _ := strings.Cut(*save, "=")
		found := regexp.MustCompile(expression).FindSubmatch(text.Bytes())
		if len(found) < 2 {
			ts.Fatalf("there is no %s in the answer", expression)
		}
		ts.Setenv(name, string(found[1]))
	}
}

// seededCountry is a demonstration that was seeded once for all stories.
var seededCountry = sync.OnceValues(func() (string, error) { return seedCountry("") })

func seedCountry(database string) (string, error) {
	dir, err := os.MkdirTemp("", "openspine-country-*")
	if err != nil {
		return "", err
	}
	p, err := launch(filepath.Join(dir, "out"), filepath.Join(dir, "err"), []string{databaseVariable + database},
		"demo", "--addr", "127.0.0.1:0", "--people", "200", "--data", filepath.Join(dir, "data"))
	if err != nil {
		return "", err
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return "", err
	}
	<-p.ended
	return dir, p.err
}

func seeded(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: seeded DIR")
	}
	if url := worldOf(ts).urls[args[0]]; url != "" {
		ts.Check(restoreCountry(ts.MkAbs(args[0]), url))
		return
	}
	dir, err := seededCountry()
	ts.Check(err)
	ts.Check(os.CopyFS(ts.MkAbs(args[0]), os.DirFS(filepath.Join(dir, "data"))))
}

func firstLink(ts *testscript.TestScript, _ bool, args []string) {
	said := ts.ReadFile(ts.MkAbs(args[0] + ".out"))
	link := regexp.MustCompile(`http://\S+/sign-in/first\?code=(\S+)`).FindStringSubmatch(said)
	if link == nil {
		ts.Fatalf("there is no link in %q", said)
	}
	call(ts, false, []string{"GET", link[0]})
	form := url.Values{"code": {link[1]}, "name": {"Ada Okafor"}}.Encode()
	base := ts.Getenv(args[0]) + "/sign-in/first"
	call(ts, false, []string{"-form", "-status", "303", "POST", base, form})
	call(ts, false, []string{"-form", "-status", "404", "POST", base, form})
	call(ts, false, []string{"-status", "404", "GET", link[0]})
}

// tamper rewrites history: it makes an entry of the account say that something else was done.
func tamper(ts *testscript.TestScript, _ bool, args []string) {
	url := worldOf(ts).urls[args[0]]
	if url == "" {
		url = node.DatabasePath(ts.MkAbs(args[0]))
	}
	db, err := store.Open(context.Background(), url, store.Options{})
	ts.Check(err)
	err = db.Write(context.Background(), nil, func(tx *store.Tx) error {
		n, err := tx.Exec(`UPDATE audit_entry SET detail = 'nothing at all' WHERE seq = 7 AND lane = (SELECT min(lane) FROM audit_entry WHERE seq = 7)`)
		if err == nil && n != 1 {
			err = fmt.Errorf("%d entries were changed", n)
		}
		return err
	})
	ts.Check(errors.Join(err, db.Close()))
}
