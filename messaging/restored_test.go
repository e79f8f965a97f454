package messaging_test

import (
	"bytes"
	"path/filepath"
	"testing"

	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/network"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/store/storetest"
)

// TestANodeThatPassesOnIsRestoredTwice: its first restore makes it pass a message on under another number, its second gives it back the row
// with the number before. The recipient speaks of a number that this life has never seen, and both must come to say the same.
func TestANodeThatPassesOnIsRestoredTwice(t *testing.T) {
	for name, c := range map[string]struct {
		seams messaging.Seams
		want  string
	}{"as it is": {want: "handled"}, "with nothing passed on anew": {messaging.Seams{NoPassAnew: true}, "parked"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			east, w := ident.MustODSCode("RQY"), wired()
			as := func() *store.DB { return storetest.Open(t, messaging.Schema(), deeds()) }
			sender, receiver := newTown(t, as(), w, "RQY", east), newTown(t, as(), w, "RQX", hospital)
			route(sender, hospital, "X26")
			route(receiver, east, "X26")
			hubOver := func(db *store.DB) *town {
				return newTownOver(t, db, func(c network.Carrier) network.Carrier { return c }, c.seams, w, "X26", spine)
			}
			hub := hubOver(as())
			route(hub, hospital, "RQX")
			route(hub, east, "RQY")
			sender.send(east, hospital, "", "they meet")
			tire(t, sender, hub, receiver)
			before := backedUp(t, hub)
			receiver.poison("bad")
			id := sender.send(east, hospital, "c", "bad")
			tire(t, sender, hub, receiver)
			after := backedUp(t, hub)
			if got := state(t, sender, id); got != "parked" {
				t.Fatalf("the sender believes that it is %s, not parked", got)
			}

			w.cut[network.MustNodeID("RQX")] = true // so that the sender brings it again before the recipient tells of it
			hub = hubOver(restored(t, before))
			tire(t, sender, hub)
			w.cut[network.MustNodeID("RQX")] = false
			tire(t, sender, hub, receiver)
			receiver.poison("")
			it := receiver.parked()
			if err := receiver.decide(it, ident.ODSCode{}, func(tx *store.Tx) error { return receiver.post.Retry(tx, it.Ref, by) }); err != nil {
				t.Fatal(err)
			}
			w.cut[network.MustNodeID("X26")] = true // so that what became of it is not heard in this life
			tire(t, receiver)
			if got := receiver.deeds(); got != "they meet bad" {
				t.Fatalf("handled %q", got)
			}
			w.cut[network.MustNodeID("X26")] = false

			hub = hubOver(restored(t, after))
			tire(t, sender, hub, receiver)
			if got := state(t, hub, id); got != c.want {
				t.Errorf("the node between believes that it is %s, want %s", got, c.want)
			}
			if got := state(t, sender, id); got != c.want {
				t.Errorf("the sender believes that it is %s, want %s", got, c.want)
			}
			if r, err := hub.post.Reconcile(t.Context(), network.MustNodeID("RQX")); err != nil || r.Even() != (c.want == "handled") {
				t.Errorf("the ledgers: %+v, %v", r, err)
			}
			if got := receiver.deeds(); got != "they meet bad" {
				t.Errorf("handled %q", got)
			}
		})
	}
}

// backedUp is a backup of a town's database.
func backedUp(t *testing.T, n *town) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := n.db.Backup(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// restored is a database made from a backup, in a life of its own.
func restored(t *testing.T, backup []byte) *store.DB {
	t.Helper()
	place := filepath.Join(t.TempDir(), "restored.db")
	if err := store.Restore(t.Context(), bytes.NewReader(backup), place, store.Options{}); err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), place, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if err := db.Migrate(t.Context(), messaging.Schema(), deeds()); err != nil {
		t.Fatal(err)
	}
	return db
}

// state is what a town believes of a message.
func state(t *testing.T, n *town, id string) string {
	t.Helper()
	list, err := n.post.ByID(t.Context(), id)
	if err != nil || len(list) == 0 {
		t.Fatalf("%v: %v", list, err)
	}
	return list[0].State.String()
}
