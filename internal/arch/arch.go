// Package arch is the shape of the house: which packages there are, on which floor each stands, and what
// may import what. Imports point down, never sideways between services. Its test reads the source itself,
// in the test process, so that a changed import can never hide behind a cached result.
package arch

import "strings"

// Module is the import path that every package of ours starts with.
const Module = "github.com/openspine/openspine/"

// Tier is one floor. Packages of a floor may import any lower floor.
type Tier struct {
	// Name says what lives here.
	Name string
	// Packages are paths below the module; a package's own sub-packages stand on its floor, unless they are named themselves.
	Packages []string
	// Ordered floors let a package import those that stand after it in the list; elsewhere neighbours are strangers.
	Ordered bool
}

// Tiers is the house from the roof down.
func Tiers() []Tier {
	return []Tier{
		{Name: "the binary", Packages: []string{"cmd/openspine"}},
		{Name: "the made-up country", Packages: []string{"sim"}},
		{Name: "assembly", Packages: []string{"internal/node"}},
		{Name: "services and faces", Packages: []string{
			"referral", "prescription", "summary", "programme", "hospital", "pathology", "imaging", "correspondence",
			"signin", "privacy", "upkeep", "postroom", "events", "mesh", "links", "edge", "patients", "developer",
		}},
		{Name: "registries", Packages: []string{"demographics", "directory"}},
		{Name: "what both sides agree on", Packages: []string{"booking", "referral/codes"}},
		{Name: "FHIR over the record", Packages: []string{"fhirapi"}},
		{Name: "pages", Packages: []string{"web"}},
		{Name: "what a service is", Packages: []string{"internal/catalogue"}},
		{Name: "the kernel", Ordered: true, Packages: []string{"record", "messaging", "network", "access", "audit", "store"}},
		{Name: "wire formats", Packages: []string{"fhir", "hl7v2", "dicom"}},
		{Name: "identifiers", Packages: []string{"ident"}},
		{Name: "faults", Packages: []string{"fault"}},
		{Name: "time", Packages: []string{"internal/clock", "internal/calendar"}},
	}
}

// TestOnly are helpers that only tests may import, from any floor.
func TestOnly() []string {
	return []string{"internal/arch", "internal/spectest", "network/networktest", "store/storetest", "web/webtest", "sim/simtest"}
}

// Place is a package's tier (0 is the roof), its position there, and whether the house knows it.
func Place(pkg string) (tier, position int, known bool) {
	longest := 0
	for i, t := range Tiers() {
		for j, p := range t.Packages {
			if len(p) > longest && (pkg == p || strings.HasPrefix(pkg, p+"/")) {
				tier, position, known, longest = i, j, true, len(p)
			}
		}
	}
	return tier, position, known
}

// Allowed reports whether package from may import package to, both named below the module.
func Allowed(from, to string) bool {
	ft, fp, ok := Place(from)
	if !ok {
		return false
	}
	tt, tp, ok := Place(to)
	if !ok {
		return false
	}
	switch {
	case ft != tt:
		return ft < tt
	case fp == tp:
		return true
	default:
		return Tiers()[ft].Ordered && fp < tp
	}
}
