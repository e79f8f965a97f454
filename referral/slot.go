package referral

import (
	"cmp"
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/web/format"
)

// Slot is a time at which somebody can be seen.
type Slot struct {
	SlotRef
	Epoch     booking.Epoch
	Base      booking.Epoch // since which it is its owner's: what bookings name
	Service   string
	Start     time.Time
	End       time.Time
	Clinician string // as a name
	// ClinicianID is the same as a user id; empty where it is not known.
	ClinicianID string
}

// The states of a slot that the spine owns.
const (
	slotFree int64 = iota
	slotBooked
	slotGone // withdrawn with its session
)

// slotRow is a slot as it stands in its row.
type slotRow struct {
	Slot
	state    int64
	ubrn     string
	chart    string
	holder   string
	held     time.Time // until when
	recalled int64
}

// How a slot was asked back.
const (
	notRecalled int64 = iota
	askedBack
	withdrawn // its session will not take place
)

const slotColumns = `provider, session, slot, epoch, base, service, starts, ends, clinician, clinician_id, state, ubrn, chart, holder, held, recalled`

func (x *slotRow) fields() (dest []any, done func() error) {
	var provider string
	var starts, ends, held int64
	return []any{&provider, &x.Session, &x.SlotRef.Slot, &x.Epoch, &x.Base, &x.Service, &starts, &ends, &x.Clinician, &x.ClinicianID, &x.state, &x.ubrn, &x.chart, &x.holder, &held, &x.recalled}, func() (err error) {
		x.Start, x.End, x.held = fromMicros(starts), fromMicros(ends), fromMicros(held)
		x.Provider, err = ident.ParseODSCode(provider)
		return err
	}
}

// slots are the rows that a query answers with.
func (s *Referrals) slots(tx *store.Tx, query string, args ...any) (list []slotRow, err error) {
	rows, err := tx.Query(`SELECT `+slotColumns+` FROM referral_slot `+query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var x slotRow
		dest, done := x.fields()
		if err := rows.Scan(dest...); err != nil {
			return nil, err
		}
		if err := done(); err != nil {
			return nil, fault.Wrap(err, fault.Internal, "a slot's provider cannot be read")
		}
		list = append(list, x)
	}
	return list, rows.Err()
}

// slot is one slot's row; fault.NotFound when the spine never had it.
func (s *Referrals) slot(tx *store.Tx, ref SlotRef) (slotRow, error) {
	list, err := s.slots(tx, `WHERE lane = ? AND provider = ? AND session = ? AND slot = ?`, int64(s.sessionLane(ref.Session)), ref.Provider.String(), ref.Session, ref.Slot)
	if err != nil {
		return slotRow{}, err
	}
	if len(list) == 0 {
		return slotRow{}, fault.New(fault.NotFound, "There is no such slot.")
	}
	return list[0], nil
}

// serviceAt is the service whose slot one is; empty for one that the spine never had, and for one of a hospital's own system.
func (s *Referrals) serviceAt(ctx context.Context, ref SlotRef) (service string, err error) {
	if asksFor(ref) {
		return "", nil
	}
	err = s.read(ctx, func(tx *store.Tx) error {
		x, err := s.slot(tx, ref)
		service = x.Service
		return err
	})
	if fault.Is(err, fault.NotFound) {
		return "", nil
	}
	return service, err
}

// FreeSlots are the slots of a service that can be booked now, the earliest first, at most most; of a day when it is not zero. Held ones are left out,
// but for those that holder holds.
func (s *Referrals) FreeSlots(ctx context.Context, service string, from, to time.Time, holder string, most int) (list []Slot, err error) {
	if list, asked, err := s.askedSlots(ctx, service, from, to, most); err != nil || asked {
		return list, err
	}
	now := s.k.Clock.Now()
	if opens := now.Add(s.o.Freeze); from.Before(opens) {
		from = opens
	}
	if to.IsZero() {
		to = now.AddDate(shownAhead, 0, 0)
	}
	err = s.read(ctx, func(tx *store.Tx) error {
		list = list[:0]
		rows, err := tx.Query(`SELECT provider, session, slot, epoch, base, starts, ends, clinician, clinician_id FROM referral_slot
			WHERE service = ? AND state = 0 AND recalled = 0 AND starts >= ? AND starts < ? AND (held < ? OR holder = ?) AND epoch % 2 = 1 ORDER BY starts, provider, slot LIMIT ?`,
			service, from.UnixMicro(), to.UnixMicro(), now.UnixMicro(), holder, int64(most))
		if err != nil {
			return err
		}
		defer rows.Close()
		var provider, was string
		var starts, ends int64
		x := Slot{Service: service}
		for rows.Next() {
			if err := rows.Scan(&provider, &x.Session, &x.SlotRef.Slot, (*int64)(&x.Epoch), (*int64)(&x.Base), &starts, &ends, &x.Clinician, &x.ClinicianID); err != nil {
				return err
			}
			if provider != was { // most often they are all of one
				if x.Provider, err = ident.ParseODSCode(provider); err != nil {
					return fault.Wrap(err, fault.Internal, "a slot's provider cannot be read")
				}
				was = provider
			}
			x.Start, x.End = fromMicros(starts), fromMicros(ends)
			list = append(list, x)
		}
		return rows.Err()
	})
	return list, err
}

