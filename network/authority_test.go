package network_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/network"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/store/storetest"
)

const day = 24 * time.Hour

func request(t *testing.T) *x509.CertificateRequest {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		t.Fatal(err)
	}
	return csr
}

func TestATokenIsGoodOnceAndAnsweredAlike(t *testing.T) {
	country(t, nil, func(t *testing.T, w *world) {
		a, token := w.office(), w.token("RQX")
		mine, others := request(t), request(t)
		first, err := a.Admit(t.Context(), token.Secret, mine)
		if err != nil {
			t.Fatal(err)
		}
		again, err := a.Admit(t.Context(), token.Secret, mine)
		if err != nil || !again[0].Equal(first[0]) {
			t.Errorf("asked again after a lost answer: another certificate, or %v", err)
		}
		if _, err := a.Admit(t.Context(), token.Secret, others); !fault.Is(err, fault.Conflict) {
			t.Errorf("used for another key: %v", err)
		}
		if _, err := a.Admit(t.Context(), strings.Repeat("0", 32), others); !fault.Is(err, fault.Forbidden) {
			t.Errorf("a secret that nobody gave out: %v", err)
		}
		late := w.token("RQY")
		time.Sleep(25 * time.Hour)
		if _, err := a.Admit(t.Context(), late.Secret, others); !fault.Is(err, fault.Forbidden) || !strings.Contains(err.Error(), "good until") {
			t.Errorf("a token of the day before: %v", err)
		}
		if got, err := a.Admit(t.Context(), token.Secret, mine); err != nil || !got[0].Equal(first[0]) {
			t.Errorf("the same answer a day later: %v", err)
		}
		changes, err := w.nodes["X26"].gate.Changes(t.Context(), "node/RQX")
		if err != nil || len(changes) != 2 || changes[0].Act != "joined" || changes[1].Act != "token" {
			t.Errorf("%+v %v", changes, err)
		}
	})
}

// A hundred nodes that race with one token: one of them joins.
func TestOneOfManyJoinsWithOneToken(t *testing.T) {
	country(t, nil, func(t *testing.T, w *world) {
		a, token := w.office(), w.token("RQX")
		var mu sync.Mutex
		joined := 0
		var group sync.WaitGroup
		for range 30 {
			csr := request(t)
			group.Go(func() {
				_, err := a.Admit(t.Context(), token.Secret, csr)
				if err != nil && !fault.Is(err, fault.Conflict) {
					t.Error(err)
				}
				if err == nil {
					mu.Lock()
					joined++
					mu.Unlock()
				}
			})
		}
		group.Wait()
		if joined != 1 {
			t.Errorf("%d joined with one token", joined)
		}
	})
}

func TestJoiningAgainAfterALostAnswer(t *testing.T) {
	country(t, nil, func(t *testing.T, w *world) {
		h, token := w.node("RQX", nil), w.token("RQX")
		w.wires.BreakAfter(func() int { return 3500 }) // in the middle of the answer
		if err := h.Join(t.Context(), token); err == nil {
			t.Fatal("joined over a wire that broke")
		}
		w.wires.BreakAfter(nil)
		w.nodes["RQX"].stop()
		h = w.node("RQX", nil) // and after a crash
		if err := h.Join(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		w.run("RQX")
		w.await("RQX", network.StateUp)
		w.says("RQX")
		if err := h.Join(t.Context(), token); !fault.Is(err, fault.Conflict) {
			t.Errorf("joined twice: %v", err)
		}
		thief := w.node("RQY", nil)
		if err := thief.Join(t.Context(), token); !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "tell the authority") {
			t.Errorf("a token that was used: %v", err)
		}
	})
}

