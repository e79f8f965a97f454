package ers

import (
	"net/http"
	"strconv"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/web/letter"
)

// letterRoutes are the operations that draw a file to be printed: A007, A019, A043.
func (a *API) letterRoutes() []catalogue.Route {
	return []catalogue.Route{
		a.onPerson("POST", "/STU3/ReferralRequest/{ubrn}/$ers.generatePatientLetter", typed((*call).patientLetter), ReferringClinician, ReferringClinicianAdmin),
		a.onPerson("POST", "/STU3/ReferralRequest/{ubrn}/$ers.generateCRI", typed((*call).clinicalSummary), anyClinical()...),
		a.onPerson("POST", "/STU3/CommunicationRequest/{ubrn}/$ers.generateCRI", (*call).adviceSummary, anyClinical()...),
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
	what := "Appointment_Request_Summary"
	if r.Appointment != nil {
		what = "Appointment_Confirmation_Summary"
	}
	return c.sendFile(l, u, what)
}

// sendFile answers with a letter as a file, whose name says which request it is about, what it is and when it was drawn.
func (c *call) sendFile(l letter.Letter, u ident.UBRN, what string) error {
	file, err := l.PDF()
	if err != nil {
		return err
	}
	h := c.w.Header()
	h.Set("Content-Type", "application/pdf")
	h.Set("Content-Disposition", `attachment; filename="`+u.String()+"_"+what+"_"+l.At.UTC().Format("20060102150405")+`.pdf"`)
	h.Set("Content-Length", strconv.Itoa(len(file)))
	c.w.WriteHeader(http.StatusOK)
	_, err = c.w.Write(file)
	return err
}

// clinicalSummary is A007: what is known of a referral, to be printed.
func (c *call) clinicalSummary() error {
	u, err := c.ubrn()
	if err != nil {
		return err
	}
	l, err := c.a.referrals.ClinicalSummary(c.r.Context(), c.who(), u)
	if err != nil {
		return err
	}
	return c.sendFile(l, u, "Clinical_Information_Summary")
}

// adviceSummary is A043: a question for advice with its conversation, to be printed.
func (c *call) adviceSummary() error {
	u, err := c.ubrn()
	if err != nil {
		return err
	}
	l, err := c.a.referrals.AdviceSummary(c.r.Context(), c.who(), u)
	if err != nil {
		return wordedAdvice(err)
	}
	return c.sendFile(l, u, "Advice_And_Guidance")
}
