package credential

import (
	"cmp"
	"context"
	"encoding/json"
	"net"
	"net/url"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"
	"github.com/google/uuid"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/store"
)

// ceremonyFor is how long somebody has between opening a page and showing their passkey.
const ceremonyFor = 10 * time.Minute

// Ceremony is what a page hands to the browser, and gets back with the passkey's answer: nothing is kept here in between.
type Ceremony struct {
	Options string // JSON, for navigator.credentials
	Seal    string // what the answer must go with; for one use
}

// sealed is a ceremony's state, signed by this node.
type sealed struct {
	jwt.Claims
	Session webauthn.SessionData `json:"ceremony"`
	User    string               `json:"user,omitempty"`
	Handle  []byte               `json:"handle,omitempty"`
}

// holder is a user as the library knows one.
type holder struct {
	user, name string
	handle     []byte
	keys       []Passkey
}

// WebAuthnID is the random name under which devices know the user.
func (h holder) WebAuthnID() []byte { return h.handle }

// WebAuthnName is what the device shows.
func (h holder) WebAuthnName() string { return h.name }

// WebAuthnDisplayName is what the device shows.
func (h holder) WebAuthnDisplayName() string { return h.name }

// WebAuthnCredentials are the user's passkeys.
func (h holder) WebAuthnCredentials() []webauthn.Credential {
	list := make([]webauthn.Credential, len(h.keys))
	for i, k := range h.keys {
		list[i] = k.key
	}
	return list
}

// Site is the name that passkeys are bound to and the address at which they work. A browser takes a name, not a number: on this machine
// that is localhost (WebAuthn level 3, section 5.1.2).
func Site(base string) (name, origin string) {
	u, err := url.Parse(base)
	if err != nil {
		return "localhost", base
	}
	name = u.Hostname()
	if ip := net.ParseIP(name); ip != nil && ip.IsLoopback() {
		name = "localhost"
		u.Host = net.JoinHostPort(name, u.Port())
	}
	return name, u.Scheme + "://" + u.Host
}

func (c *Keeper) library() (*webauthn.WebAuthn, error) {
	name, origin := Site(c.k.BaseURL())
	w, err := webauthn.New(&webauthn.Config{RPID: name, RPDisplayName: "OpenSpine", RPOrigins: []string{origin}, AttestationPreference: protocol.PreferNoAttestation,
		AuthenticatorSelection: protocol.AuthenticatorSelection{ResidentKey: protocol.ResidentKeyRequirementRequired, UserVerification: protocol.VerificationRequired}})
	return w, fault.Wrap(err, fault.Internal, "preparing for passkeys")
}

func (c *Keeper) seal(purpose string, s sealed) (string, error) {
	now := c.k.Clock.Now()
	s.Claims = jwt.Claims{Issuer: c.k.Issuer.Name() + "/passkey", Subject: purpose, ID: uuid.NewString(), IssuedAt: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(ceremonyFor))}
	return c.k.Issuer.Sign(access.TypeID, s)
}

// opened is a ceremony's state as its page gives it back.
func (c *Keeper) opened(purpose, seal string) (sealed, error) {
	var s sealed
	if err := c.k.Issuer.Open(access.TypeID, seal, &s); err != nil || s.Issuer != c.k.Issuer.Name()+"/passkey" || s.Subject != purpose || s.Expiry == nil || !c.k.Clock.Now().Before(s.Expiry.Time()) {
		return s, stale()
	}
	return s, nil
}

func stale() error {
	return fault.New(fault.Invalid, "The page was open for too long, or it was sent twice. Open it again.")
}

// unseal is opened, once.
func (c *Keeper) unseal(ctx context.Context, purpose, seal string) (sealed, error) {
	s, err := c.opened(purpose, seal)
	if err != nil {
		return s, err
	}
	err = c.k.Gate.UseOnce(ctx, useCeremony, s.ID, s.Expiry.Time())
	if fault.Is(err, fault.Conflict) {
		return s, stale()
	}
	return s, err
}

// useCeremony is the kind under which a ceremony is used up.
const useCeremony = "ceremony"

// What a ceremony is for.
const (
	toRegister = "register"
	toEnter    = "enter"
)

// BeginPasskey is what a page needs so that a user can make a passkey on the device that they hold.
func (c *Keeper) BeginPasskey(ctx context.Context, u access.User) (Ceremony, error) {
	w, err := c.library()
	if err != nil {
		return Ceremony{}, err
	}
	h, err := c.holderOf(ctx, u)
	if err != nil {
		return Ceremony{}, err
	}
	var have []protocol.CredentialDescriptor
	for _, k := range h.keys {
		have = append(have, k.key.Descriptor())
	}
	options, session, err := w.BeginRegistration(h, webauthn.WithExclusions(have))
	if err != nil {
		return Ceremony{}, fault.Wrap(err, fault.Internal, "beginning a passkey")
	}
	return c.ceremony(toRegister, options, sealed{Session: *session, User: u.ID, Handle: h.handle})
}

