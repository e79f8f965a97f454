package patch_test

import (
	"context"
	"strings"
	"testing"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/fhir/definition"
	"github.com/openspine/openspine/fhir/patch"
)

const person = `{"resourceType":"Patient","id":"p","birthDate":"1970-01-01","_birthDate":{"extension":[{"url":"http://t","valueDateTime":"1970-01-01T10:00:00Z"}]},` +
	`"identifier":[{"system":"a","value":"1"},{"system":"b","value":"2"},{"system":"c","value":"3"},{"system":"d","value":"4"}],` +
	`"name":[{"family":"Smith","given":["A","B","C"],"_given":[null,{"id":"gb"},null]}],` +
	`"contact":[{"name":{"text":"Sam"},"gender":"male"}],"deceasedBoolean":false,"extension":[{"url":"http://d","valueDecimal":1.50}]}`

// op writes one operation from its parts: each is name=member:json.
func op(parts ...string) string {
	var b strings.Builder
	for i, p := range parts {
		name, rest, _ := strings.Cut(p, "=")
		member, value, _ := strings.Cut(rest, ":")
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(`{"name":"` + name + `","` + member + `":` + value + `}`)
	}
	return `{"name":"operation","part":[` + b.String() + `]}`
}

func typ(s string) string  { return `type=valueCode:"` + s + `"` }
func path(s string) string { return `path=valueString:"` + s + `"` }
func name(s string) string { return `name=valueString:"` + s + `"` }

func params(ops ...string) string {
	if len(ops) == 0 {
		return `{"resourceType":"Parameters"}`
	}
	return `{"resourceType":"Parameters","parameter":[` + strings.Join(ops, ",") + `]}`
}

