// Package links is the network as the people see it who run it: which sites are linked to this node and how each link is, whose certificates end
// when, who may join and who no longer, and whether the post goes through.
//
//	never ──▶ up ◀──▶ down            cut by a person, with a reason ──▶ healed, with a reason: what waited goes
//	                    └──▶ refused: the other end takes this node no longer
//
// A picture comes first and a table beneath it; both are drawn again by themselves when something changes. It changes nothing of its own accord:
// the links are package network's, the ledgers messaging's. What somebody does here is on the account, with why.
package links

import (
	"context"
	"embed"
	"net/http"
	"strings"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/network"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/web"
)

//go:embed schema/*.sql
var schemaFiles embed.FS

// desk is the pages of one node.
type desk struct{ k catalogue.Kernel }

// Service is the pages, and the lines that people send to see that the post goes through.
func Service(k catalogue.Kernel) catalogue.Service {
	d := &desk{k}
	k.Network.Handle("GET "+pathLedger, http.HandlerFunc(d.serveLedger))
	page := func(pattern string, h func(http.ResponseWriter, *http.Request, access.Principal) error) catalogue.Route {
		return catalogue.ForRole(pattern, h, access.Administrator)
	}
	return catalogue.Service{
		Name: "links", Summary: "The network's links, certificates and members, for those who run it.",
		Schema: store.Embedded("links", schemaFiles, "schema"),
		Pages: []catalogue.Route{
			page("GET /network", d.showMap),
			page("GET /network/changes", d.changes).Streamed(),
			page("GET /network/links/{node}", d.showLink),
			page("GET /network/links/{node}/cut", d.askCut),
			page("POST /network/links/{node}/cut", d.doCut),
			page("GET /network/links/{node}/heal", d.askHeal),
			page("POST /network/links/{node}/heal", d.doHeal),
			page("GET /network/links/{node}/ledgers", d.showLedgers),
			page("GET /network/certificates", d.showCertificates),
			page("GET /network/members/{node}/revoke", d.askRevoke),
			page("POST /network/members/{node}/revoke", d.doRevoke),
			page("GET /network/tokens", d.askToken),
			page("POST /network/tokens", d.makeToken),
			page("GET /network/lines", d.showLines),
			page("POST /network/lines", d.sendLine),
		},
		Handles: []messaging.Handler{d.lineHandler()},
		Links:   []catalogue.Link{{Key: "links.nav", Path: "/network", Roles: []access.Role{access.Administrator}}},
	}
}

// pageSize is how many rows a page of a list has.
const pageSize = 25

// lookEvery is how often an open page's line is asked whether something changed.
const lookEvery = 2 * time.Second

// colours of the states; the word beside them says the same.
var colours = map[network.State]web.Colour{
	network.StateUp: web.Green, network.StateDown: web.Red, network.StateCut: web.Purple, network.StateRefused: web.Orange, network.StateRevoked: web.Grey, network.StateNever: web.Grey,
}

// states are those that a list can be narrowed to.
func states() []network.State {
	return []network.State{network.StateUp, network.StateDown, network.StateCut, network.StateRefused, network.StateNever, network.StateRevoked}
}

// standing leaves out those who are no members any more and for whom nothing waits.
func standing(all []network.LinkStatus) (kept []network.LinkStatus) {
	for _, l := range all {
		if l.State != network.StateRevoked || l.Backlog.Messages > 0 {
			kept = append(kept, l)
		}
	}
	return kept
}

func stateWord(ctx context.Context, s network.State) string {
	return web.Text(ctx, "links.state."+string(s))
}

// the reason for an act, in characters.
const (
	reasonMin = 10
	reasonMax = 500
)

// reasonOf reads why somebody does what they do.
func reasonOf(ctx context.Context, r *http.Request, errs *web.FieldErrors) string {
	reason := strings.TrimSpace(r.PostForm.Get("reason"))
	if n := len([]rune(reason)); n < reasonMin || n > reasonMax {
		errs.Add("reason", web.Text(ctx, "links.reason-wrong", reasonMin, reasonMax))
	}
	return reason
}

func nodeIn(r *http.Request) (network.NodeID, error) {
	id, err := network.ParseNodeID(r.PathValue("node"))
	if err != nil {
		return id, fault.New(fault.NotFound, "%s", web.Text(r.Context(), "links.no-node"))
	}
	return id, nil
}

// changes tells an open page when a link, or what was sent, is not as it was.
func (d *desk) changes(w http.ResponseWriter, r *http.Request, _ access.Principal) error {
	ctx := r.Context()
	moved, stop := d.k.Post().Changes()
	defer stop()
	was, err := d.fingerprint(ctx)
	if err != nil {
		return err
	}
	changes := make(chan struct{})
	go func() {
		defer close(changes)
		for {
			told := false
			select {
			case <-ctx.Done():
				return
			case <-moved:
				told = true
			case <-d.k.Clock.After(lookEvery):
			}
			now, err := d.fingerprint(ctx)
			if err != nil {
				return
			}
			if told = told || now != was; !told {
				continue
			}
			was = now
			select {
			case changes <- struct{}{}:
			case <-ctx.Done():
				return
			}
			select { // what follows within a moment is shown with the next
			case <-ctx.Done():
				return
			case <-d.k.Clock.After(time.Second):
			}
		}
	}()
	return web.Events(w, r, d.k.Clock, changes)
}

// fingerprint is what the pages show of the links that changes by itself.
func (d *desk) fingerprint(ctx context.Context) (string, error) {
	s, err := d.k.Network.Status(ctx)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, l := range s.Links {
		b.WriteString(l.Peer.String() + string(l.State) + latency(ctx, l.Latency) + l.LastError + web.Count(ctx, "links.messages", int(l.Backlog.Messages)) + l.Since.String())
	}
	return b.String(), nil
}
