package demographics

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/store"
)

// A person's European health insurance card is a Coverage resource of their chart, one at a time. Its version is that of the person's
// record, which each change of the card makes anew; only the person themself sees and changes it here.

const coverageFormat = "Coverage search request must follow the format /Coverage?subscriber:identifier=NHS_NUMBER"

// coverage: get a patient's coverage (specification, paths/coverage-get).
func (s *register) coverage(c *call) error {
	values, err := url.ParseQuery(c.r.URL.RawQuery)
	if err != nil || len(values) != 1 || len(values["subscriber:identifier"]) != 1 {
		return unsearchable(coverageFormat)
	}
	n, err := numberIn(values.Get("subscriber:identifier"))
	if err != nil {
		return err
	}
	f, err := s.person(c, n, access.Trace)
	if err != nil {
		return err
	}
	cards, err := s.filed(c, f, "Coverage", "beneficiary")
	if err != nil {
		return err
	}
	var card *fhir.Resource
	if len(cards) > 0 {
		card = cards[len(cards)-1].Resource
	}
	return s.showCoverage(c, http.StatusOK, f, card)
}

// showCoverage is the bundle that holds a person's card, or none.
func (s *register) showCoverage(c *call, status int, f found, card *fhir.Resource) error {
	var entries []any
	if card != nil {
		entries = append(entries, fhir.Obj("fullUrl", s.k.BaseURL()+Base+"/Coverage?subscriber:identifier="+f.version.ID, "resource", shownCard(card)))
	}
	c.w.Header().Set("ETag", etag(f.version.Ver))
	return c.sendValue(status, s.bundle(entries, "meta", fhir.Obj("versionId", f.version.VersionID())))
}

// shownCard is a card in the published shape: without id, and with the name of its country.
func shownCard(card *fhir.Resource) fhir.Value {
	var pairs []any
	v := unfiled(card, "beneficiary")
	res, err := v.Resource()
	if err != nil {
		return v
	}
	for name, n := range res.Root().Fields() {
		if name != "id" {
			pairs = append(pairs, name, n)
		}
	}
	return fhir.Obj(pairs...)
}

// putCoverage: update a patient's coverage (specification, paths/coverage-post).
func (s *register) putCoverage(c *call) error {
	version, err := c.ifMatch()
	if err != nil {
		return err
	}
	if c.r.Header.Get("Content-Type") == "" {
		return refuse(unsupportedService, "")
	}
	text, err := io.ReadAll(c.r.Body)
	if err != nil {
		return err
	}
	body, err := decode(text)
	if err != nil {
		return refuse(invalidUpdate, "Invalid update with error - the body is not JSON")
	}
	r := rules{mode: c.mode, now: s.k.Clock.Now().UTC()}
	card, number, err := r.card(body)
	if err != nil {
		return err
	}
	n, err := numberIn(number)
	if err != nil {
		return err
	}
	f, err := s.person(c, n, access.Trace)
	if err != nil {
		return err
	}
	if f.number != n {
		return refuse(forbiddenUpdate, "Forbidden update with error - Update Failed - NHS No. supplied has been superseded in a merge")
	}
	if f.version.Ver != version {
		return refuse(versionMismatch, "")
	}
	card["id"] = "ehic-" + n.String()
	card["beneficiary"].(object)["reference"] = "Patient/" + n.String()
	res, err := resourceOf(card)
	if err != nil {
		return err
	}
	if f.version, err = s.writeCoverage(c, f, version, res); err != nil {
		return err
	}
	return s.showCoverage(c, http.StatusCreated, f, res)
}

// writeCoverage writes the card and, in the same commit, the next version of the person's record.
func (s *register) writeCoverage(c *call, f found, version int64, card *fhir.Resource) (record.Version, error) {
	ctx, cancel := context.WithTimeout(c.r.Context(), c.syncWait())
	defer cancel()
	var out []record.Outcome
	err := record.Retry(attempts, func() error {
		person, err := s.k.Records.Prepare(ctx, record.Change{Verb: record.Put, Ref: f.version.Ref, Resource: f.version.Resource, IfMatch: version, Reason: "the insurance card changed"})
		if err != nil {
			return err
		}
		ref := record.Ref{Tenant: s.k.National, Type: "Coverage", ID: card.ID()}
		cover, err := s.k.Records.Prepare(ctx, record.Change{Verb: record.Put, Ref: ref, Resource: card})
		if err != nil {
			return err
		}
		acts := append(person.Acts(), cover.Acts()...)
		for i := range acts {
			acts[i].Action = access.Amend
		}
		grants, err := c.ask.Grants(acts...)
		if err != nil {
			return c.wording(err)
		}
		return s.k.Gate.Act(ctx, grants, record.LanesOf(person, cover), func(tx *store.Tx) error {
			out, _, err = s.k.Records.ApplyAll(tx, []*record.Draft{person, cover}, grants...)
			return err
		})
	})
	if err != nil {
		return record.Version{}, err
	}
	if len(out) != 2 {
		return record.Version{}, fault.New(fault.Internal, "a card was written without its person")
	}
	return out[0].Version, nil
}

