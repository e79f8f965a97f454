package referral

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/booking/attach"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/store"
)

// A hospital with a node of its own is told of questions for advice as of referrals, whole and with their version (docs/decisions/0026, 0027), and answers there. What it answers names the version that was
// read: the spine takes it, or refuses it when somebody has said something meanwhile.

// tellAdvice tells the hospital whose service was asked of a question, by which message; by none where nobody keeps its post. Error: fault.TooLarge for a conversation that no message holds.
func (s *Referrals) tellAdvice(tx *store.Tx, a Advice) (message string, err error) {
	m := booking.Advice{UBRN: a.UBRN, Version: a.Version, State: string(a.State), Ended: a.Ended(), Priority: string(a.Priority), Service: a.Service.Service, ServiceName: a.Service.Name, Practice: a.Practice, PracticeName: a.PracticeName,
		Referrer: a.Referrer.Name, MayConvert: a.MayConvert, Changed: a.Changed, Sent: tx.At().UnixMicro()}
	person, err := s.personIn(tx, a.Chart)
	if err != nil {
		return "", err
	}
	m.Person = person.booked(a.Patient)
	for _, r := range a.Remarks {
		x := booking.Remark{ID: r.ID, At: r.At, By: r.For.Name, Organisation: s.k.Organisation(tx.Context(), r.Organisation), Provider: r.Provider, Text: r.Text, Recommendation: r.Recommendation}
		for _, f := range r.Files {
			if f.Availability() == Available {
				x.Files = append(x.Files, f.booked(x.Organisation))
			}
		}
		m.Remarks = append(m.Remarks, x)
	}
	body, err := booking.Encode(m)
	if err != nil {
		return "", err
	}
	if len(body) > messaging.MaxBody {
		return "", fault.New(fault.TooLarge, "This conversation is as long as one can be. Close it, and ask anew.")
	}
	files, err := filesOf(m.Files())
	if err != nil {
		return "", err
	}
	message, err = s.k.Post().Send(tx.Context(), tx, messaging.Message{From: s.k.National, To: a.Service.Provider, Workflow: booking.WorkflowAdvice, Conversation: a.UBRN.String(), Body: body, Files: files})
	if fault.Is(err, fault.NotFound) {
		return "", nil
	}
	return message, err
}

// adviseLanes are those of the question that a hospital answers, and of the files with it.
func (s *Referrals) adviseLanes(m messaging.Message) (lanes []store.Lane) {
	msg, err := decoded[booking.Advise](m)
	if err != nil {
		return nil // it is refused
	}
	for _, f := range msg.Files {
		lanes = append(lanes, s.fileLane(f.ID))
	}
	chart, err := s.ownerOf(context.Background(), msg.UBRN)
	if err != nil {
		return lanes
	}
	return append(lanes, s.ubrnLane(msg.UBRN), s.chartLane(chart))
}

// adviseCame takes what a hospital answered to a question, or refuses it and says why.
func (s *Referrals) adviseCame(_ context.Context, tx *store.Tx, m messaging.Message) error {
	msg, err := decoded[booking.Advise](m)
	if err != nil {
		return err
	}
	if err := s.sure(tx, m.From); err != nil {
		return messaging.Wait(err) // it may be about what this life of the spine has yet to be told
	}
	chart, err := s.chartOf(tx, msg.UBRN)
	if fault.Is(err, fault.NotFound) {
		return messaging.Refuse("There is no question of this number.")
	}
	if err != nil {
		return err
	}
	if !tx.Holds(s.chartLane(chart)) {
		return errMoved()
	}
	was, err := s.loadAdvice(tx, chart, msg.UBRN)
	if fault.Is(err, fault.NotFound) {
		return messaging.Refuse("There is no question of this number.")
	}
	if err != nil {
		return err
	}
	switch {
	case was.Service.Provider != m.From:
		return messaging.Refuse("Your organisation was not asked.")
	case was.Ended():
		return messaging.Refuse("This conversation is over: the practice has closed it, or it is a referral.")
	case !s.o.Seams.Overtaken && was.Version != msg.Seen && (was.Told == 0 || was.Told != msg.Seen):
		return messaging.Refuse("Something was said meanwhile. Read it, and answer then.")
	}
	files, err := s.filesCame(tx, m.From, was, msg)
	if err == nil {
		err = s.advised(tx, was, m.From, msg, files)
	}
	if k := fault.KindOf(err); err != nil && k != fault.Internal && k != fault.Unavailable {
		return messaging.Refuse("%s", fault.MessageOf(err))
	}
	if err != nil {
		return err
	}
	if err := s.account(tx, Referral{UBRN: was.UBRN, Chart: was.Chart}, Act{Kind: Kind("advice-" + msg.Kind), By: hospitalsActor(m.From, msg)}, m.ID); err != nil {
		return err
	}
	return s.heard(tx, s.ubrnLane(msg.UBRN), m.From)
}

// hospitalsActor is who answered at a hospital's own node.
func hospitalsActor(from ident.ODSCode, msg booking.Advise) Actor {
	return Actor{ID: "hospital/" + from.String() + "/" + msg.ByID, Name: msg.By, Party: Provider, Organisation: from}
}

