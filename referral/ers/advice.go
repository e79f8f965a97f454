package ers

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/referral"
	"github.com/openspine/openspine/referral/codes"
)

const (
	stu3AdviceState    = "https://fhir.nhs.uk/STU3/CodeSystem/eRS-AdviceAndGuidanceStatus-1"
	stu3Authorisation  = "https://fhir.nhs.uk/STU3/CodeSystem/eRS-ProviderConversionAuthorisation-1"
	stu3Guidance       = "https://fhir.nhs.uk/STU3/CodeSystem/eRS-GuidanceResponseOutcome-1"
	stu3Recommendation = "https://fhir.nhs.uk/STU3/CodeSystem/eRS-GuidanceIntendedRecommendation-1"
	stu3SentBy         = "https://fhir.nhs.uk/STU3/CodeSystem/eRS-CommunicationSentBy-1"
	stu3Function       = "https://fhir.nhs.uk/STU3/CodeSystem/eRS-BusinessFunction-1"

	moreInformation = "REQUIRE_FURTHER_INFORMATION"
	withAdvice      = "RETURN_TO_REFERRER_WITH_ADVICE"
)

// adviceRoutes are the operations about questions for advice: A023, A024, A025, A026, A027, A044.
func (a *API) adviceRoutes() []catalogue.Route {
	return []catalogue.Route{
		a.onPerson("POST", "/STU3/CommunicationRequest/$ers.createAdviceAndGuidance", (*call).askAdvice, ReferringClinician, ReferringClinicianAdmin),
		a.onPerson("POST", "/STU3/CommunicationRequest/$ers.fetchworklist", (*call).adviceList, ProviderClinician, ProviderAdmin, ProviderClinicianAdmin),
		a.onPerson("GET", "/STU3/CommunicationRequest/{ubrn}", (*call).advice, anyClinical()...),
		a.onPerson("GET", "/STU3/CommunicationRequest/{ubrn}/_history/{version}", (*call).advice, anyClinical()...),
		a.onPerson("GET", "/STU3/Communication", (*call).conversation, anyClinical()...),
		a.onPerson("POST", "/STU3/ReferralRequest/$ers.createFromCommunicationRequestActionLater", (*call).convertAdvice, ProviderClinician, ProviderClinicianAdmin),
		a.onPerson("POST", "/STU3/CommunicationRequest/{ubrn}/$ers.sendCommunicationToRequester", (*call).answerAdvice, ProviderClinician, ProviderClinicianAdmin),
	}
}

// wordedAdvice is a failure about a question as this API words it.
func wordedAdvice(err error) error {
	switch {
	case errors.Is(err, referral.ErrPatient):
		return refuse(patientError, "%s", fault.MessageOf(err))
	case errors.Is(err, referral.ErrNotAdvice):
		return refuse(invalidRequestType, "The UBRN is that of a referral.")
	}
	return worded(err)
}

// message reads a parameter that is a message of a conversation.
func (p parameters) message(name string) (string, error) {
	text := strings.TrimSpace(p[name].value.String())
	switch {
	case text == "":
		return "", refuse(missingValue, "'%s' is empty", p[name].path)
	case utf8.RuneCountInString(text) > referral.MostAdvice:
		return "", refuse(invalidValue, "'%s' has more than %d characters", p[name].path, referral.MostAdvice)
	}
	return text, nil
}

