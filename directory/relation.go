package directory

import (
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
)

// relationsWhere are the relationships of which cond holds, in the order of kind and id.
func relationsWhere(tx *store.Tx, cond string, args ...any) ([]Relationship, error) {
	rows, err := tx.Query(`SELECT id, kind, source, target, active, opened, closed FROM directory_relation WHERE `+cond+` ORDER BY kind, id`, args...)
	if err != nil {
		return nil, err
	}
	var list []Relationship
	for rows.Next() {
		var r Relationship
		var from, to string
		if err := rows.Scan(&r.ID, &r.Type, &from, &to, &r.Active, &r.Span.From, &r.Span.To); err != nil {
			return nil, err
		}
		if r.From, err = ident.ParseODSCode(from); err != nil {
			return nil, err
		}
		if r.To, err = ident.ParseODSCode(to); err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	return list, rows.Err()
}
