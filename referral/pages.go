package referral

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/directory"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/referral/codes"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/account"
	"github.com/openspine/openspine/web/format"
)

// face is the pages of one node.
type face struct {
	s *Referrals
	k catalogue.Kernel
}

// Where the pages are.
const (
	worklistPath = "/refer"
	reviewPath   = "/refer/review"
	changesPath  = "/refer/changes"
	personPath   = "/refer/person/" // and the NHS number
	casePath     = "/refer/case/"   // and the UBRN
	doorPath     = "/appointments"
	ownPath      = "/me/appointments"
)

func staff() []access.Role { return []access.Role{access.Clinician, access.Clerk} }

func (f *face) pages() []catalogue.Route {
	bookings := func(*http.Request) []string { return []string{access.TypeBooking} }
	visitor := func(pattern string, h func(w http.ResponseWriter, r *http.Request, v Visit) error) catalogue.Route {
		return catalogue.FromPeer(pattern, f.visiting, func(w http.ResponseWriter, r *http.Request, v Visit) error { return h(w, as(r, v), v) })
	}
	return append(f.advicePages(), []catalogue.Route{
		catalogue.OnSet("GET "+worklistPath, access.Search, bookings, f.worklist, staff()...),
		catalogue.OnBody("GET "+changesPath, f.changed, staff()...).Streamed(),
		catalogue.OnSet("GET "+reviewPath, access.Search, bookings, f.review, staff()...),
		catalogue.OnBody("GET "+personPath+"{number}", f.choose, access.Clinician),
		catalogue.OnBody("GET "+personPath+"{number}/letter", f.askLetter, access.Clinician),
		catalogue.OnBody("POST "+personPath+"{number}/letter", f.refer, access.Clinician).Uploaded(mostForm),
		catalogue.OnBody("GET "+casePath+"{ubrn}", f.show, staff()...),
		catalogue.OnBody("GET "+casePath+"{ubrn}/do/{act}", f.askAct, staff()...),
		catalogue.OnBody("POST "+casePath+"{ubrn}/do/{act}", f.act, staff()...),
		catalogue.OnBody("GET "+casePath+"{ubrn}/files", f.askFile, access.Clinician),
		catalogue.OnBody("POST "+casePath+"{ubrn}/files", f.addFile, access.Clinician).Uploaded(mostForm),
		catalogue.OnBody("GET "+casePath+"{ubrn}/files/{file}", f.file, access.Clinician).Streamed(),
		catalogue.OnBody("POST "+casePath+"{ubrn}/password", f.password, staff()...),
		catalogue.OnBody("POST "+casePath+"{ubrn}/letter.pdf", f.paper, staff()...),
		catalogue.OnBody("GET "+casePath+"{ubrn}/book", f.askBook, staff()...),
		catalogue.OnBody("POST "+casePath+"{ubrn}/book", f.book, staff()...),
		catalogue.OnSet("GET "+ownPath, access.Search, bookings, f.own, access.Patient),
		catalogue.OnBody("POST "+ownPath, f.enterOwn, access.Patient),
		catalogue.Public("GET "+doorPath, f.door),
		catalogue.Public("POST "+doorPath, f.enter),
		visitor("GET "+doorPath+"/choose", f.mine),
		visitor("GET "+doorPath+"/times", f.times),
		visitor("POST "+doorPath+"/times", f.hold),
		visitor("GET "+doorPath+"/check", f.check),
		visitor("POST "+doorPath+"/check", f.confirm),
		visitor("GET "+doorPath+"/booked", f.booked),
		visitor("GET "+doorPath+"/cancel", f.askCancel),
		visitor("POST "+doorPath+"/cancel", f.cancel),
		visitor("POST "+doorPath+"/wait", f.wait),
		visitor("POST "+doorPath+"/offer", f.answerOffer),
		visitor("GET "+doorPath+"/letter", f.ownLetter),
		visitor("GET "+doorPath+"/files/{file}", f.ownFile).Streamed(),
		visitor("GET "+doorPath+"/letter.pdf", f.ownPaper),
		visitor("GET "+doorPath+"/appointment.ics", f.calendar),
		visitor("POST "+doorPath+"/leave", f.leave),
	}...)
}

