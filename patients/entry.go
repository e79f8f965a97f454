package patients

import (
	"encoding/base64"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/web/format"
)

// entry is one thing that a chart says, in words.
type entry struct {
	record.Version
	Section string
	When    format.Partial // when it was so, or was found, or was done
	sort    string
	Title   string // what: Asthma; salbutamol inhaler
	Detail  string // more: the value, the dose, the reason
	Status  string // as its resource has it: active, resolved, final
	By      string // who says so
	byRef   string
	Wrong   bool // entered in error
	Over    bool // resolved, stopped, cancelled: kept, but not of today

	noneKnown bool // says that no allergy is known
	code      string
	Measured  []measured
	Flag      string // high, low …: the interpretation
}

// measured is one value of a result.
type measured struct {
	Name, Value, Unit string
	Range             string
	Low, High         string
	Flag              string // H, L, HH, LL, A, N
}

// Text is the value with its unit.
func (m measured) Text() string { return format.Measured(m.Value, m.Unit) }

// URL is where the entry's versions are.
func (e entry) URL() string {
	return fmt.Sprintf("%s/record/%s/%s", chartURL(e.Tenant, e.Chart), e.Type, e.ID)
}

func entryOf(v record.Version) entry {
	r := v.Resource
	e := entry{Version: v, Section: sectionOf(v.Type)}
	e.Status = firstOf(r, "clinicalStatus.coding.0.code", "status")
	e.Wrong = r.Get("status").String() == "entered-in-error" || r.Get("verificationStatus.coding.0.code").String() == "entered-in-error"
	when := firstOf(r, "onsetDateTime", "effectiveDateTime", "effectivePeriod.start", "effectiveInstant", "occurrenceDateTime", "performedDateTime", "performedPeriod.start",
		"period.start", "start", "authoredOn", "date", "recordedDate", "issued", "dateAsserted", "created")
	if v.Type == "AllergyIntolerance" {
		when = firstOf(r, "recordedDate", "onsetDateTime")
	}
	e.When, e.sort = format.FHIR(when), when
	e.By, e.byRef = author(r)
	switch e.Status {
	case "resolved", "inactive", "remission", "stopped", "completed", "cancelled", "ended", "noshow":
		e.Over = v.Type == "Condition" || v.Type == "AllergyIntolerance" || strings.HasPrefix(v.Type, "Medication") || v.Type == "Appointment"
	}
	e.describe(r)
	if e.Title == "" {
		e.Title = v.Type
	}
	return e
}

func (e *entry) describe(r *fhir.Resource) {
	e.Title = concept(r.Get("code"))
	e.code = codeKey(r.Get("code"))
	switch e.Type {
	case "AllergyIntolerance":
		e.noneKnown = e.code == "716186003" // No known allergy (SNOMED CT)
		var reactions []string
		for m := range r.Get("reaction").Items() {
			reactions = append(reactions, concept(m.Get("manifestation").Index(0)))
		}
		e.Detail = strings.Join(append(reactions, r.Get("criticality").String()), " ")
	case "MedicationRequest", "MedicationStatement", "MedicationDispense", "MedicationAdministration":
		e.medicine(r)
	case "Observation":
		e.result(r)
	case "DiagnosticReport":
		e.Detail = r.Get("conclusion").String()
	case "Immunization":
		e.Title = concept(r.Get("vaccineCode"))
		e.Detail = r.Get("lotNumber").String()
	case "Encounter":
		e.Title = concept(r.Get("reasonCode").Index(0))
		if e.Title == "" {
			e.Title = concept(r.Get("type").Index(0))
		}
		e.Detail = firstOf(r, "class.display", "class.code")
		if l := r.Get("location.0.location.display").String(); l != "" {
			e.Detail += ", " + l
		}
	case "Appointment":
		e.Title = firstOf(r, "description")
		if e.Title == "" {
			e.Title = concept(r.Get("reasonCode").Index(0))
		}
	case "DocumentReference", "Composition":
		if e.Title = firstOf(r, "content.0.attachment.title", "title"); e.Title == "" {
			e.Title = concept(r.Get("type"))
		}
		e.Detail = attachmentText(r)
	case "Procedure":
		e.Detail = concept(r.Get("reasonCode").Index(0))
	}
}

func (e *entry) medicine(r *fhir.Resource) {
	med := r.Get("medicationCodeableConcept")
	e.code = codeKey(med)
	dose := r.Get("dosageInstruction").Index(0)
	if !dose.Exists() {
		dose = r.Get("dosage").Index(0)
	}
	if !dose.Exists() || dose.Kind() != fhir.Object {
		dose = r.Get("dosage")
	}
	name := concept(med)
	if name == "" {
		name = r.Get("medicationReference.display").String()
	}
	e.Title = format.Medicine{Name: name}.String()
	line := format.Medicine{Frequency: dose.Field("text").String(), Route: strings.ToLower(concept(dose.Field("route")))}
	e.Detail = line.String()
}

