package demographics_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/demographics"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/spectest"
)

// patch sends patches over the current version; headers may say otherwise.
func (c *caller) patch(number, patches string, headers ...string) *answer {
	c.t.Helper()
	ver := c.get("/Patient/" + number).header.Get("ETag")
	return c.do("PATCH", "/Patient/"+number, `{"patches":[`+patches+`]}`, append([]string{"If-Match", ver, "Content-Type", "application/json-patch+json"}, headers...)...)
}

// TestPublishedPatches sends each published example of an update. Those that the prose of the specification forbids are refused.
func TestPublishedPatches(t *testing.T) {
	t.Parallel()
	dir := spectest.Dir(t, "pds", "specification", "components", "examples", "requests", "PatientPatch")
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"add-deceased-date-time":     "400 INSERT_BIRTH_DEATH_STATUS_INCONSISTENT: a date of death comes with a death notification",
		"add-extension":              "200",
		"add-name":                   "200",
		"delete-extension":           "200",
		"delete-gender":              "403 FORBIDDEN_UPDATE: gender cannot be removed",
		"delete-name":                "403 FORBIDDEN_UPDATE: it is the usual name of this person",
		"delete-name-alternative":    "400 INVALID_UPDATE: the person's name has no suffix, so the test fails",
		"update-address":             "200",
		"update-address-alternative": "200",
		"update-extension":           "403 FORBIDDEN_UPDATE: the death notification is formal",
		"update-gender":              "200",
	}
	var out strings.Builder
	out.WriteString("# Published examples of updates, sent to the published person (the nearly empty one for what is added). TestPublishedPatches writes this with -update.\n")
	for _, f := range files {
		w := publishedWorld(t)
		name := strings.TrimSuffix(f.Name(), ".json")
		text, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		number := "9000000009"
		if name == "add-extension" || name == "add-deceased-date-time" {
			number = "9000000033"
		}
		c := w.worker()
		a := c.do("PATCH", "/Patient/"+number, string(text), "If-Match", c.get("/Patient/"+number).header.Get("ETag"), "Content-Type", "application/json-patch+json")
		got := fmt.Sprint(a.status)
		if a.status != 200 {
			got += " " + a.json().Get("issue.0.details.coding.0.code").String()
		}
		expected, why, _ := strings.Cut(want[name], ": ")
		if got != expected {
			t.Errorf("%s is answered %s, want %s: %s", name, got, want[name], a.body)
		}
		fmt.Fprintf(&out, "%s: %s %s\n", name, got, why)
	}
	golden(t, "testdata/patches.golden", out.String())
}

