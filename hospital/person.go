package hospital

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/store"
)

// How a referral's person stands against the hospital's own record of them.
const (
	personSame     = "same"
	personDiffers  = "differs"  // the record here says something else of who they are
	personUntraced = "untraced" // registered from the referral; nobody has compared them with the register here
	personSettled  = "settled"  // somebody has looked at it
)

// How many referrals one round makes patients of, how many of them in one write, and how many writes at a time.
const (
	registerAtOnce   = 500
	registerTogether = 32 // in one write
	registerBeside   = 4
)

// Register makes patients of those who are referred: the hospital's own record of them is found by NHS number, or made; and the hospital has a reason to open it from then on.
// It goes on while there are any; of those that fail it says why, and the others are patients all the same.
func (o *Outpatients) Register(ctx context.Context, hospital ident.ODSCode) error {
	for {
		var list []Case
		err := o.k.DB.Read(ctx, func(tx *store.Tx) (err error) {
			list, err = o.casesBy(tx, hospital, nobodyYet, int64(registerAtOnce))
			if err != nil {
				return err
			}
			asked, err := o.unregistered(tx, hospital)
			list = append(list, asked...)
			return err
		})
		if err != nil || len(list) == 0 {
			return err
		}
		if err := o.registerAll(ctx, hospital, list); err != nil {
			return err
		}
	}
}

// registerAll registers some at a time, and of those who are referred more than once one referral: the next round finds who they are. Those of one write that failed are
// registered each for itself, so that whoever cannot be does not keep others from it.
func (o *Outpatients) registerAll(ctx context.Context, hospital ident.ODSCode, list []Case) error {
	seen := map[ident.NHSNumber]bool{}
	list = slices.DeleteFunc(list, func(c Case) bool {
		was := seen[c.Person.NHSNumber]
		seen[c.Person.NHSNumber] = true
		return was
	})
	var beside errgroup.Group
	beside.SetLimit(o.beside)
	var mu sync.Mutex
	var failed []error
	for some := range slices.Chunk(list, registerTogether) {
		beside.Go(func() error {
			if err := o.register(ctx, hospital, some); err == nil {
				return nil
			}
			for _, c := range some {
				if err := o.register(ctx, hospital, []Case{c}); err != nil && !errors.Is(err, errOver) {
					mu.Lock()
					failed = append(failed, err)
					mu.Unlock()
				}
			}
			return nil
		})
	}
	_ = beside.Wait() // each says for itself
	return errors.Join(failed...)
}

// register makes patients of several people in one write, or of nobody.
func (o *Outpatients) register(ctx context.Context, hospital ident.ODSCode, list []Case) error {
	known, err := o.findPeople(ctx, hospital, list)
	if err != nil {
		return err
	}
	drafts := make([]*record.Draft, len(list)) // of those who are not known
	var acts []access.Act
	lanes := []store.Lane{o.lane(hospital)}
	for i, c := range list {
		if v, found := known[c.Person.NHSNumber]; found {
			lanes = append(lanes, o.k.Gate.Lane(hospital, v.Chart))
			continue
		}
		if drafts[i], err = o.preparePerson(ctx, hospital, c.Person); err != nil {
			return err
		}
		acts = append(acts, drafts[i].Acts()...)
		lanes = append(lanes, drafts[i].Lanes()...)
	}
	write := func(tx *store.Tx, grants ...access.Grant) error {
		for i, c := range list {
			v := known[c.Person.NHSNumber]
			state, differs := personSame, ""
			if drafts[i] != nil {
				out, err := o.k.Records.Apply(tx, drafts[i], grants...)
				if err != nil {
					return err
				}
				state, v.Chart = personUntraced, out.Version.ID
			} else if differs = differences(v.Resource, c.Person); differs != "" {
				state = personDiffers
			}
			if err := o.isPerson(tx, hospital, c, v.Chart, state, differs, drafts[i] != nil); err != nil {
				return err
			}
		}
		return nil
	}
	if len(acts) == 0 {
		return o.k.DB.Write(ctx, lanes, func(tx *store.Tx) error { return write(tx) })
	}
	grants, err := o.k.Gate.DecideAll(ctx, o.self(hospital), acts)
	if err != nil {
		return err
	}
	return o.k.Gate.Act(ctx, grants, lanes, func(tx *store.Tx) error { return write(tx, grants...) })
}

