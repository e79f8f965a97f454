package bars

import (
	"crypto/sha256"
	"net/http"
	"strings"

	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/fhirapi"
	"github.com/openspine/openspine/referral"
)

// What a message does to an Appointment or a ServiceRequest can be done to it by its address as well (PUT, PATCH, DELETE, POST): it is read as the message that says the
// same, of which X-Request-Id is the id. A request that comes again, with the same id, is answered as the first time, and does nothing.

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
	return c.asMessage(event, reason, res), nil
}

// removal is the message that cancels what is in the address.
func (c *call) removal(event string) (m message, err error) {
	res, err := fhir.Obj("resourceType", aboutWhat(event), "id", c.r.PathValue("id")).Resource()
	return c.asMessage(event, reasonDelete, res), err
}

func (c *call) asMessage(event, reason string, res *fhir.Resource) message {
	sum := sha256.Sum256([]byte(c.r.Method + " " + c.r.URL.Path + " " + c.target.ID + "\n" + string(res.JSON())))
	return message{id: alonePrefix + strings.ToLower(c.r.Header.Get("X-Request-Id")), event: event, reason: reason, focus: res.Root(), bundle: res, alone: true, digest: sum[:]}
}

// act does what a resource by itself asks, once, and returns the referral as that left it.
func (c *call) act(m message, err error, do func(m message) (referral.Referral, error)) (referral.Referral, error) {
	if err != nil {
		return referral.Referral{}, err
	}
	r, was, again, err := c.once(m, do)
	if err == nil && again {
		return c.asItWas(was)
	}
	return r, err
}

// removed says that a resource was cancelled.
func (c *call) removed() error {
	return c.send(http.StatusOK, outcome("information", "informational", successCodes, "RESOURCE_REMOVED", "Resource removed", "Resource removed"))
}

func (c *call) postAppointment() error {
	m, err := c.alone(bookingRequest, reasonNew)
	return c.sendVisit(c.act(m, err, c.bookNew))
}

func (c *call) putAppointment() error {
	m, err := c.alone(bookingRequest, reasonUpdate)
	return c.sendVisit(c.act(m, err, func(m message) (referral.Referral, error) {
		switch status := m.focus.Field("status").String(); {
		case status == "cancelled":
			return c.cancelVisit(m)
		case status == "booked" && m.focus.Field("slot").Len() > 0:
			return c.moveVisit(m)
		case status == "booked" && c.r.Method == http.MethodPatch:
			return c.known(m, visitPrefix)
		default:
			return c.heardOfVisit(m, status)
		}
	}))
}

func (c *call) sendVisit(r referral.Referral, err error) error {
	if err != nil {
		return err
	}
	v, err := c.drawn(r)
	if err != nil {
		return err
	}
	return c.send(http.StatusOK, v)
}

func (c *call) deleteAppointment() error {
	m, err := c.removal(bookingRequest)
	if _, err := c.act(m, err, c.cancelVisit); err != nil {
		return err
	}
	return c.removed()
}

func (c *call) postRequest() error {
	m, err := c.alone(requestRequest, reasonNew)
	return c.sendRequest(c.act(m, err, c.referNew))
}

func (c *call) putRequest() error {
	m, err := c.alone(requestRequest, reasonUpdate)
	return c.sendRequest(c.act(m, err, func(m message) (referral.Referral, error) {
		switch status := m.focus.Field("status").String(); status {
		case "revoked", "inactive": // the second is in the published example
			return c.cancelRequest(m)
		case "active":
			return c.changeRequest(m)
		default:
			return c.heardOfRequest(m, status)
		}
	}))
}

func (c *call) sendRequest(r referral.Referral, err error) error {
	if err != nil {
		return err
	}
	return c.send(http.StatusOK, serviceRequest(r))
}

func (c *call) deleteRequest() error {
	m, err := c.removal(requestRequest)
	if _, err := c.act(m, err, c.cancelRequest); err != nil {
		return err
	}
	return c.removed()
}
