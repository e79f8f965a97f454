package directory_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/record"
)

// given an administrator; when she adds, changes, closes and reopens each kind of thing, then the directory says so, with her reasons.
func TestAnAdministratorKeepsTheDirectory(t *testing.T) {
	t.Parallel()
	w := country.Given(t)
	admin := w.SignedIn(t, "admin")
	id := func(pattern string) string {
		t.Helper()
		at := admin.Get("/directory/RZZ02").Link(pattern)
		return at[strings.LastIndexByte(at, '/')+1:]
	}
	for _, c := range []struct {
		kind, name, renamed, page string
		answers, change           []string
	}{
		{"service", "Test eye clinic", "Test eye hospital clinic", "Aged 18 to 90", []string{"name", "Test eye clinic", "specialty", "394594003", "kind", "Nurse-led clinic", "place", "RZZ02-outpatients", "wait", "21", "sex", "male",
			"youngest", "18", "oldest", "90", "languages", "English, Welsh", "criteria", "Cataract", "opened-day", "1", "opened-month", "2", "opened-year", "2020"}, []string{"name", "Test eye hospital clinic", "specialty", "394594003", "sex", "male", "place", "RZZ02-outpatients"}},
		{"place", "Test ward 9", "Test ward 10", "Test ward 9", []string{"name", "Test ward 9"}, []string{"name", "Test ward 10"}},
		{"endpoint", "https://test.example/FHIR", "https://test.example/R4", "1 interaction", []string{"address", "https://test.example/FHIR", "connection", "hl7-fhir-rest", "party", "RZZ02-9", "interactions", "urn:nhs:test:one"},
			[]string{"address", "https://test.example/R4", "connection", "hl7-fhir-msg"}},
		{"device", "899999999999", "899999999998", "899999999999", []string{"asid", "899999999999", "maker", "X26", "interactions", "urn:nhs:test:one"}, []string{"asid", "899999999998"}},
	} {
		t.Run(c.kind, func(t *testing.T) {
			admin.Get("/directory/keep/" + c.kind + "/add?at=RZZ02").Sees(200)
			admin.Send("/directory/keep/"+c.kind+"/add?at=RZZ02", "reason", "x").Sees(422, "There is a problem")
			admin.Send("/directory/keep/"+c.kind+"/add?at=RZZ02", append(c.answers, "reason", "a new one for the test")...).Sees(200, "It has been added", c.name)
			where := admin.Get("/directory/RZZ02")
			where.Sees(200, c.name)
			path := ""
			for _, at := range strings.Split(where.Body, `href="`) {
				link, rest, _ := strings.Cut(at, `"`)
				if strings.HasPrefix(link, "/directory/keep/"+c.kind+"/") && strings.Contains(rest[:min(len(rest), 300)], c.name) {
					path = link
				}
			}
			if path == "" {
				t.Fatalf("no way to change it:\n%s", where.Text())
			}
			page := admin.Get(path)
			page.Sees(200)
			stale := page.Form()
			admin.Send(path, append(c.change, "reason", "renamed in the test")...).Sees(200, "The change has been saved", c.renamed)
			for i := 0; i < len(c.change); i += 2 {
				stale.Set(c.change[i], c.change[i+1]+"9")
			}
			stale.Set("reason", "another window")
			admin.Post(path, stale).Sees(409, "Somebody else has changed this")

			admin.Get(path + "/close").Sees(200)
			admin.Send(path+"/close", "reason", "closed in the test", "last-year", "2999").Sees(422, "within ten years")
			next := strconv.Itoa(time.Now().Year() + 1)
			admin.Send(path+"/close", "reason", "closes next year", "last-day", "1", "last-month", "3", "last-year", next).Sees(200, "It stays in use until its last day")
			admin.Get(path+"/close").Sees(200, "In use until 01-Mar-"+next)
			admin.Send(path+"/close", "reason", "stays after all", "stays", "yes").Sees(200, "its last day has been taken away")
			admin.Get(path + "/close").Sees(200)
			admin.Send(path+"/close", "reason", "closed in the test", "last-day", "1", "last-month", "3", "last-year", "2026").Sees(200, "It has been closed")
			admin.Get(path+"/history").Sees(200, "closed in the test", "renamed in the test", "a new one for the test", "Added", c.renamed, "01-Mar-2026")
			admin.Get(path+"/close").Sees(200, "again")
			admin.Send(path+"/close", "reason", "opened again in the test").Sees(200, "It is in use again")
			admin.Get(path+"/history").Sees(200, "opened again in the test")
		})
	}
	if got := id(`/directory/keep/place/RZZ02-[a-z]+`); got == "" {
		t.Error("no place")
	}
	clerk := w.SignedIn(t, "clerk")
	if got := clerk.Get("/directory/keep/service/add?at=RZZ02").Status; got != 403 {
		t.Errorf("a clerk may add a service: %d", got)
	}
	if text := clerk.Get("/directory/RZZ02").Text(); strings.Contains(text, "Add a service") {
		t.Error("a clerk is offered what is refused")
	}
	admin.Get("/directory/keep/shoe/add?at=RZZ02").Sees(404)
	admin.Get("/directory/keep/service/add?at=ZZZZZ9").Sees(404)
	admin.Get("/directory/keep/service/nothing").Sees(404)
}

