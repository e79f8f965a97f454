package fhir_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/internal/spectest"
)

const patient = `{
  "resourceType": "Patient",
  "id": "p1",
  "meta": {"versionId": "3", "profile": ["http://example.org/p"]},
  "active": true,
  "name": [{"use": "official", "family": "O\u2019Neill \"Q\"", "given": ["Si\u00e2n", "Zo\ud83d\ude00"], "_given": [null, {"id": "g2"}]}],
  "multipleBirthInteger": 2,
  "extension": [{"url": "http://example.org/d", "valueDecimal": 1.50}]
}`

func mustParse(t testing.TB, s string) *fhir.Resource {
	t.Helper()
	r, err := fhir.Parse([]byte(s))
	if err != nil {
		t.Fatalf("%v\n%s", err, s)
	}
	return r
}

func TestReading(t *testing.T) {
	r := mustParse(t, "\xef\xbb\xbf"+patient)
	if r.Type() != "Patient" || r.ID() != "p1" || string(r.JSON()) != patient {
		t.Errorf("read %s/%s", r.Type(), r.ID())
	}
	for path, want := range map[string]string{
		"name.0.family":            "O’Neill \"Q\"",
		"name.0.given.1":           "Zo😀",
		"name.0._given.1.id":       "g2",
		"active":                   "true",
		"multipleBirthInteger":     "2",
		"extension.0.valueDecimal": "1.50",
		"meta.profile.0":           "http://example.org/p",
		"name.0._given.0":          "",
		"name.1.family":            "",
		"name.family":              "",
		"birthDate":                "",
	} {
		if got := r.Get(path).String(); got != want {
			t.Errorf("%s is %q, want %q", path, got, want)
		}
	}
	given := r.Get("name.0.given.1")
	if given.Path() != "name[0].given[1]" || !given.Parent().Same(r.Get("name.0.given")) || given.Parent().Name() != "given" {
		t.Errorf("the place of a given name: %q in %q", given.Path(), given.Parent().Name())
	}
	if start, end := given.Offset(); patient[start:end] != string(given.Raw()) {
		t.Errorf("offset [%d:%d] is not %s", start, end, given.Raw())
	}
	if !r.Get("active").Bool() || r.Get("name.0._given.0").Kind() != fhir.Null || r.Get("nothing.at.all").Exists() {
		t.Error("kinds are confused")
	}
}

