package access

import (
	"context"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
)

// reviews is a list that a privacy officer works through: alerts, or people's questions. Each row is theirs whose organisation it
// concerns (concerns), and each look at it is on the account.
type reviews[T any] struct {
	typ     string // TypeAlert or TypeObjection
	table   string
	waiting string // the condition on what nobody has reviewed
	missing string // what to say of a row that is not there or concerns others
	read    func(tx *store.Tx, cond string, args ...any) ([]T, error)
	id      func(T) string
}

// reviewPage is a page of reviews: its rows, the cursors of its neighbours ("" at an end), and how many wait in all.
type reviewPage[T any] struct {
	rows           []T
	previous, next string
	waiting        int
}

// page lists the rows that concern p. Errors: fault.Forbidden for a role that does not review; fault.Invalid for a foreign cursor.
func (v reviews[T]) page(ctx context.Context, g *Gate, p Principal, q AlertQuery) (page reviewPage[T], err error) {
	grant, err := g.Decide(ctx, p, Search, Place{Tenant: p.Organisation, Type: v.typ})
	if err != nil {
		return page, err
	}
	mine, args := concerns(p)
	k, err := q.keyset(v.waiting, mine, args)
	if err != nil {
		return page, err
	}
	err = g.db.Read(ctx, func(tx *store.Tx) error {
		page = reviewPage[T]{}
		if err := tx.QueryRow(`SELECT count(*) FROM `+v.table+` WHERE `+v.waiting+` AND `+mine, args...).Scan(&page.waiting); err != nil {
			return err
		}
		list, err := v.read(tx, k.cond, k.args...)
		if err != nil {
			return err
		}
		page.rows, page.previous, page.next = paged(list, q, v.id)
		return nil
	})
	if err != nil {
		return reviewPage[T]{}, err
	}
	return page, g.Account(ctx, []Grant{grant}, nil)
}

// one is one row that concerns p. Errors: as page; fault.NotFound.
func (v reviews[T]) one(ctx context.Context, g *Gate, p Principal, id string) (row T, err error) {
	grant, err := g.Decide(ctx, p, Read, Place{Tenant: p.Organisation, Type: v.typ})
	if err != nil {
		return row, err
	}
	err = g.db.Read(ctx, func(tx *store.Tx) (err error) {
		row, err = v.in(tx, p, id)
		return err
	})
	if err != nil {
		var none T
		return none, err
	}
	return row, g.Account(ctx, []Grant{grant}, nil)
}

// in reads one row that concerns p.
func (v reviews[T]) in(tx *store.Tx, p Principal, id string) (row T, err error) {
	_, lane, n, err := parseAlertID(id)
	if err != nil {
		return row, err
	}
	mine, args := concerns(p)
	list, err := v.read(tx, `lane = ? AND id = ? AND `+mine, append([]any{lane, n}, args...)...)
	if err != nil {
		return row, err
	}
	if len(list) == 0 {
		return row, fault.New(fault.NotFound, "%s", v.missing)
	}
	return list[0], nil
}

// organisations reads the two that a row names; a program's actor has no organisation.
func organisations(tenant, actor string) (of, acting ident.ODSCode, err error) {
	if of, err = ident.ParseODSCode(tenant); err == nil && actor != "" {
		acting, err = ident.ParseODSCode(actor)
	}
	return of, acting, err
}
