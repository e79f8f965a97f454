package signin_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/internal/clock"
	"github.com/openspine/openspine/signin/credential"
	"github.com/openspine/openspine/web/webtest"
)

// device gives a page's browser a device that holds passkeys and knows its owner.
func device(t *testing.T, p *webtest.Page) {
	t.Helper()
	p.Do(chromedp.ActionFunc(func(ctx context.Context) error {
		if err := webauthn.Enable().Do(ctx); err != nil {
			return err
		}
		_, err := webauthn.AddVirtualAuthenticator(&webauthn.VirtualAuthenticatorOptions{Protocol: webauthn.AuthenticatorProtocolCtap2, Ctap2version: webauthn.Ctap2versionCtap21,
			Transport: webauthn.AuthenticatorTransportInternal, HasResidentKey: true, HasUserVerification: true, IsUserVerified: true, AutomaticPresenceSimulation: true}).Do(ctx)
		return err
	}))
}

// named is the address of a house as a browser takes it for passkeys.
func (h *house) named() string { return strings.Replace(h.url, "127.0.0.1", "localhost", 1) }

func (h *house) link(user string) string {
	h.t.Helper()
	code, err := h.node.Door().Credentials().NewLink(h.t.Context(), h.clerk(), user)
	if err != nil {
		h.t.Fatal(err)
	}
	return h.named() + "/sign-in/enrol?code=" + code
}

// TestPasskeysInABrowser is the whole life of one, for a professional and for a patient: made from a link, used, removed.
func TestPasskeysInABrowser(t *testing.T) {
	t.Parallel()
	h := open(t, nil, live)
	b := webtest.NewBrowser(t)
	for _, user := range []string{"clinician", "patient"} {
		t.Run(user, func(t *testing.T) {
			link := h.link(user)
			p := b.Open(t, h.named()+"/sign-in")
			device(t, p)
			p.Healthy()
			p.Axe()
			p.Go(link)
			p.Axe()
			p.Screenshot("enrol-" + user + ".png")
			p.Submit("form[data-passkey] button")
			p.Sees("Your recovery codes", "You will not see them again")
			p.Axe()
			p.Screenshot("codes-" + user + ".png")
			p.Go(h.named() + "/sign-in/sessions")
			p.Sees("This is where you are now", "You have 10 recovery codes left")
			p.Axe()
			p.Screenshot("devices-" + user + ".png")
			if err := h.node.Door().Everywhere(t.Context(), h.clerk(), user); err != nil {
				t.Fatal(err)
			}
			p.Go(h.named() + "/sign-in?to=/sign-in/sessions")
			p.Screenshot("entry-" + user + ".png")
			p.Submit("form[data-passkey] button")
			p.Sees("My devices and sessions", "Passkey")
			list, err := h.node.Kernel().Gate.Sessions(t.Context(), user)
			if err != nil || len(list) != 1 || list[0].Method != "passkey" || user == "clinician" && list[0].Assurance != "AAL3" {
				t.Errorf("the session: %+v %v", list, err)
			}
			p.Submit(`#passkeys button[name="passkey"]`)
			p.Sees("The passkey opens nothing any more", "You have no passkey")
			if err := h.node.Door().Everywhere(t.Context(), h.clerk(), user); err != nil {
				t.Fatal(err)
			}
			p.Go(h.named() + "/sign-in")
			p.Submit("form[data-passkey] button")
			p.Sees("This passkey is not known here")
			p.Go(link)
			p.Sees("This link has been used or is too old")
		})
	}
	t.Run("without scripts, on a phone", func(t *testing.T) {
		p := b.Open(t, h.link("clerk"), webtest.Phone(), webtest.NoScript())
		p.Axe()
		p.NoSideways()
		p.Click("summary")
		p.Submit(`form[action="/sign-in/enrol/codes"] button`)
		p.Sees("Your recovery codes")
		p.Go(h.named() + "/sign-in")
		p.Sees("Use a recovery code")
		p.NoSideways()
		p.Screenshot("entry-phone.png")
		p.Go(h.named() + "/sign-in/sessions")
		p.NoSideways()
		p.Screenshot("devices-phone.png")
	})
}

