package main

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/sim/county"
)

type simCountyCommand struct {
	Practices int    `default:"100" help:"How many practices refer."`
	People    int    `default:"200" help:"How many people are on each practice's list."`
	Referrals int    `default:"200000" help:"How many referrals there are in all."`
	Days      int    `default:"365" help:"How many days of the calendar are lived through."`
	Beside    int    `default:"256" help:"How many people act at once: the more, the more share a commit."`
	Seed      uint64 `default:"0" help:"What happens."`
	Data      string `help:"Keep the databases, which are not forced to the disk as a node's are, in this folder, which must be empty; otherwise a temporary one." type:"path"`
	Profile   string `help:"Write a CPU profile to this file." type:"path"`
}

// Run lives through the county's days, and fails where the two sides differ at the end.
func (c *simCountyCommand) Run(s *session) (err error) {
	folder := c.Data
	if folder == "" {
		if folder, err = os.MkdirTemp("", "openspine-county-*"); err != nil {
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
		r, err = county.Run(s.ctx, county.Options{Practices: c.Practices, People: c.People, Referrals: c.Referrals, Days: c.Days, Beside: c.Beside, Seed: c.Seed, Folder: folder, Said: func(day int, r county.Result) {
			fmt.Fprintf(s.stderr, "day %d after %s, %s of processor: %d referrals, %d seen, %d wait\n", day, time.Since(began).Round(time.Second), (processor() - spent).Round(time.Second), r.Referrals, r.Attended, r.Waiting)
		}})
		return err
	})
	if err != nil {
		return err
	}
	size, err := folderSize(folder)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.stdout, "%s\nnothing differs between the spine and the hospitals, and no message is left\n%s, %s with what it began with: %d referrals a second, %.1f ms of processor each; %d MB of memory, %d MB on disk\n",
		r, r.Took.Round(time.Second), time.Since(began).Round(time.Second), int(float64(r.Referrals)/r.Took.Seconds()), perOperation(processor()-spent, r.Referrals)/1000, resident(), size>>20)
	return err
}

// seldom has the garbage collected less often until the function that it returns is called: a simulation has the machine to itself, and pays for each collection with a core that it needs. Who says how often by GOGC is obeyed.
func seldom() (as func()) {
	if os.Getenv("GOGC") != "" {
		return func() {}
	}
	before := debug.SetGCPercent(400)
	return func() { debug.SetGCPercent(before) }
}

// empty makes a folder, and refuses one that holds something.
func empty(folder string) error {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	list, err := os.ReadDir(folder)
	if err == nil && len(list) > 0 {
		err = fault.New(fault.Conflict, "%s is not empty", folder)
	}
	return err
}
