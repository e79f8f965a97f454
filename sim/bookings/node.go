package bookings

import (
	"context"
	"log/slog"

	"github.com/google/uuid"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/demographics"
	"github.com/openspine/openspine/directory"
	"github.com/openspine/openspine/fhir/definition"
	"github.com/openspine/openspine/hospital"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/messaging/simulate/country"
	"github.com/openspine/openspine/network"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/referral"
	"github.com/openspine/openspine/store"
)

// The country: the spine with a practice, and two hospitals.
var (
	national  = ident.MustODSCode("X26")
	hospitals = []ident.ODSCode{ident.MustODSCode("RQX"), ident.MustODSCode("RQY")}
)

func names() []string { return []string{"X26", "RQX", "RQY"} }

func tenants(name string) []catalogue.Tenant {
	if name == "X26" {
		return []catalogue.Tenant{{Code: national, Name: "Spine", Kind: "national"}, {Code: Practice, Name: "Fen Lane Surgery", Kind: "practice"}}
	}
	return []catalogue.Tenant{{Code: ident.MustODSCode(name), Name: name + " Hospital", Kind: "hospital"}}
}

// schemas are the tables of a node.
func schemas(name string) []store.Schema {
	list := []store.Schema{audit.Schema(), access.Schema(), messaging.Schema(), record.Schema()}
	if name == "X26" {
		return append(list, directory.Schema(), referral.Schema())
	}
	return append(list, hospital.Schema())
}

// node is one node of the country.
type node struct {
	*country.Machine
	w        *world
	code     ident.ODSCode
	account  string // the folder of the account's keys
	sessions int

	k        catalogue.Kernel
	gate     *access.Gate
	records  *record.Records
	refer    *referral.Referrals   // the spine's
	clinics  *hospital.Outpatients // a hospital's
	services []catalogue.Service
}

func newNode(w *world, name string, seed uint64, begun *begun) (*node, error) {
	m, err := w.NewMachine(name, seed, start)
	if err != nil {
		return nil, err
	}
	n := nodeOn(w, m)
	n.account = begun.accounts[name]
	n.Disk.Put(n.Path(), begun.files[name])
	return n, nil
}

// nodeOn is what runs on a machine.
func nodeOn(w *world, m *country.Machine) *node {
	n := &node{Machine: m, w: w, code: ident.MustODSCode(m.Name)}
	m.Pages, m.Start, m.Stop = 50, n.start, n.stop
	for _, t := range tenants(m.Name) {
		m.Own = append(m.Own, t.Code)
	}
	return n
}

// kernel puts the kernel on the node's database.
func (n *node) kernel() (k catalogue.Kernel, err error) {
	ctx, log := n.w.Ctx, slog.New(slog.DiscardHandler)
	if err := n.DB.Migrate(ctx, schemas(n.Name)...); err != nil {
		return k, err
	}
	account, err := audit.Open(n.DB, n.account, audit.Options{Clock: n.Clock, Logger: log})
	if err != nil {
		return k, err
	}
	if n.gate, err = access.Open(access.Options{DB: n.DB, Audit: account, Clock: n.Clock, Logger: log, National: national}); err != nil {
		return k, err
	}
	if n.records, err = record.Open(ctx, record.Options{DB: n.DB, Clock: n.Clock, Rand: n.Secret}); err != nil {
		return k, err
	}
	n.Post = nil
	return catalogue.Kernel{DB: n.DB, Definitions: definition.R4(), Records: n.records, Gate: n.gate, Audit: account, Clock: n.Clock, Logger: log, National: national, Tenants: tenants(n.Name),
		Organisation: func(_ context.Context, code ident.ODSCode) string { return code.String() },
		Services:     func() []catalogue.Service { return n.services }, Post: func() *messaging.Post { return n.Post }}, nil
}

