package messages

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/fhirapi"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/store"
)

// incoming is a message on its way in.
type incoming struct {
	from   access.Principal
	to     ident.ODSCode
	head   header
	bundle *fhir.Resource
	digest []byte
	lane   store.Lane
	reply  string // where the answer goes; empty for the caller who waits
	posted bool   // it came by the post
}

// side is the first side that counts when it is asked whether a message was taken before.
func (in *incoming) side() int64 {
	if in.posted {
		return sideHandled
	}
	return sideSent
}

// process: "accepts a message, processes it according to the definition of the event in the message header, and returns one or more response
// messages" (https://hl7.org/fhir/R4/messageheader-operation-process-message.html).
func (d *Desk) process(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	async, response, err := parameters(r.URL.Query())
	if err != nil {
		return err
	}
	bundle, err := fhirapi.Sent(d.k, r)
	if err != nil {
		return err
	}
	in, err := d.read(r.Context(), bundle, ask.Principal, catalogue.TenantOf(r))
	if err != nil {
		return err
	}
	if in.to, err = d.recipient(&in.head, catalogue.TenantOf(r)); err != nil {
		return err
	}
	if async {
		if in.reply, err = d.replyTo(&in.head, response); err != nil {
			return err
		}
	}
	if _, err := ask.Grants(access.Act{Action: access.Create, Place: access.Place{Tenant: catalogue.TenantOf(r), Type: "MessageHeader"}}); err != nil {
		return err
	}
	answer, err := d.take(r.Context(), in)
	if err != nil {
		return err
	}
	if len(answer) == 0 && !async {
		if answer, err = d.wait(r.Context(), in, patience(r.Header)); err != nil {
			return err
		}
	}
	switch {
	case async:
		return fhirapi.Answer(w, r, http.StatusAccepted, outcome(inform("The message is kept, and the response will be sent to the address for responses.")).JSON())
	case len(answer) == 0:
		return fhirapi.Answer(w, r, http.StatusAccepted, outcome(inform("The message is kept and on its way to "+in.to.String()+". Send the same message again to learn what became of it.")).JSON())
	}
	return fhirapi.Answer(w, r, http.StatusOK, answer)
}

// parameters are those of the operation, which stand in the address.
func parameters(q url.Values) (async bool, response string, err error) {
	for name := range q {
		if !slices.Contains([]string{"async", "response-url", "_format", "_pretty"}, name) {
			return false, "", fault.New(fault.Invalid, "$process-message has the parameters async and response-url; not %q.", name)
		}
	}
	switch q.Get("async") {
	case "", "false":
	case "true":
		async = true
	default:
		return false, "", fault.New(fault.Invalid, "async is true or false.")
	}
	if response = q.Get("response-url"); response != "" && !async {
		return false, "", fault.New(fault.Invalid, "response-url is for a response that is not waited for: with async=true.")
	}
	return async, response, nil
}

// How long a caller is kept waiting for the answer of an organisation elsewhere, who does not say (Prefer: wait), and at most.
const patienceUsual, patienceMost = 10 * time.Second, 30 * time.Second

// patience is how long a caller wants to wait (RFC 7240 section 4.3).
func patience(h http.Header) time.Duration {
	for _, field := range h.Values("Prefer") {
		for part := range strings.FieldsFuncSeq(field, func(c rune) bool { return c == ',' || c == ';' }) {
			name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
			if n, err := strconv.ParseUint(strings.Trim(value, `" `), 10, 16); err == nil && strings.EqualFold(strings.TrimSpace(name), "wait") {
				return min(time.Duration(n)*time.Second, patienceMost) //nolint:gosec // 16 bits
			}
		}
	}
	return patienceUsual
}

// read looks at a message: what R4 says of it, what its header says, and whether it is from who sends it. It is for tenant.
func (d *Desk) read(ctx context.Context, bundle *fhir.Resource, from access.Principal, tenant ident.ODSCode) (*incoming, error) {
	if bundle.Type() != "Bundle" {
		return nil, wrong("invalid", "Bundle", "What is processed here is a Bundle of the type message.")
	}
	if err := d.k.Sound(ctx, bundle); err != nil {
		return nil, err
	}
	h, err := readHeader(bundle)
	if err != nil {
		return nil, err
	}
	if from.Organisation.IsZero() || !h.sender.IsZero() && h.sender != from.Organisation {
		why := fault.New(fault.Forbidden, "The message says that %s sends it; you may send for your own organisation alone.", h.sender)
		return nil, d.k.Gate.Refuse(ctx, from, access.Create, access.Place{Tenant: tenant, Type: "MessageHeader"}, why)
	}
	return &incoming{from: from, to: tenant, head: h, bundle: bundle, digest: digest(bundle), lane: d.lane(from.Organisation, h.id)}, nil
}

// recipient is whom a message is for: the organisation that it names, or that whose address here it names, or that to which it was sent.
func (d *Desk) recipient(h *header, tenant ident.ODSCode) (ident.ODSCode, error) {
	if len(h.receivers) > 0 {
		return h.receivers[0], nil
	}
	for _, e := range h.endpoints {
		e, _, _ = strings.Cut(e, "?")
		e = strings.TrimSuffix(strings.TrimSuffix(e, "/$process-message"), "/")
		for _, t := range d.k.Tenants {
			if e == d.base(t.Code) {
				return t.Code, nil
			}
		}
	}
	if len(h.endpoints) == 0 {
		return tenant, nil
	}
	return tenant, wrong("value", atHeader+".destination", "The message is for somebody else: its destination names no organisation (receiver, by ODS code) and no address of this node.")
}

