package node_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/internal/node"
)

// TestServicesAreInTheReadme holds the README to what the node runs: each service is in a table by its name, or by one of its addresses.
func TestServicesAreInTheReadme(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var cells []string
	for line := range strings.Lines(string(text)) {
		if parts := strings.Split(line, "|"); len(parts) > 2 {
			cells = append(cells, parts[1])
		}
	}
	r := serve(t, config(t.TempDir()), node.Options{})
	for _, s := range r.n.Services() {
		if s.Name == "" || s.Summary == "" {
			t.Errorf("a service does not say what it is: %q %q", s.Name, s.Summary)
		}
		named := regexp.MustCompile(`(^|[ ,])` + regexp.QuoteMeta(s.Name) + `($|[ ,])`)
		there := slices.ContainsFunc(cells, named.MatchString)
		for _, rt := range s.Routes() {
			there = there || slices.ContainsFunc(cells, func(c string) bool { return strings.Contains(c, rt.Path()) })
		}
		if !there {
			t.Errorf("README.md has no row for the service %s: %s", s.Name, s.Summary)
		}
	}
}

// TestSettingsAreInTheGuide holds docs/guide/configuration.md to the settings that a file may have.
func TestSettingsAreInTheGuide(t *testing.T) {
	text, err := os.ReadFile("../../docs/guide/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range slices.Concat(node.Settings(), node.ProviderSettings(), node.ReplicaSettings(), node.DeliverySettings()) {
		if !strings.Contains(string(text), "| `"+key+"` |") {
			t.Errorf("docs/guide/configuration.md does not say what %s is", key)
		}
	}
}

// TestRoutesGoByTheirRule holds every route to what its rule says of it.
func TestRoutesGoByTheirRule(t *testing.T) {
	r := serve(t, config(t.TempDir()), node.Options{})
	for _, s := range r.n.Services() {
		for _, rt := range s.Routes() {
			if rt.Method() == "GET" && rt.Changes() {
				t.Errorf("%s changes things on a GET", rt.Pattern())
			}
			if rt.Rule() == catalogue.RulePublic && strings.Contains(rt.Path(), "{person}") {
				t.Errorf("%s is public and names a person", rt.Pattern())
			}
		}
	}
}
