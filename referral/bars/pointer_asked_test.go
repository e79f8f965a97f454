package bars_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/referral"
)

// TestABookingThatWasAskedForIsPointedToThere: at the hospital's own system, by the id that it has there and not as something of ours; once the hospital has said yes, and no longer than it stands.
func TestABookingThatWasAskedForIsPointedToThere(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	p := d.program(practice)
	found := func() []fhir.Node {
		t.Helper()
		a := p.get(ofPatient + patient)
		if a.status != 200 {
			t.Fatalf("pointers: %d %s", a.status, a.body)
		}
		return a.found("DocumentReference")
	}
	free := d.free()
	r := d.refer()
	d.troubled("before")
	if got, err := d.act(r.UBRN, referral.Work{Kind: referral.ActBook, Slot: free[0].SlotRef, Service: own}); err != nil || got.Asked == nil {
		t.Fatalf("%+v %v", got, err)
	}
	if list := found(); len(list) != 0 {
		t.Errorf("before the hospital has answered %d are pointed to", len(list))
	}
	r = d.known(r.UBRN)
	shows := func(start time.Time) string {
		t.Helper()
		list := found()
		if len(list) != 1 {
			t.Fatalf("%d pointers", len(list))
		}
		x := list[0]
		got := fmt.Sprint(x.Get("content.0.attachment.url").String(), " ", x.Get("identifier.0.value").String(), " ", x.Get("identifier.1.value").String(), " ", x.Get("identifier").Len(), " ", x.Get("custodian.identifier.value").String(), " ", x.Get("type.coding.0.code").String())
		if want := fmt.Sprint(d.srv.URL, "/base/Appointment/visit-0 visit-0 ", own, " 2 R68 ", visitType); got != want {
			t.Errorf("the pointer:\n%s, want\n%s", got, want)
		}
		if at, err := time.Parse(time.RFC3339, x.Get("context.period.start").String()); err != nil || !at.Equal(start) {
			t.Errorf("it is at %v (%v), want %v", at, err, start)
		}
		return x.Get("id").String()
	}
	id := shows(free[0].Start)
	if a := p.get("/DocumentReference/" + id); a.status != 200 {
		t.Errorf("by its id: %d %s", a.status, a.body)
	}
	if got, err := d.act(r.UBRN, referral.Work{Kind: referral.ActMove, Slot: free[2].SlotRef, Service: own}); err != nil || got.Asked != nil {
		t.Fatalf("%+v %v", got, err)
	}
	if moved := shows(free[2].Start); moved != id {
		t.Errorf("moved, it is another pointer: %s, was %s", moved, id)
	}
	if got, err := d.act(r.UBRN, referral.Work{Kind: referral.ActCancelBy, Reason: "PATIENT_ILL"}); err != nil || got.Asked != nil {
		t.Fatalf("%+v %v", got, err)
	}
	if list := found(); len(list) != 0 {
		t.Errorf("cancelled, %d are pointed to", len(list))
	}
}
