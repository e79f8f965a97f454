package events

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/store"
)

// Base is where the published service is served (MNS specification, servers).
const Base = "/multicast-notification-service"

// published is the Multicast Notification Service as published: for programs alone (application-restricted access).
func (s *service) published() catalogue.Published {
	route := func(pattern string, h func(w http.ResponseWriter, r *http.Request, p access.Principal) error) catalogue.Route {
		return catalogue.ForRole(pattern, func(w http.ResponseWriter, r *http.Request, p access.Principal) error {
			if r.Header.Get("X-Correlation-ID") == "" {
				return fault.New(fault.Invalid, "Please provide the header X-Correlation-ID")
			}
			return h(w, r, p)
		}, access.SystemClient)
	}
	return catalogue.Published{Base: Base, Face: face{}, Foreign: true, Routes: []catalogue.Route{
		route("POST "+Base+"/events", s.postEvent),
		route("POST "+Base+"/subscriptions", s.subscribe),
		route("GET "+Base+"/subscriptions", s.listOwn),
		route("GET "+Base+"/subscriptions/{id}", s.readOwn),
		route("PUT "+Base+"/subscriptions/{id}", s.replace),
		route("DELETE "+Base+"/subscriptions/{id}", s.unsubscribe),
	}}
}

// face words failures as published (MNS specification, responses): errors is one text, validationErrors one for each part.
type face struct{}

// Refuse answers with err.
func (face) Refuse(w http.ResponseWriter, _ *http.Request, err error) {
	kind := fault.KindOf(err)
	status := kind.HTTPStatus()
	var wrong invalid
	var body fhir.Value
	switch {
	case errors.As(err, &wrong):
		status = http.StatusBadRequest
		var parts []any
		for _, key := range sortedKeys(wrong) {
			parts = append(parts, key, wrong[key])
		}
		body = fhir.Obj("validationErrors", fhir.Obj(parts...))
	case kind == fault.Unauthenticated:
		text, code := tokenFault(err)
		w.Header().Set("WWW-Authenticate", access.Challenge(err))
		body = fhir.Obj("fault", fhir.Obj("faultstring", text, "detail", fhir.Obj("errorcode", code)))
	default:
		text := fault.MessageOf(err)
		switch kind {
		case fault.Forbidden:
			if !strings.HasPrefix(text, "User is not") {
				text = "Unauthorised"
			}
		case fault.NotFound:
			text = "Not found"
		case fault.Internal:
			text = "Internal server error"
		case fault.Unavailable, fault.TooMany:
			w.Header().Set("Retry-After", "1")
		}
		body = fhir.Obj("errors", text)
	}
	answer(w, status, asJSON, body.JSON())
}

// tokenFault is how a token that does not open is worded (responses/401-unauthenticated).
func tokenFault(err error) (text, code string) {
	challenge := access.Challenge(err)
	switch {
	case !strings.Contains(challenge, "error="):
		return "Missing access token", "oauth.v2.MissingAccessToken"
	case strings.Contains(challenge, "expired"):
		return "Access Token expired", "keymanagement.service.access_token_expired"
	}
	return "Invalid access token", "oauth.v2.InvalidAccessToken"
}

func answer(w http.ResponseWriter, status int, media string, body []byte) {
	w.Header().Set("Content-Type", media)
	w.WriteHeader(status)
	_, _ = w.Write(body) // a caller that has gone needs no answer
}

// read is a request's body, if it is of one of the media types.
func read(r *http.Request, most int64, types ...string) (body []byte, media string, err error) {
	media, _, err = mime.ParseMediaType(r.Header.Get("Content-Type"))
	for _, t := range types {
		if err == nil && t == media {
			body, err := io.ReadAll(io.LimitReader(r.Body, most+1))
			if err == nil && int64(len(body)) > most {
				err = fault.New(fault.TooLarge, "What was sent is over %d KB.", most>>10)
			}
			return body, media, err
		}
	}
	return nil, "", fault.New(fault.UnsupportedMedia, "Please provide the Content-Type %s", strings.Join(types, " or "))
}

// asEvent is the media type of events as they are published now.
const asEvent = "application/cloudevents+json"

