package demographics

import (
	"encoding/json"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// telecom holds one way to reach a person to "Telecom".
func (r rules) telecom(at string, item, was object) error {
	if err := allowed(at, item, "id", "use", "period", "system", "value", "extension"); err != nil {
		return err
	}
	if err := reachableBy(at, item, "phone", "fax", "email", "other"); err != nil {
		return err
	}
	if err := fromList(at+"/use", textIn(item, "use"), []string{"home", "work", "temp", "mobile"}, nil); err != nil {
		return err
	}
	if was != nil && (textIn(was, "use") != textIn(item, "use") || textIn(was, "system") != textIn(item, "system")) {
		return forbidden("the use and system of a telecom cannot be changed")
	}
	return nil
}

// holdTelecoms: one of each system and use.
func (r rules) holdTelecoms(before, after object) error {
	count := func(o object) map[string]int {
		n := map[string]int{}
		items, _ := o["telecom"].([]any)
		for _, v := range items {
			if item, ok := v.(object); ok {
				n[textIn(item, "use")+" "+textIn(item, "system")]++
			}
		}
		return n
	}
	was := count(before)
	for kind, n := range count(after) {
		if n > 1 && n > was[kind] {
			return forbidden("multiple telecoms of the kind '" + shown(kind) + "' cannot be added")
		}
	}
	return nil
}

// contact holds one emergency contact to "Emergency contact".
func (r rules) contact(at string, item, _ object) error {
	if err := allowed(at, item, "id", "period", "relationship", "telecom"); err != nil {
		return err
	}
	relationship, _ := item["relationship"].([]any)
	switch {
	case len(relationship) == 0:
		return missing(at + "/relationship")
	case len(relationship) > 1:
		return refuse(tooManyValues, "%s", "Too many values submitted - "+shown(written(relationship))+" in field '"+at+"/relationship'")
	}
	first, _ := relationship[0].(object)
	codings, _ := first["coding"].([]any)
	if len(codings) != 1 {
		return invalidIn(at+"/relationship/0/coding", written(first["coding"]))
	}
	coding, _ := codings[0].(object)
	if textIn(coding, "code") != "C" {
		return invalidIn(at+"/relationship/0/coding/0/code", written(coding["code"]))
	}
	list, _ := item["telecom"].([]any)
	if len(list) == 0 {
		return missing(at + "/telecom")
	}
	for i, v := range list {
		below := at + "/telecom/" + strconv.Itoa(i)
		telecom, ok := v.(object)
		if !ok {
			return invalidIn(below, written(v))
		}
		if err := allowed(below, telecom, "id", "system", "value", "extension"); err != nil {
			return err
		}
		if err := reachableBy(below, telecom, "phone", "email", "other"); err != nil {
			return err
		}
	}
	return nil
}

var odsPattern = regexp.MustCompile(`^[A-Za-z0-9]{3,10}$`)

// practice holds the registration with a practice to "General practice".
func (r rules) practice(at string, item, _ object) error {
	if err := allowed(at, item, "id", "type", "identifier"); err != nil {
		return err
	}
	id, ok := item["identifier"].(object)
	if !ok {
		return missing(at + "/identifier")
	}
	if err := r.period(at+"/identifier", id); err != nil {
		return err
	}
	if p, _ := id["period"].(object); p != nil && p["end"] != nil {
		return refuse(invalidUpdate, "%s", "Invalid update with error - "+at+" must not have an end date")
	}
	return organisation(at, id)
}

func organisation(at string, id object) error {
	value := textIn(id, "value")
	if value == "" {
		return missing(at + "/identifier/value")
	}
	if !odsPattern.MatchString(value) {
		return invalidIn(at+"/identifier/value", value)
	}
	id["system"] = "https://fhir.nhs.uk/Id/ods-organization-code"
	return nil
}

// holdPractice: one practice, which nobody here may remove.
func (r rules) holdPractice(before, after object) error {
	was, _ := before["generalPractitioner"].([]any)
	now, _ := after["generalPractitioner"].([]any)
	switch {
	case len(now) > 1 && len(now) > len(was):
		return refuse(tooManyValues, "%s", "Too many values submitted - "+shown(written(now))+" in field 'generalPractitioner'")
	case len(now) < len(was):
		return forbidden("general practice cannot be removed")
	}
	return nil
}

// holdExtensions: one of each of those that may be amended, each by its rules; the others stay as they were.
func (r rules) holdExtensions(before, after object) error {
	was, now := byURL(before), byURL(after)
	list, _ := after["extension"].([]any)
	seen := map[string]bool{}
	for i, v := range list {
		at := "extension/" + strconv.Itoa(i)
		item, ok := v.(object)
		if !ok {
			return invalidIn(at, written(v))
		}
		url := textIn(item, "url")
		if url == "" {
			return missing(at + "/url")
		}
		if seen[url] {
			return refuse(tooManyValues, "%s", "Too many values submitted - there may be one extension with the url '"+shown(url)+"'")
		}
		seen[url] = true
		if reflect.DeepEqual(was[url], item) {
			continue
		}
		if err := r.extension(at, url, item, was[url]); err != nil {
			return err
		}
	}
	for url := range was {
		if now[url] == nil && (url == DeathURL || url == RemovalURL) {
			return forbidden("the extension '" + url + "' cannot be removed")
		}
	}
	return nil
}

func byURL(o object) map[string]object {
	out := map[string]object{}
	list, _ := o["extension"].([]any)
	for _, v := range list {
		if item, ok := v.(object); ok {
			out[textIn(item, "url")] = item
		}
	}
	return out
}

// extension holds one extension that is new or has changed.
func (r rules) extension(at, url string, item, was object) error {
	switch url {
	case NominatedURL, DispenserURL, ApplianceURL:
		ref, _ := item["valueReference"].(object)
		id, _ := ref["identifier"].(object)
		if id == nil {
			return missing(at + "/valueReference/identifier")
		}
		delete(id, "period") // a nomination has none: there is one, and it holds now
		return organisation(at+"/valueReference", id)
	case DeathURL:
		return r.deathNotice(at, item, was)
	case LanguageURL:
		return language(at, item)
	case PreferenceURL:
		return preference(at, item)
	case BirthPlaceURL:
		place, _ := item["valueAddress"].(object)
		if textIn(place, "city") == "" && textIn(place, "district") == "" && textIn(place, "country") == "" {
			return refuse(tooFewValues, "%s", "Too few values submitted - a place of birth has a city, a district or a country in field '"+at+"/valueAddress'")
		}
		if c := textIn(place, "country"); c != "" && !countryPattern.MatchString(c) {
			return invalidIn(at+"/valueAddress/country", c)
		}
		return allowed(at+"/valueAddress", place, "city", "district", "country")
	}
	return refuse(invalidUpdate, "%s", "Invalid update with error - Update unsupported for resource - '"+shown(url)+"'")
}

var (
	countryPattern  = regexp.MustCompile(`^([A-Z]{3}|[0-9]{1,3})$`)
	languagePattern = regexp.MustCompile(`^([a-z]{2}|q[1-5])$`)
)

// parts are the sub-extensions of an extension, by url.
func parts(item object) map[string]object {
	return byURL(object{"extension": item["extension"]})
}

// codeOf is the one code of a sub-extension's concept.
func codeOf(part object) string {
	concept, _ := part["valueCodeableConcept"].(object)
	codings, _ := concept["coding"].([]any)
	if len(codings) != 1 {
		return ""
	}
	coding, _ := codings[0].(object)
	return textIn(coding, "code")
}

// deathNotice: 1, informal, may be set here, and its time is that of the change; 2, formal, comes from the registrar, and stays.
func (r rules) deathNotice(at string, item, was object) error {
	status := codeOf(parts(item)["deathNotificationStatus"])
	switch {
	case was != nil && codeOf(parts(was)["deathNotificationStatus"]) == "2":
		return forbidden("a formal death notification cannot be changed")
	case status == "":
		return missing(at + "/extension/0/valueCodeableConcept/coding/0/code")
	case status == "U":
		return refuse(unsupportedValue, "%s", "Unsupported value - 'U' in field '"+at+"'")
	case status == "2":
		return forbidden("a formal death notification can only be set by the registrar's systems")
	case status != "1":
		return invalidIn(at, status)
	}
	list, _ := item["extension"].([]any)
	list = slices.DeleteFunc(list, func(v any) bool { o, ok := v.(object); return ok && textIn(o, "url") == "systemEffectiveDate" })
	item["extension"] = append(list, object{"url": "systemEffectiveDate", "valueDateTime": r.now.Format("2006-01-02T15:04:05+00:00")})
	return nil
}

func language(at string, item object) error {
	p := parts(item)
	code := codeOf(p["language"])
	switch {
	case code == "":
		return missing(at + "/extension/0/valueCodeableConcept/coding/0/code")
	case code == "en":
		return in(at, refuse(unsupportedValue, "%s", "Unsupported value - 'en' in field '"+at+"'"))
	case !languagePattern.MatchString(code):
		return invalidIn(at, code)
	}
	if needs, given := p["interpreterRequired"]; given {
		if _, ok := needs["valueBoolean"].(bool); !ok {
			return invalidIn(at, written(needs["valueBoolean"]))
		}
	}
	return nil
}

func preference(at string, item object) error {
	p := parts(item)
	times, timed := p["PreferredContactTimes"]
	text := textIn(times, "valueString")
	switch {
	case timed && (text == "" || len([]rune(text)) > 40):
		return invalidIn(at, text)
	case timed && p["PreferredContactMethod"] == nil:
		return missing(at + "/PreferredContactMethod")
	case len(p) == 0:
		return missing(at + "/extension")
	}
	return nil
}

// holdFacts: gender and order of birth.
func (r rules) holdFacts(before, after object) error {
	if g := after["gender"]; !reflect.DeepEqual(g, before["gender"]) {
		if text, _ := g.(string); !slices.Contains([]string{"male", "female", "unknown"}, text) {
			return invalidIn("gender", written(g))
		}
	}
	if order := after["multipleBirthInteger"]; order != nil && !reflect.DeepEqual(order, before["multipleBirthInteger"]) {
		n, _ := order.(json.Number)
		if i, err := n.Int64(); err != nil || i < 1 || i > 9 {
			return invalidIn("multipleBirthInteger", written(order))
		}
	}
	return nil
}

// holdLife: when a person was born and died, and how that is known.
func (r rules) holdLife(before, after object) error {
	born, died := textIn(after, "birthDate"), textIn(after, "deceasedDateTime")
	if !reflect.DeepEqual(before["birthDate"], after["birthDate"]) {
		if !isDate(born) {
			return invalidIn("birthDate", written(after["birthDate"]))
		}
		if born > r.now.Format(time.DateOnly) {
			return in("birthDate", refuse(invalidUpdate, "Invalid update with error - the birth date is in the future"))
		}
	}
	formal := codeOf(parts(byURL(before)[DeathURL])["deathNotificationStatus"]) == "2"
	if !reflect.DeepEqual(before["deceasedDateTime"], after["deceasedDateTime"]) {
		if formal {
			return in("deceasedDateTime", forbidden("the date of death cannot be replaced after a formal death notification"))
		}
		if isDate(died) {
			died += "T00:00:00+00:00"
			after["deceasedDateTime"] = died
		}
		at, err := time.Parse(time.RFC3339, died)
		if err != nil || !strings.HasSuffix(died, "+00:00") {
			return invalidIn("deceasedDateTime", written(after["deceasedDateTime"]))
		}
		if at.After(r.now) {
			return in("deceasedDateTime", refuse(invalidUpdate, "Invalid update with error - the date of death is in the future"))
		}
	}
	known := byURL(after)[DeathURL] != nil
	changed := !reflect.DeepEqual(before["deceasedDateTime"], after["deceasedDateTime"]) || !reflect.DeepEqual(byURL(before)[DeathURL], byURL(after)[DeathURL]) ||
		!reflect.DeepEqual(before["birthDate"], after["birthDate"])
	if changed && (known != (died != "") || died != "" && born != "" && died[:10] < born) {
		return in("deceasedDateTime", refuse(deathInconsistent, "Insert Birth - Death Status Inconsistent"))
	}
	return nil
}
