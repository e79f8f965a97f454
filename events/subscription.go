package events

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/network/outward"
)

// The two services that people subscribe to.
const (
	ofEvents    = 1 // the published notification service
	ofResources = 2 // FHIR's own Subscription
)

// The states of a subscription (https://hl7.org/fhir/R4/valueset-subscription-status.html).
const (
	requested = "requested"
	active    = "active"
	failed    = "error"
	off       = "off"
)

// subscription is who wants to be told of what, and where.
type subscription struct {
	ID           string
	Of           int64
	Owner        string // the id of whoever subscribed
	Organisation ident.ODSCode
	Principal    access.Principal // as they were let in then
	Tenant       ident.ODSCode    // ofResources: whose record is watched
	Kind         string           // the type of event, or of resource
	Criteria     string
	Endpoint     string
	Payload      string
	Headers      []string // "Name: value", for an address
	Reason, Ends string
	Status, Note string // Note says why it is in error, or off
	Made         time.Time
	Changed      time.Time
	Failing      time.Time // since when nothing was delivered; zero while it is
	Failures     int64
	Reached      time.Time // when something was last delivered
}

// The kinds of place that events go to.
const (
	courierURL     = "event-url" // to an address; named by the subscription's id
	courierMailbox = "mailbox"   // to a mailbox of the message exchange; named by the mailbox
)

// workflow is what events to an address are sent under; in a mailbox they are under the workflow that the subscriber named.
const workflow = "event"

// meshEndpoint is a mailbox and a workflow, as published.
var meshEndpoint = regexp.MustCompile(`^mesh://(\w+)\?workflow_id=([\w.-]+)$`)

// queueEndpoint is a queue at Amazon, as published.
var queueEndpoint = regexp.MustCompile(`^arn:aws:sqs:eu-west-2:\d{0,12}:[\w.-]*$`)

// destination is where the post takes what is for the subscription.
func (s *subscription) destination() (messaging.Destination, string) {
	if m := meshEndpoint.FindStringSubmatch(s.Endpoint); m != nil && s.Of == ofEvents {
		return messaging.Destination{Kind: courierMailbox, Name: strings.ToUpper(m[1])}, m[2]
	}
	return messaging.Destination{Kind: courierURL, Name: s.ID}, workflow
}

// The payloads that events come in.
const (
	asJSON = "application/json"
	asFHIR = "application/fhir+json"
)

// maxSubscription bounds what is sent to subscribe, in bytes.
const maxSubscription = 16 << 10

// request is what a subscriber sends (MNS specification, create-or-update-subscription-body).
type request struct {
	criteria criteria
	sub      subscription
}

// post is what the post of the node can do.
type post interface {
	Serves(kind string) bool    // it delivers to a kind of place
	Knows(workflow string) bool // a workflow is one of its own services'
}

// parseRequest reads and checks it; out is what the node may call.
func parseRequest(body []byte, out outward.Options, at post) (request, error) {
	var q request
	wrong := invalid{}
	raw, ok := objectOf(body)
	if !ok || len(body) > maxSubscription {
		return q, invalid{"body": "Please provide a JSON object of at most 16 KB"}
	}
	text := func(of map[string]json.RawMessage, key, name string, required bool) string {
		value, given := of[key]
		s, ok := stringOf(value)
		if given != ok || required && !given {
			wrong.add(name, "Please provide a valid "+name)
		}
		return s
	}
	if text(raw, "resourceType", "resourceType", true) != "Subscription" {
		wrong["resourceType"] = "Please provide the correct resource type for this endpoint"
	}
	if text(raw, "status", "status", true) != requested {
		wrong["status"] = "Please provide the status requested"
	}
	q.sub = subscription{Of: ofEvents, Reason: text(raw, "reason", "reason", true), Ends: text(raw, "end", "end", false)}
	if len([]rune(q.sub.Reason)) > 1000 {
		wrong.add("reason", "Please provide a reason of at most 1000 characters")
	}
	if _, ok := instant(q.sub.Ends); raw["end"] != nil && !ok {
		wrong.add("end", "Please provide a valid end, an instant with a time zone")
	}
	c := text(raw, "criteria", "criteria", true)
	var err error
	if q.criteria, err = parseCriteria(c); err != nil {
		wrong.add("criteria", fault.MessageOf(err))
	}
	q.sub.Kind, q.sub.Criteria = q.criteria.Kind, c
	if channel, ok := objectOf(raw["channel"]); !ok {
		wrong.add("channel", "Please provide a valid channel")
	} else {
		if text(channel, "type", "channel.type", true) != "message" {
			wrong["channel.type"] = "Please provide the channel type message"
		}
		q.sub.Payload = text(channel, "payload", "channel.payload", true)
		if q.sub.Payload != asJSON && q.sub.Payload != asFHIR {
			wrong.add("channel.payload", "Please provide the payload application/json or application/fhir+json")
		}
		q.sub.Endpoint = text(channel, "endpoint", "channel.endpoint", true)
		if why := checkEndpoint(q.sub.Endpoint, out, at); why != "" {
			wrong.add("channel.endpoint", why)
		}
		if q.sub.Headers, ok = headersOf(channel["header"]); !ok {
			wrong.add("channel.header", "Please provide headers as a list of texts, each a name, a colon and a value")
		}
	}
	if on, ok := hydration(raw["hydration"]); !ok {
		wrong.add("hydration", "Please provide a valid hydration")
	} else if on {
		wrong.add("hydration", "Events are not hydrated here: fetch what the event refers to")
	}
	return q, wrong.err()
}