// given somebody who is registered; when they begin and end a job, then the organisation lists it with its dates.
func TestAnAdministratorKeepsWhoWorksWhere(t *testing.T) {
	t.Parallel()
	w := country.Given(t)
	admin := w.SignedIn(t, "admin")
	add := "/directory/keep/post/add?at=Z99803"
	admin.Get(add)
	admin.Send(add, "practitioner", "nobody", "job", "R0260", "reason", "a locum for the test").Sees(422, "Nobody in the directory has this user ID")
	admin.Get(add)
	admin.Send(add, "practitioner", "555999000101", "job", "R0262", "prescriber", "PGP1", "opened-day", "5", "opened-month", "1", "opened-year", "2026", "reason", "a locum for the test").
		Sees(200, "It has been added", "Locum GP (R0262)", "05-Jan-2026")
	path := admin.Link(`/directory/keep/post/[A-Za-z0-9-]+`)
	admin.Get(path + "/close")
	admin.Send(path+"/close", "last-day", "1", "last-month", "1", "last-year", "2026", "reason", "before it began").Sees(422, "not before the first")
	admin.Get(path + "/close")
	admin.Send(path+"/close", "last-day", "28", "last-month", "2", "last-year", "2026", "reason", "the locum has left").Sees(200, "It has been closed", "28-Feb-2026")
}

// given a hospital; when a site of it is opened, moved and closed in favour of another, then the APIs, the pages and its successor say so.
func TestAnAdministratorKeepsSites(t *testing.T) {
	t.Parallel()
	w := country.Given(t)
	admin := w.SignedIn(t, "admin")
	add := "/directory/keep/site/add?at=RZZ02"
	site := []string{"name", "Test Annexe", "role", "RO198", "lines", "1 The Row\nThe Yard", "town", "Eastwold", "postcode", "ew2 7rt", "opened-day", "1", "opened-month", "4", "opened-year", "2021", "reason", "a site for the test"}
	admin.Get(add)
	admin.Send(add, append(site, "code", "RZZ02")...).Sees(422, "in the directory already")
	admin.Get(add)
	admin.Send(add, append(site, "code", "rzz9x", "postcode", "nonsense")...).Sees(422, "Enter a postcode")
	admin.Get(add)
	admin.Send(add, append(site, "code", "rzz9x")...).Sees(200, "It has been added", "ODS code RZZ9X", "Test Annexe", "EW2 7RT", "NHS trust site", "Is operated by")
	admin.Get("/directory/RZZ02").Sees(200, "Test Annexe")
	admin.Get("/directory/keep/site/RZZ9X")
	admin.Send("/directory/keep/site/RZZ9X", "name", "Test Annexe East", "reason", "it was renamed").Sees(200, "The change has been saved", "Test Annexe East")
	admin.Get("/directory/keep/site/RZZ9X/close")
	admin.Send("/directory/keep/site/RZZ9X/close", "successor", "RZZ9X", "reason", "it has moved").Sees(422, "another organisation")
	admin.Get("/directory/keep/site/RZZ9X/close")
	admin.Send("/directory/keep/site/RZZ9X/close", "successor", "rzz01", "last-day", "31", "last-month", "5", "last-year", "2026", "reason", "it has moved").
		Sees(200, "This organisation has closed", "31-May-2026", "Fenmarket General Hospital took over")
	admin.Get("/directory/keep/site/RZZ9X/history").Sees(200, "it has moved", "it was renamed", "Test Annexe East", "Added")
	admin.Get("/directory/RZZ01").Sees(200, "Took over from", "Test Annexe East")

	k := w.Node.Kernel()
	grants, err := k.Gate.DecideAll(t.Context(), access.Service("test", k.National), []access.Act{{Action: access.Read, Place: access.Place{Tenant: k.National, Type: "OrganizationAffiliation"}}})
	if err != nil {
		t.Fatal(err)
	}
	rel, err := k.Records.Read(t.Context(), grants[0], record.Ref{Tenant: ident.MustODSCode("X26"), Type: "OrganizationAffiliation", ID: "RZZ9X-RE6-RZZ02"})
	if err != nil || rel.Resource.Get("active").Bool() || rel.Resource.Get("period.end").String() != "2026-05-31" {
		t.Errorf("who operated it: %v %v", rel.Resource, err)
	}
}
