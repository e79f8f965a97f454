package mesh_test

import (
	"bytes"
	"compress/gzip"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/knadh/koanf/parsers/yaml"

	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/spectest"
	"github.com/openspine/openspine/mesh"
)

var update = flag.Bool("update", false, "write the goldens")

// conformance runs every operation to every status that is published, and notes what was answered.
type conformance struct {
	*world
	seen  map[string]map[string][]answer // by operation, by status and version
	codes map[string]int
}

// does notes an exchange of an operation, and that its status is the one that was wanted.
func (c *conformance) does(operation string, version, want int, a answer) answer {
	c.t.Helper()
	if a.status != want {
		c.t.Errorf("%s is answered %v, want %d", operation, a, want)
	}
	if c.seen[operation] == nil {
		c.seen[operation] = map[string][]answer{}
	}
	key := fmt.Sprintf("%d v%d", a.status, version)
	c.seen[operation][key] = append(c.seen[operation][key], a)
	return a
}

// code notes that a refusal has an error code, in both versions of its body.
func (c *conformance) code(want string, a1, a2 answer) {
	c.t.Helper()
	if a1.json["errorCode"] != want || a1.json["errorEvent"] != "SEND" || a1.json["errorDescription"] == "" {
		c.t.Errorf("version 1 says %v, want code %s", a1, want)
	}
	detail, _ := a2.json["detail"].([]any)
	if len(detail) != 1 || detail[0].(map[string]any)["code"] != want || detail[0].(map[string]any)["event"] != "SEND" {
		c.t.Errorf("version 2 says %v, want code %s", a2, want)
	}
	c.codes[want]++
}

const (
	opShake   = "POST /messageexchange/{mailbox_id}"
	opInbox   = "GET /messageexchange/{mailbox_id}/inbox"
	opRead    = "GET /messageexchange/{mailbox_id}/inbox/{message_id}"
	opHead    = "HEAD /messageexchange/{mailbox_id}/inbox/{message_id}"
	opAck     = "PUT /messageexchange/{mailbox_id}/inbox/{message_id}/status/acknowledged"
	opChunk   = "GET /messageexchange/{mailbox_id}/inbox/{message_id}/{chunk_number}"
	opCount   = "GET /messageexchange/{mailbox_id}/count"
	opSend    = "POST /messageexchange/{mailbox_id}/outbox"
	opPiece   = "POST /messageexchange/{mailbox_id}/outbox/{message_id}/{chunk_number}"
	opTrack   = "GET /messageexchange/{mailbox_id}/outbox/tracking"
	opLocal   = "GET /messageexchange/{mailbox_id}/outbox/tracking/{local_id}"
	opLookup  = "GET /messageexchange/endpointlookup/{ods_code}/{workflow_id}"
	opSearch  = "GET /messageexchange/workflowsearch/{workflow_id}"
	v9        = "Accept: application/vnd.mesh.v9+json"
	workflow  = "Mex-WorkflowID: API-DOCS-TEST"
	toSecond  = "Mex-To: X26ABC2"
	first     = "X26ABC1"
	second    = "X26ABC2"
	nowhereID = "20260605090000000000_ABCDEF"
)

// TestEveryOperationAndStatus calls every operation of the published document to every status of it, in both versions, compares what is answered with the
// published schemas where the document is there, and every error code with its golden.
func TestEveryOperationAndStatus(t *testing.T) {
	t.Parallel()
	c := &conformance{world: given(t), seen: map[string]map[string][]answer{}, codes: map[string]int{}}
	c.shaking()
	c.sending()
	c.chunks()
	c.reading()
	c.tracking()
	c.lookingUp()
	c.refusals()
	c.undelivered()
	c.strangers()
	golden(t, "testdata/operations.golden", c.report())
	c.schemas()
}

func (c *conformance) shaking() {
	shake := []string{"mex-clientversion: test==1", "mex-osname: Linux", "mex-osversion: 6"}
	for _, method := range []string{"POST", "GET"} {
		c.does(opShake, 1, 200, c.as(first, method, "/"+first, "", shake...))
		c.does(opShake, 2, 200, c.as(first, method, "/"+first, "", append(shake, v2)...))
	}
	c.does(opShake, 1, 400, c.as(first, "POST", "/"+first, "", shake[:2]...))
	if a := c.as(first, "POST", "/x26abc1", "", shake...); a.status != 200 { // an address may be in small letters; the header may not
		c.t.Errorf("small letters: %v", a)
	}
}

