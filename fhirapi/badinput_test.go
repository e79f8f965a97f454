package fhirapi_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/openspine/openspine/fault"
)

// Whatever is wrong with what was sent: a clear failure in FHIR's own form, nothing changed, nothing repeated to the caller.
func TestBadBodies(t *testing.T) {
	c := newWorld(t, setting{}).system()
	c.put(patient("1", "Smith"))
	with := func(member string) string { return `{"resourceType":"Patient","id":"1",` + member + `}` }
	xml := func(inner string) string {
		return `<Patient xmlns="http://hl7.org/fhir"><id value="1"/>` + inner + `</Patient>`
	}
	const fhirXML = "application/fhir+xml"
	for name, sent := range map[string]struct {
		body, contentType string
		status            int
	}{
		"nothing":                   {"", "", 400},
		"white space":               {" \n ", "", 400},
		"truncated":                 {patient("1", "x")[:40], "", 400},
		"two documents":             {patient("1", "x") + patient("1", "x"), "", 400},
		"not an object":             {`[1,2]`, "", 400},
		"null":                      {`null`, "", 400},
		"no type":                   {`{"id":"1"}`, "", 400},
		"a type that is a number":   {`{"resourceType":7,"id":"1"}`, "", 400},
		"a type unknown":            {`{"resourceType":"Nonsense","id":"1"}`, "", 400},
		"another type":              {`{"resourceType":"Group","id":"1"}`, "", 400},
		"a key twice":               {with(`"gender":"male","gender":"female"`), "", 400},
		"a key twice deep inside":   {with(`"name":[{"family":"a","family":"b"}]`), "", 400},
		"deeply nested":             {with(`"extension":` + strings.Repeat(`[{"url":"u","extension":`, 5000) + `1` + strings.Repeat(`}]`, 5000)), "", 400},
		"deep arrays":               {strings.Repeat(`[`, 1_000_000), "", 400},
		"a lone surrogate":          {with(`"name":[{"family":"\ud800"}]`), "", 400},
		"a broken escape":           {with(`"name":[{"family":"\x"}]`), "", 400},
		"a control character":       {with("\"name\":[{\"family\":\"a\x01b\"}]"), "", 400},
		"an escaped null":           {with(`"name":[{"family":"a\u0000b"}]`), "", 400},
		"bytes that are not UTF-8":  {with("\"name\":[{\"family\":\"a\xffb\"}]"), "", 400},
		"a comment":                 {with(`"active":true /* x */`), "", 400},
		"NaN":                       {with(`"multipleBirthInteger":NaN`), "", 400},
		"an unknown element":        {with(`"shoes":2`), "", 422},
		"an element of another":     {with(`"valueQuantity":{"value":1}`), "", 422},
		"a list as one":             {with(`"name":{"family":"x"}`), "", 422},
		"one as a list":             {with(`"gender":["male"]`), "", 422},
		"a number as text":          {with(`"multipleBirthInteger":"2"`), "", 422},
		"text as a number":          {with(`"birthDate":1980`), "", 422},
		"an object as text":         {with(`"gender":{"a":1}`), "", 422},
		"two of a choice":           {with(`"deceasedBoolean":true,"deceasedDateTime":"2020"`), "", 422},
		"a code unknown":            {with(`"gender":"mauve"`), "", 422},
		"31 February":               {with(`"birthDate":"2023-02-31"`), "", 422},
		"29 February of 2023":       {with(`"birthDate":"2023-02-29"`), "", 422},
		"the year 0":                {with(`"birthDate":"0000-01-01"`), "", 422},
		"month 13":                  {with(`"birthDate":"2023-13-01"`), "", 422},
		"a time without zone":       {with(`"deceasedDateTime":"2023-01-01T10:00:00"`), "", 422},
		"hour 25":                   {with(`"deceasedDateTime":"2023-01-01T25:00:00Z"`), "", 422},
		"an integer too large":      {with(`"multipleBirthInteger":99999999999`), "", 422},
		"an empty string":           {with(`"gender":""`), "", 400},
		"an empty object":           {with(`"maritalStatus":{}`), "", 400},
		"a reference of wrong type": {with(`"managingOrganization":{"reference":"Patient/2"}`), "", 422},
		"a script in the narrative": {with(`"text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\"><script>alert(1)</script></div>"}`), "", 422},
		"required is missing":       {with(`"communication":[{"preferred":true}]`), "", 422},
		"XML truncated":             {xml("")[:50], fhirXML, 400},
		"XML with a DTD":            {`<!DOCTYPE Patient [<!ENTITY x SYSTEM "file:///etc/passwd">]>` + xml(`<gender value="&x;"/>`), fhirXML, 400},
		"XML billion laughs":        {`<!DOCTYPE Patient [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>` + xml(`<gender value="&b;"/>`), fhirXML, 400},
		"XML with an entity":        {xml(`<gender value="&nbsp;"/>`), fhirXML, 400},
		"XML instruction":           {`<?php echo 1 ?>` + xml(""), fhirXML, 400},
		"XML without namespace":     {`<Patient><id value="1"/></Patient>`, fhirXML, 400},
		"XML unknown element":       {xml(`<shoes value="2"/>`), fhirXML, 422},
		"XML unknown attribute":     {xml(`<gender value="male" colour="red"/>`), fhirXML, 422},
		"XML repeated":              {xml(`<gender value="male"/><gender value="female"/>`), fhirXML, 422},
		"XML deeply nested":         {xml(strings.Repeat(`<extension url="u">`, 5000)), fhirXML, 400},
		"XML in Latin-1":            {`<?xml version="1.0" encoding="ISO-8859-1"?>` + xml("<gender value=\"\xe9\"/>"), fhirXML, 400},
		"JSON said to be XML":       {patient("1", "x"), fhirXML, 400},
		"XML said to be JSON":       {xml(""), "application/fhir+json", 400},
		"another charset":           {patient("1", "x"), "application/fhir+json; charset=iso-8859-1", 415},
		"another release":           {patient("1", "x"), "application/fhir+json; fhirVersion=3.0", 415},
		"plain text":                {patient("1", "x"), "text/plain", 415},
		"a form":                    {"a=b", "application/x-www-form-urlencoded", 415},
		"multipart":                 {"x", "multipart/form-data; boundary=x", 415},
		"a Content-Type broken":     {patient("1", "x"), "application/fhir+json; ; charset", 415},
	} {
		t.Run(name, func(t *testing.T) {
			c := c.in(t)
			headers := []string{}
			if sent.contentType != "" {
				headers = append(headers, "Content-Type", sent.contentType)
			}
			a := c.do("PUT", "Patient/1", sent.body, headers...)
			if sent.status == 400 && a.status == 422 {
				sent.status = 422 // read, and then found wanting
			}
			a.wants(sent.status)
			for _, leak := range []string{"passwd", "goroutine", ".go:", "SQL", "sqlite", "pgx"} {
				if strings.Contains(a.body, leak) {
					t.Errorf("the answer tells %q: %s", leak, a.body)
				}
			}
			c.get("Patient/1").wants(200).is("meta.versionId", "1")
		})
	}
	c.do("PUT", "Patient/1", patient("1", "x"), "Content-Encoding", "gzip").wants(415)
}

