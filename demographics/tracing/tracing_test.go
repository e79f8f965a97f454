package tracing_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/sim"
	"github.com/openspine/openspine/sim/simtest"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/web/webtest"
)

var shared = simtest.Share("tracing", nil)

func TestMain(m *testing.M) { shared.Main(m) }

// A clerk sends a file, sees how far it is, and fetches the answer; what is no such file is said beside the field; it is nobody else's.
func TestAClerkTracesAFile(t *testing.T) {
	w := shared.Given(t)
	p, err := w.Country.Character("patient")
	if err != nil {
		t.Fatal(err)
	}
	number := p.NHSNumber.String()
	file := "UNIQUE_REFERENCE,FAMILY_NAME,GIVEN_NAME,DATE_OF_BIRTH\r\na," + p.Names[0].Family + "," + p.Names[0].Given[0] + "," + p.Born.String() + "\r\n" +
		"b,\"Nobody,Nora,19010101\r\nc,Nobody,Nora,19010101\r\n"
	clerk := w.SignedIn(t, "clerk")
	form := clerk.Get("/tracing").Sees(200, "Trace a file of people", "Several people are like this").Form()
	clerk.PostFile("/tracing", form, "file", "people.csv", []byte(file))
	clerk.Sees(200, "people.csv")
	job := clerk.Get("/tracing").Link(`/tracing/[0-9a-zA-Z-]+`)
	simtest.Eventually(t, func() bool { return strings.Contains(clerk.Get(job).Text(), "Fetch the answer") })
	clerk.Sees(200, "Done", "3 of 3 (100%)", "Found just so 1 line", "Lines that cannot be read 1 line", "Nobody 1 line", "Taken away")
	clerk.Get(job + "/answer.csv")
	if clerk.Status != 200 || !strings.Contains(clerk.Header.Get("Content-Disposition"), "people.traced.csv") || !strings.HasPrefix(clerk.Header.Get("Content-Type"), "text/csv") {
		t.Fatalf("%d %v", clerk.Status, clerk.Header)
	}
	lines := strings.Split(strings.TrimSpace(clerk.Body), "\n")
	if len(lines) != 4 || !strings.Contains(lines[1], "2,a,,exact,") || !strings.Contains(lines[1], number) || !strings.Contains(lines[2], "3,,,invalid,line 3: a quotation mark is opened and not closed") ||
		!strings.Contains(lines[3], "4,c,,none,") {
		t.Errorf("the answer:\n%s", clerk.Body)
	}
	w.SignedIn(t, "gp").Get(job).Sees(404)
	w.SignedIn(t, "gp").Get(job + "/answer.csv").Sees(404)
	clerk.Get("/tracing").Sees(200, "people.csv", "3 of 3")
	clerk.Get(job).Send(job, "act", "remove").Sees(200, "The file and its answer are gone")
	clerk.Get(job + "/answer.csv").Sees(409)

	clerk.Get("/tracing").PostFile("/tracing", form, "file", "people.csv", nil)
	clerk.Sees(422, "There is a problem", "Choose a file")
	clerk.Get("/tracing").PostFile("/tracing", form, "file", "people.csv", []byte("SHOE_SIZE\n42\n"))
	clerk.Sees(422, "There is no column \"SHOE_SIZE\"")
	clerk.Get("/tracing").PostFile("/tracing", form, "file", "people.csv", []byte("DATE_OF_BIRTH\n\n"))
	clerk.Sees(422, "The file asks about nobody")
	clerk.PostFile("/tracing", url.Values{}, "file", "people.csv", []byte(file))
	clerk.Sees(403)
	for _, user := range []string{"patient", "auditor", "admin"} {
		w.SignedIn(t, user).Get("/tracing").Sees(403)
	}
	w.SignedIn(t, "clerk").Get("/o/A99901/tracing").Sees(404)
}

// A program sends the same file and gets the same answer, and is told in FHIR's words what is wrong.
func TestAProgramTracesAFile(t *testing.T) {
	w := shared.Given(t)
	token, err := w.Node.Kernel().Issuer.Mint(access.Principal{ID: "tracer", Name: "Tracer", Role: access.Clerk, Assurance: "AAL2", Organisation: sim.National}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	post := func(kind, body string) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.URL+"/tracing.csv", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		req.Header.Set("Content-Type", kind)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(text)
	}
	if status, body := post("text/csv; charset=utf-8", "FAMILY_NAME,DATE_OF_BIRTH\nNobody,19010101\n"); status != 200 || strings.Count(body, "\n") != 2 || !strings.Contains(body, ",none,") {
		t.Errorf("%d %s", status, body)
	}
	if status, body := post("text/csv", "SHOE_SIZE\n42\n"); status != 400 || !strings.Contains(body, "OperationOutcome") {
		t.Errorf("%d %s", status, body)
	}
	if status, _ := post("application/json", "{}"); status != 415 {
		t.Errorf("JSON is answered %d", status)
	}
}

