package directory

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/format"
)

const keepPath = findPath + "/keep"

// keepPages are the pages by which an administrator keeps what the directory says.
func (d *Directory) keepPages() []catalogue.Route {
	return []catalogue.Route{
		catalogue.ForRole("GET "+keepPath+"/{kind}/add", d.askAdd, access.Administrator),
		catalogue.ForRole("POST "+keepPath+"/{kind}/add", d.add, access.Administrator),
		catalogue.ForRole("GET "+keepPath+"/{kind}/{id}", d.askChange, access.Administrator),
		catalogue.ForRole("POST "+keepPath+"/{kind}/{id}", d.change, access.Administrator),
		catalogue.ForRole("GET "+keepPath+"/{kind}/{id}/close", d.askClose, access.Administrator),
		catalogue.ForRole("POST "+keepPath+"/{kind}/{id}/close", d.close, access.Administrator),
		catalogue.ForRole("GET "+keepPath+"/{kind}/{id}/history", d.keptHistory, access.Administrator, access.Auditor),
	}
}

func keepURL(kind, id, more string) string { return keepPath + "/" + kind + "/" + id + more }

// keepView is what the pages for keeping show.
type keepView struct {
	keptForm
	Title, Name, Where, Back string
	Done                     string
	Own                      string // the address of the page that shows what is kept
	Open                     bool
	Since                    Day
	Planned                  Day // the last day of what is in use until then
	Successor                string
	Moved                    bool
	History                  web.Table
}

// newForm is an empty form for something new at the organisation that the request names.
func (d *Directory) newForm(r *http.Request) (keepView, error) {
	ctx := r.Context()
	kind, err := keptKindOf(r.PathValue("kind"))
	if err != nil {
		return keepView{}, err
	}
	at, err := ident.ParseODSCode(r.URL.Query().Get("at"))
	if err != nil {
		return keepView{}, fault.Wrap(err, fault.NotFound, "There is no such organisation in the directory.")
	}
	o, err := d.Organisation(ctx, at)
	if err != nil {
		return keepView{}, err
	}
	v := keepView{keptForm: keptForm{Kind: kind, At: at, Answers: map[string]string{}, Days: map[string]web.DateValue{}, today: DayOf(d.k.Clock.Now())},
		Title: web.Text(ctx, "directory.keep.add."+kind.key), Where: o.Name, Back: orgURL(at.String())}
	v.Choices, err = d.choices(ctx, kind, at)
	return v, err
}

// keptForm is the form of something that there is.
func (d *Directory) keptForm(r *http.Request) (v keepView, old record.Version, err error) {
	ctx := r.Context()
	kind, err := keptKindOf(r.PathValue("kind"))
	if err != nil {
		return v, old, err
	}
	reads, err := d.readsByID(ctx, kind.typ)
	if err != nil {
		return v, old, err
	}
	err = d.k.DB.Read(ctx, func(tx *store.Tx) error {
		old, err = reads.version(tx, kind.typ, r.PathValue("id"))
		return err
	})
	if err != nil {
		return v, old, err
	}
	res := old.Resource
	v = keepView{keptForm: keptForm{Kind: kind, ID: old.ID, Version: old.Ver, Answers: kind.answers(res), Days: map[string]web.DateValue{}, today: DayOf(d.k.Clock.Now())},
		Title: web.Text(ctx, "directory.keep.change."+kind.key), Open: kind.inUse(res), Since: spanOf(res).From}
	v.At, err = ident.ParseODSCode(ownerOf(res))
	if err != nil {
		return v, old, fault.Wrap(err, fault.Unprocessable, "This names no organisation by its ODS code, so it is not kept by page.")
	}
	v.Name, v.Where = nameOfKept(v.Answers, old.ID), d.k.Organisation(ctx, v.At)
	v.Back = orgURL(v.At.String())
	if kind.key == keptService {
		v.Back = serviceURL(old.ID)
	}
	if v.Name == v.Where {
		v.Name = ""
	}
	if kind.key == keptSite {
		v.Since = Day(v.Answers["opened"])
	}
	if v.Open {
		v.Planned = lastDay(res)
	}
	for name, answer := range v.Answers {
		v.Days[name] = dateValue(Day(answer))
	}
	if v.Choices, err = d.choices(ctx, kind, v.At); err != nil {
		return v, old, err
	}
	for name, list := range v.Choices {
		v.Choices[name] = withOption(list, v.Answers[name], heldText(name, v.Answers[name], res))
	}
	return v, old, nil
}

