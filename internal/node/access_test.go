package node_test

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/internal/node"
)

var update = flag.Bool("update", false, "rewrite the goldens of testdata")

// subject is what a row of the access table is about.
type subject struct{ label, typ, id, person string }

func subjects() []subject {
	return []subject{
		{"Patient, the patient's own", "Patient", ownNumber, ownNumber},
		{"Patient, another", "Patient", otherNumber, otherNumber},
		{"Patient, restricted", "Patient", hiddenNumber, hiddenNumber},
		{"Patient, none there", "Patient", "nobody", "nobody"},
		{"Observation, the patient's own", "Observation", "o-" + ownNumber, ownNumber},
		{"Observation, another's", "Observation", "o-" + otherNumber, otherNumber},
		{"Organization, in no chart", "Organization", "org", ""},
	}
}

// row is one line of the access table: one interaction with one class of thing.
type row struct {
	pattern, label, method, path, body, contentType string
	prepare                                         []subject
}

// TestAccessTable calls every route of every service as nobody, as a stranger and as each role, and compares the statuses with
// the golden, which is read in review. A new route shows there as a new line: go test ./internal/node -run TestAccessTable -update
func TestAccessTable(t *testing.T) {
	r := serve(t, config(t.TempDir()), node.Options{}).seed()
	tokens := map[string]string{"nobody": ""}
	callers := []string{"nobody", "stranger"}
	for _, role := range access.Roles() {
		callers = append(callers, string(role))
	}
	for _, c := range callers[1:] {
		tokens[c] = r.token(c)
	}
	var out strings.Builder
	fmt.Fprintf(&out, "# Every route, called as nobody, as a clinician who looks after nobody here, and as each role (the clinician, clerk and\n# pharmacist look after all three people; the patient is one of them). TestAccessTable writes this with -update.\n")
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	seen := map[string]bool{}
	for _, s := range r.n.Services() {
		for _, rt := range s.Routes() {
			if seen[rt.Pattern()] {
				t.Errorf("two services have %s", rt.Pattern())
			}
			seen[rt.Pattern()] = true
			fmt.Fprintf(&out, "\n%s: %s (%s)\n", s.Name, rt.Pattern(), rt.Rule())
			for _, row := range rowsOf(rt) {
				var statuses []string
				for _, c := range callers {
					statuses = append(statuses, fmt.Sprintf("%s %d", c, r.statusOf(client, row, tokens[c])))
				}
				fmt.Fprintf(&out, "    %-32s %s\n", row.label, strings.Join(statuses, "  "))
			}
		}
	}
	compare(t, "testdata/access.golden", out.String())
}

func compare(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	a, b := strings.Split(got, "\n"), strings.Split(string(want), "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			t.Fatalf("%s:%d\n got %s\nwant %s\n(run with -update and read the difference)", path, i+1, a[i], b[i])
		}
	}
	if len(a) != len(b) {
		t.Fatalf("%s has %d lines, want %d (run with -update and read the difference)", path, len(b), len(a))
	}
}

// rowsOf is one row for each class of thing that a route can be about.
func rowsOf(rt catalogue.Route) []row {
	path := rt.Path()
	var rows []row
	add := func(s subject) {
		ready := strings.NewReplacer("{person}", s.person, "{type}", s.typ, "{id}", s.id, "{vid}", "1", "{related}", "Observation", "{code}", "8867-4", "{$}", "")
		p := ready.Replace(path)
		for strings.Contains(p, "{") {
			from := strings.Index(p, "{")
			p = p[:from] + "x" + p[from+strings.Index(p[from:], "}")+1:]
		}
		one := row{pattern: rt.Pattern(), label: s.label, method: rt.Method(), path: p}
		one.fill(rt, s)
		rows = append(rows, one)
	}
	for _, s := range subjects() {
		switch {
		case strings.Contains(path, "{type}/{id}"):
			if strings.Contains(path, "{person}") && s.person == "" || strings.Contains(path, "{related}") && s.typ != "Patient" {
				continue
			}
		case strings.Contains(path, "{person}"), strings.Contains(path, "Patient/{id}"):
			if s.typ != "Patient" {
				continue
			}
		case strings.Contains(path, "{type}"):
			if s.id != ownNumber && s.id != "o-"+otherNumber && s.id != "org" {
				continue
			}
			s.label, _, _ = strings.Cut(s.label, ",")
		default:
			if s.id != ownNumber {
				continue
			}
			s.label = "all"
		}
		add(s)
	}
	return rows
}

