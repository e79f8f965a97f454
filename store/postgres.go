package store

import (
	"context"

	"github.com/openspine/openspine/fault"
)

func openPostgres(context.Context, string, *DB) (engine, error) {
	return nil, fault.New(fault.Unavailable, "PostgreSQL is not in this build")
}
