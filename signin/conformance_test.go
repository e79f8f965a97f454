package signin_test

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite docs/oauth.md")

// rule is one thing that a specification asks for, and the test that keeps it; "" for one that is not kept, with the reason.
type rule struct{ from, says, test, why string }

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
	)
	return []rule{
		{id, "`GET /authorize` with response_type=code redirects with 302, code and state", whole, ""},
		{id, "400 and 401 carry error, error_description, message_id", system, ""},
		{id, "a missing or unknown client_id is 401, redirect_uri 400, in the published words", goes, ""},
		{id, "`POST /token` by authorization_code: access_token, token_type, expires_in, refresh_token, refresh_count, refresh_token_expires_in", whole, ""},
		{id, "`POST /token` by refresh_token", whole, ""},
		{id, "each token request error in the published words", code, ""},
		{id, "`/oauth2-mock`: the form kc-form-login, a POST of username", "TestAClientTestSignsInByTyping", ""},
		{id, "client_credentials by signed JWT: RS512, kid, typ, iss = sub, aud, exp within 5 minutes, jti once, in the published words", system, ""},
		{id, "a client's public keys at its own address; public_key error", "TestAClientsKeysAreWhereItSays", ""},
		{id, "token exchange of an ID token", "TestTokensAreExchanged", ""},
		{id, "access tokens live 10 minutes, refresh tokens an hour", fresh, ""},
		{id, "userinfo tells of people, not of systems", system, ""},
		{bcp + " 2.1", "redirect URIs match exactly; the port of a loopback address may vary (RFC 8252 7.3)", goes, ""},
		{bcp + " 2.1", "no open redirector: an error goes only to an address that is the client's", goes, ""},
		{bcp + " 2.1.1", "public clients must use PKCE; S256 alone; a code_verifier needs its code_challenge and the other way round (no downgrade)", pkce, ""},
		{bcp + " 2.1.2", "no implicit grant, no token in the front channel", told, ""},
		{bcp + " 2.2.2, 4.14", "refresh tokens rotate; reuse ends the family and its access tokens", fresh, ""},
		{bcp + " 2.3", "tokens have one audience, and the least scope", system, ""},
		{bcp + " 2.4", "no password grant", system, ""},
		{bcp + " 2.5", "clients authenticate by signed JWT where they can; one way only", code, ""},
		{bcp + " 2.6", "metadata is published; no CORS at the authorisation endpoint", told, ""},
		{bcp + " 4.2, 4.3", "tokens and codes travel in bodies and headers, not in addresses; no referrer leaves", system, ""},
		{bcp + " 4.4", "mix-up: iss in every authorisation response, errors included (RFC 9207)", told, ""},
		{bcp + " 4.5", "a code is bound to its client, address and PKCE, for one use; replay ends what came of it", code, ""},
		{bcp + " 4.1", "thirty addresses that nearly match get neither a code nor an error", goes, ""},
		{bcp + " 4.6", "a token of another client is not taken in exchange", "TestTokensAreExchanged", ""},
		{bcp + " 4.7", "state comes back as it was; forms of other sites are refused", "TestAPersonAgreesFirst", ""},
		{bcp + " 4.8", "PKCE downgrade: a code_verifier without a code_challenge is refused", code, ""},
		{bcp + " 4.9", "a token of one client is of no use to another", "TestTokensAreExchanged", ""},
		{bcp + " 4.10", "sender-constrained tokens (DPoP, mutual TLS)", "", "not offered: tokens live ten minutes and end at once when revoked"},
		{bcp + " 4.12", "no redirect with 307", whole, ""},
		{bcp + " 4.13", "what a proxy might add (Forwarded, X-Forwarded-*, another Host) changes no address that is published or sent to", "TestNobodyTellsANodeItsAddress", ""},
		{bcp + " 4.15", "a client cannot pass for a user: its subject has a name of its own", system, ""},
		{bcp + " 4.16", "no page in anybody's frame", "TestAPersonAgreesFirst", ""},
		{bcp + " 4.17", "in-browser communication (postMessage)", "", "not offered: answers go by redirect alone"},
		{"RFC 6749 3.1", "a parameter that is there twice is refused", system, ""},
		{"RFC 6749 10.12", "forms of other sites are refused", "TestAPersonAgreesFirst", ""},
		{"RFC 6750", "a bearer token in the Authorization header; WWW-Authenticate says why not", "TestAClientEndsAndAsksAboutItsOwnTokens", ""},
		{"RFC 7009", "a client revokes its own tokens; an unknown token is no error", "TestAClientEndsAndAsksAboutItsOwnTokens", ""},
		{"RFC 7662", "a client asks about its own tokens; of others it learns only that they are not active", "TestAClientEndsAndAsksAboutItsOwnTokens", ""},
		{"RFC 7517", "several keys; a new one is shown before it signs, an old one until its tokens have expired", "TestKeysFollowOneAnother", ""},
		{"RFC 7519, 8725", "alg none, other algorithms, other keys, encrypted, huge and ambiguous JWTs are refused", system, ""},
		{"RFC 8414, Discovery", "metadata under its issuer; found and used by another implementation", "TestAnotherImplementationUnderstandsUs", ""},
		{"RFC 8693", "exchange never widens, never prolongs, never crosses realms", "TestTokensAreExchanged", ""},
		{"OpenID Connect Core", "nonce, at_hash, auth_time, acr, sid; an ID token opens nothing", "TestAnotherImplementationUnderstandsUs", ""},
		{"OpenID Connect Core 3.1.2.1", "prompt=none, login, consent; max_age; requests by POST", told, ""},
		{"OpenID Connect Core 15.1", "ID tokens by RS256", "", "ES256 only, as discovery says: one key type for everything that a node signs"},
		{"Back-Channel Logout", "clients are told of sign-out until they answer", "TestClientsAreToldOfSignOut", ""},
		{"SMART App Launch 2 4.1", "smart-configuration is whole, at each FHIR address, and claims nothing that is not kept", "TestSmartConfigurationIsWhole", ""},
		{"SMART App Launch 2 2.0.7", "launch from a record: the context is for one app, one user, one person, five minutes", "TestAnAppIsOpenedFromARecord", ""},
		{"SMART App Launch 2 2.0.8", "standalone launch: a professional chooses the person; patient/ scopes open one patient", "TestASmartAppSeesOnePatient", ""},
		{"SMART App Launch 1 and 2, 3", "scopes of both versions, narrowed to what the client is registered for", "TestScopesOfBothVersions", ""},
		{"SMART App Launch 2 3.0.2", "scopes limited by a search parameter", "", "not offered: asked for, they are not granted"},
		{"SMART App Launch 2 5", "client assertions by RS384 or ES384", "", "the published identity service takes RS512 alone; the capability is not claimed"},
		{"domain", "two realms: nothing of one opens anything of the other", "TestRealmsAreApart", ""},
		{"domain", "people agree to programs that are not part of the service, and can take it back", "TestAPersonAgreesFirst", ""},
		{"domain", "no passwords: passkeys, recovery codes, one-time links", "TestPasskeysInABrowser", ""},
		{"domain", "a one-time link is spent in the commit that keeps the passkey; of a hundred at once, one gets it", "TestALinkIsSpentWithThePasskey", ""},
		{"RFC 6749 10.10", "wrong secrets and signatures are not listened to for long; the program itself is", "TestAStrangerShutsNoProgramOut", ""},
		{"RFC 6585 4", "a client that asks too often is told when to come again, and takes no other's turns", "TestAProgramTakesItsTurns", ""},
		{"domain", "guessing locks the user's codes at that address, and the address", "TestGuessingLocks", ""},
		{"domain", "a stranger's guesses shut no user out", "TestAStrangerShutsNobodyOut", ""},
		{"domain", "a role is chosen by whoever has several; a role that ends, ends its sessions and tokens", "TestARoleIsChosenByWhoeverHasSeveral", ""},
		{"domain", "sign-in by external OpenID providers, as NHS CIS2 and NHS login: two nodes, one the provider of the other", "TestAProfessionalSignsInByWayOfAnotherNode", ""},
		{"domain", "a patient is known by a verified NHS number (P9); less, none, or another's lets nobody in", "TestAPatientSignsInByTheirVerifiedNumber", ""},
		{"domain", "accounts elsewhere are linked by a published identifier, a one-time link or by whoever is signed in; parted; a page where there is none", "TestAnAccountIsLinkedAndUnlinked", ""},
		{"domain", "levels of assurance (AAL, IAL, P) go from the provider to the session, the grant, its tokens and userinfo", "TestARoleIsChosenAfterAProvider", ""},
		{"domain", "a provider that is down closes one door; it is not asked at every knock", "TestAProviderThatIsDownClosesOneDoor", ""},
		{"domain", "a provider of one realm lets in nobody of the other", "TestTheOtherRealmStaysShut", ""},
		{"as a client: OpenID Connect Core 3.1.3.7", "the ID token is checked whole: iss, aud, azp, exp, iat, nbf, nonce, at_hash, typ, sub", "TestAnIDTokenIsCheckedWhole", ""},
		{"as a client: RFC 8725", "alg none, HS256 with the public key or the secret, a stranger's key under a known kid, a key in the token, JSON form: refused", "TestAnIDTokenIsCheckedWhole", ""},
		{"as a client: RFC 7517", "keys follow one another; a key that was withdrawn ends; a flood of unknown keys has them read once", "TestAProvidersKeysFollowOneAnother", ""},
		{"as a client: OpenID Connect Core 3.1.2.1", "max_age and prompt=login are passed on, and auth_time is held to them", "TestAProgramThatWantsAFreshSignInGetsOne", ""},
		{"as a client: OpenID Connect Core 5.3", "userinfo is about the same subject, and never against the ID token", "TestWhoTheyAreMayComeFromUserinfo", ""},
		{"as a client: " + bcp + " 2.1, 4.7", "state is bound to the browser, for one use, for ten minutes", "TestTheWayBackIsForOneBrowserOnce", ""},
		{"as a client: " + bcp + " 2.1.1, 4.5", "PKCE by S256 and nonce always; a stolen code does not fit", "TestTheWayBackIsForOneBrowserOnce", ""},
		{"as a client: " + bcp + " 4.4, RFC 9207", "mix-up: an address to come back to for each provider, iss in the answer checked, and wanted when the provider says it sends it", "TestTheWayBackIsForOneBrowserOnce", ""},
		{"as a client: " + bcp + " 4.11", "nobody is sent on to another site", "TestTheWayBackIsForOneBrowserOnce", ""},
		{"as a client: Back-Channel Logout", "a logout token is checked whole, once; by sid and by sub", "TestAProvidersWordThatSomebodyLeft", ""},
		{"as a client: RP-Initiated Logout", "signing out leads to the provider, and back", "TestSigningOutLeadsToTheProvider", ""},
	}
}

