package fhirapi_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/clock"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/store"
)

// Without a token that holds nobody gets in, and the answer says why (RFC 6750 section 3).
func TestTokens(t *testing.T) {
	w := newWorld(t, setting{})
	system := w.system()
	system.put(patient("1", "Smith"))
	nobody := *system
	nobody.token = ""
	for _, a := range []*answer{nobody.get("Patient/1"), nobody.get("Patient/none"), nobody.get("Patient?family=x"), nobody.get("_history"),
		nobody.do("PUT", "Patient/1", patient("1", "x")), nobody.do("POST", "", bundle("batch", entry("GET", "Patient/1", ""))), nobody.get("AuditEvent"), nobody.get("Patient/1/$everything")} {
		a.wants(401).has("WWW-Authenticate", `Bearer realm="openspine"`).is("issue.0.code", "login")
	}
	forge := func(alg, claims string) string {
		encode := base64.RawURLEncoding.EncodeToString
		return encode([]byte(`{"alg":"`+alg+`","typ":"JWT","kid":"x"}`)) + "." + encode([]byte(claims)) + "."
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signed := func(kid, issuer, audience string) string {
		s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: other, KeyID: kid}}, (&jose.SignerOptions{}).WithType("JWT"))
		if err != nil {
			t.Fatal(err)
		}
		token, err := jwt.Signed(s).Claims(map[string]any{"iss": issuer, "aud": audience, "sub": "evil", "jti": "1", "role": "system-client", "ods": hospital,
			"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(), "scope": "system/*.*"}).Serialize()
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	issuer := w.node.Kernel().Issuer.Trust()
	elsewhere, err := access.OpenIssuer(t.TempDir(), "test", "openspine:elsewhere", w.node.Kernel().Clock)
	if err != nil {
		t.Fatal(err)
	}
	wrong, err := elsewhere.Mint(system.who, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	revoked := w.as(principal(access.SystemClient, "revoked", "X26"))
	revoked.get("Patient/1").wants(200)
	if err := w.node.Kernel().Verifier.Revoke(t.Context(), system.who, revoked.token); err != nil {
		t.Fatal(err)
	}
	at := func(shift time.Duration) string { // a token of the node's own, made at another time
		issuer, err := access.OpenIssuer(w.data, "test", "openspine:test", clock.NewFake(time.Now().Add(shift)))
		if err != nil {
			t.Fatal(err)
		}
		token, err := issuer.Mint(system.who, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	minutesAgo := *system
	minutesAgo.token = at(-50 * time.Minute)
	minutesAgo.get("Patient/1").wants(200)
	for name, token := range map[string]string{
		"garbage": "garbage", "three dots": "a.b.c", "alg none": forge("none", `{"iss":"test","sub":"evil","role":"system-client"}`), "alg HS256": forge("HS256", `{"iss":"test"}`) + "c2ln",
		"another key": signed(issuer.Keys.Keys[0].KeyID, issuer.Issuer, "openspine:test"), "another issuer": signed("k", "evil", "openspine:test"),
		"an unknown key": signed("k", issuer.Issuer, "openspine:test"), "another node's": wrong, "revoked": revoked.token,
		"expired": at(-2 * time.Hour), "of the future": at(time.Hour),
		"a letter changed": system.token[:len(system.token)-10] + "AAAAAAAAAA", "very long": strings.Repeat("a", 9000),
	} {
		c := *system
		c.token = token
		a := c.get("Patient/1").wants(401)
		if got := a.header.Get("WWW-Authenticate"); !strings.Contains(got, `error="invalid_token"`) {
			t.Errorf("%s: WWW-Authenticate is %q", name, got)
		}
	}
	for _, header := range []string{"Bearer", "Bearer ", "Bearer a b", "Bearer é"} {
		c := *system
		c.token = ""
		c.get("Patient/1", "Authorization", header).wants(400)
	}
	for _, header := range []string{"Basic dXNlcjpwYXNz", "Nonsense"} {
		c := *system
		c.token = ""
		c.get("Patient/1", "Authorization", header).wants(401)
	}
	narrow := principal(access.SystemClient, "narrow", "X26")
	narrow.Scopes = []string{"system/Patient.read"}
	n := w.as(narrow)
	n.get("Patient/1").wants(200)
	n.get("Patient?family=smith").wants(200)
	n.do("PUT", "Patient/1", patient("1", "x")).wants(403)
	n.get("Observation?code=x").wants(403)
	n.get("Patient?_has:Observation:patient:code=x").wants(200).is("total", "0")
}

// A stranger learns nothing: what they may not know of and what is not there are the same answer, byte for byte.
func TestStrangersLearnNothing(t *testing.T) {
	w := newWorld(t, setting{})
	keeper := principal(access.SystemClient, "keeper")
	keeper.Organisation = w.node.Kernel().National // which has no relationships of its own
	system := w.as(keeper)
	system.put(patient("open", "Open"))
	system.put(observation("o", "open", "70"))
	system.put(`{"resourceType":"Patient","id":"hidden","name":[{"family":"Hidden"}],"identifier":[{"system":"urn:test","value":"hidden"}],"meta":{"security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"R"}]},"link":[{"other":{"reference":"Patient/open"},"type":"seealso"}]}`)
	system.put(strings.Replace(observation("h", "hidden", "70"), `"status"`, `"performer":[{"reference":"Patient/open"}],"status"`, 1))
	system.do("DELETE", "Observation/h", nil).wants(204)
	system.put(strings.Replace(observation("h2", "hidden", "70"), `"status"`, `"performer":[{"reference":"Patient/open"}],"status"`, 1))

	stranger := w.as(principal(access.Clinician, "stranger", "X26"))
	same := func(method, one, other string, body func(id string) any, headers ...string) {
		t.Helper()
		cut := func(a *answer, id string) string {
			keys := []string{}
			for k, v := range a.header {
				if k != "Date" && k != "X-Request-Id" {
					keys = append(keys, k+strings.Join(v, ","))
				}
			}
			slices.Sort(keys)
			return fmt.Sprint(a.status, keys, strings.NewReplacer("/"+id, "/ID", "="+id, "=ID", "%7C"+id, "%7CID", `%2F`+id, "%2FID").Replace(a.body))
		}
		var sent [2]any
		if body != nil {
			sent = [2]any{body(one), body(other)}
		}
		path := func(id string) string { return strings.ReplaceAll(method[strings.Index(method, " ")+1:], "ID", id) }
		verb, _, _ := strings.Cut(method, " ")
		a, b := stranger.do(verb, path(one), sent[0], headers...), stranger.do(verb, path(other), sent[1], headers...)
		if cut(a, one) != cut(b, other) {
			t.Errorf("%s tells %s from %s:\n%s\n%s", method, one, other, cut(a, one), cut(b, other))
		}
		if a.status == 200 && strings.Contains(a.body, "Hidden") || a.status == 201 {
			t.Errorf("%s: %d %s", method, a.status, a.body)
		}
	}
	for _, method := range []string{"GET Patient/ID", "GET Patient/ID/_history", "GET Patient/ID/_history/1", "GET Patient/ID/$everything", "GET Patient/ID/$meta", "GET Patient/ID/Observation", "GET Patient/ID/*",
		"GET Patient?_id=ID", "GET Patient?identifier=ID&_total=accurate", "GET Patient?_id=ID&_summary=count", "GET Observation?patient=ID&_total=accurate", "HEAD Patient/ID",
		"GET Patient?link=Patient/ID", "GET AuditEvent?patient=ID", "DELETE Patient/ID", "POST Patient/ID/$validate?mode=delete", "GET Patient/ID/$validate", "DELETE Patient?identifier=urn:test|ID", "POST Patient/ID/$meta-add"} {
		var body func(string) any
		if strings.Contains(method, "$meta-add") {
			body = func(string) any {
				return `{"resourceType":"Parameters","parameter":[{"name":"meta","valueMeta":{"tag":[{"code":"x"}]}}]}`
			}
		}
		same(method, "hidden", "hiddem", body)
	}
	// Nor do the outcomes of a patch's tests, a version's or a condition's tell what is kept.
	for _, patch := range []string{`[{"op":"replace","path":"/gender","value":"male"}]`, `[{"op":"test","path":"/name/0/family","value":"Hidden"}]`, `[{"op":"test","path":"/name/0/family","value":"x"}]`} {
		same("PATCH Patient/ID", "hidden", "hiddem", func(string) any { return patch }, "Content-Type", "application/json-patch+json")
		same("PATCH Observation/ID", "h", "k", func(string) any { return patch }, "Content-Type", "application/json-patch+json")
		same("POST ", "hidden", "hiddem", func(id string) any { return bundle("transaction", entry("PATCH", "Patient/"+id, binaryPatch(patch))) })
	}
	for _, version := range []string{`W/"1"`, `W/"2"`} {
		same("PUT Patient/ID", "hidden", "hiddem", func(id string) any { return patient(id, "x") }, "If-Match", version)
		same("DELETE Patient/ID", "hidden", "hiddem", nil, "If-Match", version)
		same("POST ", "hidden", "hiddem", func(id string) any {
			return bundle("transaction", entry("PUT", "Patient/"+id, patient(id, "x"), "ifMatch", version))
		})
	}
	for _, method := range []string{"GET Observation/ID", "GET Observation/ID/_history", "DELETE Observation/ID"} {
		same(method, "h2", "h9", nil)
		same(method, "h", "k", nil) // deleted, of a hidden person
		same(method, "o", "p", nil) // of a person who is not theirs
	}
	for _, query := range []string{"Patient?_total=accurate", "Patient?family=hidden", "Patient?family:contains=idde", "Patient?_sort=family&_total=accurate", "Patient?link=Patient/open",
		"Patient?_id=open&_revinclude=Patient:link", "Patient?_id=open&_revinclude=Observation:performer", "Patient?_has:Observation:patient:code=8867-4", "Patient?_has:Observation:performer:code=8867-4",
		"Observation?patient.family=hidden", "Observation?_total=accurate", "_history", "Patient/_history", "Observation/_history", "?_type=Patient,Observation", "Patient/open/$everything", "Patient/$meta",
		"Observation?performer=Patient/open&_include=Observation:subject", "Patient?link.family=hidden", "Patient?_summary=count"} {
		a := stranger.get(query).wants(200)
		if strings.Contains(a.body, "idden") && !strings.Contains(a.link("self"), "idden") || strings.Contains(a.body, `"resourceType":"Observation"`) {
			t.Errorf("%s tells: %s", query, a.body)
		}
	}
	stranger.get("Patient?_total=accurate").is("total", "1")
	stranger.get("Observation?_total=accurate").is("total", "0")
	stranger.get("Patient?_has:Observation:patient:code=8867-4").is("total", "0")

	// Whoever looks after the person sees them.
	w.relate("X26", "hidden", "carer")
	carer := w.as(principal(access.Clinician, "carer", "X26"))
	carer.get("Patient/hidden").wants(200)
	carer.get("Patient?_has:Observation:patient:code=8867-4").is("total", "1")
	carer.get("Patient?_id=open&_revinclude=Patient:link").is("entry.1.resource.id", "hidden")
	carer.get("Patient/hidden/$everything").is("entry.0.resource.id", "hidden")
}

// Roles do what they are for, everything is on the account, and auditors read it as AuditEvent.
func TestRolesAndTheAccount(t *testing.T) {
	w := newWorld(t, setting{})
	system := w.system().at(hospital)
	system.put(patient("1", "Smith"))
	system.put(observation("o", "1", "70"))
	at := func(role access.Role, id string) *caller {
		p := principal(role, id)
		if role == access.Patient {
			p.Person = "1"
		}
		return w.as(p).at(hospital)
	}
	w.relate(hospital, "1", "doctor")
	doctor, clerk, person := at(access.Clinician, "doctor"), at(access.Clerk, "clerk"), at(access.Patient, "person")
	auditor, admin := at(access.Auditor, "auditor"), at(access.Administrator, "admin")
	for _, ask := range []struct {
		c      *caller
		method string
		path   string
		body   any
		status int
	}{
		{doctor, "GET", "Patient/1", nil, 200}, {doctor, "GET", "Observation/o", nil, 200}, {doctor, "PUT", "Observation/o", observation("o", "1", "71"), 200},
		{doctor, "GET", "AuditEvent", nil, 403}, {doctor, "GET", "AuditEvent?patient=1", nil, 200}, {doctor, "DELETE", "Organization/x", nil, 404}, {doctor, "PUT", "Organization/x", `{"resourceType":"Organization","id":"x","name":"x"}`, 403},
		{clerk, "GET", "Patient/1", nil, 200}, {clerk, "GET", "Observation/o", nil, 403}, {clerk, "GET", "Observation?code=x", nil, 403}, {clerk, "DELETE", "Patient/1", nil, 403},
		{person, "GET", "Patient/1", nil, 200}, {person, "GET", "Observation?patient=1", nil, 200}, {person, "PUT", "Patient/1", patient("1", "Me"), 403}, {person, "GET", "AuditEvent", nil, 200}, {person, "GET", "AuditEvent?patient=2", nil, 404},
		{auditor, "GET", "AuditEvent", nil, 200}, {auditor, "GET", "Patient/1", nil, 403}, {auditor, "GET", "Observation?code=x", nil, 403}, {auditor, "PUT", "Patient/1", patient("1", "x"), 403},
		{admin, "PUT", "Organization/x", `{"resourceType":"Organization","id":"x","name":"x"}`, 201}, {admin, "GET", "Patient/1", nil, 403}, {admin, "GET", "AuditEvent", nil, 403},
		{doctor, "PUT", "AuditEvent/x", `{"resourceType":"AuditEvent","id":"x"}`, 405}, {auditor, "DELETE", "AuditEvent/0-1", nil, 405}, {system, "POST", "AuditEvent", `{"resourceType":"AuditEvent"}`, 405}, {system, "DELETE", "AuditEvent?date=2020", nil, 405},
	} {
		a := ask.c.do(ask.method, ask.path, ask.body)
		if a.status != ask.status {
			t.Errorf("%s: %s %s: %d, want %d: %.300s", ask.c.who.ID, ask.method, ask.path, a.status, ask.status, a.body)
		}
	}
	// A stranger of another organisation may not act here at all.
	outsider := principal(access.Clinician, "outsider")
	outsider.Organisation = w.node.Kernel().National
	w.as(outsider).at(hospital).get("Patient/1").wants(403)

	for query, least := range map[string]int{
		"patient=1": 6, "agent=doctor": 4, "patient=Patient/1&agent=person&action=R": 1, "agent=clerk&outcome=4": 3, "agent=admin&outcome=4": 2, "action=C": 2, "action=U&agent=doctor": 1,
		"agent=doctor&subtype=read": 2, "date=ge2020&outcome=0": 6, "agent-organization=" + hospital: 6, "agent=outsider&outcome=4": 1, "_sort=-date&_count=3": 3,
	} {
		a := auditor.get("AuditEvent?" + query).wants(200)
		if got := len(a.ids("match")); got < least {
			t.Errorf("AuditEvent?%s: %d entries, want %d at least: %s", query, got, least, a.body)
		}
	}
	auditor.get("AuditEvent?date=lt2020").wants(200)
	for _, bad := range []string{"nonsense=1", "_sort=agent", "action=X", "outcome=9", "date=never", "_count=x", "_count=-1", "_count=0", "_cursor=x"} {
		auditor.get("AuditEvent?" + bad).wants(400)
	}
	page := auditor.get("AuditEvent?patient=1&_count=2").wants(200)
	seen := map[string]bool{}
	for path := "AuditEvent?patient=1&_count=2"; path != "" && len(seen) < 100; {
		a := auditor.get(path).wants(200)
		for _, id := range a.ids("match") {
			if seen[id] {
				t.Errorf("%s twice", id)
			}
			seen[id] = true
		}
		path = a.link("next")
	}
	if len(seen) < 6 {
		t.Errorf("%d entries in pages", len(seen))
	}
	first := page.ids("match")[0]
	auditor.get(first).wants(200).is("resourceType", "AuditEvent")
	person.get(first).wants(200)
	clerk.get(first).wants(403)
	another := principal(access.Clinician, "another", hospital)
	another.Organisation = w.node.Kernel().National
	w.as(another).at(hospital).get(first).wants(404)
	auditor.get("AuditEvent/0-999999").wants(404)
	auditor.get("AuditEvent/x").wants(404)
	auditor.do("POST", "AuditEvent/_search", "patient=1", "Content-Type", "application/x-www-form-urlencoded").wants(200)
	if got := auditor.get("AuditEvent?patient=1", "Accept", "application/fhir+xml").wants(200); !strings.Contains(got.body, "<AuditEvent>") {
		t.Errorf("in XML: %.300s", got.body)
	}
	// Looking in the account is on the account.
	if got := auditor.get("AuditEvent?agent=auditor").wants(200).ids("match"); len(got) == 0 {
		t.Error("the auditor is not on the account")
	}
	for e := range auditor.get("AuditEvent?_count=1000").resource().Get("entry").Items() {
		a := auditor.do("POST", "AuditEvent/$validate", string(e.Field("resource").Raw()))
		if strings.Contains(a.body, `"severity":"error"`) {
			t.Errorf("%s\n%s", e.Field("resource").Raw(), a.body)
		}
	}
}

// A patient who was found under two numbers sees both charts and the account of both, until they are parted.
func TestAPatientSeesTheirLinkedCharts(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		system := w.system().at(hospital)
		for _, id := range []string{"ann", "nan"} {
			system.put(patient(id, "Marsh"))
			system.put(observation("of-"+id, id, "71"))
		}
		her := principal(access.Patient, "ann-herself", hospital)
		her.Organisation, her.Person = ident.ODSCode{}, "ann"
		c := w.as(her).at(hospital)
		w.link("nan", "ann", w.node.Kernel().Records.Merge)
		c.get("Patient/nan").wants(200)
		c.get("Observation/of-nan").wants(200)
		for _, query := range []string{"Observation", "Observation?patient=ann", "Observation?patient=nan", "Patient/ann/Observation"} {
			if got := c.get(query).wants(200).ids("match"); len(got) != 2 {
				t.Errorf("%s: %v", query, got)
			}
		}
		everything := c.get("Patient/ann/$everything").wants(200).body
		account := c.get("AuditEvent").wants(200).body
		for _, want := range []string{"Patient/ann", "Patient/nan"} {
			if !strings.Contains(everything, want) || !strings.Contains(account, want) {
				t.Errorf("nothing of %s in $everything, or on the account", want)
			}
		}
		w.link("nan", "ann", w.node.Kernel().Records.Unmerge)
		c.get("Patient/nan").wants(404)
		c.get("Observation/of-nan").wants(404)
		if got := c.get("Observation").wants(200).ids("match"); len(got) != 1 {
			t.Errorf("parted: %v", got)
		}
		if strings.Contains(c.get("AuditEvent").wants(200).body, "Patient/nan") {
			t.Error("parted: the account of the other is shown")
		}
	})
}

// link merges or parts two charts.
func (w *world) link(chart, survivor string, do func(tx *store.Tx, gate *access.Gate, tenant ident.ODSCode, chart, survivor, reason string, grants ...access.Grant) error) {
	w.t.Helper()
	ctx, k, tenant := context.Background(), w.node.Kernel(), ident.MustODSCode(hospital)
	var acts []access.Act
	for _, id := range []string{chart, survivor} {
		place, err := k.Records.Locate(ctx, record.Ref{Tenant: tenant, Type: "Patient", ID: id})
		if err != nil {
			w.t.Fatal(err)
		}
		acts = append(acts, access.Act{Action: access.Update, Place: place})
	}
	grants, err := k.Gate.DecideAll(ctx, access.Service("test", tenant), acts)
	if err != nil {
		w.t.Fatal(err)
	}
	err = k.Gate.Act(ctx, grants, k.Records.LinkLanes(tenant, chart, survivor), func(tx *store.Tx) error {
		return do(tx, k.Gate, tenant, chart, survivor, "one person, registered twice", grants...)
	})
	if err != nil {
		w.t.Fatal(err)
	}
}
