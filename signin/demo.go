package signin

import (
	"context"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/signin/oauth"
)

// DemoSecret is the secret of the demonstration's confidential clients, which is none.
const DemoSecret = "demo-secret"

// The demonstration's clients, for a developer's first minutes.
const (
	DemoApp        = "demo-app"         // for professionals, confidential
	DemoPatientApp = "demo-patient-app" // for patients, public, asks for their agreement
	DemoSmartApp   = "demo-smart-app"   // SMART on FHIR, public, for professionals
)

// Prepare registers the clients of a demonstration that has none yet.
func (d *Door) Prepare(ctx context.Context) error {
	if !d.demo {
		return nil
	}
	back := []string{"http://127.0.0.1/callback", "http://localhost/callback", "https://example.org/callback"}
	identity := []string{"openid", "profile", "fhirUser"}
	own := access.Service("signin", d.k.National)
	for _, c := range []oauth.Client{
		{ID: DemoApp, Name: "Demonstration app", Kind: oauth.Confidential, Realm: access.Professionals, Redirects: back, Trusted: true,
			Scopes:  append([]string{"nationalrbacaccess", "associatedorgs", "selectedrole", "nhs-cis2", "launch/patient", "launch", "user/*.cruds", "patient/*.cruds"}, identity...),
			Default: []string{"user/*.cruds"}},
		{ID: DemoPatientApp, Name: "Demonstration app for patients", Kind: oauth.Public, Realm: access.Patients, Redirects: back,
			Scopes: append([]string{"nhs-login", "launch/patient", "offline_access", "patient/*.rs"}, identity...), Default: []string{"patient/*.rs"}},
		{ID: DemoSmartApp, Name: "Demonstration SMART app", Kind: oauth.Public, Realm: access.Professionals, Redirects: back,
			Scopes: append([]string{"launch/patient", "launch", "online_access", "user/*.rs", "patient/*.cruds"}, identity...)},
	} {
		_, err := d.tokens.Client(ctx, c.ID)
		if err == nil {
			continue
		}
		if !fault.Is(err, fault.NotFound) {
			return err
		}
		if c.Kind == oauth.Confidential {
			c.SetSecret(DemoSecret)
		}
		c.Organisation = ident.ODSCode{}
		if err := d.tokens.PutClient(ctx, own, c, "a demonstration"); err != nil {
			return err
		}
	}
	return nil
}
