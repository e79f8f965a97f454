package demographics_test

import (
	"flag"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/internal/spectest"
	"github.com/openspine/openspine/sim"
)

var update = flag.Bool("update", false, "rewrite testdata/conformance.golden")

// What two answers may differ in: the version, which counts what this node has seen of a record; the time of the answer; and the
// address of the server.
var (
	ignoredOfPerson = []string{"meta.versionId"}
	ignoredOfSet    = []string{"timestamp", "entry.fullUrl", "entry.resource.meta.versionId", "meta.versionId"}
)

// example is one published answer and the request that it answers.
type example struct {
	operation, file string
	ask             func(w *world) *answer
	status          int
	ignore          []string
	// made gives a published answer with a placeholder its value; nil for none.
	made func(text string) string
	// why explains an expected miss.
	why string
}

// TestPublishedExamples asks what each published example answers and compares the answers. The golden counts them for each operation and
// explains every miss: go test ./demographics -run TestPublishedExamples -update
func TestPublishedExamples(t *testing.T) {
	t.Parallel()
	dir := spectest.Dir(t, "pds", "examples")
	var out strings.Builder
	fmt.Fprintf(&out, "# Published examples of the Personal Demographics Service, asked for and compared as JSON. TestPublishedExamples writes this with -update.\n")
	count := map[string][2]int{}
	var operations []string
	reads, searches := publishedWorld(t), searchWorld(t, dir)
	all := slices.Concat(readExamples(t, dir), searchExamples(), createExamples(t), relatedExamples(t, dir))
	var lines strings.Builder
	for _, e := range all {
		w := reads
		if e.operation == "search" {
			w = searches
		}
		text, err := os.ReadFile(filepath.Join(dir, e.file))
		if err != nil {
			t.Fatal(err)
		}
		miss := e.compare(w, string(text))
		c, known := count[e.operation]
		if !known {
			operations = append(operations, e.operation)
		}
		c[1]++
		if miss == "" {
			c[0]++
		}
		count[e.operation] = c
		switch {
		case miss != "" && e.why == "":
			t.Errorf("%s %s: %s", e.operation, e.file, miss)
		case miss == "" && e.why != "":
			t.Errorf("%s %s matches now; it was a miss because %s", e.operation, e.file, e.why)
		}
		if miss != "" {
			fmt.Fprintf(&lines, "%s: %s: missed: %s; %s\n", e.operation, e.file, miss, e.why)
		} else {
			fmt.Fprintf(&lines, "%s: %s: matched\n", e.operation, e.file)
		}
	}
	for _, o := range operations {
		fmt.Fprintf(&out, "%s: %d of %d\n", o, count[o][0], count[o][1])
	}
	fmt.Fprintf(&out, "\n%s", lines.String())
	golden(t, "testdata/conformance.golden", out.String())
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
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
	if got != string(want) {
		t.Errorf("%s differs; run with -update and read the difference:\n%s", path, got)
	}
}

// compare asks and says in what the answer differs; "" when it does not.
func (e example) compare(w *world, text string) string {
	a := e.ask(w)
	if e.made != nil {
		text = e.made(text)
	}
	if a.status != e.status {
		return fmt.Sprintf("the status is %d, not %d", a.status, e.status)
	}
	want, err := fhir.ParseJSON([]byte(text), fhir.Limits{})
	if err != nil {
		return err.Error()
	}
	got, err := fhir.ParseJSON([]byte(a.body), fhir.Limits{})
	if err != nil {
		return err.Error()
	}
	if path, differs := fhir.Difference(got, want, e.ignore...); differs {
		dotted := strings.NewReplacer("[", ".", "]", "").Replace(path)
		return fmt.Sprintf("%s is %.200s, not %.200s", path, got.Get(dotted).Raw(), want.Get(dotted).Raw())
	}
	return ""
}

// publishedWorld is a node that knows the published people as the demonstration does.
func publishedWorld(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, "")
	k, err := sim.New(sim.Config{Seed: 1, People: sim.MinPeople, Now: today})
	if err != nil {
		t.Fatal(err)
	}
	var docs [][]byte
	for _, p := range k.Published() {
		docs = append(docs, k.Patient(p))
	}
	w.load(docs...)
	return w
}

func readExamples(t *testing.T, dir string) []example {
	files, err := filepath.Glob(filepath.Join(dir, "patientResponses", "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	var list []example
	for _, f := range files {
		number := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(f), "patient_"), ".json")
		list = append(list, example{operation: "get patient", file: "patientResponses/" + filepath.Base(f), status: 200, ignore: ignoredOfPerson,
			ask: func(w *world) *answer { return w.worker().get("/Patient/" + number) }})
	}
	says := func(diagnostics string) func(string) string {
		return func(text string) string { return strings.ReplaceAll(text, "#(diagnostics)", diagnostics) }
	}
	return append(list,
		example{operation: "get patient", file: "errorResponses/RESOURCE_NOT_FOUND.json", status: 404, ask: func(w *world) *answer { return w.worker().get("/Patient/9111231130") }},
		example{operation: "get patient", file: "errorResponses/INVALID_RESOURCE_ID.json", status: 400, ask: func(w *world) *answer { return w.worker().get("/Patient/9000000000") }},
		example{operation: "get patient", file: "errorResponses/MISSING_VALUE.json", status: 400,
			made: says("Invalid request with error - X-Request-ID header must be supplied to access this resource"),
			ask:  func(w *world) *answer { return w.worker().get("/Patient/9000000009", "X-Request-ID", "") }},
		example{operation: "get patient", file: "errorResponses/INVALID_VALUE.json", status: 400, made: says("Invalid value - '1234' in header 'X-Request-ID'"),
			ask: func(w *world) *answer { return w.worker().get("/Patient/9000000009", "X-Request-ID", "1234") }},
		example{operation: "get patient", file: "errorResponses/INVALIDATED_RESOURCE.json", status: 404, ask: func(w *world) *answer {
			w.load([]byte(`{"resourceType":"Patient","id":"9990000018","meta":{"security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"REDACTED","display":"redacted"}]}}`))
			return w.worker().get("/Patient/9990000018")
		}},
		example{operation: "get patient", file: "errorResponses/UNSUPPORTED_SERVICE.json", status: 400,
			ask: func(w *world) *answer { return w.worker().get("/Patient/") }},
	)
}

func query(pairs ...string) string {
	v := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		v.Add(pairs[i], pairs[i+1])
	}
	return "/Patient?" + v.Encode()
}
