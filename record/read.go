package record

import (
	"context"
	"strings"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
)

// row is what a resource now is.
type row struct {
	lane          store.Lane
	rid, kind     int64
	chart, tenant string
	id            string
	seq, ver, at  int64
	op            Op
	label         access.Label
	edition       int64
	ref           Ref
	author        string // see access.Place
	claims        []string
}

const rowColumns = `r.lane, r.rid, r.kind, r.chart, r.tenant, r.id, r.seq, r.ver, r.at, r.op, r.label, r.edition, r.author`

func (w *row) fields() []any {
	return []any{&w.lane, &w.rid, &w.kind, &w.chart, &w.tenant, &w.id, &w.seq, &w.ver, &w.at, &w.op, &w.label, &w.edition, &w.author}
}

func (w *row) place() access.Place {
	return placed(access.Place{Tenant: w.ref.Tenant, Chart: w.chart, Type: w.ref.Type, ID: w.id, Label: w.label, Exists: w.op != Voided}, w.author)
}

// named fills in the reference that a row's kind and tenant spell.
func (r *Records) named(tx *store.Tx, w *row) error {
	word := r.words.of(spaceKind, w.kind)
	if word == "" {
		var err error
		if word, err = r.words.refresh(tx, spaceKind, w.kind); err != nil {
			return err
		}
	}
	ref, err := kindRef(word)
	ref.ID = w.id
	w.ref = ref
	return err
}

func kindRef(word string) (Ref, error) {
	tenant, typ, _ := strings.Cut(word, "/")
	code, err := ident.ParseODSCode(tenant)
	if err != nil {
		return Ref{}, fault.Wrap(err, fault.Internal, "a stored kind names no tenant")
	}
	return Ref{Tenant: code, Type: typ}, nil
}

// find is the row of a resource; fault.NotFound, in access's words, when there never was one.
func (r *Records) find(tx *store.Tx, ref Ref) (row, error) {
	w := row{ref: ref}
	kind, ok, err := r.words.kindIn(tx, ref.Tenant.String(), ref.Type)
	if err != nil {
		return w, err
	}
	if !ok {
		return w, access.NotHere()
	}
	lane := r.idLane(ref)
	query, args := `SELECT `+rowColumns+` FROM record_resource r WHERE r.lane = ? AND r.kind = ? AND r.id = ?`, []any{lane, kind, ref.ID}
	if r.db.Lanes() > 1 { // else there are no aliases
		query += ` UNION ALL SELECT ` + rowColumns + ` FROM record_alias a JOIN record_resource r ON r.lane = a.home AND r.rid = a.rid
			WHERE a.lane = ? AND a.kind = ? AND a.id = ? LIMIT 1`
		args = append(args, args...)
	}
	if err = tx.QueryRow(query, args...).Scan(w.fields()...); !fault.Is(err, fault.NotFound) {
		return w, err
	}
	return w, access.NotHere()
}

// kept is a resource's row and its current version's.
type kept struct {
	row     row
	version stored
}

// keptOf is a resource as it is kept, in one statement; fault.NotFound, in access's words, when there never was one. Whoever has
// located a resource has also asked for what it holds, in the same snapshot.
func (r *Records) keptOf(tx *store.Tx, ref Ref) (*kept, error) {
	return store.Once(tx, ref, func() (*kept, error) {
		k := &kept{row: row{ref: ref}}
		kind, ok, err := r.words.kindIn(tx, ref.Tenant.String(), ref.Type)
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, access.NotHere()
		}
		const what = `SELECT ` + keptColumns
		const current = ` JOIN record_version v ON v.lane = r.lane AND v.seq = r.seq`
		query := what + ` FROM record_resource r` + current + ` WHERE r.lane = ? AND r.kind = ? AND r.id = ?`
		args := []any{int64(r.idLane(ref)), kind, ref.ID}
		if r.db.Lanes() > 1 { // else there are no aliases
			query += ` UNION ALL ` + what + ` FROM record_alias a JOIN record_resource r ON r.lane = a.home AND r.rid = a.rid` + current +
				` WHERE a.lane = ? AND a.kind = ? AND a.id = ? LIMIT 1`
			args = append(args, args...)
		}
		err = k.scan(tx.QueryRow(query, args...), kind)
		if fault.Is(err, fault.NotFound) {
			return nil, access.NotHere()
		}
		return k, err
	})
}

