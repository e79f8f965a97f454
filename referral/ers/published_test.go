package ers_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/referral"
	"github.com/openspine/openspine/referral/ers"
	"github.com/openspine/openspine/sim/seed/published"
	"github.com/openspine/openspine/store"
)

// scene is one published example: the state in which it begins, the request, and the response that it must have.
type scene struct {
	op       string
	request  string // its file; "" for one without a body
	response string // its file
	status   int
	ubrn     string // of the example; 000000070000 when empty
	play     func(s *stage) ask
	// differs is what this example alone has otherwise, by the form of the path, each with the reason; what is named and does not differ is a failure.
	differs map[string]string
}

// ask is a request that a scene sends.
type ask struct {
	who     *caller
	method  string
	path    string // with {ubrn} and {version} for those of the referral
	body    string // where the scene has no request of the examples
	about   referral.Referral
	headers []string
	swap    []string // pairs: what else in the example stands for something else here
}

// stage is the world of the published examples.
type stage struct {
	*world
	root   testing.TB         // the whole test, where t is the part of it that runs
	next   int                // of the numbers that are given to referrals
	hold   int                // of the slots that hospitals give
	open   ident.UBRN         // of a referral that nobody has booked; zero until one is needed
	system *system            // that keeps its slots; nil until one is needed
	undo   []func()           // what is done when the scene is over
	wholly map[string]*caller // of nodes that refuse everything, by the status
}

func newStage(t *testing.T) *stage {
	s := &stage{root: t, world: newWorldAt(t, time.Date(2024, 6, 3, 9, 30, 0, 0, time.UTC)), next: 70100}
	if err := published.Load(t.Context(), s.node); err != nil {
		t.Fatal(err)
	}
	return s
}

// whole is a caller of a node that refuses everything with a status; nil where none does.
func (s *stage) whole(status string) *caller {
	bring := wholes()[status]
	if bring == nil {
		return nil
	}
	if s.wholly == nil {
		s.wholly = map[string]*caller{}
	}
	if s.wholly[status] == nil {
		s.wholly[status] = bring(s.root)
	}
	return s.wholly[status]
}

// user is somebody of the published examples.
func (s *stage) user(id string) access.User {
	s.t.Helper()
	u, _, err := s.node.Kernel().Gate.Profiles(s.t.Context(), id)
	if err != nil {
		s.t.Fatal(err)
	}
	return u
}

func (s *stage) referrer() *caller {
	return s.as(s.user(published.Referrer), acting(ers.ReferringClinician, published.Practice)...)
}

func (s *stage) secretary() *caller {
	return s.as(s.user(published.Secretary), acting(ers.ReferringClinicianAdmin, published.Practice)...)
}

func (s *stage) reviewer() *caller {
	return s.as(s.user(published.Reviewer), acting(ers.ProviderClinician, published.Provider)...)
}

// principals of acts that are done without the API.
func asked(s *stage, u access.User) referral.Caller {
	return referral.Caller{Principal: u.Principal, Ask: func(acts ...access.Act) ([]access.Grant, error) {
		return s.node.Kernel().Gate.DecideAll(s.t.Context(), u.Principal, acts)
	}}
}

func (s *stage) byReferrer() referral.Caller {
	return asked(s, s.user(published.Referrer))
}
func (s *stage) byReviewer() referral.Caller {
	return asked(s, s.user(published.Reviewer))
}

// service changes what the directory says of a service, until the scene is over: the examples call some by several names, and have one provided by the practice.
func (s *stage) service(id string, change func(x *published.Service)) {
	s.t.Helper()
	offer := func(x published.Service) {
		if err := published.Offer(s.t.Context(), s.node, x); err != nil {
			s.t.Fatal(err)
		}
		s.time.Advance(2 * time.Second) // what is searched for is what was there a moment before
	}
	all := published.Services()
	was := all[slices.IndexFunc(all, func(x published.Service) bool { return x.ID == id })]
	now := was
	change(&now)
	offer(now)
	s.undo = append(s.undo, func() { offer(was) })
}

