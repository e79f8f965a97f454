// Package postroom is where people see the post: what one organisation sent another, where it is, why it waits, and for whom.
//
// Whoever keeps the node running (an administrator) sees the post of all organisations from the outside: who sent what kind of message to whom,
// when, and what became of it; never what is in it. A clerk sees the post that their own organisation sends and receives, and opens a message
// of it where there is a reason to; that is on the account.
//
//	parked ──► taken by somebody, who looks after it
//	  ├──► retried ──► handled, or parked again
//	  ├──► redirected to another organisation
//	  └──► abandoned: the sender learns why
//
// Each of these is decided by a person, on a page that says what will happen and how to undo it, with a typed reason, on the account.
package postroom

import (
	"context"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/web"
)

// desk is the pages of one node.
type desk struct {
	k     catalogue.Kernel
	round *round
}

// Service is the pages of the post, and its delivery to third parties, each of whom is shown who we are as list says. Errors: fault.Invalid for an
// access that cannot be used.
func Service(k catalogue.Kernel, list ...Access) (catalogue.Service, error) {
	d := &desk{k: k}
	carrier, err := newRound(k, list)
	if err != nil {
		return catalogue.Service{}, err
	}
	d.round = carrier
	staff := []access.Role{access.Administrator, access.Clerk}
	return catalogue.Service{Name: "postroom", Summary: "Post between organisations: where each message is, what waits for a person, and where post goes.",
		Pages: []catalogue.Route{
			catalogue.ForRole("GET /post", d.search, staff...),
			catalogue.ForRole("GET /post/parked", d.parked, staff...),
			catalogue.ForRole("GET /post.csv", d.searchCSV, staff...).Streamed(),
			catalogue.ForRole("GET /post/parked.csv", d.parkedCSV, staff...).Streamed(),
			catalogue.ForRole("GET /post/waiting", d.waiting, staff...),
			catalogue.ForRole("GET /post/now", d.now, staff...),
			catalogue.ForRole("GET /post/events", d.events, staff...).Streamed(),
			catalogue.ForRole("GET /post/messages/{message}", d.show, staff...),
			catalogue.ForRole("GET /post/messages/{message}/content", d.content, access.Clerk),
			catalogue.ForRole("GET /post/messages/{message}/files/{file}", d.download, access.Clerk).Streamed(),
			catalogue.ForRole("GET /post/messages/{message}/{act}", d.ask, staff...),
			catalogue.ForRole("POST /post/messages/{message}/{act}", d.decide, staff...),
			catalogue.ForRole("GET /post/routes", d.routes, access.Administrator),
			catalogue.ForRole("GET /post/routes/{act}", d.askRoute, access.Administrator),
			catalogue.ForRole("POST /post/routes/{act}", d.decideRoute, access.Administrator),
		},
		API:      d.administration(),
		Couriers: []messaging.Courier{{Kind: kindEndpoint, Owner: "interfaces", Ask: carrier.deliver}},
		Links:    []catalogue.Link{{Key: "postroom.nav", Path: "/post", Roles: staff}}}, nil
}

// The addresses of the lists.
const (
	pathSearch  = "/post"
	pathParked  = "/post/parked"
	pathWaiting = "/post/waiting"
	pathRoutes  = "/post/routes"
)

func messagePath(ref messaging.Ref) string { return "/post/messages/" + ref.String() }

// organisationOf is whose post somebody sees; zero for that of all.
func organisationOf(p access.Principal) ident.ODSCode {
	if p.Role == access.Administrator {
		return ident.ODSCode{}
	}
	return p.Organisation
}

// sees reports whether somebody sees a message.
func sees(p access.Principal, it messaging.Item) bool {
	o := organisationOf(p)
	return p.Role == access.Administrator || !o.IsZero() && (it.From == o || it.Message.To == o)
}

// mayDecide reports whether somebody may decide about a message: an administrator, or those at whose organisation it stands.
func mayDecide(p access.Principal, it messaging.Item) bool {
	switch {
	case p.Role == access.Administrator:
		return true
	case it.To.Kind == "here":
		return it.Message.To == p.Organisation
	}
	return it.From == p.Organisation
}

// find is the message that an address names, if p sees it: whoever does not is told what they would be of one that does not exist.
func (d *desk) find(r *http.Request, p access.Principal) (messaging.Item, error) {
	ref, err := messaging.ParseRef(r.PathValue("message"))
	if err != nil {
		return messaging.Item{}, fault.New(fault.NotFound, "%s", web.Text(r.Context(), "postroom.gone"))
	}
	it, err := d.k.Post().At(r.Context(), ref)
	if fault.Is(err, fault.NotFound) || err == nil && !sees(p, it) {
		return it, fault.New(fault.NotFound, "%s", web.Text(r.Context(), "postroom.gone"))
	}
	return it, err
}

// looked puts on the account that somebody looked at messages, before they are shown.
func (d *desk) looked(ctx context.Context, p access.Principal, action access.Action, lane store.Lane, detail string) error {
	return d.k.Audit.Record(ctx, audit.Placed{Lane: lane, Entry: audit.Entry{Tenant: p.Organisation, Actor: p.ID, ActorName: p.Name, Role: string(p.Role), Organisation: p.Organisation,
		Action: string(action), Purpose: "HOPERAT", Basis: "postroom", Outcome: audit.OutcomeOK, Detail: detail, RequestID: access.RequestID(ctx)}})
}

// listed is looked for a list.
func (d *desk) listed(ctx context.Context, p access.Principal, what string) error {
	return d.looked(ctx, p, access.Search, d.k.Gate.DeedLane(p), what)
}

// The reason for a decision, in characters.
const reasonMin, reasonMax = 5, 400

// readReason reads the reason of a decision.
func readReason(r *http.Request, errors *web.FieldErrors) string {
	reason := strings.TrimSpace(r.PostForm.Get("reason"))
	if n := utf8.RuneCountInString(reason); n < reasonMin || n > reasonMax || len(reason) > 500 || !utf8.ValidString(reason) {
		errors.Add("reason", web.Text(r.Context(), "postroom.reason-wrong", reasonMin, reasonMax))
	}
	return reason
}

// age is how long ago something was, in the unit that matters.
func (d *desk) age(ctx context.Context, at time.Time) string {
	return web.Ago(ctx, d.k.Clock.Now(), at)
}

// organisation is what an organisation is called, and its code.
func (d *desk) organisation(ctx context.Context, code ident.ODSCode) web.TableCell {
	name := d.k.Organisation(ctx, code)
	if name == code.String() {
		return web.Cell(name)
	}
	return web.ShowCell(web.Lines(name, code.String()))
}

// destination is where post goes, in words.
func (d *desk) destination(ctx context.Context, to messaging.Destination) string {
	key := "postroom.kind." + to.Kind
	if !web.HasText(key) {
		return to.Kind + " " + to.Name
	}
	name := to.Name
	if code, err := ident.ParseODSCode(to.Name); err == nil && (to.Kind == "here" || to.Kind == "node") {
		name = d.k.Organisation(ctx, code)
	}
	return web.Text(ctx, key, name)
}
