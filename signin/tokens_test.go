package signin_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/internal/clock"
	"github.com/openspine/openspine/signin"
	"github.com/openspine/openspine/signin/oauth"
)

const idType, accessType = "urn:ietf:params:oauth:token-type:id_token", "urn:ietf:params:oauth:token-type:access_token"

func (h *house) read(token, what string) int {
	h.t.Helper()
	return h.call(http.DefaultClient, "GET", "/FHIR/R4/"+what, nil, "Authorization: Bearer "+token).status
}

// get is a text of an answer in JSON.
func get(m map[string]any, name string) string {
	s, _ := m[name].(string)
	return s
}

// TestAnotherImplementationUnderstandsUs has a library for clients of OpenID providers find us, and check what we sign.
func TestAnotherImplementationUnderstandsUs(t *testing.T) {
	t.Parallel()
	h := open(t, nil)
	c := browser()
	h.signIn(c, "clinician")
	provider, err := oidc.NewProvider(t.Context(), h.url)
	if err != nil {
		t.Fatal(err)
	}
	m := h.token(change(h.code(c, ask()))).json(t)
	id, err := provider.Verifier(&oidc.Config{ClientID: signin.DemoApp, SupportedSigningAlgs: []string{oidc.ES256}}).Verify(t.Context(), get(m, "id_token"))
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := id.Claims(&claims); err != nil {
		t.Fatal(err)
	}
	if id.Nonce != "n1" || id.Subject != "clinician" || claims["acr"] != "AAL3" || claims["realm"] != "professionals" || id.VerifyAccessToken(get(m, "access_token")) != nil {
		t.Errorf("the ID token: %+v", claims)
	}
	if got := h.read(get(m, "id_token"), "Patient/"+ownNumber); got != 401 {
		t.Errorf("an ID token opens a record: %d", got)
	}
	for _, path := range []string{"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server", "/FHIR/R4/.well-known/smart-configuration"} {
		d := h.call(http.DefaultClient, "GET", path, nil).json(t)
		if d["issuer"] != h.url || d["token_endpoint"] != h.url+oauth.PathToken || d["jwks_uri"] != h.url+oauth.PathKeys {
			t.Errorf("%s: %v", path, d)
		}
	}
}

// TestRealmsAreApart: nothing of patients opens anything of professionals, and the other way round.
func TestRealmsAreApart(t *testing.T) {
	t.Parallel()
	h := open(t, nil)
	h.client(oauth.Client{ID: "other-app", Name: "Another", Kind: oauth.Public, Realm: access.Patients, Redirects: []string{back}, Trusted: true, Scopes: []string{"openid", "patient/*.rs"}})
	patient, doctor := browser(), browser()
	h.signIn(patient, "patient")
	h.signIn(doctor, "clinician")
	forPatients := ask("client_id", "other-app", "scope", "openid patient/*.rs", "code_challenge", challenge(), "code_challenge_method", "S256")
	if to, _ := h.call(doctor, "GET", oauth.PathAuthorize+"?"+forPatients.Encode(), nil).location(t); to != "/sign-in" {
		t.Errorf("a doctor at a patients' app goes to %s", to)
	}
	if to, _ := h.call(patient, "GET", oauth.PathAuthorize+"?"+ask().Encode(), nil).location(t); to != "/sign-in" {
		t.Errorf("a patient at a professionals' app goes to %s", to)
	}
	got := h.token(change(h.code(patient, forPatients), "client_id", "other-app", "client_secret", "", "code_verifier", theVerifier))
	m := got.json(t)
	if got.status != 200 || m["patient"] != ownNumber {
		t.Fatalf("a patient's tokens: %d %s", got.status, got.body)
	}
	if a, b := h.read(get(m, "access_token"), "Patient/"+ownNumber), h.read(get(m, "access_token"), "Patient/"+otherNumber); a != 200 || b == 200 {
		t.Errorf("a patient reads their own record %d, another's %d", a, b)
	}
	c := h.client(oauth.Client{ID: "exchanger", Name: "Exchanges", Kind: oauth.Confidential, Realm: access.Professionals, Redirects: []string{back}, Keys: keySet(), Trusted: true,
		Scopes: []string{"openid", "user/*.rs"}, Default: []string{"user/*.rs"}, ExchangesFor: []string{"other-app", signin.DemoApp}})
	for _, kind := range []string{idType, accessType} {
		token := get(m, "id_token")
		if kind == accessType {
			token = get(m, "access_token")
		}
		got := h.exchange(c.ID, kind, token)
		if got.status != 400 || !strings.Contains(got.body, "realm") {
			t.Errorf("a patient's %s at a professionals' client: %d %s", kind, got.status, got.body)
		}
	}
	if _, err := h.node.Kernel().Issuer.Mint(access.Principal{ID: "x", Role: access.Clinician, Organisation: practice}, time.Minute); err != nil {
		t.Fatal(err)
	}
}

