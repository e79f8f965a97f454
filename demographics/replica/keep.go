package replica

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/demographics/match"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/store"
)

// row is what is known of one patient's number.
type row struct {
	id          string
	number      string
	hidden      bool
	state       State
	since       time.Time
	ver         int64 // of the hospital's Patient
	compared    int64
	version     int64 // of the authority's record
	checked     time.Time
	due         time.Time
	tries       int
	survivor    string
	probability float64
	pattern     match.Pattern
	differs     []string
	base        base
	settled     time.Time
	settledBy   string
	reason      string
}

const rowColumns = `id, number, hidden, state, since, ver, compared, version, checked, due, tries, survivor, probability, pattern, differs, base, settled, settled_by, reason`

func (r *row) scan(from interface{ Scan(...any) error }) error {
	var state, differs, base string
	var hidden, since, checked, due, tries, probability, pattern, settled int64
	if err := from.Scan(&r.id, &r.number, &hidden, &state, &since, &r.ver, &r.compared, &r.version, &checked, &due, &tries, &r.survivor, &probability, &pattern, &differs, &base,
		&settled, &r.settledBy, &r.reason); err != nil {
		return err
	}
	r.hidden, r.state, r.tries, r.probability, r.pattern, r.differs = hidden != 0, State(state), int(tries), float64(probability)/1e6, match.Pattern(pattern), strings.Fields(differs)
	r.since, r.checked, r.due, r.settled = timeOf(since), timeOf(checked), timeOf(due), timeOf(settled)
	if err := json.Unmarshal([]byte(base), &r.base); err != nil {
		return fault.Wrap(err, fault.Internal, "what was copied of a patient does not read")
	}
	return nil
}

// put writes the row over what stands there, if that is still about the version of the Patient that it was made for.
func (r *row) put(tx *store.Tx, f *follower, made int64) error {
	base, err := json.Marshal(r.base)
	if err != nil {
		return fault.Wrap(err, fault.Internal, "writing what was copied")
	}
	n, err := tx.Exec(`UPDATE replica_person SET state = ?, since = ?, compared = ?, version = ?, checked = ?, due = ?, tries = ?, survivor = ?, probability = ?, pattern = ?, differs = ?, base = ?,
		settled = ?, settled_by = ?, reason = ? WHERE lane = ? AND tenant = ? AND id = ? AND ver = ? AND number = ?`,
		string(r.state), micros(r.since), r.compared, r.version, micros(r.checked), micros(r.due), int64(r.tries), r.survivor, int64(r.probability*1e6+0.5), int64(r.pattern), strings.Join(r.differs, " "),
		string(base), micros(r.settled), r.settledBy, r.reason, int64(f.lane(r.id)), f.Tenant.String(), r.id, made, r.number)
	if err == nil && n == 0 {
		return record.Again("the patient was changed here")
	}
	return err
}