// endless is a body that goes on for n bytes.
type endless struct{ left int }

func (e *endless) Read(p []byte) (int, error) {
	if e.left <= 0 {
		return 0, io.EOF
	}
	n := min(len(p), e.left)
	for i := range p[:n] {
		p[i] = ' '
	}
	e.left -= n
	return n, nil
}

// Too much is 413, whether the length was announced or not, and memory stays bounded; what ends early changes nothing.
func TestOversizedAndBroken(t *testing.T) {
	w := newWorld(t, setting{})
	c := w.system()
	c.do("PUT", "Patient/1", patient("1", strings.Repeat("x", 17<<20))).wants(413)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	host := strings.TrimPrefix(w.url, "http://")
	raw := func(head string, body io.Reader) string {
		conn, err := net.Dial("tcp", host)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, "PUT /FHIR/R4/Patient/1 HTTP/1.1\r\nHost: "+host+"\r\nAuthorization: Bearer "+c.token+"\r\nContent-Type: application/fhir+json\r\n"+head+"\r\n"); err != nil {
			t.Fatal(err)
		}
		_, copied := io.Copy(conn, body) // the node may stop listening before all is said
		if half, ok := conn.(*net.TCPConn); ok && copied == nil {
			half.CloseWrite() // or the node has closed already
		}
		line, _ := bufio.NewReader(conn).ReadString('\n')
		return line
	}
	if line := raw("Content-Length: 900000000\r\n", &endless{80 << 20}); line != "" && !strings.Contains(line, "413") {
		t.Errorf("900 MB announced: %q", line)
	}
	if line := raw("Content-Length: 1000\r\n", strings.NewReader(`{"resourceType":"Patient","id":"1"`)); line != "" && !strings.Contains(line, "400") {
		t.Errorf("a body that ends early: %q", line)
	}
	if line := raw("Content-Length: 10\r\nContent-Length: 20\r\n", strings.NewReader(`{"resourceType":"Patient","id":"1"}`)); line != "" && !strings.Contains(line, "400") {
		t.Errorf("two lengths: %q", line)
	}
	if line := raw("Content-Length: 35\r\nTransfer-Encoding: chunked\r\n", strings.NewReader("0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n")); strings.Contains(line, " 20") {
		t.Errorf("two framings: %q", line)
	}
	if line := raw("X-Evil: a\r\n b\r\nContent-Length: 2\r\n", strings.NewReader("{}")); strings.Contains(line, " 20") {
		t.Errorf("a folded header: %q", line)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 200<<20 {
		t.Errorf("the heap has grown by %d MB", grown>>20)
	}
	c.get("Patient/1").wants(404)
	c.put(patient("1", "Smith")) // the node is up
}

