// Package booking is what the spine and a hospital agree on, so that no slot is given to two people, no booking is known to one side
// alone, and nobody is told "booked" who is not. Both sides keep tables of their own; what passes between them are the messages of
// this package, by the post (package messaging), and every rule about whose a slot is stands here, once.
//
// # A slot has one owner
//
// A hospital makes a slot and owns it. It may give the slot to the spine, which then books it for patients and referrers, and may ask for it
// back. Each handing over raises the slot's epoch by one; the giver raises it in the transaction that sends the message, the taker when the
// message is handled. At even epochs the hospital owns the slot, at odd ones the spine:
//
//	hospital  0 ──give──▶ 1 ······················ 1 ──take──▶ 2
//	spine     0 ······· take ─▶ 1 ──give back──▶ 2 ············ 2
//	may book  hospital   nobody   spine      nobody         hospital
//
// Whoever's number has their own parity may book; while a slot is on its way nobody may. Two sides can never both be right: their numbers
// differ by one at most, and neighbours differ in parity (docs/decisions/0026).
//
// # Messages carry what is so, not what changed
//
// What the spine knows of a referral goes to its hospital whole, with its version: the highest version wins, whatever order they come in. An appointment names
// its slot and the epoch at which it was booked, so a hospital can tell a booking that stands from one that has been undone since and whose undoing is still
// under way: the spine gives a slot back only when nobody is booked on it.
//
// What a hospital decides of a referral (accepted, rejected, seen) is an Act. The spine alone changes a referral: it takes the act,
// or refuses it and says why.
package booking

import (
	"time"

	"github.com/openspine/openspine/fault"
)

// Side is one of the two who may own a slot.
type Side int64

// The sides. Their numbers are the parities of the epochs at which they own a slot.
const (
	Hospital Side = 0
	Spine    Side = 1
)

// String names the side in small letters.
func (s Side) String() string {
	if s == Hospital {
		return "hospital"
	}
	return "spine"
}

// Epoch counts how often a slot was handed over, as one side knows it. A slot that a side has never heard of has epoch 0.
type Epoch int64

// Owner is whose the slot is when both sides know e.
func (e Epoch) Owner() Side { return Side(e & 1) }

// Owns reports whether s, knowing e, owns the slot: it may book it, and give it to the other side.
func (s Side) Owns(e Epoch) bool { return e.Owner() == s }

// Give is the epoch that s keeps, and tells the other side, once it has given a slot of epoch e away.
// Error: fault.Conflict when the slot is not s's to give.
func (s Side) Give(e Epoch) (Epoch, error) {
	if !s.Owns(e) {
		return e, fault.New(fault.Conflict, "The slot is not the %s's to give.", s)
	}
	return e + 1, nil
}

// Take is the epoch that s keeps once it is told of epoch told where it knew e, and whether that changed anything: what is told late, or twice,
// changes nothing. Error: fault.Invalid when told is not an epoch at which the other side hands the slot to s.
func (s Side) Take(e, told Epoch) (Epoch, bool, error) {
	if told < 0 || !s.Owns(told) {
		return e, false, fault.New(fault.Invalid, "By epoch %d the slot is not handed to the %s.", told, s)
	}
	if told <= e {
		return e, false, nil
	}
	return told, true, nil
}

// Settle is the epoch that s keeps, and answers, when the other side was restored from a backup and asks what is so, telling epoch theirs. Sure says that s itself
// was not restored meanwhile. Whoever knows of more handings over is right about the owner.
//
// A slot that s owns, and is sure of, stays as it is: nobody else can have handed it on. Otherwise the epoch is raised beyond any at which a handing over may still be
// under way, of days that a restore has lost as well: handings over count on by one, so none has come near twice the milliseconds of the clock, now. A clock that is set
// back by no more than the time since a restore does no harm.
func (s Side) Settle(mine, theirs Epoch, sure bool, now time.Time) Epoch {
	if sure && s.Owns(mine) && mine >= theirs {
		return mine
	}
	highest := max(mine, theirs)
	settled := max(highest+2, Epoch(2*now.UnixMilli()))
	if settled.Owner() != highest.Owner() {
		settled++
	}
	return settled
}

// Settled is the epoch that the side which asked keeps once its last question is answered: from then on it may book again. An answer to an earlier question is
// for a life that is over, and changes nothing.
func Settled(mine, answer Epoch) Epoch { return max(mine, answer) }

// Seams are duties that a proof takes away, one at a time, to see that it is noticed. None is ever set in a node.
type Seams struct {
	GiveBooked bool // a slot is given back with whoever is booked in it
	NoWithdraw bool // who is booked in a withdrawn session is not told
	LetGo      bool // a hospital lets go of a slot by what the spine said before it took the booking
	AskAnew    bool // a hospital's system is asked again by another id than the first time
	NoFiles    bool // a hospital is told of a referral without its files
	NotHeld    bool // a time is offered to whoever waits and not held for them
	ShowGone   bool // a time that is not theirs any more is still shown to whoever it was offered to
	NoLapse    bool // an offer whose time is up is not ended
	NotTold    bool // an offer that a restore of the spine has lost is not taken up again
	TwoByHand  bool // somebody is put into a slot in which the clinic has put another by hand
	SeenUntold bool // what came of somebody who was put in by hand is not told when the clash is settled
	Unassessed bool // the result of an assessment is not told
	Overtaken  bool // an answer to a question for advice is taken although something was said meanwhile
	KeepTwice  bool // a file that a node has already is kept once more
	NotAsked   bool // a question for advice that a restore of the spine has lost is not taken up again
}