// readQuestion reads eRS-CreateAdviceAndGuidance-Request-Parameters-1.
func (c *call) readQuestion() (q referral.AdviceQuestion, err error) {
	res, err := read(c.r, "Parameters", "eRS-CreateAdviceAndGuidance-Request-Parameters-1")
	if err != nil {
		return q, err
	}
	p, files, err := readWithFiles(res.Root(), map[string]string{"patient": "valueIdentifier", "providerConversionAuthorisation": "valueCoding", "shortlist": "resource", "request": "valueString",
		"referringClinician": "valueIdentifier"}, map[string]referral.AttachmentKind{"requestAttachmentFile": referral.WithQuestion})
	if err == nil {
		err = p.need("patient", "providerConversionAuthorisation", "shortlist", "request")
	}
	if err != nil {
		return q, err
	}
	number, err := p.identifier("patient", stu3NHSNumber)
	if err != nil {
		return q, err
	}
	if q.Patient, err = ident.ParseNHSNumber(number); err != nil {
		return q, refuse(invalidValue, "'%s/value' is no NHS number", p["patient"].path)
	}
	may, err := p.coding("providerConversionAuthorisation", stu3Authorisation, "AUTHORISED_TO_CONVERT", "NOT_AUTHORISED_TO_CONVERT")
	if err != nil {
		return q, err
	}
	if q.Text, err = p.message("request"); err != nil {
		return q, err
	}
	list, err := c.a.readShortlist(c.r.Context(), p["shortlist"].value, p["shortlist"].path)
	if err != nil {
		return q, err
	}
	if len(list.Services) > 1 {
		return q, refuse(tooManyItems, "'shortlist/entry' holds %d services; one service is asked for advice", len(list.Services))
	}
	q.MayConvert, q.Files, q.Service = may == "AUTHORISED_TO_CONVERT", files["requestAttachmentFile"], list.Services[0]
	s := list.Criteria
	q.Priority, q.Specialty, q.ClinicType, q.Criteria = referral.Priority(s.Priority), s.Specialty, s.ClinicType, s.Said
	var who createRequest
	if err := c.a.readPart(&who, p, c.c); err != nil || who.Clinician == "" {
		return q, err
	}
	name, err := c.a.isReferrerAt(c.r.Context(), who.Clinician, c.c.Organisation)
	q.Referrer = referral.Staff{ID: who.Clinician, Name: name}
	return q, err
}

// askAdvice is A044: a question goes to a service that gives advice.
func (c *call) askAdvice() error {
	q, err := c.readQuestion()
	if err != nil {
		return err
	}
	a, err := c.a.referrals.AskAdvice(c.r.Context(), c.who(), q)
	if fault.Is(err, fault.NotFound) && !errors.Is(err, referral.ErrNoFile) {
		return refuse(referenceNotFound, "%s", fault.MessageOf(err))
	}
	if err != nil {
		return wordedAdvice(err)
	}
	return c.sendAdvice("eRS-CreateAdviceAndGuidance-Response-Parameters-1", "createdCommunicationRequest", a)
}

// sendAdvice answers with a question and the message that was added to it.
func (c *call) sendAdvice(profile, name string, a referral.Advice) error {
	x := c.writer()
	c.w.Header().Set("ETag", fmt.Sprintf(`W/"%d"`, a.Version))
	return send(c.w, http.StatusOK, fhir.Obj("meta", profiled(profile), "resourceType", "Parameters", "parameter", fhir.Arr(
		fhir.Obj("name", name, "resource", x.communicationRequest(a)),
		fhir.Obj("name", "createdCommunication", "resource", x.communication(a, a.Remarks[len(a.Remarks)-1], true)))).JSON())
}

// advice is A024: a question as it is now, without its conversation. As published, a version that is asked for must be the current one.
func (c *call) advice() error {
	u, err := c.ubrn()
	if err != nil {
		return err
	}
	a, err := c.a.referrals.Advice(c.r.Context(), c.who(), u, false)
	if err != nil {
		return wordedAdvice(err)
	}
	if v := c.r.PathValue("version"); v != "" && v != strconv.FormatInt(a.Version, 10) {
		return fault.New(fault.NotFound, "This is not the current version of the question.")
	}
	c.w.Header().Set("ETag", fmt.Sprintf(`W/"%d"`, a.Version))
	return send(c.w, http.StatusOK, c.writer().communicationRequest(a).JSON())
}

var basedOnForm = regexp.MustCompile(`^CommunicationRequest/([0-9]{12})/_history/([0-9]{1,18})$`)

// What A025 may send with the messages; the second is spelt as published.
const (
	withRequester = "Communication:requester-practitionerrole:PractitionerRole"
	withSender    = "Communication:sender-practitionerrole:PractionerRole"
	withDocuments = "Communication:content-reference:DocumentReference"
)

// badQuery is a failure of a search (A015, A025, A029), which answers 400 to what it cannot read.
func badQuery(c code, format string, args ...any) error {
	p := &problem{c, fmt.Sprintf(format, args...)}
	return fault.Wrap(p, fault.Invalid, "%s", p.diagnostics)
}

