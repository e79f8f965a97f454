package clock_test

import (
	"testing"
	"time"

	"github.com/openspine/openspine/internal/clock"
)

func TestFakeWakesOnlyThoseDue(t *testing.T) {
	start := time.Date(2026, 6, 5, 9, 0, 0, 0, time.UTC)
	c := clock.NewFake(start)
	soon, later, now := c.After(time.Minute), c.After(time.Hour), c.After(0)
	if got := <-now; !got.Equal(start) {
		t.Fatalf("a wait of nothing woke at %v, want %v", got, start)
	}
	c.Advance(2 * time.Minute)
	select {
	case got := <-soon:
		if want := start.Add(2 * time.Minute); !got.Equal(want) {
			t.Errorf("woke at %v, want %v", got, want)
		}
	default:
		t.Error("a wait of one minute did not wake after two")
	}
	select {
	case <-later:
		t.Error("a wait of one hour woke after two minutes")
	default:
	}
	c.Advance(-time.Hour)
	if got := c.Now(); !got.Before(start) {
		t.Errorf("a clock moved back stands at %v", got)
	}
}

func TestSystemIsUTC(t *testing.T) {
	if loc := clock.System().Now().Location(); loc != time.UTC {
		t.Errorf("system clock speaks %v, want UTC", loc)
	}
}
