package postroom_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/internal/node"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/sim"
	"github.com/openspine/openspine/sim/simtest"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/web/webtest"
)

var (
	practice = ident.MustODSCode("Z99801")
	west     = ident.MustODSCode("RZZ01")
	east     = ident.MustODSCode("RZZ02")
	cured    atomic.Bool // whether letters are handled
	mended   atomic.Bool // whether those are that are tried again
	learnt   sync.Map    // what the sender learnt of letters that went away, by id
)

// letters is a service whose messages cannot be handled until they are cured.
func letters(catalogue.Kernel) []catalogue.Service {
	return []catalogue.Service{{Name: "letters", Summary: "Letters that fail.", Handles: []messaging.Handler{
		{Workflow: "letter.sent", Owner: "the post room of the hospital", Tries: 1, Handle: func(_ context.Context, _ *store.Tx, m messaging.Message) error {
			if cured.Load() || strings.Contains(string(m.Body), "good") {
				return nil
			}
			return errors.New("the printer is on fire")
		}},
		{Workflow: "letter.again", Handle: func(context.Context, *store.Tx, messaging.Message) error {
			if mended.Load() {
				return nil
			}
			return errors.New("the printer has no paper")
		}},
		{Workflow: "letter.void", Handle: func(context.Context, *store.Tx, messaging.Message) error {
			return messaging.Refuse("Nobody of that name works here.")
		}},
		{Workflow: "letter.away", Learn: func(_ context.Context, _ *store.Tx, r messaging.Receipt) error {
			learnt.Store(r.ID, r)
			return nil
		}},
	}}}
}

var country = simtest.ShareAll("postroom", letters, func(c *node.Config) { c.Outward = []string{"127.0.0.0/8"} })

func TestMain(m *testing.M) { country.Main(m) }

