package node_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/openspine/openspine/internal/node"
)

// How much a search may include and how long it may take is as the configuration says: the same search is answered by a node that is given no limit, and refused as too costly by one that is.
func TestAConfiguredLimitOfASearchHolds(t *testing.T) {
	t.Parallel()
	const many = "/FHIR/R4/Observation?code=http://loinc.org|8867-4"
	for name, c := range map[string]struct {
		limit func(*node.Limits)
		path  string
		says  string
	}{
		"search-included": {func(l *node.Limits) { l.SearchIncluded = 1 }, many + "&_include=Observation:subject", "would include more than 1 resources"},
		"search-time":     {func(l *node.Limits) { l.SearchTime = time.Nanosecond }, many, "took too long"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, limited := range []bool{false, true} {
				cfg, want := config(t.TempDir()), 200
				if limited {
					c.limit(&cfg.Limits)
					want = 403
				}
				r := serve(t, cfg, node.Options{}).seed()
				got := r.call("GET", c.path, r.token("clinician"), "")
				if got.status != want || limited && !strings.Contains(got.body, c.says) {
					t.Errorf("limited %v: %d, want %d: %s", limited, got.status, want, got.body)
				}
			}
		})
	}
}

// How many people one hop of a search may hold, and how many resources a search may look into, are as the configuration says. Two people of a name are within a
// hop of two: what refers to them is found by its index. Three are not: each Observation is then asked whose it is, of which a node may look into no more than
// its search-rows, and a page of the largest size.
func TestHowFarASearchMayLook(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ rows, three int }{"few rows": {100, 403}, "many rows": {5000, 200}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := config(t.TempDir())
			cfg.Limits.SearchHop, cfg.Limits.SearchRows = 2, c.rows
			r := serve(t, cfg, node.Options{}).seed()
			for id, family := range map[string]string{"a": "Hill", "b": "Hill", "c": "Dale", "d": "Dale", "e": "Dale"} {
				r.put("Practitioner", id, fmt.Sprintf(`{"resourceType":"Practitioner","id":"%s","name":[{"family":"%s"}]}`, id, family))
			}
			r.put("Practitioner", "f", `{"resourceType":"Practitioner","id":"f","name":[{"family":"Marsh"}]}`)
			token, one := r.token("clinician"), strings.Replace(strings.Replace(observation(ownNumber), `"id":"o-`+ownNumber+`",`, "", 1), `"subject"`, `"performer":[{"reference":"Practitioner/f"}],"subject"`, 1)
			many := strings.TrimSuffix(strings.Repeat(`{"resource":`+one+`,"request":{"method":"POST","url":"Observation"}},`, 400), ",")
			for range 3 { // 1,200: more than search-rows of the one node, and a page of a thousand
				r.call("POST", "/FHIR/R4", token, `{"resourceType":"Bundle","type":"transaction","entry":[`+many+`]}`).want(t, 200)
			}
			r.call("GET", "/FHIR/R4/Observation?performer:Practitioner.family=Hill", token, "").want(t, 200)
			got := r.call("GET", "/FHIR/R4/Observation?performer:Practitioner.family=Dale", token, "")
			if got.status != c.three || c.three == 403 && !strings.Contains(got.body, "too many resources") {
				t.Errorf("over the hop: %d, want %d: %s", got.status, c.three, got.body)
			}
		})
	}
}
