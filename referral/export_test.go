package referral

import (
	"context"
	"testing"
	"time"

	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/store"
)

// Came handles a message as if the post had brought it.
func (s *Referrals) Came(ctx context.Context, m messaging.Message) error {
	for _, h := range s.handlers() {
		if h.Workflow != m.Workflow {
			continue
		}
		lanes := []store.Lane{s.k.DB.LaneOf(m.To.String(), m.Conversation)}
		if h.Lanes != nil {
			lanes = append(lanes, h.Lanes(m)...)
		}
		return s.k.DB.Write(ctx, lanes, func(tx *store.Tx) error { return h.Handle(ctx, tx, m) })
	}
	panic("nobody handles " + m.Workflow)
}

// Hear makes a hospital silent after a time, and says when each was heard of.
func (s *Referrals) Hear(silence time.Duration, heard func(ident.ODSCode) (time.Time, bool)) {
	s.o.Silence, s.o.Heard = silence, heard
}

// Due does what this package does by the clock.
func (s *Referrals) Due(ctx context.Context) error {
	if err := s.withdrawDue(ctx); err != nil {
		return err
	}
	return s.giveBackDue(ctx)
}

// Withdraw does what is due where sessions have been withdrawn.
func (s *Referrals) Withdraw(ctx context.Context) error { return s.withdrawDue(ctx) }

// Own is the epoch of a slot, as the spine knows it.
func (s *Referrals) Own(ctx context.Context, ref SlotRef) (e booking.Epoch, err error) {
	err = s.read(ctx, func(tx *store.Tx) error {
		x, err := s.slot(tx, ref)
		e = x.Epoch
		return err
	})
	return e, err
}

// Restored is this package after the database came back from a backup, as far as it knows: everything in it is of an earlier life.
func (s *Referrals) Restored(ctx context.Context) (*Referrals, error) {
	err := s.k.DB.Write(ctx, []store.Lane{s.tallyLane()}, func(tx *store.Tx) error {
		_, err := tx.Exec(`UPDATE referral_standing SET incarnation = 'earlier'`)
		return err
	})
	return &Referrals{k: s.k, places: s.places, o: s.o, supply: s.supply}, err
}

// Forget takes a referral out, and what is booked for it, as if the backup had been taken before it was made.
func (s *Referrals) Forget(ctx context.Context, chart string, u ident.UBRN) error {
	return s.k.DB.Write(ctx, []store.Lane{s.chartLane(chart), s.ubrnLane(u)}, func(tx *store.Tx) error {
		for _, query := range []string{`DELETE FROM referral_case WHERE ubrn = ?`, `DELETE FROM referral_version WHERE ubrn = ?`, `DELETE FROM referral_number WHERE ubrn = ?`,
			`DELETE FROM referral_booking WHERE ubrn = ?`, `DELETE FROM referral_file WHERE ubrn = ?`, `UPDATE referral_slot SET state = 0, chart = '', ubrn = '' WHERE ubrn = ?`} {
			if _, err := tx.Exec(query, u.String()); err != nil {
				return err
			}
		}
		return nil
	})
}

// Ask asks a hospital what is so, and says by which name the answer is known.
func (s *Referrals) Ask(ctx context.Context, provider ident.ODSCode) (round string, err error) {
	rounds, err := s.AskTimes(ctx, provider, 1)
	return rounds[0], err
}

// AskTimes asks so many times in one transaction, as when that many questions of the hospital's are handled in it.
func (s *Referrals) AskTimes(ctx context.Context, provider ident.ODSCode, times int) (rounds []string, err error) {
	rounds = make([]string, times)
	err = s.k.DB.Write(ctx, []store.Lane{s.tallyLane(), s.k.Post().LaneOf(s.k.National, conversationTally)}, func(tx *store.Tx) error {
		for i := range rounds {
			if err := s.ask(tx, provider); err != nil {
				return err
			}
			st, err := s.standingIn(tx, provider)
			if err != nil {
				return err
			}
			rounds[i] = st.round
		}
		return nil
	})
	return rounds, err
}

// Case is a referral as its hospital is told of it.
func (s *Referrals) Case(ctx context.Context, chart string, u ident.UBRN) (c booking.Case, err error) {
	err = s.read(ctx, func(tx *store.Tx) error {
		r, err := s.load(tx, chart, u)
		if err == nil {
			c, err = s.caseOf(tx, r, r.Provider(), r.Chosen, nil)
		}
		return err
	})
	return c, err
}

// Stale are the referrals that a hospital is told again when it tells what it knows.
func (s *Referrals) Stale(ctx context.Context, provider ident.ODSCode, told booking.Tally) (list []ident.UBRN, err error) {
	err = s.read(ctx, func(tx *store.Tx) error {
		list = nil
		all, err := s.stale(tx, provider, told)
		for _, r := range all {
			list = append(list, r.UBRN)
		}
		return err
	})
	return list, err
}

