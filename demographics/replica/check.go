package replica

import (
	"context"
	"errors"
	"hash/fnv"
	"strings"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/demographics/match"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/store"
)

const (
	// roundEvery is the pause between two rounds, atOnce how many people one look at the worklist takes up.
	roundEvery = 10 * time.Second
	atOnce     = 200
	// inARow is after how many failures, one after another, a round leaves it at that.
	inARow = 3
	// againFirst and againMost bound the pause after failures, which doubles.
	againFirst, againMost = 10 * time.Second, 10 * time.Minute
	// attempts is how often one copy is made anew because the hospital wrote meanwhile.
	attempts = 5
)

// round asks about everybody who is due, those who have waited longest first, as fast as the rate allows, until nobody is, the way to the
// authority fails, or ctx ends. Each person is a commit of their own: whoever stops it anywhere loses nothing.
func (f *follower) round(ctx context.Context) error { return f.ask(ctx, 0, f.pace) }

// ask is a round that ends after most people at the latest; 0 is no bound.
func (f *follower) ask(ctx context.Context, most int, pace func(context.Context) error) error {
	if err := f.grown(ctx); err != nil {
		return err
	}
	failed, done := 0, 0
	for ctx.Err() == nil {
		l, err := f.link(ctx)
		now := f.k.Clock.Now()
		if err != nil || !l.paused.IsZero() || l.again.After(now) {
			return err
		}
		list, err := f.rows(ctx, `number <> '' AND due <= ? ORDER BY due, id LIMIT ?`, now.UnixMicro(), int64(atOnce))
		if err != nil || len(list) == 0 {
			return err
		}
		for _, r := range list {
			if err := pace(ctx); err != nil || most > 0 && done == most {
				return err
			}
			done++
			err := f.check(ctx, r)
			switch u := (*unreachable)(nil); {
			case errors.As(err, &u):
				if failed++; failed == inARow || u.after > 0 {
					return nil // the link says since when, and the next round goes on
				}
			case err != nil:
				return err
			default:
				failed = 0
			}
		}
		if failed > 0 {
			return nil
		}
	}
	return ctx.Err()
}

// pace waits for as long as the rate asks.
func (f *follower) pace(ctx context.Context) error {
	if f.Rate <= 0 {
		return ctx.Err()
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-f.k.Clock.After(time.Duration(float64(time.Second) / f.Rate)):
		return nil
	}
}

// grown are the babies whose trace was put off and who are six weeks old by now: they need a number.
func (f *follower) grown(ctx context.Context) error {
	list, err := f.rows(ctx, `state = ? AND since < ? LIMIT ?`, string(Postponed), f.k.Clock.Now().Add(-sixWeeks).UnixMicro(), int64(atOnce))
	for _, r := range list {
		if err == nil {
			made := r.ver
			r.state, r.since = Unnumbered, f.k.Clock.Now()
			err = f.k.DB.Write(ctx, []store.Lane{f.lane(r.id)}, func(tx *store.Tx) error { return r.put(tx, f, made) })
		}
		if record.Moved(err) {
			err = nil // the hospital wrote: it is looked at next time
		}
	}
	return err
}

// check asks the authority about one patient and writes down what it says. Errors: *unreachable, which is on the row and the link by then.
func (f *follower) check(ctx context.Context, r row) error {
	number, err := ident.ParseNHSNumber(r.number)
	a := answer{what: nobody} // what is no number is nobody's
	if err == nil {
		a, err = f.read(ctx, number)
		if u := (*unreachable)(nil); errors.As(err, &u) {
			return errors.Join(u, f.failed(ctx, r, u))
		}
		if err != nil {
			return err
		}
	}
	for range attempts {
		err = f.settle(ctx, r, a)
		if !record.Moved(err) && !fault.Is(err, fault.PreconditionFailed) {
			break
		}
		if r, err = f.rowOf(ctx, r.id); fault.Is(err, fault.NotFound) {
			return nil // the patient was taken away meanwhile
		}
		if err != nil || r.number != number.String() {
			return err // another number by now: it is due
		}
	}
	if record.Moved(err) {
		return nil // somebody writes all the time; it stays due
	}
	return errors.Join(err, f.reached(ctx))
}

// settle writes down what the authority says of a patient, and copies what is to be copied.
func (f *follower) settle(ctx context.Context, r row, a answer) error {
	now := f.k.Clock.Now()
	next := r
	next.checked, next.due, next.tries = now, f.next(r.id, now), 0
	if r.compared == r.ver && r.state != Untraced && f.same(r, a) {
		return f.k.DB.Write(ctx, []store.Lane{f.lane(r.id)}, func(tx *store.Tx) error { return next.put(tx, f, r.ver) })
	}
	local, grant, err := f.local(ctx, r.id)
	if err != nil {
		return err
	}
	if local.Ver != r.ver {
		return record.Again("the patient was changed here")
	}
	patient, err := f.decide(&next, local.Resource, a)
	if err != nil {
		return err
	}
	if next.state != r.state {
		next.since, next.settled, next.settledBy, next.reason = now, time.Time{}, "", ""
	}
	return f.write(ctx, grant, local, patient, &next, f.because(&next, a))
}

