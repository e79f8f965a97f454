package bookings

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/hospital"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/messaging/simulate/country"
	"github.com/openspine/openspine/referral"
	"github.com/openspine/openspine/referral/codes"
	"github.com/openspine/openspine/store"
)

// TestStories plays each journey of testdata/story: the real referrals and clinics over the real post, in a country where nothing fails but what the story says, and the date is what it says.
//
//	date DATE                        it is nine o'clock on that day, everywhere
//	session HOSPITAL ID DATE N KEPT  a clinic from nine, of N half hours, of which the hospital keeps some; the slots are ID-0900, ID-0930 …
//	refer NAME appointment|triage HOSPITAL…
//	gp VERB NAME [WHAT]              the practice's doctor: book SLOT, move SLOT, cancel, defer HOSPITAL, triage HOSPITAL, take, decline, end
//	patient VERB NAME [WHAT]         by booking reference: book SLOT, move SLOT, cancel, defer HOSPITAL; take or decline the time that is offered
//	staff HOSPITAL VERB NAME [WHAT]  accept, reject, cancel, take, return, invite, give SLOT, put SLOT (by hand), off SLOT, settle SLOT, arrived [SLOT], missed [rebook [SLOT]], attended OUTCOME [SLOT], again SLOT; withdraw, recall and hand take a session
//	ask NAME HOSPITAL [refer]        the practice asks for advice, and may let a referral be made of it; advise HOSPITAL answer|more|convert NAME; reply NAME, close NAME; said NAME prints how the conversation stands
//	apart away|loses N               the system of RQZ, which keeps its slots and is asked: so many questions do not come there, or so many of its answers are lost; apart takes SLOT is a patient of its own
//	apart has NAME                   prints where they are booked there, and how many questions came, by how many ids
//	attach NAME FILE WORDS           the practice attaches a file of these words; PROGRAM is what a program begins with
//	files NODE NAME                  prints each file of theirs, what is in it, and how many contents are stored there for them
//	dies NAME                        the register says so
//	cut HOSPITAL, heal HOSPITAL      the line to the spine
//	backup NODE, restore NODE        to the last copy
//	see spine|HOSPITAL NAME          prints how it stands there
//	worklist practice|HOSPITAL       prints who waits for somebody there
//	even                             both sides compare, and everything that was promised is so
//
// Behind a "!" something must be refused; what is said is printed.
func TestStories(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/story", Setup: func(env *testscript.Env) error {
		c := country.New(t.Context(), rand.New(rand.NewPCG(1, 23)), nil) //nolint:gosec // a story's chance
		c.Calm = true
		s := &story{world: &world{Country: c, told: map[string]promise{}, files: map[string][]byte{}, queue: newWaits()}, people: map[string]made{}}
		s.apart = newApart(s.world)
		env.Values[storyKey{}] = s
		env.Defer(s.Close)
		return s.begin()
	}, Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
		"date": told((*story).date), "session": told((*story).session), "refer": told((*story).refer), "gp": told((*story).practice), "patient": told((*story).patient), "staff": told((*story).staff),
		"cut": told((*story).cutLine), "heal": told((*story).heal), "backup": told((*story).keep), "restore": told((*story).putBack), "see": told((*story).see),
		"ask": told((*story).ask), "advise": told((*story).advise), "reply": told((*story).reply), "close": told((*story).close), "said": told((*story).said), "dies": told((*story).death), "apart": told((*story).apartly), "attach": told((*story).attachFile), "files": told((*story).listFiles), "worklist": told((*story).worklist), "even": told((*story).even),
	}})
}

type storyKey struct{}

// story is a country in which nothing fails by chance.
type story struct {
	*world
	people map[string]made
}

// told makes a command of something that happens: what it says is printed, and then the post turns.
func told(do func(s *story, args []string) (string, error)) func(ts *testscript.TestScript, neg bool, args []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		s, ok := ts.Value(storyKey{}).(*story)
		if !ok {
			ts.Fatalf("there is no country")
		}
		said, err := do(s, append(args, "", "", "", "", "")) // so that what is left out is empty
		if err != nil {
			said = fault.MessageOf(err)
		}
		fmt.Fprintln(ts.Stdout(), said)
		switch {
		case neg && err == nil:
			ts.Fatalf("it was not refused")
		case !neg && err != nil:
			ts.Fatalf("refused: %v", err)
		}
		ts.Check(s.turn())
	}
}

func (s *story) begin() error {
	begun, err := beginning()
	if err != nil {
		return err
	}
	for i, name := range names() {
		n, err := newNode(s.world, name, uint64(5*i), begun) //nolint:gosec // small
		if err != nil {
			return err
		}
		s.nodes = append(s.nodes, n)
	}
	for _, n := range s.nodes {
		if err := n.Open(); err != nil {
			return err
		}
	}
	return s.turn()
}

