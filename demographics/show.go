package demographics

import (
	"slices"

	"github.com/openspine/openspine/fhir"
)

// Where the extensions of the published shape lie (schemas/Patient.yaml).
const (
	ukExtension   = "https://fhir.hl7.org.uk/StructureDefinition/Extension-UKCore-"
	NominatedURL  = ukExtension + "NominatedPharmacy"
	DispenserURL  = ukExtension + "PreferredDispenserOrganization"
	ApplianceURL  = ukExtension + "MedicalApplianceSupplier"
	DeathURL      = ukExtension + "DeathNotificationStatus"
	LanguageURL   = ukExtension + "NHSCommunication"
	PreferenceURL = ukExtension + "ContactPreference"
	BirthPlaceURL = "http://hl7.org/fhir/StructureDefinition/patient-birthPlace"
	RemovalURL    = "https://fhir.nhs.uk/StructureDefinition/Extension-PDS-RemovalFromRegistration"
	authorityURL  = ukExtension + "RegisteringAuthority"

	confidentialitySystem = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
)

// Elements and extensions that tell where a restricted person is (schemas/Patient.yaml).
var (
	locating           = []string{"address", "telecom", "contact", "generalPractitioner", "managingOrganization"}
	locatingExtensions = []string{NominatedURL, DispenserURL, ApplianceURL, BirthPlaceURL, RemovalURL}
)

// confidentialityOf is the code of a record's sensitivity: U, R, V or REDACTED; "" when it says nothing.
func confidentialityOf(res *fhir.Resource) string {
	for tag := range res.Get("meta.security").Items() {
		if tag.Field("system").String() == confidentialitySystem {
			return tag.Field("code").String()
		}
	}
	return ""
}

// invalidated reports whether a record has been marked as one that nobody may use.
func invalidated(res *fhir.Resource) bool { return confidentialityOf(res) == "REDACTED" }

// What a search shows of a person (paths/patient-search, "Patient data returned").
var (
	foundElements = []string{"resourceType", "id", "identifier", "name", "gender", "birthDate", "multipleBirthInteger", "deceasedDateTime",
		"address", "telecom", "contact", "generalPractitioner", "extension"}
	foundNames     = []string{"usual", "nickname", "temp"}
	foundAddresses = []string{"home"}
)

// whole is a person as they are read by number: all of the record in the published shape, less what tells where a restricted
// person is.
func whole(f found) fhir.Value {
	return shape(f, func(name string, n fhir.Node) fhir.Value {
		switch {
		case f.restricted() && slices.Contains(locating, name):
			return fhir.Value{}
		case f.restricted() && name == "extension":
			return kept(n, func(e fhir.Node) bool { return !slices.Contains(locatingExtensions, e.Field("url").String()) })
		}
		return n.Value()
	})
}

// brief is a person as a search shows them.
func brief(f found) fhir.Value {
	return shape(f, func(name string, n fhir.Node) fhir.Value {
		switch {
		case !slices.Contains(foundElements, name), f.restricted() && slices.Contains(locating, name):
			return fhir.Value{}
		case name == "name":
			return kept(n, func(e fhir.Node) bool { return slices.Contains(foundNames, e.Field("use").String()) })
		case name == "address":
			return kept(n, func(e fhir.Node) bool { return slices.Contains(foundAddresses, e.Field("use").String()) })
		case name == "extension":
			return kept(n, func(e fhir.Node) bool { return e.Field("url").String() == DeathURL })
		}
		return n.Value()
	})
}

// shape is a record with its version and sensitivity as published, and of the rest what show gives.
func shape(f found, show func(name string, n fhir.Node) fhir.Value) fhir.Value {
	root := f.version.Resource.Root()
	var o fhir.Members
	o.Room(len(root.Raw()) + metaRoom)
	for name, n := range root.Fields() {
		if name == "meta" {
			continue
		}
		o.Add(name, show(name, n))
		if name == "resourceType" {
			o.Add("meta", metaOf(f))
		}
	}
	return o.Done()
}

// metaRoom is how many bytes what metaOf says may take.
const metaRoom = 256

// kept is the elements of a list that keep lets through; an empty list is left out.
func kept(list fhir.Node, keep func(fhir.Node) bool) fhir.Value {
	var items []any
	for e := range list.Items() {
		if keep(e) {
			items = append(items, e)
		}
	}
	return fhir.Arr(items...)
}

// metaOf is the version and the sensitivity. A very restricted record is shown as restricted is: the published display has no third.
func metaOf(f found) fhir.Value {
	code, display := "U", "unrestricted"
	if f.restricted() {
		code, display = "R", "restricted"
		if confidentialityOf(f.version.Resource) == "V" {
			code = "V"
		}
	}
	return fhir.Obj("versionId", f.version.VersionID(), "security", fhir.Arr(fhir.Obj(
		"system", confidentialitySystem, "code", code, "display", display)))
}
