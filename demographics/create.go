package demographics

import (
	"context"
	"errors"
	"github.com/openspine/openspine/demographics/match"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/store"
)

// create: create a record for a new patient (specification, paths/patient-create). Nobody gets a second number: when somebody like this is
// there already, nothing is created and the answer says who, or that there are several.
func (s *register) create(c *call) error {
	return s.enrol(c, func(body any) (object, error) {
		r := rules{mode: c.mode, now: s.k.Clock.Now().UTC()}
		return r.newborn(body)
	})
}

// enrol makes a record of what read makes of the body, under a new number.
func (s *register) enrol(c *call, read func(body any) (object, error)) error {
	if media, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type")); err != nil || media != "application/json" && media != mimeFHIR {
		return refuse(unsupportedService, "")
	}
	text, err := io.ReadAll(c.r.Body)
	if err != nil {
		return err
	}
	request := s.once(c, text)
	if person, ver, done, err := s.done(c.r.Context(), request); err != nil || done {
		return s.createdBefore(c, person, ver, err)
	}
	body, err := decode(text)
	if err != nil {
		return refuse(validationError, "The body is not JSON.")
	}
	person, err := read(body)
	if err != nil {
		return err
	}
	for _, list := range []string{"name", "address", "telecom"} {
		items, _ := person[list].([]any)
		for i, v := range items {
			if item, ok := v.(object); ok {
				item["id"] = freshID(request.request+list, i)
			}
		}
	}
	out, err := s.give(c, person, request)
	if err != nil {
		if person, ver, done, lost := s.done(c.r.Context(), request); fault.Is(err, fault.Conflict) && (lost != nil || done) {
			return s.createdBefore(c, person, ver, lost)
		}
		return err
	}
	n, err := ident.ParseNHSNumber(out.Version.ID)
	if err != nil {
		return err
	}
	return s.answer(c, http.StatusCreated, found{version: out.Version, number: n})
}

// createdBefore answers a request to create that was done before.
func (s *register) createdBefore(c *call, person string, ver int64, err error) error {
	if err != nil {
		return err
	}
	n, err := ident.ParseNHSNumber(person)
	if err != nil {
		return err
	}
	f, err := s.person(c, n, access.Trace)
	return s.again(c, f, ver, http.StatusCreated, err)
}

// give registers a person under a number that nobody has had. Errors: SINGLE_MATCH, MULTIPLE_MATCHES.
func (s *register) give(c *call, person object, request once) (record.Outcome, error) {
	ctx, cancel := context.WithTimeout(c.r.Context(), c.syncWait())
	defer cancel()
	if s.numbers == nil {
		return record.Outcome{}, s.noNumbers
	}
	scope, err := c.ask.Scope(access.Trace, "Patient")
	if err != nil {
		return record.Outcome{}, err
	}
	sample, err := resourceOf(person)
	if err != nil {
		return record.Outcome{}, err
	}
	like := s.likeThis(sample)
	since, err := s.alone(ctx, scope, like)
	if err != nil {
		return record.Outcome{}, err
	}
	for range 1000 {
		n, err := s.numbers.take()
		if err != nil {
			return record.Outcome{}, err
		}
		out, err := s.registerUnder(ctx, c, scope, like, since, n, person, request)
		if !errors.Is(err, errTaken) && !record.Moved(err) {
			return out, err
		}
	}
	return record.Outcome{}, fault.New(fault.Unavailable, "No free NHS number was found.")
}

// errTaken says that a number has a record already, as some of a demonstration's have.
var errTaken = errors.New("the number is taken")

func (s *register) registerUnder(ctx context.Context, c *call, scope access.Scope, like *query, since record.Since, n ident.NHSNumber, person object, request once) (out record.Outcome, err error) {
	person["id"] = n.String()
	person["identifier"] = []any{object{"system": ident.SystemNHSNumber, "value": n.String(), "extension": []any{object{
		"url": ukExtension + "NHSNumberVerificationStatus", "valueCodeableConcept": object{"coding": []any{object{
			"system": "https://fhir.hl7.org.uk/CodeSystem/UKCore-NHSNumberVerificationStatus", "version": "1.0.0", "code": "01", "display": "Number present and verified"}}}}}}}
	res, err := resourceOf(person)
	if err != nil {
		return out, err
	}
	if err := s.k.Sound(ctx, res); err != nil {
		return out, err
	}
	ref := record.Ref{Tenant: s.k.National, Type: "Patient", ID: n.String()}
	place, err := c.ask.Locate("Patient", ref.ID)
	if err != nil || place.Exists {
		return out, errors.Join(err, errTaken)
	}
	draft, err := s.k.Records.Prepare(ctx, record.Change{Verb: record.Create, Ref: ref, Resource: res, Reason: "registered"})
	if fault.Is(err, fault.Conflict) {
		return out, errTaken // there was somebody once
	}
	if err != nil {
		return out, err
	}
	acts := draft.Acts()
	for i := range acts {
		acts[i].Action = access.Amend
	}
	grants, err := c.ask.Grants(acts...)
	if err != nil {
		return out, err
	}
	lanes := append(append(draft.Lanes(), request.lane), s.likeLanes(like)...)
	err = s.k.Gate.Act(ctx, grants, lanes, func(tx *store.Tx) error {
		if err := s.stillAlone(tx, scope, like, since); err != nil { // again, now that nobody born that day or living there comes in between
			return err
		}
		if out, err = s.k.Records.Apply(tx, draft, grants...); err != nil {
			return err
		}
		return request.note(tx, out.Version.ID, out.Version.Ver)
	})
	return out, err
}

