package ers_test

import (
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/referral"
	"github.com/openspine/openspine/referral/ers"
	"github.com/openspine/openspine/sim/seed/published"
)

var began = time.Date(2024, 5, 1, 9, 55, 0, 0, time.UTC)

// triageScenes are referrals that a service reads first.
func triageScenes() []scene {
	create := func(request, response string, who func(s *stage) *caller, differs map[string]string) scene {
		return scene{op: "A021", request: "stu3/createReferralAndSendForTriage/requests/" + request, response: "stu3/createReferralAndSendForTriage/responses/" + response, status: http.StatusCreated, differs: differs, play: func(s *stage) ask {
			return ask{who: who(s), method: http.MethodPost, path: "/STU3/ReferralRequest/$ers.createReferralAndSendForTriage"}
		}}
	}
	record := func(file string, differs map[string]string) scene {
		return scene{op: "A028", request: "stu3/recordTriageOutcome/requests/" + file, response: "stu3/recordTriageOutcome/responses/" + file, differs: differs, play: func(s *stage) ask {
			service := "11010"
			if file == "ReturnToReferrerWithAdvice.json" {
				service = "11115"
			}
			d, who := draft(referral.Routine, service), s.reviewer()
			d.Patient, d.PathwayStart, d.Files = ident.MustNHSNumber(published.Second), began, s.file(published.Secretary, "", "upload.png", "upload png", png)
			provider := true
			if file == "AttachmentIncluded.json" { // here one organisation refers and provides
				s.service(service, func(x *published.Service) { x.At = published.Practice })
				d.Files = s.unread(published.Secretary, "", "upload.png", "upload png", 6, referral.Pending)
				who, provider = s.as(s.user(published.Referrer), acting(ers.ProviderClinician, published.Practice)...), false
			}
			r := s.does(s.byReferrer(), s.refers(d), referral.Work{Kind: referral.ActSendTriage, Service: service})
			return ask{who: who, method: http.MethodPost, path: referralPath + "/$ers.recordReviewOutcome", about: r, swap: s.swapped("a7c98bb4-c0d0-4094-b26d-8dbd1677edc8", r.UBRN, provider, "ConditionDetails.pdf", pdf17)}
		}}
	}
	const states = "the example calls a referral that goes back accepted: elsewhere (A029, A038) it is TRIAGE_RESPONSE"
	return []scene{
		create("Parameters.json", "ReferralRequest.json", (*stage).referrer, nil),
		create("ParametersWithNamedClinician.json", "ReferralRequestWithNamedClinician.json", (*stage).secretary, nil),
		record("AcceptReferBookLater.json", nil),
		record("ReturnToReferrerWithAdvice.json", map[string]string{`extension\[\d\]\.extension`: states}),
		record("AttachmentIncluded.json", map[string]string{`extension\[\d\]\.extension`: states, `extension\[\d\]\.valueCodeableConcept.*display`: "the example calls the priority ROUTINE, and every other one calls it Routine"}),
		{op: "A032", request: "stu3/changeShortlistAndSendForTriage/requests/MinimalRequest.json", response: "stu3/changeShortlistAndSendForTriage/responses/MinimalRequest.json", differs: nil, play: func(s *stage) ask {
			d := draft(referral.Routine, "11000")
			d.PathwayStart, d.Requirements, d.Files = began, []string{"INTERPRETER"}, s.file(published.Secretary, "021600556111", "sample-txt-attachment-2.0.0.txt", "Description for TXT File", "text")
			r := s.does(s.byReferrer(), s.refers(d), referral.Work{Kind: referral.ActLetter, Letter: "more"})
			return ask{who: s.referrer(), method: http.MethodPost, path: referralPath + "/$ers.changeShortlistAndSendForTriage", about: r}
		}},
	}
}

const pdf17 = "%PDF-1.7 of a kind"

// swapped uploads a file for a request and says in place of which id of the example it stands.
func (s *stage) swapped(was string, u ident.UBRN, provider bool, name, body string) []string {
	s.t.Helper()
	who := s.byReferrer()
	if provider {
		who = s.byReviewer()
	}
	a, err := s.node.Referrals().Upload(s.t.Context(), who, referral.Upload{Name: name, For: u}, strings.NewReader(body[:min(17, len(body))]))
	if err != nil {
		s.t.Fatal(err)
	}
	return []string{was, a.ID}
}

