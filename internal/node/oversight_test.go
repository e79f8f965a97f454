package node_test

import (
	"testing"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/internal/node"
)

// Whoever searches the account for one person is in that person's account, if anything was shown.
func TestASearchOfTheAccountIsOnThePersonsAccount(t *testing.T) {
	r := serve(t, config(t.TempDir()), node.Options{}).seed()
	tenant := audit.Query{Tenant: national, Chart: otherNumber}
	u, err := r.n.Kernel().Gate.UserByID(t.Context(), "privacy-officer")
	if err != nil {
		t.Fatal(err)
	}
	u.Tenants = append(u.Tenants, national)
	if err := r.n.Kernel().Gate.PutUser(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	r.call("GET", "/FHIR/R4/Patient/"+otherNumber, r.token("clinician"), "").want(t, 200)
	before := len(r.account(tenant))
	if before == 0 {
		t.Fatal("there is nothing to find")
	}
	for i, user := range []string{"privacy-officer", "auditor"} {
		r.call("GET", "/account?tenant="+national.String()+"&person="+otherNumber, r.token(user), "").want(t, 200)
		if got := r.account(tenant); len(got) != before+i+1 || got[0].Actor != user || got[0].Detail == "" {
			t.Errorf("after a search by the %s: %+v", user, got)
		}
		r.call("GET", "/account?tenant="+national.String()+"&person=nobody-here", r.token(user), "").want(t, 200)
		if got := r.account(audit.Query{Tenant: national, Chart: "nobody-here"}); len(got) != 0 {
			t.Errorf("a search by the %s that showed nothing: %+v", user, got)
		}
	}
}

// A token that was minted from a session ends when the user signs out, and any of theirs when they are ended: at the next request.
func TestATokenEndsWithTheSessionOverHTTP(t *testing.T) {
	r := serve(t, config(t.TempDir()), node.Options{}).seed()
	gate, issuer, ctx := r.n.Kernel().Gate, r.n.Kernel().Issuer, t.Context()
	s, err := gate.SignIn(ctx, "clinician", "demo", "")
	if err != nil {
		t.Fatal(err)
	}
	minted, err := issuer.Mint(s.Principal, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	other := r.token("clinician")
	path := "/FHIR/R4/Patient/" + otherNumber
	r.call("GET", path, minted, "").want(t, 200)
	r.call("GET", path, other, "").want(t, 200)
	if err := gate.SignOut(ctx, s); err != nil {
		t.Fatal(err)
	}
	r.call("GET", path, minted, "").want(t, 401)
	r.call("GET", path, other, "").want(t, 200)
	if err := gate.Leave(ctx, access.Service("test", national), "clinician", "test"); err != nil {
		t.Fatal(err)
	}
	r.call("GET", path, other, "").want(t, 401)
}
