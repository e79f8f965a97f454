package fhirapi_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/openspine/openspine/access"
)

// "$everything": the person, the chart, and what it names; in pages, since a time, and of some types.
func TestEverything(t *testing.T) {
	c := newWorld(t, setting{}).system()
	c.put(`{"resourceType":"Practitioner","id":"d","name":[{"family":"Doctor"}]}`)
	c.put(`{"resourceType":"Practitioner","id":"other"}`)
	c.put(`{"resourceType":"Patient","id":"1","generalPractitioner":[{"reference":"Practitioner/d"}],"link":[{"other":{"reference":"Patient/2"},"type":"seealso"}]}`)
	c.put(patient("2", "Somebody else"))
	for _, id := range []string{"a", "b", "c"} {
		c.put(observation(id, "1", "70"))
	}
	since := c.get("Observation/c").text("meta.lastUpdated")
	c.put(observation("z", "2", "70"))
	all := []string{"Patient/1", "Observation/a", "Observation/b", "Observation/c"}
	a := c.get("Patient/1/$everything").wants(200).is("type", "searchset")
	if got := a.ids("match"); !slices.Equal(got, all) {
		t.Errorf("everything is %q", got)
	}
	if got := a.ids("include"); !slices.Equal(got, []string{"Practitioner/d"}) {
		t.Errorf("beside it %q", got)
	}
	var paged []string
	for path := "Patient/1/$everything?_count=1"; path != ""; {
		a := c.get(path).wants(200)
		paged = append(paged, a.ids("match")...)
		path = a.link("next")
	}
	if !slices.Equal(paged, all) {
		t.Errorf("in pages %q", paged)
	}
	if got := c.get("Patient/1/$everything?_type=Observation").ids(""); !slices.Equal(got, all[1:]) {
		t.Errorf("of one type %q", got)
	}
	if got := c.get("Patient/1/$everything?_since=" + since).ids(""); !slices.Equal(got, all[3:]) {
		t.Errorf("since %q", got)
	}
	posted := `{"resourceType":"Parameters","parameter":[{"name":"_type","valueString":"Patient"},{"name":"_count","valueInteger":5}]}`
	if got := c.do("POST", "Patient/1/$everything", posted).wants(200).ids(""); !slices.Equal(got, all[:1]) {
		t.Errorf("by POST %q", got)
	}
	c.get("Patient/none/$everything").wants(404)
	c.get("Patient/1/$everything?_since=x").wants(400)
	c.get("Patient/1/$everything?family=x").wants(400)
	c.get("Patient/1/$everything?_type=Nonsense").wants(400)
	c.do("DELETE", "Patient/2", nil)
	c.get("Patient/2/$everything").wants(410)
}

// "start … end: The date range relates to care dates, not record currency dates": what has no date of care is in every range.
func TestEverythingOfATime(t *testing.T) {
	c := newWorld(t, setting{}).system()
	c.put(patient("1", "Smith"))
	in := func(id, when string) string {
		return strings.Replace(observation(id, "1", "70"), "2024-03-01T10:00:00Z", when, 1)
	}
	c.put(in("may", "2023-05-31T23:59:59Z"))
	c.put(in("june", "2023-06-01T00:00:00Z"))
	c.put(in("july", "2023-07"))
	c.put(`{"resourceType":"Encounter","id":"stay","status":"finished","class":{"code":"IMP"},"subject":{"reference":"Patient/1"},"period":{"start":"2023-05-20","end":"2023-06-03"}}`)
	c.put(`{"resourceType":"AllergyIntolerance","id":"nuts","patient":{"reference":"Patient/1"},"code":{"text":"nuts"},"clinicalStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical","code":"active"}]}}`)
	for query, want := range map[string]string{
		"start=2023-06-01":                                          "Patient/1 AllergyIntolerance/nuts Encounter/stay Observation/june Observation/july",
		"end=2023-05":                                               "Patient/1 AllergyIntolerance/nuts Encounter/stay Observation/may",
		"start=2023-06-01&end=2023-06-30":                           "Patient/1 AllergyIntolerance/nuts Encounter/stay Observation/june",
		"start=2023-06-04&end=2023-06-30":                           "Patient/1 AllergyIntolerance/nuts",
		"start=2023-07-15&end=2023-07-16":                           "Patient/1 AllergyIntolerance/nuts Observation/july",
		"start=2023-06-01&end=2023-06-30&_type=Observation,Patient": "Patient/1 Observation/june",
	} {
		for _, path := range []string{"Patient/1/$everything?", "Patient/$everything?"} {
			if got := inOrder(c.get(path + query).wants(200).ids("match")); got != inOrder(strings.Fields(want)) {
				t.Errorf("%s%s:\n got %s\nwant %s", path, query, got, want)
			}
			// In pages of one, nothing is lost to what lies outside the time.
			var paged []string
			for next := path + query + "&_count=1"; next != ""; {
				a := c.get(next).wants(200)
				paged = append(paged, a.ids("match")...)
				next = a.link("next")
			}
			if got := inOrder(paged); got != inOrder(strings.Fields(want)) {
				t.Errorf("%s%s in pages:\n got %s\nwant %s", path, query, got, want)
			}
		}
	}
	for _, bad := range []string{"start=x", "end=2023-06-01T00:00:00Z", "start=2023-06-02&end=2023-06-01"} {
		c.get("Patient/1/$everything?" + bad).wants(400)
		c.get("Patient/$everything?" + bad).wants(400)
	}
}

