package ers

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/referral"
	"github.com/openspine/openspine/referral/codes"
)

// call is one request about a person, under way.
type call struct {
	a   *API
	w   http.ResponseWriter
	r   *http.Request
	ask catalogue.Asker
	c   caller
}

// who is the caller, as the referrals know them.
func (c *call) who() referral.Caller { return referral.CallerOf(c.ask) }

func (c *call) writer() writer { return writer{c.a.k.BaseURL() + Base} }

// ubrn is that of the address. Error: fault.NotFound: what is no UBRN is nobody's.
func (c *call) ubrn() (ident.UBRN, error) {
	u, err := ident.ParseUBRN(c.r.PathValue("ubrn"))
	if err != nil {
		return u, fault.New(fault.NotFound, "There is no such referral.")
	}
	return u, nil
}

var ifMatch = regexp.MustCompile(`^W/"([0-9]{1,18})"$`)

// seen is the version that the request says it is about (header If-Match). Error: fault.PreconditionFailed when it is missing, as published.
func (c *call) seen() (int64, error) {
	m := ifMatch.FindStringSubmatch(c.r.Header.Get("If-Match"))
	if m == nil {
		return 0, fault.New(fault.PreconditionFailed, `The header If-Match names the version to be changed, as W/"4".`)
	}
	return strconv.ParseInt(m[1], 10, 64)
}

// worded is a failure of the referrals as this API words it.
func worded(err error) error {
	err = wrongFile(err)
	var p *problem
	if errors.Is(err, errLocked) {
		return err
	}
	this, free := referral.SlotsAvailable(err)
	switch _, gone := referral.Taken(err); {
	case err == nil, errors.As(err, &p):
		return err
	case errors.Is(err, referral.ErrPatient):
		return refuse(patientError, "%s", fault.MessageOf(err))
	case errors.Is(err, referral.ErrNoPart):
		return refuse(noRelationship, "%s", fault.MessageOf(err))
	case errors.Is(err, referral.ErrElsewhere):
		return refuse(pasRespondedError, "%s", fault.MessageOf(err))
	case gone:
		return refuse(slotNotAvailable, "%s", fault.MessageOf(err))
	case errors.Is(err, referral.ErrSlot), errors.Is(err, referral.ErrAge), errors.Is(err, referral.ErrSex):
		return refuse(inappropriateSlot, "%s", fault.MessageOf(err))
	case this:
		return refuse(thisSlotIsAvailable, "%s", fault.MessageOf(err))
	case free:
		return refuse(slotsAvailable, "%s", fault.MessageOf(err))
	case fault.Is(err, fault.PreconditionFailed):
		return fault.Wrap(err, fault.Conflict, "The referral has changed: read it again.")
	case fault.Is(err, fault.Conflict):
		return refuse(invalidRequestState, "%s", fault.MessageOf(err))
	case fault.Is(err, fault.Unprocessable):
		return refuse(inappropriateValue, "%s", fault.MessageOf(err))
	}
	return err
}

// typed is an operation that says of a question's number that it is no referral's, as published of it; elsewhere there is no such referral.
func typed(do func(c *call) error) func(c *call) error {
	return func(c *call) error {
		err := do(c)
		if errors.Is(err, referral.ErrNotReferral) {
			return refuse(invalidRequestType, "The UBRN is that of a request for advice.")
		}
		return err
	}
}

// sendReferral answers with a referral.
func (c *call) sendReferral(status int, r referral.Referral) error {
	c.w.Header().Set("ETag", fmt.Sprintf(`W/"%d"`, r.Version))
	if status == http.StatusCreated {
		c.w.Header().Set("Location", fmt.Sprintf("%s/STU3/ReferralRequest/%s/_history/%d", c.a.k.BaseURL()+Base, r.UBRN, r.Version))
	}
	doc, err := c.referralRequest(r)
	if err != nil {
		return err
	}
	return send(c.w, status, doc.JSON())
}

// referralRequest is a referral as a document, with the file of the conversation that it was made of.
func (c *call) referralRequest(r referral.Referral) (fhir.Value, error) {
	said, ok, err := c.a.referrals.ConversationFile(c.r.Context(), r)
	if ok {
		r.Attachments = append(slices.Clone(r.Attachments), said)
	}
	return c.writer().referralRequest(r), err
}

// retrieve is A005: a referral as it is now.
func (c *call) retrieve() error {
	u, err := c.ubrn()
	if err != nil {
		return err
	}
	r, err := c.a.referrals.Get(c.r.Context(), c.who(), u)
	if err != nil {
		return err
	}
	return c.sendReferral(http.StatusOK, r)
}