// lettersScenes are files that a referrer sends.
func lettersScenes() []scene {
	of := func(request, response, ubrn string, differs map[string]string, state func(s *stage, r referral.Referral) (referral.Referral, []string)) scene {
		return scene{op: "A012", ubrn: ubrn, request: "stu3/maintainReferralLetter/requests/" + request, response: "stu3/maintainReferralLetter/responses/" + response, differs: differs, play: func(s *stage) ask {
			r, swap := state(s, s.refers(draft(referral.Routine, "11002")))
			return ask{who: s.referrer(), method: http.MethodPost, path: referralPath + "/$ers.maintainReferralLetter", about: r, swap: append(swap, "99120038881", published.Patient)}
		}}
	}
	const one, two = "e1015896-92f4-4073-ad3c-5f30fca76448", "50f0c0d5-7ed1-4587-8fce-889c8685eb54"
	earlier := func(s *stage, r referral.Referral) referral.Referral {
		return s.does(s.byReferrer(), r, referral.Work{Kind: referral.ActLetter, Letter: "as I said"})
	}
	return []scene{
		of("SingleDocumentReference.json", "ReferralRequestWithSingleDocumentReference.json", "000000070000", nil, func(s *stage, r referral.Referral) (referral.Referral, []string) {
			return r, s.swapped(two, r.UBRN, false, "testResults.pdf", pdf17)
		}),
		of("MultipleDocumentReferences.json", "ReferralRequestWithMultipleDocumentReferences.json", "000000070001", map[string]string{`contained\[\d\]\.content.*contentType`: "the example's PNG is said to be a PDF"},
			func(s *stage, r referral.Referral) (referral.Referral, []string) {
				r = earlier(s, r)
				return r, append(s.swapped(two, r.UBRN, false, "testResult2.pdf", pdf17), s.swapped(one, r.UBRN, false, "testResult1.png", png)...)
			}),
		of("UpdateClinicalInfo.json", "ReferralRequestWithUpdatedDocumentReferences.json", "000000070001", nil, func(s *stage, r referral.Referral) (referral.Referral, []string) {
			r = earlier(s, r)
			return r, s.swapped(two, r.UBRN, false, "testResult2.pdf", pdf17)
		}),
	}
}

// asks asks a service for advice.
func (s *stage) asks(patient, more string, may bool, text string) referral.Advice {
	s.t.Helper()
	a, err := s.node.Referrals().AskAdvice(s.t.Context(), s.byReferrer(), referral.AdviceQuestion{Patient: ident.MustNHSNumber(patient), Priority: referral.Routine, Specialty: "CARDIOLOGY", ClinicType: "HEART_FAILURE", Service: "11014",
		Criteria: criteria("ROUTINE", more), MayConvert: may, Text: text})
	if err != nil {
		s.t.Fatal(err)
	}
	return a
}

