package definition

import (
	"encoding/binary"
	"hash/crc32"
	"slices"

	"github.com/klauspost/compress/zstd"

	"github.com/openspine/openspine/fault"
)

// maxFacts bounds what a facts file may unpack to.
const maxFacts = 64 << 20

// strtab hands out the strings of a facts file: parts of one block of memory.
type strtab struct {
	block string
	ends  []uint32
}

func (t *strtab) at(i int) string {
	if i == 0 {
		return t.block[:t.ends[0]]
	}
	return t.block[t.ends[i-1]:t.ends[i]]
}

// decoder reads records. It trusts its input, which a checksum has covered.
type decoder struct {
	buf     []byte
	strings *strtab
	lists   [][]Constraint
}

func (d *decoder) num() int {
	v, n := binary.Uvarint(d.buf)
	d.buf = d.buf[n:]
	return int(v)
}

func (d *decoder) str() string { return d.strings.at(d.num()) }

func (d *decoder) strs() []string {
	n := d.num()
	if n == 0 {
		return nil
	}
	out := make([]string, n)
	for i := range out {
		out[i] = d.str()
	}
	return out
}

// record cuts off a length-prefixed part, to be decoded when wanted.
func (d *decoder) record() decoder {
	n := d.num()
	part := decoder{buf: d.buf[:n:n], strings: d.strings, lists: d.lists}
	d.buf = d.buf[n:]
	return part
}

// open reads a facts file into a Set.
func open(file []byte) (*Set, error) {
	r, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxFacts))
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "starting decompression")
	}
	defer r.Close()
	raw, err := r.DecodeAll(file, nil)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the definitions file is damaged")
	}
	head := len(magic) + crc32.Size
	if len(raw) < head || string(raw[:len(magic)]) != magic {
		return nil, fault.New(fault.Invalid, "this is not a definitions file of this version; run go generate ./fhir/definition")
	}
	if crc32.ChecksumIEEE(raw[head:]) != binary.LittleEndian.Uint32(raw[len(magic):]) {
		return nil, fault.New(fault.Invalid, "the definitions file is damaged: its checksum does not match")
	}
	return decodeSet(slices.Clip(raw[head:])), nil
}

func decodeSet(raw []byte) *Set {
	d := decoder{buf: raw}
	d.strings = d.stringTable()
	d.lists = make([][]Constraint, d.num())
	for i := range d.lists {
		for range d.num() {
			part := d.strs()
			d.lists[i] = append(d.lists[i], Constraint{Key: part[0], Severity: part[1], Expression: part[2], BestPractice: d.num() == 1})
		}
	}
	s := newSet()
	s.version = d.str()
	for range d.num() {
		d.typeEntry(s)
	}
	n, records := d.num(), d.record()
	s.setParameters(func() []SearchParameter { return records.params(n) })
	for range d.num() {
		c := d.compartment()
		s.compartments[c.Code] = c
	}
	for range d.num() {
		url, record := d.str(), d.record()
		s.valueSets[url] = &lazy[ValueSet]{decode: func() *ValueSet { return record.valueSet(url).bind(s) }}
	}
	for range d.num() {
		url, record := d.str(), d.record()
		s.codeSystems[url] = &lazy[CodeSystem]{decode: func() *CodeSystem { return record.codeSystem(url).index() }}
	}
	s.listResources()
	return s
}

func (d *decoder) stringTable() *strtab {
	t := &strtab{ends: make([]uint32, d.num())}
	end := uint32(0)
	for i := range t.ends {
		end += uint32(d.num())
		t.ends[i] = end
	}
	t.block = string(d.buf[:end])
	d.buf = slices.Clone(d.buf[end:]) // lets the rest go
	return t
}

func (d *decoder) typeEntry(s *Set) {
	name := d.str()
	entry := &typeEntry{base: d.str(), kind: Kind(d.num()), abstract: d.num() == 1}
	record := d.record()
	entry.decode = func() *Type {
		t := record.typ()
		t.Name, t.Base, t.Kind, t.Abstract = name, entry.base, entry.kind, entry.abstract
		return t
	}
	s.types[name] = entry
}

// typ reads a type's record. The decoder is a copy, so that a race between two callers is harmless.
func (d decoder) typ() *Type {
	t := &Type{URL: d.str(), Regex: d.str(), Constraints: d.lists[d.num()]}
	t.Elements = make([]Element, d.num())
	for i := range t.Elements {
		d.element(&t.Elements[i])
	}
	t.indexNames()
	return t
}

func (d *decoder) element(el *Element) {
	el.Name, el.Path = d.str(), d.str()
	bits := d.num()
	el.Choice, el.Summary, el.Modifier, el.Attribute = bits&1 != 0, bits&2 != 0, bits&4 != 0, bits&8 != 0
	if bits&16 != 0 {
		el.inPlace = el.Path
	}
	el.Min, el.Max = d.num(), d.num()-1
	el.ContentRef, el.Fixed = d.str(), d.str()
	el.Constraints = d.lists[d.num()]
	if bits&32 != 0 {
		el.Binding = &Binding{Strength: d.str(), ValueSet: d.str(), Max: d.str()}
	}
	el.Types = make([]TypeRef, d.num())
	for i := range el.Types {
		el.Types[i] = TypeRef{Code: d.str(), Profiles: d.strs(), Targets: d.strs()}
	}
}

func (d decoder) valueSet(url string) *ValueSet {
	v := &ValueSet{URL: url, Version: d.str(), Name: d.str()}
	v.Include = d.includes()
	v.Exclude = d.includes()
	return v
}

func (d *decoder) includes() []Include {
	out := make([]Include, d.num())
	for i := range out {
		out[i] = Include{System: d.str(), Codes: d.strs(), ValueSets: d.strs()}
		for range d.num() {
			f := d.strs()
			out[i].Filters = append(out[i].Filters, Filter{f[0], f[1], f[2]})
		}
	}
	return out
}

func (d decoder) codeSystem(url string) *CodeSystem {
	c := &CodeSystem{URL: url, Version: d.str(), Name: d.str(), Content: d.str(), CaseInsensitive: d.num() == 1}
	c.Concepts = make([]Concept, d.num())
	for i := range c.Concepts {
		c.Concepts[i] = Concept{Code: d.str(), Display: d.str(), Depth: d.num()}
	}
	return c
}

func (d decoder) params(n int) []SearchParameter {
	out := make([]SearchParameter, n)
	for i := range out {
		p := &out[i]
		p.Code, p.URL, p.Type, p.Expression = d.str(), d.str(), d.str(), d.str()
		p.Base, p.Targets, p.Modifiers, p.Comparators, p.Chains = d.strs(), d.strs(), d.strs(), d.strs(), d.strs()
		bits := d.num()
		p.SingleOr, p.SingleAnd = bits&1 != 0, bits&2 != 0
		for range d.num() {
			p.Components = append(p.Components, Component{Definition: d.str(), Expression: d.str()})
		}
	}
	return out
}

func (d *decoder) compartment() *Compartment {
	c := &Compartment{Code: d.str(), URL: d.str(), Params: map[string][]string{}}
	for range d.num() {
		t := d.str()
		c.Params[t] = d.strs()
	}
	return c
}
