package events

import (
	"context"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/store"
)

// Standing is a subscription and how it is doing.
type Standing struct {
	ID           string
	Organisation ident.ODSCode
	Owner        string // the id of whoever subscribed
	Kind         string // the type of event, or of resource
	Criteria     string
	To           string // the mailbox, or the host of the address: the rest of it may be a secret
	Reason       string
	Status, Note string
	Made         time.Time
	Failing      time.Time // since when nothing was delivered; zero while it is
	Failures     int64
	Reached      time.Time
	Waiting      int64
	Parked       int64
}

// Standings lists the subscriptions of a node, in the order in which they were made, for whoever holds its data folder: it is on the account as by's.
func Standings(ctx context.Context, k catalogue.Kernel, by access.Principal) ([]Standing, error) {
	s := &service{k: k}
	err := k.DB.Write(ctx, []store.Lane{k.Gate.DeedLane(by)}, func(tx *store.Tx) error {
		return k.Gate.Record(ctx, tx, by, access.Deed{Action: string(access.Search), Basis: "command", Detail: "subscriptions"})
	})
	if err != nil {
		return nil, err
	}
	all, err := s.all(ctx)
	list := make([]Standing, len(all))
	for i := range all {
		q := &all[i]
		list[i] = Standing{ID: q.ID, Organisation: q.Organisation, Owner: q.Owner, Kind: q.Kind, Criteria: q.Criteria, To: q.host(), Reason: q.Reason, Status: q.Status, Note: q.Note, Made: q.Made,
			Failing: q.Failing, Failures: q.Failures, Reached: q.Reached, Waiting: q.waiting, Parked: q.parked}
	}
	return list, err
}

// Decide pauses a subscription, lets it go on (resume) or takes it away (delete), for whoever holds the data folder, for a reason: it is on the account as by's.
// Errors: fault.NotFound; fault.Conflict for one that is so already; fault.Invalid for a reason that is none.
func Decide(ctx context.Context, k catalogue.Kernel, by access.Principal, id, what, reason string) error {
	s := &service{k: k}
	if n := len([]rune(reason)); n < reasonMin || n > reasonMax {
		return fault.New(fault.Invalid, "Say why, in %d to %d characters: it is kept with what you do.", reasonMin, reasonMax)
	}
	q, err := s.current(ctx, id)
	switch {
	case err != nil:
		return err
	case what == "pause" && q.Status == off:
		return fault.New(fault.Conflict, "The subscription is off already.")
	case what == "resume" && q.Status != off:
		return fault.New(fault.Conflict, "The subscription is not paused.")
	case what != "pause" && what != "resume" && what != "delete":
		return fault.New(fault.Invalid, "What can be done is pause, resume and delete.")
	}
	return s.do(ctx, id, what, reason, k.Gate.DeedLane(by), func(tx *store.Tx) error {
		return k.Gate.Record(ctx, tx, by, access.Deed{Action: what + "-subscription", Basis: "command", Detail: id + ": " + reason})
	})
}
