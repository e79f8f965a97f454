package mesh

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/openspine/openspine/fault"
)

// FuzzAuthorization: what is read names the same header again, and nothing that is not a good header is signed.
func FuzzAuthorization(f *testing.F) {
	at := time.Date(2026, 6, 5, 9, 0, 0, 0, time.UTC)
	good := Authorization("X26ABC1", "password", "TestKey", "2c001608-5f09-4840-9611-bea43e666a30", "1", at)
	for _, s := range []string{good, strings.ToLower(good), good + ":", "NHSMESH ", "NHSMESH A:B:0:202606050900:" + strings.Repeat("0", 64), "Bearer x", strings.Replace(good, "202606050900", "202613320900", 1)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		tk, err := parseToken(s)
		if err != nil {
			if !fault.Is(err, fault.Forbidden) {
				t.Fatalf("%q: %v", s, err)
			}
			return
		}
		if tk.signed("password", "TestKey") != strings.EqualFold(s, Authorization(tk.mailbox, "password", "TestKey", tk.nonce, tk.count, tk.at)) {
			t.Fatalf("%q is signed as it should not be, or the contrary", s)
		}
		if tk.at.UTC().Format("200601021504") != tk.stamp || len(s) > mostToken || !isMailboxID(tk.mailbox) {
			t.Fatalf("%q is read as %+v", s, tk)
		}
	})
}

// FuzzChunkRange: what is read is written so that it is read alike, and within its bounds.
func FuzzChunkRange(f *testing.F) {
	for _, s := range []string{"", "1:1", "2:3", "3:2", "0:1", "1:1000", "1:1001", "1:", ":1", "1:2:3", "-1:2", " 1 : 2 ", "٣:٤"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, ok := parseChunkRange(s)
		if !ok {
			return
		}
		if c.num < 1 || c.num > c.of || c.of > MaxChunks {
			t.Fatalf("%q is read as %+v", s, c)
		}
		if again, ok := parseChunkRange(c.String()); !ok || again != c {
			t.Fatalf("%q is read as %+v, and written so is read as %+v", s, c, again)
		}
	})
}

// FuzzContinueFrom: only what we wrote is read.
func FuzzContinueFrom(f *testing.F) {
	p := inboxPlace{time.Date(2026, 6, 5, 9, 0, 0, 0, time.UTC), "20260605090000000000_ABCDEF"}
	f.Add(p.String())
	f.Add("eyJwayI6ICJNQiNNU0cjTUIjMTIzNEhDMTIzNCMiLCAic2siOiAiTUIjTVNHIzIwMjIwMjI4MTc0MzIzMTIzX0FDREVEMSMifQ==")
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		if p, ok := parseInboxPlace(s); ok && p.String() != s {
			t.Fatalf("%q is read as %v", s, p)
		}
	})
}

// FuzzWorkflowFilter: a filter and its contrary part every workflow between them.
func FuzzWorkflowFilter(f *testing.F) {
	f.Add("WORKFLOW1", "WORKFLOW1")
	f.Add("!WORKFL*", "WORKFLOW2")
	f.Add("*_ACK*", "TEST_ACK")
	f.Add("!*_ACK*", "TEST")
	f.Add("**", "x")
	f.Add("!!0", "1")
	f.Fuzz(func(t *testing.T, s, workflow string) {
		a, ok := parseWorkflowFilter(s)
		if !ok || s == "" {
			return
		}
		contrary, isNot := strings.CutPrefix(s, "!")
		if !isNot {
			contrary = "!" + s
		}
		b, ok := parseWorkflowFilter(contrary)
		if ok && a.matches(workflow) == b.matches(workflow) {
			t.Fatalf("%q and %q both say %v of %q", s, contrary, a.matches(workflow), workflow)
		}
	})
}

// FuzzEnvelope: what is read names a mailbox and a message, and is written so that it is read alike.
func FuzzEnvelope(f *testing.F) {
	good, err := json.Marshal(envelope{What: whatData, ID: "20260605090000000000_ABCDEF", From: "X26ABC1", To: "X26ABC2", Workflow: "W"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{}`))
	f.Add([]byte(`{"what":"data","id":"x","to":"../../etc"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := openEnvelope(b)
		if err != nil {
			return
		}
		text, err := json.Marshal(e)
		if err != nil {
			return // a year beyond 9999
		}
		again, err := openEnvelope(text)
		if err != nil || again.To != e.To || again.ID != e.ID || again.What != e.What || !isMailboxID(e.To) {
			t.Fatalf("%q is read as %+v and then as %+v: %v", b, e, again, err)
		}
	})
}

// FuzzCommonName: the organisation of a certificate's name is what stands before the end, in capitals.
func FuzzCommonName(f *testing.F) {
	f.Add("SERVER001.X26.api.mesh-client.nhs.uk")
	f.Add(".X26.api.mesh-client.nhs.uk")
	f.Add("X26.api.mesh-client.nhs.uk")
	f.Add("a.b.c.api.mesh-client.nhs.uk.evil")
	f.Fuzz(func(t *testing.T, name string) {
		ods, ok := organisationOf(name)
		if ok && (ods == "" || !strings.HasSuffix(strings.ToLower(name), strings.ToLower("."+ods)+commonName) && isASCII(name)) {
			t.Fatalf("%q is of %q", name, ods)
		}
	})
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r > 0x7f })
}

// FuzzHeaders: what is taken of a message's headers holds nothing that would end a header or cannot be kept.
func FuzzHeaders(f *testing.F) {
	f.Add("X26ABC2", "W", "1:2", "subject", "gzip")
	f.Add("", "W", "2:1", "\x00", "br")
	f.Fuzz(func(t *testing.T, to, workflow, chunks, subject, coding string) {
		h := http.Header{}
		h.Set("Mex-To", to)
		h.Set("Mex-WorkflowID", workflow)
		h.Set("Mex-Chunk-Range", chunks)
		h.Set("Mex-Subject", subject)
		h.Set("Content-Encoding", coding)
		m, c, err := readHeaders(h, &caller{Mailbox: Mailbox{ID: "X26ABC1"}})
		if err != nil {
			if k := fault.KindOf(err); k != fault.Unprocessable && k != fault.Invalid {
				t.Fatal(err)
			}
			return
		}
		if c.num != 1 || m.Chunks != c.of || m.Other == "" || m.Workflow == "" || strings.ContainsAny(m.Subject, "\r\n\x00") || m.Encoding != "" && m.Encoding != "gzip" {
			t.Fatalf("%+v", m)
		}
	})
}
