package signin

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/signin/oauth"
	"github.com/openspine/openspine/web"
)

// appRoutes open an app about the person whose record is before somebody (SMART App Launch 2 section 2.0.7, launch from the record).
func (d *Door) appRoutes() []catalogue.Route {
	staff := []access.Role{access.Clinician, access.Clerk, access.Pharmacist}
	return []catalogue.Route{
		catalogue.OnPerson("GET /patients/{person}/apps", access.Read, d.showApps, staff...),
		catalogue.OnPerson("GET /patients/{person}/apps/{client}", access.Read, d.launchApp, staff...),
	}
}

// launchable reports whether an app can be opened from a record.
func launchable(c oauth.Client) bool {
	return c.LaunchURL != "" && c.Realm == access.Professionals && slices.Contains(c.Scopes, "launch")
}

// here is fault.NotFound for another organisation's own records: an app is opened about a person of the national ones.
func (d *Door) here(r *http.Request) error {
	if catalogue.TenantOf(r) != d.k.National {
		return fault.New(fault.NotFound, "Apps are opened from the national record.")
	}
	return nil
}

func (d *Door) showApps(w http.ResponseWriter, r *http.Request, g access.Grant) error {
	if err := d.here(r); err != nil {
		return err
	}
	if !g.Place().Exists {
		return fault.New(fault.NotFound, "There is no such person.")
	}
	all, err := d.tokens.Clients(r.Context(), false)
	if err != nil {
		return err
	}
	return web.Render(w, r, http.StatusOK, appsPage(r.PathValue("person"), slices.DeleteFunc(all, func(c oauth.Client) bool { return !launchable(c) })))
}

// launchApp sends the browser to the app, with the record's address and the context, which the app gives back when it asks for a code.
func (d *Door) launchApp(w http.ResponseWriter, r *http.Request, g access.Grant) error {
	if err := d.here(r); err != nil {
		return err
	}
	c, err := d.tokens.Client(r.Context(), r.PathValue("client"))
	if err == nil && !(launchable(c) && g.Place().Exists) {
		err = fault.New(fault.NotFound, "There is no such app.")
	}
	if err != nil {
		return err
	}
	launch, err := d.tokens.Launch(g.Principal(), c, r.PathValue("person"))
	if err != nil {
		return err
	}
	separator := "?"
	if strings.Contains(c.LaunchURL, "?") {
		separator = "&"
	}
	return seeOther(w, c.LaunchURL+separator+url.Values{"iss": {d.k.BaseURL() + "/FHIR/R4"}, "launch": {launch}}.Encode())
}
