package main

import (
	"context"

	"github.com/schollz/progressbar/v3"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/node"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/store"
)

// batch is how many resources share one commit when many are written at once.
const batch = 500

// writer writes resources of one tenant in large commits, as a part of the node itself. Sort what is added by chart: it is
// several times as fast.
type writer struct {
	n      *node.Node
	as     string
	tenant ident.ODSCode
	bar    *progressbar.ProgressBar
	// wrote is told after each commit; nil is fine.
	wrote   func(count int) error
	waiting []*fhir.Resource
}

// add takes one resource, and writes when a batch is full.
func (w *writer) add(ctx context.Context, res *fhir.Resource) error {
	w.waiting = append(w.waiting, res)
	if len(w.waiting) < batch {
		return nil
	}
	return w.flush(ctx)
}

// flush writes what is waiting, all of it or none.
func (w *writer) flush(ctx context.Context) error {
	if w == nil || len(w.waiting) == 0 {
		return nil
	}
	err := record.Retry(3, func() error { return w.write(ctx) })
	if err != nil {
		return err
	}
	count := len(w.waiting)
	w.waiting = w.waiting[:0]
	if w.wrote != nil {
		if err := w.wrote(count); err != nil {
			return err
		}
	}
	return w.bar.Add(count)
}

func (w *writer) write(ctx context.Context) error {
	k := w.n.Kernel()
	var drafts []*record.Draft
	var acts []access.Act
	for _, res := range w.waiting {
		d, err := k.Records.Prepare(ctx, record.Change{Verb: record.Put, Ref: record.Ref{Tenant: w.tenant, Type: res.Type(), ID: res.ID()}, Resource: res})
		if err != nil {
			return err
		}
		drafts = append(drafts, d)
	}
	record.FoundedBy(drafts...)
	for _, d := range drafts {
		acts = append(acts, d.Acts()...)
	}
	grants, err := k.Gate.DecideAll(ctx, access.Service(w.as, w.tenant), acts)
	if err != nil {
		return err
	}
	return k.Gate.Act(ctx, grants, record.LanesOf(drafts...), func(tx *store.Tx) error {
		_, _, err := k.Records.ApplyAll(tx, drafts, grants...)
		return err
	})
}
