package demographics_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/node"
	"github.com/openspine/openspine/internal/spectest"
)

// TestEveryPublishedErrorIsMet makes each error of the published table happen, by the API alone; what the table of this package holds, and what is published, is read by
// program, so that a code that nobody can meet is found here.
func TestEveryPublishedErrorIsMet(t *testing.T) {
	t.Parallel()
	w := publishedWorld(t)
	w.load(person("9990000018", "Marsh", "Ada", "1980-01-02", home("LS1 6AE")), person("9990000026", "Marsh", "Adam", "1980-01-02", home("LS1 6AE")), person("9990000034", "Hidden", "Hal", "1970-01-02", restricted))
	var crowd [][]byte
	for i := 1000; len(crowd) < 60; i++ {
		if number, err := ident.ParseNHSNumber(fmt.Sprintf("999%07d", i)); err == nil {
			crowd = append(crowd, person(number.String(), "Crowd", "Carol", "1985-05-05"))
		}
	}
	w.load(crowd...)
	c, own := w.worker(), w.patient("9990000018")
	ver := c.get("/Patient/9990000018").header.Get("ETag")
	amend := func(c *caller, body string, headers ...string) *answer {
		return c.do("PATCH", "/Patient/9990000018", body, append([]string{"If-Match", ver, "Content-Type", "application/json-patch+json"}, headers...)...)
	}
	const gender = `{"patches":[{"op":"replace","path":"/gender","value":"male"}]}`
	met := map[string]func() *answer{
		"INVALID_RESOURCE_ID": func() *answer { return c.get("/Patient/9990000019") },
		"UNSUPPORTED_SERVICE": func() *answer { return amend(c, gender, "Content-Type", "text/plain") },
		"MISSING_VALUE":       func() *answer { return c.get("/Patient/9990000018", "X-Request-ID", "") },
		"INVALID_VALUE":       func() *answer { return c.get("/Patient/9990000018", "X-Request-ID", "1234") },
		"INVALID_SEARCH_DATA": func() *answer { return c.get(query("family", "Marsh", "family", "Mash", "birthdate", "1980-01-02")) },
		"ADDITIONAL_PROPERTIES": func() *answer {
			return c.post("/Patient", strings.Replace(newcomer("A", "B", "1990-01-01", "LS1 6AE"), `"gender"`, `"pets":["cat"],"gender"`, 1))
		},
		"UNSUPPORTED_CHARACTERS_IN_FIELD": func() *answer { return c.post("/Patient", newcomer("\U0001F600", "B", "1990-01-01", "LS1 6AE")) },
		"UNSUPPORTED_VALUE": func() *answer {
			return c.patch("9990000018", `{"op":"add","path":"/address/-","value":{"use":"work","line":["1 Road"]}}`)
		},
		"TOO_FEW_VALUES_SUBMITTED": func() *answer {
			return c.patch("9990000018", `{"op":"add","path":"/extension/-","value":{"url":"http://hl7.org/fhir/StructureDefinition/patient-birthPlace","valueAddress":{"line":["x"]}}}`)
		},
		"TOO_MANY_VALUES_SUBMITTED": func() *answer {
			return c.patch("9990000018", `{"op":"add","path":"/name/-","value":{"use":"old","family":"X","given":["a","b","c","d","e","f"]}}`)
		},
		"INVALID_UPDATE": func() *answer { return amend(c, `{}`) },
		"INVALID_CREATE": func() *answer { return c.post("/Patient/$process-birth-details", bornTo("9990000018", "2025-01-02")) },
		"INSERT_BIRTH_DEATH_STATUS_INCONSISTENT": func() *answer {
			return c.patch("9990000018", `{"op":"add","path":"/extension/-","value":`+deathNotice("1")+`}`)
		},
		"ACCESS_DENIED":             func() *answer { return own.get("/Patient/9990000026") },
		"FORBIDDEN_UPDATE":          func() *answer { return c.patch("9990000034", `{"op":"replace","path":"/gender","value":"male"}`) },
		"INVALID_METHOD":            func() *answer { return amend(w.system(), gender) },
		"RESOURCE_NOT_FOUND":        func() *answer { return c.get("/Patient/9111231130") },
		"RESOURCE_VERSION_MISMATCH": func() *answer { return amend(c, gender, "If-Match", `W/"99"`) },
		"PRECONDITION_FAILED":       func() *answer { return amend(c, gender, "If-Match", "") },
		"SERVICE_UNAVAILABLE":       func() *answer { return amend(c, gender, "X-Sync-Wait", "0") },
		"TOO_MANY_MATCHES":          func() *answer { return c.get(query("family", "Crowd", "birthdate", "1985-05-05")) },
		"SINGLE_MATCH":              func() *answer { return c.post("/Patient", newcomer("Hidden", "Hal", "1970-01-02", "LS1 6AE")) },
	}
	elsewhere := map[string]string{
		"INVALIDATED_RESOURCE": "TestPublishedExamples, for an invalidated number of the examples",
		"MULTIPLE_MATCHES":     "TestPublishedExamples, for the published request",
		"TOO_MANY_REQUESTS":    "TestWhoAsksTooOftenIsToldWhenToComeAgain",
		"UNABLE_TO_CALL_SERVICE": "nothing stands behind this register that could be out of reach; it words a look that takes longer than the node's limit, and a failure of the node's own, " +
			"which no request can bring about",
		"VALIDATION_ERROR": "what the edge refuses before the register sees it, in a form that the published API has no code for: TestHostileInput",
	}
	for code, ask := range met {
		a := ask()
		if got := a.json().Get("issue.0.details.coding.0.code").String(); got != code {
			t.Errorf("%s is answered %d %s: %s", a.what, a.status, got, a.body)
		}
	}
	ours := map[string]bool{}
	for _, code := range codesOf(t) {
		ours[code] = true
		if met[code] == nil && elsewhere[code] == "" {
			t.Errorf("nobody meets %s", code)
		}
	}
	files, err := os.ReadDir(spectest.Dir(t, "pds", "examples", "errorResponses"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if code := strings.TrimSuffix(f.Name(), filepath.Ext(f.Name())); !ours[code] && code != "NOT_SUPPORTED_SEARCH" { // the last is an empty file's name, not a code
			t.Errorf("%s is published and not known here", code)
		}
	}
}

// codesOf are the values of the constants of type code.
func codesOf(t *testing.T) []string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "fault.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	ast.Inspect(f, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if typ, ok := spec.Type.(*ast.Ident); ok && typ.Name == "code" && len(spec.Values) == 1 {
			if lit, ok := spec.Values[0].(*ast.BasicLit); ok {
				if text, err := strconv.Unquote(lit.Value); err == nil {
					list = append(list, text)
				}
			}
		}
		return true
	})
	if len(list) < 20 {
		t.Fatalf("%d codes were found", len(list))
	}
	return list
}

