package bars

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
)

// A template is what the endpoints of a product have in common (Endpoint/$template, BaRS 1.4). Nothing is sent by it: it is kept for whoever sets up an endpoint of that kind.

// Limits of templates.
const (
	mostTemplates = 100 // of one organisation
	mostRead      = 5000
)

// template is one as it is kept.
type template struct {
	id, owner string
	body      *fhir.Resource
	changed   time.Time
}

func (c *call) templateLane() store.Lane {
	return c.a.k.DB.LaneOf(c.a.k.National.String(), "bars/template")
}

const templateColumns = `SELECT id, owner, body, changed FROM bars_template WHERE lane = ?`

func (c *call) templatesIn(tx *store.Tx, more string, args ...any) (list []template, err error) {
	rows, err := tx.Query(templateColumns+more, append([]any{int64(c.templateLane())}, args...)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var t template
		var body []byte
		var at int64
		if err := rows.Scan(&t.id, &t.owner, &body, &at); err != nil {
			return nil, err
		}
		if t.body, err = fhir.Parse(body); err != nil {
			return nil, fault.Wrap(err, fault.Internal, "a template cannot be read")
		}
		t.changed = time.UnixMicro(at).UTC()
		list = append(list, t)
	}
	return list, rows.Err()
}

// listTemplates finds templates by identifier, connection and payload.
func (c *call) listTemplates() error {
	const byID, byConnection, byPayload = "Endpoint.identifier", "ConnectionType", "PayloadType"
	q, err := c.asked(byID, byConnection, byPayload)
	if err != nil {
		return err
	}
	if _, err := c.leave(access.Search); err != nil {
		return err
	}
	var all []template
	err = c.a.k.DB.Read(c.r.Context(), func(tx *store.Tx) error {
		all, err = c.templatesIn(tx, ` ORDER BY id LIMIT ?`, mostRead)
		return err
	})
	if err != nil {
		return err
	}
	entries := []any{}
	for _, t := range all {
		if token := q.Get(byID); token != "" && !identified(t.body, token) || !coded(t.body.Get("connectionType"), q.Get(byConnection)) || !codedAny(t.body.Get("payloadType"), q.Get(byPayload)) {
			continue
		}
		entries = append(entries, fhir.Obj("fullUrl", c.a.base()+"/Endpoint/"+t.id, "resource", c.drawTemplate(t)))
	}
	return c.send(http.StatusOK, fhir.Obj("resourceType", "Bundle", "id", uuid.NewString(), "type", "searchset", "total", len(entries), "timestamp", instant(c.a.k.Clock.Now()),
		"link", fhir.Arr(fhir.Obj("relation", "self", "url", c.self("Endpoint/$template"))), "entry", fhir.Arr(entries...)))
}

// coded reports whether a concept has a code: system|code, with the system in either of its two spellings, or a code alone. An empty token asks for nothing.
func coded(concept fhir.Node, token string) bool {
	system, code, ok := strings.Cut(token, "|")
	if !ok {
		system, code = "", token
	}
	bare := func(s string) string { _, rest, _ := strings.Cut(s, "://"); return rest }
	for k := range concept.Field("coding").Items() {
		if strings.EqualFold(k.Field("code").String(), code) && (!ok || strings.EqualFold(bare(k.Field("system").String()), bare(system))) {
			return true
		}
	}
	return token == ""
}

func codedAny(concepts fhir.Node, token string) bool {
	for n := range concepts.Items() {
		if coded(n, token) {
			return true
		}
	}
	return token == ""
}

// drawTemplate is a template as it is published. The address of a private one is for its owner alone.
func (c *call) drawTemplate(t template) fhir.Value {
	r, address := t.body, t.body.Get("address").Value()
	if r.Get("header").String() == "private" && t.owner != c.organisation.String() {
		address = fhir.Value{}
	}
	return fhir.Obj("resourceType", "Endpoint", "id", t.id, "meta", fhir.Obj("lastUpdated", instant(t.changed), "profile", fhir.Arr("http://hl7.org/fhir/StructureDefinition/Endpoint")), "identifier", r.Get("identifier"), "status", r.Get("status"),
		"name", r.Get("name"), "connectionType", r.Get("connectionType"), "payloadType", r.Get("payloadType"), "managingOrganization", r.Get("managingOrganization"), "address", address, "header", r.Get("header"))
}

