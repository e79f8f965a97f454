package ers_test

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/booking/attach"
	"github.com/openspine/openspine/referral"
	"github.com/openspine/openspine/referral/ers"
	"github.com/openspine/openspine/sim/seed/published"
)

// uploaded is the place of a file that was uploaded: Binary/….
func (c *caller) uploaded(name, mime, holds, ubrn string) string {
	c.t.Helper()
	a := c.do(http.MethodPost, "/STU3/Binary", holds, "Content-Type", mime, "NHSD-eRS-File-Name", name, "NHSD-eRS-Referral-ID", ubrn)
	if a.status != http.StatusCreated || !strings.HasPrefix(a.header.Get("Location"), "Binary/") {
		c.t.Fatalf("upload %s: %d %s", name, a.status, a.body)
	}
	return a.header.Get("Location")
}

// documentParameter names an uploaded file in a request.
func documentParameter(name, kind, url, description string) string {
	if description != "" {
		description = `"description":"` + description + `",`
	}
	return fmt.Sprintf(`{"name":%q,"resource":{"meta":{"profile":["https://fhir.nhs.uk/STU3/StructureDefinition/eRS-DocumentReference-1"]},"resourceType":"DocumentReference","type":{"coding":[
		{"system":"https://fhir.nhs.uk/STU3/CodeSystem/eRS-AttachmentType-1","code":%q}]},"status":"current","indexed":"2026-01-15T09:30:00.000Z",%s"content":[{"attachment":{"url":%q}}]}}`, name, kind, description, url)
}

func letterBody(parameters ...string) string {
	return `{"meta":{"profile":["https://fhir.nhs.uk/STU3/StructureDefinition/eRS-MaintainReferralLetter-Parameters-1"]},"resourceType":"Parameters","parameter":[` + strings.Join(parameters, ",") + `]}`
}

