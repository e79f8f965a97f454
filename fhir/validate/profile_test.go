package validate_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/fhir/definition"
	"github.com/openspine/openspine/fhir/validate"
	"github.com/openspine/openspine/internal/spectest"
)

const at = "http://example.org/"

// aProfile is a StructureDefinition with a differential; what is given in more comes before that, as JSON members.
func aProfile(name, typ, base, more string, elements ...string) string {
	kind := "resource"
	if typ == "Extension" || typ == "Identifier" || typ == "Quantity" {
		kind = "complex-type"
	}
	if !strings.Contains(base, "/") {
		base = "http://hl7.org/fhir/StructureDefinition/" + base
	}
	return fmt.Sprintf(`{"resourceType":"StructureDefinition","url":"%s%s","name":"%s","kind":"%s","type":"%s","derivation":"constraint","baseDefinition":"%s",%s"differential":{"element":[%s]}}`,
		at, name, name, kind, typ, base, more, strings.Join(elements, ","))
}

// el is an element of a profile by its id; the path and the slice's name follow from that.
func el(id, more string) string {
	slice, path := "", ""
	for i, step := range strings.Split(id, ".") {
		name, s, _ := strings.Cut(step, ":")
		if i > 0 {
			path += "."
		}
		path, slice = path+name, s
	}
	if slice != "" {
		more = `"sliceName":"` + slice + `",` + more
	}
	return `{"id":"` + id + `","path":"` + path + `",` + strings.TrimSuffix(more, ",") + `}`
}

func sliceBy(rules, kind, path string) string {
	return `"slicing":{"rules":"` + rules + `","ordered":` + fmt.Sprint(rules == "ordered") + `,"discriminator":[{"type":"` + kind + `","path":"` + path + `"}]}`
}