func TestUpdatesAreRefusedInPublishedWords(t *testing.T) {
	t.Parallel()
	w := publishedWorld(t)
	w.load(person("9990000018", "Marsh", "Ada", "1980-01-02", restricted))
	c := w.worker()
	const number = "5900046192"
	ver := c.get("/Patient/" + number).header.Get("ETag")
	good := []string{"If-Match", ver, "Content-Type", "application/json-patch+json"}
	body := `{"patches":[{"op":"replace","path":"/gender","value":"female"}]}`
	c.do("PATCH", "/Patient/9000000000", body, good...).refused(400, "INVALID_RESOURCE_ID", "")
	c.do("PATCH", "/Patient/9111231130", body, good...).refused(404, "RESOURCE_NOT_FOUND", "")
	c.do("PATCH", "/Patient/"+number, body, "Content-Type", "application/json-patch+json").refused(412, "PRECONDITION_FAILED", "Invalid request with error - If-Match header must be supplied to update this resource")
	c.do("PATCH", "/Patient/"+number, body, "If-Match", `"1"`, "Content-Type", "application/json-patch+json").refused(412, "PRECONDITION_FAILED", "")
	c.do("PATCH", "/Patient/"+number, body, "If-Match", `W/"99"`, "Content-Type", "application/json-patch+json").refused(409, "RESOURCE_VERSION_MISMATCH", "")
	c.do("PATCH", "/Patient/"+number, body, "If-Match", ver, "Content-Type", "application/bananas").refused(400, "UNSUPPORTED_SERVICE", "")
	c.do("PATCH", "/Patient/"+number, "{}", good...).refused(400, "INVALID_UPDATE", "Invalid update with error - No patches found")
	c.do("PATCH", "/Patient/"+number, "{", good...).refused(400, "INVALID_UPDATE", "")
	w.system().do("PATCH", "/Patient/"+number, body, good...).refused(403, "INVALID_METHOD", "Your app has insufficient permissions to use this method. Please contact support.")
	c.patch("9990000018", `{"op":"replace","path":"/gender","value":"male"}`).refused(403, "FORBIDDEN_UPDATE", "")
	for _, p := range []struct{ number, patches, code, diagnostics string }{
		{number, `{"op":"bad_value","path":"not a path"}`, "INVALID_VALUE", "Invalid value - 'bad_value' in field '0/op'"},
		{number, `{"op":"add","path":"not a path","value":1}`, "INVALID_VALUE", "Invalid value - 'not a path' in field '0/path'"},
		{number, `{"op":"move","path":"/gender","from":"/birthDate"}`, "INVALID_VALUE", "Invalid value - 'move' in field '0/op'"},
		{number, `{"op":"add","path":"/gender"}`, "MISSING_VALUE", "Missing value - '0/value'"},
		{number, `{"op":"add","path":"/pets","value":["cat"]}`, "INVALID_UPDATE", "Invalid update with error - Update unsupported for resource - 'pets'"},
		{number, `{"op":"replace","path":"/id","value":"9000000009"}`, "INVALID_UPDATE", "Invalid update with error - Update unsupported for resource - 'id'"},
		{number, `{"op":"replace","path":"/identifier/0/value","value":"9000000009"}`, "INVALID_UPDATE", ""},
		{number, `{"op":"replace","path":"/meta/security/0/code","value":"R"}`, "INVALID_UPDATE", ""},
		{number, `{"op":"remove","path":"/name/1"}`, "INVALID_UPDATE", "Invalid update with error - removal '/name/1' is not immediately preceded by equivalent test - instead it is the first item"},
		{number, `{"op":"test","path":"/name/1/id","value":"123456"},{"op":"remove","path":"/name/1"}`, "INVALID_UPDATE", "Invalid update with error - Invalid patch - index '1' is out of bounds"},
		{number, `{"op":"test","path":"/name/0/id","value":"283EBC8B"},{"op":"remove","path":"/name/0/suffix/0"}`, "INVALID_UPDATE", "Invalid update with error - Invalid patch - can't remove non-existent object '0'"},
		{number, `{"op":"test","path":"/name/0/id","value":"wrong"},{"op":"remove","path":"/name/0"}`, "INVALID_UPDATE", ""},
		{number, `{"op":"test","path":"/name/0/id","value":"283EBC8B"},{"op":"test","path":"/gender","value":"male"},{"op":"remove","path":"/name/0"}`, "INVALID_UPDATE", ""},
		{number, `{"op":"replace","path":"/address/0/line/0","value":"2 Whitehall Quay"}`, "INVALID_UPDATE", "Invalid update with error - no id or url found for path with root /address/0"},
		{number, `{"op":"replace","path":"/address/0/id","value":"123456"},{"op":"replace","path":"/address/0/line/0","value":"2 Whitehall Quay"}`, "INVALID_UPDATE", "Invalid update with error - no 'address' resources with object id '123456'"},
		{"5900059073", `{"op":"replace","path":"/address/0/id","value":"456"},{"op":"replace","path":"/address/0/line/0","value":"2 Whitehall Quay"}`, "INVALID_UPDATE", "Invalid update with error - Invalid patch - index '0' is out of bounds"},
		{"5900059073", `{"op":"replace","path":"/address/0/line/0","value":"2 Whitehall Quay"}`, "INVALID_UPDATE", "Invalid update with error - no id or url found for path with root /address/0"},
		{number, `{"op":"add","path":"/name/0","value":{"use":"old","family":"X"}}`, "INVALID_UPDATE", ""},
		{number, `{"op":"add","path":"/name/-","value":{"use":"usual","family":"Bloggs","given":["Joe"],"period":{"start":"2019-12-31"}}}`, "FORBIDDEN_UPDATE", "Forbidden update with error - multiple usual names cannot be added"},
		{number, `{"op":"replace","path":"/name/0","value":{"id":"283EBC8B","use":"nickname","family":"Bloggs"}}`, "FORBIDDEN_UPDATE", ""},
		{number, `{"op":"test","path":"/name/0/id","value":"283EBC8B"},{"op":"remove","path":"/name/0"}`, "FORBIDDEN_UPDATE", ""},
		{number, `{"op":"add","path":"/name/-","value":{"use":"old","family":"Bl😀ggs"}}`, "UNSUPPORTED_CHARACTERS_IN_FIELD", ""},
		{number, `{"op":"add","path":"/name/-","value":{"use":"old","family":"כהן"}}`, "UNSUPPORTED_CHARACTERS_IN_FIELD", ""},
		{number, `{"op":"add","path":"/name/-","value":{"use":"old","family":"   "}}`, "INVALID_VALUE", ""},
		{number, `{"op":"add","path":"/name/-","value":{"use":"old","family":"` + strings.Repeat("x", 300) + `"}}`, "INVALID_VALUE", ""},
		{number, "{\"op\":\"add\",\"path\":\"/name/-\",\"value\":{\"use\":\"old\",\"family\":\"O`Brien\"}}", "INVALID_VALUE", "Invalid value - 'O`Brien' in field 'name/1/family'"},
		{number, `{"op":"add","path":"/name/-","value":{"use":"old","family":"X","given":["a","b","c","d","e","f"]}}`, "TOO_MANY_VALUES_SUBMITTED", ""},
		{number, `{"op":"add","path":"/name/-","value":{"use":"old","family":"X","pets":["cat"]}}`, "ADDITIONAL_PROPERTIES", ""},
		{number, `{"op":"add","path":"/name/-","value":{"family":"X"}}`, "MISSING_VALUE", "Missing value - 'name/1/use'"},
		{number, `{"op":"add","path":"/name/-","value":{"use":"old","family":"X","period":{"start":"2999-01-01"}}}`, "INVALID_UPDATE", ""},
		{number, `{"op":"add","path":"/name/-","value":{"use":"old","family":"X","period":{"start":"2020-01-02","end":"2020-01-01"}}}`, "INVALID_UPDATE", ""},
		{number, `{"op":"add","path":"/name/-","value":{"use":"old","family":"X","suffix":["mbe"]}}`, "INVALID_VALUE", ""},
		{number, `{"op":"replace","path":"/birthDate","value":"2199-01-01"}`, "INVALID_UPDATE", ""},
		{number, `{"op":"replace","path":"/birthDate","value":"yesterday"}`, "INVALID_VALUE", "Invalid value - 'yesterday' in field 'birthDate'"},
		{number, `{"op":"remove","path":"/birthDate"}`, "FORBIDDEN_UPDATE", ""},
		{number, `{"op":"replace","path":"/gender","value":"other"}`, "INVALID_VALUE", "Invalid value - 'other' in field 'gender'"},
		{number, `{"op":"add","path":"/multipleBirthInteger","value":12}`, "INVALID_VALUE", ""},
		{number, `{"op":"add","path":"/address/-","value":{"use":"work","line":["1 Road"]}}`, "UNSUPPORTED_VALUE", ""},
		{number, `{"op":"add","path":"/address/-","value":{"use":"home","line":["1 Road"]}}`, "FORBIDDEN_UPDATE", ""},
		{number, `{"op":"add","path":"/address/-","value":{"use":"temp","line":["1 Road"],"text":"Holiday Home"}}`, "MISSING_VALUE", ""},
		{number, `{"op":"add","path":"/address/-","value":{"use":"temp","line":["1 Road"],"text":"Castle","period":{"start":"2026-01-01","end":"2026-01-31"}}}`, "INVALID_VALUE", ""},
		{number, `{"op":"add","path":"/address/-","value":{"use":"temp","line":["1 Road"],"text":"Holiday Home","period":{"start":"2026-01-01","end":"2026-12-31"}}}`, "INVALID_UPDATE", ""},
		{number, `{"op":"add","path":"/telecom/-","value":{"use":"home","system":"email","value":"nobody"}}`, "INVALID_VALUE", ""},
		{number, `{"op":"add","path":"/telecom/-","value":{"use":"old","system":"phone","value":"0163"}}`, "INVALID_VALUE", ""},
		{number, `{"op":"add","path":"/contact/-","value":{"relationship":[{"coding":[{"code":"N"}]}],"telecom":[{"system":"phone","value":"0163"}]}}`, "INVALID_VALUE", ""},
		{number, `{"op":"add","path":"/contact/-","value":{"relationship":[{"coding":[{"code":"C"}]}],"telecom":[{"system":"fax","value":"0163"}]}}`, "INVALID_VALUE", ""},
		{number, `{"op":"add","path":"/extension/-","value":{"url":"https://example.org/pets"}}`, "INVALID_UPDATE", ""},
		{number, `{"op":"add","path":"/extension/-","value":` + deathNotice("2") + `},{"op":"add","path":"/deceasedDateTime","value":"2025-01-01"}`, "FORBIDDEN_UPDATE", ""},
		{number, `{"op":"add","path":"/extension/-","value":` + deathNotice("U") + `},{"op":"add","path":"/deceasedDateTime","value":"2025-01-01"}`, "UNSUPPORTED_VALUE", ""},
		{number, `{"op":"add","path":"/extension/-","value":` + deathNotice("1") + `}`, "INSERT_BIRTH_DEATH_STATUS_INCONSISTENT", ""},
		{number, `{"op":"add","path":"/extension/-","value":` + deathNotice("1") + `},{"op":"add","path":"/deceasedDateTime","value":"1891-01-01"}`, "INSERT_BIRTH_DEATH_STATUS_INCONSISTENT", ""},
		{number, `{"op":"add","path":"/extension/-","value":` + deathNotice("1") + `},{"op":"add","path":"/deceasedDateTime","value":"2199-01-01"}`, "INVALID_UPDATE", ""},
	} {
		status := 400
		if p.code == "FORBIDDEN_UPDATE" {
			status = 403
		}
		c.patch(p.number, p.patches).refused(status, p.code, p.diagnostics)
	}
	if got := c.get("/Patient/" + number).header.Get("ETag"); got != ver {
		t.Errorf("refused patches made version %s", got)
	}
}

