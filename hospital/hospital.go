// Package hospital is how a hospital runs its outpatient clinics: when they are held and who is in them, who was referred to them, who came, and
// what came of it.
//
//	template ──► session ──► slots ──give──► the spine books them        (package booking says whose a slot is)
//	                           └── reserve, extra, recalled: the clinic books them
//	the spine tells of a referral ──► case ──► the person is a patient here ──► review: accept, reject, triage
//	                                    └── booked ──► arrived ──► attended ──► outcome: discharge, follow-up, treatment
//	                                                      └──► did not attend
//	a session is withdrawn ──► everybody in it is on a worklist until they have another time
//
// The hospital and the spine are joined by messages alone. The clinic goes on when there is no line: what it decides is written down here, sent when there is
// one, and shown as not confirmed until the spine has answered; what the spine refuses is on a worklist with its reason. Once an hour, and when asked to, both
// say what they know, and what differs is shown, explained, and put right (docs/decisions/0026).
package hospital

import (
	"context"
	"crypto/rand"
	"embed"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/web"
)

//go:embed schema/*.sql
var schemaFS embed.FS

// Schema is what outpatients keep in the database.
func Schema() store.Schema { return store.Embedded("hospital", schemaFS, "schema") }

// How far ahead sessions are made, and how often that is looked at.
const (
	ahead     = 8 * 7 * 24 * time.Hour
	planEvery = time.Minute
	// registerEvery is how long somebody who is referred waits at most to be a patient here.
	registerEvery = time.Second
	tallyEvery    = time.Hour
)

// Outpatients are the clinics of the hospitals that a node keeps. They are safe for use by many goroutines.
type Outpatients struct {
	k      catalogue.Kernel
	seams  booking.Seams
	beside int // writes that register people at a time
	cut    func() bool
	newID  func() string

	counted counted
	changes web.Changes // of what pages show, by hospital
}

// changed tells the pages of a hospital that something of what they show is otherwise, once that is durable.
func (o *Outpatients) changed(tx *store.Tx, hospital ident.ODSCode) {
	tx.Then(func() { o.changes.Tell(hospital.String()) })
}

// New is the clinics of a node; it may keep no hospital.
func New(k catalogue.Kernel) *Outpatients { return NewWith(k, Options{}) }

// Options say how clinics are kept. The zero value is right for a node.
type Options struct {
	// Seams make the clinics forget one of their duties, for proofs that a simulation notices. Never set in a node.
	Seams booking.Seams
	// Beside is how many writes register people at a time; 4 by default. A simulation that is to replay has one after the other.
	Beside int
	// Cut says whether there is no line to the spine; nil asks the node's links. A simulation without links says it itself.
	Cut func() bool
	// NewID makes the names of slots and files that have none by what they are: 16 small letters and digits, random ones by default. A simulation that is to replay makes its own.
	NewID func() string
}

// NewWith is New with options.
func NewWith(k catalogue.Kernel, options Options) *Outpatients {
	if options.Beside <= 0 {
		options.Beside = registerBeside
	}
	if options.NewID == nil {
		options.NewID = newID
	}
	return &Outpatients{k: k, seams: options.Seams, beside: options.Beside, cut: options.Cut, newID: options.NewID}
}

// Service is the clinics as the node runs them.
func (o *Outpatients) Service() catalogue.Service {
	s := catalogue.Service{Name: "hospital", Summary: "Outpatients: clinics and their sessions, referrals and bookings, who came and what came of it.", Schema: Schema(), Pages: o.pages(),
		Handles: []messaging.Handler{
			{Workflow: booking.WorkflowCase, Compares: true, Owner: "the booking office of the hospital", Lanes: o.caseLanes, Handle: o.caseCame},
			{Workflow: booking.WorkflowAdvice, Compares: true, Owner: "the booking office of the hospital", Lanes: o.adviceLanes, Handle: o.adviceCame},
			{Workflow: booking.WorkflowAdvise, Compares: true, Owner: "the booking office of the spine", Learn: o.adviseAnswered, LearnLanes: o.lanesFrom},
			{Workflow: booking.WorkflowReturned, Compares: true, Owner: "the booking office of the hospital", Lanes: o.lanesTo, Handle: o.slotsCameBack},
			{Workflow: booking.WorkflowTally, Compares: true, Owner: "the booking office of the hospital", Lanes: o.tallyLanes, Handle: o.tallyCame},
			{Workflow: booking.WorkflowSlots, Compares: true, Owner: "the booking office of the spine", Learn: o.slotsAnswered, LearnLanes: o.lanesFrom},
			{Workflow: booking.WorkflowRecall, Compares: true, Owner: "the booking office of the spine"},
			{Workflow: booking.WorkflowVisit, Compares: true, Owner: "the booking office of the spine"},
			{Workflow: booking.WorkflowAct, Compares: true, Owner: "the booking office of the spine", Learn: o.actAnswered, LearnLanes: o.lanesFrom},
		}}
	if hospitals := o.hospitals(); len(hospitals) > 0 {
		s.Jobs = []catalogue.Job{{Name: "plan", Every: planEvery, Run: o.each(o.Plan)}, {Name: "register", Every: registerEvery, Run: o.each(o.Register)}, {Name: "tally", Every: tallyEvery, Run: o.each(o.tallyDue)}}
		s.Links = []catalogue.Link{{Key: "hospital.nav", Path: "/clinics", Roles: staff(), Organisations: hospitals},
			{Key: "hospital.figures.nav", Path: "/clinics/figures", Roles: []access.Role{access.Manager}, Organisations: hospitals},
			{Key: "hospital.reconciliation.title", Path: "/clinics/reconciliation", Roles: []access.Role{access.Manager}, Organisations: hospitals}}
	}
	return s
}

