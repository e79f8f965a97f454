package messages_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/fhirapi/messages"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/internal/node"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/network"
	"github.com/openspine/openspine/store"
)

// A message is handled once, whoever sends it how often, and each copy gets the answer of the first.
func TestAMessageIsHandledOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		p := w.program(practice, access.SystemClient).at(hospital)
		first := p.post("", message("m1", admit, "Yes", "")).wants(200, "bed 7").says("m1", "ok")
		if err := w.n.Kernel().Sound(t.Context(), first.doc); err != nil {
			t.Errorf("the response is not FHIR: %v\n%s", err, first.body)
		}
		if got := first.doc.Get("entry.0.resource.destination.0.endpoint").String(); got != "https://pas.example.org/fhir" {
			t.Errorf("the response is for %s", got)
		}
		if again := p.post("", strings.Replace(message("m1", admit, "Yes", ""), "2026-02-03", "2026-02-04", 1)).wants(200); again.body != first.body {
			t.Errorf("the same message was answered\n%s and then\n%s", first.body, again.body)
		}
		p.post("", message("m1", admit, "Somebody else", "")).wants(409, "an id of its own")
		p.post("", strings.Replace(message("m2", admit, "Yes", ""), "b-m2", "b-m1", 1)).wants(409, "an id is used once")
		w.program(hospital, access.SystemClient).at(hospital).post("", message("m1", admit, "Another", "")).wants(200).says("m1", "ok") // another sender's ids are their own
		answers := make([]string, 20)
		var wait sync.WaitGroup
		for i := range answers {
			wait.Go(func() {
				got, err := p.try("", message("m3", admit, "Crowd", ""))
				if answers[i] = got.body; err != nil || got.status != 200 {
					t.Error(got.status, got.body, err)
				}
			})
		}
		wait.Wait()
		for _, a := range answers {
			if a != answers[0] {
				t.Errorf("answered\n%s and\n%s", answers[0], a)
			}
		}
		if got, want := admitted(t, w.n), "m1 of Y90001, m1 of RZ901, m3 of Y90001"; got != want {
			t.Errorf("admitted %q, not %q", got, want)
		}
		page, err := w.n.Kernel().Audit.Search(t.Context(), audit.Query{Actions: []string{access.ActMessage}})
		if err != nil || len(page.Entries) != 3 || !strings.Contains(page.Entries[0].Detail, "for RZ901: handled") {
			t.Errorf("on the account: %+v %v", page.Entries, err)
		}
	})
}

// What a service refuses is refused again in the same words; what it cannot do now is not kept, and can be sent again.
func TestRefusedOrNotNow(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		p := w.program(practice, access.SystemClient).at(hospital)
		no := p.post("", message("m1", admit, "No", "")).wants(200, "The ward is full.").says("m1", "fatal-error")
		if err := w.n.Kernel().Sound(t.Context(), no.doc); err != nil {
			t.Errorf("the response is not FHIR: %v\n%s", err, no.body)
		}
		if again := p.post("", message("m1", admit, "No", "")); again.body != no.body {
			t.Errorf("refused otherwise: %s", again.body)
		}
		p.post("", message("m2", admit, "Never", "")).wants(200, "The bed is taken.").says("m2", "fatal-error")
		w.busy.Store(true)
		p.post("", message("m3", admit, "Yes", "")).wants(503, "The ward is busy.")
		w.busy.Store(false)
		p.post("", message("m3", admit, "Yes", "")).wants(200).says("m3", "ok")
		if got := admitted(t, w.n); got != "m3 of Y90001" {
			t.Errorf("admitted %q", got)
		}
		// What was answered long ago is forgotten, and only that.
		run := func() {
			for _, s := range w.n.Services() {
				for _, j := range s.Jobs {
					if j.Name == "prune-messages" {
						if err := j.Run(t.Context()); err != nil {
							t.Fatal(err)
						}
					}
				}
			}
		}
		w.clock.Advance(34 * 24 * time.Hour)
		run()
		w.program(practice, access.SystemClient).at(hospital).post("", message("m3", admit, "Yes", "")).wants(200)
		w.clock.Advance(48 * time.Hour)
		run()
		w.program(practice, access.SystemClient).at(hospital).post("", message("m3", admit, "Yes", "")).wants(200)
		if got := admitted(t, w.n); got != "m3 of Y90001, m3 of Y90001" {
			t.Errorf("admitted %q", got)
		}
	})
}

