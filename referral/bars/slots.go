package bars

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/referral"
)

// Limits of a search for slots.
const (
	widestSearch = 366 * 24 * time.Hour
	mostSlots    = 2000
)

// slotQuery is what a search for slots asks for.
type slotQuery struct {
	free     bool
	from, to time.Time
	service  string
	include  []string
}

// includes are those that can be asked for; others are left out, and out of the link.
func includes() []string {
	return []string{"Slot:schedule", "Schedule:actor:Practitioner", "Schedule:actor:PractitionerRole", "Schedule:actor:HealthcareService", "HealthcareService:providedBy", "HealthcareService:location", "Slot:*"}
}

// readSlotQuery reads the parameters of GET /Slot.
func readSlotQuery(values url.Values) (q slotQuery, err error) {
	statuses := commas(values["status"])
	if len(statuses) == 0 {
		return q, refuse(http.StatusBadRequest, sender, "required", "The parameter status is missing: free, or free,busy.")
	}
	for _, s := range statuses {
		if !slices.Contains([]string{"free", "busy", "busy-unavailable", "busy-tentative", "entered-in-error"}, s) {
			return q, refuse(http.StatusBadRequest, sender, "value", "The status %q of slots is not known.", shown(s))
		}
		q.free = q.free || s == "free"
	}
	if len(values["start"]) == 0 {
		return q, refuse(http.StatusBadRequest, sender, "required", "The parameter start is missing: start=ge… and start=le…, each with its offset from UTC.")
	}
	for _, text := range values["start"] {
		if err := q.bound(text); err != nil {
			return q, err
		}
	}
	if q.from.IsZero() || q.to.IsZero() {
		return q, refuse(http.StatusBadRequest, sender, "required", "The parameter start is given twice, as the beginning (ge) and the end (le) of the time in which slots start.")
	}
	if q.to.Sub(q.from) > widestSearch {
		return q, refuse(http.StatusUnprocessableEntity, receiver, "too-costly", "The range of start times is too wide: at most %d days are searched at once.", int(widestSearch.Hours()/24))
	}
	q.service = values.Get("Schedule.actor:HealthcareService")
	if q.service == "" {
		q.service = values.Get("schedule.actor:HealthcareService")
	}
	for _, i := range commas(values["_include"], values["_include:iterate"], values["_include:recurse"]) {
		if slices.Contains(includes(), i) && !slices.Contains(q.include, i) {
			q.include = append(q.include, i)
		}
	}
	if !slices.Contains(q.include, "Slot:schedule") && !slices.Contains(q.include, "Slot:*") {
		return q, refuse(http.StatusBadRequest, sender, "required", "The parameter _include is missing: Slot:schedule and Schedule:actor:HealthcareService at least.")
	}
	return q, nil
}

// commas are the values of lists that are parted by commas.
func commas(lists ...[]string) (all []string) {
	for _, list := range lists {
		for _, text := range list {
			for v := range strings.SplitSeq(text, ",") {
				if v = strings.TrimSpace(v); v != "" {
					all = append(all, v)
				}
			}
		}
	}
	return all
}

// bound reads one value of start.
func (q *slotQuery) bound(text string) error {
	prefix, rest := text, ""
	if len(text) > 2 {
		prefix, rest = text[:2], text[2:]
	}
	// A plus in an address is a space once it has been read.
	at, err := time.Parse(time.RFC3339, strings.ReplaceAll(rest, " ", "+"))
	if err != nil {
		return refuse(http.StatusBadRequest, sender, "value", "The start %q is no time with its offset from UTC, such as ge2026-03-01T12:00:00+00:00.", shown(text))
	}
	switch prefix {
	case "ge":
		q.from = at
	case "gt":
		q.from = at.Add(time.Microsecond)
	case "le":
		q.to = at.Add(time.Microsecond)
	case "lt":
		q.to = at
	default:
		return refuse(http.StatusBadRequest, sender, "value", "The start %q begins with ge, gt, le or lt.", shown(text))
	}
	return nil
}

// slots finds the free times of a service.
func (c *call) slots() error {
	q, err := readSlotQuery(c.r.URL.Query())
	if err != nil {
		return err
	}
	var list []referral.Slot
	if q.free && (q.service == "" || serviceNamed(q.service, c.target.ID, c.head.target.Value)) {
		if list, err = c.a.referrals.FreeSlots(c.r.Context(), c.target.ID, q.from, q.to, "", mostSlots+1); err != nil {
			return err
		}
	}
	if len(list) > mostSlots {
		return refuse(http.StatusUnprocessableEntity, receiver, "too-costly", "There are more than %d slots in this time: ask for a shorter one.", mostSlots)
	}
	return c.send(http.StatusOK, c.slotBundle(q, list))
}

// serviceNamed reports whether a value of the parameter, a code or system|code, names the service.
func serviceNamed(value string, names ...string) bool {
	if _, after, ok := strings.Cut(value, "|"); ok {
		value = after
	}
	return slices.Contains(names, strings.TrimPrefix(value, "HealthcareService/"))
}

