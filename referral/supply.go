package referral

import (
	"context"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/openspine/openspine/store"
)

// Free is what a service has to offer.
type Free struct {
	Slots int64 // how many free slots, up to MostCounted
	First time.Time
}

// MostCounted is up to how many free slots of a service are counted: more is many.
const MostCounted = 25

// onOffer is what holds of a slot that anybody can book: its arguments are when booking closes and now. So written it goes by the index referral_slot_supply.
const onOffer = `state = 0 AND recalled = 0 AND starts >= ? AND held < ? AND epoch % 2 = 1`

// mostAsked is how many services one query asks about.
const mostAsked = 200

// Frees are what services of these ids have to offer now; those that have nothing are left out.
func (s *Referrals) Frees(ctx context.Context, services []string) (map[string]Free, error) {
	return s.frees(ctx, services, nil, MostCounted)
}

// frees is Frees with at most most slots of each counted: 1 where all that matters is the first. Who says of services when they take the person for whom it is; of those that it does not name everything counts.
func (s *Referrals) frees(ctx context.Context, services []string, who map[string]fit, most int64) (map[string]Free, error) {
	free := make(map[string]Free, len(services))
	if err := s.anybodys(ctx, services, most, free); err != nil {
		return free, err
	}
	if err := s.narrowed(ctx, who, most, free); err != nil {
		return free, err
	}
	s.addAsked(services, who, free)
	return free, nil
}

// anybodys are the free slots of services that the spine has, whoever asks.
func (s *Referrals) anybodys(ctx context.Context, services []string, most int64, free map[string]Free) error {
	now := s.k.Clock.Now()
	unknown, asOf := s.supply.remembered(services, most, now, free)
	if len(unknown) == 0 {
		return nil
	}
	read := make(map[string]Free, len(unknown))
	err := s.read(ctx, func(tx *store.Tx) error {
		clear(read)
		for rest := unknown; len(rest) > 0; {
			n := min(len(rest), mostAsked)
			if err := freesOf(tx, rest[:n], now.Add(s.o.Freeze).UnixMicro(), now.UnixMicro(), most, read); err != nil {
				return err
			}
			rest = rest[n:]
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.supply.remember(unknown, read, most, now, asOf)
	for id, f := range read {
		free[id] = f
	}
	return nil
}

// shownAhead is how many years ahead free times are shown; see FreeSlots.
const shownAhead = 2

// narrowed leaves of what anybody can have that which one person can: a birthday may come between. What is counted for them alone is not remembered; it is seldom so.
func (s *Referrals) narrowed(ctx context.Context, who map[string]fit, most int64, free map[string]Free) error {
	now := s.k.Clock.Now()
	var again []string
	for id, f := range who {
		x, some := free[id]
		begins, ends := f.from.After(now), !f.until.IsZero()
		switch {
		case !some || f.only == "" && !begins && !ends:
		case f.only != "" || ends && !x.First.Before(f.until):
			delete(free, id)
		case begins && x.First.Before(f.from) || ends && most > 1:
			again = append(again, id)
		}
	}
	if len(again) == 0 {
		return nil
	}
	slices.Sort(again)
	return s.read(ctx, func(tx *store.Tx) error {
		for _, id := range again {
			x, err := freeFor(tx, id, now.Add(s.o.Freeze), now, who[id], most)
			if err != nil {
				return err
			}
			if free[id] = x; x.Slots == 0 {
				delete(free, id)
			}
		}
		return nil
	})
}

// freeFor reads what a service has free while it takes somebody.
func freeFor(tx *store.Tx, service string, opens, now time.Time, f fit, most int64) (x Free, err error) {
	if f.from.After(opens) {
		opens = f.from
	}
	ends := int64(math.MaxInt64)
	if !f.until.IsZero() {
		ends = f.until.UnixMicro()
	}
	var first int64
	err = tx.QueryRow(`SELECT count(*), coalesce(min(starts), 0) FROM (SELECT starts FROM referral_slot WHERE service = ? AND `+onOffer+` AND starts < ? ORDER BY starts LIMIT ?) counted`,
		service, opens.UnixMicro(), now.UnixMicro(), ends, most).Scan(&x.Slots, &first)
	if first > 0 {
		x.First = fromMicros(first)
	}
	return x, err
}

// remembered is how long what was read of a service's free slots is gone by: a change made by this process shows at once, one of another process on the same database, and
// what the clock alone changes, after this.
const remembered = time.Second

// mostRemembered is of how many services it is remembered; with more it is forgotten and read again.
const mostRemembered = 50_000

// supply remembers what services have to offer until their slots change, so that each search need not count them again.
type supply struct {
	mu      sync.Mutex
	changes edition            // how often slots changed of which the service is not known
	of      map[string]edition // and those of each service
	known   map[string]supplied
}

// edition counts changes.
type edition int64

// supplied is what a service had to offer at a time.
type supplied struct {
	free Free
	most int64 // how many of its slots were counted at most
	at   time.Time
	as   [2]edition // of all, and of the service
}

// remembered puts into free what is known of services, and returns the others with the editions that they have now.
func (s *supply) remembered(services []string, most int64, now time.Time, free map[string]Free) (unknown []string, asOf [][2]edition) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range services {
		as := [2]edition{s.changes, s.of[id]}
		o, ok := s.known[id]
		if age := now.Sub(o.at); !ok || o.as != as || o.most < most || age < 0 || age >= remembered {
			unknown, asOf = append(unknown, id), append(asOf, as)
			continue
		}
		if o.free.Slots > 0 {
			free[id] = o.free
		}
	}
	return unknown, asOf
}

// remember notes what was read of services after they had these editions: what changed while it was read counts as not read.
func (s *supply) remember(services []string, read map[string]Free, most int64, now time.Time, asOf [][2]edition) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil || len(s.known) > mostRemembered {
		s.known = map[string]supplied{}
	}
	for i, id := range services {
		s.known[id] = supplied{read[id], most, now, asOf[i]}
	}
}

// changed says in the transaction that changes slots whose they are; of none for those of services that are not known.
func (s *supply) changed(tx *store.Tx, services ...string) {
	tx.Then(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(services) == 0 || len(s.of) > mostRemembered {
			s.changes++
			s.of = nil
			return
		}
		if s.of == nil {
			s.of = map[string]edition{}
		}
		for _, id := range services {
			s.of[id]++
		}
	})
}

// freesOf reads, of each service, its first free slot and then no more than are counted.
func freesOf(tx *store.Tx, services []string, opens, now, most int64, free map[string]Free) error {
	args := make([]any, 0, len(services)+5)
	for _, id := range services {
		args = append(args, id)
	}
	count := `1`
	args = append(args, opens, now)
	if most > 1 {
		count = `(SELECT count(*) FROM (SELECT 1 FROM referral_slot x WHERE x.service = a.service AND ` + onOffer + ` LIMIT ?) counted)`
		args = append(args, opens, now, most)
	}
	rows, err := tx.Query(`WITH asked (service) AS (VALUES (?)`+strings.Repeat(", (?)", len(services)-1)+`)
		SELECT a.service, coalesce((SELECT x.starts FROM referral_slot x WHERE x.service = a.service AND `+onOffer+` ORDER BY x.starts LIMIT 1), 0), `+count+` FROM asked a`, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		var first, n int64
		if err := rows.Scan(&id, &first, &n); err != nil {
			return err
		}
		if first > 0 {
			free[id] = Free{n, fromMicros(first)}
		}
	}
	return rows.Err()
}
