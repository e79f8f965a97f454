package web_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/chromedp/kb"

	"github.com/openspine/openspine/internal/clock"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/webtest"
)

func TestWhatScriptsDoBetter(t *testing.T) {
	b := webtest.NewBrowser(t)
	server, s := catalogueServer(t, false)
	t.Run("a number is copied", func(t *testing.T) { numberIsCopiedAsTenDigits(t, b, server) })
	if !s.Dressed() {
		if os.Getenv("CI") == "true" {
			t.Fatal("the design system is required when CI=true; make web builds it in")
		}
		t.Skip("the rest needs the design system, which is not built in (make web)")
	}
	t.Run("a list is narrowed in place", func(t *testing.T) { listIsNarrowedInPlace(t, b, server) })
	t.Run("a failure in place is shown", func(t *testing.T) { failureInPlaceIsShown(t, b, server) })
	t.Run("an error leads to its field", func(t *testing.T) { errorLeadsToItsField(t, b, server) })
}

func listIsNarrowedInPlace(t *testing.T, b *webtest.Browser, server *httptest.Server) {
	// given a list, and a mark on the page that a reload would wipe out
	p := b.Open(t, server.URL+web.GalleryPath+"?sort=-born")
	p.Eval(`document.body.dataset.mark = "here"`, nil)
	// when it is narrowed with the keyboard
	p.Type("#name", "o’brien"+kb.Enter)
	p.Wait(`location.search.includes("name=") && document.getElementById("openspine-said")`)
	// then the URL holds the whole state, the page was not loaded again, and the number of rows was read out
	var got string
	p.Eval(`document.body.dataset.mark + " " + decodeURIComponent(location.search) + " " + document.getElementById("openspine-said").textContent`, &got)
	if !strings.HasPrefix(got, "here ?") || !strings.Contains(got, "sort=-born") || !strings.Contains(got, "name=o’brien") || !strings.HasSuffix(got, "7 people") {
		t.Errorf("after narrowing: %s", got)
	}
	p.Healthy()
}

func failureInPlaceIsShown(t *testing.T, b *webtest.Browser, server *httptest.Server) {
	// given a list whose order has been tampered with
	p := b.Open(t, server.URL+web.GalleryPath+"?sort=name")
	p.Eval(`document.querySelector("input[name=sort]").value = "bogus"`, nil)
	// when it is narrowed, then the page says what is wrong instead of doing nothing
	p.Type("#name", kb.Enter)
	p.Wait(`document.querySelector("main h1").textContent === "We could not understand that"`)
	p.Sees("This list cannot be ordered by bogus.", "SMITH, John (Mr)")
	p.Axe()
}

func numberIsCopiedAsTenDigits(t *testing.T, b *webtest.Browser, server *httptest.Server) {
	p := b.Open(t, server.URL+web.GalleryPath)
	p.Allow("clipboard-read", "clipboard-write")
	p.Click(".os-banner .os-copy")
	p.Wait(`document.querySelector(".os-banner .os-copy").textContent === "Copied"`)
	var copied string
	p.Eval(`navigator.clipboard.readText()`, &copied)
	if copied != "9434765919" {
		t.Errorf("copied %q", copied)
	}
}

func errorLeadsToItsField(t *testing.T, b *webtest.Browser, server *httptest.Server) {
	p := b.Open(t, server.URL+web.GalleryPath)
	for field := range map[string]bool{"gallery-family": true, "gallery-born": true, "gallery-why": true} {
		p.Click(`.nhsuk-error-summary a[href="#` + field + `"]`)
		var focused string
		p.Eval(`document.activeElement.id`, &focused)
		if focused != field {
			t.Errorf("the error of %s leads to %q", field, focused)
		}
	}
}

func TestALiveBoardSaysWhenItHasStopped(t *testing.T) {
	// given a board whose line breaks once
	s := site(t, web.Options{})
	again := make(chan struct{})
	var lines, drawn int
	var mu sync.Mutex
	mux := http.NewServeMux()
	mux.Handle(web.AssetPath, s.Assets())
	mux.Handle("GET /board", s.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		drawn++
		mu.Unlock()
		if _, part := web.Partial(r); part {
			if err := web.Render(w, r, 200, web.Updated()); err != nil {
				t.Error(err)
			}
			return
		}
		board := web.LivePart("board", "/events", "/board")
		page := withChildren(web.Shell(web.Page{Title: "Board", Live: true}), withChildren(board, web.Updated()))
		if err := web.Render(w, r, 200, page); err != nil {
			t.Error(err)
		}
	})))
	mux.Handle("GET /events", s.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		lines++
		first := lines == 1
		mu.Unlock()
		changes := make(chan struct{}, 1)
		if first {
			close(changes)
		} else {
			<-again
			changes <- struct{}{}
		}
		if err := web.Events(w, r, clock.System(), changes); err != nil {
			t.Error(err)
		}
	})))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	p := webtest.Open(t, server.URL+"/board")
	t.Cleanup(func() { server.CloseClientConnections() })
	// when the line is lost, then the page says so and since when
	p.Wait(`/^Paused, reconnecting. This page was last right at \d\d:\d\d:\d\d\.$/.test(document.querySelector("[data-live-status]").textContent)`)
	// when it is found again, then the page stops saying so
	close(again)
	p.Wait(`document.querySelector("[data-live-status]").textContent === ""`)
	if s.Dressed() {
		p.Wait(`document.querySelector("#board").innerText.includes("Last updated")`)
	}
	p.NoSideways()
	p.OnlyThisHost()
}
