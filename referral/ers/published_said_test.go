package ers_test

import (
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/referral"
	"github.com/openspine/openspine/referral/ers"
	"github.com/openspine/openspine/sim/seed/keeper"
	"github.com/openspine/openspine/sim/seed/published"
)

const (
	conversed = "/STU3/Communication?based-on=CommunicationRequest/{ubrn}/_history/{version}&_include=Communication:requester-practitionerrole:PractitionerRole&_include=Communication:sender-practitionerrole:PractionerRole&_include=Communication:content-reference:DocumentReference"
)

// talk is a conversation between a practice's clinician and another of the same organisation, as in the examples.
type talk struct {
	*stage
	a referral.Advice
}

// talks begins one, with files of those names and bytes.
func (s *stage) talks(files []referral.FileRef) *talk {
	s.t.Helper()
	s.service("11014", func(x *published.Service) { x.At = published.Practice })
	q := referral.AdviceQuestion{Patient: ident.MustNHSNumber(published.Patient), Priority: referral.Routine, Specialty: "CARDIOLOGY", ClinicType: "HEART_FAILURE", Service: "11014",
		Criteria: criteria("ROUTINE", `{"name":"ageAndGenderAppropriate","valueBoolean":true},`+strings.SplitAfterN(anywhere, "},", 2)[1]), MayConvert: true, Text: "Please advise me on this patient who ...(information about patient)", Files: files}
	s.time.Advance(time.Hour) // what is asked twice at one time is asked once
	a, err := s.node.Referrals().AskAdvice(s.t.Context(), s.byReferrer(), q)
	if err != nil {
		s.t.Fatal(err)
	}
	return &talk{s, a}
}

// answers has the service ask for more.
func (k *talk) answers(text string, files ...referral.FileRef) {
	k.t.Helper()
	k.time.Advance(time.Second)
	var err error
	k.a, err = k.node.Referrals().AnswerAdvice(k.t.Context(), asked(k.stage, k.user(published.Adviser)), k.a.UBRN, referral.Answer{Seen: k.a.Version, More: true, Text: text, Priority: referral.Routine, Files: files})
	if err != nil {
		k.t.Fatal(err)
	}
}

// says has the practice say more.
func (k *talk) says(text string) {
	k.t.Helper()
	k.time.Advance(time.Second)
	var err error
	if k.a, err = k.node.Referrals().ReplyAdvice(k.t.Context(), k.byReferrer(), k.a.UBRN, referral.AdviceReply{Seen: k.a.Version, Text: text}); err != nil {
		k.t.Fatal(err)
	}
}

// file is one that goes with an answer.
func (k *talk) file(name string) referral.FileRef {
	k.t.Helper()
	a, err := k.node.Referrals().Upload(k.t.Context(), asked(k.stage, k.user(published.Adviser)), referral.Upload{Name: name, OnBehalf: "004377014925", For: k.a.UBRN}, strings.NewReader(pdf17[:11]))
	if err != nil {
		k.t.Fatal(err)
	}
	return referral.FileRef{ID: a.ID, Description: "test xxx info"}
}

// unread is one that goes with an answer and was brought from elsewhere, where it could not be read.
func (k *talk) unread(name string, why referral.Availability) referral.FileRef {
	k.t.Helper()
	a, err := k.node.Referrals().Bring(k.t.Context(), asked(k.stage, k.user(published.Adviser)), referral.Upload{Name: name, OnBehalf: "004377014925", For: k.a.UBRN}, 11, why)
	if err != nil {
		k.t.Fatal(err)
	}
	return referral.FileRef{ID: a.ID, Description: "test xxx info"}
}

func (k *talk) read() ask {
	who := k.as(k.user(published.Adviser), acting(ers.ProviderClinician, published.Practice)...)
	return ask{who: who, method: http.MethodGet, path: conversed, about: referral.Referral{UBRN: k.a.UBRN, Version: k.a.Version}, swap: []string{"921600556514", published.Referrer, "R68", "R69", "_history/6", fmt.Sprint("_history/", k.a.Version), "_history/2", fmt.Sprint("_history/", k.a.Version)}}
}

