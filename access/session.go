package access

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"time"

	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/store"
)

// How long a session lasts without a request, and at the longest.
const (
	SessionIdle = 30 * time.Minute
	SessionMax  = 12 * time.Hour
)

// seenEvery is how finely the last request of a session is kept: a commit a minute, not one a request.
const seenEvery = time.Minute

// Session is a signed-in person. Secret goes into the cookie and nowhere else.
type Session struct {
	Secret    string
	Principal Principal
	Method    string    // how they signed in
	Since     time.Time // when
}

// Entry is somebody coming in.
type Entry struct {
	User      string
	Profile   string // the role that was chosen; "" for the first
	Method    string // "demo", "one-time link", "passkey" …
	Assurance string // AAL2, AAL3, P5, P9; "" when nobody vouches for more than the method itself
	Proofing  string // IAL1 to IAL3, when a provider elsewhere says so
	Device    string // in words, for the user's own list of sessions
	// Before is the secret of the session that the browser had before, which ends: an id that was known before signing in must not
	// be signed in after.
	Before string
}

// SignIn begins a session for a user in their first role; see SignInAs.
func (g *Gate) SignIn(ctx context.Context, userID, method, before string) (Session, error) {
	return g.SignInAs(ctx, Entry{User: userID, Method: method, Before: before})
}

