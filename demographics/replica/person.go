package replica

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/openspine/openspine/demographics/match"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/format"
)

// personView is one patient: what is known of their number, both records side by side, and what may be decided.
type personView struct {
	Page    web.Page
	Row     row
	Name    string
	Path    string
	Chart   string
	Facts   []web.Row
	Table   web.Table
	Away    string // why what the authority says cannot be shown
	Acts    []string
	Choices []web.Choice // for each element of which the hospital says otherwise
	Options []web.Option
	Act     string
	Reason  string
	Errors  web.FieldErrors
	Done    string
	Seen    int64
	Number  string // that a superseded one has given way to
	May     bool   // the reader may decide
	Find    string // where the number of a patient without one is looked for
}

// openPerson reads a patient, and what the authority says of their number now. A person is shown side by side with what is asked for at that
// moment: of somebody else nothing is kept here.
func (f *follower) openPerson(r *http.Request, ask catalogue.Asker) (*personView, record.Version, answer, error) {
	ctx := r.Context()
	one, err := f.rowOf(ctx, r.PathValue("person"))
	if err != nil {
		return nil, record.Version{}, answer{}, err
	}
	people, err := f.people(ctx, ask, []row{one})
	if err != nil {
		return nil, record.Version{}, answer{}, err
	}
	local := people[0]
	l, err := f.link(ctx)
	if err != nil {
		return nil, local, answer{}, err
	}
	v := &personView{Row: one, Name: nameOf(local.Resource), Path: f.path(one.id), Chart: f.chartPath(one.id), Seen: local.Ver, Done: r.URL.Query().Get("done"), Number: number(one.survivor),
		Page: web.Page{Title: web.Text(ctx, "replica.person.title"), Back: web.Link{Text: web.Text(ctx, "replica.title"), URL: f.path()}}}
	v.May = mayDecide(ask)
	if one.number == "" {
		v.Find = f.findTheirs(one.id, local.Resource)
	}
	a, away := f.now(ctx, one, l)
	v.Away = away
	v.Facts = f.facts(ctx, one, l)
	v.Table = f.sideBySide(ctx, one, local.Resource, a.person)
	if v.May {
		v.Acts = f.decidable(one, a)
	}
	f.choices(ctx, v, local.Resource, a.person)
	return v, local, a, nil
}

// now is what the authority says of a patient's number at this moment, or why it cannot be asked.
func (f *follower) now(ctx context.Context, r row, l link) (a answer, away string) {
	n, err := ident.ParseNHSNumber(r.number)
	switch {
	case r.number == "":
		return answer{}, web.Text(ctx, "replica.away.no-number")
	case err != nil:
		return answer{what: nobody}, web.Text(ctx, "replica.away.no-such-number")
	case !l.paused.IsZero():
		return answer{}, web.Text(ctx, "replica.away.paused", format.DateTime(l.paused))
	}
	if a, err = f.read(ctx, n); err != nil {
		return answer{}, web.Text(ctx, "replica.away.unreachable", fault.MessageOf(plainly(err)))
	}
	switch a.what {
	case nobody:
		away = web.Text(ctx, "replica.away.nobody")
	case unusable:
		away = web.Text(ctx, "replica.away.unusable")
	}
	return a, away
}

// decidable is what may be decided: most only while the authority answers, and still says what it said.
func (f *follower) decidable(r row, a answer) []string {
	var list []string
	for _, act := range acts()[r.state] {
		answers := a.what == somebody
		switch {
		case act == actWrong, act == actLeave && r.settled.IsZero():
		case act == actSurvivor && answers && a.number.String() == r.survivor:
		case (act == actSame || act == actDecide) && answers && a.number.String() == r.number && a.version == r.version:
		default:
			continue
		}
		list = append(list, act)
	}
	return list
}

func (f *follower) facts(ctx context.Context, r row, l link) []web.Row {
	rows := []web.Row{
		{Key: web.Text(ctx, "replica.column.number"), Text: number(r.number)},
		{Key: web.Text(ctx, "replica.column.state"), Value: stateTag(r.state, r.settledBy)},
		{Key: web.Text(ctx, "replica.fact.meaning"), Text: web.Text(ctx, "replica.meaning."+string(r.state))},
		{Key: web.Text(ctx, "replica.column.since"), Text: format.DateTime(r.since)},
		{Key: web.Text(ctx, "replica.column.checked"), Text: f.checkedText(ctx, r, l)},
	}
	if r.version > 0 {
		rows = append(rows, web.Row{Key: web.Text(ctx, "replica.fact.version"), Text: itoa(r.version)})
	}
	if why := whyText(ctx, r.pattern); why != "" {
		rows = append(rows, web.Row{Key: web.Text(ctx, "replica.fact.agrees"), Text: why})
	}
	if r.reason != "" {
		rows = append(rows, web.Row{Key: web.Text(ctx, "replica.fact.decided"), Text: web.Text(ctx, "replica.decided", r.reason, r.settledBy, format.DateTime(r.settled))})
	}
	return rows
}

