package bars_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
)

const (
	visitType   = "749001000000101"
	requestType = "3457005"
	ofPatient   = "/DocumentReference?subject:identifier=https://fhir.nhs.uk/Id/nhs-number|"
)

// pointer is one of a custodian, to what it calls named; more are further members.
func pointer(custodian, of, typ, named string, more ...string) string {
	return `{"resourceType":"DocumentReference","identifier":[{"system":"https://fhir.nhs.uk/Id/BaRS-Identifier","value":"` + named + `"},{"system":"https://fhir.nhs.uk/Id/dos-service-id","value":"2000072491"},{"system":"https://fhir.nhs.uk/id/product-id","value":"P.1"}],
		"status":"current","type":{"coding":[{"system":"http://snomed.info/sct","code":"` + typ + `"}]},"category":[{"coding":[{"system":"http://snomed.info/sct","code":"419891008"}]}],
		"subject":{"identifier":{"system":"https://fhir.nhs.uk/Id/nhs-number","value":"` + of + `"}},"custodian":{"identifier":{"system":"https://fhir.nhs.uk/Id/ods-organization-code","value":"` + custodian + `"}},` +
		strings.Join(append(more, `"content":[{"attachment":{"contentType":"application/fhir+json","url":"https://there.example/Appointment/`+named+`"},"format":{"system":"https://fhir.nhs.uk/England/CodeSystem/England-NRLFormatCode","code":"urn:nhs-ic:structured"}}]}`), ",")
}

// made makes a pointer, and is its id.
func (p *program) made(body string) string {
	p.t.Helper()
	a := p.do(http.MethodPost, "/DocumentReference", body)
	at := a.header.Get("Location")
	if a.status != http.StatusCreated || !strings.HasPrefix(at, p.url+"/DocumentReference/") || !strings.Contains(a.body, `"RESOURCE_CREATED"`) {
		p.t.Fatalf("a pointer: %d %q %s", a.status, at, a.body)
	}
	return at[strings.LastIndexByte(at, '/')+1:]
}

// named are the BaRS identifiers of the pointers that a search finds.
func (p *program) named(query string) string {
	p.t.Helper()
	a := p.get(query)
	if a.status != http.StatusOK {
		p.t.Fatalf("%s: %d %s", query, a.status, a.body)
	}
	var list []string
	for _, d := range a.found("DocumentReference") {
		list = append(list, d.Get("identifier.0.value").String())
	}
	return strings.Join(list, " ")
}

