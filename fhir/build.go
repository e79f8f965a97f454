package fhir

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/openspine/openspine/fault"
)

// Value is a piece of JSON made in code. The zero Value is empty and is left out wherever it is put.
type Value struct{ json []byte }

// Obj makes an object from names and values in turn, in that order:
//
//	fhir.Obj("resourceType", "Patient", "name", fhir.Arr(fhir.Obj("family", "Smith")))
//
// A value is a string, boolean, integer, float64, json.Number (kept as it is written), time.Time (an instant), Value,
// Node, *Resource, fmt.Stringer, or a slice of strings or Values. What is empty (nil, "", an empty Value, an absent Node, a zero time) is
// left out, and an object without members is empty itself. An odd number of arguments, a name that is no string and a value of any
// other type are mistakes in the calling code: Obj panics.
func Obj(namesAndValues ...any) Value {
	if len(namesAndValues)%2 != 0 {
		panic("fhir.Obj: a name without a value")
	}
	b := append(make([]byte, 0, roomFor(namesAndValues)), '{')
	for i := 0; i < len(namesAndValues); i += 2 {
		name := namesAndValues[i].(string)
		before := len(b)
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = append(appendString(b, name), ':')
		var some bool
		if b, some = appendAny(b, namesAndValues[i+1]); !some {
			b = b[:before]
		}
	}
	if len(b) == 1 {
		return Value{}
	}
	return Value{append(b, '}')}
}

// roomFor is about how many bytes a list of names and values takes as JSON.
func roomFor(list []any) int {
	room := 2
	for _, v := range list {
		switch v := v.(type) {
		case string:
			room += len(v) + 3
		case Value:
			room += len(v.json) + 1
		case Node:
			room += len(v.Raw()) + 1
		default:
			room += 32
		}
	}
	return room
}

// Members is an object in the making, member by member: what Obj does, where there are many. Its zero value has none.
type Members struct{ b []byte }

// Room makes room for n bytes.
func (o *Members) Room(n int) { o.b = slices.Grow(o.b, n) }

// Add puts a member at the end; an empty value is left out.
func (o *Members) Add(name string, v Value) {
	if v.Empty() {
		return
	}
	if len(o.b) == 0 {
		o.b = append(o.b, '{')
	} else {
		o.b = append(o.b, ',')
	}
	o.b = append(appendString(o.b, name), ':')
	o.b = append(o.b, v.json...)
}

// Done is the object, to which nothing may be added any more.
func (o *Members) Done() Value {
	if len(o.b) == 0 {
		return Value{}
	}
	return Value{append(o.b, '}')}
}

// Arr makes an array; what is empty is left out, and an array without elements is empty itself. Values are as in Obj.
func Arr(items ...any) Value {
	b := append(make([]byte, 0, roomFor(items)), '[')
	for _, item := range items {
		before := len(b)
		if len(b) > 1 {
			b = append(b, ',')
		}
		var some bool
		if b, some = appendAny(b, item); !some {
			b = b[:before]
		}
	}
	if len(b) == 1 {
		return Value{}
	}
	return Value{append(b, ']')}
}

// List makes an array of the values, leaving out those that are empty.
func List(values []Value) Value {
	items := make([]any, len(values))
	for i, v := range values {
		items[i] = v
	}
	return Arr(items...)
}

// Of makes a single value: a string, boolean, number … as in Obj.
func Of(v any) Value {
	b, some := appendAny(nil, v)
	if !some {
		return Value{}
	}
	return Value{b}
}

// RawValue is JSON that is already written. It must be valid: whoever parses the document that it goes into finds out.
func RawValue(b []byte) Value { return Value{b} }

// Empty reports whether nothing is in the value.
func (v Value) Empty() bool { return len(v.json) == 0 }

// JSON is the value's text; nil if it is empty. It must not be changed.
func (v Value) JSON() []byte { return v.json }

// MarshalJSON gives the value as it is; an empty one is null.
func (v Value) MarshalJSON() ([]byte, error) {
	if v.Empty() {
		return []byte("null"), nil
	}
	return v.json, nil
}

// Resource parses the value, by the same rules as Parse.
func (v Value) Resource() (*Resource, error) {
	if v.Empty() {
		return nil, fault.New(fault.Invalid, "an empty value is no resource")
	}
	return Parse(v.json)
}

// appendAny appends v's JSON, or reports that there is nothing to append.
func appendAny(b []byte, v any) ([]byte, bool) {
	switch v := v.(type) {
	case nil:
		return b, false
	case string:
		return appendString(b, v), v != ""
	case bool:
		return strconv.AppendBool(b, v), true
	case int:
		return strconv.AppendInt(b, int64(v), 10), true
	case int64:
		return strconv.AppendInt(b, v, 10), true
	case int32:
		return strconv.AppendInt(b, int64(v), 10), true
	case uint32:
		return strconv.AppendUint(b, uint64(v), 10), true
	case uint64:
		return strconv.AppendUint(b, v, 10), true
	case float64:
		return strconv.AppendFloat(b, v, 'f', -1, 64), true
	case json.Number:
		return append(b, v...), v != ""
	case time.Time:
		return append(append(append(b, '"'), Instant(v)...), '"'), !v.IsZero()
	case Value:
		return append(b, v.json...), !v.Empty()
	case []Value:
		return appendAny(b, List(v))
	case []string:
		items := make([]any, len(v))
		for i, s := range v {
			items[i] = s
		}
		return appendAny(b, Arr(items...))
	case Node:
		return append(b, v.Raw()...), v.Exists()
	case *Resource:
		if v == nil {
			return b, false
		}
		return append(b, v.doc.raw...), true
	case fmt.Stringer:
		return appendAny(b, v.String())
	}
	panic(fmt.Sprintf("fhir: a %T cannot be put into a document", v))
}

// AppendString appends s to dst as a JSON string. What is not UTF-8 becomes U+FFFD.
func AppendString(dst []byte, s string) []byte { return appendString(dst, s) }

// appendString appends s in double quotes. What is not UTF-8 becomes U+FFFD.
func appendString(b []byte, s string) []byte {
	const digits = "0123456789abcdef"
	b = append(b, '"')
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			b = utf8.AppendRune(b, r)
			i += n
			continue
		}
		i++
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c == '\n':
			b = append(b, '\\', 'n')
		case c == '\r':
			b = append(b, '\\', 'r')
		case c == '\t':
			b = append(b, '\\', 't')
		case c < 0x20:
			b = append(b, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}