var (
	cardPattern        = regexp.MustCompile(`^[a-zA-Z0-9\-,/:'. ]{1,25}$`)
	institutionPattern = regexp.MustCompile(`^[a-zA-Z0-9\-,/:'. ]{1,30}$`)
	issuerPattern      = regexp.MustCompile(`^[A-Z]{3}$`)
)

// card reads a card (schemas/Coverage.yaml), and whose it is.
func (r rules) card(body any) (card object, number string, err error) {
	o, _ := body.(object)
	if o == nil || textIn(o, "resourceType") != "Coverage" {
		return nil, "", refuse(invalidUpdate, "Invalid update with error - the body is no Coverage")
	}
	for _, f := range []struct {
		at      string
		pattern *regexp.Regexp
	}{{"identifier/0/value", cardPattern}, {"status", regexp.MustCompile(`^active$`)}, {"subscriber/identifier/value", regexp.MustCompile(`^.{1,20}$`)},
		{"beneficiary/identifier/value", cardPattern}, {"period/end", regexp.MustCompile(`^\d{4}-\d{2}-\d{2}$`)},
		{"identifier/0/assigner/identifier/value", issuerPattern}, {"payor/0/identifier/value", institutionPattern}} {
		v, given := at(o, f.at)
		if !given {
			return nil, "", missing(f.at)
		}
		if text, ok := v.(string); !ok || !f.pattern.MatchString(text) {
			return nil, "", invalidIn(f.at, written(v))
		}
	}
	for _, list := range []string{"identifier", "payor"} {
		if items, _ := o[list].([]any); len(items) > 1 {
			return nil, "", refuse(tooManyValues, "%s", "Too many values submitted - "+shown(written(items))+" in field '"+list+"'")
		}
	}
	if err := allowed("", o, "resourceType", "status", "subscriber", "identifier", "payor", "beneficiary", "period"); err != nil {
		return nil, "", err
	}
	end, _ := at(o, "period/end")
	day, err := time.Parse(time.DateOnly, end.(string))
	if err != nil || day.Before(r.now.AddDate(-150, 0, 0)) || day.After(r.now.AddDate(150, 0, 0)) {
		return nil, "", invalidIn("period/end", end.(string))
	}
	card = clone(o).(object)
	issuer, _ := at(card, "identifier/0/assigner")
	country, _ := at(card, "identifier/0/assigner/identifier/value")
	if name := countries[country.(string)]; name != "" {
		issuer.(object)["display"] = name
	}
	subscriber := card["subscriber"].(object)
	subscriber["type"], card["beneficiary"].(object)["type"] = "Patient", "Patient"
	id := subscriber["identifier"].(object)
	id["system"] = ident.SystemNHSNumber
	return card, textIn(id, "value"), nil
}

// at is what stands at a path of names and positions in an object.
func at(o object, path string) (v any, ok bool) {
	steps, ok := pointer("/" + path)
	v = o
	for _, step := range steps {
		switch inside := v.(type) {
		case object:
			if v, ok = inside[step]; !ok {
				return nil, false
			}
		case []any:
			if len(inside) == 0 {
				return nil, false
			}
			v = inside[0] // the paths that are asked for name the first
		default:
			return nil, false
		}
	}
	return v, ok
}

// countries are those that issue the card, by ISO 3166 code.
var countries = map[string]string{
	"AUT": "Austria", "BEL": "Belgium", "BGR": "Bulgaria", "CHE": "Switzerland", "CYP": "Cyprus", "CZE": "Czechia", "DEU": "Germany", "DNK": "Denmark",
	"ESP": "Spain", "EST": "Estonia", "FIN": "Finland", "FRA": "France", "GBR": "United Kingdom", "GRC": "Greece", "HRV": "Croatia", "HUN": "Hungary",
	"IRL": "Ireland", "ISL": "Iceland", "ITA": "Italy", "LIE": "Liechtenstein", "LTU": "Lithuania", "LUX": "Luxembourg", "LVA": "Latvia", "MLT": "Malta",
	"NLD": "Netherlands", "NOR": "Norway", "POL": "Poland", "PRT": "Portugal", "ROU": "Romania", "SVK": "Slovakia", "SVN": "Slovenia", "SWE": "Sweden",
}
