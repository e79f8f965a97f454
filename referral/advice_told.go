package referral

import (
	"context"
	"slices"

	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/store"
)

// A question for advice that a restore of the spine has lost, or a message of one, is told back by the hospital that was asked: each as the spine told of it, with its files, in the conversation of the comparison and before the
// hospital's answer to it. So all are here when the spine counts as answered, and what the hospital has said meanwhile, which waits until then, finds them.

// adviceMarks are what a hospital is told that a restored spine knows of the questions that it was asked.
func (s *Referrals) adviceMarks(tx *store.Tx, provider ident.ODSCode) (list []booking.CaseMark, err error) {
	rows, err := tx.Query(`SELECT ubrn, version FROM referral_advice WHERE provider = ? ORDER BY ubrn`, provider.String())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var number string
		var m booking.CaseMark
		if err := rows.Scan(&number, &m.Version); err != nil {
			return nil, err
		}
		if m.UBRN, err = ident.ParseUBRN(number); err != nil {
			return nil, fault.Wrap(err, fault.Internal, "the number of a question cannot be read")
		}
		list = append(list, m)
	}
	return list, rows.Err()
}

// adviceToldLate is toldLate of the questions for advice.
func (s *Referrals) adviceToldLate(tx *store.Tx, told booking.Tally) (bool, error) {
	for _, m := range told.Advice {
		chart, err := s.chartOf(tx, m.UBRN)
		var a Advice
		if err == nil {
			a, err = s.loadAdvice(tx, chart, m.UBRN)
		}
		if fault.Is(err, fault.NotFound) {
			return true, nil
		}
		if err != nil || m.Version > a.Version {
			return err == nil, err
		}
	}
	return false, nil
}

// adviceToldLanes are those of a question that a hospital tells back.
func (s *Referrals) adviceToldLanes(m messaging.Message) []store.Lane {
	msg, err := decoded[booking.Advice](m)
	if err != nil {
		return nil // it is refused
	}
	lanes := []store.Lane{s.tallyLane(), s.ubrnLane(msg.UBRN), s.chartLane(msg.Person.NHSNumber.String()), s.k.Post().LaneOf(s.k.National, msg.UBRN.String())}
	for _, f := range msg.Files() {
		lanes = append(lanes, s.fileLane(f.ID))
	}
	if chart, err := s.ownerOf(context.Background(), msg.UBRN); err == nil {
		lanes = append(lanes, s.chartLane(chart))
	}
	return lanes
}

// adviceTold takes up again what a restore has lost of a question. What somebody has said or ended in this life of the spine stands, and the hospital is told.
func (s *Referrals) adviceTold(_ context.Context, tx *store.Tx, m messaging.Message) error {
	msg, err := decoded[booking.Advice](m)
	if err != nil {
		return err
	}
	if m.Conversation != conversationTally {
		return messaging.Refuse("What each side knows goes in the conversation %q.", conversationTally)
	}
	least, err := s.life(tx)
	if err != nil || least == 0 || s.o.Seams.NotAsked {
		return err // nothing was lost
	}
	states := []AdviceState{AdviceAsked, AdviceMore, AdviceAnswered, AdviceClosed, AdviceCancelled, AdviceConverted}
	if !slices.Contains(states, AdviceState(msg.State)) || msg.Practice.IsZero() {
		return messaging.Refuse("There is no state called %q, or no practice is named.", msg.State)
	}
	was, err := s.lostAdvice(tx, msg)
	if err != nil {
		return err
	}
	known := was.Version
	if known > least {
		known = was.Told // 0 when somebody has said something in this life
	}
	switch {
	case was.Version > 0 && was.Service.Provider != m.From:
		return messaging.Refuse("Your organisation was not asked.")
	case was.Version > least && (was.Told == 0 || msg.Version < known):
		_, err = s.tellAdvice(tx, was)
		return err
	case msg.Version <= known:
		return nil
	}
	a := s.recoveredAdvice(tx.Context(), was, m.From, msg)
	if a.Version, err = s.next(tx, max(was.Version, msg.Version)+1); err != nil {
		return err
	}
	a.Told = msg.Version
	for i := range a.Remarks {
		if a.Remarks[i].Version == 0 {
			a.Remarks[i].Version = a.Version
		}
	}
	if err := s.refile(tx, Referral{Attachments: was.Files()}, Referral{UBRN: a.UBRN, Chart: a.Chart, Attachments: a.Files()}); err != nil {
		return err
	}
	if a.Ended() {
		err = s.partAdvice(tx, a)
	} else {
		err = s.k.Gate.Relate(tx, adviceBond(s.k.National, a))
	}
	if err == nil {
		err = s.saveAdvice(tx, a)
	}
	if err != nil {
		return err
	}
	return s.account(tx, Referral{UBRN: a.UBRN, Chart: a.Chart}, Act{Kind: ActTold, At: tx.At(), By: Actor{ID: "hospital/" + m.From.String(), Name: s.k.Organisation(tx.Context(), m.From), Party: System, Organisation: m.From}}, m.ID)
}

