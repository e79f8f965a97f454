package ers_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// examples is where the published requests and responses are.
const examples = "../../../shared/spec/ers/sandbox/src/mocks/"

// example is a published document. Without the published files a test is skipped, and fails where CI is set.
func example(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.FromSlash(examples + name))
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	return string(b)
}

// rule is something in which an answer may differ from the published one, and why.
type rule struct {
	name, why string
	at        *regexp.Regexp // the path; nil for anywhere
	may       func(want, got string) bool
}

func both(form string) func(want, got string) bool {
	re := regexp.MustCompile(`^(?:` + form + `)$`)
	return func(want, got string) bool { return re.MatchString(want) && re.MatchString(got) }
}

func isTime(s string) bool {
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if _, err := time.Parse(layout, s); err == nil {
			return true
		}
	}
	return false
}

// rules is all that may differ. A version, an id and a time are those of the day on which something is done; everything else must be the same.
func rules() []rule {
	const uuid = `[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`
	return []rule{
		{"time", "it is now, not the day of the example", nil, func(want, got string) bool { return isTime(want) && isTime(got) }},
		{"version", "the examples' referrals have a past that they do not tell", regexp.MustCompile(`(versionId|valueInteger)$`), both(`[0-9]+`)},
		{"version in a reference", "as above", regexp.MustCompile(`reference$`), both(`(ReferralRequest|CommunicationRequest)/[0-9]{12}/_history/[0-9]+`)},
		{"diagnostics", "they are in our own words", regexp.MustCompile(`diagnostics$`), func(want, got string) bool { return got != "" }},
		{"request id", "it is made from the UBRN", nil, both(`[ra]\.` + uuid)},
		{"new id", "it is made at random", regexp.MustCompile(`(^|\.)id$`), both(uuid)},
		{"message id", "as above", regexp.MustCompile(`(^|\.)(id|fullUrl)$`), both(`(.*/STU3/Communication/)?([0-9]{5}|` + uuid + `)`)},
		{"address of a new id", "as above", regexp.MustCompile(`fullUrl$`), both(`.*/(Task|ServiceRequest)/([ra]\.)?` + uuid)},
		{"appointment id", "ours is the UBRN without its zeros", regexp.MustCompile(`(^|\.)id$`), both(`[0-9]{5,12}`)},
		{"question reference", "a number is drawn at random", regexp.MustCompile(`reference$`), both(`CommunicationRequest/[0-9]{12}`)},
		{"appointment reference", "as above", regexp.MustCompile(`reference$`), both(`Appointment/[0-9]{5,12}`)},
		{"file id", "a file's id is made at random", regexp.MustCompile(`(reference|(^|\.)id|[uU]rl)$`), both(`(.*/STU3/)?(Binary/|#?DocumentReference[-/])?([0-9]{5}|` + uuid + `)`)},
		{"size of a conversation", "it is drawn in a way of our own", regexp.MustCompile(`attachment\.size$`), func(want, got string) bool { // the sizes of those in the examples
			return slices.Contains([]string{"3764", "3807", "4022"}, want) && got > "0"
		}},
		{"slot id", "a slot has the number that its hospital gave it", regexp.MustCompile(`(reference|(^|\.)id|fullUrl|identifier\[0\].value)$`), both(`(.*/STU3/)?(Slot/|USRN-)?([0-9]{5,}|[A-Z0-9]+\.[^.]+\.[^.]+)`)},
		{"schedule id", "it is made from the service's", regexp.MustCompile(`(reference|(^|\.)id|fullUrl|identifier\[0\].value)$`), both(`(.*/STU3/)?(Schedule/)?[0-9]{5,}(-[0-9]+)?`)},
		{"a service's name", "the examples call one service differently in different places", regexp.MustCompile(`display$`), func(want, got string) bool {
			names := serviceNames()
			return slices.Contains(names[want], got) || slices.ContainsFunc(names[want], func(id string) bool { return slices.Contains(names[got], id) })
		}},
	}
}

var serviceIDs map[string][]string

// serviceNames are the ids of the services that have a name in the examples.
func serviceNames() map[string][]string {
	if serviceIDs != nil {
		return serviceIDs
	}
	serviceIDs = map[string][]string{}
	files, _ := filepath.Glob(filepath.FromSlash(examples + "stu3/*/*/*.json"))
	item := regexp.MustCompile(`"identifier":\s*\{\s*"system":\s*"http://fhir.nhs.net/Id/ers-service",\s*"value":\s*"([0-9]+)"\s*\},\s*"display":\s*"([^"]+)"`)
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		for _, m := range item.FindAllStringSubmatch(string(b), -1) {
			serviceIDs[m[2]] = append(serviceIDs[m[2]], m[1])
		}
	}
	return serviceIDs
}

// comparison is an answer compared with the published one.
type comparison struct {
	rules []rule
	used  map[string]int // by the rule's name
}

// differences are the places in which got is not want, where no rule says that it may not be.
func (c *comparison) differences(path string, want, got any) []string {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return []string{fmt.Sprintf("%s: want an object, got %s", path, brief(got))}
		}
		return c.objects(path, w, g)
	case []any:
		g, ok := got.([]any)
		if !ok && (got != nil || len(w) > 0) { // FHIR has no empty lists
			return []string{fmt.Sprintf("%s: want a list, got %s", path, brief(got))}
		}
		return c.lists(path, w, g)
	}
	ws, gs := fmt.Sprint(want), fmt.Sprint(got)
	if ws == gs {
		return nil
	}
	for _, r := range c.rules {
		if got != nil && (r.at == nil || r.at.MatchString(path)) && r.may(ws, gs) {
			c.used[r.name]++
			return nil
		}
	}
	return []string{fmt.Sprintf("%s: want %s, got %s", path, brief(want), brief(got))}
}

