package directory

import (
	"slices"
	"strconv"
	"strings"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/store"
)

// organisationProperties are the properties of ods-organization-code, as the published lookup shows them.
func organisationProperties() []string {
	list := []string{"status", "inactive", "name", "address1", "address2", "address3", "town", "county", "postcode", "country", "uprn", "telephone", "website",
		"opStartDate", "opEndDate", "legStartDate", "legEndDate", "lastChangeDate", "assigningAuth", "orgRecordClass", "refOnly", "primaryRole", "role",
		"predecessor", "successor", "onwardSuccession"}
	for _, k := range relationshipCodes() {
		list = append(list, k.Code)
	}
	return append(list, areaKinds()...)
}

// areaKinds are the geographies of the postcode directory; HLHG is the high level health geography of the ODS files.
func areaKinds() []string {
	return []string{"CA", "EW", "GOR", "HLHG", "ICB", "LA", "LSOA11", "NHSER", "PC", "PCO", "SMHPC AED", "SMHPC AS", "SMHPC CT4"}
}

// organisationConcept is one organisation as a concept of ods-organization-code.
func (r reader) organisationConcept(tx *store.Tx, code string) (concept, bool, error) {
	o, err := r.organisation(tx, code)
	if fault.Is(err, fault.NotFound) {
		return concept{}, false, nil
	}
	if err != nil {
		return concept{}, false, err
	}
	c := o.concept()
	at, err := areasAt(tx, o.Postcode)
	if err != nil {
		return c, false, err
	}
	for _, a := range at {
		if !slices.ContainsFunc(o.Areas, func(own Area) bool { return own.Kind == a.Kind }) {
			c.properties = append(c.properties, property{a.Kind, "Coding", a.Code, SystemGeography})
		}
	}
	held, err := relationsWhere(tx, `source = ? AND active = 1`, code)
	if err != nil {
		return c, false, err
	}
	for _, rel := range held {
		c.properties = append(c.properties, property{rel.Type, "Code", rel.To.String(), ""})
	}
	predecessors, err := texts(tx, `SELECT code FROM directory_succession WHERE successor = ? ORDER BY code`, 1, code)
	if err != nil {
		return c, false, err
	}
	for _, p := range predecessors {
		c.properties = append(c.properties, property{"predecessor", "Code", p[0], ""})
	}
	for _, s := range o.Successions {
		c.properties = append(c.properties, property{"successor", "Code", s.Successor.String(), ""})
		var onward int
		if err := tx.QueryRow(`SELECT count(*) FROM directory_succession WHERE code = ?`, s.Successor.String()).Scan(&onward); err != nil {
			return c, false, err
		}
		c.properties = append(c.properties, property{"onwardSuccession", "Boolean", strconv.FormatBool(onward > 0), ""})
	}
	return c, true, nil
}

// concept is the organisation's own facts as properties.
func (o Organisation) concept() concept {
	c := concept{code: o.Code.String(), display: o.Name, inactive: !o.Active()}
	add := func(code, kind, value, system string) {
		if value != "" {
			c.properties = append(c.properties, property{code, kind, value, system})
		}
	}
	status := "active"
	if !o.Active() {
		status = "inactive"
	}
	add("status", "Code", status, "")
	add("inactive", "Boolean", strconv.FormatBool(!o.Active()), "")
	for i, l := range o.Lines {
		add("address"+strconv.Itoa(i+1), "String", l, "")
	}
	for _, p := range [][2]string{{"name", o.Name}, {"town", o.Town}, {"county", o.County}, {"postcode", o.Postcode}, {"country", o.Country}, {"uprn", o.UPRN},
		{"telephone", o.Phone}, {"website", o.Website}, {"assigningAuth", o.Assigner}} {
		add(p[0], "String", p[1], "")
	}
	primary, _ := o.Primary()
	for _, p := range []struct {
		code string
		day  Day
	}{{"opStartDate", primary.Span.From}, {"opEndDate", primary.Span.To}, {"legStartDate", primary.Legal.From}, {"legEndDate", primary.Legal.To}, {"lastChangeDate", o.Changed}} {
		add(p.code, "DateTime", string(p.day), "")
	}
	class := "RC1"
	if o.Site {
		class = "RC2"
	}
	add("orgRecordClass", "Coding", class, SystemRecordClass)
	add("refOnly", "Boolean", strconv.FormatBool(o.RefOnly), "")
	add("primaryRole", "Coding", primary.Code, SystemRole)
	for _, r := range o.Roles {
		if r.Active || !o.Active() {
			add("role", "Coding", r.Code, SystemRole)
		}
	}
	for _, a := range o.Areas {
		add(a.Kind, "Coding", a.Code, SystemGeography)
	}
	return c
}

