package bars

import (
	"bytes"
	"crypto/sha256"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/fhirapi"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
)

// A pointer (DocumentReference, BaRS 1.4) tells where a booking or a referral of somebody is: which organisation keeps it, and under which address. That organisation's systems, its custodian's, write it, and nobody
// else does. It is kept as they wrote it, in the lane of the patient's chart. What this node itself books and refers has pointers too, which are drawn when they are asked for (pointer_own.go).

const typePointer = "DocumentReference"

// Limits of pointers.
const (
	mostPointer   = 32 << 10 // bytes of one
	mostPointers  = 200      // of one patient, by one custodian
	mostPointed   = 2000     // of one patient, read in one go
	pointersAPage = 20       // as published
)

// The two types of a pointer (SNOMED CT).
const (
	typeVisit   = "749001000000101" // Appointment (record artifact)
	typeRequest = "3457005"         // Patient referral
)

// What a pointer is known by: a booking or referral at its custodian, the service, and the product that keeps it.
const (
	pointedSystem = "https://fhir.nhs.uk/Id/BaRS-Identifier"
	productSystem = "https://fhir.nhs.uk/id/product-id"
)

// pointer is one as it is kept.
type pointer struct {
	id, chart        string
	custodian        string // ODS code
	kind             string // of the two types
	named            string // its BaRS identifier
	body             *fhir.Resource
	created, changed time.Time
}

const pointerColumns = `SELECT id, chart, custodian, kind, named, body, created, changed FROM bars_pointer `

func pointersIn(tx *store.Tx, more string, args ...any) (list []pointer, err error) {
	rows, err := tx.Query(pointerColumns+more, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var p pointer
		var body []byte
		var created, changed int64
		if err := rows.Scan(&p.id, &p.chart, &p.custodian, &p.kind, &p.named, &body, &created, &changed); err != nil {
			return nil, err
		}
		if p.body, err = fhir.Parse(body); err != nil {
			return nil, fault.Wrap(err, fault.Internal, "a pointer cannot be read")
		}
		p.created, p.changed = time.UnixMicro(created).UTC(), time.UnixMicro(changed).UTC()
		list = append(list, p)
	}
	return list, rows.Err()
}

func (c *call) pointerPlace(chart, id string) access.Place {
	return access.Place{Tenant: c.a.k.National, Chart: chart, Type: typePointer, ID: id, Exists: id != ""}
}

func (c *call) pointerLane(chart string) store.Lane { return c.a.k.Gate.Lane(c.a.k.National, chart) }

func noPointer() error {
	return refuse(http.StatusNotFound, here, "not-found", "There is no such pointer.")
}

// sentPointer is the pointer in the body. Error: 400 for what is not one as published.
func (c *call) sentPointer() (p pointer, n ident.NHSNumber, err error) {
	res, err := fhirapi.Sent(c.a.k, c.r)
	if err != nil {
		return p, n, err
	}
	if res.Type() != typePointer {
		return p, n, ill("invalid", "What is sent here is of the type %s.", typePointer)
	}
	if len(res.JSON()) > mostPointer {
		return p, n, ill("too-long", "A pointer has at most %d bytes.", mostPointer)
	}
	if err := c.soundPointer(res); err != nil {
		return p, n, err
	}
	subject := res.Get("subject.identifier")
	if subject.Field("system").String() != ident.SystemNHSNumber {
		return p, n, ill("required", "DocumentReference.subject names the patient by their NHS number (%s).", ident.SystemNHSNumber)
	}
	if n, err = ident.ParseNHSNumber(subject.Field("value").String()); err != nil {
		return p, n, ill("value", "What stands in DocumentReference.subject is no NHS number.")
	}
	for coding := range res.Get("type.coding").Items() {
		if code := coding.Field("code").String(); p.kind == "" && isSnomed(coding.Field("system").String()) && (code == typeVisit || code == typeRequest) {
			p.kind = code
		}
	}
	if p.kind == "" {
		return p, n, ill("value", "DocumentReference.type is %s (appointment) or %s (referral), of SNOMED CT.", typeVisit, typeRequest)
	}
	if p.named, err = pointedBy(res); err != nil {
		return p, n, err
	}
	p.body, p.custodian = res, c.organisation.String()
	return p, n, c.owns(res.Get("custodian"))
}

// isSnomed reports whether a code system is SNOMED CT, in one of its published spellings.
func isSnomed(system string) bool {
	_, rest, _ := strings.Cut(system, "://")
	return strings.HasPrefix(rest, "snomed.info/")
}

