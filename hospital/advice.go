package hospital

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/booking/attach"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/store"
)

// Practices ask a hospital's services for advice. The spine tells of each question whole, with its version; the hospital's clinicians answer here, also without a line, and what they answered is not confirmed
// until the spine has taken it. It refuses what somebody has overtaken.

// MostAdvice is how long an answer may be, in characters, as at the spine (e-RS A026).
const MostAdvice = 8000

// Asked is a question for advice as the spine last told of it, and what was answered here last.
type Asked struct {
	booking.Advice
	Chart  string
	Answer Advised
}

// Advised is an answer of this hospital's, and what the spine made of it.
type Advised struct {
	booking.Advise
	State, Why string // as of an Act; empty while nothing was answered
}

const stateAdviceAsked = "PROVIDER_RESPONSE_REQUIRED"

// adviceCame keeps a question as the spine tells of it: the highest version wins. One that is over, or about somebody else by now, is no reason to open its person's record any more; one that a restored spine
// has open again is a reason anew, which Register gives.
func (o *Outpatients) adviceCame(_ context.Context, tx *store.Tx, m messaging.Message) error {
	a, err := decoded[booking.Advice](o, m)
	if err != nil {
		return err
	}
	was, err := o.askedIn(tx, m.To, a.UBRN.String())
	if err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	if err == nil && was.Version >= a.Version {
		return nil
	}
	body, err := json.Marshal(a)
	if err != nil {
		return fault.Wrap(err, fault.Internal, "a question could not be written")
	}
	lane, h := int64(o.lane(m.To)), m.To.String()
	_, err = tx.Exec(`INSERT INTO hospital_advice (lane, tenant, ubrn, version, state, ended, number, chart, changed, sent, body) VALUES (?, ?, ?, ?, ?, ?, ?, '', ?, ?, ?)
		ON CONFLICT (lane, tenant, ubrn) DO UPDATE SET version = excluded.version, state = excluded.state, ended = excluded.ended, changed = excluded.changed, sent = excluded.sent, body = excluded.body,
		chart = CASE WHEN hospital_advice.number = excluded.number AND hospital_advice.ended <= excluded.ended THEN hospital_advice.chart ELSE '' END, number = excluded.number`,
		lane, h, a.UBRN.String(), a.Version, a.State, a.Ended, a.Person.NHSNumber.String(), micros(a.Changed), a.Sent, body)
	if err != nil {
		return err
	}
	o.changed(tx, m.To)
	if len(m.Files) > 0 {
		if err := o.k.Post().Keep(tx, o.lane(m.To), adviceKeeper(m.To, a.UBRN.String()), m.Files...); err != nil {
			return err
		}
	}
	if !was.partedBy(a) {
		return nil
	}
	if !tx.Holds(o.k.Gate.Lane(m.To, was.Chart)) {
		return fault.New(fault.Unavailable, "They were made a patient at this moment; try again.")
	}
	return o.partAdvice(tx, m.To, was.Chart)
}

// partedBy reports whether what the spine tells now takes away why the person's record was opened for a question.
func (a Asked) partedBy(now booking.Advice) bool {
	return a.Chart != "" && (now.Ended || now.Person.NHSNumber != a.Person.NHSNumber)
}

// adviceKeeper is the name under which the post keeps the files of a question.
func adviceKeeper(hospital ident.ODSCode, ubrn string) string {
	return "hospital/" + hospital.String() + "/advice/" + ubrn
}

// adviceBond is why a hospital may open the record of somebody whom it is asked about.
func adviceBond(hospital ident.ODSCode, chart string) access.Relationship {
	return access.Relationship{Tenant: hospital, Chart: chart, Organisation: hospital, Kind: "advice", Basis: "asked for advice", By: "service/outpatients"}
}

// registeredBond is what the access rules give a hospital that makes somebody a patient.
func registeredBond(hospital ident.ODSCode, chart string) access.Relationship {
	return access.Relationship{Tenant: hospital, Chart: chart, Organisation: hospital, Kind: access.KindRegistered, Basis: "registered the person", By: "service/outpatients"}
}

