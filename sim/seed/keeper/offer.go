package keeper

import (
	"context"

	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/node"
)

// Service is the clinic's one service, and Provider whose it is.
const (
	Service  = "NZZ01-eyes"
	endpoint = "NZZ01-bars"
)

// Provider is whose the service is.
var Provider = ident.MustODSCode("NZZ01")

// Offer puts the clinic, its service and where its system answers into a national node's directory: the address is another at each start.
func Offer(ctx context.Context, n *node.Node, address string) error {
	coded := func(system, code string) any {
		return fhir.Obj("coding", fhir.Arr(fhir.Obj("system", system, "code", code)))
	}
	party := fhir.Obj("identifier", fhir.Obj("system", ident.SystemODSCode, "value", Provider.String()))
	const flows = "https://fhir.nhs.uk/CodeSystem/eRS-RequestFlowType"
	l := n.Loader("seed", n.Kernel().National, nil)
	for _, v := range []fhir.Value{
		fhir.Obj("resourceType", "Organization", "id", Provider.String(), "identifier", fhir.Arr(fhir.Obj("system", ident.SystemODSCode, "value", Provider.String())), "active", true, "name", "Saltmarsh Eye Centre", "address", fhir.Arr(fhir.Obj("postalCode", "FN2 4QT"))),
		fhir.Obj("resourceType", "Endpoint", "id", endpoint, "status", "active", "connectionType", fhir.Obj("system", "http://terminology.hl7.org/CodeSystem/endpoint-connection-type", "code", "hl7-fhir-msg"),
			"payloadType", fhir.Arr(fhir.Obj("coding", fhir.Arr(fhir.Obj("code", "bars")))), "managingOrganization", party, "address", address),
		fhir.Obj("resourceType", "HealthcareService", "id", Service, "active", true, "name", "Cataract clinic", "providedBy", party, "endpoint", fhir.Arr(fhir.Obj("reference", "Endpoint/"+endpoint)),
			"specialty", fhir.Arr(fhir.Obj("coding", fhir.Arr(fhir.Obj("system", ident.SystemSNOMED, "code", "394594003", "display", "Ophthalmology")))), "characteristic", fhir.Arr(coded(flows, "APPOINTMENT_REQUEST"))),
	} {
		res, err := v.Resource()
		if err != nil {
			return err
		}
		if err := l.Add(ctx, res); err != nil {
			return err
		}
	}
	return l.Flush(ctx)
}
