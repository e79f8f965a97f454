package trace

import (
	"context"
	"net/url"
	"strings"

	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/format"
)

// who is the person as a form names them; a patient knows who they are.
func (v *visit) who() string {
	if v.own {
		return ""
	}
	return v.name + ", " + v.person.Number.Display()
}

// numberText is how a page writes somebody's number: its spaces are none at which a line may end.
func numberText(number string) string {
	return strings.ReplaceAll(format.NHSNumber(number), " ", "\u00a0")
}

// autocomplete lets a patient's own browser help; at a desk it would offer the details of whoever sits there.
func (v *visit) autocomplete(f field) string {
	if v.own && f.autocomplete != "" {
		return f.autocomplete
	}
	return "off"
}

func dateOf(form url.Values, name string) web.DateValue {
	d, _, _ := web.ReadDate(form, name)
	return d
}

// hintOf is the hint of a field, where it has one.
func hintOf(ctx context.Context, v *changeView, f field) string {
	if key := v.key("hint." + f.name); web.HasText(key) {
		return web.Text(ctx, key)
	}
	return ""
}

func (v *changeView) checkTitle(ctx context.Context) string {
	if v.Undoing {
		return web.Text(ctx, "trace.undo.title")
	}
	if len(v.Part.fields) == 0 {
		return web.Text(ctx, v.key("part."+v.Part.key))
	}
	return web.Text(ctx, v.key("check.title"))
}

// saveText is what the button of the check page says.
func (v *changeView) saveText(ctx context.Context) string {
	if v.Undoing {
		return web.Text(ctx, "trace.undo.save")
	}
	return web.Text(ctx, v.key("check.save"))
}

func (v *changeView) cancelURL() string {
	switch {
	case v.Undoing:
		return v.url() + "/history"
	case v.Part.key == partPharmacy:
		return v.pharmacyURL()
	}
	return v.url()
}