// retrieveVersion is A005 of one version. As published, it must be the current one.
func (c *call) retrieveVersion() error {
	u, err := c.ubrn()
	if err != nil {
		return err
	}
	r, err := c.a.referrals.Get(c.r.Context(), c.who(), u)
	if err != nil {
		return err
	}
	if strconv.FormatInt(r.Version, 10) != c.r.PathValue("version") {
		return fault.New(fault.NotFound, "This is not the current version of the referral.")
	}
	return c.sendReferral(http.StatusOK, r)
}

// create is A011.
func (c *call) create() error {
	q, err := c.a.readCreate(c.r, c.c, "eRS-CreateReferral-Parameters-1")
	if err != nil {
		return err
	}
	return c.make(q, referral.ForAppointment)
}

// make makes the referral that A011 or A021 asks for.
func (c *call) make(q createRequest, request referral.Request) error {
	d := referral.Draft{Patient: q.Patient, Priority: referral.Priority(q.Shortlist.Criteria.Priority), Request: request, Criteria: q.Shortlist.Criteria.Parameters,
		Specialty: q.Shortlist.Criteria.Specialty, ClinicType: q.Shortlist.Criteria.ClinicType, Services: q.Shortlist.Services, PathwayStart: q.PathwayStart, LetterDue: c.a.letterDue(q.Intention, q.ReminderDays)}
	if q.Clinician != "" {
		name, err := c.a.isReferrerAt(c.r.Context(), q.Clinician, c.c.Organisation)
		if err != nil {
			return err
		}
		d.Referrer = referral.Staff{ID: q.Clinician, Name: name}
	}
	if d.Specialty == "" {
		var err error
		if d.Specialty, err = c.a.specialtyOf(c.r.Context(), d.Services); err != nil {
			return err
		}
	}
	made, err := c.a.referrals.Create(c.r.Context(), c.who(), d)
	if fault.Is(err, fault.NotFound) {
		return refuse(referenceNotFound, "%s", fault.MessageOf(err))
	}
	if err != nil {
		return worded(err)
	}
	return c.sendReferral(http.StatusCreated, made.Referral)
}

// specialtyOf is the specialty of the first of some services, for a referral whose search named a clinical term or a clinician instead; empty where the directory says none.
func (a *API) specialtyOf(ctx context.Context, services []string) (string, error) {
	if len(services) == 0 {
		return "", nil
	}
	list, err := a.dir.ServiceResources(ctx, services[0])
	if err != nil || len(list) == 0 {
		return "", err
	}
	return codes.BySnomed(list[0].Resource.Get("specialty.0.coding.0.code").String()), nil
}

// letterDue is when a letter that was promised is to be there: at the end of the day on which the referrer wants to be reminded; zero for none.
func (a *API) letterDue(intention string, days int) time.Time {
	if intention != "NEED_TO_ADD_LATER" {
		return time.Time{}
	}
	y, m, d := a.k.Clock.Now().AddDate(0, 0, days).UTC().Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
}

// change does one act to the referral of the address, at the version that the request names, and answers with the referral.
func (c *call) change(w referral.Work) error {
	r, err := c.act(w)
	if err != nil {
		return err
	}
	return c.sendReferral(http.StatusOK, r)
}

func (c *call) act(w referral.Work) (r referral.Referral, err error) {
	u, err := c.ubrn()
	if err != nil {
		return r, err
	}
	if w.Seen, err = c.seen(); err != nil {
		return r, err
	}
	w.As = c.c.Function.party()
	return c.does(u, w)
}

// does is an act that no other call of this API interferes with.
func (c *call) does(u ident.UBRN, w referral.Work) (referral.Referral, error) {
	return answered(alone(c, u, func() (referral.Referral, error) { return c.a.referrals.Act(c.r.Context(), c.who(), u, w) }))
}

// answered refuses what the hospital's own system, which keeps the slots, has not answered.
func answered(r referral.Referral, err error) (referral.Referral, error) {
	if err == nil && r.Asked != nil {
		err = refuse(pasNotResponding, "The hospital's own system has not answered yet; it is asked again until it does. Read the referral to learn what became of it.")
	}
	return r, worded(err)
}

// accept is A013: the provider takes the referral.
func (c *call) accept() error { return c.change(referral.Work{Kind: referral.ActAccept}) }

// reject is A014: the provider returns it, with a reason.
func (c *call) reject() error {
	reason, comment, err := c.reason("eRS-RejectReferral-Parameters-1", "rejectionReason", "rejectionComments", codes.CancelledVisit)
	if err != nil {
		return err
	}
	return c.change(referral.Work{Kind: referral.ActReject, Reason: reason, Comment: comment})
}