// TestAPointerIsWrittenByItsCustodian alone, and found by whoever may know of the patient.
func TestAPointerIsWrittenByItsCustodian(t *testing.T) {
	t.Parallel()
	onBothEngines(t, func(t *testing.T, w *world) {
		theirs, other := w.program(hospital), w.program(practice)
		id := theirs.made(pointer("R68", patient, visitType, "A-1"))
		w.time.Advance(time.Second)
		second := theirs.made(pointer("R68", patient, requestType, "A-2"))
		if got := other.named(ofPatient + patient); got != "A-2 A-1" {
			t.Errorf("the patient's pointers are %q", got)
		}
		for query, want := range map[string]string{
			"&type=http://snomed.info/sct|" + visitType: "A-1", "&type=http://snomed.info/sct|" + requestType: "A-2", "&custodian:identifier=https://fhir.nhs.uk/Id/ods-organization-code|R68": "A-2 A-1",
			"&custodian:identifier=https://fhir.nhs.uk/Id/ods-organization-code|R69": "", "&_id=" + id: "A-1", "&category=http://snomed.info/sct|419891008": "A-2 A-1", "&category=http://snomed.info/sct|1": "",
		} {
			if got := other.named(ofPatient + patient + query); got != want {
				t.Errorf("%s finds %q, want %q", query, got, want)
			}
		}
		if got := other.named(ofPatient + "9476719931"); got != "" {
			t.Errorf("somebody else's pointers are %q", got)
		}
		one := theirs.get("/DocumentReference/" + id)
		if one.status != http.StatusOK || one.json["id"] != id || one.res.Get("content.0.attachment.url").String() != "https://there.example/Appointment/A-1" || one.res.Get("content.0.format.code").String() != "urn:nhs-ic:structured" {
			t.Errorf("the pointer by its id: %d %s", one.status, one.body)
		}

		if a := theirs.do(http.MethodPut, "/DocumentReference/"+id, pointer("R68", patient, visitType, "A-1", `"description":"Moved"`)); a.status != http.StatusOK || !strings.Contains(a.body, `"RESOURCE_UPDATED"`) {
			t.Errorf("changing: %d %s", a.status, a.body)
		}
		if one := theirs.get("/DocumentReference/" + id); one.json["description"] != "Moved" {
			t.Errorf("what was changed: %s", one.body)
		}
		for name, c := range map[string]struct {
			p            *program
			method, path string
			body         string
			status       int
			code         string
		}{
			"another's, by its id":       {other, "GET", "/DocumentReference/" + id, "", 403, "SEND_FORBIDDEN forbidden"},
			"another's, changed":         {other, "PUT", "/DocumentReference/" + id, pointer("R69", patient, visitType, "A-1"), 403, "SEND_FORBIDDEN forbidden"},
			"another's, deleted":         {other, "DELETE", "/DocumentReference/" + id, "", 403, "SEND_FORBIDDEN forbidden"},
			"for somebody else":          {other, "POST", "/DocumentReference", pointer("R68", patient, visitType, "A-9"), 403, "SEND_FORBIDDEN forbidden"},
			"to the same":                {theirs, "POST", "/DocumentReference", pointer("R68", patient, visitType, "A-1"), 409, "BAD_REQUEST duplicate"},
			"to the same, by a change":   {theirs, "PUT", "/DocumentReference/" + second, pointer("R68", patient, visitType, "A-1"), 400, "BAD_REQUEST invariant"},
			"of somebody else now":       {theirs, "PUT", "/DocumentReference/" + id, pointer("R68", "9476719931", visitType, "A-1"), 400, "BAD_REQUEST invariant"},
			"another id in the body":     {theirs, "PUT", "/DocumentReference/" + id, pointer("R68", patient, visitType, "A-1", `"id":"`+second+`"`), 400, "BAD_REQUEST invalid"},
			"none":                       {theirs, "GET", "/DocumentReference/" + uuid.NewString(), "", 404, "NOT_FOUND not-found"},
			"none, changed":              {theirs, "PUT", "/DocumentReference/" + uuid.NewString(), pointer("R68", patient, visitType, "A-1"), 404, "NOT_FOUND not-found"},
			"none, deleted":              {theirs, "DELETE", "/DocumentReference/" + uuid.NewString(), "", 404, "NOT_FOUND not-found"},
			"of nobody":                  {theirs, "POST", "/DocumentReference", pointer("R68", "9990000034", visitType, "A-9"), 404, "NOT_FOUND not-found"},
			"a search for nobody":        {theirs, "GET", ofPatient + "9990000034", "", 404, "NOT_FOUND not-found"},
			"replacing what is none":     {theirs, "POST", "/DocumentReference", pointer("R68", patient, visitType, "A-9", `"relatesTo":[{"code":"replaces","target":{"identifier":{"value":"`+uuid.NewString()+`"}}}]`), 400, "BAD_REQUEST not-found"},
			"replacing of another type":  {theirs, "POST", "/DocumentReference", pointer("R68", patient, visitType, "A-9", `"relatesTo":[{"code":"replaces","target":{"identifier":{"value":"`+second+`"}}}]`), 400, "BAD_REQUEST not-found"},
			"replacing without an id":    {theirs, "POST", "/DocumentReference", pointer("R68", patient, visitType, "A-9", `"relatesTo":[{"code":"replaces","target":{"display":"x"}}]`), 400, "BAD_REQUEST value"},
			"something else":             {theirs, "POST", "/DocumentReference", endpoint("R68", "https://x.example"), 400, "BAD_REQUEST invalid"},
			"not FHIR":                   {theirs, "POST", "/DocumentReference", pointer("R68", patient, visitType, "A-9", `"colour":"red"`), 400, "BAD_REQUEST invalid"},
			"of another type":            {theirs, "POST", "/DocumentReference", pointer("R68", patient, "736253002", "A-9"), 400, "BAD_REQUEST value"},
			"a number that is none":      {theirs, "POST", "/DocumentReference", pointer("R68", "9990000019", visitType, "A-9"), 400, "BAD_REQUEST value"},
			"without a product":          {theirs, "POST", "/DocumentReference", strings.Replace(pointer("R68", patient, visitType, "A-9"), "id/product-id", "id/x", 1), 400, "BAD_REQUEST required"},
			"without a class":            {theirs, "POST", "/DocumentReference", strings.Replace(pointer("R68", patient, visitType, "A-9"), `"category":[{"coding":[{"system":"http://snomed.info/sct","code":"419891008"}]}],`, "", 1), 400, "BAD_REQUEST required"},
			"at no address":              {theirs, "POST", "/DocumentReference", strings.Replace(pointer("R68", patient, visitType, "A-9"), "https://there.example", "there", 1), 400, "BAD_REQUEST value"},
			"a time that runs backwards": {theirs, "POST", "/DocumentReference", pointer("R68", patient, visitType, "A-9", `"context":{"period":{"start":"2026-02-01T07:00:00+00:00","end":"2026-02-01T06:00:00+00:00"}}`), 400, "BAD_REQUEST invalid"},
			"a time without an end":      {theirs, "POST", "/DocumentReference", pointer("R68", patient, visitType, "A-9", `"context":{"period":{"start":"2026-02-01T07:00:00+00:00"}}`), 400, "BAD_REQUEST value"},
			"too long":                   {theirs, "POST", "/DocumentReference", pointer("R68", patient, visitType, "A-9", `"description":"`+strings.Repeat("x", 33<<10)+`"`), 400, "BAD_REQUEST too-long"},
			"nobody named":               {theirs, "GET", "/DocumentReference?type=http://snomed.info/sct|" + visitType, "", 400, "BAD_REQUEST required"},
			"named twice":                {theirs, "GET", ofPatient + patient + "&patient:identifier=https://fhir.nhs.uk/Id/nhs-number|" + patient, "", 400, "BAD_REQUEST required"},
			"an unknown parameter":       {theirs, "GET", ofPatient + patient + "&colour=red", "", 400, "BAD_REQUEST invalid"},
			"another system's number":    {theirs, "GET", "/DocumentReference?subject:identifier=https://x.example|" + patient, "", 400, "BAD_REQUEST value"},
			"a type that there is not":   {theirs, "GET", ofPatient + patient + "&type=http://snomed.info/sct|1", "", 400, "BAD_REQUEST value"},
			"a page that was not told":   {theirs, "GET", ofPatient + patient + "&next-page-token=x", "", 400, "BAD_REQUEST value"},
			"a search for nobody's":      {theirs.but("NHSD-End-User-Organisation", ""), "GET", ofPatient + patient, "", 400, "SEND_BAD_REQUEST required"},
		} {
			if a := c.p.do(c.method, c.path, c.body); a.status != c.status || a.code() != c.code {
				t.Errorf("%s: %d %q, want %d %q: %s", name, a.status, a.code(), c.status, c.code, a.body)
			}
		}

		// A new one takes the place of an old one in one write.
		third := theirs.made(pointer("R68", patient, requestType, "A-3", `"relatesTo":[{"code":"replaces","target":{"type":"DocumentReference","identifier":{"value":"`+second+`"}}}]`))
		if got := other.named(ofPatient + patient + "&type=http://snomed.info/sct|" + requestType); got != "A-3" || third == second {
			t.Errorf("after one was replaced there is %q", got)
		}
		// As published, what concerns one pointer names no organisation: it is the program's.
		if a := theirs.but("NHSD-End-User-Organisation", "").do(http.MethodDelete, "/DocumentReference/"+id, ""); a.status != http.StatusOK || !strings.Contains(a.body, `"RESOURCE_DELETED"`) {
			t.Errorf("deleting: %d %s", a.status, a.body)
		}
		if got := other.named(ofPatient + patient); got != "A-3" {
			t.Errorf("after one was deleted there is %q", got)
		}
	})
}

