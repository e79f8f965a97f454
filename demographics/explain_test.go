package demographics

import (
	"math"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/openspine/openspine/fhir"
)

// somebody is a record from a few names, so that many of them are nearly alike.
func somebody(r *rand.Rand) features {
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	f := features{gender: "mf"[r.IntN(2)], born: int32(r.IntN(2)), died: noDay, practice: pick("", "Y12345")}
	for range 1 + r.IntN(2) {
		f.names = append(f.names, nameFeature{past: r.IntN(3) == 0, family: pick("Smith", "Smythe", "Zoë", "Zoe", "Jones", "Wright"), given: []string{pick("Jane", "Jayne", "Smith"), pick("Ann", "Anne")}[:r.IntN(3)]})
	}
	for range r.IntN(3) {
		f.postcodes = append(f.postcodes, pastText{r.IntN(2) == 0, pick("LS1 6AE", "LS1 6AF", "DN17 4AA")})
	}
	return f
}

// The score of a match is the mean of the reasons that count, whatever is asked of whomever.
func TestReasonsAddUpToTheScore(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(7, 7))
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	explained := 0
	for range 20_000 {
		f := somebody(r)
		values := map[string][]string{pBorn: {pick("1970-01-01", "1970-01-02")}, pFamily: {pick("Smith", "Smyth", "Zoe", "Jane", "Sm*")}}
		for name, list := range map[string][]string{pGiven: {"Jane", "Smith", "Ann"}, pGender: {"male", "female"}, pPostcode: {"LS1 6AE", "LS1*"}, pPractice: {"Y12345"}, pFuzzy: {"true"}, pHistory: {"true"}, pDied: {"1970-01-01"}} {
			if r.IntN(2) == 0 {
				values[name] = []string{pick(list...)}
			}
		}
		q, err := parseQuery(values, workerMode, 20_000)
		if err != nil {
			continue
		}
		score, ok := q.matching(&f)
		if !ok {
			continue
		}
		explained++
		sum, n := 0.0, 0.0
		for _, why := range q.explain(&f) {
			if why.Counts {
				sum += why.Share
				n++
			}
			if why.Agreement == "" || why.Share < 0 || why.Share > 1 || why.Agreement == Nearly && why.How == "" {
				t.Fatalf("%+v of %+v", why, f)
			}
		}
		if n == 0 || math.Abs(sum/n-score) > 1e-4 {
			t.Fatalf("%v is explained as %v of %v for %v in %+v", score, sum, n, values, f)
		}
	}
	if explained < 200 {
		t.Errorf("only %d matches were explained", explained)
	}
}

// What a page wants a record to say comes about by edits that the rules take, and nothing else changes.
func TestEditsMakeOneRecordOfAnother(t *testing.T) {
	t.Parallel()
	before := parsed(t, `{"resourceType":"Patient","id":"9990000018","name":[{"id":"a","use":"usual","family":"Smith","given":["Jane"],"period":{"start":"2020-01-01"}}],
		"gender":"female","birthDate":"2010-10-22","telecom":[{"id":"t1","use":"home","system":"phone","value":"01632 960587","period":{"start":"2020-01-01"}},
		{"id":"t2","use":"mobile","system":"phone","value":"07700 900001","period":{"start":"2020-01-01"}}],
		"extension":[{"url":"`+NominatedURL+`","valueReference":{"identifier":{"system":"https://fhir.nhs.uk/Id/ods-organization-code","value":"FZZ99"}}}]}`)
	doc, err := objectOf(before)
	if err != nil {
		t.Fatal(err)
	}
	want := clone(doc).(object)
	want["name"].([]any)[0].(object)["family"] = "Jones"
	want["birthDate"] = "2010-10-23"
	want["telecom"] = []any{want["telecom"].([]any)[1], object{"use": "work", "system": "email", "value": "jane@example.com", "period": object{"start": "2021-01-01"}}}
	delete(want, "extension")
	r := rules{mode: workerMode, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), request: "r"}
	res, err := r.apply(before, editsBetween(doc, want))
	if err != nil {
		t.Fatalf("%v: %+v", problemOf(err), editsBetween(doc, want))
	}
	got, err := objectOf(res)
	if err != nil {
		t.Fatal(err)
	}
	added := got["telecom"].([]any)[1].(object)
	if added["id"] == nil {
		t.Error("what was added has no id")
	}
	delete(added, "id")
	if !reflect.DeepEqual(got, want) {
		t.Errorf("have %v\nwant %v", got, want)
	}
	if same := editsBetween(doc, doc); len(same) != 0 {
		t.Errorf("nothing changed, and yet: %+v", same)
	}
}

func parsed(t *testing.T, text string) *fhir.Resource {
	t.Helper()
	res, err := fhir.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return res
}
