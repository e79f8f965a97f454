package demographics

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// docs/status-codes.md is the table of the published codes, word for word.
func TestStatusCodesAreInTheDocs(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/status-codes.md")
	if err != nil {
		t.Fatal(err)
	}
	_, ours, _ := strings.Cut(string(text), "## On the Personal Demographics Service FHIR API")
	for c, s := range sayings {
		if line := fmt.Sprintf("| %s | %d | %s | %s |\n", c, s.status, s.issueType, s.display); !strings.Contains(ours, line) {
			t.Errorf("docs/status-codes.md lacks %s", line)
		}
	}
	if got := strings.Count(ours, "\n| ") - 1; got != len(sayings) {
		t.Errorf("docs/status-codes.md has %d codes, want %d", got, len(sayings))
	}
}
