package bars

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/record"
)

// The catalogue is which services there are, and by which endpoints they are reached: the directory's HealthcareService and Endpoint, in the shape that BaRS 1.4 publishes
// (a service's provider and an endpoint's organisation stand in lists there, FHIR's Coding in a CodeableConcept, and an endpoint's header is one word). Programs write there
// what is their organisation's own (publish.go).

// mostListed is how many resources of the catalogue one answer holds.
const mostListed = "200"

// catalogueRoutes read and write the catalogue, and the pointers, which are for no service either.
func (a *API) catalogueRoutes() []catalogue.Route {
	return []catalogue.Route{
		a.catalogue("GET /HealthcareService", (*call).listServices), a.catalogue("GET /HealthcareService/{id}", (*call).oneService),
		a.catalogue("POST /HealthcareService", (*call).putService), a.catalogue("PUT /HealthcareService/{id}", (*call).putService), a.catalogue("DELETE /HealthcareService/{id}", (*call).deleteService),
		a.catalogue("GET /Endpoint", (*call).listEndpoints), a.catalogue("GET /Endpoint/{id}", (*call).oneEndpoint),
		a.catalogue("POST /Endpoint", (*call).putEndpoint), a.catalogue("PUT /Endpoint/{id}", (*call).putEndpoint), a.catalogue("DELETE /Endpoint/{id}", (*call).deleteEndpoint),
		a.catalogue("GET /Endpoint/$template", (*call).listTemplates), a.catalogue("POST /Endpoint/$template", (*call).putTemplate),
		a.catalogue("PUT /Endpoint/{id}/$template", (*call).putTemplate), a.catalogue("DELETE /Endpoint/{id}/$template", (*call).deleteTemplate),
		a.untargeted("GET /DocumentReference", readPointerHead, (*call).listPointers), a.untargeted("GET /DocumentReference/{id}", readPointerHead, (*call).onePointer), a.untargeted("POST /DocumentReference", readPointerHead, (*call).postPointer),
		a.untargeted("PUT /DocumentReference/{id}", readPointerHead, (*call).putPointer), a.untargeted("DELETE /DocumentReference/{id}", readPointerHead, (*call).deletePointer),
	}
}

// catalogue is one operation on the catalogue.
func (a *API) catalogue(operation string, do func(c *call) error) catalogue.Route {
	return a.untargeted(operation, readCatalogueHead, do)
}

// untargeted is one operation that is for no service.
func (a *API) untargeted(operation string, read func(*http.Request, access.Principal) (head, error), do func(c *call) error) catalogue.Route {
	method, path, _ := strings.Cut(operation, " ")
	return catalogue.OnBody(method+" "+Base+path, func(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
		mirror(w, r)
		c := &call{a: a, w: w, r: r, ask: ask}
		var err error
		if c.head, err = read(r, ask.Principal); err != nil {
			return err
		}
		return received(do(c))
	}, access.SystemClient)
}

// asked are the parameters of a search, which are those named and no others. Error: 400 for another one, for one that is given twice, and where there is none.
func (c *call) asked(names ...string) (url.Values, error) {
	q := c.r.URL.Query()
	for name, values := range q {
		if !slices.Contains(names, name) {
			return nil, refuse(http.StatusBadRequest, here, "invalid", "The parameter %s is not known; those of this search are %s.", shown(name), strings.Join(names, ", "))
		}
		if len(values) != 1 || values[0] == "" {
			return nil, refuse(http.StatusBadRequest, here, "invalid", "The parameter %s is given once, with a value.", name)
		}
	}
	if len(q) == 0 {
		return nil, refuse(http.StatusBadRequest, here, "required", "The search names what is looked for: %s.", strings.Join(names, ", "))
	}
	return q, nil
}

// found are what a search of the directory finds.
func (c *call) found(typ string, params url.Values) ([]record.Version, error) {
	params.Set("_count", mostListed)
	q, _, err := c.a.k.Records.ParseQuery(typ, params, false)
	if err != nil {
		return nil, err
	}
	scope, err := c.ask.Scope(access.Search, typ)
	if err != nil {
		return nil, err
	}
	page, err := c.a.k.Records.Search(c.r.Context(), scope, q)
	if err == nil && page.Next != "" {
		err = refuse(http.StatusUnprocessableEntity, receiver, "too-costly", "More than %s are found: say more of what is looked for.", mostListed)
	}
	return page.Matches, err
}