// criteria are the parameters of a search, as the examples' referrals have them.
func criteria(priority, more string) string {
	return `[{"name":"priority","valueCoding":{"system":"https://fhir.nhs.uk/STU3/CodeSystem/eRS-Priority-1","code":"` + priority + `"}},
		{"name":"specialty","valueCoding":{"system":"{base}/STU3/CodeSystem/SPECIALTY","code":"CARDIOLOGY"}},
		{"name":"clinicType","valueCoding":{"system":"https://fhir.nhs.uk/STU3/CodeSystem/eRS-ClinicType-1","code":"HEART_FAILURE"}},` + more + `]`
}

const (
	nearLeeds = `{"name":"postcode","valueString":"LS1 2TW"},{"name":"distanceLimit","valueUnsignedInt":123},{"name":"ageAndGenderAppropriate","valueBoolean":true}`
	anywhere  = `{"name":"ageAndGenderAppropriate","valueBoolean":false},{"name":"commissioningProvisioning","valueCoding":{"system":"https://fhir.nhs.uk/STU3/CodeSystem/eRS-CommissioningProvisioning-1","code":"ALL_AVAILABLE_FOR_BOOKING"}}`
)

// draft is a referral of the examples: a woman of the practice, referred to cardiology.
func draft(priority referral.Priority, services ...string) referral.Draft {
	return referral.Draft{Patient: ident.MustNHSNumber(published.Patient), Priority: priority, Request: referral.ForAppointment, Specialty: "CARDIOLOGY", ClinicType: "HEART_FAILURE", Services: services,
		Criteria: criteria(string(priority), nearLeeds)}
}

// refers makes a referral.
func (s *stage) refers(d referral.Draft) referral.Referral {
	s.t.Helper()
	if d.UBRN.IsZero() {
		s.next++
		d.UBRN = ident.MustUBRN(fmt.Sprintf("%012d", s.next))
	}
	made, err := s.node.Referrals().Create(s.t.Context(), s.byReferrer(), d)
	if err != nil {
		s.t.Fatal(err)
	}
	return made.Referral
}

// does does an act to a referral.
func (s *stage) does(who referral.Caller, r referral.Referral, w referral.Work) referral.Referral {
	s.t.Helper()
	after, err := s.node.Referrals().Act(s.t.Context(), who, r.UBRN, w)
	if err != nil {
		s.t.Fatal(w.Kind, err)
	}
	return after
}

// slots hands slots of an hour each to the spine.
func (s *stage) slots(service, clinician string, n int) {
	s.t.Helper()
	s.slotsOf(published.Provider, service, clinician, n)
}

func (s *stage) slotsOf(provider ident.ODSCode, service, clinician string, n int) {
	s.t.Helper()
	s.hold++
	m := booking.Slots{Session: fmt.Sprintf("%s-%d", service, s.hold), Service: service}
	at := s.time.Now().Truncate(time.Hour).Add(72 * time.Hour)
	for i := range n {
		m.Slots = append(m.Slots, booking.Slot{ID: fmt.Sprint(i), Epoch: 1, Start: at.Add(time.Duration(i+s.hold*20) * time.Hour), End: at.Add(time.Duration(i+1+s.hold*20) * time.Hour), Clinician: "Dr Ada Rowntree", ClinicianID: clinician})
	}
	body, err := booking.Encode(m)
	if err != nil {
		s.t.Fatal(err)
	}
	s.postsAs(provider, booking.WorkflowSlots, m.Session, body)
}

// slotIn hands one slot, so many days ahead, to the spine.
func (s *stage) slotIn(service string, days int) {
	s.t.Helper()
	s.hold++
	at := s.time.Now().AddDate(0, 0, days).Add(time.Hour)
	body, err := booking.Encode(booking.Slots{Session: fmt.Sprintf("%s-%d", service, s.hold), Service: service, Slots: []booking.Slot{{ID: "0", Epoch: 1, Start: at, End: at.Add(time.Hour)}}})
	if err != nil {
		s.t.Fatal(err)
	}
	s.posts(booking.WorkflowSlots, fmt.Sprintf("%s-%d", service, s.hold), body)
	s.until(func() bool { return len(s.free(service)) > 0 })
}

func (s *stage) posts(workflow, conversation string, body []byte) {
	s.t.Helper()
	s.postsAs(published.Provider, workflow, conversation, body)
}

