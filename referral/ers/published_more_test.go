package ers_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/referral"
	"github.com/openspine/openspine/referral/ers"
	"github.com/openspine/openspine/sim/seed/published"
)

// worklistScenes play the worklists, each of which holds what the scenes before it have brought there: they come first.
func worklistScenes() []scene {
	two := map[string]referral.Referral{}
	list := func(request, response string, provider bool, differs map[string]string, state func(s *stage)) scene {
		return scene{op: "A008", request: "stu3/retrieveWorklist/requests/" + request, response: "stu3/retrieveWorklist/responses/" + response, differs: differs, play: func(s *stage) ask {
			state(s)
			a := ask{who: s.referrer(), method: http.MethodPost, path: "/STU3/ReferralRequest/$ers.fetchworklist"}
			if provider {
				a.who = s.reviewer()
			}
			a.swap = []string{"9312201101", published.Patient} // whose check digit is wrong
			for was, r := range two {
				a.swap = append(a.swap, was, r.UBRN.String())
			}
			return a
		}}
	}
	now := func(first, second referral.Referral) {
		clear(two)
		two["000000070000"], two["000000070001"] = first, second
	}
	knee := func(s *stage, patient string) referral.Draft {
		d := draft(referral.Routine, "11003")
		d.Patient, d.Specialty, d.ClinicType = ident.MustNHSNumber(patient), "ORTHAPEDICS", "KNEE"
		return d
	}
	heart := func(s *stage, patient, service string) referral.Draft {
		d := draft(referral.Routine, service)
		d.Patient = ident.MustNHSNumber(patient)
		d.Files = s.file(published.Referrer, "", "referralletter.pdf", "", sixBytes)
		return d
	}
	clinic := func(s *stage, r referral.Referral, service string) referral.Referral {
		s.slots(service, published.Referrer, 1)
		s.until(func() bool { return len(s.free(service)) > 0 })
		return s.booked(r, service)
	}
	var booked, second referral.Referral
	return []scene{
		list("MinimalAwaitingBooking.json", "AwaitingBooking.json", false, nil, func(s *stage) {
			r := s.does(s.byReferrer(), s.booked(s.refers(knee(s, published.Third)), "11003"), referral.Work{Kind: referral.ActCancelBy, Reason: "PATIENT_HOLIDAY"})
			s.time.Advance(time.Second)
			now(r, s.refers(knee(s, published.Third)))
		}),
		list("MinimalRejectedTriageResponse.json", "RejectedTriageResponse.json", false, nil, func(s *stage) {
			triage := s.does(s.byReferrer(), s.refers(knee(s, published.Third)), referral.Work{Kind: referral.ActSendTriage, Service: "11003"})
			triage = s.does(s.byReviewer(), triage, referral.Work{Kind: referral.ActTriageReturn, Comment: "see advice"})
			back := s.does(s.byReviewer(), s.booked(s.refers(knee(s, published.Third)), "11003"), referral.Work{Kind: referral.ActReject, Reason: "FURTHER_INFORMATION_REQUIRED"})
			now(triage, back)
		}),
		list("MinimalLettersOutstanding.json", "LettersOutstanding.json", false, nil, func(s *stage) {
			due := func(by string, d referral.Draft) referral.Referral {
				d.LetterDue = s.time.Now()
				s.next++
				d.UBRN = ident.MustUBRN(fmt.Sprintf("%012d", s.next))
				made, err := s.node.Referrals().Create(s.t.Context(), asked(s, s.user(by)), d)
				if err != nil {
					s.t.Fatal(err)
				}
				return made.Referral
			}
			ear := knee(s, published.Patient)
			ear.Specialty, ear.ClinicType = "EAR_NOSE_THROAT", "EAR"
			old := due(published.Colleague, ear)
			now(referral.Referral{}, due(published.Referrer, knee(s, published.Third)))
			delete(two, "000000070000")
			two["000000068002"] = old
		}),
		list("MinimalReferralsForReview.json", "ReferralsForReview.json", true, nil, func(s *stage) {
			booked = clinic(s, s.refers(heart(s, published.Second, "21012")), "21012")
			booked = s.does(s.byReferrer(), booked, referral.Work{Kind: referral.ActLetter, Letter: "more"})
			second = s.does(s.byReferrer(), s.refers(heart(s, published.Third, "11012")), referral.Work{Kind: referral.ActSendTriage, Service: "11012"})
			now(referral.Referral{}, booked)
			delete(two, "000000070000")
			two["000000070002"] = second
		}),
		list("FilteringByService.json", "FilteredByService.json", true, nil, func(s *stage) {}),
		list("FilteringByClinician.json", "FilteredByClinician.json", true, map[string]string{`entry\[1\].extension\[0\].extension\[\]`: "the example leaves out two facts of a referral that another example shows with them"}, func(s *stage) {
			third := clinic(s, s.refers(heart(s, published.Second, "11012")), "11012")
			now(third, booked)
		}),
		list("FilteringBySpecialty.json", "FilteredBySpecialty.json", true, map[string]string{`entry\[0\].extension\[0\].extension\[\]`: "the example leaves out the service of a referral that another example shows with it"}, func(s *stage) {
			s.does(s.byReviewer(), booked, referral.Work{Kind: referral.ActAccept})
			now(two["000000070000"], second)
		}),
		list("MinimalAppointmentSlotIssues.json", "AppointmentSlotIssues.json", true, nil, func(s *stage) {
			later := func(service string) referral.Referral {
				return s.does(s.byReferrer(), s.refers(heart(s, published.Second, service)), referral.Work{Kind: referral.ActDefer, Service: service})
			}
			now(later("11010"), later("11013"))
		}),
		list("MinimalAssessmentReturnedCancelledDna.json", "AssessmentReturnedCancelledDna.json", false, nil, func(s *stage) {
			missed := s.booked(s.refers(knee(s, published.Third)), "11003")
			s.time.Advance(missed.Appointment.Start.Sub(s.time.Now()) + time.Hour)
			missed = s.does(s.byReviewer(), missed, referral.Work{Kind: referral.ActNotAttended, Reason: "UNKNOWN"})
			now(missed, s.does(s.byReferrer(), s.refers(knee(s, published.Third)), referral.Work{Kind: referral.ActCancel, Reason: "INTEND_PRIVATE"}))
		}),
	}
}

