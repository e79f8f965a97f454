package search

import (
	"context"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/fhir/definition"
)

type evaluator interface {
	each(ctx context.Context, root fhir.Node, resourceType string, n fhir.Node, found func(typ string, n fhir.Node)) error
}

func compileEngine(_ *definition.Set, _ string) (evaluator, error) {
	return nil, fault.New(fault.Internal, "this expression is not a path")
}
