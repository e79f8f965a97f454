package main

import (
	"context"
	"io"
	"net/http"
	"net/http/cookiejar"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openspine/openspine/internal/clock"
	"github.com/openspine/openspine/internal/node"
	"github.com/openspine/openspine/network"
	"github.com/openspine/openspine/sim"
	"github.com/openspine/openspine/sim/simtest"
)

// givenCountry is the demonstration as it starts: a national node and two hospitals', linked.
func givenCountry(t *testing.T) []*node.Node {
	t.Helper()
	return givenCountryBy(t, nil)
}

// givenCountryBy is the demonstration by a clock of the test's.
func givenCountryBy(t *testing.T, by clock.Clock) []*node.Node {
	t.Helper()
	c := demoCommand{Addr: "127.0.0.1:0", Data: t.TempDir(), People: 200, Seed: 1}
	was, err := c.seeded(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	k, err := sim.New(sim.Config{Seed: was.Seed, People: was.People, Now: was.Day})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	nodes, err := c.open(&session{ctx: ctx, stdout: io.Discard, stderr: io.Discard, clock: by}, k, was)
	if err != nil {
		stop()
		t.Fatal(err)
	}
	ready, ended := make(chan error, 1), make(chan error, 1)
	go func() { ended <- node.ServeAll(ctx, nodes, func() { ready <- link(ctx, nodes) }) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	select {
	case err := <-ready:
		if err != nil {
			t.Fatal(err)
		}
	case err := <-ended:
		ended <- err
		t.Fatal(err)
	}
	return nodes
}

func TestTheCountryIsThreeNodes(t *testing.T) {
	t.Parallel()
	nodes := givenCountry(t)
	nation, west := &simtest.World{URL: nodes[0].URL(), Node: nodes[0]}, &simtest.World{URL: nodes[1].URL(), Node: nodes[1]}
	admin, hospital := nation.SignedIn(t, "admin"), west.SignedIn(t, "admin")
	admin.Get("/sign-in").Sees(200, "Larch Street Surgery", "Go to Fenmarket General Hospital", "Go to Eastwold Royal Infirmary").SeesNot("Dr Olumide Adeyemi")
	stayIn(t, nodes)
	beTold(t, nodes)
	simtest.Eventually(t, func() bool { return strings.Contains(admin.Get("/network").Text(), "All 2 links are up") })

	// A link is cut from its page and healed, with its backlog drained and both ledgers equal.
	act := func(act, reason string) {
		path := "/network/links/RZZ01/" + act
		admin.Get(path).Sees(200, "Fenmarket General Hospital").Send(path, "reason", reason).Sees(200)
	}
	act("cut", "the street is being dug up")
	for range 5 {
		admin.Get("/network/lines").Send("/network/lines", "to", "RZZ01", "line", "is the road open?").Sees(200, "Waits here")
	}
	for range 2 {
		hospital.Get("/network/lines").Send("/network/lines", "to", "RZZ02", "line", "it is not").Sees(200, "Waits here")
	}
	admin.Get("/network").Sees(200, "1 of 2 links are up. 5 messages wait.", "Cut, 5 wait")
	act("heal", "the street is whole again")
	simtest.Eventually(t, func() bool {
		return strings.Count(admin.Get("/network/lines").Text(), "Handled") == 5 && strings.Count(hospital.Get("/network/lines").Text(), "Handled") == 7
	})
	admin.Get("/network/links/RZZ01/ledgers").Sees(200, "The ledgers are equal: the difference is 0", "Arrived 5 messages", "Arrived 2 messages")
	hospital.Get("/network/links/X26/ledgers").Sees(200, "The ledgers are equal: the difference is 0")

	// The hospital's copy of the register asks over the link.
	before := requests(t, nodes[1])
	if err := nodes[1].Replica().Again(t.Context(), sim.HospitalWest); err != nil {
		t.Fatal(err)
	}
	if err := nodes[1].Replica().Begin(t.Context(), sim.HospitalWest, 5); err != nil {
		t.Fatal(err)
	}
	if after := requests(t, nodes[1]); after < before+5 {
		t.Errorf("five people were asked about, and %d requests went over the link", after-before)
	}
	west.SignedIn(t, "hospital-clerk").Get("/replica").Sees(200, "Fenmarket General Hospital")
}

func requests(t *testing.T, n *node.Node) int64 {
	t.Helper()
	l, err := n.Kernel().Network.Link(t.Context(), network.MustNodeID("X26"))
	if err != nil {
		t.Fatal(err)
	}
	return l.Requests
}

// stayIn signs in at each node with one browser: nodes of one machine share its cookies, and who signs in at one stays signed in at the others.
func stayIn(t *testing.T, nodes []*node.Node) {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Jar: jar}
	for _, n := range nodes {
		resp, err := client.PostForm(n.URL()+"/sign-in", map[string][]string{"user": {"admin"}, "to": {"/"}})
		if err != nil {
			t.Fatal(err)
		}
		if err := resp.Body.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for i, name := range []string{"Grace Mwangi", "Idris Bowen", "Tamsin Holt"} {
		resp, err := client.Get(nodes[i].URL() + "/")
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		if err != nil || resp.Body.Close() != nil || !strings.Contains(string(text), name) {
			t.Errorf("%s is not signed in at %s: %v", name, nodes[i].Name(), err)
		}
	}
}

// beTold checks that no two people who can sign in at one node are shown by the same name, whatever their titles: whoever chooses whom to be, or reads who did something, could not tell them apart.
func beTold(t *testing.T, nodes []*node.Node) {
	t.Helper()
	for _, n := range nodes {
		users, err := n.Kernel().Gate.DemoUsers(t.Context())
		if err != nil || len(users) < 3 {
			t.Fatalf("%d users at %s: %v", len(users), n.Name(), err)
		}
		named := map[string]string{}
		for _, u := range users {
			words := strings.Fields(strings.ToLower(u.Name))
			if slices.Contains([]string{"mr", "mrs", "ms", "miss", "dr", "prof", "professor"}, strings.TrimSuffix(words[0], ".")) {
				words = words[1:]
			}
			name := strings.Join(words, " ")
			if other, ok := named[name]; ok && other != u.ID {
				t.Errorf("%s and %s are both called %s at %s", other, u.ID, u.Name, n.Name())
			}
			named[name] = u.ID
		}
	}
}