// adviceScenes are questions for advice. In the examples one clinician of one organisation both asks and answers under several ids; here a practice asks and a hospital answers.
func adviceScenes() []scene {
	const request = "/STU3/CommunicationRequest/"
	people := []string{"103264994981.R69", published.Reviewer + ".R68", "103264994981", published.Reviewer, "103264992985", published.Referrer}
	about := func(a referral.Advice) referral.Referral { return referral.Referral{UBRN: a.UBRN, Version: a.Version} }
	answer := func(file string, differs map[string]string) scene {
		return scene{op: "A026", request: "stu3/sendAdviceAndGuidanceResponse/requests/" + file, response: "stu3/sendAdviceAndGuidanceResponse/responses/" + file, differs: differs, play: func(s *stage) ask {
			s.service("11014", func(x *published.Service) { x.At = published.Practice }) // here one organisation asks and answers
			a := s.asks(published.Third, nearLeeds, false, "Please advise: "+file)
			who := s.user(published.Adviser)
			upload, err := s.node.Referrals().Upload(s.t.Context(), asked(s, who), referral.Upload{Name: "TreatmentSpecification.pdf", For: a.UBRN}, strings.NewReader(pdf17[:17]))
			if err != nil {
				s.t.Fatal(err)
			}
			return ask{who: s.as(who, acting(ers.ProviderClinician, published.Practice)...), method: http.MethodPost, path: request + "{ubrn}/$ers.sendCommunicationToRequester", about: about(a),
				swap: []string{"103264992985", published.Referrer, "19eb7224-dff3-4730-a5cb-67eac811f1a5", upload.ID}}
		}}
	}
	return []scene{
		{op: "A023", request: "stu3/retrieveAdviceAndGuidanceWorklist/requests/MinimalAdviceAndGuidanceRequests.json", response: "stu3/retrieveAdviceAndGuidanceWorklist/responses/AdviceAndGuidanceRequests.json", play: func(s *stage) ask {
			first, second := s.asks(published.Second, nearLeeds, true, "What do you advise?"), s.asks(published.Third, nearLeeds, true, "And of her?")
			w := referral.Answer{Seen: 1, More: true, Text: "How long?", Priority: referral.TwoWeekWait}
			if _, err := s.node.Referrals().AnswerAdvice(s.t.Context(), s.byReviewer(), second.UBRN, w); err != nil {
				s.t.Fatal(err)
			}
			return ask{who: s.reviewer(), method: http.MethodPost, path: request + "$ers.fetchworklist", swap: []string{"000000070000", first.UBRN.String(), "000000070002", second.UBRN.String(), published.Reviewer, published.Referrer}}
		}},
		{op: "A044", request: "stu3/createAdviceAndGuidance/requests/ExampleRCWithoutAttachments.json", response: "stu3/createAdviceAndGuidance/responses/ExampleRCWithoutAttachments.json",
			differs: map[string]string{`parameter\[1\]\.resource\.note`: "the example leaves out the last sign of what was asked"}, play: func(s *stage) ask {
				return ask{who: s.referrer(), method: http.MethodPost, path: request + "$ers.createAdviceAndGuidance", swap: people}
			}},
		{op: "A044", request: "stu3/createAdviceAndGuidance/requests/ExampleRCAWithAttachments.json", response: "stu3/createAdviceAndGuidance/responses/ExampleRCAWithAttachments.json",
			differs: map[string]string{`parameter\[1\]\.resource\.note`: "as above", `parameter\[1\]\.resource\.contained\[\d\]\.(description|type)`: "the example's file has another description than its request, and its type no words"}, play: func(s *stage) ask {
				f := s.file(published.Secretary, published.Referrer, "advice_attachment.txt", "", "twenty-three bytes long")
				return ask{who: s.secretary(), method: http.MethodPost, path: request + "$ers.createAdviceAndGuidance", swap: []string{"e1015896-92f4-4073-ad3c-5f30fca76448", f[0].ID}}
			}},
		{op: "A024", response: "stu3/retrieveAdviceAndGuidanceRequest/responses/MinimalExample.json", play: func(s *stage) ask {
			a := s.asks(published.Patient, `{"name":"ageAndGenderAppropriate","valueBoolean":true},`+strings.SplitAfterN(anywhere, "},", 2)[1], true, "Please advise")
			return ask{who: s.referrer(), method: http.MethodGet, path: request + "{ubrn}", about: about(a), swap: []string{published.Reviewer, published.Referrer, "R68", "R69"}}
		}},
		{op: "A025", response: "stu3/retrieveAdviceAndGuidanceConversation/SingleMessageFromReferrer.json", play: func(s *stage) ask {
			a := s.asks(published.Patient, nearLeeds, true, "Please advise me on this patient who ...(information about patient)")
			return ask{who: s.referrer(), method: http.MethodGet, about: about(a), swap: people,
				path: "/STU3/Communication?based-on=CommunicationRequest/{ubrn}/_history/{version}&_include=Communication:requester-practitionerrole:PractitionerRole&_include=Communication:sender-practitionerrole:PractionerRole&_include=Communication:content-reference:DocumentReference"}
		}},
		{op: "A025", response: "stu3/retrieveAdviceAndGuidanceConversation/OneMessageEachWay.json", play: func(s *stage) ask {
			s.service("11014", func(x *published.Service) { x.At = published.Practice }) // here one clinician of one organisation asks and answers
			a := s.asks(published.Patient, nearLeeds, true, "Please advise me on this patient who ...(information about patient)")
			w := referral.Answer{Seen: a.Version, More: true, Text: "Please perform xxx test and send me the results", Priority: referral.Routine}
			s.time.Advance(time.Second)
			a, err := s.node.Referrals().AnswerAdvice(s.t.Context(), s.byReferrer(), a.UBRN, w)
			if err != nil {
				s.t.Fatal(err)
			}
			who := s.as(s.user(published.Adviser), acting(ers.ProviderClinician, published.Practice)...)
			return ask{who: who, method: http.MethodGet, about: about(a), swap: []string{"R68", "R69", `"11000"`, `"11014"`},
				path: "/STU3/Communication?based-on=CommunicationRequest/{ubrn}/_history/{version}&_include=Communication:requester-practitionerrole:PractitionerRole&_include=Communication:sender-practitionerrole:PractionerRole&_include=Communication:content-reference:DocumentReference"}
		}},
		answer("RequireFurtherInformation.json", nil),
		answer("ReturnToReferrerWithAdvice.json", nil),
		answer("AttachmentIncluded.json", nil),
		{op: "A027", status: http.StatusCreated, request: "stu3/convertAdviceAndGuidanceToReferral/requests/NoAttachments.json", response: "stu3/convertAdviceAndGuidanceToReferral/responses/NoAttachments.json",
			play: func(s *stage) ask {
				s.service("11014", func(x *published.Service) { x.At = published.Practice }) // here one organisation asks and answers
				a := s.asks(published.Second, nearLeeds, true, "May I refer her?")
				who := s.as(s.user(published.Adviser), acting(ers.ProviderClinician, published.Practice)...)
				return ask{who: who, method: http.MethodPost, path: "/STU3/ReferralRequest/$ers.createFromCommunicationRequestActionLater", about: about(a), swap: []string{"000000070000", a.UBRN.String(), "103264992985", published.Referrer}}
			}},
	}
}

