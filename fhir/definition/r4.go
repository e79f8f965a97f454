package definition

import (
	_ "embed"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/openspine/openspine/fault"
)

//go:generate go run ./generate

//go:embed r4.facts
var r4File []byte

var r4 = sync.OnceValue(func() *Set {
	s, err := open(r4File)
	if err != nil {
		panic("the embedded R4 definitions cannot be read: " + err.Error())
	}
	return s
})

// R4 is the definitions of FHIR R4 (4.0.1), loaded once per process and shared.
func R4() *Set { return r4() }

// sources are the files of HL7's R4 definitions, in either format, in the order that gives the facts file its order.
var sources = []string{"profiles-types", "profiles-resources", "search-parameters", "valuesets", "v3-codesystems", "v2-tables"}

// Compile draws the facts out of HL7's published R4 definition files, wherever they lie under src, and returns them
// as the compressed file that this package embeds. It is for `go generate`; see the generate folder.
func Compile(src fs.FS) ([]byte, error) {
	found := map[string]string{}
	err := fs.WalkDir(src, ".", func(name string, d fs.DirEntry, err error) error {
		base, ext, _ := strings.Cut(path.Base(name), ".")
		if err == nil && !d.IsDir() && slices.Contains(sources, base) && (ext == "xml" || ext == "json") {
			found[base] = name
		}
		return err
	})
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the source folder cannot be read")
	}
	f := &facts{version: "4.0.1"}
	for _, base := range sources {
		if found[base] == "" {
			return nil, fault.New(fault.Invalid, "the source holds no %s.xml or .json", base)
		}
		b, err := fs.ReadFile(src, found[base])
		if err != nil {
			return nil, fault.Wrap(err, fault.Invalid, "%s cannot be read", found[base])
		}
		bundle, err := readTree(b)
		if err != nil {
			return nil, err
		}
		for _, entry := range bundle.all("entry") {
			if err := f.add(entry.get("resource")); err != nil {
				return nil, err
			}
		}
	}
	f.tidy()
	return f.encode()
}

// add draws the facts out of one conformance resource; other kinds of resource are passed over.
func (f *facts) add(r *tree) error {
	if r == nil {
		return nil
	}
	switch r.resource {
	case "StructureDefinition":
		if r.val("kind") == "logical" {
			return nil
		}
		types, err := structureTypes(r)
		if err != nil {
			return err
		}
		f.types = append(f.types, types...)
	case "SearchParameter":
		f.params = append(f.params, searchParameter(r))
	case "CompartmentDefinition":
		f.compartments = append(f.compartments, compartment(r))
	case "ValueSet":
		f.valueSets = append(f.valueSets, valueSet(r))
	case "CodeSystem":
		f.codeSystems = append(f.codeSystems, codeSystem(r))
	}
	return nil
}

// tidy leaves out what base R4 does not use and what repeats: the last of two definitions of one URL is dropped, as
// valuesets.xml is the normative home and the v2 and v3 files copy from it.
func (f *facts) tidy() {
	f.valueSets = distinct(f.valueSets, func(v *ValueSet) string { return v.URL })
	f.codeSystems = distinct(f.codeSystems, func(c *CodeSystem) string { return c.URL })
	f.types = distinct(f.types, func(t *Type) string { return t.Name })
}

func distinct[T any](list []T, key func(T) string) []T {
	seen := map[string]bool{}
	return slices.DeleteFunc(list, func(v T) bool {
		k := key(v)
		dup := seen[k]
		seen[k] = true
		return dup
	})
}