// Wrong headers, cursors and counts.
func TestBadParameters(t *testing.T) {
	w := newWorld(t, setting{})
	c := w.system()
	for i := range 5 {
		c.put(patient(fmt.Sprint(i), "Smith"))
	}
	for _, tag := range []string{"1", `W/1`, `W/"x"`, `W/"0"`, `W/"-1"`, `W/"1", W/"2"`, `"`, `W/""`, `W/"99999999999999999999"`} {
		c.do("PUT", "Patient/1", patient("1", "x"), "If-Match", tag).wants(400)
		c.do("DELETE", "Patient/1", nil, "If-Match", tag).wants(400)
		c.do("PATCH", "Patient/1", `[]`, "Content-Type", "application/json-patch+json", "If-Match", tag).wants(400)
	}
	c.do("PUT", "Patient/1", patient("1", "x"), "If-Match", `W/"2"`).wants(412)
	next := c.get("Patient?_count=2&family=smith").link("next")
	cursor := next[strings.Index(next, "_cursor=")+len("_cursor="):]
	cursor, _, _ = strings.Cut(cursor, "&")
	other := w.as(principal("system-client", "another", "X26"))
	other.get(next).wants(400) // a page is for whoever began
	for _, bad := range []string{"x", "", "AAAA", cursor[:len(cursor)-2], cursor + "A", strings.ToUpper(cursor), strings.Repeat("A", 100_000)} {
		a := c.get("Patient?family=smith&_count=2&_cursor=" + bad)
		if bad == "" && a.status == 200 {
			continue
		}
		if a.status != 400 && a.status != 431 {
			t.Errorf("cursor %.40q: %d %.200s", bad, a.status, a.body)
		}
	}
	c.get("Patient?family=jones&_count=2&_cursor=" + cursor).wants(400)
	c.get("Observation?_cursor=" + cursor).wants(400)
	c.get("Patient/_history?_cursor=" + cursor).wants(400)
	for count, want := range map[string]int{"1000000": 200, "99999999999999999999999": 400, "-1": 400, "1.5": 400, "0x10": 400, "": 400, "0": 200} {
		c.get("Patient?_count=" + count).wants(want)
	}
	for _, bad := range []string{"family=%zz", "%=1", "family=%ff%fe", "birthdate=2023-02-31", "birthdate=0000", "birthdate=gt", "_lastUpdated=never", "_id=a_b&_id=",
		"family:exact:contains=x", "general-practitioner.family.x=y", "_has=x", "_has:x=y", "_has:Observation=y", "identifier:in=x",
		strings.Repeat("general-practitioner.", 50) + "family=x", "_type=Nonsense", "_summary=true&_elements=id", "_contained=true", "_filter=x", "_query=x", "near=x"} {
		a := c.get("Patient?" + bad)
		if a.status != 400 && !(strings.HasPrefix(bad, "family=%ff") && a.status == 200) {
			t.Errorf("%s: %d %.200s", bad, a.status, a.body)
		}
		if a.status >= 400 {
			a.wants(a.status)
		}
	}
	injected := "x' OR 1=1; DROP TABLE record_resource; --"
	for _, name := range []string{"family", "family:exact", "family:contains", "identifier", "_tag", "gender", "_text", "_id", "_source", "_profile"} {
		c.get("Patient?"+name+"="+url.QueryEscape(injected)).wants(200).is("total", "0")
	}
	c.get("Patient?_sort=" + url.QueryEscape(injected)).wants(400)
	c.get("Patient?" + url.QueryEscape(injected) + "=1").wants(400)
	c.do("POST", "Patient/_search", `{"a":1}`).wants(415)
	c.do("POST", "Patient/_search", "family=%zz", "Content-Type", "application/x-www-form-urlencoded").wants(400)
	c.get("Patient?family=smith").wants(200).is("total", "5")
}

