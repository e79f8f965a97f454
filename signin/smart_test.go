package signin_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/internal/clock"
	"github.com/openspine/openspine/signin/oauth"
	"github.com/openspine/openspine/web/webtest"
)

// launched is an app that is opened from records; its id is as long as ids are.
func launched() oauth.Client {
	return oauth.Client{ID: "0b6f2b5e-8d6a-4c61-9a0e-5f3d1c2b4a69", Name: "Growth charts", Kind: oauth.Public, Realm: access.Professionals, Redirects: []string{back}, Trusted: true,
		Scopes: []string{"openid", "fhirUser", "launch", "launch/patient", "patient/*.rs"}, LaunchURL: "https://growth.example/launch?from=here"}
}

// TestAnAppIsOpenedFromARecord: the page lists it; it is sent the record's address and a context, which is good for five minutes, for it and for whoever opened
// it, about that person.
func TestAnAppIsOpenedFromARecord(t *testing.T) {
	t.Parallel()
	at := clock.NewFake(time.Now())
	h := open(t, at)
	app := h.client(launched())
	other := launched()
	other.ID, other.Name, other.LaunchURL = "other", "Stays shut", ""
	h.client(other)
	c := browser()
	h.signIn(c, "clinician")
	page := h.call(c, "GET", "/patients/"+ownNumber+"/apps", nil)
	if page.status != 200 || !strings.Contains(page.body, "Growth charts") || strings.Contains(page.body, "Stays shut") {
		t.Fatalf("the apps: %d %s", page.status, page.body)
	}
	open := func() url.Values {
		got := h.call(c, "GET", "/patients/"+ownNumber+"/apps/"+app.ID, nil)
		to, q := got.location(t)
		if got.status != 303 || to != "https://growth.example/launch" || q.Get("from") != "here" || q.Get("iss") != h.url+"/FHIR/R4" || q.Get("launch") == "" {
			t.Fatalf("opening it: %d to %s with %v", got.status, to, q)
		}
		return q
	}
	q := ask("client_id", app.ID, "scope", "openid fhirUser launch patient/*.rs", "aud", h.url+"/FHIR/R4", "code_challenge", challenge(), "code_challenge_method", "S256")
	launch := open().Get("launch")
	m := h.token(change(h.code(c, with(q, "launch", launch)), "client_id", app.ID, "client_secret", "", "code_verifier", theVerifier)).json(t)
	if m["patient"] != ownNumber || m["need_patient_banner"] != true || m["fhirUser"] != h.url+"/FHIR/R4/Practitioner/clinician" {
		t.Errorf("what it is told: %v", m)
	}
	if a, b := h.read(get(m, "access_token"), "Patient/"+ownNumber), h.read(get(m, "access_token"), "Patient/"+otherNumber); a != 200 || b == 200 {
		t.Errorf("the person %d, another %d", a, b)
	}
	refused := func(name string, c *http.Client, q url.Values) {
		t.Helper()
		if _, v := h.call(c, "GET", oauth.PathAuthorize+"?"+q.Encode(), nil).location(t); v.Get("error") != "invalid_request" || v.Get("code") != "" {
			t.Errorf("%s: %v", name, v)
		}
	}
	refused("another app", c, with(q, "client_id", "other", "launch", launch))
	clerk := browser()
	h.signIn(clerk, "clerk")
	refused("somebody else", clerk, with(q, "launch", launch))
	refused("no context", c, with(q, "launch", "x"))
	refused("too long", c, with(q, "launch", strings.Repeat("x", 5000)))
	at.Advance(5*time.Minute + time.Second)
	refused("too late", c, with(q, "launch", launch))
	for name, path := range map[string]string{"an app that stays shut": "/patients/" + ownNumber + "/apps/other", "no app": "/patients/" + ownNumber + "/apps/none", "nobody's record": "/patients/9990000999/apps"} {
		if got := h.call(c, "GET", path, nil); got.status != 404 {
			t.Errorf("%s: %d", name, got.status)
		}
	}
	if got := h.call(browser(), "GET", "/patients/"+ownNumber+"/apps", nil); got.status != 401 {
		t.Errorf("nobody: %d", got.status)
	}
}