func (c *Keeper) ceremony(purpose string, options any, s sealed) (Ceremony, error) {
	text, err := json.Marshal(options)
	if err != nil {
		return Ceremony{}, fault.Wrap(err, fault.Internal, "beginning a passkey")
	}
	seal, err := c.seal(purpose, s)
	return Ceremony{string(text), seal}, err
}

// holderOf is a user with their handle, which is made at the first asking; it is kept when the passkey is.
func (c *Keeper) holderOf(ctx context.Context, u access.User) (holder, error) {
	h := holder{user: u.ID, name: u.Name}
	err := c.k.DB.Read(ctx, func(tx *store.Tx) (err error) {
		err = tx.QueryRow(`SELECT handle FROM credential_handle WHERE user_id = ?`, u.ID).Scan(&h.handle)
		if err != nil && !fault.Is(err, fault.NotFound) {
			return err
		}
		h.keys, err = c.passkeysIn(tx, u.ID)
		return err
	})
	if err == nil && h.handle == nil {
		h.handle, err = random(32)
	}
	return h, err
}

func (c *Keeper) handleLane(handle []byte) store.Lane {
	return c.k.DB.LaneOf("", "handle/"+string(handle))
}

// made is a passkey that a browser made for a user, checked and not kept yet.
type made struct {
	user, name, body string
	id, handle       []byte
	ceremony         sealed
}

