package fhirpath_test

import (
	"context"
	"testing"

	"github.com/openspine/openspine/fhir/definition"
	"github.com/openspine/openspine/fhir/fhirpath"
)

func BenchmarkEval(b *testing.B) {
	r := parse(b, person)
	ctx := context.Background()
	for _, c := range []struct{ name, source string }{
		{"path", "Patient.name.given"},
		{"union", "Patient.name.given | Patient.name.family"},
		{"choice", "(Patient.deceased as dateTime)"},
		{"where", "Patient.name.where(use = 'official').family"},
		{"resolve", "Patient.generalPractitioner.where(resolve() is Practitioner)"},
		{"invariant", "contained.contained.empty() and (name.exists() or telecom.exists())"},
		{"reference", "contained.where((('#'+id in (%resource.descendants().reference | %resource.descendants().as(canonical) | %resource.descendants().as(uri))) or descendants().where(reference = '#').exists()).not()).empty()"},
	} {
		expr := fhirpath.MustCompile(c.source)
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			var out fhirpath.Collection
			var err error
			for b.Loop() {
				if out, err = expr.Append(ctx, out[:0], fhirpath.On(r)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkPatientSearch extracts every search parameter of a Patient, as a write does.
func BenchmarkPatientSearch(b *testing.B) {
	var all []*fhirpath.Expression
	for _, p := range definition.R4().SearchParameters("Patient") {
		if p.Expression != "" {
			all = append(all, fhirpath.MustCompile(p.Expression))
		}
	}
	r := parse(b, person)
	b.ReportAllocs()
	var out fhirpath.Collection
	for b.Loop() {
		for _, e := range all {
			var err error
			if out, err = e.Append(context.Background(), out[:0], fhirpath.On(r)); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(len(all)), "expressions")
}

func BenchmarkCompile(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := fhirpath.Compile("Patient.name.where(use = 'official' and given.exists()).select(given.first() & ' ' & family)"); err != nil {
			b.Fatal(err)
		}
	}
}
