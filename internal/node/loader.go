package node

import (
	"cmp"
	"context"
	"runtime"

	"golang.org/x/sync/errgroup"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/store"
)

// LoadBatch is how many resources share one commit when many are written at once beside other work, and LoadAlone where nobody else
// waits: the index rows of a batch are written in order, so the more of them there are, the fewer pages each costs. In a country
// of 250,000 people batches of 10,000 load three times as fast as those of 1,000.
const LoadBatch, LoadAlone = 1000, 10_000

// Loader writes resources of one tenant in large commits, as a part of the node itself: while one batch is being committed
// the next is prepared. Sort what is added by chart: it is several times as fast.
type Loader struct {
	n      *Node
	as     string
	tenant ident.ODSCode
	// Wrote is told after each commit; nil is fine.
	Wrote func(count int) error
	// Refused is told of each resource that the rules or the record do not take, and the load goes on; nil ends it there.
	Refused func(res *fhir.Resource, err error)
	// Name, if set, is that of a load that can be cut off: how far it came is kept with each commit (record.Load), for whoever goes on.
	Name string
	// Batch is how many resources share one commit; LoadBatch when it is 0. A larger one costs each less and keeps other writers waiting longer.
	Batch int
	// Later puts off what is searched until Flush, which then writes it all in its order (record.Change.Later): several times as fast where
	// very many are loaded, and nobody else works meanwhile. Found, if set, is told how far that is.
	Later   bool
	Found   func(record.Progress)
	waiting []*fhir.Resource // nil is for one that was refused before it came here
	loaded  int              // resources handed over since the planner was told
	commit  chan error       // the outcome of the batch that is being committed; nil when there is none
}

// ManyLoaded is from how many resources on Later is worth its while.
const ManyLoaded = 50_000

// Loader makes a loader for one tenant, which acts as a part of the node with that name. wrote is told how many resources
// each commit wrote; nil is fine.
func (n *Node) Loader(as string, tenant ident.ODSCode, wrote func(count int) error) *Loader {
	return &Loader{n: n, as: as, tenant: tenant, Wrote: wrote}
}

// Tenant is whose records the loader writes.
func (w *Loader) Tenant() ident.ODSCode { return w.tenant }

// Add takes one resource, and hands over a batch when it is full.
func (w *Loader) Add(ctx context.Context, res *fhir.Resource) error {
	w.waiting = append(w.waiting, res)
	w.loaded++
	if len(w.waiting) < cmp.Or(w.Batch, LoadBatch) {
		return nil
	}
	return w.hand(ctx)
}

// PassOver counts, in its place, a resource that the caller has refused, so that a load that goes on does not look at it again.
func (w *Loader) PassOver(ctx context.Context) error { return w.Add(ctx, nil) }

// muchLoaded is after how many resources the database's planner is told what the tables now hold.
const muchLoaded = 5 * LoadBatch

// Flush writes what is waiting and returns when all of it is durable and can be found.
func (w *Loader) Flush(ctx context.Context) error {
	if w == nil {
		return nil
	}
	if len(w.waiting) > 0 {
		if err := w.hand(ctx); err != nil {
			return err
		}
	}
	if err := w.settled(); err != nil {
		return err
	}
	if w.Later {
		if err := w.n.kernel.Records.FindLater(ctx, w.n.cfg.Data, w.Found); err != nil {
			return err
		}
	}
	if w.loaded < muchLoaded {
		return nil
	}
	w.loaded = 0
	return w.n.Kernel().DB.Analyze(ctx)
}

// settled waits for the batch that is being committed.
func (w *Loader) settled() error {
	if w.commit == nil {
		return nil
	}
	err := <-w.commit
	w.commit = nil
	return err
}

// hand prepares what is waiting, waits for the batch before it, and commits behind the caller's back.
func (w *Loader) hand(ctx context.Context) error {
	list := w.waiting
	w.waiting = nil
	b, err := w.prepare(ctx, list)
	if err := w.settled(); err != nil {
		return err
	}
	if err != nil {
		if err := w.apart(ctx, list, err); err != nil {
			return err
		}
		return w.tell(len(list))
	}
	done := make(chan error, 1)
	w.commit = done
	go func() { done <- w.write(ctx, list, b) }()
	return nil
}