func TestFHIRPathPatch(t *testing.T) {
	move := func(from, to string) string {
		return op(typ("move"), path("Patient.identifier"), "source=valueInteger:"+from, "destination=valueInteger:"+to)
	}
	systems := func(s string) string {
		was := `[{"system":"a","value":"1"},{"system":"b","value":"2"},{"system":"c","value":"3"},{"system":"d","value":"4"}]`
		items := map[rune]string{'a': `{"system":"a","value":"1"}`, 'b': `{"system":"b","value":"2"}`, 'c': `{"system":"c","value":"3"}`, 'd': `{"system":"d","value":"4"}`, 'x': `{"value":"x"}`}
		var now []string
		for _, c := range s {
			now = append(now, items[c])
		}
		return strings.Replace(person, was, "["+strings.Join(now, ",")+"]", 1)
	}
	for title, c := range map[string]struct{ patch, want string }{
		"nothing":               {params(), person},
		"replace primitive":     {params(op(typ("replace"), path("Patient.birthDate"), `value=valueDate:"1980"`)), strings.Replace(person, `"1970-01-01","_birthDate":{"extension":[{"url":"http://t","valueDateTime":"1970-01-01T10:00:00Z"}]}`, `"1980"`, 1)},
		"delete primitive":      {params(op(typ("delete"), path("Patient.birthDate"))), strings.Replace(person, `"birthDate":"1970-01-01","_birthDate":{"extension":[{"url":"http://t","valueDateTime":"1970-01-01T10:00:00Z"}]},`, "", 1)},
		"delete what is not":    {params(op(typ("delete"), path("Patient.photo"))), person},
		"delete leaves empty":   {params(op(typ("delete"), path("Patient.contact[0].name.text"))), strings.Replace(person, `"name":{"text":"Sam"},"gender"`, `"gender"`, 1)},
		"delete in list":        {params(op(typ("delete"), path("Patient.identifier.where(system='b')"))), systems("acd")},
		"delete with parallel":  {params(op(typ("delete"), path("Patient.name[0].given[0]"))), strings.Replace(person, `"given":["A","B","C"],"_given":[null,{"id":"gb"},null]`, `"given":["B","C"],"_given":[{"id":"gb"},null]`, 1)},
		"delete the parallel":   {params(op(typ("delete"), path("Patient.name.given.where(id='gb')"))), strings.Replace(person, `"given":["A","B","C"],"_given":[null,{"id":"gb"},null]`, `"given":["A","C"]`, 1)},
		"delete whole list":     {params(op(typ("delete"), path("Patient.contact[0]"))), strings.Replace(person, `"contact":[{"name":{"text":"Sam"},"gender":"male"}],`, "", 1)},
		"add to list":           {params(op(typ("add"), path("Patient"), name("identifier"), `value=valueIdentifier:{"value":"x"}`)), systems("abcdx")},
		"add first of list":     {params(op(typ("add"), path("Patient"), name("telecom"), `value=valueContactPoint:{"value":"0"}`)), person[:len(person)-1] + `,"telecom":[{"value":"0"}]}`},
		"add single":            {params(op(typ("add"), path("Patient.name[0]"), name("use"), `value=valueCode:"usual"`)), strings.Replace(person, `{"id":"gb"},null]}`, `{"id":"gb"},null],"use":"usual"}`, 1)},
		"add primitive to list": {params(op(typ("add"), path("Patient.name[0]"), name("given"), `value=valueString:"D"`)), strings.Replace(person, `"given":["A","B","C"],"_given":[null,{"id":"gb"},null]`, `"given":["A","B","C","D"],"_given":[null,{"id":"gb"},null,null]`, 1)},
		"add choice":            {params(op(typ("delete"), path("Patient.deceased")), op(typ("add"), path("Patient"), name("deceased"), `value=valueDateTime:"2020"`)), strings.Replace(person, `,"deceasedBoolean":false`, "", 1)[:len(person)-len(`,"deceasedBoolean":false`)-1] + `,"deceasedDateTime":"2020"}`},
		"replace choice":        {params(op(typ("replace"), path("Patient.deceased"), `value=valueDateTime:"2020"`)), strings.Replace(person, `,"deceasedBoolean":false`, "", 1)[:len(person)-len(`,"deceasedBoolean":false`)-1] + `,"deceasedDateTime":"2020"}`},
		"replace in list":       {params(op(typ("replace"), path("Patient.identifier[1]"), `value=valueIdentifier:{"value":"x"}`)), systems("axcd")},
		"replace deep":          {params(op(typ("replace"), path("Patient.identifier[1].value"), `value=valueString:"9"`)), strings.Replace(person, `"value":"2"`, `"value":"9"`, 1)},
		"add backbone":          {params(op(typ("add"), path("Patient"), name("contact"), `value=part:[{"name":"name","valueHumanName":{"text":"Kim"}},{"name":"telecom","valueContactPoint":{"value":"1"}},{"name":"telecom","valueContactPoint":{"value":"2"}},{"name":"gender","_valueCode":{"id":"q"}}]`)), strings.Replace(person, `"gender":"male"}]`, `"gender":"male"},{"name":{"text":"Kim"},"telecom":[{"value":"1"},{"value":"2"}],"_gender":{"id":"q"}}]`, 1)},
		"add with extension":    {params(op(typ("add"), path("Patient"), name("gender"), `value=_valueCode:{"extension":[{"url":"u","valueCode":"unknown"}]}`)), person[:len(person)-1] + `,"_gender":{"extension":[{"url":"u","valueCode":"unknown"}]}}`},
		"add extension":         {params(op(typ("add"), path("Patient.birthDate"), name("extension"), `value=part:[{"name":"url","valueUri":"u"},{"name":"value","valueCode":"c"}]`)), ""},
		"add extension in list": {params(op(typ("add"), path("Patient.name.given[2]"), name("id"), `value=valueString:"gc"`)), strings.Replace(person, `[null,{"id":"gb"},null]`, `[null,{"id":"gb"},{"id":"gc"}]`, 1)},
		"insert":                {params(op(typ("insert"), path("Patient.identifier"), "index=valueInteger:1", `value=valueIdentifier:{"value":"x"}`)), systems("axbcd")},
		"insert at end":         {params(op(typ("insert"), path("Patient.identifier"), "index=valueInteger:4", `value=valueIdentifier:{"value":"x"}`)), systems("abcdx")},
		"insert in empty":       {params(op(typ("insert"), path("Patient.telecom"), "index=valueInteger:0", `value=valueContactPoint:{"value":"0"}`)), person[:len(person)-1] + `,"telecom":[{"value":"0"}]}`},
		"move up":               {params(move("3", "0")), systems("dabc")},
		"move down":             {params(move("0", "2")), systems("bcad")},
		"move all":              {params(move("3", "0"), move("3", "1"), move("3", "2")), systems("dcba")},
		"move primitive":        {params(op(typ("move"), path("Patient.name[0].given"), "source=valueInteger:1", "destination=valueInteger:0")), strings.Replace(person, `"given":["A","B","C"],"_given":[null,{"id":"gb"},null]`, `"given":["B","A","C"],"_given":[{"id":"gb"},null,null]`, 1)},
		"decimals keep digits":  {params(op(typ("replace"), path("Patient.extension[0].url"), `value=valueUri:"http://e"`)), strings.Replace(person, `http://d`, `http://e`, 1)},
		"extension value":       {params(op(typ("replace"), path("Patient.extension('http://d').value"), `value=valueDecimal:2.00`)), strings.Replace(person, `1.50`, `2.00`, 1)},
	} {
		t.Run(title, func(t *testing.T) {
			r := parse(t, person)
			got, err := patch.FHIRPath(context.Background(), r, parse(t, c.patch), definition.R4())
			if c.want == "" {
				if err != nil || got.Get("_birthDate.extension.1.url").String() != "u" || got.Get("_birthDate.extension.0.url").String() != "http://t" {
					t.Errorf("%v %v", err, got)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if at, differs := fhir.Difference(got.Root(), parse(t, c.want).Root()); differs {
				t.Errorf("differs at %q:\n%s\nwant\n%s", at, got, c.want)
			}
			if r.String() != person {
				t.Error("the document given was changed")
			}
		})
	}
}

func TestFHIRPathPatchRefused(t *testing.T) {
	for title, c := range map[string]struct {
		patch string
		kind  fault.Kind
		says  string
	}{
		"not parameters":        {`{"resourceType":"Patient"}`, fault.Invalid, "Parameters"},
		"other parameter":       {`{"resourceType":"Parameters","parameter":[{"name":"x"}]}`, fault.Invalid, "operation"},
		"unknown type":          {params(op(typ("test"), path("Patient"))), fault.Invalid, "operation 0: type"},
		"no path":               {params(op(typ("delete"))), fault.Invalid, "path"},
		"no value":              {params(op(typ("replace"), path("Patient.birthDate"))), fault.Invalid, "value"},
		"no index":              {params(op(typ("insert"), path("Patient.name"), `value=valueString:"x"`)), fault.Invalid, "index"},
		"negative index":        {params(op(typ("insert"), path("Patient.name"), "index=valueInteger:-1", `value=valueString:"x"`)), fault.Invalid, "index"},
		"part twice":            {params(op(typ("delete"), path("Patient"), path("Patient"))), fault.Invalid, "twice"},
		"unknown part":          {params(op(typ("delete"), path("Patient"), `colour=valueString:"x"`)), fault.Invalid, "part"},
		"bad path":              {params(op(typ("delete"), path("Patient..name"))), fault.Invalid, ""},
		"delete many":           {params(op(typ("delete"), path("Patient.identifier"))), fault.Unprocessable, "one element"},
		"delete resource":       {params(op(typ("delete"), path("Patient"))), fault.Unprocessable, "whole"},
		"replace nothing":       {params(op(typ("replace"), path("Patient.photo"), `value=valueString:"x"`)), fault.Unprocessable, "leads to 0"},
		"add to nothing":        {params(op(typ("add"), path("Patient.identifier[0].period"), name("end"), `value=valueDate:"2020"`)), fault.Unprocessable, "leads to 0"},
		"add twice":             {params(op(typ("add"), path("Patient"), name("birthDate"), `value=valueDate:"2020"`)), fault.Unprocessable, "already"},
		"add other choice":      {params(op(typ("add"), path("Patient"), name("deceasedDateTime"), `value=valueDateTime:"2020"`)), fault.Unprocessable, "already"},
		"add unknown":           {params(op(typ("add"), path("Patient"), name("parrot"), `value=valueString:"x"`)), fault.Unprocessable, "does not exist"},
		"add with underscore":   {params(op(typ("add"), path("Patient"), name("_gender"), `value=valueString:"x"`)), fault.Unprocessable, "underscore"},
		"wrong form":            {params(op(typ("add"), path("Patient"), name("active"), `value=valueString:"true"`)), fault.Unprocessable, "boolean"},
		"wrong choice":          {params(op(typ("replace"), path("Patient.deceased"), `value=valueQuantity:{"value":1}`)), fault.Unprocessable, "type given"},
		"complex for primitive": {params(op(typ("replace"), path("Patient.birthDate"), `value=valueHumanName:{"text":"x"}`)), fault.Unprocessable, "should be date"},
		"insert past the end":   {params(op(typ("insert"), path("Patient.identifier"), "index=valueInteger:5", `value=valueIdentifier:{"value":"x"}`)), fault.Unprocessable, "at most 4"},
		"insert in two lists":   {params(op(typ("insert"), path("Patient.identifier | Patient.contact"), "index=valueInteger:0", `value=valueIdentifier:{"value":"x"}`)), fault.Unprocessable, "one list"},
		"move past the end":     {params(op(typ("move"), path("Patient.identifier"), "source=valueInteger:4", "destination=valueInteger:0")), fault.Unprocessable, "less than 4"},
		"computed":              {params(op(typ("delete"), path("1 + 1"))), fault.Unprocessable, "not an element"},
		"second fails":          {params(op(typ("delete"), path("Patient.birthDate")), op(typ("delete"), path("Patient.identifier"))), fault.Unprocessable, "operation 1"},
	} {
		t.Run(title, func(t *testing.T) {
			got, err := patch.FHIRPath(context.Background(), parse(t, person), parse(t, c.patch), definition.R4())
			if err == nil {
				t.Fatalf("accepted: %s", got)
			}
			if !fault.Is(err, c.kind) || !strings.Contains(fault.MessageOf(err), c.says) {
				t.Errorf("said %q (%v), want %q (%v)", fault.MessageOf(err), fault.KindOf(err), c.says, c.kind)
			}
		})
	}
}

func FuzzFHIRPathPatch(f *testing.F) {
	f.Add("add", "Patient", "telecom", []byte(`{"name":"value","valueContactPoint":{"value":"0"}}`), 0)
	f.Add("insert", "Patient.name[0].given", "", []byte(`{"name":"value","valueString":"x"}`), 1)
	f.Add("replace", "Patient.deceased", "", []byte(`{"name":"value","valueDateTime":"2020"}`), 2)
	f.Add("move", "Patient.name.given", "", []byte(`{"name":"value"}`), 1)
	f.Fuzz(func(t *testing.T, kind, where, what string, value []byte, i int) {
		p, err := fhir.Obj("resourceType", "Parameters", "parameter", fhir.Arr(fhir.Obj("name", "operation", "part", fhir.Arr(
			fhir.Obj("name", "type", "valueCode", kind), fhir.Obj("name", "path", "valueString", where), fhir.Obj("name", "name", "valueString", what),
			fhir.RawValue(value), fhir.Obj("name", "index", "valueInteger", i), fhir.Obj("name", "source", "valueInteger", i), fhir.Obj("name", "destination", "valueInteger", i),
		)))).Resource()
		if err != nil {
			return
		}
		got, err := patch.FHIRPath(context.Background(), parse(t, person), p, definition.R4())
		if err == nil {
			parse(t, got.String())
		} else if k := fault.KindOf(err); k == fault.Internal {
			t.Fatal(err)
		}
	})
}
