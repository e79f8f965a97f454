package hospital

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/format"
)

// figuresView is the page of a manager: plots with their tables, by specialty, clinic and month.
type figuresView struct {
	Page           web.Page
	Title          string
	State          web.TableState
	Specialties    web.Choice
	Clinics        web.Choice
	Months         web.Choice
	Facts          []web.Row
	Reconciliation web.Link
	Charts         []web.Chart
	Tables         []web.Table
}

// chosen are figures of the clinics that somebody looks at.
type chosen struct {
	Figures
	clinics  []Clinic
	services []string          // ids of the directory
	named    map[string]string // a service by the clinics that offer it
	months   []ClinicMonth     // all of the clinics together
	stopped  []ServiceMonth    // all of the services together
	waiting  Waiting
}

// The parameters of the page's address.
const (
	bySpecialty, byClinic, byMonths = "specialty", "clinic", "months"
	usualMonths                     = 12
)

// choose keeps what is of a specialty or a clinic; empty for all.
func choose(f Figures, clinics []Clinic, specialty, clinic string) chosen {
	c := chosen{Figures: f, named: map[string]string{}, months: make([]ClinicMonth, len(f.Months)), stopped: make([]ServiceMonth, len(f.Months))}
	for _, x := range clinics {
		if specialty != "" && x.Specialty != specialty || clinic != "" && x.ID != clinic {
			continue
		}
		c.clinics = append(c.clinics, x)
		if c.named[x.Service] == "" {
			c.services = append(c.services, x.Service)
			c.named[x.Service] = x.Name
		} else {
			c.named[x.Service] += ", " + x.Name
		}
		for i, m := range f.Clinics[x.ID] {
			sum := &c.months[i]
			sum.Slots, sum.Booked, sum.Seen, sum.Missed = sum.Slots+m.Slots, sum.Booked+m.Booked, sum.Seen+m.Seen, sum.Missed+m.Missed
		}
	}
	if specialty == "" && clinic == "" { // what no clinic offers any more is not lost from the sum
		for id := range f.Services {
			c.also(id)
		}
		for id := range f.Waiting {
			c.also(id)
		}
	}
	slices.SortFunc(c.services, func(a, b string) int { return cmp.Or(cmp.Compare(c.named[a], c.named[b]), cmp.Compare(a, b)) })
	for _, id := range c.services {
		for i, m := range f.Services[id] {
			sum := &c.stopped[i]
			sum.Issues, sum.Stopped, sum.InTime = sum.Issues+m.Issues, sum.Stopped+m.Stopped, sum.InTime+m.InTime
		}
		c.waiting = c.waiting.plus(f.Waiting[id])
	}
	return c
}

func (c *chosen) also(service string) {
	if c.named[service] == "" {
		c.services, c.named[service] = append(c.services, service), service
	}
}

// past is a clinic's months up to this one, together.
func (c chosen) past(list []ClinicMonth) (sum ClinicMonth) {
	for _, m := range list[:min(len(list), c.Now+1)] {
		sum.Slots, sum.Booked, sum.Seen, sum.Missed = sum.Slots+m.Slots, sum.Booked+m.Booked, sum.Seen+m.Seen, sum.Missed+m.Missed
	}
	return sum
}

func month(t time.Time) string { return t.Format("Jan-2006") }

// share is a part of a whole as a percentage: a number to draw, and as it is written. It is not known of nothing.
func share(part, whole int) (float64, string) {
	if whole == 0 {
		return 0, ""
	}
	p := 100 * float64(part) / float64(whole)
	return p, strconv.FormatFloat(p, 'f', 1, 64) + "%"
}

func rate(part, whole int) string {
	_, text := share(part, whole)
	return text
}

// figures is how the clinics do, for whoever manages them.
func (d *desk) figures() error {
	state, err := d.state("clinic", "slots", "booked", "missed", "rate")
	if err != nil {
		return err
	}
	months, err := strconv.Atoi(state.Filter(byMonths))
	if err != nil || months < 1 || months > mostMonths {
		months = usualMonths
	}
	if err := d.seeFigures(); err != nil {
		return err
	}
	f, err := d.Figures(d.ctx, d.hospital, months)
	if err != nil {
		return err
	}
	var clinics []Clinic
	var specialties []Specialty
	err = d.k.DB.Read(d.ctx, func(tx *store.Tx) error {
		if clinics, err = d.clinicsIn(tx, d.hospital); err != nil {
			return err
		}
		specialties, err = d.specialtiesIn(tx, d.hospital)
		return err
	})
	if err != nil {
		return err
	}
	c := choose(f, clinics, state.Filter(bySpecialty), state.Filter(byClinic))
	switch state.Filter("format") {
	case "csv":
		return d.monthsCSV(c, specialties)
	case "waits":
		return d.waitsCSV(c)
	}
	v := figuresView{Title: d.text("figures.title"), State: state, Reconciliation: web.Link{Text: d.text("reconciliation.title"), URL: d.path("reconciliation")}}
	if v.Page = d.page(v.Title); d.counts() {
		v.Page.Back = web.Link{Text: d.text("figures.home"), URL: "/"}
	}
	d.figureChoices(&v, clinics, specialties, months)
	v.Facts = d.figureFacts(c)
	v.Charts = []web.Chart{d.bookingsPlot(c), d.issuesPlot(c), d.waitsPlot(c), d.stoppedPlot(c), d.missedPlot(c)}
	v.Tables = []web.Table{d.clinicFigures(c, state, specialties), d.serviceFigures(c, state)}
	return web.RenderPart(d.w, d.r, "figures", figuresPart(v), figuresPage(v))
}

