package demographics

import (
	"encoding/json"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
)

// rules are those that a change keeps to (specification, paths/patient-patch, "Patient data fields" and "Access Mode").
type rules struct {
	mode    mode
	now     time.Time
	request string
}

// apply makes edits on a record and holds the outcome to the rules.
func (r rules) apply(current *fhir.Resource, edits []edit) (*fhir.Resource, error) {
	if err := r.may(current, edits); err != nil {
		return nil, err
	}
	if err := identified(edits); err != nil {
		return nil, err
	}
	before, err := objectOf(current)
	if err != nil {
		return nil, err
	}
	after := clone(before).(object)
	if err := applyEdits(after, edits, func(i int) string { return freshID(r.request, i) }); err != nil {
		return nil, err
	}
	if err := r.hold(before, after, wholeItems(edits)); err != nil {
		return nil, err
	}
	return resourceOf(after)
}

func objectOf(res *fhir.Resource) (object, error) {
	v, err := decode(res.JSON())
	o, ok := v.(object)
	if err != nil || !ok {
		return nil, fault.Wrap(err, fault.Internal, "a kept record cannot be read")
	}
	return o, nil
}

func resourceOf(o object) (*fhir.Resource, error) {
	text, err := json.Marshal(o)
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "a record cannot be written")
	}
	res, err := fhir.Parse(text)
	if err != nil {
		return nil, refuse(validationError, "%s", fault.MessageOf(err))
	}
	return res, nil
}

// What may be amended, and what of that by the person themself.
var (
	amended          = []string{"name", "gender", "birthDate", "multipleBirthInteger", "deceasedDateTime", "address", "telecom", "contact", "generalPractitioner", "extension"}
	amendedByPatient = []string{"address", "telecom", "contact", "extension"}
	patientURLs      = []string{NominatedURL, DispenserURL, ApplianceURL, LanguageURL, BirthPlaceURL}
	neverRemoved     = []string{"gender", "birthDate", "deceasedDateTime"}
)

// may refuses edits of what this caller may not amend.
func (r rules) may(current *fhir.Resource, edits []edit) error {
	for _, e := range edits {
		top := e.path[0]
		switch {
		case !slices.Contains(amended, top):
			return refuse(invalidUpdate, "%s", "Invalid update with error - Update unsupported for resource - '"+shown(top)+"'")
		case e.op == "test":
			continue
		case r.mode == patientMode && !slices.Contains(amendedByPatient, top):
			return notPermitted()
		case len(e.path) == 1 && e.op == "remove" && slices.Contains(neverRemoved, top):
			return forbidden(top + " cannot be removed")
		case len(e.path) == 1 && slices.Contains(append(listsByURL, listsByID...), top):
			return invalidPatch("'" + top + "' is changed item by item")
		case r.mode == patientMode:
			if err := patientMay(current, e); err != nil {
				return err
			}
		}
	}
	return nil
}

// patientMay refuses what patients may not change of their own record: of the telephone numbers only mobile and mail, of the extensions
// only some; and these as whole objects.
func patientMay(current *fhir.Resource, e edit) error {
	if e.path[0] == "address" || e.path[0] == "contact" {
		return nil
	}
	if len(e.path) != 2 {
		return refuse(invalidUpdate, "%s", "Invalid update with error - the whole object must be given to update '"+e.path[0]+"'")
	}
	value, _ := e.value.(object)
	var old fhir.Node
	if i, err := strconv.Atoi(e.path[1]); err == nil {
		old = current.Get(e.path[0]).Index(i)
	}
	if e.path[0] == "telecom" {
		own := func(system, use string) bool { return system == "email" || system == "phone" && use == "mobile" }
		if old.Exists() && !own(old.Field("system").String(), old.Field("use").String()) || value != nil && !own(textIn(value, "system"), textIn(value, "use")) {
			return notPermitted()
		}
		return nil
	}
	if old.Exists() && !slices.Contains(patientURLs, old.Field("url").String()) || value != nil && !slices.Contains(patientURLs, textIn(value, "url")) {
		return notPermitted()
	}
	return nil
}

func notPermitted() error {
	return refuse(invalidUpdate, "Invalid update with error - This user does not have permission to update the fields in the patches provided.")
}

func forbidden(why string) error {
	return refuse(forbiddenUpdate, "%s", "Forbidden update with error - "+why)
}

func textIn(o object, name string) string {
	s, _ := o[name].(string)
	return s
}

// wholeItems are the roots of list items that are added or replaced as a whole: those without a period begin today.
func wholeItems(edits []edit) map[string]bool {
	fresh := map[string]bool{}
	for _, e := range edits {
		if e.whole() && e.op != "remove" && e.op != "test" {
			fresh[e.path[0]] = true
		}
	}
	return fresh
}

