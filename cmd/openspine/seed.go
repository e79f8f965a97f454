package main

import (
	"context"
	"io"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/internal/node"
	"github.com/openspine/openspine/sim"
	"github.com/openspine/openspine/store"
)

// seedCountry puts a made-up country into an empty node: users first, then each tenant's charts in order, then who looks after whom.
func seedCountry(ctx context.Context, n *node.Node, k *sim.Country, out io.Writer) error {
	everybody, err := users(k)
	if err != nil {
		return err
	}
	gate := n.Kernel().Gate
	if err := gate.PutUsers(ctx, everybody); err != nil {
		return err
	}
	progress := bar(out, -1, "seeding")
	var w *writer
	for item := range k.Items() {
		if w == nil || w.tenant != item.Tenant {
			if err := w.flush(ctx); err != nil {
				return err
			}
			w = &writer{n: n, as: "seed", tenant: item.Tenant, bar: progress}
		}
		res, err := fhir.Parse(item.Resource)
		if err != nil {
			return err
		}
		if err := w.add(ctx, res); err != nil {
			return err
		}
	}
	if err := w.flush(ctx); err != nil {
		return err
	}
	if err := relate(ctx, n, k); err != nil {
		return err
	}
	return progress.Finish()
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
