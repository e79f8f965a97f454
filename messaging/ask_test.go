package messaging_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/clock"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/network"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/store/storetest"
)

// What a system elsewhere answers is told to the sender, also when the sender could not hear it the first time.
func TestTheAnswerOfASystemElsewhereIsTold(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		deaf, heard := true, ""
		c := clock.NewFake(start)
		post, err := messaging.New(t.Context(), messaging.Options{DB: db, Clock: c, Tenants: []ident.ODSCode{spine}, Account: ledger{}}, []messaging.Handler{{
			Workflow: "ask", Learn: func(_ context.Context, _ *store.Tx, r messaging.Receipt) error {
				if deaf {
					return errors.New("not now")
				}
				if r.State == messaging.Handled {
					heard = string(r.Answer) + " to " + r.ID
				}
				return nil
			}}}, messaging.Courier{Kind: "address", Ask: func(_ context.Context, _ messaging.Destination, m messaging.Message) ([]byte, error) {
			return []byte("so be it: " + string(m.Body)), nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		n := &town{t: t, db: db, clock: c, post: post}
		var id string
		if err := db.Write(t.Context(), []store.Lane{post.LaneOf(spine, ""), 0}, func(tx *store.Tx) (err error) {
			if err := post.SetRoute(tx, messaging.Route{Recipient: practice, To: messaging.Destination{Kind: "address", Name: "there"}}); err != nil {
				return err
			}
			id, err = post.Send(t.Context(), tx, messaging.Message{From: spine, To: practice, Workflow: "ask", Body: []byte("please")})
			return err
		}); err != nil {
			t.Fatal(err)
		}
		settle(t, n)
		if heard != "" {
			t.Fatalf("the deaf heard %q", heard)
		}
		deaf = false
		tire(t, n)
		if heard != "so be it: please to "+id {
			t.Errorf("the sender heard %q", heard)
		}
		list, err := post.ByID(t.Context(), id)
		if err != nil || len(list) != 1 || list[0].State != messaging.Handled || list[0].Held != nil {
			t.Errorf("%+v %v", list, err)
		}
		if _, err := post.Body(t.Context(), list[0].Ref); !fault.Is(err, fault.Gone) {
			t.Errorf("the answer is still kept: %v", err)
		}
	}, messaging.Schema(), deeds())
}

// What a system elsewhere answers comes back to the sender over the nodes between, however large, also when the sender could not hear it the first time; once each.
func TestAnAnswerComesBackFromAnotherNode(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w, deaf := wired(), true
		node := func(db *store.DB, name string, tenant ident.ODSCode, learn func(context.Context, *store.Tx, messaging.Receipt) error, couriers ...messaging.Courier) *town {
			n := &town{t: t, db: db, clock: clock.NewFake(start)}
			var err error
			n.post, err = messaging.New(t.Context(), messaging.Options{DB: db, Clock: n.clock, Tenants: []ident.ODSCode{tenant}, Account: ledger{}, Jitter: func() float64 { return 1 },
				Carrier: wire{w, network.Peer{Node: network.MustNodeID(name), Organisations: []ident.ODSCode{tenant}, Authority: name == "X26"}}}, []messaging.Handler{{Workflow: "ask", Learn: learn}}, couriers...)
			if err != nil {
				t.Fatal(err)
			}
			w.nodes[network.MustNodeID(name)] = n.post.Handler()
			return n
		}
		east := ident.MustODSCode("RQY")
		sender := node(db, "RQY", east, func(_ context.Context, tx *store.Tx, r messaging.Receipt) error {
			if deaf {
				return errors.New("not now")
			}
			if r.State != messaging.Handled {
				return nil
			}
			_, err := tx.Exec(`INSERT INTO learnt (lane, n, id, state, reason) SELECT ?, coalesce(max(n), 0) + 1, ?, ?, ? FROM learnt WHERE lane = ?`, db.LaneOf("RQY", ""), r.ID, fmt.Sprint(len(r.Answer)), fmt.Sprintf("%.8s", r.Answer), db.LaneOf("RQY", ""))
			return err
		})
		heard := func() string {
			return sender.column(`SELECT CAST(count(*) AS TEXT) || ' ' || CAST(count(DISTINCT id) AS TEXT) || ' ' || coalesce(min(state) || ' ' || min(reason), '') FROM learnt`)
		}
		hub := node(storetest.Open(t, messaging.Schema(), deeds()), "X26", spine, nil)
		far := node(storetest.Open(t, messaging.Schema(), deeds()), "RQX", hospital, nil, messaging.Courier{Kind: "system", Workflow: "ask", Ask: func(_ context.Context, to messaging.Destination, m messaging.Message) ([]byte, error) {
			if to.Name != "RQX" {
				return nil, messaging.Refuse("not mine")
			}
			return append([]byte("so be it "), bytes.Repeat(m.Body, messaging.MaxBody/len(m.Body)-9)...), nil
		}})
		route(sender, hospital, "X26")
		route(hub, hospital, "RQX")
		route(hub, east, "RQY")
		route(far, east, "X26")
		if way, err := far.post.Way(t.Context(), hospital, "ask"); err != nil || way != (messaging.Destination{Kind: "system", Name: "RQX"}) {
			t.Fatalf("goes to %+v %v", way, err)
		}
		const letters = 30
		if err := db.Write(t.Context(), []store.Lane{sender.post.LaneOf(east, "")}, func(tx *store.Tx) error {
			for range letters {
				if _, err := sender.post.Send(t.Context(), tx, messaging.Message{From: east, To: hospital, Workflow: "ask", Body: []byte("?")}); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		settle(t, sender, hub, far)
		if got := heard(); got != "0 0 " {
			t.Fatalf("the deaf heard %s", got)
		}
		deaf = false
		tire(t, sender, hub, far)
		if got, want := heard(), fmt.Sprintf("%d %d %d so be it", letters, letters, messaging.MaxBody); got != want {
			t.Errorf("the sender heard %q, not %q", got, want)
		}
		if left := sender.column(`SELECT CAST(count(*) AS TEXT) FROM post_answer`) + hub.column(`SELECT CAST(count(*) AS TEXT) FROM post_note`) + far.column(`SELECT CAST(count(*) AS TEXT) FROM post_note`); left != "000" {
			t.Errorf("what is left: %s", left)
		}
	}, messaging.Schema(), deeds())
}
