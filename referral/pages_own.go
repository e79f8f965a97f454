package referral

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/referral/codes"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/format"
)

// visitCookie is the name of the cookie of a patient who came in by their UBRN.
const visitCookie = "openspine-appointment"

// visiting is the patient whose request it is.
func (f *face) visiting(r *http.Request) (Visit, error) {
	c, err := r.Cookie(visitCookie)
	if err != nil {
		return f.s.Visiting(r.Context(), "")
	}
	return f.s.Visiting(r.Context(), c.Value)
}

func (f *face) setCookie(w http.ResponseWriter, r *http.Request, secret string, age time.Duration) {
	http.SetCookie(w, &http.Cookie{Name: visitCookie, Value: secret, Path: doorPath, HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: access.Secure(r), MaxAge: int(age / time.Second)})
}

// caller is the patient as the rules know them: what they are shown is on the account before it leaves.
func (f *face) caller(ctx context.Context, v Visit) Caller {
	p := v.Principal()
	return Caller{p, func(acts ...access.Act) ([]access.Grant, error) {
		grants, err := f.k.Gate.DecideAll(ctx, p, acts)
		if err != nil {
			return nil, err
		}
		var shown []access.Grant
		for _, g := range grants {
			if g.Action().Sees() {
				shown = append(shown, g)
			}
		}
		return grants, f.k.Gate.Account(ctx, shown, nil)
	}}
}

// as is a request whose forms belong to a visit.
func as(r *http.Request, v Visit) *http.Request {
	viewer := web.ViewerOf(r.Context())
	viewer.Session = hashOf(v.Secret)
	return r.WithContext(web.WithViewer(r.Context(), viewer))
}

// doorView is where a patient comes in.
type doorView struct {
	Number string
	Errors web.FieldErrors
	Out    bool
}

func (f *face) door(w http.ResponseWriter, r *http.Request) error {
	return web.Render(w, r, http.StatusOK, doorPage(doorView{Number: r.URL.Query().Get("ubrn"), Out: r.URL.Query().Get("out") != ""}))
}

// enter lets a patient in. The form carries no token of a sign-in, for there is none yet: what it needs is the password.
func (f *face) enter(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	if err := web.CheckForm(r, ""); err != nil {
		return err
	}
	v := doorView{Number: r.PostForm.Get("ubrn")}
	visit, err := f.s.Enter(ctx, addressOf(r), v.Number, r.PostForm.Get("password"))
	if fault.Is(err, fault.Unauthenticated) {
		v.Errors.Add("ubrn", web.Text(ctx, "referral.door.wrong"))
		return web.Render(w, r, http.StatusUnauthorized, doorPage(v))
	}
	if err != nil {
		return err
	}
	f.setCookie(w, r, visit.Secret, visitLasts)
	return web.SeeOther(w, r, doorPath+"/choose")
}

// leave ends the visit.
func (f *face) leave(w http.ResponseWriter, r *http.Request, v Visit) error {
	if err := web.CheckForm(r, v.UBRN.String()); err != nil {
		return err
	}
	if err := f.s.Leave(r.Context(), v); err != nil {
		return err
	}
	f.setCookie(w, r, "", -time.Second)
	return web.SeeOther(w, r, doorPath+"?out=yes")
}

// own lists the referrals of a patient who has signed in.
func (f *face) own(w http.ResponseWriter, r *http.Request, scope access.Scope) error {
	p := scope.Principal()
	if p.Person == "" {
		return access.NotHere()
	}
	list, err := f.s.Waiting(r.Context(), scope, Worklist{Chart: p.Person})
	if err != nil {
		return err
	}
	return web.Render(w, r, http.StatusOK, ownPage(list))
}

// enterOwn opens one referral of a patient who has signed in.
func (f *face) enterOwn(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	if err := r.ParseForm(); err != nil {
		return fault.Wrap(err, fault.Invalid, "the form could not be read")
	}
	u, err := ident.ParseUBRN(r.PostForm.Get("ubrn"))
	if err != nil {
		return access.NotHere()
	}
	if err := web.CheckForm(r, u.String()); err != nil {
		return err
	}
	ref, err := f.s.Get(r.Context(), CallerOf(ask), u)
	if err != nil {
		return err
	}
	visit, err := f.s.visit(r.Context(), u, ref.Chart)
	if err != nil {
		return err
	}
	f.setCookie(w, r, visit.Secret, visitLasts)
	return web.SeeOther(w, r, doorPath+"/choose")
}

