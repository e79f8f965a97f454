package directory

import (
	"io"
	"math"
	"mime"
	"net/http"
	"strconv"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/fhir/definition"
	"github.com/openspine/openspine/fhir/fhirxml"
)

// expansion is what the body of $expand asks for.
type expansion struct {
	system        string
	filters       []filter
	properties    []string
	activeOnly    bool
	count, offset int
	counted       bool // count was given
}

// readExpansion reads a Parameters resource. Numbers may be written as text, as in the published example.
func readExpansion(r *http.Request) (e expansion, err error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return e, err
	}
	var res *fhir.Resource
	if media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); media == "application/fhir+xml" || media == "application/xml" {
		res, err = fhirxml.Decode(body, definition.R4())
	} else {
		res, err = fhir.Parse(body)
	}
	if err != nil {
		return e, err
	}
	if res.Type() != "Parameters" {
		return e, fault.New(fault.Invalid, "The body of $expand is a Parameters resource.")
	}
	e.count = math.MaxInt32
	for p := range res.Get("parameter").Items() {
		if err := e.parameter(p); err != nil {
			return e, err
		}
	}
	if e.system == "" {
		return e, fault.New(fault.Invalid, "The value set includes no code system: parameter valueSet with compose.include.system is needed.")
	}
	return e, nil
}

func (e *expansion) parameter(p fhir.Node) error {
	number := func(into *int) error {
		n, err := strconv.Atoi(p.Get("valueInteger").String())
		if err != nil || n < 0 {
			return fault.New(fault.Invalid, "count and offset are whole numbers that are not negative.")
		}
		*into = n
		return nil
	}
	switch name := p.Get("name").String(); name {
	case "valueSet":
		compose := p.Get("resource.compose")
		if in := compose.Get("inactive"); in.Exists() {
			e.activeOnly = e.activeOnly || !in.Bool()
		}
		if compose.Get("include").Len() != 1 {
			return fault.New(fault.Invalid, "A value set here includes exactly one code system.")
		}
		include := compose.Get("include.0")
		e.system = include.Get("system").String()
		for f := range include.Get("filter").Items() {
			e.filters = append(e.filters, filter{f.Get("property").String(), f.Get("op").String(), f.Get("value").String()})
		}
		if list := include.Get("concept"); list.Exists() {
			codes := ""
			for c := range list.Items() {
				if codes != "" {
					codes += ","
				}
				codes += c.Get("code").String()
			}
			e.filters = append(e.filters, filter{"code", "in", codes})
		}
	case "url":
		e.system = p.Get("valueUri").String()
	case "filter":
		e.filters = append(e.filters, filter{"name", "=", p.Get("valueString").String()})
	case "activeOnly":
		e.activeOnly = p.Get("valueBoolean").Bool()
	case "property":
		e.properties = append(e.properties, p.Get("valueString").String())
	case "count":
		e.counted = true
		return number(&e.count)
	case "offset":
		return number(&e.offset)
	default:
		return fault.New(fault.Invalid, "The parameter %s is not known; there are valueSet, activeOnly, property, count and offset.", harmlessName(name))
	}
	return nil
}
