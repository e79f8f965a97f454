package referral

import (
	"context"
	"strconv"
	"strings"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/referral/codes"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/format"
	"github.com/openspine/openspine/web/letter"
)

// paper begins a file about somebody for those who treat them: who they are, in rows.
func (s *Referrals) paper(ctx context.Context, title, from string, person Person, number ident.NHSNumber, u ident.UBRN) letter.Letter {
	now := s.k.Clock.Now()
	rows := []letter.Row{{Key: web.Text(ctx, "referral.summary.patient"), Value: person.addressee()[0]}, {Key: web.Text(ctx, "referral.summary.born"), Value: format.FHIR(person.Resource.Get("birthDate").String()).String()}}
	if age := person.Age(now); age >= 0 {
		rows = append(rows, letter.Row{Key: web.Text(ctx, "referral.summary.age"), Value: strconv.Itoa(age)})
	}
	rows = append(rows, letter.Row{Key: web.Text(ctx, "referral.summary.gender"), Value: person.Resource.Get("gender").String()}, letter.Row{Key: web.Text(ctx, "referral.summary.number"), Value: number.Display()},
		letter.Row{Key: web.Text(ctx, "referral.made.ubrn"), Value: u.Display()})
	if lines := person.addressee()[1:]; len(lines) > 0 {
		rows = append(rows, letter.Row{Key: web.Text(ctx, "referral.summary.address"), Value: strings.Join(lines, "\n")})
	}
	return letter.Letter{Title: title, From: from, At: now, Date: format.DateTime(now), Foot: web.Text(ctx, "referral.summary.foot"), Parts: []letter.Part{{Rows: rows}}}
}

// clinicalContext is what a request is about: "Cardiology, Heart Failure".
func clinicalContext(specialty, clinic string) string {
	var words []string
	if specialty != "" {
		words = append(words, codes.Display(codes.Specialty, specialty))
	}
	if clinic != "" {
		words = append(words, codes.Display(codes.ClinicType, clinic))
	}
	return strings.Join(words, ", ")
}

// rows are those that say something.
func rows(ctx context.Context, pairs ...string) (list []letter.Row) {
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			list = append(list, letter.Row{Key: web.Text(ctx, "referral.summary."+pairs[i]), Value: pairs[i+1]})
		}
	}
	return list
}

// filePart lists files, without their bytes.
func filePart(ctx context.Context, list []Attachment) letter.Part {
	p := letter.Part{Heading: web.Text(ctx, "referral.summary.files")}
	for _, a := range list {
		said := a.By.Name + ", " + format.DateTime(a.At)
		if a.Description != "" {
			said = a.Description + "\n" + said
		}
		p.Rows = append(p.Rows, letter.Row{Key: a.Name, Value: said})
	}
	return p
}

