package fhirapi

import (
	"net/http"
	"strings"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/fhir/validate"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/record"
)

// validate: "checks whether the attached content would be acceptable either generally, as a create, an update or as a delete
// to an existing resource" (https://hl7.org/fhir/R4/resource-operation-validate.html). The content is the resource itself, or
// Parameters with resource, mode and profile; without any, it is what is kept at the address. The answer is 200 with an
// OperationOutcome whatever is wrong with the content, and nothing is changed.
//
// The content is held to FHIR R4, to the profiles that are named, and to those that it and the resources in it claim in
// meta.profile; its extensions to their definitions. Profiles and extensions are those of the packages that the node was
// started with (the setting definitions). In the modes create and update the answer also tells whether the caller may do it.
func (a *api) validate(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	if _, err := wanted(r); err != nil {
		return err
	}
	if err := a.known(r.PathValue("type")); err != nil {
		return err
	}
	c, err := a.readCheck(r)
	if err != nil {
		return err
	}
	issues, err := a.inspect(r, ask, c)
	if err != nil {
		return err
	}
	if len(issues) == 0 {
		text := "Nothing is wrong with it as FHIR R4."
		if len(c.profiles) > 0 {
			text = "Nothing is wrong with it as FHIR R4, nor by what was named of profiles."
		}
		issues = []fault.Issue{allOK(text)}
	}
	return a.send(w, r, http.StatusOK, outcome(issues...))
}

// check is what $validate is asked to look at.
type check struct {
	content  fhir.Node // absent when nothing was sent
	mode     string    // "", create, update, delete or profile
	profiles []string
}

func (a *api) readCheck(r *http.Request) (check, error) {
	query := r.URL.Query()
	c := check{mode: query.Get("mode"), profiles: query["profile"]}
	if r.Method == http.MethodPost && r.ContentLength != 0 {
		sent, err := a.readResource(r)
		if err != nil {
			return c, err
		}
		c.content = sent.Root()
		if sent.Type() == "Parameters" && r.PathValue("type") != "Parameters" {
			c.content = fhir.Node{}
			for p := range sent.Get("parameter").Items() {
				switch p.Field("name").String() {
				case "resource":
					c.content = p.Field("resource")
				case "mode":
					c.mode = p.Field("valueCode").String()
				case "profile":
					for _, kind := range []string{"valueUri", "valueCanonical"} {
						if v := p.Field(kind); v.Exists() {
							c.profiles = append(c.profiles, v.String())
						}
					}
				}
			}
		}
	}
	switch {
	case c.mode != "" && c.mode != "create" && c.mode != "update" && c.mode != "delete" && c.mode != "profile":
		return c, fault.New(fault.Invalid, "mode is create, update, delete or profile.")
	case r.PathValue("id") == "" && (c.mode == "update" || c.mode == "delete"):
		return c, fault.New(fault.Invalid, "The mode %s is for one resource: ask at Type/id/$validate.", c.mode)
	case r.PathValue("id") == "" && !c.content.Exists():
		return c, fault.New(fault.Invalid, "$validate needs the resource to look at, as the body or as the parameter resource.")
	}
	return c, nil
}

// inspect lists what is wrong. A refusal to read what is kept is an error; a refusal of the act that was asked about is an issue.
func (a *api) inspect(r *http.Request, ask catalogue.Asker, c check) ([]fault.Issue, error) {
	typ, id := r.PathValue("type"), r.PathValue("id")
	if c.mode == "delete" {
		return a.wouldBe(r, ask, record.Change{Verb: record.Delete, Ref: ref(r), May: mayChange(ask)})
	}
	if !c.content.Exists() {
		place, err := ask.Locate(typ, id)
		if err != nil {
			return nil, err
		}
		grants, err := ask.Grants(access.Act{Action: access.Read, Place: place})
		if err != nil {
			return nil, err
		}
		v, err := a.k.Records.Read(r.Context(), grants[0], ref(r))
		if err != nil {
			return nil, err
		}
		c.content = v.Resource.Root()
	}
	issues := validate.Node(r.Context(), c.content, validate.Options{Definitions: a.defs, Profiles: c.profiles, Claims: true})
	wrong := func(code, text string) {
		issues = append(issues, fault.Issue{Severity: "error", Code: code, Diagnostics: text})
	}
	if c.content.Field("resourceType").String() != typ {
		wrong("invalid", "The address is for another type than the resource.")
	}
	if c.mode == "update" && c.content.Field("id").String() != id {
		wrong("invalid", "The id in the resource is not the one in the address.")
	}
	if c.mode == "profile" && len(c.profiles) == 0 {
		wrong("required", "The mode profile needs the parameter profile, which names one.")
	}
	if c.mode != "create" && c.mode != "update" {
		return issues, nil
	}
	if a.writable(typ) != nil {
		wrong("not-supported", "A "+typ+" is not written by clients here.")
	}
	if validate.Fails(issues) {
		return issues, nil
	}
	return a.mayBe(r, ask, c, issues)
}

// mayBe adds why the content, with which nothing is wrong, would not be taken from this caller.
func (a *api) mayBe(r *http.Request, ask catalogue.Asker, c check, issues []fault.Issue) ([]fault.Issue, error) {
	res, err := fhir.Parse(c.content.Raw())
	if err != nil {
		return nil, err
	}
	change := record.Change{Verb: record.Create, Ref: ref(r), Resource: res, May: mayChange(ask), Would: a.would(ask)}
	if change.Ref.ID = ""; c.mode == "update" {
		change.Verb, change.Ref = record.Put, ref(r)
	}
	more, err := a.wouldBe(r, ask, change)
	if validate.Fails(more) {
		issues = append(issues, more...)
	}
	return issues, err
}

// wouldBe tries a change up to the point of writing it.
func (a *api) wouldBe(r *http.Request, ask catalogue.Asker, c record.Change) ([]fault.Issue, error) {
	err := a.writable(c.Ref.Type)
	var draft *record.Draft
	if err == nil {
		draft, err = a.k.Records.Prepare(r.Context(), c)
	}
	if err == nil && len(draft.Acts()) > 0 {
		_, err = ask.Grants(draft.Acts()...)
	}
	if err == nil {
		err = a.owners(r, draft)
	}
	switch kind := fault.KindOf(err); {
	case err == nil:
		return []fault.Issue{allOK("This may be done.")}, nil
	case kind == fault.NotFound || kind.HTTPStatus() >= 500 || strings.TrimSpace(fault.MessageOf(err)) == "":
		return nil, err
	}
	return fault.IssuesOf(err), nil
}
