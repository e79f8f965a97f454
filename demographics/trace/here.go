package trace

import (
	"context"
	"net/http"
	"net/url"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/web"
)

// listed reports whether somebody registers people with their practice, and this person is on its list.
func (f *face) listed(v *visit) bool {
	return f.registers(v.viewer) && !v.person.Restricted && v.person.Shown.Get("generalPractitioner.0.identifier.value").String() == v.viewer.Organisation.String()
}

// sought finds whoever a practice knows by an NHS number, as the practice itself sees its patients: whether they are there must not hang on
// who asks.
func (f *face) sought(ctx context.Context, practice ident.ODSCode, number string) (*record.Criteria, error) {
	scope, err := f.k.Gate.DecideSet(ctx, access.Service("trace", practice), access.Search, practice, []string{"Patient"})
	if err != nil {
		return nil, err
	}
	q, _, err := f.k.Records.ParseQuery("Patient", url.Values{"identifier": {ident.SystemNHSNumber + "|" + number}, "_count": {"1"}}, false)
	return &record.Criteria{Query: q, Scope: scope}, err
}

// chartAt is the id of a person's record at a practice; "" where it has none.
func (f *face) chartAt(ctx context.Context, practice ident.ODSCode, number string) (id string, err error) {
	c, err := f.sought(ctx, practice, number)
	if err != nil {
		return "", err
	}
	err = f.k.DB.Read(ctx, func(tx *store.Tx) error {
		page, err := f.k.Records.SearchTx(tx, c.Scope, c.Query)
		if err == nil && len(page.Matches) > 0 {
			id = page.Matches[0].ID
		}
		return err
	})
	return id, err
}

// begin makes a person's record at the practice of whoever asks, with what the register shows of them; where there is one already, that
// is theirs. It is a commit of its own: the register and a practice are two keepers, and what failed here is tried again by a button.
func (f *face) begin(ctx context.Context, ask catalogue.Asker, v *visit) (id string, err error) {
	practice := v.viewer.Organisation
	pairs := []any{"resourceType", "Patient", "identifier", fhir.Arr(fhir.Obj("system", ident.SystemNHSNumber, "value", v.id())), "active", true}
	for _, name := range []string{"name", "gender", "birthDate", "deceasedDateTime", "address", "telecom", "generalPractitioner"} {
		if n := v.person.Shown.Get(name); n.Exists() {
			pairs = append(pairs, name, n)
		}
	}
	patient, err := fhir.Parse(fhir.Obj(pairs...).JSON())
	if err != nil {
		return "", err
	}
	if err := f.k.Sound(ctx, patient, v.person.Shown); err != nil {
		return "", err
	}
	criteria, err := f.sought(ctx, practice, v.id())
	if err != nil {
		return "", err
	}
	change := record.Change{Verb: record.Create, Ref: record.Ref{Tenant: practice, Type: "Patient"}, Resource: patient, Criteria: criteria, Reason: "registered through the national register"}
	err = record.Retry(3, func() error {
		d, err := f.k.Records.Prepare(ctx, change)
		if err != nil {
			return err
		}
		if m, there := d.Matched(); there {
			id = m.ID
			return nil
		}
		grants, err := ask.Grants(d.Acts()...)
		if err != nil {
			return err
		}
		if err := f.k.Owners(ctx, d); err != nil {
			return err
		}
		return f.k.Gate.Act(ctx, grants, d.Lanes(), func(tx *store.Tx) error {
			out, err := f.k.Records.Apply(tx, d, grants...)
			if err != nil {
				return err
			}
			id = out.Version.ID
			return f.k.Gate.Relate(tx, access.Relationship{Tenant: practice, Chart: out.Version.Chart, Organisation: practice, Kind: access.KindRegistered, Basis: change.Reason, By: v.viewer.ID})
		})
	})
	return id, err
}

// here begins the record of a person of the practice's list who has none there.
func (f *face) here(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	v, err := f.visits(r, ask)
	if err != nil {
		return err
	}
	if err := web.CheckForm(r, v.id()); err != nil {
		return err
	}
	if !f.listed(v) {
		return fault.New(fault.Forbidden, "%s", web.Text(r.Context(), "trace.practice.not-listed"))
	}
	id, err := f.begin(r.Context(), ask, v)
	if err != nil {
		return err
	}
	return web.SeeOther(w, r, "/o/"+v.viewer.Organisation.String()+"/patients/"+id)
}

// fillHere leads from the person's details to their record at the viewer's practice, or to its beginning.
func (f *face) fillHere(ctx context.Context, d *detailsView) error {
	if !f.listed(d.visit) {
		return nil
	}
	practice := d.viewer.Organisation
	id, err := f.chartAt(ctx, practice, d.id())
	if err != nil {
		return err
	}
	if id == "" {
		d.Begin = f.k.Organisation(ctx, practice)
		return nil
	}
	d.Actions = append(d.Actions, web.Link{Text: web.Text(ctx, "trace.practice.open", f.k.Organisation(ctx, practice)), URL: "/o/" + practice.String() + "/patients/" + id})
	return nil
}
