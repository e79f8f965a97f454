// Package limit keeps guessing slow, and one program from taking the turns of all others, where programs show who they are.
//
//	wrong, again and again, from one address ──► that client, from there, is not listened to for a minute
//	wrong for any client, again and again ──► the address is not listened to for a minute
//	right, lately, from there ──► always listened to: nobody else's guesses can shut a client out
//	right, too often ──► told when to come again
//
// What it knows is in memory, bounded, and gone when the node stops: a stop makes nobody's guess right.
// Keeping it would cost a commit for each proof and save a program that shares its address with whoever guesses one minute (ShutFor) after a start; users' locks and
// known places, which last longer, are kept (package credential).
package limit

import (
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/openspine/openspine/internal/clock"
)

// How many wrong proofs within Window shut a client out at one address, and an address for every client, and for how long. KnownFor is how
// long an address is remembered at which a client was right.
const (
	Window       = time.Minute
	ShutFor      = time.Minute
	ClientTries  = 30
	AddressTries = 300
	KnownFor     = 30 * 24 * time.Hour
)

// entries bounds each table: what is over is forgotten first, and then whatever comes.
const entries = 100_000

// Rates are how many requests a minute are answered, with as many at once. The zero value of each means its default.
type Rates struct {
	Client  int // of a client that has shown who it is; 60,000
	Address int // of a client that cannot, an app on people's devices, from one address; 6,000
}

// Refused are how many requests were not looked at.
type Refused struct{ Rate, Shut int64 }

// Guard counts. It is safe for use by many goroutines.
type Guard struct {
	clock clock.Clock
	rates Rates

	mu    sync.Mutex
	turns table[time.Time] // when all turns that were taken are over
	wrong table[tally]
	known table[time.Time] // until when

	rate, shut atomic.Int64
}

// tally is wrong proofs since an instant, and until when their sender is shut out.
type tally struct {
	n            int
	since, until time.Time
}

// New is a guard that has seen nothing.
func New(c clock.Clock, r Rates) *Guard {
	if r.Client <= 0 {
		r.Client = 60_000
	}
	if r.Address <= 0 {
		r.Address = 6_000
	}
	return &Guard{clock: c, rates: r, turns: table[time.Time]{}, wrong: table[tally]{}, known: table[time.Time]{}}
}

// Refused are how many requests were not looked at since the node began.
func (g *Guard) Refused() Refused { return Refused{g.rate.Load(), g.shut.Load()} }

// Caller is one client at one address; the zero value of Client is nobody in particular.
type Caller struct{ Client, Address string }

func (c Caller) pair() string  { return "pair\x00" + c.Client + "\x00" + c.Address }
func (c Caller) place() string { return "address\x00" + c.Address }

// Shut is for how long a caller is not listened to; 0 when it is. Known says that it was right from there: it is listened to all the same,
// and only what it answers to a wrong proof differs.
func (g *Guard) Shut(c Caller) (left time.Duration, known bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.clock.Now()
	known = now.Before(g.known[c.pair()])
	until := g.wrong[c.pair()].until
	if place := g.wrong[c.place()].until; !known && place.After(until) {
		until = place
	}
	left = until.Sub(now)
	if left > ShutFor { // the clock was set back
		left = 0
	}
	return max(0, left), known
}

// Deny counts a request that was not looked at, or whose wrong proof was not worth another answer.
func (g *Guard) Deny() { g.shut.Add(1) }

// Wrong counts a proof that does not hold. A client that does not exist counts against the address alone.
func (g *Guard) Wrong(c Caller) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.clock.Now()
	count := func(key string, tries int) {
		t := g.wrong[key]
		if now.Sub(t.since) >= Window {
			t = tally{since: now, until: t.until}
		}
		if t.n++; t.n >= tries {
			t = tally{since: now, until: now.Add(ShutFor)}
		}
		g.wrong.put(key, t, func(t tally) bool { return now.Sub(t.since) >= Window && !now.Before(t.until) })
	}
	if c.Client != "" {
		count(c.pair(), ClientTries)
	}
	count(c.place(), AddressTries)
}

// Right remembers that a client was right from an address.
func (g *Guard) Right(c Caller) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.clock.Now()
	g.known.put(c.pair(), now.Add(KnownFor), func(until time.Time) bool { return !now.Before(until) })
}

// Turn takes a turn of a client that has shown who it is.
func (g *Guard) Turn(client string) time.Duration { return g.turn("client\x00"+client, g.rates.Client) }

// TurnAt takes a turn of a client that cannot show who it is, at one address: whoever uses its id elsewhere takes none of these.
func (g *Guard) TurnAt(c Caller) time.Duration { return g.turn(c.pair(), g.rates.Address) }

// turn is 0 when the turn is taken, or how long to wait (a leaky bucket, as the generic cell rate algorithm counts one).
func (g *Guard) turn(key string, perMinute int) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	now, each := g.clock.Now(), time.Minute/time.Duration(perMinute)
	over := g.turns[key]
	if over.Before(now) || over.Sub(now) > time.Minute { // nobody is ever that far ahead: the clock was set back
		over = now
	}
	over = over.Add(each)
	if wait := over.Sub(now) - time.Minute; wait > 0 {
		g.rate.Add(1)
		return wait
	}
	g.turns.put(key, over, func(over time.Time) bool { return !over.After(now) })
	return 0
}

// table is a bounded map.
type table[V any] map[string]V

// put keeps v under key. In a full table what is over makes room, and if nothing is, whatever comes first.
func (t table[V]) put(key string, v V, over func(V) bool) {
	if _, there := t[key]; !there && len(t) >= entries {
		for k, old := range t {
			if over(old) {
				delete(t, k)
			}
		}
		for k := range t {
			if len(t) < entries-entries/10 {
				break
			}
			delete(t, k)
		}
	}
	t[key] = v
}

// Address is where a request comes from, as failures are counted: an IPv4 address, or the first 64 bits of an IPv6 address, which is what
// one household or one machine is given (RFC 6177 section 2) and may change the rest of as it likes.
func Address(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	if ip = ip.Unmap().WithZone(""); ip.Is4() {
		return ip.String()
	}
	return netip.PrefixFrom(ip, 64).Masked().String()
}