// Whatever is no message, or not for us, or not from who sends it, is refused with an OperationOutcome that says where, and has no effect.
func TestWhatIsNotTaken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	p := w.program(practice, access.SystemClient).at(hospital)
	good := message("m1", admit, "Yes", "")
	change := func(old, replacement string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("there is no %s", old)
		}
		return strings.Replace(good, old, replacement, 1)
	}
	deep := strings.Repeat(`{"url":"urn:x","extension":[`, 300) + strings.Repeat(`]}`, 300)
	for name, c := range map[string]struct {
		body, query string
		status      int
		words       []string
	}{
		"no JSON":               {"{", "", 400, nil},
		"another resource":      {`{"resourceType":"Patient"}`, "", 422, []string{"type message"}},
		"a transaction":         {`{"resourceType":"Bundle","type":"transaction"}`, "", 422, []string{"Bundle.type"}},
		"no header":             {`{"resourceType":"Bundle","type":"message","entry":[{"fullUrl":"urn:uuid:0f7c6c9e-0000-4000-8000-000000000002","resource":{"resourceType":"Patient"}}]}`, "", 422, []string{"MessageHeader"}},
		"no entries":            {`{"resourceType":"Bundle","type":"message"}`, "", 422, nil},
		"no event":              {change(`"eventUri":"urn:test:admit",`, ""), "", 422, []string{"event"}},
		"a code without system": {change(`"eventUri":"urn:test:admit"`, `"eventCoding":{"code":"x"}`), "", 422, []string{"event"}},
		"an unknown event":      {change(admit, "urn:test:strange"), "", 422, []string{`"code":"not-supported"`, "Bundle.entry[0].resource.event[x]", "urn:test:strange"}},
		"no source":             {change(`"source":{"name":"PAS","endpoint":"https://pas.example.org/fhir"},`, ""), "", 422, []string{"source"}},
		"no focus": {change(`,
			"focus":[{"reference":"urn:uuid:0f7c6c9e-0000-4000-8000-000000000002"}]`, ""), "", 422, []string{"focus"}},
		"a focus elsewhere":       {change(`"reference":"urn:uuid:0f7c6c9e-0000-4000-8000-000000000002"`, `"reference":"Patient/7"`), "", 422, []string{"focus"}},
		"another kind of focus":   {change(`"resourceType":"Patient","name":[{"family":"Yes"}]`, `"resourceType":"Basic","code":{"text":"x"}`), "", 422, []string{"not about a Basic"}},
		"a response":              {change(`"focus"`, `"response":{"identifier":"x","code":"ok"},"focus"`), "", 422, []string{"response"}},
		"for another address":     {message("m1", admit, "Yes", `"destination":[{"endpoint":"https://elsewhere.example.org"}],`), "", 422, []string{"somebody else"}},
		"for nobody known":        {message("m1", admit, "Yes", to("RQQQQ")), "", 422, []string{"RQQQQ"}},
		"for two":                 {message("m1", admit, "Yes", strings.TrimSuffix(to("RZ901"), "],")+","+strings.TrimPrefix(to("X26"), `"destination":[`)), "", 422, []string{"one organisation"}},
		"of another organisation": {message("m1", admit, "Yes", `"sender":{"identifier":{"system":"https://fhir.nhs.uk/Id/ods-organization-code","value":"RZ901"}},`), "", 403, []string{"RZ901"}},
		"an element too many":     {change(`"name":[`, `"nickname":"x","name":[`), "", 422, []string{"nickname"}},
		"too deep":                {change(`"name":[`, `"extension":[`+deep+`],"name":[`), "", 400, []string{"too deep"}},
		"an unknown parameter":    {good, "?ansync=true", 400, []string{"ansync"}},
		"async neither way":       {good, "?async=yes", 400, nil},
		"response-url alone":      {good, "?response-url=https://example.org", 400, nil},
		"a response-url inside":   {good, "?async=true&response-url=http://10.0.0.1/", 400, nil},
		"nowhere to answer":       {change("https://pas.example.org/fhir", "urn:x:us"), "?async=true", 400, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got := p.post(c.query, c.body)
			got.t = t
			got.wants(c.status, append(c.words, `"OperationOutcome"`)...)
		})
	}
	w.program(practice, access.Clinician).at(hospital).post("", good).wants(403)
	nobody := *p
	nobody.token = ""
	nobody.post("", good).wants(401)
	if got := admitted(t, w.n); got != "" {
		t.Errorf("admitted %q", got)
	}
	// An address of ours, and a header without an id: both as published examples have them.
	p.post("", message("m9", admit, "Yes", fmt.Sprintf(`"destination":[{"endpoint":"%s/o/RZ901/FHIR/R4/$process-message"}],`, w.n.URL()))).wants(200).says("m9", "ok")
	p.post("", strings.NewReplacer(`"id":"m1",`, "", `"id":"b-m1",`, "").Replace(good)).wants(200).says("0f7c6c9e-0000-4000-8000-000000000001", "ok")
}

