package catalogue

import (
	"context"
	"strings"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
)

// Messaged is an event of FHIR messaging (https://hl7.org/fhir/R4/messaging.html) that a service takes: by $process-message, or by the post from another node. It is data,
// like a Route. The service handles the first copy of a message; further ones are answered as the first was.
type Messaged struct {
	// Event is MessageHeader.eventUri, or system|code of its eventCoding. Each is taken by one service.
	Event string
	// Focus are the resource types of which MessageHeader.focus may be; none means any.
	Focus []string
	// Take looks at a message and says what it will do, before anything is locked or changed. Unavailable, Timeout, TooMany, Full and Internal
	// mean "not now": nothing is kept, and the sender tries again. Any other fault is a refusal, which the sender is told in its words.
	Take func(ctx context.Context, m FHIRMessage) (Effect, error)
}

// FHIRMessage is a message that keeps to FHIR R4, of which the header was looked at: it has an id, a source, a focus in the Bundle, and is for Tenant.
type FHIRMessage struct {
	// Tenant is the organisation that it is for; this node keeps its records.
	Tenant ident.ODSCode
	// From is the program that sent it, of the organisation that it says it is from. What came from another node is from a program of that organisation.
	From access.Principal
	// ID is MessageHeader.id, Event as Messaged has it.
	ID, Event string
	Bundle    *fhir.Resource
	Header    fhir.Node
	Focus     []fhir.Node // the resources, in the header's order
}

// Resource is what a reference in the message names within its Bundle; absent when it is not there.
func (m FHIRMessage) Resource(reference string) fhir.Node { return InBundle(m.Bundle, reference) }

// Effect is what a message does.
type Effect struct {
	// Grants are what it needs, as the Gate has given them: Do runs in their Gate.Act. Without any, in a transaction of its own.
	Grants []access.Grant
	// Lanes are those that Do needs beside the Grants'.
	Lanes []store.Lane
	// Do does it, through tx alone, and returns the resources of the response. It may be run more than once; its failures mean what those of Take do.
	Do func(ctx context.Context, tx *store.Tx) ([]fhir.Value, error)
}

// InBundle is the resource of a Bundle's entry that a reference names: by fullUrl, or by type and id. Absent when there is none.
func InBundle(bundle *fhir.Resource, reference string) fhir.Node {
	if reference == "" {
		return fhir.Node{}
	}
	for e := range bundle.Get("entry").Items() {
		r, url := e.Field("resource"), e.Field("fullUrl").String()
		typ, id := r.Field("resourceType").String(), r.Field("id").String()
		switch {
		case !r.Exists():
		case url == reference, strings.HasSuffix(url, "/"+reference) && strings.Contains(reference, "/"), id != "" && reference == typ+"/"+id:
			return r
		}
	}
	return fhir.Node{}
}
