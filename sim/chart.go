package sim

import (
	"math/rand/v2"
	"slices"
	"strconv"

	"github.com/openspine/openspine/ident"
)

// chartWriter writes what one tenant holds of one person.
type chartWriter struct {
	k       *Country
	p       *Person
	h       health
	r       *rand.Rand
	tenant  ident.ODSCode
	id      string // of the Patient
	display string
	made    int
	items   []Item
	doctors []staffMember
}

// chart yields what a practice or hospital holds of one person; false means that nothing more is wanted.
func (k *Country) chart(p *Person, tenant ident.ODSCode, id string, yield func(Item) bool) bool {
	w := writer{b: make([]byte, 0, 2048)}
	k.localPatient(&w, p, tenant, id)
	if !yield(Item{Tenant: tenant, Chart: id, Type: "Patient", ID: id, Resource: w.b}) {
		return false
	}
	c := &chartWriter{
		k: k, p: p, h: k.healthOf(p), r: k.random(purposeChart+uint64(tenant.String()[4]), p.draw), tenant: tenant, id: id,
		display: p.Display(),
	}
	for _, s := range k.staff.Staff {
		if s.At == tenant.String() && s.Role == "clinician" {
			c.doctors = append(c.doctors, s)
		}
	}
	if tenant == Practice {
		c.surgery()
	} else {
		c.ward()
	}
	for _, item := range c.items {
		if !yield(item) {
			return false
		}
	}
	return true
}

// add writes one resource of the chart and gives its id.
func (c *chartWriter) add(kind string, write func(w *writer)) string {
	c.made++
	id := c.id + "-" + strconv.Itoa(c.made)
	w := writer{b: make([]byte, 0, 1024)}
	w.item(func() {
		w.text("resourceType", kind)
		w.text("id", id)
		write(&w)
	})
	c.items = append(c.items, Item{Tenant: c.tenant, Chart: c.id, Type: kind, ID: id, Resource: w.b})
	return id
}

func (c *chartWriter) subject(w *writer, element string) {
	w.reference(element, "Patient", c.id, c.display)
}

func (c *chartWriter) doctor() staffMember { return c.doctors[c.r.IntN(len(c.doctors))] }

// surgery is what the practice holds: allergies, smoking, immunisations and the course of each illness.
func (c *chartWriter) surgery() {
	gp := c.doctors[0]
	c.allergies(gp)
	age := c.p.Born.years(c.h.end)
	if age >= 16 {
		c.smoking(c.h.end-Day(30+c.r.IntN(300)), gp)
	}
	c.immunisations(age)
	for _, e := range c.h.episodes {
		c.course(e)
	}
	if len(c.h.episodes) == 0 && age >= 18 && c.r.IntN(3) == 0 {
		c.check(age)
	}
}

// check is a health check of somebody who is well.
func (c *chartWriter) check(age int) {
	day, gp := notZero(c.h.end-Day(20+c.r.IntN(700))), c.doctor()
	visit := c.encounter(day, 540, gp, "")
	height := 165 + c.r.NormFloat64()*8
	if c.p.Gender == "male" {
		height += 12
	}
	bmi := 25.5 + c.r.NormFloat64()*3
	c.observe("height", height, day, 545, visit, gp)
	c.observe("weight", bmi*height*height/10000, day, 546, visit, gp)
	c.observe("BMI", bmi, day, 546, visit, gp)
	c.observe("blood pressure", 116+float64(age)/3+c.r.NormFloat64()*8, day, 548, visit, gp)
}

// course is an illness at the practice: the diagnosis, its reviews with their results, and its medicines.
func (c *chartWriter) course(e episode) {
	gp := c.doctor()
	condition := c.condition(e, gp)
	days := []Day{e.onset}
	if e.Lasting {
		days = days[:0]
		for d := max(e.onset, c.h.end-4*365); d <= c.h.end; d += Day(e.Review + c.r.IntN(21) - 10) {
			days = append(days, notZero(d))
		}
		days = days[max(0, len(days)-6):]
	}
	for i, d := range days {
		minute := 510 + c.r.IntN(54)*10
		visit := c.encounter(d, minute, gp, e.Name)
		c.results(e.Results, int(d-e.onset), d, minute, visit, gp)
		for _, name := range e.Procedures {
			if i == len(days)-1 {
				c.procedure(name, d, minute+5, visit, gp)
			}
		}
		if i == len(days)-1 && e.Note != "" {
			c.note(e.Note, d, minute, visit, gp)
		}
	}
	for _, name := range e.Medicines {
		if c.k.clinic.Medicines[name].Penicillin && c.h.allergy == &c.k.clinic.Allergy[0] {
			name = insteadOfPenicillin
		}
		c.prescribe(name, e, condition, gp)
	}
	if e.Lasting && c.p.Died == 0 {
		c.appointment(c.k.today+Day(10+c.r.IntN(e.Review)), e.Name, "surgery", gp)
	}
}

