package record

import (
	"context"
	"slices"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/store"
)

// Verb is what a Change does.
type Verb uint8

// The verbs. Put creates under a given id or supersedes; Create always makes a new resource.
const (
	Create Verb = iota + 1
	Put
	Patch
	Delete
)

// Change is what somebody wants to write. Exactly one resource is concerned.
type Change struct {
	Verb Verb
	// Ref is the resource. For Create, and for what Criteria find, ID is given by the record; a Create may bring an
	// ID from NewID or NewIDFor, so that others can refer to it before it is written: nothing looks whether it is taken.
	Ref Ref
	// Resource is the new content (Create, Put). Its JSON is kept byte for byte.
	Resource *fhir.Resource
	// Patch makes the new content from the current one (Patch). It may be called more than once.
	Patch func(current *fhir.Resource) (*fhir.Resource, error)
	// Criteria make the change conditional: Create only if nothing matches; Put, Patch and Delete what matches.
	Criteria *Criteria
	// IfMatch is the version that must be current; 0 for any.
	IfMatch int64
	// IfAbsent refuses a Put where there is a resource already (If-None-Match: *).
	IfAbsent bool
	// Reason is kept with the version: why voided or changed.
	Reason string
	// May is asked, when it is given, before anything is compared with what is kept: whether the caller may change what
	// stands there. Without its leave no precondition, patch or conflict tells them that something does, or what.
	May func(access.Act) error
	// Would is asked, when it is given, whether the caller could do an act: what names a person only by number, or belongs to something that
	// is kept, is filed in that chart only by whoever may write there.
	Would func(context.Context, access.Act) (bool, error)
	// Beside is what is written together with this change under a name, nil for none.
	Beside func(Ref) *fhir.Resource
	// Later puts off what the resource is found by until FindLater, if nothing stands there: for whoever loads very many where nobody else
	// works. Nobody can search from the first of them on until FindLater. Only PrepareAll and SQLite know it; else it is as if it were not set.
	Later bool
}

// Criteria are a search that decides what a conditional change concerns, as the caller may see it.
type Criteria struct {
	Scope access.Scope
	Query Query
}

// Draft is a change made ready outside Write: parsed, indexed and compressed, with what it expects to find. If the
// world has moved when it is applied, Apply fails with an error of which Moved is true, and it is prepared again.
type Draft struct {
	change Change
	ref    Ref
	kind   int64
	chart  string       // of the new content
	label  access.Label // that the new content says of itself
	hidden access.Label // what hides the chart that it comes into
	nobody bool         // the content names a Patient who is not here
	about  about        // whom the new content speaks of
	leads  []lead       // where that leads
	astray bool         // to nobody in particular: it is unfiled

	reveals  bool // a label that stood there is taken away
	occupied bool // there is something already in the chart of the person who is registered
	dict     int64
	packed   []byte
	rows     []idxRow
	claims   []string // values of identifiers

	was     *row // what stood there when it was prepared; nil if nothing ever did
	wasRows []idxRow
	matched *Version // what a conditional create found
	nothing bool     // there is nothing to do
	acts    []access.Act
	lanes   []store.Lane
	pile    *pile          // where ApplyAll gathers index rows
	before  *fhir.Resource // what stood there
	keeping []keeping
	sheaf   *sheaf // that of Together, and the draft's place in it
	place   int
	fresh   bool // nothing stands there, and nothing in the chart that it begins: see PrepareAll
	later   bool // what it is found by is put off: see Change.Later
}

// Ref is the resource that the draft will write; for a conditional create that found one, that one.
func (d *Draft) Ref() Ref { return d.ref }

// Resource is the new content; nil for a delete.
func (d *Draft) Resource() *fhir.Resource { return d.change.Resource }

// Matched is what a conditional create found when it was prepared, if it found anything.
func (d *Draft) Matched() (Version, bool) {
	if d.matched == nil {
		return Version{}, false
	}
	return *d.matched, true
}

