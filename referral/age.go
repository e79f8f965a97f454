package referral

import (
	"context"
	"errors"
	"time"

	"github.com/openspine/openspine/directory"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/web/format"
)

// ErrAge says that somebody will be too young, or too old, for a service on the day of an appointment; errors.Is finds it.
var ErrAge = errors.New("referral: the person is not of the age that the service takes on that day")

// ErrSex says that a service takes the other sex only; errors.Is finds it.
var ErrSex = errors.New("referral: the person is not of the sex that the service takes")

// Age is in whole years on the day of a time, where the hospitals are; -1 where it is not known. Whoever was born on 29 February is a year older on 1 March of a year that has no such day.
func (p Person) Age(at time.Time) int {
	born, err := time.Parse(time.DateOnly, p.Resource.Get("birthDate").String())
	if err != nil {
		return -1
	}
	age := format.Midnight(at).Year() - born.Year()
	if at.Before(birthday(born, age)) {
		age--
	}
	return max(age, 0)
}

// birthday is when the day begins on which somebody is so many years old.
func birthday(born time.Time, years int) time.Time {
	return format.Begins(time.Date(born.Year()+years, born.Month(), born.Day(), 0, 0, 0, 0, time.UTC))
}

// fit is when a service takes somebody: from when on, and until when, by their age; zero for no limit, or where it is not known when they were born. Only is the sex that it takes where they are of the other one;
// empty for no limit, or where the register does not say.
type fit struct {
	from, until time.Time
	only        string
}

// fit is that of a service.
func (p Person) fit(takes directory.HealthcareService) (f fit) {
	if sex := p.Sex(); sex != "" && takes.Sex != "" && takes.Sex != sex {
		f.only = takes.Sex
	}
	born, err := time.Parse(time.DateOnly, p.Resource.Get("birthDate").String())
	if err != nil {
		return f
	}
	if takes.Youngest > 0 {
		f.from = birthday(born, takes.Youngest)
	}
	if takes.Oldest >= 0 {
		f.until = birthday(born, takes.Oldest+1)
	}
	return f
}

// fitsAll are those of services whose limits they meet on some days only, or never, as far ahead as free times are shown. By their ids.
func (p Person) fitsAll(list []directory.FoundService, now time.Time) map[string]fit {
	fits, age, sex := map[string]fit{}, p.Age(now), p.Sex()
	for _, x := range list {
		if sex != "" && x.Sex != "" && x.Sex != sex || age >= 0 && (x.Youngest > age || x.Oldest >= 0 && x.Oldest-age <= shownAhead) {
			fits[x.ID] = p.fit(directory.HealthcareService{Sex: x.Sex, Youngest: x.Youngest, Oldest: x.Oldest})
		}
	}
	return fits
}

// at refuses a time at which the service does not take them. Errors: ErrSex, ErrAge.
func (f fit) at(t time.Time) error {
	switch {
	case f.only != "":
		return fault.Wrap(ErrSex, fault.Unprocessable, "This service takes %s patients only: choose another service, or ask the hospital to find a date.", f.only)
	case t.Before(f.from):
		return fault.Wrap(ErrAge, fault.Unprocessable, "On that day they are too young for this service: choose a time from %s on, or another service.", format.Date(f.from))
	case !f.until.IsZero() && !t.Before(f.until):
		return fault.Wrap(ErrAge, fault.Unprocessable, "On that day they are too old for this service: choose a time before %s, or ask the practice for another service.", format.Date(f.until))
	}
	return nil
}

// unfit reports whether a time was refused because the service does not take the person then.
func unfit(err error) bool { return errors.Is(err, ErrAge) || errors.Is(err, ErrSex) }

// fits is when a service takes the person of a chart, as the directory and the register say now; no limit for no chart.
func (s *Referrals) fits(tx *store.Tx, chart, service string) (f fit, err error) {
	if chart == "" {
		return f, nil
	}
	takes, err := s.places.Takes(tx, service)
	if fault.Is(err, fault.NotFound) || err == nil && takes.Sex == "" && takes.Youngest <= 0 && takes.Oldest < 0 {
		return f, nil
	}
	if err != nil {
		return f, err
	}
	person, err := s.personIn(tx, chart)
	if err == nil {
		f = person.fit(takes)
	}
	return f, err
}

// fitsOf is fits outside a transaction.
func (s *Referrals) fitsOf(ctx context.Context, chart, service string) (f fit, err error) {
	err = s.read(ctx, func(tx *store.Tx) error {
		f, err = s.fits(tx, chart, service)
		return err
	})
	return f, err
}

// fitAt refuses a time at which its service does not take somebody: it did when they were referred perhaps, but they have a birthday before they are seen, or the service's limits or what the register says of their
// sex have changed since. Whom the hospital itself gives a time is for the hospital to say. Errors: ErrAge, ErrSex.
func (s *Referrals) fitAt(tx *store.Tx, chart, service string, at time.Time) error {
	f, err := s.fits(tx, chart, service)
	if err != nil {
		return err
	}
	return f.at(at)
}