// result reads an observation's values with their ranges and flags.
func (e *entry) result(r *fhir.Resource) {
	if v, ok := measure(r.Root()); ok {
		e.Measured = append(e.Measured, v)
		e.Flag = v.Flag
	}
	for c := range r.Get("component").Items() {
		if v, ok := measure(c); ok {
			v.Name = concept(c.Field("code"))
			e.Measured = append(e.Measured, v)
			if e.Flag == "" {
				e.Flag = v.Flag
			}
		}
	}
	if len(e.Measured) == 2 && e.Measured[0].Unit == e.Measured[1].Unit && bloodPressure(r.Get("code")) {
		e.Detail = format.Measured(e.Measured[0].Value+"/"+e.Measured[1].Value, e.Measured[0].Unit)
		return
	}
	var values []string
	for _, m := range e.Measured {
		text := m.Text()
		if m.Name != "" {
			text = m.Name + " " + text
		}
		values = append(values, text)
	}
	e.Detail = strings.Join(values, ", ")
	if e.Detail == "" {
		e.Detail = firstOf(r, "valueString", "valueDateTime", "dataAbsentReason.text")
		if e.Detail == "" {
			e.Detail = concept(r.Get("valueCodeableConcept"))
		}
	}
}

// bloodPressure reports whether a code is a blood pressure with both its values (SNOMED CT 75367002, LOINC 85354-9).
func bloodPressure(code fhir.Node) bool {
	for c := range code.Field("coding").Items() {
		if v := c.Field("code").String(); v == "75367002" || v == "85354-9" {
			return true
		}
	}
	return false
}

func measure(n fhir.Node) (measured, bool) {
	q := n.Field("valueQuantity")
	if !q.Field("value").Exists() {
		return measured{}, false
	}
	m := measured{Value: q.Field("comparator").String() + q.Field("value").String(), Unit: q.Field("unit").String(), Flag: n.Field("interpretation").Index(0).Get("coding.0.code").String()}
	switch code := q.Field("code").String(); {
	case code == "mm[Hg]":
		m.Unit = "mmHg"
	case m.Unit == "":
		m.Unit = code
	}
	rr := n.Field("referenceRange").Index(0)
	m.Low, m.High, m.Range = rr.Get("low.value").String(), rr.Get("high.value").String(), rr.Field("text").String()
	if m.Range == "" {
		switch {
		case m.Low != "" && m.High != "":
			m.Range = m.Low + "–" + m.High
		case m.Low != "":
			m.Range = "≥ " + m.Low
		case m.High != "":
			m.Range = "≤ " + m.High
		}
	}
	return m, true
}

// author is who an entry says it comes from: by name, or by reference where no name stands beside it.
func author(r *fhir.Resource) (name, ref string) {
	for _, path := range []string{"recorder", "asserter", "requester", "author.0", "performer.0.actor", "performer.0", "participant.0.individual", "participant.1.actor", "informationSource", "location"} {
		n := r.Get(path)
		if !n.Exists() {
			continue
		}
		if d := n.Field("display").String(); d != "" {
			return d, n.Field("reference").String()
		}
		if f := n.Field("reference").String(); f != "" {
			return "", f
		}
	}
	return "", ""
}

// concept is a codeable concept in words: its text, else the first display.
func concept(n fhir.Node) string {
	if t := n.Field("text").String(); t != "" {
		return t
	}
	code := ""
	for c := range n.Field("coding").Items() {
		if d := c.Field("display").String(); d != "" {
			return d
		}
		if code == "" {
			code = c.Field("code").String()
		}
	}
	return code
}

func codeKey(n fhir.Node) string { return n.Get("coding.0.code").String() }

// firstOf is the first of several elements that has a text.
func firstOf(r *fhir.Resource, paths ...string) string {
	for _, p := range paths {
		if s := r.Get(p).String(); s != "" {
			return s
		}
	}
	return ""
}

// textLimit is how much of a document's text is shown on a page, in characters.
const textLimit = 4000

// attachmentText is a plain-text document's words.
func attachmentText(r *fhir.Resource) string {
	a := r.Get("content.0.attachment")
	if !strings.HasPrefix(a.Field("contentType").String(), "text/plain") {
		return ""
	}
	b, err := base64.StdEncoding.DecodeString(a.Field("data").String())
	if err != nil || !utf8.Valid(b) {
		return ""
	}
	text := []rune(string(b))
	if len(text) > textLimit {
		return string(text[:textLimit]) + " …"
	}
	return string(text)
}
