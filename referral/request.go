package referral

import (
	"errors"

	"github.com/openspine/openspine/directory"
	"github.com/openspine/openspine/fault"
)

// ErrRequest is why a referral is refused to a service that does not take such a request (eRS-RequestFlowType).
var ErrRequest = errors.New("referral: the service does not take such a request")

// flowsOf are what a service takes that a request fits. A shortlist for an appointment may hold services that read a referral before they book: so the e-Referral Service's search finds them (A010).
func flowsOf(r Request) directory.Flows {
	if r == ForTriage {
		return directory.Triages
	}
	return directory.Appoints | directory.Triages
}

// checkRequest refuses a service that takes no such request; take is what each of the list takes.
func checkRequest(r Request, list []Choice, take []directory.Flows) error {
	for i, c := range list {
		if !take[i].Take(flowsOf(r)) {
			if r == ForTriage {
				return fault.Wrap(ErrRequest, fault.Unprocessable, "%s does not triage referrals. Ask for an appointment, or choose another service.", c.Name)
			}
			return fault.Wrap(ErrRequest, fault.Unprocessable, "%s gives advice only. Ask it for advice, or choose another service.", c.Name)
		}
	}
	return nil
}

// strictFlow is the one kind of request that a page offers a service for.
func strictFlow(r Request) directory.Flows {
	if r == ForTriage {
		return directory.Triages
	}
	return directory.Appoints
}

// requestsFor are what can be asked of all services at once, appointments first.
func requestsFor(take []directory.Flows) (list []Request) {
next:
	for _, r := range []Request{ForAppointment, ForTriage} {
		for _, f := range take {
			if !f.Take(strictFlow(r)) {
				continue next
			}
		}
		list = append(list, r)
	}
	return list
}
