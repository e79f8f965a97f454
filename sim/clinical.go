package sim

import (
	"encoding/base64"
	"strconv"

	"github.com/openspine/openspine/ident"
)

const hl7 = "http://terminology.hl7.org/CodeSystem/"

func (c *chartWriter) practitioner(w *writer, element string, s staffMember) {
	w.reference(element, "Practitioner", s.ID, s.Prefix+" "+s.Given+" "+s.Family)
}

func (c *chartWriter) visit(w *writer, visit string) {
	if visit != "" {
		w.reference("encounter", "Encounter", visit, "")
	}
}

// encounter is a consultation at the surgery, ten minutes long.
func (c *chartWriter) encounter(d Day, minute int, by staffMember, reason string) string {
	return c.add("Encounter", func(w *writer) {
		w.text("status", "finished")
		w.object("class", func() { w.codingInside(hl7+"v3-ActCode", "", "AMB", "ambulatory") })
		if reason == "" {
			w.concepts("type", ident.SystemSNOMED, "185349003", "Encounter for check up")
		} else {
			w.concepts("type", ident.SystemSNOMED, "308335008", "Patient encounter procedure")
		}
		c.encounterPeople(w, by, reason)
		w.object("period", func() {
			w.instant("start", d, minute)
			w.instant("end", d, minute+10)
		})
		w.array("location", func() {
			w.item(func() { w.reference("location", "Location", "surgery", "Consulting rooms") })
		})
		w.reference("serviceProvider", "Organization", c.tenant.String(), "")
	})
}

func (c *chartWriter) encounterPeople(w *writer, by staffMember, reason string) {
	c.subject(w, "subject")
	w.array("participant", func() {
		w.item(func() {
			w.concepts("type", hl7+"v3-ParticipationType", "ATND", "attender")
			c.practitioner(w, "individual", by)
		})
	})
	if code, ok := c.k.clinic.Conditions[reason]; ok {
		w.concepts("reasonCode", ident.SystemSNOMED, code[0], code[1])
	}
}

// hospitalKinds are the class and type of encounters at a hospital.
var hospitalKinds = map[string][4]string{
	"inpatient":  {"IMP", "inpatient encounter", "185212007", "Seen in hospital ward"},
	"outpatient": {"AMB", "ambulatory", "390906007", "Follow-up encounter"},
	"emergency":  {"EMER", "emergency", "50849002", "Emergency room admission"},
}

func (c *chartWriter) hospitalEncounter(e episode, from, to Day, minute int, by staffMember) string {
	kind := hospitalKinds[e.Hospital.Kind]
	return c.add("Encounter", func(w *writer) {
		w.text("status", "finished")
		w.object("class", func() { w.codingInside(hl7+"v3-ActCode", "", kind[0], kind[1]) })
		w.concepts("type", ident.SystemSNOMED, kind[2], kind[3])
		c.encounterPeople(w, by, e.Name)
		w.object("period", func() {
			w.instant("start", from, minute)
			w.instant("end", to, max(min(minute+180, 1439), 995*min(int(to-from), 1)))
		})
		if e.Hospital.Kind == "inpatient" {
			w.object("hospitalization", func() {
				w.concept("dischargeDisposition", ukCodes+"DischargeDestinationEngland", "19", "Usual place of residence")
			})
		}
		w.array("location", func() {
			w.item(func() { w.reference("location", "Location", e.Hospital.Place, "") })
		})
		w.reference("serviceProvider", "Organization", c.tenant.String(), "")
	})
}

func (c *chartWriter) condition(e episode, by staffMember) string {
	code := c.k.clinic.Conditions[e.Name]
	return c.add("Condition", func(w *writer) {
		if e.over == 0 {
			w.concept("clinicalStatus", hl7+"condition-clinical", "active", "Active")
		} else {
			w.concept("clinicalStatus", hl7+"condition-clinical", "resolved", "Resolved")
		}
		w.concept("verificationStatus", hl7+"condition-ver-status", "confirmed", "Confirmed")
		if e.Lasting {
			w.concepts("category", hl7+"condition-category", "problem-list-item", "Problem List Item")
		} else {
			w.concepts("category", hl7+"condition-category", "encounter-diagnosis", "Encounter Diagnosis")
		}
		w.concept("code", ident.SystemSNOMED, code[0], code[1])
		c.subject(w, "subject")
		w.day("onsetDateTime", e.onset)
		w.day("abatementDateTime", e.over)
		w.day("recordedDate", e.onset)
		c.practitioner(w, "asserter", by)
	})
}

