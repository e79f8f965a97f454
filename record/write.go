package record

import (
	"errors"
	"slices"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/store"
)

// Outcome is what applying a draft did.
type Outcome struct {
	Version Version
	Created bool // there was nothing, or what there was had been voided
	Matched bool // a conditional create found this version and wrote nothing
	Nothing bool // a delete found nothing left to do
}

// Moved reports whether err says that the world moved between Prepare and Apply: prepare the change again, decide
// again, and apply again.
func Moved(err error) bool {
	var m movedError
	return errors.As(err, &m)
}

// Retry runs attempt until it fails otherwise than by Moved, at most tries times.
func Retry(tries int, attempt func() error) error {
	var err error
	for range tries {
		if err = attempt(); !Moved(err) {
			return err
		}
	}
	return err
}

// Apply writes a draft in a Write that holds Draft.Lanes, with a Grant for each of Draft.Acts.
// Errors: one of which Moved is true; fault.PreconditionFailed, fault.Conflict, fault.Gone, fault.NotFound as Prepare;
// fault.Internal when no grant covers an act.
func (r *Records) Apply(tx *store.Tx, d *Draft, grants ...access.Grant) (Outcome, error) {
	if d.matched != nil {
		return Outcome{Version: *d.matched, Matched: true}, nil
	}
	if out, done, err := r.reconsider(tx, d); err != nil || done {
		return out, err
	}
	was, err := r.recheck(tx, d)
	if err != nil {
		return Outcome{}, err
	}
	if was != nil && was.seq != d.was.seq {
		if d, err = r.redo(tx, d); err != nil {
			return Outcome{}, err
		}
	}
	if d.nothing {
		return Outcome{Nothing: true}, nil
	}
	if err := r.astrayed(tx, d); err != nil {
		return Outcome{}, err
	}
	by, err := covering(d, grants)
	if err != nil {
		return Outcome{}, err
	}
	return r.write(tx, d, was, by)
}

// ApplyAll writes drafts in their order, all or none: the caller's Write fails with the error. failed is the index of the
// draft that did. It is fastest when the grants are in the order of the drafts' acts.
func (r *Records) ApplyAll(tx *store.Tx, drafts []*Draft, grants ...access.Grant) (out []Outcome, failed int, err error) {
	seen := make(map[Ref]bool, len(drafts))
	out = make([]Outcome, 0, len(drafts))
	heap, next := newPile(), 0
	heap.bound(drafts)
	for i, d := range drafts {
		if d.matched == nil && d.ref.ID != "" {
			if seen[d.ref] {
				return nil, i, fault.New(fault.Invalid, "One transaction cannot write the same resource twice.")
			}
			seen[d.ref] = true
		}
		if d.change.Criteria != nil {
			if err := heap.flush(tx); err != nil {
				return nil, i, err
			}
			if err := heap.keepAll(tx, r); err != nil {
				return nil, i, err
			}
		}
		mine := grants
		if own := grants[min(next, len(grants)):min(next+len(d.acts), len(grants))]; covered(d, own) {
			mine = own
		}
		next += len(d.acts)
		d.pile = heap
		o, err := r.Apply(tx, d, mine...)
		d.pile = nil
		if err != nil {
			return nil, i, err
		}
		out = append(out, o)
	}
	if err := heap.flush(tx); err != nil {
		return out, -1, err
	}
	if err := r.noteLater(tx, drafts, out); err != nil {
		return out, -1, err
	}
	return out, -1, heap.keepAll(tx, r)
}

// LanesOf are the lanes of several drafts, each once.
func LanesOf(drafts ...*Draft) []store.Lane {
	var lanes []store.Lane
	for _, d := range drafts {
		lanes = append(lanes, d.lanes...)
	}
	slices.Sort(lanes)
	return slices.Compact(lanes)
}

