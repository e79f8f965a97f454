package record

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir/definition"
	"github.com/openspine/openspine/fhir/search"
)

// values understands the alternatives of a parameter, and settles its form by the modifier.
func (p *parser) values(c *cond, text string) error {
	if err := p.modifier(c); err != nil {
		return err
	}
	if c.form == formIn {
		url, err := p.valueSet(c, text)
		if err != nil {
			return err
		}
		c.set = url
		return nil
	}
	alternatives := split(text, ',')
	if c.param.Code == "_text" || c.param.Code == "_content" {
		alternatives = []string{text}
	}
	for _, alternative := range alternatives {
		v, err := p.value(c, alternative)
		if err != nil {
			return fault.New(fault.Invalid, "%s: %s", c.name(), fault.MessageOf(err))
		}
		c.values = append(c.values, v)
	}
	if c.form == formToken && (c.modifier == "above" || c.modifier == "below") {
		return p.hierarchy(c)
	}
	return nil
}

func (c *cond) name() string {
	if c.modifier != "" {
		return c.code + ":" + c.modifier
	}
	return c.code
}

// modifiers that each form understands, :missing apart.
var modifiers = map[form][]string{
	formToken:     {"not", "text", "in", "not-in", "above", "below", "of-type"},
	formString:    {"exact", "contains"},
	formURI:       {"above", "below"},
	formReference: {"identifier"},
}

// mayBeMissing says whether :missing can be asked of the parameter: of what a resource may or may not say, by a value of its own.
func (c *cond) mayBeMissing() bool {
	return c.form != formComposite && c.form != formID && c.form != formUpdated && c.form != formText
}

func (c *cond) knownModifiers() string {
	known := slices.Clone(modifiers[c.form])
	if c.mayBeMissing() {
		known = append(known, "missing")
	}
	if len(known) == 0 {
		return "it knows none"
	}
	return "it knows " + strings.Join(known, ", ")
}

func (p *parser) modifier(c *cond) error {
	switch {
	case c.modifier == "":
		return nil
	case c.modifier == "missing" && c.mayBeMissing():
		c.form = formMissing
		return nil
	case c.form == formReference && p.defs.IsResource(c.modifier):
		if !mayPointAt(c.param, c.modifier) {
			return fault.New(fault.Invalid, "%s: %s does not refer to a %s.", c.name(), c.code, c.modifier)
		}
		return nil
	case !slices.Contains(modifiers[c.form], c.modifier):
		return fault.New(fault.Invalid, "%s: there is no such modifier for %s; %s.", c.name(), c.code, c.knownModifiers())
	}
	switch c.modifier {
	case "in", "not-in":
		c.form = formIn
	case "text":
		c.form = formTokenText
	case "of-type":
		c.form = formOfType
	case "identifier":
		c.form = formIdentifier
	}
	return nil
}

func (p *parser) valueSet(c *cond, url string) (*definition.ValueSet, error) {
	set := p.defs.ValueSet(url)
	if set == nil {
		return nil, fault.New(fault.Invalid, "%s: the value set %s is not known here.", c.name(), url)
	}
	if !set.Known() {
		return nil, fault.New(fault.Invalid, "%s: the value set %s takes codes from a code system that is not held here, so which codes are in it cannot be told.", c.name(), url)
	}
	return set, nil
}

// hierarchy replaces codes by themselves and what is above or below them in their code system.
func (p *parser) hierarchy(c *cond) error {
	var all []value
	for _, v := range c.values {
		cs := p.defs.CodeSystem(v.system)
		if v.system == "" || cs == nil {
			return fault.New(fault.Invalid, "%s: the code system %q is not known here; write system|code.", c.name(), v.system)
		}
		switch {
		case !cs.Complete():
			return fault.New(fault.Invalid, "%s: what is above and below a code of %s cannot be told, for that code system is not held here.", c.name(), v.system)
		case !cs.Has(v.code):
			return fault.New(fault.Invalid, "%s: there is no code %q in %s.", c.name(), v.code, v.system)
		}
		codes := cs.Below(v.code)
		if c.modifier == "above" {
			codes = cs.Above(v.code)
		}
		for _, code := range codes {
			all = append(all, value{system: v.system, code: code})
		}
	}
	c.values = all
	return nil
}

// value understands one alternative.
func (p *parser) value(c *cond, text string) (value, error) {
	if text == "" {
		return value{}, fault.New(fault.Invalid, "an alternative is empty")
	}
	switch c.form {
	case formToken, formIdentifier:
		return tokenValue(text), nil
	case formOfType:
		return ofTypeValue(text)
	case formString, formTokenText, formText:
		s := unescape(text)
		return value{text: s, folded: search.Fold(s)}, nil
	case formID:
		return value{text: strings.TrimPrefix(unescape(text), "|")}, nil
	case formMissing:
		if text != "true" && text != "false" {
			return value{}, fault.New(fault.Invalid, "write true or false, not %q", text)
		}
		return value{missing: text == "true"}, nil
	case formDate, formUpdated:
		return dateValue(text)
	case formNumber:
		return numberValue(text)
	case formQuantity:
		return quantityValue(text)
	case formReference:
		return p.referenceValue(c, unescape(text))
	case formURI:
		return value{text: unescape(text)}, nil
	case formNear:
		return nearValue(text)
	case formComposite:
		return p.compositeValue(c, text)
	}
	return value{}, fault.New(fault.Internal, "a parameter of no form")
}