// Another programme at the same address, with nodes and tokens of its own, is not taken for the one that the token is of; nor is its node.
func TestAnotherAuthorityIsNoAuthority(t *testing.T) {
	country(t, []string{"RQX"}, func(t *testing.T, w *world) {
		token := w.token("RQY")
		w.nodes["X26"].stop()
		old := w.nodes["X26"]
		delete(w.nodes, "X26")
		x := w.node("X26", nil)
		if err := x.Found(t.Context(), admin, national, nil, []string{at}); err != nil {
			t.Fatal(err)
		}
		w.run("X26")
		if err := w.node("RQY", nil).Join(t.Context(), token); !fault.Is(err, fault.Forbidden) || !strings.Contains(err.Error(), "not the authority of this token") {
			t.Errorf("joined somebody else's network: %v", err)
		}
		time.Sleep(2 * time.Minute)
		if s := w.link("RQX"); s.State == network.StateUp || !strings.Contains(s.LastError, "not one of this programme's authority") {
			t.Errorf("a node took another authority for its own: %+v", s)
		}
		if _, err := x.Link(t.Context(), network.MustNodeID("RQX")); !fault.Is(err, fault.NotFound) {
			t.Errorf("another programme's node has a link: %v", err)
		}
		_ = old
	})
}

func TestARevokedNodeIsShutOutAtOnceAndKnownEverywhere(t *testing.T) {
	country(t, []string{"RQX", "RQY"}, func(t *testing.T, w *world) {
		a := w.office()
		before, err := w.nodes["RQY"].Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for reason, node := range map[string]string{"": "RQX", "lost": "RZZ", "why": "X26"} {
			if err := a.Revoke(t.Context(), admin, network.MustNodeID(node), reason); err == nil {
				t.Errorf("revoked %s because %q", node, reason)
			}
		}
		start := time.Now()
		if err := a.Revoke(t.Context(), admin, network.MustNodeID("RQX"), "the machine was stolen"); err != nil {
			t.Fatal(err)
		}
		if _, err := w.echo("RQX", "X26", "x"); !fault.Is(err, fault.Unavailable) && !fault.Is(err, fault.Forbidden) {
			t.Errorf("a revoked node was answered: %v", err)
		}
		if _, err := w.echo("X26", "RQX", "x"); !fault.Is(err, fault.Unavailable) {
			t.Errorf("a revoked node was asked: %v", err)
		}
		for {
			s, err := w.nodes["RQY"].Status(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if s.Edition > before.Edition && s.Revoked == 1 {
				break
			}
			if time.Since(start) > 5*time.Second {
				t.Fatal("five seconds later another node does not know")
			}
			time.Sleep(10 * time.Millisecond)
		}
		s := w.await("RQX", network.StateRefused)
		if !strings.Contains(s.LastError, "was revoked") || !strings.Contains(s.LastError, "new token") {
			t.Errorf("the revoked node is told %q", s.LastError)
		}
		w.says("RQY")
		w.restart("X26") // it stays so
		w.await("RQY", network.StateUp)
		time.Sleep(2 * time.Minute)
		if s := w.link("RQX"); s.State != network.StateRefused {
			t.Errorf("after a restart the revoked node is %s", s.State)
		}
		w.join("RQX") // with a new token it comes back
		w.await("RQX", network.StateUp)
		w.says("RQX")
	})
}

func TestCertificatesRenewThemselves(t *testing.T) {
	country(t, []string{"RQX"}, func(t *testing.T, w *world) {
		until := func(node string) time.Time {
			s, err := w.nodes[node].Status(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return s.Until
		}
		x, h := until("X26"), until("RQX")
		for _, n := range []string{"X26", "RQX"} {
			w.nodes[n].off.jump(37 * day)
		}
		time.Sleep(time.Minute)
		if until("X26") != x || until("RQX") != h {
			t.Error("renewed before two thirds of its life")
		}
		for _, n := range []string{"X26", "RQX"} {
			w.nodes[n].off.jump(6 * day)
		}
		time.Sleep(time.Minute)
		if until("X26").Sub(x) < 40*day || until("RQX").Sub(h) < 40*day {
			t.Errorf("not renewed after two thirds of its life: %s %s", until("X26"), until("RQX"))
		}
		w.await("RQX", network.StateUp)
		w.says("RQX")
	})
}

// A certificate that is not renewed is an alarm two weeks before it ends, at its own node and at the authority's, and not before.
func TestACertificateThatIsNotRenewedIsAnAlarmWeeksAhead(t *testing.T) {
	country(t, []string{"RQX"}, func(t *testing.T, w *world) {
		w.wires.Cut()
		alarms := func(ahead time.Duration) (list []string) {
			for _, node := range []string{"X26", "RQX"} {
				s, err := w.nodes[node].Status(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				for _, alarm := range s.Alarms {
					if strings.Contains(alarm, "was not renewed") {
						list = append(list, node)
					}
				}
			}
			t.Logf("%s before the end: alarms at %v", ahead, list)
			return list
		}
		s, err := w.nodes["RQX"].Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		left := s.Until.Sub(w.nodes["RQX"].off.Now())
		for range 10 { // the authority's own is renewed meanwhile
			for _, node := range []string{"X26", "RQX"} {
				w.nodes[node].off.jump((left - 16*day) / 10)
			}
			time.Sleep(time.Minute)
		}
		if got := alarms(16 * day); len(got) != 0 {
			t.Errorf("16 days before its end a certificate is an alarm at %v", got)
		}
		for _, node := range []string{"X26", "RQX"} {
			w.nodes[node].off.jump(2 * day)
		}
		if got := alarms(14 * day); !slices.Equal(got, []string{"X26", "RQX"}) {
			t.Errorf("14 days before its end a certificate is an alarm at %v", got)
		}
	})
}

func TestANodeThatWasCutOffComesBackFor30Days(t *testing.T) {
	for _, c := range []struct {
		late  time.Duration
		comes bool
	}{{29 * day, true}, {31 * day, false}} {
		country(t, []string{"RQX"}, func(t *testing.T, w *world) {
			w.wires.Cut()
			for range 10 { // the authority lives through it and renews its own
				w.nodes["X26"].off.jump((network.CertificateLife + c.late) / 10)
				time.Sleep(time.Minute)
			}
			w.nodes["RQX"].off.jump(network.CertificateLife + c.late)
			s, err := w.nodes["X26"].Status(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if alarmed := len(s.Alarms) > 0 && strings.Contains(s.Alarms[0], "RQX"); alarmed != c.comes {
				t.Errorf("alarms %q", s.Alarms)
			}
			w.wires.Heal()
			if c.comes {
				w.await("RQX", network.StateUp)
				w.says("RQX")
				return
			}
			if s := w.await("RQX", network.StateRefused); !strings.Contains(s.LastError, "new token") {
				t.Errorf("told %q", s.LastError)
			}
			w.join("RQX")
			w.await("RQX", network.StateUp)
		})
	}
}

func TestClocksMayBeHoursWrong(t *testing.T) {
	country(t, []string{"RQX"}, func(t *testing.T, w *world) {
		for _, off := range []time.Duration{7 * time.Hour, -20 * time.Hour, 13 * time.Hour} {
			w.nodes["RQX"].off.jump(off)
			time.Sleep(time.Minute)
			w.wires.Break()
			w.await("RQX", network.StateDown)
			s := w.await("RQX", network.StateUp)
			w.says("RQX")
			w.nodes["RQX"].off.mu.Lock()
			wrong := w.nodes["RQX"].off.by
			w.nodes["RQX"].off.mu.Unlock()
			if d := s.Skew + wrong; d.Abs() > time.Second {
				t.Errorf("the clock is %s wrong, and measured as %s", wrong, -s.Skew)
			}
			time.Sleep(30 * time.Second)
			st, err := w.nodes["X26"].Status(t.Context())
			if err != nil || wrong != 0 && (len(st.Alarms) != 1 || !strings.Contains(st.Alarms[0], "The clock of RQX")) {
				t.Errorf("%q %v", st.Alarms, err)
			}
		}
	})
}

func TestARootIsChangedUnderTraffic(t *testing.T) {
	country(t, []string{"RQX", "RQY"}, func(t *testing.T, w *world) {
		stop, done := make(chan struct{}), make(chan int)
		go func() {
			asked := 0
			for {
				select {
				case <-stop:
					done <- asked
					return
				default:
				}
				for _, c := range [][2]string{{"RQX", "X26"}, {"X26", "RQX"}} {
					if got, err := w.echo(c[0], c[1], "x"); err != nil || got != c[0]+": x" {
						t.Errorf("in the middle of it %s asked %s: %q %v", c[0], c[1], got, err)
					}
					asked++
				}
				time.Sleep(50 * time.Millisecond)
			}
		}()
		a := w.office()
		if err := a.Cross(t.Context(), admin, false, "r"); !fault.Is(err, fault.Conflict) {
			t.Errorf("crossed to nothing: %v", err)
		}
		if err := a.Begin(t.Context(), admin, "a drill"); err != nil {
			t.Fatal(err)
		}
		if err := a.Cross(t.Context(), admin, false, "a drill"); !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "RQX, RQY") {
			t.Errorf("crossed before anybody could follow: %v", err)
		}
		time.Sleep(10 * time.Second)
		w.nodes["RQY"].stop() // and is away for the rest of it
		if err := a.Begin(t.Context(), admin, "again"); !fault.Is(err, fault.Conflict) {
			t.Errorf("two at once: %v", err)
		}
		if err := a.Cross(t.Context(), admin, false, "a drill"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(15 * time.Second)
		if err := a.Retire(t.Context(), admin, false, "a drill"); !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "1 nodes") {
			t.Errorf("retired while a node is under the old root: %v", err)
		}
		if err := a.Retire(t.Context(), admin, true, "a drill"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(15 * time.Second)
		close(stop)
		if asked := <-done; asked < 500 {
			t.Errorf("only %d requests meanwhile", asked)
		}
		for _, n := range []string{"X26", "RQX"} {
			s, err := w.nodes[n].Status(t.Context())
			if err != nil || len(s.Roots) != 1 {
				t.Errorf("%s trusts %+v: %v", n, s.Roots, err)
			}
		}
		w.node("RQY", nil) // comes back and finds its way
		w.run("RQY")
		w.await("RQY", network.StateUp)
		w.says("RQY")
		keys, err := filepath.Glob(filepath.Join(w.nodes["X26"].folder, "root-*.pem"))
		if err != nil || len(keys) != 1 {
			t.Errorf("keys of roots that are left: %q %v", keys, err)
		}
	})
}

// brittle keys cannot be opened for a while.
type brittle struct {
	network.Keys
	broken atomic.Bool
}

func (b *brittle) Open(name string) (crypto.Signer, error) {
	if b.broken.Load() {
		return nil, fault.New(fault.Unavailable, "the device does not answer")
	}
	return b.Keys.Open(name)
}

// A crash between what is decided and the list that says it: the list says it after the next start.
func TestARevocationThatWasInterruptedHoldsAfterTheStart(t *testing.T) {
	country(t, []string{"RQX", "RQY"}, func(t *testing.T, w *world) {
		w.nodes["X26"].stop()
		keys := &brittle{Keys: network.FileKeys(w.nodes["X26"].folder)}
		w.node("X26", func(o *network.Options) { o.Keys = keys })
		w.run("X26")
		w.await("RQX", network.StateUp)
		keys.broken.Store(true)
		if err := w.office().Revoke(t.Context(), admin, network.MustNodeID("RQX"), "stolen"); !fault.Is(err, fault.Unavailable) {
			t.Fatalf("revoked without a key to sign the list with: %v", err)
		}
		if s := w.await("RQX", network.StateRefused); !strings.Contains(s.LastError, "was revoked") {
			t.Errorf("without a list the revoked node is told %q", s.LastError)
		}
		w.nodes["X26"].stop()
		w.node("X26", func(o *network.Options) { o.Keys = keys })
		w.run("X26") // the device still does not answer
		time.Sleep(time.Minute)
		if s := w.link("RQX"); s.State != network.StateRefused {
			t.Errorf("after a start without the device the revoked node is %s", s.State)
		}
		w.nodes["X26"].stop()
		w.node("X26", nil) // with the keys as they are in their files
		w.run("X26")
		w.await("RQY", network.StateUp)
		w.await("RQX", network.StateRefused)
		time.Sleep(time.Minute)
		if s, err := w.nodes["RQY"].Status(t.Context()); err != nil || s.Revoked != 1 {
			t.Errorf("another node knows of %d revocations: %v", s.Revoked, err)
		}
	})
}

// An authority that is restored from a backup has forgotten what it revoked since; the nodes have not.
func TestARestoredAuthorityLearnsWhatWasRevoked(t *testing.T) {
	country(t, []string{"RQX", "RQY"}, func(t *testing.T, w *world) {
		w.nodes["X26"].stop()
		db := filepath.Join(w.nodes["X26"].folder+".data", "test.db")
		saved, err := os.ReadFile(db)
		if err != nil {
			t.Fatal(err)
		}
		w.restart("X26")
		w.await("RQX", network.StateUp)
		w.await("RQY", network.StateUp)
		if err := w.office().Revoke(t.Context(), admin, network.MustNodeID("RQX"), "stolen"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Second)
		w.nodes["X26"].stop()
		for _, f := range []string{db + "-wal", db + "-shm"} {
			if err := os.Remove(f); err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(db, saved, 0o600); err != nil {
			t.Fatal(err)
		}
		w.nodes["RQX"].stop() // it comes after the other
		w.restart("X26")
		w.await("RQY", network.StateUp)
		time.Sleep(30 * time.Second)
		w.node("RQX", nil)
		w.run("RQX")
		w.await("RQX", network.StateRefused)
	})
}

func TestKeysAreTheirOwnersAlone(t *testing.T) {
	country(t, []string{"RQX"}, func(t *testing.T, w *world) {
		for _, n := range []string{"X26", "RQX"} {
			entries, err := os.ReadDir(w.nodes[n].folder)
			if err != nil || len(entries) < 3 {
				t.Fatal(entries, err)
			}
			for _, e := range entries {
				info, err := e.Info()
				if err != nil || info.Mode().Perm()&0o077 != 0 {
					t.Errorf("%s of %s may be read by others: %v %v", e.Name(), n, info.Mode(), err)
				}
			}
		}
	})
}

// The authority's books, on both engines, with a clock that jumps.
func TestTheBooksOfAnAuthority(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		log, err := audit.Open(db, t.TempDir(), audit.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := log.Close(); err != nil {
				t.Error(err)
			}
		}()
		gate, err := access.Open(access.Options{DB: db, Audit: log})
		if err != nil {
			t.Fatal(err)
		}
		n, err := network.Open(t.Context(), network.Options{DB: db, Gate: gate, Folder: filepath.Join(t.TempDir(), "network")})
		if err != nil {
			t.Fatal(err)
		}
		if err := n.Found(t.Context(), admin, national, nil, []string{at}); err != nil {
			t.Fatal(err)
		}
		a, err := n.Authority()
		if err != nil {
			t.Fatal(err)
		}
		token, err := a.MakeToken(t.Context(), admin, network.MustNodeID("RQX"), nil, []string{at}, time.Hour, "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.Admit(t.Context(), token.Secret, request(t)); err != nil {
			t.Fatal(err)
		}
		if err := a.Begin(t.Context(), admin, "r"); err != nil {
			t.Fatal(err)
		}
		if err := a.Cross(t.Context(), admin, true, "r"); err != nil {
			t.Fatal(err)
		}
		if err := a.Revoke(t.Context(), admin, network.MustNodeID("RQX"), "r"); err != nil {
			t.Fatal(err)
		}
		members, err := a.Members(t.Context())
		if err != nil || len(members) != 2 || members[0].Reason != "r" || members[0].Revoked.IsZero() || !members[1].Authority {
			t.Errorf("%+v %v", members, err)
		}
		if err := n.Chronicle(t.Context()); err != nil {
			t.Error(err)
		}
		if _, err := n.History(t.Context(), network.MustNodeID("RQX"), time.Hour, time.Time{}); err != nil {
			t.Error(err)
		}
		if _, err := n.Events(t.Context(), network.NodeID{}, 10); err != nil {
			t.Error(err)
		}
		// 140,000 certificates that end on one day are seen weeks before (as 140,000 smartcards once were not).
		ends := time.Now().Add(21 * day)
		few := 1_000
		if db.Engine() == "sqlite" && !testing.Short() {
			few = 140_000
		}
		if err := network.Crowd(t.Context(), a, few, ends); err != nil {
			t.Fatal(err)
		}
		weeks, err := a.Expiries(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var found int64
		for _, e := range weeks {
			if e.Week.Weekday() != time.Monday {
				t.Errorf("a week begins on %s", e.Week)
			}
			if !e.Week.After(ends) && e.Week.Add(7*day).After(ends) {
				found = e.Count
			}
		}
		if found != int64(few) {
			t.Errorf("%d of %d certificates are in the week of their end: %+v", found, few, weeks)
		}
	}, audit.Schema(), access.Schema(), network.Schema())
}
