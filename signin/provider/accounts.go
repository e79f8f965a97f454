package provider

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/store"
)

// Account is what is known here of a user's account at one provider: the identifiers that are expected, the account that is linked, or both.
type Account struct {
	Link                  // Since is zero while none is linked
	Identifiers []string  // by which the user is expected
	Expected    time.Time // since when, the latest; zero for never
}

// AccountsOf lists a user's accounts at providers, by their titles.
func (ps *Providers) AccountsOf(ctx context.Context, user string) ([]Account, error) {
	links, err := ps.LinksOf(ctx, user)
	if err != nil {
		return nil, err
	}
	all := map[string]*Account{}
	for _, l := range links {
		all[l.Issuer] = &Account{Link: l}
	}
	list, err := ps.expectedOf(ctx, user)
	if err != nil {
		return nil, err
	}
	for _, e := range list {
		a := all[e.issuer]
		if a == nil {
			a = &Account{Link: Link{Issuer: e.issuer}}
			a.Provider, a.Title = ps.byIssuer(e.issuer)
			all[e.issuer] = a
		}
		a.Identifiers, a.Expected = append(a.Identifiers, e.identifier), e.since
	}
	var sorted []Account
	for _, a := range slices.SortedFunc(maps.Values(all), func(a, b *Account) int {
		return cmp.Or(strings.Compare(a.Title, b.Title), strings.Compare(a.Issuer, b.Issuer))
	}) {
		sorted = append(sorted, *a)
	}
	return sorted, nil
}

// expectation is an identifier under which a user is expected.
type expectation struct {
	issuer, identifier string
	since              time.Time
}

func (ps *Providers) expectedOf(ctx context.Context, user string) (list []expectation, err error) {
	err = ps.k.DB.Read(ctx, func(tx *store.Tx) error {
		list = nil
		rows, err := tx.Query(`SELECT issuer, identifier, since FROM provider_expected WHERE user_id = ? ORDER BY since, identifier`, user)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var e expectation
			var since int64
			if err := rows.Scan(&e.issuer, &e.identifier, &since); err != nil {
				return err
			}
			e.since = time.UnixMicro(since).UTC()
			list = append(list, e)
		}
		return rows.Err()
	})
	return list, err
}

// SessionsOf is how many of a user's sessions came of their account at a provider and have not ended.
func (ps *Providers) SessionsOf(ctx context.Context, user, issuer string) (n int, err error) {
	open, err := ps.k.Gate.Sessions(ctx, user)
	if err != nil {
		return 0, err
	}
	err = ps.k.DB.Read(ctx, func(tx *store.Tx) error {
		n = 0
		for _, s := range open {
			var one int64
			err := tx.QueryRow(`SELECT count(*) FROM provider_session WHERE lane = ? AND session = ? AND issuer = ?`, int64(ps.sessionLane(s.ID)), s.ID, issuer).Scan(&one)
			if err != nil {
				return err
			}
			n += int(one)
		}
		return nil
	})
	return n, err
}

// IdentifierBytes is how long an identifier at a provider may be.
const IdentifierBytes = 200

// occupied says which of the things that Expect was given is in the way.
type occupied struct{ field string }

// Error is for the log.
func (o *occupied) Error() string { return "the " + o.field + " is taken" }

// InTheWay is what Expect found taken: "identifier", "provider", or "" when it failed for another reason.
func InTheWay(err error) string {
	var o *occupied
	if !errors.As(err, &o) {
		return ""
	}
	return o.field
}

// Expect says that whoever a provider of professionals calls identifier is a user here, from their first sign-in. Another identifier under which the
// user was expected there is forgotten. Only whoever holds the data folder takes an identifier from another user by it.
// Errors: fault.Invalid; fault.Conflict when another user is expected under it, or an account there stands for the user already; those of
// access.Gate.Administer.
func (ps *Providers) Expect(ctx context.Context, by access.Principal, p *Provider, identifier, user, reason string) error {
	identifier = strings.TrimSpace(identifier)
	if identifier == "" || len(identifier) > IdentifierBytes {
		return fault.New(fault.Invalid, "Give the user's identifier there (%s), in at most %d letters.", p.Identifier, IdentifierBytes)
	}
	was, err := ps.expectedOf(ctx, user)
	if err != nil {
		return err
	}
	lane := ps.expectedLane(p.Issuer, identifier)
	lanes := []store.Lane{lane, ps.userLane(user)}
	for _, e := range was {
		lanes = append(lanes, ps.expectedLane(e.issuer, e.identifier))
	}
	return ps.k.Gate.Administer(ctx, by, user, access.Work{Act: "account-expected", Reason: reason, Lanes: lanes, Do: func(tx *store.Tx, m access.Member) (string, error) {
		if !m.Ended.IsZero() {
			return "", fault.New(fault.Conflict, "The user's access has ended.")
		}
		if p.Realm != access.Professionals || m.Role.Realm() != p.Realm {
			return "", fault.New(fault.Invalid, "%s vouches for %s; patients are known by their NHS number.", p.Title, p.Realm)
		}
		if err := ps.free(tx, by, p, identifier, user); err != nil {
			return "", err
		}
		for _, e := range was {
			if e.issuer != p.Issuer || e.identifier == identifier {
				continue
			}
			if _, err := tx.Exec(`DELETE FROM provider_expected WHERE lane = ? AND issuer = ? AND identifier = ? AND user_id = ?`,
				int64(ps.expectedLane(e.issuer, e.identifier)), e.issuer, e.identifier, user); err != nil {
				return "", err
			}
		}
		_, err := tx.Exec(`INSERT INTO provider_expected (lane, issuer, identifier, user_id, since) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT (lane, issuer, identifier) DO UPDATE SET user_id = excluded.user_id, since = excluded.since`,
			int64(lane), p.Issuer, identifier, user, tx.At().UnixMicro())
		return p.Title + ": " + identifier, err
	}})
}

