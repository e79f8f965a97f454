package directory_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/openspine/openspine/directory"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/internal/spectest"
)

const sds = "/spine-directory/FHIR/R4"

// asked is a query of the published form.
func asked(pairs ...string) string {
	q := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		system := map[string]string{"organization": "ods-organization-code", "manufacturing-organization": "ods-organization-code", "interaction": "nhsServiceInteractionId", "party": "nhsMhsPartyKey"}[pairs[i]]
		name := pairs[i]
		if name == "interaction" || name == "party" {
			name = "identifier"
		}
		q.Add(name, "https://fhir.nhs.uk/Id/"+system+"|"+pairs[i+1])
	}
	return "?" + q.Encode()
}

func TestPublishedExamplesOfTheSpineDirectory(t *testing.T) {
	t.Parallel()
	p := &published{t: t, w: given(t)}
	read := func(name string) map[string]any {
		b, err := os.ReadFile(filepath.Join(spectest.Dir(t, "sds", "specification", "components", "examples"), name))
		if err != nil {
			t.Fatal(err)
		}
		var v map[string]any
		if err := json.Unmarshal(b, &v); err != nil {
			t.Fatal(err)
		}
		if v["resourceType"] != "Bundle" {
			res, err := fhir.Parse(b)
			if err != nil {
				t.Fatal(err)
			}
			p.w.keep(res)
		}
		return v
	}
	for _, c := range []struct{ resource, bundle, path, why string }{
		{"Device.json", "DeviceBundle.json", "/Device" + asked("organization", "A20047", "interaction", "urn:nhs:names:services:gpconnect:fhir:operation:gpc.getcarerecord", "party", "A20047-821870", "manufacturing-organization", "A20047"),
			"the example's own address asks for an interaction and a manufacturer that its device does not have: asked so, the link is equal and nothing is found"},
		{"Endpoint.json", "EndpointBundle.json", "/Endpoint" + asked("organization", "YES", "interaction", "urn:nhs:names:services:psis:REPC_IN150016UK05", "party", "YES-0000806"),
			"the example's own address asks for another party key, of a misspelt system: asked so, it is refused"},
	} {
		resource, bundle := read(c.resource), read(c.bundle)
		entry, _ := bundle["entry"].([]any)[0].(map[string]any)
		entry["resource"] = resource
		entry["fullUrl"] = strings.ReplaceAll(entry["fullUrl"].(string), "https://int.api.service.nhs.uk", p.w.n.URL())
		address := fmt.Sprint(bundle["link"].([]any)[0].(map[string]any)["url"])
		address = strings.ReplaceAll(address, "https://int.api.service.nhs.uk", "")
		delete(bundle, "link")
		got := p.w.get(sds + c.path)
		delete(got.json, "link")
		if d := differs("", p.plain(bundle), p.plain(got.json)); d != "" || got.status != 200 {
			t.Errorf("%s: %d %s", c.bundle, got.status, d)
		}
		p.report = append(p.report, "equal   200  "+c.resource, "but     200  "+c.bundle+"\n        apart from: link\n        because: "+c.why)

		asPublished := p.w.get(address)
		if c.resource == "Endpoint.json" {
			if asPublished.status != 400 {
				t.Errorf("%s: %d", address, asPublished.status)
			}
			continue
		}
		link, _ := asPublished.json["link"].([]any)[0].(map[string]any)
		if asPublished.status != 200 || asPublished.json["total"] != float64(0) || link["url"] != p.w.n.URL()+address {
			t.Errorf("%s: %d %s", address, asPublished.status, asPublished.body)
		}
	}
	p.golden("testdata/sds.golden")
}

