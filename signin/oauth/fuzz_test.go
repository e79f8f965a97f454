package oauth

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// unsigned is a compact JWT of a header and claims, as text; nobody signed it.
func unsigned(header, claims string) string {
	enc := base64.RawURLEncoding.EncodeToString
	return enc([]byte(header)) + "." + enc([]byte(claims)) + ".AAAA"
}

// FuzzAssertion: what is taken from an assertion (who, until when, once, by which key and algorithm) is what the library reads that checks its
// signature, so that nobody signs one thing and is believed another; it lives for five minutes at most; and every refusal is in OAuth's words, without what RFC 6749 keeps out of them.
func FuzzAssertion(f *testing.F) {
	now := time.Unix(1_800_000_000, 0)
	good := `{"iss":"lab","sub":"lab","aud":"https://spine.example/oauth2/token","jti":"a","exp":1800000100}`
	f.Add(unsigned(`{"alg":"RS512","typ":"JWT","kid":"k"}`, good))
	f.Add(unsigned(`{"alg":"RS512","typ":"jwt","kid":"k","kid":"l"}`, good))
	f.Add(unsigned(`{"alg":"none","typ":"JWT","kid":"k"}`, good))
	f.Add(unsigned(`{"alg":"RS512","typ":"JWT","kid":"k"}`, `{"iss":"lab","sub":"lab","aud":["a",1],"jti":"a","exp":1.8e9,"nbf":null,"iat":"x"}`))
	f.Add(unsigned(`{"alg":"RS512","typ":"JWT","kid":"k"}`, `{"iss":"lab","sub":"lab","jti":"a","exp":1800000100,"extra":{"a":[{}]}} {}`))
	f.Add("a.b.c")
	f.Fuzz(func(t *testing.T, token string) {
		a, err := readAssertion(url.Values{"client_assertion_type": {assertionType}, "client_assertion": {token}}, now)
		if err != nil {
			refusedInWords(t, err)
			return
		}
		// The library that checks the signature must have read the same.
		signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.RS512})
		if err != nil {
			return // and then it proves nothing
		}
		var claims map[string]any
		if err := json.Unmarshal(signed.UnsafePayloadWithoutVerification(), &claims); err != nil {
			t.Fatal(err)
		}
		h, exp := signed.Signatures[0].Protected, float64(a.until.Unix())
		if h.KeyID != a.kid || a.kid == "" || h.Algorithm != "RS512" || claims["iss"] != a.client || claims["sub"] != a.client || a.client == "" || claims["jti"] != a.jti || a.jti == "" || claims["exp"] != exp {
			t.Fatalf("%+v %v was read as %+v", h, claims, a)
		}
		if !a.until.After(now) || a.until.After(now.Add(assertionLife+assertionSkew)) {
			t.Fatalf("it is taken until %v", a.until)
		}
		if a.meant("https://spine.example/oauth2/token") && len(a.audience) != 1 {
			t.Fatalf("it is meant for %v", a.audience)
		}
	})
}

// refusedInWords fails unless err is one of OAuth's errors with a description that RFC 6749 section 5.2 allows.
func refusedInWords(t *testing.T, err error) {
	t.Helper()
	var r *refusal
	if !errors.As(err, &r) {
		t.Fatalf("not in OAuth's words: %v", err)
	}
	if r.status != http.StatusBadRequest && r.status != http.StatusUnauthorized || r.code == "" || ascii(r.description) != r.description {
		t.Fatalf("refused as %+v", r)
	}
}

// FuzzRedirect: an address may be registered only if it leads to the host that its text names, and a code goes only to an address that is registered,
// letter for letter but for the port of this machine.
func FuzzRedirect(f *testing.F) {
	f.Add("https://app.example/callback", "https://app.example/callback")
	f.Add("http://127.0.0.1/cb", "http://127.0.0.1:4711/cb")
	f.Add("http://[::1]:80/cb?a=b", "http://[::1]:9/cb?a=b")
	f.Add("http://127.0.0.1/cb", "http://127.0.0.1:80@evil.example/cb")
	f.Add("https://app.example/a", "https://app.example/a/../b")
	f.Add("uk.nhs.app:/cb", "uk.nhs.app:/cb")
	f.Add("http://127.0.0.1/cb", "http://127.0.0.1:4711\\@evil.example/cb")
	f.Fuzz(func(t *testing.T, registered, asked string) {
		if checkRedirect(registered) != nil {
			return
		}
		u, err := url.Parse(registered)
		if err != nil || u.User != nil || u.Fragment != "" || strings.ContainsAny(registered, "\\#*") {
			t.Fatalf("%q may be registered", registered)
		}
		if u.Scheme == "http" && !loopbackName(u.Hostname()) {
			t.Fatalf("%q may be registered: it is neither safe nor here", registered)
		}
		c := Client{Redirects: []string{registered}}
		if !c.sendsTo(registered) {
			t.Fatalf("%q is registered and gets nothing", registered)
		}
		if !c.sendsTo(asked) || asked == registered {
			return
		}
		to, err := url.Parse(asked)
		if err != nil || u.Scheme != "http" || to.Scheme != "http" || to.User != nil || to.Hostname() != u.Hostname() || to.Path != u.Path || to.RawQuery != u.RawQuery || to.Fragment != u.Fragment {
			t.Fatalf("a code for %q goes to %q", registered, asked)
		}
	})
}

// FuzzScope: a scope is narrowed to less or the same, never to more; narrowing again changes nothing; what is granted is within what the client may have.
func FuzzScope(f *testing.F) {
	f.Add("patient/Observation.rs", "patient/*.read user/*.cruds")
	f.Add("user/*.*", "user/Patient.r openid")
	f.Add("system/Patient.rs?gender=male", "system/*.rs")
	f.Add("openid", "openid profile")
	f.Fuzz(func(t *testing.T, asked, allowed string) {
		may := strings.Fields(allowed)
		got := narrow(asked, may)
		if got == "" {
			return
		}
		if narrow(got, may) != got || !within([]string{got}, may) {
			t.Fatalf("%q of %q is %q, which is narrowed again to %q", asked, allowed, got, narrow(got, may))
		}
		want, resource := parseScope(asked)
		have, stays := parseScope(got)
		if resource != stays {
			t.Fatalf("%q became %q", asked, got)
		}
		if !resource {
			if got != asked || !slices.Contains(may, got) {
				t.Fatalf("%q of %q is %q", asked, allowed, got)
			}
			return
		}
		if have.context != want.context || have.typ != want.typ || strings.Trim(have.letters, want.letters) != "" {
			t.Fatalf("%q of %q is %q", asked, allowed, got)
		}
		for _, letter := range have.letters {
			if !slices.ContainsFunc(may, func(m string) bool {
				rs, ok := parseScope(m)
				return ok && rs.context == have.context && (rs.typ == "*" || rs.typ == have.typ) && strings.ContainsRune(rs.letters, letter)
			}) {
				t.Fatalf("%q of %q grants %c, which nobody may", asked, allowed, letter)
			}
		}
		granted, ok := Client{Scopes: may}.grantable([]string{asked})
		if !ok || !within(granted, may) {
			t.Fatalf("a client that may %q is granted %q", allowed, granted)
		}
	})
}
