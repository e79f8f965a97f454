package directory

import (
	"slices"
	"strconv"
	"strings"

	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
)

// concept is one entry of a code system with its properties.
type concept struct {
	code, display string
	inactive      bool
	properties    []property
}

// property is one fact about a concept: kind is the FHIR type of its value (Code, String, Boolean, DateTime, Coding).
type property struct{ code, kind, value, system string }

// codeSystem is one of the published code systems (ODT, "CodeSystems to support the full range of ODS Content").
type codeSystem struct {
	url, id, name string
	properties    []string // the codes of its properties
	// large ones are looked up and expanded, and not returned whole.
	large bool
	// find is the concept with a code; ok is false when there is none.
	find func(tx *store.Tx, code string) (c concept, ok bool, err error)
	// list is the concepts that filters leave, from an offset, at most count of them, and how many there are in all.
	list func(tx *store.Tx, filters []filter, activeOnly bool, offset, count int) (page []concept, total int, err error)
}

// filter is one condition of an expansion.
type filter struct{ property, op, value string }

// codeSystems are the published code systems over what the directory holds. r reads its resources.
func (d *Directory) codeSystems(r reader) []codeSystem {
	return append([]codeSystem{
		{url: ident.SystemODSCode, id: "ods-organization-code", name: "ODS Organisation", large: true, properties: organisationProperties(),
			find: r.organisationConcept, list: r.organisationConcepts},
		tableSystem(systemRelationInstance, "organization-relationship-instance", "ODS Organisation Relationship Instance", `directory_relation`,
			[]column{{"id", "", ""}, {"kind", "relationship", SystemRelationship}, {"source", "source", ident.SystemODSCode}, {"target", "target", ident.SystemODSCode},
				{"active", "status", ""}, {"opened", "opStartDate", ""}, {"closed", "opEndDate", ""}}),
		tableSystem(systemRoleInstance, "organization-role-instance", "ODS Organisation Role Instance", `directory_role`,
			[]column{{"CAST(instance AS TEXT)", "", ""}, {"code", "organisation", ident.SystemODSCode}, {"role", "role", SystemRole}, {"active", "status", ""},
				{"opened", "opStartDate", ""}, {"closed", "opEndDate", ""}}),
		tableSystem(systemSuccession, "succession", "ODS Succession", `directory_succession`,
			[]column{{"code || '-' || successor", "", ""}, {"code", "predecessor", ident.SystemODSCode}, {"successor", "successor", ident.SystemODSCode}, {"at", "legStartDate", ""}}),
		tableSystem(SystemGeography, "geography-name", "Geography Name", `(SELECT DISTINCT area, kind FROM directory_area) a`,
			[]column{{"area", "", ""}, {"kind", "type", ""}}),
		fixedSystem(SystemRole, "ODSOrganisationRole", "ODS Organisation Role", roleCodes(), true),
		fixedSystem(SystemRelationship, "ODSRelationship", "ODS Relationship", relationshipCodes(), false),
		fixedSystem(SystemRecordClass, "ODSRecordClass", "ODS Record Class", recordClasses(), false),
		fixedSystem(SystemRecordUse, "England-ODSRecordUseType", "ODS Record Use Type", recordUses(), false),
		postcodeSystem(),
	}, practitionerSystems()...)
}

// Systems that only the code systems name.
const (
	systemSuccession            = "https://digital.nhs.uk/services/organisation-data-service/CodeSystem/succession"
	systemPractitioner          = "https://digital.nhs.uk/services/organisation-data-service/CodeSystem/practitioner"
	systemPractitionerRelation  = "https://digital.nhs.uk/services/organisation-data-service/CodeSystem/practitioner-relationship-instance"
	systemPractitionerAttribute = "https://digital.nhs.uk/services/organisation-data-service/CodeSystem/practitioner-additional-attribute"
	systemPostcode              = "https://digital.nhs.uk/services/organisation-data-service/CodeSystem/postcode"
	systemPractitionerRole      = "https://digital.nhs.uk/services/organisation-data-service/CodeSystem/practitioner-role"
)

// named finds a code system by its URL.
func named(list []codeSystem, url string) (codeSystem, bool) {
	i := slices.IndexFunc(list, func(s codeSystem) bool { return s.url == url })
	if i < 0 {
		return codeSystem{}, false
	}
	return list[i], true
}

