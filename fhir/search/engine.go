package search

import (
	"context"

	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/fhir/definition"
	"github.com/openspine/openspine/fhir/fhirpath"
)

// engine evaluates an expression that is not a simple path.
type engine struct {
	expression *fhirpath.Expression
}

func compileEngine(defs *definition.Set, expression string) (*engine, error) {
	e, err := fhirpath.Compile(expression, fhirpath.WithDefinitions(defs))
	if err != nil {
		return nil, err
	}
	return &engine{e}, nil
}

// each hands the walker every element or value that the expression gives on n, which is of type typ. A reference resolves
// as far as the document tells: to what it contains, or to a resource of which nothing but the type is known.
func (e *engine) each(w *walker, typ string, n fhir.Node) error {
	values, err := e.expression.Eval(context.Background(), fhirpath.OnNode(typ, n))
	if err != nil {
		return err
	}
	for _, v := range values {
		switch {
		case v.Node().Exists():
			w.arrive(v.Type().Name(), v.Node())
		case v.Type() != nil && v.Type().Namespace() == "System":
			w.computed(v.String())
		}
	}
	return nil
}

// computed adds a value that the expression worked out and that stands nowhere in the document.
func (w *walker) computed(text string) {
	if text == "" {
		return
	}
	n, err := fhir.ParseJSON(fhir.AppendString(nil, text), fhir.Limits{})
	if err != nil {
		return
	}
	switch w.kind {
	case kindDate:
		w.arrive("dateTime", n)
	case kindNumber:
		w.arrive("decimal", n)
	default:
		w.arrive("string", n)
	}
}
