package directory_test

import (
	"fmt"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/knadh/koanf/parsers/yaml"

	"github.com/openspine/openspine/directory"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/spectest"
)

// contract walks a published OpenAPI document: every operation, each of its parameters and each status that it names.
type contract struct {
	t      *testing.T
	w      *world
	base   string
	spec   map[string]any
	report []string
	// asks is a request that each operation answers with 200, by "METHOD path"; parameters are added to it.
	asks map[string]request
	// how produces a status, or says why it cannot come, by "METHOD path status" or "METHOD * status".
	how map[string]answered
	// elsewhere says of a parameter why it is not tried here, by "path name".
	elsewhere map[string]string
}

type request struct{ method, path, body string }

// answered is how a status comes about: a request, a kind of failure worded by the API's face, or the reason why there is none.
type answered struct {
	request
	kind   fault.Kind
	reason string
	says   string
}

func readContract(t *testing.T, path ...string) map[string]any {
	b, err := os.ReadFile(filepath.Join(spectest.Dir(t, path[0], "specification"), path[1]))
	if err != nil {
		t.Fatal(err)
	}
	spec, err := yaml.Parser().Unmarshal(b)
	if err != nil {
		t.Fatal(err)
	}
	return spec
}

func (c *contract) walk() {
	c.t.Helper()
	paths, _ := c.spec["paths"].(map[string]any)
	for _, path := range slices.Sorted(keysOf(paths)) {
		operations, _ := paths[path].(map[string]any)
		for _, method := range slices.Sorted(keysOf(operations)) {
			operation, _ := operations[method].(map[string]any)
			name := strings.ToUpper(method) + " " + path
			ask, known := c.asks[name]
			if !known {
				c.t.Errorf("%s is not tried", name)
				continue
			}
			if got := c.w.call(ask.method, c.base+ask.path, ask.body); got.status != 200 {
				c.t.Errorf("%s: %d %s", name, got.status, got.body)
			}
			c.report = append(c.report, name)
			params, _ := operation["parameters"].([]any)
			for _, p := range params {
				c.parameter(name, ask, p.(map[string]any))
			}
			responses, _ := operation["responses"].(map[string]any)
			for _, status := range slices.Sorted(keysOf(responses)) {
				c.status(name, status, responses[status])
			}
		}
	}
}

// values are the examples of a parameter, each one the values that are sent together.
func values(p map[string]any) (list [][]string) {
	add := func(v any) {
		switch v := v.(type) {
		case []any:
			var all []string
			for _, one := range v {
				all = append(all, fmt.Sprint(one))
			}
			list = append(list, all)
		case nil:
		default:
			list = append(list, []string{fmt.Sprint(v)})
		}
	}
	schema, _ := p["schema"].(map[string]any)
	add(p["example"])
	add(schema["example"])
	for _, from := range []any{p["examples"], schema["enum"]} {
		switch from := from.(type) {
		case map[string]any:
			for _, name := range slices.Sorted(keysOf(from)) {
				add(from[name].(map[string]any)["value"])
			}
		case []any:
			for _, v := range from {
				add(v)
			}
		}
	}
	return list
}