func (h *house) exchange(client, kind, token string, pairs ...string) reply {
	return h.token(with(url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "subject_token_type": {kind}, "subject_token": {token}, "client_assertion_type": {assertionType},
		"client_assertion": {sign(h.t, rsaKey(), jose.RS512, lawful(), h.proof(client))}}, pairs...))
}

// TestTokensAreExchanged as published, for nobody else's, for nothing wider, and no longer than what they came of.
func TestTokensAreExchanged(t *testing.T) {
	t.Parallel()
	h := open(t, nil)
	h.client(oauth.Client{ID: "exchanger", Name: "Exchanges", Kind: oauth.Confidential, Realm: access.Professionals, Redirects: []string{back}, Keys: keySet(), Trusted: true,
		Scopes: []string{"openid", "user/*.rs"}, Default: []string{"user/*.rs"}, ExchangesFor: []string{signin.DemoApp}})
	h.client(oauth.Client{ID: "stranger", Name: "Not trusted with it", Kind: oauth.Confidential, Realm: access.Professionals, Redirects: []string{back}, Keys: keySet(), Scopes: []string{"user/*.rs"}, Default: []string{"user/*.rs"}})
	c := browser()
	h.signIn(c, "clinician")
	from := h.token(change(h.code(c, ask()))).json(t)
	got := h.exchange("exchanger", idType, get(from, "id_token"))
	m := got.json(t)
	if got.status != 200 || m["issued_token_type"] != accessType || m["refresh_token"] == "" || h.read(get(m, "access_token"), "Patient/"+ownNumber) != 200 {
		t.Fatalf("an ID token: %d %s", got.status, got.body)
	}
	narrow := h.exchange("exchanger", accessType, get(from, "access_token"), "scope", "user/Patient.r")
	n := narrow.json(t)
	if narrow.status != 200 || n["scope"] != "user/Patient.r" || n["refresh_token"] != nil || h.read(get(n, "access_token"), "Patient/"+ownNumber) != 200 || h.read(get(n, "access_token"), "Observation") != 403 {
		t.Errorf("a narrower access token: %d %s", narrow.status, narrow.body)
	}
	for name, x := range map[string]struct{ client, kind, token, says string }{
		"another client's ID token":     {"stranger", idType, get(from, "id_token"), "aud claim"},
		"another client's access token": {"stranger", accessType, get(from, "access_token"), "another client's"},
		"an access token as ID token":   {"exchanger", idType, get(from, "access_token"), "Malformed JWT in subject_token"},
		"no token type":                 {"exchanger", "", get(from, "id_token"), "missing or invalid subject_token_type"},
		"no token":                      {"exchanger", idType, "", "Missing subject_token"},
		"alg none":                      {"exchanger", idType, "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.e30.", "Malformed JWT in subject_token"},
	} {
		if got := h.exchange(x.client, x.kind, x.token); got.status/100 != 4 || !strings.Contains(got.body, x.says) {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	if got := h.exchange("exchanger", accessType, get(n, "access_token"), "scope", "user/*.rs"); got.status != 400 {
		t.Errorf("a wider one: %d %s", got.status, got.body)
	}
	if err := h.node.Door().Everywhere(t.Context(), h.clerk(), "clinician"); err != nil {
		t.Fatal(err)
	}
	if a, b := h.read(get(m, "access_token"), "Patient/"+ownNumber), h.read(get(n, "access_token"), "Patient/"+ownNumber); a != 401 || b != 401 {
		t.Errorf("exchanged tokens after sign-out everywhere: %d %d", a, b)
	}
	if got := h.exchange("exchanger", idType, get(from, "id_token")); got.status != 400 {
		t.Errorf("an ID token after sign-out everywhere: %d", got.status)
	}
}

// TestAClientEndsAndAsksAboutItsOwnTokens, and about nobody else's.
func TestAClientEndsAndAsksAboutItsOwnTokens(t *testing.T) {
	t.Parallel()
	h := open(t, nil)
	h.system("lab")
	c := browser()
	h.signIn(c, "clinician")
	m := h.token(change(h.code(c, ask()))).json(t)
	own := url.Values{"client_id": {signin.DemoApp}, "client_secret": {signin.DemoSecret}}
	about := func(path string, who url.Values, token string) reply {
		return h.call(http.DefaultClient, "POST", path, with(who, "token", token))
	}
	lab := func() url.Values {
		return with(h.asserts(sign(t, rsaKey(), jose.RS512, lawful(), h.proof("lab"))), "grant_type", "")
	}
	if i := about(oauth.PathIntrospect, own, get(m, "access_token")).json(t); i["active"] != true || i["sub"] != "clinician" || i["client_id"] != signin.DemoApp || i["acr"] != "AAL3" {
		t.Errorf("about its own: %v", i)
	}
	for name, i := range map[string]map[string]any{"another's": about(oauth.PathIntrospect, lab(), get(m, "access_token")).json(t), "nonsense": about(oauth.PathIntrospect, own, "x").json(t)} {
		if len(i) != 1 || i["active"] != false {
			t.Errorf("about %s: %v", name, i)
		}
	}
	if got := about(oauth.PathRevoke, lab(), get(m, "access_token")); got.status != 400 || h.read(get(m, "access_token"), "Patient/"+ownNumber) != 200 {
		t.Errorf("another client ended it: %d", got.status)
	}
	if got := about(oauth.PathRevoke, own, "nonsense"); got.status != 200 {
		t.Errorf("ending nothing: %d %s", got.status, got.body)
	}
	if got := about(oauth.PathRevoke, with(own, "client_secret", "x"), get(m, "refresh_token")); got.status != 401 || !strings.HasPrefix(got.header.Get("WWW-Authenticate"), "Basic") {
		t.Errorf("without its secret: %d %s", got.status, got.header)
	}
	if got := about(oauth.PathRevoke, own, get(m, "refresh_token")); got.status != 200 {
		t.Errorf("ending its refresh token: %d %s", got.status, got.body)
	}
	if h.read(get(m, "access_token"), "Patient/"+ownNumber) != 401 || h.refresh(get(m, "refresh_token")).status != 400 {
		t.Error("what came of the same sign-in goes on")
	}
}

// TestAPersonAgreesFirst to a program that is not part of the service; can say no; is asked once; and can take it back.
func TestAPersonAgreesFirst(t *testing.T) {
	t.Parallel()
	h := open(t, nil)
	c := browser()
	h.signIn(c, "patient")
	q := ask("client_id", signin.DemoPatientApp, "scope", "openid launch/patient patient/Observation.rs", "code_challenge", challenge(), "code_challenge_method", "S256")
	page := h.call(c, "GET", oauth.PathAuthorize+"?"+q.Encode(), nil)
	if page.status != 200 || !strings.Contains(page.body, "see Observation in your record") || !strings.Contains(page.header.Get("Content-Security-Policy"), "form-action 'self' https://example.org") || !strings.Contains(page.header.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
		t.Fatalf("the question: %d %s", page.status, page.header.Get("Content-Security-Policy"))
	}
	if _, v := h.call(c, "GET", oauth.PathAuthorize+"?"+with(q, "prompt", "none").Encode(), nil).location(t); v.Get("error") != "consent_required" {
		t.Errorf("silently: %v", v)
	}
	if _, v := h.call(c, "POST", "/oauth2/consent", hidden(page.body, "answer", "no")).location(t); v.Get("error") != "access_denied" || v.Get("state") != "s1" {
		t.Errorf("no: %v", v)
	}
	if got := h.call(c, "POST", "/oauth2/consent", hidden(page.body, "answer", "yes", "form-token", "x")); got.status != 403 {
		t.Errorf("a form of another site: %d", got.status)
	}
	_, v := h.call(c, "POST", "/oauth2/consent", hidden(page.body, "answer", "yes")).location(t)
	m := h.token(change(v.Get("code"), "client_id", signin.DemoPatientApp, "client_secret", "", "code_verifier", theVerifier)).json(t)
	if m["patient"] != ownNumber || m["scope"] != "openid launch/patient patient/Observation.rs" {
		t.Fatalf("yes: %v", m)
	}
	if a, b := h.read(get(m, "access_token"), "Observation?subject=Patient/"+ownNumber), h.read(get(m, "access_token"), "Patient/"+ownNumber); a != 200 || b != 403 {
		t.Errorf("what was agreed to %d, what was not %d", a, b)
	}
	if h.code(c, q) == "" {
		t.Error("asked again")
	}
	devices := h.call(c, "GET", oauth.PathManage, nil)
	if !strings.Contains(devices.body, "Demonstration app for patients") {
		t.Error("the program is not among those that use the account")
	}
	if got := h.call(c, "POST", oauth.PathManage, hidden(devices.body, "program", signin.DemoPatientApp)); got.status != 303 {
		t.Errorf("stopping it: %d", got.status)
	}
	if got := h.read(get(m, "access_token"), "Observation?subject=Patient/"+ownNumber); got != 401 {
		t.Errorf("it goes on: %d", got)
	}
}

// TestASmartAppSeesOnePatient: the one whom a professional opened it for, and no other, in reads and searches.
func TestASmartAppSeesOnePatient(t *testing.T) {
	t.Parallel()
	h := open(t, nil)
	c := browser()
	h.signIn(c, "clinician")
	app, err := h.tokens().Client(t.Context(), signin.DemoSmartApp)
	if err != nil {
		t.Fatal(err)
	}
	app.Trusted = true
	h.client(app)
	q := ask("client_id", signin.DemoSmartApp, "scope", "launch patient/Patient.rs patient/Observation.rs", "code_challenge", challenge(), "code_challenge_method", "S256", "aud", h.url+"/FHIR/R4")
	p, err := h.node.Kernel().Gate.PrincipalOf(t.Context(), "clinician", "")
	if err != nil {
		t.Fatal(err)
	}
	launch, err := h.tokens().Launch(p, app, ownNumber)
	if err != nil {
		t.Fatal(err)
	}
	tokens := func(q url.Values) map[string]any {
		return h.token(change(h.code(c, q), "client_id", signin.DemoSmartApp, "client_secret", "", "code_verifier", theVerifier)).json(t)
	}
	m := tokens(with(q, "launch", launch))
	if m["patient"] != ownNumber {
		t.Fatalf("from the record: %v", m)
	}
	token := get(m, "access_token")
	if a, b := h.read(token, "Patient/"+ownNumber), h.read(token, "Patient/"+otherNumber); a != 200 || b == 200 {
		t.Errorf("the patient %d, another %d", a, b)
	}
	if got := h.call(http.DefaultClient, "GET", "/FHIR/R4/Patient?family=Marsh", nil, "Authorization: Bearer "+token); !strings.Contains(got.body, ownNumber) || strings.Contains(got.body, otherNumber) {
		t.Errorf("a search finds another patient: %d %s", got.status, got.body)
	}
	if got := h.call(c, "GET", oauth.PathAuthorize+"?"+q.Encode(), nil); got.status != 302 || !strings.Contains(got.header.Get("Location"), "invalid_request") {
		t.Errorf("without a patient: %d %s", got.status, got.header.Get("Location"))
	}
	if got := h.call(c, "GET", oauth.PathAuthorize+"?"+with(q, "launch", launch+"x").Encode(), nil); !strings.Contains(got.header.Get("Location"), "launch+is+invalid") {
		t.Errorf("with a launch that was changed: %d %s", got.status, got.header.Get("Location"))
	}
	alone := with(q, "scope", "launch/patient patient/Patient.rs")
	page := h.call(c, "GET", oauth.PathAuthorize+"?"+alone.Encode(), nil)
	if page.status != 200 || !strings.Contains(page.body, "NHS number") {
		t.Fatalf("opened by itself, whom is it about? %d", page.status)
	}
	chosen := h.call(c, "POST", "/oauth2/patient", hidden(page.body, "patient", "999 000 0026"))
	_, v := h.call(c, "GET", chosen.header.Get("Location"), nil).location(t)
	if m := h.token(change(v.Get("code"), "client_id", signin.DemoSmartApp, "client_secret", "", "code_verifier", theVerifier)).json(t); m["patient"] != otherNumber {
		t.Errorf("the patient who was chosen: %v", m)
	}
}

// TestClientsAreToldOfSignOut, again until they answer.
func TestClientsAreToldOfSignOut(t *testing.T) {
	t.Parallel()
	h := open(t, nil)
	told, tries := make(chan url.Values, 1), 0
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if tries++; tries == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		if r.ParseForm() == nil {
			told <- r.PostForm
		}
	}))
	t.Cleanup(app.Close)
	c, err := h.tokens().Client(t.Context(), signin.DemoApp)
	if err != nil {
		t.Fatal(err)
	}
	c.LogoutURL = app.URL
	h.client(c)
	b := browser()
	h.signIn(b, "clinician")
	m := h.token(change(h.code(b, ask()))).json(t)
	if err := h.node.Door().Everywhere(t.Context(), h.clerk(), "clinician"); err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := h.node.Kernel().Issuer.Open(access.TypeLogout, (<-told).Get("logout_token"), &claims); err != nil {
		t.Fatal(err)
	}
	if claims["aud"] != signin.DemoApp || claims["sub"] != "clinician" || claims["nonce"] != nil || claims["events"] == nil || h.refresh(get(m, "refresh_token")).status != 400 {
		t.Errorf("what it is told: %v", claims)
	}
}

