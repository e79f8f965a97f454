package county

import (
	"testing"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/hospital"
)

// TestDeliverWaitsForNoRetry: what is to go to a hospital is there once the post was delivered, also where the first requests to it are lost, although no time passes meanwhile after which they would be tried again.
func TestDeliverWaitsForNoRetry(t *testing.T) {
	t.Parallel()
	c, err := open(t.Context(), Options{Practices: 1, People: 5, Referrals: 20, Days: 1, Folder: t.TempDir()}.withDefaults())
	defer func() {
		if err := c.close(); err != nil {
			t.Error(err)
		}
	}()
	if err == nil {
		err = c.jobs("plan")
	}
	if err == nil {
		err = c.rest(0)
	}
	if err != nil {
		t.Fatal(err)
	}
	now := c.clock.Now()
	c.lines.lose.Store(3)
	if err := c.morning(0); err != nil {
		t.Fatal(err)
	}
	if err := c.rest(0); err != nil {
		t.Fatal(err)
	}
	if len(c.booked) == 0 || c.lines.lose.Load() >= 0 || !c.clock.Now().Equal(now) {
		t.Fatalf("%d have booked, %d requests are still to be lost, and it is %s", len(c.booked), c.lines.lose.Load(), c.clock.Now())
	}
	for _, x := range c.booked {
		if err := c.clinics(x.hospital()).Decide(c.ctx, at(x.hospital(), access.Clinician), x.hospital(), x.ubrn.String(), hospital.Decision{Kind: booking.ActAccept}); err != nil {
			t.Fatal(err)
		}
	}
}
