package network

import (
	"embed"

	"github.com/openspine/openspine/store"
)

//go:embed schema/*.sql
var schemaFS embed.FS

// Schema is what the network keeps in the database. Keys are not in it.
func Schema() store.Schema { return store.Embedded("network", schemaFS, "schema") }