// prepare readies resources on every processor, each part over one snapshot.
func (w *Loader) prepare(ctx context.Context, list []*fhir.Resource) (*batch, error) {
	k := w.n.Kernel()
	changes := make([]record.Change, 0, len(list))
	for _, res := range list {
		if res != nil {
			changes = append(changes, record.Change{Verb: record.Put, Ref: record.Ref{Tenant: w.tenant, Type: res.Type(), ID: res.ID()}, Resource: res, Later: w.Later})
		}
	}
	drafts := make([]*record.Draft, len(changes))
	group, within := errgroup.WithContext(ctx)
	parts := min(runtime.GOMAXPROCS(0), len(changes))
	for part := range parts {
		group.Go(func() error {
			from, to := part*len(changes)/parts, (part+1)*len(changes)/parts
			some, err := k.Records.PrepareAll(within, changes[from:to])
			copy(drafts[from:to], some)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	record.Together(drafts...)
	return w.decide(ctx, drafts, record.Load{Done: len(list), Refused: len(list) - len(drafts)})
}

// batch is drafts that are written in one commit, with leave to do so.
type batch struct {
	drafts []*record.Draft
	grants []access.Grant
	lanes  []store.Lane
	more   record.Load // how much farther the load has come with it
}

// decide asks for leave to write drafts.
func (w *Loader) decide(ctx context.Context, drafts []*record.Draft, more record.Load) (*batch, error) {
	if len(drafts) == 0 {
		return &batch{more: more}, nil
	}
	var acts []access.Act
	for _, d := range drafts {
		acts = append(acts, d.Acts()...)
	}
	grants, err := w.n.Kernel().Gate.DecideAll(ctx, access.Service(w.as, w.tenant), acts)
	return &batch{drafts, grants, record.LanesOf(drafts...), more}, err
}

// write commits a batch, all of it or none; what moved since it was prepared is prepared again.
func (w *Loader) write(ctx context.Context, list []*fhir.Resource, b *batch) error {
	err := w.apply(ctx, b)
	if record.Moved(err) {
		err = record.Retry(3, func() error {
			again, err := w.prepare(ctx, list)
			if err != nil {
				return err
			}
			return w.apply(ctx, again)
		})
	}
	if err != nil {
		err = w.apart(ctx, list, err)
	}
	if err != nil {
		return err
	}
	return w.tell(len(list))
}

func (w *Loader) tell(count int) error {
	if w.Wrote == nil {
		return nil
	}
	return w.Wrote(count)
}

// apart writes a batch that failed with why by halves, so that what is refused holds up none of the others.
func (w *Loader) apart(ctx context.Context, list []*fhir.Resource, why error) error {
	if w.Refused == nil || !refusal(why) {
		return why
	}
	if len(list) == 1 {
		w.Refused(list[0], why)
		return w.passOver(ctx, record.Load{Done: 1, Refused: 1})
	}
	for _, half := range [][]*fhir.Resource{list[:len(list)/2], list[len(list)/2:]} {
		err := record.Retry(3, func() error {
			b, err := w.prepare(ctx, half)
			if err != nil {
				return err
			}
			return w.apply(ctx, b)
		})
		if err != nil {
			err = w.apart(ctx, half, err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// refusal tells what is wrong with a resource from what is wrong with the node.
func refusal(err error) bool {
	switch fault.KindOf(err) {
	case fault.Invalid, fault.Forbidden, fault.NotFound, fault.Conflict, fault.Unprocessable, fault.TooLarge:
		return true
	}
	return false
}

func (w *Loader) apply(ctx context.Context, b *batch) error {
	if len(b.drafts) == 0 {
		return w.passOver(ctx, b.more)
	}
	k := w.n.Kernel()
	return k.Gate.Act(ctx, b.grants, b.lanes, func(tx *store.Tx) error {
		if _, _, err := k.Records.ApplyAll(tx, b.drafts, b.grants...); err != nil || w.Name == "" {
			return err
		}
		return k.Records.Loaded(tx, w.Name, b.more)
	})
}

// passOver counts resources that were refused.
func (w *Loader) passOver(ctx context.Context, more record.Load) error {
	if w.Name == "" {
		return nil
	}
	k := w.n.Kernel()
	return k.DB.Write(ctx, nil, func(tx *store.Tx) error { return k.Records.Loaded(tx, w.Name, more) })
}