// numberOf is the NHS number of a page's address.
func numberOf(r *http.Request) (ident.NHSNumber, error) {
	n, err := ident.ParseNHSNumber(r.PathValue("number"))
	if err != nil {
		return n, access.NotHere()
	}
	return n, nil
}

func ubrnOf(r *http.Request) (ident.UBRN, error) {
	u, err := ident.ParseUBRN(r.PathValue("ubrn"))
	if err != nil {
		return u, access.NotHere()
	}
	return u, nil
}

// page is a page about a person.
func (f *face) page(ctx context.Context, key string, p Person, back web.Link) web.Page {
	b := p.banner()
	return web.Page{Title: web.Text(ctx, key), Back: back, Person: b, Access: web.Access{Why: account.Why(ctx, "clinician-relationship", "")}}
}

// letterView is where a referrer writes the letter and sends the referral.
type letterView struct {
	Page     web.Page
	Person   Person
	Services []Choice
	Form     struct {
		Key, Letter, Priority, Request string
		ForPatient                     bool // the file, if there is one
		Errors                         web.FieldErrors
	}
	Back       string // to the services, ticked as they were
	Action     string
	Priorities []web.Option
	Requests   []web.Option
}

func (f *face) letterView(r *http.Request, ask catalogue.Asker, ids []string) (*letterView, ident.NHSNumber, error) {
	ctx := r.Context()
	n, err := numberOf(r)
	if err != nil {
		return nil, n, err
	}
	person, err := f.s.person(ctx, CallerOf(ask), n)
	if err != nil {
		return nil, n, err
	}
	at := personPath + n.String()
	back := at + "?" + url.Values{"service": ids}.Encode()
	v := &letterView{Page: f.page(ctx, "referral.letter.title", person, web.Link{URL: back}), Person: person, Back: back, Action: at + "/letter", Priorities: priorityOptions(ctx)}
	if len(ids) > 0 {
		var take []directory.Flows
		v.Services, take, err = f.s.choicesTaking(ctx, ids, person, f.k.Clock.Now())
		v.Requests = requestOptions(ctx, requestsFor(take))
	}
	return v, n, err
}

// askLetter asks for the letter.
func (f *face) askLetter(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	ids := r.URL.Query()["service"]
	v, n, err := f.letterView(r, ask, ids)
	if err != nil {
		return err
	}
	again := func(why string) error {
		q := r.URL.Query()
		q.Set("missing", why)
		return web.SeeOther(w, r, personPath+n.String()+"?"+q.Encode())
	}
	if len(ids) == 0 {
		return again("yes")
	}
	if len(v.Requests) == 0 {
		return again("mixed")
	}
	v.Page.Back.URL = personPath + n.String() + "?" + r.URL.RawQuery
	v.Back = v.Page.Back.URL
	v.Form.Key, v.Form.Priority, v.Form.Request = newKey(), r.URL.Query().Get("priority"), r.URL.Query().Get("request")
	if !slices.ContainsFunc(v.Requests, func(o web.Option) bool { return o.Value == v.Form.Request }) {
		v.Form.Request = v.Requests[0].Value
	}
	if v.Form.Priority == "" {
		v.Form.Priority = string(Routine)
	}
	return web.Render(w, r, http.StatusOK, letterPage(v))
}

// newKey names a form, so that it acts once.
func newKey() string {
	var b [16]byte
	rand.Read(b[:]) // never fails: crypto/rand, Go 1.24
	return hex.EncodeToString(b[:])
}

// madeView is what a referrer prints for the patient.
type madeView struct {
	Page web.Page
	Made Made
	URL  string
	Door string
}