// hydration reports whether hydration is asked for, and whether that was said as published.
func hydration(raw json.RawMessage) (on, ok bool) {
	if raw == nil {
		return false, true
	}
	var h struct {
		Enabled *bool             `json:"enabled"`
		Headers map[string]string `json:"headers"`
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if d.Decode(&h) != nil || h.Enabled == nil {
		return false, false
	}
	return *h.Enabled, true
}

// checkEndpoint says what is wrong with where events are to go; nothing when they can.
func checkEndpoint(endpoint string, out outward.Options, at post) string {
	switch {
	case len(endpoint) > 2000:
		return "Please provide a valid endpoint"
	case queueEndpoint.MatchString(endpoint):
		return "This service has no account at Amazon SQS: provide a mailbox (mesh://…?workflow_id=…) or an address (https://…)"
	case strings.HasPrefix(endpoint, "mesh:"):
		if m := meshEndpoint.FindStringSubmatch(endpoint); m == nil || len(m[1]) > 60 || len(m[2]) > messaging.MaxWorkflow {
			return "Please provide a mailbox and its workflow: mesh://MYMAILBOX?workflow_id=MY_WORKFLOW"
		}
		if _, id, _ := strings.Cut(endpoint, "workflow_id="); at.Knows(id) {
			return "Please provide a workflow of your own: this service uses that one itself"
		}
		if !at.Serves(courierMailbox) {
			return "This node keeps no mailboxes: provide an address (https://…)"
		}
		return ""
	case strings.HasPrefix(endpoint, "https:") || strings.HasPrefix(endpoint, "http:"):
		if err := out.Check(endpoint); err != nil {
			return fault.MessageOf(err)
		}
		return ""
	}
	return "Please provide a mailbox (mesh://…?workflow_id=…) or an address (https://…)"
}

// headersOf reads a channel's headers; false when they are not such as can be sent.
func headersOf(raw json.RawMessage) ([]string, bool) {
	if raw == nil {
		return nil, true
	}
	var list []string
	if json.Unmarshal(raw, &list) != nil || len(list) > 10 {
		return nil, false
	}
	for _, h := range list {
		if _, _, ok := headerOf(h); !ok {
			return nil, false
		}
	}
	return list, true
}

// headerOf is a header's name and value; false for one that a subscriber may not set.
func headerOf(h string) (name, value string, ok bool) {
	name, value, ok = strings.Cut(h, ":")
	name, value = http.CanonicalHeaderKey(strings.TrimSpace(name)), strings.TrimSpace(value)
	if !ok || len(h) > 2000 || name == "" || strings.ContainsFunc(name, notToken) || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r > '~' }) {
		return "", "", false
	}
	switch name {
	case "Host", "Content-Length", "Content-Type", "Transfer-Encoding", "Connection", "Te", "Trailer", "Upgrade", "Expect", "Proxy-Authorization", "Keep-Alive", "Content-Encoding":
		return "", "", false
	}
	return name, value, !strings.HasPrefix(name, "X-Openspine-")
}

// notToken reports whether r may not stand in a header's name (RFC 9110 section 5.6.2).
func notToken(r rune) bool {
	return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
}

// published is the subscription as its owner reads it (schemas/fhir/R4/Subscription).
func (s *subscription) published() fhir.Value {
	channel := []any{"type", "message", "endpoint", s.Endpoint, "payload", s.Payload}
	if len(s.Headers) > 0 {
		var list []any
		for _, h := range s.Headers {
			list = append(list, h)
		}
		channel = append(channel, "header", fhir.Arr(list...))
	}
	parts := []any{"id", s.ID, "resourceType", "Subscription", "status", s.Status}
	if s.Ends != "" {
		parts = append(parts, "end", s.Ends)
	}
	parts = append(parts, "reason", s.Reason, "criteria", s.Criteria, "channel", fhir.Obj(channel...))
	if s.Status == failed && s.Note != "" {
		parts = append(parts, "error", s.Note)
	}
	return fhir.Obj(parts...)
}

// host is the name of the place that events go to, for people: an address may hold a secret in its path.
func (s *subscription) host() string {
	if m := meshEndpoint.FindStringSubmatch(s.Endpoint); m != nil {
		return strings.ToUpper(m[1])
	}
	u, err := url.Parse(s.Endpoint)
	if err != nil {
		return ""
	}
	return u.Host
}