// Hold keeps a slot for whoever is deciding, for a few minutes; what they held before is let go: one time for each holder. Holder is any secret or number of theirs. What is offered to them stays held.
// Error: see Taken.
func (s *Referrals) Hold(ctx context.Context, ref SlotRef, holder string) (until time.Time, err error) {
	if asksFor(ref) { // the hospital's own system holds nothing: it decides when it is asked
		return s.k.Clock.Now().Add(s.o.Hold), nil
	}
	for range 5 {
		var before []slotRow
		err = s.read(ctx, func(tx *store.Tx) error {
			before, err = s.heldBy(tx, holder, ref)
			return err
		})
		if err != nil {
			return until, err
		}
		lanes := []store.Lane{s.sessionLane(ref.Session)}
		for _, x := range before {
			lanes = append(lanes, s.sessionLane(x.Session))
		}
		err = s.k.DB.Write(ctx, lanes, func(tx *store.Tx) (err error) {
			until, err = s.hold(tx, ref, holder)
			return err
		})
		if !moved(err) {
			break
		}
	}
	if _, gone := Taken(err); !gone {
		return until, err
	}
	var chart string // empty where a holder is no referral: a program that holds a time for nobody yet
	if u, none := ident.ParseUBRN(holder); none == nil {
		if chart, none = s.ownerOf(ctx, u); none != nil && !fault.Is(none, fault.NotFound) {
			return until, none
		}
	}
	return until, s.withNext(ctx, err, holder, chart)
}

// hold is Hold in its transaction.
func (s *Referrals) hold(tx *store.Tx, ref SlotRef, holder string) (until time.Time, err error) {
	x, err := s.slot(tx, ref)
	if err == nil {
		err = s.sure(tx, ref.Provider)
	}
	if err == nil {
		err = s.bookable(x, holder, tx.At())
	}
	if err != nil {
		return until, err
	}
	before, err := s.heldBy(tx, holder, ref)
	if err != nil {
		return until, err
	}
	for _, b := range before {
		if !tx.Holds(s.sessionLane(b.Session)) {
			return until, errMoved()
		}
		s.supply.changed(tx, b.Service)
		if err := tx.Queue(`UPDATE referral_slot SET holder = '', held = 0 WHERE lane = ? AND provider = ? AND session = ? AND slot = ? AND holder = ?`,
			int64(s.sessionLane(b.Session)), b.Provider.String(), b.Session, b.SlotRef.Slot, holder); err != nil {
			return until, err
		}
	}
	until = tx.At().Add(s.o.Hold)
	if x.holder == holder && x.held.After(until) {
		until = x.held // it was offered to them for longer
	}
	s.supply.changed(tx, x.Service)
	_, err = tx.Exec(`UPDATE referral_slot SET holder = ?, held = ? WHERE lane = ? AND provider = ? AND session = ? AND slot = ?`,
		holder, until.UnixMicro(), int64(s.sessionLane(ref.Session)), ref.Provider.String(), ref.Session, ref.Slot)
	return until, err
}

// heldBy are the slots that somebody holds beside one, but for those that are offered to the referral of that number.
func (s *Referrals) heldBy(tx *store.Tx, holder string, but SlotRef) ([]slotRow, error) {
	offered := SlotRef{}
	if u, err := ident.ParseUBRN(holder); err == nil {
		chart, err := s.chartOf(tx, u)
		if err == nil {
			var r Referral
			if r, err = s.load(tx, chart, u); err == nil && r.Offer != nil {
				offered = r.Offer.SlotRef
			}
		}
		if err != nil && !fault.Is(err, fault.NotFound) {
			return nil, err
		}
	}
	list, err := s.slots(tx, `WHERE holder = ? AND held > 0 AND state = ?`, holder, slotFree)
	return slices.DeleteFunc(list, func(x slotRow) bool { return x.SlotRef == but || x.SlotRef == offered }), err
}

// taken is a slot that cannot be booked any more, with those that can.
type taken struct {
	cause   error
	service string
	from    time.Time
	next    []Slot
}

