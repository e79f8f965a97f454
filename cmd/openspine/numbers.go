package main

import (
	"errors"
	"fmt"

	"github.com/openspine/openspine/demographics"
	"github.com/openspine/openspine/internal/node"
)

type numbersCommand struct {
	Data   string `required:"" help:"The folder into which a backup was restored." type:"path"`
	Issued string `help:"The last NHS number that the node is known to have given out since the backup; leave it out when it gave out none."`
}

// Run begins the ledger of NHS numbers after a restore without it, so that none is given out twice.
func (c *numbersCommand) Run(s *session) error {
	folder, err := node.TakeFolder(c.Data)
	if err != nil {
		return err
	}
	if err := errors.Join(demographics.SetFloor(c.Data, c.Issued), folder.Release()); err != nil {
		return err
	}
	_, err = fmt.Fprintln(s.stdout, "NHS numbers are given out again, none that was given out before")
	return err
}
