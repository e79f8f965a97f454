// Package catalogue says what a service is: a value that the node runs, tests enumerate and documents are
// generated from. A service names its tables, its routes with their access rules, what it watches in the record,
// what it does by the clock, and which resource types it owns. Nothing registers itself: the node holds one list.
//
//	request ─▶ edge (who asks?) ─▶ route's rule (Grant or Scope, or refusal) ─▶ handler ─▶ account ─▶ answer
//
// A route cannot exist without its rule: its fields are private, and each constructor carries one.
package catalogue

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/fhir/definition"
	"github.com/openspine/openspine/fhir/validate"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/clock"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/network"
	"github.com/openspine/openspine/network/outward"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/store"
)

// Service is one part of the programme, as data.
type Service struct {
	// Name is the service's folder and the word it goes by, for example referral.
	Name string
	// Summary is one line in words of care.
	Summary string
	// Schema is the service's own tables; the zero value means none.
	Schema store.Schema
	// API are routes whose failures are worded as FHIR OperationOutcomes.
	API []Route
	// Pages are routes whose failures are worded as pages for people.
	Pages []Route
	// Published are APIs that word their failures in a way of their own, as their published specification says.
	Published []Published
	// Watches are handed each change of the record, at least once and in the order of its lane, in a commit with the watch's own
	// cursor. The name of a watch is kept for ever.
	Watches []record.Watch
	// Jobs run by the clock while the node serves.
	Jobs []Job
	// Handles are the messages that the service takes, and those whose outcome it wants to know.
	Handles []messaging.Handler
	// Couriers deliver to kinds of destination of the service's own: a mailbox, an address elsewhere.
	Couriers []messaging.Courier
	// Messages are the events of FHIR messaging that the service takes.
	Messages []Messaged
	// Keeps keep the service's own tables in step with resources of the record, in the same transaction.
	Keeps []record.Keeper
	// Owns are resource types that a generic FHIR write reaches only through this service's rules.
	Owns []Owned
	// Links are what the home page and the developer's page offer.
	Links []Link
}

// Published is an API with a wording of its own.
type Published struct {
	// Base is the path below which an address without a route is worded by Face too, for example /oauth2/; empty means none.
	Base string
	// Face words failures.
	Face   Face
	Routes []Route
	// Foreign lets pages of other sites call these routes from a browser (CORS), for none of them looks at a session.
	Foreign bool
	// Posted lets forms of other sites post here and their scripts read nothing: an address to which a browser is sent.
	Posted bool
}

// Face words failures in one protocol.
type Face interface {
	// Refuse writes err as the protocol says it.
	Refuse(w http.ResponseWriter, r *http.Request, err error)
}

// Routes are all routes of the service, whoever words their failures.
func (s Service) Routes() []Route {
	all := slices.Concat(s.API, s.Pages)
	for _, p := range s.Published {
		all = append(all, p.Routes...)
	}
	return all
}

// Owned says that writes to a type in a tenant pass through the service's rule first.
type Owned struct {
	Type string
	// Tenant is where the rule holds; empty means everywhere.
	Tenant ident.ODSCode
	// Check returns a fault that refuses the write, or nil. It runs before the transaction, on the parsed draft.
	Check func(ctx context.Context, d *record.Draft) error
}

// Job is work by the clock: sealing, renewing, reconciling.
type Job struct {
	Name string
	// Every is the pause between two runs.
	Every time.Duration
	// Run does one round. An error is logged and counted, and the job is tried again.
	Run func(ctx context.Context) error
}

// Link is one entry of a page that lists what the node offers.
type Link struct {
	// Key is the message key of the link's text.
	Key, Path string
	// Roles may follow it; empty means everybody who is signed in.
	Roles []access.Role
	// Organisations are those whose people may; empty means all.
	Organisations []ident.ODSCode
	// Count is how many things wait behind it for the organisation of whoever is offered it, up to MostWaiting; nil where nothing is counted.
	Count func(ctx context.Context, p access.Principal) (int64, error)
	// Last stands after all others: what is about the reader themself rather than their work.
	Last bool
}

// MostWaiting is up to how many things are counted that wait behind a link: more is many.
const MostWaiting = 1000

