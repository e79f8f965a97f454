package validate

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/openspine/openspine/fhir"
)

// form is how a primitive's value is written: its kind of JSON value and the check of its text, which returns what
// is wrong, worded to follow the element's name, or "".
type form struct {
	json  fhir.Kind
	text  func(string) string
	xhtml bool
	// link primitives may refer to a contained resource as "#id".
	link bool
}

func (f *form) check(s string) string {
	if f.text == nil {
		return ""
	}
	return f.text(s)
}

// forms are FHIR's primitives (https://hl7.org/fhir/R4/datatypes.html#primitive), without those that take the form
// of their base. string is the JSON kind of everything that is not listed with another.
var forms = map[string]form{
	"boolean":      {json: fhir.Bool},
	"integer":      {json: fhir.Number, text: func(s string) string { return checkInteger(s, -1<<31, 1<<31-1) }},
	"unsignedInt":  {json: fhir.Number, text: func(s string) string { return checkInteger(s, 0, 1<<31-1) }},
	"positiveInt":  {json: fhir.Number, text: func(s string) string { return checkInteger(s, 1, 1<<31-1) }},
	"decimal":      {json: fhir.Number, text: checkDecimal},
	"string":       {json: fhir.String, text: checkString},
	"markdown":     {json: fhir.String, text: checkString},
	"code":         {json: fhir.String, text: checkCode},
	"id":           {json: fhir.String, text: checkID},
	"uri":          {json: fhir.String, text: checkURI, link: true},
	"url":          {json: fhir.String, text: checkURI, link: true},
	"canonical":    {json: fhir.String, text: checkURI, link: true},
	"oid":          {json: fhir.String, text: checkOID},
	"uuid":         {json: fhir.String, text: checkUUID},
	"base64Binary": {json: fhir.String, text: checkBase64},
	"date":         {json: fhir.String, text: checkDate},
	"dateTime":     {json: fhir.String, text: checkDateTime},
	"instant":      {json: fhir.String, text: checkInstant},
	"time":         {json: fhir.String, text: checkTime},
	"xhtml":        {json: fhir.String, xhtml: true},
}

const (
	maxString = 1 << 20
	tooLong   = "is longer than 1 MB, the most that FHIR allows"
	isEmpty   = "is empty. Leave it out when there is nothing to say"
)

func checkString(s string) string {
	if s == "" {
		return isEmpty
	}
	if len(s) > maxString && utf8.RuneCountInString(s) > maxString {
		return tooLong
	}
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' && c != '\n' && c != '\r' {
			return "holds a control character. Only tab, line feed and carriage return may be used"
		}
	}
	return ""
}

// space is white space as the specification's patterns mean it.
func space(c byte) bool {
	return c == ' ' || c >= '\t' && c <= '\r'
}

func checkCode(s string) string {
	if s == "" {
		return isEmpty
	}
	gap := true
	for i := range len(s) {
		if space(s[i]) {
			if gap || s[i] != ' ' {
				return "is a code: no spaces at its start or end, and no two together"
			}
			gap = true
		} else {
			gap = false
		}
	}
	if gap {
		return "is a code: no spaces at its start or end, and no two together"
	}
	return ""
}

func validID(s string) bool {
	for i := range len(s) {
		if c := s[i]; !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.') {
			return false
		}
	}
	return s != "" && len(s) <= 64
}

func checkID(s string) string {
	if validID(s) {
		return ""
	}
	return "must be 1 to 64 letters, digits, '-' and '.', as every FHIR id"
}

func checkURI(s string) string {
	if s == "" {
		return isEmpty
	}
	for i := range len(s) {
		if space(s[i]) || s[i] < ' ' {
			return "is a URI and may not hold spaces. Write them as %20"
		}
	}
	return ""
}

func checkOID(s string) string {
	const say = "must be an OID written as urn:oid:2.16.…, its first number 0, 1 or 2"
	digits, ok := strings.CutPrefix(s, "urn:oid:")
	if !ok || digits == "" || digits[0] > '2' {
		return say
	}
	parts := 0
	for part := range strings.SplitSeq(digits, ".") {
		if part == "" || len(part) > 1 && (part[0] == '0' || parts == 0) || !allDigits(part) {
			return say
		}
		parts++
	}
	if parts < 2 {
		return say
	}
	return ""
}

func allDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

func checkUUID(s string) string {
	const say = "must be a UUID in small letters, written as urn:uuid:c757873d-ec9a-4326-a141-556f43239520"
	hex, ok := strings.CutPrefix(s, "urn:uuid:")
	if !ok || len(hex) != 36 {
		return say
	}
	for i := range len(hex) {
		c := hex[i]
		dash := i == 8 || i == 13 || i == 18 || i == 23
		if dash != (c == '-') || !dash && !(c >= '0' && c <= '9' || c >= 'a' && c <= 'f') {
			return say
		}
	}
	return ""
}