// parameter sends each published example of a parameter: it must be understood. A parameter of another name must not be, or understanding says nothing.
func (c *contract) parameter(operation string, ask request, p map[string]any) {
	c.t.Helper()
	name, in := fmt.Sprint(p["name"]), fmt.Sprint(p["in"])
	if why := c.elsewhere[operation+" "+name]; why != "" {
		c.report = append(c.report, "    "+in+" "+name+": "+why)
		return
	}
	examples := values(p)
	if len(examples) == 0 {
		c.t.Errorf("%s: %s has no example", operation, name)
	}
	for _, example := range examples {
		target, headers := ask.path, []string(nil)
		switch in {
		case "query":
			target = withQuery(ask.path, name, example)
		case "header":
			headers = []string{name + ": " + example[0]}
		case "path":
			target = strings.Replace(strings.SplitAfter(operation, " ")[1], "{"+name+"}", example[0], 1)
		}
		got := c.w.call(ask.method, c.base+target, ask.body, headers...)
		if got.status != 200 {
			c.t.Errorf("%s: %s %q: %d %s", operation, name, example, got.status, got.body)
		}
		if in == "header" && name == "X-Correlation-Id" && got.header.Get(name) != example[0] {
			c.t.Errorf("%s: %s does not come back", operation, name)
		}
	}
	if in == "query" {
		if got := c.w.call(ask.method, c.base+withQuery(ask.path, name+"x", []string{"x"}), ask.body); got.status != 400 {
			c.t.Errorf("%s: %sx is understood: %d", operation, name, got.status)
		}
	}
	c.report = append(c.report, fmt.Sprintf("    %s %s: served, %d examples", in, name, len(examples)))
}

// withQuery puts a parameter in the place of what a path has under its name. Two published examples are whole queries.
func withQuery(path, name string, values []string) string {
	path, raw, _ := strings.Cut(path, "?")
	q, _ := url.ParseQuery(raw)
	base, _, _ := strings.Cut(name, ":")
	if len(values) == 1 && strings.HasPrefix(values[0], base) && strings.Contains(values[0], "=") {
		return path + "?" + values[0]
	}
	q[name] = values
	return path + "?" + q.Encode()
}

func (c *contract) status(operation, status string, response any) {
	c.t.Helper()
	wanted := []string{status}
	if status == "4XX" { // the description lists them in a table
		wanted = nil
		description, _ := response.(map[string]any)["description"].(string)
		for line := range strings.Lines(description) {
			cells := strings.Split(line, "|")
			if len(cells) < 5 {
				continue
			}
			if n, err := strconv.Atoi(strings.TrimSpace(cells[1])); err == nil {
				wanted = append(wanted, strconv.Itoa(n)+" "+strings.TrimSpace(cells[4]))
			}
		}
	}
	for _, s := range wanted {
		c.produced(operation, s)
	}
}

func (c *contract) produced(operation, status string) {
	c.t.Helper()
	number, words, _ := strings.Cut(status, " ")
	if number == "200" {
		c.report = append(c.report, "    200: served")
		return
	}
	_, path, _ := strings.Cut(operation, " ")
	how, known := c.how[operation+" "+status]
	if !known {
		how, known = c.how["* "+status]
		how.path = strings.ReplaceAll(how.path, "{op}", strings.TrimSuffix(strings.ReplaceAll(path, "/{id}", ""), "/"))
	}
	switch {
	case !known:
		c.t.Errorf("%s: how does %s come about?", operation, status)
	case how.reason != "":
		c.report = append(c.report, "    "+status+": not served: "+how.reason)
		return
	case how.path != "":
		got := c.w.call(how.method, c.base+how.path, how.body)
		if strconv.Itoa(got.status) != number || !strings.Contains(got.body, how.says) || got.json["resourceType"] != "OperationOutcome" {
			c.t.Errorf("%s: %s %s: %d %s, want %s %s", operation, how.method, how.path, got.status, got.body, status, how.says)
		}
	default:
		answer := httptest.NewRecorder()
		for _, p := range c.w.d.Service().Published {
			if p.Base == c.base {
				p.Face.Refuse(answer, httptest.NewRequest("GET", c.base+path, nil), fault.New(how.kind, "said"))
			}
		}
		if strconv.Itoa(answer.Code) != number || !strings.Contains(answer.Body.String(), how.says) {
			c.t.Errorf("%s: %v is %d %s, want %s", operation, how.kind, answer.Code, answer.Body, status)
		}
	}
	c.report = append(c.report, strings.TrimRight("    "+number+" "+words, " ")+": served")
}