// kept is one resource of the directory. Error: 404.
func (c *call) kept(typ, id string) (v record.Version, err error) {
	place, err := c.ask.Locate(typ, id)
	if err != nil {
		return v, err
	}
	grants, err := c.ask.Grants(access.Act{Action: access.Read, Place: place})
	if err == nil {
		v, err = c.a.k.Records.Read(c.r.Context(), grants[0], record.Ref{Tenant: c.a.k.National, Type: typ, ID: id})
	}
	if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Gone) || err == nil && v.Deleted {
		return v, refuse(http.StatusNotFound, here, "not-found", "There is no such %s in the catalogue.", typ)
	}
	return v, err
}

// servicesNamed are the services of an identifier: system|value, with the system in either of its two spellings, or a value alone.
func (c *call) servicesNamed(token string) ([]record.Version, error) {
	if system, value, ok := strings.Cut(token, "|"); ok {
		if _, rest, ok := strings.Cut(system, "://"); ok && strings.EqualFold(rest, "fhir.nhs.uk/Id/dos-service-id") {
			if v, err := c.kept("HealthcareService", value); err == nil {
				return []record.Version{v}, nil // the directory's own id is the service's
			}
			token = "http://" + rest + "|" + value + ",https://" + rest + "|" + value
		}
	}
	return c.found("HealthcareService", url.Values{"identifier": {token}})
}

func (c *call) listServices() error {
	const byID, byOwner = "HealthcareService.identifier", "HealthcareService.providedBy"
	q, err := c.asked(byID, byOwner)
	if err != nil {
		return err
	}
	var list []record.Version
	if q.Get(byID) != "" {
		list, err = c.servicesNamed(q.Get(byID))
	} else {
		list, err = c.found("HealthcareService", url.Values{"organization:identifier": {q.Get(byOwner)}})
	}
	if err != nil {
		return err
	}
	if owner := q.Get(byOwner); owner != "" {
		_, code, ok := strings.Cut(owner, "|")
		if !ok {
			code = owner
		}
		list = slices.DeleteFunc(list, func(v record.Version) bool {
			return !strings.EqualFold(v.Resource.Get("providedBy.identifier.value").String(), code)
		})
	}
	return c.sendList("HealthcareService", list, catalogueService)
}

func (c *call) oneService() error {
	v, err := c.kept("HealthcareService", c.r.PathValue("id"))
	if err != nil {
		return err
	}
	return c.send(http.StatusOK, catalogueService(v))
}

func (c *call) listEndpoints() error {
	const ofID, ofService, byID = "_has:HealthcareService.Id", "_has:HealthcareService.Identifier", "Endpoint.identifier"
	q, err := c.asked(ofID, ofService, byID)
	if err != nil {
		return err
	}
	var list []record.Version
	switch {
	case q.Get(ofID) != "":
		var service record.Version
		if service, err = c.kept("HealthcareService", q.Get(ofID)); err == nil {
			list, err = c.endpointsOf([]record.Version{service})
		}
	case q.Get(ofService) != "":
		var services []record.Version
		if services, err = c.servicesNamed(q.Get(ofService)); err == nil {
			list, err = c.endpointsOf(services)
		}
	default:
		list, err = c.found("Endpoint", url.Values{"identifier": {q.Get(byID)}})
	}
	if err != nil {
		return err
	}
	if token := q.Get(byID); token != "" {
		list = slices.DeleteFunc(list, func(v record.Version) bool { return !identified(v.Resource, token) })
	}
	return c.sendList("Endpoint", list, c.catalogueEndpoint)
}

// identified reports whether a resource has an identifier: system|value, or a value alone.
func identified(r *fhir.Resource, token string) bool {
	system, value, ok := strings.Cut(token, "|")
	if !ok {
		system, value = "", token
	}
	for i := range r.Get("identifier").Items() {
		if i.Field("value").String() == value && (!ok || i.Field("system").String() == system) {
			return true
		}
	}
	return false
}