// Acts are what the draft needs Grants for: one, or two when the resource goes from one chart to another, or none
// when a conditional create has found its resource.
func (d *Draft) Acts() []access.Act { return slices.Clone(d.acts) }

// Places are those of Acts.
func (d *Draft) Places() []access.Place {
	places := make([]access.Place, len(d.acts))
	for i, a := range d.acts {
		places[i] = a.Place
	}
	return places
}

// Lanes are what the Write that applies the draft must hold.
func (d *Draft) Lanes() []store.Lane { return slices.Clone(d.lanes) }

// Founds reports whether the draft begins a chart: a person who was not there, and of whom nothing was either.
func (d *Draft) Founds() bool {
	return d.ref.Type == "Patient" && d.was == nil && d.change.Verb != Delete && !d.occupied
}

// FoundedBy tells drafts that are applied together which charts begin with them, so that what one transaction files
// under a person whom it registers is decided as such.
func FoundedBy(drafts ...*Draft) {
	begun := map[string]bool{}
	for _, d := range drafts {
		if d.Founds() {
			begun[d.ref.Tenant.String()+"/"+d.chart] = true
		}
	}
	for _, d := range drafts {
		for i := range d.acts {
			p := &d.acts[i].Place
			if begun[p.Tenant.String()+"/"+p.Chart] {
				p.Founding = true
			}
		}
	}
}

// movedError says that what a draft expected is no longer so.
type movedError struct{ error }

func (m movedError) Unwrap() error { return m.error }

func moved(what string) error {
	return movedError{fault.New(fault.Conflict, "The record changed while this was being written (%s). Try again.", what)}
}

// Again is for whoever prepares several changes that depend on one another, and finds that one has come out otherwise: Moved
// is true of it, and all are prepared anew.
func Again(what string) error { return moved(what) }

// Prepare makes a change ready. It must not be called inside a Write.
// Errors: fault.Invalid (ids, types), fault.NotFound and fault.Gone (nothing to patch), fault.PreconditionFailed
// (IfMatch, IfAbsent, or criteria that match several).
func (r *Records) Prepare(ctx context.Context, c Change) (*Draft, error) {
	return r.prepare(ctx, &Draft{change: c, ref: c.Ref})
}

func (r *Records) prepare(ctx context.Context, d *Draft) (*Draft, error) {
	c := d.change
	if err := r.check(c); err != nil {
		return nil, err
	}
	if err := r.words.intern(ctx, spaceKind, kindWord(c.Ref.Tenant.String(), c.Ref.Type)); err != nil {
		return nil, err
	}
	d.kind, _ = r.words.kind(c.Ref.Tenant.String(), c.Ref.Type)
	current, err := r.expect(ctx, d)
	if err != nil || d.matched != nil {
		return d, err
	}
	if err := d.may(); err != nil {
		return nil, err
	}
	if err := d.preconditions(); err != nil {
		return nil, err
	}
	if err := r.content(ctx, d, current); err != nil {
		return nil, err
	}
	r.plan(d)
	return d, nil
}

func (r *Records) check(c Change) error {
	if !r.index.isResource(c.Ref.Type) {
		return fault.New(fault.NotFound, "There is no resource type %q.", c.Ref.Type)
	}
	if c.Resource != nil && c.Resource.Type() != c.Ref.Type {
		return fault.New(fault.Invalid, "This is a %s, not a %s.", c.Resource.Type(), c.Ref.Type)
	}
	if (c.Verb == Create || c.Verb == Put) && c.Resource == nil {
		return fault.New(fault.Invalid, "There is no resource to write.")
	}
	if c.Ref.ID != "" {
		return checkID(c.Ref.ID)
	}
	if c.Verb != Create && c.Criteria == nil {
		return fault.New(fault.Invalid, "The resource's id is missing.")
	}
	return nil
}

