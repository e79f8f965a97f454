package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/openspine/openspine/fhir/definition"
)

// What files hold is found in their order, and found again where it stood, in any order.
func TestWhatFilesHoldIsFoundAgain(t *testing.T) {
	dir, defs := t.TempDir(), definition.R4()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var lines strings.Builder
	var want []string
	for i := range 3000 {
		id := fmt.Sprintf("a%d", i)
		fmt.Fprintf(&lines, `{"resourceType":"Patient","id":%q,"name":[{"text":%q}]}`+[]string{"\n", "\r\n", "\n\n  \n"}[i%3], id, strings.Repeat("é", i+1))
		want = append(want, id)
	}
	lines.WriteString(`{"resourceType":"Patient","id":"last"}`) // without an end of line
	write("a.ndjson", lines.String())
	write("b.json", `{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"Patient","id":"b0"}},{"resource":{"resourceType":"Patient","id":"b1"}}]}`)
	write("c.xml", `<Patient xmlns="http://hl7.org/fhir"><id value="c"/></Patient>`)
	write("d.ndjson", "")
	want = append(want, "last", "b0", "b1", "c")
	list, err := files([]string{dir})
	if err != nil {
		t.Fatal(err)
	}
	var all []found
	err = ordered(t.Context(), func(give func(piece) error) error { return pieces(list, give) },
		func(p piece) ([]found, error) { return p.resources(defs), nil },
		func(some []found) error { all = append(all, some...); return nil })
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	spots := make([]spot, len(all))
	for i, f := range all {
		if f.err != nil {
			t.Fatal(f.spot, f.err)
		}
		got, spots[i] = append(got, f.res.ID()), f.spot
	}
	if !slices.Equal(got, want) {
		t.Fatalf("%d found, not %d, or in another order", len(got), len(want))
	}
	if spots[2].line != 3 || spots[3].line != 6 {
		t.Errorf("the third and the fourth stand on lines %d and %d", spots[2].line, spots[3].line)
	}
	order := rand.Perm(len(all))
	mixed := make([]spot, len(all))
	for i, at := range order {
		mixed[i] = spots[at]
	}
	back, err := again(mixed, defs)
	if err != nil {
		t.Fatal(err)
	}
	for i, at := range order {
		if string(back[i].res.JSON()) != string(all[at].res.JSON()) {
			t.Fatalf("at %+v stands %.100s", mixed[i], back[i].res.JSON())
		}
	}
	write("a.ndjson", "")
	if _, err := again(mixed, defs); err == nil {
		t.Error("a file that has been emptied meanwhile is read without an error")
	}
}

// Work is done at once and handed over in order, and the first error ends it.
func TestWorkIsHandedOverInOrder(t *testing.T) {
	numbers := func(n int) func(func(int) error) error {
		return func(give func(int) error) error {
			for i := range n {
				if err := give(i); err != nil {
					return err
				}
			}
			return nil
		}
	}
	var got []int
	take := func(i int) error { got = append(got, i); return nil }
	if err := ordered(t.Context(), numbers(1000), func(i int) (int, error) { return i * i, nil }, take); err != nil || len(got) != 1000 {
		t.Fatal(len(got), err)
	}
	for i, square := range got {
		if square != i*i {
			t.Fatalf("at %d came %d", i, square)
		}
	}
	wrong := errors.New("wrong")
	if err := ordered(t.Context(), numbers(1<<60), func(i int) (int, error) {
		if i == 700 {
			return 0, wrong
		}
		return i, nil
	}, take); !errors.Is(err, wrong) {
		t.Errorf("it ends with %v", err)
	}
	if err := ordered(t.Context(), numbers(1<<60), func(i int) (int, error) { return i, nil }, func(int) error { return wrong }); !errors.Is(err, wrong) {
		t.Errorf("it ends with %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := ordered(ctx, numbers(1<<60), func(i int) (int, error) { return i, nil }, take); !errors.Is(err, context.Canceled) {
		t.Errorf("it ends with %v", err)
	}
}