// whyText is what agrees and what does not, in a few words.
func whyText(ctx context.Context, p match.Pattern) string {
	var parts []string
	for _, field := range match.Fields() {
		if l := p.Level(field); l != match.Missing {
			parts = append(parts, web.Text(ctx, "office.field."+field.String())+" "+web.Text(ctx, "office.level."+field.String()+"."+field.Word(l)))
		}
	}
	return strings.Join(parts, ", ")
}

// sideBySide is a table of what the hospital and the authority say.
func (f *follower) sideBySide(ctx context.Context, r row, local, national *fhir.Resource) web.Table {
	t := web.Table{ID: "compare", Caption: web.Text(ctx, "replica.compare"), RowHeader: true, Columns: []web.Column{{Text: web.Text(ctx, "replica.column.what")}, {Text: web.Text(ctx, "replica.column.here", f.name)},
		{Text: web.Text(ctx, "replica.column.there")}, {Text: web.Text(ctx, "replica.column.agreement")}}}
	for _, el := range elements() {
		agrees := web.Cell("")
		var there []string
		if national != nil {
			there = saidOf(ctx, national, el.name)
			switch {
			case restrictedTag(national) && el.locates:
				there, agrees = []string{web.Text(ctx, "replica.withheld")}, web.Cell("")
			case el.says(local) == "" && el.says(national) == "":
			case el.says(local) == "":
				agrees = web.ShowCell(web.Tag(web.Text(ctx, "replica.only-there"), web.Grey))
			case el.says(local) == el.says(national):
				agrees = web.ShowCell(web.Tag(web.Text(ctx, "replica.agrees"), web.Green))
			default:
				agrees = web.ShowCell(web.Tag(web.Text(ctx, "replica.disagrees"), web.Red))
			}
		}
		t.Rows = append(t.Rows, web.TableRow{Cells: []web.TableCell{web.Cell(web.Text(ctx, "replica.element."+el.name)), web.ShowCell(lines(saidOf(ctx, local, el.name))), web.ShowCell(lines(there)), agrees}})
	}
	return t
}

// choices are the forms of what may be decided.
func (f *follower) choices(ctx context.Context, v *personView, local, national *fhir.Resource) {
	for _, act := range v.Acts {
		if act == actDecide {
			continue
		}
		v.Options = append(v.Options, web.Option{Value: act, Text: web.Text(ctx, "replica.act."+act, number(v.Row.number), v.Number), Hint: web.Text(ctx, "replica.act-hint."+act)})
	}
	if len(v.Acts) != 1 || v.Acts[0] != actDecide {
		return
	}
	for _, name := range v.Row.differs {
		v.Choices = append(v.Choices, web.Choice{Name: name, Label: web.Text(ctx, "replica.element."+name), Options: []web.Option{
			{Value: "take", Text: web.Text(ctx, "replica.take"), Hint: strings.Join(saidOf(ctx, national, name), "; ")},
			{Value: "keep", Text: web.Text(ctx, "replica.keep"), Hint: strings.Join(saidOf(ctx, local, name), "; ")}}})
	}
}

func (f *follower) showPerson(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	v, _, _, err := f.openPerson(r, ask)
	if err != nil {
		return err
	}
	return web.Render(w, r, http.StatusOK, personPage(v))
}

// decidePerson asks the authority again, or does what was decided.
func (f *follower) decidePerson(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	if err := web.CheckForm(r, r.PathValue("person")); err != nil {
		return err
	}
	ctx, act := r.Context(), r.PostForm.Get("act")
	v, local, a, err := f.openPerson(r, ask)
	if err != nil {
		return err
	}
	if act == actCheck {
		if err := f.checkNow(ctx, v.Row); err != nil {
			return err
		}
		return web.SeeOther(w, r, v.Path+"?done="+actCheck)
	}
	if act == actNumber && v.Row.number == "" {
		return f.giveNumber(w, r, ask, v, local)
	}
	d := decision{by: ask.Principal, act: act, about: a, take: map[string]bool{}}
	d.seen, _ = strconv.ParseInt(r.PostForm.Get("seen"), 10, 64)
	if !contains(v.Acts, act) {
		v.Errors.Add("act-1", web.Text(ctx, "replica.act-missing"))
	}
	if act == actDecide {
		for i := range v.Choices {
			c := &v.Choices[i]
			if c.Value = r.PostForm.Get(c.Name); c.Value != "take" && c.Value != "keep" {
				c.Error = web.Text(ctx, "replica.choice-missing", c.Label)
				v.Errors.Add(c.Name+"-1", c.Error)
			}
			d.take[c.Name] = c.Value == "take"
		}
	}
	d.reason = reasonIn(r, &v.Errors)
	if v.Act, v.Reason = act, strings.TrimSpace(r.PostForm.Get("reason")); len(v.Errors) > 0 {
		v.Page.Failed = true
		return web.Render(w, r, http.StatusUnprocessableEntity, personPage(v))
	}
	if err := f.resolve(ctx, v.Row, local, d); err != nil {
		return err
	}
	if act == actSurvivor {
		return f.traceNew(w, r, v.Row.id, act)
	}
	return web.SeeOther(w, r, v.Path+"?done="+act)
}

