package record_test

import (
	"context"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/fhir/definition"
	"github.com/openspine/openspine/fhir/fhirxml"
	"github.com/openspine/openspine/fhir/search"
	"github.com/openspine/openspine/internal/spectest"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/store/storetest"
)

// find runs a search as the world's principal.
func (w *world) find(query string) (record.Page, error) {
	w.t.Helper()
	typ, params, _ := strings.Cut(query, "?")
	values, err := url.ParseQuery(params)
	if err != nil {
		w.t.Fatalf("%s: %v", query, err)
	}
	return w.search(typ, values)
}

func (w *world) search(typ string, values url.Values) (record.Page, error) {
	w.t.Helper()
	q, _, err := w.recs.ParseQuery(typ, values, false)
	if err != nil {
		return record.Page{}, err
	}
	s, err := w.gate.DecideSet(context.Background(), w.who, access.Search, hospital, nil)
	if err != nil {
		return record.Page{}, err
	}
	return w.recs.Search(context.Background(), s, q)
}

func ids(list []record.Version) []string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = v.ID
	}
	return out
}

// Each of HL7's published examples is stored alone, read back as it was, and found by every value of every search parameter.
func TestHL7ExamplesAreFoundByEachOfTheirParameters(t *testing.T) {
	t.Parallel()
	dir := spectest.Dir(t, "fhir-test-cases", "r4", "examples")
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	resources, queries, parameters := 0, 0, map[string]bool{}
	for _, file := range files {
		res := example(t, filepath.Join(dir, file.Name()))
		if res == nil || res.Type() == "AuditEvent" { // the account is written by the acts themselves, never by a client
			continue
		}
		resources++
		t.Run(file.Name(), func(t *testing.T) {
			w := over(t, storetest.Open(t, audit.Schema(), access.Schema(), record.Schema()), record.Options{})
			v := w.must(record.Change{Verb: record.Put, Ref: ref(res.Type(), res.ID()), Resource: res})
			back, err := w.read(v.Ref)
			if err != nil || string(back.Resource.JSON()) != string(res.JSON()) {
				t.Fatalf("not read back as it was: %v", err)
			}
			entries, err := search.Extract(res)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range entries {
				if e.Code == "_lastUpdated" || strays(res.Type(), e) {
					continue
				}
				for _, q := range questions(e.Code, e.Value) {
					queries++
					parameters[res.Type()+"."+e.Code] = true
					page, err := w.search(res.Type(), q)
					if err != nil || len(page.Matches) != 1 {
						t.Errorf("%v finds %d (%v)", q, len(page.Matches), err)
					}
				}
			}
		})
	}
	t.Logf("%d examples, %d parameters, %d searches", resources, len(parameters), queries)
	if resources < 70 {
		t.Errorf("only %d examples were read", resources)
	}
}

// example reads a published example; nil for what is no resource of R4.
func example(t *testing.T, path string) *fhir.Resource {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var res *fhir.Resource
	switch filepath.Ext(path) {
	case ".json":
		res, err = fhir.Parse(b)
	case ".xml":
		res, err = fhirxml.Decode(b, definition.R4())
	default:
		return nil
	}
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	if res.ID() == "" {
		res = res.WithID("example")
	}
	return res
}

// strays reports whether a reference is to a type that its parameter does not admit, as some published examples have.
func strays(typ string, e search.Entry) bool {
	ref, ok := e.Value.(search.Reference)
	sp, known := definition.R4().SearchParameter(typ, e.Code)
	return ok && known && ref.Relative() && !slices.Contains(sp.Targets, ref.Type) && !slices.Contains(sp.Targets, "Resource")
}

