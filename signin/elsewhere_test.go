package signin_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/internal/clock"
	"github.com/openspine/openspine/internal/node"
	"github.com/openspine/openspine/signin/oauth"
	"github.com/openspine/openspine/signin/provider"
	"github.com/openspine/openspine/web/webtest"
)

// keyFile is a file with a new private key.
func keyFile(t testing.TB) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return fileOf(t, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
}

func fileOf(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func trusting(settings ...provider.Settings) houseOption {
	return func(c *node.Config) { c.Demo, c.Providers = false, settings }
}

// twoHouses are two nodes: professionals have accounts at the first, which vouches for them at the second. The second shows itself by a key,
// which the first reads where it is published.
func twoHouses(t testing.TB, at *clock.Fake) (far, near *house) {
	t.Helper()
	far = open(t, at)
	near = open(t, at, trusting(provider.Settings{ID: "staff", Title: "Smartcard", Realm: access.Professionals, Issuer: far.url, Client: "near-staff", KeyFile: keyFile(t),
		Scopes: []string{"profile", "nhs-cis2"}, ACR: "AAL3_ANY", Least: "AAL3"}))
	far.client(oauth.Client{ID: "near-staff", Name: "The other node", Kind: oauth.Confidential, Realm: access.Professionals, Trusted: true, Scopes: []string{"openid", "profile", "nhs-cis2"},
		Redirects: []string{near.url + "/sign-in/with/staff/back", near.url + "/sign-in/with/staff/left"}, KeysURL: near.url + "/sign-in/with/staff/keys", LogoutURL: near.url + "/sign-in/with/staff/logout"})
	return far, near
}

// jars keeps cookies apart by port too, as if each node had a name of its own: a cookie knows a host and no port (RFC 6265 section 8.5).
type jars map[string]http.CookieJar

func (j jars) of(u *url.URL) http.CookieJar {
	if j[u.Host] == nil {
		j[u.Host] = browser().Jar
	}
	return j[u.Host]
}

// SetCookies is http.CookieJar.
func (j jars) SetCookies(u *url.URL, list []*http.Cookie) { j.of(u).SetCookies(u, list) }

// Cookies is http.CookieJar.
func (j jars) Cookies(u *url.URL) []*http.Cookie { return j.of(u).Cookies(u) }

// traveller is a browser that visits several nodes.
func traveller() *http.Client {
	c := browser()
	c.Jar = jars{}
	return c
}

// through follows a browser from one address over as many sites as it takes, and is where it ends; forms wait for their answers.
func (h *house) through(c *http.Client, address string) (reply, string) {
	h.t.Helper()
	for range 10 {
		got := h.call(c, "GET", address, nil, "Accept: text/html")
		next := got.header.Get("Location")
		if next == "" {
			return got, address
		}
		base, err := url.Parse(address)
		if err != nil {
			h.t.Fatal(err)
		}
		if strings.HasPrefix(address, "/") {
			base, _ = url.Parse(h.url + address)
		}
		to, err := base.Parse(next)
		if err != nil {
			h.t.Fatal(err)
		}
		address = to.String()
	}
	h.t.Fatal("it leads in a circle")
	return reply{}, ""
}

func (h *house) sessions(user string) []access.SessionInfo {
	h.t.Helper()
	list, err := h.node.Kernel().Gate.Sessions(h.t.Context(), user)
	if err != nil {
		h.t.Fatal(err)
	}
	return list
}

func (h *house) provider(id string) *provider.Provider {
	h.t.Helper()
	p, err := h.node.Door().Elsewhere().ByID(id)
	if err != nil {
		h.t.Fatal(err)
	}
	return p
}

// expect has the near node know a user by the far node's name for them.
func (h *house) expect(id, identifier, user string) {
	h.t.Helper()
	if err := h.node.Door().Elsewhere().Expect(h.t.Context(), h.clerk(), h.provider(id), identifier, user, "test"); err != nil {
		h.t.Fatal(err)
	}
}

// TestAProfessionalSignsInByWayOfAnotherNode is the whole way over two nodes: expected by an identifier, signed in as surely as there,
// with a role chosen here; known by the account from then on; signed out here when they are signed out there.
func TestAProfessionalSignsInByWayOfAnotherNode(t *testing.T) {
	t.Parallel()
	far, near := twoHouses(t, nil)
	near.expect("staff", "clerk", "clinician") // the far node's clerk is the near node's clinician: each says itself what they may do
	c := traveller()
	page := near.call(c, "GET", "/sign-in?to=/sign-in/sessions", nil)
	if page.status != 200 || !strings.Contains(page.body, "Sign in with Smartcard") || !strings.Contains(page.body, `href="/sign-in/with/staff?to=%2Fsign-in%2Fsessions"`) {
		t.Fatalf("the door: %d %s", page.status, page.body)
	}
	far.signIn(c, "clerk")
	got, at := near.through(c, near.url+"/sign-in/with/staff?to=/sign-in/sessions")
	if got.status != 200 || at != near.url+"/sign-in/sessions" || !strings.Contains(got.body, "Test clinician") || !strings.Contains(got.body, "Smartcard") {
		t.Fatalf("it ends at %s: %d %s", at, got.status, got.body)
	}
	list := near.sessions("clinician")
	if len(list) != 1 || list[0].Method != "with staff" || list[0].Assurance != "AAL3" {
		t.Fatalf("the session: %+v", list)
	}
	near.expect("staff", "clerk", "pharmacist")
	again := traveller()
	far.signIn(again, "clerk")
	if _, at := near.through(again, near.url+"/sign-in/with/staff"); at != near.url+"/" || len(near.sessions("clinician")) != 2 {
		t.Errorf("from then on they are whom the account stands for: %s", at)
	}
	// the far node's word goes by way of the test, which so knows when it has arrived
	told := make(chan int, 10)
	post := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ParseForm() == nil {
			got := near.call(http.DefaultClient, "POST", "/sign-in/with/staff/logout", r.PostForm)
			w.WriteHeader(got.status)
			told <- got.status
		}
	}))
	t.Cleanup(post.Close)
	app, err := far.tokens().Client(t.Context(), "near-staff")
	if err != nil {
		t.Fatal(err)
	}
	app.LogoutURL = post.URL
	far.client(app)
	if err := far.node.Door().Everywhere(t.Context(), far.clerk(), "clerk"); err != nil {
		t.Fatal(err)
	}
	if a, b := <-told, <-told; a != 200 || b != 200 || len(near.sessions("clinician")) != 0 {
		t.Errorf("signed out there: %d %d, and %d sessions go on here", a, b, len(near.sessions("clinician")))
	}
	if got := near.call(c, "GET", "/sign-in/sessions", nil); got.status != 401 {
		t.Errorf("the browser goes on: %d", got.status)
	}
}

