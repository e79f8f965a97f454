package fhirapi_test

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/fhir/definition"
	"github.com/openspine/openspine/fhir/fhirxml"
	"github.com/openspine/openspine/fhir/search"
	"github.com/openspine/openspine/internal/spectest"
)

// specimen is one published example.
type specimen struct {
	name string
	text []byte
	xml  bool
	res  *fhir.Resource // nil when it cannot be read
}

func specimens(t *testing.T, dir string) []specimen {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []specimen
	for _, f := range files {
		s := specimen{name: f.Name(), xml: filepath.Ext(f.Name()) == ".xml"}
		if !s.xml && filepath.Ext(f.Name()) != ".json" {
			continue
		}
		if s.text, err = os.ReadFile(filepath.Join(dir, f.Name())); err != nil {
			t.Fatal(err)
		}
		if s.xml {
			s.res, err = fhirxml.Decode(s.text, definition.R4())
		} else {
			s.res, err = fhir.Parse(s.text)
		}
		if err == nil && s.res.ID() == "" { // some have no id, which a PUT needs
			s.res = s.res.WithID("example")
			s.text = s.res.JSON()
			if s.xml {
				if s.text, err = fhirxml.Encode(s.res, definition.R4()); err != nil {
					t.Fatal(err)
				}
			}
		}
		all = append(all, s)
	}
	return all
}

// shelves are organisations that each keep one example, where nothing else is.
func shelves(n int) []string {
	codes := make([]string, n)
	for i := range codes {
		codes[i] = fmt.Sprintf("T%03d", i)
	}
	return codes
}

// Every published example is stored, read back as it was, and found; each that is refused is listed with why.
func TestHL7Examples(t *testing.T) {
	all := specimens(t, spectest.Dir(t, "fhir-test-cases", "r4", "examples"))
	refusals := map[string]string{
		"auditevent-example.json":         "405: the account is written by what is done, never by a client",
		"bundle-questionnaire.json":       "422: its items lack linkId, which R4 requires",
		"codesystem-example.json":         "422: rule csd-1: two of its concepts have one code",
		"devicemetric-example.json":       "422: parent is a DeviceDefinition, where R4 has Device",
		"deviceusestatement-example.json": "422: reasonReference is a Procedure, which R4 does not admit there",
		"medicationrequest0301.json":      "422: performer is a Practitioner, where R4 has Organization",
		"subscription-example.json":       "404: a Subscription is made by POST, and its server gives it its id",
	}
	stored, queries := examples(t, all, refusals, true)
	if len(all) != 82 || stored+len(refusals) != len(all) {
		t.Errorf("%d of %d examples were stored", stored, len(all))
	}
	t.Logf("%d of %d of HL7's examples stored and read back equal, found by %d searches", stored, len(all), queries)
}

// UK Core's examples are XML; they are base R4 with extensions.
func TestUKCoreExamples(t *testing.T) {
	all := specimens(t, spectest.Dir(t, "ukcore", "examples"))
	refusals := map[string]string{
		"UKCore-AuditEvent-Query-Example.xml":                     "405: the account is written by what is done, never by a client",
		"Extension-UKCore-SubscriptionParameters-Example.xml":     "404: a Subscription is made by POST, and its server gives it its id",
		"Extension-UKCore-ConditionEpisode-Example.xml":           "422: it makes the choice of an extension's value twice",
		"UKCore-MedicationDispense-Amoxicillin-Example.xml":       "422: a reference is neither an address nor Type/id",
		"UKCore-MedicationDispense-CiprofloxacinIV-Example.xml":   "422: a reference is neither an address nor Type/id",
		"UKCore-MedicationDispense-CiprofloxacinOral-Example.xml": "422: a reference is neither an address nor Type/id",
		"UKCore-Provenance-RARecordConsent-Example.xml":           "422: a reference is neither an address nor Type/id",
	}
	stored, _ := examples(t, all, refusals, false)
	t.Logf("%d of %d of UK Core's examples stored and read back equal", stored, len(all))
	if stored+len(refusals) != len(all) {
		t.Errorf("%d of %d examples were stored", stored, len(all))
	}
}

func examples(t *testing.T, all []specimen, refusals map[string]string, find bool) (stored, queries int) {
	codes := shelves(len(all))
	w := newWorld(t, setting{tenants: codes})
	loader := w.as(principal(access.SystemClient, "loader", codes...))
	for i, s := range all {
		c := loader.at(codes[i]).in(t)
		typ, id, media := "Patient", "x", "application/fhir+json"
		if s.res != nil {
			typ, id = s.res.Type(), s.res.ID()
		}
		if s.xml {
			media = "application/fhir+xml"
		}
		a := c.do("PUT", typ+"/"+id, s.text, "Content-Type", media)
		if why, ok := refusals[s.name]; ok != (a.status >= 400) {
			t.Errorf("%s: %d (expected %q): %.1000s", s.name, a.status, why, a.body)
			continue
		} else if ok {
			if !strings.HasPrefix(why, strconv.Itoa(a.status)) {
				t.Errorf("%s is refused with %d: %s", s.name, a.status, a.body)
			}
			t.Logf("%s is refused: %s", s.name, why)
			continue
		}
		stored++
		back := c.get(typ+"/"+id, "Accept", media).wants(200)
		want, got := string(s.text), back.body
		if s.xml {
			want, got = canonical(t, want), canonical(t, got)
			if disordered(s.name) {
				want, got = sorted(want), sorted(got)
			}
		} else {
			want, got = unstamped(want), unstamped(got)
		}
		if want != got {
			i := 0
			for i < min(len(want), len(got)) && want[i] == got[i] {
				i++
			}
			t.Errorf("%s is not read back as it was: at %d\n%.200s\nis\n%.200s", s.name, i, want[max(0, i-50):], got[max(0, i-50):])
		}
		if find {
			queries += found(t, c, s)
		}
	}
	return stored, queries
}

