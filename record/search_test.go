package record_test

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/store"
)

// ward is a small record in which every kind of search has something to find and something to leave.
func ward(w *world) {
	w.put(`{"resourceType":"Organization","id":"org","name":"St Elsewhere"}`)
	w.put(`{"resourceType":"Practitioner","id":"doc","name":[{"family":"Finlay"}]}`)
	w.put(`{"resourceType":"Patient","id":"ann","identifier":[{"system":"urn:nhs","value":"1"}],"name":[{"family":"Archer","given":["Ann","Zoë"]}],"gender":"female","birthDate":"1970-03-01","managingOrganization":{"reference":"Organization/org"},"generalPractitioner":[{"reference":"Practitioner/doc"}]}`)
	w.put(`{"resourceType":"Patient","id":"bob","identifier":[{"type":{"coding":[{"system":"urn:t","code":"MR"}]},"system":"urn:nhs","value":"2"}],"name":[{"family":"Archer-Baker","given":["Bob"]}],"gender":"male","birthDate":"1980"}`)
	w.put(`{"resourceType":"Patient","id":"cyn","active":true,"name":[{"family":"O’Neill","given":["Cynthia"]}],"gender":"female","multipleBirthInteger":2}`)
	for i, who := range []string{"ann", "ann", "bob"} {
		w.put(`{"resourceType":"Observation","id":"bp%d","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"8480-6","display":"Systolic blood pressure"}]},"subject":{"reference":"Patient/%s"},"effectiveDateTime":"2026-0%d-01","performer":[{"reference":"Practitioner/doc"}],"valueQuantity":{"value":%d,"unit":"mmHg","system":"http://unitsofmeasure.org","code":"mm[Hg]"}}`, i, who, i+1, 110+10*i)
	}
	w.put(`{"resourceType":"Observation","id":"wt","status":"amended","code":{"coding":[{"system":"http://loinc.org","code":"29463-7"}]},"subject":{"reference":"Patient/ann"},"effectivePeriod":{"start":"2026-01-01","end":"2026-06-30"},"valueQuantity":{"value":0.5,"system":"http://unitsofmeasure.org","code":"kg"},"hasMember":[{"reference":"Observation/bp0"}]}`)
	w.put(`{"resourceType":"Account","id":"twins","status":"active","subject":[{"reference":"Patient/ann"},{"reference":"Patient/bob"}]}`)
	w.put(`{"resourceType":"SupplyRequest","id":"bed","itemCodeableConcept":{"text":"Bed"},"quantity":{"value":1},"deliverTo":{"reference":"Patient/ann"}}`)
	w.put(`{"resourceType":"Location","id":"leeds","position":{"longitude":-1.55,"latitude":53.8}}`)
	w.put(`{"resourceType":"ValueSet","id":"vs","url":"http://example.org/vs/a/b","status":"active"}`)
}

