package fhirpath

import (
	"strings"

	"github.com/openspine/openspine/fhir"
)

const typeURL = "http://hl7.org/fhir/StructureDefinition/"

// fnExtension is extension.where(url = …).
func (r *run) fnExtension(n *call, in []Value) error {
	url, ok, err := r.stringArgument(n, 0)
	if err != nil || !ok {
		return err
	}
	t := r.model.typOrUnknown("Extension")
	for i := range in {
		if in[i].isSystem() {
			continue
		}
		for ext := range in[i].holder().Field("extension").Items() {
			if ext.Field("url").String() == url {
				r.push(Value{typ: t, node: ext})
			}
		}
	}
	return r.tick(len(in))
}

func (r *run) fnHasValue(_ *call, in []Value) error {
	r.push(Bool(len(in) == 1 && (in[0].isSystem() || in[0].typ.primitive && in[0].node.Exists())))
	return nil
}

func (r *run) fnGetValue(_ *call, in []Value) error {
	if len(in) == 1 && (in[0].isSystem() || in[0].typ.primitive) {
		if v, ok := in[0].system(); ok {
			r.push(v)
		}
	}
	return nil
}

// fnResolve finds what each reference names: what is contained, then what is in the same Bundle, then what the
// resolver knows. What is not found is left out.
func (r *run) fnResolve(n *call, in []Value) error {
	for i := range in {
		v := &in[i]
		reference, hint := "", ""
		switch {
		case v.typ.name == "Reference":
			reference, hint = v.node.Field("reference").String(), v.node.Field("type").String()
		case v.typ.kind == KindString:
			reference, _ = v.Text()
		}
		if reference == "" {
			continue
		}
		found, err := r.resolved(v, reference, hint)
		if err != nil {
			return err
		}
		if found.typ != nil {
			r.push(found)
		}
		if err := r.tick(10); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) resolved(v *Value, reference, hint string) (Value, error) {
	nearest := nearestResource(*v)
	if nearest.Exists() {
		root := rootResource(nearest)
		if id, ok := strings.CutPrefix(reference, "#"); ok {
			if found := containedIn(root, id); found.Exists() {
				return r.model.resource(found), nil
			}
			return Value{}, nil
		}
		if found, err := r.inBundle(root, reference); err != nil || found.Exists() {
			return r.model.resource(found), err
		}
	}
	if r.resolve != nil {
		resource, err := r.resolve(r.ctx, reference)
		if err != nil || resource == nil {
			return Value{}, err
		}
		return r.model.resource(resource.Root()), nil
	}
	if t := r.model.typ(referencedType(reference, hint)); t != nil {
		return Value{typ: t, str: reference}, nil
	}
	return Value{}, nil
}

func containedIn(root fhir.Node, id string) fhir.Node {
	if id == "" {
		return root
	}
	for c := range root.Field("contained").Items() {
		if c.Field("id").String() == id {
			return c
		}
	}
	return fhir.Node{}
}

// inBundle looks among the entries of the Bundle that the resource root is an entry of. A relative reference is taken
// from the base of the entry's own full URL (https://hl7.org/fhir/R4/bundle.html#references).
func (r *run) inBundle(root fhir.Node, reference string) (fhir.Node, error) {
	entry := root.Parent()
	list := entry.Parent()
	if list.Name() != "entry" || list.Parent().Field("resourceType").String() != "Bundle" {
		return fhir.Node{}, nil
	}
	base := entry.Field("fullUrl").String()
	if own := root.Field("resourceType").String() + "/" + root.Field("id").String(); strings.HasSuffix(base, own) {
		base = strings.TrimSuffix(base, own)
	}
	if err := r.tick(list.Len()); err != nil {
		return fhir.Node{}, err
	}
	for e := range list.Items() {
		if url := e.Field("fullUrl").String(); url == reference || strings.HasPrefix(base, "http") && url == base+reference {
			return e.Field("resource"), nil
		}
	}
	return fhir.Node{}, nil
}

// referencedType is the type that a reference names: Patient/1, https://…/Patient/1/_history/2.
func referencedType(reference, hint string) string {
	if hint != "" {
		return strings.TrimPrefix(hint, typeURL)
	}
	reference, _, _ = strings.Cut(reference, "/_history/")
	id := strings.LastIndexByte(reference, '/')
	if id < 0 {
		return ""
	}
	reference = reference[:id]
	return reference[strings.LastIndexByte(reference, '/')+1:]
}

func (r *run) fnConformsTo(n *call, in []Value) error {
	url, ok, err := r.stringArgument(n, 0)
	if err != nil || !ok || len(in) == 0 {
		return err
	}
	if len(in) > 1 {
		return n.fail("the input must be one value, but there are %d", len(in))
	}
	if name, ok := strings.CutPrefix(url, typeURL); ok {
		if t := r.model.typ(name); t != nil {
			r.push(Bool(in[0].typ.Is(t)))
			return nil
		}
	}
	if r.conforms != nil {
		conforms, known, err := r.conforms(r.ctx, in[0], url)
		if err != nil {
			return err
		}
		if known {
			r.push(Bool(conforms))
			return nil
		}
	}
	return n.fail("the profile %s is not known", url)
}

// coding is a code with its system; the system is empty for a bare code.
type coding struct{ system, code string }

// codings are the codes of a code, Coding or CodeableConcept.
func (v *Value) codings() []coding {
	switch v.typ.name {
	case "Coding":
		return []coding{{v.node.Field("system").String(), v.node.Field("code").String()}}
	case "CodeableConcept":
		var all []coding
		for c := range v.node.Field("coding").Items() {
			all = append(all, coding{c.Field("system").String(), c.Field("code").String()})
		}
		return all
	}
	if s, ok := v.Text(); ok {
		return []coding{{"", s}}
	}
	return nil
}

// fnMemberOf says whether any of the codes is in the value set; it is empty when that cannot be told.
func (r *run) fnMemberOf(n *call, in []Value) error {
	url, ok, err := r.stringArgument(n, 0)
	if err != nil || !ok || len(in) == 0 {
		return err
	}
	if len(in) > 1 {
		return n.fail("the input must be one value, but there are %d", len(in))
	}
	result := unknown
	for _, c := range in[0].codings() {
		isIn, known, err := r.contains(url, c)
		switch {
		case err != nil:
			return err
		case isIn:
			r.push(Bool(true))
			return nil
		case known:
			result = no
		default:
			return nil
		}
	}
	r.pushTri(result)
	return nil
}

func (r *run) contains(valueSet string, c coding) (in, known bool, err error) {
	if vs := r.model.set.ValueSet(valueSet); vs != nil {
		if in, known = vs.Contains(c.system, c.code); known {
			return in, true, nil
		}
	}
	if r.memberOf != nil {
		return r.memberOf(r.ctx, valueSet, c.system, c.code)
	}
	return false, false, nil
}

// fnSubsumes is subsumes() and subsumedBy(), by the hierarchy of the code system when the definitions hold it.
func (r *run) fnSubsumes(n *call, in []Value) error {
	mark := len(r.stack)
	other, err := r.argument(n, 0)
	if err != nil || len(in) == 0 || len(other) == 0 {
		return err
	}
	if len(in) > 1 || len(other) > 1 {
		return n.fail("one code can be compared with one other")
	}
	above, below := in[0].codings(), other[0].codings()
	if n.name == "subsumedBy" {
		above, below = below, above
	}
	r.drop(mark)
	result := no
	for _, a := range above {
		for _, b := range below {
			switch r.subsumes(a, b) {
			case yes:
				r.push(Bool(true))
				return nil
			case unknown:
				result = unknown
			}
		}
	}
	r.pushTri(result)
	return nil
}

func (r *run) subsumes(a, b coding) tri {
	if a == b {
		return yes
	}
	if a.system != b.system {
		return no
	}
	cs := r.model.set.CodeSystem(a.system)
	if cs == nil || !cs.Complete() {
		return unknown
	}
	for _, code := range cs.Above(b.code) {
		if code == a.code {
			return yes
		}
	}
	return no
}

// fnCheckModifiers lets the input through if it has no modifier extension but those named.
func (r *run) fnCheckModifiers(n *call, in []Value) error {
	known := map[string]bool{}
	for i := range n.args {
		url, _, err := r.stringArgument(n, i)
		if err != nil {
			return err
		}
		known[url] = true
	}
	for i := range in {
		for ext := range in[i].holder().Field("modifierExtension").Items() {
			if url := ext.Field("url").String(); !known[url] {
				return n.fail("there is a modifier extension %s", url)
			}
		}
	}
	r.stack = append(r.stack, in...)
	return nil
}

// fnSlice keeps the elements that belong to a slice of a profile.
func (r *run) fnSlice(n *call, in []Value) error {
	structure, ok, err := r.stringArgument(n, 0)
	if err != nil || !ok {
		return err
	}
	name, ok, err := r.stringArgument(n, 1)
	if err != nil || !ok {
		return err
	}
	if r.slices == nil {
		return n.fail("the slices of %s are not known", structure)
	}
	for i := range in {
		member, known, err := r.slices(r.ctx, in[i], structure, name)
		switch {
		case err != nil:
			return err
		case !known:
			return n.fail("%s has no slice %s", structure, name)
		case member:
			r.push(in[i])
		}
	}
	return nil
}

// fnElementDefinition is what the definitions say of each element: its path, how often it may occur, and its types.
func (r *run) fnElementDefinition(_ *call, in []Value) error {
	for i := range in {
		owner, name := r.owner(&in[i])
		if owner == nil || owner.def == nil {
			continue
		}
		e, _, ok := owner.def.Element(name)
		if !ok {
			continue
		}
		maximum := "*"
		if e.Max >= 0 {
			maximum = Integer(int64(e.Max)).String()
		}
		types := make([]any, 0, len(e.Types))
		for _, t := range e.Types {
			types = append(types, fhir.Obj("code", t.Code))
		}
		made, err := fhir.Obj("resourceType", "Basic", "definition", fhir.Obj("path", e.Path, "min", e.Min, "max", maximum,
			"type", fhir.Arr(types...))).Resource()
		if err != nil {
			return err
		}
		r.push(Value{typ: r.model.typOrUnknown("ElementDefinition"), node: made.Get("definition")})
	}
	return r.tick(10 * len(in))
}

// owner is the type of the object that holds v, and the JSON name under which it does.
func (r *run) owner(v *Value) (*Type, string) {
	n := v.node
	if !n.Exists() {
		n = v.under
	}
	var names []string
	for at := n; at.Exists() && (at == n || !at.Field("resourceType").Exists()); at = at.Parent() {
		if name := at.Name(); name != "" {
			names = append(names, strings.TrimPrefix(name, "_"))
		}
	}
	resource := nearestResource(Value{node: n.Parent()})
	if len(names) == 0 || !resource.Exists() {
		return nil, ""
	}
	t := r.model.resource(resource).typ
	for i := len(names) - 1; i > 0; i-- {
		c, ok := t.memberOf(names[i])
		if !ok {
			return nil, ""
		}
		t = c.typ
	}
	return t, names[0]
}
