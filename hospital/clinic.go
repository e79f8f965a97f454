package hospital

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/web"
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
	Holidays   bool // held on bank holidays as well
	From, To   time.Time
}

// Limits of a template, of each text and of how many a hospital has of each.
const (
	mostText  = 100
	mostOfAll = 20000
	mostExtra = 20
	mostSlots = 60
	leastSlot = 5 // minutes
	mostSlot  = 240
)

// wrong is what is wrong with a pattern, by the fields of its form.
func (t Template) wrong() (all web.FieldErrors) {
	if t.Weekday < 0 || t.Weekday > 6 {
		all.Add("weekday", "There is no such day of the week.")
	}
	if t.Minutes < leastSlot || t.Minutes > mostSlot {
		all.Add("minutes", fmt.Sprintf("A slot has %d to %d minutes.", leastSlot, mostSlot))
	}
	if t.Slots < 1 || t.Slots > mostSlots {
		all.Add("slots", fmt.Sprintf("A session has 1 to %d slots.", mostSlots))
	}
	if t.Starts < 0 || t.Starts >= 24*60 || len(all) == 0 && t.Starts+t.Slots*t.Minutes > 24*60 {
		all.Add("starts", "A session ends on the day on which it starts.")
	}
	if t.Reserve < 0 || t.Slots > 0 && t.Reserve > t.Slots {
		all.Add("reserve", "The reserve is some of the session's slots.")
	}
	if t.Extra < 0 || t.Extra > mostExtra {
		all.Add("extra", fmt.Sprintf("At most %d more may be put in by hand.", mostExtra))
	}
	if !t.To.IsZero() && t.To.Before(t.From) {
		all.Add("to", "The last day is before the first.")
	}
	return all
}

// check refuses a set-up of which a part is wrong.
func (s Setup) check() error {
	long := func(what string, texts ...string) error {
		for _, x := range texts {
			if len(x) > mostText {
				return fault.New(fault.Invalid, "A %s has at most %d characters in each field.", what, mostText)
			}
		}
		return nil
	}
	for _, x := range s.Specialties {
		if err := long("specialty", x.Code, x.Name); err != nil || x.Code == "" || x.Name == "" {
			return cmp.Or(err, fault.New(fault.Invalid, "A specialty has a code and a name."))
		}
	}
	for _, x := range s.Consultants {
		if err := long("consultant", x.ID, x.Name, x.Specialty, x.Login); err != nil || x.ID == "" || x.Name == "" {
			return cmp.Or(err, fault.New(fault.Invalid, "A consultant has a name."))
		}
	}
	for _, x := range s.Clinics {
		if err := long("clinic", x.ID, x.Name, x.Service, x.Specialty, x.Consultant, x.Place); err != nil || x.ID == "" || x.Name == "" || x.Service == "" {
			return cmp.Or(err, fault.New(fault.Invalid, "A clinic has a name, and offers a service of the directory."))
		}
	}
	for _, t := range s.Templates {
		if wrong := t.wrong(); len(wrong) > 0 {
			return fault.New(fault.Invalid, "%s", wrong[0].Text)
		}
		if err := long("pattern", t.ID, t.Clinic); err != nil || t.ID == "" || t.Clinic == "" {
			return cmp.Or(err, fault.New(fault.Invalid, "A pattern is that of a clinic."))
		}
	}
	return nil
}

// SetUp makes, or changes, specialties, consultants, clinics and templates of a hospital, for whoever by is: it is on the account.
func (o *Outpatients) SetUp(ctx context.Context, by access.Principal, hospital ident.ODSCode, s Setup) error {
	if err := s.check(); err != nil {
		return err
	}
	lanes := []store.Lane{o.lane(hospital), o.k.Gate.DeedLane(by)}
	return o.k.DB.Write(ctx, lanes, func(tx *store.Tx) error {
		if err := o.setUp(tx, hospital, s); err != nil {
			return err
		}
		if err := o.roomFor(tx, hospital); err != nil {
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
	for _, x := range s.Specialties {
		names = append(names, "specialty "+x.Code)
	}
	for _, x := range s.Consultants {
		names = append(names, "consultant "+x.ID)
	}
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
		if err := tx.Queue(`INSERT INTO hospital_template (lane, tenant, id, clinic, weekday, starts, minutes, slots, reserve, extra, given, holidays, from_day, to_day) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (lane, tenant, id) DO UPDATE SET weekday = excluded.weekday, starts = excluded.starts, minutes = excluded.minutes, slots = excluded.slots, reserve = excluded.reserve,
			extra = excluded.extra, given = excluded.given, holidays = excluded.holidays, from_day = excluded.from_day, to_day = excluded.to_day`,
			lane, h, t.ID, t.Clinic, int64(t.Weekday), int64(t.Starts), int64(t.Minutes), int64(t.Slots), int64(t.Reserve), int64(t.Extra), t.Given, t.Holidays, micros(t.From), micros(t.To)); err != nil {
			return err
		}
	}
	return nil
}

// roomFor refuses more of anything than lists can show.
func (o *Outpatients) roomFor(tx *store.Tx, hospital ident.ODSCode) error {
	for _, table := range []string{"hospital_specialty", "hospital_consultant", "hospital_clinic", "hospital_template"} {
		var n int64
		if err := tx.QueryRow(`SELECT count(*) FROM `+table+` WHERE lane = ? AND tenant = ?`, int64(o.lane(hospital)), hospital.String()).Scan(&n); err != nil {
			return err
		}
		if n > mostOfAll {
			return fault.New(fault.Invalid, "A hospital has at most %d specialties, consultants, clinics and weekly sessions each. Change one that is there.", mostOfAll)
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
		if err := r.Scan(&t.ID, &t.Clinic, &day, &starts, &minutes, &slots, &reserve, &extra, &t.Given, &t.Holidays, &from, &to); err != nil {
			return err
		}
		t.Weekday, t.Starts, t.Minutes, t.Slots, t.Reserve, t.Extra, t.From, t.To = time.Weekday(day), int(starts), int(minutes), int(slots), int(reserve), int(extra), fromMicros(from), fromMicros(to)
		list = append(list, t)
		return nil
	}, `SELECT id, clinic, weekday, starts, minutes, slots, reserve, extra, given, holidays, from_day, to_day FROM hospital_template WHERE lane = ? AND tenant = ? ORDER BY clinic, weekday, starts, id`,
		int64(o.lane(hospital)), hospital.String())
	return list, err
}
