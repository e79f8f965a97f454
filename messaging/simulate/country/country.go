// Package country is the machines of a simulated country and the wires between them, on one thread, and how they fail under a seed: a request or its answer is lost, doubled, late or broken off, a
// link is cut, the power goes at any write, a disk is full, a clock jumps, a database is restored from an old backup. What runs on the machines, and what was promised, is for whoever simulates it.
//
//	world (Country) ──has──► nodes (Machine): clock · disk · database · post ──Do──► wire ──► another's Handler
package country

import (
	"context"
	"fmt"
	"hash"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"os"
	"time"

	"github.com/openspine/openspine/network"
)

// Weights are how likely each fault is, of 1,000 steps or requests.
type Weights struct {
	Lose, LoseAnswer, Double, Late, Broken int // requests; of those that fetch a file, how many break off
	Cut, Crash, Full, Jump, Restore        int // steps
}

// Some draws a weight: of some faults a seed has none at all.
func Some(rng *rand.Rand, most int) int {
	if rng.IntN(3) == 0 {
		return 0
	}
	return rng.IntN(most + 1)
}

// Faults are those that there were.
type Faults struct {
	Crashes, Restores, Exchanges, Lost int // power losses, databases restored, requests between machines, requests or answers lost
	Doubled, Late, FullDisks           int
}

// Add sums up.
func (f *Faults) Add(o Faults) {
	f.Crashes, f.Restores, f.Exchanges, f.Lost = f.Crashes+o.Crashes, f.Restores+o.Restores, f.Exchanges+o.Exchanges, f.Lost+o.Lost
	f.Doubled, f.Late, f.FullDisks = f.Doubled+o.Doubled, f.Late+o.Late, f.FullDisks+o.FullDisks
}

// String is the figures in words.
func (f Faults) String() string {
	return fmt.Sprintf("%d power losses, %d restores, %d full disks, %d exchanges (%d lost, %d doubled, %d late)", f.Crashes, f.Restores, f.FullDisks, f.Exchanges, f.Lost, f.Doubled, f.Late)
}

// Country is the machines, the wires and what fails.
type Country struct {
	Ctx      context.Context
	Rng      *rand.Rand
	Weights  Weights
	Machines []*Machine // the one in the middle first
	Log      io.Writer  // is told of each step; nil for nobody
	Said     func()     // after each line of the log; nil for nothing
	Step     int
	Calm     bool     // the faults have stopped
	Rested   bool     // and everything came to rest once
	Broken   []string // what broke a promise
	Faults   Faults

	cut   map[[2]network.NodeID]int // until which step
	late  []letter
	trace hash.Hash64
}

// New is a country without machines.
func New(ctx context.Context, rng *rand.Rand, log io.Writer) *Country {
	return &Country{Ctx: ctx, Rng: rng, Log: log, cut: map[[2]network.NodeID]int{}, trace: fnv.New64a()}
}

// Trace is the same whenever a seed runs in the same way.
func (c *Country) Trace() uint64 { return c.trace.Sum64() }

// Say writes a line of what happens.
func (c *Country) Say(format string, args ...any) {
	line := fmt.Sprintf("%d "+format+"\n", append([]any{c.Step}, args...)...)
	_, _ = c.trace.Write([]byte(line)) // a hash never fails
	if c.Log != nil {
		_, _ = io.WriteString(c.Log, line)
	}
	if c.Said != nil {
		c.Said()
	}
}

// Break notes that a promise was broken.
func (c *Country) Break(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	c.Broken = append(c.Broken, line)
	c.Say("BROKEN %s", line)
}

// Chance is true so many times in a thousand, while there are faults.
func (c *Country) Chance(of int) bool { return c.Rng.IntN(1000) < of && !c.Calm }

// Pass lets time pass on every clock, and frees disks that were full long enough.
func (c *Country) Pass(d time.Duration) {
	for _, m := range c.Machines {
		m.Clock.Advance(d)
		if m.fullTill > 0 && m.fullTill <= c.Step {
			m.fullTill = 0
			m.Disk.SetQuota(0)
		}
	}
}

// Cut cuts the line from one machine to another until a step.
func (c *Country) Cut(from, to *Machine, until int) {
	c.cut[[2]network.NodeID{from.ID, to.ID}] = until
}

// IsCut reports whether the line from one machine to another is cut now.
func (c *Country) IsCut(from, to *Machine) bool {
	until, cut := c.cut[[2]network.NodeID{from.ID, to.ID}]
	return cut && until > c.Step
}

// Mend mends the line between two machines, which are told so, as links do.
func (c *Country) Mend(a, b *Machine) {
	delete(c.cut, [2]network.NodeID{a.ID, b.ID})
	delete(c.cut, [2]network.NodeID{b.ID, a.ID})
	a.Post.Reached(b.ID)
	b.Post.Reached(a.ID)
}

// Heal stops the faults: lines are whole, disks have room, and every machine has power.
func (c *Country) Heal() error {
	c.Calm = true
	c.Step++
	clear(c.cut)
	for _, m := range c.Machines {
		m.Disk.SetQuota(0)
		m.Disk.CutPowerAfter(0)
		if !m.Up {
			if err := m.Open(); err != nil {
				return err
			}
		}
	}
	c.DeliverLate()
	return nil
}

// BuryDead takes machines down whose power went during what happened.
func (c *Country) BuryDead() {
	for _, m := range c.Machines {
		if m.Up && m.Disk.Dark() {
			m.Die()
		}
	}
}

// Restored reports whether a machine has lost days.
func (c *Country) Restored() bool {
	for _, m := range c.Machines {
		if m.Lost {
			return true
		}
	}
	return false
}

// Close ends every machine.
func (c *Country) Close() {
	for _, m := range c.Machines {
		_ = m.stop()       // a database whose power has gone says so as it closes
		_ = m.Disk.Close() // in memory
	}
}

// memory is a folder in memory, where there is one: databases that are restored pass through it.
func memory() string {
	if s, err := os.Stat("/dev/shm"); err == nil && s.IsDir() {
		return "/dev/shm"
	}
	return ""
}
