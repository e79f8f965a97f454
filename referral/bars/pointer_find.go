package bars

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
)

// The parameters of a search for pointers. A patient is named as in the description of the API, or as in the published CapabilityStatement.
const (
	bySubject   = "subject:identifier"
	byPatient   = "patient:identifier"
	byCustodian = "custodian:identifier"
	byType      = "type"
	byCategory  = "category"
	byPointerID = "_id"
	byPage      = "next-page-token"
)

// oneOfThese reads a parameter system|value of a system in either of its spellings. Error: 400.
func oneOfThese(q url.Values, name, system string) (value string, err error) {
	given, value, ok := strings.Cut(q.Get(name), "|")
	_, want, _ := strings.Cut(system, "://")
	if _, rest, _ := strings.Cut(given, "://"); !ok || value == "" || !strings.EqualFold(rest, want) {
		return "", ill("value", "The parameter %s is %s|… and a value.", name, system)
	}
	return value, nil
}

// pointerQuery is what a search looks for.
type pointerQuery struct {
	patient             ident.NHSNumber
	custodian, kind, id string
	category            string
	after               mark
}

// mark is where a page of pointers ends; the first page is after none.
type mark struct {
	created int64
	id      string
}

func (m mark) token() string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d %s", m.created, m.id))
}

func markOf(token string) (m mark, err error) {
	text, err := base64.RawURLEncoding.DecodeString(token)
	created, id, ok := strings.Cut(string(text), " ")
	if err == nil && ok {
		m.id = id
		m.created, err = strconv.ParseInt(created, 10, 64)
	}
	if err != nil || uuid.Validate(m.id) != nil {
		return m, ill("value", "The parameter %s is not one that an answer had.", byPage)
	}
	return m, nil
}

func (c *call) pointerQuery() (p pointerQuery, err error) {
	q, err := c.asked(bySubject, byPatient, byCustodian, byType, byCategory, byPointerID, byPage)
	if err != nil {
		return p, err
	}
	name := bySubject
	if q.Has(byPatient) {
		name = byPatient
	}
	if !q.Has(name) || q.Has(bySubject) && q.Has(byPatient) {
		return p, ill("required", "The search names the patient: %s=%s|… and the NHS number.", bySubject, ident.SystemNHSNumber)
	}
	number, err := oneOfThese(q, name, ident.SystemNHSNumber)
	if err != nil {
		return p, err
	}
	if p.patient, err = ident.ParseNHSNumber(number); err != nil {
		return p, ill("value", "What stands in %s is no NHS number.", name)
	}
	if q.Has(byCustodian) {
		if p.custodian, err = oneOfThese(q, byCustodian, ident.SystemODSCode); err != nil {
			return p, err
		}
	}
	if q.Has(byType) {
		system, code, ok := strings.Cut(q.Get(byType), "|")
		if !ok || !isSnomed(system) || code != typeVisit && code != typeRequest {
			return p, ill("value", "The parameter type is http://snomed.info/sct| and %s (appointment) or %s (referral).", typeVisit, typeRequest)
		}
		p.kind = code
	}
	if q.Has(byPage) {
		if p.after, err = markOf(q.Get(byPage)); err != nil {
			return p, err
		}
	}
	p.category, p.id = q.Get(byCategory), strings.ToLower(q.Get(byPointerID))
	return p, nil
}

// finds reports whether a search looks for a pointer.
func (q pointerQuery) finds(p pointer) bool {
	return (q.custodian == "" || strings.EqualFold(q.custodian, p.custodian)) && (q.kind == "" || q.kind == p.kind) && (q.id == "" || q.id == p.id) && codedAny(p.body.Get("category"), q.category)
}

// listPointers finds a patient's pointers, twenty at a time, the newest first.
func (c *call) listPointers() error {
	q, err := c.pointerQuery()
	if err != nil {
		return err
	}
	chart, _, err := c.subjectOf(q.patient, "")
	if err != nil {
		return err
	}
	written, err := c.writtenPointers(chart)
	if err != nil {
		return err
	}
	own, err := c.ownPointers(chart)
	if err != nil {
		return err
	}
	all := written
	for _, p := range own {
		if !slices.ContainsFunc(written, func(x pointer) bool {
			return x.custodian == p.custodian && x.kind == p.kind && x.named == p.named
		}) {
			all = append(all, p)
		}
	}
	all = slices.DeleteFunc(all, func(p pointer) bool { return !q.finds(p) })
	slices.SortFunc(all, func(a, b pointer) int { return -a.mark().compare(b.mark()) })
	total, next := len(all), ""
	if q.after.id != "" {
		all = slices.DeleteFunc(all, func(p pointer) bool { return p.mark().compare(q.after) >= 0 })
	}
	if len(all) > pointersAPage {
		all = all[:pointersAPage]
		next = all[pointersAPage-1].mark().token()
	}
	return c.sendPointers(all, total, next)
}

