package fhirapi

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/store"
)

// reasonHeader may carry why a resource is changed or voided; it is kept with the version.
const reasonHeader = "X-Reason"

// attempts is how often a write is prepared again because the record moved meanwhile.
const attempts = 8

// maxReason bounds X-Reason, in bytes.
const maxReason = 1000

// reason is why the caller changes or voids something, in their words.
func reason(r *http.Request) string {
	text := strings.ToValidUTF8(strings.TrimSpace(r.Header.Get(reasonHeader)), "")
	for len(text) > maxReason {
		_, last := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-last]
	}
	return text
}

// writable refuses a type that R4 does not have, and the account, which is written by the acts themselves.
func (a *api) writable(typ string) error {
	if typ == "AuditEvent" {
		return fault.New(fault.MethodNotAllowed, "The account is written by what is done here, and by nobody: an AuditEvent is read and searched.")
	}
	return a.known(typ)
}

// incoming reads a resource of type typ and checks it against R4's definitions: what the definitions do not know is 422.
func (a *api) incoming(r *http.Request, typ string) (*fhir.Resource, error) {
	if err := a.writable(typ); err != nil {
		return nil, err
	}
	res, err := a.readResource(r)
	if err != nil {
		return nil, err
	}
	return res, a.accept(r.Context(), typ, res)
}

// accept checks what is to be written; before is what a patch was made from.
func (a *api) accept(ctx context.Context, typ string, res *fhir.Resource, before ...*fhir.Resource) error {
	if res.Type() != typ {
		return fault.New(fault.Invalid, "The resource is not a %s, for which the address is.", typ)
	}
	return a.k.Sound(ctx, res, before...)
}

// criteria are the search of a conditional change, under the caller's own Scope.
func (a *api) criteria(ask catalogue.Asker, typ, rawQuery string) (*record.Criteria, error) {
	if err := a.known(typ); err != nil {
		return nil, err
	}
	values, err := url.ParseQuery(rawQuery)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "The criteria cannot be read as a search.")
	}
	for _, control := range []string{"_format", "_pretty"} {
		values.Del(control)
	}
	if len(values) == 0 {
		return nil, fault.New(fault.PreconditionFailed, "A conditional change needs criteria that choose one resource; there are none.")
	}
	scope, err := ask.Scope(access.Search, typ)
	if err != nil {
		return nil, err
	}
	q, _, err := a.k.Records.ParseQuery(typ, values, false)
	if err != nil {
		return nil, err
	}
	return &record.Criteria{Scope: scope, Query: q}, nil
}

// commit makes the change in one commit with its account, and answers as Prefer asks.
func (a *api) commit(w http.ResponseWriter, r *http.Request, ask catalogue.Asker, c record.Change) error {
	if _, err := wanted(r); err != nil {
		return err
	}
	out, err := a.apply(r, ask, c)
	if err != nil {
		return err
	}
	if c.Verb == record.Delete {
		if out.Version.Ver > 0 {
			w.Header().Set("ETag", etag(out.Version.Ver))
		}
		return a.deleted(w, r)
	}
	v := out.Version
	status := http.StatusOK
	if out.Created {
		status = http.StatusCreated
	}
	w.Header().Set("Location", a.base(r)+"/"+v.Ref.String()+"/_history/"+v.VersionID())
	validators(w, v)
	switch preferences(r).Return {
	case "minimal":
		w.WriteHeader(status)
		return nil
	case "OperationOutcome":
		text := "Updated."
		switch {
		case out.Created:
			text = "Created."
		case out.Matched:
			text = "There was one already; nothing was written."
		}
		return a.send(w, r, status, outcome(allOK(text)))
	}
	a.located(w, r, v)
	if err := a.sendJSON(w, r, status, v.Rendered()); !fault.Is(err, fault.NotAcceptable) {
		return err
	}
	w.Header().Del("Content-Location")
	w.WriteHeader(status) // it is written; only its text does not go into the format that was asked for
	return nil
}

// mayChange asks for leave to change what a change finds, before it is compared with anything.
func mayChange(ask catalogue.Asker) func(access.Act) error {
	return func(act access.Act) error {
		if ask.Principal.AuthMethod == "open" && !act.Place.Exists {
			return nil // a demonstration for programs on this machine, which choose ids
		}
		_, err := ask.Grants(act)
		return err
	}
}

// would tells whether the caller could do something, for what is filed by what it refers to.
func (a *api) would(ask catalogue.Asker) func(context.Context, access.Act) (bool, error) {
	return func(ctx context.Context, act access.Act) (bool, error) {
		return a.k.Gate.Would(ctx, ask.Principal, act.Action, act.Place)
	}
}

// apply prepares, asks, and writes; when the record moved meanwhile it does so again.
func (a *api) apply(r *http.Request, ask catalogue.Asker, c record.Change) (record.Outcome, error) {
	var out record.Outcome
	c.May, c.Would = mayChange(ask), a.would(ask)
	err := record.Retry(attempts, func() error {
		draft, err := a.k.Records.Prepare(r.Context(), c)
		if err != nil {
			return err
		}
		if found, ok := draft.Matched(); ok {
			c.Criteria.Scope.Disclose(access.Place{Tenant: found.Tenant, Chart: found.Chart, Type: found.Type, ID: found.ID, Exists: true})
			out = record.Outcome{Version: found, Matched: true}
			return nil
		}
		if err := a.owners(r, draft); err != nil {
			return err
		}
		if len(draft.Acts()) == 0 {
			out = record.Outcome{Nothing: true}
			return nil
		}
		grants, err := ask.Grants(draft.Acts()...)
		if err != nil {
			return err
		}
		return a.k.Gate.Act(r.Context(), grants, draft.Lanes(), func(tx *store.Tx) error {
			out, err = a.k.Records.Apply(tx, draft, grants...)
			return err
		})
	})
	return out, err
}
