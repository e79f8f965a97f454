package directory

import (
	"context"
	"errors"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/store"
)

// A last day may lie ahead: until it is over what it ends is in use, and directory_due says when to close it.

// dueAtOnce is how many are closed in one round.
const dueAtOnce = 500

// dueKeepers keep what is to be closed, and when.
func (d *Directory) dueKeepers() (list []record.Keeper) {
	for _, typ := range []string{"Organization", "OrganizationAffiliation", "HealthcareService", "Location", "Endpoint", "Device", "PractitionerRole", "Practitioner"} {
		list = append(list, record.Keeper{Name: "directory due " + typ, Edition: 1, Type: typ, Tenant: d.k.National,
			Ready: func(_ record.Ref, res *fhir.Resource) (any, error) { return lastDay(res), nil }, Keep: keepDue})
	}
	return list
}

// lastDay is until when something in use is in use; empty where it is closed already or no day is known.
func lastDay(res *fhir.Resource) Day {
	switch res.Type() {
	case "Organization":
		if o, err := ParseOrganisation(res); err == nil && o.Code.String() == res.ID() && o.State != Closed {
			return o.Span().To
		}
		return ""
	case "OrganizationAffiliation":
		if r, err := ParseRelationship(res); err == nil && r.Active {
			return r.Span.To
		}
		return ""
	}
	if res.Type() == "Practitioner" {
		if facts := personFacts(res); facts[1].Before == string(Open) {
			return Day(facts[3].Before)
		}
		return ""
	}
	if kind, err := keptKindOfType(res.Type()); err == nil && kind.inUse(res) {
		return spanOf(res).To
	}
	return ""
}

// keptKindOfType is how resources of a type are kept by page.
func keptKindOfType(typ string) (keptKind, error) {
	for _, k := range keptKinds() {
		if k.typ == typ {
			return k, nil
		}
	}
	return keptKind{}, fault.New(fault.NotFound, "The directory keeps no %s by page.", typ)
}

func keepDue(tx *store.Tx, kept []record.Kept) error {
	list := rows{insert: `INSERT INTO directory_due (lane, kind, id, day)`, width: 4}
	for _, k := range kept {
		v := k.Version
		if k.Before != nil || k.Again {
			if _, err := tx.Exec(`DELETE FROM directory_due WHERE lane = ? AND kind = ? AND id = ?`, int64(v.Lane), v.Type, v.ID); err != nil {
				return err
			}
		}
		if day, ok := k.Made.(Day); ok && day.Known() {
			list.add(int64(v.Lane), v.Type, v.ID, string(day))
		}
	}
	return list.write(tx)
}

// closeDue closes what had its last day yesterday or before, in the directory's own name. One that cannot be closed keeps no other open.
func (d *Directory) closeDue(ctx context.Context) error {
	today := DayOf(d.k.Clock.Now())
	var due [][]string
	err := d.k.DB.Read(ctx, func(tx *store.Tx) (err error) {
		due, err = texts(tx, `SELECT kind, id, day FROM directory_due WHERE day < ? ORDER BY day, kind, id LIMIT ?`, 3, string(today), dueAtOnce)
		return err
	})
	if err != nil {
		return err
	}
	var failed []error
	for _, one := range due {
		if err := d.closeOne(ctx, one[0], one[1], Day(one[2]), today); err != nil {
			failed = append(failed, fault.Wrap(err, fault.KindOf(err), "closing a %s whose last day is over", one[0]))
		}
	}
	return errors.Join(failed...)
}

// closeOne closes one thing whose last day was day; one that was closed or given another day meanwhile is left.
func (d *Directory) closeOne(ctx context.Context, typ, id string, day, today Day) error {
	reads, err := d.readsByID(ctx, typ)
	if err != nil {
		return err
	}
	var v record.Version
	if err := d.k.DB.Read(ctx, func(tx *store.Tx) error {
		v, err = reads.version(tx, typ, id)
		return err
	}); err != nil || lastDay(v.Resource) != day {
		return err
	}
	list, err := d.afterLastDay(ctx, v.Resource, day, today)
	if err != nil {
		return err
	}
	err = d.keepAll(ctx, access.Service("directory", d.k.National), list, v.Ver, "Its last day, "+string(day)+", is over.")
	if fault.Is(err, fault.Conflict) || fault.Is(err, fault.PreconditionFailed) {
		return nil // somebody changed it meanwhile; what is still due then is closed in the next round
	}
	return err
}

// afterLastDay is what closing something writes, itself first.
func (d *Directory) afterLastDay(ctx context.Context, old *fhir.Resource, day, today Day) ([]*fhir.Resource, error) {
	switch old.Type() {
	case "Organization":
		return d.siteClosed(ctx, old, day, today, "")
	case "OrganizationAffiliation":
		r, err := ParseRelationship(old)
		if err != nil {
			return nil, err
		}
		r.Active, r.Span.To = false, day
		res, err := r.Resource()
		return []*fhir.Resource{res}, err
	}
	if old.Type() == "Practitioner" {
		res, err := overlay(old, []member{{"active", fhir.Of(false)}})
		return []*fhir.Resource{res}, err
	}
	kind, err := keptKindOfType(old.Type())
	if err != nil {
		return nil, err
	}
	res, err := kind.closed(old, day, today)
	return []*fhir.Resource{res}, err
}
