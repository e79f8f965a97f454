// Package trace is the national register as people meet it: whoever cares traces a person, sees what the register holds of them and why it
// is thought to be them, puts it right by the rules of the published service, and takes it back; and the person themself sees their
// details, changes what is theirs to change, and chooses their pharmacy.
//
//	NHS number ──► not known ──► details, as written ──► nobody ──► details, as they sound, slips, former names
//	    │                              │                                  │
//	    └──────────► patient details ◄─┴── each says why, and how well ◄──┘
//	                    │   │
//	                    │   └── history: who, when, why ──► undo
//	                    └── change ──► check ──► saved
//	                          ▲          └── somebody else was quicker: both are shown
//	                          └── a rule refuses: said beside its field
//
//	the person asks for what they may not change ──► waiting, on their practice's worklist ──► put right, or not and why ──► they read it
//
// Everything goes through demographics.Desk, in the access modes and by the code of the published API: whoever is shown is on the account.
package trace

import (
	"context"
	"net/http"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/demographics"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/account"
	"github.com/openspine/openspine/web/format"
)

// Pharmacy is one that somebody may choose.
type Pharmacy struct {
	Code                 ident.ODSCode
	Name, Town, Postcode string
}

// Places is what these pages ask the directory of organisations.
type Places interface {
	// Pharmacies are open pharmacies by code, by the beginnings of words of their name, by postcode or its beginning; at most most.
	Pharmacies(ctx context.Context, text, postcode string, most int) ([]Pharmacy, error)
	// Distance is how far apart two outward codes are, in kilometres; ok is false where one of them is not known.
	Distance(ctx context.Context, outwardA, outwardB string) (km float64, ok bool, err error)
}

// face is the pages of one node.
type face struct {
	k        catalogue.Kernel
	register *demographics.Register
	places   Places
}

// Where the pages are.
const (
	tracePath    = "/trace"
	minePath     = "/me/details"
	pharmacyPath = "/me/pharmacy"
)

func staff() []access.Role { return []access.Role{access.Clinician, access.Clerk, access.Pharmacist} }

// Service is the pages of the register.
func Service(k catalogue.Kernel, r *demographics.Register, p Places) catalogue.Service {
	f := &face{k, r, p}
	answerers := []access.Role{access.Clinician, access.Clerk}
	routes := []catalogue.Route{
		catalogue.OnBody("GET "+tracePath, f.trace, staff()...),
		catalogue.OnBody("GET "+tracePath+"/{person}", f.details, staff()...),
		catalogue.OnBody("GET "+tracePath+"/{person}/history", f.history, staff()...),
		catalogue.OnBody("GET "+tracePath+"/{person}/undo", f.askUndo, staff()...),
		catalogue.OnBody("POST "+tracePath+"/{person}/undo", f.undo, staff()...),
		catalogue.OnBody("GET "+tracePath+"/{person}/change/{part}", f.askChange, staff()...),
		catalogue.OnBody("POST "+tracePath+"/{person}/change/{part}", f.change, staff()...),
		catalogue.OnBody("POST "+tracePath+"/{person}/here", f.here, answerers...),
		catalogue.OnBody("GET "+tracePath+"/{person}/pharmacy", f.pharmacy, staff()...),
		catalogue.OnBody("POST "+tracePath+"/{person}/pharmacy", f.nominate, staff()...),
		catalogue.OnBody("GET "+minePath, f.details, access.Patient),
		catalogue.OnBody("GET "+minePath+"/history", f.history, access.Patient),
		catalogue.OnBody("GET "+minePath+"/change/{part}", f.askChange, access.Patient),
		catalogue.OnBody("POST "+minePath+"/change/{part}", f.change, access.Patient),
		catalogue.OnBody("GET "+pharmacyPath, f.pharmacy, access.Patient),
		catalogue.OnBody("POST "+pharmacyPath, f.nominate, access.Patient),
		catalogue.OnBody("GET "+ownCorrectionsPath, f.showOwnCorrections, access.Patient),
		catalogue.OnBody("GET "+ownAskPath, f.askCorrection, access.Patient),
		catalogue.OnBody("POST "+ownAskPath, f.sendCorrection, access.Patient),
		catalogue.OnBody("POST "+ownCorrectionsPath+"/{request}/withdraw", f.withdraw, access.Patient),
		catalogue.OnBody("GET "+correctionsPath, f.showCorrections, answerers...),
		catalogue.OnBody("GET "+correctionsPath+"/{request}", f.showCorrection, answerers...),
		catalogue.OnBody("POST "+correctionsPath+"/{request}", f.actCorrection, answerers...),
	}
	return catalogue.Service{
		Name: "trace", Summary: "Trace a person, see and put right what the register holds; my details and my pharmacy; what people ask to have put right.",
		Schema: store.Embedded("trace", schemaFiles, "schema"),
		Pages:  routes,
		Links: []catalogue.Link{
			{Key: "trace.nav", Path: tracePath, Roles: staff()},
			{Key: "trace.correction.nav", Path: correctionsPath, Roles: answerers, Organisations: f.worklists()},
			{Key: "mine.nav.details", Path: minePath, Roles: []access.Role{access.Patient}},
			{Key: "mine.nav.pharmacy", Path: pharmacyPath, Roles: []access.Role{access.Patient}},
		},
	}
}

