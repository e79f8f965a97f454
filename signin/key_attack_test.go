package signin_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-webauthn/webauthn/protocol/webauthncbor"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/internal/clock"
	"github.com/openspine/openspine/signin"
	"github.com/openspine/openspine/signin/credential"
	"github.com/openspine/openspine/signin/oauth"
)

// holder is a device of the test that holds one passkey.
type holder struct {
	t      testing.TB
	key    *ecdsa.PrivateKey
	id     []byte
	handle []byte
}

// shown is what a device shows of itself; the zero value of a field is what is right.
type shown struct {
	origin, site, kind string
	counter            uint32
	flags              byte
	handle             []byte
	cross              bool
	key                *ecdsa.PrivateKey
}

type options struct {
	PublicKey struct {
		Challenge string `json:"challenge"`
		RP        struct {
			ID string `json:"id"`
		} `json:"rp"`
		RPID string `json:"rpId"`
		User struct {
			ID string `json:"id"`
		} `json:"user"`
	} `json:"publicKey"`
}

func read(t testing.TB, c credential.Ceremony) (o options) {
	t.Helper()
	if err := json.Unmarshal([]byte(c.Options), &o); err != nil {
		t.Fatal(err)
	}
	return o
}

func (d *holder) must(b []byte, err error) []byte {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
	return b
}

// enrol makes the device's passkey and gives it to a user.
func (h *house) enrolKey(user string) *holder {
	h.t.Helper()
	keep := h.node.Door().Credentials()
	u, err := h.node.Kernel().Gate.UserByID(h.t.Context(), user)
	if err != nil {
		h.t.Fatal(err)
	}
	c, err := keep.BeginPasskey(h.t.Context(), u)
	if err != nil {
		h.t.Fatal(err)
	}
	o := read(h.t, c)
	d := &holder{t: h.t, id: make([]byte, 16)}
	if d.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		h.t.Fatal(err)
	}
	rand.Read(d.id)
	d.handle = d.must(base64.RawURLEncoding.DecodeString(o.PublicKey.User.ID))
	point := d.must(d.key.PublicKey.Bytes())
	public := d.must(webauthncbor.Marshal(map[int]any{1: 2, 3: -7, -1: 1, -2: point[1:33], -3: point[33:]}))
	site := sha256.Sum256([]byte(o.PublicKey.RP.ID))
	data := append(site[:], 0x45, 0, 0, 0, 5)
	data = append(data, make([]byte, 16)...)
	data = binary.BigEndian.AppendUint16(data, uint16(len(d.id)))
	data = append(append(data, d.id...), public...)
	object := d.must(webauthncbor.Marshal(map[string]any{"fmt": "none", "attStmt": map[string]any{}, "authData": data}))
	client := d.must(json.Marshal(map[string]any{"type": "webauthn.create", "challenge": o.PublicKey.Challenge, "origin": h.named(), "crossOrigin": false}))
	text := base64.RawURLEncoding.EncodeToString
	answer := d.must(json.Marshal(map[string]any{"id": text(d.id), "rawId": text(d.id), "type": "public-key", "response": map[string]any{"clientDataJSON": text(client), "attestationObject": text(object)}}))
	if err := keep.FinishPasskey(h.t.Context(), h.clerk(), u, c.Seal, string(answer), "test"); err != nil {
		h.t.Fatal(err)
	}
	return d
}

// shows answers a page that asks for a passkey.
func (d *holder) shows(h *house, c credential.Ceremony, s shown) string {
	d.t.Helper()
	o := read(d.t, c)
	if s.origin == "" {
		s.origin = h.named()
	}
	if s.site == "" {
		s.site = o.PublicKey.RPID
	}
	if s.kind == "" {
		s.kind = "webauthn.get"
	}
	if s.flags == 0 {
		s.flags = 0x05 // present, verified
	}
	if s.handle == nil {
		s.handle = d.handle
	}
	if s.key == nil {
		s.key = d.key
	}
	site := sha256.Sum256([]byte(s.site))
	data := binary.BigEndian.AppendUint32(append(site[:], s.flags), s.counter)
	client := d.must(json.Marshal(map[string]any{"type": s.kind, "challenge": o.PublicKey.Challenge, "origin": s.origin, "crossOrigin": s.cross}))
	over := sha256.Sum256(client)
	sum := sha256.Sum256(append(append([]byte{}, data...), over[:]...))
	signature := d.must(ecdsa.SignASN1(rand.Reader, s.key, sum[:]))
	text := base64.RawURLEncoding.EncodeToString
	return string(d.must(json.Marshal(map[string]any{"id": text(d.id), "rawId": text(d.id), "type": "public-key",
		"response": map[string]any{"clientDataJSON": text(client), "authenticatorData": text(data), "signature": text(signature), "userHandle": text(s.handle)}})))
}

