// Package spectest finds the folder of published specifications and examples that conformance tests read.
package spectest

import (
	"os"
	"path/filepath"
	"testing"
)

// Dir is the specifications folder: OPENSPINE_SPEC, or ../shared/spec beside the repository.
// A test is skipped without it, and fails without it when CI=true.
func Dir(t testing.TB, sub ...string) string {
	t.Helper()
	dir := os.Getenv("OPENSPINE_SPEC")
	if dir == "" {
		dir = filepath.Join(root(t), "..", "shared", "spec")
	}
	dir = filepath.Join(append([]string{dir}, sub...)...)
	if _, err := os.Stat(dir); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("the specifications are required when CI=true: %v", err)
		}
		t.Skipf("the published specifications are not here (set OPENSPINE_SPEC): %v", err)
	}
	return dir
}

func root(t testing.TB) string {
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			t.Fatal("no go.mod above the test")
		}
		dir = up
	}
}