// pointedBy is the BaRS identifier of a pointer, which has one of a service and of a product beside it.
func pointedBy(res *fhir.Resource) (named string, err error) {
	if _, err := identifiers(res); err != nil {
		return "", err
	}
	of := func(system string) (value string) {
		_, want, _ := strings.Cut(system, "://")
		for i := range res.Get("identifier").Items() {
			if _, rest, _ := strings.Cut(i.Field("system").String(), "://"); strings.EqualFold(rest, want) && value == "" {
				value = i.Field("value").String()
			}
		}
		return value
	}
	for _, system := range []string{pointedSystem, serviceSystem, productSystem} {
		if of(system) == "" {
			return "", ill("required", "DocumentReference.identifier has one of the system %s.", system)
		}
	}
	return of(pointedSystem), nil
}

// soundPointer holds a pointer to FHIR R4, but for the two elements that are published in another shape as well, and to what each has at least.
func (c *call) soundPointer(res *fhir.Resource) error {
	const mostContents = 20
	e := res.Edit().Set(res.Root(), "id", fhir.Value{}) // it is given here, and published ones are none of FHIR
	if m := res.Get("masterIdentifier"); m.Index(0).Exists() {
		e.Set(res.Root(), "masterIdentifier", m.Index(0).Value())
	}
	for content := range res.Get("content").Items() {
		if coding := formatOf(content); coding.Exists() {
			e.Set(content, "format", coding.Value())
		}
	}
	plain, err := e.Done()
	if err == nil {
		err = c.a.k.Sound(c.r.Context(), plain)
	}
	if err != nil {
		return here400(err)
	}
	if n := res.Get("content").Len(); n == 0 || n > mostContents {
		return ill("required", "DocumentReference.content has between one and %d entries.", mostContents)
	}
	for content := range res.Get("content").Items() {
		if !isAddress(content.Get("attachment.url").String()) {
			return ill("value", "DocumentReference.content.attachment.url is a whole address on the web, without a password.")
		}
	}
	coding := res.Get("category.0.coding.0")
	if coding.Field("system").String() == "" || coding.Field("code").String() == "" {
		return ill("required", "DocumentReference.category says by a code of what class it is.")
	}
	return soundPeriod(res.Get("context.period"))
}

// formatOf is the code of the format of what is pointed to: a Coding as FHIR has it, or one in a list, or in a concept in a list, as it is published elsewhere.
func formatOf(content fhir.Node) fhir.Node {
	f := one(content.Field("format"))
	if coding := f.Get("coding.0"); coding.Exists() {
		return coding
	}
	return f
}

// soundPeriod refuses a time that has no end. (That the end is after the start is FHIR's own rule.)
func soundPeriod(period fhir.Node) error {
	if !period.Exists() {
		return nil
	}
	_, err := time.Parse(time.RFC3339, period.Field("start").String())
	if _, wrong := time.Parse(time.RFC3339, period.Field("end").String()); err != nil || wrong != nil {
		return ill("value", "DocumentReference.context.period has a start and an end, each with its offset.")
	}
	return nil
}

// subjectOf is the chart of a patient, for an act on it. Errors: 404 in the same words for nobody and for somebody who is not to be known of.
func (c *call) subjectOf(n ident.NHSNumber, action access.Action) (chart string, grants []access.Grant, err error) {
	place, err := c.ask.Locate("Patient", n.String())
	if err == nil && !place.Exists {
		err = fault.New(fault.NotFound, "nobody")
	}
	if err == nil {
		if _, err = c.ask.Grants(access.Act{Action: access.Read, Place: place}); err == nil && action != "" {
			grants, err = c.ask.Grants(access.Act{Action: action, Place: c.pointerPlace(place.Chart, "")})
		}
	}
	if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Gone) {
		return "", nil, refuse(http.StatusNotFound, here, "not-found", "The register knows nobody by what was given.")
	}
	return place.Chart, grants, err
}

// noted is a write of pointers as it is known when it comes again: by its X-Request-Id, of the program's organisation.
func (c *call) noted(body []byte) message {
	sum := sha256.Sum256(append([]byte(c.r.Method+" "+c.r.URL.Path+"\n"), body...))
	return message{id: alonePrefix + "pointer/" + strings.ToLower(c.r.Header.Get("X-Request-Id")), digest: sum[:]}
}

