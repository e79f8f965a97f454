package admin

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/format"
)

// userView is everything about one user.
type userView struct {
	Member  access.Member
	State   string
	Done    string
	Own     bool
	Beyond  bool // some of what can be done is for others
	Facts   []web.Row
	Acts    []web.Link
	Tables  []web.Table
	Subject string
}

func (d *desk) user(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	ctx := r.Context()
	m, err := d.found(r, p)
	if err != nil {
		return err
	}
	path := userPath(m.ID)
	v := userView{Member: m, State: d.stateOf(m), Own: m.ID == p.ID}
	if done := r.URL.Query().Get("done"); web.HasText("admin.done." + done) {
		v.Done = web.Text(ctx, "admin.done."+done)
	}
	where := ""
	if !m.Organisation.IsZero() {
		where = d.k.Organisation(ctx, m.Organisation) + " (" + m.Organisation.String() + ")"
	}
	last := ""
	if !m.Leaves.IsZero() {
		last = format.Date(LastDay(m.Leaves))
	}
	fact := func(key, value string) {
		v.Facts = append(v.Facts, web.Row{Key: web.Text(ctx, "admin.field."+key), Text: value})
	}
	fact("id", m.ID)
	v.Facts = append(v.Facts, web.Row{Key: web.Text(ctx, "admin.column.state"), Value: stateTag(v.State)})
	fact("role", web.RoleName(ctx, string(m.Role)))
	if m.Role == access.Patient {
		v.Facts = append(v.Facts, web.Row{Key: web.Text(ctx, "admin.field.patient"), Value: web.NHSNumber(m.Person)})
	} else {
		fact("organisation", where)
		fact("job", m.Job)
	}
	fact("joins", day(ctx, m.Joined, "admin.unknown"))
	fact("leaves", last)
	fact("review", day(ctx, m.Review, "admin.never"))
	fact("last-in", dateTime(ctx, m.LastIn))
	left, err := d.credentials.RecoveryLeft(ctx, m.ID)
	if err != nil {
		return err
	}
	fact("codes", web.Count(ctx, "admin.codes", left))
	if !v.Own {
		if v.Acts, v.Beyond, err = d.actsOn(ctx, p, m); err != nil {
			return err
		}
	}
	for _, table := range []func(context.Context, access.Member) (web.Table, error){d.roleTableFor(p), d.passkeyTable, d.accountTableFor(p), d.sessionTable} {
		t, err := table(ctx, m)
		if err != nil {
			return err
		}
		v.Tables = append(v.Tables, t)
	}
	h, err := d.history(ctx, access.UserSubject(m.ID))
	if err != nil {
		return err
	}
	v.Tables = append(v.Tables, h)
	return web.Render(w, r, http.StatusOK, userPage(v, path))
}

// actsOn are what by may do to a user as they stand; beyond says that there is more, for whoever keeps the other organisations where
// the user works.
func (d *desk) actsOn(ctx context.Context, by access.Principal, m access.Member) (list []web.Link, beyond bool, err error) {
	path := userPath(m.ID)
	do := path + "/do/"
	all, err := d.k.Gate.WouldAdminister(ctx, by, m)
	if err != nil {
		return nil, false, err
	}
	first, err := d.k.Gate.WouldAdminister(ctx, by, m, m.Roles()[0])
	if err != nil {
		return nil, false, err
	}
	offer := func(may bool, l web.Link) {
		if may {
			list = append(list, l)
		}
	}
	if !m.Ended.IsZero() {
		offer(all, link(ctx, do, "restore"))
		return list, !all, nil
	}
	offer(all, web.Link{Text: web.Text(ctx, "admin.act.change"), URL: path + "/change"})
	offer(m.Role != access.Patient, web.Link{Text: web.Text(ctx, "admin.act.give-role"), URL: path + "/role"})
	offer(first, link(ctx, do, "review"))
	offer(all && m.Role != access.Patient && len(d.elsewhere.All(access.Professionals)) > 0, web.Link{Text: web.Text(ctx, "admin.act.expect"), URL: path + "/elsewhere"})
	for _, act := range []string{"reset", "signout", "suspend", "end"} {
		offer(all, link(ctx, do, act))
	}
	return list, !all, nil
}

// roleTableFor lists a user's roles, with the end of each further one that by may take.
func (d *desk) roleTableFor(by access.Principal) func(context.Context, access.Member) (web.Table, error) {
	return func(ctx context.Context, m access.Member) (web.Table, error) { return d.roleTable(ctx, by, m) }
}