// TestAPointerIsMadeOnce: sixteen of the same request make one, and a request that comes again does nothing, whatever was done since.
func TestAPointerIsMadeOnce(t *testing.T) {
	t.Parallel()
	onBothEngines(t, func(t *testing.T, w *world) {
		p := w.program(hospital)
		same := p.but("X-Request-Id", uuid.NewString())
		body := pointer("R68", patient, visitType, "B-1")
		race := func(n int, do func(i int) answer) (list []answer) {
			list = make([]answer, n)
			var wait sync.WaitGroup
			for i := range n {
				wait.Go(func() { list[i] = do(i) })
			}
			wait.Wait()
			return list
		}
		first := ""
		for _, a := range race(16, func(int) answer { return same.do(http.MethodPost, "/DocumentReference", body) }) {
			if first == "" {
				first = a.header.Get("Location")
			}
			if a.status != http.StatusCreated || a.header.Get("Location") != first {
				t.Fatalf("the same request at the same moment: %d %q %s", a.status, a.header.Get("Location"), a.body)
			}
		}
		if got := p.named(ofPatient + patient); got != "B-1" {
			t.Fatalf("there is %q", got)
		}
		made := 0
		for _, a := range race(16, func(int) answer {
			return p.do(http.MethodPost, "/DocumentReference", pointer("R68", patient, visitType, "B-2"))
		}) {
			switch {
			case a.status == http.StatusCreated:
				made++
			case a.status != http.StatusConflict:
				t.Errorf("to the same by different requests: %d %s", a.status, a.body)
			}
		}
		if made != 1 {
			t.Errorf("%d pointers were made to one booking", made)
		}
		at := strings.TrimPrefix(first, p.url)
		for _, c := range []struct{ method, path, body string }{{"POST", "/DocumentReference", pointer("R68", patient, visitType, "B-3")}, {"PUT", at, body}, {"DELETE", at, ""}} {
			if a := same.do(c.method, c.path, c.body); a.status != http.StatusConflict || a.code() != "REC_CONFLICT conflict" {
				t.Errorf("%s by the id of another request: %d %s", c.method, a.status, a.body)
			}
		}
		// A change, then another, then the first once more, whose answer was lost.
		early := p.but("X-Request-Id", uuid.NewString())
		for _, x := range []struct {
			p    *program
			says string
		}{{early, "early"}, {p, "late"}, {early, "early"}} {
			if a := x.p.do(http.MethodPut, at, pointer("R68", patient, visitType, "B-1", `"description":"`+x.says+`"`)); a.status != http.StatusOK {
				t.Fatalf("changing: %d %s", a.status, a.body)
			}
		}
		if a := p.get(at); a.json["description"] != "late" {
			t.Errorf("a change that came again was done again: %s", a.body)
		}
		gone := p.but("X-Request-Id", uuid.NewString())
		for _, a := range race(8, func(int) answer { return gone.do(http.MethodDelete, at, "") }) {
			if a.status != http.StatusOK {
				t.Errorf("the same deletion at the same moment: %d %s", a.status, a.body)
			}
		}
		if a := same.do(http.MethodPost, "/DocumentReference", body); a.status != http.StatusCreated || a.header.Get("Location") != first {
			t.Errorf("the first request again: %d %s", a.status, a.body)
		}
		if a := p.get(at); a.status != http.StatusNotFound {
			t.Errorf("a deleted pointer stands again: %d %s", a.status, a.body)
		}
	})
}

