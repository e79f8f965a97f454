package main

import (
	"fmt"
	"path/filepath"

	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/store"
)

type auditCommand struct {
	Verify auditVerify `cmd:"" help:"Check every sealed entry of the account against the log; name what was changed, removed, inserted or back-dated."`
}

type auditVerify struct {
	where `embed:""`
}

// Run prints what was found; it fails when the account was tampered with.
func (c *auditVerify) Run(s *session) error {
	if err := c.there(); err != nil {
		return err
	}
	db, err := store.Open(s.ctx, c.url(), store.Options{})
	if err != nil {
		return err
	}
	defer db.Close()
	account, err := audit.Open(db, filepath.Join(c.Data, "account"), audit.Options{})
	if err != nil {
		return err
	}
	report, err := account.Verify(s.ctx)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprint(s.stdout, report.String()); err != nil {
		return err
	}
	if !report.OK() {
		return fault.New(fault.Conflict, "the account is not as it was written")
	}
	return nil
}
