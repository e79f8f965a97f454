// Package events lets whoever needs to know be told when something happens to somebody: they were registered, moved to another practice, died, have another
// number. What is sent says what happened to whom, when, and where to ask about it; it says nothing else of anybody.
//
//	a record changes ──► demographics notes what happened, in the same commit
//	                        │ pump: read once, and sent, in one commit
//	somebody publishes ──► event ──► each subscription that asks for such ──► may they know of this person? ──► a message of the post
//	                                                                                                             │
//	          mailbox (mesh://…) or address (https://…) ◄── once in effect, tried again, parked where a person sees it ◄┘
//
//	a subscription:  active ──► error (a day without being reached; goes on being tried) ──► active
//	                   └──► off (paused by an administrator, with a reason: what happens meanwhile waits) ──► active
//
//	a FHIR Subscription:  requested ── an empty request is answered 2xx ──► active … as above; off when its end has come
//	                          └── it is not ──► error, with the reason: written again as requested, it is tried again
//
// Whoever speaks FHIR is told of any resource by a Subscription of R4 (rest-hook): its criteria are a search, and what is sent is looked up when it is sent, as a search of the subscriber's own.
// Referrals and their appointments are told of so too, though no record keeps them: as BaRS shows them, to whom their events are told (referred.go).
//
// Hospitals' stays are told of by their nodes, over the post (stay.go).
//
// It speaks the published Multicast Notification Service at /multicast-notification-service, for programs alone. Nobody learns by subscribing what they could not
// ask: an event about a person is sent to those who may trace that person, and stands on the person's account.
// Of a restricted person, filters that tell where somebody is let nothing pass.
package events

import (
	"context"
	"embed"
	"net/http"
	"slices"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/network/outward"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/store"
)

//go:embed schema/*.sql
var schemaFiles embed.FS

// service is the events of one node.
type service struct {
	k        catalogue.Kernel
	client   *http.Client
	makersOf func(ctx context.Context, organisation ident.ODSCode) ([]string, error)
	referred Referrals
}

// Directory is what events ask about organisations.
type Directory interface {
	// Makers are those who make the accredited systems of an organisation.
	Makers(ctx context.Context, organisation ident.ODSCode) ([]string, error)
}

// Referrals are what events ask about referrals.
type Referrals interface {
	// Resources are a referral as FHIR says it, as of a version: its ServiceRequest, and the Appointment that it had, if any. ask decides whether p may see it, and sees to the account.
	Resources(ctx context.Context, p access.Principal, ask func(...access.Act) ([]access.Grant, error), ubrn string, version int64) ([]*fhir.Resource, error)
}

// Service is the events of a node over its kernel. Without a directory the node is not the national one: it keeps no register and no referrals, so there is no notification service.
func Service(k catalogue.Kernel, d Directory, r Referrals) catalogue.Service {
	out := k.Outward
	out.Within = 20 * time.Second
	s := &service{k: k, client: outward.Client(out), referred: r}
	all := catalogue.Service{
		Name: "events", Summary: "Who is told when something happens to somebody.",
		Schema:   store.Embedded("events", schemaFiles, "schema"),
		Couriers: []messaging.Courier{{Kind: courierURL, Owner: "whoever keeps the event subscriptions", Carry: s.carry}},
		Handles:  []messaging.Handler{{Workflow: workflow, Owner: "whoever keeps the event subscriptions", TTL: ttl}, s.stays(d != nil)},
		Jobs:     []catalogue.Job{{Name: "prune-events", Every: time.Hour, Run: s.prune}, {Name: "subscriptions", Every: time.Second, Run: s.settle}, {Name: "admissions", Every: time.Second, Run: s.tellStays}},
		API:      s.hooks(),
		Watches: []record.Watch{{Name: "subscriptions", Wants: s.watched, Lanes: s.hookLanes, Handle: s.changed},
			{Name: "admissions", Types: []string{"Encounter"}, FromNow: true, Lanes: func(record.Version) []store.Lane { return []store.Lane{s.lane()} }, Handle: s.stayed}},
		Owns: []catalogue.Owned{{Type: "Subscription", Check: whole}},
		Pages: []catalogue.Route{
			catalogue.ForRole("GET /subscriptions", s.list, access.Administrator),
			catalogue.ForRole("GET /subscriptions/{id}", s.show, access.Administrator),
			catalogue.ForRole("POST /subscriptions/{id}", s.decide, access.Administrator),
		},
		Links: []catalogue.Link{{Key: "events.nav", Path: "/subscriptions", Roles: []access.Role{access.Administrator}}},
	}
	if d != nil {
		s.makersOf = d.Makers
		all.Published = []catalogue.Published{s.published()}
		all.Jobs = append(all.Jobs, catalogue.Job{Name: "events", Every: time.Second, Run: s.pump})
	}
	return all
}

func sortedKeys(m map[string]string) []string {
	list := make([]string, 0, len(m))
	for k := range m {
		list = append(list, k)
	}
	slices.Sort(list)
	return list
}
