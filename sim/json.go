package sim

// writer appends JSON to a buffer. It is a third of what rendering a person costs with maps, and keeps the order in
// which elements stand in the published examples.
type writer struct {
	b     []byte
	comma bool // something stands before this place in the object or array
}

func (w *writer) separate() {
	if w.comma {
		w.b = append(w.b, ',')
	}
}

func (w *writer) open(c byte) {
	w.separate()
	w.b = append(w.b, c)
	w.comma = false
}

func (w *writer) close(c byte) {
	w.b = append(w.b, c)
	w.comma = true
}

// key begins an element of an object.
func (w *writer) key(name string) {
	w.separate()
	w.b = append(w.b, '"')
	w.b = append(w.b, name...)
	w.b = append(w.b, '"', ':')
	w.comma = false
}

// object and array write an element that holds what inside writes.
func (w *writer) object(name string, inside func()) { w.key(name); w.item(inside) }

func (w *writer) array(name string, inside func()) {
	w.key(name)
	w.open('[')
	inside()
	w.close(']')
}

// item writes an object as the next element of an array.
func (w *writer) item(inside func()) {
	w.open('{')
	inside()
	w.close('}')
}

// text writes a string element; an empty one is left out.
func (w *writer) text(name, value string) {
	if value != "" {
		w.key(name)
		w.value(value)
	}
}

// raw writes an element whose value is a number or a word of JSON.
func (w *writer) raw(name, value string) {
	w.key(name)
	w.b = append(w.b, value...)
	w.comma = true
}

const hexDigits = "0123456789abcdef"

// value writes a string with its escapes.
func (w *writer) value(s string) {
	w.separate()
	w.b = append(w.b, '"')
	from := 0
	for i := range len(s) {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		w.b = append(w.b, s[from:i]...)
		from = i + 1
		switch c {
		case '"', '\\':
			w.b = append(w.b, '\\', c)
		case '\n':
			w.b = append(w.b, '\\', 'n')
		default:
			w.b = append(w.b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	w.b = append(append(w.b, s[from:]...), '"')
	w.comma = true
}

// day writes a date; no day is left out.
func (w *writer) day(name string, d Day) {
	if d == 0 {
		return
	}
	w.key(name)
	w.b = append(d.append(append(w.b, '"')), '"')
	w.comma = true
}

// instant writes a date and time of day in UTC, with its offset as the published examples write it.
func (w *writer) instant(name string, d Day, minute int) {
	w.key(name)
	w.b = d.append(append(w.b, '"'))
	w.b = append(w.b, 'T', byte('0'+minute/600), byte('0'+minute/60%10), ':', byte('0'+minute%60/10), byte('0'+minute%10))
	w.b = append(w.b, ":00+00:00\""...)
	w.comma = true
}

// texts writes an array of strings; an empty one is left out.
func (w *writer) texts(name string, values []string) {
	if len(values) == 0 {
		return
	}
	w.array(name, func() {
		for _, v := range values {
			w.value(v)
		}
	})
}

// coding writes one coding; version is left out when empty.
func (w *writer) coding(system, version, code, display string) {
	w.item(func() { w.codingInside(system, version, code, display) })
}

func (w *writer) codingInside(system, version, code, display string) {
	w.text("system", system)
	w.text("version", version)
	w.text("code", code)
	w.text("display", display)
}

// concept writes a CodeableConcept of one coding.
func (w *writer) concept(name, system, code, display string) {
	w.object(name, func() { w.array("coding", func() { w.coding(system, "", code, display) }) })
}

// concepts writes an array of one CodeableConcept of one coding.
func (w *writer) concepts(name, system, code, display string) {
	w.array(name, func() {
		w.item(func() { w.array("coding", func() { w.coding(system, "", code, display) }) })
	})
}

// reference writes a literal reference within the tenant.
func (w *writer) reference(name, kind, id, display string) {
	w.object(name, func() { w.referenceInside(kind, id, display) })
}

func (w *writer) referenceInside(kind, id, display string) {
	w.key("reference")
	w.separate()
	w.b = append(w.b, '"')
	w.b = append(w.b, kind...)
	w.b = append(w.b, '/')
	w.b = append(w.b, id...)
	w.b = append(w.b, '"')
	w.comma = true
	w.text("display", display)
}

// references writes an array of one literal reference.
func (w *writer) references(name, kind, id, display string) {
	w.array(name, func() { w.item(func() { w.referenceInside(kind, id, display) }) })
}
