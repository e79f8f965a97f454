package seed

import (
	"context"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/node"
	"github.com/openspine/openspine/sim"
)

// Clinics sets up the hospitals' clinics. Their sessions are made, and given to the spine by real messages, by the nodes' own jobs once the nodes are linked.
func Clinics(ctx context.Context, nodes []*node.Node, k *sim.Country) error {
	for _, code := range []ident.ODSCode{sim.HospitalWest, sim.HospitalEast} {
		s, err := k.Clinics(code)
		if err == nil {
			err = nodes[keeper(nodes, code)].Clinics().SetUp(ctx, access.Service("seed", code), code, s)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