// same reports whether the authority says what it said when the row was made.
func (f *follower) same(r row, a answer) bool {
	switch a.what {
	case nobody:
		return r.state == Absent
	case unusable:
		return r.state == Invalid
	}
	if a.number.String() != r.number {
		return r.state == Superseded && r.survivor == a.number.String()
	}
	return r.version == a.version && r.state != Superseded && r.state != Absent && r.state != Invalid
}

// next is when a patient is asked about again: a tenth of the cadence is left to chance, so that those who were asked about together
// are not for ever.
func (f *follower) next(id string, now time.Time) time.Time {
	h := fnv.New64a()
	_, _ = h.Write([]byte(id + now.String())) // a hash never fails
	spread := float64(h.Sum64()%2001)/1000 - 1
	return now.Add(f.Every + time.Duration(spread*float64(f.Every)/10))
}

// decide says what an answer makes of a patient: the row, and the resource as it is to stand.
func (f *follower) decide(r *row, local *fhir.Resource, a answer) (*fhir.Resource, error) {
	r.survivor, r.version, r.differs, r.pattern, r.probability = "", 0, nil, 0, 0
	switch a.what {
	case nobody:
		r.state = Absent
		return verified(local, Absent)
	case unusable:
		r.state = Invalid
		return verified(local, Invalid)
	}
	r.version = a.version
	result, one := f.onePerson(local, a.person)
	r.pattern, r.probability = result.Pattern, result.Probability
	if a.number.String() != r.number {
		r.state, r.survivor, r.version = Superseded, a.number.String(), 0
		return verified(local, Superseded)
	}
	if !one && r.base["person"].Kept != fingerprint(identity(a.person)) {
		r.state = Mismatch
		return verified(local, Mismatch)
	}
	restricted := restrictedTag(a.person)
	m, err := merge(local, a.person, r.base, restricted, restricted && r.state != Restricted)
	if err != nil {
		return nil, err
	}
	r.base, r.differs = m.base, m.differs
	switch {
	case restricted:
		r.state = Restricted
	case len(m.differs) > 0:
		r.state = Differs
	default:
		r.state = Traced
	}
	return verified(m.patient, r.state)
}

// onePerson compares the hospital's record with the authority's. One says that they are of one person: the birth date is the same and the
// names are not another's, as whoever traces by number asks; or all of it together makes it probable, one field being wrong.
func (f *follower) onePerson(local, national *fhir.Resource) (result match.Result, one bool) {
	day := f.k.Clock.Now().UTC().Format(time.DateOnly)
	a, b := match.FromPatient(local, day), match.FromPatient(national, day)
	result = match.Default().Score(&a, &b)
	p := result.Pattern
	named := p.Level(match.Family) != match.FamilyDiffers && p.Level(match.Given) != match.GivenDiffers && p.Level(match.Given) != match.GivenTwin &&
		p.Level(match.Family) != match.Missing
	return result, named && p.Level(match.Birth) == match.BirthSame || result.Verdict == match.Probable
}

// because is the reason of a copy, as the history of the record shows it.
func (f *follower) because(r *row, a answer) string {
	switch r.state {
	case Absent:
		return "the national register knows nobody by the NHS number"
	case Invalid:
		return "the number is marked as invalid in the national register"
	case Superseded:
		return "the number has given way to another in the national register"
	case Mismatch:
		return "the national register has somebody else under the NHS number"
	}
	return "copied from the national register, version " + itoa(a.version)
}

// local reads the hospital's Patient as the node's own part.
func (f *follower) local(ctx context.Context, id string) (record.Version, access.Grant, error) {
	place, err := f.k.Records.Locate(ctx, f.ref(id))
	if err != nil {
		return record.Version{}, access.Grant{}, err
	}
	g, err := f.k.Gate.Decide(ctx, f.self(), access.Read, place)
	if err != nil {
		return record.Version{}, g, err
	}
	v, err := f.k.Records.Read(ctx, g, f.ref(id))
	return v, g, err
}

// write puts down the row, and the Patient where it is another: one commit, on the account.
func (f *follower) write(ctx context.Context, read access.Grant, local record.Version, patient *fhir.Resource, next *row, reason string) error {
	if patient == local.Resource || fhir.Equal(patient, local.Resource) {
		if err := f.k.Gate.Account(ctx, []access.Grant{read}, nil); err != nil {
			return err
		}
		next.compared = local.Ver
		return f.k.DB.Write(ctx, []store.Lane{f.lane(next.id)}, func(tx *store.Tx) error { return next.put(tx, f, local.Ver) })
	}
	return f.change(ctx, f.self(), local, patient, reason, func(tx *store.Tx, v record.Version) error {
		next.ver, next.compared = v.Ver, v.Ver
		return next.put(tx, f, v.Ver)
	})
}