func tokenValue(text string) value {
	parts := split(text, '|')
	if len(parts) == 1 {
		return value{anySystem: true, code: unescape(text)}
	}
	return value{system: unescape(parts[0]), code: unescape(strings.Join(parts[1:], "|"))}
}

func ofTypeValue(text string) (value, error) {
	parts := split(text, '|')
	if len(parts) != 3 || parts[1] == "" || parts[2] == "" {
		return value{}, fault.New(fault.Invalid, "write system|type|value")
	}
	return value{system: unescape(parts[0]), text: unescape(parts[1]), code: unescape(parts[2])}, nil
}

var prefixes = []string{"eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"}

func cutPrefix(text string) (prefix, rest string) {
	if len(text) > 2 && slices.Contains(prefixes, text[:2]) {
		return text[:2], text[2:]
	}
	return "eq", text
}

func dateValue(text string) (value, error) {
	prefix, rest := cutPrefix(text)
	rest = strings.ReplaceAll(rest, " ", "+") // a plus that was not escaped in the URL
	d, err := search.ParseDate(rest, time.UTC)
	if err != nil {
		return value{}, err
	}
	return value{prefix: prefix, lo: d.Lo, hi: d.Hi}, nil
}

func numberValue(text string) (value, error) {
	prefix, rest := cutPrefix(text)
	n, err := search.ParseNumber(rest)
	if err != nil {
		return value{}, err
	}
	return value{prefix: prefix, number: n}, nil
}

func quantityValue(text string) (value, error) {
	parts := split(text, '|')
	v, err := numberValue(parts[0])
	switch {
	case err != nil:
		return v, err
	case len(parts) == 1:
		return v, nil
	case len(parts) != 3:
		return v, fault.New(fault.Invalid, "write number|system|code, or number||unit")
	}
	v.system, v.code = unescape(parts[1]), unescape(parts[2])
	if v.system == search.UCUM {
		v.base, _ = search.Canonical(v.number, v.code)
	}
	return v, nil
}

// referenceValue understands an id, Type/id, an absolute address or a canonical one with its version.
func (p *parser) referenceValue(c *cond, text string) (value, error) {
	url, version, _ := strings.Cut(text, "|")
	ref := search.ParseReference(url)
	v := value{version: version}
	switch {
	case ref.Relative():
		if c.modifier != "" && c.modifier != ref.Type {
			return v, fault.New(fault.Invalid, "%s is no %s", text, c.modifier)
		}
		v.refs = []string{ref.Type + "/" + ref.ID}
	case strings.Contains(url, ":"):
		v.refs = []string{ref.URL}
	case checkID(url) != nil:
		return v, fault.New(fault.Invalid, "write an id, Type/id or an absolute address")
	case c.modifier != "":
		v.refs = []string{c.modifier + "/" + url}
	default:
		targets := c.param.Targets
		if len(targets) == 0 || slices.Contains(targets, "Resource") {
			targets = p.defs.ResourceTypes()
		}
		for _, target := range targets {
			v.refs = append(v.refs, target+"/"+url)
		}
	}
	return v, nil
}

// nearValue understands latitude|longitude|distance|unit; the distance is 50 km by default.
func nearValue(text string) (value, error) {
	parts := split(text, '|')
	bad := fault.New(fault.Invalid, "write latitude|longitude|distance|km (or m, [mi_us])")
	if len(parts) < 2 || len(parts) > 4 {
		return value{}, bad
	}
	v := value{km: 50}
	var err error
	if v.lat, err = strconv.ParseFloat(parts[0], 64); err != nil || math.Abs(v.lat) > 90 {
		return v, bad
	}
	if v.lon, err = strconv.ParseFloat(parts[1], 64); err != nil || math.Abs(v.lon) > 180 {
		return v, bad
	}
	if len(parts) > 2 && parts[2] != "" {
		if v.km, err = strconv.ParseFloat(parts[2], 64); err != nil || !(v.km >= 0 && v.km <= 40000) {
			return v, bad
		}
	}
	if len(parts) == 4 {
		switch parts[3] {
		case "km", "":
		case "m":
			v.km /= 1000
		case "[mi_us]", "[mi_i]", "mi":
			v.km *= 1.609344
		default:
			return v, bad
		}
	}
	return v, nil
}

// compositeValue understands a$b, each part as the parameter that it behaves as.
func (p *parser) compositeValue(c *cond, text string) (value, error) {
	parts := split(text, '$')
	if len(parts) != len(c.param.Components) {
		return value{}, fault.New(fault.Invalid, "write %d parts joined by $", len(c.param.Components))
	}
	v := value{}
	for i, part := range parts {
		sp, ok := p.defs.SearchParameterByURL(c.param.Components[i].Definition)
		if !ok {
			return v, fault.New(fault.Internal, "a composite of an unknown parameter")
		}
		inner := cond{code: sp.Code, param: sp, form: formOf(sp)}
		one, err := p.value(&inner, part)
		if err != nil {
			return v, err
		}
		v.parts = append(v.parts, one)
	}
	return v, nil
}

// split parts text at each sep that no backslash escapes. The escapes stay.
func split(text string, sep byte) []string {
	var parts []string
	start := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case sep:
			parts = append(parts, text[start:i])
			start = i + 1
		}
	}
	return append(parts, text[start:])
}

// unescape takes the backslashes away that stand before , $ | and \.
func unescape(text string) string {
	if strings.IndexByte(text, '\\') < 0 {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' && i+1 < len(text) && strings.IndexByte(`,$|\`, text[i+1]) >= 0 {
			i++
		}
		b.WriteByte(text[i])
	}
	return b.String()
}
