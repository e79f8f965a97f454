package referral

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/web"
)

// Some hospitals' systems keep their slots to themselves. Such a service is asked: for its free times when somebody looks, and for each booking, move and cancellation.
//
//	act ──► what is asked is kept with the referral (Referral.Asked), durable ──► the system is asked
//	                                                                                │
//	            yes: the act is done, as whoever wanted it ◄────────────────────────┤
//	            no: the referral stays as it was, and says why ◄────────────────────┤
//	            no answer: the same question again, by the same id, until there is one
//
// Nobody is told "booked" before the system said so, and while its answer is awaited nothing else happens to the referral. A question that was understood and whose answer was
// lost is not done twice: its id is that of the first.

// Elsewhere is how services that keep their slots are asked.
type Elsewhere interface {
	// Services are the ids of those services.
	Services(ctx context.Context) ([]string, error)
	// Free are the free slots of one, the earliest first. Their SlotRef names provider and slot; this package names the session.
	Free(ctx context.Context, service string, from, to time.Time) ([]Slot, error)
	// Ask puts a question, and says what the answer is. An error means that the answer is not known: the question may have been done.
	Ask(ctx context.Context, q Question) (Reply, error)
}

// Question is what a hospital's system is asked.
type Question struct {
	Asked
	Referral Referral
	Person   booking.Person
	Again    bool // it was asked before, and the answer is not known
}

// Reply is what the system said.
type Reply struct {
	Yes    bool
	Remote string // its own id of the appointment
	Why    string // why not, in its words
	Failed bool   // it did not say no to the time: it could not do what was asked
}

// ErrElsewhere says that a hospital's own system answered that it could not do what it was asked; errors.Is finds it.
var ErrElsewhere = errors.New("the hospital's own system answered with an error")

// Asked is what a hospital's system was asked about a referral, and has not answered.
type Asked struct {
	Message     string       `json:"message"` // a UUID, by which it knows the question again
	Kind        Kind         `json:"kind"`    // what is done once it says yes
	Service     string       `json:"service"`
	Appointment *Appointment `json:"appointment,omitempty"` // of book and move
	Reason      string       `json:"reason,omitempty"`
	Comment     string       `json:"comment,omitempty"`
	By          Actor        `json:"by"`
	Since       time.Time    `json:"since"`
}

// act is what is done once the answer is yes.
func (q Asked) act(at time.Time, remote string) Act {
	a := Act{Kind: q.Kind, By: q.By, At: at, Reason: q.Reason, Comment: q.Comment, Service: q.Service, answers: true}
	if q.Appointment != nil {
		v := *q.Appointment
		v.Remote = remote
		a.Appointment = &v
	}
	return a
}

// askSession begins the session of a slot that is not the spine's to book.
const askSession = "ask-"

func asksFor(ref SlotRef) bool { return strings.HasPrefix(ref.Session, askSession) }

// How asked services are polled.
const (
	pollFresh  = 30 * time.Second // what is no older is not asked for again
	pollStale  = 10 * time.Minute // what is older is not shown any more
	pollAhead  = 180 * 24 * time.Hour
	pollWithin = 5 * time.Second
	askFirst   = 10 * time.Second // how long whoever asks waits for the answer
)

// polls are the free slots of asked services as they were when they were asked for last.
type polls struct {
	mu  sync.Mutex
	all map[string]poll
}

type poll struct {
	at   time.Time
	list []Slot
}

func (p *polls) get(service string) poll {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.all[service]
}

// offers reports whether a service had a free slot lately that somebody can have.
func (p *polls) offers(service string, now time.Time, who fit) bool {
	x := p.get(service)
	return now.Sub(x.at) < pollStale && slices.ContainsFunc(x.list, func(s Slot) bool { return s.Start.After(now) && who.at(s.Start) == nil })
}

func (p *polls) put(service string, x poll) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all == nil {
		p.all = map[string]poll{}
	}
	p.all[service] = x
}

