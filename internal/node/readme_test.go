package node_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/openspine/openspine/internal/node"
)

// TestServicesAreInTheReadme holds the README's table of services to what the node runs; -update writes it.
func TestServicesAreInTheReadme(t *testing.T) {
	const path, begin, end = "../../README.md", "<!-- services: written by go test ./internal/node -run TestServicesAreInTheReadme -update -->\n", "<!-- end of services -->"
	r := serve(t, config(t.TempDir()), node.Options{})
	var table strings.Builder
	table.WriteString("| Service | What it does | APIs | Pages | Watches and jobs |\n|---|---|---|---|---|\n")
	for _, s := range r.n.Services() {
		fmt.Fprintf(&table, "| %s | %s | %d | %d | %d |\n", s.Name, s.Summary, len(s.API), len(s.Pages), len(s.Watches)+len(s.Jobs))
		if s.Name == "" || s.Summary == "" {
			t.Errorf("a service does not say what it is: %q %q", s.Name, s.Summary)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), begin)
	was, after, ended := strings.Cut(rest, end)
	if !ok || !ended {
		t.Fatalf("%s has no place for the table of services: a line %q, and one %q", path, strings.TrimSpace(begin), end)
	}
	if *update {
		if err := os.WriteFile(path, []byte(before+begin+table.String()+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if was != table.String() {
		t.Errorf("the table of services in %s is out of date; run with -update. It should be:\n%s", path, table.String())
	}
}