// partAdvice ends what let the hospital open somebody's record for a question, unless it has another one about them. Of somebody whom it made a patient only for questions, that is also that it did so.
func (o *Outpatients) partAdvice(tx *store.Tx, hospital ident.ODSCode, chart string) error {
	var n int64
	err := tx.QueryRow(`SELECT count(*) FROM hospital_advice WHERE lane = ? AND tenant = ? AND chart = ? AND ended = 0`, int64(o.lane(hospital)), hospital.String(), chart).Scan(&n)
	if err != nil || n > 0 {
		return err
	}
	bonds := []access.Relationship{adviceBond(hospital, chart)}
	if err := tx.QueryRow(`SELECT count(*) FROM hospital_asked WHERE lane = ? AND tenant = ? AND chart = ?`, int64(o.lane(hospital)), hospital.String(), chart).Scan(&n); err != nil {
		return err
	}
	if n > 0 {
		bonds = append(bonds, registeredBond(hospital, chart))
	}
	for _, b := range bonds {
		if err := o.k.Gate.EndRelation(tx, b); err != nil && !fault.Is(err, fault.NotFound) { // it had ended before
			return err
		}
	}
	return nil
}

// onlyAsked notes that somebody was made a patient for nothing but a question.
func (o *Outpatients) onlyAsked(tx *store.Tx, hospital ident.ODSCode, chart string) error {
	_, err := tx.Exec(`INSERT INTO hospital_asked (lane, tenant, chart) VALUES (?, ?, ?) ON CONFLICT (lane, tenant, chart) DO NOTHING`, int64(o.lane(hospital)), hospital.String(), chart)
	return err
}

// referred makes somebody whom the hospital knew only by questions a patient like any other.
func (o *Outpatients) referred(tx *store.Tx, hospital ident.ODSCode, chart string) error {
	n, err := tx.Exec(`DELETE FROM hospital_asked WHERE lane = ? AND tenant = ? AND chart = ?`, int64(o.lane(hospital)), hospital.String(), chart)
	if err != nil || n == 0 {
		return err
	}
	return o.k.Gate.Relate(tx, registeredBond(hospital, chart))
}

// adviceLanes are the hospital's, and that of the chart of somebody whose record it is no reason to open any more.
func (o *Outpatients) adviceLanes(m messaging.Message) []store.Lane {
	lanes := o.lanesTo(m)
	a, err := decoded[booking.Advice](o, m)
	if err != nil {
		return lanes
	}
	err = o.k.DB.Read(context.Background(), func(tx *store.Tx) error {
		was, err := o.askedIn(tx, m.To, a.UBRN.String())
		if err == nil && was.partedBy(a) {
			lanes = append(lanes, o.k.Gate.Lane(m.To, was.Chart))
		}
		return err
	})
	if err != nil && !fault.Is(err, fault.NotFound) {
		return nil // without the lanes it is tried again
	}
	return lanes
}

// askedWhere are the questions that a condition on a, their row, finds.
func (o *Outpatients) askedWhere(tx *store.Tx, hospital ident.ODSCode, cond string, args ...any) (list []Asked, err error) {
	err = rowsOf(tx, func(r *store.Rows) error {
		var a Asked
		var body, said []byte
		if err := r.Scan(&body, &a.Chart, &said, &a.Answer.State, &a.Answer.Why); err != nil {
			return err
		}
		err := json.Unmarshal(body, &a.Advice)
		if err == nil && len(said) > 0 {
			err = json.Unmarshal(said, &a.Answer.Advise)
		}
		if err != nil {
			return fault.Wrap(err, fault.Internal, "a question that is kept cannot be read")
		}
		list = append(list, a)
		return nil
	}, `SELECT a.body, a.chart, x.body, coalesce(x.state, ''), coalesce(x.answer, '') FROM hospital_advice a LEFT JOIN hospital_advise x ON x.lane = a.lane AND x.tenant = a.tenant AND x.ubrn = a.ubrn
		AND x.number = (SELECT max(number) FROM hospital_advise y WHERE y.lane = a.lane AND y.tenant = a.tenant AND y.ubrn = a.ubrn)
		WHERE a.lane = ? AND a.tenant = ? AND `+cond, append([]any{int64(o.lane(hospital)), hospital.String()}, args...)...)
	return list, err
}

func (o *Outpatients) askedIn(tx *store.Tx, hospital ident.ODSCode, ubrn string) (Asked, error) {
	list, err := o.askedWhere(tx, hospital, `a.ubrn = ?`, ubrn)
	if err == nil && len(list) == 0 {
		err = fault.New(fault.NotFound, "There is no question of this number here.")
	}
	if err != nil {
		return Asked{}, err
	}
	return list[0], nil
}

// Saying is what a clinician says to a question.
type Saying struct {
	Kind           string // booking.Advise…
	Seen           int64  // the version that was read
	Text, Note     string
	Recommendation string
	Priority       string // of convert; empty leaves it
	Files          []booking.Attachment
}

