package hospital

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/store"
)

// conversationTally is that in which both sides say what they know.
const conversationTally = "tally"

// tallied is how long after its end a session is still compared.
const tallied = 24 * time.Hour

// Standing is how a hospital stands with the spine.
type Standing struct {
	Sure            bool // it knows whose its slots are; not so after a restore, until the spine has answered
	Round           string
	Asked, Answered time.Time
	owed            string
	incarnation     string
	message         string // the last page of the last question

	Complete  time.Time // up to when all that the spine knew is known here, apart from the differences; zero for never
	Completed string    // the message that says so
}

func (o *Outpatients) standingIn(tx *store.Tx, hospital ident.ODSCode) (s Standing, err error) {
	var asked, answered, complete int64
	err = tx.QueryRow(`SELECT incarnation, sure, round, asked, answered, owed, message, complete, completed FROM hospital_standing WHERE lane = ? AND tenant = ?`, int64(o.lane(hospital)), hospital.String()).
		Scan(&s.incarnation, &s.Sure, &s.Round, &asked, &answered, &s.owed, &s.message, &complete, &s.Completed)
	if fault.Is(err, fault.NotFound) {
		restored, err := o.k.DB.Restored(tx.Context()) // to before it first noted its life
		return Standing{Sure: !restored}, err
	}
	s.Asked, s.Answered, s.Complete = fromMicros(asked), fromMicros(answered), fromMicros(complete)
	if s.incarnation != o.k.DB.Incarnation() { // an answer to what an earlier life has asked says nothing of this one, nor does this one owe what that did
		s.Sure, s.Round, s.owed, s.message, s.Complete, s.Completed = false, "", "", "", time.Time{}, ""
	}
	return s, err
}

func (o *Outpatients) putStanding(tx *store.Tx, hospital ident.ODSCode, s Standing) error {
	_, err := tx.Exec(`INSERT INTO hospital_standing (lane, tenant, incarnation, sure, round, asked, answered, owed, message, complete, completed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (lane, tenant) DO UPDATE SET incarnation = excluded.incarnation, sure = excluded.sure, round = excluded.round, asked = excluded.asked, answered = excluded.answered, owed = excluded.owed, message = excluded.message, complete = excluded.complete, completed = excluded.completed`,
		int64(o.lane(hospital)), hospital.String(), o.k.DB.Incarnation(), s.Sure, s.Round, micros(s.Asked), micros(s.Answered), s.owed, s.message, micros(s.Complete), s.Completed)
	return err
}

// sure refuses to book or give while the hospital does not know whose its slots are.
func (o *Outpatients) sure(tx *store.Tx, hospital ident.ODSCode) error {
	s, err := o.standingIn(tx, hospital)
	if err == nil && !s.Sure {
		err = fault.New(fault.Unavailable, "The hospital was restored from a backup and has asked the spine whose the slots are. It books and gives none until the spine has answered.")
	}
	return err
}

// begin notes in which life of the database the hospital is; after a restore it asks the spine what is so: once in each life, since only the answer to the last question counts. The
// hourly comparison asks again.
func (o *Outpatients) begin(ctx context.Context, hospital ident.ODSCode) error {
	asks := false
	err := o.k.DB.Write(ctx, []store.Lane{o.lane(hospital)}, func(tx *store.Tx) error {
		s, err := o.standingIn(tx, hospital)
		if err != nil {
			return err
		}
		asks = !s.Sure && s.incarnation != o.k.DB.Incarnation()
		return o.putStanding(tx, hospital, s)
	})
	if err != nil || !asks {
		return err
	}
	return o.Tally(ctx, hospital)
}

// tallyDue compares by the clock. While the last question is still under way, or what the spine says waits here behind something that a person has to decide, no other is asked: it would only wait behind it.
func (o *Outpatients) tallyDue(ctx context.Context, hospital ident.ODSCode) error {
	waits := false
	err := o.k.DB.Read(ctx, func(tx *store.Tx) error {
		s, err := o.standingIn(tx, hospital)
		if err != nil {
			return err
		}
		if waits, err = o.k.Post().UnderWay(tx, s.message); err == nil && !waits {
			waits, err = o.k.Post().Stopped(tx, o.k.National, conversationTally)
		}
		return err
	})
	if err != nil || waits {
		return err
	}
	return o.Tally(ctx, hospital)
}

