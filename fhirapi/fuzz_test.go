package fhirapi

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/openspine/openspine/fault"
)

// An If-Match that is understood names a version that ETag would write, and is understood so again.
func FuzzVersionTag(f *testing.F) {
	for _, seed := range []string{"", "*", `W/"1"`, `"7"`, `W/"-1"`, `W/""`, `"`, "W/", `W/"99999999999999999999"`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, tag string) {
		ver, err := versionTag(tag)
		if err != nil {
			if !fault.Is(err, fault.Invalid) {
				t.Errorf("%q: %v", tag, err)
			}
			return
		}
		if again, err := versionTag(etag(ver)); ver != 0 && (err != nil || again != ver) {
			t.Errorf("%q is version %d, and then %d (%v)", tag, ver, again, err)
		}
	})
}

// Whatever is in Accept, _format and Prefer, the answer is in JSON or XML, or refused as not acceptable.
func FuzzNegotiation(f *testing.F) {
	for _, seed := range []string{"application/fhir+json", "*/*;q=0.1, application/fhir+xml", "text/html;q=NaN", "a/b;q=-1", ";;;,,,", "application/json; fhirVersion=4.0", "return=minimal; handling=lenient"} {
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, header, parameter string) {
		r := &http.Request{Header: http.Header{"Accept": {header}, "Prefer": {header}}, URL: &url.URL{RawQuery: url.Values{"_format": {parameter}}.Encode()}}
		for range 2 {
			if got, err := wanted(r); err == nil && got != formatJSON && got != formatXML || err != nil && !fault.Is(err, fault.NotAcceptable) {
				t.Errorf("%q %q: %v %v", header, parameter, got, err)
			}
			r.URL = &url.URL{}
		}
		if _, q, ok := acceptable(header); ok && !(q >= 0 && q <= 1) {
			t.Errorf("%q weighs %v", header, q)
		}
		preferences(r)
		if query := criteriaOf(header); !strings.HasSuffix(header, query) {
			t.Errorf("the criteria of %q are %q", header, query)
		}
	})
}
