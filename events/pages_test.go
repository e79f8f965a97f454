package events_test

import (
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/web/webtest"
)

// visitor has signed in and reads pages without scripts.
type visitor struct {
	w      *world
	client *http.Client
	body   string
}

func (w *world) visitor(id string, role access.Role) *visitor {
	w.t.Helper()
	if err := w.node.Kernel().Gate.PutUser(w.t.Context(), access.User{Principal: access.Principal{ID: id, Name: "The " + id, Role: role, Organisation: national}, Demo: true}); err != nil {
		w.t.Fatal(err)
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	v := &visitor{w: w, client: &http.Client{Jar: jar}}
	v.do(http.MethodPost, "/sign-in", url.Values{"user": {id}, "to": {"/"}})
	return v
}

func (v *visitor) do(method, path string, form url.Values) int {
	v.w.t.Helper()
	req, err := http.NewRequestWithContext(v.w.t.Context(), method, v.w.srv.URL+path, strings.NewReader(form.Encode()))
	if err != nil {
		v.w.t.Fatal(err)
	}
	req.Header.Set("Accept", "text/html")
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := v.client.Do(req)
	if err != nil {
		v.w.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		v.w.t.Fatal(err)
	}
	v.body = html.UnescapeString(string(text))
	return resp.StatusCode
}

func (v *visitor) sees(path string, texts ...string) {
	v.w.t.Helper()
	if status := v.do(http.MethodGet, path, nil); status != http.StatusOK {
		v.w.t.Fatalf("%s answers %d", path, status)
	}
	for _, text := range texts {
		if !strings.Contains(v.body, text) {
			v.w.t.Errorf("%s does not say %q:\n%s", path, text, v.body)
		}
	}
}

var hiddenRE = regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)"`)

