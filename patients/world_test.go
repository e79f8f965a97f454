package patients_test

import (
	"context"
	"strings"
	"testing"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/sim/simtest"
)

var shared = simtest.Share("patients", owner)

func TestMain(m *testing.M) { shared.Main(m) }

func given(t testing.TB) *simtest.World {
	t.Helper()
	return shared.Given(t)
}

// owner is a service that owns the patients and lets nobody be called Nemo.
func owner(catalogue.Kernel) []catalogue.Service {
	return []catalogue.Service{{Name: "names", Summary: "Who may be called what.", Owns: []catalogue.Owned{{Type: "Patient", Check: func(_ context.Context, d *record.Draft) error {
		if d.Resource() != nil && d.Resource().Get("name.0.given.0").String() == "Nemo" {
			return fault.New(fault.Unprocessable, "Nobody may be called Nemo.")
		}
		return nil
	}}}}}
}

// seal marks an entry as sealed by the person's choice.
func seal(t testing.TB, w *simtest.World, tenant, typ, id string) {
	t.Helper()
	ctx, k := context.Background(), w.Node.Kernel()
	ref := record.Ref{Tenant: ident.MustODSCode(tenant), Type: typ, ID: id}
	place, err := k.Records.Locate(ctx, ref)
	if err != nil {
		t.Fatal(err)
	}
	g, err := k.Gate.Decide(ctx, access.Service("test", ref.Tenant), access.Read, place)
	if err != nil {
		t.Fatal(err)
	}
	v, err := k.Records.Read(ctx, g, ref)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := fhir.Parse([]byte(strings.Replace(string(v.Resource.JSON()), "{", `{"meta":{"security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"R"}]},`, 1)))
	if v.Resource.Get("meta").Exists() {
		t.Fatal("the entry has a meta of its own")
	}
	if err != nil {
		t.Fatal(err)
	}
	l := w.Node.Loader("test", ref.Tenant, nil)
	if err := l.Add(ctx, sealed); err != nil {
		t.Fatal(err)
	}
	if err := l.Flush(ctx); err != nil {
		t.Fatal(err)
	}
}