// postEvent: "Publish an event".
func (s *service) postEvent(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	body, media, err := read(r, maxEvent, asEvent, asJSON)
	if err != nil {
		return err
	}
	parse := parseCloud
	if media == asJSON {
		parse = parseLegacy
	}
	e, err := parse(body)
	if err != nil {
		return err
	}
	if k, _ := kindOf(e.Kind); k.register && p.Organisation != s.k.National {
		why := fault.New(fault.Forbidden, "User is not authorized to handle the requested event type")
		return s.k.Gate.Refuse(r.Context(), p, access.Create, access.Place{Tenant: s.k.National, Type: "Event", ID: e.Kind}, why)
	}
	if err := s.publish(r.Context(), e, p); err != nil {
		return err
	}
	answer(w, http.StatusOK, asJSON, fhir.Obj("id", e.ID).JSON())
	return nil
}

// asked reads what a subscriber sends, and lets in only a program that may trace people: it is told of nobody otherwise.
func (s *service) asked(r *http.Request, p access.Principal) (request, error) {
	body, _, err := read(r, maxSubscription, asFHIR)
	if err != nil {
		return request{}, err
	}
	q, err := parseRequest(body, s.k.Outward, s.k.Post())
	if err != nil {
		return q, err
	}
	if err := s.ownMailbox(r.Context(), &q.sub, p); err != nil {
		return q, err
	}
	_, err = s.k.Gate.Decide(r.Context(), p, access.Trace, access.Place{Tenant: s.k.National, Type: "Patient"})
	return q, err
}

// ownMailbox refuses a mailbox that is not one of the subscriber's organisation, in the same words as one that is not there.
func (s *service) ownMailbox(ctx context.Context, q *subscription, p access.Principal) error {
	to, _ := q.destination()
	if to.Kind != courierMailbox {
		return nil
	}
	of, err := s.k.Post().Whose(ctx, to)
	if fault.Is(err, fault.NotFound) || err == nil && of != p.Organisation {
		return invalid{"channel.endpoint": "Please provide a mailbox of your own organisation, which is kept at this node"}
	}
	return err
}

// twin is the subscription of the same organisation that a new one repeats: in a mailbox the same criteria, at an address the same type. Errors: fault.Conflict.
func (s *service) twin(tx *store.Tx, q *subscription, c criteria) error {
	others, err := s.subscriptions(tx, `of = ? AND kind = ? AND organisation = ? AND endpoint = ? AND id <> ?`, ofEvents, q.Kind, q.Organisation.String(), q.Endpoint, q.ID)
	if err != nil {
		return err
	}
	for _, o := range others {
		if same, err := parseCriteria(o.Criteria); err == nil && same.String() != c.String() && meshEndpoint.MatchString(q.Endpoint) {
			continue
		}
		return fault.New(fault.Conflict, "A matching subscription already exists with id: %s", o.ID)
	}
	return nil
}

// subscribe: "Subscribe to events".
func (s *service) subscribe(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	q, err := s.asked(r, p)
	if err != nil {
		return err
	}
	sub := q.sub
	sub.ID, sub.Owner, sub.Organisation, sub.Principal, sub.Status = uuid.NewString(), p.ID, p.Organisation, p, active
	err = s.k.DB.Write(r.Context(), []store.Lane{s.lane(), s.k.Gate.DeedLane(p)}, func(tx *store.Tx) error {
		if err := s.twin(tx, &sub, q.criteria); err != nil {
			return err
		}
		if err := s.put(tx, &sub); err != nil {
			return err
		}
		return s.k.Gate.Record(r.Context(), tx, p, access.Deed{Action: "subscribe", Basis: sub.Kind, Detail: sub.ID})
	})
	if err != nil {
		return err
	}
	answer(w, http.StatusCreated, asJSON, fhir.Obj("id", sub.ID).JSON())
	return nil
}

// own is a subscription of whoever asks. Errors: errID; fault.NotFound.
func (s *service) own(tx *store.Tx, id string, p access.Principal) (subscription, error) {
	q, err := s.subscriptionByID(tx, id)
	if err == nil && (q.Of != ofEvents || q.Owner != p.ID || q.Organisation != p.Organisation) {
		err = fault.New(fault.NotFound, "Not found")
	}
	return q, err
}

// idOf is the id in the address.
func idOf(r *http.Request) (string, error) {
	id, err := uuid.Parse(r.PathValue("id"))
	if err != nil || id.Version() != 4 || !strings.EqualFold(id.String(), r.PathValue("id")) {
		return "", fault.New(fault.Invalid, "Please provide a valid subscription ID in UUID4 format")
	}
	return id.String(), nil
}