// adminScenes are for whom an administrator may act.
func adminScenes() []scene {
	return []scene{{op: "A040", response: "r4/retrieveOboUsers/responses/PractitionerBundle.json", play: func(s *stage) ask {
		who := s.as(s.user(published.SiteClerk), acting("SERVICE_PROVIDER_CLINICIAN_ADMIN", published.Site)...)
		return ask{who: who, method: http.MethodGet, path: "/R4/Practitioner?_query=onBehalfOf"}
	}}}
}

// fileRows are the operations whose answers are files: what was uploaded comes back byte for byte; what is drawn here has the published headers.
func (s *stage) fileRows(by map[string]*tally) {
	sent := example(s.t, "stu3/retrieveAttachment/responses/example_attachment.pdf")
	r := s.refers(draft(referral.Routine, "11002"))
	a := s.asks(published.Patient, nearLeeds, true, "What would you do?")
	row := func(op string, ok bool, got answer, because string) {
		by[op] = &tally{tested: 1}
		switch {
		case !ok:
			s.t.Errorf("%s: %d %v %.200s", op, got.status, got.header, got.body)
		case because != "":
			by[op].because = []string{because}
		default:
			by[op].equal = 1
		}
	}
	upload := example(s.t, "stu3/uploadFileToDocumentStore/requests/upload.txt")
	got := s.referrer().do(http.MethodPost, "/STU3/Binary", upload, "Content-Type", "text/plain", "NHSD-eRS-File-Name", "upload.txt")
	row("A020", got.status == http.StatusCreated && regexp.MustCompile(`^Binary/[0-9a-f-]{36}$`).MatchString(got.header.Get("Location")) && got.body == "", got, "")
	pdf := s.referrer().uploaded("example_attachment.pdf", "application/pdf", sent, r.UBRN.String())
	s.does(s.byReferrer(), r, referral.Work{Kind: referral.ActLetter, Files: []referral.FileRef{{ID: strings.TrimPrefix(pdf, "Binary/")}}})
	got = s.referrer().get("/STU3/" + pdf)
	row("A006", got.status == http.StatusOK && got.body == sent && got.header.Get("Content-Type") == "application/pdf" && strings.Contains(got.header.Get("Content-Disposition"), "example_attachment.pdf"), got, "")
	got = s.referrer().get("/R4/" + pdf) // the client follows the redirect
	row("A042", got.status == http.StatusOK && got.body == sent, got, "")
	drawn := func(op, path, name string) {
		got := s.referrer().post(path, "")
		form := regexp.MustCompile(`^attachment; filename="[0-9]{12}_` + name + `_[0-9]{14}\.pdf"$`)
		row(op, got.status == http.StatusOK && got.header.Get("Content-Type") == "application/pdf" && form.MatchString(got.header.Get("Content-Disposition")) && strings.HasPrefix(got.body, "%PDF-"), got, "the headers are as published; the page is drawn in a way of our own")
	}
	drawn("A007", "/STU3/ReferralRequest/"+r.UBRN.String()+"/$ers.generateCRI", "Clinical_Information_Summary")
	drawn("A019", "/STU3/ReferralRequest/"+r.UBRN.String()+"/$ers.generatePatientLetter", "Appointment_Request_Summary")
	drawn("A043", "/STU3/CommunicationRequest/"+a.UBRN.String()+"/$ers.generateCRI", "Advice_And_Guidance")
}
