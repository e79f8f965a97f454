package definition

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// CodeSystem is a set of codes with their hierarchy, as far as it is held. It is shared and must not be changed.
type CodeSystem struct {
	URL, Version, Name string
	// Content is complete, not-present, example, fragment or supplement.
	Content string
	// CaseInsensitive systems treat "A" and "a" as one code.
	CaseInsensitive bool
	// Concepts are in the published order, a parent before its children.
	Concepts []Concept

	sorted func() []int32
}

// Concept is one code.
type Concept struct {
	Code, Display string
	// Depth is 0 at the top; a concept's descendants follow it with greater depths.
	Depth int
}

// Complete says whether every code of the system is held, so that one that is missing is wrong.
func (c *CodeSystem) Complete() bool { return c.Content == "complete" && len(c.Concepts) > 0 }

// Has says whether the system holds the code.
func (c *CodeSystem) Has(code string) bool { return c.find(code) >= 0 }

// Lookup finds a concept by its code.
func (c *CodeSystem) Lookup(code string) (Concept, bool) {
	if i := c.find(code); i >= 0 {
		return c.Concepts[i], true
	}
	return Concept{}, false
}

// Above lists the code and all its ancestors, the code first: what :above matches. Empty for an unknown code.
func (c *CodeSystem) Above(code string) []string {
	at := c.find(code)
	if at < 0 {
		return nil
	}
	out := []string{c.Concepts[at].Code}
	depth := c.Concepts[at].Depth
	for i := at - 1; i >= 0 && depth > 0; i-- {
		if c.Concepts[i].Depth < depth {
			depth = c.Concepts[i].Depth
			out = append(out, c.Concepts[i].Code)
		}
	}
	return out
}

// Below lists the code and all its descendants, the code first: what :below and an is-a filter match. Empty for an
// unknown code.
func (c *CodeSystem) Below(code string) []string {
	at := c.find(code)
	if at < 0 {
		return nil
	}
	out := []string{c.Concepts[at].Code}
	for i := at + 1; i < len(c.Concepts) && c.Concepts[i].Depth > c.Concepts[at].Depth; i++ {
		out = append(out, c.Concepts[i].Code)
	}
	return out
}

func (c *CodeSystem) compare(a, b string) int {
	if c.CaseInsensitive {
		a, b = strings.ToLower(a), strings.ToLower(b)
	}
	return cmp.Compare(a, b)
}

// find is the place of a code in Concepts, or -1.
func (c *CodeSystem) find(code string) int {
	order := c.sorted()
	i, ok := slices.BinarySearchFunc(order, code, func(at int32, code string) int {
		return c.compare(c.Concepts[at].Code, code)
	})
	if !ok {
		return -1
	}
	return int(order[i])
}

// index prepares lookups by code, on first use.
func (c *CodeSystem) index() *CodeSystem {
	c.sorted = sync.OnceValue(func() []int32 {
		order := make([]int32, len(c.Concepts))
		for i := range order {
			order[i] = int32(i)
		}
		slices.SortStableFunc(order, func(a, b int32) int { return c.compare(c.Concepts[a].Code, c.Concepts[b].Code) })
		return order
	})
	return c
}

// ValueSet is a selection of codes. It is shared and must not be changed.
type ValueSet struct {
	URL, Version, Name string
	Include, Exclude   []Include

	set   *Set
	codes func() flat
}

// Include is one clause of a value set's definition: codes of one system that pass every filter and are in every
// value set named.
type Include struct {
	System string
	// Codes are listed one by one; when there are none and no filters, the whole system is meant.
	Codes     []string
	Filters   []Filter
	ValueSets []string
}

// Filter selects codes by a property.
type Filter struct{ Property, Op, Value string }

// Code is a code in its system.
type Code struct{ System, Code string }

// flat is an expansion, for quick answers; ok is false when it cannot be had.
type flat struct {
	codes map[Code]struct{}
	bare  map[string]struct{}
	list  []Code
	ok    bool
}

// verdict is what is known of a membership.
type verdict uint8

const (
	no verdict = iota
	yes
	unknown
)

func verdictOf(in bool) verdict {
	if in {
		return yes
	}
	return no
}

// Contains says whether the value set holds a code, and whether that is known. An empty system asks for the code in
// any of the set's systems, as for an element of type code. Systems that are not held here (SNOMED CT, LOINC) give
// known = false, unless the code does not even have their form (a language tag, a media type, a unit).
func (v *ValueSet) Contains(system, code string) (in, known bool) {
	if f := v.codes(); f.ok {
		if system == "" {
			_, in = f.bare[code]
		} else {
			_, in = f.codes[Code{system, code}]
		}
		if in {
			return true, true
		}
	}
	r := v.holds(system, code, 0)
	return r == yes, r != unknown
}

