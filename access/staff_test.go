package access_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/store"
)

func staff(id string, role access.Role, at ...string) access.Member {
	m := access.Member{User: access.User{Principal: access.Principal{ID: id, Name: "Test " + id, Role: role, Organisation: hospital}}}
	if len(at) > 0 && at[0] == "spine" {
		m.Organisation = spine
	}
	if len(at) > 0 && at[0] == "pharmacy" {
		m.Organisation = pharmacy
	}
	return m
}

// office is a world with a national administrator, a registrar of the hospital and people of the hospital and the pharmacy.
func office(t *testing.T, w world) (admin, registrar access.Principal) {
	t.Helper()
	own := access.Service("test", spine)
	for _, m := range []access.Member{staff("admin", access.Administrator, "spine"), staff("reg", access.Registrar), staff("ann", access.Clinician), staff("bob", access.Clerk), staff("pia", access.Pharmacist, "pharmacy")} {
		if _, err := w.gate.PutMember(t.Context(), own, m, "test"); err != nil {
			t.Fatal(err)
		}
	}
	return staff("admin", access.Administrator, "spine").Principal, staff("reg", access.Registrar).Principal
}

// TestWhoMayAdministerWhom is the separation of duties, as a table.
func TestWhoMayAdministerWhom(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		ctx := t.Context()
		admin, reg := office(t, w)
		clinician := staff("ann", access.Clinician).Principal
		give := func(by access.Principal, id string, role access.Role, at access.Member) error {
			_, err := w.gate.GiveRole(ctx, by, id, access.Profile{Role: role, Organisation: at.Organisation}, "test")
			return err
		}
		put := func(by access.Principal, m access.Member) error {
			_, err := w.gate.PutMember(ctx, by, m, "test")
			return err
		}
		home, away := staff("", access.Clerk), staff("", access.Clerk, "pharmacy")
		for what, try := range map[string]struct {
			err  error
			want fault.Kind
		}{
			"an administrator gives themself a role":           {give(admin, "admin", access.Auditor, home), fault.Forbidden},
			"a registrar gives themself a role":                {give(reg, "reg", access.Clinician, home), fault.Forbidden},
			"a registrar restores themself":                    {w.gate.Restore(ctx, reg, "reg", "test"), fault.Forbidden},
			"a registrar gives a role at another organisation": {give(reg, "ann", access.Clerk, away), fault.Forbidden},
			"a registrar gives a role that reaches beyond":     {give(reg, "ann", access.Auditor, home), fault.Forbidden},
			"a registrar makes an administrator":               {put(reg, staff("eve", access.Administrator)), fault.Forbidden},
			"a registrar adds somebody elsewhere":              {put(reg, staff("eve", access.Clerk, "pharmacy")), fault.Forbidden},
			"a registrar moves somebody away":                  {put(reg, staff("ann", access.Clinician, "pharmacy")), fault.Forbidden},
			"a registrar takes somebody from elsewhere":        {put(reg, staff("pia", access.Pharmacist)), fault.Forbidden},
			"a registrar suspends somebody elsewhere":          {w.gate.Suspend(ctx, reg, "pia", "test"), fault.Forbidden},
			"a registrar suspends the administrator":           {w.gate.Suspend(ctx, reg, "admin", "test"), fault.Forbidden},
			"a clinician suspends somebody":                    {w.gate.Suspend(ctx, clinician, "bob", "test"), fault.Forbidden},
			"an act without a reason":                          {w.gate.Suspend(ctx, reg, "bob", " "), fault.Invalid},
			"nobody":                                           {w.gate.Suspend(ctx, reg, "zoe", "test"), fault.NotFound},
			"a registrar sees somebody elsewhere":              {sees(t, w, reg, "pia"), fault.NotFound},
			"the last administrator, by the command line":      {w.gate.Leave(ctx, access.Service("cli", spine), "admin", "test"), fault.Conflict},
			"the last administrator gets a last day":           {put(access.Service("cli", spine), leaving(staff("admin", access.Administrator, "spine"))), fault.Conflict},
			"the last administrator becomes something else":    {put(access.Service("cli", spine), staff("admin", access.Auditor, "spine")), fault.Conflict},
			"a role that ends before it begins":                {endless(w, reg), fault.Invalid},
			"a further role for which there is a first one":    {give(reg, "ann", access.Clinician, home), fault.Conflict},
		} {
			if !fault.Is(try.err, try.want) {
				t.Errorf("%s: %v, want %v", what, try.err, try.want)
			}
		}
		for what, err := range map[string]error{
			"a registrar gives a role at home": give(reg, "ann", access.PrivacyOfficer, home), "a registrar suspends": w.gate.Suspend(ctx, reg, "bob", "left the keys"),
			"a registrar restores": w.gate.Restore(ctx, reg, "bob", "found"), "an administrator gives a role elsewhere": give(admin, "ann", access.Clerk, away), "sees": sees(t, w, reg, "ann"),
		} {
			if err != nil && !(what == "a registrar restores" && fault.Is(err, fault.Conflict)) {
				t.Errorf("%s: %v", what, err)
			}
		}
		if err := w.gate.Suspend(ctx, reg, "ann", "test"); !fault.Is(err, fault.Forbidden) {
			t.Errorf("a registrar suspends somebody who works elsewhere too: %v", err)
		}
		list, err := w.gate.Changes(ctx, access.UserSubject("bob"))
		if err != nil || len(list) < 2 || list[0].By != "reg" || list[0].Reason == "" || list[len(list)-1].Act != "added" {
			t.Errorf("the history: %+v %v", list, err)
		}
	})
}

