package fhirapi_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// ward is a small hospital to search in.
func ward(c *caller) {
	for _, r := range []string{
		`{"resourceType":"Organization","id":"trust","name":"The Trust","identifier":[{"system":"urn:o","value":"T"}]}`,
		`{"resourceType":"Organization","id":"clinic","name":"The Clinic","partOf":{"reference":"Organization/trust"}}`,
		`{"resourceType":"Practitioner","id":"gp","name":[{"family":"Finlay"}],"identifier":[{"system":"urn:p","value":"G1"}]}`,
		`{"resourceType":"Patient","id":"ann","active":true,"gender":"female","birthDate":"1950-02-03","name":[{"family":"O'Brien","given":["Ann"]}],` +
			`"identifier":[{"system":"urn:nhs","value":"111","type":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v2-0203","code":"MR"}],"text":"ward number"}}],"generalPractitioner":[{"reference":"Practitioner/gp"}],` +
			`"managingOrganization":{"reference":"Organization/clinic"},"meta":{"tag":[{"system":"urn:t","code":"x"}],"security":[{"system":"urn:s","code":"y"}],"profile":["http://example.org/p"],"source":"http://example.org/src"},"text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">likes gardening</div>"}}`,
		`{"resourceType":"Patient","id":"bob","active":true,"gender":"male","birthDate":"1980-02-03","name":[{"family":"Obrien","given":["Bob"]}],"identifier":[{"system":"urn:nhs","value":"222"}],"generalPractitioner":[{"identifier":{"system":"urn:p","value":"G2"}}]}`,
		`{"resourceType":"Patient","id":"cy","gender":"other","birthDate":"2000-12","name":[{"family":"Smith","given":["Cy"]}],"address":[{"city":"Leeds"}]}`,
		observation("o1", "ann", "50"), observation("o2", "ann", "60"), observation("o3", "bob", "70"),
		`{"resourceType":"Observation","id":"o4","status":"preliminary","code":{"coding":[{"system":"http://loinc.org","code":"718-7"}],"text":"Haemoglobin"},"subject":{"reference":"Patient/bob"},"performer":[{"reference":"Practitioner/gp"}],"effectivePeriod":{"start":"2024-05-01","end":"2024-05-03"},"valueString":"low"}`,
		`{"resourceType":"Encounter","id":"e1","status":"finished","class":{"code":"AMB"},"subject":{"reference":"Patient/ann"},"serviceProvider":{"reference":"Organization/clinic"}}`,
		`{"resourceType":"ValueSet","id":"vs","status":"active","url":"http://example.org/fhir/ValueSet/a/b"}`,
		`{"resourceType":"RiskAssessment","id":"r","status":"final","subject":{"reference":"Patient/ann"},"prediction":[{"probabilityDecimal":0.25}]}`,
		`{"resourceType":"Condition","id":"c1","subject":{"reference":"Patient/ann"},"code":{"text":"Broken arm"},"clinicalStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/condition-clinical","code":"relapse"}]}}`,
	} {
		c.put(r)
	}
}

