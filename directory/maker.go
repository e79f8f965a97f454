package directory

import (
	"context"

	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
)

// Makers are the organisations that make the accredited systems of an organisation, by their codes.
func (d *Directory) Makers(ctx context.Context, organisation ident.ODSCode) (codes []string, err error) {
	var c where
	c.and(`kind = ?`, "device")
	c.and(`active = 1`)
	c.and(`organisation = ?`, organisation.String())
	c.and(`maker <> ''`)
	err = d.k.DB.Read(ctx, func(tx *store.Tx) error {
		codes = nil
		rows, err := texts(tx, `SELECT DISTINCT maker FROM directory_system WHERE `+c.sql()+` ORDER BY maker LIMIT 100`, 1, c.args...)
		for _, row := range rows {
			codes = append(codes, row[0])
		}
		return err
	})
	return codes, err
}
