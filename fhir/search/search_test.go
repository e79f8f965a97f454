package search

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/fhir/definition"
	"github.com/openspine/openspine/internal/spectest"
)

// TestEveryExpressionIsAPath: R4's own parameters all compile, and none needs the full engine.
func TestEveryExpressionIsAPath(t *testing.T) {
	x := For(definition.R4())
	total, engine := 0, 0
	for _, typ := range definition.R4().ResourceTypes() {
		compiled, err := x.compiled(typ)
		if err != nil {
			t.Errorf("%s: %v", typ, err)
			continue
		}
		have := map[string]bool{}
		for _, p := range compiled.list {
			total++
			have[p.definition.Code] = true
			if p.engine != nil {
				engine++
				t.Logf("%s.%s: %s", typ, p.definition.Code, p.definition.Expression)
			}
			for i, part := range p.parts {
				if len(part.routes) == 0 && part.engine == nil {
					t.Errorf("%s.%s: component %d leads nowhere: %s", typ, p.definition.Code, i, p.definition.Components[i].Expression)
				}
			}
		}
		for _, p := range definition.R4().SearchParameters(typ) {
			if p.Expression != "" && !have[p.Code] {
				t.Errorf("%s.%s leads nowhere: %s", typ, p.Code, p.Expression)
			}
		}
	}
	t.Logf("%d parameters of %d types, %d by the engine", total, len(definition.R4().ResourceTypes()), engine)
	if total < 2500 {
		t.Errorf("only %d parameters", total)
	}
}

// TestEngineAgrees evaluates every parameter of some resources by the full engine as well, and compares.
func TestEngineAgrees(t *testing.T) {
	x := For(definition.R4())
	compared := 0
	for _, r := range examples(t) {
		c, err := x.compiled(r.Type())
		if err != nil {
			t.Fatal(err)
		}
		for i := range c.list {
			p := c.list[i]
			if p.kind == kindComposite {
				continue
			}
			fast := walker{x: x, root: r.Root(), resourceType: r.Type()}
			if err := fast.parameter(&p); err != nil {
				t.Fatal(err)
			}
			p.routes, p.from = nil, r.Type()
			if p.engine, err = compileEngine(x.defs, p.definition.Expression); err != nil {
				t.Fatalf("%s: %v", p.definition.Expression, err)
			}
			full := walker{x: x, root: r.Root(), resourceType: r.Type()}
			if err := full.parameter(&p); err != nil {
				t.Fatalf("%s: %v", p.definition.Expression, err)
			}
			// A union of FHIRPath drops what equals another value, and 1.0 equals 1.00, which as ranges differ.
			a, b := texts(fast.entries), texts(full.entries)
			if p.kind == kindQuantity && len(a) > len(b) && len(b) > 0 {
				a = slices.DeleteFunc(a, func(s string) bool { return !slices.Contains(b, s) })
			}
			if !slices.Equal(a, b) {
				t.Errorf("%s.%s (%s): by path %v, by engine %v", r.Type(), p.definition.Code, p.definition.Expression, a, b)
			}
			compared++
		}
	}
	t.Logf("%d evaluations agree", compared)
}

// texts lists values once each, without the system that only the path knows to be implied, in some order.
func texts(entries []Entry) []string {
	var out []string
	for _, e := range entries {
		if token, ok := e.Value.(Token); ok {
			token.Implied = ""
			e.Value = token
		}
		out = append(out, fmt.Sprintf("%T %+v", e.Value, e.Value))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func examples(t *testing.T) []*fhir.Resource {
	files, err := filepath.Glob(filepath.Join(spectest.Dir(t, "fhir-test-cases", "r4", "examples"), "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	var all []*fhir.Resource
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		r, err := fhir.Parse(b)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}
