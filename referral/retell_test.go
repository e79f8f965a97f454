package referral_test

import (
	"slices"
	"testing"
	"time"

	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/referral"
)

// TestWhatWasLostOnItsWayIsToldAgain, too, where nothing that the spine has changed later has ever come to the hospital: some hours after it was changed it is on its way no more.
func TestWhatWasLostOnItsWayIsToldAgain(t *testing.T) {
	t.Parallel()
	w := newQuiet(t, "")
	u := w.waits(referral.Routine)
	known := booking.Tally{Round: "RZZ01-hourly", Last: true, Heard: w.time.Now().Add(-time.Hour).UnixMicro()}
	for _, x := range []struct {
		after time.Duration
		told  bool
	}{{time.Hour, false}, {3 * time.Hour, true}} {
		w.time.Advance(x.after)
		list, err := w.s.Stale(t.Context(), ident.MustODSCode("RZZ01"), known)
		if err != nil || slices.Contains(list, u) != x.told {
			t.Errorf("after another %s: %v (%v)", x.after, list, err)
		}
	}
}