// SignInAs begins a session and puts it on the account.
// Errors: fault.NotFound when there is no such user, or the user or the role has ended.
func (g *Gate) SignInAs(ctx context.Context, e Entry) (Session, error) {
	u, err := g.UserByID(ctx, e.User)
	if err != nil {
		return Session{}, err
	}
	raw := make([]byte, 32)
	if _, err := rand.Read(raw); err != nil {
		return Session{}, fault.Wrap(err, fault.Internal, "making a session")
	}
	secret := base64.RawURLEncoding.EncodeToString(raw)
	lane, hash := g.sessionRow(secret)
	lanes := []store.Lane{lane, g.accountLane(u.Principal, Place{}), g.userLane(u.ID)}
	if e.Before != "" {
		lanes = append(lanes, g.sessionLanes(e.Before)...)
	}
	if e.Profile == u.first().ID {
		e.Profile = ""
	}
	var ended int64
	var s Session
	err = g.db.Write(ctx, lanes, func(tx *store.Tx) (err error) {
		_, p, err := g.principalIn(tx, e.User, e.Profile)
		if err != nil {
			return err
		}
		root, err := g.rootFor(tx, u.ID, e.Before)
		if err != nil {
			return err
		}
		s = Session{secret, asSession(p, secret, root, e.Assurance, e.Proofing), e.Method, tx.At()}
		if ended, err = g.endSession(tx, e.Before); err != nil {
			return err
		}
		at := tx.At().UnixMicro()
		if _, err := tx.Exec(`DELETE FROM access_session WHERE lane = ? AND since < ?`, int64(lane), at-SessionMax.Microseconds()); err != nil {
			return err
		}
		if _, err := tx.Exec(`INSERT INTO access_session (lane, hash, user_id, method, since, seen, profile, assurance, proofing, device, root) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			int64(lane), hash, u.ID, e.Method, at, at, e.Profile, e.Assurance, e.Proofing, e.Device, root); err != nil {
			return err
		}
		if _, err := tx.Exec(`UPDATE access_user SET last_in = ? WHERE lane = ? AND id = ?`, at, int64(g.userLane(u.ID)), u.ID); err != nil {
			return err
		}
		return g.appendSignIn(tx, p, actionSignIn, e.Method, requestOf(ctx))
	})
	if err != nil {
		return Session{}, err
	}
	if ended != 0 {
		g.revoked.end(sessionID(e.Before), ended)
	}
	return s, nil
}

func (g *Gate) appendSignIn(tx *store.Tx, p Principal, action, method, request string) error {
	_, err := g.audit.Append(tx, g.accountLane(p, Place{}), entryOf(p, action, Place{}, "", method, audit.OutcomeOK, "", request))
	return err
}

func asSession(p Principal, secret, root, assurance, proofing string) Principal {
	p.AuthMethod, p.Assurance, p.Proofing = "session", assurance, proofing
	p.SessionID = sessionID(secret)
	p.Origins = []string{leftKey(p.SessionID, root)}
	return p
}

// leftKey is under what the end of a chain of sessions is known: root is the first of them, "" when id is.
func leftKey(id, root string) string {
	if root == "" {
		root = id
	}
	return "left/" + root
}

// rootFor is the first of the chain that a user's next session goes on with: "" when the browser had no session, or another's.
func (g *Gate) rootFor(tx *store.Tx, user, before string) (string, error) {
	if before == "" {
		return "", nil
	}
	lane, hash := g.sessionRow(before)
	var root string
	err := tx.QueryRow(`SELECT root FROM access_session WHERE lane = ? AND hash = ? AND user_id = ?`, int64(lane), hash, user).Scan(&root)
	if fault.Is(err, fault.NotFound) {
		return "", nil
	}
	if err == nil && root == "" {
		root = sessionID(before)
	}
	return root, err
}

// sessionID names a session where its secret may not be seen; the tokens minted from it carry it as their sid.
func sessionID(secret string) string {
	return base64.RawURLEncoding.EncodeToString(sessionHash(secret)[:12])
}

func sessionHash(secret string) []byte {
	h := sha256.Sum256([]byte("openspine session " + secret))
	return h[:]
}

func (g *Gate) sessionRow(secret string) (store.Lane, []byte) {
	hash := sessionHash(secret)
	return g.db.LaneOf("", "session/"+string(hash)), hash
}

// SessionOf is who is signed in with secret, as the user is now: a change of role or an end takes effect at the next request.
// Errors: fault.Unauthenticated when the session is not known, was idle for SessionIdle or is older than SessionMax.
func (g *Gate) SessionOf(ctx context.Context, secret string) (Session, error) {
	gone := fault.New(fault.Unauthenticated, "You are not signed in, or you were signed out because nothing happened for a while.")
	if len(secret) != 43 {
		return Session{}, gone
	}
	lane, hash := g.sessionRow(secret)
	var s Session
	var stale bool
	err := g.db.Read(ctx, func(tx *store.Tx) error {
		var since, seen int64
		var userID, profile, assurance, proofing, root string
		err := tx.QueryRow(`SELECT user_id, method, since, seen, profile, assurance, proofing, root FROM access_session WHERE lane = ? AND hash = ?`, int64(lane), hash).
			Scan(&userID, &s.Method, &since, &seen, &profile, &assurance, &proofing, &root)
		if fault.Is(err, fault.NotFound) {
			return gone
		}
		if err != nil {
			return err
		}
		now := tx.At()
		if now.Sub(time.UnixMicro(since)) >= SessionMax || now.Sub(time.UnixMicro(seen)) >= SessionIdle {
			return gone
		}
		stale = now.Sub(time.UnixMicro(seen)) >= seenEvery
		_, p, err := g.principalIn(tx, userID, profile)
		if fault.Is(err, fault.NotFound) {
			return gone
		}
		s = Session{secret, asSession(p, secret, root, assurance, proofing), s.Method, time.UnixMicro(since).UTC()}
		return err
	})
	if err != nil || !stale {
		return s, err
	}
	err = g.db.Write(ctx, []store.Lane{lane}, func(tx *store.Tx) error {
		_, err := tx.Exec(`UPDATE access_session SET seen = ? WHERE lane = ? AND hash = ?`, tx.At().UnixMicro(), int64(lane), hash)
		return err
	})
	return s, err
}

// SignOut ends a session and every token that was minted from it, or came of it or of one before it; ending one that is not there is no error.
func (g *Gate) SignOut(ctx context.Context, s Session) error {
	now, err := g.SessionOf(ctx, s.Secret)
	if fault.Is(err, fault.Unauthenticated) {
		now, err = s, nil
	}
	if err != nil {
		return err
	}
	lanes := append(g.sessionLanes(s.Secret), g.accountLane(s.Principal, Place{}))
	for _, origin := range now.Principal.Origins {
		lanes = append(lanes, g.revokedLane(origin))
	}
	var ended int64
	err = g.db.Write(ctx, lanes, func(tx *store.Tx) (err error) {
		if ended, err = g.endSession(tx, s.Secret); err != nil || ended == 0 {
			return err
		}
		for _, origin := range now.Principal.Origins {
			if _, err := g.revokeIn(tx, origin, time.Time{}); err != nil {
				return err
			}
		}
		return g.appendSignIn(tx, s.Principal, actionSignOut, "", requestOf(ctx))
	})
	if err != nil || ended == 0 {
		return err
	}
	g.revoked.end(sessionID(s.Secret), ended)
	for _, origin := range now.Principal.Origins {
		g.revoked.end(origin, ended)
	}
	return nil
}

// sessionLanes are those that endSession needs.
func (g *Gate) sessionLanes(secret string) []store.Lane {
	lane, _ := g.sessionRow(secret)
	return []store.Lane{lane, g.revokedLane(sessionID(secret))}
}

// endSession ends a session and revokes its tokens, until ended (µs since 1970); 0 when there is no such session.
func (g *Gate) endSession(tx *store.Tx, secret string) (ended int64, err error) {
	if secret == "" {
		return 0, nil
	}
	lane, hash := g.sessionRow(secret)
	n, err := tx.Exec(`DELETE FROM access_session WHERE lane = ? AND hash = ?`, int64(lane), hash)
	if err != nil || n == 0 {
		return 0, err
	}
	return g.revokeIn(tx, sessionID(secret), time.Time{})
}

// FormToken is what each form of a session's pages carries, beside the browser's own cross-origin protection.
func (s Session) FormToken() string {
	h := hmac.New(sha256.New, []byte(s.Secret))
	h.Write([]byte("openspine form")) // a hash never fails
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:18])
}

// CheckForm is fault.Forbidden unless token is the one that the session's forms carry.
func (s Session) CheckForm(token string) error {
	if s.Secret == "" || !hmac.Equal([]byte(token), []byte(s.FormToken())) {
		return fault.New(fault.Forbidden, "This form is not from a page that you opened while signed in. Open the page again and repeat what you did.")
	}
	return nil
}

// CrossOrigin refuses requests that change something and come from another site, by Sec-Fetch-Site and Origin (Go's
// net/http.CrossOriginProtection). It is for pages and their forms; calls with a bearer token need none.
func CrossOrigin() *http.CrossOriginProtection { return http.NewCrossOriginProtection() }

const (
	cookieSecure = "__Host-openspine"
	cookiePlain  = "openspine"
)

// Cookie is the session's cookie; secure is as Secure says. It ends with the browser.
func (s Session) Cookie(secure bool) *http.Cookie {
	c := &http.Cookie{Name: cookiePlain, Value: s.Secret, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode}
	if secure {
		c.Name, c.Secure = cookieSecure, true
	}
	return c
}

// NoCookie takes the session's cookie away.
func NoCookie(secure bool) *http.Cookie {
	c := Session{}.Cookie(secure)
	c.MaxAge = -1
	return c
}

type inFrontKey struct{}

// TLSInFront marks a request as one that came to a node whose address is https, by way of something in front of it that ends TLS.
func TLSInFront(ctx context.Context) context.Context {
	return context.WithValue(ctx, inFrontKey{}, true)
}

// Secure reports whether a browser speaks TLS to this node, or to what ends TLS in front of it: its cookies then say that they are for TLS alone.
func Secure(r *http.Request) bool {
	inFront, _ := r.Context().Value(inFrontKey{}).(bool)
	return r.TLS != nil || inFront
}

// SecretOf is the session's secret in a request, "" if there is none. Over TLS only the __Host- cookie counts: no other host
// and no plain page can have set it.
func SecretOf(r *http.Request) string {
	name := cookiePlain
	if Secure(r) {
		name = cookieSecure
	}
	if c, err := r.Cookie(name); err == nil {
		return c.Value
	}
	return ""
}
