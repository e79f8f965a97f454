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

// days are from when on, and until when, somebody is of the age that a service takes; zero for no limit, or where it is not known when they were born.
func (p Person) days(takes directory.HealthcareService) (from, until time.Time) {
	born, err := time.Parse(time.DateOnly, p.Resource.Get("birthDate").String())
	if err != nil {
		return from, until
	}
	if takes.Youngest > 0 {
		from = birthday(born, takes.Youngest)
	}
	if takes.Oldest >= 0 {
		until = birthday(born, takes.Oldest+1)
	}
	return from, until
}

// ages are the days on which a service takes the person of a chart by their age; zero for no limit.
func (s *Referrals) ages(tx *store.Tx, chart, service string) (from, until time.Time, err error) {
	takes, err := s.places.Takes(tx, service)
	if fault.Is(err, fault.NotFound) || err == nil && takes.Youngest <= 0 && takes.Oldest < 0 {
		return from, until, nil
	}
	if err != nil {
		return from, until, err
	}
	person, err := s.personIn(tx, chart)
	if err == nil {
		from, until = person.days(takes)
	}
	return from, until, err
}

// agesOf is ages outside a transaction.
func (s *Referrals) agesOf(ctx context.Context, chart, service string) (from, until time.Time, err error) {
	err = s.read(ctx, func(tx *store.Tx) error {
		from, until, err = s.ages(tx, chart, service)
		return err
	})
	return from, until, err
}

// ofAge refuses a time at which somebody is not of the age that its service takes: they were when they were referred perhaps, and have a birthday before they are seen. Whom the hospital itself gives
// a time is for the hospital to say. Error: ErrAge.
func (s *Referrals) ofAge(tx *store.Tx, chart, service string, at time.Time) error {
	from, until, err := s.ages(tx, chart, service)
	switch {
	case err != nil:
		return err
	case at.Before(from):
		return fault.Wrap(ErrAge, fault.Unprocessable, "On that day they are too young for this service: choose a time from %s on, or another service.", format.Date(from))
	case !until.IsZero() && !at.Before(until):
		return fault.Wrap(ErrAge, fault.Unprocessable, "On that day they are too old for this service: choose a time before %s, or ask the practice for another service.", format.Date(until))
	}
	return nil
}
