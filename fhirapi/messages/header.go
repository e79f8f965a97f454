package messages

import (
	"crypto/sha256"
	"strings"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
)

// odsSystem is the naming system of ODS codes.
const odsSystem = "https://fhir.nhs.uk/Id/ods-organization-code"

// header is what the first entry of a message says of it (https://hl7.org/fhir/R4/messageheader.html).
type header struct {
	id     string // MessageHeader.id; where there is none, the UUID of the entry's fullUrl
	bundle string // Bundle.id
	event  string // eventUri, or system|code
	source string // where the sender is, by its own word
	sender ident.ODSCode
	// receivers are the organisations that it is for, and endpoints the addresses, by the sender's word; either may be empty.
	receivers []ident.ODSCode
	endpoints []string
	focus     []fhir.Node // in the Bundle
	node      fhir.Node
}

// wrong is a fault in the header, at a place in it.
func wrong(code, at, text string) error {
	return fault.WithIssues(fault.Unprocessable, text, fault.Issue{Severity: "error", Code: code, Diagnostics: text, Expression: []string{at}})
}

// where the header is.
const atHeader = "Bundle.entry[0].resource"

// readHeader reads the header of a message, and finds in it what the rules of messaging ask for beyond R4's definitions. Error: fault.Unprocessable, with the place.
func readHeader(b *fhir.Resource) (h header, err error) {
	first := b.Get("entry.0")
	h.node = first.Field("resource")
	switch n := b.Get("entry").Len(); {
	case b.Type() != "Bundle" || b.Get("type").String() != "message":
		return h, wrong("invalid", "Bundle.type", "What is processed here is a Bundle of the type message.")
	case h.node.Field("resourceType").String() != "MessageHeader":
		return h, wrong("structure", atHeader, "The first entry of a message is its MessageHeader.")
	case n > maxEntries:
		return h, fault.New(fault.TooLarge, "A message has at most 1000 entries.")
	}
	h.bundle, h.source = b.ID(), h.node.Get("source.endpoint").String()
	if h.id = h.node.Field("id").String(); h.id == "" {
		h.id, _ = strings.CutPrefix(first.Field("fullUrl").String(), "urn:uuid:")
	}
	if !isID(h.id) {
		return h, wrong("required", atHeader+".id", "A MessageHeader has an id, of 1 to 64 letters, digits, dots and hyphens: by it a message that comes twice is known.")
	}
	if h.event = eventOf(h.node); h.event == "" {
		return h, wrong("required", atHeader+".event[x]", "A message names its event: eventUri, or system and code of eventCoding.")
	}
	if h.source == "" {
		return h, wrong("required", atHeader+".source.endpoint", "A message says where it comes from: MessageHeader.source.endpoint.")
	}
	if h.node.Field("response").Exists() {
		return h, wrong("not-supported", atHeader+".response", "This is a response. What is asked here is answered in the same exchange, or where the sender wants it; responses are not sent here.")
	}
	if h.sender, err = organisation(b, h.node.Field("sender")); err != nil {
		return h, wrong("value", atHeader+".sender", fault.MessageOf(err))
	}
	if err := h.readDestinations(b); err != nil {
		return h, err
	}
	return h, h.readFocus(b)
}

func (h *header) readDestinations(b *fhir.Resource) error {
	for to := range h.node.Field("destination").Items() {
		code, err := organisation(b, to.Field("receiver"))
		if err != nil {
			return wrong("value", atHeader+".destination.receiver", fault.MessageOf(err))
		}
		if !code.IsZero() {
			h.receivers = append(h.receivers, code)
		}
		if url := to.Field("endpoint").String(); url != "" {
			h.endpoints = append(h.endpoints, url)
		}
		if len(h.receivers) > 1 && h.receivers[0] != code {
			return wrong("not-supported", atHeader+".destination", "A message goes to one organisation: send one to each.")
		}
	}
	return nil
}

func (h *header) readFocus(b *fhir.Resource) error {
	list := h.node.Field("focus")
	if list.Len() == 0 {
		return wrong("required", atHeader+".focus", "A message says what it is about: MessageHeader.focus.")
	}
	if list.Len() > maxFocus {
		return fault.New(fault.TooLarge, "A message is about at most 100 resources.")
	}
	for ref := range list.Items() {
		r := catalogue.InBundle(b, ref.Field("reference").String())
		if !r.Exists() {
			return wrong("not-found", atHeader+".focus", "What a message is about is in its Bundle: a reference of MessageHeader.focus names no entry.")
		}
		h.focus = append(h.focus, r)
	}
	return nil
}

// eventOf is the event of a header as one text; empty when there is none.
func eventOf(n fhir.Node) string {
	if uri := n.Field("eventUri").String(); uri != "" {
		return uri
	}
	system, code := n.Get("eventCoding.system").String(), n.Get("eventCoding.code").String()
	if system == "" || code == "" {
		return ""
	}
	return system + "|" + code
}

// organisation is the ODS code of an organisation that a header refers to, by identifier or by an Organization of the Bundle; zero where it names none.
func organisation(b *fhir.Resource, ref fhir.Node) (ident.ODSCode, error) {
	code := odsOf(ref.Field("identifier"))
	if code == "" {
		if r := catalogue.InBundle(b, ref.Field("reference").String()); r.Field("resourceType").String() == "Organization" {
			for i := range r.Field("identifier").Items() {
				if code = odsOf(i); code != "" {
					break
				}
			}
		}
	}
	if code == "" {
		return ident.ODSCode{}, nil
	}
	return ident.ParseODSCode(code)
}

// odsOf is the value of an identifier that is an ODS code.
func odsOf(identifier fhir.Node) string {
	if system := identifier.Field("system").String(); system != odsSystem {
		return ""
	}
	return strings.TrimSpace(identifier.Field("value").String())
}

// isID reports whether a text is an id of FHIR.
func isID(s string) bool {
	return s != "" && len(s) <= 64 && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-.") == ""
}

// digest tells messages apart that say different things. What may change when one is sent again is left out.
func digest(b *fhir.Resource) []byte {
	sum := sha256.New()
	for name, v := range b.Root().Fields() {
		if name == "id" || name == "meta" || name == "timestamp" {
			continue
		}
		_, _ = sum.Write([]byte(name + "\x00")) // a hash never fails
		_, _ = sum.Write(v.Raw())
	}
	return sum.Sum(nil)
}
