package messaging_test

import (
	"testing"

	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/network"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/store/storetest"
)

// TestARouteHoldsOnceItIsWritten: whoever reads the routes while one is written reads those of before, and what they read is not kept beyond it.
func TestARouteHoldsOnceItIsWritten(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		n := newTown(t, db, nil, "", spine)
		there := messaging.ToNode(network.MustNodeID("RZZ07"))
		err := db.Write(t.Context(), []store.Lane{0}, func(tx *store.Tx) error {
			if err := n.post.SetRoute(tx, messaging.Route{Recipient: practice, To: there, Actor: "test"}); err != nil {
				return err
			}
			read := make(chan error, 1)
			go func() {
				_, err := n.post.Way(t.Context(), practice, "test")
				read <- err
			}()
			if err := <-read; err == nil {
				t.Error("a route is known that is not written yet")
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if way, err := n.post.Way(t.Context(), practice, "test"); err != nil || way != there {
			t.Errorf("the post goes to %v (%v)", way, err)
		}
	}, messaging.Schema(), deeds())
}
