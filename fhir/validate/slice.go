package validate

import (
	"slices"
	"strings"

	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/fhir/definition"
)

// byURL is how extensions are always sliced, and byType how the value of a choice is when nothing is said.
var (
	byURL  = &definition.Slicing{Rules: "open", Discriminators: []definition.Discriminator{{Type: "value", Path: "url"}}}
	byType = &definition.Slicing{Rules: "open", Discriminators: []definition.Discriminator{{Type: "type", Path: "$this"}}}
)

// toldApart is how the slices of an element are told apart; nil when it has none, or nobody says.
func toldApart(pc *piece) *definition.Slicing {
	switch {
	case len(pc.slices) == 0:
		return nil
	case pc.slicing != nil && len(pc.slicing.Discriminators) > 0:
		return pc.slicing
	case pc.name == "extension" || pc.name == "modifierExtension":
		return byURL
	case pc.choice:
		return byType
	}
	return nil
}

// slicesOf looks at each value of an element: as one of the slice that it belongs to, or of the element alone.
func (p *profiler) slicesOf(t thing, pc *piece, list []thing) {
	how := toldApart(pc)
	if how == nil {
		for _, item := range list {
			p.one(item, pc)
		}
		return
	}
	count := make([]int, len(pc.slices))
	last, outside := -1, false
	for _, item := range list {
		at := slices.IndexFunc(pc.slices, func(s *piece) bool { return p.belongs(item, s, how) })
		if at < 0 {
			outside = true
			p.one(item, pc)
			if how.Rules == "closed" {
				p.wrong("structure", item.at, "The profile allows only the slices "+sliceNames(pc)+" of "+pc.name+", and this is none of them.")
			}
			continue
		}
		if outside && how.Rules == "openAtEnd" {
			p.wrong("structure", item.at, "What is in none of the slices "+sliceNames(pc)+" comes after them.")
		}
		if how.Ordered && at < last {
			p.wrong("structure", item.at, "The slices of "+pc.name+" come in the order "+sliceNames(pc)+".")
		}
		last = max(last, at)
		count[at]++
		p.one(item, pc.slices[at])
	}
	for i, s := range pc.slices {
		if count[i] < s.min {
			p.wrong("required", t.at+"."+pc.name, "The profile needs "+counted(s.min)+" of slice "+s.slice+" of "+pc.name+", and there "+are(count[i])+".")
		}
		if s.max >= 0 && count[i] > s.max {
			p.wrong("structure", t.at+"."+pc.name, "The profile allows "+atMost(s.max)+" of slice "+s.slice+" of "+pc.name+", and there "+are(count[i])+".")
		}
	}
}

func sliceNames(pc *piece) string {
	var names []string
	for _, s := range pc.slices {
		names = append(names, s.slice)
	}
	return strings.Join(names, ", ")
}

// belongs says whether a value is of a slice: all discriminators agree.
func (p *profiler) belongs(t thing, s *piece, how *definition.Slicing) bool {
	for _, d := range how.Discriminators {
		g := goal{pieces: []*piece{s}}
		found := []thing{t}
		for _, step := range steps(d.Path) {
			g, found = p.follow(g, step), p.reach(found, step)
		}
		if !p.agrees(d.Type, g, found) {
			return false
		}
	}
	return true
}

// goal is what a slice says where a discriminator leads: pieces of the profile, and parts of given values on the way.
type goal struct {
	pieces []*piece
	given  []*definition.Value
	// url is what an extension's slice says by the profile of its type alone.
	url string
	// named are the profiles that stood at the goal or, behind resolve(), that the target is to keep to.
	targets []string
}

// steps parts a discriminator's path: "resolve().code" into two, without $this.
func steps(path string) []string {
	var out []string
	depth, from := 0, 0
	for i := 0; i <= len(path); i++ {
		if i < len(path) && path[i] == '(' {
			depth++
		}
		if i < len(path) && path[i] == ')' {
			depth--
		}
		if i == len(path) || path[i] == '.' && depth == 0 {
			if step := path[from:i]; step != "" && step != "$this" {
				out = append(out, step)
			}
			from = i + 1
		}
	}
	return out
}

