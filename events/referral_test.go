package events_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/store"
)

// surgery is a practice that refers people.
var surgery = ident.MustODSCode("R69")

// staff is somebody who acts in referrals, by the published e-RS API.
func (w *world) staff(id string, at ident.ODSCode) *caller {
	w.t.Helper()
	return w.as(access.Principal{ID: id, Name: "Dr " + id, Role: access.Clinician, Organisation: at, Assurance: "AAL2"})
}

// refers prepares a practice, a hospital with a service that has no free slot, and a patient of the practice.
func (w *world) refers(number string) {
	w.t.Helper()
	const ods = `"system":"https://fhir.nhs.uk/Id/ods-organization-code","value":"RZ901"`
	w.load(person(number, "Marsh", ""), `{"resourceType":"Organization","id":"RZ901","identifier":[{`+ods+`}],"active":true,"name":"A hospital"}`,
		`{"resourceType":"HealthcareService","id":"11002","active":true,"providedBy":{"identifier":{`+ods+`}},"name":"Cardiology"}`)
	k := w.node.Kernel()
	for id, at := range map[string]ident.ODSCode{"gp": surgery, "consultant": hospital} {
		if err := k.Gate.PutUser(w.t.Context(), access.User{Principal: access.Principal{ID: id, Name: "Dr " + id, Role: access.Clinician, Organisation: at, Assurance: "AAL2"}}); err != nil {
			w.t.Fatal(err)
		}
	}
	err := k.DB.Write(w.t.Context(), []store.Lane{k.Gate.Lane(k.National, number)}, func(tx *store.Tx) error {
		return k.Gate.Relate(tx, access.Relationship{Tenant: k.National, Chart: number, Organisation: surgery, Kind: access.KindRegistered, Basis: "registered", By: "test"})
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// ers calls the e-RS API as somebody's business function.
func (c *caller) ers(function string, at ident.ODSCode, path, body string, version int) *answered {
	c.t.Helper()
	return c.do(http.MethodPost, c.srv.URL+"/referrals/FHIR/STU3"+path, body, "NHSD-eRS-Business-Function", function, "NHSD-End-User-Organisation-ODS", at.String(), "If-Match", fmt.Sprintf(`W/"%d"`, version))
}

// refer makes a referral to the hospital's service and returns its UBRN.
func (w *world) refer(number string) string {
	w.t.Helper()
	const at = "https://fhir.nhs.uk/STU3/"
	made := w.staff("gp", surgery).ers("REFERRING_CLINICIAN", surgery, "/ReferralRequest/$ers.createReferral", `{"resourceType":"Parameters","meta":{"profile":["`+at+`StructureDefinition/eRS-CreateReferral-Parameters-1"]},"parameter":[
		{"name":"patient","valueIdentifier":{"system":"http://fhir.nhs.net/Id/nhs-number","value":"`+number+`"}},
		{"name":"intentionToAddReferralLetter","valueCoding":{"system":"`+at+`CodeSystem/eRS-ReferralLetterIntention-1","code":"NEED_TO_ADD_LATER"}},
		{"name":"firstReminderLetterFollowUpDays","valueUnsignedInt":0},
		{"name":"shortlist","resource":{"meta":{"profile":["`+at+`StructureDefinition/eRS-Shortlist-List-1"]},"resourceType":"List","status":"current","mode":"snapshot",
			"contained":[{"resourceType":"Parameters","meta":{"profile":["`+at+`StructureDefinition/eRS-ServiceSearchCriteria-Parameters-1"]},"id":"C1","parameter":[
				{"name":"priority","valueCoding":{"system":"`+at+`CodeSystem/eRS-Priority-1","code":"URGENT"}},
				{"name":"specialty","valueCoding":{"system":"`+w.srv.URL+`/referrals/FHIR/STU3/CodeSystem/SPECIALTY","code":"CARDIOLOGY"}},
				{"name":"clinicType","valueCoding":{"system":"`+at+`CodeSystem/eRS-ClinicType-1","code":"HEART_FAILURE"}},
				{"name":"ageAndGenderAppropriate","valueBoolean":false}]}],
			"entry":[{"item":{"identifier":{"system":"http://fhir.nhs.net/Id/ers-service","value":"11002"}}}],
			"extension":[{"url":"`+at+`StructureDefinition/Extension-eRS-Shortlist-SearchCriteria-1","valueReference":{"reference":"#C1"}}]}}]}`, 0).want(http.StatusCreated).json()
	return made["id"].(string)
}

// put hands the referral to the hospital, which finds a date: there is no free slot.
func (w *world) put(ubrn, number string) {
	w.t.Helper()
	const at = "https://fhir.nhs.uk/STU3/"
	w.staff("gp", surgery).ers("REFERRING_CLINICIAN", surgery, "/Appointment", `{"id":"appointment","meta":{"profile":["`+at+`StructureDefinition/eRS-Appointment-1"]},"language":"en","resourceType":"Appointment","description":"e-Referral Appointment",
		"incomingReferral":[{"reference":"ReferralRequest/`+ubrn+`/_history/1"}],"status":"proposed","reason":[{"coding":[{"system":"`+at+`CodeSystem/eRS-ReviewReason-1","code":"NO_SLOTS_AT_SERVICE"}]}],"comment":"None",
		"participant":[{"actor":{"identifier":{"system":"http://fhir.nhs.net/Id/ers-service","value":"11002"}},"status":"accepted"},{"actor":{"identifier":{"system":"http://fhir.nhs.net/Id/nhs-number","value":"`+number+`"}},"status":"accepted"}]}`, 0).want(http.StatusCreated)
}

// accept is the hospital's, and reject too.
func (w *world) accept(ubrn string) {
	w.t.Helper()
	w.staff("consultant", hospital).ers("SERVICE_PROVIDER_CLINICIAN", hospital, "/ReferralRequest/"+ubrn+"/$ers.acceptReferral", "", 2).want(http.StatusOK)
}

func (w *world) reject(ubrn string) {
	w.t.Helper()
	w.staff("consultant", hospital).ers("SERVICE_PROVIDER_CLINICIAN", hospital, "/ReferralRequest/"+ubrn+"/$ers.rejectReferral", `{"meta":{"profile":["https://fhir.nhs.uk/STU3/StructureDefinition/eRS-RejectReferral-Parameters-1"]},"resourceType":"Parameters","parameter":[
		{"name":"rejectionReason","valueCoding":{"system":"`+w.srv.URL+`/referrals/FHIR/STU3/CodeSystem/APPOINTMENT-CANCELLATION-REASON","code":"SERVICE_INAPPROPRIATE"}}]}`, 3).want(http.StatusOK)
}

// Each change of a referral is told once to whose business it is, whatever the node and the subscriber go through meanwhile, and says nothing of why anybody was referred.
func TestEachChangeOfAReferralIsTold(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		const number, kind = "9990000018", "ers-referral-change-1"
		w.refers(number)
		w.mailbox("RZ9HC001", hospital)
		narrow := program("narrow", hospital)
		narrow.Scopes = []string{"system/Patient.read"}
		for path, who := range map[string]*caller{"/hospital": w.system(), "/practice": w.as(program("surgery", surgery)), "/nation": w.registrar(),
			"/stranger": w.as(program("other", ident.MustODSCode("RZ902"))), "/narrow": w.as(narrow)} {
			who.subscribe("eventType="+kind, path, "application/json")
		}
		w.as(program("triage", hospital)).subscribe("eventType='"+kind+"' AND referralstate='REJECTED' AND performingOrganisationODS='RZ901'", "/rejected", "application/json")
		w.system().do("POST", "/subscriptions", body("eventType="+kind, "mesh://RZ9HC001?workflow_id=REFERRALS", "application/json")).want(201)
		w.time.Advance(time.Millisecond)

		messages := map[string]string{} // by subscriber and version, the message that told
		take := func() {
			for _, one := range w.there.calls() {
				var version int
				if _, rest, ok := strings.Cut(one.body, `"versionid":"W/\"`); !ok {
					t.Fatalf("%+v", one)
				} else if _, err := fmt.Sscanf(rest, "%d", &version); err != nil {
					t.Fatal(err)
				}
				key, message := fmt.Sprint(one.path, " ", version), one.header.Get("X-Openspine-Message")
				if was, twice := messages[key]; twice && was != message {
					t.Errorf("%s in two messages", key)
				}
				messages[key] = message
				for _, secret := range []string{"11002", "Cardiology", "RZ901", "R69", "REJECTED", "SERVICE_INAPPROPRIATE", "Marsh", "URGENT"} {
					if strings.Contains(one.body, secret) {
						t.Errorf("an event says %s: %s", secret, one.body)
					}
				}
			}
		}
		ubrn := w.refer(number)
		w.job("events")
		w.restart()
		w.put(ubrn, number)
		w.there.answer(http.StatusServiceUnavailable)
		w.settle()
		w.accept(ubrn)
		w.settle()
		w.reject(ubrn)
		w.restart()
		w.there.answer(http.StatusOK)
		for range 3 {
			w.time.Advance(time.Hour)
			w.settle()
			take()
		}
		want := []string{"/hospital 2", "/hospital 3", "/hospital 4", "/nation 1", "/nation 2", "/nation 3", "/nation 4", "/practice 1", "/practice 2", "/practice 3", "/practice 4", "/rejected 4"}
		got := []string{}
		for key := range messages {
			got = append(got, key)
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("told: %v\nwant: %v", got, want)
		}
		mail, _, err := w.node.Kernel().Post().Search(t.Context(), messaging.Query{Workflow: "REFERRALS"})
		if err != nil || len(mail) != 3 {
			t.Errorf("in the mailbox: %d %v", len(mail), err)
		}
		for _, it := range mail {
			if it.State != messaging.Handled {
				t.Errorf("%s is %s", it.ID, it.State)
			}
		}
	})
}

// Of somebody who is hidden nobody is told that they were referred, but the nation's own programs: others may not see it.
func TestAReferralOfARestrictedPersonIsNotTold(t *testing.T) {
	w := newWorld(t, "")
	const number, kind = "9990000018", "ers-referral-change-1"
	w.refers(number)
	w.system().subscribe("eventType="+kind, "/hospital", "application/json")
	w.registrar().subscribe("eventType="+kind, "/nation", "application/json")
	w.registrar().subscribe("eventType='"+kind+"' AND performingOrganisationODS='RZ901'", "/where", "application/json")
	w.time.Advance(time.Millisecond)
	w.put(w.refer(number), number)
	w.load(person(number, "Marsh", restricted)) // before anybody was told
	w.settle()
	got := w.there.calls()
	if len(got) != 2 || got[0].path != "/nation" || got[1].path != "/nation" {
		t.Errorf("told: %+v", got)
	}
}
