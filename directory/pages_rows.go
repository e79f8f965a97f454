package directory

import (
	"context"
	"regexp"
	"strconv"
	"strings"

	"github.com/openspine/openspine/web"
)

func closedValues(q Query) []string {
	if q.Closed {
		return []string{"yes"}
	}
	return nil
}

// organisationRows are the facts at the top of an organisation's page.
func organisationRows(ctx context.Context, v organisationView) []web.Row {
	o := v.Organisation
	span := o.Span()
	rows := []web.Row{
		{Key: web.Text(ctx, "directory.column.state"), Value: stateTag(ctx, o.State)},
		{Key: web.Text(ctx, "directory.column.opened"), Text: dayText(span.From)},
	}
	if span.To.Known() {
		rows = append(rows, web.Row{Key: untilText(ctx, o.Active()), Text: dayText(span.To)})
	}
	class := "directory.organisation.is-organisation"
	if o.Site {
		class = "directory.organisation.is-site"
	}
	rows = append(rows, web.Row{Key: web.Text(ctx, "directory.column.kind"), Text: web.Text(ctx, class)},
		web.Row{Key: web.Text(ctx, "directory.column.address"), Text: o.Address()}, web.Row{Key: web.Text(ctx, "directory.column.phone"), Text: o.Phone})
	if o.Website != "" {
		rows = append(rows, web.Row{Key: web.Text(ctx, "directory.column.website"), Text: strings.ToLower(o.Website)})
	}
	if s, ok := settingOf(o.Setting); ok {
		rows = append(rows, web.Row{Key: web.Text(ctx, "directory.column.setting"), Text: s.Name})
	}
	var areas []string
	for _, a := range o.Areas {
		areas = append(areas, a.Kind+" "+a.Code)
	}
	if len(areas) > 0 {
		rows = append(rows, web.Row{Key: web.Text(ctx, "directory.column.areas"), Text: strings.Join(areas, ", ")})
	}
	return append(rows, web.Row{Key: web.Text(ctx, "directory.column.changed"), Text: dayText(o.Changed)})
}

// untilText is what a last day is called: of what is in use still, and of what has closed.
func untilText(ctx context.Context, open bool) string {
	if open {
		return web.Text(ctx, "directory.column.until")
	}
	return web.Text(ctx, "directory.column.closed")
}

// serviceRows are the facts of a service.
func serviceRows(ctx context.Context, v serviceView) []web.Row {
	row := func(key, text string) web.Row {
		return web.Row{Key: web.Text(ctx, "directory.service."+key), Text: text}
	}
	var places []string
	for _, p := range v.Places {
		places = append(places, orElse(p.Name, p.ID))
	}
	rows := []web.Row{
		{Key: web.Text(ctx, "directory.column.state"), Value: activeTag(ctx, v.Active)},
		row("specialty", v.SpecialtyName), row("kind", v.Kind), row("places", strings.Join(places, "; ")), row("wait", waitText(ctx, v.Wait)),
		row("eligibility", strings.Join(v.eligible(ctx), "; ")), row("criteria", v.Criteria), row("languages", strings.Join(v.Languages, ", ")),
		{Key: web.Text(ctx, "directory.column.phone"), Text: v.Phone},
	}
	if v.Span.From.Known() {
		rows = append(rows, web.Row{Key: web.Text(ctx, "directory.column.opened"), Text: dayText(v.Span.From)})
	}
	if v.Span.To.Known() {
		rows = append(rows, web.Row{Key: untilText(ctx, v.Active), Text: dayText(v.Span.To)})
	}
	return rows
}

// waitText is an indicative wait in words; empty when it is not known.
func waitText(ctx context.Context, days int) string {
	if days < 0 {
		return ""
	}
	return web.Count(ctx, "directory.service.days", days)
}

// eligible says whom a service takes, in words.
func (s HealthcareService) eligible(ctx context.Context) (list []string) {
	if s.Sex != "" && web.HasText("directory.sex."+s.Sex) {
		list = append(list, web.Text(ctx, "directory.sex."+s.Sex))
	}
	switch {
	case s.Youngest >= 0 && s.Oldest >= 0:
		list = append(list, web.Text(ctx, "directory.service.aged-between", s.Youngest, s.Oldest))
	case s.Youngest >= 0:
		list = append(list, web.Text(ctx, "directory.service.aged-from", s.Youngest))
	case s.Oldest >= 0:
		list = append(list, web.Text(ctx, "directory.service.aged-to", s.Oldest))
	}
	if list = append(list, s.Others...); len(list) == 0 {
		list = append(list, web.Text(ctx, "directory.keep.anybody"))
	}
	return list
}

// importRows sum an import up.
func importRows(ctx context.Context, v importView) []web.Row {
	row := func(key string, n int) web.Row {
		return web.Row{Key: web.Text(ctx, "directory.import."+key), Text: strconv.Itoa(n)}
	}
	p := v.Plan
	return []web.Row{
		{Key: web.Text(ctx, "directory.import.file-name"), Text: v.File},
		{Key: web.Text(ctx, "directory.import.report"), Text: p.Report.text(ctx)},
		row("kind.added", p.Count(Added)), row("kind.changed", p.Count(Changed)), row("kind.closed", p.Count(Ended)), row("unchanged", p.Unchanged),
		row("kept-out", len(p.Refused)), row("noted", len(p.Noted)), row("absent", p.Absent),
	}
}

// fieldName is what a changed fact is called.
func fieldName(ctx context.Context, name string) string {
	kind, code, _ := strings.Cut(name, " ")
	switch kind {
	case "role":
		return web.Text(ctx, "directory.field.role", roleText(code))
	case "relation":
		return relationText(code)
	case "area":
		return web.Text(ctx, "directory.field.area", code)
	}
	return web.Text(ctx, "directory.field."+kind)
}

// isoDay is a day as facts are compared.
var isoDay = regexp.MustCompile(`\d{4}-\d{2}-\d{2}`)

// spoken is a changed fact as people read it.
func spoken(ctx context.Context, name, value string) string {
	if key := "directory.state." + value; name == "state" && web.HasText(key) {
		return web.Text(ctx, key)
	}
	return isoDay.ReplaceAllStringFunc(strings.TrimSuffix(value, " ×"), func(d string) string { return dayText(Day(d)) })
}
