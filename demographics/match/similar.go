package match

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/openspine/openspine/fhir/search"
)

// Plain is a name as it is matched: without case, accents, spaces, apostrophes and hyphens.
func Plain(name string) string {
	folded := search.Fold(name)
	if strings.IndexFunc(folded, notLetter) < 0 {
		return folded
	}
	return strings.Map(func(r rune) rune {
		if notLetter(r) {
			return -1
		}
		return r
	}, folded)
}

func notLetter(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }

// Soundex is the Soundex code of a plain name: its first letter and three digits for how the consonants after it sound, as the
// specification names it for homophones (Smith and Smythe are both S530). A name without Latin letters has none.
func Soundex(name string) string {
	code := [4]byte{'0', '0', '0', '0'}
	n := 0
	var last byte
	for i := 0; i < len(name) && n < 4; i++ {
		c := name[i] | 0x20
		if c < 'a' || c > 'z' {
			continue
		}
		digit := "01230120022455012623010202"[c-'a']
		switch {
		case n == 0:
			code[0], n = c-0x20, 1
		case digit != '0' && digit != last:
			code[n] = digit
			n++
		}
		if c != 'h' && c != 'w' {
			last = digit
		}
	}
	if n == 0 {
		return ""
	}
	return string(code[:])
}

// Alike reports whether two plain names are the same name to the ear, or but for a slip of the keyboard: what a fuzzy search finds.
func Alike(a, b string) bool {
	if a == b {
		return a != ""
	}
	if len(a) < 2 || len(b) < 2 {
		return false
	}
	if s := Soundex(a); s != "" && s == Soundex(b) || Sound(a) == Sound(b) {
		return true
	}
	return min(len(a), len(b)) >= 4 && OneSlip(a, b)
}

// OneSlip reports whether one letter was changed, left out, added, or changed places with its neighbour.
func OneSlip(x, y string) bool {
	a, b := []rune(x), []rune(y)
	if len(a) > len(b) {
		a, b = b, a
	}
	if len(b)-len(a) > 1 {
		return false
	}
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	if len(a) < len(b) {
		return string(a[i:]) == string(b[i+1:])
	}
	if i+1 < len(a) && a[i] == b[i+1] && a[i+1] == b[i] && string(a[i+2:]) == string(b[i+2:]) {
		return true
	}
	return i < len(a) && string(a[i+1:]) == string(b[i+1:])
}

// Letters is a name as it is scored: in capitals, each letter that carries an accent marked as such. An accent that is missing
// counts as a wrong letter, another accent on the same letter does not, as the published scores show.
func Letters(name string) []rune {
	var out []rune
	for _, r := range name {
		if r < 0x80 {
			out = append(out, unicode.ToUpper(r))
			continue
		}
		d := []rune(norm.NFD.String(string(unicode.ToUpper(r))))
		if len(d) > 1 {
			out = append(out, d[0]|accented)
		} else if !unicode.Is(unicode.Mn, r) {
			out = append(out, d[0])
		} else if len(out) > 0 {
			out[len(out)-1] |= accented
		}
	}
	return out
}

const accented = 1 << 24

// JaroWinkler is how alike two texts are, from 0 to 1: Jaro's measure raised for a common beginning (prefix scale 0.1, at most
// four letters). Published scores follow from it.
func JaroWinkler[L comparable](a, b []L) float64 {
	j := jaro(a, b)
	same := 0
	for same < min(len(a), len(b), 4) && a[same] == b[same] {
		same++
	}
	return j + float64(same)*0.1*(1-j)
}

func jaro[L comparable](a, b []L) float64 {
	if len(a) == 0 || len(b) == 0 {
		return 0
	}
	window := max(max(len(a), len(b))/2-1, 0)
	var roomA, roomB [64]bool
	inA, inB := append(roomA[:0], make([]bool, len(a))...), append(roomB[:0], make([]bool, len(b))...)
	matched := 0
	for i := range a {
		for j := max(0, i-window); j < min(len(b), i+window+1); j++ {
			if !inB[j] && a[i] == b[j] {
				inA[i], inB[j] = true, true
				matched++
				break
			}
		}
	}
	if matched == 0 {
		return 0
	}
	swapped, j := 0, 0
	for i := range a {
		if !inA[i] {
			continue
		}
		for !inB[j] {
			j++
		}
		if a[i] != b[j] {
			swapped++
		}
		j++
	}
	m := float64(matched)
	return (m/float64(len(a)) + m/float64(len(b)) + (m-float64(swapped/2))/m) / 3
}
