package codes

import "github.com/openspine/openspine/fault"

const (
	structures = "https://fhir.nhs.uk/STU3/StructureDefinition/"
	systems    = "https://fhir.nhs.uk/STU3/CodeSystem/"
	properties = systems + "eRS-Concept-Properties-1#"
)

// Resource is a system as the STU3 CodeSystem that A004 answers with; base is the address of the API, which the addresses of the systems begin with, without a final
// slash. Error: fault.NotFound.
func Resource(of, base string) (map[string]any, error) {
	s := load()[of]
	if s == nil {
		return nil, fault.New(fault.NotFound, "There is no code system %q.", of)
	}
	out := map[string]any{
		"resourceType": "CodeSystem", "id": s.ID, "meta": map[string]any{"profile": s.Profile}, "url": URL(of, base), "version": "1", "name": s.Name, "status": "active", "experimental": false,
		"date": s.Date, "publisher": "e-Referral Service", "description": s.Description, "copyright": "Copyright (c) 2016 HL7 UK", "caseSensitive": true, "content": "complete",
	}
	var declared []any
	for _, p := range s.Properties {
		declared = append(declared, map[string]any{"code": p[0], "uri": properties + p[0], "type": p[1]})
	}
	out["property"] = declared
	var concepts []any
	for _, c := range s.Concepts {
		concepts = append(concepts, c.resource(s.ID, base))
	}
	out["concept"] = concepts
	return out, nil
}

// URL is the address of a system.
func URL(of, base string) string { return base + "/STU3/CodeSystem/" + of }

func (c concept) resource(of, base string) map[string]any {
	out := map[string]any{"code": c.Code, "display": c.Display}
	var list, dates []any
	for _, p := range c.Properties {
		shown := map[string]any{"code": p.name}
		switch v := p.value.(type) {
		case string:
			if p.name == "snomed" {
				continue // ours: which of the directory's specialties it is
			}
			shown["valueDateTime"] = v
			if of == Specialty {
				url := map[string]string{"effectiveFrom": "Extension-eRS-EffectivefromDate-1", "effectiveTo": "Extension-eRS-EffectivetoDate-1"}[p.name]
				dates = append(dates, map[string]any{"url": structures + url, "valueDate": v[:len("2006-01-02")]})
			}
		case bool:
			shown["valueBoolean"] = v
		case float64:
			shown["valueInteger"] = v
		case map[string]any:
			shown["valueCoding"] = coding(v, base)
		}
		list = append(list, shown)
	}
	out["property"] = list
	if dates != nil {
		out["extension"] = dates
	}
	return out
}

// coding gives a coding its whole system.
func coding(v map[string]any, base string) map[string]any {
	out := map[string]any{}
	for k, x := range v {
		out[k] = x
	}
	if s, _ := v["system"].(string); load()[s] != nil {
		out["system"] = URL(s, base)
	} else {
		out["system"] = systems + s
	}
	return out
}
