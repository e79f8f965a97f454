// Package record keeps what was written about people: every version of every resource, in order, with who, when and
// why. Nothing is deleted in place; a resource is superseded by its next version or voided with a reason, and what it
// said before can always be read again by whoever may.
//
//	          create             update, patch             delete (void, with a reason)
//	(nothing) ──────► version 1 ───────────────► version n ─────────► voided ──► written again: version n+2 …
//
//	PrepareUpdate: parse, index, compress ─► Draft ─► Draft.Places ─► access decides ─► Grant
//	Gate.Act (one commit): Apply checks that nothing moved, writes version, index rows, counts
//	after the commit: watches get the change, at least once and in the order of their lane
//
// A person's resources form a chart, named by the id of their Patient resource; a chart lives in one lane, so all
// that is written about one person has one order. Whoever reads a chart shows a Grant, whoever searches a Scope; the
// Scope's condition stands in the SQL of every hop, so that neither a row nor a count shows what the caller may
// not see. Two charts that turn out to be one person are linked, never re-keyed, so that a link can be ended.
//
// Conditional writes are atomic: the lanes that their criteria concern are held while they look and write.
package record

import (
	"context"
	"crypto/cipher"
	"crypto/rand"
	"embed"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/fhir/definition"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/clock"
	"github.com/openspine/openspine/store"
)

//go:embed schema/*.sql
var schemaFiles embed.FS

// Schema is the record's tables, for store.DB.Migrate.
func Schema() store.Schema { return store.Embedded("record", schemaFiles, "schema") }

// Ref names a resource: a tenant's "Type/ID".
type Ref struct {
	Tenant ident.ODSCode
	Type   string
	ID     string
}

// String is the reference as FHIR writes it within the tenant.
func (r Ref) String() string { return r.Type + "/" + r.ID }

// Op is what a version did to its resource.
type Op int64

// What a version did. Left marks, in the feed of the lane that it left, a resource that now stands in another chart.
const (
	Created Op = 1
	Changed Op = 2
	Voided  Op = 3
	Left    Op = 4
)

// createdByPut is how Created is kept of what a Put created; rows of before there was a difference say Created.
const createdByPut Op = 5

// Version is one version of one resource.
type Version struct {
	Ref
	Chart    string // the patient's id; "" for what concerns no person
	Ver      int64  // 1, 2, 3 …
	At       time.Time
	Lane     store.Lane
	Seq      int64 // place in its lane's feed
	Op       Op
	ByPut    bool           // Created by a Put, not a Create: by an update, as FHIR's history tells it
	Deleted  bool           // voided: Resource is nil
	Resource *fhir.Resource // exactly as it was PUT; see Rendered for what is served
	Actor    string         // id of the principal who wrote it
	Name     string         // and their name
	Reason   string         // why, where one was given

	label  int64
	author string
	rid    int64
}

// did notes what the version did, as it is kept.
func (v *Version) did(kept Op) {
	v.Op, v.ByPut = kept, kept == createdByPut
	if v.ByPut {
		v.Op = Created
	}
	v.Deleted = v.Op == Voided
}

// VersionID is Ver as FHIR's meta.versionId.
func (v Version) VersionID() string { return itoa(v.Ver) }

// Label is what hides the resource; its own and that of its chart.
func (v Version) Label() access.Label { return access.Label(v.label) }

// Rendered is the resource as it is served: the JSON that was PUT with its id, meta.versionId and
// meta.lastUpdated. It is nil for a voided version.
func (v Version) Rendered() []byte { return v.AppendRendered(nil) }

// AppendRendered appends Rendered to dst.
func (v Version) AppendRendered(dst []byte) []byte {
	if v.Resource == nil {
		return dst
	}
	return v.Resource.AppendWithMeta(dst, v.ID, v.VersionID(), v.At)
}

// Options say how records are kept.
type Options struct {
	DB    *store.DB   // required, with Schema migrated
	Clock clock.Clock // the system's by default
	// Definitions of types and search parameters; definition.R4() by default.
	Definitions *definition.Set
	// Rand is where ids and the cursor key come from; crypto/rand by default.
	Rand io.Reader
	// Profile says which search parameters have index rows; nil indexes all.
	Profile Profile
	// Limits bound a search; zero fields mean the defaults.
	Limits Limits
}

// Records is the record of all tenants of one node. It is safe for concurrent use.
type Records struct {
	db      *store.DB
	clock   clock.Clock
	rand    io.Reader
	bodies  *bodies
	words   *words
	index   *indexer
	limits  Limits
	cursors cipher.AEAD
	actors  sync.Map // number → word, as read
	wakers  wakers
	sizes   sizes

	keepers []Keeper
	behind  atomic.Pointer[behind] // nil once all keepers are whole
	later   atomic.Bool            // something was loaded that cannot be found yet
}

// Open reads what the record has interned. The schema must have been migrated.
func Open(ctx context.Context, o Options) (*Records, error) {
	if o.DB == nil {
		return nil, fault.New(fault.Internal, "record.Open needs a database")
	}
	if o.Clock == nil {
		o.Clock = clock.System()
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.Definitions == nil {
		o.Definitions = definition.R4()
	}
	bodies, err := newBodies()
	if err != nil {
		return nil, err
	}
	r := &Records{db: o.DB, clock: o.Clock, rand: o.Rand, bodies: bodies, limits: o.Limits.withDefaults()}
	r.words = newWords(o.DB)
	if err := r.words.load(ctx); err != nil {
		return nil, err
	}
	r.index = newIndexer(r.words, o.Definitions, o.Profile)
	secret, err := r.words.secret(ctx, "cursor-key", o.Rand)
	if err != nil {
		return nil, err
	}
	if r.cursors, err = cipherOf(secret); err != nil {
		return nil, err
	}
	due, err := r.dueFrom(ctx)
	r.later.Store(due > 0)
	return r, err
}

// Close gives back what Open took; the database stays open.
func (r *Records) Close() { r.bodies.close() }
