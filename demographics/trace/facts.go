package trace

import (
	"context"
	"slices"
	"strings"

	"github.com/openspine/openspine/demographics"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/format"
)

// joined are the texts of a list with spaces between.
func joined(list fhir.Node) string {
	var all []string
	for n := range list.Items() {
		if s := strings.TrimSpace(n.String()); s != "" {
			all = append(all, s)
		}
	}
	return strings.Join(all, " ")
}

// nameIn is the name by which somebody goes now.
func nameIn(r *fhir.Resource) fhir.Node { return oneOf(r.Get("name"), "usual") }

// addressIn is where somebody lives now.
func addressIn(r *fhir.Resource) fhir.Node { return oneOf(r.Get("address"), "home") }

// oneOf is the item with a use, or the first that is not a former one.
func oneOf(list fhir.Node, use string) fhir.Node {
	var first fhir.Node
	for n := range list.Items() {
		switch u := n.Field("use").String(); {
		case u == use:
			return n
		case !first.Exists() && u != "old" && u != "maiden":
			first = n
		}
	}
	return first
}

// telecomIn is the first way of a kind to reach somebody; an empty use is any.
func telecomIn(r *fhir.Resource, system, use string) fhir.Node {
	for t := range r.Get("telecom").Items() {
		if t.Field("system").String() == system && (use == "" && t.Field("use").String() != "old" || t.Field("use").String() == use) {
			return t
		}
	}
	return fhir.Node{}
}

// extensionIn is the extension with a url, also of an extension.
func extensionIn(n fhir.Node, url string) fhir.Node {
	for e := range n.Field("extension").Items() {
		if e.Field("url").String() == url {
			return e
		}
	}
	return fhir.Node{}
}

// coded is the first coding of a concept in words, or its code.
func coded(concept fhir.Node) string {
	c := concept.Get("coding").Index(0)
	if d := c.Field("display").String(); d != "" {
		return d
	}
	return c.Field("code").String()
}

func codeIn(concept fhir.Node) string { return concept.Get("coding").Index(0).Field("code").String() }

// addressText is an address on one line. A postcode's space does not break.
func addressText(a fhir.Node) string {
	var parts []string
	for l := range a.Field("line").Items() {
		if s := strings.TrimSpace(l.String()); s != "" {
			parts = append(parts, s)
		}
	}
	if s := a.Field("postalCode").String(); s != "" {
		parts = append(parts, strings.ReplaceAll(s, " ", "\u00a0"))
	}
	return strings.Join(parts, ", ")
}

// nameText is a name as lists have it.
func nameText(n fhir.Node) string {
	text := format.Name(n.Field("family").String(), joined(n.Field("given")), joined(n.Field("prefix")))
	if s := joined(n.Field("suffix")); s != "" {
		text += ", " + s
	}
	return text
}

// organisationIn is what the organisation of a reference is called.
func (f *face) organisationIn(ctx context.Context, ref fhir.Node) string {
	value := ref.Get("identifier.value").String()
	code, err := ident.ParseODSCode(value)
	if err != nil {
		return value
	}
	name := f.k.Organisation(ctx, code)
	if name == code.String() {
		return name
	}
	return name + " (" + code.String() + ")"
}

// fact is one thing that the register holds, as it is compared from one version to the next.
type fact struct{ key, name, text string }

// facts are what a record says, in words, in order.
func (f *face) facts(ctx context.Context, r *fhir.Resource) []fact {
	if r == nil {
		return nil
	}
	var all []fact
	add := func(key, name, text string) {
		if text != "" {
			all = append(all, fact{key, name, text})
		}
	}
	for n := range r.Get("name").Items() {
		add("name/"+n.Field("id").String(), web.Text(ctx, "trace.fact.name")+": "+use(ctx, n), dated(ctx, nameText(n), n.Field("period")))
	}
	add("birthDate", web.Text(ctx, "trace.fact.born"), format.FHIR(r.Get("birthDate").String()).Date())
	if g := r.Get("gender").String(); g != "" {
		add("gender", web.Text(ctx, "trace.fact.gender"), web.Text(ctx, "patients.gender."+g))
	}
	add("order", web.Text(ctx, "trace.fact.order"), r.Get("multipleBirthInteger").String())
	add("died", web.Text(ctx, "trace.fact.died"), format.FHIR(r.Get("deceasedDateTime").String()).Date())
	add("death", web.Text(ctx, "trace.fact.death"), f.deathText(ctx, r))
	for a := range r.Get("address").Items() {
		add("address/"+a.Field("id").String(), web.Text(ctx, "trace.fact.address")+": "+use(ctx, a), dated(ctx, addressText(a), a.Field("period")))
	}
	for t := range r.Get("telecom").Items() {
		add("telecom/"+t.Field("id").String(), reachName(ctx, t), dated(ctx, t.Field("value").String(), t.Field("period")))
	}
	for c := range r.Get("contact").Items() {
		for t := range c.Field("telecom").Items() {
			add("contact/"+c.Field("id").String(), web.Text(ctx, "trace.fact.emergency"), dated(ctx, t.Field("value").String(), c.Field("period")))
		}
	}
	for g := range r.Get("generalPractitioner").Items() {
		add("practice", web.Text(ctx, "trace.fact.practice"), dated(ctx, f.organisationIn(ctx, g), g.Get("identifier.period")))
	}
	for _, s := range suppliers() {
		add(s.url, web.Text(ctx, "trace.fact."+s.name), f.supplier(ctx, r, s.url))
	}
	add("language", web.Text(ctx, "trace.fact.language"), languageText(ctx, r))
	add("preference", web.Text(ctx, "trace.fact.preference"), preferenceText(r))
	add("birthplace", web.Text(ctx, "trace.fact.birthplace"), birthPlaceText(r))
	add("removal", web.Text(ctx, "trace.fact.removal"), coded(extensionIn(extensionIn(r.Root(), demographics.RemovalURL), "removalFromRegistrationCode").Field("valueCodeableConcept")))
	add("sensitivity", web.Text(ctx, "trace.fact.sensitivity"), sensitivityText(ctx, r))
	return all
}

