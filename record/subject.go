package record

import (
	"context"
	"slices"
	"strings"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/fhir/definition"
	"github.com/openspine/openspine/fhir/search"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
)

// about is whom a resource speaks of, as its content says: the Patients it names, the persons it names by NHS number, and what it is
// attached to, whose chart is then its own. astray says that it speaks, or may speak, of somebody whom it does not name so.
// A resource is filed in a chart when all of this comes to one person; it is unfiled when it comes to several, or to somebody
// unknown; and about nobody when there is nothing of it (docs/decisions/0007-unfiled-records.md).
type about struct {
	patients []string
	numbers  []string
	attached []string // Type/id
	astray   bool
}

func (a *about) equal(b *about) bool {
	return a.astray == b.astray && slices.Equal(a.patients, b.patients) && slices.Equal(a.numbers, b.numbers) && slices.Equal(a.attached, b.attached)
}

// simple reports whether the content alone tells the chart.
func (a *about) simple() bool { return len(a.numbers) == 0 && len(a.attached) == 0 }

// subjects are the elements in which a resource says whom it is about.
var subjects = [...]string{"patient", "subject", "beneficiary", "for", "individual", "candidate", "deliverTo"}

// impersonal are the types of which something may be about nobody, beside those that always are (access.Shared).
var impersonal = map[string]bool{"Device": true, "DeviceMetric": true, "ResearchStudy": true, "CatalogEntry": true}

// persons are the types of which a reference may lead to a person.
var persons = map[string]bool{"Patient": true, "RelatedPerson": true, "Person": true}

// aboutOf reads whom res speaks of; id is that under which it is kept.
func aboutOf(res *fhir.Resource, id string) about {
	a := about{}
	typ := res.Type()
	switch {
	case typ == "Patient":
		a.patients = []string{id}
		return a
	case access.Shared(typ):
		return a
	}
	reader{about: &a, contained: res.Get("contained")}.read(typ, res.Root())
	slices.Sort(a.patients)
	a.patients = slices.Compact(a.patients)
	return a
}

// reader adds to about what it finds.
type reader struct {
	*about
	contained fhir.Node
	inside    func(reference string) bool // in a Bundle: whether a reference leads to an entry of it
}

func (rd reader) read(typ string, root fhir.Node) {
	switch typ {
	case "Person":
		rd.all(root.Field("link"), "target", true)
	case "Appointment":
		rd.all(root.Field("participant"), "actor", false)
	case "AppointmentResponse":
		rd.person(root.Field("actor"))
	case "Group":
		rd.all(root.Field("member"), "entity", false)
	case "Provenance":
		for target := range root.Field("target").Items() {
			rd.attach(target)
		}
	case "Binary":
		rd.attach(root.Field("securityContext"))
	case "Bundle":
		rd.bundle(root)
	default:
		rd.named(typ, root)
	}
}

// named reads the elements that say whom a resource is about. With none of them it may be about anybody, unless its type is impersonal.
func (rd reader) named(typ string, root fhir.Node) {
	some := false
	for _, element := range subjects {
		for ref := range root.Field(element).Items() {
			some = true
			rd.person(ref)
		}
	}
	if !some && !impersonal[typ] {
		rd.astray = true
	}
}

// all reads a reference in each item; needed says that without any it is about somebody unknown.
func (rd reader) all(items fhir.Node, field string, needed bool) {
	some := false
	for item := range items.Items() {
		if ref := item.Field(field); ref.Exists() {
			some = true
			rd.person(ref)
		}
	}
	if needed && !some {
		rd.astray = true
	}
}

// person reads a reference to whoever something is about.
func (rd reader) person(ref fhir.Node) {
	reference := ref.Field("reference").String()
	typ := ref.Field("type").String()
	switch {
	case reference == "":
		if !rd.numbered(ref.Field("identifier")) && (typ == "" || persons[typ]) {
			rd.astray = true
		}
	case rd.inside != nil && rd.inside(reference):
	case strings.HasPrefix(reference, "#"):
		rd.containedIn(reference[1:])
	default:
		rd.referred(ref, reference)
	}
}

func (rd reader) referred(ref fhir.Node, reference string) {
	if id, ok := search.PatientID(reference); ok && rd.inside == nil {
		rd.patients = append(rd.patients, id)
		return
	}
	target, relative := relativeTo(reference)
	typ, _, _ := strings.Cut(target, "/")
	switch {
	case typ != "" && !persons[typ]: // a group, a device, a place
	case relative && rd.inside == nil && typ != "" && typ != "Patient":
		rd.attached = append(rd.attached, target)
	case !rd.numbered(ref.Field("identifier")):
		rd.astray = true
	}
}

