package directory_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
)

func TestWhatTheTerminologyAPIRefuses(t *testing.T) {
	t.Parallel()
	w := given(t)
	w.imports(line())
	expand := `{"resourceType":"Parameters","parameter":[{"name":"valueSet","resource":{"resourceType":"ValueSet","compose":{"include":[{"system":"https://fhir.nhs.uk/Id/ods-organization-code","filter":[{"property":"%s","op":"%s","value":"%s"}]}]}}}]}`
	for _, c := range []struct {
		method, path, body string
		status             int
		says               string
	}{
		{"GET", "/Organization?lastChangeDate=gt2017-13-01", "", 400, "HAPI-1940"},
		{"GET", "/Organization?lastChangeDate=zz2017-01-01", "", 400, "HAPI-1940"},
		{"GET", "/Organization?name=ab", "", 400, "3 to 100 characters"},
		{"GET", "/Organization?name=" + strings.Repeat("a", 101), "", 400, "3 to 100 characters"},
		{"GET", "/Organization?name=a%00bc", "", 400, "character"},
		{"GET", "/Organization?address-postalcode=%25%25", "", 400, "character"},
		{"GET", "/Organization?active=yes", "", 400, "HAPI-1940"},
		{"GET", "/Organization?_count=-1", "", 400, "_count"},
		{"GET", "/Organization?_count=50001", "", 422, "Too many records requested"},
		{"GET", "/Organization?_summary=text", "", 400, "_summary"},
		{"GET", "/Organization?name:above=abc", "", 400, "modifier"},
		{"GET", "/Organization?nAme=%ff", "", 400, "HAPI-0524"},
		{"GET", "/Organization?%zz", "", 400, "percent"},
		{"PUT", "/Organization/Z99001", "", 405, "HAPI-0427"},
		{"GET", "/Patient", "", 404, "nothing at this address"},
		{"GET", "/Organization/%00", "", 404, "HAPI-2001"},
		{"GET", "/List/nothing", "", 404, "HAPI-2001"},
		{"GET", "/CodeSystem/$lookup?code=Z99001", "", 400, "system and code"},
		{"GET", "/CodeSystem/$lookup?system=https://fhir.nhs.uk/Id/ods-organization-code&code=ZZZ", "", 404, "HAPI-2001"},
		{"GET", "/CodeSystem/$lookup?system=nothing&code=ZZZ", "", 404, "HAPI-2001"},
		{"GET", "/CodeSystem?nothing=1", "", 400, "HAPI-0524"},
		{"GET", "/CodeSystem?url=https://fhir.nhs.uk/Id/ods-organization-code&_summary=false", "", 422, "Too many records"},
		{"POST", "/ValueSet/$expand", "{", 400, ""},
		{"POST", "/ValueSet/$expand", `{"resourceType":"Patient"}`, 400, "Parameters"},
		{"POST", "/ValueSet/$expand", `{"resourceType":"Parameters"}`, 400, "code system"},
		{"POST", "/ValueSet/$expand", fmt.Sprintf(expand, "shoe", "=", "1"), 422, "No declared filter on Codesystem"},
		{"POST", "/ValueSet/$expand", fmt.Sprintf(expand, "town", "regex", "1"), 422, "No declared filter on Codesystem"},
		{"POST", "/ValueSet/$expand", fmt.Sprintf(expand, "lastChangeDate", "=", "soon"), 400, "HAPI-1940"},
	} {
		got := w.call(c.method, odt+c.path, c.body)
		issues, _ := got.json["issue"].([]any)
		if got.status != c.status || len(issues) != 1 || !strings.Contains(got.body, c.says) {
			t.Errorf("%s %s: %d %s, want %d %q", c.method, c.path, got.status, got.body, c.status, c.says)
		}
	}
}

// expanded are the codes of a code system that a filter leaves.
func (w *world) expanded(system, filter string) string {
	w.t.Helper()
	body := `{"resourceType":"Parameters","parameter":[{"name":"valueSet","resource":{"resourceType":"ValueSet","compose":{"include":[{"system":"` + system + `","filter":[` + filter + `]}]}}}]}`
	got := w.call("POST", odt+"/ValueSet/$expand", body)
	var codes []string
	expansion, _ := got.json["expansion"].(map[string]any)
	contains, _ := expansion["contains"].([]any)
	for _, c := range contains {
		one, _ := c.(map[string]any)
		codes = append(codes, fmt.Sprint(one["code"]))
	}
	if got.status != 200 {
		w.t.Errorf("%s: %d %s", filter, got.status, got.body)
	}
	return strings.Join(codes, " ")
}

func TestExpansionsAreFiltered(t *testing.T) {
	t.Parallel()
	w := given(t)
	w.imports(line(), line("1=Z99002", "9=", "7=WYTHE", "8=", "26=25", "15=00M", "3=W00"), line("1=Z99003", "12=20200101", "13=C", "17=20200101"))
	for filter, want := range map[string]string{
		`{"property":"town","op":"=","value":"WYTHE"}`:                                                               "Z99002",
		`{"property":"role","op":"in","value":"RO76,RO80"}`:                                                          "Z99001 Z99003",
		`{"property":"RE4","op":"=","value":"00M"}`:                                                                  "Z99002",
		`{"property":"NHSER","op":"=","value":"Y63"}`:                                                                "Z99001 Z99003",
		`{"property":"status","op":"=","value":"active"}`:                                                            "Z99001 Z99002",
		`{"property":"opStartDate","op":"=","value":"lt1980-01-01"},{"property":"country","op":"=","value":"WALES"}`: "Z99002",
		`{"property":"code","op":"in","value":"Z99001, Z99003"},{"property":"inactive","op":"=","value":"true"}`:     "Z99003",
	} {
		if got := w.expanded("https://fhir.nhs.uk/Id/ods-organization-code", filter); got != want {
			t.Errorf("%s: %s, want %s", filter, got, want)
		}
	}
}

func TestEachCodeSystemIsListedLookedUpAndExpanded(t *testing.T) {
	t.Parallel()
	w := given(t)
	w.imports(line())
	list := w.get(odt + "/CodeSystem?_count=50")
	entries, _ := list.json["entry"].([]any)
	if len(entries) != 15 {
		t.Fatalf("%d code systems", len(entries))
	}
	for _, e := range entries {
		entry, _ := e.(map[string]any)
		res, _ := entry["resource"].(map[string]any)
		system := fmt.Sprint(res["url"])
		body := `{"resourceType":"Parameters","parameter":[{"name":"valueSet","resource":{"resourceType":"ValueSet","compose":{"include":[{"system":"` + system + `"}]}}},{"name":"count","valueInteger":1}]}`
		got := w.call("POST", odt+"/ValueSet/$expand", body)
		expansion, _ := got.json["expansion"].(map[string]any)
		contains, _ := expansion["contains"].([]any)
		if got.status != 200 {
			t.Errorf("%s: %d %s", system, got.status, got.body)
		}
		if len(contains) == 0 {
			continue // nobody works here yet, and nobody was succeeded
		}
		first, _ := contains[0].(map[string]any)
		looked := w.get(odt + "/CodeSystem/$lookup?property=*&system=" + system + "&code=" + url.QueryEscape(fmt.Sprint(first["code"])))
		if looked.status != 200 || !strings.Contains(looked.body, fmt.Sprint(first["code"])) {
			t.Errorf("%s: %d %s", system, looked.status, looked.body)
		}
	}
}