// replyTo is where the response of a message goes that is not waited for.
func (d *Desk) replyTo(h *header, response string) (string, error) {
	to := response
	if to == "" {
		if to = h.source; !strings.HasSuffix(to, "/$process-message") {
			to = strings.TrimSuffix(to, "/") + "/$process-message"
		}
		to += "?async=true"
	}
	if err := d.k.Outward.Check(to); err != nil || len(to) > 2000 {
		return "", fault.New(fault.Invalid, "The response cannot be sent to the address that is given for it (response-url, or MessageHeader.source.endpoint): %s", fault.MessageOf(err))
	}
	return to, nil
}

// take handles a message, or sends it on, unless that was done before. The answer is empty while there is none. Errors: those of a message that was not taken.
func (d *Desk) take(ctx context.Context, in *incoming) ([]byte, error) {
	known, err := d.before(ctx, in)
	if err != nil {
		return nil, err
	}
	if known == nil {
		var answer []byte
		answer, err = d.first(ctx, in)
		if !errors.Is(err, errBefore) {
			return answer, err
		}
		if known, err = d.before(ctx, in); err != nil || known == nil {
			return nil, err
		}
	}
	if known.state != stateAnswered {
		return nil, nil
	}
	return known.answer, nil
}

// first takes a message that was not taken before.
func (d *Desk) first(ctx context.Context, in *incoming) ([]byte, error) {
	way, err := d.k.Post().Way(ctx, in.to, Workflow)
	switch {
	case fault.Is(err, fault.NotFound):
		return nil, wrong("not-found", atHeader+".destination", fault.MessageOf(err))
	case err != nil:
		return nil, err
	case way.Kind != kindHere && !in.posted:
		return nil, d.sendOn(ctx, in)
	}
	taker, err := d.taker(in.head.event)
	if err != nil {
		return nil, err
	}
	if taker == nil {
		return nil, wrong("not-supported", atHeader+".event[x]", "Nobody here takes messages of the event "+in.head.event+".")
	}
	for _, f := range in.head.focus {
		if typ := f.Field("resourceType").String(); len(taker.Focus) > 0 && !slices.Contains(taker.Focus, typ) {
			return nil, wrong("invalid", atHeader+".focus", "A message of this event is about "+strings.Join(taker.Focus, " or ")+", not about a "+typ+".")
		}
	}
	return d.handle(ctx, in, taker)
}

// handle does what a message asks, with its answer and its account, in one commit.
func (d *Desk) handle(ctx context.Context, in *incoming, taker *catalogue.Messaged) (answer []byte, err error) {
	effect, err := taker.Take(ctx, catalogue.FHIRMessage{Tenant: in.to, From: in.from, ID: in.head.id, Event: in.head.event, Bundle: in.bundle, Header: in.head.node, Focus: in.head.focus})
	if err != nil {
		return d.refuse(ctx, in, err)
	}
	do := func(tx *store.Tx) error {
		var replies []fhir.Value
		if effect.Do != nil {
			if replies, err = effect.Do(tx.Context(), tx); err != nil {
				return err
			}
		}
		if answer, err = respond(d.request(in), tx.At(), codeOK, nil, replies); err != nil {
			return err
		}
		return d.answered(tx, in, answer, "handled", false)
	}
	if lanes := append(d.lanes(in), effect.Lanes...); len(effect.Grants) > 0 {
		err = d.k.Gate.Act(ctx, effect.Grants, lanes, do)
	} else {
		err = d.k.DB.Write(ctx, lanes, do)
	}
	if err != nil {
		return d.refuse(ctx, in, err)
	}
	return answer, nil
}

// refuse answers that a message was refused, if that is what err says, and keeps it: the same message is refused again in the same words.
func (d *Desk) refuse(ctx context.Context, in *incoming, why error) (answer []byte, err error) {
	switch fault.KindOf(why) {
	case fault.Internal, fault.Unavailable, fault.Timeout, fault.TooMany, fault.Full:
		return nil, why
	}
	if errors.Is(why, errBefore) {
		return nil, why
	}
	err = d.k.DB.Write(ctx, d.lanes(in), func(tx *store.Tx) error {
		if answer, err = respond(d.request(in), tx.At(), codeFatal, fault.IssuesOf(why), nil); err != nil {
			return err
		}
		return d.answered(tx, in, answer, "refused", true)
	})
	return answer, err
}

// lanes are those of a transaction that answers a message.
func (d *Desk) lanes(in *incoming) []store.Lane {
	return []store.Lane{in.lane, d.lane(in.to, in.head.id), d.k.Gate.DeedLane(in.from)}
}

// request is what the response must know.
func (d *Desk) request(in *incoming) request {
	return request{id: in.head.id, header: in.head.node, from: d.base(in.to) + "/$process-message"}
}

// answered writes down the answer to a message that was handled here, and sends it where it is wanted.
func (d *Desk) answered(tx *store.Tx, in *incoming, answer []byte, what string, refused bool) error {
	if err := d.put(tx, in, stateAnswered, "", answer); err != nil {
		return err
	}
	if err := d.account(tx.Context(), tx, in, what, refused); err != nil || in.reply == "" {
		return err
	}
	return d.sendReply(tx, in.to, in.from.Organisation, in.head.id, in.reply, answer)
}
