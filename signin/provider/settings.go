package provider

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"net"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
)

// Settings are what a configuration says of one provider.
type Settings struct {
	ID     string // the provider in this node's addresses: small letters, digits and dashes
	Title  string // as people know it, for example NHS CIS2
	Realm  string // professionals or patients: it vouches for nobody else
	Issuer string // its address, as its tokens say it, to the letter

	Client     string // this node's client id there
	SecretFile string // a file with the client's secret …
	KeyFile    string // … or with the private key (PEM, PKCS 8) with which it signs who it is
	KeyID      string // the key's id there; its thumbprint (RFC 7638) when empty

	Scopes []string // openid is always among them
	ACR    string   // acr_values that are asked for, for example AAL3_ANY
	VTR    string   // vectors of trust that are asked for, for example ["P9.Cp.Cd"]

	Least         string // the least assurance that lets in: AAL1 to AAL3, or P0, P5, P9; by default AAL2 and P9
	LeastProofing string // the least that must be known of who a professional is: IAL1 to IAL3; "" for whatever it is
	Identifier    string // the claim that holds the published identifier of a professional; nhsid_useruid by default
}

var idForm = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)

// check fills in what is left out. Errors: fault.Invalid.
func (s *Settings) check() error {
	invalid := func(format string, args ...any) error {
		return fault.New(fault.Invalid, "provider "+s.ID+": "+format, args...)
	}
	levels := professionalLevels()
	if s.Realm == access.Patients {
		levels = patientLevels()
	}
	if s.Least == "" {
		s.Least = map[string]string{access.Patients: "P9"}[s.Realm]
	}
	if s.Least == "" {
		s.Least = "AAL2"
	}
	if s.Identifier == "" {
		s.Identifier = "nhsid_useruid"
	}
	if !slices.Contains(s.Scopes, "openid") {
		s.Scopes = append([]string{"openid"}, s.Scopes...)
	}
	switch {
	case !idForm.MatchString(s.ID):
		return fault.New(fault.Invalid, "a provider's id is up to 32 small letters, digits and dashes, and %q is not", s.ID)
	case strings.TrimSpace(s.Title) == "" || len(s.Title) > 60:
		return invalid("title says how people know it, in at most 60 letters")
	case s.Realm != access.Professionals && s.Realm != access.Patients:
		return invalid("realm is professionals or patients")
	case !safeURL(s.Issuer) || strings.ContainsAny(s.Issuer, "?#"):
		return invalid("issuer is an https address (http on this machine alone), without a query")
	case s.Client == "":
		return invalid("client-id is missing")
	case (s.SecretFile == "") == (s.KeyFile == ""):
		return invalid("either key-file or secret-file shows who this node is")
	case !slices.Contains(levels, s.Least):
		return invalid("least is one of %s", strings.Join(levels, ", "))
	case s.LeastProofing != "" && (s.Realm != access.Professionals || !slices.Contains(proofingLevels(), s.LeastProofing)):
		return invalid("least-proofing is for professionals, and one of %s", strings.Join(proofingLevels(), ", "))
	}
	return nil
}

// The levels of assurance, the least first: NIST SP 800-63 as NHS CIS2 uses it, and DCB3051 as NHS login does.
func professionalLevels() []string { return []string{"AAL1", "AAL2", "AAL3"} }
func proofingLevels() []string     { return []string{"IAL1", "IAL2", "IAL3"} }
func patientLevels() []string      { return []string{"P0", "P5", "P9"} }

// reaches reports whether a level is least or more among levels; one that is not known reaches nothing.
func reaches(levels []string, level, least string) bool {
	return slices.Contains(levels, level) && slices.Index(levels, level) >= slices.Index(levels, least)
}

// safeURL reports whether an address can be asked: https, or http on this machine.
func safeURL(s string) bool {
	u, err := url.Parse(s)
	if err != nil || u.User != nil || u.Fragment != "" || u.Host == "" {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Scheme == "https" || u.Scheme == "http" && (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback())
}

// readSecrets reads the file that shows who this node is.
func (p *Provider) readSecrets() error {
	path := p.KeyFile + p.SecretFile
	text, err := os.ReadFile(path)
	if err != nil {
		return fault.Wrap(err, fault.NotFound, "provider %s: %s cannot be read: %v", p.ID, path, err)
	}
	if p.SecretFile != "" {
		if p.secret = strings.TrimSpace(string(text)); p.secret == "" {
			return fault.New(fault.Invalid, "provider %s: %s is empty", p.ID, path)
		}
		return nil
	}
	key, alg, err := parseKey(text)
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "provider %s: %s: %s", p.ID, path, fault.MessageOf(err))
	}
	if p.KeyID == "" {
		public := jose.JSONWebKey{Key: key.Public()}
		print, err := public.Thumbprint(crypto.SHA256)
		if err != nil {
			return fault.Wrap(err, fault.Internal, "naming a key")
		}
		p.KeyID = base64.RawURLEncoding.EncodeToString(print)
	}
	p.key = jose.JSONWebKey{Key: key, KeyID: p.KeyID, Algorithm: string(alg), Use: "sig"}
	return nil
}

// parseKey reads a private key: RSA of 2048 bits or more, which signs RS512 as NHS England asks, or P-256, which signs ES256.
func parseKey(text []byte) (crypto.Signer, jose.SignatureAlgorithm, error) {
	wrong := fault.New(fault.Invalid, "it holds no private key in PEM (PKCS 8) of RSA with 2048 bits or more, or of P-256")
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, "", wrong
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, "", wrong
	}
	switch key := parsed.(type) {
	case *rsa.PrivateKey:
		if key.N.BitLen() >= 2048 {
			return key, jose.RS512, nil
		}
	case *ecdsa.PrivateKey:
		if key.Curve == elliptic.P256() {
			return key, jose.ES256, nil
		}
	}
	return nil, "", wrong
}
