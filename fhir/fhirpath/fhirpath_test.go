package fhirpath_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/fhir/fhirpath"
)

const person = `{"resourceType":"Patient","id":"p1","active":true,
 "contained":[{"resourceType":"Organization","id":"o1","name":"Acme","partOf":{"reference":"#"}}],
 "extension":[{"url":"http://example.org/a","valueQuantity":{"value":3,"unit":"years","system":"http://unitsofmeasure.org","code":"a"}},{"url":"http://example.org/b","valueCode":"x"}],
 "identifier":[{"system":"urn:x","value":"1"}],
 "name":[{"use":"official","family":"O'Neill","given":["Ann",null,"Mary"],"_given":[{"id":"g1"},{"extension":[{"url":"http://example.org/masked","valueBoolean":true}]},null]},{"use":"usual","given":["Annie"]}],
 "_birthDate":{"extension":[{"url":"http://example.org/why","valueString":"unknown"}]},
 "gender":"female","deceasedDateTime":"2020-05-01T10:00:00+01:00",
 "maritalStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v3-MaritalStatus","code":"M"}]},
 "managingOrganization":{"reference":"#o1"},"generalPractitioner":[{"reference":"Practitioner/7"},{"reference":"Organization/8","type":"Organization"}],
 "text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\"><p>Ann</p></div>"}}`