// TestFilesByProgram uploads (A020), attaches and takes off (A012), and reads (A006, A042).
func TestFilesByProgram(t *testing.T) {
	w := newWorld(t)
	w.registered("9990000018")
	gp := w.as(staff("gp", access.Clinician, practice), acting(ers.ReferringClinician, practice)...)
	consultant := w.as(staff("consultant", access.Clinician, hospital), acting(ers.ProviderClinician, hospital)...)
	ubrn := gp.post("/STU3/ReferralRequest/$ers.createReferral", w.createBody("9990000018", "11002")).json["id"].(string)
	first, second := gp.uploaded("ecg.pdf", "application/pdf", "%PDF-1.4 one", ubrn), gp.uploaded("mole.png", "image/png", "\x89PNG\r\n\x1a\n", ubrn)
	maintain := "/STU3/ReferralRequest/" + ubrn + "/$ers.maintainReferralLetter"
	a := gp.post(maintain, letterBody(documentParameter("referralLetterFile", "REFERRER", first, "the trace"), documentParameter("referralLetterFile", "REFERRER", second, "")), "If-Match", `W/"1"`)
	if a.status != http.StatusOK || len(a.json["supportingInfo"].([]any)) != 2 || !strings.Contains(a.body, `"title":"ecg.pdf"`) || !strings.Contains(a.body, `"description":"the trace"`) {
		t.Fatalf("attach: %d %s", a.status, a.body)
	}
	if a := gp.get("/STU3/" + first); a.status != http.StatusOK || a.body != "%PDF-1.4 one" || a.header.Get("Content-Type") != "application/pdf" || !strings.Contains(a.header.Get("Content-Disposition"), "ecg.pdf") {
		t.Errorf("A006: %d %v %q", a.status, a.header, a.body)
	}
	if a := consultant.get("/STU3/" + first); a.status != http.StatusForbidden && a.status != http.StatusNotFound {
		t.Errorf("a hospital that nobody has chosen read it: %d", a.status)
	}
	there := gp.get("/R4/" + first) // the client follows the redirect, and shows who it is there as well
	if there.status != http.StatusOK || there.body != "%PDF-1.4 one" {
		t.Errorf("A042: %d %s", there.status, there.body)
	}
	w.ticket(gp, first)

	good := documentParameter("referralLetterFile", "REFERRER", second, "")
	for name, c := range map[string]struct{ body, code string }{
		"the same files":    {letterBody(good, documentParameter("referralLetterFile", "REFERRER", first, "")), "NO_CHANGES_DETECTED"},
		"none":              {letterBody(), "INVALID_FHIR_STRUCTURE"},
		"one that is none":  {letterBody(documentParameter("referralLetterFile", "REFERRER", "Binary/3f2b8c1e-0000-4000-8000-000000000000", "")), "REFERENCE_NOT_FOUND"},
		"one for nothing":   {letterBody(documentParameter("referralLetterFile", "REFERRER", gp.uploaded("loose.txt", "text/plain", "x", ""), "")), "INAPPROPRIATE_VALUE"},
		"twice":             {letterBody(good, good), "DUPLICATE_FILENAME"},
		"two of one name":   {letterBody(good, documentParameter("referralLetterFile", "REFERRER", gp.uploaded("MOLE.png", "image/png", "\x89PNG\r\n\x1a\n.", ubrn), "")), "DUPLICATE_FILENAME"},
		"a provider's":      {letterBody(documentParameter("referralLetterFile", "PROVIDER", second, "")), "INVALID_CODE"},
		"another parameter": {letterBody(good, `{"name":"wish","valueString":"x"}`), "UNEXPECTED_FIELD"},
	} {
		if a := gp.post(maintain, c.body, "If-Match", `W/"2"`); a.status != http.StatusUnprocessableEntity || a.code() != c.code {
			t.Errorf("%s: %d %s %.300s", name, a.status, a.code(), a.body)
		}
	}
	if a := gp.post(maintain, letterBody(good), "If-Match", `W/"2"`); a.status != http.StatusOK || len(a.json["supportingInfo"].([]any)) != 1 {
		t.Errorf("take one off: %d %s", a.status, a.body)
	}
	if a := gp.get("/STU3/" + first); a.status != http.StatusNotFound {
		t.Errorf("a file that was taken off: %d", a.status)
	}
}

// ticket follows A042's redirect as somebody without a token, once in time and once too late.
func (w *world) ticket(gp *caller, binary string) {
	w.t.Helper()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, w.url+"/R4/"+binary, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+gp.token)
	for i := 0; i < len(gp.headers); i += 2 {
		req.Header.Set(gp.headers[i], gp.headers[i+1])
	}
	resp, err := client.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusTemporaryRedirect {
		w.t.Fatalf("A042: %d", resp.StatusCode)
	}
	get := func() (int, string) {
		resp, err := http.Get(resp.Header.Get("Location"))
		if err != nil {
			w.t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			w.t.Fatal(err)
		}
		return resp.StatusCode, string(body)
	}
	if status, body := get(); status != http.StatusOK || body != "%PDF-1.4 one" {
		w.t.Errorf("by its ticket: %d %s", status, body)
	}
	w.time.Advance(5 * 60 * 1e9)
	if status, _ := get(); status != http.StatusNotFound {
		w.t.Errorf("after five minutes: %d", status)
	}
}

