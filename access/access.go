// Package access decides who may see or change what about whom, and sees to it that every decision is on the account.
//
// A person's record is opened by somebody with a reason: a clinician who looks after them, a clerk who books them in,
// a pharmacist who dispenses for them, the person themself. The reason is a fact that can be checked (a relationship
// between the person and the user or the user's organisation), and the rules are few and written in words in
// policies/*.cedar. National rules permit; local rules may only forbid more. What nobody permits is refused, and
// where the very existence of a record is a secret, refused looks exactly like absent.
//
//	who asks ── Principal ─┐
//	what for ── Action ────┼─► Gate.Decide ──► Grant ──► record, in Gate.Act (one commit: decision, act, outcome)
//	about whom ─ Place ────┘        │
//	                                └── refused ──► on the account, 404 where existence is a secret
//	a search ── Gate.DecideSet ──► Scope ──► SQL at every hop; Gate.Account before the answer is sent
//
//	a person nobody may see ──► break-glass with a reason, half an hour ──► alert ──► privacy officer reviews
//	a stranger who can be found ──► "I look after them" with a reason ──► alert ──► privacy officer reviews
//
// Only this package makes Grants and Scopes; a function that touches a person's record takes one, not an identifier.
package access

import (
	"context"
	"slices"
	"time"

	"github.com/openspine/openspine/ident"
)

// Role is what somebody does in care; each user acts in one role at a time.
type Role string

// The roles. The list is closed; policies name them.
const (
	Clinician      Role = "clinician"
	Clerk          Role = "clerk"
	Pharmacist     Role = "pharmacist"
	Manager        Role = "manager" // answers for how an organisation's clinics do, and sees nobody's record
	Patient        Role = "patient"
	PrivacyOfficer Role = "privacy-officer"
	Auditor        Role = "auditor"
	Registrar      Role = "registrar"
	Administrator  Role = "administrator"
	SystemClient   Role = "system-client"
)

// Roles lists every role, in the order in which the access table shows them.
func Roles() []Role {
	return []Role{Clinician, Clerk, Pharmacist, Manager, Patient, PrivacyOfficer, Auditor, Registrar, Administrator, SystemClient}
}

// The realms: who vouches for whom. A token of one realm is nothing in the other.
const (
	Professionals = "professionals"
	Patients      = "patients"
	Systems       = "systems"
)

// Realm is where users of a role sign in.
func (r Role) Realm() string {
	switch r {
	case Patient:
		return Patients
	case SystemClient:
		return Systems
	}
	return Professionals
}

// Known reports whether r is one of the roles.
func (r Role) Known() bool { return slices.Contains(Roles(), r) }

// Action is what is to be done at a Place.
type Action string

// The actions. Read, History, Search and Export see; Create, Update and Delete change; BreakGlass and Claim make a
// reason to do so; Trace and Amend are those of the national demographics service.
const (
	Read    Action = "read"
	History Action = "history"
	Search  Action = "search"
	Export  Action = "export"
	Create  Action = "create"
	Update  Action = "update"
	Delete  Action = "delete"

	BreakGlass Action = "break-glass"
	Claim      Action = "claim-relationship"

	// Trace sees a person in the national demographics service, which shows a restricted one without where they are; Amend
	// creates and updates there, by that service's rules.
	Trace Action = "trace"
	Amend Action = "amend"
)

// Actions that this package puts on the account and that Decide is never asked.
const (
	actionSignIn  = "sign-in"
	actionSignOut = "sign-out"
	actionRevoke  = "revoke-token"
)

// Actions lists what Decide can be asked, in the order in which the access table shows them.
func Actions() []Action {
	return []Action{Read, History, Search, Export, Create, Update, Delete, BreakGlass, Claim, Trace, Amend}
}

// Sees reports whether a only looks and changes nothing.
func (a Action) Sees() bool {
	return a == Read || a == History || a == Search || a == Export || a == Trace
}

// Label marks what needs more than the usual reason to be seen. It is a set of bits, stored with each resource.
type Label int64

// The labels. Zero is none.
const (
	// Restricted: the whole person is hidden, existence included (PDS sensitivity R, V).
	Restricted Label = 1 << iota
	// Sealed: this item is hidden by the person's choice.
	Sealed

	hidden = Restricted | Sealed
)

