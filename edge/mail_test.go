package edge_test

import (
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/edge"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/node"
	"github.com/openspine/openspine/mesh"
	"github.com/openspine/openspine/network"
	"github.com/openspine/openspine/sim/simtest"
	"github.com/openspine/openspine/store"
)

const workflow = "LAB_RESULTS"

// givenMail is a world in which the national node and the gateway have a mailbox each, and each was learnt by the other.
func givenMail(t *testing.T, more ...func(*node.Config, *edge.Options)) *world {
	t.Helper()
	w := given(t, more...)
	for _, b := range []struct {
		n  *node.Node
		id string
		of ident.ODSCode
	}{{w.nation, "X26BOX1", nation}, {w.edge, "RQX01BOX1", site}} {
		admin := access.Service("test", b.of)
		if err := b.n.Mail().SetSharedKey(t.Context(), admin, mesh.DemoSharedKey, "for the test"); err != nil {
			t.Fatal(err)
		}
		box := mesh.Mailbox{ID: b.id, ODS: b.of, Name: "Box of " + b.of.String(), Owner: "the test", Bound: true, Workflows: mesh.Rights([]string{workflow}, []string{workflow})}
		if err := b.n.Mail().Put(t.Context(), admin, box, mesh.DemoPassword, "for the test"); err != nil {
			t.Fatal(err)
		}
	}
	w.learnt(t)
	return w
}

// learnt waits until each node knows the other's mailbox.
func (w *world) learnt(t *testing.T) {
	t.Helper()
	simtest.Eventually(t, func() bool {
		if err := w.edge.Mail().LearnBook(t.Context()); err != nil && !fault.Is(err, fault.Unavailable) {
			t.Fatal(err)
		}
		there, err := w.edge.Mail().Mailbox(t.Context(), "X26BOX1")
		here, again := w.nation.Mail().Mailbox(t.Context(), "RQX01BOX1")
		return err == nil && again == nil && there.Learnt && here.Learnt && here.State == mesh.Open
	})
}

// program asks a node as the program of a mailbox does.
func (w *world) program(n *node.Node, box, method, path, body string, headers ...string) (int, http.Header, map[string]any, string) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, n.PlainURL()+"/messageexchange/"+box+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Authorization", mesh.Authorization(box, mesh.DemoPassword, mesh.DemoSharedKey, rand.Text(), "0", time.Now()))
	r.Header.Set("Accept", "application/vnd.mesh.v2+json")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	said := map[string]any{}
	_ = json.Unmarshal(text, &said) // what is read from an inbox is no JSON
	return resp.StatusCode, resp.Header, said, string(text)
}

func (w *world) post(n *node.Node, from, to, body string) (status int, id, text string) {
	w.t.Helper()
	status, _, said, text := w.program(n, from, "POST", "/outbox", body, "Mex-To", to, "Mex-WorkflowID", workflow, "Mex-LocalID", "local "+body)
	id, _ = said["message_id"].(string)
	return status, id, text
}

// comes waits until a message is in an inbox, and hands over what is in it.
func (w *world) comes(n *node.Node, box string, is func(http.Header) bool) (h http.Header, body string) {
	w.t.Helper()
	simtest.Eventually(w.t, func() bool {
		_, _, said, text := w.program(n, box, "GET", "/inbox", "")
		list, ok := said["messages"].([]any)
		if !ok {
			w.t.Fatalf("the inbox is answered %s", text)
		}
		for _, id := range list {
			if _, h, _, body = w.program(n, box, "GET", "/inbox/"+id.(string), ""); is(h) {
				return true
			}
		}
		return false
	})
	return h, body
}

func (w *world) tracked(n *node.Node, box, id, status string) {
	w.t.Helper()
	simtest.Eventually(w.t, func() bool {
		_, _, said, _ := w.program(n, box, "GET", "/outbox/tracking?messageID="+id, "")
		return said["status"] == status
	})
}

func message(id string) func(http.Header) bool {
	return func(h http.Header) bool { return h.Get("Mex-MessageID") == id }
}

func report(id string) func(http.Header) bool {
	return func(h http.Header) bool {
		return h.Get("Mex-MessageType") == "REPORT" && h.Get("Mex-LinkedMsgID") == id
	}
}

func (w *world) cut(yes bool) {
	w.t.Helper()
	links, to := w.edge.Kernel().Network, network.MustNodeID("X26")
	do := links.HealLink
	if yes {
		do = links.CutLink
	}
	if err := do(w.t.Context(), access.Service("test", site), to, "a test of what waits"); err != nil {
		w.t.Fatal(err)
	}
}

// The site's own program speaks MESH to the gateway: what it sends while the link is down is taken and goes when it is back, to a mailbox that the gateway has learnt
// of; what comes for it is in its inbox; and each side sees that the other has collected.
func TestTheGatewayIsAPostOfficeForTheSitesPrograms(t *testing.T) {
	both(t, isAPostOffice)
}

