// Package webtest opens pages as a person would: in a browser, at a desk or on a phone, with the keyboard alone, with
// JavaScript off, and with a checker of accessibility looking over the shoulder.
//
// A page's test reads as given, when, then:
//
//	p := webtest.Open(t, server.URL+"/find", webtest.Phone())   // given
//	p.Type("#family", "smith"); p.Click("button[type=submit]")  // when
//	p.Sees("SMITH, John (Mr)"); p.Healthy()                     // then
//
// Chromium and axe-core are used where they are; a test is skipped without them, and fails without them when CI=true.
package webtest

import (
	"context"
	"encoding/json"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// patience is how long any one step may take before the test fails: generous, for a busy machine.
const patience = 60 * time.Second

// Page is a page open in a browser. Every method fails the test when it cannot do what it says.
type Page struct {
	t       testing.TB
	ctx     context.Context
	host    string
	profile cdp.BrowserContextID
	// noScript: the page's scripts do not run. A promise does not come true there either, so axe is run with scripts allowed for its while;
	// those of the page, which were passed over, stay so.
	noScript bool

	mu       sync.Mutex
	requests []string
	problems []string
	bytes    map[network.RequestID]float64
}

// screen is the size of a window, in pixels of CSS.
type screen struct{ width, height int64 }

// desk and phone are the two that pages are looked at on; the phone's width is the narrowest that WCAG 2.2 asks for (1.4.10).
var desk, phone = screen{1280, 900}, screen{320, 640}

type settings struct {
	screen
	noScript bool
	cookies  map[string]string
}

// Option says how a page is opened.
type Option func(*settings)

// Phone is a screen 320 pixels wide.
func Phone() Option { return func(s *settings) { s.screen = phone } }

// NoScript turns JavaScript off.
func NoScript() Option { return func(s *settings) { s.noScript = true } }

// Cookie signs in with a cookie, or sets any other.
func Cookie(name, value string) Option {
	return func(s *settings) { s.cookies[name] = value }
}

// missing skips a test for want of a tool, or fails it in CI, where every tool is required.
func missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is required when CI=true", what)
	}
	t.Skipf("%s is not here", what)
}

func chromium(t testing.TB) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	missing(t, "Chromium")
	return ""
}

// Browser is a Chromium that has never been anywhere, for a test that opens several pages.
type Browser struct{ ctx context.Context }

// NewBrowser starts a browser; it closes when the test ends.
func NewBrowser(t testing.TB) *Browser {
	t.Helper()
	flags := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(chromium(t)),
		chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.Flag("hide-scrollbars", false), chromedp.WSURLReadTimeout(patience))
	alloc, end := chromedp.NewExecAllocator(context.Background(), flags...) // with a new, temporary user-data-dir
	ctx, _ := chromedp.NewContext(alloc)
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil {
			t.Logf("the browser did not close by itself: %v", err)
		}
		end()
	})
	if err := chromedp.Run(ctx, chromedp.Navigate("about:blank")); err != nil {
		t.Fatalf("the browser did not start: %v", err)
	}
	return &Browser{ctx}
}

// Open opens an address in a browser of its own; see Browser.Open.
func Open(t testing.TB, address string, options ...Option) *Page {
	t.Helper()
	return NewBrowser(t).Open(t, address, options...)
}

// Open opens an address at 1280 pixels' width, unless an option says otherwise. It shares no cookie with other pages.
func (b *Browser) Open(t testing.TB, address string, options ...Option) *Page {
	t.Helper()
	s := settings{screen: desk, cookies: map[string]string{}}
	for _, o := range options {
		o(&s)
	}
	p := b.page(t, address)
	p.noScript = s.noScript
	actions := []chromedp.Action{
		network.Enable(),
		emulation.SetDeviceMetricsOverride(s.width, s.height, 1, s.width < 600),
		emulation.SetScriptExecutionDisabled(s.noScript),
		emulation.SetFocusEmulationEnabled(true),
	}
	for name, value := range s.cookies {
		actions = append(actions, network.SetCookie(name, value).WithURL(address))
	}
	p.Do(append(actions, chromedp.Navigate(address))...)
	return p
}

// page is a window that notes what is asked for at the host of address and what the browser complains of.
func (b *Browser) page(t testing.TB, address string) *Page {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	ctx, profile := b.window(t)
	p := &Page{t: t, ctx: ctx, host: u.Host, profile: profile, bytes: map[network.RequestID]float64{}}
	p.listen()
	p.Do(log.Enable())
	return p
}

