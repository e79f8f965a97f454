package fhir_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/openspine/openspine/fhir"
)

func TestWithMeta(t *testing.T) {
	at := time.Date(2026, 3, 1, 9, 30, 0, 123456000, time.FixedZone("", 3600))
	for _, c := range []struct{ doc, want string }{
		{`{"resourceType":"Patient"}`, `{"resourceType":"Patient","id":"n","meta":{"versionId":"2","lastUpdated":"2026-03-01T08:30:00.123456Z"}}`},
		{`{ "active": true, "resourceType": "Patient" , "id" : "o" }`, `{ "active": true, "resourceType": "Patient" , "id" : "n","meta":{"versionId":"2","lastUpdated":"2026-03-01T08:30:00.123456Z"} }`},
		{`{"meta":{"tag":[{"code":"x"}]},"id":"n","resourceType":"Patient"}`, `{"meta":{"versionId":"2","lastUpdated":"2026-03-01T08:30:00.123456Z","tag":[{"code":"x"}]},"id":"n","resourceType":"Patient"}`},
		{`{"resourceType":"Patient","meta":{"lastUpdated":"x","versionId":"1"},"id":7}`, `{"resourceType":"Patient","meta":{"lastUpdated":"2026-03-01T08:30:00.123456Z","versionId":"2"},"id":"n"}`},
		{`{"resourceType":"Patient","meta":"odd"}`, `{"resourceType":"Patient","id":"n","meta":{"versionId":"2","lastUpdated":"2026-03-01T08:30:00.123456Z"}}`},
	} {
		r := mustParse(t, c.doc).WithMeta("n", "2", at)
		if r.String() != c.want || r.ID() != "n" {
			t.Errorf("from %s\ncame %s\nwant %s", c.doc, r, c.want)
		}
	}
	if r := mustParse(t, patient); r.WithID("p1").String() != patient || r.WithMeta("", "", time.Time{}).String() != patient {
		t.Error("setting what is there already changed the bytes")
	}
}

func TestEdit(t *testing.T) {
	const doc = `{"resourceType":"P", "a": [1, 2 ,3], "b": {"x":1}, "c": true }`
	for name, c := range map[string]struct {
		change func(e *fhir.Editor, r *fhir.Resource)
		want   string
	}{
		"replace":      {func(e *fhir.Editor, r *fhir.Resource) { e.Replace(r.Get("a.1"), fhir.Of("two")) }, `{"resourceType":"P", "a": [1, "two" ,3], "b": {"x":1}, "c": true }`},
		"set new":      {func(e *fhir.Editor, r *fhir.Resource) { e.Set(r.Root(), "d", fhir.Of(1)) }, `{"resourceType":"P", "a": [1, 2 ,3], "b": {"x":1}, "c": true,"d":1 }`},
		"set old":      {func(e *fhir.Editor, r *fhir.Resource) { e.Set(r.Root(), "c", fhir.Of(false)) }, `{"resourceType":"P", "a": [1, 2 ,3], "b": {"x":1}, "c": false }`},
		"unset":        {func(e *fhir.Editor, r *fhir.Resource) { e.Set(r.Root(), "b", fhir.Value{}) }, `{"resourceType":"P", "a": [1, 2 ,3], "c": true }`},
		"remove first": {func(e *fhir.Editor, r *fhir.Resource) { e.Remove(r.Get("a.0")) }, `{"resourceType":"P", "a": [ 2 ,3], "b": {"x":1}, "c": true }`},
		"remove last":  {func(e *fhir.Editor, r *fhir.Resource) { e.Remove(r.Get("a.2")).Remove(r.Get("c")) }, `{"resourceType":"P", "a": [1, 2], "b": {"x":1} }`},
		"insert": {func(e *fhir.Editor, r *fhir.Resource) {
			e.Insert(r.Get("a"), 0, fhir.Of(0)).Insert(r.Get("a"), 3, fhir.Of(4))
		}, `{"resourceType":"P", "a": [0,1, 2 ,3,4], "b": {"x":1}, "c": true }`},
		"swap whole": {func(e *fhir.Editor, r *fhir.Resource) {
			e.Remove(r.Get("a.0")).Remove(r.Get("a.1")).Remove(r.Get("a.2")).Insert(r.Get("a"), 1, fhir.Of(9))
		}, `{"resourceType":"P", "a": [9], "b": {"x":1}, "c": true }`},
		"two added": {func(e *fhir.Editor, r *fhir.Resource) {
			e.Insert(r.Get("a"), 1, fhir.Of(7)).Insert(r.Get("a"), 1, fhir.Of(8))
		}, `{"resourceType":"P", "a": [1,7,8, 2 ,3], "b": {"x":1}, "c": true }`},
		"type removed": {func(e *fhir.Editor, r *fhir.Resource) {
			e.Remove(r.Get("a")).Set(r.Root(), "z", fhir.Of(1)).Replace(r.Get("b.x"), fhir.Of(2))
		}, `{"resourceType":"P", "b": {"x":2}, "c": true,"z":1 }`},
	} {
		t.Run(name, func(t *testing.T) {
			r := mustParse(t, doc)
			e := r.Edit()
			c.change(e, r)
			got, err := e.Done()
			if err != nil {
				t.Fatal(err)
			}
			if got.String() != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if r.String() != doc {
				t.Error("the old document changed")
			}
		})
	}
	r := mustParse(t, doc)
	for name, e := range map[string]*fhir.Editor{
		"twice":          r.Edit().Replace(r.Get("c"), fhir.Of(1)).Remove(r.Get("c")),
		"inside":         r.Edit().Replace(r.Get("b.x"), fhir.Of(1)).Replace(r.Get("b"), fhir.Of(1)),
		"removed twice":  r.Edit().Remove(r.Get("c")).Remove(r.Get("c")),
		"root":           r.Edit().Remove(r.Root()),
		"absent":         r.Edit().Remove(r.Get("nothing")),
		"other document": r.Edit().Remove(mustParse(t, doc).Get("a")),
		"no array":       r.Edit().Insert(r.Get("b"), 0, fhir.Of(1)),
		"past the end":   r.Edit().Insert(r.Get("a"), 4, fhir.Of(1)),
		"left empty":     r.Edit().Remove(r.Get("b.x")),
		"no value":       r.Edit().Replace(r.Get("c"), fhir.Value{}),
	} {
		if got, err := e.Done(); err == nil {
			t.Errorf("%s: accepted as %s", name, got)
		}
	}
}