// changed says that a question was answered: the time that was asked for is free no more, whatever the answer, and the others are asked for again when somebody wants to see them. Until then
// the service is not one without free times.
func (p *polls) changed(q Question, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	x := p.all[q.Service]
	if due := now.Add(-pollFresh); x.at.After(due) {
		x.at = due
	}
	if q.Appointment != nil {
		x.list = slices.DeleteFunc(slices.Clone(x.list), func(s Slot) bool { return s.Slot == q.Appointment.Slot })
	}
	if p.all == nil {
		p.all = map[string]poll{}
	}
	p.all[q.Service] = x
}

// keeps reports whether a service keeps its slots to itself.
func (s *Referrals) keeps(ctx context.Context, service string) (bool, error) {
	if s.o.Elsewhere == nil {
		return false, nil
	}
	list, err := s.o.Elsewhere.Services(ctx)
	return slices.Contains(list, service), err
}

// askedSlots are the free slots of a service that keeps them; asked is false for any other. Error: fault.Unavailable when its system is not reached and was not for long.
func (s *Referrals) askedSlots(ctx context.Context, service string, from, to time.Time, most int) (list []Slot, asked bool, err error) {
	if asked, err = s.keeps(ctx, service); err != nil || !asked {
		return nil, asked, err
	}
	now := s.k.Clock.Now()
	known := s.polled.get(service)
	if now.Sub(known.at) >= pollFresh {
		fresh, err := s.poll(ctx, service)
		switch {
		case err == nil:
			known = fresh
		case now.Sub(known.at) >= pollStale:
			return nil, true, fault.Wrap(err, fault.Unavailable, "The hospital's own system is not reached now, so its free times are not known. Try again in a few minutes.")
		}
	}
	for _, x := range known.list {
		if !x.Start.Before(from) && x.Start.After(now) && (to.IsZero() || x.Start.Before(to)) && len(list) < most {
			list = append(list, x)
		}
	}
	return list, true, nil
}

// poll asks a service for its free slots.
func (s *Referrals) poll(ctx context.Context, service string) (poll, error) {
	ctx, stop := context.WithTimeout(ctx, pollWithin)
	defer stop()
	now := s.k.Clock.Now()
	list, err := s.o.Elsewhere.Free(ctx, service, now, now.Add(pollAhead))
	if err != nil {
		return poll{}, err
	}
	for i := range list {
		list[i].Session, list[i].Service = askSession+service, service
	}
	x := poll{now, list}
	s.polled.put(service, x)
	return x, nil
}

// askedWords say what is asked and not answered, or that the answer was no; empty when there is neither.
func askedWords(ctx context.Context, r Referral) string {
	switch q := r.Asked; {
	case q == nil && r.Refusal != "":
		return web.Text(ctx, "referral.asked.refused", r.Refusal)
	case q == nil:
		return ""
	case q.Appointment == nil:
		return web.Text(ctx, "referral.asked.cancel", r.Chosen.ProviderName)
	default:
		c, _ := r.ChoiceOf(q.Service)
		return web.Text(ctx, "referral.asked."+string(q.Kind), c.ProviderName, when(q.Appointment))
	}
}

// pollDue asks each service that keeps its slots, so that whoever compares services sees what they have.
func (s *Referrals) pollDue(ctx context.Context) error {
	if s.o.Elsewhere == nil {
		return nil
	}
	services, err := s.o.Elsewhere.Services(ctx)
	if err != nil {
		return err
	}
	var failed error
	for _, service := range services {
		if _, err := s.poll(ctx, service); err != nil {
			failed = errors.Join(failed, err)
		}
	}
	return failed
}

// addAsked adds what those of the services that are asked have to offer whoever can have it, as far as it is known.
func (s *Referrals) addAsked(services []string, who map[string]fit, free map[string]Free) {
	now := s.k.Clock.Now()
	s.polled.mu.Lock()
	defer s.polled.mu.Unlock()
	if len(s.polled.all) == 0 {
		return
	}
	for _, service := range services {
		x := s.polled.all[service]
		var f Free
		for _, slot := range x.list {
			if now.Sub(x.at) < pollStale && slot.Start.After(now) && f.Slots < MostCounted && who[service].at(slot.Start) == nil {
				if f.Slots++; f.Slots == 1 {
					f.First = slot.Start
				}
			}
		}
		if f.Slots > 0 {
			free[service] = f
		}
	}
}