// Tally tells the spine what the hospital knows of the slots and referrals between the two, and asks for what the spine knows; hourly, and when somebody asks for it.
func (o *Outpatients) Tally(ctx context.Context, hospital ident.ODSCode) error {
	if joined, err := o.joined(ctx); err != nil || !joined {
		return err
	}
	return o.change(ctx, hospital, []string{conversationTally}, func(tx *store.Tx) error {
		s, err := o.standingIn(tx, hospital)
		if err != nil {
			return err
		}
		s.Round, s.Asked = booking.Round(hospital, o.k.DB.Incarnation(), tx.At()), tx.At()
		if s.message, err = o.tellAll(tx, hospital, s.Round, !s.Sure, nil); err != nil {
			return err
		}
		return o.putStanding(tx, hospital, s)
	})
}

// tellAll sends all that the hospital knows, in pages, and what it was told that a restored spine has lost; it returns the last message. Over are slots that are told of although they are long over.
func (o *Outpatients) tellAll(tx *store.Tx, hospital ident.ODSCode, round string, unsure bool, over []booking.SlotMark, told ...booking.Case) (message string, err error) {
	slots, cases, heard, err := o.known(tx, hospital)
	if err != nil {
		return "", err
	}
	slots = append(slots, over...)
	asked, err := o.openAdvice(tx, hospital)
	if err != nil {
		return "", err
	}
	for page := 0; ; page++ {
		t := booking.Tally{Round: round, Page: page, Unsure: unsure, Heard: heard}
		n := min(len(slots), booking.MostSlots)
		t.Slots, slots = slots[:n], slots[n:]
		n = min(len(cases), booking.MostSlots)
		t.Cases, cases = cases[:n], cases[n:]
		n = min(len(asked), booking.MostSlots)
		t.Advice, asked = asked[:n], asked[n:]
		n = min(len(told), booking.MostTold)
		t.Told, told = told[:n], told[n:]
		t.Last = len(slots)+len(cases)+len(asked)+len(told) == 0
		files, err := filesOf(t.Told)
		if err != nil {
			return "", err
		}
		if message, err = send(o, tx, hospital, booking.WorkflowTally, conversationTally, t, files...); err != nil || t.Last {
			return message, err
		}
	}
}

// filesOf are the files of referrals that are told back: a spine that was restored may have lost them, too.
func filesOf(told []booking.Case) (files []messaging.File, err error) {
	for _, c := range told {
		of, err := filesIn(c.Attachments)
		if err != nil {
			return nil, err
		}
		files = append(files, of...)
	}
	return files, nil
}

// known is what the hospital knows: the slots of sessions that are not long over, the referrals that are its own, and how far it has heard the spine.
func (o *Outpatients) known(tx *store.Tx, hospital ident.ODSCode) (slots []booking.SlotMark, cases []booking.CaseMark, heard int64, err error) {
	list, err := o.slotsWhere(tx, hospital, `ends > ?`, tx.At().Add(-tallied).UnixMicro())
	for _, x := range list {
		slots = append(slots, booking.SlotMark{ID: x.ID, Epoch: x.Epoch, Session: x.Session, Base: x.Base})
	}
	if err != nil {
		return nil, nil, 0, err
	}
	lane, h := int64(o.lane(hospital)), hospital.String()
	err = rowsOf(tx, func(r *store.Rows) error {
		var m booking.CaseMark
		var ubrn string
		var epoch int64
		err := r.Scan(&ubrn, &m.Version, &m.Slot, &epoch)
		if err == nil {
			m.UBRN, err = ident.ParseUBRN(ubrn)
		}
		m.Epoch = booking.Epoch(epoch)
		cases = append(cases, m)
		return err
	}, `SELECT ubrn, version, slot, epoch FROM hospital_case WHERE lane = ? AND tenant = ? AND gone = 0 ORDER BY ubrn`, lane, h)
	if err == nil {
		err = tx.QueryRow(`SELECT coalesce(max(sent), 0) FROM (SELECT max(sent) AS sent FROM hospital_case WHERE lane = ? AND tenant = ? UNION ALL SELECT max(sent) AS sent FROM hospital_advice WHERE lane = ? AND tenant = ?) told`, lane, h, lane, h).Scan(&heard)
	}
	return slots, cases, heard, err
}