// TestPointersComeInPages of twenty, the newest first, each once, though one is made meanwhile.
func TestPointersComeInPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.program(hospital)
	const all = 45
	for i := range all {
		if i%10 == 0 { // some are of one moment
			w.time.Advance(time.Second)
		}
		p.made(pointer("R68", patient, visitType, fmt.Sprint("C-", i)))
	}
	seen, pages := map[string]bool{}, 0
	for path := ofPatient + patient; path != ""; pages++ {
		a := p.get(path)
		if a.status != http.StatusOK || len(a.found("DocumentReference")) > 20 {
			t.Fatalf("%d %s", a.status, a.body)
		}
		for _, d := range a.found("DocumentReference") {
			id := d.Field("id").String()
			if seen[id] {
				t.Errorf("%s is told twice", id)
			}
			seen[id] = true
		}
		path = ""
		if token := a.res.Get("meta.tag.0.code").String(); token != "" {
			path = ofPatient + patient + "&next-page-token=" + url.QueryEscape(token)
		}
		if pages == 0 {
			w.time.Advance(time.Second)
			p.made(pointer("R68", patient, visitType, "C-new"))
		}
	}
	if len(seen) != all || pages != 3 {
		t.Errorf("%d pointers on %d pages", len(seen), pages)
	}
}

