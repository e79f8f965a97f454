package record

import (
	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/store"
)

// Query is a search of one type.
type Query struct {
	Type string
}

func (q Query) identifiers() [][]string { return nil }
func (q Query) charts() []string        { return nil }

func (r *Records) matches(tx *store.Tx, s access.Scope, q Query, most int) ([]Version, error) {
	return nil, fault.New(fault.Unprocessable, "This node does not search yet.")
}
