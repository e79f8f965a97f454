package trace

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/demographics"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/web"
)

// The parts of a record that are changed each by a form of its own.
const (
	partName     = "name"
	partBirth    = "birth"
	partAddress  = "address"
	partReach    = "reach"
	partContact  = "contact"
	partLanguage = "language"
	partDeath    = "death"
	partPractice = "practice"
	partPharmacy = "pharmacy"
)

// field is one question of a part's form.
type field struct {
	name, kind   string // text, area, date, radios, select
	width        int
	autocomplete string // of the person themself
	options      func(ctx context.Context) []web.Option
	staff        bool // asked of staff alone
}

// part is one part of a record.
type part struct {
	key    string
	own    bool // the person may change it themself (access mode "patient" of the published service)
	fields []field
	read   func(p demographics.Person) url.Values
	apply  func(c *changing)
}

// changing is a record on its way to what somebody wants it to say.
type changing struct {
	ctx    context.Context
	doc    demographics.Document
	form   url.Values
	now    time.Time
	viewer access.Principal
	errors *web.FieldErrors
	// places say which field of the form a place of the record comes from, for what the rules say against it.
	places map[string]string
}

func (c *changing) get(name string) string {
	return strings.Join(strings.Fields(c.form.Get(name)), " ")
}

func (c *changing) wrong(field, key string) {
	c.errors.Add(field, web.Text(c.ctx, "trace.wrong."+key))
}

// parts are what can be changed.
func parts() []part {
	why := field{name: "kind", kind: "radios", options: kindOptions, staff: true}
	return []part{
		{key: partName, fields: []field{{name: "title", kind: "text", width: 10}, {name: "given", kind: "text", width: 30}, {name: "family", kind: "text", width: 30}, why}, read: readName, apply: applyName},
		{key: partBirth, fields: []field{{name: "born", kind: "date"}, {name: "gender", kind: "radios", options: func(ctx context.Context) []web.Option { return genderOptions(ctx, false) }}}, read: readBirth, apply: applyBirth},
		{key: partAddress, own: true, fields: []field{{name: "lines", kind: "area", autocomplete: "street-address"}, {name: "postcode", kind: "text", width: 10, autocomplete: "postal-code"}, why}, read: readAddress, apply: applyAddress},
		{key: partReach, own: true, fields: []field{{name: "phone", kind: "text", width: 20, staff: true}, {name: "mobile", kind: "text", width: 20, autocomplete: "tel"}, {name: "email", kind: "text", width: 30, autocomplete: "email"}}, read: readReach, apply: applyReach},
		{key: partContact, own: true, fields: []field{{name: "emergency", kind: "text", width: 20}}, read: readContact, apply: applyContact},
		{key: partLanguage, own: true, fields: []field{{name: "language", kind: "select", options: languageOptions}, {name: "interpreter", kind: "radios", options: yesNo}}, read: readLanguage, apply: applyLanguage},
		{key: partDeath, fields: []field{{name: "died", kind: "date"}}, read: func(demographics.Person) url.Values { return url.Values{} }, apply: applyDeath},
		{key: partPractice, read: func(demographics.Person) url.Values { return url.Values{} }, apply: applyPractice},
		{key: partPharmacy, own: true, read: func(demographics.Person) url.Values { return url.Values{} }, apply: applyPharmacy},
	}
}

func partOf(key string) (part, bool) {
	i := slices.IndexFunc(parts(), func(p part) bool { return p.key == key })
	if i < 0 {
		return part{}, false
	}
	return parts()[i], true
}

// mayChange reports whether a part is one that staff, or the person themself, may change.
func mayChange(key string, own bool) bool {
	p, ok := partOf(key)
	return ok && (p.own || !own)
}

func kindOptions(ctx context.Context) []web.Option {
	return []web.Option{{Value: "changed", Text: web.Text(ctx, "trace.kind.changed"), Hint: web.Text(ctx, "trace.kind.changed-hint")}, {Value: "wrong", Text: web.Text(ctx, "trace.kind.wrong"), Hint: web.Text(ctx, "trace.kind.wrong-hint")}}
}

func genderOptions(ctx context.Context, any bool) []web.Option {
	var list []web.Option
	if any {
		list = append(list, web.Option{Text: web.Text(ctx, "trace.any-gender")})
	}
	for _, g := range []string{"female", "male", "other", "unknown"} {
		if any || g != "other" {
			list = append(list, web.Option{Value: g, Text: web.Text(ctx, "patients.gender."+g)})
		}
	}
	return list
}

