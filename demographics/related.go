package demographics

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"slices"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/record"
)

// related: get a patient's related people (specification, paths/relatedpersons-get): whom to ask or tell. They are RelatedPerson resources
// whose patient.reference is the person; the published shape has in its place only the NHS number of the related person, if there is one.
// Of a restricted person nobody is told who they are.
func (s *register) related(c *call) error {
	n, err := numberIn(c.r.PathValue("id"))
	if err != nil {
		return err
	}
	f, err := s.person(c, n, access.Trace)
	if err != nil {
		return err
	}
	var entries []any
	if !f.restricted() {
		people, err := s.filed(c, f, "RelatedPerson", "patient")
		if err != nil {
			return err
		}
		for _, v := range people {
			entries = append(entries, fhir.Obj("fullUrl", s.k.BaseURL()+Base+"/Patient/"+f.version.ID+"/RelatedPerson/"+v.ID, "resource", relatedPerson(v)))
		}
	}
	c.w.Header().Set("ETag", etag(f.version.Ver))
	return c.sendValue(http.StatusOK, s.bundle(entries))
}

// filed are a person's resources of a type, by a reference to the person, in the order of their ids.
func (s *register) filed(c *call, f found, typ, parameter string) ([]record.Version, error) {
	scope, err := c.ask.Scope(access.Trace, typ)
	if err != nil {
		return nil, c.notTheirs(err)
	}
	q, _, err := s.k.Records.ParseQuery(typ, url.Values{parameter: {"Patient/" + f.version.ID}, "_count": {"100"}}, false)
	if err != nil {
		return nil, err
	}
	return searched(c.r.Context(), s.k.Records, scope, q)
}

func searched(ctx context.Context, records *record.Records, scope access.Scope, q record.Query) ([]record.Version, error) {
	page, err := records.Search(ctx, scope, q)
	slices.SortFunc(page.Matches, func(a, b record.Version) int { return cmp.Compare(a.ID, b.ID) })
	return page.Matches, err
}

// relatedPerson is a related person in the published shape.
func relatedPerson(v record.Version) fhir.Value {
	return unfiled(v.Resource, "patient")
}

// unfiled is a resource without its version and without the reference by which it is filed under its person.
func unfiled(res *fhir.Resource, by string) fhir.Value {
	pairs := make([]any, 0, 24)
	for name, n := range res.Root().Fields() {
		switch name {
		case "meta":
		case by:
			var inside []any
			for part, v := range n.Fields() {
				if part != "reference" {
					inside = append(inside, part, v)
				}
			}
			pairs = append(pairs, name, fhir.Obj(inside...))
		default:
			pairs = append(pairs, name, n)
		}
	}
	return fhir.Obj(pairs...)
}