// likeLanes are held by whoever registers somebody born on a day and living at a postcode, so that of two who register the same
// person one sees the other.
func (s *register) likeLanes(like *query) []store.Lane {
	national := s.k.National.String()
	lanes := []store.Lane{s.k.DB.LaneOf(national, "born/"+time.Unix(int64(like.born.lo)*86400, 0).UTC().Format(time.DateOnly))}
	if like.postcode.asked() {
		lanes = append(lanes, s.k.DB.LaneOf(national, "lives/"+like.postcode.begin()))
	}
	return lanes
}

// likeThis is the question whether somebody like this is there: born that day, or living there.
func (s *register) likeThis(sample *fhir.Resource) *query {
	like := match.FromPatient(sample, s.k.Clock.Now().UTC().Format(time.DateOnly))
	return likePerson(featuresOf(sample), &like)
}

// likePerson is likeThis of one who is described.
func likePerson(f features, like *match.Person) *query {
	q := &query{fuzzy: true, history: true, most: mostMatches, born: days{f.born, f.born, true}, like: like, model: match.Default()}
	if len(f.names) > 0 {
		n := f.names[0]
		q.family = pattern{n.family, []string{match.Plain(n.family)}}
		for _, g := range n.given[:min(1, len(n.given))] {
			q.given = []pattern{{g, []string{match.Plain(g)}}}
		}
	}
	if len(f.postcodes) > 0 {
		q.postcode = pattern{f.postcodes[0].text, []string{squeezed(f.postcodes[0].text)}}
	}
	return q
}

// alone refuses when somebody like this is there already. Who it is, when it is one, is on the account as shown. since is what it went by.
func (s *register) alone(ctx context.Context, scope access.Scope, like *query) (since record.Since, err error) {
	err = s.k.DB.Read(ctx, func(tx *store.Tx) (err error) {
		if since, err = s.k.Records.Newest(tx, s.k.National, "Patient"); err != nil {
			return err
		}
		return s.aloneIn(tx, scope, like)
	})
	return since, err
}

// mostSince is how many people may have been written since somebody was found to be alone for them to be looked at one by one.
const mostSince = 300

// stillAlone is alone in the Write that registers somebody: whoever was written since is looked at, and nobody else where that can be told.
func (s *register) stillAlone(tx *store.Tx, scope access.Scope, like *query, since record.Since) error {
	ids, told, err := s.k.Records.WrittenSince(tx, since, mostSince)
	if err != nil {
		return err
	}
	if !told {
		return s.aloneIn(tx, scope, like)
	}
	if err := s.whole(); err != nil {
		return err
	}
	f := s.finder(tx, scope, like)
	if err := f.these(ids); err != nil {
		return err
	}
	return s.unlike(scope, f.matches)
}

func (s *register) aloneIn(tx *store.Tx, scope access.Scope, like *query) error {
	if err := s.whole(); err != nil {
		return err
	}
	f := s.finder(tx, scope, like)
	if err := f.candidates(); err != nil {
		return refuse(multipleMatches, "Unable to create new patient. Multiple matches found for supplied demographic data.")
	}
	return s.unlike(scope, f.matches)
}

// unlike refuses when there is anybody among those who were found.
func (s *register) unlike(scope access.Scope, matches []hit) error {
	var alike []string
	for _, m := range matches {
		if m.score > 0 {
			alike = append(alike, m.person)
		}
	}
	switch len(alike) {
	case 0:
		return nil
	case 1:
		scope.Disclose(access.Place{Tenant: s.k.National, Chart: alike[0], Type: "Patient", ID: alike[0], Exists: true})
		return refuse(singleMatch, "Unable to create new patient. NHS number %s found for supplied demographic data.", alike[0])
	}
	return refuse(multipleMatches, "Unable to create new patient. Multiple matches found for supplied demographic data.")
}