// languages are those offered, by ISO 639-1 code, and British Sign Language.
func languages() []string {
	return []string{"ar", "bn", "cy", "fa", "fr", "gu", "hi", "it", "ku", "pa", "pl", "ps", "pt", "q4", "ro", "ru", "so", "es", "ta", "ti", "tr", "uk", "ur", "vi", "zh"}
}

func languageOptions(ctx context.Context) []web.Option {
	list := []web.Option{{Text: web.Text(ctx, "trace.lang.none")}}
	for _, l := range languages() {
		list = append(list, web.Option{Value: l, Text: web.Text(ctx, "trace.lang."+l)})
	}
	return list
}

func yesNo(ctx context.Context) []web.Option {
	return []web.Option{{Value: "yes", Text: web.Text(ctx, "trace.yes")}, {Value: "no", Text: web.Text(ctx, "trace.no")}}
}

// listOf is a list of a document, and itemAt the first item that is meant, or nil.
func listOf(doc demographics.Document, name string) []any {
	list, _ := doc[name].([]any)
	return list
}

func itemAt(doc demographics.Document, list string, meant func(demographics.Document) bool) (demographics.Document, int) {
	for i, v := range listOf(doc, list) {
		if o, ok := v.(demographics.Document); ok && meant(o) {
			return o, i
		}
	}
	return nil, -1
}

func said(o demographics.Document, name string) string {
	s, _ := o[name].(string)
	return s
}

func used(use string) func(demographics.Document) bool {
	return func(o demographics.Document) bool { return said(o, "use") == use }
}

// place is an item's address in the record, as refusals name it: name/0.
func place(list string, i int) string { return list + "/" + string(rune('0'+i%10)) }

func words(s string) []any {
	var list []any
	for _, w := range strings.Fields(s) {
		list = append(list, w)
	}
	return list
}

func readName(p demographics.Person) url.Values {
	n := nameIn(p.Shown)
	return url.Values{"title": {joined(n.Field("prefix"))}, "given": {joined(n.Field("given"))}, "family": {n.Field("family").String()}}
}

func applyName(c *changing) {
	if c.form.Get("kind") == "" {
		c.wrong("kind", "kind")
	}
	now, i := itemAt(c.doc, "name", used("usual"))
	if now == nil {
		now, i = demographics.Document{"use": "usual"}, len(listOf(c.doc, "name"))
		c.doc["name"] = append(listOf(c.doc, "name"), now)
	} else if c.form.Get("kind") == "changed" {
		was := demographics.Document{"use": "old", "period": demographics.Document{"start": startOf(now, c.now), "end": c.now.Format(time.DateOnly)}}
		for _, name := range []string{"family", "given", "prefix", "suffix"} {
			if now[name] != nil {
				was[name] = now[name]
			}
		}
		c.doc["name"] = append(listOf(c.doc, "name"), was)
		delete(now, "period") // it begins today
	}
	delete(now, "text")
	now["family"] = c.get("family")
	for name, from := range map[string]string{"given": "given", "prefix": "title"} {
		if now[name] = words(c.get(from)); len(words(c.get(from))) == 0 {
			delete(now, name)
		}
		c.places[place("name", i)+"/"+name] = from
	}
	c.places[place("name", i)+"/family"] = "family"
	c.places[place("name", i)+"/use"] = "family"
}

// startOf is when an item began; where that is not known, today.
func startOf(o demographics.Document, now time.Time) string {
	period, _ := o["period"].(demographics.Document)
	if s := said(period, "start"); len(s) >= len(time.DateOnly) {
		return s[:len(time.DateOnly)]
	}
	return now.Format(time.DateOnly)
}

func readBirth(p demographics.Person) url.Values {
	v := url.Values{"gender": {p.Shown.Get("gender").String()}}
	if t, err := time.Parse(time.DateOnly, p.Shown.Get("birthDate").String()); err == nil {
		d := web.DateValueOf(t)
		v["born-day"], v["born-month"], v["born-year"] = []string{d.Day}, []string{d.Month}, []string{d.Year}
	}
	return v
}

