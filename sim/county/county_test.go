package county_test

import (
	"os"
	"testing"
	"time"

	"github.com/openspine/openspine/sim/county"
)

// TestAMonth lives through a month of a small county whose hospitals have too little room. It has a node of its own, in a folder of its own.
func TestAMonth(t *testing.T) {
	t.Parallel()
	weeks := 0
	r, err := county.Run(t.Context(), county.Options{Practices: 3, People: 20, Referrals: 600, Days: 28, Room: 20, Folder: folder(t), Said: func(int, county.Result) { weeks++ }})
	if err != nil {
		t.Fatal(err)
	}
	t.Log(r)
	if r.Referrals != 600 || weeks != 4 {
		t.Errorf("%d referrals in %d weeks", r.Referrals, weeks)
	}
	if r.Taken == 0 || r.Declined == 0 {
		t.Error("nobody took, or nobody declined, a time that came free")
	}
	if r.Booked == 0 || r.Accepted == 0 || r.Attended == 0 || r.Withdrawn == 0 || r.Displaced == 0 || r.SlotIssues == 0 || r.Offered == 0 {
		t.Error("nothing happened: a month in which nothing happens proves nothing")
	}
}

// TestADay replays a very small country's day.
func TestADay(t *testing.T) {
	t.Parallel()
	var at []int
	r, err := county.Day(t.Context(), county.DayOptions{Practices: 3, People: 8, Referrals: 130, Bookings: 50, Folder: folder(t), Said: func(_ time.Time, r county.Result) { at = append(at, r.Booked+r.SlotIssues) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Log(r)
	if r.Referrals != 130 || r.Booked == 0 || r.Booked+r.SlotIssues != 50 || r.Accepted != r.Booked || r.Waiting != 80 {
		t.Errorf("%d referrals, %d booked, %d slot issues, %d accepted, %d left open", r.Referrals, r.Booked, r.SlotIssues, r.Accepted, r.Waiting)
	}
	if len(at) != 26 || at[3] >= at[12] || at[12] >= at[25] {
		t.Errorf("the bookings are not spread over the day: %v", at)
	}
	if _, err := county.Day(t.Context(), county.DayOptions{Referrals: 10, Bookings: 11, Folder: folder(t)}); err == nil {
		t.Error("more booked than were referred")
	}
}

// folder is in memory where there is one: nothing here is to survive, and the disk is not what is tried.
func folder(t *testing.T) string {
	t.Helper()
	if s, err := os.Stat("/dev/shm"); err != nil || !s.IsDir() {
		return t.TempDir()
	}
	dir, err := os.MkdirTemp("/dev/shm", "openspine-county-*")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}