func parse(t testing.TB, s string) *fhir.Resource {
	t.Helper()
	r, err := fhir.Parse([]byte(s))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// answer is what an expression gives, in one line: values joined by "; ", or the error's phase and text.
func answer(r *fhir.Resource, source string, options ...fhirpath.Option) string {
	expr, err := fhirpath.Compile(source)
	if err == nil {
		var values fhirpath.Collection
		values, err = expr.Eval(context.Background(), fhirpath.On(r), append(options, fhirpath.At(testInstant))...)
		if err == nil {
			text := make([]string, len(values))
			for i, v := range values {
				text[i] = v.String()
			}
			return strings.Join(text, "; ")
		}
	}
	var e *fhirpath.Error
	if errors.As(err, &e) {
		return "! " + e.Phase.String() + ": " + e.Message
	}
	return "! " + err.Error()
}

func TestAnswers(t *testing.T) {
	r := parse(t, person)
	for _, c := range [][2]string{
		// elements, choices, primitives with extensions
		{"Patient.name.given", `Ann; {"extension":[{"url":"http://example.org/masked","valueBoolean":true}]}; Mary; Annie`},
		{"name.given.count()", "4"}, {"name.given.hasValue()", "false"}, {"name.given.select(hasValue())", "true; false; true; true"},
		{"name.given.id", "g1"}, {"name.given.extension('http://example.org/masked').value", "true"},
		{"birthDate.exists()", "true"}, {"birthDate.extension.value", "unknown"}, {"birthDate > @2000", ""}, {"birthDate.hasValue()", "false"}, {"birthDate.getValue()", ""},
		{"deceased is dateTime", "true"}, {"deceased.ofType(boolean)", ""}, {"(deceased as dateTime).toString()", "2020-05-01T10:00:00+01:00"},
		{"extension.value.ofType(Quantity).value", "3"}, {"extension.value.is(code)", "! execution: is needs one value, but there are 2"},
		{"extension('http://example.org/a').value = 3 years", "true"}, {"extension('http://example.org/a').value ~ 3 'a'", "true"},
		{"gender is string", "true"}, {"gender.as(string)", ""}, {"gender.value", "female"}, {"nothing.at.all", ""}, {"Encounter.status", ""}, {"Resource.id", "p1"}, {"DomainResource.id", "p1"},
		{"name.where(use = 'official').given.first() + ' ' + name[0].family", "Ann O'Neill"}, {"$this.id", "p1"}, {"%resource.id", "p1"}, {"%context.id", "p1"},
		{"contained.select(%rootResource.id)", "p1"}, {"type()", "FHIR.Patient"}, {"gender.type().name", "code"}, {"name[0].type().baseType", "FHIR.Element"}, {"Patient.is(DomainResource)", "true"}, {"1 is System.Any", "true"},
		// references
		{"managingOrganization.resolve().name", "Acme"}, {"contained.partOf.resolve().id", "p1"}, {"generalPractitioner.where(resolve() is Practitioner).reference", "Practitioner/7"},
		{"generalPractitioner.where(resolve() is Organization).reference", "Organization/8"}, {"managingOrganization.resolve() is Organization", "true"},
		// terminology and profiles
		{"gender.memberOf('http://hl7.org/fhir/ValueSet/administrative-gender')", "true"}, {"maritalStatus.memberOf('http://hl7.org/fhir/ValueSet/administrative-gender')", "false"},
		{"gender.memberOf('http://nowhere')", ""}, {"conformsTo('http://hl7.org/fhir/StructureDefinition/DomainResource')", "true"}, {"conformsTo('http://nowhere')", "! execution: conformsTo(): the profile http://nowhere is not known"},
		{"name.first().elementDefinition().max", "*"}, {"gender.elementDefinition().type.code", "code"}, {"deceased.elementDefinition().path", "Patient.deceased[x]"}, {"checkModifiers().id", "p1"}, {"name.slice('http://p', 's')", "! execution: slice(): the slices of http://p are not known"},
		{"text.`div`.htmlChecks()", "true"}, {"'<div><script/>x</div>'.htmlChecks()", "false"}, {"'<div>x</div><p/>'.htmlChecks()", "false"}, {"'<div><a href=\"javascript:x\">x</a></div>'.htmlChecks()", "false"}, {"'<div> </div>'.htmlChecks()", "false"},
		{"%sct & '|' & %`ext-x`", "http://snomed.info/sct|http://hl7.org/fhir/StructureDefinition/x"}, {"%nobody", "! execution: there is no variable %nobody"},
		// numbers
		{"0.1 + 0.2", "0.3"}, {"1 / 3", "0.33333333"}, {"2 / 3", "0.66666667"}, {"10 / 4", "2.5"}, {"100 / 5", "20"}, {"7 div 2", "3"}, {"-7 div 2", "-3"}, {"-7 mod 2", "-1"}, {"5.5 div 0.7", "7"}, {"5.5 mod 0.7", "0.6"}, {"1.10 + 2", "3.10"},
		{"2147483647 + 1", ""}, {"1 / 0", ""}, {"1.5 mod 0", ""}, {"2147483648", "! syntax: 2147483648 is over the largest integer, 2147483647"}, {"2.power(0.5)", "1.414213562373095"}, {"2.power(-2)", "0.25"}, {"1.1.power(3)", "1.331"}, {"0.power(-1)", ""}, {"10.power(100000)", ""},
		{"(0).ln()", ""}, {"1.exp()", "2.7182818284590452"}, {"100000.exp()", ""}, {"2.5.round()", "3"}, {"3.14159.round(2)", "3.14"}, {"1.round(-1)", "! execution: round(): the number of decimals must be between 0 and 1000"}, {"1.precision()", "0"},
		// text
		{"'añb'.length()", "3"}, {"'añb'.substring(1, 1)", "ñ"}, {"'añb'.indexOf('b')", "2"}, {"'abab'.lastIndexOf('b')", "3"}, {"'a\\u00e9'", "aé"}, {"'\\ud83d\\ude00'.length()", "1"}, {"'a' & {} & 'b'", "ab"}, {"'a' + {}", ""},
		{"'abc'.replaceMatches('(b)(c)', '$2$1')", "acb"}, {"'abc'.matches('(')", "! semantic: matches(): error parsing regexp: missing closing ): `(?s)(`"}, {"'x'.encode('rot13')", ""}, {"'zz'.decode('hex')", ""}, {"'&lt;'.unescape('html')", "<"}, {"'a\\nb'.escape('json')", `a\nb`},
		// dates
		{"@2020-02-29 + 1 year", "2021-02-28"}, {"@2020-01-31 + 1 month", "2020-02-29"}, {"@2020 + 24 months", "2022"}, {"@2020 + 23 months", "2021"}, {"@2020-01 + 31 days", "2020-02"}, {"@2020-01-01 - 1 day", "2019-12-31"}, {"@T23:30 + 45 minutes", "00:15"},
		{"@2020-01-01T00:00:00Z + 1.5 seconds", "2020-01-01T00:00:01.500Z"}, {"@9999-12-31 + 1 day", ""}, {"@0001-01-01 - 1 day", ""}, {"@2020-02-30", "! syntax: @2020-02-30: not a date or time that exists"}, {"@2020-01-01T25:00", "! syntax: @2020-01-01T25:00: not a date or time that exists"},
		{"@2020-01-01T10:00Z = @2020-01-01T11:00+01:00", "true"}, {"@2020-01-01T10:00Z < @2020-01-03T10:00", "true"}, {"@2020-01-01T10:00Z < @2020-01-01T12:00", ""}, {"@2020 = @2020-01", ""}, {"@2020 ~ @2020-01", "false"}, {"@T10 < @2020", "! execution: a System.Time and a System.Date have no order"},
		{"now()", "2026-03-29T09:30:15.250Z"}, {"today()", "2026-03-29"}, {"timeOfDay()", "09:30:15.250"}, {"@2020-02.highBoundary()", "2020-02-29"}, {"@2020.lowBoundary(4)", "2020"}, {"@2020.lowBoundary(7)", ""}, {"@T10.highBoundary()", "10:59:59.999"}, {"'a'.lowBoundary()", "! execution: lowBoundary(): a System.String has no boundaries"},
		// quantities
		{"1 'kg' = 1000 'g'", "true"}, {"1 'kg' > 999 'g'", "true"}, {"1 'kg' = 1 'm'", ""}, {"1 'kg' ~ 1 'm'", "false"}, {"37 'Cel' = 98.6 '[degF]'", "true"}, {"1 'mmol/L' = 1000 'umol/L'", "true"}, {"120 'mm[Hg]' > 15 'kPa'", "true"}, {"1 '[in_i]' = 2.54 'cm'", "true"}, {"1 '10*9/L' = 1000 '10*6/L'", "true"},
		{"1 '{tablet}' = 1 '1'", "true"}, {"1 year = 12 months", "true"}, {"1 year = 1 'a'", ""}, {"1 year ~ 1 'a'", "true"}, {"1 year > 364 days", "true"}, {"2 'h' + 30 'min'", "150 'min'"}, {"3 'kg' * 2", "6 'kg'"}, {"6 'g' / 2 'L'", "3 'g/L'"}, {"'5 \\'mg\\''.toQuantity('g')", "0.005 'g'"}, {"1 'zorg' = 1 'kg'", ""}, {"1 'm.s-2' = 1 'm/s2'", "true"}, {"5 'mg'.unit", "mg"},
		// collections and logic
		{"(1 | 2 | 3).aggregate($total + $this, 0)", "6"}, {"(3 | 1 | 2).sort(-$this)", "3; 2; 1"}, {"(1 | 1.0 | 2).count()", "2"}, {"(1 | 2).select($index)", "0; 1"}, {"repeat(contained).id", "o1"}, {"coalesce({}, nothing, 'x', 'y')", "x"}, {"(1 | 2) in (1 | 2)", "! execution: only one value can be looked for, but there are 2"},
		{"defineVariable('a', 2).select(%a + 1)", "3"}, {"(defineVariable('a').id) | %a", "! execution: there is no variable %a"}, {"defineVariable('sct', 1)", `! execution: defineVariable(): "sct" is no name that a variable may have`}, {"name.select(defineVariable('u', use).given.select(%u).first())", "official; usual"},
		{"{} and false", "false"}, {"{} or false", ""}, {"1 and true", "true"}, {"(1 | 2) and true", "! execution: one value should stand here, but there are 2"}, {"iif({}, 1, 2)", "2"}, {"descendants().where($this is Organization).id", "o1"},
		// what is not FHIRPath
		{"1 +", "! syntax: the expression ends where a name, a value or an opening parenthesis should be"}, {"a b", `! syntax: "b" stands where an operator or the end should be`}, {"'a", "! syntax: this text is never closed"}, {"nope()", "! semantic: there is no function nope()"}, {"first(1)", "! semantic: first() takes no argument, not 1"}, {"1 is Nope", "! semantic: there is no type Nope"}, {"#", "! syntax: '#' has no meaning here"}, {"$that", "! syntax: there is no $that; the variables are $this, $index and $total"}, {"", "! syntax: the expression ends where a name, a value or an opening parenthesis should be"},
	} {
		if got := answer(r, c[0]); got != c[1] {
			t.Errorf("%s\n\tgave %s\n\tnot  %s", c[0], got, c[1])
		}
	}
}

func TestCheckedExpressions(t *testing.T) {
	for source, want := range map[string]string{
		"name.given": "", "Patient.name.where(use = 'official')": "", "contact.name.family": "", "deceased.as(boolean).not()": "", "contained.name": "", "name.given.first().length() > 3": "",
		"name.giver":                            "a FHIR.HumanName has no element giver",
		"Observation.value":                     "a FHIR.Patient has no element Observation",
		"deceasedBoolean":                       "a FHIR.Patient has no element deceasedBoolean",
		"name.startsWith('a')":                  "startsWith() needs a string, not a FHIR.HumanName",
		"name.where(given.upper())":             "the criterion of where() must be a boolean, not a System.String",
		"birthDate + 1":                         "+ has no meaning between a FHIR.date and a System.Integer",
		"name < 3":                              "a FHIR.HumanName and a System.Integer have no order",
		"children().first()":                    "first() needs items in order, but children() and descendants() give them in any",
		"name['a']":                             "an index must be an integer, not a System.String",
		"%unknown":                              "there is no variable %unknown",
		"name.sqrt()":                           "sqrt() needs a number, not a FHIR.HumanName",
		"name.select(given).where($this.x = 1)": "a FHIR.string has no element x",
	} {
		_, err := fhirpath.Compile(source, fhirpath.WithType("Patient"), fhirpath.WithVariables("known"))
		var e *fhirpath.Error
		errors.As(err, &e)
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", source, err)
		case want != "" && (e == nil || e.Message != want || e.Phase != fhirpath.Semantic):
			t.Errorf("%s: gave %v, not %s", source, err, want)
		case err != nil && fault.KindOf(err) != fault.Invalid:
			t.Errorf("%s: of kind %s", source, fault.KindOf(err))
		}
	}
	if _, err := fhirpath.Compile("id", fhirpath.WithType("Nobody")); err == nil {
		t.Error("an unknown type was checked against")
	}
}

