package main

import (
	"context"
	"io"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/node"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/sim"
	"github.com/openspine/openspine/store"
)

// seedBatch is how many resources share one commit while a country is seeded.
const seedBatch = 400

// seedCountry puts a made-up country into an empty node: users first, then each tenant's charts in order, then who looks after whom.
func seedCountry(ctx context.Context, n *node.Node, k *sim.Country, progress io.Writer) error {
	everybody, err := users(k)
	if err != nil {
		return err
	}
	gate := n.Kernel().Gate
	if err := gate.PutUsers(ctx, everybody); err != nil {
		return err
	}
	bar := progressbar.NewOptions(-1, progressbar.OptionSetWriter(progress), progressbar.OptionSetDescription("seeding"), progressbar.OptionShowCount(),
		progressbar.OptionShowIts(), progressbar.OptionThrottle(200*time.Millisecond), progressbar.OptionClearOnFinish())
	s := seeder{n: n, bar: bar}
	for item := range k.Items() {
		if err := s.add(ctx, item); err != nil {
			return err
		}
	}
	if err := s.flush(ctx); err != nil {
		return err
	}
	if err := s.relate(ctx, k); err != nil {
		return err
	}
	return bar.Finish()
}

type seeder struct {
	n      *node.Node
	bar    *progressbar.ProgressBar
	tenant ident.ODSCode
	drafts []*record.Draft
}

// add prepares one item and writes when a batch is full.
func (s *seeder) add(ctx context.Context, item sim.Item) error {
	if item.Tenant != s.tenant || len(s.drafts) >= seedBatch {
		if err := s.flush(ctx); err != nil {
			return err
		}
		s.tenant = item.Tenant
	}
	res, err := fhir.Parse(item.Resource)
	if err != nil {
		return err
	}
	d, err := s.n.Kernel().Records.Prepare(ctx, record.Change{Verb: record.Put, Ref: record.Ref{Tenant: item.Tenant, Type: item.Type, ID: item.ID}, Resource: res})
	if err != nil {
		return err
	}
	s.drafts = append(s.drafts, d)
	return nil
}

func (s *seeder) flush(ctx context.Context) error {
	if len(s.drafts) == 0 {
		return nil
	}
	k := s.n.Kernel()
	record.FoundedBy(s.drafts...)
	var acts []access.Act
	for _, d := range s.drafts {
		acts = append(acts, d.Acts()...)
	}
	grants, err := k.Gate.DecideAll(ctx, access.Service("seed", s.tenant), acts)
	if err != nil {
		return err
	}
	err = k.Gate.Act(ctx, grants, record.LanesOf(s.drafts...), func(tx *store.Tx) error {
		_, _, err := k.Records.ApplyAll(tx, s.drafts, grants...)
		return err
	})
	if err != nil {
		return err
	}
	if err := s.bar.Add(len(s.drafts)); err != nil {
		return err
	}
	s.drafts = s.drafts[:0]
	return nil
}

// relate says who looks after whom, and lets the open clinician see everybody who is not restricted.
func (s *seeder) relate(ctx context.Context, k *sim.Country) error {
	gate, db := s.n.Kernel().Gate, s.n.Kernel().DB
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
	for _, t := range s.n.Kernel().Tenants {
		if err := add(access.Relationship{Tenant: t.Code, Chart: access.Everyone, User: "open", Kind: "demonstration", Basis: "seeded", By: "service/seed"}); err != nil {
			return err
		}
	}
	return write()
}