// follow takes one step of a discriminator through the profile.
func (p *profiler) follow(g goal, step string) goal {
	name, argument := call(step)
	var next goal
	for _, pc := range g.pieces {
		if name == "resolve" {
			for _, ref := range pc.types {
				for _, url := range ref.Targets {
					next.targets = append(next.targets, url)
					if m := p.mould(url); m != nil {
						next.pieces = append(next.pieces, m.root)
					}
				}
			}
			continue
		}
		if name == "ofType" {
			next.pieces = append(next.pieces, pc)
			continue
		}
		if k := pc.kid(name); k != nil {
			next.pieces = append(next.pieces, sliced(k, argument)...)
		}
		for _, v := range []*definition.Value{pc.fixed, pc.pattern} {
			if inner := partOf(v, name); inner != nil {
				next.given = append(next.given, inner)
			}
		}
		for _, ref := range pc.types {
			for _, url := range ref.Profiles {
				m := p.mould(url)
				if m != nil {
					if k := m.root.kid(name); k != nil {
						next.pieces = append(next.pieces, k)
					}
				}
				if name == "url" && ref.Code == "Extension" && m == nil {
					next.url = url
				}
			}
		}
	}
	for _, v := range g.given {
		if inner := partOf(v, name); inner != nil {
			next.given = append(next.given, inner)
		}
	}
	return next
}

// sliced is a piece, or those of its slices that are for an extension's URL.
func sliced(k *piece, url string) []*piece {
	if url == "" {
		return []*piece{k}
	}
	var out []*piece
	for _, s := range k.slices {
		for _, ref := range s.types {
			if slices.Contains(ref.Profiles, url) {
				out = append(out, s)
			}
		}
	}
	return out
}

// call reads a step that may be a function: extension('http://…').
func call(step string) (name, argument string) {
	name, rest, ok := strings.Cut(step, "(")
	if !ok {
		return step, ""
	}
	return name, strings.Trim(strings.TrimSuffix(rest, ")"), `'"`)
}

// reach takes one step of a discriminator through the document.
func (p *profiler) reach(from []thing, step string) []thing {
	name, argument := call(step)
	var out []thing
	for _, t := range from {
		switch name {
		case "resolve":
			if target, ok := p.target(t); ok {
				out = append(out, target)
			}
		case "ofType":
			if t.code == argument || t.typ == argument {
				out = append(out, t)
			}
		default:
			for _, m := range p.members(t, name) {
				if argument == "" || m.node.Field("url").String() == argument {
					out = append(out, m)
				}
			}
		}
	}
	return out
}

// agrees says whether what was found is what the slice says.
func (p *profiler) agrees(kind string, g goal, found []thing) bool {
	switch kind {
	case "exists":
		for _, pc := range g.pieces {
			if pc.max == 0 {
				return len(found) == 0
			}
			if pc.min > 0 {
				return len(found) > 0
			}
		}
		return true
	case "type":
		return slices.ContainsFunc(found, func(t thing) bool { return p.ofType(t, g) })
	case "profile":
		return slices.ContainsFunc(found, func(t thing) bool { return p.ofProfile(t, g) })
	}
	return slices.ContainsFunc(found, func(t thing) bool { return p.ofValue(t, g) })
}

// ofValue says whether a value is what is fixed, holds the pattern, or is of the value set, at the goal.
func (p *profiler) ofValue(t thing, g goal) bool {
	if g.url != "" && t.node.String() != g.url {
		return false
	}
	for _, v := range g.given {
		if !holds(v, t.node) {
			return false
		}
	}
	for _, pc := range g.pieces {
		if pc.fixed != nil && !same(pc.fixed, t.node) || pc.pattern != nil && !holds(pc.pattern, t.node) {
			return false
		}
		if b := pc.binding; b != nil && b.Strength == "required" && pc.fixed == nil && pc.pattern == nil && !p.trial(func() { p.bound(t, b) }) {
			return false
		}
	}
	return true
}

func (p *profiler) ofType(t thing, g goal) bool {
	said := false
	for _, pc := range g.pieces {
		for _, ref := range pc.types {
			said = true
			if ref.Code == t.code || ref.Code == t.typ || p.set.IsA(t.typ, ref.Code) {
				return true
			}
		}
	}
	for _, url := range g.targets {
		said = true
		if p.typeOf(url) == t.typ || p.typeOf(url) == "" {
			return true
		}
	}
	return !said
}

