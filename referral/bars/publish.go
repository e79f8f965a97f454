package bars

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/fhirapi"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/store"
)

// What an organisation's own systems write in the catalogue: its services and its endpoints (BaRS 1.4: POST, PUT and DELETE of HealthcareService and Endpoint). What is written is the directory's resource, checked
// as FHIR R4, with its history; what the published shape has no place for (where a service is, whom it takes) stays as it was. Only the owner changes or deletes what is there, and nobody makes anything for another.

// member is one member of a resource of the catalogue, as the directory keeps it.
type member struct {
	name  string
	value fhir.Value
}

// ill refuses what is sent to the catalogue.
func ill(issue, format string, args ...any) error {
	return refuse(http.StatusBadRequest, here, issue, format, args...)
}

// doubled says that what is written is there already, as published for the catalogue: the status of a conflict with the code of a bad request.
func doubled(format string, args ...any) error {
	err := refuse(http.StatusConflict, here, "duplicate", format, args...)
	if p, ok := problemIn(err); ok {
		p.code = codeOf(http.StatusBadRequest)
	}
	return err
}

// sent is the resource in the body, of a type, whose owner the caller's organisation is.
func (c *call) sent(typ, owned string) (*fhir.Resource, error) {
	res, err := fhirapi.Sent(c.a.k, c.r)
	if err != nil {
		return nil, err
	}
	if res.Type() != typ {
		return nil, ill("invalid", "What is sent here is of the type %s.", typ)
	}
	if id := c.r.PathValue("id"); id != "" && res.ID() != "" && res.ID() != id {
		return nil, ill("invalid", "The id in the address is not that of the resource.")
	}
	if res.Get(owned).Len() > 1 {
		return nil, ill("value", "%s names one organisation.", owned)
	}
	return res, c.owns(one(res.Get(owned)))
}

// one is the first of a list, or what stands by itself.
func one(n fhir.Node) fhir.Node {
	if first := n.Index(0); first.Exists() {
		return first
	}
	return n
}

// owns refuses what is another organisation's.
func (c *call) owns(owner fhir.Node) error {
	system, value := owner.Get("identifier.system").String(), owner.Get("identifier.value").String()
	switch {
	case value == "" || !strings.EqualFold(system, ident.SystemODSCode):
		return ill("required", "Whose it is, is said by an ODS code (%s).", ident.SystemODSCode)
	case !strings.EqualFold(value, c.organisation.String()):
		return refuse(http.StatusForbidden, sender, "forbidden", "Only the organisation whose it is writes it: %s.", shown(value))
	}
	return nil
}

// identifiers are those of a resource, as FHIR has them. Error: 400 where there is none, and for one that is not whole.
func identifiers(res *fhir.Resource) (fhir.Value, error) {
	const most = 20
	var list []any
	for i := range res.Get("identifier").Items() {
		system, value := i.Field("system").String(), i.Field("value").String()
		if system == "" || value == "" {
			return fhir.Value{}, ill("required", "An identifier has a system and a value.")
		}
		list = append(list, fhir.Obj("system", system, "value", value))
	}
	if len(list) == 0 || len(list) > most {
		return fhir.Value{}, ill("required", "There are between one and %d identifiers.", most)
	}
	return fhir.Arr(list...), nil
}

// serviceMembers are a HealthcareService as the directory keeps it.
func (c *call) serviceMembers(res *fhir.Resource) ([]member, error) {
	const mostEndpoints = 20
	ids, err := identifiers(res)
	if err != nil {
		return nil, err
	}
	if res.Get("name").String() == "" {
		return nil, ill("required", "A service has a name.")
	}
	var endpoints []any
	for e := range res.Get("endpoint").Items() {
		id, ok := strings.CutPrefix(e.Field("reference").String(), "Endpoint/")
		if !ok {
			return nil, ill("value", "HealthcareService.endpoint names an Endpoint of the catalogue: Endpoint/ and its id.")
		}
		if _, err := c.kept("Endpoint", id); err != nil {
			return nil, err
		}
		endpoints = append(endpoints, fhir.Obj("reference", "Endpoint/"+id))
	}
	if len(endpoints) > mostEndpoints {
		return nil, ill("too-long", "A service has at most %d endpoints.", mostEndpoints)
	}
	list := []member{{"identifier", ids}, {"active", fhir.Of(!res.Get("active").Exists() || res.Get("active").Bool())}, {"providedBy", one(res.Get("providedBy")).Value()}, {"name", res.Get("name").Value()}}
	if len(endpoints) > 0 {
		return append(list, member{"endpoint", fhir.Arr(endpoints...)}), nil
	}
	return append(list, member{"endpoint", fhir.Value{}}), nil
}

