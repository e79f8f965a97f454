package events

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/demographics"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhirapi"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/store"
)

// A hospital's stays are Encounters of its own record, at its own node. Each version of one goes to the national node as a message, in the order of that stay, and is an event there:
//
//	Encounter changes ──► noted, in the commit that moves the watch on ──► whose it is ──► event.stay, by the post ──► demographics notes what happened ──► pump

// workflowStay is what hospitals tell of stays under: hospital → spine.
const workflowStay = "event.stay"

// stayClasses are the classes of Encounter that are a stay in a hospital or lead to one (http://terminology.hl7.org/CodeSystem/v3-ActCode).
var stayClasses = []string{"IMP", "ACUTE", "NONAC", "OBSENC", "PRENC", "SS", "EMER"}

// stay is what a hospital tells of somebody's stay: that it changed, and nothing of why they are there.
type stay struct {
	Number  ident.NHSNumber `json:"number"`
	ID      string          `json:"id"`
	Version int64           `json:"version"`
	Status  string          `json:"status"`
	Class   string          `json:"class"`
	Ref     string          `json:"ref"` // where it is asked for
}

// parseStay reads what a hospital tells. Error: fault.Invalid.
func parseStay(body []byte) (m stay, err error) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil || d.More() {
		return m, fault.New(fault.Invalid, "What was told of a stay cannot be read.")
	}
	if m.Number.IsZero() || m.ID == "" || len(m.ID) > 64 || m.Version < 1 || len(m.Status) > 64 || len(m.Class) > 64 || len(m.Ref) > 2000 || !strings.HasSuffix(m.Ref, "/Encounter/"+m.ID) {
		return m, fault.New(fault.Invalid, "What is told of a stay has an NHS number, an Encounter, its version, and where it is asked for.")
	}
	return m, nil
}

// stayed notes a version of a hospital's stay, in the commit that moves the watch on. What the node itself loads is no event: nobody's life changed.
func (s *service) stayed(_ context.Context, tx *store.Tx, c record.Version) error {
	if c.Deleted || c.Op == record.Left || c.Tenant == s.k.National || c.Chart == "" || strings.HasPrefix(c.Actor, "service/") || !slices.Contains(stayClasses, c.Resource.Get("class.code").String()) {
		return nil
	}
	_, err := tx.Exec(`INSERT INTO events_stay (lane, tenant, id, ver) VALUES (?, ?, ?, ?) ON CONFLICT (lane, tenant, id, ver) DO NOTHING`, int64(s.lane()), c.Tenant.String(), c.ID, c.Ver)
	return err
}

// staysAtOnce is how many stays are read at once.
const staysAtOnce = 100

// tellStays sends what was noted of stays to the national node, while there is one that can be reached from here: this one, or one of the network.
func (s *service) tellStays(ctx context.Context) error {
	for {
		var list []record.Ref
		var versions []int64
		err := s.k.DB.Read(ctx, func(tx *store.Tx) error {
			list, versions = nil, nil
			rows, err := tx.Query(`SELECT tenant, id, ver FROM events_stay WHERE lane = ? ORDER BY tenant, id, ver LIMIT ?`, int64(s.lane()), staysAtOnce)
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				var tenant, id string
				var ver int64
				if err := rows.Scan(&tenant, &id, &ver); err != nil {
					return err
				}
				of, err := ident.ParseODSCode(tenant)
				if err != nil {
					return err
				}
				list, versions = append(list, record.Ref{Tenant: of, Type: "Encounter", ID: id}), append(versions, ver)
			}
			return rows.Err()
		})
		if err != nil || len(list) == 0 {
			return err
		}
		for i, ref := range list {
			if err := s.tellStay(ctx, ref, versions[i]); err != nil {
				return err
			}
		}
	}
}

// tellStay sends one version of a stay, and forgets it. Nothing is sent of what or whom the hospital hides, and of somebody whose NHS number it does not know.
func (s *service) tellStay(ctx context.Context, ref record.Ref, ver int64) error {
	m, tell, err := s.stayOf(ctx, ref, ver)
	if err != nil {
		return err
	}
	member, err := s.member(ctx)
	if err != nil {
		return err
	}
	return s.k.DB.Write(ctx, []store.Lane{s.lane(), s.k.Post().LaneOf(ref.Tenant, thread(ref))}, func(tx *store.Tx) error {
		n, err := tx.Exec(`DELETE FROM events_stay WHERE lane = ? AND tenant = ? AND id = ? AND ver = ?`, int64(s.lane()), ref.Tenant.String(), ref.ID, ver)
		if err != nil || n == 0 || !tell || !member {
			return err // another process was quicker, or nobody is told
		}
		_, err = s.k.Post().Send(ctx, tx, messaging.Message{From: ref.Tenant, To: s.k.National, Workflow: workflowStay, Conversation: thread(ref), Body: mustJSON(m)})
		return err
	})
}

