package replica

import (
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strings"

	"github.com/openspine/openspine/fhir"
)

// What is the nation's and what is the hospital's. An element below follows the authority while the hospital leaves it alone:
//
//	the hospital's copy is as it was copied or agreed ──► it becomes what the authority says, emptiness included
//	it says the same in other words ─────────────────────► it is left as it is, and followed from now on
//	the hospital has nothing, and never had ─────────────► it is filled
//	the hospital wrote something else ───────────────────► it stays, is shown beside what the authority says, and a person decides
//
// All other elements are the hospital's: its own numbers, next of kin, language, photograph, whatever extensions it has.

// element is one part of a Patient that is the nation's.
type element struct {
	name string
	// says is the element in a form that is equal when it means the same: what holds now, without ids and periods.
	says func(*fhir.Resource) string
	// tells where a person is: dropped when they become restricted.
	locates bool
}

// elements are those that are the nation's, in the order in which they are shown.
func elements() []element {
	return []element{
		{name: "name", says: saysNames},
		{name: "birthDate", says: plain("birthDate")},
		{name: "gender", says: plain("gender")},
		{name: "deceased", says: saysDeath},
		{name: "address", says: saysAddresses, locates: true},
		{name: "telecom", says: saysTelecoms, locates: true},
		{name: "generalPractitioner", says: saysPractice, locates: true},
	}
}

// base is what was copied and decided of each element, as fingerprints.
type base map[string]mark

// mark is that of one element. Copied is the hospital's value as it was copied from, or agreed with, the authority; Kept is the authority's
// value against which a person decided to keep the hospital's own. For "person", Kept is whom a person found to be the same.
type mark struct {
	Copied string `json:"c,omitempty"`
	Kept   string `json:"k,omitempty"`
}

// fingerprint is a text that cannot be read back; "" has one too.
func fingerprint(text string) string {
	sum := sha256.Sum256([]byte(text))
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}

// raw is the members of a Patient that an element is made of, as they stand.
func raw(r *fhir.Resource, name string) string {
	if name == "deceased" {
		return string(r.Get("deceasedDateTime").Raw()) + string(r.Get("deceasedBoolean").Raw())
	}
	return string(r.Get(name).Raw())
}

// merged is what comes of laying the authority's record over the hospital's.
type merged struct {
	patient *fhir.Resource
	base    base
	differs []string
	changed []string // elements that were copied
}

// merge lays what the authority says over the hospital's Patient. began says that the person has become restricted there since the last time.
func merge(local, national *fhir.Resource, was base, restricted, began bool) (merged, error) {
	m := merged{base: base{}}
	for k, v := range was {
		m.base[k] = v
	}
	e, root := local.Edit(), local.Root()
	for _, el := range elements() {
		switch {
		case restricted && el.locates && began:
			m.base[el.name] = mark{}
			if raw(local, el.name) != "" {
				e.Set(root, el.name, fhir.Value{})
				m.changed = append(m.changed, el.name)
			}
		case restricted && el.locates: // what the hospital has written since is its own
		case m.follows(el, local, national):
			copyElement(e, local, national, el.name)
			m.changed = append(m.changed, el.name)
		}
	}
	m.sensitivity(e, local, national, restricted)
	var err error
	m.patient, err = e.Done()
	return m, err
}

// follows decides about one element: whether it is copied.
func (m *merged) follows(el element, local, national *fhir.Resource) bool {
	here, there := raw(local, el.name), raw(national, el.name)
	was := m.base[el.name]
	mine, alone := fingerprint(here), was.Copied != "" && fingerprint(here) == was.Copied
	switch {
	case here == there:
		m.base[el.name] = mark{Copied: mine}
	case alone, here == "" && was.Copied == "":
		m.base[el.name] = mark{Copied: fingerprint(there)}
		return true
	case el.says(local) == el.says(national):
		m.base[el.name] = mark{Copied: mine}
	case was.Kept == fingerprint(el.says(national)):
	default:
		m.differs = append(m.differs, el.name)
	}
	return false
}

// copyElement puts the authority's value in the place of the hospital's.
func copyElement(e *fhir.Editor, local, national *fhir.Resource, name string) {
	if name != "deceased" {
		e.Set(local.Root(), name, valueOf(national.Get(name)))
		return
	}
	e.Set(local.Root(), "deceasedDateTime", valueOf(national.Get("deceasedDateTime")))
	e.Set(local.Root(), "deceasedBoolean", valueOf(national.Get("deceasedBoolean")))
}

func valueOf(n fhir.Node) fhir.Value {
	if !n.Exists() {
		return fhir.Value{}
	}
	return fhir.Of(n)
}

// sensitivity copies that a person is restricted, and takes back only what it copied.
func (m *merged) sensitivity(e *fhir.Editor, local, national *fhir.Resource, restricted bool) {
	const name = "sensitivity"
	here := restrictedTag(local)
	switch {
	case restricted && !here:
		setSecurity(e, local, fhir.Obj("system", confidentialitySystem, "code", confidentiality(national), "display", "restricted"))
		m.base[name] = mark{Copied: "R"}
		m.changed = append(m.changed, name)
	case !restricted && here && m.base[name].Copied == "R":
		setSecurity(e, local, fhir.Obj("system", confidentialitySystem, "code", "U", "display", "unrestricted"))
		delete(m.base, name)
		m.changed = append(m.changed, name)
	}
}