// saidScenes are conversations with several messages, and with files.
func saidScenes() []scene {
	read := func(file, ubrn string, differs map[string]string, state func(s *stage) ask) scene {
		return scene{op: "A025", response: "stu3/retrieveAdviceAndGuidanceConversation/" + file, ubrn: ubrn, differs: differs, play: state}
	}
	question := func(file, ubrn string, differs map[string]string, names ...string) scene {
		return scene{op: "A024", response: "stu3/retrieveAdviceAndGuidanceRequest/responses/" + file, ubrn: ubrn, differs: differs, play: func(s *stage) ask {
			var list []referral.FileRef
			for _, name := range names {
				list = append(list, s.file(published.Secretary, published.Referrer, name, "upload.png", png+strings.Repeat("x", 18592-len(png)))...)
			}
			k := s.talks(list)
			return ask{who: s.referrer(), method: http.MethodGet, path: "/STU3/CommunicationRequest/{ubrn}", about: referral.Referral{UBRN: k.a.UBRN, Version: k.a.Version}, swap: []string{"103264992985", published.Referrer}}
		}}
	}
	beside := map[string]string{`(contained\[[345]\]|payload):`: "the example's files lie beside the question (REFERRER), where no operation of the API puts them; here they go with a message (ADVICE_REQUEST), as A044 sends them, and are read with it (A025)"}
	return []scene{
		read("MultiWayConversation.json", "000000070002", map[string]string{`total`: "the example counts two of its four messages"}, func(s *stage) ask {
			k := s.talks(nil)
			k.answers("Request xxx test results")
			k.says("Patient is complaining of breathing difficulties")
			k.answers("Also request yyy test results")
			return k.read()
		}),
		read("AttachmentPresentInEachDirection.json", "000000070001", nil, func(s *stage) ask {
			k := s.talks(s.file(published.Referrer, "004377014925", "testResultsA.pdf", "test results A", sixBytes))
			k.answers("Please perform xxx test and send me the results", k.file("testXXXInfo.pdf"))
			return k.read()
		}),
		read("UnavailableAttachments.json", "000000070003", nil, func(s *stage) ask {
			k := s.talks(s.unread(published.Referrer, "004377014925", "testResultsA.pdf", "test results A", 6, referral.Pending))
			k.answers("Please perform xxx test and send me the results", k.unread("testXXXInfo.pdf", referral.ThreatsFound), k.unread("moreTestXXXInfo.pdf", referral.ValidationFailed))
			return k.read()
		}),
		question("WithAttachmentFileReference.json", "000000070001", beside, "upload.png"),
		question("WithUnavailableAttachments.json", "000000070002", beside, "upload1.png", "upload2.png", "upload3.png"),
		{op: "A005", response: "stu3/retrieveReferralRequest/responses/WithUnavailableAttachments.json", ubrn: "000000070012", play: func(s *stage) ask {
			d := draft(referral.Routine, "11002")
			for name, why := range map[string]referral.Availability{"referralletter1.pdf": referral.Pending, "referralletter2.png": referral.ThreatsFound, "referralletter3.doc": referral.ValidationFailed} {
				d.Files = append(d.Files, s.unread(published.Referrer, published.Referrer, name, "referralletter "+name[len(name)-3:], 6, why)...)
			}
			return ask{who: s.referrer(), method: http.MethodGet, path: referralPath, about: s.refers(d)}
		}},
		{op: "A027", status: http.StatusCreated, request: "stu3/convertAdviceAndGuidanceToReferral/requests/WithAttachments.json", response: "stu3/convertAdviceAndGuidanceToReferral/responses/WithAttachments.json", differs: map[string]string{`contained\[1\]\.contained`: "the example has criteria a second time, contained in the shortlist, which is contained itself: FHIR forbids that (dom-2)",
			`(contained\[3\]|supportingInfo\[\d\]):`: "the example has a letter that the question had beside it"}, play: func(s *stage) ask {
			s.service("11014", func(x *published.Service) { x.At = published.Practice }) // here one organisation asks and answers
			a, err := s.node.Referrals().AskAdvice(s.t.Context(), s.byReferrer(), referral.AdviceQuestion{Patient: ident.MustNHSNumber(published.Second), Priority: referral.Routine, Specialty: "CARDIOLOGY", ClinicType: "HEART_FAILURE", Service: "11014",
				Criteria: criteria("ROUTINE", nearLeeds), MayConvert: true, Text: "May I refer him, with this?", Files: s.unread(published.Secretary, "", "advice.png", "advice png", 6, referral.Pending)})
			if err != nil {
				s.t.Fatal(err)
			}
			who := s.user(published.Adviser)
			swap := []string{"000000070000", a.UBRN.String()}
			for was, name := range map[string]string{"badaf6fc-90f4-411d-999f-04ccd79fa166": "InitialMedication.pdf", "38dc19ab-893f-47ca-8db0-2d0a07c0e387": "ReferralLetter.pdf"} {
				f, err := s.node.Referrals().Upload(s.t.Context(), asked(s, who), referral.Upload{Name: name, For: a.UBRN}, strings.NewReader(pdf17[:17]))
				if err != nil {
					s.t.Fatal(err)
				}
				swap = append(swap, was, f.ID)
			}
			return ask{who: s.as(who, acting(ers.ProviderClinician, published.Practice)...), method: http.MethodPost, path: "/STU3/ReferralRequest/$ers.createFromCommunicationRequestActionLater", about: referral.Referral{UBRN: a.UBRN, Version: a.Version}, swap: swap}
		}},
	}
}

