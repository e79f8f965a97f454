package referral

import (
	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/store"
)

// Once makes what a request asks happen once, however often the request comes: whoever took it notes, in the same write as the act, that it was done. So there is no
// moment at which the act is done and its note is not there.
type Once struct {
	Lane store.Lane // in which it is noted
	// Before is called first in the write. An error says that the request was done already: then nothing is done.
	Before func(tx *store.Tx) error
	// After notes that the request was done, and what the referral is then.
	After func(tx *store.Tx, r Referral) error
}

// lanes are those that the note needs.
func (o *Once) lanes() []store.Lane {
	if o == nil {
		return nil
	}
	return []store.Lane{o.Lane}
}

func (o *Once) before(tx *store.Tx) error {
	if o == nil {
		return nil
	}
	return o.Before(tx)
}

func (o *Once) after(tx *store.Tx, r Referral, err error) error {
	if o == nil || err != nil {
		return err
	}
	return o.After(tx, r)
}

// atOnce does what a draft asks to be done with its referral in the write that makes it: book a slot, or hand the patient over to one of the services, whatever is free there, so that the
// provider finds a date.
func (s *Referrals) atOnce(tx *store.Tx, p access.Principal, r Referral, w Work) (Referral, error) {
	a := Act{Kind: w.Kind, By: actorOf(p, Referrer), At: tx.At(), Service: w.Service}
	switch w.Kind {
	case ActDefer:
	case ActBook:
		var err error
		if a.Appointment, a.Service, err = s.take(tx, r, w); err != nil {
			return r, err
		}
		if err := s.fitAt(tx, r.Chart, a.Service, a.Appointment.Start); err != nil {
			return r, err
		}
	default:
		return r, fault.New(fault.Invalid, "A new referral is booked or handed over at once, or neither.")
	}
	return s.commit(tx, r, a)
}