// conversation is A025: the messages of a question, with who wrote them and their files where they are asked for.
func (c *call) conversation() error {
	q := c.r.URL.Query()
	m := basedOnForm.FindStringSubmatch(q.Get("based-on"))
	if m == nil || len(q["based-on"]) != 1 {
		return badQuery(invalidValue, "'based-on' names a question and its version: CommunicationRequest/000000070000/_history/1")
	}
	for _, i := range q["_include"] {
		if !slices.Contains([]string{withRequester, withSender, withDocuments}, i) {
			return badQuery(invalidValue, "'_include' is none of those published")
		}
	}
	u, err := ident.ParseUBRN(m[1])
	if err != nil {
		return fault.New(fault.NotFound, "There is no such question.")
	}
	a, err := c.a.referrals.Advice(c.r.Context(), c.who(), u, true)
	switch {
	case errors.Is(err, referral.ErrNotAdvice):
		return badQuery(invalidRequestType, "The UBRN is that of a referral.")
	case err != nil:
		return err
	case m[2] != strconv.FormatInt(a.Version, 10):
		return fault.New(fault.NotFound, "This is not the current version of the question.")
	}
	return send(c.w, http.StatusOK, c.bundle(a, q).JSON())
}

// bundle is a conversation, the last message first.
func (c *call) bundle(a referral.Advice, q url.Values) fhir.Value {
	x := c.writer()
	var entries []any
	seen := map[string]bool{}
	add := func(typ, id, mode string, resource fhir.Value) {
		if !seen[typ+id] {
			seen[typ+id] = true
			entries = append(entries, fhir.Obj("fullUrl", x.base+"/STU3/"+typ+"/"+id, "resource", resource, "search", fhir.Obj("mode", mode)))
		}
	}
	for _, m := range slices.Backward(a.Remarks) {
		add("Communication", m.ID, "match", x.communication(a, m, false))
	}
	for _, m := range a.Remarks {
		requester, sender := rolesOf(m)
		if slices.Contains(q["_include"], withRequester) {
			add("PractitionerRole", requester.id(), "include", requester.resource(""))
		}
		if slices.Contains(q["_include"], withSender) {
			add("PractitionerRole", sender.id(), "include", sender.resource(""))
		}
	}
	for _, f := range a.Files() {
		if slices.Contains(q["_include"], withDocuments) {
			add("DocumentReference", f.ID, "include", documentReference(f, f.ID))
		}
	}
	link := x.base + "/STU3/Communication?based-on=" + q.Get("based-on")
	for _, i := range q["_include"] {
		link += "&_include=" + i
	}
	return fhir.Obj("id", uuid.NewString(), "meta", fhir.Obj("lastUpdated", instant(c.a.k.Clock.Now()), "profile", fhir.Arr("http://hl7.org/fhir/STU3/StructureDefinition/Bundle")), "resourceType", "Bundle",
		"type", "searchset", "total", len(a.Remarks), "link", fhir.Arr(fhir.Obj("relation", "self", "url", link)), "entry", fhir.Arr(entries...))
}

// answerAdvice is A026: the service answers, or asks for more.
func (c *call) answerAdvice() error {
	res, err := read(c.r, "Parameters", "eRS-SendCommunicationToRequester-Request-Parameters-1")
	if err != nil {
		return err
	}
	p, files, err := readWithFiles(res.Root(), map[string]string{"guidanceOutcome": "valueCoding", "guidanceIntendedRecommendation": "valueCoding", "guidance": "valueString", "updatedPriority": "valueCoding"},
		map[string]referral.AttachmentKind{"guidanceAttachmentFile": referral.WithAnswer})
	if err == nil {
		err = p.need("guidanceOutcome", "guidance", "updatedPriority")
	}
	if err != nil {
		return err
	}
	w := referral.Answer{Files: files["guidanceAttachmentFile"]}
	outcome, err := p.coding("guidanceOutcome", stu3Guidance, withAdvice, moreInformation, "PROVIDER_CONVERTED")
	if err != nil {
		return err
	}
	if w.Recommendation, err = p.coding("guidanceIntendedRecommendation", stu3Recommendation, referral.Recommendations()...); err != nil {
		return err
	}
	w.More = outcome == moreInformation
	switch {
	case outcome == "PROVIDER_CONVERTED":
		return refuse(inappropriateValue, "'%s/code' is for an operation of its own, which makes a referral of the question", p["guidanceOutcome"].path)
	case w.More && w.Recommendation != "":
		return refuse(conflictingValues, "'%s' goes with %s only", p["guidanceIntendedRecommendation"].path, withAdvice)
	case !w.More && w.Recommendation == "":
		return refuse(valueIsRequired, "the parameter 'guidanceIntendedRecommendation' is missing")
	}
	priority, err := p.coding("updatedPriority", stu3Priority, priorities()...)
	if err != nil {
		return err
	}
	w.Priority = referral.Priority(priority)
	if w.Text, err = p.message("guidance"); err != nil {
		return err
	}
	u, err := c.ubrn()
	if err != nil {
		return err
	}
	if w.Seen, err = c.seen(); err != nil {
		return err
	}
	if c.c.OnBehalf != "" {
		w.For = referral.Staff{ID: c.c.OnBehalf}
	}
	a, err := alone(c, u, func() (referral.Advice, error) { return c.a.referrals.AnswerAdvice(c.r.Context(), c.who(), u, w) })
	if err != nil {
		return wordedAdvice(err)
	}
	return c.sendAdvice("eRS-SendCommunicationToRequester-Response-Parameters-1", "updatedCommunicationRequest", a)
}