// assemble makes the services on the kernel.
func (n *node) assemble(k catalogue.Kernel) error {
	if n.Name == "X26" {
		// The register's events are where a change of a referral is noted for whoever asked to be told.
		register := demographics.New(k, demographics.Options{Data: n.account, Demo: true}).Service()
		if err := n.DB.Migrate(n.w.Ctx, register.Schema); err != nil {
			return err
		}
		places := directory.New(k, true)
		n.refer = referral.New(k, places, referral.Options{Seams: n.w.o.Seams, Elsewhere: n.w, NewID: n.newID, OfferDays: 1})
		n.services = []catalogue.Service{places.Service(), n.refer.Service()}
	} else {
		n.clinics = hospital.NewWith(k, hospital.Options{Seams: n.w.o.Seams, Beside: 1, NewID: n.shortID, Cut: func() bool { return n.w.IsCut(n.Machine, n.w.nodes[0].Machine) }})
		n.services = []catalogue.Service{n.clinics.Service()}
	}
	for _, s := range n.services {
		n.records.Keep(s.Keeps...)
	}
	return n.records.Behind(n.w.Ctx)
}

func (n *node) start() error {
	k, err := n.kernel()
	if err != nil {
		return err
	}
	n.k = k
	if err := n.assemble(k); err != nil {
		return err
	}
	var handlers []messaging.Handler
	for _, s := range n.services {
		handlers = append(handlers, s.Handles...)
	}
	n.Post, err = messaging.New(n.w.Ctx, messaging.Options{DB: n.DB, Clock: n.Clock, Rand: n.Secret, Jitter: n.Rng.Float64, Carrier: n, Tenants: n.Own, Account: k.Audit, Batch: 1 + n.Rng.IntN(12), Chunk: chunk,
		Seams: messaging.Seams{KeepTwice: n.w.o.Seams.KeepTwice}}, handlers)
	if err != nil {
		return err
	}
	n.Handler = n.Post.Handler()
	return n.DB.Write(n.w.Ctx, nil, func(tx *store.Tx) error {
		for _, r := range n.routes() {
			if err := n.Post.SetRoute(tx, r); err != nil {
				return err
			}
		}
		return nil
	})
}

func (n *node) routes() (list []messaging.Route) {
	if n.Name != "X26" {
		return []messaging.Route{{To: messaging.ToNode(network.MustNodeID("X26"))}}
	}
	for _, h := range hospitals {
		list = append(list, messaging.Route{Recipient: h, To: messaging.ToNode(network.MustNodeID(h.String()))})
	}
	return list
}

func (n *node) stop() {
	if n.records != nil {
		n.records.Close()
		n.records = nil
	}
}

// newID is an id by the simulation's chance.
func (n *node) newID() string {
	id, err := uuid.NewRandomFromReader(n.Secret)
	if err != nil {
		panic(err) // it has no end
	}
	return id.String()
}

// shortID is a name by the simulation's chance.
func (n *node) shortID() string { return n.newID()[:13] }

// work lets the post do some of what it has to do, and the services what they do every few seconds.
func (n *node) work() {
	for range 1 + n.w.Rng.IntN(4) {
		if n.Turn(); n.Disk.Dark() {
			return
		}
	}
	often := "register"
	if n.Name == "X26" {
		often = []string{"withdrawn", "ask-again", "offers"}[n.w.Rng.IntN(3)]
	}
	if n.w.Rng.IntN(2) == 0 {
		n.done("runs "+often, n.jobNamed(often))
	}
}

// job runs one of the jobs that the services do by the clock.
func (n *node) job() {
	var all []catalogue.Job
	for _, s := range n.services {
		if s.Name != "directory" {
			all = append(all, s.Jobs...)
		}
	}
	j := all[n.w.Rng.IntN(len(all))]
	n.done("runs "+j.Name, j.Run(n.w.Ctx))
}

// jobNamed runs a job of a service that has it.
func (n *node) jobNamed(name string) error {
	for _, s := range n.services {
		for _, j := range s.Jobs {
			if j.Name == name {
				if err := j.Run(n.w.Ctx); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// jobs runs all that is done by the clock but the comparisons.
func (n *node) jobs() error {
	for _, name := range []string{"standing", "give-back", "withdrawn", "ask-again", "offers", "plan", "register"} {
		if err := n.jobNamed(name); err != nil {
			return err
		}
	}
	return nil
}