// preparePerson is the record that the hospital makes of somebody.
func (o *Outpatients) preparePerson(ctx context.Context, hospital ident.ODSCode, p booking.Person) (*record.Draft, error) {
	res, err := patientOf(p)
	if err == nil {
		err = o.k.Sound(ctx, res)
	}
	if err != nil {
		return nil, err
	}
	return o.k.Records.Prepare(ctx, record.Change{Verb: record.Create, Ref: record.Ref{Tenant: hospital, Type: "Patient"}, Resource: res, Reason: "referred to the hospital"})
}

// findPeople are the hospital's own records of those who are referred, by NHS number; it is on the account. Of several records of one person it is the first.
func (o *Outpatients) findPeople(ctx context.Context, hospital ident.ODSCode, list []Case) (known map[ident.NHSNumber]record.Version, err error) {
	scope, err := o.k.Gate.DecideSet(ctx, o.self(hospital), access.Search, hospital, []string{"Patient"})
	if err != nil {
		return nil, err
	}
	tokens := make([]string, len(list))
	for i, c := range list {
		tokens[i] = ident.SystemNHSNumber + "|" + c.Person.NHSNumber.String()
	}
	q, _, err := o.k.Records.ParseQuery("Patient", url.Values{"identifier": {strings.Join(tokens, ",")}}, false)
	if err != nil {
		return nil, err
	}
	known = map[ident.NHSNumber]record.Version{}
	for {
		page, err := o.k.Records.Search(ctx, scope, q)
		if err != nil {
			return nil, err
		}
		for _, v := range page.Matches {
			for i := range v.Resource.Get("identifier").Items() {
				number, err := ident.ParseNHSNumber(i.Field("value").String())
				if _, had := known[number]; err == nil && !had && i.Field("system").String() == ident.SystemNHSNumber {
					known[number] = v
				}
			}
		}
		if q.Cursor = page.Next; page.Next == "" {
			break
		}
	}
	if len(known) == 0 {
		return known, nil
	}
	return known, o.k.Gate.Account(ctx, nil, []access.Scope{scope})
}

// errOver is what keeps a record from being made of somebody for whom there is no reason any more: the question was closed, or what is asked is about another person by now.
var errOver = fault.New(fault.Conflict, "There is no reason any more to make them a patient.")

// isPerson notes whose record a referral or a question is about. Made says that the record was made for it just now.
func (o *Outpatients) isPerson(tx *store.Tx, hospital ident.ODSCode, c Case, chart, state, differs string, made bool) error {
	o.changed(tx, hospital) // who was being made a patient here has a name in lists
	lane, h := int64(o.lane(hospital)), hospital.String()
	n, err := tx.Exec(`UPDATE hospital_case SET chart = ? WHERE lane = ? AND tenant = ? AND ubrn = ? AND number = ?`, chart, lane, h, c.UBRN.String(), c.Person.NHSNumber.String())
	if err != nil {
		return err
	}
	asked, err := tx.Exec(`UPDATE hospital_advice SET chart = ? WHERE lane = ? AND tenant = ? AND ubrn = ? AND number = ? AND ended = 0`, chart, lane, h, c.UBRN.String(), c.Person.NHSNumber.String())
	if err == nil && n+asked == 0 && made {
		err = errOver
	}
	if err != nil || n+asked == 0 {
		return err
	}
	if asked > 0 {
		if err := o.k.Gate.Relate(tx, adviceBond(hospital, chart)); err != nil {
			return err
		}
	}
	if _, err := tx.Exec(`INSERT INTO hospital_person (lane, tenant, number, chart, state, differs, at, actor) VALUES (?, ?, ?, ?, ?, ?, ?, '')
		ON CONFLICT (lane, tenant, number) DO UPDATE SET chart = excluded.chart, at = excluded.at, differs = excluded.differs,
		state = CASE WHEN hospital_person.state = 'settled' AND hospital_person.differs = excluded.differs THEN 'settled' WHEN excluded.differs = '' THEN hospital_person.state ELSE excluded.state END`,
		lane, h, c.Person.NHSNumber.String(), chart, state, differs, tx.At().UnixMicro()); err != nil {
		return err
	}
	if n == 0 && made {
		return o.onlyAsked(tx, hospital, chart)
	}
	if n == 0 {
		return nil
	}
	if err := o.referred(tx, hospital, chart); err != nil {
		return err
	}
	return o.k.Gate.Relate(tx, access.Relationship{Tenant: hospital, Chart: chart, Organisation: hospital, Kind: "referral", Basis: "referral " + c.UBRN.String(), By: "service/outpatients"})
}