// TestAPasskeyIsShownToThisSiteOnce: what a device signed holds for the page that asked, here, once, with its owner there, and never with a counter that a copy of
// it would show (WebAuthn level 3, section 7.2).
func TestAPasskeyIsShownToThisSiteOnce(t *testing.T) {
	t.Parallel()
	at := clock.NewFake(time.Now())
	h := open(t, at, live)
	keep := h.node.Door().Credentials()
	d, other := h.enrolKey("clinician"), h.enrolKey("clerk")
	begin := func() credential.Ceremony {
		c, err := keep.BeginEntry()
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	enter := func(seal, answer string) int {
		return h.call(browser(), "POST", "/sign-in/passkey", url.Values{"seal": {seal}, "credential": {answer}}).status
	}
	for name, s := range map[string]shown{
		"another origin":               {origin: "https://evil.example"},
		"another port":                 {origin: "http://localhost:1"},
		"an origin that begins alike":  {origin: h.named() + ".evil.example"},
		"an origin with TLS":           {origin: strings.Replace(h.named(), "http:", "https:", 1)},
		"another site":                 {site: "evil.example"},
		"made, not shown":              {kind: "webauthn.create"},
		"nobody was there":             {flags: 0x04},
		"nobody was verified":          {flags: 0x01},
		"another's handle":             {handle: other.handle},
		"no handle":                    {handle: []byte{}},
		"another's key":                {key: other.key},
		"a counter that went back":     {counter: 3},
		"a counter that did not go on": {counter: 5},
	} {
		c := begin()
		if s.counter == 0 {
			s.counter = 6
		}
		if got := enter(c.Seal, d.shows(h, c, s)); got != 400 {
			t.Errorf("%s: %d", name, got)
		}
	}
	one, two := begin(), begin()
	answer := d.shows(h, one, shown{counter: 7})
	if got := enter(two.Seal, answer); got != 400 {
		t.Errorf("the answer to another page: %d", got)
	}
	if got := enter(one.Seal+"x", answer); got != 400 {
		t.Errorf("under a seal that was changed: %d", got)
	}
	u, err := h.node.Kernel().Gate.UserByID(t.Context(), "clinician")
	if err != nil {
		t.Fatal(err)
	}
	register, err := keep.BeginPasskey(t.Context(), u)
	if err != nil {
		t.Fatal(err)
	}
	register.Options = strings.Replace(register.Options, `"rp":`, `"rpId":"localhost","rp":`, 1)
	if got := enter(register.Seal, d.shows(h, register, shown{counter: 8})); got != 400 {
		t.Errorf("the challenge of another ceremony: %d", got)
	}
	if got := enter(one.Seal, answer); got != 303 {
		t.Fatalf("as it should be: %d", got)
	}
	if got := enter(one.Seal, answer); got != 400 {
		t.Errorf("the same again: %d", got)
	}
	late := begin()
	answer = d.shows(h, late, shown{counter: 9})
	at.Advance(11 * time.Minute)
	if got := enter(late.Seal, answer); got != 400 {
		t.Errorf("after eleven minutes: %d", got)
	}
	gone := begin()
	answer = d.shows(h, gone, shown{counter: 10})
	if err := keep.RemovePasskey(t.Context(), h.clerk(), "clinician", d.id); err != nil {
		t.Fatal(err)
	}
	if got := enter(gone.Seal, answer); got != 400 {
		t.Errorf("a passkey that was removed: %d", got)
	}
}

// TestAnAppOnADeviceIsAskedAboutAgain: what listens at a loopback port or claims a scheme may be another program than the one that was agreed to (RFC 8252
// section 8.6); one at an https address is not.
func TestAnAppOnADeviceIsAskedAboutAgain(t *testing.T) {
	t.Parallel()
	h := open(t, nil)
	h.client(oauth.Client{ID: "device", Name: "On a device", Kind: oauth.Public, Realm: access.Patients, Redirects: []string{back, "http://127.0.0.1/back", "uk.example.app:/back"}, Scopes: []string{"openid", "patient/*.rs"}})
	c := browser()
	h.signIn(c, "patient")
	asks := func(redirect string) (url.Values, reply) {
		q := ask("client_id", "device", "scope", "openid", "redirect_uri", redirect, "code_challenge", challenge(), "code_challenge_method", "S256")
		return q, h.call(c, "GET", oauth.PathAuthorize+"?"+q.Encode(), nil)
	}
	for redirect, again := range map[string]int{back: 302, "http://127.0.0.1:4000/back": 200, "uk.example.app:/back": 200} {
		_, page := asks(redirect)
		if page.status == 200 {
			h.call(c, "POST", "/oauth2/consent", hidden(page.body, "answer", "yes"))
		}
		q, got := asks(redirect)
		if got.status != again {
			t.Errorf("%s: asked again: %d, want %d", redirect, got.status, again)
		}
		_, v := h.call(c, "GET", oauth.PathAuthorize+"?"+with(q, "prompt", "none").Encode(), nil).location(t)
		if silent := v.Get("code") != ""; silent != (again == 302) {
			t.Errorf("%s: silently: %v", redirect, v)
		}
	}
}

// TestAProgramChoosesNoPatient in somebody's name: the parameter that says whom an app is about is the page's, signed, for that person, app and user.
func TestAProgramChoosesNoPatient(t *testing.T) {
	t.Parallel()
	h := open(t, nil)
	app, err := h.tokens().Client(t.Context(), signin.DemoSmartApp)
	if err != nil {
		t.Fatal(err)
	}
	app.Trusted = true
	h.client(app)
	c := browser()
	h.signIn(c, "clinician")
	q := ask("client_id", app.ID, "scope", "launch/patient patient/Patient.rs", "code_challenge", challenge(), "code_challenge_method", "S256", "patient", otherNumber)
	got := h.call(c, "GET", oauth.PathAuthorize+"?"+q.Encode(), nil)
	if got.status != 200 || !strings.Contains(got.body, "NHS number") {
		t.Errorf("an app that says whom it is about: %d to %q", got.status, got.header.Get("Location"))
	}
	if _, v := h.call(c, "GET", oauth.PathAuthorize+"?"+with(q, "prompt", "none").Encode(), nil).location(t); v.Get("error") != "interaction_required" {
		t.Errorf("silently: %v", v)
	}
}

// TestAStrangerMakesNoNodeKnock: assertions with a client's name and kids of their own have its key set fetched once, also while its address does not answer.
func TestAStrangerMakesNoNodeKnock(t *testing.T) {
	t.Parallel()
	at := clock.NewFake(time.Now())
	h := open(t, at)
	var knocked atomic.Int64
	down := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		knocked.Add(1)
		w.WriteHeader(http.StatusBadGateway)
	}))
	t.Cleanup(down.Close)
	c := h.system("lab")
	c.Keys, c.KeysURL = nil, down.URL
	h.client(c)
	for i := range 10 {
		kid := map[string]any{"typ": "JWT", "kid": strings.Repeat("k", i+1)}
		if got := h.token(h.asserts(sign(t, rsaKey(), jose.RS512, kid, h.proof("lab")))); got.status != 403 || get(got.json(t), "error") != "public_key error" {
			t.Errorf("%d %s", got.status, got.body)
		}
	}
	if n := knocked.Load(); n != 1 {
		t.Errorf("ten assertions knocked %d times", n)
	}
	at.Advance(6 * time.Second)
	h.token(h.asserts(sign(t, rsaKey(), jose.RS512, lawful(), h.proof("lab"))))
	if n := knocked.Load(); n != 2 {
		t.Errorf("six seconds later: %d times in all", n)
	}
}

// TestAMockIsOfDemonstrationsAlone: where people are real, nobody is let in by typing who they are.
func TestAMockIsOfDemonstrationsAlone(t *testing.T) {
	t.Parallel()
	h := open(t, nil, live)
	for _, path := range []string{"GET " + oauth.Mock + "/authorize", "GET " + oauth.Mock + "/sign-in", "POST " + oauth.Mock + "/sign-in", "POST " + oauth.Mock + "/token", "GET " + oauth.Mock + "/jwks"} {
		method, address, _ := strings.Cut(path, " ")
		if got := h.call(http.DefaultClient, method, address+"?"+ask().Encode(), nil); got.status != 404 {
			t.Errorf("%s: %d", path, got.status)
		}
	}
	if got := h.call(browser(), "POST", "/sign-in", url.Values{"user": {"clinician"}}); got.status != 403 || got.header.Get("Set-Cookie") != "" {
		t.Errorf("one click: %d", got.status)
	}
}
