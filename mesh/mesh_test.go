package mesh_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/openspine/openspine/ident"
)

var mustNational = ident.MustODSCode("X26")

// A message goes from one mailbox to another, is read and acknowledged, and its sender sees so.
func TestAMessageIsSentReadAndAcknowledged(t *testing.T) {
	t.Parallel()
	isSentReadAndAcknowledged(t, given(t))
}

func isSentReadAndAcknowledged(t *testing.T, w *world) {
	shake := []string{"mex-clientversion: test==1", "mex-osname: Linux", "mex-osversion: 6"}
	if a := w.as("X26ABC1", "GET", "/X26ABC1", "", shake...); a.status != http.StatusOK || a.json["mailboxId"] != "X26ABC1" {
		t.Fatalf("the handshake is answered %v", a)
	}
	for _, to := range []string{"X26ABC2", "X26ABC3"} {
		id := w.send("X26ABC1", to, "This is a message", "Mex-LocalID: mine", "Mex-FileName: message.txt", "Mex-Subject: greetings")
		if got := w.inbox(to); !slices.Equal(got, []string{id}) {
			t.Fatalf("the inbox of %s holds %v", to, got)
		}
		a := w.as(to, "GET", "/"+to+"/inbox/"+id, "")
		if a.status != http.StatusOK || a.body != "This is a message" {
			t.Fatalf("reading is answered %v", a)
		}
		for name, want := range map[string]string{"Mex-From": "X26ABC1", "Mex-To": to, "Mex-WorkflowID": "API-DOCS-TEST", "Mex-MessageType": "DATA", "Mex-MessageID": id, "Mex-LocalID": "mine", "Mex-FileName": "message.txt",
			"Mex-Subject": "greetings", "Mex-Chunk-Range": "1:1", "Content-Type": "application/octet-stream", "Content-Length": "17", "Mex-StatusSuccess": "SUCCESS", "Mex-StatusCode": "00"} {
			if got := a.header.Get(name); got != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
		if a := w.as("X26ABC1", "GET", "/X26ABC1/outbox/tracking?messageID="+id, "", v2); a.json["status"] != "accepted" {
			t.Errorf("before: %v", a)
		}
		if a := w.as(to, "PUT", "/"+to+"/inbox/"+id+"/status/acknowledged", ""); a.status != http.StatusOK || a.json["messageId"] != id {
			t.Errorf("acknowledging is answered %v", a)
		}
		if a := w.as("X26ABC1", "GET", "/X26ABC1/outbox/tracking?messageID="+id, "", v2); a.json["status"] != "acknowledged" {
			t.Errorf("after: %v", a)
		}
		if got := w.inbox(to); len(got) != 0 {
			t.Errorf("the inbox still holds %v", got)
		}
		if a := w.as(to, "GET", "/"+to+"/inbox/"+id, ""); a.status != http.StatusGone {
			t.Errorf("reading it again is answered %v", a)
		}
	}
}
