package referral

import (
	"context"
	"time"

	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/store"
)

// conversationTally is that in which both sides say what they know.
const conversationTally = "tally"

// stand is how the spine stands with a hospital.
type stand struct {
	sure  bool   // it knows whose the hospital's slots are; not so after a restore, until the hospital has answered
	round string // the question that was asked last
	asked time.Time

	message string // the last page of the question
}

func (s *Referrals) tallyLane() store.Lane {
	return s.k.DB.LaneOf(s.k.National.String(), conversationTally)
}

// life is the number above which versions are that this life of the database makes: 0 in the first one, and after a restore the seconds of the clock, which no
// earlier life has counted up to. So a hospital takes what is told of a referral from now on, whatever it was told in days that the restore has lost.
func (s *Referrals) life(tx *store.Tx) (least int64, err error) {
	if known := s.lived.Load(); known != nil {
		return *known, nil
	}
	lane, self := int64(s.tallyLane()), s.k.National.String()
	var incarnation string
	err = tx.QueryRow(`SELECT incarnation, least FROM referral_standing WHERE lane = ? AND provider = ?`, lane, self).Scan(&incarnation, &least)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return 0, err
	}
	if err == nil && incarnation == s.k.DB.Incarnation() {
		s.lived.Store(&least)
		return least, nil
	}
	restored := err == nil
	if !restored {
		if restored, err = s.k.DB.Restored(tx.Context()); err != nil {
			return 0, err
		}
	}
	least = 0
	if restored {
		least = s.k.Clock.Now().Unix()
	}
	if tx.ReadOnly() { // nothing has been written in this life yet: the first write notes it
		return least, nil
	}
	return least, tx.Queue(`INSERT INTO referral_standing (lane, provider, incarnation, sure, round, asked, least) VALUES (?, ?, ?, 1, '', 0, ?)
		ON CONFLICT (lane, provider) DO UPDATE SET incarnation = excluded.incarnation, least = excluded.least`, lane, self, s.k.DB.Incarnation(), least)
}

// next is the number of the version after one.
func (s *Referrals) next(tx *store.Tx, version int64) (int64, error) {
	least, err := s.life(tx)
	return max(version, least+1), err
}

// unchanged is up to which version of a referral somebody who tells it back knows no better: an act of the spine's own is no change that anybody has made in this life (see toldBack).
func (s *Referrals) unchanged(tx *store.Tx, r Referral) (int64, error) {
	least, err := s.life(tx)
	if err == nil && r.Version <= least {
		return r.Version, nil
	}
	return r.Told, err
}

func (s *Referrals) standingIn(tx *store.Tx, provider ident.ODSCode) (st stand, err error) {
	least, err := s.life(tx)
	if err != nil || least == 0 {
		return stand{sure: true}, err
	}
	var incarnation string
	var asked int64
	err = tx.QueryRow(`SELECT incarnation, sure, round, asked, message FROM referral_standing WHERE lane = ? AND provider = ?`, int64(s.tallyLane()), provider.String()).Scan(&incarnation, &st.sure, &st.round, &asked, &st.message)
	st.asked = time.UnixMicro(asked)
	if fault.Is(err, fault.NotFound) || err == nil && incarnation != s.k.DB.Incarnation() {
		return stand{}, nil
	}
	return st, err
}

func (s *Referrals) putStanding(tx *store.Tx, provider ident.ODSCode, st stand) error {
	return tx.Queue(`INSERT INTO referral_standing (lane, provider, incarnation, sure, round, asked, message, least) VALUES (?, ?, ?, ?, ?, ?, ?, 0)
		ON CONFLICT (lane, provider) DO UPDATE SET incarnation = excluded.incarnation, sure = excluded.sure, round = excluded.round, asked = excluded.asked, message = excluded.message`,
		int64(s.tallyLane()), provider.String(), s.k.DB.Incarnation(), st.sure, st.round, st.asked.UnixMicro(), st.message)
}

// sure refuses to book, or to take an act, while the spine does not know whose a hospital's slots are.
func (s *Referrals) sure(tx *store.Tx, provider ident.ODSCode) error {
	st, err := s.standingIn(tx, provider)
	if err == nil && !st.sure {
		err = fault.New(fault.Unavailable, "The spine was restored from a backup and has asked %s which of its times are taken. No time can be booked there until it has answered: try again in a few minutes.", provider)
	}
	return err
}

// answerWithin is how long the spine waits for the answer to its question: with two restores a question or its answer may be lost to both sides.
const answerWithin = time.Hour

// due reports whether a hospital is to be asked.
func (st stand) due(now time.Time) bool {
	since := now.Sub(st.asked)
	return !st.sure && (st.round == "" || since >= answerWithin || since < -answerWithin)
}

