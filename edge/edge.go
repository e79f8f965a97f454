// Package edge is a gateway at a site without a node of its own: a local system that can do no more than write and read files sends and receives
// post. It stores and forwards: while the link is down files are taken, and go when it is back.
//
//	outbox/TO/WORKFLOW/[CONVERSATION/]file ──taken──▶ sent: a message, in the commit that remembers the file ──▶ receipts/file.ID.json says what became of it
//	                                            └──▶ refused/ with the reason beside it
//	inbox/WORKFLOW/time-FROM-ID ◀── what comes for the site
//
// A local system that speaks MESH has mailboxes at the gateway (package mesh); one that speaks FHIR posts its messages to the gateway's $process-message, and what comes for it is
// posted to its own. Those are the node's services: what the gateway adds is where the post of the site goes.
//
// The local system writes a file under a name that begins with a full stop or ends in .tmp or .part, and renames it when it is whole; so does the gateway.
// A file is sent once, whenever the gateway is killed. A file that comes may come again under the same name if the gateway was killed as it wrote it; the
// name holds the message's id.
package edge

import (
	"context"
	"embed"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/store"
)

//go:embed schema/*.sql
var schemaFiles embed.FS

// The folders of a gateway.
const (
	Outbox   = "outbox"
	Inbox    = "inbox"
	Receipts = "receipts"
	Refused  = "refused"
	taken    = ".taken"
)

// fhirMessages is the workflow of the post in which FHIR messages travel.
const fhirMessages = "fhir.message"

// kind is the kind of destination that the inbox is.
const kind = "folder"

// lookEvery is how often the outbox is looked at.
const lookEvery = time.Second

// Options say what a gateway is between.
type Options struct {
	// Folder holds the folders of the local system.
	Folder string
	// FHIR is how the node's deliveries call the local system's FHIR interface, to which FHIR messages go; empty when there is none, and they go to the inbox as all else does.
	FHIR string
}

// gateway is the folders of one site.
type gateway struct {
	k    catalogue.Kernel
	own  ident.ODSCode
	root string
	fhir string
	last string // up to where receipts were looked at
}

// Service is a gateway between a local system and the post of the organisation own, whose post this node keeps.
// Errors: fault.Unavailable when the folders cannot be made.
func Service(k catalogue.Kernel, own ident.ODSCode, o Options) (catalogue.Service, error) {
	g := &gateway{k: k, own: own, root: o.Folder, fhir: o.FHIR}
	for _, dir := range []string{Outbox, Inbox, Receipts, Refused, taken} {
		if err := os.MkdirAll(g.in(dir), 0o750); err != nil {
			return catalogue.Service{}, fault.Wrap(err, fault.Unavailable, "the folder %s cannot be made: %v", g.in(dir), err)
		}
	}
	return catalogue.Service{
		Name: "edge", Summary: "A gateway for a local system that writes and reads files.",
		Schema:   store.Embedded("edge", schemaFiles, "schema"),
		Jobs:     []catalogue.Job{{Name: "folders", Every: lookEvery, Run: g.round}},
		Couriers: []messaging.Courier{{Kind: kind, Owner: "whoever looks after the gateway", Carry: g.carry}},
	}, nil
}

func (g *gateway) in(parts ...string) string {
	return filepath.Join(append([]string{g.root}, parts...)...)
}

func (g *gateway) lane() store.Lane { return g.k.DB.LaneOf(g.own.String(), "edge") }

// round takes what is in the outbox, sends it, and writes the receipts that are due.
func (g *gateway) round(ctx context.Context) error {
	if err := g.direct(ctx); err != nil {
		return err
	}
	if err := g.sendTaken(ctx); err != nil {
		return err
	}
	if err := g.take(ctx); err != nil {
		return err
	}
	return errors.Join(g.sendTaken(ctx), g.tell(ctx))
}

// direct has what comes for the site put into its inbox, and FHIR messages where it takes those.
func (g *gateway) direct(ctx context.Context) error {
	inbox := messaging.Destination{Kind: kind, Name: g.own.String()}
	want := map[string]messaging.Destination{"": inbox, fhirMessages: inbox}
	if g.fhir != "" {
		want[fhirMessages] = messaging.Destination{Kind: "endpoint", Name: g.fhir}
	}
	routes, err := g.k.Post().Routes(ctx)
	if err != nil {
		return err
	}
	for _, r := range routes {
		if to, ok := want[r.Workflow]; ok && r.Recipient == g.own && r.To == to {
			delete(want, r.Workflow)
		}
	}
	if len(want) == 0 {
		return nil
	}
	return g.k.DB.Write(ctx, []store.Lane{0}, func(tx *store.Tx) error {
		for workflow, to := range want {
			if err := g.k.Post().SetRoute(tx, messaging.Route{Recipient: g.own, Workflow: workflow, To: to, Actor: access.Service("edge", g.own).ID}); err != nil {
				return err
			}
		}
		return nil
	})
}

// exists reports whether there is something at a path.
func exists(path string) (bool, error) {
	_, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