// allergies says what is known, and says so when nothing is.
func (c *chartWriter) allergies(by staffMember) {
	a := c.h.allergy
	c.add("AllergyIntolerance", func(w *writer) {
		w.concept("clinicalStatus", hl7+"allergyintolerance-clinical", "active", "Active")
		w.concept("verificationStatus", hl7+"allergyintolerance-verification", "confirmed", "Confirmed")
		if a == nil {
			w.concept("code", ident.SystemSNOMED, "716186003", "No known allergy")
		} else {
			w.text("type", "allergy")
			w.array("category", func() { w.value(a.Category) })
			w.text("criticality", a.Criticality)
			w.concept("code", ident.SystemSNOMED, a.Code[0], a.Code[1])
		}
		c.subject(w, "patient")
		w.day("recordedDate", max(notZero(c.h.end-Day(400+c.r.IntN(2000))), c.p.Born))
		c.practitioner(w, "recorder", by)
		if a != nil {
			w.array("reaction", func() {
				w.item(func() {
					w.concepts("manifestation", ident.SystemSNOMED, a.Reaction[0], a.Reaction[1])
					w.text("severity", a.Severity)
				})
			})
		}
	})
}

func (c *chartWriter) smoking(d Day, by staffMember) {
	c.add("Observation", func(w *writer) {
		w.text("status", "final")
		w.concepts("category", hl7+"observation-category", "social-history", "Social History")
		w.concept("code", "http://loinc.org", "72166-2", "Tobacco smoking status")
		c.subject(w, "subject")
		w.day("effectiveDateTime", notZero(d))
		w.references("performer", "Practitioner", by.ID, "")
		w.concept("valueCodeableConcept", ident.SystemSNOMED, c.h.smoking[0], c.h.smoking[1])
	})
}

// observe is one measurement with its reference range and, outside it, how it is to be read.
func (c *chartWriter) observe(what string, value float64, d Day, minute int, visit string, by staffMember) string {
	m := c.k.clinic.Measures[what]
	return c.add("Observation", func(w *writer) {
		w.text("status", "final")
		if m.Vital {
			w.concepts("category", hl7+"observation-category", "vital-signs", "Vital Signs")
		} else {
			w.concepts("category", hl7+"observation-category", "laboratory", "Laboratory")
		}
		w.object("code", func() { m.codes(w, m.Code, m.Display, m.Loinc, m.LoincDisplay) })
		c.subject(w, "subject")
		c.visit(w, visit)
		w.instant("effectiveDateTime", d, min(minute, 1439))
		w.references("performer", "Practitioner", by.ID, by.Prefix+" "+by.Given+" "+by.Family)
		if m.Pair {
			c.pair(w, m, value)
			return
		}
		w.object("valueQuantity", func() { m.quantity(w, value) })
		m.interpret(w, value, c.p.Gender)
	})
}

func (m measure) codes(w *writer, code, display, loinc, loincDisplay string) {
	w.array("coding", func() {
		w.coding(ident.SystemSNOMED, "", code, display)
		w.coding("http://loinc.org", "", loinc, loincDisplay)
	})
	w.text("text", display)
}

func (m measure) quantity(w *writer, value float64) {
	w.raw("value", strconv.FormatFloat(max(value, 0), 'f', m.Decimals, 64))
	w.text("unit", m.Unit)
	w.text("system", "http://unitsofmeasure.org")
	w.text("code", m.UCUM)
}

// pair is systolic and diastolic pressure.
func (c *chartWriter) pair(w *writer, m measure, systolic float64) {
	diastolic := systolic*0.58 + c.r.NormFloat64()*4
	w.array("component", func() {
		w.item(func() {
			w.object("code", func() {
				m.codes(w, "72313002", "Systolic arterial pressure", "8480-6", "Systolic blood pressure")
			})
			w.object("valueQuantity", func() { m.quantity(w, systolic) })
		})
		w.item(func() {
			w.object("code", func() {
				m.codes(w, "1091811000000102", "Diastolic arterial pressure", "8462-4", "Diastolic blood pressure")
			})
			w.object("valueQuantity", func() { m.quantity(w, diastolic) })
		})
	})
}

