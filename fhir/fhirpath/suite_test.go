package fhirpath_test

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/fhir/fhirpath"
	"github.com/openspine/openspine/internal/spectest"
)

// testInstant is when all evaluations of these tests happen.
var testInstant = time.Date(2026, 3, 29, 9, 30, 15, 250e6, time.UTC)

type suiteCase struct {
	Name       string `xml:"name,attr"`
	Input      string `xml:"inputfile,attr"`
	Predicate  bool   `xml:"predicate,attr"`
	Ordered    string `xml:"ordered,attr"`
	Expression struct {
		Text    string `xml:",chardata"`
		Invalid string `xml:"invalid,attr"`
	} `xml:"expression"`
	Outputs []struct {
		Type string `xml:"type,attr"`
		Text string `xml:",chardata"`
	} `xml:"output"`
	group string
}

func suiteCases(t testing.TB) (dir string, cases []suiteCase) {
	dir = spectest.Dir(t, "fhir-test-cases", "r4")
	b, err := os.ReadFile(filepath.Join(dir, "fhirpath", "tests-fhir-r4.xml"))
	if err != nil {
		t.Fatal(err)
	}
	var suite struct {
		Groups []struct {
			Name  string      `xml:"name,attr"`
			Tests []suiteCase `xml:"test"`
		} `xml:"group"`
	}
	if err := xml.Unmarshal(b, &suite); err != nil {
		t.Fatal(err)
	}
	for _, g := range suite.Groups {
		for _, c := range g.Tests {
			c.group = g.Name
			cases = append(cases, c)
		}
	}
	return dir, cases
}

// TestSuite runs every case of HL7's FHIRPath suite for R4. testdata/suite.golden lists each miss with its reason; a
// case that is not listed there must pass, and one that is listed must not.
func TestSuite(t *testing.T) {
	dir, cases := suiteCases(t)
	explained := readMisses(t)
	inputs := map[string]*fhir.Resource{}
	passed, missed := 0, map[string]string{}
	for i := range cases {
		c := &cases[i]
		key := c.group + "/" + c.Name
		name := c.Input
		if name == "" {
			name = "patient-example.xml"
		}
		if inputs[name] == nil {
			inputs[name] = readResource(t, filepath.Join(dir, name))
		}
		problem := c.run(inputs[name])
		if problem == "" {
			passed++
			if reason, listed := explained[key]; listed {
				t.Errorf("%s passes now, but testdata/suite.golden lists it as a miss (%s)", key, reason)
			}
			continue
		}
		missed[key] = problem
		if explained[key] == "" {
			t.Errorf("%s: %s\n\t%s", key, c.Expression.Text, problem)
		}
	}
	for key := range explained {
		if !slices.ContainsFunc(cases, func(c suiteCase) bool { return c.group+"/"+c.Name == key }) {
			t.Errorf("testdata/suite.golden lists %s, which is no case of the suite", key)
		}
	}
	t.Logf("HL7 FHIRPath suite for R4: %d of %d cases pass; %d explained misses", passed, len(cases), len(missed))
}

// readMisses reads the table of explained misses: group/case, a tab, the reason.
func readMisses(t testing.TB) map[string]string {
	b, err := os.ReadFile(filepath.Join("testdata", "suite.golden"))
	if err != nil {
		t.Fatal(err)
	}
	misses := map[string]string{}
	for line := range strings.Lines(string(b)) {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, reason, ok := strings.Cut(line, "\t")
		if !ok || strings.TrimSpace(reason) == "" {
			t.Fatalf("testdata/suite.golden gives no reason for %s", key)
		}
		misses[key] = strings.TrimSpace(reason)
	}
	return misses
}

// run is what went wrong, or "".
func (c *suiteCase) run(input *fhir.Resource) string {
	expr, err := fhirpath.Compile(c.Expression.Text, fhirpath.WithType(input.Type()))
	if err != nil {
		return c.failed(err)
	}
	got, err := expr.Eval(context.Background(), fhirpath.On(input), fhirpath.At(testInstant))
	if err != nil {
		return c.failed(err)
	}
	if c.Expression.Invalid != "" {
		return fmt.Sprintf("should have failed (%s), but gave %v", c.Expression.Invalid, describe(got))
	}
	if c.Predicate {
		holds, _, err := expr.Test(context.Background(), fhirpath.On(input), fhirpath.At(testInstant))
		if want := c.Outputs[0].Text == "true"; err != nil || holds != want {
			return fmt.Sprintf("the predicate is %v (%v)", holds, err)
		}
		return ""
	}
	return c.compare(got)
}

// failed judges an error. A case that is wrong in its syntax must fail when compiled, and one that is wrong in its
// meaning when checked; one that fails in execution may be found out earlier.
func (c *suiteCase) failed(err error) string {
	var e *fhirpath.Error
	if !errors.As(err, &e) {
		return "an error without a place: " + err.Error()
	}
	switch c.Expression.Invalid {
	case "":
		return err.Error()
	case "syntax":
		if e.Phase != fhirpath.Syntax {
			return "found out too late: " + err.Error()
		}
	case "semantic":
		if e.Phase != fhirpath.Semantic {
			return "found out too late: " + err.Error()
		}
	}
	return ""
}

func (c *suiteCase) compare(got fhirpath.Collection) string {
	want := make([]string, 0, len(c.Outputs))
	for _, o := range c.Outputs {
		want = append(want, strings.TrimPrefix(strings.TrimPrefix(o.Text, "@"), "T"))
	}
	have := make([]string, 0, len(got))
	for i, v := range got {
		text := v.String()
		if i < len(c.Outputs) {
			if problem := typeProblem(c.Outputs[i].Type, v); problem != "" && c.Ordered != "false" {
				return problem
			}
		}
		have = append(have, text)
	}
	if c.Ordered == "false" {
		slices.Sort(want)
		slices.Sort(have)
	}
	if !slices.EqualFunc(want, have, sameText) {
		return fmt.Sprintf("gave %v, not %v", describe(got), want)
	}
	return ""
}

// sameText compares a value's text with the suite's; a negative zero may be written without its sign.
func sameText(want, have string) bool {
	return want == have || strings.TrimLeft(want, "-") == strings.TrimLeft(have, "-") && strings.Trim(want, "-0.") == ""
}

// typeProblem compares types; the suite writes the names of FHIR's primitives for System types too.
func typeProblem(want string, v fhirpath.Value) string {
	have := v.Type().Name()
	if want == "" || want == have || v.Type().Namespace() == "System" && strings.EqualFold(want, have) {
		return ""
	}
	return fmt.Sprintf("%s is a %s, not a %s", v, v.Type(), want)
}

func describe(c fhirpath.Collection) []string {
	out := make([]string, 0, len(c))
	for _, v := range c {
		out = append(out, v.Type().String()+" "+v.String())
	}
	return out
}
