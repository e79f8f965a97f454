package ers_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/referral/ers"
)

func TestEachCodeSystemIsServedUnderTheNodesAddress(t *testing.T) {
	w := newWorld(t)
	gp := w.as(staff("gp", access.Clinician, practice), acting(ers.ReferringClinician, practice, "X-Correlation-ID", "c-1", "X-Request-ID", "r-1")...)
	for _, id := range []string{"SPECIALTY", "CLINIC-TYPE", "PRIORITY", "APPOINTMENT-CANCELLATION-REASON", "REFERRAL-CANCELLATION-REASON", "APPOINTMENT-NON-ATTENDANCE-REASON"} {
		a := gp.get("/STU3/CodeSystem/" + id)
		if a.status != http.StatusOK || a.json["url"] != w.url+"/STU3/CodeSystem/"+id || len(a.json["concept"].([]any)) < 3 {
			t.Errorf("%s: %d %.200s", id, a.status, a.body)
		}
		if a.header.Get("Content-Type") != "application/fhir+json" || a.header.Get("X-Correlation-ID") != "c-1" || a.header.Get("X-Request-ID") != "r-1" {
			t.Errorf("%s: headers %v", id, a.header)
		}
	}
	if a := gp.get("/STU3/CodeSystem/COLOURS"); a.status != http.StatusNotFound || a.json != nil {
		t.Errorf("a system that there is not: %d %s", a.status, a.body)
	}
}

func TestWhoActsAsWhatTheyAreNotIsRefused(t *testing.T) {
	w := newWorld(t)
	gp, booker, consultant := staff("gp", access.Clinician, practice), staff("booker", access.Clerk, hospital), staff("consultant", access.Clinician, hospital)
	program := access.User{Principal: access.Principal{ID: "pas", Name: "A program", Role: access.SystemClient, Organisation: hospital}}
	const onBehalf = "NHSD-eRS-On-Behalf-Of-User-ID"
	for name, c := range map[string]struct {
		u       access.User
		headers []string
		status  int
		code    string
		says    string
	}{
		"no function":             {gp, []string{"NHSD-End-User-Organisation-ODS", "R69"}, 403, "FORBIDDEN", "NHSD-eRS-Business-Function is missing"},
		"no organisation":         {gp, []string{"NHSD-eRS-Business-Function", "REFERRING_CLINICIAN"}, 403, "FORBIDDEN", "NHSD-End-User-Organisation-ODS is missing"},
		"an unknown function":     {gp, acting("KING", practice), 403, "FORBIDDEN", "not an e-RS business function"},
		"somebody else's part":    {gp, acting(ers.ProviderClinician, practice), 403, "FORBIDDEN", "may not act as SERVICE_PROVIDER_CLINICIAN"},
		"somewhere else":          {gp, acting(ers.ReferringClinician, hospital), 403, "FORBIDDEN", "does not act for organisation 'R68'"},
		"two functions":           {gp, append(acting(ers.ReferringClinician, practice), "NHSD-eRS-Business-Function", "REFERRING_ADMIN"), 400, "", "more than once"},
		"a part without this":     {booker, acting(ers.ProviderAdmin, hospital), 403, "FORBIDDEN", "may not use this endpoint"},
		"on behalf of nobody":     {booker, acting(ers.ProviderClinicianAdmin, hospital), 403, "FORBIDDEN", "names the clinician"},
		"on behalf of a stranger": {booker, acting(ers.ProviderClinicianAdmin, hospital, onBehalf, "gp"), 403, "FORBIDDEN", "no clinician at R68"},
		"on behalf of a nobody":   {booker, acting(ers.ProviderClinicianAdmin, hospital, onBehalf, "x"), 403, "FORBIDDEN", "no active user"},
		"a clinician on behalf":   {consultant, acting(ers.ProviderClinician, hospital, onBehalf, "consultant"), 403, "FORBIDDEN", "Only SERVICE_PROVIDER_CLINICIAN_ADMIN"},
		"a program with a part":   {program, acting(ers.ProviderClinician, hospital), 403, "FORBIDDEN", "not allowed with application-restricted"},
		"on behalf of theirs":     {booker, acting(ers.ProviderClinicianAdmin, hospital, onBehalf, "consultant"), 200, "", ""},
		"a program":               {program, nil, 200, "", ""},
		"a consultant":            {consultant, acting(ers.ProviderClinician, hospital), 200, "", ""},
	} {
		a := w.as(c.u, c.headers...).get("/STU3/CodeSystem/PRIORITY")
		if a.status != c.status || a.code() != c.code || !strings.Contains(a.body, c.says) {
			t.Errorf("%s: %d %s %s", name, a.status, a.code(), a.body)
		}
	}
	if a := (&caller{world: w}).get("/STU3/CodeSystem/PRIORITY"); a.status != http.StatusUnauthorized || a.header.Get("WWW-Authenticate") == "" {
		t.Errorf("without a token: %d %v", a.status, a.header)
	}
	if a := (&caller{world: w}).get("/R4/PractitionerRole"); a.status != http.StatusUnauthorized || a.code() != "ACCESS_DENIED" {
		t.Errorf("without a token, R4: %d %s", a.status, a.body)
	}
}

func TestEverybodyLearnsAsWhatTheyMayAct(t *testing.T) {
	w := newWorld(t)
	for id, want := range map[string]struct {
		role access.Role
		at   ident.ODSCode
		may  []string
	}{
		"gp":         {access.Clinician, practice, []string{"REFERRING_CLINICIAN"}},
		"secretary":  {access.Clerk, practice, []string{"REFERRING_CLINICIAN_ADMIN", "REFERRING_ADMIN"}},
		"consultant": {access.Clinician, hospital, []string{"SERVICE_DEFINER", "SERVICE_PROVIDER_CLINICIAN", "SERVICE_PROVIDER_ADMIN"}},
		"booker":     {access.Clerk, hospital, []string{"SERVICE_PROVIDER_CLINICIAN_ADMIN", "SERVICE_PROVIDER_ADMIN"}},
	} {
		a := w.as(staff(id, want.role, want.at)).get("/R4/PractitionerRole")
		if a.status != http.StatusOK || a.json["total"] != 1.0 {
			t.Fatalf("%s: %d %s", id, a.status, a.body)
		}
		entry := a.json["entry"].([]any)[0].(map[string]any)
		res := entry["resource"].(map[string]any)
		var may []string
		for _, c := range res["code"].([]any) {
			may = append(may, c.(map[string]any)["coding"].([]any)[0].(map[string]any)["code"].(string))
		}
		if !slices.Equal(may, want.may) || res["id"] != "PractitionerRole-"+want.at.String()+"-"+id || entry["fullUrl"] != w.url+"/R4/PractitionerRole/"+res["id"].(string) {
			t.Errorf("%s: %v %v", id, may, entry)
		}
	}
	program := access.User{Principal: access.Principal{ID: "pas", Name: "A program", Role: access.SystemClient, Organisation: hospital}}
	if a := w.as(program).get("/R4/PractitionerRole"); a.status != http.StatusForbidden {
		t.Errorf("a program: %d %s", a.status, a.body)
	}
}
