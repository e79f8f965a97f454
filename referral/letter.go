package referral

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/format"
	"github.com/openspine/openspine/web/letter"
)

// PatientLetter tells a patient in writing how their referral stands and what they may do: it says what their own page says. The password is on it where one is given. Errors: those
// of Get.
func (s *Referrals) PatientLetter(ctx context.Context, c Caller, u ident.UBRN, password string) (l letter.Letter, r Referral, err error) {
	if r, err = s.Get(ctx, c, u); err != nil {
		return l, r, err
	}
	person, err := s.person(ctx, c, r.Patient)
	if err != nil {
		return l, r, err
	}
	now := s.k.Clock.Now()
	l = letter.Letter{Title: web.Text(ctx, "referral.mine.title"), From: r.PracticeName, At: now, Date: format.Date(now), To: person.addressee(), Foot: web.Text(ctx, "referral.paper.foot")}
	stands := letter.Part{Text: []string{tells(ctx, r)}}
	about := letter.Part{Rows: []letter.Row{{Key: web.Text(ctx, "referral.made.ubrn"), Value: r.UBRN.Display()}}}
	if password != "" {
		about.Rows = append(about.Rows, letter.Row{Key: web.Text(ctx, "referral.made.password"), Value: password})
	}
	door := "referral.paper.look"
	if r.May(ActBook, Patient) {
		door = "referral.made.door"
	}
	about.Rows = append(about.Rows, letter.Row{Key: web.Text(ctx, door), Value: s.k.BaseURL() + doorPath})
	if words := askedWords(ctx, r); words != "" {
		stands.Text = append([]string{words}, stands.Text...)
	}
	l.Parts = []letter.Part{stands, about}
	switch {
	case r.Appointment != nil:
		where := letter.Part{Heading: web.Text(ctx, "referral.paper.appointment"), Rows: []letter.Row{{Key: web.Text(ctx, "referral.case.date"), Value: when(r.Appointment)},
			{Key: web.Text(ctx, "referral.mine.where"), Value: r.Chosen.Name + "\n" + r.Chosen.ProviderName}}}
		if !r.Unheard.IsZero() {
			where.Heading = web.Text(ctx, "referral.silent.title") // paper does not change when the hospital is heard of again
		}
		if r.May(ActMove, Patient) {
			where.Text = []string{web.Text(ctx, "referral.paper.change")}
		}
		l.Parts = append(l.Parts, where)
	case r.Offer != nil:
		l.Parts = slices.Insert(l.Parts, 1, letter.Part{Heading: web.Text(ctx, "referral.offer.title"), Rows: []letter.Row{{Key: web.Text(ctx, "referral.offer.when"), Value: format.Weekday(r.Offer.Start) + " " + format.DateTime(r.Offer.Start)},
			{Key: web.Text(ctx, "referral.mine.where"), Value: r.Chosen.Name + "\n" + r.Chosen.ProviderName}}, Text: []string{web.Text(ctx, "referral.offer.paper", format.Weekday(r.Offer.Until)+" "+format.DateTime(r.Offer.Until))}})
	case r.May(ActBook, Patient):
		choose := letter.Part{Heading: web.Text(ctx, "referral.mine.choose")}
		for _, c := range r.Shortlist {
			choose.Text = append(choose.Text, c.Name+", "+c.ProviderName)
		}
		l.Parts = append(l.Parts, choose)
	}
	if password != "" {
		l.Parts = append(l.Parts, letter.Part{Text: []string{web.Text(ctx, "referral.paper.secret")}})
	}
	return l, r, nil
}

// addressee is who a letter is to. Where somebody lives who is hidden is not told.
func (p Person) addressee() []string {
	lines := []string{strings.Join(strings.Fields(joined(p.name().Field("prefix"), " ")+" "+joined(p.name().Field("given"), " ")+" "+p.name().Field("family").String()), " ")}
	if text := p.addressText(); text != "" && !p.Restricted {
		lines = append(lines, strings.Split(text, ", ")...)
	}
	return lines
}

// sendLetter answers with a letter as a file. Its name tells the reference and nobody's name.
func sendLetter(w http.ResponseWriter, r *http.Request, l letter.Letter, u ident.UBRN) error {
	file, err := l.PDF()
	if err != nil {
		return err
	}
	sum := sha256.Sum256(file)
	web.ServeFile(w, r, "letter-"+u.String()+".pdf", "application/pdf", hex.EncodeToString(sum[:]), bytes.NewReader(file))
	return nil
}

// ownPaper is the patient's letter, for the patient, who has the password.
func (f *face) ownPaper(w http.ResponseWriter, r *http.Request, v Visit) error {
	l, ref, err := f.s.PatientLetter(r.Context(), f.caller(r.Context(), v), v.UBRN, "")
	if err != nil {
		return err
	}
	l.Large = letter.AskedLarge(r)
	return sendLetter(w, r, l, ref.UBRN)
}

// paper is the patient's letter, for whoever hands it to them. The page on which the password is shown sends it along; what is no longer the password is not printed.
func (f *face) paper(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	ctx := r.Context()
	if err := web.CheckForm(r, r.PathValue("ubrn")); err != nil {
		return err
	}
	u, err := ubrnOf(r)
	if err != nil {
		return err
	}
	ref, err := f.s.Get(ctx, CallerOf(ask), u)
	if err != nil {
		return err
	}
	if party, err := partyOf(ask.Principal, ref); err != nil || party != Referrer {
		return access.NotHere()
	}
	password, valid := r.PostForm.Get("password"), false
	err = f.s.read(ctx, func(tx *store.Tx) (err error) {
		_, valid, err = f.s.matches(tx, u, password)
		return err
	})
	if err != nil {
		return err
	}
	if !valid {
		password = ""
	}
	l, _, err := f.s.PatientLetter(ctx, CallerOf(ask), u, password)
	if err != nil {
		return err
	}
	l.Large = letter.AskedLarge(r)
	return sendLetter(w, r, l, u)
}