// heldText is what an answer that is in no list is called.
func heldText(name, answer string, res *fhir.Resource) string {
	switch name {
	case "specialty":
		return conceptText(res.Get("specialty.0"))
	case "role":
		return roleText(answer)
	}
	return answer
}

// ownerOf is the ODS code of whose something is.
func ownerOf(res *fhir.Resource) string {
	switch res.Type() {
	case "Organization":
		return odsCodeOf(res)
	case "HealthcareService":
		return partyCode(res.Get("providedBy"))
	case "PractitionerRole":
		return partyCode(res.Get("organization"))
	case "Device":
		return partyCode(res.Get("owner"))
	}
	return partyCode(res.Get("managingOrganization"))
}

// nameOfKept is what something is called.
func nameOfKept(a map[string]string, id string) string {
	for _, name := range []string{"name", "asid", "address", "practitioner"} {
		if a[name] != "" {
			return a[name]
		}
	}
	return id
}

func (d *Directory) askAdd(w http.ResponseWriter, r *http.Request, _ access.Principal) error {
	v, err := d.newForm(r)
	if err != nil {
		return err
	}
	return web.Render(w, r, http.StatusOK, keepFormView(v))
}

// add writes something new.
func (d *Directory) add(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	v, err := d.newForm(r)
	if err != nil {
		return err
	}
	if err := web.CheckForm(r, ""); err != nil {
		return err
	}
	return d.save(w, r, p, v, nil)
}

func (d *Directory) askChange(w http.ResponseWriter, r *http.Request, _ access.Principal) error {
	v, _, err := d.keptForm(r)
	if err != nil {
		return err
	}
	if done := r.URL.Query().Get("done"); web.HasText("directory.keep.done." + done) {
		v.Done = web.Text(r.Context(), "directory.keep.done."+done)
	}
	return web.Render(w, r, http.StatusOK, keepFormView(v))
}

// change writes what was answered over what stands there.
func (d *Directory) change(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	v, old, err := d.keptForm(r)
	if err != nil {
		return err
	}
	if err := web.CheckForm(r, ""); err != nil {
		return err
	}
	return d.save(w, r, p, v, &old)
}

func (d *Directory) save(w http.ResponseWriter, r *http.Request, p access.Principal, v keepView, old *record.Version) error {
	ctx := r.Context()
	before := copyOf(v.Answers)
	v.read(ctx, r.PostForm)
	if err := d.checkKept(ctx, &v.keptForm); err != nil {
		return err
	}
	if old != nil && v.moved(r.PostForm) {
		v.Moved = true
		return web.Render(w, r, http.StatusConflict, keepFormView(v))
	}
	if old != nil && len(v.Errors) == 0 && sameAnswers(before, v.Answers) {
		v.Errors.Add("reason", web.Text(ctx, "directory.keep.wrong.nothing"))
	}
	if len(v.Errors) > 0 {
		return web.Render(w, r, http.StatusUnprocessableEntity, keepFormView(v))
	}
	var err error
	if old == nil && v.Kind.key == keptSite {
		v.ID = v.Answers["code"]
	} else if old == nil {
		if v.ID, err = d.k.Records.NewID(); err != nil {
			return err
		}
	}
	var was *fhir.Resource
	if old != nil {
		was = old.Resource
	}
	var list []*fhir.Resource
	if v.Kind.key == keptSite {
		list, err = v.siteMade(ctx, d, was)
	} else {
		var res *fhir.Resource
		res, err = v.made(was)
		list = []*fhir.Resource{res}
	}
	if err != nil {
		return err
	}
	if err := d.keepAll(ctx, p, list, v.Version, v.Reason); err != nil {
		return err
	}
	done := "?done=changed"
	if old == nil {
		done = "?done=added"
	}
	return web.SeeOther(w, r, v.after()+done)
}

// after is the page that shows what was kept.
func (v keepView) after() string {
	switch v.Kind.key {
	case keptService:
		return serviceURL(v.ID)
	case keptSite:
		return orgURL(v.ID)
	}
	return orgURL(v.At.String())
}

