package web

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/a-h/templ"

	"github.com/openspine/openspine/fault"
)

func itoa(n int) string { return strconv.Itoa(n) }

// policy is what a page may load: this site's own files, nothing inline, in nobody's frame.
// data: images are for the small arrows that the design system draws in its styles.
const policy = "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; " +
	"connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

// FormsMayGoTo lets the forms of a page lead, in the end, to one other origin: a program that somebody signs in to. A browser holds
// a form to its page's policy through every redirect (CSP 3, form-action). An empty origin changes nothing.
func FormsMayGoTo(w http.ResponseWriter, origin string) {
	if origin != "" && !strings.ContainsAny(origin, " ;,\r\n") {
		w.Header().Set("Content-Security-Policy", strings.Replace(policy, "form-action 'self'", "form-action 'self' "+origin, 1))
	}
}

// Middleware wraps every page: it sets the security headers, refuses unsafe requests that another site's page caused
// (net/http.CrossOriginProtection), keeps pages out of caches, and hands the site to the components.
// APIs that other origins may call, with a token instead of a cookie, are not wrapped in it.
func (s *Site) Middleware(next http.Handler) http.Handler {
	protect := http.NewCrossOriginProtection()
	protect.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		Problem(w, r, fault.New(fault.Forbidden, "%s", Text(r.Context(), "web.form.cross-origin")))
	}))
	inner := protect.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=(), payment=(), usb=()")
		h.Set("Cache-Control", "no-store")
		inner.ServeHTTP(w, r.WithContext(WithSite(r.Context(), s)))
	})
}

// Render sends a component as a page. The whole page is made before anything is sent, so that a page that fails half
// way is a clean failure: fault.Internal, with nothing written.
func Render(w http.ResponseWriter, r *http.Request, status int, page templ.Component) error {
	var b bytes.Buffer
	if err := page.Render(r.Context(), &b); err != nil {
		return fault.Wrap(err, fault.Internal, "the page could not be drawn")
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", Language(r.Context()))
	h.Add("Vary", "HX-Request")
	w.WriteHeader(status)
	if r.Method == http.MethodHead {
		return nil
	}
	w.Write(b.Bytes()) // a failure means that the reader has gone: nobody is left to tell
	return nil
}

// Partial reports whether htmx asks for a part of a page rather than the whole: the handler then renders the part with
// the id that htmx names as its target. A history restore is a whole page.
func Partial(r *http.Request) (target string, partial bool) {
	if r.Header.Get("HX-Request") != "true" || r.Header.Get("HX-History-Restore-Request") == "true" || r.Header.Get("HX-Boosted") == "true" {
		return "", false
	}
	return r.Header.Get("HX-Target"), true
}

// RenderPart renders part for an htmx request that targets id, and page otherwise.
func RenderPart(w http.ResponseWriter, r *http.Request, id string, part, page templ.Component) error {
	if target, ok := Partial(r); ok && target == id {
		return Render(w, r, http.StatusOK, part)
	}
	return Render(w, r, http.StatusOK, page)
}

// SeeOther sends the browser on after a form was acted on, so that reloading does not act twice.
func SeeOther(w http.ResponseWriter, r *http.Request, url string) error {
	http.Redirect(w, r, url, http.StatusSeeOther)
	return nil
}

// Problem sends the page that words err: its status, what happened, what to do, and the request's id.
func Problem(w http.ResponseWriter, r *http.Request, err error) {
	if requestID(r.Context()) == "" {
		r = r.WithContext(WithRequestID(r.Context(), newID()))
	}
	kind := fault.KindOf(err)
	if renderErr := Render(w, r, kind.HTTPStatus(), problemPage(problemOf(r.Context(), err))); renderErr != nil {
		http.Error(w, fault.MessageOf(renderErr), http.StatusInternalServerError)
	}
}

// problem is what a problem page says.
type problem struct {
	Title, Message, Help, Request string
	Issues                        []string
	SignIn                        bool
}

func problemOf(ctx context.Context, err error) problem {
	kind := fault.KindOf(err)
	p := problem{Message: sentence(fault.MessageOf(err)), Request: requestID(ctx), SignIn: kind == fault.Unauthenticated}
	key := "web.problem." + kind.String()
	if !HasText(key + ".title") {
		key = "web.problem.internal"
		if kind.HTTPStatus() < 500 {
			key = "web.problem.invalid"
		}
	}
	p.Title, p.Help = Text(ctx, key+".title"), Text(ctx, key+".help")
	issues := fault.IssuesOf(err)
	if len(issues) == 1 && sentence(issues[0].Diagnostics) == p.Message {
		return p
	}
	for _, i := range issues {
		p.Issues = append(p.Issues, sentence(i.Diagnostics))
	}
	return p
}

// sentence makes a fault's message, which has neither capital nor stop, fit to stand by itself on a page.
func sentence(s string) string {
	first, size := utf8.DecodeRuneInString(s)
	if size == 0 {
		return s
	}
	s = string(unicode.ToUpper(first)) + s[size:]
	if !strings.ContainsRune(".!?:", rune(s[len(s)-1])) {
		s += "."
	}
	return s
}

func newID() string {
	b := make([]byte, 6)
	rand.Read(b)
	return hex.EncodeToString(b)
}