// keptColumns are rowColumns and versionColumns less what is asked for by or stands twice: every read pays for each of them.
const keptColumns = `r.lane, r.rid, r.chart, r.seq, r.ver, r.at, r.op, r.label, r.edition, r.author, v.prev, v.ver, v.at, v.actor, v.op, v.dict, v.body, coalesce(v.reason, '')`

// scan takes keptColumns of a resource of a kind, whose reference k has.
func (k *kept) scan(row store.Row, kind int64) error {
	w, v := &k.row, &k.version
	var op, label, vop int64
	var reason string
	err := row.Scan(&w.lane, &w.rid, &w.chart, &w.seq, &w.ver, &w.at, &op, &label, &w.edition, &w.author, &v.prev, &v.ver, &v.at, &v.by, &vop, &v.dict, &v.body, &reason)
	w.op, w.label, v.op, v.reason = Op(op), access.Label(label), Op(vop), &reason
	w.kind, w.tenant, w.id = kind, w.ref.Tenant.String(), w.ref.ID
	v.lane, v.seq, v.rid, v.kind = w.lane, w.seq, w.rid, kind
	return err
}

// load is a resource's row and its current version.
func (r *Records) load(tx *store.Tx, ref Ref) (Version, row, error) {
	k, err := r.keptOf(tx, ref)
	if err != nil {
		return Version{}, row{ref: ref}, err
	}
	v, err := r.opened(tx, &k.version)
	if err != nil {
		return Version{}, k.row, err
	}
	v.Ref, v.Chart, v.label, v.author = ref, k.row.chart, int64(k.row.label), k.row.author
	return v, k.row, nil
}

// loadToChange is load, with the identifiers that a change may take away.
func (r *Records) loadToChange(tx *store.Tx, ref Ref) (Version, row, error) {
	v, w, err := r.load(tx, ref)
	if err == nil && v.Resource != nil {
		w.claims = identifierValues(v.Resource)
	}
	return v, w, err
}

const versionColumns = `v.lane, v.seq, v.rid, v.prev, v.ver, v.kind, v.at, v.actor, v.op, v.dict, v.body, v.reason`

// stored is a version's row as it is kept.
type stored struct {
	lane                              store.Lane
	seq, rid, prev, ver, kind, at, by int64
	op                                Op
	dict                              int64
	body                              []byte
	reason                            *string
}

func (s *stored) fields() []any {
	return []any{&s.lane, &s.seq, &s.rid, &s.prev, &s.ver, &s.kind, &s.at, &s.by, &s.op, &s.dict, &s.body, &s.reason}
}

// version is one version by its place in the feed, without reference and chart.
func (r *Records) version(tx *store.Tx, lane store.Lane, seq int64) (Version, error) {
	var s stored
	err := tx.QueryRow(`SELECT `+versionColumns+` FROM record_version v WHERE v.lane = ? AND v.seq = ?`, lane, seq).Scan(s.fields()...)
	if err != nil {
		return Version{}, fault.Wrap(err, fault.Internal, "a version is missing from the record")
	}
	return r.opened(tx, &s)
}

// opened inflates and parses a stored version and names who wrote it.
func (r *Records) opened(tx *store.Tx, s *stored) (Version, error) {
	v, err := r.inflated(s)
	if err != nil {
		return v, err
	}
	v.Actor, v.Name, err = r.actor(tx, s.lane, s.by)
	return v, err
}

