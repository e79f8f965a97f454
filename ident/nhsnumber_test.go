package ident_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
)

func TestNHSNumber(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"9000000009", "9000000009"},
		{"943 476 5919", "9434765919"},
		{"999-000-0018", "9990000018"},
		{"4010232137", "4010232137"},
		{"9434765918", ""}, // wrong check digit
		{"0000000000", ""},
		{"943476591", ""},
		{"94347659199", ""},
		{"9434765919 and more", ""},
		{"943476591o", ""},
		{"٩٤٣٤٧٦٥٩١٩", ""}, // digits, but not ours
		{"", ""},
		{strings.Repeat("9", 1000), ""},
	} {
		n, err := ident.ParseNHSNumber(c.in)
		if n.String() != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%q parsed as %q, %v; want %q", c.in, n, err, c.want)
		}
		if err == nil {
			continue
		}
		if !fault.Is(err, fault.Invalid) || c.in != "" && strings.Contains(err.Error(), c.in) {
			t.Errorf("%q was refused with %v, which must be Invalid and must not repeat it", c.in, err)
		}
	}
	n := ident.MustNHSNumber("9434765919")
	if n.Display() != "943 476 5919" || n.InTestRange() || n.IsZero() || (ident.NHSNumber{}).Display() != "" {
		t.Errorf("%v shows as %q", n, n.Display())
	}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("read", "person", n)
	if strings.Contains(log.String(), "943") {
		t.Errorf("the log holds the digits: %s", log.String())
	}
}

func TestNHSNumberJSON(t *testing.T) {
	type person struct{ Number ident.NHSNumber }
	b, err := json.Marshal(person{ident.MustNHSNumber("9990000018")})
	if err != nil || string(b) != `{"Number":"9990000018"}` {
		t.Fatalf("%s %v", b, err)
	}
	var p person
	if err := json.Unmarshal([]byte(`{"Number":"9990000019"}`), &p); !fault.Is(err, fault.Invalid) {
		t.Errorf("a wrong number was read from JSON: %v", err)
	}
	if err := json.Unmarshal([]byte(`{"Number":""}`), &p); err != nil || !p.Number.IsZero() {
		t.Errorf("an empty number: %v %v", p, err)
	}
}

// Every stem of the test range that has a check digit comes once, in order.
func TestFromIndexEnumeratesTheTestRange(t *testing.T) {
	i := 0
	for stem := 999_000_000; stem <= 999_999_999; stem++ {
		sum := 0
		for rest, weight := stem, 2; rest > 0; rest, weight = rest/10, weight+1 {
			sum += rest % 10 * weight
		}
		if sum%11 == 1 {
			continue // the check digit would be ten
		}
		s := fmt.Sprintf("%d%d", stem, (11-sum%11)%11)
		got, err := ident.FromIndex(i)
		if parsed, perr := ident.ParseNHSNumber(s); err != nil || perr != nil || got != parsed || !got.InTestRange() {
			t.Fatalf("number %d is %v, %v; want %s, %v", i, got, err, s, perr)
		}
		i++
	}
	if i != 909_091 || ident.TestRange.Len() != i {
		t.Errorf("%d numbers, Len says %d, want 909,091", i, ident.TestRange.Len())
	}
	for _, bad := range []int{-1, i} {
		if n, err := ident.FromIndex(bad); !fault.Is(err, fault.Invalid) {
			t.Errorf("index %d gave %v, %v", bad, n, err)
		}
	}
}

func TestLoadRange(t *testing.T) {
	size := ident.LoadRange.Len()
	if size != 36_363_636 {
		t.Errorf("the load range holds %d", size)
	}
	last := ""
	for i := 0; i < size; i += 9973 {
		n, err := ident.LoadRange.At(i)
		if err != nil || !ident.LoadRange.Contains(n) || n.InTestRange() || n.String() <= last {
			t.Fatalf("number %d is %v after %s: %v", i, n, last, err)
		}
		if _, err := ident.ParseNHSNumber(n.String()); err != nil {
			t.Fatalf("number %d: %v", i, err)
		}
		last = n.String()
	}
}

func FuzzNHSNumber(f *testing.F) {
	for _, s := range []string{"9434765919", "943 476 5919", "", "999000001X"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) { again(t, s, ident.ParseNHSNumber) })
}

// again is the property of every identifier: what was parsed parses again to the same value.
func again[T interface {
	comparable
	String() string
}](t *testing.T, s string, parse func(string) (T, error)) {
	t.Helper()
	var zero T
	v, err := parse(s)
	if err != nil {
		if v != zero || !fault.Is(err, fault.Invalid) {
			t.Errorf("%q was refused with %v yet gave %q", s, err, v)
		}
		return
	}
	if w, err := parse(v.String()); err != nil || v != w || v == zero {
		t.Errorf("%q parsed as %q, which parses as %q, %v", s, v, w, err)
	}
}

func BenchmarkParseNHSNumber(b *testing.B) {
	for b.Loop() {
		if _, err := ident.ParseNHSNumber("9434765919"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFromIndex(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ident.FromIndex(654_321); err != nil {
			b.Fatal(err)
		}
	}
}
