package office_test

import (
	"os"
	"strings"
	"testing"

	"github.com/openspine/openspine/web/webtest"
)

func TestEveryPageIsHealthy(t *testing.T) {
	w := shared.Given(t)
	compared(t, w)
	pair, _, _ := double(t, w)
	cookie := webtest.Cookie("openspine", w.SignedIn(t, "records").Cookie())
	b := webtest.NewBrowser(t)
	for _, path := range []string{"/duplicates", "/duplicates?state=lapsed", pair, pair + "/merge", "/duplicates/matching", "/confusions"} {
		name := strings.Trim(strings.NewReplacer("/", "-", "?", "-", "=", "-").Replace(path), "-")
		t.Run(name, func(t *testing.T) {
			for width, options := range map[string][]webtest.Option{"desk": {cookie}, "phone": {cookie, webtest.Phone()}, "plain": {cookie, webtest.NoScript()}} {
				p := b.Open(t, w.URL+path, options...)
				if os.Getenv("OPENSPINE_SCREENSHOTS") != "" {
					p.Screenshot("office-" + name + "-" + width + ".png")
				}
				p.Healthy()
				if width == "desk" && strings.HasSuffix(path, "merge") {
					p.Walk()
				}
			}
		})
	}
}
