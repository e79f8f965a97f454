package ers_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/referral"
	"github.com/openspine/openspine/sim/seed/published"
)

// shot is a sound request of an operation, which a wrong is to be done to.
type shot struct {
	s *stage
	o operation
	q request
}

// wrong brings about the state in which a request must be refused, or makes the request so, and sends it.
type wrong func(x shot) answer

// fire sends the request, changed.
func (x shot) fire(change func(doc map[string]any), headers ...string) answer {
	x.s.t.Helper()
	number, version := x.q.about.UBRN.String(), x.q.about.Version
	body := ""
	if x.q.file != "" {
		body = x.s.here(example(x.s.t, "stu3/"+x.q.file+".json"), scene{}, ask{})
	}
	if x.o.id == "a034" {
		number, version = strings.TrimLeft(number, "0"), x.q.about.Arranged.Version
	}
	var doc map[string]any
	if body != "" {
		if err := json.Unmarshal([]byte(body), &doc); err != nil {
			x.s.t.Fatal(err)
		}
		if x.o.id == "a034" {
			doc["id"] = number
		}
		if change != nil {
			change(doc)
		}
		text, err := json.Marshal(doc)
		if err != nil {
			x.s.t.Fatal(err)
		}
		body = string(text)
	}
	if len(headers) == 0 {
		headers = []string{"Content-Type", "application/fhir+json", "If-Match", fmt.Sprintf(`W/"%d"`, version)}
	}
	return x.q.who.do(x.o.method, inPath.ReplaceAllString(x.o.path, number)+x.q.query, body, headers...)
}

// about is the shot at another referral.
func (x shot) about(r referral.Referral) shot {
	x.q.about = r
	return x
}

// with replaces the value of a parameter, or adds it.
func with(name, member string, value any) func(doc map[string]any) {
	return func(doc map[string]any) {
		if p := parameterOf(doc, name); p != nil {
			p[member] = value
			return
		}
		doc["parameter"] = append(doc["parameter"].([]any), map[string]any{"name": name, member: value})
	}
}

// coded changes one member of a parameter's code.
func coded(name, member, value string) func(doc map[string]any) {
	return func(doc map[string]any) {
		p := parameterOf(doc, name)
		for _, form := range []string{"valueCoding", "valueCodeableConcept"} {
			if c, ok := p[form].(map[string]any); ok {
				if list, ok := c["coding"].([]any); ok {
					c = list[0].(map[string]any)
				}
				c[member] = value
			}
		}
	}
}

const priorityCodes = "https://fhir.nhs.uk/STU3/CodeSystem/eRS-Priority-1"

func priorityOf(system, code string) map[string]any {
	return map[string]any{"system": system, "code": code}
}

// files are documents that name uploaded files.
func files(name, kind, status string, ids ...string) func(doc map[string]any) {
	return func(doc map[string]any) {
		var list []any
		for _, p := range doc["parameter"].([]any) {
			if p.(map[string]any)["name"] != name {
				list = append(list, p)
			}
		}
		for _, id := range ids {
			list = append(list, map[string]any{"name": name, "resource": map[string]any{"resourceType": "DocumentReference", "meta": map[string]any{"profile": []any{"https://fhir.nhs.uk/STU3/StructureDefinition/eRS-DocumentReference-1"}}, "status": status,
				"type": map[string]any{"coding": []any{map[string]any{"system": "https://fhir.nhs.uk/STU3/CodeSystem/eRS-AttachmentType-1", "code": kind}}}, "indexed": "2024-06-03T09:30:00Z", "description": "A file",
				"content": []any{map[string]any{"attachment": map[string]any{"url": "Binary/" + id}}}}})
		}
		doc["parameter"] = list
	}
}