func sees(t *testing.T, w world, by access.Principal, id string) error {
	t.Helper()
	m, err := w.gate.Member(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return w.gate.Sees(t.Context(), by, m)
}

func leaving(m access.Member) access.Member {
	m.Leaves = time.Now().Add(240 * time.Hour)
	return m
}

func endless(w world, by access.Principal) error {
	now := w.clock.Now()
	_, err := w.gate.GiveRole(context.Background(), by, "ann", access.Profile{Role: access.Clerk, Organisation: hospital, Since: now.Add(48 * time.Hour), Until: now.Add(24 * time.Hour)}, "test")
	return err
}

// whyEnded fails unless a session is over, for a reason that its browser may be told.
func whyEnded(t *testing.T, w world, secret, want string) {
	t.Helper()
	if why, err := w.gate.WhyEnded(t.Context(), secret); err != nil || why != want {
		t.Errorf("a session ended because %q (%v), not %q", why, err, want)
	}
}

// TestABrowserIsToldWhyItsSessionEnded, and nobody is told anything of a session that goes on or never was.
func TestABrowserIsToldWhyItsSessionEnded(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		ctx, own := t.Context(), access.Service("test", spine)
		office(t, w)
		in := func(profile string) access.Session {
			s, err := w.gate.SignInAs(ctx, access.Entry{User: "ann", Profile: profile, Method: "test"})
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		role, err := w.gate.GiveRole(ctx, own, "ann", access.Profile{Role: access.PrivacyOfficer, Organisation: hospital}, "test")
		if err != nil {
			t.Fatal(err)
		}
		first, chosen, third := in(""), in(role.ID), in("")
		whyEnded(t, w, first.Secret, "")
		whyEnded(t, w, "nobody's", "")
		if err := w.gate.EndRole(ctx, own, "ann", role.ID, "test"); err != nil {
			t.Fatal(err)
		}
		whyEnded(t, w, chosen.Secret, access.EndedChanged)
		whyEnded(t, w, first.Secret, "")
		if _, err := w.gate.EndSession(ctx, own, "ann", third.Principal.SessionID); err != nil {
			t.Fatal(err)
		}
		whyEnded(t, w, third.Secret, access.EndedElsewhere)
		if err := w.gate.SignOut(ctx, first); err != nil {
			t.Fatal(err)
		}
		whyEnded(t, w, first.Secret, "")
		last := in("")
		if err := w.gate.Suspend(ctx, own, "ann", "test"); err != nil {
			t.Fatal(err)
		}
		whyEnded(t, w, last.Secret, access.EndedAccess)
	})
}

