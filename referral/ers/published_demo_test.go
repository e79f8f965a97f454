package ers_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/openspine/openspine/referral"
	"github.com/openspine/openspine/sim/seed/published"
)

// TestTheDemonstrationAnswersAsPublished reads the examples' requests, which the demonstration has under their own numbers, as it has them.
func TestTheDemonstrationAnswersAsPublished(t *testing.T) {
	t.Parallel()
	example(t, "stu3/STU3-OperationOutcome.json")
	s := newStage(t)
	before := time.Now()
	if err := published.Refer(t.Context(), s.node); err != nil {
		t.Fatal(err)
	}
	pause := func() error {
		time.Sleep(5 * time.Millisecond)
		s.time.Advance(100 * time.Millisecond)
		return nil
	}
	for range 2 { // the second time, as when the demonstration is started again, nothing is left to do
		if err := published.Book(t.Context(), s.node, pause); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("made in %v", time.Since(before))
	n := tally{}
	for number, x := range map[string]struct {
		file    string
		differs map[string]string
	}{
		published.Unbooked:         {"Unbooked.json", nil},
		published.Deferred:         {"DeferredToProvider.json", nil},
		published.BookedDirectly:   {"BookedDBS.json", nil},
		published.BookedIndirectly: {"BookedIBS.json", nil},
		published.Unread:           {"WithUnavailableAttachments.json", nil},
		published.Related:          {"WithRelatedReferral.json", nil},
		published.WithRequirements: {"WithAdditionalRequirements.json", map[string]string{`(extension|contained)\[\]`: "the example is booked, but has no appointment"}},
		published.Converted: {"ConvertedFromAdviceAndGuidance.json", map[string]string{
			`(contained|supportingInfo)\[`: "the example's question was asked by R68 and answered by R69, each with a file, and a third came with the note; here R69 asks, without files"}},
	} {
		s.play(t, scene{op: "A005", response: "stu3/retrieveReferralRequest/responses/" + x.file, ubrn: number, differs: x.differs, play: func(s *stage) ask {
			return ask{who: s.referrer(), method: http.MethodGet, path: "/STU3/ReferralRequest/" + number, about: referral.Referral{}}
		}}, map[string]int{}, &n)
	}
	if n.tested != 8 || n.equal != 6 {
		t.Errorf("%d tested, %d equal: %v", n.tested, n.equal, n.because)
	}
}