// organisations that the published parameters name.
func (w *world) named(codes ...string) {
	for _, code := range codes {
		w.organisation(directory.Organisation{Code: ident.MustODSCode(code), Name: "LEEDS " + code, Town: "DERBY", Postcode: "LS1 4DZ", Country: "ENGLAND", State: directory.Open, Changed: "2024-02-06",
			Roles: []directory.Role{{Code: "RO197", Active: true, Span: directory.Span{From: "1998-04-01"}, Instance: 7}}})
	}
}

func TestEveryPublishedOperationOfTheTerminologyAPI(t *testing.T) {
	t.Parallel()
	w := givenWith(t, "", time.Date(2024, 3, 25, 9, 0, 0, 0, time.UTC))
	w.named("RR8", "G81086", "97R", "RH8")
	rel, err := directory.Relationship{ID: "617400", Type: "RE8", From: ident.MustODSCode("G81086"), To: ident.MustODSCode("97R"), Active: true}.Resource()
	if err != nil {
		t.Fatal(err)
	}
	w.keep(rel)
	w.practises("G7112418", "G81086", "PGP1")
	expand := `{"resourceType":"Parameters","parameter":[{"name":"valueSet","resource":{"resourceType":"ValueSet","compose":{"include":[{"system":"https://fhir.nhs.uk/Id/ods-organization-code","filter":[{"property":"%s","op":"=","value":"%s"}]}]}}},{"name":"count","valueInteger":%d}]}`
	c := contract{t: t, w: w, base: odt, spec: readContract(t, "odt", "organisation-data-terminology-api.yaml"),
		asks: map[string]request{
			"GET /Organization":                 {"GET", "/Organization", ""},
			"GET /Organization/{id}":            {"GET", "/Organization/RR8", ""},
			"GET /OrganizationAffiliation":      {"GET", "/OrganizationAffiliation", ""},
			"GET /OrganizationAffiliation/{id}": {"GET", "/OrganizationAffiliation/617400", ""},
			"GET /List/{id}":                    {"GET", "/List/Organization-deletion", ""},
			"GET /CodeSystem/":                  {"GET", "/CodeSystem/?system=https://digital.nhs.uk/services/organisation-data-service/CodeSystem/practitioner-role", ""},
			"POST /ValueSet/":                   {"POST", "/ValueSet/", fmt.Sprintf(expand, "town", "DERBY", 2)},
			"GET /metadata":                     {"GET", "/metadata", ""},
		},
		elsewhere: map[string]string{
			"GET /CodeSystem/ code": "served: the practitioner of the example is looked up at the end of this test",
		},
		how: map[string]answered{
			"GET /Organization 400 HAPI-1940":                           {request: request{"GET", "/Organization?lastChangeDate=gt2017-13-01", ""}, says: "HAPI-1940: Invalid Date/Time/Quantity format"},
			"GET /OrganizationAffiliation 400 HAPI-1940":                {request: request{"GET", "/OrganizationAffiliation?active=perhaps", ""}, says: "HAPI-1940"},
			"GET /OrganizationAffiliation 400 HAPI-0524":                {reason: "an unknown parameter here is worded as the operation's own example: 400 INVALID_PARAMETER"},
			"GET /CodeSystem/ 400 HAPI-1940":                            {reason: "no parameter of this operation is a date"},
			"GET /CodeSystem/ 404 HAPI-2001":                            {request: request{"GET", "/CodeSystem/$lookup?system=https://fhir.nhs.uk/Id/ods-organization-code&code=ZZZZZ", ""}, says: "HAPI-2001"},
			"POST /ValueSet/ 400 HAPI-1940":                             {request: request{"POST", "/ValueSet/$expand", fmt.Sprintf(expand, "lastChangeDate", "soon", 2)}, says: "HAPI-1940"},
			"POST /ValueSet/ 400 HAPI-0524":                             {request: request{"POST", "/ValueSet/$expand?shoe=1", fmt.Sprintf(expand, "town", "DERBY", 2)}, says: "HAPI-0524"},
			"POST /ValueSet/ 404 HAPI-2001":                             {request: request{"POST", "/ValueSet/$expand", strings.Replace(fmt.Sprintf(expand, "town", "x", 2), "https://fhir.nhs.uk/Id/ods-organization-code", "urn:nothing", 1)}, says: "HAPI-2001"},
			"POST /ValueSet/ 405 HAPI-0427":                             {request: request{"GET", "/ValueSet/$expand", ""}, says: "HAPI-0427"},
			"* 400 HAPI-0524":                                           {request: request{"GET", "{op}?shoe=1", ""}, says: "HAPI-0524"},
			"* 404":                                                     {request: request{"GET", "{op}/8J632648493", ""}, says: "HAPI-2001"},
			"* 404 HAPI-2001":                                           {request: request{"GET", "{op}/8J632648493", ""}, says: "HAPI-2001"},
			"* 405 HAPI-0427":                                           {request: request{"PUT", "{op}", ""}, says: "HAPI-0427"},
			"* 422 Too many records requested (Use _count and _offset)": {request: request{"GET", "/CodeSystem?url=https://fhir.nhs.uk/Id/ods-organization-code&_summary=false", ""}, says: "too-costly"},
			"* 422 No declared filter on Codesystem":                    {request: request{"POST", "/ValueSet/$expand", fmt.Sprintf(expand, "shoe", "x", 2)}, says: "No declared filter on Codesystem"},
		}}
	c.walk()
	looked := w.get(odt + "/CodeSystem/?system=https://digital.nhs.uk/services/organisation-data-service/CodeSystem/practitioner&code=G7112418&property=*")
	if looked.status != 200 || !strings.Contains(looked.body, "PGP1") || !strings.Contains(looked.body, `"ME1"`) || !strings.Contains(looked.body, "G81086") {
		t.Errorf("the practitioner of the published parameter: %d %s", looked.status, looked.body)
	}
	c.golden("testdata/odt-operations.golden")
}