// tallyLanes are those of the hospital, and where slots are handed anew to a spine that was restored those of each session's conversation.
func (o *Outpatients) tallyLanes(m messaging.Message) []store.Lane {
	lanes := o.lanesTo(m)
	t, err := decoded[booking.Tally](o, m)
	if err != nil || !t.Last {
		return lanes
	}
	err = o.k.DB.Read(context.Background(), func(tx *store.Tx) error {
		s, err := o.standingIn(tx, m.To)
		if err != nil {
			return err
		}
		if !t.Unsure && s.owed == "" { // what was lost is told again
			list, err := o.differing(tx, m.To)
			for _, session := range list {
				lanes = append(lanes, o.k.Post().LaneOf(m.To, session))
			}
			return err
		}
		list, err := o.sessionsIn(tx, m.To, `ends > ?`, o.k.Clock.Now().Add(-tallied).UnixMicro())
		for _, x := range list {
			lanes = append(lanes, o.k.Post().LaneOf(m.To, x.ID))
		}
		if err != nil {
			return err
		}
		said, err := o.askedWhere(tx, m.To, `x.state = ? ORDER BY a.ubrn`, actConfirmed)
		for _, a := range said {
			if a.Version <= a.Answer.Seen { // what was said is said again, perhaps
				lanes = append(lanes, o.k.Post().LaneOf(m.To, a.UBRN.String()))
			}
		}
		return err
	})
	if err != nil {
		return nil // without the lanes it is tried again
	}
	return lanes
}

// tallyCame takes what the spine knows: an answer to what the hospital asked, or a question of the spine's own after a restore.
func (o *Outpatients) tallyCame(_ context.Context, tx *store.Tx, m messaging.Message) error {
	t, err := decoded[booking.Tally](o, m)
	if err != nil {
		return err
	}
	lane, h := int64(o.lane(m.To)), m.To.String()
	if _, err := tx.Exec(`INSERT INTO hospital_tally (lane, tenant, round, page, body) VALUES (?, ?, ?, ?, ?) ON CONFLICT (lane, tenant, round, page) DO UPDATE SET body = excluded.body`, lane, h, t.Round, int64(t.Page), m.Body); err != nil || !t.Last {
		return err
	}
	whole, err := o.pagesOf(tx, m.To, t)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(`DELETE FROM hospital_tally WHERE lane = ? AND tenant = ?`, lane, h); err != nil {
		return err
	}
	s, err := o.standingIn(tx, m.To)
	if err != nil {
		return err
	}
	switch {
	case t.Unsure && s.Round != t.Round && !s.Sure: // the hospital has asked itself, and answers once it has been answered
		s.owed = t.Round
		return o.owe(tx, m.To, s, whole)
	case t.Unsure && s.Round != t.Round:
		return o.answer(tx, m.To, whole, true)
	case s.Round != t.Round:
		return nil // an answer to a question of an earlier life
	}
	if !s.Sure {
		return o.answered(tx, m.To, s, whole)
	}
	s.Answered, s.Complete, s.Completed = tx.At(), s.Asked, m.ID
	if err := o.putStanding(tx, m.To, s); err != nil {
		return err
	}
	return o.compare(tx, m.To, whole)
}

// pagesOf puts the pages of a tally together.
func (o *Outpatients) pagesOf(tx *store.Tx, hospital ident.ODSCode, last booking.Tally) (whole booking.Tally, err error) {
	whole = booking.Tally{Round: last.Round, Unsure: last.Unsure, Heard: last.Heard}
	err = rowsOf(tx, func(r *store.Rows) error {
		var body []byte
		if err := r.Scan(&body); err != nil {
			return err
		}
		t, err := booking.Decode[booking.Tally](body)
		whole.Slots, whole.Cases, whole.Advice = append(whole.Slots, t.Slots...), append(whole.Cases, t.Cases...), append(whole.Advice, t.Advice...)
		return err
	}, `SELECT body FROM hospital_tally WHERE lane = ? AND tenant = ? AND round = ? ORDER BY page`, int64(o.lane(hospital)), hospital.String(), last.Round)
	return whole, err
}