// fill gives a row the body that its interaction wants, and says what has to be there before each call.
func (o *row) fill(rt catalogue.Route, s subject) {
	fhir := strings.HasPrefix(rt.Path(), "/FHIR/")
	o.prepare = []subject{s}
	switch {
	case o.method == http.MethodGet:
		o.prepare = nil
	case !fhir || strings.HasSuffix(rt.Path(), "/_search"):
		o.contentType, o.prepare = "application/x-www-form-urlencoded", nil
	case strings.HasPrefix(rt.Path(), "/FHIR/R4/{type}") && o.method != http.MethodDelete:
		o.body, o.contentType = resourceOf(s), "application/fhir+json"
		if strings.Contains(rt.Path(), "$meta") {
			o.body = `{"resourceType":"Parameters","parameter":[{"name":"meta","valueMeta":{"tag":[{"system":"urn:test","code":"x"}]}}]}`
		}
		if o.method == http.MethodPatch {
			o.body, o.contentType = `[{"op":"add","path":"/language","value":"en"}]`, "application/json-patch+json"
		}
	case o.method == http.MethodPost && strings.Trim(rt.Path(), "{$}/") == "FHIR/R4":
		o.body, o.contentType = `{"resourceType":"Bundle","type":"transaction","entry":[{"request":{"method":"PUT","url":"Observation/o-`+ownNumber+`"},"resource":`+observation(ownNumber)+`}]}`, "application/fhir+json"
	}
	if fhir && o.method != http.MethodGet && strings.HasSuffix(rt.Path(), "{type}") && o.method != http.MethodPost {
		o.path += "?_id=nobody-has-this"
	}
}

func resourceOf(s subject) string {
	switch s.typ {
	case "Patient":
		return person(s.id)
	case "Observation":
		return observation(s.person)
	}
	return `{"resourceType":"Organization","id":"org","name":"Riverside"}`
}

func (r *running) statusOf(c *http.Client, o row, token string) int {
	r.t.Helper()
	for _, s := range o.prepare {
		if !strings.HasSuffix(s.label, "none there") {
			r.put(s.typ, s.id, resourceOf(s))
		}
	}
	r.calls++
	fresh := strings.NewReplacer("/nobody", fmt.Sprintf("/nobody-%d", r.calls), `"nobody"`, fmt.Sprintf(`"nobody-%d"`, r.calls)) // what one caller makes, another must not find
	req, err := http.NewRequestWithContext(r.t.Context(), o.method, r.n.URL()+fresh.Replace(o.path), strings.NewReader(fresh.Replace(o.body)))
	if err != nil {
		r.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if o.contentType != "" {
		req.Header.Set("Content-Type", o.contentType)
	}
	req.Header.Set("X-Request-ID", fmt.Sprintf("60e0b220-8136-4ca5-ae46-%012d", r.calls)) // published APIs want one
	resp, err := c.Do(req)
	if err != nil {
		r.t.Fatalf("%s %s: %v", o.method, o.path, err)
	}
	if err := resp.Body.Close(); err != nil { // a stream would not end
		r.t.Fatal(err)
	}
	if resp.StatusCode >= 500 {
		r.t.Errorf("%s %s is answered %d", o.method, o.path, resp.StatusCode)
	}
	return resp.StatusCode
}
