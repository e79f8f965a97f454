package web

import (
	"context"
	"time"

	"github.com/openspine/openspine/web/format"
)

// PersonBanner says whose record a page is about. It stays in sight while the page scrolls, on every page that shows or
// acts on the record (NHS Common User Interface, patient banner). Everything in it wraps; nothing is cut short.
type PersonBanner struct {
	Family, Given, Title string
	Born                 format.Partial
	Died                 format.Partial
	// Dead says that the person has died even where the day is not known.
	Dead      bool
	Gender    string // as shown: Female; empty when not recorded
	NHSNumber string // ten digits; empty when not known
	// LocalNumber is what the organisation itself calls the person, with LocalName: "Hospital number", "RX1 0042".
	LocalName, LocalNumber string
	// URL is the record itself, so that the name leads back to it; empty on the record's own page.
	URL       string
	Address   string
	Phone     string
	Practice  string
	Allergies Allergies
	// Restricted says that the person's whereabouts are kept from most people: address, phone and practice are not
	// shown, and the banner says why.
	Restricted bool
}

// Allergies is what is known about a person's allergies. "Not recorded" and "none known" are different facts, and the
// zero value is the first.
type Allergies struct {
	// Known lists what the person must not be given, as shown, worst first.
	Known []string
	// NoneKnownOn and NoneKnownBy say when and by whom it was recorded that there are none.
	NoneKnownOn format.Partial
	NoneKnownBy string
	// Hidden says that they may not be shown to this viewer.
	Hidden bool
	// Elsewhere says that this page knows nothing of them: they stand in the record.
	Elsewhere bool
}

// Name is the person as named in lists and sentences: "SMITH, John (Mr)".
func (p PersonBanner) Name(ctx context.Context) string {
	if n := format.Name(p.Family, p.Given, p.Title); n != "" {
		return n
	}
	return Text(ctx, "web.banner.no-name")
}

func (p PersonBanner) dead() bool { return p.Dead || p.Died.Known() }

// ageAt is the age now, or for somebody dead at death; empty where the day of death is not known.
func (p PersonBanner) ageAt(now time.Time) string {
	if !p.dead() {
		return format.Age(p.Born, now)
	}
	if died, ok := p.Died.Time(); ok {
		return format.Age(p.Born, died)
	}
	return ""
}

func (p PersonBanner) diedText(ctx context.Context) string {
	switch age := p.ageAt(time.Time{}); {
	case !p.Died.Known():
		return Text(ctx, "web.banner.died-unknown")
	case age != "":
		return Text(ctx, "web.banner.died-aged", p.Died.Date(), age)
	}
	return Text(ctx, "web.banner.died", p.Died.Date())
}

// allergyText is the line of allergies, and whether it is a warning.
func (p PersonBanner) allergyText(ctx context.Context) (text string, warning bool) {
	a := p.Allergies
	switch {
	case a.Hidden:
		return Text(ctx, "web.banner.allergies-hidden"), false
	case a.Elsewhere:
		return Text(ctx, "web.banner.allergies-elsewhere"), false
	case len(a.Known) > 0:
		return Text(ctx, "web.banner.allergies", list(a.Known)), true
	case a.NoneKnownOn.Known() && a.NoneKnownBy != "":
		return Text(ctx, "web.banner.allergies-none-by", a.NoneKnownOn.Date(), a.NoneKnownBy), false
	case a.NoneKnownOn.Known():
		return Text(ctx, "web.banner.allergies-none", a.NoneKnownOn.Date()), false
	}
	return Text(ctx, "web.banner.allergies-unknown"), false
}

func list(items []string) string {
	s := ""
	for i, it := range items {
		if i > 0 {
			s += "; "
		}
		s += it
	}
	return s
}

// now is the site's clock, which tests and stories set.
func now(ctx context.Context) time.Time {
	if s := siteOf(ctx); s != nil {
		return s.clock.Now()
	}
	return time.Now()
}