func (p *profiler) ofProfile(t thing, g goal) bool {
	urls := slices.Clone(g.targets)
	for _, pc := range g.pieces {
		for _, ref := range pc.types {
			urls = append(urls, ref.Profiles...)
		}
	}
	for _, url := range urls {
		yes, known := p.conforms(t, url)
		if yes || !known && p.typeOf(url) == t.typ {
			return true
		}
	}
	return len(urls) == 0
}

// typeOf is the type that a target's name or profile is for; "" when it is not known.
func (p *profiler) typeOf(url string) string {
	if !strings.Contains(url, "/") {
		return url
	}
	if profile := p.set.Profile(url); profile != nil {
		return profile.Type
	}
	return ""
}

// typed looks at the type of a value, and at the profiles that the profile gives for it. It is false when the type is wrong.
func (p *profiler) typed(t thing, pc *piece) bool {
	at := slices.IndexFunc(pc.types, func(ref definition.TypeRef) bool {
		return ref.Code == t.code || ref.Code == t.typ || t.el == nil && p.set.IsA(t.typ, ref.Code)
	})
	if at < 0 {
		if t.code == "" || pc.types[0].Code == "" {
			return true
		}
		var names []string
		for _, ref := range pc.types {
			names = append(names, ref.Code)
		}
		p.wrong("value", t.at, "The profile allows "+orList(names)+" here, not "+t.code+".")
		return false
	}
	ref := pc.types[at]
	if len(ref.Profiles) > 0 && t.code != "Extension" { // an extension is held to its definition wherever it stands
		p.oneOf(t, ref.Profiles)
	}
	if len(ref.Targets) > 0 && (t.code == "Reference" || t.code == "canonical") {
		p.targeted(t, ref.Targets)
	}
	return true
}

// oneOf holds a value to a profile or, of several, to any of them.
func (p *profiler) oneOf(t thing, urls []string) {
	if len(urls) == 1 {
		if p.mould(urls[0]) != nil {
			p.hold(t, urls[0], t.at, "warning")
		}
		return
	}
	for _, url := range urls {
		if yes, known := p.conforms(t, url); yes || !known {
			return
		}
	}
	p.wrong("structure", t.at, "This keeps to none of the profiles that are asked for here.")
}

// targeted looks at what a reference leads to: its type and, where it leads to another part of the document, its profile.
func (p *profiler) targeted(t thing, urls []string) {
	address := t.node.Field("reference")
	if t.code != "Reference" || address.Kind() != fhir.String {
		return
	}
	target, resolved := p.target(t)
	typ := target.typ
	if !resolved {
		if typ, _ = p.targetType(address.String()); typ == "" {
			typ = t.node.Field("type").String()
		}
	}
	if typ == "" {
		return
	}
	var names []string
	for _, url := range urls {
		allowed := p.typeOf(url)
		if allowed == "" || allowed == "Resource" || allowed == typ && !resolved {
			return
		}
		names = append(names, allowed)
		if allowed != typ {
			continue
		}
		if yes, known := p.conforms(target, url); yes || !known {
			return
		}
		p.wrong("structure", t.at, "What this refers to does not keep to the profile "+quotedURL(url)+".")
		return
	}
	p.wrong("value", t.at+".reference", "The profile allows a reference to "+orList(names)+" here, not to "+quoted(typ)+".")
}

// target is what a reference leads to within the document: a contained resource, or another entry of the Bundle.
func (p *profiler) target(t thing) (thing, bool) {
	address := t.node.Field("reference").String()
	if address == "" {
		return thing{}, false
	}
	if id, local := strings.CutPrefix(address, "#"); local {
		if id == "" {
			return whole(t.home, t.at), true
		}
		for n := range t.home.Field("contained").Items() {
			if n.Field("id").String() == id {
				found := whole(n, t.at+".resolve()")
				found.home = t.home
				return found, true
			}
		}
		return thing{}, false
	}
	for e := range p.root.node.Field("entry").Items() {
		full, res := e.Field("fullUrl").String(), e.Field("resource")
		if res.Exists() && (full == address || strings.HasSuffix(full, "/"+address) || res.Field("resourceType").String()+"/"+res.Field("id").String() == address) {
			return whole(res, t.at+".resolve()"), true
		}
	}
	return thing{}, false
}
