package fhirapi

import (
	"bytes"
	"net/http"
	"strings"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/record"
)

// owners lets the service that owns the type refuse the draft, whose references to what is kept here are relative.
func (a *api) owners(r *http.Request, d *record.Draft) error {
	base := a.base(r) + "/"
	if res := d.Resource(); res != nil && bytes.Contains(res.JSON(), []byte(base)) {
		if err := relative(res.Root(), "", base); err != nil {
			return err
		}
	}
	return a.k.Owners(r.Context(), d)
}

// relative refuses a reference to this interface's own address: a record of the same tenant is named Type/id, since by that
// name whose chart a resource belongs to is known. Written out, the address would file it in nobody's.
func relative(n fhir.Node, name, base string) error {
	switch n.Kind() {
	case fhir.Object:
		for field, child := range n.Fields() {
			if err := relative(child, field, base); err != nil {
				return err
			}
		}
	case fhir.Array:
		for child := range n.Items() {
			if err := relative(child, name, base); err != nil {
				return err
			}
		}
	case fhir.String:
		if name == "reference" && strings.HasPrefix(n.String(), base) {
			return fault.New(fault.Unprocessable, "A reference to a record that is kept here is written as Type/id, without the address in front.")
		}
	}
	return nil
}
