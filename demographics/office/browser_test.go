package office_test

import (
	"strings"
	"testing"

	"github.com/openspine/openspine/web/webtest"
)

func TestEveryPageIsHealthy(t *testing.T) {
	t.Parallel()
	w := shared.Given(t)
	compared(t, w)
	pair, _, _ := double(t, w)
	cookie := w.SignedIn(t, "records").Cookie()
	var visits []webtest.Visit
	for _, path := range []string{"/duplicates", "/duplicates?state=lapsed", pair, pair + "/merge", "/duplicates/matching", "/confusions"} {
		visits = append(visits, webtest.Visit{User: "office", Path: path, Cookie: cookie, Walk: strings.HasSuffix(path, "merge")})
	}
	webtest.NewBrowser(t).EveryPage(t, w.URL, visits)
}
