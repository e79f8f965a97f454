package directory

// Flows are the kinds of request that a service takes (e-Referral Service FHIR API, code system eRS-RequestFlowType). A service that says none takes appointments and triage: so do those that
// were written before anybody asked.
type Flows int64

// The kinds of request.
const (
	Appoints Flows = 1 << iota // APPOINTMENT_REQUEST
	Triages                    // TRIAGE_REQUEST
	Advises                    // ADVICE_AND_GUIDANCE_REQUEST
)

// Take reports whether requests of a kind, or of one of several, are taken.
func (f Flows) Take(kind Flows) bool {
	if f == 0 {
		f = Appoints | Triages
	}
	return f&kind != 0
}

const systemFlows = "https://fhir.nhs.uk/CodeSystem/eRS-RequestFlowType"

// code is a kind of request as the code system calls it.
func (f Flows) code() string {
	switch f {
	case Appoints:
		return "APPOINTMENT_REQUEST"
	case Triages:
		return "TRIAGE_REQUEST"
	case Advises:
		return "ADVICE_AND_GUIDANCE_REQUEST"
	}
	return ""
}

// flowOf is the kind that a code stands for; 0 for none, as for the other characteristics of a service.
func flowOf(code string) Flows {
	for _, f := range []Flows{Appoints, Triages, Advises} {
		if f.code() == code {
			return f
		}
	}
	return 0
}
