package definition_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir/definition"
	"github.com/openspine/openspine/internal/spectest"
)

const (
	clinicCodes = `{"resourceType":"CodeSystem","url":"http://example.org/clinics","content":"complete","concept":[
		{"code":"eye","concept":[{"code":"retina"}]},{"code":"ear"}]}`
	clinicSet = `<ValueSet xmlns="http://hl7.org/fhir"><url value="http://example.org/eye"/><compose><include>
		<system value="http://example.org/clinics"/><filter><property value="concept"/><op value="is-a"/><value value="eye"/></filter>
		</include></compose></ValueSet>`
	clinicProfile = `{"resourceType":"StructureDefinition","url":"http://example.org/ClinicPatient","name":"ClinicPatient","kind":"resource",
		"type":"Patient","derivation":"constraint","baseDefinition":"http://hl7.org/fhir/StructureDefinition/Patient",
		"differential":{"element":[{"id":"Patient.name","path":"Patient.name","min":1,"mustSupport":true},
		{"id":"Patient.identifier:clinic","path":"Patient.identifier","sliceName":"clinic","max":"1"},
		{"id":"Patient.identifier:clinic.system","path":"Patient.identifier.system","min":1,"fixedUri":"http://example.org/id"}]}}`
	clinicParam = `{"resourceType":"SearchParameter","url":"http://example.org/clinic","code":"clinic","base":["Patient"],"type":"token",
		"expression":"Patient.extension('http://example.org/clinic').value"}`
)

func clinicFiles() map[string]string {
	return map[string]string{
		"package/CodeSystem-clinics.json": clinicCodes, "package/ValueSet-eye.xml": clinicSet,
		"package/StructureDefinition-patient.json": clinicProfile, "package/SearchParameter-clinic.json": clinicParam,
		"package/package.json": `{"name":"example.clinic"}`, "package/.index.json": `{"files":[]}`, "package/readme.md": "#",
		"package/example/Patient-broken.json": `{`, "package/Patient-x.json": `{"resourceType":"Patient","id":"x"}`,
	}
}

func checkClinic(t *testing.T, s *definition.Set) {
	t.Helper()
	v := s.ValueSet("http://example.org/eye")
	if v == nil {
		t.Fatal("the package's value set is not held")
	}
	for code, want := range map[string]bool{"eye": true, "retina": true, "ear": false} {
		if in, known := v.Contains("http://example.org/clinics", code); !known || in != want {
			t.Errorf("%s in the eye clinics: %v known %v", code, in, known)
		}
	}
	if _, ok := s.SearchParameter("Patient", "clinic"); !ok {
		t.Error("the package's search parameter is not held")
	}
	if _, ok := s.SearchParameter("Patient", "birthdate"); !ok {
		t.Error("a base search parameter was lost")
	}
	p := s.Profile("http://example.org/ClinicPatient|1.0")
	if p == nil || p.Snapshot || p.Type != "Patient" || len(p.Elements) != 3 || p.Elements[0].Min != 1 || p.Elements[1].Slice != "clinic" ||
		p.Elements[2].Fixed != "http://example.org/id" || p.Elements[2].FixedType != "Uri" {
		t.Errorf("the profile is %+v", p)
	}
	if in, known := s.ValueSet("http://hl7.org/fhir/ValueSet/administrative-gender").Contains("", "male"); !in || !known {
		t.Error("a base value set was lost")
	}
}

func TestLoadFolder(t *testing.T) {
	src := fstest.MapFS{}
	for name, text := range clinicFiles() {
		src[name] = &fstest.MapFile{Data: []byte(text)}
	}
	s, err := definition.LoadFS(definition.R4(), "clinic", src)
	if err != nil {
		t.Fatal(err)
	}
	checkClinic(t, s)
	if _, ok := definition.R4().SearchParameter("Patient", "clinic"); ok || definition.R4().ValueSet("http://example.org/eye") != nil {
		t.Error("loading a package changed R4")
	}
}

