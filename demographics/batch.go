package demographics

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/sync/errgroup"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/demographics/match"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/record"
)

// Tracing of many people at once: a CSV file of those who are looked for in, a CSV file out with a line for each of its lines, in order, each
// with its outcome and why. The columns are named as the field names them (batch tracing over MESH); they stand in any order.
//
//	line ──► cannot be read, or says too little ──────────────────────► invalid, with the column
//	  ├─ NHS_NO, and the birth date is that person's and the name like theirs ──► number
//	  ├─ one person is just so ───────────────────────────────────────► exact
//	  ├─ one person is so like it that they are taken for one ────────► fuzzy, with the probability and what it is made of
//	  ├─ several are ─────────────────────────────────────────────────► multiple: nobody is shown
//	  └─ nobody is ───────────────────────────────────────────────────► none

// Batch columns of a request.
const (
	colReference = "UNIQUE_REFERENCE"
	colNumber    = "NHS_NO"
	colFamily    = "FAMILY_NAME"
	colGiven     = "GIVEN_NAME"
	colGender    = "GENDER"
	colBorn      = "DATE_OF_BIRTH"
	colPostcode  = "POSTCODE"
)

// BatchColumns are those that a request may have; those without a use here are taken and ignored, as files of the field have them all.
func BatchColumns() []string {
	return []string{colReference, colNumber, colFamily, colGiven, "OTHER_GIVEN_NAME", colGender, colBorn, colPostcode, "DATE_OF_DEATH",
		"ADDRESS_LINE1", "ADDRESS_LINE2", "ADDRESS_LINE3", "ADDRESS_LINE4", "ADDRESS_LINE5", "ADDRESS_DATE", "GP_PRACTICE_CODE", "NHAIS_POSTING_ID",
		"AS_AT_DATE", "LOCAL_PATIENT_ID", "INTERNAL_ID", "TELEPHONE_NUMBER", "MOBILE_NUMBER", "EMAIL_ADDRESS"}
}

// batchAnswer are the columns of an answer.
func batchAnswer() []string {
	return []string{"LINE", colReference, "REQ_NHS_NUMBER", "OUTCOME", "REASON", "MATCHED_CONFIDENCE_PERCENTAGE", "MATCHED_NHS_NO", colFamily, colGiven, "OTHER_GIVEN_NAME",
		colGender, colBorn, "DATE_OF_DEATH", "ADDRESS_LINE1", "ADDRESS_LINE2", "ADDRESS_LINE3", "ADDRESS_LINE4", "ADDRESS_LINE5", colPostcode, "GP_PRACTICE_CODE", "SENSITIVITY"}
}

// Outcome is what became of a line.
type Outcome string

// The outcomes.
const (
	ByNumber Outcome = "number"
	Exact    Outcome = "exact"
	Fuzzy    Outcome = "fuzzy"
	Multiple Outcome = "multiple"
	None     Outcome = "none"
	Invalid  Outcome = "invalid"
)

// Outcomes are all of them, best first.
func Outcomes() []Outcome { return []Outcome{ByNumber, Exact, Fuzzy, Multiple, None, Invalid} }

// BatchSummary counts the lines of a file, by outcome.
type BatchSummary struct {
	Lines int
	By    map[Outcome]int
}

// batchLine is one line: what it asks and what came of it.
type batchLine struct {
	line    int
	asked   map[string]string
	outcome Outcome
	reason  string
	score   float64
	number  string // of whom was found
	found   fhir.Value
	hidden  bool // restricted
}

func (l *batchLine) invalid(column, why string) {
	if column != "" {
		why = column + ": " + why
	}
	l.outcome, l.reason = Invalid, why
}

