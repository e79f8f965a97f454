package network_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/network"
)

var national = network.MustNodeID("X26")

func TestBothEndsAskOverConnectionsThatTheHospitalDialled(t *testing.T) {
	country(t, []string{"RQX", "RQY.theatres"}, func(t *testing.T, w *world) {
		w.says("RQX")
		w.says("RQY.theatres")
		if n := w.wires.Dials(); n != 6 {
			t.Errorf("%d dials: two hospitals join once each and keep two connections each", n)
		}
		for org, want := range map[string]string{"RQX": "RQX", "RQY": "RQY.theatres", "X26": "X26"} {
			if node, err := w.nodes["X26"].Route(network.MustNodeID(org).Organisation()); err != nil || node.String() != want {
				t.Errorf("what is for %s goes to %s: %v", org, node, err)
			}
		}
		if _, err := w.nodes["X26"].Route(network.MustNodeID("RZZ").Organisation()); !fault.Is(err, fault.NotFound) {
			t.Errorf("an organisation for which nobody speaks: %v", err)
		}
		if node, err := w.nodes["RQX"].Route(network.MustNodeID("RZZ").Organisation()); err != nil || node != national {
			t.Errorf("a hospital sends what is for others to %s: %v", node, err)
		}
		if _, err := w.echo("RQX", "RQY.theatres", "x"); !fault.Is(err, fault.Unavailable) {
			t.Errorf("hospitals have no link of their own: %v", err)
		}
	})
}

func TestALinkComesBackByItself(t *testing.T) {
	country(t, []string{"RQX"}, func(t *testing.T, w *world) {
		w.wires.Cut()
		w.await("RQX", network.StateDown)
		if _, err := w.echo("RQX", "X26", "x"); !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "no link") {
			t.Errorf("asked over a link that is down: %v", err)
		}
		before := w.wires.Dials()
		time.Sleep(10 * time.Minute)
		if tried := w.wires.Dials() - before; tried < 20 || tried > 60 {
			t.Errorf("%d dials in ten minutes; with pauses of 15 to 30 s there are about 27", tried)
		}
		w.wires.Heal()
		s := w.await("RQX", network.StateUp)
		w.says("RQX")
		if s.LastError == "" || s.LastErrorAt.IsZero() {
			t.Error("what went wrong last is not told")
		}
		events, err := w.nodes["RQX"].Events(t.Context(), national, 500)
		if err != nil || len(events) < 3 || events[0].What != "up" || events[len(events)-1].What != "up" {
			t.Errorf("%+v %v", events, err)
		}
	})
}

// A wire that stands still says nothing: both ends find out, and dial anew.
func TestALinkThatStandsStillIsFound(t *testing.T) {
	country(t, []string{"RQX"}, func(t *testing.T, w *world) {
		w.wires.Freeze()
		start := time.Now()
		w.await("RQX", network.StateDown)
		if took := time.Since(start); took > 30*time.Second {
			t.Errorf("found after %s", took)
		}
		w.await("RQX", network.StateUp)
		w.says("RQX")
	})
}

func TestAnExchangeEndsWithItsContextAtBothEnds(t *testing.T) {
	country(t, []string{"RQX"}, func(t *testing.T, w *world) {
		for _, c := range []struct{ from, to string }{{"RQX", "X26"}, {"X26", "RQX"}} {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			if err := ask(ctx, w, c.from, c.to, "/wait", nil); !errors.Is(err, context.Canceled) || !fault.Is(err, fault.Unavailable) {
				t.Errorf("given up: %v", err)
			}
			synctest.Wait()
			if why := w.nodes[c.to].waited(); why != context.Canceled.Error() {
				t.Errorf("the other end saw %q", why)
			}
			ctx, cancel = context.WithTimeout(t.Context(), 3*time.Second)
			start := time.Now()
			if err := ask(ctx, w, c.from, c.to, "/wait", nil); !fault.Is(err, fault.Timeout) {
				t.Errorf("too late: %v", err)
			}
			if took := time.Since(start); took != 3*time.Second {
				t.Errorf("the deadline came after %s", took)
			}
			cancel()
			synctest.Wait()
			if why := w.nodes[c.to].waited(); why == "" {
				t.Error("the other end goes on after the deadline")
			}
			w.says("RQX")
		}
	})
}

