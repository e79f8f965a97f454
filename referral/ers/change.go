package ers

import (
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/referral"
	"github.com/openspine/openspine/referral/codes"
)

// changeRoutes are the operations that change a referral which is under way: its shortlist, its appointment.
func (a *API) changeRoutes() []catalogue.Route {
	return []catalogue.Route{
		a.onPerson("POST", "/STU3/ReferralRequest/{ubrn}/$ers.changeShortlist", typed((*call).changeShortlist), ReferringClinician, ReferringClinicianAdmin),
		a.onPerson("POST", "/STU3/ReferralRequest/{ubrn}/$ers.cancelAppointmentActionLater", (*call).rebookLater, ProviderClinician, ProviderClinicianAdmin),
		a.onPerson("PUT", "/STU3/Appointment/{id}", (*call).updateVisit, ReferringClinician, ReferringClinicianAdmin),
	}
}

// changeShortlist is A031: other services are offered. What is not said of how they were searched for stays as it was.
func (c *call) changeShortlist() error {
	res, err := read(c.r, "Parameters", "eRS-ChangeShortlist-Parameters-1")
	if err != nil {
		return err
	}
	p, err := readParameters(res.Root(), "", map[string]string{"shortlist": "resource", "intentionToAddReferralLetter": "valueCoding", "firstReminderLetterFollowUpDays": "valueUnsignedInt"})
	if err == nil {
		err = p.need("shortlist", "intentionToAddReferralLetter")
	}
	if err != nil {
		return err
	}
	intention, err := p.coding("intentionToAddReferralLetter", stu3Intention, "NEED_TO_ADD_LATER", "NOT_INTENDING_TO_ADD")
	if err != nil {
		return err
	}
	days := 0
	if x, ok := p["firstReminderLetterFollowUpDays"]; ok {
		if days, err = strconv.Atoi(x.value.String()); err != nil || days < 0 || days > 365 {
			return refuse(invalidValue, "'%s' is a number of days from 0 to 365", x.path)
		}
	}
	list, err := c.a.readShortlist(c.r.Context(), p["shortlist"].value, p["shortlist"].path)
	if err != nil {
		return err
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
	return c.change(referral.Work{Kind: referral.ActShortlist, Services: list.Services, Search: referral.Search{Criteria: c.a.withPast(q, was), Priority: referral.Priority(q.Priority),
		Specialty: q.Specialty, ClinicType: q.ClinicType, LetterDue: c.a.letterDue(intention, days)}})
}

// withPast are criteria with the specialty and the clinic type that the referral has, where they name none.
func (a *API) withPast(q criteria, was referral.Referral) string {
	x, more := writer{a.k.BaseURL() + Base}, []any{}
	if q.Specialty == "" && was.Specialty != "" {
		more = append(more, x.specialtyCriterion(was.Specialty))
	}
	if q.ClinicType == "" && was.ClinicType != "" {
		more = append(more, x.clinicCriterion(was.ClinicType))
	}
	if len(more) == 0 {
		return q.Parameters
	}
	said := strings.TrimSuffix(q.Parameters, "]") + ","
	return said + strings.ReplaceAll(string(fhir.Arr(more...).JSON()[1:]), x.base, baseMark)
}

// rebookLater is A022: the provider cancels the appointment, and its office finds another one.
func (c *call) rebookLater() error {
	res, err := read(c.r, "Parameters", "eRS-cancelAppointmentActionLater-Parameters-1")
	if err != nil {
		return err
	}
	p, files, err := readWithFiles(res.Root(), map[string]string{"comments": "valueString", "priority": "valueCoding", cancelledInPAS: "valueBoolean"},
		map[string]referral.AttachmentKind{"providerAttachmentFile": referral.FromProvider})
	if err == nil {
		err = p.need("comments")
	}
	if err == nil {
		err = c.inPAS(p)
	}
	if err != nil {
		return err
	}
	priority, err := p.coding("priority", stu3Priority, "ROUTINE", "URGENT", "TWO_WEEK_WAIT")
	if err != nil {
		return err
	}
	return c.change(referral.Work{Kind: referral.ActRebookLater, Comment: p["comments"].value.String(), Priority: referral.Priority(priority), Files: files["providerAttachmentFile"]})
}

// updateVisit is A034: a referrer cancels the appointment, which is all that can be changed of it.
func (c *call) updateVisit() error {
	res, err := read(c.r, "Appointment", "eRS-Appointment-1")
	if err != nil {
		return err
	}
	for name := range res.Root().Fields() {
		if !slices.Contains(appointmentFields(), strings.TrimPrefix(name, "_")) {
			return refuse(unexpectedField, "'%s' is no field of an Appointment", shown(name))
		}
	}
	seen, err := c.seen()
	if err != nil {
		return err
	}
	r, err := c.arranged()
	switch {
	case err != nil:
		return err
	case res.ID() != "" && res.ID() != appointmentID(r.UBRN):
		return refuse(invalidValue, "'id' is not that of the address")
	case res.Get("status").String() != "cancelled":
		return refuse(inappropriateValue, "'status' an appointment can be cancelled, and nothing else")
	case seen != r.Arranged.Version:
		return fault.New(fault.Conflict, "The appointment has changed: read it again.")
	case !direct(r):
		return refuse(invalidRequestState, "There is no appointment at a directly bookable service to be cancelled.")
	}
	reason, comment, err := c.whyCancelled(res)
	if err != nil {
		return err
	}
	after, err := c.does(r.UBRN, referral.Work{As: c.c.Function.party(), Kind: referral.ActCancelBy, Seen: r.Version, Reason: reason, Comment: comment})
	if err != nil {
		return err
	}
	return c.sendAppointment(http.StatusOK, after)
}

// direct reports whether a referral has an appointment that was booked into a slot, here or by asking the system that keeps it.
func direct(r referral.Referral) bool {
	return r.Appointment != nil && (!r.Appointment.Theirs || r.Appointment.Remote != "")
}

// appointmentFields are the members of an Appointment of FHIR STU3.
func appointmentFields() []string {
	return []string{"resourceType", "id", "meta", "implicitRules", "language", "text", "contained", "extension", "modifierExtension", "identifier", "status", "serviceCategory", "serviceType", "specialty", "appointmentType", "reason", "indication", "priority",
		"description", "supportingInformation", "start", "end", "minutesDuration", "slot", "created", "comment", "incomingReferral", "participant", "requestedPeriod"}
}

// whyCancelled is the reason of a cancelled appointment, and its comment.
func (c *call) whyCancelled(res *fhir.Resource) (reason, comment string, err error) {
	coding := res.Get("reason.0.coding.0")
	reason, comment = coding.Field("code").String(), strings.TrimSpace(res.Get("comment").String())
	if reason == "" {
		return "", "", refuse(missingValue, "'reason' is missing.")
	}
	if got := coding.Field("system").String(); got != codes.URL(codes.CancelledVisit, c.a.k.BaseURL()+Base) {
		return "", "", refuse(invalidValue, "'reason[0]/coding[0]/system' is no list of reasons for cancelling an appointment")
	}
	code, err := codes.Find(codes.CancelledVisit, reason)
	switch {
	case err != nil || !code.InForce(c.a.k.Clock.Now()) || code.Type != codes.TypePatient || !code.GivenBy(string(c.c.Function)):
		return "", "", refuse(inappropriateValue, "'reason' is not one that you may give for this")
	case code.CommentNeeded && comment == "":
		return "", "", refuse(missingValue, "'comment' is missing.")
	}
	return reason, comment, nil
}

var focusForm = regexp.MustCompile(`^ReferralRequest/([0-9]{12})/_history/([0-9]{1,18})$`)

// actions is A029: what the caller may do to a referral now.
func (c *call) actions() error {
	q := c.r.URL.Query()
	for _, name := range []string{"focus", "intent", "status"} {
		if len(q[name]) != 1 {
			return badQuery(missingParameter, "'%s' is needed, once", name)
		}
	}
	m := focusForm.FindStringSubmatch(q.Get("focus"))
	switch {
	case m == nil:
		return badQuery(invalidValue, "'focus' names a referral and its version: ReferralRequest/000000070000/_history/6")
	case q.Get("intent") != "proposal":
		return badQuery(invalidValue, "'intent' is proposal")
	case q.Get("status") != "ready":
		return badQuery(invalidValue, "'status' is ready")
	}
	c.r.SetPathValue("ubrn", m[1])
	u, err := c.ubrn()
	if err != nil {
		return badQuery(referenceNotFound, "There is no referral '%s'.", m[1])
	}
	r, err := c.a.referrals.Get(c.r.Context(), c.who(), u)
	switch {
	case fault.Is(err, fault.NotFound):
		return badQuery(referenceNotFound, "There is no referral '%s'.", m[1])
	case err != nil:
		return err
	case strconv.FormatInt(r.Version, 10) != m[2]:
		return badQuery(historyNotSupported, "'focus' is not the current version of the referral")
	}
	x := c.writer()
	link := x.base + "/STU3/Task?focus=" + q.Get("focus") + "&intent=proposal&status=ready"
	return send(c.w, http.StatusOK, x.tasks(r, c.c.Function, link, c.a.k.Clock.Now()).JSON())
}

// possible are the actions of A029 that somebody of a function may do to a referral, by their published codes.
func possible(r referral.Referral, f Function) (list []string) {
	for _, x := range []struct {
		code string
		kind referral.Kind
		by   referral.Party
		also bool
	}{
		{"CANCEL_DIRECTLY_BOOKED_APPOINTMENT", referral.ActCancelBy, referral.Referrer, direct(r)},
		{"CREATE_APPOINTMENT", referral.ActBook, referral.Referrer, true},
		{"CHANGE_SHORTLIST", referral.ActShortlist, referral.Referrer, true},
		{"CHANGE_SHORTLIST_AND_SEND_FOR_TRIAGE", referral.ActSendTriage, referral.Referrer, true},
		{"CANCEL_REFERRAL", referral.ActCancel, referral.Referrer, true}, {"CANCEL_REFERRAL", referral.ActCancel, referral.Provider, true},
		{"RECORD_REVIEW_OUTCOME", referral.ActTriageAccept, referral.Provider, true},
	} {
		if x.also && x.by == f.party() && r.May(x.kind, x.by) {
			list = append(list, x.code)
		}
	}
	return list
}
