package fhirpath_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/fhir/definition"
	"github.com/openspine/openspine/fhir/fhirpath"
	"github.com/openspine/openspine/internal/spectest"
)

// published is every expression in R4's definitions: for each type, those evaluated on values of it.
type published struct{ where, source string }

func publishedExpressions() map[string][]published {
	defs := definition.R4()
	all := map[string][]published{}
	for _, name := range defs.TypeNames() {
		t := defs.Type(name)
		for _, c := range t.Constraints {
			all[name] = append(all[name], published{c.Key, c.Expression})
		}
		for i := range t.Elements {
			e := &t.Elements[i]
			for _, c := range e.Constraints {
				for _, ref := range e.Types {
					content := e.Content(ref.Code)
					all[content] = append(all[content], published{e.Path + " " + c.Key, c.Expression})
				}
			}
		}
	}
	for _, name := range defs.ResourceTypes() {
		for _, p := range defs.SearchParameters(name) {
			if p.Expression != "" {
				all[name] = append(all[name], published{name + "?" + p.Code, p.Expression})
			}
		}
	}
	return all
}

func compileAll(t testing.TB) map[string][]*fhirpath.Expression {
	compiled := map[string][]*fhirpath.Expression{}
	count := 0
	for name, list := range publishedExpressions() {
		seen := map[string]bool{}
		for _, p := range list {
			if count++; seen[p.source] {
				continue
			}
			seen[p.source] = true
			expr, err := fhirpath.Compile(p.source)
			if err != nil {
				t.Errorf("%s: %s\n\t%v", p.where, p.source, err)
				continue
			}
			again, err := fhirpath.Compile(expr.String())
			if err != nil || again.String() != expr.String() {
				t.Errorf("%s: %s\n\tprints as %s (%v)", p.where, p.source, expr, err)
			}
			compiled[name] = append(compiled[name], expr)
		}
	}
	if count < 2000 {
		t.Errorf("only %d expressions were found in the definitions", count)
	}
	return compiled
}

func TestPublishedExpressionsCompile(t *testing.T) { compileAll(t) }

// TestPublishedExpressionsEvaluate evaluates the search parameters and invariants of R4 over HL7's examples. None may fail.
func TestPublishedExpressionsEvaluate(t *testing.T) {
	dir := spectest.Dir(t, "fhir-test-cases", "r4", "examples")
	compiled := compileAll(t)
	files, err := filepath.Glob(filepath.Join(dir, "*.*"))
	if err != nil {
		t.Fatal(err)
	}
	evaluated, resources := 0, 0
	for _, file := range files {
		if !strings.HasSuffix(file, ".json") && !strings.HasSuffix(file, ".xml") {
			continue
		}
		r := readResource(t, file)
		resources++
		walk(t, r, func(in fhirpath.Input, typ string) {
			for _, expr := range compiled[typ] {
				evaluated++
				if _, err := expr.Eval(context.Background(), in, fhirpath.At(testInstant)); err != nil {
					t.Errorf("%s: %s: %v", filepath.Base(file), expr.Source(), err)
				}
			}
		})
	}
	t.Logf("%d evaluations over %d resources", evaluated, resources)
}

// walk visits every element with its type, as the definitions name it.
func walk(t testing.TB, r *fhir.Resource, visit func(in fhirpath.Input, typ string)) {
	visit(fhirpath.On(r), r.Type())
	all, err := fhirpath.MustCompile("descendants()").Eval(context.Background(), fhirpath.On(r))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range all {
		visit(fhirpath.OnValue(v), v.Type().Name())
	}
}
