package postroom

import (
	"context"

	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/web"
)

// stateColour repeats what a state's word says.
func stateColour(s messaging.State) web.Colour {
	switch s {
	case messaging.Parked:
		return web.Red
	case messaging.Handled:
		return web.Green
	case messaging.Refused, messaging.Expired:
		return web.Orange
	case messaging.Abandoned, messaging.Redirected:
		return web.Purple
	case messaging.Accepted:
		return web.Grey
	}
	return web.Blue
}

// standing is a message's state in a word or two, and its colour: of one that is out of its course without being parked, what it waits for.
func standing(ctx context.Context, it messaging.Item) (string, web.Colour) {
	if h := it.Held; h != nil && !h.Parked && !it.State.Final() {
		switch {
		case h.Why == "retrying" && h.Tries > 0:
			return web.Text(ctx, "postroom.standing.retrying"), web.Orange
		case h.Why == "retrying" || h.Why == "behind":
			return web.Text(ctx, "postroom.standing.behind"), web.Grey
		case h.Why == "fetching":
			return web.Text(ctx, "postroom.standing.fetching"), web.Grey
		}
	}
	return web.Text(ctx, "postroom.state."+it.State.String()), stateColour(it.State)
}

// organisationLabel asks for an organisation: for either end, or for the other one.
func organisationLabel(ctx context.Context, own string) string {
	if own != "" {
		return web.Text(ctx, "postroom.field.other")
	}
	return web.Text(ctx, "postroom.field.organisation")
}
