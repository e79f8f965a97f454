package mesh_test

import (
	"testing"
	"time"

	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/mesh"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/store"
)

// What another service sends to a mailbox comes into it when it is for the mailbox's own organisation, and into nobody else's.
func TestAMailboxTakesWhatIsForItsOwnOrganisation(t *testing.T) {
	t.Parallel()
	w := given(t)
	k := w.n.Kernel()
	for _, c := range []struct {
		to   string
		want messaging.State
	}{{"X26", messaging.Handled}, {"X27", messaging.Refused}} {
		to := ident.MustODSCode(c.to)
		var id string
		if err := k.DB.Write(t.Context(), []store.Lane{k.Post().LaneOf(k.National, "")}, func(tx *store.Tx) (err error) {
			id, err = k.Post().SendTo(t.Context(), tx, messaging.Destination{Kind: mesh.Kind, Name: first}, messaging.Message{From: k.National, To: to, Workflow: "TEST_WORKFLOW", Body: []byte("{}")})
			return err
		}); err != nil {
			t.Fatal(err)
		}
		var state messaging.State
		for end := time.Now().Add(20 * time.Second); !state.Final() && time.Now().Before(end); {
			list, err := k.Post().ByID(t.Context(), id)
			if err != nil || len(list) == 0 {
				t.Fatal(list, err)
			}
			state = list[0].State
			w.clock.Advance(time.Second) // the post looks for what it was not rung for
		}
		if state != c.want {
			t.Errorf("what is for %s in a mailbox of X26 is %v, not %v", c.to, state, c.want)
		}
	}
}