func (c *conformance) sending() {
	post := func(version int, want int, body string, headers ...string) answer {
		if version == 2 {
			headers = append(headers, v2)
		}
		return c.does(opSend, version, want, c.as(first, "POST", "/"+first+"/outbox", body, headers...))
	}
	both := func(code, body string, headers ...string) {
		c.t.Helper()
		c.code(code, post(1, 417, body, headers...), post(2, 417, body, headers...))
	}
	if a := post(1, 202, "hello", toSecond, workflow); a.json["messageID"] == nil {
		c.t.Errorf("version 1: %v", a)
	}
	if a := post(2, 202, "hello", toSecond, workflow); a.json["message_id"] == nil {
		c.t.Errorf("version 2: %v", a)
	}
	both("02", "", toSecond, workflow)
	both("02", "not gzip", toSecond, workflow, "Content-Encoding: gzip")
	both("02", gzipped(c.t, "cut short")[:20], toSecond, workflow, "Content-Encoding: gzip")
	both("06", "x", toSecond, workflow, "Content-Encoding: br")
	both("06", "x", toSecond, workflow, "Content-Encoding: gzip, gzip")
	for _, r := range []string{"2:2", "1:0", "0:1", "1", "a:b", "1:1001", "2:1", "1:2:3"} {
		both("06", "x", toSecond, workflow, "Mex-Chunk-Range: "+r)
	}
	both("07", "x", toSecond, workflow, "Mex-From: X26ABC3")
	both("08", "x", workflow)
	both("11", "x", toSecond, workflow, "Mex-MessageType: REPORT")
	both("12", "x", "Mex-To: NOBODY1", workflow)
	both("12", "x", "Mex-To: not a mailbox", workflow)
	post(1, 400, "x", toSecond)
	post(1, 400, "x", toSecond, workflow, "Mex-LocalID: "+strings.Repeat("l", 301))
	post(1, 400, "x", toSecond, "Mex-WorkflowID: "+strings.Repeat("w", 301))
	bound := mesh.Mailbox{ID: "BOUND1", ODS: ident.MustODSCode("X27"), Name: "Bound", Owner: "somebody", Bound: true, Workflows: []mesh.WorkflowRight{{Workflow: "TAKEN", Takes: true}, {Workflow: "SENT", Sends: true}}}
	if err := c.o.Put(c.t.Context(), admin(), bound, mesh.DemoPassword, "a test"); err != nil {
		c.t.Fatal(err)
	}
	both("17", "x", "Mex-To: BOUND1", workflow)
	both("17", "x", "Mex-To: BOUND1", "Mex-WorkflowID: SENT")
	post(1, 202, "x", "Mex-To: BOUND1", "Mex-WorkflowID: TAKEN")
	send := func(accept string) answer {
		return c.as("BOUND1", "POST", "/BOUND1/outbox", "x", toSecond, workflow, accept)
	}
	c.code("16", c.does(opSend, 1, 417, send("Accept: application/json")), c.does(opSend, 2, 417, send(v2)))
	if a := c.as("BOUND1", "POST", "/BOUND1/outbox", "x", toSecond, "Mex-WorkflowID: SENT"); a.status != 202 {
		c.t.Errorf("a workflow that it may send: %v", a)
	}
	c.empty(second)
}

// empty acknowledges whatever is in an inbox.
func (c *conformance) empty(mailbox string) {
	for _, id := range c.inbox(mailbox) {
		c.as(mailbox, "PUT", "/"+mailbox+"/inbox/"+id+"/status/acknowledged", "")
	}
}

