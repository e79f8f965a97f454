package validate_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/openspine/openspine/fhir/definition"
	"github.com/openspine/openspine/fhir/validate"
	"github.com/openspine/openspine/internal/spectest"
)

var update = flag.Bool("update", false, "write the golden files anew")

// ukCore is R4 with UK Core's published definitions over it.
func ukCore(t testing.TB) *definition.Set {
	t.Helper()
	dir := spectest.Dir(t, "ukcore")
	set := definition.R4()
	var paths []string
	for _, part := range []string{"structuredefinitions", "valuesets", "codesystems"} {
		paths = append(paths, filepath.Join(dir, part))
	}
	set, err := definition.Load(set, paths...)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// profileOf is the UK Core profile that an example is of: the longest whose name begins the file's, or else that of its type. The
// published examples do not say it in meta.profile.
func profileOf(set *definition.Set, file, typ string) string {
	const base = "https://fhir.hl7.org.uk/StructureDefinition/"
	best := ""
	for _, url := range set.Profiles() {
		name := strings.TrimPrefix(url, base)
		if p := set.Profile(url); p.Type == typ && strings.HasPrefix(file, name+"-") && len(name) > len(best) {
			best = name
		}
	}
	if best == "" {
		best = "UKCore-" + typ
	}
	return base + best
}

// Each of UK Core's examples is held to its profile. The golden file lists each that does not keep to it, with every reason.
func TestUKCoreProfiles(t *testing.T) {
	set := ukCore(t)
	files := published(t, "ukcore/examples")
	var golden strings.Builder
	conform, without := 0, 0
	for _, file := range files {
		name := filepath.Base(file)
		r, err := read(t, file)
		if err != nil {
			fmt.Fprintf(&golden, "%s\n  cannot be read: it gives one choice twice\n", name)
			continue
		}
		url := profileOf(set, name, r.Type())
		if set.Profile(url) == nil {
			without++
			fmt.Fprintf(&golden, "%s\n  UK Core has no profile of %s\n", name, r.Type())
			continue
		}
		issues := validate.Validate(t.Context(), r, validate.Options{Definitions: set, Profiles: []string{url}, Claims: true})
		if !validate.Fails(issues) {
			conform++
		}
		var lines []string
		for _, i := range issues {
			if i.Severity == "error" {
				lines = append(lines, fmt.Sprintf("  %s %s: %s", i.Code, i.Expression[0], i.Diagnostics))
			}
		}
		if len(lines) > 0 {
			fmt.Fprintf(&golden, "%s (%s)\n%s\n", name, filepath.Base(url), strings.Join(slices.Compact(lines), "\n"))
		}
	}
	text := fmt.Sprintf("%d of %d of UK Core's examples keep to their profile; %d have none.\n\n%s", conform, len(files), without, golden.String())
	path := filepath.Join("testdata", "ukcore.golden")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != text {
		t.Errorf("the examples come out otherwise than %s says (-update writes it):\n%s", path, text)
	}
}
