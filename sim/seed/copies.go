package seed

import (
	"context"
	"fmt"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/node"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/sim"
	"github.com/openspine/openspine/store"
)

// The hospitals of a demonstration keep a copy of the national register. What they wrote down wrongly, as hospitals do, is such that each state of a
// number is there to be seen; what came of it is what the copy itself made of it.

// copyRate is how many people in a second a demonstration's hospital asks about.
const copyRate = 20

// Replicas are the copies that a demonstration's hospitals keep: those of the hospitals named, or all.
func Replicas(of ...ident.ODSCode) []node.ReplicaConfig {
	if len(of) == 0 {
		of = []ident.ODSCode{sim.HospitalWest, sim.HospitalEast}
	}
	var all []node.ReplicaConfig
	for _, code := range of {
		all = append(all, node.ReplicaConfig{Tenant: code.String(), Rate: copyRate})
	}
	return all
}

// unknown is a number that nobody has: the published example of one that is not found.
const unknown = "9111231130"

// copiesBegun is how many patients the second hospital has asked about before its line is closed.
const copiesBegun = 40

// Copies lets the hospitals have written down what they have, and asks about the first of their patients. The second hospital's line is closed
// afterwards: its patients are as the register said then. The first of the nodes is the national one.
func Copies(ctx context.Context, nodes []*node.Node, k *sim.Country) error {
	west, east := nodes[keeper(nodes, sim.HospitalWest)], nodes[keeper(nodes, sim.HospitalEast)]
	former, err := formerNumber(ctx, nodes[0], k)
	if err != nil {
		return err
	}
	if err := unusableNumber(ctx, nodes[0]); err != nil {
		return err
	}
	if err := slips(ctx, west, k, former); err != nil {
		return err
	}
	if err := west.Replica().Begin(ctx, sim.HospitalWest, copiesBegun); err != nil {
		return err
	}
	if err := east.Replica().Begin(ctx, sim.HospitalEast, copiesBegun); err != nil {
		return err
	}
	return east.Replica().Pause(ctx, access.Service("seed", sim.HospitalEast), sim.HospitalEast, "the line to the spine is being moved")
}

// spare is a number near the end of the range, where nobody generated is.
func spare(i int) (ident.NHSNumber, error) { return ident.TestRange.At(ident.TestRange.Len() - 1 - i) }

// formerNumber gives somebody a second national number, which has given way to their own.
func formerNumber(ctx context.Context, n *node.Node, k *sim.Country) (ident.NHSNumber, error) {
	p, err := k.Character("particle")
	if err != nil {
		return ident.NHSNumber{}, err
	}
	kernel := n.Kernel()
	former, err := spare(0)
	if err != nil {
		return former, err
	}
	by := access.Service("seed", sim.National)
	v, err := read(ctx, n, sim.National, p.NHSNumber.String())
	if err != nil {
		return former, err
	}
	id := v.Resource.Get("identifier.0.value")
	res, err := v.Resource.Edit().Set(v.Resource.Root(), "id", fhir.Of(former.String())).Replace(id, fhir.Of(former.String())).Done()
	if err != nil {
		return former, err
	}
	if err := write(ctx, n, by, sim.National, former.String(), res, "registered a second time"); err != nil {
		return former, err
	}
	var acts []access.Act
	for _, chart := range []string{former.String(), p.NHSNumber.String()} {
		place, err := kernel.Records.Locate(ctx, record.Ref{Tenant: sim.National, Type: "Patient", ID: chart})
		if err != nil {
			return former, err
		}
		acts = append(acts, access.Act{Action: access.Update, Place: place})
	}
	grants, err := kernel.Gate.DecideAll(ctx, by, acts)
	if err != nil {
		return former, err
	}
	lanes := kernel.Records.LinkLanes(sim.National, former.String(), p.NHSNumber.String())
	return former, kernel.Gate.Act(ctx, grants, lanes, func(tx *store.Tx) error {
		return kernel.Records.Merge(tx, kernel.Gate, sim.National, former.String(), p.NHSNumber.String(), "one person under two numbers", grants...)
	})
}

// unusableNumber is a national record that is marked as invalid.
func unusableNumber(ctx context.Context, n *node.Node) error {
	invalid, err := spare(1)
	if err != nil {
		return err
	}
	number := invalid.String()
	text := fmt.Sprintf(`{"resourceType":"Patient","id":%q,"meta":{"security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"REDACTED"}]},`+
		`"identifier":[{"system":%q,"value":%q}],"name":[{"use":"usual","family":"Test","given":["Record"]}],"gender":"male","birthDate":"1970-01-01"}`, number, ident.SystemNHSNumber, number)
	return writeText(ctx, n, access.Service("seed", sim.National), sim.National, number, text, "registered by mistake")
}