func applyBirth(c *changing) {
	if day, ok := date(c.form, "born"); ok {
		c.doc["birthDate"] = day
	} else {
		c.wrong("born", "born")
	}
	c.doc["gender"] = c.form.Get("gender")
	c.places["birthDate"], c.places["gender"], c.places["deceasedDateTime"] = "born", "gender", "born"
}

func readAddress(p demographics.Person) url.Values {
	a := addressIn(p.Shown)
	var lines []string
	for l := range a.Field("line").Items() {
		if s := strings.TrimSpace(l.String()); s != "" {
			lines = append(lines, s)
		}
	}
	return url.Values{"lines": {strings.Join(lines, "\n")}, "postcode": {a.Field("postalCode").String()}}
}

func applyAddress(c *changing) {
	if c.viewer.Role != access.Patient && c.form.Get("kind") == "" {
		c.wrong("kind", "kind")
	}
	pc, err := ident.ParsePostcode(c.get("postcode"))
	if err != nil {
		c.wrong("postcode", "postcode-whole")
	}
	var lines []any
	for line := range strings.Lines(strings.ReplaceAll(c.form.Get("lines"), "\r\n", "\n")) {
		if line = strings.Join(strings.Fields(line), " "); line != "" {
			lines = append(lines, line)
		}
	}
	if len(lines) == 0 {
		c.wrong("lines", "lines")
	}
	now, i := itemAt(c.doc, "address", used("home"))
	if now == nil {
		now, i = demographics.Document{"use": "home"}, len(listOf(c.doc, "address"))
		c.doc["address"] = append(listOf(c.doc, "address"), now)
	} else if c.form.Get("kind") != "wrong" {
		delete(now, "period") // it begins today
	}
	delete(now, "extension") // the keys of the postcode file were those of the old one
	delete(now, "text")
	now["line"], now["postalCode"] = lines, pc.String()
	c.places[place("address", i)] = "lines"
}

// reaches are the ways to reach somebody that the form knows.
func reaches() [][3]string {
	return [][3]string{{"phone", "phone", "home"}, {"mobile", "phone", "mobile"}, {"email", "email", "home"}}
}

func readReach(p demographics.Person) url.Values {
	v := url.Values{}
	for _, r := range reaches() {
		use := r[2]
		if r[1] == "email" {
			use = ""
		}
		v.Set(r[0], telecomIn(p.Shown, r[1], use).Field("value").String())
	}
	return v
}

func applyReach(c *changing) {
	for _, r := range reaches() {
		if c.viewer.Role == access.Patient && r[0] == "phone" {
			continue // in the mode for patients only the mobile number and mail
		}
		value := c.get(r[0])
		if strings.TrimSpace(value) == "" && c.form.Get(r[0]) != "" {
			c.wrong(r[0], "spaces")
			continue
		}
		if digits := strings.Map(onlyDigits, value); value != "" && r[1] == "phone" && (len(digits) < 7 || len(digits) > 15) {
			c.wrong(r[0], "phone")
			continue
		}
		now, i := itemAt(c.doc, "telecom", func(o demographics.Document) bool {
			return said(o, "system") == r[1] && (said(o, "use") == r[2] || r[1] == "email" && said(o, "use") != "old")
		})
		switch {
		case now == nil && value == "" || now != nil && said(now, "value") == value:
			continue
		case value == "":
			c.doc["telecom"] = slices.Delete(listOf(c.doc, "telecom"), i, i+1)
			continue
		case now == nil:
			now, i = demographics.Document{"system": r[1], "use": r[2]}, len(listOf(c.doc, "telecom"))
			c.doc["telecom"] = append(listOf(c.doc, "telecom"), now)
		default:
			delete(now, "period")
		}
		now["value"] = value
		c.places[place("telecom", i)] = r[0]
	}
}

func onlyDigits(r rune) rune {
	if r < '0' || r > '9' {
		return -1
	}
	return r
}

func readContact(p demographics.Person) url.Values {
	return url.Values{"emergency": {p.Shown.Get("contact.0.telecom.0.value").String()}}
}

