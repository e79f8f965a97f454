package ers_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/referral/ers"
)

const adviceProfile = `{"resourceType":"Parameters","meta":{"profile":["https://fhir.nhs.uk/STU3/StructureDefinition/eRS-%s-Parameters-1"]},"parameter":[%s]}`

// question is a request for advice of a service.
func (w *world) question(service, more string) string {
	_, list, _ := strings.Cut(w.createBody("9990000018", service), `{"name":"shortlist"`)
	return fmt.Sprintf(adviceProfile, "CreateAdviceAndGuidance-Request", `{"name":"patient","valueIdentifier":{"system":"http://fhir.nhs.net/Id/nhs-number","value":"9990000018"}},
		{"name":"providerConversionAuthorisation","valueCoding":{"system":"https://fhir.nhs.uk/STU3/CodeSystem/eRS-ProviderConversionAuthorisation-1","code":"AUTHORISED_TO_CONVERT"}},
		{"name":"request","valueString":"Breathless on stairs: what should I look for?"},`+more+`{"name":"shortlist"`+strings.TrimSuffix(list, "]}"))
}

// guidance is what a service says to a question.
func guidance(outcome, more string) string {
	return fmt.Sprintf(adviceProfile, "SendCommunicationToRequester-Request", `{"name":"guidanceOutcome","valueCoding":{"system":"https://fhir.nhs.uk/STU3/CodeSystem/eRS-GuidanceResponseOutcome-1","code":"`+outcome+`"}},
		{"name":"guidance","valueString":"An ECG first."},{"name":"updatedPriority","valueCoding":{"system":"https://fhir.nhs.uk/STU3/CodeSystem/eRS-Priority-1","code":"ROUTINE"}}`+more)
}

const recommended = `,{"name":"guidanceIntendedRecommendation","valueCoding":{"system":"https://fhir.nhs.uk/STU3/CodeSystem/eRS-GuidanceIntendedRecommendation-1","code":"OTHER"}}`

func adviceWorklist(of string) string {
	return fmt.Sprintf(adviceProfile, "FetchWorklist", `{"name":"listType","valueCodeableConcept":{"coding":[{"system":"https://fhir.nhs.uk/STU3/CodeSystem/eRS-CommunicationListSelector-1","code":"`+of+`"}]}}`)
}

// newAdviceWorld is a world whose hospital has a service that gives advice.
func newAdviceWorld(t *testing.T) *world {
	w := newWorld(t)
	w.load(`{"resourceType":"HealthcareService","id":"11014","active":true,"providedBy":{"identifier":{"system":"https://fhir.nhs.uk/Id/ods-organization-code","value":"R68"}},"name":"Cardiology Advice Service",
		"characteristic":[{"coding":[{"system":"https://fhir.nhs.uk/CodeSystem/eRS-RequestFlowType","code":"ADVICE_AND_GUIDANCE_REQUEST"}]}]}`)
	w.registered("9990000018")
	return w
}

