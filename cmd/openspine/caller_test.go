package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// A load counts an answer when it is one that was wanted, however it is delimited, and says what came instead otherwise; the connection goes on
// where it can, at the right byte.
func TestCaller(t *testing.T) {
	var seen []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		seen = append(seen, strings.Join([]string{r.Method, r.URL.String(), r.Header.Get("Authorization"), r.Header.Get("X-Request-Id"), r.Header.Get("Content-Type"), string(body), r.RemoteAddr}, " "))
		switch r.URL.Path {
		case "/base/chunked":
			w.WriteHeader(http.StatusOK)
			http.NewResponseController(w).Flush()
			io.WriteString(w, strings.Repeat("in pieces ", 1000))
		case "/base/long":
			io.WriteString(w, strings.Repeat("x", 1500))
		case "/base/wrong":
			http.Error(w, "HTTP/1.1 200", http.StatusConflict)
		case "/base/last":
			w.Header().Set("Connection", "close")
			io.WriteString(w, "farewell")
		}
	}))
	t.Cleanup(s.Close)
	base, err := url.Parse(s.URL + "/base")
	if err != nil {
		t.Fatal(err)
	}
	c := caller{load: &load{base: base, token: "secret"}}
	t.Cleanup(c.hangUp)
	for _, step := range []struct {
		path, problem string
		again         bool // over the connection of the step before
		holds         string
	}{{"/long?a=b%20c", "", false, ""}, {"/long", "", true, "xxx"}, {"/long", "does not hold y", true, "y"}, {"/chunked", "", true, "in pieces"}, {"/chunked", "does not hold whole", true, "whole"}, {"/none", "", true, ""}, {"/last", "", true, "well"},
		{"/long", "", false, ""}, {"/wrong", "409 Conflict: HTTP/1.1 200", true, ""}, {"/long", "", false, ""}} {
		before := len(seen)
		problem := c.call(t.Context(), request{method: "POST", path: step.path, contentType: "text/plain", body: []byte("said"), want: []int{200}, requestID: "one", holds: step.holds})
		if problem != step.problem && (step.problem == "" || !strings.Contains(problem, step.problem)) {
			t.Errorf("%s: %q, want %q", step.path, problem, step.problem)
		}
		if len(seen) != before+1 {
			t.Fatalf("%s was asked %d times", step.path, len(seen)-before)
		}
		if got, want := seen[before], "POST /base"+step.path+" Bearer secret one text/plain said "; !strings.HasPrefix(got, want) {
			t.Errorf("asked %q, want %q", got, want)
		}
		from := func(i int) string { return seen[i][strings.LastIndex(seen[i], " "):] }
		if before > 0 && (from(before) == from(before-1)) != step.again {
			t.Errorf("%s: the connection before was used again: %v", step.path, !step.again)
		}
	}
}
