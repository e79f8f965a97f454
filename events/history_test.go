package events_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"
)

// Whatever happens to people, subscribers and the node, in any order: in the end each subscriber at an address has been told of each change since they subscribed, once in effect, and of nothing else.
func TestNothingThatHappenedIsLostOrToldTwice(t *testing.T) {
	seeds := 6
	if testing.Short() {
		seeds = 2
	}
	each(t, func(t *testing.T, w *world) {
		for seed := range seeds {
			history(t, w, uint64(seed))
		}
	})
}

func history(t *testing.T, w *world, seed uint64) {
	t.Helper()
	rnd := rand.New(rand.NewPCG(seed, 1))
	people := []string{"9990000018", "9990000026", "9990000034"}
	want := map[string]map[string]int{} // by the path of a subscriber, what they should be told of
	told := map[string]map[string]string{}
	ids := map[string]string{}
	take := func() {
		for _, one := range w.there.calls() {
			var e struct{ Subject, VersionID string }
			if err := json.Unmarshal([]byte(one.body), &e); err != nil {
				t.Fatal(err)
			}
			key, message := e.Subject+" "+e.VersionID, one.header.Get("X-Openspine-Message")
			if was, twice := told[one.path][key]; twice && was != message {
				t.Fatalf("seed %d: %s is told of %s in two messages", seed, one.path, key)
			}
			if told[one.path] != nil {
				told[one.path][key] = message
			}
		}
	}
	versions := map[string]int{}
	for _, p := range people { // what stands there from the seed before
		if v := w.version(p); v > 0 {
			versions[p] = v
		}
	}
	for step := range 40 {
		switch rnd.IntN(8) {
		case 0:
			path := fmt.Sprintf("/s%d-%d", seed, step)
			ids[path] = w.system().subscribe("eventType=pds-record-change-2", path, "application/json")
			want[path], told[path] = map[string]int{}, map[string]string{}
			w.time.Advance(time.Millisecond)
		case 1, 2, 3:
			p := people[rnd.IntN(len(people))]
			w.load(person(p, fmt.Sprintf("Marsh%d-%d", seed, step), ""))
			if versions[p]++; versions[p] > 1 { // the first version is a load of the node's own, and no event
				for path := range want {
					want[path][fmt.Sprintf(`%s W/"%d"`, p, versions[p])]++
				}
			}
		case 4:
			w.job("events")
		case 5:
			w.there.answer([]int{http.StatusOK, http.StatusServiceUnavailable, http.StatusBadGateway}[rnd.IntN(3)])
			w.turn()
		case 6:
			w.restart()
		case 7:
			w.time.Advance(time.Duration(rnd.IntN(600)) * time.Second)
			w.turn()
		}
		take()
	}
	w.there.answer(http.StatusOK)
	for range 3 {
		w.time.Advance(time.Hour)
		w.settle()
	}
	take()
	for path, all := range want {
		for key := range all {
			if told[path][key] == "" {
				t.Errorf("seed %d: %s was never told of %s", seed, path, key)
			}
		}
		for key := range told[path] {
			if all[key] == 0 {
				t.Errorf("seed %d: %s was told of %s, which happened before they subscribed", seed, path, key)
			}
		}
		w.system().do("DELETE", "/subscriptions/"+ids[path], "").want(204)
	}
}

// version is which version of a person's record stands there; 0 for none.
func (w *world) version(number string) int {
	w.t.Helper()
	c := w.registrar()
	a := c.do("GET", w.srv.URL+"/FHIR/R4/Patient/"+number, "")
	if a.status == http.StatusNotFound {
		return 0
	}
	var v int
	if _, err := fmt.Sscanf(a.want(200).header.Get("ETag"), `W/"%d"`, &v); err != nil {
		w.t.Fatal(err)
	}
	return v
}
