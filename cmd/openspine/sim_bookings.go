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
}

// Run simulates seed after seed, and stops at the first that breaks a promise.
func (c *simBookingsCommand) Run(s *session) error {
	var log io.Writer
	if c.Log {
		log = s.stdout
	}
	var sum bookings.Result
	began, said := time.Now(), time.Now()
	for n := range c.Seeds {
		r, err := bookings.Run(s.ctx, c.Seed+n, bookings.Options{Steps: c.Steps, Restores: c.Restores, Log: log})
		if err != nil {
			return fmt.Errorf("%w\nreplay it with: openspine sim bookings --seeds 1 --seed %d --steps %d --log", err, c.Seed+n, c.Steps)
		}
		sum.Add(r)
		if time.Since(said) > 10*time.Second {
			said = time.Now()
			fmt.Fprintf(s.stderr, "%d of %d seeds\n", n+1, c.Seeds)
		}
	}
	_, err := fmt.Fprintf(s.stdout, "%d seeds from %d in %s, every promise kept: %s\n", c.Seeds, c.Seed, time.Since(began).Round(time.Second), sum)
	return err
}
