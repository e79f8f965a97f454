package edge_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/openspine/openspine/edge"
	"github.com/openspine/openspine/internal/node"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/sim/simtest"
	"github.com/openspine/openspine/store"
)

// local is a site's system that speaks FHIR: it is away for its first request, and keeps what it takes.
type local struct {
	*httptest.Server
	mu     sync.Mutex
	away   int
	taken  []string
	wrong  []string
	refuse string // what it says no to
}

func newLocal(t *testing.T) *local {
	t.Helper()
	l := &local{away: 1}
	l.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(r.Body)
		l.mu.Lock()
		defer l.mu.Unlock()
		if err != nil || r.URL.Path != "/fhir/$process-message" || r.Header.Get("Authorization") != "Bearer s3cret" || r.Header.Get("Idempotency-Key") == "" {
			l.wrong = append(l.wrong, r.Method+" "+r.URL.Path+" "+r.Header.Get("Authorization"))
		}
		switch {
		case l.away > 0:
			l.away--
			w.WriteHeader(http.StatusServiceUnavailable)
		case l.refuse != "" && strings.Contains(string(text), l.refuse):
			w.WriteHeader(http.StatusUnprocessableEntity)
			fmt.Fprint(w, `{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"invalid","diagnostics":"no such ward"}]}`)
		default:
			l.taken = append(l.taken, string(text))
		}
	}))
	t.Cleanup(l.Close)
	return l
}

func (l *local) has() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.taken...)
}

// letter is a FHIR message.
func letter(id string) string {
	return `{"resourceType":"Bundle","id":"b-` + id + `","type":"message","entry":[{"fullUrl":"urn:uuid:4d0d0b3a-5a0a-4b4e-9d6c-0f7e8f3b2a11","resource":{"resourceType":"MessageHeader","id":"` + id + `","eventUri":"urn:x:letter","source":{"endpoint":"urn:x:us"}}}]}`
}

// FHIR messages for the site are posted to its own system, in the order of their conversation and again while it is away; the sender learns what it says.
func TestFHIRMessagesComeToTheLocalSystem(t *testing.T) {
	t.Parallel()
	system := newLocal(t)
	system.refuse = "wrong"
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w := given(t, func(cfg *node.Config, o *edge.Options) {
		o.FHIR, cfg.Deliveries = "local", []node.DeliveryConfig{{Endpoint: "local", Address: system.URL + "/fhir/", TokenFile: token}}
	})
	post, db := w.nation.Kernel().Post(), w.nation.Kernel().DB
	ids := map[string]string{}
	for _, name := range []string{"one", "wrong", "two"} {
		if err := db.Write(t.Context(), []store.Lane{post.LaneOf(nation, "patient 7")}, func(tx *store.Tx) (err error) {
			ids[name], err = post.Send(context.WithoutCancel(t.Context()), tx, messaging.Message{From: nation, To: site, Workflow: "fhir.message", Conversation: "patient 7", Body: []byte(letter(name))})
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]messaging.State{"one": messaging.Handled, "two": messaging.Handled, "wrong": messaging.Refused} {
		simtest.Eventually(t, func() bool {
			items, err := post.ByID(t.Context(), ids[name])
			return err == nil && len(items) == 1 && items[0].State == want
		})
	}
	if got := system.has(); len(got) != 2 || got[0] != letter("one") || got[1] != letter("two") || len(system.wrong) > 0 {
		t.Errorf("the local system took %q; wrong: %q", got, system.wrong)
	}
	items, err := post.ByID(t.Context(), ids["wrong"])
	if err != nil {
		t.Fatal(err)
	}
	steps, err := post.Timeline(t.Context(), items[0].Ref)
	if err != nil || !strings.Contains(steps[len(steps)-1].Reason, "no such ward") {
		t.Errorf("the sender is told %+v (%v)", steps, err)
	}
	if left := w.files("inbox/fhir.message/*"); len(left) > 0 {
		t.Errorf("the inbox holds %v as well", left)
	}
}