func TestRefused(t *testing.T) {
	in := func(s string) string { return `{"resourceType":"Patient",` + s + `}` }
	for name, c := range map[string]struct{ doc, says string }{
		"nothing":             {"", "empty"},
		"white space":         {" \n ", "empty"},
		"not an object":       {`["a"]`, "object"},
		"no type":             {`{"id":"a"}`, "resourceType"},
		"odd type":            {`{"resourceType":"../x"}`, "resourceType"},
		"truncated object":    {`{"resourceType":"Patient"`, "comma"},
		"truncated string":    {`{"resourceType":"Pat`, "ends inside a string"},
		"truncated literal":   {in(`"active":tru`), "not a JSON value"},
		"trailing bytes":      {in(`"active":true`) + "x", "follows the end"},
		"two documents":       {in(`"active":true`) + in(`"active":true`), "follows the end"},
		"trailing comma":      {in(`"active":true,`), "name in double quotes"},
		"array comma":         {in(`"name":[{"a":1},]`), "name[1]"},
		"no colon":            {in(`"active" true`), "colon"},
		"repeated name":       {in(`"active":true,"active":true`), "twice"},
		"repeated escaped":    {in(`"active":true,"\u0061ctive":true`), "twice"},
		"escaped then plain":  {in(`"\u0061ctive":true,"active":true`), "twice"},
		"repeated deep":       {in(`"name":[{"family":"x","use":"a","family":"y"}]`), "name[0].family"},
		"repeated far":        {in(many(40) + `,"k7":1`), "twice"},
		"many members":        {in(crowd(1001)), "more than 1000"},
		"lone high surrogate": {in(`"a":"\ud800"`), "surrogate"},
		"lone low surrogate":  {in(`"a":"\udc00"`), "surrogate"},
		"high high":           {in(`"a":"\ud800\ud800"`), "surrogate"},
		"half escape":         {in(`"a":"\u12"`), "hexadecimal"},
		"unknown escape":      {in(`"a":"\x"`), "escape"},
		"raw control":         {in("\"a\":\"x\ny\""), "control"},
		"escaped null":        {in(`"a":"x\u0000"`), "control"},
		"form feed":           {in(`"a":"\f"`), "control"},
		"invalid utf8":        {in("\"a\":\"\xff\""), "UTF-8"},
		"encoded surrogate":   {in("\"a\":\"\xed\xa0\x80\""), "UTF-8"},
		"overlong":            {in("\"a\":\"\xc0\xaf\""), "UTF-8"},
		"leading zero":        {in(`"a":01`), "zero"},
		"minus alone":         {in(`"a":-`), "not a JSON value"},
		"no fraction":         {in(`"a":1.`), "decimal point"},
		"no exponent":         {in(`"a":1e+`), "exponent"},
		"plus":                {in(`"a":+1`), "not a JSON value"},
		"hex":                 {in(`"a":0x1`), "comma"},
		"nan":                 {in(`"a":NaN`), "not a JSON value"},
		"empty array":         {in(`"name":[]`), "name"},
		"empty object":        {in(`"name":[{}]`), "name[0]"},
		"empty string":        {in(`"id":""`), "empty"},
		"null member":         {in(`"id":null`), "null"},
		"array in array":      {in(`"a":[[1]]`), "array"},
		"deep":                {in(`"a":` + strings.Repeat(`{"a":`, 70) + "1" + strings.Repeat("}", 70)), "deep"},
		"single quotes":       {`{'resourceType':'Patient'}`, "double quotes"},
		"comment":             {in(`/* hi */"a":1`), "double quotes"},
		"vertical tab":        {"{\v\"resourceType\":\"Patient\"}", "double quotes"},
		"utf-16":              {"\xff\xfe{\x00", "not a JSON value"},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := fhir.Parse([]byte(c.doc))
			if err == nil {
				t.Fatalf("accepted as %s", r.JSON())
			}
			if !fault.Is(err, fault.Invalid) || !strings.Contains(fault.MessageOf(err), c.says) {
				t.Errorf("said %q (%v), which does not mention %q", fault.MessageOf(err), fault.KindOf(err), c.says)
			}
		})
	}
}

func crowd(n int) string {
	members := make([]string, n)
	for i := range members {
		members[i] = `"m` + strconv.Itoa(i) + `":1`
	}
	return strings.Join(members, ",")
}

func many(n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(`"k` + string(rune('0'+i/10)) + string(rune('0'+i%10)) + `":1`)
	}
	return strings.ReplaceAll(b.String(), "k07", "k7")
}

func TestPositionAndLimits(t *testing.T) {
	_, err := fhir.Parse([]byte("{\n \"resourceType\": \"Patient\",\n \"é\": 01}"))
	if msg := fault.MessageOf(err); !strings.Contains(msg, "line 3, column 7") {
		t.Errorf("position: %s", msg)
	}
	issue := fault.IssuesOf(err)[0]
	if issue.Code != "structure" || issue.Severity != "fatal" {
		t.Errorf("issue: %+v", issue)
	}
	if _, err := fhir.ParseLimited([]byte(patient), fhir.Limits{Bytes: 100}); !fault.Is(err, fault.TooLarge) {
		t.Errorf("too large: %v", err)
	}
	if _, err := fhir.ParseLimited([]byte(patient), fhir.Limits{Depth: 2}); !fault.Is(err, fault.Invalid) {
		t.Errorf("too deep: %v", err)
	}
	if n, err := fhir.ParseJSON([]byte(`[[],{},"",null,"\f"]`), fhir.Limits{}); err != nil || n.Len() != 5 {
		t.Errorf("any JSON: %v", err)
	}
}

