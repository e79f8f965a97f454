package referral_test

import (
	"context"
	"testing"
	"time"

	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/referral"
)

// TestSlotsOfASessionComeTogether: a message that names a slot twice leaves it as it was named last; one that comes late, or names what is booked again, changes nothing of what is there, and what is new in it counts.
func TestSlotsOfASessionComeTogether(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *quiet) {
		ctx := context.Background()
		day := w.time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, 10)
		slot := func(id string, epoch booking.Epoch, hour int) booking.Slot {
			at := day.Add(time.Duration(hour) * time.Hour)
			return booking.Slot{ID: id, Epoch: epoch, Start: at, End: at.Add(20 * time.Minute)}
		}
		comes := func(slots ...booking.Slot) {
			t.Helper()
			cameTo(t, w.s, booking.WorkflowSlots, "together", booking.Slots{Session: "together", Service: waitingFor, Slots: slots})
		}
		free := func(step string, want map[string]int) (found []referral.Slot) {
			t.Helper()
			list, err := w.s.FreeSlots(ctx, waitingFor, time.Time{}, time.Time{}, "", 50)
			if err != nil {
				t.Fatal(err)
			}
			for _, x := range list {
				if x.Session != "together" {
					continue
				}
				if hour, there := want[x.SlotRef.Slot]; !there || hour != x.Start.Hour() {
					t.Errorf("%s: %s is free at %s", step, x.SlotRef.Slot, x.Start)
				}
				found = append(found, x)
			}
			if len(found) != len(want) {
				t.Errorf("%s: %d are free of %v", step, len(found), want)
			}
			return found
		}
		comes(slot("a", 1, 9), slot("b", 1, 10), slot("a", 3, 11))
		free("named twice", map[string]int{"a": 11, "b": 10})
		comes(slot("a", 1, 9), slot("b", 1, 12), slot("c", 1, 13))
		list := free("one is new", map[string]int{"a": 11, "b": 10, "c": 13})
		if len(list) != 3 {
			t.Fatal("nothing to book")
		}
		if _, err := w.s.Act(ctx, w.gp, w.refers(referral.Routine).UBRN, referral.Work{Kind: referral.ActBook, Slot: list[0].SlotRef, Service: waitingFor}); err != nil {
			t.Fatal(err)
		}
		comes(slot("a", 3, 11), slot("b", 1, 10), slot("d", 1, 14))
		free("one is booked", map[string]int{"a": 11, "c": 13, "d": 14})
	})
}