func (c *comparison) objects(path string, want, got map[string]any) (list []string) {
	names := map[string]bool{}
	for k := range want {
		names[k] = true
	}
	for k := range got {
		names[k] = true
	}
	for _, k := range sorted(names) {
		at := strings.TrimPrefix(path+"."+k, ".")
		w, wanted := want[k]
		if !wanted {
			list = append(list, fmt.Sprintf("%s: not wanted, got %s", at, brief(got[k])))
			continue
		}
		list = append(list, c.differences(at, w, got[k])...)
	}
	return list
}

// inOrder are the lists whose order means something; in others FHIR has none.
var inOrder = []string{"entry", "link", "issue"}

// lists compares lists; where order means nothing each is compared with the one that it is most like.
func (c *comparison) lists(path string, want, got []any) (list []string) {
	item, _ := append(want, nil)[0].(map[string]any) // the entries of a worklist have no published order
	resource, _ := item["resource"].(map[string]any)
	unordered := item["item"] != nil || resource["resourceType"] == "Communication" // the examples have conversations in both orders, and none is published
	if slices.Contains(inOrder, path[strings.LastIndexByte(path, '.')+1:]) && !unordered {
		for i := range max(len(want), len(got)) {
			list = append(list, c.pair(path, i, want, got, i)...)
		}
		return list
	}
	left := map[int]bool{}
	for i := range got {
		left[i] = true
	}
	type like struct{ i, j, n int }
	var all []like
	for i := range want {
		for j := range got {
			trial := &comparison{c.rules, map[string]int{}}
			all = append(all, like{i, j, len(trial.differences(path, want[i], got[j]))})
		}
	}
	slices.SortStableFunc(all, func(a, b like) int { return a.n - b.n })
	found := map[int]int{}
	for _, x := range all {
		if _, done := found[x.i]; !done && left[x.j] {
			found[x.i] = x.j
			delete(left, x.j)
		}
	}
	for i := range want {
		j, ok := found[i]
		if !ok {
			j = len(got)
		}
		list = append(list, c.pair(path, i, want, got, j)...)
	}
	for j := range got {
		if left[j] {
			list = append(list, fmt.Sprintf("%s[]: not wanted, got %s", path, brief(got[j])))
		}
	}
	return list
}

func (c *comparison) pair(path string, i int, want, got []any, j int) []string {
	at := fmt.Sprintf("%s[%d]", path, i)
	switch {
	case i >= len(want):
		return []string{fmt.Sprintf("%s: not wanted, got %s", at, brief(got[j]))}
	case j >= len(got):
		return []string{fmt.Sprintf("%s: want %s, got nothing", at, brief(want[i]))}
	}
	return c.differences(at, want[i], got[j])
}

func sorted(m map[string]bool) []string {
	var list []string
	for k := range m {
		list = append(list, k)
	}
	slices.Sort(list)
	return list
}

func brief(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	if s := string(b); len(s) > 160 {
		return s[:160] + "…"
	}
	return string(b)
}

// TestTheComparisonFindsWhatDiffers: a comparison that finds nothing proves nothing.
func TestTheComparisonFindsWhatDiffers(t *testing.T) {
	t.Parallel()
	const want = `{"id":"70000","list":[{"url":"a","valueString":"1"},{"url":"b","valueString":"2"}],"entry":[{"at":"2021-05-20T08:25:35.407Z"},{"n":1}],"none":[]}`
	for got, n := range map[string]int{
		want: 0,
		`{"id":"80000","list":[{"url":"b","valueString":"2"},{"url":"a","valueString":"1"}],"entry":[{"at":"2026-05-20T08:25:35.407Z"},{"n":1}]}`:                        0,
		`{"id":"x","list":[{"url":"b","valueString":"2"},{"url":"a","valueString":"1"}],"entry":[{"at":"2026-05-20T08:25:35.407Z"},{"n":1}]}`:                            1,
		`{"id":"80000","list":[{"url":"b","valueString":"3"},{"url":"a","valueString":"1"}],"entry":[{"at":"2026-05-20T08:25:35.407Z"},{"n":1}]}`:                        1,
		`{"id":"80000","list":[{"url":"b","valueString":"2"}],"entry":[{"n":1},{"at":"2026-05-20T08:25:35.407Z"}]}`:                                                      5,
		`{"id":"80000","list":[{"url":"b","valueString":"2"},{"url":"a","valueString":"1"},{"url":"c"}],"more":1,"entry":[{"at":"2026-05-20T08:25:35.407Z"},{"n":"x"}]}`: 3,
	} {
		c := &comparison{rules(), map[string]int{}}
		var w, g any
		if json.Unmarshal([]byte(want), &w) != nil || json.Unmarshal([]byte(got), &g) != nil {
			t.Fatal(got)
		}
		if found := c.differences("", w, g); len(found) != n {
			t.Errorf("%s: %d differences, want %d: %s", got, len(found), n, strings.Join(found, "\n"))
		}
	}
}
