package network

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net"
	"strings"
	"time"

	"github.com/openspine/openspine/fault"
)

// Token is what a node joins with: it names the node that it is for and where the authority is, proves the authority to the node by
// the fingerprint of its root, and the node to the authority by a secret that is good once.
type Token struct {
	Node      NodeID    `json:"node"`
	Authority NodeID    `json:"authority"`
	Addresses []string  `json:"at"`     // host:port, tried in turn
	Root      string    `json:"root"`   // SHA-256 of the root's certificate, in hexadecimal
	Secret    string    `json:"secret"` // 128 random bits, in hexadecimal
	Until     time.Time `json:"until"`
}

const (
	tokenPrefix = "join-"
	maxToken    = 2048
	maxAddress  = 8
	tokenSum    = 6 // bytes of the checksum, against a copy that lost its end
)

// String is the token as it is handed over: letters, digits, hyphens and underscores only.
func (t Token) String() string {
	body, err := json.Marshal(t)
	if err != nil {
		panic(err) // a token holds nothing that JSON cannot
	}
	sum := sha256.Sum256(body)
	return tokenPrefix + base64.RawURLEncoding.EncodeToString(append(body, sum[:tokenSum]...))
}

// ParseToken reads what Token.String wrote; white space around it and within is left out, for it may come by letter. Errors: fault.Invalid.
func ParseToken(s string) (Token, error) {
	wrong := func(cause error, why string) (Token, error) {
		return Token{}, fault.Wrap(cause, fault.Invalid, "this is no token to join with: %s; copy it whole, from join- to its end", why)
	}
	if len(s) > 2*maxToken {
		return wrong(errToken, "it is too long")
	}
	s = strings.Join(strings.Fields(s), "")
	text, ok := strings.CutPrefix(s, tokenPrefix)
	if !ok || len(text) > maxToken {
		return wrong(errToken, "it does not begin with join-, or is too long")
	}
	body, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(body) < tokenSum {
		return wrong(errToken, "it holds characters that a token does not have")
	}
	body, end := body[:len(body)-tokenSum], body[len(body)-tokenSum:]
	if sum := sha256.Sum256(body); string(sum[:tokenSum]) != string(end) {
		return wrong(errToken, "a part of it is missing or changed")
	}
	var t Token
	d := json.NewDecoder(strings.NewReader(string(body)))
	d.DisallowUnknownFields()
	if err := d.Decode(&t); err != nil || d.More() {
		return wrong(errToken, "it was made by another version of this program")
	}
	if err := t.check(); err != nil {
		return wrong(err, fault.MessageOf(err))
	}
	return t, nil
}

var errToken = fault.New(fault.Invalid, "not a token")

func (t Token) check() error {
	switch {
	case t.Node.IsZero() || t.Authority.IsZero() || t.Node == t.Authority:
		return fault.New(fault.Invalid, "it does not say which node is to join which")
	case len(t.Addresses) == 0 || len(t.Addresses) > maxAddress:
		return fault.New(fault.Invalid, "it does not say where the authority is")
	case !isHex(t.Root, sha256.Size) || !isHex(t.Secret, secretBytes):
		return fault.New(fault.Invalid, "its fingerprint or its secret is not whole")
	case t.Until.IsZero():
		return fault.New(fault.Invalid, "it does not say until when it is good")
	}
	for _, a := range t.Addresses {
		if err := checkAddress(a); err != nil {
			return err
		}
	}
	return nil
}

// checkAddress refuses what is no host and port to dial.
func checkAddress(a string) error {
	host, port, err := net.SplitHostPort(a)
	if err != nil || host == "" || port == "" || port == "0" || len(a) > 255 || strings.ContainsAny(a, " \t\r\n/") {
		return fault.New(fault.Invalid, "%.80q is no address to dial: give a host and a port, as in spine.example.org:8444", a)
	}
	return nil
}

const secretBytes = 16

func isHex(s string, bytes int) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == bytes && strings.ToLower(s) == s
}

// secretHash is what is kept of a token's secret.
func secretHash(secret string) string { return hexSum([]byte(secret)) }

func hexSum(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
