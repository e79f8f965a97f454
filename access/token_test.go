package access_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/clock"
)

const audience = "https://spine.example/"

type tokens struct {
	world
	issuer   *access.Issuer
	verifier *access.Verifier
	rsa      *rsa.PrivateKey
}

func withTokens(t testing.TB, w world) tokens {
	t.Helper()
	issuer, err := access.OpenIssuer(t.TempDir(), "https://issuer.example/", audience, w.clock)
	if err != nil {
		t.Fatal(err)
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	v, err := w.gate.NewVerifier(audience, issuer.Trust(), access.Trust{Issuer: "https://hospital.example/",
		Keys: jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &key.PublicKey, KeyID: "r1", Algorithm: "RS512"}}}})
	if err != nil {
		t.Fatal(err)
	}
	return tokens{w, issuer, v, key}
}

func (k tokens) mint(t testing.TB, p access.Principal) string {
	t.Helper()
	token, err := k.issuer.Mint(p, 10*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// signed makes a token of the hospital's, by any algorithm and with any claims.
func (k tokens) signed(t testing.TB, alg jose.SignatureAlgorithm, key any, kid, typ string, claims map[string]any) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: jose.JSONWebKey{Key: key, KeyID: kid}}, (&jose.SignerOptions{}).WithType(jose.ContentType(typ)))
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func (k tokens) claims(change map[string]any) map[string]any {
	now := k.clock.Now().Unix()
	c := map[string]any{"iss": "https://hospital.example/", "sub": "pas", "aud": audience, "jti": "j1", "iat": now, "nbf": now, "exp": now + 600,
		"role": "system-client", "ods": "RZ9", "scope": "system/*.*"}
	for name, value := range change {
		if value == nil {
			delete(c, name)
		} else {
			c[name] = value
		}
	}
	return c
}

func TestATokenSpeaksForWhomItWasMinted(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		k := withTokens(t, w)
		p := ann()
		p.Tenants, p.Scopes = []ident.ODSCode{spine}, []string{"user/Patient.read"}
		got, err := k.verifier.Verify(context.Background(), k.mint(t, p))
		if err != nil {
			t.Fatal(err)
		}
		if got.ID != "ann" || got.Role != access.Clinician || got.Organisation != hospital || len(got.Tenants) != 1 || len(got.Scopes) != 1 || got.AuthMethod != "token" {
			t.Errorf("the token speaks for %+v", got)
		}
		rs := k.signed(t, jose.RS512, k.rsa, "r1", "JWT", k.claims(nil))
		if got, err = k.verifier.Verify(context.Background(), rs); err != nil || got.ID != "pas" || got.Role != access.SystemClient {
			t.Errorf("RS512: %+v %v", got, err)
		}
	})
}

