package signin_test

import (
	"crypto/rand"
	"crypto/rsa"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/internal/clock"
	"github.com/openspine/openspine/internal/node"
	"github.com/openspine/openspine/signin/credential"
	"github.com/openspine/openspine/signin/limit"
	"github.com/openspine/openspine/signin/oauth"
)

// Where requests of these tests come from, by way of a proxy that the node trusts.
const (
	home     = "X-Forwarded-For: 198.51.100.4"
	stranger = "X-Forwarded-For: 203.0.113.9"
)

func behindProxy(c *node.Config) { c.TrustedProxies = []string{"127.0.0.1"} }

// later fails unless a refusal says, in OAuth's words, when to come again.
func (r reply) later(t *testing.T, seconds int) {
	t.Helper()
	if r.status != 429 || r.header.Get("Retry-After") != strconv.Itoa(seconds) || get(r.json(t), "error") != "temporarily_unavailable" || get(r.json(t), "error_description") == "" {
		t.Errorf("not 429 with Retry-After %d: %d %v %s", seconds, r.status, r.header["Retry-After"], r.body)
	}
}

// TestAStrangerShutsNoProgramOut guesses secrets and signatures: whoever does is not listened to for a minute, from there; the program itself
// is, from elsewhere always, and from there when it has been right there before.
func TestAStrangerShutsNoProgramOut(t *testing.T) {
	t.Parallel()
	at := clock.NewFake(time.Now())
	h := open(t, at, behindProxy)
	app := oauth.Client{ID: "ward", Name: "Ward round", Kind: oauth.Confidential, Realm: access.Professionals, Redirects: []string{"https://ward.example/back"}, Scopes: []string{"openid"}}
	secret, err := app.NewSecret()
	if err != nil {
		t.Fatal(err)
	}
	h.client(app)
	h.system("lab")
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	shows := func(secret, from string) reply {
		return h.call(http.DefaultClient, "POST", oauth.PathToken, url.Values{"grant_type": {"authorization_code"}, "code": {"none"}, "client_id": {"ward"}, "client_secret": {secret}}, from)
	}
	signs := func(key *rsa.PrivateKey, from string) reply {
		return h.call(http.DefaultClient, "POST", oauth.PathToken, h.asserts(sign(t, key, jose.RS512, lawful(), h.proof("lab"))), from)
	}
	if got := shows(secret, home); get(got.json(t), "error") != "invalid_grant" {
		t.Fatalf("the right secret: %d %s", got.status, got.body)
	}
	for range limit.ClientTries {
		if got := shows("guess", stranger); got.status != 401 || get(got.json(t), "error") != "invalid_client" {
			t.Fatalf("a guess: %d %s", got.status, got.body)
		}
		if got := signs(other, stranger); got.status != 401 {
			t.Fatalf("another key: %d %s", got.status, got.body)
		}
	}
	shows("guess", stranger).later(t, 60)
	shows(secret, stranger).later(t, 60) // nobody learns there that it was right
	signs(rsaKey(), stranger).later(t, 60)
	if got := shows(secret, home); got.status != 400 {
		t.Errorf("the program itself: %d %s", got.status, got.body)
	}
	if got := signs(rsaKey(), home); got.status != 200 {
		t.Errorf("the system itself: %d %s", got.status, got.body)
	}
	for range limit.ClientTries {
		shows("guess", home) // somebody in the same building
	}
	if got := shows(secret, home); got.status != 400 {
		t.Errorf("the program, from where it was right before: %d %s", got.status, got.body)
	}
	shows("guess", home).later(t, 60)
	at.Advance(limit.ShutFor)
	if got := signs(rsaKey(), stranger); got.status != 200 {
		t.Errorf("a minute later: %d %s", got.status, got.body)
	}
	if got := h.tokens().Refused(); got.Shut != 4 || got.Rate != 0 {
		t.Errorf("counted: %+v", got)
	}
}

// TestAProgramTakesItsTurns and nobody else's.
func TestAProgramTakesItsTurns(t *testing.T) {
	t.Parallel()
	at := clock.NewFake(time.Now())
	h := open(t, at, behindProxy, func(c *node.Config) { c.Limits = node.Limits{TokenClient: 3, TokenAddress: 2} })
	h.system("lab")
	h.system("second-lab")
	h.client(oauth.Client{ID: "app", Name: "An app", Kind: oauth.Public, Realm: access.Professionals, Redirects: []string{"https://app.example/back"}, Scopes: []string{"openid"}})
	asks := func(client string) reply {
		return h.token(h.asserts(sign(t, rsaKey(), jose.RS512, lawful(), h.proof(client))))
	}
	for range 3 {
		if got := asks("lab"); got.status != 200 {
			t.Fatalf("a turn: %d %s", got.status, got.body)
		}
	}
	asks("lab").later(t, 20)
	if got := asks("second-lab"); got.status != 200 {
		t.Errorf("another system: %d %s", got.status, got.body)
	}
	at.Advance(20 * time.Second)
	if got := asks("lab"); got.status != 200 {
		t.Errorf("when it was told to come again: %d %s", got.status, got.body)
	}
	redeems := func(from string) reply {
		return h.call(http.DefaultClient, "POST", oauth.PathToken, url.Values{"grant_type": {"authorization_code"}, "code": {"none"}, "client_id": {"app"}}, from)
	}
	redeems(stranger)
	redeems(stranger)
	redeems(stranger).later(t, 30)
	if got := redeems(home); got.status != 400 {
		t.Errorf("the app elsewhere: %d %s", got.status, got.body)
	}
	if got := h.tokens().Refused(); got.Rate != 2 {
		t.Errorf("counted: %+v", got)
	}
}