// mineView is a patient's referral, with the services that they may choose.
type mineView struct {
	R       Referral
	Offers  []offer
	Waiting bool      // for the hospital to find a date
	None    bool      // no service has a free time
	Silent  time.Time // since when nothing was heard of the hospital that offers a time; see Referrals.Silent
	Letter  string
	Error   string
	Files   web.Table
}

// offer is one service that the patient may choose.
type offer struct {
	Choice
	Found FoundService
}

func (f *face) mineView(ctx context.Context, v Visit) (m mineView, err error) {
	c := f.caller(ctx, v)
	if m.R, err = f.s.Get(ctx, c, v.UBRN); err != nil {
		return m, err
	}
	person, err := f.s.person(ctx, c, m.R.Patient)
	if err != nil {
		return m, err
	}
	var offered []string
	for _, c := range m.R.Shortlist {
		offered = append(offered, c.Service)
	}
	found, err := f.s.Services(ctx, person, ServiceQuery{Priority: m.R.Priority, IDs: offered})
	if err != nil {
		return m, err
	}
	m.Files = f.ownFiles(ctx, m.R)
	if m.R.Offer != nil {
		m.Silent = f.s.Silent(m.R.Offer.Provider)
	}
	m.None, m.Waiting = true, m.R.State == Deferred || m.R.State == AwaitingTriage || m.R.State == TriagedToAct
	for _, x := range found {
		if choice, ok := m.R.ChoiceOf(x.ID); ok {
			m.Offers = append(m.Offers, offer{choice, x})
			m.None = m.None && x.Free.Slots == 0
		}
	}
	if m.R.Offer != nil { // beside a time that they can take, what has none is no choice
		m.Offers = slices.DeleteFunc(m.Offers, func(o offer) bool { return o.Found.Free.Slots == 0 })
	}
	return m, nil
}

// tells says in words how a referral stands.
func tells(ctx context.Context, r Referral) string {
	if !r.Unheard.IsZero() {
		return web.Text(ctx, "referral.tells.unheard", format.DateTime(r.Unheard))
	}
	if r.Offer != nil {
		return web.Text(ctx, "referral.tells.offered")
	}
	if r.State == TriagedToAct && r.Invited {
		return web.Text(ctx, "referral.tells.invited")
	}
	if a := r.Arranged; a != nil && !a.Start.IsZero() && (r.State == DidNotAttend || r.State == CancelledByProvider || r.State == CancelledByPatient) {
		return web.Text(ctx, "referral.tells.of."+string(r.State), format.Date(a.Start), format.Time(a.Start), r.Chosen.Name)
	}
	return web.Text(ctx, "referral.tells."+string(r.Stage()))
}

// mine is where a patient sees their referral and chooses among services, side by side.
func (f *face) mine(w http.ResponseWriter, r *http.Request, v Visit) error {
	m, err := f.mineView(r.Context(), v)
	if err != nil {
		return err
	}
	if r.URL.Query().Get("declined") != "" && m.R.State == Deferred && m.R.Offer == nil {
		m.Error = web.Text(r.Context(), "referral.offer.declined")
	}
	return web.Render(w, r, http.StatusOK, minePage(m))
}

// answerOffer takes the time that is held for somebody who waits, or says no to it. Sent twice, it does so once.
func (f *face) answerOffer(w http.ResponseWriter, r *http.Request, v Visit) error {
	ctx := r.Context()
	if err := web.CheckForm(r, v.UBRN.String()); err != nil {
		return err
	}
	c := f.caller(ctx, v)
	ref, err := f.s.Get(ctx, c, v.UBRN)
	if err != nil {
		return err
	}
	slot, ok := slotOf(r.PostForm.Get("slot"))
	work, next := Work{Kind: ActBook, Seen: seen(r), Slot: slot, Service: ref.Chosen.Service}, doorPath+"/booked"
	done := ref.State == Booked && ref.Appointment.SlotRef == slot
	if r.PostForm.Get("answer") == "no" {
		work, next = Work{Kind: ActDecline, Seen: seen(r)}, doorPath+"/choose?declined=yes"
		done = ref.Offer == nil && slices.Contains(ref.Passed, slot)
	}
	if ok && done {
		return web.SeeOther(w, r, next) // the form was sent twice
	}
	if !ok || ref.Offer == nil || ref.Offer.SlotRef != slot {
		return f.offerGone(w, r, v, web.Text(ctx, "referral.offer.gone"))
	}
	_, err = f.s.Act(ctx, c, v.UBRN, work)
	_, gone := Taken(err)
	if gone || unfit(err) || fault.Is(err, fault.Conflict) || fault.Is(err, fault.PreconditionFailed) {
		return f.offerGone(w, r, v, fault.MessageOf(err))
	}
	if err != nil {
		return err
	}
	return web.SeeOther(w, r, next)
}

