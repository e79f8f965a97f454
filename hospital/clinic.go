package hospital

import (
	"cmp"
	"context"
	"strings"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
)

// Specialty is a branch of care, by its code (SNOMED CT practice settings, as the directory has them).
type Specialty struct{ Code, Name string }

// Consultant sees patients. Login is how they sign in; empty for somebody who does not.
type Consultant struct{ ID, Name, Specialty, Login string }

// Clinic offers one HealthcareService of the directory.
type Clinic struct {
	ID, Name   string
	Service    string // the directory's id
	Specialty  string
	Consultant string // who sees the patients, by id
	Place      string
	Closed     bool
}

// Template makes a session on one day of each week.
type Template struct {
	ID, Clinic string
	Weekday    time.Weekday
	Starts     int // minutes of the day, by the clock on the wall
	Minutes    int // of each slot
	Slots      int
	Reserve    int  // how many, at the end, are never given to the spine
	Extra      int  // how many more the clinic may put in by hand
	Given      bool // the others are given to the spine
	From, To   time.Time
}

// Limits of a template.
const (
	mostSlots = 60
	leastSlot = 5 // minutes
	mostSlot  = 240
)

func (t Template) check() error {
	switch {
	case t.Slots < 1 || t.Slots > mostSlots || t.Minutes < leastSlot || t.Minutes > mostSlot:
		return fault.New(fault.Invalid, "A session has 1 to %d slots of %d to %d minutes.", mostSlots, leastSlot, mostSlot)
	case t.Starts < 0 || t.Starts+t.Slots*t.Minutes > 24*60:
		return fault.New(fault.Invalid, "A session ends on the day on which it starts.")
	case t.Reserve < 0 || t.Reserve > t.Slots:
		return fault.New(fault.Invalid, "The reserve is some of the session's slots.")
	case t.Extra < 0 || t.Extra > 20:
		return fault.New(fault.Invalid, "At most 20 more may be put in by hand.")
	case t.Weekday < 0 || t.Weekday > 6:
		return fault.New(fault.Invalid, "There is no such day of the week.")
	}
	return nil
}

// SetUp makes, or changes, specialties, consultants, clinics and templates of a hospital, for whoever by is: it is on the account.
func (o *Outpatients) SetUp(ctx context.Context, by access.Principal, hospital ident.ODSCode, s Setup) error {
	for _, t := range s.Templates {
		if err := t.check(); err != nil {
			return err
		}
	}
	lanes := []store.Lane{o.lane(hospital), o.k.Gate.DeedLane(by)}
	return o.k.DB.Write(ctx, lanes, func(tx *store.Tx) error {
		if err := o.setUp(tx, hospital, s); err != nil {
			return err
		}
		return o.k.Gate.Record(ctx, tx, by, access.Deed{Action: access.ActAdminister, Basis: "clinics", Detail: s.what()})
	})
}

// Setup is what a hospital's clinics are made of.
type Setup struct {
	Specialties []Specialty
	Consultants []Consultant
	Clinics     []Clinic
	Templates   []Template
}

func (s Setup) what() string {
	var names []string
	for _, c := range s.Clinics {
		names = append(names, "clinic "+c.ID)
	}
	for _, t := range s.Templates {
		names = append(names, "template "+t.ID)
	}
	return strings.Join(names, ", ")
}

