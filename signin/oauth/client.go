package oauth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/uuid"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
)

// Kind is how far a client can keep a secret.
type Kind string

// The kinds of client (RFC 6749 section 2.1). A system acts for nobody but its organisation.
const (
	Public       Kind = "public"       // an app on a person's device: it has none, and must use PKCE
	Confidential Kind = "confidential" // a server of its own
	System       Kind = "system"       // a server without people, known by its keys
)

// Client is a program that may ask for tokens.
type Client struct {
	ID           string              `json:"id"`
	Name         string              `json:"name"`
	Kind         Kind                `json:"kind"`
	Realm        string              `json:"realm"` // access.Professionals, access.Patients or access.Systems
	Redirects    []string            `json:"redirects,omitempty"`
	Scopes       []string            `json:"scopes,omitempty"`  // what it may ask for
	Default      []string            `json:"default,omitempty"` // what opens records for it when it asks for nothing that does
	Organisation ident.ODSCode       `json:"-"`
	Tenants      []ident.ODSCode     `json:"-"`
	Keys         *jose.JSONWebKeySet `json:"keys,omitempty"`     // its public keys …
	KeysURL      string              `json:"keys-url,omitempty"` // … or where they are
	SecretHash   []byte              `json:"secret,omitempty"`
	Suspended    bool                `json:"suspended,omitempty"` // it has ended, and may be restored
	Trusted      bool                `json:"trusted,omitempty"`   // part of the service: people are not asked whether they agree
	LogoutURL    string              `json:"logout-url,omitempty"`
	LaunchURL    string              `json:"launch-url,omitempty"`
	Contact      string              `json:"contact,omitempty"`
	Made         time.Time           `json:"-"`
	Ended        time.Time           `json:"-"`

	// ExchangesFor are the clients whose tokens this one may exchange, beside its own.
	ExchangesFor []string `json:"exchanges-for,omitempty"`

	ODS     string   `json:"ods,omitempty"` // Organisation and Tenants as they are kept
	Further []string `json:"tenants,omitempty"`
}

// Check is fault.Invalid, in words for whoever registers it, unless the client can work and is safe.
func (c *Client) Check() error {
	switch {
	case c.ID == "" || len(c.ID) > 100 || strings.ContainsFunc(c.ID, func(r rune) bool { return r <= ' ' || r > '~' || r == ':' }):
		return fault.New(fault.Invalid, "A client's id is up to 100 letters, digits and marks without spaces or colons.")
	case strings.TrimSpace(c.Name) == "" || len(c.Name) > 200:
		return fault.New(fault.Invalid, "Name the client as the people who use it know it, in at most 200 letters.")
	case c.Kind != Public && c.Kind != Confidential && c.Kind != System:
		return fault.New(fault.Invalid, "A client is public, confidential or system.")
	case (c.Kind == System) != (c.Realm == access.Systems) || c.Realm != access.Professionals && c.Realm != access.Patients && c.Realm != access.Systems:
		return fault.New(fault.Invalid, "A client is for professionals or for patients; a system is in the realm systems.")
	case c.Kind == System && c.Organisation.IsZero():
		return fault.New(fault.Invalid, "A system acts in the name of an organisation.")
	case c.Kind != System && len(c.Redirects) == 0:
		return fault.New(fault.Invalid, "Give at least one address to which people are sent back.")
	case c.Kind == Public && (len(c.SecretHash) > 0 || c.Keys != nil || c.KeysURL != ""):
		return fault.New(fault.Invalid, "A public client can keep neither a secret nor a key.")
	}
	for _, r := range c.Redirects {
		if err := checkRedirect(r); err != nil {
			return err
		}
	}
	for name, u := range map[string]string{"key set": c.KeysURL, "logout": c.LogoutURL, "launch": c.LaunchURL} {
		if u != "" && !safeURL(u) {
			return fault.New(fault.Invalid, "The %s address must be https (or http on this machine), without a user name or fragment.", name)
		}
	}
	for _, s := range slices.Concat(c.Scopes, c.Default) {
		if rs, ok := parseScope(s); ok && (rs.context == "system") != (c.Kind == System) {
			return fault.New(fault.Invalid, "The scope %s is not for a client of this kind.", s)
		} else if !ok && !slices.Contains(plainScopes(), s) {
			return fault.New(fault.Invalid, "There is no scope %s.", s)
		}
	}
	return c.checkKeys()
}

// plainScopes are the scopes that open no record by themselves.
func plainScopes() []string {
	return []string{"openid", "profile", "fhirUser", "launch", "launch/patient", "online_access", "offline_access", "nationalrbacaccess", "associatedorgs", "selectedrole",
		"nhs-login", "nhs-cis2"}
}

func (c *Client) checkKeys() error {
	if c.Keys == nil {
		return nil
	}
	for _, k := range c.Keys.Keys {
		if _, err := assertionKey(k); err != nil {
			return err
		}
	}
	return nil
}