// patientOf is a new Patient of somebody who is referred, as the register said when the referral was sent.
func patientOf(p booking.Person) (*fhir.Resource, error) {
	strs := func(s string) fhir.Value {
		var all []fhir.Value
		for _, w := range strings.Fields(s) {
			all = append(all, fhir.Of(w))
		}
		return fhir.List(all)
	}
	name := []any{"use", "usual", "family", p.Family}
	if p.Given != "" {
		name = append(name, "given", strs(p.Given))
	}
	if p.Prefix != "" {
		name = append(name, "prefix", strs(p.Prefix))
	}
	pairs := []any{"resourceType", "Patient", "identifier", fhir.Arr(fhir.Obj("system", ident.SystemNHSNumber, "value", p.NHSNumber.String())), "active", true, "name", fhir.Arr(fhir.Obj(name...))}
	var telecoms []fhir.Value
	if p.Phone != "" {
		telecoms = append(telecoms, fhir.Obj("system", "phone", "value", p.Phone))
	}
	if p.Email != "" {
		telecoms = append(telecoms, fhir.Obj("system", "email", "value", p.Email))
	}
	if len(telecoms) > 0 {
		pairs = append(pairs, "telecom", fhir.List(telecoms))
	}
	if g := strings.ToLower(p.Gender); g == "male" || g == "female" || g == "other" || g == "unknown" {
		pairs = append(pairs, "gender", g)
	}
	if p.Born != "" {
		pairs = append(pairs, "birthDate", p.Born)
	}
	if p.Died != "" {
		pairs = append(pairs, "deceasedDateTime", p.Died)
	}
	if p.Address != "" {
		pairs = append(pairs, "address", fhir.Arr(fhir.Obj("use", "home", "text", p.Address)))
	}
	return fhir.Parse(fhir.Obj(pairs...).JSON())
}

// differences are the words for what a referral says otherwise of somebody than the hospital's own record, with spaces between.
func differences(local *fhir.Resource, p booking.Person) string {
	fold := func(s string) string { return strings.ToLower(strings.TrimSpace(s)) }
	family := false
	for n := range local.Get("name").Items() {
		family = family || fold(n.Field("family").String()) == fold(p.Family)
	}
	var all []string
	if !family {
		all = append(all, "family")
	}
	if b := local.Get("birthDate").String(); p.Born != "" && b != p.Born {
		all = append(all, "born")
	}
	if g := local.Get("gender").String(); p.Gender != "" && g != "" && fold(g) != fold(p.Gender) {
		all = append(all, "gender")
	}
	return strings.Join(all, " ")
}

// Unlike is somebody whose referral and record say different things, or who was never compared.
type Unlike struct {
	Number, Chart, State, Differs string
	At                            time.Time
}

func (o *Outpatients) unlikesIn(tx *store.Tx, hospital ident.ODSCode) (list []Unlike, err error) {
	err = rowsOf(tx, func(r *store.Rows) error {
		var u Unlike
		var at int64
		if err := r.Scan(&u.Number, &u.Chart, &u.State, &u.Differs, &at); err != nil {
			return err
		}
		u.At = fromMicros(at)
		list = append(list, u)
		return nil
	}, `SELECT number, chart, state, differs, at FROM hospital_person WHERE lane = ? AND tenant = ? AND state IN ('differs', 'untraced') ORDER BY state, at LIMIT 500`, int64(o.lane(hospital)), hospital.String())
	return list, err
}

// SettlePerson takes somebody from the list of those whose referral and record differ: whoever does so has looked at both.
func (o *Outpatients) SettlePerson(ctx context.Context, by access.Principal, hospital ident.ODSCode, number string) error {
	var chart string
	err := o.k.DB.Read(ctx, func(tx *store.Tx) error {
		return tx.QueryRow(`SELECT chart FROM hospital_person WHERE lane = ? AND tenant = ? AND number = ?`, int64(o.lane(hospital)), hospital.String(), number).Scan(&chart)
	})
	if fault.Is(err, fault.NotFound) {
		return access.NotHere()
	}
	if err != nil {
		return err
	}
	grants, err := o.k.Gate.DecideAll(ctx, by, []access.Act{{Action: access.Update, Place: placeOf(hospital, chart, false)}})
	if err != nil {
		return err
	}
	return o.k.Gate.Act(ctx, grants, []store.Lane{o.lane(hospital)}, func(tx *store.Tx) error {
		_, err := tx.Exec(`UPDATE hospital_person SET state = ?, actor = ? WHERE lane = ? AND tenant = ? AND number = ?`, personSettled, by.ID, int64(o.lane(hospital)), hospital.String(), number)
		return err
	})
}
