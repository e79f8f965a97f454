package events

import (
	"bytes"
	"encoding/json"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/openspine/openspine/ident"
)

// event is something that happened, as it is published: what, to whom, when, and where to ask about it. It holds nothing else about anybody.
type event struct {
	ID, Source, Kind string
	Subject          string // an NHS number; empty when it is about nobody
	Time             string // as it was published, RFC 3339
	At               time.Time
	DataRef          string
	VersionID        string
	About            string // what of the person's it is about; empty when it is about who they are
	Filtering        map[string][]string
	Body             []byte // as it is delivered in application/json: without what it is filtered by
}

// invalid is what is wrong with what was sent, by the name of each part.
type invalid map[string]string

// Error lists what is wrong.
func (v invalid) Error() string {
	var all []string
	for k, text := range v {
		all = append(all, k+": "+text)
	}
	slices.Sort(all)
	return "invalid: " + strings.Join(all, "; ")
}

func (v invalid) add(key, text string) {
	if _, already := v[key]; !already {
		v[key] = text
	}
}

func (v invalid) err() error {
	if len(v) == 0 {
		return nil
	}
	return v
}

// maxEvent bounds a published event, in bytes: a message of the post carries it.
const maxEvent = 64 << 10

// cloud is an event as it is delivered (CloudEvents 1.0, JSON format; MNS specification, cloudevents/mns-publish-cloudevent).
type cloud struct {
	SpecVersion string `json:"specversion"`
	ID          string `json:"id"`
	Source      string `json:"source"`
	Type        string `json:"type"`
	Time        string `json:"time"`
	DataRef     string `json:"dataref,omitempty"`
	Subject     string `json:"subject,omitempty"`
	VersionID   string `json:"versionid,omitempty"`
}

// parseCloud reads a CloudEvent by every rule of the published schema. What the schema does not name is refused: an event carries a reference, and never content.
func parseCloud(body []byte) (*event, error) {
	wrong := invalid{}
	raw, ok := objectOf(body)
	if !ok {
		return nil, invalid{"body": "Please provide a JSON object of at most 64 KB"}
	}
	var c cloud
	for _, part := range []struct {
		key      string
		into     *string
		required bool
	}{{"specversion", &c.SpecVersion, true}, {"id", &c.ID, true}, {"source", &c.Source, true}, {"type", &c.Type, true}, {"time", &c.Time, true},
		{"dataref", &c.DataRef, false}, {"subject", &c.Subject, false}, {"versionid", &c.VersionID, false}} {
		text, given := raw[part.key]
		delete(raw, part.key)
		if !given && !part.required {
			continue
		}
		s, ok := stringOf(text)
		if !given || !ok || s == "" || len(s) > 2000 {
			wrong.add(part.key, valid(part.key))
			continue
		}
		*part.into = s
	}
	e := &event{ID: c.ID, Source: c.Source, Kind: c.Type, Subject: c.Subject, Time: c.Time, DataRef: c.DataRef, VersionID: c.VersionID}
	e.Filtering = filtering(raw["filtering"], wrong)
	delete(raw, "filtering")
	for key := range raw {
		wrong.add(key, "An event has no "+clipped(key)+": it carries a reference, and no content")
	}
	if wrong["specversion"] == "" && c.SpecVersion != "1.0" {
		wrong.add("specversion", valid("specversion"))
	}
	e.check(wrong, false)
	if _, err := url.Parse(c.Source); wrong["source"] == "" && (err != nil || strings.ContainsAny(c.Source, " \t\n<>\"{}|\\^`")) {
		wrong.add("source", valid("source"))
	}
	if u, err := url.Parse(c.DataRef); c.DataRef != "" && (err != nil || !u.IsAbs() || strings.ContainsAny(c.DataRef, " \t\n<>\"{}|\\^`")) {
		wrong.add("dataref", valid("dataref"))
	}
	if len(wrong) > 0 {
		return nil, wrong
	}
	e.Body = mustJSON(c)
	return e, nil
}

// check adds to wrong what is wrong with the type, the time and the subject.
func (e *event) check(wrong invalid, legacy bool) {
	if k, known := kindOf(e.Kind); wrong["type"] == "" && (!known || k.legacy != legacy) {
		wrong.add("type", valid("type"))
	}
	at, ok := instant(e.Time)
	if wrong["time"] == "" && !ok {
		wrong.add("time", valid("time"))
	}
	e.At = at
	if e.Subject == "" || wrong["subject"] != "" {
		return
	}
	if n, err := ident.ParseNHSNumber(e.Subject); err != nil || n.String() != e.Subject {
		wrong.add("subject", valid("subject"))
	}
}