// systemScenes are bookings at a hospital whose own system does not answer, or answers with an error.
func systemScenes() []scene {
	of := func(file string, status int, how int32) scene {
		return scene{op: "A016", request: "stu3/bookOrDeferAppointment/requests/MinimalBooking.json", response: "stu3/" + file, status: status, play: func(s *stage) ask {
			slot := slotID(s.slotThere())
			r := s.refers(draft(referral.Routine, keeper.Service))
			s.keeps().how.Store(how)
			return ask{who: s.referrer(), method: http.MethodPost, path: "/STU3/Appointment", about: r, swap: []string{"11000021", slot, `"11000"`, `"` + keeper.Service + `"`}}
		}}
	}
	return []scene{of("PasNotRespondingOperationOutcome.json", http.StatusGatewayTimeout, silent), of("PasRespondedWithErrorOperationOutcome.json", http.StatusBadGateway, broken)}
}

// outcomeScenes are what every operation refuses in the same way.
func outcomeScenes() []scene {
	of := func(file string, status int, method, path, body string, who func(s *stage) *caller, headers ...string) scene {
		return scene{op: "errors", response: file, status: status, play: func(s *stage) ask {
			return ask{who: who(s), method: method, path: path, body: body, headers: headers}
		}}
	}
	nobody := func(s *stage) *caller { return &caller{world: s.world} }
	king := func(s *stage) *caller { return s.as(s.user(published.Referrer), acting("KING", published.Practice)...) }
	program := func(s *stage) *caller {
		return s.as(access.User{Principal: access.Principal{ID: "pas", Name: "A program", Role: access.SystemClient, Organisation: published.Provider}})
	}
	whole := func(file string, status int, path string) scene {
		return of(file, status, http.MethodGet, path, "", func(s *stage) *caller { return s.whole(fmt.Sprint(status)) })
	}
	const parameters = `{"resourceType":"Parameters","meta":{"profile":["https://fhir.nhs.uk/STU3/StructureDefinition/eRS-FetchWorklist-Parameters-1"]},"parameter":[{"name":"unknownParameter","valueString":"x"}]}`
	rc := (*stage).referrer
	return []scene{
		of("stu3/STU3-Unauthorised.json", http.StatusUnauthorized, http.MethodGet, "/STU3/CodeSystem/PRIORITY", "", nobody),
		of("stu3/STU3-Forbidden.json", http.StatusForbidden, http.MethodGet, "/STU3/CodeSystem/PRIORITY", "", king),
		of("stu3/STU3-OperationOutcome.json", http.StatusUnprocessableEntity, http.MethodPost, "/STU3/ReferralRequest/$ers.fetchworklist", parameters, rc),
		of("r4/NHSDigital-OperationOutcome-400.json", http.StatusBadRequest, http.MethodGet, "/R4/ServiceRequest?identifier=nothing", "", rc),
		of("r4/NHSDigital-OperationOutcome-401.json", http.StatusUnauthorized, http.MethodGet, "/R4/PractitionerRole", "", nobody),
		of("r4/NHSDigital-OperationOutcome-403.json", http.StatusForbidden, http.MethodGet, "/R4/PractitionerRole", "", program),
		of("r4/NHSDigital-OperationOutcome-406.json", http.StatusNotAcceptable, http.MethodGet, "/R4/PractitionerRole", "", rc, "Accept", "application/fhir+xml"),
		whole("stu3/STU3-ServiceUnavailable.json", http.StatusServiceUnavailable, "/STU3/CodeSystem/PRIORITY"), whole("r4/NHSDigital-OperationOutcome-503.json", http.StatusServiceUnavailable, "/R4/PractitionerRole"),
		whole("r4/NHSDigital-OperationOutcome-429.json", http.StatusTooManyRequests, "/R4/PractitionerRole"), whole("r4/NHSDigital-OperationOutcome-500.json", http.StatusInternalServerError, "/R4/PractitionerRole"),
		{op: "errors", response: "r4/NHSDigital-OperationOutcome-422.json", status: http.StatusUnprocessableEntity, play: func(s *stage) ask {
			d := draft(referral.Routine, "11002")
			d.Files = s.unread(published.Referrer, "", "referralletter.pdf", "", 6, referral.Pending)
			s.refers(d)
			return ask{who: s.referrer(), method: http.MethodGet, path: "/R4/Binary/" + d.Files[0].ID}
		}},
		of("r4/NHSDigital-OperationOutcome-404.json", http.StatusNotFound, http.MethodGet, "/R4/HealthcareService/99999", "", rc),
	}
}