// TestOAuthIsDocumented keeps docs/oauth.md equal to the rules, and each rule to a test that is there. A test that fails is red; one
// that goes missing is found here.
func TestOAuthIsDocumented(t *testing.T) {
	tests := testsHere(t)
	var out strings.Builder
	out.WriteString("# OAuth 2, OpenID Connect and SMART: each rule and the test that keeps it\n\nThis table is written by `go test ./signin -run TestOAuthIsDocumented -update` from the rules in\n" +
		"`signin/conformance_test.go`. Each test named is one of package `signin`; a name that is not there fails the build.\nA way to try it with two nodes is in guide/sign-in-elsewhere.md.\n\n| specification | rule | kept by |\n|---|---|---|\n")
	for _, r := range rules() {
		kept := "`" + r.test + "`"
		switch {
		case r.test == "" && r.why == "":
			t.Errorf("%s: %s: no test and no reason", r.from, r.says)
		case r.test == "":
			kept = "not kept: " + r.why
		case !tests[r.test]:
			t.Errorf("%s: there is no test %s", r.from, r.test)
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

func testsHere(t *testing.T) map[string]bool {
	t.Helper()
	paths, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, path := range paths {
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && strings.HasPrefix(fn.Name.Name, "Test") {
				found[fn.Name.Name] = true
			}
		}
	}
	return found
}