// Codes lists every code of the value set; ok is false when they cannot all be told.
func (v *ValueSet) Codes() (codes []Code, ok bool) {
	f := v.codes()
	return f.list, f.ok
}

// Known says whether every membership of the value set can be told.
func (v *ValueSet) Known() bool { return v.codes().ok }

// maxNesting bounds value sets that include one another.
const maxNesting = 16

func (v *ValueSet) holds(system, code string, depth int) verdict {
	if depth > maxNesting {
		return unknown
	}
	in := anyOf(v.set, v.Include, system, code, depth)
	if in == no || len(v.Exclude) == 0 {
		return in
	}
	switch anyOf(v.set, v.Exclude, system, code, depth) {
	case yes:
		return no
	case unknown:
		return unknown
	}
	return in
}

func anyOf(s *Set, clauses []Include, system, code string, depth int) verdict {
	result := no
	for i := range clauses {
		switch clauses[i].holds(s, system, code, depth) {
		case yes:
			return yes
		case unknown:
			result = unknown
		}
	}
	return result
}

func (c *Include) holds(s *Set, system, code string, depth int) verdict {
	result := yes
	if c.System != "" {
		if system != "" && system != c.System {
			return no
		}
		result = c.ofSystem(s, code)
	}
	for _, url := range c.ValueSets {
		other := unknown
		if vs := s.ValueSet(url); vs != nil {
			other = vs.holds(system, code, depth+1)
		}
		if other == no {
			return no
		}
		if other == unknown {
			result = unknown
		}
	}
	return result
}

func (c *Include) ofSystem(s *Set, code string) verdict {
	cs := s.CodeSystem(c.System)
	if len(c.Codes) > 0 {
		if slices.Contains(c.Codes, code) {
			return yes
		}
		if cs == nil || !cs.CaseInsensitive {
			return no
		}
		return verdictOf(slices.ContainsFunc(c.Codes, func(x string) bool { return strings.EqualFold(x, code) }))
	}
	if cs == nil || !cs.Complete() {
		if !plausible(c.System, code) {
			return no
		}
		if cs != nil && len(c.Filters) == 0 && cs.Has(code) {
			return yes
		}
		return unknown
	}
	if !cs.Has(code) {
		return no
	}
	result := yes
	for _, f := range c.Filters {
		switch f.holds(cs, code) {
		case no:
			return no
		case unknown:
			result = unknown
		}
	}
	return result
}

// holds applies one filter (https://hl7.org/fhir/R4/valueset-filter-operator.html) to a code that the system holds.
func (f Filter) holds(cs *CodeSystem, code string) verdict {
	if f.Property == "code" && f.Op == "regex" {
		re, err := regexp.Compile("^(?:" + f.Value + ")$")
		if err != nil {
			return unknown
		}
		return verdictOf(re.MatchString(code))
	}
	if f.Property != "concept" && f.Property != "code" {
		return unknown
	}
	switch f.Op {
	case "=":
		return verdictOf(cs.compare(code, f.Value) == 0)
	case "is-a":
		return verdictOf(slices.Contains(cs.Below(f.Value), code))
	case "is-not-a":
		return verdictOf(!slices.Contains(cs.Below(f.Value), code))
	case "descendent-of":
		return verdictOf(cs.compare(code, f.Value) != 0 && slices.Contains(cs.Below(f.Value), code))
	case "generalizes":
		return verdictOf(slices.Contains(cs.Above(f.Value), code))
	case "in":
		return verdictOf(slices.Contains(strings.Split(f.Value, ","), code))
	case "not-in":
		return verdictOf(!slices.Contains(strings.Split(f.Value, ","), code))
	}
	return unknown
}

// bind readies a value set to answer within s.
func (v *ValueSet) bind(s *Set) *ValueSet {
	v.set = s
	v.codes = sync.OnceValue(func() flat {
		f := flat{ok: true, codes: map[Code]struct{}{}, bare: map[string]struct{}{}}
		v.expand(&f)
		if !f.ok {
			return flat{}
		}
		return f
	})
	return v
}

// expand lists the codes into f, or sets f.ok false when a clause cannot be listed.
func (v *ValueSet) expand(f *flat) {
	for i := range v.Include {
		candidates, ok := v.Include[i].candidates(v.set)
		if !ok {
			f.ok = false
			return
		}
		for _, c := range candidates {
			if _, had := f.codes[c]; had {
				continue
			}
			switch v.holds(c.System, c.Code, 0) {
			case unknown:
				f.ok = false
				return
			case yes:
				f.codes[c] = struct{}{}
				f.bare[c.Code] = struct{}{}
				f.list = append(f.list, c)
			}
		}
	}
}