// soundEndpoint refuses an Endpoint, or a template of one, of which nothing could be sent.
func soundEndpoint(res *fhir.Resource) error {
	word := res.Get("header").String()
	switch {
	case !slices.Contains([]string{"active", "suspended", "error", "off", "entered-in-error", "test"}, res.Get("status").String()):
		return ill("value", "Endpoint.status is active, suspended, error, off, entered-in-error or test.")
	case res.Get("connectionType.coding.0.code").String() == "":
		return ill("required", "Endpoint.connectionType says by a code how it is spoken to.")
	case res.Get("payloadType.0.coding.0.code").String() == "":
		return ill("required", "Endpoint.payloadType says by a code what is sent to it.")
	case word != "" && word != "public" && word != "private":
		return ill("value", "Endpoint.header is public or private.")
	case !isAddress(res.Get("address").String()):
		return ill("value", "Endpoint.address is a whole address on the web, without a password.")
	}
	for p := range res.Get("payloadType").Items() {
		if strings.EqualFold(p.Get("coding.0.code").String(), "bars") && strings.ContainsAny(res.Get("address").String(), "?#") {
			return ill("value", "The address of an endpoint of BaRS is a base, without a question or a fragment.")
		}
	}
	return nil
}

// isAddress reports whether a text is a whole address on the web, without a password.
func isAddress(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Host != "" && u.User == nil && (u.Scheme == "https" || u.Scheme == "http")
}

// endpointMembers are an Endpoint as the directory keeps it.
func endpointMembers(res *fhir.Resource) ([]member, error) {
	ids, err := identifiers(res)
	if err == nil {
		err = soundEndpoint(res)
	}
	if err != nil {
		return nil, err
	}
	word := res.Get("header").String()
	if word == "" {
		word = "public"
	}
	return []member{{"identifier", ids}, {"status", res.Get("status").Value()}, {"name", res.Get("name").Value()}, {"connectionType", res.Get("connectionType.coding.0").Value()}, {"payloadType", res.Get("payloadType").Value()},
		{"managingOrganization", one(res.Get("managingOrganization")).Value()}, {"address", res.Get("address").Value()}, {"header", fhir.Arr(word)}, {"period", res.Get("period").Value()}}, nil
}

// publish writes a resource of the catalogue: a new one, whose id follows from the id of the request so that one that comes twice makes one, or that in the address. made reports a new one.
func (c *call) publish(typ, owned string, members []member) (v record.Version, made bool, err error) {
	id := c.r.PathValue("id")
	if id == "" {
		id = madeID("catalogue", typ, c.organisation.String(), strings.ToLower(c.r.Header.Get("X-Request-Id")))
	}
	c.a.publishing.Lock() // what is doubled is found by reading
	defer c.a.publishing.Unlock()
	old, err := c.standing(typ, id)
	if err != nil {
		return v, false, err
	}
	change := record.Change{Verb: record.Put, Ref: record.Ref{Tenant: c.a.k.National, Type: typ, ID: id}, IfAbsent: old.Resource == nil, IfMatch: old.Ver, Reason: "published by BaRS"}
	if old.Resource == nil {
		change.IfMatch = 0
		nv := []any{"resourceType", typ, "id", id}
		for _, m := range members {
			nv = append(nv, m.name, m.value)
		}
		change.Resource, err = fhir.Obj(nv...).Resource()
	} else {
		if err := c.owns(old.Resource.Get(owned)); err != nil {
			return v, false, err
		}
		e := old.Resource.Edit()
		for _, m := range members {
			e.Set(old.Resource.Root(), m.name, m.value)
		}
		change.Resource, err = e.Done()
	}
	if err == nil {
		err = c.a.k.Sound(c.r.Context(), change.Resource)
	}
	if err != nil {
		return v, false, here400(err)
	}
	if err := c.undoubled(typ, id, change.Resource); err != nil {
		return v, false, err
	}
	if err := c.write(change); err != nil {
		return v, false, err
	}
	v, err = c.kept(typ, id)
	return v, old.Resource == nil, err
}

// here400 words what is not sound FHIR.
func here400(err error) error {
	if k := fault.KindOf(err); k == fault.Unprocessable || k == fault.Invalid {
		return ill("invalid", "%s", fault.IssuesOf(err)[0].Diagnostics)
	}
	return err
}

// standing is what has an id in the catalogue; its Resource is nil when there is nothing.
func (c *call) standing(typ, id string) (v record.Version, err error) {
	if v, err = c.kept(typ, id); fault.Is(err, fault.NotFound) {
		return record.Version{}, nil
	}
	return v, err
}

// write makes a change in the catalogue, in one commit with its entry on the account. Error: 409 when somebody else was faster.
func (c *call) write(change record.Change) error {
	err := record.Retry(3, func() error {
		draft, err := c.a.k.Records.Prepare(c.r.Context(), change)
		if err != nil {
			return err
		}
		grants, err := c.ask.Grants(draft.Acts()...)
		if err != nil {
			return err
		}
		return c.a.k.Gate.Act(c.r.Context(), grants, record.LanesOf(draft), func(tx *store.Tx) error {
			_, _, err := c.a.k.Records.ApplyAll(tx, []*record.Draft{draft}, grants...)
			return err
		})
	})
	if fault.Is(err, fault.PreconditionFailed) || fault.Is(err, fault.Conflict) {
		return refuse(http.StatusConflict, receiver, "conflict", "Somebody else wrote it at this moment: read it again, then decide.")
	}
	return err
}

