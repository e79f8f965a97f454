package access_test

import (
	"context"
	"testing"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/fault"
)

// elsewhere is another process over the same database.
func (k tokens) elsewhere(t *testing.T) *access.Verifier {
	t.Helper()
	log, err := audit.Open(k.db, t.TempDir(), audit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	})
	g, err := access.Open(access.Options{DB: k.db, Audit: log, Clock: k.clock})
	if err != nil {
		t.Fatal(err)
	}
	v, err := g.NewVerifier(audience, k.issuer.Trust())
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func (k tokens) put(t *testing.T, p access.Principal) {
	t.Helper()
	if err := k.gate.PutUser(context.Background(), access.User{Principal: p}); err != nil {
		t.Fatal(err)
	}
}

// user is the principal as which a token is minted for a user.
func (k tokens) user(t *testing.T, id string) access.Principal {
	t.Helper()
	u, err := k.gate.UserByID(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	return u.Principal
}

// held tells for whom a token speaks here, "" when it does not hold.
func held(t *testing.T, v *access.Verifier, token string) access.Role {
	t.Helper()
	p, err := v.Verify(context.Background(), token)
	if err != nil && !fault.Is(err, fault.Unauthenticated) {
		t.Fatal(err)
	}
	return p.Role
}

func TestATokenEndsWithWhatItsUserMayDo(t *testing.T) {
	t.Parallel()
	clerk := ann()
	clerk.Role = access.Clerk
	moved := ann()
	moved.Organisation = pharmacy
	renamed := ann()
	renamed.Name = "Ann Baker"
	for name, c := range map[string]struct {
		change func(k tokens, t *testing.T) error
		ends   bool
		then   access.Role // of a token that is minted afterwards
	}{
		"ended": {func(k tokens, _ *testing.T) error {
			return k.gate.Leave(context.Background(), access.Service("test", spine), "ann", "test")
		}, true, ""},
		"another role":      {func(k tokens, t *testing.T) error { k.put(t, clerk); return nil }, true, access.Clerk},
		"there and back":    {func(k tokens, t *testing.T) error { k.put(t, clerk); k.put(t, ann()); return nil }, true, access.Clinician},
		"another employer":  {func(k tokens, t *testing.T) error { k.put(t, moved); return nil }, true, access.Clinician},
		"another name":      {func(k tokens, t *testing.T) error { k.put(t, renamed); return nil }, false, access.Clinician},
		"signed out of all": {func(k tokens, _ *testing.T) error { return k.gate.RevokeUser(context.Background(), ann(), "ann") }, true, access.Clinician},
		"ended and restored": {func(k tokens, t *testing.T) error {
			err := k.gate.Leave(context.Background(), access.Service("test", spine), "ann", "test")
			k.put(t, ann())
			return err
		}, true, access.Clinician},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, w world) {
				k := withTokens(t, w)
				k.put(t, ann())
				seen, unseen := k.mint(t, k.user(t, "ann")), k.mint(t, k.user(t, "ann"))
				other := k.elsewhere(t)
				if held(t, k.verifier, seen) == "" || held(t, other, seen) == "" {
					t.Fatal("the token does not hold to begin with")
				}
				if err := c.change(k, t); err != nil {
					t.Fatal(err)
				}
				if got := held(t, k.verifier, seen) == ""; got != c.ends {
					t.Errorf("a remembered token has ended: %t", got)
				}
				if got := held(t, k.verifier, unseen) == ""; got != c.ends {
					t.Errorf("a token not seen before has ended: %t", got)
				}
				if got := held(t, other, unseen) == ""; got != c.ends {
					t.Errorf("a token not seen before has ended in another process: %t", got)
				}
				w.clock.Advance(6 * time.Second)
				if got := held(t, other, seen) == ""; got != c.ends {
					t.Errorf("a remembered token has ended in another process: %t", got)
				}
				if c.then == "" {
					return
				}
				if got := held(t, k.verifier, k.mint(t, k.user(t, "ann"))); got != c.then {
					t.Errorf("a token minted afterwards speaks for %q", got)
				}
			})
		})
	}
}

func TestATokenEndsWithItsSession(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		ctx := context.Background()
		k := withTokens(t, w)
		k.put(t, ann())
		sign := func(before string) access.Session {
			s, err := k.gate.SignIn(ctx, "ann", "demo", before)
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		first, second := sign(""), sign("")
		one, two := k.mint(t, first.Principal), k.mint(t, second.Principal)
		other := k.elsewhere(t)
		if held(t, k.verifier, one) == "" || held(t, k.verifier, two) == "" || held(t, other, one) == "" {
			t.Fatal("the tokens do not hold to begin with")
		}
		if err := k.gate.SignOut(ctx, first); err != nil {
			t.Fatal(err)
		}
		if held(t, k.verifier, one) != "" {
			t.Error("a token outlives the session that it was minted from")
		}
		w.clock.Advance(6 * time.Second)
		if held(t, other, one) != "" {
			t.Error("it does in another process")
		}
		if held(t, k.elsewhere(t), one) != "" {
			t.Error("it does in a process that starts later")
		}
		if held(t, k.verifier, two) == "" {
			t.Error("the token of another session ended too")
		}
		third := sign(second.Secret)
		if held(t, k.verifier, two) != "" {
			t.Error("a token outlives a session that a new one took the place of")
		}
		if err := k.gate.RevokeSession(ctx, ann(), third.Principal.SessionID); err != nil {
			t.Fatal(err)
		}
		if held(t, k.verifier, k.mint(t, third.Principal)) != "" {
			t.Error("a token of a session whose tokens were revoked holds")
		}
	})
}

func TestATokenIsRevokedByItsID(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		ctx := context.Background()
		k := withTokens(t, w)
		token := k.mint(t, ann())
		p, err := k.verifier.Verify(ctx, token)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := k.issuer.Mint(p, time.Minute); !fault.Is(err, fault.Forbidden) {
			t.Errorf("a token made another: %v", err)
		}
		if err := k.gate.RevokeToken(ctx, ann(), p.SessionID, w.clock.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		if held(t, k.verifier, token) != "" {
			t.Error("a revoked token holds")
		}
		for range 20 { // over several readings of everything
			w.clock.Advance(time.Minute / 4)
			if held(t, k.verifier, token) != "" {
				t.Fatal("a revoked token came back")
			}
		}
		page, err := w.log.Search(ctx, audit.Query{Actor: "ann"})
		if err != nil || len(page.Entries) != 1 || page.Entries[0].Action != "revoke-token" {
			t.Errorf("the account: %+v %v", page.Entries, err)
		}
	})
}

// What each request with a token pays.
func BenchmarkVerifyRemembered(b *testing.B) {
	k := withTokens(b, newWorld(b))
	token := k.mint(b, ann())
	for b.Loop() {
		if _, err := k.verifier.Verify(context.Background(), token); err != nil {
			b.Fatal(err)
		}
	}
}
