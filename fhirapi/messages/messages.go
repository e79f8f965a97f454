// Package messages takes FHIR messages (https://hl7.org/fhir/R4/messaging.html): what a program posts to $process-message is handled here, once in effect, by the
// service that has declared its event (catalogue.Service.Messages), or goes by the post to the organisation that it is for, wherever its records are.
//
//	$process-message ─▶ who asks, what it says, whom it is for, was it taken before?
//	    │
//	    ├── for an organisation here ──▶ the service's Take and Do ──┐ one commit: effect, answer, account
//	    │                                                            ▼
//	    └── for another ──▶ post ──▶ its node, mailbox or system ──▶ response: ok or fatal-error ──▶ the caller who waits,
//	                                                                                               or where they want it sent (async)
//
// A message that was taken is not lost: it is durable before anything is answered. The same message again (MessageHeader.id) gets the answer of the first, for 35 days.
package messages

import (
	"context"
	"embed"
	"net/http"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhirapi"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/network/outward"
	"github.com/openspine/openspine/store"
)

//go:embed schema/*.sql
var schemaFiles embed.FS

// The workflows in which messages and their responses go by the post, and the kinds of destination that take them here.
const (
	Workflow         = "fhir.message"
	workflowResponse = "fhir.response"
	kindHere         = "fhir-message" // an organisation kept here, by its ODS code
	kindReply        = "fhir-reply"   // where a response is wanted, by its address
)

// Bounds of a message, beside those of every FHIR document that is sent.
const (
	MaxSentOn  = messaging.MaxBody // bytes of one that goes by the post
	maxEntries = 1000
	maxFocus   = 100
)

// keepFor is how long it is known what was taken: as long as the post keeps what it sent.
const keepFor = 35 * 24 * time.Hour

// ttl is how long a message waits for an organisation that is not reached.
const ttl = 5 * 24 * time.Hour

// Desk takes messages for one node.
type Desk struct {
	k      catalogue.Kernel
	client *http.Client
}

// Service is the desk of a node over its kernel.
func Service(k catalogue.Kernel) catalogue.Service {
	out := k.Outward
	out.Within = 20 * time.Second
	d := &Desk{k: k, client: outward.Client(out)}
	return catalogue.Service{
		Name: "messages", Summary: "FHIR messages: taken by $process-message, handled once, and sent on to whom they are for.",
		Schema: store.Embedded("messages", schemaFiles, "schema"),
		API:    []catalogue.Route{Route(k, "POST "+fhirapi.Base+"/$process-message")},
		Handles: []messaging.Handler{
			{Workflow: Workflow, Owner: "interfaces", TTL: ttl, Learn: d.learn, LearnLanes: d.learnLanes},
			{Workflow: workflowResponse, Owner: "interfaces", TTL: ttl},
		},
		Couriers: []messaging.Courier{
			{Kind: kindHere, Workflow: Workflow, Owner: "interfaces", Ask: d.arrived},
			{Kind: kindReply, Owner: "interfaces", Carry: d.reply},
		},
		Jobs: []catalogue.Job{{Name: "prune-messages", Every: time.Hour, Run: d.prune}},
	}
}

// Route is $process-message at an address, for a published API that has it at one of its own: pattern is POST, a space and the path.
func Route(k catalogue.Kernel, pattern string) catalogue.Route {
	d := &Desk{k: k}
	return catalogue.OnBody(pattern, d.process, access.SystemClient)
}

// Declared are the events that services of the node take. Error: fault.Internal when two take the same, or one is not sound.
func Declared(services []catalogue.Service) (map[string]*catalogue.Messaged, error) {
	all := map[string]*catalogue.Messaged{}
	for _, s := range services {
		for i := range s.Messages {
			m := s.Messages[i]
			if m.Event == "" || m.Take == nil || all[m.Event] != nil {
				return nil, fault.New(fault.Internal, "%s takes an event that another service takes, or that cannot be taken: %q", s.Name, m.Event)
			}
			all[m.Event] = &m
		}
	}
	return all, nil
}

// taker is who takes an event here; nil for nobody.
func (d *Desk) taker(event string) (*catalogue.Messaged, error) {
	all, err := Declared(d.k.Services())
	return all[event], err
}

// hosts reports whether the records of an organisation are kept here.
func (d *Desk) hosts(code ident.ODSCode) bool {
	for _, t := range d.k.Tenants {
		if t.Code == code {
			return true
		}
	}
	return false
}

// base is where an organisation's FHIR interface is on this node.
func (d *Desk) base(code ident.ODSCode) string {
	if code == d.k.National {
		return d.k.BaseURL() + fhirapi.Base
	}
	return d.k.BaseURL() + "/o/" + code.String() + fhirapi.Base
}

// program is who sends what came by the post: a program of the sender's, which its node let in.
func program(from, to ident.ODSCode) access.Principal {
	return access.Principal{ID: "post/" + from.String(), Name: from.String(), Role: access.SystemClient, Organisation: from, Tenants: []ident.ODSCode{to}, AuthMethod: "post"}
}

// account says what became of a message, in tx, which holds the DeedLane of who sent it.
func (d *Desk) account(ctx context.Context, tx *store.Tx, in *incoming, what string, refused bool) error {
	return d.k.Gate.Record(ctx, tx, in.from, access.Deed{Action: access.ActMessage, Basis: in.head.event, Detail: in.head.id + " for " + in.to.String() + ": " + what, Refused: refused})
}