// checkMade checks the passkey that the browser made for u. Errors: fault.Invalid when it is none for this page.
func (c *Keeper) checkMade(ctx context.Context, u access.User, seal, answer, name string) (made, error) {
	m := made{user: u.ID, name: name}
	var err error
	if m.ceremony, err = c.opened(toRegister, seal); err != nil {
		return m, err
	}
	w, err := c.library()
	if err != nil {
		return m, err
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes([]byte(answer))
	if err != nil {
		return m, fault.Wrap(err, fault.Invalid, "The passkey could not be read. Try again.")
	}
	if m.ceremony.User != u.ID {
		return m, fault.New(fault.Invalid, "The passkey was asked for by somebody else. Open the page again.")
	}
	h, err := c.holderOf(ctx, u)
	if err != nil {
		return m, err
	}
	h.handle, m.handle = m.ceremony.Handle, m.ceremony.Handle
	key, err := w.CreateCredential(h, m.ceremony.Session, parsed)
	if err != nil {
		return m, fault.Wrap(err, fault.Invalid, "The passkey could not be checked. Try again.")
	}
	body, err := json.Marshal(key)
	m.id, m.body = key.ID, string(body)
	return m, fault.Wrap(err, fault.Internal, "keeping a passkey")
}

// lanes are those that keep needs.
func (c *Keeper) lanes(m made, by access.Principal) []store.Lane {
	return []store.Lane{c.userLane(m.user), c.handleLane(m.handle), c.k.Gate.DeedLane(by), c.k.Gate.UseLane(useCeremony, m.ceremony.ID)}
}

// keep writes a passkey and uses its ceremony up, in a Write that holds lanes.
func (c *Keeper) keep(ctx context.Context, tx *store.Tx, m made, by access.Principal) error {
	err := c.k.Gate.UseIn(tx, useCeremony, m.ceremony.ID, m.ceremony.Expiry.Time())
	if fault.Is(err, fault.Conflict) {
		return stale()
	}
	if err != nil {
		return err
	}
	lane, handles := int64(c.userLane(m.user)), int64(c.handleLane(m.handle))
	if _, err := tx.Exec(`INSERT INTO credential_handle (lane, handle, user_id) VALUES (?, ?, ?) ON CONFLICT (lane, handle) DO NOTHING`, handles, m.handle, m.user); err != nil {
		return err
	}
	n, err := tx.Exec(`INSERT INTO credential_passkey (lane, user_id, id, body, name, made, used) VALUES (?, ?, ?, ?, ?, ?, 0) ON CONFLICT (lane, user_id, id) DO NOTHING`,
		lane, m.user, m.id, m.body, m.name, tx.At().UnixMicro())
	if err != nil {
		return err
	}
	if n == 0 {
		return fault.New(fault.Invalid, "This passkey is known here already: sign in with it.")
	}
	return c.k.Gate.Record(ctx, tx, by, access.Deed{Action: access.ActCredential, Basis: "passkey made", Detail: "user " + m.user})
}

// FinishPasskey keeps the passkey that the browser made for u. Errors: fault.Invalid when it is none for this page.
func (c *Keeper) FinishPasskey(ctx context.Context, by access.Principal, u access.User, seal, answer, name string) error {
	m, err := c.checkMade(ctx, u, seal, answer, name)
	if err != nil {
		return err
	}
	return c.k.DB.Write(ctx, c.lanes(m, by), func(tx *store.Tx) error { return c.keep(ctx, tx, m, by) })
}

// BeginEntry is what a page needs so that somebody can show a passkey; who they are, the passkey says.
func (c *Keeper) BeginEntry() (Ceremony, error) {
	w, err := c.library()
	if err != nil {
		return Ceremony{}, err
	}
	options, session, err := w.BeginDiscoverableLogin(webauthn.WithUserVerification(protocol.VerificationRequired))
	if err != nil {
		return Ceremony{}, fault.Wrap(err, fault.Internal, "asking for a passkey")
	}
	return c.ceremony(toEnter, options, sealed{Session: *session})
}

// Entered is who showed a passkey, and how sure that is.
type Entered struct {
	User      string
	Assurance string // AAL3 for a key that cannot leave its device, AAL2 for one that is copied between a person's devices
}

// Enter checks the passkey that somebody showed. Failures count against the address; while it is locked, those are let in who have come in from
// there before. Errors: fault.Invalid when it is not right; fault.TooMany after too many that were not.
func (c *Keeper) Enter(ctx context.Context, seal, answer, address string) (Entered, error) {
	shut := c.open(ctx, c.addressLock(address))
	if shut != nil && !fault.Is(shut, fault.TooMany) {
		return Entered{}, shut
	}
	s, err := c.unseal(ctx, toEnter, seal)
	if err != nil {
		return Entered{}, cmp.Or(shut, err)
	}
	e, err := c.check(ctx, s, answer, address, shut)
	if !fault.Is(err, fault.Invalid) {
		return e, err
	}
	if shut != nil {
		return Entered{}, shut
	}
	return Entered{}, c.failed(ctx, err, c.addressLock(address))
}

// check is who showed a passkey; shut, when the address is locked for those who are not known there.
func (c *Keeper) check(ctx context.Context, s sealed, answer, address string, shut error) (Entered, error) {
	w, err := c.library()
	if err != nil {
		return Entered{}, err
	}
	unknown := "This passkey is not known here. It may have been removed."
	parsed, err := protocol.ParseCredentialRequestResponseBytes([]byte(answer))
	if err != nil {
		return Entered{}, fault.Wrap(err, fault.Invalid, "The passkey could not be read. Try again.")
	}
	var h holder
	key, err := w.ValidateDiscoverableLogin(func(_, handle []byte) (webauthn.User, error) {
		err := c.k.DB.Read(ctx, func(tx *store.Tx) (err error) {
			h = holder{handle: handle}
			if err := tx.QueryRow(`SELECT user_id FROM credential_handle WHERE lane = ? AND handle = ?`, int64(c.handleLane(handle)), handle).Scan(&h.user); err != nil {
				return err
			}
			h.keys, err = c.passkeysIn(tx, h.user)
			return err
		})
		return h, err
	}, s.Session, parsed)
	if err != nil {
		return Entered{}, fault.Wrap(err, fault.Invalid, "%s", unknown)
	}
	if key.Authenticator.CloneWarning {
		return Entered{}, fault.New(fault.Invalid, "This passkey seems to have been copied by somebody. It is not taken; ask an administrator for a new link.")
	}
	if !slices.ContainsFunc(h.keys, func(k Passkey) bool { return string(k.ID) == string(key.ID) }) {
		return Entered{}, fault.New(fault.Invalid, "%s", unknown)
	}
	if shut != nil {
		if known, err := c.knows(ctx, h.user, address); err != nil || !known {
			return Entered{}, cmp.Or(err, shut)
		}
	}
	body, err := json.Marshal(key)
	if err != nil {
		return Entered{}, fault.Wrap(err, fault.Internal, "keeping a passkey")
	}
	lane := c.userLane(h.user)
	err = c.k.DB.Write(ctx, []store.Lane{lane}, func(tx *store.Tx) error {
		n, err := tx.Exec(`UPDATE credential_passkey SET body = ?, used = ? WHERE lane = ? AND user_id = ? AND id = ?`, string(body), tx.At().UnixMicro(), int64(lane), h.user, key.ID)
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.New(fault.Invalid, "%s", unknown) // it was removed meanwhile
		}
		return c.remember(tx, h.user, address)
	})
	e := Entered{User: h.user, Assurance: "AAL3"}
	if key.Flags.BackupEligible {
		e.Assurance = "AAL2"
	}
	return e, err
}
