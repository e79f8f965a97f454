package hospital

import (
	"context"
	"sync"
	"time"

	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/web/format"
)

// Figures are what happened in a hospital's clinics, by month, and how it stands now.
type Figures struct {
	At     time.Time   // when they were counted
	Months []time.Time // the first midnight of each, the oldest first; the last lie ahead
	Now    int         // the month of At among them
	// Clinics are by clinic and month, Services by service (the directory's id) and month.
	Clinics  map[string][]ClinicMonth
	Services map[string][]ServiceMonth
	// Waiting is how many wait now, by service.
	Waiting map[string]Waiting
	// Differing is how many differences there are with the spine, those apart that may be on their way; Refused how many acts the spine refused that nobody has seen to. The target of both is 0.
	Differing, Refused int
	Standing           Standing
}

// ClinicMonth is a clinic in a month, by the day of the appointment.
type ClinicMonth struct {
	Slots  int // of sessions that were not withdrawn
	Booked int // appointments, whatever came of them
	Seen   int
	Missed int // they did not attend
}

// ServiceMonth is a service in a month.
type ServiceMonth struct {
	Issues  int // people for whom there was no free time when they wanted one
	Stopped int // waits for treatment that ended
	InTime  int // those of them that ended within 18 weeks
}

// Waiting is how many people wait for treatment from a service, and for a time.
type Waiting struct {
	Bands   [waitBands]int // by how long they have waited; see bandWeeks
	Since   time.Time      // when the longest wait began
	Issues  int            // people who need a time that the hospital has yet to find
	Longest time.Time      // since when the first of these needs it
}

// bandWeeks are the weeks from which each band of waits runs, the first apart, which runs from 0.
func bandWeeks() [waitBands - 1]int { return [...]int{4, 8, 13, weeksStandard, 26, weeksMost} }

const waitBands = 7

// All is how many wait for treatment; Over is how many of them have waited so many weeks, which must be the beginning of a band.
func (w Waiting) All() int { return w.Over(0) }

// Over is how many have waited so many weeks or more.
func (w Waiting) Over(weeks int) (n int) {
	for i, in := range w.Bands {
		if i == 0 && weeks > 0 || i > 0 && bandWeeks()[i-1] < weeks {
			continue
		}
		n += in
	}
	return n
}

func (w Waiting) plus(o Waiting) Waiting {
	for i := range w.Bands {
		w.Bands[i] += o.Bands[i]
	}
	w.Issues += o.Issues
	w.Since, w.Longest = earlier(w.Since, o.Since), earlier(w.Longest, o.Longest)
	return w
}

// earlier is the earlier of two times, of which either may be unknown.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// Months that figures go back, at most, and look ahead: sessions are made for eight weeks.
const (
	mostMonths  = 24
	monthsAhead = 2
)

// Figures counts what happened in the last so many months, this one among them. It reads nothing about anybody but numbers. What takes long to count is kept for a while: see figuresKept.
func (o *Outpatients) Figures(ctx context.Context, hospital ident.ODSCode, months int) (f Figures, err error) {
	months = max(1, min(months, mostMonths))
	one := o.counted.of(hospital, months)
	one.Lock()
	defer one.Unlock()
	began := o.k.Clock.Now()
	if began.Before(one.until) {
		return one.Figures, nil
	}
	f = Figures{At: began, Now: months - 1, Clinics: map[string][]ClinicMonth{}, Services: map[string][]ServiceMonth{}, Waiting: map[string]Waiting{}}
	y, m, _ := format.Midnight(began).Date()
	for i := 1 - months; i <= monthsAhead; i++ {
		f.Months = append(f.Months, format.Begins(time.Date(y, m+time.Month(i), 1, 0, 0, 0, 0, time.UTC)))
	}
	for i := range f.Months {
		// A month at a time, each in a snapshot of its own: one of two years would be held open for long.
		if err := o.k.DB.Read(ctx, func(tx *store.Tx) error { return o.countMonth(tx, hospital, &f, i) }); err != nil {
			return f, err
		}
	}
	err = o.k.DB.Read(ctx, func(tx *store.Tx) error { return o.countNow(tx, hospital, &f) })
	if err == nil {
		now := o.k.Clock.Now()
		one.Figures, one.until = f, now.Add(min(figuresKept*now.Sub(began), time.Minute))
	}
	return f, err
}

