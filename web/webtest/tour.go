package webtest

import (
	"cmp"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// Visit is a page that EveryPage looks at.
type Visit struct {
	// Name is what the page's subtest and pictures are called; made from User and Path when it is empty.
	Name string
	// User is for the name only; Cookie, the value of the session's cookie, says who is signed in. Both may be empty.
	User, Path, Cookie string
	// CookieName is that of the cookie; SessionCookie when it is empty.
	CookieName string
	// Walk goes through the page with the Tab key too.
	Walk bool
}

func (v Visit) name() string {
	if v.Name != "" {
		return v.Name
	}
	return strings.Trim(strings.NewReplacer("/", "-", "?", "-", "=", "-", "&", "-").Replace(v.User+v.Path), "-")
}

// SessionCookie is the name of the cookie that says who is signed in.
const SessionCookie = "openspine"

// EveryPage looks at each page in three ways: at a desk, in the same window made as narrow as a phone, and on a phone that runs
// no scripts. In each the page is healthy; see Page.Healthy. On the phone axe is asked only what depends on the page's width, for
// the rest is as it was at the desk. Pictures are kept where OPENSPINE_SCREENSHOTS says, as name-desk.png, name-phone.png and
// name-plain.png. Windows are used again for the pages of the same cookie: opening one takes as long as looking at a page.
func (b *Browser) EveryPage(t *testing.T, base string, visits []Visit) {
	t.Helper()
	windows := pool{idle: map[string][]*Page{}}
	for _, v := range visits {
		t.Run(v.name(), func(sub *testing.T) {
			sub.Parallel()
			p := windows.take(v.Cookie)
			if p == nil {
				p = b.blank(t, sub, base, cmp.Or(v.CookieName, SessionCookie), v.Cookie)
			}
			p.t = sub
			p.visit(base, v)
			windows.give(v.Cookie, p)
		})
	}
}

// pool holds windows that nobody looks through, by the cookie they carry.
type pool struct {
	mu   sync.Mutex
	idle map[string][]*Page
}

func (w *pool) take(cookie string) *Page {
	w.mu.Lock()
	defer w.mu.Unlock()
	have := w.idle[cookie]
	if len(have) == 0 {
		return nil
	}
	w.idle[cookie] = have[:len(have)-1]
	return have[len(have)-1]
}

func (w *pool) give(cookie string, p *Page) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.idle[cookie] = append(w.idle[cookie], p)
}

// blank opens a window that lives as long as the test life and shows nothing yet.
func (b *Browser) blank(life, t testing.TB, base, name, cookie string) *Page {
	t.Helper()
	p := b.page(life, base)
	p.t = t
	actions := []chromedp.Action{network.Enable(), emulation.SetFocusEmulationEnabled(true)}
	if cookie != "" {
		actions = append(actions, network.SetCookie(name, cookie).WithURL(base))
	}
	p.Do(actions...)
	return p
}

func (p *Page) visit(base string, v Visit) {
	p.t.Helper()
	p.forget()
	p.script(true)
	p.size(desk.width, desk.height)
	p.Go(base + v.Path)
	p.Axe()
	p.fits(v, "desk")
	if v.Walk {
		p.Walk()
	}
	p.size(phone.width, phone.height)
	p.settle()
	p.fits(v, "phone")
	p.script(false)
	p.Go(base + v.Path)
	p.axe(`runOnly: ["color-contrast", "target-size", "scrollable-region-focusable", "link-in-text-block"]`) //nolint:misspell // axe's own name
	p.fits(v, "plain")
}

// fits is what is checked at every width, and the picture.
func (p *Page) fits(v Visit, way string) {
	p.t.Helper()
	if os.Getenv("OPENSPINE_SCREENSHOTS") != "" {
		p.Screenshot(v.name() + "-" + way + ".png")
	}
	p.NoSideways()
	p.OnlyThisHost()
	p.NoComplaints()
}

// forget starts the notes of what was asked for and complained of anew.
func (p *Page) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests, p.problems = nil, nil
	clear(p.bytes)
}

func (p *Page) size(width, height int64) {
	p.t.Helper()
	p.Do(emulation.SetDeviceMetricsOverride(width, height, 1, width < 600))
}

// settle waits until a page whose window has become narrower has laid itself out anew, which scripts of its own take part in; a page
// that stays too wide is told of by what comes next.
func (p *Page) settle() {
	p.t.Helper()
	p.Eval(`(async () => { for (let i = 0; i < 60 && document.documentElement.scrollWidth > document.documentElement.clientWidth; i++)
		await new Promise(done => setTimeout(done, 25)); })()`, nil)
}

func (p *Page) script(on bool) {
	p.t.Helper()
	p.noScript = !on
	p.Do(emulation.SetScriptExecutionDisabled(!on))
}