// reconsider asks the criteria again, now that nobody else can change what they match.
func (r *Records) reconsider(tx *store.Tx, d *Draft) (Outcome, bool, error) {
	c := d.change.Criteria
	if c == nil {
		return Outcome{}, false, nil
	}
	found, err := r.matches(tx, c.Scope, c.Query, 2)
	if err != nil {
		return Outcome{}, false, err
	}
	switch {
	case len(found) > 1:
		return Outcome{}, false, fault.New(fault.PreconditionFailed, "The criteria match more than one %s; they must match one at most.", d.ref.Type)
	case d.change.Verb == Create && len(found) == 1:
		c.Scope.Disclose(found[0].place())
		return Outcome{Version: found[0], Matched: true}, true, nil
	case d.change.Verb == Create:
		return Outcome{}, false, nil
	case len(found) == 1 && (d.was == nil || found[0].Ref != d.ref):
		return Outcome{}, false, moved("something matches now")
	case len(found) == 0 && d.was != nil && d.was.op != Voided && d.change.Ref.ID == "":
		return Outcome{}, false, moved("nothing matches now")
	}
	return Outcome{}, false, nil
}

// recheck reads the resource's row under its lane and compares it with what the draft expected.
func (r *Records) recheck(tx *store.Tx, d *Draft) (*row, error) {
	if d.ref.ID == "" || d.change.Verb == Create { // a new id, which only an accident can have given twice: see putNew
		return nil, nil
	}
	if d.brandNew() && (r.db.Lanes() == 1 || d.ref.Type == "Patient") { // there are no aliases
		return nil, nil // if somebody has created it meanwhile, no second can be put down: see putNew
	}
	w, err := r.find(tx, d.ref)
	if fault.Is(err, fault.NotFound) {
		if d.was != nil {
			return nil, moved("it has gone")
		}
		return nil, d.holds(nil)
	}
	if err != nil {
		return nil, err
	}
	if err := d.holds(&w); err != nil {
		return nil, err
	}
	switch {
	case d.was == nil:
		return nil, moved("somebody has created it")
	case w.lane != d.was.lane || w.rid != d.was.rid || w.chart != d.was.chart || w.label != d.was.label:
		return nil, moved("it has gone to another place")
	}
	return &w, nil
}

// redo makes a draft ready again over a version that came after it was prepared, as long as it still concerns the same
// chart and needs no other lanes: the lane is held, so nothing comes in between.
func (r *Records) redo(tx *store.Tx, d *Draft) (*Draft, error) {
	current, w, err := r.loadToChange(tx, d.ref)
	if err != nil {
		return nil, err
	}
	again := *d
	again.was, again.wasRows, again.before = &w, nil, current.Resource
	if current.Resource != nil {
		if again.wasRows, err = r.index.rowsKnown(d.ref.Tenant, current.Resource); err != nil {
			return nil, err
		}
	}
	if !r.holdsClaims(d, w.claims) {
		return nil, moved("its identifiers are others")
	}
	if d.change.Verb != Patch {
		return &again, nil
	}
	res, err := d.change.Patch(current.Resource)
	if err != nil {
		return nil, err
	}
	again.change.Resource, again.claims = res, identifierValues(res)
	if res.Type() != d.ref.Type || !again.sameAs(res) || again.labelled(current.Resource, res) != d.label || !r.holdsClaims(d, again.claims) {
		return nil, moved("it is about something else")
	}
	if err := r.ready(&again); err != nil {
		return nil, err
	}
	again.dict, again.packed = r.bodies.pack(res.JSON())
	again.rows, err = r.index.rowsKnown(d.ref.Tenant, res)
	return &again, err
}

// sameAs reports whether res speaks of those of whom the draft's content did.
func (d *Draft) sameAs(res *fhir.Resource) bool {
	now := aboutOf(res, d.ref.ID)
	return d.ref.Type == "Patient" || now.equal(&d.about)
}

// astrayed looks again at where the content leads, under the lanes that are held.
func (r *Records) astrayed(tx *store.Tx, d *Draft) error {
	if len(d.leads) == 0 {
		return nil
	}
	leads, err := r.leads(tx, d, &d.about)
	if err == nil && !slices.Equal(leads, d.leads) {
		return moved("what it belongs to has gone to another place")
	}
	return err
}