// expect finds what the change concerns as things stand, and gives a new resource its id.
func (r *Records) expect(ctx context.Context, d *Draft) (current *Version, err error) {
	err = r.db.Read(ctx, func(tx *store.Tx) error {
		current, d.was, d.matched = nil, nil, nil
		if res := d.change.Resource; res != nil {
			if err := r.examine(tx, d, res); err != nil {
				return err
			}
		}
		if d.change.Criteria != nil {
			if done, err := r.resolve(tx, d); err != nil || done {
				return err
			}
		}
		if d.ref.ID == "" || d.change.Verb == Create || d.fresh { // a new id: there is nothing
			return nil
		}
		v, w, err := r.loadToChange(tx, d.ref)
		if fault.Is(err, fault.NotFound) {
			return r.occupied(tx, d)
		}
		if err != nil {
			return err
		}
		d.was, current = &w, &v
		return nil
	})
	return current, err
}

// occupied notes that results came before the registration: they do not become the registrar's to read.
func (r *Records) occupied(tx *store.Tx, d *Draft) error {
	d.occupied = false
	if d.ref.Type != "Patient" {
		return nil
	}
	lane, one := int64(r.idLane(d.ref)), int64(0)
	err := tx.QueryRow(`SELECT 1 FROM record_resource WHERE `+inChart+` LIMIT 1`, lane, lane, d.ref.ID, d.ref.Tenant.String()).Scan(&one)
	d.occupied = err == nil
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	return err
}

// may asks for leave to change what stands there; and, so that the refusal is the same, what does not.
func (d *Draft) may() error {
	c := d.change
	if c.May == nil || d.was == nil && (access.Shared(d.ref.Type) || !d.choosesID() && (c.Criteria != nil || c.Verb == Create)) {
		return nil
	}
	act := access.Act{Action: access.Update, Place: access.Place{Tenant: d.ref.Tenant, Type: d.ref.Type, ID: d.ref.ID, Secret: true}}
	if d.was != nil {
		act.Place = d.was.place()
	}
	if c.Verb == Delete {
		act.Action = access.Delete
	}
	err := c.May(act)
	if c.Verb == Put && fault.Is(err, fault.NotFound) {
		return fault.Wrap(err, fault.NotFound, "There is no such record, or it is not one that you may know of. A new one is made with POST, and given its id here.")
	}
	return err
}

// choosesID reports whether the caller gave a new resource its id. Ids of people are guessed as NHS numbers are, and others as they are
// counted: made here for whoever may not know of everybody, they would tell which are taken by something secret.
func (d *Draft) choosesID() bool {
	return d.change.Verb == Put && d.change.Resource.ID() == d.ref.ID
}

// preconditions are checked early for a clear answer, and again when the draft is applied.
func (d *Draft) preconditions() error { return d.holds(d.was) }

func (d *Draft) holds(w *row) error {
	exists := w != nil && w.op != Voided
	c := d.change
	switch {
	case c.IfAbsent && exists:
		return fault.New(fault.PreconditionFailed, "There is a resource here already (If-None-Match: *).")
	case c.IfMatch != 0 && w == nil && c.Verb == Put && c.Criteria == nil:
		return access.NotHere() // in the words for what is a secret
	case c.IfMatch != 0 && w == nil && c.Verb == Put:
		return fault.New(fault.PreconditionFailed, "Version %d was named, but there is no such resource.", c.IfMatch)
	case w == nil && (c.Verb == Patch || c.Verb == Delete) && c.Criteria == nil:
		return access.NotHere()
	case c.Verb == Patch && w != nil && !exists:
		return gone()
	case c.IfMatch != 0 && w != nil && w.ver != c.IfMatch:
		return fault.New(fault.PreconditionFailed, "Version %d was named, but version %d is current. Read it again and decide.", c.IfMatch, w.ver)
	}
	return nil
}

func gone() error { return fault.New(fault.Gone, "This resource has been deleted.") }

