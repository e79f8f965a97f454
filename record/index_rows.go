package record

import (
	"hash/fnv"
	"io"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/openspine/openspine/fhir/search"
)

// codedRow is an index row whose parameter has no number yet.
type codedRow struct {
	code string
	row  idxRow
}

// foldedBytes is how much of a text stands in its index row; the rest is compared on the body.
const foldedBytes = 20

// Suffixes of parameters that are indexed beside their own.
const (
	suffixOfType     = ":of-type"
	suffixIdentifier = ":identifier"
)

// appendRows appends the index rows of a value.
func appendRows(rows []codedRow, code string, v search.Value) []codedRow {
	switch v := v.(type) {
	case search.Token:
		if v.Code != "" {
			rows = append(rows, hashRow(code, tokenHash(systemOf(v), v.Code)))
		}
		for _, t := range v.Types {
			rows = append(rows, hashRow(code+suffixOfType, ofTypeHash(t.System, t.Code, v.Code)))
		}
	case search.String:
		rows = append(rows, codedRow{code, idxRow{table: tableString, s: clip(v.Folded, foldedBytes)}})
	case search.Date:
		rows = append(rows, codedRow{code, idxRow{table: tableDate, a: spanOf(v.Lo, v.Hi), b: v.Lo, c: v.Hi}})
	case search.Number:
		rows = appendNumber(rows, code, v, 0)
	case search.Quantity:
		rows = appendNumber(rows, code, v.Number, unitHash(unitOf(v)))
		if v.Base.Code != "" && v.Base.Code != v.Code {
			rows = appendNumber(rows, code, v.Base.Number, unitHash(v.Base.Code))
		}
	case search.Reference:
		rows = appendReference(rows, code, v)
	case search.URI:
		rows = append(rows, hashRow(code, wordHash(v.URI)))
	case search.Composite:
		rows = append(rows, hashRow(code, partHash(v.Parts[0])))
	case search.Near:
		rows = append(rows, codedRow{code, idxRow{table: tableNumber, x: v.Latitude, y: v.Latitude}})
	}
	return rows
}

func hashRow(code string, h int64) codedRow { return codedRow{code, idxRow{table: tableHash, a: h}} }

func appendReference(rows []codedRow, code string, v search.Reference) []codedRow {
	switch {
	case v.Relative():
		rows = append(rows, hashRow(code, wordHash(v.Type+"/"+v.ID)))
	case v.URL != "":
		rows = append(rows, hashRow(code, wordHash(v.URL)))
	}
	if v.Identifier.Code != "" {
		rows = append(rows, hashRow(code+suffixIdentifier, tokenHash(v.Identifier.System, v.Identifier.Code)))
	}
	return rows
}

// appendNumber puts a number down as a point, whose precision does not matter to a search, and a range as its two ends.
func appendNumber(rows []codedRow, code string, n search.Number, unit int64) []codedRow {
	if isPoint(n) {
		return append(rows, codedRow{code, idxRow{table: tableNumber, x: n.Value, y: n.Value, a: unit}})
	}
	return append(rows, codedRow{code, idxRow{table: tableNumber, x: n.Lo, y: n.Hi, a: unit}},
		codedRow{code, idxRow{table: tableNumber, x: n.Hi, y: n.Hi, a: unit}})
}

// isPoint tells a number, whose range is one unit of its last digit, from a range with two ends.
func isPoint(n search.Number) bool {
	if n.Lo == n.Hi {
		return true
	}
	if math.IsInf(n.Lo, 0) || math.IsInf(n.Hi, 0) {
		return false
	}
	width := math.Log10(n.Hi - n.Lo)
	return math.Abs(width-math.Round(width)) < 1e-6
}

// systemOf is the system that a token is indexed under: its own, or the one that the definitions imply.
func systemOf(t search.Token) string {
	if t.System == "" {
		return t.Implied
	}
	return t.System
}

func unitOf(q search.Quantity) string {
	if q.Code == "" {
		return q.Unit
	}
	return q.Code
}

// partHash is what a composite is indexed under: its first part where that is a word, else nothing in particular.
func partHash(v search.Value) int64 {
	switch v := v.(type) {
	case search.Token:
		return tokenHash(systemOf(v), v.Code)
	case search.Reference:
		if v.Relative() {
			return wordHash(v.Type + "/" + v.ID)
		}
		return wordHash(v.URL)
	case search.URI:
		return wordHash(v.URI)
	}
	return 0
}

// systemBits part the 63 bits of a token's hash: its code above, its system below, so that a code in any system is a range.
const systemBits = 23

func tokenHash(system, code string) int64 { return codeHash(code) | systemHash(system) }

func codeHash(code string) int64 { return wordHash(strings.ToLower(code)) >> systemBits << systemBits }

func systemHash(system string) int64 { return wordHash(system) & (1<<systemBits - 1) }

func ofTypeHash(system, code, value string) int64 {
	return wordHash(system + "|" + code + "|" + strings.ToLower(value))
}

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

// spanLength bounds the length of each class in µs; the last has no bound.
var spanLength = [spans - 1]int64{second, day + 2*3600*second, 32 * day, 367 * day}

func spanOf(lo, hi int64) int64 {
	if lo != search.Beginning && hi != search.Forever {
		for span, most := range spanLength {
			if hi-lo <= most {
				return int64(span)
			}
		}
	}
	return spans - 1
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
