package directory

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/fhir/search"
	"github.com/openspine/openspine/fhirapi"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/store"
)

const (
	odtPage    = 20     // records on a page when _count is not given
	odtMost    = 50_000 // results that a search may ask for at once
	odtAnswer  = 10 << 20
	odtNameMin = 3
	odtNameMax = 100
	odtPartMin = 2
)

// odtParameters are what the published error names as valid for Organization.
func odtParameters() []string {
	return []string{"_content", "_id", "_lastUpdated", "_profile", "_security", "_source", "_tag", "_text", "active", "activeRoleCode", "address",
		"address-city", "address-country", "address-postalcode", "address-state", "address-use", "endpoint", "identifier", "lastChangeDate", "name",
		"partof", "phonetic", "roleCode", "type"}
}

// where is a condition over directory_organisation, known as o.
type where struct {
	conds []string
	args  []any
}

func (q *where) and(cond string, args ...any) {
	q.conds = append(q.conds, cond)
	q.args = append(q.args, args...)
}

// any adds that one of conds holds, each with its argument; none is false.
func (q *where) any(conds []string, args []any) {
	if len(conds) == 0 {
		conds = []string{"1 = 0"}
	}
	q.and("("+strings.Join(conds, " OR ")+")", args...)
}

func (q *where) sql() string {
	if len(q.conds) == 0 {
		return "1 = 1"
	}
	return strings.Join(q.conds, " AND ")
}

// paging are the parameters about the answer rather than what is looked for.
type paging struct {
	count, offset int
	summary       bool // count alone
	related       bool // _revinclude
	include       []string
}

// readPaging takes the parameters about the answer out of values.
func readPaging(values url.Values) (p paging, err error) {
	p.count = odtPage
	number := func(name string, into *int) {
		text := values.Get(name)
		if text == "" || err != nil {
			return
		}
		n, bad := strconv.Atoi(text)
		if bad != nil || n < 0 {
			err = fault.New(fault.Invalid, "HAPI-0474: Invalid number for %s: it must be a whole number that is not negative.", name)
		}
		*into = n
	}
	number("_count", &p.count)
	number("_offset", &p.offset)
	if err == nil && p.count > odtMost {
		err = fault.New(fault.TooCostly, "Too many records requested (Use _count and _offset)")
	}
	switch s := values.Get("_summary"); s {
	case "", "false":
	case "count":
		p.summary = true
	default:
		err = cmp.Or(err, fault.New(fault.Invalid, "_summary is count here."))
	}
	for _, v := range values["_revinclude"] {
		if v != "OrganizationAffiliation:primary-organization" && v != "OrganizationAffiliation:participating-organization" {
			err = cmp.Or(err, fault.New(fault.Invalid, "_revinclude is OrganizationAffiliation:primary-organization or OrganizationAffiliation:participating-organization."))
		}
		p.related = true
	}
	p.include = values["_include"]
	return p, err
}

// odtSearch finds organisations (ODT, get-organization-resources).
func (d *Directory) odtSearch(w http.ResponseWriter, r *http.Request) error {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "The parameters cannot be read: check what follows each percent sign.")
	}
	page, err := readPaging(values)
	if err != nil {
		return err
	}
	var q where
	for _, name := range slices.Sorted(mapKeys(values)) {
		if slices.Contains([]string{"_count", "_offset", "_summary", "_revinclude", "_format", "_pretty"}, name) {
			continue
		}
		for _, value := range values[name] {
			if err := q.organisation(name, value); err != nil {
				return err
			}
		}
	}
	reads, err := d.reads(r.Context(), "Organization", "OrganizationAffiliation")
	if err != nil {
		return err
	}
	set := searchset{base: d.k.BaseURL() + odtBase, typ: "Organization", values: values, page: page}
	err = d.k.DB.Read(r.Context(), func(tx *store.Tx) error {
		set.matches, set.included = nil, nil
		if err := tx.QueryRow(`SELECT count(*) FROM directory_organisation o WHERE `+q.sql(), q.args...).Scan(&set.total); err != nil || page.summary {
			return err
		}
		codes, err := texts(tx, `SELECT code FROM directory_organisation o WHERE `+q.sql()+` ORDER BY code LIMIT ? OFFSET ?`, 1, append(q.args[:len(q.args):len(q.args)], page.count, page.offset)...)
		if err != nil {
			return err
		}
		return set.read(tx, reads, codes, values["_revinclude"])
	})
	if err != nil {
		return err
	}
	return d.sendSet(w, r, set)
}