// owe keeps a question of the spine's until the hospital is sure itself, as page -1 of its round.
func (o *Outpatients) owe(tx *store.Tx, hospital ident.ODSCode, s Standing, whole booking.Tally) error {
	body, err := json.Marshal(whole)
	if err != nil {
		return fault.Wrap(err, fault.Internal, "a tally could not be written")
	}
	if _, err := tx.Exec(`INSERT INTO hospital_tally (lane, tenant, round, page, body) VALUES (?, ?, ?, -1, ?)`, int64(o.lane(hospital)), hospital.String(), whole.Round, body); err != nil {
		return err
	}
	return o.putStanding(tx, hospital, s)
}

// answer settles whose each slot is, for a spine that was restored (booking.Side.Settle), and tells it. Sure says that the hospital itself was not.
func (o *Outpatients) answer(tx *store.Tx, hospital ident.ODSCode, asked booking.Tally, sure bool) error {
	theirs := map[string]booking.SlotMark{}
	for _, m := range asked.Slots {
		theirs[m.ID] = m
	}
	list, err := o.slotsWhere(tx, hospital, `ends > ?`, tx.At().Add(-tallied).UnixMicro())
	if err != nil {
		return err
	}
	anew := map[string][]Slot{}
	for _, x := range list {
		told := theirs[x.ID]
		if e := booking.Hospital.Settle(x.Epoch, told.Epoch, sure, o.k.Clock.Now()); e != x.Epoch {
			settled(&x, e, told)
			if err := o.putSlot(tx, hospital, x); err != nil {
				return err
			}
		}
		if booking.Spine.Owns(x.Epoch) && (!booking.Spine.Owns(told.Epoch) || told.Since() != x.Base) {
			anew[x.Session] = append(anew[x.Session], x)
		}
	}
	lost, err := o.lost(tx, hospital, asked)
	if err != nil {
		return err
	}
	if err := o.tellAdviceBack(tx, hospital, asked); err != nil { // before the answer, so that the spine has it all then
		return err
	}
	over, err := o.overtaken(tx, hospital, asked, list)
	if err != nil {
		return err
	}
	if _, err := o.tellAll(tx, hospital, asked.Round, false, over, lost...); err != nil {
		return err
	}
	return o.handAnew(tx, hospital, anew)
}

// overtaken are the slots, none of those that are compared still, in which a spine that was restored has somebody who left them, or lost them, while they were to come: each has become its owner's anew since.
func (o *Outpatients) overtaken(tx *store.Tx, hospital ident.ODSCode, asked booking.Tally, compared []Slot) (over []booking.SlotMark, err error) {
	done := map[string]bool{}
	for _, x := range compared {
		done[x.ID] = true
	}
	for _, m := range asked.Cases {
		if m.Session == "" || done[m.Slot] {
			continue
		}
		done[m.Slot] = true
		list, err := o.slotsWhere(tx, hospital, `session = ? AND id = ?`, m.Session, m.Slot)
		if err != nil {
			return nil, err
		}
		for _, x := range list {
			if x.Base > m.Epoch {
				over = append(over, booking.SlotMark{ID: x.ID, Epoch: x.Epoch, Session: x.Session, Base: x.Base})
			}
		}
	}
	return over, nil
}

// settled gives a slot the epoch that was settled, and since when it is its owner's, which is for whoever knows of more handings over to say.
func settled(x *Slot, e booking.Epoch, told booking.SlotMark) {
	switch {
	case told.Epoch > x.Epoch && told.Epoch.Owner() == e.Owner():
		x.Base = told.Since()
	case e.Owner() != x.Epoch.Owner():
		x.Base = e
	}
	x.Epoch = e
}

// lost are the referrals of which the spine has told more than it knows after its restore.
func (o *Outpatients) lost(tx *store.Tx, hospital ident.ODSCode, asked booking.Tally) (list []booking.Case, err error) {
	knows := map[ident.UBRN]int64{}
	for _, m := range asked.Cases {
		knows[m.UBRN] = m.Version
	}
	all, err := o.casesIn(tx, hospital, `c.version > 0 ORDER BY c.ubrn`)
	for _, c := range all {
		if c.Version <= knows[c.UBRN] {
			continue
		}
		if c.Acted, err = o.acted(tx, hospital, c.Case); err != nil {
			return nil, err
		}
		list = append(list, c.Case)
	}
	return list, err
}