// upload is a file for a request; for none when the number is zero.
func (x shot) upload(provider bool, u ident.UBRN, name string) string {
	x.s.t.Helper()
	who := x.s.byReferrer()
	if provider {
		who = x.s.byReviewer()
	}
	a, err := x.s.node.Referrals().Upload(x.s.t.Context(), who, referral.Upload{Name: name, For: u}, strings.NewReader(pdf17))
	if err != nil {
		x.s.t.Fatal(err)
	}
	return a.ID
}

// over is a referral that was cancelled, wherever it was.
func (x shot) over(at bool) referral.Referral {
	r := x.s.refers(draft(referral.Routine, "11000"))
	if at {
		r = x.s.does(x.s.byReferrer(), r, referral.Work{Kind: referral.ActSendTriage, Service: "11000"})
	}
	return x.s.does(x.s.byReferrer(), r, referral.Work{Kind: referral.ActCancel, Reason: "INTEND_PRIVATE"})
}

// closed is a question that its practice has closed.
func (x shot) closed() referral.Referral {
	x.s.t.Helper()
	a := x.s.asks(published.Third, nearLeeds, true, fmt.Sprint("What now? ", x.s.next))
	x.s.next++
	a, err := x.s.node.Referrals().CloseAdvice(x.s.t.Context(), x.s.byReferrer(), a.UBRN, a.Version)
	if err != nil {
		x.s.t.Fatal(err)
	}
	return referral.Referral{UBRN: a.UBRN, Version: a.Version}
}

// lost is somebody who is alive until gone is called.
func (x shot) lost() (d referral.Draft, gone func()) {
	const number = "9990000042"
	person := func(more string) {
		x.s.load(`{"resourceType":"Patient","id":"` + number + `","identifier":[{"system":"https://fhir.nhs.uk/Id/nhs-number","value":"` + number + `"}],"name":[{"family":"Going"}],"gender":"female","birthDate":"1930-01-02"` + more + `}`)
	}
	person("")
	if err := published.Register(x.s.t.Context(), x.s.node, number, published.Practice); err != nil {
		x.s.t.Fatal(err)
	}
	d = draft(referral.Routine, "11000")
	d.Patient = ident.MustNHSNumber(number)
	return d, func() { person(`,"deceasedDateTime":"2024-06-02"`) }
}

// asksFor is a request of A016 about a referral.
func asksFor(r referral.Referral, status, reason, slot string) func(doc map[string]any) {
	return func(doc map[string]any) {
		doc["status"] = status
		doc["incomingReferral"] = []any{map[string]any{"reference": fmt.Sprintf("ReferralRequest/%s/_history/%d", r.UBRN, r.Version)}}
		doc["participant"].([]any)[1].(map[string]any)["actor"].(map[string]any)["identifier"].(map[string]any)["value"] = r.Patient.String()
		delete(doc, "slot")
		if slot != "" {
			doc["slot"] = []any{map[string]any{"reference": "Slot/" + slot}}
		}
		if reason != "" {
			doc["reason"] = []any{map[string]any{"coding": []any{map[string]any{"system": "https://fhir.nhs.uk/STU3/CodeSystem/eRS-ReviewReason-1", "code": reason}}}}
		}
	}
}

// slotAt is the id of a free slot of a service, of which there is one more now.
func (x shot) slotAt(service string) string {
	before := len(x.s.free(service))
	x.s.slots(service, "", 1)
	x.s.until(func() bool { return len(x.s.free(service)) > before })
	f := x.s.free(service)[0].SlotRef
	return f.Provider.String() + "." + f.Session + "." + f.Slot
}

// createFrom names the question of A027.
func createFrom(r referral.Referral) func(doc map[string]any) {
	return with("createFrom", "valueReference", map[string]any{"reference": fmt.Sprintf("CommunicationRequest/%s/_history/%d", r.UBRN, r.Version)})
}

func all(changes ...func(doc map[string]any)) func(doc map[string]any) {
	return func(doc map[string]any) {
		for _, c := range changes {
			c(doc)
		}
	}
}

