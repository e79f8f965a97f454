// Package edge is a gateway at a site without a node of its own: a local system that can do no more than write and read files sends and receives
// post. It stores and forwards: while the link is down files are taken, and go when it is back.
//
//	outbox/TO/WORKFLOW/[CONVERSATION/]file ──taken──▶ sent: a message, in the commit that remembers the file ──▶ receipts/file.ID.json says what became of it
//	                                            └──▶ refused/ with the reason beside it
//	inbox/WORKFLOW/time-FROM-ID ◀── what comes for the site
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

// kind is the kind of destination that the inbox is.
const kind = "folder"

// lookEvery is how often the outbox is looked at.
const lookEvery = time.Second

// gateway is the folders of one site.
type gateway struct {
	k    catalogue.Kernel
	own  ident.ODSCode
	root string
	last string // up to where receipts were looked at
}

// Service is a gateway between the folder root and the post of the organisation own, whose post this node keeps.
// Errors: fault.Unavailable when the folders cannot be made.
func Service(k catalogue.Kernel, own ident.ODSCode, root string) (catalogue.Service, error) {
	g := &gateway{k: k, own: own, root: root}
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

// direct has what comes for the site put into its inbox.
func (g *gateway) direct(ctx context.Context) error {
	to := messaging.Destination{Kind: kind, Name: g.own.String()}
	routes, err := g.k.Post().Routes(ctx)
	if err != nil {
		return err
	}
	for _, r := range routes {
		if r.Recipient == g.own && r.Workflow == "" && r.To == to {
			return nil
		}
	}
	return g.k.DB.Write(ctx, []store.Lane{0}, func(tx *store.Tx) error {
		return g.k.Post().SetRoute(tx, messaging.Route{Recipient: g.own, To: to, Actor: access.Service("edge", g.own).ID})
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