// mustAsk reports whether an act is for a hospital's system to allow: it books there, or leaves what is booked there. Error: fault.Conflict for a move between two systems.
func mustAsk(r Referral, w Work) (bool, error) {
	there := r.Appointment != nil && r.Appointment.Remote != ""
	books := w.Kind == ActBook || w.Kind == ActMove
	switch {
	case books && there && (!asksFor(w.Slot) || w.Slot.Session != r.Appointment.Session), w.Kind == ActMove && !there && asksFor(w.Slot):
		return false, fault.New(fault.Conflict, "The two dates are kept by different systems: cancel the appointment first, then book the other.")
	case books:
		return asksFor(w.Slot), nil
	}
	return there && (w.Kind == ActCancelBy || w.Kind == ActCancel), nil
}

// askFor asks the hospital's system, if the act is for it to allow; asked is false when it is not. The referral that it returns has what is asked in it while the
// answer is not known.
func (s *Referrals) askFor(ctx context.Context, c Caller, chart string, u ident.UBRN, grants []access.Grant, w Work) (r Referral, asked bool, err error) {
	if s.o.Elsewhere == nil {
		return r, false, nil
	}
	if r, err = s.peek(ctx, chart, u); err != nil {
		return r, false, err
	}
	if asked, err = mustAsk(r, w); err != nil || !asked {
		return r, asked, err
	}
	q := Asked{Message: s.o.NewID(), Kind: w.Kind, Service: r.Chosen.Service, Reason: w.Reason, Comment: strings.TrimSpace(w.Comment)}
	if w.Kind == ActBook || w.Kind == ActMove {
		q.Service = strings.TrimPrefix(w.Slot.Session, askSession)
		if q.Appointment, err = s.askedSlot(ctx, q.Service, w.Slot, r); err != nil {
			return r, true, err
		}
	}
	err = s.k.Gate.Act(ctx, grants, append(s.lanesFor(r, SlotRef{}), w.Once.lanes()...), func(tx *store.Tx) (err error) {
		if err := w.Once.before(tx); err != nil {
			return err
		}
		defer func() { err = w.Once.after(tx, r, err) }()
		was, err := s.load(tx, chart, u)
		if err != nil {
			return err
		}
		if was.Appointment != nil && !tx.Holds(s.sessionLane(was.Appointment.Session)) {
			return errMoved()
		}
		party, err := partyOf(c.Principal, was)
		if err != nil {
			return err
		}
		q.By, q.Since = actorOf(c.Principal, party), tx.At()
		if r = was; sameQuestion(was.Asked, q) || q.Appointment != nil && was.Asked == nil && was.Appointment != nil && was.Appointment.SlotRef == q.Appointment.SlotRef {
			return nil // the form was sent twice
		}
		r, err = s.keepQuestion(tx, was, q, w.Seen)
		return err
	})
	if err != nil {
		return r, true, err
	}
	ctx, stop := context.WithTimeout(ctx, askFirst)
	defer stop()
	r, err = s.putQuestion(ctx, chart, u)
	return r, true, err
}

// sameQuestion reports whether a form that was sent twice asks what is asked already.
func sameQuestion(was *Asked, q Asked) bool {
	if was == nil || was.Kind != q.Kind || was.By.ID != q.By.ID || (was.Appointment == nil) != (q.Appointment == nil) {
		return false
	}
	return q.Appointment == nil || was.Appointment.SlotRef == q.Appointment.SlotRef
}