func deathNotice(status string) string {
	return `{"url":"https://fhir.hl7.org.uk/StructureDefinition/Extension-UKCore-DeathNotificationStatus","extension":[{"url":"deathNotificationStatus","valueCodeableConcept":{"coding":[{"system":"https://fhir.hl7.org.uk/CodeSystem/UKCore-DeathNotificationStatus","version":"1.0.0","code":"` + status + `"}]}}]}`
}

func TestAPatchIsWholeOrNothingAndShowsWhatWasDone(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		w.load(person("9990000018", "Marsh", "Ada", "1980-01-02", home("LS1 6AE")))
		c := w.worker()
		a := c.patch("9990000018", `{"op":"add","path":"/name/-","value":{"use":"nickname","family":"Marsh","given":["Addie"],"prefix":["Mrs."]}},{"op":"replace","path":"/address/0/id","value":"A1"},{"op":"replace","path":"/address/0/postalCode","value":"LS2 7XY"},{"op":"add","path":"/telecom/-","value":{"use":"mobile","system":"phone","value":"07700900123"}}`).want(200)
		if a.header.Get("ETag") != `W/"2"` {
			t.Errorf("the version is %s", a.header.Get("ETag"))
		}
		res := a.json()
		for path, want := range map[string]string{"name.1.given.0": "Addie", "name.1.prefix.0": "Mrs", "name.1.period.start": "2026-01-15", "address.0.postalCode": "LS2 7XY", "telecom.0.value": "07700900123"} {
			if got := res.Get(path).String(); got != want {
				t.Errorf("%s is %q, want %q", path, got, want)
			}
		}
		if len(res.Get("name.1.id").String()) != 8 || len(res.Get("telecom.0.id").String()) != 8 {
			t.Errorf("new items have no id: %s", a.body)
		}
		if got := c.get(query("family", "Marsh", "given", "Addie", "birthdate", "1980-01-02", "phone", "07700 900123")).found(); len(got) != 1 {
			t.Errorf("found by the new name and number: %v", got)
		}
		c.patch("9990000018", `{"op":"replace","path":"/gender","value":"male"},{"op":"replace","path":"/birthDate","value":"soon"}`).refused(400, "INVALID_VALUE", "")
		if got := c.get("/Patient/9990000018").json().Get("gender").String(); got != "female" {
			t.Errorf("half of a patch was done: %s", got)
		}
		c.patch("9990000018", `{"op":"add","path":"/extension/-","value":`+deathNotice("1")+`},{"op":"add","path":"/deceasedDateTime","value":"2026-01-10T00:00:00+00:00"}`).want(200)
		dead := c.get("/Patient/9990000018").json()
		if got := dead.Get("extension.0.extension.1.valueDateTime").String(); got != "2026-01-15T09:30:00+00:00" {
			t.Errorf("the notification took effect at %q", got)
		}
	})
}