func (d *desk) roleTable(ctx context.Context, by access.Principal, m access.Member) (web.Table, error) {
	t := web.Table{ID: "roles", RowHeader: true, Caption: web.Text(ctx, "admin.roles.caption"), Columns: columns(ctx, "role", "organisation", "since", "until", "review", "act")}
	row := func(p access.Profile, act web.TableCell, until string) {
		where := ""
		if !p.Organisation.IsZero() {
			where = d.k.Organisation(ctx, p.Organisation)
		}
		t.Rows = append(t.Rows, web.TableRow{Cells: []web.TableCell{web.ShowCell(web.Lines(web.RoleName(ctx, string(p.Role)), p.Job)), web.NoteCell(where), web.Cell(day(ctx, p.Since, "admin.unknown")),
			web.NoteCell(until), web.Cell(day(ctx, p.Review, "admin.never")), act}})
	}
	current := m.Roles()
	for i, p := range current {
		act, until := web.NoteCell(""), ""
		if !p.Until.IsZero() {
			until = format.Date(LastDay(p.Until))
		}
		may, err := d.k.Gate.WouldAdminister(ctx, by, m, p)
		if err != nil {
			return t, err
		}
		if i > 0 && may {
			act = web.ShowCell(actLink(web.Text(ctx, "admin.act.end-role"), web.RoleName(ctx, string(p.Role)), userPath(m.ID)+"/do/end-role?role="+p.ID))
		}
		row(p, act, until)
	}
	for _, p := range m.Further {
		ended := true
		for _, c := range current[1:] {
			ended = ended && c.ID != p.ID
		}
		if ended {
			row(p, web.Cell(web.Text(ctx, "admin.state.ended")), format.DateTime(p.Until))
		}
	}
	return t, nil
}

func (d *desk) passkeyTable(ctx context.Context, m access.Member) (web.Table, error) {
	t := web.Table{ID: "passkeys", RowHeader: true, Caption: web.Text(ctx, "admin.passkeys.caption"), Columns: columns(ctx, "device", "since", "used"),
		Empty: web.Empty{Text: web.Text(ctx, "admin.passkeys.empty"), Help: web.Text(ctx, "admin.passkeys.empty-help")}}
	keys, err := d.credentials.Passkeys(ctx, m.ID)
	for _, k := range keys {
		t.Rows = append(t.Rows, web.TableRow{Cells: []web.TableCell{web.Cell(k.Name), web.Cell(format.DateTime(k.Made)), web.Cell(dateTime(ctx, k.Used))}})
	}
	return t, err
}

func (d *desk) sessionTable(ctx context.Context, m access.Member) (web.Table, error) {
	t := web.Table{ID: "sessions", RowHeader: true, Caption: web.Text(ctx, "admin.sessions.caption"), Columns: columns(ctx, "device", "since", "used"),
		Empty: web.Empty{Text: web.Text(ctx, "admin.sessions.empty"), Help: web.Text(ctx, "admin.sessions.empty-help")}}
	list, err := d.k.Gate.Sessions(ctx, m.ID)
	for _, s := range list {
		t.Rows = append(t.Rows, web.TableRow{Cells: []web.TableCell{web.Cell(s.Device), web.Cell(format.DateTime(s.Since)), web.Cell(format.DateTime(s.Seen))}})
	}
	return t, err
}

func (d *desk) roleForm(ctx context.Context, p access.Principal, m access.Member) formView {
	v := formView{Title: web.Text(ctx, "admin.give.title"), About: m.Name, Back: userPath(m.ID), Submit: web.Text(ctx, "admin.give.submit"), Subject: m.ID, Explain: []string{web.Text(ctx, "admin.give.explain")}}
	v.Fields = []field{choice(ctx, "role", "", d.roleOptions(ctx, p, true))}
	if p.Role == access.Administrator {
		v.Fields = append(v.Fields, text(ctx, "organisation", "", 10))
	}
	v.Fields = append(v.Fields, text(ctx, "job", "", 10), dateField(ctx, "joins", d.k.Clock.Now()), dateField(ctx, "leaves", LastDay(m.Leaves)), dateField(ctx, "review", d.k.Clock.Now().Add(access.ReviewEvery)), reasonField(ctx, ""))
	return v
}

func (d *desk) askRole(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	m, err := d.found(r, p)
	if err != nil {
		return err
	}
	return d.show(w, r, d.roleForm(r.Context(), p, m))
}