func shortlistScenes() []scene {
	of := func(file string, differs map[string]string, change func(s *stage, d *referral.Draft)) scene {
		return scene{op: "A031", request: "stu3/changeShortlist/requests/" + file, response: "stu3/changeShortlist/responses/" + file, differs: differs, play: func(s *stage) ask {
			d := draft(referral.Routine, "11000")
			d.PathwayStart = s.time.Now().AddDate(0, -1, 0)
			if change != nil {
				change(s, &d)
			}
			return ask{who: s.referrer(), method: http.MethodPost, path: referralPath + "/$ers.changeShortlist", about: s.refers(d)}
		}}
	}
	return []scene{of("UnbookedReferral.json", nil, nil), of("UnbookedReferralMultipleServices.json", nil, nil), of("UnbookedReferralMixedShortlist.json", nil, nil),
		of("NonMixedShortlistWithDocument.json", nil, func(s *stage, d *referral.Draft) {
			d.Patient, d.PathwayStart = ident.MustNHSNumber(published.Second), time.Time{}
			d.Files = s.file(published.Secretary, "", "sample-txt-attachment-2.0.0.txt", "Description for TXT File", "text")
		})}
}

func rebookScenes() []scene {
	of := func(file string, differs map[string]string, state func(s *stage, d referral.Draft) (referral.Referral, []string)) scene {
		return scene{op: "A022", request: "stu3/cancelAppointmentActionLater/requests/" + file, response: "stu3/cancelAppointmentActionLater/responses/" + file, differs: differs, play: func(s *stage) ask {
			d := draft(referral.Routine, "11000", "11002")
			d.PathwayStart = s.time.Now().AddDate(0, -1, 0)
			by, onBehalf := published.Secretary, "021600556111"
			if file != "MinimalExampleDBS.json" {
				onBehalf = ""
			}
			if strings.Contains(file, "IBS") {
				by = published.Referrer
			}
			d.Files = s.file(by, onBehalf, "upload.png", "upload png", png)
			if strings.HasPrefix(file, "Priority") {
				return s.rebooks(d)
			}
			r, swap := state(s, d)
			return ask{who: s.reviewer(), method: http.MethodPost, path: referralPath + "/$ers.cancelAppointmentActionLater", about: r, swap: swap}
		}}
	}
	return []scene{
		of("MinimalExampleDBS.json", nil, func(s *stage, d referral.Draft) (referral.Referral, []string) {
			return s.booked(s.refers(d), "11002"), nil
		}),
		of("MinimalExampleIBS.json", nil, func(s *stage, d referral.Draft) (referral.Referral, []string) {
			d.Services = []string{"11016"}
			return s.offered(s.refers(d), "11016"), nil
		}),
		of("PriorityChangeAndWithAttachmentsDBS.json", nil, nil),
	}
}

