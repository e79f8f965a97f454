package hospital_test

import (
	"strings"
	"testing"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/directory"
	"github.com/openspine/openspine/hospital"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/node"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/web/webtest"
)

// TestAClinicIsSetUpByPage makes a specialty, a consultant, a clinic and its weekly pattern; what is wrong is said beside its field, and the slots are looked at before any is made.
func TestAClinicIsSetUpByPage(t *testing.T) {
	t.Parallel()
	w := given(t, false)
	clerk := w.nodes[1].SignedIn(t, "clerk")
	const at = "/o/RQX/clinics/"
	clerk.Get(at+"setup/specialties/new").Send(at+"setup/specialties/new", "code", "394585008", "name", "").Sees(422, "of which the last is a check digit", "Enter a name of 1 to 100 characters")
	clerk.Send(at+"setup/specialties/new", "code", "394579002", "name", "Heart").Sees(422, "with this code already")
	clerk.Send(at+"setup/specialties/new", "code", "394585009", "name", "Obstetrics").Sees(200, "It is saved", "Obstetrics", "394585009")
	clerk.Get(at+"setup/consultants/new").Send(at+"setup/consultants/new", "name", "Dr Ines Okoro", "specialty", "394585009", "login", "nobody").Sees(422, "Nobody who works at Fenmarket General signs in with this name")
	kept(t, clerk.Body, "Dr Ines Okoro")
	clerk.Send(at+"setup/consultants/new", "specialty", "394585009", "login", "doctor").Sees(200, "It is saved", "Dr Ines Okoro")
	who := strings.TrimPrefix(clerk.Link(at+"setup/consultants/[a-z0-9]{16}"), at+"setup/consultants/")
	clerk.Get(at+"setup/clinics/new").Send(at+"setup/clinics/new", "name", "Antenatal clinic", "service", "no service", "specialty", "1", "consultant", who).Sees(422, "Enter the id of a service", "Choose a specialty from the list")
	clerk.Send(at+"setup/clinics/new", "service", "RQX-antenatal", "specialty", "394585009", "consultant", who, "place", "Level 2").Sees(200, "It is saved. This hospital has no copy of the directory", "Antenatal clinic", "Level 2")
	clinic := strings.TrimPrefix(clerk.Link(at+"setup/clinics/[a-z0-9]{16}"), at+"setup/clinics/")

	page := at + "templates/new"
	clerk.Get(page).Send(page, "clinic", clinic, "weekday", "3", "starts", "9 in the morning", "slots", "0", "reserve", "1", "to-day", "31", "to-month", "2", "to-year", "2027").Sees(422, "Enter a time as 09:30", "A session has 1 to 60 slots", "Enter the last day")
	kept(t, clerk.Body, "9 in the morning")
	clerk.Get(page).Send(page, "clinic", clinic, "weekday", "3", "minutes", "30", "slots", "3", "reserve", "1").Sees(200, "Nothing is made yet", "09:00", "09:30", "10:30", "Offered to the spine", "Reserve", "Wednesday")
	clerk.Send(page, "clinic", clinic, "weekday", "4", "minutes", "15").Sees(200, "Nothing is made yet", "09:15", "Thursday")
	clerk.Send(page, "clinic", clinic, "weekday", "4").Sees(200, "The sessions are made", "3 of 15 minutes")
	template := clerk.Link(at + "templates/[a-z0-9]{16}")
	clerk.Get(template).Sees(200, "Antenatal clinic").Send(template, "weekday", "4", "starts", "10:00").Sees(200, "Nothing is made yet").Send(template, "weekday", "4").Sees(200, "The sessions are made", "10:00")
	// The same consultant is to be in two places: it is said, and not refused.
	clerk.Get(page).Send(page, "clinic", clinic, "weekday", "4", "starts", "10:10").Sees(200, "Dr Ines Okoro sees patients then in another session: Antenatal clinic, 10:00")
	clerk.Get(at+"setup/clinics/"+clinic).Send(at+"setup/clinics/"+clinic, "closed", "yes", "specialty", "394585009", "consultant", who).Sees(200, "It is saved", "Closed")
	clerk.Get(page).SeesNot("Antenatal clinic")
	clerk.Get(at + "setup/wards/new").Sees(404)
	clerk.Get(at + "setup/clinics/nowhere").Sees(404)
}