// theirs is a referral that a service has to read; mine one that nobody has booked.
func (x shot) theirs() referral.Referral {
	return x.s.does(x.s.byReferrer(), x.s.refers(draft(referral.Routine, "11000")), referral.Work{Kind: referral.ActSendTriage, Service: "11000"})
}
func (x shot) mine() referral.Referral   { return x.s.refers(draft(referral.Routine, "11000")) }
func (x shot) booked() referral.Referral { return x.s.booked(x.mine(), "11000") }
func (x shot) question() referral.Referral {
	x.s.t.Helper()
	x.s.next++
	a := x.s.asks(published.Third, nearLeeds, true, fmt.Sprint("And what of this? ", x.s.next))
	return referral.Referral{UBRN: a.UBRN, Version: a.Version}
}

// member makes somebody with roles, who may be suspended afterwards.
func (x shot) member(id string, suspended bool, profiles ...access.Profile) {
	x.s.t.Helper()
	gate := x.s.node.Kernel().Gate
	u := access.User{Principal: access.Principal{ID: id, Name: "Somebody", Role: profiles[0].Role, Organisation: profiles[0].Organisation, Assurance: "AAL2"}}
	if err := gate.PutUser(x.s.t.Context(), u); err != nil {
		x.s.t.Fatal(err)
	}
	by := access.Service("test", x.s.node.Kernel().National)
	for _, p := range profiles[1:] {
		if _, err := gate.GiveRole(x.s.t.Context(), by, id, p, "a test"); err != nil {
			x.s.t.Fatal(err)
		}
	}
	x.s.time.Advance(time.Second) // a role begins with the moment after it was given
	if suspended {
		admin := access.Principal{ID: "admin", Name: "Admin", Role: access.Administrator, Organisation: x.s.node.Kernel().National, Assurance: "AAL2", Tenants: []ident.ODSCode{x.s.node.Kernel().National}}
		if err := gate.Suspend(x.s.t.Context(), admin, id, "a test"); err != nil {
			x.s.t.Fatal(err)
		}
	}
}

// wrongs are those that are done to one operation or a few, by operation and error.
func wrongs() map[string]wrong {
	list := map[string]wrong{}
	for _, part := range []map[string]wrong{stateWrongs(), valueWrongs(), fileWrongs(), slotWrongs(), systemWrongs(), partWrongs(), lockedWrongs(), unreadWrongs()} {
		for k, v := range part {
			list[k] = v
		}
	}
	closed := func(x shot) answer {
		x.s.load(`{"resourceType":"Organization","id":"ZZ998","identifier":[{"system":"https://fhir.nhs.uk/Id/ods-organization-code","value":"ZZ998"}],"active":false,"name":"Closed long ago"}`)
		x.s.time.Advance(2 * time.Second)
		return x.fire(func(doc map[string]any) {
			c := criteriaOf(doc)
			c["parameter"] = append(c["parameter"].([]any), map[string]any{"name": "organisation", "valueIdentifier": map[string]any{"system": "https://directory.spineservices.nhs.uk/STU3/Organization", "value": "ZZ998"}})
		})
	}
	for _, op := range []string{"a010", "a011", "a021", "a031", "a032", "a044"} {
		list[op+" ORGANISATION_IS_CLOSED"] = closed
	}
	elsewhere := ident.MustODSCode("R6977")
	for code, of := range map[string]struct {
		id        string
		suspended bool
		profiles  []access.Profile
	}{
		"REFERENCED_USER_IS_NOT_ACTIVE":    {"555500000001", true, []access.Profile{{Role: access.Clinician, Organisation: published.Practice}}},
		"REFERENCED_USER_NOT_IN_ORG":       {"555500000002", false, []access.Profile{{Role: access.Clinician, Organisation: elsewhere}}},
		"REFERENCED_USER_IS_NOT_RC_AT_ORG": {"555500000003", false, []access.Profile{{Role: access.Clinician, Organisation: elsewhere}, {Role: access.Clerk, Organisation: published.Practice}}},
	} {
		for _, op := range []string{"a010", "a011", "a021", "a044"} {
			list[op+" "+code] = func(x shot) answer {
				id := of.id + op[2:]
				x.member(id, of.suspended, of.profiles...)
				x.q.who = x.s.secretary()
				return x.fire(with("referringClinician", "valueIdentifier", map[string]any{"system": "http://fhir.nhs.net/Id/sds-user-id", "value": id}))
			}
		}
	}
	return list
}