// ClinicalSummary is what is known of a referral, to be read by those who treat the person: who they are, what is asked, what became of it, its letter and the names of its files. The letter's words
// are left out for whoever may not read what ails the person. Errors: those of Get; ErrNotReferral.
func (s *Referrals) ClinicalSummary(ctx context.Context, c Caller, u ident.UBRN) (l letter.Letter, err error) {
	r, err := s.Get(ctx, c, u)
	if err != nil {
		return l, err
	}
	person, err := s.person(ctx, c, r.Patient)
	if err != nil {
		return l, err
	}
	l = s.paper(ctx, web.Text(ctx, "referral.summary.title"), s.k.Organisation(ctx, r.Practice), person, r.Patient, u)
	about := letter.Part{Heading: web.Text(ctx, "referral.summary.about"), Rows: rows(ctx, "priority", web.Text(ctx, "referral.priority."+string(r.Priority)), "context", clinicalContext(r.Specialty, r.ClinicType), "referrer", r.Referrer.Name, "practice", r.PracticeName,
		"made", format.DateTime(r.Created), "state", web.Text(ctx, "referral.state."+string(r.Stage())), "service", r.Chosen.Name)}
	if !r.Informed.IsZero() {
		about.Rows = append(about.Rows, rows(ctx, "informed", format.DateTime(r.Informed))...)
	}
	if !r.InformedAgain.IsZero() {
		about.Rows = append(about.Rows, rows(ctx, "informed-again", format.DateTime(r.InformedAgain))...)
	}
	if r.Appointment != nil {
		about.Rows = append(about.Rows, rows(ctx, "appointment", when(r.Appointment), "clinician", r.Appointment.Clinician)...)
	}
	if r.Comment != "" {
		about.Rows = append(about.Rows, rows(ctx, "comment", r.Comment)...)
	}
	l.Parts = append(l.Parts, about)
	clinical, err := s.k.Gate.Would(ctx, c.Principal, access.Read, s.place(r.Chart, u, true))
	switch {
	case err != nil:
		return l, err
	case r.Letter != "" && clinical:
		text, err := s.Letter(ctx, c, u)
		if err != nil {
			return l, err
		}
		l.Parts = append(l.Parts, letter.Part{Heading: web.Text(ctx, "referral.summary.letter"), Text: paragraphs(text)})
	case r.Letter != "":
		l.Parts = append(l.Parts, letter.Part{Heading: web.Text(ctx, "referral.summary.letter"), Text: []string{web.Text(ctx, "referral.summary.withheld")}})
	}
	if len(r.Attachments) > 0 {
		l.Parts = append(l.Parts, filePart(ctx, r.Attachments))
	}
	return l, nil
}

// AdviceSummary is a question for advice with its conversation, to be read by those who treat the person. Errors: those of Advice.
func (s *Referrals) AdviceSummary(ctx context.Context, c Caller, u ident.UBRN) (l letter.Letter, err error) {
	a, err := s.Advice(ctx, c, u, true)
	if err != nil {
		return l, err
	}
	person, err := s.person(ctx, c, a.Patient)
	if err != nil {
		return l, err
	}
	return s.conversation(ctx, a, person), nil
}

// conversation is a question with its conversation, on paper.
func (s *Referrals) conversation(ctx context.Context, a Advice, person Person) letter.Letter {
	l := s.paper(ctx, web.Text(ctx, "referral.summary.advice"), a.PracticeName, person, a.Patient, a.UBRN)
	may := "no"
	if a.MayConvert {
		may = "yes"
	}
	l.Parts = append(l.Parts, letter.Part{Heading: web.Text(ctx, "referral.summary.about"), Rows: rows(ctx, "priority", web.Text(ctx, "referral.priority."+string(a.Priority)), "context", clinicalContext(a.Specialty, a.ClinicType), "service", a.Service.Name,
		"referrer", a.Referrer.Name, "practice", a.PracticeName, "advice-state", web.Text(ctx, "referral.summary.turn."+string(a.State)), "may-convert", web.Text(ctx, "referral.summary."+may))})
	for _, m := range a.Remarks {
		said := letter.Part{Heading: web.Text(ctx, "referral.summary.sent", format.DateTime(m.At), m.For.Name, s.k.Organisation(ctx, m.Organisation)), Text: paragraphs(m.Text)}
		l.Parts = append(l.Parts, said)
		if len(m.Files) > 0 {
			l.Parts = append(l.Parts, filePart(ctx, m.Files))
		}
	}
	return l
}

// paragraphs are a text's, without those that are empty.
func paragraphs(text string) (list []string) {
	for _, p := range strings.Split(text, "\n\n") {
		if p = strings.TrimSpace(p); p != "" {
			list = append(list, p)
		}
	}
	return list
}

// isAdvice reports whether a number of a chart is a question's.
func (s *Referrals) isAdvice(tx *store.Tx, chart string, u ident.UBRN) (bool, error) {
	var n int64
	err := tx.QueryRow(`SELECT count(*) FROM referral_advice WHERE lane = ? AND chart = ? AND ubrn = ?`, int64(s.chartLane(chart)), chart, u.String()).Scan(&n)
	return n > 0, err
}