// relativeTo is Type/id of a reference, "" when it has no such end, and whether it is relative.
func relativeTo(reference string) (target string, relative bool) {
	reference, _, _ = strings.Cut(reference, "/_history/")
	parts := strings.Split(reference, "/")
	if len(parts) < 2 || !definition.R4().IsResource(parts[len(parts)-2]) {
		return "", false
	}
	return strings.Join(parts[len(parts)-2:], "/"), len(parts) == 2
}

// containedIn reads a contained resource, which is whom its identifier names.
func (rd reader) containedIn(id string) {
	for res := range rd.contained.Items() {
		if id == "" || res.Field("id").String() != id {
			continue
		}
		switch typ := res.Field("resourceType").String(); {
		case typ == "RelatedPerson":
			if ref := res.Field("patient"); !strings.HasPrefix(ref.Field("reference").String(), "#") {
				rd.person(ref)
				return
			}
		case !persons[typ], rd.numbered(res.Field("identifier")):
			return
		}
	}
	rd.astray = true
}

// numbered reads NHS numbers among identifiers, and reports whether there was one.
func (rd reader) numbered(identifiers fhir.Node) bool {
	found := false
	for id := range identifiers.Items() {
		if id.Field("system").String() != ident.SystemNHSNumber {
			continue
		}
		if n, err := ident.ParseNHSNumber(id.Field("value").String()); err == nil {
			found = true
			rd.numbers = append(rd.numbers, n.String())
		}
	}
	return found
}

// attach reads a reference to what the resource belongs to.
func (rd reader) attach(ref fhir.Node) {
	reference := ref.Field("reference").String()
	if rd.inside != nil && rd.inside(reference) {
		return
	}
	if id, ok := search.PatientID(reference); ok && rd.inside == nil {
		rd.patients = append(rd.patients, id)
		return
	}
	if target, relative := relativeTo(reference); relative && rd.inside == nil {
		rd.attached = append(rd.attached, target)
		return
	}
	rd.astray = true
}

// bundle reads the entries of a Bundle. It was made elsewhere, perhaps, and its Patient/1 is not ours: only an NHS number says who its
// people are, and what refers to one of its own entries is about that one.
func (rd reader) bundle(root fhir.Node) {
	own := map[string]bool{}
	for e := range root.Field("entry").Items() {
		res := e.Field("resource")
		own[e.Field("fullUrl").String()] = true
		own[res.Field("resourceType").String()+"/"+res.Field("id").String()] = true
	}
	delete(own, "")
	delete(own, "/")
	for e := range root.Field("entry").Items() {
		res := e.Field("resource")
		typ := res.Field("resourceType").String()
		inner := reader{about: rd.about, contained: res.Field("contained"), inside: func(reference string) bool {
			reference, _, _ = strings.Cut(reference, "/_history/")
			return own[reference]
		}}
		switch {
		case typ == "" || access.Shared(typ):
		case typ == "Patient":
			if !inner.numbered(res.Field("identifier")) {
				rd.astray = true
			}
		default:
			inner.read(typ, res)
		}
	}
}

// lead is where a number or an attachment leads: a chart, or nowhere known (astray), or to what is about nobody.
type lead struct {
	chart  string
	hidden access.Label // what hides that chart
	astray bool
}

