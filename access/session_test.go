package access_test

import (
	"context"
	"crypto/tls"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/internal/clock"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/store/storetest"
)

func TestASessionLastsWhileItIsUsed(t *testing.T) {
	t.Parallel()
	c := clock.NewFake(time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC))
	w := over(t, storetest.OpenWith(t, store.Options{Clock: c}, audit.Schema(), access.Schema()), func(o *access.Options) { o.Clock = c })
	ctx := context.Background()
	if err := w.gate.PutUser(ctx, access.User{Principal: ann(), Demo: true}); err != nil {
		t.Fatal(err)
	}
	s, err := w.gate.SignIn(ctx, "ann", "demo", "")
	if err != nil {
		t.Fatal(err)
	}
	for range 40 { // 10 hours of a request every quarter of an hour
		c.Advance(15 * time.Minute)
		if got, err := w.gate.SessionOf(ctx, s.Secret); err != nil || got.Principal.ID != "ann" || got.Principal.AuthMethod != "session" {
			t.Fatalf("in use: %+v %v", got, err)
		}
	}
	c.Advance(31 * time.Minute)
	if _, err := w.gate.SessionOf(ctx, s.Secret); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("after half an hour of nothing: %v", err)
	}
	if s, err = w.gate.SignIn(ctx, "ann", "demo", s.Secret); err != nil {
		t.Fatal(err)
	}
	for range 60 {
		c.Advance(15 * time.Minute)
		_, err = w.gate.SessionOf(ctx, s.Secret)
	}
	if !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("after fifteen hours: %v", err)
	}
}

func TestSigningInEndsTheSessionBefore(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		ctx := context.Background()
		if err := w.gate.PutUser(ctx, access.User{Principal: ann(), Demo: true}); err != nil {
			t.Fatal(err)
		}
		first, err := w.gate.SignIn(ctx, "ann", "demo", "")
		if err != nil {
			t.Fatal(err)
		}
		second, err := w.gate.SignIn(ctx, "ann", "demo", first.Secret)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.gate.SessionOf(ctx, first.Secret); !fault.Is(err, fault.Unauthenticated) {
			t.Errorf("the session before: %v", err)
		}
		if _, err := w.gate.SessionOf(ctx, second.Secret); err != nil {
			t.Errorf("the session now: %v", err)
		}
		var kept int
		if err := w.db.Read(ctx, func(tx *store.Tx) error {
			return tx.QueryRow(`SELECT count(*) FROM access_session WHERE hash = ?`, []byte(second.Secret)).Scan(&kept)
		}); err != nil || kept != 0 {
			t.Errorf("the secret itself is in the database: %d %v", kept, err)
		}
		if err := w.gate.SignOut(ctx, second); err != nil {
			t.Fatal(err)
		}
		if _, err := w.gate.SessionOf(ctx, second.Secret); !fault.Is(err, fault.Unauthenticated) {
			t.Errorf("after signing out: %v", err)
		}
		page, err := w.log.Search(ctx, audit.Query{Actor: "ann"})
		if err != nil || len(page.Entries) != 3 || page.Entries[0].Action != "sign-out" || page.Entries[1].Action != "sign-in" {
			t.Errorf("the account: %+v %v", page.Entries, err)
		}
	})
}

func TestAUserWhoMayNoLongerSignIn(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		ctx := context.Background()
		if err := w.gate.PutUser(ctx, access.User{Principal: ann(), Demo: true}); err != nil {
			t.Fatal(err)
		}
		if list, err := w.gate.DemoUsers(ctx); err != nil || len(list) != 1 || list[0].ID != "ann" || list[0].Organisation != hospital {
			t.Fatalf("demo users: %+v %v", list, err)
		}
		s, err := w.gate.SignIn(ctx, "ann", "demo", "")
		if err != nil {
			t.Fatal(err)
		}
		if err := w.gate.Leave(ctx, access.Service("test", spine), "ann", "test"); err != nil {
			t.Fatal(err)
		}
		if _, err := w.gate.SessionOf(ctx, s.Secret); !fault.Is(err, fault.Unauthenticated) {
			t.Errorf("a session of an ended user: %v", err)
		}
		if _, err := w.gate.SignIn(ctx, "ann", "demo", ""); !fault.Is(err, fault.NotFound) {
			t.Errorf("signing in after the end: %v", err)
		}
	})
}

func TestCookiesAndForms(t *testing.T) {
	t.Parallel()
	s := access.Session{Secret: "0123456789012345678901234567890123456789012"}
	c := s.Cookie(true)
	if c.Name != "__Host-openspine" || !c.Secure || !c.HttpOnly || c.Path != "/" || c.Domain != "" {
		t.Errorf("the cookie over TLS: %+v", c)
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.AddCookie(s.Cookie(false))
	if access.SecretOf(r) != s.Secret {
		t.Error("the plain cookie is not read")
	}
	if r.TLS = new(tls.ConnectionState); access.SecretOf(r) != "" {
		t.Error("a cookie that a plain page could have set counts over TLS")
	}
	if err := s.CheckForm(s.FormToken()); err != nil {
		t.Errorf("its own form: %v", err)
	}
	other := access.Session{Secret: "1123456789012345678901234567890123456789012"}
	for _, token := range []string{"", "x", other.FormToken()} {
		if err := s.CheckForm(token); !fault.Is(err, fault.Forbidden) {
			t.Errorf("a foreign form %q: %v", token, err)
		}
	}
	if err := (access.Session{}).CheckForm(access.Session{}.FormToken()); err == nil {
		t.Error("no session has a form")
	}
}
