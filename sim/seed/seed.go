// Package seed puts a made-up country into an empty node, so that a demonstration and a test meet the same people: who can
// sign in, each organisation's records, and who looks after whom.
package seed

import (
	"context"
	"slices"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/node"
	"github.com/openspine/openspine/sim"
	"github.com/openspine/openspine/sim/seed/published"
	"github.com/openspine/openspine/store"
)

// Country puts k into the empty node n: users first, then each tenant's charts in order, then who looks after whom. wrote is
// told how many resources each commit wrote; nil is fine. It stops at the first error, and n is then of no use.
func Country(ctx context.Context, n *node.Node, k *sim.Country, wrote func(count int) error) error {
	return Nodes(ctx, []*node.Node{n}, k, wrote)
}

// Nodes puts k into empty nodes, as Country into one: each tenant's people and charts into the node that keeps its records. The first is
// the national one, which has everybody who works nowhere else.
func Nodes(ctx context.Context, nodes []*node.Node, k *sim.Country, wrote func(count int) error) error {
	for i, n := range nodes {
		if err := n.Kernel().Gate.PutUsers(ctx, usersOf(nodes, i, k)); err != nil {
			return err
		}
	}
	if err := nodes[0].Mail().Demo(ctx); err != nil {
		return err
	}
	var w *node.Loader
	for item := range k.Items() {
		if w == nil || w.Tenant() != item.Tenant {
			if err := w.Flush(ctx); err != nil {
				return err
			}
			w = nodes[keeper(nodes, item.Tenant)].Loader("seed", item.Tenant, wrote)
			w.Batch = node.LoadAlone
		}
		res, err := fhir.Parse(item.Resource)
		if err != nil {
			return err
		}
		if err := w.Add(ctx, res); err != nil {
			return err
		}
	}
	if err := w.Flush(ctx); err != nil {
		return err
	}
	for i := range nodes {
		if err := relate(ctx, nodes, i, k); err != nil {
			return err
		}
	}
	return Clinics(ctx, nodes, k)
}

// keeper is which of the nodes keeps an organisation's records: the first for one that none keeps.
func keeper(nodes []*node.Node, code ident.ODSCode) int {
	for i, n := range nodes {
		for _, t := range n.Kernel().Tenants {
			if t.Code == code {
				return i
			}
		}
	}
	return 0
}

// Apart are the organisations of a demonstration of several nodes that have one of their own.
func Apart() []ident.ODSCode { return []ident.ODSCode{sim.HospitalWest, sim.HospitalEast} }

// Tenants are the organisations of k whose records a demonstration of one node keeps; without those named, which have nodes of their own.
func Tenants(k *sim.Country, without ...ident.ODSCode) []node.TenantConfig {
	var all []node.TenantConfig
	for _, o := range k.Organisations() {
		if o.Tenant && !slices.Contains(without, o.Code) {
			all = append(all, node.TenantConfig{Code: o.Code.String(), Name: o.Name, Kind: o.Kind})
		}
	}
	return all
}

// usersOf are those whom a visitor can be at a node, as access knows them. The privacy officer is that of every organisation here, so
// that no broken glass and no claim is left unread. A hospital with a node of its own has an administrator of its own.
func usersOf(nodes []*node.Node, at int, k *sim.Country) []access.User {
	var all []access.User
	for _, u := range k.Users() {
		if keeper(nodes, u.Organisation) != at && access.Role(u.Role) != access.PrivacyOfficer {
			continue
		}
		p := access.Principal{ID: u.ID, Name: u.Name, Role: access.Role(u.Role), Organisation: u.Organisation, Person: u.Person}
		if p.Role == access.PrivacyOfficer {
			p.Tenants = append(sim.Tenants(), published.Provider)
		}
		all = append(all, access.User{Principal: p, Demo: !u.Open})
	}
	for _, t := range nodes[at].Kernel().Tenants {
		if name := administrators[t.Code.String()]; at > 0 && name != "" {
			all = append(all, access.User{Principal: access.Principal{ID: "admin", Name: name, Role: access.Administrator, Organisation: t.Code}, Demo: true})
		}
		if t.Code == sim.HospitalEast {
			all = append(all, access.User{Principal: access.Principal{ID: eastClerk, Name: eastClerkName, Role: access.Clerk, Organisation: t.Code}, Demo: true})
		}
	}
	return all
}

// The clerk of the second hospital's clinics; the first has one among the country's staff.
const eastClerk, eastClerkName = "clinic-clerk", "Mrs Gwladys Fenn"

// administrators run the hospitals' nodes.
var administrators = map[string]string{"RZZ01": "Mr Idris Bowen", "RZZ02": "Ms Tamsin Holt"}

// relate says who looks after whom, and lets the open clinician see everybody who is not restricted.
func relate(ctx context.Context, nodes []*node.Node, at int, k *sim.Country) error {
	n := nodes[at]
	gate, db := n.Kernel().Gate, n.Kernel().DB
	var batch []access.Relationship
	write := func() error {
		var lanes []store.Lane
		for _, r := range batch {
			lanes = append(lanes, gate.Lane(r.Tenant, r.Chart))
		}
		err := db.Write(ctx, lanes, func(tx *store.Tx) error {
			for _, r := range batch {
				if err := gate.Relate(tx, r); err != nil {
					return err
				}
			}
			return nil
		})
		batch = batch[:0]
		return err
	}
	add := func(r access.Relationship) error {
		if batch = append(batch, r); len(batch) < 1000 {
			return nil
		}
		return write()
	}
	for r := range k.Relationships() {
		if keeper(nodes, r.Tenant) != at {
			continue
		}
		rel := access.Relationship{Tenant: r.Tenant, Chart: r.Chart, User: r.User, Organisation: r.Organisation, Kind: r.Kind, Basis: "seeded", By: "service/seed"}
		if err := add(rel); err != nil {
			return err
		}
	}
	if at > 0 {
		return write()
	}
	for _, t := range n.Kernel().Tenants {
		if err := add(access.Relationship{Tenant: t.Code, Chart: access.Everyone, User: "open", Kind: "demonstration", Basis: "seeded", By: "service/seed"}); err != nil {
			return err
		}
	}
	return write()
}
