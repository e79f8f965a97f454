package web_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/openspine/openspine/internal/clock"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/webtest"
)

// catalogueServer serves the catalogue of components as a demonstration does.
func catalogueServer(t *testing.T, plain bool) (*httptest.Server, *web.Site) {
	t.Helper()
	s := site(t, web.Options{
		Environment: web.Demonstration, OpenAPI: true, Plain: plain,
		Clock: clock.NewFake(time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)),
	})
	mux := http.NewServeMux()
	mux.Handle(web.AssetPath, s.Assets())
	mux.Handle("GET "+web.GalleryPath, s.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = r.WithContext(web.WithViewer(r.Context(), web.Viewer{
			Name: "Dr Asha Rao", Role: "Clinician", Organisation: "Riverside Practice", Session: "s", SignOutURL: "/sign-out",
			Nav: []web.Link{{Text: "Find a patient", URL: "/find"}, {Text: "Worklist", URL: "/worklist"}, {Text: "Components", URL: web.GalleryPath, Current: true}},
		}))
		if err := web.Gallery(w, r); err != nil {
			web.Problem(w, r, err)
		}
	})))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server, s
}

func TestTheCatalogue(t *testing.T) {
	b := webtest.NewBrowser(t)
	server, s := catalogueServer(t, false)
	t.Run("at a desk", func(t *testing.T) { catalogueAtADesk(t, b, server, s) })
	t.Run("on a phone", func(t *testing.T) { catalogueOnAPhone(t, b, server) })
	t.Run("without script", func(t *testing.T) { catalogueWithoutScript(t, b, server) })
	t.Run("by keyboard alone", func(t *testing.T) { catalogueByKeyboardAlone(t, b, server) })
	t.Run("without the design system", func(t *testing.T) { catalogueWithoutTheDesignSystem(t, b) })
}

func catalogueAtADesk(t *testing.T, b *webtest.Browser, server *httptest.Server, s *web.Site) {
	// given the catalogue
	// when it is opened for the first time at a desk
	p := b.Open(t, server.URL+web.GalleryPath)
	// then it is all there, accessible, and within its budget
	p.Sees("SMITH, John (Mr)", "05-Jun-1978 (48y)", "943 476 5919", "Died 01-Feb-2026", "Similar name", "There is a problem")
	p.Healthy()
	if n := p.Transferred(); n > 150<<10 {
		t.Errorf("a first visit transfers %d bytes", n)
	}
	p.Screenshot("gallery-desk.png")
	if !s.Dressed() {
		t.Log("the design system is not built in (make web): plain pages were looked at")
	}
}

func catalogueOnAPhone(t *testing.T, b *webtest.Browser, server *httptest.Server) {
	p := b.Open(t, server.URL+web.GalleryPath, webtest.Phone())
	p.Healthy()
	p.Screenshot("gallery-phone.png")
}

func catalogueWithoutScript(t *testing.T, b *webtest.Browser, server *httptest.Server) {
	// given a browser without JavaScript
	p := b.Open(t, server.URL+web.GalleryPath, webtest.NoScript())
	// then every tab's panel is there to read, and no button is shown that cannot work
	p.Sees("Potassium has risen", "Waits at Riverside have halved", "Nothing has been measured yet")
	var copies int
	p.Eval(`[...document.querySelectorAll(".os-copy")].filter(b => b.offsetParent).length`, &copies)
	if copies != 0 {
		t.Errorf("%d copy buttons are shown that cannot copy", copies)
	}
	p.NoSideways()
	p.OnlyThisHost()
	p.Screenshot("gallery-noscript.png")
	// when the list is ordered by birth, then the order is in the URL and the heading says so
	p.Submit(`th a[href*="sort=born"]`)
	var sorted string
	p.Eval(`document.querySelector("th[aria-sort]").innerText.trim() + " " + document.querySelector("th[aria-sort]").getAttribute("aria-sort") + " " + location.search`, &sorted)
	if sorted != "Born ascending ?sort=born" {
		t.Errorf("the list is ordered by %s", sorted)
	}
}

func catalogueWithoutTheDesignSystem(t *testing.T, b *webtest.Browser) {
	server, _ := catalogueServer(t, true)
	for name, o := range map[string][]webtest.Option{"desk": nil, "phone": {webtest.Phone()}} {
		p := b.Open(t, server.URL+web.GalleryPath, o...)
		p.Sees("make web", "SMITH, John (Mr)")
		p.Healthy()
		p.Screenshot("gallery-plain-" + name + ".png")
	}
}

func catalogueByKeyboardAlone(t *testing.T, b *webtest.Browser, server *httptest.Server) {
	p := b.Open(t, server.URL+web.GalleryPath)
	stops := p.Walk()
	if len(stops) < 30 || !strings.Contains(stops[0].Name, "Skip to main content") {
		t.Errorf("the keyboard stops %d times, first at %v", len(stops), stops[:min(3, len(stops))])
	}
}