func (d *desk) figureChoices(v *figuresView, clinics []Clinic, specialties []Specialty, months int) {
	v.Specialties = web.Choice{Name: bySpecialty, Label: d.text("figures.specialty"), Value: v.State.Filter(bySpecialty), Options: []web.Option{{Text: d.text("figures.every-specialty")}}}
	for _, x := range specialties {
		v.Specialties.Options = append(v.Specialties.Options, web.Option{Value: x.Code, Text: x.Name})
	}
	v.Clinics = web.Choice{Name: byClinic, Label: d.text("column.clinic"), Value: v.State.Filter(byClinic), Options: []web.Option{{Text: d.text("diary.every")}}}
	for _, x := range clinics {
		v.Clinics.Options = append(v.Clinics.Options, web.Option{Value: x.ID, Text: x.Name})
	}
	v.Months = web.Choice{Name: byMonths, Label: d.text("figures.months"), Value: strconv.Itoa(months)}
	for _, n := range []int{3, 6, usualMonths, mostMonths} {
		v.Months.Options = append(v.Months.Options, web.Option{Value: strconv.Itoa(n), Text: web.Count(d.ctx, "hospital.figures.last", n)})
	}
}

// figureFacts are the numbers that a manager looks for first.
func (d *desk) figureFacts(c chosen) []web.Row {
	compared := d.text("never")
	if !c.Standing.Answered.IsZero() {
		compared = format.DateTime(c.Standing.Answered)
	}
	return []web.Row{
		{Key: d.text("differences.title"), Value: target(c.Differing, compared)},
		{Key: d.text("refused.title"), Value: target(c.Refused, "")},
		{Key: d.text("waiting.title"), Text: web.Count(d.ctx, "hospital.figures.people", c.waiting.All())},
		{Key: d.text("rebook.title"), Text: web.Count(d.ctx, "hospital.figures.people", c.waiting.Issues)},
		{Key: d.text("figures.counted"), Text: format.DateTime(c.At)},
	}
}

// plot is a chart whose points are months.
func (d *desk) plot(id, title string, bars bool, series ...web.Series) web.Chart {
	return web.Chart{ID: "plot-" + id, Title: title, Bars: bars, XName: d.text("figures.month"), YName: d.text("figures.axis." + id), Series: series}
}

func count(label string, n int) web.Point {
	return web.Point{Label: label, Y: float64(n), Text: web.Number(n)}
}

func (d *desk) bookingsPlot(c chosen) web.Chart {
	slots, booked := web.Series{Name: d.text("figures.slots")}, web.Series{Name: d.text("figures.booked")}
	for i, m := range c.months {
		slots.Points = append(slots.Points, count(month(c.Months[i]), m.Slots))
		booked.Points = append(booked.Points, count(month(c.Months[i]), m.Booked))
	}
	title, now := d.text("figures.found.no-slots", month(c.Months[c.Now])), c.months[c.Now]
	if now.Slots > 0 {
		title = d.text("figures.found.bookings", web.Number(now.Booked), web.Number(now.Slots), month(c.Months[c.Now]))
	}
	return d.plot("bookings", title, true, slots, booked)
}

func (d *desk) issuesPlot(c chosen) web.Chart {
	s := web.Series{}
	for i, m := range c.stopped[:c.Now+1] {
		s.Points = append(s.Points, count(month(c.Months[i]), m.Issues))
	}
	title := d.text("figures.found.no-issues")
	if c.waiting.Issues > 0 {
		title = web.Count(d.ctx, "hospital.figures.found.issues", c.waiting.Issues, web.Ago(d.ctx, d.now, c.waiting.Longest))
	}
	return d.plot("issues", title, true, s)
}