// change writes a new version of the hospital's Patient for somebody, and what belongs to it in the same commit.
func (f *follower) change(ctx context.Context, by access.Principal, local record.Version, patient *fhir.Resource, reason string, also func(tx *store.Tx, v record.Version) error) error {
	if err := f.k.Sound(ctx, patient, local.Resource); err != nil {
		return err
	}
	d, err := f.k.Records.Prepare(ctx, record.Change{Verb: record.Put, Ref: local.Ref, Resource: patient, IfMatch: local.Ver, Reason: reason})
	if err != nil {
		return err
	}
	grants, err := f.k.Gate.DecideAll(ctx, by, d.Acts())
	if err != nil {
		return err
	}
	return f.k.Gate.Act(ctx, grants, append(d.Lanes(), f.lane(local.ID)), func(tx *store.Tx) error {
		out, err := f.k.Records.Apply(tx, d, grants...)
		if err != nil {
			return err
		}
		return also(tx, out.Version)
	})
}

// link is the way to the authority, as it is known.
type link struct {
	answered, failing, again, paused time.Time
	tries                            int
	err, pausedBy, reason            string
}

func (f *follower) linkLane() store.Lane { return f.k.DB.LaneOf(f.Tenant.String(), "replica-link") }

// link is what is known of the way to the authority; the zero link when it was never gone.
func (f *follower) link(ctx context.Context) (link, error) {
	var l link
	err := f.k.DB.Read(ctx, func(tx *store.Tx) (err error) {
		l, err = f.linkIn(tx)
		return err
	})
	return l, err
}

func (f *follower) linkIn(tx *store.Tx) (link, error) {
	var l link
	var answered, failing, again, paused, tries int64
	err := tx.QueryRow(`SELECT answered, failing, tries, again, error, paused, paused_by, reason FROM replica_link WHERE lane = ? AND tenant = ?`,
		int64(f.linkLane()), f.Tenant.String()).Scan(&answered, &failing, &tries, &again, &l.err, &paused, &l.pausedBy, &l.reason)
	if fault.Is(err, fault.NotFound) {
		return l, nil
	}
	l.answered, l.failing, l.again, l.paused, l.tries = timeOf(answered), timeOf(failing), timeOf(again), timeOf(paused), int(tries)
	return l, err
}

// onLink changes what is known of the way to the authority.
func (f *follower) onLink(ctx context.Context, change func(l *link, now time.Time)) error {
	return f.k.DB.Write(ctx, []store.Lane{f.linkLane()}, func(tx *store.Tx) error {
		l, err := f.linkIn(tx)
		if err != nil {
			return err
		}
		change(&l, tx.At())
		return f.putLink(tx, l)
	})
}

func (f *follower) putLink(tx *store.Tx, l link) error {
	_, err := tx.Exec(`INSERT INTO replica_link (lane, tenant, answered, failing, tries, again, error, paused, paused_by, reason) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (lane, tenant) DO UPDATE SET answered = excluded.answered, failing = excluded.failing, tries = excluded.tries, again = excluded.again, error = excluded.error,
		paused = excluded.paused, paused_by = excluded.paused_by, reason = excluded.reason`,
		int64(f.linkLane()), f.Tenant.String(), micros(l.answered), micros(l.failing), int64(l.tries), micros(l.again), l.err, micros(l.paused), l.pausedBy, l.reason)
	return err
}

// reachedEvery is how often it is written down that the authority answers, while it does.
const reachedEvery = time.Minute

// reached notes that the authority answers.
func (f *follower) reached(ctx context.Context) error {
	l, err := f.link(ctx)
	if err != nil || l.failing.IsZero() && f.k.Clock.Now().Sub(l.answered) < reachedEvery {
		return err
	}
	return f.onLink(ctx, func(l *link, now time.Time) {
		l.answered, l.failing, l.again, l.tries, l.err = now, time.Time{}, time.Time{}, 0, ""
	})
}

// failed notes that the authority could not be asked about a patient: they are asked about again later, and so is everybody else.
func (f *follower) failed(ctx context.Context, r row, u *unreachable) error {
	ctx = context.WithoutCancel(ctx)
	pause := func(tries int) time.Duration {
		return max(min(againFirst<<max(0, min(tries, 10)), againMost), u.after)
	}
	err := f.k.DB.Write(ctx, []store.Lane{f.lane(r.id)}, func(tx *store.Tx) error {
		_, err := tx.Exec(`UPDATE replica_person SET tries = tries + 1, due = ? WHERE lane = ? AND tenant = ? AND id = ?`,
			tx.At().Add(pause(r.tries)).UnixMicro(), int64(f.lane(r.id)), f.Tenant.String(), r.id)
		return err
	})
	return errors.Join(err, f.onLink(ctx, func(l *link, now time.Time) {
		if l.failing.IsZero() {
			l.failing = now
		}
		l.tries++
		if l.tries >= inARow || u.after > 0 {
			l.again = now.Add(pause(l.tries - inARow))
		}
		l.err = strings.ToValidUTF8(u.why[:min(len(u.why), 200)], "")
	}))
}

// againNow lets the next round begin although the way to the authority has failed a moment ago.
func againNow(l *link, _ time.Time) { l.again = time.Time{} }
