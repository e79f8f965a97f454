package ers

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/referral"
)

// triageRoutes are the operations about triage: A021, A028, A032.
func (a *API) triageRoutes() []catalogue.Route {
	return []catalogue.Route{
		a.onPerson("POST", "/STU3/ReferralRequest/$ers.createReferralAndSendForTriage", (*call).createForTriage, ReferringClinician, ReferringClinicianAdmin),
		a.onPerson("POST", "/STU3/ReferralRequest/{ubrn}/$ers.changeShortlistAndSendForTriage", typed((*call).sendForTriage), ReferringClinician, ReferringClinicianAdmin),
		a.onPerson("POST", "/STU3/ReferralRequest/{ubrn}/$ers.recordReviewOutcome", typed((*call).recordOutcome), ProviderClinician, ProviderClinicianAdmin, ProviderApplication),
	}
}

// createForTriage is A021: a new referral goes to one service, which reads it before anything is booked.
func (c *call) createForTriage() error {
	q, err := c.a.readCreate(c.r, c.c, "eRS-CreateReferralAndSendForTriage-Parameters-1")
	if err != nil {
		return err
	}
	if len(q.Shortlist.Services) > 1 {
		return refuse(tooManyItems, "'shortlist/entry' holds %d services; one service triages a referral", len(q.Shortlist.Services))
	}
	return c.make(q, referral.ForTriage)
}

// sendForTriage is A032: another service, to which the referral goes to be read.
func (c *call) sendForTriage() error {
	res, err := read(c.r, "Parameters", "eRS-ChangeShortlistAndSendForTriage-Request-Parameters-1")
	if err != nil {
		return err
	}
	p, err := readParameters(res.Root(), "", map[string]string{"shortlist": "resource", "intentionToAddReferralLetter": "valueCoding", "firstReminderLetterFollowUpDays": "valueUnsignedInt"})
	if err != nil {
		return err
	}
	if err := p.need("shortlist", "intentionToAddReferralLetter", "firstReminderLetterFollowUpDays"); err != nil {
		return err
	}
	intention, err := p.coding("intentionToAddReferralLetter", stu3Intention, "NEED_TO_ADD_LATER", "NOT_INTENDING_TO_ADD")
	if err != nil {
		return err
	}
	days, err := strconv.Atoi(p["firstReminderLetterFollowUpDays"].value.String())
	if err != nil || days < 0 || days > 365 {
		return refuse(invalidValue, "'%s' is a number of days from 0 to 365", p["firstReminderLetterFollowUpDays"].path)
	}
	list, err := c.a.readShortlist(c.r.Context(), p["shortlist"].value, p["shortlist"].path)
	if err != nil {
		return err
	}
	if len(list.Services) > 1 {
		return refuse(tooManyItems, "'shortlist/entry' holds %d services; one service triages a referral", len(list.Services))
	}
	u, err := c.ubrn()
	if err != nil {
		return err
	}
	was, err := c.a.referrals.Get(c.r.Context(), c.who(), u)
	if err != nil {
		return err
	}
	q := list.Criteria
	r, err := c.act(referral.Work{Kind: referral.ActSendTriage, Services: list.Services, Service: list.Services[0], Search: referral.Search{Criteria: c.a.withPast(q, was), Priority: referral.Priority(q.Priority),
		Specialty: q.Specialty, ClinicType: q.ClinicType, LetterDue: c.a.letterDue(intention, days)}})
	if fault.Is(err, fault.NotFound) {
		return refuse(referenceNotFound, "%s", fault.MessageOf(err))
	}
	if err != nil {
		return err
	}
	doc, err := c.referralRequest(r)
	if err != nil {
		return err
	}
	c.w.Header().Set("ETag", fmt.Sprintf(`W/"%d"`, r.Version))
	return send(c.w, http.StatusOK, fhir.Obj("meta", profiled("eRS-ChangeShortlistAndSendForTriage-Response-Parameters-1"), "resourceType", "Parameters",
		"parameter", fhir.Arr(fhir.Obj("name", "updatedReferralRequest", "resource", doc),
			fhir.Obj("name", "createdAppointment", "resource", c.writer().appointment(r, appointmentID(r.UBRN))))).JSON())
}

// recordOutcome is A028: the provider takes a referral that it has read, or returns it with advice.
func (c *call) recordOutcome() error {
	res, err := read(c.r, "Parameters", "eRS-RecordReviewOutcome-Parameters-1")
	if err != nil {
		return err
	}
	p, files, err := readWithFiles(res.Root(), map[string]string{"reviewOutcome": "valueCoding", "reviewComments": "valueString", "reviewPriority": "valueCoding"},
		map[string]referral.AttachmentKind{"reviewAttachmentFile": referral.FromProvider})
	if err != nil {
		return err
	}
	if err := p.need("reviewOutcome", "reviewComments"); err != nil {
		return err
	}
	outcome, err := p.coding("reviewOutcome", stu3Outcome, "RETURN_TO_REFERRER_WITH_ADVICE", "ACCEPT_REFER_BOOK_LATER")
	if err != nil {
		return err
	}
	priority, err := p.coding("reviewPriority", stu3Priority, priorities()...)
	if err != nil {
		return err
	}
	w := referral.Work{Kind: referral.ActTriageReturn, Comment: strings.TrimSpace(p["reviewComments"].value.String()), Priority: referral.Priority(priority), Files: files["reviewAttachmentFile"]}
	if w.Comment == "" {
		return refuse(missingValue, "'%s' is empty", p["reviewComments"].path)
	}
	if outcome == "ACCEPT_REFER_BOOK_LATER" {
		w.Kind = referral.ActTriageAccept
		return c.change(w)
	}
	if err := c.samePriority(w.Priority, p["reviewPriority"].path); err != nil {
		return err
	}
	return c.change(w)
}

// samePriority refuses another priority for a referral that goes back: that is its referrer's to change.
func (c *call) samePriority(to referral.Priority, path string) error {
	if to == "" {
		return nil
	}
	u, err := c.ubrn()
	if err != nil {
		return err
	}
	r, err := c.a.referrals.Get(c.r.Context(), c.who(), u)
	if err == nil && r.Priority != to {
		err = refuse(priorityNotCurrent, "'%s' cannot be changed of a referral that is returned: it is %s", path, r.Priority)
	}
	return err
}

func priorities() (list []string) {
	for _, p := range referral.Priorities() {
		list = append(list, string(p))
	}
	return list
}
