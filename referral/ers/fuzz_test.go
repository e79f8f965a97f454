package ers_test

import (
	"regexp"
	"slices"
	"testing"
	"unicode/utf8"

	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/referral/ers"
)

const outcomeSeed = `{"resourceType":"Parameters","parameter":[{"name":"reviewOutcome","valueCoding":{"system":"https://fhir.nhs.uk/STU3/CodeSystem/eRS-ReviewOutcome-1","code":"ACCEPT_REFER_BOOK_LATER"}},{"name":"reviewComments","valueString":"Soon"},
	{"name":"reviewAttachmentFile","resource":{"resourceType":"DocumentReference","meta":{"profile":["https://fhir.nhs.uk/STU3/StructureDefinition/eRS-DocumentReference-1"]},"status":"current","indexed":"2024-06-03T09:30:00Z",
	"type":{"coding":[{"system":"https://fhir.nhs.uk/STU3/CodeSystem/eRS-AttachmentType-1","code":"PROVIDER"}]},"content":[{"attachment":{"url":"Binary/1","contentType":"application/pdf"}}]}}]}`

// FuzzParameters reads anything as parameters with files: it is refused with a published code, or holds a code that is known and files that can be looked up.
func FuzzParameters(f *testing.F) {
	for _, text := range []string{"{}", `{"resourceType":"Parameters"}`, `{"resourceType":"Parameters","parameter":[{"name":"reviewOutcome"},{"name":"reviewOutcome"}]}`, `{"resourceType":"Parameters","parameter":[{"name":"reviewAttachmentFile","resource":{}}]}`, outcomeSeed} {
		f.Add(text)
	}
	id := regexp.MustCompile(`^[0-9A-Za-z-]{1,64}$`)
	f.Fuzz(func(t *testing.T, text string) {
		res, err := fhir.Parse([]byte(text))
		if err != nil {
			return
		}
		outcome, files, err := ers.ReadOutcome(res)
		if err != nil {
			if ers.CodeOf(err) == "" || !utf8.ValidString(err.Error()) {
				t.Errorf("refused without a code: %v", err)
			}
			return
		}
		if !slices.Contains([]string{"RETURN_TO_REFERRER_WITH_ADVICE", "ACCEPT_REFER_BOOK_LATER"}, outcome) {
			t.Errorf("the outcome %q", outcome)
		}
		seen := map[string]bool{}
		for _, x := range files {
			if !id.MatchString(x.ID) || seen[x.ID] {
				t.Errorf("the file %q, named before: %v", x.ID, seen[x.ID])
			}
			seen[x.ID] = true
		}
	})
}

// FuzzSlotQuery reads anything as a search for slots: it is refused with a published code, or asks for a page that there may be.
func FuzzSlotQuery(f *testing.F) {
	for _, raw := range []string{"", "%", "a=%zz", "status=free&schedule.actor:HealthcareService=1&appointmentType=ROUTINE&_count=5&page=1", "_count=5&_count=6", "status=free&schedule.actor:HealthcareService=1&appointmentType=ROUTINE&_count=-5&page=99999999999999999999"} {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		count, page, err := ers.ReadSlotQuery(raw)
		switch {
		case err != nil && ers.CodeOf(err) == "":
			t.Errorf("%q is refused without a code: %v", raw, err)
		case err == nil && (count < 1 || count > 100 || page < 1 || page > 5000):
			t.Errorf("%q asks for page %d of %d", raw, page, count)
		}
	})
}