// pointOnce does a write of pointers, in one commit with its entry on the account and the note that it was done. What was done already is not done again.
func (c *call) pointOnce(m message, grants []access.Grant, id, chart string, do func(tx *store.Tx) error) error {
	lanes := []store.Lane{c.lane(m), c.pointerLane(chart), c.a.k.DB.LaneOf(c.a.k.National.String(), "bars/pointer/"+id)}
	return c.a.k.Gate.Act(c.r.Context(), grants, lanes, func(tx *store.Tx) error {
		d, ok, err := c.deed(tx, m)
		if err != nil {
			return err
		}
		if ok {
			return c.sameAgain(m, d)
		}
		if err := do(tx); err != nil {
			return err
		}
		return tx.Queue(`INSERT INTO bars_message (lane, sender, message, digest, made, at, version) VALUES (?, ?, ?, ?, ?, ?, 0)`,
			int64(c.lane(m)), c.organisation.String(), m.id, m.digest, typePointer+"/"+id, tx.At().UnixMicro())
	})
}

// sameAgain refuses another request with the id of one that was done.
func (c *call) sameAgain(m message, d deed) error {
	if bytes.Equal(d.digest, m.digest) {
		return nil
	}
	return refuse(http.StatusConflict, receiver, "conflict", "Another request with the id %s was done before: give each an id of its own.", shown(strings.TrimPrefix(m.named(), "pointer/")))
}

// keepPointer writes one; it replaces what stands under its id.
func (c *call) keepPointer(tx *store.Tx, p pointer) error {
	_, err := tx.Exec(`INSERT INTO bars_pointer (lane, chart, id, custodian, kind, named, body, created, changed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (lane, chart, id) DO UPDATE SET named = excluded.named, body = excluded.body, changed = excluded.changed`,
		int64(c.pointerLane(p.chart)), p.chart, p.id, p.custodian, p.kind, p.named, p.body.JSON(), p.created.UnixMicro(), p.changed.UnixMicro())
	return err
}

func (c *call) dropPointer(tx *store.Tx, p pointer) error {
	_, err := tx.Exec(`DELETE FROM bars_pointer WHERE lane = ? AND chart = ? AND id = ?`, int64(c.pointerLane(p.chart)), p.chart, p.id)
	return err
}

// mine are the pointers of a patient by the caller's organisation.
func (c *call) mine(tx *store.Tx, chart string) ([]pointer, error) {
	return pointersIn(tx, `WHERE lane = ? AND chart = ? AND custodian = ? LIMIT ?`, int64(c.pointerLane(chart)), chart, c.organisation.String(), mostPointers+1)
}

// postPointer makes a pointer. One that replaces another takes its place, in the same write.
func (c *call) postPointer() error {
	p, n, err := c.sentPointer()
	if err != nil {
		return err
	}
	m := c.noted(p.body.JSON())
	p.id = madeID("pointer", p.custodian, strings.ToLower(c.r.Header.Get("X-Request-Id")))
	replaced, err := replacedBy(p.body)
	if err != nil {
		return err
	}
	chart, grants, err := c.subjectOf(n, access.Create)
	if err != nil {
		return err
	}
	p.chart = chart
	err = c.pointOnce(m, grants, p.id, chart, func(tx *store.Tx) error {
		list, err := c.mine(tx, chart)
		if err != nil {
			return err
		}
		for _, id := range replaced {
			at := slices.IndexFunc(list, func(x pointer) bool { return x.id == id && x.kind == p.kind })
			if at < 0 {
				return ill("not-found", "What DocumentReference.relatesTo replaces is no pointer of this patient and type that you made.")
			}
			if err := c.dropPointer(tx, list[at]); err != nil {
				return err
			}
			list = slices.Delete(list, at, at+1)
		}
		if at := slices.IndexFunc(list, func(x pointer) bool { return x.kind == p.kind && x.named == p.named }); at >= 0 {
			return doubled("The pointer is there already: %s/%s.", typePointer, list[at].id)
		}
		if len(list) >= mostPointers {
			return refuse(http.StatusUnprocessableEntity, receiver, "too-costly", "An organisation has at most %d pointers of one patient.", mostPointers)
		}
		p.created, p.changed = tx.At(), tx.At()
		return c.keepPointer(tx, p)
	})
	if err != nil {
		return err
	}
	c.w.Header().Set("Location", c.a.base()+"/"+typePointer+"/"+p.id)
	return c.pointed(http.StatusCreated, "RESOURCE_CREATED", "Resource created", "The document has been created")
}