// The same request under the same X-Request-ID is done once, and answered as it was, however often and at once it is sent; one that timed
// out can be sent again.
func TestARepeatedRequestIsDoneOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		w.load(person("9990000018", "Marsh", "Ada", "1980-01-02"))
		c := w.worker()
		id := uuid.NewString()
		send := func(more ...string) *answer {
			return c.do("PATCH", "/Patient/9990000018", `{"patches":[{"op":"replace","path":"/gender","value":"male"}]}`,
				append([]string{"If-Match", `W/"1"`, "Content-Type", "application/json-patch+json", "X-Request-ID", id}, more...)...)
		}
		late := send("X-Sync-Wait", "0").refused(503, "SERVICE_UNAVAILABLE", "")
		if late.header.Get("Retry-After") == "" {
			t.Error("nobody is told when to try again")
		}
		bodies := make([]string, 8)
		var all sync.WaitGroup
		for i := range bodies {
			all.Go(func() { bodies[i] = send().body })
		}
		all.Wait()
		for _, b := range bodies {
			if b != bodies[0] || !strings.Contains(b, `"male"`) {
				t.Fatalf("answers differ:\n%s\n%s", bodies[0], b)
			}
		}
		c.patch("9990000018", `{"op":"replace","path":"/gender","value":"unknown"}`).want(200)
		if a := send().want(200); a.body != bodies[0] || a.header.Get("ETag") != `W/"2"` {
			t.Errorf("a late repetition is answered %s %s", a.header.Get("ETag"), a.body)
		}
		if got := c.get("/Patient/9990000018").header.Get("ETag"); got != `W/"3"` {
			t.Errorf("the record is at %s", got)
		}
		other := w.as(staff(access.Clerk, "other"))
		other.do("PATCH", "/Patient/9990000018", `{"patches":[{"op":"replace","path":"/gender","value":"male"}]}`, "If-Match", `W/"1"`, "Content-Type", "application/json-patch+json", "X-Request-ID", id).refused(409, "RESOURCE_VERSION_MISMATCH", "")
	})
}

