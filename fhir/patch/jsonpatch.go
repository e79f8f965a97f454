// Package patch corrects a document by a list of small changes, each said exactly: JSON Patch (RFC 6902,
// https://www.rfc-editor.org/rfc/rfc6902) and FHIRPath Patch (https://hl7.org/fhir/R4/fhirpatch.html).
//
// A correction is whole or it is not made: the document given stays as it is, and a new one comes back only if every
// change could be done and the result is FHIR again. Bytes that no change touched are kept, so that a decimal keeps its digits.
package patch

import (
	"bytes"
	"slices"
	"strconv"
	"strings"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
)

// MaxOperations is how many changes one patch may hold.
const MaxOperations = 1000

// maxWork bounds how many bytes are written in all, since every operation makes the document anew.
const maxWork = 256 << 20

// Operation is one change of a JSON Patch.
type Operation struct {
	// Op is add, remove, replace, move, copy or test.
	Op string
	// Path and From say where; From only for move and copy.
	Path, From Pointer
	// Value is what to add, put there or compare with; absent for remove, move and copy.
	Value fhir.Node
}

// Pointer is a JSON Pointer (RFC 6901) taken apart: "/name/0/given" is [name 0 given]. The empty one is the whole document.
type Pointer []string

// ParsePointer takes a JSON Pointer apart and resolves ~0 and ~1.
func ParsePointer(s string) (Pointer, error) {
	if s == "" {
		return Pointer{}, nil
	}
	if s[0] != '/' {
		return nil, fault.New(fault.Invalid, "a JSON Pointer is empty or starts with a slash")
	}
	p := Pointer(strings.Split(s[1:], "/"))
	if len(p) > fhir.DefaultMaxDepth+1 {
		return nil, fault.New(fault.Invalid, "a JSON Pointer goes deeper than a document can")
	}
	for i, step := range p {
		rest := strings.NewReplacer("~0", "", "~1", "").Replace(step)
		if strings.Contains(rest, "~") {
			return nil, fault.New(fault.Invalid, "in a JSON Pointer, ~ must be followed by 0 or 1")
		}
		p[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(step)
	}
	return p, nil
}

// String puts the pointer together again.
func (p Pointer) String() string {
	var b strings.Builder
	for _, step := range p {
		b.WriteByte('/')
		b.WriteString(strings.NewReplacer("~", "~0", "/", "~1").Replace(step))
	}
	return b.String()
}

// Find is the value that the pointer points at; absent if there is none.
func (p Pointer) Find(n fhir.Node) fhir.Node {
	for _, step := range p {
		if n.Kind() == fhir.Array {
			i, ok := position(step)
			if !ok {
				return fhir.Node{}
			}
			n = n.Index(i)
		} else {
			n = n.Field(step)
		}
	}
	return n
}

// position reads an array position: digits without a leading zero.
func position(step string) (int, bool) {
	if step == "" || len(step) > 9 || step[0] == '0' && len(step) > 1 || strings.Trim(step, "0123456789") != "" {
		return 0, false
	}
	i, err := strconv.Atoi(step)
	return i, err == nil
}

// JSONPatch is a list of operations, read and checked.
type JSONPatch struct{ operations []Operation }

// Operations lists the changes in order. They must not be changed.
func (p *JSONPatch) Operations() []Operation { return p.operations }

// ParseJSONPatch reads a JSON Patch document. What is not one is fault.Invalid, naming the operation by its position from 0.
func ParseJSONPatch(b []byte) (*JSONPatch, error) {
	n, err := fhir.ParseJSON(b, fhir.Limits{})
	if err != nil {
		return nil, err
	}
	if n.Kind() != fhir.Array {
		return nil, fault.New(fault.Invalid, "a JSON Patch is an array of operations")
	}
	if n.Len() > MaxOperations {
		return nil, fault.New(fault.Invalid, "a patch may hold at most %d operations", MaxOperations)
	}
	p := &JSONPatch{}
	for item := range n.Items() {
		o, err := operation(item)
		if err != nil {
			return nil, fault.New(fault.Invalid, "operation %d: %s", len(p.operations), fault.MessageOf(err))
		}
		p.operations = append(p.operations, o)
	}
	return p, nil
}

func operation(n fhir.Node) (o Operation, err error) {
	if n.Kind() != fhir.Object {
		return o, fault.New(fault.Invalid, "an operation is an object")
	}
	if n.Field("op").Kind() != fhir.String || n.Field("path").Kind() != fhir.String {
		return o, fault.New(fault.Invalid, "an operation has op and path, both strings")
	}
	o.Op = n.Field("op").String()
	if o.Path, err = ParsePointer(n.Field("path").String()); err != nil {
		return o, err
	}
	switch o.Op {
	case "add", "replace", "test":
		if o.Value = n.Field("value"); !o.Value.Exists() {
			return o, fault.New(fault.Invalid, "%s needs a value", o.Op)
		}
	case "move", "copy":
		if n.Field("from").Kind() != fhir.String {
			return o, fault.New(fault.Invalid, "%s needs from, a string", o.Op)
		}
		if o.From, err = ParsePointer(n.Field("from").String()); err != nil {
			return o, err
		}
		if o.Op == "move" && len(o.From) < len(o.Path) && slices.Equal(o.From, o.Path[:len(o.From)]) {
			return o, fault.New(fault.Invalid, "nothing can be moved into itself")
		}
	case "remove":
	default:
		return o, fault.New(fault.Invalid, "op is one of add, remove, replace, move, copy, test")
	}
	return o, nil
}

// JSON applies the JSON Patch document b to r: ParseJSONPatch, then Apply.
func JSON(r *fhir.Resource, b []byte) (*fhir.Resource, error) {
	p, err := ParseJSONPatch(b)
	if err != nil {
		return nil, err
	}
	return p.Apply(r)
}

// Apply makes the document that r becomes by every operation in turn. An operation that cannot be done, a test that
// does not hold and a result that is not FHIR are fault.Unprocessable. Arrays and objects may be empty in between, and
// those that are empty at the end are taken out, as FHIR wants.
func (p *JSONPatch) Apply(r *fhir.Resource) (*fhir.Resource, error) {
	doc := r.Root()
	work := 0
	for i, o := range p.operations {
		b, err := o.apply(doc)
		if err != nil {
			return nil, fault.New(fault.Unprocessable, "operation %d (%s %s): %s", i, o.Op, shown(o.Path), fault.MessageOf(err))
		}
		if b == nil {
			continue
		}
		if work += len(b); work > maxWork {
			return nil, fault.New(fault.TooLarge, "the patch is too much work on a document of this size")
		}
		if doc, err = fhir.ParseJSON(b, fhir.Limits{}); err != nil {
			return nil, fault.New(fault.Unprocessable, "operation %d (%s %s): %s", i, o.Op, shown(o.Path), fault.MessageOf(err))
		}
	}
	if doc.Same(r.Root()) {
		return r, nil
	}
	return finished(doc)
}

// shown is a pointer short enough to repeat to the caller.
func shown(p Pointer) string {
	if s := p.String(); len(s) <= 200 {
		return strconv.Quote(s)
	}
	return "…"
}

// apply is the document after the operation; nil if the operation changes nothing.
func (o *Operation) apply(doc fhir.Node) ([]byte, error) {
	switch o.Op {
	case "test":
		return nil, o.test(doc)
	case "add":
		return add(doc, o.Path, o.Value)
	case "copy":
		from := o.From.Find(doc)
		if !from.Exists() {
			return nil, fault.New(fault.Unprocessable, "there is nothing at %s to copy", shown(o.From))
		}
		return add(doc, o.Path, from)
	case "move":
		return o.move(doc)
	}
	target := o.Path.Find(doc)
	if !target.Exists() {
		return nil, fault.New(fault.Unprocessable, "there is nothing at this path")
	}
	if o.Op == "replace" {
		return replace(doc, target, o.Value)
	}
	return doc.Edit().Remove(target).Bytes()
}

func (o *Operation) test(doc fhir.Node) error {
	target := o.Path.Find(doc)
	if !target.Exists() {
		return fault.New(fault.Unprocessable, "there is nothing at this path")
	}
	if !same(target, o.Value) {
		return fault.New(fault.Unprocessable, "the document holds something else here")
	}
	return nil
}

func (o *Operation) move(doc fhir.Node) ([]byte, error) {
	from := o.From.Find(doc)
	if !from.Exists() {
		return nil, fault.New(fault.Unprocessable, "there is nothing at %s to move", shown(o.From))
	}
	if slices.Equal(o.From, o.Path) {
		return nil, nil
	}
	b, err := doc.Edit().Remove(from).Bytes()
	if err != nil {
		return nil, err
	}
	without, err := fhir.ParseJSON(b, fhir.Limits{})
	if err != nil {
		return nil, err
	}
	return add(without, o.Path, from)
}

func replace(doc, target, value fhir.Node) ([]byte, error) {
	if target.Same(doc) {
		return bytes.Clone(value.Raw()), nil
	}
	return doc.Edit().Replace(target, fhir.RawValue(value.Raw())).Bytes()
}

func add(doc fhir.Node, path Pointer, value fhir.Node) ([]byte, error) {
	if len(path) == 0 {
		return bytes.Clone(value.Raw()), nil
	}
	parent, last := path[:len(path)-1].Find(doc), path[len(path)-1]
	switch parent.Kind() {
	case fhir.Object:
		return doc.Edit().Set(parent, last, fhir.RawValue(value.Raw())).Bytes()
	case fhir.Array:
		at := parent.Len()
		if last != "-" {
			i, ok := position(last)
			if !ok || i > at {
				return nil, fault.New(fault.Unprocessable, "there is no such position in an array of %d", at)
			}
			at = i
		}
		return doc.Edit().Insert(parent, at, fhir.RawValue(value.Raw())).Bytes()
	}
	return nil, fault.New(fault.Unprocessable, "there is no object or array to add to")
}

// finished is the document as FHIR, without the arrays and objects that the changes left empty.
func finished(doc fhir.Node) (*fhir.Resource, error) {
	r, err := fhir.Parse(doc.Raw())
	if err == nil {
		return r, nil
	}
	e := doc.Edit()
	if prune(e, doc) {
		if r, pruned := e.Done(); pruned == nil {
			return r, nil
		}
	}
	return nil, fault.New(fault.Unprocessable, "the document would not be FHIR after the patch: %s", fault.MessageOf(err))
}

// prune removes what is empty below n, and reports whether it removed anything.
func prune(e *fhir.Editor, n fhir.Node) bool {
	some := false
	for child := range children(n) {
		if hollow(child) {
			e.Remove(child)
			some = true
		} else if prune(e, child) {
			some = true
		}
	}
	return some
}

// hollow reports whether nothing but empty arrays and objects is in n.
func hollow(n fhir.Node) bool {
	if n.Kind() != fhir.Array && n.Kind() != fhir.Object {
		return false
	}
	for child := range children(n) {
		if !hollow(child) {
			return false
		}
	}
	return true
}

// children goes through the members of an object or the elements of an array.
func children(n fhir.Node) func(yield func(fhir.Node) bool) {
	return func(yield func(fhir.Node) bool) {
		switch n.Kind() {
		case fhir.Object:
			for _, child := range n.Fields() {
				if !yield(child) {
					return
				}
			}
		case fhir.Array:
			n.Items()(yield)
		}
	}
}

// same compares as RFC 6902 section 4.6 says: numbers by value, text by its characters, objects without order.
func same(a, b fhir.Node) bool {
	if a.Kind() != b.Kind() || a.Len() != b.Len() {
		return false
	}
	switch a.Kind() {
	case fhir.Number:
		return a.String() == b.String() || sameNumber(a.String(), b.String())
	case fhir.Object:
		for name, child := range a.Fields() {
			if !same(child, b.Field(name)) {
				return false
			}
		}
		return true
	case fhir.Array:
		others := slices.Collect(b.Items())
		i := 0
		for child := range a.Items() {
			if !same(child, others[i]) {
				return false
			}
			i++
		}
		return true
	}
	return a.String() == b.String()
}

// sameNumber compares two JSON numbers by value without ever writing out their zeros (1e999999999 is a number).
func sameNumber(a, b string) bool {
	an, ad, ae := scientific(a)
	bn, bd, be := scientific(b)
	if ad == "" || bd == "" {
		return ad == bd
	}
	return an == bn && ad == bd && ae == be
}

// scientific is a number as sign, digits without zeros at either end, and the exponent of the last digit.
func scientific(s string) (negative bool, digits string, exponent int64) {
	s, negative = strings.CutPrefix(s, "-")
	mantissa, power, _ := strings.Cut(strings.ToLower(s), "e")
	if power != "" {
		var err error
		if exponent, err = strconv.ParseInt(power, 10, 60); err != nil {
			return negative, s, 0 // beyond any number: equal only to the same text
		}
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits = whole + fraction
	exponent -= int64(len(fraction))
	trimmed := strings.TrimRight(digits, "0")
	exponent += int64(len(digits) - len(trimmed))
	return negative, strings.TrimLeft(trimmed, "0"), exponent
}
