package referral

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/web/format"
)

// How a conversation ends (eRS-AdviceAndGuidanceStatus-1): closed by the referrer, withdrawn before anybody answered, or made a referral of by the provider.
const (
	AdviceClosed    AdviceState = "CONVERSATION_ENDED_CLOSED"
	AdviceCancelled AdviceState = "CONVERSATION_ENDED_CANCELLED"
	AdviceConverted AdviceState = "ADVICE_CONVERTED"
)

// Ended reports whether nothing more is said.
func (a Advice) Ended() bool {
	return a.State == AdviceClosed || a.State == AdviceCancelled || a.State == AdviceConverted
}

// Answered reports whether the service has said anything yet.
func (a Advice) Answered() bool {
	return slices.ContainsFunc(a.Remarks, func(m Remark) bool { return m.Provider })
}

// MayReply reports whether somebody of an organisation may add a message: the practice when it is its turn, the service as long as the conversation goes on.
func (a Advice) MayReply(org ident.ODSCode) bool {
	switch {
	case a.Ended() || org.IsZero():
		return false
	case org == a.Service.Provider:
		return true
	}
	return org == a.Practice && a.State != AdviceAsked
}

// side is on whose side of the conversation an organisation is.
func (a Advice) side(org ident.ODSCode) (Party, error) {
	switch {
	case org.IsZero():
	case org == a.Practice:
		return Referrer, nil
	case org == a.Service.Provider:
		return Provider, nil
	}
	return "", fault.Wrap(ErrNoPart, fault.Forbidden, "Your organisation neither asked this question nor was asked it.")
}

// adviceChange is what is done to a question, by whom and from which version.
type adviceChange struct {
	seen  int64
	by    Party
	kind  AttachmentKind
	files []FileRef
	lanes []store.Lane
	do    func(tx *store.Tx, was Advice, files []Attachment) (Advice, error)
}

// sureOf reports whether the spine knows all that was said of a question: one that was restored asks the hospital, and what somebody said meanwhile would stand in the place of what the hospital tells back.
func (s *Referrals) sureOf(tx *store.Tx, a Advice) error {
	least, err := s.life(tx)
	if err != nil || a.Version > least {
		return err // it was asked in this life, or told back
	}
	if err := s.sure(tx, a.Service.Provider); fault.Is(err, fault.Unavailable) {
		return fault.Wrap(err, fault.Unavailable, "The spine was restored from a backup and has asked %s what was said of this question since. Nothing can be added until it has answered: try again in a few minutes.", a.Service.Provider)
	} else if err != nil {
		return err
	}
	return nil
}

// changeAdvice makes the next version of a question that goes on.
func (s *Referrals) changeAdvice(ctx context.Context, c Caller, u ident.UBRN, w adviceChange) (a Advice, err error) {
	chart, err := s.ownerOf(ctx, u)
	if err != nil {
		return a, err
	}
	p := c.Principal
	grants, err := s.k.Gate.DecideAll(ctx, p, []access.Act{{Action: access.Update, Place: s.place(chart, u, true)}})
	if err != nil {
		return a, err
	}
	err = s.k.Gate.Act(ctx, grants, append(append(s.fileLanes(w.files), w.lanes...), s.ubrnLane(u), s.chartLane(chart)), func(tx *store.Tx) error {
		was, err := s.loadAdvice(tx, chart, u)
		if err != nil {
			return err
		}
		side, err := was.side(p.Organisation)
		switch {
		case err != nil:
			return err
		case side != w.by && (w.by != Provider || p.Organisation != was.Service.Provider): // who asks a service of their own is on both sides
			return fault.Wrap(ErrNoPart, fault.Forbidden, "This is for %s.", map[Party]string{Referrer: "the practice that asked", Provider: "the service that was asked"}[w.by])
		case w.seen != was.Version:
			return fault.New(fault.PreconditionFailed, "The question has changed since you looked at it: look again, then decide.")
		case was.Ended():
			return fault.New(fault.Conflict, "This conversation is over.")
		}
		if err := s.sureOf(tx, was); err != nil {
			return err
		}
		files, err := s.attached(tx, p, fileTo{ubrn: u, chart: chart, kind: w.kind}, w.files)
		if err != nil {
			return err
		}
		if a, err = w.do(tx, was, files); err != nil {
			return err
		}
		return s.saveAdvice(tx, a)
	})
	return a, err
}

// AdviceReply is what the practice says to what it was told, or asked.
type AdviceReply struct {
	Seen  int64 // the version that was read
	Text  string
	Files []FileRef // uploaded for this question
	For   Staff     // for whom a clerk writes; zero for the caller
}