// replacedBy are the ids of the pointers that a new one takes the place of (relatesTo, code "replaces"). Error: 400.
func replacedBy(res *fhir.Resource) (ids []string, err error) {
	for x := range res.Get("relatesTo").Items() {
		if x.Field("code").String() != "replaces" {
			continue
		}
		id := x.Get("target.identifier.value").String()
		if id == "" {
			id = strings.TrimPrefix(x.Get("target.reference").String(), typePointer+"/")
		}
		if id == "" || slices.Contains(ids, id) {
			return nil, ill("value", "DocumentReference.relatesTo names each pointer that is replaced once, by its id.")
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// pointed says what became of a pointer, as published.
func (c *call) pointed(status int, code, display, says string) error {
	return c.send(status, outcome("information", "informational", "https://fhir.nhs.uk/ValueSet/NRL-ResponseCode", code, display, says))
}

// keptPointer is the pointer of the id in the address, for an act of its custodian. Errors: 404 where there is none, and for a person who is not to be known of; 403 for another's.
func (c *call) keptPointer(action access.Action) (p pointer, grants []access.Grant, err error) {
	var list []pointer
	err = c.a.k.DB.Read(c.r.Context(), func(tx *store.Tx) error {
		list, err = pointersIn(tx, `WHERE id = ?`, strings.ToLower(c.r.PathValue("id")))
		return err
	})
	if err != nil {
		return p, nil, err
	}
	if len(list) == 0 {
		return p, nil, noPointer()
	}
	p = list[0]
	n, err := ident.ParseNHSNumber(p.body.Get("subject.identifier.value").String())
	if err != nil {
		return p, nil, err
	}
	if _, _, err := c.subjectOf(n, ""); err != nil {
		if fault.Is(err, fault.NotFound) {
			err = noPointer()
		}
		return p, nil, err
	}
	grants, err = c.ask.Grants(access.Act{Action: action, Place: c.pointerPlace(p.chart, p.id)})
	switch {
	case fault.Is(err, fault.NotFound):
		return p, nil, noPointer()
	case err == nil && p.custodian != c.organisation.String():
		err = refuse(http.StatusForbidden, sender, "forbidden", "Only the organisation that made it reads it by its id, and changes it: %s.", p.custodian)
	}
	return p, grants, err
}

// repeated reports whether the request was done before, for what it was about may have gone since.
func (c *call) repeated(m message) (bool, error) {
	var d deed
	ok := false
	err := c.a.k.DB.Read(c.r.Context(), func(tx *store.Tx) (err error) {
		d, ok, err = c.deed(tx, m)
		return err
	})
	if err == nil && ok {
		err = c.sameAgain(m, d)
	}
	return ok, err
}

// putPointer changes a pointer; whose it is, of whom and of what type stays.
func (c *call) putPointer() error {
	p, n, err := c.sentPointer()
	if err != nil {
		return err
	}
	if id := p.body.ID(); id != "" && !strings.EqualFold(id, c.r.PathValue("id")) {
		return ill("invalid", "The id in the address is not that of the resource.")
	}
	m := c.noted(p.body.JSON())
	return c.changePointer(m, access.Update, func(tx *store.Tx, old pointer) error {
		if old.kind != p.kind || old.body.Get("subject.identifier.value").String() != n.String() {
			return ill("invariant", "The id, subject, custodian and type of a pointer stay as they are: delete it, and make another.")
		}
		list, err := c.mine(tx, old.chart)
		if err != nil {
			return err
		}
		if at := slices.IndexFunc(list, func(x pointer) bool { return x.kind == p.kind && x.named == p.named && x.id != old.id }); at >= 0 {
			return doubled("The pointer is there already: %s/%s.", typePointer, list[at].id)
		}
		old.named, old.body, old.changed = p.named, p.body, tx.At()
		return c.keepPointer(tx, old)
	}, "RESOURCE_UPDATED", "Resource updated", "Resource updated")
}

func (c *call) deletePointer() error {
	return c.changePointer(c.noted(nil), access.Delete, c.dropPointer, "RESOURCE_DELETED", "Resource deleted", "The requested DocumentReference has been deleted")
}

// changePointer does something to the pointer in the address, once, and says so.
func (c *call) changePointer(m message, action access.Action, do func(tx *store.Tx, p pointer) error, code, display, says string) error {
	again, err := c.repeated(m)
	if err != nil {
		return err
	}
	if !again {
		if err := c.ownPointer(c.r.PathValue("id")); err != nil {
			return err
		}
		p, grants, err := c.keptPointer(action)
		if fault.Is(err, fault.NotFound) { // perhaps because the same request deleted it at this moment
			if again, failed := c.repeated(m); failed == nil && again {
				return c.pointed(http.StatusOK, code, display, says)
			}
		}
		if err != nil {
			return err
		}
		err = c.pointOnce(m, grants, p.id, p.chart, func(tx *store.Tx) error {
			list, err := pointersIn(tx, `WHERE lane = ? AND chart = ? AND id = ?`, int64(c.pointerLane(p.chart)), p.chart, p.id)
			if err == nil && len(list) == 0 {
				err = noPointer()
			}
			if err != nil {
				return err
			}
			return do(tx, list[0])
		})
		if err != nil {
			return err
		}
	}
	return c.pointed(http.StatusOK, code, display, says)
}