// hold refuses an outcome that breaks a rule, and puts in order what the rules put in order.
func (r rules) hold(before, after object, fresh map[string]bool) error {
	for _, step := range []func() error{
		func() error { return r.holdList("name", before, after, fresh["name"], r.name) },
		func() error { return r.holdNames(before, after) },
		func() error { return r.holdList("address", before, after, fresh["address"], r.address) },
		func() error { return oneEach(before, after, "address", "use") },
		func() error { return r.holdList("telecom", before, after, fresh["telecom"], r.telecom) },
		func() error { return r.holdTelecoms(before, after) },
		func() error { return r.holdList("contact", before, after, fresh["contact"], r.contact) },
		func() error { return r.holdList("generalPractitioner", before, after, false, r.practice) },
		func() error { return r.holdPractice(before, after) },
		func() error { return r.holdExtensions(before, after) },
		func() error { return r.holdFacts(before, after) },
		func() error { return r.holdLife(before, after) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// holdList holds each item of a list that is new or has changed to check. Items without a period begin today when they were given
// as a whole.
func (r rules) holdList(name string, before, after object, fresh bool, check func(at string, item, was object) error) error {
	list, _ := after[name].([]any)
	old := byID(before[name])
	for i, v := range list {
		at := name + "/" + strconv.Itoa(i)
		item, ok := v.(object)
		if !ok {
			return invalidIn(at, written(v))
		}
		was := old[textIn(item, "id")]
		if was != nil && reflect.DeepEqual(was, item) {
			continue
		}
		if fresh && item["period"] == nil && name != "generalPractitioner" {
			item["period"] = object{"start": r.now.Format(time.DateOnly)}
		}
		if err := r.period(at, item); err != nil {
			return err
		}
		if err := check(at, item, was); err != nil {
			return err
		}
	}
	return nil
}

func byID(list any) map[string]object {
	out := map[string]object{}
	items, _ := list.([]any)
	for _, v := range items {
		if o, ok := v.(object); ok && textIn(o, "id") != "" {
			out[textIn(o, "id")] = o
		}
	}
	return out
}

// period holds a period to "Business rules for period".
func (r rules) period(at string, item object) error {
	v, given := item["period"]
	if !given {
		return nil
	}
	p, ok := v.(object)
	if !ok {
		return invalidIn(at+"/period", written(v))
	}
	start, end := textIn(p, "start"), textIn(p, "end")
	if start == "" {
		return missing(at + "/period/start")
	}
	for name, text := range map[string]string{"start": start, "end": end} {
		if text != "" && !isDate(text) {
			return invalidIn(at+"/period/"+name, text)
		}
	}
	switch {
	case start[:10] > r.now.Format(time.DateOnly):
		return refuse(invalidUpdate, "%s", "Invalid update with error - the start date of "+at+" is in the future")
	case end != "" && end[:10] < start[:10]:
		return refuse(invalidUpdate, "%s", "Invalid update with error - the start date of "+at+" is after its end date")
	}
	return nil
}

func isDate(text string) bool {
	_, err := time.Parse(time.DateOnly, text)
	return err == nil
}

// fromList refuses a value outside its code list; what the list once held is unsupported.
func fromList(at, value string, list, legacy []string) error {
	switch {
	case value == "":
		return missing(at)
	case slices.Contains(legacy, value):
		return in(at, refuse(unsupportedValue, "%s", "Unsupported value - '"+value+"' in field '"+at+"'"))
	case !slices.Contains(list, value):
		return invalidIn(at, value)
	}
	return nil
}

var titles = []string{"Mr", "Mrs", "Ms", "Dr", "Rev", "Sir", "Lady", "Lord"}

// name holds one name to "Name".
func (r rules) name(at string, item, was object) error {
	if err := allowed(at, item, "id", "use", "period", "given", "family", "prefix", "suffix", "text"); err != nil {
		return err
	}
	if err := fromList(at+"/use", textIn(item, "use"), []string{"usual", "temp", "nickname", "old", "maiden"}, []string{"official", "anonymous"}); err != nil {
		return err
	}
	if was != nil && textIn(was, "use") != textIn(item, "use") {
		return forbidden("the use of a name cannot be changed")
	}
	if textIn(item, "family") == "" {
		return missing(at + "/family")
	}
	if err := nameText(at+"/family", item["family"]); err != nil {
		return err
	}
	for _, part := range []struct {
		name string
		most int
	}{{"given", 5}, {"prefix", 5}, {"suffix", 5}} {
		v, given := item[part.name]
		if !given {
			continue
		}
		list, ok := v.([]any)
		if !ok {
			return invalidIn(at+"/"+part.name, written(v))
		}
		if len(list) > part.most {
			return refuse(tooManyValues, "%s", "Too many values submitted - "+shown(written(v))+" in field '"+at+"/"+part.name+"'")
		}
		for i, text := range list {
			if err := namePart(part.name, at+"/"+part.name, list, i, text); err != nil {
				return err
			}
		}
	}
	return nil
}

// namePart holds one given name, title or letter after the name; a full stop at the end of a title goes.
func namePart(part, at string, list []any, i int, v any) error {
	if err := nameText(at, v); err != nil {
		return err
	}
	text := v.(string)
	switch part {
	case "prefix":
		text = strings.TrimRight(text, ".")
		for _, title := range titles {
			if strings.EqualFold(title, text) && title != text {
				return invalidIn(at, text)
			}
		}
		list[i] = text
	case "suffix":
		if text[0] < 'A' || text[0] > 'Z' {
			return invalidIn(at, text)
		}
	}
	return nil
}

// nameText refuses what no name is made of.
func nameText(at string, v any) error {
	text, ok := v.(string)
	if !ok || strings.TrimSpace(text) == "" || len([]rune(text)) > nameLength {
		return invalidIn(at, written(v))
	}
	for _, c := range text {
		if c > 383 {
			return in(at, refuse(unsupportedCharacters, "%s", "Unsupported characters in field '"+at+"'"))
		}
	}
	if !nameable(text) {
		return invalidIn(at, text)
	}
	return nil
}

// holdNames: one usual name, which stays; one nickname.
func (r rules) holdNames(before, after object) error {
	count := func(o object, use string) (n int) {
		list, _ := o["name"].([]any)
		for _, v := range list {
			if item, ok := v.(object); ok && textIn(item, "use") == use {
				n++
			}
		}
		return n
	}
	switch {
	case count(after, "usual") > max(1, count(before, "usual")):
		return forbidden("multiple usual names cannot be added")
	case count(before, "usual") > 0 && count(after, "usual") == 0:
		return forbidden("the usual name cannot be removed")
	case count(after, "nickname") > max(1, count(before, "nickname")):
		return forbidden("multiple nicknames cannot be added")
	}
	return nil
}

// allowed refuses members that an object of the published shape does not have.
func allowed(at string, item object, names ...string) error {
	var strange []string
	for name := range item {
		if !slices.Contains(names, name) {
			strange = append(strange, name)
		}
	}
	slices.Sort(strange)
	return unexpected(strange)
}

// oneEach refuses a second item of the same kind, as far as there was not one before.
func oneEach(before, after object, list, by string) error {
	count := func(o object) map[string]int {
		n := map[string]int{}
		items, _ := o[list].([]any)
		for _, v := range items {
			if item, ok := v.(object); ok {
				n[textIn(item, by)]++
			}
		}
		return n
	}
	was := count(before)
	for kind, n := range count(after) {
		if n > 1 && n > was[kind] {
			return forbidden("multiple " + list + " items of the kind '" + shown(kind) + "' cannot be added")
		}
	}
	return nil
}

var temporaryPlaces = []string{"Second Home", "Student Accommodation", "Respite Care Address", "Temporary Residence Address", "Convalescence Home", "Mobile Home", "Holiday Home"}

// address holds one address to "Address"; empty lines go.
func (r rules) address(at string, item, _ object) error {
	if err := allowed(at, item, "id", "use", "period", "line", "postalCode", "text", "extension"); err != nil {
		return err
	}
	if err := fromList(at+"/use", textIn(item, "use"), []string{"home", "temp", "billing"}, []string{"work"}); err != nil {
		return err
	}
	list, ok := item["line"].([]any)
	if !ok && item["line"] != nil {
		return invalidIn(at+"/line", written(item["line"]))
	}
	list = slices.DeleteFunc(list, func(v any) bool { s, ok := v.(string); return ok && strings.TrimSpace(s) == "" })
	if len(list) > 5 {
		return in(at+"/line", refuse(tooManyValues, "%s", "Too many values submitted - "+shown(written(list))+" in field '"+at+"/line'"))
	}
	if len(list) == 0 && item["extension"] == nil && !strings.HasPrefix(textIn(item, "postalCode"), "ZZ99") {
		return missing(at + "/line")
	}
	if item["line"] = list; len(list) == 0 {
		delete(item, "line")
	}
	most := map[string]int{"temp": 90, "billing": 366}[textIn(item, "use")]
	if most == 0 {
		return nil
	}
	p, _ := item["period"].(object)
	if textIn(p, "end") == "" {
		return missing(at + "/period/end")
	}
	from, _ := time.Parse(time.DateOnly, textIn(p, "start")) // period has looked at both
	to, _ := time.Parse(time.DateOnly, textIn(p, "end"))
	if to.Sub(from) > time.Duration(most)*24*time.Hour {
		return in(at+"/period/end", refuse(invalidUpdate, "%s", "Invalid update with error - "+at+" lasts longer than "+strconv.Itoa(most)+" days"))
	}
	if textIn(item, "use") == "temp" {
		return fromList(at+"/text", textIn(item, "text"), temporaryPlaces, nil)
	}
	return nil
}

var mailPattern = regexp.MustCompile(`^[^@\s]+@[^@\s]+\.[^@\s]+$`)

// reachableBy holds the system and value of a telecom.
func reachableBy(at string, item object, systems ...string) error {
	if err := fromList(at+"/system", textIn(item, "system"), systems, nil); err != nil {
		return err
	}
	value := textIn(item, "value")
	if value == "" {
		return missing(at + "/value")
	}
	if len(value) > 100 || textIn(item, "system") == "email" && (len(value) <= 6 || len(value) >= 90 || !mailPattern.MatchString(value)) {
		return invalidIn(at+"/value", value)
	}
	return nil
}
