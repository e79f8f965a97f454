package audit

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
)

const (
	systemDICOM       = "http://dicom.nema.org/resources/ontology/DCM"
	systemEventType   = "http://terminology.hl7.org/CodeSystem/audit-event-type"
	systemInteraction = "http://hl7.org/fhir/restful-interaction"
	systemReason      = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
	systemEntityType  = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
	systemEntityRole  = "http://terminology.hl7.org/CodeSystem/object-role"
	systemODS         = "https://fhir.nhs.uk/Id/ods-organization-code"
)

// AuditEvent renders an entry as a FHIR R4 AuditEvent (https://hl7.org/fhir/R4/auditevent.html).
func AuditEvent(e Entry) fhir.Value {
	kind, subtype, letter := eventOf(e.Action)
	outcome := "0"
	switch {
	case e.Outcome == OutcomeRefused:
		outcome = "4"
	case e.Outcome != OutcomeOK:
		outcome = "8"
	}
	agents := []fhir.Value{fhir.Obj(
		"role", fhir.Arr(text(e.Role)),
		"who", fhir.Obj("identifier", fhir.Obj("value", e.Actor), "display", e.ActorName),
		"requestor", true)}
	if !e.Organisation.IsZero() {
		agents = append(agents, fhir.Obj("who", organisation(e.Organisation), "requestor", false))
	}
	observer := fhir.Obj("display", "OpenSpine")
	if !e.Tenant.IsZero() {
		observer = organisation(e.Tenant)
	}
	return fhir.Obj("resourceType", "AuditEvent", "id", e.ID(),
		"type", kind, "subtype", fhir.Arr(subtype), "action", letter,
		"recorded", e.At.UTC().Format("2006-01-02T15:04:05.000000Z"),
		"outcome", outcome, "outcomeDesc", outcomeText(e),
		"purposeOfEvent", fhir.Arr(concept(systemReason, e.Purpose)),
		"agent", fhir.List(agents),
		"source", fhir.Obj("observer", observer),
		"entity", fhir.List(entitiesOf(e)))
}

func organisation(c ident.ODSCode) fhir.Value {
	return fhir.Obj("type", "Organization", "identifier", fhir.Obj("system", systemODS, "value", c.String()))
}

func coding(system, code, display string) fhir.Value {
	if code == "" {
		return fhir.Value{}
	}
	return fhir.Obj("system", system, "code", code, "display", display)
}

func concept(system, code string) fhir.Value {
	return fhir.Obj("coding", fhir.Arr(coding(system, code, "")))
}

func text(s string) fhir.Value { return fhir.Obj("text", s) }

func outcomeText(e Entry) string {
	if e.Outcome == OutcomeOK {
		return ""
	}
	return strings.TrimSpace(e.Outcome + " " + e.Basis)
}

// eventOf is the type, subtype and action letter (CRUDE) of an action.
func eventOf(action string) (kind, subtype fhir.Value, letter string) {
	rest := coding(systemEventType, "rest", "RESTful Operation")
	interactions := map[string]struct{ code, letter string }{
		"read": {"read", "R"}, "history": {"history", "R"}, "search": {"search-type", "E"}, "export": {"operation", "E"},
		"create": {"create", "C"}, "update": {"update", "U"}, "delete": {"delete", "D"},
	}
	if i, ok := interactions[action]; ok {
		return rest, coding(systemInteraction, i.code, ""), i.letter
	}
	switch action {
	case "sign-in":
		return coding(systemDICOM, "110114", "User Authentication"), coding(systemDICOM, "110122", "Login"), "E"
	case "sign-out":
		return coding(systemDICOM, "110114", "User Authentication"), coding(systemDICOM, "110123", "Logout"), "E"
	case "break-glass":
		return coding(systemDICOM, "110113", "Security Alert"), coding(systemDICOM, "110127", "Emergency Override Started"), "E"
	}
	return coding(systemDICOM, "110113", "Security Alert"), fhir.Obj("code", action), "E"
}

// entitiesOf says whose chart, what in it, and which request.
func entitiesOf(e Entry) []fhir.Value {
	var entities []fhir.Value
	if e.Chart != "" {
		entities = append(entities, fhir.Obj(
			"what", fhir.Obj("reference", "Patient/"+e.Chart),
			"type", coding(systemEntityType, "1", "Person"),
			"role", coding(systemEntityRole, "1", "Patient")))
	}
	if e.Detail != "" && e.Detail != "Patient" {
		what := fhir.Value{}
		if isReference(e.Detail) {
			what = fhir.Obj("reference", e.Detail)
		}
		entities = append(entities, fhir.Obj("what", what, "type", coding(systemEntityType, "2", "System Object"),
			"role", coding(systemEntityRole, "4", "Domain Resource"), "description", e.Detail))
	}
	if e.RequestID != "" {
		entities = append(entities, fhir.Obj("what", fhir.Obj("identifier", fhir.Obj("value", e.RequestID)),
			"type", coding(systemEntityType, "2", "System Object"), "role", coding(systemEntityRole, "21", "Job Stream")))
	}
	return entities
}

