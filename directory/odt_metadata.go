package directory

import (
	"net/http"

	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/fhirapi"
)

// odtMetadata says what the API can do (ODT, get-capability-statement).
func (d *Directory) odtMetadata(w http.ResponseWriter, r *http.Request) error {
	interactions := func(codes ...string) fhir.Value {
		var list []fhir.Value
		for _, c := range codes {
			list = append(list, fhir.Obj("code", c))
		}
		return fhir.List(list)
	}
	params := func(pairs ...string) fhir.Value {
		var list []fhir.Value
		for i := 0; i < len(pairs); i += 2 {
			list = append(list, fhir.Obj("name", pairs[i], "type", pairs[i+1]))
		}
		return fhir.List(list)
	}
	operation := func(name, of string) fhir.Value {
		return fhir.Obj("name", name, "definition", "http://hl7.org/fhir/OperationDefinition/"+of)
	}
	return fhirapi.Answer(w, r, http.StatusOK, fhir.Obj("resourceType", "CapabilityStatement", "url", d.k.BaseURL()+odtBase+"/metadata", "name", "OrganisationDataTerminology",
		"title", "Organisation Data Terminology API", "status", "active", "date", d.k.Clock.Now().UTC().Format("2006-01-02"), "kind", "instance",
		"software", fhir.Obj("name", "OpenSpine"), "implementation", fhir.Obj("description", "The directory of an OpenSpine node", "url", d.k.BaseURL()+odtBase),
		"fhirVersion", "4.0.1", "format", fhir.Arr("application/fhir+json", "application/fhir+xml"),
		"rest", fhir.Arr(fhir.Obj("mode", "server",
			"security", fhir.Obj("description", "An API key in the header apikey."),
			"resource", fhir.Arr(
				fhir.Obj("type", "Organization", "profile", profileOrganization, "interaction", interactions("read", "search-type"),
					"searchRevInclude", fhir.Arr(includeSource, includeTarget),
					"searchParam", params("_id", "token", "_lastUpdated", "date", "identifier", "token", "lastChangeDate", "date", "name", "string", "active", "token",
						"address", "string", "address-city", "string", "address-country", "string", "address-postalcode", "string", "address-state", "string", "phonetic", "string",
						"roleCode", "token", "activeRoleCode", "token", "type", "token")),
				fhir.Obj("type", "OrganizationAffiliation", "profile", profileAffiliation, "interaction", interactions("read", "search-type"),
					"searchInclude", fhir.Arr(includeSource, includeTarget),
					"searchParam", params("_id", "token", "primary-organization", "reference", "participating-organization", "reference", "active", "token")),
				fhir.Obj("type", "List", "interaction", interactions("read")),
				fhir.Obj("type", "CodeSystem", "interaction", interactions("search-type"), "searchParam", params("url", "uri", "system", "uri", "name", "string"),
					"operation", fhir.Arr(operation("lookup", "CodeSystem-lookup"), operation("validate-code", "CodeSystem-validate-code"))),
				fhir.Obj("type", "ValueSet", "operation", fhir.Arr(operation("expand", "ValueSet-expand"))))))).JSON())
}
