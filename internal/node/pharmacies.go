package node

import (
	"context"

	"github.com/openspine/openspine/demographics/trace"
	"github.com/openspine/openspine/directory"
)

// pharmacies is what the pages of the register ask the directory: one registry does not know the other.
type pharmacies struct{ *directory.Directory }

// rolePharmacy is the role of a pharmacy in the organisation data service.
const rolePharmacy = "RO182"

// Pharmacies are open pharmacies by code, name or postcode.
func (p pharmacies) Pharmacies(ctx context.Context, text, postcode string, most int) ([]trace.Pharmacy, error) {
	out, err := p.Search(ctx, directory.Query{Text: text, Postcode: postcode, Role: rolePharmacy, Limit: most})
	if err != nil {
		return nil, err
	}
	list := make([]trace.Pharmacy, len(out.Found))
	for i, f := range out.Found {
		list[i] = trace.Pharmacy{Code: f.Code, Name: f.Name, Town: f.Town, Postcode: f.Postcode}
	}
	return list, nil
}