// TestAClinicOffersAServiceOfItsHospital has a node that keeps the directory refuse a service that is not there, or is another hospital's; a clinic whose service has gone can still be closed.
func TestAClinicOffersAServiceOfItsHospital(t *testing.T) {
	t.Parallel()
	w := open(t, node.Config{Name: "all", Addr: "127.0.0.1:0", Data: t.TempDir(), National: "X26", Demo: true, Tenants: []node.TenantConfig{{Code: "X26", Name: "Spine", Kind: "national"}, {Code: "RQX", Name: "Fenmarket General", Kind: "hospital"}}}, node.Options{})
	k := w.Node.Kernel()
	if err := k.Gate.PutUsers(t.Context(), []access.User{{Demo: true, Principal: access.Principal{ID: "clerk", Name: "A clerk", Role: access.Clerk, Organisation: rqx}}}); err != nil {
		t.Fatal(err)
	}
	for id, at := range map[string]ident.ODSCode{"RQX-skin": rqx, "RQY-skin": ident.MustODSCode("RQY")} {
		res, err := directory.HealthcareService{ID: id, Name: "Skin", Provider: at, Specialty: "394582007", SpecialtyName: "Dermatology", Wait: -1, Youngest: -1, Oldest: -1, Active: true}.Resource()
		if err != nil {
			t.Fatal(err)
		}
		drafted, err := k.Records.Prepare(t.Context(), record.Change{Verb: record.Put, Ref: record.Ref{Tenant: x26, Type: "HealthcareService", ID: id}, Resource: res})
		if err != nil {
			t.Fatal(err)
		}
		grants, err := k.Gate.DecideAll(t.Context(), access.Service("test", x26), drafted.Acts())
		if err != nil {
			t.Fatal(err)
		}
		if err := k.Gate.Act(t.Context(), grants, drafted.Lanes(), func(tx *store.Tx) error {
			_, err := k.Records.Apply(tx, drafted, grants...)
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	err := w.Node.Clinics().SetUp(t.Context(), access.Service("test", rqx), rqx, hospital.Setup{Specialties: []hospital.Specialty{{Code: "394582007", Name: "Dermatology"}}, Consultants: []hospital.Consultant{{ID: "q", Name: "Dr Saoirse Quinlan", Specialty: "394582007"}},
		Clinics: []hospital.Clinic{{ID: "old", Name: "Old clinic", Service: "RQX-gone", Specialty: "394582007", Consultant: "q"}}})
	if err != nil {
		t.Fatal(err)
	}
	const page = "/o/RQX/clinics/setup/clinics/"
	clerk := w.SignedIn(t, "clerk")
	for _, id := range []string{"RQX-none", "RQY-skin"} {
		clerk.Get(page+"new").Send(page+"new", "name", "Skin clinic", "service", id, "specialty", "394582007", "consultant", "q").Sees(422, "Fenmarket General has no service with this id in the directory")
		kept(t, clerk.Body, id)
	}
	clerk.Send(page+"new", "service", "RQX-skin", "specialty", "394582007", "consultant", "q").Sees(200, "It is saved.", "Skin clinic").SeesNot("no copy of the directory")
	clerk.Get(page+"old").Send(page+"old", "closed", "yes", "specialty", "394582007", "consultant", "q").Sees(200, "It is saved.", "Closed").SeesNot("no copy of the directory")
}

// TestThePreviewIsHealthy looks at what a pattern will make, at a desk and on a phone, and at what is wrong with one.
func TestThePreviewIsHealthy(t *testing.T) {
	t.Parallel()
	b := webtest.NewBrowser(t)
	w := given(t, false)
	cookie := w.nodes[1].SignedIn(t, "clerk").Cookie()
	for _, way := range []struct {
		name    string
		options []webtest.Option
	}{{"desk", nil}, {"phone", []webtest.Option{webtest.Phone()}}, {"plain", []webtest.Option{webtest.Phone(), webtest.NoScript()}}} {
		p := b.Open(t, w.nodes[1].URL+"/o/RQX/clinics/templates/new", append(way.options, webtest.Cookie(webtest.SessionCookie, cookie))...)
		p.Submit(`main form button[data-prevent-double-click]`)
		p.Sees("What this makes", "Slots of", "Nothing is made yet")
		p.Healthy()
		p.Screenshot("preview-" + way.name + ".png")
		p.Type("#slots", "999")
		p.Submit(`main form button[data-prevent-double-click]`)
		p.Sees("There is a problem", "A session has 1 to 60 slots")
		p.Healthy()
	}
}

// kept fails unless a form shows what was typed into it.
func kept(t *testing.T, body, typed string) {
	t.Helper()
	if !strings.Contains(body, `value="`+typed+`"`) {
		t.Errorf("%q is not kept", typed)
	}
}