func timeOf(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// keeper keeps a row for each Patient of the hospital, in the transaction that writes the Patient.
func (f *follower) keeper() record.Keeper {
	return record.Keeper{Name: "replica " + f.Tenant.String(), Edition: 1, Type: "Patient", Tenant: f.Tenant, Keep: func(tx *store.Tx, kept []record.Kept) error {
		for _, k := range kept {
			if err := f.keepOne(tx, k); err != nil {
				return err
			}
		}
		return nil
	}}
}

// keepOne notes a version of a Patient: what the hospital changed is compared again soon, and a number that is another begins anew.
func (f *follower) keepOne(tx *store.Tx, k record.Kept) error {
	v := k.Version
	lane, tenant := int64(v.Lane), f.Tenant.String()
	if v.Resource == nil || v.Op == record.Left {
		_, err := tx.Exec(`DELETE FROM replica_person WHERE lane = ? AND tenant = ? AND id = ?`, lane, tenant, v.ID)
		return err
	}
	number, state := numberOf(v.Resource), f.before(v.Resource, tx.At())
	hidden := int64(v.Label() & access.Restricted)
	if k.Before != nil || v.Ver > 1 || k.Again {
		due := `due`
		if v.Actor != f.self().ID {
			due = `0`
		}
		n, err := tx.Exec(`UPDATE replica_person SET ver = ?, hidden = ?, due = `+due+` WHERE lane = ? AND tenant = ? AND id = ? AND number = ?`, v.Ver, hidden, lane, tenant, v.ID, number)
		if err != nil || n > 0 {
			return err
		}
		if _, err := tx.Exec(`DELETE FROM replica_person WHERE lane = ? AND tenant = ? AND id = ?`, lane, tenant, v.ID); err != nil {
			return err
		}
	}
	return tx.Queue(`INSERT INTO replica_person (lane, tenant, id, number, hidden, state, since, ver, compared, version, checked, due, tries, survivor, probability, pattern, differs, base, settled, settled_by, reason)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, 0, 0, 0, 0, '', 0, 0, '', '{}', 0, '', '')`, lane, tenant, v.ID, number, hidden, string(state), tx.At().UnixMicro(), v.Ver)
}

// sixWeeks is how long a newborn's trace is put off (data dictionary, NHS number status indicator 08).
const sixWeeks = 42 * 24 * time.Hour

// before is the state of a patient about whom the authority was not asked.
func (f *follower) before(r *fhir.Resource, now time.Time) State {
	if numberOf(r) != "" {
		return Untraced
	}
	if born, err := time.Parse(time.DateOnly, r.Get("birthDate").String()); err == nil && now.Sub(born) < sixWeeks {
		return Postponed
	}
	return Unnumbered
}

// numberOf is the NHS number that a Patient has now; "" for none.
func numberOf(r *fhir.Resource) string { return numberNode(r).Field("value").String() }

// numberNode is the identifier that holds the NHS number now.
func numberNode(r *fhir.Resource) fhir.Node {
	for i := range r.Get("identifier").Items() {
		if i.Field("system").String() == ident.SystemNHSNumber && i.Field("use").String() != "old" && i.Get("period.end").String() == "" && i.Field("value").String() != "" {
			return i
		}
	}
	return fhir.Node{}
}

// rowOf is one patient's row. Error: access.NotHere.
func (f *follower) rowOf(ctx context.Context, id string) (row, error) {
	var r row
	err := f.k.DB.Read(ctx, func(tx *store.Tx) error {
		r = row{}
		return r.scan(tx.QueryRow(`SELECT `+rowColumns+` FROM replica_person WHERE lane = ? AND tenant = ? AND id = ?`, int64(f.lane(id)), f.Tenant.String(), id))
	})
	if fault.Is(err, fault.NotFound) {
		return r, access.NotHere()
	}
	return r, err
}

// rows are those that a condition selects.
func (f *follower) rows(ctx context.Context, where string, args ...any) (list []row, err error) {
	err = f.k.DB.Read(ctx, func(tx *store.Tx) error {
		list = nil
		found, err := tx.Query(`SELECT `+rowColumns+` FROM replica_person WHERE tenant = ? AND `+where, append([]any{f.Tenant.String()}, args...)...)
		if err != nil {
			return err
		}
		defer found.Close()
		for found.Next() {
			var r row
			if err := r.scan(found); err != nil {
				return err
			}
			list = append(list, r)
		}
		return found.Err()
	})
	return list, err
}

// hasten makes whoever a condition selects due now.
func (f *follower) hasten(ctx context.Context, where string, args ...any) error {
	list, err := f.rows(ctx, where, args...)
	if err != nil {
		return err
	}
	for part := range slices.Chunk(list, 500) {
		var lanes []store.Lane
		for _, r := range part {
			lanes = append(lanes, f.lane(r.id))
		}
		err := f.k.DB.Write(ctx, lanes, func(tx *store.Tx) error {
			for _, r := range part {
				if err := tx.Queue(`UPDATE replica_person SET due = 0 WHERE lane = ? AND tenant = ? AND id = ?`, int64(f.lane(r.id)), f.Tenant.String(), r.id); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