// holdsClaims reports whether the draft's lanes include those of identifier values.
func (r *Records) holdsClaims(d *Draft, values []string) bool {
	for _, value := range values {
		if !slices.Contains(d.lanes, r.claimLane(d.ref.Tenant, d.ref.Type, value)) {
			return false
		}
	}
	return true
}

// author is who writes, and the entry on the account under which they do.
type author struct {
	id, name string
	entry    int64
}

// covering finds a grant for each act and says who writes.
func covering(d *Draft, grants []access.Grant) (author, error) {
	var by author
	for _, act := range d.acts {
		found := false
		for _, g := range grants {
			if g.Opens(act.Action) && g.Covers(act.Place) == nil {
				found, by = true, author{g.Principal().ID, g.Principal().Name, g.Entry()}
				break
			}
		}
		if !found {
			return by, fault.New(fault.Internal, "no grant to %s %s was handed in", act.Action, act.Place.Type)
		}
	}
	return by, nil
}

// covered reports whether grants are just those of the draft's acts, in order.
func covered(d *Draft, grants []access.Grant) bool {
	if len(grants) != len(d.acts) {
		return false
	}
	for i, g := range grants {
		if g.Place() != d.acts[i].Place || !g.Opens(d.acts[i].Action) {
			return false
		}
	}
	return true
}

// write puts the next version down.
func (r *Records) write(tx *store.Tx, d *Draft, was *row, by author) (Outcome, error) {
	home := r.homeLane(d.ref.Tenant, d.chart, d.ref.Type, d.ref.ID)
	next := row{lane: home, kind: d.kind, chart: d.chart, tenant: d.ref.Tenant.String(), id: d.ref.ID,
		at: tx.At().UnixMicro(), ver: 1, op: Created, edition: r.index.edition(d.ref.Type)}
	if was != nil {
		next.rid, next.ver, next.op = was.rid, was.ver+1, Changed
		if was.op == Voided {
			next.op = Created
		}
		if d.change.Verb == Delete {
			next.op, next.lane, next.label = Voided, was.lane, was.label
		}
	}
	next.author = d.authored(was, by.id)
	var err error
	if next.seq, err = tx.Seq(next.lane); err != nil {
		return Outcome{}, err
	}
	if d.change.Verb != Delete {
		next.label = d.label
		if d.ref.Type != "Patient" {
			hidden, err := d.pile.hidden(tx, r, d)
			if err != nil {
				return Outcome{}, err
			}
			next.label |= hidden
		}
	}
	d.pile.wrote(d, next.label)
	if err := r.put(tx, d, was, &next, by); err != nil {
		return Outcome{}, err
	}
	r.wakers.wake(next.lane)
	v := Version{Ref: d.ref, Chart: next.chart, Ver: next.ver, At: tx.At(), Lane: next.lane, Seq: next.seq, Op: next.op,
		ByPut: next.op == Created && d.change.Verb == Put, Deleted: next.op == Voided, Resource: d.change.Resource, Actor: by.id, Name: by.name, Reason: d.change.Reason,
		label: int64(next.label), author: next.author, rid: next.rid}
	return Outcome{Version: v, Created: next.op == Created}, r.keep(tx, d, v)
}

// put writes the rows of one new version: the version itself, what the resource now is, its index, the counts.
func (r *Records) put(tx *store.Tx, d *Draft, was, next *row, by author) error {
	prev := int64(0)
	switch {
	case was == nil:
		next.rid = next.seq
	case was.lane != next.lane:
		if err := r.leave(tx, d, was, next, by); err != nil {
			return err
		}
	default:
		prev = was.seq
		if was.chart != next.chart {
			if err := noteMove(tx, was, next); err != nil {
				return err
			}
		}
	}
	if err := r.putVersion(tx, d, next, prev, by); err != nil {
		return err
	}
	if was == nil || was.lane != next.lane {
		if err := r.putNew(tx, d, next); err != nil {
			return err
		}
	} else if err := r.putAgain(tx, d, was, next); err != nil {
		return err
	}
	var before access.Label // what was filed before the person was registered is not hidden yet
	if was != nil {
		before = was.label
	}
	if d.ref.Type == "Patient" && (before^next.label)&access.Restricted != 0 {
		if err := d.pile.flushWhole(tx); err != nil {
			return err
		}
		if err := relabel(tx, next); err != nil {
			return err
		}
	}
	return count(tx, d.pile, was, next)
}

