package catalogue

import (
	"net/http"
	"slices"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
)

// Public is for what anybody may see: no person's record is behind it.
func Public(pattern string, h func(w http.ResponseWriter, r *http.Request) error) Route {
	return newRoute(pattern, RulePublic, false, nil, func(_ Desk, w http.ResponseWriter, r *http.Request) error {
		return h(w, r)
	})
}

// ForRole is for somebody signed in, in one of the roles; with no roles named, anybody signed in.
func ForRole(pattern string, h func(w http.ResponseWriter, r *http.Request, p access.Principal) error, roles ...access.Role) Route {
	return newRoute(pattern, RuleRole, writes(pattern), roles, func(d Desk, w http.ResponseWriter, r *http.Request) error {
		p, err := admit(d, r, pattern, roles)
		if err != nil {
			return err
		}
		return h(w, r, p)
	})
}

// OnPerson is for one person's chart: {person} in the pattern is the patient's id in the request's tenant.
// The handler gets a Grant for that chart; what it shows is accounted before the answer is sent.
func OnPerson(pattern string, action access.Action, h func(w http.ResponseWriter, r *http.Request, g access.Grant) error, roles ...access.Role) Route {
	return OnResource(pattern, action, func(r *http.Request) Resource {
		return Resource{Type: "Patient", ID: r.PathValue("person")}
	}, h, roles...).as(RulePerson)
}

// OnResource is for one resource, found by find; the record names its chart and label before the row is read.
func OnResource(pattern string, action access.Action, find func(r *http.Request) Resource, h func(w http.ResponseWriter, r *http.Request, g access.Grant) error, roles ...access.Role) Route {
	return newRoute(pattern, RuleResource, !action.Sees(), roles, func(d Desk, w http.ResponseWriter, r *http.Request) error {
		p, err := admit(d, r, pattern, roles)
		if err != nil {
			return err
		}
		res := find(r)
		place, err := d.Locate(r.Context(), TenantOf(r), res.Type, res.ID)
		if err != nil {
			return err
		}
		g, err := d.Gate().Decide(r.Context(), p, action, place)
		if err != nil {
			return err
		}
		d.Disclose(r, []access.Grant{g}, nil)
		return h(w, r, g)
	})
}

// OnSet is for a search or an export over the types that types names; the handler gets a Scope, which becomes part of the query.
func OnSet(pattern string, action access.Action, types func(r *http.Request) []string, h func(w http.ResponseWriter, r *http.Request, s access.Scope) error, roles ...access.Role) Route {
	return newRoute(pattern, RuleSet, !action.Sees(), roles, func(d Desk, w http.ResponseWriter, r *http.Request) error {
		p, err := admit(d, r, pattern, roles)
		if err != nil {
			return err
		}
		s, err := d.Gate().DecideSet(r.Context(), p, action, TenantOf(r), types(r))
		if err != nil {
			return err
		}
		d.Disclose(r, nil, []access.Scope{s})
		return h(w, r, s)
	})
}

// Asker asks for what a request needs once its body has been read, for the one who sent it.
type Asker struct {
	Principal access.Principal
	desk      Desk
	r         *http.Request
}

// Grants asks to do acts, all of them or none. What they show is accounted before the answer is sent; what they change is
// accounted by Gate.Act. A refusal is on the account.
func (a Asker) Grants(acts ...access.Act) ([]access.Grant, error) {
	grants, err := a.desk.Gate().DecideAll(a.r.Context(), a.Principal, acts)
	if err != nil {
		return nil, err
	}
	for _, g := range grants {
		if g.Action().Sees() {
			a.desk.Disclose(a.r, []access.Grant{g}, nil)
		}
	}
	return grants, nil
}

// Scope asks to search types in the request's tenant; with no types, whatever the asker may see.
func (a Asker) Scope(action access.Action, types ...string) (access.Scope, error) {
	s, err := a.desk.Gate().DecideSet(a.r.Context(), a.Principal, action, TenantOf(a.r), types)
	if err == nil {
		a.desk.Disclose(a.r, nil, []access.Scope{s})
	}
	return s, err
}

// Locate names the place of a resource in the request's tenant before its row is read.
func (a Asker) Locate(typ, id string) (access.Place, error) {
	return a.desk.Locate(a.r.Context(), TenantOf(a.r), typ, id)
}

// OnBody is for what names its places in the body: the handler reads it, asks for every Grant it needs, and touches nothing without.
func OnBody(pattern string, h func(w http.ResponseWriter, r *http.Request, ask Asker) error, roles ...access.Role) Route {
	return newRoute(pattern, RuleBody, writes(pattern), roles, func(d Desk, w http.ResponseWriter, r *http.Request) error {
		p, err := admit(d, r, pattern, roles)
		if err != nil {
			return err
		}
		return h(w, r, Asker{Principal: p, desk: d, r: r})
	})
}

// FromPeer is for another system that shows who it is as its protocol says: admit looks at that before anything else is done, and the
// handler is told who it is. What admit refuses is answered as it says.
func FromPeer[T any](pattern string, admit func(r *http.Request) (T, error), h func(w http.ResponseWriter, r *http.Request, from T) error) Route {
	return newRoute(pattern, RulePeer, writes(pattern), nil, func(_ Desk, w http.ResponseWriter, r *http.Request) error {
		from, err := admit(r)
		if err != nil {
			return err
		}
		return h(w, r, from)
	})
}

func (rt Route) as(rule Rule) Route {
	rt.rule = rule
	return rt
}

// admit lets in whoever is signed in, in one of the roles. A refusal is on the account: it names the pattern, never the address.
func admit(d Desk, r *http.Request, pattern string, roles []access.Role) (access.Principal, error) {
	p, err := d.Principal(r)
	if err != nil {
		return access.Principal{}, err
	}
	if len(roles) == 0 || slices.Contains(roles, p.Role) {
		return p, nil
	}
	action := access.Read
	if writes(pattern) {
		action = access.Update
	}
	why := fault.New(fault.Forbidden, "Your role, %s, may not do this; it is for: %s.", p.Role, roleList(roles))
	return access.Principal{}, d.Gate().Refuse(r.Context(), p, action, access.Place{Tenant: TenantOf(r), Type: pattern}, why)
}

func roleList(roles []access.Role) string {
	text := ""
	for i, role := range roles {
		if i > 0 {
			text += ", "
		}
		text += string(role)
	}
	return text
}

// Dispatch runs another route for the same asker: an entry of a batch is a request of its own, with its own rule.
func (a Asker) Dispatch(rt Route, w http.ResponseWriter, r *http.Request) error {
	return rt.Serve(a.desk, w, r)
}
