package validate

import (
	"slices"
	"strings"

	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/fhir/definition"
)

// container is a resource with what it contains: contained resources belong to it alone.
type container struct {
	node  fhir.Node
	parts []part
	// current is the contained resource being walked, -1 for none.
	current int
}

// part is one contained resource.
type part struct {
	id, typ string
	// used says that something refers to it, or that it refers to its container.
	used bool
}

// contents prepares the container of a resource; nil contained resources cost nothing.
func (w *walker) contents(n fhir.Node) *container {
	c := &container{node: n, current: -1}
	for item := range n.Field("contained").Items() {
		c.parts = append(c.parts, part{id: item.Field("id").String(), typ: item.Field("resourceType").String()})
	}
	return c
}

// link notes a reference, by Reference, uri, url or canonical, so that contained resources are known to be used.
func (c *container) link(uri string) {
	id, local := strings.CutPrefix(uri, "#")
	if !local {
		return
	}
	if id == "" && c.current >= 0 {
		c.parts[c.current].used = true
		return
	}
	for i := range c.parts {
		if c.parts[i].id == id {
			c.parts[i].used = true
		}
	}
}

// contained checks what a contained resource may not have (rules dom-2, dom-4 and dom-5), and its id.
func (w *walker) contained(n fhir.Node) {
	i := w.path[len(w.path)-1].index
	if i >= 0 && i < len(w.at.parts) {
		w.at.current = i
	}
	if n.Field("contained").Exists() {
		w.wrongAt("contained", "invariant", "A contained resource may not contain others. Put them beside it in the outer resource (rule dom-2).")
	}
	meta := n.Field("meta")
	if meta.Field("versionId").Exists() || meta.Field("lastUpdated").Exists() {
		w.wrongAt("meta", "invariant", "A contained resource has no version or time of its own. Remove meta.versionId and meta.lastUpdated (rule dom-4).")
	}
	if meta.Field("security").Exists() {
		w.wrongAt("meta", "invariant", "A contained resource has no security label of its own. Label the outer resource (rule dom-5).")
	}
	id := n.Field("id").String()
	if id == "" {
		w.wrongAt("id", "required", "A contained resource needs an id, so that it can be referred to as #id.")
		return
	}
	for _, p := range w.at.parts[:max(0, min(i, len(w.at.parts)))] {
		if p.id == id {
			w.wrongAt("id", "duplicate", "Two contained resources have the same id. Give each its own.")
			break
		}
	}
}

// unreferenced reports contained resources that nothing refers to (rule dom-3), once the container has been walked.
func (w *walker) unreferenced() {
	w.at.current = -1
	for i, p := range w.at.parts {
		if !p.used && p.id != "" {
			w.push("contained", i)
			w.wrong("invariant", "Nothing refers to this contained resource. Refer to it as #id from the outer resource, or remove it (rule dom-3).")
			w.pop()
		}
	}
}

// reference checks a Reference: the form of its address, that a contained target is there, and the target's type.
func (w *walker) reference(n fhir.Node, f *field) {
	node := n.Field("reference")
	if node.Kind() != fhir.String {
		if !node.Exists() {
			w.target(n.Field("type").String(), f, "type")
		}
		return
	}
	address := node.String()
	if address == "" {
		return // said already
	}
	if id, local := strings.CutPrefix(address, "#"); local {
		w.local(id, f)
		return
	}
	typ, ok := w.plan.targetType(address)
	if !ok {
		w.wrongAt("reference", "value", "This reference cannot be followed. Write Type/id, an absolute URL, urn:uuid:…, urn:oid:… or #id of a contained resource.")
		return
	}
	named := strings.TrimPrefix(n.Field("type").String(), "http://hl7.org/fhir/StructureDefinition/")
	if typ == "" {
		typ = named
	} else if named != "" && named != typ && !strings.Contains(named, ":") { // a logical model's type is a URL
		w.wrongAt("type", "value", "type and reference name different types of resource. Make them agree.")
		return
	}
	w.target(typ, f, "reference")
}

// local checks a reference to a contained resource, or to the container itself (rule ref-1).
func (w *walker) local(id string, f *field) {
	w.at.link("#" + id)
	if id == "" {
		w.target(w.at.node.Field("resourceType").String(), f, "reference")
		return
	}
	at := slices.IndexFunc(w.at.parts, func(p part) bool { return p.id == id })
	if at < 0 {
		w.wrongAt("reference", "not-found", "There is no contained resource with this id. Add it to contained, or mend the reference (rule ref-1).")
		return
	}
	w.target(w.at.parts[at].typ, f, "reference")
}

// target checks that a reference may point at a type; an empty type is not known and passes, as do targets that are
// profiles.
func (w *walker) target(typ string, f *field, name string) {
	if typ == "" || len(f.targets) == 0 {
		return
	}
	for _, t := range f.targets {
		if t == typ || t == "Resource" || strings.Contains(t, "/") {
			return
		}
	}
	if !w.plan.set.IsResource(typ) {
		w.wrongAt(name, "value", "There is no resource type named "+quoted(typ)+" in FHIR R4.")
		return
	}
	w.wrongAt(name, "value", f.name+" may refer to "+orList(f.targets)+", not to "+typ+".")
}

func orList(names []string) string {
	if len(names) == 1 {
		return names[0]
	}
	return strings.Join(names[:len(names)-1], ", ") + " or " + names[len(names)-1]
}

// targetType reads the type of resource out of an address: "" when it does not say, ok false when it is no address.
func (p *plan) targetType(address string) (typ string, ok bool) {
	if strings.HasPrefix(address, "urn:uuid:") {
		return "", len(address) == len("urn:uuid:")+36
	}
	if absolute(address) {
		if !strings.HasPrefix(address, "http://") && !strings.HasPrefix(address, "https://") {
			return "", true
		}
		path, _, _ := strings.Cut(address, "#")
		path, _, _ = strings.Cut(path, "?")
		parts := strings.Split(strings.TrimSuffix(path, "/"), "/")
		if typ, ok := literal(p.set, parts); ok {
			return typ, true
		}
		return "", true
	}
	if typ, _, conditional := strings.Cut(address, "?"); conditional { // within a transaction
		return typ, p.set.IsResource(typ)
	}
	address, _, _ = strings.Cut(address, "#")
	parts := strings.Split(address, "/")
	if len(parts) != 2 && len(parts) != 4 {
		return "", false
	}
	return literal(p.set, parts)
}

// literal reads …/Type/id or …/Type/id/_history/version.
func literal(set *definition.Set, parts []string) (typ string, ok bool) {
	n := len(parts)
	if n >= 4 && parts[n-2] == "_history" {
		n -= 2
	}
	if n < 2 || !set.IsResource(parts[n-2]) || !validID(parts[n-1]) {
		return "", false
	}
	return parts[n-2], true
}
