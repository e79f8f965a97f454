package demographics

import (
	"bytes"
	"math"
	"reflect"
	"testing"
)

func TestNamesThatSoundAlike(t *testing.T) {
	for _, p := range [][2]string{{"Smith", "Smythe"}, {"Ann", "Anne"}, {"Catherine", "Katherine"}, {"Philip", "Filip"}, {"Knight", "Nite"}, {"Wright", "Right"},
		{"MacDonald", "McDonald"}, {"O'Neill", "Oneil"}, {"Siân", "Sian"}, {"Kociński", "Kocinski"}, {"Thomas", "Tohmas"}, {"Patel", "Pattel"}, {"Jonse", "Jones"}} {
		if !alike(plain(p[0]), plain(p[1])) || !alike(plain(p[1]), plain(p[0])) {
			t.Errorf("%s and %s are not alike", p[0], p[1])
		}
	}
	for _, p := range [][2]string{{"Smith", "Jones"}, {"Ann", "Ian"}, {"Li", "Ho"}, {"", ""}, {"Khan", "Patel"}, {"Adam", "Thomas"}} {
		if alike(plain(p[0]), plain(p[1])) {
			t.Errorf("%s and %s are alike", p[0], p[1])
		}
	}
	for name, want := range map[string]string{"robert": "R163", "rupert": "R163", "ashcraft": "A261", "tymczak": "T522", "pfister": "P236", "honeyman": "H555", "": "", "李": ""} {
		if got := soundex(name); got != want {
			t.Errorf("soundex of %s is %s, want %s", name, got, want)
		}
	}
}

func TestJaroWinklerIsThePublishedOne(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want float64
	}{{"ME*", "MEEK", 7. / 9}, {"DN17*", "DN17 4AA", 0.86}, {"MARTHA", "MARHTA", 0.9611}, {"DIXON", "DICKSONX", 0.8133}, {"a", "", 0}, {"A", "A", 1}} {
		if got := jaroWinkler(letters(c.a), letters(c.b)); math.Abs(got-c.want) > 0.0001 {
			t.Errorf("%s and %s are %.4f alike, want %.4f", c.a, c.b, got, c.want)
		}
	}
}

func FuzzFeatures(f *testing.F) {
	f.Add(features{gender: 'f', born: 1, died: noDay, practice: "A20047", names: []nameFeature{{true, "Smith", []string{"Ann", "B"}}},
		postcodes: []pastText{{false, "LS1 6AE"}}, phones: []pastText{{true, "01"}}}.pack())
	f.Add([]byte{1, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := unpackFeatures(b)
		if err != nil {
			return
		}
		again, err := unpackFeatures(got.pack())
		if err != nil || !reflect.DeepEqual(got, again) {
			t.Fatalf("what was read is not read again: %v\n%+v\n%+v", err, got, again)
		}
		if !bytes.Equal(got.pack(), again.pack()) {
			t.Fatal("packed twice it differs")
		}
	})
}

func FuzzSimilar(f *testing.F) {
	f.Add("Smith", "Smythe")
	f.Add("PÀULINÉ", "Pauline")
	f.Add("😀", "שלום")
	f.Fuzz(func(t *testing.T, a, b string) {
		s := jaroWinkler(letters(a), letters(b))
		if s < 0 || s > 1.0000001 || math.IsNaN(s) {
			t.Fatalf("%q and %q are %v alike", a, b, s)
		}
		if alike(plain(a), plain(b)) != alike(plain(b), plain(a)) {
			t.Fatalf("%q is like %q one way only", a, b)
		}
	})
}