// offerGone shows how the referral stands, and why the answer came too late.
func (f *face) offerGone(w http.ResponseWriter, r *http.Request, v Visit, why string) error {
	m, err := f.mineView(r.Context(), v)
	if err != nil {
		return err
	}
	m.Error = why
	return web.Render(w, r, http.StatusConflict, minePage(m))
}

// times are the free times of one service.
func (f *face) times(w http.ResponseWriter, r *http.Request, v Visit) error {
	return f.timesPage(w, r, v, http.StatusOK, "")
}

func (f *face) timesPage(w http.ResponseWriter, r *http.Request, v Visit, status int, wrong string) error {
	ctx := r.Context()
	ref, err := f.s.Get(ctx, f.caller(ctx, v), v.UBRN)
	if err != nil {
		return err
	}
	c, ok := ref.ChoiceOf(r.FormValue("service"))
	if !ok || ref.Asked != nil {
		return web.SeeOther(w, r, doorPath+"/choose")
	}
	view := timesView{Page: web.Page{Title: web.Text(ctx, "referral.times.title"), Back: web.Link{URL: doorPath + "/choose"}, Failed: wrong != ""}, R: ref, Service: c, Action: doorPath + "/times", Cancel: doorPath + "/choose", Error: wrong, Silent: f.s.Silent(c.Provider)}
	if view.Days, view.Earlier, view.Why, err = f.s.days(ctx, c.Service, ref); err != nil {
		return err
	}
	return web.Render(w, r, status, timesPage(view))
}

// hold keeps the time that a patient chose while they check it.
func (f *face) hold(w http.ResponseWriter, r *http.Request, v Visit) error {
	ctx := r.Context()
	if err := web.CheckForm(r, v.UBRN.String()); err != nil {
		return err
	}
	ref, ok := slotOf(r.PostForm.Get("slot"))
	if !ok {
		return f.timesPage(w, r, v, http.StatusUnprocessableEntity, web.Text(ctx, "referral.times.missing"))
	}
	c := f.caller(ctx, v)
	was, err := f.s.Get(ctx, c, v.UBRN)
	if err != nil {
		return err
	}
	service := r.PostForm.Get("service")
	if _, ok := was.ChoiceOf(service); !ok || !was.May(bookingOf(was), Patient) {
		return web.SeeOther(w, r, doorPath+"/choose")
	}
	if at, err := f.s.serviceAt(ctx, ref); err != nil || at != "" && at != service {
		return cmp.Or(err, web.SeeOther(w, r, doorPath+"/choose")) // a form of ours names a time of that service
	}
	_, err = f.s.Hold(ctx, ref, v.UBRN.String())
	if _, gone := Taken(err); gone {
		return f.timesPage(w, r, v, http.StatusConflict, fault.MessageOf(err))
	}
	if err != nil {
		return err
	}
	return web.SeeOther(w, r, doorPath+"/check?slot="+slotValue(ref)+"&service="+url.QueryEscape(service))
}

// checkView is what a patient reads before they book.
type checkView struct {
	R       Referral
	Service Choice
	Slot    Slot
	Silent  time.Time // since when nothing was heard of the hospital; see Referrals.Silent
	Move    bool
}

// check shows what will be booked.
func (f *face) check(w http.ResponseWriter, r *http.Request, v Visit) error {
	ctx := r.Context()
	ref, err := f.s.Get(ctx, f.caller(ctx, v), v.UBRN)
	if err != nil {
		return err
	}
	slot, ok := slotOf(r.URL.Query().Get("slot"))
	choice, known := ref.ChoiceOf(r.URL.Query().Get("service"))
	if !ok || !known {
		return web.SeeOther(w, r, doorPath+"/choose")
	}
	list, err := f.s.FreeSlots(ctx, choice.Service, time.Time{}, time.Time{}, v.UBRN.String(), 10000)
	if err != nil {
		return err
	}
	for _, x := range list {
		if x.SlotRef == slot {
			return web.Render(w, r, http.StatusOK, checkPage(checkView{R: ref, Service: choice, Slot: x, Move: ref.State == Booked, Silent: f.s.Silent(choice.Provider)}))
		}
	}
	return f.timesPage(w, r, v, http.StatusConflict, web.Text(ctx, "referral.times.gone"))
}

