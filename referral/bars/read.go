package bars

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/referral"
)

// visit draws the appointment that a referral has, or had last; false when it never had one.
func (a *API) visit(ctx context.Context, who referral.Caller, r referral.Referral) (v fhir.Value, had bool, err error) {
	if r.Appointment != nil {
		arrived, err := a.referrals.Arrived(ctx, r)
		return appointment(r, *r.Appointment, arrived), err == nil, err
	}
	list, err := a.referrals.History(ctx, who, r.UBRN)
	if err != nil {
		return v, false, err
	}
	for _, old := range slices.Backward(list) {
		if old.Version <= r.Version && old.Appointment != nil {
			return appointment(r, *old.Appointment, false), true, nil
		}
	}
	return v, false, nil
}

// Resources are a referral as FHIR says it, as of a version: its ServiceRequest, and the Appointment that it had then, or had had last, if any. ask decides whether p may see it, and sees
// to the account. Errors: those of referral.Referrals.Get.
func (a *API) Resources(ctx context.Context, p access.Principal, ask func(...access.Act) ([]access.Grant, error), ubrn string, version int64) (list []*fhir.Resource, err error) {
	u, err := ident.ParseUBRN(ubrn)
	if err != nil {
		return nil, err
	}
	who := referral.Caller{Principal: p, Ask: ask}
	r, err := a.referrals.AsOf(ctx, who, u, version)
	if err != nil {
		return nil, err
	}
	values := []fhir.Value{serviceRequest(r)}
	at, had, err := a.visit(ctx, who, r)
	if err != nil {
		return nil, err
	}
	if had {
		values = append(values, at)
	}
	for _, v := range values {
		res, err := v.Resource()
		if err != nil {
			return nil, err
		}
		list = append(list, res)
	}
	return list, nil
}

// opened is the referral of an id in the address, at the service that the request is for.
func (c *call) opened(prefix string) (r referral.Referral, err error) {
	u, ok := ubrnIn(c.r.PathValue("id"), prefix)
	if !ok {
		return r, notHere()
	}
	if r, err = c.a.referrals.Get(c.r.Context(), c.who(), u); err != nil {
		return r, err
	}
	if !c.at(r) {
		return r, notHere()
	}
	return r, nil
}

// at reports whether a referral is at the service that the request is for, or was offered it.
func (c *call) at(r referral.Referral) bool {
	if r.Chosen.Service != "" {
		return r.Chosen.Service == c.target.ID
	}
	_, ok := r.ChoiceOf(c.target.ID)
	return ok
}

func notHere() error {
	return refuse(http.StatusNotFound, receiver, "not-found", "There is no such resource at this service.")
}

// appointment reads one booking.
func (c *call) appointment() error {
	r, err := c.opened(visitPrefix)
	if err != nil {
		return err
	}
	v, err := c.drawn(r)
	if err != nil {
		return err
	}
	return c.send(http.StatusOK, v)
}

// drawn is a referral's Appointment. Error: 404 when it never had one.
func (c *call) drawn(r referral.Referral) (fhir.Value, error) {
	v, had, err := c.a.visit(c.r.Context(), c.who(), r)
	if err == nil && !had {
		err = notHere()
	}
	return v, err
}

// request reads one referral.
func (c *call) request() error {
	r, err := c.opened(requestPrefix)
	if err != nil {
		return err
	}
	return c.send(http.StatusOK, serviceRequest(r))
}

// appointments are the bookings of a patient at a service.
func (c *call) appointments() error {
	list, err := c.ofPatient()
	if err != nil {
		return err
	}
	var found []fhir.Value
	for _, r := range list {
		v, had, err := c.a.visit(c.r.Context(), c.who(), r)
		if err != nil {
			return err
		}
		if had {
			found = append(found, v)
		}
	}
	return c.send(http.StatusOK, c.a.searchset(c.self("Appointment"), found, "Appointment"))
}

// requests are the referrals of a patient to a service, or the one of a UBRN.
func (c *call) requests() error {
	if token := c.r.URL.Query().Get("ServiceRequest.identifier"); token != "" {
		return c.requestNamed(token)
	}
	list, err := c.ofPatient()
	if err != nil {
		return err
	}
	found := make([]fhir.Value, len(list))
	for i, r := range list {
		found[i] = serviceRequest(r)
	}
	return c.send(http.StatusOK, c.a.searchset(c.self("ServiceRequest"), found, "ServiceRequest"))
}

// requestNamed finds the referral of a UBRN, or of the id that this API gave it.
func (c *call) requestNamed(token string) error {
	var found []fhir.Value
	_, value, ok := strings.Cut(token, "|")
	if !ok {
		value = token
	}
	u, err := ident.ParseUBRN(value)
	if err != nil {
		u, ok = ubrnIn(value, requestPrefix)
	} else {
		ok = true
	}
	if ok {
		r, err := c.a.referrals.Get(c.r.Context(), c.who(), u)
		if err != nil && !fault.Is(err, fault.NotFound) {
			return err
		}
		if err == nil && c.at(r) {
			found = append(found, serviceRequest(r))
		}
	}
	return c.send(http.StatusOK, c.a.searchset(c.self("ServiceRequest"), found, "ServiceRequest"))
}