// stateWrongs are what is asked of a request that has gone on, or of somebody who has died.
func stateWrongs() map[string]wrong {
	over := func(x shot) answer { return x.about(x.over(false)).fire(nil) }
	away := func(x shot) answer { return x.about(x.over(true)).fire(nil) }
	died := func(x shot, change func(r referral.Referral) referral.Referral, with func(r referral.Referral) func(map[string]any)) answer {
		d, gone := x.lost()
		r := x.s.refers(d)
		if change != nil {
			r = change(r)
		}
		gone()
		var body func(map[string]any)
		if with != nil {
			body = with(r)
		}
		return x.about(r).fire(body)
	}
	toTriage := func(x shot) func(r referral.Referral) referral.Referral {
		return func(r referral.Referral) referral.Referral {
			return x.s.does(x.s.byReferrer(), r, referral.Work{Kind: referral.ActSendTriage, Service: "11000"})
		}
	}
	const state, patient = " INVALID_REQUEST_STATE", " PATIENT_ERROR"
	return map[string]wrong{
		"a013" + state: away, "a014" + state: away, "a028" + state: away, "a022" + state: away, "a019" + state: over, "a031" + state: over, "a032" + state: over, "a036" + state: over,
		"a012" + state: func(x shot) answer {
			r := x.over(false)
			return x.about(r).fire(files("referralLetterFile", "REFERRER", "current", x.upload(false, r.UBRN, "late.pdf")))
		},
		"a016" + state: func(x shot) answer { r := x.over(false); return x.fire(asksFor(r, "booked", "", x.slotAt("11000"))) },
		"a026" + state: func(x shot) answer { return x.about(x.closed()).fire(nil) },
		"a027" + state: func(x shot) answer { return x.fire(createFrom(x.closed())) },
		"a034" + state: func(x shot) answer {
			return x.about(x.s.does(x.s.byReferrer(), x.booked(), referral.Work{Kind: referral.ActCancelBy, Reason: "PATIENT_ILL"})).fire(nil)
		},
		"a012 409": func(x shot) answer {
			r := x.mine()
			id := x.upload(false, r.UBRN, "new.pdf")
			r.Version = 99
			return x.about(r).fire(files("referralLetterFile", "REFERRER", "current", id))
		},
		"a016 409": func(x shot) answer {
			r := x.mine()
			r.Version = 99
			return x.fire(asksFor(r, "booked", "", x.slotAt("11000")))
		},
		"a027 409": func(x shot) answer { r := x.question(); r.Version = 99; return x.fire(createFrom(r)) },
		"a034 409": func(x shot) answer {
			return x.about(x.booked()).fire(nil, "Content-Type", "application/fhir+json", "If-Match", `W/"99"`)
		},
		"a025 404": func(x shot) answer {
			x.q.query = "?based-on=CommunicationRequest/000000099999/_history/1"
			return x.fire(nil)
		},
		"a030 403": func(x shot) answer {
			x.q.who = x.s.as(access.User{Principal: access.Principal{ID: "patient", Name: "A patient", Role: access.Patient, Person: published.Patient, Assurance: "P9"}})
			return x.fire(nil)
		},
		"a031" + patient: func(x shot) answer { return died(x, nil, nil) },
		"a032" + patient: func(x shot) answer { return died(x, nil, nil) },
		"a028" + patient: func(x shot) answer {
			return died(x, toTriage(x), func(referral.Referral) func(map[string]any) {
				return coded("reviewOutcome", "code", "ACCEPT_REFER_BOOK_LATER")
			})
		},
		"a022" + patient: func(x shot) answer {
			return died(x, func(r referral.Referral) referral.Referral { return x.s.booked(r, "11000") }, nil)
		},
		"a016" + patient: func(x shot) answer {
			slot := x.slotAt("11000")
			return died(x, nil, func(r referral.Referral) func(map[string]any) { return asksFor(r, "booked", "", slot) })
		},
		"a027" + patient: func(x shot) answer {
			d, gone := x.lost()
			a := x.s.asks(d.Patient.String(), nearLeeds, true, "Is it too late?")
			gone()
			return x.fire(createFrom(referral.Referral{UBRN: a.UBRN, Version: a.Version}))
		},
	}
}

