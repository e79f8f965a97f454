package bars_test

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/openspine/openspine/internal/spectest"
)

func endpoint(owner, address string, more ...string) string {
	return `{"resourceType":"Endpoint","identifier":[{"system":"https://fhir.nhs.uk/id/product-id","value":"P-1"}],"status":"active","name":"Our endpoint","connectionType":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/endpoint-connection-type","code":"hl7-fhir-msg"}]},
		"payloadType":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/endpoint-payload-type","code":"bars"}]}],"managingOrganization":[{"identifier":{"system":"https://fhir.nhs.uk/Id/ods-organization-code","value":"` + owner + `"}}],` +
		strings.Join(append(more, `"address":"`+address+`","header":"public"}`), ",")
}

func service(owner, number string, more ...string) string {
	return `{"resourceType":"HealthcareService","identifier":[{"system":"https://fhir.nhs.uk/Id/dos-service-id","value":"` + number + `"}],"active":true,"providedBy":[{"identifier":{"system":"https://fhir.nhs.uk/Id/ods-organization-code","value":"` + owner + `"}}],` +
		strings.Join(append(more, `"name":"Our service"}`), ",")
}

// TestAProviderPublishesItsService: an endpoint and a service are made, changed and deleted by the systems of whose they are, and requests go there meanwhile.
func TestAProviderPublishesItsService(t *testing.T) {
	t.Parallel()
	w, x := newWorld(t), newThird(t)
	p, other := w.program(hospital), w.program(practice)
	address := x.srv.URL + "/base"
	same := p.but("X-Request-Id", uuid.NewString())
	made := same.do(http.MethodPost, "/Endpoint", endpoint("R68", address))
	if made.status != http.StatusOK || made.json["address"] != address || made.json["header"] != "public" {
		t.Fatalf("an endpoint: %d %s", made.status, made.body)
	}
	id := made.json["id"].(string)
	if again := same.do(http.MethodPost, "/Endpoint", endpoint("R68", address)); again.status != http.StatusOK || again.json["id"] != id {
		t.Errorf("the same request again: %d %s", again.status, again.body)
	}
	w.time.Advance(2 * time.Second)
	if twice := p.do(http.MethodPost, "/Endpoint", endpoint("R68", address)); twice.status != http.StatusConflict || twice.code() != "BAD_REQUEST duplicate" {
		t.Errorf("the same endpoint by another request: %d %s", twice.status, twice.body)
	}
	offered := p.do(http.MethodPut, "/HealthcareService/3000000077", service("R68", "777", `"endpoint":[{"reference":"Endpoint/`+id+`"}]`))
	if offered.status != http.StatusCreated || offered.json["name"] != "Our service" {
		t.Fatalf("a service: %d %s", offered.status, offered.body)
	}
	w.time.Advance(2 * time.Second)
	if there := other.but("NHSD-Target-Identifier", target("777")).get(slotQuery()); there.status != http.StatusOK || len(there.found("Slot")) != 5 {
		t.Errorf("what is for the service does not go to its endpoint: %d %s", there.status, there.body)
	}
	if twice := p.do(http.MethodPost, "/HealthcareService", service("R68", "777")); twice.status != http.StatusConflict || twice.code() != "BAD_REQUEST duplicate" {
		t.Errorf("another service of the same number: %d %s", twice.status, twice.body)
	}
	for name, c := range map[string]struct {
		p            *program
		method, path string
		body         string
		status       int
		code         string
	}{
		"for somebody else":                 {other, "POST", "/Endpoint", endpoint("R68", "https://x.example"), 403, "SEND_FORBIDDEN forbidden"},
		"another's endpoint":                {other, "PUT", "/Endpoint/" + id, endpoint("R69", "https://x.example"), 403, "SEND_FORBIDDEN forbidden"},
		"another's service":                 {other, "PUT", "/HealthcareService/3000000077", service("R69", "778"), 403, "SEND_FORBIDDEN forbidden"},
		"deleting another's endpoint":       {other, "DELETE", "/Endpoint/" + id, "", 403, "SEND_FORBIDDEN forbidden"},
		"deleting another's service":        {other, "DELETE", "/HealthcareService/3000000077", "", 403, "SEND_FORBIDDEN forbidden"},
		"an endpoint that is in use":        {p, "DELETE", "/Endpoint/" + id, "", 409, "REC_CONFLICT conflict"},
		"an endpoint of nobody":             {p, "POST", "/Endpoint", strings.Replace(endpoint("R68", "https://x.example"), "ods-organization-code", "x", 1), 400, "BAD_REQUEST required"},
		"an endpoint without identifier":    {p, "POST", "/Endpoint", strings.Replace(endpoint("R68", "https://x.example"), `,"value":"P-1"`, "", 1), 400, "BAD_REQUEST required"},
		"an endpoint in no state":           {p, "POST", "/Endpoint", strings.Replace(endpoint("R68", "https://x.example"), `"active"`, `"purple"`, 1), 400, "BAD_REQUEST value"},
		"an address that is none":           {p, "POST", "/Endpoint", endpoint("R68", "x.example"), 400, "BAD_REQUEST value"},
		"an address with a password":        {p, "POST", "/Endpoint", endpoint("R68", "https://u:p@x.example"), 400, "BAD_REQUEST value"},
		"an endpoint half open":             {p, "POST", "/Endpoint", strings.Replace(endpoint("R68", "https://x.example"), `"public"`, `"ajar"`, 1), 400, "BAD_REQUEST value"},
		"a period that is none":             {p, "POST", "/Endpoint", endpoint("R68", "https://x.example", `"period":{"start":"soon"}`), 400, "BAD_REQUEST invalid"},
		"something else":                    {p, "POST", "/Endpoint", service("R68", "9"), 400, "BAD_REQUEST invalid"},
		"another id in the body":            {p, "PUT", "/Endpoint/" + id, endpoint("R68", "https://x.example", `"id":"x"`), 400, "BAD_REQUEST invalid"},
		"a service without name":            {p, "POST", "/HealthcareService", strings.Replace(service("R68", "9"), `"Our service"`, `""`, 1), 400, ""},
		"a service of two":                  {p, "POST", "/HealthcareService", strings.Replace(service("R68", "9"), `"providedBy":[`, `"providedBy":[{"display":"x"},`, 1), 400, "BAD_REQUEST value"},
		"a service at an endpoint of none":  {p, "POST", "/HealthcareService", service("R68", "9", `"endpoint":[{"reference":"Endpoint/none"}]`), 404, "NOT_FOUND not-found"},
		"a service at an address elsewhere": {p, "POST", "/HealthcareService", service("R68", "9", `"endpoint":[{"reference":"https://x.example"}]`), 400, "BAD_REQUEST value"},
		"deleting nothing":                  {p, "DELETE", "/Endpoint/none", "", 404, "NOT_FOUND not-found"},
	} {
		if a := c.p.do(c.method, c.path, c.body); a.status != c.status || c.code != "" && a.code() != c.code {
			t.Errorf("%s: %d %q, want %d %q: %s", name, a.status, a.code(), c.status, c.code, a.body)
		}
	}

	// What the published shape has no place for stays as it was.
	if a := p.do(http.MethodPut, "/HealthcareService/"+clinic, service("R68", "111111111")); a.status != http.StatusOK || a.json["name"] != "Our service" {
		t.Errorf("changing a service: %d %s", a.status, a.body)
	}
	if a := p.get(slotQuery()); a.status != http.StatusOK {
		t.Errorf("the changed service: %d %s", a.status, a.body)
	}
	if a := p.do(http.MethodPut, "/HealthcareService/3000000077", service("R68", "777")); a.status != http.StatusOK || strings.Contains(a.body, "Endpoint/") {
		t.Errorf("taking the endpoint out: %d %s", a.status, a.body)
	}
	w.time.Advance(2 * time.Second)
	for _, path := range []string{"/Endpoint/" + id, "/HealthcareService/3000000077"} {
		if a := p.do(http.MethodDelete, path, ""); a.status != http.StatusOK || !strings.Contains(a.body, `"OK"`) {
			t.Errorf("DELETE %s: %d %s", path, a.status, a.body)
		}
		if a := p.get(path); a.status != http.StatusNotFound {
			t.Errorf("GET %s after it was deleted: %d %s", path, a.status, a.body)
		}
	}
}