func TestSearchesFindWhatTheyShouldAndNothingElse(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		ward(w)
		all, err := w.find("?_type=Account,SupplyRequest,Patient,Observation,Location,ValueSet,Organization,Practitioner&_count=100")
		if err != nil {
			t.Fatal(err)
		}
		for query, want := range map[string]string{
			"Account?subject=Patient/ann":                                                 "twins",
			"Account?patient=bob":                                                         "twins",
			"SupplyRequest?subject=Patient/ann":                                           "bed",
			"Patient?family=archer":                                                       "ann bob",
			"Patient?family:exact=Archer":                                                 "ann",
			"Patient?family:contains=baker":                                               "bob",
			"Patient?given=zoe":                                                           "ann",
			"Patient?family=o'neill,archer-b":                                             "bob cyn",
			"Patient?name=archer&given=bob":                                               "bob",
			"Patient?gender=female":                                                       "ann cyn",
			"Patient?gender:not=female":                                                   "bob",
			"Patient?gender=http://hl7.org/fhir/administrative-gender|male":               "bob",
			"Patient?gender:in=http://hl7.org/fhir/ValueSet/administrative-gender":        "ann bob cyn",
			"Patient?gender:not-in=http://hl7.org/fhir/ValueSet/administrative-gender":    "",
			"Patient?birthdate=1970-03-01":                                                "ann",
			"Patient?birthdate=ge1975":                                                    "bob",
			"Patient?birthdate=lt1975":                                                    "ann",
			"Patient?birthdate=ne1980":                                                    "ann",
			"Patient?birthdate:missing=true":                                              "cyn",
			"Patient?birthdate:missing=false":                                             "ann bob",
			"Patient?birthdate=ap1971":                                                    "ann",
			"Patient?identifier=urn:nhs|1":                                                "ann",
			"Patient?identifier=1,2":                                                      "ann bob",
			"Patient?identifier=urn:nhs|":                                                 "ann bob",
			"Patient?identifier=|1":                                                       "",
			"Patient?identifier:of-type=urn:t|MR|2":                                       "bob",
			"Patient?active=true":                                                         "cyn",
			"Patient?_id=ann,cyn,nobody":                                                  "ann cyn",
			"Patient?_lastUpdated=gt2020":                                                 "ann bob cyn",
			"Patient?_lastUpdated=lt2020":                                                 "",
			"Patient?organization=Organization/org":                                       "ann",
			"Patient?organization=org":                                                    "ann",
			"Patient?organization.name=st+else":                                           "ann",
			"Patient?organization:Organization.name=nowhere":                              "",
			"Patient?general-practitioner:Practitioner.family=finlay":                     "ann",
			"Patient?_has:Observation:patient:code=8480-6":                                "ann bob",
			"Patient?_has:Observation:patient:value-quantity=gt125":                       "bob",
			"Patient?_has:Observation:patient:_has:Observation:has-member:status=amended": "ann",
			"Observation?code=http://loinc.org|8480-6":                                    "bp0 bp1 bp2",
			"Observation?code:text=systolic":                                              "bp0 bp1 bp2",
			"Observation?subject:Patient=ann":                                             "bp0 bp1 wt",
			"Observation?patient=ann&code=8480-6":                                         "bp0 bp1",
			"Observation?patient.family=archer-b":                                         "bp2",
			"Observation?patient.organization.name=st":                                    "bp0 bp1 wt",
			"Observation?subject.name=archer":                                             "bp0 bp1 bp2 wt",
			"Observation?value-quantity=gt115":                                            "bp1 bp2",
			"Observation?value-quantity=110|http://unitsofmeasure.org|mm[Hg]":             "bp0",
			"Observation?value-quantity=120||mmHg":                                        "bp1",
			"Observation?value-quantity=500|http://unitsofmeasure.org|g":                  "wt",
			"Observation?value-quantity=le0.5":                                            "wt",
			"Observation?date=2026-01-01":                                                 "bp0",
			"Observation?date=ge2026-02":                                                  "bp1 bp2 wt",
			"Observation?date=sa2026-01-15":                                               "bp1 bp2",
			"Observation?date=eb2026-02-01":                                               "bp0",
			"Observation?date=ge2026-01&date=lt2026-02":                                   "bp0 wt",
			"Observation?code-value-quantity=http://loinc.org|8480-6$gt115":               "bp1 bp2",
			"Observation?status=final,amended&_sort=date":                                 "bp0 wt bp1 bp2",
			"Observation?_sort=-value-quantity":                                           "bp2 bp1 bp0 wt",
			"Observation?_sort=-date,status":                                              "bp2 bp1 wt bp0",
			"Patient?_sort=birthdate":                                                     "ann bob cyn",
			"Patient?_sort=-birthdate":                                                    "bob ann cyn",
			"Patient?_sort=family,-_id":                                                   "ann bob cyn",
			"Patient?_sort=-_id":                                                          "cyn bob ann",
			"Location?near=53.79|-1.54|5|km":                                              "leeds",
			"Location?near=51.5|0|5|km":                                                   "",
			"ValueSet?url=http://example.org/vs/a/b":                                      "vs",
			"ValueSet?url:below=http://example.org/vs/a":                                  "vs",
			"ValueSet?url:above=http://example.org/vs/a/b/c":                              "vs",
			"?_type=Patient,Organization&_sort=_id":                                       "ann bob cyn org",
			"?_id=doc":                                                                    "doc",
		} {
			page, err := w.find(query)
			if err != nil {
				t.Errorf("%s: %v", query, err)
				continue
			}
			got := ids(page.Matches)
			if !strings.Contains(query, "_sort") {
				slices.Sort(got)
			}
			if strings.Join(got, " ") != want {
				t.Errorf("%s finds %q, want %q", query, strings.Join(got, " "), want)
			}
			if page.Total == nil || int(*page.Total) != len(got) {
				t.Errorf("%s: total %v", query, page.Total)
			}
			w.matchesAlike(query, all.Matches, want)
		}
	})
}