// isReference reports whether a detail is one relative reference, as opposed to a count of several or a reason in words.
func isReference(detail string) bool {
	typ, id, ok := strings.Cut(detail, "/")
	return ok && typ != "" && typ[0] >= 'A' && typ[0] <= 'Z' && id != "" && !strings.ContainsAny(detail, " ,×") && !strings.Contains(id, "/")
}

// SearchParameters are those of FHIR's AuditEvent search that ParseSearch understands.
func SearchParameters() []string {
	return []string{"patient", "agent", "altid", "agent-organization", "action", "subtype", "date", "outcome", "purpose", "_count", "_cursor"}
}

// ParseSearch reads a FHIR search on AuditEvent in one tenant. Dates take ge, gt, le, lt and eq; outcome is 0, 4 or 8.
// Errors: fault.Invalid for a parameter or value that is not understood.
func ParseSearch(tenant ident.ODSCode, params url.Values) (Query, error) {
	q := Query{Tenant: tenant}
	for name, values := range params {
		for _, v := range values {
			if err := q.take(name, v); err != nil {
				return Query{}, err
			}
		}
	}
	return q, nil
}

func (q *Query) take(name, v string) error {
	_, bare, piped := strings.Cut(v, "|")
	if !piped {
		bare = v
	}
	var err error
	switch name {
	case "patient":
		q.Chart = strings.TrimPrefix(v, "Patient/")
	case "agent", "altid":
		q.Actor = bare
	case "agent-organization":
		q.Organisation, err = ident.ParseODSCode(bare)
	case "subtype":
		q.Actions = []string{strings.TrimSuffix(bare, "-type")}
	case "purpose":
		q.Purpose = bare
	case "_cursor":
		q.After = v
	case "_count":
		q.Limit, err = strconv.Atoi(v)
		q.Limit = min(q.Limit, 1000)
	case "action":
		actions := map[string][]string{"C": {"create"}, "R": {"read", "history"}, "U": {"update"}, "D": {"delete"}}[v]
		if v == "E" {
			actions = []string{"search", "export", "sign-in", "sign-out", "break-glass", "claim-relationship"}
		}
		if actions == nil {
			return fault.New(fault.Invalid, "action is one of C, R, U, D, E")
		}
		q.Actions = actions
	case "outcome":
		outcomes := map[string]string{"0": OutcomeOK, "4": OutcomeRefused, "8": OutcomeFailed}
		if q.Outcome = outcomes[bare]; q.Outcome == "" {
			return fault.New(fault.Invalid, "outcome is 0, 4 or 8")
		}
	case "date":
		err = q.takeDate(v)
	default:
		return fault.New(fault.Invalid, "the search parameter %q is not known for AuditEvent; these are: %s", name, strings.Join(SearchParameters(), ", "))
	}
	if err != nil {
		return fault.New(fault.Invalid, "the value of %s cannot be understood", name)
	}
	return nil
}

// takeDate narrows the period by one date with its prefix (https://hl7.org/fhir/R4/search.html#date).
func (q *Query) takeDate(v string) error {
	prefix, rest := "eq", v
	if len(v) > 2 && slices.Contains([]string{"eq", "ge", "gt", "le", "lt"}, v[:2]) {
		prefix, rest = v[:2], v[2:]
	}
	from, to, err := span(rest)
	if err != nil {
		return err
	}
	narrow := func(from, to time.Time) {
		if from.After(q.From) {
			q.From = from
		}
		if !to.IsZero() && (q.To.IsZero() || to.Before(q.To)) {
			q.To = to
		}
	}
	switch prefix {
	case "ge":
		narrow(from, time.Time{})
	case "gt":
		narrow(to, time.Time{})
	case "le":
		narrow(time.Time{}, to)
	case "lt":
		narrow(time.Time{}, from)
	default:
		narrow(from, to)
	}
	return nil
}

// span is the first instant of a FHIR date or dateTime and the first after it.
func span(s string) (from, to time.Time, err error) {
	for _, f := range []struct {
		layout string
		next   func(time.Time) time.Time
	}{
		{"2006", func(t time.Time) time.Time { return t.AddDate(1, 0, 0) }},
		{"2006-01", func(t time.Time) time.Time { return t.AddDate(0, 1, 0) }},
		{"2006-01-02", func(t time.Time) time.Time { return t.AddDate(0, 0, 1) }},
		{"2006-01-02T15:04Z07:00", func(t time.Time) time.Time { return t.Add(time.Minute) }},
		{time.RFC3339, func(t time.Time) time.Time { return t.Add(time.Second) }},
	} {
		if from, err = time.Parse(f.layout, s); err == nil {
			if strings.Contains(s, ".") {
				return from, from.Add(time.Microsecond), nil
			}
			return from, f.next(from), nil
		}
	}
	return from, to, err
}
