package ers_test

import (
	"net/http"
	"strings"
	"time"

	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/referral"
	"github.com/openspine/openspine/referral/ers"
	"github.com/openspine/openspine/sim/seed/published"
)

const referralPath = "/STU3/ReferralRequest/{ubrn}"

// sixBytes are what the examples' files hold, as far as their types begin so.
const (
	sixBytes = "%PDF-1"
	png      = "\x89PNG\r\n"
)

// file uploads a file that is to go with a referral.
func (s *stage) file(by, onBehalf, name, description, body string) []referral.FileRef {
	s.t.Helper()
	a, err := s.node.Referrals().Upload(s.t.Context(), asked(s, s.user(by)), referral.Upload{Name: name, OnBehalf: onBehalf}, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	return []referral.FileRef{{ID: a.ID, Description: description}}
}

// unread is a file that was brought from elsewhere, where it could not be read.
func (s *stage) unread(by, onBehalf, name, description string, size int64, why referral.Availability) []referral.FileRef {
	s.t.Helper()
	a, err := s.node.Referrals().Bring(s.t.Context(), asked(s, s.user(by)), referral.Upload{Name: name, OnBehalf: onBehalf}, size, why)
	if err != nil {
		s.t.Fatal(err)
	}
	return []referral.FileRef{{ID: a.ID, Description: description}}
}

func slotScenes() []scene {
	ready := false
	from := func(query string) func(s *stage) ask {
		return func(s *stage) ask {
			if !ready {
				ready = true
				s.slots("12000", "", 3)
				s.slots("11000", "", 12)
				s.slots("13000", "", 3)
				s.slots("13000", published.Reviewer, 2)
				s.slots("14000", published.Reviewer, 4)
				s.until(func() bool {
					return len(s.free("14000")) == 4 && len(s.free("13000")) == 5 && len(s.free("11000")) == 12 && len(s.free("12000")) == 3
				})
			}
			return ask{who: s.referrer(), method: http.MethodGet, path: "/STU3/Slot?" + query}
		}
	}
	const rest = "&appointmentType=ROUTINE&status=free&_include=Slot:schedule"
	of := func(file, query string) scene {
		return scene{op: "A015", response: "stu3/retrieveAppointmentSlots/responses/" + file, play: from(query + rest)}
	}
	wrong := of("ErrorPage5.json", "schedule.actor:HealthcareService=11000&_count=5&page=5")
	wrong.status = http.StatusBadRequest
	return []scene{
		of("Minimum.json", "schedule.actor:HealthcareService=12000&_count=20&page=1"), of("NoSlots.json", "schedule.actor:HealthcareService=10000&_count=20&page=1"),
		of("Page1PageSize5.json", "schedule.actor:HealthcareService=11000&_count=5&page=1"), of("Page2PageSize5.json", "schedule.actor:HealthcareService=11000&_count=5&page=2"), wrong,
		of("Page1With2Schedules.json", "schedule.actor:HealthcareService=13000&_count=5&page=1"),
		of("SlotClinicianSearch.json", "schedule.actor:Practitioner=921600556514&schedule.actor:HealthcareService=14000&_count=5&page=1"),
	}
}

func createScenes() []scene {
	of := func(request, response string, who func(s *stage) *caller, differs map[string]string) scene {
		c := scene{op: "A011", differs: differs, request: "stu3/createReferral/requests/" + request, response: "stu3/createReferral/responses/" + response, status: http.StatusCreated}
		c.play = func(s *stage) ask {
			return ask{who: who(s), method: http.MethodPost, path: "/STU3/ReferralRequest/$ers.createReferral"}
		}
		return c
	}
	rc, rca := (*stage).referrer, (*stage).secretary
	return []scene{of("MinimalRequest.json", "ReferralRequest.json", rc, nil), of("MinimalRequestWithReferringClinician.json", "ReferralRequest.json", rca, nil),
		of("RequestMixedShortlist.json", "ReferralRequestMixedShortlist.json", rc, nil), of("RequestTwentyServices.json", "ReferralRequestTwentyServices.json", rc, nil)}
}

var pathway = time.Date(2024, 5, 8, 9, 54, 23, 167e6, time.UTC)

func readScenes() []scene {
	read := func(ubrn, file string, differs map[string]string, state func(s *stage, d referral.Draft) referral.Referral) scene {
		return scene{op: "A005", response: "stu3/retrieveReferralRequest/responses/" + file, ubrn: ubrn, differs: differs, play: func(s *stage) ask {
			d := draft(referral.Routine, "11002")
			d.UBRN, d.PathwayStart = ident.MustUBRN(ubrn), pathway
			d.Files = s.file(published.Referrer, "", "referralletter.pdf", "referralletter pdf", sixBytes)
			return ask{who: s.referrer(), method: http.MethodGet, path: referralPath, about: state(s, d)}
		}}
	}
	return []scene{
		read("000000070000", "Unbooked.json", nil, func(s *stage, d referral.Draft) referral.Referral {
			d.PathwayStart, d.Files = time.Time{}, s.file(published.Referrer, "004377014925", "referralletter.pdf", "referralletter pdf", sixBytes)
			return s.refers(d)
		}),
		read("000000070001", "BookedDBS.json", nil, func(s *stage, d referral.Draft) referral.Referral {
			s.slots("11002", published.Referrer, 8)
			s.until(func() bool { return len(s.free("11002")) == 8 })
			return s.booked(s.refers(d), "11002")
		}),
		read("000000070002", "BookedIBS.json", nil, func(s *stage, d referral.Draft) referral.Referral {
			d.Services = []string{"11016", "11017"}
			return s.offered(s.refers(d), "11016")
		}),
		read("000000070003", "DeferredToProvider.json", nil, func(s *stage, d referral.Draft) referral.Referral {
			d.Services, d.Priority, d.Criteria = []string{"11010"}, referral.Urgent, criteria("URGENT", nearLeeds)
			return s.does(s.byReferrer(), s.refers(d), referral.Work{Kind: referral.ActDefer, Service: "11010", Comment: "Yes!"})
		}),
		read("000000070005", "WithRelatedReferral.json", nil, func(s *stage, d referral.Draft) referral.Referral {
			d.Files, d.Priority, d.Criteria, d.Related = nil, referral.TwoWeekWait, criteria("TWO_WEEK_WAIT", nearLeeds), []ident.UBRN{ident.MustUBRN("000000070004")}
			return s.booked(s.refers(d), "11002")
		}),
		read("000000070011", "WithAdditionalRequirements.json", map[string]string{
			`(extension|contained)\[\]`: "the example is booked, but has no appointment"}, func(s *stage, d referral.Draft) referral.Referral {
			d.Requirements = []string{"ADVOCACY", "INTERPRETER", "TRANSPORT"}
			return s.booked(s.refers(d), "11002")
		}),
	}
}

func bookScenes() []scene {
	book := func(file, service string, slots func(s *stage) []string, differs map[string]string) scene {
		c := scene{op: "A016", request: "stu3/bookOrDeferAppointment/requests/" + file, response: "stu3/bookOrDeferAppointment/responses/" + file, status: http.StatusCreated, differs: differs}
		c.play = func(s *stage) ask {
			a := ask{who: s.referrer(), method: http.MethodPost, path: "/STU3/Appointment"}
			if slots != nil {
				a.swap = slots(s)
			}
			a.about = s.refers(draft(referral.Routine, service))
			return a
		}
		return c
	}
	slot := func(r referral.SlotRef) string { return r.Provider.String() + "." + r.Session + "." + r.Slot }
	return []scene{
		book("MinimalBooking.json", "11000", func(s *stage) []string { return []string{"11000021", slot(s.free("11000")[0].SlotRef)} }, nil),
		book("BookingWithNamedClinician.json", "11008", func(s *stage) []string {
			s.slots("11008", published.Referrer, 1)
			s.until(func() bool { return len(s.free("11008")) > 0 })
			return []string{"11008006", slot(s.free("11008")[0].SlotRef)}
		}, nil),
		book("MinimalDeferral.json", "11021", func(s *stage) []string {
			s.service("11021", func(x *published.Service) { x.Name = "Cardiology Business Service" }) // as it is called in this example
			return nil
		}, nil),
		book("DeferralWithSlotReference.json", "11000", func(s *stage) []string {
			gone := s.free("11000")[0].SlotRef
			s.booked(s.refers(draft(referral.Routine, "11000")), "11000")
			return []string{"11000022", slot(gone)}
		}, nil),
		book("DeferralBookingAttemptProblem.json", "11000", nil, nil), book("TriageDeferral.json", "50001", nil, nil),
	}
}

// ofSecond is a referral of the examples that show appointments: of another patient, to another service.
func ofSecond(services ...string) referral.Draft {
	d := draft(referral.Routine, services...)
	d.Patient = ident.MustNHSNumber(published.Second)
	return d
}

func visitScenes() []scene {
	see := func(file, ubrn string, differs map[string]string, state func(s *stage) referral.Referral) scene {
		return scene{op: "A038", response: "stu3/retrieveAppointment/responses/" + file, ubrn: ubrn, differs: differs, play: func(s *stage) ask {
			r := state(s)
			return ask{who: s.referrer(), method: http.MethodGet, path: "/STU3/Appointment/" + strings.TrimLeft(r.UBRN.String(), "0"), about: r}
		}}
	}
	to := func(s *stage, kind referral.Kind, service, comment string) referral.Referral {
		return s.does(s.byReferrer(), s.refers(ofSecond(service)), referral.Work{Kind: kind, Service: service, Comment: comment})
	}
	return []scene{
		see("AppointmentDeferral.json", "000000070002", nil, func(s *stage) referral.Referral { return to(s, referral.ActDefer, "50", "Slot unavailable") }),
		see("BookedDBS.json", "000000070000", nil, func(s *stage) referral.Referral { return s.booked(s.refers(ofSecond("50")), "50") }),
		see("BookedIBS.json", "000000070001", nil, func(s *stage) referral.Referral { return s.offered(s.refers(ofSecond("50002")), "50002") }),
		see("TriageDeferral.json", "000000070004", nil, func(s *stage) referral.Referral { return to(s, referral.ActSendTriage, "50110", "") }),
		see("TriageResponse.json", "000000070005", nil, func(s *stage) referral.Referral {
			return s.does(s.byReviewer(), to(s, referral.ActSendTriage, "50110", ""), referral.Work{Kind: referral.ActTriageReturn, Comment: "Triage Response to referrer"})
		}),
		see("CAAL.json", "000000070006", nil, func(s *stage) referral.Referral {
			return s.does(s.byReviewer(), s.booked(s.refers(ofSecond("50")), "50"), referral.Work{Kind: referral.ActRebookLater, Comment: "Please rebook later"})
		}),
		see("Cancelled.json", "000000070007", nil, func(s *stage) referral.Referral {
			return s.does(s.byReferrer(), s.booked(s.refers(ofSecond("50")), "50"), referral.Work{Kind: referral.ActCancelBy, Reason: "PATIENT_HOLIDAY", Comment: "Patient away"})
		}),
		see("AandGConvertedToDBS.json", "000000070008", nil, func(s *stage) referral.Referral { return s.booked(s.refers(ofSecond("50")), "50") }),
	}
}

func reviewScenes() []scene {
	began := time.Date(2024, 5, 1, 9, 55, 0, 0, time.UTC)
	of := func(op, what, request, response string, differs map[string]string, state func(s *stage, d referral.Draft) referral.Referral) scene {
		c := scene{op: op, response: "stu3/" + what + "/responses/" + response, differs: differs}
		if request != "" {
			c.request = "stu3/" + what + "/requests/" + request
		}
		c.play = func(s *stage) ask {
			d := draft(referral.Routine, "11002")
			by, onBehalf := published.Referrer, "021600556111"
			switch {
			case op == "A013":
				by = published.Secretary
			case strings.Contains(request, "Ibs"):
				onBehalf = ""
			}
			d.PathwayStart, d.Files = began, s.file(by, onBehalf, "upload.png", "upload png", png)
			about := state(s, d)
			return ask{who: s.reviewer(), method: http.MethodPost, path: referralPath + "/$ers." + what, about: about}
		}
		return c
	}
	booked := func(patient string, services ...string) func(s *stage, d referral.Draft) referral.Referral {
		return func(s *stage, d referral.Draft) referral.Referral {
			d.Patient, d.Services = ident.MustNHSNumber(patient), services
			return s.booked(s.refers(d), "11002")
		}
	}
	offered := func(patient, service string) func(s *stage, d referral.Draft) referral.Referral {
		return func(s *stage, d referral.Draft) referral.Referral {
			d.Patient, d.Services = ident.MustNHSNumber(patient), []string{service}
			return s.offered(s.refers(d), service)
		}
	}
	return append(visitScenes(),
		of("A013", "acceptReferral", "", "ExampleResponse.json", nil, booked(published.Second, "11000", "11002")),
		of("A014", "rejectReferral", "BasicExampleDbs.json", "ExampleResponseDbs.json", nil, booked(published.Third, "11002")),
		of("A014", "rejectReferral", "BasicExampleIbs.json", "ExampleResponseIbs.json", map[string]string{`(extension|contained)\[\d\].*display`: "the code system calls it otherwise (A004)"}, offered(published.Third, "11016")),
	)
}

func cancelScenes() []scene {
	of := func(request, response string, differs map[string]string, state func(s *stage, d referral.Draft) referral.Referral) scene {
		return scene{op: "A036", request: "stu3/cancelReferral/requests/" + request, response: "stu3/cancelReferral/responses/" + response, differs: differs, play: func(s *stage) ask {
			d := draft(referral.Routine, "11004")
			d.Criteria = criteria("ROUTINE", anywhere)
			return ask{who: s.referrer(), method: http.MethodPost, path: referralPath + "/$ers.cancelReferral", about: state(s, d)}
		}}
	}
	provider := func(request, response string, differs map[string]string, state func(s *stage, d referral.Draft) referral.Referral) scene {
		c := of(request, response, differs, state)
		refers := c.play
		c.play = func(s *stage) ask {
			a := refers(s)
			a.who = s.reviewer()
			return a
		}
		return c
	}
	plain := func(s *stage, d referral.Draft) referral.Referral { return s.refers(d) }
	near := strings.Replace(nearLeeds, "true", "false", 1) + `,{"name":"commissioningProvisioning","valueCoding":{"system":"https://fhir.nhs.uk/STU3/CodeSystem/eRS-CommissioningProvisioning-1","code":"ALL_AVAILABLE_FOR_BOOKING"}}`
	const typo = "the example names REQUEST-CANCELLATION-REASON, which is no code system of the service (A004)"
	return []scene{
		provider("bookedOutsideCabWithoutComment.json", "CancelledReferralBookedOutsideCabWithoutComment.json", map[string]string{`parameter\[0\]\.resource\.(extension|contained)\[\]`: "the example's provider cancels what nobody has asked it for; here it is a request that waits for its date"}, func(s *stage, d referral.Draft) referral.Referral {
			return s.does(s.byReferrer(), s.refers(d), referral.Work{Kind: referral.ActDefer, Service: "11004"})
		}),
		of("IntendPrivateWithoutComment.json", "CancelledReferralIntendPrivateWithoutComment.json", nil, plain),
		of("PatientRequestCancellationOther.json", "CancelledReferralPatientOther.json", nil, plain), of("RaisedInError.json", "CancelledReferralRaisedInError.json", nil, plain),
		of("ReferrerCancellation.json", "CancelledBookedReferralReferrerCancellation.json", map[string]string{`parameter\[0\]\.resource\.extension`: typo,
			`parameter\[1\]\.resource`: "the example's appointment was cancelled by itself, for the reason of another example, and has lost its clinician"}, func(s *stage, d referral.Draft) referral.Referral {
			d.Criteria, d.Requirements = criteria("ROUTINE", near), []string{"TRANSPORT"}
			s.slots("11004", published.Referrer, 1)
			s.until(func() bool { return len(s.free("11004")) > 0 })
			return s.booked(s.refers(d), "11004")
		}),
		of("NoLongerRequired.json", "CancelledReferralWithCancelledBookingNoLongerRequired.json", nil, func(s *stage, d referral.Draft) referral.Referral {
			d.Patient, d.Services, d.Specialty, d.ClinicType = ident.MustNHSNumber(published.Second), []string{"57"}, "2WW", "2WW_BONE"
			d.Criteria = strings.NewReplacer("CARDIOLOGY", "2WW", "HEART_FAILURE", "2WW_BONE", "false", "true").Replace(criteria("ROUTINE", anywhere))
			return s.does(s.byReferrer(), s.booked(s.refers(d), "57"), referral.Work{Kind: referral.ActCancelBy, Reason: "PATIENT_HOLIDAY", Comment: "This is a reason for cancelling the appointment"})
		}),
		provider("outpatientService.json", "CancelledReferralOutpatientService.json", map[string]string{`parameter\[0\]\.resource\.extension`: typo, `parameter\[0\]\.resource\.contained\[2\]\.participant`: "in the example a clinician is named of an appointment that nobody has"}, func(s *stage, d referral.Draft) referral.Referral {
			d.Criteria, d.Requirements = criteria("ROUTINE", near), []string{"TRANSPORT"}
			r := s.does(s.byReferrer(), s.refers(d), referral.Work{Kind: referral.ActSendTriage, Service: "11004"})
			return s.does(s.byReviewer(), r, referral.Work{Kind: referral.ActTriageAccept, Comment: "Outcome"})
		}),
		of("IntendPrivateWithComment.json", "CancelledReferralResolvedDeferralIntendPrivateWithComment.json", map[string]string{
			`parameter\[0\]\.resource\.extension`: "the example's appointment has no number"}, func(s *stage, d referral.Draft) referral.Referral {
			d.Files = s.file(published.Secretary, "", "ClinicalInfo.txt", "Clinical Info", "letter")
			return s.does(s.byReviewer(), s.booked(s.refers(d), "11004"), referral.Work{Kind: referral.ActRebookLater, Comment: "Requesting admin to rebook"})
		}),
	}
}

func referenceScenes() []scene {
	var list []scene
	for id, file := range map[string]string{"SPECIALTY": "Specialty", "CLINIC-TYPE": "ClinicType", "PRIORITY": "Priority", "APPOINTMENT-CANCELLATION-REASON": "AppointmentCancellationReason",
		"REFERRAL-CANCELLATION-REASON": "ReferralCancellationReason", "APPOINTMENT-NON-ATTENDANCE-REASON": "AppointmentNonAttendanceReason"} {
		c := scene{op: "A004", response: "stu3/getCodeSystem/responses/" + file + "CodeSystem.json", play: func(s *stage) ask {
			return ask{who: s.referrer(), method: http.MethodGet, path: "/STU3/CodeSystem/" + id}
		}}
		if id == "SPECIALTY" || id == "CLINIC-TYPE" {
			c.differs = map[string]string{`concept\[\]`: "the example's list leaves out codes that the other examples use (CARDIOLOGY, HEART_FAILURE, KNEE, 2WW)"}
		}
		list = append(list, c)
	}
	return append(list, scene{op: "A030", response: "r4/retrieveBusinessFunctions/responses/PractitionerRoleBundle.json", play: func(s *stage) ask {
		who := s.as(s.user(published.Both), acting(ers.ProviderClinician, published.Provider)...)
		return ask{who: who, method: http.MethodGet, path: "/R4/PractitionerRole", swap: []string{"R69", "R68", "R68", "R69"}} // in this example alone R69 provides and R68 refers
	}})
}
