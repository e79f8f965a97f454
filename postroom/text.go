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

// organisationLabel asks for an organisation: for either end, or for the other one.
func organisationLabel(ctx context.Context, own string) string {
	if own != "" {
		return web.Text(ctx, "postroom.field.other")
	}
	return web.Text(ctx, "postroom.field.organisation")
}
