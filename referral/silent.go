package referral

import (
	"time"

	"github.com/openspine/openspine/ident"
)

// Silent is since when nothing has been heard of a hospital whose node is not this one, when that is longer than Options.Silence; zero otherwise. A free time of such a hospital can be booked, for it is the spine's
// alone, and nobody there can give it away; but nobody there would know. So it is offered to be asked for, and is told as booked once the hospital has been heard of again, which is told of it at once.
func (s *Referrals) Silent(hospital ident.ODSCode) time.Time {
	if s.o.Heard == nil || hospital.IsZero() {
		return time.Time{}
	}
	at, away := s.o.Heard(hospital)
	if !away || s.k.Clock.Now().Sub(at) <= s.o.Silence {
		return time.Time{}
	}
	return at
}

// unheard notes on a referral whether its hospital may not know of the appointment yet.
func (s *Referrals) unheard(r *Referral) {
	r.Unheard = time.Time{}
	if r.State != Booked || r.Asked != nil || r.Appointment.Theirs || r.Arranged == nil {
		return
	}
	if at := s.Silent(r.Provider()); !at.IsZero() && r.Arranged.Created.After(at) {
		r.Unheard = at
	}
}
