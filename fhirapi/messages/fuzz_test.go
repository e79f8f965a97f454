package messages

import (
	"bytes"
	"testing"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
)

// FuzzHeader: whatever is sent, the header is read or refused with a place in it; what is read has all that handling needs, is read the same from the same bytes,
// and is answered by a response to it and to nothing else, which itself is no message to be handled.
func FuzzHeader(f *testing.F) {
	for _, s := range []string{
		`{"resourceType":"Bundle","id":"b","type":"message","entry":[{"fullUrl":"urn:uuid:1","resource":{"resourceType":"MessageHeader","id":"h","eventUri":"urn:x","source":{"endpoint":"urn:us"},"focus":[{"reference":"urn:uuid:2"}]}},{"fullUrl":"urn:uuid:2","resource":{"resourceType":"Patient"}}]}`,
		`{"resourceType":"Bundle","type":"message","entry":[{"fullUrl":"urn:uuid:1","resource":{"resourceType":"MessageHeader","eventCoding":{"system":"s","code":"c"},"destination":[{"endpoint":"e","receiver":{"reference":"urn:uuid:3"}}],"sender":{"identifier":{"system":"https://fhir.nhs.uk/Id/ods-organization-code","value":"RX1"}},"source":{"name":"\"","endpoint":"\u0000"},"focus":[{"reference":"Patient/7"}]}},{"fullUrl":"x/Patient/7","resource":{"resourceType":"Patient","id":"7"}},{"fullUrl":"urn:uuid:3","resource":{"resourceType":"Organization","identifier":[{"system":"https://fhir.nhs.uk/Id/ods-organization-code","value":"RZ901"}]}}]}`,
		`{"resourceType":"Bundle","type":"message","entry":[{"resource":{"resourceType":"MessageHeader","id":"h","response":{"identifier":"x"}}}]}`,
		`{"resourceType":"Bundle","type":"message","entry":{}}`, `{"resourceType":"Bundle","type":"message","entry":[null,7]}`, `{}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		b, err := fhir.Parse(text)
		if err != nil {
			return
		}
		h, err := readHeader(b)
		if err != nil {
			if k := fault.KindOf(err); k != fault.Unprocessable && k != fault.TooLarge || fault.MessageOf(err) == "" {
				t.Fatalf("refused as %v: %v", k, err)
			}
			return
		}
		if !isID(h.id) || h.event == "" || h.source == "" || len(h.focus) == 0 || b.Get("entry.0.resource.resourceType").String() != "MessageHeader" {
			t.Fatalf("read %+v of %s", h, text)
		}
		for _, r := range h.focus {
			if !r.Exists() {
				t.Fatal("a focus that is not there")
			}
		}
		for _, r := range h.receivers {
			if r != h.receivers[0] {
				t.Fatal("for two organisations")
			}
		}
		again, err := fhir.Parse(bytes.Clone(text))
		if err != nil {
			t.Fatal(err)
		}
		if g, err := readHeader(again); err != nil || g.id != h.id || g.event != h.event || g.source != h.source || g.sender != h.sender || !bytes.Equal(digest(b), digest(again)) {
			t.Fatalf("read %+v, and then %+v %v", h, g, err)
		}
		answer, err := respond(request{id: h.id, header: h.node, from: "https://here.example.org"}, time.UnixMilli(0), codeFatal, inform("no"), nil)
		if err != nil {
			if len(text) < MaxSentOn/2 {
				t.Fatal(err)
			}
			return
		}
		doc, err := fhir.Parse(answer)
		if err != nil {
			t.Fatalf("the response cannot be read: %v\n%s", err, answer)
		}
		why, no := refusalOf(answer)
		if !answers(answer, h.id) || answers(answer, h.id+"x") || !no || why != "no" || eventOf(doc.Get("entry.0.resource")) != h.event {
			t.Fatalf("the response is %s", answer)
		}
		if _, err := readHeader(doc); err == nil {
			t.Fatal("a response was read as a message to be handled")
		}
	})
}
