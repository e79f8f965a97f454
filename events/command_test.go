package events_test

import (
	"testing"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/events"
	"github.com/openspine/openspine/fault"
)

// Whoever holds the node sees the subscriptions by command, and pauses, resumes and ends one with a reason, on the account; nothing tells a secret of the address.
func TestSubscriptionsAreKeptByCommand(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	id := w.system().subscribe("eventType=example-event-1", "/secret-path", "application/json")
	k, by := w.node.Kernel(), access.Service("command-line", national)
	is := func(status string) {
		t.Helper()
		list, err := events.Standings(t.Context(), k, by)
		if err != nil || len(list) != 1 || list[0].ID != id || list[0].Organisation != hospital || list[0].To == "" || list[0].To == w.there.URL+"/secret-path" || list[0].Status != status {
			t.Fatalf("%+v %v", list, err)
		}
	}
	is("active")
	for _, c := range []struct {
		id, what, reason string
		want             fault.Kind
	}{{id, "pause", "no", fault.Invalid}, {id, "resume", "They asked for it", fault.Conflict}, {id, "burn", "They asked for it", fault.Invalid}, {"nobody", "pause", "They asked for it", fault.NotFound}} {
		if err := events.Decide(t.Context(), k, by, c.id, c.what, c.reason); !fault.Is(err, c.want) {
			t.Errorf("%s %s: %v", c.what, c.id, err)
		}
	}
	for _, step := range [][2]string{{"pause", "off"}, {"resume", "active"}} {
		if err := events.Decide(t.Context(), k, by, id, step[0], "They asked for it"); err != nil {
			t.Fatal(err)
		}
		is(step[1])
	}
	if err := events.Decide(t.Context(), k, by, id, "delete", "They asked for it"); err != nil {
		t.Fatal(err)
	}
	if list, err := events.Standings(t.Context(), k, by); err != nil || len(list) != 0 {
		t.Errorf("%+v %v", list, err)
	}
	page, err := k.Audit.Search(t.Context(), audit.Query{Actions: []string{"pause-subscription", "resume-subscription", "delete-subscription"}})
	if err != nil || len(page.Entries) != 3 {
		t.Errorf("on the account: %+v %v", page.Entries, err)
	}
}