// ReplyAdvice adds what the practice says to the conversation, and gives the question to the service again. Errors: fault.PreconditionFailed when it has changed since it was read;
// fault.Forbidden for whoever is not the practice's; fault.Conflict when it is the service's turn, or the conversation is over; fault.Invalid for a message that is not sound; ErrNotAdvice; those of files; what the rules refuse by.
func (s *Referrals) ReplyAdvice(ctx context.Context, c Caller, u ident.UBRN, w AdviceReply) (Advice, error) {
	p := c.Principal
	return s.changeAdvice(ctx, c, u, adviceChange{seen: w.Seen, by: Referrer, kind: WithQuestion, files: w.Files, do: func(tx *store.Tx, was Advice, files []Attachment) (Advice, error) {
		if was.State == AdviceAsked {
			return was, fault.New(fault.Conflict, "The service has not answered yet.")
		}
		m := Remark{By: Staff{p.ID, p.Name}, For: cmp.Or(w.For, Staff{p.ID, p.Name}), Organisation: p.Organisation, Text: w.Text, Files: files}
		return s.say(tx, was, m, AdviceAsked, was.Priority)
	}})
}

// CloseAdvice ends a conversation, by the practice that asked: closed, or withdrawn when nobody has answered. The service may then open the person's chart no more, unless it has another
// reason to. Errors: as ReplyAdvice.
func (s *Referrals) CloseAdvice(ctx context.Context, c Caller, u ident.UBRN, seen int64) (Advice, error) {
	return s.changeAdvice(ctx, c, u, adviceChange{seen: seen, by: Referrer, do: func(tx *store.Tx, was Advice, _ []Attachment) (Advice, error) {
		a := was
		version, err := s.next(tx, was.Version+1)
		if err != nil {
			return was, err
		}
		a.Version, a.Changed, a.State, a.Told = version, tx.At(), AdviceClosed, 0
		if !was.Answered() {
			a.State = AdviceCancelled
		}
		return a, s.partAdvice(tx, a)
	}})
}

// partAdvice ends what let a service open the person's chart for a question, unless it has another one about them.
func (s *Referrals) partAdvice(tx *store.Tx, a Advice) error {
	var n int64
	err := tx.QueryRow(`SELECT count(*) FROM referral_advice WHERE lane = ? AND chart = ? AND provider = ? AND ubrn <> ? AND state IN (?, ?, ?)`, int64(s.chartLane(a.Chart)), a.Chart, a.Service.Provider.String(), a.UBRN.String(),
		string(AdviceAsked), string(AdviceMore), string(AdviceAnswered)).Scan(&n)
	if err != nil || n > 0 {
		return err
	}
	err = s.k.Gate.EndRelation(tx, adviceBond(s.k.National, a))
	if fault.Is(err, fault.NotFound) {
		return nil // it had ended before
	}
	return err
}

// adviceBond is why a service may open the chart of whom it is asked about.
func adviceBond(national ident.ODSCode, a Advice) access.Relationship {
	return access.Relationship{Tenant: national, Chart: a.Chart, Organisation: a.Service.Provider, Kind: "advice", Basis: "asked for advice by " + a.Practice.String(), By: "service/referral"}
}

// Conversion is a question that its service makes a referral of.
type Conversion struct {
	Seen     int64
	Text     string // to the practice
	Note     string // to those who find the date
	Priority Priority
	Files    []FileRef // with the text
	Own      []FileRef // with the note: they go with the referral
	For      Staff     // for whom a clerk writes; zero for the caller
}

// ConvertAdvice makes a referral of a question, by the service that was asked and where the practice has allowed it: under the same number, with the conversation as its letter and its files, for the service
// to find a date (A027). Errors: as AnswerAdvice; fault.Forbidden where the practice has not allowed it.
func (s *Referrals) ConvertAdvice(ctx context.Context, c Caller, u ident.UBRN, w Conversion) (a Advice, r Referral, err error) {
	p := c.Principal
	a, err = s.changeAdvice(ctx, c, u, adviceChange{seen: w.Seen, by: Provider, kind: WithAnswer, files: w.Files, lanes: s.fileLanes(w.Own), do: func(tx *store.Tx, was Advice, files []Attachment) (Advice, error) {
		if !was.MayConvert {
			return was, fault.New(fault.Forbidden, "The practice has not allowed that its question is made a referral of. Answer that you recommend one.")
		}
		if _, err := s.alive(tx, was.Chart); err != nil {
			return was, err
		}
		m := Remark{By: Staff{p.ID, p.Name}, For: cmp.Or(w.For, Staff{p.ID, p.Name}), Organisation: p.Organisation, Provider: true, Text: w.Text, Files: files}
		a, err := s.say(tx, was, m, AdviceConverted, w.Priority)
		if err != nil {
			return was, err
		}
		own, err := s.attached(tx, p, fileTo{ubrn: u, chart: was.Chart, kind: FromProvider}, w.Own)
		if err != nil {
			return was, err
		}
		r, err = s.referralOf(tx, a, Act{Kind: ActConvert, By: actorOf(p, Provider), At: tx.At(), Service: a.Service.Service, Comment: strings.TrimSpace(w.Note), Attachments: own})
		return a, err
	}})
	return a, r, err
}

