package fhirapi

import (
	"context"
	"mime"
	"net/http"
	"strings"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/fhir/patch"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/record"
)

// patch: "as an alternative to updating an entire resource" (https://hl7.org/fhir/R4/http.html#patch): a JSON Patch, or a
// FHIRPath Patch as a Parameters resource. All of it holds or nothing changes.
func (a *api) patch(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	return a.patched(w, r, ask, false)
}

// patchWhere patches the one resource that the criteria choose.
func (a *api) patchWhere(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	return a.patched(w, r, ask, true)
}

func (a *api) patched(w http.ResponseWriter, r *http.Request, ask catalogue.Asker, conditional bool) error {
	to := ref(r)
	if err := a.writable(to.Type); err != nil {
		return err
	}
	body, err := readBody(r)
	if err != nil {
		return err
	}
	apply, err := a.patcher(r.Context(), r.Header.Get("Content-Type"), body)
	if err != nil {
		return err
	}
	c := record.Change{Verb: record.Patch, Ref: to, Reason: reason(r), Patch: func(current *fhir.Resource) (*fhir.Resource, error) {
		next, err := apply(current)
		if err != nil {
			return nil, err
		}
		if next.ID() != "" && to.ID != "" && next.ID() != to.ID {
			return nil, fault.New(fault.Unprocessable, "A patch cannot change a resource's id.")
		}
		return next, a.accepted(r.Context(), to.Type, next, current)
	}}
	if c.IfMatch, err = ifMatch(r); err != nil {
		return err
	}
	if conditional {
		if c.Criteria, err = a.criteria(ask, to.Type, r.URL.RawQuery); err != nil {
			return err
		}
	}
	return a.commit(w, r, ask, c)
}

// patcher reads a patch of either kind.
func (a *api) patcher(ctx context.Context, contentType string, body []byte) (func(*fhir.Resource) (*fhir.Resource, error), error) {
	media, params, err := mime.ParseMediaType(contentType)
	if err != nil || params["charset"] != "" && !strings.EqualFold(params["charset"], "utf-8") {
		return nil, fault.New(fault.UnsupportedMedia, "A patch says what it is in Content-Type: %s, or %s for a FHIRPath Patch.", mimePatch, mimeJSON)
	}
	if media == mimePatch {
		p, err := patch.ParseJSONPatch(body)
		if err != nil {
			return nil, err
		}
		return p.Apply, nil
	}
	f, known := formats[media]
	if !known {
		return nil, fault.New(fault.UnsupportedMedia, "A patch is %s, or %s for a FHIRPath Patch; not what Content-Type says.", mimePatch, mimeJSON)
	}
	parameters, err := a.parseAs(f, body)
	if err != nil {
		return nil, err
	}
	return func(current *fhir.Resource) (*fhir.Resource, error) {
		return patch.FHIRPath(ctx, current, parameters, a.defs)
	}, nil
}

// accepted checks what a patch has made of what was there.
func (a *api) accepted(ctx context.Context, typ string, next, before *fhir.Resource) error {
	if next.Type() != typ {
		return fault.New(fault.Unprocessable, "A patch cannot change a resource's type.")
	}
	return a.accept(ctx, typ, next, before)
}