// results takes a series at one visit; laboratory results of one visit make a report.
func (c *chartWriter) results(of []series, sinceOnset int, d Day, minute int, visit string, by staffMember) {
	var lab []string
	for _, s := range of {
		id := c.observe(s.what, s.at(c.r, sinceOnset), d, minute+3, visit, by)
		if !c.k.clinic.Measures[s.what].Vital {
			lab = append(lab, id)
		}
	}
	if len(lab) > 0 {
		c.report("LAB", "Laboratory", coded{"721981007", "Diagnostic studies report"}, "", lab, d, minute+120, visit)
	}
}

// ward is what a hospital holds: allergies, and each stay or visit with its results, operation and letter.
func (c *chartWriter) ward() {
	c.allergies(c.doctors[0])
	for _, e := range c.h.episodes {
		h := e.Hospital
		if h == nil {
			continue
		}
		day := notZero(e.onset + Day(h.After))
		if day > c.h.end {
			if c.p.Died == 0 {
				c.appointment(max(day, c.k.today+3), e.Name, h.Place, c.doctors[0])
			}
			continue
		}
		doctor := c.doctors[0]
		if h.Surgeon {
			doctor = c.doctors[len(c.doctors)-1]
		}
		c.condition(e, doctor)
		c.stay(e, day, doctor)
	}
}

// stay is one visit to or stay in hospital.
func (c *chartWriter) stay(e episode, day Day, doctor staffMember) {
	h := e.Hospital
	minute := 480 + c.r.IntN(600)
	end := min(day+Day(h.Stay), c.h.end)
	visit := c.hospitalEncounter(e, day, end, minute, doctor)
	c.results(h.Results, 0, day, minute+20, visit, doctor)
	if h.Stay > 1 && end > day {
		for _, s := range h.Results { // better on the way home: half way to normal
			m := c.k.clinic.Measures[s.what]
			if m.High > 0 && s.from > m.High {
				c.observe(s.what, (s.from+m.High)/2, end, 540, visit, doctor)
			}
		}
	}
	if h.Procedure != "" {
		on := min(day+Day(min(h.Stay, 1)), end)
		at := minute + 40
		if on > day {
			at = 600
		}
		c.procedure(h.Procedure, on, at, visit, doctor)
		if h.Report != "" {
			c.report("RAD", "Radiology", coded{"722124004", "Radiology studies report"}, h.Report, nil, on, at+45, visit)
		}
	}
	if h.Kind == "inpatient" {
		for _, name := range e.Medicines {
			c.taking(name, e, end, visit)
		}
	}
	c.letter(h, end, visit, doctor)
	if next := end + Day(h.Next); h.Next > 0 && next > c.k.today && c.p.Died == 0 {
		c.appointment(next, e.Name, "outpatients", doctor)
	}
}

// immunisations are the childhood schedule, and influenza each autumn for the old and those with lasting illnesses.
func (c *chartWriter) immunisations(age int) {
	if age < 18 {
		for _, s := range c.k.clinic.Schedule {
			if d := c.p.Born + Day(s.Days+c.r.IntN(20)); d < c.h.end && c.r.IntN(20) > 0 {
				c.immunisation(s.Vaccine, notZero(d))
			}
		}
	}
	lasting := slices.ContainsFunc(c.h.episodes, func(e episode) bool { return e.Lasting && e.Name != "migraine" })
	if age < 65 && (!lasting || age < 18) {
		return
	}
	year, _, _ := c.h.end.civil()
	for y := year - 3; y <= year; y++ {
		d := dayOf(y, 10, 1+c.r.IntN(30))
		if d > c.p.Born && d < c.h.end && c.r.IntN(5) > 0 {
			c.immunisation("influenza", d)
		}
	}
	if d := c.h.end - Day(300+c.r.IntN(400)); age >= 70 {
		c.immunisation("COVID-19", notZero(d))
	}
}
