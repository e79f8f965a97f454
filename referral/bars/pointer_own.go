package bars

import (
	"net/http"
	"strings"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/referral"
)

// What this node books and refers is pointed to without anybody's writing it: a pointer to the appointment that a referral has, and one to the referral when it is at a service and was not taken back. It follows what it
// points to at once, and nobody changes it. A booking that was made by asking a hospital's own system is pointed to there. Where a custodian has itself written a pointer to the same, that one is shown.

// product is by what a pointer says that this program keeps what it points to.
const product = "OpenSpine"

// The ids of such pointers: as requestPrefix and visitPrefix.
const (
	visitPointer   = "d0c40000-0000-8000-8000-"
	requestPointer = "d0c50000-0000-8000-8000-"
)

// ownPointers are those of a patient, by chart.
func (c *call) ownPointers(chart string) (all []pointer, err error) {
	scope, err := c.ask.Scope(access.Search, access.TypeBooking)
	if err != nil {
		return nil, err
	}
	list, err := c.a.referrals.Waiting(c.r.Context(), scope, referral.Worklist{Chart: chart, Closed: true})
	if err != nil {
		return nil, err
	}
	for _, r := range list {
		some, err := c.pointersOf(r)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

// pointersOf are the pointers to a referral and to its appointment.
func (c *call) pointersOf(r referral.Referral) (list []pointer, err error) {
	if r.Chosen.Service == "" {
		return nil, nil // it is nowhere yet
	}
	at := c.a.base()
	t, err := c.a.places.Target(c.r.Context(), r.Chosen.Service)
	if err != nil && !fault.Is(err, fault.NotFound) && !fault.Is(err, fault.Conflict) {
		return nil, err
	}
	if err == nil && t.Address != "" {
		at = t.Address
	}
	there := at != c.a.base()
	add := func(id, kind, display, typ, named, by string, period fhir.Value) error {
		identified := []any{fhir.Obj("system", pointedSystem, "value", named), fhir.Obj("system", serviceSystem, "value", r.Chosen.Service)}
		if by != "" {
			identified = append(identified, fhir.Obj("system", productSystem, "value", by))
		}
		organisation := func(o ident.ODSCode) fhir.Value {
			return fhir.Obj("identifier", fhir.Obj("system", ident.SystemODSCode, "value", o.String()))
		}
		body, err := fhir.Obj("resourceType", typePointer, "id", id, "identifier", fhir.Arr(identified...), "status", "current",
			"type", fhir.Obj("coding", fhir.Arr(fhir.Obj("system", "http://snomed.info/sct", "code", kind, "display", display))),
			"category", fhir.Arr(fhir.Obj("coding", fhir.Arr(fhir.Obj("system", "http://snomed.info/sct", "code", "419891008", "display", "Record artifact (record artifact)")))),
			"subject", fhir.Obj("identifier", fhir.Obj("system", ident.SystemNHSNumber, "value", r.Patient.String())), "date", instant(r.Created),
			"author", fhir.Arr(organisation(r.Practice)), "custodian", organisation(r.Chosen.Provider),
			"content", fhir.Arr(fhir.Obj("attachment", fhir.Obj("contentType", "application/fhir+json", "url", at+"/"+typ+"/"+named),
				"format", fhir.Obj("system", "https://fhir.nhs.uk/England/CodeSystem/England-NRLFormatCode", "code", "urn:nhs-ic:structured", "display", "Structured Document"))),
			"context", period).Resource()
		list = append(list, pointer{id: id, chart: r.Chart, custodian: r.Chosen.Provider.String(), kind: kind, named: named, body: body, created: r.Created, changed: r.Changed})
		return err
	}
	if a := r.Appointment; a != nil && there == (a.Remote != "") {
		named, by := visitID(r.UBRN), product
		if there {
			named, by = a.Remote, ""
		}
		period := fhir.Obj("period", fhir.Obj("start", instant(a.Start), "end", instant(a.End)))
		if err := add(visitPointer+r.UBRN.String(), typeVisit, "Appointment (record artifact)", "Appointment", named, by, period); err != nil {
			return nil, err
		}
	}
	if !there && requestStatus(r) != "revoked" {
		err = add(requestPointer+r.UBRN.String(), typeRequest, "Patient referral", "ServiceRequest", requestID(r.UBRN), product, fhir.Value{})
	}
	return list, err
}

// ownPrefix reports whether an id is that of a pointer that follows a referral, and of which.
func ownPrefix(id string) (u ident.UBRN, ok bool) {
	if u, ok = ubrnIn(id, visitPointer); !ok {
		u, ok = ubrnIn(id, requestPointer)
	}
	return u, ok
}

// followed is the pointer of an id that follows a referral, for the two organisations that it names. Errors: 404, 403.
func (c *call) followed(u ident.UBRN, id string) (p pointer, err error) {
	r, err := c.a.referrals.Get(c.r.Context(), c.who(), u)
	if fault.Is(err, fault.NotFound) {
		return p, noPointer()
	}
	if err != nil {
		return p, err
	}
	if r.Chosen.Provider != c.organisation && r.Practice != c.organisation {
		return p, refuse(http.StatusForbidden, sender, "forbidden", "A pointer is read by its id by the organisations that it names.")
	}
	list, err := c.pointersOf(r)
	if err != nil {
		return p, err
	}
	for _, x := range list {
		if x.id == strings.ToLower(id) {
			return x, nil
		}
	}
	return p, noPointer()
}

// ownPointer refuses to change a pointer that follows a referral.
func (c *call) ownPointer(id string) error {
	u, ok := ownPrefix(id)
	if !ok {
		return nil
	}
	if _, err := c.followed(u, id); err != nil {
		return err
	}
	return refuse(http.StatusForbidden, sender, "forbidden", "This pointer follows what it points to: change or cancel that.")
}