func TestPatientsAmendTheirOwnRecordAndLittleOfIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	w.load(person("9990000018", "Marsh", "Ada", "1980-01-02", `"telecom":[{"id":"T1","system":"phone","use":"home","value":"0163"},{"id":"T2","system":"phone","use":"mobile","value":"0770"}]`),
		person("9990000026", "Other", "Olga", "1980-01-02"))
	own := w.patient("9990000018")
	const refusal = "Invalid update with error - This user does not have permission to update the fields in the patches provided."
	own.patch("9990000018", `{"op":"replace","path":"/gender","value":"male"}`).refused(400, "INVALID_UPDATE", refusal)
	own.patch("9990000018", `{"op":"test","path":"/telecom/0/id","value":"T1"},{"op":"remove","path":"/telecom/0"}`).refused(400, "INVALID_UPDATE", refusal)
	own.patch("9990000018", `{"op":"replace","path":"/telecom/1/id","value":"T2"},{"op":"replace","path":"/telecom/1/value","value":"0771"}`).refused(400, "INVALID_UPDATE", "")
	own.patch("9990000018", `{"op":"add","path":"/extension/-","value":`+deathNotice("1")+`},{"op":"add","path":"/deceasedDateTime","value":"2025-01-01"}`).refused(400, "INVALID_UPDATE", refusal)
	own.patch("9990000018", `{"op":"replace","path":"/telecom/1","value":{"id":"T2","system":"phone","use":"mobile","value":"07700900456"}}`).want(200)
	own.patch("9990000018", `{"op":"add","path":"/extension/-","value":{"url":"https://fhir.hl7.org.uk/StructureDefinition/Extension-UKCore-NominatedPharmacy","valueReference":{"identifier":{"value":"FA123"}}}}`).want(200)
	own.patch("9990000018", `{"op":"add","path":"/address/-","value":{"use":"home","line":["","1 New Street",""],"postalCode":"LS1 1AA"}}`).want(200)
	if got := own.get("/Patient/9990000018").json().Get("address.0.line").Len(); got != 1 {
		t.Errorf("empty lines were kept: %d", got)
	}
	own.get("/Patient/9990000026").refused(403, "ACCESS_DENIED", "")
	own.do("PATCH", "/Patient/9990000026", `{"patches":[{"op":"replace","path":"/telecom/0","value":{"id":"T2"}}]}`, "If-Match", `W/"1"`, "Content-Type", "application/json-patch+json").refused(403, "ACCESS_DENIED", "")
}

// No door lets one person's record carry another's number.
func TestAPersonNeverCarriesTheNumberOfAnother(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	w.load(person("9990000018", "Marsh", "Ada", "1980-01-02"))
	p := staff(access.SystemClient, "loader")
	p.Tenants, p.Scopes = []ident.ODSCode{national}, []string{"system/*.*"}
	generic := *w
	generic.url = strings.TrimSuffix(w.url, demographics.Base) + "/FHIR/R4"
	c := generic.as(p)
	crossed := strings.Replace(string(person("9990000018", "Marsh", "Ada", "1980-01-02")), `"value":"9990000018"`, `"value":"9990000026"`, 1)
	c.do("PUT", "/Patient/9990000018", crossed, "Content-Type", "application/fhir+json").want(422)
	c.do("PUT", "/Patient/9990000018", string(person("9990000018", "Marsh", "Eve", "1980-01-02")), "Content-Type", "application/fhir+json").want(200)
	if got := w.worker().get(query("family", "Marsh", "given", "Eve", "birthdate", "1980-01-02")).found(); len(got) != 1 {
		t.Errorf("what was written as FHIR is found: %v", got)
	}
}