// Sent is how many messages about a referral were sent.
func (s *Referrals) Sent(t testing.TB, u ident.UBRN) int {
	t.Helper()
	list, _, err := s.k.Post().Search(t.Context(), messaging.Query{Workflow: booking.WorkflowCase, Limit: 500})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, it := range list {
		if it.Conversation == u.String() {
			n++
		}
	}
	return n
}

// Settled reports whether every message about a referral is dealt with.
func (s *Referrals) Settled(t testing.TB, u ident.UBRN) bool {
	t.Helper()
	var n int64
	err := s.read(t.Context(), func(tx *store.Tx) error {
		return tx.QueryRow(`SELECT count(*) FROM post_message WHERE conversation = ? AND state < ?`, u.String(), int64(messaging.Handled)).Scan(&n)
	})
	if err != nil {
		t.Fatal(err)
	}
	return n == 0
}

// Become makes this of every message about a referral, as far as the post knows.
func (s *Referrals) Become(ctx context.Context, u ident.UBRN, state messaging.State) error {
	return s.k.DB.Write(ctx, []store.Lane{s.ubrnLane(u)}, func(tx *store.Tx) error {
		_, err := tx.Exec(`UPDATE post_message SET state = ? WHERE conversation = ?`, int64(state), u.String())
		return err
	})
}

// Marks are what a hospital is told that the spine knows of its slots.
func (s *Referrals) Marks(ctx context.Context, provider ident.ODSCode) (list []booking.SlotMark, err error) {
	err = s.read(ctx, func(tx *store.Tx) error {
		slots, err := s.compared(tx, provider)
		list = marksOf(slots)
		return err
	})
	return list, err
}

// AsksAgain reports whether a question that was asked at a time, and not answered, is asked again now.
func AsksAgain(asked, now time.Time) bool { return stand{round: "a", asked: asked}.due(now) }

// Unreckon makes all referrals as an earlier edition wrote them, without their limits, and reckons those.
func (s *Referrals) Unreckon(ctx context.Context) error {
	var lanes []store.Lane
	for lane := range s.k.DB.Lanes() {
		lanes = append(lanes, store.Lane(lane))
	}
	err := s.k.DB.Write(ctx, lanes, func(tx *store.Tx) error {
		_, err := tx.Exec(`UPDATE referral_case SET limit_day = -1, flagged = -1`)
		return err
	})
	if err != nil {
		return err
	}
	return s.reckonDue(ctx)
}

// FreesUpTo is Frees that counts up to so many.
func (s *Referrals) FreesUpTo(ctx context.Context, service string, most int64) (int64, error) {
	free, err := s.frees(ctx, []string{service}, nil, most)
	return free[service].Slots, err
}

// OfferDue makes and ends offers.
func (s *Referrals) OfferDue(ctx context.Context) error { return s.offerDue(ctx) }

// OfferUntil is when an offer ends.
func OfferUntil(now time.Time, closes time.Time) time.Time { return offerUntil(now, offerDays, closes) }

// Times are the free times that the person of a referral is shown.
func (s *Referrals) Times(ctx context.Context, service string, r Referral) (times []string, err error) {
	days, _, _, err := s.days(ctx, service, r)
	for _, d := range days {
		for _, x := range d.Times {
			times = append(times, x.Text)
		}
	}
	return times, err
}

// ForgetOffers takes out what is held, and the slots of a session where one is named, as if the backup had been taken before.
func (s *Referrals) ForgetOffers(ctx context.Context, session string) error {
	return s.k.DB.Write(ctx, []store.Lane{s.sessionLane(session)}, func(tx *store.Tx) error {
		_, err := tx.Exec(`UPDATE referral_slot SET holder = '', held = 0`)
		if err == nil {
			_, err = tx.Exec(`DELETE FROM referral_wait WHERE NOT EXISTS (SELECT 1 FROM referral_case c WHERE c.lane = referral_wait.lane AND c.ubrn = referral_wait.ubrn)`)
		}
		if err == nil {
			_, err = tx.Exec(`DELETE FROM referral_slot WHERE session = ?`, session)
		}
		return err
	})
}

// Calendar is the file of an appointment.
func Calendar(ctx context.Context, r Referral, now time.Time) string { return calendarOf(ctx, r, now) }

// Tells is what a patient reads of how their referral stands.
func Tells(ctx context.Context, r Referral) string { return tells(ctx, r) }

// Asking reports whether the spine waits for a hospital to answer its question.
func (s *Referrals) Asking(ctx context.Context, provider ident.ODSCode) (asking bool) {
	err := s.read(ctx, func(tx *store.Tx) error {
		st, err := s.standingIn(tx, provider)
		asking = !st.sure
		return err
	})
	return err == nil && asking
}

// CaseMarks are what a hospital is told that the spine knows of its referrals.
func (s *Referrals) CaseMarks(ctx context.Context, provider ident.ODSCode) (list []booking.CaseMark, err error) {
	err = s.read(ctx, func(tx *store.Tx) (err error) {
		list, err = s.marks(tx, provider)
		return err
	})
	return list, err
}
