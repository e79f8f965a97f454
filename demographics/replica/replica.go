// Package replica is a hospital's own copy of who its patients are, kept from the national register, so that the desk and the ward go on
// when the spine cannot be reached. The hospital never reads the register's tables: it asks the published API, as any hospital system does.
//
//	registered here ──► untraced ──► the authority is asked by number
//	  (no number: unnumbered,            │
//	   under six weeks: postponed)       ├─ the same person ───────► traced ──► followed: each change there is copied here
//	                                     │        └─ the hospital says otherwise of something ──► differs: both are shown, a person decides
//	                                     ├─ the same, and restricted ──► restricted: where they are is dropped from the copy
//	                                     ├─ somebody else ─────────► mismatch   ┐
//	                                     ├─ under another number ──► superseded │ nothing is copied: a worklist, side by side,
//	                                     ├─ nobody ────────────────► absent     │ and a person decides, with a reason
//	                                     └─ marked as invalid ─────► invalid    ┘
//	not to be reached ──► each keeps its state, and is shown as stale, since when; asked again with growing pauses, then all who are due
//
// The copy is the hospital's own Patient resource: an element that is the nation's (who somebody is, where they live, their practice, their
// death) follows the authority for as long as the hospital leaves it alone; what the hospital wrote itself stays until a person decides.
// Every copy is a version with its reason, so that nothing is lost, and FHIR clients read the state from the published NHS number
// verification status.
package replica

import (
	"context"
	"embed"
	"net/http"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/store"
)

//go:embed schema/*.sql
var schemaFiles embed.FS

// State is what a hospital knows of a patient's number.
type State string

// The states.
const (
	Unnumbered State = "unnumbered" // no NHS number is known
	Postponed  State = "postponed"  // nor need it be: a baby under six weeks
	Untraced   State = "untraced"   // not asked yet
	Traced     State = "traced"     // the authority's number, the authority's details
	Differs    State = "differs"    // traced, and the hospital says otherwise of something
	Restricted State = "restricted" // traced, and nobody may be told where they are
	Mismatch   State = "mismatch"   // the number is somebody else's
	Superseded State = "superseded" // the number has given way to another
	Absent     State = "absent"     // nobody has the number
	Invalid    State = "invalid"    // the number's record is marked as one that nobody may use
)

// States are all of them: what a person must see to first.
func States() []State {
	return []State{Mismatch, Superseded, Absent, Invalid, Differs, Untraced, Unnumbered, Postponed, Restricted, Traced}
}

// asks reports whether somebody has to look into it.
func (s State) asks() bool {
	return s == Mismatch || s == Superseded || s == Absent || s == Invalid || s == Differs
}

// Source is how one hospital reaches the national register, and how eagerly it asks.
type Source struct {
	Tenant ident.ODSCode
	// Base is the address of the published API, up to /FHIR/R4.
	Base string
	// Transport carries the requests. It shows who asks (a token), and fails while there is no way to the authority. This is the one place where
	// a hospital on another node differs from one on the authority's: see InProcess and Credentials, and a link of package network.
	Transport http.RoundTripper
	// Every is how old a copy may grow before the authority is asked again; 24 hours by default. A tenth of it, either way, is left to chance.
	Every time.Duration
	// Rate is how many people are asked about in a second at most; 0 means no bound.
	Rate float64
}

// How often a copy is compared, and how long one answer may take, unless the configuration says otherwise.
const (
	everyDefault = 24 * time.Hour
	answerWithin = 15 * time.Second
)

// Replica is the copies of the hospitals of one node.
type Replica struct {
	k         catalogue.Kernel
	followers []*follower
}

// follower keeps one hospital's copy.
type follower struct {
	Source
	k    catalogue.Kernel
	name string // of the hospital
}

// New is the copies of the hospitals that sources name; none is fine.
func New(k catalogue.Kernel, sources ...Source) *Replica {
	r := &Replica{k: k}
	for _, s := range sources {
		if s.Every <= 0 {
			s.Every = everyDefault
		}
		f := &follower{Source: s, k: k, name: s.Tenant.String()}
		for _, t := range k.Tenants {
			if t.Code == s.Tenant {
				f.name = t.Name
			}
		}
		r.followers = append(r.followers, f)
	}
	return r
}

