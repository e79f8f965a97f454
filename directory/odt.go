package directory

import (
	"errors"
	"net/http"
	"strings"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/fhirapi"
	"github.com/openspine/openspine/internal/catalogue"
)

// odtBase is where the Organisation Data Terminology API is served (ODT specification, "Environments and testing").
const odtBase = "/organisation-data-terminology-api/fhir"

// odt is the Organisation Data Terminology API as published: organisations, relationships, deletions and code systems, for any
// application that has a key.
func (d *Directory) odt() catalogue.Published {
	get := func(path string, h func(w http.ResponseWriter, r *http.Request) error) catalogue.Route {
		return catalogue.Public("GET "+odtBase+path, d.keyed(h))
	}
	return catalogue.Published{Base: odtBase, Face: odtFace{}, Foreign: true, Routes: []catalogue.Route{
		get("/Organization", d.odtSearch),
		get("/Organization/{id}", d.odtRead("Organization")),
		get("/OrganizationAffiliation", d.odtRelations),
		get("/OrganizationAffiliation/{id}", d.odtRead("OrganizationAffiliation")),
		get("/List/{id}", d.odtDeletions),
		get("/CodeSystem", d.odtCodeSystems),
		get("/CodeSystem/{$}", d.odtCodeSystems),
		get("/CodeSystem/$lookup", d.odtLookup),
		get("/CodeSystem/$validate-code", d.odtValidate),
		catalogue.Public("POST "+odtBase+"/ValueSet", d.keyed(d.odtExpand)),
		catalogue.Public("POST "+odtBase+"/ValueSet/{$}", d.keyed(d.odtExpand)),
		catalogue.Public("POST "+odtBase+"/ValueSet/$expand", d.keyed(d.odtExpand)),
		get("/metadata", d.odtMetadata),
	}}
}

// keyed lets in whoever sends an API key ("Application-restricted RESTful APIs - API key authentication").
func (d *Directory) keyed(h func(w http.ResponseWriter, r *http.Request) error) func(w http.ResponseWriter, r *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		if err := d.key(r); err != nil {
			return err
		}
		return h(w, r)
	}
}

// key checks the header apikey. In a demonstration any value opens, as in the published sandbox.
func (d *Directory) key(r *http.Request) error {
	switch key := r.Header.Get("apikey"); {
	case key == "":
		return fault.New(fault.Unauthenticated, "Send your application's key in the header apikey.")
	case d.demo:
		return nil
	}
	return d.CheckKey(r.Context(), r.Header.Get("apikey"))
}

// odtFace words failures as the published examples do: an OperationOutcome of one issue whose diagnostics begin with the server's
// own code, and the same in a narrative.
type odtFace struct{}

// spineError is a failure in the older wording that the relationship search is published with.
type spineError struct {
	error
	code, display string
}

func (e spineError) Unwrap() error { return e.error }

// Refuse answers with err.
func (odtFace) Refuse(w http.ResponseWriter, r *http.Request, err error) {
	kind := fault.KindOf(err)
	if kind == fault.Unavailable || kind == fault.TooMany {
		w.Header().Set("Retry-After", "1")
	}
	fhirapi.AnswerAnyway(w, r, odtStatus(kind), odtOutcome(kind, err).JSON())
}

// narrated is a text as it stands in a narrative.
var narrated = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;")

// odtStatus is the status of a failure: what would cost too much is 422 in the published table.
func odtStatus(kind fault.Kind) int {
	if kind == fault.TooCostly {
		return http.StatusUnprocessableEntity
	}
	return kind.HTTPStatus()
}

func odtOutcome(kind fault.Kind, err error) fhir.Value {
	text := fault.MessageOf(err)
	var spine spineError
	if errors.As(err, &spine) {
		return fhir.Obj("resourceType", "OperationOutcome", "meta", fhir.Obj("profile", fhir.Arr("https://fhir.nhs.uk/STU3/StructureDefinition/Spine-OperationOutcome-1")),
			"issue", fhir.Arr(fhir.Obj("severity", "error", "code", "invalid", "details", fhir.Obj("coding", fhir.Arr(fhir.Obj(
				"system", "https://fhir.nhs.uk/STU3/CodeSystem/Spine-ErrorOrWarningCode-1", "code", spine.code, "display", spine.display))), "diagnostics", text)))
	}
	code := "processing"
	switch kind {
	case fault.MethodNotAllowed:
		text = "HAPI-0427: Method Not Allowed: " + text
	case fault.TooCostly:
		code = "too-costly"
	case fault.Unauthenticated:
		code = "login"
	}
	return fhir.Obj("resourceType", "OperationOutcome",
		"text", fhir.Obj("status", "generated", "div", `<div xmlns="http://www.w3.org/1999/xhtml"><h1>Operation Outcome</h1><table border="0"><tr>`+
			`<td style="font-weight: bold;">ERROR</td><td>[]</td><td>`+narrated.Replace(text)+`</td></tr></table></div>`),
		"issue", fhir.Arr(fhir.Obj("severity", "error", "code", code, "diagnostics", text)))
}