// free is fault.Conflict unless by may have a user expected under an identifier.
func (ps *Providers) free(tx *store.Tx, by access.Principal, p *Provider, identifier, user string) error {
	if by.AuthMethod == "service" {
		return nil
	}
	var of string
	err := tx.QueryRow(`SELECT user_id FROM provider_expected WHERE lane = ? AND issuer = ? AND identifier = ?`, int64(ps.expectedLane(p.Issuer, identifier)), p.Issuer, identifier).Scan(&of)
	switch {
	case err == nil && of != user:
		return fault.Wrap(&occupied{"identifier"}, fault.Conflict, "Another user is expected under this identifier. It must be removed there first.")
	case err != nil && !fault.Is(err, fault.NotFound):
		return err
	}
	var linked int64
	if err := tx.QueryRow(`SELECT count(*) FROM provider_link WHERE user_id = ? AND issuer = ?`, user, p.Issuer).Scan(&linked); err != nil {
		return err
	}
	if linked > 0 {
		return fault.Wrap(&occupied{"provider"}, fault.Conflict, "An account at %s stands for this user already. Remove it first.", p.Title)
	}
	return nil
}

// Unlink is for a user themself: it makes their account at a provider stand for nobody, and ends the sessions that came of it. What an
// administrator expected under their identifier is forgotten too. Errors: fault.NotFound when there is neither.
func (ps *Providers) Unlink(ctx context.Context, user access.Principal, issuer string) error {
	lanes, forget, err := ps.parting(ctx, user.ID, issuer)
	if err != nil {
		return err
	}
	err = ps.k.DB.Write(ctx, append(lanes, ps.k.Gate.DeedLane(user)), func(tx *store.Tx) error {
		if err := forget(tx); err != nil {
			return err
		}
		return ps.k.Gate.Record(ctx, tx, user, access.Deed{Action: access.ActCredential, Basis: "provider unlinked", Detail: "user " + user.ID + ": " + ps.named(issuer)})
	})
	if err != nil {
		return err
	}
	return ps.endSessions(ctx, user, `user_id = ? AND issuer = ?`, user.ID, issuer)
}

// Part is Unlink by somebody who administers the user. Errors: fault.NotFound when there is neither; those of access.Gate.Administer.
func (ps *Providers) Part(ctx context.Context, by access.Principal, user, issuer, reason string) error {
	lanes, forget, err := ps.parting(ctx, user, issuer)
	if err != nil {
		return err
	}
	err = ps.k.Gate.Administer(ctx, by, user, access.Work{Act: "account-removed", Reason: reason, Lanes: lanes, Do: func(tx *store.Tx, _ access.Member) (string, error) {
		return ps.named(issuer), forget(tx)
	}})
	if err != nil {
		return err
	}
	return ps.endSessions(ctx, by, `user_id = ? AND issuer = ?`, user, issuer)
}

// named is what a provider is called in an account: its id, or its issuer when it is not trusted any more.
func (ps *Providers) named(issuer string) string {
	id, title := ps.byIssuer(issuer)
	return cmp.Or(id, title)
}

// parting is what removes a user's account at a provider and what is expected there, and the lanes that it needs.
func (ps *Providers) parting(ctx context.Context, user, issuer string) (lanes []store.Lane, forget func(tx *store.Tx) error, err error) {
	type row struct {
		table, column string
		lane          store.Lane
		key           string
	}
	var list []row
	err = ps.k.DB.Read(ctx, func(tx *store.Tx) error {
		list = nil
		read := func(table, column string, lane func(issuer, key string) store.Lane) error {
			rows, err := tx.Query(`SELECT `+column+` FROM `+table+` WHERE user_id = ? AND issuer = ?`, user, issuer)
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				var key string
				if err := rows.Scan(&key); err != nil {
					return err
				}
				list = append(list, row{table, column, lane(issuer, key), key})
			}
			return rows.Err()
		}
		if err := read("provider_link", "subject", ps.linkLane); err != nil {
			return err
		}
		return read("provider_expected", "identifier", ps.expectedLane)
	})
	if err == nil && len(list) == 0 {
		err = fault.New(fault.NotFound, "The user has no account there.")
	}
	lanes = []store.Lane{ps.userLane(user)}
	for _, r := range list {
		lanes = append(lanes, r.lane)
	}
	return lanes, func(tx *store.Tx) error {
		for _, r := range list {
			if _, err := tx.Exec(`DELETE FROM `+r.table+` WHERE lane = ? AND issuer = ? AND `+r.column+` = ? AND user_id = ?`, int64(r.lane), issuer, r.key, user); err != nil {
				return err
			}
		}
		return nil
	}, err
}
