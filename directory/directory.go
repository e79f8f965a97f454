// Package directory is who there is to care: the organisations of the country and their places, who runs and pays for whom, who
// took over from whom, the people who work there and as what, the services they offer, and where their systems listen.
//
//	ODS file ──► read ──► what would change ──► a person agrees ──► record (national tenant) ──► keys, in the same commit
//	  │            └── a line that is wrong is kept out, with its number and reason
//	FHIR ─────────────────────────────────────────► │
//	                                                ├─► Organisation Data Terminology API   (organisations, relationships, code systems)
//	                                                ├─► Spine Directory Service API         (which system answers for whom: ASID, endpoint)
//	                                                ├─► pages: find as you type, an organisation, a service
//	                                                └─► other services: Organisation, Search, Successor, Distance
//
//	proposed ──► active ──► closed, which stays and may name its successor
//	               │  ▲
//	               ▼  │
//	             dormant
//
// An organisation is known by its ODS code for ever; nothing here is deleted, because old records name old organisations. The facts are FHIR
// resources of the national tenant; this package's tables only say where to find them, and are written in the same transaction.
package directory

import (
	"context"
	"embed"
	"slices"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/store"
)

//go:embed schema/*.sql
var schemaFiles embed.FS

// Schema is the directory's tables, for store.DB.Migrate.
func Schema() store.Schema { return store.Embedded("directory", schemaFiles, "schema") }

// Directory answers for the organisations of one node's national tenant. It is safe for concurrent use.
type Directory struct {
	k    catalogue.Kernel
	demo bool
}

// New is the directory over a kernel; in a demonstration any API key opens the published APIs.
func New(k catalogue.Kernel, demo bool) *Directory { return &Directory{k: k, demo: demo} }

// Service is the directory as the node runs it.
func (d *Directory) Service() catalogue.Service {
	return catalogue.Service{
		Name: "directory", Summary: "Organisations, places, people, services and the systems that answer for them.",
		Schema:    Schema(),
		Keeps:     slices.Concat(d.keepers(), d.moreKeepers(), d.dueKeepers(), d.targetKeepers()),
		Published: []catalogue.Published{d.odt(), d.sds()},
		Pages:     d.pages(),
		Links:     d.links(),
		Jobs:      []catalogue.Job{{Name: "last-days", Every: time.Hour, Run: d.closeDue}},
	}
}

// reader is the grants with which this package reads for everybody: what is about nobody in particular may be looked up.
type reader struct {
	d      *Directory
	grants map[string]access.Grant
}

// reads asks for grants to read types of the national tenant, for what looks in this package's tables first. Error:
// fault.Unavailable while those are being written anew.
func (d *Directory) reads(ctx context.Context, types ...string) (reader, error) {
	if err := d.k.Records.Whole("directory"); err != nil {
		return reader{}, err
	}
	return d.readsByID(ctx, types...)
}

// readsByID asks for grants to read resources whose ids are known.
func (d *Directory) readsByID(ctx context.Context, types ...string) (reader, error) {
	acts := make([]access.Act, len(types))
	for i, t := range types {
		acts[i] = access.Act{Action: access.Read, Place: access.Place{Tenant: d.k.National, Type: t}}
	}
	grants, err := d.k.Gate.DecideAll(ctx, access.Service("directory", d.k.National), acts)
	if err != nil {
		return reader{}, err
	}
	r := reader{d, map[string]access.Grant{}}
	for i, t := range types {
		r.grants[t] = grants[i]
	}
	return r, nil
}

// version is the current version of a resource; fault.NotFound when there is none or it has been voided.
func (r reader) version(tx *store.Tx, typ, id string) (record.Version, error) {
	v, err := r.d.k.Records.ReadTx(tx, r.grants[typ], record.Ref{Tenant: r.d.k.National, Type: typ, ID: id})
	if err == nil && v.Deleted {
		return v, fault.New(fault.NotFound, "There is no such %s in the directory.", typ)
	}
	return v, err
}

// organisation is the facts of one organisation.
func (r reader) organisation(tx *store.Tx, code string) (Organisation, error) {
	v, err := r.version(tx, "Organization", code)
	if err != nil {
		return Organisation{}, err
	}
	return ParseOrganisation(v.Resource)
}

// Organisation is one organisation or site by its ODS code, closed ones included. Error: fault.NotFound.
func (d *Directory) Organisation(ctx context.Context, code ident.ODSCode) (o Organisation, err error) {
	r, err := d.readsByID(ctx, "Organization")
	if err != nil {
		return o, err
	}
	err = d.k.DB.Read(ctx, func(tx *store.Tx) error {
		o, err = r.organisation(tx, code.String())
		return err
	})
	if fault.Is(err, fault.NotFound) {
		return o, fault.New(fault.NotFound, "There is no organisation %s in the directory.", code)
	}
	return o, err
}

// put is a change that writes a resource of the national tenant.
func (d *Directory) put(res *fhir.Resource, reason string) record.Change {
	return record.Change{Verb: record.Put, Ref: record.Ref{Tenant: d.k.National, Type: res.Type(), ID: res.ID()}, Resource: res, Reason: reason}
}