// convertAdvice is A027: the service makes a referral of the question, for its office to find a date. The practice must have allowed it.
func (c *call) convertAdvice() error {
	res, err := read(c.r, "Parameters", "eRS-CreateFromCommunicationRequestActionLater-Request-Parameters-1")
	if err != nil {
		return err
	}
	p, files, err := readWithFiles(res.Root(), map[string]string{"createFrom": "valueReference", "guidance": "valueString", "newReferralPriority": "valueCoding", "reviewComments": "valueString"},
		map[string]referral.AttachmentKind{"guidanceAttachmentFile": referral.WithAnswer, "reviewAttachmentFile": referral.FromProvider})
	if err == nil {
		err = p.need("createFrom", "guidance", "newReferralPriority", "reviewComments")
	}
	if err != nil {
		return err
	}
	m := basedOnForm.FindStringSubmatch(p["createFrom"].value.Field("reference").String())
	if m == nil {
		return refuse(invalidValue, "'%s/reference' names a question and its version: CommunicationRequest/000000070000/_history/4", p["createFrom"].path)
	}
	w := referral.Conversion{Files: files["guidanceAttachmentFile"], Own: files["reviewAttachmentFile"]}
	u, err := ident.ParseUBRN(m[1])
	if err != nil {
		return refuse(referenceNotFound, "There is no request for advice '%s'.", m[1])
	}
	if w.Seen, err = strconv.ParseInt(m[2], 10, 64); err != nil {
		return refuse(invalidValue, "'%s/reference' has no version", p["createFrom"].path)
	}
	priority, err := p.coding("newReferralPriority", stu3Priority, priorities()...)
	if err != nil {
		return err
	}
	w.Priority = referral.Priority(priority)
	if w.Text, err = p.message("guidance"); err != nil {
		return err
	}
	if w.Note, err = p.message("reviewComments"); err != nil {
		return err
	}
	if c.c.OnBehalf != "" {
		w.For = referral.Staff{ID: c.c.OnBehalf}
	}
	was, err := c.a.referrals.Advice(c.r.Context(), c.who(), u, false)
	switch {
	case fault.Is(err, fault.NotFound):
		return refuse(referenceNotFound, "There is no request for advice '%s'.", u)
	case err != nil:
		return err
	case !was.MayConvert && was.Service.Provider == c.c.Organisation:
		return refuse(invalidRequestState, "The practice has not allowed that its question is made a referral of.")
	}
	r, err := alone(c, u, func() (referral.Referral, error) {
		_, r, err := c.a.referrals.ConvertAdvice(c.r.Context(), c.who(), u, w)
		return r, err
	})
	if err != nil {
		return wordedAdvice(err)
	}
	return c.sendReferral(http.StatusCreated, r)
}

