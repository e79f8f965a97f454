package referral

import (
	"context"
	"errors"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/demographics"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/store"
)

// visit is how somebody's coming to a clinic stands.
type visit struct {
	state, outcome string
	followUp       bool
}

// visited notes how somebody's coming stands for whoever subscribed to such, in the commit that learns of it.
func (s *Referrals) visited(tx *store.Tx, r Referral, v visit) error {
	kind := "referral"
	if v.followUp {
		kind = "follow-up"
	}
	facts := map[string][]string{FactPractice: {r.Practice.String()}, FactProvider: {r.Provider().String()}, FactUBRN: {r.UBRN.String()}, FactVisit: {v.state}, FactKind: {kind}}
	if v.outcome != "" {
		facts[FactOutcome] = []string{v.outcome}
	}
	return demographics.Happened(tx, s.chartLane(r.Chart), demographics.VisitChange, r.Patient.String(), r.Version, demographics.About{ID: r.UBRN.String(), Facts: facts})
}

// visitLanes are those of the referral of a visit.
func (s *Referrals) visitLanes(m messaging.Message) []store.Lane {
	msg, err := decoded[booking.Visit](m)
	if err != nil {
		return nil // it is refused
	}
	chart, err := s.ownerOf(context.Background(), msg.UBRN)
	if err != nil {
		return nil
	}
	return []store.Lane{s.chartLane(chart)}
}

// visitCame takes what a hospital says of somebody's coming: the referral stays as it is.
func (s *Referrals) visitCame(_ context.Context, tx *store.Tx, m messaging.Message) error {
	msg, err := decoded[booking.Visit](m)
	if err != nil {
		return err
	}
	chart, err := s.chartOf(tx, msg.UBRN)
	if fault.Is(err, fault.NotFound) {
		if err := s.sure(tx, m.From); err != nil {
			return messaging.Wait(err) // it may be about what this life of the spine has yet to be told
		}
		return messaging.Refuse("There is no referral of this number.")
	}
	if err != nil {
		return err
	}
	if !tx.Holds(s.chartLane(chart)) {
		return errMoved()
	}
	r, err := s.load(tx, chart, msg.UBRN)
	if errors.Is(err, ErrNotReferral) {
		if err := s.sure(tx, m.From); err != nil {
			return messaging.Wait(err)
		}
		return messaging.Refuse("This is a question for advice, of which no referral was made.")
	}
	if err != nil {
		return err
	}
	if r.Provider() != m.From {
		return messaging.Refuse("The referral is not yours any more: it is %s.", r.State.words())
	}
	if !msg.FollowUp {
		err := tx.Queue(`INSERT INTO referral_come (lane, chart, ubrn, slot, state, at) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (lane, chart, ubrn) DO UPDATE SET slot = excluded.slot, state = excluded.state, at = excluded.at`,
			int64(s.chartLane(chart)), chart, msg.UBRN.String(), msg.Appointment.Slot, msg.State, tx.At().UnixMicro())
		if err != nil {
			return err
		}
	}
	if err := s.visited(tx, r, visit{state: msg.State, outcome: msg.Outcome, followUp: msg.FollowUp}); err != nil {
		return err
	}
	_, err = s.k.Audit.Append(tx, s.chartLane(chart), audit.Entry{Tenant: s.k.National, Chart: chart, Actor: "hospital/" + m.From.String(), ActorName: msg.By, Role: string(access.SystemClient), Organisation: m.From,
		Action: string(access.Update), Purpose: "TREAT", Basis: "referral", Outcome: audit.OutcomeOK, Detail: access.TypeBooking + "/" + r.UBRN.String() + " " + msg.State, RequestID: m.ID})
	return err
}

// Arrived reports whether somebody is at the appointment of a referral, as the hospital said; r is the referral as a caller was shown it.
func (s *Referrals) Arrived(ctx context.Context, r Referral) (bool, error) {
	if r.Appointment == nil {
		return false, nil
	}
	var n int64
	err := s.read(ctx, func(tx *store.Tx) error {
		return tx.QueryRow(`SELECT count(*) FROM referral_come WHERE lane = ? AND chart = ? AND ubrn = ? AND slot = ? AND state = ?`, int64(s.chartLane(r.Chart)), r.Chart, r.UBRN.String(), r.Appointment.Slot, booking.VisitArrived).Scan(&n)
	})
	return n > 0, err
}

// AsOf is a referral as it was at a version. Errors: those of Get.
func (s *Referrals) AsOf(ctx context.Context, c Caller, u ident.UBRN, version int64) (r Referral, err error) {
	err = s.open(ctx, c, u, access.Read, false, func(tx *store.Tx, chart string) error {
		r, err = s.versionOf(tx, chart, u, version)
		return err
	})
	return r, err
}
