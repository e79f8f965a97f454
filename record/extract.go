package record

import "github.com/openspine/openspine/fhir"

// extract is what a resource is found by.
func extract(res *fhir.Resource) ([]entry, error) {
	var list []entry
	for id := range res.Get("identifier").Items() {
		list = append(list, entry{code: "identifier", typ: "token", system: id.Field("system").String(), value: id.Field("value").String()})
	}
	return list, nil
}
