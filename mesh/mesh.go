// Package mesh is the post office for programs that speak MESH, the Message Exchange for Social Care and Health: each organisation has mailboxes;
// a program puts a file into the outbox of its own and finds what came for it in the inbox.
//
//	        first piece            last piece             placed in the recipient's inbox        acknowledged
//	sender ────────────▶ uploading ───────────▶ accepted ────────────────────────────────▶ waiting ────────────▶ acknowledged
//	                        │                      │                                          │
//	                        │ five days            │ refused: no such mailbox                 │ five days, nobody came
//	                        ▼                      ▼                                          ▼
//	                      failed ◀───────────── failed ◀──────── a report (code 14) ───── undelivered ── 30 days ──▶ put away
//
// What is put away can be fetched no more; who keeps the node still sees that it was there, for 90 days from when it came. Until it is put away, an administrator
// places undelivered mail into the inbox again, or sends what came back once more, each with a reason.
//
// The API is the published one, below /messageexchange. Between two mailboxes mail goes by package messaging, whether both are on this node or not, so that it
// is kept, tried again, tracked and seen as all post is. Payloads go from the wire to the post's files and back in pieces, never whole in memory.
//
// Every mailbox has an owner, and the age of its oldest unread mail is told: nothing lies where nobody looks.
package mesh

import (
	"context"
	"embed"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/store"
)

//go:embed schema/*.sql
var schemaFS embed.FS

// The spans of a message's life (published: "Message expiration").
const (
	CollectWithin = 5 * 24 * time.Hour  // from its arrival until it counts as undelivered
	KeepFor       = 30 * 24 * time.Hour // from its arrival until it is put away
	UploadWithin  = 5 * 24 * time.Hour  // from its first chunk until the last must have come
)

// MaxChunk is how many bytes one request may carry (published: 100 MB), and MaxChunks how many requests one message may take (published: 100 GB).
const (
	MaxChunk  = 100 << 20
	MaxChunks = 1000
)

// Options say how a node's mailboxes are kept.
type Options struct {
	// Data is the node's data folder: the key with which passwords are enciphered is there, and in no backup.
	Data string
	// Plain lets programs come over HTTP without TLS: on loopback, under --open.
	Plain bool
	// Certificates checks the client certificate of a program, beside its password; nil where none is asked for.
	Certificates *Certificates
}

// Office keeps the mailboxes of a node. It is safe for use by many goroutines.
type Office struct {
	k catalogue.Kernel
	o Options
	s secrets

	book  book
	tries tries
}

// New makes the post office of a node. Errors: those of reading or making the key in the data folder.
func New(k catalogue.Kernel, o Options) (*Office, error) {
	s, err := openSecrets(o.Data)
	office := &Office{k: k, o: o, s: s}
	office.openBook()
	return office, err
}

// Service is the API, with what carries mail.
func (o *Office) Service() catalogue.Service {
	return catalogue.Service{
		Name: "mesh", Summary: "Mailboxes for programs that speak MESH: sending and collecting files between organisations.",
		Schema:    store.Embedded("mesh", schemaFS, "schema"),
		Pages:     o.pages(),
		API:       o.administration(),
		Links:     []catalogue.Link{{Key: "mesh.nav", Path: "/mailboxes", Roles: []access.Role{access.Administrator, access.Clerk}}},
		Published: []catalogue.Published{{Base: base, Face: face{}, Routes: o.routes()}},
		Handles:   []messaging.Handler{{Workflow: Workflow, Owner: "the mailboxes of this node", Learn: o.learn, LearnLanes: o.learnLanes}},
		Couriers:  []messaging.Courier{{Kind: Kind, Owner: "the mailboxes of this node", Place: o.place, Lanes: o.placeLanes, Of: o.whose}},
		Jobs:      []catalogue.Job{{Name: "expire", Every: time.Minute, Run: o.Expire}, {Name: "forget", Every: time.Hour, Run: o.Forget}, {Name: "book", Every: bookEvery, Run: o.learnJob}},
	}
}

// Kind is that of destinations of the post which are mailboxes: by the id of one, or by the ODS code of an organisation whose mailboxes are here.
const Kind = "mailbox"

// Workflow is that of the post in which mail between mailboxes travels.
const Workflow = "mesh"

// lane is where all of a mailbox's mail is kept.
func (o *Office) lane(mailbox string) store.Lane { return o.k.DB.LaneOf("", "mailbox/"+mailbox) }

// boxLane is where mailboxes are kept: they are few.
const boxLane store.Lane = 0

// principal is who acts when the program of a mailbox does.
func (b *Mailbox) principal() access.Principal {
	return access.Principal{ID: "mailbox/" + b.ID, Name: b.Name, Role: access.SystemClient, Organisation: b.ODS, AuthMethod: "mesh"}
}

// note puts what a mailbox's program did on the account; tx holds its DeedLane.
func (o *Office) note(ctx context.Context, tx *store.Tx, b *Mailbox, what, id string) error {
	return o.k.Gate.Record(ctx, tx, b.principal(), access.Deed{Action: access.ActMail, Basis: what, Detail: id})
}

func gone(err error, format string, args ...any) error {
	if fault.Is(err, fault.NotFound) {
		return fault.New(fault.NotFound, format, args...)
	}
	return err
}
