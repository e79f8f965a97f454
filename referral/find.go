package referral

import (
	"cmp"
	"context"
	"math"
	"slices"

	"github.com/openspine/openspine/directory"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/referral/codes"
)

// ServiceSearch is what a referrer's program looks for among services, for one person.
type ServiceSearch struct {
	Patient   ident.NHSNumber
	Specialty string // of codes.Specialty; empty for all
	Anybody   bool   // those too that do not take somebody of the person's age and sex
	Near      string // an outward code, from which distances are counted; empty for where the person lives
	Soonest   bool   // the soonest first; otherwise the nearest
}

// FindServices finds open services for a person, each with when its first free slot is: Wait is in days until then, -1 where there is none. Errors: fault.NotFound for a patient who is not there; ErrPatient for
// one who has died; fault.Unavailable while the directory's tables are being written anew; what the rules refuse by.
func (s *Referrals) FindServices(ctx context.Context, c Caller, q ServiceSearch) ([]FoundService, error) {
	person, err := s.person(ctx, c, q.Patient)
	if err != nil {
		return nil, err
	}
	if person.Dead() {
		return nil, fault.Wrap(ErrPatient, fault.Unprocessable, "This person has died, as the register says.")
	}
	now := s.k.Clock.Now()
	asked := directory.ServiceQuery{Near: cmp.Or(q.Near, person.Outward()), Age: -1}
	if !q.Anybody {
		asked.Sex, asked.Age = person.Sex(), person.Age(now)
	}
	list, err := s.places.Services(ctx, asked)
	if err != nil {
		return nil, err
	}
	if q.Specialty != "" {
		list = slices.DeleteFunc(list, func(x directory.FoundService) bool { return codes.BySnomed(x.SpecialtyCode) != q.Specialty })
	}
	ids := make([]string, len(list))
	for i, x := range list {
		ids[i] = x.ID
	}
	free, err := s.frees(ctx, ids, person.fitsAll(list, now), 1)
	if err != nil {
		return nil, err
	}
	found := make([]FoundService, len(list))
	for i, x := range list {
		found[i] = FoundService{FoundService: x, Free: free[x.ID], Wait: -1}
		if found[i].Free.Slots > 0 {
			found[i].Wait = int(found[i].Free.First.Sub(now).Hours() / 24)
		}
	}
	last := func(v float64) float64 {
		if v < 0 {
			return math.Inf(1)
		}
		return v
	}
	slices.SortStableFunc(found, func(a, b FoundService) int {
		near, soon := cmp.Compare(last(a.Km), last(b.Km)), cmp.Compare(last(float64(a.Wait)), last(float64(b.Wait)))
		if q.Soonest {
			near, soon = soon, near
		}
		return cmp.Or(near, soon, cmp.Compare(a.Name, b.Name))
	})
	return found, nil
}
