// Package demographics is the national register of who people are: one record for each person, named by their NHS number, with
// their names, birth and death, addresses, telephone numbers, practice and pharmacies. Every other service asks it "who is this?"
// before it writes anything down, so a mistake here is a mistake everywhere: two people under one number, or one person under two.
//
//	                   born, or new to the country
//	                            │ is there somebody like this already? ── one: their number · several: a person decides
//	                            ▼
//	traced by number ──►  registered ──► amended (name, address, practice …) ──► died: informal ──► died: formal
//	found by details            │                    each change: only over the version that was read, all or nothing
//	                            ├─► restricted: found and read, but nothing that tells where they are
//	                            ├─► superseded: the number answers with the surviving record
//	                            └─► invalidated: not there for anybody
//
// It speaks the published Personal Demographics Service FHIR API at /personal-demographics/FHIR/R4, in its three access modes: a
// health worker finds and amends people, a system traces one person at a time, and patients read and amend their own record. People are
// Patient resources of the national tenant; this package keeps its own keys to find them by (names as they sound, dates, postcodes,
// telephones) in the same transaction, whoever writes the resource.
//
// A search is for a person who is there or is described by their papers: exact search matches what was written, fuzzy search what was
// heard or mistyped. Each match says how like the question it is; nobody is shown who is not on the account as seen.
package demographics

import (
	"context"
	"embed"
	"net/http"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/store"
)

//go:embed schema/*.sql
var schemaFiles embed.FS

func schema() store.Schema { return store.Embedded("demographics", schemaFiles, "schema") }

// Base is where the published API is served, on the national node.
const Base = "/personal-demographics/FHIR/R4"

// register is the national register over one node's record.
type register struct {
	k         catalogue.Kernel
	numbers   *ledger // nil when no number can be given out here, for the reason noNumbers
	noNumbers error
}

// Options say where the register keeps what lies outside the database.
type Options struct {
	// Data is the node's data folder, for the ledger of NHS numbers.
	Data string
	// Demo lets the node give out numbers of the range that is reserved for tests; no other range is known to it.
	Demo bool
	// Restored says that the database was restored from a backup: then a ledger must be there, or numbers might be given out again.
	Restored bool
}

// Register is the national register of one node: its service, and its desks (Register.Desk).
type Register struct{ s *register }

// New is the national register over the kernel.
func New(k catalogue.Kernel, o Options) *Register {
	s := &register{k: k}
	s.numbers, s.noNumbers = openNumbers(o)
	return &Register{s}
}

// Service is the register as the node runs it.
func (r *Register) Service() catalogue.Service {
	s, k := r.s, r.s.k
	return catalogue.Service{
		Name: "demographics", Summary: "Who a person is: the national register and its published API.",
		Published: []catalogue.Published{{Base: Base, Face: face{}, Routes: []catalogue.Route{
			catalogue.OnBody("GET "+Base+"/Patient", s.published(s.search), access.Clinician, access.Clerk, access.Pharmacist, access.SystemClient),
			catalogue.OnBody("POST "+Base+"/Patient", s.published(s.create), access.Clinician, access.Clerk, access.Pharmacist),
			catalogue.OnBody("POST "+Base+"/Patient/$process-birth-details", s.published(s.birth), access.Clinician, access.Clerk, access.Pharmacist),
			catalogue.OnBody("GET "+Base+"/Patient/{id}", s.published(s.read)),
			catalogue.OnBody("PATCH "+Base+"/Patient/{id}", s.published(s.patch)),
			catalogue.OnBody("GET "+Base+"/Patient/{id}/RelatedPerson", s.published(s.related)),
			catalogue.OnBody("GET "+Base+"/Coverage", s.published(s.coverage), access.Patient),
			catalogue.OnBody("POST "+Base+"/Coverage", s.published(s.putCoverage), access.Patient),
		}}},
		Schema: schema(),
		Keeps:  []record.Keeper{s.keeper(), s.aroundKeeper()},
		Owns:   []catalogue.Owned{{Type: "Patient", Tenant: k.National, Check: oneNumber}},
	}
}

// oneNumber refuses a record, however it is written, that carries the NHS number of somebody else: a record stands under its own.
func oneNumber(_ context.Context, d *record.Draft) error {
	if d.Resource() == nil {
		return nil
	}
	if _, err := ident.ParseNHSNumber(d.Ref().ID); err != nil {
		return nil // it is not one of the register's
	}
	for id := range d.Resource().Get("identifier").Items() {
		if id.Field("system").String() == ident.SystemNHSNumber && id.Field("value").String() != d.Ref().ID {
			return fault.New(fault.Unprocessable, "The NHS number in the record is not the one under which it stands.")
		}
	}
	return nil
}

// openNumbers opens the ledger from which people get their numbers, or says why nobody gets one here.
func openNumbers(o Options) (*ledger, error) {
	if !o.Demo {
		return nil, fault.New(fault.Unavailable, "No range of NHS numbers has been assigned to this node.")
	}
	l, begun, err := openLedger(o.Data, ident.TestRange)
	if err != nil {
		return nil, err
	}
	if o.Restored && !begun {
		return nil, fault.New(fault.Unavailable, "The ledger of NHS numbers was not restored with the database: copy it from the old data folder, or say what was given out last (openspine numbers).")
	}
	return l, nil
}

// call is one request of the published API.
type call struct {
	w    http.ResponseWriter
	r    *http.Request
	ask  catalogue.Asker
	mode mode
	// why is the reason of a change, where one was given; also is done in the same commit.
	why  string
	also func(tx *store.Tx) error
}

// reason is why a record is amended.
func (c *call) reason() string {
	if c.why != "" {
		return c.why
	}
	return "amended through the national register"
}

// modeOf is how somebody uses the register.
func modeOf(p access.Principal) mode {
	switch p.Role {
	case access.SystemClient:
		return restrictedMode
	case access.Patient:
		return patientMode
	}
	return workerMode
}

// mode is how the published API is being used (specification, "Access modes").
type mode uint8

const (
	workerMode     mode = iota + 1 // a health worker is at the other end
	restrictedMode                 // a system by itself
	patientMode                    // the person themself
)

// published checks what every operation requires of a request, then runs the operation.
func (s *register) published(h func(c *call) error) func(http.ResponseWriter, *http.Request, catalogue.Asker) error {
	return func(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
		if catalogue.TenantOf(r) != s.k.National {
			return fault.New(fault.NotFound, "The national register is at %s of the national node.", Base)
		}
		c := &call{w: w, r: r, ask: ask, mode: modeOf(ask.Principal)}
		if err := c.headers(); err != nil {
			return err
		}
		return h(c)
	}
}

// numberIn is the NHS number of a path or parameter. The published examples include numbers whose check digit holds in no
// country's range; what fails the check is INVALID_RESOURCE_ID.
func numberIn(text string) (ident.NHSNumber, error) {
	n, err := ident.ParseNHSNumber(text)
	if err != nil || n.String() != text {
		return ident.NHSNumber{}, refuse(invalidResourceID, "")
	}
	return n, nil
}
