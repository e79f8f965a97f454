package hospital_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/openspine/openspine/sim/simtest"
)

// TestAClinicsWorklistHasPages: the list of those who wait shows everybody, a page at a time, in the order that is asked for.
func TestAClinicsWorklistHasPages(t *testing.T) {
	t.Parallel()
	w := given(t, false)
	var last string
	for i := range 53 {
		last = w.spine.refer("9990000018", i, false)
	}
	clerk := w.nodes[1].SignedIn(t, "clerk")
	simtest.Eventually(t, func() bool { return strings.Contains(clerk.Get("/clinics/waiting").Text(), "53 referrals") })
	w.registered(last)
	shown := func() (list []string) {
		for _, m := range regexp.MustCompile(`/o/RQX/clinics/cases/(\d{12})"`).FindAllStringSubmatch(clerk.Body, -1) {
			list = append(list, m[1])
		}
		slices.Sort(list)
		return slices.Compact(list)
	}
	simtest.Eventually(t, func() bool { clerk.Get("/clinics/waiting?sort=-patient"); return len(shown()) == 50 })
	first := shown()
	clerk.Get(clerk.Link(`/o/RQX/clinics/waiting\?after=[^"]+`)).Sees(200, "53 referrals")
	second := shown()
	if len(second) != 3 || slices.ContainsFunc(second, func(u string) bool { return slices.Contains(first, u) }) {
		t.Errorf("the second page has %v", second)
	}
	clerk.Get(clerk.Link(`/o/RQX/clinics/waiting\?before=[^"]+`))
	if back := shown(); !slices.Equal(back, first) {
		t.Errorf("back: %v", back)
	}
	if clerk.Get("/o/RQX/clinics/waiting?format=csv"); strings.Count(clerk.Body, "\n") != 54 {
		t.Errorf("the file has %d lines", strings.Count(clerk.Body, "\n"))
	}
	clerk.Get("/o/RQX/clinics/waiting?sort=nonsense").Sees(400)
}
