package bars_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/clock"
	"github.com/openspine/openspine/internal/node"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/referral/bars"
	"github.com/openspine/openspine/store"
)

// The tests of this package are programs that know a node by its address.

var (
	national = ident.MustODSCode("X26")
	practice = ident.MustODSCode("R69")
	hospital = ident.MustODSCode("R68")
)

const (
	clinic  = "2000099999" // a service whose bookings the node keeps
	patient = "9990000018"
)

// world is a national node with a practice and a hospital that offers services.
type world struct {
	t    testing.TB
	node *node.Node
	url  string
	time *clock.Fake
	// darkly is set when an answer may be lost: it is then none.
	darkly bool
}

func newWorld(t testing.TB) *world {
	t.Helper()
	return newWorldOn(t, "")
}

// newWorldOn is a world over a PostgreSQL, or over SQLite when there is none.
func newWorldOn(t testing.TB, database string) *world {
	t.Helper()
	w := &world{t: t, time: clock.NewFake(time.Date(2026, 1, 15, 9, 30, 0, 0, time.UTC))}
	stop := w.open(t.TempDir(), database, "")
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	w.populate()
	return w
}

// open opens the node and serves it, until stop.
func (w *world) open(dir, database, vfs string) (stop func() error) {
	w.t.Helper()
	cfg := node.Config{Name: "test", Addr: "127.0.0.1:0", Data: dir, Database: database, National: "X26", Demo: true, Outward: []string{"127.0.0.0/8"}, Tenants: []node.TenantConfig{
		{Code: "X26", Name: "National spine", Kind: "national"}, {Code: "R68", Name: "A hospital", Kind: "hospital"}}}
	n, err := node.Open(context.Background(), cfg, node.Options{Clock: w.time, Logger: slog.New(slog.DiscardHandler), VFS: vfs})
	if err != nil {
		w.t.Fatal(err)
	}
	if err := n.Listen(); err != nil {
		w.t.Fatal(err)
	}
	serving, end := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- n.Serve(serving, func() { close(ready) }) }()
	select {
	case <-ready:
	case err := <-ended:
		w.t.Fatal(err)
	}
	w.node, w.url = n, n.URL()+bars.Base
	return func() error {
		end()
		return errors.Join(<-ended, n.Close())
	}
}

// populate writes who and what there is.
func (w *world) populate() {
	w.t.Helper()
	w.load(`{"resourceType":"Organization","id":"R68","identifier":[{"system":"https://fhir.nhs.uk/Id/ods-organization-code","value":"R68"}],"active":true,"name":"A hospital"}`,
		`{"resourceType":"Location","id":"l1","status":"active","name":"North wing","address":{"city":"Leeds"},"position":{"longitude":-1.55,"latitude":53.8},"managingOrganization":{"identifier":{"system":"https://fhir.nhs.uk/Id/ods-organization-code","value":"R68"}}}`,
		`{"resourceType":"HealthcareService","id":"`+clinic+`","active":true,"identifier":[{"system":"https://fhir.nhs.uk/Id/dos-service-id","value":"111111111"}],"providedBy":{"identifier":{"system":"https://fhir.nhs.uk/Id/ods-organization-code","value":"R68"}},"name":"Cardiology","location":[{"reference":"Location/l1"}]}`,
		`{"resourceType":"Patient","id":"9990000018","identifier":[{"system":"https://fhir.nhs.uk/Id/nhs-number","value":"9990000018"}],"name":[{"use":"usual","family":"O'Neill","given":["Zoë"]}],"gender":"female","birthDate":"1970-01-02"}`,
		`{"resourceType":"Patient","id":"9476719931","identifier":[{"system":"https://fhir.nhs.uk/Id/nhs-number","value":"9476719931"}],"name":[{"use":"usual","family":"Chalmers","given":["Peter"]}],"gender":"male","birthDate":"1974-12-25"}`)
}