// TestNothingIsOfferedThatIsRefused: what WouldAdminister says is what Administer does.
func TestNothingIsOfferedThatIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx, own := t.Context(), access.Service("test", spine)
	admin, reg := office(t, w)
	if _, err := w.gate.GiveRole(ctx, own, "ann", access.Profile{Role: access.Pharmacist, Organisation: pharmacy}, "test"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.gate.GiveRole(ctx, own, "bob", access.Profile{Role: access.Auditor, Organisation: hospital}, "test"); err != nil {
		t.Fatal(err)
	}
	for _, by := range []access.Principal{admin, reg, staff("ann", access.Clinician).Principal} {
		for _, id := range []string{"admin", "reg", "ann", "bob", "pia"} {
			m, err := w.gate.Member(ctx, id)
			if err != nil {
				t.Fatal(err)
			}
			for _, roles := range append([][]access.Profile{nil}, singly(m.Roles())...) {
				offered, err := w.gate.WouldAdminister(ctx, by, m, roles...)
				if err != nil {
					t.Fatal(err)
				}
				err = w.gate.Administer(ctx, by, id, access.Work{Act: "looked", Reason: "test", Roles: roles, Do: func(*store.Tx, access.Member) (string, error) { return "", nil }})
				if offered != (err == nil) {
					t.Errorf("%s on %s %v: offered %v, and then %v", by.ID, id, roles, offered, err)
				}
			}
		}
	}
	m, err := w.gate.Member(ctx, "ann")
	if err != nil {
		t.Fatal(err)
	}
	if all, err := w.gate.WouldAdminister(ctx, reg, m); err != nil || all {
		t.Errorf("the registrar is offered somebody who works elsewhere too: %v", err)
	}
	if first, err := w.gate.WouldAdminister(ctx, reg, m, m.Roles()[0]); err != nil || !first {
		t.Errorf("the registrar is not offered their role here: %v", err)
	}
}

// singly is each role by itself.
func singly(roles []access.Profile) [][]access.Profile {
	var list [][]access.Profile
	for _, r := range roles {
		list = append(list, []access.Profile{r})
	}
	return list
}

// TestAdministratorsCannotRemoveEachOtherAtOnce: of several who suspend one another at the same time, one is left.
func TestAdministratorsCannotRemoveEachOtherAtOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		own := access.Service("test", spine)
		var all []access.Principal
		for _, id := range []string{"a1", "a2", "a3", "a4"} {
			m := staff(id, access.Administrator, "spine")
			if _, err := w.gate.PutMember(t.Context(), own, m, "test"); err != nil {
				t.Fatal(err)
			}
			all = append(all, m.Principal)
		}
		var wg sync.WaitGroup
		for i, by := range all {
			wg.Go(func() {
				err := w.gate.Suspend(context.Background(), by, all[(i+1)%len(all)].ID, "test")
				if err != nil && !fault.Is(err, fault.Conflict) {
					t.Errorf("%s: %v", by.ID, err)
				}
			})
		}
		wg.Wait()
		page, err := w.gate.Members(t.Context(), access.MemberQuery{Role: access.Administrator})
		if err != nil || page.Total != 1 {
			t.Errorf("%d administrators are left, %v", page.Total, err)
		}
	})
}

// TestJoinersMoversAndLeavers: who begins later is not let in before; who moves keeps what the new post gives and no more; who leaves is out at
// the very instant, with sessions, tokens and relationships.
func TestJoinersMoversAndLeavers(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		ctx, own := t.Context(), access.Service("test", spine)
		_, reg := office(t, w)
		joiner := staff("joe", access.Clerk)
		joiner.Joined = time.Now().Add(time.Hour)
		if o, err := w.gate.PutMember(ctx, reg, joiner, "starts next week"); err != nil || o.Act != "added" {
			t.Fatalf("a joiner: %+v %v", o, err)
		}
		if _, err := w.gate.SignIn(ctx, "joe", "test", ""); !fault.Is(err, fault.NotFound) {
			t.Errorf("a joiner before their first day: %v", err)
		}
		if o, err := w.gate.PutMember(ctx, reg, joiner, "again"); err != nil || o.Act != "" {
			t.Errorf("the same again: %+v %v", o, err)
		}
		if _, err := w.gate.GiveRole(ctx, reg, "ann", access.Profile{Role: access.PrivacyOfficer, Organisation: hospital}, "test"); err != nil {
			t.Fatal(err)
		}
		w.relate(t, access.Relationship{Tenant: hospital, Chart: "p1", User: "ann"})
		s, err := w.gate.SignIn(ctx, "ann", "test", "")
		if err != nil {
			t.Fatal(err)
		}
		o, err := w.gate.PutMember(ctx, own, staff("ann", access.Clerk, "pharmacy"), "a new post")
		if err != nil || o.Act != "moved" {
			t.Fatalf("a mover: %+v %v", o, err)
		}
		if _, err := w.gate.SessionOf(ctx, s.Secret); !fault.Is(err, fault.Unauthenticated) {
			t.Errorf("the mover's session: %v", err)
		}
		whyEnded(t, w, s.Secret, access.EndedChanged)
		if s, err = w.gate.SignIn(ctx, "ann", "test", ""); err != nil || s.Principal.Role != access.Clerk || s.Principal.Organisation != pharmacy {
			t.Errorf("the mover's next session: %+v %v", s.Principal, err)
		}
		if _, profiles, err := w.gate.Profiles(ctx, "ann"); err != nil || len(profiles) != 1 {
			t.Errorf("the mover's roles: %+v %v", profiles, err)
		}
		if n := w.bonds(t, "ann"); n != 0 {
			t.Errorf("the mover has %d relationships", n)
		}
		last := staff("bob", access.Clerk)
		last.Leaves = time.Now()
		if s, err = w.gate.SignIn(ctx, "bob", "test", ""); err != nil {
			t.Fatal(err)
		}
		if _, err := w.gate.PutMember(ctx, reg, last, "leaves"); err != nil {
			t.Fatal(err)
		}
		if _, err := w.gate.SessionOf(ctx, s.Secret); !fault.Is(err, fault.Unauthenticated) {
			t.Errorf("a leaver's session, before the job has run: %v", err)
		}
		whyEnded(t, w, s.Secret, access.EndedAccess)
		w.clock.Advance(time.Minute)
		if err := w.gate.EndLeavers(ctx, own); err != nil {
			t.Fatal(err)
		}
		m, err := w.gate.Member(ctx, "bob")
		if err != nil || m.Ended.IsZero() || m.Suspended {
			t.Errorf("a leaver: %+v %v", m, err)
		}
		if _, err := w.gate.PutMember(ctx, reg, staff("bob", access.Clerk), "again"); !fault.Is(err, fault.Conflict) {
			t.Errorf("an import of somebody who has left: %v", err)
		}
		if err := w.gate.Restore(ctx, reg, "bob", "came back"); err != nil {
			t.Error(err)
		}
	})
}