// TestGuessingLocks counts failures against the user and the address, and says so.
func TestGuessingLocks(t *testing.T) {
	t.Parallel()
	at := clock.NewFake(time.Now())
	h := open(t, at, live)
	keep := h.node.Door().Credentials()
	codes, err := keep.NewRecovery(t.Context(), h.clerk(), "clinician")
	if err != nil {
		t.Fatal(err)
	}
	try := func(user, code string) reply {
		return h.call(browser(), "POST", "/sign-in/recover", url.Values{"user": {user}, "code": {code}})
	}
	if got := try("clinician", strings.ToUpper(strings.ReplaceAll(codes[0], "-", " "))); got.status != 303 {
		t.Fatalf("a code as it may be typed: %d %s", got.status, got.body)
	}
	if got := try("clinician", codes[0]); got.status != 400 {
		t.Errorf("a code that was used: %d", got.status)
	}
	for range credential.UserTries - 1 {
		if got := try("clinician", "guess"); got.status != 400 {
			t.Errorf("a guess: %d", got.status)
		}
	}
	if got := try("clinician", codes[1]); got.status != 429 || !strings.Contains(got.body, "Try again in 15 minutes") {
		t.Errorf("the right code while locked: %d", got.status)
	}
	if got := try("clerk", "guess"); got.status != 400 {
		t.Errorf("somebody else from the same address: %d", got.status)
	}
	at.Advance(credential.LockFor + time.Second)
	if got := try("clinician", codes[1]); got.status != 303 {
		t.Errorf("the right code afterwards: %d %s", got.status, got.body)
	}
}

// TestARoleIsChosenByWhoeverHasSeveral, and what they may do, and their tokens say, goes by it; a role that ends, ends.
func TestARoleIsChosenByWhoeverHasSeveral(t *testing.T) {
	t.Parallel()
	h := open(t, nil)
	gate := h.node.Kernel().Gate
	second, err := gate.GiveRole(t.Context(), h.clerk(), "clinician", access.Profile{Role: access.PrivacyOfficer, Organisation: practice, Job: "R0001"}, "test")
	if err != nil {
		t.Fatal(err)
	}
	c := browser()
	got := h.call(c, "POST", "/sign-in", url.Values{"user": {"clinician"}, "to": {"/"}})
	if to, _ := got.location(t); to != "/sign-in/role" {
		t.Fatalf("somebody with two roles goes to %s", to)
	}
	page := h.call(c, "GET", "/sign-in/role", nil)
	if page.status != 200 || !strings.Contains(page.body, second.ID) {
		t.Fatalf("the choice: %d", page.status)
	}
	take := h.call(c, "POST", "/sign-in/role", hidden(page.body, "role", second.ID, "to", "/alerts"))
	if take.status != 303 || h.call(c, "GET", "/alerts", nil).status != 200 {
		t.Errorf("the role that was chosen: %d, its page %d", take.status, h.call(c, "GET", "/alerts", nil).status)
	}
	tokens := h.token(change(h.code(c, ask("scope", "openid nationalrbacaccess")))).json(t)
	bearer, _ := tokens["access_token"].(string)
	who := h.call(http.DefaultClient, "GET", "/oauth2/userinfo", nil, "Authorization: Bearer "+bearer).json(t)
	roles, _ := who["nhsid_nrbac_roles"].([]any)
	if who["selected_roleid"] != second.ID || len(roles) != 2 {
		t.Errorf("what the program is told: %v", who)
	}
	if err := gate.EndRole(t.Context(), h.clerk(), "clinician", second.ID, "test"); err != nil {
		t.Fatal(err)
	}
	if got := h.call(c, "GET", "/alerts", nil, "Accept: application/json"); got.status != 401 {
		t.Errorf("a session in a role that ended: %d", got.status)
	}
	if got := h.call(http.DefaultClient, "GET", "/oauth2/userinfo", nil, "Authorization: Bearer "+bearer); got.status != 401 {
		t.Errorf("a token in a role that ended: %d", got.status)
	}
}
