package ers_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/internal/node"
	"github.com/openspine/openspine/referral/ers"
	"github.com/openspine/openspine/store"
)

// burdened is a national node that takes no more than limits say, with a clinician who calls.
func burdened(t testing.TB, limits node.Limits) (n *node.Node, w *world) {
	t.Helper()
	n, err := node.Open(t.Context(), node.Config{Name: "test", Addr: "127.0.0.1:0", Data: t.TempDir(), National: "X26", Demo: true, Tenants: []node.TenantConfig{{Code: "X26", Name: "National spine", Kind: "national"}}},
		node.Options{Limits: limits, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Listen(); err != nil {
		t.Fatal(err)
	}
	serving, stop := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- n.Serve(serving, func() { close(ready) }) }()
	t.Cleanup(func() {
		stop()
		if err := errors.Join(<-ended, n.Close()); err != nil {
			t.Log(err)
		}
	})
	select {
	case <-ready:
	case err := <-ended:
		ended <- err
		t.Fatal(err)
	}
	if err := n.Kernel().Gate.PutUser(t.Context(), staff("gp", access.Clinician, practice)); err != nil {
		t.Fatal(err)
	}
	return n, &world{t: t, node: n, url: n.URL() + ers.Base}
}

func (w *world) gp() *caller {
	return w.as(staff("gp", access.Clinician, practice), acting(ers.ReferringClinician, practice)...)
}

// wholes bring about the errors of the node as a whole, by status: whoever calls then is refused so, whatever they ask.
func wholes() map[string]func(t testing.TB) *caller {
	return map[string]func(t testing.TB) *caller{
		"429": func(t testing.TB) *caller { // whoever has used up their turns
			_, w := burdened(t, node.Limits{CallerRate: 1})
			c := w.gp()
			c.get("/STU3/CodeSystem/PRIORITY")
			return c
		},
		"503": func(t testing.TB) *caller { // while its database cannot be reached
			n, w := burdened(t, node.Limits{})
			c := w.gp()
			if err := n.Kernel().DB.Close(); err != nil {
				t.Fatal(err)
			}
			return c
		},
		"500": func(t testing.TB) *caller { // when its database is not there any more
			n, w := burdened(t, node.Limits{})
			db := n.Kernel().DB
			err := db.Write(t.Context(), []store.Lane{db.LaneOf("", "test")}, func(tx *store.Tx) error {
				_, err := tx.Exec("ALTER TABLE access_revoked RENAME TO elsewhere")
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			return w.gp()
		},
	}
}
