package booking

import (
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/web/format"
)

// clocksApart is how far a hospital's clock may be ahead of the spine's before the spine thinks that what it is told has not happened yet.
const clocksApart = time.Hour

// Come reports whether it can be said at an instant that somebody is at an appointment, or was seen (visit is one of the Visit states): from the beginning of its day in the United
// Kingdom, for people are seen before their time; and that they did not come, from its beginning. Errors: fault.Conflict, which says from when.
func Come(visit string, start, at time.Time) error {
	switch visit {
	case VisitArrived, VisitAttended:
		if day := format.Midnight(start); at.Before(day) {
			return fault.New(fault.Conflict, "The appointment is on %s. Nobody can be at it before that day.", format.Date(start))
		}
	case VisitMissed:
		if at.Before(start) {
			return fault.New(fault.Conflict, "The appointment is at %s. Until then nobody has missed it.", format.DateTime(start))
		}
	}
	return nil
}

// CameTold is Come for what a hospital told, whose clock may be ahead.
func CameTold(visit string, start, at time.Time) error {
	return Come(visit, start, at.Add(clocksApart))
}