// "The search interaction searches a set of resources based on some filter criteria": parameters, modifiers, prefixes, chains.
func TestSearch(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := w.system().in(t)
		ward(c)
		for query, want := range map[string]string{
			"Patient?family=obrien":          "bob", // an apostrophe is a letter of the name
			"Patient?family=O'Brien":         "ann",
			"Patient?family=o":               "ann bob",
			"Patient?family:exact=Obrien":    "bob",
			"Patient?family:exact=obrien":    "",
			"Patient?family:contains=bri":    "ann bob",
			"Patient?given=ann,cy":           "ann cy",
			"Patient?given=ann&family=smith": "",
			"Patient?address-city=leeds":     "cy",
			"Patient?address:missing=false":  "cy",
			"Patient?address:missing=true":   "ann bob",
			"Patient?gender=female":          "ann",
			"Patient?gender:not=female":      "bob cy",
			"Patient?active:missing=true":    "cy",
			"Patient?identifier=urn:nhs|111": "ann",
			"Patient?identifier=111":         "ann",
			"Patient?identifier=urn:nhs|":    "ann bob",
			"Patient?identifier=|111":        "",
			"Patient?identifier:of-type=http://terminology.hl7.org/CodeSystem/v2-0203|MR|111": "ann",
			"Patient?identifier:text=ward":                                             "ann",
			"Patient?birthdate=1950":                                                   "ann",
			"Patient?birthdate=1950-02-03":                                             "ann",
			"Patient?birthdate=ge1980":                                                 "bob cy",
			"Patient?birthdate=gt1980-02-03":                                           "cy",
			"Patient?birthdate=lt1980":                                                 "ann",
			"Patient?birthdate=ne1950-02-03":                                           "bob cy",
			"Patient?birthdate=sa1999&birthdate=eb2001-02":                             "cy",
			"Patient?birthdate=2000":                                                   "cy",
			"Patient?birthdate=2000-12-05":                                             "",
			"Patient?general-practitioner=Practitioner/gp":                             "ann",
			"Patient?general-practitioner=gp":                                          "ann",
			"Patient?general-practitioner:Practitioner=gp":                             "ann",
			"Patient?general-practitioner:identifier=urn:p|G2":                         "bob",
			"Patient?general-practitioner.family=fin":                                  "ann",
			"Patient?general-practitioner:Practitioner.identifier=urn:p|G1":            "ann",
			"Patient?organization.partof.name=trust":                                   "",
			"Patient?organization.partof.name=the trust":                               "ann",
			"Patient?_has:Observation:patient:code=718-7":                              "bob",
			"Patient?_has:Observation:patient:_has:Provenance:target:_id=x":            "",
			"Patient?_has:Encounter:patient:service-provider.name=the clinic":          "ann",
			"Patient?_id=ann,cy,none":                                                  "ann cy",
			"Patient?_tag=urn:t|x":                                                     "ann",
			"Patient?_tag:not=urn:t|x":                                                 "bob cy",
			"Patient?_security=urn:s|y":                                                "ann",
			"Patient?_profile=http://example.org/p":                                    "ann",
			"Patient?_source=http://example.org/src":                                   "ann",
			"Patient?_lastUpdated=ge2020":                                              "ann bob cy",
			"Patient?_lastUpdated=lt2020":                                              "",
			"Patient?_text=gardening":                                                  "ann",
			"Patient?_content=leeds":                                                   "cy",
			"Patient?gender:in=http://hl7.org/fhir/ValueSet/administrative-gender":     "ann bob cy",
			"Patient?gender:not-in=http://hl7.org/fhir/ValueSet/administrative-gender": "",
			"Observation?value-quantity=60":                                            "o2",
			"Observation?value-quantity=gt55|http://unitsofmeasure.org|/min":           "o2 o3",
			"Observation?value-quantity=le60||/min":                                    "o1 o2",
			"Observation?value-quantity=ap58":                                          "o2",
			"Observation?code=http://loinc.org|8867-4":                                 "o1 o2 o3",
			"Observation?code:text=haemo":                                              "o4",
			"Observation?date=2024-05-02":                                              "",
			"Observation?date=ge2024-05-02":                                            "o4",
			"Observation?date=2024":                                                    "o1 o2 o3 o4",
			"Observation?subject=Patient/ann":                                          "o1 o2",
			"Observation?patient=ann":                                                  "o1 o2",
			"Observation?subject:Patient.birthdate=1950":                               "o1 o2",
			"Observation?patient.general-practitioner.family=finlay":                   "o1 o2",
			"Observation?code-value-quantity=http://loinc.org|8867-4$gt55":             "o2 o3",
			"Observation?status:not=final":                                             "o4",
			"RiskAssessment?probability=0.25":                                          "r",
			"RiskAssessment?probability=gt0.3":                                         "",
			"ValueSet?url=http://example.org/fhir/ValueSet/a/b":                        "vs",
			"ValueSet?url:below=http://example.org/fhir":                               "vs",
			"ValueSet?url:above=http://example.org/fhir/ValueSet/a/b/c":                "vs",
			"Condition?clinical-status:below=http://terminology.hl7.org/CodeSystem/condition-clinical|active": "c1",
			"Condition?clinical-status:above=http://terminology.hl7.org/CodeSystem/condition-clinical|active": "",
			"?_type=Patient,Encounter&_lastUpdated=ge2020":                                                    "ann bob cy e1",
			"?_tag=urn:t|x&_type=Patient,Practitioner":                                                        "ann",
		} {
			head, params, _ := strings.Cut(query, "?")
			values, err := url.ParseQuery(params)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(params, "+") {
				t.Fatal("write a space")
			}
			var wanted []string
			for id := range strings.FieldsSeq(want) {
				wanted = append(wanted, id)
			}
			got := func(a *answer) (ids []string) {
				for _, ref := range a.wants(200).ids("match") {
					_, id, _ := strings.Cut(ref, "/")
					ids = append(ids, id)
				}
				slices.Sort(ids)
				return ids
			}
			if ids := got(c.get(head + "?" + values.Encode())); !slices.Equal(ids, wanted) {
				t.Errorf("GET %s: %q, want %q", query, ids, wanted)
			}
			if ids := got(c.do("POST", strings.TrimPrefix(head+"/_search", "/"), values.Encode(), "Content-Type", "application/x-www-form-urlencoded")); !slices.Equal(ids, wanted) {
				t.Errorf("POST %s: %q, want %q", query, ids, wanted)
			}
		}
		c.get("Observation?subject="+url.QueryEscape(c.url+"/Patient/ann")).wants(200).is("total", "2")
	})
}