// valueWrongs are values that are none, are not known, or do not fit.
func valueWrongs() map[string]wrong {
	change := func(c func(doc map[string]any)) wrong { return func(x shot) answer { return x.fire(c) } }
	on := func(about func(x shot) referral.Referral, c func(doc map[string]any)) wrong {
		return func(x shot) answer { return x.about(about(x)).fire(c) }
	}
	// A service for men alone, to which a woman is referred.
	men := func(x shot) func(doc map[string]any) {
		x.s.load(`{"resourceType":"HealthcareService","id":"77001","active":true,"providedBy":{"identifier":{"system":"https://fhir.nhs.uk/Id/ods-organization-code","value":"R68"}},"name":"Urology","eligibility":[{"code":{"coding":[{"system":"http://hl7.org/fhir/administrative-gender","code":"male"}]}}],
			"characteristic":[{"coding":[{"system":"https://fhir.nhs.uk/CodeSystem/eRS-RequestFlowType","code":"ADVICE_AND_GUIDANCE_REQUEST"}]}]}`)
		x.s.time.Advance(2 * time.Second)
		return func(doc map[string]any) {
			parameterOf(doc, "shortlist")["resource"].(map[string]any)["entry"] = []any{map[string]any{"item": map[string]any{"identifier": map[string]any{"system": "http://fhir.nhs.net/Id/ers-service", "value": "77001"}}}}
		}
	}
	forMen := func(x shot) answer { return x.fire(men(x)) }
	const value, code, fits = " INVALID_VALUE", " INVALID_CODE", " INAPPROPRIATE_VALUE"
	service := func(system string) func(doc map[string]any) {
		return with("service", "valueIdentifier", map[string]any{"system": system, "value": "99999"})
	}
	const services = "http://fhir.nhs.net/Id/ers-service"
	list := map[string]wrong{
		"a008" + value: change(all(coded("listType", "code", "REFERRALS_FOR_REVIEW"), service("https://x.example"))), "a023" + value: change(service("https://x.example")),
		"a008" + code: change(coded("listType", "code", "MINE")), "a023" + code: change(coded("listType", "code", "MINE")),
		"a008 REFERENCE_NOT_FOUND": func(x shot) answer {
			x.q.who = x.s.reviewer()
			return x.fire(all(coded("listType", "code", "REFERRALS_FOR_REVIEW"), service(services)))
		},
		"a023 REFERENCE_NOT_FOUND": change(service(services)),
		"a014" + value:             change(coded("rejectionReason", "system", "https://x.example")), "a014" + code: change(coded("rejectionReason", "code", "BOREDOM")),
		"a014" + fits:              change(coded("rejectionReason", "code", "PATIENT_ILL")),
		"a014 FIELD_NOT_PERMITTED": change(with("appointmentCancelledInPAS", "valueBoolean", true)),
		"a014 VALUE_IS_REQUIRED": on(func(x shot) referral.Referral {
			return x.s.offered(x.s.refers(draft(referral.Routine, "11016")), "11016")
		}, nil),
		"a022" + value: on(shot.booked, with("priority", "valueCoding", priorityOf("https://x.example", "URGENT"))), "a022" + code: on(shot.booked, with("priority", "valueCoding", priorityOf(priorityCodes, "SOON"))),
		"a022 FIELD_NOT_PERMITTED": on(shot.booked, with("appointmentCancelledInPAS", "valueBoolean", true)),
		"a022 VALUE_IS_REQUIRED": on(func(x shot) referral.Referral {
			return x.s.offered(x.s.refers(draft(referral.Routine, "11016")), "11016")
		}, nil),
		"a026" + value: on(shot.question, coded("updatedPriority", "system", "https://x.example")), "a026" + fits: on(shot.question, coded("guidanceOutcome", "code", "PROVIDER_CONVERTED")),
		"a026 VALUE_IS_REQUIRED": on(shot.question, func(doc map[string]any) {
			list := doc["parameter"].([]any)
			doc["parameter"] = append(list[:1:1], list[2:]...)
		}),
		"a026 CONFLICTING_VALUES":  on(shot.question, coded("guidanceOutcome", "code", "REQUIRE_FURTHER_INFORMATION")),
		"a027" + value:             change(with("createFrom", "valueReference", map[string]any{"reference": "that one"})),
		"a027 REFERENCE_NOT_FOUND": change(with("createFrom", "valueReference", map[string]any{"reference": "CommunicationRequest/000000099999/_history/1"})),
		"a028" + value:             on(shot.theirs, coded("reviewOutcome", "system", "https://x.example")), "a028" + code: on(shot.theirs, coded("reviewOutcome", "code", "SHRUG")),
		"a031" + value: change(with("firstReminderLetterFollowUpDays", "valueUnsignedInt", 999)), "a032" + value: change(with("firstReminderLetterFollowUpDays", "valueUnsignedInt", 999)),
		"a034" + value: on(shot.booked, func(doc map[string]any) { doc["id"] = "1" }), "a034" + fits: on(shot.booked, func(doc map[string]any) { doc["status"] = "arrived" }),
		"a036" + fits: func(x shot) answer {
			return x.about(x.mine()).fire(coded("cancellationReason", "code", "BOOKED_OUTSIDE_CAB"))
		},
		"a034 MISSING_VALUE":    on(shot.booked, func(doc map[string]any) { delete(doc, "reason") }),
		"a034 UNEXPECTED_FIELD": on(shot.booked, func(doc map[string]any) { doc["colour"] = "red" }),
		"a010" + fits: change(func(doc map[string]any) { // a kind of clinic of another specialty
			c := criteriaOf(doc)
			var list []any
			for _, p := range c["parameter"].([]any) {
				if name := p.(map[string]any)["name"]; name != "specialty" && name != "clinicType" {
					list = append(list, p)
				}
			}
			c["parameter"] = append(list, map[string]any{"name": "specialty", "valueCoding": map[string]any{"system": baseOfSpecialty(doc), "code": "DERMATOLOGY"}},
				map[string]any{"name": "clinicType", "valueCoding": map[string]any{"system": "https://fhir.nhs.uk/STU3/CodeSystem/eRS-ClinicType-1", "code": "HEART_FAILURE"}})
		}),
		"a031" + fits: forMen, "a032" + fits: forMen, "a044" + fits: forMen,
		"a016" + value: change(func(doc map[string]any) { doc["description"] = strings.Repeat("x", 1<<20) }), "a016" + code: change(func(doc map[string]any) { doc["status"] = "arrived" }),
	}
	for _, op := range []string{"a011", "a021"} {
		list[op+fits] = change(with("eReferralPathwayStart", "valueInstant", "2030-01-01T00:00:00Z"))
	}
	return list
}

