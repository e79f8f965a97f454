package hospital

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/network"
	"github.com/openspine/openspine/store"
)

// A clinic that must see somebody while there is no line may put them into a slot that the spine owns. The slot stays the spine's: it may have booked it meanwhile, so this is a possible clash, and no booking. The
// spine is asked for the slot with the same act; once there is a line again a person settles it: they are booked there when the slot has come back free, or get another time where somebody else was booked.

// Override is somebody in a slot that is not the hospital's.
type Override struct {
	Session, Slot, Who string
	Reason, Actor      string
	At, Settled        time.Time
	How                string // how it was settled
	// Come is what came of it, which the spine is told when the clash is settled; nil while nothing is written down.
	Come *comeByHand
}

// How an override was settled.
const (
	settledTaken    = "taken"     // they are booked in that slot, which came back
	settledMoved    = "moved"     // they have another time
	settledBooked   = "booked"    // the spine had booked them there itself
	settledSeen     = "seen"      // they were seen there, and the spine is told
	settledTakenOff = "taken-off" // they were not put there after all
	settledGone     = "gone"      // the referral is not this hospital's any more
)

// How an open override stands.
const (
	clashWaits = "waits" // the spine has not answered yet
	clashFree  = "free"  // the slot is the hospital's again, and nobody else is in it
	clashReal  = "clash" // somebody else is booked there
	clashOver  = "over"  // the time has passed as the spine's, who has told since of all that it knows: nobody else is booked there any more, and the slot does not come back
)

func (o *Outpatients) overridesIn(tx *store.Tx, hospital ident.ODSCode, cond string, args ...any) (list []Override, err error) {
	err = rowsOf(tx, func(r *store.Rows) error {
		var x Override
		var at, settled int64
		var come string
		if err := r.Scan(&x.Session, &x.Slot, &x.Who, &x.Reason, &x.Actor, &at, &settled, &x.How, &come); err != nil {
			return err
		}
		x.At, x.Settled = fromMicros(at), fromMicros(settled)
		if come != "" {
			x.Come = new(comeByHand)
			if err := json.Unmarshal([]byte(come), x.Come); err != nil {
				return fault.Wrap(err, fault.Internal, "what came of an appointment cannot be read")
			}
		}
		list = append(list, x)
		return nil
	}, `SELECT session, slot, who, reason, actor, at, settled, how, come FROM hospital_override WHERE lane = ? AND tenant = ? AND `+cond+` ORDER BY at, session, slot, who`, append([]any{int64(o.lane(hospital)), hospital.String()}, args...)...)
	return list, err
}

// clash is how an open override stands, and who else is in the slot.
func (o *Outpatients) clash(tx *store.Tx, hospital ident.ODSCode, x Override) (state string, other *Booked, err error) {
	booked, err := o.bookedAt(tx, hospital, x.Session, x.Slot)
	if err != nil {
		return "", nil, err
	}
	for _, b := range booked {
		if !b.Changing && b.Who != x.Who {
			return clashReal, &b, nil
		}
	}
	slots, err := o.slotsWhere(tx, hospital, `session = ? AND id = ?`, x.Session, x.Slot)
	if err != nil || len(slots) == 0 {
		return clashWaits, nil, err
	}
	if booking.Hospital.Owns(slots[0].Epoch) {
		return clashFree, nil, nil
	}
	s, err := o.standingIn(tx, hospital)
	if err == nil && s.Complete.After(slots[0].Starts) && s.Complete.After(x.At) {
		return clashOver, nil, nil
	}
	return clashWaits, nil, err
}

// cutOff reports whether there is no line to the spine now.
func (o *Outpatients) cutOff(ctx context.Context) (bool, error) {
	if o.cut != nil {
		return o.cut(), nil
	}
	peer, err := o.k.Network.Route(o.k.National)
	if fault.Is(err, fault.NotFound) {
		return false, nil // it is this node, or there is no spine
	}
	if err != nil {
		return false, err
	}
	l, err := o.k.Network.Link(ctx, peer)
	return err == nil && l.State != network.StateUp, err
}

// Override puts somebody into a slot of the spine's while there is no line, and asks for the slot back. Errors: fault.Conflict while there is a line, or when the slot is the hospital's own, somebody is in it, or the
// referral does not wait for a time or have one; fault.Invalid without a reason; those of the rules.
func (o *Outpatients) Override(ctx context.Context, by access.Principal, hospital ident.ODSCode, ubrn, session, slot, reason string) error {
	if reason = strings.TrimSpace(reason); reason == "" || utf8.RuneCountInString(reason) > mostText {
		return fault.New(fault.Invalid, "Say why in 1 to %d characters: whoever settles a clash reads it.", mostText)
	}
	cut, err := o.cutOff(ctx)
	if err != nil {
		return err
	}
	if !cut {
		return fault.New(fault.Conflict, "The spine can be reached: ask it for the slot, or choose one of the hospital's own.")
	}
	return o.onCaseIn(ctx, by, hospital, ubrn, false, []string{ubrn, session}, func(tx *store.Tx, c Case) error {
		came, err := o.cameIn(tx, hospital, c)
		if err != nil {
			return err
		}
		if !slices.Contains(offered(c, came, true), offerBook) {
			return fault.New(fault.Conflict, "No time is to be found for this referral as it stands now.")
		}
		if err := o.overridable(tx, hospital, ubrn, session, slot); err != nil {
			return err
		}
		_, err = tx.Exec(`INSERT INTO hospital_override (lane, tenant, session, slot, who, reason, actor, at, settled, how, come) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, '', '')
			ON CONFLICT (lane, tenant, session, slot, who) DO UPDATE SET reason = excluded.reason, actor = excluded.actor, at = excluded.at, settled = 0, how = '', come = ''`,
			int64(o.lane(hospital)), hospital.String(), session, slot, ubrn, reason, by.Name, tx.At().UnixMicro())
		if err != nil {
			return err
		}
		if _, err := send(o, tx, hospital, booking.WorkflowRecall, session, booking.Recall{Session: session, Slots: []string{slot}, ByHand: true, Reason: reason}); err != nil {
			return err
		}
		return o.event(tx, hospital, ubrn, "override", reason, by.Name)
	})
}

