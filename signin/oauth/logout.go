package oauth

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/store"
)

// How often and how long a client that does not answer is told that somebody has signed out.
const (
	noticeFor   = time.Hour
	noticeFirst = 5 * time.Second
	noticeBatch = 50
)

// leaveWord notes, in the commit that ends a grant, that its client is to be told, when it wants to be.
func (s *Server) leaveWord(tx *store.Tx, grantID string) error {
	g, err := s.readGrant(tx, grantID)
	if err != nil {
		return err
	}
	clients, err := readClients(tx, `lane = ? AND id = ?`, int64(s.clientLane(g.Client)), g.Client)
	if err != nil || len(clients) == 0 || clients[0].LogoutURL == "" {
		return err
	}
	at := tx.At()
	_, err = tx.Exec(`INSERT INTO oauth_notice (lane, grant_id, client, user_id, url, due, tries, until) VALUES (?, ?, ?, ?, ?, ?, 0, ?) ON CONFLICT (lane, grant_id) DO NOTHING`,
		int64(s.grantLane(g.ID)), g.ID, g.Client, g.User, clients[0].LogoutURL, at.UnixMicro(), at.Add(noticeFor).UnixMicro())
	return err
}

type notice struct {
	grant, client, user, url string
	tries, until             int64
}

// deliver tells clients that somebody has signed out. It is a job: each notice is sent until the client answers, at ever longer
// intervals, for an hour.
func (s *Server) deliver(ctx context.Context) error {
	var due []notice
	err := s.k.DB.Read(ctx, func(tx *store.Tx) error {
		due = nil
		rows, err := tx.Query(`SELECT grant_id, client, user_id, url, tries, until FROM oauth_notice WHERE due <= ? ORDER BY due LIMIT ?`, s.now().UnixMicro(), noticeBatch)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var n notice
			if err := rows.Scan(&n.grant, &n.client, &n.user, &n.url, &n.tries, &n.until); err != nil {
				return err
			}
			due = append(due, n)
		}
		return rows.Err()
	})
	if err != nil {
		return err
	}
	for _, n := range due {
		told := s.tell(ctx, n)
		if told != nil {
			s.k.Logger.Warn("a client was not told of a sign-out", "client", n.client, "tries", n.tries+1, "cause", told)
		}
		if err := s.settle(ctx, n, told == nil); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) settle(ctx context.Context, n notice, told bool) error {
	lane := s.grantLane(n.grant)
	return s.k.DB.Write(ctx, []store.Lane{lane}, func(tx *store.Tx) (err error) {
		if told || tx.At().UnixMicro() >= n.until {
			_, err = tx.Exec(`DELETE FROM oauth_notice WHERE lane = ? AND grant_id = ?`, int64(lane), n.grant)
			return err
		}
		_, err = tx.Exec(`UPDATE oauth_notice SET due = ?, tries = tries + 1 WHERE lane = ? AND grant_id = ?`,
			tx.At().Add(noticeFirst<<min(n.tries, 8)).UnixMicro(), int64(lane), n.grant)
		return err
	})
}

// tell posts a logout token (OpenID Connect Back-Channel Logout 1.0 section 2.5).
func (s *Server) tell(ctx context.Context, n notice) error {
	now := s.now()
	token, err := s.k.Issuer.Sign(access.TypeLogout, map[string]any{"iss": s.issuer(), "sub": n.user, "aud": n.client, "iat": now.Unix(), "exp": now.Add(2 * time.Minute).Unix(),
		"jti": uuid.NewString(), "sid": n.grant, "events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, n.url, strings.NewReader(url.Values{"logout_token": {token}}.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := s.fetch.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<16)); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusNoContent {
		return fault.New(fault.Unavailable, "it answers %d", resp.StatusCode)
	}
	return nil
}
