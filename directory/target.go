package directory

import (
	"context"
	"strings"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/store"
)

// Target is a service to which bookings and referrals are sent.
type Target struct {
	ID, Name, ProviderName string
	Provider               ident.ODSCode
	Service                *fhir.Resource // HealthcareService
	Location               *fhir.Resource // where it is; nil where nothing is said
	// Address is that of the Endpoint which takes what is sent to it, without a final slash; empty for one whose bookings this node keeps.
	Address string
}

// targetKeepers keep which services take bookings and referrals elsewhere.
func (d *Directory) targetKeepers() []record.Keeper {
	return []record.Keeper{
		d.simple(1, "HealthcareService", `INSERT INTO directory_target (lane, id, named, endpoint)`, 4, "directory_target", targetRows),
		d.simple(1, "Endpoint", `INSERT INTO directory_address (lane, id, address)`, 3, "directory_address", addressRow),
	}
}

// isServiceID reports whether a naming system is that of services, in either of the two spellings that are published.
func isServiceID(system string) bool {
	_, rest, ok := strings.Cut(system, "://")
	return ok && strings.EqualFold(rest, "fhir.nhs.uk/Id/dos-service-id")
}

func targetRows(res *fhir.Resource) [][]any {
	names, endpoints := []string{}, []string{}
	for i := range res.Get("identifier").Items() {
		if v := i.Field("value").String(); isServiceID(i.Field("system").String()) && v != res.ID() {
			names = append(names, v)
		}
	}
	for e := range res.Get("endpoint").Items() {
		if id, ok := strings.CutPrefix(e.Field("reference").String(), "Endpoint/"); ok {
			endpoints = append(endpoints, id)
		}
	}
	if len(names) == 0 && len(endpoints) == 0 {
		return nil
	}
	names = append(names, res.ID())
	if len(endpoints) == 0 {
		endpoints = []string{""}
	}
	seen := map[[2]string]bool{}
	var list [][]any
	for _, n := range names {
		for _, e := range endpoints {
			if !seen[[2]string{n, e}] {
				seen[[2]string{n, e}] = true
				list = append(list, []any{n, e})
			}
		}
	}
	return list
}

func addressRow(res *fhir.Resource) [][]any {
	for p := range res.Get("payloadType").Items() {
		for c := range p.Field("coding").Items() {
			if strings.EqualFold(c.Field("code").String(), "bars") && res.Get("status").String() == "active" {
				return [][]any{{strings.TrimRight(res.Get("address").String(), "/")}}
			}
		}
	}
	return nil
}

// Elsewhere are the addresses of services that take bookings and referrals at a system of their own, by the services' ids. Error: fault.Unavailable while
// the directory's tables are being written anew.
func (d *Directory) Elsewhere(ctx context.Context) (at map[string]string, err error) {
	if err := d.k.Records.Whole("directory"); err != nil {
		return nil, err
	}
	err = d.k.DB.Read(ctx, func(tx *store.Tx) error {
		at = map[string]string{}
		rows, err := texts(tx, `SELECT DISTINCT t.id, a.address FROM directory_target t JOIN directory_address a ON a.id = t.endpoint JOIN directory_service s ON s.id = t.id WHERE s.active = 1 ORDER BY t.id, a.address LIMIT ?`, 2, mostServices)
		for _, r := range rows {
			at[r[0]] = r[1]
		}
		return err
	})
	return at, err
}

// Target is the service that is named by its id or by an identifier of the directory of services. Errors: fault.NotFound for none and for one that is closed;
// fault.Conflict where two go by the name, or one has two addresses; fault.Unavailable while the directory's tables are being written anew.
func (d *Directory) Target(ctx context.Context, named string) (t Target, err error) {
	r, err := d.reads(ctx, "HealthcareService", "Location")
	if err != nil {
		return t, err
	}
	err = d.k.DB.Read(ctx, func(tx *store.Tx) error {
		t = Target{}
		ids, err := texts(tx, `SELECT id FROM directory_service WHERE id = ? AND active = 1 UNION SELECT s.id FROM directory_target t JOIN directory_service s ON s.id = t.id WHERE t.named = ? AND s.active = 1`, 1, named, named)
		if err != nil {
			return err
		}
		if len(ids) == 0 {
			return fault.New(fault.NotFound, "There is no service %q in the directory.", named)
		}
		at, err := texts(tx, `SELECT DISTINCT a.address FROM directory_target t JOIN directory_address a ON a.id = t.endpoint WHERE t.id = ?`, 1, ids[0][0])
		if err != nil {
			return err
		}
		if len(ids) > 1 || len(at) > 1 {
			return fault.New(fault.Conflict, "More than one service, or address, goes by %q.", named)
		}
		if len(at) == 1 {
			t.Address = at[0][0]
		}
		return t.read(tx, r, ids[0][0])
	})
	return t, err
}

// read fills in what the resources say.
func (t *Target) read(tx *store.Tx, r reader, id string) error {
	v, err := r.version(tx, "HealthcareService", id)
	if err != nil {
		return err
	}
	t.ID, t.Service, t.Name = id, v.Resource, v.Resource.Get("name").String()
	if t.Provider, err = partyOf(v.Resource.Get("providedBy")); err != nil {
		return err
	}
	names, err := texts(tx, `SELECT name FROM directory_organisation WHERE code = ?`, 1, t.Provider.String())
	if err != nil {
		return err
	}
	t.ProviderName = t.Provider.String()
	if len(names) > 0 {
		t.ProviderName = names[0][0]
	}
	if at, ok := strings.CutPrefix(v.Resource.Get("location.0.reference").String(), "Location/"); ok {
		place, err := r.version(tx, "Location", at)
		if err != nil && !fault.Is(err, fault.NotFound) {
			return err
		}
		t.Location = place.Resource
	}
	return nil
}
