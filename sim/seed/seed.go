// Package seed puts a made-up country into an empty node, so that a demonstration and a test meet the same people: who can
// sign in, each organisation's records, and who looks after whom.
package seed

import (
	"context"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/internal/node"
	"github.com/openspine/openspine/sim"
	"github.com/openspine/openspine/store"
)

// Country puts k into the empty node n: users first, then each tenant's charts in order, then who looks after whom. wrote is
// told how many resources each commit wrote; nil is fine. It stops at the first error, and n is then of no use.
func Country(ctx context.Context, n *node.Node, k *sim.Country, wrote func(count int) error) error {
	if err := n.Kernel().Gate.PutUsers(ctx, users(k)); err != nil {
		return err
	}
	var w *node.Loader
	for item := range k.Items() {
		if w == nil || w.Tenant() != item.Tenant {
			if err := w.Flush(ctx); err != nil {
				return err
			}
			w = n.Loader("seed", item.Tenant, wrote)
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
	return relate(ctx, n, k)
}

// Tenants are the organisations of k whose records a demonstration's node keeps.
func Tenants(k *sim.Country) []node.TenantConfig {
	var all []node.TenantConfig
	for _, o := range k.Organisations() {
		if o.Tenant {
			all = append(all, node.TenantConfig{Code: o.Code.String(), Name: o.Name, Kind: o.Kind})
		}
	}
	return all
}

// users are those whom a visitor can be, as access knows them. The privacy officer is that of every organisation here, so
// that no broken glass and no claim is left unread.
func users(k *sim.Country) []access.User {
	var all []access.User
	for _, u := range k.Users() {
		p := access.Principal{ID: u.ID, Name: u.Name, Role: access.Role(u.Role), Organisation: u.Organisation, Person: u.Person}
		if p.Role == access.PrivacyOfficer {
			p.Tenants = sim.Tenants()
		}
		all = append(all, access.User{Principal: p, Demo: !u.Open})
	}
	return all
}

// relate says who looks after whom, and lets the open clinician see everybody who is not restricted.
func relate(ctx context.Context, n *node.Node, k *sim.Country) error {
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
		rel := access.Relationship{Tenant: r.Tenant, Chart: r.Chart, User: r.User, Organisation: r.Organisation, Kind: r.Kind, Basis: "seeded", By: "service/seed"}
		if err := add(rel); err != nil {
			return err
		}
	}
	for _, t := range n.Kernel().Tenants {
		if err := add(access.Relationship{Tenant: t.Code, Chart: access.Everyone, User: "open", Kind: "demonstration", Basis: "seeded", By: "service/seed"}); err != nil {
			return err
		}
	}
	return write()
}
