package node_test

import (
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/a-h/templ"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/internal/clock"
	"github.com/openspine/openspine/internal/node"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/web"
)

// The worked example of docs/guide/adding-a-service.md: a service that calls people back when a pulse is too fast.

//go:embed testdata/recall/*.sql
var recallFiles embed.FS

// recall is the service.
type recall struct{ k catalogue.Kernel }

func recallService(k catalogue.Kernel) catalogue.Service {
	s := &recall{k}
	return catalogue.Service{
		Name:    "recall",
		Summary: "Call people back whose pulse is too fast.",
		Schema:  store.Embedded("recall", recallFiles, "testdata/recall"),
		API: []catalogue.Route{
			catalogue.OnPerson("GET /recall/{person}", access.Read, s.show, access.Clinician),
		},
		Pages: []catalogue.Route{
			catalogue.ForRole("GET /recalls", s.list, access.Clinician),
		},
		Watches: []record.Watch{{Name: "recall", Types: []string{"Observation"}, Handle: s.noticed}},
		Jobs:    []catalogue.Job{{Name: "overdue", Every: time.Hour, Run: s.overdue}},
	}
}

// noticed is handed every Observation that is written, in the commit that moves the watch on.
func (s *recall) noticed(_ context.Context, tx *store.Tx, c record.Version) error {
	if c.Deleted || c.Chart == "" {
		return nil
	}
	beats := c.Resource.Get("valueQuantity.value")
	if !beats.Exists() {
		return nil
	}
	pulse, err := strconv.ParseFloat(beats.String(), 64)
	if err != nil || pulse < 120 {
		return err // what cannot be read is parked with its reason, and a person looks
	}
	lane := s.k.DB.LaneOf(c.Ref.Tenant.String(), c.Chart)
	_, err = tx.Exec(`INSERT INTO recall_entry (lane, tenant, chart, result, at, overdue) VALUES (?, ?, ?, ?, ?, 0)
		ON CONFLICT (lane, tenant, chart, result) DO NOTHING`, int64(lane), c.Ref.Tenant.String(), c.Chart, c.Ref.ID, tx.At().UnixMicro())
	return err
}

// show says how often a person is to be called back. The Grant names the chart; nothing else does.
func (s *recall) show(w http.ResponseWriter, r *http.Request, g access.Grant) error {
	var count int64
	err := s.k.DB.Read(r.Context(), func(tx *store.Tx) error {
		lane := s.k.DB.LaneOf(g.Tenant().String(), g.Chart())
		return tx.QueryRow(`SELECT count(*) FROM recall_entry WHERE lane = ? AND tenant = ? AND chart = ?`,
			int64(lane), g.Tenant().String(), g.Chart()).Scan(&count)
	})
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(map[string]int64{"recalls": count})
}

// list is a page that names nobody, so it needs a role and no Grant.
func (s *recall) list(w http.ResponseWriter, r *http.Request, _ access.Principal) error {
	var overdue int64
	err := s.k.DB.Read(r.Context(), func(tx *store.Tx) error {
		return tx.QueryRow(`SELECT coalesce(sum(overdue), 0) FROM recall_entry`).Scan(&overdue)
	})
	if err != nil {
		return err
	}
	return web.Render(w, r, http.StatusOK, recallsPage(overdue))
}

// recallsPage would be a template, recall/pages.templ, with its words in web/messages/en.toml.
func recallsPage(overdue int64) templ.Component {
	inside := templ.ComponentFunc(func(_ context.Context, w io.Writer) error {
		_, err := fmt.Fprintf(w, `<h1 class="nhsuk-heading-l">%d overdue</h1>`, overdue)
		return err
	})
	return templ.ComponentFunc(func(ctx context.Context, w io.Writer) error {
		return web.Shell(web.Page{Title: "Recalls"}).Render(templ.WithChildren(ctx, inside), w)
	})
}

// overdue marks what nobody has acted on for a day.
func (s *recall) overdue(ctx context.Context) error {
	for lane := range s.k.DB.Lanes() {
		held := []store.Lane{store.Lane(lane)}
		err := s.k.DB.Write(ctx, held, func(tx *store.Tx) error {
			_, err := tx.Exec(`UPDATE recall_entry SET overdue = 1 WHERE lane = ? AND overdue = 0 AND at < ?`, lane, tx.At().Add(-24*time.Hour).UnixMicro())
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// TestExampleService runs the example in a real node: its table is made, its watch and job run, its routes are guarded.
func TestExampleService(t *testing.T) {
	now := clock.NewFake(time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC))
	r := serve(t, config(t.TempDir()), node.Options{Clock: now, Services: func(k catalogue.Kernel) []catalogue.Service {
		return []catalogue.Service{recallService(k)}
	}}).seed()
	clinician := r.token("clinician")
	r.put("Observation", "fast", strings.NewReplacer("72", "160", "o-"+ownNumber, "fast").Replace(observation(ownNumber)))
	r.until(func() bool {
		return r.call("GET", "/recall/"+ownNumber, clinician, "").want(t, 200).body == `{"recalls":1}`+"\n"
	})
	r.call("GET", "/recall/"+ownNumber, "", "").want(t, 401)
	r.call("GET", "/recall/"+ownNumber, r.token("clerk"), "").want(t, 403)
	r.call("GET", "/recall/"+hiddenNumber, r.token("stranger"), "").outcome(t, 404, "not-found")

	now.Advance(25 * time.Hour) // the job runs, and what it finds is a day old
	page := ""
	r.until(func() bool {
		now.Advance(time.Hour)
		page = r.call("GET", "/recalls", r.token("clinician"), "").want(t, 200).body
		return strings.Contains(page, "1 overdue")
	})
	if !strings.Contains(page, "nhsuk-heading-l") || !strings.Contains(page, "</html>") {
		t.Errorf("not a page: %.300s", page)
	}
}

// until asks again until what goes on beside the requests has come to pass; the test's own time limit ends it otherwise.
func (r *running) until(done func() bool) {
	for !done() {
		if r.t.Context().Err() != nil {
			r.t.Fatal("it never came to pass")
		}
	}
}

// TestGuideIsTheExample holds each piece of code in docs/guide/adding-a-service.md to be part of the example above, or of its table.
func TestGuideIsTheExample(t *testing.T) {
	read := func(path string) string {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	guide := read("../../docs/guide/adding-a-service.md")
	proven := read("example_test.go") + read("testdata/recall/0001_entry.sql") + read("services.go")
	pieces := regexp.MustCompile("(?s)```(?:go|sql)\n(.*?)```").FindAllStringSubmatch(guide, -1)
	if len(pieces) < 5 {
		t.Fatalf("the guide shows %d pieces of code", len(pieces))
	}
	for _, p := range pieces {
		if !strings.Contains(proven, p[1]) {
			t.Errorf("this piece of the guide is not in the example:\n%s", p[1])
		}
	}
}