// moved reports whether somebody else wrote since the form was shown.
func (f *keptForm) moved(form url.Values) bool {
	return form.Get("version") != strconv.FormatInt(f.Version, 10)
}

func copyOf(a map[string]string) map[string]string {
	c := map[string]string{}
	for k, v := range a {
		c[k] = v
	}
	return c
}

func sameAnswers(a, b map[string]string) bool {
	for k := range b {
		if a[k] != b[k] {
			return false
		}
	}
	return true
}

// checkKept looks at answers that only the directory can judge: a code that is taken, somebody who is not registered.
func (d *Directory) checkKept(ctx context.Context, f *keptForm) error {
	switch who := f.Answers["practitioner"]; {
	case f.Kind.key == keptSite:
		return f.checkSite(ctx, d)
	case f.Kind.key == keptPost && f.Version == 0 && who != "":
		var found [][]string
		err := d.k.DB.Read(ctx, func(tx *store.Tx) (err error) {
			found, err = texts(tx, `SELECT id FROM directory_practitioner WHERE id = ? OR code = ? ORDER BY id LIMIT 2`, 1, who, strings.ToUpper(who))
			return err
		})
		if err != nil {
			return err
		}
		if len(found) != 1 {
			f.Errors.Add("practitioner", web.Text(ctx, "directory.keep.wrong.nobody"))
			return nil
		}
		f.Answers["practitioner"] = found[0][0]
	}
	return nil
}

// keepAll writes resources in one commit, with the reason; the first must still be at the version that was seen, or be new.
func (d *Directory) keepAll(ctx context.Context, by access.Principal, list []*fhir.Resource, seen int64, reason string) error {
	return record.Retry(3, func() error {
		var drafts []*record.Draft
		for i, res := range list {
			c := d.put(res, reason)
			if i == 0 {
				c.IfMatch, c.IfAbsent = seen, seen == 0
			}
			draft, err := d.k.Records.Prepare(ctx, c)
			if err != nil {
				return err
			}
			drafts = append(drafts, draft)
		}
		return d.write(ctx, by, drafts)
	})
}

func (d *Directory) askClose(w http.ResponseWriter, r *http.Request, _ access.Principal) error {
	v, err := d.closing(r)
	if err != nil {
		return err
	}
	return web.Render(w, r, http.StatusOK, keepCloseView(v))
}

func (d *Directory) closing(r *http.Request) (keepView, error) {
	v, _, err := d.keptForm(r)
	if err != nil {
		return v, err
	}
	key := "directory.keep.close."
	if !v.Open {
		key = "directory.keep.reopen."
	}
	v.Title = web.Text(r.Context(), key+v.Kind.key)
	v.Days["last"] = dateValue(v.today)
	if v.Planned.Known() {
		v.Days["last"] = dateValue(v.Planned)
	}
	return v, nil
}

// close ends something on its last day, or takes it into use again.
func (d *Directory) close(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	ctx := r.Context()
	v, err := d.closing(r)
	if err != nil {
		return err
	}
	if err := web.CheckForm(r, ""); err != nil {
		return err
	}
	_, old, err := d.keptForm(r)
	if err != nil {
		return err
	}
	last, err := d.readClosing(ctx, &v, r.PostForm)
	if err != nil {
		return err
	}
	status := http.StatusUnprocessableEntity
	if v.Moved = v.moved(r.PostForm); v.Moved {
		status = http.StatusConflict
	}
	if v.Moved || len(v.Errors) > 0 {
		return web.Render(w, r, status, keepCloseView(v))
	}
	var list []*fhir.Resource
	if v.Kind.key == keptSite {
		list, err = d.siteClosed(ctx, old.Resource, last, v.today, v.Successor)
	} else {
		var res *fhir.Resource
		res, err = v.Kind.closed(old.Resource, last, v.today)
		list = []*fhir.Resource{res}
	}
	if err != nil {
		return err
	}
	if err := d.keepAll(ctx, p, list, v.Version, v.Reason); err != nil {
		return err
	}
	done := "closed"
	switch {
	case !last.Known() && v.Open:
		done = "stays"
	case !last.Known():
		done = "reopened"
	case last > v.today:
		done = "closes"
	}
	return web.SeeOther(w, r, v.after()+"?done="+done)
}