// readOwn: "Get subscription details".
func (s *service) readOwn(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	id, err := idOf(r)
	if err != nil {
		return err
	}
	var q subscription
	if err := s.k.DB.Read(r.Context(), func(tx *store.Tx) (err error) { q, err = s.own(tx, id, p); return err }); err != nil {
		return err
	}
	answer(w, http.StatusOK, asFHIR, q.published().JSON())
	return nil
}

// pageSize is how many subscriptions one page of the list has.
const pageSize = 50

// listOwn: "Get all subscriptions".
func (s *service) listOwn(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	var made int64
	var after string
	self := "/subscriptions"
	if from := r.URL.Query().Get("continue_from"); r.URL.Query().Has("continue_from") {
		text, err := base64.URLEncoding.DecodeString(from)
		at, id, ok := strings.Cut(string(text), " ")
		n, nerr := strconv.ParseInt(at, 10, 64)
		if _, uerr := uuid.Parse(id); err != nil || !ok || nerr != nil || uerr != nil {
			return fault.New(fault.Invalid, "The continue_from field was not valid")
		}
		made, after, self = n, id, self+"?continue_from="+from
	}
	var list []subscription
	err := s.k.DB.Read(r.Context(), func(tx *store.Tx) (err error) {
		list, err = s.subscriptions(tx, `of = ? AND owner = ? AND organisation = ? AND (made > ? OR made = ? AND id > ?) ORDER BY made, id LIMIT ?`,
			ofEvents, p.ID, p.Organisation.String(), made, made, after, pageSize+1)
		return err
	})
	if err != nil {
		return err
	}
	links := []any{fhir.Obj("relation", "self", "url", self)}
	if len(list) > pageSize {
		list = list[:pageSize]
		last := list[pageSize-1]
		next := base64.URLEncoding.EncodeToString([]byte(strconv.FormatInt(last.Made.UnixMicro(), 10) + " " + last.ID))
		links = append(links, fhir.Obj("relation", "next", "url", "/subscriptions?continue_from="+next))
	}
	var entries []any
	for i := range list {
		entries = append(entries, list[i].published())
	}
	parts := []any{"resourceType", "Bundle", "type", "searchset", "link", fhir.Arr(links...)}
	if len(entries) > 0 {
		parts = append(parts, "entry", fhir.Arr(entries...))
	}
	answer(w, http.StatusOK, asFHIR, fhir.Obj(parts...).JSON())
	return nil
}

// replace: "Edit a subscription". What is on its way already goes where it was sent for.
func (s *service) replace(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	id, err := idOf(r)
	if err != nil {
		return err
	}
	q, err := s.asked(r, p)
	if err != nil {
		return err
	}
	err = s.k.DB.Write(r.Context(), []store.Lane{s.lane(), s.k.Gate.DeedLane(p)}, func(tx *store.Tx) error {
		old, err := s.own(tx, id, p)
		if err != nil {
			return err
		}
		sub := q.sub
		sub.ID, sub.Owner, sub.Organisation, sub.Principal, sub.Status = id, p.ID, p.Organisation, p, active
		sub.Made = old.Made
		if old.Status == off {
			sub.Status, sub.Note = old.Status, old.Note // an administrator paused it, and lets it go on
		}
		if err := s.twin(tx, &sub, q.criteria); err != nil {
			return err
		}
		if err := s.put(tx, &sub); err != nil {
			return err
		}
		return s.k.Gate.Record(r.Context(), tx, p, access.Deed{Action: "subscribe", Basis: sub.Kind, Detail: sub.ID})
	})
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
	}
	return err
}

// unsubscribe: "Delete a subscription".
func (s *service) unsubscribe(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	id, err := idOf(r)
	if err != nil {
		return err
	}
	err = s.k.DB.Write(r.Context(), []store.Lane{s.lane(), s.k.Gate.DeedLane(p)}, func(tx *store.Tx) error {
		if _, err := s.own(tx, id, p); err != nil {
			return err
		}
		if err := s.drop(tx, id); err != nil {
			return err
		}
		return s.k.Gate.Record(r.Context(), tx, p, access.Deed{Action: "unsubscribe", Detail: id})
	})
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
	}
	return err
}