func gzipped(t testing.TB, s string) string {
	var b bytes.Buffer
	gz := gzip.NewWriter(&b)
	if _, err := gz.Write([]byte(s)); err != nil {
		t.Fatal(err)
	}
	if err := gz.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func (c *conformance) chunks() {
	a := c.does(opSend, 2, 202, c.as(first, "POST", "/"+first+"/outbox", gzipped(c.t, "one "), toSecond, workflow, v2, "Mex-Chunk-Range: 1:3", "Content-Encoding: gzip", "Mex-LocalID: chunked"))
	id, _ := a.json["message_id"].(string)
	put := func(version, want int, n, chunks, body string, headers ...string) answer {
		if version == 2 {
			headers = append(headers, v2)
		}
		return c.does(opPiece, version, want, c.as(first, "POST", "/"+first+"/outbox/"+id+"/"+n, body, append(headers, "Mex-Chunk-Range: "+chunks)...))
	}
	zip := "Content-Encoding: gzip"
	two, three := gzipped(c.t, "two "), gzipped(c.t, "three")
	c.code("02", put(1, 417, "3", "3:3", three, zip), put(2, 417, "3", "3:3", three, zip)) // the second is missing
	c.code("06", put(1, 417, "2", "2:4", two, zip), put(2, 417, "2", "2:4", two, zip))     // the count lies
	c.code("06", put(1, 417, "2", "3:3", two, zip), put(2, 417, "2", "3:3", two, zip))
	c.code("06", put(1, 417, "2", "", two, zip), put(2, 417, "2", "", two, zip))
	c.code("06", put(1, 417, "2", "2:3", "plain"), put(2, 417, "2", "2:3", "plain"))
	put(1, 400, "x", "2:3", two, zip)
	put(1, 202, "2", "2:3", gzipped(c.t, "wrong "), zip)
	put(2, 202, "2", "2:3", two, zip) // again: in the place of the one before
	if got := c.inbox(second); len(got) != 0 {
		c.t.Errorf("half a message is in the inbox: %v", got)
	}
	put(2, 202, "3", "3:3", three, zip)
	put(1, 423, "3", "3:3", three, zip) // as after a reply that was lost
	put(2, 423, "2", "2:3", two, zip)
	c.does(opPiece, 1, 404, c.as(first, "POST", "/"+first+"/outbox/"+nowhereID+"/2", "x", "Mex-Chunk-Range: 2:2"))
	c.does(opPiece, 2, 404, c.as("X26ABC3", "POST", "/X26ABC3/outbox/"+id+"/2", "x", "Mex-Chunk-Range: 2:3", v2))
	c.arrived(second, id)
	read := func(n string, want int, headers ...string) answer {
		if n == "1" {
			return c.does(opRead, 1, want, c.as(second, "GET", "/"+second+"/inbox/"+id, "", headers...))
		}
		return c.does(opChunk, 1, want, c.as(second, "GET", "/"+second+"/inbox/"+id+"/"+n, "", headers...))
	}
	for n, want := range map[string]struct {
		status int
		body   string
	}{"1": {206, "one "}, "2": {206, "two "}, "3": {200, "three"}} {
		if a := read(n, want.status); a.body != want.body || a.header.Get("Mex-Chunk-Range") != n+":3" || a.header.Get("Content-Encoding") != "" {
			c.t.Errorf("chunk %s: %v %v", n, a, a.header)
		}
		if a := read(n, want.status, "Accept-Encoding: gzip"); a.header.Get("Content-Encoding") != "gzip" || a.body != gzipped(c.t, want.body) {
			c.t.Errorf("chunk %s as it was sent: %v %v", n, a, a.header)
		}
	}
	read("4", 404)
	read("0", 400)
	read("x", 400)
	c.as(second, "PUT", "/"+second+"/inbox/"+id+"/status/acknowledged", "")
	read("2", 410)
	read("1", 410)
}

func (c *conformance) reading() {
	var ids []string
	for i := range 12 {
		ids = append(ids, c.send(first, second, fmt.Sprint("message ", i), "Mex-WorkflowID: TEST_"+[]string{"A", "A_ACK", "B"}[i%3]))
	}
	get := func(version, want int, query string) answer {
		accept := "Accept: application/json"
		if version == 2 {
			accept = v2
		}
		return c.does(opInbox, version, want, c.as(second, "GET", "/"+second+"/inbox"+query, "", accept))
	}
	names := func(a answer) (list []string) {
		for _, id := range a.json["messages"].([]any) {
			list = append(list, id.(string))
		}
		return list
	}
	if got := names(get(1, 200, "")); !slices.Equal(got, ids) {
		c.t.Errorf("the inbox holds %v, want %v", got, ids)
	}
	page := get(2, 200, "?max_results=10")
	next, _ := page.json["links"].(map[string]any)["next"].(string)
	if got := names(page); !slices.Equal(got, ids[:10]) || page.json["approx_inbox_count"] != 12.0 || next == "" {
		c.t.Fatalf("the first page: %v", page)
	}
	_, query, _ := strings.Cut(next, "?")
	page = get(2, 200, "?"+query)
	if _, more := page.json["links"].(map[string]any)["next"]; !slices.Equal(names(page), ids[10:]) || more {
		c.t.Errorf("the second page: %v", page)
	}
	if got := names(get(1, 200, "?continue_from="+ids[9])); !slices.Equal(got, ids[10:]) {
		c.t.Errorf("continued in version 1: %v", got)
	}
	for filter, want := range map[string]int{"TEST_A": 4, "!TEST_A": 8, "TEST_A*": 8, "!TEST_A*": 4, "*_ACK*": 4, "!*_ACK*": 8, "*_ack*": 0, "TEST": 0} {
		if got := names(get(2, 200, "?workflow_filter="+filter)); len(got) != want {
			c.t.Errorf("%s finds %d, want %d", filter, len(got), want)
		}
	}
	for _, bad := range []string{"?max_results=9", "?max_results=5001", "?max_results=x", "?continue_from=x", "?workflow_filter=x", "?workflow_filter=A*B"} {
		get(1, 400, bad)
		get(2, 400, bad)
	}
	if a := c.does(opCount, 1, 200, c.as(second, "GET", "/"+second+"/count", "")); a.json["count"] != 12.0 {
		c.t.Errorf("the count: %v", a)
	}
	c.does(opCount, 2, 200, c.as(second, "GET", "/"+second+"/count", "", v2))
	one := ids[0]
	c.does(opRead, 1, 200, c.as(second, "GET", "/"+second+"/inbox/"+one, ""))
	c.does(opHead, 2, 200, c.as(second, "HEAD", "/"+second+"/inbox/"+one, "", v2))
	for op, method := range map[string]string{opRead: "GET", opHead: "HEAD"} {
		c.does(op, 1, 404, c.as(second, method, "/"+second+"/inbox/"+nowhereID, ""))
		c.does(op, 1, 404, c.as(first, method, "/"+first+"/inbox/"+one, "")) // it is another's
	}
	c.does(opChunk, 1, 404, c.as(second, "GET", "/"+second+"/inbox/"+one+"/2", ""))
	c.does(opAck, 1, 200, c.as(second, "PUT", "/"+second+"/inbox/"+one+"/status/acknowledged", ""))
	c.does(opAck, 2, 200, c.as(second, "PUT", "/"+second+"/inbox/"+one+"/status/acknowledged", "", v2)) // again: the same
	c.does(opHead, 1, 410, c.as(second, "HEAD", "/"+second+"/inbox/"+one, ""))
	c.empty(second)
}

func (c *conformance) tracking() {
	id := c.send(first, second, "tracked", "Mex-LocalID: only-one", "Mex-FileName: message.txt")
	a := c.does(opTrack, 1, 200, c.as(first, "GET", "/"+first+"/outbox/tracking?messageID="+id, ""))
	for name, want := range map[string]any{"status": "Accepted", "localId": "only-one", "recipient": second, "sender": first, "fileSize": 7.0, "workflowId": "API-DOCS-TEST", "messageType": "DATA", "version": "1.0", "addressType": "ALL"} {
		if a.json[name] != want {
			c.t.Errorf("%s is %v, want %v", name, a.json[name], want)
		}
	}
	c.does(opTrack, 2, 200, c.as(first, "GET", "/"+first+"/outbox/tracking?messageID="+id, "", v2))
	c.does(opTrack, 1, 400, c.as(first, "GET", "/"+first+"/outbox/tracking", ""))
	if a := c.as("X26ABC3", "GET", "/X26ABC3/outbox/tracking?messageID="+id, ""); a.status != 404 {
		c.t.Errorf("somebody else's message: %v", a)
	}
	c.does(opLocal, 1, 200, c.as(first, "GET", "/"+first+"/outbox/tracking/only-one", ""))
	c.send(first, second, "again", "Mex-LocalID: only-one")
	c.does(opLocal, 1, 300, c.as(first, "GET", "/"+first+"/outbox/tracking/only-one", ""))
	c.empty(second)
	if a := c.as(first, "GET", "/"+first+"/outbox/tracking?messageID="+id, ""); a.json["status"] != "Acknowledged" || a.json["downloadTimestamp"] == nil {
		c.t.Errorf("once it is acknowledged: %v", a)
	}
}

func (c *conformance) lookingUp() {
	for version, accept := range []string{1: "Accept: application/json", 2: v2} {
		if version == 0 {
			continue
		}
		a := c.does(opLookup, version, 200, c.call("GET", "/endpointlookup/X26/API-DOCS-TEST", nil, accept))
		if list := a.json["results"].([]any); len(list) != 2 {
			c.t.Errorf("found %v", a)
		}
		c.does(opSearch, version, 200, c.call("GET", "/workflowsearch/TEST_WORKFLOW", nil, accept))
	}
	if a := c.call("GET", "/endpointlookup/X26/NOTHING", nil); a.status != 200 || len(a.json["results"].([]any)) != 0 {
		c.t.Errorf("nothing found: %v", a)
	}
}

// refusals are those that every operation has: a version that there is not, and a program that does not show who it is.
func (c *conformance) refusals() {
	at := map[string]string{opShake: "/" + first, opInbox: "/" + first + "/inbox", opRead: "/" + first + "/inbox/" + nowhereID, opHead: "/" + first + "/inbox/" + nowhereID, opAck: "/" + first + "/inbox/" + nowhereID + "/status/acknowledged",
		opChunk: "/" + first + "/inbox/" + nowhereID + "/2", opCount: "/" + first + "/count", opSend: "/" + first + "/outbox", opPiece: "/" + first + "/outbox/" + nowhereID + "/2", opTrack: "/" + first + "/outbox/tracking?messageID=" + nowhereID,
		opLocal: "/" + first + "/outbox/tracking/x", opLookup: "/endpointlookup/X26/W", opSearch: "/workflowsearch/W"}
	for op, path := range at {
		method, _, _ := strings.Cut(op, " ")
		c.does(op, 1, 400, c.as(first, method, path, "", v9))
		if op != opLookup && op != opSearch {
			c.does(op, 1, 403, c.call(method, path, nil))
			c.does(op, 2, 403, c.call(method, path, nil, v2))
		}
	}
}

// undelivered is what nobody collects: it comes back as a report with code 14, and is not to be had any more.
func (c *conformance) undelivered() {
	id := c.send(first, second, "nobody comes", "Mex-Subject: lost", "Mex-LocalID: back")
	c.clock.Advance(mesh.CollectWithin + time.Hour)
	if err := c.o.Expire(c.t.Context()); err != nil {
		c.t.Fatal(err)
	}
	report := c.reported(first, id)
	a := c.as(first, "GET", "/"+first+"/inbox/"+report, "")
	for name, want := range map[string]string{"Mex-MessageType": "REPORT", "Mex-LinkedMsgID": id, "Mex-StatusCode": "14", "Mex-StatusSuccess": "ERROR", "Mex-StatusEvent": "SEND", "Mex-LocalID": "back", "Mex-WorkflowID": "API-DOCS-TEST",
		"Mex-To": second, "Mex-MessageID": report, "Mex-Subject": "NDR: lost"} {
		if got := a.header.Get(name); got != want {
			c.t.Errorf("the report's %s is %q, want %q", name, got, want)
		}
	}
	if a.status != 200 || a.body != "" {
		c.t.Errorf("the report is answered %v", a)
	}
	c.codes["14"]++
	c.does(opRead, 1, 410, c.as(second, "GET", "/"+second+"/inbox/"+id, ""))
	if a := c.as(second, "PUT", "/"+second+"/inbox/"+id+"/status/acknowledged", ""); a.status != 410 {
		c.t.Errorf("acknowledging it is answered %v", a)
	}
	if a := c.as(first, "GET", "/"+first+"/outbox/tracking?messageID="+id, ""); a.json["status"] != "Undeliverable" || a.json["statusCode"] != "14" || a.json["failureDate"] == nil {
		c.t.Errorf("tracking says %v", a)
	}
}

// reported waits for the report about a message in an inbox.
func (w *world) reported(mailbox, about string) string {
	w.t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		for _, id := range w.inbox(mailbox) {
			if a := w.as(mailbox, "HEAD", "/"+mailbox+"/inbox/"+id, ""); a.header.Get("Mex-MessageType") == "REPORT" && a.header.Get("Mex-LinkedMsgID") == about {
				return id
			}
		}
		w.clock.Advance(time.Second)
	}
	w.t.Fatalf("no report came to %s", mailbox)
	return ""
}