// TestAdviceByProgram asks (A044), lists (A023), reads (A024, A025) and answers with a file (A026).
func TestAdviceByProgram(t *testing.T) {
	w := newAdviceWorld(t)
	gp := w.as(staff("gp", access.Clinician, practice), acting(ers.ReferringClinician, practice)...)
	consultant := w.as(staff("consultant", access.Clinician, hospital), acting(ers.ProviderClinician, hospital)...)
	const path, list = "/STU3/CommunicationRequest/", "/STU3/CommunicationRequest/$ers.fetchworklist"
	ecg := gp.do(http.MethodPost, "/STU3/Binary", "%PDF-1.4 ecg", "Content-Type", "application/pdf", "NHSD-eRS-File-Name", "ecg.pdf").header.Get("Location")
	made := gp.post(path+"$ers.createAdviceAndGuidance", w.question("11014", documentParameter("requestAttachmentFile", "ADVICE_REQUEST", ecg, "the trace")+","))
	if made.status != http.StatusOK || !strings.Contains(made.body, `"PROVIDER_RESPONSE_REQUIRED"`) || !strings.Contains(made.body, "ecg.pdf") {
		t.Fatalf("A044: %d %s", made.status, made.body)
	}
	ubrn := made.json["parameter"].([]any)[0].(map[string]any)["resource"].(map[string]any)["id"].(string)
	if a := consultant.post(list, adviceWorklist("ADVICE_AND_GUIDANCE_REQUESTS")); a.status != http.StatusOK || !strings.Contains(a.body, "CommunicationRequest/"+ubrn) || strings.Contains(a.body, "Breathless") {
		t.Errorf("A023: %d %s", a.status, a.body)
	}
	if a := consultant.get(path + ubrn); a.status != http.StatusOK || a.header.Get("ETag") != `W/"1"` || !strings.Contains(a.body, `"AUTHORISED_TO_CONVERT"`) || strings.Contains(a.body, "Breathless") {
		t.Errorf("A024: %d %s", a.status, a.body)
	}
	talk := "/STU3/Communication?based-on=CommunicationRequest/" + ubrn + "/_history/"
	if a := consultant.get(talk + "1&_include=Communication:content-reference:DocumentReference"); a.status != http.StatusOK || a.json["total"] != 1.0 || !strings.Contains(a.body, "Breathless") || len(a.json["entry"].([]any)) != 2 {
		t.Errorf("A025: %d %s", a.status, a.body)
	}
	if a := consultant.get("/STU3/" + ecg); a.status != http.StatusOK || a.body != "%PDF-1.4 ecg" {
		t.Errorf("the question's file: %d %s", a.status, a.body)
	}
	send := func(version, body string) answer {
		return consultant.post(path+ubrn+"/$ers.sendCommunicationToRequester", body, "If-Match", `W/"`+version+`"`)
	}
	if a := send("1", guidance("REQUIRE_FURTHER_INFORMATION", "")); a.status != http.StatusOK || !strings.Contains(a.body, "REFERRER_TO_SUBMIT_FURTHER_INFORMATION") {
		t.Fatalf("more: %d %s", a.status, a.body)
	}
	if a := send("1", guidance("RETURN_TO_REFERRER_WITH_ADVICE", recommended)); a.status != http.StatusConflict {
		t.Errorf("sent twice: %d %s", a.status, a.body)
	}
	plan := consultant.uploaded("plan.pdf", "application/pdf", "%PDF-1.4 plan", ubrn)
	answered := send("2", guidance("RETURN_TO_REFERRER_WITH_ADVICE", recommended+","+documentParameter("guidanceAttachmentFile", "GUIDANCE_RESPONSE", plan, "")))
	if answered.status != http.StatusOK || !strings.Contains(answered.body, "REFERRER_TO_REVIEW_RESPONSE") || !strings.Contains(answered.body, `"ROUTINE"`) {
		t.Fatalf("A026: %d %s", answered.status, answered.body)
	}
	if a := gp.get(talk + "3&_include=Communication:sender-practitionerrole:PractionerRole"); a.json["total"] != 3.0 || len(a.json["entry"].([]any)) != 5 || !strings.Contains(a.body, "SERVICE-PROVIDER-CLINICIAN") {
		t.Errorf("the conversation: %d %s", a.status, a.body)
	}
	if a := gp.get("/STU3/" + plan); a.body != "%PDF-1.4 plan" {
		t.Errorf("the answer's file: %d %s", a.status, a.body)
	}
	if a := gp.get(talk + "1"); a.status != http.StatusNotFound {
		t.Errorf("an old version: %d", a.status)
	}
	if a := consultant.post(list, adviceWorklist("ADVICE_AND_GUIDANCE_REQUESTS")); strings.Contains(a.body, ubrn) || !strings.Contains(a.body, "nilknown") {
		t.Errorf("answered, and on the list still: %s", a.body)
	}
}

