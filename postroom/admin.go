package postroom

import (
	"context"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/store"
)

// SetRoute says where the post of an organisation goes from now on, by somebody, for a reason: it is in the routes' history and on the account.
// Errors: fault.Invalid for a route or a reason that is not sound; fault.NotFound for an Endpoint that is not in the directory.
func SetRoute(ctx context.Context, k catalogue.Kernel, by access.Principal, o messaging.Route, reason string) error {
	if o.To.Kind == kindEndpoint {
		if _, err := (&round{k: k}).address(ctx, o.To.Name); err != nil {
			return err
		}
	}
	return (&desk{k: k}).changeRoute(ctx, by, o, "set", reason, func(tx *store.Tx) error { return k.Post().SetRoute(tx, o) })
}

// DropRoute takes a route away, as SetRoute sets one. Errors: fault.NotFound when there is none; fault.Invalid for a reason that is none.
func DropRoute(ctx context.Context, k catalogue.Kernel, by access.Principal, recipient ident.ODSCode, workflow, reason string) error {
	list, err := k.Post().Routes(ctx)
	if err != nil {
		return err
	}
	for _, o := range list {
		if o.Recipient == recipient && o.Workflow == workflow {
			return (&desk{k: k}).changeRoute(ctx, by, o, "drop", reason, func(tx *store.Tx) error { return k.Post().DropRoute(tx, recipient, workflow) })
		}
	}
	return fault.New(fault.NotFound, "There is no such route.")
}

// changeRoute changes a route in one commit with its history and its account.
func (d *desk) changeRoute(ctx context.Context, by access.Principal, o messaging.Route, act, reason string, do func(*store.Tx) error) error {
	reason = strings.TrimSpace(reason)
	if n := utf8.RuneCountInString(reason); n < reasonMin || n > reasonMax || !utf8.ValidString(reason) {
		return fault.New(fault.Invalid, "Say why, in %d to %d characters: it is kept with what you do.", reasonMin, reasonMax)
	}
	detail := d.recipient(ctx, o) + ", " + workflowText(ctx, o) + ": " + d.destination(ctx, o.To)
	return d.k.DB.Write(ctx, append(d.k.Gate.ChangeLanes(by, routesSubject), 0), func(tx *store.Tx) error {
		if err := do(tx); err != nil {
			return err
		}
		return d.k.Gate.NoteChange(ctx, tx, by, access.Change{Subject: routesSubject, Act: act, Detail: detail, Reason: reason})
	})
}

// routeJSON is a route as the interface says it: organisation and workflow are empty for all.
type routeJSON struct {
	Organisation string    `json:"organisation"`
	Workflow     string    `json:"workflow"`
	Kind         string    `json:"kind"`
	To           string    `json:"to"`
	Set          time.Time `json:"set"`
	By           string    `json:"by"`
}

// administration is what the page of the routes does, for programs of the administrators.
func (d *desk) administration() []catalogue.Route {
	return []catalogue.Route{
		catalogue.ForRole("GET /api/routes", d.apiRoutes, access.Administrator),
		catalogue.ForRole("PUT /api/routes", d.apiSetRoute, access.Administrator),
		catalogue.ForRole("POST /api/routes/remove", d.apiDropRoute, access.Administrator),
	}
}

func (d *desk) apiRoutes(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	if err := d.listed(r.Context(), p, "routes"); err != nil {
		return err
	}
	return d.apiAll(w, r)
}

// apiAll answers with the routes as they are now.
func (d *desk) apiAll(w http.ResponseWriter, r *http.Request) error {
	all, err := d.k.Post().Routes(r.Context())
	if err != nil {
		return err
	}
	list := make([]routeJSON, len(all))
	for i, o := range all {
		list[i] = routeJSON{o.Recipient.String(), o.Workflow, o.To.Kind, o.To.Name, o.At, o.Actor}
	}
	return catalogue.AnswerJSON(w, http.StatusOK, map[string]any{"routes": list, "kinds": d.k.Post().Kinds()})
}

// routeAsked is a change of a route as it is sent.
type routeAsked struct{ Organisation, Workflow, Kind, To, Reason string }

// read reads it, with the organisation, zero for all. Error: fault.Invalid.
func (q *routeAsked) read(r *http.Request) (code ident.ODSCode, err error) {
	if err := catalogue.ReadJSON(r, q); err != nil || q.Organisation == "" {
		return code, err
	}
	code, err = ident.ParseODSCode(strings.TrimSpace(q.Organisation))
	return code, fault.Wrap(err, fault.Invalid, "organisation: %s", fault.MessageOf(err))
}

func (d *desk) apiSetRoute(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	var q routeAsked
	code, err := q.read(r)
	if err != nil {
		return err
	}
	err = SetRoute(r.Context(), d.k, p, messaging.Route{Recipient: code, Workflow: q.Workflow, To: messaging.Destination{Kind: q.Kind, Name: q.To}, Actor: p.ID}, q.Reason)
	if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Gone) { // the Endpoint, not the address that was asked
		err = fault.New(fault.Unprocessable, "%s", fault.MessageOf(err))
	}
	if err != nil {
		return err
	}
	return d.apiAll(w, r)
}

func (d *desk) apiDropRoute(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	var q routeAsked
	code, err := q.read(r)
	if err != nil {
		return err
	}
	if q.Kind != "" || q.To != "" {
		return fault.New(fault.Invalid, "A route that is taken away is named by its organisation and its workflow.")
	}
	if err := DropRoute(r.Context(), d.k, p, code, q.Workflow, q.Reason); err != nil {
		return err
	}
	return d.apiAll(w, r)
}
