package demographics

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/openspine/openspine/demographics/match"
)

// query is a search as it was asked (specification, paths/patient-search).
type query struct {
	fuzzy, exact, history      bool
	explained                  bool // each match says why it is one
	most                       int
	family                     pattern
	given                      []pattern
	gender                     byte
	born, died                 days
	postcode                   pattern
	practice, email, telephone string
	// like is somebody new: whoever is found is so like them that they are taken for one person.
	like  *match.Person
	model *match.Model
	// shown says that whoever asks is shown who is found, so that nothing may be learnt of where a restricted person is.
	shown bool
	// thatDay asks of whoever is taken for like that they were born within born.
	thatDay bool
}

// days is a range of dates, both ends included.
type days struct {
	lo, hi int32
	asked  bool
}

// span is the range as days stand in the tables, without noDay, under which those stand who have none.
func (d days) span() (from, to int64) { return max(int64(d.lo), int64(noDay)+1), int64(d.hi) }

func (d days) holds(day int32) bool { return day != noDay && d.lo <= day && day <= d.hi }

// pattern is a name or postcode to look for; * stands for any letters, not among the first two.
type pattern struct {
	text  string   // as it was asked
	parts []string // between the stars, plain
}

func (p pattern) asked() bool { return p.text != "" }
func (p pattern) wild() bool  { return len(p.parts) > 1 }
func (p pattern) begin() string {
	if len(p.parts) == 0 {
		return ""
	}
	return p.parts[0]
}

// matches reports whether a plain text is one that the pattern describes.
func (p pattern) matches(text string) bool {
	if !p.wild() {
		return text == p.begin()
	}
	rest, ok := strings.CutPrefix(text, p.parts[0])
	if !ok {
		return false
	}
	last := len(p.parts) - 1
	for _, part := range p.parts[1:last] {
		i := strings.Index(rest, part)
		if i < 0 {
			return false
		}
		rest = rest[i+len(part):]
	}
	return strings.HasSuffix(rest, p.parts[last])
}

// The parameters of a search.
const (
	pFuzzy, pExact, pHistory, pMost = "_fuzzy-match", "_exact-match", "_history", "_max-results"
	pFamily, pGiven, pGender        = "family", "given", "gender"
	pBorn, pDied                    = "birthdate", "death-date"
	pPostcode, pOldPostcode         = "address-postalcode", "address-postcode"
	pPractice, pEmail, pPhone       = "general-practitioner", "email", "phone"
)

var searchParameters = []string{pFuzzy, pExact, pHistory, pMost, pFamily, pGiven, pGender, pBorn, pDied, pPostcode, pOldPostcode, pPractice, pEmail, pPhone}

// What a search is told when it does not say enough, or says what does not go together.
const (
	tooLittle   = "No searches were performed as the search criteria did not meet the minimum requirements"
	noBirth     = "Missing value - 'birth_date/birth_date_range_start/birth_date_range_end'"
	mostMatches = 50
)

func unsearchable(why string) error {
	return refuse(invalidSearchData, "%s", "Invalid search data provided - '"+why+"'")
}

func invalidIn(field, value string) error {
	return in(field, refuse(invalidValue, "%s", "Invalid value - '"+shown(value)+"' in field '"+field+"'"))
}

// parseQuery reads the parameters of a search, in the order in which the published service finds fault with them.
func parseQuery(values url.Values, m mode, today int32) (query, error) {
	q := query{most: mostMatches}
	if len(values) == 0 {
		return q, refuse(unsupportedService, "")
	}
	if err := onlyKnown(values, searchParameters); err != nil {
		return q, err
	}
	for _, one := range searchParameters {
		if n := len(values[one]); n > 1 && one != pGiven && one != pBorn && one != pDied {
			return q, unsearchable(one + " may be given once")
		}
	}
	var err error
	if q.born, err = parseDays(pBorn, values[pBorn], today); err == nil {
		q.died, err = parseDays(pDied, values[pDied], today)
	}
	if err == nil {
		err = q.options(values, m)
	}
	if err == nil {
		err = q.criteria(values)
	}
	if err == nil {
		err = q.enough()
	}
	return q, err
}

// onlyKnown refuses parameters or elements that there are none of.
func onlyKnown(values url.Values, known []string) error {
	var strange []string
	for name := range values {
		if !slices.Contains(known, name) {
			strange = append(strange, name)
		}
	}
	slices.Sort(strange)
	return unexpected(strange)
}

// unexpected refuses names that should not be there; nil when there are none.
func unexpected(names []string) error {
	if len(names) == 0 {
		return nil
	}
	were := "was"
	if len(names) > 1 {
		were = "were"
	}
	for i := range names {
		names[i] = "'" + shown(names[i]) + "'"
	}
	return refuse(additionalProperties, "%s", "Invalid request with error - Additional properties are not allowed ("+strings.Join(names, ", ")+" "+were+" unexpected)")
}

// parseDays reads one date, or the two ends of a range.
func parseDays(field string, values []string, today int32) (days, error) {
	d := days{lo: -1 << 30, hi: 1 << 30}
	var prefixes []string
	for _, text := range values {
		prefix, date := "eq", text
		if len(text) == len("eq2010-10-22") {
			prefix, date = text[:2], text[2:]
		}
		t, err := time.Parse(time.DateOnly, date)
		if err != nil || !slices.Contains([]string{"eq", "ge", "le"}, prefix) {
			return d, invalidIn(field, text)
		}
		day := int32(t.Unix() / 86400)
		if prefix != "le" && day > today {
			return d, invalidIn(field, text) // nobody was born, or died, tomorrow
		}
		if prefix != "le" {
			d.lo = day
		}
		if prefix != "ge" {
			d.hi = day
		}
		d.asked = true
		prefixes = append(prefixes, prefix)
	}
	slices.Sort(prefixes)
	if len(prefixes) > 1 && !slices.Equal(prefixes, []string{"ge", "le"}) || d.lo > d.hi {
		return d, unsearchable("The dates of " + field + " make no range")
	}
	return d, nil
}

