package main

import (
	"fmt"
	"io"
	"time"

	"github.com/openspine/openspine/sim/bookings"
)

type simBookingsCommand struct {
	Seeds    uint64 `default:"100" help:"How many seeds to run."`
	Seed     uint64 `default:"0" help:"The first seed."`
	Steps    int    `default:"200" help:"How many things happen under each seed before the faults stop."`
	Restores bool   `default:"true" negatable:"" help:"Let nodes be restored from old backups, too."`
	Log      bool   `help:"Print each step: for a seed that failed, with --seeds 1."`
	Watch    string `help:"With --log: say whenever a side knows otherwise of the slot of this id."`
	All      bool   `help:"Go on after a seed that fails, and name all that did at the end."`
}

// Run simulates seed after seed, and stops at the first that breaks a promise.
func (c *simBookingsCommand) Run(s *session) error {
	var log io.Writer
	if c.Log {
		log = s.stdout
	}
	var sum bookings.Result
	failed := 0
	began, said := time.Now(), time.Now()
	for n := range c.Seeds {
		r, err := bookings.Run(s.ctx, c.Seed+n, bookings.Options{Steps: c.Steps, Restores: c.Restores, Log: log, Watch: c.Watch})
		if err != nil && c.All && s.ctx.Err() == nil {
			failed++
			fmt.Fprintln(s.stdout, err)
			continue
		}
		if err != nil {
			return fmt.Errorf("%w\nreplay it with: openspine sim bookings --seeds 1 --seed %d --steps %d --log", err, c.Seed+n, c.Steps)
		}
		sum.Add(r)
		if time.Since(said) > 10*time.Second {
			said = time.Now()
			fmt.Fprintf(s.stderr, "%d of %d seeds\n", n+1, c.Seeds)
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d seeds from %d broke a promise; those that did not: %s", failed, c.Seeds, c.Seed, sum)
	}
	_, err := fmt.Fprintf(s.stdout, "%d seeds from %d in %s, every promise kept: %s\n", c.Seeds, c.Seed, time.Since(began).Round(time.Second), sum)
	return err
}