// A search that would look into more than its bounds is refused, quickly, and says what to do.
func TestSearchIsBounded(t *testing.T) {
	c := newWorld(t, setting{}).system()
	values := make([]string, 20_000)
	for i := range values {
		values[i] = fmt.Sprint("v", i)
	}
	a := c.do("POST", "Patient/_search", "identifier="+strings.Join(values, ","), "Content-Type", "application/x-www-form-urlencoded")
	if a.status != 200 && a.status != 403 && a.status != 400 {
		t.Errorf("20,000 alternatives: %d %.200s", a.status, a.body)
	}
	var many []string
	for i := range 2000 {
		many = append(many, fmt.Sprint("family=x", i))
	}
	if a := c.do("POST", "Patient/_search", strings.Join(many, "&"), "Content-Type", "application/x-www-form-urlencoded"); a.status != 200 && a.status != 403 && a.status != 400 {
		t.Errorf("2,000 parameters: %d %.200s", a.status, a.body)
	}
	var entries []string
	for range 5001 {
		entries = append(entries, entry("GET", "Patient/1", ""))
	}
	c.do("POST", "", bundle("batch", entries...)).wants(413)
}

// docs/status-codes.md is the table of the kinds of failure, word for word.
func TestStatusCodesAreDocumented(t *testing.T) {
	want := "| kind | HTTP | FHIR issue type | when |\n|---|---|---|---|\n"
	for _, k := range fault.All() {
		want += fmt.Sprintf("| %s | %d | %s | %s |\n", k, k.HTTPStatus(), k.IssueType(), k.Meaning())
	}
	path := filepath.Join("..", "docs", "status-codes.md")
	text, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(text), want) {
		t.Errorf("%s must hold this table (%v):\n%s", path, err, want)
	}
}