func TestATokenThatDoesNotHoldIsRefused(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		k := withTokens(t, w)
		now := k.clock.Now().Unix()
		public, err := x509.MarshalPKIXPublicKey(&k.rsa.PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		other, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		good := k.signed(t, jose.RS512, k.rsa, "r1", "JWT", k.claims(nil))
		parts := strings.Split(good, ".")
		none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT","kid":"r1"}`))
		with := func(change map[string]any) string {
			return k.signed(t, jose.RS512, k.rsa, "r1", "JWT", k.claims(change))
		}
		es := k.mint(t, ann())
		for name, token := range map[string]string{
			"alg none":                  none + "." + parts[1] + ".",
			"HS512 with the public key": k.signed(t, jose.HS512, public, "r1", "JWT", k.claims(nil)),
			"RS256":                     k.signed(t, jose.RS256, k.rsa, "r1", "JWT", k.claims(nil)),
			"PS512":                     k.signed(t, jose.PS512, k.rsa, "r1", "JWT", k.claims(nil)),
			"somebody else's key":       k.signed(t, jose.RS512, other, "r1", "JWT", k.claims(nil)),
			"unknown kid":               k.signed(t, jose.RS512, k.rsa, "r2", "JWT", k.claims(nil)),
			"other typ":                 k.signed(t, jose.RS512, k.rsa, "r1", "logout+jwt", k.claims(nil)),
			"changed claims":            parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"https://hospital.example/","role":"administrator"}`)) + "." + parts[2],
			"another issuer's claims":   with(map[string]any{"iss": "https://issuer.example/"}),
			"unknown issuer":            with(map[string]any{"iss": "https://nobody.example/"}),
			"wrong audience":            with(map[string]any{"aud": "https://other.example/"}),
			"two audiences":             with(map[string]any{"aud": []string{audience, "https://other.example/"}}),
			"no audience":               with(map[string]any{"aud": nil}),
			"expired":                   with(map[string]any{"exp": now - 31, "iat": now - 600}),
			"no exp":                    with(map[string]any{"exp": nil}),
			"lives too long":            with(map[string]any{"exp": now + 90000}),
			"not yet":                   with(map[string]any{"nbf": now + 60}),
			"issued in the future":      with(map[string]any{"iat": now + 60}),
			"no jti":                    with(map[string]any{"jti": nil}),
			"no sub":                    with(map[string]any{"sub": nil}),
			"unknown role":              with(map[string]any{"role": "god"}),
			"no organisation":           with(map[string]any{"ods": nil}),
			"bad organisation":          with(map[string]any{"ods": "r z 9"}),
			"patient without a chart":   with(map[string]any{"role": "patient"}),
			"truncated":                 es[:len(es)-8],
			"empty":                     "",
			"nonsense":                  "a.b.c",
			"huge":                      strings.Repeat("a", 9000),
		} {
			p, err := k.verifier.Verify(context.Background(), token)
			if !fault.Is(err, fault.Unauthenticated) || !strings.Contains(access.Challenge(err), `error="invalid_token"`) {
				t.Errorf("%s: spoke for %q, err %v, challenge %s", name, p.ID, err, access.Challenge(err))
			}
		}
		if _, err := k.verifier.Verify(context.Background(), good); err != nil {
			t.Errorf("the unchanged token: %v", err)
		}
	})
}

func TestATokenEndsWhenItExpiresOrIsRevoked(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		ctx := context.Background()
		k := withTokens(t, w)
		first, second := k.mint(t, ann()), k.mint(t, ann())
		for _, token := range []string{first, second} {
			if _, err := k.verifier.Verify(ctx, token); err != nil {
				t.Fatal(err)
			}
		}
		other, err := w.gate.NewVerifier(audience, k.issuer.Trust())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := other.Verify(ctx, first); err != nil {
			t.Fatal(err)
		}
		if err := k.verifier.Revoke(ctx, ann(), first); err != nil {
			t.Fatal(err)
		}
		if _, err := k.verifier.Verify(ctx, first); !fault.Is(err, fault.Unauthenticated) {
			t.Errorf("a revoked token: %v", err)
		}
		w.clock.Advance(6 * time.Second)
		if _, err := other.Verify(ctx, first); !fault.Is(err, fault.Unauthenticated) {
			t.Errorf("a revoked token at another verifier: %v", err)
		}
		if _, err := k.verifier.Verify(ctx, second); err != nil {
			t.Errorf("the other token: %v", err)
		}
		w.clock.Advance(11 * time.Minute)
		if _, err := k.verifier.Verify(ctx, second); !fault.Is(err, fault.Unauthenticated) {
			t.Errorf("a remembered token after its end: %v", err)
		}
	})
}

func TestTheIssuersKeyIsKeptSecretAndKept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	each(t, func(t *testing.T, w world) {
		a, err := access.OpenIssuer(dir, "i", audience, w.clock)
		if err != nil {
			t.Fatal(err)
		}
		b, err := access.OpenIssuer(dir, "i", audience, w.clock)
		if err != nil {
			t.Fatal(err)
		}
		v, err := w.gate.NewVerifier(audience, a.Trust())
		if err != nil {
			t.Fatal(err)
		}
		token, err := b.Mint(ann(), time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := v.Verify(context.Background(), token); err != nil {
			t.Errorf("a token minted after a restart: %v", err)
		}
		info, err := os.Stat(filepath.Join(dir, "issuer.pem"))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the key's mode is %v %v", info.Mode(), err)
		}
		set, err := a.JWKS()
		if err != nil {
			t.Fatal(err)
		}
		var jwks struct{ Keys []map[string]any }
		if err := json.Unmarshal(set, &jwks); err != nil || len(jwks.Keys) != 1 || jwks.Keys[0]["d"] != nil || jwks.Keys[0]["kid"] == "" {
			t.Errorf("the key set is %s", set)
		}
	})
}

func TestAnAssertionIsUsedOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		ctx, until := context.Background(), time.Now().Add(5*time.Minute)
		if err := w.gate.UseOnce(ctx, "assertion", "j1", until); err != nil {
			t.Fatal(err)
		}
		if err := w.gate.UseOnce(ctx, "assertion", "j1", until); !fault.Is(err, fault.Conflict) {
			t.Errorf("the second time: %v", err)
		}
		if err := w.gate.UseOnce(ctx, "code", "j1", until); err != nil {
			t.Errorf("another kind: %v", err)
		}
	})
}

func TestBearerHeaders(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]string{"Bearer abc.def.ghi": "abc.def.ghi", "bearer abc": "abc", "Basic x": "", "": "", "Bearer": "!", "Bearer a b": "!", "Bearer a\"b": "!"} {
		token, ok, err := access.BearerToken(header)
		if got := map[bool]string{true: "!", false: token}[err != nil]; got != want || ok != (want != "") {
			t.Errorf("%q gave %q %v %v", header, token, ok, err)
		}
	}
}

// Whatever is presented, only a token that was signed by a trusted key speaks for anyone.
func FuzzVerify(f *testing.F) {
	c := clock.NewFake(time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC))
	issuer, err := access.OpenIssuer(f.TempDir(), "https://issuer.example/", audience, c)
	if err != nil {
		f.Fatal(err)
	}
	verifier, err := access.VerifierAlone(c, audience, issuer.Trust())
	if err != nil {
		f.Fatal(err)
	}
	good, err := issuer.Mint(ann(), 10*time.Minute)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good + "x")
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Fuzz(func(t *testing.T, token string) {
		p, err := verifier.Verify(context.Background(), token)
		if err == nil && signedPart(token) != signedPart(good) {
			t.Errorf("a token that nobody signed speaks for %+v", p)
		}
		if err != nil && !fault.Is(err, fault.Unauthenticated) {
			t.Errorf("%q: %v", token, err)
		}
	})
}

func signedPart(token string) string {
	i := strings.LastIndexByte(token, '.')
	return token[:max(i, 0)]
}