// TestExamples parses every published JSON example and compares the index with encoding/json's reading.
func TestExamples(t *testing.T) {
	read := 0
	for _, b := range examples(t) {
		r, err := fhir.Parse(b)
		if err != nil {
			t.Errorf("%v in %.80s", err, b)
			continue
		}
		agree(t, r)
		read++
	}
	t.Logf("%d examples read", read)
}

func examples(t testing.TB) [][]byte {
	var all [][]byte
	for _, pattern := range []string{"fhir-test-cases/r4/*.json", "fhir-test-cases/r4/examples/*.json", "ukcore/examples/*.json"} {
		files, err := filepath.Glob(filepath.Join(spectest.Dir(t), pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, b)
		}
	}
	if len(all) == 0 {
		t.Fatal("no examples found")
	}
	return all
}

// agree checks that walking the index yields what encoding/json reads.
func agree(t testing.TB, r *fhir.Resource) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(string(r.JSON())))
	d.UseNumber()
	var want any
	if err := d.Decode(&want); err != nil {
		t.Fatalf("encoding/json refuses what was accepted: %v\n%q", err, r.JSON())
	}
	if got := plain(t, r.Root()); !reflect.DeepEqual(got, want) {
		t.Fatalf("the index reads\n%v\nencoding/json reads\n%v", got, want)
	}
}

func plain(t testing.TB, n fhir.Node) any {
	switch n.Kind() {
	case fhir.Object:
		m := map[string]any{}
		for name, child := range n.Fields() {
			m[name] = plain(t, child)
			if child.Name() != name || !n.Field(name).Same(child) || !child.Parent().Same(n) {
				t.Fatalf("member %q is not found again", name)
			}
		}
		if len(m) != n.Len() {
			t.Fatalf("%d members, Len says %d", len(m), n.Len())
		}
		return m
	case fhir.Array:
		a := make([]any, 0, n.Len())
		for child := range n.Items() {
			if !n.Index(len(a)).Same(child) {
				t.Fatalf("element %d is not found again", len(a))
			}
			a = append(a, plain(t, child))
		}
		return a
	case fhir.Bool:
		return n.Bool()
	case fhir.Number:
		return json.Number(n.String())
	case fhir.Null:
		return nil
	}
	return n.String()
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(patient))
	f.Add([]byte(`{"resourceType":"A","a":[1e5,-0.10,null,{"\u0061":"\ud83d\ude00"}]}`))
	f.Add([]byte("\xef\xbb\xbf{\"resourceType\":\"A\"}"))
	f.Add([]byte(`{"resourceType":"A","a":"` + strings.Repeat("é", 30) + `"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		n, jsonErr := fhir.ParseJSON(b, fhir.Limits{})
		r, err := fhir.Parse(b)
		if err != nil {
			if k := fault.KindOf(err); k != fault.Invalid && k != fault.TooLarge {
				t.Fatalf("refused as %v", k)
			}
			return
		}
		if jsonErr != nil || n.Kind() != fhir.Object {
			t.Fatalf("FHIR's JSON is not JSON: %v", jsonErr)
		}
		agree(t, r)
	})
}

func BenchmarkParse(b *testing.B) {
	compact := []byte(`{"resourceType":"Observation","id":"f1","status":"final","category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"vital-signs","display":"Vital Signs"}]}],"code":{"coding":[{"system":"http://loinc.org","code":"85354-9","display":"Blood pressure panel with all children optional"}]},"subject":{"reference":"Patient/example","display":"Peter Chalmers"},"effectiveDateTime":"2012-09-17","component":[{"code":{"coding":[{"system":"http://loinc.org","code":"8480-6","display":"Systolic blood pressure"}]},"valueQuantity":{"value":107,"unit":"mmHg","system":"http://unitsofmeasure.org","code":"mm[Hg]"}}]}`)
	pretty := []byte(mustParse(b, indent(b, compact)).String())
	for name, doc := range map[string][]byte{"compact": compact, "pretty": pretty} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(doc)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := fhir.Parse(doc); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func indent(t testing.TB, b []byte) string {
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	out, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}
