// Package office is the records office of the national register: the people who see to it that everybody has one number, and
// every number one person. A program compares all records with one another (package match) and proposes; a person, who sees both
// side by side with the reasons, decides; and what was decided can be undone.
//
//	everybody, nightly ──► pair: open ──► merged ──► parted again: open
//	                         │  ▲ └──► different (never proposed again, unless what is recorded changes)
//	                         ▼  │
//	                       lapsed (they no longer look alike)
//
//	each change of a record ──► does it still look like the same person? ──► confusion: open ──► one person │ two people
//
// A merge writes nothing anew: it links two charts (record.Link). The surviving number speaks for the person, whoever may
// see the one may see the other, and each entry keeps the number under which it was written, so that parting them gives both
// back what was theirs. The office is staffed by clerks of the national organisation.
package office

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

// office is the records office of one node.
type office struct {
	k catalogue.Kernel
	// running is held by the comparison of everybody that is under way.
	running chan struct{}
}

// Service is the records office over the kernel.
func Service(k catalogue.Kernel) catalogue.Service {
	o := &office{k: k, running: make(chan struct{}, 1)}
	return catalogue.Service{
		Name: "office", Summary: "The records office: one person under two numbers, and two under one.",
		Schema:  store.Embedded("office", schemaFiles, "schema"),
		Pages:   o.pages(),
		Watches: []record.Watch{{Name: "office", Types: []string{"Patient"}, Later: true, Lanes: o.watchLanes, Handle: o.changed}},
		Jobs:    []catalogue.Job{{Name: "duplicates", Every: time.Hour, Run: o.nightly}},
		Links: []catalogue.Link{
			{Key: "office.nav.duplicates", Path: "/duplicates", Roles: []access.Role{access.Clerk}, Organisations: []ident.ODSCode{k.National}},
			{Key: "office.nav.confusions", Path: "/confusions", Roles: []access.Role{access.Clerk}, Organisations: []ident.ODSCode{k.National}},
		},
	}
}

// lane is where the office's own tables stand.
func (o *office) lane() store.Lane { return o.k.DB.LaneOf(o.k.National.String(), "records-office") }

func (o *office) watchLanes(record.Version) []store.Lane { return []store.Lane{o.lane()} }

// staff lets in the clerks of the national organisation, and nobody else: the refusal is on the account.
func (o *office) staff(pattern string, h func(http.ResponseWriter, *http.Request, catalogue.Asker) error) catalogue.Route {
	return catalogue.OnBody(pattern, func(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
		if ask.Principal.Organisation != o.k.National {
			why := fault.New(fault.Forbidden, "This is for the records office of the national register (%s).", o.k.National)
			return o.k.Gate.Refuse(r.Context(), ask.Principal, access.Search, access.Place{Tenant: o.k.National, Type: pattern}, why)
		}
		return h(w, r, ask)
	}, access.Clerk)
}

// everybody hands over each live Patient of the register, in pages; the whole is one entry on the account.
func (o *office) everybody(ctx context.Context, visit func(v record.Version) error) error {
	scope, err := o.k.Gate.DecideSet(ctx, access.Service("office", o.k.National), access.Search, o.k.National, []string{"Patient"})
	if err != nil {
		return err
	}
	q, _, err := o.k.Records.ParseQuery("Patient", map[string][]string{"_count": {"1000"}}, false)
	if err != nil {
		return err
	}
	for {
		var page record.Page
		err := o.k.DB.Read(ctx, func(tx *store.Tx) (err error) {
			page, err = o.k.Records.SearchTx(tx, scope, q)
			return err
		})
		if err != nil {
			return err
		}
		for _, v := range page.Matches {
			if err := visit(v); err != nil {
				return err
			}
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			return o.k.Gate.Account(ctx, nil, []access.Scope{scope})
		}
	}
}
