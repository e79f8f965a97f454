package patch_test

import (
	"strings"
	"testing"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/fhir/patch"
)

func parse(t testing.TB, s string) *fhir.Resource {
	t.Helper()
	r, err := fhir.Parse([]byte(s))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

const before = `{"resourceType":"P", "a": [1.50, {"x": "y"}], "b": {"c/d": 1, "e~f": 2}, "g": "h" }`

func TestJSONPatch(t *testing.T) {
	for name, c := range map[string]struct{ patch, want string }{
		"nothing":         {`[]`, before},
		"add member":      {`[{"op":"add","path":"/i","value":2.10}]`, `{"resourceType":"P", "a": [1.50, {"x": "y"}], "b": {"c/d": 1, "e~f": 2}, "g": "h","i":2.10 }`},
		"add over":        {`[{"op":"add","path":"/g","value":"j"}]`, `{"resourceType":"P", "a": [1.50, {"x": "y"}], "b": {"c/d": 1, "e~f": 2}, "g": "j" }`},
		"insert":          {`[{"op":"add","path":"/a/1","value":9}]`, `{"resourceType":"P", "a": [1.50,9, {"x": "y"}], "b": {"c/d": 1, "e~f": 2}, "g": "h" }`},
		"append":          {`[{"op":"add","path":"/a/-","value":9},{"op":"add","path":"/a/3","value":10}]`, `{"resourceType":"P", "a": [1.50, {"x": "y"},9,10], "b": {"c/d": 1, "e~f": 2}, "g": "h" }`},
		"remove escaped":  {`[{"op":"remove","path":"/b/c~1d"},{"op":"test","path":"/b/e~0f","value":2.0}]`, `{"resourceType":"P", "a": [1.50, {"x": "y"}], "b": { "e~f": 2}, "g": "h" }`},
		"replace":         {`[{"op":"replace","path":"/a/1/x","value":"z"}]`, `{"resourceType":"P", "a": [1.50, {"x": "z"}], "b": {"c/d": 1, "e~f": 2}, "g": "h" }`},
		"move":            {`[{"op":"move","from":"/a/0","path":"/b/new"}]`, `{"resourceType":"P", "a": [ {"x": "y"}], "b": {"c/d": 1, "e~f": 2,"new":1.50}, "g": "h" }`},
		"move in array":   {`[{"op":"move","from":"/a/0","path":"/a/1"}]`, `{"resourceType":"P", "a": [ {"x": "y"},1.50], "b": {"c/d": 1, "e~f": 2}, "g": "h" }`},
		"move to itself":  {`[{"op":"move","from":"/a/0","path":"/a/0"}]`, before},
		"copy":            {`[{"op":"copy","from":"/b","path":"/a/0"}]`, `{"resourceType":"P", "a": [{"c/d": 1, "e~f": 2},1.50, {"x": "y"}], "b": {"c/d": 1, "e~f": 2}, "g": "h" }`},
		"whole":           {`[{"op":"replace","path":"","value":{"resourceType":"Q"}}]`, `{"resourceType":"Q"}`},
		"left empty":      {`[{"op":"remove","path":"/a/0"},{"op":"remove","path":"/a/0/x"},{"op":"test","path":"/a","value":[{}]}]`, `{"resourceType":"P", "b": {"c/d": 1, "e~f": 2}, "g": "h" }`},
		"empty, then not": {`[{"op":"add","path":"/n","value":[]},{"op":"add","path":"/n/-","value":"v"}]`, `{"resourceType":"P", "a": [1.50, {"x": "y"}], "b": {"c/d": 1, "e~f": 2}, "g": "h","n":["v"] }`},
		"test object":     {`[{"op":"test","path":"/b","value":{"e~f":2.00,"c/d":10e-1}},{"op":"test","path":"/a","value":[1.5,{"x":"\u0079"}]}]`, before},
		"more members":    {`[{"op":"test","path":"/g","value":"h","comment":"ignored"}]`, before},
	} {
		t.Run(name, func(t *testing.T) {
			r := parse(t, before)
			got, err := patch.JSON(r, []byte(c.patch))
			if err != nil {
				t.Fatal(err)
			}
			if got.String() != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if r.String() != before {
				t.Error("the document given was changed")
			}
		})
	}
}

func TestJSONPatchRefused(t *testing.T) {
	for name, c := range map[string]struct {
		patch string
		kind  fault.Kind
		says  string
	}{
		"not json":        {`[`, fault.Invalid, "JSON"},
		"not an array":    {`{"op":"remove","path":"/a"}`, fault.Invalid, "array of operations"},
		"not an object":   {`["remove"]`, fault.Invalid, "operation 0"},
		"no op":           {`[{"path":"/a"}]`, fault.Invalid, "op and path"},
		"unknown op":      {`[{"op":"remove","path":"/a"},{"op":"spam","path":"/a"}]`, fault.Invalid, "operation 1"},
		"repeated op":     {`[{"op":"remove","path":"/a","op":"test"}]`, fault.Invalid, "twice"},
		"no value":        {`[{"op":"add","path":"/a"}]`, fault.Invalid, "needs a value"},
		"no from":         {`[{"op":"move","path":"/a"}]`, fault.Invalid, "needs from"},
		"no slash":        {`[{"op":"remove","path":"a"}]`, fault.Invalid, "slash"},
		"odd tilde":       {`[{"op":"remove","path":"/a~2"}]`, fault.Invalid, "~"},
		"into itself":     {`[{"op":"move","from":"/a","path":"/a/0"}]`, fault.Invalid, "into itself"},
		"missing":         {`[{"op":"remove","path":"/zz"}]`, fault.Unprocessable, "nothing at this path"},
		"missing replace": {`[{"op":"replace","path":"/zz","value":1}]`, fault.Unprocessable, "nothing"},
		"missing parent":  {`[{"op":"add","path":"/zz/y","value":1}]`, fault.Unprocessable, "no object or array"},
		"in a string":     {`[{"op":"add","path":"/g/y","value":1}]`, fault.Unprocessable, "no object or array"},
		"past the end":    {`[{"op":"add","path":"/a/3","value":1}]`, fault.Unprocessable, "position"},
		"leading zero":    {`[{"op":"replace","path":"/a/00","value":1}]`, fault.Unprocessable, "nothing"},
		"negative":        {`[{"op":"replace","path":"/a/-1","value":1}]`, fault.Unprocessable, "nothing"},
		"dash to remove":  {`[{"op":"remove","path":"/a/-"}]`, fault.Unprocessable, "nothing"},
		"failed test":     {`[{"op":"remove","path":"/a"},{"op":"test","path":"/g","value":"x"}]`, fault.Unprocessable, "operation 1"},
		"test precision":  {`[{"op":"test","path":"/a/0","value":1.51}]`, fault.Unprocessable, "something else"},
		"test missing":    {`[{"op":"test","path":"/zz","value":null}]`, fault.Unprocessable, "nothing"},
		"copy missing":    {`[{"op":"copy","from":"/zz","path":"/y"}]`, fault.Unprocessable, "copy"},
		"null left":       {`[{"op":"replace","path":"/g","value":null}]`, fault.Unprocessable, "null"},
		"not a resource":  {`[{"op":"remove","path":"/resourceType"}]`, fault.Unprocessable, "resourceType"},
		"whole removed":   {`[{"op":"remove","path":""}]`, fault.Unprocessable, "whole"},
		"whole a string":  {`[{"op":"replace","path":"","value":"x"}]`, fault.Unprocessable, "object"},
		"too many":        {`[` + strings.Repeat(`{"op":"test","path":"/g","value":"h"},`, 1000) + `{"op":"test","path":"/g","value":"h"}]`, fault.Invalid, "at most"},
		"doubling":        {`[{"op":"add","path":"/n","value":["` + strings.Repeat("x", 1000) + `"]}` + strings.Repeat(`,{"op":"copy","from":"/n","path":"/n/-"}`, 40) + `]`, fault.Unprocessable, "larger"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := patch.JSON(parse(t, before), []byte(c.patch))
			if err == nil {
				t.Fatalf("accepted: %s", got)
			}
			if !fault.Is(err, c.kind) || !strings.Contains(fault.MessageOf(err), c.says) {
				t.Errorf("said %q (%v), want %q (%v)", fault.MessageOf(err), fault.KindOf(err), c.says, c.kind)
			}
		})
	}
}

// FuzzJSONPatch: whatever is asked for, the answer is a resource or a fault about the request, and the document given stays.
func FuzzJSONPatch(f *testing.F) {
	f.Add([]byte(`[{"op":"add","path":"/a/-","value":9},{"op":"move","from":"/a/0","path":"/b/new"},{"op":"copy","from":"/b","path":"/a/0"}]`))
	f.Add([]byte(`[{"op":"remove","path":"/b/c~1d"},{"op":"test","path":"/b/e~0f","value":2.0},{"op":"replace","path":"/a/1/x","value":{}}]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := parse(t, before)
		got, err := patch.JSON(r, b)
		switch fault.KindOf(err) {
		case fault.Invalid, fault.Unprocessable, fault.TooLarge:
		default:
			if err != nil {
				t.Fatal(err)
			}
			parse(t, got.String())
		}
		if r.String() != before {
			t.Fatal("the document given was changed")
		}
	})
}
