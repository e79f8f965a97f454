package bars

import (
	"net/http"
	"strings"

	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/fhirapi"
	"github.com/openspine/openspine/referral"
)

// What a message does to an Appointment or a ServiceRequest can be done to it by its address as well (PUT, PATCH, DELETE, POST): it is read as the message that says the
// same, of which X-Request-Id is the id.

// alone reads one resource as a message about it.
func (c *call) alone(event, reason string) (m message, err error) {
	res, err := fhirapi.Sent(c.a.k, c.r)
	if err != nil {
		return m, err
	}
	if res.Type() != aboutWhat(event) {
		return m, malformed("invalid", "What is sent here is of the type %s.", aboutWhat(event))
	}
	if id := c.r.PathValue("id"); id != "" && !strings.EqualFold(id, res.ID()) {
		return m, malformed("invalid", "The id in the address is not that of the resource.")
	}
	return message{id: strings.ToLower(c.r.Header.Get("X-Request-Id")), event: event, reason: reason, focus: res.Root(), bundle: res, alone: true}, nil
}

// removal is the message that cancels what is in the address.
func (c *call) removal(event string) (m message, err error) {
	res, err := fhir.Obj("resourceType", aboutWhat(event), "id", c.r.PathValue("id")).Resource()
	return message{event: event, reason: reasonDelete, focus: res.Root(), bundle: res, alone: true}, err
}

// removed says that a resource was cancelled.
func (c *call) removed() error {
	return c.send(http.StatusOK, outcome("information", "informational", successCodes, "RESOURCE_REMOVED", "Resource removed", "Resource removed"))
}

func (c *call) postAppointment() error {
	m, err := c.alone(bookingRequest, reasonNew)
	if err != nil {
		return err
	}
	r, err := c.bookNew(m)
	if err != nil {
		return err
	}
	return c.sendVisit(r)
}

func (c *call) putAppointment() error {
	m, err := c.alone(bookingRequest, reasonUpdate)
	if err != nil {
		return err
	}
	var r referral.Referral
	switch status := m.focus.Field("status").String(); {
	case status == "cancelled":
		r, err = c.cancelVisit(m)
	case status == "booked" && m.focus.Field("slot").Len() > 0:
		r, err = c.moveVisit(m)
	case status == "booked" && c.r.Method == http.MethodPatch:
		r, err = c.known(m, visitPrefix)
	default:
		r, err = c.heardOfVisit(m, status)
	}
	if err != nil {
		return err
	}
	return c.sendVisit(r)
}

func (c *call) sendVisit(r referral.Referral) error {
	v, err := c.drawn(r)
	if err != nil {
		return err
	}
	return c.send(http.StatusOK, v)
}

func (c *call) deleteAppointment() error {
	m, err := c.removal(bookingRequest)
	if err != nil {
		return err
	}
	if _, err := c.cancelVisit(m); err != nil {
		return err
	}
	return c.removed()
}

func (c *call) postRequest() error {
	m, err := c.alone(requestRequest, reasonNew)
	if err != nil {
		return err
	}
	r, err := c.referNew(m)
	if err != nil {
		return err
	}
	return c.send(http.StatusOK, serviceRequest(r))
}

func (c *call) putRequest() error {
	m, err := c.alone(requestRequest, reasonUpdate)
	if err != nil {
		return err
	}
	var r referral.Referral
	switch status := m.focus.Field("status").String(); status {
	case "revoked", "inactive": // the second is in the published example
		r, err = c.cancelRequest(m)
	case "active":
		r, err = c.changeRequest(m)
	default:
		r, err = c.heardOfRequest(m, status)
	}
	if err != nil {
		return err
	}
	return c.send(http.StatusOK, serviceRequest(r))
}

func (c *call) deleteRequest() error {
	m, err := c.removal(requestRequest)
	if err != nil {
		return err
	}
	if _, err := c.cancelRequest(m); err != nil {
		return err
	}
	return c.removed()
}
