package referral

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/store"
)

// tallied is how long after it began a slot is still told of: longer than hospitals compare theirs, so that what they compare is told whatever the two clocks say.
const tallied = 48 * time.Hour

// tallyLanes are those of the tally itself, and where slots are settled those of every session of the hospital and of the referrals that it tells back.
func (s *Referrals) tallyLanes(m messaging.Message) []store.Lane {
	lanes := []store.Lane{s.tallyLane(), s.k.Post().LaneOf(s.k.National, conversationTally)}
	msg, err := decoded[booking.Tally](m)
	if err != nil {
		return lanes // it is refused
	}
	for _, c := range msg.Told {
		lanes = append(lanes, s.toldLanes(c)...)
	}
	settles := msg.Unsure
	if !settles {
		err = s.read(context.Background(), func(tx *store.Tx) error {
			var n int64
			err := tx.QueryRow(`SELECT count(*) FROM referral_standing WHERE lane = ? AND provider = ? AND round = ?`, int64(s.tallyLane()), m.From.String(), msg.Round).Scan(&n)
			settles = n > 0
			return err
		})
	}
	if err == nil && msg.Last {
		var more []store.Lane
		more, err = s.staleLanes(context.Background(), m.From, msg)
		lanes = append(lanes, more...)
	}
	if err != nil || !settles || !msg.Last {
		return lanes
	}
	seen := map[store.Lane]bool{}
	add := func(session string) {
		if lane := s.sessionLane(session); session != "" && !seen[lane] {
			seen[lane] = true
			lanes = append(lanes, lane)
		}
	}
	err = s.read(context.Background(), func(tx *store.Tx) error {
		list, err := s.compared(tx, m.From)
		for _, x := range list {
			add(x.Session)
		}
		if err != nil {
			return err
		}
		whole, err := s.pagesOf(tx, m.From, msg)
		for _, x := range append(whole.Slots, msg.Slots...) {
			add(x.Session)
		}
		return err
	})
	if err != nil {
		return nil // without the lanes it is tried again
	}
	return lanes
}

// tallyCame takes what a hospital knows, page by page. Once the last one is here the spine answers with what it knows itself, and the hospital compares; where one
// of the two was restored from a backup, whose the slots are is settled first.
func (s *Referrals) tallyCame(_ context.Context, tx *store.Tx, m messaging.Message) error {
	msg, err := decoded[booking.Tally](m)
	if err != nil {
		return err
	}
	if m.Conversation != conversationTally {
		return messaging.Refuse("What each side knows goes in the conversation %q.", conversationTally)
	}
	st, err := s.standingIn(tx, m.From)
	if err != nil {
		return err
	}
	for _, c := range msg.Told {
		if msg.Round != st.round || st.sure {
			break // it answers a question of an earlier life
		}
		if err := s.toldBack(tx, m.From, c); err != nil {
			return err
		}
	}
	if err := s.heard(tx, s.tallyLane(), m.From); err != nil {
		return err
	}
	_, err = tx.Exec(`INSERT INTO referral_tally (lane, provider, round, page, body) VALUES (?, ?, ?, ?, ?) ON CONFLICT (lane, provider, round, page) DO UPDATE SET body = excluded.body`,
		int64(s.tallyLane()), m.From.String(), msg.Round, int64(msg.Page), m.Body)
	if err != nil || !msg.Last {
		return err
	}
	whole, err := s.pagesOf(tx, m.From, msg)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(`DELETE FROM referral_tally WHERE lane = ? AND provider = ?`, int64(s.tallyLane()), m.From.String()); err != nil {
		return err
	}
	switch {
	case whole.Unsure:
		return s.settle(tx, m.From, whole, st)
	case whole.Round == st.round && !st.sure:
		return s.answered(tx, m.From, whole)
	case whole.Round == st.round:
		return nil // answered before
	case st.sure:
		if late, err := s.toldLate(tx, whole); err != nil || late {
			if err == nil {
				err = s.ask(tx, m.From)
			}
			return err
		}
		inVain, err := s.retell(tx, m.From, whole)
		if err != nil {
			return err
		}
		if inVain {
			return s.ask(tx, m.From)
		}
		if err := s.offeredNowhere(tx, m.From, whole); err != nil {
			return err
		}
	}
	slots, err := s.compared(tx, m.From)
	if err != nil {
		return err
	}
	_, err = s.tellAll(tx, m.From, whole.Round, false, marksOf(slots))
	return err
}

