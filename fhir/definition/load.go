package definition

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/openspine/openspine/fault"
)

// Bounds on a package: one file, all files together, and how many.
const (
	maxFile    = 64 << 20
	maxPackage = 1 << 30
	maxFiles   = 100_000
)

// Load lays packages over base, in order, and returns the result; base stays as it is. A path is a folder with
// FHIR resources as .json or .xml files at any depth, or a FHIR package (.tgz, https://hl7.org/fhir/packages.html).
// Profiles, extensions, value sets, code systems, search parameters, compartments and new types are taken; other
// resources are passed over. A package may replace base's value sets and code systems and refine its search
// parameters, but not its types. A file that cannot be read as FHIR fails with fault.Invalid and its name.
func Load(base *Set, paths ...string) (*Set, error) {
	f := &additions{}
	for _, p := range paths {
		info, err := os.Stat(p)
		if err != nil {
			return nil, fault.Wrap(err, fault.Invalid, "the definitions package %s cannot be opened", p)
		}
		name := filepath.Base(p)
		if info.IsDir() {
			err = f.folder(os.DirFS(p))
		} else {
			err = f.archive(p)
		}
		if err != nil {
			return nil, err
		}
		f.names = append(f.names, strings.TrimSuffix(name, ".tgz"))
	}
	return f.over(base), nil
}

// LoadFS lays the resources under src over base, as Load does for a folder; name is what Packages will call it.
func LoadFS(base *Set, name string, src fs.FS) (*Set, error) {
	f := &additions{names: []string{name}}
	if err := f.folder(src); err != nil {
		return nil, err
	}
	return f.over(base), nil
}

// additions are the facts of packages, before they are laid over a base.
type additions struct {
	facts
	profiles []*Profile
	names    []string
	files    int
	bytes    int64
}

func (f *additions) folder(src fs.FS) error {
	return fs.WalkDir(src, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return fault.Wrap(err, fault.Invalid, "the definitions folder cannot be read")
		}
		if d.IsDir() || !isDefinitionFile(name) {
			return nil
		}
		in, err := src.Open(name)
		if err != nil {
			return fault.Wrap(err, fault.Invalid, "%s cannot be opened", name)
		}
		err = f.read(name, in)
		return errors.Join(err, in.Close())
	})
}

func (f *additions) archive(file string) error {
	in, err := os.Open(file)
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "the definitions package cannot be opened")
	}
	return errors.Join(f.tarball(in), in.Close())
}

func (f *additions) tarball(in io.Reader) error {
	z, err := gzip.NewReader(in)
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "a definitions package must be a folder or a .tgz file")
	}
	for t := tar.NewReader(z); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fault.Wrap(err, fault.Invalid, "the definitions package is damaged")
		}
		if h.Typeflag != tar.TypeReg || !isDefinitionFile(h.Name) {
			continue
		}
		if err := f.read(h.Name, t); err != nil {
			return err
		}
	}
}

// isDefinitionFile passes over what a package holds besides resources.
func isDefinitionFile(name string) bool {
	base := path.Base(name)
	if strings.HasPrefix(base, ".") || base == "package.json" || strings.Contains("/"+name, "/example/") {
		return false
	}
	return strings.HasSuffix(base, ".json") || strings.HasSuffix(base, ".xml")
}

func (f *additions) read(name string, in io.Reader) error {
	b, err := io.ReadAll(io.LimitReader(in, maxFile+1))
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "%s cannot be read", name)
	}
	f.files++
	f.bytes += int64(len(b))
	if len(b) > maxFile || f.bytes > maxPackage || f.files > maxFiles {
		return fault.New(fault.TooLarge, "the definitions package is too large at %s", name)
	}
	r, err := readTree(bytes.TrimSpace(b))
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "%s: %s", name, fault.MessageOf(err))
	}
	list := []*tree{r}
	if r.resource == "Bundle" {
		list = nil
		for _, e := range r.all("entry") {
			list = append(list, e.get("resource"))
		}
	}
	for _, r := range list {
		if err := f.take(r); err != nil {
			return fault.Wrap(err, fault.Invalid, "%s: %s", name, fault.MessageOf(err))
		}
	}
	return nil
}

// take sorts one resource into profiles and everything else.
func (f *additions) take(r *tree) error {
	if r != nil && r.resource == "StructureDefinition" && r.val("derivation") == "constraint" {
		f.profiles = append(f.profiles, profile(r))
		return nil
	}
	return f.add(r)
}

// over lays the additions over base.
func (f *additions) over(base *Set) *Set {
	s := newSet()
	s.version = base.version
	s.packages = append(slices.Clone(base.packages), f.names...)
	s.types = maps.Clone(base.types)
	s.profiles = maps.Clone(base.profiles)
	s.codeSystems = maps.Clone(base.codeSystems)
	s.compartments = maps.Clone(base.compartments)
	for url, l := range base.valueSets { // bound anew: what they include may come from the package
		s.valueSets[url] = &lazy[ValueSet]{decode: func() *ValueSet {
			v := *l.get()
			return v.bind(s)
		}}
	}
	for _, t := range f.types {
		if base.types[t.Name] == nil {
			t.indexNames()
			entry := &typeEntry{base: t.Base, kind: t.Kind, abstract: t.Abstract}
			entry.value.Store(t)
			s.types[t.Name] = entry
		}
	}
	for _, p := range f.profiles {
		s.profiles[p.URL] = p
	}
	for _, c := range f.codeSystems {
		s.codeSystems[c.URL] = ready(c.index())
	}
	for _, v := range f.valueSets {
		s.valueSets[v.URL] = ready(v.bind(s))
	}
	for _, c := range f.compartments {
		s.compartments[c.Code] = c
	}
	s.listResources()
	s.setParameters(func() []SearchParameter { return slices.Concat(base.allParams(), f.params) })
	return s
}