// findTheirs is the desk's address that looks for a patient nationally by what is recorded of them here.
func (f *follower) findTheirs(id string, local *fhir.Resource) string {
	q := url.Values{"for": {id}, "national": {"yes"}, "family": {local.Get("name.0.family").String()}, "given": {local.Get("name.0.given.0").String()}}
	if born, err := time.Parse(time.DateOnly, local.Get("birthDate").String()); err == nil {
		day := web.DateValueOf(born)
		q.Set("born-day", day.Day)
		q.Set("born-month", day.Month)
		q.Set("born-year", day.Year)
	}
	return f.path("find") + "?" + q.Encode()
}

// giveNumber writes the number that a clerk found nationally on the record of a patient who had none, and has it traced at once: should the
// two be different people after all, that is found there.
func (f *follower) giveNumber(w http.ResponseWriter, r *http.Request, ask catalogue.Asker, v *personView, local record.Version) error {
	ctx := r.Context()
	n, err := ident.ParseNHSNumber(r.PostForm.Get("number"))
	if err != nil {
		return err
	}
	reason := reasonIn(r, &v.Errors)
	if v.Reason = strings.TrimSpace(r.PostForm.Get("reason")); len(v.Errors) > 0 {
		v.Page.Failed, v.Errors = true, web.FieldErrors{{Text: v.Errors[0].Text}}
		return web.Render(w, r, http.StatusUnprocessableEntity, personPage(v))
	}
	if seen, err := strconv.ParseInt(r.PostForm.Get("seen"), 10, 64); err != nil || seen != local.Ver {
		return fault.New(fault.Conflict, "Somebody else has changed this record meanwhile. Look at it again.")
	}
	patient, err := withNumber(local.Resource, n, f.k.Clock.Now())
	if err != nil {
		return err
	}
	if err := f.decided(ctx, v.Row, local, patient, nil, decision{by: ask.Principal, act: actNumber, reason: reason}); err != nil {
		return err
	}
	return f.traceNew(w, r, v.Row.id, actNumber)
}

// traceNew has a number traced that has just come onto a record, and shows what came of it. When the register does not answer, it is due.
func (f *follower) traceNew(w http.ResponseWriter, r *http.Request, id, done string) error {
	one, err := f.rowOf(r.Context(), id)
	if err != nil {
		return err
	}
	if err := f.checkNow(r.Context(), one); err != nil && !fault.Is(err, fault.Unavailable) {
		return err
	}
	return web.SeeOther(w, r, f.path(id)+"?done="+done)
}

func contains(list []string, s string) bool {
	for _, one := range list {
		if one == s {
			return true
		}
	}
	return false
}

// number is how a page writes somebody's number: its spaces are none at which a line may end.
func number(id string) string {
	if n, err := ident.ParseNHSNumber(id); err == nil {
		return strings.ReplaceAll(n.Display(), " ", "\u00a0")
	}
	return id
}

// nameOf is a person as lists name them.
func nameOf(r *fhir.Resource) string {
	list := r.Get("name")
	name := list.Index(0)
	for one := range list.Items() {
		if u := one.Field("use").String(); u == "usual" || u == "official" {
			name = one
			break
		}
	}
	return format.Name(name.Field("family").String(), texts(name.Field("given")), texts(name.Field("prefix")))
}

// saidOf is what a record says of an element, for a person: a line for each value that holds now.
func saidOf(ctx context.Context, r *fhir.Resource, name string) []string {
	var list []string
	add := func(s string) {
		if s = strings.TrimSpace(s); s != "" && !contains(list, s) {
			list = append(list, s)
		}
	}
	if r == nil {
		return nil
	}
	switch name {
	case "name":
		current(r.Get("name"), func(n fhir.Node) {
			add(format.Name(n.Field("family").String(), texts(n.Field("given")), texts(n.Field("prefix"))))
		})
	case "birthDate":
		add(format.FHIR(r.Get("birthDate").String()).Date())
	case "gender":
		if g := r.Get("gender").String(); g != "" {
			add(web.Text(ctx, "patients.gender."+g))
		}
	case "deceased":
		if d := format.FHIR(r.Get("deceasedDateTime").String()); d.Known() {
			add(d.Date())
		} else if r.Get("deceasedBoolean").Bool() {
			add(web.Text(ctx, "replica.dead"))
		}
	case "address":
		current(r.Get("address"), func(n fhir.Node) {
			var parts []string
			for _, p := range append(itemsOf(n.Field("line")), n.Field("city").String(), strings.ReplaceAll(n.Field("postalCode").String(), " ", "\u00a0")) {
				if p = strings.TrimSpace(p); p != "" {
					parts = append(parts, p)
				}
			}
			add(strings.Join(parts, ", "))
		})
	case "telecom":
		current(r.Get("telecom"), func(n fhir.Node) { add(n.Field("value").String()) })
	case "generalPractitioner":
		gp := r.Get("generalPractitioner.0")
		if d := gp.Field("display").String(); d != "" {
			add(d)
		} else {
			add(saysPractice(r))
		}
	}
	return list
}

func itemsOf(list fhir.Node) []string {
	var all []string
	for n := range list.Items() {
		all = append(all, n.String())
	}
	return all
}
