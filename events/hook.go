package events

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/fhirapi"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/store"
)

// hooks are where FHIR Subscriptions are written (https://hl7.org/fhir/R4/subscription.html). They are read as any resource is; what a header is worth is not shown.
func (s *service) hooks() []catalogue.Route {
	const at = fhirapi.Base + "/Subscription"
	return []catalogue.Route{
		catalogue.OnBody("POST "+at, s.createHook, access.SystemClient, access.Clinician),
		catalogue.OnBody("PUT "+at+"/{id}", s.updateHook, access.SystemClient, access.Clinician),
		catalogue.OnBody("DELETE "+at+"/{id}", s.deleteHook, access.SystemClient, access.Clinician),
	}
}

// whole refuses a Subscription that is written in any other way: in a batch, by a patch, under criteria.
func whole(context.Context, *record.Draft) error {
	return fault.New(fault.Unprocessable, "A Subscription is written by itself: POST it to Subscription, PUT or DELETE Subscription/[id].")
}

// withheld is what a header's value is shown as.
const withheld = "(withheld)"

// hookID is a FHIR Subscription among all subscriptions of the node.
func hookID(ref record.Ref) string { return ref.Tenant.String() + "." + ref.ID }

// ref is the resource of a FHIR Subscription.
func (q *subscription) ref() record.Ref {
	return record.Ref{Tenant: q.Tenant, Type: "Subscription", ID: strings.TrimPrefix(q.ID, q.Tenant.String()+".")}
}

// parseHook reads what a Subscription asks for. old is what its owner wrote before: a header that is sent back as it was shown keeps its value.
func (s *service) parseHook(r *http.Request, ask catalogue.Asker, res *fhir.Resource, old *subscription) (subscription, error) {
	q := subscription{Of: ofResources, Owner: ask.Principal.ID, Organisation: ask.Principal.Organisation, Principal: ask.Principal, Tenant: catalogue.TenantOf(r), Status: res.Get("status").String(),
		Reason: res.Get("reason").String(), Ends: res.Get("end").String(), Criteria: res.Get("criteria").String(), Endpoint: res.Get("channel.endpoint").String(), Payload: res.Get("channel.payload").String()}
	switch {
	case q.Status != requested && q.Status != off:
		return q, fault.New(fault.Unprocessable, "A Subscription is written with the status requested, or off to end it; this service makes it active when the endpoint has answered.")
	case res.Get("channel.type").String() != "rest-hook":
		return q, fault.New(fault.Unprocessable, "Subscriptions are served by rest-hook; there is no other channel here.")
	case q.Payload != "" && q.Payload != asFHIR:
		return q, fault.New(fault.Unprocessable, "The payload is %s, or left out for a request without a body.", asFHIR)
	case q.Endpoint == "":
		return q, fault.New(fault.Unprocessable, "Name the endpoint that is told (channel.endpoint).")
	}
	if err := s.k.Outward.Check(q.Endpoint); err != nil {
		return q, fault.New(fault.Unprocessable, "%s", fault.MessageOf(err))
	}
	if q.Ends != "" {
		if ends, ok := instant(q.Ends); !ok || !ends.After(s.k.Clock.Now()) {
			return q, fault.New(fault.Unprocessable, "The end of the Subscription has passed already.")
		}
	}
	for h := range res.Get("channel.header").Items() {
		text := h.String()
		name, value, ok := headerOf(text)
		if !ok || len(q.Headers) == 10 {
			return q, fault.New(fault.Unprocessable, "A header is a name, a colon and a value, and none that says how the request is sent; there are at most 10.")
		}
		if value == withheld && old != nil {
			for _, was := range old.Headers {
				if n, _, _ := headerOf(was); n == name {
					text = was
				}
			}
		}
		q.Headers = append(q.Headers, text)
	}
	typ, query, err := s.search(q.Criteria)
	if err != nil {
		return q, err
	}
	if err := query.Matchable(); err != nil {
		return q, fault.New(fault.Unprocessable, "%s", fault.MessageOf(err))
	}
	q.Kind = typ
	_, err = ask.Scope(access.Search, typ)
	if fault.Is(err, fault.Forbidden) && s.tellsReferrals(&q) { // those who may not search the record may be told of referrals all the same
		_, err = ask.Scope(access.Search, access.TypeBooking)
	}
	return q, err
}