// valid is what a publisher is told of a part that is missing or wrong.
func valid(key string) string {
	switch key {
	case "type":
		return "Please provide a valid event type"
	case "time":
		return "Please provide a valid RFC3339 date and time"
	case "subject", "subject.nhsNumber":
		return "Please provide a valid NHS number"
	}
	return "Please provide a valid " + key
}

// instant reads a FHIR instant: RFC 3339, at least to the second, with a zone (https://hl7.org/fhir/R4/datatypes.html#instant).
func instant(text string) (time.Time, bool) {
	if len(text) < 20 || len(text) > 35 || text[10] != 'T' {
		return time.Time{}, false
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	return at, err == nil && !strings.Contains(text, ",")
}

// filtering reads what an event may be filtered by: texts, numbers, truths, and lists of texts and whole numbers.
func filtering(raw json.RawMessage, wrong invalid) map[string][]string {
	if raw == nil {
		return nil
	}
	parts, ok := objectOf(raw)
	if !ok || len(parts) > 50 {
		wrong.add("filtering", valid("filtering"))
		return nil
	}
	all := make(map[string][]string, len(parts))
	for key, value := range parts {
		if one, ok := scalarOf(value, true); ok {
			all[key] = []string{one}
			continue
		}
		var list []json.RawMessage
		if json.Unmarshal(value, &list) != nil || list == nil || len(list) > 100 {
			wrong.add("filtering."+clipped(key), valid("filtering."+clipped(key)))
			continue
		}
		all[key] = []string{}
		for _, item := range list {
			one, ok := scalarOf(item, false)
			if !ok {
				wrong.add("filtering."+clipped(key), valid("filtering."+clipped(key)))
				break
			}
			all[key] = append(all[key], one)
		}
	}
	return all
}

// scalarOf is a text or a number as filters compare it; with loose also a fraction or a truth.
func scalarOf(raw json.RawMessage, loose bool) (string, bool) {
	if s, ok := stringOf(raw); ok {
		return s, len(s) <= 500
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return "", false
	}
	switch v := v.(type) {
	case json.Number:
		_, err := v.Int64()
		return v.String(), loose || err == nil
	case bool:
		if v {
			return "true", loose
		}
		return "false", loose
	}
	return "", false
}

// legacy is an event in the shape before CloudEvents (MNS specification, "Publish an event", application/json).
type legacy struct {
	ID      string `json:"id"`
	Type    string `json:"type"`
	Subject *struct {
		DOB        string `json:"dob"`
		FamilyName string `json:"familyName"`
		NHSNumber  string `json:"nhsNumber"`
	} `json:"subject"`
	Source *publisher  `json:"source"`
	Time   string      `json:"time"`
	Data   *legacyData `json:"data,omitempty"`
}

type publisher struct {
	Name       *string `json:"name"`
	Identifier *struct {
		System string `json:"system"`
		Value  string `json:"value"`
	} `json:"identifier"`
}

type legacyData struct {
	VersionID  string     `json:"versionId"`
	FullURL    string     `json:"fullUrl"`
	Encounter  *string    `json:"registrationEncounterCode,omitempty"`
	Death      *string    `json:"deathNotificationStatus,omitempty"`
	Number     *string    `json:"nhsNumberStatus,omitempty"`
	Provenance *publisher `json:"provenance"`
}

// parseLegacy reads an event in the shape before CloudEvents.
func parseLegacy(body []byte) (*event, error) {
	if _, ok := objectOf(body); !ok {
		return nil, invalid{"body": "Please provide a JSON object of at most 64 KB"}
	}
	var l legacy
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&l); err != nil || !utf8.Valid(body) {
		return nil, invalid{"body": "Please provide the parts of an event as they are published, and no others"}
	}
	wrong := invalid{}
	e := &event{ID: l.ID, Kind: l.Type, Time: l.Time}
	if l.ID == "" || len(l.ID) > 2000 {
		wrong.add("id", valid("id"))
	}
	if l.Subject == nil {
		wrong.add("subject", valid("subject"))
	} else if e.Subject = l.Subject.NHSNumber; e.Subject == "" {
		wrong.add("subject.nhsNumber", valid("subject.nhsNumber"))
	} else {
		if l.Subject.FamilyName == "" {
			wrong.add("subject.familyName", valid("subject.familyName"))
		}
		if !birthDate(l.Subject.DOB) {
			wrong.add("subject.dob", valid("subject.dob"))
		}
	}
	e.Source = l.Source.check("source", wrong)
	if l.Data != nil {
		e.DataRef, e.VersionID = l.Data.FullURL, l.Data.VersionID
		l.Data.check(l.Type, wrong)
	}
	e.check(wrong, true)
	if len(wrong) > 0 {
		return nil, wrong
	}
	e.Body = mustJSON(l)
	return e, nil
}

