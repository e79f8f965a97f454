package messaging

import (
	"context"

	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
)

// Together makes one handler of those that two services have for one workflow: on a node that keeps the spine and a hospital, what one sends the other
// handles. A message to the national organisation goes to the handler that comes first in the list; so does the receipt of one that it sent. All else is the first one's.
func Together(all []Handler, national ident.ODSCode) (list []Handler) {
	at := map[string]int{}
	for _, h := range all {
		i, there := at[h.Workflow]
		if !there {
			at[h.Workflow] = len(list)
			list = append(list, h)
			continue
		}
		list[i] = either(list[i], h, national)
	}
	return list
}

// either is the handler of two sides: the spine's, and everybody else's.
func either(spine, other Handler, national ident.ODSCode) Handler {
	h := spine
	side := func(org ident.ODSCode) Handler {
		if org == national {
			return spine
		}
		return other
	}
	h.Lanes = func(m Message) []store.Lane {
		if f := side(m.To).Lanes; f != nil {
			return f(m)
		}
		return nil
	}
	h.Handle = func(ctx context.Context, tx *store.Tx, m Message) error {
		if f := side(m.To).Handle; f != nil {
			return f(ctx, tx, m)
		}
		return Refuse("%s handles no messages of the workflow %s.", m.To, m.Workflow)
	}
	h.LearnLanes = func(m Message) []store.Lane {
		if f := side(m.From).LearnLanes; f != nil {
			return f(m)
		}
		return nil
	}
	h.Learn = func(ctx context.Context, tx *store.Tx, r Receipt) error {
		if f := side(r.From).Learn; f != nil {
			return f(ctx, tx, r)
		}
		return nil
	}
	return h
}
