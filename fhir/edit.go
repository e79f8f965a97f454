package fhir

import (
	"cmp"
	"slices"

	"github.com/openspine/openspine/fault"
)

// splice puts with in the place of raw[start:end].
type splice struct {
	start, end uint32
	with       []byte
}

// applySplices appends raw to dst with every splice done. They must not overlap; those at one place keep their order.
func applySplices(dst, raw []byte, cuts []splice) []byte {
	slices.SortStableFunc(cuts, func(a, b splice) int { return cmp.Compare(a.start, b.start) })
	var at uint32
	for _, c := range cuts {
		dst = append(dst, raw[at:c.start]...)
		dst = append(dst, c.with...)
		at = c.end
	}
	return append(dst, raw[at:]...)
}

// Editor collects changes to one document, all given in terms of the document as it was, and makes a new one in which
// every other byte is kept. The first mistake is remembered and returned by Done.
type Editor struct {
	d    *document
	cuts []splice
	gone []uint32 // entries removed, so that commas can be settled per container
	adds map[uint32][]addition
	err  error
}

// addition is a new member or element of a container, standing before the child entry, or last if before is 0.
type addition struct {
	before uint32
	text   []byte
}

// Edit starts changing the resource; the resource itself stays as it is.
func (r *Resource) Edit() *Editor { return r.Root().Edit() }

// Edit starts changing the document that n stands in; that document itself stays as it is.
func (n Node) Edit() *Editor {
	e := &Editor{d: n.d, adds: map[uint32][]addition{}}
	if n.d == nil {
		e.err = fault.New(fault.Invalid, "there is no document to change")
	}
	return e
}

func (e *Editor) holds(n Node) bool {
	if e.err == nil && (n.d == nil || n.d != e.d) {
		e.err = fault.New(fault.Invalid, "the element to change is not in this document")
	}
	return e.err == nil
}

func (e *Editor) given(v Value) bool {
	if e.err == nil && v.Empty() {
		e.err = fault.New(fault.Invalid, "there is no value to put there")
	}
	return e.err == nil
}

// Replace puts v in the place of n.
func (e *Editor) Replace(n Node, v Value) *Editor {
	if e.holds(n) && e.given(v) {
		e.cuts = append(e.cuts, splice{n.entry().start, n.entry().end, v.json})
	}
	return e
}

// Set gives the object obj the member name with the value v: in the place of the old one, or last. An empty v removes the
// member, if there is one.
func (e *Editor) Set(obj Node, name string, v Value) *Editor {
	if !e.holds(obj) {
		return e
	}
	if obj.Kind() != Object {
		e.err = fault.New(fault.Invalid, "a member can be set only in an object, and this is %s", article(obj.Kind()))
		return e
	}
	old := obj.Field(name)
	switch {
	case v.Empty() && old.Exists():
		return e.Remove(old)
	case v.Empty():
		return e
	case old.Exists():
		return e.Replace(old, v)
	}
	member := append(append(appendString(nil, name), ':'), v.json...)
	e.adds[obj.i] = append(e.adds[obj.i], addition{text: member})
	return e
}

// Insert puts v into the array arr at position i, counted in the array as it was; i may be arr.Len(), which is the end.
func (e *Editor) Insert(arr Node, i int, v Value) *Editor {
	if !e.holds(arr) || !e.given(v) {
		return e
	}
	if arr.Kind() != Array || i < 0 || i > arr.Len() {
		e.err = fault.New(fault.Invalid, "there is no position %d to insert at in %s of %d", i, article(arr.Kind()), arr.Len())
		return e
	}
	a := addition{text: v.json}
	if i < arr.Len() {
		a.before = arr.Index(i).i
	}
	e.adds[arr.i] = append(e.adds[arr.i], a)
	return e
}

// Remove takes n out of its object or array. The container stays, even if it is then empty, which Done refuses.
func (e *Editor) Remove(n Node) *Editor {
	if e.holds(n) {
		if n.i == 0 {
			e.err = fault.New(fault.Invalid, "the whole document cannot be removed")
			return e
		}
		e.gone = append(e.gone, n.i)
	}
	return e
}

// Bytes is the changed text, not yet parsed. Two changes to one place, or to a value and what it stands in, are fault.Invalid.
func (e *Editor) Bytes() ([]byte, error) {
	if e.err != nil {
		return nil, e.err
	}
	cuts := slices.Clone(e.cuts)
	touched := map[uint32]bool{}
	gone := map[uint32]bool{}
	for _, i := range e.gone {
		if gone[i] {
			return nil, fault.New(fault.Invalid, "an element was removed twice")
		}
		gone[i] = true
		touched[Node{e.d, i}.Parent().i] = true
	}
	for i := range e.adds {
		touched[i] = true
	}
	for i := range touched {
		cuts = e.settle(cuts, i, gone)
	}
	slices.SortStableFunc(cuts, func(a, b splice) int { return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.end, b.end)) })
	for i := 1; i < len(cuts); i++ {
		if cuts[i].start < cuts[i-1].end {
			return nil, fault.New(fault.Invalid, "two changes were made to one place")
		}
	}
	size := len(e.d.raw)
	for _, c := range cuts {
		size += len(c.with)
	}
	return applySplices(make([]byte, 0, size), e.d.raw, cuts), nil
}

// settle turns the removals from and additions to one container into splices with the commas right: what is left keeps
// the white space around it.
func (e *Editor) settle(cuts []splice, container uint32, gone map[uint32]bool) []splice {
	c := &e.d.entries[container]
	adds := e.adds[container]
	// A comma goes before everything but the first that stays: written tells whether one has come.
	written := false
	cursor := c.start + 1 // after the last thing that was kept or cut
	put := func(at uint32, b []byte) {
		if written {
			b = append([]byte{','}, b...)
		}
		cuts = append(cuts, splice{at, at, b})
		written = true
	}
	i := container + 1
	for left := c.count; left > 0; left-- {
		child := &e.d.entries[i]
		start := child.start
		if child.flags&flagMember != 0 {
			start = child.key - 1
		}
		for _, a := range adds {
			if a.before == i {
				put(cursor, a.text)
			}
		}
		if gone[i] {
			cuts = append(cuts, splice{cursor, child.end, nil})
		} else {
			// Between cursor and start stand white space and, unless this is the first child, a comma.
			cuts = e.comma(cuts, cursor, start, written)
			written = true
		}
		cursor = child.end
		i = child.next
	}
	for _, a := range adds {
		if a.before == 0 {
			put(cursor, a.text)
		}
	}
	return cuts
}

// comma makes sure that a comma stands between from and to if one is wanted, and none if not.
func (e *Editor) comma(cuts []splice, from, to uint32, wanted bool) []splice {
	for i := from; i < to; i++ {
		if e.d.raw[i] == ',' {
			if !wanted {
				cuts = append(cuts, splice{i, i + 1, nil})
			}
			return cuts
		}
	}
	if wanted {
		cuts = append(cuts, splice{from, from, []byte{','}})
	}
	return cuts
}

// Done is the changed resource, parsed by the same rules as any other.
func (e *Editor) Done() (*Resource, error) {
	b, err := e.Bytes()
	if err != nil {
		return nil, err
	}
	return Parse(b)
}

func article(k Kind) string {
	switch k {
	case Absent:
		return "nothing"
	case Null:
		return "null"
	case Array, Object:
		return "an " + k.String()
	}
	return "a " + k.String()
}
