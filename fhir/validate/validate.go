// Package validate says what is wrong with a FHIR resource before it is kept, in words that tell its sender what to
// do: a date that never was, a code that FHIR does not know, an element that no Patient has, a script in a narrative.
//
// There are two levels. The structural one (Options.Structure) costs a few microseconds and is the least that is asked of
// what is imported: elements, cardinality, JSON types, the form of every primitive, required codes, references, contained
// resources, extensions and narrative. The full one adds the invariants of the definitions, which are FHIRPath; every
// write through an API or a page passes it.
//
//	issues := validate.Validate(ctx, r, validate.Options{})
//	if validate.Fails(issues) { return fault.WithIssues(fault.Unprocessable, "…", issues...) }
//
// Beside them stand profiles (Options.Profiles, Options.Claims), national ones such as UK Core: StructureDefinitions that a
// package brings narrow cardinality, types, codes, values and references, slice lists, add rules, and define extensions.
//
// Issues name elements, codes and rules but never repeat free text, dates, identifiers or references, since a
// diagnostic may end in a log and the record must not.
//
// Sources: https://hl7.org/fhir/R4/validation.html, …/json.html, …/datatypes.html, …/references.html,
// …/narrative.html, …/terminologies.html#strength, …/profiling.html, …/elementdefinition.html.
package validate

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/fhir/definition"
)

// Options say how thoroughly to look and against which definitions.
type Options struct {
	// Definitions are what to validate against; nil means definition.R4.
	Definitions *definition.Set
	// Structure leaves out the invariants.
	Structure bool
	// Profiles are the canonical URLs of profiles to hold the resource to. One that is not held in Definitions is an error.
	Profiles []string
	// Claims holds each resource in the document to the profiles that its meta names too (one that is not held is a warning),
	// and each extension whose definition is held to that.
	Claims bool
	// Limit is how many issues to report before giving up; 0 means 100.
	Limit int
}

const defaultLimit = 100

// Validate checks a resource and lists what is wrong, in document order; nothing when it is valid. Severities are
// error, warning and information; codes are from FHIR's IssueType. Expression is the place as FHIRPath, such as
// "Patient.name[0].family". A cancelled ctx stops the invariants early.
func Validate(ctx context.Context, r *fhir.Resource, o Options) []fault.Issue {
	return Node(ctx, r.Root(), o)
}

// Structure is the structural level alone: no context is needed, since it takes microseconds.
func Structure(r *fhir.Resource, defs *definition.Set) []fault.Issue {
	return Node(context.Background(), r.Root(), Options{Definitions: defs, Structure: true})
}

// Node is Validate for a resource that is part of a document, such as one entry of a Bundle. Expressions start at n.
func Node(ctx context.Context, n fhir.Node, o Options) []fault.Issue {
	set := o.Definitions
	if set == nil {
		set = definition.R4()
	}
	if o.Limit <= 0 {
		o.Limit = defaultLimit
	}
	w := walker{
		ctx: ctx, plan: planOf(set), rules: !o.Structure, limit: o.Limit,
		root: n.Field("resourceType").String(), path: make([]step, 0, 16),
	}
	w.resource(n, nil)
	if (len(o.Profiles) > 0 || o.Claims) && n.Kind() == fhir.Object {
		w.profiles(n, o.Profiles, o.Claims)
	}
	return w.issues
}

// Fails says whether any issue is an error, so that the resource must not be accepted.
func Fails(issues []fault.Issue) bool {
	for i := range issues {
		if issues[i].Severity == "error" || issues[i].Severity == "fatal" {
			return true
		}
	}
	return false
}

// Errors are the issues for which the resource must not be accepted, without warnings and advice.
func Errors(issues []fault.Issue) []fault.Issue {
	return slices.DeleteFunc(slices.Clone(issues), func(i fault.Issue) bool { return i.Severity != "error" && i.Severity != "fatal" })
}

// walker goes through one document once.
type walker struct {
	ctx    context.Context
	plan   *plan
	rules  bool
	limit  int
	root   string
	path   []step
	issues []fault.Issue
	// broken counts the structural errors: rules are tested only on values that have none.
	broken int
	// at is the resource that contained resources belong to: the root, or an entry of a Bundle.
	at *container
}

// step is one part of a path: an element's name and, in an array, its index; -1 otherwise.
type step struct {
	name  string
	index int
}

func (w *walker) push(name string, index int) { w.path = append(w.path, step{name, index}) }
func (w *walker) pop()                        { w.path = w.path[:len(w.path)-1] }

// full says that enough has been found.
func (w *walker) full() bool { return len(w.issues) > w.limit }

// expression writes the current path, with names added, as FHIRPath.
func (w *walker) expression(more ...string) string {
	var b strings.Builder
	b.WriteString(w.root)
	for _, s := range w.path {
		b.WriteByte('.')
		b.WriteString(s.name)
		if s.index >= 0 {
			b.WriteByte('[')
			b.WriteString(strconv.Itoa(s.index))
			b.WriteByte(']')
		}
	}
	for _, m := range more {
		b.WriteByte('.')
		b.WriteString(m)
	}
	return b.String()
}

// report adds an issue at a path; when the limit is reached it says so and adds no more.
func (w *walker) report(severity, code, expression, diagnostics string) {
	switch {
	case len(w.issues) < w.limit:
		w.issues = append(w.issues, fault.Issue{Severity: severity, Code: code, Diagnostics: diagnostics, Expression: []string{expression}})
	case len(w.issues) == w.limit:
		w.issues = append(w.issues, fault.Issue{
			Severity: "error", Code: "processing", Expression: []string{w.root},
			Diagnostics: "There are more problems than these. Mend them first, then send the resource again.",
		})
	}
}

// wrong adds an error at the current path.
func (w *walker) wrong(code, diagnostics string) {
	w.broken++
	w.report("error", code, w.expression(), diagnostics)
}

// wrongAt adds an error at a member of the current path.
func (w *walker) wrongAt(name, code, diagnostics string) {
	w.broken++
	w.report("error", code, w.expression(name), diagnostics)
}