// A program sends a file that waits, asks how far it is, and fetches the answer; it is nobody else's, and ends with the program.
func TestAProgramSendsAFileToBeTraced(t *testing.T) {
	w := shared.Given(t)
	gate := w.Node.Kernel().Gate
	api := func(name string) func(method, path, body string, want int) (http.Header, map[string]any) {
		token, err := w.Node.Kernel().Issuer.Mint(access.Principal{ID: "client/" + name, Name: name, Role: access.SystemClient, Organisation: sim.National, Tenants: []ident.ODSCode{sim.National},
			Scopes: []string{"system/*.rs"}, Client: name}, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		return func(method, path, body string, want int) (http.Header, map[string]any) {
			t.Helper()
			req, err := http.NewRequestWithContext(t.Context(), method, w.URL+path, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer "+token)
			req.Header.Set("Content-Type", "text/csv")
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			text, err := io.ReadAll(resp.Body)
			said := map[string]any{"text": string(text)}
			if strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") {
				err = errors.Join(err, json.Unmarshal(text, &said))
			}
			if err != nil || resp.StatusCode != want {
				t.Fatalf("%s %s: %d, want %d: %s (%v)", method, path, resp.StatusCode, want, text, err)
			}
			return resp.Header, said
		}
	}
	tracer, other := api("tracer"), api("other")
	p, err := w.Country.Character("patient")
	if err != nil {
		t.Fatal(err)
	}
	file := "UNIQUE_REFERENCE,FAMILY_NAME,GIVEN_NAME,DATE_OF_BIRTH\na," + p.Names[0].Family + "," + p.Names[0].Given[0] + "," + p.Born.String() + "\nb,Nobody,Nora,19010101\n"
	h, said := tracer("POST", "/api/tracing?name=people.csv", file, 202)
	at := h.Get("Location")
	if said["state"] != "waiting" || said["lines"] != 2.0 || h.Get("Retry-After") == "" || at != "/api/tracing/"+said["file"].(string) {
		t.Fatalf("%v %v", said, h)
	}
	simtest.Eventually(t, func() bool {
		_, said = tracer("GET", at, "", 200)
		return said["state"] == "done"
	})
	if outcomes := said["outcomes"].(map[string]any); said["traced"] != 2.0 || outcomes["exact"] != 1.0 || outcomes["none"] != 1.0 {
		t.Errorf("%v", said)
	}
	_, answer := tracer("GET", said["answer"].(string), "", 200)
	if lines := strings.Split(answer["text"].(string), "\n"); !strings.Contains(lines[1], "2,a,,exact,") || !strings.Contains(lines[1], p.NHSNumber.String()) || !strings.Contains(lines[2], "3,b,,none,") {
		t.Errorf("%v", lines)
	}
	if _, said := tracer("GET", "/api/tracing", "", 200); len(said["files"].([]any)) != 1 {
		t.Errorf("%v", said)
	}
	if _, said := other("GET", "/api/tracing", "", 200); len(said["files"].([]any)) != 0 {
		t.Errorf("%v", said)
	}
	other("GET", at, "", 404)
	other("GET", at+"/answer.csv", "", 404)
	other("POST", at+"/remove", "", 404)
	tracer("POST", at+"/burn", "", 404)
	if _, said := tracer("POST", at+"/remove", "", 200); said["state"] != "expired" || said["name"] != nil || said["gone"] != nil {
		t.Errorf("%v", said)
	}
	tracer("GET", at+"/answer.csv", "", 409)
	tracer("POST", "/api/tracing", "SHOE_SIZE\n42\n", 400)

	if err := w.Node.Kernel().DB.Write(t.Context(), gate.ChangeLanes(access.Service("test", sim.National), access.ClientSubject("other")), func(tx *store.Tx) error {
		return gate.NoteChange(t.Context(), tx, access.Service("test", sim.National), access.Change{Subject: access.ClientSubject("other"), Act: "ended"})
	}); err != nil {
		t.Fatal(err)
	}
	h, _ = other("POST", "/api/tracing", file, 202)
	simtest.Eventually(t, func() bool {
		_, said = other("GET", h.Get("Location"), "", 200)
		return said["state"] == "failed"
	})
	if said["traced"] != 0.0 || said["answer"] != nil || said["problem"] == nil {
		t.Errorf("%v", said)
	}
}

func TestThePageIsHealthy(t *testing.T) {
	w := shared.Given(t)
	cookie := webtest.Cookie("openspine", w.SignedIn(t, "clerk").Cookie())
	clerk := w.SignedIn(t, "clerk")
	clerk.PostFile("/tracing", clerk.Get("/tracing").Form(), "file", "people with a long name of their file, as they have it.csv", []byte("FAMILY_NAME,DATE_OF_BIRTH\nNobody,19010101\n"))
	job := clerk.Get("/tracing").Link(`/tracing/[0-9a-zA-Z-]+`)
	b := webtest.NewBrowser(t)
	for width, options := range map[string][]webtest.Option{"desk": {cookie}, "phone": {cookie, webtest.Phone()}, "plain": {cookie, webtest.NoScript()}} {
		for name, path := range map[string]string{"tracing": "/tracing", "tracing-job": job} {
			p := b.Open(t, w.URL+path, options...)
			if os.Getenv("OPENSPINE_SCREENSHOTS") != "" {
				p.Screenshot(name + "-" + width + ".png")
			}
			p.Healthy()
			if width == "desk" {
				p.Walk()
			}
		}
	}
}
