package directory

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/store"
)

// sdsBase is where the Spine Directory Service API is served (SDS specification, "Environments and testing").
const sdsBase = "/spine-directory/FHIR/R4"

// sds is the Spine Directory Service API as published: which accredited system answers for an organisation, and where.
func (d *Directory) sds() catalogue.Published {
	get := func(path string, h func(w http.ResponseWriter, r *http.Request) error) catalogue.Route {
		return catalogue.Public("GET "+sdsBase+path, d.keyed(h))
	}
	return catalogue.Published{Base: sdsBase, Face: sdsFace{}, Foreign: true, Routes: []catalogue.Route{
		get("/Device", d.sdsSearch("Device")),
		get("/Endpoint", d.sdsSearch("Endpoint")),
	}}
}

// sdsFace words failures as a Spine OperationOutcome ("Errors").
type sdsFace struct{}

// sdsWords are the codes of the Spine's error list by kind.
var sdsWords = map[fault.Kind][2]string{
	fault.Invalid:          {"BAD_REQUEST", "Bad request"},
	fault.Unauthenticated:  {"ACCESS_DENIED", "Access has been denied to process this request"},
	fault.NotFound:         {"RESOURCE_NOT_FOUND", "Resource not found"},
	fault.MethodNotAllowed: {"NOT_IMPLEMENTED", "Method not allowed"},
	fault.NotAcceptable:    {"UNSUPPORTED_MEDIA_TYPE", "Unsupported media type"},
	fault.TooMany:          {"TOO_MANY_REQUESTS", "Too many requests"},
	fault.Timeout:          {"TIMEOUT", "Request has timed out"},
}

// Refuse answers with err.
func (sdsFace) Refuse(w http.ResponseWriter, _ *http.Request, err error) {
	kind := fault.KindOf(err)
	words, known := sdsWords[kind]
	if !known {
		words = [2]string{"INTERNAL_SERVER_ERROR", "Unexpected internal server error"}
	}
	if kind == fault.Unavailable || kind == fault.TooMany {
		w.Header().Set("Retry-After", "1")
	}
	issue := fault.IssuesOf(err)[0]
	body := fhir.Obj("resourceType", "OperationOutcome", "meta", fhir.Obj("profile", fhir.Arr("https://fhir.nhs.uk/STU3/StructureDefinition/Spine-OperationOutcome-1")),
		"issue", fhir.Arr(fhir.Obj("severity", "error", "code", issue.Code, "details", fhir.Obj("coding", fhir.Arr(fhir.Obj(
			"system", "https://fhir.nhs.uk/STU3/CodeSystem/Spine-ErrorOrWarningCode-1", "code", words[0], "display", words[1]))), "diagnostics", fault.MessageOf(err)))).JSON()
	w.Header().Set("Content-Type", "application/fhir+json; charset=utf-8")
	w.WriteHeader(kind.HTTPStatus())
	if _, err := w.Write(body); err != nil {
		return // the caller has gone
	}
}

// sdsQuery is what a search asks for.
type sdsQuery struct{ organisation, interaction, party, maker string }

// readSDS reads the parameters of Device or Endpoint (SDS, getDevice, getEndpoint). Each value is system|value.
func readSDS(typ, raw string) (q sdsQuery, err error) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return q, fault.Wrap(err, fault.Invalid, "The query parameters cannot be read: check what follows each percent sign.")
	}
	known := []string{"organization", "identifier", "_format"}
	if typ == "Device" {
		known = append(known, "manufacturing-organization")
	}
	for name := range values {
		if !slices.Contains(known, name) {
			return q, fault.New(fault.Invalid, "Illegal query parameter '%s'; there are: %s.", harmlessName(name), strings.Join(known[:len(known):len(known)], ", "))
		}
	}
	one := func(name, system string, into *string) {
		list := values[name]
		if len(list) == 0 || err != nil {
			return
		}
		s, v, found := strings.Cut(list[0], "|")
		if len(list) > 1 || !found || s != system || strings.TrimSpace(v) == "" {
			err = fault.New(fault.Invalid, "Missing or invalid '%s' query parameter. Should be '%s=%s|value'.", name, name, system)
		}
		*into = strings.ToUpper(strings.TrimSpace(v))
	}
	one("organization", ident.SystemODSCode, &q.organisation)
	one("manufacturing-organization", ident.SystemODSCode, &q.maker)
	if err != nil {
		return q, err
	}
	for _, v := range values["identifier"] {
		s, value, _ := strings.Cut(v, "|")
		into := map[string]*string{systemInteraction: &q.interaction, systemParty: &q.party}[s]
		if into == nil || *into != "" || strings.TrimSpace(value) == "" {
			return q, badIdentifier()
		}
		*into = strings.TrimSpace(value)
	}
	return q, q.enough(typ)
}