// TestARoleIsChosenAfterAProvider, and the session of that role ends with the provider's too; what a program of this node is told of the
// sign-in is what the provider said.
func TestARoleIsChosenAfterAProvider(t *testing.T) {
	t.Parallel()
	f := fake(t)
	h := open(t, nil, trusting(f.settings("far")))
	h.expect("far", "someone", "clinician")
	second, err := h.node.Kernel().Gate.GiveRole(t.Context(), h.clerk(), "clinician", access.Profile{Role: access.PrivacyOfficer, Organisation: practice}, "test")
	if err != nil {
		t.Fatal(err)
	}
	c := browser()
	got := f.arrive(h, c, nil)
	if to, _ := got.location(t); got.status != 303 || to != "/sign-in/role" {
		t.Fatalf("somebody with two roles: %d to %s", got.status, to)
	}
	page := h.call(c, "GET", "/sign-in/role", nil)
	if got := h.call(c, "POST", "/sign-in/role", hidden(page.body, "role", second.ID)); got.status != 303 {
		t.Fatalf("choosing: %d %s", got.status, got.body)
	}
	h.client(oauth.Client{ID: "app", Name: "An app", Kind: oauth.Public, Realm: access.Professionals, Redirects: []string{back}, Trusted: true, Scopes: []string{"openid"}})
	q := ask("client_id", "app", "scope", "openid", "code_challenge", challenge(), "code_challenge_method", "S256")
	m := h.token(change(h.code(c, q), "client_id", "app", "client_secret", "", "code_verifier", theVerifier)).json(t)
	who := h.call(http.DefaultClient, "GET", "/oauth2/userinfo", nil, "Authorization: Bearer "+get(m, "access_token")).json(t)
	if who["authentication_assurance_level"] != "3" || who["id_assurance_level"] != "3" {
		t.Errorf("what a program is told: %v", who)
	}
	p, err := h.node.Kernel().Verifier.Verify(t.Context(), get(m, "access_token"))
	if err != nil || p.Assurance != "AAL3" || p.Proofing != "IAL3" || p.Role != access.PrivacyOfficer {
		t.Errorf("who the token speaks for: %+v %v", p, err)
	}
	if got := h.call(http.DefaultClient, "POST", "/sign-in/with/far/logout", url.Values{"logout_token": {f.logoutToken(nil)}}); got.status != 200 {
		t.Fatalf("the provider's word: %d %s", got.status, got.body)
	}
	if len(h.sessions("clinician")) != 0 {
		t.Error("the session in the role that was chosen goes on")
	}
}

