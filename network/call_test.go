package network_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/network"
)

// call asks the national node for a document in somebody's name.
func (w *world) call(t *testing.T, by access.Principal, path string) (string, error) {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := w.nodes["RQX"].Call(t.Context(), network.Question{To: national, Request: r, What: "a document", By: by, Within: time.Minute})
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if err := network.FaultOf(resp); err != nil {
		return "", err
	}
	text, err := io.ReadAll(resp.Body)
	return string(text), err
}

func TestACallIsOnBothAccounts(t *testing.T) {
	country(t, []string{"RQX"}, func(t *testing.T, w *world) {
		rqx := ident.MustODSCode("RQX")
		ann := access.Principal{ID: "ann", Name: "Ann Doe", Role: access.Clinician, Organisation: rqx}
		got, err := w.call(t, ann, "/document")
		if err != nil || got != "for RQX/ann of RQX" {
			t.Errorf("%q %v", got, err)
		}
		if _, err := w.call(t, ann, "/document?fail=1"); !fault.Is(err, fault.NotFound) || fault.MessageOf(err) != "There is no such document." {
			t.Errorf("a failure at the other end: %v", err)
		}
		entries := func(node, actor, action string) []audit.Entry {
			page, err := w.nodes[node].log.Search(t.Context(), audit.Query{Actor: actor, Action: action})
			if err != nil {
				t.Fatal(err)
			}
			return page.Entries
		}
		if asked := entries("RQX", "ann", "ask"); len(asked) != 2 || asked[0].Detail != "a document, of X26" || asked[0].Organisation != rqx {
			t.Errorf("at the one who asks: %+v", asked)
		}
		if answered := entries("X26", "RQX/ann", "answer"); len(answered) != 2 || answered[0].Detail != "a document, to RQX" || answered[0].ActorName != "Ann Doe" || answered[0].Outcome != audit.OutcomeOK {
			t.Errorf("at the one who answers: %+v", answered)
		}
		stranger := ann
		stranger.Organisation = ident.MustODSCode("RZZ")
		officer := ann
		officer.Role = access.Administrator
		for _, p := range []access.Principal{stranger, officer} {
			if _, err := w.call(t, p, "/document"); !fault.Is(err, fault.Forbidden) {
				t.Errorf("asked as %+v: %v", p, err)
			}
		}
		if _, err := w.echo("RQX", "X26", "x"); err != nil {
			t.Error(err)
		}
		if err := ask(t.Context(), w, "RQX", "X26", "/document", nil); err != nil {
			t.Error(err)
		}
		if all := entries("X26", "", "answer"); len(all) != 2 {
			t.Errorf("a question in nobody's name was answered: %+v", all)
		}
	})
}

// Whoever a peer says that it asks for, it is somebody of an organisation that it speaks for, under the peer's name, in a role that may ask.
func FuzzAsker(f *testing.F) {
	peer := network.Peer{Node: network.MustNodeID("RQX.a"), Organisations: []ident.ODSCode{ident.MustODSCode("RQX")}}
	for _, s := range []string{"", "e30", "eyJpZCI6ImFubiIsInJvbGUiOiJjbGluaWNpYW4iLCJvcmdhbmlzYXRpb24iOiJSUVgifQ", "eyJpZCI6ImFubiIsInJvbGUiOiJhZG1pbmlzdHJhdG9yIiwib3JnYW5pc2F0aW9uIjoiUlFYIn0",
		"eyJpZCI6ImFubiIsInJvbGUiOiJjbGluaWNpYW4iLCJvcmdhbmlzYXRpb24iOiJSWloifQ", strings.Repeat("A", 9000)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, header string) {
		by, request, err := network.AskerOf(peer, header)
		if err != nil {
			return
		}
		if !peer.Speaks(by.Organisation) || !strings.HasPrefix(by.ID, "RQX.a/") || by.Role == access.Administrator || by.Role == access.PrivacyOfficer || len(request) > 64 || len(by.Tenants) > 0 {
			t.Errorf("taken: %+v %q", by, request)
		}
	})
}
