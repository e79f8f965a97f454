package hospital_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/hospital"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/sim/simtest"
	"github.com/openspine/openspine/store"
)

// TestWhoseTheSlotsAreIsSettled asks the spine, as after a restore of the hospital: it gives nothing until it has been answered. Then the spine comes back from a backup that
// knows nothing, and asks: it is told of each slot that is its own, and of the referrals that it has lost.
func TestWhoseTheSlotsAreIsSettled(t *testing.T) {
	t.Parallel()
	w := given(t, false)
	u := w.spine.refer("9990000018", 1, true)
	w.registered(u)
	ctx := t.Context()
	if err := w.o.Repair(ctx, w.clerk(), rqx); !fault.Is(err, fault.Conflict) {
		t.Fatalf("settling with a spine that never answered: %v", err)
	}
	clerk := w.nodes[1].SignedIn(t, "clerk")
	agrees := func() bool {
		if err := w.o.Tally(ctx, rqx); err != nil {
			t.Fatal(err)
		}
		page := clerk.Get("/clinics/reconciliation").Text()
		return strings.Contains(page, "Nothing differs") && !strings.Contains(page, "Last answered Never")
	}
	simtest.Eventually(t, agrees)
	var at booking.Appointment
	w.spine.look(func() { at = *w.spine.cases[u].Appointment })
	w.link("cut")
	if err := w.o.Repair(ctx, w.clerk(), rqx); err != nil {
		t.Fatal(err)
	}
	if _, err := w.o.Give(ctx, w.clerk(), rqx, at.Session); !fault.Is(err, fault.Unavailable) {
		t.Errorf("a hospital that does not know whose its slots are gives them: %v", err)
	}
	clerk.Get("/clinics/reconciliation").Sees(200, "are settling whose each slot is")
	w.link("heal")
	simtest.Eventually(t, func() bool {
		_, err := w.o.Give(ctx, w.clerk(), rqx, at.Session)
		return err == nil
	})
	simtest.Eventually(t, agrees)

	// What the spine refuses is over as well: it is told so, lest it take it when its post brings it again.
	w.spine.look(func() { w.spine.refuse[booking.ActAccept] = "Not now." })
	if err := w.o.Decide(ctx, w.clerk(), rqx, u, hospital.Decision{Kind: booking.ActAccept}); err != nil {
		t.Fatal(err)
	}
	simtest.Eventually(t, func() (refused bool) {
		err := w.nodes[1].Node.Kernel().DB.Read(ctx, func(tx *store.Tx) error {
			return tx.QueryRow(`SELECT count(*) > 0 FROM hospital_act WHERE ubrn = ? AND answer = 'Not now.'`, u).Scan(&refused)
		})
		return err == nil && refused
	})

	owned := map[string]booking.Epoch{}
	err := w.spine.k.DB.Write(ctx, []store.Lane{w.spine.k.Post().LaneOf(x26, "tally")}, func(tx *store.Tx) error {
		w.spine.mu.Lock()
		defer w.spine.mu.Unlock()
		for id, x := range w.spine.slots {
			if booking.Spine.Owns(x.Epoch) {
				owned[id] = x.Epoch
			}
		}
		clear(w.spine.slots)
		w.spine.round = "X26-asks"
		return post(w.spine, tx, booking.WorkflowTally, "tally", booking.Tally{Round: w.spine.round, Unsure: true, Last: true})
	})
	if err != nil {
		t.Fatal(err)
	}
	simtest.Eventually(t, func() (answered bool) {
		w.spine.look(func() {
			n := len(w.spine.answer)
			answered = n > 0 && w.spine.answer[n-1].Last && len(w.spine.slots) == len(owned)
		})
		return answered
	})
	w.spine.look(func() {
		marks, told := map[string]booking.SlotMark{}, 0
		for _, page := range w.spine.answer {
			for _, m := range page.Slots {
				marks[m.ID] = m
			}
			for _, c := range page.Told {
				if told++; c.UBRN.String() != u || c.Appointment == nil || *c.Appointment != at || c.Letter == "" || c.Acted != 1 {
					t.Errorf("it is told back as %+v", c)
				}
			}
		}
		if told != 1 {
			t.Errorf("%d referrals are told back", told)
		}
		for id, was := range owned {
			x, m := w.spine.slots[id], marks[id]
			if x.Epoch != m.Epoch || x.Epoch <= was || !booking.Spine.Owns(x.Epoch) || x.Since() != was || m.Since() != was {
				t.Errorf("slot %s of epoch %d is handed over anew as %+v, and compared as %+v", id, was, x, m)
			}
		}
	})
	session := clerk.Get("/clinics/sessions/" + at.Session).Sees(200).Text()
	if !strings.Contains(session, "Booked") {
		t.Errorf("whoever is booked does not stand in the session any more: %s", session)
	}

	// A slot that is long over is compared no more; but a spine that has somebody in it at an epoch that had ended is told so.
	err = w.nodes[1].Node.Kernel().DB.Write(ctx, []store.Lane{0}, func(tx *store.Tx) error {
		_, err := tx.Exec(`UPDATE hospital_slot SET starts = 1, ends = 2, epoch = 4, base = 4 WHERE id = ?`, at.Slot)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for round, epoch := range map[string]booking.Epoch{"X26-overtaken": 3, "X26-holds": 4} {
		err := w.spine.k.DB.Write(ctx, []store.Lane{w.spine.k.Post().LaneOf(x26, "tally")}, func(tx *store.Tx) error {
			w.spine.mu.Lock()
			defer w.spine.mu.Unlock()
			w.spine.round = round
			return post(w.spine, tx, booking.WorkflowTally, "tally", booking.Tally{Round: round, Unsure: true, Last: true, Cases: []booking.CaseMark{{UBRN: ident.MustUBRN(u), Version: 99, Session: at.Session, Slot: at.Slot, Epoch: epoch}}})
		})
		if err != nil {
			t.Fatal(err)
		}
		simtest.Eventually(t, func() (answered bool) {
			w.spine.look(func() {
				for _, page := range w.spine.answer {
					if page.Round != round {
						continue
					}
					answered = page.Last
					if named := slices.ContainsFunc(page.Slots, func(m booking.SlotMark) bool {
						return m.ID == at.Slot && m.Epoch == 4 && m.Since() == 4 && m.Session == at.Session
					}); named != (epoch < 4) {
						t.Errorf("of somebody at epoch %d the hospital names the slot: %v", epoch, named)
					}
				}
			})
			return answered
		})
	}
}

// TestAHospitalThatWasRestoredAsksOnce: also one that comes back from before it had noted in which life it is. It gives nothing until it is answered, and however often it looks at its plans meanwhile
// there is one question: only the answer to the last counts, and with a slow line none would ever be the last.
func TestAHospitalThatWasRestoredAsksOnce(t *testing.T) {
	t.Parallel()
	w := given(t, false)
	ctx, k := t.Context(), w.nodes[1].Node.Kernel()
	w.link("cut")
	questions := func() int {
		list, _, err := k.Post().Search(ctx, messaging.Query{Workflow: booking.WorkflowTally, Limit: 500})
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	before := questions()
	err := k.DB.Write(ctx, []store.Lane{0, k.DB.LaneOf(rqx.String(), "outpatients")}, func(tx *store.Tx) error {
		if _, err := tx.Exec(`INSERT INTO store_meta (name, value) VALUES ('restored from', 'an earlier life')`); err != nil {
			return err
		}
		_, err := tx.Exec(`DELETE FROM hospital_standing`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var session string
	w.spine.look(func() {
		for _, session = range w.spine.in {
			break
		}
	})
	if _, err := w.o.Give(ctx, w.clerk(), rqx, session); !fault.Is(err, fault.Unavailable) {
		t.Errorf("a hospital that was restored gives slots before it is answered: %v", err)
	}
	for range 3 {
		if err := w.o.Plan(ctx, rqx); err != nil {
			t.Fatal(err)
		}
	}
	if n := questions() - before; n != 1 {
		t.Errorf("it asked %d times", n)
	}
}

// TestAnAnswerToAnEarlierLife: a comparison that was under way when the backup was taken is answered after the restore. The hospital still does not know whose its slots are.
func TestAnAnswerToAnEarlierLife(t *testing.T) {
	t.Parallel()
	w := given(t, false)
	ctx, k := t.Context(), w.nodes[1].Node.Kernel()
	var session string
	w.spine.look(func() {
		for _, session = range w.spine.in {
			break
		}
	})
	w.link("cut")
	if err := w.o.Tally(ctx, rqx); err != nil {
		t.Fatal(err)
	}
	own := k.DB.LaneOf(rqx.String(), "outpatients")
	answer := booking.Tally{Last: true}
	err := k.DB.Write(ctx, []store.Lane{own}, func(tx *store.Tx) error {
		if err := tx.QueryRow(`SELECT round FROM hospital_standing`).Scan(&answer.Round); err != nil {
			return err
		}
		_, err := tx.Exec(`UPDATE hospital_standing SET incarnation = 'earlier'`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	came(w, booking.WorkflowTally, "tally", answer)
	if _, err := w.o.Give(ctx, w.clerk(), rqx, session); !fault.Is(err, fault.Unavailable) {
		t.Errorf("a hospital that was restored took the answer to an earlier life's question, and gives slots: %v", err)
	}
}

// came handles a message of the spine's as if the post had brought it.
func came[M booking.Message](w *world, workflow, conversation string, what M) {
	w.t.Helper()
	body, err := booking.Encode(what)
	if err != nil {
		w.t.Fatal(err)
	}
	m := messaging.Message{From: x26, To: rqx, Workflow: workflow, Conversation: conversation, Body: body}
	k := w.nodes[1].Node.Kernel()
	for _, h := range w.o.Service().Handles {
		if h.Workflow != workflow {
			continue
		}
		lanes := append(h.Lanes(m), k.Post().LaneOf(rqx, conversation))
		if err := k.DB.Write(w.t.Context(), lanes, func(tx *store.Tx) error { return h.Handle(w.t.Context(), tx, m) }); err != nil {
			w.t.Fatal(err)
		}
	}
}
