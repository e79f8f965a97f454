package hospital

import (
	"context"
	"errors"
	"net/url"
	"strings"
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

// How many referrals one round makes patients of, and how many of them at a time.
const (
	registerAtOnce = 500
	registerBeside = 16
)

// Register makes patients of those who are referred: the hospital's own record of them is found by NHS number, or made; and the hospital has a reason to open it from then on.
// It goes on while there are any; of those that fail it says why, and the others are patients all the same.
func (o *Outpatients) Register(ctx context.Context, hospital ident.ODSCode) error {
	for {
		var list []Case
		err := o.k.DB.Read(ctx, func(tx *store.Tx) (err error) {
			list, err = o.casesIn(tx, hospital, `c.chart = '' AND c.gone = 0 ORDER BY c.ubrn LIMIT ?`, int64(registerAtOnce))
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

// registerAll registers some at a time, and of those who are referred more than once one referral: the next round finds who they are.
func (o *Outpatients) registerAll(ctx context.Context, hospital ident.ODSCode, list []Case) error {
	var beside errgroup.Group
	beside.SetLimit(o.beside)
	failed := make([]error, len(list))
	seen := map[ident.NHSNumber]bool{}
	for i, c := range list {
		if seen[c.Person.NHSNumber] {
			continue
		}
		seen[c.Person.NHSNumber] = true
		beside.Go(func() error {
			failed[i] = o.register(ctx, hospital, c)
			return nil
		})
	}
	_ = beside.Wait() // each says for itself
	return errors.Join(failed...)
}

func (o *Outpatients) register(ctx context.Context, hospital ident.ODSCode, c Case) error {
	v, found, err := o.findPerson(ctx, hospital, c.Person.NHSNumber)
	if err != nil {
		return err
	}
	if found {
		state, differs := personSame, differences(v.Resource, c.Person)
		if differs != "" {
			state = personDiffers
		}
		return o.k.DB.Write(ctx, o.personLanes(hospital, v.Chart), func(tx *store.Tx) error { return o.isPerson(tx, hospital, c, v.Chart, state, differs) })
	}
	res, err := patientOf(c.Person)
	if err == nil {
		err = o.k.Sound(ctx, res)
	}
	if err != nil {
		return err
	}
	d, err := o.k.Records.Prepare(ctx, record.Change{Verb: record.Create, Ref: record.Ref{Tenant: hospital, Type: "Patient"}, Resource: res, Reason: "referred to the hospital"})
	if err != nil {
		return err
	}
	grants, err := o.k.Gate.DecideAll(ctx, o.self(hospital), d.Acts())
	if err != nil {
		return err
	}
	return o.k.Gate.Act(ctx, grants, append(d.Lanes(), o.lane(hospital)), func(tx *store.Tx) error {
		out, err := o.k.Records.Apply(tx, d, grants...)
		if err != nil {
			return err
		}
		return o.isPerson(tx, hospital, c, out.Version.ID, personUntraced, "")
	})
}

func (o *Outpatients) personLanes(hospital ident.ODSCode, chart string) []store.Lane {
	return []store.Lane{o.lane(hospital), o.k.Gate.Lane(hospital, chart)}
}

// findPerson is the hospital's own record of whoever has an NHS number; it is on the account.
func (o *Outpatients) findPerson(ctx context.Context, hospital ident.ODSCode, number ident.NHSNumber) (v record.Version, found bool, err error) {
	scope, err := o.k.Gate.DecideSet(ctx, o.self(hospital), access.Search, hospital, []string{"Patient"})
	if err != nil {
		return v, false, err
	}
	q, _, err := o.k.Records.ParseQuery("Patient", url.Values{"identifier": {ident.SystemNHSNumber + "|" + number.String()}, "_count": {"1"}}, false)
	if err != nil {
		return v, false, err
	}
	page, err := o.k.Records.Search(ctx, scope, q)
	if err != nil || len(page.Matches) == 0 {
		return v, false, err
	}
	return page.Matches[0], true, o.k.Gate.Account(ctx, nil, []access.Scope{scope})
}

// isPerson says whose chart a referral belongs to, and gives the hospital a reason to open it.
func (o *Outpatients) isPerson(tx *store.Tx, hospital ident.ODSCode, c Case, chart, state, differs string) error {
	o.changed(tx, hospital) // who was being made a patient here has a name in lists
	lane, h := int64(o.lane(hospital)), hospital.String()
	n, err := tx.Exec(`UPDATE hospital_case SET chart = ? WHERE lane = ? AND tenant = ? AND ubrn = ? AND number = ?`, chart, lane, h, c.UBRN.String(), c.Person.NHSNumber.String())
	if err != nil || n == 0 {
		return err
	}
	if _, err := tx.Exec(`INSERT INTO hospital_person (lane, tenant, number, chart, state, differs, at, actor) VALUES (?, ?, ?, ?, ?, ?, ?, '')
		ON CONFLICT (lane, tenant, number) DO UPDATE SET chart = excluded.chart, at = excluded.at, differs = excluded.differs,
		state = CASE WHEN hospital_person.state = 'settled' AND hospital_person.differs = excluded.differs THEN 'settled' WHEN excluded.differs = '' THEN hospital_person.state ELSE excluded.state END`,
		lane, h, c.Person.NHSNumber.String(), chart, state, differs, tx.At().UnixMicro()); err != nil {
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