// interpret writes high or low where it is, and the reference range.
func (m measure) interpret(w *writer, value float64, gender string) {
	low, high := m.Low, m.High
	if gender == "female" && m.LowFemale > 0 {
		low, high = m.LowFemale, m.HighFemale
	}
	if low == 0 && high == 0 {
		return
	}
	switch {
	case high > 0 && value > high:
		w.concepts("interpretation", hl7+"v3-ObservationInterpretation", "H", "High")
	case value < low:
		w.concepts("interpretation", hl7+"v3-ObservationInterpretation", "L", "Low")
	default:
		w.concepts("interpretation", hl7+"v3-ObservationInterpretation", "N", "Normal")
	}
	w.array("referenceRange", func() {
		w.item(func() {
			if low > 0 {
				w.object("low", func() { m.quantity(w, low) })
			}
			if high > 0 {
				w.object("high", func() { m.quantity(w, high) })
			}
		})
	})
}

func (c *chartWriter) report(section, display string, code coded, conclusion string, results []string, d Day, minute int, visit string) {
	c.add("DiagnosticReport", func(w *writer) {
		w.text("status", "final")
		w.concepts("category", hl7+"v2-0074", section, display)
		w.concept("code", ident.SystemSNOMED, code[0], code[1])
		c.subject(w, "subject")
		c.visit(w, visit)
		w.instant("effectiveDateTime", d, min(minute, 1439))
		w.instant("issued", d, min(minute+30, 1439))
		w.references("performer", "Organization", c.tenant.String(), "")
		if len(results) > 0 {
			w.array("result", func() {
				for _, id := range results {
					w.item(func() { w.referenceInside("Observation", id, "") })
				}
			})
		}
		w.text("conclusion", conclusion)
	})
}

func (c *chartWriter) procedure(name string, d Day, minute int, visit string, by staffMember) {
	code := c.k.clinic.Procedures[name]
	c.add("Procedure", func(w *writer) {
		w.text("status", "completed")
		w.concept("code", ident.SystemSNOMED, code[0], code[1])
		c.subject(w, "subject")
		c.visit(w, visit)
		w.instant("performedDateTime", d, min(minute, 1439))
		w.array("performer", func() { w.item(func() { c.practitioner(w, "actor", by) }) })
	})
}

func (c *chartWriter) immunisation(name string, d Day) {
	v := c.k.clinic.Vaccines[name]
	system := ident.SystemSNOMED
	if v.DMD {
		system = ident.SystemDMD
	}
	c.add("Immunization", func(w *writer) {
		w.text("status", "completed")
		w.concept("vaccineCode", system, v.Code, v.Display)
		c.subject(w, "patient")
		w.day("occurrenceDateTime", d)
		w.raw("primarySource", "true")
		w.reference("location", "Location", "nurse", "Nurse's clinic")
		w.text("lotNumber", "OS"+strconv.Itoa(10000+c.r.IntN(90000)))
		w.concept("site", ident.SystemSNOMED, "368208006", "Left upper arm structure (body structure)")
		w.concept("route", ident.SystemSNOMED, "78421000", "Intramuscular route (qualifier value)")
	})
}

func (m medicine) concept(w *writer) {
	w.object("medicationCodeableConcept", func() {
		if m.Code != "" {
			system := ident.SystemSNOMED
			if m.DMD {
				system = ident.SystemDMD
			}
			w.array("coding", func() { w.coding(system, "", m.Code, m.Display) })
		}
		w.text("text", m.Product)
	})
}

func (m medicine) dosage(w *writer, element string) {
	w.array(element, func() {
		w.item(func() {
			w.text("text", m.Dose)
			w.object("timing", func() {
				w.object("repeat", func() {
					w.raw("frequency", strconv.Itoa(m.Times))
					w.raw("period", "1")
					if m.Weekly {
						w.text("periodUnit", "wk")
					} else {
						w.text("periodUnit", "d")
					}
				})
			})
			switch {
			case m.Inhaled:
				w.concept("route", ident.SystemSNOMED, "18679011000001101", "Inhalation")
			case m.Skin:
				w.concept("route", ident.SystemSNOMED, "448598008", "Cutaneous route")
			default:
				w.concept("route", ident.SystemSNOMED, "26643006", "Oral")
			}
		})
	})
}

