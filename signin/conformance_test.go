package signin_test

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite docs/oauth.md")

// rule is one thing that a specification asks for, and the test that keeps it: shown is a text of that test, a name of its case, what it expects or what it says when
// the rule is broken. test is "" for a rule that is not kept, with the reason.
type rule struct{ from, says, test, why, shown string }

func rules() []rule {
	const (
		id     = "identity service"
		bcp    = "RFC 9700"
		system = "TestASystemProvesItselfBySignedJWT"
		code   = "TestACodeIsForOneUse"
		fresh  = "TestARefreshTokenIsForOneUse"
		pkce   = "TestPKCEIsHeldTo"
		goes   = "TestCodesGoToTheClientAlone"
		told   = "TestWhatGoesWrongIsToldToTheClient"
		whole  = "TestSomebodySignsInToAProgram"
		once   = "TestOfManyAtOnceOneAtMostIsAnswered"
	)
	return []rule{
		{id, "`GET /authorize` with response_type=code redirects with 302, code and state", whole, "", "the way back: %d to %s with %v"},
		{id, "400 and 401 carry error, error_description, message_id", system, "", "message_id"},
		{id, "a missing or unknown client_id is 401, redirect_uri 400, in the published words", goes, "", "invalid_request: client_id is missing"},
		{id, "`POST /token` by authorization_code: access_token, token_type, expires_in, refresh_token, refresh_count, refresh_token_expires_in", whole, "", "refresh_count"},
		{id, "`POST /token` by refresh_token", whole, "", "refreshed: %d %v"},
		{id, "each token request error in the published words", code, "", "invalid_request: authorization_code is missing"},
		{id, "`/oauth2-mock`: the form kc-form-login, a POST of username", "TestAClientTestSignsInByTyping", "", "%d: no form to post to"},
		{id, "client_credentials by signed JWT: RS512, kid, typ, iss = sub, aud, exp within 5 minutes, jti once, in the published words", system, "", "Invalid exp claim in JWT - more than 5 minutes in future"},
		{id, "a client's public keys at its own address; public_key error", "TestAClientsKeysAreWhereItSays", "", "a new key: %d, fetched %d times"},
		{id, "token exchange of an ID token", "TestTokensAreExchanged", "", "missing or invalid subject_token_type"},
		{id, "access tokens live 10 minutes, refresh tokens an hour", fresh, "", "after an hour: %d"},
		{id, "userinfo tells of people, not of systems", system, "", "a system asks who signed in: %d"},
		{bcp + " 2.1", "redirect URIs match exactly; the port of a loopback address may vary (RFC 8252 7.3)", goes, "", "https://example.org.evil.example/callback"},
		{bcp + " 2.1", "no open redirector: an error goes only to an address that is the client's", goes, "", "no address"},
		{bcp + " 2.1.1", "public clients must use PKCE; S256 alone; a code_verifier needs its code_challenge and the other way round (no downgrade)", pkce, "", "a public client without"},
		{bcp + " 2.1.2", "no implicit grant, no token in the front channel", told, "", "the implicit grant"},
		{bcp + " 2.2.2, 4.14", "refresh tokens rotate; reuse ends the family and its access tokens", fresh, "", "the rightful one goes on after a theft: %d"},
		{bcp + " 2.3", "tokens have one audience, and the least scope", system, "", "the system deletes what it may only read: %d"},
		{bcp + " 2.4", "no password grant", system, "", "password"},
		{bcp + " 2.5", "clients authenticate by signed JWT where they can; one way only", code, "", "invalid_request: a client shows who it is in one way only"},
		{bcp + " 2.6", "metadata is published; no CORS at the authorisation endpoint", told, "", "a script of another site can read the authorisation endpoint"},
		{bcp + " 4.2, 4.3", "tokens and codes travel in bodies and headers, not in addresses; no referrer leaves", system, "", "parameters in the address: %d"},
		{bcp + " 4.4", "mix-up: iss in every authorisation response, errors included (RFC 9207)", told, "", "iss"},
		{bcp + " 4.5", "a code is bound to its client, address and PKCE, for one use; replay ends what came of it", code, "", "the access token outlives a replayed code: %d"},
		{bcp + " 4.1", "thirty addresses that nearly match get neither a code nor an error", goes, "", "http://127.0.0.1:80@evil.example/callback"},
		{bcp + " 4.6", "a token of another client is not taken in exchange", "TestTokensAreExchanged", "", "another client's access token"},
		{bcp + " 4.7", "state comes back as it was; forms of other sites are refused", "TestAPersonAgreesFirst", "", "a form of another site: %d"},
		{bcp + " 4.8", "PKCE downgrade: a code_verifier without a code_challenge is refused", code, "", "a proof unasked"},
		{bcp + " 4.9", "a token of one client is of no use to another", "TestTokensAreExchanged", "", "another client's ID token"},
		{bcp + " 4.10", "sender-constrained tokens (DPoP, mutual TLS)", "", "not offered: tokens live ten minutes and end at once when revoked", ""},
		{bcp + " 4.12", "no redirect with 307", whole, "", "the way back: %d to %s with %v"},
		{bcp + " 4.13", "what a proxy might add (Forwarded, X-Forwarded-*, another Host) changes no address that is published or sent to", "TestNobodyTellsANodeItsAddress", "", "X-Forwarded-Host: evil.example"},
		{bcp + " 4.15", "a client cannot pass for a user: its subject has a name of its own", system, "", "a client with the name of a user passes for them: %+v %v"},
		{bcp + " 4.16", "no page in anybody's frame", "TestAPersonAgreesFirst", "", "frame-ancestors 'none'"},
		{bcp + " 4.17", "in-browser communication (postMessage)", "", "not offered: answers go by redirect alone", ""},
		{"RFC 6749 3.1", "a parameter that is there twice is refused", system, "", "the parameter grant_type is there more than once"},
		{"RFC 6749 10.12", "forms of other sites are refused", "TestAPersonAgreesFirst", "", "a form of another site: %d"},
		{"RFC 6750", "a bearer token in the Authorization header; WWW-Authenticate says why not", "TestAClientEndsAndAsksAboutItsOwnTokens", "", "without its secret: %d %s"},
		{"RFC 7009", "a client revokes its own tokens; an unknown token is no error", "TestAClientEndsAndAsksAboutItsOwnTokens", "", "ending nothing: %d %s"},
		{"RFC 7662", "a client asks about its own tokens; of others it learns only that they are not active", "TestAClientEndsAndAsksAboutItsOwnTokens", "", "about %s: %v"},
		{"RFC 7517", "several keys; a new one is shown before it signs, an old one until its tokens have expired", "TestKeysFollowOneAnother", "", "%d keys are shown when the last token of the old one has expired"},
		{"RFC 7519, 8725", "alg none, other algorithms, other keys, encrypted, huge and ambiguous JWTs are refused", system, "", "alg none, signed"},
		{"RFC 8414, Discovery", "metadata under its issuer; found and used by another implementation", "TestAnotherImplementationUnderstandsUs", "", "an ID token opens a record: %d"},
		{"RFC 8693", "exchange never widens, never prolongs, never crosses realms", "TestTokensAreExchanged", "", "a wider one: %d %s"},
		{"OpenID Connect Core", "nonce, at_hash, auth_time, acr, sid; an ID token opens nothing", "TestAnotherImplementationUnderstandsUs", "", "an ID token opens a record: %d"},
		{"OpenID Connect Core 3.1.2.1", "prompt=none, login, consent; max_age; requests by POST", told, "", "silent, not signed in"},
		{"OpenID Connect Core 15.1", "ID tokens by RS256", "", "ES256 only, as discovery says: one key type for everything that a node signs", ""},
		{"Back-Channel Logout", "clients are told of sign-out until they answer", "TestClientsAreToldOfSignOut", "", "what it is told: %v"},
		{"SMART App Launch 2 4.1", "smart-configuration is whole, at each FHIR address, and claims nothing that is not kept", "TestSmartConfigurationIsWhole", "", "%s: not capable of %s"},
		{"SMART App Launch 2 2.0.7", "launch from a record: the context is for one app, one user, one person, five minutes", "TestAnAppIsOpenedFromARecord", "", "another app"},
		{"SMART App Launch 2 2.0.8", "standalone launch: a professional chooses the person; patient/ scopes open one patient", "TestASmartAppSeesOnePatient", "", "without a patient: %d %s"},
		{"SMART App Launch 1 and 2, 3", "scopes of both versions, narrowed to what the client is registered for", "TestScopesOfBothVersions", "", "user/Observation.write"},
		{"SMART App Launch 2 3.0.2", "scopes limited by a search parameter", "", "not offered: asked for, they are not granted", ""},
		{"SMART App Launch 2 5", "client assertions by RS384 or ES384", "", "the published identity service takes RS512 alone; the capability is not claimed", ""},
		{"domain", "two realms: nothing of one opens anything of the other", "TestRealmsAreApart", "", "a patient's %s at a professionals' client: %d %s"},
		{"domain", "people agree to programs that are not part of the service, and can take it back", "TestAPersonAgreesFirst", "", "silently: %v"},
		{"domain", "no passwords: passkeys, recovery codes, one-time links", "TestPasskeysInABrowser", "", "Your recovery codes"},
		{"domain", "a one-time link is spent in the commit that keeps the passkey; of a hundred at once, one gets it", "TestALinkIsSpentWithThePasskey", "", "%d of %d got the link; %d passkeys, %d codes (%v %v)"},
		{"RFC 6749 10.10", "wrong secrets and signatures are not listened to for long; the program itself is", "TestAStrangerShutsNoProgramOut", "", "the program, from where it was right before: %d %s"},
		{"RFC 6585 4", "a client that asks too often is told when to come again, and takes no other's turns", "TestAProgramTakesItsTurns", "", "when it was told to come again: %d %s"},
		{"domain", "guessing locks the user's codes at that address, and the address", "TestGuessingLocks", "", "the right code while locked: %d"},
		{"domain", "a stranger's guesses shut no user out", "TestAStrangerShutsNobodyOut", "", "the user, from a new place: %d"},
		{"domain", "a role is chosen by whoever has several; a role that ends, ends its sessions and tokens", "TestARoleIsChosenByWhoeverHasSeveral", "", "a token in a role that ended: %d"},
		{"domain", "sign-in by external OpenID providers, as NHS CIS2 and NHS login: two nodes, one the provider of the other", "TestAProfessionalSignsInByWayOfAnotherNode", "", "Sign in with Smartcard"},
		{"domain", "a patient is known by a verified NHS number (P9); less, none, or another's lets nobody in", "TestAPatientSignsInByTheirVerifiedNumber", "", "no level"},
		{"domain", "accounts elsewhere are linked by a published identifier, a one-time link or by whoever is signed in; parted; a page where there is none", "TestAnAccountIsLinkedAndUnlinked", "", "by a one-time link: %d %s"},
		{"domain", "levels of assurance (AAL, IAL, P) go from the provider to the session, the grant, its tokens and userinfo", "TestARoleIsChosenAfterAProvider", "", "who the token speaks for: %+v %v"},
		{"domain", "a provider that is down closes one door; it is not asked at every knock", "TestAProviderThatIsDownClosesOneDoor", "", "asked %d times"},
		{"domain", "a provider of one realm lets in nobody of the other", "TestTheOtherRealmStaysShut", "", "a patient at the provider of professionals: %d at %s"},
		{bcp + " 4.5", "of forty uses at once of a code, a refresh token or an assertion one at most is answered, and what came of it ends when it was used again", once, "", "what came of %s that was sent forty times: %d, refreshed %d"},
		{bcp + " 4.5", "what was exchanged for a token ends with what that token came of", "TestWhatCameOfACodeEndsWithIt", "", "exchanged twice"},
		{"RFC 7515 4.1, RFC 8725 3.1, 3.10", "jku, x5u, jwk, x5c, crit and a kid that is an address, a path or SQL lead nowhere; RS256, PS512 and HS512 with the public key are not RS512", "TestHeadersOfAnAssertionLeadNowhere", "", "HS512 with the public key"},
		{"RFC 7519 4.1.4", "a clock that was ahead makes nothing good again when it is set back; half a minute of skew for access tokens", "TestAClockThatJumps", "", "an assertion is used again after the clock was set back: %d %s"},
		{"RFC 6749 5.1", "no cache keeps what is answered, errors included", "TestAnswersStayWithWhoAsked", "", "tokens without Pragma (RFC 6749 section 5.1)"},
		{bcp + " 2.6, Fetch 3.2", "other sites' scripts call what looks at no session, without cookies, and nothing else", "TestAnswersStayWithWhoAsked", "", "%s may be read by other sites"},
		{bcp + " 4.16", "every page of sign-in, of the mock and of choices refuses to be framed and tells no other site where it is", "TestAnswersStayWithWhoAsked", "", "%s: %d may be framed, or tells others where it is"},
		{bcp + " 4.11", "after signing in nobody is sent to another site, whatever a link says", "TestNobodyIsSentToAnotherSite", "", "/%5cevil.example"},
		{"RFC 6265, RFC 6797", "where the node's address is https, cookies are __Host-, Secure, HttpOnly and Lax, also behind a proxy that ends TLS", "TestCookiesAreForTLSAlone", "", "a session under the name %s: %d, want %d"},
		{"RFC 6749 10.12, Session fixation", "a session that was there before signing in is worth nothing; no other site signs anybody in or out", "TestASessionIsNotSomebodyElses", "", "sign-out by another site's form"},
		{"RP-Initiated Logout 1.0 2, 6", "whoever is signed in is asked; post_logout_redirect_uri is the client's or nobody's", "TestASessionIsNotSomebodyElses", "", "a program's sign-out asks first: %d %s"},
		{"Back-Channel Logout 2.7", "leaving, here or at the provider, ends what programs were given, at once, but for offline_access", "TestLeavingEndsWhatProgramsWereGiven", "", "what was to last: %d, refreshed %d %s"},
		{"Back-Channel Logout 2.7", "a provider's word ends programs too, also of a session in which nothing happened for long", "TestAProvidersWordEndsPrograms", "", "after %v the program goes on: %d, refreshed %d"},
		{"RFC 8252 8.6", "an app at a loopback port or a scheme of its own is asked about each time", "TestAnAppOnADeviceIsAskedAboutAgain", "", "%s: asked again: %d, want %d"},
		{"SMART App Launch 2 2.0.8", "an app chooses no patient in somebody's name", "TestAProgramChoosesNoPatient", "", "an app that says whom it is about: %d to %q"},
		{"RFC 7517, 7523", "a stranger has a client's key set asked for no oftener than every five seconds, whether or not it answers", "TestAStrangerMakesNoNodeKnock", "", "ten assertions knocked %d times"},
		{"WebAuthn 3 7.2", "a passkey is shown to this origin, for this page, once, with its owner verified; a counter that goes back is a copy", "TestAPasskeyIsShownToThisSiteOnce", "", "a counter that went back"},
		{"RFC 6749 10.10", "state, nonce, codes, secrets, forms, tokens and headers that are too long, or no text, are refused", "TestTooMuchIsRefused", "", "a byte that is no text"},
		{"domain", "a user or client who is not there is answered as one who is, and locked as soon", "TestNobodyLearnsWhoIsThere", "", "a client that is there and one that is not: %v"},
		{"domain", "no code, token, secret, assertion, state, session, link or NHS number is in the log", "TestLogsHoldNoSecret", "", "the %s is in the log"},
		{"domain", "the mock and one click are of demonstrations alone", "TestAMockIsOfDemonstrationsAlone", "", "one click: %d"},
		{"as a client: OpenID Connect Core 3.1.3.7", "the ID token is checked whole: iss, aud, azp, exp, iat, nbf, nonce, at_hash, typ, sub", "TestAnIDTokenIsCheckedWhole", "", "made for another (azp)"},
		{"as a client: RFC 8725", "alg none, HS256 with the public key or the secret, a stranger's key under a known kid, a key in the token, JSON form: refused", "TestAnIDTokenIsCheckedWhole", "", "a stranger's key, same kid"},
		{"as a client: RFC 7517", "keys follow one another; a key that was withdrawn ends; a flood of unknown keys has them read once", "TestAProvidersKeysFollowOneAnother", "", "the key that was withdrawn: %d"},
		{"as a client: OpenID Connect Core 3.1.2.1", "max_age and prompt=login are passed on, and auth_time is held to them", "TestAProgramThatWantsAFreshSignInGetsOne", "", "prompt=login is passed on as %v"},
		{"as a client: OpenID Connect Core 5.3", "userinfo is about the same subject, and never against the ID token", "TestWhoTheyAreMayComeFromUserinfo", "", "about somebody else: %d"},
		{"as a client: " + bcp + " 2.1, 4.7", "state is bound to the browser, for one use, for ten minutes", "TestTheWayBackIsForOneBrowserOnce", "", "in another browser: %d"},
		{"as a client: " + bcp + " 2.1.1, 4.5", "PKCE by S256 and nonce always; a stolen code does not fit", "TestTheWayBackIsForOneBrowserOnce", "", "with another's code: %d"},
		{"as a client: " + bcp + " 4.4, RFC 9207", "mix-up: an address to come back to for each provider, iss in the answer checked, and wanted when the provider says it sends it", "TestTheWayBackIsForOneBrowserOnce", "", "under no name"},
		{"as a client: " + bcp + " 4.11", "nobody is sent on to another site", "TestTheWayBackIsForOneBrowserOnce", "", "on to %q: %d to %s"},
		{"as a client: Back-Channel Logout", "a logout token is checked whole, once; by sid and by sub", "TestAProvidersWordThatSomebodyLeft", "", "its word again: %d"},
		{"as a client: RP-Initiated Logout", "signing out leads to the provider, and back", "TestSigningOutLeadsToTheProvider", "", "they are still signed in there"},
	}
}

