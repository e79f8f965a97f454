package postroom

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/internal/clock"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/network/outward"
)

const letter = `{"resourceType":"Bundle","id":"b1","type":"message","entry":[{"resource":{"resourceType":"MessageHeader","id":"h1","eventUri":"urn:x:letter","source":{"endpoint":"urn:x:us"}}}]}`

// third is a third party on loopback that speaks TLS and asks for a certificate where pool says so.
type third struct {
	*httptest.Server
	answer func(w http.ResponseWriter, r *http.Request)
}

func newThird(t *testing.T, clients *x509.CertPool) *third {
	t.Helper()
	p := &third{}
	p.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { p.answer(w, r) }))
	p.EnableHTTP2 = true
	p.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	if clients != nil {
		p.TLS.ClientAuth, p.TLS.ClientCAs = tls.RequireAndVerifyClientCert, clients
	}
	p.Config.ErrorLog = nil
	p.StartTLS()
	t.Cleanup(p.Close)
	return p
}

func (p *third) roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(p.Certificate())
	return pool
}

// carry takes a body to the third party, as a round does once it has read the directory.
func carry(t *testing.T, p *third, a Access, body string, o outward.Options) ([]byte, error) {
	t.Helper()
	if a.Endpoint == "" {
		a.Endpoint = "e1"
	}
	if a.Roots == nil {
		a.Roots = p.roots()
	}
	d, err := newRound(catalogue.Kernel{Outward: o, Clock: clock.System()}, []Access{a})
	if err != nil {
		t.Fatal(err)
	}
	return d.carry(t.Context(), address{p.URL, connectionREST}, messaging.Destination{Kind: kindEndpoint, Name: "e1"}, messaging.Message{ID: "1m82xhq8ne92wn9w92", Body: []byte(body)})
}

func loopback() outward.Options {
	return outward.Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}, Within: 20 * time.Second}
}

func outcome(words string) string {
	return `{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"invalid","diagnostics":"` + words + `"}]}`
}

func response(code, words string) string {
	return `{"resourceType":"Bundle","type":"message","entry":[{"resource":{"resourceType":"MessageHeader","response":{"identifier":"h1","code":"` + code + `"}}},{"resource":` + outcome(words) + `}]}`
}

// What a third party answers decides what becomes of a message, rubbish included.
func TestTheAnswerDecides(t *testing.T) {
	p := newThird(t, nil)
	for name, c := range map[string]struct {
		status   int
		body     string
		kind     fault.Kind // Other than 0: tried again
		words    string
		answered bool
	}{
		"yes":                            {200, "", 0, "", false},
		"yes, later":                     {202, "rubbish", 0, "", false},
		"yes, with a response":           {200, response("ok", "fine"), 0, "", true},
		"a response that says no":        {200, response("fatal-error", "no such ward"), fault.Unprocessable, "no such ward", false},
		"a response that says not now":   {200, response("transient-error", "busy"), fault.Unavailable, "busy", false},
		"no":                             {422, outcome("no such ward"), fault.Unprocessable, "422, no such ward", false},
		"no, in rubbish":                 {400, "<html>", fault.Unprocessable, "400", false},
		"not found":                      {404, "", fault.Unprocessable, "404", false},
		"who are you":                    {401, outcome("token"), fault.Forbidden, "does not know us", false},
		"too many":                       {429, "", fault.Unavailable, "429", false},
		"broken":                         {500, outcome("stack"), fault.Unavailable, "500, stack", false},
		"away":                           {503, "", fault.Unavailable, "503", false},
		"elsewhere":                      {302, "", fault.Invalid, "neither yes nor no", false},
		"an answer that is far too long": {200, strings.Repeat("x", answerMost+10), 0, "", false},
		"a deep answer":                  {200, strings.Repeat("[", 100_000), 0, "", false},
	} {
		p.answer = func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/$process-message" || r.Header.Get("Idempotency-Key") != "1m82xhq8ne92wn9w92" || r.Header.Get("Content-Type") != "application/fhir+json" {
				t.Errorf("%s: asked %s %v", name, r.URL.Path, r.Header)
			}
			w.Header().Set("Location", "https://example.org/")
			w.WriteHeader(c.status)
			io.WriteString(w, c.body)
		}
		answer, err := carry(t, p, Access{}, letter, loopback())
		switch {
		case c.kind == 0 && (err != nil || len(answer) > 0 != c.answered):
			t.Errorf("%s: %v %q", name, err, answer)
		case c.kind != 0 && (fault.KindOf(err) != c.kind || !strings.Contains(fault.MessageOf(err), c.words)):
			t.Errorf("%s: %v %v", name, fault.KindOf(err), err)
		}
	}
}

// A third party that never answers, cuts the line or is not there is not reached; all that is for it waits.
func TestSilenceIsNotReached(t *testing.T) {
	p := newThird(t, nil)
	over := make(chan struct{})
	t.Cleanup(func() { close(over) })
	for name, answer := range map[string]func(w http.ResponseWriter, r *http.Request){
		"never answers": func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-r.Context().Done():
			case <-over:
			}
		},
		"cuts the line": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		p.answer = answer
		o := loopback()
		o.Within = 200 * time.Millisecond
		if _, err := carry(t, p, Access{}, letter, o); !fault.Is(err, fault.Unavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	p.Close()
	if _, err := carry(t, p, Access{Roots: x509.NewCertPool()}, letter, loopback()); !fault.Is(err, fault.Unavailable) {
		t.Errorf("is not there: %v", err)
	}
}