func (r *Records) putVersion(tx *store.Tx, d *Draft, next *row, prev int64, by author) error {
	word := by.id + "\x1f" + by.name
	num := actorNum(word)
	if !d.pile.knows(next.lane, num) {
		if err := tx.Queue(`INSERT INTO record_actor (lane, num, word) VALUES (?, ?, ?) ON CONFLICT (lane, num) DO NOTHING`,
			next.lane, num, word); err != nil {
			return err
		}
	}
	op := next.op
	if op == Created && d.change.Verb == Put {
		op = createdByPut
	}
	var reason, body any
	if d.change.Reason != "" {
		reason = d.change.Reason
	}
	if next.op != Voided {
		body = d.packed
	}
	return d.pile.version(tx, int64(next.lane), next.seq, next.rid, prev, next.ver, next.kind, next.at, num, by.entry, int64(op), d.dict, body, reason)
}

func (r *Records) putNew(tx *store.Tx, d *Draft, next *row) error {
	err := d.pile.resource(tx, int64(next.lane), next.rid, next.kind, next.chart, next.tenant, next.id, next.seq, next.ver, next.at, int64(next.op),
		int64(next.label), next.edition, next.author)
	if err != nil {
		return err
	}
	if idLane := r.idLane(d.ref); idLane != next.lane {
		known := ` ON CONFLICT (lane, kind, id) DO UPDATE SET home = excluded.home, rid = excluded.rid`
		if d.change.Verb == Create {
			known = ``
		}
		if err := tx.QueueOr(createdMeanwhile, `INSERT INTO record_alias (lane, kind, id, home, rid) VALUES (?, ?, ?, ?, ?)`+known,
			idLane, next.kind, next.id, next.lane, next.rid); err != nil {
			return err
		}
	}
	return d.pile.addNew(tx, d, next.lane, next.rid)
}

// createdMeanwhile words the failure to put a new resource down.
func createdMeanwhile(err error) error {
	if fault.Is(err, fault.Conflict) {
		return moved("somebody has created it")
	}
	return err
}

func (r *Records) putAgain(tx *store.Tx, d *Draft, was, next *row) error {
	err := tx.Queue(`UPDATE record_resource SET chart = ?, seq = ?, ver = ?, at = ?, op = ?, label = ?, edition = ?, author = ?
		WHERE lane = ? AND rid = ?`,
		next.chart, next.seq, next.ver, next.at, int64(next.op), int64(next.label), next.edition, next.author, next.lane, next.rid)
	if err != nil {
		return err
	}
	gone, come := difference(d.wasRows, d.rows)
	if err := dropRows(tx, next.lane, next.rid, gone); err != nil {
		return err
	}
	return d.pile.add(tx, next.lane, next.rid, come)
}

// relabel gives everything in a chart the chart's own confidentiality.
func relabel(tx *store.Tx, patient *row) error {
	set := `label | 1`
	if patient.label&access.Restricted == 0 {
		set = `label & ~1`
	}
	return tx.Queue(`UPDATE record_resource SET label = `+set+` WHERE `+inChart+` AND rid <> ?`,
		patient.lane, patient.lane, patient.chart, patient.tenant, patient.rid)
}

// count keeps how many resources of the kind there are in the lane.
func count(tx *store.Tx, p *pile, was, next *row) error {
	if was != nil && was.op != Voided {
		if next.op != Voided && was.lane == next.lane {
			return nil
		}
		if err := p.count(tx, was.lane, was.kind, -1); err != nil || next.op == Voided {
			return err
		}
	}
	return p.count(tx, next.lane, next.kind, 1)
}

func countBy(tx *store.Tx, lane store.Lane, kind, n int64) error {
	return tx.Queue(`INSERT INTO record_count (lane, kind, live) VALUES (?, ?, ?)
		ON CONFLICT (lane, kind) DO UPDATE SET live = record_count.live + excluded.live`, lane, kind, n)
}