// unplayed are the examples that no scene plays, with the reason.
func unplayed() map[string]string {
	const placeholders = "it has Service Name, Specialty Name and NacCode in the place of a service's"
	return map[string]string{
		"stu3/STU3-SandboxErrorOutcome.json": "the sandbox says it of itself", "r4/R4-SandboxErrorOutcome.json": "the sandbox says it of itself",
		"r4/NHSDigital-OperationOutcome-415.json":                                    "no R4 operation takes a body",
		"stu3/retrieveReferralRequest/responses/ConvertedFromAdviceAndGuidance.json": "TestTheDemonstrationAnswersAsPublished plays it",
		"stu3/patientServiceSearch/responses/TriageAndAppointmentRequestType.json":   placeholders, "stu3/patientServiceSearch/responses/WithIndicativeAppointmentWaitTime.json": placeholders,
		"stu3/retrieveAdviceAndGuidanceConversation/AttachmentUploadedFromRCS.json": "there is no operation by which a referrer adds a file to a question that is asked; they send it with a message",
	}
}

// everyExample holds the scenes to the examples: each response is played, or has a reason not to be.
func everyExample(t *testing.T, scenes []scene) {
	t.Helper()
	played := map[string]bool{}
	for _, c := range scenes {
		played[c.response] = true
	}
	all := 0
	err := fs.WalkDir(os.DirFS(filepath.FromSlash(examples)), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".json" || strings.Contains(path, "/requests/") {
			return err
		}
		all++
		if (unplayed()[path] == "") != played[path] {
			t.Errorf("%s is played: %v; the reason not to: %q", path, played[path], unplayed()[path])
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for path, why := range unplayed() {
		t.Logf("not played: %s: %s", path, why)
	}
	t.Logf("%d responses are published, %d are not played", all, len(unplayed()))
}
