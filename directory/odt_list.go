package directory

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/fhirapi"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/store"
)

// What can be taken out of the register, as directory_deletion names it.
const (
	deletedOrganisation = "organization"
	deletedRelation     = "relation"
	deletedRole         = "role"
	deletedSuccession   = "succession"
)

// deletionList is one of the published lists of what was deleted rather than ended (ODT, get-deletion-notices).
type deletionList struct{ id, kind, title, note, typ, system string }

func deletionLists() []deletionList {
	return []deletionList{
		{"Organization-deletion", deletedOrganisation, "List of Organization Resource Deletions",
			"A list of complete Organisation records which have been deleted from the ODS Dataset", "Organization", ident.SystemODSCode},
		{"OrganizationAffiliation-deletion", deletedRelation, "List of OrganizationAffiliation Resource Deletions",
			"A list of complete relationship records which have been deleted from the ODS Dataset", "OrganizationAffiliation", systemRelationInstance},
		{"Organization-role-deletion", deletedRole, "List of Organization Role Deletions",
			"A list of roles which have been deleted from an organisation rather than ended", "Organization", systemRoleInstance},
		{"Organization-succession-deletion", deletedSuccession, "List of Organization Succession Deletions",
			"A list of organisations from which a succession has been deleted", "Organization", ident.SystemODSCode},
	}
}

// noteDeletions keeps what an organisation loses: itself, a role, a succession. What comes back is no longer deleted.
func noteDeletions(tx *store.Tx, k record.Kept, after *Organisation) error {
	if after == nil {
		after = &Organisation{}
	}
	if k.Before == nil {
		if k.Version.Ver == 1 {
			return nil
		}
		return noteDeletion(tx, k, false, deletedOrganisation, k.Version.ID, "")
	}
	before, err := ParseOrganisation(k.Before)
	if err != nil {
		return nil //nolint:nilerr // what was no organisation of the directory takes nothing away
	}
	if k.Version.Deleted {
		return noteDeletion(tx, k, true, deletedOrganisation, k.Version.ID, "")
	}
	for _, r := range before.Roles {
		gone := !slices.ContainsFunc(after.Roles, func(n Role) bool { return n.Code == r.Code && n.Instance == r.Instance })
		if r.Instance == 0 || !gone {
			continue
		}
		if err := noteDeletion(tx, k, true, deletedRole, k.Version.ID, strconv.FormatInt(r.Instance, 10)); err != nil {
			return err
		}
	}
	for _, s := range before.Successions {
		if slices.ContainsFunc(after.Successions, func(n Succession) bool { return n.Successor == s.Successor }) {
			continue
		}
		if err := noteDeletion(tx, k, true, deletedSuccession, k.Version.ID, s.Successor.String()); err != nil {
			return err
		}
	}
	return nil
}

func noteDeletion(tx *store.Tx, k record.Kept, gone bool, list, item, other string) error {
	lane := int64(k.Version.Lane)
	if _, err := tx.Exec(`DELETE FROM directory_deletion WHERE lane = ? AND list = ? AND item = ? AND other = ?`, lane, list, item, other); err != nil || !gone {
		return err
	}
	_, err := tx.Exec(`INSERT INTO directory_deletion (lane, list, item, other, at) VALUES (?, ?, ?, ?, ?)`, lane, list, item, other, k.Version.At)
	return err
}

// odtDeletions is one list of deletions.
func (d *Directory) odtDeletions(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	i := slices.IndexFunc(deletionLists(), func(l deletionList) bool { return l.id == id })
	if i < 0 {
		return fault.New(fault.NotFound, "HAPI-2001: Resource List/%s is not known", harmless(id))
	}
	list := deletionLists()[i]
	var entries []fhir.Value
	var newest time.Time
	err := d.k.DB.Read(r.Context(), func(tx *store.Tx) error {
		entries, newest = nil, time.Time{}
		found, err := tx.Query(`SELECT item, other, at FROM directory_deletion WHERE list = ? ORDER BY at, item, other`, list.kind)
		if err != nil {
			return err
		}
		for found.Next() {
			var item, other string
			var at time.Time
			if err := found.Scan(&item, &other, &at); err != nil {
				return err
			}
			newest = at
			entries = append(entries, list.entry(item, other, at))
		}
		return found.Err()
	})
	if err != nil {
		return err
	}
	return fhirapi.Answer(w, r, http.StatusOK, fhir.Obj("resourceType", "List", "id", list.id,
		"meta", fhir.Obj("versionId", strconv.Itoa(len(entries)+1), "lastUpdated", newest),
		"status", "current", "mode", "working", "title", list.title, "date", midnight(d.k.Clock.Now()), // when the list was prepared: now
		"note", fhir.Arr(fhir.Obj("text", list.note)), "entry", fhir.List(entries)).JSON())
}

func (l deletionList) entry(item, other string, at time.Time) fhir.Value {
	value := item
	if l.kind == deletedRole {
		value = other
	}
	ref := fhir.Obj("type", l.typ, "identifier", fhir.Obj("system", l.system, "value", value))
	if l.kind == deletedSuccession {
		ref = fhir.Obj("type", l.typ, "identifier", fhir.Obj("system", l.system, "value", value), "display", other)
	}
	return fhir.Obj("date", midnight(at), "item", ref)
}

// midnight is the day of an instant as the published lists write it.
func midnight(t time.Time) string { return t.UTC().Format("2006-01-02") + "T00:00:00+00:00" }