// refer makes the referral.
func (f *face) refer(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	ctx := r.Context()
	sent, err := web.ReadFileForm(r, fileField)
	if err != nil {
		return err
	}
	if err := web.CheckForm(r, r.PathValue("number")); err != nil {
		return err
	}
	v, n, err := f.letterView(r, ask, r.PostForm["service"])
	if err != nil {
		return err
	}
	v.Form.Key, v.Form.Letter, v.Form.Priority, v.Form.Request = r.PostForm.Get("key"), strings.TrimSpace(r.PostForm.Get("letter")), r.PostForm.Get("priority"), r.PostForm.Get("request")
	v.Form.ForPatient = r.PostForm.Get(forPatientField) != ""
	if v.Form.Letter == "" {
		v.Form.Errors.Add("letter", web.Text(ctx, "referral.letter.missing"))
	}
	if len(v.Form.Letter) > MostLetter {
		v.Form.Errors.Add("letter", web.Text(ctx, "referral.letter.long", MostLetter/1024))
	}
	if !slices.Contains(Priorities(), Priority(v.Form.Priority)) {
		v.Form.Errors.Add("priority", web.Text(ctx, "referral.letter.priority-missing"))
	}
	if !slices.ContainsFunc(v.Requests, func(o web.Option) bool { return o.Value == v.Form.Request }) {
		v.Form.Errors.Add("request", web.Text(ctx, "referral.letter.request-unfit"))
	}
	if Request(v.Form.Request) == ForTriage && len(v.Services) > 1 {
		v.Form.Errors.Add("request", web.Text(ctx, "referral.letter.triage-one"))
	}
	var files []FileRef
	if len(v.Form.Errors) == 0 && sent.Body != nil {
		a, err := f.s.Upload(ctx, CallerOf(ask), Upload{Name: sent.Name}, sent.Body)
		if err = wrongFile(err, &v.Form.Errors); err != nil {
			return err
		}
		files = []FileRef{{ID: a.ID, ForPatient: v.Form.ForPatient}}
	}
	if len(v.Form.Errors) > 0 {
		v.Page.Failed = true
		return web.Render(w, r, http.StatusUnprocessableEntity, letterPage(v))
	}
	made, err := f.s.Create(ctx, CallerOf(ask), Draft{Patient: n, Priority: Priority(v.Form.Priority), Request: Request(v.Form.Request), Services: r.PostForm["service"], Letter: v.Form.Letter, Files: files, Form: v.Form.Key})
	if err != nil {
		return err
	}
	if made.Password == "" { // it was sent before
		return web.SeeOther(w, r, casePath+made.UBRN.String()+"?done=again")
	}
	return web.Render(w, r, http.StatusOK, madePage(f.made(ctx, v.Person, made)))
}

func (f *face) made(ctx context.Context, person Person, made Made) madeView {
	return madeView{Page: f.page(ctx, "referral.made.title", person, web.Link{}), Made: made, URL: casePath + made.UBRN.String(), Door: f.k.BaseURL() + doorPath}
}

// caseView is a referral as those who work on it see it.
type caseView struct {
	Page     web.Page
	Person   Person
	R        Referral
	Party    Party
	Letter   string
	Clinical bool
	History  []Version
	Done     string
	Acts     []Kind
	Table    web.Table
	Files    web.Table
	Limit    string // when they are to be seen at the latest, and how that stands
	AddFile  string // where a file is added; empty for whoever may not
}

// opened is a referral that staff look at, with the person.
func (f *face) opened(r *http.Request, ask catalogue.Asker, key string) (v *caseView, err error) {
	ctx := r.Context()
	u, err := ubrnOf(r)
	if err != nil {
		return nil, err
	}
	v = &caseView{}
	if v.R, err = f.s.Get(ctx, CallerOf(ask), u); err != nil {
		return nil, err
	}
	if v.Person, err = f.s.person(ctx, CallerOf(ask), v.R.Patient); err != nil {
		return nil, err
	}
	if v.Party, err = partyOf(ask.Principal, v.R); err != nil {
		v.Party = ""
	}
	v.Clinical = ask.Principal.Role == access.Clinician
	v.Page = f.page(ctx, key, v.Person, web.Link{URL: worklistPath, Text: web.Text(ctx, "referral.worklist.title")})
	if v.Party == Provider {
		v.Page.Back = web.Link{URL: reviewPath, Text: web.Text(ctx, "referral.review.title")}
	}
	return v, nil
}