// ward is a package of profiles, each of which asks one kind of thing.
func ward(t testing.TB) *definition.Set {
	t.Helper()
	num := func(id string) string { return `"fixedUri":"` + at + id + `"` }
	list := []string{
		aProfile("born", "Patient", "Patient", "", el("Patient.birthDate", `"min":1`), el("Patient.name", `"max":"1"`), el("Patient.photo", `"max":"0"`),
			el("Patient", `"constraint":[{"key":"born-1","severity":"error","human":"A person has a name or an identifier","expression":"name.exists() or identifier.exists()"},{"key":"born-2","severity":"warning","human":"Say where they live","expression":"address.exists()"}]`)),
		aProfile("dated", "Patient", at+"born", "", el("Patient.deceased[x]", `"type":[{"code":"dateTime"}]`), el("Patient.gender", `"min":1,"fixedCode":"female"`)),
		aProfile("orphan", "Patient", at+"nowhere", "", el("Patient.gender", `"min":1`)),
		aProfile("numbered", "Patient", "Patient", "", el("Patient.identifier", `"min":1,`+sliceBy("open", "value", "system")),
			el("Patient.identifier:nhs", `"min":1,"max":"1"`), el("Patient.identifier:nhs.system", `"min":1,`+num("nhs")), el("Patient.identifier:nhs.value", `"min":1`)),
		aProfile("closed", "Patient", at+"numbered", "", el("Patient.identifier", sliceBy("closed", "value", "system"))),
		aProfile("atEnd", "Patient", at+"numbered", "", el("Patient.identifier", sliceBy("openAtEnd", "value", "system"))),
		aProfile("ordered", "Patient", at+"numbered", "", el("Patient.identifier", sliceBy("ordered", "value", "system")),
			el("Patient.identifier:local", `"min":0`), el("Patient.identifier:local.system", num("local"))),
		aProfile("patterned", "Observation", "Observation", "", el("Observation.code", `"patternCodeableConcept":{"coding":[{"system":"http://loinc.org","code":"85354-9"}]}`),
			el("Observation.component", sliceBy("open", "pattern", "code")), el("Observation.component:systolic", `"min":1`),
			el("Observation.component:systolic.code", `"patternCodeableConcept":{"coding":[{"system":"http://loinc.org","code":"8480-6"}]}`), el("Observation.component:systolic.value[x]", `"min":1,"type":[{"code":"Quantity"}]`)),
		aProfile("choice", "Observation", "Observation", "", el("Observation.value[x]", sliceBy("closed", "type", "$this")), el("Observation.value[x]:valueQuantity", `"max":"1","type":[{"code":"Quantity"}]`),
			el("Observation.value[x]:valueQuantity.unit", `"min":1`)),
		aProfile("short", "Observation", "Observation", "", el("Observation.valueQuantity", `"min":1`), el("Observation.valueQuantity.code", `"fixedCode":"mm"`)),
		aProfile("there", "Observation", "Observation", "", el("Observation.component", sliceBy("closed", "exists", "dataAbsentReason")), el("Observation.component:absent", `"max":"1"`), el("Observation.component:absent.dataAbsentReason", `"min":1`),
			el("Observation.component:present", `"max":"2"`), el("Observation.component:present.dataAbsentReason", `"max":"0"`)),
		aProfile("coded", "Condition", "Condition", "", el("Condition.code", `"binding":{"strength":"required","valueSet":"`+at+`ills"}`), el("Condition.severity", `"binding":{"strength":"extensible","valueSet":"`+at+`ills"}`)),
		aProfile("referring", "Observation", "Observation", "", el("Observation.subject", `"type":[{"code":"Reference","targetProfile":["`+at+`born"]}]`),
			el("Observation.performer", sliceBy("open", "profile", "resolve()")), el("Observation.performer:doctor", `"min":1,"type":[{"code":"Reference","targetProfile":["`+at+`doctor"]}]`)),
		aProfile("doctor", "Practitioner", "Practitioner", "", el("Practitioner.name", `"min":1`)),
		aProfile("typed", "Patient", "Patient", "", el("Patient.identifier", `"type":[{"code":"Identifier","profile":["`+at+`whole"]}]`)),
		aProfile("whole", "Identifier", "Identifier", "", el("Identifier.value", `"min":1`)),
		aProfile("extended", "Patient", "Patient", "", el("Patient.extension:colour", `"min":1,"max":"1","type":[{"code":"Extension","profile":["`+at+`colour"]}]`)),
		aProfile("colour", "Extension", "Extension", `"context":[{"type":"element","expression":"Patient"},{"type":"element","expression":"HumanName.family"}],`,
			el("Extension.extension", `"max":"0"`), el("Extension.url", num("colour")), el("Extension.value[x]", `"min":1,"type":[{"code":"code"}],"binding":{"strength":"required","valueSet":"`+at+`ills"}`)),
		aProfile("nested", "Extension", "Extension", `"context":[{"type":"element","expression":"Element"}],`, el("Extension.extension:a", `"min":1,"max":"1"`), el("Extension.extension:a.url", `"fixedUri":"a"`),
			el("Extension.extension:a.value[x]", `"type":[{"code":"string"}]`), el("Extension.url", num("nested")), el("Extension.value[x]", `"max":"0"`)),
		aProfile("inside", "Extension", "Extension", `"context":[{"type":"extension","expression":"`+at+`nested"}],`, el("Extension.url", num("inside"))),
		aProfile("asking", "Patient", "Patient", "", el("Patient", `"constraint":[{"key":"ask-1","severity":"error","expression":"conformsTo('`+at+`born') or conformsTo('`+at+`asking')"},
			{"key":"ask-2","severity":"error","expression":"identifier.all(conformsTo('`+at+`whole'))"}]`)),
		aProfile("letter", "Bundle", "Bundle", "", el("Bundle.entry", sliceBy("open", "type", "resource")), el("Bundle.entry:whom", `"min":1,"max":"1"`),
			el("Bundle.entry:whom.resource", `"min":1,"type":[{"code":"Patient","profile":["`+at+`born"]}]`)),
		aProfile("flagged", "Patient", "Patient", "", el("Patient.contact", sliceBy("open", "value", "extension('"+at+"kin').value")), el("Patient.contact:kin", `"min":1`), el("Patient.contact:kin.name", `"min":1`),
			el("Patient.contact:kin.extension:kin", `"min":1,"type":[{"code":"Extension","profile":["`+at+`kin"]}]`), el("Patient.contact:kin.extension:kin.value[x]", `"fixedBoolean":true`)),
		`{"resourceType":"StructureDefinition","url":"` + at + `bare","name":"bare","kind":"resource","type":"Patient","derivation":"constraint","baseDefinition":"http://hl7.org/fhir/StructureDefinition/Patient",
			"differential":{"element":[{"path":"Patient.identifier","slicing":{"rules":"open","discriminator":[{"type":"value","path":"system"}]}},{"path":"Patient.identifier","sliceName":"nhs","min":1},{"path":"Patient.identifier.system","fixedUri":"` + at + `nhs"},{"path":"Patient.identifier.value","min":1}]}}`,
		strings.Replace(aProfile("snap", "Patient", "Patient", "", `{"id":"Patient","path":"Patient","constraint":[{"key":"dom-2","severity":"error","expression":"false"},{"key":"snap-1","severity":"error","expression":"active.exists()"}]}`,
			el("Patient.id", `"min":0,"max":"1"`), el("Patient.active", `"min":0,"max":"1"`)), `"differential"`, `"snapshot"`, 1),
		`{"resourceType":"ValueSet","url":"` + at + `ills","compose":{"include":[{"system":"` + at + `codes","concept":[{"code":"flu"},{"code":"cold"}]}]}}`,
	}
	src := fstest.MapFS{}
	for i, text := range list {
		src[fmt.Sprintf("%02d.json", i)] = &fstest.MapFile{Data: []byte(text)}
	}
	set, err := definition.LoadFS(definition.R4(), "ward", src)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// Each profile with documents that keep to it (no want) and that do not, in one way.
func TestProfiles(t *testing.T) {
	set := ward(t)
	obs := func(more string) string {
		return `{"resourceType":"Observation","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"85354-9"},{"code":"x","system":"http://example.org"}]},` + more + `}`
	}
	component := func(more string) string {
		return `{"code":{"coding":[{"system":"http://loinc.org","code":"8480-6"}]}` + more + `}`
	}
	pat := func(more string) string { return `{"resourceType":"Patient",` + more + `}` }
	const nhs, local = `{"system":"http://example.org/nhs","value":"1"}`, `{"system":"http://example.org/local","value":"1"}`
	const one = `{"value":1,"unit":"mm","system":"http://unitsofmeasure.org","code":"mm"}`
	for _, c := range []struct{ profile, doc, at, want string }{
		{"born", pat(`"birthDate":"1950","name":[{"text":"A"}],"address":[{"text":"x"}]`), "", ""},
		{"born", pat(`"name":[{"text":"A"}]`), "Patient.birthDate", "needs one of birthDate"},
		{"born", pat(`"birthDate":"1950","name":[{"text":"A"},{"text":"B"}]`), "Patient.name", "one at the most"},
		{"born", pat(`"birthDate":"1950","name":[{"text":"A"}],"photo":[{"url":"http://x"}]`), "Patient.photo", "allows none"},
		{"born", pat(`"birthDate":"1950"`), "Patient", "born-1"},
		{"dated", pat(`"birthDate":"1950","gender":"female","name":[{"text":"A"}],"deceasedDateTime":"2000"`), "", ""},
		{"dated", pat(`"birthDate":"1950","gender":"female","name":[{"text":"A"}],"deceasedBoolean":true`), "Patient.deceased", "allows dateTime here, not boolean"},
		{"dated", pat(`"birthDate":"1950","gender":"male","name":[{"text":"A"}]`), "Patient.gender", "fixes the value here: female"},
		{"dated", pat(`"gender":"female","name":[{"text":"A"}]`), "Patient.birthDate", "needs one of birthDate"},
		{"orphan", pat(`"active":true`), "Patient.gender", "needs one of gender"},
		{"none", pat(`"active":true`), "Patient", "is not held here"},
		{"doctor", pat(`"active":true`), "Patient", "is of Practitioner"},
		{"numbered", pat(`"identifier":[` + nhs + `,` + local + `]`), "", ""},
		{"numbered", pat(`"identifier":[` + local + `]`), "Patient.identifier", "one of slice nhs"},
		{"numbered", pat(`"identifier":[` + nhs + `,` + nhs + `]`), "Patient.identifier", "one at the most of slice nhs"},
		{"numbered", pat(`"identifier":[{"system":"http://example.org/nhs"}]`), "Patient.identifier[0].value", "needs one of value"},
		{"closed", pat(`"identifier":[` + nhs + `]`), "", ""},
		{"closed", pat(`"identifier":[` + nhs + `,` + local + `]`), "Patient.identifier[1]", "only the slices nhs"},
		{"atEnd", pat(`"identifier":[` + nhs + `,` + local + `]`), "", ""},
		{"atEnd", pat(`"identifier":[` + local + `,` + nhs + `]`), "Patient.identifier[1]", "comes after them"},
		{"ordered", pat(`"identifier":[` + nhs + `,` + local + `]`), "", ""},
		{"ordered", pat(`"identifier":[` + local + `,` + nhs + `]`), "Patient.identifier[1]", "in the order nhs, local"},
		{"patterned", obs(`"component":[` + component(`,"valueQuantity":`+one) + `,{"code":{"text":"x"},"valueString":"y"}]`), "", ""},
		{"patterned", obs(`"component":[{"code":{"text":"x"}}]`), "Observation.component", "one of slice systolic"},
		{"patterned", obs(`"component":[` + component(`,"valueString":"x"`) + `]`), "Observation.component[0].value", "allows Quantity here, not string"},
		{"patterned", obs(`"component":[` + component("") + `]`), "Observation.component[0].value", "needs one of value"},
		{"patterned", `{"resourceType":"Observation","status":"final","code":{"text":"x"},"component":[` + component(`,"valueQuantity":`+one) + `]}`, "Observation.code", "pattern asks: http://loinc.org 85354-9"},
		{"choice", obs(`"valueQuantity":` + one), "", ""},
		{"choice", obs(`"valueQuantity":{"value":1}`), "Observation.value.unit", "needs one of unit"},
		{"choice", obs(`"valueString":"x"`), "Observation.value", "only the slices valueQuantity"},
		{"short", obs(`"valueQuantity":` + one), "", ""},
		{"short", obs(`"valueQuantity":{"value":1,"system":"http://unitsofmeasure.org","code":"cm"}`), "Observation.value.code", "fixes the value here: mm"},
		{"short", obs(`"valueString":"x"`), "Observation.value", "one of slice valueQuantity"},
		{"there", obs(`"component":[{"code":{"text":"a"},"dataAbsentReason":{"text":"x"}},{"code":{"text":"b"},"valueString":"x"},{"code":{"text":"c"},"valueString":"x"}]`), "", ""},
		{"there", obs(`"component":[{"code":{"text":"a"},"dataAbsentReason":{"text":"x"}},{"code":{"text":"b"},"dataAbsentReason":{"text":"x"}}]`), "Observation.component", "one at the most of slice absent"},
		{"coded", `{"resourceType":"Condition","subject":{"reference":"Patient/1"},"code":{"coding":[{"system":"http://example.org/codes","code":"flu"}]}}`, "", ""},
		{"coded", `{"resourceType":"Condition","subject":{"reference":"Patient/1"},"severity":{"coding":[{"system":"http://example.org/codes","code":"plague"}]},"code":{"coding":[{"system":"http://example.org/codes","code":"cold"}]}}`, "", ""},
		{"coded", `{"resourceType":"Condition","subject":{"reference":"Patient/1"},"code":{"coding":[{"system":"http://example.org/codes","code":"plague"}]}}`, "Condition.code", "flu, cold"},
		{"referring", obs(`"contained":[{"resourceType":"Practitioner","id":"d","name":[{"text":"D"}]}],"performer":[{"reference":"#d"}],"subject":{"reference":"Patient/1"}`), "", ""},
		{"referring", obs(`"performer":[{"reference":"Practitioner/9"}]`), "Observation.performer", "one of slice doctor"},
		{"referring", obs(`"contained":[{"resourceType":"Practitioner","id":"d","active":true}],"performer":[{"reference":"#d"}]`), "Observation.performer", "one of slice doctor"},
		{"referring", obs(`"contained":[{"resourceType":"Practitioner","id":"d","name":[{"text":"D"}]}],"performer":[{"reference":"#d"}],"subject":{"reference":"Group/1"}`), "Observation.subject.reference", "a reference to Patient here, not to 'Group'"},
		{"referring", obs(`"contained":[{"resourceType":"Practitioner","id":"d","name":[{"text":"D"}]},{"resourceType":"Patient","id":"p","active":true}],"performer":[{"reference":"#d"}],"subject":{"reference":"#p"}`), "Observation.subject", "does not keep to the profile"},
		{"typed", pat(`"identifier":[` + nhs + `]`), "", ""},
		{"typed", pat(`"identifier":[{"system":"http://x"}]`), "Patient.identifier[0].value", "needs one of value"},
		{"extended", pat(`"extension":[{"url":"http://example.org/colour","valueCode":"flu"},{"url":"http://example.org/other","valueCode":"x"}]`), "", ""},
		{"extended", pat(`"active":true`), "Patient.extension", "one of slice colour"},
		{"extended", pat(`"extension":[{"url":"http://example.org/colour","valueCode":"red"}]`), "Patient.extension[0].value", "other codes"},
		{"extended", pat(`"extension":[{"url":"http://example.org/colour","valueString":"flu"}]`), "Patient.extension[0].value", "allows code here, not string"},
		{"asking", pat(`"birthDate":"1950","name":[{"text":"A"}],"identifier":[` + nhs + `]`), "", ""},
		{"asking", pat(`"birthDate":"1950","name":[{"text":"A"}],"identifier":[{"system":"http://x"}]`), "Patient", "ask-2"},
		{"letter", `{"resourceType":"Bundle","type":"collection","entry":[{"fullUrl":"urn:oid:1.2","resource":{"resourceType":"Patient","birthDate":"1950","name":[{"text":"A"}]}},{"fullUrl":"urn:oid:1.3","resource":{"resourceType":"Basic","code":{"text":"x"}}}]}`, "", ""},
		{"letter", `{"resourceType":"Bundle","type":"collection","entry":[{"fullUrl":"urn:oid:1.3","resource":{"resourceType":"Basic","code":{"text":"x"}}}]}`, "Bundle.entry", "one of slice whom"},
		{"letter", `{"resourceType":"Bundle","type":"collection","entry":[{"fullUrl":"urn:oid:1.3","resource":{"resourceType":"Patient","name":[{"text":"A"}]}}]}`, "Bundle.entry[0].resource.birthDate", "needs one of birthDate"},
		{"flagged", pat(`"contact":[{"extension":[{"url":"http://example.org/kin","valueBoolean":true}],"name":{"text":"A"}},{"name":{"text":"B"}}]`), "", ""},
		{"flagged", pat(`"contact":[{"extension":[{"url":"http://example.org/kin","valueBoolean":false}],"name":{"text":"A"}}]`), "Patient.contact", "one of slice kin"},
		{"flagged", pat(`"contact":[{"extension":[{"url":"http://example.org/kin","valueBoolean":true}],"telecom":[{"system":"phone","value":"1"}]}]`), "Patient.contact[0].name", "needs one of name"},
		{"bare", pat(`"identifier":[` + nhs + `,` + local + `]`), "", ""},
		{"bare", pat(`"identifier":[{"system":"http://example.org/nhs"}]`), "Patient.identifier[0].value", "needs one of value"},
		{"snap", pat(`"active":true`), "", ""},
		{"snap", pat(`"gender":"male"`), "Patient", "snap-1"},
	} {
		checkProfile(t, set, c.profile, c.doc, c.at, c.want)
	}
	// What extensions and resources say of themselves, wherever they stand.
	for _, c := range []struct{ doc, at, want string }{
		{pat(`"name":[{"family":"x","_family":{"extension":[{"url":"http://example.org/colour","valueCode":"flu"}]}}]`), "", ""},
		{pat(`"name":[{"family":"x","extension":[{"url":"http://example.org/colour","valueCode":"flu"}]}]`), "Patient.name[0].extension[0]", "is for Patient or HumanName.family, not for Patient.name"},
		{pat(`"extension":[{"url":"http://example.org/nested","extension":[{"url":"a","valueString":"x"}]}]`), "", ""},
		{pat(`"extension":[{"url":"http://example.org/nested","extension":[{"url":"b","valueString":"x"}]}]`), "Patient.extension[0].extension", "one of slice a"},
		{pat(`"extension":[{"url":"http://example.org/nested","extension":[{"url":"a","valueCode":"x"}]}]`), "Patient.extension[0].extension[0].value", "allows string"},
		{pat(`"extension":[{"url":"http://example.org/nested","valueCode":"x"}]`), "Patient.extension[0].extension", "one of slice a"},
		{pat(`"extension":[{"url":"http://example.org/inside","valueCode":"x"}]`), "Patient.extension[0]", "is for http://example.org/nested"},
		{pat(`"meta":{"profile":["http://example.org/numbered|1.0","http://example.org/unheard","http://hl7.org/fhir/StructureDefinition/Patient"]}`), "Patient.identifier", "needs one of identifier"},
		{pat(`"meta":{"profile":["http://example.org/unheard"]}`), "", ""},
		{`{"resourceType":"Bundle","type":"collection","entry":[{"fullUrl":"http://x/Patient/1","resource":{"resourceType":"Patient","id":"1","meta":{"profile":["http://example.org/born"]}}}]}`, "Bundle.entry[0].resource.birthDate", "needs one of birthDate"},
		{`{"resourceType":"Bundle","type":"collection","entry":[{"fullUrl":"http://x/Patient/1","resource":{"resourceType":"Patient","id":"1"}},{"fullUrl":"http://x/Observation/1","resource":{"resourceType":"Observation","id":"1","meta":{"profile":["http://example.org/referring"]},"status":"final","code":{"text":"x"},"subject":{"reference":"Patient/1"}}}]}`, "Bundle.entry[1].resource.subject", "does not keep to the profile"},
	} {
		checkProfile(t, set, "", c.doc, c.at, c.want)
	}
}

// checkProfile holds a document to a profile, or to what it claims, and looks for one error.
func checkProfile(t *testing.T, set *definition.Set, profile, doc, place, want string) {
	t.Helper()
	r, err := fhir.Parse([]byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	o := validate.Options{Definitions: set, Claims: true}
	if profile != "" {
		o.Profiles = []string{at + profile + "|9"}
	}
	found := false
	for _, i := range validate.Validate(t.Context(), r, o) {
		if i.Severity != "error" {
			continue
		}
		if want == "" {
			t.Errorf("%s: %.200s\n %s", profile, doc, show(i))
		}
		found = found || i.Expression[0] == place && strings.Contains(i.Diagnostics, want)
	}
	if want != "" && !found {
		t.Errorf("%s: %.300s\n has no error at %s with %q: %+v", profile, doc, place, want, validate.Validate(t.Context(), r, o))
	}
}

// FuzzProfiles: whatever is sent, holding it to every profile ends, and says no more than the limit.
func FuzzProfiles(f *testing.F) {
	set := ward(f)
	for _, s := range []string{`{"resourceType":"Patient","identifier":[{"system":"http://example.org/nhs"}],"extension":[{"url":"http://example.org/nested","extension":[{"url":"a"}]}]}`,
		`{"resourceType":"Observation","component":[{"code":{"coding":[{"system":"http://loinc.org","code":"8480-6"}]}}],"performer":[{"reference":"#d"}],"contained":[{"resourceType":"Practitioner","id":"d"}],"valueQuantity":{"value":1}}`,
		`{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Observation","meta":{"profile":["http://example.org/referring"]},"subject":{"reference":"#"}}}]}`,
		`{"resourceType":"Patient","name":[null,1,[]],"_birthDate":{"extension":[{"url":"http://example.org/colour"}]},"identifier":{}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := fhir.Parse(b)
		if err != nil {
			return
		}
		if issues := validate.Validate(t.Context(), r, validate.Options{Definitions: set, Profiles: set.Profiles(), Claims: true, Limit: 20}); len(issues) > 21 {
			t.Errorf("%d issues", len(issues))
		}
	})
}

// BenchmarkProfile holds a UK Core Patient to its profile, R4 and its invariants included.
func BenchmarkProfile(b *testing.B) {
	set := ukCore(b)
	r, err := read(b, filepath.Join(spectest.Dir(b, "ukcore", "examples"), "UKCore-Patient-RichardSmith-Example.xml"))
	if err != nil {
		b.Fatal(err)
	}
	o := validate.Options{Definitions: set, Profiles: []string{"https://fhir.hl7.org.uk/StructureDefinition/UKCore-Patient"}, Claims: true}
	for b.Loop() {
		validate.Validate(b.Context(), r, o)
	}
}