func applyContact(c *changing) {
	value, list := c.get("emergency"), listOf(c.doc, "contact")
	c.places["contact"] = "emergency"
	if digits := strings.Map(onlyDigits, value); value != "" && (len(digits) < 7 || len(digits) > 15) {
		c.wrong("emergency", "phone")
		return
	}
	telecom := []any{demographics.Document{"system": "phone", "value": value}}
	switch {
	case value == "" && len(list) > 0:
		c.doc["contact"] = list[1:]
	case value == "":
	case len(list) == 0:
		c.doc["contact"] = []any{demographics.Document{"relationship": []any{demographics.Document{"coding": []any{demographics.Document{
			"system": "http://terminology.hl7.org/CodeSystem/v2-0131", "code": "C", "display": "Emergency Contact"}}}}, "telecom": telecom}}
	default:
		if first, ok := list[0].(demographics.Document); ok {
			first["telecom"] = telecom
			delete(first, "period")
		}
	}
}

// setExtension puts an extension in the place of the one with its url; nil takes it away.
func setExtension(doc demographics.Document, url string, e demographics.Document) {
	list := listOf(doc, "extension")
	_, i := itemAt(doc, "extension", func(o demographics.Document) bool { return said(o, "url") == url })
	switch {
	case e == nil && i >= 0:
		doc["extension"] = slices.Delete(list, i, i+1)
	case e == nil:
	case i >= 0:
		list[i] = e
	default:
		doc["extension"] = append(list, e)
	}
}

func readLanguage(p demographics.Person) url.Values {
	e := extensionIn(p.Shown.Root(), demographics.LanguageURL)
	v := url.Values{"language": {codeIn(extensionIn(e, "language").Field("valueCodeableConcept"))}, "interpreter": {"no"}}
	if extensionIn(e, "interpreterRequired").Field("valueBoolean").Bool() {
		v.Set("interpreter", "yes")
	}
	return v
}

func applyLanguage(c *changing) {
	code := c.form.Get("language")
	c.places["extension"] = "language"
	if code == "" {
		setExtension(c.doc, demographics.LanguageURL, nil)
		return
	}
	if !slices.Contains(languages(), code) {
		c.wrong("language", "language")
		return
	}
	setExtension(c.doc, demographics.LanguageURL, demographics.Document{"url": demographics.LanguageURL, "extension": []any{
		demographics.Document{"url": "language", "valueCodeableConcept": demographics.Document{"coding": []any{demographics.Document{
			"system": "https://fhir.hl7.org.uk/CodeSystem/UKCore-HumanLanguage", "version": "1.0.0", "code": code, "display": web.Text(c.ctx, "trace.lang."+code)}}}},
		demographics.Document{"url": "interpreterRequired", "valueBoolean": c.form.Get("interpreter") == "yes"}}})
}

func applyDeath(c *changing) {
	c.places["deceasedDateTime"], c.places["extension"] = "died", "died"
	day, ok := date(c.form, "died")
	if !ok {
		c.wrong("died", "died")
		return
	}
	c.doc["deceasedDateTime"] = day
	setExtension(c.doc, demographics.DeathURL, demographics.Document{"url": demographics.DeathURL, "extension": []any{demographics.Document{"url": "deathNotificationStatus",
		"valueCodeableConcept": demographics.Document{"coding": []any{demographics.Document{"system": "https://fhir.hl7.org.uk/CodeSystem/UKCore-DeathNotificationStatus", "version": "1.0.0",
			"code": "1", "display": "Informal - death notice received via an update from a local NHS Organisation such as GPs and Trusts"}}}}}})
}

// applyPractice registers the person with the viewer's own practice, from today.
func applyPractice(c *changing) {
	gp := demographics.Document{"type": "Organization", "identifier": demographics.Document{"system": ident.SystemODSCode, "value": c.viewer.Organisation.String(),
		"period": demographics.Document{"start": c.now.Format(time.DateOnly)}}}
	if was, i := itemAt(c.doc, "generalPractitioner", func(demographics.Document) bool { return true }); i >= 0 {
		gp["id"] = was["id"]
	}
	c.doc["generalPractitioner"] = []any{gp}
}

// applyPharmacy nominates a pharmacy, or none.
func applyPharmacy(c *changing) {
	code := c.form.Get("pharmacy")
	if code == "none" {
		setExtension(c.doc, demographics.NominatedURL, nil)
		return
	}
	setExtension(c.doc, demographics.NominatedURL, demographics.Document{"url": demographics.NominatedURL, "valueReference": demographics.Document{"identifier": demographics.Document{"system": ident.SystemODSCode, "value": code}}})
}
