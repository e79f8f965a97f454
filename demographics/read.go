package demographics

import (
	"net/http"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/record"
)

// found is a person as the register holds them now.
type found struct {
	version record.Version
	label   access.Label
	number  ident.NHSNumber // the surviving one
}

// restricted reports whether nothing may be shown that tells where the person is.
func (f found) restricted() bool { return f.label&access.Restricted != 0 }

// read: get patient details (specification, paths/patient-get). A superseded number answers with the surviving record.
func (s *register) read(c *call) error {
	n, err := numberIn(c.r.PathValue("id"))
	if err != nil {
		return err
	}
	f, err := s.person(c, n, access.Trace)
	if err != nil {
		return err
	}
	c.w.Header().Set("Etag", etag(f.version.Ver))
	return c.sendValue(http.StatusOK, whole(f))
}

// person is whom a number names, for an action that only sees. Errors: RESOURCE_NOT_FOUND; INVALIDATED_RESOURCE.
func (s *register) person(c *call, n ident.NHSNumber, action access.Action) (found, error) {
	survivor, err := s.k.Records.Survivor(c.r.Context(), s.k.National, n.String())
	if err != nil {
		return found{}, err
	}
	place, err := c.ask.Locate("Patient", survivor)
	if err != nil {
		return found{}, err
	}
	grants, err := c.ask.Grants(access.Act{Action: action, Place: place})
	if err != nil {
		return found{}, c.notTheirs(err)
	}
	v, err := s.k.Records.Read(c.r.Context(), grants[0], record.Ref{Tenant: s.k.National, Type: "Patient", ID: survivor})
	if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Gone) {
		return found{}, refuse(resourceNotFound, "")
	}
	if err != nil {
		return found{}, err
	}
	if invalidated(v.Resource) {
		return found{}, refuse(invalidatedResource, "")
	}
	number, err := ident.ParseNHSNumber(survivor)
	return found{version: v, label: grants[0].Place().Label, number: number}, err
}

// notTheirs words a refusal to a patient who asks about somebody else, the same whether there is such a person or not.
func (c *call) notTheirs(err error) error {
	if c.mode == patientMode && (fault.Is(err, fault.NotFound) || fault.Is(err, fault.Forbidden)) {
		return fault.Wrap(err, fault.Forbidden, "See documentation regarding Patient access restrictions.")
	}
	return err
}
