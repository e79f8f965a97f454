package ers_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/openspine/openspine/referral"
	"github.com/openspine/openspine/sim/seed/keeper"
)

// system is a clinic whose own system keeps its slots, and answers bookings as it is told to.
type system struct {
	how   atomic.Int32
	given int // slots that a test has asked for: each is another, for what had no answer is asked again
}

const (
	well int32 = iota
	silent
	broken
)

// keeps offers such a clinic (keeper.Service) until the test is over.
func (s *stage) keeps() *system {
	s.t.Helper()
	if s.system != nil {
		return s.system
	}
	x := &system{}
	clinic, err := keeper.Open(s.time, filepath.Join(s.root.TempDir(), "clinic.json"))
	if err != nil {
		s.t.Fatal(err)
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch how := x.how.Load(); {
		case r.Method == http.MethodPost && how == silent:
			panic(http.ErrAbortHandler)
		case r.Method == http.MethodPost && how == broken:
			w.Header().Set("Content-Type", "application/fhir+json; version=1.4.0")
			w.WriteHeader(http.StatusUnprocessableEntity)
			fmt.Fprint(w, `{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"processing","diagnostics":"the diary is out of paper"}]}`)
		default:
			clinic.ServeHTTP(w, r)
		}
	}))
	s.root.Cleanup(srv.Close)
	if err := keeper.Offer(s.t.Context(), s.node, srv.URL); err != nil {
		s.t.Fatal(err)
	}
	s.time.Advance(2 * time.Second) // what is looked for is what was there a moment before
	s.system = x
	return x
}

// slotThere is a slot that the clinic's system has free.
func (s *stage) slotThere() referral.SlotRef {
	s.t.Helper()
	x := s.keeps()
	s.time.Advance(time.Minute) // what it said is known for a while
	free := s.free(keeper.Service)
	if x.given++; len(free) <= 2*x.given {
		s.t.Fatal("its system has no free slot")
	}
	return free[2*x.given].SlotRef
}

func slotID(f referral.SlotRef) string { return f.Provider.String() + "." + f.Session + "." + f.Slot }

// there is a referral that is booked at the clinic.
func (s *stage) there() referral.Referral {
	s.t.Helper()
	s.keeps().how.Store(well)
	slot := s.slotThere()
	return s.does(s.byReferrer(), s.refers(draft(referral.Routine, keeper.Service)), referral.Work{Kind: referral.ActBook, Slot: slot, Service: keeper.Service})
}

// asksThere books at the clinic by A016.
func asksThere(r referral.Referral, slot string) func(doc map[string]any) {
	return all(asksFor(r, "booked", "", slot), func(doc map[string]any) {
		doc["participant"].([]any)[0].(map[string]any)["actor"].(map[string]any)["identifier"].(map[string]any)["value"] = keeper.Service
	})
}

// systemWrongs are what comes of a hospital's system that is silent, or answers with an error.
func systemWrongs() map[string]wrong {
	list := map[string]wrong{}
	for status, how := range map[string]int32{"502": broken, "504": silent} {
		list["a016 "+status] = func(x shot) answer {
			slot := slotID(x.s.slotThere())
			r := x.s.refers(draft(referral.Routine, keeper.Service))
			x.s.keeps().how.Store(how)
			return x.fire(asksThere(r, slot))
		}
		for _, op := range []string{"a034", "a036"} {
			list[op+" "+status] = func(x shot) answer {
				r := x.s.there()
				x.s.keeps().how.Store(how)
				return x.about(r).fire(nil)
			}
		}
	}
	return list
}

// TestAtAClinicThatKeepsItsSlots an appointment is made, read and cancelled as at any other.
func TestAtAClinicThatKeepsItsSlots(t *testing.T) {
	t.Parallel()
	example(t, "stu3/STU3-OperationOutcome.json")
	s := newStage(t)
	slot := slotID(s.slotThere())
	r := s.refers(draft(referral.Routine, keeper.Service))
	booked := shot{s, operation{"a016", http.MethodPost, "/STU3/Appointment"}, request{who: s.referrer(), file: "bookOrDeferAppointment/requests/MinimalBooking"}}
	a := booked.fire(asksThere(r, slot))
	if a.status != http.StatusCreated || !strings.Contains(a.body, `"Slot/`+slot+`"`) || !strings.Contains(a.body, `"status":"booked"`) {
		t.Fatalf("booked: %d %s", a.status, a.body)
	}
	r, err := s.node.Referrals().Get(t.Context(), s.byReferrer(), r.UBRN)
	if err != nil {
		t.Fatal(err)
	}
	tasks := s.referrer().get(fmt.Sprintf("/STU3/Task?focus=ReferralRequest/%s/_history/%d&intent=proposal&status=ready", r.UBRN, r.Version))
	if !strings.Contains(tasks.body, "CANCEL_DIRECTLY_BOOKED_APPOINTMENT") {
		t.Errorf("A029: %s", tasks.body)
	}
	cancel := shot{s, operation{"a034", http.MethodPut, "/STU3/Appointment/{id}"}, request{who: s.referrer(), file: "updateAppointment/requests/MinimalCancellationReasonOnlyCommentNotMandatory"}}
	if a := cancel.about(r).fire(nil); a.status != http.StatusOK || !strings.Contains(a.body, `"status":"cancelled"`) {
		t.Errorf("cancelled: %d %s", a.status, a.body)
	}
}