func (d *desk) giveRole(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	m, err := d.found(r, p)
	if err != nil {
		return err
	}
	if err := web.CheckForm(r, m.ID); err != nil {
		return err
	}
	v, f := d.roleForm(r.Context(), p, m), r.PostForm
	v.take(r)
	at, err := organisation(p, strings.TrimSpace(f.Get("organisation")))
	switch {
	case err != nil:
		v.Errors.Add("organisation", fault.MessageOf(err))
	case at.IsZero():
		v.Errors.Add("organisation", web.Text(r.Context(), "account.filter.organisation-wrong"))
	}
	role := access.Profile{Role: access.Role(f.Get("role")), Organisation: at, Job: strings.TrimSpace(f.Get("job")), Since: v.day(r, "joins"), Until: v.day(r, "leaves"), Review: v.day(r, "review")}
	if !role.Until.IsZero() {
		role.Until = EndOf(role.Until)
	}
	if len(v.Errors) > 0 {
		return d.show(w, r, v)
	}
	if _, err := d.k.Gate.GiveRole(r.Context(), p, m.ID, role, f.Get("reason")); err != nil {
		return d.refused(w, r, v, err)
	}
	return web.SeeOther(w, r, userPath(m.ID)+"?done=role-given")
}

// actForm asks why, after it has said what will happen.
func (d *desk) actForm(r *http.Request, m access.Member) (formView, error) {
	ctx, act := r.Context(), r.PathValue("act")
	if err := known(act, "suspend", "restore", "end", "end-role", "reset", "signout", "review", "unlink"); err != nil {
		return formView{}, err
	}
	v := formView{Title: web.Text(ctx, "admin.act."+act), About: m.Name, Back: userPath(m.ID), Submit: web.Text(ctx, "admin.act."+act), Subject: m.ID,
		Explain: []string{web.Text(ctx, "admin.will."+act), web.Text(ctx, "admin.undo."+act)}, Danger: act != "restore" && act != "review"}
	role := r.FormValue("role") // which of a user's roles the act is about, or which of their accounts elsewhere
	for _, p := range m.Roles() {
		if p.ID == role && !p.Organisation.IsZero() {
			v.About += " – " + web.RoleName(ctx, string(p.Role)) + ", " + d.k.Organisation(ctx, p.Organisation)
		}
	}
	hidden := text(ctx, "role", role, 0)
	hidden.kind = "hidden"
	v.Fields = []field{hidden, reasonField(ctx, "")}
	if act == "unlink" {
		return v, d.aboutAccount(r, m, &v)
	}
	return v, nil
}

func (d *desk) askAct(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	m, err := d.found(r, p)
	if err != nil {
		return err
	}
	v, err := d.actForm(r, m)
	if err != nil {
		return err
	}
	return d.show(w, r, v)
}

func (d *desk) doAct(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	m, err := d.found(r, p)
	if err != nil {
		return err
	}
	if err := web.CheckForm(r, m.ID); err != nil {
		return err
	}
	v, err := d.actForm(r, m)
	if err != nil {
		return err
	}
	v.take(r)
	reason, role := r.PostForm.Get("reason"), r.PostForm.Get("role")
	if strings.TrimSpace(reason) == "" {
		v.Errors.Add("reason", web.Text(r.Context(), "admin.say-why"))
		return d.show(w, r, v)
	}
	act := r.PathValue("act")
	code, err := d.carryOut(r.Context(), p, m, act, role, reason)
	if err != nil {
		return d.refused(w, r, v, err)
	}
	if code != "" {
		return web.Render(w, r, http.StatusOK, secretPage(secretView{Title: web.Text(r.Context(), "admin.link.title", m.Name), Explain: web.Text(r.Context(), "admin.link.explain"),
			Secret: d.k.BaseURL() + "/sign-in/enrol?code=" + code, Back: userPath(m.ID)}))
	}
	return web.SeeOther(w, r, userPath(m.ID)+"?done="+act)
}

// carryOut does one act on a user; code is that of a link, to be shown once.
func (d *desk) carryOut(ctx context.Context, p access.Principal, m access.Member, act, role, reason string) (code string, err error) {
	g := d.k.Gate
	switch act {
	case "suspend":
		err = g.Suspend(ctx, p, m.ID, reason)
	case "restore":
		return "", g.Restore(ctx, p, m.ID, reason)
	case "end":
		err = g.Leave(ctx, p, m.ID, reason)
	case "end-role":
		return "", g.EndRole(ctx, p, m.ID, role, reason)
	case "review":
		if len(m.Roles()) > 0 && m.Roles()[0].ID == role {
			role = ""
		}
		return "", g.Reviewed(ctx, p, m.ID, role, reason, dateless())
	case "reset":
		code, err = d.credentials.Reset(ctx, p, m.ID, reason)
	case "unlink":
		return "", d.elsewhere.Part(ctx, p, m.ID, role, reason)
	case "signout":
		err = g.Administer(ctx, p, m.ID, access.Work{Act: "signed-out", Reason: reason, Ends: true, Do: nothing})
	}
	if err != nil {
		return "", err
	}
	if err := d.tokens.EndAllOf(ctx, p, m.ID, act); err != nil {
		return "", err
	}
	return code, g.EndSessions(ctx, p, m.ID)
}

