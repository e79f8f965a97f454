package links_test

import (
	"bufio"
	"context"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/node"
	"github.com/openspine/openspine/network"
	"github.com/openspine/openspine/sim/simtest"
	"github.com/openspine/openspine/store/storetest"
	"github.com/openspine/openspine/web/webtest"
)

// site is a node of a small network, as its administrator reads it.
type site struct {
	*simtest.Reader
	world *simtest.World
	t     testing.TB
}

// open makes a node that keeps the records of one organisation; at is where the national node listens for it, once it does.
func open(t *testing.T, code, name, kind, database string, at func() string) *simtest.World {
	t.Helper()
	cfg := node.Config{Name: code, Addr: "127.0.0.1:0", Data: t.TempDir(), Database: database, National: "X26", Demo: true, Tenants: []node.TenantConfig{{Code: code, Name: name, Kind: kind}}}
	if at == nil {
		cfg.NetworkAddr = "127.0.0.1:0"
	}
	n, err := node.Open(t.Context(), cfg, node.Options{Logger: slog.New(slog.DiscardHandler), Dial: func(ctx context.Context, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", at())
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Listen(); err != nil {
		t.Fatal(err)
	}
	users := []access.User{{Demo: true, Principal: access.Principal{ID: "admin", Name: "Ada Okafor", Role: access.Administrator, Organisation: ident.MustODSCode(code)}},
		{Demo: true, Principal: access.Principal{ID: "clerk", Name: "Ravi Menon", Role: access.Clerk, Organisation: ident.MustODSCode(code)}}}
	if err := n.Kernel().Gate.PutUsers(t.Context(), users); err != nil {
		t.Fatal(err)
	}
	serving, stop := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- n.Serve(serving, func() { close(ready) }) }()
	<-ready
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return &simtest.World{URL: n.URL(), Node: n}
}

// given is a national node and a hospital's, linked.
func given(t *testing.T) (nation, hospital site) {
	t.Helper()
	return givenOn(t, "", "")
}

// givenOn is given with the databases of the two.
func givenOn(t *testing.T, national, hospitals string) (nation, hospital site) {
	t.Helper()
	n := open(t, "X26", "Aldershire Health Spine", "national", national, nil)
	h := open(t, "RQX", "Fenmarket General Hospital", "hospital", hospitals, n.Node.LinkAddress)
	by, links := access.Service("test", ident.MustODSCode("X26")), n.Node.Kernel().Network
	if err := links.Found(t.Context(), by, network.MustNodeID("X26"), nil, []string{"nation.invalid:8444"}); err != nil {
		t.Fatal(err)
	}
	nation, hospital = site{n.SignedIn(t, "admin"), n, t}, site{h.SignedIn(t, "admin"), h, t}
	hospital.Get("/network").Sees(200, "This node belongs to no network")
	nation.Get("/network/tokens").Sees(200, "Make a token")
	nation.Send("/network/tokens", "node", "RQX", "others", "RQX01 nonsense!", "lasts", "24", "reason", "short").Sees(422, "is no ODS code", "Say why, in 10 to 500 characters")
	nation.Send("/network/tokens", "node", "RQX", "others", "RQX01", "lasts", "24", "reason", "the hospital joins today").Sees(200, "It is shown this once", "nation.invalid:8444")
	said := nation.Text()
	at := strings.Index(said, "join-")
	token, err := network.ParseToken(strings.Fields(said[at:])[0])
	if err != nil {
		t.Fatal(err)
	}
	nation.Get("/network/tokens").SeesNot("join-ey")
	if err := h.Node.Kernel().Network.Join(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	nation.until("/network", "The one link is up")
	hospital.until("/network", "The one link is up")
	return nation, hospital
}

// until opens a page until it says something.
func (s site) until(path, text string) {
	simtest.Eventually(s.t, func() bool { return strings.Contains(s.Get(path).Text(), text) })
}

func (s site) cut(peer, act, reason string) *simtest.Reader {
	path := "/network/links/" + peer + "/" + act
	return s.Get(path).Sees(200).Send(path, "reason", reason)
}

func (s site) send(to, text string) *simtest.Reader {
	return s.Get("/network/lines").Send("/network/lines", "to", to, "line", text)
}

func TestALinkIsCutFromItsPageAndHealedAndTheLedgersAreEven(t *testing.T) {
	t.Parallel()
	t.Run("SQLite", func(t *testing.T) { t.Parallel(); cutAndHealed(t, "", "") })
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		cutAndHealed(t, storetest.PostgresURL(t), storetest.PostgresURL(t))
	})
}

func cutAndHealed(t *testing.T, national, hospitals string) {
	nation, hospital := givenOn(t, national, hospitals)
	nation.cut("RQX", "cut", "short").Sees(422, "Say why")
	nation.Get("/network/links/RQX").Sees(200, "Up", "Speaks for", "RQX RQX01", "Cut the link").SeesNot("cut on purpose")
	nation.cut("RQX", "cut", "the line is being mended").Sees(200, "This link was cut on purpose", "Ada Okafor", "the line is being mended", "Heal the link")
	hospital.until("/network/links/X26", "the line is being mended")
	nation.Get("/network/links/RQX/cut")
	nation.Send("/network/links/RQX/cut", "reason", "the line is being mended").Sees(409)

	for range 3 {
		nation.send("RQX", "does it come through?").Sees(200, "Waits here")
	}
	hospital.send("X26", "it does, in the end").Sees(200, "Waits here")
	nation.Get("/network").Sees(200, "0 of 1 links are up. 3 messages wait.", "Cut, 3 wait")
	nation.Get("/network?state=up").Sees(200, "No link is as you chose")
	nation.Get("/network/links/RQX").Sees(200, "3 messages, the oldest sent")
	nation.Get("/network/links/RQX/ledgers").Sees(200, "cannot be compared now", "the line is being mended")
	hospital.Get("/network/lines").SeesNot("does it come through?")

	nation.cut("RQX", "heal", "the line is mended").Sees(200, "Cut the link")
	simtest.Eventually(t, func() bool {
		sent, received := nation.Get("/network/lines").Text(), hospital.Get("/network/lines").Text()
		return !strings.Contains(sent+received, "Waits here") && !strings.Contains(sent+received, "Delivered") && strings.Count(sent, "Handled") == 4 && strings.Count(received, "Handled") == 4
	})
	hospital.Sees(200, "does it come through?", "From Aldershire Health Spine")
	nation.Get("/network/links/RQX/ledgers").Sees(200, "The ledgers are equal: the difference is 0", "Arrived 3 messages", "Arrived 1 message")
	hospital.Get("/network/links/X26/ledgers").Sees(200, "The ledgers are equal: the difference is 0", "Arrived 3 messages", "Arrived 1 message")
	nation.Get("/network/links/RQX").Sees(200, "Was cut", "Was healed", "Came up")
	nation.Get("/network/links/RQX?format=csv").Sees(200)
	if !strings.Contains(nation.Body, "healed") || !strings.HasPrefix(nation.Body, "\ufeffat,") && !strings.HasPrefix(nation.Body, "at,") {
		t.Errorf("the export of the events is %q", nation.Body)
	}
	nation.Get("/network/lines?format=csv").Sees(200, "does it come through?", "handled")
	nation.Get("/network/lines?way=received").Sees(200, "1 line", "it does, in the end")
}

func TestALineToNobodyIsRefusedInWords(t *testing.T) {
	t.Parallel()
	nation, _ := given(t)
	nation.send("RQZ", "is anybody there?").Sees(422, "Nobody on the network keeps the post of RQZ")
	nation.send("X26", "to myself").Sees(422, "Enter the ODS code of another organisation")
	nation.send("RQX", strings.Repeat("x", 201)).Sees(422, "in 200 characters at most")
	nation.Get("/network/lines").Sees(200, "No line was sent or received here")
	nation.world.SignedIn(t, "clerk").Get("/network").Sees(403)
}

func TestAMemberIsRevokedWithAReason(t *testing.T) {
	t.Parallel()
	nation, hospital := given(t)
	hospital.Get("/network/certificates").Sees(200, "kept at X26, which shows all of them")
	hospital.Get("/network/tokens").Sees(404)
	nation.Get("/network/certificates").Sees(200, "At most 2 certificates of 2 end in one week", "2 members", "Revoke RQX")
	nation.Get("/network/members/X26/revoke").Sees(404)
	path := "/network/members/RQX/revoke"
	nation.Get(path).Sees(200, "shut out at once", "RQX RQX01").Send(path, "reason", "").Sees(422, "Say why")
	nation.Send(path, "reason", "the machine was stolen").Sees(200, "Revoked", "the machine was stolen")
	nation.Get("/network/certificates").Sees(200, "1 member").SeesNot("Revoke RQX")
	hospital.until("/network", "Refused")
	nation.Get(path).Sees(404)
	nation.Get("/network/certificates?show=all&format=csv").Sees(200, "the machine was stolen")
	nation.Get("/network").Sees(200, "No node is linked to this one").SeesNot("the machine was stolen", "RQX")
	nation.Get("/network?state=revoked").Sees(200, "1 link", "RQX", "the machine was stolen")
	nation.Get("/network/links/RQX").Sees(200, "Revoked", "the machine was stolen").SeesNot("Cut the link")
}

// An open page's line says that something changed, and nothing else.
func TestAnOpenPageIsToldWhenALinkChanges(t *testing.T) {
	t.Parallel()
	nation, _ := given(t)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, nation.world.URL+"/network/changes", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.AddCookie(&http.Cookie{Name: webtest.SessionCookie, Value: nation.Cookie()})
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	if !lines.Scan() || !strings.HasPrefix(lines.Text(), "retry:") {
		t.Fatalf("the line begins with %q", lines.Text())
	}
	nation.cut("RQX", "cut", "the line is being mended")
	told := make(chan string, 1)
	go func() {
		for lines.Scan() {
			if strings.HasPrefix(lines.Text(), "data:") {
				told <- lines.Text()
				return
			}
		}
	}()
	select {
	case text := <-told:
		if text != "data: changed" {
			t.Errorf("the line says %q", text)
		}
	case <-time.After(time.Minute):
		t.Error("a minute has passed, and nobody was told")
	}
}

func TestEveryPageIsHealthy(t *testing.T) {
	t.Parallel()
	b := webtest.NewBrowser(t)
	nation, hospital := given(t)
	nation.send("RQX", "a line of text")
	nation.until("/network/lines", "Handled")
	if err := nation.world.Node.Kernel().Network.Chronicle(t.Context()); err != nil {
		t.Fatal(err)
	}
	hospital.cut("X26", "cut", "the line is being mended")
	hospital.send("X26", "this waits")
	var visits []webtest.Visit
	for _, path := range []string{"/network", "/network/links/RQX", "/network/links/RQX/cut", "/network/links/RQX/ledgers", "/network/certificates", "/network/tokens", "/network/members/RQX/revoke", "/network/lines"} {
		visits = append(visits, webtest.Visit{User: "nation", Path: path, Cookie: nation.Cookie(), Walk: path == "/network" || path == "/network/lines"})
	}
	b.EveryPage(t, nation.world.URL, visits)
	b.EveryPage(t, hospital.world.URL, []webtest.Visit{{User: "hospital", Path: "/network", Cookie: hospital.Cookie()}, {User: "hospital", Path: "/network/links/X26/heal", Cookie: hospital.Cookie()}, {User: "hospital", Path: "/network/certificates", Cookie: hospital.Cookie()}})
}
