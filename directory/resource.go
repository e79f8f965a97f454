package directory

import (
	"strconv"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
)

// Profiles and extensions of the published resources (ODT API; England-Organization-ODS and UK Core).
const (
	profileOrganization    = "https://fhir.nhs.uk/England/StructureDefinition/England-Organization-ODS"
	profileUKOrganization  = "https://fhir.hl7.org.uk/StructureDefinition/UKCore-Organization"
	profileAffiliation     = "https://fhir.nhs.uk/England/StructureDefinition/England-OrganizationAffiliation-ODS"
	profileUKAffiliation   = "https://fhir.hl7.org.uk/StructureDefinition/UKCore-OrganizationAffiliation"
	extensionRole          = "https://fhir.nhs.uk/England/StructureDefinition/Extension-England-OrganisationRole"
	extensionTypedPeriod   = "https://fhir.nhs.uk/England/StructureDefinition/Extension-England-TypedPeriod"
	extensionTypedDateTime = "https://fhir.nhs.uk/England/StructureDefinition/Extension-England-TypedDateTime"
	extensionAddressKey    = "https://fhir.hl7.org.uk/StructureDefinition/Extension-UKCore-AddressKey"
	// extensionRegister is our own: what the ODS files say and the published shape has no place for.
	extensionRegister = "https://openspine.example/fhir/StructureDefinition/directory-register"

	legal, operational = "Legal", "Operational"
	codeLastChange     = "LastChangeDate"
)

// Resource is the organisation as the ODT API publishes it. What the published shape has no place for (the state of the ODS files,
// the prescribing setting, areas, successions) stands in one extension of our own, and is left out where there is nothing to say.
func (o Organisation) Resource() (*fhir.Resource, error) { return o.resource("") }

// resource is Resource with meta.source, which says what the facts came from.
func (o Organisation) resource(source string) (*fhir.Resource, error) {
	var extensions []fhir.Value
	for _, r := range o.Roles {
		extensions = append(extensions, r.value())
	}
	if o.Changed.Known() {
		extensions = append(extensions, fhir.Obj("url", extensionTypedDateTime, "extension", fhir.Arr(
			fhir.Obj("url", "type", "valueCoding", fhir.Obj("system", systemDateTime, "code", codeLastChange, "display", "Last Change Date")),
			fhir.Obj("url", "dateTime", "valueDateTime", string(o.Changed)))))
	}
	extensions = append(extensions, o.registerValue())
	use, class := recordUses()[0], recordClasses()[0]
	if o.RefOnly {
		use = recordUses()[1]
	}
	if o.Site {
		class = recordClasses()[1]
	}
	concept := func(system string, c code) fhir.Value {
		return fhir.Obj("coding", fhir.Arr(fhir.Obj("system", system, "code", c.Code, "display", c.Name)))
	}
	var telecom []fhir.Value
	if o.Phone != "" {
		telecom = append(telecom, fhir.Obj("system", "phone", "value", o.Phone))
	}
	if o.Website != "" {
		telecom = append(telecom, fhir.Obj("system", "url", "value", o.Website))
	}
	return fhir.Obj("resourceType", "Organization", "id", o.Code.String(),
		"meta", fhir.Obj("source", source, "profile", []string{profileUKOrganization, profileOrganization}),
		"extension", fhir.List(extensions),
		"identifier", fhir.Arr(fhir.Obj("use", "official", "system", ident.SystemODSCode, "value", o.Code.String(),
			"assigner", fhir.Obj("display", o.Assigner))),
		"active", o.Active(),
		"type", fhir.Arr(concept(SystemRecordUse, use), concept(SystemRecordClass, class)),
		"name", o.Name,
		"telecom", fhir.List(telecom),
		"address", fhir.Arr(o.addressValue())).Resource()
}

func (o Organisation) addressValue() fhir.Value {
	key := fhir.Value{}
	if o.UPRN != "" {
		key = fhir.Arr(fhir.Obj("url", extensionAddressKey, "extension", fhir.Arr(
			fhir.Obj("url", "type", "valueCodeableConcept", fhir.Obj("coding", fhir.Arr(fhir.Obj("system", systemAddressKey, "code", "UPRN",
				"display", "Unique Property Reference Number")))),
			fhir.Obj("url", "value", "valueString", o.UPRN))))
	}
	return fhir.Obj("extension", key, "line", o.Lines, "city", o.Town, "district", o.County, "postalCode", o.Postcode, "country", o.Country)
}

// registerValue is the extension of our own.
func (o Organisation) registerValue() fhir.Value {
	var parts []fhir.Value
	if o.State != Open && o.State != Closed {
		parts = append(parts, fhir.Obj("url", "state", "valueCode", string(o.State)))
	}
	if o.Setting != "" {
		parts = append(parts, fhir.Obj("url", "prescribing-setting", "valueCode", o.Setting))
	}
	for _, a := range o.Areas {
		parts = append(parts, fhir.Obj("url", "area", "extension", fhir.Arr(
			fhir.Obj("url", "kind", "valueString", a.Kind),
			fhir.Obj("url", "code", "valueCoding", fhir.Obj("system", SystemGeography, "code", a.Code)))))
	}
	for _, s := range o.Successions {
		parts = append(parts, fhir.Obj("url", "succession", "extension", fhir.Arr(
			fhir.Obj("url", "successor", "valueIdentifier", fhir.Obj("system", ident.SystemODSCode, "value", s.Successor.String())),
			fhir.Obj("url", "date", "valueDate", string(s.On)))))
	}
	if len(parts) == 0 {
		return fhir.Value{}
	}
	return fhir.Obj("url", extensionRegister, "extension", fhir.List(parts))
}