// TestHostileInput is what nobody should send: it is refused in published words, finds nobody, changes nothing, and is never the node's failure.
func TestHostileInput(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	w.load(person("9990000018", "Marsh", "Ada", "1980-01-02", home("LS1 6AE")), person("9990000026", "Other", "Olga", "1981-01-02"))
	c := w.worker()
	text := map[string]string{"emoji": "\U0001F468\u200D\U0001F469\u200D\U0001F467", "right to left": "כהן", "an override of direction": "Mar\u202Esh", "no width": "\u200B\u200B\u200B", "spaces": "   ", "300 characters": strings.Repeat("x", 300),
		"an end of line": "Mar\nsh", "a zero": "Mar\x00sh", "SQL": "' OR '1'='1", "a pattern": "%", "one of any": "_____", "an accent on nothing": "\u0301", "half a character": "\xff\xfe", "markup": "<script>alert(1)</script>"}
	for name, value := range text {
		for _, field := range []string{"family", "given", "address-postalcode", "phone", "email", "general-practitioner", "gender", "birthdate", "death-date"} {
			pairs := []string{"family", "Zzyzx", "birthdate", "1901-01-01"}
			switch field {
			case "family":
				pairs = []string{"family", value, "birthdate", "1901-01-01"}
			case "birthdate":
				pairs = []string{"family", "Zzyzx", "birthdate", value}
			default:
				pairs = append(pairs, field, value)
			}
			a := c.get(query(pairs...))
			if a.status != 400 && (a.status != 200 || len(a.found()) != 0) {
				t.Errorf("%s as %s: %d %s", name, field, a.status, a.body)
			}
		}
	}
	for _, pairs := range [][]string{{"family", "*", "birthdate", "1980-01-02"}, {"family", "**", "birthdate", "1980-01-02"}, {"family", "M*", "birthdate", "1980-01-02"}, {"family", "*a*", "birthdate", "1980-01-02"}, {"family", "*"},
		{"family", "Marsh", "birthdate", "ge1000-01-01", "birthdate", "le2999-12-31", "given", "*"}, {"family", "Marsh", "address-postalcode", "*", "birthdate", "1980-01-02"}, {"given", "*", "birthdate", "1980-01-02"}, {"_fuzzy-match", "true", "family", "*", "birthdate", "1980-01-02"},
		{"family", "Marsh", "birthdate", "2199-01-01"}, {"family", "Marsh", "birthdate", "1990-25-03"}, {"family", "Marsh", "birthdate", "1990-02-30"}, {"family", "Marsh", "birthdate", "-1"}, {"family", "Marsh", "birthdate", "eq"}, {"_max-results", "1000000", "family", "Marsh", "birthdate", "1980-01-02"},
		{"_max-results", "-1", "family", "Marsh", "birthdate", "1980-01-02"}, {"_max-results", "x", "family", "Marsh", "birthdate", "1980-01-02"}, {"name:contains", "a"}, {"_id", "9990000018"}, {"_has", "x"}} {
		a := c.get(query(pairs...))
		if a.status != 400 && (a.status != 200 || len(a.found()) != 0) {
			t.Errorf("%v: %d %s", pairs, a.status, a.body)
		}
	}
	for _, id := range []string{"999000001", "99900000188", "9990000019", "999%200%2000018", "9990000018%00", "..%2f9990000018", "9990000018;x", "９９９0000018", "-990000018", "0000000000", "9990000018'--"} {
		for _, c := range []*caller{c, w.system(), w.patient("9990000018")} {
			if a := c.get("/Patient/" + id); a.status != 400 && a.status != 403 && a.status != 404 {
				t.Errorf("%q: %d %s", id, a.status, a.body)
			}
		}
	}
	before := c.get("/Patient/9990000026").body
	for name, patches := range map[string]string{
		"another's number":         `{"op":"replace","path":"/identifier/0/value","value":"9990000026"}`,
		"another's id":             `{"op":"replace","path":"/id","value":"9990000026"}`,
		"a copy across":            `{"op":"copy","from":"/Patient/9990000026/name","path":"/name"}`,
		"a move across":            `{"op":"move","from":"/../9990000026/name/0","path":"/name/0"}`,
		"a path that leads up":     `{"op":"replace","path":"/../9990000026/gender","value":"male"}`,
		"a path of another record": `{"op":"replace","path":"/Patient/9990000026/gender","value":"male"}`,
		"the whole":                `{"op":"replace","path":"","value":` + strings.TrimSpace(before) + `}`,
		"a link to another":        `{"op":"add","path":"/link/-","value":{"other":{"reference":"Patient/9990000026"},"type":"replaced-by"}}`,
		"another's tests":          `{"op":"test","path":"/name/0/family","value":"Other"},{"op":"remove","path":"/name/0"}`,
		"an escape":                `{"op":"replace","path":"/~1Patient~19990000026","value":1}`,
		"the kind":                 `{"op":"replace","path":"/resourceType","value":"Person"}`,
		"an index of 2^63":         `{"op":"replace","path":"/name/9223372036854775808/family","value":"X"}`,
		"an index below zero":      `{"op":"replace","path":"/name/-1/family","value":"X"}`,
		"a prototype":              `{"op":"add","path":"/__proto__/x","value":1}`,
		"a future birth":           `{"op":"replace","path":"/birthDate","value":"2199-01-01"}`,
		"no day":                   `{"op":"replace","path":"/birthDate","value":"1990-25-03"}`,
	} {
		a := c.patch("9990000018", patches)
		if a.status != 400 && a.status != 403 {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	ver := c.get("/Patient/9990000018").header.Get("ETag")
	for name, body := range map[string]string{"deep": `{"patches":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`, "a thousand patches": `{"patches":[` + strings.Repeat(`{"op":"test","path":"/gender","value":"x"},`, 1000) + `{}]}`, "a list": `[]`, "null": `null`, "a name twice": `{"patches":[],"patches":[{}]}`, "nothing": ``, "no text": "\xff"} {
		a := c.do("PATCH", "/Patient/9990000018", body, "If-Match", ver, "Content-Type", "application/json-patch+json")
		if a.status != 400 && a.status != 403 && a.status != 413 {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	for _, body := range []string{newcomer(strings.Repeat("x", 300), "B", "1990-01-01", "LS1 6AE"), newcomer("   ", "B", "1990-01-01", "LS1 6AE"), newcomer("כהן", "B", "1990-01-01", "LS1 6AE"), newcomer("A", "B", "2199-01-01", "LS1 6AE"), newcomer("A", "B", "1990-25-03", "LS1 6AE")} {
		if a := c.post("/Patient", body); a.status != 400 {
			t.Errorf("registered: %d %s", a.status, a.body)
		}
	}
	if after := c.get("/Patient/9990000026").body; after != before {
		t.Errorf("somebody else was changed:\n%s\n%s", before, after)
	}
	if got := c.get("/Patient/9990000018").header.Get("ETag"); got != ver {
		t.Errorf("what was refused made version %s", got)
	}
}

// TestHeadersAreHeldToInEachMode: X-Request-ID is wanted of everybody; a role is a health worker's; who comes unsurely, or without a token, is refused; and the answer names the request.
func TestHeadersAreHeldToInEachMode(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	w.load(person("9990000018", "Marsh", "Ada", "1980-01-02", home("LS1 6AE")))
	const path, id = "/Patient/9990000018", "60E0B220-8136-4CA5-AE46-1D97EF59D068"
	for name, c := range map[string]*caller{"worker": w.worker(), "system": w.system(), "patient": w.patient("9990000018")} {
		c.get(path, "X-Request-ID", "").refused(400, "MISSING_VALUE", "")
		for _, bad := range []string{"1234", id + "0", strings.ReplaceAll(id, "-", ""), "{" + id + "}", strings.Replace(id, "6", "G", 1)} {
			c.get(path, "X-Request-ID", bad).refused(400, "INVALID_VALUE", "")
		}
		a := c.get(path, "X-Request-ID", id, "X-Correlation-ID", "11C46F5F-CDEF-4865-94B2-0EE0EDCC26DA").want(200)
		if a.header.Get("X-Request-ID") != id || a.header.Get("X-Correlation-ID") != "11C46F5F-CDEF-4865-94B2-0EE0EDCC26DA" {
			t.Errorf("%s: the answer names %q and %q", name, a.header.Get("X-Request-ID"), a.header.Get("X-Correlation-ID"))
		}
		want := map[string]int{"worker": 400}[name]
		if want == 0 {
			want = 200 // it says nothing of them
		}
		if a := c.get(path, "NHSD-Session-URID", "abc"); a.status != want {
			t.Errorf("%s: a role that is none: %d", name, a.status)
		}
		c.get(path, "NHSD-Session-URID", "555254240100", "NHSD-End-User-Organisation-ODS", "Y12345").want(200)
		if a := c.get(path, "Authorization", "Bearer x"); a.status != 401 || a.header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s with a token that is none: %d", name, a.status)
		}
	}
	nobody := &caller{w, ""}
	nobody.get(path).refused(401, "ACCESS_DENIED", "")
}

// TestTheRegisterAsksHowSureItIs who is there: AAL2 or AAL3 of health workers, P9 of patients (specification, "Access modes").
func TestTheRegisterAsksHowSureItIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	w.load(person("9990000018", "Marsh", "Ada", "1980-01-02", home("LS1 6AE")))
	for level, want := range map[string]int{"AAL3": 200, "AAL2": 200, "AAL1": 403, "": 403, "P9": 403, "IAL3": 403} {
		p := staff(access.Clinician, "worker")
		p.Assurance = level
		c := w.as(p)
		if a := c.get("/Patient/9990000018"); a.status != want {
			t.Errorf("a clinician at %q: %d %s", level, a.status, a.body)
		}
		if a := c.get(query("family", "Marsh", "given", "Ada", "birthdate", "1980-01-02")); a.status != want {
			t.Errorf("a clinician's search at %q: %d %s", level, a.status, a.body)
		}
		if want == 403 {
			c.do("PATCH", "/Patient/9990000018", `{"patches":[{"op":"replace","path":"/gender","value":"male"}]}`, "If-Match", `W/"1"`, "Content-Type", "application/json-patch+json").refused(403, "ACCESS_DENIED", "")
			c.post("/Patient", newcomer("New", "Ned", "1990-01-01", "LS1 6AE")).refused(403, "ACCESS_DENIED", "")
		}
	}
	for level, want := range map[string]int{"P9": 200, "P5": 403, "P0": 403, "": 403, "AAL3": 403} {
		p := access.Principal{ID: "own", Name: "Own", Role: access.Patient, Person: "9990000018", Assurance: level}
		if a := w.as(p).get("/Patient/9990000018"); a.status != want {
			t.Errorf("a patient at %q: %d %s", level, a.status, a.body)
		}
	}
	w.system().get("/Patient/9990000018").want(200)
}

// TestWhoAsksTooOftenIsToldWhenToComeAgain, in the published words, and takes nobody else's turns.
func TestWhoAsksTooOftenIsToldWhenToComeAgain(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, "", func(c *node.Config) { c.Limits.CallerRate = 3 })
	w.load(person("9990000018", "Marsh", "Ada", "1980-01-02"))
	c := w.worker()
	for range 3 {
		c.get("/Patient/9990000018").want(200)
	}
	a := c.get("/Patient/9990000018").refused(429, "TOO_MANY_REQUESTS", "")
	if got := a.header.Get("Retry-After"); got != "20" {
		t.Errorf("when to come again: %q", got)
	}
	w.system().get("/Patient/9990000018").want(200)
	w.time.Advance(20 * 1e9)
	c.get("/Patient/9990000018").want(200)
}