// show is a referral with its letter, its history and what this reader may do.
func (f *face) show(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	ctx := r.Context()
	v, err := f.opened(r, ask, "referral.case.title")
	if err != nil {
		return err
	}
	if v.Clinical {
		if v.Letter, err = f.s.Letter(ctx, CallerOf(ask), v.R.UBRN); err != nil {
			return err
		}
		path := casePath + v.R.UBRN.String() + "/files"
		if v.R.May(ActLetter, v.Party) {
			v.AddFile = path
		}
		v.Files = filesTable(ctx, path+"/", v.R.Attachments, func(a Attachment) string { return f.k.Organisation(ctx, a.Organisation) })
	}
	if v.History, err = f.s.History(ctx, CallerOf(ask), v.R.UBRN); err != nil {
		return err
	}
	if done := r.URL.Query().Get("done"); web.HasText("referral.did."+done) && v.R.Asked == nil {
		v.Done = web.Text(ctx, "referral.did."+done)
	}
	v.Limit = web.Text(ctx, "referral.case.no-limit")
	if l := v.R.Limit(); !l.Last.IsZero() {
		v.Limit = strings.TrimSuffix(format.Date(l.Last)+". "+limitWords(ctx, l, f.k.Clock.Now()), ". ")
	}
	for _, k := range pageActs() {
		t, _ := TransitionOf(k)
		if v.R.May(k, v.Party) && (!t.Clinical || v.Clinical) {
			v.Acts = append(v.Acts, k)
		}
	}
	v.Table = historyTable(ctx, v.History)
	return web.Render(w, r, http.StatusOK, casePage(v))
}

// pageActs are what staff do by a page of their own, in the order in which they are offered.
func pageActs() []Kind {
	return []Kind{ActSendTriage, ActAccept, ActReject, ActTriageAccept, ActTriageReturn, ActAttended, ActAssessed, ActNotAttended, ActDischarged, ActDecline, ActCancelBy, ActCancelFrom, ActCancel, ActReinstate}
}

// pastText says what was done, where the name of the act says what somebody can do.
func pastText(ctx context.Context, k Kind) string {
	if key := "referral.past." + string(k); web.HasText(key) {
		return web.Text(ctx, key)
	}
	return web.Text(ctx, "referral.act."+string(k))
}

func historyTable(ctx context.Context, list []Version) web.Table {
	t := web.Table{ID: "history", Caption: web.Text(ctx, "referral.case.history"), RowHeader: true}
	for _, key := range []string{"when", "what", "state", "who", "why"} {
		t.Columns = append(t.Columns, web.Column{Text: web.Text(ctx, "referral.column."+key), Whole: key == "when"})
	}
	for i := range list {
		v := list[len(list)-1-i]
		why := v.Notes
		if slices.Contains(codes.Systems(), v.Reason.System) { // what the act itself says is not said twice
			why = strings.TrimSuffix(codes.Display(v.Reason.System, v.Reason.Code)+". "+v.Notes, ". ")
		}
		t.Rows = append(t.Rows, web.TableRow{Cells: []web.TableCell{web.Cell(format.DateTime(v.Changed)), web.Cell(pastText(ctx, v.Act)), web.ShowCell(stateTag(v.Referral)),
			web.ShowCell(web.Lines(v.By.Name, web.Text(ctx, "referral.party."+string(v.By.Party)))), web.NoteCell(why)}})
	}
	return t
}

// actView is a page that asks why.
type actView struct {
	*caseView
	Act     Kind
	Reasons []web.Option
	Reason  string
	Comment string
	// Services are those to choose among: whom it is sent to for triage, or which of the provider's own takes it.
	Services []web.Option
	Service  string
	// Hows are how the date is found after triage.
	Hows   []web.Option
	How    string
	Errors web.FieldErrors
}

// How the date is found after triage.
const (
	howHere   = "here"   // by the provider
	howInvite = "invite" // by the patient, who is asked to choose
)

func (f *face) actView(r *http.Request, ask catalogue.Asker) (*actView, error) {
	c, err := f.opened(r, ask, "referral.case.title")
	if err != nil {
		return nil, err
	}
	v := &actView{caseView: c, Act: Kind(r.PathValue("act"))}
	t, ok := TransitionOf(v.Act)
	if !ok || !slices.Contains(pageActs(), v.Act) {
		return nil, fault.New(fault.NotFound, "There is no such page.")
	}
	v.Page.Title, v.Page.Back = web.Text(r.Context(), "referral.act."+string(v.Act)), web.Link{URL: casePath + v.R.UBRN.String()}
	if t.Reasons != "" {
		for _, c := range codes.List(t.Reasons, f.k.Clock.Now(), t.TypesFor(v.Party, v.R.State)...) {
			v.Reasons = append(v.Reasons, web.Option{Value: c.Code, Text: c.Display})
		}
	}
	return v, f.triageView(r.Context(), v)
}