func (c *call) self(kind string) string {
	self := c.a.base() + "/" + kind
	if c.r.URL.RawQuery != "" {
		self += "?" + c.r.URL.RawQuery
	}
	return self
}

// ofPatient are a patient's referrals at the service, as the parameters of a search name the patient.
func (c *call) ofPatient() ([]referral.Referral, error) {
	n, err := c.patientOf(c.r.URL.Query())
	if err != nil {
		return nil, err
	}
	place, err := c.ask.Locate("Patient", n.String())
	if err != nil {
		return nil, err
	}
	if !place.Exists {
		return nil, nobody()
	}
	grants, err := c.ask.Grants(access.Act{Action: access.Read, Place: place})
	if err != nil {
		return nil, err
	}
	v, err := c.a.k.Records.Read(c.r.Context(), grants[0], record.Ref{Tenant: c.a.k.National, Type: "Patient", ID: n.String()})
	if err != nil {
		return nil, err
	}
	if born := strings.TrimPrefix(c.r.URL.Query().Get("patient:birthdate"), "eq"); born != "" && dateOf(born) != v.Resource.Get("birthDate").String() {
		return nil, nobody()
	}
	scope, err := c.ask.Scope(access.Search, access.TypeBooking)
	if err != nil {
		return nil, err
	}
	list, err := c.a.referrals.Waiting(c.r.Context(), scope, referral.Worklist{Chart: v.Chart, Closed: true})
	return slices.DeleteFunc(list, func(r referral.Referral) bool { return !c.at(r) }), err
}

func nobody() error {
	return refuse(http.StatusNotFound, receiver, "not-found", "The register knows nobody by what was given.")
}

// dateOf reads a date as FHIR writes it, and as the published example does (20/01/1995).
func dateOf(text string) string {
	text = strings.TrimSpace(text)
	if len(text) == 10 && text[2] == '/' && text[5] == '/' {
		return text[6:] + "-" + text[3:5] + "-" + text[:2]
	}
	return text
}

// patientOf is the NHS number of whom a search names: by that number, or by name, date of birth and postcode together, which the register must know of one person alone.
func (c *call) patientOf(q url.Values) (n ident.NHSNumber, err error) {
	token := q.Get("patient:identifier")
	if token == "" {
		return c.described(q)
	}
	if system, value, ok := strings.Cut(token, "|"); ok {
		if system != "" && !strings.EqualFold(system, ident.SystemNHSNumber) {
			return n, refuse(http.StatusBadRequest, receiver, "value", "Patients are named by NHS number here (%s).", ident.SystemNHSNumber)
		}
		token = value
	}
	if n, err = ident.ParseNHSNumber(token); err != nil {
		return n, refuse(http.StatusBadRequest, receiver, "value", "What stands in patient:identifier is no NHS number.")
	}
	return n, nil
}

// described is the NHS number of the one person who goes by a name and was born on a day and lives at a postcode. Errors: 400 where one of the three is missing; 404 for nobody, and for
// more than one, of whom nothing is told.
func (c *call) described(q url.Values) (n ident.NHSNumber, err error) {
	const name, born, postcode = "patient:name", "patient:birthdate", "patient:address-postalcode"
	if !q.Has(name) && !q.Has(born) && !q.Has(postcode) {
		return n, refuse(http.StatusBadRequest, sender, "required", "The parameter patient:identifier is missing: %s|… and the NHS number.", ident.SystemNHSNumber)
	}
	words := strings.Fields(q.Get(name))
	day := dateOf(strings.TrimPrefix(q.Get(born), "eq"))
	if _, wrong := time.Parse(time.DateOnly, day); len(words) < 2 || len(words) > 10 || wrong != nil || strings.TrimSpace(q.Get(postcode)) == "" {
		return n, refuse(http.StatusBadRequest, sender, "required", "A patient is named by the NHS number (patient:identifier), or by %s (given name and family name), %s and %s together.", name, born, postcode)
	}
	params := url.Values{"birthdate": {"eq" + day}, "address-postalcode": {strings.TrimSpace(q.Get(postcode))}}
	for _, w := range words {
		params.Add("name", strings.NewReplacer(",", `\,`, "|", `\|`, "$", `\$`).Replace(w)) // each of the words
	}
	found, err := c.found("Patient", params)
	switch {
	case err != nil:
		return n, err
	case len(found) == 0:
		return n, nobody()
	case len(found) > 1:
		return n, refuse(http.StatusNotFound, receiver, "multiple-matches", "More than one person goes by this: send the NHS number.")
	}
	return ident.ParseNHSNumber(found[0].ID)
}
