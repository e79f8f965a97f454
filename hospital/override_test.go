package hospital_test

import (
	"strings"
	"testing"

	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/hospital"
	"github.com/openspine/openspine/sim/simtest"
)

func TestAClashIsSettledByAPerson(t *testing.T) {
	t.Parallel()
	clashes(t, given(t, false))
}

func TestAClashIsSettledByAPersonOnPostgres(t *testing.T) {
	t.Parallel()
	clashes(t, given(t, true))
}

// clashes puts three people into slots of the spine's while there is no line: the spine has booked one of the slots meanwhile, one comes back free, and one person is taken off. Nobody is lost, nobody is booked twice.
func clashes(t *testing.T, w *world) {
	clash, free, off := w.spine.refer("9990000018", 1, false), w.spine.refer("9990000026", 2, false), w.spine.refer("9990000034", 3, false)
	for _, u := range []string{clash, free, off} {
		w.registered(u)
	}
	w.compares()
	clerk := w.nodes[1].SignedIn(t, "clerk")
	page := func(u string) string { return "/o/RQX/clinics/cases/" + u }
	clerk.Get(page(clash)).Sees(200, "Find a time in our own slots").SeesNot("without the spine")
	clerk.Get(page(clash)+"/override").Sees(409, "The spine can be reached")
	if err := w.o.Override(t.Context(), w.clerk(), rqx, clash, "s", "x", "She cannot wait"); !fault.Is(err, fault.Conflict) {
		t.Errorf("by hand although there is a line: %v", err)
	}
	w.link("cut")
	simtest.Eventually(t, func() bool { return clerk.Get(page(clash)+"/override").Status == 200 })
	options := func() (list []string) {
		for _, part := range strings.Split(clerk.Body, `name="slot" type="radio" value="`)[1:] {
			value, _, _ := strings.Cut(part, `"`)
			list = append(list, value)
		}
		return list
	}
	slots := options()
	if len(slots) < 3 {
		t.Fatalf("offered: %v", slots)
	}
	clerk.Get(page(clash)).Link(page(clash) + "/override")
	clerk.Get(page(clash)+"/override").Send(page(clash)+"/override", "slot", slots[0]).Sees(422, "Say why they cannot wait")
	form := clerk.Get(page(clash) + "/override").Form()
	form.Set("slot", slots[0])
	form.Set("reason", "She cannot wait")
	clerk.Post(page(clash)+"/override", form).Sees(200, "as a possible clash")
	clerk.Post(page(clash)+"/override", form).Sees(200, "as a possible clash") // a double click
	session, slot, _ := strings.Cut(slots[0], " ")
	if err := w.o.Override(t.Context(), w.clerk(), rqx, free, session, slot, "He cannot wait either"); !fault.Is(err, fault.Conflict) {
		t.Errorf("two by hand in one slot: %v", err)
	}
	if clerk.Get(page(free) + "/override"); strings.Contains(clerk.Body, `value="`+slots[0]+`"`) {
		t.Error("a slot is offered into which somebody was put")
	}
	var other []string // a slot of another session, and one after it
	for _, x := range slots[1:] {
		if !strings.HasPrefix(x, session+" ") {
			other = append(other, x)
		}
	}
	put := func(u, at string) (session, slot string) {
		t.Helper()
		session, slot, _ = strings.Cut(at, " ")
		if err := w.o.Override(t.Context(), w.clerk(), rqx, u, session, slot, "Cannot wait"); err != nil {
			t.Fatal(err)
		}
		return session, slot
	}
	freeSession, freeSlot := put(free, other[0])
	put(off, other[1])
	clerk.Get("/o/RQX/clinics/sessions/"+session).Sees(200, "Possible clash", "CARROW", "Complete up to")
	for _, list := range []string{"diary", "diary?view=day", "desk"} {
		clerk.Get("/o/RQX/clinics/"+list).Sees(200, "Complete up to", "the spine's message")
	}
	clerk.Get("/clinics/reconciliation").Sees(200, "put in by hand while there was no line", "The spine has not answered", "She cannot wait")

	booked := w.spine.refer("9990000042", 4, true) // by a patient, at the same time, without anybody here knowing
	var at booking.Appointment
	w.spine.look(func() { at = *w.spine.cases[booked].Appointment })
	if at.Slot != slot {
		t.Fatalf("the spine booked %s, and %s was to clash", at.Slot, slot)
	}
	w.link("heal")
	simtest.Eventually(t, func() bool {
		text := clerk.Get("/clinics/reconciliation").Text()
		return strings.Contains(text, "Clash: somebody else is booked") && strings.Count(text, "No clash: the time is ours again") == 2
	})
	decide := func(u, session, slot string) error {
		return w.o.Decide(t.Context(), w.clerk(), rqx, u, hospital.Decision{Kind: booking.ActMove, Session: session, Slot: slot})
	}
	if err := decide(clash, session, slot); !fault.Is(err, fault.Conflict) {
		t.Errorf("booked into the slot of somebody else: %v", err)
	}
	if err := decide(clash, freeSession, freeSlot); !fault.Is(err, fault.Conflict) {
		t.Errorf("booked into a slot into which another was put: %v", err)
	}
	if err := decide(free, freeSession, freeSlot); err != nil {
		t.Errorf("not booked where they were put: %v", err)
	}
	clerk.Get(page(clash) + "/book").Sees(200)
	own := options()
	if len(own) == 0 {
		t.Fatal("there is no time of the hospital's own")
	}
	clerk.Send(page(clash)+"/book", "slot", own[len(own)-1], "kind", "appointment").Sees(200, "The time is booked")
	if err := w.o.TakeOff(t.Context(), w.clerk(), rqx, off, strings.Fields(other[1])[1]); err != nil {
		t.Error(err)
	}
	if err := w.o.TakeOff(t.Context(), w.clerk(), rqx, off, strings.Fields(other[1])[1]); !fault.Is(err, fault.Conflict) {
		t.Errorf("settled twice: %v", err)
	}
	clerk.Get("/clinics/reconciliation").SeesNot("put in by hand")
	clerk.Get("/clinics/rebook").Sees(200, "1 referral")
	simtest.Eventually(t, func() (all bool) {
		w.spine.look(func() {
			a, b, c := w.spine.cases[clash].Appointment, w.spine.cases[free].Appointment, w.spine.cases[booked].Appointment
			all = a != nil && b != nil && c != nil && b.Slot == freeSlot && c.Slot == slot && a.Slot != slot && w.spine.cases[off].Appointment == nil
		})
		return all
	})
}