// rebooks is a rebooking where, as in one example, the organisation that referred provides the service as well, and the file that went with the referral is not to be read yet.
func (s *stage) rebooks(d referral.Draft) ask {
	s.service("11002", func(x *published.Service) { x.At = published.Practice })
	s.slotsOf(published.Practice, "11002", published.Referrer, 1)
	ours := func() []referral.Slot {
		return slices.DeleteFunc(s.free("11002"), func(x referral.Slot) bool { return x.Provider != published.Practice })
	}
	s.until(func() bool { return len(ours()) > 0 })
	d.Services, d.Files = []string{"11000", "11002"}, s.unread(published.Secretary, "", "upload.png", "upload png", 6, referral.Pending)
	r := s.does(s.byReferrer(), s.refers(d), referral.Work{Kind: referral.ActBook, Slot: ours()[0].SlotRef, Service: "11002"})
	upload := func(name, body string) string {
		a, err := s.node.Referrals().Upload(s.t.Context(), s.byReferrer(), referral.Upload{Name: name, For: r.UBRN}, strings.NewReader(body))
		if err != nil {
			s.t.Fatal(err)
		}
		return a.ID
	}
	s.undo = slices.Insert(s.undo, 0, func() { // no slot of this organisation is left for searches to find
		s.does(s.byReferrer(), s.refers(draft(referral.Routine, "11002")), referral.Work{Kind: referral.ActBook, Slot: ours()[0].SlotRef, Service: "11002"})
	})
	who := s.as(s.user(published.Referrer), acting(ers.ProviderClinician, published.Practice)...)
	return ask{who: who, method: http.MethodPost, path: referralPath + "/$ers.cancelAppointmentActionLater", about: r,
		swap: []string{"b2b22a7e-b3e9-4625-8d2c-00507bfdffb5", upload("test1.pdf", "%PDF-1.7 of a kind"[:17]), "857b901d-1491-47d3-90e2-6c9f13f744dc", upload("test2.pdf", "%PDF-1.7 of another kind"[:20])}}
}

func updateScenes() []scene {
	of := func(file, id, ubrn string, status int) scene {
		return scene{op: "A034", request: "stu3/updateAppointment/requests/" + file, response: "stu3/updateAppointment/responses/" + file, ubrn: ubrn, status: status, play: func(s *stage) ask {
			r := s.booked(s.refers(ofSecond("50")), "50")
			number := strings.TrimLeft(r.UBRN.String(), "0")
			return ask{who: s.referrer(), method: http.MethodPut, path: "/STU3/Appointment/" + number, about: r, headers: []string{"If-Match", fmt.Sprintf(`W/"%d"`, r.Arranged.Version)}, swap: []string{`"` + id + `"`, `"` + number + `"`}}
		}}
	}
	return []scene{
		of("MinimalCancellationReasonOnlyCommentNotMandatory.json", "70003", "000000070004", 0), of("CancellationReasonAndMandatoryComment.json", "70004", "000000070005", 0),
		of("CancellationReasonOnlyCommentMandatory.json", "70005", "000000070005", 422), of("CancellationInvalidReason.json", "70006", "000000070006", 422),
	}
}