func (w world) bonds(t *testing.T, user string) (n int) {
	t.Helper()
	err := w.db.Read(t.Context(), func(tx *store.Tx) error {
		return tx.QueryRow(`SELECT count(*) FROM access_relation WHERE subject = ? AND until > ?`, "user:"+user, tx.At().UnixMicro()).Scan(&n)
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestMembersAreFound by name and id, by role and organisation, by what is due of them, in pages both ways.
func TestMembersAreFound(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		ctx := t.Context()
		_, reg := office(t, w)
		ids := func(q access.MemberQuery) string {
			t.Helper()
			page, err := w.gate.Members(ctx, q)
			if err != nil {
				t.Fatal(err)
			}
			var list []string
			for _, m := range page.List {
				list = append(list, m.ID)
			}
			return strings.Join(list, " ")
		}
		overdue := staff("bob", access.Clerk)
		overdue.Review = time.Now().Add(-time.Hour)
		overdue.Joined = time.Now().Add(-access.DormantAfter - time.Hour)
		if _, err := w.gate.PutMember(ctx, reg, overdue, "test"); err != nil {
			t.Fatal(err)
		}
		for want, q := range map[string]access.MemberQuery{
			"admin ann bob pia reg": {}, "reg pia bob ann admin": {Descending: true}, "ann bob reg": {Organisation: hospital}, "pia": {Role: access.Pharmacist}, "ann": {Text: "TEST A", Organisation: hospital},
			"": {Text: "%"}, "bob": {Show: "overdue"}, "bob ": {Show: "due", Text: "b"}, " bob": {Show: "dormant"},
		} {
			if got := ids(q); got != strings.TrimSpace(want) {
				t.Errorf("%+v finds %q, not %q", q, got, want)
			}
		}
		for _, sort := range []string{"name", "id", "last-in", "review"} {
			q := access.MemberQuery{Sort: sort, Limit: 2}
			var forth []string
			for {
				page, err := w.gate.Members(ctx, q)
				if err != nil {
					t.Fatal(err)
				}
				for _, m := range page.List {
					forth = append(forth, m.ID)
				}
				if q.After = page.Next; q.After == "" {
					back, err := w.gate.Members(ctx, access.MemberQuery{Sort: sort, Limit: 2, Before: page.Previous})
					if err != nil || len(back.List) != 2 || back.List[1].ID != forth[3] {
						t.Errorf("back by %s: %+v %v", sort, back, err)
					}
					break
				}
			}
			if len(forth) != 5 {
				t.Errorf("pages by %s: %v", sort, forth)
			}
		}
	})
}