func (o *Outpatients) setUp(tx *store.Tx, hospital ident.ODSCode, s Setup) error {
	lane, h := int64(o.lane(hospital)), hospital.String()
	for _, x := range s.Specialties {
		if err := tx.Queue(`INSERT INTO hospital_specialty (lane, tenant, code, name) VALUES (?, ?, ?, ?) ON CONFLICT (lane, tenant, code) DO UPDATE SET name = excluded.name`, lane, h, x.Code, x.Name); err != nil {
			return err
		}
	}
	for _, x := range s.Consultants {
		if err := tx.Queue(`INSERT INTO hospital_consultant (lane, tenant, id, name, specialty, login) VALUES (?, ?, ?, ?, ?, ?)
			ON CONFLICT (lane, tenant, id) DO UPDATE SET name = excluded.name, specialty = excluded.specialty, login = excluded.login`, lane, h, x.ID, x.Name, x.Specialty, x.Login); err != nil {
			return err
		}
	}
	for _, x := range s.Clinics {
		if err := tx.Queue(`INSERT INTO hospital_clinic (lane, tenant, id, name, service, specialty, consultant, place, closed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (lane, tenant, id) DO UPDATE SET name = excluded.name, service = excluded.service, specialty = excluded.specialty, consultant = excluded.consultant, place = excluded.place, closed = excluded.closed`,
			lane, h, x.ID, x.Name, x.Service, x.Specialty, x.Consultant, x.Place, x.Closed); err != nil {
			return err
		}
	}
	for _, t := range s.Templates {
		if err := tx.Queue(`INSERT INTO hospital_template (lane, tenant, id, clinic, weekday, starts, minutes, slots, reserve, extra, given, from_day, to_day) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (lane, tenant, id) DO UPDATE SET weekday = excluded.weekday, starts = excluded.starts, minutes = excluded.minutes, slots = excluded.slots, reserve = excluded.reserve,
			extra = excluded.extra, given = excluded.given, from_day = excluded.from_day, to_day = excluded.to_day`,
			lane, h, t.ID, t.Clinic, int64(t.Weekday), int64(t.Starts), int64(t.Minutes), int64(t.Slots), int64(t.Reserve), int64(t.Extra), t.Given, micros(t.From), micros(t.To)); err != nil {
			return err
		}
	}
	return nil
}

// Clinics are the clinics of a hospital, by name.
func (o *Outpatients) Clinics(ctx context.Context, hospital ident.ODSCode) (list []Clinic, err error) {
	err = o.k.DB.Read(ctx, func(tx *store.Tx) error {
		list, err = o.clinicsIn(tx, hospital)
		return err
	})
	return list, err
}

func (o *Outpatients) clinicsIn(tx *store.Tx, hospital ident.ODSCode) (list []Clinic, err error) {
	err = rowsOf(tx, func(r *store.Rows) error {
		var c Clinic
		if err := r.Scan(&c.ID, &c.Name, &c.Service, &c.Specialty, &c.Consultant, &c.Place, &c.Closed); err != nil {
			return err
		}
		list = append(list, c)
		return nil
	}, `SELECT id, name, service, specialty, consultant, place, closed FROM hospital_clinic WHERE lane = ? AND tenant = ? ORDER BY name, id`, int64(o.lane(hospital)), hospital.String())
	return list, err
}

// Clinic is one clinic. Error: fault.NotFound.
func (o *Outpatients) Clinic(ctx context.Context, hospital ident.ODSCode, id string) (Clinic, error) {
	list, err := o.Clinics(ctx, hospital)
	for _, c := range list {
		if c.ID == id {
			return c, nil
		}
	}
	return Clinic{}, cmp.Or(err, fault.New(fault.NotFound, "There is no such clinic."))
}

func (o *Outpatients) consultantsIn(tx *store.Tx, hospital ident.ODSCode) (map[string]Consultant, error) {
	all := map[string]Consultant{}
	err := rowsOf(tx, func(r *store.Rows) error {
		var c Consultant
		if err := r.Scan(&c.ID, &c.Name, &c.Specialty, &c.Login); err != nil {
			return err
		}
		all[c.ID] = c
		return nil
	}, `SELECT id, name, specialty, login FROM hospital_consultant WHERE lane = ? AND tenant = ?`, int64(o.lane(hospital)), hospital.String())
	return all, err
}

func (o *Outpatients) templatesIn(tx *store.Tx, hospital ident.ODSCode) (list []Template, err error) {
	err = rowsOf(tx, func(r *store.Rows) error {
		var t Template
		var day, starts, minutes, slots, reserve, extra, from, to int64
		if err := r.Scan(&t.ID, &t.Clinic, &day, &starts, &minutes, &slots, &reserve, &extra, &t.Given, &from, &to); err != nil {
			return err
		}
		t.Weekday, t.Starts, t.Minutes, t.Slots, t.Reserve, t.Extra, t.From, t.To = time.Weekday(day), int(starts), int(minutes), int(slots), int(reserve), int(extra), fromMicros(from), fromMicros(to)
		list = append(list, t)
		return nil
	}, `SELECT id, clinic, weekday, starts, minutes, slots, reserve, extra, given, from_day, to_day FROM hospital_template WHERE lane = ? AND tenant = ? ORDER BY clinic, weekday, starts, id`,
		int64(o.lane(hospital)), hospital.String())
	return list, err
}
