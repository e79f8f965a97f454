package fhirapi_test

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/clock"
	"github.com/openspine/openspine/internal/node"
)

// twins are two worlds that differ in one thing: in the first there is a person whom nobody may know of, with all that a hospital writes
// about somebody; in the second there never was. The rest, the time and the ids that are given are the same in both.
type twins struct {
	t     testing.TB
	with  *world
	sans  *world
	clock [2]*clock.Fake
	known [2]map[string]*caller // by who asks: a token is signed and met once
	asked int
}

// as is somebody in each of the worlds.
func (tw *twins) as(p access.Principal) (both [2]*caller) {
	for i, w := range []*world{tw.with, tw.sans} {
		c := tw.known[i][p.ID]
		if c == nil {
			c = w.as(p).at(hospital)
			tw.known[i][p.ID] = c
		}
		both[i] = c.in(tw.t)
	}
	return both
}

// dated is randomness that follows from the time and from what was asked of it at that time, so that both worlds give the same ids.
type dated struct {
	mu    sync.Mutex
	clock *clock.Fake
	at    time.Time
	n     int
}

func (d *dated) Read(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if now := d.clock.Now(); !now.Equal(d.at) {
		d.at, d.n = now, 0
	}
	d.n++
	sum := sha256.Sum256(fmt.Appendf(nil, "%d/%d", d.at.UnixMicro(), d.n))
	return copy(p, sum[:]), nil
}

func newTwins(t *testing.T, database [2]string) *twins {
	start := time.Now().UTC().Truncate(time.Second) // tokens are checked against the clock that is handed in
	tw := &twins{t: t, known: [2]map[string]*caller{{}, {}}}
	for i := range tw.clock {
		tw.clock[i] = clock.NewFake(start)
		w := newWorld(t, setting{database: database[i], options: node.Options{Clock: tw.clock[i], Rand: &dated{clock: tw.clock[i]}}})
		if i == 0 {
			tw.with = w
		} else {
			tw.sans = w
		}
	}
	tw.fill()
	return tw
}

func (tw *twins) tick() {
	for _, c := range tw.clock {
		c.Advance(20 * time.Millisecond)
	}
}

// fill writes what is the same in both, and between that what is about her.
func (tw *twins) fill() {
	both := [2]*caller{tw.with.system().at(hospital), tw.sans.system().at(hospital)}
	open, secret := openChart(), hiddenChart()
	for i := 0; i < max(len(open), len(secret)); i++ {
		if i < len(secret) {
			tw.tick()
			both[0].put(secret[i])
		}
		if i < len(open) {
			tw.tick()
			both[0].put(open[i])
			both[1].put(open[i])
		}
	}
	tw.tick()
	both[0].put(observation("hid-voided", "hid", "61"))
	both[0].do("DELETE", "Observation/hid-voided", nil).wants(204)
	both[0].put(strings.Replace(secret[1], "71", "72", 1)) // a second version
	for _, w := range []*world{tw.with, tw.sans} {
		w.relate(hospital, "ann", "carer")
		w.relate(hospital, "ann", "chemist")
	}
	tw.tick()
}

// strangers are those who may not know of her.
func strangers() []access.Principal {
	elsewhere := func(role access.Role, id string, scopes ...string) access.Principal {
		p := principal(role, id, hospital)
		p.Organisation, p.Scopes = ident.MustODSCode("FZ901"), scopes
		return p
	}
	ann := principal(access.Patient, "ann-herself", hospital)
	ann.Organisation, ann.Person = ident.ODSCode{}, "ann"
	narrow := principal(access.SystemClient, "narrow")
	narrow.Scopes = []string{"system/Practitioner.*", "system/Organization.*", "system/Location.*"}
	return []access.Principal{
		principal(access.Clinician, "carer"), principal(access.Clinician, "colleague"), elsewhere(access.Clinician, "visitor"),
		principal(access.Clerk, "clerk"), elsewhere(access.Clerk, "booker"), principal(access.Pharmacist, "chemist"), principal(access.Administrator, "admin"),
		ann, elsewhere(access.SystemClient, "their-system", "system/*.*"), elsewhere(access.SystemClient, "their-reader", "system/Patient.read", "system/Observation.read"), narrow,
	}
}

// request is what is asked of both worlds.
type request struct {
	method, path, body string
	headers            []string
}

func (q request) String() string {
	return fmt.Sprintf("%s %s %.300s %q", q.method, q.path, q.body, q.headers)
}

// told is what a caller learns from an answer: its status, the headers that carry meaning, and its body. What names the world's own
// address, the request, or a page is put in words that are the same in both; a page's address counts by its length.
func (w *world) told(a *answer) string {
	var b strings.Builder
	fmt.Fprintln(&b, a.status)
	for _, h := range []string{"ETag", "Location", "Last-Modified", "Content-Location", "WWW-Authenticate", "Content-Type", "Allow", "Retry-After", "Link", "Warning", "Cache-Control"} {
		if v := a.header.Values(h); len(v) > 0 {
			fmt.Fprintln(&b, h, v)
		}
	}
	b.WriteString(a.body)
	text := strings.ReplaceAll(b.String(), w.url, "URL")
	text = cursors.ReplaceAllStringFunc(text, func(s string) string { return fmt.Sprint("_cursor=", len(s)) })
	return instants.ReplaceAllString(text, "$1")
}

// Commits at one time are a microsecond apart, and the node has some of its own; that is no more than noise of when it seals its account.
var instants = regexp.MustCompile(`(T[0-9]{2}:[0-9]{2}:[0-9]{2}[.][0-9]{3})[0-9]{1,3}`)

var cursors = regexp.MustCompile(`_cursor=[A-Za-z0-9_-]+`)

// ask sends a request to both worlds at once, page by page to the end, and returns what was told in each.
func (tw *twins) ask(p access.Principal, q request) (with, sans string) {
	who, path := tw.as(p), [2]string{q.path, q.path}
	var all [2]strings.Builder
	for range 25 {
		tw.tick()
		var answers [2]*answer
		var errs [2]error
		var both sync.WaitGroup
		for i, c := range who {
			if path[i] != "\x00" {
				both.Go(func() { answers[i], errs[i] = c.try(q.method, path[i], q.body, q.headers...) })
			}
		}
		both.Wait()
		more := false
		for i, w := range []*world{tw.with, tw.sans} {
			a := answers[i]
			if errs[i] != nil {
				tw.t.Fatal(q, errs[i])
			}
			if a == nil {
				continue
			}
			tw.asked++
			all[i].WriteString(w.told(a))
			path[i] = "\x00"
			if a.status == http.StatusOK && strings.Contains(a.body, `"relation":"next"`) {
				path[i] = a.link("next")
				more = true
			}
		}
		if !more {
			break
		}
		q.method, q.body, q.headers = "GET", "", nil
	}
	return all[0].String(), all[1].String()
}

// same fails the test when a stranger can tell the worlds apart; it reports whether they cannot.
func (tw *twins) same(p access.Principal, q request) bool {
	tw.t.Helper()
	with, sans := tw.ask(p, q)
	if with == sans {
		return true
	}
	at := 0
	for at < min(len(with), len(sans)) && with[at] == sans[at] {
		at++
	}
	from := max(0, at-200)
	tw.t.Errorf("%s (%s) can tell whether she is there\n%s\n with: %.500s\n sans: %.500s", p.ID, p.Role, q, with[from:], sans[from:])
	return false
}