// What is not on the public internet is not called unless it is configured, and nobody is believed whose certificate is not to be trusted.
func TestWallsAndStrangers(t *testing.T) {
	p := newThird(t, nil)
	var asked atomic.Bool
	p.answer = func(http.ResponseWriter, *http.Request) { asked.Store(true) }
	if _, err := carry(t, p, Access{}, letter, outward.Options{}); !fault.Is(err, fault.Forbidden) {
		t.Errorf("loopback without being allowed: %v", err)
	}
	if _, err := carry(t, p, Access{Roots: x509.NewCertPool()}, letter, loopback()); !fault.Is(err, fault.Forbidden) || !strings.Contains(fault.MessageOf(err), "certificate") {
		t.Errorf("a certificate of nobody: %v", err)
	}
	for body, words := range map[string]string{`{"letter":"dear"}`: "is FHIR", `{"resourceType":"Bundle","type":"searchset"}`: "sent to nobody"} {
		if _, err := carry(t, p, Access{}, body, loopback()); !strings.Contains(fault.MessageOf(err), words) {
			t.Errorf("%s: %v", body, err)
		}
	}
	if asked.Load() {
		t.Error("the third party was asked")
	}
}

// authority makes certificates for clients of a test.
func authority(t *testing.T, name string) (pool *x509.CertPool, client tls.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	mould := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, mould, mould, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool = x509.NewCertPool()
	pool.AddCert(cert)
	return pool, tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestMutualTLS(t *testing.T) {
	pool, ours := authority(t, "us")
	_, strange := authority(t, "somebody")
	p := newThird(t, pool)
	p.answer = func(w http.ResponseWriter, r *http.Request) {
		if r.TLS.PeerCertificates[0].Subject.CommonName != "us" {
			t.Error("another certificate")
		}
	}
	if _, err := carry(t, p, Access{Certificate: &ours}, letter, loopback()); err != nil {
		t.Error(err)
	}
	for name, a := range map[string]Access{"nobody's": {}, "a stranger's": {Certificate: &strange}} {
		if _, err := carry(t, p, a, letter, loopback()); !fault.Is(err, fault.Unavailable) {
			t.Errorf("%s certificate: %v", name, err)
		}
	}
}

// The third party's identity service gives a token for a JWT signed with RS512, once for several messages; a token that is refused is not used again.
func TestClientCredentials(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	p := newThird(t, nil)
	given, posted := 0, 0
	p.answer = func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/token" {
			posted++
			if r.Header.Get("Authorization") != fmt.Sprintf("Bearer t%d", given) || posted == 3 {
				w.WriteHeader(http.StatusUnauthorized)
			}
			return
		}
		signed, err := jwt.ParseSigned(r.PostFormValue("client_assertion"), []jose.SignatureAlgorithm{jose.RS512})
		var claims jwt.Claims
		if err == nil {
			err = signed.Claims(&key.PublicKey, &claims)
		}
		if err != nil || claims.Issuer != "spine" || claims.Subject != "spine" || !claims.Audience.Contains(p.URL+"/token") || signed.Headers[0].KeyID != "k1" || claims.ID == "" {
			t.Errorf("the assertion: %v %+v", err, claims)
		}
		given++
		fmt.Fprintf(w, `{"access_token":"t%d","expires_in":"600"}`, given)
	}
	d, err := newRound(catalogue.Kernel{Outward: loopback(), Clock: clock.System()}, []Access{{Endpoint: "e1", Roots: p.roots(), OAuth: &outward.OAuth{TokenURL: p.URL + "/token", ID: "spine", KeyID: "k1", Key: text}}})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []bool{true, true, false, true} {
		_, err := d.carry(t.Context(), address{p.URL, connectionMessage}, messaging.Destination{Name: "e1"}, messaging.Message{ID: "x", Body: []byte(letter)})
		if (err == nil) != want || err != nil && !fault.Is(err, fault.Forbidden) {
			t.Errorf("message %d: %v", i, err)
		}
	}
	if given != 2 {
		t.Errorf("%d tokens were given", given)
	}
	p.answer = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }
	if d, err = newRound(catalogue.Kernel{Outward: loopback(), Clock: clock.System()}, []Access{{Endpoint: "e1", Roots: p.roots(), OAuth: &outward.OAuth{TokenURL: p.URL + "/token", ID: "spine", Key: text}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.carry(t.Context(), address{p.URL, connectionMessage}, messaging.Destination{Name: "e1"}, messaging.Message{Body: []byte(letter)}); !fault.Is(err, fault.Unavailable) {
		t.Errorf("an identity service that is broken: %v", err)
	}
	if _, err := newRound(catalogue.Kernel{}, []Access{{Endpoint: "e1", OAuth: &outward.OAuth{Key: []byte("no")}}}); !fault.Is(err, fault.Invalid) {
		t.Errorf("a key that is none: %v", err)
	}
}

// Whatever a third party answers, it is a yes, a refusal, or a failure in words that are short and can be shown.
func FuzzAnswers(f *testing.F) {
	for _, s := range []string{"", letter, outcome("no"), response("fatal-error", "no"), `{"resourceType":"Bundle","type":"message","entry":[{}]}`, "\xff\xfe"} {
		f.Add(200, []byte(s))
		f.Add(422, []byte(s))
	}
	f.Fuzz(func(t *testing.T, status int, text []byte) {
		if status < 200 || status > 599 {
			return
		}
		answer, err := heard(status, text)
		if status >= 300 {
			answer, err = nil, said(status, text)
			if err == nil {
				t.Fatal("no yes, and no failure")
			}
		}
		if err != nil && (answer != nil || len([]rune(fault.MessageOf(err))) > 300 || strings.ContainsAny(fault.MessageOf(err), "\n\r")) {
			t.Fatalf("%q", fault.MessageOf(err))
		}
	})
}
