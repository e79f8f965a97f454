package definition

import (
	"reflect"
	"runtime"
	"testing"
)

func TestMemory(t *testing.T) {
	var before, idle, used runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	s, err := open(r4File)
	if err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	runtime.ReadMemStats(&idle)
	for _, name := range s.TypeNames() {
		s.Type(name).Element("id")
	}
	s.SearchParameters("Patient")
	runtime.GC()
	runtime.ReadMemStats(&used)
	loaded, all := int64(idle.HeapAlloc)-int64(before.HeapAlloc), int64(used.HeapAlloc)-int64(before.HeapAlloc)
	t.Logf("heap: %d KB when loaded, %d KB with every type and parameter in use", loaded/1024, all/1024)
	if all > 15<<20 {
		t.Errorf("the definitions hold %d MB of heap, more than 15", all>>20)
	}
	runtime.KeepAlive(s)
}

func TestDamagedFileIsRefused(t *testing.T) {
	for _, at := range []int{0, 4, 100, len(r4File) / 2, len(r4File) - 1} {
		b := append([]byte(nil), r4File...)
		b[at] ^= 0x40
		if s, err := open(b); err == nil && s.version == "4.0.1" && len(s.types) == 0 {
			t.Errorf("a file with byte %d changed was read", at)
		}
	}
	if _, err := open(r4File[:len(r4File)/2]); err == nil {
		t.Error("half a file was read")
	}
	if _, err := open(nil); err == nil {
		t.Error("an empty file was read")
	}
}

func BenchmarkOpen(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := open(r4File); err != nil {
			b.Fatal(err)
		}
	}
}

// A file either is the facts that were written or is refused; it never brings the program down.
func FuzzOpen(f *testing.F) {
	small := facts{version: "4.0.1", types: []*Type{{Name: "Element", Kind: Complex}, {Name: "Basic", Base: "Element", Kind: Resource,
		Elements: []Element{{Name: "id", Path: "Basic.id", Max: 1, Types: []TypeRef{{Code: "Element"}}}}}}}
	b, err := small.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := open(b)
		if err != nil {
			return
		}
		if s.Version() != "4.0.1" || !s.IsResource("Basic") || s.Type("Basic").Elements[0].Path != "Basic.id" {
			t.Fatal("a file was read that nobody wrote")
		}
	})
}

// What is written can be read back whole.
func TestWrittenFactsAreRead(t *testing.T) {
	f := facts{version: "x",
		types: []*Type{{Name: "A", Base: "B", Kind: Primitive, URL: "u", Regex: "r", Abstract: true,
			Constraints: []Constraint{{Key: "k", Severity: "error", Expression: "true", BestPractice: true}},
			Elements: []Element{{Name: "v", Path: "A.v[x]", Choice: true, Min: 2, Max: Unbounded, ContentRef: "A", Fixed: "f", Summary: true, Modifier: true, Attribute: true,
				Binding: &Binding{"required", "vs", "max"}, Types: []TypeRef{{"T", []string{"p"}, []string{"t", "u"}}}, inPlace: "A.v[x]"}}}},
		params:       []SearchParameter{{Code: "c", URL: "u", Type: "token", Expression: "e", Base: []string{"A"}, Chains: []string{"x"}, SingleAnd: true, Components: []Component{{"d", "e"}}}},
		compartments: []*Compartment{{Code: "P", URL: "u", Params: map[string][]string{"A": {"x", "y"}}}},
		valueSets:    []*ValueSet{{URL: "vs", Version: "1", Name: "n", Include: []Include{{System: "cs", Codes: []string{"a"}, Filters: []Filter{{"p", "=", "v"}}}}, Exclude: []Include{{ValueSets: []string{"o"}}}}},
		codeSystems:  []*CodeSystem{{URL: "cs", Version: "2", Name: "m", Content: "complete", CaseInsensitive: true, Concepts: []Concept{{"a", "A", 0}, {"b", "B", 1}}}},
	}
	b, err := f.encode()
	if err != nil {
		t.Fatal(err)
	}
	s, err := open(b)
	if err != nil {
		t.Fatal(err)
	}
	got := s.Type("A")
	got.names = nil
	v := s.ValueSet("vs")
	if !reflect.DeepEqual(got, f.types[0]) {
		t.Errorf("the type came back as %+v", got)
	}
	if !reflect.DeepEqual(s.allParams(), f.params) || !reflect.DeepEqual(s.compartments["P"], f.compartments[0]) {
		t.Errorf("parameters came back as %+v, compartment as %+v", s.allParams(), s.compartments["P"])
	}
	if !reflect.DeepEqual(v.Include, f.valueSets[0].Include) || !reflect.DeepEqual(v.Exclude, f.valueSets[0].Exclude) || v.Version != "1" || v.Name != "n" {
		t.Errorf("the value set came back as %+v", v)
	}
	if c := s.CodeSystem("cs|2"); !reflect.DeepEqual(c.Concepts, f.codeSystems[0].Concepts) || !c.Complete() || !c.CaseInsensitive || !c.Has("B") || c.Name != "m" {
		t.Errorf("the code system came back as %+v", c)
	}
}
