package referral

// Stage is where a referral stands for those who read of it. It is the published state, but for two stages that the published states do not have: who has been seen stays BOOKED there until the end.
type Stage string

// The stages beside the states.
const (
	StageSeen       Stage = "SEEN"       // at the clinic, which has more to do
	StageDischarged Stage = "DISCHARGED" // the outpatient episode is over
)

// Stage is where the referral stands.
func (r Referral) Stage() Stage {
	switch {
	case r.Closed && r.State != Cancelled:
		return StageDischarged
	case r.Attended && r.State == Booked:
		return StageSeen
	}
	return Stage(r.State)
}