// fileWrongs are files that are not there, there twice, or for something else.
func fileWrongs() map[string]wrong {
	const none = "00000000-0000-4000-8000-000000000000"
	list := map[string]wrong{}
	uses := map[string]struct {
		name, kind string
		provider   bool
		about      func(x shot) referral.Referral
		more       func(x shot) func(doc map[string]any)
	}{
		"a012": {"referralLetterFile", "REFERRER", false, shot.mine, nil}, "a022": {"providerAttachmentFile", "PROVIDER", true, shot.booked, nil}, "a026": {"guidanceAttachmentFile", "GUIDANCE_RESPONSE", true, shot.question, nil},
		"a027": {"guidanceAttachmentFile", "GUIDANCE_RESPONSE", true, shot.question, func(x shot) func(doc map[string]any) { return createFrom(x.q.about) }}, "a028": {"reviewAttachmentFile", "PROVIDER", true, shot.theirs, nil},
	}
	for op, of := range uses {
		send := func(x shot, status string, ids func(x shot) []string) answer {
			x = x.about(of.about(x))
			change := files(of.name, of.kind, status, ids(x)...)
			if of.more != nil {
				change = all(change, of.more(x))
				x.q.about = referral.Referral{}
			}
			return x.fire(change)
		}
		list[op+" DUPLICATE_FILENAME"] = func(x shot) answer {
			return send(x, "current", func(x shot) []string {
				return []string{x.upload(of.provider, x.q.about.UBRN, "same.pdf"), x.upload(of.provider, x.q.about.UBRN, "same.pdf")}
			})
		}
		list[op+" INAPPROPRIATE_VALUE"] = func(x shot) answer { // uploaded for no request, as published
			return send(x, "current", func(x shot) []string { return []string{x.upload(of.provider, ident.UBRN{}, "loose.pdf")} })
		}
		if op != "a027" {
			list[op+" REFERENCE_NOT_FOUND"] = func(x shot) answer { return send(x, "current", func(shot) []string { return []string{none} }) }
		}
	}
	for op, other := range map[string]func(x shot) referral.Referral{"a012": shot.mine, "a022": shot.booked, "a026": shot.question, "a027": shot.question, "a028": shot.theirs} {
		of := uses[op]
		list[op+" INVALID_STATE"] = func(x shot) answer { // the file goes with another one already
			first := x.about(other(x))
			id := x.upload(of.provider, first.q.about.UBRN, "used.pdf")
			attach := func(x shot) answer {
				change := files(of.name, of.kind, "current", id)
				if of.more != nil {
					change = all(change, of.more(x))
					x.q.about = referral.Referral{}
				}
				return x.fire(change)
			}
			if a := attach(first); a.status >= http.StatusBadRequest {
				return a
			}
			return attach(x.about(other(x)))
		}
	}
	for _, op := range []string{"a012", "a027"} { // it is said to be of another type than it is
		of := uses[op]
		list[op+" CONFLICTING_VALUES"] = func(x shot) answer {
			x = x.about(of.about(x))
			change := files(of.name, of.kind, "current", x.upload(of.provider, x.q.about.UBRN, "typed.pdf"))
			if of.more != nil {
				change = all(change, of.more(x))
				x.q.about = referral.Referral{}
			}
			return x.fire(all(change, func(doc map[string]any) {
				parameterOf(doc, of.name)["resource"].(map[string]any)["content"].([]any)[0].(map[string]any)["attachment"].(map[string]any)["contentType"] = "image/png"
			}))
		}
	}
	delete(list, "a026 INAPPROPRIATE_VALUE") // that of valueWrongs
	list["a012 INVALID_VALUE"] = func(x shot) answer {
		return x.about(x.mine()).fire(files("referralLetterFile", "REFERRER", "superseded", none))
	}
	list["a012 NO_CHANGES_DETECTED"] = func(x shot) answer {
		r := x.mine()
		id := x.upload(false, r.UBRN, "once.pdf")
		r = x.s.does(x.s.byReferrer(), r, referral.Work{Kind: referral.ActLetter, Files: []referral.FileRef{{ID: id}}})
		return x.about(r).fire(files("referralLetterFile", "REFERRER", "current", id))
	}
	upload := func(body, typ, name, about string) wrong {
		return func(x shot) answer {
			headers := []string{"Content-Type", typ, "NHSD-eRS-File-Name", name}
			if about != "" {
				headers = append(headers, "NHSD-eRS-Referral-ID", about)
			}
			return x.s.referrer().do(http.MethodPost, "/STU3/Binary", body, headers...)
		}
	}
	list["a020 CONFLICTING_VALUES"], list["a020 FILE_SIZE_ERROR"] = upload(pdf17, "text/plain", "a.pdf", ""), upload("", "text/plain", "a.txt", "")
	list["a020 INVALID_VALUE"], list["a020 INAPPROPRIATE_VALUE"] = upload("x", "text/plain", "a.exe", ""), upload("x", "text/plain", "a.txt", "000000099999")
	return list
}

