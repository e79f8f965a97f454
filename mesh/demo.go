package mesh

import (
	"context"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
)

// The mailboxes that the published sandbox has, for programs that are tried against it.
const (
	DemoPassword  = "password"
	DemoSharedKey = "TestKey"
)

// Demo makes the published test mailboxes, unless they are there: X26ABC1 and X26ABC2 of X26, X26ABC3 of X27.
func (o *Office) Demo(ctx context.Context) error {
	by := access.Service("demonstration", o.k.National)
	if err := o.SetSharedKey(ctx, by, DemoSharedKey, "the published test key"); err != nil {
		return err
	}
	rights := []WorkflowRight{{"API-DOCS-TEST", true, true}, {"TEST_WORKFLOW", true, true}}
	for _, m := range []struct{ id, ods string }{{"X26ABC1", "X26"}, {"X26ABC2", "X26"}, {"X26ABC3", "X27"}} {
		if _, err := o.Mailbox(ctx, m.id); !fault.Is(err, fault.NotFound) {
			if err != nil {
				return err
			}
			continue
		}
		b := Mailbox{ID: m.id, ODS: ident.MustODSCode(m.ods), Name: "TESTMB" + m.id[6:], Owner: "the integration team of " + m.ods, Workflows: rights}
		if err := o.Put(ctx, by, b, DemoPassword, "a published test mailbox"); err != nil {
			return err
		}
	}
	return nil
}