// window opens a window that shares nothing with others; it closes when the test ends.
func (b *Browser) window(t testing.TB) (context.Context, cdp.BrowserContextID) {
	t.Helper()
	browser := cdp.WithExecutor(b.ctx, chromedp.FromContext(b.ctx).Browser)
	profile, err := target.CreateBrowserContext().Do(browser)
	if err != nil {
		t.Fatalf("the browser opened no profile: %v", err)
	}
	id, err := target.CreateTarget("about:blank").WithBrowserContextID(profile).WithNewWindow(true).Do(browser)
	if err != nil {
		t.Fatalf("the browser opened no window: %v", err)
	}
	ctx, end := chromedp.NewContext(b.ctx, chromedp.WithTargetID(id))
	t.Cleanup(func() {
		end()
		if err := target.DisposeBrowserContext(profile).Do(browser); err != nil {
			t.Logf("the window did not close by itself: %v", err)
		}
	})
	return ctx, profile
}

// listen notes what the page asks for and what the browser complains of.
func (p *Page) listen() {
	chromedp.ListenTarget(p.ctx, func(event any) {
		p.mu.Lock()
		defer p.mu.Unlock()
		switch e := event.(type) {
		case *network.EventRequestWillBeSent:
			p.requests = append(p.requests, e.Request.URL)
		case *network.EventLoadingFinished:
			p.bytes[e.RequestID] = e.EncodedDataLength
		case *log.EventEntryAdded:
			if e.Entry.Level == log.LevelError && !strings.Contains(e.Entry.Text, "the server responded with a status of") {
				p.problems = append(p.problems, e.Entry.Text)
			}
		case *runtime.EventExceptionThrown:
			p.problems = append(p.problems, e.ExceptionDetails.Error())
		}
	})
}

// Do runs chromedp's own actions, for what has no method here.
func (p *Page) Do(actions ...chromedp.Action) {
	p.t.Helper()
	p.run("the browser could not go on", never, func() error { return chromedp.Run(p.ctx, actions...) })
}

// look runs actions that only read the page, again when the page is replaced by the next one while they do.
func (p *Page) look(actions ...chromedp.Action) {
	p.t.Helper()
	p.run("the browser could not go on", replaced, func() error { return chromedp.Run(p.ctx, actions...) })
}

// act runs one action on an element, again when the element is replaced by another before anything was done to it: live parts of a page are.
func (p *Page) act(action chromedp.Action) {
	p.t.Helper()
	p.run("the browser could not go on", stale, func() error { return chromedp.Run(p.ctx, action) })
}

// run does something for as long as patience lasts, a few times over where its error is one of again.
func (p *Page) run(failed string, again func(error) bool, do func() error) {
	p.t.Helper()
	timer := time.AfterFunc(patience, func() { chromedp.Cancel(p.ctx) }) //nolint:errcheck // the run below reports it
	defer timer.Stop()
	err := do()
	for range 5 {
		if err == nil || !again(err) {
			break
		}
		time.Sleep(50 * time.Millisecond)
		err = do()
	}
	if err != nil {
		p.t.Fatalf("%s: %v", failed, err)
	}
}

func never(error) bool { return false }

// replaced reports whether Chromium says that the document it was asked about has given way to another.
func replaced(err error) bool {
	return stale(err) || says(err, "Cannot find context with specified id", "Execution context was destroyed", "Inspected target navigated")
}

// stale reports whether Chromium says that the element it was asked about is no longer part of the page.
func stale(err error) bool {
	return says(err, "No node with given id found", "Could not find node with given id", "Node with given id does not belong to the document", "Node is detached from document")
}

func says(err error, texts ...string) bool {
	return slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(err.Error(), text) })
}

// Go opens another address in the same browser.
func (p *Page) Go(address string) { p.t.Helper(); p.Do(chromedp.Navigate(address)) }

// Click clicks the first element that the CSS selector finds and waits for the page that it may lead to.
func (p *Page) Click(selector string) {
	p.t.Helper()
	p.act(chromedp.Click(selector, chromedp.ByQuery))
	p.look(chromedp.WaitReady("body", chromedp.ByQuery))
}

// Submit clicks a button that leads to another page, and waits for that page.
func (p *Page) Submit(selector string) {
	p.t.Helper()
	p.run("after clicking "+selector+" no page came", stale, func() error {
		_, err := chromedp.RunResponse(p.ctx, chromedp.Click(selector, chromedp.ByQuery))
		return err
	})
}

// PressThrough presses keys that lead to another page, such as kb.Enter on a link, and waits for that page.
func (p *Page) PressThrough(keys string) {
	p.t.Helper()
	p.run("after pressing a key no page came", never, func() error {
		_, err := chromedp.RunResponse(p.ctx, chromedp.KeyEvent(keys))
		return err
	})
}

