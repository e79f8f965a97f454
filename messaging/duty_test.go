package messaging_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/clock"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/network"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/store/storetest"
)

// deaf does what it is asked and hears no answer, while it is told to; it keeps a copy of each exchange.
type deaf struct {
	network.Carrier
	on    bool
	asked [][]byte
}

func (c *deaf) Do(ctx context.Context, to network.NodeID, r *http.Request) (*http.Response, error) {
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	r.Body = io.NopCloser(bytes.NewReader(text))
	if r.URL.Path == "/messages/exchange" {
		c.asked = append(c.asked, text)
	}
	answer, err := c.Carrier.Do(ctx, to, r)
	if c.on && r.URL.Path == "/messages/exchange" && err == nil {
		answer.Body.Close()
		return nil, fault.New(fault.Unavailable, "the answer was lost")
	}
	return answer, err
}

// pairOf is two nodes whose databases go by hands, and of which one's carrier can be made deaf.
func pairOf(t *testing.T, seams messaging.Seams) (a, b *town, ears *deaf, w *wires, hands *clock.Fake) {
	t.Helper()
	w, ears, hands = wired(), &deaf{}, clock.NewFake(start)
	db := func() *store.DB {
		return storetest.OpenWith(t, store.Options{Clock: hands}, messaging.Schema(), deeds())
	}
	over := func(c network.Carrier) network.Carrier {
		ears.Carrier = c
		return ears
	}
	a = newTownOver(t, db(), over, seams, w, "X26", spine)
	b = newTown(t, db(), w, "RQX", hospital)
	route(a, hospital, "RQX")
	route(b, spine, "X26")
	return a, b, ears, w, hands
}

// TestWhatMayHaveArrivedIsNotGivenUp: only the recipient can tell, and does; a post that does not keep what it tried gets it wrong.
func TestWhatMayHaveArrivedIsNotGivenUp(t *testing.T) {
	for name, c := range map[string]struct {
		seams messaging.Seams
		want  string
	}{"as it is": {want: "delivered handled"}, "with what was tried not kept": {messaging.Seams{NoTried: true}, "expired handled"}} {
		t.Run(name, func(t *testing.T) {
			a, b, ears, w, hands := pairOf(t, c.seams)
			a.send(spine, hospital, "c", "first") // they meet
			settle(t, a, b)
			ears.on = true
			var id string
			if err := a.db.Write(t.Context(), []store.Lane{a.post.LaneOf(spine, "c")}, func(tx *store.Tx) (err error) {
				id, err = a.post.Send(tx.Context(), tx, messaging.Message{From: spine, To: hospital, Workflow: "test", Conversation: "c", Body: []byte("x"), Expires: start.Add(time.Minute)})
				return err
			}); err != nil {
				t.Fatal(err)
			}
			for _, work := range pending(t, a) {
				if _, err := a.post.Turn(t.Context(), work); !fault.Is(err, fault.Unavailable) {
					t.Fatalf("the answer was heard: %v", err)
				}
			}
			w.cut[network.MustNodeID("RQX")] = true
			settle(t, b) // it is handled there
			hands.Advance(time.Hour)
			a.clock.Advance(time.Hour)
			settle(t, a) // the link is cut: what was never tried ends here
			ears.on, w.cut[network.MustNodeID("RQX")] = false, false
			tire(t, a, b)
			if got := a.learnt(id); got != c.want {
				t.Errorf("the sender learnt %q, want %q", got, c.want)
			}
		})
	}
}

func pending(t *testing.T, n *town) []messaging.Work {
	t.Helper()
	list, err := n.post.Pending(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// TestAnOldNoteUndoesNothing: what the network delivers late is known to be old; a post that does not count turns believes it.
func TestAnOldNoteUndoesNothing(t *testing.T) {
	for name, c := range map[string]struct {
		seams messaging.Seams
		want  messaging.State
	}{"as it is": {want: messaging.Handled}, "with turns not counted": {messaging.Seams{NoTurns: true}, messaging.Parked}} {
		t.Run(name, func(t *testing.T) {
			w, ears := wired(), &deaf{}
			a := newTownOver(t, storetest.Open(t, messaging.Schema(), deeds()), func(c network.Carrier) network.Carrier { return c }, c.seams, w, "X26", spine)
			b := newTownOver(t, storetest.Open(t, messaging.Schema(), deeds()), func(c network.Carrier) network.Carrier {
				ears.Carrier = c
				return ears
			}, messaging.Seams{}, w, "RQX", hospital)
			route(a, hospital, "RQX")
			route(b, spine, "X26")
			b.poison("bad")
			id := a.send(spine, hospital, "c", "bad")
			tire(t, a, b)
			old := ears.asked[len(ears.asked)-1] // the note of the parking
			it := b.parked()
			b.poison("")
			if err := b.decide(it, ident.ODSCode{}, func(tx *store.Tx) error { return b.post.Retry(tx, it.Ref, by) }); err != nil {
				t.Fatal(err)
			}
			tire(t, a, b)
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "/messages/exchange", bytes.NewReader(old))
			if err != nil {
				t.Fatal(err)
			}
			answer, err := ears.Do(t.Context(), network.MustNodeID("X26"), r)
			if err != nil || answer.StatusCode != http.StatusOK {
				t.Fatalf("the late exchange: %v", err)
			}
			answer.Body.Close()
			list, err := a.post.ByID(t.Context(), id)
			if err != nil || len(list) != 1 || list[0].State != c.want {
				t.Errorf("after an old note the sender believes %v: %v", list, err)
			}
		})
	}
}