func checkBase64(s string) string {
	n, pad := 0, 0
	for i := range len(s) {
		switch c := s[i]; {
		case space(c):
		case c == '=':
			pad++
			n++
		case pad > 0 || !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '+' || c == '/'):
			return "is not base64: only A-Z, a-z, 0-9, + and /, with = at the end"
		default:
			n++
		}
	}
	switch {
	case n == 0:
		return isEmpty
	case n%4 != 0 || pad > 2:
		return "is not base64: its length must be a multiple of four, filled with ="
	}
	return ""
}

func checkInteger(s string, low, high int64) string {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil && strings.ContainsAny(s, ".eE") {
		return "must be a whole number, without a point or exponent"
	}
	if err != nil || n < low || n > high || s == "-0" && low > 0 {
		return "must be a whole number from " + strconv.FormatInt(low, 10) + " to " + strconv.FormatInt(high, 10)
	}
	return ""
}

// checkDecimal bounds the exponent, which the specification leaves open, so that no decimal costs gigabytes later.
func checkDecimal(s string) string {
	if len(s) > 512 {
		return "has more than 512 digits"
	}
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		if e, err := strconv.Atoi(s[i+1:]); err != nil || e > 400 || e < -400 {
			return "has an exponent beyond 400"
		}
	}
	return ""
}

const (
	noDay     = "names a day that is not in the calendar"
	dateForm  = "must be a date: YYYY, YYYY-MM or YYYY-MM-DD"
	clockForm = "must have a time of hh:mm:ss, from 00:00:00 to 23:59:59, with any fraction after a point"
	zoneForm  = "has a time, so it needs a time zone: Z, +hh:mm or -hh:mm"
)

// number reads digits from s[from:to]; -1 when they are not all digits.
func number(s string, from, to int) int {
	if to > len(s) {
		return -1
	}
	n := 0
	for i := from; i < to; i++ {
		if s[i] < '0' || s[i] > '9' {
			return -1
		}
		n = n*10 + int(s[i]-'0')
	}
	return n
}

// day reads a date from the start of s; rest is what follows it and parts how many of year, month and day were there.
func day(s string) (rest string, parts int, problem string) {
	y := number(s, 0, 4)
	if y < 0 {
		return "", 0, dateForm
	}
	if y == 0 {
		return "", 0, "has the year 0000, which there never was"
	}
	if len(s) == 4 || s[4] != '-' {
		return s[4:], 1, ""
	}
	m := number(s, 5, 7)
	if m < 0 {
		return "", 0, dateForm
	}
	if m < 1 || m > 12 {
		return "", 0, noDay
	}
	if len(s) == 7 || s[7] != '-' {
		return s[7:], 2, ""
	}
	d := number(s, 8, 10)
	if d < 0 {
		return "", 0, dateForm
	}
	if d < 1 || d > daysIn(y, m) {
		return "", 0, noDay
	}
	return s[10:], 3, ""
}

func daysIn(y, m int) int {
	switch m {
	case 2:
		if y%4 == 0 && (y%100 != 0 || y%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

// clock reads hh:mm:ss and any fraction; rest is what follows.
func clock(s string) (rest string, ok bool) {
	if len(s) < 8 || s[2] != ':' || s[5] != ':' {
		return "", false
	}
	h, m, sec := number(s, 0, 2), number(s, 3, 5), number(s, 6, 8)
	if h < 0 || h > 23 || m < 0 || m > 59 || sec < 0 || sec > 60 {
		return "", false
	}
	rest = s[8:]
	if strings.HasPrefix(rest, ".") {
		i := 1
		for i < len(rest) && rest[i] >= '0' && rest[i] <= '9' {
			i++
		}
		if i == 1 {
			return "", false
		}
		rest = rest[i:]
	}
	return rest, true
}

// zone says whether s is Z or an offset of at most 14 hours.
func zone(s string) bool {
	if s == "Z" {
		return true
	}
	if len(s) != 6 || s[0] != '+' && s[0] != '-' || s[3] != ':' {
		return false
	}
	h, m := number(s, 1, 3), number(s, 4, 6)
	return h >= 0 && m >= 0 && m <= 59 && (h < 14 || h == 14 && m == 0)
}

func checkDate(s string) string {
	rest, _, problem := day(s)
	if problem == "" && rest != "" {
		return dateForm
	}
	return problem
}

func checkDateTime(s string) string {
	rest, parts, problem := day(s)
	if problem != "" || rest == "" {
		return problem
	}
	if parts < 3 || rest[0] != 'T' {
		return dateForm + ", or YYYY-MM-DDThh:mm:ss+zz:zz"
	}
	rest, ok := clock(rest[1:])
	if !ok {
		return clockForm
	}
	if !zone(rest) {
		return zoneForm
	}
	return ""
}

func checkInstant(s string) string {
	if len(s) <= 10 {
		if problem := checkDate(s); problem != "" {
			return problem
		}
		return "must be known to the second: YYYY-MM-DDThh:mm:ss+zz:zz"
	}
	return checkDateTime(s)
}

func checkTime(s string) string {
	if rest, ok := clock(s); !ok || rest != "" {
		return "must be a time of day, hh:mm:ss, without a time zone"
	}
	return ""
}