// Type types into a field, after what is in it.
func (p *Page) Type(selector, text string) {
	p.t.Helper()
	p.act(chromedp.SendKeys(selector, text, chromedp.ByQuery))
}

// Press presses keys where the focus is: kb.Tab, kb.Enter, or text.
func (p *Page) Press(keys string) { p.t.Helper(); p.Do(chromedp.KeyEvent(keys)) }

// Text is what can be read in the first element that the selector finds.
func (p *Page) Text(selector string) string {
	p.t.Helper()
	var text string
	p.look(chromedp.Text(selector, &text, chromedp.ByQuery))
	return text
}

// Sees fails unless each text can be read on the page, runs of space counting as one.
func (p *Page) Sees(texts ...string) {
	p.t.Helper()
	all := strings.Join(strings.Fields(p.Text("body")), " ")
	for _, want := range texts {
		if !strings.Contains(all, want) {
			p.t.Errorf("the page does not say %q; it says:\n%s", want, all)
		}
	}
}

// Eval runs an expression of JavaScript in the page and decodes its answer, which may be a promise.
func (p *Page) Eval(expression string, into any) {
	p.t.Helper()
	p.look(chromedp.Evaluate(expression, into, func(e *runtime.EvaluateParams) *runtime.EvaluateParams {
		return e.WithAwaitPromise(true)
	}))
}

// Wait waits until an expression of JavaScript is true.
func (p *Page) Wait(expression string) {
	p.t.Helper()
	// By the clock, not by the frames that are drawn: on a busy machine a window may draw none for a long while.
	p.look(chromedp.Poll(expression, nil, chromedp.WithPollingInterval(50*time.Millisecond), chromedp.WithPollingTimeout(patience)))
}

// Allow grants the page permissions that a browser asks its reader for, such as clipboard-read and clipboard-write.
func (p *Page) Allow(permissions ...string) {
	p.t.Helper()
	for _, name := range permissions {
		p.Do(browser.SetPermission(&browser.PermissionDescriptor{Name: name}, browser.PermissionSettingGranted).WithBrowserContextID(p.profile))
	}
}

// Healthy is every check that holds for any page: axe finds nothing, nothing scrolls sideways, no other host is asked
// for anything, and the browser has no complaint.
func (p *Page) Healthy() {
	p.t.Helper()
	p.Axe()
	p.NoSideways()
	p.OnlyThisHost()
	p.NoComplaints()
}

// OnlyThisHost fails when the page asked another host for anything.
func (p *Page) OnlyThisHost() {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.requests {
		if u, err := url.Parse(r); err != nil || u.Scheme != "data" && u.Host != p.host {
			p.t.Errorf("the page asked for %s", r)
		}
	}
}

// NoComplaints fails when the browser logged an error: a breach of the content security policy, a script's exception.
func (p *Page) NoComplaints() {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.problems {
		p.t.Errorf("the browser complains: %s", c)
	}
}

// Transferred is how many bytes have come over the wire so far.
func (p *Page) Transferred() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	sum := 0.0
	for _, n := range p.bytes {
		sum += n
	}
	return int(sum)
}

// NoSideways fails when the page is wider than its window, and names what sticks out.
func (p *Page) NoSideways() {
	p.t.Helper()
	var out []string
	p.Eval(`(() => { const w = document.documentElement.clientWidth;
		if (document.documentElement.scrollWidth <= w) return [];
		return [...document.querySelectorAll("body *")].filter(e => e.getBoundingClientRect().right > w + 1 && !e.closest("[role=region][tabindex]"))
			.slice(-5).map(e => e.tagName + "." + e.getAttribute("class") + " reaches " + Math.round(e.getBoundingClientRect().right) + " of " + w).concat("(page)"); })()`, &out)
	if len(out) > 0 {
		p.t.Errorf("the page scrolls sideways: %s", strings.Join(out, "; "))
	}
}

// Axe fails for each breach of WCAG 2.2 AA or of good practice that axe-core finds (https://github.com/dequelabs/axe-core).
func (p *Page) Axe() { p.t.Helper(); p.axe("") }