// referralOf makes a referral of a question: as its practice asked it, and at once with the service.
func (s *Referrals) referralOf(tx *store.Tx, a Advice, convert Act) (r Referral, err error) {
	text := a.letter()
	if len(text) > MostLetter {
		return r, fault.New(fault.TooLarge, "The conversation is too long for a letter. Answer that you recommend a referral.")
	}
	made := Act{Kind: ActCreate, By: Actor{ID: a.Referrer.ID, Name: a.Referrer.Name, Party: Referrer, Organisation: a.Practice}, At: tx.At(), Shortlist: []Choice{a.Service}, Priority: a.Priority, Letter: hashOf(text), Attachments: a.Files(),
		Search: Search{Criteria: a.Criteria}, New: &Referral{UBRN: a.UBRN, Patient: a.Patient, Chart: a.Chart, Request: ForAppointment, Specialty: a.Specialty, ClinicType: a.ClinicType, Referrer: a.Referrer, Practice: a.Practice, PracticeName: a.PracticeName, FromAdvice: true}}
	if r, err = Apply(Referral{}, made); err != nil {
		return r, err
	}
	if r.Version, err = s.next(tx, r.Version); err != nil {
		return r, err
	}
	if err := s.keepLetter(tx, a.Chart, text); err != nil {
		return r, err
	}
	if err := s.save(tx, Referral{}, r, made); err != nil {
		return r, err
	}
	if r, err = s.commit(tx, r, convert); err != nil {
		return r, err
	}
	return r, s.partAdvice(tx, a)
}

// letter is the conversation as the letter of a referral.
func (a Advice) letter() string {
	var b strings.Builder
	for i, m := range a.Remarks {
		if i > 0 {
			b.WriteString("\n\n")
		}
		b.WriteString(m.For.Name + ", " + format.DateTime(m.At) + ":\n" + m.Text)
	}
	return b.String()
}

// AdviceQuery is what somebody looks for among questions. Every part that is given must hold.
type AdviceQuery struct {
	Practice, Provider ident.ODSCode
	States             []AdviceState // none means all
	Limit              int           // how many at most; 500 when zero
}

// AdviceWaiting are the questions that a query finds and the scope shows, the longest unchanged first, at most 500: each is on the account as shown. Their conversations are left out.
func (s *Referrals) AdviceWaiting(ctx context.Context, scope access.Scope, q AdviceQuery) (list []Advice, err error) {
	list, err = s.adviceIn(ctx, scope, q)
	s.adviceShown(scope, list)
	return list, err
}

// adviceShown puts questions on the account as shown.
func (s *Referrals) adviceShown(scope access.Scope, list []Advice) {
	for _, a := range list {
		scope.Disclose(s.place(a.Chart, a.UBRN, false))
	}
}

// adviceIn is AdviceWaiting for who shows only a part of it, and says of which (adviceShown).
func (s *Referrals) adviceIn(ctx context.Context, scope access.Scope, q AdviceQuery) (list []Advice, err error) {
	cond, args := scope.Where(access.Columns{Lane: "a.lane", Chart: "a.chart", Label: "0", Author: "''"}, access.TypeBooking)
	where, more := q.where()
	err = s.read(ctx, func(tx *store.Tx) error {
		list = nil
		rows, err := tx.Query(`SELECT a.body FROM referral_advice a WHERE (`+cond+`)`+where+` ORDER BY a.changed, a.ubrn LIMIT ?`, append(append(args, more...), int64(cmp.Or(q.Limit, 500)))...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var a Advice
			if err := scanBody(rows, &a); err != nil {
				return err
			}
			a.Remarks = nil
			list = append(list, a)
		}
		return rows.Err()
	})
	return list, err
}

// where is a query as a condition, with its arguments.
func (q AdviceQuery) where() (where string, args []any) {
	if !q.Practice.IsZero() {
		where, args = where+" AND a.practice = ?", append(args, q.Practice.String())
	}
	if !q.Provider.IsZero() {
		where, args = where+" AND a.provider = ?", append(args, q.Provider.String())
	}
	if len(q.States) > 0 {
		where += " AND a.state IN (?" + strings.Repeat(", ?", len(q.States)-1) + ")"
		for _, x := range q.States {
			args = append(args, string(x))
		}
	}
	return where, args
}
