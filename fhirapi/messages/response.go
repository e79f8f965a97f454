package messages

import (
	"time"

	"github.com/google/uuid"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/messaging"
)

// What a response says (http://hl7.org/fhir/response-code).
const (
	codeOK    = "ok"
	codeFatal = "fatal-error"
)

// request is what a response must know of the message that it answers.
type request struct {
	id     string
	header fhir.Node // as it was sent
	from   string    // the address that answers
}

// respond makes the response to a message: ok with what the handler answers, or fatal-error with why. Error: fault.Internal when it is too long.
func respond(q request, at time.Time, code string, issues []fault.Issue, replies []fhir.Value) ([]byte, error) {
	me := uuid.NewString()
	var entries, focus []any
	details := fhir.Value{}
	add := func(r fhir.Value) string {
		url := "urn:uuid:" + uuid.NewString()
		entries = append(entries, fhir.Obj("fullUrl", url, "resource", r))
		return url
	}
	if len(issues) > 0 {
		details = fhir.Obj("reference", add(outcome(issues)))
	}
	for _, r := range replies {
		focus = append(focus, fhir.Obj("reference", add(r)))
	}
	event := []any{"eventUri", fhir.Value{}, "eventCoding", fhir.Value{}}
	for i := 0; i < len(event); i += 2 {
		if n := q.header.Field(event[i].(string)); n.Exists() { //nolint:forcetypeassert // two lines above
			event[i+1] = n
		}
	}
	said := fhir.Obj(append(append([]any{"resourceType", "MessageHeader", "id", me}, event...),
		"destination", fhir.Arr(fhir.Obj("name", q.header.Get("source.name"), "endpoint", q.header.Get("source.endpoint"))),
		"source", fhir.Obj("name", "OpenSpine", "software", "OpenSpine", "endpoint", q.from),
		"response", fhir.Obj("identifier", q.id, "code", code, "details", details), "focus", fhir.Arr(focus...))...)
	entries = append([]any{fhir.Obj("fullUrl", "urn:uuid:"+me, "resource", said)}, entries...)
	text := fhir.Obj("resourceType", "Bundle", "id", uuid.NewString(), "type", "message", "timestamp", fhir.Instant(at), "entry", fhir.Arr(entries...)).JSON()
	if len(text) > messaging.MaxBody {
		return nil, fault.New(fault.Internal, "the answer to a message has %d bytes, more than the post carries", len(text))
	}
	return text, nil
}

func outcome(issues []fault.Issue) fhir.Value {
	var list []any
	for _, i := range issues {
		var at []any
		for _, e := range i.Expression {
			at = append(at, e)
		}
		list = append(list, fhir.Obj("severity", i.Severity, "code", i.Code, "diagnostics", i.Diagnostics, "expression", fhir.Arr(at...)))
	}
	return fhir.Obj("resourceType", "OperationOutcome", "issue", fhir.Arr(list...))
}

// inform is an issue that is none.
func inform(text string) []fault.Issue {
	return []fault.Issue{{Severity: "information", Code: "informational", Diagnostics: text}}
}

// refusalOf is why a response says no; no is false for one that says yes.
func refusalOf(text []byte) (why string, no bool) {
	doc, err := fhir.ParseLimited(text, fhir.Limits{Bytes: len(text), Depth: 1000})
	if err != nil || doc.Get("entry.0.resource.response.code").String() != codeFatal {
		return "", false
	}
	for e := range doc.Get("entry").Items() {
		if r := e.Field("resource"); r.Field("resourceType").String() == "OperationOutcome" {
			return r.Get("issue.0.diagnostics").String(), true
		}
	}
	return "The message is refused.", true
}

// answers reports whether a text is a response message to the message with an id.
func answers(text []byte, id string) bool {
	doc, err := fhir.Parse(text)
	return err == nil && doc.Type() == "Bundle" && doc.Get("type").String() == "message" && doc.Get("entry.0.resource.resourceType").String() == "MessageHeader" &&
		doc.Get("entry.0.resource.response.identifier").String() == id
}
