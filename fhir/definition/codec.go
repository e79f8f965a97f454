package definition

import (
	"encoding/binary"
	"hash/crc32"
	"maps"
	"slices"

	"github.com/klauspost/compress/zstd"

	"github.com/openspine/openspine/fault"
)

// The facts file is one zstd frame. Inside: the magic, a CRC of the rest, a table of strings (lengths, then bytes),
// the table of constraint lists, then sections of records. A number is a uvarint, a string its place in the table.
// Records of types, value sets and code systems stand behind their key and length, so that they are decoded on use.
const magic = "OSDEF01\n"

// facts is everything that a facts file holds, decoded.
type facts struct {
	version      string
	types        []*Type
	params       []SearchParameter
	compartments []*Compartment
	codeSystems  []*CodeSystem
	valueSets    []*ValueSet
}

// encoder writes records, interning strings and constraint lists.
type encoder struct {
	buf     []byte
	strings map[string]uint64
	table   []string
	rules   map[string]uint64
	lists   [][]Constraint
}

func (e *encoder) num(n int) { e.buf = binary.AppendUvarint(e.buf, uint64(n)) }

func (e *encoder) str(s string) {
	id, had := e.strings[s]
	if !had {
		id = uint64(len(e.table))
		e.strings[s] = id
		e.table = append(e.table, s)
	}
	e.buf = binary.AppendUvarint(e.buf, id)
}

func (e *encoder) strs(list []string) {
	e.num(len(list))
	for _, s := range list {
		e.str(s)
	}
}

func (e *encoder) flags(list ...bool) {
	bits := 0
	for i, b := range list {
		if b {
			bits |= 1 << i
		}
	}
	e.num(bits)
}

// record writes what fn writes behind its length.
func (e *encoder) record(fn func()) {
	outer := e.buf
	e.buf = nil
	fn()
	inner := e.buf
	e.buf = binary.AppendUvarint(outer, uint64(len(inner)))
	e.buf = append(e.buf, inner...)
}

func (e *encoder) constraints(list []Constraint) {
	key := ""
	for _, c := range list {
		key += c.Key + "\x00" + c.Severity + "\x00" + c.Expression + "\x01"
	}
	id, had := e.rules[key]
	if !had {
		id = uint64(len(e.lists))
		e.rules[key] = id
		e.lists = append(e.lists, list)
	}
	e.buf = binary.AppendUvarint(e.buf, id)
}

func (e *encoder) typ(t *Type) {
	e.str(t.Name)
	e.str(t.Base)
	e.num(int(t.Kind))
	e.flags(t.Abstract)
	e.record(func() {
		e.str(t.URL)
		e.str(t.Regex)
		e.constraints(t.Constraints)
		e.num(len(t.Elements))
		for i := range t.Elements {
			e.element(&t.Elements[i])
		}
	})
}

func (e *encoder) element(el *Element) {
	e.str(el.Name)
	e.str(el.Path)
	e.flags(el.Choice, el.Summary, el.Modifier, el.Attribute, el.inPlace != "", el.Binding != nil)
	e.num(el.Min)
	e.num(el.Max + 1)
	e.str(el.ContentRef)
	e.str(el.Fixed)
	e.constraints(el.Constraints)
	if b := el.Binding; b != nil {
		e.str(b.Strength)
		e.str(b.ValueSet)
		e.str(b.Max)
	}
	e.num(len(el.Types))
	for _, t := range el.Types {
		e.str(t.Code)
		e.strs(t.Profiles)
		e.strs(t.Targets)
	}
}

func (e *encoder) valueSet(v *ValueSet) {
	e.str(v.URL)
	e.record(func() {
		e.str(v.Version)
		e.str(v.Name)
		for _, clauses := range [][]Include{v.Include, v.Exclude} {
			e.num(len(clauses))
			for _, c := range clauses {
				e.str(c.System)
				e.strs(c.Codes)
				e.strs(c.ValueSets)
				e.num(len(c.Filters))
				for _, f := range c.Filters {
					e.strs([]string{f.Property, f.Op, f.Value})
				}
			}
		}
	})
}

func (e *encoder) codeSystem(c *CodeSystem) {
	e.str(c.URL)
	e.record(func() {
		e.str(c.Version)
		e.str(c.Name)
		e.str(c.Content)
		e.flags(c.CaseInsensitive)
		e.num(len(c.Concepts))
		for _, k := range c.Concepts {
			e.str(k.Code)
			e.str(k.Display)
			e.num(k.Depth)
		}
	})
}

func (e *encoder) param(p *SearchParameter) {
	for _, s := range []string{p.Code, p.URL, p.Type, p.Expression} {
		e.str(s)
	}
	for _, list := range [][]string{p.Base, p.Targets, p.Modifiers, p.Comparators, p.Chains} {
		e.strs(list)
	}
	e.flags(p.SingleOr, p.SingleAnd)
	e.num(len(p.Components))
	for _, c := range p.Components {
		e.str(c.Definition)
		e.str(c.Expression)
	}
}

func (e *encoder) compartment(c *Compartment) {
	e.str(c.Code)
	e.str(c.URL)
	e.num(len(c.Params))
	for _, t := range slices.Sorted(maps.Keys(c.Params)) {
		e.str(t)
		e.strs(c.Params[t])
	}
}

// encode writes a facts file.
func (f *facts) encode() ([]byte, error) {
	e := &encoder{strings: map[string]uint64{}, rules: map[string]uint64{}}
	e.str("")
	e.buf = nil
	e.str(f.version)
	section(e, f.types, e.typ)
	e.num(len(f.params))
	e.record(func() {
		for i := range f.params {
			e.param(&f.params[i])
		}
	})
	section(e, f.compartments, e.compartment)
	section(e, f.valueSets, e.valueSet)
	section(e, f.codeSystems, e.codeSystem)
	body := e.buf
	e.buf = nil
	e.num(len(e.lists))
	for _, list := range e.lists {
		e.num(len(list))
		for _, c := range list {
			e.strs([]string{c.Key, c.Severity, c.Expression})
			e.flags(c.BestPractice)
		}
	}
	body = append(e.buf, body...)
	e.buf = nil
	e.num(len(e.table))
	for _, s := range e.table {
		e.num(len(s))
	}
	for _, s := range e.table {
		e.buf = append(e.buf, s...)
	}
	body = append(e.buf, body...)
	out := append([]byte(magic), binary.LittleEndian.AppendUint32(nil, crc32.ChecksumIEEE(body))...)
	w, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithWindowSize(8<<20))
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "starting compression")
	}
	packed := w.EncodeAll(append(out, body...), nil)
	return packed, fault.Wrap(w.Close(), fault.Internal, "ending compression")
}

func section[T any](e *encoder, list []T, one func(T)) {
	e.num(len(list))
	for _, v := range list {
		one(v)
	}
}