// adviceList is A023: the questions that the caller's organisation was asked and has not answered.
func (c *call) adviceList() error {
	res, err := read(c.r, "Parameters", "eRS-FetchWorklist-Parameters-1")
	if err != nil {
		return err
	}
	p, err := readParameters(res.Root(), "", map[string]string{"listType": "valueCodeableConcept", "service": "valueIdentifier"})
	if err == nil {
		err = p.need("listType")
	}
	if err != nil {
		return err
	}
	kind, err := p.concept("listType", "https://fhir.nhs.uk/STU3/CodeSystem/eRS-CommunicationListSelector-1")
	if err != nil {
		return err
	}
	if kind != "ADVICE_AND_GUIDANCE_REQUESTS" {
		return refuse(invalidCode, "'%s' is '%s', which is no worklist of questions", p["listType"].path, shown(kind))
	}
	service, err := p.identifier("service", stu3Service)
	if err == nil {
		err = c.isService(service)
	}
	if err != nil {
		return err
	}
	scope, err := c.ask.Scope(access.Search, access.TypeBooking)
	if err != nil {
		return err
	}
	list, err := c.a.referrals.AdviceList(c.r.Context(), scope, c.c.Organisation)
	if err != nil {
		return err
	}
	x := c.writer()
	var entries []any
	for _, a := range list {
		if service == "" || service == a.Service.Service {
			entries = append(entries, fhir.Obj("extension", fhir.Arr(fhir.Obj("extension", x.adviceItem(a), "url", structureSTU3+"Extension-eRS-AdviceAndGuidanceRequests-WorkListItem-1")),
				"item", fhir.Obj("reference", "CommunicationRequest/"+a.UBRN.String())))
		}
	}
	var none fhir.Value
	if len(entries) == 0 {
		none = fhir.Obj("coding", fhir.Arr(fhir.Obj("system", "http://hl7.org/fhir/ValueSet/list-empty-reason", "code", "nilknown", "display", "no results")))
	}
	return send(c.w, http.StatusOK, fhir.Obj("meta", profiled("eRS-FetchWorklist-List-1"), "resourceType", "List", "status", "current", "mode", "snapshot", "entry", fhir.Arr(entries...), "emptyReason", none).JSON())
}

// adviceItem is what the worklist shows of a question.
func (x writer) adviceItem(a referral.Advice) fhir.Value {
	r := referral.Referral{Patient: a.Patient, Specialty: a.Specialty, Chosen: a.Service}
	list := append([]any{part("priority", "valueCodeableConcept", conceptOf(stu3Priority, string(a.Priority)))}, x.specialtyPart(r)...)
	list = append(list, part("patient", "valueReference", ofPatient(r)), part("category", "valueCodeableConcept", conceptOf(stu3AdviceState, string(a.State))),
		part("adviceFirstRequested", "valueDateTime", instant(a.Created)), part("adviceLastUpdated", "valueDateTime", instant(a.Changed)),
		part("referrer", "valueReference", fhir.Obj("identifier", fhir.Obj("system", stu3User, "value", a.Referrer.ID))), ofService(r))
	if a.ClinicType != "" {
		list = append(list, part("clinicType", "valueCodeableConcept", conceptOf(codes.URL(codes.ClinicType, x.base), a.ClinicType)))
	}
	return fhir.Arr(append(list, part("communicationRequestVersion", "valueInteger", a.Version))...)
}

// actingAs is somebody in a part that they play: CareConnect-PractitionerRole-1.
type actingAs struct {
	user     string
	at       ident.ODSCode
	function Function
}

func (r actingAs) id() string {
	return r.user + "." + r.at.String() + "." + strings.ReplaceAll(string(r.function), "_", "-")
}

// resource is the role; within another document its id says what it is.
func (r actingAs) resource(within string) fhir.Value {
	return fhir.Obj("id", within+r.id(), "meta", fhir.Obj("profile", fhir.Arr("https://fhir.hl7.org.uk/STU3/StructureDefinition/CareConnect-PractitionerRole-1")), "resourceType", "PractitionerRole",
		"practitioner", fhir.Obj("identifier", fhir.Obj("system", stu3User, "value", r.user)), "organization", fhir.Obj("identifier", fhir.Obj("system", idOrganisation, "value", r.at.String())),
		"code", fhir.Arr(conceptOf(stu3Function, string(r.function))))
}

// rolesOf are the clinician whose words a message is, and who sent it.
func rolesOf(m referral.Remark) (requester, sender actingAs) {
	clinician, clerk := ReferringClinician, ReferringClinicianAdmin
	if m.Provider {
		clinician, clerk = ProviderClinician, ProviderClinicianAdmin
	}
	requester = actingAs{m.For.ID, m.Organisation, clinician}
	if m.By.ID == m.For.ID {
		return requester, requester
	}
	return requester, actingAs{m.By.ID, m.Organisation, clerk}
}

// plain is an extension whose name has no eRS in it.
func plain(name string, reference fhir.Value) fhir.Value {
	return fhir.Obj("url", structureSTU3+"Extension-"+name+"-1", "valueReference", reference)
}

func toService(a referral.Advice) fhir.Value {
	return fhir.Arr(fhir.Obj("extension", fhir.Arr(plain("HealthcareService-Reference", fhir.Obj("identifier", fhir.Obj("system", stu3Service, "value", a.Service.Service))))))
}