// waitsPlot is how long those have waited who wait now.
func (d *desk) waitsPlot(c chosen) web.Chart {
	s, from := web.Series{}, 0
	for i, n := range c.waiting.Bands {
		label := d.text("figures.weeks-more", from)
		if i < waitBands-1 {
			to := bandWeeks()[i]
			label, from = d.text("figures.weeks-band", from, to-1), to
		}
		s.Points = append(s.Points, count(label, n))
	}
	title := d.text("figures.found.nobody-waits")
	if all := c.waiting.All(); all > 0 {
		title = d.text("figures.found.waits", rate(all-c.waiting.Over(weeksStandard), all))
	}
	chart := d.plot("waits", title, true, s)
	chart.XName = d.text("figures.axis.weeks")
	return chart
}

// ofStandard is the share that the NHS Constitution asks for, in percent: of those who wait, how many have waited less than 18 weeks.
const ofStandard = 92

func (d *desk) stoppedPlot(c chosen) web.Chart {
	s, sum := web.Series{}, ServiceMonth{}
	for i, m := range c.stopped[:c.Now+1] {
		sum.Stopped, sum.InTime = sum.Stopped+m.Stopped, sum.InTime+m.InTime
		if y, text := share(m.InTime, m.Stopped); m.Stopped > 0 {
			s.Points = append(s.Points, web.Point{Label: month(c.Months[i]), X: float64(i + 1), Y: y, Text: d.text("figures.of", text, web.Number(m.InTime), web.Number(m.Stopped))})
		}
	}
	title := d.text("figures.found.none-stopped")
	if sum.Stopped > 0 {
		title = d.text("figures.found.stopped", rate(sum.InTime, sum.Stopped))
	}
	chart := d.plot("stopped", title, false, s)
	chart.Range, chart.RangeAs = &web.Range{Low: ofStandard, High: 100}, d.text("figures.standard", ofStandard)
	return chart
}

func (d *desk) missedPlot(c chosen) web.Chart {
	s := web.Series{}
	for i, m := range c.months[:c.Now+1] {
		if y, text := share(m.Missed, m.Seen+m.Missed); text != "" {
			s.Points = append(s.Points, web.Point{Label: month(c.Months[i]), X: float64(i + 1), Y: y, Text: d.text("figures.of", text, web.Number(m.Missed), web.Number(m.Seen+m.Missed))})
		}
	}
	title, sum := d.text("figures.found.nobody-came"), c.past(c.months)
	if sum.Seen+sum.Missed > 0 {
		title = d.text("figures.found.missed", rate(sum.Missed, sum.Seen+sum.Missed))
	}
	return d.plot("missed", title, false, s)
}

func specialtyNamed(list []Specialty, code string) string {
	for _, s := range list {
		if s.Code == code {
			return s.Name
		}
	}
	return code
}

// clinicFigures is a line for each clinic, of all the months up to this one.
func (d *desk) clinicFigures(c chosen, state web.TableState, specialties []Specialty) web.Table {
	t := web.Table{ID: "by-clinic", State: state, RowHeader: true, Caption: d.text("figures.by-clinic"), CSVURL: state.With("format", "csv"), Empty: web.Empty{Text: d.text("templates.no-clinics"), Help: d.text("templates.no-clinics-help")}}
	for _, key := range []string{"clinic", "specialty", "slots", "booked", "seen", "missed", "rate"} {
		col := web.Column{Text: d.text("figures.column." + key), Numeric: key != "clinic" && key != "specialty"}
		if key != "specialty" && key != "seen" {
			col.Sort = key
		}
		t.Columns = append(t.Columns, col)
	}
	by, down := state.Sort()
	list := slices.Clone(c.clinics)
	slices.SortStableFunc(list, func(a, b Clinic) int {
		x, y := c.past(c.Clinics[a.ID]), c.past(c.Clinics[b.ID])
		part := func(m ClinicMonth) float64 { v, _ := share(m.Missed, m.Seen+m.Missed); return v }
		n := map[string]int{"clinic": strings.Compare(a.Name, b.Name), "slots": cmp.Compare(x.Slots, y.Slots), "booked": cmp.Compare(x.Booked, y.Booked), "missed": cmp.Compare(x.Missed, y.Missed), "rate": cmp.Compare(part(x), part(y))}[by]
		if down {
			n = -n
		}
		return n
	})
	t.Count = web.Count(d.ctx, "hospital.figures.clinics", len(list))
	var page []Clinic
	page, t.PreviousCursor, t.NextCursor = web.PageOf(state, list, figureRows, func(x Clinic) string { return x.ID })
	for _, x := range page {
		m := c.past(c.Clinics[x.ID])
		t.Rows = append(t.Rows, web.TableRow{Cells: []web.TableCell{web.LinkCell(x.Name, state.With(byClinic, x.ID)), web.NoteCell(specialtyNamed(specialties, x.Specialty)),
			web.Cell(web.Number(m.Slots)), web.Cell(web.Number(m.Booked)), web.Cell(web.Number(m.Seen)), web.Cell(web.Number(m.Missed)), web.NoteCell(rate(m.Missed, m.Seen+m.Missed))}})
	}
	return t
}