// mostOnOffer is of how many who wait it is looked whether they are offered a time.
const mostOnOffer = 1000

// onOffer are the slots, by session and id, that the spine offers to others than one person, as far as the hospital has been told, and until when.
func (o *Outpatients) onOffer(tx *store.Tx, hospital ident.ODSCode, but ident.UBRN) (until map[[2]string]time.Time, err error) {
	until = map[[2]string]time.Time{}
	waiting, err := o.casesIn(tx, hospital, `c.gone = 0 AND c.state = 'DEFERRED_TO_PROVIDER' ORDER BY c.ubrn LIMIT ?`, int64(mostOnOffer))
	for _, c := range waiting {
		if x := c.Offer; x != nil && c.UBRN != but {
			until[[2]string{x.Session, x.Slot}] = x.Until
		}
	}
	return until, err
}

// overridable refuses a slot that is not the spine's, or in which somebody is.
func (o *Outpatients) overridable(tx *store.Tx, hospital ident.ODSCode, ubrn, session, slot string) error {
	s, err := o.sessionIn(tx, hospital, session)
	if err != nil {
		return err
	}
	slots, err := o.slotsWhere(tx, hospital, `session = ? AND id = ?`, session, slot)
	if err != nil {
		return err
	}
	switch {
	case len(slots) == 0:
		return fault.New(fault.NotFound, "There is no such slot.")
	case s.State == sessionWithdrawn:
		return fault.New(fault.Conflict, "The session will not take place.")
	case booking.Hospital.Owns(slots[0].Epoch):
		return fault.New(fault.Conflict, "The slot is the hospital's own: book it.")
	case !slots[0].Ends.After(tx.At()):
		return fault.New(fault.Conflict, "That time has passed.")
	}
	booked, err := o.bookedAt(tx, hospital, session, slot)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(booked, func(b Booked) bool { return !b.Changing }) {
		return fault.New(fault.Conflict, "Somebody is booked in this slot.")
	}
	return o.notOverridden(tx, hospital, ubrn, session, slot)
}

// notOverridden refuses a slot into which another person was put by hand, and nobody has settled it yet.
func (o *Outpatients) notOverridden(tx *store.Tx, hospital ident.ODSCode, who, session, slot string) error {
	list, err := o.overridesIn(tx, hospital, `session = ? AND slot = ? AND who <> ? AND settled = 0`, session, slot, strings.TrimPrefix(who, followUpMark))
	if err == nil && len(list) > 0 && !o.seams.TwoByHand {
		err = fault.New(fault.Conflict, "Somebody was put into this slot by hand while there was no line. Settle that first.")
	}
	return err
}

// settleOverrides settles what is open of somebody: of one slot, or of all where none is named.
func (o *Outpatients) settleOverrides(tx *store.Tx, hospital ident.ODSCode, who, slot, how string) (int64, error) {
	cond, args := ``, []any{tx.At().UnixMicro(), how, int64(o.lane(hospital)), hospital.String(), who}
	if slot != "" {
		cond, args = ` AND slot = ?`, append(args, slot)
	}
	return tx.Exec(`UPDATE hospital_override SET settled = ?, how = ? WHERE lane = ? AND tenant = ? AND who = ? AND settled = 0`+cond, args...)
}

// TakeOff says that somebody is not in a slot into which they were put by hand: where they have no other time, they are on the list of those who wait for one. Error: fault.Conflict when there is nothing to settle.
func (o *Outpatients) TakeOff(ctx context.Context, by access.Principal, hospital ident.ODSCode, ubrn, slot string) error {
	return o.onCase(ctx, by, hospital, ubrn, false, func(tx *store.Tx, c Case) error {
		list, err := o.overridesIn(tx, hospital, `who = ? AND slot = ? AND settled = 0`, ubrn, slot)
		if err != nil {
			return err
		}
		for _, x := range list {
			if x.Come != nil {
				return fault.New(fault.Conflict, "It is written down what came of it: tell the spine instead.")
			}
			if err := o.dropArrival(tx, hospital, ubrn, x.Session, x.Slot); err != nil {
				return err
			}
		}
		n, err := o.settleOverrides(tx, hospital, ubrn, slot, settledTakenOff)
		if err == nil && n == 0 {
			err = fault.New(fault.Conflict, "That is settled already.")
		}
		if err != nil {
			return err
		}
		p := c.Pathway
		if c.Appointment == nil && p.Rebook.IsZero() && !c.Gone && !p.Closed {
			p.Rebook, p.Reason = tx.At(), ""
			if err := o.putPathway(tx, hospital, ubrn, p); err != nil {
				return err
			}
		}
		return o.event(tx, hospital, ubrn, "taken-off", "", by.Name)
	})
}
