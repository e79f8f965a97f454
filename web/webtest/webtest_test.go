package webtest_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/openspine/openspine/web/webtest"
)

// listener is a test that keeps what it is told instead of failing.
type listener struct {
	testing.TB
	said []string
}

func (l *listener) Errorf(format string, args ...any) {
	l.said = append(l.said, fmt.Sprintf(format, args...))
}
func (l *listener) Logf(string, ...any) {}

// bad breaks every rule that Healthy and Walk hold a page to.
const bad = `<!DOCTYPE html><html lang="en"><head><title>Bad</title><style>a{outline:none!important} .wide{width:3000px}</style></head>
<body><h1>Bad</h1><main><div class="wide">wide</div><img src="http://elsewhere.invalid/x.png"><a href="#1">unmarked</a>
<a href="#2"><b style="outline:1px solid"></b></a></main><script>throw new Error("broken")</script></body></html>`

func TestABadPageIsFoundOut(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		if _, err := w.Write([]byte(bad)); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(server.Close)
	l := &listener{TB: t}
	// given a page that breaks every rule, when it is checked
	p := webtest.Open(l, server.URL, webtest.Phone())
	p.Healthy()
	p.Walk()
	p.Sees("what is not there")
	// then each breach is named
	all := strings.Join(l.said, "\n")
	for _, want := range []string{"scrolls sideways", "asked for http://elsewhere.invalid", "broken", `stops at a "unmarked"`, "marked false", `does not say "what is not there"`} {
		if !strings.Contains(all, want) {
			t.Errorf("nothing was said of %q; what was said:\n%s", want, all)
		}
	}
	if _, err := os.Stat("../../node_modules/axe-core/axe.min.js"); err == nil && !strings.Contains(all, "axe: image-alt") {
		t.Errorf("axe did not find a picture without words:\n%s", all)
	}
}
