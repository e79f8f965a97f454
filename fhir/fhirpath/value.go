package fhirpath

import (
	"strconv"
	"strings"

	"github.com/cockroachdb/apd/v3"

	"github.com/openspine/openspine/fhir"
)

// Value is one item of a collection: a System value, or an element of a FHIR document that keeps its place and type.
type Value struct {
	typ   *Type
	node  fhir.Node // the element; absent for a System value, and for a primitive that has only extensions
	under fhir.Node // a primitive's _sibling, which carries its id and extensions
	num   int64     // Boolean, Integer
	str   string    // String; a Quantity's unit; the reference of a resource that is known by name alone
	ref   any       // *apd.Decimal for Decimal and Quantity; *Temporal; *Type for a TypeInfo
}

// Collection is an ordered list of values. The empty collection is FHIRPath's way of saying "not known".
type Collection []Value

// Bool is a System.Boolean.
func Bool(b bool) Value {
	v := Value{typ: typeBoolean}
	if b {
		v.num = 1
	}
	return v
}

// Integer is a System.Integer. FHIRPath's integers have 32 bits; a value beyond them is not checked here.
func Integer(n int64) Value { return Value{typ: typeInteger, num: n} }

// String is a System.String.
func String(s string) Value { return Value{typ: typeString, str: s} }

// Decimal is a System.Decimal. d must not be changed afterwards.
func Decimal(d *apd.Decimal) Value { return Value{typ: typeDecimal, ref: d} }

// Quantity is a System.Quantity. The unit is a UCUM code, or a calendar word such as "year". d must not be changed
// afterwards.
func Quantity(d *apd.Decimal, unit string) Value {
	return Value{typ: typeQuantity, ref: d, str: unit}
}

// Time is a System.Date, DateTime or Time.
func Time(t Temporal) Value {
	switch t.Kind {
	case KindDate:
		return Value{typ: typeDate, ref: &t}
	case KindTime:
		return Value{typ: typeTime, ref: &t}
	}
	return Value{typ: typeDateTime, ref: &t}
}

// Type is the value's type. It is nil only for the zero Value.
func (v Value) Type() *Type { return v.typ }

// Node is the element in its document; absent for a System value and for a primitive without a value.
func (v Value) Node() fhir.Node { return v.node }

// Extras is the object that carries a primitive's id and extensions (the _sibling in JSON); absent if there is none.
func (v Value) Extras() fhir.Node { return v.under }

// Path is where the element stands in its document, "name[0].family"; empty for a System value and for the root.
func (v Value) Path() string {
	if v.node.Exists() {
		return v.node.Path()
	}
	return strings.Replace(v.under.Path(), "_", "", 1)
}

// Bool is the value of a boolean; ok is false for anything else, and for a FHIR boolean without a value.
func (v Value) Bool() (b, ok bool) {
	s, ok := v.system()
	return s.num != 0, ok && s.typ == typeBoolean
}

// Int is the value of an integer.
func (v Value) Int() (n int64, ok bool) {
	s, ok := v.system()
	return s.num, ok && s.typ == typeInteger
}

// Decimal is the value of an integer or a decimal. It must not be changed.
func (v Value) Decimal() (*apd.Decimal, bool) {
	s, ok := v.system()
	if !ok {
		return nil, false
	}
	return s.number()
}

// Text is the value of a string or of a FHIR primitive that is read as one (code, uri, id, markdown …).
func (v Value) Text() (string, bool) {
	s, ok := v.system()
	return s.str, ok && s.typ == typeString
}

// Time is the value of a date, dateTime, instant or time.
func (v Value) Time() (Temporal, bool) {
	s, ok := v.system()
	if !ok {
		return Temporal{}, false
	}
	t, ok := s.ref.(*Temporal)
	if !ok {
		return Temporal{}, false
	}
	return *t, true
}

// Quantity is the number and unit of a quantity: of a System.Quantity, or of a FHIR Quantity in UCUM units without a
// comparator. The number must not be changed.
func (v Value) Quantity() (*apd.Decimal, string, bool) {
	s, ok := v.system()
	if !ok || s.typ != typeQuantity {
		return nil, "", false
	}
	return s.ref.(*apd.Decimal), s.str, true
}

// String is the value as toString() gives it, or the JSON of an element that has no such form.
func (v Value) String() string {
	if s, ok := v.system(); ok {
		return s.text()
	}
	if v.node.Exists() {
		return string(v.node.Raw())
	}
	return string(v.under.Raw())
}

// isSystem says whether v has no place in a document.
func (v *Value) isSystem() bool { return v.typ.namespace == "System" }

// system converts a FHIR primitive (or quantity) to the System value that operators work on. ok is false for a value
// that has none: a complex element, or a primitive with extensions only.
func (v *Value) system() (s Value, ok bool) {
	if v.typ == nil {
		return Value{}, false
	}
	if v.isSystem() {
		return *v, true
	}
	if !v.node.Exists() {
		return Value{}, false
	}
	switch v.typ.kind {
	case None:
		return v.untyped()
	case KindBoolean:
		if v.node.Kind() != fhir.Bool {
			return Value{}, false
		}
		return Bool(v.node.Bool()), true
	case KindInteger:
		n, err := strconv.ParseInt(v.node.String(), 10, 64)
		return Integer(n), err == nil && v.node.Kind() == fhir.Number
	case KindDecimal:
		d, ok := parseDecimal(v.node.String())
		return Decimal(d), ok
	case KindString:
		return String(v.node.String()), v.node.Kind() == fhir.String
	case KindQuantity:
		return fromFHIRQuantity(v.node)
	}
	t, ok := parseTemporal(v.typ.kind, v.node.String())
	if !ok {
		return Value{}, false
	}
	return Time(t), true
}

// untyped reads a value by its JSON kind, when the definitions do not know its type.
func (v *Value) untyped() (Value, bool) {
	if v.typ != typeUnknown {
		return Value{}, false
	}
	switch v.node.Kind() {
	case fhir.Bool:
		return Bool(v.node.Bool()), true
	case fhir.String:
		return String(v.node.String()), true
	case fhir.Number:
		if n, err := strconv.ParseInt(v.node.String(), 10, 32); err == nil {
			return Integer(n), true
		}
		d, ok := parseDecimal(v.node.String())
		return Decimal(d), ok
	}
	return Value{}, false
}

// number is an Integer's or Decimal's value.
func (v *Value) number() (*apd.Decimal, bool) {
	switch v.typ {
	case typeInteger:
		return apd.New(v.num, 0), true
	case typeDecimal:
		return v.ref.(*apd.Decimal), true
	}
	return nil, false
}

// text is how toString() writes a System value.
func (v *Value) text() string {
	switch v.typ {
	case typeBoolean:
		if v.num != 0 {
			return "true"
		}
		return "false"
	case typeInteger:
		return strconv.FormatInt(v.num, 10)
	case typeString:
		return v.str
	case typeDecimal:
		return v.ref.(*apd.Decimal).Text('f')
	case typeQuantity:
		number := v.ref.(*apd.Decimal).Text('f')
		if isCalendarWord(v.str) {
			return number + " " + v.str
		}
		return number + " '" + v.str + "'"
	}
	switch ref := v.ref.(type) {
	case *Temporal:
		return ref.String()
	case *Type:
		return ref.String()
	}
	return ""
}