// toldLate reports whether a hospital knows more of a referral, or of a question for advice, than the spine does: what told it in days that a restore of the spine has lost was still on its way, or waited for a file, when the
// hospital answered. It is asked once more, and tells it back.
func (s *Referrals) toldLate(tx *store.Tx, told booking.Tally) (bool, error) {
	least, err := s.life(tx)
	if err != nil || least == 0 {
		return false, err
	}
	for _, m := range told.Cases {
		chart, err := s.chartOf(tx, m.UBRN)
		if fault.Is(err, fault.NotFound) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
		r, err := s.load(tx, chart, m.UBRN)
		if errors.Is(err, ErrNotReferral) {
			return true, nil // the referral that was made of a question
		}
		if err != nil || m.Version > r.Version {
			return err == nil, err
		}
	}
	return s.adviceToldLate(tx, told)
}

// pagesOf puts the slots and the referrals of a tally's pages together.
func (s *Referrals) pagesOf(tx *store.Tx, provider ident.ODSCode, last booking.Tally) (whole booking.Tally, err error) {
	whole = booking.Tally{Round: last.Round, Unsure: last.Unsure, Heard: last.Heard}
	rows, err := tx.Query(`SELECT body FROM referral_tally WHERE lane = ? AND provider = ? AND round = ? ORDER BY page`, int64(s.tallyLane()), provider.String(), last.Round)
	if err != nil {
		return whole, err
	}
	defer rows.Close()
	for rows.Next() {
		var body []byte
		if err := rows.Scan(&body); err != nil {
			return whole, err
		}
		t, err := booking.Decode[booking.Tally](body)
		if err != nil {
			return whole, err
		}
		whole.Slots, whole.Cases, whole.Advice = append(whole.Slots, t.Slots...), append(whole.Cases, t.Cases...), append(whole.Advice, t.Advice...)
	}
	return whole, rows.Err()
}

// settle settles whose each slot is, for a hospital that was restored from a backup or asks for it (booking.Side.Settle), and tells it.
func (s *Referrals) settle(tx *store.Tx, provider ident.ODSCode, asked booking.Tally, st stand) error {
	slots, err := s.known(tx, provider, asked)
	if err != nil {
		return err
	}
	theirs := map[SlotRef]booking.SlotMark{}
	for _, m := range asked.Slots {
		theirs[SlotRef{provider, m.Session, m.ID}] = m
	}
	for i, x := range slots {
		told := theirs[x.SlotRef]
		e := booking.Spine.Settle(x.Epoch, told.Epoch, st.sure, s.k.Clock.Now())
		if booking.Spine.Owns(e) && !booking.Spine.Owns(x.Epoch) {
			if e, err = booking.Spine.Give(e); err != nil { // handed over, and not here yet: what the slot is nobody has told, so it goes back with this answer
				return err
			}
		}
		if slots[i], err = s.put(tx, x, e, told); err != nil {
			return err
		}
	}
	if _, err := s.tellAll(tx, provider, asked.Round, false, marksOf(slots)); err != nil {
		return err
	}
	if st.sure {
		_, err = s.retell(tx, provider, asked)
		return err
	}
	return s.ask(tx, provider) // what it is being answered was said by a life that is over
}

// answered takes a hospital's answer to the last question of a spine that was restored: from now on it books there again.
func (s *Referrals) answered(tx *store.Tx, provider ident.ODSCode, told booking.Tally) error {
	slots, err := s.known(tx, provider, told)
	if err != nil {
		return err
	}
	theirs := map[SlotRef]booking.SlotMark{}
	for _, m := range told.Slots {
		theirs[SlotRef{provider, m.Session, m.ID}] = m
	}
	for _, x := range slots {
		m := theirs[x.SlotRef]
		e := booking.Settled(x.Epoch, m.Epoch)
		if booking.Spine.Owns(e) && !booking.Spine.Owns(x.Epoch) {
			continue // the hospital hands it over anew, with what it is
		}
		if _, err := s.put(tx, x, e, m); err != nil {
			return err
		}
	}
	for _, x := range slots { // what is free here, and was offered in days that the restore has lost
		if err := s.holdPromised(tx, x.SlotRef); err != nil {
			return err
		}
	}
	return s.putStanding(tx, provider, stand{sure: true, round: told.Round, asked: tx.At()})
}

