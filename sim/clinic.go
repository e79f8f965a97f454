package sim

import "github.com/openspine/openspine/ident"

// clinic is what is known of illnesses and their care.
type clinic struct{}

func loadClinic() (*clinic, error) { return &clinic{}, nil }

// chart yields what a practice or hospital holds of one person; false means that nothing more is wanted.
func (k *Country) chart(p *Person, tenant ident.ODSCode, id string, yield func(Item) bool) bool {
	w := writer{b: make([]byte, 0, 2048)}
	k.localPatient(&w, p, tenant, id)
	return yield(Item{Tenant: tenant, Chart: id, Type: "Patient", ID: id, Resource: w.b})
}