// figureRows is how many lines a list of figures has on a page.
const figureRows = 20

// serviceFigures is who waits now, by service: those with the most first. What is beyond the first few is in the file.
func (d *desk) serviceFigures(c chosen, state web.TableState) web.Table {
	t := web.Table{ID: "by-service", RowHeader: true, Caption: d.text("figures.by-service"), CSVURL: state.With("format", "waits"), Empty: web.Empty{Text: d.text("waiting.empty"), Help: d.text("waiting.empty-help")}}
	for _, key := range []string{"service", "waiting", "in-time", "over-18", "over-52", "longest", "issues"} {
		t.Columns = append(t.Columns, web.Column{Text: d.text("figures.column." + key), Numeric: key != "service"})
	}
	list := slices.Clone(c.services)
	slices.SortStableFunc(list, func(a, b string) int { return cmp.Compare(c.Waiting[b].All(), c.Waiting[a].All()) })
	if len(list) > figureRows {
		t.Count = d.text("figures.most", figureRows, web.Number(len(list)))
		list = list[:figureRows]
	}
	for _, id := range list {
		w := c.Waiting[id]
		longest := ""
		if !w.Since.IsZero() {
			longest = web.Count(d.ctx, "hospital.weeks", Pathway{Clock: w.Since}.Weeks(d.now))
		}
		t.Rows = append(t.Rows, web.TableRow{Cells: []web.TableCell{web.Cell(c.named[id]), web.Cell(web.Number(w.All())), web.NoteCell(rate(w.All()-w.Over(weeksStandard), w.All())), web.Cell(web.Number(w.Over(weeksStandard))),
			web.Cell(web.Number(w.Over(weeksMost))), web.NoteCell(longest), web.Cell(web.Number(w.Issues))}})
	}
	return t
}

// monthsCSV is a line for each clinic and month, those ahead as well.
func (d *desk) monthsCSV(c chosen, specialties []Specialty) error {
	return web.CSV(d.w, "clinics-by-month", []string{"month", "specialty", "clinic", "slots", "booked", "seen", "did not attend", "rate of did not attend"}, func(yield func([]string, error) bool) {
		for _, x := range c.clinics {
			for i, m := range c.Clinics[x.ID] {
				if !yield([]string{c.Months[i].Format("2006-01"), specialtyNamed(specialties, x.Specialty), x.Name, strconv.Itoa(m.Slots), strconv.Itoa(m.Booked), strconv.Itoa(m.Seen), strconv.Itoa(m.Missed), rate(m.Missed, m.Seen+m.Missed)}, nil) {
					return
				}
			}
		}
	})
}

// waitsCSV is a line for each service and month, with who waits now in that of today.
func (d *desk) waitsCSV(c chosen) error {
	header := []string{"month", "service", "clinics", "wanted a time that was not there", "waits ended", "ended within 18 weeks", "wait now", "wait now, 18 weeks or more", "wait now, 52 weeks or more", "need a time now"}
	return web.CSV(d.w, "waits-by-month", header, func(yield func([]string, error) bool) {
		for _, id := range c.services {
			w := c.Waiting[id]
			for i := range c.Now + 1 {
				var m ServiceMonth
				if list := c.Services[id]; list != nil {
					m = list[i]
				}
				row := []string{c.Months[i].Format("2006-01"), id, c.named[id], strconv.Itoa(m.Issues), strconv.Itoa(m.Stopped), strconv.Itoa(m.InTime), "", "", "", ""}
				if i == c.Now {
					row[6], row[7], row[8], row[9] = strconv.Itoa(w.All()), strconv.Itoa(w.Over(weeksStandard)), strconv.Itoa(w.Over(weeksMost)), strconv.Itoa(w.Issues)
				}
				if !yield(row, nil) {
					return
				}
			}
		}
	})
}

func (o *Outpatients) specialtiesIn(tx *store.Tx, hospital ident.ODSCode) (list []Specialty, err error) {
	err = rowsOf(tx, func(r *store.Rows) error {
		var s Specialty
		err := r.Scan(&s.Code, &s.Name)
		list = append(list, s)
		return err
	}, `SELECT code, name FROM hospital_specialty WHERE lane = ? AND tenant = ? ORDER BY name, code`, int64(o.lane(hospital)), hospital.String())
	return list, err
}