// communicationRequest is eRS-CommunicationRequest-1: a question at its current version.
func (x writer) communicationRequest(a referral.Advice) fhir.Value {
	may := fhir.Obj("system", stu3Authorisation, "code", "NOT_AUTHORISED_TO_CONVERT", "display", "Referrer has NOT allowed the Service Provider to convert the Advice and Guidance to a Referral")
	if a.MayConvert {
		may = fhir.Obj("system", stu3Authorisation, "code", "AUTHORISED_TO_CONVERT", "display", "Referrer has allowed the Service Provider to convert the Advice and Guidance to a Referral")
	}
	extensions := []any{extension("ReferralPriority", "valueCodeableConcept", fhir.Obj("coding", fhir.Arr(fhir.Obj("system", stu3Priority, "code", string(a.Priority), "display", priorityName(a.Priority))))),
		extension("ProviderConversionAuthorisation", "valueCoding", may), extension("ReferralShortlist", "valueReference", fhir.Obj("reference", "#shortlist"))}
	if a.Specialty != "" {
		extensions = append(extensions, extension("Specialty", "valueCoding", fhir.Obj("system", codes.URL(codes.Specialty, x.base), "code", a.Specialty, "display", codes.Display(codes.Specialty, a.Specialty))))
	}
	role := actingAs{a.Referrer.ID, a.Practice, ReferringClinician}
	by := fhir.Obj("extension", fhir.Arr(plain("PractitionerRole-Reference", fhir.Obj("reference", "#PractitionerRole."+role.id()))))
	contained := append(x.offered(referral.Referral{Shortlist: []referral.Choice{a.Service}, Criteria: a.Criteria}), role.resource("PractitionerRole."))
	return fhir.Obj("id", a.UBRN.String(), "meta", fhir.Obj("versionId", fmt.Sprint(a.Version), "profile", fhir.Arr(structureSTU3+"eRS-CommunicationRequest-1")), "resourceType", "CommunicationRequest",
		"extension", fhir.Arr(extensions...), "contained", fhir.Arr(contained...), "status", "active", "category", fhir.Arr(conceptOf(stu3AdviceState, string(a.State))),
		"subject", fhir.Obj("identifier", fhir.Obj("system", stu3NHSNumber, "value", a.Patient.String())), "recipient", toService(a), "sender", by, "requester", fhir.Obj("agent", by),
		"identifier", fhir.Arr(fhir.Obj("system", stu3RequestID, "value", adviceID(a.UBRN))))
}

// communication is eRS-Communication-1: a message, which holds who wrote it and its files, or names them.
func (x writer) communication(a referral.Advice, m referral.Remark, holds bool) fhir.Value {
	requester, sender := rolesOf(m)
	roles, documents := "PractitionerRole/", "DocumentReference/"
	var contained, payload []any
	if holds {
		roles, documents = "#PractitionerRole.", "#DocumentReference-"
		contained = append(contained, requester.resource("PractitionerRole."))
		if sender != requester {
			contained = append(contained, sender.resource("PractitionerRole."))
		}
	}
	for _, f := range m.Files {
		payload = append(payload, fhir.Obj("contentReference", fhir.Obj("reference", documents+f.ID)))
		if holds {
			contained = append(contained, documentReference(f, "DocumentReference-"+f.ID))
		}
	}
	by, to := "REQUESTER", toService(a)
	if m.Provider {
		by, to = "RESPONDER", fhir.Arr(fhir.Obj("identifier", fhir.Obj("system", idOrganisation, "value", a.Practice.String())))
	}
	return fhir.Obj("id", m.ID, "meta", fhir.Obj("versionId", "0", "profile", fhir.Arr(structureSTU3+"eRS-Communication-1")), "resourceType", "Communication", "contained", fhir.Arr(contained...),
		"extension", fhir.Arr(plain("Communication-Requester", fhir.Obj("reference", roles+requester.id()))), "basedOn", fhir.Arr(fhir.Obj("reference", fmt.Sprintf("CommunicationRequest/%s/_history/%d", a.UBRN, a.Version))),
		"status", "completed", "category", fhir.Arr(conceptOf(stu3SentBy, by)), "recipient", to, "sent", instant(m.At),
		"sender", fhir.Obj("extension", fhir.Arr(plain("PractitionerRole-Reference", fhir.Obj("reference", roles+sender.id())))), "payload", fhir.Arr(payload...), "note", fhir.Arr(fhir.Obj("text", m.Text)))
}