func inOrder(list []string) string {
	list = slices.Clone(list)
	slices.Sort(list)
	return strings.Join(list, " ")
}

// "$everything" of the type: all patients whom the caller may see, as far as they may see them; nothing twice, nothing that is
// no patient's, and the pages hold still while the record goes on.
func TestEverythingOfAll(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := w.system().at(hospital).in(t)
		c.put(`{"resourceType":"Practitioner","id":"d","name":[{"family":"Doctor"}]}`)
		c.put(`{"resourceType":"Practitioner","id":"other"}`)
		for _, id := range []string{"1", "2", "3"} {
			c.put(`{"resourceType":"Patient","id":"` + id + `","generalPractitioner":[{"reference":"Practitioner/d"}]}`)
			c.put(observation("o"+id, id, "70"))
		}
		c.put(`{"resourceType":"Observation","id":"nobody","status":"final","code":{"text":"x"}}`)
		c.put(`{"resourceType":"Appointment","id":"two","status":"booked","start":"2024-01-01T10:00:00Z","end":"2024-01-01T11:00:00Z","participant":[{"actor":{"reference":"Patient/1"},"status":"accepted"},{"actor":{"reference":"Patient/2"},"status":"accepted"}]}`)
		all := []string{"Patient/1", "Patient/2", "Patient/3", "Appointment/two", "Observation/o1", "Observation/o2", "Observation/o3"}
		a := c.get("Patient/$everything").wants(200).is("type", "searchset").is("total", "7")
		if got := a.ids("match"); !slices.Equal(got, all) {
			t.Errorf("everything is %q", got)
		}
		if got := a.ids("include"); !slices.Equal(got, []string{"Practitioner/d"}) {
			t.Errorf("beside it %q", got)
		}
		var paged []string
		for next, n := "Patient/$everything?_count=2", 0; next != ""; n++ {
			a := c.get(next).wants(200)
			paged = append(paged, a.ids("match")...)
			if next = a.link("next"); n == 0 {
				c.put(patient("4", "Late"))
				c.put(observation("o1", "1", "71"))
			}
		}
		if !slices.Equal(paged, all) {
			t.Errorf("in pages %q", paged)
		}
		posted := `{"resourceType":"Parameters","parameter":[{"name":"_type","valueString":"Patient"}]}`
		if got := c.do("POST", "Patient/$everything", posted).wants(200).ids(""); !slices.Equal(got, []string{"Patient/1", "Patient/2", "Patient/3", "Patient/4"}) {
			t.Errorf("by POST %q", got)
		}
		c.get("Patient/$everything?_type=Practitioner").wants(400)
		c.get("Patient/$everything?family=x").wants(400)

		person := principal(access.Patient, "person")
		person.Person = "2"
		if got := w.as(person).at(hospital).in(t).get("Patient/$everything").wants(200).ids("match"); !slices.Equal(got, []string{"Patient/2", "Observation/o2"}) {
			t.Errorf("a person is shown %q", got)
		}
		narrow := principal(access.SystemClient, "narrow", hospital)
		narrow.Scopes = []string{"system/Observation.rs"}
		if got := w.as(narrow).at(hospital).in(t).get("Patient/$everything").wants(200).ids(""); !slices.Equal(got, []string{"Observation/o1", "Observation/o2", "Observation/o3"}) {
			t.Errorf("a program with leave to read observations is shown %q", got)
		}
		w.relate(hospital, "2", "doctor")
		w.as(principal(access.Clinician, "doctor")).at(hospital).in(t).get("Patient/$everything").wants(403)
	})
}
