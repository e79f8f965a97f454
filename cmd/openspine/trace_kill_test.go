package main

import (
	"bytes"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestATracedFileSurvivesAKill kills the program (SIGKILL) in the middle of a file of people: the next start goes on, and the answer has each line once.
// The stops between any two steps are gone through in demographics/tracing, on both engines.
func TestATracedFileSurvivesAKill(t *testing.T) {
	dir, err := seededCountry()
	if err != nil {
		t.Fatal(err)
	}
	k := &killing{t: t, dir: t.TempDir()}
	if err := os.CopyFS(filepath.Join(k.dir, "data"), os.DirFS(filepath.Join(dir, "data"))); err != nil {
		t.Fatal(err)
	}
	const lines = 6000
	var file strings.Builder
	file.WriteString("UNIQUE_REFERENCE,FAMILY_NAME,GIVEN_NAME,DATE_OF_BIRTH\n")
	for i := range lines {
		fmt.Fprintf(&file, "r%d,Nobody,Nora,19%02d0101\n", i, i%100)
	}
	p := k.start()
	job := sendFile(t, p.url, file.String())
	traced := regexp.MustCompile(`(\d+) of 6000`)
	page := func(base string) string {
		status, _, text, err := ask(signedIn(base), http.MethodGet, base+job, "")
		if err != nil || status != http.StatusOK {
			t.Fatalf("%d %v", status, err)
		}
		return string(text)
	}
	waitUntil(t, func() bool {
		m := traced.FindStringSubmatch(page(p.url))
		return m != nil && m[1] != "0"
	})
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-p.ended
	p = k.start()
	waitUntil(t, func() bool { return strings.Contains(page(p.url), "answer.csv") })
	_, _, answer, err := ask(signedIn(p.url), http.MethodGet, p.url+job+"/answer.csv", "")
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Split(strings.TrimSpace(string(answer)), "\n")
	if len(got) != lines+1 {
		t.Fatalf("%d lines, want %d", len(got), lines+1)
	}
	for i, line := range got[1:] {
		if !strings.HasPrefix(line, fmt.Sprintf("%d,r%d,,none,", i+2, i)) {
			t.Fatalf("line %d of the answer is %s", i+2, line)
		}
	}
}

// sendFile sends a file of people as a person does, and gives the address of its page.
func sendFile(t *testing.T, base, content string) string {
	c := signedIn(base)
	status, _, text, err := ask(c, http.MethodGet, base+"/tracing", "")
	if err != nil || status != http.StatusOK {
		t.Fatalf("%d %v", status, err)
	}
	form := regexp.MustCompile(`(?s)<form class="os-form".*?</form>`).FindString(string(text))
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for _, m := range regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)"`).FindAllStringSubmatch(form, -1) {
		if err := w.WriteField(m[1], m[2]); err != nil {
			t.Fatal(err)
		}
	}
	part, err := w.CreateFormFile("file", "people.csv")
	if err == nil {
		_, err = io.WriteString(part, content)
	}
	if err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	resp, err := c.Post(base+"/tracing", w.FormDataContentType(), &body)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusSeeOther {
		t.Fatalf("the file is answered %s", resp.Status)
	}
	return resp.Header.Get("Location")
}

// waitUntil waits for what another process does, a minute at most.
func waitUntil(t *testing.T, so func() bool) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for end := time.After(time.Minute); !so(); {
		select {
		case <-tick.C:
		case <-end:
			t.Fatal("it does not come about")
		}
	}
}