// triageView is what else is asked of who sends for triage, and of who triages.
func (f *face) triageView(ctx context.Context, v *actView) error {
	switch v.Act {
	case ActSendTriage:
		for _, c := range v.R.Shortlist {
			v.Services = append(v.Services, web.Option{Value: c.Service, Text: c.Name, Hint: c.ProviderName})
		}
		v.Service = v.R.Shortlist[0].Service
	case ActTriageAccept:
		v.Service, v.How = v.R.Chosen.Service, howHere
		v.Hows = []web.Option{{Value: howHere, Text: web.Text(ctx, "referral.triage.here")}, {Value: howInvite, Text: web.Text(ctx, "referral.triage.invite")}}
		found, err := f.s.Services(ctx, v.Person, ServiceQuery{})
		if err != nil {
			return err
		}
		v.Services = []web.Option{{Value: v.R.Chosen.Service, Text: v.R.Chosen.Name}}
		for _, x := range found {
			if x.Provider == v.R.Provider().String() && x.ID != v.R.Chosen.Service {
				v.Services = append(v.Services, web.Option{Value: x.ID, Text: x.Name})
			}
		}
	}
	return nil
}

func (f *face) askAct(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	v, err := f.actView(r, ask)
	if err != nil {
		return err
	}
	return web.Render(w, r, http.StatusOK, actPage(v))
}

func (f *face) act(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	ctx := r.Context()
	if err := web.CheckForm(r, r.PathValue("ubrn")); err != nil {
		return err
	}
	v, err := f.actView(r, ask)
	if err != nil {
		return err
	}
	v.Reason, v.Comment = r.PostForm.Get("reason"), r.PostForm.Get("comment")
	if len(v.Services) > 0 {
		v.Service, v.How = r.PostForm.Get("service"), r.PostForm.Get("how")
	}
	_, err = f.s.Act(ctx, CallerOf(ask), v.R.UBRN, Work{Kind: v.Act, Seen: seen(r), Reason: v.Reason, Comment: v.Comment, Service: v.Service, Invite: v.How == howInvite})
	if fault.Is(err, fault.Invalid) {
		field := "comment"
		if len(v.Reasons) > 0 {
			field = "reason"
		}
		v.Errors.Add(field, fault.MessageOf(err))
		v.Page.Failed = true
		return web.Render(w, r, http.StatusUnprocessableEntity, actPage(v))
	}
	if err != nil {
		return err
	}
	return web.SeeOther(w, r, casePath+v.R.UBRN.String()+"?done="+string(v.Act))
}

// seen is the version that a form was made from.
func seen(r *http.Request) int64 {
	n, err := strconv.ParseInt(r.PostForm.Get("seen"), 10, 64)
	if err != nil || n < 1 {
		return -1 // no version is that: the form is not ours
	}
	return n
}

// password gives the patient a new password.
func (f *face) password(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	if err := web.CheckForm(r, r.PathValue("ubrn")); err != nil {
		return err
	}
	v, err := f.opened(r, ask, "referral.made.title")
	if err != nil {
		return err
	}
	password, err := f.s.NewPassword(r.Context(), CallerOf(ask), v.R.UBRN)
	if err != nil {
		return err
	}
	return web.Render(w, r, http.StatusOK, madePage(f.made(r.Context(), v.Person, Made{v.R, password})))
}

// slotValue names a slot in a form.
func slotValue(s SlotRef) string {
	return url.QueryEscape(s.Provider.String()) + "/" + url.QueryEscape(s.Session) + "/" + url.QueryEscape(s.Slot)
}

// slotOf reads what slotValue wrote.
func slotOf(text string) (ref SlotRef, ok bool) {
	parts := strings.Split(text, "/")
	if len(parts) != 3 {
		return ref, false
	}
	for i := range parts {
		var err error
		if parts[i], err = url.QueryUnescape(parts[i]); err != nil || parts[i] == "" {
			return ref, false
		}
	}
	code, err := ident.ParseODSCode(parts[0])
	return SlotRef{code, parts[1], parts[2]}, err == nil
}

// dayOf is the day of a slot where its hospital is.
func dayOf(t time.Time) string { return format.Weekday(t) + " " + format.Date(t) }