// "_include" and "_revinclude" add what matches refer to and what refers to them; :iterate goes on from there.
func TestIncludes(t *testing.T) {
	c := newWorld(t, setting{}).system()
	ward(c)
	for query, want := range map[string]string{
		"Patient?_id=ann&_include=Patient:general-practitioner":                                            "Practitioner/gp",
		"Patient?_id=ann&_include=Patient:organization":                                                    "Organization/clinic",
		"Patient?_id=ann&_include=Patient:organization&_include=Organization:partof":                       "Organization/clinic",
		"Patient?_id=ann&_include=Patient:organization&_include:iterate=Organization:partof":               "Organization/clinic Organization/trust",
		"Patient?_id=ann&_include=*":                                                                       "Organization/clinic Practitioner/gp",
		"Patient?_id=ann&_include=Patient:*":                                                               "Organization/clinic Practitioner/gp",
		"Patient?_id=ann&_revinclude=Observation:patient":                                                  "Observation/o1 Observation/o2",
		"Patient?_id=ann&_revinclude=Observation:subject:Patient":                                          "Observation/o1 Observation/o2",
		"Organization?_id=clinic&_revinclude=Patient:organization&_revinclude:iterate=Observation:patient": "Observation/o1 Observation/o2 Patient/ann",
		"Observation?_id=o4&_include=Observation:performer:Practitioner":                                   "Practitioner/gp",
		"Observation?_id=o4&_include=Observation:performer:Organization":                                   "",
		"?_type=Observation&_id=o4&_include=*":                                                             "Patient/bob Practitioner/gp",
		"?_type=Observation,Patient&_id=ann,o1&_include=Observation:subject":                               "",
	} {
		a := c.get(query).wants(200)
		got := a.ids("include")
		slices.Sort(got)
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
		a.is("total", fmt.Sprint(len(a.ids("match"))))
	}
	for _, bad := range []string{"_include=Nonsense:x", "_include=Patient:nonsense", "_include=Patient", "_revinclude=*", "_include:nonsense=Patient:organization", "_include=Patient:organization:Nonsense", "_include=Patient:birthdate"} {
		c.get("Patient?" + bad).wants(400)
	}
}

