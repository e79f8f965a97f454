package match

import (
	"math"
	"testing"
)

func TestNamesThatSoundAlike(t *testing.T) {
	for _, p := range [][2]string{{"Smith", "Smythe"}, {"Ann", "Anne"}, {"Catherine", "Katherine"}, {"Philip", "Filip"}, {"Knight", "Nite"}, {"Wright", "Right"},
		{"MacDonald", "McDonald"}, {"O'Neill", "Oneil"}, {"Siân", "Sian"}, {"Kociński", "Kocinski"}, {"Thomas", "Tohmas"}, {"Patel", "Pattel"}, {"Jonse", "Jones"}} {
		if !Alike(Plain(p[0]), Plain(p[1])) || !Alike(Plain(p[1]), Plain(p[0])) {
			t.Errorf("%s and %s are not alike", p[0], p[1])
		}
	}
	for _, p := range [][2]string{{"Smith", "Jones"}, {"Ann", "Ian"}, {"Li", "Ho"}, {"", ""}, {"Khan", "Patel"}, {"Adam", "Thomas"}} {
		if Alike(Plain(p[0]), Plain(p[1])) {
			t.Errorf("%s and %s are alike", p[0], p[1])
		}
	}
	for name, want := range map[string]string{"robert": "R163", "rupert": "R163", "ashcraft": "A261", "tymczak": "T522", "pfister": "P236", "honeyman": "H555", "": "", "李": ""} {
		if got := Soundex(name); got != want {
			t.Errorf("soundex of %s is %s, want %s", name, got, want)
		}
	}
}

func TestJaroWinklerIsThePublishedOne(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want float64
	}{{"ME*", "MEEK", 7. / 9}, {"DN17*", "DN17 4AA", 0.86}, {"MARTHA", "MARHTA", 0.9611}, {"DIXON", "DICKSONX", 0.8133}, {"a", "", 0}, {"A", "A", 1}} {
		if got := JaroWinkler(Letters(c.a), Letters(c.b)); math.Abs(got-c.want) > 0.0001 {
			t.Errorf("%s and %s are %.4f alike, want %.4f", c.a, c.b, got, c.want)
		}
	}
}

func FuzzSimilar(f *testing.F) {
	f.Add("Smith", "Smythe")
	f.Add("PÀULINÉ", "Pauline")
	f.Add("😀", "שלום")
	f.Fuzz(func(t *testing.T, a, b string) {
		s := JaroWinkler(Letters(a), Letters(b))
		if s < 0 || s > 1.0000001 || math.IsNaN(s) {
			t.Fatalf("%q and %q are %v alike", a, b, s)
		}
		if Alike(Plain(a), Plain(b)) != Alike(Plain(b), Plain(a)) {
			t.Fatalf("%q is like %q one way only", a, b)
		}
	})
}
