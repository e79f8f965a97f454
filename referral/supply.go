package referral

import (
	"context"
	"strings"
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
	return s.frees(ctx, services, MostCounted)
}

// frees is Frees with at most most slots of each counted: 1 where all that matters is the first.
func (s *Referrals) frees(ctx context.Context, services []string, most int64) (map[string]Free, error) {
	free := make(map[string]Free, len(services))
	now := s.k.Clock.Now()
	err := s.read(ctx, func(tx *store.Tx) error {
		clear(free)
		for rest := services; len(rest) > 0; {
			n := min(len(rest), mostAsked)
			if err := freesOf(tx, rest[:n], now.Add(s.o.Freeze).UnixMicro(), now.UnixMicro(), most, free); err != nil {
				return err
			}
			rest = rest[n:]
		}
		return nil
	})
	if err == nil {
		s.addAsked(services, free)
	}
	return free, err
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