// away sends the FHIR messages of an organisation elsewhere.
func (w *world) away(recipient ident.ODSCode, to messaging.Destination) {
	w.t.Helper()
	k := w.n.Kernel()
	if err := k.DB.Write(w.t.Context(), []store.Lane{0}, func(tx *store.Tx) error {
		return k.Post().SetRoute(tx, messaging.Route{Recipient: recipient, Workflow: messages.Workflow, To: to, Actor: "test"})
	}); err != nil {
		w.t.Fatal(err)
	}
}

// endpoint puts a third party into the directory.
func (w *world) endpoint(id, url string) {
	w.t.Helper()
	l := w.n.Loader("test", nation, nil)
	e, err := fhir.Parse(fmt.Appendf(nil, `{"resourceType":"Endpoint","id":"%s","status":"active","connectionType":{"system":"http://terminology.hl7.org/CodeSystem/endpoint-connection-type","code":"hl7-fhir-msg"},
		"payloadType":[{"text":"any"}],"address":"%s"}`, id, url))
	if err == nil {
		err = l.Add(w.t.Context(), e)
	}
	if err == nil {
		err = l.Flush(w.t.Context())
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func yes(body string) string {
	doc, err := fhir.Parse([]byte(body))
	if err != nil {
		return ""
	}
	return `{"resourceType":"Bundle","type":"message","entry":[{"resource":{"resourceType":"MessageHeader","response":{"identifier":"` + doc.Get("entry.0.resource.id").String() + `","code":"ok"}}},{"resource":{"resourceType":"Basic","code":{"text":"their own words"}}}]}`
}

// A message for another organisation goes on to it, as it was sent, and its answer comes back: to the caller who waits, to the one who asks again, or where it is wanted.
func TestAMessageGoesOnToAnotherOrganisation(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		p := w.program(practice, access.SystemClient)
		w.endpoint("their-system", w.there.URL+"/fhir")
		w.away(ident.MustODSCode("RZZ09"), messaging.Destination{Kind: "endpoint", Name: "their-system"})
		w.there.says(200, yes)
		sent := message("m1", "urn:theirs:event", "Away", to("RZZ09"))
		first := p.post("", sent).wants(200, "their own words").says("m1", "ok")
		if path, body, _ := strings.Cut(w.comes(), " "); path != "/fhir/$process-message" || body != sent {
			t.Errorf("to %s went\n%s", path, body)
		}
		if again := p.post("", sent); again.body != first.body {
			t.Errorf("answered again %s", again.body)
		}
		w.there.says(422, func(string) string {
			return `{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"invalid","diagnostics":"no such ward"}]}`
		})
		p.post("", message("m2", "urn:theirs:event", "Away", to("RZZ09"))).wants(200, "no such ward").says("m2", "fatal-error")
		w.comes()
		// Who cannot wait is told that it is kept, and learns the rest by asking again.
		w.there.says(503, nil)
		sent = message("m3", "urn:theirs:event", "Away", to("RZZ09"))
		p.post("", sent, "Prefer", "wait=0").wants(202, "on its way to RZZ09")
		w.there.says(200, yes)
		w.comes()
		w.eventually(func() bool { return p.post("", sent, "Prefer", "wait=0").status == 200 })
		p.post("", sent).wants(200, "their own words").says("m3", "ok")
		// Or has the answer sent.
		w.there.says(200, yes)
		p.post("?async=true&response-url="+w.there.URL+"/answers", message("m4", "urn:theirs:event", "Away", to("RZZ09"))).wants(202, "OperationOutcome")
		if got := w.comes(); !strings.HasPrefix(got, "/fhir/$process-message ") {
			t.Errorf("first came %s", got)
		}
		if got := w.comes(); !strings.HasPrefix(got, "/answers ") || !strings.Contains(got, `"identifier":"m4","code":"ok"`) {
			t.Errorf("then came %s", got)
		}
		if len(p.post("", message("m5", "urn:theirs:event", strings.Repeat("x", messages.MaxSentOn), to("RZZ09"))).wants(413).body) == 0 {
			t.Error("no words")
		}
	})
}

