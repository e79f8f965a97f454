package fhirpath

// matchesType says whether v is of one of the types or specialises it.
func (s *typeSpec) is(v *Value) bool {
	for _, t := range s.types {
		if v.typ.Is(t) {
			return true
		}
	}
	return false
}

// chooses says whether as and ofType let v through: a primitive only as itself (a code is a string, but is not given
// as one), anything else as its ancestors too.
func (s *typeSpec) chooses(v *Value) bool {
	for _, t := range s.types {
		if v.typ == t || !v.typ.primitive && v.typ.Is(t) {
			return true
		}
	}
	return false
}

func (r *run) isType(s *typeSpec, in []Value, at int) error {
	if len(in) > 1 {
		return failure(Execution, at, "is needs one value, but there are %d", len(in))
	}
	if len(in) == 1 {
		r.push(Bool(s.is(&in[0])))
	}
	return nil
}

// asType keeps the values of the type. Strictly there may be one only; plainly, as FHIR's search parameters use it,
// as is ofType by another name.
func (r *run) asType(s *typeSpec, in []Value, at int) error {
	if r.strict && len(in) > 1 {
		return failure(Execution, at, "as needs one value, but there are %d; ofType() takes many", len(in))
	}
	for i := range in {
		if s.chooses(&in[i]) {
			r.push(in[i])
		}
	}
	return nil
}

func (r *run) fnIs(n *call, in []Value) error { return r.isType(&n.types, in, n.at) }
func (r *run) fnAs(n *call, in []Value) error { return r.asType(&n.types, in, n.at) }

func (r *run) fnOfType(n *call, in []Value) error {
	for i := range in {
		if n.types.chooses(&in[i]) {
			r.push(in[i])
		}
	}
	return nil
}

func (r *run) fnType(_ *call, in []Value) error {
	for i := range in {
		info := typeClass
		if in[i].isSystem() || in[i].typ.primitive {
			info = typeSimple
		}
		r.push(Value{typ: info, ref: in[i].typ})
	}
	return nil
}