// lostAdvice is a question as the spine knows it. The number of one that it does not know is made known, with a password that nobody has been told.
func (s *Referrals) lostAdvice(tx *store.Tx, msg booking.Advice) (Advice, error) {
	chart, err := s.chartOf(tx, msg.UBRN)
	if fault.Is(err, fault.NotFound) {
		chart = msg.Person.NHSNumber.String()
		if !tx.Holds(s.ubrnLane(msg.UBRN)) || !tx.Holds(s.chartLane(chart)) {
			return Advice{}, errMoved()
		}
		_, salt, hash, err := newPassword()
		if err != nil {
			return Advice{}, err
		}
		return Advice{UBRN: msg.UBRN, Chart: chart}, tx.Queue(`INSERT INTO referral_number (lane, ubrn, chart, salt, password) VALUES (?, ?, ?, ?, ?)`, int64(s.ubrnLane(msg.UBRN)), msg.UBRN.String(), chart, salt, hash)
	}
	if err != nil {
		return Advice{}, err
	}
	if !tx.Holds(s.chartLane(chart)) {
		return Advice{}, errMoved()
	}
	was, err := s.loadAdvice(tx, chart, msg.UBRN)
	if fault.Is(err, fault.NotFound) { // it has become a referral, which was told back before it
		return Advice{UBRN: msg.UBRN, Chart: chart}, nil
	}
	return was, err
}

// recoveredAdvice is a question as a hospital was told of it. What hospitals are not told, as by which sign-in somebody wrote, is kept where the backup has it.
func (s *Referrals) recoveredAdvice(ctx context.Context, was Advice, from ident.ODSCode, msg booking.Advice) Advice {
	a := was
	a.Patient, a.State, a.Priority, a.MayConvert, a.Changed, a.Practice, a.PracticeName = msg.Person.NHSNumber, AdviceState(msg.State), Priority(msg.Priority), msg.MayConvert, msg.Changed, msg.Practice, msg.PracticeName
	if was.Version == 0 {
		a.Service, a.Referrer = Choice{Service: msg.Service, Name: msg.ServiceName, Provider: from, ProviderName: s.k.Organisation(ctx, from)}, Staff{Name: msg.Referrer}
		a.Created = msg.Changed
	}
	a.Remarks = nil
	for i, r := range msg.Remarks {
		if i == 0 && was.Version == 0 {
			a.Created = r.At
		}
		if j := slices.IndexFunc(was.Remarks, func(x Remark) bool { return x.ID == r.ID }); j >= 0 {
			a.Remarks = append(a.Remarks, was.Remarks[j])
			continue
		}
		m := Remark{ID: r.ID, At: r.At, By: Staff{Name: r.By}, For: Staff{Name: r.By}, Organisation: msg.Practice, Provider: r.Provider, Text: r.Text, Recommendation: r.Recommendation}
		if r.Provider {
			m.Organisation = from
		}
		m.Files = filesTold(Referral{}, from, booking.Case{Practice: m.Organisation, Attachments: r.Files})
		a.Remarks = append(a.Remarks, m)
	}
	return a
}
