package record

import (
	"hash/fnv"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// entry is one value of one search parameter of a resource, in the form that matching and indexing need.
type entry struct {
	code string // the parameter's
	typ  string // token, string, date, number, quantity, reference, uri, composite, special

	system, value string   // token, quantity unit (system and code)
	texts         []string // token: displays and text; string: the text
	ofType        string   // identifier: its type, "system|code"
	unit          string   // quantity: the unit as written
	lo, hi        int64    // date: µs, hi exclusive
	x, y          float64  // number, quantity: the value and half a unit of its last digit
	refType, ref  string   // reference: "Patient", "123"
	url           string   // reference: absolute or canonical, without version; uri: as written
	version       string   // canonical: after the bar
	lat, lon      float64  // special near
	parts         []entry  // composite
}

// codedRow is an index row whose parameter has no number yet.
type codedRow struct {
	code string
	row  idxRow
}

const foldedBytes = 20

// appendRows appends the index rows of an entry.
func (e *entry) appendRows(rows []codedRow) []codedRow {
	hash := func(code string, h int64) { rows = append(rows, codedRow{code, idxRow{table: tableHash, a: h}}) }
	text := func(code, s string) {
		rows = append(rows, codedRow{code, idxRow{table: tableString, s: clip(fold(s), foldedBytes)}})
	}
	switch e.typ {
	case "token":
		if e.value != "" {
			hash(e.code, tokenHash(e.system, e.value))
		}
		if e.ofType != "" {
			hash(e.code+":of-type", wordHash(e.ofType+"|"+strings.ToLower(e.value)))
		}
		for _, s := range e.texts {
			text(e.code+":text", s)
		}
	case "string":
		for _, s := range e.texts {
			text(e.code, s)
		}
	case "date":
		rows = append(rows, codedRow{e.code, idxRow{table: tableDate, a: spanOf(e.lo, e.hi), b: e.lo, c: e.hi}})
	case "number":
		rows = append(rows, codedRow{e.code, idxRow{table: tableNumber, x: e.x - e.y, y: e.x + e.y}})
	case "quantity":
		rows = append(rows, codedRow{e.code, idxRow{table: tableNumber, x: e.x - e.y, y: e.x + e.y, a: unitHash(e.value)}})
	case "reference":
		if e.ref != "" {
			hash(e.code, wordHash(e.refType+"/"+e.ref))
		}
		if e.url != "" {
			hash(e.code, wordHash(e.url))
		}
		if e.value != "" {
			hash(e.code+":identifier", tokenHash(e.system, e.value))
		}
	case "uri":
		hash(e.code, wordHash(e.url))
	case "composite":
		if len(e.parts) > 0 {
			hash(e.code, e.parts[0].partHash())
		}
	case "special":
		if e.code == "near" {
			rows = append(rows, codedRow{e.code, idxRow{table: tableNumber, x: e.lat, y: e.lat}})
		}
	}
	return rows
}

// partHash is what a composite is indexed under: its first part where that is a word, else nothing in particular.
func (e *entry) partHash() int64 {
	switch {
	case e.typ == "token":
		return tokenHash(e.system, e.value)
	case e.ref != "":
		return wordHash(e.refType + "/" + e.ref)
	case e.url != "":
		return wordHash(e.url)
	}
	return 0
}

// The 63 bits of a token's hash: 40 of its code over 23 of its system, so that a code in any system is a range.
const systemBits = 23

func tokenHash(system, code string) int64 {
	return codeHash(code) | systemHash(system)
}

func codeHash(code string) int64 {
	return wordHash(strings.ToLower(code)) >> systemBits << systemBits
}

func systemHash(system string) int64 { return wordHash(system) & (1<<systemBits - 1) }

// wordHash is 63 bits over a text.
func wordHash(s string) int64 {
	h := fnv.New64a()
	_, _ = io.WriteString(h, s) // a hash never fails
	x := h.Sum64()
	x ^= x >> 33 // FNV alone leaves the high bits of short texts alike
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	x ^= x >> 33
	return int64(x >> 1)
}

func unitHash(code string) int64 {
	if code == "" {
		return 0
	}
	return wordHash(code)
}

// Span classes of dates, by length.
const spans = 5

const (
	second = int64(1_000_000)
	day    = 24 * 3600 * second
)

// spanLength bounds the length of each class; the last has none.
var spanLength = [spans - 1]int64{second, day + 2*3600*second, 32 * day, 367 * day}

func spanOf(lo, hi int64) int64 {
	for span, most := range spanLength {
		if hi-lo <= most && hi > lo {
			return int64(span)
		}
	}
	return spans - 1
}

// fold makes texts comparable as people compare names: small letters, no accents, single spaces.
func fold(s string) string {
	if plainASCII(s) {
		return strings.Join(strings.Fields(strings.ToLower(s)), " ")
	}
	var b strings.Builder
	space := false
	for _, c := range norm.NFKD.String(s) {
		switch {
		case unicode.Is(unicode.Mn, c):
		case unicode.IsSpace(c):
			space = b.Len() > 0
		default:
			if space {
				b.WriteByte(' ')
				space = false
			}
			writeFolded(&b, c)
		}
	}
	return b.String()
}

// writeFolded adds the small letter of c, with the letters that decompose to nothing spelled out.
func writeFolded(b *strings.Builder, c rune) {
	switch c = unicode.ToLower(c); c {
	case 'ß':
		b.WriteString("ss")
	case 'æ':
		b.WriteString("ae")
	case 'œ':
		b.WriteString("oe")
	case 'ø':
		b.WriteByte('o')
	case 'ð':
		b.WriteByte('d')
	case 'þ':
		b.WriteString("th")
	case 'ł':
		b.WriteByte('l')
	case 'ı':
		b.WriteByte('i')
	case '’', 'ʼ', '‘':
		b.WriteByte('\'')
	default:
		b.WriteRune(c)
	}
}

func plainASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// clip cuts s to at most n bytes, between runes.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