// strangers are addresses that are none.
func (c *conformance) strangers() {
	for path, want := range map[string]int{"/" + first + "/nothing": 404, "/" + first + "/outbox/nothing": 404, "/" + first + "/inbox/a/b/c": 404, "/endpointlookup/X26": 404} {
		if a := c.as(first, "GET", path, ""); a.status != want || !strings.HasPrefix(a.header.Get("Content-Type"), "application/json") {
			c.t.Errorf("%s is answered %v", path, a)
		}
	}
	if a := c.as(first, "DELETE", "/"+first+"/inbox", ""); a.status != 405 {
		c.t.Errorf("DELETE is answered %v", a)
	}
}

// report is what was called, and what was answered how often.
func (c *conformance) report() string {
	var b strings.Builder
	b.WriteString("Every operation and status of the published OpenAPI document, how often each was called to it, and in which version.\n\n")
	for _, op := range slices.Sorted(maps.Keys(c.seen)) {
		fmt.Fprintln(&b, op)
		for _, key := range slices.Sorted(maps.Keys(c.seen[op])) {
			fmt.Fprintf(&b, "    %s: %d\n", key, len(c.seen[op][key]))
		}
	}
	b.WriteString("\nError codes\n")
	for _, code := range slices.Sorted(maps.Keys(c.codes)) {
		fmt.Fprintf(&b, "    %s: %d\n", code, c.codes[code])
	}
	b.WriteString("    15: not served: it is for files of Child Protection - Information Sharing, a service that is not one of this programme's\n")
	return b.String()
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
		t.Errorf("%s has changed (run with -update and read the difference):\n%s", path, got)
	}
}