// Error is the cause's.
func (t *taken) Error() string { return t.cause.Error() }

// Unwrap is a fault that says it in words.
func (t *taken) Unwrap() error {
	if len(t.next) == 0 {
		return t.cause
	}
	times := make([]string, len(t.next))
	for i, x := range t.next {
		times[i] = format.DateTime(x.Start)
	}
	return fault.New(fault.Conflict, "%s The next free times are %s.", fault.MessageOf(t.cause), strings.Join(times, ", "))
}

// Taken reports whether an act failed because its slot is gone, held by somebody else, or too near, and which free ones come next.
func Taken(err error) (next []Slot, ok bool) {
	var t *taken
	if !errors.As(err, &t) {
		return nil, false
	}
	return t.next, true
}

// withNext adds to a refusal what the person of a chart can book instead.
func (s *Referrals) withNext(ctx context.Context, err error, holder, chart string) error {
	var t *taken
	if errors.As(err, &t) && t.service != "" {
		f, failed := s.fitsOf(ctx, chart, t.service)
		if failed != nil || f.only != "" {
			return cmp.Or(failed, err)
		}
		from := t.from
		if from.Before(f.from) {
			from = f.from
		}
		next, failed := s.FreeSlots(ctx, t.service, from, f.until, holder, 3)
		if failed == nil && len(next) == 0 {
			next, failed = s.FreeSlots(ctx, t.service, f.from, f.until, holder, 3)
		}
		if failed != nil {
			return failed
		}
		t.next = next
	}
	return err
}

// bookable refuses a slot that the spine does not own, that somebody has or holds, and one that begins too soon.
func (s *Referrals) bookable(x slotRow, holder string, now time.Time) error {
	no := func(words string) error {
		return &taken{cause: fault.New(fault.Conflict, "%s", words), service: x.Service, from: x.Start}
	}
	mine := holder != "" && x.holder == holder && x.held.After(now)
	switch {
	case !x.Start.After(now):
		return no("That time has passed.")
	case x.Start.Before(now.Add(s.o.Freeze)):
		return no("That time is too near to be booked here: telephone the hospital.")
	case x.state != slotFree || !booking.Spine.Owns(x.Epoch) || x.recalled == withdrawn:
		return no("That time has been taken.")
	case !mine && (x.recalled != notRecalled || x.held.After(now)):
		return no("Somebody else is booking that time.")
	}
	return nil
}

// ErrSlot says that a slot is free and yet not one that was asked for: of another service, or another clinician's; errors.Is finds it.
var ErrSlot = errors.New("referral: the slot is not one of those that were asked for")

// take finds a referral's slot free, in the transaction that books it.
func (s *Referrals) take(tx *store.Tx, was Referral, w Work) (*Appointment, string, error) {
	if !tx.Holds(s.sessionLane(w.Slot.Session)) {
		return nil, "", errMoved()
	}
	x, err := s.slot(tx, w.Slot)
	if fault.Is(err, fault.NotFound) {
		return nil, "", &taken{cause: fault.New(fault.Conflict, "That time has been taken."), service: w.Service}
	}
	if err == nil {
		err = s.sure(tx, x.Provider)
	}
	if err == nil {
		holder := w.Holder
		if x.holder == was.UBRN.String() {
			holder = x.holder // it is offered to them
		}
		err = s.bookable(x, holder, tx.At())
	}
	if err != nil {
		return nil, "", err
	}
	if w.Service != "" && w.Service != x.Service {
		return nil, "", fault.Wrap(ErrSlot, fault.Invalid, "The slot is of another service.")
	}
	if w.Clinician != "" && w.Clinician != x.ClinicianID {
		return nil, "", fault.Wrap(ErrSlot, fault.Unprocessable, "The slot is another clinician's.")
	}
	return &Appointment{SlotRef: x.SlotRef, Epoch: int64(x.Base), Start: x.Start, End: x.End, Clinician: x.Clinician, ClinicianID: x.ClinicianID}, x.Service, nil
}

