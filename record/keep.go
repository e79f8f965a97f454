package record

import (
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
)

// Keeper keeps a registry's own tables in step with the resources of one type in one tenant: whoever writes them (a page, FHIR, a
// published API, an importer), the keeper writes in the same transaction, so that what a registry finds is what the record says.
type Keeper struct {
	// Name is the service's, and a word more where it has several keepers. It is kept for ever.
	Name string
	// Edition is raised whenever what the keeper makes of a resource changes: all that was written before is then handed to it again
	// (see Rekeep). 0 is for a keeper without tables, which is handed nothing again. Rows that the new program cannot read any more are taken away by a migration that comes with it.
	Edition int
	// Type and Tenant say which resources; the zero Tenant is every tenant.
	Type   string
	Tenant ident.ODSCode
	// Ready makes, outside the transaction and on many goroutines at once, what Keep will need of a version. It is called
	// again when the record moved meanwhile, then inside the transaction. Nil is fine.
	Ready func(ref Ref, res *fhir.Resource) (any, error)
	// Keep writes for versions that the transaction writes, in their order; it holds their lanes. It must set, not add: the
	// transaction may run again. An error undoes the whole transaction.
	Keep func(tx *store.Tx, kept []Kept) error
	// Past asks for the versions before the current one, oldest first, when resources are handed over again: for a keeper that
	// remembers what was so once.
	Past bool
	// Searching, if set, is what a load of very many writes later of what is new, in place of Keep (see Change.Later): the rows that Keep
	// would have written of a first version, when nothing else depends on when they are.
	Searching *Searching
}

// Kept is one version that is written, and what stood there before it.
type Kept struct {
	// Version is what is written; its Resource is nil when it voids.
	Version Version
	// Before is what stood there; nil if nothing did, or a voided version.
	Before *fhir.Resource
	// Made is what Keeper.Ready made of the version; nil for one that voids.
	Made any
	// Again says that the version was written earlier and is handed over once more: the keeper writes its rows, in the place of
	// what rows there may be, and nothing has happened.
	Again bool
}

// Keep puts keepers before every write from now on. It is called while the node is put together, before anything is written.
func (r *Records) Keep(keepers ...Keeper) { r.keepers = append(r.keepers, keepers...) }

// keeping is a keeper with what it made of a draft.
type keeping struct {
	keeper *Keeper
	made   any
}

// ready asks each keeper of the draft's resource to prepare.
func (r *Records) ready(d *Draft) error {
	d.keeping = nil
	for i := range r.keepers {
		k := &r.keepers[i]
		if !k.keeps(d.ref) || d.later && k.Searching != nil {
			continue
		}
		kept := keeping{keeper: k}
		if d.change.Verb != Delete && k.Ready != nil {
			var err error
			if kept.made, err = k.Ready(d.ref, d.change.Resource); err != nil {
				return err
			}
		}
		d.keeping = append(d.keeping, kept)
	}
	return nil
}

// keep hands a written version to its keepers: at once, or with the others of its transaction.
func (r *Records) keep(tx *store.Tx, d *Draft, v Version) error {
	for _, k := range d.keeping {
		one := Kept{Version: v, Before: d.before, Made: k.made}
		if v.Deleted {
			one.Version.Resource, one.Made = nil, nil
		}
		if d.pile != nil {
			d.pile.kept[k.keeper] = append(d.pile.kept[k.keeper], one)
			continue
		}
		if err := k.keeper.Keep(tx, []Kept{one}); err != nil {
			return err
		}
	}
	return nil
}

// keepAll hands over what was gathered.
func (p *pile) keepAll(tx *store.Tx, r *Records) error {
	for i := range r.keepers {
		k := &r.keepers[i]
		if list := p.kept[k]; len(list) > 0 {
			if err := k.Keep(tx, list); err != nil {
				return err
			}
			delete(p.kept, k)
		}
	}
	return nil
}