// turn lets everything happen that is due at this moment.
func (s *story) turn() error {
	for range 6 {
		for _, n := range s.nodes {
			if err := n.jobs(); err != nil {
				return err
			}
			if _, err := n.Drain(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *story) at(name string) *node {
	i := slices.IndexFunc(s.nodes, func(n *node) bool { return n.Name == name })
	return s.nodes[max(i, 0)]
}

func (s *story) date(args []string) (string, error) {
	to, err := time.Parse(time.DateOnly, args[0])
	for _, n := range s.nodes {
		n.Clock.Advance(to.Add(9 * time.Hour).Sub(n.Clock.Now()))
	}
	return "", err
}

func (s *story) session(args []string) (string, error) {
	day, err := time.Parse(time.DateOnly, args[2])
	if err != nil {
		return "", err
	}
	var slots, kept int
	if _, err := fmt.Sscan(args[3], &slots); err != nil {
		return "", err
	}
	if _, err := fmt.Sscan(args[4], &kept); err != nil {
		return "", err
	}
	n, from := s.at(args[0]), day.Add(9*time.Hour)
	return "", n.clinics.MakeSession(s.Ctx, n.code, hospital.Session{ID: args[1], Clinic: "heart", Starts: from, Ends: from.Add(time.Duration(slots) * 30 * time.Minute), Minutes: 30, Extra: 1, State: "open"}, slots, kept, true)
}

func (s *story) refer(args []string) (string, error) {
	request, services := referral.ForAppointment, []string{}
	if args[1] == "triage" {
		request = referral.ForTriage
	}
	for _, h := range args[2:] {
		if h != "" {
			services = append(services, ServiceOf(ident.MustODSCode(h)))
		}
	}
	u, err := ident.ParseUBRN(fmt.Sprintf("%012d", 2_000_000_000+len(s.people)))
	if err != nil {
		return "", err
	}
	n := s.nodes[0]
	m, err := n.refer.Create(s.Ctx, n.caller(s.world.gp()), referral.Draft{Patient: Patient(len(s.people) % People), Priority: referral.Routine, Request: request, Services: services, Letter: "Please see.", UBRN: u})
	s.people[args[0]] = made{u, m.Chart}
	return u.String(), err
}

func (s *story) practice(args []string) (string, error) {
	return s.does(s.nodes[0].caller(s.world.gp()), args)
}

func (s *story) patient(args []string) (string, error) {
	m := s.people[args[1]]
	return s.does(s.nodes[0].caller(access.Principal{ID: "ubrn/" + m.ubrn.String(), Name: "Patient, by reference number", Role: access.Patient, Person: m.chart, AuthMethod: "ubrn"}), args)
}

// slotRef is where a slot is, by its name: HOSPITAL-SESSION-TIME.
func slotRef(name string) referral.SlotRef {
	provider, _, _ := strings.Cut(name, "-")
	if provider == Apart.String() {
		return referral.SlotRef{Provider: Apart, Session: "ask-" + ServiceOf(Apart), Slot: name}
	}
	return referral.SlotRef{Provider: ident.MustODSCode(provider), Session: name[:strings.LastIndex(name, "-")], Slot: name}
}

func (s *story) does(c referral.Caller, args []string) (string, error) {
	m, w := s.people[args[1]], referral.Work{}
	switch what := args[2]; args[0] {
	case "book", "move":
		w = referral.Work{Kind: referral.ActBook, Slot: slotRef(what)}
		if args[0] == "move" {
			w.Kind = referral.ActMove
		}
		w.Service = ServiceOf(w.Slot.Provider)
	case "take":
		r, err := s.nodes[0].refer.Get(s.Ctx, c, m.ubrn)
		if err != nil {
			return "", err
		}
		if r.Offer == nil {
			return "", fault.New(fault.Conflict, "No time is offered to them.")
		}
		w = referral.Work{Kind: referral.ActBook, Slot: r.Offer.SlotRef, Service: r.Chosen.Service}
	case "decline":
		w = referral.Work{Kind: referral.ActDecline}
	case "cancel":
		w = referral.Work{Kind: referral.ActCancelBy, Reason: "PATIENT_ILL"}
	case "defer":
		w = referral.Work{Kind: referral.ActDefer, Service: ServiceOf(ident.MustODSCode(what))}
	case "triage":
		w = referral.Work{Kind: referral.ActSendTriage, Service: ServiceOf(ident.MustODSCode(what))}
	case "end":
		w = referral.Work{Kind: referral.ActCancel, Reason: "TREATMENT_NO_LONGER_REQUIRED", Comment: "Better."}
	default:
		return "", fmt.Errorf("nobody can %s", args[0])
	}
	r, err := s.nodes[0].refer.Act(s.Ctx, c, m.ubrn, w)
	if err == nil && r.State == referral.Booked {
		s.told[m.ubrn.String()] = promise{r.Version, *r.Appointment}
	}
	return string(r.State), err
}

func (s *story) staff(args []string) (string, error) {
	n, m, what := s.at(args[0]), s.people[args[2]], args[3]
	switch args[1] {
	case "withdraw":
		count, err := n.clinics.Withdraw(s.Ctx, n.clerk(), n.code, args[2], "The consultant is ill")
		return fmt.Sprint(count), err
	case "recall":
		return "", n.clinics.Recall(s.Ctx, n.clerk(), n.code, args[2], "needed")
	case "hand":
		count, err := n.clinics.Give(s.Ctx, n.clerk(), n.code, args[2])
		return fmt.Sprint(count), err
	case "again":
		at := slotRef(what)
		return "", n.clinics.FollowUp(s.Ctx, n.clerk(), n.code, m.ubrn.String(), at.Session, at.Slot)
	case "put":
		at := slotRef(what)
		return "", n.clinics.Override(s.Ctx, n.clerk(), n.code, m.ubrn.String(), at.Session, at.Slot, "Cannot wait")
	case "off":
		return "", n.clinics.TakeOff(s.Ctx, n.clerk(), n.code, m.ubrn.String(), what)
	case "settle":
		return "", n.clinics.TellSeen(s.Ctx, n.clerk(), n.code, m.ubrn.String(), what)
	case "arrived", "missed", "attended":
		at := n.look().cases[m.ubrn.String()].Appointment
		if by := args[map[string]int{"arrived": 3, "missed": 4, "attended": 4}[args[1]]]; by != "" {
			ref := slotRef(by)
			at = &booking.Appointment{Session: ref.Session, Slot: ref.Slot}
		}
		if at == nil {
			return "", fault.New(fault.Conflict, "They are not booked here.")
		}
		come := hospital.Coming{Session: at.Session, Slot: at.Slot, State: args[1]}
		switch args[1] {
		case "attended":
			come.Outcome, come.Status = what, "30"
			if what == "assessed" {
				come.Note = "No disease of the heart."
			}
		case "missed":
			come.State, come.Rebook, come.Reason = "did-not-attend", what == "rebook", codes.List(codes.Missed, n.Clock.Now())[0].Code
		}
		return "", n.clinics.Come(s.Ctx, n.doctor(), n.code, m.ubrn.String(), come)
	}
	d, known := map[string]hospital.Decision{
		"accept": {Kind: booking.ActAccept}, "reject": {Kind: booking.ActReject, Reason: "SERVICE_INAPPROPRIATE", Comment: "Another clinic."}, "cancel": {Kind: booking.ActCancel, Reason: "CLINIC_CANCELLED", Comment: "No clinic."},
		"take": {Kind: booking.ActTriageAccept}, "invite": {Kind: booking.ActTriageAccept, Invite: true}, "return": {Kind: booking.ActTriageReturn, Comment: "See the physiotherapist first."}, "give": {Kind: booking.ActMove},
	}[args[1]]
	if !known {
		return "", fmt.Errorf("nobody can %s", args[1])
	}
	if d.Kind == booking.ActMove {
		at := slotRef(what)
		d.Session, d.Slot = at.Session, at.Slot
	}
	return "", n.clinics.Decide(s.Ctx, n.doctor(), n.code, m.ubrn.String(), d)
}

func (s *story) death(args []string) (string, error) {
	s.nodes[0].dies(s.people[args[0]])
	return "", nil
}

func (s *story) ask(args []string) (string, error) {
	n := s.nodes[0]
	a, err := n.refer.AskAdvice(s.Ctx, n.caller(s.world.gp()), referral.AdviceQuestion{Patient: Patient(len(s.people) % People), Priority: referral.Routine, Service: ServiceOf(ident.MustODSCode(args[1])),
		MayConvert: args[2] == "refer", Text: "Palpitations at night: a monitor?"})
	s.people[args[0]] = made{a.UBRN, a.Chart}
	return a.UBRN.String(), err
}

// conversation is a question as it is at the spine.
func (s *story) conversation(name string) (referral.Advice, referral.Caller, error) {
	n := s.nodes[0]
	c := n.caller(s.world.gp())
	a, err := n.refer.Advice(s.Ctx, c, s.people[name].ubrn, true)
	return a, c, err
}

func (s *story) advise(args []string) (string, error) {
	n, u := s.at(args[0]), s.people[args[2]].ubrn
	say := hospital.Saying{Kind: map[string]string{"answer": booking.AdviseAnswer, "more": booking.AdviseMore, "convert": booking.AdviseConvert}[args[1]], Text: "A monitor for a week.", Seen: n.question(u)}
	switch args[1] {
	case "answer":
		say.Recommendation = "OTHER"
	case "convert":
		say.Note, say.Priority = "Within four weeks.", "URGENT"
	}
	return "", n.clinics.Advise(s.Ctx, n.doctor(), n.code, u.String(), say)
}

// question is the version at which a hospital knows a question for advice; 0 when it does not.
func (n *node) question(u ident.UBRN) (version int64) {
	err := n.DB.Read(n.w.Ctx, func(tx *store.Tx) error {
		return tx.QueryRow(`SELECT version FROM hospital_advice WHERE ubrn = ?`, u.String()).Scan(&version)
	})
	if err != nil {
		return 0
	}
	return version
}

func (s *story) reply(args []string) (string, error) {
	a, c, err := s.conversation(args[0])
	if err == nil {
		_, err = s.nodes[0].refer.ReplyAdvice(s.Ctx, c, a.UBRN, referral.AdviceReply{Seen: a.Version, Text: "Twice a week."})
	}
	return "", err
}

func (s *story) close(args []string) (string, error) {
	a, c, err := s.conversation(args[0])
	if err == nil {
		_, err = s.nodes[0].refer.CloseAdvice(s.Ctx, c, a.UBRN, a.Version)
	}
	return "", err
}

func (s *story) said(args []string) (string, error) {
	a, _, err := s.conversation(args[0])
	return fmt.Sprintf("%s, %d messages", a.State, len(a.Remarks)), err
}

func (s *story) cutLine(args []string) (string, error) {
	a, b := s.nodes[0].Machine, s.at(args[0]).Machine
	s.Cut(a, b, s.Step+1)
	s.Cut(b, a, s.Step+1)
	return "", nil
}

func (s *story) heal(args []string) (string, error) {
	s.Mend(s.nodes[0].Machine, s.at(args[0]).Machine)
	return "", nil
}

func (s *story) keep(args []string) (string, error) {
	s.at(args[0]).DropBackups()
	s.at(args[0]).Backup()
	return "", nil
}

func (s *story) putBack(args []string) (string, error) { return "", s.at(args[0]).Restore() }

func (s *story) see(args []string) (string, error) {
	u := s.people[args[1]].ubrn.String()
	if args[0] == "spine" {
		r := s.nodes[0].look().referrals[u]
		words := string(r.State)
		if r.Appointment != nil {
			words += " " + r.Appointment.Slot
		}
		if r.Offer != nil {
			words += " offered " + r.Offer.Slot
		}
		if q := r.Asked; q != nil && q.Appointment != nil {
			words += " asked for " + q.Appointment.Slot
		} else if q != nil {
			words += " asked to let go"
		}
		if r.Asked == nil && r.Refusal != "" {
			words += " refused"
		}
		for _, x := range []struct {
			word string
			so   bool
		}{{" accepted", r.Accepted}, {" attended", r.Attended}, {" closed", r.Closed}} {
			if x.so {
				words += x.word
			}
		}
		return words, nil
	}
	c := s.at(args[0]).look().cases[u]
	words := c.State
	if c.Gone {
		words += " gone"
	}
	if c.Appointment != nil {
		words += " " + c.Appointment.Slot
	}
	if c.Offer != nil {
		words += " offered " + c.Offer.Slot
	}
	return words + ", review " + c.review, nil
}

func (s *story) worklist(args []string) (string, error) {
	var on []string
	list := map[string]bool{}
	if args[0] == "practice" {
		n := s.nodes[0]
		scope, err := n.scope(s.Ctx, s.world.gp())
		if err != nil {
			return "", err
		}
		all, err := n.refer.Waiting(s.Ctx, scope, referral.Worklist{Practice: Practice})
		if err != nil {
			return "", err
		}
		for _, r := range all {
			list[r.UBRN.String()] = true
		}
	} else {
		for u, c := range s.at(args[0]).look().cases {
			list[u] = c.closed == 0 && !c.Gone && (c.review == "waiting" || c.rebook > 0)
		}
	}
	for name, m := range s.people {
		if list[m.ubrn.String()] {
			on = append(on, name)
		}
	}
	slices.Sort(on)
	return "waiting: " + strings.Join(on, " "), nil
}

func (s *story) even([]string) (string, error) {
	for range 2 {
		for _, n := range s.nodes {
			if err := n.jobNamed("tally"); err != nil {
				return "", err
			}
		}
		if err := s.turn(); err != nil {
			return "", err
		}
	}
	if s.check(); len(s.Broken) > 0 {
		return "", fmt.Errorf("%d promises are broken: %s", len(s.Broken), strings.Join(s.Broken, "; "))
	}
	return "", nil
}