// keepQuestion keeps a question, once it is sure that what it asks could be done: a system is not asked for what the directory says that its service does not do.
func (s *Referrals) keepQuestion(tx *store.Tx, was Referral, q Asked, seen int64) (Referral, error) {
	if seeksCare(q.Kind) {
		if _, err := s.alive(tx, was.Chart); err != nil {
			return was, err
		}
	}
	if q.Appointment != nil && q.By.Party != Provider {
		if err := s.fitAt(tx, was.Chart, q.Service, q.Appointment.Start); err != nil {
			return was, err
		}
	}
	try := q.act(tx.At(), "")
	try.Seen = seen
	if _, err := Apply(was, try); err != nil {
		return was, err
	}
	r, err := s.commit(tx, was, Act{Kind: ActAsk, By: q.By, At: tx.At(), Seen: seen, question: &q})
	if err != nil {
		return was, err
	}
	lane := int64(s.chartLane(r.Chart))
	return r, tx.Queue(`INSERT INTO referral_ask (lane, chart, ubrn, message, tries, due) VALUES (?, ?, ?, ?, 0, ?) ON CONFLICT (lane, chart, ubrn) DO UPDATE SET message = excluded.message, tries = 0, due = excluded.due`,
		lane, r.Chart, r.UBRN.String(), q.Message, tx.At().Add(askFirst).UnixMicro())
}

// askedSlot is a slot of an asked service as its system last said it is. Error: see Taken.
func (s *Referrals) askedSlot(ctx context.Context, service string, ref SlotRef, r Referral) (*Appointment, error) {
	const most = 20_000
	if a := r.Asked; a != nil && a.Appointment != nil && a.Appointment.SlotRef == ref {
		return a.Appointment, nil
	}
	if r.Appointment != nil && r.Appointment.SlotRef == ref {
		return r.Appointment, nil
	}
	list, _, err := s.askedSlots(ctx, service, time.Time{}, time.Time{}, most)
	if err != nil {
		return nil, err
	}
	for _, x := range list {
		if x.SlotRef == ref {
			return &Appointment{SlotRef: ref, Start: x.Start, End: x.End, Clinician: x.Clinician, Theirs: true}, nil
		}
	}
	f, err := s.fitsOf(ctx, r.Chart, service)
	if err != nil {
		return nil, err
	}
	list = slices.DeleteFunc(list, func(x Slot) bool { return f.at(x.Start) != nil })
	return nil, &taken{cause: fault.New(fault.Conflict, "That time has been taken."), service: service, next: list[:min(len(list), 3)]}
}

// putQuestion puts a referral's question to the hospital's system, and does what follows from the answer. It returns the referral as it is then: while Asked is in it, the
// answer is not known. Error: see Taken, when the answer is no.
func (s *Referrals) putQuestion(ctx context.Context, chart string, u ident.UBRN) (r Referral, err error) {
	var tries int64
	q := Question{}
	err = s.read(ctx, func(tx *store.Tx) error {
		if r, err = s.load(tx, chart, u); err != nil || r.Asked == nil {
			return err
		}
		err := tx.QueryRow(`SELECT tries FROM referral_ask WHERE lane = ? AND chart = ? AND ubrn = ?`, int64(s.chartLane(chart)), chart, u.String()).Scan(&tries)
		if err != nil {
			return err
		}
		person, err := s.personIn(tx, chart)
		if err != nil {
			return err
		}
		q = Question{Asked: *r.Asked, Referral: r, Person: person.booked(r.Patient), Again: tries > 0}
		return nil
	})
	if err != nil || r.Asked == nil {
		return r, err
	}
	if err := s.asking(ctx, q, tries); err != nil {
		return r, err
	}
	put := q
	if s.o.Seams.AskAnew && q.Again {
		put.Message = s.o.NewID()
	}
	reply, unknown := s.o.Elsewhere.Ask(ctx, put)
	if unknown != nil {
		s.k.Logger.Warn("a hospital's system has not answered; it will be asked again", "message", q.Message, "tries", tries+1, "cause", unknown)
		return r, nil
	}
	r, err = s.takeAnswer(context.WithoutCancel(ctx), chart, u, q, reply)
	s.polled.changed(q, s.k.Clock.Now())
	if err == nil && !reply.Yes && reply.Failed {
		return r, &taken{cause: fault.Wrap(ErrElsewhere, fault.Conflict, "The hospital's own system could not do it: %s", refusalWords(reply.Why))}
	}
	if err == nil && !reply.Yes {
		return r, &taken{cause: fault.New(fault.Conflict, "The hospital said no: %s", refusalWords(reply.Why))}
	}
	return r, err
}

