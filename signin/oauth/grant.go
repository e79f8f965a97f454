package oauth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/store"
)

// Grant is what somebody allowed a client when they signed in to it. Its id is the sid of every token that comes of it.
type Grant struct {
	ID, Client, User string
	Profile          string // the role that they chose; "" for the first
	Scopes           []string
	Assurance        string
	Proofing         string
	Method           string // how they signed in
	SignedIn         time.Time
	Edition          int64
	Chart            string // the patient in context
	Nonce            string
	Since, Until     time.Time
	Ended            time.Time
	Why              string

	Session string // the sessions in which it was given, as access knows their end; "" for one that lasts beyond them (offline_access)
	Parent  string // the grant for whose token it was exchanged; "" for none
}

// origins are what a grant came of, and ends with.
func (g Grant) origins() []string {
	var list []string
	for _, o := range []string{g.Session, g.Parent} {
		if o != "" {
			list = append(list, o)
		}
	}
	return list
}

// secretOf makes what is handed out: the grant's id, so that its row is found in one lane, and 32 random bytes.
func secretOf(grantID string) (string, error) {
	raw := make([]byte, 32)
	if _, err := rand.Read(raw); err != nil {
		return "", fault.Wrap(err, fault.Internal, "making a secret")
	}
	return grantID + "." + base64.RawURLEncoding.EncodeToString(raw), nil
}

func hashOf(kind, secret string) []byte {
	sum := sha256.Sum256([]byte("openspine " + kind + " " + secret))
	return sum[:]
}

// grantOf is the grant that a code or refresh token names.
func grantOf(secret string) string {
	id, _, _ := strings.Cut(secret, ".")
	return id
}

func (s *Server) grantLane(id string) store.Lane { return s.k.DB.LaneOf("", "grant/"+id) }

// begin writes a grant and its code, and remembers what was agreed to.
func (s *Server) begin(ctx context.Context, p access.Principal, req Request, g Grant) (code string, err error) {
	raw := make([]byte, 15)
	if _, err := rand.Read(raw); err != nil {
		return "", fault.Wrap(err, fault.Internal, "naming a grant")
	}
	g.ID = base64.RawURLEncoding.EncodeToString(raw)
	if code, err = secretOf(g.ID); err != nil {
		return "", err
	}
	lane := s.grantLane(g.ID)
	err = s.k.DB.Write(ctx, []store.Lane{lane, s.k.Gate.DeedLane(p)}, func(tx *store.Tx) error {
		at := tx.At()
		if _, err := tx.Exec(`INSERT INTO oauth_grant (lane, id, client, user_id, profile, scope, assurance, proofing, method, signed_in, edition, chart, nonce, since, until, session, ended, why)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, '')`,
			int64(lane), g.ID, g.Client, g.User, g.Profile, strings.Join(g.Scopes, " "), g.Assurance, g.Proofing, g.Method, g.SignedIn.UnixMicro(), g.Edition, g.Chart, g.Nonce,
			at.UnixMicro(), at.Add(GrantFor).UnixMicro(), g.Session); err != nil {
			return err
		}
		if _, err := tx.Exec(`INSERT INTO oauth_code (lane, hash, grant_id, redirect, challenge, until, used) VALUES (?, ?, ?, ?, ?, ?, 0)`,
			int64(lane), hashOf("code", code), g.ID, req.asked(), req.Challenge, at.Add(codeFor).UnixMicro()); err != nil {
			return err
		}
		return s.k.Gate.Record(ctx, tx, p, access.Deed{Action: access.ActConsent, Basis: "authorization", Detail: "client " + g.Client + ": " + strings.Join(g.Scopes, " ")})
	})
	return code, err
}

func (s *Server) readGrant(tx *store.Tx, id string) (Grant, error) {
	list, err := readGrants(tx, `lane = ? AND id = ?`, int64(s.grantLane(id)), id)
	if err != nil {
		return Grant{}, err
	}
	if len(list) == 0 {
		return Grant{}, fault.New(fault.NotFound, "There is no such grant.")
	}
	return list[0], nil
}

