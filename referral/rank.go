package referral

import (
	"cmp"
	"math"
	"slices"
)

// rank orders services as somebody who chooses would: those with a free slot come first. Somebody urgent goes wherever it is soonest; for others ten
// kilometres weigh as much as a week.
func rank(list []FoundService, p Priority) {
	cost := func(f FoundService) float64 {
		km, days := f.Km, float64(f.Wait)
		if km < 0 {
			km = 50
		}
		if days < 0 {
			days = 180
		}
		if p == Urgent || p == TwoWeekWait {
			return days + km/100
		}
		return days + km*7/10
	}
	none := func(f FoundService) float64 {
		if f.Free.Slots > 0 {
			return 0
		}
		return math.Inf(1)
	}
	slices.SortStableFunc(list, func(a, b FoundService) int {
		return cmp.Or(cmp.Compare(none(a), none(b)), cmp.Compare(cost(a), cost(b)), cmp.Compare(a.Name, b.Name))
	})
}