// read fetches the page's bodies, and the relationships that _revinclude asks for.
func (s *searchset) read(tx *store.Tx, reads reader, codes [][]string, revincludes []string) error {
	for _, c := range codes {
		v, err := reads.version(tx, s.typ, c[0])
		if err != nil {
			return err
		}
		s.matches = append(s.matches, v)
	}
	column := map[string]string{"OrganizationAffiliation:primary-organization": "source", "OrganizationAffiliation:participating-organization": "target"}
	seen := map[string]bool{}
	for _, by := range revincludes {
		for _, c := range codes {
			list, err := relationsWhere(tx, column[by]+` = ?`, c[0])
			if err != nil {
				return err
			}
			for _, rel := range list {
				if seen[rel.ID] {
					continue
				}
				seen[rel.ID] = true
				v, err := reads.version(tx, "OrganizationAffiliation", rel.ID)
				if err != nil {
					return err
				}
				s.included = append(s.included, v)
			}
		}
	}
	return nil
}

// searchset is a search's answer before it is written.
type searchset struct {
	base, typ string
	values    url.Values
	page      paging
	total     int
	matches   []record.Version
	included  []record.Version
}

// sendSet writes a Bundle as published: the total where it is known at a glance, that is on the last page or as _summary=count.
func (d *Directory) sendSet(w http.ResponseWriter, r *http.Request, s searchset) error {
	link := func(offset int) string {
		values := url.Values{}
		for k, v := range s.values {
			values[k] = v
		}
		if offset > 0 {
			values.Set("_offset", strconv.Itoa(offset))
			values.Set("_count", strconv.Itoa(s.page.count))
		}
		if len(values) == 0 {
			return s.base + "/" + s.typ
		}
		return s.base + "/" + s.typ + "?" + values.Encode()
	}
	links := []fhir.Value{fhir.Obj("relation", "self", "url", s.base+"/"+s.typ+question(r.URL.RawQuery))}
	if s.page.summary {
		return d.sendBundle(w, r, fhir.List(links), fhir.Of(s.total), fhir.Value{})
	}
	var total fhir.Value
	end := s.page.offset + len(s.matches)
	if end < s.total && s.page.count > 0 {
		links = append(links, fhir.Obj("relation", "next", "url", link(end)))
	} else {
		total = fhir.Of(s.total)
	}
	if s.page.offset > 0 && s.page.count > 0 {
		links = append(links, fhir.Obj("relation", "previous", "url", link(max(0, s.page.offset-s.page.count))))
	}
	var entries []fhir.Value
	size := 0
	for i, v := range append(slices.Clone(s.matches), s.included...) {
		mode := "match"
		if i >= len(s.matches) {
			mode = "include"
		}
		body := v.Rendered()
		if size += len(body); size > odtAnswer {
			return fault.New(fault.TooCostly, "Response exceeds APIM size limit: use _count and _offset.")
		}
		entries = append(entries, fhir.Obj("fullUrl", s.base+"/"+v.Ref.String(), "resource", fhir.RawValue(body), "search", fhir.Obj("mode", mode)))
	}
	return d.sendBundle(w, r, fhir.List(links), total, fhir.List(entries))
}

func question(raw string) string {
	if raw == "" {
		return ""
	}
	return "?" + raw
}

func (d *Directory) sendBundle(w http.ResponseWriter, r *http.Request, links, total, entries fhir.Value) error {
	return fhirapi.Answer(w, r, http.StatusOK, fhir.Obj("resourceType", "Bundle", "id", uuid.NewString(),
		"meta", fhir.Obj("lastUpdated", d.k.Clock.Now().Truncate(time.Millisecond)), "type", "searchset", "total", total, "link", links, "entry", entries).JSON())
}

// odtRead is one resource (ODT, get-single-organization, get-single-organizationaffiliation).
func (d *Directory) odtRead(typ string) func(w http.ResponseWriter, r *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		reads, err := d.reads(r.Context(), typ)
		if err != nil {
			return err
		}
		var v record.Version
		err = d.k.DB.Read(r.Context(), func(tx *store.Tx) error {
			v, err = reads.version(tx, typ, r.PathValue("id"))
			return err
		})
		if fault.Is(err, fault.NotFound) {
			return fault.New(fault.NotFound, "HAPI-2001: Resource %s/%s is not known", typ, harmless(r.PathValue("id")))
		}
		if err != nil {
			return err
		}
		w.Header().Set("ETag", `W/"`+v.VersionID()+`"`)
		return fhirapi.Answer(w, r, http.StatusOK, v.Rendered())
	}
}

// harmless is an id as it may be said back: of the characters of FHIR ids, at most 64.
func harmless(id string) string {
	if _, err := ident.ParseFHIRID(id); err != nil {
		return "…"
	}
	return id
}

