package main

import (
	"fmt"
	"io"
	"time"

	"github.com/openspine/openspine/messaging/simulate"
)

type simCommand struct {
	Messages simMessagesCommand `cmd:"" help:"Post under faults: links, disks, clocks and backups that fail as each seed says; then everything promised must be so."`
	Bookings simBookingsCommand `cmd:"" help:"Slots and bookings under faults: a spine and two hospitals, whose links, power, clocks and backups fail as each seed says; then nobody shares a slot, and both sides agree."`
	Day      simDayCommand      `cmd:"" help:"England's working day: 62,000 referrals and 24,000 bookings with their shape over the day, as fast as it goes; at the end nothing differs between the spine and the hospitals."`
	County   simCountyCommand   `cmd:"" help:"A year of a county: practices refer, people book, move, cancel and do not come, hospitals accept, see them and withdraw sessions; at the end nothing differs between the two sides."`
}

type simMessagesCommand struct {
	Seeds uint64 `default:"1000" help:"How many seeds to run."`
	Seed  uint64 `default:"0" help:"The first seed."`
	Steps int    `default:"120" help:"How many things happen under each seed before the faults stop."`
	Log   bool   `help:"Print each step: for a seed that failed, with --seeds 1."`
	Watch int    `help:"With --log: say wherever the message with this number goes."`
	All   bool   `help:"Go on after a seed that fails, and name all that did at the end."`
}

// Run simulates seed after seed, and stops at the first that breaks a promise unless it is to run them all.
func (c *simMessagesCommand) Run(s *session) error {
	var log io.Writer
	if c.Log {
		log = s.stdout
	}
	var sum simulate.Result
	failed := 0
	began, said := time.Now(), time.Now()
	for n := range c.Seeds {
		r, err := simulate.Run(s.ctx, c.Seed+n, simulate.Options{Steps: c.Steps, Log: log, Watch: c.Watch})
		if err != nil && c.All && s.ctx.Err() == nil {
			failed++
			fmt.Fprintln(s.stdout, err)
			continue
		}
		if err != nil {
			return fmt.Errorf("%w\nreplay it with: openspine sim messages --seeds 1 --seed %d --steps %d --log", err, c.Seed+n, c.Steps)
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