// content settles what is written: chart, label, compressed body and index rows.
func (r *Records) content(ctx context.Context, d *Draft, current *Version) error {
	c := &d.change
	if c.Verb == Patch {
		res, err := c.Patch(current.Resource)
		if err != nil {
			return err
		}
		if res.Type() != d.ref.Type {
			return fault.New(fault.Unprocessable, "A patch cannot change a resource's type.")
		}
		c.Resource = res
		if err := r.db.Read(ctx, func(tx *store.Tx) error { return r.examine(tx, d, res) }); err != nil {
			return err
		}
	}
	if c.Verb == Delete {
		d.nothing = d.was == nil || d.was.op == Voided
		if d.was != nil {
			d.chart = d.was.chart
		}
	} else if err := r.newContent(ctx, d, current); err != nil {
		return err
	}
	if err := r.ready(d); err != nil {
		return err
	}
	if current != nil && current.Resource != nil {
		d.before = current.Resource
		var err error
		if d.wasRows, err = r.index.rows(ctx, d.ref.Tenant, d.kind, current.Resource); err != nil {
			return err
		}
	}
	return nil
}

func (r *Records) newContent(ctx context.Context, d *Draft, current *Version) error {
	res := d.change.Resource
	if err := d.file(ctx); err != nil {
		return err
	}
	if d.ref.ID == "" {
		id, err := r.newIDNear(d.ref.Tenant, d.chart, d.ref.Type)
		if err != nil {
			return err
		}
		d.ref.ID = id
	}
	if d.ref.Type == "Patient" {
		d.chart = d.ref.ID
	}
	var before *fhir.Resource
	if current != nil {
		before = current.Resource
	}
	d.label = d.labelled(before, res)
	if d.reveals = d.was != nil && d.was.label&ownLabel(d.ref.Type)&^d.label != 0; d.reveals {
		if err := access.GoodReason(d.change.Reason); err != nil {
			return err
		}
	}
	d.dict, d.packed = r.bodies.pack(res.JSON())
	d.claims = identifierValues(res)
	if d.later = d.change.Later && d.fresh && r.db.Lanes() == 1; d.later {
		return nil
	}
	var err error
	if d.rows, err = r.index.rows(ctx, d.ref.Tenant, d.kind, res); err != nil {
		return err
	}
	return nil
}

// plan says which Grants and which lanes the draft needs.
func (r *Records) plan(d *Draft) {
	tenant := d.ref.Tenant
	place := access.Place{Tenant: tenant, Chart: d.chart, Type: d.ref.Type, ID: d.ref.ID, Label: d.label | d.hidden, Founding: d.Founds(), Secret: d.nobody}
	lanes := []store.Lane{r.homeLane(tenant, d.chart, d.ref.Type, d.ref.ID), r.idLane(d.ref)}
	switch {
	case d.nothing && d.was == nil:
	case d.change.Verb == Delete:
		d.acts = []access.Act{{Action: access.Delete, Place: d.was.place()}}
	case d.was == nil:
		d.acts = []access.Act{{Action: access.Create, Place: place}}
	default:
		old := d.was.place()
		if old.Chart == d.chart {
			old.Label |= d.label
			d.acts = []access.Act{{Action: access.Update, Place: old}}
		} else {
			d.acts = []access.Act{{Action: access.Update, Place: old}, {Action: access.Create, Place: place}}
		}
	}
	if d.reveals {
		d.acts[0].Place.Reveals = d.change.Reason
	}
	if d.was != nil {
		lanes = append(lanes, d.was.lane)
	}
	for _, value := range d.claims {
		lanes = append(lanes, r.claimLane(tenant, d.ref.Type, value))
	}
	if d.was != nil && d.wasRows != nil {
		for _, value := range d.was.claims {
			lanes = append(lanes, r.claimLane(tenant, d.ref.Type, value))
		}
	}
	if d.change.Criteria != nil {
		lanes = append(lanes, r.criteriaLanes(tenant, d.change.Criteria.Query)...)
	}
	slices.Sort(lanes)
	d.lanes = slices.Compact(lanes)
}