// organisation adds one parameter of the Organization search.
func (q *where) organisation(name, value string) error {
	base, modifier, _ := strings.Cut(name, ":")
	switch base {
	case "_id", "identifier":
		return q.code(base, modifier, value)
	case "lastChangeDate", "_lastUpdated":
		return q.date(base, modifier, value)
	case "name", "address-city", "address-country", "address-state", "address-postalcode", "address", "_text", "_content":
		return q.text(base, modifier, value)
	case "roleCode", "activeRoleCode":
		return q.role(base, modifier, value)
	case "active":
		if value != "true" && value != "false" || modifier != "" {
			return fault.New(fault.Invalid, "HAPI-1940: Invalid boolean format: active is true or false.")
		}
		q.and(`o.active = ?`, value == "true")
		return nil
	case "phonetic":
		return q.phonetic(value)
	case "type":
		return q.class(value)
	case "_source":
		q.and(`o.source = ?`, value)
		return nil
	case "_profile":
		if value != profileOrganization && value != profileUKOrganization {
			q.and(`1 = 0`)
		}
		return nil
	case "_tag", "_security", "address-use", "endpoint", "partof":
		q.and(`1 = 0`) // no organisation of the register carries these
		return nil
	}
	return unknownParameter("Organization", harmlessName(name), odtParameters())
}

func unknownParameter(typ, name string, valid []string) error {
	return fault.New(fault.Invalid, "HAPI-0524: Unknown search parameter %q for resource type %q. Valid search parameters for this search are: [%s]", name, typ, strings.Join(valid, ", "))
}

// harmlessName is a parameter's name as it may be said back.
func harmlessName(s string) string {
	keep := func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_-:.", r) {
			return r
		}
		return -1
	}
	s = strings.Map(keep, s)
	return s[:min(len(s), 64)]
}

func badModifier(name, modifier string) error {
	return fault.New(fault.Invalid, "HAPI-1239: The modifier :%s is not possible for %s.", harmlessName(modifier), name)
}

func (q *where) code(name, modifier, value string) error {
	if modifier != "" {
		return badModifier(name, modifier)
	}
	var conds []string
	var args []any
	for v := range strings.SplitSeq(value, ",") {
		if system, code, found := strings.Cut(v, "|"); found && name == "identifier" {
			if system != ident.SystemODSCode && system != "" {
				continue
			}
			v = code
		}
		conds, args = append(conds, `o.code = ?`), append(args, strings.ToUpper(v))
	}
	q.any(conds, args)
	return nil
}

// date reads gt, lt, ge, le, ne, eq or no prefix and a year, month or day.
func (q *where) date(name, modifier, value string) error {
	if modifier != "" {
		return badModifier(name, modifier)
	}
	prefix, text := "eq", value
	if len(value) > 2 && value[0] >= 'a' && value[0] <= 'z' {
		prefix, text = value[:2], value[2:]
	}
	from, to, ok := days(text)
	ops := map[string]string{"gt": `%[1]s > %[3]s`, "ge": `%[1]s >= %[2]s`, "lt": `%[1]s < %[2]s`, "le": `%[1]s <= %[3]s`, "eq": `%[1]s >= %[2]s AND %[1]s <= %[3]s`, "ne": `(%[1]s < %[2]s OR %[1]s > %[3]s)`}
	op, known := ops[prefix]
	if !ok || !known {
		return fault.New(fault.Invalid, "HAPI-1940: Invalid Date/Time/Quantity format: %s is a day such as 2024-02-06, perhaps after gt, lt, ge or le.", name)
	}
	if name == "_lastUpdated" {
		a, _ := time.Parse(time.DateOnly, string(from))
		b, _ := time.Parse(time.DateOnly, string(to))
		cond := fmt.Sprintf(op, "o.at", strconv.FormatInt(a.UnixMicro(), 10), strconv.FormatInt(b.AddDate(0, 0, 1).UnixMicro()-1, 10))
		q.and(cond)
		return nil
	}
	q.and(fmt.Sprintf(op, "o.changed", "'"+string(from)+"'", "'"+string(to)+"'"))
	q.and(`o.changed <> ''`)
	return nil
}

// days are the first and last day of a year, month or day; an instant is its day.
func days(text string) (from, to Day, ok bool) {
	for _, layout := range []struct {
		form                string
		years, months, days int
	}{{"2006", 1, 0, 0}, {"2006-01", 0, 1, 0}, {time.DateOnly, 0, 0, 1}, {time.RFC3339, 0, 0, 1}} {
		if t, err := time.Parse(layout.form, text); err == nil && t.Year() >= 1000 {
			return DayOf(t), DayOf(t.AddDate(layout.years, layout.months, layout.days).AddDate(0, 0, -1)), true
		}
	}
	return "", "", false
}