// search understands criteria: a type, and the parameters of a search.
func (s *service) search(criteria string) (typ string, q record.Query, err error) {
	typ, raw, _ := strings.Cut(strings.TrimPrefix(criteria, "/"), "?")
	if strings.HasPrefix(criteria, "eventType") {
		return "", q, fault.New(fault.Unprocessable, "The criteria here are a search, for example ServiceRequest?status=active; those that begin with eventType are for %s/subscriptions.", Base)
	}
	values, err := url.ParseQuery(raw)
	if err != nil || typ == "" || strings.ContainsAny(typ, "/ ") || len(criteria) > maxCriteria {
		return "", q, fault.New(fault.Unprocessable, "The criteria are a search, for example Observation?code=http://loinc.org|1975-2.")
	}
	if !s.k.Definitions.IsResource(typ) {
		return "", q, fault.New(fault.Unprocessable, "There is no such resource type in FHIR R4: %s.", clipped(typ))
	}
	for _, control := range []string{"_format", "_pretty", "_summary", "_elements", "_count", "_total"} {
		if values.Has(control) {
			return "", q, fault.New(fault.Unprocessable, "%s says how an answer looks; criteria say which resources.", control)
		}
	}
	q, _, err = s.k.Records.ParseQuery(typ, values, false)
	if err != nil {
		err = fault.New(fault.Unprocessable, "%s", fault.MessageOf(err))
	}
	return typ, q, err
}

// incoming is the Subscription that was sent.
func (s *service) incoming(r *http.Request) (*fhir.Resource, error) {
	body, _, err := read(r, maxSubscription, asFHIR, asJSON)
	if err != nil {
		return nil, err
	}
	res, err := fhir.ParseLimited(body, fhir.Limits{Depth: s.k.Limits.Depth})
	if err != nil {
		return nil, err
	}
	if res.Type() != "Subscription" {
		return nil, fault.New(fault.Invalid, "The resource is not a Subscription, for which the address is.")
	}
	return res, s.k.Sound(r.Context(), res)
}

// masked is the resource as it is kept in the record: without what its headers are worth, and without an error of old.
func masked(res *fhir.Resource) (*fhir.Resource, error) {
	e := res.Edit().Set(res.Root(), "error", fhir.Value{})
	var names []any
	for h := range res.Get("channel.header").Items() {
		name, _, _ := headerOf(h.String())
		names = append(names, name+": "+withheld)
	}
	if len(names) > 0 {
		e.Set(res.Get("channel"), "header", fhir.Arr(names...))
	}
	return e.Done()
}

func (s *service) createHook(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	res, err := s.incoming(r)
	if err != nil {
		return err
	}
	q, err := s.parseHook(r, ask, res, nil)
	if err != nil {
		return err
	}
	return s.writeHook(w, r, ask, res, &q, record.Change{Verb: record.Create, Ref: record.Ref{Tenant: q.Tenant, Type: "Subscription"}})
}

// ownHook is the Subscription that a request names, if it is the asker's.
func (s *service) ownHook(r *http.Request, ask catalogue.Asker) (q subscription, err error) {
	q, err = s.current(r.Context(), hookID(record.Ref{Tenant: catalogue.TenantOf(r), ID: r.PathValue("id")}))
	if fault.Is(err, fault.NotFound) || err == nil && (q.Of != ofResources || q.Owner != ask.Principal.ID || q.Organisation != ask.Principal.Organisation) {
		err = access.NotHere()
	}
	return q, err
}

func (s *service) updateHook(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	old, err := s.ownHook(r, ask)
	if err != nil {
		return err
	}
	res, err := s.incoming(r)
	if err != nil {
		return err
	}
	if res.ID() != r.PathValue("id") {
		return fault.New(fault.Invalid, "The id of the resource is not that of the address.")
	}
	q, err := s.parseHook(r, ask, res, &old)
	if err != nil {
		return err
	}
	q.Made = old.Made
	match, err := ifMatch(r)
	if err != nil {
		return err
	}
	return s.writeHook(w, r, ask, res, &q, record.Change{Verb: record.Put, Ref: old.ref(), IfMatch: match})
}