func (s *stage) postsAs(from ident.ODSCode, workflow, conversation string, body []byte) {
	s.t.Helper()
	k := s.node.Kernel()
	post := k.Post()
	err := k.DB.Write(s.t.Context(), []store.Lane{post.LaneOf(from, conversation)}, func(tx *store.Tx) error {
		_, err := post.Send(s.t.Context(), tx, messaging.Message{From: from, To: k.National, Workflow: workflow, Conversation: conversation, Body: body})
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

// until waits for what the post is to bring.
func (s *stage) until(done func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(time.Minute); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatal("it did not come")
		}
		s.time.Advance(100 * time.Millisecond)
	}
}

// free are the slots of a service that can be booked.
func (s *stage) free(service string) []referral.Slot {
	s.t.Helper()
	list, err := s.node.Referrals().FreeSlots(s.t.Context(), service, time.Time{}, time.Time{}, "", 100)
	if err != nil {
		s.t.Fatal(err)
	}
	return list
}

// booked books a referral's first free slot of a service.
func (s *stage) booked(r referral.Referral, service string) referral.Referral {
	s.t.Helper()
	free := s.free(service)
	if len(free) == 0 {
		s.slots(service, "", 1)
		s.until(func() bool { free = s.free(service); return len(free) > 0 })
	}
	return s.does(s.byReferrer(), r, referral.Work{Kind: referral.ActBook, Slot: free[0].SlotRef, Service: service})
}

// offered leaves a referral to an indirectly bookable service, which books it in a slot of its own.
func (s *stage) offered(r referral.Referral, service string) referral.Referral {
	s.t.Helper()
	r = s.does(s.byReferrer(), r, referral.Work{Kind: referral.ActDefer, Service: service})
	at := s.time.Now().Truncate(time.Hour).Add(400 * time.Hour)
	act := booking.Act{UBRN: r.UBRN, Kind: booking.ActOffer, By: "Ms Lena Frost", Appointment: &booking.Appointment{Session: "own", Slot: r.UBRN.String(), Start: at, End: at.Add(time.Minute)}}
	s.until(func() bool {
		var err error
		if r, err = s.node.Referrals().Get(s.t.Context(), s.byReferrer(), r.UBRN); err != nil || r.State == referral.Booked {
			return err == nil
		}
		if r.Version != act.Seen { // once more where the referral has changed meanwhile
			act.Number, act.Seen = act.Number+1, r.Version
			body, err := booking.Encode(act)
			if err != nil {
				s.t.Fatal(err)
			}
			s.posts(booking.WorkflowAct, r.UBRN.String(), body)
		}
		return false
	})
	return r
}

var baseForm = regexp.MustCompile(`_base[uU]rl_(/STU3/v1)?`)

// here is a published document as it would be here: with this node's address, the referral's number, and what else stands for something else.
func (s *stage) here(doc string, c scene, a ask) string {
	doc = baseForm.ReplaceAllStringFunc(doc, func(m string) string {
		return s.url + strings.TrimSuffix(strings.TrimPrefix(strings.ToLower(m), "_baseurl_"), "/v1")
	})
	doc = strings.NewReplacer("/stu3", "/STU3").Replace(doc)
	pairs := slices.Clone(a.swap)
	if !a.about.UBRN.IsZero() {
		was := c.ubrn
		if was == "" {
			was = "000000070000"
		}
		pairs = append(pairs, was, a.about.UBRN.String())
	}
	return strings.NewReplacer(pairs...).Replace(doc)
}

var historyForm = regexp.MustCompile(`((?:ReferralRequest|CommunicationRequest)/[0-9]{12}/_history/)[0-9]+`)

// tally counts what came of the examples of an operation.
type tally struct {
	tested, equal int
	because       []string
}

// play sends a scene's request and compares the answer.
func (s *stage) play(t *testing.T, c scene, used map[string]int, n *tally) {
	s.t = t
	defer func() {
		for _, undo := range s.undo {
			undo()
		}
		s.undo = nil
	}()
	a := c.play(s)
	var body string
	if c.request != "" {
		body = historyForm.ReplaceAllString(s.here(example(t, c.request), c, a), fmt.Sprintf("${1}%d", a.about.Version))
		a.headers = append(a.headers, "Content-Type", "application/fhir+json")
	}
	if a.body != "" {
		body = a.body
		a.headers = append(a.headers, "Content-Type", "application/fhir+json")
	}
	if strings.Contains(a.path, "$ers.") && !a.about.UBRN.IsZero() {
		a.headers = append(a.headers, "If-Match", fmt.Sprintf(`W/"%d"`, a.about.Version))
	}
	path := strings.NewReplacer("{ubrn}", a.about.UBRN.String(), "{version}", fmt.Sprint(a.about.Version)).Replace(a.path)
	got := a.who.do(a.method, path, body, a.headers...)
	n.tested++
	status := c.status
	if status == 0 {
		status = http.StatusOK
	}
	if got.status != status {
		t.Errorf("%s: %d, want %d: %s", c.response, got.status, status, got.body)
		return
	}
	if got.header.Get("Content-Type") != "application/fhir+json" {
		t.Errorf("%s: %s", c.response, got.header.Get("Content-Type"))
	}
	var w, g any
	if err := json.Unmarshal([]byte(s.here(example(t, c.response), c, a)), &w); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(got.body), &g); err != nil {
		t.Fatal(err)
	}
	list := (&comparison{rules(), used}).differences("", w, g)
	expected := map[string]bool{}
	list = slices.DeleteFunc(list, func(d string) bool {
		for at := range c.differs {
			if regexp.MustCompile("^" + at).MatchString(d) {
				expected[at] = true
				return true
			}
		}
		return false
	})
	for at, why := range c.differs {
		if !expected[at] {
			t.Errorf("%s: it no longer differs at %s, where it was thought to because %s", c.response, at, why)
		}
	}
	switch {
	case len(list) > 0:
		t.Errorf("%s:\n\t%s", c.response, strings.Join(list, "\n\t"))
	case len(c.differs) > 0:
		for _, why := range c.differs {
			n.because = append(n.because, c.response+": "+why)
		}
	default:
		n.equal++
	}
}

