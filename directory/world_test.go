package directory_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/directory"
	"github.com/openspine/openspine/internal/clock"
	"github.com/openspine/openspine/internal/node"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/store"
)

// world is a node with an empty directory, served on loopback, on a fixed day.
type world struct {
	t     testing.TB
	n     *node.Node
	d     *directory.Directory
	clock *clock.Fake
}

// given is a node of its own for a test.
func given(t testing.TB) *world {
	t.Helper()
	return givenWith(t, "", time.Date(2026, 6, 5, 9, 0, 0, 0, time.UTC))
}

func givenWith(t testing.TB, database string, now time.Time) *world {
	t.Helper()
	c := clock.NewFake(now)
	cfg := node.Config{Name: "directory", Addr: "127.0.0.1:0", Data: t.TempDir(), Database: database, National: "X26", Demo: true,
		Tenants: []node.TenantConfig{{Code: "X26", Name: "National spine", Kind: "national"}}}
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
	t.Cleanup(func() {
		stop()
		if err := errors.Join(<-ended, n.Close()); err != nil {
			t.Error(err)
		}
	})
	return &world{t, n, directory.New(n.Kernel(), true), c}
}

// imports is what importing lines of epraccur does.
func (w *world) imports(lines ...string) *directory.Plan {
	w.t.Helper()
	report, err := directory.ReportOf("epraccur")
	if err != nil {
		w.t.Fatal(err)
	}
	return w.importFile(report, strings.NewReader(strings.Join(lines, "\r\n")+"\r\n"))
}

func (w *world) importFile(report directory.Report, r io.Reader) *directory.Plan {
	w.t.Helper()
	rows, refused, err := directory.ReadODS(r, report)
	if err != nil {
		w.t.Fatal(err)
	}
	plan, err := w.d.Plan(w.t.Context(), report, rows, refused)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.d.Apply(w.t.Context(), access.Service("test", w.n.Kernel().National), plan, "", nil); err != nil {
		w.t.Fatal(err)
	}
	return plan
}

// answer is what an API said.
type answer struct {
	status int
	body   string
	json   map[string]any
	header http.Header
}

// get asks an API with a key; headers are "Name: value".
func (w *world) get(path string, headers ...string) answer {
	return w.call("GET", path, "", headers...)
}

func (w *world) call(method, path, body string, headers ...string) answer {
	w.t.Helper()
	r, err := http.NewRequest(method, w.n.URL()+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("apikey", "any")
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
		if value == "" {
			r.Header.Del(name)
		}
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	a := answer{status: resp.StatusCode, body: string(text), header: resp.Header}
	if strings.Contains(resp.Header.Get("Content-Type"), "json") {
		if err := json.Unmarshal(text, &a.json); err != nil {
			w.t.Fatalf("%s %s: %v in %s", method, path, err, text)
		}
	}
	return a
}

// ids are the ids of a Bundle's entries, in order.
func (a answer) ids() []string {
	var list []string
	entries, _ := a.json["entry"].([]any)
	for _, e := range entries {
		entry, _ := e.(map[string]any)
		res, _ := entry["resource"].(map[string]any)
		id, _ := res["id"].(string)
		list = append(list, id)
	}
	return list
}

// line is a good line of epraccur with some columns changed, "column=value".
func line(changes ...string) string {
	cells := strings.Split(`Z99001|THE "OLD" MILL SURGERY|Y63|Q74|THE MILL|MILL LANE|FENMARKET|KENT||TS18 1HU|19740401||A|B|00K|20130401||01632 960001||||0||00K||4|`, "|")
	for _, c := range changes {
		column := 0
		name, value, _ := strings.Cut(c, "=")
		for _, d := range name {
			column = column*10 + int(d-'0')
		}
		cells[column-1] = value
	}
	for i, c := range cells {
		cells[i] = `"` + strings.ReplaceAll(c, `"`, `""`) + `"`
	}
	return strings.Join(cells, ",")
}

// void takes a resource out of the national record.
func (w *world) void(typ, id string) {
	w.t.Helper()
	k := w.n.Kernel()
	draft, err := k.Records.Prepare(w.t.Context(), record.Change{Verb: record.Delete, Ref: record.Ref{Tenant: k.National, Type: typ, ID: id}, Reason: "made in error"})
	if err != nil {
		w.t.Fatal(err)
	}
	grants, err := k.Gate.DecideAll(w.t.Context(), access.Service("test", k.National), draft.Acts())
	if err != nil {
		w.t.Fatal(err)
	}
	err = k.Gate.Act(w.t.Context(), grants, draft.Lanes(), func(tx *store.Tx) error {
		_, err := k.Records.Apply(tx, draft, grants...)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
}
