package bookings

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/referral"
)

// Apart is the hospital whose system keeps its slots to itself: it has no node, and is asked (docs/decisions/0028).
var Apart = ident.MustODSCode("RQZ")

// apart is that system: it knows a question by its id when it comes again. It is not reached, its slots are taken by people of its own, and its answers are lost.
type apart struct {
	w     *world
	slots []referral.Slot
	taken map[string]string         // by slot, whose it is: a UBRN, or "own"
	said  map[string]referral.Reply // by the question's id
	put   map[string][]string       // by whom it is about: the ids of the questions that came, each as often as it came
	// In a story: how many of the next questions do not come, and how many of the next answers are lost.
	away, loses int
}

const apartSlots = 24

func newApart(w *world) *apart {
	a := &apart{w: w, taken: map[string]string{}, said: map[string]referral.Reply{}, put: map[string][]string{}}
	for i := range apartSlots {
		at := sessionStart(start, 1+i/2, 9).Add(time.Duration(i%2) * 30 * time.Minute)
		a.slots = append(a.slots, referral.Slot{SlotRef: referral.SlotRef{Provider: Apart, Slot: fmt.Sprint("RQZ-", i)}, Start: at, End: at.Add(30 * time.Minute), Clinician: "Dr Idris Vane"})
	}
	return a
}

// Services is referral.Elsewhere's.
func (w *world) Services(context.Context) ([]string, error) { return []string{ServiceOf(Apart)}, nil }

// Free is referral.Elsewhere's.
func (w *world) Free(_ context.Context, _ string, from, to time.Time) (list []referral.Slot, err error) {
	if w.Chance(w.Weights.Lose) {
		return nil, fault.New(fault.Unavailable, "the system is not reached")
	}
	for _, x := range w.apart.slots {
		if w.apart.taken[x.SlotRef.Slot] == "" && !x.Start.Before(from) && x.Start.Before(to) {
			list = append(list, x)
		}
	}
	if len(list) > 0 && w.Chance(100) { // somebody telephones there
		w.apart.taken[list[w.Rng.IntN(len(list))].SlotRef.Slot] = "own"
	}
	return list, nil
}

// Ask is referral.Elsewhere's.
func (w *world) Ask(_ context.Context, q referral.Question) (referral.Reply, error) {
	a, spine, u := w.apart, w.nodes[0], q.Referral.UBRN.String()
	if w.Chance(2 * w.Weights.Lose) {
		return referral.Reply{}, fault.New(fault.Unavailable, "the system is not reached")
	}
	if a.away > 0 {
		a.away--
		return referral.Reply{}, fault.New(fault.Unavailable, "the system is not reached")
	}
	a.put[u] = append(a.put[u], q.Message)
	reply, before := a.said[q.Message]
	if !before {
		reply = a.does(u, q)
		a.said[q.Message] = reply
	}
	w.res.Asked++
	w.Say("RQZ is asked to %s for %s, again %v, before %v: %v", q.Kind, u, q.Again, before, reply.Yes)
	if w.Chance(w.Weights.Crash) {
		spine.Disk.CutPower()
	}
	if a.loses > 0 {
		a.loses--
		return referral.Reply{}, fault.New(fault.Timeout, "the answer was lost")
	}
	if w.Chance(2 * w.Weights.LoseAnswer) {
		return referral.Reply{}, fault.New(fault.Timeout, "the answer was lost")
	}
	return reply, nil
}

// does does what it is asked, once.
func (a *apart) does(u string, q referral.Question) referral.Reply {
	if q.Appointment == nil {
		a.leave(u)
		return referral.Reply{Yes: true}
	}
	at := q.Appointment.Slot
	if a.taken[at] != "" || !slices.ContainsFunc(a.slots, func(x referral.Slot) bool { return x.SlotRef.Slot == at }) {
		return referral.Reply{Why: "That time has been taken."}
	}
	a.leave(u)
	a.taken[at] = u
	return referral.Reply{Yes: true, Remote: at + " for " + u}
}

func (a *apart) leave(u string) {
	for _, at := range sorted(a.taken) {
		if a.taken[at] == u {
			delete(a.taken, at)
		}
	}
}

// check holds the two to the same: who is told "booked" is so there, and who is not told so is not. Questions that were asked in days which a restore of the spine has lost are known to the system
// alone, and nobody asks it for them yet (docs/decisions/0028).
func (a *apart) check(s seenBy) {
	w := a.w
	for _, u := range sorted(s.referrals) {
		r := s.referrals[u]
		if r.Asked != nil {
			w.Break("at rest %s still waits for an answer of RQZ", u)
		}
		if w.nodes[0].Lost {
			continue
		}
		there := ""
		for _, at := range sorted(a.taken) {
			if a.taken[at] == u {
				there = at
			}
		}
		here := ""
		if r.Appointment != nil && r.Appointment.Provider == Apart {
			here = r.Appointment.Slot
		}
		if here != there {
			w.Break("%s is told that it is booked into %q at RQZ, whose system has it in %q", u, here, there)
		}
	}
}
