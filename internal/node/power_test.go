package node_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/internal/node"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/store/storefault"
)

// TestPowerLoss cuts the power at a random point while records are written and read through the gate, twice on each disk. Every write
// and every read that was acknowledged must be there afterwards with its entry on the account, and the account must verify.
// OPENSPINE_POWER_SEEDS=1000 goes through a thousand disks; OPENSPINE_POWER_FROM begins with another seed.
func TestPowerLoss(t *testing.T) {
	seeds, from := number(t, "OPENSPINE_POWER_SEEDS", 8), number(t, "OPENSPINE_POWER_FROM", 0)
	writes, reads, lost := 0, 0, 0
	for seed := from; seed < from+seeds; seed++ {
		d := &dark{t: t, rng: rand.New(rand.NewPCG(uint64(seed), 7)), acked: map[string]string{}, dir: t.TempDir()}
		d.run(uint64(seed))
		writes, reads, lost = writes+len(d.acked), reads+len(d.reads), lost+d.disk.Lost()
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	t.Logf("%d disks, %d acknowledged writes and %d reads, %d unsynced writes lost or torn", seeds, writes, reads, lost)
	if writes == 0 || reads == 0 || lost == 0 {
		t.Error("nothing was written, read or lost: the test tests nothing")
	}
}

func number(t *testing.T, env string, usual int) int {
	t.Helper()
	text := os.Getenv(env)
	if text == "" {
		return usual
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", env, err)
	}
	return n
}

// dark is one disk on which the power goes.
type dark struct {
	t     *testing.T
	rng   *rand.Rand
	disk  *storefault.Disk
	dir   string
	mu    sync.Mutex
	acked map[string]string // the id of a resource → the request that wrote it
	reads []string          // requests that read
	next  int
}

func (d *dark) run(seed uint64) {
	disk, err := storefault.New(seed)
	if err != nil {
		d.t.Fatal(err)
	}
	d.disk = disk
	defer func() {
		if err := disk.Close(); err != nil {
			d.t.Error(err)
		}
	}()
	for life := range 3 {
		n, err := node.Open(d.t.Context(), config(d.dir), node.Options{VFS: disk.VFS()})
		if err != nil {
			d.t.Fatalf("opening for the %d. time: %v", life+1, err)
		}
		d.check(n.Kernel())
		if life == 2 {
			if err := n.Close(); err != nil {
				d.t.Error(err)
			}
			return
		}
		disk.CutPowerAfter(20 + d.rng.IntN(400))
		d.load(n.Kernel())
		if err := n.Close(); err != nil {
			d.t.Logf("closing without power: %v", err)
		}
		disk.PowerOn()
	}
}

// load writes, reads and seals from several sides until the power has gone.
func (d *dark) load(k catalogue.Kernel) {
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for {
				d.mu.Lock()
				d.next++
				id := fmt.Sprintf("%d", d.next)
				d.mu.Unlock()
				written, read := uuid.NewString(), uuid.NewString()
				if keep(d.t.Context(), k, id, written) != nil {
					return
				}
				d.mu.Lock()
				d.acked[id] = written
				d.mu.Unlock()
				if look(d.t.Context(), k, id, read) != nil {
					return
				}
				d.mu.Lock()
				d.reads = append(d.reads, read)
				d.mu.Unlock()
			}
		})
	}
	wg.Go(func() {
		for k.Audit.Seal(d.t.Context()) == nil {
			if look(d.t.Context(), k, "none", uuid.NewString()) != nil {
				return
			}
		}
	})
	wg.Wait()
}

// keep writes one person's registration through the gate.
func keep(ctx context.Context, k catalogue.Kernel, id, request string) error {
	ctx = access.WithRequestID(ctx, request)
	res, err := fhir.Parse([]byte(`{"resourceType":"Patient","id":"` + id + `","name":[{"family":"Marsh"}]}`))
	if err != nil {
		return err
	}
	d, err := k.Records.Prepare(ctx, record.Change{Verb: record.Put, Ref: record.Ref{Tenant: national, Type: "Patient", ID: id}, Resource: res})
	if err != nil {
		return err
	}
	record.FoundedBy(d)
	grants, err := k.Gate.DecideAll(ctx, access.Service("seed", national), d.Acts())
	if err != nil {
		return err
	}
	return k.Gate.Act(ctx, grants, record.LanesOf(d), func(tx *store.Tx) error {
		_, _, err := k.Records.ApplyAll(tx, []*record.Draft{d}, grants...)
		return err
	})
}

// look puts a read on the account, as the edge does before it answers.
func look(ctx context.Context, k catalogue.Kernel, id, request string) error {
	ctx = access.WithRequestID(ctx, request)
	p := access.Principal{ID: "clerk", Name: "Test clerk", Role: access.Clerk, Organisation: practice}
	g, err := k.Gate.Decide(ctx, p, access.Read, access.Place{Tenant: national, Chart: id, Type: "Patient", ID: id, Exists: true})
	if err != nil {
		return err
	}
	return k.Gate.Account(ctx, []access.Grant{g}, nil)
}

// check looks for everything that was acknowledged.
func (d *dark) check(k catalogue.Kernel) {
	d.t.Helper()
	entries := map[string]int{}
	err := k.Audit.Each(d.t.Context(), audit.Query{}, func(e audit.Entry) error {
		entries[e.RequestID+" "+e.Outcome]++
		return nil
	})
	if err != nil {
		d.t.Fatal(err)
	}
	for id, request := range d.acked {
		place, err := k.Records.Locate(d.t.Context(), record.Ref{Tenant: national, Type: "Patient", ID: id})
		if err != nil || !place.Exists {
			d.t.Errorf("Patient/%s was acknowledged and is gone: %v", id, err)
		}
		if entries[request+" ok"] != 1 {
			d.t.Errorf("the writing of Patient/%s has %d entries on the account", id, entries[request+" ok"])
		}
	}
	for _, request := range d.reads {
		if entries[request+" ok"] != 1 {
			d.t.Errorf("a read has %d entries on the account", entries[request+" ok"])
		}
	}
	if err := k.Audit.Seal(d.t.Context()); err != nil {
		d.t.Error(err)
	}
	report, err := k.Audit.Verify(d.t.Context())
	if err != nil || !report.OK() || report.Unsealed != 0 {
		d.t.Errorf("the account: %v %v", report, err)
	}
}