func actionScenes() []scene {
	of := func(file, ubrn string, differs map[string]string, state func(s *stage) referral.Referral) scene {
		return scene{op: "A029", response: "stu3/availableActionsForUserList/" + file, ubrn: ubrn, differs: differs, play: func(s *stage) ask {
			a := ask{who: s.referrer(), method: http.MethodGet, path: "/STU3/Task?focus=ReferralRequest/{ubrn}/_history/{version}&intent=proposal&status=ready", about: state(s)}
			if file == "WithRecordReviewOutcome.json" {
				a.who = s.reviewer()
			}
			a.swap = []string{"/_history/6", fmt.Sprintf("/_history/%d", a.about.Version)}
			return a
		}}
	}
	more := map[string]string{`entry\[[1-9]\]`: "the example shows one action of several that are possible"}
	triage := func(s *stage) referral.Referral {
		return s.does(s.byReferrer(), s.refers(ofSecond("50110")), referral.Work{Kind: referral.ActSendTriage, Service: "50110"})
	}
	rejected := func(s *stage) referral.Referral {
		return s.does(s.byReviewer(), s.booked(s.refers(ofSecond("50")), "50"), referral.Work{Kind: referral.ActReject, Reason: "SERVICE_INAPPROPRIATE"})
	}
	return []scene{
		of("Empty.json", "000000070000", nil, func(s *stage) referral.Referral {
			return s.does(s.byReferrer(), s.refers(ofSecond("50")), referral.Work{Kind: referral.ActCancel, Reason: "INTEND_PRIVATE"})
		}),
		of("WithRecordReviewOutcome.json", "000000070001", nil, triage),
		of("WithCreateAppointment.json", "000000070002", more, func(s *stage) referral.Referral {
			return s.does(s.byReferrer(), s.refers(ofSecond("11021")), referral.Work{Kind: referral.ActDefer, Service: "11021"})
		}),
		of("WithChangeShortlist.json", "000000070003", more, rejected),
		of("WithChangeShortlistAndSendForTriage.json", "000000070004", map[string]string{`entry\[`: "the example shows one action of several that are possible"}, rejected),
		of("WithCancelReferral.json", "000000070005", nil, triage),
		of("WithCancelDBAppointment.json", "000000070006", more, func(s *stage) referral.Referral { return s.booked(s.refers(ofSecond("50")), "50") }),
	}
}

func requestScenes() []scene {
	of := func(file, ubrn string, there bool) scene {
		return scene{op: "A041", response: "r4/searchServiceRequest/responses/" + file, ubrn: ubrn, play: func(s *stage) ask {
			a := ask{who: s.referrer(), method: http.MethodGet, path: "/R4/ServiceRequest?identifier=https://fhir.nhs.uk/Id/UBRN%7C000000079999", swap: []string{ubrn, "000000079999"}}
			if there {
				a.swap, a.about, a.path = nil, s.refers(draft(referral.Routine, "11002")), "/R4/ServiceRequest?identifier=https://fhir.nhs.uk/Id/UBRN%7C{ubrn}"
			}
			return a
		}}
	}
	return []scene{of("ResponseExampleReferral.json", "000000070000", true), of("ResponseExampleEmpty.json", "000000070003", false)}
}

// questionScenes are questions for advice, and what was made of one, as R4 knows them. They come after the worklists of questions, which they would stand on.
func questionScenes() []scene {
	question := func(file, ubrn string, converted bool) scene {
		return scene{op: "A041", response: "r4/searchServiceRequest/responses/" + file, ubrn: ubrn, play: func(s *stage) ask {
			a := s.asks(published.Patient, nearLeeds, true, "What next? "+file)
			if converted {
				w := referral.Conversion{Seen: a.Version, Text: "We take her.", Note: "As soon as possible", Priority: referral.Routine}
				if _, _, err := s.node.Referrals().ConvertAdvice(s.t.Context(), s.byReviewer(), a.UBRN, w); err != nil {
					s.t.Fatal(err)
				}
			}
			return ask{who: s.referrer(), method: http.MethodGet, path: "/R4/ServiceRequest?identifier=https://fhir.nhs.uk/Id/UBRN%7C{ubrn}", about: referral.Referral{UBRN: a.UBRN, Version: a.Version}}
		}}
	}
	return []scene{question("ResponseExampleAdvice.json", "000000070001", false), question("ResponseExampleReferralAndAdvice.json", "000000070002", true)}
}

