package oauth

import (
	"math"
	"net/http"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/signin/limit"
)

// Refused are how many requests were not looked at.
func (s *Server) Refused() limit.Refused { return s.guard.Refused() }

// callerOf is a client where it calls from.
func callerOf(r *http.Request, client string) limit.Caller {
	return limit.Caller{Client: client, Address: limit.Address(r)}
}

// later is a refusal with when to come again (RFC 6585 section 4).
func later(wait time.Duration, description string) error {
	seconds := max(1, int(math.Ceil(wait.Seconds())))
	return fault.Wrap(&refusal{http.StatusTooManyRequests, temporarilyUnavail, description, seconds}, fault.TooMany, "%s", description)
}

// listens is fault.TooMany for a caller whose proofs were wrong too often, unless it has been right from there.
func (s *Server) listens(c limit.Caller) error {
	left, known := s.guard.Shut(c)
	if left == 0 || known {
		return nil
	}
	s.guard.Deny()
	return tooManyWrong(left)
}

func tooManyWrong(left time.Duration) error {
	return later(left, "too many requests from this address did not show who they are from; wait as long as Retry-After says")
}

// wrong counts a proof that does not hold, and is what its sender is told: why, or, after too many, when to come again.
func (s *Server) wrong(c limit.Caller, why error) error {
	left, _ := s.guard.Shut(c)
	s.guard.Wrong(c)
	if left == 0 {
		return why
	}
	s.guard.Deny()
	return tooManyWrong(left)
}

// turn takes a turn of a client: of its own when it has shown who it is, or else where it is.
func (s *Server) turn(r *http.Request, c Client) error {
	var wait time.Duration
	if c.Kind == Public {
		wait = s.guard.TurnAt(callerOf(r, c.ID))
	} else {
		s.guard.Right(callerOf(r, c.ID))
		wait = s.guard.Turn(c.ID)
	}
	if wait == 0 {
		return nil
	}
	return later(wait, "the client sends more requests a minute than it may; wait as long as Retry-After says")
}
