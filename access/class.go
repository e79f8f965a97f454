package access

// Types of place that are not FHIR resources, for routes and pages.
const (
	TypeAlert      = "Alert"       // what the privacy officer reviews
	TypeObjection  = "Objection"   // what a person asks about a look at their record, and the answer
	TypeCorrection = "Correction"  // what a person asks to have put right of who they are, and the answer
	TypeReferral   = "Referral"    // why somebody is referred: the letter, and what a clinician decided
	TypeBooking    = "Booking"     // when and where somebody who is referred is to come, and whom they may choose
	TypeFigures    = "Figures"     // how an organisation's clinics do: numbers, and nothing about anybody
	TypeSealed     = "SealedItems" // how many entries of a chart are sealed, and nothing of what they say
	TypeAccount    = "WhoLooked"   // who looked: the account of one chart, or of a tenant
	TypeSeal       = "Seal"        // the transparency log and its verification
	TypeNode       = "Node"        // what this node runs, its health, jobs and configuration
	TypeUser       = "User"        // somebody who can sign in, with their roles and credentials, at the organisation where they work
	TypeClient     = "Client"      // a program that may ask for tokens
	TypeKey        = "SigningKey"  // the keys that tokens are signed with
)

// The classes of types, as the policies name them.
const (
	classPerson   = "demographic" // who a person is, and when they come
	classMedicine = "medicine"    // what they take, and what harms them
	classClinical = "clinical"    // everything else about them
	classShared   = "shared"      // about nobody in particular
	classAccount  = "account"     // who did what
	classAlert    = "alert"
	classSealed   = "sealed"
	classFigures  = "figures" // what an organisation counts, of which no number is about one person
	classSeal     = "seal"
	classNode     = "node"
	classStaff    = "staff" // who can sign in, and as what
)

func classes() []string {
	return []string{classPerson, classMedicine, classClinical, classShared, classAccount, classAlert, classFigures, classSealed, classSeal, classNode, classStaff}
}

// Shared reports whether a type is about nobody in particular, whatever it refers to.
func Shared(typ string) bool { return ClassOf(typ) == classShared }

// ClassOf is the class of a type: a type that nobody listed is clinical, the most guarded.
func ClassOf(typ string) string {
	if c, ok := classByType[typ]; ok {
		return c
	}
	return classClinical
}

var classByType = map[string]string{
	TypeAlert: classAlert, TypeObjection: classAlert, TypeFigures: classFigures, TypeSealed: classSealed, TypeAccount: classAccount, TypeSeal: classSeal, TypeNode: classNode, TypeClient: classNode, TypeKey: classNode, TypeUser: classStaff,
	"AuditEvent": classAccount,

	TypeReferral: classClinical, TypeBooking: classPerson,
	TypeCorrection: classPerson, "Patient": classPerson, "RelatedPerson": classPerson, "Person": classPerson, "Appointment": classPerson,
	"AppointmentResponse": classPerson, "Encounter": classPerson, "EpisodeOfCare": classPerson, "Coverage": classPerson,
	"EnrollmentRequest": classPerson, "EnrollmentResponse": classPerson,

	"MedicationRequest": classMedicine, "MedicationDispense": classMedicine, "MedicationStatement": classMedicine,
	"MedicationAdministration": classMedicine, "AllergyIntolerance": classMedicine, "Immunization": classMedicine,
	"ImmunizationRecommendation": classMedicine, "ImmunizationEvaluation": classMedicine,

	"Organization": classShared, "OrganizationAffiliation": classShared, "Practitioner": classShared, "PractitionerRole": classShared,
	"Location": classShared, "HealthcareService": classShared, "Endpoint": classShared, "Schedule": classShared, "Slot": classShared,
	"Medication": classShared, "MedicationKnowledge": classShared, "Substance": classShared, "DeviceDefinition": classShared,
	"ActivityDefinition": classShared, "CapabilityStatement": classShared, "ChargeItemDefinition": classShared, "CodeSystem": classShared,
	"CompartmentDefinition": classShared, "ConceptMap": classShared, "EffectEvidenceSynthesis": classShared, "EventDefinition": classShared,
	"Evidence": classShared, "EvidenceVariable": classShared, "ExampleScenario": classShared, "GraphDefinition": classShared,
	"ImplementationGuide": classShared, "InsurancePlan": classShared, "Library": classShared, "Measure": classShared,
	"MessageDefinition": classShared, "NamingSystem": classShared, "ObservationDefinition": classShared, "OperationDefinition": classShared,
	"PlanDefinition": classShared, "Questionnaire": classShared, "ResearchDefinition": classShared, "ResearchElementDefinition": classShared,
	"RiskEvidenceSynthesis": classShared, "SearchParameter": classShared, "SpecimenDefinition": classShared, "StructureDefinition": classShared,
	"StructureMap": classShared, "SubstanceNucleicAcid": classShared, "SubstancePolymer": classShared, "SubstanceProtein": classShared,
	"SubstanceReferenceInformation": classShared, "SubstanceSourceMaterial": classShared, "SubstanceSpecification": classShared,
	"TerminologyCapabilities": classShared, "TestReport": classShared, "TestScript": classShared, "ValueSet": classShared,
	"MedicinalProduct": classShared, "MedicinalProductAuthorization": classShared, "MedicinalProductContraindication": classShared,
	"MedicinalProductIndication": classShared, "MedicinalProductIngredient": classShared, "MedicinalProductInteraction": classShared,
	"MedicinalProductManufactured": classShared, "MedicinalProductPackaged": classShared, "MedicinalProductPharmaceutical": classShared,
	"MedicinalProductUndesirableEffect": classShared, "BiologicallyDerivedProduct": classShared, "VerificationResult": classShared,
}
