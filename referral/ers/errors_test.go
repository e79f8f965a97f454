package ers_test

import (
	"cmp"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/openspine/openspine/referral"
	"github.com/openspine/openspine/referral/ers"
	"github.com/openspine/openspine/sim/seed/published"
)

// refusal is a published error: its status, and its code, which is empty for one without a body of the service's own.
type refusal struct{ status, code string }

var (
	answersForm = regexp.MustCompile(`'([45][0-9][0-9])':\s+\$ref: '([^']+)'`)
	codesForm   = regexp.MustCompile(`(?m)^\s*\|\s*([A-Z][A-Z_]+)\s*\|`)
)

// refusals are the errors that are published of an operation.
func refusals(t *testing.T, o operation) (list []refusal) {
	t.Helper()
	files, err := filepath.Glob(filepath.FromSlash(specification + "components/*/schemas/endpoints/" + o.id + "-*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatal(o.id, err)
	}
	said, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range answersForm.FindAllStringSubmatch(string(said), -1) {
		table, err := os.ReadFile(filepath.Join(filepath.Dir(files[0]), filepath.FromSlash(m[2])))
		if err != nil {
			t.Fatal(err)
		}
		found := codesForm.FindAllStringSubmatch(string(table), -1)
		if len(found) == 0 || m[1] != "422" && m[1] != "400" {
			list = append(list, refusal{status: m[1]})
			continue
		}
		for _, c := range found {
			list = append(list, refusal{m[1], c[1]})
		}
	}
	return list
}

// request is a request of an operation that is sound but for the number or version that a test gives it.
type request struct {
	who     *caller
	about   referral.Referral
	file    string // the example whose body it has; "" for none
	profile string // of its body; "" for none
	typ     string // of its body
	query   string
}

// sound are the requests of each operation.
func (s *stage) sound() map[string]request {
	open := s.refers(draft(referral.Routine, "11000"))
	theirs := s.does(s.byReferrer(), s.refers(draft(referral.Routine, "11010")), referral.Work{Kind: referral.ActSendTriage, Service: "11010"})
	asked := s.asks(published.Patient, nearLeeds, false, "How would you begin?")
	question := referral.Referral{UBRN: asked.UBRN, Version: asked.Version}
	booked := s.booked(s.refers(draft(referral.Routine, "11000")), "11000")
	rc, spc := s.referrer(), s.reviewer()
	const p = "Parameters"
	return map[string]request{
		"a004": {who: rc}, "a005": {who: rc, about: open}, "a006": {who: rc}, "a007": {who: rc, about: open}, "a013": {who: spc, about: theirs}, "a015": {who: rc}, "a019": {who: rc, about: open}, "a020": {who: rc},
		"a024": {who: rc, about: question}, "a025": {who: rc}, "a029": {who: rc}, "a033": {who: rc}, "a035": {who: rc}, "a037": {who: rc}, "a038": {who: rc, about: booked}, "a041": {who: rc}, "a042": {who: rc}, "a043": {who: rc, about: question},
		"a008": {who: rc, file: "retrieveWorklist/requests/MinimalAwaitingBooking", profile: "eRS-FetchWorklist-Parameters-1", typ: p},
		"a010": {who: rc, file: "patientServiceSearch/requests/RcMinimal", profile: "eRS-PatientServiceSearch-Parameters-1", typ: p},
		"a011": {who: rc, file: "createReferral/requests/MinimalRequest", profile: "eRS-CreateReferral-Parameters-1", typ: p},
		"a012": {who: rc, about: open, file: "maintainReferralLetter/requests/SingleDocumentReference", profile: "eRS-MaintainReferralLetter-Parameters-1", typ: p},
		"a014": {who: spc, about: theirs, file: "rejectReferral/requests/BasicExampleDbs", profile: "eRS-RejectReferral-Parameters-1", typ: p},
		"a016": {who: rc, file: "bookOrDeferAppointment/requests/MinimalBooking", profile: "eRS-Appointment-1", typ: "Appointment"},
		"a021": {who: rc, file: "createReferralAndSendForTriage/requests/Parameters", profile: "eRS-CreateReferralAndSendForTriage-Parameters-1", typ: p},
		"a022": {who: spc, about: theirs, file: "cancelAppointmentActionLater/requests/MinimalExampleDBS", profile: "eRS-cancelAppointmentActionLater-Parameters-1", typ: p},
		"a023": {who: spc, file: "retrieveAdviceAndGuidanceWorklist/requests/MinimalAdviceAndGuidanceRequests", profile: "eRS-FetchWorklist-Parameters-1", typ: p},
		"a026": {who: spc, about: question, file: "sendAdviceAndGuidanceResponse/requests/ReturnToReferrerWithAdvice", profile: "eRS-SendCommunicationToRequester-Request-Parameters-1", typ: p},
		"a027": {who: spc, file: "convertAdviceAndGuidanceToReferral/requests/NoAttachments", profile: "eRS-CreateFromCommunicationRequestActionLater-Request-Parameters-1", typ: p},
		"a028": {who: spc, about: theirs, file: "recordTriageOutcome/requests/ReturnToReferrerWithAdvice", profile: "eRS-RecordReviewOutcome-Parameters-1", typ: p},
		"a031": {who: rc, about: open, file: "changeShortlist/requests/UnbookedReferral", profile: "eRS-ChangeShortlist-Parameters-1", typ: p},
		"a032": {who: rc, about: open, file: "changeShortlistAndSendForTriage/requests/MinimalRequest", profile: "eRS-ChangeShortlistAndSendForTriage-Request-Parameters-1", typ: p},
		"a034": {who: rc, about: booked, file: "updateAppointment/requests/MinimalCancellationReasonOnlyCommentNotMandatory", profile: "eRS-Appointment-1", typ: "Appointment"},
		"a036": {who: rc, about: open, file: "cancelReferral/requests/IntendPrivateWithoutComment", profile: "eRS-CancelReferral-Request-Parameters-1", typ: p},
		"a040": {who: s.as(s.user(published.SiteClerk), acting(ers.ProviderClinicianAdmin, published.Site)...)},
		"a044": {who: rc, file: "createAdviceAndGuidance/requests/ExampleRCWithoutAttachments", profile: "eRS-CreateAdviceAndGuidance-Request-Parameters-1", typ: p},
	}
}

var inPath = regexp.MustCompile(`\{[a-zA-Z]+\}`)

// provoke sends an operation's request made wrong so that it must be refused in a way; ok is false for a refusal that this test does not provoke.
func (s *stage) provoke(o operation, q request, r refusal) (a answer, ok bool) {
	number := q.about.UBRN.String()
	if o.id == "a034" || o.id == "a038" {
		number = strings.TrimLeft(number, "0")
	}
	if q.about.UBRN.IsZero() {
		number = "000000099999"
	}
	body, version := "", q.about.Version
	if o.id == "a038" {
		version = q.about.Arranged.Version
	}
	versioned := strings.Replace(o.path, "{version}", strconv.FormatInt(version, 10), 1)
	path := inPath.ReplaceAllString(versioned, number) + q.query
	if q.file != "" {
		body = s.here(example(s.t, "stu3/"+q.file+".json"), scene{}, ask{})
	}
	if o.id == "a034" {
		version, body = q.about.Arranged.Version, strings.Replace(body, `"70003"`, `"`+number+`"`, 1)
	}
	send := func(body string, headers ...string) (answer, bool) {
		return q.who.do(o.method, path, body, headers...), true
	}
	fhir := []string{"Content-Type", "application/fhir+json"}
	wrong := func(parameters string) (answer, bool) {
		return send(`{"resourceType":"`+q.typ+`","meta":{"profile":["https://fhir.nhs.uk/STU3/StructureDefinition/`+q.profile+`"]}`+parameters+`}`, fhir...)
	}
	if c := s.whole(r.status); c != nil {
		return c.do(o.method, path, ""), true
	}
	if wrong := wrongs()[o.id+" "+cmp.Or(r.code, r.status)]; wrong != nil {
		return wrong(shot{s, o, q}), true
	}
	switch r {
	case refusal{"400", ""}, refusal{"400", "REC_BAD_REQUEST"}:
		if r.code == "" || o.id == "a042" { // as what two is a caller to act?
			q.who = &caller{world: q.who.world, token: q.who.token, headers: append(slices.Clone(q.who.headers), "NHSD-eRS-Business-Function", string(ers.ReferringClinician))}
			return send(body, fhir...)
		}
	case refusal{"406", ""}:
		if q.who == nil { // it takes no function
			q.who = s.referrer()
		}
		return send(body, append(fhir, "Accept", "application/fhir+xml", "Accept", "*/*;q=0")...)
	case refusal{"401", ""}:
		q.who = &caller{world: s.world}
		return send(body, fhir...)
	case refusal{"403", ""}:
		q.who = s.as(s.user(published.Referrer), acting("KING", published.Practice)...)
		if o.id == "a030" {
			return a, false
		}
		return send(body, fhir...)
	case refusal{"404", ""}:
		if !strings.Contains(o.path, "{") {
			return a, false
		}
		path = inPath.ReplaceAllString(versioned, "000000099999")
		if o.id == "a034" {
			body = strings.Replace(body, `"`+number+`"`, `"99999"`, 1)
			path = "/STU3/Appointment/99999"
		}
		return send(body, append(fhir, "If-Match", `W/"1"`)...)
	case refusal{"409", ""}:
		if version == 0 || o.id == "a012" {
			return a, false
		}
		return send(body, append(fhir, "If-Match", `W/"99"`)...)
	case refusal{"412", ""}:
		return send(body, fhir...)
	case refusal{"415", ""}:
		return send(body, "Content-Type", "text/html")
	case refusal{"422", "INVALID_FHIR_STRUCTURE"}:
		return send(`{"resourceType":"Basic"}`, fhir...)
	case refusal{"422", "UNEXPECTED_FIELD"}:
		if q.typ != "Parameters" {
			return a, false
		}
		return wrong(`,"parameter":[{"name":"surprise","valueString":"x"}]`)
	case refusal{"422", "MISSING_VALUE"}:
		if q.profile == "" {
			return send(body, "Content-Type", "text/plain", "If-Match", `W/"1"`) // A020: a file without a name
		}
		return wrong("")
	case refusal{"422", "INVALID_REQUEST_TYPE"}:
		other := map[bool]string{true: "a005", false: "a024"}[strings.Contains(o.path, "CommunicationRequest")]
		path = inPath.ReplaceAllString(versioned, s.sound()[other].about.UBRN.String())
		return send(body, append(fhir, "If-Match", `W/"1"`)...)
	}
	if change, who := s.changed(o.id, r.code, q.who); change != nil && r.status == "422" {
		q.who = who
		var doc map[string]any
		if err := json.Unmarshal([]byte(body), &doc); err != nil {
			s.t.Fatal(err)
		}
		change(doc)
		text, err := json.Marshal(doc)
		if err != nil {
			s.t.Fatal(err)
		}
		return send(string(text), append(fhir, "If-Match", `W/"`+strconv.FormatInt(version, 10)+`"`)...)
	}
	if query := s.queries()[o.id+" "+r.code]; query != "" && r.status == "400" {
		path += query
		return send("")
	}
	switch r {
	case refusal{"400", "MISSING_PARAMETER"}:
		return send("")
	case refusal{"400", "MISSING_HEADER"}:
		q.who = s.as(s.user(published.Referrer))
		return send("")
	case refusal{"400", "REC_BAD_REQUEST"}:
		if strings.Contains(o.path, "{") {
			return a, false
		}
		return send("")
	}
	return a, false
}

// queries are searches that cannot be read, by operation and error.
func (s *stage) queries() map[string]string {
	const slots, tasks = "?status=free&schedule.actor:HealthcareService=", "?intent=proposal&status=ready&focus="
	if s.open.IsZero() {
		s.open = s.refers(draft(referral.Routine, "11000")).UBRN
	}
	return map[string]string{
		"a015 INVALID_VALUE": slots + "11000&appointmentType=ROUTINE&_count=0&page=1", "a015 INVALID_CODE": slots + "11000&appointmentType=SOON&_count=5&page=1", "a015 REFERENCE_NOT_FOUND": slots + "99999&appointmentType=ROUTINE&_count=5&page=1",
		"a029 INVALID_VALUE": tasks + "x", "a029 REFERENCE_NOT_FOUND": tasks + "ReferralRequest/000000099999/_history/1", "a029 HISTORY_NOT_SUPPORTED": tasks + "ReferralRequest/" + s.open.String() + "/_history/99",
		"a025 INVALID_REQUEST_TYPE": "?based-on=CommunicationRequest/" + s.open.String() + "/_history/1",
	}
}

// changed is how a request that searches for services, or shortlists them, is made wrong, and who sends it; nil for what is not done so.
func (s *stage) changed(op, code string, who *caller) (change func(doc map[string]any), by *caller) {
	searches := slices.Contains([]string{"a010", "a011", "a021", "a044"}, op)
	if !searches && op != "a031" && op != "a032" {
		return nil, who
	}
	criterion := func(name, member string, value any) func(map[string]any) {
		return func(doc map[string]any) {
			c := criteriaOf(doc)
			c["parameter"] = append(c["parameter"].([]any), map[string]any{"name": name, member: value})
		}
	}
	add := func(name, member string, value any) func(map[string]any) {
		return func(doc map[string]any) {
			doc["parameter"] = append(doc["parameter"].([]any), map[string]any{"name": name, member: value})
		}
	}
	user := func(id string) map[string]any {
		return map[string]any{"system": "http://fhir.nhs.net/Id/sds-user-id", "value": id}
	}
	entries := func(services ...string) func(map[string]any) {
		return func(doc map[string]any) {
			var list []any
			for _, x := range services {
				list = append(list, map[string]any{"item": map[string]any{"identifier": map[string]any{"system": "http://fhir.nhs.net/Id/ers-service", "value": x}}})
			}
			parameterOf(doc, "shortlist")["resource"].(map[string]any)["entry"] = list
		}
	}
	patient := func(number string) func(map[string]any) {
		return func(doc map[string]any) {
			parameterOf(doc, "patient")["valueIdentifier"].(map[string]any)["value"] = number
		}
	}
	var many []string
	for i := range 21 {
		many = append(many, strconv.Itoa(12000+i))
	}
	if op == "a021" || op == "a032" || op == "a044" {
		many = many[:2]
	}
	shortlists := op != "a010"
	switch {
	case code == "INVALID_CODE":
		return func(doc map[string]any) {
			criteriaOf(doc)["parameter"].([]any)[0].(map[string]any)["valueCoding"].(map[string]any)["code"] = "SOON"
		}, who
	case code == "SNOMED_NOT_FOUND":
		return criterion("clinicalTerm", "valueCoding", map[string]any{"system": "http://snomed.info/sct", "code": "123456789"}), who
	case code == "REFERENCED_USER_IS_NOT_SPC":
		return criterion("namedClinician", "valueIdentifier", user(published.Secretary)), who
	case code == "DUPLICATE_SERVICE":
		return entries("11002", "11002"), who
	case code == "TOO_MANY_ITEMS":
		return entries(many...), who
	case code == "REFERENCE_NOT_FOUND" && op == "a010":
		return criterion("organisation", "valueIdentifier", map[string]any{"system": "https://directory.spineservices.nhs.uk/STU3/Organization", "value": "ZZ999"}), who
	case code == "REFERENCE_NOT_FOUND" && shortlists:
		return entries("99999"), who
	case code == "INVALID_VALUE" && searches:
		return patient("9990000019"), who
	case code == "PATIENT_ERROR" && searches:
		return patient(departed), who
	case code == "FIELD_NOT_PERMITTED" && searches:
		return add("referringClinician", "valueIdentifier", user(published.Reviewer)), who
	case code == "VALUE_IS_REQUIRED" && searches:
		return func(map[string]any) {}, s.secretary()
	case code == "REFERENCED_USER_IS_NOT_RC" && searches:
		return add("referringClinician", "valueIdentifier", user(published.Secretary)), s.secretary()
	}
	return nil, who
}

func parameterOf(doc map[string]any, name string) map[string]any {
	for _, p := range doc["parameter"].([]any) {
		if m := p.(map[string]any); m["name"] == name {
			return m
		}
	}
	return nil
}

// criteriaOf are the criteria of a search, or of the search behind a shortlist.
func criteriaOf(doc map[string]any) map[string]any {
	if p := parameterOf(doc, "searchCriteria"); p != nil {
		return p["resource"].(map[string]any)
	}
	return parameterOf(doc, "shortlist")["resource"].(map[string]any)["contained"].([]any)[0].(map[string]any)
}

// departed is somebody who has died.
const departed = "9990000018"

// never are the errors that this service does not give, and why.
func never() map[string]string {
	const hidden, died = "whoever may not read a request is not told that there is one: 404", "what there is of somebody who has died is read, explained and ended as before; nothing new is begun for them"
	return map[string]string{
		"NO_REG_GP_PRACTICE": "somebody who is registered nowhere may be referred", "UNSUPPORTED_PRIORITY": "services do not say which priorities they take",
		"ORGANISATION_NOT_APPROPRIATE": "any organisation that is open will do", "NO_ACCESS_CODE": "the letter brings a new password",

		"UNABLE_TO_CONFIRM_APPOINTMENT": "a booking is one transaction", "UNABLE_TO_CANCEL_APPOINTMENT": "as above",
		"a027 404": "its body names the question: REFERENCE_NOT_FOUND", "a035 404": "a search that finds nothing answers with an empty Bundle, as published", "a006 FILE_SIZE_ERROR": "no file is kept that is larger than A006 gives",
		"a027 VALUE_IS_REQUIRED": "none of its parameters hangs on another", "a028 VALUE_IS_REQUIRED": "as of A027",
		"a005 NO_RELATIONSHIP": hidden, "a007 NO_RELATIONSHIP": hidden, "a024 NO_RELATIONSHIP": hidden, "a025 NO_RELATIONSHIP": hidden, "a038 NO_RELATIONSHIP": hidden, "a043 NO_RELATIONSHIP": hidden,
		"a015 INVALID_STATE": "a service is there or it has closed, which is SERVICE_UNAVAILABLE", "a016 INVALID_STATE": "of a referral it is INVALID_REQUEST_STATE, of a slot SLOT_NOT_AVAILABLE",
		"a014 504":           "it is done here at once, and the hospital's own system is told until it answers",
		"a025 PATIENT_ERROR": died, "a005 PATIENT_ERROR": died, "a007 PATIENT_ERROR": died, "a024 PATIENT_ERROR": died, "a038 PATIENT_ERROR": died, "a043 PATIENT_ERROR": died,
		"a012 PATIENT_ERROR": died, "a013 PATIENT_ERROR": died, "a014 PATIENT_ERROR": died, "a026 PATIENT_ERROR": died, "a034 PATIENT_ERROR": died, "a036 PATIENT_ERROR": died,
	}
}

// TestErrorsAreAsPublished provokes, of every operation, the published errors that can be provoked in the same way everywhere, and says how many that is; others are provoked by the tests of their operation.
// Nobody is told NO_RELATIONSHIP: who has none is not told that there is such a request (404).
func TestErrorsAreAsPublished(t *testing.T) {
	t.Parallel()
	example(t, "stu3/STU3-OperationOutcome.json")
	s := newStage(t)
	all, provoked, reasoned, rest := 0, 0, 0, map[string][]string{}
	s.load(`{"resourceType":"Patient","id":"` + departed + `","identifier":[{"system":"https://fhir.nhs.uk/Id/nhs-number","value":"` + departed + `"}],"name":[{"family":"Gone"}],"gender":"female","birthDate":"1930-01-02","deceasedDateTime":"2024-01-02"}`)
	if err := published.Register(t.Context(), s.node, departed, published.Practice); err != nil {
		t.Fatal(err)
	}
	sound := s.sound()
	for _, o := range operations() {
		for _, r := range refusals(t, o) {
			all++
			name := cmp.Or(r.code, r.status)
			if never()[name] != "" || never()[o.id+" "+name] != "" {
				reasoned++
				continue
			}
			got, ok := s.provoke(o, sound[o.id], r)
			if !ok {
				rest[strings.Trim(r.status+" "+r.code, " ")] = append(rest[strings.Trim(r.status+" "+r.code, " ")], o.id)
				continue
			}
			provoked++
			if r.status != strconv.Itoa(got.status) {
				t.Errorf("%s %s %s: want %s %s, got %d %.300s", o.id, o.method, o.path, r.status, r.code, got.status, got.body)
			}
			if r.code != "" && got.code() != r.code && o.method != http.MethodHead {
				t.Errorf("%s %s: want %s, got %s", o.id, o.path, r.code, got.code())
			}
		}
	}
	t.Logf("%d errors are published, %d provoked here, %d never given", all, provoked, reasoned)
	for _, name := range sorted(keysOf(never())) {
		t.Logf("never: %s: %s", name, never()[name])
	}
	for _, what := range sorted(keysOf(rest)) {
		slices.Sort(rest[what])
		t.Logf("not here: %s: %s", what, strings.Join(slices.Compact(rest[what]), " "))
	}
	if len(rest) > 0 {
		t.Error("each published error is provoked, or never given for a reason")
	}
	if provoked < 588 {
		t.Errorf("%d of %d are provoked: fewer than there were", provoked, all)
	}
}

func keysOf[V any](m map[string]V) map[string]bool {
	set := map[string]bool{}
	for k := range m {
		set[k] = true
	}
	return set
}
