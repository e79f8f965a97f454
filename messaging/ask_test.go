package messaging_test

import (
	"context"
	"errors"
	"testing"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/clock"
	"github.com/openspine/openspine/messaging"
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
