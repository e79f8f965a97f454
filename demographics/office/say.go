package office

import (
	"context"
	"slices"
	"strings"

	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/format"
)

// What a record says of each field that is compared, a line for each value, former ones included.

func families(v record.Version) []string {
	var list []string
	for n := range v.Resource.Get("name").Items() {
		if f := n.Field("family").String(); f != "" {
			list = append(list, strings.ToUpper(f))
		}
	}
	return unique(list)
}

func givens(v record.Version) []string {
	var list []string
	for n := range v.Resource.Get("name").Items() {
		var words []string
		for g := range n.Field("given").Items() {
			words = append(words, g.String())
		}
		if len(words) > 0 {
			list = append(list, strings.Join(words, " "))
		}
	}
	return unique(list)
}

func births(v record.Version) []string { return dated(v, "birthDate") }
func deaths(v record.Version) []string { return dated(v, "deceasedDateTime") }

func dated(v record.Version, element string) []string {
	if d := format.FHIR(v.Resource.Get(element).String()); d.Known() {
		return []string{d.Date()}
	}
	return nil
}

func genders(ctx context.Context, v record.Version) []string {
	if g := v.Resource.Get("gender").String(); g != "" {
		return []string{web.Text(ctx, "patients.gender."+g)}
	}
	return nil
}

func contacts(v record.Version) []string {
	var list []string
	for a := range v.Resource.Get("address").Items() {
		var parts []string
		for l := range a.Field("line").Items() {
			if s := strings.TrimSpace(l.String()); s != "" {
				parts = append(parts, s)
			}
		}
		if pc := a.Field("postalCode").String(); pc != "" {
			parts = append(parts, strings.ReplaceAll(pc, " ", "\u00a0"))
		}
		if len(parts) > 0 {
			list = append(list, strings.Join(parts, ", "))
		}
	}
	for t := range v.Resource.Get("telecom").Items() {
		if s := t.Field("value").String(); s != "" {
			list = append(list, s)
		}
	}
	return unique(list)
}

func practices(v record.Version) []string {
	gp := v.Resource.Get("generalPractitioner").Index(0)
	for _, path := range []string{"display", "identifier.value", "reference"} {
		if s := gp.Get(path).String(); s != "" {
			return []string{s}
		}
	}
	return nil
}

// unique is list without what it says twice, in order.
func unique(list []string) []string {
	var out []string
	for _, s := range list {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}
