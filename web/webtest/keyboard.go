package webtest

import (
	"os"
	"testing"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// Keyboard is somebody who has a keyboard and no mouse.
type Keyboard struct {
	*Page
	name  string // of the journey, for its pictures
	taken int
}

// ByKeyboard opens a page for somebody without a mouse; name is what pictures of their way are called.
func (b *Browser) ByKeyboard(t testing.TB, name, address string, options ...Option) *Keyboard {
	t.Helper()
	k := &Keyboard{Page: b.Open(t, address, options...), name: name}
	k.Skips()
	return k
}

// Skips goes past the banner and the menu, as the first stop of every page offers.
func (p *Keyboard) Skips() {
	p.t.Helper()
	p.Eval(`(() => { document.body.tabIndex = -1; document.body.focus(); document.body.removeAttribute("tabindex"); })()`, nil)
	p.Press(kb.Tab)
	p.Press(kb.Enter)
}

// Reaches presses Tab until what the selector finds has the focus.
func (p *Keyboard) Reaches(selector string) {
	p.t.Helper()
	for round := range 2 {
		for range 80 {
			at := false
			p.Eval("document.activeElement !== null && document.activeElement.matches(`"+selector+"`)", &at)
			if at {
				return
			}
			p.Press(kb.Tab)
		}
		if round == 0 {
			p.Skips()
		}
	}
	p.t.Fatalf("the keyboard does not reach %s; the page says:\n%s", selector, p.Text("body"))
}

// Writes replaces what is in a field.
func (p *Keyboard) Writes(selector, text string) {
	p.t.Helper()
	p.Reaches(selector)
	p.Do(chromedp.KeyEvent("a", chromedp.KeyModifiers(input.ModifierCtrl)), chromedp.KeyEvent(kb.Delete))
	p.Press(text)
}

// Chooses marks one of several, by the arrows.
func (p *Keyboard) Chooses(name, value string) {
	p.t.Helper()
	p.Reaches(`input[type=radio][name="` + name + `"]`)
	p.Press(" ")
	for range 12 {
		at := false
		p.Eval(`document.querySelector('input[name="`+name+`"]:checked')?.value === "`+value+`"`, &at)
		if at {
			return
		}
		p.Press(kb.ArrowDown)
	}
	p.t.Fatalf("the arrows do not reach %s of %s", value, name)
}

// Follow presses Enter on a link or a button, waits for the page, and begins below its menu.
func (p *Keyboard) Follow(selector string) {
	p.t.Helper()
	p.Reaches(selector)
	p.PressThrough(kb.Enter)
	p.Pictured()
	p.NoSideways()
	p.OnlyThisHost()
	p.NoComplaints()
	p.Skips()
}

// Pictured takes a picture, where somebody wants to look at them.
func (p *Keyboard) Pictured() {
	if os.Getenv("OPENSPINE_SCREENSHOTS") != "" {
		p.taken++
		p.Screenshot(p.name + "-" + string(rune('a'+p.taken-1)) + ".png")
	}
}
