package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/openspine/openspine/sim/county"
)

type simDayCommand struct {
	Practices int    `default:"300" help:"How many practices refer."`
	People    int    `default:"200" help:"How many people are on each practice's list."`
	Referrals int    `default:"62000" help:"How many referrals there are in all."`
	Bookings  int    `default:"24000" help:"How many of those who are referred book on the same day."`
	Beside    int    `default:"32" help:"How many people act at once."`
	Seed      uint64 `default:"0" help:"Who is referred, and who books."`
	Data      string `help:"Keep the databases, which are not forced to the disk as a node's are, in this folder, which must be empty; otherwise a temporary one." type:"path"`
	Profile   string `help:"Write a CPU profile to this file." type:"path"`
}

// Run replays the day, and fails where the two sides differ at its end.
func (c *simDayCommand) Run(s *session) (err error) {
	folder := c.Data
	if folder == "" {
		if folder, err = os.MkdirTemp("", "openspine-day-*"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	} else if err := empty(folder); err != nil {
		return err
	}
	defer seldom()()
	began, spent := time.Now(), processor()
	var r county.Result
	err = profiled(c.Profile, func() (err error) {
		r, err = county.Day(s.ctx, county.DayOptions{Practices: c.Practices, People: c.People, Referrals: c.Referrals, Bookings: c.Bookings, Beside: c.Beside, Seed: c.Seed, Folder: folder, Said: func(at time.Time, r county.Result) {
			fmt.Fprintf(s.stderr, "%s after %s, %s of processor: %d referrals, %d booked, %d slot issues, %d accepted\n", at.Format("15:04"), time.Since(began).Round(time.Second), (processor() - spent).Round(time.Second), r.Referrals, r.Booked, r.SlotIssues, r.Accepted)
		}})
		return err
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.stdout, "%d referrals, %d bookings, %d slot issues, %d accepted, %d have not booked\nnothing differs between the spine and the hospitals, and no message is left\n%s, %s with what it began with; %s of processor in all; %d MB of memory\n",
		r.Referrals, r.Booked, r.SlotIssues, r.Accepted, r.Waiting, r.Took.Round(time.Second), time.Since(began).Round(time.Second), (processor() - spent).Round(time.Second), resident())
	return err
}