func isAPostOffice(t *testing.T, engine func(*node.Config, *edge.Options)) {
	w := givenMail(t, engine)
	w.cut(true)
	status, id, text := w.post(w.edge, "RQX01BOX1", "X26BOX1", "taken while the link is down")
	if status != http.StatusAccepted || id == "" {
		t.Fatalf("sending is answered %d %s", status, text)
	}
	if status, _, text := w.post(w.edge, "RQX01BOX1", "X26NEW", "to nobody known"); status != http.StatusServiceUnavailable || !strings.Contains(text, "send it again later") {
		t.Errorf("a mailbox that nobody can be asked about is answered %d %s", status, text)
	}
	w.cut(false)
	if _, body := w.comes(w.nation, "X26BOX1", message(id)); body != "taken while the link is down" {
		t.Errorf("what came is %q", body)
	}
	if status, _, _, text := w.program(w.nation, "X26BOX1", "PUT", "/inbox/"+id+"/status/acknowledged", ""); status != http.StatusOK {
		t.Fatalf("acknowledging is answered %d %s", status, text)
	}
	w.tracked(w.edge, "RQX01BOX1", id, "acknowledged")

	status, id, text = w.post(w.nation, "X26BOX1", "RQX01BOX1", "for the site")
	if status != http.StatusAccepted {
		t.Fatalf("sending to the site is answered %d %s", status, text)
	}
	if _, body := w.comes(w.edge, "RQX01BOX1", message(id)); body != "for the site" {
		t.Errorf("what came is %q", body)
	}
	if status, _, text := w.post(w.edge, "RQX01BOX1", "X26NEW", "to nobody"); status != http.StatusExpectationFailed || !strings.Contains(text, `"12"`) {
		t.Errorf("a mailbox that does not exist is answered %d %s", status, text)
	}
	if _, _, said, _ := w.program(w.edge, "endpointlookup", "GET", "/X26/"+workflow, ""); len(said["results"].([]any)) != 1 {
		t.Errorf("the gateway's book says %v of X26", said)
	}
}

// The sender learns by a report what its mail came to at another node: that the mailbox was suspended meanwhile, and that nobody collected.
func TestReportsComeFromAnotherNode(t *testing.T) {
	t.Parallel()
	w := givenMail(t)
	w.cut(true)
	admin := access.Service("test", nation)
	if err := w.nation.Mail().Set(t.Context(), admin, "X26BOX1", mesh.Suspended, "a test"); err != nil {
		t.Fatal(err)
	}
	status, id, text := w.post(w.edge, "RQX01BOX1", "X26BOX1", "too late")
	if status != http.StatusAccepted {
		t.Fatalf("sending is answered %d %s", status, text)
	}
	w.cut(false)
	h, _ := w.comes(w.edge, "RQX01BOX1", report(id))
	if h.Get("Mex-StatusCode") != "12" || h.Get("Mex-LocalID") != "local too late" {
		t.Errorf("the report says %v", h)
	}
	w.tracked(w.edge, "RQX01BOX1", id, "undeliverable")
	if err := w.nation.Mail().Set(t.Context(), admin, "X26BOX1", mesh.Open, "a test"); err != nil {
		t.Fatal(err)
	}
	w.learnt(t)

	_, id, _ = w.post(w.nation, "X26BOX1", "RQX01BOX1", "nobody comes for it")
	w.comes(w.edge, "RQX01BOX1", message(id))
	if err := w.edge.Kernel().DB.Write(t.Context(), nil, func(tx *store.Tx) error { // as after five days
		_, err := tx.Exec(`UPDATE mesh_mail SET expires = ? WHERE mailbox = 'RQX01BOX1' AND side = 2 AND id = ?`, tx.At().Add(-time.Second), id)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if err := w.edge.Mail().Expire(t.Context()); err != nil {
		t.Fatal(err)
	}
	if h, _ := w.comes(w.nation, "X26BOX1", report(id)); h.Get("Mex-StatusCode") != "14" {
		t.Errorf("the report says %v", h)
	}
	w.tracked(w.nation, "X26BOX1", id, "undeliverable")
}

// The national book takes from a node its own mailboxes and nobody else's; what a person entered stays as they entered it; what is closed leaves it.
func TestTheBookIsOfWhatEachNodeMaySay(t *testing.T) {
	t.Parallel()
	w := givenMail(t)
	ctx, here, there := t.Context(), w.edge.Mail(), w.nation.Mail()
	admin := access.Service("test", site)
	mine := func(id, ods string) mesh.Mailbox {
		return mesh.Mailbox{ID: id, ODS: ident.MustODSCode(ods), Name: id, Owner: "the test"}
	}
	if err := there.Put(ctx, access.Service("test", nation), mesh.Mailbox{ID: "RQX01BYHAND", ODS: site, Name: "By hand", Owner: "the office", Elsewhere: true}, "", "known by telephone"); err != nil {
		t.Fatal(err)
	}
	for _, b := range []mesh.Mailbox{mine("RQX01BOX2", "RQX01"), mine("RQX01BYHAND", "RQX01"), mine("RQYFORGED", "RQY")} {
		if err := here.Put(ctx, admin, b, "password", "a test"); err != nil {
			t.Fatal(err)
		}
	}
	if err := here.Put(ctx, admin, mine("X26FORGED", "X26"), "password", "a test"); !fault.Is(err, fault.Conflict) {
		t.Errorf("a mailbox of an organisation whose mailboxes are elsewhere: %v", err)
	}
	simtest.Eventually(t, func() bool {
		_, err := there.Mailbox(ctx, "RQX01BOX2")
		return err == nil && here.LearnBook(ctx) == nil
	})
	var ids []string
	all, err := there.Mailboxes(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range all {
		ids = append(ids, b.ID)
		if b.ID == "RQX01BYHAND" && b.Name != "By hand" {
			t.Error("what a person entered was overwritten")
		}
	}
	if want := []string{"RQX01BOX1", "RQX01BOX2", "RQX01BYHAND", "X26BOX1"}; !slices.Equal(ids, want) {
		t.Errorf("the national node knows %v, not %v", ids, want)
	}
	if err := here.Set(ctx, admin, "RQX01BOX2", mesh.Closed, "a test"); err != nil {
		t.Fatal(err)
	}
	simtest.Eventually(t, func() bool {
		b, err := there.Mailbox(ctx, "RQX01BOX2")
		return err == nil && here.LearnBook(ctx) == nil && b.State == mesh.Closed
	})
}