func (w *world) load(docs ...string) {
	w.t.Helper()
	l := w.node.Loader("test", national, nil)
	for _, doc := range docs {
		res, err := fhir.Parse([]byte(doc))
		if err != nil {
			w.t.Fatal(err)
		}
		if err := l.Add(w.t.Context(), res); err != nil {
			w.t.Fatal(err)
		}
	}
	if err := l.Flush(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

// gives hands free slots of the hospital to the spine, by a message as hospitals do, and waits until they can be seen.
func (w *world) gives(service string, starts ...time.Time) {
	w.t.Helper()
	m := booking.Slots{Session: "s-" + service, Service: service}
	for i, at := range starts {
		m.Slots = append(m.Slots, booking.Slot{ID: fmt.Sprint("slot", i), Epoch: 1, Start: at, End: at.Add(20 * time.Minute), Clinician: "Dr Joe Bloggs"})
	}
	body, err := booking.Encode(m)
	if err != nil {
		w.t.Fatal(err)
	}
	k := w.node.Kernel()
	post := k.Post()
	err = k.DB.Write(w.t.Context(), []store.Lane{post.LaneOf(hospital, m.Session)}, func(tx *store.Tx) error {
		_, err := post.Send(w.t.Context(), tx, messaging.Message{From: hospital, To: k.National, Workflow: booking.WorkflowSlots, Conversation: m.Session, Body: body})
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	gp := w.program(practice)
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if a := gp.get(slotQuery()); a.status == http.StatusOK && a.json["total"] == float64(len(starts)) {
			return
		}
		w.time.Advance(time.Second)
	}
	w.t.Fatalf("the slots did not arrive: %s", gp.get(slotQuery()).body)
}

// slotQuery asks for a month of slots with all that goes with them.
func slotQuery() string {
	return "/Slot?" + url.Values{"status": {"free"}, "start": {"ge2026-01-15T00:00:00+00:00", "le2026-02-28T00:00:00+00:00"},
		"_include": {"Slot:schedule", "Schedule:actor:HealthcareService", "Schedule:actor:Practitioner", "Schedule:actor:PractitionerRole", "HealthcareService:location"}}.Encode()
}

// day is a day at an hour on which the clinic has slots.
func day(days, minutes int) time.Time {
	return time.Date(2026, 1, 22, 9, 0, 0, 0, time.UTC).AddDate(0, 0, days).Add(time.Duration(minutes) * time.Minute)
}

// program is a caller with the token of an organisation's program, and the headers that every request has.
type program struct {
	*world
	token   string
	headers map[string]string
}

func encoded(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

func target(service string) string {
	return encoded(`{"system":"https://fhir.nhs.uk/Id/dos-service-id","value":"` + service + `"}`)
}

func (w *world) program(at ident.ODSCode) *program {
	w.t.Helper()
	token, err := w.node.Kernel().Issuer.Mint(access.Principal{ID: "program-" + at.String(), Name: "The program of " + at.String(), Role: access.SystemClient, Organisation: at, Tenants: []ident.ODSCode{national},
		Scopes: []string{"system/*.cruds"}}, time.Hour)
	if err != nil {
		w.t.Fatal(err)
	}
	return &program{w, token, map[string]string{
		"Accept": "application/fhir+json; version=1.4.0", "Content-Type": "application/fhir+json", "X-Correlation-Id": "9562466f-c982-4bd5-bb0e-255e9f5e6689",
		"NHSD-Target-Identifier":       target(clinic),
		"NHSD-End-User-Organisation":   encoded(`{"resourceType":"Organization","identifier":[{"value":"` + at.String() + `","system":"https://fhir.nhs.uk/Id/ods-organization-code"}],"name":"Here"}`),
		"NHSD-Requesting-Software":     encoded(`{"resourceType":"Device","identifier":[{"system":"https://x.example/Id","value":"A1"}],"deviceName":{"name":"A program","type":"manufacturer-name"},"version":{"value":"1.0.0"}}`),
		"NHSD-Requesting-Practitioner": encoded(`{"resourceType":"PractitionerRole","identifier":[{"system":"https://fhir.nhs.uk/Id/sds-role-profile-id","value":"100334993514"}]}`),
	}}
}

// but is p with other headers; an empty one is left out.
func (p *program) but(headers ...string) *program {
	q := &program{p.world, p.token, map[string]string{}}
	for k, v := range p.headers {
		q.headers[k] = v
	}
	for i := 0; i < len(headers); i += 2 {
		q.headers[headers[i]] = headers[i+1]
	}
	return q
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
	json   map[string]any
	res    *fhir.Resource
}

// code is the error code that an answer carries, with its issue type.
func (a answer) code() string {
	if a.res == nil || a.res.Type() != "OperationOutcome" {
		return ""
	}
	return a.res.Get("issue.0.details.coding.0.code").String() + " " + a.res.Get("issue.0.code").String()
}

func (p *program) get(path string) answer  { return p.do(http.MethodGet, path, "") }
func (p *program) post(body string) answer { return p.do(http.MethodPost, "/$process-message", body) }
func (p *program) do(method, path, body string) answer {
	p.t.Helper()
	return p.call(method, path, body)
}

func (p *program) call(method, path, body string) answer {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), method, p.url+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	if p.token != "" {
		req.Header.Set("Authorization", "Bearer "+p.token)
	}
	req.Header.Set("X-Request-Id", uuid.NewString())
	for k, v := range p.headers {
		if req.Header.Del(k); v != "" {
			req.Header.Set(k, v)
		}
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		if p.darkly {
			return answer{}
		}
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil && !p.darkly {
		p.t.Fatal(err)
	}
	a := answer{status: resp.StatusCode, header: resp.Header, body: string(got)}
	if json.Unmarshal(got, &a.json) != nil {
		a.json = nil
	}
	if a.res, err = fhir.Parse(got); err != nil {
		a.res = nil
	}
	return a
}

// found is the resource of a type in an answered Bundle.
func (a answer) found(typ string) (all []fhir.Node) {
	if a.res == nil {
		return nil
	}
	for e := range a.res.Get("entry").Items() {
		if r := e.Field("resource"); r.Field("resourceType").String() == typ {
			all = append(all, r)
		}
	}
	return all
}

// msg is a message in the shape of the published ones: event, reason, and what it is about.
func msg(event, reason, focus string, more ...string) string {
	return msgOf(uuid.NewString(), event, reason, focus, more...)
}

func msgOf(id, event, reason, focus string, more ...string) string {
	entries := ""
	for i, m := range more {
		entries += fmt.Sprintf(`,{"fullUrl":"urn:uuid:00000000-0000-4000-8000-00000000000%d","resource":%s}`, i, m)
	}
	return `{"resourceType":"Bundle","id":"` + id + `","type":"message","timestamp":"2026-01-15T09:30:00+00:00","entry":[{"fullUrl":"urn:uuid:c5957fdd-097b-409d-a406-49c52ceef2cd","resource":{"resourceType":"MessageHeader",
		"eventCoding":{"system":"https://fhir.nhs.uk/CodeSystem/message-events-bars","code":"` + event + `"},"destination":[{"endpoint":"http://fhir.nhs.uk/Id/dos-service-id|` + clinic + `"}],
		"source":{"name":"Here","endpoint":"http://fhir.nhs.uk/Id/dos-service-id|2222222222"},"reason":{"coding":[{"system":"https://fhir.nhs.uk/CodeSystem/message-reason-bars","code":"` + reason + `"}]},
		"focus":[{"reference":"urn:uuid:aca94bdb-2e38-4399-9ece-2ba083ce65b5"}]}},{"fullUrl":"urn:uuid:aca94bdb-2e38-4399-9ece-2ba083ce65b5","resource":` + focus + `}` + entries + `]}`
}

const thePatient = `{"resourceType":"Patient","identifier":[{"system":"https://fhir.nhs.uk/Id/nhs-number","value":"` + patient + `"}],"birthDate":"1970-01-02"}`

// visit is an Appointment for a slot; more are further members.
func visit(status, slot string, more ...string) string {
	text := `{"resourceType":"Appointment","status":"` + status + `","description":"Chest pain","start":"2026-01-22T09:00:00+00:00","end":"2026-01-22T09:20:00+00:00",`
	if slot != "" {
		text += `"slot":[{"reference":"` + slot + `"}],`
	}
	return text + strings.Join(append(more, `"participant":[{"actor":{"reference":"urn:uuid:00000000-0000-4000-8000-000000000000"},"status":"accepted"}]}`), ",")
}

func request(status, category string, more ...string) string {
	return `{"resourceType":"ServiceRequest","status":"` + status + `","intent":"plan","category":[{"coding":[{"system":"https://fhir.nhs.uk/CodeSystem/message-category-servicerequest","code":"` + category + `"}]}],` +
		strings.Join(append(more, `"reasonCode":[{"text":"Palpitations"}],"subject":{"reference":"urn:uuid:00000000-0000-4000-8000-000000000000"}}`), ",")
}