func TestErrorsSayWhere(t *testing.T) {
	_, err := fhirpath.Compile("name\n  .given.nope()")
	var e *fhirpath.Error
	if !errors.As(err, &e) {
		t.Fatal(err)
	}
	if line, column := e.Position(); line != 2 || column != 10 || !strings.Contains(fault.MessageOf(err), "2:10") {
		t.Errorf("%d:%d %s", line, column, fault.MessageOf(err))
	}
	_, err = fhirpath.MustCompile("name.single()").Eval(context.Background(), fhirpath.On(parse(t, person)))
	if fault.KindOf(err) != fault.Unprocessable {
		t.Errorf("%v is of kind %s", err, fault.KindOf(err))
	}
}

func TestHandedIn(t *testing.T) {
	ctx := context.Background()
	r := parse(t, person)
	resolved := fhirpath.WithResolver(func(_ context.Context, ref string) (*fhir.Resource, error) {
		if ref == "Practitioner/7" {
			return parse(t, `{"resourceType":"Practitioner","name":[{"family":"Gray"}]}`), nil
		}
		return nil, nil
	})
	if got := answer(r, "generalPractitioner.resolve().name.family", resolved); got != "Gray" {
		t.Errorf("resolve() gave %q", got)
	}
	conforms := fhirpath.WithConformance(func(_ context.Context, v fhirpath.Value, p string) (bool, bool, error) {
		return v.Type().Name() == "Patient", p == "http://known", nil
	})
	if got := answer(r, "conformsTo('http://known')", conforms); got != "true" {
		t.Errorf("conformsTo() gave %q", got)
	}
	member := fhirpath.WithMembership(func(_ context.Context, vs, system, code string) (bool, bool, error) { return code == "M", true, nil })
	if got := answer(r, "maritalStatus.memberOf('http://own')", member); got != "true" {
		t.Errorf("memberOf() gave %q", got)
	}
	slicing := fhirpath.WithSlicing(func(_ context.Context, v fhirpath.Value, p, s string) (bool, bool, error) {
		return v.Node().Field("use").String() == s, true, nil
	})
	if got := answer(r, "name.slice('http://p', 'usual').given", slicing); got != "Annie" {
		t.Errorf("slice() gave %q", got)
	}
	if got := answer(r, "%a + %b", fhirpath.Variable("a", fhirpath.Integer(2)), fhirpath.Variable("b", fhirpath.Integer(3))); got != "5" {
		t.Errorf("variables gave %q", got)
	}
	var traced string
	answer(r, "name.trace('n', use).given", fhirpath.WithTrace(func(name string, c fhirpath.Collection) { traced = fmt.Sprint(name, c) }))
	if traced != "n[official usual]" {
		t.Errorf("trace() saw %q", traced)
	}
	if _, err := fhirpath.MustCompile("now()").Eval(ctx, fhirpath.On(r)); fault.KindOf(err) != fault.Unprocessable {
		t.Errorf("now() without an instant: %v", err)
	}
}

