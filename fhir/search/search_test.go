package search

import (
	"testing"

	"github.com/openspine/openspine/fhir/definition"
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
