package provider

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/json"
	"slices"
	"testing"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/ident"
)

// FuzzKeySet: whatever a provider publishes, what is taken of it are public keys of key pairs that are long enough, and there is at least one.
func FuzzKeySet(f *testing.F) {
	f.Add([]byte(`{"keys":[]}`))
	f.Add([]byte(`{"keys":[{"kty":"oct","k":"c2VjcmV0","kid":"1"},{"kty":"RSA","n":"AQAB","e":"AQAB"},null,1]}`))
	f.Add([]byte(`{"keys":[{"kty":"EC","crv":"P-256","kid":"a","use":"sig","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		list, err := readKeySet(text)
		if (err == nil) != (len(list) > 0) {
			t.Fatalf("%d keys, %v", len(list), err)
		}
		for _, k := range list {
			switch key := k.Key.(type) {
			case *rsa.PublicKey:
				if key.N.BitLen() < 2048 {
					t.Errorf("a key of %d bits", key.N.BitLen())
				}
			case *ecdsa.PublicKey:
			default:
				t.Errorf("a key of type %T", key)
			}
		}
	})
}

// FuzzAssure: whatever a provider says of somebody, whoever is let in has a level that is known and enough, and a patient's number is one that can
// be, and was verified.
func FuzzAssure(f *testing.F) {
	f.Add([]byte(`{"identity_proofing_level":"P9","nhs_number":"9990000018"}`), true)
	f.Add([]byte(`{"vot":"P5.Cp.Cd","nhs_number":9990000018}`), true)
	f.Add([]byte(`{"authentication_assurance_level":3,"id_assurance_level":"IAL2","nhsid_useruid":["x"]}`), false)
	f.Add([]byte(`{"acr":"AAL2_OR_AAL3_ANY"}`), false)
	f.Fuzz(func(t *testing.T, text []byte, patient bool) {
		c := said{}
		if json.Unmarshal(text, &c) != nil {
			return
		}
		p := &Provider{Settings: Settings{Realm: access.Professionals, Least: "AAL2", Identifier: "nhsid_useruid"}}
		enough := []string{"AAL2", "AAL3"}
		if patient {
			p.Settings = Settings{Realm: access.Patients, Least: "P5"}
			enough = []string{"P5", "P9"}
		}
		var a Arrival
		if p.assure(&a, c) != nil {
			return
		}
		if !slices.Contains(enough, a.Assurance) || a.Proofing != "" && !slices.Contains(proofingLevels(), a.Proofing) {
			t.Errorf("let in with %q and %q", a.Assurance, a.Proofing)
		}
		if a.NHSNumber == "" {
			return
		}
		if _, err := ident.ParseNHSNumber(a.NHSNumber); err != nil || a.Assurance != "P9" || !patient {
			t.Errorf("a number that was not verified: %+v %v", a, err)
		}
	})
}
