package events

import (
	"slices"
	"strings"

	"github.com/openspine/openspine/demographics"
)

// kind is a type of event as the published catalogue names it.
type kind struct {
	name string
	// filters are what a subscription may filter by, beside the type; one that ends in * stands for all that begin so.
	filters []string
	// places are those of the filters that tell where somebody is: the event of a restricted person has none of them.
	places []string
	// register says that the national register alone tells of it.
	register bool
	// parties are those of the filters that name the organisations whose business it is: they alone are told, and the national organisation.
	parties []string
	// sees is the type that they must be allowed to see; bookings when it is empty.
	sees string
	// legacy says that it is published in the shape before CloudEvents.
	legacy bool
}

// The organisations whose business a referral is, as package referral notes them.
const (
	referralPractice = "requestingOrganisationODS"
	referralProvider = "performingOrganisationODS"
)

// What a stay may be filtered by, beside whose it is.
const (
	registeredPractice = "registeredgpodscode"
	encounterStatus    = "encounterstatus" // planned, in-progress, finished … (https://hl7.org/fhir/R4/valueset-encounter-status.html)
	encounterClass     = "encounterclass"  // IMP, EMER … (http://terminology.hl7.org/CodeSystem/v3-ActCode)
)

// What a visit may be filtered by, as package referral notes it.
const (
	visitState = "visitstate" // booked, arrived, attended, did-not-attend, cancelled
	visitKind  = "visitkind"  // referral, follow-up
)

// kinds are the types of event there are (MNS specification, "Publish an event" and "Subscribe to events"; signal-schemas), and those of referrals and of visits, which nobody has published.
func kinds() []kind {
	return []kind{
		{name: demographics.ReferralChange, register: true, filters: []string{"nhsnumber", referralPractice, referralProvider, "referralstate", "action", "ubrn"},
			places: []string{referralPractice, referralProvider}, parties: []string{referralPractice, referralProvider}},
		{name: demographics.VisitChange, register: true, filters: []string{"nhsnumber", referralPractice, referralProvider, visitState, visitKind, "outcome", "ubrn"},
			places: []string{referralPractice, referralProvider}, parties: []string{referralPractice, referralProvider}},
		{name: demographics.EncounterChange, register: true, filters: []string{"nhsnumber", referralProvider, registeredPractice, encounterStatus, encounterClass},
			places: []string{referralProvider, registeredPractice}, parties: []string{referralProvider, registeredPractice}, sees: "Encounter"},
		{name: "example-event-1", filters: []string{"filter_option_*"}},
		{name: "gpreg-change-gp-req-1", filters: []string{"registrationencountercode", "generalpractitioner"}, places: []string{"generalpractitioner"}},
		{name: "imms-vaccination-record-change-1", filters: []string{"generalpractitioner", "sourceorganisation", "sourceapplication", "subjectage", "immunisationtype", "action"},
			places: []string{"generalpractitioner", "sourceorganisation"}},
		{name: "mns-test-signal-1"},
		{name: "nhs-number-change-1", register: true, legacy: true},
		{name: "nhs-number-change-2", register: true, filters: []string{"nhsnumber"}},
		{name: "nhshco-hc-complete-1", filters: []string{"gppractice"}, places: []string{"gppractice"}},
		{name: "pathology-laboratory-reporting-test-result-stored-1", filters: []string{"requestingOrganisationODS"}, places: []string{"requestingOrganisationODS"}},
		{name: "patientflags-change-1", filters: []string{"flagtype", "generalpractitioner", "origin"}, places: []string{"generalpractitioner"}},
		{name: "pdm-resource-change-1"},
		{name: "pds-change-of-gp-1", register: true, legacy: true},
		{name: "pds-change-of-gp-2", register: true, filters: []string{"nhsnumber", "registeredgpodscode"}, places: []string{"registeredgpodscode"}},
		{name: "pds-death-notification-1", register: true, legacy: true},
		{name: "pds-death-notification-2", register: true, filters: []string{"nhsnumber"}},
		{name: "pds-record-change-2", register: true, filters: []string{"changed_*", "registeredgpodscode", "nhsnumber"}, places: []string{"registeredgpodscode"}},
		{name: "vrs-proxy-role-changed-1", filters: []string{"patient_ods_code", "proxy_ods_code"}, places: []string{"patient_ods_code", "proxy_ods_code"}},
		{name: "vrs-proxy-role-created-1", filters: []string{"patient_ods_code", "proxy_ods_code"}, places: []string{"patient_ods_code", "proxy_ods_code"}},
		{name: "vrs-proxy-role-deleted-1", filters: []string{"patient_ods_code", "proxy_ods_code"}, places: []string{"patient_ods_code", "proxy_ods_code"}},
	}
}

// kindOf is the type of a name; false when there is none.
func kindOf(name string) (kind, bool) {
	all := kinds()
	i := slices.IndexFunc(all, func(k kind) bool { return k.name == name })
	if i < 0 {
		return kind{}, false
	}
	return all[i], true
}

// makerOf is the ending of a filter by who makes the system that an organisation uses, rather than by the organisation ("generalpractitioner_manufacturer_org").
const makerOf = "_manufacturer_org"

// filter reports whether a subscription to this type may filter by key.
func (k kind) filter(key string) bool {
	if base, ok := strings.CutSuffix(key, makerOf); ok {
		return slices.Contains(k.places, base)
	}
	return slices.ContainsFunc(k.filters, func(f string) bool {
		if stem, open := strings.CutSuffix(f, "*"); open {
			return len(key) > len(stem) && strings.HasPrefix(key, stem)
		}
		return f == key
	})
}

// tells reports whether a filter tells where somebody is.
func (k kind) tells(key string) bool {
	return slices.Contains(k.places, strings.TrimSuffix(key, makerOf))
}