// acted is the number of the last act of a referral which the spine had dealt with, as all before it, when it told of the referral as it stands here, or refused since: its post may bring those acts to a spine
// that was restored once more, and they are over. (What it refused is undone here: it must not take it now.)
func (o *Outpatients) acted(tx *store.Tx, hospital ident.ODSCode, c booking.Case) (number int64, err error) {
	err = tx.QueryRow(`SELECT coalesce(min(number), (SELECT coalesce(max(number), 0) + 1 FROM hospital_act WHERE lane = ? AND tenant = ? AND ubrn = ?)) - 1 FROM hospital_act
		WHERE lane = ? AND tenant = ? AND ubrn = ? AND (state = ? OR state = ? AND answered > ?)`,
		int64(o.lane(hospital)), hospital.String(), c.UBRN.String(), int64(o.lane(hospital)), hospital.String(), c.UBRN.String(), actWaiting, actConfirmed, c.Sent).Scan(&number)
	return number, err
}

// handAnew tells a spine that was restored what the slots are that it owns and knows no more, by their sessions.
func (o *Outpatients) handAnew(tx *store.Tx, hospital ident.ODSCode, bySession map[string][]Slot) error {
	for _, session := range slices.Sorted(maps.Keys(bySession)) {
		if !tx.Holds(o.k.Post().LaneOf(hospital, session)) {
			return fault.New(fault.Unavailable, "A session was made at this moment; try again.")
		}
		s, err := o.sessionIn(tx, hospital, session)
		if err != nil {
			return err
		}
		clinic, with, err := o.clinicOf(tx, hospital, s.Clinic)
		if err != nil {
			return err
		}
		m := booking.Slots{Session: session, Service: clinic.Service}
		for _, x := range bySession[session] {
			m.Slots = append(m.Slots, booking.Slot{ID: x.ID, Epoch: x.Epoch, Base: x.Base, Start: x.Starts, End: x.Ends, Clinician: with.Name, ClinicianID: with.Login})
		}
		if err := o.hand(tx, hospital, m); err != nil {
			return err
		}
		if s.State != sessionRecalled && s.State != sessionWithdrawn {
			continue
		}
		if _, err := send(o, tx, hospital, booking.WorkflowRecall, session, booking.Recall{Session: session, Withdrawn: s.State == sessionWithdrawn, Reason: s.Reason}); err != nil {
			return err
		}
	}
	return nil
}

// answered takes the spine's answer to the last question of a hospital that was restored: from now on it may book again.
func (o *Outpatients) answered(tx *store.Tx, hospital ident.ODSCode, s Standing, told booking.Tally) error {
	list, err := o.slotsWhere(tx, hospital, `ends > ?`, tx.At().Add(-tallied).UnixMicro())
	if err != nil {
		return err
	}
	theirs := map[string]booking.SlotMark{}
	for _, m := range told.Slots {
		theirs[m.ID] = m
	}
	for _, x := range list {
		m := theirs[x.ID]
		e := booking.Settled(x.Epoch, m.Epoch)
		if e == x.Epoch {
			continue
		}
		settled(&x, e, m)
		if err := o.putSlot(tx, hospital, x); err != nil {
			return err
		}
	}
	if err := o.holdAll(tx, hospital, told); err != nil {
		return err
	}
	s.Sure, s.Answered = true, tx.At()
	owed := s.owed
	s.owed = ""
	if err := o.putStanding(tx, hospital, s); err != nil || owed == "" {
		return err
	}
	var body []byte
	err = tx.QueryRow(`SELECT body FROM hospital_tally WHERE lane = ? AND tenant = ? AND round = ? AND page = -1`, int64(o.lane(hospital)), hospital.String(), owed).Scan(&body)
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	asked, err := booking.Decode[booking.Tally](body)
	if err != nil {
		return err
	}
	return o.answer(tx, hospital, asked, true)
}

// Difference is something of which the two sides say otherwise. Why is the word for its explanation; Rounds is how many comparisons found it so.
type Difference struct {
	Kind, Thing  string
	Mine, Theirs int64
	Why          string
	Since        time.Time
	Rounds       int64
}

