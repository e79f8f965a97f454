package replica_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/demographics"
	"github.com/openspine/openspine/demographics/replica"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/node"
	"github.com/openspine/openspine/signin/oauth"
)

// A hospital on a node of its own asks the authority's over HTTP, and shows who it is by client credentials, as any hospital system does. A token is
// asked for once, and anew when it is over; while the authority's node is down, the copy says since when.
func TestAHospitalOnANodeOfItsOwn(t *testing.T) {
	w := newWorld(t, "")
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}), 0o600); err != nil {
		t.Fatal(err)
	}
	scopes := []string{"system/Patient.read"}
	err = w.n.Door().Tokens().PutClient(t.Context(), access.Service("test", national), oauth.Client{ID: "pas", Name: "A hospital's system", Kind: oauth.System, Realm: access.Systems, Organisation: hospital,
		Tenants: []ident.ODSCode{national}, Scopes: scopes, Default: scopes, Keys: &jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k1", Algorithm: "RS512", Use: "sig"}}}}, "test")
	if err != nil {
		t.Fatal(err)
	}
	var tokens atomic.Int64
	inner := w.srv.Config.Handler
	w.srv.Config.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == oauth.PathToken {
			tokens.Add(1)
		}
		inner.ServeHTTP(rw, r)
	})
	cfg := node.Config{Name: "hospital", Data: t.TempDir(), National: "RZ901", Addr: "127.0.0.1:0", Tenants: []node.TenantConfig{{Code: "RZ901", Name: "A hospital", Kind: "national"}, {Code: "RZ902", Name: "Its second site", Kind: "hospital"}},
		Replicas: []node.ReplicaConfig{{Tenant: "RZ902", BaseURL: w.url + demographics.Base, TokenURL: w.url + oauth.PathToken, Client: "pas", KeyID: "k1", KeyFile: file, Rate: -1}}}
	n, err := node.Open(context.Background(), cfg, node.Options{Clock: w.time})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}()
	there := &world{t: t, n: n, time: w.time}
	site := ident.MustODSCode("RZ902")
	for _, number := range []string{"9990000018", "9990000026"} {
		w.put(national, number, person(number, "Marsh", "Helena", "1980-01-02", "address", home("1 High Street", "LS1 6AE")))
		there.put(site, "p"+number, person(number, "Marsh", "Helena", "1980-01-02"))
	}
	round := func() replica.Status {
		if err := n.Replica().Round(t.Context(), site); err != nil {
			t.Fatal(err)
		}
		s, err := n.Replica().Status(t.Context(), site)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if s := round(); s.Counts[replica.Traced] != 2 || tokens.Load() != 1 {
		t.Fatalf("%+v after %d tokens", s, tokens.Load())
	}
	if got := there.get(site, "p9990000018").Resource.Get("address.0.postalCode").String(); got != "LS1 6AE" {
		t.Errorf("the copy says %q", got)
	}
	w.time.Advance(30 * time.Hour)
	if s := round(); s.Due != 0 || tokens.Load() != 2 {
		t.Errorf("%+v after %d tokens", s, tokens.Load())
	}
	w.srv.CloseClientConnections()
	w.srv.Listener.Close()
	w.time.Advance(30 * time.Hour)
	if s := round(); s.Failing.IsZero() || s.Error == "" || s.Counts[replica.Traced] != 2 {
		t.Errorf("the authority's node is down: %+v", s)
	}
}