// advised makes the next version of a question that a hospital has answered, and of a referral where it makes one of it.
func (s *Referrals) advised(tx *store.Tx, was Advice, from ident.ODSCode, msg booking.Advise, files []Attachment) error {
	by := hospitalsActor(from, msg)
	state, recommended := map[string]AdviceState{booking.AdviseAnswer: AdviceAnswered, booking.AdviseMore: AdviceMore, booking.AdviseConvert: AdviceConverted}[msg.Kind], msg.Recommendation
	switch {
	case msg.Kind == booking.AdviseAnswer && !slices.Contains(Recommendations(), recommended):
		return fault.New(fault.Invalid, "An answer says what is recommended.")
	case msg.Kind != booking.AdviseAnswer && recommended != "":
		return fault.New(fault.Invalid, "Only an answer says what is recommended.")
	case msg.Kind == booking.AdviseConvert && !was.MayConvert:
		return fault.New(fault.Forbidden, "The practice has not allowed that its question is made a referral of. Answer that you recommend one.")
	}
	m := Remark{By: Staff{by.ID, by.Name}, For: Staff{by.ID, by.Name}, Organisation: from, Provider: true, Text: msg.Text, Files: files, Recommendation: recommended}
	a, err := s.say(tx, was, m, state, Priority(cmp.Or(msg.Priority, string(was.Priority))))
	if err != nil {
		return err
	}
	if msg.Kind == booking.AdviseConvert {
		if _, err := s.referralOf(tx, a, Act{Kind: ActConvert, By: by, At: tx.At(), Service: a.Service.Service, Comment: strings.TrimSpace(msg.Note)}); err != nil {
			return err
		}
	}
	return s.saveAdvice(tx, a)
}

// filesCame keeps the files of a hospital's answer; their bytes came beside it, and were looked at where they were uploaded. Errors: those of package attach; fault.Conflict for an id that is another file's.
func (s *Referrals) filesCame(tx *store.Tx, from ident.ODSCode, was Advice, msg booking.Advise) (list []Attachment, err error) {
	for _, f := range msg.Files {
		name, err := attach.Name(f.Name)
		if err != nil {
			return nil, err
		}
		t, err := attach.ByName(name)
		if err != nil {
			return nil, err
		}
		if f.Size > attach.MostBytes || f.Type != t.MIME {
			return nil, fault.New(fault.Invalid, "The file %s is not what its name says, or too large.", name)
		}
		if !tx.Holds(s.fileLane(f.ID)) {
			return nil, errMoved()
		}
		if _, err := s.fileOf(tx, f.ID); !fault.Is(err, fault.NotFound) {
			if err == nil {
				err = fault.New(fault.Conflict, "There is another file of the same id.")
			}
			return nil, err
		}
		a := Attachment{ID: f.ID, Name: name, Type: f.Type, Size: f.Size, Hash: f.Hash, Description: f.Description, Kind: WithAnswer, By: Staff{ID: "hospital/" + from.String() + "/" + msg.ByID, Name: msg.By}, Organisation: from, At: tx.At()}
		if err := s.keepFile(tx, a, was.UBRN.String(), "", ""); err != nil {
			return nil, err
		}
		if err := s.bind(tx, a, was.UBRN, was.Chart); err != nil {
			return nil, err
		}
		list = append(list, a)
	}
	return list, nil
}

// staleAdvice are the questions that a hospital knows otherwise than the spine, or does not know, although nothing about them is under way.
func (s *Referrals) staleAdvice(tx *store.Tx, provider ident.ODSCode, told booking.Tally) (list []Advice, err error) {
	knows := map[ident.UBRN]int64{}
	for _, m := range told.Advice {
		knows[m.UBRN] = m.Version
	}
	rows, err := tx.Query(`SELECT body FROM referral_advice WHERE provider = ? AND state IN (?, ?, ?) ORDER BY ubrn`, provider.String(), string(AdviceAsked), string(AdviceMore), string(AdviceAnswered))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var a Advice
		if err := scanBody(rows, &a); err != nil {
			return nil, err
		}
		if knows[a.UBRN] < a.Version {
			list = append(list, a)
		}
		delete(knows, a.UBRN)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	for u := range knows { // it knows as open what is over
		chart, err := s.chartOf(tx, u)
		if err == nil {
			var a Advice
			if a, err = s.loadAdvice(tx, chart, u); err == nil && a.Service.Provider == provider && a.Version > knows[u] {
				list = append(list, a)
			}
		}
		if err != nil && !fault.Is(err, fault.NotFound) {
			return nil, err
		}
	}
	late := s.k.Clock.Now().Add(-underWayFor)
	list = slices.DeleteFunc(list, func(a Advice) bool {
		return !told.Unsure && a.Changed.UnixMicro() > told.Heard && !a.Changed.Before(late)
	})
	slices.SortFunc(list, func(a, b Advice) int { return strings.Compare(a.UBRN.String(), b.UBRN.String()) })
	return list, nil
}