func (r *Records) inflated(s *stored) (Version, error) {
	v := Version{Ver: s.ver, At: time.UnixMicro(s.at).UTC(), Lane: s.lane, Seq: s.seq, rid: s.rid}
	v.did(s.op)
	if s.reason != nil {
		v.Reason = *s.reason
	}
	if s.op == Voided || s.op == Left {
		return v, nil
	}
	body, err := r.bodies.unpack(s.dict, s.body)
	if err != nil {
		return v, err
	}
	if v.Resource, err = fhir.ParseLimited(body, fhir.Limits{Bytes: maxBody, Depth: 1000}); err != nil {
		return v, fault.Wrap(err, fault.Internal, "a stored body does not parse")
	}
	return v, nil
}

// actor is who a version's number stands for. Numbers once read stay in memory.
func (r *Records) actor(tx *store.Tx, lane store.Lane, num int64) (id, name string, err error) {
	if word, ok := r.actors.Load(num); ok {
		id, name, _ = strings.Cut(word.(string), "\x1f")
		return id, name, nil
	}
	var word string
	err = tx.QueryRow(`SELECT word FROM record_actor WHERE lane = ? AND num = ?`, lane, num).Scan(&word)
	if err != nil {
		return "", "", fault.Wrap(err, fault.Internal, "a version names nobody")
	}
	r.actors.Store(num, word)
	id, name, _ = strings.Cut(word, "\x1f")
	return id, name, nil
}

// Locate says where a resource is, before its content is read: its chart, its label, and whether it is there. What never
// was, has a place without chart that does not exist.
func (r *Records) Locate(ctx context.Context, ref Ref) (access.Place, error) {
	var place access.Place
	err := r.db.Read(ctx, func(tx *store.Tx) error {
		k, err := r.keptOf(tx, ref)
		if fault.Is(err, fault.NotFound) {
			place = access.Place{Tenant: ref.Tenant, Type: ref.Type, ID: ref.ID}
			if ref.Type == "Patient" {
				place.Chart = ref.ID
			}
			return nil
		}
		if err == nil {
			place = k.row.place()
		}
		return err
	})
	return place, err
}

// Read is the current version of a resource that g covers.
// Errors: fault.NotFound, fault.Gone when it has been voided.
func (r *Records) Read(ctx context.Context, g access.Grant, ref Ref) (Version, error) {
	var v Version
	err := r.db.Read(ctx, func(tx *store.Tx) error {
		var err error
		v, err = r.ReadTx(tx, g, ref)
		return err
	})
	if err == nil && v.Deleted {
		return v, gone()
	}
	return v, err
}

// ReadAll is the current version of each resource, in their order, as s may see them: those that it may not, that were voided or
// never were, are left out. What is read is disclosed.
func (r *Records) ReadAll(ctx context.Context, s access.Scope, refs []Ref) ([]Version, error) {
	var list []Version
	err := r.db.Read(ctx, func(tx *store.Tx) error {
		list = nil
		for _, ref := range refs {
			v, w, err := r.load(tx, ref)
			if fault.Is(err, fault.NotFound) || err == nil && v.Deleted {
				continue
			}
			if err == nil {
				err = s.Permits(tx, w.place())
			}
			if err != nil {
				return err
			}
			list = append(list, v)
		}
		return nil
	})
	for _, v := range list {
		s.Disclose(v.place())
	}
	return list, err
}

// ReadTx is Read within a transaction; a voided version is returned as such.
func (r *Records) ReadTx(tx *store.Tx, g access.Grant, ref Ref) (Version, error) {
	v, w, err := r.load(tx, ref)
	if err != nil {
		return Version{}, err
	}
	return v, covers(g, w.place())
}

// covers tells a grant that was overtaken by a move from one that was never right.
func covers(g access.Grant, place access.Place) error {
	err := g.Covers(place)
	if err != nil && g.Valid() && g.Tenant() == place.Tenant && (g.Chart() != place.Chart || g.Place().Author != place.Author) {
		return access.NotHere()
	}
	return err
}
