package audit

import (
	"strings"
	"testing"
)

// What a request was called is given back as it was, and what is written as UUIDs are takes 16 bytes.
func TestPackRequest(t *testing.T) {
	const id = "0a1b2c3d-4e5f-6789-abcd-ef0123456789"
	for name, packed := range map[string]int{
		id: 16, strings.ToUpper(id): 37, id[:35]: 36, id + "0": 38, strings.Replace(id, "-", "0", 1): 37, "-" + id[1:]: 37, strings.Replace(id, "f", "g", 1): 37,
		strings.Repeat("-", 36): 37, strings.Repeat("é", 18): 37, "x": 2,
	} {
		b := packRequest(name)
		if len(b) != packed {
			t.Errorf("%s takes %d bytes, want %d", name, len(b), packed)
		}
		if got := unpackRequest(b); got != name {
			t.Errorf("%s came back as %s", name, got)
		}
	}
}
