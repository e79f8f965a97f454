package node

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/web"
)

// authenticate says who sent a request: whoever a bearer token speaks for, or else whoever is signed in, or else, under
// --open and for an API call alone, the demonstration clinician. A token that is presented is always checked.
func (n *Node) authenticate(r *http.Request) (access.Principal, error) {
	if len(r.Header.Values("Authorization")) > 1 {
		return access.Principal{}, access.InvalidRequest("there is more than one")
	}
	token, presented, err := access.BearerToken(r.Header.Get("Authorization"))
	if err != nil {
		return access.Principal{}, err
	}
	if presented {
		return n.kernel.Verifier.Verify(r.Context(), token)
	}
	if secret := access.SecretOf(r); secret != "" {
		s, err := n.kernel.Gate.SessionOf(r.Context(), secret)
		if err != nil {
			return access.Principal{}, err
		}
		return s.Principal, nil
	}
	if n.open != nil && isFHIR(r.URL.Path) {
		return *n.open, nil
	}
	return access.Principal{}, fault.New(fault.Unauthenticated, "Sign in, or send a bearer token; the developer's page has one ready.")
}

// meant refuses, under --open, a request that names another host than this machine: a page on the Web can make its own name lead to
// 127.0.0.1 (DNS rebinding) and would then be the demonstration clinician.
func (n *Node) meant(host string) error {
	if n.open == nil || isLoopback(host) {
		return nil
	}
	return fault.New(fault.Forbidden, "This demonstration answers to localhost and 127.0.0.1 only. Use the address that it printed.")
}

func isLoopback(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.ToLower(strings.TrimSuffix(strings.Trim(name, "[]"), "."))
	if name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return true // RFC 6761 section 6.3: never resolved elsewhere
	}
	ip, err := netip.ParseAddr(name)
	return err == nil && ip.Unmap().IsLoopback()
}

// viewer is what the shell of each page says about who is looking.
func (n *Node) viewer(ctx context.Context, p access.Principal, path string) web.Viewer {
	v := web.Viewer{Name: p.Name, Role: web.RoleName(ctx, string(p.Role)), Organisation: n.organisation(ctx, p.Organisation), Session: p.SessionID, SignOutURL: "/sign-out"}
	var last []web.Link
	for _, s := range n.services {
		for _, l := range s.Links {
			if !l.For(p) {
				continue
			}
			link := web.Link{Text: web.Text(ctx, l.Key), URL: l.Path, Current: l.Path == path}
			if l.Last {
				last = append(last, link)
			} else {
				v.Nav = append(v.Nav, link)
			}
		}
	}
	v.Nav = append(v.Nav, last...)
	return v
}

// asPage prepares a request for a page: the site's headers, the language, and who is looking.
func (e *edge) asPage(next http.Handler) http.Handler {
	inner := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := web.WithRequestID(r.Context(), visitOf(r).id)
		if p, err := e.Principal(r); err == nil {
			ctx = web.WithViewer(ctx, e.node.viewer(ctx, p, r.URL.Path))
		}
		next.ServeHTTP(w, r.WithContext(ctx))
	})
	return e.node.site.Middleware(inner)
}

// pages words failures for people; somebody who has not signed in is sent to where they can, and back.
type pages struct{}

// Refuse answers with a page that says what happened and what to do.
func (pages) Refuse(w http.ResponseWriter, r *http.Request, err error) {
	if fault.Is(err, fault.Unauthenticated) && r.Method == http.MethodGet && strings.Contains(r.Header.Get("Accept"), "text/html") {
		http.Redirect(w, r, "/sign-in?to="+urlQuery(r), http.StatusSeeOther)
		return
	}
	web.Problem(w, r, err)
}

// stray words a failure of a request that reached no page: it has not been through asPage, which dresses the answer.
type stray struct{ e *edge }

// Refuse answers as pages does, with the site's headers and styles.
func (s stray) Refuse(w http.ResponseWriter, r *http.Request, err error) {
	s.e.asPage(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.e.node.pageFace.Refuse(w, r, err)
	})).ServeHTTP(w, r)
}

var _ catalogue.Desk = (*edge)(nil)
