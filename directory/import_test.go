package directory_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/openspine/openspine/directory"
	"github.com/openspine/openspine/ident"
)

// said is a plan in one line for each change.
func said(p *directory.Plan) []string {
	var list []string
	for _, c := range p.Changes {
		text := c.Kind + " " + c.Code
		for _, f := range c.Fields {
			text += fmt.Sprintf("; %s: %q → %q", f.Name, f.Before, f.After)
		}
		list = append(list, text)
	}
	return list
}

func TestTheSameFileAgainChangesNothing(t *testing.T) {
	t.Parallel()
	w := given(t)
	if p := w.imports(line(), line("1=Z99002")); p.Count(directory.Added) != 2 {
		t.Fatalf("%q", said(p))
	}
	w.clock.Advance(24 * time.Hour)
	if p := w.imports(line(), line("1=Z99002")); len(p.Changes) != 0 || p.Unchanged != 2 {
		t.Errorf("%q", said(p))
	}
	if p := w.imports(line()); p.Absent != 1 || len(p.Changes) != 0 {
		t.Errorf("%d absent, %q", p.Absent, said(p))
	}
	if o, err := w.d.Organisation(t.Context(), ident.MustODSCode("Z99002")); err != nil || !o.Active() {
		t.Errorf("what a file leaves out is %+v (%v)", o, err)
	}
}

func TestAnImportShowsWhatChangesFieldByField(t *testing.T) {
	t.Parallel()
	w := given(t)
	w.imports(line(), line("1=Z99002"))
	p := w.imports(line("2=NEW MILL SURGERY", "18=01632 960002", "15=00M", "16=20260101", "24=00M", "26=25"), line("1=Z99002", "12=20260531", "13=C", "17=20260531"))
	want := []string{
		`changed Z99001; name: "THE \"OLD\" MILL SURGERY" → "NEW MILL SURGERY"; phone: "01632 960001" → "01632 960002"; setting: "4" → "25"; ` +
			`role RO82: "" → "1974-04-01 – "; role RO76: "1974-04-01 – " → "1974-04-01 – 2026-06-05 ×"; ` +
			`relation RE4: "" → "00M 2026-01-01 –"; relation RE4: "00K 2013-04-01 –" → "00K 2013-04-01 – 2025-12-31 ×"; ` +
			`relation RE6: "" → "00M 2026-01-01 –"; relation RE6: "00K 2013-04-01 –" → "00K 2013-04-01 – 2025-12-31 ×"`,
		`closed Z99002; state: "active" → "closed"; role RO177: "1974-04-01 – " → "1974-04-01 – 2026-05-31 ×"; role RO76: "1974-04-01 – " → "1974-04-01 – 2026-05-31 ×"; ` +
			`relation RE4: "00K 2013-04-01 –" → "00K 2013-04-01 – 2026-05-31 ×"; relation RE6: "00K 2013-04-01 –" → "00K 2013-04-01 – 2026-05-31 ×"`,
	}
	if got := said(p); !slices.Equal(got, want) {
		for _, g := range got {
			t.Errorf("got  %s", g)
		}
		for _, g := range want {
			t.Errorf("want %s", g)
		}
	}
	if got := w.get("/organisation-data-terminology-api/fhir/Organization/Z99002"); got.status != 200 || got.json["active"] != false {
		t.Errorf("a closed organisation: %d %s", got.status, got.body)
	}
}

func TestOrganisationsAreServed(t *testing.T) {
	t.Parallel()
	w := given(t)
	w.imports(line(), line("1=Z99002", "2=HIGH STREET SURGERY", "10=LS1 4DZ", "26=25", "12=20200101", "13=C"))
	const base = "/organisation-data-terminology-api/fhir"
	for query, want := range map[string][]string{
		"":           {"Z99001", "Z99002"},
		"_id=Z99002": {"Z99002"},
		"identifier=https://fhir.nhs.uk/Id/ods-organization-code|Z99001": {"Z99001"},
		"name=high":                               {"Z99002"},
		"name=surgery":                            nil,
		"name:contains=Surgery":                   {"Z99001", "Z99002"},
		"name:exact=HIGH%20STREET%20SURGERY":      {"Z99002"},
		"name:exact=High%20Street%20Surgery":      nil,
		"active=false":                            {"Z99002"},
		"address-postalcode=ls1":                  {"Z99002"},
		"address-postalcode:contains=4dz":         {"Z99002"},
		"address-postalcode:exact=LS1%204DZ":      {"Z99002"},
		"address-city=fen":                        {"Z99001", "Z99002"},
		"address-country=eng":                     {"Z99001", "Z99002"},
		"roleCode=RO76":                           {"Z99001"},
		"roleCode=RO177&roleCode:not=RO76":        {"Z99002"},
		"roleCode=RO76,RO82":                      {"Z99001", "Z99002"},
		"activeRoleCode=RO177":                    {"Z99001"},
		"lastChangeDate=gt2026-06-04":             {"Z99001", "Z99002"},
		"lastChangeDate=2026-06-04":               nil,
		"lastChangeDate=gt2026-06-04&active=true": {"Z99001"},
		"phonetic=mil":                            {"Z99001"},
		"_count=1&_offset=1":                      {"Z99002"},
	} {
		got := w.get(base + "/Organization?" + query)
		if got.status != 200 || !slices.Equal(got.ids(), want) {
			t.Errorf("%s: %d %v, want %v", query, got.status, got.ids(), want)
		}
	}
	rel := w.get(base + "/OrganizationAffiliation?primary-organization=Z99001&_include=OrganizationAffiliation:primary-organization")
	if got := rel.ids(); !slices.Equal(got, []string{"Z99001-RE4-00K-20130401", "Z99001-RE6-00K-20130401", "Z99001"}) {
		t.Errorf("relationships: %v", got)
	}
	if got := w.get(base+"/Organization/Z99001", "apikey: "); got.status != 401 {
		t.Errorf("without a key: %d", got.status)
	}
}
