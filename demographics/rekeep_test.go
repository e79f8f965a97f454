package demographics_test

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/openspine/openspine/demographics"
	"github.com/openspine/openspine/internal/node"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/store/storetest"
)

// People of a data folder from before the register had its tables are found, by what they were called formerly too; until then a search
// says that it cannot be answered, reading goes on, and nobody is registered twice for it. Nothing has happened to anybody.
func TestPeopleOfAnOldFolderAreFound(t *testing.T) {
	t.Parallel()
	for name, url := range map[string]func(t *testing.T) string{
		"SQLite":     func(*testing.T) string { return "" },
		"PostgreSQL": func(t *testing.T) string { return storetest.PostgresURL(t) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, url(t))
			w.load(person("9990000018", "Marsh", "Ada", "1980-01-02"), person("9990000026", "Reed", "Ben", "1981-02-03"))
			w.load(person("9990000018", "Brook", "Ada", "1980-01-02"))
			w.forgetTables()
			w = w.again()

			c := w.worker()
			ask := query("family", "Brook", "birthdate", "eq1980-01-02")
			a := c.get(ask).refused(503, "SERVICE_UNAVAILABLE", "")
			if a.header.Get("Retry-After") == "" || !strings.Contains(a.body, "of 2 records are done") {
				t.Errorf("%s %v", a.body, a.header)
			}
			c.get("/Patient/9990000018").want(200)
			if err := w.node.Kernel().Records.Rekeep(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			for _, found := range []string{ask, query("family", "Reed", "birthdate", "eq1981-02-03"),
				query("family", "Marsh", "birthdate", "eq1980-01-02", "_history", "true")} {
				if total := c.get(found).want(200).json().Get("total").String(); total != "1" {
					t.Errorf("%s finds %s", found, total)
				}
			}
			if total := c.get(query("family", "Marsh", "birthdate", "eq1980-01-02")).want(200).json().Get("total").String(); total != "0" {
				t.Errorf("a former name is found as if it held now: %s", total)
			}
			var events int
			if err := w.node.Kernel().DB.Read(t.Context(), func(tx *store.Tx) error {
				return tx.QueryRow(`SELECT count(*) FROM demographics_event`).Scan(&events)
			}); err != nil || events != 1 { // the load of a second version was one
				t.Errorf("%d events (%v)", events, err)
			}
		})
	}
}

// forgetTables makes the folder one from before the register kept tables.
func (w *world) forgetTables() {
	w.t.Helper()
	k := w.node.Kernel()
	err := k.DB.Write(w.t.Context(), []store.Lane{0}, func(tx *store.Tx) error {
		for _, table := range []string{"demographics_person", "demographics_name", "demographics_born", "demographics_sound", "demographics_key", "record_job"} {
			if _, err := tx.Exec(`DELETE FROM ` + table); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// again closes the node and opens another over what it kept.
func (w *world) again() *world {
	w.t.Helper()
	if err := w.node.Close(); err != nil {
		w.t.Fatal(err)
	}
	n, err := node.Open(context.Background(), w.cfg, node.Options{Clock: w.time})
	if err != nil {
		w.t.Fatal(err)
	}
	srv := httptest.NewServer(n)
	w.t.Cleanup(func() {
		srv.Close()
		if err := n.Close(); err != nil {
			w.t.Errorf("closing: %v", err)
		}
	})
	other := *w
	other.node, other.url = n, srv.URL+demographics.Base
	return &other
}
