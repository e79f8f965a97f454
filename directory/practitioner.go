package directory

import (
	"strings"

	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/fhir/search"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/web/format"
)

// mostIdentifiers is how many identifiers of a practitioner the code system shows, numbered from 1.
const mostIdentifiers = 8

// practitionerKeepers keep who practises and under which identifiers.
func (d *Directory) practitionerKeepers() []record.Keeper {
	return []record.Keeper{
		d.simple(1, "Practitioner", `INSERT INTO directory_practitioner (lane, id, code, name, folded, active)`, 6, "directory_practitioner", practitionerRow),
		d.simple(1, "Practitioner", `INSERT INTO directory_practitioner_identifier (lane, id, number, system, value, issuer, assigner, opened, closed)`, 9,
			"directory_practitioner_identifier", practitionerIdentifiers),
	}
}

func practitionerRow(res *fhir.Resource) [][]any {
	code := res.ID()
	for id := range res.Get("identifier").Items() {
		if id.Get("system").String() == systemPractitioner {
			code = id.Get("value").String()
			break
		}
	}
	name := practitionerName(res)
	return [][]any{{code, name, search.Fold(name), isActive(res.Get("active"))}}
}

func practitionerIdentifiers(res *fhir.Resource) (list [][]any) {
	for id := range res.Get("identifier").Items() {
		if len(list) == mostIdentifiers {
			return list
		}
		issuer := id.Get("assigner.identifier.value").String()
		if issuer == "" {
			issuer = strings.TrimPrefix(id.Get("assigner.reference").String(), "Organization/")
		}
		span := readSpan(id.Get("period"))
		list = append(list, []any{len(list) + 1, id.Get("system").String(), id.Get("value").String(), issuer, id.Get("assigner.display").String(), string(span.From), string(span.To)})
	}
	return list
}

// practitionerName is a name as people read it: SMITH, John (Mr).
func practitionerName(res *fhir.Resource) string {
	n := res.Get("name.0")
	var given []string
	for g := range n.Get("given").Items() {
		given = append(given, g.String())
	}
	if text := n.Get("text").String(); text != "" && n.Get("family").String() == "" {
		return text
	}
	return format.Name(n.Get("family").String(), strings.Join(given, " "), n.Get("prefix.0").String())
}

// jobRow is who works where and as what: their national job role, how the register of prescribers classifies them, since and until when.
func jobRow(res *fhir.Resource) [][]any {
	role, prescriber := "", ""
	for c := range res.Get("code").Items() {
		for one := range c.Get("coding").Items() {
			switch system := one.Get("system").String(); {
			case system == systemPractitionerRole:
				prescriber = one.Get("code").String()
			case role == "" || system == SystemJobRole:
				role = one.Get("code").String()
			}
		}
	}
	who := strings.TrimPrefix(res.Get("practitioner.reference").String(), "Practitioner/")
	if who == "" {
		who = res.Get("practitioner.identifier.value").String()
	}
	span := readSpan(res.Get("period"))
	return [][]any{{who, partyCode(res.Get("organization")), role, isActive(res.Get("active")), prescriber, membershipOf(prescriber), string(span.From), string(span.To)}}
}

// practitionerSystems are the code systems about those who practise (ODT, "Practitioner data").
func practitionerSystems() []codeSystem {
	job := func(column, more string) string {
		return `coalesce((SELECT j.` + column + ` FROM directory_job j WHERE j.practitioner = p.id AND ` + more + ` ORDER BY j.active DESC, j.opened DESC, j.id LIMIT 1), '')`
	}
	kind := `CASE`
	for _, t := range []string{"PGP", "PNURSE", "PDENTCON", "PHOSPCON"} {
		kind += ` WHEN ` + job("prescriber", `j.prescriber <> ''`) + ` LIKE '` + t + `%' THEN '` + t + `'`
	}
	kind += ` ELSE '' END`
	columns := []column{{"p.code", "", ""}, {"active", "status", ""}, {"p.name", "name", ""}, {kind, "type", systemPractitionerRole},
		{job("prescriber", `j.prescriber <> ''`), "role", systemPractitionerRole},
		{job("organisation", `j.membership = 'ME1' AND j.active = 1`), "ME1", ident.SystemODSCode}, {job("organisation", `j.membership = 'ME4' AND j.active = 1`), "ME4", ident.SystemODSCode}}
	for n := range mostIdentifiers {
		columns = append(columns, column{`coalesce((SELECT i.value FROM directory_practitioner_identifier i WHERE i.id = p.id AND i.number = ` + itoa(n+1) + `), '')`, itoa(n + 1), ""})
	}
	people := tableSystem(systemPractitioner, "practitioner", "ODS Practitioner", `directory_practitioner p`, columns)
	code := `coalesce((SELECT p.code FROM directory_practitioner p WHERE p.id = j.practitioner LIMIT 1), j.practitioner)`
	return []codeSystem{
		people,
		tableSystem(systemPractitionerAttribute, "practitioner-additional-attribute", "ODS Practitioner Additional Attribute",
			`directory_practitioner_identifier i JOIN directory_practitioner p ON p.lane = i.lane AND p.id = i.id`,
			[]column{{"p.code || '-' || i.number", "", ""}, {"p.code", "practitioner", systemPractitioner}, {"CAST(i.number AS TEXT)", "number", ""}, {"i.value", "identifier", ""},
				{"i.system", "system", ""}, {"i.assigner", "issuingAuthority", ""}, {"i.issuer", "issuingAuthorityCode", ident.SystemODSCode}, {"i.opened", "opStartDate", ""}, {"i.closed", "opEndDate", ""}}),
		tableSystem(systemPractitionerRelation, "practitioner-relationship-instance", "ODS Practitioner Relationship Instance", `directory_job j`,
			[]column{{"j.id", "", ""}, {code, "practitioner", systemPractitioner}, {"j.organisation", "organisation", ident.SystemODSCode}, {"j.role", "role", SystemJobRole},
				{"j.prescriber", "practitionerRole", systemPractitionerRole}, {"j.membership", "relationship", ""}, {"active", "status", ""}, {"j.opened", "opStartDate", ""}, {"j.closed", "opEndDate", ""}}),
		fixedSystem(systemPractitionerRole, "practitioner-role", "ODS Practitioner Role", prescriberCodes(), false),
		fixedSystem(SystemJobRole, "NHSDigital-SDS-JobRoleCode", "National job roles", jobRoleCodes(), false),
	}
}