func ifMatch(r *http.Request) (int64, error) {
	tag := strings.TrimSpace(r.Header.Get("If-Match"))
	if tag == "" || tag == "*" {
		return 0, nil
	}
	ver, err := strconv.ParseInt(strings.Trim(strings.TrimPrefix(tag, "W/"), `"`), 10, 64)
	if err != nil || ver < 1 {
		return 0, fault.New(fault.Invalid, `If-Match must be a version as ETag gave it, for example W/"3".`)
	}
	return ver, nil
}

// writeHook writes the resource and what is kept of it in one commit, and asks for the handshake.
func (s *service) writeHook(w http.ResponseWriter, r *http.Request, ask catalogue.Asker, res *fhir.Resource, q *subscription, c record.Change) error {
	kept, err := masked(res)
	if err != nil {
		return err
	}
	c.Resource = kept
	var out record.Outcome
	err = record.Retry(attempts, func() error {
		draft, err := s.k.Records.Prepare(r.Context(), c)
		if err != nil {
			return err
		}
		grants, err := ask.Grants(draft.Acts()...)
		if err != nil {
			return err
		}
		lanes := append(draft.Lanes(), s.lane(), s.k.Post().LaneOf(q.Tenant, ""))
		return s.k.Gate.Act(r.Context(), grants, lanes, func(tx *store.Tx) error {
			if out, err = s.k.Records.Apply(tx, draft, grants...); err != nil {
				return err
			}
			q.ID = hookID(out.Version.Ref)
			if err := s.put(tx, q); err != nil {
				return err
			}
			if err := s.shown(tx, q); err != nil || q.Status != requested {
				return err
			}
			return s.sendHook(r.Context(), tx, q, "", hookNote{Handshake: true, Ver: out.Version.Ver})
		})
	})
	if err != nil {
		return err
	}
	v := out.Version
	status := http.StatusOK
	if out.Created {
		status = http.StatusCreated
	}
	w.Header().Set("Location", s.fhirBase(q)+"/"+v.Ref.String()+"/_history/"+v.VersionID())
	w.Header().Set("ETag", `W/"`+v.VersionID()+`"`)
	return fhirapi.Answer(w, r, status, v.Rendered())
}

// fhirBase is the address of the FHIR interface where the Subscription stands.
func (s *service) fhirBase(q *subscription) string {
	if q.Tenant == s.k.National {
		return s.k.BaseURL() + fhirapi.Base
	}
	return s.k.BaseURL() + "/o/" + q.Tenant.String() + fhirapi.Base
}

func (s *service) deleteHook(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	q, err := s.ownHook(r, ask)
	if err != nil {
		return err
	}
	reason := r.Header.Get("X-Reason")
	if len(reason) > 1000 {
		reason = strings.ToValidUTF8(reason[:1000], "")
	}
	err = s.voidHook(r.Context(), &q, reason, func(draft *record.Draft) ([]access.Grant, error) { return ask.Grants(draft.Acts()...) }, nil)
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
	}
	return err
}

// voidHook voids the resource and forgets the subscription, in one commit with also, which may be nil.
func (s *service) voidHook(ctx context.Context, q *subscription, reason string, grant func(*record.Draft) ([]access.Grant, error), also func(*store.Tx) error, more ...store.Lane) error {
	return record.Retry(attempts, func() error {
		draft, err := s.k.Records.Prepare(ctx, record.Change{Verb: record.Delete, Ref: q.ref(), Reason: reason})
		if err != nil {
			return err
		}
		grants, err := grant(draft)
		if err != nil {
			return err
		}
		return s.k.Gate.Act(ctx, grants, append(append(draft.Lanes(), s.lane()), more...), func(tx *store.Tx) error {
			if _, err := s.k.Records.Apply(tx, draft, grants...); err != nil {
				return err
			}
			if err := s.drop(tx, q.ID); err != nil || also == nil {
				return err
			}
			return also(tx)
		})
	})
}