// matchesAlike: whoever watches the record by the criteria of a search is told of what the search finds, and of nothing else; what asks about other
// resources is refused.
func (w *world) matchesAlike(query string, all []record.Version, want string) {
	w.t.Helper()
	typ, raw, _ := strings.Cut(query, "?")
	values, err := url.ParseQuery(raw)
	if err != nil {
		w.t.Fatal(err)
	}
	q, _, err := w.recs.ParseQuery(typ, values, false)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := q.Matchable(); err != nil {
		isKind(w.t, err, fault.Invalid)
		if !strings.Contains(query, "_has") && !strings.Contains(query, "_sort") && !strings.Contains(raw, ".") {
			w.t.Errorf("%s cannot be watched: %v", query, err)
		}
		return
	}
	var got []string
	for _, v := range all {
		held, err := w.recs.Matches(q, v)
		if err != nil {
			w.t.Fatal(err)
		}
		if held {
			got = append(got, v.ID)
		}
	}
	slices.Sort(got)
	if strings.Join(got, " ") != want {
		w.t.Errorf("%s watches %q, want %q", query, strings.Join(got, " "), want)
	}
}

func TestWhatIsNotUnderstoodIsRefusedByName(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		for query, word := range map[string]string{
			"Patient?nmae=smith": "nmae", "Patient?birthdate=31-02-1970": "birthdate", "Patient?birthdate=1970-02-31": "birthdate",
			"Patient?gender:exact=male": "gender:exact", "Patient?name=": "name", "Observation?value-quantity=x": "value-quantity",
			"Observation?subject.nmae=x": "nmae", "Patient?_sort=photo": "photo", "Patient?_count=-1": "_count", "Patient?_has:Observation=x": "_has",
			"Patient?_include=Patient:name": "name", "Patient?organization:Patient=1": "organization", "Patient?gender:in=http://nowhere": "nowhere",
			"?_type=Patient,Nobody": "Nobody", "Patient?_cursor=zzzz": "page",
			"Condition?code:below=http://snomed.info/sct|73211009":                                          "snomed.info",
			"Condition?clinical-status:above=http://terminology.hl7.org/CodeSystem/condition-clinical|well": "well",
			"Condition?code:in=http://hl7.org/fhir/ValueSet/condition-code":                                 "condition-code",
			"Condition?code:not-in=http://hl7.org/fhir/ValueSet/condition-code":                             "condition-code",
			"Observation?code-value-quantity:exact=a$1":                                                     "knows none",
			"Patient?name:below=x": "exact, contains, missing",
		} {
			_, err := w.find(query)
			isKind(t, err, fault.Invalid)
			if err != nil && !strings.Contains(fault.MessageOf(err), word) {
				t.Errorf("%s: %q does not name %q", query, fault.MessageOf(err), word)
			}
		}
		_, err := w.find("Patient?nmae=smith")
		if !strings.Contains(fault.IssuesOf(err)[0].Diagnostics, "birthdate") {
			t.Error("what is known is not listed")
		}
		_, issues, err := w.recs.ParseQuery("Patient", url.Values{"nmae": {"smith"}}, true)
		if err != nil || len(issues) != 1 || issues[0].Severity != "warning" {
			t.Errorf("lenient: %v %v", issues, err)
		}
	})
}

