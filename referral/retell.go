package referral

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
)

// underWayFor is how long what told a hospital of a change may be on its way, where nothing later has come there either. Nothing later may ever come, and what told of it may be lost to both.
const underWayFor = 3 * time.Hour

// stale are the referrals that a hospital knows otherwise than the spine does, although nothing about them is under way: what told it was lost to both sides by their restores. Told are the
// marks of its whole tally. One that the spine has changed since the latest thing that the hospital has heard, and not long ago, is left out; a hospital that asks because it was restored may lack anything.
func (s *Referrals) stale(tx *store.Tx, provider ident.ODSCode, told booking.Tally) (list []Referral, err error) {
	knows := map[ident.UBRN]int64{}
	for _, m := range told.Cases {
		knows[m.UBRN] = m.Version
	}
	mine, err := s.businessOf(tx, provider, false)
	if err != nil {
		return nil, err
	}
	have := map[ident.UBRN]bool{}
	for _, b := range mine {
		if have[b.ubrn] = true; knows[b.ubrn] < b.version {
			r, err := s.load(tx, b.chart, b.ubrn)
			if err != nil {
				return nil, err
			}
			list = append(list, r)
		}
	}
	for u, version := range knows {
		if have[u] {
			continue
		}
		chart, err := s.chartOf(tx, u)
		if fault.Is(err, fault.NotFound) {
			continue // the spine has lost it: the hospital tells it back when it is asked
		}
		if err != nil {
			return nil, err
		}
		r, err := s.load(tx, chart, u)
		if errors.Is(err, ErrNotReferral) {
			continue // so it has of a question of which a referral was made
		}
		if err != nil {
			return nil, err
		}
		if r.Version > version {
			list = append(list, r)
		}
	}
	still := list[:0]
	late := s.k.Clock.Now().Add(-underWayFor)
	for _, r := range list {
		if told.Unsure || r.Changed.UnixMicro() <= told.Heard || r.Changed.Before(late) {
			still = append(still, r)
		}
	}
	slices.SortFunc(still, func(a, b Referral) int { return strings.Compare(a.UBRN.String(), b.UBRN.String()) })
	return still, nil
}

// staleLanes are those that telling a hospital again of what it knows otherwise needs.
func (s *Referrals) staleLanes(ctx context.Context, provider ident.ODSCode, last booking.Tally) (lanes []store.Lane, err error) {
	err = s.read(ctx, func(tx *store.Tx) error {
		lanes = nil
		whole, err := s.pagesOf(tx, provider, last)
		if err != nil {
			return err
		}
		whole.Cases, whole.Advice = append(whole.Cases, last.Cases...), append(whole.Advice, last.Advice...)
		list, err := s.stale(tx, provider, whole)
		for _, r := range list {
			lanes = append(lanes, s.k.Post().LaneOf(s.k.National, r.UBRN.String()), s.chartLane(r.Chart))
		}
		if err != nil {
			return err
		}
		asked, err := s.staleAdvice(tx, provider, whole)
		for _, a := range asked {
			lanes = append(lanes, s.ubrnLane(a.UBRN), s.chartLane(a.Chart))
		}
		if err != nil {
			return err
		}
		whole.Slots = append(whole.Slots, last.Slots...)
		waits, err := s.nowhere(tx, provider, whole)
		for _, x := range waits {
			lanes = append(lanes, s.chartLane(x.chart))
		}
		return err
	})
	return lanes, err
}

// retell tells a hospital again of each referral that it knows otherwise: whole, at the version that it has. What tx holds no lane of, because it has just come to differ, waits for the next tally. In vain says
// that one of them, which is as it was before a restore of the spine, had come there already when it was told again: so the hospital may know better. It is asked once in a life of the spine, for it may just as well refuse to be told.
func (s *Referrals) retell(tx *store.Tx, provider ident.ODSCode, told booking.Tally) (inVain bool, err error) {
	list, err := s.stale(tx, provider, told)
	if err != nil {
		return false, err
	}
	least, err := s.life(tx)
	if err != nil {
		return false, err
	}
	for _, r := range list {
		if !tx.Holds(s.k.Post().LaneOf(s.k.National, r.UBRN.String())) || !tx.Holds(s.chartLane(r.Chart)) {
			continue
		}
		chosen := r.Chosen
		if chosen.Provider != provider && len(r.Shortlist) > 0 {
			chosen = r.Shortlist[0] // it is gone from there, and of a service that no longer matters
		}
		came, err := s.tellAgain(tx, r.UBRN, provider, func() (string, error) { return s.tellOne(tx, r, provider, chosen, nil) })
		if err != nil {
			return false, err
		}
		if !came || r.Version > least {
			continue
		}
		n, err := tx.Exec(`UPDATE referral_retold SET asked = ? WHERE lane = ? AND provider = ? AND ubrn = ? AND asked <> ?`, least, int64(s.tallyLane()), provider.String(), r.UBRN.String(), least)
		if err != nil {
			return false, err
		}
		inVain = inVain || n > 0
	}
	asked, err := s.staleAdvice(tx, provider, told)
	for _, a := range asked {
		if err == nil && tx.Holds(s.ubrnLane(a.UBRN)) && tx.Holds(s.chartLane(a.Chart)) {
			_, err = s.tellAgain(tx, a.UBRN, provider, func() (string, error) { return s.tellAdvice(tx, a) })
		}
	}
	return inVain, err
}

// tellAgain tells a hospital of a referral or a question once more, unless what did so before is still under way: behind something that a person has to decide, another one each hour would wait without end.
// Came says that what did so before has come there.
func (s *Referrals) tellAgain(tx *store.Tx, u ident.UBRN, provider ident.ODSCode, tell func() (string, error)) (came bool, err error) {
	lane, ubrn := int64(s.tallyLane()), u.String()
	var last string
	err = tx.QueryRow(`SELECT message FROM referral_retold WHERE lane = ? AND provider = ? AND ubrn = ?`, lane, provider.String(), ubrn).Scan(&last)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return false, err
	}
	if waits, err := s.k.Post().UnderWay(tx, last); err != nil || waits {
		return false, err
	}
	message, err := tell()
	if err != nil {
		return false, err
	}
	return last != "", tx.Queue(`INSERT INTO referral_retold (lane, provider, ubrn, message) VALUES (?, ?, ?, ?) ON CONFLICT (lane, provider, ubrn) DO UPDATE SET message = excluded.message`, lane, provider.String(), ubrn, message)
}