// send sends a letter and waits until it has come to a state.
func send(t *testing.T, w *simtest.World, from, to ident.ODSCode, workflow, conversation, body string, want messaging.State) messaging.Item {
	t.Helper()
	k := w.Node.Kernel()
	var id string
	err := k.DB.Write(t.Context(), []store.Lane{k.Post().LaneOf(from, conversation)}, func(tx *store.Tx) (err error) {
		id, err = k.Post().Send(t.Context(), tx, messaging.Message{From: from, To: to, Workflow: workflow, Conversation: conversation, Body: []byte(body)})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return comes(t, w, id, want)
}

func comes(t *testing.T, w *simtest.World, id string, want messaging.State) (it messaging.Item) {
	t.Helper()
	simtest.Eventually(t, func() bool {
		list, err := w.Node.Kernel().Post().ByID(t.Context(), id)
		if err != nil || len(list) == 0 {
			t.Fatal(err)
		}
		for _, it = range list { // where it was redirected there are several
			if it.State == want {
				return true
			}
		}
		return false
	})
	return it
}

func at(it messaging.Item) string { return "/post/messages/" + it.Ref.String() }

// given messages that are handled, refused and parked; when they are looked for, then each is found by what is known of it, with all that happened to it, by those whose post it is.
func TestMessagesAreFound(t *testing.T) {
	w := country.Given(t)
	good := send(t, w, practice, west, "letter.sent", "", `{"letter":"good"}`, messaging.Handled)
	void := send(t, w, practice, east, "letter.void", "", "void", messaging.Refused)
	bad := send(t, w, practice, west, "letter.sent", "ubrn-1", `{"letter":"bad"}`, messaging.Parked)
	admin := w.SignedIn(t, "admin")
	admin.Get("/post").Sees(200, good.ID, void.ID, bad.ID, "Handled", "Refused", "Parked", "letter.sent", "letter.void")
	for query, want := range map[string]messaging.Item{"id=" + strings.ToUpper(void.ID): void, "organisation=rzz02&age=hour": void, "workflow=letter.void": void, "state=refused": void, "state=unsuccessful&organisation=Z99801": void} {
		admin.Get("/post?"+query).Sees(200, want.ID)
		admin.SeesNot(bad.ID, good.ID)
	}
	admin.Get("/post?age=over-day").Sees(200, "No message is like this")
	admin.Get("/post?organisation=!").Sees(422, "Enter an ODS code")
	admin.Get("/post.csv?state=parked").Sees(200, bad.ID)
	if !strings.Contains(admin.Header.Get("Content-Disposition"), "messages.csv") {
		t.Error("no file")
	}
	admin.Get(at(void)).Sees(200, "Nobody of that name works here", "letter.void", "Sent", "Delivered", "Refused")
	admin.SeesNot("What you can decide")
	admin.Get(at(bad)).Sees(200, "Parked", "the post room of the hospital", "What the message holds is shown to clerks")
	if got := admin.Get(at(bad) + "/content").Status; got != 403 {
		t.Errorf("an administrator reads what a message holds: %d", got)
	}

	clerk := w.SignedIn(t, "clerk") // of the practice, which sent it
	clerk.Get("/post").Sees(200, good.ID, bad.ID, void.ID)
	clerk.Get("/post?organisation=RZZ02").Sees(200, void.ID).SeesNot(bad.ID)
	clerk.Get(at(bad)).Sees(200, "Open what it holds").SeesNot("What you can decide")
	clerk.Get(at(bad)+"/content").Sees(200, `"letter": "bad"`)
	page, err := w.Node.Kernel().Audit.Search(t.Context(), audit.Query{Tenant: practice, Actions: []string{"read"}, Actor: "clerk"})
	if err != nil || len(page.Entries) == 0 || !strings.Contains(page.Entries[0].Detail, bad.ID) {
		t.Errorf("on the account: %+v %v", page.Entries, err)
	}
	if got := clerk.Get(at(bad) + "/abandon").Status; got != 403 {
		t.Errorf("the sender's clerk decides about what stands at the hospital: %d", got)
	}
	theirs := w.SignedIn(t, "hospital-clerk")
	own := theirs.Get("/post").Status
	if own != 200 {
		t.Fatal(own)
	}
	theirs.SeesNot(void.ID)
	theirs.Get(at(void)).Sees(404, "There is no such message here")
	if got := w.SignedIn(t, "gp").Get("/post").Status; got != 403 {
		t.Errorf("a clinician is answered %d", got)
	}
}

// given poison; when people decide about it, then each decision takes a reason, is on the account and in the timeline, and can be undone where it says so.
func TestWhatIsParkedIsDecidedByAPerson(t *testing.T) {
	w := country.Given(t)
	one := send(t, w, practice, west, "letter.sent", "ubrn-2", "bad one", messaging.Parked)
	two := send(t, w, practice, west, "letter.sent", "ubrn-3", "bad two", messaging.Parked)
	admin := w.SignedIn(t, "admin")
	admin.Get("/").Sees(200, "for a person")
	admin.Get("/post/parked?sort=owner").Sees(200, "the post room of the hospital", "letter.sent", "the handler failed")
	admin.Get("/post/parked.csv").Sees(200, one.ID, two.ID)
	admin.Get("/post/waiting").Sees(200, "Fenmarket General Hospital, on this node")

	admin.Get(at(one)+"/take").Sees(200, "Take this message?")
	admin.Send(at(one)+"/take", "owner", "Ada of the night shift", "reason", "no").Sees(422, "Say why")
	admin.Send(at(one)+"/take", "owner", "Ada of the night shift", "reason", "I know that printer").Sees(200, "The message is taken", "Ada of the night shift", "Give it back to the post room of the hospital", "I know that printer")
	back := admin.Link(`/post/messages/[^"]*take\?owner=[^"]*`)
	admin.Get(back).Sees(200)
	admin.Send(back, "reason", "My shift is over").Sees(200, "My shift is over")
	admin.Get("/post/parked?owner="+url.QueryEscape("Ada of the night shift")).Sees(200, "No post waits for a person")

	admin.Get(at(two)+"/redirect").Sees(200, "Redirect this message?")
	admin.Send(at(two)+"/redirect", "to", "RQQQQ", "reason", "It is theirs").Sees(422, "Nobody is known to keep the post of RQQQQ")
	admin.Send(at(two)+"/redirect", "to", "RZZ02", "reason", "It is for the other site").Sees(200, "The message is redirected", "It is for the other site")
	comes(t, w, two.ID, messaging.Parked)

	theirs := w.SignedIn(t, "hospital-clerk")
	theirs.Get(at(one)+"/abandon").Sees(200, "This cannot be undone")
	theirs.Send(at(one)+"/abandon", "reason", "The patient was told").Sees(200, "The message is abandoned", "The patient was told")
	theirs.Get(at(one)+"/retry").Sees(409, "Abandoned")

	cured.Store(true)
	defer cured.Store(false)
	now := comes(t, w, two.ID, messaging.Parked)
	admin.Get(at(now)+"/retry").Sees(200, "Try this message again?")
	admin.Send(at(now)+"/retry", "reason", "The fire is out").Sees(200, "tried again")
	comes(t, w, two.ID, messaging.Handled)
	page, err := w.Node.Kernel().Audit.Search(t.Context(), audit.Query{Tenant: west, Actions: []string{"message-abandon", "message-take", "message-redirect"}})
	if err != nil || len(page.Entries) != 4 {
		t.Errorf("on the account: %+v %v", page.Entries, err)
	}
}

// given a message that failed and is due again; when somebody looks, then it is not said to be delivered, and the one behind it waits its turn.
func TestAMessageThatIsTriedAgainSaysSo(t *testing.T) {
	w := country.Given(t)
	admin := w.SignedIn(t, "admin")
	first := send(t, w, practice, west, "letter.again", "ubrn-again", "one", messaging.Delivered)
	second := send(t, w, practice, west, "letter.again", "ubrn-again", "two", messaging.Delivered)
	for it, want := range map[*messaging.Item]string{&first: "Being tried again", &second: "Waits its turn"} {
		for _, path := range []string{"/post.csv?id=" + it.ID, "/post?id=" + it.ID, at(*it)} {
			simtest.Eventually(t, func() bool { return strings.Contains(admin.Get(path).Text(), want) })
		}
	}
	mended.Store(true)
	defer mended.Store(false)
	comes(t, w, first.ID, messaging.Handled)
	comes(t, w, second.ID, messaging.Handled)
	admin.Get("/post?id="+first.ID).Sees(200, first.ID).SeesNot("Being tried again")
}

// given a message that waits for a person; when the post is summed up, then it is not among those on their way as well.
func TestWhatWaitsForAPersonIsCountedOnce(t *testing.T) {
	w := country.Given(t)
	admin := w.SignedIn(t, "admin")
	count := regexp.MustCompile(`(\d+) messages?.*?(\d+) messages?`)
	counts := func() (parked, moving string) {
		m := count.FindStringSubmatch(strings.Join(strings.Fields(admin.Get("/post/now").Text()), " "))
		if m == nil {
			t.Fatalf("no counts: %s", admin.Text())
		}
		return m[1], m[2]
	}
	parked, moving := counts()
	send(t, w, practice, west, "letter.sent", "", "bad "+time.Now().String(), messaging.Parked)
	simtest.Eventually(t, func() bool {
		p, m := counts()
		return p != parked && m == moving
	})
}

// given an organisation that nobody keeps; when an administrator sets a route, then post goes there, and the change is written down with its reason and can be undone.
func TestRoutesAreSetAndDropped(t *testing.T) {
	w := country.Given(t)
	admin := w.SignedIn(t, "admin")
	admin.Get("/post/routes?name=rzz09").Sees(200, "There are no routes")
	admin.Get("/post/routes/set").Sees(200)
	admin.Send("/post/routes/set", "recipient", "?", "kind", "node", "to", "", "reason", "").Sees(422, "Enter an ODS code", "Say where the post goes", "Say why")
	admin.Send("/post/routes/set", "recipient", "RZZ09", "kind", "node", "to", "!", "reason", "They moved").Sees(422)
	admin.Send("/post/routes/set", "recipient", "RZZ09", "kind", "node", "to", "RZZ02", "reason", "They moved in with them").Sees(200, "The route is set", "They moved in with them", "RZZ09")
	undo := admin.Link(`/post/routes/drop\?[^"]*`)
	held := send(t, w, practice, ident.MustODSCode("RZZ09"), "letter.sent", "", "bad", messaging.Accepted)
	admin.Get("/post/waiting?sort=-waiting").Sees(200, "On the way to")
	admin.Get(at(held)).Sees(200, "Accepted")
	admin.Get(undo).Sees(200, "Take this route away?")
	admin.Send(undo, "reason", "They moved out again").Sees(200, "The route is taken away", "They moved out again")
	admin.Get("/post/routes?name=rzz09").Sees(200, "There are no routes")
	admin.Get(undo).Sees(404)
	admin.Get(at(held)+"/abandon").Sees(200).Send(at(held)+"/abandon", "reason", "The route was wrong").Sees(200, "abandoned")
	if got := w.SignedIn(t, "clerk").Get("/post/routes").Status; got != 403 {
		t.Errorf("a clerk sets routes: %d", got)
	}
}

// given a third party in the directory, to whom a route leads; when it answers, is away, or refuses, then the sender learns so, and nothing is lost.
func TestPostGoesToAThirdParty(t *testing.T) {
	w := country.Given(t)
	var away atomic.Bool
	keys := make(chan string, 10)
	third := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		switch {
		case away.Load():
			rw.WriteHeader(http.StatusServiceUnavailable)
			return
		case strings.Contains(string(text), "void"):
			rw.WriteHeader(http.StatusUnprocessableEntity)
			io.WriteString(rw, `{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"invalid","diagnostics":"no such ward"}]}`)
			return
		}
		keys <- r.URL.Path + " " + r.Header.Get("Idempotency-Key")
		io.WriteString(rw, `{"resourceType":"Bundle","type":"message","entry":[{"resource":{"resourceType":"MessageHeader","response":{"identifier":"h","code":"ok"}}}]}`)
	}))
	defer third.Close()
	l := w.Node.Loader("test", sim.National, nil)
	endpoint, err := fhir.Parse(fmt.Appendf(nil, `{"resourceType":"Endpoint","id":"letters-away","status":"active","connectionType":{"system":"http://terminology.hl7.org/CodeSystem/endpoint-connection-type","code":"hl7-fhir-msg"},
		"payloadType":[{"text":"any"}],"address":"%s/fhir"}`, third.URL))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(l.Add(t.Context(), endpoint), l.Flush(t.Context())); err != nil {
		t.Fatal(err)
	}
	admin := w.SignedIn(t, "admin")
	admin.Get("/post/routes/set").Sees(200)
	admin.Send("/post/routes/set", "recipient", "RZZ02", "workflow", "letter.away", "kind", "endpoint", "to", "nowhere", "reason", "Their own system").Sees(422, "There is no Endpoint nowhere")
	admin.Send("/post/routes/set", "recipient", "RZZ02", "workflow", "letter.away", "kind", "endpoint", "to", "letters-away", "reason", "Their own system").Sees(200, "Address letters-away")
	letter := func(id string) string {
		return `{"resourceType":"Bundle","id":"` + id + `","type":"message","entry":[{"resource":{"resourceType":"MessageHeader","id":"` + id + `","eventUri":"urn:x:letter","source":{"endpoint":"urn:x:us"}}}]}`
	}
	it := send(t, w, practice, east, "letter.away", "", letter("good"), messaging.Handled)
	if got, want := <-keys, "/fhir/$process-message "+it.ID; got != want {
		t.Errorf("delivered %q, not %q", got, want)
	}
	r, _ := learnt.Load(it.ID)
	if r, _ := r.(messaging.Receipt); r.State != messaging.Handled || !strings.Contains(string(r.Answer), `"code":"ok"`) {
		t.Errorf("the sender learnt %+v", r)
	}
	void := send(t, w, practice, east, "letter.away", "", letter("void"), messaging.Refused)
	admin.Get(at(void)).Sees(200, "no such ward", "Address letters-away")
	away.Store(true)
	it = send(t, w, practice, east, "letter.away", "", letter("later"), messaging.Delivered)
	away.Store(false)
	comes(t, w, it.ID, messaging.Handled)
}