func TestIncludesComeWithTheMatches(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		ward(w)
		for query, want := range map[string]string{
			"Observation?_id=bp0&_include=Observation:subject":                                              "ann",
			"Observation?_id=bp0&_include=Observation:subject&_include:iterate=Patient:organization":        "ann org",
			"Observation?_id=bp0&_include=*":                                                                "ann doc",
			"Observation?_id=bp0&_include=Observation:performer:Patient":                                    "",
			"Patient?_id=ann&_revinclude=Observation:subject":                                               "bp0 bp1 wt",
			"Patient?_id=ann&_revinclude=Observation:*&_include=Patient:general-practitioner":               "bp0 bp1 doc wt",
			"Organization?_id=org&_revinclude=Patient:organization&_revinclude:iterate=Observation:patient": "ann bp0 bp1 wt",
			"Observation?subject=ann&_include=Observation:has-member&_include=Observation:subject":          "ann",
		} {
			page, err := w.find(query)
			if err != nil {
				t.Errorf("%s: %v", query, err)
				continue
			}
			got := ids(page.Included)
			slices.Sort(got)
			if strings.Join(got, " ") != want {
				t.Errorf("%s includes %q, want %q", query, strings.Join(got, " "), want)
			}
		}
	})
}

func TestACompartmentHoldsWhatConcernsItsPerson(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		ward(w)
		for _, c := range []struct{ code, id, query, want string }{
			{"Patient", "ann", "Observation", "bp0 bp1 wt"},
			{"Patient", "ann", "", "ann bed bp0 bp1 twins wt"},
			{"Practitioner", "doc", "Observation", "bp0 bp1 bp2"},
			{"Practitioner", "doc", "", "ann bp0 bp1 bp2 doc"},
		} {
			q, _, err := w.recs.ParseQuery(c.query, url.Values{}, false)
			if err != nil {
				t.Fatal(err)
			}
			id, _ := ident.ParseFHIRID(c.id)
			if q, err = w.recs.InCompartment(q, c.code, id); err != nil {
				t.Fatal(err)
			}
			s, err := w.gate.DecideSet(context.Background(), w.who, access.Search, hospital, nil)
			if err != nil {
				t.Fatal(err)
			}
			page, err := w.recs.Search(context.Background(), s, q)
			if err != nil {
				t.Fatal(err)
			}
			got := ids(page.Matches)
			slices.Sort(got)
			if strings.Join(got, " ") != c.want {
				t.Errorf("%s/%s/%s holds %q, want %q", c.code, c.id, c.query, strings.Join(got, " "), c.want)
			}
		}
	})
}

// At every hop a search sees only what its scope shows: no row, no count, no sort and no chain tells of the rest.
func TestAScopeHoldsAtEveryHop(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		w.who = access.Principal{ID: "loader", Role: access.SystemClient, Organisation: spine, Tenants: []ident.ODSCode{hospital}}
		ward(w)
		nurse := w.as(access.Principal{ID: "ann", Name: "Ann", Role: access.Clinician, Organisation: hospital})
		err := w.db.Write(context.Background(), []store.Lane{w.gate.Lane(hospital, "bob")}, func(tx *store.Tx) error {
			return w.gate.Relate(tx, access.Relationship{Tenant: hospital, Chart: "bob", User: "ann", Kind: "care-team"})
		})
		if err != nil {
			t.Fatal(err)
		}
		w.must(record.Change{Verb: record.Put, Ref: ref("Patient", "vip"), Resource: resource(t,
			`{"resourceType":"Patient","id":"vip","meta":{"security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"R"}]},"name":[{"family":"Archer"}]}`)})
		for query, want := range map[string]string{
			"Observation?code=8480-6":                                 "bp2",
			"Observation?_sort=-date":                                 "bp2",
			"Observation?subject.family=archer":                       "bp2",
			"Patient?_has:Observation:patient:code=8480-6":            "bob",
			"Patient?family=archer":                                   "ann bob",
			"Practitioner?_has:Observation:performer:date=2026-01-01": "",
		} {
			page, err := nurse.find(query + "&_total=accurate")
			if err != nil {
				t.Errorf("%s: %v", query, err)
				continue
			}
			got := ids(page.Matches)
			slices.Sort(got)
			if strings.Join(got, " ") != want || page.Total == nil || int(*page.Total) != len(got) {
				t.Errorf("%s finds %q of %v, want %q", query, strings.Join(got, " "), page.Total, want)
			}
		}
		page, err := nurse.find("Practitioner?_id=doc&_revinclude=Observation:performer")
		if err != nil || strings.Join(ids(page.Included), " ") != "bp2" {
			t.Errorf("_revinclude shows %v (%v)", ids(page.Included), err)
		}
		page, err = nurse.find("Observation?code=8480-6&_count=0&_total=accurate")
		if err != nil || *page.Total != 1 {
			t.Errorf("a count alone: %v %v", page.Total, err)
		}
	})
}

