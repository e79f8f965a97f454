package provider

import (
	"context"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/store"
)

// How somebody's account at a provider came to stand for a user here.
const (
	byIdentifier = "identifier"
	byNHSNumber  = "nhs-number"
	byOneTime    = "one-time link"
	bySession    = "signed in"
)

// Link is an account at a provider that stands for a user here.
type Link struct {
	Provider string // its id; "" for one that is not trusted any more
	Title    string
	Issuer   string
	How      string
	Since    time.Time
}

func (ps *Providers) linkLane(issuer, subject string) store.Lane {
	return ps.k.DB.LaneOf("", "provider-link/"+issuer+"\x00"+subject)
}

func (ps *Providers) expectedLane(issuer, identifier string) store.Lane {
	return ps.k.DB.LaneOf("", "provider-expected/"+issuer+"\x00"+identifier)
}

func (ps *Providers) userLane(user string) store.Lane {
	return ps.k.DB.LaneOf("", "provider-user/"+user)
}

// Recognise is the user for whom somebody's account at a provider stands. At their first sign-in it is the one whom an administrator expects
// under their identifier, or the patient whose verified NHS number it is; from then on it is the same user, whatever the identifier.
// Errors: Unknown for nobody, or nobody who may sign in; Taken when the number is somebody else's, or the user has another account there.
func (ps *Providers) Recognise(ctx context.Context, a Arrival) (access.User, error) {
	user, err := ps.linked(ctx, a)
	switch {
	case err == nil:
		return ps.fits(ctx, user, a)
	case !fault.Is(err, fault.NotFound):
		return access.User{}, err
	}
	how := byIdentifier
	if a.Provider.Realm == access.Patients {
		how = byNHSNumber
		user, err = ps.patient(ctx, a)
	} else {
		user, err = ps.expected(ctx, a)
	}
	if err != nil {
		return access.User{}, err
	}
	u, err := ps.fits(ctx, user, a)
	if err != nil {
		return u, err
	}
	return u, ps.link(ctx, u, a, how, nil, nil)
}

// linked is the user of an account that has been linked. Errors: fault.NotFound.
func (ps *Providers) linked(ctx context.Context, a Arrival) (user string, err error) {
	err = ps.k.DB.Read(ctx, func(tx *store.Tx) error {
		return tx.QueryRow(`SELECT user_id FROM provider_link WHERE lane = ? AND issuer = ? AND subject = ?`,
			int64(ps.linkLane(a.Provider.Issuer, a.Subject)), a.Provider.Issuer, a.Subject).Scan(&user)
	})
	return user, err
}

func (ps *Providers) expected(ctx context.Context, a Arrival) (user string, err error) {
	if a.Identifier == "" {
		return "", refuse(Unknown, "it does not say who they are")
	}
	err = ps.k.DB.Read(ctx, func(tx *store.Tx) error {
		return tx.QueryRow(`SELECT user_id FROM provider_expected WHERE lane = ? AND issuer = ? AND identifier = ?`,
			int64(ps.expectedLane(a.Provider.Issuer, a.Identifier)), a.Provider.Issuer, a.Identifier).Scan(&user)
	})
	if fault.Is(err, fault.NotFound) {
		return "", refuse(Unknown, "nobody is expected under their identifier")
	}
	return user, err
}

func (ps *Providers) patient(ctx context.Context, a Arrival) (user string, err error) {
	if a.NHSNumber == "" {
		return "", refuse(Unknown, "it does not say a verified NHS number")
	}
	u, err := ps.k.Gate.UserOfPerson(ctx, a.NHSNumber)
	switch {
	case fault.Is(err, fault.NotFound):
		return "", refuse(Unknown, "nobody here has their NHS number")
	case fault.Is(err, fault.Conflict):
		return "", refuse(Taken, "several users have their NHS number")
	}
	return u.ID, err
}