// slips are what the first hospital wrote down: three patients who came without their number or with a wrong one, and changes of its own.
func slips(ctx context.Context, n *node.Node, k *sim.Country, former ident.NHSNumber) error {
	by := access.Service("seed", sim.HospitalWest)
	somebody, err := k.Character("fada")
	if err != nil {
		return err
	}
	invalid, err := spare(1)
	if err != nil {
		return err
	}
	for i, p := range []struct{ number, family, given, gender, born string }{
		{somebody.NHSNumber.String(), "Pemberton", "Clive", "male", "1949-07-02"},
		{unknown, "Halloran", "Orla", "female", "1991-03-17"},
		{invalid.String(), "Whitlock", "Dean", "male", "1970-01-01"},
		{"", "Unknown", "Visitor", "unknown", "1960-01-01"},
		{"", "Probert", "Baby of Sian", "female", k.Today().Add(-5 * 24 * time.Hour).Format(time.DateOnly)},
	} {
		id := fmt.Sprintf("%08d", i+1)
		number := ""
		if p.number != "" {
			number = fmt.Sprintf(`{"system":%q,"value":%q},`, ident.SystemNHSNumber, p.number)
		}
		text := fmt.Sprintf(`{"resourceType":"Patient","id":%q,"identifier":[%s{"use":"usual","system":%q,"value":%q}],"active":true,"name":[{"use":"usual","family":%q,"given":[%q]}],"gender":%q,"birthDate":%q}`,
			id, number, sim.LocalNumberSystem(sim.HospitalWest), id, p.family, p.given, p.gender, p.born)
		if err := writeText(ctx, n, by, sim.HospitalWest, id, text, "registered in the emergency department"); err != nil {
			return err
		}
	}
	if err := change(ctx, n, k, "particle", func(r *fhir.Resource) (*fhir.Resource, error) {
		return r.Edit().Replace(r.Get("identifier.0.value"), fhir.Of(former.String())).Done()
	}); err != nil {
		return err
	}
	return change(ctx, n, k, "long-name", func(r *fhir.Resource) (*fhir.Resource, error) {
		return r.Edit().Set(r.Root(), "address", fhir.Arr(fhir.Obj("use", "home", "line", fhir.Arr("Flat 2, The Wharf", "Canal Row", "Wythe"), "postalCode", "WY3 5QT"))).Done()
	})
}

// change is what the first hospital changed in a record of its own.
func change(ctx context.Context, n *node.Node, k *sim.Country, key string, edit func(*fhir.Resource) (*fhir.Resource, error)) error {
	p, err := k.Character(key)
	if err != nil {
		return err
	}
	id := p.ChartAt(sim.HospitalWest)
	if id == "" {
		return fault.New(fault.Internal, "%s is no patient of the hospital", key)
	}
	v, err := read(ctx, n, sim.HospitalWest, id)
	if err != nil {
		return err
	}
	res, err := edit(v.Resource)
	if err != nil {
		return err
	}
	return write(ctx, n, access.Service("seed", sim.HospitalWest), sim.HospitalWest, id, res, "as the patient said at the desk")
}

func read(ctx context.Context, n *node.Node, tenant ident.ODSCode, id string) (record.Version, error) {
	k, ref := n.Kernel(), record.Ref{Tenant: tenant, Type: "Patient", ID: id}
	place, err := k.Records.Locate(ctx, ref)
	if err != nil {
		return record.Version{}, err
	}
	g, err := k.Gate.Decide(ctx, access.Service("seed", tenant), access.Read, place)
	if err != nil {
		return record.Version{}, err
	}
	return k.Records.Read(ctx, g, ref)
}

func writeText(ctx context.Context, n *node.Node, by access.Principal, tenant ident.ODSCode, id, text, reason string) error {
	res, err := fhir.Parse([]byte(text))
	if err != nil {
		return err
	}
	return write(ctx, n, by, tenant, id, res, reason)
}

func write(ctx context.Context, n *node.Node, by access.Principal, tenant ident.ODSCode, id string, res *fhir.Resource, reason string) error {
	k := n.Kernel()
	if err := k.Sound(ctx, res); err != nil {
		return err
	}
	d, err := k.Records.Prepare(ctx, record.Change{Verb: record.Put, Ref: record.Ref{Tenant: tenant, Type: "Patient", ID: id}, Resource: res, Reason: reason})
	if err != nil {
		return err
	}
	grants, err := k.Gate.DecideAll(ctx, by, d.Acts())
	if err != nil {
		return err
	}
	return k.Gate.Act(ctx, grants, d.Lanes(), func(tx *store.Tx) error {
		_, err := k.Records.Apply(tx, d, grants...)
		return err
	})
}
