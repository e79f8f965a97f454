package signin

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/signin/oauth"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/account"
	"github.com/openspine/openspine/web/format"
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
	page, err := d.appsPage(r, g)
	if err != nil {
		return err
	}
	return web.Render(w, r, http.StatusOK, appsPage(page, r.PathValue("person"), slices.DeleteFunc(all, func(c oauth.Client) bool { return !launchable(c) })))
}

// appsPage is what the page tells its shell: whom it is about, and why this reader may see them.
func (d *Door) appsPage(r *http.Request, g access.Grant) (web.Page, error) {
	ctx, person := r.Context(), r.PathValue("person")
	v, err := d.k.Records.Read(ctx, g, record.Ref{Tenant: d.k.National, Type: "Patient", ID: person})
	if err != nil {
		return web.Page{}, err
	}
	url := "/o/" + d.k.National.String() + "/patients/" + person
	name := v.Resource.Get("name").Index(0)
	for n := range v.Resource.Get("name").Items() {
		if n.Field("use").String() == "usual" {
			name = n
			break
		}
	}
	b := web.PersonBanner{Family: name.Field("family").String(), Given: joined(name.Field("given")), Title: joined(name.Field("prefix")), Born: format.FHIR(v.Resource.Get("birthDate").String()),
		Died: format.FHIR(v.Resource.Get("deceasedDateTime").String()), Dead: v.Resource.Get("deceasedBoolean").Bool(), Restricted: g.Place().Label == access.Restricted, URL: url, Allergies: web.Allergies{Elsewhere: true}}
	for i := range v.Resource.Get("identifier").Items() {
		if i.Field("system").String() == ident.SystemNHSNumber {
			b.NHSNumber = i.Field("value").String()
		}
	}
	if gender := v.Resource.Get("gender").String(); gender != "" {
		b.Gender = web.Text(ctx, "patients.gender."+gender)
	}
	return web.Page{Title: web.Text(ctx, "signin.apps.title"), Person: &b, Back: web.Link{Text: web.Text(ctx, "patients.record.title"), URL: url},
		Access: web.Access{Why: account.Why(ctx, g.Basis(), g.Principal().Organisation.String()), SeenURL: url + "/seen"}}, nil
}

// joined are the texts of a list with spaces between.
func joined(list fhir.Node) string {
	var all []string
	for n := range list.Items() {
		all = append(all, n.String())
	}
	return strings.Join(all, " ")
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