func TestPagesAreStableWhileTheRecordChanges(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		for i := range 30 {
			w.put(`{"resourceType":"Organization","id":"o%02d","name":"Name %02d","active":%v}`, i, i%7, i%3 == 0)
		}
		for _, query := range []string{"Organization?_count=4", "Organization?name=name&_count=4", "Organization?_sort=name&_count=4", "Organization?_sort=-name,_id&_count=4",
			"Organization?_sort=-_lastUpdated&_count=4", "Organization?active=false&_count=4", "?_type=Organization,Patient&_count=4", "?_type=Organization,Patient&_sort=-_id&_count=4"} {
			want, err := w.find(strings.Replace(query, "_count=4", "_count=100", 1))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			page, err := w.find(query + "&_total=accurate")
			for n := 0; err == nil; n++ {
				got = append(got, ids(page.Matches)...)
				if page.Total == nil || int(*page.Total) != len(want.Matches) {
					t.Fatalf("%s: total %v of %d", query, page.Total, len(want.Matches))
				}
				if page.Next == "" {
					break
				}
				if n == 2 {
					w.put(`{"resourceType":"Organization","id":"%s","name":"Name 03","active":false}`, fmt.Sprintf("new%d", len(got)))
				}
				page, err = w.find(query + "&_total=accurate&_cursor=" + page.Next)
			}
			if err != nil {
				t.Fatalf("%s: %v", query, err)
			}
			if !slices.Equal(got, ids(want.Matches)) {
				t.Errorf("%s: pages show %v, one page %v", query, got, ids(want.Matches))
			}
			all, err := w.find("Organization?_count=100")
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range all.Matches {
				if strings.HasPrefix(v.ID, "new") {
					w.must(record.Change{Verb: record.Delete, Ref: v.Ref})
				}
			}
		}
	})
}

// Totals tell nobody how many there are whom they may not see, whether the index counts or bodies do.
func TestTotalsCountWhatTheScopeShows(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		for i := range 9 {
			secret := ""
			if i%3 == 0 {
				secret = `"meta":{"security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"R"}]},`
			}
			w.put(`{"resourceType":"Patient","id":"t%d",%s"name":[{"family":"Quill","given":["Quillan","Ada"]},{"family":"Quillfeather"}],"gender":"female","birthDate":"1970"}`, i, secret)
		}
		if _, err := w.do(record.Change{Verb: record.Delete, Ref: ref("Patient", "t1")}); err != nil {
			t.Fatal(err)
		}
		clerk := w.as(access.Principal{ID: "c", Name: "C", Role: access.Clerk, Organisation: hospital, Tenants: []ident.ODSCode{hospital}})
		for query, all := range map[string]int64{"_total=accurate": 8, "gender=female&_total=accurate": 8, "family=quill&_total=accurate": 8,
			"name=quill&_total=accurate": 8, "birthdate=1970&_total=accurate": 8, "family=quill&gender=female&_total=accurate": 8, "gender=male&_total=accurate": 0} {
			for who, want := range map[*world]int64{w: all, clerk: min(all, 5)} {
				s, err := w.gate.DecideSet(context.Background(), who.who, access.Search, hospital, nil)
				if err != nil {
					t.Fatal(err)
				}
				values, err := url.ParseQuery(query + "&_count=1")
				if err != nil {
					t.Fatal(err)
				}
				q, _, err := w.recs.ParseQuery("Patient", values, false)
				if err != nil {
					t.Fatal(err)
				}
				page, err := w.recs.Search(context.Background(), s, q)
				if err != nil {
					t.Fatalf("%s: %v", query, err)
				}
				if page.Total == nil || *page.Total != want {
					t.Errorf("%s as %s: total %v, want %d", query, who.who.Role, page.Total, want)
				}
			}
		}
	})
}