// uploadBytes bounds a file of users.
const uploadBytes = 4 << 20

// importView is an import before and after it is agreed to.
type importView struct {
	Form   formView
	File   string // what was sent, to be sent again
	Done   bool
	Counts string
	Table  web.Table
}

func (d *desk) importForm(ctx context.Context) formView {
	f := text(ctx, "file", "", 0)
	f.kind, f.Type = "file", "file"
	paste := text(ctx, "paste", "", 0)
	paste.kind, paste.Rows = "area", 6
	return formView{Title: web.Text(ctx, "admin.import.title"), Back: "/admin/users", Submit: web.Text(ctx, "admin.import.check"), Uploads: true,
		Explain: []string{web.Text(ctx, "admin.import.explain"), web.Text(ctx, "admin.import.columns", strings.Join(Columns(), ", "))}, Fields: []field{f, paste}}
}

func (d *desk) askImport(w http.ResponseWriter, r *http.Request, _ access.Principal) error {
	return d.show(w, r, d.importForm(r.Context()))
}

// importUsers shows what a file would change; the second time, with a reason, it changes it.
func (d *desk) importUsers(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	ctx := r.Context()
	if strings.HasPrefix(r.Header.Get("Content-Type"), "multipart/") {
		if err := r.ParseMultipartForm(uploadBytes); err != nil {
			return fault.Wrap(err, fault.Invalid, "The form could not be read.")
		}
	}
	if err := web.CheckForm(r, ""); err != nil {
		return err
	}
	file := r.PostForm.Get("paste")
	if f, _, err := r.FormFile("file"); err == nil {
		defer f.Close()
		b, err := io.ReadAll(io.LimitReader(f, uploadBytes))
		if err != nil {
			return fault.Wrap(err, fault.Invalid, "The file could not be read.")
		}
		if len(b) > 0 {
			file = string(b)
		}
	}
	form := d.importForm(ctx)
	rows, err := ReadUsers(bytes.NewReader([]byte(file)))
	if err != nil {
		form.Fields[1].Value = file
		form.Errors.Add("paste", fault.MessageOf(err))
		return d.show(w, r, form)
	}
	reason := strings.TrimSpace(r.PostForm.Get("reason"))
	v := importView{File: file, Done: r.PostForm.Get("do") == "import" && reason != ""}
	results, err := Import(ctx, d.k.Gate, p, rows, reason, !v.Done)
	if err != nil {
		return err
	}
	d.report(ctx, &v, results)
	v.Form = formView{Title: web.Text(ctx, "admin.import.preview"), Back: "/admin/users/import", Submit: web.Text(ctx, "admin.import.submit"), Fields: []field{reasonField(ctx, "")}}
	status := http.StatusOK
	if r.PostForm.Get("do") == "import" && reason == "" {
		v.Form.Errors.Add("reason", web.Text(ctx, "admin.say-why"))
		v.Form.Fields[0].Error = web.Text(ctx, "admin.say-why")
		status = http.StatusUnprocessableEntity
	}
	return web.Render(w, r, status, importPage(v))
}

// rowsOnPage is how many lines of an import a page shows.
const rowsOnPage = 500

// report says what became of each row, or would.
func (d *desk) report(ctx context.Context, v *importView, results []Result) {
	counts := map[string]int{}
	v.Table = web.Table{ID: "rows", RowHeader: true, Caption: web.Text(ctx, "admin.import.caption"), Columns: columns(ctx, "line", "id", "what", "detail"),
		Empty: web.Empty{Text: web.Text(ctx, "admin.import.nothing"), Help: web.Text(ctx, "admin.import.nothing-help")}}
	for _, x := range results {
		what := x.What()
		counts[what]++
		if what == "unchanged" || len(v.Table.Rows) == rowsOnPage {
			continue
		}
		detail := strings.Join(x.Outcome.Fields, ", ")
		if x.Err != nil {
			detail = fault.MessageOf(x.Err)
		}
		v.Table.Rows = append(v.Table.Rows, web.TableRow{Cells: []web.TableCell{web.Cell(web.Count(ctx, "admin.number", x.Line)), web.Cell(x.Member.ID), web.ShowCell(outcomeTag(what)), web.NoteCell(detail)}})
	}
	v.Counts = web.Text(ctx, "admin.import.counts", counts["added"], counts["changed"]+counts["moved"], counts["unchanged"], counts["refused"])
}