// TestOAuthIsDocumented keeps docs/oauth.md equal to the rules, and each rule to a test that is there. A test that fails is red; one
// that goes missing is found here.
func TestOAuthIsDocumented(t *testing.T) {
	t.Parallel()
	tests := testsHere(t)
	var out strings.Builder
	out.WriteString("# OAuth 2, OpenID Connect and SMART: each rule and the test that keeps it\n\nThis table is written by `go test ./signin -run TestOAuthIsDocumented -update` from the rules in\n" +
		"`signin/conformance_test.go`. Each test named is one of package `signin`. Each rule also names a text of its test, the case that is tried or what is said when it is broken; a test or text that is not there fails the build.\nA way to try it with two nodes is in guide/sign-in-elsewhere.md.\n\n| specification | rule | kept by |\n|---|---|---|\n")
	for _, r := range rules() {
		kept := "`" + r.test + "`"
		switch {
		case r.test == "" && r.why == "":
			t.Errorf("%s: %s: no test and no reason", r.from, r.says)
		case r.test == "":
			kept = "not kept: " + r.why
		case tests[r.test] == nil:
			t.Errorf("%s: there is no test %s", r.from, r.test)
		case r.shown == "" || !tests[r.test][r.shown]:
			t.Errorf("%s: %s: %s holds no text %q", r.from, r.says, r.test, r.shown)
		}
		fmt.Fprintf(&out, "| %s | %s | %s |\n", r.from, r.says, kept)
	}
	path := "../docs/oauth.md"
	if *update {
		if err := os.WriteFile(path, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil || string(got) != out.String() {
		t.Errorf("docs/oauth.md is not what the rules say (%v): go test ./signin -run TestOAuthIsDocumented -update", err)
	}
}

// testsHere are the texts that each test holds.
func testsHere(t *testing.T) map[string]map[string]bool {
	t.Helper()
	paths, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]map[string]bool{}
	for _, path := range paths {
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || !strings.HasPrefix(fn.Name.Name, "Test") {
				continue
			}
			texts := map[string]bool{}
			ast.Inspect(fn, func(n ast.Node) bool {
				if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
					if text, err := strconv.Unquote(lit.Value); err == nil {
						texts[text] = true
					}
				}
				return true
			})
			found[fn.Name.Name] = texts
		}
	}
	return found
}
