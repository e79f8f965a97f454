package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/internal/node"
	"github.com/openspine/openspine/store"
)

type auditCommand struct {
	Archive auditArchive `cmd:"" help:"Move old months of the account into archive files now; a running node does so by itself when they are old enough (account-months)."`
	Verify  auditVerify  `cmd:"" help:"Check every sealed entry of the account against the log; name what was changed, removed, inserted or back-dated."`
}

type auditVerify struct {
	where `embed:""`
}

// Run prints what was found; it fails when the account was tampered with.
func (c *auditVerify) Run(s *session) error {
	if err := c.there(); err != nil {
		return err
	}
	db, account, err := c.account(s)
	if err != nil {
		return err
	}
	defer db.Close()
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

// account opens the account of a node.
func (w where) account(s *session) (*store.DB, *audit.Log, error) {
	db, err := store.Open(s.ctx, w.url(), store.Options{})
	if err != nil {
		return nil, nil, err
	}
	account, err := audit.Open(db, filepath.Join(w.Data, "account"), audit.Options{})
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return db, account, nil
}

type auditArchive struct {
	where  `embed:""`
	Before string `placeholder:"YYYY-MM" help:"The first month that stays in the database; 13 whole months stay by default."`
}

// runningAudit is what of the account's commands a running node does itself.
type runningAudit struct {
	Archive auditArchive `cmd:"" help:"Move old months of the account into archive files now."`
}

// Run moves the months before the first that stays. It may be run again after any failure, and goes on where it was. A node that runs
// does it itself.
func (c *auditArchive) Run(s *session) error {
	before := audit.FirstKept(time.Now(), node.AccountMonths)
	if c.Before != "" {
		var err error
		if before, err = time.Parse("2006-01", c.Before); err != nil {
			return fault.New(fault.Invalid, "--before %s is not a month: write it as 2025-01", c.Before)
		}
	}
	if s.node != nil {
		return archived(s, s.node.Kernel().Audit, before)
	}
	if err := c.there(); err != nil {
		return err
	}
	folder, err := node.TakeFolder(c.Data)
	if fault.Is(err, fault.Conflict) {
		return node.Ask(s.ctx, c.Data, node.Command{Args: s.args, User: whoami()}, s.stdout)
	}
	if err != nil {
		return err
	}
	return errors.Join(c.archive(s, before), folder.Release())
}

func (c *auditArchive) archive(s *session, before time.Time) error {
	db, account, err := c.account(s)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := db.Migrate(s.ctx, audit.Schema()); err != nil {
		return err
	}
	return archived(s, account, before)
}

// archived moves the months before the first that stays, and says what is where now.
func archived(s *session, account *audit.Log, before time.Time) error {
	done, err := account.Archive(s.ctx, before)
	if err != nil {
		return err
	}
	kept, err := account.Kept(s.ctx)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.stdout, "%s%d entries are in the database, %d in %d archives (%d bytes).\n", done, kept.Online, kept.Archived, kept.Archives, kept.Bytes)
	return err
}
