package bookings_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/referral"
	"github.com/openspine/openspine/sim/bookings"
)

// How many slots, referrals and people at once a recorded history has.
const histSlots, histReferrals, histClients, histActs = 4, 6, 8, 40

// asked is what somebody asks for: slots, referrals and holders are counted from 1, and 0 is none.
type asked struct {
	kind                 string // hold, book, move, cancel, look
	referral, slot, hold int
}

// answer is what they are told: done, taken (with the time it was for), or that the referral's state does not allow it; and which slots are free.
type answer struct {
	said string
	free [histSlots]bool
}

// diary is what is so between two acts: who is in each slot, and who holds it.
type diary struct{ in, held [histSlots]int }

func (d diary) free(slot, hold int) bool {
	i := slot - 1
	return d.in[i] == 0 && (d.held[i] == 0 || d.held[i] == hold)
}

func (d diary) where(referral int) int {
	for i, r := range d.in {
		if r == referral {
			return i + 1
		}
	}
	return 0
}

// next is what an act leaves, and what whoever asked for it is told.
func (d diary) next(a asked) (diary, answer) {
	at := d.where(a.referral)
	if a.kind == "look" {
		var free [histSlots]bool
		for i := range free {
			free[i] = d.free(i+1, a.hold)
		}
		return d, answer{said: "done", free: free}
	}
	switch {
	case a.kind == "cancel":
		if at == 0 {
			return d, answer{said: "state"}
		}
		d.in[at-1], d.held[at-1] = 0, 0
		return d, answer{said: "done"}
	case !d.free(a.slot, a.hold):
		return d, answer{said: "taken"}
	case a.kind == "hold":
		for i := range d.held {
			if d.held[i] == a.hold {
				d.held[i] = 0 // who chooses another time lets go of the one before
			}
		}
		d.held[a.slot-1] = a.hold
		return d, answer{said: "done"}
	case (a.kind == "move") != (at != 0):
		return d, answer{said: "state"}
	}
	if at != 0 {
		d.in[at-1], d.held[at-1] = 0, 0
	}
	d.in[a.slot-1], d.held[a.slot-1] = a.referral, 0
	return d, answer{said: "done"}
}

func model() porcupine.Model {
	return porcupine.Model{Init: func() any { return diary{} }, Step: func(state, input, output any) (bool, any) {
		after, said := state.(diary).next(input.(asked))
		return said == output.(answer), after
	}, DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v: %+v", input, output) }}
}

// inOneOrder lets several people hold, book, move and cancel the same few slots at once, and looks for one order in which each act happened between being asked for and answered.
func inOneOrder(c *country) {
	t := c.t
	c.hold("order", 25, histSlots)
	slots, made := c.free("order"), c.referAll(histReferrals)
	began := time.Now()
	var mu sync.Mutex
	var history []porcupine.Operation
	var wait sync.WaitGroup
	for client := range histClients {
		wait.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(client), 1)) //nolint:gosec // a test's chance
			for range histActs {
				a := asked{kind: []string{"hold", "book", "book", "move", "move", "cancel", "look"}[rng.IntN(7)], referral: 1 + rng.IntN(histReferrals), slot: 1 + rng.IntN(histSlots)}
				switch {
				case a.kind == "hold" || rng.IntN(3) == 0:
					a.hold = client + 1
				}
				if a.kind == "hold" && rng.IntN(2) == 0 {
					continue // most do not hold, or everything would be
				}
				call := time.Since(began)
				said, err := c.do(a, slots, made)
				back := time.Since(began)
				if err != nil {
					t.Errorf("%+v: %v", a, err)
					return
				}
				mu.Lock()
				history = append(history, porcupine.Operation{ClientId: client, Input: a, Call: int64(call), Output: said, Return: int64(back)})
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	done := map[string]int{}
	for _, op := range history {
		done[op.Input.(asked).kind+" "+op.Output.(answer).said]++
	}
	t.Logf("%d acts: %v", len(history), done)
	if done["book done"] == 0 || done["move done"] == 0 || done["cancel done"] == 0 || done["book taken"] == 0 {
		t.Error("nothing happened: the history says nothing")
	}
	if got := porcupine.CheckOperationsTimeout(model(), history, time.Minute); got != porcupine.Ok {
		t.Errorf("there is no one order in which all this happened: %s", got)
	}
}

// do does what is asked, and words the answer.
func (c *country) do(a asked, slots []referral.SlotRef, made []ident.UBRN) (said answer, err error) {
	holder := ""
	if a.hold > 0 {
		holder = fmt.Sprint("person ", a.hold)
	}
	switch a.kind {
	case "look":
		list, err := c.refer.FreeSlots(c.t.Context(), bookings.ServiceOf(rqx), time.Time{}, time.Time{}, holder, 1000)
		for _, x := range list {
			if i := slices.Index(slots, x.SlotRef); i >= 0 {
				said.free[i] = true
			}
		}
		said.said = "done"
		return said, err
	case "hold":
		for {
			if _, err = c.refer.Hold(c.t.Context(), slots[a.slot-1], holder); !fault.Is(err, fault.Unavailable) {
				break
			}
		}
	case "cancel":
		_, err = c.act(made[a.referral-1], referral.Work{Kind: referral.ActCancelBy, Reason: "PATIENT_ILL"})
	default:
		kind := referral.ActBook
		if a.kind == "move" {
			kind = referral.ActMove
		}
		_, err = c.act(made[a.referral-1], referral.Work{Kind: kind, Slot: slots[a.slot-1], Service: bookings.ServiceOf(rqx), Holder: holder})
	}
	_, taken := referral.Taken(err)
	switch {
	case err == nil:
		said.said = "done"
	case taken:
		said.said = "taken"
	case fault.Is(err, fault.Conflict):
		said.said = "state"
	default:
		return said, err
	}
	return said, nil
}

// TestTheModelNotices: a history in which two people are told that they have one slot is in no order.
func TestTheModelNotices(t *testing.T) {
	t.Parallel()
	twice := []porcupine.Operation{
		{ClientId: 0, Input: asked{kind: "book", referral: 1, slot: 1}, Call: 0, Output: answer{said: "done"}, Return: 10},
		{ClientId: 1, Input: asked{kind: "book", referral: 2, slot: 1}, Call: 5, Output: answer{said: "done"}, Return: 15},
	}
	if porcupine.CheckOperations(model(), twice) {
		t.Error("two people were told that they have one slot, and it was not noticed")
	}
	twice[1].Output = answer{said: "taken"}
	if !porcupine.CheckOperations(model(), twice) {
		t.Error("a plain history is not understood")
	}
}