// searchScenes are the searches for services. Where an example tells no distance, it is not known where the person lives; where it tells a wait, there is a slot.
func searchScenes() []scene {
	of := func(request, response string, who func(s *stage) *caller, state func(s *stage)) scene {
		return scene{op: "A010", request: "stu3/patientServiceSearch/requests/" + request, response: "stu3/patientServiceSearch/responses/" + response, play: func(s *stage) ask {
			if state != nil {
				state(s)
			}
			return ask{who: who(s), method: http.MethodPost, path: "/STU3/HealthcareService/$ers.searchHealthcareServicesForPatient"}
		}}
	}
	nowhere := func(s *stage) {
		s.load(`{"resourceType":"Patient","id":"` + published.Patient + `","identifier":[{"system":"https://fhir.nhs.uk/Id/nhs-number","value":"` + published.Patient + `"}],"name":[{"use":"usual","family":"Fairweather","given":["Nora"]}],"gender":"female","birthDate":"1968-03-11"}`)
	}
	booked := func(s *stage) {
		for _, x := range published.Services() {
			for _, f := range s.free(x.ID) {
				s.does(s.byReferrer(), s.refers(draft(referral.Routine, x.ID)), referral.Work{Kind: referral.ActBook, Slot: f.SlotRef, Service: x.ID})
			}
		}
	}
	rc, rca := (*stage).referrer, (*stage).secretary
	return []scene{
		of("RcMinimal.json", "FetchServiceListWithMultipleServices.json", rc, booked), of("RcSearchWithCommissioningRuleOrganisation.json", "FetchServiceListWithMultipleServices.json", rc, nil),
		of("RcSearchForAdviceService.json", "AdviceServiceSearch.json", rc, nil), of("RcSearchByClinicalTerm.json", "EmptyResponse.json", rc, nil),
		of("RcSearchByNamedClinician.json", "FetchServiceListWithSingleService.json", rc, func(s *stage) {
			nowhere(s)
			s.slotIn("11002", 10)
		}),
		of("RcaWithIWT.json", "FetchServiceListWithSingleService.json", rca, nil),
	}
}

func serviceScenes() []scene {
	of := func(op, file, path string, differs map[string]string) scene {
		return scene{op: op, response: "r4/" + file, differs: differs, play: func(s *stage) ask {
			return ask{who: s.referrer(), method: http.MethodGet, path: "/R4/HealthcareService" + path}
		}}
	}
	bare := of("A035", "searchForServices/responses/searchServiceWithMinmumalAttributes.json", "?_id=1,2", nil)
	search := bare.play
	bare.play = func(s *stage) ask { // the examples give one number to different services
		s.service("1", func(x *published.Service) { x.Name = "Direct SVC 1" })
		s.service("2", func(x *published.Service) { x.Name, x.Full, x.Unsaid, x.Bare = "Direct SVC 2", false, false, true })
		return search(s)
	}
	return []scene{
		of("A033", "getService/responses/sampleServiceWithMinimumAttributes.json", "/1", nil), of("A033", "getService/responses/sampleServiceWithFullAttributes.json", "/2", nil),
		of("A035", "searchForServices/responses/searchServiceWithEmptyResponse.json", "?_id=5,6", nil),
		of("A035", "searchForServices/responses/searchServiceWithMaxAndMinAttributes.json", "?_id=3,4", map[string]string{`entry\[[01]\].resource.id`: "the example's entries have an id that is not that of their address"}),
		bare,
	}
}
