package fhir

import (
	"encoding/json"
	"time"
)

// Resource is one FHIR resource: raw JSON and the index over it. It never changes once made.
type Resource struct {
	doc     document
	typ, id string
}

// Type is the resource's type, for example Patient.
func (r *Resource) Type() string { return r.typ }

// ID is the resource's logical id; "" if it has none.
func (r *Resource) ID() string { return r.id }

// JSON is the document as it was given (without a byte order mark). It must not be changed.
func (r *Resource) JSON() []byte { return r.doc.raw[:len(r.doc.raw):len(r.doc.raw)] }

// String is the document's text.
func (r *Resource) String() string { return text(r.doc.raw) }

// MarshalJSON gives the document as it is.
func (r *Resource) MarshalJSON() ([]byte, error) { return r.doc.raw, nil }

var _ json.Marshaler = (*Resource)(nil)

// Root is the resource's outermost object.
func (r *Resource) Root() Node { return Node{d: &r.doc} }

// Get follows a path from the root: "subject.reference", "name.0.family".
func (r *Resource) Get(path string) Node { return r.Root().Get(path) }

// Instant is t as FHIR writes an instant: in UTC, with milliseconds, or microseconds where t has them.
func Instant(t time.Time) string {
	t = t.UTC()
	if t.Nanosecond()/1000%1000 == 0 {
		return t.Format("2006-01-02T15:04:05.000Z")
	}
	return t.Format("2006-01-02T15:04:05.000000Z")
}

// AppendWithMeta appends the document to dst with id, meta.versionId and meta.lastUpdated set, and every other byte as it
// is. An empty id or versionID and a zero lastUpdated leave what stands there.
func (r *Resource) AppendWithMeta(dst []byte, id, versionID string, lastUpdated time.Time) []byte {
	var room [4]splice
	cuts := room[:0]
	root := r.Root()
	afterType := root.Field("resourceType").entry().end
	cuts = stamp(cuts, root, "id", id, afterType, ',', 0)
	meta := root.Field("meta")
	if meta.Kind() != Object {
		if m := Obj("versionId", versionID, "lastUpdated", lastUpdated).JSON(); m != nil {
			member := append([]byte(`,"meta":`), m...)
			if meta.Exists() {
				cuts = append(cuts, splice{meta.entry().start, meta.entry().end, m})
			} else {
				at := afterType
				if e := root.Field("id"); e.Exists() {
					at = e.entry().end
				}
				cuts = append(cuts, splice{at, at, member})
			}
		}
		return applySplices(dst, r.doc.raw, cuts)
	}
	inside := meta.entry().start + 1
	stamped := ""
	if !lastUpdated.IsZero() {
		stamped = Instant(lastUpdated)
	}
	cuts = stamp(cuts, meta, "versionId", versionID, inside, 0, ',')
	cuts = stamp(cuts, meta, "lastUpdated", stamped, inside, 0, ',')
	return applySplices(dst, r.doc.raw, cuts)
}

// stamp sets the string member name of obj: in place, or at a place for a new member with a comma before or after it.
func stamp(cuts []splice, obj Node, name, value string, at uint32, before, after byte) []splice {
	if value == "" {
		return cuts
	}
	if old := obj.Field(name); old.Exists() {
		if old.Kind() == String && old.String() == value {
			return cuts
		}
		return append(cuts, splice{old.entry().start, old.entry().end, appendString(nil, value)})
	}
	b := make([]byte, 0, len(name)+len(value)+8)
	if before != 0 {
		b = append(b, before)
	}
	b = append(appendString(b, name), ':')
	b = appendString(b, value)
	if after != 0 {
		b = append(b, after)
	}
	return append(cuts, splice{at, at, b})
}

// WithMeta is the resource with id, meta.versionId and meta.lastUpdated set; see AppendWithMeta.
func (r *Resource) WithMeta(id, versionID string, lastUpdated time.Time) *Resource {
	return r.reparsed(r.AppendWithMeta(make([]byte, 0, len(r.doc.raw)+128), id, versionID, lastUpdated))
}

// WithID is the resource with its id set and every other byte as it is.
func (r *Resource) WithID(id string) *Resource { return r.WithMeta(id, "", time.Time{}) }

// reparsed is for a document of which only ids and times have changed: it may be a little over the limits, no more.
func (r *Resource) reparsed(b []byte) *Resource {
	out, err := ParseLimited(b, Limits{Bytes: len(b), Depth: 1000})
	if err != nil {
		panic("fhir: a stamped document no longer parses: " + err.Error())
	}
	return out
}
