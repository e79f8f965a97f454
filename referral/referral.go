// Package referral is the country's front door to hospitals: a practice refers somebody, the two choose among services, somebody books a
// date, and whoever waits is on somebody's worklist until they have been seen.
//
//	practice ──► referral ──► shortlist ──► UBRN and password ──► the patient
//	                │                                               │
//	                │             free slots, which hospitals gave the spine
//	                ▼                                               ▼
//	NOT_BOOKED ──────────────────────── book ─────────────────► BOOKED ──► accepted ──► attended ──► discharged
//	  │  ▲  ▲                                                    │  │ └── did not attend ──┐
//	  │  │  └── rejected, returned with advice ◄─────────────────┘  │                      │
//	  │  └───── cancelled by patient or provider ◄──────────────────┴──────────────────────┘
//	  └── no free slot ──► DEFERRED_TO_PROVIDER ──► the provider books
//
// One table says what may follow what (Transitions), and one pure function does it (Apply): pages, APIs and messages of hospitals all go
// through it. Every version is kept, with who made it, when and why (docs/decisions/0027).
//
// A slot is booked by whoever owns it, and nobody else: hospitals hand slots to the spine and take them back by the messages of package
// booking (docs/decisions/0026). A booking is one transaction: the slot, the referral, the message to the hospital and the account.
package referral

import (
	"context"
	"embed"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/directory"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/web"
)

//go:embed schema/*.sql
var schemaFiles embed.FS

// Schema is this package's tables, for store.DB.Migrate.
func Schema() store.Schema { return store.Embedded("referral", schemaFiles, "schema") }

// Options say how referrals are kept. The zero value is right for a node.
type Options struct {
	// Freeze is how long before it begins the spine gives back what is free of a session, and books nothing more; 48 hours by default.
	Freeze time.Duration
	// Hold is how long a slot is held for whoever is deciding; 10 minutes by default.
	Hold time.Duration
	// Heard is when the node of a hospital was last heard of, and whether it has one of its own (network.Network.HeardOf); nil where all are at one node.
	Heard func(ident.ODSCode) (time.Time, bool)
	// Silence is after how long without a word from it a hospital's times are asked for instead of booked; an hour by default.
	Silence time.Duration
	// OfferDays is for how many working days a time is held for whoever waited and is offered it; 3 by default.
	OfferDays int
	// Seams make the referrals forget one of their duties, for proofs that a simulation notices. Never set in a node.
	Seams booking.Seams
	// Elsewhere is how services are asked that keep their slots to themselves; nil where there are none.
	Elsewhere Elsewhere
	// NewID makes the ids of files and of questions to hospitals' systems, which are UUIDs; random ones by default. A simulation that is to replay makes its own.
	NewID func() string
}

// Referrals are all referrals of a country, at its national node. It is safe for concurrent use.
type Referrals struct {
	k      catalogue.Kernel
	places *directory.Directory
	// changes are those of what worklists show, by organisation.
	changes web.Changes
	o       Options
	lived   atomic.Pointer[int64]  // see life
	looked  atomic.Pointer[string] // see deadOffered
	polled  polls
	supply  *supply // of the whole process: whoever changes slots makes it forget
}

// New is the referrals over a kernel and its directory.
func New(k catalogue.Kernel, places *directory.Directory, o Options) *Referrals {
	if o.Freeze <= 0 {
		o.Freeze = 48 * time.Hour
	}
	if o.NewID == nil {
		o.NewID = uuid.NewString
	}
	if o.Hold <= 0 {
		o.Hold = 10 * time.Minute
	}
	if o.Silence <= 0 {
		o.Silence = time.Hour
	}
	if o.OfferDays <= 0 {
		o.OfferDays = offerDays
	}
	return &Referrals{k: k, places: places, o: o, supply: store.Shared[supply](k.DB, "referral/supply")}
}

