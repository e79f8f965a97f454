package ers

import (
	"net/http"
	"strconv"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/internal/catalogue"
)

// letterRoutes are the operations that draw a file to be printed: A019.
func (a *API) letterRoutes() []catalogue.Route {
	return []catalogue.Route{
		a.onPerson("POST", "/STU3/ReferralRequest/{ubrn}/$ers.generatePatientLetter", (*call).patientLetter, ReferringClinician, ReferringClinicianAdmin),
	}
}

// patientLetter is A019: the letter for the patient, who needs a password to choose and to book. What is kept of a password is its hash, so that the letter brings a new one, and an
// earlier one no longer works.
func (c *call) patientLetter() error {
	ctx := c.r.Context()
	u, err := c.ubrn()
	if err != nil {
		return err
	}
	r, err := c.a.referrals.Get(ctx, c.who(), u)
	if err != nil {
		return err
	}
	if !r.Open() {
		return refuse(invalidRequestState, "The referral is cancelled or its treatment is over: there is nothing that the patient may do.")
	}
	password, err := c.a.referrals.NewPassword(ctx, c.who(), u)
	if fault.Is(err, fault.Forbidden) {
		return refuse(noRelationship, "%s", fault.MessageOf(err))
	}
	if err != nil {
		return worded(err)
	}
	l, r, err := c.a.referrals.PatientLetter(ctx, c.who(), u, password)
	if err != nil {
		return err
	}
	file, err := l.PDF()
	if err != nil {
		return err
	}
	what := "_Appointment_Request_Summary_"
	if r.Appointment != nil {
		what = "_Appointment_Confirmation_Summary_"
	}
	h := c.w.Header()
	h.Set("Content-Type", "application/pdf")
	h.Set("Content-Disposition", `attachment; filename="`+u.String()+what+l.At.UTC().Format("20060102150405")+`.pdf"`)
	h.Set("Content-Length", strconv.Itoa(len(file)))
	c.w.WriteHeader(http.StatusOK)
	_, err = c.w.Write(file)
	return err
}