// flood asks RQX for an answer without end.
func (w *world) flood() io.ReadCloser {
	w.t.Helper()
	r, err := http.NewRequest(http.MethodGet, "/flood", nil)
	if err != nil {
		w.t.Fatal(err)
	}
	resp, err := w.nodes["X26"].Do(w.t.Context(), network.MustNodeID("RQX"), r)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.Body
}

func ask(ctx context.Context, w *world, from, to, path string, body io.Reader) error {
	r, err := http.NewRequest(http.MethodPost, path, body)
	if err != nil {
		return err
	}
	resp, err := w.nodes[from].Do(ctx, network.MustNodeID(to), r)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return errors.Join(err, resp.Body.Close())
}

// A break in the middle of an answer is told as one: half an answer never passes for a whole one.
func TestABreakInTheMiddleIsTold(t *testing.T) {
	country(t, []string{"RQX"}, func(t *testing.T, w *world) {
		r, err := http.NewRequest(http.MethodGet, "/flood", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := w.nodes["RQX"].Do(t.Context(), national, r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(resp.Body, make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
		w.wires.Break()
		n, err := io.Copy(io.Discard, resp.Body)
		if !fault.Is(err, fault.Unavailable) {
			t.Errorf("%d further bytes and %v", n, err)
		}
		if err := resp.Body.Close(); err != nil {
			t.Error(err)
		}
		w.await("RQX", network.StateDown)
		w.await("RQX", network.StateUp)
		w.says("RQX")
	})
}

// Who sends without end to somebody who does not read holds a little, and gives up; others on the same link are not held up.
func TestASlowReaderHoldsLittle(t *testing.T) {
	country(t, []string{"RQX"}, func(t *testing.T, w *world) {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		var unread []io.Closer
		for range 20 {
			unread = append(unread, w.flood())
		}
		synctest.Wait()
		w.says("RQX")
		runtime.GC()
		runtime.ReadMemStats(&after)
		if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 24<<20 {
			t.Errorf("20 answers that nobody reads hold %d MB", grown>>20)
		}
		time.Sleep(2 * time.Minute)
		if n := w.nodes["RQX"].flooding.Load(); n != 0 {
			t.Errorf("%d answers are still being written to somebody who does not read", n)
		}
		w.says("RQX")
		for _, body := range unread {
			if err := body.Close(); err != nil {
				t.Error(err)
			}
		}
		// The other way about: an upload that is not read.
		start := time.Now()
		if err := ask(t.Context(), w, "X26", "RQX", "/wait", endless{}); !fault.Is(err, fault.Timeout) {
			t.Errorf("an upload that nobody reads: %v", err)
		}
		if took := time.Since(start); took > 2*time.Minute {
			t.Errorf("given up after %s", took)
		}
		w.says("RQX")
	})
}

// A hospital whose link is cut at the national node waits on one connection, and is back at once when the link is healed, however long that took and whichever side was
// restarted meanwhile.
func TestALinkThatWasCutAtTheOtherEndIsBackAtOnce(t *testing.T) {
	country(t, []string{"RQX"}, func(t *testing.T, w *world) {
		rqx := network.MustNodeID("RQX")
		for _, c := range []struct {
			cut     time.Duration
			restart string
		}{{time.Second, ""}, {10 * time.Second, ""}, {time.Hour, ""}, {3 * time.Minute, "RQX"}, {3 * time.Minute, "X26"}} {
			if err := w.nodes["X26"].CutLink(t.Context(), admin, rqx, "a drill"); err != nil {
				t.Fatal(err)
			}
			w.await("RQX", network.StateDown)
			if c.restart != "" {
				time.Sleep(time.Minute)
				w.restart(c.restart)
				time.Sleep(31 * time.Second) // until it has come back from its pause
			}
			before := w.wires.Dials()
			time.Sleep(c.cut)
			if n := w.wires.Dials() - before; n > 2 {
				t.Errorf("%d dials in %s of a cut", n, c.cut)
			}
			if s := w.link("RQX"); s.State != network.StateDown && s.State != network.StateNever || !strings.Contains(s.LastError, "a drill") {
				t.Errorf("while it is cut: %+v", s)
			}
			healed := time.Now()
			if err := w.nodes["X26"].HealLink(t.Context(), admin, rqx, "it is over"); err != nil {
				t.Fatal(err)
			}
			w.await("RQX", network.StateUp)
			for range 100 { // the hospital may know a moment before the national node does
				if s, err := w.nodes["X26"].Link(t.Context(), rqx); err == nil && s.State == network.StateUp {
					break
				}
				time.Sleep(10 * time.Millisecond)
			}
			if took := time.Since(healed); took > time.Second {
				t.Errorf("after a cut of %s it took %s to come back (%s restarted)", c.cut, took, c.restart)
			}
			w.says("RQX")
		}
	})
}

// endless is a body without end.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func TestTenThousandRequestsOverALinkThatBreaksNowAndThen(t *testing.T) {
	if testing.Short() {
		t.Skip("ten thousand handshakes and requests take some seconds")
	}
	country(t, []string{"RQX"}, func(t *testing.T, w *world) {
		random := rand.New(rand.NewPCG(1, 2))
		w.wires.BreakAfter(func() int { return 20_000 + random.IntN(200_000) })
		w.wires.Break()
		answered, broken := 0, 0
		for i := range 10_000 {
			text := fmt.Sprint("question ", i)
			from, to := "RQX", "X26"
			if i%2 == 1 {
				from, to = to, from
			}
			for {
				got, err := w.echo(from, to, text)
				if err == nil {
					if got != from+": "+text {
						t.Fatalf("asked %q and was answered %q", text, got)
					}
					answered++
					break
				}
				if !fault.Is(err, fault.Unavailable) && !fault.Is(err, fault.Timeout) {
					t.Fatalf("a broken link is told as %v", err)
				}
				broken++
				time.Sleep(time.Second)
			}
		}
		if answered != 10_000 || broken == 0 {
			t.Errorf("%d answered, %d tries met a link that broke", answered, broken)
		}
		t.Logf("%d tries met a link that was broken; %d dials", broken, w.wires.Dials())
	})
}

func TestLargeBodiesAreStreamedBothWays(t *testing.T) {
	country(t, []string{"RQX"}, func(t *testing.T, w *world) {
		want := bytes.Repeat([]byte("0123456789abcdef"), 8<<20/16)
		for _, c := range []struct{ from, to string }{{"RQX", "X26"}, {"X26", "RQX"}} {
			r, err := http.NewRequest(http.MethodPost, "/echo", io.NopCloser(bytes.NewReader(want)))
			if err != nil {
				t.Fatal(err)
			}
			resp, err := w.nodes[c.from].Do(t.Context(), network.MustNodeID(c.to), r)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(resp.Body)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%d bytes came back of %d: %v", len(got), len(want), err)
			}
			if err := resp.Body.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestHistoryIsKeptAndThinned(t *testing.T) {
	country(t, []string{"RQX"}, func(t *testing.T, w *world) {
		rqx := network.MustNodeID("RQX")
		began := time.Now()
		history := func(long time.Duration) (all []network.Span, up, watched time.Duration) {
			all, err := w.nodes["X26"].History(t.Context(), rqx, long, time.Time{})
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range all {
				up, watched = up+s.Up, watched+s.Watched
			}
			return all, up, watched
		}
		time.Sleep(time.Hour)
		w.wires.Cut()
		time.Sleep(30 * time.Minute)
		w.wires.Heal()
		w.await("RQX", network.StateUp)
		time.Sleep(30 * time.Minute)
		passed := time.Since(began)
		for _, long := range []time.Duration{time.Minute, time.Hour, 24 * time.Hour} {
			all, up, watched := history(long)
			if passed-watched > 2*time.Minute || watched-up < 29*time.Minute || watched-up > 32*time.Minute {
				t.Errorf("in spans of %s, the link stood %s of %s; it was cut for half an hour of %s", long, up, watched, passed)
			}
			if first := all[0]; first.Beats == 0 || first.Sent == 0 || first.Received == 0 || first.Requests == 0 {
				t.Errorf("%+v", first)
			}
		}
		if all, _, _ := history(time.Minute); len(all) < 118 || len(all) > 123 {
			t.Errorf("%d minutes are kept of two hours", len(all))
		}
		w.nodes["RQX"].stop()
		w.nodes["X26"].stop()
		time.Sleep(27 * time.Hour)
		w.restart("X26")
		time.Sleep(2 * time.Minute)
		if all, _, _ := history(time.Minute); len(all) > 4 {
			t.Errorf("%d minutes are kept of a day ago", len(all))
		}
		if all, up, _ := history(time.Hour); len(all) < 3 || up < 85*time.Minute || up > 100*time.Minute {
			t.Errorf("%d hours are kept, of which the link stood %s", len(all), up)
		}
	})
}

func TestALinkIsCutAndHealedByAPerson(t *testing.T) {
	country(t, []string{"RQX"}, func(t *testing.T, w *world) {
		x, rqx := w.nodes["X26"], network.MustNodeID("RQX")
		if err := x.CutLink(t.Context(), admin, rqx, " "); !fault.Is(err, fault.Invalid) {
			t.Errorf("cut without a reason: %v", err)
		}
		if err := x.CutLink(t.Context(), admin, network.MustNodeID("RZZ"), "why"); !fault.Is(err, fault.NotFound) {
			t.Errorf("no such link: %v", err)
		}
		if err := x.CutLink(t.Context(), admin, rqx, "the line is mended"); err != nil {
			t.Fatal(err)
		}
		if err := x.CutLink(t.Context(), admin, rqx, "again"); !fault.Is(err, fault.Conflict) {
			t.Errorf("cut twice: %v", err)
		}
		if _, err := w.echo("X26", "RQX", "x"); !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "the line is mended") {
			t.Errorf("asked over a link that is cut: %v", err)
		}
		if s := w.await("RQX", network.StateDown); !strings.Contains(s.LastError, "broke") && !strings.Contains(s.LastError, "mended") {
			t.Errorf("%+v", s)
		}
		time.Sleep(time.Minute)
		if s := w.link("RQX"); s.State == network.StateUp || !strings.Contains(s.LastError, "the line is mended") {
			t.Errorf("the hospital is not told why: %+v", s)
		}
		w.restart("X26") // a cut outlives the program
		time.Sleep(time.Minute)
		if s, err := w.nodes["X26"].Link(t.Context(), rqx); err != nil || s.Cut == nil || s.State != network.StateCut || s.Cut.Reason != "the line is mended" {
			t.Errorf("%+v %v", s, err)
		}
		if err := w.nodes["X26"].HealLink(t.Context(), admin, rqx, "it is whole"); err != nil {
			t.Fatal(err)
		}
		w.await("RQX", network.StateUp)
		w.says("RQX")
		changes, err := w.nodes["X26"].gate.Changes(t.Context(), "node/RQX")
		if err != nil || len(changes) < 2 || changes[0].Act != "link healed" || changes[1].Act != "link cut" || changes[1].Reason != "the line is mended" {
			t.Errorf("%+v %v", changes, err)
		}
		// The hospital may cut it too.
		if err := w.nodes["RQX"].CutLink(t.Context(), admin, national, "a drill"); err != nil {
			t.Fatal(err)
		}
		before := w.wires.Dials()
		time.Sleep(10 * time.Minute)
		if n := w.wires.Dials() - before; n != 0 {
			t.Errorf("%d dials over a link that is cut here", n)
		}
		if err := w.nodes["RQX"].HealLink(t.Context(), admin, national, "it is over"); err != nil {
			t.Fatal(err)
		}
		w.await("RQX", network.StateUp)
		w.says("RQX")
	})
}