// organisationConcepts are the organisations that filters leave, in the order of their codes.
func (r reader) organisationConcepts(tx *store.Tx, filters []filter, activeOnly bool, offset, count int) (page []concept, total int, err error) {
	var q where
	for _, f := range filters {
		if err := q.organisationFilter(f); err != nil {
			return nil, 0, err
		}
	}
	if activeOnly {
		q.and(`o.active = 1`)
	}
	if err := tx.QueryRow(`SELECT count(*) FROM directory_organisation o WHERE `+q.sql(), q.args...).Scan(&total); err != nil {
		return nil, 0, err
	}
	codes, err := texts(tx, `SELECT code FROM directory_organisation o WHERE `+q.sql()+` ORDER BY code LIMIT ? OFFSET ?`, 1, append(q.args, count, offset)...)
	if err != nil {
		return nil, 0, err
	}
	for _, row := range codes {
		c, _, err := r.organisationConcept(tx, row[0])
		if err != nil {
			return nil, 0, err
		}
		page = append(page, c)
	}
	return page, total, nil
}

// organisationFilter adds a filter of an expansion over organisations.
func (q *where) organisationFilter(f filter) error {
	columns := map[string]string{"name": "o.name", "town": "o.town", "county": "o.county", "country": "o.country", "opStartDate": "o.opened", "opEndDate": "o.closed",
		"lastChangeDate": "o.changed", "primaryRole": "o.role", "code": "o.code",
		"status":         `CASE WHEN o.active = 1 THEN 'active' ELSE 'inactive' END`,
		"inactive":       `CASE WHEN o.active = 1 THEN 'false' ELSE 'true' END`,
		"orgRecordClass": `CASE WHEN o.site = 1 THEN 'RC2' ELSE 'RC1' END`}
	exists := func(table, where string, args ...any) error {
		inner := where
		var v strings.Builder
		for i, text := range strings.Split(f.value, ",") {
			if i > 0 {
				v.WriteString(", ")
			}
			v.WriteString("?")
			args = append(args, bare(text))
		}
		if f.op != "=" && f.op != "in" {
			return noFilter(f)
		}
		q.and(`EXISTS (SELECT 1 FROM `+table+` x WHERE `+inner+` IN (`+v.String()+`))`, args...)
		return nil
	}
	switch column, known := columns[f.property]; {
	case known:
		return q.filter(column, strings.HasSuffix(f.property, "Date"), f)
	case f.property == "postcode":
		f.value = squeezed(f.value)
		return q.filter("o.postcode", false, f)
	case f.property == "role":
		return exists("directory_role", `x.code = o.code AND x.role`)
	case f.property == "predecessor":
		return exists("directory_succession", `x.successor = o.code AND x.code`)
	case f.property == "successor":
		return exists("directory_succession", `x.code = o.code AND x.successor`)
	case RelationshipName(f.property) != "":
		return exists("directory_relation", `x.source = o.code AND x.active = 1 AND x.kind = ? AND x.target`, f.property)
	}
	for _, kind := range areaKinds() {
		if kind == f.property {
			return exists("directory_area", `x.code = o.code AND x.kind = ? AND x.area`, kind)
		}
	}
	return noFilter(f)
}

// bare is the code of system|code.
func bare(text string) string {
	if _, code, found := strings.Cut(text, "|"); found {
		return code
	}
	return text
}

// filter adds op and value over one column. A date's value may begin with gt, lt, ge or le.
func (q *where) filter(column string, date bool, f filter) error {
	switch {
	case f.op == "=" && date:
		prefix, text := "", f.value
		if len(text) > 2 && text[0] >= 'a' && text[0] <= 'z' {
			prefix, text = text[:2], text[2:]
		}
		ops := map[string]string{"": " = ?", "eq": " = ?", "gt": " > ?", "ge": " >= ?", "lt": " < ?", "le": " <= ?"}
		from, to, ok := days(text)
		if !ok || ops[prefix] == "" || from != to {
			return fault.New(fault.Invalid, "HAPI-1940: Invalid Date/Time/Quantity format: %s is a day such as 2024-02-06, perhaps after gt, lt, ge or le.", f.property)
		}
		q.and(column + ` <> ''`)
		q.and(column+ops[prefix], string(from))
	case f.op == "=":
		q.and(column+` = ?`, bare(f.value))
	case f.op == "in":
		var marks []string
		var args []any
		for v := range strings.SplitSeq(f.value, ",") {
			marks, args = append(marks, "?"), append(args, bare(strings.TrimSpace(v)))
		}
		q.and(column+` IN (`+strings.Join(marks, ", ")+`)`, args...)
	default:
		return noFilter(f)
	}
	return nil
}

// noFilter is the published refusal of a filter that a code system does not have.
func noFilter(f filter) error {
	return fault.New(fault.Unprocessable, "No declared filter on Codesystem: %s with %s. An input field has an invalid value for its type.", harmlessName(f.property), harmlessName(f.op))
}
