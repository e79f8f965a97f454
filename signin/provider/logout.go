package provider

import (
	"context"
	"net/url"
	"strings"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/store"
)

func (ps *Providers) sessionLane(session string) store.Lane {
	return ps.k.DB.LaneOf("", "provider-session/"+session)
}

// Began remembers that a session here came of a sign-in there.
func (ps *Providers) Began(ctx context.Context, session string, user access.User, a Arrival) error {
	lane := ps.sessionLane(session)
	return ps.k.DB.Write(ctx, []store.Lane{lane}, func(tx *store.Tx) error {
		_, err := tx.Exec(`INSERT INTO provider_session (lane, session, user_id, issuer, subject, sid, since) VALUES (?, ?, ?, ?, ?, ?, ?)`,
			int64(lane), session, user.ID, a.Provider.Issuer, a.Subject, a.Session, tx.At().UnixMicro())
		return err
	})
}

// Moved remembers that a session goes on under another name: its user chose a role. One that did not come of a provider is no error.
func (ps *Providers) Moved(ctx context.Context, from, to string) error {
	was, now := ps.sessionLane(from), ps.sessionLane(to)
	return ps.k.DB.Write(ctx, []store.Lane{was, now}, func(tx *store.Tx) error {
		var user, issuer, subject, sid string
		err := tx.QueryRow(`SELECT user_id, issuer, subject, sid FROM provider_session WHERE lane = ? AND session = ?`, int64(was), from).Scan(&user, &issuer, &subject, &sid)
		if fault.Is(err, fault.NotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := tx.Exec(`DELETE FROM provider_session WHERE lane = ? AND session = ?`, int64(was), from); err != nil {
			return err
		}
		_, err = tx.Exec(`INSERT INTO provider_session (lane, session, user_id, issuer, subject, sid, since) VALUES (?, ?, ?, ?, ?, ?, ?)`,
			int64(now), to, user, issuer, subject, sid, tx.At().UnixMicro())
		return err
	})
}

// Of is the provider that a session came of; nil for none.
func (ps *Providers) Of(ctx context.Context, session string) (*Provider, error) {
	var issuer string
	err := ps.k.DB.Read(ctx, func(tx *store.Tx) error {
		return tx.QueryRow(`SELECT issuer FROM provider_session WHERE lane = ? AND session = ?`, int64(ps.sessionLane(session)), session).Scan(&issuer)
	})
	if fault.Is(err, fault.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	id, _ := ps.byIssuer(issuer)
	if id == "" {
		return nil, nil
	}
	return ps.ByID(id)
}

// LeaveAt is where somebody signs out at the provider too, and comes back from (OpenID Connect RP-Initiated Logout 1.0 section 2). ok is false
// when the provider has no such place, or does not answer.
func (ps *Providers) LeaveAt(ctx context.Context, p *Provider) (location string, ok bool) {
	n, err := p.discover(ctx)
	if err != nil || n.EndSession == "" {
		return "", false
	}
	return withQuery(n.EndSession, url.Values{"client_id": {p.Client}, "post_logout_redirect_uri": {ps.Left(p)}}), true
}

// useLogout is the kind under which a logout token is used up.
const useLogout = "provider-logout"

// LoggedOut takes a provider's word that somebody has left: the sessions that came of it end (OpenID Connect Back-Channel Logout 1.0 sections
// 2.5 to 2.8). Errors: Untrue for a token that does not hold or was used before; Down when the provider's keys cannot be had.
func (ps *Providers) LoggedOut(ctx context.Context, p *Provider, token string) error {
	if err := compact(token, "", "JWT", "logout+jwt"); err != nil {
		return err
	}
	n, err := p.discover(ctx)
	if err != nil {
		return err
	}
	if _, err := n.keys.current(ctx, false); err != nil {
		return err
	}
	word, err := p.verifier(n).VerifyLogout(ctx, token)
	if err != nil {
		return refuse(Untrue, plain(err))
	}
	now := ps.k.Clock.Now()
	if word.IssuedAt.After(now.Add(skew)) || now.Sub(word.IssuedAt) > tokenAge || len(word.TokenID) > 255 {
		return refuse(Untrue, "the logout token was issued at another time (iat)")
	}
	err = ps.k.Gate.UseOnce(ctx, useLogout, p.ID+"/"+word.TokenID, now.Add(tokenAge+2*skew))
	if fault.Is(err, fault.Conflict) {
		return refuse(Untrue, "the logout token was used before (jti)")
	}
	if err != nil {
		return err
	}
	cond, args := []string{`issuer = ?`}, []any{p.Issuer}
	if word.SessionID != "" {
		cond, args = append(cond, `sid = ?`), append(args, word.SessionID)
	}
	if word.Subject != "" {
		cond, args = append(cond, `subject = ?`), append(args, word.Subject)
	}
	return ps.endSessions(ctx, access.Service("signin", ps.k.National), strings.Join(cond, ` AND `), args...)
}

// endSessions ends the sessions that came of a provider and meet cond.
func (ps *Providers) endSessions(ctx context.Context, by access.Principal, cond string, args ...any) error {
	type row struct{ session, user string }
	var list []row
	err := ps.k.DB.Read(ctx, func(tx *store.Tx) error {
		list = nil
		rows, err := tx.Query(`SELECT session, user_id FROM provider_session WHERE `+cond, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var r row
			if err := rows.Scan(&r.session, &r.user); err != nil {
				return err
			}
			list = append(list, r)
		}
		return rows.Err()
	})
	if err != nil {
		return err
	}
	for _, r := range list {
		if err := ps.end(ctx, by, r.user, r.session); err != nil && !fault.Is(err, fault.NotFound) {
			return err
		}
		lane := ps.sessionLane(r.session)
		err := ps.k.DB.Write(ctx, []store.Lane{lane}, func(tx *store.Tx) error {
			_, err := tx.Exec(`DELETE FROM provider_session WHERE lane = ? AND session = ?`, int64(lane), r.session)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
