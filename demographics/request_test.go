package demographics

import (
	"regexp"
	"strings"
	"testing"
)

// What passes for a request's id is what the specification's pattern takes.
func FuzzRequestID(f *testing.F) {
	const id = "60E0B220-8136-4CA5-AE46-1D97EF59D068"
	for _, s := range []string{id, strings.ToLower(id), id[1:], id + "0", strings.Replace(id, "-", "0", 1), strings.Replace(id, "E", "g", 1), "", strings.Repeat("-", 36), "é" + id[2:]} {
		f.Add(s)
	}
	pattern := regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
	f.Fuzz(func(t *testing.T, s string) {
		if got, want := isRequestID(s), pattern.MatchString(s); got != want {
			t.Errorf("%q: %v, want %v", s, got, want)
		}
	})
}
