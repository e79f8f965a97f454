package events_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/knadh/koanf/parsers/yaml"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/internal/spectest"
)

var update = flag.Bool("update", false, "write the goldens")

// report is what the published documents say and what came of it, line by line.
type report struct {
	t     *testing.T
	lines []string
	count map[string]int
}

func (r *report) add(what, came string) {
	r.lines = append(r.lines, what+": "+came)
	r.count[strings.Fields(what)[0]]++
}

func (r *report) compare(path string) {
	r.t.Helper()
	sort.Strings(r.lines)
	got := "Every example, operation and status of the published notification service.\n\n" + strings.Join(r.lines, "\n") + "\n"
	for _, k := range slices.Sorted(keys(r.count)) {
		got += fmt.Sprintf("\n%s: %d", k, r.count[k])
	}
	got += "\n"
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			r.t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil || string(want) != got {
		r.t.Errorf("%s differs (%v); run with -update and read it:\n%s", path, err, got)
	}
}

func keys(m map[string]int) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// at walks into a YAML document.
func at(v any, path ...string) any {
	for _, p := range path {
		m, _ := v.(map[string]any)
		v = m[p]
	}
	return v
}

func readYAML(t *testing.T, path string) map[string]any {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	v, err := yaml.Parser().Unmarshal(b)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func jsonOf(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestThePublishedService(t *testing.T) {
	dir := spectest.Dir(t, "mns", "specification")
	w := newWorld(t, "")
	r := &report{t: t, count: map[string]int{}}
	spec := readYAML(t, filepath.Join(dir, "multicast-notification-service.yaml"))
	r.publish(w, at(spec, "paths", "/events", "post", "requestBody", "content"), filepath.Join(dir, "schemas", "cloudevents", "examples"))
	r.subscribe(w, at(readYAML(t, filepath.Join(dir, "requestBody", "create-or-update-subscription-body.yaml")), "content", "application/fhir+json", "examples"))
	r.signals(w, spectest.Dir(t, "mns", "signal-schemas", "examples"))
	r.operations(w, spec)
	r.compare("testdata/mns.golden")
}

// publish publishes each published event, as what is published and, where there is a subscriber, what is delivered.
func (r *report) publish(w *world, content any, files string) {
	c := w.registrar()
	for media, body := range content.(map[string]any) {
		for name, example := range at(body, "examples").(map[string]any) {
			value := at(example, "value")
			a := c.do("POST", "/events", jsonOf(r.t, value), "Content-Type", media).want(200)
			if a.body != `{"id":"`+at(value, "id").(string)+`"}` {
				r.t.Errorf("%s: %s", name, a.body)
			}
			r.add("event "+name, "200")
		}
	}
	list, err := filepath.Glob(filepath.Join(files, "*.json"))
	if err != nil || len(list) == 0 {
		r.t.Fatal(err)
	}
	for _, path := range list {
		text, err := os.ReadFile(path)
		if err != nil {
			r.t.Fatal(err)
		}
		media := "application/json"
		if strings.Contains(string(text), "specversion") {
			media = "application/cloudevents+json"
		}
		kind := jsonKey(r.t, text, "type")
		id := c.subscribe("eventType="+kind, "/"+filepath.Base(path), "application/json")
		c.do("POST", "/events", strings.Replace(string(text), jsonKey(r.t, text, "id"), "file-"+kind, 1), "Content-Type", media).want(200)
		w.settle()
		got := w.there.calls()
		if len(got) != 1 || !sameJSON(got[0].body, strings.Replace(string(text), jsonKey(r.t, text, "id"), "file-"+kind, 1)) {
			r.t.Errorf("%s is delivered as %+v", path, got)
		}
		c.do("DELETE", "/subscriptions/"+id, "").want(204)
		r.add("signal-file "+filepath.Base(path), "published, and delivered as it is")
	}
}

func jsonKey(t *testing.T, text []byte, key string) string {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	s, _ := v[key].(string)
	return s
}

func sameJSON(a, b string) bool {
	var x, y any
	return json.Unmarshal([]byte(a), &x) == nil && json.Unmarshal([]byte(b), &y) == nil && reflect.DeepEqual(x, y)
}

// subscribe subscribes with each published subscription: to a queue at Amazon it is refused, and accepted to an address.
func (r *report) subscribe(w *world, examples any) {
	c := w.system()
	w.mailbox("MYMAILBOXOT101", hospital)
	for name, example := range examples.(map[string]any) {
		value := at(example, "value").(map[string]any)
		channel := value["channel"].(map[string]any)
		came := ""
		if strings.HasPrefix(channel["endpoint"].(string), "arn:") {
			a := c.do("POST", "/subscriptions", jsonOf(r.t, value)).want(400)
			if _, ok := at(a.json(), "validationErrors", "channel.endpoint").(string); !ok || len(at(a.json(), "validationErrors").(map[string]any)) != 1 {
				r.t.Errorf("%s: %s", name, a.body)
			}
			came = "400 for its queue at Amazon; "
			channel["endpoint"] = w.there.URL + "/queue"
		}
		id := c.do("POST", "/subscriptions", jsonOf(r.t, value)).want(201).json()["id"].(string)
		got := c.do("GET", "/subscriptions/"+id, "").want(200).json()
		value["id"], value["status"] = id, "active"
		if !reflect.DeepEqual(got, jsonRound(r.t, value)) {
			r.t.Errorf("%s reads as %v, was %v", name, got, value)
		}
		delete(value, "id")
		value["status"] = "requested"
		c.do("PUT", "/subscriptions/"+id, jsonOf(r.t, value)).want(204)
		c.do("DELETE", "/subscriptions/"+id, "").want(204)
		r.add("subscription "+name, came+"201, read back equal, 204 replaced, 204 deleted")
	}
}

func jsonRound(t *testing.T, v any) (out map[string]any) {
	t.Helper()
	if err := json.Unmarshal([]byte(jsonOf(t, v)), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// signals publishes what each published signal tells of, and compares what is delivered as FHIR with it.
func (r *report) signals(w *world, dir string) {
	c := w.registrar()
	list, err := filepath.Glob(filepath.Join(dir, "*", "*.json"))
	if err != nil || len(list) == 0 {
		r.t.Fatal(err)
	}
	for i, path := range list {
		name := filepath.Base(filepath.Dir(path)) + "/" + filepath.Base(path)
		text, err := os.ReadFile(path)
		if err != nil {
			r.t.Fatal(err)
		}
		var want map[string]any
		if err := json.Unmarshal(text, &want); err != nil {
			r.t.Fatal(err)
		}
		entries := want["entry"].([]any)
		if len(entries) > 1 {
			r.add("signal "+name, "hydrated: refused when it is subscribed to (see the statuses)")
			continue
		}
		e := map[string]any{"specversion": "1.0", "id": fmt.Sprint("signal-", i), "time": want["timestamp"]}
		want["id"] = e["id"]
		for _, p := range at(entries[0], "resource", "parameter").([]any) {
			for _, part := range parts(p) {
				switch part["name"] {
				case "focus":
					e["dataref"] = at(part, "valueReference", "reference")
				case "event-type":
					e["type"] = part["valueString"]
				case "source":
					e["source"] = part["valueUri"]
				case "subject":
					e["subject"] = at(part, "valueReference", "identifier", "value")
				case "version-id":
					e["versionid"] = part["valueString"]
				}
			}
		}
		id := c.subscribe("eventType="+e["type"].(string), "/signal", "application/fhir+json")
		c.do("POST", "/events", jsonOf(r.t, e), "Content-Type", "application/cloudevents+json").want(200)
		w.settle()
		got := w.there.calls()
		c.do("DELETE", "/subscriptions/"+id, "").want(204)
		if len(got) != 1 {
			r.t.Errorf("%s is delivered as %+v", name, got)
			continue
		}
		if have := plain(got[0].body, w.srv.URL); !sameJSON(have, plain(jsonOf(r.t, want), "https://api.service.nhs.uk")) {
			r.t.Errorf("%s is delivered as\n%s, want\n%s", name, have, plain(jsonOf(r.t, want), "https://api.service.nhs.uk"))
		}
		r.add("signal "+name, "published, and delivered equal but for the ids and the address of the service")
	}
}

func parts(p any) (list []map[string]any) {
	all, _ := at(p, "part").([]any)
	for _, one := range all {
		list = append(list, one.(map[string]any))
	}
	return list
}

// plain is a signal without the ids that are made up for each, and with the service at one address.
func plain(body, service string) string {
	var v map[string]any
	if err := json.Unmarshal([]byte(strings.ReplaceAll(body, service+"/multicast-notification-service", "https://service")), &v); err != nil {
		return err.Error()
	}
	entry := v["entry"].([]any)[0].(map[string]any)
	if "urn:uuid:"+at(entry, "resource", "id").(string) != entry["fullUrl"] {
		return "the id of the resource is not that of its address"
	}
	delete(entry, "fullUrl")
	delete(entry["resource"].(map[string]any), "id")
	b, _ := json.Marshal(v)
	return string(b)
}

// operations meets each status of each operation.
func (r *report) operations(w *world, spec map[string]any) {
	c := w.system()
	nobody, clinician := &caller{w, ""}, w.as(access.Principal{ID: "doc", Name: "A doctor", Role: access.Clinician, Organisation: hospital, Assurance: "AAL2"})
	mine := body("eventType=pds-record-change-2", w.there.URL+"/ops", "application/json")
	own := c.do("POST", "/subscriptions", mine).want(201).json()["id"].(string)
	other := c.do("POST", "/subscriptions", body("eventType=pds-change-of-gp-2", w.there.URL+"/ops", "application/json")).want(201).json()["id"].(string)
	const strange = "236a1d4a-5d69-4fa9-9c7f-e72bf505aa5b"
	event := `{"specversion":"1.0","id":"1","source":"uk.nhs.x","type":"example-event-1","time":"2020-06-01T13:00:00Z"}`
	how := map[string]func() *answered{}
	tries := func(name string, ask func(c *caller) *answered, more map[string]func() *answered) {
		how[name+" 401"] = func() *answered { return ask(nobody) }
		how[name+" 403"] = func() *answered { return ask(clinician) }
		for status, f := range more {
			how[name+" "+status] = f
		}
	}
	cloud := []string{"Content-Type", "application/cloudevents+json"}
	tries("POST /events", func(c *caller) *answered { return c.do("POST", "/events", event, cloud...) }, map[string]func() *answered{
		"200": func() *answered { return c.do("POST", "/events", event, cloud...) },
		"400": func() *answered {
			return c.do("POST", "/events", strings.Replace(event, "example-event-1", "x", 1), cloud...).says(`{"validationErrors":{"type":"Please provide a valid event type"}}`)
		}})
	how["POST /events 403"] = func() *answered {
		return c.do("POST", "/events", strings.Replace(event, "example-event-1", "pds-record-change-2", 1), cloud...).says(`{"errors":"User is not authorized to handle the requested event type"}`)
	}
	tries("POST /subscriptions", func(c *caller) *answered { return c.do("POST", "/subscriptions", mine) }, map[string]func() *answered{
		"201": func() *answered {
			return c.do("POST", "/subscriptions", body("eventType=nhs-number-change-2", w.there.URL+"/ops", "application/json"))
		},
		"400": func() *answered {
			return c.do("POST", "/subscriptions", strings.Replace(mine, `"Subscription"`, `"Patient"`, 1)).says(`{"validationErrors":{"resourceType":"Please provide the correct resource type for this endpoint"}}`)
		},
		"409": func() *answered {
			return c.do("POST", "/subscriptions", mine).says(`{"errors":"A matching subscription already exists with id: ` + own + `"}`)
		}})
	tries("GET /subscriptions", func(c *caller) *answered { return c.do("GET", "/subscriptions", "") }, map[string]func() *answered{
		"200": func() *answered { return c.do("GET", "/subscriptions", "") },
		"400": func() *answered {
			return c.do("GET", "/subscriptions?continue_from=x", "").says(`{"errors":"The continue_from field was not valid"}`)
		}})
	for _, method := range []string{"GET", "PUT", "DELETE"} {
		text := ""
		if method == "PUT" {
			text = mine
		}
		one := func(id string) func() *answered {
			return func() *answered { return c.do(method, "/subscriptions/"+id, text) }
		}
		done := map[string]string{"GET": "200", "PUT": "204", "DELETE": "204"}[method]
		tries(method+" /subscriptions/{id}", func(c *caller) *answered { return c.do(method, "/subscriptions/"+own, text) }, map[string]func() *answered{
			done: one(own),
			"400": func() *answered {
				return one("x")().says(`{"errors":"Please provide a valid subscription ID in UUID4 format"}`)
			},
			"404": func() *answered { return one(strange)().says(`{"errors":"Not found"}`) },
			"409": func() *answered { return c.do("PUT", "/subscriptions/"+other, mine) }})
	}
	for _, path := range []string{"/events", "/subscriptions", "/subscriptions/{id}"} {
		for _, method := range []string{"post", "get", "put", "delete"} {
			statuses, _ := at(spec, "paths", path, method, "responses").(map[string]any)
			for _, status := range slices.Sorted(keys(counted(statuses))) {
				name := strings.ToUpper(method) + " " + path + " " + status
				if status == "500" {
					r.add("status "+name, "not met: it is our own failure")
					continue
				}
				f := how[name]
				if f == nil {
					r.t.Errorf("%s is not tried", name)
					continue
				}
				if a := f(); fmt.Sprint(a.status) != status {
					r.t.Errorf("%s: %d %s", name, a.status, a.body)
				} else if a.header.Get("X-Correlation-ID") == "" {
					r.t.Errorf("%s: the correlation id is not mirrored", name)
				}
				r.add("status "+name, "met")
			}
		}
	}
	nobody.do("GET", "/subscriptions", "").want(401).says(`{"fault":{"faultstring":"Missing access token","detail":{"errorcode":"oauth.v2.MissingAccessToken"}}}`)
	(&caller{w, "x"}).do("GET", "/subscriptions", "").want(401).says(`{"fault":{"faultstring":"Invalid access token","detail":{"errorcode":"oauth.v2.InvalidAccessToken"}}}`)
	clinician.do("GET", "/subscriptions", "").want(403).says(`{"errors":"Unauthorised"}`)
	hydrated := strings.Replace(mine, `"reason"`, `"hydration":{"enabled":true},"reason"`, 1)
	c.do("POST", "/subscriptions", hydrated).want(400).says(`{"validationErrors":{"hydration":"Events are not hydrated here: fetch what the event refers to"}}`)
	c.do("GET", "/subscriptions", "", "X-Correlation-ID", "").want(400)
}

func counted(m map[string]any) map[string]int {
	all := map[string]int{}
	for k := range m {
		all[k] = 1
	}
	return all
}