// "_sort", "_count", "_total", "_summary", "_elements": how the answer is given.
func TestSearchResults(t *testing.T) {
	c := newWorld(t, setting{}).system()
	ward(c)
	for query, want := range map[string]string{
		"Patient?_sort=birthdate":          "ann bob cy",
		"Patient?_sort=-birthdate":         "cy bob ann",
		"Patient?_sort=family,given":       "ann bob cy",
		"Patient?_sort=gender":             "ann bob cy",
		"Patient?_sort=-_id":               "cy bob ann",
		"Patient?_sort=_lastUpdated":       "ann bob cy",
		"Observation?_sort=-date,_id":      "o4 o1 o2 o3",
		"Observation?_sort=value-quantity": "o1 o2 o3 o4",
		"Patient?_sort=address-city":       "cy ann bob",
	} {
		var got []string
		for path := query + "&_count=2"; path != ""; {
			a := c.get(path).wants(200)
			for _, ref := range a.ids("match") {
				_, id, _ := strings.Cut(ref, "/")
				got = append(got, id)
			}
			path = a.link("next")
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
	c.get("Patient?_total=accurate&_count=1").wants(200).is("total", "3")
	c.get("Patient?_total=none&_count=1").wants(200).is("total", "")
	c.get("Patient?_total=estimate&_count=1").wants(200)
	count := c.get("Patient?_summary=count").wants(200).is("total", "3")
	if count.resource().Get("entry").Exists() || count.link("next") != "" {
		t.Errorf("a count shows %s", count.body)
	}
	c.get("Patient?_count=0").wants(200)
	a := c.get("Patient?_id=ann&_elements=birthDate").wants(200).is("entry.0.resource.birthDate", "1950-02-03").is("entry.0.resource.gender", "")
	if !strings.Contains(a.body, "SUBSETTED") || !strings.Contains(a.text("link.0.url"), "_elements=birthDate") {
		t.Error(a.body)
	}
	c.get("Patient?_id=ann&_summary=text").wants(200).is("entry.0.resource.name", "").is("entry.0.resource.text.status", "generated")
	c.get("Patient?_id=ann&_summary=data").wants(200).is("entry.0.resource.text", "").is("entry.0.resource.gender", "female")
	c.get("Patient?_id=ann&_summary=true").wants(200).is("entry.0.resource.text", "").is("entry.0.resource.gender", "female")
	if got := c.get("Patient?_id=ann&_summary=false").wants(200); strings.Contains(got.body, "SUBSETTED") {
		t.Error("_summary=false is a part")
	}
	if a.text("entry.0.fullUrl") != c.url+"/Patient/ann" || a.text("entry.0.search.mode") != "match" {
		t.Error(a.body)
	}
}

// "unless the client has specified Prefer: handling=lenient": what is not understood is refused, or said to be left out.
func TestLenient(t *testing.T) {
	c := newWorld(t, setting{}).system()
	ward(c)
	for _, query := range []string{"Patient?nonsense=1", "Patient?_nonsense=1", "Patient?family:nonsense=x", "Patient?nonsense.family=x", "Patient?_has:Nonsense:patient:code=x",
		"Patient?birthdate=x", "Patient?_sort=nonsense", "Patient?_total=x", "Patient?_count=x", "Patient?family=", "Patient?gender:in=http://example.org/none"} {
		c.get(query).wants(400)
		c.get(query, "Prefer", "handling=strict").wants(400)
	}
	a := c.get("Patient?nonsense=1&family=smith", "Prefer", "handling=lenient").wants(200)
	if got := a.ids("match"); !slices.Equal(got, []string{"Patient/cy"}) {
		t.Errorf("lenient finds %q", got)
	}
	if got := a.ids("outcome"); len(got) != 1 {
		t.Errorf("lenient does not say what it left out: %s", a.body)
	}
	if self := a.link("self"); strings.Contains(self, "nonsense") || !strings.Contains(self, "family=smith") {
		t.Errorf("the self link is %s", self)
	}
	c.get("Patient?birthdate=x", "Prefer", "handling=lenient").wants(400)
}

// Pages are stable while data changes: nothing is shown twice, nothing that was there is missed, nothing new slips in.
func TestPagesAreStable(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := w.system().in(t)
		for i := range 30 {
			c.put(patient(fmt.Sprintf("p%02d", i), fmt.Sprintf("Family%02d", (i*7)%30)))
		}
		for _, query := range []string{"Patient?_count=4", "Patient?_count=4&_sort=family", "Patient?_count=4&_sort=-_lastUpdated", "Patient?family=family&_count=4", "?_type=Patient&_count=4", "Patient?_count=4&_sort=-birthdate"} {
			seen := map[string]int{}
			var deleted []string
			n := 0
			for path := query; path != ""; n++ {
				a := c.get(path).wants(200)
				for _, id := range a.ids("match") {
					seen[id]++
				}
				path = a.link("next")
				// Meanwhile one comes, one changes, and one that has been seen goes.
				c.put(patient(fmt.Sprintf("new%d-%d", n, len(query)), "Family00"))
				c.put(patient(fmt.Sprintf("p%02d", (n*5)%30), fmt.Sprintf("Family%02d", ((n*5)%30*7)%30)))
				_ = deleted
			}
			for i := range 30 {
				id := fmt.Sprintf("Patient/p%02d", i)
				if seen[id] != 1 && !strings.Contains(query, "_lastUpdated") {
					t.Errorf("%s: %s was shown %d times", query, id, seen[id])
				}
				if seen[id] > 1 {
					t.Errorf("%s: %s was shown %d times", query, id, seen[id])
				}
			}
			for id := range seen {
				if strings.Contains(id, "new") && strings.HasSuffix(id, fmt.Sprintf("-%d", len(query))) {
					t.Errorf("%s: %s came later", query, id)
				}
			}
			for i := range n {
				c.do("DELETE", fmt.Sprintf("Patient/new%d-%d", i, len(query)), nil)
			}
		}
	})
}