func TestLoadArchive(t *testing.T) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for name, text := range clinicFiles() {
		if err := w.WriteHeader(&tar.Header{Name: name, Size: int64(len(text)), Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "clinic.tgz")
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := definition.Load(definition.R4(), file)
	if err != nil {
		t.Fatal(err)
	}
	checkClinic(t, s)
	if err := os.WriteFile(file, b.Bytes()[:b.Len()/2], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := definition.Load(definition.R4(), file); fault.KindOf(err) != fault.Invalid {
		t.Errorf("half an archive gave %v", err)
	}
}

func TestLoadRefusesWhatIsNotFHIR(t *testing.T) {
	for _, text := range []string{`{`, `[]`, `{"a":1}`, `<a>`, `<a></b>`, ``, `nonsense`, `{"resourceType":"StructureDefinition","kind":"resource","snapshot":{"element":[{"path":"X"}]}}`} {
		_, err := definition.LoadFS(definition.R4(), "bad", fstest.MapFS{"bad.json": {Data: []byte(text)}})
		if !fault.Is(err, fault.Invalid) || !strings.Contains(fault.MessageOf(err), "bad.json") {
			t.Errorf("%s gave %v", text, err)
		}
	}
	if _, err := definition.Load(definition.R4(), filepath.Join(t.TempDir(), "absent")); !fault.Is(err, fault.Invalid) {
		t.Errorf("an absent package gave %v", err)
	}
}

func TestUKCore(t *testing.T) {
	dir := filepath.Join(spectest.Dir(t), "ukcore")
	s, err := definition.Load(definition.R4(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("UK Core: %d profiles and extensions, %d value sets, %d code systems", len(s.Profiles()),
		len(s.ValueSets())-len(definition.R4().ValueSets()), len(s.CodeSystems())-len(definition.R4().CodeSystems()))
	p := s.Profile("https://fhir.hl7.org.uk/StructureDefinition/UKCore-Patient")
	if p == nil || p.Type != "Patient" || len(p.Elements) == 0 {
		t.Fatalf("UKCore-Patient is %+v", p)
	}
	v := s.ValueSet("https://fhir.hl7.org.uk/ValueSet/UKCore-EthnicCategory")
	if v == nil {
		t.Fatal("UKCore-EthnicCategory is not held")
	}
	if in, known := v.Contains("https://fhir.hl7.org.uk/CodeSystem/UKCore-EthnicCategoryEngland", "A"); !in || !known {
		t.Errorf("ethnic category A: in %v known %v", in, known)
	}
	if in, known := v.Contains("https://fhir.hl7.org.uk/CodeSystem/UKCore-EthnicCategoryEngland", "AA"); in || !known {
		t.Errorf("ethnic category AA: in %v known %v", in, known)
	}
}

func FuzzLoad(f *testing.F) {
	for _, text := range clinicFiles() {
		f.Add([]byte(text))
	}
	f.Add([]byte(`{"resourceType":"StructureDefinition","kind":"complex-type","type":"X","snapshot":{"element":[{"path":"X"},{"path":"X.a","type":[{"code":""}]},{"path":"X.a.b[x]","type":[{"code":"string"},{"code":"http://hl7.org/fhirpath/System."}]}]}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := definition.LoadFS(definition.R4(), "fuzz", fstest.MapFS{"a.json": {Data: b}})
		if err != nil {
			if !fault.Is(err, fault.Invalid) {
				t.Fatalf("refused as %v", err)
			}
			return
		}
		for _, name := range s.TypeNames() { // base types are never replaced, and every type answers
			if definition.R4().Type(name) == nil {
				s.Type(name).Element("a")
			}
		}
		if s.Type("Patient") != definition.R4().Type("Patient") {
			t.Fatal("a package replaced a base type")
		}
		for _, u := range s.ValueSets() {
			if definition.R4().ValueSet(u) == nil {
				s.ValueSet(u).Contains("", "x")
				s.ValueSet(u).Codes()
			}
		}
	})
}