// schemas compares what was answered with the published document, where it is there: no operation or status is left out, and every body has what its
// schema asks for and nothing that it does not know.
func (c *conformance) schemas() {
	text, err := os.ReadFile(filepath.Join(spectest.Dir(c.t, "mesh", "specification"), "mesh-api.yaml"))
	if err != nil {
		c.t.Fatal(err)
	}
	spec, err := yaml.Parser().Unmarshal(text)
	if err != nil {
		c.t.Fatal(err)
	}
	checked := 0
	for path, ops := range spec["paths"].(map[string]any) {
		for method, op := range ops.(map[string]any) {
			operation := strings.ToUpper(method) + " " + path
			for status, published := range op.(map[string]any)["responses"].(map[string]any) {
				got := slices.Concat(c.seen[operation][status+" v1"], c.seen[operation][status+" v2"])
				if len(got) == 0 {
					c.t.Errorf("%s is never answered %s", operation, status)
				}
				content, _ := published.(map[string]any)["content"].(map[string]any)
				for _, a := range got {
					checked += c.fits(operation, a, content)
				}
			}
		}
	}
	if checked < 60 {
		c.t.Errorf("only %d bodies were compared with a schema", checked)
	}
}

// fits compares a body with the schema of its content type; it is 1 when there was one.
func (c *conformance) fits(operation string, a answer, content map[string]any) int {
	mime, _, _ := strings.Cut(a.header.Get("Content-Type"), ";")
	media, _ := content[mime].(map[string]any)
	schema, _ := media["schema"].(map[string]any)
	properties, _ := schema["properties"].(map[string]any)
	if properties == nil || a.json == nil {
		return 0
	}
	for name := range a.json {
		if properties[name] == nil {
			c.t.Errorf("%s %d: the schema knows no %s", operation, a.status, name)
		}
	}
	required, _ := schema["required"].([]any)
	for _, name := range required {
		if _, there := a.json[name.(string)]; !there {
			c.t.Errorf("%s %d: %v is missing in %s", operation, a.status, name, a.body)
		}
	}
	return 1
}
