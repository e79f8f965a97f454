package network_test

import (
	"encoding/json"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/network"
	"github.com/openspine/openspine/store/storetest"
)

func aToken() network.Token {
	return network.Token{Node: network.MustNodeID("RQX.a"), Authority: national, Addresses: []string{at, "[::1]:8444"}, Root: strings.Repeat("ab", 32), Secret: strings.Repeat("0f", 16),
		Until: time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)}
}

// What is read as a token is written and read again as the same token; a token with one character changed or lost is none.
func FuzzToken(f *testing.F) {
	good := aToken().String()
	for _, s := range []string{good, " \n" + good[:20] + "\n" + good[20:], "", "join-", "join-AAAA", good[:len(good)-1], strings.Repeat("join-", 1000)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		read, err := network.ParseToken(s)
		if err != nil {
			if !fault.Is(err, fault.Invalid) {
				t.Errorf("refused as %v", err)
			}
			return
		}
		again, err := network.ParseToken(read.String())
		if err != nil || again.String() != read.String() {
			t.Errorf("%+v is read again as %+v: %v", read, again, err)
		}
		if read.Node == read.Authority || len(read.Addresses) == 0 || len(read.Secret) != 32 || len(read.Root) != 64 {
			t.Errorf("taken: %+v", read)
		}
	})
}

func TestATokenThatWasMiscopiedIsNone(t *testing.T) {
	good := aToken().String()
	if got, err := network.ParseToken("  " + good[:30] + "\r\n  " + good[30:] + "\n"); err != nil || got.String() != good {
		t.Errorf("with white space: %v", err)
	}
	for i := range good {
		for _, bad := range []string{good[:i] + good[i+1:], good[:i] + "A" + good[i+1:], good[:i] + "-" + good[i:]} {
			if bad != good {
				if got, err := network.ParseToken(bad); !fault.Is(err, fault.Invalid) {
					t.Errorf("changed at %d it is still read: %+v %v", i, got, err)
				}
			}
		}
	}
	for name, change := range map[string]func(*network.Token){
		"no node": func(t *network.Token) { t.Node = network.NodeID{} }, "itself": func(t *network.Token) { t.Node = t.Authority },
		"nowhere": func(t *network.Token) { t.Addresses = nil }, "a path": func(t *network.Token) { t.Addresses = []string{"a:1/x"} },
		"no port": func(t *network.Token) { t.Addresses = []string{"spine.example"} }, "a short secret": func(t *network.Token) { t.Secret = "00" },
		"capitals": func(t *network.Token) { t.Root = strings.ToUpper(t.Root) }, "no end": func(t *network.Token) { t.Until = time.Time{} },
		"many": func(t *network.Token) { t.Addresses = strings.Split(strings.Repeat("a:1,", 9)+"a:1", ",") },
	} {
		token := aToken()
		change(&token)
		if _, err := network.ParseToken(token.String()); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Whatever comes as news, a node never trusts a root that does not follow from its own, never forgets a revocation, and never goes back.
func FuzzNews(f *testing.F) {
	db := storetest.Open(f, audit.Schema(), access.Schema(), network.Schema())
	log, err := audit.Open(db, f.TempDir(), audit.Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = log.Close() })
	gate, err := access.Open(access.Options{DB: db, Audit: log})
	if err != nil {
		f.Fatal(err)
	}
	found := func() *network.Network {
		n, err := network.Open(f.Context(), network.Options{DB: db, Gate: gate, Folder: filepath.Join(f.TempDir(), "network")})
		if err == nil {
			err = n.Found(f.Context(), admin, national, nil, []string{at})
		}
		if err != nil {
			f.Fatal(err)
		}
		return n
	}
	n := found()
	own, edition := n.Told()
	f.Add(own)
	var parts map[string]any
	if err := json.Unmarshal(own, &parts); err != nil {
		f.Fatal(err)
	}
	parts["edition"] = edition + 1 // the list says another
	changed, err := json.Marshal(parts)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(changed)
	f.Add([]byte(`{"edition":9,"roots":[""],"crosses":[],"revoked":""}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		roots, _, got, err := n.Follow(text)
		if err == nil && (got != edition || roots != 1) {
			t.Errorf("followed to edition %d with %d roots", got, roots)
		}
	})
}

// A failure that one end tells is the failure that the other end has; what is no such thing is Unavailable, and 2xx is none.
func FuzzRefusal(f *testing.F) {
	for _, k := range fault.All() {
		w := httptest.NewRecorder()
		network.Refuse(w, fault.New(k, "what to do"))
		f.Add(w.Code, w.Body.Bytes())
		want := k
		if k == fault.Internal {
			want = fault.Unavailable
		}
		if err := network.FaultOf(w.Result()); !fault.Is(err, want) || k != fault.Internal && fault.MessageOf(err) != "what to do" {
			f.Errorf("%s is told as %v", k, err)
		}
	}
	f.Add(502, []byte("<html>"))
	f.Fuzz(func(t *testing.T, code int, body []byte) {
		if code < 100 || code > 999 {
			return
		}
		w := httptest.NewRecorder()
		w.WriteHeader(code)
		_, _ = w.Write(body)
		err := network.FaultOf(w.Result())
		if ok := code >= 200 && code < 300; ok != (err == nil) {
			t.Errorf("%d is %v", code, err)
		}
		if err != nil && fault.KindOf(err) != fault.Unavailable && fault.KindOf(err).HTTPStatus() != code {
			t.Errorf("%d is told as %v", code, err)
		}
	})
}
