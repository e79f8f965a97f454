package fhir

import (
	"iter"
	"strconv"
	"strings"
	"unsafe"
)

// Kind is what sort of JSON value a node is.
type Kind uint8

// The kinds of JSON value; Absent is a node that is not there.
const (
	Absent Kind = iota
	Null
	Bool
	Number
	String
	Array
	Object
)

// String is the kind's name in plain words.
func (k Kind) String() string {
	return [...]string{"absent", "null", "boolean", "number", "string", "array", "object"}[k]
}

// Node is one value in a document: a small value to be passed around freely. The zero Node is absent, and every
// question about an absent node has an empty answer, so paths may be followed without asking at each step.
type Node struct {
	d *document
	i uint32
}

// text is b as a string that shares b's memory. A document's bytes are never changed once it is parsed.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

func (n Node) entry() *entry { return &n.d.entries[n.i] }

// Exists reports whether there is such a value (a JSON null exists).
func (n Node) Exists() bool { return n.d != nil }

// Kind is what sort of JSON value this is.
func (n Node) Kind() Kind {
	if n.d == nil {
		return Absent
	}
	return n.entry().kind
}

// Field is the member of an object with this name; absent if n is no object or has none.
func (n Node) Field(name string) Node {
	if n.Kind() != Object {
		return Node{}
	}
	e := n.entry()
	i := n.i + 1
	for left := e.count; left > 0; left-- {
		c := &n.d.entries[i]
		if n.d.keyIs(c, name) {
			return Node{n.d, i}
		}
		i = c.next
	}
	return Node{}
}

// Index is the i-th element of an array, from 0; absent if n is no array or is shorter.
func (n Node) Index(i int) Node {
	if n.Kind() != Array || i < 0 || i >= n.Len() {
		return Node{}
	}
	at := n.i + 1
	for ; i > 0; i-- {
		at = n.d.entries[at].next
	}
	return Node{n.d, at}
}

// Len is how many elements an array or members an object has; 0 for everything else.
func (n Node) Len() int {
	if n.d == nil {
		return 0
	}
	return int(n.entry().count)
}

// Items goes through the elements of an array. Any other value is gone through as if it stood alone in an array, and
// an absent one has no items.
func (n Node) Items() iter.Seq[Node] {
	return func(yield func(Node) bool) {
		switch n.Kind() {
		case Absent:
		case Array:
			i := n.i + 1
			for left := n.entry().count; left > 0; left-- {
				if !yield(Node{n.d, i}) {
					return
				}
				i = n.d.entries[i].next
			}
		default:
			yield(n)
		}
	}
}

// Fields goes through the members of an object in document order.
func (n Node) Fields() iter.Seq2[string, Node] {
	return func(yield func(string, Node) bool) {
		if n.Kind() != Object {
			return
		}
		i := n.i + 1
		for left := n.entry().count; left > 0; left-- {
			e := &n.d.entries[i]
			if !yield(n.d.keyText(e), Node{n.d, i}) {
				return
			}
			i = e.next
		}
	}
}

// Get follows a path of names and array positions parted by dots: "name.0.family". Nothing is skipped: an array needs
// its position.
func (n Node) Get(path string) Node {
	for path != "" && n.d != nil {
		step, rest, _ := strings.Cut(path, ".")
		path = rest
		if n.Kind() == Array {
			i, err := strconv.Atoi(step)
			if err != nil {
				return Node{}
			}
			n = n.Index(i)
		} else {
			n = n.Field(step)
		}
	}
	return n
}

// String is the text of a JSON string, or the literal text of a number, a boolean, an array or an object; "" for null
// and for what is absent. A decimal's text is exactly as written.
func (n Node) String() string {
	if n.d == nil {
		return ""
	}
	e := n.entry()
	switch e.kind {
	case Null:
		return ""
	case String:
		b := n.d.raw[e.start+1 : e.end-1]
		if e.flags&flagEscaped != 0 {
			return string(unescape(make([]byte, 0, len(b)), b))
		}
		return text(b)
	default:
		return text(n.d.raw[e.start:e.end])
	}
}

// Bool reports whether this is the JSON literal true.
func (n Node) Bool() bool {
	return n.Kind() == Bool && n.d.raw[n.entry().start] == 't'
}

// Raw is the value's bytes as they stand in the document. They must not be changed.
func (n Node) Raw() []byte {
	if n.d == nil {
		return nil
	}
	e := n.entry()
	return n.d.raw[e.start:e.end:e.end]
}

// Value is the node as a piece of JSON to put elsewhere; an absent node is an empty one.
func (n Node) Value() Value { return Value{n.Raw()} }

// Name is the name under which this value is a member of its object; "" for an array's element and for the root.
func (n Node) Name() string {
	if n.d == nil || n.entry().flags&flagMember == 0 {
		return ""
	}
	return n.d.keyText(n.entry())
}

// Offset is where the value's bytes stand in the document: raw[start:end]. Both are 0 for what is absent.
func (n Node) Offset() (start, end int) {
	if n.d == nil {
		return 0, 0
	}
	return int(n.entry().start), int(n.entry().end)
}

// Parent is the object or array that holds this value; absent for the root. It costs a walk from the root.
func (n Node) Parent() Node {
	if n.d == nil || n.i == 0 {
		return Node{}
	}
	var at uint32
	for {
		child := n.d.childHolding(at, n.i)
		if child == n.i {
			return Node{n.d, at}
		}
		at = child
	}
}

// childHolding is which child of the entry parent is, or holds, the entry i.
func (d *document) childHolding(parent, i uint32) uint32 {
	at := parent + 1
	for d.entries[at].next <= i {
		at = d.entries[at].next
	}
	return at
}

// Path is where the value stands in its document, as FHIRPath writes it without the type: "name[0].family"; "" for the
// root and for what is absent.
func (n Node) Path() string {
	if n.d == nil || n.i == 0 {
		return ""
	}
	var b strings.Builder
	for at := uint32(0); at != n.i; {
		child := n.d.childHolding(at, n.i)
		if n.d.entries[at].kind == Array {
			position := 0
			for i := at + 1; i != child; i = n.d.entries[i].next {
				position++
			}
			b.WriteByte('[')
			b.WriteString(strconv.Itoa(position))
			b.WriteByte(']')
		} else {
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			b.WriteString(n.d.keyText(&n.d.entries[child]))
		}
		at = child
	}
	return b.String()
}

// Root is the document's outermost value.
func (n Node) Root() Node {
	if n.d == nil {
		return Node{}
	}
	return Node{d: n.d}
}

// Same reports whether both are the same value in the same document (not merely equal ones).
func (n Node) Same(m Node) bool { return n == m }