// TestAnUploadThatIsNotSoundIsRefused (A020).
func TestAnUploadThatIsNotSoundIsRefused(t *testing.T) {
	w := newWorld(t)
	gp := w.as(staff("gp", access.Clinician, practice), acting(ers.ReferringClinician, practice)...)
	for name, c := range map[string]struct {
		file, mime, holds, ubrn string
		status                  int
		code                    string
	}{
		"a program":           {"letter.pdf", "application/pdf", "MZ\x00", "", 422, "CONFLICTING_VALUES"},
		"another type":        {"letter.pdf", "image/png", "%PDF-1.4", "", 422, "CONFLICTING_VALUES"},
		"no name":             {"", "text/plain", "x", "", 422, "MISSING_VALUE"},
		"an unknown ending":   {"letter.exe", "text/plain", "x", "", 422, "INVALID_VALUE"},
		"an unknown type":     {"letter.pdf", "application/zip", "x", "", 415, ""},
		"nothing":             {"letter.txt", "text/plain", "", "", 422, "FILE_SIZE_ERROR"},
		"too much":            {"letter.txt", "text/plain", strings.Repeat("a", attach.MostBytes+1), "", 422, "FILE_SIZE_ERROR"},
		"for no referral":     {"letter.txt", "text/plain", "x", "000000000009", 422, "INAPPROPRIATE_VALUE"},
		"for what is none":    {"letter.txt", "text/plain", "x", "seven", 422, "INVALID_VALUE"},
		"5 MB, which is well": {"letter.txt", "text/plain", strings.Repeat("a", attach.MostBytes), "", 201, ""},
	} {
		headers := []string{"Content-Type", c.mime, "NHSD-eRS-File-Name", c.file}
		if c.ubrn != "" {
			headers = append(headers, "NHSD-eRS-Referral-ID", c.ubrn)
		}
		if a := gp.do(http.MethodPost, "/STU3/Binary", c.holds, headers...); a.status != c.status || a.code() != c.code {
			t.Errorf("%s: %d %s %.300s", name, a.status, a.code(), a.body)
		}
	}
}

// TestAConversationIsAFile: a referral that was made of a question names its conversation among its files, and whoever may read the one reads the other; there is none of other numbers.
func TestAConversationIsAFile(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.t = t
	a := s.asks(published.Patient, nearLeeds, true, "May I refer her?")
	if _, _, err := s.node.Referrals().ConvertAdvice(t.Context(), s.byReviewer(), a.UBRN, referral.Conversion{Seen: a.Version, Text: "We take her.", Note: "Soon", Priority: referral.Routine}); err != nil {
		t.Fatal(err)
	}
	read := s.referrer().get("/STU3/ReferralRequest/" + a.UBRN.String())
	m := regexp.MustCompile(`"url":"(Binary/[0-9a-f-]{36})","size":([0-9]+),"title":"Advice and guidance conversation - ` + a.UBRN.String() + `.pdf"`).FindStringSubmatch(read.body)
	if m == nil {
		t.Fatalf("%d: it names no conversation: %s", read.status, read.body)
	}
	for _, who := range []*caller{s.referrer(), s.reviewer()} {
		for _, version := range []string{"/STU3/", "/R4/"} {
			got := who.get(version + m[1])
			if got.status != http.StatusOK || !strings.HasPrefix(got.body, "%PDF-") || strconv.Itoa(len(got.body)) != m[2] || got.header.Get("Content-Type") != "application/pdf" {
				t.Errorf("%s: %d, %d bytes of %s", version, got.status, len(got.body), m[2])
			}
		}
	}
	plain := s.refers(draft(referral.Routine, "11000"))
	open := s.asks(published.Third, nearLeeds, true, "And of her?")
	for what, id := range map[string]string{"a referral that nobody asked about": plain.UBRN.String(), "a question that goes on": open.UBRN.String(), "nobody's number": "000000099999"} {
		if got := s.referrer().get("/STU3/" + m[1][:len(m[1])-12] + id); got.status != http.StatusNotFound {
			t.Errorf("%s: %d", what, got.status)
		}
	}
	if err := s.node.Kernel().Gate.PutUser(t.Context(), staff("elsewhere", access.Clinician, movedTo)); err != nil {
		t.Fatal(err)
	}
	if got := s.as(staff("elsewhere", access.Clinician, movedTo), acting(ers.ReferringClinician, movedTo)...).get("/STU3/" + m[1]); got.status != http.StatusNotFound {
		t.Errorf("somebody with no part in it: %d", got.status)
	}
}