// candidates lists codes among which those of the clause are.
func (c *Include) candidates(s *Set) ([]Code, bool) {
	var out []Code
	switch {
	case c.System != "" && len(c.Codes) > 0:
		for _, code := range c.Codes {
			out = append(out, Code{c.System, code})
		}
		return out, true
	case c.System != "":
		cs := s.CodeSystem(c.System)
		if cs == nil || !cs.Complete() {
			return nil, false
		}
		for i := range cs.Concepts {
			out = append(out, Code{c.System, cs.Concepts[i].Code})
		}
		return out, true
	case len(c.ValueSets) > 0:
		vs := s.ValueSet(c.ValueSets[0])
		if vs == nil {
			return nil, false
		}
		return vs.Codes()
	}
	return nil, false
}

// Forms of codes in systems that are too large, or too free, to be held.
var (
	languageTag = regexp.MustCompile(`^[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*$`)
	mediaType   = regexp.MustCompile(`^[A-Za-z0-9!#$&^_.+-]+(/[A-Za-z0-9!#$&^_.+-]+)?(\s*;\s*[A-Za-z0-9!#$&^_.+-]+=("[^"]*"|[^\s;"]+))*$`)
	unitCode    = regexp.MustCompile(`^[\x21-\x7e]+$`)
	currency    = regexp.MustCompile(`^[A-Z]{3}$`)
	digits      = regexp.MustCompile(`^[0-9]{6,18}$`)
)

// plausible says whether a code has the form that its system's codes have (BCP 47 tags, BCP 13 media types, UCUM
// units, ISO 4217 currencies, SNOMED CT identifiers or expressions); true for systems whose form is not known.
func plausible(system, code string) bool {
	switch system {
	case "urn:ietf:bcp:47":
		return languageTag.MatchString(code)
	case "urn:ietf:bcp:13":
		return mediaType.MatchString(code)
	case "http://unitsofmeasure.org":
		return unitCode.MatchString(code) && balanced(code)
	case "urn:iso:std:iso:4217":
		return currency.MatchString(code)
	case "http://snomed.info/sct":
		return digits.MatchString(code) || strings.ContainsAny(code, ":+{}|=")
	}
	return true
}

// balanced says whether a UCUM unit's brackets pair up and do not nest within their own kind.
func balanced(code string) bool {
	var open []byte
	for i := range len(code) {
		switch c := code[i]; c {
		case '(', '[', '{':
			open = append(open, c)
		case ')', ']', '}':
			if len(open) == 0 || open[len(open)-1] != map[byte]byte{')': '(', ']': '[', '}': '{'}[c] {
				return false
			}
			open = open[:len(open)-1]
		}
	}
	return len(open) == 0
}

// codeSystem draws the facts out of a CodeSystem resource.
func codeSystem(r *tree) *CodeSystem {
	c := &CodeSystem{URL: r.val("url"), Version: r.val("version"), Name: r.val("name"), Content: r.val("content")}
	c.CaseInsensitive = r.val("caseSensitive") == "false"
	var walk func(list []*tree, depth int)
	walk = func(list []*tree, depth int) {
		for _, k := range list {
			c.Concepts = append(c.Concepts, Concept{Code: k.val("code"), Display: k.val("display"), Depth: depth})
			walk(k.all("concept"), depth+1)
		}
	}
	walk(r.all("concept"), 0)
	return c
}

// valueSet draws the facts out of a ValueSet resource: its compose, or failing that its expansion.
func valueSet(r *tree) *ValueSet {
	v := &ValueSet{URL: r.val("url"), Version: r.val("version"), Name: r.val("name")}
	compose := r.get("compose")
	for _, i := range compose.all("include") {
		v.Include = append(v.Include, include(i))
	}
	for _, i := range compose.all("exclude") {
		v.Exclude = append(v.Exclude, include(i))
	}
	if compose == nil {
		v.Include = expansion(r.get("expansion"))
	}
	return v
}

func include(i *tree) Include {
	c := Include{System: i.val("system")}
	for _, k := range i.all("concept") {
		c.Codes = append(c.Codes, k.val("code"))
	}
	for _, f := range i.all("filter") {
		c.Filters = append(c.Filters, Filter{f.val("property"), f.val("op"), f.val("value")})
	}
	for _, u := range i.vals("valueSet") {
		c.ValueSets = append(c.ValueSets, unversioned(u))
	}
	return c
}

// expansion gathers an expansion's codes by system, in order of appearance.
func expansion(e *tree) []Include {
	var out []Include
	var walk func(list []*tree)
	walk = func(list []*tree) {
		for _, k := range list {
			system := k.val("system")
			at := slices.IndexFunc(out, func(c Include) bool { return c.System == system })
			if at < 0 {
				out = append(out, Include{System: system})
				at = len(out) - 1
			}
			if code := k.val("code"); code != "" && k.val("abstract") != "true" {
				out[at].Codes = append(out[at].Codes, code)
			}
			walk(k.all("contains"))
		}
	}
	walk(e.all("contains"))
	return out
}