// endpointsOf are the endpoints that services name, each once; one that is not there is left out.
func (c *call) endpointsOf(services []record.Version) ([]record.Version, error) {
	var refs []record.Ref
	for _, s := range services {
		for e := range s.Resource.Get("endpoint").Items() {
			ref := record.Ref{Tenant: c.a.k.National, Type: "Endpoint"}
			var ok bool
			if ref.ID, ok = strings.CutPrefix(e.Field("reference").String(), "Endpoint/"); ok && !slices.Contains(refs, ref) {
				refs = append(refs, ref)
			}
		}
	}
	scope, err := c.ask.Scope(access.Search, "Endpoint")
	if err != nil {
		return nil, err
	}
	return c.a.k.Records.ReadAll(c.r.Context(), scope, refs)
}

func (c *call) oneEndpoint() error {
	v, err := c.kept("Endpoint", c.r.PathValue("id"))
	if err != nil {
		return err
	}
	return c.send(http.StatusOK, c.catalogueEndpoint(v))
}

// sendList answers with what a search found.
func (c *call) sendList(kind string, list []record.Version, draw func(record.Version) fhir.Value) error {
	entries := make([]any, len(list))
	for i, v := range list {
		entries[i] = fhir.Obj("fullUrl", c.a.base()+"/"+kind+"/"+v.ID, "resource", draw(v))
	}
	return c.send(http.StatusOK, fhir.Obj("resourceType", "Bundle", "id", uuid.NewString(), "type", "searchset", "total", len(list), "timestamp", instant(c.a.k.Clock.Now()),
		"link", fhir.Arr(fhir.Obj("relation", "self", "url", c.self(kind))), "entry", fhir.Arr(entries...)))
}

// catalogueService is a service as the catalogue shows it.
func catalogueService(v record.Version) fhir.Value {
	r := v.Resource
	ids := []any{}
	named := false
	for i := range r.Get("identifier").Items() {
		ids = append(ids, i)
		named = named || strings.Contains(i.Field("system").String(), "dos-service-id")
	}
	if !named {
		ids = append(ids, fhir.Obj("system", serviceSystem, "value", v.ID))
	}
	return fhir.Obj("resourceType", "HealthcareService", "id", v.ID, "meta", changed(v, "http://hl7.org/fhir/StructureDefinition/HealthcareService", ukCore+"HealthcareService"), "identifier", fhir.Arr(ids...),
		"active", !r.Get("active").Exists() || r.Get("active").Bool(), "providedBy", fhir.Arr(r.Get("providedBy")), "name", r.Get("name"), "endpoint", r.Get("endpoint"))
}

// catalogueEndpoint is an endpoint as the catalogue shows it. The address of a private one is for its owner alone.
func (c *call) catalogueEndpoint(v record.Version) fhir.Value {
	r := v.Resource
	word := "public"
	for h := range r.Get("header").Items() {
		if strings.EqualFold(h.String(), "private") {
			word = "private"
		}
	}
	owner := r.Get("managingOrganization")
	address := r.Get("address").Value()
	mine := owner.Get("identifier.system").String() == ident.SystemODSCode && strings.EqualFold(owner.Get("identifier.value").String(), c.organisation.String())
	if word == "private" && !mine {
		address = fhir.Value{}
	}
	return fhir.Obj("resourceType", "Endpoint", "id", v.ID, "meta", changed(v, "http://hl7.org/fhir/StructureDefinition/Endpoint"), "identifier", r.Get("identifier"), "status", r.Get("status"), "name", r.Get("name"),
		"connectionType", fhir.Obj("coding", fhir.Arr(r.Get("connectionType"))), "payloadType", r.Get("payloadType"), "managingOrganization", fhir.Arr(owner), "address", address, "header", word, "period", r.Get("period"))
}

// changed is the meta of a resource of the catalogue.
func changed(v record.Version, profiles ...any) fhir.Value {
	return fhir.Obj("lastUpdated", instant(v.At), "profile", fhir.Arr(profiles...))
}