// visit is one request about one person.
type visit struct {
	desk   demographics.Desk
	viewer access.Principal
	person demographics.Person
	own    bool // the person themself
	name   string
	banner web.PersonBanner
	seen   string // where who looked is listed; "" where this viewer may not see it
	may    error  // why the record cannot be changed here; nil when it can
}

// visits opens the person of a request: of the address, or whoever is signed in as a patient.
func (f *face) visits(r *http.Request, ask catalogue.Asker) (*visit, error) {
	return f.visitsTo(r, ask, r.PathValue("person"))
}

// visitsTo opens the person of a number; for a patient themself.
func (f *face) visitsTo(r *http.Request, ask catalogue.Asker, number string) (*visit, error) {
	desk, err := f.register.Desk(r, ask)
	if err != nil {
		return nil, err
	}
	v := &visit{desk: desk, viewer: ask.Principal, own: ask.Principal.Role == access.Patient}
	if v.own {
		number = ask.Principal.Person
	}
	if v.person, err = desk.Read(number); err != nil {
		return nil, f.worded(r.Context(), err)
	}
	v.may = desk.MayAmend(v.person)
	if !v.own {
		if v.seen, err = f.seenURL(r.Context(), v); err != nil {
			return nil, err
		}
	}
	v.banner = f.bannerOf(r.Context(), v.person)
	v.name = v.banner.Name(r.Context())
	return v, nil
}

// worded is a refusal of the register in words for people.
func (f *face) worded(ctx context.Context, err error) error {
	code, _, _, ok := demographics.Refused(err)
	if !ok {
		return err
	}
	key := map[string]string{"INVALID_RESOURCE_ID": "number", "RESOURCE_NOT_FOUND": "nobody", "INVALIDATED_RESOURCE": "invalidated"}[code]
	if key == "" {
		return err
	}
	kind := fault.NotFound
	if code == "INVALID_RESOURCE_ID" {
		kind = fault.Invalid
	}
	return fault.New(kind, "%s", web.Text(ctx, "trace.refused."+key))
}

// seenURL is where it stands who has seen the person's record, for whoever may know.
func (f *face) seenURL(ctx context.Context, v *visit) (string, error) {
	place := access.Place{Tenant: f.k.National, Chart: v.id(), Type: access.TypeAccount}
	if v.person.Restricted {
		place.Label = access.Restricted
	}
	if may, err := f.k.Gate.Would(ctx, v.viewer, access.Search, place); err != nil || !may {
		return "", err
	}
	return "/o/" + f.k.National.String() + "/patients/" + v.id() + "/seen", nil
}

// id is the person's number, as addresses and forms have it.
func (v *visit) id() string { return v.person.Number.String() }

// url is where the pages about the person begin.
func (v *visit) url() string {
	if v.own {
		return minePath
	}
	return tracePath + "/" + v.id()
}

func (v *visit) pharmacyURL() string {
	if v.own {
		return pharmacyPath
	}
	return v.url() + "/pharmacy"
}

func (v *visit) partURL(part string) string { return v.url() + "/change/" + part }

// page is what every page about the person tells its shell; here is the page of their details itself.
func (v *visit) page(ctx context.Context, title string, here bool) web.Page {
	p := web.Page{Title: title, Person: &v.banner}
	if v.own {
		p.Access = web.Access{Why: account.Why(ctx, "own-record", ""), SeenURL: "/me/seen"}
	} else {
		p.Access = web.Access{Why: account.Why(ctx, "trace-anybody", ""), SeenURL: v.seen}
	}
	if !here {
		p.Person.URL = v.url()
		p.Back = web.Link{Text: web.Text(ctx, v.key("details.title")), URL: v.url()}
	}
	return p
}

// key is the key of a text that is said in other words to the person themself, where it is.
func (v *visit) key(name string) string {
	if v.own && web.HasText("mine."+name) {
		return "mine." + name
	}
	return "trace." + name
}

// bannerOf is the person for the top of each page about them. Of allergies the register knows nothing.
func (f *face) bannerOf(ctx context.Context, p demographics.Person) web.PersonBanner {
	n := nameIn(p.Shown)
	b := web.PersonBanner{Family: n.Field("family").String(), Given: joined(n.Field("given")), Title: joined(n.Field("prefix")), Born: format.FHIR(p.Shown.Get("birthDate").String()),
		Died: format.FHIR(p.Shown.Get("deceasedDateTime").String()), Dead: p.Shown.Get("deceasedBoolean").Bool(), NHSNumber: p.Number.String(), Restricted: p.Restricted,
		Allergies: web.Allergies{Elsewhere: true}}
	if g := p.Shown.Get("gender").String(); g != "" {
		b.Gender = web.Text(ctx, "patients.gender."+g)
	}
	if !p.Restricted {
		b.Address = addressText(addressIn(p.Shown))
		b.Phone = telecomIn(p.Shown, "phone", "").Field("value").String()
		b.Practice = f.organisationIn(ctx, p.Shown.Get("generalPractitioner").Index(0))
	}
	return b
}