// For reports whether a link is offered to somebody.
func (l Link) For(p access.Principal) bool {
	return (len(l.Roles) == 0 || slices.Contains(l.Roles, p.Role)) && (len(l.Organisations) == 0 || slices.Contains(l.Organisations, p.Organisation))
}

// Kernel is what a service is built on: handed to its constructor by the node.
type Kernel struct {
	DB          *store.DB
	Definitions *definition.Set
	Records     *record.Records
	Gate        *access.Gate
	Audit       *audit.Log
	// Network links this node to others; it may belong to none.
	Network *network.Network
	// Issuer makes tokens for demonstrations and developers; Verifier checks every token.
	Issuer   *access.Issuer
	Verifier *access.Verifier
	Clock    clock.Clock
	Logger   *slog.Logger
	// National is the tenant that /FHIR/R4 stands for on this node.
	National ident.ODSCode
	// Tenants are the organisations whose records this node keeps.
	Tenants []Tenant
	// Organisation is what an organisation is called, whether or not this node keeps its records; its code where nobody says.
	Organisation func(ctx context.Context, code ident.ODSCode) string
	// Services are what the node runs, once it is assembled.
	Services func() []Service
	// Feed hands changes of the record to the services' watches; nil where there are none. Once the node is assembled.
	Feed func() *record.Feed
	// Post is what organisations send one another goes by; once the node is assembled.
	Post func() *messaging.Post
	// DiskLow reports whether there is so little room that changes are refused.
	DiskLow func() bool
	// BaseURL is where the node is reached, for example http://127.0.0.1:8080, without a final slash.
	BaseURL func() string
	// Outward says what may be called where somebody else names an address.
	Outward outward.Options
	// Limits are those of the node's configuration that services keep to.
	Limits Limits
}

// Limits are what a configuration may set of what services allow; zero fields mean the services' own defaults.
type Limits struct {
	Depth                   int           // of a FHIR document that is sent
	UserTries, AddressTries int           // failures to sign in, until a user or an address is locked
	Locked                  time.Duration // for how long
	TokenClient             int           // requests for tokens a minute, of one client that shows who it is
	TokenAddress            int           // and of an app that cannot, from one address
}

// Tenant is an organisation whose records the node keeps.
type Tenant struct {
	Code ident.ODSCode
	Name string
	// Kind is national, hospital, practice or pharmacy.
	Kind string
}

// Sound refuses a resource that does not keep to FHIR R4: its elements, types, references and required codes, and every
// invariant. The fault is of kind Unprocessable, with one issue for each place. Every write asks it, whether it comes from a
// page or as FHIR; only what loads many records at once (openspine import) may leave the invariants to a report.
//
// Whoever corrects a part of a record hands in what was kept before: an invariant that was broken there already, as in a
// record that was imported, is no fault of the correction.
func (k Kernel) Sound(ctx context.Context, r *fhir.Resource, before ...*fhir.Resource) error {
	faults := func(r *fhir.Resource) []fault.Issue {
		return validate.Errors(validate.Validate(ctx, r, validate.Options{Definitions: k.Definitions}))
	}
	worst := faults(r)
	for _, old := range before {
		if len(worst) == 0 {
			break
		}
		stood := map[string]int{}
		for _, i := range faults(old) {
			stood[i.Diagnostics]++
		}
		worst = slices.DeleteFunc(worst, func(i fault.Issue) bool {
			stood[i.Diagnostics]--
			return i.Code == "invariant" && stood[i.Diagnostics] >= 0
		})
	}
	if len(worst) > 0 {
		return fault.WithIssues(fault.Unprocessable, "The resource does not keep to FHIR R4.", worst...)
	}
	return nil
}

// Owners lets each service that owns the draft's type in its tenant refuse it. Every write that is not the owner's own asks
// it, before the transaction.
func (k Kernel) Owners(ctx context.Context, d *record.Draft) error {
	for _, s := range k.Services() {
		for _, o := range s.Owns {
			if o.Type != d.Ref().Type || !o.Tenant.IsZero() && o.Tenant != d.Ref().Tenant {
				continue
			}
			if err := o.Check(ctx, d); err != nil {
				return err
			}
		}
	}
	return nil
}