func badIdentifier() error {
	return fault.New(fault.Invalid, "Missing or invalid 'identifier' query parameter. Should be one or both of 'identifier=%s|value' and 'identifier=%s|value'.", systemInteraction, systemParty)
}

// enough holds a query to the published combinations: a device by organisation and interaction; an endpoint by two of organisation,
// interaction and party key.
func (q sdsQuery) enough(typ string) error {
	switch {
	case typ == "Device" && q.organisation == "":
		return fault.New(fault.Invalid, "Missing or invalid 'organization' query parameter. Should be 'organization=%s|value'.", ident.SystemODSCode)
	case typ == "Device" && q.interaction == "", q.interaction == "" && q.party == "":
		return badIdentifier()
	case typ == "Endpoint" && q.organisation == "" && (q.interaction == "" || q.party == ""):
		return fault.New(fault.Invalid, "An endpoint is asked for by two at least of organization, service interaction and party key.")
	}
	return nil
}

// sdsSearch finds devices or endpoints.
func (d *Directory) sdsSearch(typ string) func(w http.ResponseWriter, r *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		if !takesJSON(r) {
			return fault.New(fault.NotAcceptable, "The answer is application/fhir+json only.")
		}
		q, err := readSDS(typ, r.URL.RawQuery)
		if err != nil {
			return err
		}
		found, err := d.systems(r, typ, q)
		if err != nil {
			return err
		}
		base := d.k.BaseURL() + sdsBase + "/" + typ
		var entries []fhir.Value
		for _, v := range found {
			entries = append(entries, fhir.Obj("fullUrl", base+"/"+v.ID, "resource", v.Resource, "search", fhir.Obj("mode", "match")))
		}
		body := fhir.Obj("resourceType", "Bundle", "id", strings.ToUpper(uuid.NewString()), "type", "searchset", "total", len(entries),
			"link", fhir.Arr(fhir.Obj("relation", "self", "url", base+question(r.URL.RawQuery))), "entry", fhir.List(entries)).JSON()
		w.Header().Set("Content-Type", "application/fhir+json; charset=utf-8")
		_, err = w.Write(body)
		return err
	}
}

// systems are the devices or endpoints that a query finds, as they were registered.
func (d *Directory) systems(r *http.Request, typ string, q sdsQuery) (found []record.Version, err error) {
	reads, err := d.reads(r.Context(), typ)
	if err != nil {
		return nil, err
	}
	var c where
	c.and(`kind = ?`, strings.ToLower(typ))
	c.and(`active = 1`)
	for _, p := range [][2]string{{"organisation", q.organisation}, {"interaction", q.interaction}, {"party", q.party}, {"maker", q.maker}} {
		if p[1] != "" {
			c.and(p[0]+` = ?`, p[1])
		}
	}
	err = d.k.DB.Read(r.Context(), func(tx *store.Tx) error {
		found = nil
		ids, err := texts(tx, `SELECT DISTINCT id FROM directory_system WHERE `+c.sql()+` ORDER BY id LIMIT 1000`, 1, c.args...)
		if err != nil {
			return err
		}
		for _, row := range ids {
			v, err := reads.version(tx, typ, row[0])
			if err != nil {
				return err
			}
			found = append(found, v)
		}
		return nil
	})
	return found, err
}

// takesJSON reports whether a caller takes application/fhir+json.
func takesJSON(r *http.Request) bool {
	if f := r.URL.Query().Get("_format"); f != "" && !strings.Contains(f, "json") {
		return false
	}
	accept := r.Header.Values("Accept")
	if len(accept) == 0 {
		return true
	}
	for _, part := range strings.Split(strings.Join(accept, ","), ",") {
		media, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(part)), ";")
		if slices.Contains([]string{"application/fhir+json", "application/json", "application/*", "*/*"}, strings.TrimSpace(media)) {
			return true
		}
	}
	return false
}