// fixedSystem is a code system that is a table in this program.
func fixedSystem(url, id, name string, list []code, primary bool) codeSystem {
	s := codeSystem{url: url, id: id, name: name}
	if primary {
		s.properties = []string{"primaryRole"}
	}
	of := func(c code) concept {
		k := concept{code: c.Code, display: c.Name}
		if primary {
			k.properties = []property{{"primaryRole", "Boolean", strconv.FormatBool(c.Primary), ""}}
		}
		return k
	}
	s.find = func(_ *store.Tx, code string) (concept, bool, error) {
		for _, c := range list {
			if c.Code == code {
				return of(c), true, nil
			}
		}
		return concept{}, false, nil
	}
	s.list = func(_ *store.Tx, filters []filter, _ bool, offset, count int) (page []concept, total int, err error) {
		for _, c := range list {
			k, keep := of(c), true
			for _, f := range filters {
				if !slices.Contains(s.properties, f.property) {
					return nil, 0, noFilter(f)
				}
				keep = keep && slices.ContainsFunc(k.properties, func(p property) bool { return p.code == f.property && p.value == f.value })
			}
			if !keep {
				continue
			}
			if total++; total > offset && len(page) < count {
				page = append(page, k)
			}
		}
		return page, total, nil
	}
	return s
}

// column is a column of a table as a property: the first of a table is the code itself. A column called active is a status.
type column struct{ sql, property, system string }

// tableSystem is a code system over one of the directory's own tables.
func tableSystem(url, id, name, table string, columns []column) codeSystem {
	s := codeSystem{url: url, id: id, name: name, large: true}
	var list []string
	for _, c := range columns {
		text := c.sql
		if c.sql == "active" {
			text = `CASE WHEN active = 1 THEN 'active' ELSE 'inactive' END`
		}
		list = append(list, text)
		if c.property != "" {
			s.properties = append(s.properties, c.property)
		}
	}
	query := `SELECT ` + strings.Join(list, ", ") + ` FROM ` + table
	read := func(tx *store.Tx, rest string, args ...any) (page []concept, err error) {
		found, err := texts(tx, query+rest, len(columns), args...)
		for _, row := range found {
			k := concept{code: row[0], display: row[0]}
			for i, c := range columns[1:] {
				if c.property == "name" && row[i+1] != "" {
					k.display = row[i+1]
				}
				k.properties = append(k.properties, c.of(row[i+1])...)
				k.inactive = k.inactive || c.sql == "active" && row[i+1] == "inactive"
			}
			page = append(page, k)
		}
		return page, err
	}
	s.find = func(tx *store.Tx, code string) (concept, bool, error) {
		page, err := read(tx, ` WHERE `+columns[0].sql+` = ?`, code)
		if err != nil || len(page) == 0 {
			return concept{}, false, err
		}
		return page[0], true, nil
	}
	s.list = func(tx *store.Tx, filters []filter, activeOnly bool, offset, count int) (page []concept, total int, err error) {
		var q where
		for _, f := range filters {
			i := slices.IndexFunc(columns, func(c column) bool { return c.property != "" && c.property == f.property })
			if i < 0 {
				return nil, 0, noFilter(f)
			}
			if err := q.filter(list[i], strings.HasSuffix(f.property, "Date"), f); err != nil {
				return nil, 0, err
			}
		}
		if activeOnly && slices.ContainsFunc(columns, func(c column) bool { return c.sql == "active" }) {
			q.and(`active = 1`)
		}
		if err := tx.QueryRow(`SELECT count(*) FROM `+table+` WHERE `+q.sql(), q.args...).Scan(&total); err != nil {
			return nil, 0, err
		}
		page, err = read(tx, ` WHERE `+q.sql()+` ORDER BY 1 LIMIT ? OFFSET ?`, append(q.args, count, offset)...)
		return page, total, err
	}
	return s
}

func (c column) of(value string) []property {
	switch {
	case value == "":
		return nil
	case c.system != "" && c.system != ident.SystemODSCode:
		return []property{{c.property, "Coding", value, c.system}}
	case c.system != "" || c.sql == "active":
		return []property{{c.property, "Code", value, ""}}
	case strings.HasSuffix(c.property, "Date"):
		return []property{{c.property, "DateTime", value, ""}}
	}
	return []property{{c.property, "String", value, ""}}
}
