package hospital_test

import (
	"slices"
	"testing"
	"time"

	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/hospital"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/sim/simtest"
	"github.com/openspine/openspine/store"
)

// TestAnAnswerThatARestoreHasLostIsSaidAgain: the spine took an answer, and was restored before it told of it. Asked what is so, the hospital says it again, and tells the question back where the spine does not know it either;
// nothing of one of which the spine knows more.
func TestAnAnswerThatARestoreHasLostIsSaidAgain(t *testing.T) {
	t.Parallel()
	w, ctx := given(t, false), t.Context()
	u, other := ident.MustUBRN("000000007001"), ident.MustUBRN("000000007002")
	tell := func(u ident.UBRN, version int64) {
		t.Helper()
		a := booking.Advice{UBRN: u, Version: version, State: "PROVIDER_RESPONSE_REQUIRED", Priority: "ROUTINE", Service: "RQX-heart", ServiceName: "Heart clinic", Practice: ident.MustODSCode("Z99801"), PracticeName: "Fen Lane Surgery",
			Referrer: "Dr Amara Whitfield", Person: booking.Person{NHSNumber: ident.MustNHSNumber("9990000018"), Given: "Edith", Family: "Carrow", Born: "1951-04-02", Gender: "female"}, Changed: time.Now(), Sent: version,
			Remarks: []booking.Remark{{ID: "r", At: time.Now(), By: "Dr Amara Whitfield", Text: "Is a monitor of use?"}}}
		err := w.spine.k.DB.Write(ctx, []store.Lane{w.spine.k.Post().LaneOf(x26, u.String())}, func(tx *store.Tx) error {
			return post(w.spine, tx, booking.WorkflowAdvice, u.String(), a)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	tell(u, 1)
	tell(other, 1)
	for _, x := range []ident.UBRN{u, other} {
		simtest.Eventually(t, func() bool {
			if err := w.o.Register(ctx, rqx); err != nil {
				t.Fatal(err)
			}
			return w.o.Advise(ctx, w.doctor(), rqx, x.String(), hospital.Saying{Kind: booking.AdviseAnswer, Seen: 1, Text: "For a week.", Recommendation: "OTHER"}) == nil
		})
	}
	confirmed := func(want int) bool {
		n := 0
		err := w.nodes[1].Node.Kernel().DB.Read(ctx, func(tx *store.Tx) error {
			return tx.QueryRow(`SELECT count(*) FROM hospital_advise WHERE state = 'confirmed'`).Scan(&n)
		})
		return err == nil && n == want
	}
	simtest.Eventually(t, func() bool { return confirmed(2) })
	tell(other, 2) // of this one it has told
	simtest.Eventually(t, func() bool { return w.knowsAdvice(other, 2) })
	counts := func() (said int, asked []int64) {
		w.spine.look(func() {
			for _, a := range w.spine.said {
				if a.UBRN == u {
					said++
				}
			}
			for _, a := range w.spine.asked {
				if a.UBRN == u {
					asked = append(asked, a.Version)
				}
			}
		})
		return said, asked
	}
	for round, marks := range [][]booking.CaseMark{{{UBRN: u, Version: 1}, {UBRN: other, Version: 2}}, {{UBRN: other, Version: 5}}, {{UBRN: u, Version: 3}, {UBRN: other, Version: 2}}} {
		name := "X26-" + string(rune('a'+round))
		err := w.spine.k.DB.Write(ctx, []store.Lane{w.spine.k.Post().LaneOf(x26, "tally")}, func(tx *store.Tx) error {
			w.spine.mu.Lock()
			defer w.spine.mu.Unlock()
			w.spine.round = name
			return post(w.spine, tx, booking.WorkflowTally, "tally", booking.Tally{Round: name, Unsure: true, Last: true, Advice: marks})
		})
		if err != nil {
			t.Fatal(err)
		}
		simtest.Eventually(t, func() (answered bool) {
			w.spine.look(func() {
				answered = slices.ContainsFunc(w.spine.answer, func(a booking.Tally) bool { return a.Round == name })
			})
			return answered && confirmed(2)
		})
		want := min(round+2, 3) // once each time that it is asked by a spine that knows no more than the question
		simtest.Eventually(t, func() bool { said, _ := counts(); return said >= want })
		if said, asked := counts(); said != want || len(asked) != min(round, 1) {
			t.Errorf("round %d: said %d times, told back %v", round, said, asked)
		}
	}
	w.spine.look(func() {
		for _, a := range w.spine.asked {
			if a.UBRN == other {
				t.Errorf("a question of which the spine knows as much was told back: %+v", a)
			}
		}
		for _, a := range w.spine.said {
			if a.UBRN == u && (a.Text != "For a week." || a.Seen != 1 || a.Number != 1) {
				t.Errorf("what was said again: %+v", a)
			}
		}
	})
}

// knowsAdvice reports whether the hospital knows a question at a version.
func (w *world) knowsAdvice(u ident.UBRN, version int64) (known bool) {
	err := w.nodes[1].Node.Kernel().DB.Read(w.t.Context(), func(tx *store.Tx) error {
		return tx.QueryRow(`SELECT count(*) > 0 FROM hospital_advice WHERE ubrn = ? AND version >= ?`, u.String(), version).Scan(&known)
	})
	return err == nil && known
}
