package patients

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/format"
)

// historyLimit is how many versions of an entry a page shows.
const historyLimit = 50

// versionView is one version as the page of an entry shows it.
type versionView struct {
	record.Version
	Heading, Reason string
	Changes         []difference
}

// entryView is one entry of a chart with every version.
type entryView struct {
	*chart
	Page      web.Page
	Done      string
	Entry     entry
	Facts     []web.Row
	Versions  []versionView
	MayUndo   bool
	MayWrong  bool
	Latest    int64
	Form      reasonForm
	Undoing   []difference
	isPatient bool
}

// detail reads one entry of a person's chart with its history. What is in another's chart is not there.
func (f *face) detail(r *http.Request, ask catalogue.Asker) (*entryView, error) {
	c, err := f.open(r, ask, false)
	if err == nil {
		err = c.needRelation()
	}
	if err != nil {
		return nil, err
	}
	typ, id := r.PathValue("type"), r.PathValue("id")
	place, err := ask.Locate(typ, id)
	if err != nil {
		return nil, err
	}
	theirs := place.Chart == c.place.Chart
	if !theirs { // decided as what is not there, so that the answers are the same
		place = access.Place{Tenant: c.place.Tenant, Type: typ, ID: id}
	}
	grants, err := ask.Grants(access.Act{Action: access.History, Place: place})
	if err != nil {
		return nil, err
	}
	if !theirs {
		return nil, access.NotHere()
	}
	ctx := r.Context()
	page, err := f.k.Records.History(ctx, grants[0], record.Ref{Tenant: place.Tenant, Type: typ, ID: id}, record.Period{Count: historyLimit})
	if err != nil {
		return nil, err
	}
	if len(page.Versions) == 0 {
		return nil, access.NotHere()
	}
	v := &entryView{chart: c, Latest: page.Versions[0].Ver, isPatient: typ == "Patient"}
	v.versions(ctx, page.Versions)
	v.MayUndo = c.mayChange && page.Versions[0].Ver > 1 && len(page.Versions) > 1 && !page.Versions[1].Deleted
	v.MayWrong = c.mayChange && !v.Entry.Wrong && wrongField(typ) != "" && c.viewer.Role == access.Clinician && !page.Versions[0].Deleted
	v.Page = c.page(ctx, web.Text(ctx, "patients.entry.title"), false)
	return v, nil
}

func (v *entryView) versions(ctx context.Context, list []record.Version) {
	for i, ver := range list {
		view := versionView{Version: ver, Reason: ver.Reason, Heading: web.Text(ctx, "patients.entry.version", ver.Ver)}
		var before *fhir.Resource
		if i+1 < len(list) {
			before = list[i+1].Resource
		}
		if i+1 < len(list) || ver.Ver > 1 && before != nil {
			view.Changes = differences(ctx, before, ver.Resource)
		}
		v.Versions = append(v.Versions, view)
		if v.Entry.Resource == nil && ver.Resource != nil {
			v.Entry = entryOf(ver)
			facts, order := flat(ver.Resource)
			for _, path := range order {
				if text := facts[path]; len(text) < 300 && forPeople(path, facts) {
					v.Facts = append(v.Facts, web.Row{Key: pathText(ctx, path), Text: valueText(text)})
				}
			}
		}
	}
	if len(list) > 1 {
		v.Undoing = differences(ctx, list[0].Resource, list[1].Resource)
	}
}

// name is what the entry is, for sentences.
func (v *entryView) name(ctx context.Context) string {
	if v.isPatient {
		return web.Text(ctx, "patients.entry.demographics")
	}
	return v.Entry.Title
}

func (v *entryView) url() string {
	return v.person.url() + "/record/" + v.Entry.Type + "/" + v.Entry.ID
}

func (f *face) entry(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	v, err := f.detail(r, ask)
	if err != nil {
		return err
	}
	v.Done = done(r, "corrected", "undone", "struck")
	return web.Render(w, r, http.StatusOK, entryPage(v))
}

// reasonForm is a form that asks for a reason, as typed.
type reasonForm struct {
	Reason  string
	Version string
	Errors  web.FieldErrors
}

// reasonMin is how long a reason for changing a record is at least, in characters.
const (
	reasonMin = 5
	reasonMax = 500
)

// readReason reads the reason and the version that the form was made for.
func readReason(r *http.Request) (f reasonForm, version int64) {
	f = reasonForm{Reason: strings.TrimSpace(r.PostForm.Get("reason")), Version: r.PostForm.Get("version")}
	if n := len([]rune(f.Reason)); n < reasonMin || n > reasonMax {
		f.Errors.Add("reason", web.Text(r.Context(), "patients.reason.wrong", reasonMin, reasonMax))
	}
	version, err := strconv.ParseInt(f.Version, 10, 64)
	if err != nil || version < 1 {
		version = -1
	}
	return f, version
}

func (f *face) askUndo(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	v, err := f.detail(r, ask)
	if err != nil {
		return err
	}
	if !v.MayUndo {
		return fault.New(fault.Forbidden, "%s", web.Text(r.Context(), "patients.undo.nothing"))
	}
	v.Form.Version = strconv.FormatInt(v.Latest, 10)
	return web.Render(w, r, http.StatusOK, undoPage(v))
}