func TestValuesKeepTheirPlace(t *testing.T) {
	ctx := context.Background()
	r := parse(t, person)
	got, err := fhirpath.MustCompile("name.given | identifier.value | deceased").Eval(ctx, fhirpath.On(r))
	if err != nil {
		t.Fatal(err)
	}
	var places []string
	for _, v := range got {
		places = append(places, v.Path()+" "+v.Type().Name())
	}
	if s := strings.Join(places, ", "); s != "name[0].given[0] string, name[0].given[1] string, name[0].given[2] string, name[1].given[0] string, identifier[0].value string, deceasedDateTime dateTime" {
		t.Error(s)
	}
	inner, err := fhirpath.MustCompile("extension.value").Eval(ctx, fhirpath.OnValue(got[1]))
	if err != nil || len(inner) != 1 || inner[0].Path() != "name[0]._given[1].extension[0].valueBoolean" {
		t.Errorf("%v %v", inner, err)
	}
	on := fhirpath.OnNode("string", r.Get("name.0.given.0"))
	if id, err := fhirpath.MustCompile("id").Eval(ctx, on); err != nil || len(id) != 1 || id[0].String() != "g1" {
		t.Errorf("the id beside a primitive: %v %v", id, err)
	}
	end, _ := fhirpath.MustCompile("@2020-02").Eval(ctx, fhirpath.On(r))
	if month, ok := end[0].Time(); !ok || !month.Start(nil).Equal(time.Date(2020, 2, 1, 0, 0, 0, 0, time.UTC)) || !month.End(nil).Equal(time.Date(2020, 3, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("a month is %v to %v", month.Start(nil), month.End(nil))
	}
}

func TestBounds(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	r := parse(t, person)
	for name, source := range map[string]string{
		"deep": strings.Repeat("(", 5000) + "1" + strings.Repeat(")", 5000), "deep signs": strings.Repeat("-", 5000) + "1", "long": strings.Repeat("a.", 20000) + "a", "huge": strings.Repeat(" ", 1<<17) + "1",
	} {
		if _, err := fhirpath.Compile(source); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, source := range map[string]string{
		"text that doubles":  strings.Repeat("(1|2|3|4|5|6|7|8).select(", 1) + "'0123456789abcdef'" + strings.Repeat(".replaceMatches('.', 'xxxxxxxxxxxxxxxx')", 8) + ")",
		"items that breed":   "'0123456789'.toChars()" + strings.Repeat(".select('0123456789'.toChars())", 8),
		"a repeat that runs": "1.repeat($this + 1)",
	} {
		_, err := fhirpath.MustCompile(source).Eval(ctx, fhirpath.On(r))
		if fault.KindOf(err) != fault.TooCostly {
			t.Errorf("%s: %v", name, err)
		}
	}
	cancel()
	if _, err := fhirpath.MustCompile("1.repeat($this + 1)").Eval(ctx, fhirpath.On(r)); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled evaluation gave %v", err)
	}
	if _, err := fhirpath.MustCompile("descendants()").Eval(context.Background(), fhirpath.On(r), fhirpath.Limits(0, 3)); fault.KindOf(err) != fault.TooCostly {
		t.Errorf("a small limit gave %v", err)
	}
}

func TestExpressionsAreShared(t *testing.T) {
	expr := fhirpath.MustCompile("name.where(use = 'official').select(given | family).count() + contained.name.length()")
	r := parse(t, person)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 200 {
				got, err := expr.Eval(context.Background(), fhirpath.On(r))
				if err != nil || len(got) != 1 || got[0].String() != "8" {
					t.Errorf("%v %v", got, err)
					return
				}
			}
		})
	}
	group.Wait()
}