// hookNote is what a message to a FHIR subscriber holds: which resource changed. What it says is looked up when it is delivered.
type hookNote struct {
	Type      string `json:"type,omitempty"`
	ID        string `json:"id,omitempty"`
	Ver       int64  `json:"version"`
	Handshake bool   `json:"handshake,omitempty"`
	Referral  string `json:"referral,omitempty"` // the UBRN of the referral that changed, of which Ver is a version
}

func parseHookNote(body []byte) (n hookNote, err error) {
	err = json.Unmarshal(body, &n)
	return n, fault.Wrap(err, fault.Invalid, "The message cannot be read.")
}

// errHandshake is kept of a handshake that failed, in front of why.
const errHandshake = "The endpoint did not answer when it was first asked: "

// carryHook delivers to a FHIR subscriber.
func (s *service) carryHook(ctx context.Context, q *subscription, m message) error {
	n, err := parseHookNote(m.Body)
	if err != nil {
		return err
	}
	l := letter{method: http.MethodPost, url: q.Endpoint, headers: q.Headers, message: m.ID}
	switch {
	case n.Handshake && q.Status != requested:
		return nil // answered by a later one, or ended
	case n.Handshake:
		err := s.post(ctx, l)
		s.noted(ctx, q, err)
		return refusedOr(err)
	case q.Status == requested:
		return fault.New(fault.Unavailable, "The subscription waits for its endpoint to answer.")
	}
	wanted, err := s.lookUp(ctx, q, n, &l)
	if err != nil || !wanted {
		return err
	}
	err = s.post(ctx, l)
	s.noted(ctx, q, err)
	return err
}

// lookUp finds what changed as the subscriber may see it now, and puts that on the account. It is false where a search of theirs would not find it.
func (s *service) lookUp(ctx context.Context, q *subscription, n hookNote, l *letter) (bool, error) {
	p, err := s.now(ctx, q.Principal)
	if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Forbidden) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if n.Referral != "" {
		return s.lookUpReferral(ctx, p, q, n, l)
	}
	scope, err := s.k.Gate.DecideSet(ctx, p, access.Search, q.Tenant, []string{n.Type})
	if fault.Is(err, fault.Forbidden) || fault.Is(err, fault.NotFound) {
		return false, nil // on the account
	}
	if err != nil {
		return false, err
	}
	query, _, err := s.k.Records.ParseQuery(n.Type, url.Values{"_id": {n.ID}}, false)
	if err != nil {
		return false, err
	}
	page, err := s.k.Records.Search(ctx, scope, query)
	if err != nil || len(page.Matches) == 0 {
		return false, err
	}
	if err := s.k.Gate.Account(ctx, nil, []access.Scope{scope}); err != nil {
		return false, err
	}
	l.tell(q, n, page.Matches[0].Rendered())
	return true, nil
}

// tell makes the letter one that says what changed, if the subscriber wants that: as an update, PUT [endpoint]/[type]/[id].
func (l *letter) tell(q *subscription, n hookNote, body []byte) {
	if q.Payload != "" {
		l.method, l.media, l.body = http.MethodPut, q.Payload, body
		l.url = strings.TrimSuffix(q.Endpoint, "/") + "/" + n.Type + "/" + n.ID
	}
}

// now is who subscribed, as they are now: a program that was not ended, a user in the role that they had.
func (s *service) now(ctx context.Context, p access.Principal) (access.Principal, error) {
	stands, err := s.k.Gate.Stands(ctx, p)
	switch {
	case err != nil:
		return p, err
	case !stands:
		return p, fault.New(fault.NotFound, "The program has ended.")
	case p.Role == access.SystemClient || p.AuthMethod == "open":
		return p, nil
	}
	now, err := s.k.Gate.PrincipalOf(ctx, p.ID, p.Profile)
	now.Scopes, now.Confined = p.Scopes, p.Confined
	return now, err
}