func TestBuild(t *testing.T) {
	v := fhir.Obj("resourceType", "Patient", "id", "", "active", false, "name", fhir.Arr(fhir.Obj("family", "S\"m\x7fé\u2028\nth", "given", []string{"A", ""})),
		"contact", fhir.Arr(), "n", 0, "meta", fhir.Obj("tag", nil), "when", time.Unix(0, 0), "link", []fhir.Value{fhir.Obj("x", 1), {}})
	want := "{\"resourceType\":\"Patient\",\"active\":false,\"name\":[{\"family\":\"S\\\"m\x7fé\u2028\\nth\",\"given\":[\"A\"]}],\"n\":0,\"when\":\"1970-01-01T00:00:00.000Z\",\"link\":[{\"x\":1}]}"
	if string(v.JSON()) != want {
		t.Errorf("built %s\nwant  %s", v.JSON(), want)
	}
	if r, err := v.Resource(); err != nil || r.Get("name.0.given.0").String() != "A" {
		t.Errorf("parsed: %v", err)
	}
	if _, err := fhir.Obj().Resource(); err == nil {
		t.Error("nothing became a resource")
	}
}

func TestEqual(t *testing.T) {
	a := mustParse(t, `{"resourceType":"P","a":[{"x":1.0,"y":"\u0041"}],"meta":{"versionId":"1"}}`)
	for doc, want := range map[string]bool{
		`{"a": [{"y":"A","x":1.0}],"resourceType":"P","meta":{"versionId":"2"}}`:      true,
		`{"a": [{"y":"A","x":1.0}],"resourceType":"P"}`:                               false,
		`{"a":[{"y":"A","x":1.00}],"resourceType":"P","meta":{"versionId":"1"}}`:      false,
		`{"a":[{"y":"A","x":1.0}],"resourceType":"P","meta":{"versionId":"1"},"b":1}`: false,
		`{"a":[{"y":"A","x":1.0},1],"resourceType":"P","meta":{"versionId":"1"}}`:     false,
	} {
		if got := fhir.Equal(a, mustParse(t, doc), "meta.versionId"); got != want {
			t.Errorf("%s: %v", doc, got)
		}
	}
	if p, _ := fhir.Difference(a.Root(), mustParse(t, `{"resourceType":"P","a":[{"x":1.0,"y":"B"}]}`).Root(), "meta"); p != "a[0].y" {
		t.Errorf("they differ at %q", p)
	}
}