// The response to what is handled here goes where it is wanted, also when the service refuses, and also when the address is away for a time.
func TestTheResponseIsSentWhereItIsWanted(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		p := w.program(practice, access.SystemClient).at(hospital)
		w.there.says(503, nil)
		sent := strings.Replace(message("m1", admit, "Yes", ""), "https://pas.example.org/fhir", w.there.URL+"/pas", 1)
		p.post("?async=true", sent).wants(202)
		p.post("?async=true", sent).wants(202)
		w.there.says(200, nil)
		got := w.comes()
		if !strings.HasPrefix(got, "/pas/$process-message?async=true ") || !strings.Contains(got, `"identifier":"m1","code":"ok"`) {
			t.Errorf("came %s", got)
		}
		p.post("?async=true", strings.Replace(message("m2", admit, "No", ""), "https://pas.example.org/fhir", w.there.URL+"/pas", 1)).wants(202)
		if got := w.comes(); !strings.Contains(got, `"identifier":"m2","code":"fatal-error"`) || !strings.Contains(got, "The ward is full.") {
			t.Errorf("came %s", got)
		}
		if got := admitted(t, w.n); got != "m1 of Y90001" {
			t.Errorf("admitted %q", got)
		}
	})
}

// A message for an organisation whose records another node keeps is handled there, by that node's services, and the response comes back over the link.
func TestAMessageIsHandledAtAnotherNode(t *testing.T) {
	t.Parallel()
	w := &world{t: t, there: newThird(t)}
	cfg := config(t, nation, "")
	cfg.NetworkAddr = "127.0.0.1:0"
	var start, begin func()
	w.n, start = open(t, cfg, node.Options{Services: func(catalogue.Kernel) []catalogue.Service { return nil }})
	start()
	far, begin := open(t, config(t, hospital, ""), node.Options{Services: wards(&w.busy), Dial: dial(w.n.LinkAddress)})
	by, links := access.Service("test", nation), w.n.Kernel().Network
	if err := links.Found(t.Context(), by, network.MustNodeID("X26"), nil, []string{"nation.invalid:1"}); err != nil {
		t.Fatal(err)
	}
	a, err := links.Authority()
	if err != nil {
		t.Fatal(err)
	}
	token, err := a.MakeToken(t.Context(), by, network.MustNodeID("RZ901"), nil, []string{"nation.invalid:1"}, 0, "a test")
	if err != nil {
		t.Fatal(err)
	}
	if err := far.Kernel().Network.Join(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	begin()
	p := w.program(nation, access.SystemClient)
	first := p.post("", message("m1", admit, "Yes", to("RZ901")), "Prefer", "wait=30").wants(200, "bed 7").says("m1", "ok")
	if again := p.post("", message("m1", admit, "Yes", to("RZ901"))); again.body != first.body {
		t.Errorf("answered again %s", again.body)
	}
	p.post("", message("m2", admit, "No", to("RZ901")), "Prefer", "wait=30").wants(200, "The ward is full.").says("m2", "fatal-error")
	p.post("", message("m3", "urn:test:strange", "Yes", to("RZ901")), "Prefer", "wait=30").wants(200, "urn:test:strange").says("m3", "fatal-error")
	if got := admitted(t, far); got != "m1 of X26" {
		t.Errorf("admitted there: %q", got)
	}
	page, err := far.Kernel().Audit.Search(t.Context(), audit.Query{Actions: []string{access.ActMessage}})
	if err != nil || len(page.Entries) != 2 || page.Entries[0].Actor != "post/X26" {
		t.Errorf("on the account there: %+v %v", page.Entries, err)
	}
}

// A message lies in the mailbox of an organisation that has no other interface, and the sender is told so.
func TestAMessageComesIntoAMailbox(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	takes := ident.MustODSCode("RZZ07")
	w.mailbox("RZZ07HC001", takes)
	w.away(takes, messaging.Destination{Kind: "mailbox", Name: "RZZ07HC001"})
	w.program(practice, access.SystemClient).post("", message("m1", "urn:x:notify", "Yes", to("RZZ07"))).wants(200, "RZZ07 takes its messages").says("m1", "ok")
	if got := w.count(`SELECT count(*) FROM mesh_mail WHERE mailbox = 'RZZ07HC001' AND workflow = ?`, messages.Workflow); got != 1 {
		t.Errorf("%d messages are in the mailbox", got)
	}
	if resp, err := http.Get(w.n.URL() + "/FHIR/R4/metadata"); err != nil || resp.Body.Close() != nil || resp.StatusCode != 200 {
		t.Error(resp, err)
	}
}
