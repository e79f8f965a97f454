package pkcs11_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/network/pkcs11"
)

func TestAURIThatIsUnderstood(t *testing.T) {
	for uri, want := range map[string]pkcs11.Location{
		"pkcs11:token=Authority?module-path=/usr/lib/m.so&pin-source=file:/etc/pin":                   {Module: "/usr/lib/m.so", Token: "Authority", PIN: "/etc/pin"},
		"pkcs11:token=The%20CA%3B%201?pin-source=file:///etc/my%20pin&module-path=/usr/lib/m.so":      {Module: "/usr/lib/m.so", Token: "The CA; 1", PIN: "/etc/my pin"},
		"pkcs11:serial=00ab;token=Caf%C3%A9%26Co?module-path=/opt/a%3Fb.so&pin-source=file:/etc/p%25": {Module: "/opt/a?b.so", Token: "Café&Co", Serial: "00ab", PIN: "/etc/p%"},
	} {
		got, err := pkcs11.Parse(uri)
		if err != nil || got != want {
			t.Errorf("%s: %+v, want %+v (%v)", uri, got, want, err)
		}
		if again, err := pkcs11.Parse(got.String()); err != nil || again != want {
			t.Errorf("%s is written as %s: %+v (%v)", uri, got, again, err)
		}
	}
}

func TestAURIThatIsRefused(t *testing.T) {
	for _, uri := range []string{
		"", "token=A", "PKCS11:token=A?module-path=/m.so&pin-source=file:/p", "pkcs11:", "pkcs11:token=A", "pkcs11:?module-path=/m.so&pin-source=file:/p",
		"pkcs11:token=A?module-path=m.so&pin-source=file:/p", "pkcs11:token=A?module-path=/m.so", "pkcs11:token=A?module-path=/m.so&pin-source=p",
		"pkcs11:token=A?module-path=/m.so&pin-value=1234", "pkcs11:token=A;object=key?module-path=/m.so&pin-source=file:/p",
		"pkcs11:token=A;token=B?module-path=/m.so&pin-source=file:/p", "pkcs11:token=%zz?module-path=/m.so&pin-source=file:/p",
		"pkcs11:token=%00?module-path=/m.so&pin-source=file:/p", "pkcs11:token?module-path=/m.so&pin-source=file:/p",
		"pkcs11:token=A?module-path=/m.so&pin-source=file:/p&&", "pkcs11:module-path=/m.so?token=A&pin-source=file:/p",
		"pkcs11:token=A?module-path=/m.so&pin-source=https://example.org/pin",
	} {
		if l, err := pkcs11.Parse(uri); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %+v, %v", uri, l, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("pkcs11:token=A%20b?module-path=/usr/lib/m.so&pin-source=file:/etc/pin")
	f.Add("pkcs11:serial=1;token=%3f?pin-source=file:///p&module-path=/m")
	f.Add("pkcs11:token=0?module-path=//0/../m&pin-source=//")
	f.Fuzz(func(t *testing.T, uri string) {
		l, err := pkcs11.Parse(uri)
		if err != nil {
			return
		}
		if again, err := pkcs11.Parse(l.String()); err != nil || again != l {
			t.Errorf("%q is %+v, written as %q is %+v (%v)", uri, l, l, again, err)
		}
	})
}

func TestADeviceThatIsNotThere(t *testing.T) {
	l := pkcs11.Location{Module: "/nowhere/module.so", Token: "Authority", PIN: filepath.Join(t.TempDir(), "pin")}
	if err := os.WriteFile(l.PIN, []byte("1234\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := pkcs11.Open(l); !fault.Is(err, fault.Unavailable) {
		t.Errorf("%v", err)
	}
}