// StoreFile keeps a file that goes with an answer: looked at as it comes, streamed, never whole in memory. Errors: those of package attach.
func (o *Outpatients) StoreFile(ctx context.Context, name string, body io.Reader) (a booking.Attachment, err error) {
	if name, err = attach.Name(name); err != nil {
		return a, err
	}
	t, err := attach.ByName(name)
	if err != nil {
		return a, err
	}
	look := attach.Look(body, t)
	f, err := o.k.Post().Store(ctx, look, name, t.MIME)
	if wrong := look.Wrong(); wrong != nil {
		return a, wrong
	}
	return booking.Attachment{ID: o.newID() + o.newID(), Name: name, Type: t.MIME, Size: f.Size, Hash: hex.EncodeToString(f.Hash[:])}, err
}

// unheard reports whether what was said here last is not part yet of what the spine tells.
func (a Asked) unheard() bool {
	return a.Answer.State == actWaiting || a.Answer.State == actConfirmed && a.Version <= a.Answer.Seen
}

// Answers reports what may be said to a question as it stands: nothing once it is over, or while the spine has yet to take what was said last.
func (a Asked) Answers() (kinds []string) {
	if a.Ended || a.unheard() {
		return nil
	}
	kinds = []string{booking.AdviseAnswer, booking.AdviseMore}
	if a.MayConvert {
		kinds = append(kinds, booking.AdviseConvert)
	}
	return kinds
}

// Advise says something to a question: here at once, and as a message that the spine takes or refuses. Errors: fault.NotFound; fault.Conflict when the question has changed since it was read, is over, or waits for
// the spine; fault.Invalid for an answer that is not sound; those of the rules.
func (o *Outpatients) Advise(ctx context.Context, by access.Principal, hospital ident.ODSCode, ubrn string, say Saying) error {
	say.Text, say.Note = strings.TrimSpace(say.Text), strings.TrimSpace(say.Note)
	if say.Text == "" || utf8.RuneCountInString(say.Text) > MostAdvice || utf8.RuneCountInString(say.Note) > 2000 {
		return fault.New(fault.Invalid, "A message has 1 to %d characters, and a note for those who find the date at most 2000.", MostAdvice)
	}
	if (say.Kind == booking.AdviseAnswer) != (say.Recommendation != "") {
		return fault.New(fault.Invalid, "An answer says what is recommended, and nothing else does.")
	}
	var a Asked
	err := o.k.DB.Read(ctx, func(tx *store.Tx) (err error) {
		a, err = o.askedIn(tx, hospital, ubrn)
		return err
	})
	if err == nil && a.Chart == "" {
		err = access.NotHere()
	}
	if err != nil {
		return err
	}
	grants, err := o.k.Gate.DecideAll(ctx, by, []access.Act{{Action: access.Update, Place: placeOf(hospital, a.Chart, true)}})
	if err != nil {
		return err
	}
	return o.k.Gate.Act(ctx, grants, o.lanes(hospital, []string{ubrn}), func(tx *store.Tx) error {
		now, err := o.askedIn(tx, hospital, ubrn)
		switch {
		case err != nil:
			return err
		case now.Chart != a.Chart:
			return fault.New(fault.Conflict, "The question is about another person by now. Look again.")
		case now.unheard():
			return fault.New(fault.Conflict, "The spine has yet to take what was said last.")
		case now.Ended:
			return fault.New(fault.Conflict, "This conversation is over.")
		case now.Version != say.Seen:
			return fault.New(fault.Conflict, "Something was said since you looked at the question. Look again, and answer then.")
		case !slices.Contains(now.Answers(), say.Kind):
			return fault.New(fault.Conflict, "The practice has not said that a referral may be made of this question.")
		}
		return o.say(tx, by, hospital, now, say)
	})
}