func refusalWords(why string) string {
	if why = strings.TrimSpace(why); why == "" {
		return "it does not say why."
	}
	return why
}

// asking notes, before a question leaves, that it was put, and when it is put again if no answer comes.
func (s *Referrals) asking(ctx context.Context, q Question, tries int64) error {
	lane := s.chartLane(q.Referral.Chart)
	return s.k.DB.Write(ctx, []store.Lane{lane}, func(tx *store.Tx) error {
		_, err := tx.Exec(`UPDATE referral_ask SET tries = ?, due = ? WHERE lane = ? AND chart = ? AND ubrn = ? AND message = ?`,
			tries+1, tx.At().Add(askAgain(tries)).UnixMicro(), int64(lane), q.Referral.Chart, q.Referral.UBRN.String(), q.Message)
		return err
	})
}

// askAgain is how long is waited before a question is put again: twenty seconds at first, ten minutes at most.
func askAgain(tries int64) time.Duration {
	return min(20*time.Second<<min(tries, 5), 10*time.Minute)
}

// takeAnswer does what a question asked, or leaves the referral as it was and says why.
func (s *Referrals) takeAnswer(ctx context.Context, chart string, u ident.UBRN, q Question, reply Reply) (r Referral, err error) {
	for range 5 {
		was, err := s.peek(ctx, chart, u)
		if err != nil {
			return r, err
		}
		err = s.k.DB.Write(ctx, s.lanesFor(was, SlotRef{}), func(tx *store.Tx) error {
			if was, err = s.load(tx, chart, u); err != nil {
				return err
			}
			if was.Appointment != nil && !tx.Holds(s.sessionLane(was.Appointment.Session)) {
				return errMoved()
			}
			if r = was; was.Asked == nil || was.Asked.Message != q.Message {
				return nil // somebody else was told the answer
			}
			a := was.Asked.act(tx.At(), reply.Remote)
			if !reply.Yes {
				a = Act{Kind: ActAskRefused, At: tx.At(), Comment: limitedWords(reply.Why), By: Actor{ID: "hospital/" + q.Service, Name: "", Party: System}}
			}
			if r, err = s.commit(tx, was, a); err != nil {
				return err
			}
			if _, err := tx.Exec(`DELETE FROM referral_ask WHERE lane = ? AND chart = ? AND ubrn = ?`, int64(s.chartLane(chart)), chart, u.String()); err != nil {
				return err
			}
			return s.account(tx, r, a, q.Message)
		})
		if !moved(err) {
			return r, err
		}
	}
	return r, fault.New(fault.Unavailable, "The referral keeps changing; try again.")
}

func limitedWords(text string) string {
	if runes := []rune(text); len(runes) > mostComment {
		return string(runes[:mostComment])
	}
	return text
}

// askDueAgain puts the questions again to which no answer has come.
func (s *Referrals) askDueAgain(ctx context.Context) error {
	if s.o.Elsewhere == nil {
		return nil
	}
	type key struct{ chart, ubrn string }
	var due []key
	err := s.read(ctx, func(tx *store.Tx) error {
		due = nil
		rows, err := tx.Query(`SELECT chart, ubrn FROM referral_ask WHERE due <= ? ORDER BY due LIMIT 100`, s.k.Clock.Now().UnixMicro())
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var k key
			if err := rows.Scan(&k.chart, &k.ubrn); err != nil {
				return err
			}
			due = append(due, k)
		}
		return rows.Err()
	})
	if err != nil {
		return err
	}
	for _, k := range due {
		u, err := ident.ParseUBRN(k.ubrn)
		if err != nil {
			return fault.Wrap(err, fault.Internal, "the number of a question cannot be read")
		}
		_, err = s.putQuestion(ctx, k.chart, u)
		if _, no := Taken(err); err != nil && !no {
			return err
		}
	}
	return nil
}
