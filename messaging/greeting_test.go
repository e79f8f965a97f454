package messaging

import (
	"testing"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/clock"
	"github.com/openspine/openspine/network"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/store/storetest"
)

// TestAGreetingThatIsHeldUp: a life of a peer's is asked for a word and says it, but that greeting is held up on its way. Meanwhile the peer is restored, and this node greets the life that came after. What was held up takes no place from it.
func TestAGreetingThatIsHeldUp(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p, err := New(t.Context(), Options{DB: db, Clock: clock.NewFake(time.Date(2026, 6, 5, 9, 0, 0, 0, time.UTC)), Tenants: []ident.ODSCode{ident.MustODSCode("RQX")}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		spine := network.MustNodeID("X26")
		greets := func(life, word string) (again string, err error) {
			g := greeting{mine: life, word: word}
			body, err := p.serveGreet(t.Context(), network.Peer{Node: spine}, g.encode())
			if err != nil {
				return "", err
			}
			answer, err := decodeGreeted(body)
			return answer.again, err
		}
		if again, err := greets("first", ""); err != nil || again != "" {
			t.Fatalf("the first life of all is asked for %q (%v)", again, err)
		}
		word, err := greets("second", "")
		if err != nil || word == "" {
			t.Fatalf("the second is believed without a word (%v)", err)
		}
		if err := db.Write(t.Context(), nil, func(tx *store.Tx) error { return meet(tx, spine, "third") }); err != nil {
			t.Fatal(err)
		}
		if again, err := greets("second", word); err != nil || again == "" {
			t.Errorf("the second, held up, is believed (%v)", err)
		}
		if again, err := greets("third", ""); err != nil || again != "" {
			t.Errorf("the third, which is there, is asked for %q (%v)", again, err)
		}
		// One that is there says its word in time, and takes the place.
		if word, err = greets("fourth", ""); err != nil || word == "" {
			t.Fatalf("the fourth is believed without a word (%v)", err)
		}
		if again, err := greets("fourth", word); err != nil || again != "" {
			t.Errorf("the fourth, which said its word, is asked for %q (%v)", again, err)
		}
		if _, err := greets("third", ""); !fault.Is(err, fault.Gone) {
			t.Errorf("the third, whose place is taken, is answered %v", err)
		}
	}, Schema())
}
