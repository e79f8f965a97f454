package fhirapi

import (
	"net/http"
	"slices"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/fhir/definition"
)

// capabilities: "information about a system's capabilities" (https://hl7.org/fhir/R4/http.html#capabilities), made from the
// definitions and the routes, so that it cannot promise what is not there.
func (a *api) capabilities(w http.ResponseWriter, r *http.Request) error {
	if mode := queryValue(r, "mode"); mode != "" && mode != "full" && mode != "normative" {
		return fault.New(fault.Invalid, "mode is full or normative; there are no terminology services here.")
	}
	if _, err := wanted(r); err != nil {
		return err
	}
	var types []string
	for _, typ := range a.defs.ResourceTypes() {
		if t := a.defs.Type(typ); t != nil && !t.Abstract && typ != "Parameters" {
			types = append(types, typ)
		}
	}
	slices.Sort(types)
	var resources []any
	referring := a.referring(types)
	for _, typ := range types {
		resources = append(resources, a.capability(typ, referring))
	}
	base := a.base(r)
	statement := fhir.Obj("resourceType", "CapabilityStatement", "url", base+"/metadata", "name", "OpenSpine", "title", "OpenSpine FHIR R4",
		"status", "active", "date", a.k.Clock.Now().UTC().Format("2006-01-02"), "kind", "instance",
		"software", fhir.Obj("name", "OpenSpine"),
		"implementation", fhir.Obj("description", "Records of one organisation on an OpenSpine node", "url", base),
		"fhirVersion", "4.0.1", "format", fhir.Arr(mimeJSON, mimeXML, "json", "xml"), "patchFormat", fhir.Arr(mimePatch, mimeJSON, mimeXML),
		"rest", fhir.Arr(fhir.Obj("mode", "server",
			"security", fhir.Obj("service", fhir.Arr(fhir.Obj("coding", fhir.Arr(fhir.Obj("system", "http://terminology.hl7.org/CodeSystem/restful-security-service", "code", "SMART-on-FHIR")))),
				"description", "A bearer token (JWT, ES256 or RS512) or a signed-in session. Every read and write is on the account."),
			"resource", fhir.Arr(resources...),
			"interaction", codes("transaction", "batch", "search-system", "history-system"),
			"searchParam", params(a.defs.SearchParameters("Resource")),
			"operation", fhir.Arr(operation("validate", "Resource-validate"), operation("meta", "Resource-meta"),
				operation("meta-add", "Resource-meta-add"), operation("meta-delete", "Resource-meta-delete"), operation("process-message", "MessageHeader-process-message")),
			"compartment", fhir.Arr("http://hl7.org/fhir/CompartmentDefinition/patient", "http://hl7.org/fhir/CompartmentDefinition/encounter",
				"http://hl7.org/fhir/CompartmentDefinition/relatedPerson", "http://hl7.org/fhir/CompartmentDefinition/practitioner", "http://hl7.org/fhir/CompartmentDefinition/device"))))
	return a.send(w, r, http.StatusOK, statement)
}

// capability is what can be done with one type.
func (a *api) capability(typ string, referring map[string][]string) fhir.Value {
	if typ == "AuditEvent" {
		return a.auditCapability()
	}
	own := a.defs.SearchParameters(typ)
	includes := []any{"*"}
	for _, p := range own {
		if p.Type == "reference" {
			includes = append(includes, typ+":"+p.Code)
		}
	}
	var profiles []any
	for _, url := range a.profiles()[typ] {
		profiles = append(profiles, url)
	}
	var reverse []any
	for _, r := range referring[typ] {
		reverse = append(reverse, r)
	}
	pairs := []any{"type", typ, "profile", "http://hl7.org/fhir/StructureDefinition/" + typ, "supportedProfile", fhir.Arr(profiles...),
		"interaction", codes("read", "vread", "update", "patch", "delete", "history-instance", "history-type", "create", "search-type"),
		"versioning", "versioned-update", "readHistory", true, "updateCreate", true, "conditionalCreate", true, "conditionalRead", "full-support",
		"conditionalUpdate", true, "conditionalDelete", "multiple", "searchInclude", fhir.Arr(includes...),
		"searchRevInclude", fhir.Arr(reverse...), "searchParam", params(own)}
	if !access.Shared(typ) {
		pairs = append(pairs, "documentation", "It may be about people: its id is chosen (an update that creates) by systems of the organisation that keeps the record alone. To others PUT of an id that is not there is 404, as one that is hidden is; they POST.")
	}
	if typ == "Patient" {
		pairs = append(pairs, "operation", fhir.Arr(operation("everything", "Patient-everything")))
	}
	return fhir.Obj(pairs...)
}

// profiles are those of the packages that the node was started with, by the type that they are of: $validate holds to them.
func (a *api) profiles() map[string][]string {
	return a.defs.Memo(profilesKey{}, func() any {
		found := map[string][]string{}
		for _, url := range a.defs.Profiles() {
			if p := a.defs.Profile(url); !p.Abstract {
				found[p.Type] = append(found[p.Type], url)
			}
		}
		return found
	}).(map[string][]string)
}

type profilesKey struct{}

// auditCapability is what can be done with the account: reading and searching.
func (a *api) auditCapability() fhir.Value {
	var own []definition.SearchParameter
	for _, p := range a.defs.SearchParameters("AuditEvent") {
		if slices.Contains(audit.SearchParameters(), p.Code) {
			own = append(own, p)
		}
	}
	return fhir.Obj("type", "AuditEvent", "profile", "http://hl7.org/fhir/StructureDefinition/AuditEvent",
		"documentation", "The account itself: it is written by what is done here, never by a client.",
		"interaction", codes("read", "search-type"), "versioning", "no-version", "searchParam", params(own))
}

// referring lists, for each type, the parameters of other types that refer to it, as _revinclude writes them.
func (a *api) referring(types []string) map[string][]string {
	found := map[string][]string{}
	for _, typ := range types {
		for _, p := range a.defs.SearchParameters(typ) {
			if p.Type != "reference" || typ == "AuditEvent" {
				continue
			}
			for _, target := range p.Targets {
				found[target] = append(found[target], typ+":"+p.Code)
			}
		}
	}
	return found
}

func codes(list ...string) fhir.Value {
	var out []any
	for _, c := range list {
		out = append(out, fhir.Obj("code", c))
	}
	return fhir.Arr(out...)
}

func operation(name, definition string) fhir.Value {
	return fhir.Obj("name", name, "definition", "http://hl7.org/fhir/OperationDefinition/"+definition)
}

func params(list []definition.SearchParameter) fhir.Value {
	var out []any
	for _, p := range list {
		out = append(out, fhir.Obj("name", p.Code, "definition", p.URL, "type", p.Type))
	}
	return fhir.Arr(out...)
}