// undoubled refuses a service whose name in the directory of services is another's, and an endpoint that is there already: the same address for the same identifiers.
func (c *call) undoubled(typ, id string, res *fhir.Resource) error {
	for i := range res.Get("identifier").Items() {
		token := i.Field("system").String() + "|" + i.Field("value").String()
		if typ == "HealthcareService" {
			if !strings.Contains(i.Field("system").String(), "dos-service-id") {
				continue
			}
			t, err := c.a.places.Target(c.r.Context(), i.Field("value").String())
			if fault.Is(err, fault.Conflict) || err == nil && t.ID != id {
				return doubled("Another service goes by the id %s in the directory of services.", shown(i.Field("value").String()))
			}
			if err != nil && !fault.Is(err, fault.NotFound) {
				return err
			}
			continue
		}
		list, err := c.found(typ, url.Values{"identifier": {token}})
		if err != nil {
			return err
		}
		for _, v := range list {
			if v.ID != id && v.Resource.Get("address").String() == res.Get("address").String() && string(v.Resource.Get("identifier").Raw()) == string(res.Get("identifier").Raw()) {
				return doubled("The endpoint is there already: Endpoint/%s.", v.ID)
			}
		}
		return nil // the first identifier finds all that have them all
	}
	return nil
}

func (c *call) putService() error {
	res, err := c.sent("HealthcareService", "providedBy")
	if err != nil {
		return err
	}
	members, err := c.serviceMembers(res)
	if err != nil {
		return err
	}
	v, made, err := c.publish("HealthcareService", "providedBy", members)
	if err != nil {
		return err
	}
	return c.send(c.written(made), catalogueService(v))
}

func (c *call) putEndpoint() error {
	res, err := c.sent("Endpoint", "managingOrganization")
	if err != nil {
		return err
	}
	members, err := endpointMembers(res)
	if err != nil {
		return err
	}
	v, made, err := c.publish("Endpoint", "managingOrganization", members)
	if err != nil {
		return err
	}
	return c.send(c.written(made), c.catalogueEndpoint(v))
}

// written is the published status: a POST is answered with 200, a PUT that made something with 201.
func (c *call) written(made bool) int {
	if made && c.r.Method == http.MethodPut {
		return http.StatusCreated
	}
	return http.StatusOK
}

// erase deletes what is in the address, unless something hangs on it.
func (c *call) erase(typ, owned string, hangs func(v record.Version) error) error {
	v, err := c.kept(typ, c.r.PathValue("id"))
	if err != nil {
		return err
	}
	if err := c.owns(v.Resource.Get(owned)); err != nil {
		return err
	}
	if err := hangs(v); err != nil {
		return err
	}
	if err := c.write(record.Change{Verb: record.Delete, Ref: record.Ref{Tenant: c.a.k.National, Type: typ, ID: v.ID}, IfMatch: v.Ver, Reason: "deleted by BaRS"}); err != nil {
		return err
	}
	return c.erased()
}

// erased says so, as published for the catalogue.
func (c *call) erased() error {
	return c.send(http.StatusOK, outcome("information", "informational", errorCodes, "OK", "", "Resource deleted successfully."))
}

// deleteService deletes a service that has nothing to offer here: free slots would stay with nobody.
func (c *call) deleteService() error {
	return c.erase("HealthcareService", "providedBy", func(v record.Version) error {
		free, err := c.a.referrals.FreeSlots(c.r.Context(), v.ID, time.Time{}, time.Time{}, "", 1)
		if fault.Is(err, fault.Unavailable) {
			return nil // its slots are elsewhere
		}
		if err == nil && len(free) > 0 {
			err = refuse(http.StatusConflict, receiver, "conflict", "The service has free slots: take them back first.")
		}
		return err
	})
}

// deleteEndpoint deletes an endpoint that no service names: without it, what is for the service would be taken for this node's.
func (c *call) deleteEndpoint() error {
	return c.erase("Endpoint", "managingOrganization", func(v record.Version) error {
		list, err := c.found("HealthcareService", url.Values{"endpoint": {"Endpoint/" + v.ID}})
		if err == nil && len(list) > 0 {
			err = refuse(http.StatusConflict, receiver, "conflict", "HealthcareService/%s names the endpoint: take it out there first.", list[0].ID)
		}
		return err
	})
}

// access of a type as a whole, for what is kept beside the directory.
func (c *call) leave(action access.Action) ([]access.Grant, error) {
	return c.ask.Grants(access.Act{Action: action, Place: access.Place{Tenant: c.a.k.National, Type: "Endpoint"}})
}
