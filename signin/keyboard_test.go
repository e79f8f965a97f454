package signin_test

import (
	"testing"

	"github.com/chromedp/chromedp/kb"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/web/webtest"
)

// given somebody with two roles who uses the keyboard alone; when they make a passkey, come in with it and choose a role, then they are where they wanted to be.
func TestAPasskeyAndARoleByTheKeyboardAlone(t *testing.T) {
	t.Parallel()
	h := open(t, nil, live)
	second, err := h.node.Kernel().Gate.GiveRole(t.Context(), h.clerk(), "clinician", access.Profile{Role: access.PrivacyOfficer, Organisation: practice}, "test")
	if err != nil {
		t.Fatal(err)
	}
	p := webtest.NewBrowser(t).Open(t, h.link("clinician"))
	device(t, p)
	tabTo(t, p, "form[data-passkey] button")
	p.PressThrough(kb.Enter)
	p.Sees("Your recovery codes")
	if err := h.node.Door().Everywhere(t.Context(), h.clerk(), "clinician"); err != nil {
		t.Fatal(err)
	}
	p.Go(h.named() + "/sign-in?to=/sign-in/sessions")
	tabTo(t, p, "form[data-passkey] button")
	p.PressThrough(kb.Enter)
	p.Sees("In which role are you working now?")
	tabTo(t, p, `input[name="role"]`)
	chosen := `document.querySelector('input[name="role"]:checked')?.value === "` + second.ID + `"`
	p.Press(" ")
	for range 3 {
		at := false
		if p.Eval(chosen, &at); at {
			break
		}
		p.Press(kb.ArrowDown)
	}
	p.Wait(chosen)
	tabTo(t, p, `form[action="/sign-in/role"] button`)
	p.PressThrough(kb.Enter)
	p.Sees("My devices and sessions", "Privacy officer")
}

// tabTo presses Tab until what the selector finds has the focus.
func tabTo(t *testing.T, p *webtest.Page, selector string) {
	t.Helper()
	for range 60 {
		at := false
		if p.Eval("document.activeElement.matches(`"+selector+"`)", &at); at {
			return
		}
		p.Press(kb.Tab)
	}
	t.Fatalf("Tab does not reach %s", selector)
}
