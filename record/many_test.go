package record_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/store"
)

// together prepares changes at once and applies them in one Write.
func (w *world) together(changes []record.Change, meanwhile func()) ([]record.Outcome, error) {
	ctx := context.Background()
	drafts, err := w.recs.PrepareAll(ctx, changes)
	if err != nil {
		return nil, err
	}
	record.Together(drafts...)
	if meanwhile != nil {
		meanwhile()
	}
	var out []record.Outcome
	lanes := record.LanesOf(drafts...)
	var all = drafts[0].Acts()
	for _, d := range drafts[1:] {
		all = append(all, d.Acts()...)
	}
	grants, err := w.gate.DecideAll(ctx, w.who, all)
	if err != nil {
		return nil, err
	}
	return out, w.gate.Act(ctx, grants, lanes, func(tx *store.Tx) error {
		out, _, err = w.recs.ApplyAll(tx, drafts, grants...)
		return err
	})
}

func put(typ, id string, w *world, format string, args ...any) record.Change {
	return record.Change{Verb: record.Put, Ref: ref(typ, id), Resource: resource(w.t, format, args...), Reason: "asked for at the desk"}
}

// What is written many at once, new and known, of people and of what is in their charts, is found as if it had been written one by one.
func TestManyWrittenTogetherAreFoundOneByOne(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		const people = 150
		person := func(i, born int, more string) record.Change {
			id := fmt.Sprintf("p%03d", i)
			return put("Patient", id, w, `{"resourceType":"Patient","id":%q,%s"identifier":[{"system":"urn:n","value":"n%d"}],"name":[{"family":"Smythe%d","given":["Ann"]}],"birthDate":"%d-01-01"}`, id, more, i, i%7, born)
		}
		const restricted = `"meta":{"security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"R"}]},`
		w.must(person(3, 1950, ""))
		w.must(person(80, 1950, restricted)) // is shown again in the middle of the others: what was gathered goes down before
		w.must(put("Observation", "early", w, `{"resourceType":"Observation","id":"early","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/p100"}}`))
		var changes []record.Change
		for i := range people {
			changes = append(changes, person(i, 1970+i%10, ""))
			id := fmt.Sprintf("o%03d", i)
			changes = append(changes, put("Observation", id, w, `{"resourceType":"Observation","id":%q,"status":"final","code":{"coding":[{"system":"urn:c","code":"c%d"}]},"subject":{"reference":"Patient/p%03d"},"valueQuantity":{"value":%d}}`, id, i%5, i, i))
		}
		out, err := w.together(changes, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i, o := range out {
			if known := changes[i].Ref.ID == "p003" || changes[i].Ref.ID == "p080"; o.Created == known || o.Version.Ver != map[bool]int64{true: 2, false: 1}[known] {
				t.Errorf("%s: %+v", changes[i].Ref.ID, o)
			}
		}
		finds := func(query string, want func(i int) bool, name string) {
			t.Helper()
			var wanted []string
			for i := range people {
				if want(i) {
					wanted = append(wanted, fmt.Sprintf(name, i))
				}
			}
			page, err := w.find(query + "&_count=200")
			if err != nil {
				t.Fatal(query, err)
			}
			got := ids(page.Matches)
			slices.Sort(got)
			if !slices.Equal(got, wanted) {
				t.Errorf("%s finds %v, not %v", query, got, wanted)
			}
		}
		finds("Patient?family=smythe2", func(i int) bool { return i%7 == 2 }, "p%03d")
		finds("Patient?phonetic=smythe2", func(i int) bool { return i%7 == 2 }, "p%03d")
		finds("Patient?name=ann", func(int) bool { return true }, "p%03d")
		finds("Patient?birthdate=1973", func(i int) bool { return i%10 == 3 }, "p%03d")
		finds("Patient?birthdate=1950", func(int) bool { return false }, "p%03d")
		finds("Patient?identifier=urn:n|n80", func(i int) bool { return i == 80 }, "p%03d")
		finds("Observation?code=urn:c|c4", func(i int) bool { return i%5 == 4 }, "o%03d")
		finds("Observation?subject=Patient/p149", func(i int) bool { return i == 149 }, "o%03d")
		finds("Observation?value-quantity=gt140", func(i int) bool { return i > 140 }, "o%03d")
	})
}

// Of what somebody else has created between looking and writing, no second is put down, whatever it was made ready as.
func TestWhatIsCreatedMeanwhileIsNotWrittenTwice(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		w.must(put("Patient", "other", w, `{"resourceType":"Patient","id":"other"}`))
		w.must(put("Observation", "first", w, `{"resourceType":"Observation","id":"first","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/other"}}`))
		for _, typ := range []string{"Patient", "Observation"} {
			body := `{"resourceType":"Patient","id":%q,"gender":"female"}`
			if typ == "Observation" {
				body = `{"resourceType":"Observation","id":%q,"status":"final","code":{"text":"y"},"subject":{"reference":"Patient/other"}}`
			}
			var changes []record.Change
			for i := range 70 {
				id := fmt.Sprintf("x%d", i)
				changes = append(changes, put(typ, id, w, body, id))
			}
			_, err := w.together(changes, func() { w.must(changes[69]) })
			if !record.Moved(err) {
				t.Fatalf("%s: %v, want that the record moved", typ, err)
			}
			if page, err := w.find(typ + "?_id=x0"); err != nil || len(page.Matches) != 0 {
				t.Errorf("something of it was written: %v %v", page.Matches, err)
			}
			out, err := w.together(changes, nil)
			if err != nil || len(out) != 70 || out[69].Version.Ver != 2 || out[68].Version.Ver != 1 {
				t.Errorf("%s: %v, %d outcomes", typ, err, len(out))
			}
		}
	})
}