func (f *face) undo(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	if err := web.CheckForm(r, r.PathValue("person")); err != nil {
		return err
	}
	v, err := f.detail(r, ask)
	if err != nil {
		return err
	}
	form, version := readReason(r)
	v.Form = form
	if len(form.Errors) > 0 {
		v.Page.Failed = true
		return web.Render(w, r, http.StatusUnprocessableEntity, undoPage(v))
	}
	if !v.MayUndo || version != v.Latest {
		return fault.New(fault.PreconditionFailed, "%s", web.Text(r.Context(), "patients.undo.moved"))
	}
	err = f.write(r, ask, record.Change{Verb: record.Put, Ref: v.Versions[0].Ref, Resource: v.Versions[1].Resource, IfMatch: version, Reason: form.Reason}, v.Versions[1].Resource)
	if err != nil {
		return err
	}
	return web.SeeOther(w, r, v.url()+"?done=undone")
}

// write makes one change to a record, which passes what every change passes, whichever way it comes: decided, done and
// accounted in one commit. kept are the versions that it was made from.
func (f *face) write(r *http.Request, ask catalogue.Asker, change record.Change, kept ...*fhir.Resource) error {
	ctx := r.Context()
	if err := f.k.Sound(ctx, change.Resource, kept...); err != nil {
		return err
	}
	return record.Retry(3, func() error {
		d, err := f.k.Records.Prepare(ctx, change)
		if err != nil {
			return err
		}
		grants, err := ask.Grants(d.Acts()...)
		if err != nil {
			return err
		}
		if err := f.k.Owners(ctx, d); err != nil {
			return err
		}
		return f.k.Gate.Act(ctx, grants, d.Lanes(), func(tx *store.Tx) error {
			_, err := f.k.Records.Apply(tx, d, grants...)
			return err
		})
	})
}

// wrongField is the element in which a type says that it was entered in error; "" where it cannot.
func wrongField(typ string) string {
	switch typ {
	case "Condition", "AllergyIntolerance":
		return "verificationStatus"
	case "Observation", "DiagnosticReport", "Immunization", "MedicationRequest", "MedicationStatement", "MedicationDispense", "MedicationAdministration",
		"Procedure", "DocumentReference", "Encounter", "Appointment", "Composition", "ServiceRequest", "CarePlan", "FamilyMemberHistory", "QuestionnaireResponse":
		return "status"
	}
	return ""
}

// verificationSystem is the code system of the verification status of a type.
func verificationSystem(typ string) string {
	if typ == "Condition" {
		return "http://terminology.hl7.org/CodeSystem/condition-ver-status"
	}
	return "http://terminology.hl7.org/CodeSystem/allergyintolerance-verification"
}

// struckOut is a resource marked as entered in error. Base R4 wants no clinical status then (con-5, ait-2).
func struckOut(r *fhir.Resource) (*fhir.Resource, error) {
	e := r.Edit()
	switch wrongField(r.Type()) {
	case "verificationStatus":
		e.Set(r.Root(), "verificationStatus", fhir.Obj("coding", fhir.Arr(fhir.Obj("system", verificationSystem(r.Type()), "code", "entered-in-error", "display", "Entered in Error"))))
		e.Set(r.Root(), "clinicalStatus", fhir.Value{})
	case "status":
		e.Set(r.Root(), "status", fhir.Of("entered-in-error"))
	}
	return e.Done()
}

func (f *face) askWrong(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	v, err := f.detail(r, ask)
	if err != nil {
		return err
	}
	if !v.MayWrong {
		return fault.New(fault.Forbidden, "%s", web.Text(r.Context(), "patients.wrong.cannot"))
	}
	v.Form.Version = strconv.FormatInt(v.Latest, 10)
	return web.Render(w, r, http.StatusOK, wrongPage(v))
}

func (f *face) wrong(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	if err := web.CheckForm(r, r.PathValue("person")); err != nil {
		return err
	}
	v, err := f.detail(r, ask)
	if err != nil {
		return err
	}
	form, version := readReason(r)
	v.Form = form
	if len(form.Errors) > 0 {
		v.Page.Failed = true
		return web.Render(w, r, http.StatusUnprocessableEntity, wrongPage(v))
	}
	if !v.MayWrong || version != v.Latest {
		return fault.New(fault.PreconditionFailed, "%s", web.Text(r.Context(), "patients.undo.moved"))
	}
	changed, err := struckOut(v.Versions[0].Resource)
	if err != nil {
		return err
	}
	if err := f.write(r, ask, record.Change{Verb: record.Put, Ref: v.Versions[0].Ref, Resource: changed, IfMatch: version, Reason: form.Reason}, v.Versions[0].Resource); err != nil {
		return err
	}
	return web.SeeOther(w, r, v.url()+"?done=struck")
}

// wroteLine says who wrote a version and when.
func (v versionView) wroteLine(ctx context.Context) string {
	name := v.Name
	if strings.HasPrefix(v.Actor, "service/") || name == "" {
		name = web.Text(ctx, "patients.entry.system")
	}
	return web.Text(ctx, "patients.entry.wrote", format.Seconds(v.At), name)
}
