package access_test

import (
	"context"
	"errors"
	"testing"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/store/storefault"
)

// An act that fails is undone, and a second commit says that it failed. Nobody is told of the failure before that commit is durable:
// when the power goes between the two, the caller is told that the account cannot be written, and neither the effect nor the entry
// is there; when it goes after the answer, the entry is.
func TestAFailedActIsAnsweredOnlyWhenItIsOnTheAccount(t *testing.T) {
	t.Parallel()
	for name, between := range map[string]bool{"the power goes between the commits": true, "the power goes after the answer": false} {
		t.Run(name, func(t *testing.T) { failAndLosePower(t, between) })
	}
}

func failAndLosePower(t *testing.T, between bool) {
	ctx := context.Background()
	disk, err := storefault.New(11)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := disk.Close(); err != nil {
			t.Error(err)
		}
	}()
	db, err := store.Open(ctx, "/act.db", store.Options{VFS: disk.VFS()})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Migrate(ctx, audit.Schema(), access.Schema()); err != nil {
		t.Fatal(err)
	}
	w := over(t, db, nil)
	w.relate(t, access.Relationship{Tenant: hospital, Chart: "p1", Organisation: hospital})
	g, err := w.gate.Decide(ctx, ann(), access.Update, observation("p1"))
	if err != nil {
		t.Fatal(err)
	}
	err = w.gate.Act(ctx, []access.Grant{g}, nil, func(tx *store.Tx) error {
		effect := access.Relationship{Tenant: hospital, Chart: "p1", User: "eve", Kind: "care-team"}
		if err := w.gate.Relate(tx, effect); err != nil {
			return err
		}
		if between {
			disk.CutPower()
		}
		return fault.New(fault.Conflict, "somebody else was first")
	})
	if told := fault.Is(err, fault.Conflict); err == nil || told == between {
		t.Errorf("the caller was told %v", err)
	}
	if !between {
		disk.CutPower()
	}
	_ = db.Close() // its disk is dead
	disk.PowerOn()
	if db, err = store.Open(ctx, "/act.db", store.Options{VFS: disk.VFS()}); err != nil {
		t.Fatal(err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	w = over(t, db, nil)
	page, err := w.log.Search(ctx, audit.Query{Tenant: hospital, Chart: "p1"})
	if err != nil || between && len(page.Entries) != 0 || !between && (len(page.Entries) != 1 || page.Entries[0].Outcome != "failed conflict") {
		t.Errorf("the account has %+v %v", page.Entries, err)
	}
	eve := ann()
	eve.ID = "eve"
	eve.Organisation = ident.MustODSCode("RYY")
	if would, err := w.gate.Would(ctx, eve, access.Read, observation("p1")); would || err != nil {
		t.Errorf("the effect is there: %v %v", would, err)
	}
}