// Each page, at a desk, on a phone and without scripts.
func TestEachPage(t *testing.T) {
	w := country.Given(t)
	bad := send(t, w, practice, west, "letter.sent", "ubrn-9", `{"letter":"bad"}`, messaging.Parked)
	send(t, w, practice, west, "letter.sent", "ubrn-9", `{"letter":"behind it"}`, messaging.Delivered)
	admin, clerk := w.SignedIn(t, "admin").Cookie(), w.SignedIn(t, "clerk").Cookie()
	var visits []webtest.Visit
	for _, path := range []string{"/", "/post", "/post?age=over-week", "/post/parked", "/post/parked?owner=nobody", "/post/waiting", "/post/waiting?name=nowhere", "/post/routes", "/post/routes/set", at(bad), at(bad) + "/redirect", at(bad) + "/take"} {
		visits = append(visits, webtest.Visit{User: "admin", Path: path, Cookie: admin, Walk: path == at(bad) || path == "/post", Name: strings.ReplaceAll(strings.ReplaceAll("post-admin"+strings.ReplaceAll(path, bad.Ref.String(), "m"), "/", "-"), "?", "-")})
	}
	for i, path := range []string{"/post", at(bad), at(bad) + "/content"} {
		visits = append(visits, webtest.Visit{Name: fmt.Sprintf("post-clerk-%d", i), User: "clerk", Path: path, Cookie: clerk})
	}
	webtest.NewBrowser(t).EveryPage(t, w.URL, visits)
}

// given an open page; when a message is parked, then the page counts it without being asked for again.
func TestThePageCountsByItself(t *testing.T) {
	w := country.Given(t)
	b := webtest.NewBrowser(t)
	p := b.Open(t, w.URL+"/post", webtest.Cookie("openspine", w.SignedIn(t, "admin").Cookie()))
	var before string
	p.Eval(`document.querySelector("#post-now").innerText`, &before)
	send(t, w, practice, west, "letter.sent", "", "bad "+time.Now().String(), messaging.Parked)
	p.Wait(`document.querySelector("#post-now dd").innerText !== ` + fmt.Sprintf("%q", "") + ` && !document.querySelector("#post-now").innerText.startsWith(` + "`" + before + "`" + `)`)
}
