package ident_test

import (
	"strings"
	"testing"

	"github.com/openspine/openspine/ident"
)

type parsed interface {
	comparable
	String() string
}

// reads checks a table of texts and what each is read as; "" means refused.
func reads[T parsed](t *testing.T, parse func(string) (T, error), table map[string]string) {
	t.Helper()
	for in, want := range table {
		v, err := parse(in)
		if v.String() != want || (err == nil) != (want != "") {
			t.Errorf("%q is read as %q, %v; want %q", in, v, err, want)
		}
		again(t, in, parse)
	}
}

func TestODSCode(t *testing.T) {
	reads(t, ident.ParseODSCode, map[string]string{
		"X26": "X26", "a81001": "A81001", "RBA1234567": "RBA1234567", "ABCDEFGHIJKL": "ABCDEFGHIJKL",
		"X2": "", "ABCDEFGHIJKLM": "", "X 26": "", "X26/..": "", "ÀB1": "", "": "",
	})
}

func TestUBRN(t *testing.T) {
	reads(t, ident.ParseUBRN, map[string]string{
		"000049738257": "000049738257", "0000 4973 8257": "000049738257", "00004973825": "", "0000497382577": "", "00004973825a": "",
	})
	if d := ident.MustUBRN("000049738257").Display(); d != "0000 4973 8257" {
		t.Errorf("shown as %q", d)
	}
}

func TestFHIRID(t *testing.T) {
	long := strings.Repeat("a", 64)
	reads(t, ident.ParseFHIRID, map[string]string{"a-B.9": "a-B.9", long: long, long + "a": "", "": "", "a/b": "", "a_b": "", "é": ""})
}

func FuzzODSCode(f *testing.F) {
	f.Add("X26")
	f.Add("a81001")
	f.Fuzz(func(t *testing.T, s string) { again(t, s, ident.ParseODSCode) })
}

func FuzzUBRN(f *testing.F) {
	f.Add("0000 4973 8257")
	f.Fuzz(func(t *testing.T, s string) { again(t, s, ident.ParseUBRN) })
}

func FuzzFHIRID(f *testing.F) {
	f.Add("a-B.9")
	f.Fuzz(func(t *testing.T, s string) { again(t, s, ident.ParseFHIRID) })
}