func (q *query) options(values url.Values, m mode) error {
	for name, at := range map[string]*bool{pFuzzy: &q.fuzzy, pExact: &q.exact, pHistory: &q.history} {
		switch text := values.Get(name); strings.ToLower(text) {
		case "true":
			*at = true
		case "false":
		default:
			if values.Has(name) {
				return invalidIn(name, text)
			}
		}
	}
	q.history = q.history || q.fuzzy
	if m == restrictedMode {
		q.most = 1
	}
	if !values.Has(pMost) {
		return nil
	}
	text := values.Get(pMost)
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > mostMatches {
		return invalidIn(pMost, text)
	}
	if m == restrictedMode && n > 1 {
		return refuseAs(invalidValue, 403, sayings[invalidValue].display, "Invalid value - '"+text+"' in field '"+pMost+"'")
	}
	q.most = n
	return nil
}

func (q *query) criteria(values url.Values) error {
	var err error
	if q.family, err = q.name(pFamily, values[pFamily]); err != nil {
		return err
	}
	for _, text := range values[pGiven] {
		p, err := q.name(pGiven, []string{text})
		if err != nil {
			return err
		}
		q.given = append(q.given, p)
	}
	if values.Has(pGender) {
		g := strings.ToLower(values.Get(pGender))
		if !slices.Contains([]string{"male", "female", "other", "unknown"}, g) {
			return invalidIn(pGender, values.Get(pGender))
		}
		q.gender = g[0]
	}
	if values.Has(pPostcode) && values.Has(pOldPostcode) {
		return unsearchable("address-postcode and address-postalcode cannot be used together")
	}
	for _, name := range []string{pPostcode, pOldPostcode} {
		if values.Has(name) {
			if q.postcode, err = q.postal(name, values.Get(name)); err != nil {
				return err
			}
		}
	}
	for name, at := range map[string]*string{pPractice: &q.practice, pEmail: &q.email, pPhone: &q.telephone} {
		text := strings.TrimSpace(values.Get(name))
		if values.Has(name) && (text == "" || len(text) > 100 || strings.Contains(text, "*")) {
			return invalidIn(name, values.Get(name))
		}
		*at = text
	}
	q.practice, q.email = strings.ToUpper(q.practice), strings.ToLower(q.email)
	if q.telephone != "" {
		if q.telephone = dialled(q.telephone); q.telephone == "" {
			return invalidIn(pPhone, values.Get(pPhone))
		}
	}
	return nil
}

// nameLength is how long a name may be, in characters.
const nameLength = 35

// name reads a name to look for: of letters that names are written in, with stars in an exact search.
func (q *query) name(field string, values []string) (pattern, error) {
	if len(values) == 0 {
		return pattern{}, nil
	}
	text := strings.TrimSpace(values[0])
	bare := strings.ReplaceAll(text, "*", "")
	if bare == "" || utf8.RuneCountInString(text) > nameLength || !searchable(bare) || match.Plain(bare) == "" {
		return pattern{}, invalidIn(field, values[0])
	}
	return q.stars(field, text, match.Plain)
}

func (q *query) postal(field, value string) (pattern, error) {
	text := strings.ToUpper(strings.TrimSpace(value))
	bare := squeezed(strings.ReplaceAll(text, "*", ""))
	if bare == "" || len(bare) > 10 || strings.Trim(bare, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") != "" {
		return pattern{}, invalidIn(field, value)
	}
	return q.stars(field, text, squeezed)
}

// stars splits a text at its wildcards, which may not be among the first two characters and not in a fuzzy search.
func (q *query) stars(field, text string, fold func(string) string) (pattern, error) {
	p := pattern{text: text}
	for part := range strings.SplitSeq(text, "*") {
		p.parts = append(p.parts, fold(part))
	}
	switch {
	case p.wild() && q.fuzzy:
		return p, unsearchable("Wildcards cannot be used in a fuzzy search")
	case p.wild() && (strings.IndexByte(text, '*') < 2 || utf8.RuneCountInString(text[:strings.IndexByte(text, '*')]) < 2 || p.parts[0] == ""):
		return p, invalidIn(field, text)
	}
	return p, nil
}

// searchable reports whether a text is one that a name can be: of the letters that the published service takes, and of others of the
// Latin script, for people are known here whose names it does not take.
func searchable(text string) bool {
	for _, r := range text {
		if !nameable(string(r)) && r != '’' && !unicode.Is(unicode.Latin, r) && !unicode.Is(unicode.Mn, r) {
			return false
		}
	}
	return true
}

// nameable reports whether a text is of the characters that names may hold (paths/patient-patch, "Name").
func nameable(text string) bool {
	for _, r := range text {
		switch {
		case r >= 'A' && r <= 'Z', r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-', r == '\'', r == ' ', r == '.':
		case r >= 192 && r <= 214, r >= 216 && r <= 246, r >= 248 && r <= 383:
		default:
			return false
		}
	}
	return true
}

// enough refuses a search that says too little ("Non-fuzzy search", "Fuzzy search").
func (q *query) enough() error {
	if !q.born.asked {
		return refuse(missingValue, noBirth)
	}
	if !q.fuzzy {
		if !q.family.asked() {
			return unsearchable(tooLittle)
		}
		return nil
	}
	family, given, rest := q.family.asked(), len(q.given) > 0, q.gender != 0 && q.postcode.asked()
	if family && given || family && rest || given && rest {
		return nil
	}
	return unsearchable(tooLittle)
}