// leads follows what the content alone does not tell.
func (r *Records) leads(tx *store.Tx, d *Draft, a *about) ([]lead, error) {
	var list []lead
	for _, number := range a.numbers {
		chart, err := r.chartOfNumber(tx, d.ref.Tenant, number)
		if err != nil {
			return nil, err
		}
		list = append(list, lead{chart: chart, astray: chart == ""})
	}
	for _, target := range a.attached {
		l, err := r.leadOf(tx, d, target)
		if err != nil {
			return nil, err
		}
		list = append(list, l)
	}
	for i := range list {
		var err error
		if list[i].hidden, err = r.chartLabel(tx, d.ref.Tenant, list[i].chart); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// leadOf is where an attachment stands: with what is written beside it, or with what is kept.
func (r *Records) leadOf(tx *store.Tx, d *Draft, target string) (lead, error) {
	typ, id, _ := strings.Cut(target, "/")
	ref := Ref{Tenant: d.ref.Tenant, Type: typ, ID: id}
	if d.change.Beside != nil {
		if res := d.change.Beside(ref); res != nil {
			a := aboutOf(res, id)
			switch {
			case a.astray || !a.simple() || len(a.patients) > 1:
				return lead{astray: true}, nil
			case len(a.patients) == 1:
				return lead{chart: a.patients[0]}, nil
			}
			return lead{}, nil
		}
	}
	w, err := r.find(tx, ref)
	if fault.Is(err, fault.NotFound) {
		return lead{astray: true}, nil
	}
	return lead{chart: w.chart, astray: w.chart == "" && w.author != ""}, err
}

// chartOfNumber is the chart of the one Patient of a tenant who has this NHS number, "" when there is none or several.
func (r *Records) chartOfNumber(tx *store.Tx, tenant ident.ODSCode, number string) (string, error) {
	kind, ok, err := r.words.kindIn(tx, tenant.String(), "Patient")
	if err != nil || !ok {
		return "", err
	}
	params := r.words.paramsOf(tenant.String() + "/Patient/identifier")
	found := ""
	for _, param := range params {
		ids, err := patientsNumbered(tx, kind, param, tokenHash(ident.SystemNHSNumber, number))
		if err != nil {
			return "", err
		}
		for _, id := range ids {
			v, _, err := r.load(tx, Ref{Tenant: tenant, Type: "Patient", ID: id})
			if err != nil {
				return "", err
			}
			if id == found || v.Resource == nil || !carries(v.Resource, number) {
				continue
			}
			if found != "" {
				return "", nil
			}
			found = id
		}
	}
	return found, nil
}

func patientsNumbered(tx *store.Tx, kind, param, hash int64) ([]string, error) {
	rows, err := tx.Query(`SELECT r.id FROM idx_hash i CROSS JOIN record_resource r WHERE i.param = ? AND i.hash = ?
		AND r.lane = i.lane AND r.rid = i.rid AND r.kind = ? AND r.op <> ? ORDER BY r.id LIMIT 5`, param, hash, kind, int64(Voided))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var ids []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

func carries(res *fhir.Resource, number string) bool {
	a := about{}
	reader{about: &a}.numbered(res.Get("identifier"))
	return slices.Contains(a.numbers, number)
}

// examine reads whom the draft's new content speaks of, and what hides the chart that it comes into: nothing is filed there by whoever
// may not know of the person.
func (r *Records) examine(tx *store.Tx, d *Draft, res *fhir.Resource) (err error) {
	d.about, d.leads, d.hidden, d.nobody = aboutOf(res, d.ref.ID), nil, 0, false
	if d.ref.Type == "Patient" {
		return nil
	}
	if !d.about.simple() {
		if d.leads, err = r.leads(tx, d, &d.about); err != nil {
			return err
		}
	}
	if len(d.about.patients) == 1 {
		var known bool
		d.hidden, known, err = r.registered(tx, d.ref.Tenant, d.about.patients[0])
		d.nobody = !known
	}
	return err
}

// file settles the chart of the draft's new content. Where a lead goes to a chart in which its writer may not write, it is no lead: whether
// somebody is there, and whether it may be known, comes to the same.
func (d *Draft) file(ctx context.Context) error {
	if d.ref.Type == "Patient" {
		d.chart, d.astray = d.ref.ID, false
		return nil
	}
	d.astray = d.about.astray
	charts := slices.Clone(d.about.patients)
	for _, l := range d.leads {
		switch may, err := d.would(ctx, l); {
		case err != nil:
			return err
		case l.astray || !may:
			d.astray = true
		case l.chart != "" && !slices.Contains(charts, l.chart):
			charts = append(charts, l.chart)
			if len(d.about.patients) == 0 {
				d.hidden = l.hidden
			}
		}
	}
	d.astray = d.astray || len(charts) > 1
	d.chart = ""
	if len(charts) == 1 && !d.astray {
		d.chart = charts[0]
	} else {
		d.hidden, d.nobody = 0, false
	}
	return nil
}

func (d *Draft) would(ctx context.Context, l lead) (bool, error) {
	if l.chart == "" || d.change.Would == nil {
		return true, nil
	}
	return d.change.Would(ctx, access.Act{Action: access.Create, Place: access.Place{Tenant: d.ref.Tenant, Chart: l.chart, Type: d.ref.Type, ID: d.ref.ID, Label: l.hidden}})
}

// authored is who the author of the next version is taken to be (see access.Place): kept for what was written while it was unfiled.
func (d *Draft) authored(was *row, by string) string {
	switch {
	case d.chart == "" && d.astray && (was == nil || was.chart != "" || was.author == ""):
		return by
	case was != nil:
		return was.author
	}
	return ""
}