// supplier is a kind of organisation that somebody chose, and the url of its extension.
type supplier struct{ url, name string }

func suppliers() []supplier {
	return []supplier{{demographics.NominatedURL, "pharmacy"}, {demographics.DispenserURL, "dispenser"}, {demographics.ApplianceURL, "appliance"}}
}

func (f *face) supplier(ctx context.Context, r *fhir.Resource, url string) string {
	return f.organisationIn(ctx, extensionIn(r.Root(), url).Field("valueReference"))
}

func use(ctx context.Context, n fhir.Node) string {
	u := n.Field("use").String()
	if key := "trace.use." + u; web.HasText(key) {
		return web.Text(ctx, key)
	}
	return u
}

// reachName is what a way to reach somebody is called: "Phone: mobile".
func reachName(ctx context.Context, t fhir.Node) string {
	name := t.Field("system").String()
	if key := "trace.system." + name; web.HasText(key) {
		name = web.Text(ctx, key)
	}
	return name + ": " + use(ctx, t)
}

// dated is a text and since when, and until when, it was so.
func dated(ctx context.Context, text string, period fhir.Node) string {
	from, to := dayIn(period, "start"), dayIn(period, "end")
	switch {
	case text == "", from == "" && to == "":
		return text
	case to == "":
		return text + " (" + web.Text(ctx, "trace.since", from) + ")"
	case from == "":
		return text + " (" + web.Text(ctx, "trace.until", to) + ")"
	}
	return text + " (" + web.Text(ctx, "trace.from-to", from, to) + ")"
}

// dayIn is the start or end of a period; empty where it is not known.
func dayIn(period fhir.Node, end string) string {
	p := format.FHIR(period.Field(end).String())
	if !p.Known() {
		return ""
	}
	return p.Date()
}

func (f *face) deathText(ctx context.Context, r *fhir.Resource) string {
	notice := extensionIn(r.Root(), demographics.DeathURL)
	if !notice.Exists() {
		return ""
	}
	status := codeIn(extensionIn(notice, "deathNotificationStatus").Field("valueCodeableConcept"))
	if key := "trace.death." + status; web.HasText(key) {
		return web.Text(ctx, key)
	}
	return coded(extensionIn(notice, "deathNotificationStatus").Field("valueCodeableConcept"))
}

func languageText(ctx context.Context, r *fhir.Resource) string {
	e := extensionIn(r.Root(), demographics.LanguageURL)
	text := coded(extensionIn(e, "language").Field("valueCodeableConcept"))
	if text != "" && extensionIn(e, "interpreterRequired").Field("valueBoolean").Bool() {
		text += ", " + web.Text(ctx, "trace.interpreter")
	}
	return text
}

// preferenceText is how, when and in what form somebody wants to be reached.
func preferenceText(r *fhir.Resource) string {
	var all []string
	for e := range extensionIn(r.Root(), demographics.PreferenceURL).Field("extension").Items() {
		for _, s := range []string{coded(e.Field("valueCodeableConcept")), e.Field("valueString").String()} {
			if s != "" {
				all = append(all, s)
			}
		}
	}
	return strings.Join(all, ", ")
}

func birthPlaceText(r *fhir.Resource) string {
	a := extensionIn(r.Root(), demographics.BirthPlaceURL).Field("valueAddress")
	var all []string
	for _, name := range []string{"city", "district", "country"} {
		if s := a.Field(name).String(); s != "" {
			all = append(all, s)
		}
	}
	return strings.Join(all, ", ")
}

func sensitivityText(ctx context.Context, r *fhir.Resource) string {
	for s := range r.Get("meta.security").Items() {
		if key := "trace.sensitivity." + s.Field("code").String(); web.HasText(key) {
			return web.Text(ctx, key)
		}
	}
	return ""
}

// difference is one thing that two versions say differently. An empty text means that it was not there.
type difference struct{ Name, Before, After string }

// differences are what changed from one version to the next, in words. Either may be nil.
func (f *face) differences(ctx context.Context, before, after *fhir.Resource) []difference {
	was, now := f.facts(ctx, before), f.facts(ctx, after)
	find := func(list []fact, key string) (fact, bool) {
		i := slices.IndexFunc(list, func(x fact) bool { return x.key == key })
		if i < 0 {
			return fact{}, false
		}
		return list[i], true
	}
	var out []difference
	for _, a := range now {
		if b, _ := find(was, a.key); b.text != a.text {
			out = append(out, difference{a.name, b.text, a.text})
		}
	}
	for _, b := range was {
		if _, still := find(now, b.key); !still {
			out = append(out, difference{b.name, b.text, ""})
		}
	}
	return out
}