// traceSome traces lines side by side and puts whoever is shown on the account.
func (s *register) traceSome(ctx context.Context, who access.Principal, lines []*batchLine) error {
	scope, err := s.k.Gate.DecideSet(ctx, who, access.Trace, s.k.National, []string{"Patient"})
	if err != nil {
		return err
	}
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(batchBeside)
	for _, l := range lines {
		if l.outcome != Invalid {
			group.Go(func() error { return s.traceLine(within, scope, l) })
		}
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return s.k.Gate.Account(ctx, nil, []access.Scope{scope})
}

// traceLine finds whom a line describes.
func (s *register) traceLine(ctx context.Context, scope access.Scope, l *batchLine) error {
	f, ok := l.described(s.today())
	if !ok {
		return nil
	}
	like := f.compared()
	q := likePerson(f, &like)
	q.shown = true
	if n := l.asked[colNumber]; n != "" {
		done, err := s.traceNumber(ctx, scope, l, q, n)
		if done || err != nil {
			return err
		}
	}
	if len(f.names) == 0 {
		l.outcome, l.reason = None, l.reason+"nobody is looked for without a name"
		return nil
	}
	if f.names[0].family != "" {
		exact := query{most: mostMatches, family: q.family, given: q.given, gender: f.gender, born: q.born, postcode: q.postcode}
		if done, err := s.settle(ctx, scope, l, &exact, Exact); done || err != nil {
			return err
		}
	}
	if done, err := s.settle(ctx, scope, l, q, Fuzzy); done || err != nil {
		return err
	}
	l.outcome, l.reason = None, l.reason+"nobody in the register is like this"
	return nil
}

// described is whom a line describes; false when it says too little or nonsense, and then which column.
func (l *batchLine) described(today int32) (features, bool) {
	f := features{died: noDay}
	if f.born = batchDay(l.asked[colBorn]); f.born == noDay || f.born > today {
		l.invalid(colBorn, "a birth date is given as 20101022 or 2010-10-22, and is not in the future")
		return f, false
	}
	switch strings.ToLower(l.asked[colGender]) {
	case "1", "m", "male":
		f.gender = 'm'
	case "2", "f", "female":
		f.gender = 'f'
	case "9", "i", "other":
		f.gender = 'o'
	case "", "0", "u", "unknown":
	default:
		l.invalid(colGender, "it is 0, 1, 2 or 9, or male, female, other, unknown")
		return f, false
	}
	var n nameFeature
	for _, c := range []struct {
		column string
		take   func(text string)
	}{{colFamily, func(t string) { n.family = t }}, {colGiven, func(t string) { n.given = append(n.given, t) }}} {
		text := l.asked[c.column]
		if text == "" {
			continue
		}
		if utf8.RuneCountInString(text) > nameLength || !searchable(text) || match.Plain(text) == "" {
			l.invalid(c.column, "a name is of at most 35 letters of the Latin script")
			return f, false
		}
		c.take(text)
	}
	if n.family != "" || len(n.given) > 0 {
		f.names = []nameFeature{n}
	}
	if text := strings.ToUpper(l.asked[colPostcode]); text != "" {
		if bare := squeezed(text); len(bare) > 10 || strings.Trim(bare, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") != "" {
			l.invalid(colPostcode, "it is of letters and digits")
			return f, false
		}
		f.postcodes = []pastText{{false, text}}
	}
	if l.asked[colNumber] == "" && len(f.names) == 0 {
		l.invalid(colFamily, "neither a name nor a number is given")
		return f, false
	}
	for _, c := range []string{"TELEPHONE_NUMBER", "MOBILE_NUMBER"} {
		if text := dialled(l.asked[c]); text != "" {
			f.phones = append(f.phones, pastText{false, text})
		}
	}
	if text := strings.ToLower(l.asked["EMAIL_ADDRESS"]); text != "" {
		f.emails = []pastText{{false, text}}
	}
	return f, true
}

// batchDay is a date as files have it, in days since 1970.
func batchDay(text string) int32 {
	if len(text) == len("20060102") {
		text = text[:4] + "-" + text[4:6] + "-" + text[6:]
	}
	if _, err := time.Parse(time.DateOnly, text); err != nil {
		return noDay
	}
	return dayOf(text)
}

// traceNumber looks at the person whose number a line gives; done when they are the one, or the number is none.
func (s *register) traceNumber(ctx context.Context, scope access.Scope, l *batchLine, q *query, text string) (done bool, err error) {
	n, err := ident.ParseNHSNumber(text)
	if err != nil {
		l.invalid(colNumber, "its check digit is wrong, or it is not of ten digits")
		return true, nil //nolint:nilerr // it is the line that is wrong
	}
	to, err := s.k.Records.Survivor(ctx, s.k.National, n.String())
	if err != nil {
		return false, err
	}
	f, here, err := s.featuresIn(ctx, scope, to)
	if err != nil {
		return false, err
	}
	if !here {
		l.reason = "the number is nobody's; "
		return false, nil
	}
	if len(q.like.Names) > 0 {
		has := f.compared()
		p := match.Compare(q.like, &has)
		if family, given := p.Level(match.Family), p.Level(match.Given); f.born != q.born.lo || family == match.FamilyDiffers || given == match.GivenDiffers || given == match.GivenTwin {
			l.reason = "the number is that of somebody of another name or birth date; "
			return false, nil
		}
	} else if f.born != q.born.lo {
		l.reason = "the number is that of somebody of another birth date; "
		return false, nil
	}
	reason := "the number, and the birth date and name go with it"
	if to != n.String() {
		reason = "the number is superseded by this one, and the birth date and name go with it"
	}
	return s.show(ctx, scope, l, ByNumber, hit{person: to, score: 1}, reason)
}

// settle looks for whom a question describes; done unless it is nobody.
func (s *register) settle(ctx context.Context, scope access.Scope, l *batchLine, q *query, as Outcome) (done bool, err error) {
	hits, err := s.find(ctx, scope, q)
	if p := new(problem); errors.As(err, &p) && p.code == tooManyMatches {
		l.outcome, l.reason = Multiple, l.reason+"too many people would have to be looked at: say more of them"
		return true, nil
	}
	switch {
	case err != nil || len(hits) == 0:
		return false, err
	case len(hits) > 1:
		l.outcome, l.reason = Multiple, l.reason+strconv.Itoa(len(hits))+" people are like this"
		return true, nil
	}
	reason := l.reason + "all that is given agrees"
	if as == Fuzzy {
		reason = l.reason + whyLike(hits[0].why)
	}
	return s.show(ctx, scope, l, as, hits[0], reason)
}

// whyLike is what a likeness is made of, in the words of the library that compares people.
func whyLike(why []match.Reason) string {
	var parts []string
	for _, r := range why {
		if r.Level != match.Missing {
			parts = append(parts, fmt.Sprintf("%s %s (%+.1f)", r.Field, r.Field.Word(r.Level), r.Weight))
		}
	}
	return strings.Join(parts, ", ")
}

// show reads whom a line found.
func (s *register) show(ctx context.Context, scope access.Scope, l *batchLine, as Outcome, h hit, reason string) (bool, error) {
	versions, err := s.k.Records.ReadAll(ctx, scope, []record.Ref{{Tenant: s.k.National, Type: "Patient", ID: h.person}})
	if err != nil || len(versions) == 0 || invalidated(versions[0].Resource) {
		return false, err
	}
	f := found{version: versions[0], label: versions[0].Label()}
	l.outcome, l.reason, l.score, l.number, l.found, l.hidden = as, reason, h.score, h.person, whole(f), f.restricted()
	return true, nil
}

// answer is a line of the answer.
func (l *batchLine) answer() []string {
	out := []string{strconv.Itoa(l.line), l.asked[colReference], l.asked[colNumber], string(l.outcome), l.reason, "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", ""}
	if l.number == "" {
		return out
	}
	p, err := l.found.Resource()
	if err != nil {
		return out
	}
	sensitivity := "U"
	if l.hidden {
		sensitivity = "R"
	}
	name := usual(p.Get("name"))
	var given []string
	for g := range name.Field("given").Items() {
		given = append(given, g.String())
	}
	copy(out[5:], []string{strconv.FormatFloat(l.score*100, 'f', 2, 64), l.number, name.Field("family").String(), strings.Join(given[:min(1, len(given))], ""),
		strings.Join(given[min(1, len(given)):], " "), p.Get("gender").String(), p.Get("birthDate").String(), p.Get("deceasedDateTime").String()})
	home := usual(p.Get("address"))
	i := 13
	for line := range home.Field("line").Items() {
		if i < 18 {
			out[i] = line.String()
			i++
		}
	}
	out[18], out[19], out[20] = home.Field("postalCode").String(), p.Get("generalPractitioner.0.identifier.value").String(), sensitivity
	return out
}

// usual is the name or address of a list by which a person goes now: the usual or home one, else the first that is not old.
func usual(list fhir.Node) fhir.Node {
	var best fhir.Node
	for n := range list.Items() {
		switch use := n.Field("use").String(); {
		case use == "usual" || use == "home":
			return n
		case !best.Exists() && use != "old":
			best = n
		}
	}
	return best
}
