// Package web is what a clinician, a clerk or a patient meets: the shell round every page, the banner that says whose
// record is open, and the parts that pages are built from, in the NHS design system's components.
//
// A page says what it is about and what it holds; the package sees to it that the person stays named, that a name is
// never cut short, that a date cannot be misread, that a refused act says who can do it, and that all of it works by
// keyboard, on a phone, on paper, without JavaScript and without a request to any other host.
//
// A page is a function that calls Render with a templ component that opens with Shell:
//
//	web.Render(w, r, http.StatusOK, findPage(results))
//
//	templ findPage(results Results) {
//		@web.Shell(web.Page{Title: web.Text(ctx, "find.title")}) {
//			@web.DataTable(results.Table)
//		}
//	}
//
// The words are in messages/en.toml. docs/guide/pages.md shows how to write a page.
package web

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/internal/clock"
)

// Environment is what kind of place this is; every page but a live one's says so.
type Environment string

// The environments. Live is the zero value and shows no banner.
const (
	Live          Environment = ""
	Demonstration Environment = "demonstration" // made-up people
	Test          Environment = "test"          // a test of a real configuration
)

// Options say how a site looks and what it signs its forms with.
type Options struct {
	Clock       clock.Clock
	Environment Environment
	// OpenAPI says that API calls without a token act as a demonstration clinician (--open); a banner says so.
	OpenAPI bool
	// FormKey signs form tokens: at least 32 bytes, the same on every node of one site. Empty means a random one,
	// so that forms opened before a restart must be opened again.
	FormKey []byte
	// Place is which node this is, in the header of its pages, where a visitor meets several; empty leaves it out.
	Place string
	// Plain leaves the design system out even where it was built in, as on a machine without Node.
	Plain bool
}

// Site holds what is common to the pages of a node: assets, environment and form key.
// It is safe for concurrent use.
type Site struct {
	clock       clock.Clock
	environment Environment
	openAPI     bool
	place       string
	key         []byte
	assets      *assets
}

// New makes a site. It fails with fault.Invalid when the form key is too short.
func New(o Options) (*Site, error) {
	if o.Clock == nil {
		o.Clock = clock.System()
	}
	if o.FormKey == nil {
		o.FormKey = make([]byte, 32)
		rand.Read(o.FormKey) // never fails: crypto/rand, Go 1.24
	}
	if len(o.FormKey) < 32 {
		return nil, fault.New(fault.Invalid, "the form key must hold at least 32 bytes")
	}
	a, err := loadAssets(o.Plain)
	if err != nil {
		return nil, err
	}
	return &Site{clock: o.Clock, environment: o.Environment, openAPI: o.OpenAPI, place: o.Place, key: o.FormKey, assets: a}, nil
}

// Dressed reports whether the design system was built in (make web).
func (s *Site) Dressed() bool { return s.assets.dressed }

// Link is a place to go and what to call it. Current marks the one that is open.
type Link struct {
	Text, URL string
	Current   bool
}

// Viewer is who is looking at the page: nobody when Name is empty.
type Viewer struct {
	Name         string // as shown: Dr Asha Rao
	Role         string // as shown: Clinician
	Organisation string // as shown: Riverside Practice
	// Session binds form tokens to this sign-in. It is never shown.
	Session string
	// Nav is where this viewer can go, in the header.
	Nav []Link
	// SignOutURL receives the POST of the sign-out button.
	SignOutURL string
}

type contextKey int

const (
	siteKey contextKey = iota
	viewerKey
	languageKey
	requestKey
)

// WithSite puts the site where components find it. Middleware does this for every request.
func WithSite(ctx context.Context, s *Site) context.Context {
	return context.WithValue(ctx, siteKey, s)
}

// WithViewer says who is looking. Whoever checks the session calls it before the page runs.
func WithViewer(ctx context.Context, v Viewer) context.Context {
	return context.WithValue(ctx, viewerKey, v)
}

// ViewerOf is who is looking; the zero Viewer is nobody.
func ViewerOf(ctx context.Context) Viewer {
	v, _ := ctx.Value(viewerKey).(Viewer)
	return v
}

// WithRequestID names the request, so that a page that says that something failed can quote it.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestKey, id)
}

func requestID(ctx context.Context) string {
	id, _ := ctx.Value(requestKey).(string)
	return id
}

func siteOf(ctx context.Context) *Site {
	s, _ := ctx.Value(siteKey).(*Site)
	return s
}

// FormToken is what a form that acts on person must send back: a MAC over the sign-in and the person, so that neither
// another site nor another tab's patient can be crossed. Person is any stable identifier, empty for a form about nobody.
// It is empty outside a request that passed through Middleware.
func FormToken(ctx context.Context, person string) string {
	s := siteOf(ctx)
	if s == nil {
		return ""
	}
	return s.formToken(ViewerOf(ctx).Session, person)
}

func (s *Site) formToken(session, person string) string {
	mac := hmac.New(sha256.New, s.key)
	mac.Write([]byte("form\x00" + session + "\x00" + person))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// The names of the hidden fields that every Form carries.
const (
	TokenField  = "form-token"
	PersonField = "person"
)

// CheckForm makes sure that a posted form came from this sign-in and is about this person. It reads r's form.
// A form about somebody else is fault.Conflict, a form from elsewhere or from an earlier sign-in is fault.Forbidden.
func CheckForm(r *http.Request, person string) error {
	s := siteOf(r.Context())
	if s == nil {
		return fault.New(fault.Internal, "the form was not served through the site's middleware")
	}
	if err := r.ParseForm(); err != nil {
		return fault.Wrap(err, fault.Invalid, "the form could not be read")
	}
	if r.PostForm.Get(PersonField) != person {
		return fault.New(fault.Conflict, "%s", Text(r.Context(), "web.form.other-person"))
	}
	want := s.formToken(ViewerOf(r.Context()).Session, person)
	if !hmac.Equal([]byte(want), []byte(r.PostForm.Get(TokenField))) {
		return fault.New(fault.Forbidden, "%s", Text(r.Context(), "web.form.stale"))
	}
	return nil
}