// Service is the referrals as the node runs them.
func (s *Referrals) Service() catalogue.Service {
	f := &face{s: s, k: s.k}
	return catalogue.Service{
		Name: "referral", Summary: "Refer a person, choose and book a date at a hospital, and see that nobody who waits is forgotten.",
		Schema:  Schema(),
		Pages:   f.pages(),
		Handles: s.handlers(),
		Jobs: []catalogue.Job{
			{Name: "standing", Every: 15 * time.Second, Run: s.askDue},
			{Name: "give-back", Every: time.Minute, Run: s.giveBackDue},
			{Name: "withdrawn", Every: 5 * time.Second, Run: s.withdrawDue},
			{Name: "offers", Every: 5 * time.Second, Run: s.offerDue},
			{Name: "ask-again", Every: 5 * time.Second, Run: s.askDueAgain},
			{Name: "poll-slots", Every: time.Minute, Run: s.pollDue},
			{Name: "limits", Every: time.Minute, Run: s.reckonDue},
			{Name: "visits", Every: time.Hour, Run: s.forgetVisits},
			{Name: "files", Every: time.Hour, Run: s.forgetFiles},
		},
		Links: []catalogue.Link{
			{Key: "referral.nav.worklist", Path: worklistPath, Roles: staff(), Count: s.toAct},
			{Key: "referral.nav.review", Path: reviewPath, Roles: staff(), Count: s.toReview},
			{Key: "referral.nav.advice", Path: advicePath, Roles: staff(), Count: s.toRead},
			{Key: "referral.nav.advise", Path: advisePath, Roles: staff(), Count: s.toAnswer},
			{Key: "referral.nav.own", Path: ownPath, Roles: []access.Role{access.Patient}},
		},
	}
}

// Caller is who asks something of this package. Ask decides, and sees to it that what is shown goes on the account before the answer is sent;
// catalogue.Asker.Grants is one.
type Caller struct {
	Principal access.Principal
	Ask       func(acts ...access.Act) ([]access.Grant, error)
}

// CallerOf is whoever sent a request.
func CallerOf(ask catalogue.Asker) Caller { return Caller{ask.Principal, ask.Grants} }

// place is where a referral stands for the rules: its letter and what else is clinical, or when and where somebody comes.
func (s *Referrals) place(chart string, ubrn ident.UBRN, clinical bool) access.Place {
	p := access.Place{Tenant: s.k.National, Chart: chart, Type: access.TypeBooking, ID: ubrn.String(), Exists: true}
	if clinical {
		p.Type = access.TypeReferral
	}
	return p
}

// The lanes: of a patient's chart, of a UBRN and of what is sent about it, of a session and of what is sent about it.
func (s *Referrals) chartLane(chart string) store.Lane { return s.k.Gate.Lane(s.k.National, chart) }
func (s *Referrals) ubrnLane(u ident.UBRN) store.Lane {
	return s.k.DB.LaneOf(s.k.National.String(), u.String())
}
func (s *Referrals) sessionLane(session string) store.Lane {
	return s.k.DB.LaneOf(s.k.National.String(), session)
}

// office is who does what the spine does by itself, and looks after what it could not handle.
const office = "the national booking office"

// handlers are the messages between the spine and hospitals.
func (s *Referrals) handlers() []messaging.Handler {
	return []messaging.Handler{
		{Workflow: booking.WorkflowSlots, Compares: true, Owner: office, Handle: s.slotsCame, Lanes: s.slotLanes},
		{Workflow: booking.WorkflowRecall, Compares: true, Owner: office, Handle: s.recallCame, Lanes: s.slotLanes},
		{Workflow: booking.WorkflowAct, Compares: true, Owner: office, Handle: s.actCame, Lanes: s.actLanes},
		{Workflow: booking.WorkflowVisit, Compares: true, Owner: office, Handle: s.visitCame, Lanes: s.visitLanes},
		{Workflow: booking.WorkflowTally, Compares: true, Owner: office, Handle: s.tallyCame, Lanes: s.tallyLanes},
		{Workflow: booking.WorkflowAdvise, Compares: true, Owner: office, Handle: s.adviseCame, Lanes: s.adviseLanes},
		{Workflow: booking.WorkflowAdvice, Compares: true, Owner: office, Handle: s.adviceTold, Lanes: s.adviceToldLanes},
		{Workflow: booking.WorkflowReturned, Compares: true, Owner: office},
		{Workflow: booking.WorkflowCase, Compares: true, Owner: office},
	}
}

// service is the principal as which this package acts by itself.
func (s *Referrals) service() access.Principal { return access.Service("referral", s.k.National) }

// read runs fn over a snapshot.
func (s *Referrals) read(ctx context.Context, fn func(tx *store.Tx) error) error {
	return s.k.DB.Read(ctx, fn)
}