func (r Role) value() fhir.Value {
	parts := []fhir.Value{}
	if r.Instance != 0 {
		parts = append(parts, fhir.Obj("url", "instanceID", "valueInteger", r.Instance))
	}
	parts = append(parts, fhir.Obj("url", "roleCode", "valueCodeableConcept",
		fhir.Obj("coding", fhir.Arr(fhir.Obj("system", SystemRole, "code", r.Code, "display", RoleName(r.Code))))))
	parts = append(parts, typedPeriods(r.Legal, r.Span)...)
	parts = append(parts, fhir.Obj("url", "active", "valueBoolean", r.Active))
	return fhir.Obj("url", extensionRole, "extension", fhir.List(parts))
}

func typedPeriods(law, use Span) []fhir.Value {
	var list []fhir.Value
	for _, p := range []struct {
		kind string
		span Span
	}{{legal, law}, {operational, use}} {
		if p.span != (Span{}) {
			list = append(list, fhir.Obj("url", extensionTypedPeriod, "extension", fhir.Arr(
				fhir.Obj("url", "dateType", "valueCoding", fhir.Obj("system", systemPeriodType, "code", p.kind, "display", p.kind)),
				fhir.Obj("url", "period", "valuePeriod", p.span.value()))))
		}
	}
	return list
}

func (s Span) value() fhir.Value { return fhir.Obj("start", string(s.From), "end", string(s.To)) }

// ParseOrganisation reads the facts of an Organization resource, whoever wrote it. Errors: fault.Unprocessable when it has no ODS
// code (its id or official identifier) or no name.
func ParseOrganisation(res *fhir.Resource) (Organisation, error) {
	o := Organisation{State: Closed}
	var err error
	if o.Code, err = ident.ParseODSCode(odsCodeOf(res)); err != nil {
		return o, fault.Wrap(err, fault.Unprocessable, "An organisation of the directory needs an ODS code, as its id or as an identifier of %s.", ident.SystemODSCode)
	}
	if o.Name = res.Get("name").String(); o.Name == "" {
		return o, fault.New(fault.Unprocessable, "An organisation of the directory needs a name.")
	}
	if active := res.Get("active"); !active.Exists() || active.Bool() {
		o.State = Open
	}
	for id := range res.Get("identifier").Items() {
		if id.Get("system").String() == ident.SystemODSCode {
			o.Assigner = id.Get("assigner.display").String()
		}
	}
	for t := range res.Get("type").Items() {
		for c := range t.Get("coding").Items() {
			switch c.Get("system").String() {
			case SystemRecordClass:
				o.Site = c.Get("code").String() == recordClasses()[1].Code
			case SystemRecordUse:
				o.RefOnly = c.Get("code").String() == recordUses()[1].Code
			}
		}
	}
	for t := range res.Get("telecom").Items() {
		switch t.Get("system").String() {
		case "phone":
			o.Phone = t.Get("value").String()
		case "url":
			o.Website = t.Get("value").String()
		}
	}
	o.readAddress(res.Get("address.0"))
	o.readExtensions(res)
	return o, nil
}

// odsCodeOf is the ODS code of a resource: that of its identifiers, or else its id.
func odsCodeOf(res *fhir.Resource) string {
	for id := range res.Get("identifier").Items() {
		if id.Get("system").String() == ident.SystemODSCode {
			return id.Get("value").String()
		}
	}
	return res.ID()
}

func (o *Organisation) readAddress(a fhir.Node) {
	for l := range a.Get("line").Items() {
		o.Lines = append(o.Lines, l.String())
	}
	o.Town, o.County = a.Get("city").String(), a.Get("district").String()
	o.Postcode, o.Country = a.Get("postalCode").String(), a.Get("country").String()
	for e := range a.Get("extension").Items() {
		if e.Get("url").String() == extensionAddressKey && part(e, "type").Get("valueCodeableConcept.coding.0.code").String() == "UPRN" {
			o.UPRN = part(e, "value").Get("valueString").String()
		}
	}
}

func (o *Organisation) readExtensions(res *fhir.Resource) {
	for e := range res.Get("extension").Items() {
		switch e.Get("url").String() {
		case extensionRole:
			o.Roles = append(o.Roles, readRole(e))
		case extensionTypedDateTime:
			if part(e, "type").Get("valueCoding.code").String() == codeLastChange {
				o.Changed = dayOf(part(e, "dateTime").Get("valueDateTime"))
			}
		case extensionRegister:
			o.readRegister(e)
		}
	}
}