// confirm books. Sent twice, it books once.
func (f *face) confirm(w http.ResponseWriter, r *http.Request, v Visit) error {
	ctx := r.Context()
	if err := web.CheckForm(r, v.UBRN.String()); err != nil {
		return err
	}
	slot, ok := slotOf(r.PostForm.Get("slot"))
	if !ok {
		return web.SeeOther(w, r, doorPath+"/choose")
	}
	kind := ActBook
	if r.PostForm.Get("move") != "" {
		kind = ActMove
	}
	after, err := f.s.Act(ctx, f.caller(ctx, v), v.UBRN, Work{Kind: kind, Seen: seen(r), Slot: slot, Service: r.PostForm.Get("service"), Holder: v.UBRN.String()})
	if _, gone := Taken(err); gone {
		return f.timesPage(w, r, v, http.StatusConflict, fault.MessageOf(err))
	}
	if unfit(err) {
		return f.timesPage(w, r, v, http.StatusUnprocessableEntity, fault.MessageOf(err))
	}
	if err != nil {
		return err
	}
	if after.Asked != nil {
		return web.SeeOther(w, r, doorPath+"/choose") // which says that the hospital has not answered
	}
	return web.SeeOther(w, r, doorPath+"/booked")
}

// checkGo is what the button says that books, or asks.
func checkGo(ctx context.Context, v checkView) string {
	if !v.Silent.IsZero() {
		return web.Text(ctx, "referral.silent.go")
	}
	return web.Text(ctx, "referral.check.go")
}

// bookedTitle says that a time is booked, or asked for.
func bookedTitle(ctx context.Context, r Referral) string {
	if !r.Unheard.IsZero() {
		return web.Text(ctx, "referral.silent.title")
	}
	return web.Text(ctx, "referral.booked.title")
}

// booked confirms, with the reference.
func (f *face) booked(w http.ResponseWriter, r *http.Request, v Visit) error {
	ref, err := f.s.Get(r.Context(), f.caller(r.Context(), v), v.UBRN)
	if err != nil {
		return err
	}
	if ref.State != Booked || ref.Asked != nil {
		return web.SeeOther(w, r, doorPath+"/choose")
	}
	return web.Render(w, r, http.StatusOK, bookedPage(ref))
}

// cancelView asks a patient why they cancel.
type cancelView struct {
	R       Referral
	Reasons []web.Option
	Reason  string
	Comment string
	Errors  web.FieldErrors
}

func (f *face) cancelView(ctx context.Context, v Visit) (c cancelView, err error) {
	if c.R, err = f.s.Get(ctx, f.caller(ctx, v), v.UBRN); err != nil {
		return c, err
	}
	for _, x := range codes.List(codes.CancelledVisit, f.k.Clock.Now(), "PATIENT") {
		o := web.Option{Value: x.Code, Text: x.Display} // which is worded for staff
		if web.HasText("referral.cancel.reason." + x.Code) {
			o.Text = web.Text(ctx, "referral.cancel.reason."+x.Code)
		}
		c.Reasons = append(c.Reasons, o)
	}
	slices.SortStableFunc(c.Reasons, func(a, b web.Option) int { return cmp.Compare(otherLast(a.Value), otherLast(b.Value)) })
	return c, nil
}

// otherLast puts the reason that is none of the others after them.
func otherLast(code string) int {
	if strings.HasSuffix(code, "_OTHER") {
		return 1
	}
	return 0
}

func (f *face) askCancel(w http.ResponseWriter, r *http.Request, v Visit) error {
	c, err := f.cancelView(r.Context(), v)
	if err != nil {
		return err
	}
	if c.R.State != Booked {
		return web.SeeOther(w, r, doorPath+"/choose")
	}
	return web.Render(w, r, http.StatusOK, cancelPage(c))
}

// cancel cancels the appointment, and keeps the referral.
func (f *face) cancel(w http.ResponseWriter, r *http.Request, v Visit) error {
	ctx := r.Context()
	if err := web.CheckForm(r, v.UBRN.String()); err != nil {
		return err
	}
	_, err := f.s.Act(ctx, f.caller(ctx, v), v.UBRN, Work{Kind: ActCancelBy, Seen: seen(r), Reason: r.PostForm.Get("reason"), Comment: r.PostForm.Get("comment")})
	if fault.Is(err, fault.Invalid) {
		c, failed := f.cancelView(ctx, v)
		if failed != nil {
			return failed
		}
		c.Reason, c.Comment = r.PostForm.Get("reason"), r.PostForm.Get("comment")
		c.Errors.Add("reason", fault.MessageOf(err))
		return web.Render(w, r, http.StatusUnprocessableEntity, cancelPage(c))
	}
	if err != nil {
		return err
	}
	return web.SeeOther(w, r, doorPath+"/choose")
}