// askDue asks the hospitals what is so, after a restore of the spine: each that the spine knows, and that has not answered in this life.
func (s *Referrals) askDue(ctx context.Context) error {
	least := int64(0)
	err := s.k.DB.Write(ctx, []store.Lane{s.tallyLane()}, func(tx *store.Tx) (err error) {
		least, err = s.life(tx)
		return err
	})
	if err != nil || least == 0 {
		return err
	}
	providers, err := s.providers(ctx)
	if err != nil {
		return err
	}
	for _, provider := range providers {
		lanes := []store.Lane{s.tallyLane(), s.k.Post().LaneOf(s.k.National, conversationTally)}
		err := s.k.DB.Write(ctx, lanes, func(tx *store.Tx) error {
			st, err := s.standingIn(tx, provider)
			if err != nil || !st.due(tx.At()) {
				return err
			}
			if waits, err := s.k.Post().UnderWay(tx, st.message); err != nil || waits {
				return err // another question would only wait behind it
			}
			return s.ask(tx, provider)
		})
		if err != nil && !fault.Is(err, fault.NotFound) { // nobody keeps the post of a hospital that has left
			return err
		}
	}
	return nil
}

// providers are those who have handed over slots, or have referrals, or were heard from.
func (s *Referrals) providers(ctx context.Context) (list []ident.ODSCode, err error) {
	err = s.read(ctx, func(tx *store.Tx) error {
		list = nil
		rows, err := tx.Query(`SELECT provider FROM referral_slot UNION SELECT provider FROM referral_heard UNION SELECT provider FROM referral_case WHERE provider <> '' UNION SELECT provider FROM referral_advice`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var code string
			if err := rows.Scan(&code); err != nil {
				return err
			}
			org, err := ident.ParseODSCode(code)
			if err != nil {
				return fault.Wrap(err, fault.Internal, "a hospital's code cannot be read")
			}
			list = append(list, org)
		}
		return rows.Err()
	})
	return list, err
}

// ask tells a hospital all that the spine knows, and asks it what is so; only the answer to the last question counts. Several questions of the hospital's may be handled in one
// transaction, at one instant: what is asked after each has a name of its own, or the answer to the first would be taken for that to the last.
func (s *Referrals) ask(tx *store.Tx, provider ident.ODSCode) error {
	last, err := s.standingIn(tx, provider)
	if err != nil {
		return err
	}
	at := tx.At()
	if !at.After(last.asked) {
		at = last.asked.Add(time.Microsecond)
	}
	round := booking.Round(s.k.National, s.k.DB.Incarnation(), at)
	slots, err := s.compared(tx, provider)
	if err != nil {
		return err
	}
	message, err := s.tellAll(tx, provider, round, true, marksOf(slots))
	if err != nil {
		return err
	}
	return s.putStanding(tx, provider, stand{round: round, asked: at, message: message})
}

// compared are the slots of a hospital that are not long over. Of one that was settled before the spine was told what it is, it is not known when it begins.
func (s *Referrals) compared(tx *store.Tx, provider ident.ODSCode) ([]slotRow, error) {
	return s.slots(tx, `WHERE provider = ? AND (starts >= ? OR starts = 0) ORDER BY session, slot`, provider.String(), tx.At().Add(-tallied).UnixMicro())
}

func marksOf(slots []slotRow) []booking.SlotMark {
	marks := make([]booking.SlotMark, len(slots))
	for i, x := range slots {
		marks[i] = booking.SlotMark{ID: x.SlotRef.Slot, Epoch: x.Epoch, Session: x.Session, Base: x.Base}
	}
	return marks
}

// tellAll sends marks of slots, and those of all referrals that are the hospital's business, in pages; it returns the last message.
func (s *Referrals) tellAll(tx *store.Tx, provider ident.ODSCode, round string, unsure bool, slots []booking.SlotMark) (message string, err error) {
	cases, err := s.marks(tx, provider)
	if err != nil {
		return "", err
	}
	var asked []booking.CaseMark
	if unsure {
		if asked, err = s.adviceMarks(tx, provider); err != nil {
			return "", err
		}
	}
	for page := 0; ; page++ {
		t := booking.Tally{Round: round, Page: page, Unsure: unsure}
		n := min(len(slots), booking.MostSlots)
		k := min(len(cases), booking.MostSlots)
		t.Slots, slots, t.Cases, cases = slots[:n], slots[n:], cases[:k], cases[k:]
		n = min(len(asked), booking.MostSlots)
		t.Advice, asked = asked[:n], asked[n:]
		t.Last = len(slots) == 0 && len(cases) == 0 && len(asked) == 0
		body, err := booking.Encode(t)
		if err != nil {
			return "", err
		}
		if message, err = s.k.Post().Send(tx.Context(), tx, messaging.Message{From: s.k.National, To: provider, Workflow: booking.WorkflowTally, Conversation: conversationTally, Body: body}); err != nil || t.Last {
			return message, err
		}
	}
}