// fits is a user who may sign in by way of an arrival: of the provider's realm, and of the same NHS number when it says one.
func (ps *Providers) fits(ctx context.Context, user string, a Arrival) (access.User, error) {
	u, err := ps.k.Gate.UserByID(ctx, user)
	switch {
	case fault.Is(err, fault.NotFound):
		return u, refuse(Unknown, "their user here has ended")
	case err != nil:
		return u, err
	case u.Role.Realm() != a.Provider.Realm:
		return u, refuse(Unknown, "it does not vouch for users of this realm")
	case a.NHSNumber != "" && a.NHSNumber != u.Person:
		return u, refuse(Taken, "the NHS number is not the user's")
	}
	return u, nil
}

// Connect adds a provider to the ways in of a user who is signed in. Errors: Taken; Unknown when the provider does not vouch for their realm.
func (ps *Providers) Connect(ctx context.Context, user string, a Arrival) error {
	u, err := ps.fits(ctx, user, a)
	if err != nil {
		return err
	}
	return ps.link(ctx, u, a, bySession, nil, nil)
}

// Enrol is the user of a one-time link, which is used up in the commit that links the account. Errors: Taken; fault.NotFound for a link that was used
// or is too old; fault.TooMany for an address that has tried too many.
func (ps *Providers) Enrol(ctx context.Context, a Arrival, address string) (access.User, error) {
	user, err := ps.links.Link(ctx, a.Link, address)
	if err != nil {
		return access.User{}, err
	}
	u, err := ps.fits(ctx, user, a)
	if err != nil {
		return u, err
	}
	return u, ps.link(ctx, u, a, byOneTime, []store.Lane{ps.links.LinkLane(a.Link)}, func(tx *store.Tx) error { return ps.links.Spend(tx, a.Link, u.ID) })
}

// link makes an account at a provider stand for a user, once; also is done in the same commit, which then holds lanes. An account that stands for
// the same user already is no error.
func (ps *Providers) link(ctx context.Context, u access.User, a Arrival, how string, lanes []store.Lane, also func(tx *store.Tx) error) error {
	issuer := a.Provider.Issuer
	lane := ps.linkLane(issuer, a.Subject)
	lanes = append(lanes, lane, ps.userLane(u.ID), ps.k.Gate.DeedLane(u.Principal))
	return ps.k.DB.Write(ctx, lanes, func(tx *store.Tx) error {
		if also != nil {
			if err := also(tx); err != nil {
				return err
			}
		}
		var of string
		err := tx.QueryRow(`SELECT user_id FROM provider_link WHERE lane = ? AND issuer = ? AND subject = ?`, int64(lane), issuer, a.Subject).Scan(&of)
		switch {
		case err == nil && of == u.ID:
			return nil
		case err == nil:
			return refuse(Taken, "the account stands for another user")
		case !fault.Is(err, fault.NotFound):
			return err
		}
		var others int64
		if err := tx.QueryRow(`SELECT count(*) FROM provider_link WHERE user_id = ? AND issuer = ?`, u.ID, issuer).Scan(&others); err != nil {
			return err
		}
		if others > 0 {
			return refuse(Taken, "the user has another account there")
		}
		if _, err := tx.Exec(`INSERT INTO provider_link (lane, issuer, subject, user_id, how, since) VALUES (?, ?, ?, ?, ?, ?)`,
			int64(lane), issuer, a.Subject, u.ID, how, tx.At().UnixMicro()); err != nil {
			return err
		}
		return ps.k.Gate.Record(ctx, tx, u.Principal, access.Deed{Action: access.ActCredential, Basis: "provider linked", Detail: "user " + u.ID + ": " + a.Provider.ID + " by " + how})
	})
}

// LinksOf lists the accounts that stand for a user.
func (ps *Providers) LinksOf(ctx context.Context, user string) ([]Link, error) {
	var list []Link
	err := ps.k.DB.Read(ctx, func(tx *store.Tx) error {
		list = nil
		rows, err := tx.Query(`SELECT issuer, how, since FROM provider_link WHERE user_id = ? ORDER BY since, issuer`, user)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var l Link
			var since int64
			if err := rows.Scan(&l.Issuer, &l.How, &since); err != nil {
				return err
			}
			l.Since = time.UnixMicro(since).UTC()
			l.Provider, l.Title = ps.byIssuer(l.Issuer)
			list = append(list, l)
		}
		return rows.Err()
	})
	return list, err
}