// slotWrongs are appointments that cannot be made (A016), and slots that cannot be looked for (A015).
func slotWrongs() map[string]wrong {
	book := func(status, reason string, slot func(x shot) string) wrong {
		return func(x shot) answer {
			at := ""
			if slot != nil {
				at = slot(x)
			}
			return x.fire(asksFor(x.mine(), status, reason, at))
		}
	}
	free := func(x shot) string { return x.slotAt("11000") }
	shut := func(x shot) { // until the scene is over, which is the whole of this test: it is a service of its own
		x.s.load(`{"resourceType":"HealthcareService","id":"77002","active":false,"providedBy":{"identifier":{"system":"https://fhir.nhs.uk/Id/ods-organization-code","value":"R68"}},"name":"Closed"}`)
		x.s.time.Advance(2 * time.Second)
	}
	return map[string]wrong{
		"a016 SLOT_NOT_AVAILABLE": book("booked", "", func(x shot) string {
			slot := x.slotAt("11000")
			for len(x.s.free("11000")) > 0 {
				x.s.booked(x.mine(), "11000")
			}
			return slot
		}),
		"a016 INAPPROPRIATE_SLOT":        book("booked", "", func(x shot) string { return x.slotAt("11001") }),
		"a016 SLOTS_CURRENTLY_AVAILABLE": func(x shot) answer { free(x); return x.fire(asksFor(x.mine(), "proposed", "NO_SLOTS_AT_SERVICE", "")) },
		"a016 THIS_SLOT_IS_AVAILABLE":    book("proposed", "SLOT_NOT_AVAILABLE", free),
		"a016 REFERENCE_NOT_FOUND": func(x shot) answer {
			return x.fire(asksFor(referral.Referral{UBRN: ident.MustUBRN("000000099999"), Version: 1, Patient: ident.MustNHSNumber(published.Patient)}, "booked", "", free(x)))
		},
		"a016 INAPPROPRIATE_VALUE": func(x shot) answer {
			r := x.mine()
			r.Patient = ident.MustNHSNumber(published.Second)
			return x.fire(asksFor(r, "booked", "", free(x)))
		},
		"a016 SERVICE_UNAVAILABLE": func(x shot) answer {
			shut(x)
			return x.fire(all(asksFor(x.mine(), "proposed", "NO_SLOTS_AT_SERVICE", ""), func(doc map[string]any) {
				doc["participant"].([]any)[0].(map[string]any)["actor"].(map[string]any)["identifier"].(map[string]any)["value"] = "77002"
			}))
		},
		"a015 SERVICE_UNAVAILABLE": func(x shot) answer {
			shut(x)
			x.q.query = "?status=free&schedule.actor:HealthcareService=77002&appointmentType=ROUTINE&_count=5&page=" + strconv.Itoa(1)
			return x.fire(nil)
		},
	}
}

// baseOfSpecialty is the code system of specialties, as a search names it.
func baseOfSpecialty(doc map[string]any) string {
	for _, p := range criteriaOf(doc)["parameter"].([]any) {
		if m := p.(map[string]any); m["name"] == "specialty" {
			return m["valueCoding"].(map[string]any)["system"].(string)
		}
	}
	return ""
}