// checkRedirect is fault.Invalid for an address that could send a code to somebody else.
func checkRedirect(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Scheme == "" || u.Opaque != "":
		return fault.New(fault.Invalid, "%q is no address to send people back to: give it whole, for example https://app.example/callback.", s)
	case u.User != nil || strings.Contains(s, "#") || strings.Contains(s, "*") || strings.Contains(s, `\`) || dotted(u):
		return fault.New(fault.Invalid, "%q has a user name, a fragment, a wildcard or dots that lead elsewhere.", s)
	case u.Scheme == "https" && u.Host != "":
		return nil
	case u.Scheme == "http" && loopbackName(u.Hostname()):
		return nil
	case u.Scheme != "http" && u.Scheme != "https" && strings.Contains(u.Scheme, ".") && u.Host == "":
		return nil // an app's own scheme is a domain name backwards (RFC 8252 section 7.1)
	}
	return fault.New(fault.Invalid, "%q must be https; http is for this machine alone, and an app's own scheme is a domain name backwards.", s)
}

func dotted(u *url.URL) bool {
	for _, part := range strings.Split(u.Path, "/") {
		if part == "." || part == ".." {
			return true
		}
	}
	return strings.Contains(strings.ToLower(u.EscapedPath()), "%2e")
}

func safeURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.User == nil && u.Fragment == "" && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http" && loopbackName(u.Hostname()))
}

func loopbackName(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// sendsTo reports whether a code may be sent to redirect: it equals a registered address, character for character (RFC 9700 section
// 2.1), but for the port of a numeric loopback address, which an app on the machine cannot choose beforehand (RFC 8252 section 7.3).
func (c Client) sendsTo(redirect string) bool {
	if slices.Contains(c.Redirects, redirect) {
		return true
	}
	asked, err := url.Parse(redirect)
	if err != nil || asked.Scheme != "http" || net.ParseIP(asked.Hostname()) == nil || !loopbackName(asked.Hostname()) {
		return false
	}
	for _, r := range c.Redirects {
		registered, err := url.Parse(r)
		if err != nil || registered.Scheme != "http" || registered.Hostname() != asked.Hostname() {
			continue
		}
		if strings.TrimPrefix(redirect, "http://"+asked.Host) == strings.TrimPrefix(r, "http://"+registered.Host) {
			return true
		}
	}
	return false
}

// NewSecret gives a confidential client a secret, of which only the hash is kept.
func (c *Client) NewSecret() (string, error) {
	raw := make([]byte, 32)
	if _, err := rand.Read(raw); err != nil {
		return "", fault.Wrap(err, fault.Internal, "making a secret")
	}
	secret := base64.RawURLEncoding.EncodeToString(raw)
	c.SetSecret(secret)
	return secret, nil
}

// SetSecret is NewSecret with a given secret, for demonstrations.
func (c *Client) SetSecret(secret string) {
	sum := sha256.Sum256([]byte(secret))
	c.SecretHash = sum[:]
}

func (c Client) holds(secret string) bool {
	sum := sha256.Sum256([]byte(secret))
	return len(c.SecretHash) > 0 && subtle.ConstantTimeCompare(sum[:], c.SecretHash) == 1
}

// NewClientID is an id that nobody has.
func NewClientID() string { return uuid.NewString() }

func (s *Server) clientLane(id string) store.Lane { return s.k.DB.LaneOf("", "client/"+id) }

// session is the sid of the tokens that a system gets for itself: they end with its registration.
func (c Client) session() string {
	return "client/" + c.ID + "/" + strconv.FormatInt(c.Made.UnixMicro(), 36)
}

// Client is a client that may ask for tokens. Errors: fault.NotFound.
func (s *Server) Client(ctx context.Context, id string) (Client, error) {
	var c Client
	err := s.k.DB.Read(ctx, func(tx *store.Tx) error {
		list, err := readClients(tx, `lane = ? AND id = ? AND ended = 0`, int64(s.clientLane(id)), id)
		if err == nil && len(list) == 0 {
			return fault.New(fault.NotFound, "There is no such client.")
		}
		if err == nil {
			c = list[0]
		}
		return err
	})
	return c, err
}

// Clients lists every client, by name, those that ended included when ended says so.
func (s *Server) Clients(ctx context.Context, ended bool) ([]Client, error) {
	cond := `ended = 0 ORDER BY name, id`
	if ended {
		cond = `1 = 1 ORDER BY name, id`
	}
	var list []Client
	err := s.k.DB.Read(ctx, func(tx *store.Tx) (err error) {
		list, err = readClients(tx, cond)
		return err
	})
	return list, err
}

func readClients(tx *store.Tx, cond string, args ...any) ([]Client, error) {
	rows, err := tx.Query(`SELECT body, made, ended FROM oauth_client WHERE `+cond, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []Client
	for rows.Next() {
		var body string
		var made, ended int64
		if err := rows.Scan(&body, &made, &ended); err != nil {
			return nil, err
		}
		var c Client
		if err := json.Unmarshal([]byte(body), &c); err != nil {
			return nil, fault.Wrap(err, fault.Internal, "a client that is kept cannot be read")
		}
		if c.ODS != "" {
			if c.Organisation, err = ident.ParseODSCode(c.ODS); err != nil {
				return nil, err
			}
		}
		for _, f := range c.Further {
			t, err := ident.ParseODSCode(f)
			if err != nil {
				return nil, err
			}
			c.Tenants = append(c.Tenants, t)
		}
		c.Made = time.UnixMicro(made).UTC()
		if ended != 0 {
			c.Ended = time.UnixMicro(ended).UTC()
		}
		list = append(list, c)
	}
	return list, rows.Err()
}