// wait asks a hospital without a free time to find one.
func (f *face) wait(w http.ResponseWriter, r *http.Request, v Visit) error {
	ctx := r.Context()
	if err := web.CheckForm(r, v.UBRN.String()); err != nil {
		return err
	}
	_, err := f.s.Act(ctx, f.caller(ctx, v), v.UBRN, Work{Kind: ActDefer, Seen: seen(r), Service: r.PostForm.Get("service")})
	if _, ok := SlotsAvailable(err); ok {
		return f.timesPage(w, r, v, http.StatusUnprocessableEntity, fault.MessageOf(err))
	}
	if err != nil {
		return err
	}
	return web.SeeOther(w, r, doorPath+"/choose")
}

// ownLetter is the letter that was written about the patient.
func (f *face) ownLetter(w http.ResponseWriter, r *http.Request, v Visit) error {
	ctx := r.Context()
	ref, err := f.s.Get(ctx, f.caller(ctx, v), v.UBRN)
	if err != nil {
		return err
	}
	text, err := f.s.Letter(ctx, f.caller(ctx, v), v.UBRN)
	if err != nil {
		return err
	}
	return web.Render(w, r, http.StatusOK, ownLetterPage(ref, text))
}

// calendar is the appointment for a calendar (RFC 5545).
func (f *face) calendar(w http.ResponseWriter, r *http.Request, v Visit) error {
	ctx := r.Context()
	ref, err := f.s.Get(ctx, f.caller(ctx, v), v.UBRN)
	if err != nil {
		return err
	}
	if ref.Appointment == nil {
		return fault.New(fault.NotFound, "There is no appointment.")
	}
	if !ref.Unheard.IsZero() || ref.Asked != nil { // a calendar would go on saying that they are booked
		return fault.New(fault.Conflict, "The hospital has not confirmed this appointment yet.")
	}
	w.Header().Set("Content-Type", "text/calendar; charset=utf-8")
	w.Header().Set("Content-Disposition", `attachment; filename="appointment.ics"`)
	_, err = w.Write([]byte(calendarOf(ctx, ref, f.k.Clock.Now())))
	return err
}

// calendarOf writes one event. It tells the hospital and the reference, and nothing of why: calendars are shared.
func calendarOf(ctx context.Context, r Referral, now time.Time) string {
	const instant = "20060102T150405Z"
	lines := []string{"BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//OpenSpine//referral//EN", "BEGIN:VEVENT", "UID:" + r.UBRN.String() + "@openspine", fmt.Sprintf("SEQUENCE:%d", r.Version),
		"DTSTAMP:" + now.UTC().Format(instant), "DTSTART:" + r.Appointment.Start.UTC().Format(instant), "DTEND:" + r.Appointment.End.UTC().Format(instant),
		"SUMMARY:" + escapeText(web.Text(ctx, "referral.calendar.summary")), "LOCATION:" + escapeText(r.Chosen.ProviderName), "DESCRIPTION:" + escapeText(web.Text(ctx, "referral.calendar.reference", r.UBRN.Display())),
		"END:VEVENT", "END:VCALENDAR"}
	var b strings.Builder
	for _, l := range lines {
		b.WriteString(foldLine(l) + "\r\n")
	}
	return b.String()
}

// escapeText is a TEXT of RFC 5545 section 3.3.11, in which no character steers a machine.
func escapeText(s string) string {
	s = strings.NewReplacer(`\`, `\\`, ";", `\;`, ",", `\,`, "\n", `\n`).Replace(strings.ToValidUTF8(s, "\ufffd"))
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, s)
}

// foldLine breaks a line after at most 75 bytes, never within a character (RFC 5545 section 3.1).
func foldLine(s string) string {
	var b strings.Builder
	n := 0
	for _, r := range s {
		size := len(string(r))
		if n+size > 75 {
			b.WriteString("\r\n ")
			n = 1
		}
		b.WriteRune(r)
		n += size
	}
	return b.String()
}

// when is an appointment in words.
func when(a *Appointment) string { return format.Weekday(a.Start) + " " + format.DateTime(a.Start) }