// act sends the form of a subscription's page.
func (v *visitor) act(id string, pairs ...string) int {
	v.w.t.Helper()
	v.sees("/subscriptions/" + id)
	form := url.Values{}
	_, main, _ := strings.Cut(v.body, "<main")
	for _, h := range hiddenRE.FindAllStringSubmatch(main, -1) {
		form.Set(h[1], h[2])
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return v.do(http.MethodPost, "/subscriptions/"+id, form)
}

func (c *caller) example(id string) {
	c.t.Helper()
	c.do("POST", "/events", `{"specversion":"1.0","id":"`+id+`","source":"uk.nhs.x","type":"example-event-1","time":"2020-06-01T13:00:00Z"}`, "Content-Type", "application/cloudevents+json").want(200)
}

func TestAnAdministratorSeesWhoIsToldAndWhatWaits(t *testing.T) {
	w := newWorld(t, "")
	admin := w.visitor("keeper", access.Administrator)
	admin.sees("/subscriptions", "Nobody has subscribed.")
	c := w.system()
	id := c.subscribe("eventType=example-event-1", "/x", "application/json")
	c.subscribe("eventType=pds-record-change-2", "/y", "application/json")
	c.example("1")
	w.settle()
	w.there.answer(503)
	c.example("2")
	w.settle()
	admin.sees("/subscriptions", "2 subscriptions", "example-event-1", "RZ901")
	admin.sees("/subscriptions?kind=pds-record-change-2", "1 subscription")
	admin.sees("/subscriptions?organisation=x26", "Nobody has subscribed.")
	admin.sees("/subscriptions?sort=-waiting&format=csv", "eventType=example-event-1")
	admin.sees("/subscriptions/"+id, "The address answers 503.", "2 events in the last 35 days", "Delivered", "Waits to be delivered", "Authorization")
	if strings.Contains(admin.body, "the-secret") || strings.Contains(admin.body, "/x") && strings.Contains(admin.body, w.there.URL+"/x") {
		t.Error("the page shows what a header or an address holds")
	}
	admin.sees("/subscriptions/"+id+"?format=csv", "example-event-1")
	if status := admin.act(id, "do", "pause", "reason", "no"); status != http.StatusUnprocessableEntity || !strings.Contains(admin.body, "Say why, in 10 to 500 characters") {
		t.Errorf("paused without a reason: %d", status)
	}
	if status := admin.act(id, "do", "pause", "reason", "They move their machines today"); status != http.StatusOK || !strings.Contains(admin.body, "They move their machines today") {
		t.Errorf("paused: %d", status)
	}
	w.there.answer(200)
	w.there.calls()
	w.time.Advance(time.Hour)
	c = w.system()
	c.example("3")
	w.settle()
	if got := w.there.calls(); len(got) != 0 {
		t.Errorf("told while it was paused: %d", len(got))
	}
	admin = w.visitor("keeper", access.Administrator)
	if status := admin.act(id, "do", "resume", "reason", "They have moved their machines"); status != http.StatusOK {
		t.Errorf("resumed: %d", status)
	}
	w.time.Advance(time.Minute)
	w.settle()
	if got := w.there.calls(); len(got) != 2 {
		t.Errorf("what waited came %d times", len(got))
	}
	if status := admin.act(id, "do", "delete", "reason", "The contract has ended"); status != http.StatusOK || !strings.Contains(admin.body, "1 subscription") {
		t.Errorf("taken away: %d", status)
	}
	page, err := w.node.Kernel().Audit.Search(t.Context(), audit.Query{Actor: "keeper", Actions: []string{"pause-subscription", "resume-subscription", "delete-subscription"}})
	if err != nil || len(page.Entries) != 3 || !strings.Contains(page.Entries[0].Detail, "The contract has ended") {
		t.Errorf("on the account: %+v (%v)", page.Entries, err)
	}
	if status := w.visitor("doc", access.Clinician).do(http.MethodGet, "/subscriptions", nil); status != http.StatusForbidden {
		t.Errorf("a clinician is answered %d", status)
	}
}

func TestAnAdministratorKeepsFHIRSubscriptionsToo(t *testing.T) {
	w := newWorld(t, "")
	c := w.fhirClient("list", "system/Patient.read")
	id, _ := c.do("POST", c.fhir("/Subscription"), c.hook("requested", "Patient?", "", "")).want(201).json()["id"].(string)
	w.settle()
	w.job("subscriptions")
	admin := w.visitor("keeper", access.Administrator)
	if status := admin.act("RZ901."+id, "do", "pause", "reason", "They asked too much of us"); status != http.StatusOK {
		t.Fatalf("paused: %d", status)
	}
	w.job("subscriptions")
	if st, why := c.status(id); st != "off" || why != "They asked too much of us" {
		t.Errorf("paused it is %s %q", st, why)
	}
	if status := admin.act("RZ901."+id, "do", "delete", "reason", "They do not need it any more"); status != http.StatusOK {
		t.Errorf("taken away: %d", status)
	}
	c.do("GET", c.fhir("/Subscription/"+id), "").want(410)
}

func TestThePagesAreHealthy(t *testing.T) {
	w := newWorld(t, "")
	c := w.system()
	id := c.subscribe("eventType=example-event-1", "/x", "application/json")
	for i := range 60 {
		c.subscribe(fmt.Sprintf("eventType='example-event-1' AND filter_option_1='%d'", i), fmt.Sprintf("/many/%d", i), "application/fhir+json")
	}
	c.example("1")
	w.settle()
	w.there.answer(503)
	c.example("2")
	w.settle()
	admin := w.visitor("keeper", access.Administrator)
	u, err := url.Parse(w.srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	session := admin.client.Jar.Cookies(u)[0]
	var visits []webtest.Visit
	for i, path := range []string{"/subscriptions", "/subscriptions?organisation=nobody", "/subscriptions/" + id} {
		visits = append(visits, webtest.Visit{Name: fmt.Sprintf("events-%d", i), User: "keeper", Path: path, Cookie: session.Value, Walk: i != 1})
	}
	webtest.NewBrowser(t).EveryPage(t, w.srv.URL, visits)
}