// like is a text for LIKE with its wildcards escaped.
func like(s string) string { return strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(s) }

func (q *where) text(name, modifier, value string) error {
	if modifier != "" && modifier != "contains" && modifier != "exact" {
		return badModifier(name, modifier)
	}
	if err := searchable(name, value); err != nil {
		return err
	}
	folded, exact := map[string]string{"name": "o.folded", "address-city": "o.foldtown", "address-country": "o.country", "address-state": "o.county",
		"address-postalcode": "o.postcode"}[name], map[string]string{"name": "o.name", "address-city": "o.town", "address-country": "o.country"}[name]
	v := search.Fold(value)
	switch {
	case name == "_text" || name == "_content":
		q.and(`(o.folded LIKE ? ESCAPE '\' OR o.address LIKE ? ESCAPE '\')`, "%"+like(v)+"%", "%"+like(v)+"%")
	case name == "address":
		if modifier == "" {
			v = "|" + v
		}
		q.and(`o.address LIKE ? ESCAPE '\'`, "%"+like(v)+"%")
	case name == "address-postalcode" && modifier == "exact":
		q.and(`o.postcode = ?`, strings.ReplaceAll(value, " ", ""))
	case modifier == "exact" && exact != "":
		q.and(exact+` = ?`, value)
	case modifier == "exact":
		q.and(folded+` = ?`, v)
	default:
		switch name {
		case "address-postalcode":
			v = squeezed(value)
		case "address-country":
			v = strings.ToUpper(v)
		}
		if modifier == "contains" {
			q.and(folded+` LIKE ? ESCAPE '\'`, "%"+like(v)+"%")
			break
		}
		q.and(folded+` >= ? AND `+folded+` < ?`, v, v+"\U0010FFFF") // begins with v; an index serves it
	}
	return nil
}

// searchable holds a text to what is published: the length and characters of names and addresses.
func searchable(name, value string) error {
	least, most := odtPartMin, odtNameMax
	allowed := func(r rune) bool {
		return r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == ' '
	}
	switch name {
	case "name":
		least = odtNameMin
		fallthrough
	case "address", "_text", "_content", "address-city", "address-state":
		plain := allowed
		allowed = func(r rune) bool { return plain(r) || strings.ContainsRune("&()'’+-_./:@,", r) || r > 0x7f }
	}
	if n := len([]rune(strings.TrimSpace(value))); n < least || n > most {
		return fault.New(fault.Invalid, "%s must have %d to %d characters.", name, least, most)
	}
	for _, r := range value {
		if !allowed(r) {
			return fault.New(fault.Invalid, "%s holds a character that cannot be searched for.", name)
		}
	}
	return nil
}

// role is one roleCode parameter: several codes in one are alternatives, several parameters must all hold.
func (q *where) role(name, modifier, value string) error {
	if modifier != "" && modifier != "not" {
		return badModifier(name, modifier)
	}
	var marks []string
	var args []any
	for v := range strings.SplitSeq(value, ",") {
		if system, code, found := strings.Cut(v, "|"); found {
			if system != SystemRole {
				continue
			}
			v = code
		}
		marks, args = append(marks, "?"), append(args, v)
	}
	cond := `EXISTS (SELECT 1 FROM directory_role r WHERE r.code = o.code`
	if len(marks) > 0 {
		cond += ` AND r.role IN (` + strings.Join(marks, ", ") + `)`
	} else {
		cond += ` AND 1 = 0`
	}
	if name == "activeRoleCode" {
		cond += ` AND r.active = 1`
	}
	cond += `)`
	if modifier == "not" {
		cond = `NOT ` + cond
	}
	q.and(cond, args...)
	return nil
}

// class is the type parameter: the record class or the record use.
func (q *where) class(value string) error {
	_, code, found := strings.Cut(value, "|")
	if !found {
		code = value
	}
	switch code {
	case "RC1", "RC2":
		q.and(`o.site = ?`, code == "RC2")
	case "Full":
	default:
		q.and(`1 = 0`)
	}
	return nil
}

// phonetic finds names by how they sound: each word of the value begins a word of the name.
func (q *where) phonetic(value string) error {
	list := wordsOf(value)
	if len(list) == 0 || len(list) > 10 {
		return fault.New(fault.Invalid, "phonetic needs one to ten words.")
	}
	for _, word := range list {
		q.and(`EXISTS (SELECT 1 FROM directory_word w WHERE w.code = o.code AND w.sound = ?)`, soundOf(word))
	}
	return nil
}

func mapKeys(values url.Values) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for k := range values {
			if !yield(k) {
				return
			}
		}
	}
}