var escape = strings.NewReplacer(`\`, `\\`, `,`, `\,`, `|`, `\|`, `$`, `\$`)

// questions are searches that must find a value.
func questions(code string, v search.Value) []url.Values {
	ask := func(pairs ...string) url.Values {
		q := url.Values{}
		for i := 0; i < len(pairs); i += 2 {
			q.Add(pairs[i], pairs[i+1])
		}
		return q
	}
	switch v := v.(type) {
	case search.String:
		return []url.Values{ask(code, escape.Replace(v.Text)), ask(code+":exact", escape.Replace(v.Text)),
			ask(code+":contains", escape.Replace(v.Folded[len(v.Folded)/2:]))}
	case search.Token:
		var all []url.Values
		if code == "_id" {
			return []url.Values{ask(code, v.Code), ask(code, text(v))}
		}
		if v.Code != "" {
			all = append(all, ask(code, text(v)), ask(code, escape.Replace(v.Code)), ask(code+":missing", "false"))
		}
		if v.Text != "" {
			all = append(all, ask(code+":text", escape.Replace(v.Text)))
		}
		for _, typ := range v.Types {
			all = append(all, ask(code+":of-type", escape.Replace(typ.System)+"|"+escape.Replace(typ.Code)+"|"+escape.Replace(v.Code)))
		}
		return all
	case search.Date:
		if v.Lo == search.Beginning {
			return []url.Values{ask(code, "le"+instant(v.Hi))}
		}
		return []url.Values{ask(code, "ge"+instant(v.Lo)), ask(code, "ge"+instant(v.Lo), code, "le"+instant(min(v.Hi, v.Lo+1e15)))}
	case search.Reference:
		var all []url.Values
		if v.URL != "" {
			all = append(all, ask(code, text(v)))
		}
		if v.Relative() {
			all = append(all, ask(code+":"+v.Type, v.ID), ask(code, v.ID))
		}
		if v.Identifier.Code != "" {
			all = append(all, ask(code+":identifier", text(v.Identifier)))
		}
		return all
	case search.URI:
		return []url.Values{ask(code, text(v)), ask(code+":below", text(v)), ask(code+":above", text(v))}
	default:
		if s := text(v); s != "" {
			return []url.Values{ask(code, s)}
		}
	}
	return nil
}

func instant(us int64) string { return time.UnixMicro(us).UTC().Format("2006-01-02T15:04:05.000000Z") }

// text is a value as a search for exactly it writes it; "" where there is no such search.
func text(v search.Value) string {
	switch v := v.(type) {
	case search.Token:
		system := v.System
		if system == "" {
			system = v.Implied
		}
		return escape.Replace(system) + "|" + escape.Replace(v.Code)
	case search.String:
		return escape.Replace(v.Text)
	case search.Date:
		if v.Lo == search.Beginning {
			return "le" + instant(v.Hi)
		}
		return "ge" + instant(v.Lo)
	case search.Number:
		return strconv.FormatFloat(v.Value, 'f', -1, 64)
	case search.Quantity:
		s := strconv.FormatFloat(v.Value, 'f', -1, 64)
		if math.IsInf(v.Lo, 0) {
			s = "lt" + strconv.FormatFloat(v.Value+1, 'f', -1, 64)
		}
		if math.IsInf(v.Hi, 0) {
			s = "gt" + strconv.FormatFloat(v.Value-1, 'f', -1, 64)
		}
		if v.Code == "" {
			return s + "||" + escape.Replace(v.Unit)
		}
		return s + "|" + escape.Replace(v.System) + "|" + escape.Replace(v.Code)
	case search.Reference:
		if v.Relative() {
			return v.Type + "/" + v.ID
		}
		s := escape.Replace(v.URL)
		if v.Version != "" {
			s += "|" + v.Version
		}
		return s
	case search.URI:
		return escape.Replace(v.URI)
	case search.Near:
		return strconv.FormatFloat(v.Latitude, 'f', -1, 64) + "|" + strconv.FormatFloat(v.Longitude, 'f', -1, 64) + "|1|km"
	case search.Composite:
		parts := make([]string, len(v.Parts))
		for i, p := range v.Parts {
			if parts[i] = text(p); parts[i] == "" || parts[i] == "|" {
				return ""
			}
		}
		return strings.Join(parts, "$")
	}
	return ""
}