// axe runs axe with further options, as JavaScript.
func (p *Page) axe(options string) {
	p.t.Helper()
	if options != "" {
		options = ", " + options
	}
	source, err := os.ReadFile(filepath.Join(root(p.t), "node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		if os.Getenv("CI") == "true" {
			p.t.Fatalf("axe-core is required when CI=true: %v", err)
		}
		p.t.Logf("axe-core is not here (make web brings it); accessibility was not checked")
		return
	}
	if p.noScript {
		p.Do(emulation.SetScriptExecutionDisabled(false))
		defer p.Do(emulation.SetScriptExecutionDisabled(true))
	}
	var report string
	p.Do(chromedp.Evaluate(string(source), nil))
	p.Eval(`axe.run(document, {resultTypes: ["violations"], rules: {"target-size": {enabled: true}}`+options+`}).then(r => JSON.stringify(r.violations))`, &report)
	var violations []struct {
		ID, Help string
		Nodes    []struct{ HTML, FailureSummary string }
	}
	if err := json.Unmarshal([]byte(report), &violations); err != nil {
		p.t.Fatalf("axe's report could not be read: %v", err)
	}
	for _, v := range violations {
		for i, n := range v.Nodes {
			if i < 4 {
				p.t.Errorf("axe: %s (%s): %s\n\t%s", v.ID, v.Help, n.HTML, strings.ReplaceAll(n.FailureSummary, "\n", " "))
			}
		}
	}
}

// Screenshot saves the whole page as a picture; a relative path goes into OPENSPINE_SCREENSHOTS, or else a folder that
// the test removes. It returns where the picture is.
func (p *Page) Screenshot(path string) string {
	p.t.Helper()
	if !filepath.IsAbs(path) {
		dir := os.Getenv("OPENSPINE_SCREENSHOTS")
		if dir == "" {
			dir = p.t.TempDir()
		}
		path = filepath.Join(dir, path)
	}
	var picture []byte
	p.Do(chromedp.ActionFunc(func(ctx context.Context) (err error) {
		picture, err = page.CaptureScreenshot().WithCaptureBeyondViewport(true).Do(ctx)
		return err
	}))
	if err := os.WriteFile(path, picture, 0o600); err != nil {
		p.t.Fatal(err)
	}
	return path
}

// Stop is a place where the Tab key stops.
type Stop struct {
	Name    string // what is read out: label, text or title
	Tag     string
	Visible bool // on the screen and not under the banner
	Marked  bool // drawn otherwise than without the focus
}

// Walk presses Tab from the top of the page until it comes round, and returns where it stopped. It fails when a stop has
// no name, cannot be seen, or looks as it does without the focus.
func (p *Page) Walk() []Stop {
	p.t.Helper()
	// The design system's parts are fetched after the page, and one of them takes the focus.
	p.Wait(`!document.body.classList.contains("js-enabled") || document.getElementById("openspine-script").dataset.begun === "yes"`)
	p.Eval(`(() => { document.body.tabIndex = -1; document.body.focus(); document.body.removeAttribute("tabindex"); scrollTo(0, 0); })()`, nil)
	var stops []Stop
	for range 500 {
		p.Press(kb.Tab)
		var s struct {
			Stop
			Again bool
		}
		p.Eval(walkStep, &s)
		if s.Again {
			break
		}
		if s.Name == "" || !s.Visible || !s.Marked {
			p.t.Errorf("the keyboard stops at %s %q: visible %v, marked %v", s.Tag, s.Name, s.Visible, s.Marked)
		}
		stops = append(stops, s.Stop)
	}
	return stops
}

// walkStep describes the element that has the focus and marks it as visited.
const walkStep = `(() => {
	const e = document.activeElement;
	if (!e || e === document.body || e.dataset.walked) return {Again: true};
	const look = () => { const s = getComputedStyle(e), l = e.labels && e.labels[0] ? getComputedStyle(e.labels[0], "::before") : s;
		return [s.outlineStyle + s.outlineWidth + s.outlineColor, s.boxShadow, s.backgroundColor, s.borderColor, l.boxShadow, l.outline].join("|"); };
	const focused = look(), box = e.getBoundingClientRect();
	const name = (e.getAttribute("aria-label") || (e.labels && e.labels[0] && e.labels[0].innerText) || e.innerText || (e instanceof SVGElement && e.textContent) || e.title || "").trim();
	const sight = e.type === "radio" || e.type === "checkbox" ? e.closest("div") : e;
	const at = document.elementFromPoint(Math.max(1, box.left + Math.min(box.width, 40) / 2), box.top + Math.min(box.height / 2, 12));
	const visible = box.width > 0 && box.top >= 0 && box.bottom <= innerHeight + box.height && !!at && (sight.contains(at) || at.contains(e));
	const y = scrollY; e.blur(); const plain = look(); e.focus({preventScroll: true}); scrollTo(0, y);
	e.dataset.walked = "yes";
	return {Name: name.slice(0, 80), Tag: e.tagName.toLowerCase(), Visible: visible, Marked: focused !== plain};
})()`

// root is the repository's folder: where go.mod is.
func root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			t.Fatal("there is no go.mod above the test")
		}
		dir = up
	}
}