// TestAStrangerShutsNobodyOut guesses recovery codes, for longer than a lock lasts; the user comes in from where they are.
func TestAStrangerShutsNobodyOut(t *testing.T) {
	t.Parallel()
	at := clock.NewFake(time.Now())
	h := open(t, at, live, behindProxy)
	codes, err := h.node.Door().Credentials().NewRecovery(t.Context(), h.clerk(), "clinician")
	if err != nil {
		t.Fatal(err)
	}
	try := func(user, code, from string) int {
		return h.call(browser(), "POST", "/sign-in/recover", url.Values{"user": {user}, "code": {code}}, from).status
	}
	for range 4 {
		for range credential.UserTries {
			try("clinician", "guess", stranger)
		}
		if got := try("clinician", "guess", stranger); got != 429 {
			t.Errorf("the stranger: %d", got)
		}
		at.Advance(credential.LockFor / 2)
	}
	if got := try("clinician", codes[0], stranger); got != 429 {
		t.Errorf("a code that was stolen, while the stranger is locked out: %d", got)
	}
	if got := try("clinician", codes[0], home); got != 303 {
		t.Errorf("the user, from a new place: %d", got)
	}
	for i := range credential.AddressTries {
		try("nobody"+strconv.Itoa(i), "guess", home) // somebody in the same building
	}
	if got := try("clerk", "guess", home); got != 429 {
		t.Errorf("somebody who was never there: %d", got)
	}
	link, err := h.node.Door().Credentials().NewLink(t.Context(), h.clerk(), "clerk")
	if err != nil {
		t.Fatal(err)
	}
	for code, want := range map[string]int{link: 200, "guess": 429} {
		if got := h.call(browser(), "GET", "/sign-in/enrol?code="+code, nil, home); got.status != want {
			t.Errorf("a link from a locked address: %d, want %d", got.status, want)
		}
	}
	if got := try("clinician", codes[1], home); got != 303 {
		t.Errorf("the user, from where they came in before: %d", got)
	}
	at.Advance(credential.KnownFor + time.Minute)
	for i := range credential.AddressTries {
		try("nobody"+strconv.Itoa(i), "guess", home)
	}
	if got := try("clinician", codes[2], home); got != 429 {
		t.Errorf("the user, who has not been there for long: %d", got)
	}
	for range credential.UserTries {
		try("clinician", "guess", stranger)
	}
	if err := h.node.Door().Credentials().Unlock(t.Context(), "clinician"); err != nil {
		t.Fatal(err)
	}
	if got := try("clinician", codes[2], stranger); got != 303 {
		t.Errorf("after an administrator has opened the lock: %d", got)
	}
}

// TestLimitsOfGuessingAreThoseConfigured: how many failures lock a user's codes and an address, and for how long.
func TestLimitsOfGuessingAreThoseConfigured(t *testing.T) {
	t.Parallel()
	at := clock.NewFake(time.Now())
	h := open(t, at, live, behindProxy, func(c *node.Config) { c.Limits = node.Limits{UserTries: 2, AddressTries: 3, Locked: 2 * time.Minute} })
	codes, err := h.node.Door().Credentials().NewRecovery(t.Context(), h.clerk(), "clinician")
	if err != nil {
		t.Fatal(err)
	}
	try := func(user, code, from string) reply {
		return h.call(browser(), "POST", "/sign-in/recover", url.Values{"user": {user}, "code": {code}}, from)
	}
	for i, want := range []int{400, 400, 429} {
		if got := try("clinician", "guess", home); got.status != want {
			t.Errorf("guess %d at a user: %d, want %d", i+1, got.status, want)
		}
	}
	if got := try("clinician", codes[0], home); got.status != 429 || !strings.Contains(got.body, "Try again in 2 minutes") {
		t.Errorf("the right code while locked: %d", got.status)
	}
	for i, want := range []int{400, 400, 400, 429} {
		if got := try("nobody"+strconv.Itoa(i), "guess", stranger); got.status != want {
			t.Errorf("guess %d from an address: %d, want %d", i+1, got.status, want)
		}
	}
	at.Advance(2*time.Minute + time.Second)
	if got := try("clinician", codes[0], home); got.status != 303 {
		t.Errorf("two minutes later: %d %s", got.status, got.body)
	}
	if got := try("nobody9", "guess", stranger); got.status != 400 {
		t.Errorf("the address, two minutes later: %d", got.status)
	}
}