// putTemplate makes or replaces a template. One that is sent twice by the same request is made once.
func (c *call) putTemplate() error {
	res, err := c.sent("Endpoint", "managingOrganization")
	if err != nil {
		return err
	}
	if _, err := identifiers(res); err != nil {
		return err
	}
	if err := soundEndpoint(res); err != nil {
		return err
	}
	t := template{id: c.r.PathValue("id"), owner: c.organisation.String()}
	action := access.Update
	if t.id == "" {
		t.id, action = madeID("template", t.owner, strings.ToLower(c.r.Header.Get("X-Request-Id"))), access.Create
	} else if uuid.Validate(t.id) != nil || len(t.id) != 36 {
		return ill("value", "The id of a template is a UUID.")
	}
	body := fhir.Obj("resourceType", "Endpoint", "identifier", res.Get("identifier"), "status", res.Get("status"), "name", res.Get("name"), "connectionType", res.Get("connectionType"), "payloadType", res.Get("payloadType"),
		"managingOrganization", fhir.Arr(fhir.Obj("identifier", fhir.Obj("system", ident.SystemODSCode, "value", t.owner))), "address", res.Get("address"), "header", res.Get("header"))
	if t.body, err = body.Resource(); err != nil {
		return err
	}
	grants, err := c.leave(action)
	if err != nil {
		return err
	}
	made := false
	err = c.a.k.Gate.Act(c.r.Context(), grants, []store.Lane{c.templateLane()}, func(tx *store.Tx) error {
		if made, err = c.mayPut(tx, t); err != nil {
			return err
		}
		t.changed = tx.At()
		_, err := tx.Exec(`INSERT INTO bars_template (lane, id, owner, body, changed) VALUES (?, ?, ?, ?, ?) ON CONFLICT (lane, id) DO UPDATE SET body = excluded.body, changed = excluded.changed`,
			int64(c.templateLane()), t.id, t.owner, t.body.JSON(), t.changed.UnixMicro())
		return err
	})
	if err != nil {
		return err
	}
	return c.send(c.written(made), c.drawTemplate(t))
}

// mayPut refuses to replace another's template, then one that is there already under another id, and one too many; made reports that it is new.
func (c *call) mayPut(tx *store.Tx, t template) (made bool, err error) {
	list, err := c.templatesIn(tx, ` AND (id = ? OR owner = ?) LIMIT ?`, t.id, t.owner, mostTemplates+1)
	if err != nil {
		return false, err
	}
	at := slices.IndexFunc(list, func(x template) bool { return x.id == t.id })
	if at >= 0 && list[at].owner != t.owner {
		return false, refuse(http.StatusForbidden, sender, "forbidden", "Only the organisation whose it is writes it: %s.", list[at].owner)
	}
	made = at < 0
	for _, x := range list {
		if x.id != t.id && string(x.body.JSON()) == string(t.body.JSON()) {
			return false, doubled("The template is there already: Endpoint/%s.", x.id)
		}
	}
	if made && len(list) >= mostTemplates {
		return false, refuse(http.StatusUnprocessableEntity, receiver, "too-costly", "An organisation has at most %d templates.", mostTemplates)
	}
	return made, nil
}

func (c *call) deleteTemplate() error {
	grants, err := c.leave(access.Delete)
	if err != nil {
		return err
	}
	id := c.r.PathValue("id")
	err = c.a.k.Gate.Act(c.r.Context(), grants, []store.Lane{c.templateLane()}, func(tx *store.Tx) error {
		list, err := c.templatesIn(tx, ` AND id = ?`, id)
		switch {
		case err != nil:
			return err
		case len(list) == 0:
			return refuse(http.StatusNotFound, here, "not-found", "There is no such template.")
		case list[0].owner != c.organisation.String():
			return refuse(http.StatusForbidden, sender, "forbidden", "Only the organisation whose it is deletes it: %s.", list[0].owner)
		}
		_, err = tx.Exec(`DELETE FROM bars_template WHERE lane = ? AND id = ?`, int64(c.templateLane()), id)
		return err
	})
	if err != nil {
		return err
	}
	return c.erased()
}