// FuzzEdit makes changes chosen by the input to a document and to encoding/json's reading of it, and compares.
func FuzzEdit(f *testing.F) {
	f.Add([]byte(`{"a":[1,2,{"b":null}],"c":"d"}`), []byte{0, 1, 2, 3, 4, 5, 6, 7, 8})
	f.Add([]byte(` { "a" : [ 1 , 2 ] , "e" : { } } `), []byte{9, 2, 0, 0, 1, 1})
	f.Fuzz(func(t *testing.T, doc, choices []byte) {
		root, err := fhir.ParseJSON(doc, fhir.Limits{})
		if err != nil || root.Kind() != fhir.Object || len(choices) > 64 {
			return
		}
		e := root.Edit()
		got := change(e, root, &choices)
		b, err := e.Bytes()
		if err != nil {
			t.Fatalf("%v\n%s", err, doc)
		}
		n, err := fhir.ParseJSON(b, fhir.Limits{Depth: 100})
		if err != nil {
			t.Fatalf("%v\n%s\nbecame %s", err, doc, b)
		}
		if want := string(got.JSON()); compact(t, n) != compact(t, mustJSON(t, want)) {
			t.Fatalf("%s\nbecame %s\nwant %s", doc, b, want)
		}
	})
}

// change decides about each member and element of n, tells the editor, and gives what should come out.
func change(e *fhir.Editor, n fhir.Node, choices *[]byte) fhir.Value {
	next := func() byte {
		if len(*choices) == 0 {
			return 0
		}
		c := (*choices)[0]
		*choices = (*choices)[1:]
		return c % 8
	}
	one := fhir.Of(1)
	switch n.Kind() {
	case fhir.Object:
		b := []byte{'{'}
		for name, child := range n.Fields() {
			v := decide(e, child, next(), choices)
			if !v.Empty() {
				b = append(append(append(fhir.AppendString(b, name), ':'), v.JSON()...), ',')
			}
		}
		if next() == 5 && !n.Field("\U0001F600").Exists() {
			e.Set(n, "\U0001F600", one)
			b = append(append(fhir.AppendString(b, "\U0001F600"), ':', '1'), ',')
		}
		return fhir.RawValue(closed(b, '}'))
	case fhir.Array:
		b := []byte{'['}
		i := 0
		for child := range n.Items() {
			if next() == 5 {
				e.Insert(n, i, one)
				b = append(b, '1', ',')
			}
			if v := decide(e, child, next(), choices); !v.Empty() {
				b = append(append(b, v.JSON()...), ',')
			}
			i++
		}
		if next() == 5 {
			e.Insert(n, i, one)
			b = append(b, '1', ',')
		}
		return fhir.RawValue(closed(b, ']'))
	}
	return fhir.RawValue(n.Raw())
}

func decide(e *fhir.Editor, n fhir.Node, choice byte, choices *[]byte) fhir.Value {
	switch choice {
	case 1:
		e.Remove(n)
		return fhir.Value{}
	case 2:
		e.Replace(n, fhir.Of("new"))
		return fhir.Of("new")
	}
	return change(e, n, choices)
}

func closed(b []byte, with byte) []byte {
	if b[len(b)-1] == ',' {
		b = b[:len(b)-1]
	}
	return append(b, with)
}

func mustJSON(t *testing.T, s string) fhir.Node {
	n, err := fhir.ParseJSON([]byte(s), fhir.Limits{Depth: 100})
	if err != nil {
		t.Fatalf("%v\n%s", err, s)
	}
	return n
}

// compact writes a value without white space, its members in their order.
func compact(t *testing.T, n fhir.Node) string {
	var b bytes.Buffer
	if err := json.Compact(&b, n.Raw()); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Members makes what Obj makes.
func TestMembers(t *testing.T) {
	r, err := fhir.Parse([]byte(`{"resourceType":"Patient","na\u006de":[{"family":"Smith"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	var m fhir.Members
	if !m.Done().Empty() {
		t.Error("an object without members is not empty")
	}
	m.Room(100)
	m.Add("absent", r.Get("birthDate").Value())
	for name, n := range r.Root().Fields() {
		m.Add(name, n.Value())
	}
	m.Add("é\"", fhir.Of("x"))
	m.Add("nothing", fhir.Value{})
	want := fhir.Obj("absent", r.Get("birthDate"), "resourceType", r.Get("resourceType"), "name", r.Get("name"), "é\"", "x", "nothing", nil)
	if got := m.Done(); string(got.JSON()) != string(want.JSON()) {
		t.Errorf("%s, want %s", got.JSON(), want.JSON())
	}
}