// known are the slots that are compared with a hospital and those that it names: of one that the spine never had it knows no more than its name.
func (s *Referrals) known(tx *store.Tx, provider ident.ODSCode, told booking.Tally) ([]slotRow, error) {
	slots, err := s.compared(tx, provider)
	if err != nil {
		return nil, err
	}
	have := map[SlotRef]bool{}
	for _, x := range slots {
		have[x.SlotRef] = true
	}
	for _, m := range told.Slots {
		ref := SlotRef{provider, m.Session, m.ID}
		if m.Session == "" {
			return nil, messaging.Refuse("A tally names the session of each slot.")
		}
		if have[ref] {
			continue
		}
		x, err := s.slot(tx, ref)
		if fault.Is(err, fault.NotFound) {
			x, err = slotRow{Slot: Slot{SlotRef: ref}}, nil
		}
		if err != nil {
			return nil, err
		}
		have[ref] = true
		slots = append(slots, x)
	}
	for _, x := range slots {
		if !tx.Holds(s.sessionLane(x.Session)) {
			return nil, errMoved()
		}
	}
	return slots, nil
}

// put writes the epoch that was settled for a slot, when it is another than before. Told is what the hospital says of it.
func (s *Referrals) put(tx *store.Tx, x slotRow, e booking.Epoch, told booking.SlotMark) (slotRow, error) {
	if e == x.Epoch {
		return x, nil
	}
	had := x
	switch {
	case told.Epoch > x.Epoch && told.Epoch.Owner() == e.Owner():
		x.Base = told.Since() // whoever knows of more handings over knows since when it is whose it is, and whom they have in it
	case e.Owner() != x.Epoch.Owner(), told.Epoch > 0 && x.Epoch == 0:
		x.Base = e
	}
	x.Epoch = e
	if err := s.lose(tx, x.SlotRef, had, x.Base); err != nil {
		return x, err
	}
	state, ubrn, chart, err := s.occupant(tx, x.SlotRef, x.Base)
	if err != nil {
		return x, err
	}
	s.supply.changed(tx)
	return x, tx.Queue(`INSERT INTO referral_slot (lane, provider, session, slot, epoch, base, service, starts, ends, clinician, state, ubrn, chart, holder, held, recalled, reason)
		VALUES (?, ?, ?, ?, ?, ?, '', 0, 0, '', ?, ?, ?, '', 0, ?, '') ON CONFLICT (lane, provider, session, slot) DO UPDATE SET epoch = excluded.epoch, base = excluded.base,
		state = excluded.state, ubrn = excluded.ubrn, chart = excluded.chart, holder = '', held = 0`,
		int64(s.sessionLane(x.Session)), x.Provider.String(), x.Session, x.SlotRef.Slot, int64(x.Epoch), int64(x.Base), state, ubrn, chart, notRecalled)
}

// business is a referral that is a hospital's business, as far as it is compared.
type business struct {
	ubrn    ident.UBRN
	chart   string
	version int64
	body    []byte // where it was asked for
}

// businessOf are the referrals that are a hospital's business: a hospital's are very many, so what a comparison does not need of them is not read.
func (s *Referrals) businessOf(tx *store.Tx, provider ident.ODSCode, bodies bool) (list []business, err error) {
	body := `CAST('' AS BLOB)`
	if bodies {
		body = `body`
	}
	rows, err := tx.Query(`SELECT ubrn, chart, version, `+body+` FROM referral_case WHERE provider = ? AND state NOT IN (?, ?, ?, ?, ?) ORDER BY ubrn`, // theirs
		provider.String(), string(NotBooked), string(CancelledByPatient), string(Rejected), string(TriageResponse), string(Cancelled))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var b business
		var ubrn string
		if err := rows.Scan(&ubrn, &b.chart, &b.version, &b.body); err != nil {
			return nil, err
		}
		if b.ubrn, err = ident.ParseUBRN(ubrn); err != nil {
			return nil, fault.Wrap(err, fault.Internal, "a referral cannot be read")
		}
		list = append(list, b)
	}
	return list, rows.Err()
}

// marks are what a hospital is told that the spine knows of those.
func (s *Referrals) marks(tx *store.Tx, provider ident.ODSCode) (list []booking.CaseMark, err error) {
	mine, err := s.businessOf(tx, provider, true)
	for _, b := range mine {
		c := booking.CaseMark{UBRN: b.ubrn, Version: b.version}
		var r struct {
			Appointment *struct {
				Session string `json:"session"`
				Slot    string `json:"slot"`
				Epoch   int64  `json:"epoch"`
			} `json:"appointment"`
		}
		if err := json.Unmarshal(b.body, &r); err != nil {
			return nil, fault.Wrap(err, fault.Internal, "a referral cannot be read")
		}
		if a := r.Appointment; a != nil {
			c.Session, c.Slot, c.Epoch = a.Session, a.Slot, booking.Epoch(a.Epoch)
		}
		list = append(list, c)
	}
	return list, err
}