// say writes down what was said, and sends it with its files.
func (o *Outpatients) say(tx *store.Tx, by access.Principal, hospital ident.ODSCode, a Asked, say Saying) error {
	lane, h, ubrn := int64(o.lane(hospital)), hospital.String(), a.UBRN.String()
	m := booking.Advise{UBRN: a.UBRN, Number: a.Answer.Number + 1, Seen: say.Seen, Kind: say.Kind, Text: say.Text, Note: say.Note, Recommendation: say.Recommendation, Priority: say.Priority, ByID: by.ID, By: by.Name, At: tx.At(), Files: say.Files}
	files := make([]messaging.File, len(say.Files))
	for i, x := range say.Files {
		f, err := x.File()
		if err != nil {
			return err
		}
		files[i] = f
	}
	if len(files) > 0 {
		if err := o.k.Post().Keep(tx, o.lane(hospital), adviceKeeper(hospital, ubrn), files...); err != nil {
			return err
		}
	}
	message, err := send(o, tx, hospital, booking.WorkflowAdvise, ubrn, m, files...)
	if err != nil {
		return err
	}
	body, err := json.Marshal(m)
	if err != nil {
		return fault.Wrap(err, fault.Internal, "an answer could not be written")
	}
	o.changed(tx, hospital)
	_, err = tx.Exec(`INSERT INTO hospital_advise (lane, tenant, ubrn, number, body, at, message, state, answer) VALUES (?, ?, ?, ?, ?, ?, ?, ?, '')`, lane, h, ubrn, m.Number, body, tx.At().UnixMicro(), message, actWaiting)
	return err
}

// adviseAnswered learns what the spine made of an answer: what it refused stands on the question's page with its reason, and the question is to be answered anew.
func (o *Outpatients) adviseAnswered(_ context.Context, tx *store.Tx, r messaging.Receipt) error {
	if !r.State.Final() {
		return nil
	}
	state := actRefused
	if r.State == messaging.Handled {
		state = actConfirmed
	}
	o.changed(tx, r.From)
	_, err := tx.Exec(`UPDATE hospital_advise SET state = ?, answer = ? WHERE lane = ? AND tenant = ? AND ubrn = ? AND message = ?`, state, r.Reason, int64(o.lane(r.From)), r.From.String(), r.Conversation, r.ID)
	return err
}

// unregistered are the questions about people who are no patients here yet, as far as making them patients goes.
func (o *Outpatients) unregistered(tx *store.Tx, hospital ident.ODSCode) (list []Case, err error) {
	asked, err := o.askedWhere(tx, hospital, `a.chart = '' AND a.ended = 0 ORDER BY a.ubrn LIMIT ?`, int64(registerAtOnce))
	for _, a := range asked {
		list = append(list, Case{Case: booking.Case{UBRN: a.UBRN, Person: a.Person}})
	}
	return list, err
}

// tellAdviceBack tells a spine that was restored of each question of which it had told more than it knows now, and says again what it had taken, and has lost before telling of it.
func (o *Outpatients) tellAdviceBack(tx *store.Tx, hospital ident.ODSCode, asked booking.Tally) error {
	knows := map[ident.UBRN]int64{}
	for _, m := range asked.Advice {
		knows[m.UBRN] = m.Version
	}
	list, err := o.askedWhere(tx, hospital, `a.version > 0 ORDER BY a.ubrn`)
	if err != nil {
		return err
	}
	for _, a := range list {
		if a.Version > knows[a.UBRN] {
			files, err := filesIn(a.Files())
			if err == nil {
				_, err = send(o, tx, hospital, booking.WorkflowAdvice, conversationTally, a.Advice, files...)
			}
			if err != nil {
				return err
			}
		}
		if a.Answer.State != actConfirmed || a.Version > a.Answer.Seen || knows[a.UBRN] > a.Version || !tx.Holds(o.k.Post().LaneOf(hospital, a.UBRN.String())) {
			continue
		}
		files, err := filesIn(a.Answer.Files)
		if err != nil {
			return err
		}
		message, err := send(o, tx, hospital, booking.WorkflowAdvise, a.UBRN.String(), a.Answer.Advise, files...)
		if err == nil {
			_, err = tx.Exec(`UPDATE hospital_advise SET state = ?, message = ? WHERE lane = ? AND tenant = ? AND ubrn = ? AND number = ?`, actWaiting, message, int64(o.lane(hospital)), hospital.String(), a.UBRN.String(), a.Answer.Number)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// filesIn are attachments as the post carries them.
func filesIn(list []booking.Attachment) (files []messaging.File, err error) {
	for _, a := range list {
		f, err := a.File()
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}

// openAdvice are the marks of the questions that the hospital knows as open, for the comparison.
func (o *Outpatients) openAdvice(tx *store.Tx, hospital ident.ODSCode) (marks []booking.CaseMark, err error) {
	list, err := o.askedWhere(tx, hospital, `a.ended = 0 ORDER BY a.ubrn`)
	for _, a := range list {
		marks = append(marks, booking.CaseMark{UBRN: a.UBRN, Version: a.Version})
	}
	return marks, err
}