func (o *Organisation) readRegister(e fhir.Node) {
	for p := range e.Get("extension").Items() {
		switch p.Get("url").String() {
		case "state":
			o.State = State(p.Get("valueCode").String())
		case "prescribing-setting":
			o.Setting = p.Get("valueCode").String()
		case "area":
			o.Areas = append(o.Areas, Area{part(p, "kind").Get("valueString").String(), part(p, "code").Get("valueCoding.code").String()})
		case "succession":
			if to, err := ident.ParseODSCode(part(p, "successor").Get("valueIdentifier.value").String()); err == nil {
				o.Successions = append(o.Successions, Succession{to, dayOf(part(p, "date").Get("valueDate"))})
			}
		}
	}
}

// part is the extension inside e with a url of its own.
func part(e fhir.Node, url string) fhir.Node {
	for p := range e.Get("extension").Items() {
		if p.Get("url").String() == url {
			return p
		}
	}
	return fhir.Node{}
}

func readRole(e fhir.Node) Role {
	r := Role{Active: true}
	if n, err := strconv.ParseInt(part(e, "instanceID").Get("valueInteger").String(), 10, 64); err == nil {
		r.Instance = n
	}
	for c := range part(e, "roleCode").Get("valueCodeableConcept.coding").Items() {
		r.Code = c.Get("code").String()
	}
	if a := part(e, "active").Get("valueBoolean"); a.Exists() {
		r.Active = a.Bool()
	}
	r.Legal, r.Span = readPeriods(e)
	return r
}

func readPeriods(e fhir.Node) (law, use Span) {
	for p := range e.Get("extension").Items() {
		if p.Get("url").String() != extensionTypedPeriod {
			continue
		}
		s := readSpan(part(p, "period").Get("valuePeriod"))
		if part(p, "dateType").Get("valueCoding.code").String() == legal {
			law = s
		} else {
			use = s
		}
	}
	return law, use
}

func readSpan(n fhir.Node) Span { return Span{dayOf(n.Get("start")), dayOf(n.Get("end"))} }

// dayOf is the day of a date or instant; a year or month alone is its first day.
func dayOf(n fhir.Node) Day {
	s := n.String()
	switch {
	case len(s) >= 10:
		return Day(s[:10])
	case len(s) == 7:
		return Day(s + "-01")
	case len(s) == 4:
		return Day(s + "-01-01")
	}
	return ""
}

// Resource is the relationship as the ODT API publishes it.
func (r Relationship) Resource() (*fhir.Resource, error) { return r.resource("") }

func (r Relationship) resource(source string) (*fhir.Resource, error) {
	party := func(c ident.ODSCode) fhir.Value {
		return fhir.Obj("reference", "Organization/"+c.String(), "identifier", fhir.Obj("system", ident.SystemODSCode, "value", c.String()))
	}
	return fhir.Obj("resourceType", "OrganizationAffiliation", "id", r.ID,
		"meta", fhir.Obj("source", source, "profile", []string{profileUKAffiliation, profileAffiliation}),
		"extension", fhir.List(typedPeriods(r.Legal, r.Span)),
		"identifier", fhir.Arr(fhir.Obj("system", systemRelationInstance, "value", r.ID)),
		"active", r.Active,
		"period", r.Span.value(),
		"organization", party(r.From),
		"participatingOrganization", party(r.To),
		"code", fhir.Arr(fhir.Obj("coding", fhir.Arr(fhir.Obj("system", SystemRelationship, "code", r.Type, "display", RelationshipName(r.Type)))))).Resource()
}

// ParseRelationship reads the facts of an OrganizationAffiliation resource. Errors: fault.Unprocessable when it does not name two
// organisations by their ODS codes and a kind of relationship.
func ParseRelationship(res *fhir.Resource) (Relationship, error) {
	r := Relationship{ID: res.ID(), Active: true}
	var err error
	if r.From, err = partyOf(res.Get("organization")); err != nil {
		return r, err
	}
	if r.To, err = partyOf(res.Get("participatingOrganization")); err != nil {
		return r, err
	}
	for c := range res.Get("code.0.coding").Items() {
		if c.Get("system").String() == SystemRelationship {
			r.Type = c.Get("code").String()
		}
	}
	if r.Type == "" {
		return r, fault.New(fault.Unprocessable, "A relationship of the directory needs a code of %s.", SystemRelationship)
	}
	if a := res.Get("active"); a.Exists() {
		r.Active = a.Bool()
	}
	r.Legal, r.Span = readPeriods(res.Root())
	if r.Span == (Span{}) {
		r.Span = readSpan(res.Get("period"))
	}
	return r, nil
}

func partyOf(n fhir.Node) (ident.ODSCode, error) {
	text := n.Get("identifier.value").String()
	if ref := n.Get("reference").String(); text == "" && len(ref) > len("Organization/") {
		text = ref[len("Organization/"):]
	}
	c, err := ident.ParseODSCode(text)
	if err != nil {
		return c, fault.Wrap(err, fault.Unprocessable, "A relationship of the directory names both organisations by their ODS codes.")
	}
	return c, nil
}
