package web_test

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// generator is the version of templ that wrote the committed Go code; the Makefile names the same.
const generator = "github.com/a-h/templ/cmd/templ@v0.3.977"

func TestGeneratedCodeIsUpToDate(t *testing.T) {
	makefile, err := os.ReadFile("../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(makefile), "TEMPL := "+generator+"\n") {
		t.Errorf("the Makefile generates with another version than %s", generator)
	}
	// given a copy of every template, and nothing generated
	copies := t.TempDir()
	var templates []string
	err = filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && (d.Name() == "node_modules" || d.Name() == ".git") {
			return errOr(err, fs.SkipDir)
		}
		if filepath.Ext(path) != ".templ" {
			return nil
		}
		name, err := filepath.Rel("..", path)
		if err != nil {
			return err
		}
		templates = append(templates, name)
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Join(copies, filepath.Dir(name)), 0o755); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(copies, name), text, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
	// when they are generated again
	cmd := exec.Command("go", "run", generator, "generate", "-path", ".")
	cmd.Dir = copies
	if out, err := cmd.CombinedOutput(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("the generator is required when CI=true: %v\n%s", err, out)
		}
		t.Skipf("the generator is not here: %v\n%s", err, out)
	}
	// then what is committed is what comes out
	for _, name := range templates {
		code := strings.TrimSuffix(name, ".templ") + "_templ.go"
		fresh, err := os.ReadFile(filepath.Join(copies, code))
		if err != nil {
			t.Fatal(err)
		}
		if committed, err := os.ReadFile(filepath.Join("..", code)); err != nil || !bytes.Equal(fresh, committed) {
			t.Errorf("%s is not what %s generates: run make generate (%v)", code, name, err)
		}
	}
}

func errOr(err, other error) error {
	if err != nil {
		return err
	}
	return other
}