func TestEveryPublishedOperationOfTheSpineDirectory(t *testing.T) {
	t.Parallel()
	w := given(t)
	device, endpoint := "/Device"+asked("organization", "YES", "interaction", "urn:nhs:names:services:psis:REPC_IN150016UK05"), "/Endpoint"+asked("organization", "YES", "interaction", "urn:x")
	c := contract{t: t, w: w, base: sds, spec: readContract(t, "sds", "spine-directory-service.yaml"),
		asks: map[string]request{"GET /Device": {"GET", device, ""}, "GET /Endpoint": {"GET", endpoint, ""}},
		elsewhere: map[string]string{
			"GET /Device apikey":   "served: 401 without one (TestASystemIsFoundByThePublishedCombinationsOnly)",
			"GET /Endpoint apikey": "served: 401 without one (TestASystemIsFoundByThePublishedCombinationsOnly)",
		},
		how: map[string]answered{
			"* 400": {request: request{"GET", "{op}?shoe=1", ""}, says: "BAD_REQUEST"},
			"* 404": {request: request{"GET", "{op}s", ""}, says: "RESOURCE_NOT_FOUND"},
			"* 405": {request: request{"POST", "{op}", ""}, says: "NOT_IMPLEMENTED"},
			"* 406": {request: request{"GET", "{op}?_format=xml", ""}, says: "UNSUPPORTED_MEDIA_TYPE"},
			"* 500": {kind: fault.Internal, says: "INTERNAL_SERVER_ERROR"},
			"* 502": {reason: "there is no LDAP server behind this one whose answer could be wrong"},
			"* 504": {kind: fault.Timeout, says: "TIMEOUT"},
		}}
	c.walk()
	c.golden("testdata/sds-operations.golden")
}

func (c *contract) golden(path string) {
	c.t.Helper()
	got := "Every operation, parameter and status of the published OpenAPI document.\n\n" + strings.Join(c.report, "\n") + "\n"
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			c.t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil || string(want) != got {
		c.t.Errorf("%s differs (%v); run with -update and read it:\n%s", path, err, got)
	}
}