// slotBundle is the slots that were found, and what was asked for beside.
func (c *call) slotBundle(q slotQuery, list []referral.Slot) fhir.Value {
	all := slices.Contains(q.include, "Slot:*")
	wants := func(i string) bool { return all || slices.Contains(q.include, i) }
	var entries, schedules []any
	seen := map[string]bool{}
	people := map[string]bool{}
	var named []string
	t := c.target
	urn := func(words ...string) string { return "urn:uuid:" + madeID(words...) }
	serviceURN, placeURN := urn("service", t.ID), urn("place", t.ID)
	for _, s := range list {
		id, schedule := slotID(s.SlotRef), urn("schedule", t.ID, s.Clinician)
		entries = append(entries, entry("urn:uuid:"+id, "match", fhir.Obj("resourceType", "Slot", "id", id, "meta", profiled("http://hl7.org/fhir/StructureDefinition/Slot", ukCore+"Slot"),
			"schedule", fhir.Obj("reference", schedule), "status", "free", "start", instant(s.Start), "end", instant(s.End))))
		if seen[schedule] || !wants("Slot:schedule") {
			continue
		}
		seen[schedule] = true
		actors := []any{fhir.Obj("reference", serviceURN)}
		if s.Clinician != "" {
			actors = append(actors, fhir.Obj("reference", urn("role", t.ID, s.Clinician)), fhir.Obj("reference", urn("person", t.Provider.String(), s.Clinician)))
			if !people[s.Clinician] {
				people[s.Clinician] = true
				named = append(named, s.Clinician)
			}
		}
		schedules = append(schedules, entry(schedule, "include", fhir.Obj("resourceType", "Schedule", "id", strings.TrimPrefix(schedule, "urn:uuid:"), "meta", profiled("http://hl7.org/fhir/StructureDefinition/Schedule", ukCore+"Schedule"),
			"identifier", fhir.Arr(fhir.Obj("system", c.a.k.BaseURL()+"/Id/schedule", "value", strings.TrimPrefix(schedule, "urn:uuid:"))), "actor", fhir.Arr(actors...))))
	}
	entries = append(entries, schedules...)
	if len(schedules) > 0 && wants("Schedule:actor:HealthcareService") {
		entries = append(entries, c.serviceEntries(wants, serviceURN, placeURN)...)
	}
	for _, name := range named {
		if wants("Schedule:actor:Practitioner") {
			entries = append(entries, entry(urn("person", t.Provider.String(), name), "include", fhir.Obj("resourceType", "Practitioner", "id", madeID("person", t.Provider.String(), name),
				"meta", profiled(ukCore+"Practitioner"), "name", fhir.Arr(fhir.Obj("text", name)))))
		}
		if wants("Schedule:actor:PractitionerRole") {
			entries = append(entries, entry(urn("role", t.ID, name), "include", fhir.Obj("resourceType", "PractitionerRole", "id", madeID("role", t.ID, name),
				"meta", profiled(ukCore+"PractitionerRole"), "practitioner", fhir.Obj("reference", urn("person", t.Provider.String(), name), "display", name))))
		}
	}
	return fhir.Obj("resourceType", "Bundle", "id", uuid.NewString(), "meta", fhir.Obj("lastUpdated", instant(c.a.k.Clock.Now()), "profile", fhir.Arr(ukCore+"Bundle")), "type", "searchset",
		"timestamp", instant(c.a.k.Clock.Now()), "total", len(list), "link", fhir.Arr(fhir.Obj("relation", "self", "url", c.a.base()+"/Slot?"+honoured(c.r.URL.Query(), q.include).Encode())), "entry", fhir.Arr(entries...))
}

// honoured are the parameters without the includes that were ignored.
func honoured(asked url.Values, include []string) url.Values {
	v := url.Values{}
	for _, name := range []string{"status", "start", "Schedule.actor:HealthcareService", "schedule.actor:HealthcareService"} {
		if len(asked[name]) > 0 {
			v[name] = asked[name]
		}
	}
	v["_include"] = include
	return v
}

// serviceEntries are the service, where it is and whose it is.
func (c *call) serviceEntries(wants func(string) bool, serviceURN, placeURN string) []any {
	t := c.target
	location := ""
	if t.Location != nil {
		location = placeURN
	}
	list := []any{entry(serviceURN, "include", service(t, location))}
	if t.Location != nil && wants("HealthcareService:location") {
		list = append(list, entry(placeURN, "include", fhir.Obj("resourceType", "Location", "id", t.Location.ID(), "meta", profiled(ukCore+"Location"), "name", t.Location.Get("name"),
			"address", t.Location.Get("address"), "position", t.Location.Get("position"))))
	}
	if wants("HealthcareService:providedBy") {
		list = append(list, entry("urn:uuid:"+madeID("organisation", t.Provider.String()), "include", fhir.Obj("resourceType", "Organization", "id", t.Provider.String(), "meta", profiled(ukCore+"Organization"),
			"identifier", fhir.Arr(fhir.Obj("system", ident.SystemODSCode, "value", t.Provider.String())), "name", t.ProviderName)))
	}
	return list
}

func entry(url, mode string, resource fhir.Value) fhir.Value {
	return fhir.Obj("fullUrl", url, "resource", resource, "search", fhir.Obj("mode", mode))
}
