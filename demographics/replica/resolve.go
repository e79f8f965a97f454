package replica

import (
	"context"
	"errors"
	"maps"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/store"
)

// What a person may decide about a patient whose number asks for somebody to look.
const (
	actCheck    = "check"    // ask the authority again, now
	actSame     = "same"     // mismatch: it is the same person
	actWrong    = "wrong"    // the number is not theirs: it is taken off the record
	actSurvivor = "survivor" // superseded: the number that it answers with is theirs
	actLeave    = "leave"    // absent, invalid: it stays as it is
	actDecide   = "decide"   // differs: for each element, whose value stands
	actNumber   = "number"   // unnumbered: the number that a clerk found nationally is theirs
)

// acts are what may be decided in each state.
func acts() map[State][]string {
	return map[State][]string{
		Mismatch:   {actSame, actWrong},
		Superseded: {actSurvivor, actWrong},
		Absent:     {actWrong, actLeave},
		Invalid:    {actWrong, actLeave},
		Differs:    {actDecide},
	}
}

// decision is what a person decided, and why.
type decision struct {
	by     access.Principal
	act    string
	reason string
	take   map[string]bool // actDecide: the elements for which the authority's value is taken; the others are kept
	seen   int64           // the version of the hospital's record that they saw
	about  answer          // what the authority says of the number now; of no use to actWrong and actLeave
}

// resolve does what was decided about a patient, in one commit with its account. Errors: fault.Conflict when the record, or what the authority
// says, is no longer what the person saw.
func (f *follower) resolve(ctx context.Context, r row, local record.Version, d decision) error {
	if local.Ver != d.seen || r.ver != d.seen {
		return fault.New(fault.Conflict, "Somebody else has changed this record meanwhile. Look at it again.")
	}
	next := r
	next.base = maps.Clone(r.base)
	if next.base == nil {
		next.base = base{}
	}
	patient := local.Resource
	var err error
	switch d.act {
	case actWrong:
		patient, err = withoutNumber(patient)
	case actSurvivor:
		if d.about.what != somebody || d.about.number.String() == r.number {
			return fault.New(fault.Conflict, "The number speaks for itself again. Look at it again.")
		}
		patient, err = withNumber(patient, d.about.number, f.k.Clock.Now())
	case actLeave:
	case actSame:
		next.base["person"] = mark{Kept: fingerprint(identity(d.about.person))}
		patient, err = f.decide(&next, patient, d.about)
	case actDecide:
		for _, el := range elements() {
			switch {
			case d.take[el.name]:
				next.base[el.name] = mark{Copied: fingerprint(raw(patient, el.name))}
			default:
				m := next.base[el.name]
				m.Kept = fingerprint(el.says(d.about.person))
				next.base[el.name] = m
			}
		}
		patient, err = f.decide(&next, patient, d.about)
	default:
		return fault.New(fault.Invalid, "That cannot be decided here.")
	}
	if err != nil {
		return err
	}
	return f.decided(ctx, r, local, patient, &next, d)
}

// decided writes a decision down. The row of a number that is another by now begins anew, by the keeper.
func (f *follower) decided(ctx context.Context, r row, local record.Version, patient *fhir.Resource, next *row, d decision) error {
	renumbered := d.act == actWrong || d.act == actSurvivor || d.act == actNumber
	note := func(tx *store.Tx, v record.Version) error {
		if renumbered {
			return nil
		}
		now := tx.At()
		if next.state != r.state {
			next.since = now
		}
		next.ver, next.compared, next.settled, next.settledBy, next.reason = v.Ver, v.Ver, now, d.by.Name, d.reason
		return next.put(tx, f, v.Ver)
	}
	if fhir.Equal(patient, local.Resource) {
		g, err := f.k.Gate.Decide(ctx, d.by, access.Update, access.Place{Tenant: f.Tenant, Type: "Patient", ID: r.id, Chart: local.Chart, Label: local.Label(), Exists: true})
		if err != nil {
			return err
		}
		return f.k.Gate.Act(ctx, []access.Grant{g}, []store.Lane{f.lane(r.id)}, func(tx *store.Tx) error { return note(tx, local) })
	}
	err := f.change(ctx, d.by, local, patient, d.reason, note)
	if record.Moved(err) || fault.Is(err, fault.PreconditionFailed) {
		return fault.Wrap(err, fault.Conflict, "Somebody else has changed this record meanwhile. Look at it again.")
	}
	return err
}

// withoutNumber is a Patient without the NHS number that it has: its history keeps it.
func withoutNumber(r *fhir.Resource) (*fhir.Resource, error) {
	id := numberNode(r)
	if !id.Exists() {
		return r, nil
	}
	if r.Get("identifier").Len() == 1 {
		return r.Edit().Set(r.Root(), "identifier", fhir.Value{}).Done()
	}
	return r.Edit().Remove(id).Done()
}

// withNumber is a Patient under another NHS number; the former one stays as such.
func withNumber(r *fhir.Resource, n ident.NHSNumber, now time.Time) (*fhir.Resource, error) {
	e, id := r.Edit(), numberNode(r)
	if id.Exists() {
		period := fhir.Obj("end", now.UTC().Format(time.DateOnly))
		if start := id.Get("period.start").String(); start != "" {
			period = fhir.Obj("start", start, "end", now.UTC().Format(time.DateOnly))
		}
		e.Set(id, "use", fhir.Of("old")).Set(id, "period", period).Set(id, "extension", fhir.Value{})
	}
	identifier := fhir.Obj("system", ident.SystemNHSNumber, "value", n.String())
	if list := r.Get("identifier"); list.Exists() {
		e.Insert(list, 0, identifier)
	} else {
		e.Set(r.Root(), "identifier", fhir.Arr(identifier))
	}
	return e.Done()
}

// checkNow asks the authority about one patient while a person waits. Error: fault.Unavailable, in plain words, when it cannot be reached.
func (f *follower) checkNow(ctx context.Context, r row) error {
	return plainly(f.check(ctx, r))
}

// plainly words a failure of the way to the authority for a person.
func plainly(err error) error {
	if u := (*unreachable)(nil); errors.As(err, &u) {
		return fault.Wrap(err, fault.Unavailable, "%s", u.why)
	}
	return err
}

// pause stops asking the authority, or goes on.
func (f *follower) pause(ctx context.Context, by access.Principal, stop bool, reason string) error {
	lanes := []store.Lane{f.linkLane(), f.k.Gate.DeedLane(by)}
	return f.k.DB.Write(ctx, lanes, func(tx *store.Tx) error {
		l, err := f.linkIn(tx)
		if err != nil {
			return err
		}
		what := "the copy of the national register goes on"
		if stop {
			what = "the copy of the national register is stopped: " + reason
			if l.paused.IsZero() {
				l.paused, l.pausedBy, l.reason = tx.At(), by.Name, reason
			}
		} else {
			l.paused, l.pausedBy, l.reason, l.again = time.Time{}, "", "", time.Time{}
		}
		if err := f.putLink(tx, l); err != nil {
			return err
		}
		return f.k.Gate.Record(ctx, tx, by, access.Deed{Action: access.ActAdminister, Basis: "replica", Detail: what})
	})
}
