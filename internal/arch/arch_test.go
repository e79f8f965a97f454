package arch_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/openspine/openspine/internal/arch"
)

// source is one parsed Go file of the module.
type source struct {
	path, pkg string
	test      bool
	file      *ast.File
	lines     int
	generated bool
}

func sources(t *testing.T) []source {
	t.Helper()
	root := filepath.Join("..", "..")
	fset := token.NewFileSet()
	var all []source
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if path != root && (strings.HasPrefix(name, ".") || name == "node_modules" || name == "testdata" || name == "openspine-data") {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(fset, path, text, parser.ParseComments)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		all = append(all, source{
			path: filepath.ToSlash(rel), pkg: filepath.ToSlash(filepath.Dir(rel)), test: strings.HasSuffix(name, "_test.go"),
			file: f, lines: strings.Count(string(text), "\n"), generated: ast.IsGenerated(f),
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(all, func(s source) bool { return s.path == "fault/fault.go" }) {
		t.Fatalf("only %d files found: the test is not looking at the module", len(all))
	}
	return all
}

func TestImportsPointDown(t *testing.T) {
	for _, s := range sources(t) {
		if s.pkg == "." {
			continue // deps.go
		}
		helper := slices.ContainsFunc(arch.TestOnly(), func(p string) bool { return s.pkg == p || strings.HasPrefix(s.pkg, p+"/") })
		if _, _, known := arch.Place(s.pkg); !known && !helper {
			t.Errorf("%s: package %s has no place in the house: add it to a tier in internal/arch", s.path, s.pkg)
			continue
		}
		for _, spec := range s.file.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			to, ours := strings.CutPrefix(path, arch.Module)
			if !ours {
				continue
			}
			if slices.Contains(arch.TestOnly(), to) {
				if !s.test && !helper {
					t.Errorf("%s imports %s, which is for tests only", s.path, to)
				}
				continue
			}
			if s.test || helper {
				continue // a test may look from above
			}
			if !arch.Allowed(s.pkg, to) {
				t.Errorf("%s imports %s: imports point down, never sideways", s.path, to)
			}
		}
	}
}

func TestPackagesAreIntroduced(t *testing.T) {
	introduced, example := map[string]bool{}, map[string]string{}
	for _, s := range sources(t) {
		if s.test || s.pkg == "." {
			continue
		}
		example[s.pkg] = s.path
		if s.file.Doc != nil && len(s.file.Doc.Text()) > 40 {
			introduced[s.pkg] = true
		}
	}
	for pkg, path := range example {
		if !introduced[pkg] {
			t.Errorf("package %s (%s) has no comment that says what it is for", pkg, path)
		}
	}
}

func TestNoInitAndNoLongFiles(t *testing.T) {
	for _, s := range sources(t) {
		if s.generated || s.test {
			continue
		}
		if s.lines > 600 {
			t.Errorf("%s has %d lines; over 600 wants a split", s.path, s.lines)
		}
		for _, d := range s.file.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				t.Errorf("%s: no init: one explicit list, in the node", s.path)
			}
		}
	}
}

func TestAllowed(t *testing.T) {
	for _, c := range []struct {
		from, to string
		want     bool
	}{
		{"record", "store", true},
		{"store", "record", false},
		{"access", "audit", true},
		{"audit", "access", false},
		{"referral", "hospital", false},
		{"referral", "record", true},
		{"hospital", "referral/codes", true},
		{"hospital", "referral/ers", false},
		{"fhir/fhirpath", "fhir", true},
		{"fhir", "hl7v2", false},
		{"web", "fhirapi", false},
		{"cmd/openspine", "sim", true},
		{"unknown", "fault", false},
	} {
		if got := arch.Allowed(c.from, c.to); got != c.want {
			t.Errorf("Allowed(%s, %s) = %v, want %v", c.from, c.to, got, c.want)
		}
	}
}