// prescribe is the last prescription of a medicine at the practice.
func (c *chartWriter) prescribe(name string, e episode, condition string, by staffMember) {
	m := c.k.clinic.Medicines[name]
	status, course, courseDisplay := "active", "continuous", "Continuous long term therapy"
	day := e.onset
	if e.Lasting {
		day = max(e.onset, c.h.end-Day(c.r.IntN(56)))
	} else {
		course, courseDisplay = "acute", "Short course (acute) therapy"
	}
	if e.over != 0 || c.p.Died != 0 {
		status = "completed"
	}
	c.add("MedicationRequest", func(w *writer) {
		w.text("status", status)
		w.text("intent", "order")
		w.concepts("category", hl7+"medicationrequest-category", "community", "Community")
		m.concept(w)
		c.subject(w, "subject")
		w.instant("authoredOn", notZero(day), 660)
		c.practitioner(w, "requester", by)
		w.references("reasonReference", "Condition", condition, c.k.clinic.Conditions[e.Name][1])
		w.concept("courseOfTherapyType", hl7+"medicationrequest-course-of-therapy", course, courseDisplay)
		m.dosage(w, "dosageInstruction")
		w.object("substitution", func() { w.raw("allowedBoolean", "false") })
	})
}

// taking is what a patient was found to take, as the hospital wrote down at discharge.
func (c *chartWriter) taking(name string, e episode, d Day, visit string) {
	m := c.k.clinic.Medicines[name]
	c.add("MedicationStatement", func(w *writer) {
		w.text("status", "active")
		m.concept(w)
		c.subject(w, "subject")
		w.reference("context", "Encounter", visit, "")
		w.object("effectivePeriod", func() { w.day("start", max(e.onset, d-400)) })
		w.day("dateAsserted", d)
		code := c.k.clinic.Conditions[e.Name]
		w.concepts("reasonCode", ident.SystemSNOMED, code[0], code[1])
		m.dosage(w, "dosage")
	})
}

// note is the clinician's own words about a consultation.
func (c *chartWriter) note(text string, d Day, minute int, visit string, by staffMember) {
	c.document(coded{"826501000000100", "Miscellaneous record"}, "Consultation", text, d, minute, visit, by)
}

// letter tells the practice what happened at the hospital.
func (c *chartWriter) letter(h *hospitalCare, d Day, visit string, by staffMember) {
	code, title := coded{"823681000000100", "Outpatient letter"}, "Clinic letter"
	if h.Kind != "outpatient" {
		code, title = coded{"373942005", "Discharge summary"}, "Discharge summary"
	}
	c.document(code, title, h.Letter, d, 990, visit, by)
}

func (c *chartWriter) document(code coded, title, text string, d Day, minute int, visit string, by staffMember) {
	c.add("DocumentReference", func(w *writer) {
		w.text("status", "current")
		w.text("docStatus", "final")
		w.concept("type", ident.SystemSNOMED, code[0], code[1])
		c.subject(w, "subject")
		w.instant("date", d, minute)
		w.references("author", "Practitioner", by.ID, by.Prefix+" "+by.Given+" "+by.Family)
		w.reference("custodian", "Organization", c.tenant.String(), "")
		w.array("content", func() {
			w.item(func() {
				w.object("attachment", func() {
					w.text("contentType", "text/plain; charset=utf-8")
					w.text("language", "en-GB")
					w.text("data", base64.StdEncoding.EncodeToString([]byte(text)))
					w.text("title", title)
				})
			})
		})
		w.object("context", func() { w.references("encounter", "Encounter", visit, "") })
	})
}

// appointment is one that is booked, twenty minutes long.
func (c *chartWriter) appointment(d Day, reason, place string, with staffMember) {
	code := c.k.clinic.Conditions[reason]
	minute := 540 + c.r.IntN(24)*20
	c.add("Appointment", func(w *writer) {
		w.text("status", "booked")
		w.concept("appointmentType", hl7+"v2-0276", "FOLLOWUP", "A follow up visit from a previous appointment")
		w.concepts("reasonCode", ident.SystemSNOMED, code[0], code[1])
		w.text("description", code[1]+": review")
		w.instant("start", d, minute)
		w.instant("end", d, minute+20)
		w.day("created", notZero(c.k.today-Day(1+c.r.IntN(30))))
		w.array("participant", func() {
			c.participant(w, func() { c.subject(w, "actor") })
			c.participant(w, func() { c.practitioner(w, "actor", with) })
			c.participant(w, func() { w.reference("actor", "Location", place, "") })
		})
	})
}

func (c *chartWriter) participant(w *writer, who func()) {
	w.item(func() {
		who()
		w.text("required", "required")
		w.text("status", "accepted")
	})
}