// Hidden reports whether anything in l asks for a direct relationship or break-glass.
func (l Label) Hidden() bool { return l&hidden != 0 }

// Principal is who is asking: a signed-in person or a system with a token.
type Principal struct {
	ID, Name     string
	Role         Role
	Organisation ident.ODSCode   // on whose behalf; zero for a patient
	Person       string          // Patient role: the id of their own Patient resource, which is their chart
	Tenants      []ident.ODSCode // whose records this principal may act in, beside the organisation's own
	Scopes       []string        // what the token was granted (SMART v1 or v2); nil when there is no token or it is not limited
	AuthMethod   string          // "session", "token", "open", "service"
	SessionID    string          // of the session, or of that from which the token was minted; the token's own jti when there was none
	Edition      int64           // of a user's rights: how often they were changed or ended (see Gate.RevokeUser)

	Client    string // the program that acts for them, as its client id; "" for a page of this node
	Assurance string // how sure the sign-in was: AAL2 or AAL3 for professionals, P5 or P9 for patients; "" when not known
	Proofing  string // how well it was checked who a professional is, as a provider elsewhere says: IAL1 to IAL3; "" when not known
	Profile   string // the role profile id (NHSD-Session-URID) in which a professional acts; "" for the first
	Confined  string // the chart that the token's patient/ scopes are about; "" for none

	// Origins are what a session or token came of, beside its SessionID: when one of them ends, so does what came of it (Gate.Ended).
	Origins []string
}

// Service is the principal as which a part of this node acts in one tenant, for example an importer.
func Service(name string, tenant ident.ODSCode) Principal {
	return Principal{ID: "service/" + name, Name: name, Role: SystemClient, Organisation: tenant, Tenants: []ident.ODSCode{tenant}, AuthMethod: "service"}
}

// Place is where an action happens, as the locator found it before the row was read.
type Place struct {
	Tenant ident.ODSCode
	Chart  string // id of the person's Patient resource within Tenant; "" where no person is concerned
	Type   string // FHIR resource type, or one of the Type constants of this package
	ID     string // "" for a type as a whole, and for what is yet to be created
	Label  Label
	// Author is who wrote what speaks of a person whose chart nobody could tell: it is unfiled, and theirs to see until it is
	// filed. "" for what is in a chart, and for what is about nobody.
	Author string
	Exists bool // a resource is there now
	// Reveals is why a change takes a label away that stood there, in the changer's words; "" when it does not. The privacy officer is told.
	Reveals string
	// Founding says that the chart itself begins with this act: a person being registered, and what the same
	// transaction files under them.
	Founding bool
	// Secret says that there is nobody, or nothing, of that name: decided as in the chart of somebody hidden, so that whoever may not know of
	// such a person is answered alike.
	Secret bool
}

type ctxKey int

const (
	ctxPurpose ctxKey = iota
	ctxRequest
)

// WithPurpose says why the caller acts, as a code of HL7 v3 PurposeOfUse (TREAT, ETREAT, PATRQT …).
// Without it the purpose follows from the role.
func WithPurpose(ctx context.Context, purpose string) context.Context {
	return context.WithValue(ctx, ctxPurpose, purpose)
}

// WithRequestID names the request for the account.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, ctxRequest, id)
}

// RequestID is the name that WithRequestID gave the request, for answers that repeat it.
func RequestID(ctx context.Context) string { return requestOf(ctx) }

func requestOf(ctx context.Context) string {
	id, _ := ctx.Value(ctxRequest).(string)
	return id
}

func purposeOf(ctx context.Context, r Role) string {
	if p, _ := ctx.Value(ctxPurpose).(string); p != "" {
		return p
	}
	switch r {
	case Clerk:
		return "PATADMIN"
	case Patient:
		return "PATRQT"
	case PrivacyOfficer, Auditor:
		return "HCOMPL"
	case Administrator, Registrar:
		return "HSYSADMIN"
	case Manager, SystemClient:
		return "HOPERAT"
	default:
		return "TREAT"
	}
}

// forever is the instant, in µs since 1970, at which a relationship without an end ends.
const forever = int64(1) << 60

func micros(t time.Time) int64 {
	if t.IsZero() {
		return forever
	}
	return t.UnixMicro()
}
