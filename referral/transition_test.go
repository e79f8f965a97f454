package referral_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/referral"
	"github.com/openspine/openspine/referral/codes"
)

// TestRandomActsNeverReachAnImpossibleState does anything to referrals, by anybody: what is refused changes nothing; what is taken makes the next version, in a state
// that the table names, with an appointment exactly where it is booked.
func TestRandomActsNeverReachAnImpossibleState(t *testing.T) {
	taken := 0
	for seed := range uint64(500) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		at := time.Date(2026, 7, 1, 9, 0, 0, 0, time.UTC)
		var r referral.Referral
		for range 60 {
			at = at.Add(time.Duration(rnd.IntN(72)) * time.Hour)
			a := anyAct(rnd, at)
			before := r
			after, err := referral.Apply(r, a)
			if err != nil {
				if after.Version != before.Version || after.State != before.State {
					t.Fatalf("seed %d: %s was refused and changed something: %v", seed, a.Kind, err)
				}
				continue
			}
			row, _ := referral.TransitionOf(a.Kind)
			switch {
			case after.Version != before.Version+1:
				t.Fatalf("seed %d: %s made version %d of %d", seed, a.Kind, after.Version, before.Version)
			case row.To != "" && after.State != row.To || row.To == "" && after.State != before.State:
				t.Fatalf("seed %d: %s led from %s to %s", seed, a.Kind, before.State, after.State)
			case !slices.Contains(referral.States(), after.State):
				t.Fatalf("seed %d: %s is no state", seed, after.State)
			case (after.Appointment != nil) != (after.State == referral.Booked):
				t.Fatalf("seed %d: %s with appointment %v", seed, after.State, after.Appointment)
			case before.Version > 0 && !slices.Contains(row.From, before.State):
				t.Fatalf("seed %d: %s in the state %s", seed, a.Kind, before.State)
			}
			r = after
			taken++
		}
	}
	if taken < 500 {
		t.Errorf("only %d acts were taken: the test tries nothing", taken)
	}
}

func anyAct(rnd *rand.Rand, at time.Time) referral.Act {
	table := referral.Transitions()
	row := table[rnd.IntN(len(table))]
	parties := []referral.Party{referral.Referrer, referral.Provider, referral.Patient, referral.System}
	list := []referral.Choice{{Service: "a", Name: "A", Provider: west}, {Service: "b", Name: "B", Provider: ident.MustODSCode("RZZ02")}}
	a := referral.Act{Kind: row.Act, By: referral.Actor{ID: "x", Party: parties[rnd.IntN(len(parties))]}, At: at, Comment: "because", Service: list[rnd.IntN(2)].Service, Shortlist: list, Letter: "hash",
		Priority: referral.Routine, New: &referral.Referral{UBRN: ident.MustUBRN("000000070000"), Patient: ident.MustNHSNumber("9990000018"), Chart: "9990000018", Practice: ident.MustODSCode("Z99801"), Request: referral.ForAppointment}}
	if row.Reasons != "" && rnd.IntN(5) > 0 {
		reasons := codes.List(row.Reasons, at, row.Types...)
		a.Reason = reasons[rnd.IntN(len(reasons))].Code
	}
	start := at.Add(time.Duration(rnd.IntN(200)) * time.Hour)
	a.Appointment = &referral.Appointment{SlotRef: referral.SlotRef{Provider: list[rnd.IntN(2)].Provider, Session: "s", Slot: "1"}, Epoch: 1, Start: start, End: start.Add(time.Hour)}
	return a
}

// TestWhoHasAnAppointmentToComeIsNotDischarged: the hospital saw them at an earlier time, and they have been moved meanwhile. Closed, nobody could cancel it any more.
func TestWhoHasAnAppointmentToComeIsNotDischarged(t *testing.T) {
	at := time.Date(2026, 7, 1, 9, 0, 0, 0, time.UTC)
	r := referral.Referral{UBRN: ident.MustUBRN("000000070000"), State: referral.Booked, Version: 3, Appointment: &referral.Appointment{SlotRef: referral.SlotRef{Provider: west, Session: "s", Slot: "1"}, Epoch: 1, Start: at.Add(time.Hour), End: at.Add(2 * time.Hour)}}
	act := referral.Act{Kind: referral.ActDischarged, By: referral.Actor{ID: "x", Party: referral.Provider}, At: at}
	if _, err := referral.Apply(r, act); !fault.Is(err, fault.Conflict) {
		t.Errorf("discharged before the appointment: %v", err)
	}
	act.At = at.Add(time.Hour)
	if r, err := referral.Apply(r, act); err != nil || !r.Closed {
		t.Errorf("once it has begun: closed %v (%v)", r.Closed, err)
	}
}

// TestWhatIsAssessedGoesBackWithItsResult: a clinician of the provider says what came of it, from the day of the appointment; then it is the referrer's, who refers on or ends it, and nobody waits to be seen.
func TestWhatIsAssessedGoesBackWithItsResult(t *testing.T) {
	start := time.Date(2026, 7, 1, 9, 0, 0, 0, time.UTC)
	choice := referral.Choice{Service: "a", Name: "A", Provider: west}
	booked := referral.Referral{Version: 2, State: referral.Booked, Priority: referral.TwoWeekWait, PathwayStart: start.AddDate(0, 0, -7), Chosen: choice, Shortlist: []referral.Choice{choice},
		Appointment: &referral.Appointment{SlotRef: referral.SlotRef{Provider: west}, Start: start, End: start.Add(time.Hour)}}
	act := referral.Act{Kind: referral.ActAssessed, By: referral.Actor{ID: "x", Party: referral.Provider}, At: start, Comment: "Not the heart."}
	early, silent := act, act
	early.At, silent.Comment = start.AddDate(0, 0, -2), ""
	if _, err := referral.Apply(booked, early); !fault.Is(err, fault.Conflict) {
		t.Errorf("assessed before the day: %v", err)
	}
	if _, err := referral.Apply(booked, silent); !fault.Is(err, fault.Invalid) {
		t.Errorf("without a result: %v", err)
	}
	r, err := referral.Apply(booked, act)
	if err != nil || r.State != referral.AssessmentResult || r.Appointment != nil || r.Comment != "Not the heart." || !r.Attended {
		t.Fatalf("%+v, %v", r, err)
	}
	if l := r.Limit(); !l.Last.IsZero() || booked.Limit().Last.IsZero() {
		t.Errorf("a limit runs on: %+v, before %+v", l, booked.Limit())
	}
	if said := referral.Tells(t.Context(), r); said != "You have been assessed. Your practice will tell you what happens next." {
		t.Errorf("the patient is told %q", said)
	}
	by := referral.Actor{ID: "y", Party: referral.Referrer}
	next := map[referral.State]referral.Act{
		referral.NotBooked:      {Kind: referral.ActShortlist, By: by, At: start, Shortlist: []referral.Choice{choice}},
		referral.AwaitingTriage: {Kind: referral.ActSendTriage, By: by, At: start, Service: "a"},
		referral.Cancelled:      {Kind: referral.ActCancel, By: by, At: start, Reason: "TREATMENT_NO_LONGER_REQUIRED", Comment: "Better."},
	}
	for to, a := range next {
		n, err := referral.Apply(r, a)
		if err != nil || n.State != to || n.Attended != (to == referral.Cancelled) {
			t.Errorf("%s: %s, attended %v, %v", a.Kind, n.State, n.Attended, err)
		}
	}
}
