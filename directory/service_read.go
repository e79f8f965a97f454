package directory

import (
	"context"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/store"
)

// ServiceResources are HealthcareServices by their ids, in that order, as they are now; those that are not there are left out.
func (d *Directory) ServiceResources(ctx context.Context, ids ...string) (list []record.Version, err error) {
	reads, err := d.readsByID(ctx, "HealthcareService")
	if err != nil {
		return nil, err
	}
	err = d.k.DB.Read(ctx, func(tx *store.Tx) error {
		list = nil
		for _, id := range ids {
			v, err := reads.version(tx, "HealthcareService", id)
			if fault.Is(err, fault.NotFound) {
				continue
			}
			if err != nil {
				return err
			}
			list = append(list, v)
		}
		return nil
	})
	return list, err
}

// Takes is of which sex and age a service takes people, and nothing else of it. Error: fault.NotFound.
func (d *Directory) Takes(tx *store.Tx, id string) (s HealthcareService, err error) {
	s.ID = id
	err = tx.QueryRow(`SELECT sex, youngest, oldest FROM directory_service WHERE id = ?`, id).Scan(&s.Sex, &s.Youngest, &s.Oldest)
	return s, err
}