func TestASystemIsFoundByThePublishedCombinationsOnly(t *testing.T) {
	t.Parallel()
	w := given(t)
	endpoint := `{"resourceType":"Endpoint","id":"e1","status":"active","connectionType":{"code":"hl7-fhir-msg"},"payloadType":[{"text":"any"}],"address":"https://x.example",
		"identifier":[{"system":"https://fhir.nhs.uk/Id/nhsMhsPartyKey","value":"Z99-1"}],"managingOrganization":{"identifier":{"system":"https://fhir.nhs.uk/Id/ods-organization-code","value":"Z99001"}},
		"extension":[{"url":"https://fhir.nhs.uk/StructureDefinition/Extension-SDS-NhsServiceInteractionId","valueReference":{"identifier":{"system":"https://fhir.nhs.uk/Id/nhsServiceInteractionId","value":"urn:x:Send"}}}]}`
	res, err := fhir.Parse([]byte(endpoint))
	if err != nil {
		t.Fatal(err)
	}
	w.keep(res)
	for _, c := range []struct {
		path   string
		status int
		ids    int
		says   string
	}{
		{"/Endpoint" + asked("organization", "z99001", "interaction", "urn:x:Send", "party", "Z99-1"), 200, 1, ""},
		{"/Endpoint" + asked("organization", "Z99001", "party", "Z99-1"), 200, 1, ""},
		{"/Endpoint" + asked("organization", "Z99001", "interaction", "urn:x:Send"), 200, 1, ""},
		{"/Endpoint" + asked("interaction", "urn:x:Send", "party", "Z99-1"), 200, 1, ""},
		{"/Endpoint" + asked("organization", "Z99001", "interaction", "urn:x:send"), 200, 0, ""},
		{"/Endpoint" + asked("party", "Z99-1"), 400, 0, "two at least"},
		{"/Endpoint" + asked("organization", "Z99001"), 400, 0, "'identifier'"},
		{"/Endpoint", 400, 0, "'identifier'"},
		{"/Endpoint?organization=Z99001" + "&identifier=x", 400, 0, "'organization'"},
		{"/Endpoint" + asked("organization", "Z99001", "interaction", "a", "interaction", "b"), 400, 0, "'identifier'"},
		{"/Device" + asked("organization", "Z99001", "interaction", "urn:x:Send"), 200, 0, ""},
		{"/Device" + asked("interaction", "urn:x:Send"), 400, 0, "'organization'"},
		{"/Device" + asked("organization", "Z99001", "party", "Z99-1"), 400, 0, "'identifier'"},
		{"/Device?shoe=1", 400, 0, "Illegal query parameter"},
		{"/Nothing", 404, 0, "RESOURCE_NOT_FOUND"},
	} {
		got := w.get(sds + c.path)
		if got.status != c.status || len(got.ids()) != c.ids || !strings.Contains(got.body, c.says) {
			t.Errorf("%s: %d %s", c.path, got.status, got.body)
		}
	}
	good := "/Endpoint" + asked("organization", "Z99001", "interaction", "urn:x:Send")
	if got := w.get(sds+good, "apikey: "); got.status != 401 || !strings.Contains(got.body, "ACCESS_DENIED") {
		t.Errorf("without a key: %d %s", got.status, got.body)
	}
	if got := w.get(sds+good, "Accept: application/fhir+xml"); got.status != 406 {
		t.Errorf("as XML: %d", got.status)
	}
	if got := w.call("POST", sds+"/Device", "{}"); got.status != 405 || got.header.Get("Allow") != "GET" {
		t.Errorf("POST: %d %s", got.status, got.body)
	}
	if got := w.get(sds+good, "X-Correlation-Id: 6d3d3674-7ce5-11ec-90d6-0242ac120003"); got.header.Get("X-Correlation-Id") != "6d3d3674-7ce5-11ec-90d6-0242ac120003" {
		t.Error("the correlation id does not come back")
	}
	w.void("Endpoint", "e1")
	if got := w.get(sds + good); got.status != 200 || len(got.ids()) != 0 {
		t.Errorf("taken out: %s", got.body)
	}
}

func TestAKeyOpensUntilItEnds(t *testing.T) {
	t.Parallel()
	w := given(t)
	live := directory.New(w.n.Kernel(), false)
	key, err := live.GiveKey(t.Context(), "referral app")
	if err != nil {
		t.Fatal(err)
	}
	if err := live.CheckKey(t.Context(), key); err != nil {
		t.Error(err)
	}
	if err := live.CheckKey(t.Context(), key+"x"); err == nil {
		t.Error("another key opens")
	}
	if n, err := live.EndKeys(t.Context(), "referral app"); err != nil || n != 1 {
		t.Errorf("%d ended: %v", n, err)
	}
	if err := live.CheckKey(t.Context(), key); err == nil {
		t.Error("a key that has ended opens")
	}
}