// confidentialitySystem is where the sensitivity of a record is coded.
const confidentialitySystem = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"

// confidentiality is the code of a record's sensitivity; "" when it says nothing.
func confidentiality(r *fhir.Resource) string {
	for tag := range r.Get("meta.security").Items() {
		if tag.Field("system").String() == confidentialitySystem {
			return tag.Field("code").String()
		}
	}
	return ""
}

func restrictedTag(r *fhir.Resource) bool {
	c := confidentiality(r)
	return c == "R" || c == "V"
}

// setSecurity puts one sensitivity in the place of what there is.
func setSecurity(e *fhir.Editor, local *fhir.Resource, tag fhir.Value) {
	tags := []fhir.Value{tag}
	for t := range local.Get("meta.security").Items() {
		if t.Field("system").String() != confidentialitySystem {
			tags = append(tags, fhir.Of(t))
		}
	}
	if meta := local.Get("meta"); meta.Exists() {
		e.Set(meta, "security", fhir.List(tags))
		return
	}
	e.Set(local.Root(), "meta", fhir.Obj("security", fhir.List(tags)))
}

// Where the published verification status stands, and the codes that it has in England.
const (
	statusURL    = "https://fhir.hl7.org.uk/StructureDefinition/Extension-UKCore-NHSNumberVerificationStatus"
	statusSystem = "https://fhir.hl7.org.uk/CodeSystem/UKCore-NHSNumberVerificationStatusEngland"
)

// status is the published code of a state and its display (UK Core, NHSNumberVerificationStatus); "" for a patient without a number, who
// has no identifier that could carry it.
func (s State) status() (code, display string) {
	switch s {
	case Traced, Differs, Restricted:
		return "01", "Number present and verified"
	case Untraced:
		return "02", "Number present but not traced"
	case Absent, Invalid:
		return "04", "Trace attempted - No match or multiple match found"
	case Mismatch, Superseded:
		return "05", "Trace needs to be resolved - (NHS number or patient detail conflict)"
	}
	return "", ""
}

// verified writes the state's published status beside the number, if it is not there already.
func verified(r *fhir.Resource, s State) (*fhir.Resource, error) {
	code, display := s.status()
	id := numberNode(r)
	if code == "" || !id.Exists() {
		return r, nil
	}
	list := []fhir.Value{fhir.Obj("url", statusURL, "valueCodeableConcept", fhir.Obj("coding", fhir.Arr(fhir.Obj("system", statusSystem, "code", code, "display", display))))}
	for x := range id.Field("extension").Items() {
		switch {
		case x.Field("url").String() != statusURL:
			list = append(list, fhir.Of(x))
		case x.Get("valueCodeableConcept.coding.0.code").String() == code:
			return r, nil
		}
	}
	return r.Edit().Set(id, "extension", fhir.List(list)).Done()
}

func plain(name string) func(*fhir.Resource) string {
	return func(r *fhir.Resource) string { return r.Get(name).String() }
}

// current goes through what of a list holds now.
func current(list fhir.Node, visit func(fhir.Node)) {
	for n := range list.Items() {
		if n.Get("period.end").String() == "" && n.Field("use").String() != "old" {
			visit(n)
		}
	}
}

func texts(list fhir.Node) string {
	var all []string
	for n := range list.Items() {
		if s := strings.TrimSpace(n.String()); s != "" {
			all = append(all, s)
		}
	}
	return strings.Join(all, " ")
}

// sorted is lines in an order that does not depend on theirs, each once.
func sorted(lines []string) string {
	slices.Sort(lines)
	return strings.Join(slices.Compact(lines), "\n")
}

func saysNames(r *fhir.Resource) string {
	var all []string
	current(r.Get("name"), func(n fhir.Node) {
		all = append(all, strings.ToUpper(n.Field("family").String())+", "+texts(n.Field("given"))+", "+texts(n.Field("prefix")))
	})
	return sorted(all)
}

func saysAddresses(r *fhir.Resource) string {
	var all []string
	current(r.Get("address"), func(n fhir.Node) {
		text := strings.ToUpper(texts(n.Field("line")) + " " + n.Field("city").String() + " " + n.Field("postalCode").String())
		all = append(all, strings.Join(strings.FieldsFunc(text, func(c rune) bool { return c == ' ' || c == ',' }), ""))
	})
	return sorted(all)
}

func saysTelecoms(r *fhir.Resource) string {
	var all []string
	current(r.Get("telecom"), func(n fhir.Node) {
		all = append(all, n.Field("system").String()+" "+strings.ToLower(strings.ReplaceAll(n.Field("value").String(), " ", "")))
	})
	return sorted(all)
}

func saysPractice(r *fhir.Resource) string {
	gp := r.Get("generalPractitioner.0")
	if code := gp.Get("identifier.value").String(); code != "" {
		return code
	}
	return strings.TrimPrefix(gp.Field("reference").String(), "Organization/")
}

func saysDeath(r *fhir.Resource) string {
	if at := r.Get("deceasedDateTime").String(); at != "" {
		return at[:min(10, len(at))]
	}
	if r.Get("deceasedBoolean").Bool() {
		return "dead"
	}
	return ""
}

// identity is who somebody is, for the question whether two records were found to be of one person.
func identity(r *fhir.Resource) string {
	return saysNames(r) + "\n" + r.Get("birthDate").String() + "\n" + r.Get("gender").String()
}