// TestAdviceRefused: what is wrong is said by the published code.
func TestAdviceRefused(t *testing.T) {
	w := newAdviceWorld(t)
	gp := w.as(staff("gp", access.Clinician, practice), acting(ers.ReferringClinician, practice)...)
	consultant := w.as(staff("consultant", access.Clinician, hospital), acting(ers.ProviderClinician, hospital)...)
	const ask = "/STU3/CommunicationRequest/$ers.createAdviceAndGuidance"
	for name, c := range map[string]struct {
		who        *caller
		body, code string
	}{
		"the wrong function":       {consultant, w.question("11014", ""), "FORBIDDEN"},
		"an unknown service":       {gp, w.question("99999", ""), "REFERENCE_NOT_FOUND"},
		"a service without advice": {gp, w.question("11002", ""), "INAPPROPRIATE_VALUE"},
		"a file nobody uploaded":   {gp, w.question("11014", documentParameter("requestAttachmentFile", "ADVICE_REQUEST", "Binary/none", "")+","), "REFERENCE_NOT_FOUND"},
		"another's kind of file":   {gp, w.question("11014", documentParameter("requestAttachmentFile", "GUIDANCE_RESPONSE", "Binary/none", "")+","), "INVALID_CODE"},
		"no words":                 {gp, strings.Replace(w.question("11014", ""), "Breathless on stairs: what should I look for?", " ", 1), "MISSING_VALUE"},
		"too many words":           {gp, strings.Replace(w.question("11014", ""), "Breathless", strings.Repeat("é", 8001), 1), "INVALID_VALUE"},
		"an unknown permission":    {gp, strings.Replace(w.question("11014", ""), "AUTHORISED_TO_CONVERT", "PERHAPS", 1), "INVALID_CODE"},
		"a clinician for another":  {gp, w.question("11014", `{"name":"referringClinician","valueIdentifier":{"system":"http://fhir.nhs.net/Id/sds-user-id","value":"gp"}},`), "FIELD_NOT_PERMITTED"},
	} {
		if a := c.who.post(ask, c.body); a.code() != c.code {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	made := gp.post(ask, w.question("11014", ""))
	ubrn := made.json["parameter"].([]any)[0].(map[string]any)["resource"].(map[string]any)["id"].(string)
	send := "/STU3/CommunicationRequest/" + ubrn + "/$ers.sendCommunicationToRequester"
	for body, code := range map[string]string{
		guidance("RETURN_TO_REFERRER_WITH_ADVICE", ""):           "VALUE_IS_REQUIRED",
		guidance("REQUIRE_FURTHER_INFORMATION", recommended):     "CONFLICTING_VALUES",
		guidance("PROVIDER_CONVERTED", ""):                       "INAPPROPRIATE_VALUE",
		guidance("LAUGH", ""):                                    "INVALID_CODE",
		guidance("REQUIRE_FURTHER_INFORMATION", `,{"name":"x"}`): "UNEXPECTED_FIELD",
	} {
		if a := consultant.post(send, body, "If-Match", `W/"1"`); a.code() != code {
			t.Errorf("%s: %d %s", code, a.status, a.body)
		}
	}
	if err := w.node.Kernel().Gate.PutUser(t.Context(), staff("stranger", access.Clinician, ident.MustODSCode("R67"))); err != nil {
		t.Fatal(err)
	}
	stranger := w.as(staff("stranger", access.Clinician, ident.MustODSCode("R67")), acting(ers.ReferringClinician, ident.MustODSCode("R67"))...)
	if a := stranger.get("/STU3/CommunicationRequest/" + ubrn); a.status/100 != 4 || strings.Contains(a.body, "9990000018") {
		t.Errorf("a stranger reads: %d %s", a.status, a.body)
	}
	referral := gp.post("/STU3/ReferralRequest/$ers.createReferral", w.createBody("9990000018", "11002"))
	number := referral.json["id"].(string)
	if a := gp.get("/STU3/CommunicationRequest/" + number); a.code() != "INVALID_REQUEST_TYPE" || a.status != http.StatusUnprocessableEntity {
		t.Errorf("a referral's number: %d %s", a.status, a.body)
	}
	if a := gp.get("/STU3/Communication?based-on=CommunicationRequest/" + number + "/_history/1"); a.code() != "INVALID_REQUEST_TYPE" || a.status != http.StatusBadRequest {
		t.Errorf("a referral's conversation: %d %s", a.status, a.body)
	}
	if a := gp.get("/STU3/ReferralRequest/" + ubrn); a.code() != "INVALID_REQUEST_TYPE" || a.status != http.StatusUnprocessableEntity {
		t.Errorf("a question read as a referral: %d %s", a.status, a.body)
	}
	if a := consultant.post("/STU3/CommunicationRequest/$ers.fetchworklist", adviceWorklist("OTHERS")); a.code() != "INVALID_CODE" {
		t.Errorf("an unknown list: %d %s", a.status, a.body)
	}
}
