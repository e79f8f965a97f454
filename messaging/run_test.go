package messaging_test

import (
	"context"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/clock"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/store/storetest"
)

// TestTheFirstMessageToAPlaceWaitsForNothing: whoever is rung for finds it, although nobody had sent there before, and no clock moves.
func TestTheFirstMessageToAPlaceWaitsForNothing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		placed := make(chan string, 100) // rehearsals put a message down, too
		courier := messaging.Courier{Kind: "box", Place: func(_ context.Context, _ *store.Tx, to messaging.Destination, _ messaging.Message) error {
			placed <- to.Name
			return nil
		}}
		post, err := messaging.New(ctx, messaging.Options{DB: db, Clock: clock.NewFake(start), Tenants: []ident.ODSCode{spine}}, nil, courier)
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		run, stop := context.WithCancel(ctx)
		go func() { done <- post.Run(run) }()
		for _, box := range strings.Fields("a b c d e f g h") {
			if err := db.Write(ctx, []store.Lane{post.LaneOf(spine, box)}, func(tx *store.Tx) error {
				_, err := post.SendTo(ctx, tx, messaging.Destination{Kind: "box", Name: box}, messaging.Message{From: spine, To: spine, Workflow: "test", Conversation: box, Body: []byte("x")})
				for range 1000 { // whoever was rung for too early would look now
					runtime.Gosched()
				}
				return err
			}); err != nil {
				t.Fatal(err)
			}
			for got := ""; got != box; {
				select {
				case got = <-placed:
				case <-ctx.Done():
					t.Fatalf("the message to %q waits for a clock", box)
				}
			}
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}, messaging.Schema())
}