// TestPublishedExamples plays every published example of the operations that this package has: each in its state, reached by real acts; and its response must be the
// published one, but for what rules and the example itself say. It prints how many are the same.
func TestPublishedExamples(t *testing.T) {
	example(t, "stu3/STU3-OperationOutcome.json")
	s := newStage(t)
	scenes := slices.Concat(worklistScenes(), slotScenes(), createScenes(), readScenes(), bookScenes(), reviewScenes(), cancelScenes(), referenceScenes(),
		shortlistScenes(), rebookScenes(), updateScenes(), actionScenes(), requestScenes(), serviceScenes(), searchScenes(),
		triageScenes(), lettersScenes(), adviceScenes(), questionScenes(), adminScenes(), saidScenes(), systemScenes(), outcomeScenes())
	used, by := map[string]int{}, map[string]*tally{}
	for _, c := range scenes {
		if by[c.op] == nil {
			by[c.op] = &tally{}
		}
		t.Run(c.op+"/"+c.response, func(t *testing.T) { s.play(t, c, used, by[c.op]) })
	}
	s.t = t
	everyExample(t, scenes)
	if a := s.referrer().do(http.MethodHead, "/R4/HealthcareService/3", ""); a.status != http.StatusOK || a.header.Get("ETag") != `W/"1"` || a.body != "" {
		t.Errorf("A037: %d %v %s", a.status, a.header, a.body)
	}
	by["A037"] = &tally{tested: 1, equal: 1}
	s.fileRows(by)
	ops := map[string]bool{}
	for op := range by {
		ops[op] = true
	}
	all := tally{}
	for _, op := range sorted(ops) {
		n := by[op]
		t.Logf("%s: %d tested, %d equal, %d differ", op, n.tested, n.equal, n.tested-n.equal)
		for _, why := range n.because {
			t.Logf("\t%s", why)
		}
		all.tested, all.equal = all.tested+n.tested, all.equal+n.equal
	}
	t.Logf("all: %d tested, %d equal, %d differ", all.tested, all.equal, all.tested-all.equal)
	for _, r := range rules() {
		t.Logf("may differ: %s (%s): %d times", r.name, r.why, used[r.name])
	}
}