// TestKeysFollowOneAnother: the new key is shown before it signs, the old one is known until its tokens have expired, and a key that was
// lost ends its tokens.
func TestKeysFollowOneAnother(t *testing.T) {
	t.Parallel()
	at := clock.NewFake(time.Now())
	h := open(t, at)
	c := browser()
	mint := func() string {
		h.signIn(c, "clinician")
		return get(h.token(change(h.code(c, ask()))).json(t), "access_token")
	}
	kids := func() int {
		keys, _ := h.call(http.DefaultClient, "GET", oauth.PathKeys, nil).json(t)["keys"].([]any)
		return len(keys)
	}
	kid := func(token string) string {
		parsed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.ES256})
		if err != nil {
			t.Fatal(err)
		}
		return parsed.Signatures[0].Header.KeyID
	}
	old := mint()
	fresh, err := access.RotateKeys(h.data, at.Now(), access.KeyLead)
	if err != nil {
		t.Fatal(err)
	}
	at.Advance(6 * time.Second)
	if before := mint(); kids() != 2 || kid(before) != kid(old) {
		t.Errorf("%d keys are shown; the new one signs before its time: %t", kids(), kid(before) == fresh.ID)
	}
	at.Advance(access.KeyLead)
	held := mint()
	if kid(held) != fresh.ID || h.read(held, "Patient/"+ownNumber) != 200 {
		t.Error("the new key does not sign in its time")
	}
	at.Advance(access.KeyOverlap)
	if kids() != 1 {
		t.Errorf("%d keys are shown when the last token of the old one has expired", kids())
	}
	last, unseen := mint(), mint()
	if h.read(last, "Patient/"+ownNumber) != 200 {
		t.Fatal("a token of the key in use does not hold")
	}
	if err := access.RetireKey(h.data, at.Now(), fresh.ID); err == nil {
		t.Error("the only key that signs was retired")
	}
	if _, err := access.RotateKeys(h.data, at.Now(), 0); err != nil {
		t.Fatal(err)
	}
	if err := access.RetireKey(h.data, at.Now(), fresh.ID); err != nil {
		t.Fatal(err)
	}
	at.Advance(6 * time.Second)
	if a, b := h.read(last, "Patient/"+ownNumber), h.read(unseen, "Patient/"+ownNumber); a != 401 || b != 401 {
		t.Errorf("tokens of a key that was lost: %d when remembered, %d when not", a, b)
	}
	if next := mint(); kid(next) == fresh.ID || h.read(next, "Patient/"+ownNumber) != 200 {
		t.Error("no key signs in the place of one that was lost")
	}
}
