package bars_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/openspine/openspine/access"
)

// TestWhatIsRefusedIsSaidAsPublished: each published code and issue type, for what it is published for.
func TestWhatIsRefusedIsSaidAsPublished(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.program(practice)
	for name, c := range refusals(t, w) {
		a := c.p.do(c.method, c.path, c.body)
		if a.status != c.status || a.code() != c.code {
			t.Errorf("%s: %d %q, want %d %q: %s", name, a.status, a.code(), c.status, c.code, a.body)
		}
		if a.status == http.StatusUnauthorized && a.header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: no challenge", name)
		}
	}
	if a := p.but("X-Request-Id", "c1ab3fba-6bae-4ba4-b257-5a87c44d4a91").get("/metadata"); a.header.Get("X-Request-Id") != "c1ab3fba-6bae-4ba4-b257-5a87c44d4a91" || a.header.Get("X-Correlation-Id") != p.headers["X-Correlation-Id"] {
		t.Errorf("the ids do not come back: %v", a.header)
	}
}

// refusal is a request that is refused, with the status, the code and the issue type.
type refusal struct {
	p            *program
	method, path string
	body         string
	status       int
	code         string
}

// refusals are requests that this API refuses itself.
func refusals(t testing.TB, w *world) map[string]refusal {
	t.Helper()
	p := w.program(practice)
	nobody, broken := *p, *p
	nobody.token, broken.token = "", "x.y.z"
	clerk, err := w.node.Kernel().Issuer.Mint(access.Principal{ID: "clerk", Name: "A clerk", Role: access.Clerk, Organisation: practice}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	person := *p
	person.token = clerk
	long := "/Slot?status=free&start=ge2026-01-01T00:00:00Z&start=le2028-01-01T00:00:00Z&_include=Slot:schedule"
	mine := "/Appointment?patient:identifier=https://fhir.nhs.uk/Id/nhs-number|"
	event := msg("booking-request", "new", visit("booked", "Slot/x"), thePatient)
	return map[string]refusal{
		"no token":                    {&nobody, "GET", "/metadata", "", 401, "SEND_UNAUTHORIZED unknown"},
		"a token that is none":        {&broken, "GET", "/metadata", "", 401, "SEND_UNAUTHORIZED security"},
		"a person's token":            {&person, "GET", "/metadata", "", 403, "SEND_FORBIDDEN forbidden"},
		"no request id":               {p.but("X-Request-Id", ""), "GET", "/metadata", "", 400, "SEND_BAD_REQUEST invalid"},
		"a request id that is none":   {p.but("X-Request-Id", "1"), "GET", "/metadata", "", 400, "SEND_BAD_REQUEST value"},
		"no correlation id":           {p.but("X-Correlation-Id", ""), "GET", "/metadata", "", 400, "SEND_BAD_REQUEST invalid"},
		"no organisation":             {p.but("NHSD-End-User-Organisation", ""), "GET", "/metadata", "", 400, "SEND_BAD_REQUEST required"},
		"another organisation":        {p.but("NHSD-End-User-Organisation", encoded(`{"resourceType":"Organization","identifier":[{"system":"https://fhir.nhs.uk/Id/ods-organization-code","value":"R68"}]}`)), "GET", "/metadata", "", 403, "SEND_FORBIDDEN forbidden"},
		"an organisation unnamed":     {p.but("NHSD-End-User-Organisation", encoded(`{"resourceType":"Organization"}`)), "GET", "/metadata", "", 400, "SEND_BAD_REQUEST required"},
		"no program":                  {p.but("NHSD-Requesting-Software", ""), "GET", "/metadata", "", 400, "SEND_BAD_REQUEST required"},
		"a program that is none":      {p.but("NHSD-Requesting-Software", "%%"), "GET", "/metadata", "", 400, "SEND_BAD_REQUEST structure"},
		"a person that is none":       {p.but("NHSD-Requesting-Practitioner", encoded(`{"resourceType":"Patient"}`)), "GET", "/metadata", "", 400, "SEND_BAD_REQUEST structure"},
		"another version":             {p.but("Accept", "application/fhir+json; version=2.0.0"), "GET", "/metadata", "", 406, "SEND_NOT_ACCEPTABLE processing"},
		"another format":              {p.but("Accept", "image/png"), "GET", "/metadata", "", 406, "SEND_NOT_ACCEPTABLE processing"},
		"no target":                   {p.but("NHSD-Target-Identifier", ""), "GET", "/Slot", "", 400, "SEND_BAD_REQUEST invalid"},
		"a target that is no base64":  {p.but("NHSD-Target-Identifier", "%"), "GET", "/Slot", "", 400, "PROXY_BAD_REQUEST structure"},
		"a target of another shape":   {p.but("NHSD-Target-Identifier", encoded(`{"value":"1"}`)), "GET", "/Slot", "", 400, "PROXY_BAD_REQUEST structure"},
		"a target that there is not":  {p.but("NHSD-Target-Identifier", target("1")), "GET", "/Slot", "", 404, "PROXY_NOT_FOUND not-found"},
		"a target of another system":  {p.but("NHSD-Target-Identifier", encoded(`{"value":"NHS0001","system":"tests"}`)), "GET", "/metadata", "", 404, "PROXY_NOT_FOUND not-found"},
		"an address that is none":     {p, "GET", "/Nothing", "", 404, "NOT_FOUND not-found"},
		"a method that is none":       {p, "DELETE", "/Slot", "", 405, "SEND_METHOD_NOT_ALLOWED not-supported"},
		"no status":                   {p, "GET", "/Slot?start=ge2026-01-01T00:00:00Z", "", 400, "SEND_BAD_REQUEST required"},
		"a status that is none":       {p, "GET", "/Slot?status=purple", "", 400, "SEND_BAD_REQUEST value"},
		"no start":                    {p, "GET", "/Slot?status=free", "", 400, "SEND_BAD_REQUEST required"},
		"a start without offset":      {p, "GET", "/Slot?status=free&start=ge2026-01-01T00:00:00", "", 400, "SEND_BAD_REQUEST value"},
		"one start":                   {p, "GET", "/Slot?status=free&start=ge2026-01-01T00:00:00Z&_include=Slot:schedule", "", 400, "SEND_BAD_REQUEST required"},
		"no include":                  {p, "GET", "/Slot?status=free&start=ge2026-01-01T00:00:00Z&start=le2026-01-09T00:00:00Z", "", 400, "SEND_BAD_REQUEST required"},
		"too wide a time":             {p, "GET", long, "", 422, "REC_UNPROCESSABLE_ENTITY too-costly"},
		"no context":                  {p, "GET", "/MessageDefinition", "", 400, "REC_BAD_REQUEST required"},
		"no patient":                  {p, "GET", "/Appointment", "", 400, "SEND_BAD_REQUEST required"},
		"a patient by name":           {p, "GET", "/ServiceRequest?patient:name=Smith", "", 400, "SEND_BAD_REQUEST required"},
		"a number that is none":       {p, "GET", mine + "9990000019", "", 400, "REC_BAD_REQUEST value"},
		"a number of nobody":          {p, "GET", mine + "9990000026", "", 404, "REC_NOT_FOUND not-found"},
		"another birth date":          {p, "GET", mine + patient + "&patient:birthdate=eq20/01/1995", "", 404, "REC_NOT_FOUND not-found"},
		"an appointment of nobody":    {p, "GET", "/Appointment/91607239-b002-470a-8709-6b25bd50fdd1", "", 404, "REC_NOT_FOUND not-found"},
		"a referral of nobody":        {p, "GET", "/ServiceRequest/5e4f0000-0000-8000-8000-000000070000", "", 404, "REC_NOT_FOUND not-found"},
		"nothing":                     {p, "POST", "/$process-message", "", 400, "REC_BAD_REQUEST invalid"},
		"no FHIR":                     {p, "POST", "/$process-message", "{}", 400, "REC_BAD_REQUEST invalid"},
		"no message":                  {p, "POST", "/$process-message", `{"resourceType":"Bundle","id":"` + uuid.NewString() + `","type":"collection"}`, 400, "REC_BAD_REQUEST invalid"},
		"a message without id":        {p, "POST", "/$process-message", `{"resourceType":"Bundle","type":"message"}`, 400, "REC_BAD_REQUEST required"},
		"an event that is none":       {p, "POST", "/$process-message", strings.Replace(event, "booking-request", "party", 1), 400, "REC_BAD_REQUEST not-supported"},
		"an event of another system":  {p, "POST", "/$process-message", strings.Replace(event, "message-events-bars", "x", 1), 400, "REC_BAD_REQUEST value"},
		"a reason that is none":       {p, "POST", "/$process-message", strings.Replace(event, `"new"`, `"why"`, 1), 400, "REC_BAD_REQUEST value"},
		"no focus":                    {p, "POST", "/$process-message", strings.Replace(event, `"focus":[{"reference":"urn:uuid:aca9`, `"focus":[{"reference":"urn:uuid:bca9`, 1), 400, "REC_BAD_REQUEST not-found"},
		"an unknown workflow":         {p, "POST", "/$process-message", msg("booking-request", "new", visit("cancelled", "Slot/x"), thePatient), 400, "REC_BAD_REQUEST invariant"},
		"about something else":        {p, "POST", "/$process-message", msg("booking-request", "new", request("active", "referral"), thePatient), 400, "REC_BAD_REQUEST invariant"},
		"a category that is none":     {p, "POST", "/$process-message", msg("servicerequest-request", "new", request("active", "party"), thePatient), 400, "REC_BAD_REQUEST invariant"},
		"an emergency":                {p, "POST", "/$process-message", msg("servicerequest-request", "new", request("active", "referral", `"priority":"stat"`), thePatient), 400, "REC_BAD_REQUEST value"},
		"no slot":                     {p, "POST", "/$process-message", msg("booking-request", "new", visit("booked", ""), thePatient), 400, "REC_BAD_REQUEST required"},
		"a slot that there is not":    {p, "POST", "/$process-message", event, 409, "REC_CONFLICT conflict"},
		"a patient without number":    {p, "POST", "/$process-message", msg("booking-request", "new", visit("booked", "Slot/x"), `{"resourceType":"Patient","birthDate":"1970-01-02"}`), 400, "REC_BAD_REQUEST required"},
		"a patient born another day":  {p, "POST", "/$process-message", msg("booking-request", "new", visit("booked", "Slot/x"), strings.Replace(thePatient, "1970", "1971", 1)), 422, "REC_UNPROCESSABLE_ENTITY processing"},
		"a patient of a wrong number": {p, "POST", "/$process-message", msg("booking-request", "new", visit("booked", "Slot/x"), strings.Replace(thePatient, patient, "9990000019", 1)), 400, "REC_BAD_REQUEST value"},
		"moving what there is not":    {p, "POST", "/$process-message", msg("booking-request", "update", visit("booked", "Slot/x", `"id":"91607239-b002-470a-8709-6b25bd50fdd1"`), thePatient), 404, "REC_NOT_FOUND not-found"},
	}
}