// member reports whether the national node is this one, or can be told by the network.
func (s *service) member(ctx context.Context) (bool, error) {
	if s.makersOf != nil {
		return true, nil
	}
	status, err := s.k.Network.Status(ctx)
	return !status.Self.IsZero(), err
}

// stayOf is what is told of a version of a stay; false when nobody is told of it.
func (s *service) stayOf(ctx context.Context, ref record.Ref, ver int64) (m stay, tell bool, err error) {
	me := access.Service(reader, ref.Tenant)
	now, err := s.k.Records.Locate(ctx, ref)
	if err != nil || !now.Exists || now.Label.Hidden() {
		return m, false, err
	}
	place, err := s.k.Records.LocateVersion(ctx, ref, ver)
	if err != nil || !place.Exists || place.Label.Hidden() {
		return m, false, err
	}
	g, err := s.k.Gate.Decide(ctx, me, access.Read, place)
	if err != nil {
		return m, false, err
	}
	v, err := s.k.Records.ReadVersion(ctx, g, ref, ver)
	if err != nil || v.Deleted {
		return m, false, err
	}
	whose := record.Ref{Tenant: ref.Tenant, Type: "Patient", ID: place.Chart}
	if place, err = s.k.Records.Locate(ctx, whose); err != nil || !place.Exists || place.Label.Hidden() {
		return m, false, err
	}
	if g, err = s.k.Gate.Decide(ctx, me, access.Read, place); err != nil {
		return m, false, err
	}
	person, err := s.k.Records.Read(ctx, g, whose)
	if err != nil || person.Deleted {
		return m, false, err
	}
	for id := range person.Resource.Get("identifier").Items() {
		if id.Field("system").String() != ident.SystemNHSNumber {
			continue
		}
		if m.Number, err = ident.ParseNHSNumber(id.Field("value").String()); err != nil {
			return m, false, nil // none that the register could know
		}
	}
	m.ID, m.Version, m.Status, m.Class = ref.ID, ver, v.Resource.Get("status").String(), v.Resource.Get("class.code").String()
	m.Ref = s.k.BaseURL() + "/o/" + ref.Tenant.String() + fhirapi.Base + "/Encounter/" + ref.ID
	return m, !m.Number.IsZero(), nil
}

// stays takes what hospitals tell of stays, at the national node.
func (s *service) stays(national bool) messaging.Handler {
	h := messaging.Handler{Workflow: workflowStay, Owner: "whoever keeps the event subscriptions", TTL: ttl}
	if national {
		h.Lanes = func(m messaging.Message) []store.Lane {
			told, err := parseStay(m.Body)
			if err != nil {
				return nil // it is refused
			}
			return []store.Lane{s.k.Gate.Lane(s.k.National, told.Number.String())}
		}
		h.Handle = s.stayCame
	}
	return h
}

// stayCame notes what a hospital tells of a stay. Which hospital is who sent it.
func (s *service) stayCame(_ context.Context, tx *store.Tx, m messaging.Message) error {
	told, err := parseStay(m.Body)
	if err != nil {
		return messaging.Refuse("%s", fault.MessageOf(err))
	}
	facts := map[string][]string{referralProvider: {m.From.String()}, encounterStatus: {told.Status}, encounterClass: {told.Class}}
	return demographics.Happened(tx, s.k.Gate.Lane(s.k.National, told.Number.String()), demographics.EncounterChange, told.Number.String(), told.Version, demographics.About{ID: told.ID, Ref: told.Ref, Facts: facts})
}

// practiceOf adds the practice that somebody is registered with to what an event may be filtered by.
func (s *service) practiceOf(ctx context.Context, person string, e *event) error {
	ref := record.Ref{Tenant: s.k.National, Type: "Patient", ID: person}
	place, err := s.k.Records.Locate(ctx, ref)
	if err != nil || !place.Exists {
		return err
	}
	g, err := s.k.Gate.Decide(ctx, access.Service(reader, s.k.National), access.Read, place)
	if err != nil {
		return err
	}
	now, err := s.k.Records.Read(ctx, g, ref)
	if err != nil || now.Deleted {
		return err
	}
	if practice := now.Resource.Get("generalPractitioner.0.identifier.value").String(); practice != "" {
		e.Filtering[registeredPractice] = []string{practice}
	}
	return nil
}
