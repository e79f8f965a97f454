package mesh

import (
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/openspine/openspine/fault"
)

// How often the hash of a mailbox may be wrong from one address at once, and after how long one try more is to be had: whoever guesses is slowed down, from
// that address alone, and a program that is set up wrongly is answered again as soon as it is set right.
const (
	mostWrong  = 20
	wrongAgain = 30 * time.Second
	mostTries  = 10_000 // pairs of mailbox and address that are remembered
)

// tries counts wrong hashes by mailbox and address. When one is forgotten by a restart it begins anew: a password is long enough for that.
type tries struct {
	mu    sync.Mutex
	spent map[string]time.Time // when all tries are to be had again
}

// origin is a mailbox and where somebody speaks for it from: an IPv4 address, or the first 64 bits of an IPv6 address.
func origin(mailbox string, r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		if ip = ip.Unmap().WithZone(""); ip.Is6() {
			ip = netip.PrefixFrom(ip, 64).Masked().Addr()
		}
		host = ip.String()
	}
	return mailbox + " " + host
}

// open refuses an origin that has no try left, whether its hash would be right or not.
func (t *tries) open(from string, now time.Time) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if left := t.spent[from].Sub(now); left > (mostWrong-1)*wrongAgain {
		return fault.New(fault.Forbidden, "The Authorization header was wrong too often from this address. Set the mailbox, its password and the shared key right, and try again in %d seconds.",
			int((left-(mostWrong-1)*wrongAgain).Seconds())+1)
	}
	return nil
}

// wrong counts a wrong hash.
func (t *tries) wrong(from string, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.spent == nil {
		t.spent = map[string]time.Time{}
	}
	if _, known := t.spent[from]; !known && len(t.spent) >= mostTries {
		t.forget(now)
	}
	until := t.spent[from]
	if until.Before(now) {
		until = now
	}
	t.spent[from] = until.Add(wrongAgain)
}

// forget makes room: of what is over, and if that is nothing of what comes first.
func (t *tries) forget(now time.Time) {
	for from, until := range t.spent {
		if !until.After(now) {
			delete(t.spent, from)
		}
	}
	for from := range t.spent {
		if len(t.spent) < mostTries-mostTries/10 {
			return
		}
		delete(t.spent, from)
	}
}