func (p pointer) mark() mark { return mark{p.created.UnixMicro(), p.id} }

func (m mark) compare(o mark) int {
	if m.created != o.created {
		return int(max(-1, min(1, m.created-o.created)))
	}
	return strings.Compare(m.id, o.id)
}

// writtenPointers are those of a patient that custodians wrote.
func (c *call) writtenPointers(chart string) (list []pointer, err error) {
	scope, err := c.ask.Scope(access.Search, typePointer)
	if err != nil {
		return nil, err
	}
	cond, args := scope.Where(access.Columns{Lane: "p.lane", Chart: "p.chart", Label: "0", Author: "''"}, typePointer)
	err = c.a.k.DB.Read(c.r.Context(), func(tx *store.Tx) error {
		kin, err := c.a.k.Gate.Kin(tx, c.a.k.National, chart)
		if err != nil {
			return err
		}
		each, all := []string{}, slices.Clone(args)
		for _, one := range kin {
			each = append(each, "p.lane = ? AND p.chart = ?")
			all = append(all, int64(c.pointerLane(one)), one)
		}
		list, err = pointersIn(tx, `p WHERE (`+cond+`) AND (`+strings.Join(each, " OR ")+`) ORDER BY p.id LIMIT ?`, append(all, mostPointed+1)...)
		return err
	})
	if err == nil && len(list) > mostPointed {
		err = refuse(http.StatusUnprocessableEntity, receiver, "too-costly", "The patient has more than %d pointers.", mostPointed)
	}
	for _, p := range list {
		scope.Disclose(c.pointerPlace(p.chart, p.id))
	}
	return list, err
}

// sendPointers answers with a page, and the token of the next one where there is more: in meta.tag, as published, and as a link.
func (c *call) sendPointers(page []pointer, total int, next string) error {
	entries := make([]any, len(page))
	for i, p := range page {
		entries[i] = fhir.Obj("fullUrl", c.a.base()+"/"+typePointer+"/"+p.id, "resource", drawPointer(p))
	}
	links := []any{fhir.Obj("relation", "self", "url", c.self(typePointer))}
	tag := fhir.Value{}
	if next != "" {
		q := c.r.URL.Query()
		q.Set(byPage, next)
		links = append(links, fhir.Obj("relation", "next", "url", c.a.base()+"/"+typePointer+"?"+q.Encode()))
		tag = fhir.Arr(fhir.Obj("code", next, "display", byPage))
	}
	return c.send(http.StatusOK, fhir.Obj("resourceType", "Bundle", "id", uuid.NewString(), "meta", fhir.Obj("lastUpdated", instant(c.a.k.Clock.Now()), "profile", fhir.Arr(ukCore+"Bundle"), "tag", tag),
		"type", "searchset", "total", total, "link", fhir.Arr(links...), "entry", fhir.Arr(entries...)))
}

// drawPointer is a pointer as its custodian wrote it, with its id here and when it was written.
func drawPointer(p pointer) fhir.Value {
	e := p.body.Edit()
	e.Set(p.body.Root(), "id", fhir.Of(p.id))
	e.Set(p.body.Root(), "meta", fhir.Obj("lastUpdated", p.changed.UTC().Format(time.RFC3339), "profile", fhir.Arr("https://fhir.nhs.uk/R4/StructureDefinition/UKCore-DocumentReference")))
	res, err := e.Done()
	if err != nil {
		return p.body.Root().Value() // it was read as a document: both can be set
	}
	return res.Root().Value()
}

// onePointer reads the pointer in the address.
func (c *call) onePointer() error {
	id := c.r.PathValue("id")
	if u, ok := ownPrefix(id); ok {
		p, err := c.followed(u, id)
		if err != nil {
			return err
		}
		return c.send(http.StatusOK, drawPointer(p))
	}
	p, _, err := c.keptPointer(access.Read)
	if err != nil {
		return err
	}
	return c.send(http.StatusOK, drawPointer(p))
}
