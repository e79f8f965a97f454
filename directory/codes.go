package directory

import (
	"slices"
	"strings"
)

// The code systems of the published directory APIs.
const (
	SystemRole         = "https://digital.nhs.uk/services/organisation-data-service/CodeSystem/ODSOrganisationRole"
	SystemRelationship = "https://digital.nhs.uk/services/organisation-data-service/CodeSystem/ODSRelationship"
	SystemRecordClass  = "https://digital.nhs.uk/services/organisation-data-service/CodeSystem/ODSRecordClass"
	SystemRecordUse    = "https://fhir.nhs.uk/England/CodeSystem/England-ODSRecordUseType"
	SystemGeography    = "https://digital.nhs.uk/services/organisation-data-service/CodeSystem/geography-name"
	// SystemJobRole are the national role-based access codes: staff group, sub-group and job role in one.
	SystemJobRole = "https://fhir.nhs.uk/CodeSystem/NHSDigital-SDS-JobRoleCode"

	systemRoleInstance     = "https://digital.nhs.uk/services/organisation-data-service/CodeSystem/organization-role-instance"
	systemRelationInstance = "https://digital.nhs.uk/services/organisation-data-service/CodeSystem/organization-relationship-instance"
	systemPeriodType       = "https://fhir.nhs.uk/England/CodeSystem/England-PeriodType"
	systemDateTime         = "https://fhir.nhs.uk/England/CodeSystem/England-ODSDateTime"
	systemAddressKey       = "https://fhir.hl7.org.uk/CodeSystem/UKCore-AddressKeyType"
)

// code is one entry of a code system: whether it is primary matters for roles alone.
type code struct {
	Code, Name string
	Primary    bool
}

// RoleName is a role as the register writes it: GP PRACTICE for RO76; empty for a role that is not known here.
func RoleName(role string) string { return nameIn(roleCodes(), role) }

// RelationshipName is a kind of relationship as the register writes it: IS COMMISSIONED BY for RE4.
func RelationshipName(kind string) string { return nameIn(relationshipCodes(), kind) }

func nameIn(list []code, c string) string {
	i := slices.IndexFunc(list, func(k code) bool { return k.Code == c })
	if i < 0 {
		return ""
	}
	return list[i].Name
}

func rolePrimary(role string) bool {
	list := roleCodes()
	i := slices.IndexFunc(list, func(k code) bool { return k.Code == role })
	return i >= 0 && list[i].Primary
}

// relationshipCodes is the ODSRelationship code system.
func relationshipCodes() []code { return relationships }

var relationships = []code{
	{"RE2", "IS A SUB-DIVISION OF", false},
	{"RE3", "IS DIRECTED BY", false},
	{"RE4", "IS COMMISSIONED BY", false},
	{"RE5", "IS LOCATED IN THE GEOGRAPHY OF", false},
	{"RE6", "IS OPERATED BY", false},
	{"RE8", "IS PARTNER TO", false},
	{"RE9", "IS NOMINATED PAYEE FOR", false},
	{"RE10", "IS COVID NOMINATED PAYEE FOR", false},
	{"RE11", "IS CONSTITUENT OF", false},
}

// recordClasses is the ODSRecordClass code system.
func recordClasses() []code {
	return []code{{"RC1", "HSCOrg", false}, {"RC2", "HSCSite", false}}
}

// recordUses is the England-ODSRecordUseType code system.
func recordUses() []code {
	return []code{{"Full", "Full", false}, {"RefOnly", "RefOnly", false}}
}

// setting is one prescribing setting of the ODS files and the roles that stand for it.
type setting struct {
	Code, Name string
	Roles      []string
}

// settings are the prescribing settings of epraccur (column 26). Three have no role of their own that could be confirmed and stand
// as RO72, other prescribing cost centre.
func settings() []setting { return prescribingSettings }

var prescribingSettings = []setting{
	{"0", "Other", []string{"RO72"}},
	{"1", "Walk-in centre", []string{"RO87"}},
	{"2", "Out of hours", []string{"RO80"}},
	{"3", "Walk-in centre and out of hours", []string{"RO87", "RO80"}},
	{"4", "GP practice", []string{"RO76"}},
	{"8", "Public health service", []string{"RO255"}},
	{"9", "Community health service", []string{"RO247"}},
	{"10", "Hospital service", []string{"RO250"}},
	{"11", "Optometry service", []string{"RO252"}},
	{"12", "Urgent and emergency care", []string{"RO259"}},
	{"13", "Hospice", []string{"RO249"}},
	{"14", "Care home or nursing home", []string{"RO246"}},
	{"15", "Border force", []string{"RO72"}},
	{"16", "Young offender institution", []string{"RO260"}},
	{"17", "Secure training centre", []string{"RO257"}},
	{"18", "Secure children's home", []string{"RO256"}},
	{"19", "Immigration removal centre", []string{"RO251"}},
	{"20", "Court", []string{"RO72"}},
	{"21", "Police custody", []string{"RO72"}},
	{"22", "Sexual assault referral centre", []string{"RO258"}},
	{"24", "Other, justice estate", []string{"RO72"}},
	{"25", "Prison", []string{"RO82"}},
}

func settingOf(c string) (setting, bool) {
	i := slices.IndexFunc(settings(), func(s setting) bool { return s.Code == c })
	if i < 0 {
		return setting{}, false
	}
	return settings()[i], true
}

// settingRole reports whether a role says what a prescribing setting says, so that the one follows the other.
func settingRole(role string) bool {
	return slices.ContainsFunc(settings(), func(s setting) bool { return slices.Contains(s.Roles, role) })
}

// counties are the last line of an address in the ODS files where it is a county rather than a town.
func county(line string) bool { return strings.Contains(countyNames, "|"+line+"|") }

const countyNames = "|AVON|BEDFORDSHIRE|BERKSHIRE|BUCKINGHAMSHIRE|CAMBRIDGESHIRE|CHESHIRE|CLEVELAND|CLWYD|CO DURHAM|CO.DURHAM|CONWY|CORNWALL|" +
	"COUNTY DURHAM|CUMBRIA|DENBIGHSHIRE|DERBYSHIRE|DEVON|DORSET|DYFED|EAST SUSSEX|EAST YORKSHIRE|ESSEX|FLINTSHIRE|GLOUCESTERSHIRE|" +
	"GREATER LONDON|GREATER MANCHESTER|GUERNSEY|GWENT|GWYNEDD|HAMPSHIRE|HEREFORDSHIRE|HERTFORDSHIRE|HUMBERSIDE|ISLE OF MAN|ISLE OF WIGHT|" +
	"JERSEY|KENT|LANCASHIRE|LEICESTERSHIRE|LINCOLNSHIRE|MERSEYSIDE|MID GLAMORGAN|MIDDLESEX|NORFOLK|NORTH EAST LINCOLNSHIRE|" +
	"NORTH LINCOLNSHIRE|NORTH SOMERSET|NORTH YORKSHIRE|NORTHAMPTONSHIRE|NORTHUMBERLAND|NOTTINGHAMSHIRE|OXFORDSHIRE|POWYS|RUTLAND|" +
	"SHROPSHIRE|SOMERSET|SOUTH GLAMORGAN|SOUTH YORKSHIRE|STAFFORDSHIRE|SUFFOLK|SURREY|TYNE & WEAR|TYNE AND WEAR|WARWICKSHIRE|" +
	"WEST GLAMORGAN|WEST MIDLANDS|WEST SUSSEX|WEST YORKSHIRE|WILTSHIRE|WORCESTERSHIRE|YNYS MON|YORKSHIRE|"