// figuresKept is for how many times as long as it took to count them figures are shown again, a minute at most: however many look, counting takes a small part of the node's time.
const figuresKept = 20

// counted are figures that were counted, by hospital and months.
type counted struct {
	sync.Mutex
	all map[countedKey]*countedOne
}

type countedKey struct {
	hospital ident.ODSCode
	months   int
}

type countedOne struct {
	sync.Mutex
	Figures
	until time.Time
}

func (c *counted) of(hospital ident.ODSCode, months int) *countedOne {
	c.Lock()
	defer c.Unlock()
	if c.all == nil {
		c.all = map[countedKey]*countedOne{}
	}
	key := countedKey{hospital, months}
	if c.all[key] == nil {
		c.all[key] = &countedOne{}
	}
	return c.all[key]
}

// end is when a month of f ends.
func (f Figures) end(i int) time.Time {
	if i+1 < len(f.Months) {
		return f.Months[i+1]
	}
	y, m, _ := f.Months[i].Date()
	return format.Begins(time.Date(y, m+1, 1, 0, 0, 0, 0, time.UTC))
}

func (f Figures) clinic(id string) []ClinicMonth {
	if f.Clinics[id] == nil {
		f.Clinics[id] = make([]ClinicMonth, len(f.Months))
	}
	return f.Clinics[id]
}

func (f Figures) service(id string) []ServiceMonth {
	if f.Services[id] == nil {
		f.Services[id] = make([]ServiceMonth, len(f.Months))
	}
	return f.Services[id]
}

// countMonth counts one month: each query reads what lies in it by an index, and answers with a row for each clinic or service.
func (o *Outpatients) countMonth(tx *store.Tx, hospital ident.ODSCode, f *Figures, i int) error {
	args := []any{int64(o.lane(hospital)), hospital.String(), f.Months[i].UnixMicro(), f.end(i).UnixMicro()}
	count := func(query string, add func(of string, numbers [2]int64)) error {
		return rowsOf(tx, func(r *store.Rows) error {
			var of string
			var n [2]int64
			err := r.Scan(&of, &n[0], &n[1])
			if err == nil {
				add(of, n)
			}
			return err
		}, query, args...)
	}
	for id := range f.Clinics { // a snapshot that is read again begins anew
		f.Clinics[id][i] = ClinicMonth{}
	}
	for id := range f.Services {
		f.Services[id][i] = ServiceMonth{}
	}
	const sessions = ` FROM hospital_session s JOIN `
	const within = ` WHERE s.lane = ? AND s.tenant = ? AND s.starts >= ? AND s.starts < ? AND `
	err := count(`SELECT s.clinic, count(*), 0`+sessions+`hospital_slot x ON x.lane = s.lane AND x.tenant = s.tenant AND x.session = s.id`+within+`s.state <> 'withdrawn' GROUP BY s.clinic`,
		func(of string, n [2]int64) { f.clinic(of)[i].Slots = int(n[0]) })
	if err == nil {
		err = count(`SELECT s.clinic, sum(CASE WHEN v.state = 'attended' THEN 1 ELSE 0 END), sum(CASE WHEN v.state = 'did-not-attend' THEN 1 ELSE 0 END)`+sessions+`hospital_visit v ON v.lane = s.lane AND v.tenant = s.tenant AND v.session = s.id`+
			within+`v.state IN ('attended', 'did-not-attend') GROUP BY s.clinic`, func(of string, n [2]int64) {
			c := &f.clinic(of)[i]
			c.Seen, c.Missed = int(n[0]), int(n[1])
			c.Booked += c.Seen + c.Missed
		})
	}
	if err == nil { // follow-ups of which nothing is known yet
		err = count(`SELECT s.clinic, count(*), 0`+sessions+`hospital_visit v ON v.lane = s.lane AND v.tenant = s.tenant AND v.session = s.id`+within+`s.state <> 'withdrawn' AND v.kind = 'follow-up' AND v.state IN ('booked', 'arrived') GROUP BY s.clinic`,
			func(of string, n [2]int64) { f.clinic(of)[i].Booked += int(n[0]) })
	}
	if err == nil { // and first appointments
		err = count(`SELECT s.clinic, count(*), 0`+sessions+`hospital_case c ON c.tenant = s.tenant AND c.session = s.id AND c.lane = s.lane`+within+`s.state <> 'withdrawn' AND c.gone = 0
			AND NOT EXISTS (SELECT 1 FROM hospital_visit v WHERE v.lane = c.lane AND v.tenant = c.tenant AND v.session = c.session AND v.slot = c.slot AND v.who = c.ubrn AND v.state IN ('attended', 'did-not-attend', 'cancelled')) GROUP BY s.clinic`,
			func(of string, n [2]int64) { f.clinic(of)[i].Booked += int(n[0]) })
	}
	if err == nil {
		err = count(`SELECT c.service, count(DISTINCT e.who), 0 FROM hospital_event e JOIN hospital_case c ON c.lane = e.lane AND c.tenant = e.tenant AND c.ubrn = e.who
			WHERE e.lane = ? AND e.tenant = ? AND e.at >= ? AND e.at < ? AND e.what = 'told' AND e.detail = 'DEFERRED_TO_PROVIDER' GROUP BY c.service`,
			func(of string, n [2]int64) { f.service(of)[i].Issues = int(n[0]) })
	}
	if err == nil {
		err = count(`SELECT c.service, count(*), sum(CASE WHEN p.stopped - p.clock < 10886400000000 THEN 1 ELSE 0 END) FROM hospital_pathway p JOIN hospital_case c ON c.lane = p.lane AND c.tenant = p.tenant AND c.ubrn = p.who
			WHERE p.lane = ? AND p.tenant = ? AND p.closed IN (0, 1) AND p.stopped >= ? AND p.stopped < ? AND p.status <> '33' GROUP BY c.service`, // whose wait is nullified has not waited
			func(of string, n [2]int64) {
				s := &f.service(of)[i]
				s.Stopped, s.InTime = int(n[0]), int(n[1])
			})
	}
	return err
}

