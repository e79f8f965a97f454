package directory

import (
	"slices"
	"strings"

	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/store"
)

// Identifiers and extensions of systems (SDS specification, Device and Endpoint).
const (
	systemInteraction    = "https://fhir.nhs.uk/Id/nhsServiceInteractionId"
	systemParty          = "https://fhir.nhs.uk/Id/nhsMhsPartyKey"
	systemASID           = "https://fhir.nhs.uk/Id/nhsSpineASID"
	extensionInteraction = "https://fhir.nhs.uk/StructureDefinition/Extension-SDS-NhsServiceInteractionId"
	extensionMaker       = "https://fhir.nhs.uk/StructureDefinition/Extension-SDS-ManufacturingOrganisation"
)

// simple is a keeper whose rows of one table are made of a resource alone.
func (d *Directory) simple(edition int, typ, insert string, width int, table string, make func(res *fhir.Resource) [][]any) record.Keeper {
	return record.Keeper{Name: "directory " + table, Edition: edition, Type: typ, Tenant: d.k.National,
		Ready: func(_ record.Ref, res *fhir.Resource) (any, error) { return make(res), nil },
		Keep: func(tx *store.Tx, kept []record.Kept) error {
			list := rows{insert: insert, width: width}
			for _, k := range kept {
				if k.Before != nil || k.Again {
					if _, err := tx.Exec(`DELETE FROM `+table+` WHERE lane = ? AND id = ?`, int64(k.Version.Lane), k.Version.ID); err != nil {
						return err
					}
				}
				made, _ := k.Made.([][]any)
				for _, row := range made {
					list.add(append([]any{int64(k.Version.Lane), k.Version.ID}, row...)...)
				}
			}
			return list.write(tx)
		}}
}

// moreKeepers keep who works where, what is offered where, places, and which systems answer.
func (d *Directory) moreKeepers() []record.Keeper {
	return append([]record.Keeper{
		d.simple(2, "PractitionerRole", `INSERT INTO directory_job (lane, id, practitioner, organisation, role, active, prescriber, membership, opened, closed)`, 10, "directory_job", jobRow),
		d.simple(4, "HealthcareService", `INSERT INTO directory_service (lane, id, organisation, specialty, folded, active, name, field, kind, sex, wait, youngest, oldest, advice, flows)`, 15, "directory_service", serviceRow),
		d.simple(1, "Location", `INSERT INTO directory_place (lane, id, organisation, name, active)`, 5, "directory_place", placeRow),
		d.simple(1, "Device", `INSERT INTO directory_system (lane, id, kind, interaction, organisation, party, maker, active)`, 8, "directory_system", deviceRows),
		d.simple(1, "Endpoint", `INSERT INTO directory_system (lane, id, kind, interaction, organisation, party, maker, active)`, 8, "directory_system", endpointRows),
	}, d.practitionerKeepers()...)
}

// partyCode is the ODS code of a reference to an organisation; empty when it names none.
func partyCode(n fhir.Node) string {
	if c, err := partyOf(n); err == nil {
		return c.String()
	}
	return ""
}

// isActive is true where active is not said to be false.
func isActive(n fhir.Node) bool { return !n.Exists() || n.Bool() }

func placeRow(res *fhir.Resource) [][]any {
	return [][]any{{partyCode(res.Get("managingOrganization")), res.Get("name").String(), res.Get("status").String() != "inactive"}}
}

func deviceRows(res *fhir.Resource) [][]any {
	maker := ""
	for e := range res.Get("extension").Items() {
		if e.Get("url").String() == extensionMaker {
			maker = e.Get("valueReference.identifier.value").String()
		}
	}
	return systemRows(res, "device", res.Get("owner"), maker, res.Get("status").String() != "inactive")
}

func endpointRows(res *fhir.Resource) [][]any {
	return systemRows(res, "endpoint", res.Get("managingOrganization"), "", res.Get("status").String() == "active")
}

// systemRows is one row for each interaction. A system that names no organisation by its ODS code answers for nobody here.
func systemRows(res *fhir.Resource, kind string, owner fhir.Node, maker string, active bool) [][]any {
	organisation := strings.ToUpper(owner.Get("identifier.value").String())
	if owner.Get("identifier.system").String() != ident.SystemODSCode {
		organisation = partyCode(owner)
	}
	party := ""
	for id := range res.Get("identifier").Items() {
		if id.Get("system").String() == systemParty {
			party = id.Get("value").String()
		}
	}
	var interactions []string
	for e := range res.Get("extension").Items() {
		if e.Get("url").String() == extensionInteraction {
			interactions = append(interactions, e.Get("valueReference.identifier.value").String())
		}
	}
	slices.Sort(interactions)
	interactions = slices.Compact(interactions)
	if len(interactions) == 0 {
		interactions = []string{""}
	}
	var list [][]any
	for _, i := range interactions {
		list = append(list, []any{kind, i, organisation, party, strings.ToUpper(maker), active})
	}
	return list
}