// moveSlots lets go of the slot that a referral leaves, and books that which it takes: once for each slot and epoch.
func (s *Referrals) moveSlots(tx *store.Tx, was, r Referral) error {
	if a := was.Appointment; a != nil && !a.Theirs && (r.Appointment == nil || *r.Appointment != *a) && a.Start.After(r.Changed) {
		lane := int64(s.sessionLane(a.Session))
		err := tx.Queue(`DELETE FROM referral_booking WHERE lane = ? AND provider = ? AND session = ? AND slot = ? AND epoch = ? AND ubrn = ?`,
			lane, a.Provider.String(), a.Session, a.Slot, a.Epoch, r.UBRN.String())
		if err != nil {
			return err
		}
		err = tx.Queue(`UPDATE referral_slot SET state = CASE WHEN recalled = ? THEN CAST(? AS BIGINT) ELSE CAST(? AS BIGINT) END, ubrn = '', chart = '', holder = '', held = 0 WHERE lane = ? AND provider = ? AND session = ? AND slot = ? AND base = ? AND ubrn = ?`,
			withdrawn, slotGone, slotFree, lane, a.Provider.String(), a.Session, a.Slot, a.Epoch, r.UBRN.String())
		if err != nil {
			return err
		}
		s.supply.changed(tx)
	}
	a := r.Appointment
	if a == nil || a.Theirs || was.Appointment != nil && *was.Appointment == *a {
		return nil
	}
	lane := int64(s.sessionLane(a.Session))
	err := tx.Queue(`INSERT INTO referral_booking (lane, provider, session, slot, epoch, ubrn) VALUES (?, ?, ?, ?, ?, ?)`, lane, a.Provider.String(), a.Session, a.Slot, a.Epoch, r.UBRN.String())
	if err != nil {
		return err
	}
	var service string
	err = tx.QueryRow(`UPDATE referral_slot SET state = ?, ubrn = ?, chart = ?, holder = '', held = 0 WHERE lane = ? AND provider = ? AND session = ? AND slot = ? AND base = ? AND epoch % 2 = 1 AND state = ? RETURNING service`,
		slotBooked, r.UBRN.String(), r.Chart, lane, a.Provider.String(), a.Session, a.Slot, a.Epoch, slotFree).Scan(&service)
	if fault.Is(err, fault.NotFound) {
		return &taken{cause: fault.New(fault.Conflict, "That time has been taken.")}
	}
	s.supply.changed(tx, service)
	return err
}

// deferrable refuses to leave to the provider what can be booked: at all, or in the slot that is said to be gone. Somebody whose booking was tried and failed may.
func (s *Referrals) deferrable(tx *store.Tx, chart string, w Work) error {
	switch {
	case w.Reason == "BOOKING_ATTEMPT_PROBLEM":
		return nil
	case w.Slot.Session == "":
		return s.noneFree(tx, chart, w.Service)
	}
	x, err := s.slot(tx, w.Slot)
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	if err == nil && s.bookable(x, "", tx.At()) == nil {
		return &slotsAvailable{fault.New(fault.Unprocessable, "This time is free: book it."), true}
	}
	return err
}

// noneFree refuses to defer while there are free slots (e-RS: SLOTS_CURRENTLY_AVAILABLE) that the person can have.
func (s *Referrals) noneFree(tx *store.Tx, chart, service string) error {
	opens := tx.At().Add(s.o.Freeze)
	f, err := s.fits(tx, chart, service)
	if err != nil || f.only != "" {
		return err
	}
	if f.from.After(opens) {
		opens = f.from
	}
	ends := int64(math.MaxInt64)
	if !f.until.IsZero() {
		ends = f.until.UnixMicro()
	}
	var n int64
	err = tx.QueryRow(`SELECT count(*) FROM (SELECT 1 FROM referral_slot WHERE service = ? AND `+onOffer+` AND starts < ? LIMIT 1) one`, service, opens.UnixMicro(), tx.At().UnixMicro(), ends).Scan(&n)
	if err == nil && (n > 0 || s.polled.offers(service, tx.At(), f)) {
		return &slotsAvailable{fault.New(fault.Unprocessable, "There are free times at this service now: choose one of them."), false}
	}
	return err
}

type slotsAvailable struct {
	cause error
	this  bool
}

// Error is the cause's.
func (e *slotsAvailable) Error() string { return e.cause.Error() }

// Unwrap is a fault that says it in words.
func (e *slotsAvailable) Unwrap() error { return e.cause }

// SlotsAvailable reports whether a referral was not deferred because the service has free slots; this, because the very slot that was said to be gone is one.
func SlotsAvailable(err error) (this, ok bool) {
	var e *slotsAvailable
	ok = errors.As(err, &e)
	return ok && e.this, ok
}

// lanesMoved says that an act must be begun again with other lanes: the referral has moved to another slot meanwhile.
type lanesMoved struct{ cause error }

// Error is the cause's.
func (e *lanesMoved) Error() string { return e.cause.Error() }

// Unwrap is a fault: tried again, it works.
func (e *lanesMoved) Unwrap() error { return e.cause }

func errMoved() error {
	return &lanesMoved{fault.New(fault.Unavailable, "The referral has changed at this moment; try again.")}
}

func moved(err error) bool {
	var e *lanesMoved
	return errors.As(err, &e)
}
