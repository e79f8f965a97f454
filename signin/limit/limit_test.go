package limit

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/openspine/openspine/internal/clock"
)

func guard(r Rates) (*Guard, *clock.Fake) {
	at := clock.NewFake(time.Date(2027, 3, 1, 9, 0, 0, 0, time.UTC))
	return New(at, r), at
}

func TestWrongProofsShutTheirSenderOutForAMinute(t *testing.T) {
	g, at := guard(Rates{})
	stranger, elsewhere := Caller{"app", "203.0.113.9"}, Caller{"app", "198.51.100.4"}
	for range ClientTries - 1 {
		g.Wrong(stranger)
	}
	if left, _ := g.Shut(stranger); left != 0 {
		t.Errorf("shut out too early, for %v", left)
	}
	at.Advance(20 * time.Second)
	g.Wrong(stranger)
	if left, _ := g.Shut(stranger); left != ShutFor {
		t.Errorf("after %d wrong proofs: %v", ClientTries, left)
	}
	if left, _ := g.Shut(elsewhere); left != 0 {
		t.Errorf("the same client from elsewhere is shut out for %v", left)
	}
	if left, _ := g.Shut(Caller{"other", stranger.Address}); left != 0 {
		t.Errorf("another client from the same address is shut out for %v", left)
	}
	at.Advance(ShutFor)
	if left, _ := g.Shut(stranger); left != 0 {
		t.Errorf("a minute later: %v", left)
	}
}

// Wrong proofs that are seldom are mistakes.
func TestSeldomMistakesShutNobodyOut(t *testing.T) {
	g, at := guard(Rates{})
	c := Caller{"app", "203.0.113.9"}
	for range 10 * ClientTries {
		g.Wrong(c)
		at.Advance(Window/ClientTries + time.Second)
	}
	if left, _ := g.Shut(c); left != 0 {
		t.Errorf("shut out for %v", left)
	}
}

func TestAnAddressThatTriesManyClientsIsShutOutButForThoseItIsKnownFor(t *testing.T) {
	g, at := guard(Rates{})
	known := Caller{"ward", "203.0.113.9"}
	g.Right(known)
	for i := range AddressTries {
		g.Wrong(Caller{fmt.Sprint("guess", i), known.Address})
	}
	if left, _ := g.Shut(Caller{"new", known.Address}); left != ShutFor {
		t.Errorf("a client that was never seen there: %v", left)
	}
	if left, is := g.Shut(known); left != 0 || !is {
		t.Errorf("one that was: %v, known %v", left, is)
	}
	at.Advance(KnownFor)
	if _, is := g.Shut(known); is {
		t.Error("an address is known for ever")
	}
}

func TestTurnsComeBackAsTimePasses(t *testing.T) {
	g, at := guard(Rates{Client: 60, Address: 6})
	for i := range 60 {
		if wait := g.Turn("app"); wait != 0 {
			t.Fatalf("turn %d waits %v", i, wait)
		}
	}
	if wait := g.Turn("app"); wait != time.Second {
		t.Errorf("the 61st waits %v", wait)
	}
	if wait := g.Turn("other"); wait != 0 {
		t.Errorf("another client waits %v", wait)
	}
	at.Advance(time.Second)
	if g.Turn("app") != 0 || g.Turn("app") == 0 {
		t.Error("a second gives one turn back, and no more")
	}
	for range 6 {
		g.TurnAt(Caller{"phone", "203.0.113.9"})
	}
	if g.TurnAt(Caller{"phone", "203.0.113.9"}) != 10*time.Second || g.TurnAt(Caller{"phone", "203.0.113.10"}) != 0 {
		t.Error("an app's turns are counted where it is")
	}
	if got := g.Refused(); got.Rate != 3 {
		t.Errorf("refused: %+v", got)
	}
}

func TestTablesStayBounded(t *testing.T) {
	g, at := guard(Rates{})
	for i := range entries + 10 {
		g.Wrong(Caller{Address: fmt.Sprint(i)})
	}
	if n := len(g.wrong); n > entries {
		t.Errorf("%d entries", n)
	}
	at.Advance(Window)
	for i := range entries {
		g.Wrong(Caller{Address: fmt.Sprint("later", i)})
	}
	if n := len(g.wrong); n > entries {
		t.Errorf("%d entries", n)
	}
}

func TestAnAddressIsWhatOneCallerIsGiven(t *testing.T) {
	for remote, want := range map[string]string{
		"203.0.113.9:4711":          "203.0.113.9",
		"[::ffff:203.0.113.9]:4711": "203.0.113.9",
		"[2001:db8:1:2:3:4:5:6]:80": "2001:db8:1:2::/64",
		"[2001:db8:1:2::1]:80":      "2001:db8:1:2::/64",
		"[fe80::1%eth0]:80":         "fe80::/64",
		"203.0.113.9":               "203.0.113.9",
		"@":                         "@",
	} {
		if got := Address(&http.Request{RemoteAddr: remote}); got != want {
			t.Errorf("%s is counted as %s, not %s", remote, got, want)
		}
	}
}
