package web_test

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/openspine/openspine/web"
)

func plotted(t *testing.T, c web.Chart) string {
	t.Helper()
	var b strings.Builder
	if err := web.Plot(c).Render(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestAnAxisCountsWholePeople: where all values are whole numbers the axis has no half ones, and nothing that is counted is below nothing.
func TestAnAxisCountsWholePeople(t *testing.T) {
	t.Parallel()
	tick := regexp.MustCompile(`text-anchor="end">(-?[0-9.e+]+)</text>`)
	for name, x := range map[string]struct {
		values []float64
		bars   bool
		want   string
	}{
		"nobody, as bars":     {[]float64{0, 0}, true, "0 1"},
		"nobody, as a line":   {[]float64{0, 0}, false, "0 1"},
		"one":                 {[]float64{0, 1}, true, "0 1"},
		"two":                 {[]float64{0, 2, 1}, true, "0 1 2"},
		"many":                {[]float64{0, 390}, true, "0 100 200 300 400"},
		"a share":             {[]float64{0.5, 2}, false, "0.5 1 1.5 2"},
		"a cold day, as line": {[]float64{-3, -3}, false, "-4 -3 -2"},
	} {
		c := web.Chart{ID: "c", Title: "t", Bars: x.bars, Series: []web.Series{{}}}
		for i, v := range x.values {
			c.Series[0].Points = append(c.Series[0].Points, web.Point{Label: strconv.Itoa(i), Y: v})
		}
		var got []string
		for _, m := range tick.FindAllStringSubmatch(plotted(t, c), -1) {
			got = append(got, m[1])
		}
		if s := strings.Join(got[:len(got)/2], " "); s != x.want { // drawn twice, for a desk and a phone
			t.Errorf("%s: the axis says %s, want %s", name, s, x.want)
		}
	}
}

// TestAPlotFitsAPhone: the narrow drawing of two years has its first and its last month, and nothing of it is outside.
func TestAPlotFitsAPhone(t *testing.T) {
	t.Parallel()
	c := web.Chart{ID: "c", Title: "t", Bars: true, Series: []web.Series{{Name: "a"}, {Name: "b"}}}
	for i := range 26 {
		for s := range c.Series {
			c.Series[s].Points = append(c.Series[s].Points, web.Point{Label: fmt.Sprintf("M%02d-2026", i), Y: float64(100 * i)})
		}
	}
	_, narrow, ok := strings.Cut(plotted(t, c), "os-chart__plot--narrow")
	if narrow, _, _ = strings.Cut(narrow, "</svg>"); !ok || !strings.Contains(narrow, "M00-2026") || !strings.Contains(narrow, "M25-2026") {
		t.Fatalf("the narrow drawing has not the first and the last month: %s", narrow)
	}
	if got := strings.Count(narrow, "-2026</text>"); got != 3 || !strings.Contains(narrow, "M13-2026") {
		t.Errorf("%d labels, or none in the middle: %s", got, narrow)
	}
	right := 0.0
	for _, m := range regexp.MustCompile(`<rect class="[^"]*" x="([0-9.]+)" y="[0-9.]+" width="([0-9.]+)"`).FindAllStringSubmatch(narrow, -1) {
		x, errX := strconv.ParseFloat(m[1], 64)
		w, errW := strconv.ParseFloat(m[2], 64)
		if errX != nil || errW != nil || x < 44 || x+w > 332 {
			t.Errorf("a bar from %s, %s wide, is outside", m[1], m[2])
		}
		right = max(right, x+w)
	}
	if right < 300 {
		t.Errorf("the last bar ends at %v", right)
	}
}