// UnderWay reports whether what differs may still be on its way: it becomes a difference when a second comparison finds it again.
func (d Difference) UnderWay() bool { return d.Rounds < 2 && (d.Why == "given" || d.Why == "coming") }

// compare finds what differs. What was different before, and still is in the same way, is so since then.
func (o *Outpatients) compare(tx *store.Tx, hospital ident.ODSCode, told booking.Tally) error {
	was := map[[2]string]Difference{}
	old, err := o.differencesIn(tx, hospital)
	if err != nil {
		return err
	}
	for _, d := range old {
		was[[2]string{d.Kind, d.Thing}] = d
	}
	found, err := o.differ(tx, hospital, told)
	if err != nil {
		return err
	}
	lane, h := int64(o.lane(hospital)), hospital.String()
	if _, err := tx.Exec(`DELETE FROM hospital_difference WHERE lane = ? AND tenant = ?`, lane, h); err != nil {
		return err
	}
	for i, d := range found {
		d.Since, d.Rounds = tx.At(), 1
		if b, ok := was[[2]string{d.Kind, d.Thing}]; ok && b.Mine == d.Mine && b.Theirs == d.Theirs {
			d.Since, d.Rounds = b.Since, b.Rounds+1
		}
		found[i] = d
		if _, err := tx.Exec(`INSERT INTO hospital_difference (lane, tenant, kind, thing, mine, theirs, why, since, rounds) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			lane, h, d.Kind, d.Thing, d.Mine, d.Theirs, d.Why, micros(d.Since), d.Rounds); err != nil {
			return err
		}
	}
	return o.retell(tx, hospital, found, told)
}

// differ compares what the spine told with what the hospital knows, and says of each difference how it can be.
func (o *Outpatients) differ(tx *store.Tx, hospital ident.ODSCode, told booking.Tally) (found []Difference, err error) {
	slots, cases, _, err := o.known(tx, hospital)
	if err != nil {
		return nil, err
	}
	mine, theirs := map[string]int64{}, map[string]int64{}
	for _, m := range slots {
		mine[m.ID] = int64(m.Epoch)
	}
	for _, m := range told.Slots {
		theirs[m.ID] = int64(m.Epoch)
	}
	for _, id := range namesOf(mine, theirs) {
		a, known := mine[id]
		b := theirs[id]
		if a == b || !known {
			continue // a slot that is long over here
		}
		why := "given" // by whoever knows of more handings over: what says so is on its way
		if max(a, b)-min(a, b) > 1 {
			why = "apart"
		}
		found = append(found, Difference{Kind: "slot", Thing: id, Mine: a, Theirs: b, Why: why})
	}
	mine, theirs = map[string]int64{}, map[string]int64{}
	for _, m := range cases {
		mine[m.UBRN.String()] = m.Version
	}
	for _, m := range told.Cases {
		theirs[m.UBRN.String()] = m.Version
	}
	for _, id := range namesOf(mine, theirs) {
		a, b := mine[id], theirs[id]
		switch {
		case a == b:
		case b > a:
			found = append(found, Difference{Kind: "case", Thing: id, Mine: a, Theirs: b, Why: "coming"})
		default:
			found = append(found, Difference{Kind: "case", Thing: id, Mine: a, Theirs: b, Why: "lost"})
		}
	}
	return found, nil
}

func namesOf(a, b map[string]int64) (all []string) {
	for id := range a {
		all = append(all, id)
	}
	for id := range b {
		if _, ok := a[id]; !ok {
			all = append(all, id)
		}
	}
	slices.SortFunc(all, cmp.Compare[string])
	return all
}

func (o *Outpatients) differencesIn(tx *store.Tx, hospital ident.ODSCode) (list []Difference, err error) {
	err = rowsOf(tx, func(r *store.Rows) error {
		var d Difference
		var since int64
		if err := r.Scan(&d.Kind, &d.Thing, &d.Mine, &d.Theirs, &d.Why, &since, &d.Rounds); err != nil {
			return err
		}
		d.Since = fromMicros(since)
		list = append(list, d)
		return nil
	}, `SELECT kind, thing, mine, theirs, why, since, rounds FROM hospital_difference WHERE lane = ? AND tenant = ? ORDER BY since, kind, thing`, int64(o.lane(hospital)), hospital.String())
	return list, err
}