// readClosing reads the last day (unknown where something is taken into use again, or stays in use after all), who takes over, and the reason.
func (d *Directory) readClosing(ctx context.Context, v *keepView, form url.Values) (last Day, err error) {
	wrong := func(field, key string) { v.Errors.Add(field, web.Text(ctx, "directory.keep.wrong."+key)) }
	stays := v.Planned.Known() && form.Get("stays") == "yes"
	if v.Open && !stays {
		typed, day, ok := web.ReadDate(form, "last")
		v.Days["last"], last = typed, DayOf(day)
		switch {
		case !ok:
			wrong("last", "last")
		case last > DayOf(d.k.Clock.Now().AddDate(10, 0, 0)):
			wrong("last", "future")
		case last < v.Since:
			wrong("last", "before")
		}
	}
	v.Successor = strings.ToUpper(strings.TrimSpace(form.Get("successor")))
	if v.Kind.key != keptSite || !v.Open || stays {
		v.Successor = ""
	}
	if v.Successor != "" {
		code, bad := ident.ParseODSCode(v.Successor)
		if bad == nil {
			_, bad = d.Organisation(ctx, code)
		}
		if bad != nil && !fault.Is(bad, fault.NotFound) && !fault.Is(bad, fault.Invalid) {
			return last, bad
		}
		if bad != nil || v.Successor == v.ID {
			wrong("successor", "successor")
		}
	}
	v.readReason(ctx, form)
	return last, nil
}

// keptHistory lists what was changed about something, by whom and why, newest first.
func (d *Directory) keptHistory(w http.ResponseWriter, r *http.Request, _ access.Principal) error {
	ctx := r.Context()
	v, old, err := d.keptForm(r)
	if err != nil {
		return err
	}
	reads, err := d.readsByID(ctx, v.Kind.typ)
	if err != nil {
		return err
	}
	page, err := d.k.Records.History(ctx, reads.grants[v.Kind.typ], old.Ref, record.Period{Count: mostRows})
	if err != nil {
		return err
	}
	state, err := web.ReadTableState(r, "when")
	if err != nil {
		return err
	}
	v.Title = web.Text(ctx, "directory.keep.history")
	v.History = web.Table{ID: "history", State: state, RowHeader: true, Caption: web.Text(ctx, "directory.keep.versions"), Count: web.Count(ctx, "directory.keep.version-count", int(page.Total))}
	for _, name := range columnNames(ctx, "when", "who", "reason", "facts") {
		v.History.Columns = append(v.History.Columns, web.Column{Text: name})
	}
	for i, one := range page.Versions {
		var before *fhir.Resource
		if i+1 < len(page.Versions) {
			before = page.Versions[i+1].Resource
		}
		v.History.Rows = append(v.History.Rows, web.TableRow{Cells: []web.TableCell{web.Cell(format.DateTime(one.At)), web.Cell(orElse(one.Name, one.Actor)), web.Cell(one.Reason),
			web.ShowCell(keptChanges(v.Kind.changes(ctx, before, one.Resource), before == nil && i+1 == int(page.Total)))}})
	}
	return web.Render(w, r, http.StatusOK, keepHistoryView(v))
}

// keptChange is one answer that changed, in words.
type keptChange struct{ Name, Before, After string }

// changes are the answers that differ between two versions; nil is one that said nothing.
func (k keptKind) changes(ctx context.Context, before, after *fhir.Resource) (list []keptChange) {
	if before == nil || after == nil {
		return nil
	}
	was, is := k.answers(before), k.answers(after)
	for _, q := range k.questions {
		if was[q.name] != is[q.name] {
			list = append(list, keptChange{web.Text(ctx, "directory.keep.field."+q.name), spoken(ctx, q.name, was[q.name]), spoken(ctx, q.name, is[q.name])})
		}
	}
	if a, b := k.inUse(before), k.inUse(after); a != b {
		list = append(list, keptChange{web.Text(ctx, "directory.column.state"), stateText(ctx, a), stateText(ctx, b)})
	}
	if a, b := spanOf(before).To, spanOf(after).To; a != b {
		list = append(list, keptChange{web.Text(ctx, "directory.column.closed"), dayText(a), dayText(b)})
	}
	return slices.Clip(list)
}

func stateText(ctx context.Context, open bool) string {
	if open {
		return web.Text(ctx, "directory.state.active")
	}
	return web.Text(ctx, "directory.state.closed")
}
