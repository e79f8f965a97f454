package mesh_test

import (
	"strings"
	"testing"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/mesh"
	"github.com/openspine/openspine/web/webtest"
)

// Each page, at a desk, on a phone and without scripts.
func TestEachPage(t *testing.T) {
	t.Parallel()
	w := given(t)
	cookie := func(id string, role access.Role, org string) string {
		gate := w.n.Kernel().Gate
		if err := gate.PutUsers(t.Context(), []access.User{{Principal: access.Principal{ID: id, Name: "Name of " + id, Role: role, Organisation: ident.MustODSCode(org)}}}); err != nil {
			t.Fatal(err)
		}
		s, err := gate.SignIn(t.Context(), id, "test", "")
		if err != nil {
			t.Fatal(err)
		}
		return s.Secret
	}
	lost := w.send(first, second, "nobody comes")
	w.expire(mesh.CollectWithin + time.Hour)
	w.send(first, "X26ABC3", "a letter", "Mex-Subject: Clinic of José O’Brien")
	keeper, clerk := cookie("keeper", access.Administrator, "X26"), cookie("clerk", access.Clerk, "X27")
	var visits []webtest.Visit
	for _, path := range []string{"/mailboxes", "/mailboxes?q=nothing", "/mailboxes/new", "/mailboxes/X26ABC1", "/mailboxes/X26ABC1?side=outbox", "/mailboxes/X26ABC1/change", "/mailboxes/X26ABC1/do/password", "/mailboxes/X26ABC1/do/close", "/mailboxes/X26ABC2", "/mailboxes/X26ABC2/inbox/" + lost} {
		visits = append(visits, webtest.Visit{User: "keeper", Path: path, Cookie: keeper, Walk: path == "/mailboxes/new", Name: "mesh" + strings.NewReplacer("/", "-", "?", "-", lost, "lost").Replace(path)})
	}
	for _, path := range []string{"/mailboxes", "/mailboxes/X26ABC3"} {
		visits = append(visits, webtest.Visit{User: "clerk", Path: path, Cookie: clerk, Name: "mesh-clerk" + strings.ReplaceAll(path, "/", "-")})
	}
	webtest.NewBrowser(t).EveryPage(t, w.url, visits)
}