// TestAPatientSignsInByTheirVerifiedNumber, with a secret between the nodes; at less than P9, and with another's number, nobody comes in.
func TestAPatientSignsInByTheirVerifiedNumber(t *testing.T) {
	t.Parallel()
	far := open(t, nil)
	near := open(t, nil, trusting(provider.Settings{ID: "people", Title: "National login", Realm: access.Patients, Issuer: far.url, Client: "near", SecretFile: fileOf(t, "s3cret\n"), Scopes: []string{"openid", "nhs-login"}}))
	cl := oauth.Client{ID: "near", Name: "The other node", Kind: oauth.Confidential, Realm: access.Patients, Trusted: true, Redirects: []string{near.url + "/sign-in/with/people/back"}, Scopes: []string{"openid", "nhs-login"}}
	cl.SetSecret("s3cret")
	far.client(cl)
	c := traveller()
	far.signIn(c, "patient")
	got, at := near.through(c, near.url+"/sign-in/with/people?to=/sign-in/sessions")
	if got.status != 200 || at != near.url+"/sign-in/sessions" || !strings.Contains(got.body, "National login") {
		t.Fatalf("it ends at %s: %d %s", at, got.status, got.body)
	}
	if list := near.sessions("patient"); len(list) != 1 || list[0].Assurance != "P9" {
		t.Errorf("the session: %+v", list)
	}
	f := fake(t)
	f.patient()
	h := open(t, nil, trusting(func() provider.Settings { s := f.settings("login"); s.Realm, s.Least = access.Patients, "P5"; return s }()))
	for name, x := range map[string]struct {
		change claims
		status int
		says   string
	}{
		"P5 alone, nobody linked":  {claims{"identity_proofing_level": "P5"}, 403, "There is no account for you here"},
		"P0":                       {claims{"identity_proofing_level": "P0"}, 403, "is not sure enough"},
		"no level":                 {claims{"identity_proofing_level": nil}, 403, "is not sure enough"},
		"a number of nobody here":  {claims{"nhs_number": "9000000009"}, 403, "There is no account for you here"},
		"no number":                {claims{"nhs_number": nil}, 403, "There is no account for you here"},
		"a number that is none":    {claims{"nhs_number": "9990000019"}, 400, "You were not signed in"},
		"an identifier of a staff": {claims{"nhs_number": nil, "nhsid_useruid": "clinician"}, 403, "There is no account for you here"},
	} {
		if got := f.arrive(h, browser(), x.change); got.status != x.status || !strings.Contains(got.body, x.says) {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	if got := f.arrive(h, browser(), claims{"identity_proofing_level": nil, "vot": "P9.Cp.Cd"}); got.status != 303 {
		t.Errorf("P9 by vot: %d %s", got.status, got.body)
	}
	if got := f.arrive(h, browser(), claims{"nhs_number": otherNumber}); got.status != 409 {
		t.Errorf("the same account with another's number: %d %s", got.status, got.body)
	}
	if got := f.arrive(h, browser(), claims{"identity_proofing_level": "P5", "nhs_number": nil}); got.status != 303 || h.sessions("patient")[0].Assurance == "" {
		t.Errorf("once linked, as sure as this time: %d %s", got.status, got.body)
	}
}

// TestAnAccountIsLinkedAndUnlinked by a one-time link, by whoever is signed in, and by nobody else; a page says so where there is none.
func TestAnAccountIsLinkedAndUnlinked(t *testing.T) {
	t.Parallel()
	f := fake(t)
	h := open(t, nil, trusting(f.settings("far")))
	doors := h.node.Door()
	if got := f.arrive(h, browser(), nil); got.status != 403 || !strings.Contains(got.body, "There is no account for you here") || !strings.Contains(got.body, "Sign in another way") {
		t.Errorf("nobody here: %d %s", got.status, got.body)
	}
	link := h.link("clinician")
	c := browser()
	page := h.call(c, "GET", strings.Replace(link, h.named(), h.url, 1), nil)
	_, code, _ := strings.Cut(link, "?code=")
	if !strings.Contains(page.body, `href="/sign-in/with/far?code=`+code+`"`) {
		t.Fatalf("the page of a one-time link: %s", page.body)
	}
	if got := f.arriveFrom(h, c, "/sign-in/with/far?code="+code, nil); got.status != 303 {
		t.Fatalf("by a one-time link: %d %s", got.status, got.body)
	}
	if got := f.arriveFrom(h, browser(), "/sign-in/with/far?code="+code, claims{"sub": "someone-else"}); got.status != 404 {
		t.Errorf("the link again, for somebody else: %d %s", got.status, got.body)
	}
	if got := f.arrive(h, browser(), nil); got.status != 303 || len(h.sessions("clinician")) != 2 {
		t.Errorf("known from then on: %d", got.status)
	}
	own := h.call(c, "GET", "/sign-in/sessions", nil)
	if !strings.Contains(own.body, "Far away") || !strings.Contains(own.body, "Stop using it") {
		t.Fatalf("my accounts elsewhere: %s", own.body)
	}
	if got := h.call(c, "POST", "/sign-in/sessions", hidden(own.body, "provider", f.server.URL)); got.status != 303 {
		t.Fatalf("unlinking: %d %s", got.status, got.body)
	}
	if len(h.sessions("clinician")) != 0 {
		t.Error("sessions that came of it go on")
	}
	if got := f.arrive(h, browser(), nil); got.status != 403 {
		t.Errorf("after unlinking: %d", got.status)
	}
	if err := doors.Elsewhere().Part(t.Context(), h.clerk(), "clinician", f.server.URL, "test"); err == nil {
		t.Error("unlinked twice")
	}
	// whoever is signed in adds it, with a page of their own
	codes, err := doors.Credentials().NewRecovery(t.Context(), h.clerk(), "clerk")
	if err != nil {
		t.Fatal(err)
	}
	if got := h.call(c, "POST", "/sign-in/recover", url.Values{"user": {"clerk"}, "code": {codes[0]}}); got.status != 303 {
		t.Fatalf("signing in: %d", got.status)
	}
	own = h.call(c, "GET", "/sign-in/sessions", nil)
	_, rest, _ := strings.Cut(own.body, `href="/sign-in/with/far?connect=`)
	token, _, _ := strings.Cut(rest, `"`)
	if got := h.call(c, "GET", "/sign-in/with/far?connect=guess", nil); got.status != 403 {
		t.Errorf("a link of another site: %d", got.status)
	}
	if got := f.arriveFrom(h, c, "/sign-in/with/far?connect="+token, nil); got.status != 303 || !strings.Contains(got.header.Get("Location"), "done=connected") {
		t.Fatalf("adding it: %d %s", got.status, got.body)
	}
	if got := f.arrive(h, browser(), nil); got.status != 303 || len(h.sessions("clerk")) != 2 {
		t.Errorf("with the account that was added: %d", got.status)
	}
	// one account stands for one user, and a user has one account at a provider
	if got := f.arriveFrom(h, c, "/sign-in/with/far?connect="+token, claims{"sub": "another"}); got.status != 409 || !strings.Contains(got.body, "belongs to somebody else") {
		t.Errorf("a second account: %d %s", got.status, got.body)
	}
	h.expect("far", "third", "clerk")
	if got := f.arrive(h, browser(), claims{"sub": "third", "nhsid_useruid": "third"}); got.status != 409 {
		t.Errorf("a second account, by its identifier: %d", got.status)
	}
	if err := h.node.Kernel().Gate.Leave(t.Context(), h.clerk(), "clerk", "left"); err != nil {
		t.Fatal(err)
	}
	if got := f.arrive(h, browser(), nil); got.status != 403 || !strings.Contains(got.body, "There is no account") {
		t.Errorf("a user who has left: %d", got.status)
	}
	if err := doors.Elsewhere().Expect(t.Context(), h.clerk(), h.provider("far"), "x", "patient", "test"); err == nil {
		t.Error("a provider of professionals vouches for a patient")
	}
}

// TestAProviderThatIsDownClosesOneDoor: a page says so, other ways in stay open, and it is not asked at every knock.
func TestAProviderThatIsDownClosesOneDoor(t *testing.T) {
	t.Parallel()
	at := clock.NewFake(time.Now())
	f := fake(t)
	h := open(t, at, trusting(f.settings("far")))
	h.expect("far", "someone", "clinician")
	f.now = at.Now
	f.down.Store(true)
	for range 5 {
		got := h.call(browser(), "GET", "/sign-in/with/far?to=/sign-in/sessions", nil)
		if got.status != 503 || !strings.Contains(got.body, "Far away does not answer") || !strings.Contains(got.body, "Try again with Far away") || got.header.Get("Retry-After") == "" {
			t.Fatalf("down: %d %s", got.status, got.body)
		}
	}
	if n := f.asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
	if got := h.call(browser(), "GET", "/sign-in", nil); got.status != 200 || !strings.Contains(got.body, "Use a recovery code") {
		t.Errorf("the other ways in: %d", got.status)
	}
	codes, err := h.node.Door().Credentials().NewRecovery(t.Context(), h.clerk(), "clinician")
	if err != nil {
		t.Fatal(err)
	}
	if got := h.call(browser(), "POST", "/sign-in/recover", url.Values{"user": {"clinician"}, "code": {codes[0]}}); got.status != 303 {
		t.Errorf("signing in here: %d", got.status)
	}
	f.down.Store(false)
	at.Advance(11 * time.Second)
	if got := f.arrive(h, browser(), nil); got.status != 303 {
		t.Fatalf("when it is back: %d %s", got.status, got.body)
	}
	// while somebody is on their way
	c := browser()
	state, _ := f.setOut(h, c, "/sign-in/with/far")
	f.down.Store(true)
	if got := f.comeBack(h, c, state); got.status != 503 {
		t.Errorf("it goes down meanwhile: %d %s", got.status, got.body)
	}
	f.down.Store(false)
	for answer, status := range map[string]int{"access_denied": 403, "temporarily_unavailable": 503, "server_error": 503, "login_required": 403} {
		state, _ := f.setOut(h, c, "/sign-in/with/far")
		if got := h.call(c, "GET", "/sign-in/with/far/back?"+url.Values{"state": {state}, "error": {answer}, "iss": {f.server.URL}}.Encode(), nil); got.status != status {
			t.Errorf("%s: %d %s", answer, got.status, got.body)
		}
	}
}

// TestSigningOutLeadsToTheProvider, where they may still be signed in, and back.
func TestSigningOutLeadsToTheProvider(t *testing.T) {
	t.Parallel()
	far, near := twoHouses(t, nil)
	near.expect("staff", "clinician", "clinician")
	c := traveller()
	far.signIn(c, "clinician")
	page, _ := near.through(c, near.url+"/sign-in/with/staff?to=/sign-in/sessions")
	got := near.call(c, "POST", "/sign-out", hidden(page.body))
	door := near.call(c, "GET", got.header.Get("Location"), nil)
	if !strings.Contains(door.body, "You may still be signed in to Smartcard") || !strings.Contains(door.body, "/sign-in/with/staff/leave") {
		t.Fatalf("after signing out: %d %s", door.status, door.body)
	}
	ask, _ := near.through(c, near.url+"/sign-in/with/staff/leave")
	if !strings.Contains(ask.body, "Do you want to sign out?") {
		t.Fatalf("the provider asks: %d %s", ask.status, ask.body)
	}
	if got := far.call(c, "POST", "/oauth2/logout", hidden(ask.body)); got.header.Get("Location") != near.url+"/sign-in/with/staff/left" {
		t.Errorf("and sends back to %s", got.header.Get("Location"))
	}
	if len(far.sessions("clinician")) != 0 {
		t.Error("they are still signed in there")
	}
}

// TestTheOtherRealmStaysShut: a provider of professionals lets no patient in, whatever it says, nor the other way round.
func TestTheOtherRealmStaysShut(t *testing.T) {
	t.Parallel()
	far, near := twoHouses(t, nil)
	c := traveller()
	far.signIn(c, "patient")
	got, at := near.through(c, near.url+"/sign-in/with/staff")
	if !strings.HasPrefix(at, far.url+"/sign-in") || len(near.sessions("patient")) != 0 {
		t.Errorf("a patient at the provider of professionals: %d at %s", got.status, at)
	}
	f := fake(t)
	h := open(t, nil, trusting(f.settings("far")))
	link := h.link("patient")
	_, code, _ := strings.Cut(link, "?code=")
	if got := f.arriveFrom(h, browser(), "/sign-in/with/far?code="+code, nil); got.status != 403 || len(h.sessions("patient")) != 0 {
		t.Errorf("a patient's link, by way of a provider of professionals: %d", got.status)
	}
	if _, err := h.node.Door().Credentials().Link(t.Context(), code, "192.0.2.1"); err != nil {
		t.Errorf("the link was used up: %v", err)
	}
	if got := f.arrive(h, browser(), claims{"nhs_number": ownNumber, "identity_proofing_level": "P9"}); got.status != 403 || len(h.sessions("patient")) != 0 {
		t.Errorf("a provider of professionals names a patient: %d", got.status)
	}
}

// TestAccountsElsewhereLookRight among my devices and sessions.
func TestAccountsElsewhereLookRight(t *testing.T) {
	t.Parallel()
	f := fake(t)
	h := open(t, nil, trusting(f.settings("far")))
	b := webtest.NewBrowser(t)
	h.expect("far", "someone", "clerk")
	c := browser()
	if got := f.arrive(h, c, nil); got.status != 303 {
		t.Fatal(got.status)
	}
	for name, options := range map[string][]webtest.Option{"desk": nil, "phone": {webtest.Phone(), webtest.NoScript()}} {
		for _, cookie := range c.Jar.Cookies(mustURL(t, h.url)) {
			options = append(options, webtest.Cookie(cookie.Name, cookie.Value))
		}
		p := b.Open(t, h.url+"/sign-in/sessions", options...)
		p.Sees("Your accounts elsewhere that you can sign in with", "Stop using it")
		p.Axe()
		p.NoSideways()
		p.Screenshot("provider-devices-" + name + ".png")
	}
}

// TestTheWaysInLookRight at a desk, on a phone and without scripts.
func TestTheWaysInLookRight(t *testing.T) {
	t.Parallel()
	f := fake(t)
	h := open(t, nil, trusting(f.settings("far")))
	b := webtest.NewBrowser(t)
	look := func(t *testing.T, name string, options ...webtest.Option) {
		p := b.Open(t, h.named()+"/sign-in", options...)
		p.Sees("Sign in with Far away")
		p.Axe()
		p.NoSideways()
		p.Screenshot("provider-door-" + name + ".png")
		p.Go(h.link("clinician"))
		p.Sees("You need no passkey then", "Sign in with Far away")
		p.Axe()
		p.NoSideways()
		f.down.Store(true)
		p.Go(h.named() + "/sign-in?left=far")
		p.Sees("You may still be signed in to Far away")
		p.Axe()
		p.NoSideways()
		p.Screenshot("provider-left-" + name + ".png")
		p.Go(h.named() + "/sign-in/with/far")
		p.Sees("Far away does not answer", "Sign in another way")
		p.Axe()
		p.NoSideways()
		p.Screenshot("provider-down-" + name + ".png")
		f.down.Store(false)
		p.Go(h.named() + "/sign-in/with/far/back?state=x")
		p.Sees("Start again")
		p.Axe()
	}
	t.Run("desk", func(t *testing.T) { look(t, "desk") })
	t.Run("phone", func(t *testing.T) { look(t, "phone", webtest.Phone()) })
	t.Run("without scripts", func(t *testing.T) { look(t, "plain", webtest.Phone(), webtest.NoScript()) })
}
