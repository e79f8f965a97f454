package messaging_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/network"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/store/storetest"
)

// fileless is a carrier over which no file comes.
type fileless struct{ network.Carrier }

func (c fileless) Do(ctx context.Context, to network.NodeID, r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodGet {
		return nil, fault.New(fault.Unavailable, "no file comes from %s", to)
	}
	return c.Carrier.Do(ctx, to, r)
}

// TestARelayThatIsKilledStillFetchesTheFile: it has tried to pass the message on, and the next node has not got it; it is killed before the file is
// there. Once it runs again it sends the message again, and fetches the file all the same.
func TestARelayThatIsKilledStillFetchesTheFile(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		east := ident.MustODSCode("RQY")
		w := wired()
		as := func() *store.DB { return storetest.Open(t, messaging.Schema(), deeds()) }
		sender := newTown(t, as(), w, "RQY", east)
		hub := newTownOver(t, db, func(c network.Carrier) network.Carrier { return fileless{c} }, messaging.Seams{}, w, "X26", spine)
		receiver := newTown(t, as(), w, "RQX", hospital)
		route(sender, hospital, "X26")
		route(hub, hospital, "RQX")
		route(hub, east, "RQY")
		route(receiver, east, "X26")
		sender.send(east, hospital, "", "they meet")
		settle(t, sender, hub, receiver)
		if got := receiver.deeds(); got != "they meet" {
			t.Fatalf("handled %q", got)
		}
		w.cut[network.MustNodeID("RQX")] = true
		f, err := sender.post.Store(t.Context(), strings.NewReader("a letter"), "letter.txt", "text/plain")
		if err != nil {
			t.Fatal(err)
		}
		if err := sender.db.Write(t.Context(), []store.Lane{sender.post.LaneOf(east, "")}, func(tx *store.Tx) error {
			_, err := sender.post.Send(tx.Context(), tx, messaging.Message{From: east, To: hospital, Workflow: "test", Body: []byte("with a file"), Files: []messaging.File{f}})
			return err
		}); err != nil {
			t.Fatal(err)
		}
		settle(t, sender, hub, receiver)
		if got := hub.column(`SELECT CAST(tried AS TEXT) || ' of ' || CAST(next - 1 AS TEXT) FROM post_stream s JOIN post_queue q ON q.queue = s.queue WHERE q.name = 'RQX' AND s.next > 1`); got != "2 of 2" {
			t.Fatalf("the hub has tried %s", got)
		}
		again := newTown(t, db, w, "X26", spine) // killed, and started again
		w.cut[network.MustNodeID("RQX")] = false
		tire(t, sender, again, receiver)
		if got := receiver.deeds(); got != "they meet with a file" {
			t.Errorf("handled %q; held there: %s; at the hub: %s", got, receiver.column(`SELECT reason FROM post_held`), again.column(`SELECT reason FROM post_held`))
		}
	}, messaging.Schema(), deeds())
}