// countNow counts who waits, and how the hospital stands with the spine.
func (o *Outpatients) countNow(tx *store.Tx, hospital ident.ODSCode, f *Figures) error {
	clear(f.Waiting)
	lane, h := int64(o.lane(hospital)), hospital.String()
	const who = ` FROM hospital_pathway p JOIN hospital_case c ON c.lane = p.lane AND c.tenant = p.tenant AND c.ubrn = p.who WHERE p.lane = ? AND p.tenant = ? AND p.closed = 0 AND c.gone = 0 AND `
	from := f.At
	for i := range waitBands {
		to := time.UnixMicro(0)
		if i < waitBands-1 {
			to = f.At.Add(-time.Duration(bandWeeks()[i]) * 7 * 24 * time.Hour)
		}
		err := rowsOf(tx, func(r *store.Rows) error {
			var service string
			var n, since int64
			if err := r.Scan(&service, &n, &since); err != nil {
				return err
			}
			w := f.Waiting[service]
			w.Bands[i], w.Since = int(n), earlier(w.Since, fromMicros(since))
			f.Waiting[service] = w
			return nil
		}, `SELECT c.service, count(*), min(p.clock)`+who+`p.stopped = 0 AND p.clock > ? AND p.clock <= ? GROUP BY c.service`, lane, h, to.UnixMicro(), from.UnixMicro())
		if err != nil {
			return err
		}
		from = to
	}
	err := rowsOf(tx, func(r *store.Rows) error {
		var service string
		var n, since int64
		if err := r.Scan(&service, &n, &since); err != nil {
			return err
		}
		w := f.Waiting[service]
		w.Issues, w.Longest = int(n), fromMicros(since)
		f.Waiting[service] = w
		return nil
	}, `SELECT c.service, count(*), min(p.rebook)`+who+`p.rebook > 0 GROUP BY c.service`, lane, h)
	if err != nil {
		return err
	}
	list, err := o.differencesIn(tx, hospital)
	if err != nil {
		return err
	}
	f.Differing = 0
	for _, d := range list {
		if !d.UnderWay() {
			f.Differing++
		}
	}
	var refused int64
	if err := tx.QueryRow(`SELECT count(*) FROM hospital_act WHERE lane = ? AND tenant = ? AND state = 'refused'`, lane, h).Scan(&refused); err != nil {
		return err
	}
	f.Refused = int(refused)
	f.Standing, err = o.standingIn(tx, hospital)
	return err
}