// newborn reads a request to create (schemas/PatientCreateRequest.yaml): what is kept of it.
func (r rules) newborn(body any) (object, error) {
	o, _ := body.(object)
	for _, name := range []string{"name", "address", "gender", "birthDate", "extension"} {
		if o[name] == nil {
			return nil, missing(name)
		}
	}
	if err := allowed("", o, "resourceType", "name", "gender", "birthDate", "address", "telecom", "extension"); err != nil {
		return nil, err
	}
	extensions, err := r.given(o["extension"])
	if err != nil {
		return nil, err
	}
	return r.identity(o, "", extensions)
}

// identity holds who somebody is to the rules. at goes before the names of fields in refusals.
func (r rules) identity(o object, at string, extensions []any) (object, error) {
	person := object{"resourceType": "Patient"}
	for _, name := range []string{"name", "address", "telecom", "gender", "birthDate", "multipleBirthInteger"} {
		if o[name] != nil {
			person[name] = clone(o[name])
		}
	}
	if len(extensions) > 0 {
		person["extension"] = extensions
	}
	names, ok := person["name"].([]any)
	switch {
	case !ok:
		return nil, invalidIn(at+"name", written(person["name"]))
	case len(names) == 0:
		return nil, refuse(tooFewValues, "%s", "Too few values submitted - [] in field '"+at+"name'")
	case len(names) > 1:
		return nil, refuse(tooManyValues, "%s", "Too many values submitted - "+shown(written(names))+" in field '"+at+"name'")
	}
	for _, list := range []struct {
		name  string
		check func(at string, item, was object) error
	}{{"name", r.name}, {"address", r.address}, {"telecom", r.telecom}} {
		items, ok := person[list.name].([]any)
		if !ok && person[list.name] != nil {
			return nil, invalidIn(at+list.name, written(person[list.name]))
		}
		if err := r.holdNew(at+list.name, list.name == "address", items, list.check); err != nil {
			return nil, err
		}
	}
	nobody := object{}
	for _, hold := range []func(before, after object) error{r.holdTelecoms, r.holdFacts, r.holdLife} {
		if err := hold(nobody, person); err != nil {
			return nil, err
		}
	}
	return person, nil
}

// holdNew holds the items of a list of somebody new.
func (r rules) holdNew(at string, dated bool, items []any, check func(at string, item, was object) error) error {
	for i, v := range items {
		here := at + "/" + strconv.Itoa(i)
		item, ok := v.(object)
		if !ok {
			return invalidIn(here, written(v))
		}
		if dated && item["period"] == nil {
			return missing(here + "/period")
		}
		if item["period"] == nil {
			item["period"] = object{"start": r.now.Format(time.DateOnly)}
		}
		if err := r.period(here, item); err != nil {
			return err
		}
		if err := check(here, item, nil); err != nil {
			return err
		}
	}
	return nil
}

// Extensions that a request to create may carry and that are not kept ("not persisted").
var unkept = []string{"BirthSex", "CadavericDonor", "DeathNotificationStatus", "EthnicCategory", "ResidentialStatus", "PatientInterpreterRequired", "NhsNumberUnavailableReason"}

// given is what is kept of a request's extensions. The registering authority must be among them.
func (r rules) given(v any) ([]any, error) {
	list, ok := v.([]any)
	if !ok {
		return nil, invalidIn("extension", written(v))
	}
	var keep []any
	authority := false
	for i, v := range list {
		at := "extension/" + strconv.Itoa(i)
		item, _ := v.(object)
		url := textIn(item, "url")
		name, _ := strings.CutPrefix(url, ukExtension)
		switch {
		case url == "":
			return nil, missing(at + "/url")
		case url == authorityURL:
			authority = true
			if err := authorityIn(at, item); err != nil {
				return nil, err
			}
		case url == LanguageURL || url == PreferenceURL:
			if err := r.extension(at, url, item, nil); err != nil {
				return nil, err
			}
			keep = append(keep, item)
		case url != BirthPlaceURL && !slices.Contains(unkept, name):
			return nil, invalidIn(at+"/url", url)
		}
	}
	if !authority {
		return nil, missing("extension/RegisteringAuthority")
	}
	return keep, nil
}

func authorityIn(at string, item object) error {
	p := parts(item)
	if codeOf(p["registeringAuthorityType"]) == "" {
		return missing(at + "/extension/registeringAuthorityType")
	}
	return nil
}