func readGrants(tx *store.Tx, cond string, args ...any) ([]Grant, error) {
	rows, err := tx.Query(`SELECT id, client, user_id, profile, scope, assurance, proofing, method, signed_in, edition, chart, nonce, since, until, ended, why, session, parent FROM oauth_grant WHERE `+cond, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []Grant
	for rows.Next() {
		var g Grant
		var scope string
		var signedIn, since, until, ended int64
		if err := rows.Scan(&g.ID, &g.Client, &g.User, &g.Profile, &scope, &g.Assurance, &g.Proofing, &g.Method, &signedIn, &g.Edition, &g.Chart, &g.Nonce, &since, &until, &ended, &g.Why, &g.Session, &g.Parent); err != nil {
			return nil, err
		}
		g.Scopes = strings.Fields(scope)
		g.SignedIn, g.Since, g.Until = time.UnixMicro(signedIn).UTC(), time.UnixMicro(since).UTC(), time.UnixMicro(until).UTC()
		if ended != 0 {
			g.Ended = time.UnixMicro(ended).UTC()
		}
		list = append(list, g)
	}
	return list, rows.Err()
}

// endGrant ends a grant, and so its refresh tokens, in a Write that holds its lane, and leaves word for its client; false when it
// had ended.
func (s *Server) endGrant(tx *store.Tx, id, why string) (bool, error) {
	n, err := tx.Exec(`UPDATE oauth_grant SET ended = ?, why = ? WHERE lane = ? AND id = ? AND ended = 0`, tx.At().UnixMicro(), why, int64(s.grantLane(id)), id)
	if err != nil || n == 0 {
		return false, err
	}
	return true, s.leaveWord(tx, id)
}

// End ends a grant and every token that came of it; one that has ended is no error.
func (s *Server) End(ctx context.Context, by access.Principal, id, why string) error {
	var ended bool
	err := s.k.DB.Write(ctx, []store.Lane{s.grantLane(id)}, func(tx *store.Tx) (err error) {
		ended, err = s.endGrant(tx, id, why)
		return err
	})
	if err != nil || !ended {
		return err
	}
	return s.afterEnd(ctx, by, id)
}

// afterEnd ends the access tokens of a grant that has ended, and what was exchanged for one of them.
func (s *Server) afterEnd(ctx context.Context, by access.Principal, id string) error {
	if err := s.k.Gate.RevokeSession(ctx, by, id); err != nil {
		return err
	}
	return s.endGrants(ctx, by, "what it was exchanged for has ended", `parent = ?`, id)
}

// EndOrigin ends what programs were given in sessions that are over, and has those programs told; their tokens have ended already.
func (s *Server) EndOrigin(ctx context.Context, by access.Principal, origins []string) error {
	for _, o := range origins {
		if err := s.endGrants(ctx, by, "signed out", `session = ?`, o); err != nil {
			return err
		}
	}
	return nil
}

// endGrants ends every grant that meets cond.
func (s *Server) endGrants(ctx context.Context, by access.Principal, why, cond string, args ...any) error {
	var list []Grant
	err := s.k.DB.Read(ctx, func(tx *store.Tx) (err error) {
		list, err = readGrants(tx, `ended = 0 AND `+cond, args...)
		return err
	})
	if err != nil {
		return err
	}
	for _, g := range list {
		if err := s.End(ctx, by, g.ID, why); err != nil {
			return err
		}
	}
	return nil
}

// EndAllOf ends what a user has allowed any client: sign-out everywhere.
func (s *Server) EndAllOf(ctx context.Context, by access.Principal, user, why string) error {
	return s.endGrants(ctx, by, why, `user_id = ?`, user)
}

// GrantsOf lists what a user allows clients now, the latest first.
func (s *Server) GrantsOf(ctx context.Context, user string) ([]Grant, error) {
	var list []Grant
	err := s.k.DB.Read(ctx, func(tx *store.Tx) (err error) {
		list, err = readGrants(tx, `user_id = ? AND ended = 0 AND until > ? ORDER BY since DESC LIMIT 200`, user, tx.At().UnixMicro())
		return err
	})
	return list, err
}

// forget removes what is of no more use to anybody: what it was about is on the account.
func (s *Server) forget(ctx context.Context) error {
	for lane := range s.k.DB.Lanes() {
		err := s.k.DB.Write(ctx, []store.Lane{store.Lane(lane)}, func(tx *store.Tx) error {
			old := tx.At().Add(-24 * time.Hour).UnixMicro()
			for _, query := range []string{`DELETE FROM oauth_code WHERE lane = ? AND until < ?`, `DELETE FROM oauth_refresh WHERE lane = ? AND until < ?`,
				`DELETE FROM oauth_grant WHERE lane = ? AND until < ?`} {
				if _, err := tx.Exec(query, lane, old); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// agreed is what a user has agreed that a client may do.
func (s *Server) agreed(ctx context.Context, user, client string) ([]string, error) {
	var scope string
	lane := s.k.DB.LaneOf("", "user/"+user)
	err := s.k.DB.Read(ctx, func(tx *store.Tx) error {
		return tx.QueryRow(`SELECT scope FROM oauth_consent WHERE lane = ? AND user_id = ? AND client = ?`, int64(lane), user, client).Scan(&scope)
	})
	if fault.Is(err, fault.NotFound) {
		return nil, nil
	}
	return strings.Fields(scope), err
}

// Agree remembers that a user agrees; Withdraw forgets it.
func (s *Server) Agree(ctx context.Context, user, client string, scopes []string) error {
	lane := s.k.DB.LaneOf("", "user/"+user)
	return s.k.DB.Write(ctx, []store.Lane{lane}, func(tx *store.Tx) error {
		_, err := tx.Exec(`INSERT INTO oauth_consent (lane, user_id, client, scope, at) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT (lane, user_id, client) DO UPDATE SET scope = excluded.scope, at = excluded.at`,
			int64(lane), user, client, strings.Join(scopes, " "), tx.At().UnixMicro())
		return err
	})
}

// Withdraw takes back what a user agreed to, and ends what came of it.
func (s *Server) Withdraw(ctx context.Context, by access.Principal, user, client string) error {
	lane := s.k.DB.LaneOf("", "user/"+user)
	err := s.k.DB.Write(ctx, []store.Lane{lane}, func(tx *store.Tx) error {
		_, err := tx.Exec(`DELETE FROM oauth_consent WHERE lane = ? AND user_id = ? AND client = ?`, int64(lane), user, client)
		return err
	})
	if err != nil {
		return err
	}
	return s.endGrants(ctx, by, "the person withdrew it", `user_id = ? AND client = ?`, user, client)
}
