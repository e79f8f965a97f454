// Package developer is for whoever connects software to the node: each API with its address, a token to try it with, and
// lines to paste into a terminal that work as they are.
//
//	(signed in) ── ask for a token ──► shown once, good for an hour, speaks for whoever asked ── an hour ──► (nothing)
package developer

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/format"
)

// tokenLife is how long a token from this page is good for.
const tokenLife = time.Hour

// bench is the page of one node.
type bench struct{ k catalogue.Kernel }

// Service is the developer's page.
func Service(k catalogue.Kernel) catalogue.Service {
	b := &bench{k}
	return catalogue.Service{Name: "developer", Summary: "Every API with its address, and a token to try it with.",
		Pages: []catalogue.Route{
			catalogue.ForRole("GET /developer", b.show),
			catalogue.ForRole("POST /developer/token", b.token),
		},
		Links: []catalogue.Link{{Key: "developer.nav", Path: "/developer", Last: true,
			Roles: []access.Role{access.Clinician, access.Clerk, access.Pharmacist, access.PrivacyOfficer, access.Auditor, access.Registrar, access.Administrator}}}}
}

// serviceView is the page of one service.
type serviceView struct {
	Page    web.Page
	Summary string
	Routes  web.Table
}

// view is the page.
type view struct {
	Page    web.Page
	Bases   web.Table
	Routes  web.Table
	Gallery string
	Token   string
	Until   string
	Lines   string
}

func (b *bench) show(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	if name := r.URL.Query().Get("service"); name != "" {
		return b.one(w, r, name)
	}
	return web.Render(w, r, http.StatusOK, page(b.view(r.Context())))
}

// one shows every address of one service's API.
func (b *bench) one(w http.ResponseWriter, r *http.Request, name string) error {
	ctx := r.Context()
	for _, s := range b.k.Services() {
		list := addresses(apis(s))
		if s.Name != name || len(list) == 0 {
			continue
		}
		v := serviceView{Page: web.Page{Title: web.Text(ctx, "developer.of", s.Name), Back: web.Link{Text: web.Text(ctx, "developer.title"), URL: "/developer"}}, Summary: s.Summary}
		v.Routes = web.Table{ID: "routes", Caption: web.Text(ctx, "developer.addresses"), Columns: []web.Column{{Text: web.Text(ctx, "developer.method"), Whole: true}, {Text: web.Text(ctx, "developer.path")}, {Text: web.Text(ctx, "developer.rule")}}}
		for _, o := range list {
			v.Routes.Rows = append(v.Routes.Rows, web.TableRow{Cells: []web.TableCell{web.Cell(strings.Join(o.methods, ", ")), web.ShowCell(address(o.path)), web.Cell(web.Text(ctx, "developer.rule-"+string(o.rule)))}})
		}
		return web.Render(w, r, http.StatusOK, servicePage(v))
	}
	return fault.New(fault.NotFound, "There is no service of this name with an API.")
}

// apis are all routes of a service that programs call.
func apis(s catalogue.Service) []catalogue.Route {
	all := s.API
	for _, p := range s.Published {
		all = slices.Concat(all, p.Routes)
	}
	return all
}

// token mints a token for whoever is signed in. It is on this one answer and nowhere else.
func (b *bench) token(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	if err := web.CheckForm(r, ""); err != nil {
		return err
	}
	token, err := b.k.Issuer.Mint(p, tokenLife)
	if err != nil {
		return err
	}
	v := b.view(r.Context())
	v.Token, v.Until, v.Lines = token, format.Time(b.k.Clock.Now().Add(tokenLife)), b.lines(token, p)
	return web.Render(w, r, http.StatusOK, page(v))
}

func (b *bench) view(ctx context.Context) view {
	v := view{Page: web.Page{Title: web.Text(ctx, "developer.title")}}
	v.Bases = web.Table{ID: "bases", RowHeader: true, Caption: web.Text(ctx, "developer.bases"), Columns: []web.Column{{Text: web.Text(ctx, "developer.whose")}, {Text: web.Text(ctx, "developer.base")}}}
	for _, t := range b.k.Tenants {
		v.Bases.Rows = append(v.Bases.Rows, web.TableRow{Cells: []web.TableCell{web.Cell(t.Name + " (" + t.Code.String() + ")"), web.ShowCell(address(b.base(t)))}})
	}
	v.Routes = web.Table{ID: "services", RowHeader: true, Caption: web.Text(ctx, "developer.routes"), Columns: []web.Column{{Text: web.Text(ctx, "developer.service")}, {Text: web.Text(ctx, "developer.summary")}, {Text: web.Text(ctx, "developer.count"), Numeric: true}}}
	for _, s := range b.k.Services() {
		if n := len(addresses(apis(s))); n > 0 {
			v.Routes.Rows = append(v.Routes.Rows, web.TableRow{Cells: []web.TableCell{web.LinkCell(s.Name, "/developer?service="+s.Name), web.Cell(s.Summary), web.Cell(strconv.Itoa(n))}})
		}
		for _, rt := range s.Pages {
			if rt.Path() == web.GalleryPath {
				v.Gallery = web.GalleryPath
			}
		}
	}
	return v
}

// offered is one address, with the methods that one rule opens there.
type offered struct {
	path    string
	rule    catalogue.Rule
	methods []string
}

// addresses are those of routes, in their order: methods of one address and rule stand together.
func addresses(routes []catalogue.Route) (list []offered) {
	at := map[string]int{}
	for _, rt := range routes {
		key := rt.Path() + " " + string(rt.Rule())
		i, known := at[key]
		if !known {
			i = len(list)
			at[key] = i
			list = append(list, offered{path: rt.Path(), rule: rt.Rule()})
		}
		list[i].methods = append(list[i].methods, rt.Method())
	}
	return list
}

// base is where the FHIR API of a tenant is.
func (b *bench) base(t catalogue.Tenant) string {
	if t.Code == b.k.National {
		return b.k.BaseURL() + "/FHIR/R4"
	}
	return b.k.BaseURL() + "/o/" + t.Code.String() + "/FHIR/R4"
}

// lines are for a terminal: they work as pasted, for this user.
func (b *bench) lines(token string, p access.Principal) string {
	base := b.base(catalogue.Tenant{Code: b.k.National})
	for _, t := range b.k.Tenants {
		if t.Code == p.Organisation {
			base = b.base(t)
		}
	}
	first := "Patient?_count=5&family=smith"
	switch p.Role {
	case access.Patient:
		first = "Patient/" + p.Person
	case access.PrivacyOfficer, access.Auditor:
		first = "AuditEvent?_count=5"
	case access.Administrator, access.Registrar:
		first = "Organization?_count=5"
	}
	return strings.Join([]string{
		"TOKEN='" + token + "'",
		"BASE='" + base + "'",
		`curl -s "$BASE/metadata"`,
		`curl -s -H "Authorization: Bearer $TOKEN" "$BASE/` + first + `"`,
		`curl -s -H "Authorization: Bearer $TOKEN" -H 'Accept: application/fhir+xml' "$BASE/` + first + `"`,
		"",
	}, "\n")
}