// Service is the copies as the node runs them.
func (r *Replica) Service() catalogue.Service {
	s := catalogue.Service{
		Name: "replica", Summary: "A hospital's own copy of who its patients are, for when the spine cannot be reached.",
		Schema: store.Embedded("replica", schemaFiles, "schema"),
		Pages:  r.pages(),
	}
	if len(r.followers) > 0 {
		s.Links = []catalogue.Link{{Key: "replica.nav", Path: "/replica", Roles: []access.Role{access.Clerk, access.Clinician}, Organisations: r.Tenants()}}
	}
	for _, f := range r.followers {
		s.Keeps = append(s.Keeps, f.keeper())
		s.Jobs = append(s.Jobs, catalogue.Job{Name: "follow-" + f.Tenant.String(), Every: roundEvery, Run: f.round})
	}
	return s
}

// of is the copy of one hospital. Error: fault.NotFound where the node keeps none.
func (r *Replica) of(tenant ident.ODSCode) (*follower, error) {
	for _, f := range r.followers {
		if f.Tenant == tenant {
			return f, nil
		}
	}
	return nil, fault.New(fault.NotFound, "No copy of the national register is kept for %s on this node.", tenant)
}

// Tenants are the hospitals whose copies are kept here.
func (r *Replica) Tenants() []ident.ODSCode {
	var all []ident.ODSCode
	for _, f := range r.followers {
		all = append(all, f.Tenant)
	}
	return all
}

// Changed says that the authority's record of a number has changed: those who have it are asked about in the next round. Whoever
// hears of events (a subscription, a message) calls it; a number that nobody here has is no error.
func (r *Replica) Changed(ctx context.Context, tenant ident.ODSCode, number ident.NHSNumber) error {
	f, err := r.of(tenant)
	if err != nil {
		return err
	}
	return f.hasten(ctx, `number = ?`, number.String())
}

// Round asks about everybody of a hospital who is due, now: for commands and tests; the node does so by itself.
func (r *Replica) Round(ctx context.Context, tenant ident.ODSCode) error {
	f, err := r.of(tenant)
	if err != nil {
		return err
	}
	return f.round(ctx)
}

// Begin asks about those of a hospital who have waited longest, at most so many, as fast as it can: for whoever fills a node.
func (r *Replica) Begin(ctx context.Context, tenant ident.ODSCode, most int) error {
	f, err := r.of(tenant)
	if err != nil {
		return err
	}
	return f.ask(ctx, most, func(ctx context.Context) error { return ctx.Err() })
}

// Again makes everybody of a hospital due, and lets a way that failed a moment ago be tried at once.
func (r *Replica) Again(ctx context.Context, tenant ident.ODSCode) error {
	f, err := r.of(tenant)
	if err != nil {
		return err
	}
	return f.again(ctx)
}

func (f *follower) again(ctx context.Context) error {
	if err := f.hasten(ctx, `number <> ''`); err != nil {
		return err
	}
	return f.onLink(ctx, againNow)
}

// Pause stops asking the authority for a hospital, with a reason that everybody there reads; Resume goes on.
func (r *Replica) Pause(ctx context.Context, by access.Principal, tenant ident.ODSCode, reason string) error {
	f, err := r.of(tenant)
	if err != nil {
		return err
	}
	return f.pause(ctx, by, true, reason)
}

// Resume goes on asking the authority for a hospital.
func (r *Replica) Resume(ctx context.Context, by access.Principal, tenant ident.ODSCode) error {
	f, err := r.of(tenant)
	if err != nil {
		return err
	}
	return f.pause(ctx, by, false, "")
}

// self is the part of the node that acts in the hospital's records.
func (f *follower) self() access.Principal {
	p := access.Service(selfName, f.Tenant)
	p.Name = "copy of the national register"
	return p
}

// selfName is how that part is known on the account.
const selfName = "replica"

// lane is where a patient's row stands: with their chart.
func (f *follower) lane(id string) store.Lane { return f.k.DB.LaneOf(f.Tenant.String(), id) }

func (f *follower) ref(id string) record.Ref {
	return record.Ref{Tenant: f.Tenant, Type: "Patient", ID: id}
}