// cancelledInPAS is the parameter that says whether an appointment in a slot of the hospital's own has been cancelled there too.
const cancelledInPAS = "appointmentCancelledInPAS"

// inPAS refuses to be told of the hospital's own diary where the slot is the spine's, and asks for it where it is not.
func (c *call) inPAS(p parameters) error {
	u, err := c.ubrn()
	if err != nil {
		return err
	}
	r, err := c.a.referrals.Get(c.r.Context(), c.who(), u)
	if err != nil {
		return err
	}
	x, said := p[cancelledInPAS]
	theirs := r.Appointment != nil && !direct(r)
	switch {
	case said && !theirs:
		return refuse(fieldNotPermitted, "'%s' is for appointments at indirectly bookable services only", x.path)
	case theirs && !said:
		return refuse(valueIsRequired, "the parameter '%s' is missing: the service is indirectly bookable", cancelledInPAS)
	}
	return nil
}

// cancel is A036: the referral is no longer wanted.
func (c *call) cancel() error {
	reason, comment, err := c.reason("eRS-CancelReferral-Request-Parameters-1", "cancellationReason", "cancellationComments", codes.CancelledRequest)
	if err != nil {
		return err
	}
	if err := c.fits(reason); err != nil {
		return err
	}
	r, err := c.act(referral.Work{Kind: referral.ActCancel, Reason: reason, Comment: comment})
	if err != nil {
		return err
	}
	c.w.Header().Set("ETag", fmt.Sprintf(`W/"%d"`, r.Version))
	x := c.writer()
	doc, err := c.referralRequest(r)
	if err != nil {
		return err
	}
	parts := []any{fhir.Obj("name", "updatedReferralRequest", "resource", doc)}
	if v := r.Arranged; v != nil && v.Status == referral.ArrangedCancelled && v.Reason.Code == "" { // with the referral, and not before it
		parts = append(parts, fhir.Obj("name", "updatedAppointment", "resource", x.appointment(r, appointmentID(r.UBRN))))
	}
	return send(c.w, http.StatusOK, fhir.Obj("meta", profiled("eRS-CancelReferral-Response-Parameters-1"), "resourceType", "Parameters", "parameter", fhir.Arr(parts...)).JSON())
}

// fits refuses a reason that is not one for which this side cancels a referral in its state.
func (c *call) fits(reason string) error {
	u, err := c.ubrn()
	if err != nil {
		return err
	}
	r, err := c.a.referrals.Get(c.r.Context(), c.who(), u)
	if err != nil {
		return err
	}
	party := c.c.Function.party()
	if !r.May(referral.ActCancel, party) {
		return nil // that is said first
	}
	t, _ := referral.TransitionOf(referral.ActCancel)
	code, err := codes.Find(codes.CancelledRequest, reason)
	if types := t.TypesFor(party, r.State); err == nil && len(types) > 0 && !slices.Contains(types, code.Type) {
		return refuse(inappropriateValue, "The reason '%s' is of the type %s; of a referral in the state %s a provider gives one of the type %s.", reason, code.Type, r.State, strings.Join(types, " or "))
	}
	return err
}

// reason reads the reason and comment of an act, and holds them to what the code says of itself.
func (c *call) reason(profile, reasonName, commentName, system string) (reason, comment string, err error) {
	res, err := read(c.r, "Parameters", profile)
	if err != nil {
		return "", "", err
	}
	allowed := map[string]string{reasonName: "valueCoding", commentName: "valueString"}
	if system == codes.CancelledVisit {
		allowed[cancelledInPAS] = "valueBoolean"
	}
	p, err := readParameters(res.Root(), "", allowed)
	if err == nil && system == codes.CancelledVisit {
		err = c.inPAS(p)
	}
	if err != nil {
		return "", "", err
	}
	if err := p.need(reasonName); err != nil {
		return "", "", err
	}
	if reason, err = p.coding(reasonName, codes.URL(system, c.a.k.BaseURL()+Base)); err != nil {
		return "", "", err
	}
	comment = strings.TrimSpace(p[commentName].value.String())
	code, err := codes.Find(system, reason)
	switch {
	case err != nil || !code.InForce(c.a.k.Clock.Now()):
		return "", "", refuse(invalidCode, "'%s/code' is '%s', which is not in use", p[reasonName].path, shown(reason))
	case !code.GivenBy(string(c.c.Function)):
		return "", "", refuse(inappropriateValue, "'%s/code': %s may not give the reason '%s'", p[reasonName].path, c.c.Function, reason)
	case code.CommentNeeded && comment == "":
		return "", "", refuse(valueIsRequired, "the reason '%s' needs a comment: the parameter '%s' is missing", reason, commentName)
	}
	return reason, comment, nil
}
