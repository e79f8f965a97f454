// Package audit keeps the account: who saw and did what, to whom, why, and on whose say-so.
//
// An entry is a row written in the same commit as the act it tells of, so that there is no act without its entry and
// no entry without its act. Within a second the rows are sealed: each batch of a lane becomes one leaf of a
// transparency log (Tessera, C2SP tlog-tiles) whose signed checkpoints can be handed to others. From then on a row that
// is changed, removed, inserted or back-dated is found, and named, by Verify.
//
//	act + entry ──commit──► row ──within a second──► batch ──► leaf in the log ──► signed checkpoint
//	                         │                          (salted, so the log alone tells nothing about anyone)
//	                         └──► "who looked at me", the auditor's search, FHIR AuditEvent
//
// The account is not a log of the program: logs hold no patient identifier, and nobody depends on them.
package audit

import (
	"time"

	"github.com/openspine/openspine/ident"
)

// Entry is one line of the account.
type Entry struct {
	Lane         int32         // which lane it is in; Lane and Seq together name it
	Seq          int64         // 1, 2, 3 … without gaps in each lane, in the order of commits
	At           time.Time     // the instant of the commit, µs
	Tenant       ident.ODSCode // whose record
	Chart        string        // the person's id within the tenant; "" when no person is concerned
	Actor        string        // the user or system
	ActorName    string
	Role         string
	Organisation ident.ODSCode // on whose behalf; zero for a patient
	Action       string        // read, search, create, update, delete, break-glass, sign-in …
	Purpose      string        // HL7 v3 PurposeOfUse
	Basis        string        // the rule that decided and the relationship it rests on
	Outcome      string        // ok, refused, or failed with the kind of fault: "failed conflict"
	Detail       string        // what in the chart: "Observation/7", "Observation ×12"; the reason given
	RequestID    string
}

// Outcomes of an act. A failure is OutcomeFailed, a space, and the name of its fault.Kind.
const (
	OutcomeOK      = "ok"
	OutcomeRefused = "refused"
	OutcomeFailed  = "failed"
)

// Query selects entries. Zero fields select all; a chart needs its tenant.
type Query struct {
	Tenant       ident.ODSCode
	Chart        string
	Charts       []Chart // any of these; instead of Chart
	Actor        string
	Not          []string // actors whose entries are left out
	Organisation ident.ODSCode
	Action       string
	Actions      []string // any of these
	Outcome      string   // "failed" selects every failure
	Purpose      string
	From, To     time.Time // From inclusive, To exclusive
	Oldest       bool      // the oldest first
	Limit        int       // 1 to 1,000; 50 when zero
	After        string    // Page.Next of the page before
	Before       string    // Page.Previous of the page after; instead of After
}

// Chart names one person's chart at one organisation.
type Chart struct {
	Tenant ident.ODSCode
	Chart  string
}

// Page is a page of entries, newest first unless the query says otherwise.
type Page struct {
	Entries  []Entry
	Next     string // for Query.After; "" on the last page
	Previous string // for Query.Before; "" on the first page
}
