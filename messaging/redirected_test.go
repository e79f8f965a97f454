package messaging_test

import (
	"strings"
	"testing"

	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/network"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/store/storetest"
)

// redirect is a person who sends what a town has parked to another organisation.
func (n *town) redirect(to ident.ODSCode) {
	n.t.Helper()
	it := n.parked()
	if err := n.decide(it, to, func(tx *store.Tx) error {
		_, err := n.post.Redirect(tx, it.Ref, to, by)
		return err
	}); err != nil {
		n.t.Fatal(err)
	}
}

// TestAMessageIsRedirectedThereAndBack: a node that redirected a message elsewhere is sent it again by a person there. It is no message that
// came before: the node takes it, and does not wait for what became of it elsewhere.
func TestAMessageIsRedirectedThereAndBack(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := wired()
		a := newTown(t, storetest.Open(t, messaging.Schema(), deeds()), w, "X26", spine)
		b := newTown(t, db, w, "RQX", hospital)
		route(a, hospital, "RQX")
		route(b, spine, "X26")
		a.poison("bad")
		b.poison("bad")
		id := a.send(spine, hospital, "c", "bad")
		tire(t, a, b)
		b.redirect(spine)
		tire(t, a, b)
		b.poison("")
		a.redirect(hospital)
		tire(t, a, b)
		if got := b.deeds() + a.deeds(); got != "bad" {
			t.Errorf("handled %q, want it once", got)
		}
		if got := state(t, a, id); got != "handled" {
			t.Errorf("the sender believes that it is %s", got)
		}
		if r, err := a.post.Reconcile(t.Context(), network.MustNodeID("RQX")); err != nil || !r.Even() {
			t.Errorf("the ledgers: %+v, %v", r, err)
		}
	}, messaging.Schema(), deeds())
}

// TestARedirectionThatARestoreLostIsKnownAgain: the restored node has the message that waits, and its recipient has it from the days that are
// lost. Whichever comes first, the recipient's word or a person here who redirects it once more, it is handled once.
func TestARedirectionThatARestoreLostIsKnownAgain(t *testing.T) {
	for name, c := range map[string]struct {
		seams messaging.Seams
		again bool
		deeds string
	}{
		"the recipient tells": {deeds: "bad hello"}, "a person decides anew": {again: true, deeds: "bad hello"},
		"with nothing known again": {seams: messaging.Seams{NoRedirected: true}, again: true, deeds: "bad bad hello"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, hub := wired(), network.MustNodeID("X26")
			a := newTownOver(t, storetest.Open(t, messaging.Schema(), deeds()), func(c network.Carrier) network.Carrier { return c }, c.seams, w, "X26", spine)
			over := func(db *store.DB) *town {
				return newTownOver(t, db, func(c network.Carrier) network.Carrier { return c }, c.seams, w, "RQX", hospital)
			}
			b := over(storetest.Open(t, messaging.Schema(), deeds()))
			route(a, hospital, "RQX")
			route(b, spine, "X26")
			b.poison("bad")
			id := b.send(hospital, hospital, "c", "bad")
			tire(t, a, b)
			before := backedUp(t, b)
			b.redirect(spine)
			tire(t, a, b)
			if got := a.deeds(); got != "bad" {
				t.Fatalf("handled %q", got)
			}

			w.cut[hub] = true
			b = over(restored(t, before))
			b.poison("bad")
			tire(t, b)
			if c.again {
				b.redirect(spine)
			}
			w.cut[hub] = false
			b.send(hospital, spine, "", "hello") // whoever has something to say greets
			tire(t, a, b)
			if got := a.deeds() + b.deeds(); got != c.deeds {
				t.Errorf("handled %q, want %q", got, c.deeds)
			}
			if c.seams.NoRedirected {
				return
			}
			for _, it := range states(t, b, id) {
				if it != "handled" && it != "redirected" {
					t.Errorf("the sender's node has it as %v", states(t, b, id))
				}
			}
			if r, err := b.post.Reconcile(t.Context(), hub); err != nil || !r.Even() {
				t.Errorf("the ledgers: %+v, %v", r, err)
			}
			if got := b.learnt(id); !strings.HasPrefix(got, "parked ") || !strings.HasSuffix(got, " handled") {
				t.Errorf("the sender learnt %q", got)
			}
		})
	}
}

// states are what a town believes of each leg of a message.
func states(t *testing.T, n *town, id string) (all []string) {
	t.Helper()
	list, err := n.post.ByID(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	for _, it := range list {
		all = append(all, it.State.String())
	}
	return all
}