// TestOwnBookingsArePointedTo: what is booked and referred here is pointed to as it is at that moment, and nobody writes those pointers.
func TestOwnBookingsArePointedTo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.gives(clinic, day(0, 0))
	p, h := w.program(practice), w.program(hospital)
	booked := p.do(http.MethodPost, "/Appointment", alone(p.free()[0]))
	if booked.status != http.StatusOK {
		t.Fatalf("booking: %d %s", booked.status, booked.body)
	}
	visit := booked.res.ID()
	found := h.get(ofPatient + patient)
	if len(found.found("DocumentReference")) != 2 {
		t.Fatalf("to a booking and its referral there are %s", found.body)
	}
	for _, d := range found.found("DocumentReference") {
		at := d.Get("content.0.attachment.url").String()
		if a := h.get(strings.TrimPrefix(at, w.url)); a.status != http.StatusOK || !strings.HasPrefix(at, w.url) {
			t.Errorf("what is pointed to (%s): %d %s", at, a.status, a.body)
		}
		if custodian, author := d.Get("custodian.identifier.value").String(), d.Get("author.0.identifier.value").String(); custodian != "R68" || author != "R69" {
			t.Errorf("it is kept by %s, for %s", custodian, author)
		}
		path := "/DocumentReference/" + d.Field("id").String()
		if a := h.get(path); a.status != http.StatusOK || a.json["id"] != d.Field("id").String() {
			t.Errorf("by its id: %d %s", a.status, a.body)
		}
		if a := h.do(http.MethodDelete, path, ""); a.status != http.StatusForbidden || a.code() != "SEND_FORBIDDEN forbidden" {
			t.Errorf("deleting it: %d %s", a.status, a.body)
		}
		if a := w.program(national).get(path); a.status != http.StatusForbidden {
			t.Errorf("somebody else, by its id: %d %s", a.status, a.body)
		}
	}
	visits := ofPatient + patient + "&type=http://snomed.info/sct|" + visitType
	if d := h.get(visits).found("DocumentReference"); len(d) != 1 || d[0].Get("identifier.0.value").String() != visit || d[0].Get("context.period.start").String() != "2026-01-22T09:00:00+00:00" {
		t.Errorf("the pointer to the booking: %v", d)
	}
	// A pointer that the hospital writes to the same is shown instead.
	id := h.made(pointer("R68", patient, visitType, visit))
	if d := p.get(visits).found("DocumentReference"); len(d) != 1 || d[0].Field("id").String() != id {
		t.Errorf("with the hospital's own pointer there are %d", len(d))
	}
	if a := h.do(http.MethodDelete, "/DocumentReference/"+id, ""); a.status != http.StatusOK {
		t.Fatalf("deleting: %d %s", a.status, a.body)
	}
	if a := p.do(http.MethodDelete, "/Appointment/"+visit, ""); a.status != http.StatusOK {
		t.Fatalf("cancelling: %d %s", a.status, a.body)
	}
	if got := h.named(visits); got != "" {
		t.Errorf("a cancelled booking is pointed to: %s", got)
	}
}

// TestPointersOfSomebodyHidden are as those of nobody.
func TestPointersOfSomebodyHidden(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.program(hospital)
	id := p.made(pointer("R68", patient, visitType, "D-1"))
	w.load(`{"resourceType":"Patient","id":"` + patient + `","meta":{"security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"R"}]},"identifier":[{"system":"https://fhir.nhs.uk/Id/nhs-number","value":"` + patient + `"}],"name":[{"use":"usual","family":"O'Neill","given":["Zoë"]}],"gender":"female","birthDate":"1970-01-02"}`)
	said := func(a answer) string {
		return fmt.Sprint(a.status, a.code(), a.res.Get("issue.0.diagnostics").String())
	}
	const nobody = "9990000034"
	for _, x := range [][2]answer{
		{p.get(ofPatient + patient), p.get(ofPatient + nobody)}, {p.get("/DocumentReference/" + id), p.get("/DocumentReference/" + uuid.NewString())},
		{p.do("DELETE", "/DocumentReference/"+id, ""), p.do("DELETE", "/DocumentReference/"+uuid.NewString(), "")},
		{p.do("POST", "/DocumentReference", pointer("R68", patient, visitType, "D-2")), p.do("POST", "/DocumentReference", pointer("R68", nobody, visitType, "D-2"))},
	} {
		if said(x[0]) != said(x[1]) || x[0].status != http.StatusNotFound {
			t.Errorf("of somebody hidden: %s; of nobody: %s", said(x[0]), said(x[1]))
		}
	}
}