// disordered reports whether a published example has its elements in another order than R4's schema, into which they are put.
func disordered(name string) bool {
	return slices.Contains([]string{"Extension-UKCore-CodingSCT-IllicitDrugs-Example.xml", "UKCore-Observation-Lab-Albumin-Example.xml", "UKCore-Questionnaire-EOLPlan-Example.xml"}, name)
}

func sorted(lines string) string {
	list := strings.Split(lines, "\n")
	slices.Sort(list)
	return strings.Join(list, "\n")
}

// found asks for a resource by each of its search parameters.
func found(t *testing.T, c *caller, s specimen) (queries int) {
	entries, err := search.Extract(s.res)
	if err != nil {
		t.Fatal(err)
	}
	asked := map[string]bool{}
	for _, e := range entries {
		q := question(e.Code, e.Value)
		sp, ok := definition.R4().SearchParameter(s.res.Type(), e.Code)
		ref, isRef := e.Value.(search.Reference)
		if q == "" || asked[q] || e.Code == "_lastUpdated" || !ok ||
			isRef && ref.Relative() && !slices.Contains(sp.Targets, ref.Type) && !slices.Contains(sp.Targets, "Resource") { // a target that the definitions do not admit
			continue
		}
		asked[q] = true
		queries++
		if a := c.get(s.res.Type() + "?" + q); a.status != 200 || len(a.ids("match")) != 1 {
			t.Errorf("%s is not found by %s: %d %.300s", s.name, q, a.status, a.body)
		}
	}
	return queries
}

var escaped = strings.NewReplacer(`\`, `\\`, `,`, `\,`, `|`, `\|`, `$`, `\$`)

// question is a search that must find a value; "" where there is none.
func question(code string, v search.Value) string {
	text := written(v)
	if text == "" || text == "|" {
		return ""
	}
	if code == "_id" {
		text = strings.TrimPrefix(text, "|")
	}
	return url.Values{code: {text}}.Encode()
}

// written is a value as a search writes it.
func written(v search.Value) string {
	number := func(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
	instant := func(us int64) string { return time.UnixMicro(us).UTC().Format("2006-01-02T15:04:05.000000Z") }
	switch v := v.(type) {
	case search.String:
		return escaped.Replace(v.Text)
	case search.Token:
		if v.Code == "" {
			return ""
		}
		system := v.System
		if system == "" {
			system = v.Implied
		}
		return escaped.Replace(system) + "|" + escaped.Replace(v.Code)
	case search.Date:
		if v.Lo == search.Beginning {
			return "le" + instant(v.Hi)
		}
		return "ge" + instant(v.Lo)
	case search.Number:
		return number(v.Value)
	case search.Quantity:
		if v.Code == "" {
			return "ap" + number(v.Value)
		}
		return "ap" + number(v.Value) + "|" + escaped.Replace(v.System) + "|" + escaped.Replace(v.Code)
	case search.Reference:
		if v.Relative() {
			return v.Type + "/" + v.ID
		}
		return escaped.Replace(v.URL)
	case search.URI:
		return escaped.Replace(v.URI)
	case search.Near:
		return number(v.Latitude) + "|" + number(v.Longitude) + "|1|km"
	case search.Composite:
		parts := make([]string, len(v.Parts))
		for i, p := range v.Parts {
			if parts[i] = written(p); parts[i] == "" {
				return ""
			}
		}
		return strings.Join(parts, "$")
	}
	return ""
}

var (
	stamps    = regexp.MustCompile(`"(versionId|lastUpdated)"\s*:\s*"[^"]*",?`)
	emptyMeta = regexp.MustCompile(`,?\s*"meta"\s*:\s*\{\s*\}`)
	lastComma = regexp.MustCompile(`,\s*\}`)
)

// unstamped is JSON without meta.versionId and meta.lastUpdated, which a server sets; every other byte stays.
func unstamped(s string) string {
	s = stamps.ReplaceAllString(s, "")
	s = lastComma.ReplaceAllString(s, "}")
	return emptyMeta.ReplaceAllString(s, "")
}

// canonical is XML as a list of its elements with sorted attributes, without comments, white space between elements,
// and what a server sets in meta.
func canonical(t *testing.T, s string) string {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(s))
	var out []string
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		switch x := token.(type) {
		case xml.StartElement:
			var attributes []string
			for _, a := range x.Attr {
				if a.Name.Local != "xmlns" && a.Name.Space != "xmlns" && a.Name.Local != "schemaLocation" {
					attributes = append(attributes, a.Name.Local+"="+a.Value)
				}
			}
			slices.Sort(attributes)
			out = append(out, "<"+x.Name.Local+" "+strings.Join(attributes, " ")+">")
		case xml.EndElement:
			out = append(out, "</"+x.Name.Local+">")
		case xml.CharData:
			if text := strings.Join(strings.Fields(string(x)), " "); text != "" {
				out = append(out, text)
			}
		}
	}
	var kept []string
	for i := 0; i < len(out); i++ {
		if strings.HasPrefix(out[i], "<versionId ") || strings.HasPrefix(out[i], "<lastUpdated ") {
			i++
			continue
		}
		if out[i] == "</meta>" && len(kept) > 0 && kept[len(kept)-1] == "<meta >" {
			kept = kept[:len(kept)-1]
			continue
		}
		kept = append(kept, out[i])
	}
	return strings.Join(kept, "\n")
}