// check adds to wrong what is wrong with an organisation, and is its identifier as a URI.
func (p *publisher) check(key string, wrong invalid) string {
	const system = "https://fhir.nhs.uk/Id/nhsSpineASID"
	if p == nil || p.Name == nil || p.Identifier == nil || p.Identifier.System != system || p.Identifier.Value == "" || strings.ContainsAny(p.Identifier.Value, "/ ") {
		wrong.add(key, valid(key))
		return ""
	}
	return system + "/" + p.Identifier.Value
}

// check adds to wrong what is wrong with the data that go with a type: its own code, and a pointer.
func (d *legacyData) check(kind string, wrong invalid) {
	codes := map[string]*string{"registrationEncounterCode": d.Encounter, "deathNotificationStatus": d.Death, "nhsNumberStatus": d.Number}
	own := map[string]string{"pds-change-of-gp-1": "registrationEncounterCode", "pds-death-notification-1": "deathNotificationStatus", "nhs-number-change-1": "nhsNumberStatus"}[kind]
	allowed := map[string][]string{"registrationEncounterCode": {"", "1", "2", "3", "4", "6"}, "deathNotificationStatus": {"1", "2", "U"}, "nhsNumberStatus": {"I", "R"}}
	for name, code := range codes {
		if (code != nil) != (name == own) || code != nil && !slices.Contains(allowed[name], *code) {
			wrong.add("data."+name, valid("data."+name))
		}
	}
	if !strings.HasPrefix(d.VersionID, `W/"`) || !strings.HasSuffix(d.VersionID, `"`) || len(d.VersionID) < 5 || len(d.VersionID) > 100 {
		wrong.add("data.versionId", valid("data.versionId"))
	}
	if u, err := url.Parse(d.FullURL); err != nil || !u.IsAbs() || u.Host == "" {
		wrong.add("data.fullUrl", valid("data.fullUrl"))
	}
	d.Provenance.check("data.provenance", wrong)
}

// birthDate reports whether text is a date, or a year or month, as records have it.
func birthDate(text string) bool {
	for _, form := range []string{"2006-01-02", "2006-01", "2006"} {
		if _, err := time.Parse(form, text); err == nil {
			return true
		}
	}
	return false
}

// objectOf is a JSON object by its keys; false when it is none, or names a key twice.
func objectOf(body []byte) (map[string]json.RawMessage, bool) {
	if len(body) > maxEvent || !utf8.Valid(body) {
		return nil, false
	}
	d := json.NewDecoder(bytes.NewReader(body))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, false
	}
	all := map[string]json.RawMessage{}
	for d.More() {
		t, err := d.Token()
		key, ok := t.(string)
		if err != nil || !ok {
			return nil, false
		}
		if _, twice := all[key]; twice {
			return nil, false
		}
		var value json.RawMessage
		if d.Decode(&value) != nil {
			return nil, false
		}
		all[key] = value
	}
	if _, err := d.Token(); err != nil {
		return nil, false
	}
	_, err := d.Token()
	return all, err == io.EOF
}

func stringOf(raw json.RawMessage) (string, bool) {
	if len(raw) == 0 || raw[0] != '"' {
		return "", false
	}
	var s string
	err := json.Unmarshal(raw, &s)
	return s, err == nil
}

// clipped is a name that a caller chose, as it may be repeated to them.
func clipped(s string) string {
	if len(s) > 60 {
		return strings.ToValidUTF8(s[:60], "") + "…"
	}
	return s
}

// mustJSON is v as JSON without escapes for HTML; v is made of texts.
func mustJSON(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic("events: " + err.Error()) // texts and lists of them always can be
	}
	return bytes.TrimSpace(b.Bytes())
}
