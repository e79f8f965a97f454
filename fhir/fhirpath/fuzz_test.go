package fhirpath_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir/fhirpath"
)

func seedExpressions(f *testing.F) {
	for _, s := range []string{
		"Patient.name.where(use = 'official').given.first() + ' x'", "(1 | 2.5 | 'a').aggregate($total + $this, 0)", "@2020-01-01T10:00:00.5+01:00 - 3 'd' > now()",
		"%resource.descendants().repeat(children()).ofType(FHIR.`Coding`)", "-1.5 'mg' ~ {} and not implies $index[0] !~ `a b`.is(System.Integer)", "'\\u00e9\\'\\\\'.matches('(a|b)*c').replaceMatches('', '$1')",
		"iif(true, 1 year, 2 months) // end", "/* a */ name.sort(-family, given).skip(1).trace('x', $this)", "defineVariable('a', 1).select(%a.lowBoundary(31).precision())", "1.power(0.3).ln().exp().log(2).round(3)",
	} {
		f.Add(s)
	}
}

// FuzzCompile: whatever compiles prints as text that compiles to the same.
func FuzzCompile(f *testing.F) {
	seedExpressions(f)
	f.Fuzz(func(t *testing.T, source string) {
		expr, err := fhirpath.Compile(source)
		if err != nil {
			if fault.KindOf(err) != fault.Invalid {
				t.Fatalf("%q: an error of kind %s: %v", source, fault.KindOf(err), err)
			}
			return
		}
		again, err := fhirpath.Compile(expr.String())
		if err != nil {
			t.Fatalf("%q prints as %q: %v", source, expr, err)
		}
		if !fhirpath.SameTree(expr, again) {
			t.Fatalf("%q prints as %q, which is another expression: %q", source, expr, again)
		}
		_, _ = fhirpath.Compile(source, fhirpath.WithType("Patient")) // must not panic
	})
}

// FuzzEval: an evaluation ends soon, and fails only in ways that say what is wrong; twice the same gives the same.
func FuzzEval(f *testing.F) {
	seedExpressions(f)
	r := parse(f, person)
	f.Fuzz(func(t *testing.T, source string) {
		expr, err := fhirpath.Compile(source)
		if err != nil {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		options := []fhirpath.Option{fhirpath.At(testInstant), fhirpath.Limits(20000, 20000)}
		first, err := expr.Eval(ctx, fhirpath.On(r), options...)
		var e *fhirpath.Error
		if err != nil && !errors.As(err, &e) {
			t.Fatalf("%q: %v", source, err)
		}
		second, err2 := expr.Eval(ctx, fhirpath.On(r), options...)
		if (err == nil) != (err2 == nil) || len(first) != len(second) {
			t.Fatalf("%q: first %v (%v), then %v (%v)", source, first, err, second, err2)
		}
		for i := range first {
			if first[i].String() != second[i].String() || first[i].Type() != second[i].Type() {
				t.Fatalf("%q: first %v, then %v", source, first[i], second[i])
			}
		}
	})
}