// TestAServiceWithFreeSlotsIsNotDeleted, for they would stay with nobody.
func TestAServiceWithFreeSlotsIsNotDeleted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.gives(clinic, day(0, 0))
	if a := w.program(hospital).do(http.MethodDelete, "/HealthcareService/"+clinic, ""); a.status != http.StatusConflict || a.code() != "REC_CONFLICT conflict" {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// TestTemplatesOfEndpoints are kept, found, changed and deleted by whose they are.
func TestTemplatesOfEndpoints(t *testing.T) {
	t.Parallel()
	onBothEngines(t, func(t *testing.T, w *world) {
		p, other := w.program(hospital), w.program(practice)
		body := strings.Replace(endpoint("R68", "https://x.example/base"), `"public"`, `"private"`, 1)
		same := p.but("X-Request-Id", uuid.NewString())
		answers := make([]answer, 16)
		var wait sync.WaitGroup
		for i := range answers {
			wait.Go(func() { answers[i] = same.do(http.MethodPost, "/Endpoint/$template", body) })
		}
		wait.Wait()
		id, _ := answers[0].json["id"].(string)
		for _, a := range answers {
			if a.status != http.StatusOK || a.json["id"] != id {
				t.Fatalf("the same template at the same moment: %d %s", a.status, a.body)
			}
		}
		for query, want := range map[string]float64{"Endpoint.identifier=https://fhir.nhs.uk/id/product-id|P-1": 1, "Endpoint.identifier=P-2": 0, "ConnectionType=https://terminology.hl7.org/CodeSystem/endpoint-connection-type|hl7-fhir-msg": 1,
			"ConnectionType=hl7-fhir-rest": 0, "PayloadType=bars": 1, "PayloadType=x|bars": 0} {
			if a := other.get("/Endpoint/$template?" + query); a.status != http.StatusOK || a.json["total"] != want || strings.Contains(a.body, "x.example") {
				t.Errorf("%s: %d, want %v of them, without the address: %s", query, a.status, want, a.body)
			}
		}
		if a := p.get("/Endpoint/$template?PayloadType=bars"); !strings.Contains(a.body, "x.example") {
			t.Errorf("its owner is not shown the address: %s", a.body)
		}
		for name, c := range map[string]struct {
			p            *program
			method, path string
			body         string
			status       int
			code         string
		}{
			"nothing asked":          {p, "GET", "/Endpoint/$template", "", 400, "BAD_REQUEST required"},
			"the same again":         {p, "POST", "/Endpoint/$template", body, 409, "BAD_REQUEST duplicate"},
			"for somebody else":      {other, "POST", "/Endpoint/$template", body, 403, "SEND_FORBIDDEN forbidden"},
			"another's":              {other, "PUT", "/Endpoint/" + id + "/$template", strings.Replace(body, `"R68"`, `"R69"`, 1), 403, "SEND_FORBIDDEN forbidden"},
			"deleting another's":     {other, "DELETE", "/Endpoint/" + id + "/$template", "", 403, "SEND_FORBIDDEN forbidden"},
			"an id that is none":     {p, "PUT", "/Endpoint/x/$template", body, 400, "BAD_REQUEST value"},
			"without an address":     {p, "POST", "/Endpoint/$template", strings.Replace(body, "https://x.example/base", "x", 1), 400, "BAD_REQUEST value"},
			"it is no endpoint":      {p, "GET", "/Endpoint/" + id, "", 404, "NOT_FOUND not-found"},
			"deleting what is none":  {p, "DELETE", "/Endpoint/" + uuid.NewString() + "/$template", "", 404, "NOT_FOUND not-found"},
			"put by its owner":       {p, "PUT", "/Endpoint/" + id + "/$template", body, 200, ""}, // as it was: the cases come in any order
			"made under its address": {other, "PUT", "/Endpoint/" + uuid.NewString() + "/$template", strings.Replace(body, `"R68"`, `"R69"`, 1), 201, ""},
		} {
			if a := c.p.do(c.method, c.path, c.body); a.status != c.status || a.code() != c.code {
				t.Errorf("%s: %d %q, want %d %q: %s", name, a.status, a.code(), c.status, c.code, a.body)
			}
		}
		if a := p.do(http.MethodDelete, "/Endpoint/"+id+"/$template", ""); a.status != http.StatusOK {
			t.Errorf("deleting: %d %s", a.status, a.body)
		}
	})
}

// TestEachPublishedOperation asks each operation of the published description: it is done here.
func TestEachPublishedOperation(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(spectest.Dir(t, "bars", "specification"), "booking-and-referral-1.4.0.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	p := newWorld(t).program(practice)
	path, done := "", 0
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "components:") {
			break
		}
		if m := regexp.MustCompile(`^  '?(/[^':]+)'?:\s*$`).FindStringSubmatch(line); m != nil {
			path = m[1]
		}
		m := regexp.MustCompile(`^    (get|post|put|patch|delete):\s*$`).FindStringSubmatch(line)
		if m == nil || path == "" {
			continue
		}
		operation := m[1] + " " + path
		a := p.do(strings.ToUpper(m[1]), strings.ReplaceAll(path, "{id}", uuid.NewString()), "{}")
		switch {
		case a.status == http.StatusNotImplemented, a.status == http.StatusMethodNotAllowed, a.status == 0, a.status >= 500, a.status == http.StatusNotFound && strings.Contains(a.body, "address"):
			t.Errorf("%s: %d %s", operation, a.status, a.body)
		default:
			done++
		}
	}
	if t.Logf("%d published operations are done", done); done != 35 {
		t.Errorf("%d operations are done", done)
	}
}