// staff are those who work in clinics.
func staff() []access.Role { return []access.Role{access.Clerk, access.Clinician} }

// counting are those who see how the clinics do: whoever works in them, and managers, who see nobody's record.
func counting() []access.Role { return append(staff(), access.Manager) }

// hospitals are the hospitals whose clinics this node keeps.
func (o *Outpatients) hospitals() (all []ident.ODSCode) {
	for _, t := range o.k.Tenants {
		if t.Kind == "hospital" {
			all = append(all, t.Code)
		}
	}
	return all
}

// keeps reports whether this node keeps a hospital's clinics.
func (o *Outpatients) keeps(org ident.ODSCode) bool {
	for _, h := range o.hospitals() {
		if h == org {
			return true
		}
	}
	return false
}

func (o *Outpatients) nameOf(org ident.ODSCode) string {
	for _, t := range o.k.Tenants {
		if t.Code == org {
			return t.Name
		}
	}
	return org.String()
}

// each makes a job of what is done for one hospital: none waits for another, but in a simulation that is to replay.
func (o *Outpatients) each(do func(context.Context, ident.ODSCode) error) func(context.Context) error {
	return func(ctx context.Context) error {
		hospitals := o.hospitals()
		if len(hospitals) == 1 || o.beside == 1 {
			for _, h := range hospitals {
				if err := do(ctx, h); err != nil {
					return err
				}
			}
			return nil
		}
		var all errgroup.Group
		all.SetLimit(o.beside)
		for _, h := range hospitals {
			all.Go(func() error { return do(ctx, h) })
		}
		return all.Wait()
	}
}

// lane is where all of a hospital's clinics stand: a session, who is in it and what is decided of them change in one transaction.
func (o *Outpatients) lane(hospital ident.ODSCode) store.Lane {
	return o.k.DB.LaneOf(hospital.String(), "outpatients")
}

func (o *Outpatients) lanesTo(m messaging.Message) []store.Lane { return []store.Lane{o.lane(m.To)} }

// caseLanes are the hospital's, and that in which it answers at once where somebody is told to be in a session that it has withdrawn.
func (o *Outpatients) caseLanes(m messaging.Message) []store.Lane {
	return o.lanes(m.To, []string{m.Conversation})
}

func (o *Outpatients) lanesFrom(m messaging.Message) []store.Lane {
	return []store.Lane{o.lane(m.From)}
}

// self is the part of the node that acts in the hospital's records.
func (o *Outpatients) self(hospital ident.ODSCode) access.Principal {
	p := access.Service("outpatients", hospital)
	p.Name = "outpatients"
	return p
}

// change does something in the hospital's lane and those in which it sends.
func (o *Outpatients) change(ctx context.Context, hospital ident.ODSCode, conversations []string, do func(tx *store.Tx) error) error {
	return o.k.DB.Write(ctx, o.lanes(hospital, conversations), do)
}

func (o *Outpatients) lanes(hospital ident.ODSCode, conversations []string) []store.Lane {
	lanes := []store.Lane{o.lane(hospital)}
	for _, c := range conversations {
		lanes = append(lanes, o.k.Post().LaneOf(hospital, c))
	}
	return lanes
}

// send puts a message for the spine into the post.
func send[M booking.Message](o *Outpatients, tx *store.Tx, hospital ident.ODSCode, workflow, conversation string, m M, files ...messaging.File) (string, error) {
	body, err := booking.Encode(m)
	if err != nil {
		return "", err
	}
	return o.k.Post().Send(tx.Context(), tx, messaging.Message{From: hospital, To: o.k.National, Workflow: workflow, Conversation: conversation, Body: body, Files: files})
}

// decoded reads a message of the spine, or refuses it for good.
func decoded[M booking.Message](o *Outpatients, m messaging.Message) (M, error) {
	body, err := booking.Decode[M](m.Body)
	switch {
	case err != nil:
		return body, messaging.Refuse("%s", fault.MessageOf(err))
	case m.From != o.k.National:
		return body, messaging.Refuse("Bookings are between the hospital and the spine.")
	case !o.keeps(m.To):
		return body, messaging.Refuse("%s has no clinics here.", m.To)
	}
	return body, nil
}

// newID is a name that nothing else has: 16 small letters and digits.
func newID() string { return strings.ToLower(rand.Text()[:16]) }

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(n).UTC()
}

// each row of a query is read by scan.
func rowsOf(tx *store.Tx, scan func(*store.Rows) error, query string, args ...any) error {
	rows, err := tx.Query(query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