// TestScopesOfBothVersions are narrowed to what the client is registered for, each in its own words; one that is limited by a search parameter is not granted.
func TestScopesOfBothVersions(t *testing.T) {
	t.Parallel()
	h := open(t, nil)
	h.client(oauth.Client{ID: "scopes", Name: "Scopes", Kind: oauth.Public, Realm: access.Professionals, Redirects: []string{back}, Trusted: true, Scopes: []string{"openid", "user/Patient.rs", "user/Observation.cruds", "patient/*.rs"}})
	c := browser()
	h.signIn(c, "clinician")
	for asked, granted := range map[string]string{
		"user/Patient.rs": "user/Patient.rs", "user/Patient.read": "user/Patient.read", "user/Patient.r": "user/Patient.r", "user/Patient.*": "user/Patient.rs", "user/Patient.cruds": "user/Patient.rs",
		"user/Observation.write": "user/Observation.write", "user/Observation.*": "user/Observation.*", "user/Observation.cud": "user/Observation.cud",
		"user/Patient.write": "", "user/*.rs": "", "system/Patient.rs": "", "user/Patient.sr": "", "user/Patient.rr": "", "user/Patient.": "", "user/.rs": "", "patient/Observation.rs?category=laboratory": "",
		"user/Patient.rs user/Condition.rs": "user/Patient.rs",
	} {
		_, v := h.call(c, "GET", oauth.PathAuthorize+"?"+ask("client_id", "scopes", "scope", asked, "code_challenge", challenge(), "code_challenge_method", "S256").Encode(), nil).location(t)
		if granted == "" {
			if v.Get("error") != "invalid_scope" {
				t.Errorf("%s: %v", asked, v)
			}
			continue
		}
		m := h.token(change(v.Get("code"), "client_id", "scopes", "client_secret", "", "code_verifier", theVerifier)).json(t)
		if m["scope"] != granted {
			t.Errorf("%s: granted %v, not %s", asked, m["scope"], granted)
		}
	}
}

// TestSmartConfigurationIsWhole: what SMART App Launch 2 section 4.1 requires is there, at the FHIR address of the nation and of each organisation, and
// nothing is claimed that is not kept.
func TestSmartConfigurationIsWhole(t *testing.T) {
	t.Parallel()
	h := open(t, nil)
	for _, base := range []string{"/FHIR/R4", "/o/A99901/FHIR/R4"} {
		got := h.call(http.DefaultClient, "GET", base+"/.well-known/smart-configuration", nil, "Origin: https://app.example")
		d := got.json(t)
		if got.status != 200 || got.header.Get("Access-Control-Allow-Origin") == "" {
			t.Errorf("%s: %d %v", base, got.status, got.header)
		}
		for _, name := range []string{"issuer", "jwks_uri", "authorization_endpoint", "token_endpoint", "grant_types_supported", "capabilities", "code_challenge_methods_supported", "scopes_supported", "response_types_supported"} {
			if d[name] == nil {
				t.Errorf("%s: no %s", base, name)
			}
		}
		capabilities, _ := d["capabilities"].([]any)
		for _, want := range []string{"launch-ehr", "launch-standalone", "client-public", "client-confidential-symmetric", "sso-openid-connect", "context-ehr-patient", "context-standalone-patient", "permission-patient",
			"permission-user", "permission-v1", "permission-v2", "authorize-post"} {
			found := false
			for _, have := range capabilities {
				found = found || have == want
			}
			if !found {
				t.Errorf("%s: not capable of %s", base, want)
			}
		}
		if methods, _ := d["code_challenge_methods_supported"].([]any); len(methods) != 1 || methods[0] != "S256" {
			t.Errorf("%s: PKCE by %v", base, methods)
		}
		if strings.Contains(got.body, "client-confidential-asymmetric") {
			t.Errorf("%s: assertions by RS384 or ES384 are claimed, and RS512 alone is taken", base)
		}
	}
}

// TestAppsLookRight on a phone, without scripts.
func TestAppsLookRight(t *testing.T) {
	t.Parallel()
	h := open(t, nil)
	h.client(launched())
	c := browser()
	h.signIn(c, "clinician")
	var options []webtest.Option
	for _, cookie := range c.Jar.Cookies(mustURL(t, h.url)) {
		options = append(options, webtest.Cookie(cookie.Name, cookie.Value))
	}
	p := webtest.NewBrowser(t).Open(t, h.url+"/patients/"+ownNumber+"/apps", append(options, webtest.Phone(), webtest.NoScript())...)
	p.Sees("Open an app about this person", "Growth charts")
	p.Axe()
	p.NoSideways()
	p.Screenshot("apps-phone.png")
}
